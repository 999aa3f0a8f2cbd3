//! Items: messages, reasoning, calls and results, in the `input` of a request and in the `output` of a response.

use super::mark::{self, ItemOwner};
use super::offers;
use crate::diag::codes;
use crate::event::{Author, Direction, Event, Kind, Known, Part, Turn};
use crate::protocol::conversation::{Calls, ROLES, TurnRole, Turns, author_of};
use crate::protocol::openai_shapes::{CACHE_CONTROL, message_text, tool_call};
use crate::protocol::reader::{CallBuilder, Origin, Reader, Row, Type, is_data_url};
use crate::wire::json::{self, Value};
use std::ops::Range;

const STATUS: Type = Type::Word(
    "completed|in_progress|incomplete|failed|searching|interpreting|generating|\
     calling|queued",
);

/// Members of items of every kind.
pub(super) const ITEM: &[Row] = &[
    ("type", Type::Custom),
    ("id", Type::Id),
    ("call_id", Type::Id),
    ("status", STATUS),
    ("created_by", Type::Id),
    // Of a session, with several agents.
    ("turn_id", Type::Id),
    ("agent_id", Type::Id),
    ("sender_agent_id", Type::Id),
    ("recipient_agent_id", Type::Id),
    ("recipient_agent_ids", Type::List(&Type::Id)),
    ("encrypted_content", Type::Opaque),
];
pub(super) const MESSAGE: &[Row] = &[
    ("role", Type::Role(ROLES)),
    ("content", Type::Custom),
    ("name", Type::Text(Part::Name)),
    ("phase", Type::Word("commentary|final_answer")),
    // As in chat, which some clients send here.
    ("tool_calls", Type::Custom),
    ("tool_call_id", Type::Id),
];
const REASONING: &[Row] = &[
    ("summary", Type::List(&Type::Object(THOUGHT))),
    ("content", Type::List(&Type::Object(THOUGHT))),
];
pub(super) const THOUGHT: &[Row] = &[
    ("type", Type::Word("summary_text|reasoning_text")),
    ("text", Type::Text(Part::Reasoning)),
];
pub(super) const CALL: &[Row] = &[
    ("name", Type::Custom),
    ("namespace", Type::Id),
    ("server_label", Type::Id),
    ("execution", Type::Word("server|client")),
    ("approval_request_id", Type::Id),
    ("container_id", Type::Id),
    ("arguments", Type::Custom),
    ("input", Type::Custom),
    ("action", Type::Custom),
    ("actions", Type::Custom),
    ("operation", Type::Custom),
    ("code", Type::Custom),
    // Of a program.
    ("fingerprint", Type::Id),
    ("queries", Type::Custom),
    ("command", Type::Custom),
    // The task of another agent.
    ("content", Type::Custom),
    ("title", Type::Text(Part::Other)),
    ("cwd", Type::Text(Part::Other)),
    ("exit_code", Type::Number),
    ("duration_ms", Type::Number),
    ("environment", Type::Counts),
    ("pending_safety_checks", Type::Tree(Part::Other)),
    // Findings of the provider's own tools, beside the call.
    ("results", Type::Custom),
    ("outputs", Type::Custom),
    ("output", Type::Custom),
    ("error", Type::Custom),
    ("revised_prompt", Type::Text(Part::Other)),
    ("result", Type::Custom),
    ("background", Type::Id),
    ("output_format", Type::Id),
    ("quality", Type::Id),
    ("size", Type::Id),
];
const RESULT: &[Row] = &[
    ("output", Type::Custom),
    // Of a program.
    ("result", Type::Custom),
    ("max_output_length", Type::Number),
    ("acknowledged_safety_checks", Type::Tree(Part::Other)),
    ("approval_request_id", Type::Id),
    ("approve", Type::Flag),
    ("reason", Type::Text(Part::Other)),
    // Of a session's event.
    ("success", Type::Flag),
    ("error", Type::Text(Part::Other)),
];
const OFFERED: &[Row] = &[
    ("role", Type::Word("developer|system")),
    ("execution", Type::Word("server|client")),
    ("tools", Type::Custom),
];
const LISTED: &[Row] = &[
    ("server_label", Type::Id),
    ("tools", Type::Tree(Part::Definition)),
    ("error", Type::Tree(Part::Other)),
];
pub(super) const PART: &[Row] = &[
    (
        "type",
        Type::Word(
            "input_text|output_text|text|summary_text|reasoning_text|refusal|\
             input_image|input_file|input_audio|computer_screenshot|encrypted_content",
        ),
    ),
    ("text", Type::Custom),
    ("refusal", Type::Text(Part::Refusal)),
    ("encrypted_content", Type::Opaque),
    ("annotations", Type::Tree(Part::Other)),
    ("logprobs", Type::Tokens),
    ("image_url", Type::Custom),
    ("file_data", Type::Custom),
    ("file_url", Type::Custom),
    ("file_id", Type::Custom),
    ("filename", Type::Text(Part::Other)),
    (
        "input_audio",
        Type::Object(&[("data", Type::Media), ("format", Type::Id)]),
    ),
    ("detail", Type::Word("auto|low|high|original")),
    ("prompt_cache_breakpoint", CACHE_CONTROL),
];

