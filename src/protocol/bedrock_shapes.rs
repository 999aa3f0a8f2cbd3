//! Bedrock's paths, and the Converse format as data: conversations, content blocks, tools and responses. Converse, the
//! bodies of Nova in InvokeModel, and CountTokens share them.
//!
//! Source: AWS's service model (`bedrock-runtime`, as botocore ships it) and recorded exchanges.

mod content;
mod request;
mod response;
mod stream;

pub(super) use request::converse_request;
pub(super) use response::{aws_error, converse_response, denied_converse, remove_from_converse};
pub(super) use stream::{CONVERSE_STREAM, NOVA_STREAM, exception, read_exception};

use super::{Endpoint, RouteHead};
use crate::event::{Known, Usage};
use crate::wire::frame::Framing;
use crate::wire::http::MediaType;
use crate::wire::letter_case;

/// Content of a path of the runtime: `/model/MODEL/VERB`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelCall {
    /// Model id, inference profile or ARN.
    pub(super) model: String,
    /// Verb in lower case: `converse-stream`.
    pub(super) verb: String,
}

/// Reads `…/model/MODEL/VERB`. An ARN contains slashes, which arrive percent-encoded and are decoded to segments:
/// everything between `model` and the verb is the model.
pub(super) fn model_call(head: &RouteHead<'_>) -> Option<ModelCall> {
    if head.method != "POST" {
        return None;
    }
    let (verb, before) = head.path.segments.split_last()?;
    let start = before
        .iter()
        .position(|segment| segment.eq_ignore_ascii_case("model"))?;
    let model = before.get(start.saturating_add(1)..)?.join("/");
    (!model.is_empty()).then(|| ModelCall {
        model,
        verb: letter_case::ascii_lower(verb),
    })
}

impl ModelCall {
    /// Returns an endpoint with this path's model.
    pub(super) fn endpoint(&self, name: &'static str, stream: bool) -> Endpoint {
        Endpoint {
            behind: behind(&self.model),
            model: Known::Is(self.model.as_str().into()),
            stream: Some(stream),
            ..Endpoint::named(name)
        }
    }
}

/// Returns the model behind an ARN. The ARNs of foundation models and of the system's inference profiles contain it;
/// those of an account's profiles, deployments, routers and prompts do not.
fn behind(model: &str) -> Known<Box<str>> {
    let Some(("arn", rest)) = model
        .split_once(':')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("arn"))
        .map(|(_, rest)| ("arn", rest))
    else {
        return Known::Missing;
    };
    // partition : service : region : account : kind / id
    let resource = rest.splitn(5, ':').nth(4).unwrap_or_default();
    match resource.split_once('/') {
        Some(("foundation-model" | "inference-profile", id)) if !id.is_empty() => {
            Known::Is(id.into())
        }
        _ => Known::Unknown,
    }
}

/// Returns the framing of a stream, in which AWS's clients parse any answer to these calls.
pub(super) fn framing(media: MediaType) -> Option<Framing> {
    let is_stream = matches!(
        media,
        MediaType::AmazonEventStream | MediaType::EventStream | MediaType::JsonLines
    );
    is_stream.then_some(Framing::Amazon)
}

/// Reads the token counts in headers, which Bedrock sends for every model.
pub(super) fn usage_in_headers(headers: &[(&[u8], &[u8])]) -> Usage {
    let count = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .and_then(|(_, value)| std::str::from_utf8(value).ok()?.trim().parse().ok())
    };
    Usage {
        input_tokens: count("x-amzn-bedrock-input-token-count"),
        output_tokens: count("x-amzn-bedrock-output-token-count"),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http::Path;

    fn call(target: &str) -> Option<ModelCall> {
        model_call(&RouteHead {
            method: "POST",
            host: "",
            path: &Path::parse(target),
            headers: &[],
        })
    }

    #[test]
    fn a_model_survives_every_spelling_of_its_path() {
        for (target, model) in [
            (
                "/model/us.amazon.nova-lite-v1%3A0/converse",
                "us.amazon.nova-lite-v1:0",
            ),
            (
                "/model/us.amazon.nova-lite-v1:0/converse",
                "us.amazon.nova-lite-v1:0",
            ),
            (
                "/gw//Model/us.amazon.nova-lite-v1%253A0/CONVERSE/",
                "us.amazon.nova-lite-v1:0",
            ),
            (
                "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123%3Aapplication-inference-profile%2Fabc/converse",
                "arn:aws:bedrock:us-east-1:123:application-inference-profile/abc",
            ),
        ] {
            let call = call(target).unwrap();
            assert_eq!(
                (call.model.as_str(), call.verb.as_str()),
                (model, "converse")
            );
        }
        assert_eq!(call("/model/converse"), None);
        assert_eq!(call("/models/x/converse"), None);
    }

    #[test]
    fn an_arn_tells_its_model_or_hides_it() {
        let arn = |resource: &str| behind(&format!("arn:aws:bedrock:us-east-1:123:{resource}"));
        assert_eq!(
            arn("foundation-model/anthropic.claude-v2"),
            Known::Is("anthropic.claude-v2".into())
        );
        assert_eq!(
            arn("inference-profile/us.anthropic.claude-v2"),
            Known::Is("us.anthropic.claude-v2".into())
        );
        for hidden in [
            "application-inference-profile/x",
            "provisioned-model/x",
            "imported-model/x",
            "prompt/x:1",
            "default-prompt-router/x",
            "foundation-model/",
            "",
        ] {
            assert_eq!(arn(hidden), Known::Unknown, "{hidden}");
        }
        assert_eq!(behind("anthropic.claude-v2"), Known::Missing);
    }

    #[test]
    fn usage_is_read_from_headers() {
        let usage = usage_in_headers(&[
            (b"x-amzn-bedrock-input-token-count", b"12"),
            (b"x-amzn-bedrock-output-token-count", b"x"),
        ]);
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(12), None));
    }
}
