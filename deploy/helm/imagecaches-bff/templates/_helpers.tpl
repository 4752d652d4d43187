{{- define "imagecaches-bff.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "imagecaches-bff.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "imagecaches-bff.labels" -}}
{{ include "imagecaches-bff.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "imagecaches-bff.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "imagecaches-bff.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "imagecaches-bff.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* The drain: unready for the delay, then the grace time, then a few seconds to end. */ -}}
{{- define "imagecaches-bff.terminationGracePeriodSeconds" -}}
{{- $delay := dig "SHUTDOWN_DELAY_SECONDS" "5" .Values.settings | toString | int -}}
{{- $grace := dig "SHUTDOWN_GRACE_SECONDS" "25" .Values.settings | toString | int -}}
{{- add $delay $grace 5 -}}
{{- end -}}

{{- define "imagecaches-bff.issuersConfigMap" -}}
{{- if .Values.issuers.document -}}
{{ include "imagecaches-bff.fullname" . }}-issuers
{{- else -}}
{{ .Values.issuers.configMapName }}
{{- end -}}
{{- end -}}

{{- /* What would fail in the pod fails here. */ -}}
{{- define "imagecaches-bff.validate" -}}
{{- if and .Values.issuers.document .Values.issuers.configMapName -}}
{{- fail "issuers.document contradicts issuers.configMapName; set only one of them" -}}
{{- end -}}
{{- with .Values.credentials -}}
{{- if and .externalSecret.enabled (ne .source "static") -}}
{{- fail "credentials.externalSecret makes a Secret that credentials.source does not use" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.redis.secretName (ne .Values.credentials.source "static") (not (hasKey .Values.settings "HUAWEICLOUD_SDK_PROJECT_ID")) -}}
{{- fail "redis needs settings.HUAWEICLOUD_SDK_PROJECT_ID where credentials are not static" -}}
{{- end -}}
{{- end -}}
