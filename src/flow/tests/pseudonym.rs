//! Pseudonyms: the model receives pseudonyms, and the client and the rules receive the original values.

use super::*;
use std::cell::RefCell;

const POLICY: &str = "defaults: { action: allow }
rules:
  - id: hide
    match: { event: message }
    when: { text: { detects: [email, phone, credit_card, us_dea] } }
    action: redact
    redact: { with: pseudonym, restore: [send_email] }
";

const MAIL: &str = "ann.lee@contoso.com";

/// Returns the text for the model and the result for the client. The response is made by `say` from the text for the
/// model.
fn told(policy: &str, text: &str, say: impl Fn(&str) -> HttpMessage) -> (String, SimulatedResult) {
    told_by(policy, &chat_request(&says(text)), say)
}

fn told_by(
    policy: &str,
    request: &HttpMessage,
    say: impl Fn(&str) -> HttpMessage,
) -> (String, SimulatedResult) {
    let heard = RefCell::new(String::new());
    let seen = run(
        &guard(policy),
        request,
        |upstream| {
            let body: Value = serde_json::from_slice(&upstream.body()).unwrap();
            let last = body["messages"].as_array().and_then(|list| list.last());
            let text = last.map_or(&body["input"], |message| &message["content"]);
            *heard.borrow_mut() = text.as_str().unwrap().to_owned();
            say(&heard.borrow())
        },
        NOW,
    );
    (heard.into_inner(), seen)
}

fn said(text: &str) -> HttpMessage {
    answer(json!({"role": "assistant", "content": text}), "stop")
}

fn calls(tool: &str, arguments: &Value) -> HttpMessage {
    let call = json!({"id": "call_1", "type": "function",
                      "function": {"name": tool, "arguments": arguments.to_string()}});
    answer(
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        "tool_calls",
    )
}

/// Returns a text streamed in pieces of `size` characters.
fn streamed(text: &str, size: usize) -> HttpMessage {
    let letters: Vec<char> = text.chars().collect();
    let mut body = String::new();
    for part in letters.chunks(size) {
        let delta = json!({"content": part.iter().collect::<String>()});
        let frame = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                           "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
        body.push_str(&format!("data: {frame}\n\n"));
    }
    let end = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                     "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    body.push_str(&format!("data: {end}\n\ndata: [DONE]\n\n"));
    HttpMessage::new(
        &[(":status", "200"), ("content-type", "text/event-stream")],
        body.as_bytes(),
    )
}

fn joined(seen: &SimulatedResult) -> String {
    String::from_utf8(seen.client.body())
        .unwrap()
        .split("\n\n")
        .filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok())
        .filter_map(|frame| {
            let text = frame["choices"][0]["delta"]["content"].as_str()?;
            Some(text.to_owned())
        })
        .collect()
}

#[test]
fn the_model_receives_pseudonyms_and_the_client_its_values() {
    let text = format!(
        "{MAIL}, +49 30 901820, 5555 5555 5555 4444, DEA number AB1234563 and {MAIL} again"
    );
    let (heard, seen) = told(POLICY, &text, |heard| said(&format!("é {heard}")));
    for value in [MAIL, "901820", "4444", "AB1234563"] {
        assert!(!heard.contains(value), "{heard}");
    }
    assert_eq!(heard.matches("@example.com").count(), 2);
    assert!(heard.contains("[US_DEA:"), "{heard}");
    assert_eq!(
        client_json(&seen)["choices"][0]["message"]["content"],
        format!("é {text}")
    );
    assert_eq!(record(&seen)["decision"], "redact");
}

#[test]
fn a_problem_of_the_headers_is_recorded_beside_restored_values() {
    let policy = POLICY.replace("action: allow }", "action: allow, uninspectable: allow }");
    let headers = [(":status", "200"), ("content-type", "image/png")];
    let (_, seen) = told(&policy, MAIL, |heard| {
        HttpMessage::new(&headers, &said(heard).body())
    });
    assert_eq!(client_json(&seen)["choices"][0]["message"]["content"], MAIL);
    let reasons = &record(&seen)["coverage"]["reasons"];
    assert_eq!(*reasons, json!(["response:AG2006"]));
}

