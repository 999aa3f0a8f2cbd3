//! Content blocks of Converse: each is an object with one member that determines its kind. All members are read, in any
//! combination.

use crate::event::{Attachments, Author, Event, Kind, Known, Part, Turn};
use crate::protocol::conversation::{Attribution, Calls, emit_attributed};
use crate::protocol::reader::{CallBuilder, Origin, Reader, Row, Type, is_textual};
use crate::wire::json::Value;
use std::ops::Range;

pub(super) const CACHE_POINT: Type = Type::Object(&[
    ("type", Type::Word("default")),
    ("ttl", Type::Word("5m|1h")),
]);

const CONTENT: &[Row] = &[
    ("text", Type::Custom),
    ("image", Type::Custom),
    ("document", Type::Custom),
    ("video", Type::Custom),
    ("audio", Type::Custom),
    ("toolUse", Type::Custom),
    ("toolResult", Type::Custom),
    ("guardContent", Type::Custom),
    ("reasoningContent", Type::Custom),
    ("citationsContent", Type::Custom),
    ("searchResult", Type::Custom),
    ("json", Type::Custom),
    ("toolAddition", Type::Object(&[("tool", TOOL_REFERENCE)])),
    ("toolRemoval", Type::Object(&[("tool", TOOL_REFERENCE)])),
    ("cachePoint", CACHE_POINT),
];
/// Tools that are added or removed in the middle of a conversation, by name; their definitions are in `toolConfig`.
const TOOL_REFERENCE: Type = Type::Object(&[
    (
        "type",
        Type::Word("tool_reference|mcp_tool_reference|mcp_toolset_reference"),
    ),
    ("name", Type::Name),
    ("serverName", Type::Name),
]);
const FORMATS: &str = "png|jpeg|gif|webp|pdf|csv|doc|docx|xls|xlsx|html|txt|md|mkv|mov|mp4|webm|flv|\
     mpeg|mpg|wmv|three_gp|mp3|opus|wav|aac|flac|ogg|mka|m4a|pcm|x-aac|mpga";
const FILE: &[Row] = &[
    ("format", Type::Word(FORMATS)),
    ("source", Type::Custom),
    ("name", Type::Text(Part::Other)),
    ("context", Type::Text(Part::Other)),
    ("citations", Type::Object(&[("enabled", Type::Flag)])),
    (
        "error",
        Type::Object(&[("message", Type::Text(Part::Other))]),
    ),
];
const SOURCE: &[Row] = &[
    ("bytes", Type::Custom),
    (
        "s3Location",
        Type::Object(&[("uri", Type::Url), ("bucketOwner", Type::Id)]),
    ),
    ("text", Type::Text(Part::Other)),
    (
        "content",
        Type::List(&Type::Object(&[("text", Type::Text(Part::Other))])),
    ),
];
const SEARCH_RESULT: &[Row] = &[
    ("source", Type::Text(Part::Other)),
    ("title", Type::Text(Part::Other)),
    (
        "content",
        Type::List(&Type::Object(&[("text", Type::Text(Part::Other))])),
    ),
    ("citations", Type::Object(&[("enabled", Type::Flag)])),
];
const CITATIONS: &[Row] = &[
    (
        "content",
        Type::List(&Type::Object(&[("text", Type::Text(Part::Text))])),
    ),
    ("citations", Type::List(&Type::Object(CITATION))),
];
pub(super) const CITATION: &[Row] = &[
    ("title", Type::Text(Part::Other)),
    ("source", Type::Text(Part::Other)),
    (
        "sourceContent",
        Type::List(&Type::Object(&[("text", Type::Text(Part::Other))])),
    ),
    ("location", Type::Tree(Part::Other)),
];
const REASONING: &[Row] = &[
    (
        "reasoningText",
        Type::Object(&[
            ("text", Type::Text(Part::Reasoning)),
            ("signature", Type::Opaque),
        ]),
    ),
    ("redactedContent", Type::Opaque),
];

/// Reads a list of content blocks.
pub(super) fn blocks(
    reader: &mut Reader<'_>,
    list: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
) {
    reader.array(list, |reader, element| {
        block(reader, element, speaker, calls)
    });
}

fn block(reader: &mut Reader<'_>, block: Value<'_>, speaker: &Attribution, calls: &mut Calls) {
    reader.rows(
        block,
        CONTENT,
        &speaker.origin,
        &mut |reader, key, value| {
            if value.is_null() {
                reader.claim(value);
                return;
            }
            match key {
                "text" => emit_attributed(reader, value, speaker),
                "image" => file(reader, value, speaker, |count| &mut count.image),
                "document" | "video" => file(reader, value, speaker, |count| &mut count.file),
                "audio" => file(reader, value, speaker, |count| &mut count.audio),
                "toolUse" => call(reader, block, value, speaker, calls),
                "toolResult" => result(reader, value, speaker, calls),
                "guardContent" => guarded(reader, value, speaker),
                // The signature covers the text.
                "reasoningContent" => reader.in_signed(true, |reader| {
                    reader.plain_rows(value, REASONING, &speaker.origin);
                }),
                "citationsContent" => reader.plain_rows(value, CITATIONS, &speaker.origin),
                "searchResult" => reader.plain_rows(value, SEARCH_RESULT, &speaker.origin),
                // Result of a tool as data.
                _ => {
                    let texts = reader.tree(value);
                    if speaker.is_result && speaker.origin.part == Part::Text {
                        reader.emit_duplicate(value, texts, &speaker.origin);
                    } else {
                        reader.emit_text(value, texts, &speaker.origin);
                    }
                }
            }
        },
    );
}

