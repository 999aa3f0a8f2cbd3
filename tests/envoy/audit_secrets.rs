//! Secrets in every position of requests and responses: none is in an audit event, the filter's log, a metric or a denial.

use crate::scene::{Mode, case, in_mode, policy, with};
use harness::{Answer, Http, Request, Setup, Site, Version};
use serde_json::{Value, json};

in_both_envoys![no_secret_is_in_any_output];

/// Returns a secret of one kind, different for each number: the text that is sent, and the part that must not be visible.
fn secret(kind: usize, number: usize) -> (String, String) {
    let mut state = (number * 8 + kind + 1) as u64;
    let mut random = |alphabet: &[u8], length: usize| -> String {
        (0..length)
            .map(|_| {
                // SplitMix64
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                let at = (mixed ^ (mixed >> 31)) % alphabet.len() as u64;
                char::from(alphabet[usize::try_from(at).unwrap_or(0)])
            })
            .collect()
    };
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let capitals = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let same = |text: String| (text.clone(), text);
    match kind {
        0 => {
            let (first, second) = (random(letters, 20), random(letters, 20));
            (format!("sk-{first}T3BlbkFJ{second}"), second)
        }
        1 => same(format!("AKIA{}", random(capitals, 16))),
        2 => same(format!("ghp_{}", random(letters, 36))),
        3 => same(format!("agk_{}", random(letters, 43))),
        4 => {
            let last = random(letters, 60);
            (format!("agat1.{}.{last}", random(letters, 80)), last)
        }
        5 => {
            let last = random(letters, 43);
            let payload = random(letters, 40);
            (format!("eyJhbGciOiJIUzI1NiJ9.eyJ{payload}.{last}"), last)
        }
        _ => {
            let digits = format!("411111{}", random(b"0123456789", 9));
            let sum: u32 = digits
                .bytes()
                .rev()
                .enumerate()
                .map(|(at, digit)| {
                    let digit = u32::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 };
                    digit / 10 + digit % 10
                })
                .sum();
            same(format!("{digits}{}", (10 - sum % 10) % 10))
        }
    }
}

const KINDS: usize = 7;

fn chat(body: Value) -> Request {
    Request::chat(body.to_string())
}

fn message(secret: &str, message: Value) -> Value {
    json!({"model": "gpt-4o", "messages": [message], "user": if secret.is_empty() { "" } else { "u" }})
}

