//! Content of messages, prompts, and the members beside them.

use super::CACHE_CONTROL;
use crate::event::{Attachments, Author, Class, Known, Part, Turn};
use crate::protocol::anthropic_shapes::block;
use crate::protocol::conversation::{Attribution, Calls};
use crate::protocol::reader::{CallBuilder, Origin, Reader, Row, Type, is_data_url};
use crate::wire::json::{self, Value};
use std::ops::Range;

/// Members of a part of a message's content, of OpenAI, Mistral, OpenRouter and vLLM.
const PART: &[Row] = &[
    (
        "type",
        Type::Word(
            "text|input_text|output_text|image_url|image_file|input_image|\
             input_audio|audio_url|video_url|input_video|file|input_file|\
             document_url|refusal|thinking",
        ),
    ),
    ("text", Type::Custom),
    ("refusal", Type::Text(Part::Refusal)),
    ("thinking", Type::Custom),
    ("closed", Type::Flag),
    ("image_url", Type::Custom),
    ("image_file", Type::Custom),
    ("audio_url", Type::Custom),
    ("video_url", Type::Custom),
    // DashScope: a URL, or one for each picture of a film.
    ("image", Type::Custom),
    ("audio", Type::Custom),
    ("video", Type::Custom),
    ("document_url", Type::Custom),
    ("document_name", Type::Text(Part::Other)),
    ("input_audio", Type::Custom),
    ("file", Type::Custom),
    ("detail", Type::Word(DETAIL)),
    // In deltas of an assistant's message.
    ("index", Type::Number),
    ("cache_control", CACHE_CONTROL),
    ("prompt_cache_breakpoint", CACHE_CONTROL),
];
const DETAIL: &str = "auto|low|high|original";
const URL: &[Row] = &[
    ("url", Type::Custom),
    ("file_id", Type::State),
    ("detail", Type::Word(DETAIL)),
];
const INPUT_AUDIO: &[Row] = &[("data", Type::Media), ("format", Type::Id)];
const FILE: &[Row] = &[
    ("file_id", Type::State),
    ("file_data", Type::Custom),
    ("file_url", Type::Custom),
    ("filename", Type::Text(Part::Other)),
];
const REASONING_DETAIL: &[Row] = &[
    (
        "type",
        Type::Word("reasoning.text|reasoning.summary|reasoning.encrypted"),
    ),
    ("text", Type::Text(Part::Reasoning)),
    ("summary", Type::Text(Part::Reasoning)),
    ("data", Type::Opaque),
    ("signature", Type::Opaque),
    ("id", Type::Id),
    ("format", Type::Id),
    ("index", Type::Number),
];
/// Thoughts of Anthropic's models behind LiteLLM, beside the same thoughts in `reasoning_content`.
const THINKING_BLOCK: &[Row] = &[
    ("type", Type::Word("thinking|redacted_thinking")),
    ("thinking", Type::Text(Part::Reasoning)),
    ("signature", Type::Opaque),
    ("data", Type::Opaque),
    ("cache_control", CACHE_CONTROL),
];
const AUDIO_OUT: &[Row] = &[
    ("id", Type::Id),
    ("data", Type::Custom),
    ("transcript", Type::Text(Part::Transcript)),
    ("expires_at", Type::Number),
];
/// Signature of a model behind Google's compatible endpoint.
const EXTRA_CONTENT: &[Row] = &[(
    "google",
    Type::Object(&[("thought", Type::Flag), ("thought_signature", Type::Opaque)]),
)];
const EXECUTED_TOOL: &[&str] = &["index", "type", "arguments", "output", "search_results"];

/// Members of a message with text beside its content, in requests and in responses. [`spoken`] reads those that are
/// [`Type::Custom`].
pub(crate) const SPEECH: &[Row] = &[
    ("refusal", Type::Text(Part::Refusal)),
    ("reasoning_content", Type::Custom),
    ("reasoning", Type::Custom),
    ("thinking", Type::Custom),
    ("tool_plan", Type::Custom),
    (
        "reasoning_details",
        Type::List(&Type::Object(REASONING_DETAIL)),
    ),
    ("audio", Type::Object(AUDIO_OUT)),
    ("annotations", Type::Tree(Part::Other)),
    ("citations", Type::Tree(Part::Other)),
    ("search_results", Type::Tree(Part::Other)),
    // Findings of Azure's own search.
    ("context", Type::Tree(Part::Other)),
    ("images", Type::Custom),
    ("executed_tools", Type::Custom),
    ("extra_content", Type::Object(EXTRA_CONTENT)),
    ("thought_signature", Type::Opaque),
    ("cache_control", CACHE_CONTROL),
    ("prefix", Type::Flag),
    ("partial", Type::Flag),
    ("weight", Type::Number),
    ("thinking_blocks", Type::List(&Type::Object(THINKING_BLOCK))),
];

