//! Content blocks of requests and of responses. Each kind has its table: in a block of a kind that is not known, nothing is
//! claimed, and all of it is evaluated as text.

use super::{CACHE_CONTROL, CALLER, CITATION, tools};
use crate::event::{Attachments, Author, Event, Kind, Known, Part, Turn};
use crate::protocol::conversation::{Attribution, Calls, emit_attributed};
use crate::protocol::reader::{CallBuilder, Reader, Row, Type, is_textual};
use crate::wire::json::{self, Value};
use std::ops::Range;

const TEXT: &[Row] = &[
    ("type", Type::Word("text")),
    ("text", Type::Custom),
    ("citations", Type::List(&Type::Object(CITATION))),
    ("cache_control", CACHE_CONTROL),
];
const MEDIUM: &[Row] = &[
    ("type", Type::Word("image|document")),
    ("source", Type::Custom),
    ("title", Type::Text(Part::Other)),
    ("context", Type::Text(Part::Other)),
    ("citations", Type::Object(&[("enabled", Type::Flag)])),
    (
        "transformations",
        Type::Object(&[("oversized_image", Type::Word("downsize|error"))]),
    ),
    ("cache_control", CACHE_CONTROL),
];
const SEARCH_RESULT: &[Row] = &[
    ("type", Type::Word("search_result")),
    ("source", Type::Text(Part::Other)),
    ("title", Type::Text(Part::Other)),
    ("content", Type::Custom),
    ("citations", Type::Object(&[("enabled", Type::Flag)])),
    ("cache_control", CACHE_CONTROL),
];
const THINKING: &[Row] = &[
    ("type", Type::Word("thinking")),
    ("thinking", Type::Custom),
    ("signature", Type::Opaque),
    ("cache_control", CACHE_CONTROL),
];
const REDACTED_THINKING: &[Row] = &[
    ("type", Type::Word("redacted_thinking")),
    ("data", Type::Opaque),
];
pub(super) const CALL: &[Row] = &[
    ("type", Type::Word("tool_use|server_tool_use|mcp_tool_use")),
    ("id", Type::Id),
    ("name", Type::Custom),
    ("input", Type::Custom),
    ("toolset_name", Type::Custom),
    ("server_name", Type::Name),
    ("caller", CALLER),
    ("cache_control", CACHE_CONTROL),
];
const RESULT: &[Row] = &[
    ("type", Type::Word(RESULT_TYPES)),
    ("tool_use_id", Type::Id),
    ("content", Type::Custom),
    ("is_error", Type::Flag),
    ("toolset_name", Type::Name),
    ("caller", CALLER),
    ("cache_control", CACHE_CONTROL),
];
const RESULT_TYPES: &str = "tool_result|mcp_tool_result|web_search_tool_result|web_fetch_tool_result|\
     code_execution_tool_result|bash_code_execution_tool_result|\
     text_editor_code_execution_tool_result|tool_search_tool_result|\
     advisor_tool_result";