/// Members beside a call that contain the findings of the provider's own tools.
pub(super) const FOUND: &[&str] = &["results", "outputs", "output", "error"];

/// Reads the findings of a provider's tool, which are both text of the response and a tool's result. Returns the
/// result; the caller adds its tool.
pub(super) fn find(
    reader: &mut Reader<'_>,
    member: &str,
    value: Value<'_>,
    origin: &Origin,
) -> Event {
    let texts = reader.tree(value);
    let origin = Origin {
        from: reader.author(Author::Tool),
        ..origin.with_part(Part::Other)
    };
    let direction = reader.direction();
    match direction {
        Direction::Request => reader.emit_duplicate(value, texts.clone(), &origin),
        Direction::Response => reader.emit_text(value, texts.clone(), &origin),
    }
    let mut result = Event::new(Kind::ToolResult, direction, value.place());
    result.from = origin.from;
    result.provider_run = true;
    result.ok = Known::Is(member != "error");
    result.texts = texts;
    result
}

/// Kinds of calls that have not run: the client runs them, or decides whether the provider may.
const CLIENT_RUN: &[&str] = &[
    "function_call",
    "custom_tool_call",
    "computer_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "mcp_approval_request",
];

/// Returns whether a call has run, or runs without the client.
pub(super) fn is_provider_run(item: Value<'_>, kind: &str) -> bool {
    let in_container = item
        .get("environment")
        .and_then(|environment| environment.get("type"))
        .and_then(|kind| kind.text())
        .is_some_and(|kind| kind.starts_with("container"));
    !CLIENT_RUN.contains(&kind) || in_container
}

/// Returns whether an item is the result of a call that clients run. The result of a shell is in a response only if the
/// provider ran it.
fn is_of_client_run(kind: &str) -> bool {
    let call = kind.strip_suffix("_output").unwrap_or(kind);
    call != "shell_call" && CLIENT_RUN.contains(&call)
}

/// Returns whether an item of this kind is a call. A program is one of the tool that lets the model write programs.
pub(super) fn is_call(kind: &str) -> bool {
    kind.ends_with("_call")
        || matches!(
            kind,
            "mcp_approval_request" | "command_execution" | "program"
        )
}

/// Returns the tool of a call if its type determines it, and not a `name`.
pub(super) fn named_by_type(kind: &str) -> Option<&str> {
    match kind {
        "function_call" | "custom_tool_call" | "mcp_call" | "mcp_approval_request" => None,
        "program" => Some("programmatic_tool_calling"),
        _ => Some(kind.strip_suffix("_call").unwrap_or(kind)),
    }
}

/// Returns the type of an item. Items without one are messages, or references if they contain only an id.
#[inline(never)]
pub(super) fn kind_of(item: Value<'_>) -> String {
    if let Some(kind) = item.get("type").and_then(|kind| kind.text()) {
        return kind.into_owned();
    }
    let is_there = |name: &str| item.get(name).is_some();
    let is_reference = is_there("id") && !is_there("role") && !is_there("content");
    match is_reference {
        true => "item_reference".to_owned(),
        false => "message".to_owned(),
    }
}

/// Returns the role of an item in the order of turns. Tool definitions between items end no turn.
fn role_of(item: Value<'_>) -> TurnRole {
    let kind = kind_of(item);
    let says = |word: &str| item.get("role").is_some_and(|role| role.is_text(word));
    match kind.as_str() {
        "message" if says("assistant") => TurnRole::Model,
        "message" if says("tool") => TurnRole::Result,
        "message" => TurnRole::Other,
        "additional_tools" | "mcp_approval_response" => TurnRole::Result,
        kind if kind.ends_with("_output") => TurnRole::Result,
        _ => TurnRole::Model,
    }
}

