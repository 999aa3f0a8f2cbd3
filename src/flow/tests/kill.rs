//! The kill switch, before any rule and in every mode.

use super::*;
use crate::event::Direction;
use crate::policy::{KillList, KillState};

const NO_RULES: &str = "require: none\ndefaults: { action: allow }\n";
const OBSERVED: &str = "mode: { all: observe }\nrequire: none\ndefaults: { action: allow }\n";

/// Puts a kill list in force, each time with a higher generation.
fn kill(guard: &Guard, entries: Value) {
    let generation = match guard.kill.state() {
        KillState::List(list) => list.generation + 1,
        _ => 1,
    };
    let document = json!({"apiVersion": "agentguard.dev/v1", "kind": "AgentKill",
                          "generation": generation, "kill": entries});
    let list = KillList::from_json(document.to_string().as_bytes()).unwrap();
    guard.kill.set(KillState::List(Rc::new(list)));
}

fn all() -> Value {
    json!([{"all": true, "reason": "Everything leaks."}])
}

fn tool(name: &str) -> Value {
    json!([{"tools": [name], "reason": "It is attacked."}])
}

fn calls(tool: &str) -> HttpMessage {
    let call =
        json!({"id": "call-1", "type": "function", "function": {"name": tool, "arguments": "{}"}});
    answer(
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        "tool_calls",
    )
}

#[test]
fn nothing_passes_while_everything_is_stopped_whatever_the_mode() {
    for policy in [NO_RULES, OBSERVED] {
        in_both_modes(policy, |guard, _| {
            kill(guard, all());
            let seen = exchange(guard, &chat_request(&says("hello")), hello());
            assert!(seen.upstream.is_none());
            assert_eq!(seen.client.status(), Some(400));
            let error = client_json(&seen);
            assert_eq!(
                error["error"]["message"],
                "Stopped by the kill switch: Everything leaks."
            );
            let record = record(&seen);
            assert_eq!(
                (&record["decision"], &record["code"], &record["kill"]),
                (&json!("deny"), &json!("AG3006"), &json!({"generation": 1}))
            );
            kill(guard, json!([]));
            let seen = exchange(guard, &chat_request(&says("hello")), hello());
            assert_eq!(seen.client.status(), Some(200));
        });
    }
}

#[test]
fn a_list_that_cannot_be_read_stops_everything() {
    let guard = guard(NO_RULES);
    guard.kill.set(KillState::Unreadable);
    let seen = exchange(&guard, &chat_request(&says("hello")), hello());
    assert!(seen.upstream.is_none());
    assert_eq!(seen.client.status(), Some(503));
    assert_eq!(record(&seen)["code"], "AG9003");
}

#[test]
fn outside_applies_to_only_an_entry_for_everything_stops() {
    let guard = guard(&format!(
        "applies_to: {{ paths: [/elsewhere] }}\n{NO_RULES}"
    ));
    kill(&guard, json!([{"agents": ["*"], "reason": "r"}]));
    let seen = exchange(&guard, &chat_request(&says("hello")), hello());
    assert_eq!(seen.client.status(), Some(200));
    kill(&guard, all());
    let seen = exchange(&guard, &chat_request(&says("hello")), hello());
    assert_eq!(seen.client.status(), Some(400));
}

#[test]
fn a_call_is_removed_even_if_no_rule_inspects_calls() {
    for policy in [NO_RULES, OBSERVED] {
        in_both_modes(policy, |guard, _| {
            kill(guard, tool("issue_*"));
            let seen = exchange(guard, &chat_request(&says("hello")), calls("issue_refund"));
            let message = &client_json(&seen)["choices"][0]["message"];
            assert_eq!(message["tool_calls"], Value::Null);
            assert_eq!(
                message["content"],
                "Stopped by the kill switch: It is attacked."
            );
            let record = record(&seen);
            assert_eq!(
                (&record["code"], &record["kill"]["generation"]),
                (&json!("AG3006"), &json!(1))
            );
            let other = calls("look_up");
            let seen = exchange(guard, &chat_request(&says("hello")), other.clone());
            assert_eq!(seen.client.body(), other.body());
        });
    }
}

#[test]
fn a_call_of_a_tool_server_is_denied() {
    let guard = guard(NO_RULES);
    kill(&guard, tool("issue_refund"));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                      "params": {"name": "issue_refund", "arguments": {}}});
    let request = HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", "/mcp"),
            (":authority", "tools.example"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ],
        body.to_string().as_bytes(),
    );
    let seen = exchange(&guard, &request, hello());
    let result = &client_json(&seen)["result"];
    assert_eq!(result["isError"], true, "{result}");
    assert_eq!(record(&seen)["code"], "AG3006");
}