#[test]
fn every_turn_has_the_same_pseudonyms() {
    let request = |turns: &[&str]| {
        let messages: Vec<Value> = turns
            .iter()
            .enumerate()
            .map(|(at, text)| {
                let role = if at % 2 == 0 { "user" } else { "assistant" };
                json!({"role": role, "content": text})
            })
            .collect();
        chat_request(
            json!({"model": "m", "messages": messages})
                .to_string()
                .as_bytes(),
        )
    };
    let first = told_by(POLICY, &request(&[MAIL]), |_| hello()).0;
    let history = run(
        &guard(POLICY),
        &request(&[MAIL, "ok", &format!("is {MAIL} right?")]),
        |upstream| {
            let body: Value = serde_json::from_slice(&upstream.body()).unwrap();
            assert_eq!(body["messages"][0]["content"], first);
            assert_eq!(body["messages"][2]["content"], format!("is {first} right?"));
            hello()
        },
        NOW,
    );
    assert_eq!(record(&history)["decision"], "redact");
}

#[test]
fn streams_are_restored_however_they_are_cut() {
    let text = format!("Write to {MAIL} or call +49 30 901820 today, and then {MAIL}.");
    for size in [1, 2, 3, 5, 7, 11, 200] {
        let (_, seen) = told(POLICY, &text, |heard| streamed(heard, size));
        assert_eq!(joined(&seen), text, "pieces of {size}");
    }
}

#[test]
fn a_heading_stands_over_a_row_with_a_pseudonym_however_the_row_is_cut() {
    let policy = format!(
        "{POLICY}  - id: numbers
    match: {{ event: response }}
    when: {{ text: {{ detects: us_ssn }} }}
    action: redact
"
    );
    for size in [1, 7, 1_000] {
        let (_, seen) = told(&policy, MAIL, |heard| {
            streamed(&format!("name,ssn,mail\nAnn,536221234,{heard}\n"), size)
        });
        assert_eq!(
            joined(&seen),
            format!("name,ssn,mail\nAnn,[US_SSN],{MAIL}\n"),
            "{size}"
        );
    }
}

#[test]
fn a_value_that_goes_on_behind_its_pseudonym_is_found() {
    let policy = format!(
        "{POLICY}  - id: numbers
    match: {{ event: response }}
    when: {{ text: {{ detects: phone, matches: '[0-9 ]{{9,}}' }} }}
    action: redact
"
    );
    for size in [1, 7, 1_000] {
        let (_, seen) = told(&policy, "+49 30 901820", |heard| {
            streamed(&format!("{heard} 12 days"), size)
        });
        assert!(
            !joined(&seen).contains("901820"),
            "{size}: {}",
            joined(&seen)
        );
    }
}

#[test]
fn only_tools_that_the_rule_names_get_values_in_arguments() {
    for (tool, expected) in [("send_email", true), ("post_message", false)] {
        let arguments = |heard: &str| json!({"to": heard, "n": 1});
        let (heard, seen) = told(POLICY, MAIL, |heard| calls(tool, &arguments(heard)));
        let call = &client_json(&seen)["choices"][0]["message"]["tool_calls"][0];
        let given: Value =
            serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        let address = if expected { MAIL } else { &heard };
        assert_eq!(given, arguments(address), "{tool}");
    }
}

