//! Shapes that OpenAI's formats and their compatible servers share: content parts, definitions of tools, calls, usage, errors.

use super::reader::{Origin, Reader};
use crate::diag::codes;
use crate::event::{Author, Class, Event, Kind, Known, Part, Turn};
use crate::wire::json::{self, Value};
use std::ops::Range;

const CONTENT_PART: &[&str] = &[
    "type",
    "text",
    "image_url",
    "input_audio",
    "file",
    "document_url",
    "document_name",
    "refusal",
    "thinking",
];
const IMAGE_URL: &[&str] = &["url", "detail"];
const INPUT_AUDIO: &[&str] = &["data", "format"];
const FILE: &[&str] = &["file_id", "file_data", "filename"];
const TOOL: &[&str] = &["type", "function", "custom"];
pub(super) const FUNCTION: &[&str] = &["name", "description", "parameters", "strict"];
const CUSTOM: &[&str] = &["name", "description", "format"];
const TOOL_CHOICE: &[&str] = &[
    "type",
    "mode",
    "name",
    "function",
    "custom",
    "allowed_tools",
    "tools",
];
const TOOL_CALL: &[&str] = &["id", "type", "function", "custom", "index"];
const CALLED_FUNCTION: &[&str] = &["name", "arguments"];
const CALLED_CUSTOM: &[&str] = &["name", "input"];
const RESPONSE_FORMAT: &[&str] = &["type", "json_schema"];
const JSON_SCHEMA: &[&str] = &["name", "description", "schema", "strict"];
const REASONING_DETAIL: &[&str] = &[
    "type",
    "text",
    "summary",
    "data",
    "signature",
    "id",
    "format",
    "index",
];
const AUDIO_OUT: &[&str] = &["id", "data", "transcript", "expires_at"];
const USAGE: &[&str] = &[
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
];
const ERROR: &[&str] = &["message", "type", "param", "code"];

/// Members that messages of a request and of a response share.
pub(super) fn spoken(reader: &mut Reader<'_>, key: &str, value: Value<'_>, origin: &Origin) {
    match key {
        "refusal" => {
            reader.text(value, &origin.with_part(Part::Refusal));
        }
        // DeepSeek, z.ai and vLLM say `reasoning_content`; Groq, Cerebras, Ollama and OpenRouter `reasoning`.
        "reasoning_content" | "reasoning" if value.kind() == json::Kind::String => {
            reader.text(value, &origin.with_part(Part::Reasoning));
        }
        "reasoning_details" if value.kind() == json::Kind::Array => {
            reader.array(value, |reader, detail| {
                reasoning_detail(reader, detail, origin)
            });
        }
        "audio" => {
            reader.object(value, AUDIO_OUT, |reader, key, value| match key {
                "transcript" => {
                    reader.text(value, &origin.with_part(Part::Transcript));
                }
                "data" => {
                    reader.media(value);
                    if !value.raw_content().is_empty() {
                        reader.attachment(value, |count| &mut count.audio);
                    }
                }
                "id" => reader.id(value),
                _ => reader.claim(value),
            });
        }
        "annotations" => {
            let texts = reader.tree(value);
            reader.tell(value, texts, &origin.with_part(Part::Other));
        }
        _ => {}
    }
}

/// OpenRouter: `{type: reasoning.text | reasoning.summary | reasoning.encrypted, …}`.
fn reasoning_detail(reader: &mut Reader<'_>, detail: Value<'_>, origin: &Origin) {
    reader.object(detail, REASONING_DETAIL, |reader, key, value| match key {
        "type" => reader.word(
            value,
            &["reasoning.text", "reasoning.summary", "reasoning.encrypted"],
        ),
        "text" | "summary" => {
            reader.text(value, &origin.with_part(Part::Reasoning));
        }
        "data" | "signature" if !value.is_null() => reader.opaque(value, "opaque"),
        "id" | "format" => reader.id(value),
        _ => reader.claim(value),
    });
}

/// Content of a message: a text, nothing, or a list of parts.
pub(super) fn content(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    content_texts(reader, value, origin);
}

/// The same, and gives the numbers of the texts in it.
pub(super) fn content_texts(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    origin: &Origin,
) -> Range<u32> {
    let start = reader.text_count();
    let is_result = origin.from == Known::Is(Author::Tool);
    match value.kind() {
        json::Kind::String if is_result => {
            let texts = reader.quiet_text(value, Class::Text);
            reader.retell(value, texts, origin);
        }
        json::Kind::String => {
            reader.text(value, origin);
        }
        json::Kind::Null => reader.claim(value),
        json::Kind::Array => {
            reader.array(value, |reader, part| {
                content_part(reader, part, origin, is_result)
            });
        }
        _ => reader.wrong_type(value, "a string or a list of parts"),
    }
    start..reader.text_count()
}

