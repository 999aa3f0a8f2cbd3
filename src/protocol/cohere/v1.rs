//! `POST /v1/chat`: one message, its history, and tools whose parameters are objects.

mod stream;

pub(super) use stream::V1Stream;

use super::{ANSWER, SETTINGS, quoted};
use crate::event::{Author, Direction, Event, Kind, Known, Part, Turn};
use crate::protocol::json_edit::{move_citations, remove_elements};
use crate::protocol::openai_shapes::{self, denial_text};
use crate::protocol::reader::{CallBuilder, Origin, Reader, Row, Type};
use crate::protocol::{CannotRemove, Denial, Endpoint, Removals};
use crate::wire::json::{self, Edits, Value};
use crate::wire::sort;

const REQUEST: &[Row] = &[
    ("message", Type::Read(message)),
    ("preamble", Type::Read(preamble)),
    ("chat_history", Type::List(&Type::Read(history))),
    ("conversation_id", Type::Read(conversation)),
    ("connectors", Type::List(&Type::Read(connector))),
    (
        "tool_results",
        Type::Read(|reader, value| results(reader, value, Turn::Latest)),
    ),
    ("search_queries_only", Type::Flag),
    ("force_single_step", Type::Flag),
    (
        "prompt_truncation",
        Type::Word("AUTO|AUTO_PRESERVE_ORDER|OFF"),
    ),
    ("citation_quality", Type::Word("accurate|fast|off")),
];
const TURN: &[Row] = &[
    ("role", Type::Custom),
    ("message", Type::Spoken),
    ("tool_calls", Type::Custom),
    ("tool_results", Type::Custom),
];
const CALL: &[&str] = &["name", "parameters", "generation_id"];
const RESPONSE: &[Row] = &[
    ("text", Type::Text(Part::Text)),
    (
        "tool_calls",
        Type::List(&Type::Read(|reader, call| {
            tool_call(reader, call, Turn::Latest);
        })),
    ),
    // Of an error.
    ("message", Type::Read(openai_shapes::error)),
    ("chat_history", Type::Tree(Part::Other)),
    ("citations", Type::Tree(Part::Other)),
    ("documents", Type::Tree(Part::Other)),
    ("search_results", Type::Tree(Part::Other)),
    ("search_queries", Type::Tree(Part::Other)),
    ("is_search_required", Type::Flag),
];

pub(super) fn read_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    reader.reading.params = Some(root.place());
    let other = Origin::of(Author::System, Part::Other);
    let tables = [REQUEST, SETTINGS];
    reader.row_lists(root, &tables, &other, &mut |_, _, _| {});
    openai_shapes::model_is_needed(reader, endpoint);
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}

fn message(reader: &mut Reader<'_>, value: Value<'_>) {
    let user = Origin::of(Author::User, Part::Text);
    reader.reading.count_message(&user.from);
    reader.text(value, &user);
}

fn preamble(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.text(value, &Origin::of(Author::System, Part::Text));
}

fn conversation(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.id(value);
    reader.uninspectable(value, "provider_state");
    reader.reading.continues_elsewhere = true;
}

/// Reads a search or another source that Cohere queries itself.
fn connector(reader: &mut Reader<'_>, connector: Value<'_>) {
    let mut name = None;
    reader.object(connector, &["id"], |reader, _, value| {
        name = reader.name(value).map(Box::<str>::from);
    });
    reader.provider_tool(connector, name.as_deref().unwrap_or("connector"));
}

/// One turn of the history. Roles have any letter case.
fn history(reader: &mut Reader<'_>, turn: Value<'_>) {
    let role = turn.get("role").and_then(|role| role.text());
    let role = role.map(|role| role.to_ascii_uppercase());
    let from = match role.as_deref() {
        Some("SYSTEM") => Known::Is(Author::System),
        Some("USER") => Known::Is(Author::User),
        Some("CHATBOT") => Known::Is(Author::Assistant),
        Some("TOOL") => Known::Is(Author::Tool),
        _ => Known::Unknown,
    };
    reader.reading.count_message(&from);
    let origin = Origin::new(from, Part::Text, Turn::Earlier);
    reader.rows(turn, TURN, &origin, &mut |reader, key, value| match key {
        _ if value.is_null() => reader.claim(value),
        "role" => match value.kind() {
            json::ValueKind::String if origin.from != Known::Unknown => reader.claim(value),
            json::ValueKind::String => {}
            _ => reader.wrong_type(value, "a string"),
        },
        "tool_calls" => reader.array(value, |reader, call| {
            tool_call(reader, call, Turn::Earlier);
        }),
        _ => results(reader, value, Turn::Earlier),
    });
}