/// Returns requests with a secret, each in another position.
fn requests(s: &str) -> Vec<(&'static str, Request)> {
    let plain = || message(s, json!({"role": "user", "content": "hello"}));
    let set = |at: &str, key: &str, value: Value| {
        let mut body = plain();
        body.pointer_mut(at).expect("a place")[key] = value;
        chat(body)
    };
    let call = |id: &str, name: &str, arguments: String| {
        json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}},
        ]})
    };
    let header = |name: &str, value: String| chat(plain()).header(name, value);
    let form = |body: String| {
        Request::new("POST", "/v1/audio/transcriptions")
            .header("content-type", "multipart/form-data; boundary=x")
            .header("content-length", body.len().to_string())
            .body(body)
    };
    vec![
        ("path", chat(plain()).path(&format!("/v1/{s}/chat"))),
        (
            "a model in the path",
            chat(plain()).path(&format!("/v1beta/models/{s}:generateContent")),
        ),
        (
            "an id in the path",
            Request::new("GET", &format!("/v1/responses/{s}")),
        ),
        (
            "an encoded path",
            Request::new(
                "GET",
                &format!("/v1/files/{}", s.replace('s', "%73").replace('1', "%31")),
            ),
        ),
        (
            "a query",
            chat(plain()).path(&format!("/v1/chat/completions?key={s}")),
        ),
        (
            "a query's name",
            chat(plain()).path(&format!("/v1/chat/completions?{s}=1")),
        ),
        (
            "the host",
            chat(plain()).authority(&format!("{s}.example.com")),
        ),
        ("a header", header("x-custom", s.to_owned())),
        (
            "a header's name",
            header(
                &format!("x-{}", s.to_lowercase().replace('.', "-")),
                "1".to_owned(),
            ),
        ),
        (
            "authorization",
            header("authorization", format!("Bearer {s}")),
        ),
        ("an api key", header("x-api-key", s.to_owned())),
        ("a cookie", header("cookie", format!("session={s}"))),
        ("the user agent", header("user-agent", s.to_owned())),
        (
            "the referer",
            header("referer", format!("https://example.com/{s}")),
        ),
        ("the request id", header("x-request-id", s.to_owned())),
        (
            "traceparent",
            header("traceparent", format!("00-{s}-00f067aa0ba902b7-01")),
        ),
        ("tracestate", header("tracestate", format!("a={s}"))),
        ("forwarded for", header("x-forwarded-for", s.to_owned())),
        ("an approval", header("x-agentguard-approval", s.to_owned())),
        (
            "our own prefix",
            header("x-agentguard-principal", s.to_owned()),
        ),
        ("the encoding", header("content-encoding", s.to_owned())),
        (
            "the content type",
            chat(plain())
                .without("content-type")
                .header("content-type", format!("application/{s}")),
        ),
        (
            "the charset",
            chat(plain())
                .without("content-type")
                .header("content-type", format!("application/json; charset={s}")),
        ),
        ("the session", header("mcp-session-id", s.to_owned())),
        ("the model", set("", "model", json!(s))),
        ("the user", set("", "user", json!(s))),
        ("metadata", set("", "metadata", json!({"a": s}))),
        ("a key of metadata", set("", "metadata", json!({s: "a"}))),
        ("an unknown member", set("", "unheard_of", json!(s))),
        ("an unknown key", set("", s, json!(1))),
        (
            "a message",
            chat(message(
                s,
                json!({"role": "user", "content": format!("my key is {s} ok")}),
            )),
        ),
        (
            "a name",
            chat(message(
                s,
                json!({"role": "user", "name": s, "content": "hi"}),
            )),
        ),
        (
            "a role",
            chat(message(s, json!({"role": s, "content": "hi"}))),
        ),
        (
            "a part's type",
            chat(message(
                s,
                json!({"role": "user", "content": [{"type": s, "text": "hi"}]}),
            )),
        ),
        (
            "a call's id",
            chat(message(s, call(s, "find", "{}".to_owned()))),
        ),
        (
            "a call's name",
            chat(message(s, call("call_1", s, "{}".to_owned()))),
        ),
        (
            "an argument",
            chat(message(
                s,
                call("call_1", "find", json!({"a": s}).to_string()),
            )),
        ),
        (
            "an argument's name",
            chat(message(
                s,
                call(
                    "call_1",
                    "find",
                    json!({s: {"b": "denied-word"}}).to_string(),
                ),
            )),
        ),
        (
            "malformed arguments",
            chat(message(s, call("call_1", "find", format!("{{{s}")))),
        ),
        (
            "a result",
            chat(message(
                s,
                json!({"role": "tool", "tool_call_id": "a", "content": s}),
            )),
        ),
        (
            "a result's call",
            chat(message(
                s,
                json!({"role": "tool", "tool_call_id": s, "content": "a"}),
            )),
        ),
        (
            "a tool's name",
            set(
                "",
                "tools",
                json!([{"type": "function", "function": {"name": s, "parameters": {}}}]),
            ),
        ),
        (
            "a tool's description",
            set(
                "",
                "tools",
                json!([{"type": "function", "function": {"name": "a", "description": s}}]),
            ),
        ),
        ("a tool's type", set("", "tools", json!([{"type": s}]))),
        (
            "a parameter's name",
            set(
                "",
                "tools",
                json!([{"type": "function", "function": {
            "name": "a", "parameters": {"properties": {s: {"type": "string", "description": "denied-word"}}}}}]),
            ),
        ),
        (
            "a schema's name",
            set(
                "",
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": s}}),
            ),
        ),
        ("malformed", Request::chat(format!("{{\"model\": {s}"))),
        (
            "a duplicate key",
            Request::chat(format!(
                "{{\"model\":\"gpt-4o\",\"{s}\":1,\"{s}\":2,\"messages\":[]}}"
            )),
        ),
        (
            "a multipart name",
            form(format!(
                "--x\r\ncontent-disposition: form-data; name=\"{s}\"\r\n\r\nhi\r\n--x--\r\n"
            )),
        ),
        (
            "a file name",
            form(format!(
                "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{s}\"\r\ncontent-type: audio/wav\r\n\r\nhi\r\n--x--\r\n"
            )),
        ),
        (
            "a part's content type",
            form(format!(
                "--x\r\ncontent-disposition: form-data; name=\"model\"\r\ncontent-type: {s}\r\n\r\nwhisper-1\r\n--x--\r\n"
            )),
        ),
    ]
}

