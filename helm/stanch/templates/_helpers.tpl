{{- define "stanch.fullname" -}}
{{- if contains "stanch" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-stanch" (.Release.Name | trunc 43 | trimSuffix "-") -}}
{{- end -}}
{{- end }}

{{/* Takes (dict "root" $ "component" "serve"), as every helper below that speaks of one component. */}}
{{- define "stanch.name" -}}
{{ include "stanch.fullname" .root }}-{{ .component }}
{{- end }}

{{- define "stanch.selectorLabels" -}}
app.kubernetes.io/name: stanch
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "stanch.labels" -}}
{{ include "stanch.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "stanch.metadata" -}}
name: {{ include "stanch.name" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "stanch.labels" . | nindent 2 }}
{{- end }}

{{- define "stanch.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}
