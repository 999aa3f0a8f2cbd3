//! Legacy completions and other endpoints that continue a prompt: `POST …/completions`, Mistral's `fim` and `agents`, stored
//! prompts of gateways, and the servers that speak a format of their own (TGI, llama.cpp, SGLang).
//!
//! Source: OpenAI's API reference; Mistral's and Portkey's; TGI's and llama.cpp's documentation.

mod native;

use super::coverage::shown;
use super::openai_chat::{self, ConversationRequired, ResponseShape, chat_stream};
use super::reader::Reader;
use super::routes::{self, RouteSpec, json};
use super::stream::{StreamReader, TextStream};
use super::{
    CONVERSATION, CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, MODEL_RESPONSE,
    Protocol, RequestContext, ResponseEdit, RouteHead, TEXTS,
};
use crate::event::Known;
use crate::wire::json::Value;
use native::NATIVE_STREAM;

/// The format.
pub(super) struct OpenAiCompletions;

const ROUTES: &[RouteSpec] = &[
    json("fim/completions", "fim.completions"),
    json("agents/completions", "agents.completions"),
    json("prompts/*/completions", "prompts.completions"),
    json("completions", "completions"),
    json("generate", native::NAME),
    json("generate_stream", native::STREAM),
    json("completion", native::NAME),
    json("infill", native::NAME),
];

/// Returns whether an endpoint speaks a server's own format.
fn is_native(endpoint: &Endpoint) -> bool {
    matches!(endpoint.name, native::NAME | native::STREAM)
}

static FORMAT: Format = Format {
    name: "openai.completions",
    dialect: Dialect::OpenAi,
    routes: ROUTES,
    coverage: &[
        CoverageRow {
            route: shown(
                "`POST …/completions`, `…/fim/completions`, `…/agents/completions`, `…/prompts/ID/completions`",
            ),
            request: CONVERSATION,
            response: MODEL_RESPONSE,
            stream: MODEL_RESPONSE,
        },
        CoverageRow {
            route: shown(
                "`POST …/generate`, `…/generate_stream`, `…/completion`, `…/infill`; `/`, `…/invocations`, `…/models/OWNER/NAME` with `inputs` or `prompt`",
            ),
            request: TEXTS,
            response: MODEL_RESPONSE,
            stream: MODEL_RESPONSE,
        },
    ],
};

impl Protocol for OpenAiCompletions {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let endpoint = routes::endpoint(head, ROUTES)?;
        Some(Endpoint {
            stream: (endpoint.name == native::STREAM).then_some(true),
            ..endpoint
        })
    }

    /// TGI also answers at its root; Hugging Face at `/models/OWNER/NAME`; model servers of clouds at `…/invocations`.
    fn asks_for_body(&self, head: &RouteHead<'_>) -> bool {
        head.method == "POST"
            && (head.path.segments.is_empty()
                || routes::ends_with(head.path, "models/*/*")
                || routes::ends_with(head.path, "invocations"))
    }

    fn endpoint_by_body(&self, head: &RouteHead<'_>, body: Value<'_>) -> Option<Endpoint> {
        if !self.asks_for_body(head) {
            return None;
        }
        let name = if body.get("inputs").is_some() {
            native::NAME
        } else if body.get("prompt").is_some() {
            "completions"
        } else {
            return None;
        };
        let model = if routes::ends_with(head.path, "models/*/*") {
            let mut last = head.path.segments.iter().rev();
            let name = last.next().map_or("", String::as_str);
            let owner = last.next().map_or("", String::as_str);
            Known::Is(format!("{owner}/{name}").into())
        } else {
            routes::served_model(head.path)
        };
        Some(Endpoint {
            model,
            ..Endpoint::named(name)
        })
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        if is_native(endpoint) {
            native::read_request(reader, root, endpoint);
        } else {
            openai_chat::read_request(reader, root, endpoint, ConversationRequired::Optional);
            // What is stored under the id in the path, the request does not show.
            if endpoint.name == "prompts.completions" {
                reader.uninspectable(root, "provider_state");
            }
        }
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        if is_native(&context.endpoint) {
            native::read_response(reader, root);
        } else {
            openai_chat::read_response(reader, root);
        }
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        let answer = match context.endpoint.name {
            "completions" => ResponseShape::Text,
            native::NAME | native::STREAM => return native::denied_response(denial),
            _ => ResponseShape::Chat,
        };
        openai_chat::denied_response(denial, context, answer)
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        if is_native(&edit.context.endpoint) {
            native::remove_from_response(edit.root, edit.removals, edit.edits)
        } else {
            openai_chat::remove_from_response(edit.root, edit.context, edit.removals, edit.edits)
        }
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        let answer = match context.endpoint.name {
            "completions" => ResponseShape::Text,
            native::NAME | native::STREAM => {
                return Some(Box::new(TextStream::new(NATIVE_STREAM, context)));
            }
            _ => ResponseShape::Chat,
        };
        Some(Box::new(chat_stream(context, answer)))
    }
}
