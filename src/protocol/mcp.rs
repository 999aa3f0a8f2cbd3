//! Model Context Protocol over HTTP: streamable HTTP of the versions 2025-03-26 to 2026-07-28, and the older HTTP+SSE
//! transport of 2024-11-05. One JSON-RPC message a request (2025-03-26 also knows batches), at any path.
//!
//! Source: the specification of each version (`basic/transports`, `server/*`, `client/*`, `schema`), and what the official
//! Python and TypeScript SDKs send and accept.

mod content;
mod denial;
mod headers;
mod request;
mod response;
mod stream;
mod tables;

use super::coverage::{CoverageRow, Inspected, shown};
use super::jsonrpc::{self, PendingRpc, denial_with_status, first_message, folded, has_own_status};
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
use stream::McpStream;

/// Protocol.
pub(super) struct Mcp;

/// Headers of MCP. Servers of 2026-07-28 reject a request whose headers contradict its body; older servers ignore
/// unknown headers.
const VERSION: &str = "mcp-protocol-version";
const SESSION: &str = "mcp-session-id";
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PARAM: &str = "mcp-param-";

/// First version with headers that mirror the body, with types in results, and without sessions.
const MIRRORED_SINCE: &str = "2026-07-28";
/// Only version with batches. Its clients send no version.
const BATCHES_IN: &str = "2025-03-26";

/// Names of endpoints in audit events, for requests without a method in the body.
const MESSAGE: &str = "message";
/// Endpoint to which clients of the HTTP+SSE transport post. The response arrives on their open stream. What answers the
/// `POST` itself is never a stream, and clients read nothing of it but the status.
const OLD_MESSAGE: &str = "sse.message";
const STREAM: &str = "stream";
const SESSION_END: &str = "session.end";
/// Endpoint of the metadata about authorization (RFC 9728, RFC 8414, OpenID Connect Discovery), which clients read
/// before they have a session.
const AUTHORIZATION: &str = "authorization.metadata";
const METADATA: [&str; 3] = [
    "oauth-protected-resource",
    "oauth-authorization-server",
    "openid-configuration",
];

/// Endpoint of the documents that describe servers to clients before they connect: the card of one server, and the
/// catalog of a domain.
const SERVER_CARD: &str = "server.card";
/// Names under `/.well-known/`, and those in its folder `mcp`.
const CARDS: [&str; 2] = ["mcp.json", "ai-catalog.json"];
const CARDS_IN_FOLDER: [&str; 3] = ["catalog.json", "server-card.json", "server-card"];

/// Events of a stream, which contains any message of a server, whatever the request.
const MESSAGES: Inspected = Inspected::As(&[
    Kind::Request,
    Kind::ToolOffer,
    Kind::ToolResult,
    Kind::Response,
]);

static FORMAT: Format = Format {
    name: "mcp",
    dialect: Dialect::OpenAi,
    routes: &[],
    coverage: &[
        CoverageRow {
            route: shown(
                "`POST` any path, a JSON-RPC request (`tools/call` and all other methods)",
            ),
            request: Inspected::As(&[Kind::Request, Kind::ToolCall, Kind::Message]),
            response: MESSAGES,
            stream: MESSAGES,
        },
        CoverageRow {
            route: shown("`POST` any path, a batch (2025-03-26)"),
            request: Inspected::As(&[Kind::Request, Kind::ToolCall, Kind::Message]),
            response: MESSAGES,
            stream: MESSAGES,
        },
        CoverageRow {
            route: shown("`POST` any path, a notification"),
            request: Inspected::As(&[Kind::Request, Kind::Message]),
            response: Inspected::As(&[Kind::Response]),
            stream: MESSAGES,
        },
        CoverageRow {
            route: shown("`POST` any path, the client's answer to a request of the server"),
            request: Inspected::As(&[
                Kind::Request,
                Kind::Message,
                Kind::ToolCall,
                Kind::ToolResult,
            ]),
            response: Inspected::As(&[Kind::Response]),
            stream: MESSAGES,
        },
        CoverageRow {
            route: shown(
                "`GET …/mcp` and `GET` with `mcp-*` headers, for a stream (up to 2025-11-25), resumption included",
            ),
            request: Inspected::As(&[Kind::Request]),
            response: Inspected::As(&[Kind::Response]),
            stream: MESSAGES,
        },
        CoverageRow {
            route: shown("`GET …/sse` (HTTP+SSE)"),
            request: Inspected::As(&[Kind::Request]),
            response: Inspected::As(&[Kind::Response]),
            stream: MESSAGES,
        },
        CoverageRow {
            route: shown("`POST …/messages?session_id=…` (HTTP+SSE)"),
            request: Inspected::As(&[
                Kind::Request,
                Kind::ToolCall,
                Kind::ToolResult,
                Kind::Message,
            ]),
            response: Inspected::As(&[Kind::Response]),
            stream: Inspected::Not("the answer comes on the stream of `GET …/sse`"),
        },
        CoverageRow {
            route: shown(
                "`GET …/.well-known/oauth-protected-resource…`, `…/oauth-authorization-server…`, `…/openid-configuration…`",
            ),
            request: Inspected::As(&[Kind::Request]),
            response: Inspected::As(&[Kind::Response]),
            stream: MESSAGES,
        },
        CoverageRow {
            route: shown(
                "`GET …/.well-known/mcp/catalog.json`, `…/mcp/server-card.json`, `…/mcp.json`, `…/ai-catalog.json`, `GET …/mcp/server-card`",
            ),
            request: Inspected::As(&[Kind::Request]),
            response: Inspected::As(&[Kind::Response, Kind::ToolOffer]),
            stream: MESSAGES,
        },
        CoverageRow {
            route: shown("`DELETE …/mcp` (end of a session)"),
            request: Inspected::As(&[Kind::Request]),
            response: Inspected::As(&[Kind::Response]),
            stream: MESSAGES,
        },
    ],
};

