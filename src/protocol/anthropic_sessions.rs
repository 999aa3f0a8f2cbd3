//! Agents of Anthropic's API that run at the provider, and their sessions: a client sends events, and receives those of the
//! session as a list or as a stream.
//!
//! ```text
//! {"events":[{"type":"user.message","content":[{"type":"text","text":"Will it rain?"}]},
//!   {"type":"user.custom_tool_result","custom_tool_use_id":"ev_3","content":[{"type":"text","text":"rain"}]}]}
//! ```
//!
//! Each streamed event is complete, except for the pieces of a text that a client may ask for before its event:
//!
//! ```text
//! {"type":"event_delta","event_id":"ev_2","delta":{"type":"content_delta","index":0,"content":{"type":"text","text":"Rain"}}}
//! {"type":"agent.message","id":"ev_2","content":[{"type":"text","text":"Rain"}],"processed_at":"2026-01-01T00:00:00Z"}
//! {"type":"agent.custom_tool_use","id":"ev_3","name":"forecast","input":{"city":"Bern"},"processed_at":"2026-01-01T00:00:01Z"}
//! ```
//!
//! Source: Anthropic's published SDK types (`anthropic-beta: managed-agents-2026-04-01`).

use super::anthropic_shapes::{self, add_request_event, block, content, error, offered_tool};
use super::conversation::{Attribution, Calls};
use super::coverage::{RESPONSE_WITH_RESULTS, shown};
use super::provider_apis::is_of_anthropic;
use super::reader::{CallBuilder, Origin, Reader, Row, Type};
use super::routes::{self, RouteSpec, get, json};
use super::stream::{
    CallDelta, CallKey, Delta, KeepAlive, MAX_TEXTS, OrderingGroups, SnapshotTexts, StreamReader,
    SyntheticFrame, TextKey, Update, too_many,
};
use super::{
    BodyForm, CONVERSATION, CoverageRow, Denial, Dialect, Endpoint, Format, Protocol,
    RequestContext, RouteHead,
};
use crate::event::{Author, Direction, Event, Kind, Known, Part, Pending, Turn};
use crate::wire::json::{self, Value};
use crate::wire::span::{index, offset};

/// The format.
pub(super) struct AnthropicSessions;

const AGENTS: &str = "agents";
const SESSIONS: &str = "sessions";
const EVENTS: &str = "sessions.events";

const fn change(path: &'static str, name: &'static str) -> RouteSpec {
    json(path, name).body(BodyForm::JsonOrNothing)
}

const ROUTES: &[RouteSpec] = &[
    json("agents", AGENTS),
    json("agents/*", AGENTS),
    json("sessions", SESSIONS),
    change("sessions/*", SESSIONS),
    json("sessions/*/events", EVENTS),
    get("GET", "sessions/*/events", EVENTS),
    get("GET", "sessions/*/events/stream", EVENTS),
    get("GET", "sessions/*/threads/*/events", EVENTS),
    get("GET", "sessions/*/threads/*/events/stream", EVENTS),
    get("GET", "sessions/*/threads/*/stream", EVENTS),
];