#[test]
fn a_held_request_is_stopped_also_if_its_body_is_not_read() {
    let policy = "require: none
defaults: { action: allow, tool_call: deny }
inspect: { max_body: 1KiB }
rules:
  - { id: unread, match: { event: uninspectable, code: [AG2004, AG2005] }, action: allow }
";
    let large = ("identity", says(&"a".repeat(2_000)));
    let encoded = ("br", b"not JSON".to_vec());
    for (encoding, body) in [large, encoded] {
        let request = HttpMessage::new(
            &[
                (":method", "POST"),
                (":path", "/v1/chat/completions"),
                (":authority", "api.openai.com"),
                ("content-type", "application/json"),
                ("content-encoding", encoding),
            ],
            &body,
        );
        in_both_modes(policy, |guard, _| {
            for is_killed in [false, true] {
                kill(guard, json!([]));
                let mut flow = Flow::new(Rc::clone(guard));
                let step = sends_head(&mut flow, &request);
                assert!(!matches!(step.action, Action::Reply(_)), "{encoding}");
                if is_killed {
                    kill(guard, all());
                }
                let step = flow.request_body(&mut body.as_slice(), true, NOW);
                let is_denied = matches!(step.action, Action::Reply(_));
                assert_eq!(is_denied, is_killed, "{encoding}: {:?}", step.action);
            }
        });
    }
}

#[test]
fn a_response_that_is_still_to_come_is_stopped() {
    for at_headers in [true, false] {
        in_both_modes(
            "require: none\ndefaults: { action: allow, tool_call: deny }\n",
            |guard, holds| {
                let mut flow = Flow::new(Rc::clone(guard));
                let request = chat_request(&says("hello"));
                let _ = sends_head(&mut flow, &request);
                let step = flow.request_body(&mut request.body().as_slice(), true, NOW);
                assert_eq!(step.action, Action::Continue);
                if at_headers {
                    kill(guard, all());
                }
                let answer = hello();
                let headers = answer.header_slices();
                let head = ResponseHead {
                    headers: &headers,
                    end: false,
                    now: NOW,
                };
                let step = flow.response_headers(&head);
                if at_headers {
                    assert!(matches!(step.action, Action::Reply(_)));
                    return;
                }
                kill(guard, all());
                let step = flow.response_body(&mut answer.body().as_slice(), true, NOW);
                let body = match step.action {
                    Action::Reply(reply) if holds => reply.body,
                    Action::Replace(body) if !holds => body,
                    other => panic!("{other:?}"),
                };
                assert!(String::from_utf8_lossy(&body).contains("Everything leaks."));
            },
        );
    }
}

#[test]
fn the_response_to_an_observed_request_that_is_not_read_is_stopped() {
    let policy = format!("{OBSERVED}inspect: {{ max_body: 1KiB }}\n");
    in_both_modes(&policy, |guard, _| {
        let mut flow = Flow::new(Rc::clone(guard));
        // How long its body is, only its end tells.
        let request = HttpMessage::new(
            &[
                (":method", "POST"),
                (":path", "/v1/chat/completions"),
                (":authority", "api.openai.com"),
                ("content-type", "application/json"),
            ],
            &says(&"a".repeat(2_000)),
        );
        let _ = sends_head(&mut flow, &request);
        kill(guard, all());
        // It was forwarded while it arrived.
        let step = flow.request_body(&mut request.body().as_slice(), true, NOW);
        assert_eq!(step.action, Action::Continue);
        let answer = hello();
        let head = ResponseHead {
            headers: &answer.header_slices(),
            end: false,
            now: NOW,
        };
        let step = flow.response_headers(&head);
        assert!(matches!(step.action, Action::Reply(_)), "{:?}", step.action);
    });
}

#[test]
fn an_unread_response_is_cut() {
    let guard = guard(NO_RULES);
    let download = [
        (":method", "GET"),
        (":path", "/v1/files/file-1/content"),
        (":authority", "api.openai.com"),
    ];
    let download = HttpMessage::new(&download, b"");
    let headers = download.header_slices();
    let mut flow = Flow::new(Rc::clone(&guard));
    let _ = flow.request_headers(&RequestHead {
        headers: &headers,
        end: true,
        properties: &crate::proxy::MemoryProperties::default(),
        now: NOW,
    });
    let _ = flow.response_headers(&ResponseHead {
        headers: &[
            (b":status", b"200"),
            (b"content-type", b"application/octet-stream"),
        ],
        end: false,
        now: NOW,
    });
    let part = |flow: &mut Flow| flow.response_body(&mut b"some bytes".as_slice(), false, NOW);
    assert_eq!(part(&mut flow).action, Action::Continue);
    kill(&guard, all());
    assert_eq!(part(&mut flow).action, Action::Reset);
}

#[test]
fn an_exchange_is_checked_again_only_when_the_list_has_changed() {
    let guard = guard(NO_RULES);
    kill(&guard, json!([]));
    let mut flow = Flow::new(Rc::clone(&guard));
    let request = chat_request(&says("hello"));
    let _ = sends_head(&mut flow, &request);
    assert!(flow.recheck_kill(Direction::Response).is_none());
    kill(&guard, all());
    assert!(flow.recheck_kill(Direction::Response).is_some());
    // Lifting the list does not continue a stopped exchange.
    kill(&guard, json!([]));
    assert!(flow.recheck_kill(Direction::Response).is_some());
    // Nor does a list that can be read again.
    let mut flow = Flow::new(Rc::clone(&guard));
    let _ = sends_head(&mut flow, &request);
    guard.kill.set(KillState::Unreadable);
    assert!(flow.recheck_kill(Direction::Response).is_some());
    kill(&guard, json!([]));
    assert!(flow.recheck_kill(Direction::Response).is_some());
}
