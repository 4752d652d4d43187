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
{{- .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "imagecaches-bff.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /*
The text of a setting, given its name and value. Helm has numbers as floats, whose own text from a million on is 1e+06,
and YAML has booleans for on and off.
*/ -}}
{{- define "imagecaches-bff.settingText" -}}
{{- $value := .value -}}
{{- if kindIs "bool" $value -}}
{{- ternary "on" "off" $value -}}
{{- else if kindIs "float64" $value -}}
{{- if or (gt $value 9007199254740991.0) (lt $value -9007199254740991.0) -}}
{{- fail (printf "settings.%s has lost digits as a number; write it in quotes" .name) -}}
{{- else if eq (floor $value) $value -}}
{{- int64 $value -}}
{{- else -}}
{{- regexReplaceAll "0+$" (printf "%.15f" $value) "" -}}
{{- end -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $value | toString | trim -}}
{{- end -}}
{{- end -}}

{{- /* The settings that are given, as JSON: texts by name. An empty text is not given. */ -}}
{{- define "imagecaches-bff.settings" -}}
{{- $texts := dict -}}
{{- range $name, $value := .Values.settings -}}
{{- with include "imagecaches-bff.settingText" (dict "name" $name "value" $value) -}}
{{- $_ := set $texts $name . -}}
{{- end -}}
{{- end -}}
{{- toJson $texts -}}
{{- end -}}

{{- /* The drain: unready for the delay, then the grace time, then a few seconds to end. */ -}}
{{- define "imagecaches-bff.terminationGracePeriodSeconds" -}}
{{- $settings := include "imagecaches-bff.settings" . | fromJson -}}
{{- $delay := dig "SHUTDOWN_DELAY_SECONDS" "5" $settings | atoi -}}
{{- $grace := dig "SHUTDOWN_GRACE_SECONDS" "25" $settings | atoi -}}
{{- add $delay $grace 5 -}}
{{- end -}}

{{- define "imagecaches-bff.issuersConfigMap" -}}
{{- if .Values.issuers.document -}}
{{ include "imagecaches-bff.fullname" . }}-issuers
{{- else -}}
{{ .Values.issuers.configMapName }}
{{- end -}}
{{- end -}}

{{- /* Not empty where clients with a key pair may call. */ -}}
{{- define "imagecaches-bff.hasSdkKeys" -}}
{{- .Values.sdkKeys.secretName -}}
{{- end -}}
