{{- /* A Service has no dots in its name, which a release may have. */ -}}
{{- define "imagecaches-bff.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $release := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $release .Values.fullnameOverride | replace "." "-" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "imagecaches-bff.selectorLabels" -}}
{{- dict
  "app.kubernetes.io/name" (default .Chart.Name .Values.nameOverride)
  "app.kubernetes.io/instance" .Release.Name | toYaml -}}
{{- end -}}

{{- /*
Labels, each once: the chart's, those of all objects, those of this one (`labels`), of which a later one replaces an
earlier one; then the labels by which pods are selected, which nothing replaces.
*/ -}}
{{- define "imagecaches-bff.labels" -}}
{{- $chart := dict
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version) -}}
{{- $selector := include "imagecaches-bff.selectorLabels" .root | fromYaml -}}
{{- mergeOverwrite $chart (deepCopy (default dict .root.Values.commonLabels)) (deepCopy (default dict .labels)) $selector | toYaml -}}
{{- end -}}

{{- /* Metadata of an object: name, labels and annotations, given `root`, and `suffix`, `name`, `labels` and `annotations`. */ -}}
{{- define "imagecaches-bff.metadata" -}}
{{- $name := default (include "imagecaches-bff.fullname" .root) .name -}}
name: {{ printf "%s%s" $name (default "" .suffix) | quote }}
labels:
  {{- include "imagecaches-bff.labels" . | nindent 2 }}
{{- with mergeOverwrite (deepCopy (default dict .root.Values.commonAnnotations)) (deepCopy (default dict .annotations)) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The labels of the Service of metrics, one of which is the job's name. */ -}}
{{- define "imagecaches-bff.metricsLabels" -}}
{{- include "imagecaches-bff.labels" (dict "root" . "labels" (dict "app.kubernetes.io/component" "metrics")) -}}
{{- end -}}

{{- define "imagecaches-bff.metricsName" -}}
{{- include "imagecaches-bff.fullname" . | trunc 55 | trimSuffix "-" }}-metrics
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

{{- /*
What is mounted, as a JSON array: the name of the volume, the Secret or ConfigMap, and for each of its keys the name of
the file and the variable that names the file, if one does.
*/ -}}
{{- define "imagecaches-bff.files" -}}
{{- $files := list -}}
{{- with .Values.credentials -}}
{{- if eq .source "static" -}}
{{- $items := list
  (dict "key" .keys.accessKeyId "path" "ak" "variable" "HUAWEICLOUD_SDK_AK_FILE")
  (dict "key" .keys.secretAccessKey "path" "sk" "variable" "HUAWEICLOUD_SDK_SK_FILE") -}}
{{- with .keys.securityToken -}}
{{- $items = append $items (dict "key" . "path" "token" "variable" "HUAWEICLOUD_SDK_SECURITY_TOKEN_FILE") -}}
{{- end -}}
{{- $files = append $files (dict "name" "credentials" "secretName" .secretName "items" $items) -}}
{{- end -}}
{{- end -}}
{{- $issuers := .Values.issuers -}}
{{- if .Values.issuers.document -}}
{{- $issuers = dict "configMapName" (printf "%s-issuers" (include "imagecaches-bff.fullname" .)) "key" "issuers.json" -}}
{{- end -}}
{{- $jwks := "" -}}
{{- if eq (include "imagecaches-bff.jwksIsOfIssuer" .) "true" -}}{{- $jwks = "AUTH_JWKS_FILE" -}}{{- end -}}
{{- with .Values.tls.secretName -}}
{{- $items := list
  (dict "key" "tls.crt" "path" "tls.crt" "variable" "TLS_CERT_FILE")
  (dict "key" "tls.key" "path" "tls.key" "variable" "TLS_KEY_FILE") -}}
{{- $files = append $files (dict "name" "tls" "secretName" . "items" $items) -}}
{{- end -}}
{{- range $file := list
  (dict "name" "issuers" "from" $issuers "path" "issuers.json" "variable" "AUTH_ISSUERS_FILE")
  (dict "name" "jwks" "from" .Values.jwks "path" "jwks.json" "variable" $jwks)
  (dict "name" "sdk-keys" "from" .Values.sdkKeys "path" "keys.json" "variable" "SDK_KEYS_FILE")
  (dict "name" "redis" "from" .Values.redis "path" "url" "variable" "REDIS_URL_FILE")
  (dict "name" "ca" "from" .Values.caBundle "path" "ca.crt" "variable" "NODE_EXTRA_CA_CERTS")
  (dict "name" "client-ca" "from" .Values.tls.clientCa "path" "ca.crt" "variable" "TLS_CLIENT_CA_FILE")
-}}
{{- if or $file.from.secretName $file.from.configMapName -}}
{{- $item := dict "key" $file.from.key "path" $file.path "variable" $file.variable -}}
{{- $files = append $files (merge (dict "name" $file.name "items" (list $item)) (pick $file.from "secretName" "configMapName")) -}}
{{- end -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{- /* "true" where the mounted key set is that of AUTH_ISSUER: a document of issuers names its files itself. */ -}}
{{- define "imagecaches-bff.jwksIsOfIssuer" -}}
{{- $issuers := .Values.issuers -}}
{{- $settings := include "imagecaches-bff.settings" . | fromJson -}}
{{- not (or $issuers.document $issuers.configMapName $issuers.secretName $settings.AUTH_JWKS_FILE) -}}
{{- end -}}

{{- /* What the container gets beside envFrom, as a JSON array of EnvVars. */ -}}
{{- define "imagecaches-bff.env" -}}
{{- $env := list
  (dict "name" "HOST" "value" (include "imagecaches-bff.host" .))
  (dict "name" "PORT" "value" "8080")
  (dict "name" "METRICS_PORT" "value" (toString .Values.metrics.port))
  (dict "name" "HUAWEICLOUD_CREDENTIALS" "value" .Values.credentials.source) -}}
{{- range $file := include "imagecaches-bff.files" . | fromJsonArray -}}
{{- range $item := $file.items -}}
{{- if $item.variable -}}
{{- $env = append $env (dict "name" $item.variable "value" (printf "/etc/imagecaches-bff/%s/%s" $file.name $item.path)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.otlpHeaders -}}
{{- if .secretName -}}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_HEADERS" "valueFrom" (dict "secretKeyRef" (dict "name" .secretName "key" .key))) -}}
{{- end -}}
{{- end -}}
{{- range $name, $text := include "imagecaches-bff.settings" . | fromJson -}}
{{- /* In Kubernetes $(NAME) stands for a variable, and $$ for a dollar sign. */ -}}
{{- $env = append $env (dict "name" $name "value" (replace "$" "$$" $text)) -}}
{{- end -}}
{{- toJson (concat $env (default list .Values.extraEnv)) -}}
{{- end -}}

{{- /* Not empty where clients with a key pair may call. */ -}}
{{- define "imagecaches-bff.hasSdkKeys" -}}
{{- or .Values.sdkKeys.secretName .Values.sdkKeys.configMapName | default "" -}}
{{- end -}}

{{- /* What a probe asks: with TLS by HTTPS, and where clients need a certificate, which no kubelet has, the port of metrics. */ -}}
{{- define "imagecaches-bff.probePort" -}}
{{- if or .Values.tls.clientCa.configMapName .Values.tls.clientCa.secretName -}}
port: metrics
{{- else if .Values.tls.secretName -}}
port: http, scheme: HTTPS
{{- else -}}
port: http
{{- end -}}
{{- end -}}

{{- /* Where to listen: on IPv6 and, where there is one, IPv4 where the Service has addresses of IPv6. */ -}}
{{- define "imagecaches-bff.host" -}}
{{- if .Values.host -}}
{{- .Values.host -}}
{{- else -}}
{{- ternary "::" "0.0.0.0" (or (has "IPv6" (default list .Values.service.ipFamilies)) (hasSuffix "DualStack" (default "" .Values.service.ipFamilyPolicy))) -}}
{{- end -}}
{{- end -}}
