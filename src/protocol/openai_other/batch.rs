//! Requests that run later, and their responses. The reader of the endpoint that a record names reads the record.

use crate::diag::codes;
use crate::event::{Author, Direction, Event, Kind, Known, Part};
use crate::protocol::openai_shapes::{beside, read_answer};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::{
    Endpoint, Protocol, Recognised, RequestContext, Route, RouteHead, recognise,
};
use crate::wire::http::Path;
use crate::wire::json::{self, Value};

/// Members of a line of a batch file.
const LINE: &[Row] = &[
    ("custom_id", Type::Id),
    ("method", Type::Word("POST")),
    ("url", Type::Custom),
    ("body", Type::Custom),
];
/// Members of xAI's records, which are in the body, each under the name of its endpoint.
const REQUESTS: &[Row] = &[("batch_requests", Type::List(&Type::Object(REQUEST)))];
const REQUEST: &[Row] = &[
    ("batch_request_id", Type::Id),
    ("batch_request", Type::Custom),
];
const NAMED: &[(&str, &str)] = &[
    ("responses", "/v1/responses"),
    ("chat_get_completion", "/v1/chat/completions"),
    ("chat_completions", "/v1/chat/completions"),
    ("image_generation", "/v1/images/generations"),
    ("image_edit", "/v1/images/edits"),
    ("video_generation", "/v1/videos/generations"),
];
/// Members of a line of a file of results.
const RESULT: &[Row] = &[
    ("id", Type::Id),
    ("custom_id", Type::Id),
    ("batch_request_id", Type::Id),
    ("response", Type::Read(answered)),
    ("batch_result", Type::Read(answered)),
    ("results", Type::List(&Type::Read(result))),
];
const ANSWERED: &[Row] = &[
    ("status_code", Type::Number),
    ("request_id", Type::Id),
    ("body", Type::Custom),
    ("response", Type::Custom),
];

/// Returns the endpoint that a record names.
fn route_of(url: &str) -> Option<Route> {
    let path = Path::parse(url);
    let head = RouteHead {
        method: "POST",
        host: "",
        path: &path,
        headers: &[],
    };
    match recognise(&head) {
        // A batch contains requests, but no batches.
        Recognised::Protocol(route) if route.protocol.name() != "openai.other" => Some(route),
        Recognised::Protocol(route) if route.endpoint.name == "videos" => Some(route),
        _ => None,
    }
}

/// Returns whether JSON lines are records of a batch.
pub(super) fn is_batch(lines: Value<'_>) -> bool {
    lines
        .elements()
        .any(|line| line.get("body").is_some() && line.get("custom_id").is_some())
}

/// Reads a request inside another one.
fn request(reader: &mut Reader<'_>, body: Value<'_>, url: Option<&str>) {
    match url.and_then(route_of) {
        Some(route) if body.kind() == json::ValueKind::Object => {
            reader.record(body, &mut |reader, root| {
                route.protocol.read_request(reader, root, &route.endpoint);
                reader.model_of_path(&route.endpoint);
            });
        }
        _ => {
            let what = "a record of a batch names no endpoint that is known";
            reader.problem(codes::AG2007, body, what);
        }
    }
}

/// Reads the lines of a batch file.
pub(super) fn read_lines(reader: &mut Reader<'_>, lines: Value<'_>) {
    let origin = Origin::of(Author::System, Part::Other);
    reader.array(lines, |reader, line| {
        let url = line.get("url").and_then(|url| url.text());
        // Mistral's records have no endpoint: the batch has it.
        let url = match (url, line.get("body").and_then(|body| body.get("messages"))) {
            (None, Some(_)) => Some("/v1/chat/completions".into()),
            (url, _) => url,
        };
        reader.rows(line, LINE, &origin, &mut |reader, key, value| match key {
            "body" => request(reader, value, url.as_deref()),
            _ => {
                reader.name(value);
            }
        });
        if line.get("body").is_none() {
            let what = "`body` is missing";
            reader.problem(codes::AG2001, line, what);
        }
    });
}