fn content_part(reader: &mut Reader<'_>, part: Value<'_>, origin: &Origin, is_result: bool) {
    // Some servers take bare strings in the list.
    if part.kind() == json::Kind::String {
        reader.text(part, origin);
        return;
    }
    reader.object(part, CONTENT_PART, |reader, key, value| match key {
        "type" => reader.word(
            value,
            &[
                "text",
                "image_url",
                "input_audio",
                "file",
                "document_url",
                "refusal",
                "thinking",
            ],
        ),
        "text" => {
            let texts = reader.quiet_text(value, Class::Text);
            if is_result {
                reader.retell(value, texts, origin);
            } else {
                reader.tell(value, texts, origin);
            }
        }
        "refusal" => {
            reader.text(value, &origin.with_part(Part::Refusal));
        }
        // Mistral: a list of text parts, or a text.
        "thinking" => content(reader, value, &origin.with_part(Part::Reasoning)),
        "image_url" => {
            reader.attachment(value, |count| &mut count.image);
            match value.kind() {
                json::Kind::String => reader.url(value, origin),
                _ => reader.object(value, IMAGE_URL, |reader, key, value| match key {
                    "url" => reader.url(value, origin),
                    _ => reader.word(value, &["auto", "low", "high", "original"]),
                }),
            }
        }
        // Mistral.
        "document_url" => {
            reader.attachment(value, |count| &mut count.file);
            reader.url(value, origin);
        }
        "document_name" => {
            reader.text(value, &origin.with_part(Part::Other));
        }
        "input_audio" => {
            reader.attachment(value, |count| &mut count.audio);
            reader.object(value, INPUT_AUDIO, |reader, key, value| match key {
                "data" => reader.media(value),
                _ => reader.id(value),
            });
        }
        "file" => {
            reader.attachment(value, |count| &mut count.file);
            reader.object(value, FILE, |reader, key, value| match key {
                "file_data" => reader.url(value, origin),
                "filename" => {
                    reader.text(value, &origin.with_part(Part::Other));
                }
                _ => {
                    reader.id(value);
                    if !value.is_null() {
                        reader.uninspectable(value, "provider_state");
                    }
                }
            });
        }
        _ => {}
    });
}

pub(super) fn tool_offer(reader: &mut Reader<'_>, tool: Value<'_>) {
    let kind = tool.get("type").and_then(|kind| kind.text());
    match kind.as_deref() {
        Some("function") | None => {
            let function = tool.get("function").unwrap_or(tool);
            offer_wrapper(reader, tool);
            named_offer(reader, tool, function, FUNCTION);
        }
        Some("custom") => {
            let custom = tool.get("custom").unwrap_or(tool);
            offer_wrapper(reader, tool);
            named_offer(reader, tool, custom, CUSTOM);
        }
        Some(name) => {
            // The type is the tool's name, which rules judge; everything else in it is unknown and judged as text.
            reader.object(tool, &["type"], |reader, _, value| reader.claim(value));
            reader.provider_run_offer(tool, &[name]);
        }
    }
}

fn offer_wrapper(reader: &mut Reader<'_>, tool: Value<'_>) {
    reader.object(tool, TOOL, |reader, key, value| {
        if key == "type" {
            reader.word(value, &["function", "custom"]);
        }
    });
}

/// A tool that the client runs, with its name and its definition.
pub(super) fn named_offer(
    reader: &mut Reader<'_>,
    tool: Value<'_>,
    function: Value<'_>,
    keys: &'static [&'static str],
) {
    let mut name = Known::Unknown;
    let start = reader.text_count();
    reader.object(function, keys, |reader, key, value| match key {
        "name" => {
            if let Some(text) = reader.name(value) {
                name = Known::Is(text.into());
            }
        }
        "description" => {
            reader.quiet_text(value, Class::Text);
        }
        "strict" => {
            reader.boolean(value);
        }
        _ => {
            reader.tree(value);
        }
    });
    let texts = start..reader.text_count();
    reader.offer(tool, name, texts);
}

pub(super) fn tool_choice(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::Kind::String => {
            reader.word(value, &["none", "auto", "required", "any"]);
            reader.reading.forces_tool |= value.is_text("required") || value.is_text("any");
        }
        json::Kind::Null => reader.claim(value),
        json::Kind::Object => {
            let is_list = value
                .get("type")
                .is_some_and(|kind| kind.is_text("allowed_tools"));
            let list = value.get("allowed_tools").unwrap_or(value);
            let is_optional = list.get("mode").is_some_and(|mode| mode.is_text("auto"));
            reader.reading.forces_tool |= !(is_list && is_optional);
            named_choice(reader, value);
        }
        _ => reader.wrong_type(value, "a string or an object"),
    }
}

/// Names of tools that are offered elsewhere in the request, so that nothing in it is new to a rule.
fn named_choice(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.object(value, TOOL_CHOICE, |reader, key, value| match key {
        "type" => reader.word(value, &["function", "custom", "allowed_tools"]),
        "mode" => reader.word(value, &["auto", "required"]),
        "name" => {
            reader.name(value);
        }
        "tools" => reader.array(value, named_choice),
        _ => named_choice(reader, value),
    });
}

