//! Objects that the provider keeps. The names of their members determine how they are read.

use super::{BATCH_CREATE, SESSION_EVENTS, SESSIONS, UPLOADED, batch, sessions};
use crate::event::{Author, Class, Direction, Event, Kind, Known, Part, Turn};
use crate::protocol::conversation::{ROLES, author_of};
use crate::protocol::json_edit::move_indices;
use crate::protocol::openai_chat;
use crate::protocol::openai_responses::{Items, read_items};
use crate::protocol::openai_shapes::{
    self, ANSWER, beside, content, documents, inputs, response_format, tool_call, tool_choice,
    tool_offer,
};
use crate::protocol::reader::{CallBuilder, Origin, Reader, Row, Type};
use crate::protocol::{CannotRemove, Endpoint, Removals, RequestContext};
use crate::wire::json::{self, Edits, Value};
use crate::wire::letter_case;

const REQUEST: &[Row] = &[
    ("model", Type::Read(openai_shapes::model)),
    ("assistant_id", Type::Custom),
    ("agent_id", Type::Custom),
    ("inputs", Type::Read(conversation_inputs)),
    // A version of Azure's agents: `{definition: {kind: "prompt", model, instructions, tools}}`.
    ("definition", Type::Custom),
    // A session of OpenAI's agents: `{agent: {model, instructions, tools}, input, environment}`.
    ("agent", Type::Custom),
    // What an automation starts: such a session, or a turn of one.
    ("target", Type::Custom),
    ("session_id", Type::Id),
    ("events", Type::List(&Type::Read(sessions::input_event))),
    ("environment", Type::Object(ENVIRONMENT)),
    ("vault_ids", Type::List(&Type::Id)),
    ("questions", Type::Tree(Part::Text)),
    ("instructions", Type::Read(instructions)),
    ("additional_instructions", Type::Read(instructions)),
    ("system", Type::Read(instructions)),
    ("prompt", Type::Read(prompt)),
    ("prompts", Type::Read(prompt)),
    ("query", Type::Read(prompt)),
    ("text", Type::Read(prompt)),
    ("text_1", Type::Read(prompt)),
    ("text_2", Type::Read(prompt)),
    ("data_1", Type::Read(prompt)),
    ("data_2", Type::Read(prompt)),
    ("input", Type::Read(input)),
    ("content", Type::Custom),
    ("tokens", Type::Read(prompt)),
    ("role", Type::Role(ROLES)),
    ("messages", Type::List(&Type::Read(message))),
    ("additional_messages", Type::List(&Type::Read(message))),
    ("thread", Type::Custom),
    ("items", Type::Read(items)),
    ("tools", Type::List(&Type::Read(tool_offer))),
    ("tool_choice", Type::Read(tool_choice)),
    ("tool_outputs", Type::Read(tool_outputs)),
    ("documents", Type::Read(documents)),
    ("response_format", Type::Read(response_format)),
    ("stream", Type::Stream),
    ("max_completion_tokens", Type::MaxTokens),
    ("file", Type::Custom),
    ("data", Type::Custom),
    ("input_reference", Type::Custom),
    ("image", Type::Custom),
    ("video", Type::Custom),
    ("attachments", Type::List(&Type::Read(attachment))),
    ("name", Type::Text(Part::Other)),
    ("description", Type::Text(Part::Other)),
    ("filename", Type::Text(Part::Other)),
    ("metadata", Type::Tree(Part::Other)),
    ("tool_resources", Type::Read(tool_resources)),
    ("filters", Type::Tree(Part::Other)),
    ("attributes", Type::Tree(Part::Other)),
    ("stop", Type::Tree(Part::Other)),
    ("file_id", Type::State),
    ("file_ids", Type::List(&Type::State)),
    ("input_file_id", Type::State),
    ("training_file", Type::State),
    ("validation_file", Type::State),
    ("part_ids", Type::List(&Type::Id)),
    ("endpoint", Type::Name),
    // LiteLLM: the models that a file is for.
    ("target_model_names", Type::Model),
    ("purpose", Type::Id),
    ("completion_window", Type::Id),
    ("mime_type", Type::Id),
    ("md5", Type::Id),
    ("size", Type::Id),
    ("seconds", Type::Id),
    ("resolution", Type::Id),
    ("aspect_ratio", Type::Id),
    ("bytes", Type::Number),
    ("duration", Type::Number),
    ("temperature", Type::Number),
    ("top_p", Type::Number),
    ("max_prompt_tokens", Type::Number),
    ("max_num_results", Type::Number),
    ("parallel_tool_calls", Type::Flag),
    ("rewrite_query", Type::Flag),
    ("add_special_tokens", Type::Flag),
    ("return_token_strs", Type::Flag),
    (
        "reasoning_effort",
        Type::Word("none|minimal|low|medium|high|xhigh"),
    ),
];
/// Where the tools of an agent run.
pub(super) const ENVIRONMENT: &[Row] = &[
    ("type", Type::Id),
    ("id", Type::Id),
    ("environment_id", Type::Id),
    ("environment_template_id", Type::Id),
    ("template_id", Type::Id),
    ("status", Type::Id),
];
/// Members of entries in Mistral's conversations beside messages: `{type: "function.call" | "tool.execution" |
/// "function.result", …}`.
const ENTRY: &[Row] = &[
    ("object", Type::Word("entry")),
    ("type", Type::Custom),
    ("id", Type::Id),
    ("created_at", Type::Id),
    ("completed_at", Type::Id),
    ("agent_id", Type::Id),
    ("model", Type::Id),
    ("tool_call_id", Type::Id),
    ("name", Type::Custom),
    ("arguments", Type::Custom),
    ("result", Type::Custom),
    ("info", Type::Tree(Part::Other)),
];
const MESSAGE: &[Row] = &[
    ("role", Type::Role(ROLES)),
    ("content", Type::ReadOf(content)),
    ("attachments", Type::List(&Type::Read(attachment))),
    ("metadata", Type::Tree(Part::Other)),
];
const ATTACHMENT: &[Row] = &[
    ("file_id", Type::State),
    ("tools", Type::List(&Type::Read(tool_offer))),
];
const TOOL_OUTPUT: &[Row] = &[("tool_call_id", Type::Id), ("output", Type::Custom)];

