//! Approval service: waiting for its responses, notices to it, and the tokens in its responses.

use super::approvals::{
    SECOND, approvers, asks, calls, lead, manager, mcp_call, mcp_done, passes, record, streamed,
    streamed_call, text,
};
use super::*;
use crate::approval::{ApprovalRequest, SigningKey, mint, nonce};
use crate::flow::simulation::{Caller, run_served};
use crate::flow::{ServiceAnswer, ServiceCall};
use crate::policy::{KillList, KillState};

fn waiting_with(approval: &str, more: &str) -> Rc<Guard> {
    guard(&format!(
        "{}approval_service: {{ cluster: approvals }}
defaults: {{ action: allow }}
rules:
  - id: large
    match: {{ tool: refund }}
    when: {{ args.amount: {{ greater_than: 100 }} }}
    action: require_approval
    approval: {{ by: manager, show: args.amount, {approval} }}
{more}",
        approvers()
    ))
}

fn waiting() -> Rc<Guard> {
    waiting_with("wait: 30s", "")
}

/// Returns the approval requests in a call to the service.
fn named(call: &ServiceCall) -> Vec<ApprovalRequest> {
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(body["agentguard"], "approval_request");
    assert_eq!(body["version"], 1);
    assert!(body["request_id"].is_string());
    assert_eq!(body.get("wait").is_some(), call.is_awaited);
    let requests = body["requests"].as_array().unwrap();
    requests
        .iter()
        .map(|each| {
            let request = ApprovalRequest::parse(each["request"].as_str().unwrap()).unwrap();
            let contents: Value = serde_json::from_slice(&request.contents()).unwrap();
            assert_eq!(each["contents"], contents);
            request
        })
        .collect()
}

fn tokens(key: &SigningKey, call: &ServiceCall) -> Vec<String> {
    let requests = named(call);
    let token = |request| mint(request, key, NOW / SECOND, nonce(&[5; 16]));
    requests.iter().map(token).collect()
}

fn gives(tokens: &[String]) -> Option<(u16, Vec<u8>)> {
    let body = json!({"agentguard": "approval", "tokens": tokens});
    Some((200, body.to_string().into_bytes()))
}

fn agrees(call: &ServiceCall) -> Option<(u16, Vec<u8>)> {
    gives(&tokens(&manager(), call))
}

fn served(
    guard: &Rc<Guard>,
    request: &HttpMessage,
    answer: HttpMessage,
    mut service: impl FnMut(&ServiceCall) -> Option<(u16, Vec<u8>)>,
) -> SimulatedResult {
    let caller = Caller::default();
    let answer = |_: &HttpMessage| answer;
    run_served(&caller, guard, request, answer, NOW, None, &mut service)
}

