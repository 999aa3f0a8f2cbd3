//! Cost of parsing by protocol: the bodies of the largest recorded exchange with a plain response, and a chat of 64 KB.

use agentguard::protocol::{self, Bounds, Recognised, RequestContext, Route, RouteHead};
use agentguard::wire::http::Path;
use agentguard::wire::json::{JsonBody, Limits, Value};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The default bounds of a policy.
const BOUNDS: Bounds = Bounds {
    max_depth: 64,
    nested_json: 4,
    results: true,
    result_args: true,
    repeats: None,
};

const RECORDED: &[&str] = &[
    include_str!("../tests/traffic/openai.chat.jsonl"),
    include_str!("../tests/traffic/openai.responses.jsonl"),
    include_str!("../tests/traffic/openai.completions.jsonl"),
    include_str!("../tests/traffic/openai.embeddings.jsonl"),
    include_str!("../tests/traffic/openai.moderations.jsonl"),
    include_str!("../tests/traffic/openai.images.jsonl"),
    include_str!("../tests/traffic/openai.other.jsonl"),
    include_str!("../tests/traffic/anthropic.messages.jsonl"),
    include_str!("../tests/traffic/anthropic.complete.jsonl"),
    include_str!("../tests/traffic/gemini.generate.jsonl"),
    include_str!("../tests/traffic/gemini.interactions.jsonl"),
    include_str!("../tests/traffic/gemini.embed_or_predict.jsonl"),
    include_str!("../tests/traffic/bedrock.converse.jsonl"),
    include_str!("../tests/traffic/bedrock.invoke.jsonl"),
    include_str!("../tests/traffic/ollama.chat.jsonl"),
    include_str!("../tests/traffic/ollama.generate.jsonl"),
    include_str!("../tests/traffic/cohere.v2.jsonl"),
    include_str!("../tests/traffic/cohere.v1.jsonl"),
    include_str!("../tests/traffic/mcp.jsonl"),
    include_str!("../tests/traffic/a2a.jsonl"),
];

/// A recorded exchange with text bodies.
struct Exchange {
    name: String,
    route: Route,
    request: String,
    /// The response, if it is plain.
    answer: Option<String>,
}

fn text(object: Value<'_>, key: &str) -> Option<String> {
    Some(object.get(key)?.text()?.into_owned())
}

/// Parses a line of a recording with the measured JSON parser: a Wasm module has no other.
fn exchange(line: &str) -> Option<Exchange> {
    let json = JsonBody::scan(line.as_bytes(), Limits { max_depth: 64 }, 0).ok()?;
    let line = json.body()?;
    let root = line.root();
    let (asked, answered) = (root.get("request")?, root.get("response")?);
    if asked.get("body_encoding").is_some() {
        return None;
    }
    let header = |name: &str| text(asked.get("headers")?, name);
    let (method, host) = (text(asked, "method")?, text(asked, "host")?);
    let media = header("content-type").unwrap_or_else(|| "application/json".to_owned());
    let path = Path::parse(&text(asked, "path")?);
    let headers: [(&[u8], &[u8]); 1] = [(b"content-type", media.as_bytes())];
    let head = RouteHead {
        method: &method,
        host: &host,
        path: &path,
        headers: &headers,
    };
    let request = text(asked, "body").filter(|body| !body.is_empty())?;
    let route = match protocol::recognise(&head) {
        Recognised::Protocol(route) => route,
        Recognised::ByBody => {
            let json = JsonBody::scan(request.as_bytes(), Limits { max_depth: 64 }, 0).ok()?;
            protocol::recognise_body(&head, json.body()?.root())?
        }
        _ => return None,
    };
    let is_whole = root.get("expected")?.get("stream")?.as_bool() == Some(false);
    let is_text = answered.get("body_encoding").is_none();
    Some(Exchange {
        name: text(root, "protocol")?,
        answer: text(answered, "body").filter(|_| is_whole && is_text),
        route,
        request,
    })
}