/// `{name, parameters}` with the parameters as an object.
fn tool_call(reader: &mut Reader<'_>, call: Value<'_>, turn: Turn) -> Option<Box<str>> {
    let mut builder = CallBuilder::at(reader, call);
    builder.event.turn = turn;
    reader.object(call, CALL, |reader, key, value| match key {
        "name" => builder.name(reader, value),
        "parameters" => builder.arguments(reader, value),
        _ => reader.id(value),
    });
    builder.add(reader)
}

/// `[{call, outputs}]`: each result brings its call along.
fn results(reader: &mut Reader<'_>, value: Value<'_>, turn: Turn) {
    reader.array(value, |reader, result| {
        let mut event = Event::new(Kind::ToolResult, Direction::Request, result.place());
        event.turn = turn;
        event.from = Known::Is(Author::Tool);
        event.tool = Known::Unknown;
        let mut holder = None;
        reader.object(
            result,
            &["call", "outputs"],
            |reader, key, value| match key {
                "call" => {
                    if let Some(name) = tool_call(reader, value, turn) {
                        event.tool = Known::Is(name);
                    }
                }
                _ => {
                    holder = Some(value);
                    event.texts = reader.tree(value);
                    event.result = reader.structured_result(value);
                    event.at = value.place();
                    let origin = Origin {
                        turn,
                        ..Origin::of(Author::Tool, Part::Text)
                    };
                    reader.emit_duplicate(value, event.texts.clone(), &origin);
                }
            },
        );
        reader.result(event, holder);
    });
}

pub(super) fn read_response(reader: &mut Reader<'_>, root: Value<'_>) {
    let tables = [RESPONSE, ANSWER];
    reader.row_lists(root, &tables, &openai_shapes::beside(), &mut |_, _, _| {});
}

pub(super) fn denied_response(denial: &Denial) -> Vec<u8> {
    let id = quoted(&format!("agentguard-{}", denial.request_id));
    let text = quoted(&denial.message());
    let mut out = br#"{"response_id":"#.to_vec();
    out.extend_from_slice(&id);
    out.extend_from_slice(br#","generation_id":"#);
    out.extend_from_slice(&id);
    out.extend_from_slice(br#","text":"#);
    out.extend_from_slice(&text);
    out.extend_from_slice(br#","chat_history":[],"finish_reason":"COMPLETE"}"#);
    out
}

/// Edits a response. The last turn of its history repeats it.
pub(super) fn remove_from_response(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    let empty = |name: &str, edits: &mut Edits| {
        if let Some(list) = root.get(name).filter(|list| !list.is_null()) {
            edits.replace(list, b"[]".to_vec());
        }
    };
    let text = root.get("text");
    if let Some((_, explanation)) = removals.choices.first() {
        edits.replace(text.ok_or(CannotRemove)?, quoted(explanation));
        for name in ["tool_calls", "chat_history", "citations"] {
            empty(name, edits);
        }
        if let Some(reason) = root.get("finish_reason") {
            edits.replace(reason, br#""COMPLETE""#.to_vec());
        }
        return Ok(());
    }
    let edited = text.and_then(|text| {
        removals
            .edited
            .iter()
            .find(|edited| edited.at == text.place())
    });
    if let (Some(text), Some(edited), Some(citations)) = (text, edited, root.get("citations")) {
        move_citations(text, citations, edited, edits);
    }
    if removals.calls.is_empty() {
        return Ok(());
    }
    let list = root.get("tool_calls").ok_or(CannotRemove)?;
    let denied = sort::set(removals.calls.iter().map(|call| call.at));
    remove_elements(list, &|place| denied.contains(&place), edits);
    empty("chat_history", edits);
    let explanation = denial_text(&mut removals.calls.iter().map(|call| call.text.as_str()));
    let text = text
        .filter(|text| text.kind() == json::ValueKind::String)
        .ok_or(CannotRemove)?;
    let end = text.text().map_or(0, |text| text.len());
    let explanation = if end == 0 {
        explanation
    } else {
        format!("\n\n{explanation}")
    };
    edits.replace_text(text, [(end..end, explanation.as_str())]);
    Ok(())
}
