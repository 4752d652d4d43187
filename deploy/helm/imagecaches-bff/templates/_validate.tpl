{{- /* What would stop the pod stops the installation: every fault at once, as the service itself says them. */ -}}
{{- define "imagecaches-bff.validate" -}}
{{- $settings := include "imagecaches-bff.settings" . | fromJson -}}
{{- range .Values.extraEnv -}}
{{- /* An empty text is not given, as in settings. */ -}}
{{- $value := ternary "given elsewhere" (default "" .value | trim) (hasKey . "valueFrom") -}}
{{- range $name := list .name (trimSuffix "_FILE" .name) -}}
{{- if and $value (not (hasKey $settings $name)) -}}{{- $_ := set $settings $name $value -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $all := dict "root" . "settings" $settings -}}
{{- $faults := concat
  (include "imagecaches-bff.upstreamFaults" $all | fromJsonArray)
  (include "imagecaches-bff.credentialFaults" $all | fromJsonArray)
  (include "imagecaches-bff.callerFaults" $all | fromJsonArray)
  (include "imagecaches-bff.fileFaults" . | fromJsonArray)
  (include "imagecaches-bff.valueFaults" $all | fromJsonArray) -}}
{{- if $faults -}}
{{- fail (printf "the values have %d fault(s):\n  %s" (len $faults) (join "\n  " $faults)) -}}
{{- end -}}
{{- end -}}

