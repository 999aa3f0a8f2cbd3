//! Bedrock's InvokeModel: `POST …/model/MODEL/invoke` and `…/invoke-with-response-stream`. The body is the model family's own.
//!
//! Source: AWS's inference parameters by model family and recorded exchanges.

mod plain;
mod plain_stream;
mod stream;

use super::anthropic_messages::refused as refused_message;
use super::anthropic_shapes::{request, response, tell_request, withhold_in_answer};
use super::bedrock_shapes::{
    converse_request, converse_response, model_call, refused_converse, usage_in_headers,
    withhold_in_converse,
};
use super::coverage::{ANSWER_WITH_RESULTS, CONVERSATION, shown};
use super::openai_chat::OpenAiChat;
use super::reader::Reader;
use super::stream::StreamReader;
use super::{Asked, CannotWithhold, Denial, Dialect, Endpoint, Head, Protocol, Row, Withholding};
use crate::event::{Known, Usage};
use crate::wire::json::{Edits, JsonBody, Value};
use crate::wire::letter_case;

/// The format.
pub(super) struct BedrockInvoke;

/// Whose body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Anthropic's Messages, without model and stream.
    Claude,
    /// As in Converse.
    Nova,
    /// OpenAI's Chat Completions: DeepSeek, Qwen, gpt-oss, newer Mistral, Jamba, imported models.
    Chat,
    /// One prompt or a list of texts, and their answers: Titan, Llama, Cohere, older Mistral, Claude and AI21, embeddings.
    Plain,
}

/// Whose body a request has. The server goes by the model; where an ARN hides it, the body has to tell.
fn family_of_request(model: &str, root: Value<'_>) -> Family {
    if root.get("messages").is_none() {
        return Family::Plain;
    }
    if model.contains("anthropic.") || root.get("anthropic_version").is_some() {
        return Family::Claude;
    }
    let is_nova = ["schemaVersion", "inferenceConfig", "toolConfig"]
        .iter()
        .any(|name| root.get(name).is_some());
    if model.contains("amazon.nova") || (model.contains("arn:") && is_nova) {
        return Family::Nova;
    }
    Family::Chat
}

/// Whose body an answer has.
fn family_of_answer(root: Value<'_>) -> Family {
    let first_choice = root.get("choices").and_then(|choices| choices.element(0));
    let is_message = root
        .get("type")
        .is_some_and(|kind| kind.is_text("message") || kind.is_text("error"));
    if is_message {
        Family::Claude
    } else if root.get("output").is_some() {
        Family::Nova
    } else if first_choice.is_some_and(|choice| choice.get("message").is_some()) {
        Family::Chat
    } else {
        Family::Plain
    }
}

fn model_of(endpoint: &Endpoint) -> String {
    let model = match &endpoint.behind {
        Known::Is(model) => Some(model),
        _ => endpoint.model.value(),
    };
    model.map_or_else(String::new, |model| letter_case::ascii_lower(model))
}

/// Reads a body of InvokeModel, also where it stands inside another one.
pub(super) fn invoke_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    match family_of_request(&model_of(endpoint), root) {
        Family::Claude => request(reader, root, endpoint),
        Family::Nova => converse_request(reader, root, endpoint),
        Family::Chat | Family::Plain => plain::request(reader, root),
    }
}

const ROWS: &[Row] = &[Row {
    route: shown(
        "`POST /model/{model}/invoke`, `…/invoke-with-response-stream`: bodies of Claude, Nova, Llama, Mistral, Titan, Cohere, AI21, OpenAI",
    ),
    request: CONVERSATION,
    answer: ANSWER_WITH_RESULTS,
    stream: ANSWER_WITH_RESULTS,
}];

impl Protocol for BedrockInvoke {
    fn name(&self) -> &'static str {
        "bedrock.invoke"
    }

    fn endpoint(&self, head: &Head<'_>) -> Option<Endpoint> {
        let call = model_call(head)?;
        match call.verb.as_str() {
            "invoke" => Some(call.endpoint("invoke", false)),
            "invoke-with-response-stream" => Some(call.endpoint("invoke_stream", true)),
            _ => None,
        }
    }

    fn coverage(&self) -> &'static [Row] {
        ROWS
    }

    fn dialect(&self) -> Dialect {
        Dialect::Aws
    }

    fn read_request(&self, reader: &mut Reader<'_>, endpoint: &Endpoint) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
        if family_of_request(&model_of(endpoint), root) == Family::Chat {
            OpenAiChat.read_request(reader, endpoint);
            return;
        }
        invoke_request(reader, root, endpoint);
        tell_request(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, asked: &Asked) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
        match family_of_answer(root) {
            Family::Claude => response(reader, root),
            Family::Nova => converse_response(reader, root),
            Family::Chat => OpenAiChat.read_response(reader, asked),
            Family::Plain => plain::response(reader, root),
        }
    }

    fn usage_in_headers(&self, headers: &[(&[u8], &[u8])]) -> Usage {
        usage_in_headers(headers)
    }

    fn refused_answer(&self, denial: &Denial, asked: &Asked) -> Vec<u8> {
        let model = model_of(&asked.endpoint);
        if model.contains("anthropic.") {
            refused_message(denial, asked)
        } else if model.contains("amazon.nova") {
            refused_converse(&denial.message(), (0, 0))
        } else {
            plain::refused_for(&model, &denial.message())
                .unwrap_or_else(|| OpenAiChat.refused_answer(denial, asked))
        }
    }

    fn withhold(
        &self,
        json: &JsonBody<'_>,
        asked: &Asked,
        withholding: &Withholding,
        edits: &mut Edits,
    ) -> Result<(), CannotWithhold> {
        let body = json.body().ok_or(CannotWithhold)?;
        let root = body.root();
        match family_of_answer(root) {
            Family::Claude => withhold_in_answer(root, withholding, edits),
            Family::Nova => withhold_in_converse(root, withholding, edits),
            Family::Chat => OpenAiChat.withhold(json, asked, withholding, edits),
            Family::Plain => plain::withhold(root, withholding, edits),
        }
    }

    fn stream(&self, asked: &Asked) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(stream::InvokeStream::new(asked)))
    }
}