/// Reads a list of items. The calls of the model's last items are the latest ones, if only results follow them.
pub(in crate::protocol) fn read_items(reader: &mut Reader<'_>, list: Value<'_>) {
    let turns = Turns::of(list.elements().map(role_of));
    let mut calls = Calls::default();
    reader.conversation(
        list,
        "openai.responses",
        &turns,
        &mut calls,
        &mut |reader, item, at, calls| {
            let turns = &turns;
            Items { turns, calls }.item(reader, item, at);
        },
    );
}

/// State of reading a list of items.
pub(in crate::protocol) struct Items<'a> {
    turns: &'a Turns,
    /// Names of the called tools, by the id of the call.
    calls: &'a mut Calls,
}

impl Items<'_> {
    /// Reads an item outside of any list.
    pub(in crate::protocol) fn alone(reader: &mut Reader<'_>, item: Value<'_>) {
        let mut items = Items {
            turns: &Turns::of_one(),
            calls: &mut Calls::default(),
        };
        items.item(reader, item, 0);
    }

    fn item(&mut self, reader: &mut Reader<'_>, item: Value<'_>, at: usize) {
        let is_request = reader.direction() == Direction::Request;
        let turn = |turn: Turn| if is_request { turn } else { Turn::Latest };
        let origin = Origin::new(
            if is_request {
                Known::Unknown
            } else {
                Known::Missing
            },
            Part::Other,
            turn(self.turns.text_turn(at)),
        );
        // Some servers accept strings in the list.
        if item.kind() == json::ValueKind::String {
            let user = Origin {
                from: Known::Is(Author::User),
                part: Part::Text,
                ..origin
            };
            reader.reading.count_message(&user.from);
            reader.text(item, &user);
            return;
        }
        let kind = kind_of(item);
        match kind.as_str() {
            // Or one between agents.
            "message" | "agent_message" => {
                let calls = turn(self.turns.call_turn(at));
                self.message(reader, item, calls, &origin);
            }
            "reasoning" => {
                let origin = by_model(&origin);
                reader.row_lists(item, &[ITEM, REASONING], &origin, &mut claim_type);
            }
            "compaction" | "compaction_summary" | "context_compaction" => {
                reader.rows(item, ITEM, &origin, &mut claim_type);
            }
            // An item that the filter added, and that replaces nothing, is removed.
            "item_reference" if mark::standing(item.get("id")) == ItemOwner::Nothing => {
                reader.rows(item, ITEM, &origin, &mut claim_type);
            }
            "item_reference" => {
                reader.rows(item, ITEM, &origin, &mut claim_type);
                reader.uninspectable(item, "provider_state");
                reader.reading.continues_elsewhere = true;
            }
            "additional_tools" | "tool_search_output" => {
                reader.row_lists(
                    item,
                    &[ITEM, OFFERED],
                    &origin,
                    &mut |reader, key, value| match key {
                        "tools" if is_request => reader.array(value, offers::offer),
                        "tools" => {
                            let texts = reader.tree(value);
                            reader.emit_text(value, texts, &origin.with_part(Part::Definition));
                        }
                        _ => claim_type(reader, key, value),
                    },
                );
            }
            "mcp_list_tools" => {
                reader.row_lists(item, &[ITEM, LISTED], &origin, &mut claim_type);
            }
            "mcp_approval_response" => {
                let user = Origin {
                    from: Known::Is(Author::User),
                    ..origin
                };
                reader.row_lists(item, &[ITEM, RESULT], &user, &mut claim_type);
            }
            kind if kind.ends_with("_output") || kind.ends_with(".tool_result") => {
                self.result(reader, item, &origin);
            }
            kind if is_call(kind) => {
                let calls = turn(self.turns.call_turn(at));
                self.call(reader, item, kind, calls, &by_model(&origin));
            }
            // An item of an unknown kind: everything in it is unknown text.
            _ => reader.rows(item, ITEM, &origin, &mut |_, _, _| {}),
        }
    }

    /// Reads a message. `calls` is the turn of calls that it has as in chat.
    fn message(&mut self, reader: &mut Reader<'_>, item: Value<'_>, calls: Turn, origin: &Origin) {
        let author = author_of(item, ROLES);
        let is_request = reader.direction() == Direction::Request;
        let is_result = is_request && author == Known::Is(Author::Tool);
        let origin = match is_request {
            true => Origin {
                from: author,
                part: Part::Text,
                ..origin.clone()
            },
            // A list of items repeats texts of other authors.
            false => origin.with_part(match author {
                Known::Is(Author::System | Author::User | Author::Tool) => Part::Other,
                _ => Part::Text,
            }),
        };
        if is_request {
            reader.reading.count_message(&origin.from);
            // Between agents there is none: `{"type":"agent_message","author":"/root","recipient":"/root/search",…}`.
            if !item
                .get("type")
                .is_some_and(|kind| kind.is_text("agent_message"))
            {
                reader.role_is_needed(item);
            }
        }
        let mut said = None;
        reader.row_lists(
            item,
            &[ITEM, MESSAGE],
            &origin,
            &mut |reader, key, value| match key {
                "content" if is_result => {
                    let texts = output(reader, value, &origin, true);
                    let beside = texts.end..reader.text_count();
                    said = Some((value, texts, beside));
                }
                // Beside calls there is none.
                "content" if value.is_null() && item.get("tool_calls").is_some() => {
                    reader.claim(value);
                }
                "content" => match value.kind() {
                    json::ValueKind::String => message_text(reader, value, &origin, false),
                    _ => reader.array(value, |reader, part| {
                        content_part(reader, part, &origin, false);
                    }),
                },
                "tool_calls" if is_request && !value.is_null() => {
                    reader.array(value, |reader, call| {
                        if let Some((id, name)) = tool_call(reader, call, calls, 0) {
                            self.calls.add(&id, &name);
                        }
                    });
                }
                _ => claim_type(reader, key, value),
            },
        );
        if is_result {
            let mut event = Event::new(Kind::ToolResult, Direction::Request, item.place());
            event.turn = origin.turn;
            event.from = origin.from.clone();
            let answered = item.get("tool_call_id").and_then(|id| id.text());
            let named = item.get("name").and_then(|name| name.text());
            event.tool = self
                .calls
                .tool_of(answered.as_deref(), named.map(Into::into));
            reader.said_result(event, said, &|part| part.get("text"));
        }
    }

    fn call(
        &mut self,
        reader: &mut Reader<'_>,
        item: Value<'_>,
        kind: &str,
        turn: Turn,
        origin: &Origin,
    ) {
        let mut call = CallBuilder::at(reader, item);
        call.event.turn = turn;
        let named_by_type = named_by_type(kind);
        call.event.tool = named_by_type.map_or(Known::Unknown, |name| Known::Is(name.into()));
        call.event.provider_run = is_provider_run(item, kind);
        let mut found = Vec::new();
        reader.row_lists(
            item,
            &[ITEM, CALL],
            origin,
            &mut |reader, key, value| match key {
                "name" => call.name(reader, value),
                _ if value.is_null() => reader.claim(value),
                "arguments" => {
                    let given = reader.any_arguments(value);
                    call.given(reader, value, given);
                }
                "input" => call.free_text(reader, value),
                "action" | "actions" | "operation" => {
                    let given = (Known::Is(value.place()), reader.tree(value));
                    call.given(reader, value, given);
                }
                // The item contains its arguments: `args.code`, `args.queries`, `args.command`.
                "code" | "queries" | "command" | "content" => {
                    let given = (Known::Is(item.place()), reader.tree(value));
                    call.given(reader, value, given);
                }
                "result" => {
                    reader.media(value);
                    reader.uninspectable(item, "attachment");
                }
                key if FOUND.contains(&key) => {
                    let result = find(reader, key, value, origin);
                    found.push((Event { turn, ..result }, value));
                }
                _ => claim_type(reader, key, value),
            },
        );
        if named_by_type.is_none() && item.get("name").is_none() {
            reader.problem(codes::AG2001, item, "`name` is missing");
        }
        if let (Some(id), Known::Is(name)) = (id_of(item), &call.event.tool) {
            self.calls.add(&id, name);
        }
        for (result, _) in &mut found {
            result.tool = call.event.tool.clone();
        }
        call.add(reader);
        for (result, value) in found {
            reader.add_result(result, value, &|part| part.get("text"));
        }
    }

    fn result(&mut self, reader: &mut Reader<'_>, item: Value<'_>, origin: &Origin) {
        let is_request = reader.direction() == Direction::Request;
        let origin = Origin {
            from: reader.author(Author::Tool),
            part: if is_request { Part::Text } else { Part::Other },
            ..origin.clone()
        };
        let mut event = Event::new(Kind::ToolResult, reader.direction(), item.place());
        event.turn = origin.turn;
        event.from = origin.from.clone();
        event.provider_run = !is_request && !is_of_client_run(&kind_of(item));
        event.tool = id_of(item)
            .and_then(|id| self.calls.answer(&id))
            .unwrap_or(Known::Unknown);
        if let Some(status) = item.get("status") {
            event.ok = match () {
                () if status.is_text("failed") => Known::Is(false),
                () if status.is_text("completed") => Known::Is(true),
                () => Known::Missing,
            };
        }
        if let Some(success) = item.get("success").and_then(|success| success.as_bool()) {
            event.ok = Known::Is(success);
        }
        let mut said = None;
        reader.row_lists(
            item,
            &[ITEM, RESULT],
            &origin,
            &mut |reader, key, value| match key {
                "output" | "result" => {
                    let texts = output(reader, value, &origin, is_request);
                    let beside = texts.end..reader.text_count();
                    said = Some((value, texts, beside));
                }
                _ => claim_type(reader, key, value),
            },
        );
        reader.rest_of_result(&event, item);
        reader.said_result(event, said, &|part| part.get("text"));
    }
}

