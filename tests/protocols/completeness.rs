//! Nothing in a body goes unseen: recorded bodies with something put into every object, with every string replaced, with
//! keys in another order, with bytes changed.

use super::{
    BOUNDS, all_texts, answers, asked_in, exchange, guard, id, post, read_request, read_response,
    received, recorded, requests, route_of, texts, tool,
};
use agentguard::event::{Event, Kind, PROTOCOL_NAMES, Reading};
use agentguard::flow::simulation::HttpMessage;
use agentguard::protocol::Route;
use agentguard::wire::json::JsonBody;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

const NEEDLE: &str = "needle: call me at noon";

/// Pointers to every value that `wanted` picks, at most `most` of them, spread over the body.
fn pointers(body: &Value, wanted: &dyn Fn(&Value) -> bool, most: usize) -> Vec<String> {
    fn walk(value: &Value, at: &str, wanted: &dyn Fn(&Value) -> bool, found: &mut Vec<String>) {
        if wanted(value) {
            found.push(at.to_owned());
        }
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    walk(value, &format!("{at}/{key}"), wanted, found);
                }
            }
            Value::Array(list) => {
                for (number, value) in list.iter().enumerate() {
                    walk(value, &format!("{at}/{number}"), wanted, found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(body, "", wanted, &mut found);
    let step = found.len().div_ceil(most).max(1);
    found.into_iter().step_by(step).collect()
}

fn sees(json: &JsonBody<'_>, reading: &Reading) -> bool {
    all_texts(json, reading)
        .iter()
        .any(|text| text.contains(NEEDLE))
}

/// Protocols of which no exchange is recorded, so that none of the tests on recorded bodies is about them.
const NOT_RECORDED: &[&str] = &[
    "watsonx.text",
    "dashscope.generation",
    "dify",
    "cloudflare.run",
    "lmstudio.chat",
    "anthropic.sessions",
    "gemini.code_assist",
    "bedrock.other",
    "oauth",
    "generic",
];

#[test]
fn every_protocol_has_recorded_exchanges_or_is_known_to_have_none() {
    let routes = recorded();
    let routes: Vec<Route> = routes.iter().map(route_of).collect();
    for name in PROTOCOL_NAMES {
        let is_recorded = routes.iter().any(|route| route.protocol.name() == *name);
        assert!(
            is_recorded != NOT_RECORDED.contains(name),
            "{name}: record exchanges into tests/traffic/{name}.jsonl, or remove the name from NOT_RECORDED where there are some"
        );
    }
}

#[test]
fn an_unknown_key_anywhere_in_a_request_is_found() {
    let mut tried = 0;
    for (exchange, route, body) in requests() {
        for at in pointers(&body, &Value::is_object, 25) {
            let mut changed = body.clone();
            let object = changed.pointer_mut(&at).unwrap().as_object_mut().unwrap();
            object.insert("zz_new".to_owned(), json!({"deep": [NEEDLE]}));
            let text = changed.to_string();
            let (json, reading) = asked_in(&route, &text);
            assert!(sees(&json, &reading), "{} at {at}", id(&exchange));
            tried += 1;
        }
    }
    assert!(tried > 2_500, "{tried}");
}

#[test]
fn an_unknown_key_anywhere_in_an_answer_is_found() {
    // The text once more, token by token.
    const COPIES: [&str; 3] = ["logprobsResult", "tokens", "logprobs"];
    let mut tried = 0;
    for (exchange, route, asked, body) in answers() {
        for at in pointers(&body, &Value::is_object, 20) {
            if COPIES.iter().any(|copy| at.contains(copy)) {
                continue;
            }
            let mut changed = body.clone();
            let object = changed.pointer_mut(&at).unwrap().as_object_mut().unwrap();
            object.insert("zz_new".to_owned(), json!({"deep": [NEEDLE]}));
            let text = changed.to_string();
            let (json, reading) =
                read_response(route.protocol, &asked, text.as_bytes(), BOUNDS).unwrap();
            assert!(sees(&json, &reading), "{} at {at}", id(&exchange));
            tried += 1;
        }
    }
    assert!(tried > 1_700, "{tried}");
}

/// Bytes and signatures: nothing that a rule reads.
pub(crate) const UNREAD: &[&str] = &[
    "data",
    "bytes",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "encrypted_index",
];

#[test]
fn a_sentence_in_the_place_of_any_string_of_a_request_is_seen_somewhere() {
    let mut tried = 0;
    for (exchange, route, body) in requests() {
        for at in pointers(&body, &Value::is_string, 40) {
            let key = at.rsplit('/').find(|key| key.parse::<usize>().is_err());
            if UNREAD.contains(&key.unwrap_or_default()) {
                continue;
            }
            let mut changed = body.clone();
            *changed.pointer_mut(&at).unwrap() = json!(NEEDLE);
            let text = changed.to_string();
            let (json, reading) = asked_in(&route, &text);
            let is_named = reading.events.iter().any(|event| tool(event) == NEEDLE)
                || reading.models.names.iter().any(|name| &**name == NEEDLE)
                || reading.agent.as_deref() == Some(NEEDLE);
            // Names of tools that are offered or called elsewhere are compared, and nothing else.
            let is_name = at.ends_with("name") || at.contains("allowedFunctionNames");
            let is_refused = !reading.problems.is_empty();
            assert!(
                sees(&json, &reading) || is_named || is_name || is_refused,
                "{} at {at}",
                id(&exchange)
            );
            tried += 1;
        }
    }
    assert!(tried > 3_400, "{tried}");
}

/// What an event says, without where.
fn said(event: &Event, json: &JsonBody<'_>, reading: &Reading) -> String {
    let mut texts = texts(event, json, reading);
    texts.sort();
    format!(
        "{} {} {:?} {:?} {:?} {:?} {} {:?} {:?} {texts:?}",
        event.kind.word(),
        tool(event),
        event.from,
        event.part,
        event.turn,
        event.ok,
        event.provider_run,
        event.opacity,
        event.choice,
    )
}

fn all_said(json: &JsonBody<'_>, reading: &Reading) -> Vec<String> {
    let mut all: Vec<String> = reading
        .events
        .iter()
        .map(|event| said(event, json, reading))
        .collect();
    all.sort();
    all
}

fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members
                .iter()
                .rev()
                .map(|(key, value)| (key.clone(), reversed(value)));
            Value::Object(members.collect::<Map<String, Value>>())
        }
        Value::Array(list) => list.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

#[test]
fn keys_in_another_order_say_the_same() {
    for (exchange, route, body) in requests() {
        let (one, other) = (body.to_string(), reversed(&body).to_string());
        let (json, reading) = asked_in(&route, &one);
        let (other_nest, other_reading) = asked_in(&route, &other);
        assert_eq!(
            all_said(&json, &reading),
            all_said(&other_nest, &other_reading),
            "{}",
            id(&exchange)
        );
        assert_eq!(reading.models, other_reading.models, "{}", id(&exchange));
        assert_eq!(reading.stream, other_reading.stream);
    }
    for (exchange, route, asked, body) in answers() {
        let (one, other) = (body.to_string(), reversed(&body).to_string());
        let read = |text: &str| {
            let (json, reading) =
                read_response(route.protocol, &asked, text.as_bytes(), BOUNDS).unwrap();
            (all_said(&json, &reading), reading.usage, reading.finish)
        };
        assert_eq!(read(&one), read(&other), "{}", id(&exchange));
    }
}

#[test]
fn bodies_with_changed_bytes_are_read_or_refused_without_a_panic() {
    let exchanges: Vec<Value> = recorded()
        .into_iter()
        .filter(|exchange| exchange.to_string().len() < 6_000)
        .collect();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(2_000));
    let change = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<u8>(),
    );
    let strategy = (
        any::<prop::sample::Index>(),
        prop::collection::vec(change, 1..6),
    );
    let result = runner.run(&strategy, |(which, changes)| {
        let exchange = which.get(&exchanges);
        let route = route_of(exchange);
        let asked = agentguard::protocol::RequestContext::at(route.endpoint.clone());
        for half in ["request", "response"] {
            let mut bytes = exchange[half]["body"].as_str().unwrap().as_bytes().to_vec();
            for (from, to, byte) in &changes {
                if bytes.is_empty() {
                    continue;
                }
                let at = from.index(bytes.len());
                match byte % 4 {
                    // Structure where it does not belong, and values of another type.
                    0 => bytes[at] = b"{}[]\",:0tn"[to.index(10)],
                    1 => bytes[at] = *byte,
                    2 => bytes.truncate(at),
                    _ => {
                        let end = to.index(bytes.len()).max(at);
                        let piece = bytes[at..end].to_vec();
                        bytes.splice(at..at, piece);
                    }
                }
            }
            let _ = read_request(&route, &bytes, BOUNDS);
            let _ = read_response(route.protocol, &asked, &bytes, BOUNDS);
        }
        Ok(())
    });
    result.unwrap();
}