/// A request that creates or changes an agent or a session, or adds events to it.
const REQUEST: &[Row] = &[
    ("agent", Type::Custom),
    ("events", Type::Custom),
    ("initial_events", Type::Custom),
    ("environment_id", Type::Id),
    ("vault_ids", Type::List(&Type::Id)),
    ("resources", Type::List(&Type::Object(RESOURCE))),
    ("title", Type::Text(Part::Other)),
    ("budget", Type::Counts),
    ("metadata", Type::Tree(Part::Other)),
];
/// What is put into the environment of a session.
const RESOURCE: &[Row] = &[
    ("type", Type::Word("file|github_repository|memory_store")),
    ("file_id", Type::State),
    ("memory_store_id", Type::State),
    ("url", Type::Reference),
    ("authorization_token", Type::Id),
    ("checkout", Type::Tree(Part::Other)),
    ("mount_path", Type::Text(Part::Other)),
    ("access", Type::Word("read_write|read_only")),
    ("instructions", Type::Read(system)),
];
const AGENT: &[Row] = &[
    (
        "type",
        Type::Word("agent|agent_with_overrides|inline|self|advisor|enabled|disabled"),
    ),
    ("id", Type::State),
    ("version", Type::Number),
    ("model", Type::Custom),
    ("name", Type::Text(Part::Other)),
    ("description", Type::Text(Part::Other)),
    ("system", Type::Read(system)),
    ("tools", Type::List(&Type::Read(offered_tool))),
    ("mcp_servers", Type::Custom),
    (
        "skills",
        Type::List(&Type::Object(&[
            ("type", Type::Word("anthropic|custom")),
            ("skill_id", Type::State),
            ("version", Type::Id),
        ])),
    ),
    ("multiagent", Type::Object(MULTIAGENT)),
    ("execution_identity", Type::Counts),
];
/// Agents that the agent may start, and the model that it may ask.
const MULTIAGENT: &[Row] = &[
    ("type", Type::Word("coordinator|multiagent_20261001")),
    ("agents", AGENTS_BY_ID),
    ("advisor", Type::Read(agent)),
    ("subagents", STARTED),
    ("workflows", STARTED),
];
const AGENTS_BY_ID: Type = Type::List(&Type::Read(agent));
const ENABLED: Row = ("type", Type::Word("enabled|disabled"));
const STARTED: Type = Type::Object(&[
    ENABLED,
    ("inline_agents", Type::Object(&[ENABLED])),
    ("predefined_agents", AGENTS_BY_ID),
]);
const MODEL: &[Row] = &[
    ("id", Type::Model),
    ("effort", Type::Counts),
    ("speed", Type::Word("standard|fast")),
    ("inference_geo", Type::Id),
];
/// Members of events of every kind.
const EVENT: &[Row] = &[
    ("type", Type::Id),
    ("id", Type::Id),
    ("processed_at", Type::Id),
    ("session_thread_id", Type::Id),
    ("from_session_thread_id", Type::Id),
    ("to_session_thread_id", Type::Id),
    ("model_request_start_id", Type::Id),
    ("tool_use_id", Type::Id),
    ("custom_tool_use_id", Type::Id),
    ("mcp_tool_use_id", Type::Id),
    ("outcome_id", Type::Id),
    ("outcome_evaluation_start_id", Type::Id),
    ("workflow_run_id", Type::Id),
    ("workflow_run_phase_id", Type::Id),
    ("phase_started_id", Type::Id),
    ("content", Type::Custom),
    ("name", Type::Custom),
    ("input", Type::Custom),
    ("mcp_server_name", Type::Name),
    ("is_error", Type::Flag),
    ("result", Type::Word("allow|deny")),
    ("deny_message", Type::Text(Part::Other)),
    ("description", Type::Spoken),
    (
        "rubric",
        Type::Object(&[
            ("type", Type::Word("text|file")),
            ("content", Type::Text(Part::Other)),
            ("file_id", Type::State),
        ]),
    ),
    ("explanation", Type::Text(Part::Other)),
    ("agent_name", Type::Text(Part::Other)),
    ("max_iterations", Type::Number),
    ("iteration", Type::Number),
    ("usage", Type::Counts),
    ("evaluated_permission", Type::Word("allow|ask|deny")),
    ("model_usage", Type::Counts),
    ("stop_reason", Type::Counts),
    ("error", Type::ReadOf(error)),
];
/// Beginning of a text, and a piece of it.
const PREVIEW: &[Row] = &[
    ("type", Type::Word("event_start|event_delta")),
    ("event_id", Type::Id),
    (
        "event",
        Type::Object(&[
            ("type", Type::Word("agent.message|agent.thinking")),
            ("id", Type::Id),
        ]),
    ),
    ("delta", Type::Custom),
];
const DELTA: &[Row] = &[
    ("type", Type::Word("content_delta")),
    ("index", Type::Number),
    ("content", Type::Custom),
];
/// A list of events, or an object with settings.
const RESPONSE: &[Row] = &[
    ("data", Type::Custom),
    ("next_page", Type::Id),
    ("type", Type::Id),
    ("id", Type::Id),
    ("request_id", Type::Id),
    ("error", Type::ReadOf(error)),
];

static FORMAT: Format = Format {
    name: "anthropic.sessions",
    dialect: Dialect::Anthropic,
    routes: ROUTES,
    coverage: &[
        CoverageRow {
            route: shown(
                "`POST …/v1/agents`, `…/v1/agents/ID`, `…/v1/sessions`, `…/v1/sessions/ID`",
            ),
            request: CONVERSATION,
            response: RESPONSE_WITH_RESULTS,
            stream: RESPONSE_WITH_RESULTS,
        },
        CoverageRow {
            route: shown(
                "`POST`, `GET …/v1/sessions/ID/events`, `GET …/v1/sessions/ID/events/stream`, and those of a session's threads",
            ),
            request: CONVERSATION,
            response: RESPONSE_WITH_RESULTS,
            stream: RESPONSE_WITH_RESULTS,
        },
    ],
};

