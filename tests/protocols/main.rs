//! Readers of all formats, held against recorded bodies that were changed, and against ways past
//! an inspection; and the readers of all streams, held to the same contracts.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "test code: a failure is a panic"
)]

mod completeness;
mod evasion;
mod providers;
mod recognition;
mod refusals;
mod removals;
mod sessions;
mod streams;

use agentguard::author::parse_yaml;
use agentguard::event::{Event, Known, Reading};
use agentguard::flow::Guard;
use agentguard::flow::simulation::{self, HttpMessage, SimulatedResult, run};
use agentguard::policy::load;
use agentguard::protocol::{
    self, BodyForm, Bounds, Recognised, RequestContext, Route, RouteHead, read_request,
    read_response,
};
use agentguard::wire::http::Path;
use agentguard::wire::json::{JsonBody, Limits};
use serde_json::Value;
use std::path::PathBuf;
use std::rc::Rc;

const BOUNDS: Bounds = Bounds {
    max_depth: 64,
    nested_json: 4,
    results: true,
    result_args: true,
    repeats: None,
};

/// Recorded exchanges.
fn recorded() -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/traffic");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    files.sort();
    assert!(files.len() > 9, "{files:?}");
    files
        .iter()
        .flat_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect::<Vec<Value>>()
        })
        .filter(|exchange| recorded_route(exchange).is_some())
        .collect()
}

fn id(exchange: &Value) -> &str {
    exchange["id"].as_str().unwrap()
}

/// Which protocol a request speaks.
fn route(method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Option<Route> {
    let headers: Vec<(&[u8], &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let recognised = protocol::recognise(&RouteHead {
        method,
        host,
        path: &Path::parse(path),
        headers: &headers,
    });
    match recognised {
        Recognised::Protocol(route) => Some(route),
        _ => None,
    }
}

/// The route of a recorded request; `None` for a list of models, in which no protocol reads anything.
fn recorded_route(exchange: &Value) -> Option<Route> {
    let request = &exchange["request"];
    let text = |name: &str| request[name].as_str().unwrap();
    let headers = request["headers"].as_object().unwrap();
    let headers: Vec<(&[u8], &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_str().unwrap().as_bytes()))
        .collect();
    let head = RouteHead {
        method: text("method"),
        host: text("host"),
        path: &Path::parse(text("path")),
        headers: &headers,
    };
    match protocol::recognise(&head) {
        Recognised::Protocol(route) => Some(route),
        Recognised::ByBody => {
            let limits = Limits { max_depth: 64 };
            let json = JsonBody::scan(text("body").as_bytes(), limits, 0).unwrap();
            protocol::recognise_body(&head, json.body().unwrap().root())
        }
        Recognised::Harmless { .. } => None,
        Recognised::Unknown => panic!("{}", id(exchange)),
    }
}

fn route_of(exchange: &Value) -> Route {
    recorded_route(exchange).unwrap_or_else(|| panic!("{}", id(exchange)))
}

fn post(path: &str) -> Route {
    route("POST", "", path, &[]).unwrap_or_else(|| panic!("{path}"))
}

/// The recorded body of one half, if it is one JSON value.
fn body(exchange: &Value, half: &str) -> Option<Value> {
    let half = &exchange[half];
    if half.get("body_encoding").is_some() {
        return None;
    }
    serde_json::from_str(half["body"].as_str()?).ok()
}

/// Requests whose body is JSON, each with its route.
fn requests() -> Vec<(Value, Route, Value)> {
    recorded()
        .into_iter()
        .filter_map(|exchange| {
            let route = route_of(&exchange);
            let body = body(&exchange, "request")?;
            (route.endpoint.body == BodyForm::Json).then_some((exchange, route, body))
        })
        .collect()
}

/// Answers that are JSON, each with its route and what was asked.
fn answers() -> Vec<(Value, Route, RequestContext, Value)> {
    recorded()
        .into_iter()
        .filter_map(|exchange| {
            let route = route_of(&exchange);
            let answer = body(&exchange, "response")?;
            let mut asked = RequestContext::at(route.endpoint.clone());
            if let Some(request) = body(&exchange, "request") {
                let request = request.to_string();
                let (_, reading) = read_request(&route, request.as_bytes(), BOUNDS).unwrap();
                asked.learn(&reading);
            }
            Some((exchange, route, asked, answer))
        })
        .collect()
}

/// What is read in a request.
fn asked_in<'b>(route: &Route, body: &'b str) -> (JsonBody<'b>, Reading) {
    read_request(route, body.as_bytes(), BOUNDS)
        .unwrap_or_else(|problem| panic!("{problem:?} in {body}"))
}

