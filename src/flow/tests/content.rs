//! Content in audit events.

use super::*;

/// Returns a policy without rules, with this `audit`.
fn records(audit: &str) -> Rc<Guard> {
    guard(&format!("audit: {{ {audit} }}\n{ALLOW}"))
}

fn content(seen: &SimulatedResult) -> Value {
    record(seen)["content"].clone()
}

/// Returns a streamed response with these deltas.
fn deltas(deltas: &[Value]) -> HttpMessage {
    let chunks: String = deltas
        .iter()
        .map(|delta| {
            let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
                "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
            format!("data: {chunk}\n\n")
        })
        .collect();
    let end = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let headers = [(":status", "200"), ("content-type", "text/event-stream")];
    HttpMessage::new(&headers, format!("{chunks}{end}").as_bytes())
}

fn streams(text: &str, size: usize) -> HttpMessage {
    let pieces: Vec<char> = text.chars().collect();
    let pieces = pieces
        .chunks(size)
        .map(|piece| json!({"content": piece.iter().collect::<String>()}));
    deltas(&pieces.collect::<Vec<_>>())
}

fn asks_to_stream(text: &str) -> HttpMessage {
    let body =
        json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": text}]});
    chat_request(body.to_string().as_bytes())
}

const CARD: &str = "4111 1111 1111 1111";

#[test]
fn nothing_is_recorded_unless_the_policy_requires_it() {
    for policy in [
        ALLOW.to_owned(),
        format!("audit: {{ content: none }}\n{ALLOW}"),
    ] {
        let seen = exchange(&guard(&policy), &chat_request(&says("hello")), hello());
        assert!(record(&seen).get("content").is_none());
    }
}

#[test]
fn messages_calls_and_results_are_recorded_and_findings_are_masked() {
    let request = json!({"model": "gpt-4o", "messages": [
        {"role": "user", "content": "an earlier question"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": "{\"name\":\"Jane\"}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": format!("her card is {CARD}")},
    ]});
    let arguments = json!({"to": "jane@example.com", "amount": 5}).to_string();
    let call = json!({"role": "assistant", "content": "I pay", "tool_calls": [
        {"id": "call_2", "type": "function", "function": {"name": "pay", "arguments": arguments}}]});
    let asks = chat_request(request.to_string().as_bytes());
    let seen = exchange(
        &records("content: redacted"),
        &asks,
        answer(call.clone(), "tool_calls"),
    );
    assert_eq!(
        content(&seen),
        json!({"form": "redacted",
        "request": [
            {"event": "tool_call", "tool": "find", "args": "{\"name\":\"Jane\"}"},
            {"event": "tool_result", "tool": "find", "text": "her card is [CREDIT_CARD]"},
        ],
        "response": [
            {"event": "response", "text": "I pay"},
            {"event": "tool_call", "tool": "pay", "args": "{\"to\":\"[EMAIL]\",\"amount\":5}"},
        ]})
    );
    let seen = exchange(&records("content: full"), &asks, answer(call, "tool_calls"));
    let full = content(&seen);
    assert_eq!(full["form"], "full");
    assert_eq!(full["request"][1]["text"], format!("her card is {CARD}"));
    assert_eq!(full["response"][1]["args"], arguments);
}

#[test]
fn a_streamed_response_is_recorded_like_a_whole_one() {
    let text = format!("the card {CARD} belongs to jane@example.com, and ünïcode");
    let rule = "rules:
  - { id: r, match: { event: response }, when: { text: { contains: ünïcode } }, action: redact, redact: { label: WORD } }
";
    for (rules, word) in [("", "ünïcode"), (rule, "[WORD]")] {
        let guard = guard(&format!("audit: {{ content: redacted }}\n{ALLOW}{rules}"));
        let expected = json!([{"event": "response", "text": format!("the card [CREDIT_CARD] belongs to [EMAIL], and {word}")}]);
        let whole = answer(json!({"role": "assistant", "content": text}), "stop");
        let seen = exchange(&guard, &chat_request(&says("hi")), whole);
        assert_eq!(content(&seen)["response"], expected);
        for size in [1, 7, 1_000] {
            let seen = exchange(&guard, &asks_to_stream("hi"), streams(&text, size));
            assert_eq!(content(&seen)["response"], expected, "{size}");
        }
        assert_eq!(guard.taken_memory(), 0);
    }
}

#[test]
fn a_streamed_call_is_recorded_with_all_of_its_arguments() {
    let answer = deltas(&[
        json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "pay", "arguments": "{\"to\":\"jane@exa"}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "mple.com\"}"}}]}),
    ]);
    for rules in [
        "",
        "rules:\n  - { id: t, match: { tool: pay }, action: tag, tags: [t] }\n",
    ] {
        let guard = guard(&format!("audit: {{ content: redacted }}\n{ALLOW}{rules}"));
        let seen = exchange(&guard, &asks_to_stream("hi"), answer.clone());
        let expected =
            json!([{"event": "tool_call", "tool": "pay", "args": "{\"to\":\"[EMAIL]\"}"}]);
        assert_eq!(content(&seen)["response"], expected);
    }
}