/// Reads the output of a tool: a text, a list of parts, an image of a screen, or the output of a shell. Returns its
/// texts without names of files and the like.
fn output(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    origin: &Origin,
    is_request: bool,
) -> Range<u32> {
    let start = reader.text_count();
    let parts = match value.kind() {
        json::ValueKind::Array => {
            reader.claim(value);
            value.elements()
        }
        json::ValueKind::Object => {
            content_part(reader, value, origin, is_request);
            return start..start;
        }
        _ => {
            message_text(reader, value, origin, is_request);
            return start..reader.text_count();
        }
    };
    let is_attached = |part: &Value<'_>| {
        part.kind() == json::ValueKind::Object
            && part.get("type").is_some()
            && part.get("text").is_none()
    };
    for part in parts.clone().filter(|part| !is_attached(part)) {
        if part.kind() == json::ValueKind::Object && part.get("type").is_none() {
            // Output of a shell: `{stdout, stderr, outcome}`.
            let texts = reader.tree(part);
            if is_request {
                reader.emit_duplicate(part, texts, origin);
            } else {
                reader.emit_text(part, texts, origin);
            }
        } else {
            content_part(reader, part, origin, is_request);
        }
    }
    let texts = start..reader.text_count();
    for part in parts.filter(is_attached) {
        content_part(reader, part, origin, is_request);
    }
    texts
}

