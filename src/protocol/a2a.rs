//! Agent2Agent, versions 0.3 and 1.0, in both bindings over HTTP: JSON-RPC at any path, and HTTP+JSON (`message:send`,
//! `tasks/…`). One agent sends messages to another one, without models or tools on the wire.
//!
//! Source: the A2A specification and its protocol buffers of both versions, and what the official Python SDK sends.

mod denial;
mod read;
mod stream;
mod tables;

use super::coverage::{CoverageRow, Inspected, shown};
use super::jsonrpc::{self, first_message, folded};
use super::reader::Reader;
use super::stream::StreamReader;
use super::{
    BodyForm, CannotRemove, Denial, DenialReply, Dialect, Endpoint, Format, Protocol,
    RemovalMethod, RequestContext, ResponseEdit, RouteHead,
};
use crate::event::{DefaultGate, Kind};
use crate::wire::frame::Framing;
use crate::wire::http::MediaType;
use crate::wire::json::Value;
use crate::wire::letter_case;
use stream::A2aStream;

/// The format.
pub(super) struct A2a;

const VERSION: &str = "a2a-version";

/// Endpoints, as records name them.
const SEND: &str = "message.send";
const STREAM: &str = "message.stream";
const CARD: &str = "agent.card";
const TASK: &str = "tasks.get";
const TASKS: &str = "tasks.list";
const CANCEL: &str = "tasks.cancel";
const SUBSCRIBE: &str = "tasks.subscribe";
const PUSH: &str = "tasks.push";
/// Push notification, which an agent posts to the address that its client has chosen: the state of a task, or an update.
const NOTIFICATION: &str = "tasks.notification";
/// Header with the token that the client has chosen for it.
const NOTIFICATION_TOKEN: &str = "x-a2a-notification-token";
/// A JSON-RPC message whose method is not known.
const MESSAGE: &str = "message";

/// JSON-RPC methods of both versions, with what they ask for.
const METHODS: &[(&str, &str)] = &[
    ("SendMessage", SEND),
    ("message/send", SEND),
    ("SendStreamingMessage", STREAM),
    ("message/stream", STREAM),
    ("GetTask", TASK),
    ("tasks/get", TASK),
    ("ListTasks", TASKS),
    ("CancelTask", CANCEL),
    ("tasks/cancel", CANCEL),
    ("SubscribeToTask", SUBSCRIBE),
    ("tasks/resubscribe", SUBSCRIBE),
    ("CreateTaskPushNotificationConfig", PUSH),
    ("GetTaskPushNotificationConfig", PUSH),
    ("ListTaskPushNotificationConfigs", PUSH),
    ("DeleteTaskPushNotificationConfig", PUSH),
    ("tasks/pushNotificationConfig/set", PUSH),
    ("tasks/pushNotificationConfig/get", PUSH),
    ("tasks/pushNotificationConfig/list", PUSH),
    ("tasks/pushNotificationConfig/delete", PUSH),
    ("GetExtendedAgentCard", CARD),
    ("agent/getAuthenticatedExtendedCard", CARD),
];

