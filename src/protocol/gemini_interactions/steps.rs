//! Steps of an interaction and the contents in them: in a request its input, in a response what was done. Each kind has its
//! table: in one that is not known, nothing is claimed, and all of it is evaluated as text.

use crate::event::{Attachments, Author, Event, Kind, Known, Part, Turn};
use crate::protocol::conversation::{Attribution, Calls, TurnRole, Turns, emit_attributed};
use crate::protocol::reader::{
    CallBuilder, DESCRIPTION, Origin, Reader, Row, SCHEMA, Type, is_textual,
};
use crate::wire::json::{self, Value};

pub(super) const ANNOTATION: &[Row] = &[
    (
        "type",
        Type::Word("url_citation|file_citation|place_citation|speech_metadata|word_info"),
    ),
    ("startIndex", Type::Number),
    ("endIndex", Type::Number),
    ("pageNumber", Type::Number),
    ("title", Type::Text(Part::Other)),
    ("url", Type::Text(Part::Other)),
    ("source", Type::Text(Part::Other)),
    ("name", Type::Text(Part::Other)),
    ("text", Type::Text(Part::Other)),
    ("fileName", Type::Text(Part::Other)),
    ("documentUri", Type::Text(Part::Other)),
    ("mediaId", Type::Id),
    ("placeId", Type::Id),
    ("reviewSnippets", Type::Tree(Part::Other)),
    ("customMetadata", Type::Tree(Part::Other)),
];
const TEXT: &[Row] = &[
    ("type", Type::Word("text")),
    ("text", Type::Custom),
    ("annotations", Type::List(&Type::Object(ANNOTATION))),
];
const MEDIUM: &[Row] = &[
    ("type", Type::Word("image|audio|document|video")),
    ("data", Type::Custom),
    ("mimeType", Type::Custom),
    ("uri", Type::Url),
    ("name", Type::Text(Part::Other)),
    ("resolution", Type::Word("low|medium|high|ultra_high")),
    ("channels", Type::Number),
    ("sampleRate", Type::Number),
];
const SPOKEN: &[Row] = &[
    ("type", Type::Word("user_input|model_output")),
    ("role", Type::Word("user|model")),
    ("content", Type::Custom),
    (
        "error",
        Type::Object(&[
            ("code", Type::Number),
            ("message", Type::Text(Part::Other)),
            ("details", Type::Tree(Part::Other)),
        ]),
    ),
];
const THOUGHT: &[Row] = &[
    ("type", Type::Word("thought")),
    ("signature", Type::Opaque),
    ("summary", Type::Custom),
];

/// Returns the author of a step of the input.
fn author_of(step: Value<'_>) -> Known<Author> {
    let kind = step.get("type").and_then(|kind| kind.text());
    let role = step.get("role").and_then(|role| role.text());
    match (kind.as_deref(), role.as_deref()) {
        (Some("user_input"), _) | (None, Some("user")) => Known::Is(Author::User),
        (Some("text" | "image" | "audio" | "document" | "video"), _) => Known::Is(Author::User),
        (Some("model_output" | "thought"), _) | (None, Some("model")) => {
            Known::Is(Author::Assistant)
        }
        (Some(kind), _) if kind.ends_with("_call") => Known::Is(Author::Assistant),
        (Some(kind), _) if kind.ends_with("_result") => Known::Is(Author::Tool),
        _ => Known::Unknown,
    }
}

/// Returns whether a turn of the user has results among its contents.
fn holds_result(turn: Value<'_>) -> bool {
    let contents = turn.get("content").into_iter();
    let kinds = contents
        .flat_map(|contents| contents.elements())
        .filter_map(|content| content.get("type")?.text());
    kinds.into_iter().any(|kind| kind.ends_with("_result"))
}

/// `input`: a text, a content, or a list of contents or steps.
pub(super) fn input(reader: &mut Reader<'_>, value: Value<'_>) {
    let user = Attribution {
        origin: Origin::of(Author::User, Part::Text),
        calls: Turn::Earlier,
        is_result: false,
    };
    match value.kind() {
        json::ValueKind::String => {
            reader.reading.count_message(&user.origin.from);
            emit_attributed(reader, value, &user);
        }
        json::ValueKind::Object => {
            reader.reading.count_message(&user.origin.from);
            step(reader, value, &user, &mut Calls::default());
        }
        _ => {
            let roles = value
                .elements()
                .map(|step| TurnRole::of(&author_of(step), holds_result(step)));
            let turns = Turns::of(roles);
            let mut calls = Calls::default();
            let mut at = 0usize;
            reader.array(value, |reader, element| {
                let from = author_of(element);
                reader.reading.count_message(&from);
                let speaker = turns.attribution(from, at);
                step(reader, element, &speaker, &mut calls);
                at = at.saturating_add(1);
            });
        }
    }
}

/// The steps of a response.
pub(super) fn answer(reader: &mut Reader<'_>, value: Value<'_>) {
    let speaker = answering(Origin::answer(0));
    let mut calls = Calls::default();
    reader.array(value, |reader, element| {
        step(reader, element, &speaker, &mut calls)
    });
}

