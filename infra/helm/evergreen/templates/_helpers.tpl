{{- define "evergreen.labels" -}}
app.kubernetes.io/part-of: evergreen
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "evergreen.serving" -}}
app.kubernetes.io/name: serving
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "evergreen.pod" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "evergreen.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "evergreen.settings" -}}
- {name: EVERGREEN_STORE, value: {{ .Values.store | quote }}}
{{- range $name, $value := .Values.environment }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "evergreen.secret" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .from }}, key: {{ .name }}}}
{{- end }}