#[test]
fn streamed_arguments_are_restored_for_these_tools_too() {
    let arguments = |heard: &str| json!({"to": [heard], "subject": "hi"}).to_string();
    let stream = |tool: &str, heard: &str| {
        let chunk = |delta: Value, finish: Value| {
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                   "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        };
        let whole = arguments(heard);
        let (first, rest) = whole.split_at(14);
        let call = |part: &str, begin: bool| {
            let mut call = json!({"index": 0, "function": {"arguments": part}});
            if begin {
                call["id"] = json!("call_1");
                call["type"] = json!("function");
                call["function"]["name"] = json!(tool);
            }
            chunk(json!({"tool_calls": [call]}), Value::Null)
        };
        let frames = [
            call("", true),
            call(first, false),
            call(rest, false),
            chunk(json!({}), json!("tool_calls")),
        ];
        let body: String = frames
            .iter()
            .map(|frame| format!("data: {frame}\n\n"))
            .collect();
        HttpMessage::new(
            &[(":status", "200"), ("content-type", "text/event-stream")],
            format!("{body}data: [DONE]\n\n").as_bytes(),
        )
    };
    for (tool, expected) in [("send_email", true), ("post_message", false)] {
        let (heard, seen) = told(POLICY, MAIL, |heard| stream(tool, heard));
        let given: String = String::from_utf8(seen.client.body())
            .unwrap()
            .split("\n\n")
            .filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok())
            .filter_map(|frame| {
                let call = &frame["choices"][0]["delta"]["tool_calls"][0];
                Some(call["function"]["arguments"].as_str()?.to_owned())
            })
            .collect();
        let address = if expected { MAIL } else { &heard };
        assert_eq!(given, arguments(address), "{tool}");
    }
}

#[test]
fn rules_evaluate_the_value_that_the_client_receives() {
    let policy = format!(
        "{POLICY}
  - id: inside
    match: {{ tool: send_email }}
    when: {{ args.to: {{ domain_in: [contoso.com] }} }}
    action: deny
  - id: not-ann
    match: {{ event: response, part: text }}
    when: {{ text: {{ contains: ann.lee }} }}
    action: redact
    redact: {{ label: someone }}
"
    );
    let (_, seen) = told(&policy, MAIL, |heard| {
        calls("send_email", &json!({"to": heard}))
    });
    assert_eq!(record(&seen)["decision"], "deny");
    let (_, seen) = told(&policy, MAIL, |heard| said(&format!("to {heard}!")));
    assert_eq!(
        client_json(&seen)["choices"][0]["message"]["content"],
        "to someone@contoso.com!"
    );
    for size in [1, 4, 100] {
        let (_, seen) = told(&policy, MAIL, |heard| {
            streamed(&format!("to {heard}!"), size)
        });
        assert_eq!(joined(&seen), "to someone@contoso.com!", "{size}");
    }
}

#[test]
fn an_address_without_pseudonym_is_not_changed() {
    let (_, seen) = told(POLICY, MAIL, |_| said("user-0badc0de@example.com"));
    assert_eq!(
        client_json(&seen)["choices"][0]["message"]["content"],
        "user-0badc0de@example.com"
    );
    let (_, seen) = told(POLICY, "hello", said);
    assert_eq!(
        seen.client.body(),
        said("hello").body(),
        "nothing to turn back"
    );
}

#[test]
fn it_is_a_label_if_the_provider_stores_the_conversation() {
    let responses = |extra: Value| {
        let mut body = json!({"model": "gpt-4o", "input": format!("mail {MAIL}")});
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        let body = body.to_string();
        let length = body.len().to_string();
        HttpMessage::new(
            &[
                (":method", "POST"),
                (":path", "/v1/responses"),
                (":authority", "api.openai.com"),
                ("content-type", "application/json"),
                ("content-length", &length),
            ],
            body.as_bytes(),
        )
    };
    let heard = |extra| told_by(POLICY, &responses(extra), |_| hello()).0;
    assert_eq!(heard(json!({})), "mail [EMAIL]", "it is stored by default");
    assert_eq!(
        heard(json!({"store": false, "previous_response_id": "resp_1"})),
        "mail [EMAIL]"
    );
    assert!(heard(json!({"store": false})).ends_with("@example.com"));
}

/// Returns a request of the Responses API with the address in it.
fn responses(extra: Value) -> HttpMessage {
    let mut body = json!({"model": "gpt-4o", "input": format!("mail {MAIL}")});
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    asks("/v1/responses", "api.openai.com", &body)
}

fn with(option: &str) -> String {
    POLICY.replace("restore: [send_email]", option)
}

