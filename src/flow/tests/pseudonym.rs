//! Pseudonyms: the model sees stand-ins, the client and the rules see values.

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

/// What the model was told, and what the client was: the model answers with what `say` makes of what it was told.
fn told(policy: &str, text: &str, say: impl Fn(&str) -> Half) -> (String, Seen) {
    told_by(policy, &chat_request(&says(text)), say)
}

fn told_by(policy: &str, request: &Half, say: impl Fn(&str) -> Half) -> (String, Seen) {
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

fn said(text: &str) -> Half {
    answer(json!({"role": "assistant", "content": text}), "stop")
}

fn calls(tool: &str, arguments: &Value) -> Half {
    let call = json!({"id": "call_1", "type": "function",
                      "function": {"name": tool, "arguments": arguments.to_string()}});
    answer(
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        "tool_calls",
    )
}

/// A text streamed in pieces of so many characters.
fn streamed(text: &str, size: usize) -> Half {
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
    Half::new(
        &[(":status", "200"), ("content-type", "text/event-stream")],
        body.as_bytes(),
    )
}

fn joined(seen: &Seen) -> String {
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
fn the_model_sees_stand_ins_and_the_client_gets_its_values_back() {
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
fn every_turn_has_the_same_stand_ins() {
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
fn streams_are_turned_back_however_they_are_cut() {
    let text = format!("Write to {MAIL} or call +49 30 901820 today, and then {MAIL}.");
    for size in [1, 2, 3, 5, 7, 11, 200] {
        let (_, seen) = told(POLICY, &text, |heard| streamed(heard, size));
        assert_eq!(joined(&seen), text, "pieces of {size}");
    }
}

#[test]
fn in_arguments_only_tools_that_the_rule_names_get_values() {
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
fn streamed_arguments_are_turned_back_for_those_tools_too() {
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
        Half::new(
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
fn rules_judge_the_value_that_the_client_gets() {
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
fn an_address_that_nobody_hid_is_left_alone() {
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
fn where_the_provider_keeps_what_is_said_it_is_a_label() {
    let responses = |extra: Value| {
        let mut body = json!({"model": "gpt-4o", "input": format!("mail {MAIL}")});
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        let body = body.to_string();
        let length = body.len().to_string();
        Half::new(
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

#[test]
fn in_an_answer_it_is_a_label() {
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