static FORMAT: Format = Format {
    name: "a2a",
    dialect: Dialect::A2a,
    routes: &[],
    coverage: &[
        CoverageRow {
            route: shown(
                "`GET /.well-known/agent-card.json`, `GET …/extendedAgentCard`, `GET …/v1/card`",
            ),
            request: Inspected::As(&[Kind::Request]),
            response: Inspected::As(&[Kind::Response]),
            stream: Inspected::As(&[Kind::Response]),
        },
        CoverageRow {
            route: shown("`POST` any path, JSON-RPC (`SendMessage`, `message/send`, `tasks/…`, …)"),
            request: Inspected::As(&[Kind::Request, Kind::Message]),
            response: Inspected::As(&[Kind::Response]),
            stream: Inspected::As(&[Kind::Response]),
        },
        CoverageRow {
            route: shown("`POST …/message:send`"),
            request: Inspected::As(&[Kind::Request, Kind::Message]),
            response: Inspected::As(&[Kind::Response]),
            stream: Inspected::As(&[Kind::Response]),
        },
        CoverageRow {
            route: shown("`POST …/message:stream`, `…/tasks/ID:subscribe`"),
            request: Inspected::As(&[Kind::Request, Kind::Message]),
            response: Inspected::As(&[Kind::Response]),
            stream: Inspected::As(&[Kind::Response]),
        },
        CoverageRow {
            route: shown("`GET …/tasks`, `…/tasks/ID`, `POST …/tasks/ID:cancel`"),
            request: Inspected::As(&[Kind::Request, Kind::Message]),
            response: Inspected::As(&[Kind::Response]),
            stream: Inspected::As(&[Kind::Response]),
        },
        CoverageRow {
            route: shown("`…/tasks/ID/pushNotificationConfigs`, and one of them"),
            request: Inspected::As(&[Kind::Request, Kind::Message]),
            response: Inspected::As(&[Kind::Response]),
            stream: Inspected::As(&[Kind::Response]),
        },
        CoverageRow {
            route: shown("`POST` any path, a push notification"),
            request: Inspected::As(&[Kind::Request, Kind::Message]),
            response: Inspected::As(&[Kind::Response]),
            stream: Inspected::As(&[Kind::Response]),
        },
    ],
};

/// Returns the names of all methods of both versions.
pub(super) fn method_names() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|(name, _)| *name)
}

/// Returns whether a method is one of this protocol, however it is spelt.
pub(super) fn knows(method: &str) -> bool {
    named_like(method).is_some()
}

/// The method that a lenient server would take for this name.
fn named_like(method: &str) -> Option<&'static str> {
    let folded = folded(method);
    METHODS
        .iter()
        .find(|(name, _)| letter_case::ascii_lower(name) == folded)
        .map(|(name, _)| *name)
}

/// Operation of a method.
fn endpoint_of(method: &str) -> Option<&'static str> {
    METHODS
        .iter()
        .find(|(name, _)| *name == method)
        .map(|(_, endpoint)| *endpoint)
}

impl Protocol for A2a {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        by_path(head)
    }

    fn asks_for_body(&self, head: &RouteHead<'_>) -> bool {
        jsonrpc::is_expected(head)
    }

    /// Both protocols know `tasks/get` and `tasks/cancel`. A task of MCP is named by `taskId`, one of A2A by `id`.
    fn endpoint_by_body(&self, head: &RouteHead<'_>, body: Value<'_>) -> Option<Endpoint> {
        if head.method != "POST" {
            return None;
        }
        let Some(message) = first_message(body) else {
            return (notifies(head) && read::is_notification(body)).then(|| posted(head));
        };
        let method = message.get("method").and_then(|method| method.text())?;
        let is_ours = match (knows(&method), super::mcp::knows(&method)) {
            (true, false) => true,
            (true, true) => message
                .get("params")
                .is_none_or(|params| params.get("taskId").is_none()),
            (false, true) => false,
            (false, false) => head.header(VERSION).is_some(),
        };
        is_ours.then(|| posted(head))
    }

    fn assume(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        by_path(head).or_else(|| match head.method {
            "POST" => Some(posted(head)),
            "GET" => Some(without_body(CARD, DefaultGate::Plumbing, head)),
            _ => None,
        })
    }

    fn removal(&self, _: Kind) -> RemovalMethod {
        RemovalMethod::Whole
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        read::request(reader, root, endpoint);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        read::answer(reader, root, context, &read::Continued::default());
    }

    fn denial_reply(&self, denial: &Denial, context: &RequestContext) -> DenialReply {
        denial::reply(denial, context)
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        denial::answer(denial, context)
    }

    fn remove_from_response(&self, _: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        // Texts are edited in place, those of the history too; nothing else repeats them.
        Ok(())
    }

    fn framing(&self, _: &RequestContext, media: MediaType) -> Option<Framing> {
        (media == MediaType::EventStream).then_some(Framing::Sse)
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(A2aStream::new(context)))
    }
}

