//! Anthropic's Messages API, `POST …/v1/messages`, and the count of a request's tokens, `POST …/v1/messages/count_tokens`.
//! Also served by others under their base paths (Ollama, OpenRouter, vLLM, gateways, Azure's `/anthropic`) and by Vertex
//! AI, where the path names the model and decides about streaming.
//!
//! Source: Anthropic's published SDK types, beta ones included, and recorded exchanges.

use super::anthropic_shapes::{
    MESSAGE_STREAM, add_request_event, denied_message, remove_from_answer, request, response,
};
use super::coverage::{CONVERSATION, RESPONSE_WITH_RESULTS, TEXT_RESPONSE, shown};
use super::provider_apis::is_of_anthropic;
use super::reader::Reader;
use super::routes::deployment;
use super::stream::{BlockStream, StreamReader};
use super::vertex_paths::{VertexCall, vertex_call};
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Inspected, Protocol,
    RequestContext, ResponseEdit, RouteHead,
};
use crate::wire::json::Value;

/// The format.
pub(super) struct AnthropicMessages;

/// Count of a request's tokens: the same body, whose text reaches the provider as well.
pub(super) struct AnthropicCountTokens;

/// Name of the token count at Vertex AI, in the position of the model; the model is then in the body.
const VERTEX_COUNT: &str = "count-tokens";

/// A call of Claude at Vertex AI.
fn at_vertex(head: &RouteHead<'_>) -> Option<VertexCall> {
    vertex_call(head).filter(|call| {
        call.publisher.as_deref() == Some("anthropic")
            && matches!(call.verb.as_str(), "rawpredict" | "streamrawpredict")
    })
}

static ANTHROPIC_MESSAGES: Format = Format {
    name: "anthropic.messages",
    dialect: Dialect::Anthropic,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown(
            "`POST …/v1/messages`; Vertex AI `…/publishers/anthropic/models/{model}:rawPredict`, `:streamRawPredict`",
        ),
        request: CONVERSATION,
        response: RESPONSE_WITH_RESULTS,
        stream: RESPONSE_WITH_RESULTS,
    }],
};

impl Protocol for AnthropicMessages {
    fn format(&self) -> &'static Format {
        &ANTHROPIC_MESSAGES
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        if head.method != "POST" {
            return None;
        }
        if let Some(call) = at_vertex(head) {
            return (call.model != VERTEX_COUNT).then(|| Endpoint {
                stream: (call.verb == "streamrawpredict").then_some(true),
                ..call.endpoint("messages")
            });
        }
        let by_path = head.path.ends_with(&["v1", "messages"]);
        // Gateways that cut the version off; `/messages` alone is MCP's older transport.
        let by_header = head.path.ends_with(&["messages"])
            && head.header("anthropic-version").is_some()
            && is_of_anthropic(head);
        (by_path || by_header).then(|| Endpoint {
            model: deployment(head.path, "messages").into(),
            ..Endpoint::named("messages")
        })
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        request(reader, root, endpoint);
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        response(reader, root);
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        denied_text(denial, context)
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        remove_from_answer(edit.root, edit.removals, edit.edits)
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(BlockStream::new(MESSAGE_STREAM, context)))
    }
}

/// Returns a whole response that contains only a denial.
pub(super) fn denied_text(denial: &Denial, context: &RequestContext) -> Vec<u8> {
    let model = context
        .models
        .names
        .first()
        .map_or("unknown", |model| model);
    let id = format!("agentguard-{}", denial.request_id);
    denied_message(&denial.message(), &id, model, (0, 0))
}

static ANTHROPIC_COUNT_TOKENS: Format = Format {
    name: "anthropic.count_tokens",
    dialect: Dialect::Anthropic,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown(
            "`POST …/v1/messages/count_tokens`; Vertex AI `…/models/count-tokens:rawPredict`",
        ),
        request: CONVERSATION,
        response: TEXT_RESPONSE,
        stream: Inspected::UNREAD_STREAM,
    }],
};

impl Protocol for AnthropicCountTokens {
    fn format(&self) -> &'static Format {
        &ANTHROPIC_COUNT_TOKENS
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        if head.method != "POST" {
            return None;
        }
        let at_vertex = at_vertex(head).is_some_and(|call| call.model == VERTEX_COUNT);
        (at_vertex || head.path.ends_with(&["messages", "count_tokens"])).then(|| Endpoint {
            model: deployment(head.path, "messages/count_tokens").into(),
            ..Endpoint::named("messages.count_tokens")
        })
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        AnthropicMessages.read_request(reader, root, endpoint);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        AnthropicMessages.read_response(reader, root, context);
    }
}