/// Members of the objects in responses.
pub(super) const OBJECT: &[Row] = &[
    ("id", Type::Id),
    ("object", Type::Id),
    ("deleted", Type::Flag),
    ("status", Type::Id),
    ("created_at", Type::Id),
    ("completed_at", Type::Id),
    ("started_at", Type::Id),
    ("expires_at", Type::Id),
    ("cancelled_at", Type::Id),
    ("failed_at", Type::Id),
    ("in_progress_at", Type::Id),
    ("finalizing_at", Type::Id),
    ("cancelling_at", Type::Id),
    ("incomplete_at", Type::Id),
    ("last_active_at", Type::Id),
    ("expired_at", Type::Id),
    ("assistant_id", Type::Id),
    ("thread_id", Type::Id),
    ("run_id", Type::Id),
    ("vector_store_id", Type::Id),
    ("container_id", Type::Id),
    ("file_id", Type::Id),
    ("input_file_id", Type::Id),
    ("output_file_id", Type::Id),
    ("error_file_id", Type::Id),
    ("request_id", Type::Id),
    ("batch_id", Type::Id),
    ("first_id", Type::Id),
    ("last_id", Type::Id),
    ("next_page", Type::Id),
    ("has_more", Type::Flag),
    ("downloadable", Type::Flag),
    ("endpoint", Type::Id),
    ("purpose", Type::Id),
    ("mime_type", Type::Id),
    ("completion_window", Type::Id),
    ("role", Type::Id),
    ("bytes", Type::Number),
    ("size_bytes", Type::Number),
    ("usage_bytes", Type::Number),
    ("progress", Type::Number),
    ("duration", Type::Number),
    ("temperature", Type::Number),
    ("top_p", Type::Number),
    ("max_prompt_tokens", Type::Number),
    ("max_completion_tokens", Type::Number),
    ("parallel_tool_calls", Type::Flag),
    ("reasoning_effort", Type::Id),
    (
        "truncation_strategy",
        Type::Object(&[("type", Type::Id), ("last_messages", Type::Number)]),
    ),
    ("incomplete_details", Type::Object(&[("reason", Type::Id)])),
    ("request_counts", Type::Counts),
    ("file_counts", Type::Counts),
    ("state", Type::Counts),
    ("filename", Type::Text(Part::Other)),
    ("name", Type::Text(Part::Other)),
    ("description", Type::Text(Part::Other)),
    ("instructions", Type::Tree(Part::Other)),
    ("metadata", Type::Tree(Part::Other)),
    ("tool_resources", Type::Tree(Part::Other)),
    ("tools", Type::Tree(Part::Definition)),
    ("tool_choice", Type::Tree(Part::Other)),
    ("response_format", Type::Tree(Part::Definition)),
    ("attachments", Type::Tree(Part::Other)),
    ("last_error", Type::Tree(Part::Other)),
    ("errors", Type::Tree(Part::Other)),
    ("prompt", Type::Tree(Part::Other)),
    ("query", Type::Tree(Part::Other)),
    ("text", Type::Text(Part::Text)),
    ("content", Type::Custom),
    ("choices", Type::Read(openai_chat::read_choices)),
    // Of a request whose answer is fetched later.
    ("response", Type::Read(object)),
    ("data", Type::Read(object)),
    ("items", Type::Read(object)),
    ("outputs", Type::Read(object)),
    ("entries", Type::Read(object)),
    ("conversation_id", Type::Id),
    ("required_action", Type::Read(required_action)),
    // A session of OpenAI's agents.
    ("agent", Type::Read(object)),
    ("target", Type::Read(object)),
    (
        "required_actions",
        Type::List(&Type::Read(sessions::required_action)),
    ),
    ("session_id", Type::Id),
    ("turn_id", Type::Id),
    ("agent_id", Type::Id),
    ("parent_agent_id", Type::Id),
    ("subagent_id", Type::Id),
    ("vault_ids", Type::List(&Type::Id)),
    ("environment", Type::Object(ENVIRONMENT)),
    ("service_tier", Type::Id),
    ("reasoning", Type::Counts),
    ("prompt_cache_options", Type::Counts),
    ("step_details", Type::Read(step_details)),
    ("tokens", Type::Numbers),
    // Not the type of an error.
    ("type", Type::Id),
];
/// Members of a step of a run.
pub(super) const STEP: &[Row] = &[
    ("type", Type::Id),
    ("tool_calls", Type::Custom),
    (
        "message_creation",
        Type::Object(&[("message_id", Type::Id)]),
    ),
];
pub(super) const STEP_CALL: &[Row] = &[
    ("id", Type::Id),
    ("type", Type::Id),
    ("index", Type::Number),
    ("function", Type::Custom),
    // Calls that the provider runs continue over events, too.
    (
        "code_interpreter",
        Type::Object(&[
            ("input", Type::Text(Part::Other)),
            ("outputs", Type::Tree(Part::Other)),
        ]),
    ),
    ("file_search", Type::Tree(Part::Other)),
    ("retrieval", Type::Tree(Part::Other)),
];
pub(super) const STEP_FUNCTION: &[Row] = &[
    ("name", Type::Custom),
    ("arguments", Type::Custom),
    ("output", Type::Tree(Part::Other)),
];
pub(super) const REQUIRED: &[Row] = &[
    ("type", Type::Id),
    (
        "submit_tool_outputs",
        Type::Object(&[("tool_calls", Type::List(&Type::Custom))]),
    ),
];