/// Endpoints of HTTP+JSON. Tasks are only recognised with `v1` before them (0.3) or with the protocol's own header:
/// other services have tasks as well.
fn by_path(head: &RouteHead<'_>) -> Option<Endpoint> {
    let segments: Vec<String> = head
        .path
        .segments
        .iter()
        .map(|segment| letter_case::ascii_lower(segment))
        .collect();
    let mut tail: Vec<&str> = segments.iter().rev().take(5).map(String::as_str).collect();
    tail.reverse();
    let has_header = head.header(VERSION).is_some();
    match (head.method, tail.as_slice()) {
        ("GET", [.., ".well-known", "agent-card.json" | "agent.json"])
        | ("GET", [.., "extendedagentcard"])
        | ("GET", [.., "v1", "card"])
        | ("GET", [.., "agent", "authenticatedextendedcard"]) => {
            Some(without_body(CARD, DefaultGate::Plumbing, head))
        }
        ("POST", [.., "message:send"]) => Some(with_body(SEND, None, head)),
        ("POST", [.., "message:stream"]) => Some(with_body(STREAM, Some(true), head)),
        ("GET" | "POST" | "DELETE", [before @ .., "tasks", _, "pushnotificationconfigs"])
        | ("GET" | "DELETE", [before @ .., "tasks", _, "pushnotificationconfigs", _])
            if has_header || before.last() == Some(&"v1") || head.method == "POST" =>
        {
            Some(match head.method {
                "POST" => with_body(PUSH, None, head),
                _ => without_body(PUSH, DefaultGate::Requests, head),
            })
        }
        (method, [before @ .., "tasks", task]) if has_header || before.last() == Some(&"v1") => {
            let (name, stream) = match (method, task.rsplit_once(':').map(|(_, verb)| verb)) {
                ("POST", Some("cancel")) => (CANCEL, None),
                ("GET" | "POST", Some("subscribe")) => (SUBSCRIBE, Some(true)),
                ("GET", _) => (TASK, None),
                _ => return None,
            };
            Some(Endpoint {
                stream,
                ..without_body(name, DefaultGate::Requests, head)
            })
        }
        ("GET", [before @ .., "tasks"]) if has_header || before.last() == Some(&"v1") => {
            Some(without_body(TASKS, DefaultGate::Requests, head))
        }
        _ => None,
    }
}

/// Returns whether a request to any path says that it is of this protocol, as agents say that notify a client.
fn notifies(head: &RouteHead<'_>) -> bool {
    let media = head.header("content-type").unwrap_or_default();
    head.header(VERSION).is_some()
        || head.header(NOTIFICATION_TOKEN).is_some()
        || letter_case::ascii_lower(&String::from_utf8_lossy(media)).contains("a2a+json")
}

fn own_headers(head: &RouteHead<'_>) -> Vec<(Box<str>, Box<[u8]>)> {
    head.header(VERSION)
        .map(|value| (VERSION.into(), value.into()))
        .into_iter()
        .collect()
}

fn with_body(name: &'static str, stream: Option<bool>, head: &RouteHead<'_>) -> Endpoint {
    Endpoint {
        name,
        stream,
        headers: own_headers(head),
        ..Endpoint::default()
    }
}

/// An endpoint whose path says all. The official Python and TypeScript clients send nothing there, also with `POST`; the
/// Python one `{}` to cancel a task, and the Go one `null`, also with `GET`.
fn without_body(name: &'static str, gate: DefaultGate, head: &RouteHead<'_>) -> Endpoint {
    Endpoint {
        body: BodyForm::JsonOrNothing,
        gate,
        ..with_body(name, None, head)
    }
}

fn posted(head: &RouteHead<'_>) -> Endpoint {
    with_body(MESSAGE, None, head)
}
