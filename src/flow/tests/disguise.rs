//! Bodies whose headers misstate their content. A policy that allows uninspectable content must only forward bodies
//! that really can't be read.

use super::*;
use crate::flow::Body;
use crate::wire::frame::{Framing, compose};
use std::cell::Cell;

const LENIENT: &str = "defaults: { action: allow, uninspectable: allow }
rules:
  - { id: words, match: { event: message }, when: { text: { contains: forbidden } }, action: deny }
  - { id: answers, match: { event: response }, when: { text: { contains: forbidden } }, action: deny }
  - { id: cards, match: { event: [message, response] }, when: { text: { detects: credit_card } }, action: redact }
";

/// Returns a chat request at this path, with these headers in addition to the usual ones.
fn sent(path: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpMessage {
    let mut all = vec![
        (":method", "POST"),
        (":path", path),
        (":authority", "api.openai.com"),
        ("x-request-id", "r-1"),
    ];
    all.extend(headers);
    HttpMessage::new(&all, body)
}

const CHAT: &str = "/v1/chat/completions";
const JSON: (&str, &str) = ("content-type", "application/json");

/// Returns headers that claim that a body can't be read.
fn disguises() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let mut all: Vec<(&str, Vec<(&str, &str)>)> = [
        "image/png",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/event-stream",
        "application/x-ndjson",
        "text/javascript",
        "application/vnd.amazon.eventstream",
        "nonsense",
        "application/json, image/png",
    ]
    .into_iter()
    .map(|media| (CHAT, vec![("content-type", media)]))
    .collect();
    all.push((CHAT, vec![JSON, ("content-type", "image/png")]));
    all.push((CHAT, vec![JSON, ("content-encoding", "gzip")]));
    all.push((CHAT, vec![JSON, ("x-http-method-override", "PUT")]));
    for path in [
        "/v1/chat/completions%20",
        "/v1/chat/completions%00",
        "/v1/chat/completions%3Fa=b",
        "/v1/chat/completions.",
        "/v1/chat//./completions/;x",
        "/V1/Chat/Completions%23x",
        "/v1/%63hat/completions%09",
    ] {
        all.push((path, vec![JSON]));
        all.push((path, vec![]));
    }
    all
}

#[test]
fn a_json_body_is_read_whatever_its_headers_and_its_path() {
    in_both_modes(LENIENT, |guard, _| {
        for (path, headers) in disguises() {
            let seen = exchange(
                guard,
                &sent(path, &headers, &says("a FORBIDDEN word")),
                hello(),
            );
            assert!(!seen.upstream_complete, "{path} {headers:?}");
            assert_eq!(record(&seen)["code"], "AG3001", "{path} {headers:?}");
            let card = says("my card is 4111 1111 1111 1111");
            let seen = exchange(guard, &sent(path, &headers, &card), hello());
            let upstream = String::from_utf8(seen.upstream.unwrap().body()).unwrap();
            assert!(upstream.contains("[CREDIT_CARD]"), "{path} {headers:?}");
            // The body may be cut anywhere.
            let mut request = sent(path, &headers, b"");
            request.chunks = says("forbidden").chunks(1).map(<[u8]>::to_vec).collect();
            let seen = exchange(guard, &request, hello());
            assert_eq!(record(&seen)["code"], "AG3001", "{path} {headers:?}");
        }
    });
}

#[test]
fn unreadable_json_is_not_allowed_because_of_its_headers() {
    in_both_modes(LENIENT, |guard, _| {
        for body in [
            r#"{"model":"gpt-4o","model":"x","messages":[]}"#,
            r#"{"model":"gpt-4o","messages":[{"role":"user","content":"forbidden"}],}"#,
            "  \n{\"model\":",
        ] {
            let seen = exchange(
                guard,
                &sent(CHAT, &[("content-type", "image/png")], body.as_bytes()),
                hello(),
            );
            assert!(!seen.upstream_complete, "{body}");
        }
    });
}

#[test]
fn a_body_that_is_not_json_passes_if_the_policy_allows_it() {
    in_both_modes(LENIENT, |guard, _| {
        let picture = b"\x89PNG\r\n\x1a\n forbidden".as_slice();
        let packed = b"\x1f\x8b\x08\0forbidden".as_slice();
        for (headers, body) in [
            (vec![("content-type", "image/png")], picture),
            (vec![JSON, ("content-encoding", "gzip")], packed),
        ] {
            for size in [1, 5, 100] {
                let mut request = sent(CHAT, &headers, b"");
                request.chunks = body.chunks(size).map(<[u8]>::to_vec).collect();
                let seen = exchange(guard, &request, hello());
                assert_eq!(seen.upstream.unwrap().body(), body, "{headers:?}");
                assert!(seen.upstream_complete);
            }
        }
    });
}