/// Reads one entry of `tool_calls`; gives its id and name.
pub(super) fn tool_call(
    reader: &mut Reader<'_>,
    call: Value<'_>,
    turn: Turn,
    choice: u32,
) -> Option<(Box<str>, Box<str>)> {
    let mut id = None;
    let mut name = None;
    let mut seen = false;
    reader.object(call, TOOL_CALL, |reader, key, value| match key {
        "id" => {
            id = value.text().map(Box::from);
            reader.id(value);
        }
        "type" => reader.word(value, &["function", "custom"]),
        "index" => {
            reader.number(value);
        }
        "function" => {
            seen = true;
            name = called_function(reader, call, value, turn, choice);
        }
        _ => {
            seen = true;
            name = called_custom(reader, call, value, turn, choice);
        }
    });
    if !seen && call.kind() == json::Kind::Object {
        reader.problem(codes::AG2001, call, "`function` is missing".to_owned());
    }
    Some((id?, name?))
}

/// `{name, arguments}` with the arguments as JSON in a string.
pub(super) fn called_function(
    reader: &mut Reader<'_>,
    call: Value<'_>,
    function: Value<'_>,
    turn: Turn,
    choice: u32,
) -> Option<Box<str>> {
    let mut event = Event::new(Kind::ToolCall, reader.direction(), call.place());
    event.turn = turn;
    event.choice = choice;
    event.tool = Known::Unknown;
    let mut holder = None;
    reader.object(function, CALLED_FUNCTION, |reader, key, value| match key {
        "name" => {
            if let Some(name) = reader.name(value) {
                event.tool = Known::Is(name.into());
            }
        }
        _ => {
            holder = Some(value);
            (event.args, event.texts) = reader.arguments(value);
        }
    });
    reader.call(event, holder)
}

/// `{name, input}` with free text.
fn called_custom(
    reader: &mut Reader<'_>,
    call: Value<'_>,
    custom: Value<'_>,
    turn: Turn,
    choice: u32,
) -> Option<Box<str>> {
    let mut event = Event::new(Kind::ToolCall, reader.direction(), call.place());
    event.turn = turn;
    event.choice = choice;
    event.tool = Known::Unknown;
    event.args = Known::Unknown;
    let mut holder = None;
    reader.object(custom, CALLED_CUSTOM, |reader, key, value| match key {
        "name" => {
            if let Some(name) = reader.name(value) {
                event.tool = Known::Is(name.into());
            }
        }
        _ => {
            holder = Some(value);
            event.texts = reader.quiet_text(value, Class::Text);
        }
    });
    reader.call(event, holder)
}

pub(super) fn response_format(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.object(value, RESPONSE_FORMAT, |reader, key, value| match key {
        "type" => {
            reader.word(value, &["text", "json_object", "json_schema"]);
            reader.reading.structured_output |=
                value.is_text("json_schema") || value.is_text("json_object");
        }
        _ => {
            let start = reader.text_count();
            reader.object(value, JSON_SCHEMA, |reader, key, value| match key {
                "name" => {
                    reader.name(value);
                }
                "description" => {
                    reader.quiet_text(value, Class::Text);
                }
                "strict" => {
                    reader.boolean(value);
                }
                _ => {
                    reader.tree(value);
                }
            });
            let texts = start..reader.text_count();
            reader.tell(value, texts, &Origin::of(Author::System, Part::Definition));
        }
    });
}

/// `{"error": {message, type, param, code}}`, or the bare text that xAI sends.
pub(super) fn error(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::Kind::Null => reader.claim(value),
        json::Kind::Object => {
            let kind = value
                .get("type")
                .or_else(|| value.get("code"))
                .and_then(|kind| kind.text());
            reader.reading.error = Some(kind.as_deref().unwrap_or("error").into());
            reader.object(value, ERROR, |reader, key, value| match key {
                "message" => {}
                _ if value.kind() == json::Kind::String => reader.id(value),
                _ => reader.claim(value),
            });
        }
        _ => reader.reading.error = Some("error".into()),
    }
}

pub(super) fn usage(reader: &mut Reader<'_>, value: Value<'_>) {
    if value.kind() != json::Kind::Object {
        reader.claim(value);
        return;
    }
    // Numbers only, in members that differ from server to server.
    for node in value.descendants() {
        if node.is_key || node.value.kind() != json::Kind::String {
            reader.claim(node.value);
        }
    }
    reader.object(value, USAGE, |reader, key, value| {
        let detail = |name: &str| value.get(name).and_then(|count| count.as_u64());
        let usage = &mut reader.reading.usage;
        match key {
            "prompt_tokens" => usage.input_tokens = value.as_u64(),
            "completion_tokens" => usage.output_tokens = value.as_u64(),
            "prompt_tokens_details" => usage.cached_tokens = detail("cached_tokens"),
            _ => usage.reasoning_tokens = detail("reasoning_tokens"),
        }
    });
}