#[test]
fn values_of_another_type_are_read_or_refused_without_a_panic() {
    for (_, route, body) in requests() {
        for at in pointers(&body, &|_| true, 40) {
            for value in [
                json!(null),
                json!(1),
                json!(true),
                json!("x"),
                json!([]),
                json!([[{}]]),
                json!({"a": {}}),
            ] {
                let mut changed = body.clone();
                *changed.pointer_mut(&at).unwrap() = value;
                let text = changed.to_string();
                let _ = read_request(&route, text.as_bytes(), BOUNDS);
            }
        }
    }
}

/// Bodies that grow with `n`, in places where a careless reader looks at everything for each.
fn growing(n: usize) -> Vec<(&'static str, String)> {
    let many = |item: &str| vec![item; n].join(",");
    let calls = |item: &dyn Fn(usize) -> String| (0..n).map(item).collect::<Vec<_>>().join(",");
    vec![
        (
            "/v1/messages",
            format!(
                r#"{{"model":"m","messages":[{}]}}"#,
                many(r#"{"role":"user","content":"x"}"#)
            ),
        ),
        (
            "/v1/messages",
            format!(r#"{{"model":"m","messages":[{}]}}"#, many("1")),
        ),
        (
            "/v1/messages",
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":[{}]}}]}}"#,
                many(r#"{"type":"new","text":"x"}"#)
            ),
        ),
        (
            "/v1/messages",
            format!(
                r#"{{"model":"m","messages":[{{"role":"assistant","content":[{}]}},{{"role":"user","content":[{}]}}]}}"#,
                calls(&|at| format!(
                    r#"{{"type":"tool_use","id":"t{at}","name":"f","input":{{}}}}"#
                )),
                calls(&|at| format!(
                    r#"{{"type":"tool_result","tool_use_id":"t{at}","content":"{{\"a\":1}}"}}"#
                )),
            ),
        ),
        (
            "/v1/messages/batches",
            format!(
                r#"{{"requests":[{}]}}"#,
                many(r#"{"custom_id":"x","params":{"model":"m","messages":[]}}"#)
            ),
        ),
        (
            "/model/m/converse",
            format!(
                r#"{{"messages":[{{"role":"user","content":[{}]}}]}}"#,
                many(r#"{"text":"x"}"#)
            ),
        ),
        (
            "/model/m/converse",
            format!(
                r#"{{"messages":[],"toolConfig":{{"tools":[{}]}}}}"#,
                many(r#"{"toolSpec":{"name":"x","inputSchema":{"json":{}}}}"#)
            ),
        ),
        (
            "/v1beta/models/g:generateContent",
            format!(
                r#"{{"contents":[{{"parts":[{}]}}]}}"#,
                many(r#"{"functionResponse":{"name":"f","response":{"a":"x"}}}"#)
            ),
        ),
        (
            "/v1beta/models/g:generateContent",
            format!(
                r#"{{"contents":[],"tools":[{}]}}"#,
                many(r#"{"newTool":{}}"#)
            ),
        ),
        (
            "/v1beta/interactions",
            format!(
                r#"{{"model":"m","input":[{}]}}"#,
                many(r#"{"type":"text","text":"x"}"#)
            ),
        ),
        (
            "/v1/messages",
            format!(
                r#"{{"model":"m","messages":[],{}}}"#,
                calls(&|at| format!(r#""k{at}":"x""#))
            ),
        ),
    ]
}

/// Processor time of this thread: what others do on the machine does not count. `None` where the system doesn't tell.
fn spent() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok()
}

#[test]
fn ten_times_the_body_takes_as_long_as_ten_bodies() {
    const SLACK: u64 = 50_000_000;
    let time = |path: &str, body: &str, runs: u64| {
        let route = post(path);
        let begin = spent()?;
        for _ in 0..runs {
            let read = read_request(&route, body.as_bytes(), BOUNDS).unwrap();
            assert!(!read.1.events.is_empty());
        }
        Some(spent()? - begin)
    };
    for ((path, small), (_, large)) in growing(2_000).into_iter().zip(growing(20_000)) {
        let (Some(ten), Some(one)) = (time(path, &small, 10), time(path, &large, 1)) else {
            return;
        };
        assert!(
            one < 4 * ten + SLACK,
            "{path}: {ten} ns, {one} ns for {small:.80}"
        );
    }
}

#[test]
fn a_request_is_told_once_and_its_texts_all_belong_to_an_event() {
    for (exchange, route, body) in requests() {
        let text = body.to_string();
        let (_, reading) = asked_in(&route, &text);
        let count = reading
            .events
            .iter()
            .filter(|event| event.kind == Kind::Request)
            .count();
        let is_batch = route.endpoint.name == "batches.requests";
        assert!(count == 1 || is_batch, "{count} in {}", id(&exchange));
        let mut told = vec![false; reading.texts.len()];
        for event in &reading.events {
            for number in event.texts.clone() {
                told[usize::try_from(number).unwrap()] = true;
            }
        }
        for (number, text) in reading.texts.iter().enumerate() {
            // Told only where something is found in them.
            let is_id = matches!(
                text.class,
                agentguard::event::Class::Id | agentguard::event::Class::Name
            );
            assert!(told[number] || is_id, "{} text {number}", id(&exchange));
        }
    }
}

/// `needle` is forbidden, and nothing else is: what stands in its place is read, and the rest is understood.
#[test]
fn what_only_some_clients_send_is_understood() {
    let json = "application/json";
    let form = "multipart/form-data; boundary=b";
    let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nneedle\r\n--b--\r\n";
    let rules = "rules: [{ id: r, match: { event: message }, when: { text: { contains: needle } }, action: deny }]";
    let forbids = guard(rules);
    for (method, host, path, media, body) in [
        // Agents' messages to each other have no role.
        (
            "POST",
            "api.openai.com",
            "/v1/responses",
            json,
            r#"{"model":"m","input":[{"type":"agent_message","author":"/root","recipient":"/root/a",
               "content":[{"type":"input_text","text":"needle"}]}]}"#,
        ),
        (
            "POST",
            "api.openai.com",
            "/v1/assistants",
            json,
            r#"{"model":"m","response_format":"auto","instructions":"needle"}"#,
        ),
        (
            "POST",
            "api.openai.com",
            "/v1/evals/e/runs/r/cancel",
            json,
            r#"{"note":"needle"}"#,
        ),
        ("POST", "api.anthropic.com", "/v1/files", form, file),
        ("POST", "api.anthropic.com", "/v1/skills", form, file),
        ("PUT", "api.perplexity.ai", "/v1/skills/s", form, file),
        (
            "POST",
            "openrouter.ai",
            "/api/v1/audio/speech",
            json,
            r#"{"model":"m","voice":"v","input":[{"text":"a"},{"text":"needle","voice":"w"}]}"#,
        ),
        (
            "POST",
            "openrouter.ai",
            "/api/v1/images",
            json,
            r#"{"model":"m","prompt":"needle","input_references":[
               {"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]}"#,
        ),
        (
            "POST",
            "localhost:11434",
            "/v1/systemone",
            json,
            r#"{"model":"m","state":"a","questions":{"q":{"type":"noul","instructions":"needle"}}}"#,
        ),
        (
            "POST",
            "api.fireworks.ai",
            "/inference/v1/chat/completions",
            json,
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"reasoning_effort":512,
               "prompt_logprobs":true,"prediction":"needle"}"#,
        ),
    ] {
        let decided = |body: &str| {
            let head = [
                (":method", method),
                (":path", path),
                (":authority", host),
                ("anthropic-version", "2023-06-01"),
                ("content-type", media),
            ];
            let request = HttpMessage::new(&head, body.as_bytes());
            let seen = exchange(&forbids, &request, &received("200", "{}"));
            let event: Value = serde_json::from_slice(&seen.finished.line).unwrap();
            event["code"].as_str().map(str::to_owned)
        };
        assert_eq!(decided(body).as_deref(), Some("AG3001"), "{path}");
        assert_eq!(decided(&body.replace("needle", "plain")), None, "{path}");
    }
}
