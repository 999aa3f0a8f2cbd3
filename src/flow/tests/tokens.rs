//! Log probabilities of tokens. They repeat a text, and any other content in them is evaluated as a text.

use super::framing::asks;
use super::*;

const POLICY: &str = "defaults: { action: allow }
rules:
  - id: word
    match: { event: response }
    when: { text: { contains: forbidden word } }
    action: deny
  - { id: mail, match: { event: response }, when: { text: { detects: email } }, action: redact }
";

const QUESTION: &str = "hi";

/// Text of a response, and its tokens.
type Said<'a> = (&'a str, &'a [&'a str]);

/// Returns the bytes for the client, whether they are unchanged, and the decision.
fn gets(path: &str, request: &Value, media: &str, body: &str) -> (String, bool, String) {
    let guard = guard(POLICY);
    let run = |size: usize| {
        let mut half = HttpMessage::new(&[(":status", "200"), ("content-type", media)], b"");
        half.chunks = body.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
        let seen = exchange(&guard, &asks(path, request.clone()), half);
        let decision = record(&seen)["decision"].as_str().unwrap().to_owned();
        (seen.client.body(), decision)
    };
    let whole = run(body.len());
    assert_eq!(run(7), whole, "in pieces");
    let is_same = whole.0 == body.as_bytes();
    (String::from_utf8(whole.0).unwrap(), is_same, whole.1)
}

fn chat_tokens(tokens: &[&str]) -> Value {
    let token = |token: &&str| json!({"token": token, "logprob": -0.1, "bytes": token.as_bytes(), "top_logprobs": [{"token": "x", "logprob": -9.0, "bytes": null}]});
    json!({"content": tokens.iter().map(token).collect::<Vec<_>>(), "refusal": null})
}

fn listed_tokens(tokens: &[&str]) -> Value {
    let token = |token: &&str| json!({"token": token, "logprob": -0.1, "bytes": token.as_bytes(), "top_logprobs": []});
    json!(tokens.iter().map(token).collect::<Vec<_>>())
}

fn legacy_tokens(tokens: &[&str]) -> Value {
    json!({"tokens": tokens, "token_logprobs": [-0.1], "top_logprobs": [{"x": -1.0}], "text_offset": [0]})
}

/// An API: its path, its request, its media type, and the function that makes a response or frame.
type Api<'a> = (&'a str, Value, &'a str, &'a dyn Fn(&str, &[&str]) -> Value);

fn each_api(see: &dyn Fn(&Api<'_>)) {
    let json = "application/json";
    let events = "text/event-stream";
    let messages = json!({"model": "m", "messages": [{"role": "user", "content": QUESTION}]});
    see(&(
        "/v1/chat/completions",
        messages.clone(),
        json,
        &|text, tokens| {
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
            "message": {"role": "assistant", "content": text}, "logprobs": chat_tokens(tokens), "finish_reason": "stop"}]})
        },
    ));
    see(&(
        "/v1/chat/completions",
        messages.clone(),
        events,
        &|text, tokens| {
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0,
            "delta": {"content": text}, "logprobs": chat_tokens(tokens), "finish_reason": null}]})
        },
    ));
    let prompt = json!({"model": "m", "prompt": QUESTION});
    for media in [json, events] {
        see(
            &("/v1/completions", prompt.clone(), media, &|text, tokens| {
                json!({"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [
                {"text": text, "index": 0, "logprobs": legacy_tokens(tokens), "finish_reason": null}]})
            }),
        );
    }
    see(&(
        "/v1/responses",
        json!({"model": "m", "input": QUESTION, "store": false}),
        json,
        &|text, tokens| {
            json!({"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": [
            {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [
                {"type": "output_text", "text": text, "annotations": [], "logprobs": listed_tokens(tokens)}]}]})
        },
    ));
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]});
    for (verb, media) in [
        ("generateContent", json),
        ("streamGenerateContent?alt=sse", events),
    ] {
        see(&(
            &format!("/v1beta/models/gemini-x:{verb}"),
            contents.clone(),
            media,
            &|text, tokens| {
                let chosen: Vec<_> = tokens
                    .iter()
                    .map(|token| json!({"token": token, "tokenId": 1, "logProbability": -0.1}))
                    .collect();
                json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]},
                "logprobsResult": {"topCandidates": [{"candidates": [{"token": "x", "tokenId": 2, "logProbability": -3.0}]}], "chosenCandidates": chosen}}]})
            },
        ));
    }
    for media in [json, "application/x-ndjson"] {
        see(&("/api/chat", messages.clone(), media, &|text, tokens| {
            json!({"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": text},
                "done": false, "logprobs": listed_tokens(tokens)})
        }));
    }
}

