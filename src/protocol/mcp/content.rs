//! Content that both sides of MCP send: blocks of text and media, resources, messages of a conversation.

use super::tables::{CONTENT, RESOURCE_CONTENTS, SPOKEN};
use crate::event::{Class, Direction, Event, Kind, Known, Part, Turn};
use crate::protocol::conversation::Calls;
use crate::protocol::reader::{Emit, Origin, Reader, is_textual};
use crate::wire::json::{self, Value};

/// Reads a block, or a list of blocks.
pub(super) fn blocks(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    origin: &Origin,
    called: &mut Calls,
) {
    match value.kind() {
        json::ValueKind::Array => {
            reader.array(value, |reader, block| {
                self::block(reader, block, origin, called)
            });
        }
        _ => block(reader, value, origin, called),
    }
}

fn block(reader: &mut Reader<'_>, block: Value<'_>, origin: &Origin, called: &mut Calls) {
    let kind = block.get("type").and_then(|kind| kind.text());
    let kind = kind.as_deref().unwrap_or_default();
    let mut call = ToolBlock::default();
    reader.rows(
        block,
        CONTENT,
        origin,
        &mut |reader, key, value| match key {
            "data" => {
                reader.media(value);
                if !value.is_null() {
                    reader.attachment(value, |count| match kind {
                        "audio" => &mut count.audio,
                        "image" => &mut count.image,
                        _ => &mut count.file,
                    });
                }
            }
            "resource" => resource(reader, value, origin),
            "name" if kind == "tool_use" => call.name = reader.name(value).map(Into::into),
            "name" => {
                let texts = reader.register_text(value, Class::Text);
                reader.emit_text(value, texts, &origin.with_part(Part::Other));
            }
            "input" => call.input = Some(value),
            "content" => call.content = Some(value),
            _ => call.structured = Some(value),
        },
    );
    let id = |key: &str| block.get(key).and_then(|id| id.text());
    if kind == "tool_use" {
        if let (Some(id), Some(name)) = (id("id"), &call.name) {
            called.add(&id, name);
        }
        tool_use(reader, block, call);
    } else if kind == "tool_result" {
        let tool = id("toolUseId").and_then(|id| called.answer(&id));
        let result = ToolResponse {
            tool: tool.unwrap_or(Known::Unknown),
            args: Known::Missing,
            ok: is_ok(block),
            turn: turn_of_history(reader),
        };
        if let Some(content) = call.content {
            tool_result(reader, content, &result, origin, false);
        }
        if let Some(structured) = call.structured {
            tool_result(reader, structured, &result, origin, true);
        }
    }
}

/// Parts of a block that are read together.
#[derive(Default)]
struct ToolBlock<'v> {
    name: Option<Box<str>>,
    input: Option<Value<'v>>,
    content: Option<Value<'v>>,
    structured: Option<Value<'v>>,
}

/// Returns the turn of calls in sampling. The server runs the calls in the answer of the client's model. Calls that a
/// server repeats in its own sampling request have run already.
fn turn_of_history(reader: &Reader<'_>) -> Turn {
    match reader.direction() {
        Direction::Request => Turn::Latest,
        Direction::Response => Turn::Earlier,
    }
}

/// Reads a call in a sampled answer.
fn tool_use(reader: &mut Reader<'_>, block: Value<'_>, call: ToolBlock<'_>) {
    let mut event = Event::new(Kind::ToolCall, reader.direction(), block.place());
    event.turn = turn_of_history(reader);
    event.tool = call.name.map_or(Known::Unknown, Known::Is);
    if let Some(input) = call.input {
        (event.args, event.texts) = reader.arguments(input);
    }
    reader.call(event, call.input);
}

/// Reads the contents of a resource: a text, or bytes. Bytes of a text type are read as text.
pub(super) fn resource(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    let media = value.get("mimeType").and_then(|media| media.text());
    reader.rows(value, RESOURCE_CONTENTS, origin, &mut |reader, _, blob| {
        if blob.is_null() {
            return reader.claim(blob);
        }
        let mut is_read = false;
        // Without a type they are text if they can be read as text.
        if media.as_deref().is_none_or(is_textual)
            && let Some((texts, is_whole)) = reader.base64_texts(blob)
        {
            reader.emit_text(blob, texts, origin);
            is_read = is_whole;
        }
        if !is_read {
            reader.media(blob);
            reader.attachment(blob, |count| &mut count.file);
        }
    });
}

/// Reads messages of a prompt or of a sampling. Authors are distinguished only in requests. A model reads the texts one after
/// the other.
pub(super) fn messages(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    let origin = &origin.with_part(Part::Text);
    let mut called = Calls::default();
    reader.array(value, |reader, message| {
        reader.rows(message, SPOKEN, origin, &mut |reader, _, content| {
            blocks(reader, content, origin, &mut called);
        });
    });
}

/// What a result answers.
#[derive(Clone)]
pub(super) struct ToolResponse {
    pub(super) tool: Known<Box<str>>,
    pub(super) args: Known<json::NodeId>,
    pub(super) ok: Known<bool>,
    pub(super) turn: Turn,
}

/// Returns whether a result reports success. Clients differ in what they take for true: `"true"`, `1`.
pub(super) fn is_ok(result: Value<'_>) -> Known<bool> {
    match result.get("isError").map(|failed| failed.kind()) {
        None | Some(json::ValueKind::Null) => Known::Is(true),
        Some(json::ValueKind::Bool(failed)) => Known::Is(!failed),
        Some(_) => Known::Unknown,
    }
}

/// Reads the result of a tool, as blocks or as data. Each is reported as a result: a server may send different
/// content in them, and clients differ in which one they pass to the model.
pub(super) fn tool_result(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    answered: &ToolResponse,
    origin: &Origin,
    is_data: bool,
) {
    let origin = Origin {
        emit: Emit::Also,
        ..origin.with_part(if is_data { Part::Other } else { Part::Text })
    };
    let start = reader.text_count();
    if is_data {
        let texts = reader.tree(value);
        reader.emit_text(value, texts, &origin);
    } else if value.kind() == json::ValueKind::Array {
        blocks(reader, value, &origin, &mut Calls::default());
    } else {
        reader.wrong_type(value, "a list of blocks");
    }
    let rest = reader.rest(value);
    reader.emit_text(value, rest, &origin.with_part(Part::Other));
    let mut event = Event::new(Kind::ToolResult, reader.direction(), value.place());
    event.part = origin.part;
    event.turn = answered.turn;
    event.tool = answered.tool.clone();
    event.args = answered.args.clone();
    event.ok = answered.ok.clone();
    event.texts = start..reader.text_count();
    if is_data {
        event.result = reader.structured_result(value);
        reader.result(event, Some(value));
    } else {
        reader.add_result(event, value, &|block| block.get("text"));
    }
}
