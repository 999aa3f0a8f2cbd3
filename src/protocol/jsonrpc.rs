//! JSON-RPC 2.0 as MCP and A2A use it: the envelope, and denials that name the request they answer.

use super::denial::Denial;
use super::json_edit::ObjectWriter;
use super::reader::{Origin, Reader, Row, Type, is_case_variant};
use super::{DenialReply, RequestContext, RouteHead, provider_of};
use crate::detect::fold_name;
use crate::diag::codes;
use crate::event::{Author, Class, Direction, Part, RpcMessage, Turn};
use crate::wire::http::{ContentType, MediaType};
use crate::wire::json::{self, JsonBody, Limits, Value};
use crate::wire::sorted_map::SortedMap;
use crate::wire::span::index;
use std::borrow::Cow;

/// Error code of a denial, from the range that both protocols leave to implementations.
pub(super) const DENIED: i32 = -32010;
/// JSON-RPC's error code of an invalid request.
const INVALID_REQUEST: i32 = -32600;
/// MCP's error code of headers that contradict the body (2026-07-28, "Server Validation").
const HEADER_MISMATCH: i32 = -32020;

const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];
const ERROR: &[Row] = &[
    ("code", Type::Number),
    ("message", Type::Spoken),
    ("data", Type::Tree(Part::Other)),
];

/// Returns whether the body of a request could be a JSON-RPC message. Both protocols may be served at any path.
pub(super) fn may_be_sent(head: &RouteHead<'_>) -> bool {
    head.method == "POST"
        && matches!(
            ContentType::parse(head.header("content-type")).media,
            MediaType::Json | MediaType::Absent | MediaType::Text
        )
}

/// Returns whether a JSON-RPC message is to be expected. Hosts of model providers serve none, so a request to an
/// unknown endpoint of theirs can be denied before any of it is forwarded. The exception is a client that asks as
/// clients of MCP and A2A do.
pub(super) fn is_expected(head: &RouteHead<'_>) -> bool {
    may_be_sent(head)
        && (provider_of(head.host) == "other"
            || head.header("a2a-version").is_some()
            || super::mcp::accepts_stream(head))
}

/// Returns whether a value is a JSON-RPC message to any server. Lenient servers fold the case of keys, and some do
/// not require `jsonrpc` if they know the method.
pub(super) fn is_message(value: Value<'_>) -> bool {
    value.members().any(|(key, member)| match key.text() {
        Some(key) if is_case_variant(&key, "jsonrpc") => true,
        Some(key) if is_case_variant(&key, "method") => member
            .text()
            .is_some_and(|method| super::mcp::knows(&method) || super::a2a::knows(&method)),
        _ => false,
    })
}

/// Returns the members that a peer takes for the one of this name, because it folds the case of keys.
pub(super) fn members_like<'v>(
    value: Value<'v>,
    name: &'static str,
) -> impl Iterator<Item = Value<'v>> {
    let members = value.members();
    members.filter_map(move |(key, member)| is_case_variant(&key.text()?, name).then_some(member))
}

/// Returns whether the method of a message is known here.
pub(super) fn has_known_method(message: Value<'_>) -> bool {
    message
        .get("method")
        .and_then(|method| method.text())
        .is_some_and(|method| super::mcp::knows(&method) || super::a2a::knows(&method))
}

/// Returns the first message of a body, if the body is a message or a batch.
pub(super) fn first_message(body: Value<'_>) -> Option<Value<'_>> {
    if is_message(body) {
        return Some(body);
    }
    body.elements().find(|element| is_message(*element))
}

/// Returns a method as a lenient server may read it: without case, width, look-alike letters and characters that are not
/// shown, and without spaces or slashes around it.
pub(super) fn folded(method: &str) -> String {
    let is_around = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    fold_name(method).trim_matches(is_around).to_owned()
}

/// Members of a message.
pub(super) struct Envelope<'v> {
    pub(super) id: Option<Value<'v>>,
    pub(super) method: Option<Cow<'v, str>>,
    pub(super) params: Option<Value<'v>>,
    pub(super) result: Option<Value<'v>>,
    pub(super) error: Option<Value<'v>>,
}