/// Reads text that a guardrail of Bedrock inspects; it is read like any other text.
pub(super) fn guarded(reader: &mut Reader<'_>, value: Value<'_>, speaker: &Attribution) {
    const GUARDED: &[Row] = &[("text", Type::Custom), ("image", Type::Custom)];
    const TEXT: &[Row] = &[
        ("text", Type::Custom),
        (
            "qualifiers",
            Type::List(&Type::Word("grounding_source|query|guard_content")),
        ),
    ];
    let origin = &speaker.origin;
    reader.rows(
        value,
        GUARDED,
        origin,
        &mut |reader, key, value| match key {
            "text" => reader.rows(value, TEXT, origin, &mut |reader, _, value| {
                emit_attributed(reader, value, speaker);
            }),
            _ => file(reader, value, speaker, |count| &mut count.image),
        },
    );
}

/// Reads an image, a document, a video or audio.
pub(super) fn file(
    reader: &mut Reader<'_>,
    file: Value<'_>,
    speaker: &Attribution,
    count: fn(&mut Attachments) -> &mut u32,
) {
    let origin = speaker.origin.with_part(Part::Other);
    let is_text = file
        .get("format")
        .and_then(|format| format.text())
        .is_some_and(|format| is_textual(&format));
    let mut is_counted = false;
    reader.rows(file, FILE, &origin, &mut |reader, _, source| {
        reader.rows(source, SOURCE, &origin, &mut |reader, _, bytes| {
            reader.file_bytes(bytes, is_text, file, count, &origin);
            is_counted = true;
        });
    });
    let is_elsewhere = file
        .get("source")
        .and_then(|source| source.get("s3Location"))
        .is_some_and(|location| !location.is_null());
    if is_elsewhere {
        reader.attachment(file, count);
    } else if !is_counted {
        // A text, a list of texts, or only a name: all of it is read.
        reader.count_attachment(count);
    }
}

fn call(
    reader: &mut Reader<'_>,
    block: Value<'_>,
    value: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
) {
    const CALL: &[Row] = &[
        ("toolUseId", Type::Id),
        ("name", Type::Custom),
        ("input", Type::Custom),
        ("type", Type::Word("tool_use|server_tool_use")),
    ];
    let mut call = CallBuilder::at(reader, block);
    call.event.choice = speaker.origin.choice;
    call.event.provider_run = value
        .get("type")
        .is_some_and(|kind| kind.is_text(SERVER_CALL));
    call.event.turn = match speaker.origin.from {
        Known::Missing => Turn::Latest,
        _ if call.event.provider_run => Turn::Earlier,
        _ => speaker.calls,
    };
    reader.rows(
        value,
        CALL,
        &speaker.origin,
        &mut |reader, key, value| match key {
            "name" => call.name(reader, value),
            _ => {
                let given = reader.any_arguments(value);
                call.given(reader, value, given);
            }
        },
    );
    let id = value.get("toolUseId").and_then(|id| id.text());
    if let (Some(name), Some(id)) = (call.add(reader), id) {
        calls.add(&id, &name);
    }
}

/// Type of a call that the provider runs.
pub(super) const SERVER_CALL: &str = "server_tool_use";

fn result(reader: &mut Reader<'_>, value: Value<'_>, speaker: &Attribution, calls: &mut Calls) {
    const RESULT: &[Row] = &[
        ("toolUseId", Type::Id),
        ("content", Type::Custom),
        ("status", Type::Word("success|error")),
        ("type", Type::Id),
    ];
    let called = value
        .get("toolUseId")
        .and_then(|id| id.text())
        .and_then(|id| calls.answer(&id));
    let mut event = Event::new(Kind::ToolResult, reader.direction(), value.place());
    event.turn = speaker.origin.turn;
    event.choice = speaker.origin.choice;
    event.tool = called.unwrap_or(Known::Unknown);
    let is_error = value
        .get("status")
        .is_some_and(|status| status.is_text("error"));
    event.ok = Known::Is(!is_error);
    // Results of the provider's own tools are in its response, with a type that contains the tool.
    event.provider_run = speaker.origin.from == Known::Missing
        || value.get("type").is_some_and(|kind| !kind.is_null());
    let tool = speaker.tool(match speaker.origin.from {
        Known::Missing => Part::Other,
        _ => Part::Text,
    });
    event.from = tool.origin.from.clone();
    let mut held: Option<(Value<'_>, Range<u32>)> = None;
    reader.rows(value, RESULT, &tool.origin, &mut |reader, _, value| {
        let start = reader.text_count();
        blocks(reader, value, &tool, calls);
        held = Some((value, start..reader.text_count()));
    });
    reader.rest_of_result(&event, value);
    let Some((content, texts)) = held else {
        reader.reading.add(event);
        return;
    };
    event.at = content.place();
    event.texts = texts;
    reader.add_result(event, content, &|element| {
        element.get("json").or_else(|| element.get("text"))
    });
}

/// Returns the origin of texts beside the messages.
pub(super) fn beside() -> Origin {
    Origin::of(Author::System, Part::Other)
}