#[test]
fn content_is_cut_at_the_limit_on_a_character() {
    let guard = records("content: redacted, max_content: 64");
    let text = "ä".repeat(100);
    for answer in [
        answer(json!({"role": "assistant", "content": text}), "stop"),
        streams(&text, 9),
    ] {
        let seen = exchange(&guard, &asks_to_stream("hi"), answer);
        let content = content(&seen);
        assert_eq!(content["response"][0]["text"], "ä".repeat(32));
        assert_eq!(content["truncated"], json!(["response"]));
    }
    let many = json!({"model": "gpt-4o", "messages": [
        {"role": "user", "content": "x".repeat(60)}, {"role": "user", "content": "yyyyyyyy"}, {"role": "user", "content": "z"}]});
    let seen = exchange(&guard, &chat_request(many.to_string().as_bytes()), hello());
    let content = content(&seen);
    assert_eq!(
        content["request"],
        json!([
        {"event": "message", "from": "user", "text": "x".repeat(60)},
        {"event": "message", "from": "user", "text": "yyyy"}])
    );
    assert_eq!(content["truncated"], json!(["request"]));
}

#[test]
fn no_part_of_a_secret_at_the_limit_is_recorded() {
    let guard = records("content: redacted, max_content: 64");
    let key = concat!("gh", "p_0Z9yXw8VuT7sRq6PoN5mLk4JiH3gFe2DcB1a");
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
        ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"; 40].join("\n")
    );
    for secret in [key, &pem] {
        for before in (0..70).step_by(3) {
            let text = format!("{} {secret} end", "x".repeat(before));
            for answer in [
                answer(json!({"role": "assistant", "content": text}), "stop"),
                streams(&text, 11),
            ] {
                let seen = exchange(&guard, &asks_to_stream("hi"), answer);
                let shown = content(&seen)["response"][0]["text"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                let rest = shown.trim_start_matches(['x', ' ']);
                assert!(
                    rest.is_empty() || rest.starts_with('['),
                    "{before}: {shown}"
                );
            }
        }
    }
}

#[test]
fn matching_rules_determine_the_content_and_the_smallest_one_wins() {
    let guard = guard(&format!(
        "audit: {{ content: full }}\n{ALLOW}rules:
  - {{ id: a, match: {{ event: message }}, when: {{ text: {{ contains: medical }} }}, action: tag, tags: [m], audit: {{ content: none }} }}
  - {{ id: b, match: {{ event: message }}, when: {{ text: {{ contains: card }} }}, action: tag, tags: [c], audit: {{ content: redacted }} }}
"
    ));
    for (text, form) in [
        ("hello", json!("full")),
        ("a card", json!("redacted")),
        ("a medical matter", Value::Null),
        ("a medical card", Value::Null),
    ] {
        let seen = exchange(&guard, &chat_request(&says(text)), hello());
        assert_eq!(content(&seen)["form"], form, "{text}");
        assert_eq!(guard.taken_memory(), 0);
    }
}

