//! Bedrock's InvokeModel: `POST …/model/MODEL/invoke` and `…/invoke-with-response-stream`. The body is the model family's own.
//!
//! Source: AWS's inference parameters by model family and recorded exchanges.

mod plain;
mod plain_stream;
mod stream;

use super::anthropic_messages::denied_text as denied_message;
use super::anthropic_shapes::{add_request_event, remove_from_answer, request, response};
use super::bedrock_shapes::{
    converse_request, converse_response, denied_converse, framing, model_call,
    remove_from_converse, usage_in_headers,
};
use super::coverage::{CONVERSATION, RESPONSE_WITH_RESULTS, shown};
use super::openai_chat::OpenAiChat;
use super::reader::Reader;
use super::stream::StreamReader;
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Protocol, RequestContext,
    ResponseEdit, RouteHead,
};
use crate::diag::codes;
use crate::event::{Known, Usage};
use crate::wire::frame::Framing;
use crate::wire::http::MediaType;
use crate::wire::json::{Value, ValueKind};
use crate::wire::letter_case;

/// The format.
pub(super) struct BedrockInvoke;

/// Model family of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ModelFamily {
    /// Anthropic's Messages, without model and stream.
    Claude,
    /// As in Converse.
    Nova,
    /// OpenAI's Chat Completions: DeepSeek, Qwen, gpt-oss, newer Mistral, Jamba, imported models.
    Chat,
    /// One prompt or a list of texts, and their responses: Titan, Llama, Cohere, older Mistral, Claude and AI21, embeddings.
    Plain,
}

/// Returns the family of a request's body. The server selects it by the model; where an ARN hides the model, the body
/// decides.
fn family_of_request(model: &str, root: Value<'_>) -> ModelFamily {
    if root.get("messages").is_none() {
        return ModelFamily::Plain;
    }
    if model.contains("anthropic.") || root.get("anthropic_version").is_some() {
        return ModelFamily::Claude;
    }
    let is_nova = ["schemaVersion", "inferenceConfig", "toolConfig"]
        .iter()
        .any(|name| root.get(name).is_some());
    if model.contains("amazon.nova") || (model.contains("arn:") && is_nova) {
        return ModelFamily::Nova;
    }
    ModelFamily::Chat
}

/// What in a response or an event belongs to one family alone.
#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    claude: bool,
    nova: bool,
    chat: bool,
    /// Calls beside a text, as Cohere has them.
    calls: bool,
}

impl Signs {
    /// Returns the family; `None` if there are signs of several: each client reads only what it knows.
    fn family(self) -> Option<ModelFamily> {
        match (self.claude, self.nova, self.chat, self.calls) {
            (true, false, false, false) => Some(ModelFamily::Claude),
            (false, true, false, false) => Some(ModelFamily::Nova),
            (false, false, true, false) => Some(ModelFamily::Chat),
            (false, false, false, _) => Some(ModelFamily::Plain),
            _ => None,
        }
    }
}

/// Reports that a value has signs of several families.
fn report_mixture(reader: &mut Reader<'_>, root: Value<'_>) -> ModelFamily {
    reader.problem(
        codes::AG2002,
        root,
        "a response in the forms of several models",
    );
    ModelFamily::Plain
}

fn any_choice(root: Value<'_>, has: impl Fn(Value<'_>) -> bool) -> bool {
    let choices = root.get("choices");
    choices.is_some_and(|choices| choices.elements().any(has))
}

/// Returns the family of a response's body. Clients of Claude's look at the content alone.
fn family_of_answer(root: Value<'_>) -> Option<ModelFamily> {
    let is_claude = |kind: Value<'_>| kind.is_text("message") || kind.is_text("error");
    let content = root.get("content");
    let signs = Signs {
        claude: root.get("type").is_some_and(is_claude)
            || content.is_some_and(|content| content.kind() == ValueKind::Array),
        nova: root.get("output").is_some(),
        chat: any_choice(root, |choice| choice.get("message").is_some()),
        calls: root.get("tool_calls").is_some(),
    };
    signs.family()
}

fn model_of(endpoint: &Endpoint) -> String {
    let model = match &endpoint.behind {
        Known::Is(model) => Some(model),
        _ => endpoint.model.value(),
    };
    model.map_or_else(String::new, |model| letter_case::ascii_lower(model))
}

/// Reads a body of InvokeModel, also inside another one.
pub(super) fn invoke_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    match family_of_request(&model_of(endpoint), root) {
        ModelFamily::Claude => request(reader, root, endpoint),
        ModelFamily::Nova => converse_request(reader, root, endpoint),
        ModelFamily::Chat | ModelFamily::Plain => plain::request(reader, root),
    }
}

static FORMAT: Format = Format {
    name: "bedrock.invoke",
    dialect: Dialect::Aws,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown(
            "`POST /model/{model}/invoke`, `…/invoke-with-response-stream`: bodies of Claude, Nova, Llama, Mistral, Titan, Cohere, AI21, OpenAI",
        ),
        request: CONVERSATION,
        response: RESPONSE_WITH_RESULTS,
        stream: RESPONSE_WITH_RESULTS,
    }],
};

impl Protocol for BedrockInvoke {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let call = model_call(head)?;
        match call.verb.as_str() {
            "invoke" => Some(call.endpoint("invoke", false)),
            "invoke-with-response-stream" => Some(call.endpoint("invoke_stream", true)),
            _ => None,
        }
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        if family_of_request(&model_of(endpoint), root) == ModelFamily::Chat {
            OpenAiChat.read_request(reader, root, endpoint);
            return;
        }
        invoke_request(reader, root, endpoint);
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        match family_of_answer(root).unwrap_or_else(|| report_mixture(reader, root)) {
            ModelFamily::Claude => response(reader, root),
            ModelFamily::Nova => converse_response(reader, root),
            ModelFamily::Chat => OpenAiChat.read_response(reader, root, context),
            ModelFamily::Plain => plain::response(reader, root),
        }
    }

    fn usage_in_headers(&self, headers: &[(&[u8], &[u8])]) -> Usage {
        usage_in_headers(headers)
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        let model = model_of(&context.endpoint);
        if model.contains("anthropic.") {
            denied_message(denial, context)
        } else if model.contains("amazon.nova") {
            denied_converse(&denial.message(), (0, 0))
        } else {
            plain::denied_for(&model, &denial.message())
                .unwrap_or_else(|| OpenAiChat.denied_response(denial, context))
        }
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        let Some(family) = family_of_answer(edit.root) else {
            return edit.removals.only_edits();
        };
        match family {
            ModelFamily::Claude => remove_from_answer(edit.root, edit.removals, edit.edits),
            ModelFamily::Nova => remove_from_converse(edit.root, edit.removals, edit.edits),
            ModelFamily::Chat => OpenAiChat.remove_from_response(edit),
            ModelFamily::Plain => plain::remove_from_response(edit.root, edit.removals, edit.edits),
        }
    }

    fn framing(&self, _: &RequestContext, media: MediaType) -> Option<Framing> {
        framing(media)
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(stream::InvokeStream::new(context)))
    }
}