/// Reads a member of [`SPEECH`] that has code of its own.
pub(crate) fn spoken(reader: &mut Reader<'_>, key: &str, value: Value<'_>, origin: &Origin) {
    match (key, value.kind()) {
        (_, json::ValueKind::Null) => reader.claim(value),
        // `reasoning_content` is that of DeepSeek, z.ai and vLLM; `reasoning` that of Groq, Cerebras, Ollama and
        // OpenRouter; `tool_plan` that of Cohere's compatible endpoint.
        ("reasoning_content" | "reasoning" | "thinking" | "tool_plan", json::ValueKind::String) => {
            reader.text(value, &origin.with_part(Part::Reasoning));
        }
        ("data", json::ValueKind::String) => {
            reader.media(value);
            if !value.raw_content().is_empty() {
                reader.attachment(value, |count| &mut count.audio);
            }
        }
        // OpenRouter: images that the model generated.
        ("images", json::ValueKind::Array) => {
            reader.array(value, |reader, part| {
                content_part(reader, part, origin, false);
            });
        }
        ("executed_tools", json::ValueKind::Array) => executed_tools(reader, value, origin),
        _ => {}
    }
}

/// Reads the calls that Groq's compound models have run themselves.
fn executed_tools(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    reader.array(value, |reader, call| {
        let mut builder = CallBuilder::at(reader, call);
        builder.event.turn = origin.turn;
        builder.event.choice = origin.choice;
        builder.event.provider_run = true;
        reader.object(call, EXECUTED_TOOL, |reader, key, value| match key {
            "type" => builder.name(reader, value),
            "arguments" => builder.arguments(reader, value),
            "index" => reader.claim(value),
            _ => {
                let texts = reader.tree(value);
                reader.emit_text(value, texts, &origin.with_part(Part::Other));
            }
        });
        builder.add(reader);
    });
}

/// Reads the content of a message: a text, `null`, or a list of parts.
pub(crate) fn content(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    content_texts(reader, value, origin);
}

/// Reads content in the same way and returns the numbers of its texts. A result's texts come before the names of its
/// files and the like.
pub(crate) fn content_texts(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    origin: &Origin,
) -> Range<u32> {
    let start = reader.text_count();
    let is_result = origin.from == Known::Is(Author::Tool);
    match value.kind() {
        json::ValueKind::String => message_text(reader, value, origin, is_result),
        json::ValueKind::Null => reader.claim(value),
        json::ValueKind::Array => {
            reader.claim(value);
            let is_attached = |part: &Value<'_>| {
                is_result && part.kind() == json::ValueKind::Object && part.get("text").is_none()
            };
            for part in value.elements().filter(|part| !is_attached(part)) {
                content_part(reader, part, origin, is_result);
            }
            let texts = start..reader.text_count();
            for part in value.elements().filter(is_attached) {
                content_part(reader, part, origin, is_result);
            }
            return texts;
        }
        _ => reader.wrong_type(value, "a string or a list of parts"),
    }
    start..reader.text_count()
}

/// Reads a text of a message. A result's event contains its text.
pub(crate) fn message_text(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    origin: &Origin,
    is_result: bool,
) {
    let texts = reader.register_text(value, Class::Text);
    if is_result {
        reader.emit_duplicate(value, texts, origin);
    } else {
        reader.emit_text(value, texts, origin);
    }
}

