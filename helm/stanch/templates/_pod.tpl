{{/*
What every pod has. Service links are off because the cluster would inject STANCH_PORT and the like for a Service named
stanch, and STANCH_ is the prefix of our settings.
*/}}
{{- define "stanch.podBase" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "stanch.containerBase" -}}
image: {{ include "stanch.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* A change of stanch.yaml starts new pods; a change of a Secret does not, the chart cannot see it. */}}
{{- define "stanch.podAnnotations" -}}
checksum/config: {{ toYaml .Values.config | sha256sum }}
{{- end }}

{{/* Settings of the four long-running processes. */}}
{{- define "stanch.env" -}}
- name: HOME
  value: /tmp
- name: STANCH_CONFIG
  value: /etc/stanch/config/stanch.yaml
- name: STANCH_DATA_DIR
  value: /var/lib/stanch
{{- with .Values.publicUrl }}
- name: STANCH_PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Takes a list of setting names; each is read from the file that "stanch.secretVolume" puts there. */}}
{{- define "stanch.secretEnv" -}}
{{- range . }}
- name: STANCH_{{ . }}_FILE
  value: /etc/stanch/secrets/{{ . }}
{{- end }}
{{- end }}

{{/*
Takes (dict "name" <Secret> "keys" <list>). Only the listed keys are mounted, so a Secret that holds more than it should
still gives a process no more than it needs.
*/}}
{{- define "stanch.secretVolume" -}}
- name: secrets
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items:
      {{- range .keys }}
      - key: {{ . }}
        path: {{ . }}
      {{- end }}
{{- end }}

{{- define "stanch.mounts" -}}
- name: config
  mountPath: /etc/stanch/config
  readOnly: true
- name: secrets
  mountPath: /etc/stanch/secrets
  readOnly: true
- name: data
  mountPath: /var/lib/stanch
- name: tmp
  mountPath: /tmp
{{- end }}

{{- define "stanch.volumes" -}}
- name: config
  configMap:
    name: {{ include "stanch.name" (dict "root" . "component" "config") }}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- end }}

{{- define "stanch.sharedData" -}}
- name: data
  {{- if .Values.data.persistent }}
  persistentVolumeClaim:
    claimName: {{ include "stanch.name" (dict "root" . "component" "data") }}
  {{- else }}
  emptyDir:
    sizeLimit: 1Gi
  {{- end }}
{{- end }}

{{- define "stanch.ownData" -}}
- name: data
  emptyDir:
    sizeLimit: 256Mi
{{- end }}