pub(super) fn read_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    reader.reading.params = Some(root.place());
    let is_batch = endpoint.name == UPLOADED
        && root
            .get("purpose")
            .and_then(|purpose| purpose.text())
            .is_some_and(|purpose| letter_case::ascii_lower(&purpose).contains("batch"));
    let origin = Origin::of(Author::System, Part::Other);
    reader.rows(root, REQUEST, &origin, &mut |reader, key, value| {
        request_member(reader, root, key, value, is_batch);
    });
    // A continued conversation has a model, instructions and tools that the request does not contain, and so has an agent that
    // is changed.
    let said = ["definition", "target", "agent"]
        .iter()
        .fold(root, |said, name| said.get(name).unwrap_or(said));
    let says = |name: &str| said.get(name).is_some_and(|value| !value.is_null());
    let is_kept = match endpoint.name {
        "conversations" => says("inputs"),
        name => matches!(name, "agents" | SESSIONS | SESSION_EVENTS),
    };
    if is_kept && !says("model") && !says("agent_id") {
        reader.uninspectable(root, "provider_state");
        reader.reading.continues_elsewhere = true;
        reader.reading.models.unknown = true;
    }
    // Only the file contains the models of requests that run later.
    if endpoint.name == BATCH_CREATE {
        reader.reading.models.unknown = true;
        reader.reading.continues_elsewhere = true;
    }
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}