/// Returns the names of all methods.
pub(super) fn method_names() -> impl Iterator<Item = &'static str> {
    tables::names()
}

/// Returns whether a method is one of this protocol, in any spelling.
pub(super) fn knows(method: &str) -> bool {
    tables::named_like(method).is_some()
}

impl Protocol for Mcp {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let is_mcp = |name: &[u8]| {
            [VERSION, SESSION, METHOD, NAME]
                .iter()
                .any(|own| own.as_bytes() == name)
                || name.starts_with(PARAM.as_bytes())
        };
        let has_header = head.headers.iter().any(|(name, _)| is_mcp(name));
        let last = head
            .path
            .segments
            .last()
            .map(|last| letter_case::ascii_lower(last));
        let ends = |word: &str| last.as_deref() == Some(word);
        let takes_stream = accepts_stream(head);
        if let Some(description) = description(head) {
            return Some(description);
        }
        match head.method {
            "POST" if has_header => Some(posted(head)),
            // A header alone does not make any `DELETE` the end of a session.
            "DELETE" if ends("mcp") && head.header(SESSION).is_some() => {
                Some(without_body(SESSION_END, head))
            }
            "GET" if ends("sse") || ends("mcp") => Some(stream(head)),
            "GET" if takes_stream && (has_header || passes(head, "mcp")) => Some(stream(head)),
            _ => None,
        }
    }

    fn asks_for_body(&self, head: &RouteHead<'_>) -> bool {
        jsonrpc::is_expected(head)
    }

    fn endpoint_by_body(&self, head: &RouteHead<'_>, body: Value<'_>) -> Option<Endpoint> {
        (head.method == "POST" && first_message(body).is_some()).then(|| posted(head))
    }

    fn assume(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        match head.method {
            "POST" => Some(posted(head)),
            "GET" => Some(description(head).unwrap_or_else(|| stream(head))),
            "DELETE" => Some(without_body(SESSION_END, head)),
            _ => None,
        }
    }

    fn serves_tools(&self) -> bool {
        true
    }

    fn removal(&self, kind: Kind) -> RemovalMethod {
        match kind {
            Kind::ToolOffer => RemovalMethod::Offer,
            Kind::ToolResult | Kind::ToolCall | Kind::Response | Kind::Message => {
                RemovalMethod::Message
            }
            // A request of the server has no replacement: the call that waits for it ends.
            Kind::Request | Kind::Uninspectable => RemovalMethod::Whole,
        }
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        request::read(reader, root, endpoint);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        response::read(reader, root, context, &PendingRpc::of(context));
    }

    fn denial_reply(&self, denial: &Denial, context: &RequestContext) -> DenialReply {
        if has_own_status(denial) {
            return denial_with_status(denial, context);
        }
        denial::reply(denial, context)
    }

    fn denied_answers(&self, denial: &Denial, context: &RequestContext) -> Option<Vec<u8>> {
        if has_own_status(denial) {
            return None;
        }
        denial::denied_answers(denial, context)
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        denial::reply(denial, context).body
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        denial::remove_from_response(edit.json, edit.context, edit.removals, edit.edits)
    }

    fn framing(&self, _: &RequestContext, media: MediaType) -> Option<Framing> {
        (media == MediaType::EventStream).then_some(Framing::Sse)
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(McpStream::new(context)))
    }
}