impl Protocol for AnthropicSessions {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let endpoint = routes::endpoint(head, ROUTES).filter(|_| is_of_anthropic(head))?;
        let is_stream = head
            .path
            .segments
            .last()
            .is_some_and(|end| &**end == "stream");
        Some(Endpoint {
            stream: is_stream.then_some(true),
            // A session waits for the results of all its calls.
            pending: Some(Pending::Stuck),
            ..endpoint
        })
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        agent(reader, root);
        if endpoint.name == EVENTS || !names_model(root) {
            reader.uninspectable(root, "provider_state");
            reader.reading.continues_elsewhere = true;
            reader.reading.models.unknown = true;
        }
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        let aside = Origin::answer(0).with_part(Part::Other);
        reader.rows(root, RESPONSE, &aside, &mut |reader, _, data| {
            reader.array(data, |reader, element| {
                if kind_of(element).contains('.') {
                    event(reader, element);
                }
            });
        });
    }

    fn stream(&self, _: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(SessionEvents::default()))
    }
}

fn names_model(root: Value<'_>) -> bool {
    let agent = root.get("agent").unwrap_or(root);
    agent.get("model").is_some_and(|model| !model.is_null())
}

/// Reads an agent with its settings or its id alone, or a request that contains one.
fn agent(reader: &mut Reader<'_>, value: Value<'_>) {
    if value.kind() == json::ValueKind::String {
        reader.state(value);
        return;
    }
    let aside = Origin::of(Author::System, Part::Other);
    let has_toolset = value.get("tools").is_some_and(|tools| {
        let is_toolset = |tool: Value<'_>| {
            tool.get("type")
                .is_some_and(|kind| kind.is_text("mcp_toolset"))
        };
        tools.elements().any(is_toolset)
    });
    let tables = [REQUEST, AGENT];
    reader.row_lists(
        value,
        &tables,
        &aside,
        &mut |reader, key, value| match key {
            _ if value.is_null() => reader.claim(value),
            "agent" => agent(reader, value),
            "model" => match value.kind() {
                json::ValueKind::String => reader.model(value),
                _ => reader.plain_rows(value, MODEL, &aside),
            },
            "mcp_servers" => anthropic_shapes::mcp_servers(reader, value, has_toolset),
            _ => reader.array(value, event),
        },
    );
}

fn system(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.text(value, &Origin::of(Author::System, Part::Text));
}

/// Returns the type of an event, `agent.message`; empty for other objects.
fn kind_of(value: Value<'_>) -> String {
    let kind = value.get("type").and_then(|kind| kind.text());
    kind.map_or_else(String::new, |kind| kind.into_owned())
}

/// Reads an event.
fn event(reader: &mut Reader<'_>, value: Value<'_>) {
    let kind = kind_of(value);
    let author = match kind.split_once('.') {
        Some(("system", _)) => Author::System,
        Some(("agent", _)) => Author::Assistant,
        _ => Author::User,
    };
    let origin = match reader.direction() {
        Direction::Request => Origin::of(author, Part::Text),
        Direction::Response if kind == "agent.message" => Origin::answer(0),
        // A list of events repeats what others sent.
        Direction::Response => Origin::answer(0).with_part(Part::Other),
    };
    let speaker = Attribution {
        origin,
        calls: Turn::Latest,
        is_result: false,
    };
    if kind.ends_with("tool_use") {
        call(reader, value, &kind, &speaker);
    } else if kind.ends_with("tool_result") {
        result(reader, value, &kind, &speaker);
    } else {
        if reader.direction() == Direction::Request {
            reader.reading.count_message(&speaker.origin.from);
        }
        reader.rows(value, EVENT, &speaker.origin, &mut |reader, key, value| {
            if key == "content" {
                content(reader, value, &speaker, &mut Calls::default());
            }
        });
    }
}

/// Returns whether a call has run, or runs without the client: neither of a custom tool, nor one that waits for the
/// client's permission.
fn is_provider_run(call: Value<'_>, kind: &str) -> bool {
    let permission = call.get("evaluated_permission");
    kind != "agent.custom_tool_use" && !permission.is_some_and(|given| given.is_text("ask"))
}

fn call(reader: &mut Reader<'_>, value: Value<'_>, kind: &str, speaker: &Attribution) {
    let mut call = CallBuilder::at(reader, value);
    call.event.turn = Turn::Latest;
    call.event.provider_run = is_provider_run(value, kind);
    reader.rows(
        value,
        EVENT,
        &speaker.origin,
        &mut |reader, key, value| match key {
            "name" => call.name(reader, value),
            "input" => call.arguments(reader, value),
            _ => {}
        },
    );
    call.add(reader);
}

/// Reads the result of a tool. Only the session contains the call.
fn result(reader: &mut Reader<'_>, value: Value<'_>, kind: &str, speaker: &Attribution) {
    let part = speaker.origin.part;
    let tool = speaker.tool(part);
    let mut event = Event::new(Kind::ToolResult, reader.direction(), value.place());
    event.tool = Known::Unknown;
    event.from = tool.origin.from.clone();
    event.provider_run = kind.starts_with("agent.");
    let is_error = value.get("is_error").and_then(|error| error.as_bool());
    event.ok = Known::Is(!is_error.unwrap_or(false));
    let mut said = None;
    reader.rows(value, EVENT, &tool.origin, &mut |reader, key, value| {
        if key == "content" {
            let start = reader.text_count();
            content(reader, value, &tool, &mut Calls::default());
            let end = reader.text_count();
            said = Some((value, start..end, end..end));
        }
    });
    reader.said_result(event, said, &|part| part.get("text"));
}

