//! Contents and their parts. A part is an object with one member that determines its kind. All members are read, in
//! any combination.

use crate::event::{Attachments, Author, Event, Kind, Known, Part, Turn};
use crate::protocol::conversation::{Attribution, Calls, TurnRole, Turns, emit_attributed};
use crate::protocol::reader::{CallBuilder, Origin, Reader, Row, Type, is_textual};
use crate::wire::json::{self, Value};
use crate::wire::letter_case;

pub(super) const CONTENT: &[Row] = &[("role", Type::Custom), ("parts", Type::Custom)];
const PART: &[Row] = &[
    ("text", Type::Custom),
    ("inlineData", Type::Custom),
    ("fileData", Type::Custom),
    ("functionCall", Type::Custom),
    ("functionResponse", Type::Custom),
    ("executableCode", Type::Custom),
    ("codeExecutionResult", Type::Custom),
    ("toolCall", Type::Custom),
    ("toolResponse", Type::Custom),
    ("thought", Type::Flag),
    ("thoughtSignature", Type::Opaque),
    (
        "videoMetadata",
        Type::Object(&[
            ("fps", Type::Number),
            ("startOffset", Type::Id),
            ("endOffset", Type::Id),
        ]),
    ),
    (
        "mediaResolution",
        Type::Object(&[("level", Type::Constant), ("numTokens", Type::Number)]),
    ),
    ("partMetadata", Type::Tree(Part::Other)),
    (
        "audioTranscription",
        Type::Object(&[("text", Type::Text(Part::Transcript))]),
    ),
];

/// Reads a list, or its only element in its place.
pub(super) fn one_or_many<'v>(
    reader: &mut Reader<'_>,
    value: Value<'v>,
    mut read: impl FnMut(&mut Reader<'_>, Value<'v>),
) {
    if value.kind() == json::ValueKind::Object {
        read(reader, value);
    } else {
        reader.array(value, read);
    }
}

fn role_of(reader: &Reader<'_>, content: Value<'_>) -> Known<Author> {
    match reader
        .get(content, "role")
        .and_then(|role| role.text())
        .as_deref()
    {
        // A missing role is that of the user.
        Some("user") | None => Known::Is(Author::User),
        Some("model") => Known::Is(Author::Assistant),
        // Role, in older versions, of the turn with the response of a function.
        Some("function") => Known::Is(Author::User),
        Some("system") => Known::Is(Author::System),
        _ => Known::Unknown,
    }
}

/// Reads the contents of a conversation.
pub(in crate::protocol) fn contents(reader: &mut Reader<'_>, value: Value<'_>) {
    let single = (value.kind() == json::ValueKind::Object).then_some(value);
    let holds_result = |content: Value<'_>| {
        let parts = content.get("parts");
        let single = parts.filter(|parts| parts.kind() == json::ValueKind::Object);
        parts
            .into_iter()
            .flat_map(|parts| parts.elements())
            .chain(single)
            .any(|part| {
                part.get("functionResponse")
                    .or_else(|| part.get("function_response"))
                    .is_some()
            })
    };
    let roles = value
        .elements()
        .chain(single)
        .map(|content| TurnRole::of(&role_of(reader, content), holds_result(content)));
    let turns = Turns::of(roles);
    let mut calls = Calls::default();
    let read = &mut |reader: &mut Reader<'_>, content, at, calls: &mut Calls| {
        let from = role_of(reader, content);
        reader.reading.count_message(&from);
        let speaker = turns.attribution(from, at);
        read_content(reader, content, &speaker, calls);
    };
    match value.kind() {
        json::ValueKind::Object => read(reader, value, 0, &mut calls),
        _ => reader.conversation(value, "gemini.contents", &turns, &mut calls, read),
    }
}

/// Reads content by one author, whatever its role: a system instruction, or a text to embed, which has no author in a
/// conversation.
pub(in crate::protocol) fn contents_by(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    from: Known<Author>,
) {
    let speaker = Attribution {
        origin: Origin::new(from, Part::Text, Turn::Latest),
        calls: Turn::Earlier,
        is_result: false,
    };
    one_or_many(reader, value, |reader, content| {
        read_content(reader, content, &speaker, &mut Calls::default());
    });
}

/// Returns the origin of texts without an author in a conversation.
pub(in crate::protocol) fn unspoken() -> Origin {
    Origin {
        from: Known::Unknown,
        ..Origin::of(Author::User, Part::Text)
    }
}

/// Reads one content: a role and parts.
pub(super) fn read_content(
    reader: &mut Reader<'_>,
    content: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
) {
    reader.rows(
        content,
        CONTENT,
        &speaker.origin,
        &mut |reader, key, value| match key {
            "role" => role(reader, value),
            _ => one_or_many(reader, value, |reader, part| {
                read_part(reader, part, speaker, calls);
            }),
        },
    );
}

pub(super) fn role(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::ValueKind::String => reader.word(value, "user|model|function|system"),
        json::ValueKind::Null => reader.claim(value),
        _ => reader.wrong_type(value, "a string"),
    }
}