{{- /* Calls to the vendor: where to, with what, how long. */ -}}
{{- define "imagecaches-bff.upstreamFaults" -}}
{{- $faults := list -}}
{{- $settings := .settings -}}
{{- $source := .root.Values.credentials.source -}}
{{- $project := get $settings "HUAWEICLOUD_SDK_PROJECT_ID" -}}
{{- if not (or $settings.CCE_REGION $settings.CCE_ENDPOINT .root.Values.envFrom) -}}
{{- $faults = append $faults "settings.CCE_REGION is missing, and so is settings.CCE_ENDPOINT" -}}
{{- end -}}
{{- if and (eq $project "auto") (not (or $settings.CCE_REGION .root.Values.envFrom)) -}}
{{- $faults = append $faults "settings.HUAWEICLOUD_SDK_PROJECT_ID cannot be auto without settings.CCE_REGION" -}}
{{- end -}}
{{- $connect := dig "UPSTREAM_CONNECT_TIMEOUT_MS" "2000" $settings -}}
{{- $attempt := dig "UPSTREAM_ATTEMPT_TIMEOUT_MS" "5000" $settings -}}
{{- $deadline := dig "UPSTREAM_DEADLINE_MS" "8000" $settings -}}
{{- /* What comes from elsewhere is not known here. */ -}}
{{- $areKnown := dict -}}
{{- range $text := list $connect $attempt $deadline -}}{{- $_ := set $areKnown $text (regexMatch "^[0-9]+$" $text) -}}{{- end -}}
{{- if and (get $areKnown $connect) (get $areKnown $attempt) (gt (atoi $connect) (atoi $attempt)) -}}
{{- $faults = append $faults "settings.UPSTREAM_CONNECT_TIMEOUT_MS must not be longer than UPSTREAM_ATTEMPT_TIMEOUT_MS (default 5000)" -}}
{{- end -}}
{{- if and (get $areKnown $attempt) (get $areKnown $deadline) (gt (atoi $attempt) (atoi $deadline)) -}}
{{- $faults = append $faults "settings.UPSTREAM_ATTEMPT_TIMEOUT_MS must not be longer than UPSTREAM_DEADLINE_MS (default 8000)" -}}
{{- end -}}
{{- $hasRedis := or .root.Values.redis.secretName $settings.REDIS_URL -}}
{{- if and $hasRedis (ne $source "static") (or (eq $project "auto") (not (or $project .root.Values.envFrom))) -}}
{{- $faults = append $faults "redis needs the project id in settings.HUAWEICLOUD_SDK_PROJECT_ID where credentials are not static" -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}

{{- /* The settings of credentials.source, and those of other sources. */ -}}
{{- define "imagecaches-bff.credentialFaults" -}}
{{- $faults := list -}}
{{- $settings := .settings -}}
{{- $source := .root.Values.credentials.source -}}
{{- $signs := dict
  "static" (list "HUAWEICLOUD_SDK_AK" "HUAWEICLOUD_SDK_SK" "HUAWEICLOUD_SDK_SECURITY_TOKEN" "CLOUD_SDK_AK" "CLOUD_SDK_SK")
  "oidc" (list "HUAWEICLOUD_OIDC_PROVIDER_URN" "HUAWEICLOUD_OIDC_AGENCY_URN" "HUAWEICLOUD_OIDC_TOKEN_FILE" "HUAWEICLOUD_OIDC_ID_TOKEN")
  "token" (list "CCE_AUTH_TOKEN")
  "profile" (list "HUAWEICLOUD_SDK_CREDENTIALS") -}}
{{- range $of, $names := $signs -}}
{{- range $name := $names -}}
{{- $isGiven := or (get $settings $name) (get $settings (printf "%s_FILE" $name)) -}}
{{- if and $isGiven (ne $of $source) -}}
{{- $faults = append $faults (printf "%s contradicts credentials.source: %s; remove one of them" $name $source) -}}
{{- else if and $isGiven (eq $of "static") -}}
{{- $faults = append $faults (printf "%s is set by credentials.secretName" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not .root.Values.envFrom -}}
{{- if eq $source "oidc" -}}
{{- range $name := list "HUAWEICLOUD_OIDC_PROVIDER_URN" "HUAWEICLOUD_OIDC_AGENCY_URN" -}}
{{- if not (get $settings $name) -}}
{{- $faults = append $faults (printf "settings.%s is missing, and credentials.source is oidc" $name) -}}
{{- end -}}
{{- end -}}
{{- if not (or $settings.HUAWEICLOUD_OIDC_TOKEN_FILE $settings.HUAWEICLOUD_OIDC_ID_TOKEN) -}}
{{- $faults = append $faults "settings.HUAWEICLOUD_OIDC_TOKEN_FILE is missing, and credentials.source is oidc" -}}
{{- end -}}
{{- else if and (eq $source "token") (not $settings.CCE_AUTH_TOKEN) -}}
{{- $faults = append $faults "extraEnv has no CCE_AUTH_TOKEN_FILE, and credentials.source is token" -}}
{{- else if and (eq $source "profile") (not (or $settings.HUAWEICLOUD_SDK_CREDENTIALS .root.Values.extraVolumeMounts)) -}}
{{- $faults = append $faults "extraEnv has no HUAWEICLOUD_SDK_CREDENTIALS_FILE, and credentials.source is profile" -}}
{{- end -}}
{{- end -}}
{{- $isAssumed := or $settings.HUAWEICLOUD_ASSUME_AGENCY_URN .root.Values.envFrom -}}
{{- if and $settings.HUAWEICLOUD_METADATA_ENDPOINT (ne $source "metadata") -}}
{{- $faults = append $faults (printf "settings.HUAWEICLOUD_METADATA_ENDPOINT is of no use: credentials.source is %s" $source) -}}
{{- end -}}
{{- if and $settings.HUAWEICLOUD_SDK_STS_ENDPOINT (ne $source "oidc") (not $isAssumed) -}}
{{- $faults = append $faults (printf "settings.HUAWEICLOUD_SDK_STS_ENDPOINT is of no use: credentials.source is %s" $source) -}}
{{- end -}}
{{- range $name := list "HUAWEICLOUD_ASSUME_SESSION_NAME" "HUAWEICLOUD_ASSUME_DURATION_SECONDS" -}}
{{- if and (get $settings $name) (not $isAssumed) -}}
{{- $faults = append $faults (printf "settings.%s is of no use without HUAWEICLOUD_ASSUME_AGENCY_URN" $name) -}}
{{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}

{{- /* Who may call. */ -}}
{{- define "imagecaches-bff.callerFaults" -}}
{{- $faults := list -}}
{{- $settings := .settings -}}
{{- $issuers := .root.Values.issuers -}}
{{- $open := .root.Values.envFrom -}}
{{- $hasSdkKeys := or (include "imagecaches-bff.hasSdkKeys" .root) $settings.SDK_KEYS $open -}}
{{- $hasOthers := or $issuers.document $issuers.configMapName $issuers.secretName $settings.AUTH_ISSUERS $hasSdkKeys -}}
{{- if or (not $hasOthers) $settings.AUTH_ISSUER $settings.AUTH_AUDIENCE -}}
{{- range $name := list "AUTH_ISSUER" "AUTH_AUDIENCE" -}}
{{- if not (or (get $settings $name) $open) -}}
{{- $faults = append $faults (printf "settings.%s is missing" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $settings.AUTH_JWKS_URL $settings.AUTH_JWKS_FILE -}}
{{- $faults = append $faults "settings.AUTH_JWKS_FILE contradicts settings.AUTH_JWKS_URL; set only one of them" -}}
{{- end -}}
{{- if and $settings.AUTH_FAILURES_PER_MINUTE (not (or $settings.TRUSTED_PROXIES $open)) -}}
{{- $faults = append $faults "settings.TRUSTED_PROXIES is missing, and AUTH_FAILURES_PER_MINUTE needs the addresses of clients" -}}
{{- end -}}
{{- if and (has (get $settings "SDK_REPLAY_PROTECTION") (list "on" "true")) (not (or $settings.TRUSTED_PROXIES $open)) -}}
{{- $faults = append $faults "settings.TRUSTED_PROXIES is missing, and SDK_REPLAY_PROTECTION needs the addresses of clients" -}}
{{- end -}}
{{- range $name := list "SDK_PUBLIC_HOST" "SDK_REPLAY_PROTECTION" -}}
{{- if and (get $settings $name) (not $hasSdkKeys) -}}
{{- $faults = append $faults (printf "settings.%s is of no use without sdkKeys; remove it" $name) -}}
{{- end -}}
{{- end -}}
{{- if $settings.CONSOLE_OIDC_CLIENT_ID -}}
{{- if not (or (has (get $settings "CONSOLE") (list "on" "true" "given elsewhere")) $open) -}}
{{- $faults = append $faults "settings.CONSOLE_OIDC_CLIENT_ID is of no use without CONSOLE: on; remove it" -}}
{{- end -}}
{{- if not (or $settings.AUTH_ISSUER $open) -}}
{{- $faults = append $faults "settings.AUTH_ISSUER is missing, and CONSOLE_OIDC_CLIENT_ID is a client of it" -}}
{{- end -}}
{{- end -}}
{{- if and $issuers.document (or $issuers.configMapName $issuers.secretName) -}}
{{- $faults = append $faults "issuers.document contradicts issuers.configMapName and issuers.secretName; set only one of them" -}}
{{- end -}}
{{- $jwks := .root.Values.jwks -}}
{{- if and (or $jwks.configMapName $jwks.secretName) (eq (include "imagecaches-bff.jwksIsOfIssuer" .root) "true") $settings.AUTH_JWKS_URL -}}
{{- $faults = append $faults "settings.AUTH_JWKS_URL contradicts jwks; set only one of them" -}}
{{- end -}}
{{- with $issuers.document -}}
{{- range $fault := include "imagecaches-bff.documentFaults" (dict "document" . "settings" $settings) | fromJsonArray -}}
{{- $faults = append $faults $fault -}}
{{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}

{{- /* The document of issuers, as far as a template can look. */ -}}
{{- define "imagecaches-bff.documentFaults" -}}
{{- $faults := list -}}
{{- $document := fromJson .document -}}
{{- if or (hasKey $document "Error") (not (kindIs "slice" $document.issuers)) -}}
{{- $faults = append $faults "issuers.document must be a JSON object with the member issuers, see docs/callers.md" -}}
{{- else -}}
{{- $names := list -}}
{{- range $index, $issuer := $document.issuers -}}
{{- if not (and (kindIs "map" $issuer) (dig "issuer" "" $issuer) (dig "audiences" (list) $issuer)) -}}
{{- $faults = append $faults (printf "issuers.document: issuers[%d] needs issuer and audiences" $index) -}}
{{- else if or (has $issuer.issuer $names) (eq $issuer.issuer (get $.settings "AUTH_ISSUER")) -}}
{{- $faults = append $faults (printf "issuers.document: issuers[%d] is listed already" $index) -}}
{{- else -}}
{{- $names = append $names $issuer.issuer -}}
{{- end -}}
{{- end -}}
{{- if not $document.issuers -}}
{{- $faults = append $faults "issuers.document names no issuer" -}}
{{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}

{{- /* What is mounted, and the variables that say so. */ -}}
{{- define "imagecaches-bff.fileFaults" -}}
{{- $faults := list -}}
{{- range $name := list "issuers" "jwks" "sdkKeys" "caBundle" -}}
{{- with get $.Values $name -}}
{{- if and .configMapName .secretName -}}
{{- $faults = append $faults (printf "%s.configMapName contradicts %s.secretName; set only one of them" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.tls.clientCa -}}
{{- if and .configMapName .secretName -}}
{{- $faults = append $faults "tls.clientCa.configMapName contradicts tls.clientCa.secretName; set only one of them" -}}
{{- end -}}
{{- if or .configMapName .secretName -}}
{{- if not $.Values.tls.secretName -}}
{{- $faults = append $faults "tls.clientCa is of no use without tls.secretName" -}}
{{- end -}}
{{- if not $.Values.metrics.port -}}
{{- $faults = append $faults "tls.clientCa needs metrics.port: probes have no certificate, and ask there" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if and (hasPrefix "TLS_" .name) (not $.Values.tls.secretName) -}}
{{- $faults = append $faults (printf "extraEnv: %s is set by tls, so that probes know of it" .name) -}}
{{- end -}}
{{- if hasPrefix "SHUTDOWN_" .name -}}
{{- $faults = append $faults (printf "extraEnv: %s belongs in settings, so that the pod gets the time that it needs to end" .name) -}}
{{- end -}}
{{- end -}}
{{- $seen := list -}}
{{- range include "imagecaches-bff.env" . | fromJsonArray -}}
{{- if has .name $seen -}}
{{- $faults = append $faults (printf "%s is set twice: by settings, by extraEnv or by another value of the chart" .name) -}}
{{- end -}}
{{- $seen = append $seen .name -}}
{{- end -}}
{{- range $name := $seen -}}
{{- if has (printf "%s_FILE" $name) $seen -}}
{{- $faults = append $faults (printf "%s contradicts %s_FILE; set only one of them" $name $name) -}}
{{- end -}}
{{- end -}}
{{- $volumes := list -}}
{{- range concat (include "imagecaches-bff.files" . | fromJsonArray) (default list .Values.extraVolumes) -}}
{{- if has .name $volumes -}}
{{- $faults = append $faults (printf "extraVolumes: the name %s is taken" .name) -}}
{{- end -}}
{{- $volumes = append $volumes .name -}}
{{- end -}}
{{- range .Values.extraVolumeMounts -}}
{{- if not (has .name $volumes) -}}
{{- $faults = append $faults (printf "extraVolumeMounts: there is no volume %s" .name) -}}
{{- end -}}
{{- end -}}
{{- with .Values.otlpHeaders.secretName -}}
{{- $settings := include "imagecaches-bff.settings" $ | fromJson -}}
{{- if not (or $settings.OTEL_EXPORTER_OTLP_ENDPOINT $.Values.extraEnv $.Values.envFrom) -}}
{{- $faults = append $faults "otlpHeaders is of no use without settings.OTEL_EXPORTER_OTLP_ENDPOINT" -}}
{{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}

{{- /* Values of the chart that contradict each other. */ -}}
{{- define "imagecaches-bff.valueFaults" -}}
{{- $faults := list -}}
{{- with .root.Values -}}
{{- if hasKey . "replicaCount" -}}
{{- $faults = append $faults "replicaCount is called replicas here" -}}
{{- end -}}
{{- if eq (int .metrics.port) 8080 -}}
{{- $faults = append $faults "metrics.port must differ from 8080, the port for callers" -}}
{{- end -}}
{{- range $name := list "serviceMonitor" "prometheusRule" -}}
{{- if and (get (get $.root.Values.metrics $name) "enabled") (not $.root.Values.metrics.port) -}}
{{- $faults = append $faults (printf "metrics.%s is of no use with metrics.port: 0" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .httpRoute.enabled (not .httpRoute.parentRefs) -}}
{{- $faults = append $faults "httpRoute.parentRefs is missing: the Gateway" -}}
{{- end -}}
{{- if and .autoscaling.enabled (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) -}}
{{- $faults = append $faults "autoscaling.minReplicas must not be above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if not (or .serviceAccount.create .serviceAccount.name) -}}
{{- $faults = append $faults "serviceAccount.name is missing, and serviceAccount.create is false" -}}
{{- end -}}
{{- if and (eq .credentials.source "static") (not .credentials.secretName) -}}
{{- $faults = append $faults "credentials.secretName is missing" -}}
{{- end -}}
{{- with .credentials.externalSecret -}}
{{- if .enabled -}}
{{- if ne $.root.Values.credentials.source "static" -}}
{{- $faults = append $faults "credentials.externalSecret makes a Secret that credentials.source does not use" -}}
{{- end -}}
{{- if not .secretStoreRef.name -}}
{{- $faults = append $faults "credentials.externalSecret.secretStoreRef.name is missing" -}}
{{- end -}}
{{- range $name := list "accessKeyId" "secretAccessKey" -}}
{{- if not (get (get $.root.Values.credentials.externalSecret $name) "key") -}}
{{- $faults = append $faults (printf "credentials.externalSecret.%s.key is missing" $name) -}}
{{- end -}}
{{- end -}}
{{- $token := $.root.Values.credentials.keys.securityToken -}}
{{- if and $token (not .securityToken.key) -}}
{{- $faults = append $faults "credentials.externalSecret.securityToken.key is missing, and credentials.keys.securityToken is set" -}}
{{- end -}}
{{- if and .securityToken.key (not $token) -}}
{{- $faults = append $faults "credentials.keys.securityToken is missing, and credentials.externalSecret.securityToken is set" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}
