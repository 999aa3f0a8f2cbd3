//! Providers by host. Self-hosted servers and gateways are `other` unless the policy names them.

use crate::wire::letter_case;

/// Hosts, or suffixes of hosts that begin with a dot, with the name of the provider.
const HOSTS: &[(&str, &str)] = &[
    ("api.openai.com", "openai"),
    (".openai.azure.com", "azure"),
    (".services.ai.azure.com", "azure"),
    (".cognitiveservices.azure.com", "azure"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("cloudcode-pa.googleapis.com", "gemini"),
    ("aiplatform.googleapis.com", "vertex"),
    ("-aiplatform.googleapis.com", "vertex"),
    (".api.aws", "bedrock-mantle"),
    ("openrouter.ai", "openrouter"),
    ("api.mistral.ai", "mistral"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("ollama.com", "ollama"),
    ("api.together.ai", "together"),
    ("api.together.xyz", "together"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("api.perplexity.ai", "perplexity"),
    ("api.x.ai", "xai"),
    ("api.z.ai", "zai"),
    ("api.cerebras.ai", "cerebras"),
    ("api.writer.com", "writer"),
    ("router.huggingface.co", "huggingface"),
    ("api.inference.crusoecloud.com", "crusoe"),
    (".snowflakecomputing.com", "snowflake"),
    (".ml.cloud.ibm.com", "watsonx"),
    ("api.cloudflare.com", "cloudflare"),
    ("gateway.ai.cloudflare.com", "cloudflare"),
    ("api.dify.ai", "dify"),
    ("dashscope.aliyuncs.com", "dashscope"),
    ("dashscope-intl.aliyuncs.com", "dashscope"),
    ("api.portkey.ai", "portkey"),
];

/// Returns the providers that are known by their hosts, each once.
pub fn known_providers() -> impl Iterator<Item = &'static str> {
    let named = ["bedrock", "gpustack"].into_iter();
    let of_hosts = HOSTS.iter().enumerate().filter(|(at, (_, name))| {
        let before = HOSTS.get(..*at).unwrap_or_default();
        before.iter().all(|(_, known)| known != name)
    });
    of_hosts.map(|(_, (_, name))| *name).chain(named)
}

/// Returns the provider of an `:authority`; `other` if none is known.
pub fn provider_of(authority: &str) -> &'static str {
    let authority = letter_case::ascii_lower(authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
        _ => (authority.as_str(), ""),
    };
    let host = host.trim_end_matches('.');
    let is_bedrock = host.starts_with("bedrock-runtime") || host.starts_with("bedrock-agent");
    if is_bedrock && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")) {
        return "bedrock";
    }
    let known = HOSTS.iter().find(|(pattern, _)| {
        if pattern.starts_with(['.', '-']) {
            host.ends_with(pattern)
        } else {
            host == *pattern
        }
    });
    match known {
        Some((_, provider)) => provider,
        // Self-hosted: by name, or by the port that Ollama registered.
        None if port == "11434" || host.split(['.', '-']).any(|part| part == "ollama") => "ollama",
        None if host.split(['.', '-']).any(|part| part == "gpustack") => "gpustack",
        None => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_names_its_provider_whatever_its_case_port_or_final_dot() {
        assert_eq!(provider_of("API.OpenAI.com"), "openai");
        assert_eq!(provider_of("api.openai.com:443"), "openai");
        assert_eq!(provider_of("api.openai.com."), "openai");
        assert_eq!(
            provider_of("us-central1-aiplatform.googleapis.com"),
            "vertex"
        );
        assert_eq!(provider_of("x.openai.azure.com"), "azure");
        assert_eq!(
            provider_of("bedrock-runtime-fips.us-east-1.amazonaws.com"),
            "bedrock"
        );
        assert_eq!(provider_of("127.0.0.1:11434"), "ollama");
    }

    #[test]
    fn a_look_alike_is_not_the_provider() {
        assert_eq!(provider_of("api.openai.com.evil.example"), "other");
        assert_eq!(provider_of("notapi.openai.com"), "other");
        assert_eq!(provider_of("evilopenai.azure.com"), "other");
    }
}