/// Returns whether the client accepts a stream. Clients of MCP send this with every request.
pub(super) fn accepts_stream(head: &RouteHead<'_>) -> bool {
    accepts(head, "text/event-stream")
}

fn accepts(head: &RouteHead<'_>, media: &str) -> bool {
    head.headers
        .iter()
        .filter(|(name, _)| *name == b"accept")
        .any(|(_, value)| letter_case::ascii_lower(&String::from_utf8_lossy(value)).contains(media))
}

fn passes(head: &RouteHead<'_>, segment: &str) -> bool {
    head.path
        .segments
        .iter()
        .any(|own| own.eq_ignore_ascii_case(segment))
}

/// Returns whether a path contains `/.well-known/NAME`, before or after the path that it describes.
fn is_metadata(head: &RouteHead<'_>) -> bool {
    let mut segments = head.path.segments.iter();
    segments.any(|segment| segment == ".well-known")
        && segments
            .next()
            .is_some_and(|name| METADATA.contains(&name.as_str()))
}

/// Returns the endpoint of a document about a server, which clients read before they have a session.
fn description(head: &RouteHead<'_>) -> Option<Endpoint> {
    let name = match head.method {
        "GET" if is_metadata(head) => AUTHORIZATION,
        "GET" if is_server_card(head) => SERVER_CARD,
        _ => return None,
    };
    Some(Endpoint {
        gate: DefaultGate::Origin,
        ..without_body(name, head)
    })
}

/// Returns whether a path is that of a card or of a catalog: well-known, or the card's place behind the address of its
/// server. There other services may have documents of this name, unless the client asks for a card.
fn is_server_card(head: &RouteHead<'_>) -> bool {
    let mut segments = head.path.segments.iter().map(String::as_str).rev();
    let (last, before) = (segments.next().unwrap_or_default(), segments.next());
    match before {
        Some(".well-known") => CARDS.contains(&last),
        Some("mcp") if segments.next() == Some(".well-known") => CARDS_IN_FOLDER.contains(&last),
        _ => {
            last == "server-card" && (passes(head, "mcp") || accepts(head, "mcp-server-card+json"))
        }
    }
}

fn own_headers(head: &RouteHead<'_>) -> Vec<(Box<str>, Box<[u8]>)> {
    head.headers
        .iter()
        .filter(|(name, _)| name.starts_with(b"mcp-"))
        .map(|(name, value)| (String::from_utf8_lossy(name).into(), (*value).into()))
        .collect()
}

fn posted(head: &RouteHead<'_>) -> Endpoint {
    let last = head
        .path
        .segments
        .last()
        .map(|last| letter_case::ascii_lower(last));
    let query = letter_case::ascii_lower(&head.path.query);
    // SDKs put the session into the query: `session_id`, `sessionId`, `sessionid`. Go's posts to the path of its stream;
    // unlike clients of streamable HTTP it accepts none here.
    let is_old = (query.contains("session_id=") || query.contains("sessionid="))
        && (matches!(last.as_deref(), Some("messages" | "message")) || !accepts_stream(head));
    Endpoint {
        name: if is_old { OLD_MESSAGE } else { MESSAGE },
        stream: is_old.then_some(false),
        headers: own_headers(head),
        ..Endpoint::default()
    }
}

/// Returns whether an endpoint, of MCP or A2A, is that of a message whose method is not known: a known one is an endpoint
/// of its own.
pub(super) fn is_message(endpoint: &str) -> bool {
    matches!(endpoint, MESSAGE | OLD_MESSAGE)
}

/// Returns the endpoint of a message to any path.
pub(super) fn at_any_path() -> Endpoint {
    Endpoint::named(MESSAGE)
}

fn stream(head: &RouteHead<'_>) -> Endpoint {
    Endpoint {
        stream: Some(true),
        ..without_body(STREAM, head)
    }
}

#[inline(never)]
fn without_body(name: &'static str, head: &RouteHead<'_>) -> Endpoint {
    Endpoint {
        name,
        body: BodyForm::Absent,
        headers: own_headers(head),
        gate: DefaultGate::Plumbing,
        ..Endpoint::default()
    }
}

/// Returns whether headers of a version mirror the body. Versions are dates; any other version is a draft of a newer
/// one.
fn is_mirrored(version: &[u8]) -> bool {
    version >= MIRRORED_SINCE.as_bytes()
}

/// Returns whether a lenient server would read a method as this known one.
fn same_method(method: &str, known: &str) -> bool {
    folded(method) == letter_case::ascii_lower(known)
}