fn request_member(
    reader: &mut Reader<'_>,
    object: Value<'_>,
    key: &'static str,
    value: Value<'_>,
    is_batch: bool,
) {
    let user = Origin::of(Author::User, Part::Text);
    match key {
        _ if value.is_null() => reader.claim(value),
        // It has a model, instructions and tools that the request does not contain.
        "assistant_id" | "agent_id" => {
            reader.id(value);
            reader.uninspectable(value, "provider_state");
            reader.reading.continues_elsewhere = true;
            let model = object.get("agent").unwrap_or(object).get("model");
            reader.reading.models.unknown |= model.is_none_or(|m| m.is_null());
        }
        "content" => {
            let from = author_of(object, ROLES);
            reader.reading.count_message(&from);
            content(reader, value, &Origin { from, ..user });
        }
        "thread" | "definition" | "target" | "agent" => {
            reader.rows(value, REQUEST, &user, &mut |reader, key, member| {
                request_member(reader, value, key, member, is_batch);
            });
        }
        // `file`, `data`, `input_reference`, `image`, `video`: files of a form, or references in JSON.
        _ => file(reader, value, &user, is_batch),
    }
}

fn instructions(reader: &mut Reader<'_>, value: Value<'_>) {
    let texts = reader.tree(value);
    reader.emit_text(value, texts, &Origin::of(Author::System, Part::Text));
}

fn prompt(reader: &mut Reader<'_>, value: Value<'_>) {
    let user = Origin::of(Author::User, Part::Text);
    reader.reading.count_message(&user.from);
    inputs(reader, value, &user);
}

/// Reads a text, texts, or messages with their roles.
fn input(reader: &mut Reader<'_>, value: Value<'_>) {
    let has_role = |element: Value<'_>| element.get("role").is_some();
    match value.elements().next().is_some_and(has_role) {
        true => items(reader, value),
        false => prompt(reader, value),
    }
}

fn conversation_inputs(reader: &mut Reader<'_>, value: Value<'_>) {
    // A sentence and those that it is compared with.
    if value.get("source_sentence").is_some() {
        let user = Origin::of(Author::User, Part::Text);
        reader.value(value, Type::Tree(Part::Text), &user);
        return;
    }
    let is_list = value.kind() == json::ValueKind::Array;
    let is_object = |element: Value<'_>| element.kind() == json::ValueKind::Object;
    // Texts to embed, or one input.
    if !is_list || !value.elements().all(is_object) {
        prompt(reader, value);
        return;
    }
    reader.claim(value);
    for element in value.elements() {
        match is_entry(element) {
            true => entry(reader, element),
            false => message(reader, element),
        }
    }
}

pub(super) fn items(reader: &mut Reader<'_>, value: Value<'_>) {
    read_items(reader, value);
}

/// Reads results for a run that waits for them. It continues with content that the provider keeps.
fn tool_outputs(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.array(value, tool_output);
    reader.uninspectable(value, "provider_state");
    reader.reading.continues_elsewhere = true;
    reader.reading.models.unknown = true;
}

fn tool_resources(reader: &mut Reader<'_>, value: Value<'_>) {
    let texts = reader.tree(value);
    reader.emit_text(value, texts, &Origin::of(Author::System, Part::Other));
    for (_, tool) in value.members() {
        for key in ["file_ids", "vector_store_ids"] {
            let kept = tool.get(key).into_iter().flat_map(|list| list.elements());
            kept.for_each(|id| reader.uninspectable(id, "provider_state"));
        }
    }
}

/// Returns whether a response's message repeats a text of the user or the application.
pub(super) fn is_by_others(message: Value<'_>) -> bool {
    matches!(
        author_of(message, ROLES),
        Known::Is(Author::User | Author::System)
    )
}

/// Reads a message of a thread.
fn message(reader: &mut Reader<'_>, message: Value<'_>) {
    let origin = Origin {
        from: author_of(message, ROLES),
        ..Origin::of(Author::User, Part::Text)
    };
    reader.reading.count_message(&origin.from);
    reader.plain_rows(message, MESSAGE, &origin);
}

fn attachment(reader: &mut Reader<'_>, attachment: Value<'_>) {
    let origin = Origin::of(Author::User, Part::Other);
    reader.plain_rows(attachment, ATTACHMENT, &origin);
}