/// Returns a chat of `bytes` bytes: turns of user and model, about 500 bytes each.
fn chat(bytes: usize) -> Exchange {
    let turn = |role: &str| {
        let words = "and agreed, after some debate, that the bridge should be repaired before the winter \
                     came; nobody had thought to ask who would pay for it.\\n";
        format!(r#"{{"role":"{role}","content":"{}"}}"#, words.repeat(3))
    };
    let mut turns = Vec::new();
    let mut length = 0;
    while length < bytes {
        let turn = turn(if turns.len() % 2 == 0 {
            "user"
        } else {
            "assistant"
        });
        length += turn.len();
        turns.push(turn);
    }
    let request = format!(r#"{{"model":"gpt-4o","messages":[{}]}}"#, turns.join(","));
    let path = Path::parse("/v1/chat/completions");
    let head = RouteHead {
        method: "POST",
        host: "api.openai.com",
        path: &path,
        headers: &[],
    };
    let Recognised::Protocol(route) = protocol::recognise(&head) else {
        panic!("the path tells the protocol");
    };
    Exchange {
        name: "chat of 64 KB".to_owned(),
        route,
        request,
        answer: None,
    }
}

/// Returns nanoseconds per byte: the least of several rounds, each long enough for any clock.
fn cost(budget: Duration, bytes: usize, mut read: impl FnMut()) -> f64 {
    let times = (200_000 / bytes.max(1)).max(1);
    let mut least = f64::MAX;
    let begun = Instant::now();
    while begun.elapsed() < budget {
        let start = Instant::now();
        for _ in 0..times {
            read();
        }
        least = least.min(start.elapsed().as_nanos() as f64);
    }
    least / times as f64 / bytes as f64
}

/// Prints the bytes of a body, and ns per byte for its structure and for its events.
fn line(budget: Duration, name: &str, side: &str, body: &str, read: &dyn Fn() -> usize) {
    let events = read();
    let limits = Limits {
        max_depth: BOUNDS.max_depth,
    };
    let scan = cost(budget, body.len(), || {
        drop(black_box(JsonBody::scan(
            body.as_bytes(),
            limits,
            BOUNDS.nested_json,
        )));
    });
    let whole = cost(budget, body.len(), || {
        black_box(read());
    });
    println!(
        "{name:<24} {side:<8} {:>7} {events:>7} {scan:>9.2} {whole:>9.2}",
        body.len()
    );
}

fn print_one(budget: Duration, exchange: &Exchange) {
    let route = &exchange.route;
    let mut asked = RequestContext::at(route.endpoint.clone());
    if let Ok((_, reading)) = protocol::read_request(route, exchange.request.as_bytes(), BOUNDS) {
        asked.learn(&reading);
    }
    line(
        budget,
        &exchange.name,
        "request",
        &exchange.request,
        &|| {
            let read = protocol::read_request(route, exchange.request.as_bytes(), BOUNDS);
            read.expect("it can be read").1.events.len()
        },
    );
    if let Some(answer) = &exchange.answer {
        line(budget, &exchange.name, "answer", answer, &|| {
            let read = protocol::read_response(route.protocol, &asked, answer.as_bytes(), BOUNDS);
            read.expect("it can be read").1.events.len()
        });
    }
}

/// Measures each body for twice `budget`, and prints a table.
pub fn print(budget: Duration) {
    println!(
        "{:<24} {:<8} {:>7} {:>7} {:>9} {:>9}",
        "protocol", "side", "bytes", "events", "scan", "+ events"
    );
    for lines in RECORDED {
        let size = |exchange: &Exchange| {
            exchange.request.len().min(65_536) + exchange.answer.as_ref().map_or(0, String::len)
        };
        let has_answer = |exchange: &Exchange| exchange.answer.is_some();
        let found: Vec<Exchange> = lines.lines().filter_map(exchange).collect();
        let largest = found
            .iter()
            .max_by_key(|exchange| (has_answer(exchange), size(exchange)));
        print_one(budget, largest.expect("each has an exchange of text"));
    }
    print_one(budget, &chat(65_536));
}
