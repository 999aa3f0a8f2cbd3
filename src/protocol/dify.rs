//! Dify: `POST …/chat-messages`, `…/completion-messages` and `…/workflows/run`. The application behind the key of a request has the
//! model, the instructions and the tools, which it runs itself and tells of.
//!
//! ```text
//! {"query":"Will it rain?","inputs":{"city":"Bern"},"response_mode":"streaming","user":"u-1","conversation_id":""}
//! {"event":"agent_thought","position":1,"thought":"","tool":"forecast","tool_input":"{\"city\":\"Bern\"}","observation":"rain"}
//! {"event":"message","answer":"Yes","message_id":"m-1","conversation_id":"c-1"}
//! {"event":"message_end","metadata":{"usage":{"prompt_tokens":3,"completion_tokens":4}}}
//! ```
//!
//! Source: Dify's API reference.

use super::coverage::{RESPONSE_WITH_RESULTS, TEXTS, shown};
use super::json_edit::ObjectWriter;
use super::openai_shapes::{beside, error, usage};
use super::reader::{CallBuilder, Origin, Reader, Row, Type};
use super::routes::{RouteSpec, json};
use super::stream::{StreamReader, SyntheticFrame, TextSpec, TextStream};
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Protocol, RequestContext,
    ResponseEdit,
};
use crate::event::{Author, Direction, Event, Kind, Known, Part, Turn};
use crate::wire::json::{self, NodeId, Value};

/// The format.
pub(super) struct Dify;

const ROUTES: &[RouteSpec] = &[
    json("chat-messages", "chat-messages"),
    json("completion-messages", "completion-messages"),
    json("workflows/run", "workflows.run"),
    json("workflows/*/run", "workflows.run"),
    json("chat-messages/*/stop", "stop"),
    json("completion-messages/*/stop", "stop"),
    json("workflows/tasks/*/stop", "stop"),
];

const REQUEST: &[Row] = &[
    ("query", Type::Text(Part::Text)),
    ("inputs", Type::Tree(Part::Text)),
    ("files", Type::List(&Type::ReadOf(file))),
    ("response_mode", Type::Read(response_mode)),
    ("conversation_id", Type::Read(conversation)),
    ("user", Type::Text(Part::Other)),
    ("auto_generate_name", Type::Flag),
    ("workflow_id", Type::Id),
    ("trace_id", Type::Id),
];
const FILE: &[Row] = &[
    ("type", Type::Word("document|image|audio|video|custom")),
    ("transfer_method", Type::Word("remote_url|local_file")),
    ("url", Type::Url),
    ("upload_file_id", Type::State),
];
/// Members of a whole response, and of an event of a stream.
const RESPONSE: &[Row] = &[
    ("event", Type::Id),
    ("answer", Type::Custom),
    ("thought", Type::Custom),
    ("tool", Type::Custom),
    ("tool_input", Type::Custom),
    ("observation", Type::Custom),
    ("data", Type::Custom),
    (
        "metadata",
        Type::Object(&[
            ("usage", Type::Read(usage)),
            ("retriever_resources", Type::Tree(Part::Other)),
        ]),
    ),
    ("url", Type::Url),
    ("audio", Type::Media),
    ("task_id", Type::Id),
    ("id", Type::Id),
    ("message_id", Type::Id),
    ("conversation_id", Type::Id),
    ("workflow_run_id", Type::Id),
    ("mode", Type::Id),
    ("type", Type::Id),
    ("position", Type::Number),
    ("created_at", Type::Number),
    ("status", Type::Id),
    ("code", Type::Id),
    ("message", Type::Read(error)),
];
/// A part of a workflow's text.
const DATA: &[Row] = &[("text", Type::Spoken)];

static FORMAT: Format = Format {
    name: "dify",
    dialect: Dialect::Dify,
    routes: ROUTES,
    coverage: &[CoverageRow {
        route: shown(
            "`POST …/chat-messages`, `…/completion-messages`, `…/workflows/run`, `…/workflows/ID/run`, and `…/stop` of one",
        ),
        request: TEXTS,
        response: RESPONSE_WITH_RESULTS,
        stream: RESPONSE_WITH_RESULTS,
    }],
};