#[test]
fn denied_content_is_recorded_as_it_came() {
    let guard = guard(&format!(
        "{ALLOW}rules:
  - {{ id: a, match: {{ event: response }}, when: {{ text: {{ contains: weapon }} }}, action: deny, audit: {{ content: redacted }} }}
"
    ));
    let text = "mail jane@example.com about the weapon";
    for answer in [
        answer(json!({"role": "assistant", "content": text}), "stop"),
        streams(text, 5),
    ] {
        let seen = exchange(&guard, &asks_to_stream("a question"), answer);
        assert_eq!(record(&seen)["decision"], "deny");
        let content = content(&seen);
        assert_eq!(content["request"][0]["text"], "a question");
        let said = content["response"][0]["text"].as_str().unwrap();
        assert!(said.starts_with("mail [EMAIL] about the weapon"), "{said}");
    }
    let seen = exchange(&guard, &chat_request(&says("hi")), hello());
    assert!(record(&seen).get("content").is_none());
}

#[test]
fn our_own_credentials_are_never_recorded() {
    let key = format!("agk_{}", "k".repeat(43));
    let text = format!(
        "{key} and agat1.{}.{} and {key}",
        "a".repeat(30),
        "b".repeat(30)
    );
    for form in ["full", "redacted"] {
        let seen = exchange(
            &records(&format!("content: {form}")),
            &chat_request(&says(&text)),
            hello(),
        );
        let said = &content(&seen)["request"][0]["text"];
        assert_eq!(
            said, "[AGENT_KEY] and [APPROVAL_TOKEN] and [AGENT_KEY]",
            "{form}"
        );
    }
}

#[test]
fn a_rule_s_redaction_is_masked_in_texts_and_arguments() {
    let guard = guard(&format!(
        "audit: {{ content: redacted }}\n{ALLOW}rules:
  - {{ id: a, match: {{ event: message }}, when: {{ text: {{ contains: Falcon }} }}, action: redact, redact: {{ label: PROJECT }} }}
  - {{ id: b, match: {{ tool: find }}, when: {{ args.about: {{ contains: Falcon }} }}, action: redact, redact: {{ what: args.about, label: PROJECT }} }}
"
    ));
    let arguments = json!({"about": "the Falcon, again", "n": 5}).to_string();
    let call = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "call_2", "type": "function", "function": {"name": "find", "arguments": arguments}}]});
    let seen = exchange(
        &guard,
        &chat_request(&says("about Falcon")),
        answer(call, "tool_calls"),
    );
    let content = content(&seen);
    assert_eq!(content["request"][0]["text"], "about [PROJECT]");
    assert_eq!(
        content["response"][0]["args"],
        r#"{"about":"[PROJECT]","n":5}"#
    );
}

#[test]
fn recording_changes_no_decision() {
    let page = || {
        HttpMessage::new(
            &[(":status", "200"), ("content-type", "text/html")],
            b"<p>hi</p>",
        )
    };
    let broken = || {
        HttpMessage::new(
            &[(":status", "200"), ("content-type", "text/event-stream")],
            b"data: {\n\n",
        )
    };
    for (name, answer) in [("html", page()), ("broken", broken()), ("plain", hello())] {
        let [without, with] = ["none", "redacted"].map(|form| {
            let seen = exchange(
                &records(&format!("content: {form}")),
                &asks_to_stream("hi"),
                answer.clone(),
            );
            let mut record = record(&seen);
            for member in ["content", "chain", "timing", "policy"] {
                record.as_object_mut().unwrap().remove(member);
            }
            (record, seen.client, seen.upstream)
        });
        assert_eq!(without, with, "{name}");
    }
}