/// Returns every way in which a call arrives: in a whole response, in a stream, and in a request.
fn ways() -> [(&'static str, HttpMessage, HttpMessage); 3] {
    let arguments = r#"{"amount": 250}"#;
    [
        ("whole", asks(&[]), calls(&[arguments])),
        (
            "stream",
            asks(&[]),
            streamed_call(["{\"amount\": 2", "50}"]),
        ),
        (
            "request",
            mcp_call(json!({"amount": 250}), None, "s1"),
            mcp_done(),
        ),
    ]
}

/// Returns whether the call reached its recipient.
fn has_passed(seen: &SimulatedResult) -> bool {
    let client = text(&seen.client);
    client.contains("done") || passes(seen)
}

#[test]
fn a_call_that_waits_passes_with_the_token_of_the_service() {
    for (way, request, answer) in ways() {
        let guard = waiting();
        let seen = served(&guard, &request, answer.clone(), agrees);
        assert!(has_passed(&seen), "{way}: {}", text(&seen.client));
        let [call] = seen.service_calls.as_slice() else {
            panic!("{way}: {:?}", seen.service_calls);
        };
        assert_eq!(call.timeout, 30);
        let [asked] = named(call).try_into().unwrap();
        assert_eq!(asked.shown(), Some(r#"{"args.amount":[250]}"#));
        let record = record(&seen);
        assert_eq!(record["decision"], "allow", "{way}: {record}");
        assert_eq!(record["approval"]["state"], "approved");
        assert_eq!(record["approval"]["id"], *asked.id);
        assert_eq!(record["events"]["tool_call"], 1, "{way}: {record}");
        // The bytes are the same as without a rule.
        let free = super::guard("defaults: { action: allow }\nrules: []\n");
        let plain = served(&free, &request, answer, |_| None);
        assert_eq!(seen.client.body(), plain.client.body(), "{way}");
    }
}

#[test]
fn a_call_that_is_not_approved_is_denied_as_without_waiting() {
    for (way, request, answer) in ways() {
        // The approvers don't approve, or the service does not respond in time.
        for none in [gives(&[]), None] {
            let guard = waiting();
            let mut asked = Vec::new();
            let seen = served(&guard, &request, answer.clone(), |call| {
                asked.extend(named(call));
                none.clone()
            });
            assert!(!has_passed(&seen), "{way}: {}", text(&seen.client));
            let first = record(&seen);
            assert_eq!(first["code"], "AG3003", "{way}: {first}");
            assert_eq!(first["approval"]["state"], "unanswered");
            // The request can still be approved.
            assert_eq!(asked.len(), 1);
            let body = text(&seen.client);
            assert!(body.contains(&asked[0].encode()) || is_requested_later(&body, &asked[0]));
        }
    }
}

/// Returns whether a denial has the same approval request with a later expiry, because it was written later.
fn is_requested_later(body: &str, asked: &ApprovalRequest) -> bool {
    let (_, rest) = body.split_once("agar1.").unwrap();
    let payload = rest.split(['"', '\\', ' ']).next().unwrap();
    let told = ApprovalRequest::parse(&format!("agar1.{payload}")).unwrap();
    told.id == asked.id && told.subject == asked.subject && told.until > asked.until
}

#[test]
fn a_failing_service_has_its_own_denial() {
    let garbage = [
        (500, b"oops".to_vec(), "service_status"),
        (
            503,
            br#"{"agentguard":"approval","tokens":[]}"#.to_vec(),
            "service_status",
        ),
        (504, Vec::new(), "service_status"),
        (200, b"<html>".to_vec(), "malformed_answer"),
        (200, b"{}".to_vec(), "malformed_answer"),
        (
            200,
            br#"{"agentguard":"approved","tokens":[]}"#.to_vec(),
            "malformed_answer",
        ),
        (
            200,
            br#"{"agentguard":"approval","tokens":"agat1.x.y"}"#.to_vec(),
            "malformed_answer",
        ),
        (
            200,
            br#"{"agentguard":"approval","agentguard":"approval"}"#.to_vec(),
            "malformed_answer",
        ),
        (200, vec![b' '; 1 << 20], "malformed_answer"),
    ];
    for (way, request, answer) in ways() {
        for (status, body, detail) in &garbage {
            let guard = waiting();
            let seen = served(&guard, &request, answer.clone(), |_| {
                Some((*status, body.clone()))
            });
            assert!(!has_passed(&seen), "{way}: {}", text(&seen.client));
            let record = record(&seen);
            assert_eq!(record["code"], "AG3007", "{way} {status}: {record}");
            assert_eq!(record["approval"]["detail"], *detail, "{way}");
            assert!(text(&seen.client).contains("agar1."), "{way}");
        }
    }
}

#[test]
fn a_token_of_the_service_is_checked_like_a_presented_one() {
    let other = |call: &ServiceCall| {
        let mut request = named(call).remove(0);
        request.subject.args = crate::approval::digest(br#"{"amount":1}"#).unwrap().into();
        mint(&request, &manager(), NOW / SECOND, nonce(&[5; 16]))
    };
    let forged = |call: &ServiceCall| {
        let key = SigningKey::from_seed("manager", [9; 32]);
        tokens(&key, call).remove(0)
    };
    let unsigned = |call: &ServiceCall| {
        let token = tokens(&manager(), call).remove(0);
        let (signed, _) = token.rsplit_once('.').unwrap();
        format!("{signed}.")
    };
    let stale = |call: &ServiceCall| {
        let request = named(call).remove(0);
        mint(&request, &manager(), NOW / SECOND - 700, nonce(&[5; 16]))
    };
    let by_lead = |call: &ServiceCall| tokens(&lead(), call).remove(0);
    type Minted<'m> = &'m dyn Fn(&ServiceCall) -> String;
    let cases: [(Minted<'_>, &str); 6] = [
        (&other, "changed_arguments"),
        (&forged, "unknown_key"),
        (&unsigned, "bad_signature"),
        (&stale, "expired"),
        (&by_lead, "wrong_role"),
        (&|_| "yes".to_owned(), "malformed"),
    ];
    for (way, request, answer) in ways() {
        for (token, detail) in &cases {
            let guard = waiting();
            let seen = served(&guard, &request, answer.clone(), |call| {
                gives(&[token(call)])
            });
            assert!(!has_passed(&seen), "{way}: {}", text(&seen.client));
            let record = record(&seen);
            assert_eq!(record["code"], "AG3004", "{way} {detail}: {record}");
            assert_eq!(record["approval"]["detail"], *detail, "{way}");
            // The service is called once.
            assert_eq!(seen.service_calls.len(), 1);
        }
    }
}

#[test]
fn a_token_that_came_with_the_request_needs_no_service() {
    let guard = waiting();
    let answer = || calls(&[r#"{"amount": 250}"#]);
    let mut asked = Vec::new();
    served(&guard, &asks(&[]), answer(), |call| {
        asked.extend(tokens(&manager(), call));
        None
    });
    let seen = served(&guard, &asks(&asked), answer(), |_| None);
    assert!(passes(&seen));
    assert_eq!(seen.service_calls, []);
    // An invalid token is the caller's error, for which the service is not called.
    let seen = served(&guard, &asks(&asked), answer(), agrees);
    assert_eq!(record(&seen)["approval"]["detail"], "replayed");
    assert_eq!(seen.service_calls, []);
}

#[test]
fn calls_that_end_together_are_one_call_to_the_service() {
    let arguments = [
        r#"{"amount": 250}"#,
        r#"{"amount": 5}"#,
        r#"{"amount": 400}"#,
        r#"{"amount": 250}"#,
    ];
    let deltas: Vec<Value> = (0..)
        .zip(arguments)
        .map(|(index, arguments)| {
            json!({"index": index, "id": format!("c{index}"), "type": "function",
                   "function": {"name": "refund", "arguments": arguments}})
        })
        .collect();
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
               "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let stream = streamed(&[
        chunk(json!({"role": "assistant", "content": null}), Value::Null),
        chunk(json!({"tool_calls": deltas}), Value::Null),
        chunk(json!({}), json!("tool_calls")),
    ]);
    for answer in [calls(&arguments), stream] {
        let guard = waiting();
        let seen = served(&guard, &asks(&[]), answer.clone(), agrees);
        assert_eq!(seen.service_calls.len(), 1);
        // Two equal calls are two requests.
        assert_eq!(named(&seen.service_calls[0]).len(), 3);
        assert_eq!(seen.client.body(), answer.body());
        assert_eq!(record(&seen)["decision"], "allow");
        // One of them is not approved, and the others pass.
        let guard = waiting();
        let seen = served(&guard, &asks(&[]), answer, |call| {
            gives(&tokens(&manager(), call)[..2])
        });
        let client = text(&seen.client);
        assert!(
            client.contains("400") && client.contains("\\\"amount\\\": 5}"),
            "{client}"
        );
        assert_eq!(
            client.matches("\\\"amount\\\": 250}").count(),
            1,
            "{client}"
        );
        assert_eq!(record(&seen)["decision"], "require_approval");
    }
}

#[test]
fn the_service_is_not_called_for_a_call_that_is_denied_anyway() {
    let guard = waiting_with(
        "wait: 30s",
        "  - { id: never, match: { tool: refund }, when: { args.to: evil }, action: deny }\n",
    );
    let arguments = r#"{"amount": 250, "to": "evil"}"#;
    let seen = served(&guard, &asks(&[]), calls(&[arguments]), agrees);
    assert!(!passes(&seen));
    assert_eq!(seen.service_calls, []);
    // In a response another call remains, which waits.
    let both = [arguments, r#"{"amount": 300}"#];
    let seen = served(&guard, &asks(&[]), calls(&both), agrees);
    assert!(text(&seen.client).contains("300"));
    assert!(!text(&seen.client).contains("evil"));
    assert_eq!(seen.service_calls.len(), 1);
    // The call waits only if each of its rules waits.
    let guard = waiting_with(
        "wait: 30s",
        "  - { id: two, match: { tool: refund }, action: require_approval, approval: { by: lead } }\n",
    );
    let seen = served(&guard, &asks(&[]), calls(&[r#"{"amount": 250}"#]), agrees);
    assert_eq!(record(&seen)["code"], "AG3003");
    assert_eq!(seen.service_calls, []);
}

#[test]
fn a_notice_is_sent_and_nothing_waits_for_it() {
    for (way, request, answer) in ways() {
        let guard = waiting_with("notify: true", "");
        let seen = served(&guard, &request, answer, |_| panic_is_no_answer());
        assert!(!has_passed(&seen), "{way}");
        let record = record(&seen);
        assert_eq!(record["code"], "AG3003", "{way}: {record}");
        let [call] = seen.service_calls.as_slice() else {
            panic!("{way}: {:?}", seen.service_calls);
        };
        assert!(!call.is_awaited);
        let [told] = named(call).try_into().unwrap();
        assert!(text(&seen.client).contains(&told.encode()), "{way}");
    }
}

fn panic_is_no_answer() -> Option<(u16, Vec<u8>)> {
    Some((500, b"nobody reads this".to_vec()))
}

#[test]
fn a_waiting_call_is_charged_once_and_only_after_the_response() {
    let limited = |count: &str, max: u32| {
        waiting_with(
            "wait: 30s",
            &format!(
                "  - {{ id: limit, match: {{ tool: refund }}, action: deny, limit: {{ count: {count}, max: {max}, window: 1h }} }}\n"
            ),
        )
    };
    for (way, request, answer) in ways() {
        // A call without approval counts as an attempt, and not as a call.
        for (guard, passing) in [
            (limited("tool_calls", 2), 2),
            (limited("tool_call_attempts", 3), 2),
        ] {
            let run = |tokens: bool| {
                served(&guard, &request, answer.clone(), |call| match tokens {
                    true => agrees(call),
                    false => gives(&[]),
                })
            };
            assert_eq!(record(&run(false))["code"], "AG3003", "{way}");
            for _ in 0..passing {
                let seen = run(true);
                assert!(has_passed(&seen), "{way}: {}", text(&seen.client));
            }
            let over = run(true);
            assert_eq!(record(&over)["code"], "AG5001", "{way}");
        }
    }
}

#[test]
fn a_waiting_stream_holds_later_bytes_and_only_these() {
    let (_, request, response) = &ways()[1];
    let body = response.body();
    // The whole stream arrives before the service responds, in pieces of every size.
    for size in [1, 7, 64, body.len()] {
        let guard = waiting();
        let (mut flow, asked, client) = stalled(&guard, request, &body, size);
        let answer = agrees(&asked).unwrap().1;
        let answer = ServiceAnswer::Received {
            status: 200,
            body: &answer,
        };
        let mut none: &[u8] = &[];
        let now = NOW + 5 * SECOND;
        let resumed = flow
            .service_answered(asked.number, &answer, &mut none, now)
            .unwrap();
        let Action::Replace(rest) = resumed.step.action else {
            panic!("{:?}", resumed.step);
        };
        assert_eq!([client, rest].concat(), body, "pieces of {size}");
        assert_eq!(guard.taken_memory(), 0);
        // A second response to the same call is ignored.
        assert!(
            flow.service_answered(asked.number, &answer, &mut none, now)
                .is_none()
        );
        drop(flow);
    }
}

/// Sends a whole stream to a flow that waits in it. Returns the call to the service, and the bytes for the client so
/// far.
fn stalled(
    guard: &Rc<Guard>,
    request: &HttpMessage,
    body: &[u8],
    size: usize,
) -> (Flow, ServiceCall, Vec<u8>) {
    let pieces = body.chunks(size).map(|piece| (piece, false));
    streamed_in(guard, request, pieces.chain([(&[][..], true)]))
}

/// Like [`stalled`], for the pieces of a stream, each with whether it is the last one.
fn streamed_in<'p>(
    guard: &Rc<Guard>,
    request: &HttpMessage,
    pieces: impl Iterator<Item = (&'p [u8], bool)>,
) -> (Flow, ServiceCall, Vec<u8>) {
    let mut flow = Flow::new(Rc::clone(guard));
    let _ = sends_head(&mut flow, request);
    let asked = request.body();
    let _ = flow.request_body(&mut asked.as_slice(), true, NOW);
    let _ = flow.response_headers(&ResponseHead {
        headers: &[
            (b":status", b"200"),
            (b"content-type", b"text/event-stream"),
        ],
        end: false,
        now: NOW,
    });
    let (mut client, mut call) = (Vec::new(), None);
    for (mut piece, is_last) in pieces {
        let step = flow.response_body(&mut piece, is_last, NOW);
        call = call.or(step.calls.into_iter().next());
        match step.action {
            Action::Continue => client.extend_from_slice(piece),
            Action::Replace(bytes) => client.extend_from_slice(&bytes),
            action => assert_eq!(action, Action::Take),
        }
    }
    (flow, call.unwrap(), client)
}

#[test]
fn a_client_that_leaves_while_it_waits_is_recorded() {
    for (way, request, response) in ways() {
        let guard = waiting();
        let mut flow = match way {
            "stream" => stalled(&guard, &request, &response.body(), 64).0,
            _ => {
                let mut flow = Flow::new(Rc::clone(&guard));
                let _ = sends_head(&mut flow, &request);
                let asked = request.body();
                let mut step = flow.request_body(&mut asked.as_slice(), true, NOW);
                if way == "whole" {
                    let _ = flow.response_headers(&ResponseHead {
                        headers: &[(b":status", b"200"), (b"content-type", b"application/json")],
                        end: false,
                        now: NOW,
                    });
                    step = flow.response_body(&mut response.body().as_slice(), true, NOW);
                }
                assert_eq!(step.action, Action::Hold, "{way}");
                flow
            }
        };
        let finished = flow.finish(&End {
            now: NOW + SECOND,
            status: Some(0),
            ..End::default()
        });
        let record: Value = serde_json::from_slice(&finished.line).unwrap();
        assert_eq!(record["decision"], "require_approval", "{way}: {record}");
        assert_eq!(record["approval"]["state"], "waiting", "{way}");
        drop(flow);
        assert_eq!(guard.taken_memory(), 0);
    }
}

#[test]
fn a_call_that_is_killed_while_it_waits_does_not_pass() {
    for (way, request, answer) in ways() {
        let guard = waiting();
        let seen = served(&guard, &request, answer, |call| {
            let list = r#"{"apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":1,
                           "kill":[{"all":true,"reason":"It runs wild."}]}"#;
            let list = KillList::from_json(list.as_bytes()).unwrap();
            guard.kill.set(KillState::List(Rc::new(list)));
            agrees(call)
        });
        assert!(!has_passed(&seen), "{way}: {}", text(&seen.client));
        assert_eq!(record(&seen)["code"], "AG3006", "{way}");
        assert!(text(&seen.client).contains("It runs wild."), "{way}");
    }
}

#[test]
fn a_stream_that_sends_too_much_while_it_waits_ends() {
    let guard = guard(&format!(
        "{}approval_service: {{ cluster: approvals }}
inspect: {{ max_body: 4KiB }}
defaults: {{ action: allow, uninspectable: allow }}
rules:
  - id: large
    match: {{ tool: refund }}
    action: require_approval
    approval: {{ by: manager, wait: 30s }}
",
        approvers()
    ));
    let mut response = streamed_call(["{\"amount\": 2", "50}"]).body();
    let end = response.len() - "data: [DONE]\n\n".len();
    let text = format!(": {}\n\n", "x".repeat(100)).repeat(60);
    response.splice(end..end, text.into_bytes());
    let pieces = response.chunks(200).map(|piece| (piece, false));
    let (mut flow, asked, client) = streamed_in(&guard, &ways()[1].1, pieces);
    let client = String::from_utf8(client).unwrap();
    assert!(!client.contains("250"), "{client}");
    let answer = ServiceAnswer::Unreachable;
    let mut none: &[u8] = &[];
    assert!(
        flow.service_answered(asked.number, &answer, &mut none, NOW)
            .is_none()
    );
    let finished = flow.finish(&End {
        now: NOW,
        ..End::default()
    });
    let record: Value = serde_json::from_slice(&finished.line).unwrap();
    assert_eq!(record["code"], "AG2014", "{record}");
}
