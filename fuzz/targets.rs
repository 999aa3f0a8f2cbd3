//! Properties that must hold for any bytes. Each target derives its input from bytes, and panics if its property is
//! violated. `tests/fuzz.rs` runs all targets for a short time with every `cargo test`; `cargo fuzz` runs one of them for
//! any time.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "what is checked here fails by a panic, and not every target uses everything"
)]

use agentguard::approval::{
    self, ApprovalRequest, Check, Checked, RuleDemand, Subject, VerifyingKeys,
};
use agentguard::author::parse_yaml;
use agentguard::event::Principal;
use agentguard::flow::Guard;
use agentguard::flow::simulation::{self, HttpMessage, SimulatedResult, run};
use agentguard::policy::load;
use agentguard::protocol::{self, Bounds, Recognised, RequestContext, Route, RouteHead};
use agentguard::wire::frame::{Frame, FrameError, Frames, Framing, compose};
use agentguard::wire::http::{ContentType, Path};
use agentguard::wire::json::{JsonBody, Limits, ValueKind};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::rc::Rc;

/// Target with its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("frames", frames),
    ("json", json),
    ("requests", requests),
    ("answers", answers),
    ("streams", streams),
    ("texts", texts),
    ("calls", calls),
    ("approvals", approvals),
];

/// Destinations of generated requests: protocol, path, a valid body, and the media type of a stream.
pub const ROUTES: &[(&str, &str, &str, &str)] = &[
    (
        "openai.chat",
        "/v1/chat/completions",
        r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        SSE,
    ),
    (
        "openai.responses",
        "/v1/responses",
        r#"{"model":"m","stream":true,"input":"hi"}"#,
        SSE,
    ),
    (
        "openai.completions",
        "/v1/completions",
        r#"{"model":"m","stream":true,"prompt":"hi"}"#,
        SSE,
    ),
    (
        "openai.embeddings",
        "/v1/embeddings",
        r#"{"model":"m","input":"hi"}"#,
        SSE,
    ),
    (
        "openai.moderations",
        "/v1/moderations",
        r#"{"input":"hi"}"#,
        SSE,
    ),
    (
        "openai.images",
        "/v1/images/generations",
        r#"{"prompt":"hi"}"#,
        SSE,
    ),
    ("openai.other", "/v1/assistants", r#"{"model":"m"}"#, SSE),
    (
        "anthropic.messages",
        "/v1/messages",
        r#"{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
        SSE,
    ),
    (
        "gemini.generate",
        "/v1beta/models/m:streamGenerateContent",
        r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
        "application/json",
    ),
    (
        "bedrock.converse",
        "/model/m/converse-stream",
        r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#,
        "application/vnd.amazon.eventstream",
    ),
    (
        "bedrock.invoke",
        "/model/anthropic.claude-3/invoke-with-response-stream",
        r#"{"messages":[{"role":"user","content":"hi"}]}"#,
        "application/vnd.amazon.eventstream",
    ),
    (
        "ollama.chat",
        "/api/chat",
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
        "application/x-ndjson",
    ),
    (
        "ollama.generate",
        "/api/generate",
        r#"{"model":"m","prompt":"hi"}"#,
        "application/x-ndjson",
    ),
    (
        "cohere.v2",
        "/v2/chat",
        r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        SSE,
    ),
    (
        "cohere.v1",
        "/v1/chat",
        r#"{"model":"m","stream":true,"message":"hi"}"#,
        SSE,
    ),
    (
        "mcp",
        "/mcp",
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find","arguments":{}}}"#,
        SSE,
    ),
    (
        "a2a",
        "/message:stream",
        r#"{"message":{"messageId":"1","role":"ROLE_USER","parts":[{"text":"hi"}]}}"#,
        SSE,
    ),
    ("generic", "/custom", r#"{"said":"hi"}"#, SSE),
];

const SSE: &str = "text/event-stream";

const POLICY: &str = "apiVersion: agentguard.dev/v1
kind: AgentPolicy
metadata: { name: fuzz }
defaults: { action: allow }
protocols:
  - { paths: [/custom], protocol: generic, read: { texts: [$.said], calls: { at: '$.calls[*]', name: name, args: args } } }
rules:
  - { id: pii, match: { event: [message, response, tool_result] }, when: { text: { detects: [pii, secrets] } }, action: redact }
  - { id: swan, match: { event: [message, response] }, when: { text: { contains: forbidden word } }, action: deny }
  - { id: kept, match: { tool: delete_customer }, action: deny, reason: Customers stay. }
";

const BOUNDS: Bounds = Bounds {
    max_depth: 64,
    nested_json: 4,
    results: true,
    result_args: true,
    repeats: None,
};

const NOW: u64 = 1_763_622_245_000_000_000;

thread_local! {
    static GUARD: Rc<Guard> = {
        let loaded = load(&parse_yaml(POLICY).unwrap());
        simulation::guard(loaded.policy.unwrap()).unwrap()
    };
}

fn guard() -> Rc<Guard> {
    GUARD.with(Rc::clone)
}

/// Input whose first bytes determine parameters.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> usize {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                usize::from(*byte)
            }
            None => 0,
        }
    }
}