/// The model that answers.
pub(super) fn answering(origin: Origin) -> Attribution {
    Attribution {
        origin,
        calls: Turn::Latest,
        is_result: false,
    }
}

/// Reads a step, or a content in the position of a step. Its text continues in other frames if its origin has a number;
/// everything else in it is whole.
pub(super) fn step(
    reader: &mut Reader<'_>,
    step: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
) {
    if step.kind() != json::ValueKind::Object {
        reader.wrong_type(step, "a step or a content");
        return;
    }
    let kind = step.get("type").and_then(|kind| kind.text());
    let origin = &speaker.origin.whole();
    match kind.as_deref() {
        Some("user_input" | "model_output") => spoken(reader, step, speaker, calls),
        None if step.get("role").is_some() => spoken(reader, step, speaker, calls),
        // The signature covers the thought.
        Some("thought") => reader.in_signed(true, |reader| {
            let thinking = Attribution {
                origin: speaker.origin.with_part(Part::Reasoning),
                ..speaker.clone()
            };
            reader.rows(step, THOUGHT, origin, &mut |reader, _, summary| {
                contents(reader, summary, &thinking, calls);
            });
        }),
        Some("function_call") => call(reader, step, speaker, calls, None),
        Some("function_result") => result(reader, step, speaker, calls, None),
        Some(kind) => {
            if let Some(tool) = kind.strip_suffix("_call") {
                call(reader, step, speaker, calls, Some(tool));
            } else if let Some(tool) = kind.strip_suffix("_result") {
                result(reader, step, speaker, calls, Some(tool));
            } else {
                content(reader, step, speaker);
            }
        }
        None => {}
    }
}

fn spoken(reader: &mut Reader<'_>, step: Value<'_>, speaker: &Attribution, calls: &mut Calls) {
    let origin = speaker.origin.whole();
    reader.rows(step, SPOKEN, &origin, &mut |reader, _, value| {
        contents(reader, value, speaker, calls);
    });
}

/// A text, a content, or a list of contents. Before there were steps, calls and results were contents of turns.
pub(super) fn contents(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
) {
    match value.kind() {
        json::ValueKind::String => emit_attributed(reader, value, speaker),
        json::ValueKind::Object => step(reader, value, speaker, calls),
        _ => reader.array(value, |reader, element| match element.kind() {
            json::ValueKind::String => emit_attributed(reader, element, speaker),
            json::ValueKind::Object => step(reader, element, speaker, calls),
            _ => {}
        }),
    }
}

pub(super) fn content(reader: &mut Reader<'_>, content: Value<'_>, speaker: &Attribution) {
    let kind = content.get("type").and_then(|kind| kind.text());
    let count: fn(&mut Attachments) -> &mut u32 = match kind.as_deref() {
        Some("text") => {
            let origin = speaker.origin.whole();
            reader.rows(content, TEXT, &origin, &mut |reader, _, value| {
                emit_attributed(reader, value, speaker);
            });
            return;
        }
        Some("image") => |count| &mut count.image,
        Some("audio") => |count| &mut count.audio,
        Some("document" | "video") => |count| &mut count.file,
        _ => return,
    };
    let mime_type = reader.get(content, "mimeType").and_then(|kind| kind.text());
    let is_text = mime_type.is_some_and(|kind| is_textual(&kind));
    let origin = speaker.origin.with_part(Part::Other).whole();
    let mut has_bytes = false;
    reader.rows(
        content,
        MEDIUM,
        &origin,
        &mut |reader, key, value| match key {
            "mimeType" => reader.media_type(value),
            _ if value.is_null() => reader.claim(value),
            _ => {
                has_bytes = true;
                reader.file_bytes(value, is_text, content, count, &origin);
            }
        },
    );
    if !has_bytes {
        reader.attachment(content, count);
    }
}

/// Members of a call.
pub(super) const CALL: &[Row] = &[
    ("type", Type::Word(CALLS)),
    ("id", Type::Id),
    ("name", Type::Custom),
    ("arguments", Type::Custom),
    ("serverName", Type::Name),
    ("searchType", Type::Id),
    ("retrievalType", Type::Id),
    ("signature", Type::Opaque),
];
const CALLS: &str = "arguments_delta|function_call|code_execution_call|url_context_call|\
     google_search_call|google_maps_call|file_search_call|retrieval_call|\
     processing_call|mcp_server_tool_call";