/// Streamed events of a session.
#[derive(Debug, Default)]
struct SessionEvents {
    /// Ids of the events with texts.
    ids: Vec<Box<str>>,
    texts: SnapshotTexts,
}

impl SessionEvents {
    fn call(&mut self, reader: &mut Reader<'static>, event: Value<'_>, kind: &str) {
        let key = CallKey::block(self.number_of(reader, event.get("id")));
        let provider_run = is_provider_run(event, kind);
        let mut said = vec![CallDelta::Begin { provider_run }];
        let aside = Origin::answer(0).with_part(Part::Other);
        reader.rows(event, EVENT, &aside, &mut |reader, key, value| match key {
            "name" => {
                reader.name(value);
                said.push(CallDelta::Name(value.place()));
            }
            "input" => {
                reader.claim_all(value);
                said.push(CallDelta::Arguments(value.place()));
            }
            _ => {}
        });
        for said in said {
            reader.call_piece(event.place(), key, said);
        }
        reader.piece(Delta::CallsEnd(vec![key]));
    }

    /// Returns the number of an event by its id.
    fn number_of(&mut self, reader: &mut Reader<'static>, id: Option<Value<'_>>) -> u32 {
        let id = id.and_then(|id| id.text()).unwrap_or_default();
        let known = self.ids.iter().position(|known| **known == *id);
        let number = known.unwrap_or(self.ids.len());
        if known.is_none() && number < MAX_TEXTS {
            self.ids.push(id.as_ref().into());
        } else if known.is_none() {
            too_many(reader);
        }
        offset(number)
    }

    /// Reads the block of a message, or a piece of it.
    fn block(
        &mut self,
        reader: &mut Reader<'static>,
        value: Value<'_>,
        [number, at]: [u32; 2],
        update: Update,
    ) {
        let speaker = Attribution {
            origin: Origin::piece(0),
            calls: Turn::Latest,
            is_result: false,
        };
        let first = reader.frame.pieces.len();
        block(reader, value, &speaker, &mut Calls::default());
        self.texts
            .assign_all(reader, first, [number, at, 0], update);
    }

    fn delta(&mut self, reader: &mut Reader<'static>, event: Value<'_>, delta: Value<'_>) {
        let number = self.number_of(reader, event.get("event_id"));
        let at = super::json_edit::number(delta, "index").unwrap_or(0);
        let aside = Origin::answer(0).with_part(Part::Other);
        reader.rows(delta, DELTA, &aside, &mut |reader, _, value| {
            self.block(reader, value, [number, at], Update::Delta);
        });
    }

    fn message(&mut self, reader: &mut Reader<'static>, event: Value<'_>, content: Value<'_>) {
        let number = self.number_of(reader, event.get("id"));
        let mut at = 0u32;
        reader.array(content, |reader, value| {
            self.block(reader, value, [number, at], Update::Whole);
            at = at.saturating_add(1);
        });
        self.texts.end(reader, &|[of, ..]| of == number);
    }
}

impl StreamReader for SessionEvents {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, name: Option<&str>) {
        reader.frame.lanes = OrderingGroups::ALL;
        let kind = reader.event_type(name);
        let aside = Origin::answer(0).with_part(Part::Other);
        match kind.as_str() {
            "event_start" | "event_delta" => {
                reader.rows(root, PREVIEW, &aside, &mut |reader, _, delta| {
                    self.delta(reader, root, delta);
                });
            }
            "agent.message" => {
                reader.rows(root, EVENT, &aside, &mut |reader, key, value| {
                    if key == "content" {
                        self.message(reader, root, value);
                    }
                });
            }
            kind if kind.ends_with("tool_use") => self.call(reader, root, kind),
            _ => event(reader, root),
        }
        // The pieces of a text whose event does not follow, because the model was interrupted, end here.
        if kind == "span.model_request_end" {
            reader.piece(Delta::End(Some(0)));
        }
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        match self.texts.path(text_key) {
            Some([number, at, _]) => {
                let id = self.ids.get(index(number)).map_or("", |id| id);
                format!("#{id}/content/{at}")
            }
            None => String::new(),
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        let id = self.ids.get(index(key.item));
        format!("#{}", id.map_or("", |id| id))
    }

    /// Returns an error: the agent continues at the provider.
    fn denial_frames(&mut self, denial: &Denial, _: bool) -> Vec<SyntheticFrame> {
        vec![SyntheticFrame::error(Dialect::Anthropic, denial)]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}