/// Returns whether an entry of a conversation is a call or a result in Mistral's format.
fn is_entry(value: Value<'_>) -> bool {
    ["function.call", "tool.execution", "function.result"]
        .iter()
        .any(|known| value.get("type").is_some_and(|kind| kind.is_text(known)))
}

/// Reads a call of the client's function, a call that the provider has run, or the result of a function. Only the
/// conversation contains the call of a result.
fn entry(reader: &mut Reader<'_>, entry: Value<'_>) {
    let kind = |word: &str| entry.get("type").is_some_and(|kind| kind.is_text(word));
    if kind("function.result") {
        result(reader, entry);
        return;
    }
    let beside = Origin {
        from: reader.author(Author::Assistant),
        ..Origin::of(Author::Assistant, Part::Other)
    };
    let mut call = CallBuilder::at(reader, entry);
    call.event.provider_run = kind("tool.execution");
    if reader.direction() == Direction::Request {
        call.event.turn = Turn::Earlier;
    }
    reader.rows(entry, ENTRY, &beside, &mut |reader, key, value| match key {
        "type" => reader.claim(value),
        "name" => call.name(reader, value),
        "arguments" => call.arguments(reader, value),
        _ => {
            reader.text(value, &beside);
        }
    });
    call.add(reader);
}

fn result(reader: &mut Reader<'_>, entry: Value<'_>) {
    let origin = Origin {
        from: reader.author(Author::Tool),
        ..Origin::of(Author::Tool, Part::Text)
    };
    let mut event = Event::new(Kind::ToolResult, reader.direction(), entry.place());
    event.tool = Known::Unknown;
    event.from = origin.from.clone();
    let mut said = None;
    let beside = origin.with_part(Part::Other);
    reader.rows(entry, ENTRY, &beside, &mut |reader, key, value| match key {
        "type" => reader.claim(value),
        "name" => {
            if let Some(name) = reader.name(value) {
                event.tool = Known::Is(name.into());
            }
        }
        "arguments" => {
            let texts = reader.tree(value);
            reader.emit_text(value, texts, &beside);
        }
        _ => {
            event.texts = reader.register_text(value, Class::Text);
            event.at = value.place();
            reader.emit_duplicate(value, event.texts.clone(), &origin);
            said = Some(value);
        }
    });
    match said {
        Some(said) => reader.add_result(event, said, &|_| None),
        None => reader.reading.add(event),
    }
}

/// Reads a call in a step of a run, of any tool: one that the client runs, or one that the provider has run.
fn step_call(reader: &mut Reader<'_>, call: Value<'_>) {
    reader.rows(call, STEP_CALL, &beside(), &mut |reader, _, function| {
        step_function(reader, call, function)
    });
    step_of_provider(reader, call);
}

/// Reads a call of the client's function in a step.
pub(super) fn step_function(reader: &mut Reader<'_>, call: Value<'_>, function: Value<'_>) {
    let mut builder = CallBuilder::at(reader, call);
    // A call with a result has run.
    if function.get("output").is_some_and(|it| !it.is_null()) {
        builder.event.turn = Turn::Earlier;
    }
    reader.rows(
        function,
        STEP_FUNCTION,
        &beside(),
        &mut |reader, key, value| match key {
            "name" => builder.name(reader, value),
            _ => builder.arguments(reader, value),
        },
    );
    builder.add(reader);
}

/// Adds the event of a call in a step that the provider ran itself. Its texts have events of their own.
pub(super) fn step_of_provider(reader: &mut Reader<'_>, call: Value<'_>) {
    for name in ["code_interpreter", "file_search", "retrieval"] {
        let Some(of_tool) = call.get(name).filter(|of_tool| !of_tool.is_null()) else {
            continue;
        };
        let mut builder = CallBuilder::at(reader, call);
        builder.event.tool = Known::Is(name.into());
        builder.event.provider_run = true;
        builder.event.args = Known::Is(of_tool.place());
        builder.add(reader);
    }
}

/// Reads the results of the client's tools. Only the thread contains their names.
fn tool_output(reader: &mut Reader<'_>, output: Value<'_>) {
    let origin = Origin::of(Author::Tool, Part::Text);
    let mut event = Event::new(Kind::ToolResult, Direction::Request, output.place());
    event.from = origin.from.clone();
    event.tool = Known::Unknown;
    let mut holder = None;
    reader.rows(output, TOOL_OUTPUT, &origin, &mut |reader, _, value| {
        holder = Some(value);
        event.at = value.place();
        event.texts = reader.register_text(value, Class::Text);
        event.result = reader.structured_result(value);
        reader.emit_duplicate(value, event.texts.clone(), &origin);
    });
    reader.result(event, holder);
}

