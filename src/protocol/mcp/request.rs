//! Messages of a client: requests, notifications, responses to requests of the server, and batches of them.

use super::content::blocks;
use super::tables::{CLIENT_RESULT, Method, named, named_like};
use super::{BATCHES_IN, OLD_MESSAGE, VERSION, headers, is_mirrored};
use crate::diag::codes;
use crate::event::{APPROVAL_KEY, Author, DefaultGate, Event, Kind, Known, Part, Turn};
use crate::protocol::Endpoint;
use crate::protocol::conversation::Calls;
use crate::protocol::jsonrpc::{self, Envelope, comparable, is_rounded, members_like, origin};
use crate::protocol::reader::{Origin, Reader};
use crate::wire::json::{self, Value};
use crate::wire::sorted_map::SortedMap;

/// Reads a body.
pub(super) fn read(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    if root.kind() != json::ValueKind::Array {
        reader.reading.endpoint = message(reader, root, endpoint);
        headers::agree(reader, root, endpoint);
        return;
    }
    reader.reading.endpoint = Some("batch");
    let versions: Vec<&[u8]> = endpoint.header(VERSION).collect();
    let knows_batches = endpoint.name != OLD_MESSAGE
        && versions
            .iter()
            .all(|version| *version == BATCHES_IN.as_bytes());
    if !knows_batches || root.elements().next().is_none() {
        reader.problem(
            codes::AG2001,
            root,
            "a batch, which this version of the protocol does not know",
        );
    }
    reader.claim(root);
    let mut ids: SortedMap<String, u32> = SortedMap::new();
    for element in root.elements() {
        message(reader, element, endpoint);
        if let Some(id) = element
            .get("id")
            .filter(|_| element.get("method").is_some())
            && (ids.insert(comparable(id), 0).is_some() || is_rounded(id))
        {
            reader.problem(
                codes::AG2001,
                id,
                "an id that may be another one's in the batch, too",
            );
        }
    }
    headers::none_for_batch(reader, root, endpoint);
}

/// Reads one message; returns its method as audit events name it.
fn message(
    reader: &mut Reader<'_>,
    message: Value<'_>,
    endpoint: &Endpoint,
) -> Option<&'static str> {
    let envelope = Envelope::read(reader, message);
    let method = envelope.method.as_deref().unwrap_or_default();
    let known = named(method);
    let mut rpc = envelope.message();
    let params = envelope.params;
    let text = |key: &str| params?.get(key)?.text();
    rpc.uri = text("uri")
        .or_else(|| params?.get("ref")?.get("uri")?.text())
        .map(Into::into);
    rpc.tool = Known::Unknown;
    if method == "tools/call" {
        rpc.tool = text("name").map_or(Known::Unknown, |name| Known::Is(name.into()));
        let args = params.and_then(|params| params.get("arguments"));
        if reader.result_args {
            rpc.args = args.map(|args| args.raw().into());
        }
    }
    rpc.as_task =
        params.is_some_and(|params| params.get("task").is_some_and(|task| !task.is_null()));
    rpc.typed_result = endpoint.header(VERSION).any(is_mirrored)
        || headers::version_in(params).is_some_and(|version| is_mirrored(version.as_bytes()));
    if let Some(meta) = params.and_then(|params| params.get("_meta"))
        && meta.get(APPROVAL_KEY).is_some()
    {
        reader.reading.approvals.push(meta.place());
    }
    reader.message(message, rpc);
    let mut request = Event::new(Kind::Request, reader.direction(), message.place());
    request.gate = match known {
        Some(method) => method.gate,
        // A response to the server, whose request was allowed.
        None if envelope.method.is_none() => DefaultGate::Plumbing,
        None => DefaultGate::Requests,
    };
    reader.reading.add(request);
    envelope.read_error(reader, &origin(reader, Author::System, Part::Other));
    if let Some(result) = envelope.result {
        client_result(reader, result);
    }
    if envelope.method.is_none() {
        return Some("answer");
    }
    let Some(known) = known else {
        unknown_method(reader, message, method);
        return None;
    };
    report_form(reader, message, known, envelope.id.is_some());
    report_task_of_a2a(reader, known, params);
    match params {
        Some(params) => read_params(reader, params, known),
        None if known.name == "tools/call" => {
            reader.problem(codes::AG2001, message, "`params` is missing");
        }
        None => {}
    }
    Some(known.name)
}

/// Reports a request without an id, which some servers run without any response.
fn report_form(reader: &mut Reader<'_>, message: Value<'_>, method: &Method, has_id: bool) {
    if method.is_notification() == has_id {
        let what = if has_id {
            "a notification has no id"
        } else {
            "this method is a request, and a request has an id"
        };
        reader.problem(codes::AG2001, message, what);
    }
}