/// Reads one part of a message's content.
pub(crate) fn content_part(
    reader: &mut Reader<'_>,
    part: Value<'_>,
    origin: &Origin,
    is_result: bool,
) {
    // Some servers accept strings in the list.
    if part.kind() == json::ValueKind::String {
        message_text(reader, part, origin, is_result);
        return;
    }
    // Clients of Claude send its blocks to this API as well, and gateways pass them on.
    let kind = part.get("type");
    if kind.is_some_and(|kind| kind.is_text("tool_use") || kind.is_text("tool_result")) {
        let speaker = Attribution {
            origin: origin.clone(),
            // A call of a request has run.
            calls: match origin.from {
                Known::Missing => Turn::Latest,
                _ => Turn::Earlier,
            },
            is_result: false,
        };
        block(reader, part, &speaker, &mut Calls::default());
        return;
    }
    reader.rows(part, PART, origin, &mut |reader, key, value| match key {
        "text" => match value.kind() {
            // Assistants: `{value, annotations}`.
            json::ValueKind::Object => reader.object(
                value,
                &["value", "annotations"],
                |reader, key, value| match key {
                    "value" => message_text(reader, value, origin, is_result),
                    _ => {
                        let texts = reader.tree(value);
                        reader.emit_text(value, texts, &origin.with_part(Part::Other).whole());
                    }
                },
            ),
            _ => message_text(reader, value, origin, is_result),
        },
        // Mistral: a list of text parts, or a text.
        "thinking" => content(reader, value, &origin.with_part(Part::Reasoning)),
        "image_url" | "image" => {
            attached(reader, part, value, origin, Some(|count| &mut count.image));
        }
        "audio_url" | "audio" => {
            attached(reader, part, value, origin, Some(|count| &mut count.audio));
        }
        "document_url" => attached(reader, part, value, origin, Some(|count| &mut count.file)),
        "video" if value.kind() == json::ValueKind::Array => {
            reader.uninspectable(part, "attachment");
            reader.array(value, |reader, picture| {
                url(reader, picture, origin);
            });
        }
        // Neither image nor file nor audio.
        "video_url" | "video" => attached(reader, part, value, origin, None),
        "image_file" => {
            reader.attachment(part, |count| &mut count.image);
            reader.plain_rows(value, URL, origin);
        }
        "input_audio" => {
            reader.attachment(value, |count| &mut count.audio);
            match value.kind() {
                // Mistral: base64, or a URL.
                json::ValueKind::String => reader.url(value, origin),
                _ => reader.plain_rows(value, INPUT_AUDIO, origin),
            }
        }
        _ => file(reader, value, origin),
    });
}

/// Reads a URL of a part, or an object that contains one.
fn attached(
    reader: &mut Reader<'_>,
    part: Value<'_>,
    value: Value<'_>,
    origin: &Origin,
    count: Option<fn(&mut Attachments) -> &mut u32>,
) {
    if value.is_null() {
        reader.claim(value);
        return;
    }
    if let Some(count) = count {
        let counter = count(&mut reader.reading.attachments);
        *counter = counter.saturating_add(1);
    }
    let mut is_read = false;
    match value.kind() {
        json::ValueKind::String => is_read = url(reader, value, origin),
        _ => reader.rows(value, URL, origin, &mut |reader, _, value| {
            is_read = url(reader, value, origin);
        }),
    }
    if !is_read {
        reader.uninspectable(part, "attachment");
    }
}

/// Reads a URL of an attachment; returns whether it contains the text itself.
pub(super) fn url(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) -> bool {
    let is_read = reader.data_text(value, origin);
    if !is_read {
        reader.url(value, origin);
    }
    is_read
}

fn file(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    let mut is_read = false;
    let counter = &mut reader.reading.attachments.file;
    *counter = counter.saturating_add(1);
    reader.rows(value, FILE, origin, &mut |reader, key, data| {
        // Some servers take base64 without a `data:` URL around it.
        if key == "file_data" && !is_data_url(data) {
            reader.media(data);
        }
        if !reader.is_claimed_value(data) {
            is_read = url(reader, data, origin);
        }
    });
    if !is_read {
        reader.uninspectable(value, "attachment");
    }
}

/// Reads the input of a completion, an embedding or a classification: a text, tokens, parts, or a list of those. Tokens
/// cannot be read.
pub(crate) fn inputs(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    match value.kind() {
        json::ValueKind::String => {
            reader.text(value, origin);
        }
        json::ValueKind::Array => {
            reader.claim(value);
            // Each of several prompts is answered; numbers are the tokens of one.
            let second = value.elements().nth(1);
            reader.reading.asks_for_several |=
                second.is_some_and(|second| second.kind() != json::ValueKind::Number);
            let mut has_tokens = false;
            for element in value.elements() {
                match element.kind() {
                    json::ValueKind::Number => {
                        reader.claim(element);
                        has_tokens = true;
                    }
                    _ => inputs(reader, element, origin),
                }
            }
            if has_tokens {
                reader.uninspectable(value, "token_ids");
            }
        }
        json::ValueKind::Object => {
            // Jina and OpenRouter: `{content: […]}`, `{image: …}`; otherwise a part as in a message.
            match value.get("content") {
                Some(_) => reader.object(value, &["content"], |reader, _, value| {
                    inputs(reader, value, origin);
                }),
                None => content_part(reader, value, origin, false),
            }
        }
        json::ValueKind::Null => reader.claim(value),
        _ => reader.wrong_type(value, "a string, tokens or a list of those"),
    }
}