/// Reads one part. Its text continues in other frames if the origin contains a number; everything else in it is
/// complete.
///
/// A `thoughtSignature` beside it is not a signature over the part. Google calls it an encrypted save state of the
/// model's reasoning, requires it back and checks nothing else. Members beside it are edited like those of any other
/// part, so that a history with redacted arguments can continue.
pub(super) fn read_part(
    reader: &mut Reader<'_>,
    part: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
) {
    let said = &speaker.origin;
    let speaker = &Attribution {
        origin: said.whole(),
        ..*speaker
    };
    let is_thought = reader
        .get(part, "thought")
        .and_then(|thought| thought.as_bool())
        .unwrap_or(false);
    reader.rows(
        part,
        PART,
        &speaker.origin,
        &mut |reader, key, value| match key {
            _ if value.is_null() => reader.claim(value),
            "text" if is_thought => {
                reader.text(value, &said.with_part(Part::Reasoning));
            }
            "text" if said.piece_of.is_some() => {
                reader.text(value, said);
            }
            "text" => emit_attributed(reader, value, speaker),
            "inlineData" | "fileData" => file(reader, value, speaker, true),
            "functionCall" => call(reader, part, value, speaker, calls),
            "functionResponse" => function_response(reader, value, speaker, calls),
            "executableCode" => {
                provider_call(reader, part, value, speaker, "codeExecution");
            }
            "codeExecutionResult" => {
                provider_result(reader, value, speaker, Some("codeExecution"));
            }
            "toolCall" => {
                let name = tool_type(reader, value);
                provider_call(reader, part, value, speaker, &name);
            }
            _ => {
                let name = tool_type(reader, value);
                provider_result(reader, value, speaker, Some(&name));
            }
        },
    );
}

/// Reads bytes, or their location. Bytes in the response of a function are reported as uninspectable and not counted
/// among the parts of the conversation.
fn file(reader: &mut Reader<'_>, file: Value<'_>, speaker: &Attribution, is_part: bool) {
    const FILE: &[Row] = &[
        ("mimeType", Type::Custom),
        ("data", Type::Custom),
        ("fileUri", Type::Url),
        ("displayName", Type::Text(Part::Other)),
    ];
    let kind = reader.get(file, "mimeType").and_then(|kind| kind.text());
    let kind = letter_case::ascii_lower(&kind.unwrap_or_default());
    let count: fn(&mut Attachments) -> &mut u32 = if !is_part {
        |count| &mut count.beside
    } else if kind.starts_with("image/") {
        |count| &mut count.image
    } else if kind.starts_with("audio/") {
        |count| &mut count.audio
    } else {
        |count| &mut count.file
    };
    let origin = speaker.origin.with_part(Part::Other);
    let mut has_bytes = false;
    reader.rows(file, FILE, &origin, &mut |reader, key, value| match key {
        "mimeType" => reader.media_type(value),
        _ => {
            has_bytes = true;
            reader.file_bytes(value, is_textual(&kind), file, count, &origin);
        }
    });
    if !has_bytes {
        reader.attachment(file, count);
    }
}

fn call(
    reader: &mut Reader<'_>,
    part: Value<'_>,
    value: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
) {
    const CALL: &[Row] = &[
        ("id", Type::Id),
        ("name", Type::Custom),
        ("args", Type::Custom),
        ("willContinue", Type::Flag),
        ("partialArgs", Type::Custom),
    ];
    let mut call = CallBuilder::at(reader, part);
    call.event.choice = speaker.origin.choice;
    call.event.turn = speaker.calls;
    reader.rows(
        value,
        CALL,
        &speaker.origin,
        &mut |reader, key, value| match key {
            "name" => call.name(reader, value),
            "args" => call.arguments(reader, value),
            // Arguments in pieces, whose names are in paths.
            _ => {
                reader.uninspectable(value, "arguments");
                let texts = reader.tree(value);
                call.given(reader, value, (Known::Unknown, texts));
            }
        },
    );
    let id = reader.get(value, "id").and_then(|id| id.text());
    if let Some(name) = call.add(reader) {
        // Calls without an id are found by their name.
        let key = id.as_deref().filter(|id| !id.is_empty()).unwrap_or("");
        calls.add(&key_of(key, &name), &name);
    }
}

/// Returns the key of a call: its id; without one, its name, separated from ids by a character that no id contains.
fn key_of(id: &str, name: &str) -> Box<str> {
    if id.is_empty() {
        format!("\n{name}").into()
    } else {
        id.into()
    }
}