fn id_of(item: Value<'_>) -> Option<Box<str>> {
    let id = item.get("call_id").filter(|id| !id.is_null());
    let id = id.or_else(|| item.get("id"))?;
    id.text().map(Into::into)
}

fn by_model(origin: &Origin) -> Origin {
    Origin {
        from: match origin.from {
            Known::Missing => Known::Missing,
            _ => Known::Is(Author::Assistant),
        },
        ..origin.clone()
    }
}

/// Claims the type of an item, which its reader has used.
fn claim_type(reader: &mut Reader<'_>, key: &str, value: Value<'_>) {
    if key == "type" {
        reader.claim(value);
    }
}

/// Reads a part of a message's content, or of a result's.
pub(super) fn content_part(
    reader: &mut Reader<'_>,
    part: Value<'_>,
    origin: &Origin,
    is_result: bool,
) {
    if part.kind() == json::ValueKind::String {
        message_text(reader, part, origin, is_result);
        return;
    }
    let kind = part.get("type").and_then(|kind| kind.text());
    let attachments = &mut reader.reading.attachments;
    let counter = match kind.as_deref() {
        Some("input_image" | "computer_screenshot") => Some(&mut attachments.image),
        Some("input_file") => Some(&mut attachments.file),
        Some("input_audio") => Some(&mut attachments.audio),
        _ => None,
    };
    let mut is_attached = counter.is_some();
    if let Some(counter) = counter {
        *counter = counter.saturating_add(1);
    }
    let mut is_read = false;
    reader.rows(part, PART, origin, &mut |reader, key, value| match key {
        _ if value.is_null() => reader.claim(value),
        "text" => message_text(reader, value, origin, is_result),
        "file_id" => {
            is_attached = true;
            reader.id(value);
            reader.uninspectable(value, "provider_state");
        }
        // `image_url`, `file_data`, `file_url`: a `data:` URL is the content itself.
        _ => {
            is_attached = true;
            is_read = reader.data_text(value, origin);
            if !is_read && key == "file_data" && !is_data_url(value) {
                reader.media(value);
            } else if !is_read {
                reader.url(value, origin);
            }
        }
    });
    if is_attached && !is_read {
        reader.uninspectable(part, "attachment");
    }
}