fn file(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin, is_batch: bool) {
    let is_file = |value: Value<'_>| value.get("filename").is_some();
    match value.kind() {
        json::ValueKind::Object | json::ValueKind::Array
            if is_file(value) || value.elements().any(is_file) =>
        {
            match reader.file(value) {
                // Providers have different names for the purpose; the records themselves show it.
                Some(lines) if is_batch || batch::is_batch(lines) => {
                    batch::read_lines(reader, lines);
                }
                // Of content that is not JSON lines, no record can be read.
                None if is_batch => {
                    let what = "a batch that is no JSON lines";
                    reader.problem(crate::diag::codes::AG2001, value, what);
                }
                _ => {}
            }
        }
        json::ValueKind::String => {
            reader.uninspectable(value, "attachment");
            reader.url(value, origin);
        }
        json::ValueKind::Object => {
            reader.uninspectable(value, "attachment");
            reader.object(
                value,
                &["url", "image_url", "file_id"],
                |reader, key, value| match key {
                    "file_id" => reader.id(value),
                    _ => reader.url(value, origin),
                },
            );
        }
        _ => {}
    }
}

pub(super) fn read_response(reader: &mut Reader<'_>, root: Value<'_>) {
    object(reader, root);
}

/// Reads an object, or a list of them.
pub(super) fn object(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::ValueKind::Array => {
            reader.claim(value);
            for element in value.elements() {
                object(reader, element);
            }
        }
        json::ValueKind::Object if is_item(value) => Items::alone(reader, value),
        json::ValueKind::Object if is_entry(value) => entry(reader, value),
        json::ValueKind::Object => {
            let tables = [OBJECT, ANSWER];
            let origin = beside();
            reader.row_lists(value, &tables, &origin, &mut |reader, _, content| {
                object_content(reader, value, content);
            });
        }
        _ => {}
    }
}

/// Returns whether an element of a list is an item of Responses, which conversations contain.
fn is_item(value: Value<'_>) -> bool {
    value.get("type").is_some_and(|kind| {
        [
            "message",
            "agent_message",
            "reasoning",
            "item_reference",
            "command_execution",
        ]
        .iter()
        .any(|known| kind.is_text(known))
            || kind
                .text()
                .is_some_and(|kind| kind.ends_with("_call") || kind.ends_with("_output"))
    })
}

/// Reads the content of an object; that of a message by the user or the application is a repetition.
pub(super) fn object_content(reader: &mut Reader<'_>, object: Value<'_>, value: Value<'_>) {
    let part = if is_by_others(object) {
        Part::Other
    } else {
        Part::Text
    };
    match value.kind() {
        json::ValueKind::Null => reader.claim(value),
        json::ValueKind::String | json::ValueKind::Array => {
            content(reader, value, &beside().with_part(part));
        }
        _ => {}
    }
}

fn required_action(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.rows(value, REQUIRED, &beside(), &mut |reader, _, call| {
        tool_call(reader, call, Turn::Latest, 0);
    });
}

fn step_details(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.rows(value, STEP, &beside(), &mut |reader, _, calls| {
        reader.array(calls, step_call);
    });
}

/// Edits a stored response like a new one. In a list of them, the copies of a text cannot be found.
pub(super) fn remove_from_chat(
    root: Value<'_>,
    context: &RequestContext,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    if root.get("choices").is_some() {
        openai_chat::remove_from_response(root, context, removals, edits)
    } else if removals.edited.is_empty() {
        removals.only_edits()
    } else {
        Err(CannotRemove)
    }
}

/// Moves the annotations of a thread's messages with their text.
pub(super) fn remove_from_response(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    removals.only_edits()?;
    let edited = removals.edited_texts();
    for node in root.descendants() {
        let Some(text) = node.value.get("value") else {
            continue;
        };
        if let (Some(edited), Some(annotations)) =
            (edited.get(&text.place()), node.value.get("annotations"))
        {
            move_indices(text, annotations, edited, edits);
        }
    }
    Ok(())
}
