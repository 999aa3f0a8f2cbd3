//! MCP messages of a server in one piece: answers, batches of them, and its own requests inside results.

use super::SERVER_CARD;
use super::content::{self, ToolResponse};
use super::tables::{CARD, INPUT_REQUEST, Method, RESULT, TASK, TOOL, named};
use crate::event::{Class, DefaultGate, Event, Kind, Known, Part, RpcMessage, Turn};
use crate::protocol::RequestContext;
use crate::protocol::jsonrpc::{self, Envelope, PendingRpc, members_like};
use crate::protocol::reader::{Emit, Origin, Reader, is_one_word};
use crate::wire::json::{self, Value};
use crate::wire::span::index;

/// Method of the requests in an error.
const ELICITATION_REQUEST: &str = "elicitation/create";

/// Reads a body, or an event of a stream. A body that is not a JSON-RPC message (an error page in JSON) is left
/// unclaimed, and so evaluated as text.
pub(super) fn read(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    context: &RequestContext,
    waiting: &PendingRpc,
) {
    if context.endpoint.name == SERVER_CARD {
        card(reader, root);
        return;
    }
    if root.kind() == json::ValueKind::Array {
        reader.claim(root);
        for element in root.elements() {
            message(reader, element, context, waiting);
        }
    } else {
        message(reader, root, context, waiting);
    }
}

/// Reads a server's description of itself. Older ones list its tools: they are definitions like those of a session.
fn card(reader: &mut Reader<'_>, card: Value<'_>) {
    reader.rows(card, CARD, &server_origin(), &mut |reader, _, tools| {
        reader.array(tools, offer);
    });
}

fn server_origin() -> Origin {
    Origin::new(Known::Missing, Part::Other, Turn::Latest)
}

fn message(
    reader: &mut Reader<'_>,
    message: Value<'_>,
    context: &RequestContext,
    waiting: &PendingRpc,
) {
    let is_message = ["result", "error", "method"]
        .iter()
        .any(|name| members_like(message, name).next().is_some());
    if !is_message {
        // An element of a batch counts as a separate message all the same.
        if message.place().node != 0 {
            reader.message(message, RpcMessage::default());
        }
        return;
    }
    let envelope = Envelope::read(reader, message);
    let question = waiting.number(envelope.id).and_then(|number| {
        let message = context.rpc.get(index(number))?;
        Some(Question { number, message })
    });
    let rpc = match envelope.method {
        Some(_) => envelope.message(),
        None => RpcMessage {
            id: envelope.id.map(|id| id.raw().into()),
            ..question.map_or_else(RpcMessage::unknown_answer, |question| {
                question.message.answer()
            })
        },
    };
    reader.message(message, rpc);
    if let Some(method) = envelope.method.as_deref() {
        server_request(reader, message, method, envelope.params);
    }
    // A lenient client may read one message as both: it is evaluated as both.
    envelope.read_error(reader, &server_origin());
    if let Some(error) = envelope.error {
        required_elicitations(reader, error);
    }
    if let Some(result) = envelope.result {
        self::result(reader, result, question);
    }
}

/// Request that a result answers, with its number among those of the client.
#[derive(Clone, Copy)]
struct Question<'c> {
    number: u32,
    message: &'c RpcMessage,
}

/// Reads a request or notification of the server. It may be in a batch, in a stream, or in a result that asks for
/// input.
fn server_request(reader: &mut Reader<'_>, at: Value<'_>, name: &str, params: Option<Value<'_>>) {
    let known = named(name);
    let mut event = Event::new(Kind::Request, reader.direction(), at.place());
    event.gate = known.map_or(DefaultGate::Requests, |method| method.gate);
    reader.reading.add(event);
    match (known, params) {
        (Some(method), Some(params)) => server_params(reader, params, method),
        (Some(_), None) => {}
        (None, _) => jsonrpc::unknown_method(reader, at, &server_origin()),
    }
}

fn server_params(reader: &mut Reader<'_>, params: Value<'_>, method: &Method) {
    let origin = server_origin();
    reader.rows(
        params,
        method.params,
        &origin,
        &mut |reader, key, value| match key {
            "messages" => content::messages(reader, value, &origin),
            "tools" => reader.array(value, offer),
            _ => outcome(reader, key, value, None),
        },
    );
}

