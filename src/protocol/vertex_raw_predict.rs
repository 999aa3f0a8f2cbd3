//! Models of other makers at Vertex AI: `…/publishers/PUBLISHER/models/MODEL:rawPredict`, and models that someone deployed
//! behind an endpoint. Mistral, AI21 and servers such as vLLM take OpenAI's chat bodies there. Claude is in
//! `anthropic_messages`.

use super::anthropic_shapes::add_request_event;
use super::coverage::{CONVERSATION, MODEL_RESPONSE, shown};
use super::openai_chat::{OpenAiChat, ResponseShape, chat_stream};
use super::reader::Reader;
use super::stream::StreamReader;
use super::vertex_paths::vertex_call;
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Protocol, RequestContext,
    ResponseEdit, RouteHead,
};
use crate::wire::json::Value;

/// The format.
pub(super) struct VertexRawPredict;

static FORMAT: Format = Format {
    name: "openai.chat",
    dialect: Dialect::Google,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown(
            "Vertex AI `POST …:rawPredict`, `…:streamRawPredict` of other makers than Anthropic",
        ),
        request: CONVERSATION,
        response: MODEL_RESPONSE,
        stream: MODEL_RESPONSE,
    }],
};

impl Protocol for VertexRawPredict {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let call = vertex_call(head).filter(|_| head.method == "POST")?;
        match call.verb.as_str() {
            "rawpredict" => Some(call.endpoint("raw_predict")),
            "streamrawpredict" => Some(Endpoint {
                stream: Some(true),
                ..call.endpoint("stream_raw_predict")
            }),
            _ => None,
        }
    }

    /// A body that is no chat is read all the same: nothing of it is claimed, and all is evaluated as text.
    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        if root.get("messages").is_some() {
            OpenAiChat.read_request(reader, root, endpoint);
        } else {
            add_request_event(reader, root);
        }
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        OpenAiChat.read_response(reader, root, context);
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        OpenAiChat.denied_response(denial, context)
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        OpenAiChat.remove_from_response(edit)
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(chat_stream(context, ResponseShape::Chat)))
    }
}