#[test]
fn a_label_instead_of_a_pseudonym_is_recorded() {
    let form = |request: &HttpMessage| {
        let seen = exchange(&guard(POLICY), request, hello());
        record(&seen)["rules"][0]["form"].clone()
    };
    assert_eq!(form(&responses(json!({}))), "label");
    assert_eq!(form(&responses(json!({"store": true}))), "label");
    assert_eq!(form(&responses(json!({"store": false}))), Value::Null);
    assert_eq!(form(&chat_request(&says(MAIL))), Value::Null);
}

#[test]
fn a_label_is_denied_where_a_pseudonym_is_required() {
    let policy = with("require: pseudonym");
    for (request, status) in [
        (responses(json!({})), 400),
        (
            responses(json!({"store": false, "previous_response_id": "resp_1"})),
            400,
        ),
        (responses(json!({"store": false})), 200),
        (responses(json!({"input": "nothing to hide"})), 200),
        (chat_request(&says(MAIL)), 200),
    ] {
        let seen = exchange(&guard(&policy), &request, hello());
        assert_eq!(seen.client.status(), Some(status));
        if status == 400 {
            assert_eq!(record(&seen)["code"], "AG3005");
            assert_eq!(record(&seen)["rules"][0]["form"], Value::Null);
        }
    }
}