impl<'v> Envelope<'v> {
    /// Reads the members of a message. A client's message must be exact, because servers differ in what they
    /// tolerate.
    pub(super) fn read(reader: &mut Reader<'_>, message: Value<'v>) -> Envelope<'v> {
        let mut envelope = Envelope {
            id: None,
            method: None,
            params: None,
            result: None,
            error: None,
        };
        let strict = reader.direction() == Direction::Request;
        let mut version = None;
        let mut has_method = false;
        reader.object(message, ENVELOPE, |reader, key, value| match key {
            "jsonrpc" => {
                version = Some(value);
                reader.word(value, "2.0");
            }
            "id" => {
                envelope.id = Some(value);
                let origin = origin(reader, Author::System, Part::Other);
                reader.value(value, Type::PeerId, &origin);
            }
            "method" => {
                has_method = true;
                envelope.method = match value.kind() {
                    json::ValueKind::String => reader.name(value),
                    _ => {
                        reader.wrong_type(value, "a string");
                        None
                    }
                };
            }
            "params" => envelope.params = Some(value),
            "result" => envelope.result = Some(value),
            _ => envelope.error = Some(value),
        });
        if strict && message.kind() == json::ValueKind::Object {
            let problem = match (&version, &envelope.id) {
                (Some(version), _) if !version.is_text("2.0") => Some("`jsonrpc` is not `\"2.0\"`"),
                (None, _) => Some("`jsonrpc` is missing"),
                (_, Some(id)) if !is_id(*id) => {
                    Some("an id is a string or a whole number, and never null")
                }
                _ => None,
            };
            let kinds = [
                has_method,
                envelope.result.is_some(),
                envelope.error.is_some(),
            ];
            let count = kinds.iter().filter(|is| **is).count();
            let problem = problem.or((count != 1)
                .then_some("a message has exactly one of `method`, `result` and `error`"));
            if let Some(problem) = problem {
                reader.problem(codes::AG2001, message, problem);
            }
        }
        envelope
    }

    /// Returns the data that its response must repeat or refers to.
    pub(super) fn message(&self) -> RpcMessage {
        RpcMessage {
            id: self.id.map(|id| id.raw().into()),
            method: self.method.as_deref().map(Into::into),
            params: self.params.map(|params| params.place()),
            is_answer: self.method.is_none(),
            ..RpcMessage::default()
        }
    }

    /// Reads the error in the message, if there is one.
    pub(super) fn read_error(&self, reader: &mut Reader<'_>, origin: &Origin) {
        let Some(error) = self.error.filter(|error| !error.is_null()) else {
            return;
        };
        let code = error.get("code").and_then(|code| code.number());
        if reader.direction() == Direction::Response {
            reader.reading.error = Some(code.unwrap_or("error").into());
        }
        read_error_value(reader, error, origin);
    }
}

/// Reads the value of an `error`. Only an object is one; anything else stays unknown text.
pub(super) fn read_error_value(reader: &mut Reader<'_>, error: Value<'_>, origin: &Origin) {
    if error.kind() == json::ValueKind::Object {
        let origin = origin.with_part(Part::Other);
        reader.rows(error, ERROR, &origin, &mut |_, _, _| {});
    }
}

/// Reads an unknown method: a name like any other, with unknown content.
pub(super) fn unknown_method(reader: &mut Reader<'_>, message: Value<'_>, origin: &Origin) {
    if let Some(method) = message.get("method") {
        let texts = reader.register_text(method, Class::Name);
        reader.emit_text(method, texts, &origin.with_part(Part::Name));
    }
}

/// Reports a method in a spelling that only some servers take for the known one.
pub(super) fn report_variant(reader: &mut Reader<'_>, message: Value<'_>, known: &str) {
    let at = message.get("method").unwrap_or(message);
    reader.problem(
        codes::AG2002,
        at,
        &format!("a method that some servers read as `{known}`"),
    );
}

/// Returns whether an id is valid. MCP, Base Protocol, "Requests": string or integer, never null; JSON-RPC 2.0
/// advises against fractions.
fn is_id(id: Value<'_>) -> bool {
    match id.kind() {
        json::ValueKind::String => !id.has_lone_surrogate(),
        json::ValueKind::Number => {
            let digits = id.raw();
            let positive = digits.strip_prefix(b"-").unwrap_or(digits);
            // Many servers answer `-0` with `0`.
            positive.iter().all(u8::is_ascii_digit) && digits != b"-0"
        }
        _ => false,
    }
}

/// Returns an id for comparison: two spellings of a string are the same id, `1` and `"1"` are not.
pub(super) fn comparable(id: Value<'_>) -> String {
    match id.text() {
        Some(text) => format!("\"{text}"),
        None => String::from_utf8_lossy(id.raw()).into_owned(),
    }
}

/// Returns whether a server whose numbers are doubles may answer with another id, that of the request beside it.
pub(super) fn is_rounded(id: Value<'_>) -> bool {
    /// Every whole number up to this one is a double.
    const MAX_EXACT: u64 = 1 << 53;
    let is_exact = |number: &str| {
        let digits = number.strip_prefix('-').unwrap_or(number);
        digits.parse().is_ok_and(|whole: u64| whole <= MAX_EXACT)
    };
    id.number().is_some_and(|number| !is_exact(number))
}

/// Client requests that wait for a response: the number of each among the client's messages, by its id.
pub(super) struct PendingRpc {
    by_id: SortedMap<String, u32>,
}

impl PendingRpc {
    pub(super) fn of(context: &RequestContext) -> PendingRpc {
        let mut by_id = SortedMap::new();
        for (at, message) in (0u32..).zip(&context.rpc) {
            if !message.is_answer
                && let Some(id) = &message.id
                && let Ok(json) = JsonBody::scan(id, Limits { max_depth: 1 }, 0)
                && let Some(doc) = json.body()
            {
                by_id.insert(comparable(doc.root()), at);
            }
        }
        PendingRpc { by_id }
    }

