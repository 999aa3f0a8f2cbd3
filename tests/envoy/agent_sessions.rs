//! Sessions of agents that run at the provider, through the official Python packages of OpenAI and Anthropic.

use crate::scene::{Mode, both_modes, case, mask_cards, policy};
use crate::script::Script;
use harness::{Answer, Envoy, Version, sdk_python};
use serde_json::{Value, json};

in_both_envoys![the_packages_understand_sessions];

const PACKAGES: [&str; 2] = ["openai", "anthropic"];

fn ask(envoy: &Envoy, mode: Mode, package: &str, what: Value) -> Value {
    let script = Script {
        program: sdk_python(),
        arguments: vec!["agent_sessions.py".into()],
    };
    let address = envoy.site(mode.word()).address;
    let mut line = json!({"base_url": format!("http://{address}"), "package": package});
    let more = what.as_object().expect("an object").clone();
    line.as_object_mut().expect("an object").extend(more);
    script.answer(&line)
}

/// Returns a stream in which an agent says this in two pieces, and then calls a tool of the client's.
fn stream(package: &str, said: [&str; 2], tool: Option<&str>) -> Answer {
    let text = said.concat();
    let mut events = Vec::new();
    if package == "openai" {
        let of = |kind: &str, more: Value| {
            let mut event = json!({"type": format!("agent.session.turn.{kind}"), "event_id": "ev_1", "session_id": "session_1",
                "turn_id": "turn_1", "output_index": 0});
            let more = more.as_object().expect("an object").clone();
            event.as_object_mut().expect("an object").extend(more);
            event
        };
        let here = |member: &str, text: &str| json!({"item_id": "msg_1", "content_index": 0, member: text});
        events.extend(said.map(|piece| of("output_text.delta", here("delta", piece))));
        events.push(of("output_text.done", here("text", &text)));
        events.push(of(
            "item.done",
            json!({"item": {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "turn_id": "turn_1",
                "content": [{"type": "output_text", "text": text}]}}),
        ));
        events.extend(tool.map(|tool| {
            of(
                "item.done",
                json!({"output_index": 1, "item": {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": tool,
                    "arguments": {"id": 1}, "status": "completed", "turn_id": "turn_1"}}),
            )
        }));
    } else {
        events.extend(said.map(|piece| {
            json!({"type": "event_delta", "event_id": "sevt_1", "delta": {"type": "content_delta", "index": 0,
                "content": {"type": "text", "text": piece}}})
        }));
        events.push(
            json!({"type": "agent.message", "id": "sevt_1", "content": [{"type": "text", "text": text}],
            "processed_at": "2026-01-01T00:00:00Z"}),
        );
        events.extend(tool.map(|tool| {
            json!({"type": "agent.custom_tool_use", "id": "sevt_2", "name": tool, "input": {"id": 1},
                "processed_at": "2026-01-01T00:00:01Z"})
        }));
    }
    let start = Answer::chunked(200, &[("content-type", "text/event-stream")]);
    let frames = events.iter().map(|event| {
        let name = event["type"].as_str().expect("a type");
        format!("event: {name}\ndata: {event}\n\n")
    });
    frames
        .fold(start, |answer, frame| answer.chunk(frame.as_bytes()))
        .end()
}

fn the_packages_understand_sessions(version: Version) {
    let no_delete = json!({
        "id": "no-delete",
        "match": {"tool": "delete_customer"},
        "action": "deny",
        "reason": "Customers are deleted by a person.",
    });
    let envoy = both_modes(version, &policy(json!([mask_cards(), no_delete])));
    for mode in Mode::BOTH {
        for package in PACKAGES {
            case(&format!("{mode:?}, {package}"), || {
                session(&envoy, mode, package);
            });
        }
    }
}

fn session(envoy: &Envoy, mode: Mode, package: &str) {
    envoy.provider.answer_next(Answer::json(200, b"{}"));
    let text = "My card is 4111 1111 1111 1111";
    let sent = ask(envoy, mode, package, json!({"do": "send", "text": text}));
    assert_eq!(sent, json!({}));
    let received = envoy.provider.last();
    let received = String::from_utf8_lossy(&received.body);
    assert!(received.contains("My card is [CREDIT_CARD]"), "{received}");

    let listened = |answer: Answer| {
        envoy.provider.answer_next(answer);
        ask(envoy, mode, package, json!({"do": "listen"}))
    };
    let said = ["Card 4111 11", "11 1111 1111 it is."];
    let heard = listened(stream(package, said, Some("get_customer")));
    let masked = "Card [CREDIT_CARD] it is.";
    assert_eq!(heard["pieces"], masked, "{heard}");
    let texts = heard["texts"].as_array().expect("texts");
    assert!(
        !texts.is_empty() && texts.iter().all(|text| text == masked),
        "{heard}"
    );
    assert_eq!(heard["calls"], json!(["get_customer"]));
    assert_eq!(heard["error"], Value::Null);

    let heard = listened(stream(
        package,
        ["Let me ", "see."],
        Some("delete_customer"),
    ));
    assert_eq!(heard["calls"], json!([]), "{heard}");
    assert_eq!(
        heard["error"], "Customers are deleted by a person.",
        "{heard}"
    );
}