#[test]
fn a_provider_that_stores_conversations_can_be_asked_not_to() {
    for option in ["store: false", "store: false, require: pseudonym"] {
        let guard = guard(&with(option));
        let left = |request: &HttpMessage| {
            let heard = RefCell::new(Vec::new());
            let seen = run(
                &guard,
                request,
                |upstream| {
                    *heard.borrow_mut() = upstream.body();
                    hello()
                },
                NOW,
            );
            (
                String::from_utf8(heard.into_inner()).unwrap(),
                record(&seen),
            )
        };
        for (extra, store) in [
            (json!({}), Some(false)),
            (json!({"store": true}), Some(false)),
            (json!({"store": null}), Some(false)),
            (json!({"store": false}), Some(false)),
            // Nothing is replaced, so that nothing else is changed.
            (json!({"input": "hi"}), None),
            (json!({"input": "hi", "store": true}), Some(true)),
        ] {
            let (body, record) = left(&responses(extra.clone()));
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["store"].as_bool(), store, "{extra}");
            assert_eq!(record["rules"][0]["form"], Value::Null, "{record}");
            assert!(!body.to_string().contains(MAIL));
            if extra["input"].is_null() {
                assert!(
                    body["input"].as_str().unwrap().ends_with("@example.com"),
                    "{body}"
                );
            }
        }
        // The provider already stores the conversation that this request continues.
        let kept = responses(json!({"previous_response_id": "resp_1"}));
        let seen = exchange(&guard, &kept, hello());
        assert_eq!(seen.upstream_complete, !option.contains("require"));
        // All other bytes stay.
        let text = format!(r#"{{ "model" : "m","input":"mail {MAIL}" }}"#);
        let mut request = responses(json!({}));
        request.chunks = vec![text.into_bytes()];
        let (body, _) = left(&request);
        assert!(
            body.starts_with(r#"{"store":false, "model" : "m","input":"mail user-"#),
            "{body}"
        );
        // Google's Interactions API stores requests, too.
        let interaction = asks(
            "/v1beta/interactions",
            "generativelanguage.googleapis.com",
            &json!({"model": "gemini-3", "input": format!("mail {MAIL}")}),
        );
        assert!(left(&interaction).0.starts_with(r#"{"store":false,"#));
    }
}

#[test]
fn it_is_a_label_in_a_response() {
    let policy = "defaults: { action: allow }
rules:
  - id: hide
    match: { event: response }
    when: { text: { detects: email } }
    action: redact
    redact: { with: pseudonym }
";
    let (_, seen) = told(policy, "hi", |_| said(MAIL));
    assert_eq!(
        client_json(&seen)["choices"][0]["message"]["content"],
        "[EMAIL]"
    );
}

/// Returns a request with the address, to some provider.
fn asks(path: &str, host: &str, body: &Value) -> HttpMessage {
    let body = body.to_string();
    let length = body.len().to_string();
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", host),
            ("content-type", "application/json"),
            ("content-length", &length),
        ],
        body.as_bytes(),
    )
}

/// Returns the text for the client if the response is made from the pseudonym for the model, and the pseudonym.
fn got(request: &HttpMessage, say: impl Fn(&str) -> HttpMessage) -> (String, String) {
    let heard = RefCell::new(String::new());
    let seen = run(
        &guard(POLICY),
        request,
        |upstream| {
            let body = String::from_utf8(upstream.body()).unwrap();
            let at = body.find("user-").unwrap();
            let rest = body.get(at..).unwrap();
            let end = rest.find(".com").unwrap() + 4;
            *heard.borrow_mut() = rest.get(..end).unwrap().to_owned();
            say(&heard.borrow())
        },
        NOW,
    );
    (
        heard.into_inner(),
        String::from_utf8(seen.client.body()).unwrap(),
    )
}

fn events(list: &[Value]) -> HttpMessage {
    let named = |event: &Value| match event["type"].as_str() {
        Some(name) => format!("event: {name}\ndata: {event}\n\n"),
        None => format!("data: {event}\n\n"),
    };
    let body: String = list.iter().map(named).collect();
    HttpMessage::new(
        &[(":status", "200"), ("content-type", "text/event-stream")],
        body.as_bytes(),
    )
}

fn whole(body: &Value) -> HttpMessage {
    HttpMessage::new(
        &[(":status", "200"), ("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
}

/// Returns the data of a stream's events.
fn data(body: &str) -> Vec<Value> {
    body.lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect()
}

#[test]
fn anthropic_s_responses_and_streams_are_restored_except_signed_parts() {
    let request = |stream: bool| {
        asks(
            "/v1/messages",
            "api.anthropic.com",
            &json!({"model": "claude-x", "max_tokens": 99, "stream": stream,
                    "messages": [{"role": "user", "content": format!("write to {MAIL}")}]}),
        )
    };
    let (heard, body) = got(&request(false), |heard| {
        whole(&json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
            "content": [
                {"type": "thinking", "thinking": format!("so {heard}"), "signature": "c2lnbmVk"},
                {"type": "text", "text": format!("to {heard}.")},
                {"type": "tool_use", "id": "t1", "name": "send_email", "input": {"to": heard}},
                {"type": "tool_use", "id": "t2", "name": "post", "input": {"to": heard}},
            ],
            "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1},
        }))
    });
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["content"][0]["thinking"], format!("so {heard}"));
    assert_eq!(body["content"][1]["text"], format!("to {MAIL}."));
    assert_eq!(body["content"][2]["input"]["to"], MAIL);
    assert_eq!(body["content"][3]["input"]["to"], heard);
    for size in [1, 3, 8, 100] {
        let (heard, body) = got(&request(true), |heard| {
            let mut list = vec![
                json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
                       "model": "claude-x", "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
            ];
            let mut block = |index: u32,
                             start: Value,
                             kind: &str,
                             key: &str,
                             text: &str,
                             signed: bool| {
                list.push(
                    json!({"type": "content_block_start", "index": index, "content_block": start}),
                );
                let letters: Vec<char> = text.chars().collect();
                for part in letters.chunks(size) {
                    let part: String = part.iter().collect();
                    list.push(json!({"type": "content_block_delta", "index": index, "delta": {"type": kind, key: part}}));
                }
                if signed {
                    list.push(json!({"type": "content_block_delta", "index": index,
                                     "delta": {"type": "signature_delta", "signature": "c2lnbmVk"}}));
                }
                list.push(json!({"type": "content_block_stop", "index": index}));
            };
            let thinking = json!({"type": "thinking", "thinking": "", "signature": ""});
            block(
                0,
                thinking,
                "thinking_delta",
                "thinking",
                &format!("so {heard}"),
                true,
            );
            block(
                1,
                json!({"type": "text", "text": ""}),
                "text_delta",
                "text",
                &format!("to {heard}."),
                false,
            );
            let input = json!({"to": heard}).to_string();
            let tool =
                |name: &str| json!({"type": "tool_use", "id": name, "name": name, "input": {}});
            block(
                2,
                tool("send_email"),
                "input_json_delta",
                "partial_json",
                &input,
                false,
            );
            block(
                3,
                tool("post"),
                "input_json_delta",
                "partial_json",
                &input,
                false,
            );
            list.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 1}}));
            list.push(json!({"type": "message_stop"}));
            events(&list)
        });
        let of = |index: u32, key: &str| -> String {
            data(&body)
                .iter()
                .filter(|event| event["index"] == index)
                .filter_map(|event| event["delta"][key].as_str().map(str::to_owned))
                .collect()
        };
        assert_eq!(of(0, "thinking"), format!("so {heard}"), "{size}");
        assert_eq!(of(1, "text"), format!("to {MAIL}."), "{size}");
        assert_eq!(of(2, "partial_json"), json!({"to": MAIL}).to_string());
        assert_eq!(of(3, "partial_json"), json!({"to": heard}).to_string());
    }
}