/// Cuts bytes into pieces of this size and the next smaller ones, in turn.
fn cut(bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
    if bytes.is_empty() {
        return vec![Vec::new()];
    }
    let mut pieces = Vec::new();
    let mut rest = bytes;
    let mut sizes = (1..=size % 64 + 1).rev().cycle();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(sizes.next().unwrap().min(rest.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}

// ---- Framings -------------------------------------------------------------------------------------------------------

/// Returns the frames of a stream, and the error that ended it, if any.
fn read_frames(framing: Framing, pieces: &[Vec<u8>]) -> (Vec<Frame>, Option<FrameError>) {
    let mut frames = Frames::new(framing, 1 << 20);
    let mut found = Vec::new();
    for piece in pieces {
        frames.push(piece);
        loop {
            match frames.next_frame() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    match frames.finish() {
        Ok(last) => {
            found.extend(last);
            (found, None)
        }
        Err(error) => (found, Some(error)),
    }
}

/// Checks that bytes are split into the same frames in whatever pieces they arrive, and that no byte is lost. A frame whose
/// payload is replaced has the new payload and keeps its name.
pub fn frames(input: &[u8]) {
    let mut input = Input(input);
    let framing = [
        Framing::Sse,
        Framing::Lines,
        Framing::Array,
        Framing::Amazon,
    ][input.byte() % 4];
    let size = input.byte();
    let stream = input.0;
    let (whole, error) = read_frames(framing, &[stream.to_vec()]);
    let (pieces, error_in_pieces) = read_frames(framing, &cut(stream, size));
    assert_eq!(error.is_some(), error_in_pieces.is_some());
    let told = |frames: &[Frame]| -> Vec<_> {
        let says = |frame: &&Frame| {
            frame.payload.is_some() || !frame.ids.is_empty() || !frame.asides.is_empty()
        };
        let parts = |frame: &Frame| {
            (
                frame.event.clone(),
                frame.payload.clone(),
                frame.ids.clone(),
                frame.asides.clone(),
            )
        };
        frames.iter().filter(says).map(parts).collect()
    };
    assert_eq!(told(&whole), told(&pieces));
    if error.is_some() {
        return;
    }
    let raw = |frames: &[Frame]| {
        frames
            .iter()
            .flat_map(|frame| frame.raw.clone())
            .collect::<Vec<u8>>()
    };
    assert_eq!(raw(&whole), stream);
    assert_eq!(raw(&pieces), stream);
    let payload = br#"{"another":"payload"}"#.to_vec();
    for frame in whole.iter().filter(|frame| frame.payload.is_some()) {
        let edited = frame.with_payload(&payload);
        // An element of an array is no stream on its own.
        if framing != Framing::Array {
            let (again, error) = read_frames(framing, &[edited]);
            assert!(error.is_none());
            let with_payload: Vec<&Frame> = again
                .iter()
                .filter(|frame| frame.payload.is_some())
                .collect();
            assert_eq!(with_payload.len(), 1, "{again:?}");
            assert_eq!(with_payload[0].payload.as_ref(), Some(&payload));
            assert_eq!(with_payload[0].event, frame.event);
        }
    }
    if framing != Framing::Array {
        let (composed, error) = read_frames(framing, &[compose(framing, Some("x"), &payload)]);
        assert!(error.is_none());
        assert_eq!(composed[0].payload, Some(payload));
    }
}

// ---- The JSON scanner -----------------------------------------------------------------------------------------------

/// Checks that a strict parser accepts what the scanner accepts, with the same values at the same positions.
pub fn json(input: &[u8]) {
    let limits = Limits { max_depth: 64 };
    let Ok(json) = JsonBody::scan(input, limits, 4) else {
        return;
    };
    let doc = json.body().unwrap();
    let parsed: Result<Value, _> = serde_json::from_slice(input);
    // Only the scanner accepts a lone surrogate, and a number that no float can represent.
    let Ok(parsed) = parsed else {
        let text = std::str::from_utf8(input).unwrap();
        assert!(
            text.contains("\\u") || text.contains(['e', 'E']) || text.len() > 300,
            "{text}"
        );
        return;
    };
    let root = doc.root();
    compare(root, &parsed);
    for node in root.descendants() {
        assert_eq!(
            json.value(node.value.place()).unwrap().raw(),
            node.value.raw()
        );
        json.pointer(node.value.place());
    }
}

fn compare(value: agentguard::wire::json::Value<'_>, parsed: &Value) {
    match (value.kind(), parsed) {
        (ValueKind::Null, Value::Null) => {}
        (ValueKind::Bool(mine), Value::Bool(theirs)) => assert_eq!(mine, *theirs),
        (ValueKind::Number, Value::Number(_)) => {
            if let (Some(mine), Some(theirs)) = (value.as_u64(), parsed.as_u64()) {
                assert_eq!(mine, theirs);
            }
        }
        (ValueKind::String, Value::String(theirs)) => {
            assert_eq!(value.text().as_deref(), Some(theirs.as_str()))
        }
        (ValueKind::Array, Value::Array(theirs)) => {
            assert_eq!(value.elements().count(), theirs.len());
            value
                .elements()
                .zip(theirs)
                .for_each(|(mine, theirs)| compare(mine, theirs));
        }
        (ValueKind::Object, Value::Object(theirs)) => {
            assert_eq!(value.members().count(), theirs.len());
            for (key, member) in value.members() {
                compare(member, &theirs[&*key.text().unwrap()]);
            }
        }
        (mine, theirs) => panic!("{mine:?} is not {theirs}"),
    }
}

// ---- Bodies through a filter ----------------------------------------------------------------------------------------

fn request(route: usize, body: &[u8]) -> HttpMessage {
    let (_, path, ..) = ROUTES[route];
    let headers = [
        (":method", "POST"),
        (":path", path),
        (":authority", "model.example"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("x-request-id", "r-1"),
    ];
    HttpMessage::new(&headers, body)
}

fn response(media: &str, chunks: Vec<Vec<u8>>) -> HttpMessage {
    let headers = [(":status", "200"), ("content-type", media)];
    let mut half = HttpMessage::new(&headers, b"");
    half.chunks = chunks;
    half
}

/// Returns the outcome of an exchange, without times.
fn outcome(seen: &SimulatedResult) -> (Option<Vec<u8>>, Vec<u8>, Value) {
    let mut record: Value = serde_json::from_slice(&seen.finished.line).unwrap();
    for key in ["ts", "chain", "timing", "duration_ms", "request_id"] {
        record.as_object_mut().unwrap().remove(key);
    }
    (
        seen.upstream.as_ref().map(HttpMessage::body),
        seen.client.body(),
        record,
    )
}

fn route_of(route: usize) -> Option<Route> {
    let (_, path, asked, _) = ROUTES[route];
    let path = Path::parse(path);
    let headers: Vec<(&[u8], &[u8])> = vec![(b"content-type", b"application/json")];
    let head = RouteHead {
        method: "POST",
        host: "model.example",
        path: &path,
        headers: &headers,
    };
    match protocol::recognise(&head) {
        Recognised::Protocol(route) => Some(route),
        Recognised::ByBody => {
            let json = JsonBody::scan(asked.as_bytes(), Limits { max_depth: 64 }, 0).unwrap();
            protocol::recognise_body(&head, json.body()?.root())
        }
        _ => None,
    }
}

/// Checks that every place in a reading exists.
fn check_places(json: &JsonBody<'_>, reading: &agentguard::event::Reading) {
    for text in &reading.texts {
        assert!(json.value(text.place).is_some());
    }
    for event in &reading.events {
        assert!(json.value(event.at).is_some());
        assert!(event.texts.start <= event.texts.end);
        assert!(usize::try_from(event.texts.end).unwrap() <= reading.texts.len());
    }
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok()
}

/// Checks that any request is parsed without panic, and that the upstream receives the same in whatever pieces it arrives.
pub fn requests(input: &[u8]) {
    let mut input = Input(input);
    let number = input.byte() % ROUTES.len();
    let size = input.byte();
    let body = input.0;
    if let Some(route) = route_of(number)
        && let Ok((json, reading)) = protocol::read_request(&route, body, BOUNDS)
    {
        check_places(&json, &reading);
    }
    let guard = guard();
    let mut at_once = request(number, body);
    at_once.chunks = vec![body.to_vec()];
    let mut in_pieces = at_once.clone();
    in_pieces.chunks = cut(body, size);
    let answer = || response("application/json", vec![b"{}".to_vec()]);
    let whole = run(&guard, &at_once, |_| answer(), NOW);
    let pieces = run(&guard, &in_pieces, |_| answer(), NOW);
    assert_eq!(outcome(&whole), outcome(&pieces));
    if let (Some(upstream), true) = (&whole.upstream, is_json(body)) {
        assert!(is_json(&upstream.body()) || upstream.body().is_empty());
    }
}

/// Checks that any plain response is parsed without panic. The client receives the same in whatever pieces it arrives, and
/// JSON if the response was JSON.
pub fn answers(input: &[u8]) {
    let mut input = Input(input);
    let number = input.byte() % ROUTES.len();
    let size = input.byte();
    let body = input.0;
    let (_, _, question, _) = ROUTES[number];
    if let Some(route) = route_of(number) {
        let mut asked = RequestContext::at(route.endpoint.clone());
        if let Ok((_, reading)) = protocol::read_request(&route, question.as_bytes(), BOUNDS) {
            asked.learn(&reading);
        }
        if let Ok((json, reading)) = protocol::read_response(route.protocol, &asked, body, BOUNDS) {
            check_places(&json, &reading);
        }
    }
    let guard = guard();
    let question = request(number, question.as_bytes());
    let exchange = |chunks| {
        run(
            &guard,
            &question,
            |_| response("application/json", chunks),
            NOW,
        )
    };
    let whole = exchange(vec![body.to_vec()]);
    let pieces = exchange(cut(body, size));
    assert_eq!(outcome(&whole), outcome(&pieces));
    if is_json(body) {
        assert!(is_json(&whole.client.body()) || whole.client.body().is_empty());
    }
}

/// Checks that the client receives the same stream in whatever pieces it arrives, and that it is valid in its framing.
pub fn streams(input: &[u8]) {
    let mut input = Input(input);
    let number = input.byte() % ROUTES.len();
    let size = input.byte();
    let body = input.0;
    let (_, _, question, media) = ROUTES[number];
    let guard = guard();
    let question = request(number, question.as_bytes());
    let exchange = |chunks| run(&guard, &question, |_| response(media, chunks), NOW);
    let whole = exchange(vec![body.to_vec()]);
    let pieces = exchange(cut(body, size));
    assert_eq!(outcome(&whole), outcome(&pieces));
    let framing = match ContentType::parse(Some(media.as_bytes())).media {
        agentguard::wire::http::MediaType::JsonLines => Framing::Lines,
        agentguard::wire::http::MediaType::AmazonEventStream => Framing::Amazon,
        agentguard::wire::http::MediaType::EventStream => Framing::Sse,
        _ => return,
    };
    if whole.client.status() == Some(200) && !whole.cut {
        let (_, error) = read_frames(framing, &[whole.client.body()]);
        let (_, error_before) = read_frames(framing, &[body.to_vec()]);
        assert!(error.is_none() || error_before.is_some());
    }
}

// ---- Texts and calls in pieces --------------------------------------------------------------------------------------

/// Parts of texts that detectors find, and of other texts.
const PARTS: &[&str] = &[
    "4",
    "1111",
    "4111 1111",
    " 1111 1111",
    "-",
    " ",
    "",
    "anna",
    "@",
    "example",
    ".com",
    "forbidden",
    " word",
    "wor",
    "AKIAIOSFODNN7",
    "EXAMPLQ",
    "sk-",
    "ghp_",
    "0123456789abcdef",
    "DE89 3704 0044",
    " 0532 0130 00",
    "+49 30 ",
    "1234567",
    "\u{1F600}",
    "\u{200b}",
    "\u{FF14}",
    "e\u{301}",
    "\\",
    "\"",
    "\n",
    "&#52;",
    "%34",
    "192.168.",
    "0.1",
    "password: ",
    "hunter2!",
    ". ",
    "The quick brown fox ",
    "card number",
    "078-05-",
    "1120",
    "=",
    ",",
    "x",
];

fn chunk(delta: Value, finish: Value) -> String {
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    format!("data: {chunk}\n\n")
}

fn ask(guard: &Rc<Guard>, media: &str, body: &[u8]) -> SimulatedResult {
    let question = request(0, ROUTES[0].2.as_bytes());
    run(
        guard,
        &question,
        |_| response(media, vec![body.to_vec()]),
        NOW,
    )
}

/// Returns the deltas that a client receives.
fn deltas(seen: &SimulatedResult) -> Vec<Value> {
    let text = String::from_utf8(seen.client.body()).unwrap();
    let payloads = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "));
    payloads
        .filter(|payload| *payload != "[DONE]")
        .map(|payload| serde_json::from_str::<Value>(payload).unwrap())
        .map(|chunk| match chunk.get("error") {
            Some(error) => json!({"error": error}),
            None => chunk["choices"][0]["delta"].clone(),
        })
        .collect()
}

/// Checks that the released text of a stream is the redacted text of the whole; or its beginning, if the stream was denied.
pub fn texts(input: &[u8]) {
    let mut whole = String::new();
    let mut body = String::new();
    let mut delta = String::new();
    for byte in input.iter().take(200) {
        let part = PARTS[usize::from(byte & 0x7F) % PARTS.len()];
        if byte & 0x80 != 0 {
            body.push_str(&chunk(json!({"content": delta}), Value::Null));
            delta.clear();
        }
        delta.push_str(part);
        whole.push_str(part);
    }
    body.push_str(&chunk(json!({"content": delta}), json!("stop")));
    body.push_str("data: [DONE]\n\n");
    let guard = guard();
    let streamed = deltas(&ask(&guard, SSE, body.as_bytes()));
    let released: String = streamed
        .iter()
        .filter_map(|delta| delta["content"].as_str())
        .collect();
    let is_refused = streamed
        .iter()
        .any(|delta| delta.get("refusal").is_some() || delta.get("error").is_some());
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": whole}, "finish_reason": "stop"}]});
    let at_once = ask(&guard, "application/json", answer.to_string().as_bytes());
    let at_once: Value = serde_json::from_slice(&at_once.client.body()).unwrap();
    match at_once["choices"][0]["message"]["content"].as_str() {
        Some(expected) if is_refused => {
            panic!("refused in pieces, not at once: {whole:?} {expected:?}")
        }
        Some(expected) => assert_eq!(released, expected, "{whole:?}"),
        None => {
            assert!(is_refused, "refused at once, not in pieces: {whole:?}");
            assert!(!released.contains("forbidden word"), "{released:?}");
        }
    }
}

/// Checks that denied calls of a stream are removed, and that the others are complete, in order, and numbered without a gap.
/// Their arguments are masked as in a plain response.
pub fn calls(input: &[u8]) {
    const NAMES: &[&str] = &["find", "delete_customer", "send"];
    const ARGUMENTS: &[&str] = &[
        "{", "}", "\"a\":", "\"b", "\"", "1", ",", "{}", "\\u0041", " ",
    ];
    let mut sent: Vec<(&str, String)> = Vec::new();
    let mut body = String::new();
    for byte in input.iter().take(200).map(|byte| usize::from(*byte)) {
        let (kind, which) = (byte % 4, byte / 4);
        let delta = match kind {
            0 if sent.len() < 20 => {
                let name = NAMES[which % NAMES.len()];
                sent.push((name, String::new()));
                let index = sent.len() - 1;
                json!({"tool_calls": [{"index": index, "id": format!("call_{index}"), "type": "function",
                    "function": {"name": name, "arguments": ""}}]})
            }
            1 | 2 if !sent.is_empty() => {
                let index = which % sent.len();
                let part = ARGUMENTS[which % ARGUMENTS.len()];
                sent[index].1.push_str(part);
                json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
            }
            _ => json!({"content": "so "}),
        };
        body.push_str(&chunk(delta, Value::Null));
    }
    let finish = if sent.is_empty() {
        "stop"
    } else {
        "tool_calls"
    };
    body.push_str(&chunk(json!({}), json!(finish)));
    body.push_str("data: [DONE]\n\n");
    let deltas = deltas(&ask(&guard(), SSE, body.as_bytes()));
    if deltas
        .iter()
        .any(|delta| delta.get("error").is_some() || delta.get("refusal").is_some())
    {
        panic!("nothing in it refuses the stream: {body}");
    }
    let mut seen: Vec<(String, String)> = Vec::new();
    for call in deltas
        .iter()
        .flat_map(|delta| delta["tool_calls"].as_array().into_iter().flatten())
    {
        let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
        if index == seen.len() {
            seen.push(Default::default());
        }
        let (name, arguments) = &mut seen[index];
        name.push_str(call["function"]["name"].as_str().unwrap_or_default());
        arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
    }
    let kept: Vec<&str> = sent
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != "delete_customer")
        .collect();
    let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, kept);
    assert_eq!(seen, calls_in_one_piece(&sent));
}

/// Returns the calls that a client receives of a plain response.
fn calls_in_one_piece(sent: &[(&str, String)]) -> Vec<(String, String)> {
    let calls: Vec<Value> = sent
        .iter()
        .enumerate()
        .map(|(at, (name, arguments))| {
            json!({"id": format!("call_{at}"), "type": "function", "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]});
    let seen = ask(&guard(), "application/json", answer.to_string().as_bytes());
    let seen: Value = serde_json::from_slice(&seen.client.body()).unwrap();
    let kept = seen["choices"][0]["message"]["tool_calls"].as_array();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    kept.into_iter()
        .flatten()
        .map(|call| {
            let function = &call["function"];
            (text(&function["name"]), text(&function["arguments"]))
        })
        .collect()
}

/// Checks that any text either is rejected or is a request or token that is encoded as the same text. The canonical form of
/// a value is the same for every spelling, and unsigned text approves nothing.
pub fn approvals(input: &[u8]) {
    if let Ok(form) = approval::canonical(input) {
        assert_eq!(approval::canonical(&form).unwrap(), form);
    }
    let text = String::from_utf8_lossy(input);
    let payload = URL_SAFE_NO_PAD.encode(input);
    for text in [text.clone().into_owned(), format!("agar1.{payload}")] {
        if let Ok(request) = ApprovalRequest::parse(&text) {
            assert_eq!(ApprovalRequest::parse(&request.encode()), Ok(request));
        }
    }
    for text in [text.into_owned(), format!("agat1.{payload}.{payload}")] {
        let check = Check {
            subject: &Subject::default(),
            asker: &Principal::anonymous(),
            now: 0,
            reserved: &[],
        };
        let demand = RuleDemand {
            rule: "a",
            by: &["b".into()],
            needed: 1,
            valid_for: 600,
            uses: 1,
        };
        let token = VerifyingKeys::default().read(&text);
        let checked = check.tokens(&[token], &[demand], None);
        assert!(matches!(checked, Checked::Invalid(_)));
    }
}