/// Held body that counts the bytes that are copied from it.
struct CountedBody<'b>(&'b [u8], &'b Cell<usize>);

impl Body for CountedBody<'_> {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn begin(&mut self, max: usize) -> Vec<u8> {
        let bytes = self.0.get(..max).unwrap_or(self.0);
        self.1.set(self.1.get() + bytes.len());
        bytes.to_vec()
    }
}

#[test]
fn a_held_body_is_not_copied_with_each_arrival() {
    let guard = guard(LENIENT);
    for begin in ["{", " "] {
        let request = sent(CHAT, &[JSON, ("content-encoding", "gzip")], b"");
        let mut flow = Flow::new(Rc::clone(&guard));
        let _ = sends_head(&mut flow, &request);
        let whole = begin.repeat(1 << 20);
        let copied = Cell::new(0);
        for size in (1..whole.len()).step_by(1 << 10) {
            let mut body = CountedBody(&whole.as_bytes()[..size], &copied);
            let step = flow.request_body(&mut body, false, NOW);
            assert!(matches!(step.action, Action::Hold));
        }
        assert!(copied.get() <= whole.len(), "{}", copied.get());
    }
}

#[test]
fn a_policy_that_allows_nothing_unread_denies_at_the_headers() {
    let policy = LENIENT.replace(", uninspectable: allow", "");
    let guard = guard(&policy);
    let request = sent(CHAT, &[("content-type", "image/png")], &says("hi"));
    let mut flow = Flow::new(Rc::clone(&guard));
    let step = sends_head(&mut flow, &request);
    assert!(matches!(step.action, Action::Reply(_)));
}

#[test]
fn observed_bodies_are_read_likewise() {
    let guard = guard(&format!(
        "mode: observe\n{}",
        LENIENT.replace(", uninspectable: allow", "")
    ));
    let request = sent(CHAT, &[("content-type", "image/png")], &says("forbidden"));
    let seen = exchange(&guard, &request, hello());
    assert!(seen.upstream_complete);
    let line = record(&seen);
    assert_eq!(
        (&line["decision"], &line["would"]),
        (&json!("allow"), &json!("deny"))
    );
    assert_eq!(line["rules"][0]["id"], "words");
    assert_eq!(line["coverage"]["reasons"], json!(["request:AG2006"]));
}

#[test]
fn a_response_that_is_json_or_a_stream_is_read_whatever_its_headers() {
    let frame = |text: &str| {
        format!(
            "data: {}\n\n",
            json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
        )
    };
    let stream = format!("{}{}data: [DONE]\n\n", frame("a forbid"), frame("den word"));
    let whole = answer(
        json!({"role": "assistant", "content": "a forbidden word"}),
        "stop",
    )
    .body();
    in_both_modes(LENIENT, |guard, _| {
        for headers in [
            [("content-type", "image/png"), ("x", "y")],
            [("content-type", "application/octet-stream"), ("x", "y")],
            [
                ("content-type", "application/json; charset=utf-16"),
                ("x", "y"),
            ],
            [
                ("content-type", "text/javascript"),
                ("content-encoding", "gzip"),
            ],
        ] {
            for (body, asks) in [(whole.as_slice(), false), (stream.as_bytes(), true)] {
                for size in [1, 7, 10_000] {
                    let mut question = says("hi");
                    if asks {
                        question = String::from_utf8(question)
                            .unwrap()
                            .replacen('{', "{\"stream\":true,", 1)
                            .into_bytes();
                    }
                    let mut all = vec![(":status", "200")];
                    all.extend(headers);
                    let mut half = HttpMessage::new(&all, b"");
                    half.chunks = body.chunks(size).map(<[u8]>::to_vec).collect();
                    let seen = exchange(guard, &sent(CHAT, &[JSON], &question), half);
                    let told = String::from_utf8_lossy(&seen.client.body()).into_owned();
                    if headers[0].1.contains("utf-16") {
                        // No default allows another charset.
                        assert_eq!(record(&seen)["decision"], "deny");
                        continue;
                    }
                    assert!(
                        !told.contains("den word") && !told.contains("forbidden"),
                        "{headers:?} {asks} {size}: {told}"
                    );
                    assert_eq!(
                        record(&seen)["decision"],
                        "deny",
                        "{headers:?} {asks} {size}"
                    );
                }
            }
            // A body that is neither JSON nor a stream passes.
            let bytes = b"\x89PNG forbidden";
            let half =
                HttpMessage::new(&[(":status", "200"), ("content-type", "image/png")], bytes);
            let seen = exchange(guard, &sent(CHAT, &[JSON], &says("hi")), half);
            assert_eq!(seen.client.body(), bytes);
        }
    });
}