/// Reads what a task has come to: a result as its request would have had it, an error, or requests of the server.
fn outcome(reader: &mut Reader<'_>, key: &str, value: Value<'_>, question: Option<Question<'_>>) {
    match key {
        "result" => result(reader, value, question),
        "error" => {
            jsonrpc::read_error_value(reader, value, &server_origin());
            required_elicitations(reader, value);
        }
        _ => input_requests(reader, value),
    }
}

/// Reports the requests of the server in an error (2025-11-25, "URL Elicitation Required"), which clients treat like
/// those that stand alone. Their texts are read with the error.
fn required_elicitations(reader: &mut Reader<'_>, error: Value<'_>) {
    let data = error.get("data").into_iter();
    let asked = data.flat_map(|data| members_like(data, "elicitations"));
    for params in asked.flat_map(|list| list.elements()) {
        reader.message(
            params,
            RpcMessage {
                method: Some(ELICITATION_REQUEST.into()),
                params: Some(params.place()),
                ..RpcMessage::default()
            },
        );
        server_request(reader, params, ELICITATION_REQUEST, None);
    }
}

fn result(reader: &mut Reader<'_>, result: Value<'_>, question: Option<Question<'_>>) {
    let origin = server_origin();
    let mut content = None;
    let mut data = None;
    reader.row_lists(
        result,
        &[RESULT, TASK],
        &origin,
        &mut |reader, key, value| match key {
            "tools" => reader.array(value, offer),
            "content" => content = Some(value),
            "structuredContent" => data = Some(value),
            "contents" => reader.array(value, |reader, contents| {
                content::resource(reader, contents, &origin);
            }),
            "messages" => content::messages(reader, value, &origin),
            _ => outcome(reader, key, value, question),
        },
    );
    if content.is_none() && data.is_none() {
        return;
    }
    let tool = question.map_or(Known::Unknown, |question| question.message.tool.clone());
    let asked =
        question.and_then(|question| Some((question.number, question.message.args.as_ref()?)));
    let args = match asked {
        Some((number, args)) => reader.arguments_of(number, args),
        None if tool != Known::Unknown => Known::Missing,
        None => Known::Unknown,
    };
    let answered = ToolResponse {
        tool,
        args,
        ok: content::is_ok(result),
        turn: Turn::Latest,
    };
    // `null` is no content.
    for (value, is_data) in [(content, false), (data, true)] {
        match value {
            Some(value) if value.is_null() => reader.claim(value),
            Some(value) => content::tool_result(reader, value, &answered, &origin, is_data),
            None => {}
        }
    }
}

/// Reads a tool definition with all its members, including unknown ones, because all of it is passed to the model.
fn offer(reader: &mut Reader<'_>, tool: Value<'_>) {
    let start = reader.text_count();
    let origin = Origin {
        emit: Emit::Never,
        ..server_origin().with_part(Part::Definition)
    };
    let mut name = Known::Unknown;
    reader.rows(tool, TOOL, &origin, &mut |reader, _, value| {
        if let Some(text) = reader.name(value) {
            name = Known::Is(text.into());
        }
        // A model reads the names of its tools, too.
        if !is_one_word(value) {
            reader.register_text(value, Class::Name);
        }
    });
    reader.rest(tool);
    let texts = start..reader.text_count();
    reader.offer(tool, name, texts);
}

/// Reads requests of the server inside a result. Their keys are chosen by the server, and so unknown text.
fn input_requests(reader: &mut Reader<'_>, requests: Value<'_>) {
    if !matches!(
        requests.kind(),
        json::ValueKind::Object | json::ValueKind::Null
    ) {
        reader.wrong_type(requests, "an object");
    }
    reader.claim(requests);
    for (_, request) in requests.members() {
        let mut method = None;
        let mut params = None;
        let origin = server_origin();
        reader.rows(
            request,
            INPUT_REQUEST,
            &origin,
            &mut |reader, key, value| {
                if key == "method" {
                    method = reader.name(value);
                } else {
                    params = Some(value);
                }
            },
        );
        reader.message(
            request,
            RpcMessage {
                method: method.as_deref().map(Into::into),
                params: params.map(|params| params.place()),
                ..RpcMessage::default()
            },
        );
        let method = method.as_deref().unwrap_or_default();
        server_request(reader, request, method, params);
    }
}