/// Returns responses with a secret, each in another position.
fn responses(s: &str) -> Vec<(&'static str, Answer)> {
    let json = |body: Value| Answer::json(200, body.to_string().as_bytes());
    let choice = |message: Value, finish: &str| {
        json!({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [
            {"index": 0, "message": message, "finish_reason": finish}]})
    };
    let text = |text: &str| choice(json!({"role": "assistant", "content": text}), "stop");
    let call = |id: &str, name: &str, arguments: String| {
        json(choice(
            json!({"role": "assistant", "content": null, "tool_calls": [
                {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]}),
            "tool_calls",
        ))
    };
    let set = |key: &str, value: Value| {
        let mut body = text("hello");
        body[key] = value;
        json(body)
    };
    let error = |error: Value| Answer::json(400, json!({"error": error}).to_string().as_bytes());
    let sse = |bytes: String| {
        Answer::chunked(200, &[("content-type", "text/event-stream")])
            .chunk(bytes.as_bytes())
            .end()
    };
    let body = text("hello").to_string();
    vec![
        ("a text", json(text(&format!("the key is {s} ok")))),
        ("the id", set("id", json!(s))),
        ("the model", set("model", json!(s))),
        ("the kind", set("object", json!(s))),
        ("an unknown member", set("unheard_of", json!(s))),
        ("an unknown key", set(s, json!(1))),
        ("usage", set("usage", json!({s: 1, "prompt_tokens": s}))),
        (
            "the reason of the end",
            json(choice(json!({"role": "assistant", "content": "a"}), s)),
        ),
        ("a call's id", call(s, "find", "{}".to_owned())),
        ("a call's name", call("call_1", s, "{}".to_owned())),
        (
            "a denied call's name",
            call("call_1", &format!("denied_{s}"), "{}".to_owned()),
        ),
        (
            "an argument",
            call("call_1", "find", json!({"a": s}).to_string()),
        ),
        (
            "an argument's name",
            call(
                "call_1",
                "find",
                json!({s: {"b": "denied-word"}}).to_string(),
            ),
        ),
        (
            "malformed arguments",
            call("call_1", "find", format!("{{{s}")),
        ),
        (
            "an error's type",
            error(json!({"type": s, "message": "no"})),
        ),
        (
            "an error's code",
            error(json!({"code": s, "message": "no"})),
        ),
        (
            "an error's message",
            error(json!({"type": "a", "message": s})),
        ),
        ("malformed", Answer::json(200, format!("{{{s}").as_bytes())),
        (
            "a header",
            Answer::new(
                200,
                &[("content-type", "application/json"), ("x-custom", s)],
                body.as_bytes(),
            ),
        ),
        (
            "a header's name",
            Answer::new(
                200,
                &[
                    ("content-type", "application/json"),
                    (&format!("x-{}", s.replace('.', "-")), "1"),
                ],
                body.as_bytes(),
            ),
        ),
        (
            "the content type",
            Answer::new(
                200,
                &[("content-type", &format!("application/{s}"))],
                body.as_bytes(),
            ),
        ),
        (
            "the encoding",
            Answer::new(
                200,
                &[
                    ("content-type", "application/json"),
                    ("content-encoding", s),
                ],
                body.as_bytes(),
            ),
        ),
        (
            "the request id",
            Answer::new(
                200,
                &[("content-type", "application/json"), ("x-request-id", s)],
                body.as_bytes(),
            ),
        ),
        (
            "an event's name",
            sse(format!("event: {s}\ndata: {{}}\n\n")),
        ),
        ("an event's id", sse(format!("id: {s}\ndata: [DONE]\n\n"))),
        ("a comment", sse(format!(": {s}\n\ndata: [DONE]\n\n"))),
        ("a malformed event", sse(format!("data: {{{s}\n\n"))),
        (
            "a streamed call's name",
            sse(format!(
                "data: {}\n\ndata: [DONE]\n\n",
                json!({
            "id": "c", "object": "chat.completion.chunk", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"tool_calls": [
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": s, "arguments": "{}"}}]}}]})
            )),
        ),
    ]
}

/// Returns a policy that inspects everything, and allows or denies it.
fn reads_everything(action: &str, mode: Mode) -> Value {
    let rules = json!([
        {"id": "seen", "match": {"event": ["message", "tool_result"], "turn": ["latest", "earlier"]},
         "when": {"text": {"length_at_least": 1}}, "action": "tag", "tags": ["seen"]},
        {"id": "said", "match": {"event": ["tool_offer", "response"]}, "when": {"text": {"length_at_least": 1}},
         "action": "tag", "tags": ["said"]},
        {"id": "arguments", "match": {"event": "tool_call", "turn": ["latest", "earlier"]}, "when": {"args": {"exists": true}},
         "action": "tag", "tags": ["arguments"]},
        {"id": "keys", "match": {"event": ["message", "response"]}, "when": {"text": {"detects": ["secrets", "credit_card"]}},
         "action": "redact"},
        {"id": "word", "match": {"event": "tool_offer"},
         "when": {"text": {"contains": "denied-word"}}, "action": "deny"},
        {"id": "named", "match": {"event": "tool_call", "turn": ["latest", "earlier"]},
         "when": {"args": {"any_contains": "denied-word"}}, "action": "deny"},
        {"id": "calls", "match": {"tool": "denied_*"}, "action": "deny"},
        {"id": "models", "match": {"model": "*"}, "action": action, "tags": ["models"]},
        {"id": "doubtful", "match": {"event": "uninspectable"}, "action": action, "tags": ["doubtful"]},
    ]);
    in_mode(
        &with(policy(rules), json!({"metadata": {"name": action}})),
        mode,
    )
}

fn no_secret_is_in_any_output(version: Version) {
    let sites = vec![
        Site::new("tag", &reads_everything("tag", Mode::Portable)),
        Site::new("deny", &reads_everything("deny", Mode::Hold)),
        Site::new(
            "recorded",
            &with(
                reads_everything("tag", Mode::Portable),
                json!({"metadata": {"name": "recorded"}, "audit": {"content": "redacted", "max_content": "64KiB"}}),
            ),
        ),
    ];
    let envoy = Setup::new(version, sites).lease();
    let mut planted: Vec<(String, String)> = Vec::new();
    let mut shown: Vec<String> = Vec::new();
    let mut denials = 0;
    let (asked, answered) = (requests("").len(), responses("").len());
    for at in 0..asked + answered {
        for number in 0..KINDS {
            let (sent, needle) = secret(number, at);
            let other = if (at + number) % 3 == 0 {
                "deny"
            } else {
                "tag"
            };
            for site in [other, "recorded"].map(|name| envoy.site(name)) {
                let (name, request) = match requests(&sent).into_iter().nth(at) {
                    Some((name, request)) => (format!("request: {name}"), request),
                    None => {
                        let (name, answer) = responses(&sent).swap_remove(at - asked);
                        envoy.provider.answer_next(answer);
                        let plain = json!({"messages": [{"role": "user", "content": "hello"}], "model": "gpt-4o"});
                        (format!("response: {name}"), chat(plain))
                    }
                };
                planted.push((
                    format!("{name}, kind {number}, {}", site.name()),
                    needle.clone(),
                ));
                let http = Http::BOTH[number % 2];
                let Ok(response) = case(&name, || site.try_send(http, &request)) else {
                    continue;
                };
                // Only text that the filter itself writes: an upstream's response belongs to the client.
                if response.header("x-agentguard-code").is_some() && response.status >= 400 {
                    denials += 1;
                    let headers = response.headers.iter();
                    shown.extend(
                        headers.map(|(_, value)| String::from_utf8_lossy(value).into_owned()),
                    );
                    shown.push(String::from_utf8_lossy(&response.body).into_owned());
                }
            }
        }
        // A response queued for a denied request must not go to the next one.
        envoy.provider.drop_queued();
    }
    assert!(
        planted.len() > 1_000 && denials > 100,
        "{} {denials}",
        planted.len()
    );
    for site in ["tag", "deny", "recorded"] {
        let records = &envoy.site(site).records;
        harness::wait_for("the audit events", || {
            (records.lines().len() > 150).then_some(())
        });
        shown.extend(records.lines());
    }
    let recorded = envoy.site("recorded").records.lines();
    let masked = |label: &str| recorded.iter().filter(|line| line.contains(label)).count();
    let counts = [
        "\"content\":{\"form\":\"redacted\"",
        "[CREDIT_CARD]",
        "[AGENT_KEY]",
    ]
    .map(masked);
    assert!(
        counts[0] > 200 && counts[1] >= 5 && counts[2] >= 5,
        "{counts:?}"
    );
    let printed = envoy.printed();
    shown.extend(
        printed
            .lines()
            .filter(|line| line.contains("agentguard"))
            .map(str::to_owned),
    );
    let stats = envoy.get("/stats?format=text") + &envoy.get("/stats/prometheus");
    shown.extend(
        stats
            .lines()
            .filter(|line| line.contains("agentguard"))
            .map(str::to_owned),
    );
    let all = shown.join("\n").to_lowercase();
    let seen: Vec<&String> = planted
        .iter()
        .filter(|(_, needle)| all.contains(&needle.to_lowercase()))
        .map(|(name, _)| name)
        .collect();
    assert!(
        seen.is_empty(),
        "{} of {}: {seen:#?}",
        seen.len(),
        planted.len()
    );
}