/// What a tool of the provider gave, whichever tool: each has some of these.
const PROVIDER_RESULT: &[Row] = &[
    (
        "type",
        Type::Word(
            "web_search_result|web_fetch_result|code_execution_result|\
             encrypted_code_execution_result|bash_code_execution_result|\
             code_execution_output|bash_code_execution_output|\
             text_editor_code_execution_view_result|\
             text_editor_code_execution_create_result|\
             text_editor_code_execution_str_replace_result|\
             tool_search_tool_search_result|advisor_result|advisor_redacted_result|\
             web_search_tool_result_error|web_fetch_tool_result_error|\
             code_execution_tool_result_error|bash_code_execution_tool_result_error|\
             text_editor_code_execution_tool_result_error|\
             tool_search_tool_result_error|advisor_tool_result_error",
        ),
    ),
    ("content", Type::Custom),
    ("title", Type::Text(Part::Other)),
    ("url", Type::Text(Part::Other)),
    ("page_age", Type::Text(Part::Other)),
    ("text", Type::Text(Part::Other)),
    ("stdout", Type::Text(Part::Other)),
    ("stderr", Type::Text(Part::Other)),
    ("lines", Type::Tree(Part::Other)),
    ("error_code", Type::Text(Part::Other)),
    ("error_message", Type::Text(Part::Other)),
    ("stop_reason", Type::Text(Part::Other)),
    ("retrieved_at", Type::Text(Part::Other)),
    ("encrypted_content", Type::Opaque),
    ("encrypted_stdout", Type::Opaque),
    ("tool_references", Type::List(&Type::Object(TOOL_REFERENCE))),
    ("file_id", Type::State),
    ("file_type", Type::Word("text|image|pdf")),
    ("is_file_update", Type::Flag),
    ("return_code", Type::Number),
    ("num_lines", Type::Number),
    ("start_line", Type::Number),
    ("total_lines", Type::Number),
    ("old_start", Type::Number),
    ("old_lines", Type::Number),
    ("new_start", Type::Number),
    ("new_lines", Type::Number),
];
const TOOL_REFERENCE: &[Row] = &[
    ("type", Type::Word("tool_reference")),
    ("tool_name", Type::Name),
    ("cache_control", CACHE_CONTROL),
];
const CONTAINER_UPLOAD: &[Row] = &[
    ("type", Type::Word("container_upload")),
    ("file_id", Type::State),
    ("cache_control", CACHE_CONTROL),
];
const COMPACTION: &[Row] = &[
    ("type", Type::Word("compaction")),
    ("content", Type::Text(Part::Other)),
    ("encrypted_content", Type::Opaque),
    ("signature", Type::Opaque),
    ("tool_changes", Type::Custom),
    ("cache_control", CACHE_CONTROL),
];
const MID_CONVERSATION_SYSTEM: &[Row] = &[
    ("type", Type::Word("mid_conv_system")),
    ("content", Type::Custom),
    ("cache_control", CACHE_CONTROL),
];
const TOOL_CHANGE: &[Row] = &[
    ("type", Type::Word("tool_addition|tool_removal")),
    ("tool", Type::Custom),
    ("cache_control", CACHE_CONTROL),
];
const TOOL_LISTING: &[Row] = &[
    ("type", Type::Word("mcp_tool_listing")),
    ("mcp_server_name", Type::Name),
    ("tools", Type::Custom),
];
const FALLBACK: &[Row] = &[
    ("type", Type::Word("fallback")),
    ("from", Type::Object(&[("model", Type::Name)])),
    ("to", Type::Object(&[("model", Type::Name)])),
    ("trigger", Type::Tree(Part::Other)),
];

/// Content: a text, nothing, or a list of blocks.
pub(in crate::protocol) fn content(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
) {
    match value.kind() {
        json::ValueKind::String => emit_attributed(reader, value, speaker),
        json::ValueKind::Array => reader.array(value, |reader, element| {
            block(reader, element, speaker, calls);
        }),
        json::ValueKind::Null => reader.claim(value),
        _ => reader.wrong_type(value, "a string or a list of blocks"),
    }
}

