//! Cloudflare's Workers AI: `POST …/ai/run/@cf/OWNER/MODEL`, and `…/workers-ai/@cf/OWNER/MODEL` behind its AI Gateway. A request is
//! that of OpenAI's chat, or of Responses with `input`; a response is in `result`, and a stream has the members of one.
//!
//! ```text
//! {"messages":[{"role":"user","content":"Will it rain?"}],"stream":true}
//! {"result":{"response":"Yes.","tool_calls":[{"name":"weather","arguments":{"city":"Bern"}}],"usage":{…}},"success":true,"errors":[],"messages":[]}
//! {"response":"Yes","p":"abcd"}
//! ```
//!
//! Source: Cloudflare's documentation, its schemas of models, and its published provider for Vercel's AI SDK.

use super::coverage::{CONVERSATION, MODEL_RESPONSE, shown};
use super::json_edit::{ObjectWriter, remove_elements};
use super::openai_chat::{self, ChunkForm, ConversationRequired, ResponseShape, chat_stream_of};
use super::openai_responses;
use super::openai_shapes::{
    ANSWER, called_function, denial_text, error, generated_media, tool_call,
};
use super::reader::{Origin, Reader, Row, Type};
use super::stream::StreamReader;
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Protocol, RequestContext,
    ResponseEdit, ResponseForm, RouteHead,
};
use crate::event::{Known, Part, Turn};
use crate::wire::json::{self, Value, quote};
use crate::wire::sort;

/// The format.
pub(super) struct WorkersAi;

const NAME: &str = "run";
/// The same with the body of Responses.
const RESPONSES: &str = "run.responses";

const ENVELOPE: &[Row] = &[
    ("result", Type::Custom),
    ("success", Type::Flag),
    ("errors", Type::List(&Type::Read(error))),
    ("messages", Type::Tree(Part::Other)),
];
/// Members of a result beside those of OpenAI's chat.
const RESULT: &[Row] = &[
    ("response", Type::Read(said)),
    ("tool_calls", Type::List(&Type::Read(call))),
    // Of models that transcribe, translate, summarise, describe, embed or draw.
    ("text", Type::Text(Part::Text)),
    ("translated_text", Type::Text(Part::Text)),
    ("summary", Type::Text(Part::Text)),
    ("description", Type::Text(Part::Text)),
    ("shape", Type::Numbers),
    ("data", Type::Numbers),
    ("image", Type::Read(generated_media)),
];

static FORMAT: Format = Format {
    name: "cloudflare.run",
    dialect: Dialect::Cloudflare,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown(
            "`POST …/ai/run/@cf/OWNER/MODEL`, `…/workers-ai/@cf/OWNER/MODEL` (streamed with `input`: AG2014)",
        ),
        request: CONVERSATION,
        response: MODEL_RESPONSE,
        stream: MODEL_RESPONSE,
    }],
};

impl Protocol for WorkersAi {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let mut rest = head.path.segments.iter();
        let is_holder = |segment: &String| {
            let known = ["run", "workers-ai"];
            known.iter().any(|word| segment.eq_ignore_ascii_case(word))
        };
        rest.by_ref().find(|segment| is_holder(segment))?;
        let model: Vec<&str> = rest
            .skip_while(|segment| is_holder(segment))
            .map(String::as_str)
            .collect();
        let is_model = model.first().is_some_and(|first| first.starts_with('@'));
        (head.method == "POST" && is_model).then(|| Endpoint {
            model: Known::Is(model.join("/").into()),
            response: ResponseForm::Media,
            ..Endpoint::named(NAME)
        })
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        let is_chat = root.get("messages").or(root.get("prompt")).is_some();
        if root.get("input").is_some() && !is_chat {
            reader.reading.endpoint = Some(RESPONSES);
            openai_responses::read_request(reader, root, endpoint);
        } else {
            openai_chat::read_request(reader, root, endpoint, ConversationRequired::Optional);
        }
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        let beside = Origin::answer(0).with_part(Part::Other);
        reader.rows(
            root,
            ENVELOPE,
            &beside,
            &mut |reader, _, value| match value.kind() {
                json::ValueKind::Object if context.endpoint.name == RESPONSES => {
                    openai_responses::read_response(reader, value);
                }
                json::ValueKind::Object => {
                    let tables = [RESULT, openai_chat::RESPONSE, ANSWER];
                    reader.row_lists(value, &tables, &beside, &mut |_, _, _| {});
                }
                json::ValueKind::Null => reader.claim(value),
                _ => {}
            },
        );
    }

    fn denied_response(&self, denial: &Denial, _: &RequestContext) -> Vec<u8> {
        let mut out = Vec::new();
        let mut root = ObjectWriter::begin(&mut out);
        root.member("result", |out| {
            let mut result = ObjectWriter::begin(out);
            result.text("response", &denial.message());
            result.end();
        });
        root.member("success", |out| out.extend_from_slice(b"true"));
        root.member("errors", |out| out.extend_from_slice(b"[]"));
        root.member("messages", |out| out.extend_from_slice(b"[]"));
        root.end();
        out
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        let Some(result) = edit.root.get("result") else {
            return edit.removals.only_edits();
        };
        if edit.context.endpoint.name == RESPONSES {
            return openai_responses::remove_from_response(
                result,
                edit.context,
                edit.removals,
                edit.edits,
            );
        }
        if result.get("choices").is_some() {
            return openai_chat::remove_from_response(
                result,
                edit.context,
                edit.removals,
                edit.edits,
            );
        }
        if !edit.removals.choices.is_empty() {
            return Err(CannotRemove);
        }
        if edit.removals.calls.is_empty() {
            return Ok(());
        }
        let calls = result.get("tool_calls").ok_or(CannotRemove)?;
        let said = result.get("response").ok_or(CannotRemove)?;
        let denied = sort::set(edit.removals.calls.iter().map(|call| call.at));
        remove_elements(calls, &|place| denied.contains(&place), edit.edits);
        let explanation = denial_text(&mut edit.removals.calls.iter().map(|call| &*call.text));
        match said.text().map_or(0, |said| said.len()) {
            0 => {
                let mut with = Vec::new();
                quote(&explanation, &mut with);
                edit.edits.replace(said, with);
            }
            end => {
                let more = format!("\n\n{explanation}");
                edit.edits.replace_text(said, [(end..end, more.as_str())]);
            }
        }
        Ok(())
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        let stream = || chat_stream_of(context, ResponseShape::Chat, ChunkForm::WorkersAi);
        (context.endpoint.name == NAME).then(|| Box::new(stream()) as Box<dyn StreamReader>)
    }
}

/// Reads a text, or what was asked for by a schema.
fn said(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.value(value, Type::Tree(Part::Text), &Origin::answer(0));
}

/// Reads a call as OpenAI's, or one without a `function` around its name.
fn call(reader: &mut Reader<'_>, value: Value<'_>) {
    if value.get("function").is_some() {
        tool_call(reader, value, Turn::Latest, 0);
    } else {
        called_function(reader, value, value, Turn::Latest, 0);
    }
}
