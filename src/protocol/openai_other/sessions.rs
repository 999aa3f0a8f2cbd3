//! Sessions of OpenAI's Agents API: an agent runs at the provider, in turns; its client sends events and receives events.
//!
//! A request adds messages, and results of the client's tools:
//!
//! ```text
//! {"events":[{"type":"agent.session.input.message","input":[{"role":"user","content":[{"type":"input_text","text":"Will it rain?"}]}]},
//!   {"type":"agent.session.input.tool_result","turn_id":"turn_1","call_id":"call_1","success":true,"output":"rain"}]}
//! ```
//!
//! The events of a turn are those of Responses under other names, and further ones report the session with the calls that
//! it waits for:
//!
//! ```text
//! {"type":"agent.session.turn.output_text.delta","event_id":"ev_1","session_id":"s_1","turn_id":"turn_1","item_id":"msg_1","output_index":0,"content_index":0,"delta":"Rain"}
//! {"type":"agent.session.turn.item.done","event_id":"ev_2","session_id":"s_1","turn_id":"turn_1","output_index":1,"item":{"id":"fc_1","type":"function_call","call_id":"call_1","name":"forecast","arguments":{"city":"Bern"},"status":"completed"}}
//! {"type":"agent.session.requires_action","event_id":"ev_3","session":{"id":"s_1","object":"agent.session","required_actions":[{"type":"function_call","call_id":"call_1","turn_id":"turn_1","name":"forecast","arguments":{"city":"Bern"}}]}}
//! ```
//!
//! Source: OpenAI's published SDK types (`OpenAI-Beta: agents=v1`).

use super::stored;
use crate::event::{Author, Kind, Known, Part};
use crate::protocol::openai_responses::{Items, ResponsesStream};
use crate::protocol::openai_shapes::{ANSWER, beside};
use crate::protocol::reader::{CallBuilder, Origin, Reader, Row, Type};
use crate::protocol::stream::{
    CallKey, ChangesByText, HeldFrame, KeepAlive, StreamReader, SyntheticFrame, TextKey,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Removals, RequestContext};
use crate::wire::json::Value;

/// Event that a client sends, other than the result of a tool.
const INPUT_EVENT: &[Row] = &[
    ("type", Type::Id),
    ("input", Type::Read(stored::items)),
    ("request_id", Type::Id),
    // What a person decided: `{type, decision}`, or the fields of a form.
    ("response", Type::Tree(Part::Other)),
];
/// Action that a session waits for: a call of the client's tool, or the permission for a call of a server's.
const ACTION: &[Row] = &[
    ("type", Type::Id),
    ("call_id", Type::Id),
    ("turn_id", Type::Id),
    ("request_id", Type::Id),
    ("environment_id", Type::Id),
    ("server_label", Type::Id),
    ("message", Type::Text(Part::Other)),
    ("name", Type::Custom),
    ("arguments", Type::Custom),
    ("request", Type::Custom),
];
/// Members of a streamed event that contain objects of the session.
const EVENT: &[Row] = &[
    ("session", Type::Read(stored::object)),
    ("turn", Type::Read(stored::object)),
    ("subagent", Type::Read(stored::object)),
    ("environment", Type::Object(stored::ENVIRONMENT)),
    ("environment_id", Type::Id),
];

/// Reads an event that a client sends.
pub(super) fn input_event(reader: &mut Reader<'_>, event: Value<'_>) {
    let kind = event.get("type").and_then(|kind| kind.text());
    if kind.is_some_and(|kind| kind.ends_with(".tool_result")) {
        Items::alone(reader, event);
    } else {
        let user = Origin::of(Author::User, Part::Other);
        reader.plain_rows(event, INPUT_EVENT, &user);
    }
}

/// Reads an action that a session waits for.
pub(super) fn required_action(reader: &mut Reader<'_>, action: Value<'_>) {
    let mut call = CallBuilder::at(reader, action);
    let asked = action.get("request");
    // The session may ask for a permission without the name or the arguments of the call.
    if asked.is_some() {
        call.event.args = Known::Unknown;
    }
    for object in std::iter::once(action).chain(asked) {
        reader.rows(
            object,
            ACTION,
            &beside(),
            &mut |reader, key, value| match key {
                _ if value.is_null() && asked.is_some() => reader.claim(value),
                "name" => call.name(reader, value),
                "arguments" => {
                    let given = reader.any_arguments(value);
                    call.given(reader, value, given);
                }
                _ => {}
            },
        );
    }
    let kind = action.get("type").and_then(|kind| kind.text());
    let is_call = matches!(
        kind.as_deref(),
        Some("function_call" | "mcp_approval_request")
    );
    let mut objects = std::iter::once(action).chain(asked);
    let has_call = objects.any(|object| object.get("name").or(object.get("arguments")).is_some());
    if is_call || has_call {
        call.add(reader);
    }
}

/// Streamed events of a session.
pub(super) struct SessionStream {
    turns: ResponsesStream,
    /// Whether the session's settings were reported.
    has_settings: bool,
}

impl SessionStream {
    pub(super) fn new(context: &RequestContext) -> SessionStream {
        SessionStream {
            turns: ResponsesStream::of_session(context),
            has_settings: false,
        }
    }

    /// Reads the objects of an event. Each event of the session repeats its settings, and most calls that it waits for
    /// were items of the stream before.
    fn objects(&mut self, reader: &mut Reader<'static>, event: Value<'_>) {
        let first = reader.reading.events.len();
        reader.row_lists(event, &[EVENT, ANSWER], &beside(), &mut |_, _, _| {});
        let json = &reader.json;
        let is_copy =
            event.get("session").is_some() && std::mem::replace(&mut self.has_settings, true);
        for event in reader.reading.events.iter_mut().skip(first) {
            event.is_duplicate |= is_copy && event.kind != Kind::ToolCall;
            if let (Kind::ToolCall, Known::Is(name), Known::Is(arguments)) =
                (event.kind, &event.tool, &event.args)
                && let Some(arguments) = json.value(*arguments)
            {
                let raw = String::from_utf8_lossy(arguments.raw());
                event.is_duplicate |= self.turns.knows_call(name, &raw);
            }
        }
    }
}

impl StreamReader for SessionStream {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, event: Option<&str>) {
        self.turns.read(reader, root, event);
        self.objects(reader, root);
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        self.turns.is_end(payload)
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        self.turns.text_at(text_key)
    }

    fn call_at(&self, key: &CallKey) -> String {
        self.turns.call_at(key)
    }

    fn remove_from_response(
        &mut self,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        self.turns.remove_from_response(frame, removals)
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        self.turns.correct(frame, changes);
    }

    /// Returns an error: the agent continues at the provider.
    fn denial_frames(&mut self, denial: &Denial, _: bool) -> Vec<SyntheticFrame> {
        let error = SyntheticFrame::typed_error(Some("error"), "type", Dialect::OpenAi, denial);
        vec![error]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}