/// Reads one block. Its text continues in other frames if its origin has a number; everything else in it is whole.
pub(in crate::protocol) fn block(
    reader: &mut Reader<'_>,
    block: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
) {
    if block.kind() != json::ValueKind::Object {
        reader.wrong_type(block, "a content block");
        return;
    }
    let origin = &speaker.origin.whole();
    let kind = block.get("type").and_then(|kind| kind.text());
    match kind.as_deref() {
        Some("text") => reader.rows(block, TEXT, origin, &mut |reader, _, value| {
            emit_attributed(reader, value, speaker);
        }),
        Some("image") => medium(reader, block, speaker, calls, |count| &mut count.image),
        Some("document") => medium(reader, block, speaker, calls, |count| &mut count.file),
        Some("search_result") => {
            let aside = speaker.aside();
            reader.rows(block, SEARCH_RESULT, origin, &mut |reader, _, value| {
                content(reader, value, &aside, calls);
            });
        }
        // The signature covers the thinking: with a changed byte the provider refuses the next turn.
        Some("thinking") => reader.in_signed(true, |reader| {
            reader.rows(block, THINKING, origin, &mut |reader, _, value| {
                reader.text(value, &speaker.origin.with_part(Part::Reasoning));
            });
        }),
        Some("redacted_thinking") => reader.plain_rows(block, REDACTED_THINKING, origin),
        Some("tool_use") => call(reader, block, speaker, calls, false),
        Some("server_tool_use" | "mcp_tool_use") => call(reader, block, speaker, calls, true),
        Some("tool_result") => result(reader, block, speaker, calls, None),
        Some(kind) if RESULT_TYPES.split('|').any(|result| result == kind) => {
            let tool = kind.trim_end_matches("_tool_result");
            result(reader, block, speaker, calls, Some(tool));
        }
        Some("tool_reference") => reader.plain_rows(block, TOOL_REFERENCE, origin),
        Some("container_upload") => {
            reader.attachment(block, |count| &mut count.file);
            reader.plain_rows(block, CONTAINER_UPLOAD, origin);
        }
        Some("compaction") => {
            let is_signed = block.get("signature").is_some_and(|value| !value.is_null());
            reader.in_signed(is_signed, |reader| {
                reader.rows(block, COMPACTION, origin, &mut |reader, _, value| {
                    content(reader, value, speaker, calls);
                });
            });
        }
        Some("mid_conv_system") => {
            let mut system = speaker.clone();
            system.origin.from = Known::Is(Author::System);
            reader.rows(
                block,
                MID_CONVERSATION_SYSTEM,
                origin,
                &mut |reader, _, value| {
                    content(reader, value, &system, calls);
                },
            );
        }
        Some("tool_addition" | "tool_removal") => {
            reader.rows(block, TOOL_CHANGE, origin, &mut |reader, _, value| {
                tools::changed_tool(reader, value);
            });
        }
        Some("mcp_tool_listing") => {
            reader.rows(block, TOOL_LISTING, origin, &mut |reader, _, value| {
                reader.array(value, tools::listed_tool);
            });
        }
        Some("fallback") => reader.plain_rows(block, FALLBACK, origin),
        _ => {}
    }
}

/// An image or a document.
fn medium(
    reader: &mut Reader<'_>,
    block: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
    count: fn(&mut Attachments) -> &mut u32,
) {
    reader.rows(block, MEDIUM, &speaker.origin, &mut |reader, _, value| {
        source(reader, value, speaker, calls, count);
    });
}

const BASE64: &[Row] = &[
    ("type", Type::Word("base64")),
    ("media_type", Type::Custom),
    ("data", Type::Custom),
];
const URL: &[Row] = &[("type", Type::Word("url")), ("url", Type::Url)];
const FILE: &[Row] = &[("type", Type::Word("file")), ("file_id", Type::State)];
const PLAIN: &[Row] = &[
    ("type", Type::Word("text")),
    ("media_type", Type::Word("text/plain")),
    ("data", Type::Text(Part::Other)),
];
const NESTED: &[Row] = &[("type", Type::Word("content")), ("content", Type::Custom)];

/// Source of a medium's bytes or text. Readable media are counted; others are uninspectable as well.
fn source(
    reader: &mut Reader<'_>,
    source: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
    count: fn(&mut Attachments) -> &mut u32,
) {
    let aside = speaker.aside();
    let origin = &aside.origin;
    let kind = source.get("type").and_then(|kind| kind.text());
    match kind.as_deref() {
        Some("text") => {
            reader.count_attachment(count);
            reader.plain_rows(source, PLAIN, origin);
        }
        Some("content") => {
            reader.count_attachment(count);
            reader.rows(source, NESTED, origin, &mut |reader, _, value| {
                content(reader, value, &aside, calls);
            });
        }
        Some("base64") => {
            let media_type = source.get("media_type");
            let textual = media_type
                .and_then(|kind| kind.text())
                .is_some_and(|kind| is_textual(&kind));
            reader.rows(
                source,
                BASE64,
                origin,
                &mut |reader, key, value| match key {
                    "data" => reader.file_bytes(value, textual, source, count, origin),
                    _ => reader.media_type(value),
                },
            );
        }
        Some("url") => {
            reader.attachment(source, count);
            reader.plain_rows(source, URL, origin);
        }
        Some("file") => {
            reader.attachment(source, count);
            reader.plain_rows(source, FILE, origin);
        }
        _ => reader.attachment(source, count),
    }
}