#[test]
fn gemini_s_responses_and_streams_are_restored() {
    let request = |method: &str| {
        asks(
            &format!("/v1beta/models/gemini-2.5-pro:{method}"),
            "generativelanguage.googleapis.com",
            &json!({"contents": [{"role": "user", "parts": [{"text": format!("write to {MAIL}")}]}]}),
        )
    };
    let answer = |parts: Value, finish: Value| json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}]});
    let call = |name: &str, to: &str| json!({"functionCall": {"name": name, "args": {"to": to}}});
    let (heard, body) = got(&request("generateContent"), |heard| {
        let parts = json!([
            {"text": format!("to {heard}.")}, call("send_email", heard), call("post", heard),
        ]);
        whole(&answer(parts, json!("STOP")))
    });
    let body: Value = serde_json::from_str(&body).unwrap();
    let parts = &body["candidates"][0]["content"]["parts"];
    assert_eq!(parts[0]["text"], format!("to {MAIL}."));
    assert_eq!(parts[1]["functionCall"]["args"]["to"], MAIL);
    assert_eq!(parts[2]["functionCall"]["args"]["to"], heard);
    for size in [1, 4, 9, 100] {
        let (heard, body) = got(&request("streamGenerateContent?alt=sse"), |heard| {
            let letters: Vec<char> = format!("to {heard}.").chars().collect();
            let mut list: Vec<Value> = letters
                .chunks(size)
                .map(|part| {
                    let part: String = part.iter().collect();
                    answer(json!([{"text": part}]), Value::Null)
                })
                .collect();
            let calls = json!([call("send_email", heard), call("post", heard)]);
            list.push(answer(calls, json!("STOP")));
            events(&list)
        });
        let mut said = String::new();
        let mut given = Vec::new();
        for event in data(&body) {
            let parts = event["candidates"][0]["content"]["parts"].clone();
            for part in parts.as_array().into_iter().flatten() {
                said.push_str(part["text"].as_str().unwrap_or_default());
                given.extend(
                    part["functionCall"]["args"]["to"]
                        .as_str()
                        .map(str::to_owned),
                );
            }
        }
        assert_eq!(said, format!("to {MAIL}."), "{size}");
        assert_eq!(given, [MAIL, &heard], "{size}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_round_trip_gives_the_same_bytes(
        parts in prop::collection::vec(
            prop_oneof![
                Just("ann.lee@contoso.com"), Just("bob@fabrikam.org"), Just("+49 30 901820"),
                Just("5555 5555 5555 4444"), Just("🙂 \"quoted\" \\ text"), Just("line\nbreak"), Just("a@"),
            ],
            0..8,
        ),
        size in 1..40usize,
    ) {
        let text = parts.join(" and ");
        let (_, whole) = told(POLICY, &text, said);
        prop_assert_eq!(&client_json(&whole)["choices"][0]["message"]["content"], &json!(text));
        let (_, stream) = told(POLICY, &text, |heard| streamed(heard, size));
        prop_assert_eq!(joined(&stream), text);
    }
}