/// Reads records added to a batch.
pub(super) fn read_requests(reader: &mut Reader<'_>, root: Value<'_>) {
    let origin = Origin::of(Author::System, Part::Other);
    reader.rows(root, REQUESTS, &origin, &mut |reader, _, value| {
        reader.claim(value);
        for (key, body) in value.members() {
            let url = NAMED.iter().find(|(name, _)| key.is_text(name));
            if url.is_some() {
                reader.claim(key);
            }
            request(reader, body, url.map(|(_, url)| *url));
        }
    });
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}

/// Members of Google's batches: requests like those of `:generateContent` or `:embedContent`, in the body or in a file.
const GENERATE: &[Row] = &[("batch", Type::Object(GENERATE_BATCH))];
const GENERATE_BATCH: &[Row] = &[
    ("displayName", Type::Text(Part::Other)),
    ("display_name", Type::Text(Part::Other)),
    ("inputConfig", Type::Object(INPUT_CONFIG)),
    ("input_config", Type::Object(INPUT_CONFIG)),
];
const INPUT_CONFIG: &[Row] = &[
    (
        "requests",
        Type::Object(&[("requests", Type::List(&Type::Object(INLINED)))]),
    ),
    ("fileName", Type::State),
    ("file_name", Type::State),
];
const INLINED: &[Row] = &[
    ("request", Type::Custom),
    ("metadata", Type::Tree(Part::Other)),
];

/// Reads a batch of Google's. Its path contains the model and the method.
pub(super) fn read_generate(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    let verb = match endpoint.name {
        super::BATCH_EMBED => "embedContent",
        _ => "generateContent",
    };
    let model = endpoint.model.value().map_or("", |model| model);
    let url = format!("/v1beta/models/{model}:{verb}");
    let origin = Origin::of(Author::User, Part::Other);
    reader.rows(root, GENERATE, &origin, &mut |reader, _, value| {
        request(reader, value, Some(&url));
    });
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}

/// Reads results: a list of them, an object that contains the list, or any other kept file.
pub(super) fn read_results(reader: &mut Reader<'_>, root: Value<'_>) {
    match root.kind() {
        json::ValueKind::Array => reader.array(root, result),
        _ => result(reader, root),
    }
}

fn result(reader: &mut Reader<'_>, value: Value<'_>) {
    read_answer(reader, value, RESULT);
}

fn answered(reader: &mut Reader<'_>, value: Value<'_>) {
    if value.kind() != json::ValueKind::Object {
        return;
    }
    reader.rows(value, ANSWERED, &beside(), &mut |reader, key, value| {
        match (key, value.kind()) {
            ("response", json::ValueKind::Object) if answer_of(value).is_none() => {
                // xAI: the response under the name of its endpoint.
                reader.claim(value);
                for (key, body) in value.members() {
                    if NAMED.iter().any(|(name, _)| key.is_text(name)) {
                        reader.claim(key);
                    }
                    answer(reader, body);
                }
            }
            (_, json::ValueKind::Object) => answer(reader, value),
            _ => {}
        }
    });
}

/// Returns the protocol of a response by the members that identify it.
fn answer_of(body: Value<'_>) -> Option<Route> {
    let object = body.get("object").and_then(|object| object.text());
    let url = match object.as_deref() {
        Some("chat.completion") => "/v1/chat/completions",
        Some("response") => "/v1/responses",
        Some("text_completion") => "/v1/completions",
        Some("list") => "/v1/embeddings",
        _ if body.get("choices").is_some() => "/v1/chat/completions",
        _ if body.get("output").is_some() => "/v1/responses",
        _ => return None,
    };
    route_of(url)
}

fn answer(reader: &mut Reader<'_>, body: Value<'_>) {
    if let Some(route) = answer_of(body) {
        let context = RequestContext::at(Endpoint {
            model: Known::Missing,
            ..route.endpoint
        });
        let protocol: &dyn Protocol = route.protocol;
        reader.record(body, &mut |reader, root| {
            protocol.read_response(reader, root, &context)
        });
    }
}