fn body(media: &str, make: &dyn Fn(&str, &[&str]) -> Value, said: &[Said<'_>]) -> String {
    let frames = said.iter().map(|(text, tokens)| make(text, tokens));
    frames
        .map(|frame| match media {
            "text/event-stream" => format!("data: {frame}\n\n"),
            "application/x-ndjson" => format!("{frame}\n"),
            _ => frame.to_string(),
        })
        .collect()
}

#[test]
fn tokens_hide_nothing_that_a_rule_keeps_from_a_client() {
    each_api(&|(path, request, media, make)| {
        let see = |said: &[Said<'_>]| gets(path, request, media, &body(media, *make, said));
        let what = format!("{path} {media}");
        let (_, is_same, decision) = see(&[("Hello you", &["Hello", " you"])]);
        assert!(is_same && decision == "allow", "{what}");
        // The tokens have additional content, and stay, too.
        let (left, is_same, _) = see(&[("Hello", &["<think>", "Well", "</think>", "Hello"])]);
        assert!(is_same, "{what}: {left}");
        for said in [
            ("a@b.example.com", &["a@b", ".example.com"][..]),
            ("Hello", &["Hello", " a@b", ".example.com"]),
            ("", &["a@b", ".example.com"]),
            ("Hello", &["a@b", ".example.com", "Hello"]),
        ] {
            let (left, is_same, decision) = see(&[said]);
            assert!(
                !is_same && decision == "redact",
                "{what} {said:?}: {left} {decision}"
            );
            assert!(
                !left.contains(".example.com") && !left.contains("a@b"),
                "{what} {said:?}: {left}"
            );
            let begun = ["data: ", "{"].iter().find_map(|begin| left.find(begin));
            assert!(begun.is_some(), "{what}: {left}");
            if *media == "application/json" {
                serde_json::from_str::<Value>(&left).unwrap();
            }
        }
        let (left, _, decision) = see(&[("Hello", &["a forbidden", " word"])]);
        assert!(
            decision == "deny" && !left.contains("forbidden\""),
            "{what}: {left}"
        );
        if *media != "application/json" {
            let (left, _, decision) = see(&[("Hel", &["a@b"]), ("lo", &[".example", ".com"])]);
            assert!(
                decision == "redact" && !left.contains("a@b") && !left.contains(".example"),
                "{what}: {left}"
            );
            let (left, _, decision) = see(&[("", &["a for", "bidden"]), ("Hello", &[" word"])]);
            assert!(
                decision == "deny" && !left.contains("a for"),
                "{what}: {left}"
            );
        }
    });
}

/// The bytes of a token are normally the token itself. Otherwise they are a text, which clients assemble.
#[test]
fn bytes_of_tokens_hide_nothing_either() {
    let token = |token: &str, bytes: &[u8]| json!({"token": token, "logprob": -0.1, "bytes": bytes, "top_logprobs": []});
    let chat = |content: &str, tokens: &[Value], media: &str| {
        let (said, object) = match media {
            "application/json" => ("message", "chat.completion"),
            _ => ("delta", "chat.completion.chunk"),
        };
        json!({"id": "c", "object": object, "created": 1, "model": "m", "choices": [{"index": 0,
            said: {"role": "assistant", "content": content}, "logprobs": {"content": tokens}, "finish_reason": null}]})
    };
    let request = json!({"model": "m", "messages": [{"role": "user", "content": QUESTION}]});
    for media in ["application/json", "text/event-stream"] {
        let see = |frames: &[(&str, Vec<Value>)]| {
            let frames = frames.iter().map(|(content, tokens)| {
                let frame = chat(content, tokens, media);
                match media {
                    "application/json" => frame.to_string(),
                    _ => format!("data: {frame}\n\n"),
                }
            });
            gets(
                "/v1/chat/completions",
                &request,
                media,
                &frames.collect::<String>(),
            )
        };
        // A character in two tokens, whose names are no text.
        let (_, is_same, _) = see(&[(
            "Hé",
            vec![token("H\\xc3", b"H\xc3"), token("\\xa9", b"\xa9")],
        )]);
        assert!(is_same, "{media}");
        let hidden = vec![token("Hel", b"a@b"), token("lo", b".example.com")];
        let (left, _, decision) = see(&[("Hello", hidden)]);
        assert_eq!(decision, "redact", "{media}: {left}");
        assert!(!left.contains("46,101,120"), "{media}: {left}");
        let hidden = vec![token("Hel", b"a forbidden"), token("lo", b" word")];
        assert_eq!(see(&[("Hello", hidden)]).2, "deny", "{media}");
        if media != "application/json" {
            let halves = [
                ("Hel", vec![token("Hel", b"a forbid")]),
                ("lo", vec![token("lo", b"den word")]),
            ];
            assert_eq!(see(&halves).2, "deny");
        }
    }
}

/// Alternatives that a server did not choose, and the tokens of a prompt, are not in the generated text.
#[test]
fn content_beside_a_generated_text_is_evaluated() {
    let ask = json!({"inputs": QUESTION, "parameters": {"best_of": 2, "details": true}});
    let says = |details: Value| {
        let body = json!({"generated_text": "Hello you", "details": details}).to_string();
        gets("/generate", &ask, "application/json", &body)
    };
    let tokens = |texts: &[&str]| -> Value {
        texts
            .iter()
            .map(|text| json!({"id": 1, "text": text, "logprob": -0.1}))
            .collect()
    };
    let (_, is_same, _) =
        says(json!({"finish_reason": "length", "tokens": tokens(&["Hello", " you"])}));
    assert!(is_same);
    for details in [
        json!({"best_of_sequences": [{"generated_text": "a forbidden word", "finish_reason": "length"}]}),
        json!({"best_of_sequences": [{"generated_text": "x", "tokens": tokens(&["a for", "bidden word"])}]}),
        json!({"prefill": tokens(&["a forbidden", " word"])}),
        json!({"tokens": tokens(&["a forbidden", " word"])}),
        json!({"top_tokens": [tokens(&["a forbidden word and more"])]}),
    ] {
        let (left, _, decision) = says(details);
        assert!(decision == "deny" && !left.contains("forbidden"), "{left}");
    }
}
