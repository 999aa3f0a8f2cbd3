//! `POST /v2/chat`: messages as of Chat Completions, with documents, plans and citations.

mod stream;

pub(super) use stream::V2Stream;

use super::{ANSWER, SETTINGS, quoted};
use crate::event::{Author, Direction, Event, Kind, Known, Part, Turn};
use crate::protocol::conversation::{Attribution, Calls, ROLES, TurnRole, Turns, author_of};
use crate::protocol::json_edit::{member_span, move_citations, remove_elements, remove_members};
use crate::protocol::openai_shapes::{
    self, content, content_texts, denial_text, documents, tool_call, tool_choice,
};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::{CannotRemove, Denial, Endpoint, Removals};
use crate::wire::json::{self, Edits, Value};
use crate::wire::sort;
use crate::wire::span::Span;

const REQUEST: &[Row] = &[
    ("messages", Type::Custom),
    ("tool_choice", Type::Read(tool_choice)),
];
const MESSAGE: &[Row] = &[
    ("role", Type::Role(ROLES)),
    ("content", Type::Custom),
    ("tool_plan", Type::Text(Part::Reasoning)),
    ("tool_calls", Type::Custom),
    ("tool_call_id", Type::Id),
    ("citations", Type::Tree(Part::Other)),
];
const RESPONSE: &[Row] = &[("message", Type::Read(message)), ("logprobs", Type::Tokens)];

pub(super) fn read_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    reader.reading.params = Some(root.place());
    let other = Origin::of(Author::System, Part::Other);
    let mut conversation = TurnState::of(root.get("messages"));
    let tables = [REQUEST, SETTINGS];
    reader.row_lists(root, &tables, &other, &mut |reader, _, messages| {
        let mut at = 0usize;
        reader.array(messages, |reader, message| {
            conversation.message(reader, message, at);
            at = at.saturating_add(1);
        });
    });
    if root
        .get("messages")
        .is_none_or(|messages| messages.is_null())
    {
        let what = "`messages` is missing";
        reader.problem(crate::diag::codes::AG2001, root, what);
    }
    openai_shapes::model_is_needed(reader, endpoint);
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}

struct TurnState {
    turns: Turns,
    /// Names of the tools called so far, by the id of the call.
    calls: Calls,
}

impl TurnState {
    fn of(messages: Option<Value<'_>>) -> TurnState {
        let list = messages.into_iter().flat_map(|list| list.elements());
        let roles = list.map(|message| TurnRole::of(&author_of(message, ROLES), false));
        TurnState {
            turns: Turns::of(roles),
            calls: Calls::default(),
        }
    }

    fn message(&mut self, reader: &mut Reader<'_>, message: Value<'_>, at: usize) {
        let Attribution { origin, calls, .. } =
            self.turns.attribution(author_of(message, ROLES), at);
        let is_result = origin.from == Known::Is(Author::Tool);
        reader.reading.count_message(&origin.from);
        let mut result = None;
        reader.rows(
            message,
            MESSAGE,
            &origin,
            &mut |reader, key, value| match key {
                "content" => {
                    let texts = content_texts(reader, value, &origin);
                    if value.kind() == json::ValueKind::Array {
                        each_document(reader, value);
                    }
                    let beside = texts.end..reader.text_count();
                    result = is_result.then_some((value, texts, beside));
                }
                _ => reader.array(value, |reader, call| {
                    if let Some((id, name)) = tool_call(reader, call, calls, 0) {
                        self.calls.add(&id, &name);
                    }
                }),
            },
        );
        reader.role_is_needed(message);
        if is_result {
            let id = message.get("tool_call_id").and_then(|id| id.text());
            let mut event = Event::new(Kind::ToolResult, Direction::Request, message.place());
            event.turn = origin.turn;
            event.from = origin.from.clone();
            event.tool = self.calls.tool_of(id.as_deref(), None);
            // Documents are what Cohere's own client sends.
            reader.rest_of_result(&event, message);
            reader.said_result(event, result, &|part| match part.get("document") {
                Some(document) => document.get("data"),
                None => part.get("text"),
            });
        }
    }
}

/// Documents among the parts of a content: `{type: "document", document: {id, data}}`.
fn each_document(reader: &mut Reader<'_>, parts: Value<'_>) {
    for part in parts.elements() {
        if part.get("document").is_some() {
            reader.word_of(part, "type", "document");
            reader.object(part, &["document"], |reader, _, value| {
                documents(reader, value);
            });
        }
    }
}

pub(super) fn read_response(reader: &mut Reader<'_>, root: Value<'_>) {
    let tables = [RESPONSE, ANSWER];
    reader.row_lists(root, &tables, &openai_shapes::beside(), &mut |_, _, _| {});
}