/// Reports a task that is named as both protocols name one, which know the same methods: an agent would act on a task
/// of A2A that was evaluated as one of MCP.
fn report_task_of_a2a(reader: &mut Reader<'_>, method: &Method, params: Option<Value<'_>>) {
    let id = params.and_then(|params| params.get("id"));
    if let Some(id) = id.filter(|_| crate::protocol::a2a::knows(method.name)) {
        reader.problem(
            codes::AG2012,
            id,
            "a task of A2A has an `id` and one of MCP a `taskId`: this could be both",
        );
    }
}

fn unknown_method(reader: &mut Reader<'_>, message: Value<'_>, method: &str) {
    if let Some(known) = named_like(method) {
        jsonrpc::report_variant(reader, message, known.name);
    } else if crate::protocol::a2a::knows(method) {
        reader.problem(
            codes::AG2012,
            message,
            "a method of A2A in a request that says it is MCP",
        );
    }
    let origin = Origin::new(Known::Unknown, Part::Other, Turn::Latest);
    jsonrpc::unknown_method(reader, message, &origin);
}

fn read_params(reader: &mut Reader<'_>, params: Value<'_>, method: &Method) {
    let origin = Origin::of(author_of(method), Part::Text);
    let mut name = None;
    let mut arguments = None;
    let mut responses = None;
    reader.rows(
        params,
        method.params,
        &origin,
        &mut |_, key, value| match key {
            "name" => name = Some(value),
            "arguments" => arguments = Some(value),
            "inputResponses" => responses = Some(value),
            _ => {}
        },
    );
    if method.name == "tools/call" {
        tool_call(reader, params, name, arguments);
    }
    // The server chooses the keys, which are unknown text.
    if let Some(responses) = responses {
        if !matches!(
            responses.kind(),
            json::ValueKind::Object | json::ValueKind::Null
        ) {
            reader.wrong_type(responses, "an object");
        }
        reader.claim(responses);
        for (_, response) in responses.members() {
            client_result(reader, response);
        }
    }
}

/// Returns the author of a method: a person chooses prompts and completions, the application everything else.
fn author_of(method: &Method) -> Author {
    match method.name {
        "prompts/get" | "completion/complete" => Author::User,
        _ => Author::System,
    }
}

fn tool_call(
    reader: &mut Reader<'_>,
    params: Value<'_>,
    name: Option<Value<'_>>,
    arguments: Option<Value<'_>>,
) {
    let mut event = Event::new(Kind::ToolCall, reader.direction(), params.place());
    event.tool = Known::Unknown;
    let name = name.filter(|name| !name.is_null());
    match name.map(|value| (value, reader.name(value))) {
        Some((_, Some(name))) if !name.is_empty() => event.tool = Known::Is(name.into()),
        Some((value, Some(_))) => {
            reader.problem(codes::AG2001, value, "the tool has no name");
        }
        Some((_, None)) => {}
        None if params.kind() == json::ValueKind::Object => {
            reader.problem(codes::AG2001, params, "`name` is missing");
        }
        None => {}
    }
    match arguments {
        Some(value)
            if !matches!(
                value.kind(),
                json::ValueKind::Object | json::ValueKind::Null
            ) =>
        {
            reader.wrong_type(value, "an object");
            event.args = Known::Unknown;
        }
        Some(value) => (event.args, event.texts) = reader.arguments(value),
        None => {}
    }
    reader.call(event, arguments);
}

/// Reads the result of a client: a person's input, a model's response, its roots.
fn client_result(reader: &mut Reader<'_>, result: Value<'_>) {
    let spoken = is_sampled(result);
    let origin = Origin::of(Author::Assistant, Part::Text);
    reader.rows(
        result,
        CLIENT_RESULT,
        &origin,
        &mut |reader, key, content| match key {
            "content" if spoken => blocks(reader, content, &origin, &mut Calls::default()),
            "content" => {
                let texts = reader.tree(content);
                reader.emit_text(content, texts, &Origin::of(Author::User, Part::Other));
            }
            // Only tasks of a server contain an outcome: it stays unknown text.
            _ => {}
        },
    );
}

/// Returns whether a server could take a result for the answer of a model. Servers differ in which members they require
/// of it, and a call runs on the server.
fn is_sampled(result: Value<'_>) -> bool {
    let content = result.get("content");
    let is_block = |block: Value<'_>| {
        let is_spoken = result.get("action").is_none();
        members_like(block, "type").any(|kind| is_spoken || kind.is_text("tool_use"))
    };
    ["role", "model", "stopReason"]
        .iter()
        .any(|key| result.get(key).is_some())
        || content.is_some_and(|content| is_block(content) || content.elements().any(is_block))
}