fn function_response(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
) {
    const RESPONSE: &[Row] = &[
        ("id", Type::Id),
        ("name", Type::Custom),
        ("response", Type::Custom),
        ("parts", Type::Custom),
        ("willContinue", Type::Flag),
        ("scheduling", Type::Constant),
    ];
    const PART: &[Row] = &[
        ("inlineData", Type::Custom),
        ("fileData", Type::Custom),
        ("mediaProcessing", Type::Tree(Part::Other)),
    ];
    let id = reader.get(value, "id").and_then(|id| id.text());
    let tool = speaker.tool(Part::Text);
    let mut event = Event::new(Kind::ToolResult, reader.direction(), value.place());
    event.turn = speaker.origin.turn;
    event.choice = speaker.origin.choice;
    event.from = tool.origin.from.clone();
    event.tool = Known::Unknown;
    let mut name: Option<Box<str>> = None;
    let mut said = None;
    let mut beside = Vec::new();
    reader.rows(
        value,
        RESPONSE,
        &tool.origin,
        &mut |reader, key, value| match key {
            "name" => name = reader.name(value).map(Box::from),
            "response" => {
                let texts = reader.tree(value);
                event.at = value.place();
                event.texts = texts.clone();
                event.result = reader.structured_result(value);
                reader.emit_duplicate(value, texts, &tool.origin);
                said = Some(value);
            }
            _ => {
                let start = reader.text_count();
                one_or_many(reader, value, |reader, part| {
                    reader.rows(part, PART, &tool.origin, &mut |reader, _, value| {
                        file(reader, value, &tool, false);
                    });
                });
                beside.push(start..reader.text_count());
            }
        },
    );
    // By its id, or by its name if the call had none. A result with another name than its call belongs to no call.
    let called = match id.as_deref() {
        Some(id) if !id.is_empty() => calls.answer(id),
        _ => None,
    };
    let called = called.or_else(|| calls.answer(&key_of("", name.as_deref()?)));
    if let (Some(Known::Is(called)), Some(name)) = (called, name)
        && called == name
    {
        event.tool = Known::Is(called);
    }
    for texts in beside {
        reader.result_beside(&event, texts);
    }
    reader.rest_of_result(&event, value);
    reader.result(event, said);
}

/// Reads a tool that the provider runs, by the constant in its calls; tool definitions use another name.
const TOOL_TYPES: &[(&str, &str)] = &[
    ("GOOGLE_SEARCH", "googleSearch"),
    ("URL_CONTEXT", "urlContext"),
    ("GOOGLE_MAPS", "googleMaps"),
    ("FILE_SEARCH", "fileSearch"),
    ("CODE_EXECUTION", "codeExecution"),
];

fn tool_type(reader: &Reader<'_>, value: Value<'_>) -> String {
    let kind = reader.get(value, "toolType").and_then(|kind| kind.text());
    let kind = kind.unwrap_or_default();
    TOOL_TYPES
        .iter()
        .find(|(prefix, _)| kind.starts_with(prefix))
        .map_or_else(|| kind.into_owned(), |(_, name)| (*name).to_owned())
}

/// Reads a call that the provider ran: a program that the model wrote, a search.
fn provider_call(
    reader: &mut Reader<'_>,
    part: Value<'_>,
    value: Value<'_>,
    speaker: &Attribution,
    name: &str,
) {
    const CALL: &[Row] = &[
        ("id", Type::Id),
        ("toolType", Type::Constant),
        ("language", Type::Constant),
        ("code", Type::Custom),
        ("args", Type::Custom),
    ];
    let mut call = CallBuilder::at(reader, part);
    call.event.choice = speaker.origin.choice;
    call.event.provider_run = true;
    if !name.is_empty() {
        call.event.tool = Known::Is(name.into());
    }
    // What ran in an earlier turn cannot be stopped any more.
    call.event.turn = match speaker.origin.from {
        Known::Missing => Turn::Latest,
        _ => Turn::Earlier,
    };
    reader.rows(
        value,
        CALL,
        &speaker.origin,
        &mut |reader, key, inner| match key {
            // The code is an argument with that name.
            "code" => {
                let texts = reader.register_text(inner, crate::event::Class::Text);
                let given = (Known::Is(value.place()), texts);
                call.given(reader, value, given);
            }
            _ => call.arguments(reader, inner),
        },
    );
    call.add(reader);
}

fn provider_result(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    speaker: &Attribution,
    name: Option<&str>,
) {
    const RESULT: &[Row] = &[
        ("id", Type::Id),
        ("toolType", Type::Constant),
        ("outcome", Type::Constant),
        ("output", Type::Custom),
        ("response", Type::Custom),
    ];
    let tool = speaker.tool(Part::Other);
    let mut event = Event::new(Kind::ToolResult, reader.direction(), value.place());
    event.turn = speaker.origin.turn;
    event.choice = speaker.origin.choice;
    event.from = tool.origin.from.clone();
    event.provider_run = true;
    event.tool = match name {
        Some(name) if !name.is_empty() => Known::Is(name.into()),
        _ => Known::Unknown,
    };
    let mut said = None;
    reader.rows(value, RESULT, &tool.origin, &mut |reader, _, value| {
        let texts = reader.tree(value);
        event.at = value.place();
        event.texts = texts.clone();
        event.result = reader.structured_result(value);
        reader.emit_text(value, texts, &tool.origin);
        said = Some(value);
    });
    reader.result(event, said);
}