/// Reads the message of a response, or that of an error, which has the same name.
fn message(reader: &mut Reader<'_>, message: Value<'_>) {
    if message.kind() == json::ValueKind::String {
        openai_shapes::error(reader, message);
        return;
    }
    let origin = openai_shapes::beside().with_part(Part::Text);
    reader.rows(
        message,
        MESSAGE,
        &origin,
        &mut |reader, key, value| match key {
            _ if value.is_null() => reader.claim(value),
            "content" => content(reader, value, &origin),
            _ => reader.array(value, |reader, call| {
                tool_call(reader, call, Turn::Latest, 0);
            }),
        },
    );
}

pub(super) fn denied_response(denial: &Denial) -> Vec<u8> {
    let mut out = br#"{"id":"#.to_vec();
    out.extend_from_slice(&quoted(&format!("agentguard-{}", denial.request_id)));
    out.extend_from_slice(br#","message":"#);
    out.extend_from_slice(&denial_message(&denial.message()));
    out.extend_from_slice(br#","finish_reason":"COMPLETE"}"#);
    out
}

fn denial_message(text: &str) -> Vec<u8> {
    let mut out = br#"{"role":"assistant","content":["#.to_vec();
    out.extend_from_slice(&text_part(text));
    out.extend_from_slice(b"]}");
    out
}

fn text_part(text: &str) -> Vec<u8> {
    let mut out = br#"{"type":"text","text":"#.to_vec();
    out.extend_from_slice(&quoted(text));
    out.push(b'}');
    out
}

pub(super) fn remove_from_response(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    if let Some(logprobs) = root.get("logprobs").filter(|copy| !copy.is_null()) {
        edits.replace(logprobs, b"[]".to_vec());
    }
    let message = root
        .get("message")
        .filter(|message| message.kind() == json::ValueKind::Object);
    if let Some((_, text)) = removals.choices.first() {
        edits.replace(message.ok_or(CannotRemove)?, denial_message(text));
        complete(root, edits);
        return Ok(());
    }
    if let Some(message) = message {
        correct_citations(message, removals, edits);
    }
    if removals.calls.is_empty() {
        return Ok(());
    }
    let message = message.ok_or(CannotRemove)?;
    let list = message.get("tool_calls").ok_or(CannotRemove)?;
    let denied = sort::set(removals.calls.iter().map(|call| call.at));
    let none_left = list.elements().all(|call| denied.contains(&call.place()));
    let explanation = denial_text(&mut removals.calls.iter().map(|call| call.text.as_str()));
    if none_left {
        complete(root, edits);
    } else {
        remove_elements(list, &|place| denied.contains(&place), edits);
    }
    explain(message, none_left, &explanation, edits);
    Ok(())
}

fn complete(root: Value<'_>, edits: &mut Edits) {
    if let Some(reason) = root.get("finish_reason") {
        edits.replace(reason, br#""COMPLETE""#.to_vec());
    }
}

/// Citations point into the text and repeat it. They count through all parts of the content, so that with several, none can
/// be placed.
fn correct_citations(message: Value<'_>, removals: &Removals, edits: &mut Edits) {
    let Some(citations) = message.get("citations").filter(|list| !list.is_null()) else {
        return;
    };
    let mut texts = message
        .get("content")
        .into_iter()
        .flat_map(|content| content.elements())
        .filter_map(|part| part.get("text"));
    let (first, second) = (texts.next(), texts.next());
    match (first, second) {
        (Some(text), None) => {
            let edited = removals
                .edited
                .iter()
                .find(|edited| edited.at == text.place());
            if let Some(edited) = edited {
                move_citations(text, citations, edited, edits);
            }
        }
        _ if removals.edited.is_empty() => {}
        _ => edits.replace(citations, b"[]".to_vec()),
    }
}

/// Appends a text to the message, and removes the list of calls if none is left.
fn explain(message: Value<'_>, none_left: bool, text: &str, edits: &mut Edits) {
    let part = text_part(text);
    let gone: &[&str] = if none_left { &["tool_calls"] } else { &[] };
    match message.get("content") {
        Some(content) if content.kind() == json::ValueKind::Array => {
            let mut with = Vec::new();
            if content.elements().next().is_some() {
                with.push(b',');
            }
            with.extend_from_slice(&part);
            let end = content.span().end.saturating_sub(1);
            edits.splice(content.doc(), Span { start: end, end }, with);
            remove_members(message, gone, edits);
        }
        Some(content) => {
            edits.replace(content, [&b"["[..], &part, b"]"].concat());
            remove_members(message, gone, edits);
        }
        None => {
            let mut with = br#""content":["#.to_vec();
            with.extend_from_slice(&part);
            with.push(b']');
            let calls = member_span(message, "tool_calls").filter(|_| none_left);
            match calls {
                // In the place of the calls.
                Some(calls) => edits.splice(message.doc(), calls, with),
                None => {
                    with.push(b',');
                    let start = message.span().start.saturating_add(1);
                    edits.splice(message.doc(), Span { start, end: start }, with);
                }
            }
        }
    }
}