/// A call. Calls of a toolset's member (`navigate` of `browser`) go by both names.
fn call(
    reader: &mut Reader<'_>,
    block: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
    provider_run: bool,
) {
    let mut call = CallBuilder::at(reader, block);
    call.event.choice = speaker.origin.choice;
    call.event.provider_run = provider_run;
    // What the provider ran in an earlier turn can't be stopped any more.
    call.event.turn = match speaker.origin.from {
        Known::Missing => Turn::Latest,
        _ if provider_run => Turn::Earlier,
        _ => speaker.calls,
    };
    let mut toolset = None;
    reader.rows(
        block,
        CALL,
        &speaker.origin,
        &mut |reader, key, value| match key {
            "name" => call.name(reader, value),
            "toolset_name" => toolset = reader.name(value).map(Box::from),
            _ => call.arguments(reader, value),
        },
    );
    if let Some(toolset) = toolset {
        let mut other = call.event.clone();
        other.tool = Known::Is(toolset);
        other.is_duplicate = true;
        reader.reading.add(other);
    }
    let id = block.get("id").and_then(|id| id.text());
    if let (Some(name), Some(id)) = (call.add(reader), id) {
        calls.add(&id, &name);
    }
}

/// A tool's result. `provider` names the tool if the provider ran it.
fn result(
    reader: &mut Reader<'_>,
    block: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
    provider: Option<&str>,
) {
    let called = block
        .get("tool_use_id")
        .and_then(|id| id.text())
        .and_then(|id| calls.answer(&id));
    let mut event = Event::new(Kind::ToolResult, reader.direction(), block.place());
    event.turn = speaker.origin.turn;
    event.choice = speaker.origin.choice;
    event.provider_run = provider.is_some();
    event.tool = match (called, provider) {
        (Some(called), _) => called,
        (None, Some("mcp") | None) => Known::Unknown,
        (None, Some(name)) => Known::Is(name.into()),
    };
    let is_error = block
        .get("is_error")
        .and_then(|value| value.as_bool())
        .unwrap_or(false);
    event.ok = Known::Is(!is_error);
    let tool = speaker.tool(match provider {
        Some(_) => Part::Other,
        None => Part::Text,
    });
    event.from = tool.origin.from.clone();
    let mut held: Option<(Value<'_>, Range<u32>)> = None;
    reader.rows(block, RESULT, &tool.origin, &mut |reader, _, value| {
        let start = reader.text_count();
        match provider {
            Some(_) => provider_result(reader, value, &tool, calls),
            None => content(reader, value, &tool, calls),
        }
        held = Some((value, start..reader.text_count()));
    });
    reader.rest_of_result(&event, block);
    let Some((value, texts)) = held else {
        reader.reading.add(event);
        return;
    };
    event.at = value.place();
    event.texts = texts;
    reader.add_result(event, value, &|element| element.get("text"));
}

/// What a tool of the provider gave: a text, an object, or a list of either.
fn provider_result(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
) {
    match value.kind() {
        json::ValueKind::String | json::ValueKind::Null => emit_attributed(reader, value, speaker),
        json::ValueKind::Array => reader.array(value, |reader, element| {
            provider_result(reader, element, speaker, calls);
        }),
        json::ValueKind::Object => {
            let is_block = value.get("type").is_some_and(|kind| {
                kind.is_text("text") || kind.is_text("document") || kind.is_text("image")
            });
            if is_block {
                block(reader, value, speaker, calls);
                return;
            }
            reader.rows(
                value,
                PROVIDER_RESULT,
                &speaker.origin,
                &mut |reader, _, value| provider_result(reader, value, speaker, calls),
            );
        }
        _ => reader.wrong_type(value, "a result"),
    }
}