/// What is read in an answer to nothing in particular.
fn answered_in<'b>(route: &Route, body: &'b str) -> (JsonBody<'b>, Reading) {
    let asked = RequestContext::at(route.endpoint.clone());
    read_response(route.protocol, &asked, body.as_bytes(), BOUNDS)
        .unwrap_or_else(|problem| panic!("{problem:?} in {body}"))
}

/// The strings and numbers of an event, one after the other.
fn texts(event: &Event, json: &JsonBody<'_>, reading: &Reading) -> Vec<String> {
    event
        .texts
        .clone()
        .map(|number| text(number, json, reading))
        .collect()
}

fn text(number: u32, json: &JsonBody<'_>, reading: &Reading) -> String {
    let place = reading.texts[usize::try_from(number).unwrap()].place;
    let value = json.value(place).unwrap();
    match value.text() {
        Some(text) => text.into_owned(),
        None => value.number().unwrap_or_default().to_owned(),
    }
}

/// All texts of a body.
fn all_texts(json: &JsonBody<'_>, reading: &Reading) -> Vec<String> {
    (0..u32::try_from(reading.texts.len()).unwrap())
        .map(|number| text(number, json, reading))
        .collect()
}

fn tool(event: &Event) -> &str {
    match &event.tool {
        Known::Is(name) => name,
        Known::Unknown => "?",
        Known::Missing => "-",
    }
}

fn codes(reading: &Reading) -> Vec<&'static str> {
    reading
        .problems
        .iter()
        .map(|problem| problem.code)
        .collect()
}

fn guard(policy: &str) -> Rc<Guard> {
    let text = format!(
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: test }}\n\
         defaults: {{ action: allow }}\n{policy}"
    );
    let loaded = load(&parse_yaml(&text).unwrap_or_else(|errors| panic!("{errors:?}")));
    let errors: Vec<String> = loaded.errors().map(ToString::to_string).collect();
    let policy = loaded.policy.unwrap_or_else(|| panic!("{errors:?}"));
    simulation::guard(policy).unwrap()
}

/// The same policy in both modes of the filter: with headers let go at once, and held.
fn in_both_modes(policy: &str, mut test: impl FnMut(&Rc<Guard>, bool)) {
    test(&guard(policy), false);
    test(
        &guard(&format!("envoy: {{ headers: hold }}\n{policy}")),
        true,
    );
}

/// A request half.
fn sent(method: &str, host: &str, path: &str, more: &[(&str, &str)], body: &str) -> HttpMessage {
    let length = body.len().to_string();
    let mut headers = vec![
        (":method", method),
        (":path", path),
        (":authority", host),
        ("content-type", "application/json"),
        ("content-length", &length),
        ("x-request-id", "r-1"),
    ];
    headers.extend(more);
    HttpMessage::new(&headers, body.as_bytes())
}

/// A response half.
fn received(status: &str, body: &str) -> HttpMessage {
    let length = body.len().to_string();
    HttpMessage::new(
        &[
            (":status", status),
            ("content-type", "application/json"),
            ("content-length", &length),
        ],
        body.as_bytes(),
    )
}

fn exchange(guard: &Rc<Guard>, request: &HttpMessage, response: &HttpMessage) -> SimulatedResult {
    run(
        guard,
        request,
        |_| response.clone(),
        1_763_622_245_000_000_000,
    )
}

fn json(half: &HttpMessage) -> Value {
    let body = half.body();
    serde_json::from_slice(&body).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&body));
    })
}
