{{/* The proxies in the words of WasmPlugin, TrafficExtension and Telemetry. */}}
{{- define "agentguard.attached" -}}
{{- if and .Values.proxies.gateway .Values.proxies.selector }}
{{- fail "proxies: a gateway or a selector, not both" }}
{{- else if and .Values.proxies.gateway (eq .Values.proxies.context "outbound") }}
{{- fail "proxies: the context outbound is for sidecars, which a selector names" }}
{{- else if .Values.proxies.gateway -}}
targetRefs:
- group: gateway.networking.k8s.io
  kind: Gateway
  name: {{ .Values.proxies.gateway | quote }}
{{- else if .Values.proxies.selector -}}
selector:
  matchLabels:
    {{- toYaml .Values.proxies.selector | nindent 4 }}
{{- else }}
{{- fail "proxies: a gateway or a selector is required; a filter for every proxy of the namespace would deny what is not AI traffic" }}
{{- end }}
{{- end }}

{{/* The same for EnvoyFilter. */}}
{{- define "agentguard.patched" -}}
{{- if .Values.proxies.gateway -}}
{{ include "agentguard.attached" . }}
{{- else -}}
workloadSelector:
  labels:
    {{- toYaml .Values.proxies.selector | nindent 4 }}
{{- end }}
{{- end }}

{{/* The traffic for EnvoyFilter. */}}
{{- define "agentguard.context" -}}
{{- get (dict "gateway" "GATEWAY" "inbound" "SIDECAR_INBOUND" "outbound" "SIDECAR_OUTBOUND") .Values.proxies.context -}}
{{- end }}

{{- define "agentguard.metadata" -}}
namespace: {{ .Release.Namespace | quote }}
labels:
  app.kubernetes.io/name: {{ .Chart.Name }}
  app.kubernetes.io/instance: {{ .Release.Name | quote }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Where the proxies get the module: {url, sha256}. */}}
{{- define "agentguard.module" -}}
{{- if not .Values.image }}
{{- fail "image is required: `agentguard build POLICY --for helm --image …` writes it with the policy" }}
{{- end }}
{{- $parts := splitList "@sha256:" .Values.image }}
{{- $url := first $parts }}
{{- if contains "://" $url -}}
url: {{ $url | quote }}
{{- else -}}
url: {{ printf "oci://%s" $url | quote }}
{{- end }}
{{- if eq (len $parts) 2 }}
sha256: {{ last $parts | quote }}
{{- else if .Values.sha256 }}
sha256: {{ .Values.sha256 | quote }}
{{- end }}
{{- end }}
