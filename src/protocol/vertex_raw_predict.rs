//! Models of other makers at Vertex AI: `…/publishers/PUBLISHER/models/MODEL:rawPredict`, and models that someone deployed
//! behind an endpoint. Mistral, AI21 and servers such as vLLM take OpenAI's chat bodies there. Claude is in
//! `anthropic_messages`.

use super::anthropic_shapes::tell_request;
use super::coverage::{CONVERSATION, MODEL_ANSWER, shown};
use super::openai_chat::{Answer, ChatStream, OpenAiChat};
use super::reader::Reader;
use super::stream::StreamReader;
use super::vertex_paths::vertex_call;
use super::{Asked, CannotWithhold, Denial, Dialect, Endpoint, Head, Protocol, Row, Withholding};
use crate::wire::json::{Edits, JsonBody};

/// The format.
pub(super) struct VertexRawPredict;

const ROWS: &[Row] = &[Row {
    route: shown(
        "Vertex AI `POST …:rawPredict`, `…:streamRawPredict` of other makers than Anthropic",
    ),
    request: CONVERSATION,
    answer: MODEL_ANSWER,
    stream: MODEL_ANSWER,
}];

impl Protocol for VertexRawPredict {
    fn name(&self) -> &'static str {
        "openai.chat"
    }

    fn endpoint(&self, head: &Head<'_>) -> Option<Endpoint> {
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

    fn coverage(&self) -> &'static [Row] {
        ROWS
    }

    fn dialect(&self) -> Dialect {
        Dialect::Google
    }

    /// A body that is no chat is read all the same: nothing of it is claimed, and all is judged as text.
    fn read_request(&self, reader: &mut Reader<'_>, endpoint: &Endpoint) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
        if root.get("messages").is_some() {
            OpenAiChat.read_request(reader, endpoint);
        } else {
            tell_request(reader, root);
        }
    }

    fn read_response(&self, reader: &mut Reader<'_>, asked: &Asked) {
        OpenAiChat.read_response(reader, asked);
    }

    fn refused_answer(&self, denial: &Denial, asked: &Asked) -> Vec<u8> {
        OpenAiChat.refused_answer(denial, asked)
    }

    fn withhold(
        &self,
        json: &JsonBody<'_>,
        asked: &Asked,
        withholding: &Withholding,
        edits: &mut Edits,
    ) -> Result<(), CannotWithhold> {
        OpenAiChat.withhold(json, asked, withholding, edits)
    }

    fn stream(&self, asked: &Asked) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(ChatStream::new(asked, Answer::Chat)))
    }
}