/// A call of the client's function, or of a tool that the provider runs.
fn call(
    reader: &mut Reader<'_>,
    step: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
    provider: Option<&str>,
) {
    let mut call = CallBuilder::at(reader, step);
    call.event.choice = speaker.origin.choice;
    call.event.provider_run = provider.is_some();
    call.event.tool = provider.map_or(Known::Unknown, |tool| Known::Is(tool.into()));
    call.event.turn = match speaker.origin.from {
        Known::Missing => Turn::Latest,
        _ if provider.is_some() => Turn::Earlier,
        _ => speaker.calls,
    };
    let is_signed = reader
        .get(step, "signature")
        .is_some_and(|signature| !signature.is_null());
    reader.in_signed(is_signed, |reader| {
        reader.rows(
            step,
            CALL,
            &speaker.origin,
            &mut |reader, key, value| match key {
                "name" => call.name(reader, value),
                _ => call.arguments(reader, value),
            },
        );
    });
    let id = step.get("id").and_then(|id| id.text());
    let mut name = None;
    reader.in_signed(is_signed, |reader| name = call.add(reader));
    if let (Some(name), Some(id)) = (name, id) {
        calls.add(&id, &name);
    }
}

fn result(
    reader: &mut Reader<'_>,
    step: Value<'_>,
    speaker: &Attribution,
    calls: &mut Calls,
    provider: Option<&str>,
) {
    const RESULT: &[Row] = &[
        ("type", Type::Word(RESULTS)),
        ("callId", Type::Id),
        ("name", Type::Name),
        ("serverName", Type::Name),
        ("result", Type::Custom),
        ("isError", Type::Flag),
        ("signature", Type::Opaque),
    ];
    const RESULTS: &str = "function_result|code_execution_result|url_context_result|\
         google_search_result|google_maps_result|file_search_result|retrieval_result|\
         processing_result|mcp_server_tool_result";
    let called = reader
        .get(step, "callId")
        .and_then(|id| id.text())
        .and_then(|id| calls.answer(&id));
    let tool = speaker.tool(match provider {
        Some(_) => Part::Other,
        None => Part::Text,
    });
    let mut event = Event::new(Kind::ToolResult, reader.direction(), step.place());
    event.turn = speaker.origin.turn;
    event.choice = speaker.origin.choice;
    event.from = tool.origin.from.clone();
    event.provider_run = provider.is_some();
    event.tool = match (called, provider) {
        (Some(called), _) => called,
        (None, Some("mcp_server_tool") | None) => Known::Unknown,
        (None, Some(name)) => Known::Is(name.into()),
    };
    let is_error = reader
        .get(step, "isError")
        .and_then(|value| value.as_bool())
        .unwrap_or(false);
    event.ok = Known::Is(!is_error);
    let is_signed = reader
        .get(step, "signature")
        .is_some_and(|signature| !signature.is_null());
    let mut held = None;
    reader.in_signed(is_signed, |reader| {
        reader.rows(step, RESULT, &tool.origin, &mut |reader, _, value| {
            let start = reader.text_count();
            let is_contents = value.elements().all(|element| {
                element.kind() == json::ValueKind::String || element.get("type").is_some()
            });
            match value.kind() {
                json::ValueKind::String => emit_attributed(reader, value, &tool),
                json::ValueKind::Array if is_contents => contents(reader, value, &tool, calls),
                _ => {
                    let texts = reader.tree(value);
                    if provider.is_some() {
                        reader.emit_text(value, texts, &tool.origin);
                    } else {
                        reader.emit_duplicate(value, texts, &tool.origin);
                    }
                }
            }
            held = Some((value, start..reader.text_count()));
        });
    });
    let Some((value, texts)) = held else {
        reader.reading.add(event);
        return;
    };
    event.at = value.place();
    event.texts = texts;
    reader.in_signed(is_signed, |reader| {
        reader.add_result(event, value, &|element| element.get("text"));
    });
}

/// Tools of a server that the provider may call: those that are listed, otherwise any.
fn server_tools(reader: &mut Reader<'_>, server: Value<'_>) {
    let allowed = reader.get(server, "allowedTools");
    let mut lists = allowed.into_iter().flat_map(|allowed| allowed.elements());
    let first = lists.next().and_then(|list| list.get("tools"));
    reader.provider_may_call_listed(server, first);
    for list in lists {
        reader.provider_may_call_listed(server, list.get("tools"));
    }
}

/// One entry of `tools`: a function of the client, or a tool that the provider runs, named by its type.
pub(super) fn tool(reader: &mut Reader<'_>, tool: Value<'_>) {
    const FUNCTION: &[Row] = &[
        ("type", Type::Word("function")),
        ("name", Type::Custom),
        ("description", DESCRIPTION),
        ("parameters", SCHEMA),
    ];
    let origin = Origin::of(Author::System, Part::Definition);
    let kind = tool.get("type").and_then(|kind| kind.text());
    match kind.as_deref() {
        Some("function") | None => reader.definition(tool, tool, FUNCTION),
        // Its functions run at the client.
        Some(kind @ "computer_use") => {
            let texts = reader.tree(tool);
            reader.offer(tool, Known::Is(kind.into()), texts);
        }
        Some(kind) => {
            let name = tool.get("name").and_then(|name| name.text());
            let names: Vec<&str> = std::iter::once(kind).chain(name.as_deref()).collect();
            let texts = reader.tree(tool);
            reader.provider_run_offer(tool, &names);
            reader.emit_text(tool, texts, &origin);
            if kind == "mcp_server" {
                server_tools(reader, tool);
            }
        }
    }
}