    /// Returns the request that a response with this id answers.
    pub(super) fn request<'a>(
        &self,
        context: &'a RequestContext,
        id: Option<Value<'_>>,
    ) -> Option<&'a RpcMessage> {
        context.rpc.get(index(self.number(id)?))
    }

    /// Returns the number of the request with this id.
    pub(super) fn number(&self, id: Option<Value<'_>>) -> Option<u32> {
        self.by_id.get(&comparable(id?)).copied()
    }

    /// Returns the numbers of all requests.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_id.values().copied()
    }
}

/// Returns the origin of a request's text by an author that the protocol names, or of a response's text.
pub(super) fn origin(reader: &Reader<'_>, from: Author, part: Part) -> Origin {
    Origin::new(reader.author(from), part, Turn::Latest)
}

/// Returns whether a denial has its own HTTP status: the sender of the request is unknown, or the request could not
/// be read. All other denials answer a request that was understood.
pub(super) fn has_own_status(denial: &Denial) -> bool {
    !denial.is_answer
        && (denial.status == 401
            || denial.code.starts_with("AG2")
            || denial.code.starts_with("AG9"))
}

/// Returns a denial with its own status. The error names no request, except for headers that contradict the body:
/// then the request was read.
pub(super) fn denial_with_status(denial: &Denial, context: &RequestContext) -> DenialReply {
    let (status, code) = match denial.code {
        codes::AG2012 => (400, HEADER_MISMATCH),
        codes::AG2001 | codes::AG2002 | codes::AG2003 | codes::AG2009 => {
            (denial.status, INVALID_REQUEST)
        }
        _ => (denial.status, DENIED),
    };
    let id = match context.rpc.as_slice() {
        [message] if denial.code == codes::AG2012 => message.id.as_deref(),
        _ => None,
    };
    let mut body = Vec::with_capacity(512);
    write_error(&mut body, id, code, denial);
    DenialReply {
        status,
        headers: vec![("content-type", "application/json".to_owned())],
        body,
    }
}

/// Writes an error that answers a request.
pub(super) fn write_error(out: &mut Vec<u8>, id: Option<&[u8]>, code: i32, denial: &Denial) {
    let mut outer = begin(out, id);
    outer.member("error", |out| write_error_value(out, code, denial));
    outer.end();
}

/// Writes the value of `error`.
pub(super) fn write_error_value(out: &mut Vec<u8>, code: i32, denial: &Denial) {
    let mut error = ObjectWriter::begin(out);
    error.member("code", |out| {
        out.extend_from_slice(code.to_string().as_bytes())
    });
    error.text("message", &denial.message());
    error.member("data", |out| {
        let mut data = ObjectWriter::begin(out);
        data.member("agentguard", |out| denial.details(out));
        data.end();
    });
    error.end();
}

/// Begins a message that answers a request.
pub(super) fn begin<'o>(out: &'o mut Vec<u8>, id: Option<&[u8]>) -> ObjectWriter<'o> {
    let mut outer = ObjectWriter::begin(out);
    outer.text("jsonrpc", "2.0");
    if let Some(id) = id {
        outer.member("id", |out| out.extend_from_slice(id));
    }
    outer
}

/// Returns an answer, written by `write`, to every client request that waits for one; `None` if there is none.
pub(super) fn answers(
    context: &RequestContext,
    is_batch: bool,
    write: &mut dyn FnMut(&mut Vec<u8>, &RpcMessage),
) -> Option<Vec<u8>> {
    let is_request = |message: &&RpcMessage| message.id.is_some() && !message.is_answer;
    let mut requests = context.rpc.iter().filter(is_request);
    each_answer(&mut requests, is_batch, write)
}

/// Returns an error in the place of every answer of the client's; `None` unless there are only answers, each to a request of
/// the server that waits for it.
pub(super) fn denied_answers(
    denial: &Denial,
    context: &RequestContext,
    is_batch: bool,
) -> Option<Vec<u8>> {
    let messages = &context.rpc;
    let is_answer = |message: &RpcMessage| message.id.is_some() && message.is_answer;
    if !messages.iter().all(is_answer) {
        return None;
    }
    each_answer(&mut messages.iter(), is_batch, &mut |out, message| {
        write_error(out, message.id.as_deref(), DENIED, denial);
    })
}

fn each_answer(
    waiting: &mut dyn Iterator<Item = &RpcMessage>,
    is_batch: bool,
    write: &mut dyn FnMut(&mut Vec<u8>, &RpcMessage),
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(512);
    let mut count = 0usize;
    for message in waiting {
        out.push(if count == 0 { b'[' } else { b',' });
        write(&mut out, message);
        count = count.saturating_add(1);
    }
    match (count, is_batch) {
        (0, _) => None,
        (_, true) => {
            out.push(b']');
            Some(out)
        }
        (_, false) => Some(out.split_off(1)),
    }
}
