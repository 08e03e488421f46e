{{/* What the schema cannot say. Fails the render with what to do instead. */}}
{{- define "stanch.checks" -}}
{{- $seen := dict -}}
{{- range $use, $name := .Values.secrets -}}
{{- if $name -}}
{{- if hasKey $seen $name -}}
{{- fail (printf "secrets.%s and secrets.%s name the same Secret %q; give each process its own, or one could read what the other holds" (get $seen $name) $use $name) -}}
{{- end -}}
{{- $_ := set $seen $name $use -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "(?i)://[^/@\\s]*:[^/@\\s]+@|password[\"']?\\s*[:=]\\s*\\S" (toYaml .Values.config) -}}
{{- fail "config holds what looks like a password; put the DSN into the Secret named by secrets.diagnose or secrets.fix and name its file in config" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host" -}}
{{- end -}}
{{- end }}