impl Protocol for Dify {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        reader.reading.params = Some(root.place());
        let user = Origin::of(Author::User, Part::Text);
        if endpoint.name != "stop" {
            reader.reading.count_message(&user.from);
            // The application has the model, and instructions for it.
            reader.reading.models.unknown = true;
            reader.uninspectable(root, "provider_state");
        }
        reader.plain_rows(root, REQUEST, &user);
        let event = Event::new(Kind::Request, Direction::Request, root.place());
        reader.reading.add(event);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        event(reader, root, &Origin::answer(0));
    }

    fn denied_response(&self, denial: &Denial, _: &RequestContext) -> Vec<u8> {
        denied_answer(denial)
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        edit.removals.only_edits()
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(TextStream::new(EVENT_STREAM, context)))
    }
}

/// Streamed response: each event has a piece of the answer, or tells of a tool or of a node of a workflow.
const EVENT_STREAM: &TextSpec = &TextSpec {
    read: |_, reader, value, _, origin| event(reader, value, origin),
    text_at: |text_key, _| format!("#{}", text_key.part.word()),
    has_done: false,
    error: |denial| SyntheticFrame::typed_error(None, "event", Dialect::Dify, denial),
    ..TextSpec::OPENAI
};

fn event(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    let is = |kind: &str| value.get("event").is_some_and(|event| event.is_text(kind));
    // The answer so far is replaced by another one.
    let said = match is("message_replace") {
        true => origin.whole(),
        false => origin.clone(),
    };
    let mut call = CallBuilder::at(reader, value.get("tool").unwrap_or(value));
    call.event.turn = Turn::Latest;
    call.event.provider_run = true;
    let mut is_called = false;
    let mut observed = None;
    let aside = beside();
    reader.rows(value, RESPONSE, &aside, &mut |reader, key, member| {
        match key {
            _ if member.is_null() || member.is_text("") => reader.claim(member),
            "answer" => {
                reader.text(member, &said);
            }
            "thought" => {
                reader.text(member, &aside.with_part(Part::Reasoning));
            }
            "tool" => {
                is_called = true;
                call.name(reader, member);
                // One thought may lead to several tools.
                if member.text().is_some_and(|names| names.contains(';')) {
                    call.event.tool = Known::Unknown;
                }
            }
            "tool_input" => {
                // Without a name it is a call of some tool.
                is_called = true;
                let (args, texts) = reader.any_arguments(member);
                let args = of_tool(reader, args, value.get("tool"));
                call.given(reader, member, (args, texts));
            }
            "observation" => observed = Some(member),
            _ if is("text_chunk") => reader.plain_rows(member, DATA, &said),
            _ => {
                let texts = reader.tree(member);
                reader.emit_text(member, texts, &origin.whole());
            }
        }
    });
    let tool = call.event.tool.clone();
    if is_called {
        // The thought comes again with what the tool returned.
        call.event.is_duplicate = observed.is_some();
        call.add(reader);
    }
    if let Some(observed) = observed {
        reader.provider_result(observed, tool, &aside);
    }
}

/// Returns the arguments of a tool: mostly they are under its name.
fn of_tool(reader: &Reader<'_>, args: Known<NodeId>, tool: Option<Value<'_>>) -> Known<NodeId> {
    let Known::Is(all) = args else { return args };
    let name = tool.and_then(|tool| tool.text()).unwrap_or_default();
    let found = reader.json.value(all).and_then(|all| all.get(&name));
    let found = found.filter(|args| args.kind() == json::ValueKind::Object);
    Known::Is(found.map_or(all, |args| args.place()))
}

/// Streams unless the request asks for a whole response.
fn response_mode(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.reading.stream = value.is_text("streaming");
    reader.word(value, "streaming|blocking");
}

/// Reads the conversation to go on with; an empty one begins another.
fn conversation(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.is_text("") {
        true => reader.claim(value),
        false => reader.state(value),
    }
}

fn file(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    let is_image = value.get("type").is_some_and(|kind| kind.is_text("image"));
    reader.attachment(value, |count| match is_image {
        true => &mut count.image,
        false => &mut count.file,
    });
    reader.plain_rows(value, FILE, origin);
}

/// Returns a response that contains only a denial.
fn denied_answer(denial: &Denial) -> Vec<u8> {
    let mut out = Vec::new();
    let mut event = ObjectWriter::begin(&mut out);
    event.text("event", "message");
    event.text("message_id", &format!("agentguard-{}", denial.request_id));
    event.text("answer", &denial.message());
    event.member("metadata", |out| out.extend_from_slice(b"{}"));
    event.end();
    out
}
