//! Content blocks of requests and of responses. Each kind has its table: in a block of a kind that is not known, nothing is
//! claimed, and all of it is evaluated as text.

use super::{CACHE_CONTROL, CALLER, CITATION, tools};
use crate::event::{Attachments, Author, Event, Kind, Known, Part, Turn};
use crate::protocol::conversation::{Attribution, Calls, emit_attributed};
use crate::protocol::reader::{CallBuilder, Is, Key, Reader, is_textual};
use crate::wire::json::{self, Value};
use std::ops::Range;

const TEXT: &[Key] = &[
    ("type", Is::Word(&["text"])),
    ("text", Is::Own),
    ("citations", Is::List(&Is::Object(CITATION))),
    ("cache_control", CACHE_CONTROL),
];
const MEDIUM: &[Key] = &[
    ("type", Is::Word(&["image", "document"])),
    ("source", Is::Own),
    ("title", Is::Text(Part::Other)),
    ("context", Is::Text(Part::Other)),
    ("citations", Is::Object(&[("enabled", Is::Flag)])),
    (
        "transformations",
        Is::Object(&[("oversized_image", Is::Word(&["downsize", "error"]))]),
    ),
    ("cache_control", CACHE_CONTROL),
];
const SEARCH_RESULT: &[Key] = &[
    ("type", Is::Word(&["search_result"])),
    ("source", Is::Text(Part::Other)),
    ("title", Is::Text(Part::Other)),
    ("content", Is::Own),
    ("citations", Is::Object(&[("enabled", Is::Flag)])),
    ("cache_control", CACHE_CONTROL),
];
const THINKING: &[Key] = &[
    ("type", Is::Word(&["thinking"])),
    ("thinking", Is::Own),
    ("signature", Is::Opaque),
    ("cache_control", CACHE_CONTROL),
];
const REDACTED_THINKING: &[Key] = &[
    ("type", Is::Word(&["redacted_thinking"])),
    ("data", Is::Opaque),
];
pub(super) const CALL: &[Key] = &[
    (
        "type",
        Is::Word(&["tool_use", "server_tool_use", "mcp_tool_use"]),
    ),
    ("id", Is::Id),
    ("name", Is::Own),
    ("input", Is::Own),
    ("toolset_name", Is::Own),
    ("server_name", Is::Name),
    ("caller", CALLER),
    ("cache_control", CACHE_CONTROL),
];
const RESULT: &[Key] = &[
    ("type", Is::Word(RESULT_TYPES)),
    ("tool_use_id", Is::Id),
    ("content", Is::Own),
    ("is_error", Is::Flag),
    ("toolset_name", Is::Name),
    ("caller", CALLER),
    ("cache_control", CACHE_CONTROL),
];
const RESULT_TYPES: &[&str] = &[
    "tool_result",
    "mcp_tool_result",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "advisor_tool_result",
];
/// What a tool of the provider gave, whichever tool: each has some of these.
const PROVIDER_RESULT: &[Key] = &[
    (
        "type",
        Is::Word(&[
            "web_search_result",
            "web_fetch_result",
            "code_execution_result",
            "encrypted_code_execution_result",
            "bash_code_execution_result",
            "code_execution_output",
            "bash_code_execution_output",
            "text_editor_code_execution_view_result",
            "text_editor_code_execution_create_result",
            "text_editor_code_execution_str_replace_result",
            "tool_search_tool_search_result",
            "advisor_result",
            "advisor_redacted_result",
            "web_search_tool_result_error",
            "web_fetch_tool_result_error",
            "code_execution_tool_result_error",
            "bash_code_execution_tool_result_error",
            "text_editor_code_execution_tool_result_error",
            "tool_search_tool_result_error",
            "advisor_tool_result_error",
        ]),
    ),
    ("content", Is::Own),
    ("title", Is::Text(Part::Other)),
    ("url", Is::Text(Part::Other)),
    ("page_age", Is::Text(Part::Other)),
    ("text", Is::Text(Part::Other)),
    ("stdout", Is::Text(Part::Other)),
    ("stderr", Is::Text(Part::Other)),
    ("lines", Is::Tree(Part::Other)),
    ("error_code", Is::Text(Part::Other)),
    ("error_message", Is::Text(Part::Other)),
    ("stop_reason", Is::Text(Part::Other)),
    ("retrieved_at", Is::Text(Part::Other)),
    ("encrypted_content", Is::Opaque),
    ("encrypted_stdout", Is::Opaque),
    ("tool_references", Is::List(&Is::Object(TOOL_REFERENCE))),
    ("file_id", Is::State),
    ("file_type", Is::Word(&["text", "image", "pdf"])),
    ("is_file_update", Is::Flag),
    ("return_code", Is::Number),
    ("num_lines", Is::Number),
    ("start_line", Is::Number),
    ("total_lines", Is::Number),
    ("old_start", Is::Number),
    ("old_lines", Is::Number),
    ("new_start", Is::Number),
    ("new_lines", Is::Number),
];
const TOOL_REFERENCE: &[Key] = &[
    ("type", Is::Word(&["tool_reference"])),
    ("tool_name", Is::Name),
    ("cache_control", CACHE_CONTROL),
];
const CONTAINER_UPLOAD: &[Key] = &[
    ("type", Is::Word(&["container_upload"])),
    ("file_id", Is::State),
    ("cache_control", CACHE_CONTROL),
];
const COMPACTION: &[Key] = &[
    ("type", Is::Word(&["compaction"])),
    ("content", Is::Text(Part::Other)),
    ("encrypted_content", Is::Opaque),
    ("signature", Is::Opaque),
    ("tool_changes", Is::Own),
    ("cache_control", CACHE_CONTROL),
];
const MID_CONVERSATION_SYSTEM: &[Key] = &[
    ("type", Is::Word(&["mid_conv_system"])),
    ("content", Is::Own),
    ("cache_control", CACHE_CONTROL),
];
const TOOL_CHANGE: &[Key] = &[
    ("type", Is::Word(&["tool_addition", "tool_removal"])),
    ("tool", Is::Own),
    ("cache_control", CACHE_CONTROL),
];
const TOOL_LISTING: &[Key] = &[
    ("type", Is::Word(&["mcp_tool_listing"])),
    ("mcp_server_name", Is::Name),
    ("tools", Is::Own),
];
const FALLBACK: &[Key] = &[
    ("type", Is::Word(&["fallback"])),
    ("from", Is::Object(&[("model", Is::Name)])),
    ("to", Is::Object(&[("model", Is::Name)])),
    ("trigger", Is::Tree(Part::Other)),
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

/// One block. What it says goes on in other frames where its speaker's origin says so; everything else in it is whole.
pub(super) fn block(
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
        Some("text") => reader.keys(block, TEXT, origin, &mut |reader, _, value| {
            emit_attributed(reader, value, speaker);
        }),
        Some("image") => medium(reader, block, speaker, calls, |count| &mut count.image),
        Some("document") => medium(reader, block, speaker, calls, |count| &mut count.file),
        Some("search_result") => {
            let aside = speaker.aside();
            reader.keys(block, SEARCH_RESULT, origin, &mut |reader, _, value| {
                content(reader, value, &aside, calls);
            });
        }
        // The signature covers the thinking: with a changed byte the provider refuses the next turn.
        Some("thinking") => reader.in_signed(true, |reader| {
            reader.keys(block, THINKING, origin, &mut |reader, _, value| {
                reader.text(value, &speaker.origin.with_part(Part::Reasoning));
            });
        }),
        Some("redacted_thinking") => reader.known(block, REDACTED_THINKING, origin),
        Some("tool_use") => call(reader, block, speaker, calls, false),
        Some("server_tool_use" | "mcp_tool_use") => call(reader, block, speaker, calls, true),
        Some("tool_result") => result(reader, block, speaker, calls, None),
        Some(kind) if RESULT_TYPES.contains(&kind) => {
            let tool = kind.trim_end_matches("_tool_result");
            result(reader, block, speaker, calls, Some(tool));
        }
        Some("tool_reference") => reader.known(block, TOOL_REFERENCE, origin),
        Some("container_upload") => {
            reader.attachment(block, |count| &mut count.file);
            reader.known(block, CONTAINER_UPLOAD, origin);
        }
        Some("compaction") => {
            let is_signed = block.get("signature").is_some_and(|value| !value.is_null());
            reader.in_signed(is_signed, |reader| {
                reader.keys(block, COMPACTION, origin, &mut |reader, _, value| {
                    content(reader, value, speaker, calls);
                });
            });
        }
        Some("mid_conv_system") => {
            let mut system = speaker.clone();
            system.origin.from = Known::Is(Author::System);
            reader.keys(
                block,
                MID_CONVERSATION_SYSTEM,
                origin,
                &mut |reader, _, value| {
                    content(reader, value, &system, calls);
                },
            );
        }
        Some("tool_addition" | "tool_removal") => {
            reader.keys(block, TOOL_CHANGE, origin, &mut |reader, _, value| {
                tools::changed_tool(reader, value);
            });
        }
        Some("mcp_tool_listing") => {
            reader.keys(block, TOOL_LISTING, origin, &mut |reader, _, value| {
                reader.array(value, tools::listed_tool);
            });
        }
        Some("fallback") => reader.known(block, FALLBACK, origin),
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
    reader.keys(block, MEDIUM, &speaker.origin, &mut |reader, _, value| {
        source(reader, value, speaker, calls, count);
    });
}

const BASE64: &[Key] = &[
    ("type", Is::Word(&["base64"])),
    ("media_type", Is::Own),
    ("data", Is::Own),
];
const URL: &[Key] = &[("type", Is::Word(&["url"])), ("url", Is::Url)];
const FILE: &[Key] = &[("type", Is::Word(&["file"])), ("file_id", Is::State)];
const PLAIN: &[Key] = &[
    ("type", Is::Word(&["text"])),
    ("media_type", Is::Word(&["text/plain"])),
    ("data", Is::Text(Part::Other)),
];
const NESTED: &[Key] = &[("type", Is::Word(&["content"])), ("content", Is::Own)];

/// Where a medium's bytes or words stand. What can be read is counted; what can't is uninspectable too.
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
            reader.known(source, PLAIN, origin);
        }
        Some("content") => {
            reader.count_attachment(count);
            reader.keys(source, NESTED, origin, &mut |reader, _, value| {
                content(reader, value, &aside, calls);
            });
        }
        Some("base64") => {
            let media_type = source.get("media_type");
            let textual = media_type
                .and_then(|kind| kind.text())
                .is_some_and(|kind| is_textual(&kind));
            reader.keys(
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
            reader.known(source, URL, origin);
        }
        Some("file") => {
            reader.attachment(source, count);
            reader.known(source, FILE, origin);
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
    reader.keys(
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
        other.retold = true;
        reader.reading.add(other);
    }
    let id = block.get("id").and_then(|id| id.text());
    if let (Some(name), Some(id)) = (call.tell(reader), id) {
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
    reader.keys(block, RESULT, &tool.origin, &mut |reader, _, value| {
        let start = reader.text_count();
        match provider {
            Some(_) => provider_result(reader, value, &tool, calls),
            None => content(reader, value, &tool, calls),
        }
        held = Some((value, start..reader.text_count()));
    });
    let Some((value, texts)) = held else {
        reader.reading.add(event);
        return;
    };
    event.at = value.place();
    event.texts = texts;
    reader.tell_result(event, value, &|element| element.get("text"));
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
            reader.keys(
                value,
                PROVIDER_RESULT,
                &speaker.origin,
                &mut |reader, _, value| provider_result(reader, value, speaker, calls),
            );
        }
        _ => reader.wrong_type(value, "a result"),
    }
}