#[test]
fn an_odd_path_makes_no_body_harmless() {
    let guard = guard(ALLOW);
    for path in [
        "/v1/models%00/../files/f/content",
        "/v1/models%3F/../x",
        "/health%20",
    ] {
        let request = HttpMessage::new(
            &[
                (":method", "GET"),
                (":path", path),
                (":authority", "api.openai.com"),
            ],
            b"",
        );
        assert_ne!(
            record(&exchange(&guard, &request, hello()))["decision"],
            "allow",
            "{path}"
        );
    }
}

#[test]
fn an_amazon_event_stream_is_read_whatever_its_type() {
    let policy = "defaults: { action: allow, uninspectable: allow }
rules:
  - { id: no-deleting, match: { tool: delete_customer }, action: deny }
";
    let tool = |name: &str| {
        let start =
            json!({"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": name}}});
        let input = json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}});
        let events = [
            ("messageStart", json!({"role": "assistant"})),
            ("contentBlockStart", start),
            ("contentBlockDelta", input),
            ("contentBlockStop", json!({"contentBlockIndex": 0})),
            ("messageStop", json!({"stopReason": "tool_use"})),
        ];
        let frames = events.map(|(event, payload)| {
            compose(Framing::Amazon, Some(event), payload.to_string().as_bytes())
        });
        frames.concat()
    };
    let question = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    let mut request = super::framing::asks("/model/amazon.nova/converse-stream", question);
    request.headers[2].1 = b"bedrock-runtime.us-east-1.amazonaws.com".to_vec();
    in_both_modes(policy, |guard, _| {
        for media in [
            "application/octet-stream",
            "binary/octet-stream",
            "image/png",
            "application/x-amz-json-1.1",
        ] {
            for (name, decision) in [("delete_customer", "deny"), ("find", "allow")] {
                let body = tool(name);
                for size in [1, 7, 10_000] {
                    let headers = [(":status", "200"), ("content-type", media)];
                    let mut half = HttpMessage::new(&headers, b"");
                    half.chunks = body.chunks(size).map(<[u8]>::to_vec).collect();
                    let seen = exchange(guard, &request, half);
                    assert_eq!(record(&seen)["decision"], decision, "{media} {size}");
                    let left = seen.client.body();
                    assert_eq!(left == body, name == "find", "{media} {size}");
                }
            }
        }
    });
}

#[test]
fn an_unreadable_part_of_a_stream_passes_unchanged() {
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": null}]});
    let line =
        json!({"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": false});
    let message = compose(
        Framing::Amazon,
        Some("messageStart"),
        b"{\"role\":\"assistant\"}",
    );
    let mut torn = message.clone();
    torn[20] ^= 1;
    let ollama = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let bedrock = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    let mut converse = super::framing::asks("/model/amazon.nova/converse-stream", bedrock);
    converse.headers[2].1 = b"bedrock-runtime.us-east-1.amazonaws.com".to_vec();
    let chat = chat_request(&says("hi"));
    let lines = super::framing::asks("/api/chat", ollama);
    let named = "rules:
  - { id: broken, match: { event: uninspectable, code: AG2014 }, action: allow }
";
    in_both_modes(&LENIENT.replace("rules:\n", named), |guard, _| {
        for (request, media, body) in [
            (
                &chat,
                "text/event-stream",
                format!("data: {chunk}\n\ndata: x\n{{\"a\":1}}\n\ndata: [DONE]\n\n").into_bytes(),
            ),
            (
                &chat,
                "text/event-stream",
                format!("data: {chunk}\n\nevent: a\nevent: b\n\ndata: {chunk}\n\n").into_bytes(),
            ),
            (
                &chat,
                "text/event-stream",
                format!("data: {chunk}\n\n{{\"a\":1}}").into_bytes(),
            ),
            (
                &lines,
                "application/x-ndjson",
                format!("{line}\n{{\"a\":\r1}}\n{line}\n").into_bytes(),
            ),
            (
                &converse,
                "application/vnd.amazon.eventstream",
                [message.clone(), torn.clone(), message.clone()].concat(),
            ),
        ] {
            for size in [1, 7, 10_000] {
                let mut half =
                    HttpMessage::new(&[(":status", "200"), ("content-type", media)], b"");
                half.chunks = body.chunks(size).map(<[u8]>::to_vec).collect();
                let seen = exchange(guard, request, half);
                let left = seen.client.body();
                assert_eq!(
                    String::from_utf8_lossy(&left),
                    String::from_utf8_lossy(&body),
                    "{size}"
                );
                assert_eq!(
                    record(&seen)["coverage"]["reasons"],
                    json!(["response:AG2014"])
                );
            }
        }
    });
}
