//! Approval service: a call waits for the service's response, and passes with the tokens that the service signs.

use crate::approvals::{REFUND, approved_by, asks, manager, tool_call};
use crate::scene::{
    Mode, calls, case, completion, in_every_way, in_mode, policy, says, sites, with,
};
use agentguard::approval::{ApprovalRequest, SigningKey, digest};
use harness::{
    Answer, CLOSED, Envoy, Gate, Http, Listening, Provider, Received, Request, Response, Setup,
    Site, Version, wait_for,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

in_both_envoys![
    what_waits_passes_once_the_service_agrees,
    what_the_service_does_not_approve_is_denied_with_its_reason,
    a_service_that_is_not_there_is_a_denial,
    calls_of_a_stream_wait_one_after_another_and_nothing_overtakes_them,
    a_client_that_leaves_while_it_waits_harms_nobody,
    fifty_wait_and_others_pass_at_once,
    a_notice_arrives_though_nothing_waits_for_it,
];

/// Returns a policy in which large refunds wait for a manager.
pub fn refunds(approval: Value) -> Value {
    let lead = SigningKey::from_seed("lead", [2; 32]);
    let rule = json!({
        "id": "large",
        "match": {"tool": "refund"},
        "when": {"args.amount": {"greater_than": 100}},
        "action": "require_approval",
        "approval": with(json!({"by": "manager", "show": "args.amount"}), approval),
        "reason": "Large refunds need a manager.",
    });
    with(
        policy(json!([rule])),
        json!({
            "approvers": {"manager": manager().public(), "lead": lead.public()},
            "approval_service": {"cluster": "approvals", "path": "/v1/approvals", "authority": "approvals.example"},
        }),
    )
}

pub fn start(version: Version, policy: &Value, service: SocketAddr) -> Envoy {
    Setup::new(version, sites(policy))
        .service("approvals", service)
        .lease()
}

/// Returns the approval requests in a query of the service.
pub fn named(received: &Received) -> Vec<ApprovalRequest> {
    assert_eq!(received.method, "POST");
    assert_eq!(received.path, "/v1/approvals");
    assert_eq!(received.header("host"), Some("approvals.example"));
    assert_eq!(received.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&received.body).expect("JSON");
    assert_eq!(body["agentguard"], "approval_request");
    let requests = body["requests"].as_array().expect("a list");
    let texts = requests.iter().map(|each| each["request"].as_str());
    texts
        .map(|text| ApprovalRequest::parse(text.unwrap_or_default()).expect("a request"))
        .collect()
}

fn gives(tokens: &[String]) -> Answer {
    let body = json!({"agentguard": "approval", "tokens": tokens});
    Answer::json(200, body.to_string().as_bytes())
}

/// Reference responder, which approves everything.
pub fn agrees(received: &Received) -> Answer {
    let requests = named(received);
    let tokens: Vec<String> = requests
        .iter()
        .map(|request| approved_by(request, &manager()))
        .collect();
    gives(&tokens)
}

fn frame(delta: Value, finish: Value) -> Vec<u8> {
    let frame = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                       "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    format!("data: {frame}\n\n").into_bytes()
}

fn frames() -> Vec<Vec<u8>> {
    let call = json!({"index": 0, "id": "call_0", "type": "function",
                      "function": {"name": "refund", "arguments": REFUND}});
    vec![
        frame(
            json!({"role": "assistant", "content": "One moment. "}),
            Value::Null,
        ),
        frame(json!({"tool_calls": [call]}), Value::Null),
        frame(json!({}), json!("tool_calls")),
        b"data: [DONE]\n\n".to_vec(),
    ]
}

fn streams(frames: &[Vec<u8>]) -> Answer {
    let start = Answer::chunked(200, &[("content-type", "text/event-stream")]);
    frames
        .iter()
        .fold(start, |answer, frame| answer.chunk(frame))
        .end()
}

/// Returns the ways in which a call arrives, each with the provider's response, and the body that the client gets if the
/// call passes.
fn ways() -> Vec<(&'static str, Request, Answer, Vec<u8>)> {
    let call = json!([{"id": "call_0", "type": "function", "function": {"name": "refund", "arguments": REFUND}}]);
    let whole = completion(
        json!({"role": "assistant", "content": null, "tool_calls": call, "refusal": null}),
        "tool_calls",
    );
    let done = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "done"}]}});
    let done = done.to_string().into_bytes();
    vec![
        ("whole", asks(), Answer::json(200, &whole), whole),
        ("stream", asks(), streams(&frames()), frames().concat()),
        ("request", tool_call(None), Answer::json(200, &done), done),
    ]
}

fn what_waits_passes_once_the_service_agrees(version: Version) {
    let service = Provider::start();
    service.answer_with(agrees);
    let envoy = start(version, &refunds(json!({"wait": "30s"})), service.address);
    in_every_way(&envoy, |site, _, http| {
        for (way, request, answer, expected) in ways() {
            case(way, || {
                envoy.provider.answer_always(answer);
                service.forget();
                let passed = site.send(http, &request);
                assert_eq!(passed.status, 200);
                let body = String::from_utf8_lossy(&passed.body);
                assert_eq!(body, String::from_utf8_lossy(&expected));
                let record = site.records.next();
                assert_eq!(record["decision"], "allow", "{record}");
                assert_eq!(record["approval"]["state"], "approved");
                let asked = named(&service.last());
                assert_eq!(asked.len(), 1);
                assert_eq!(record["approval"]["id"], *asked[0].id);
                assert_eq!(asked[0].shown(), Some(r#"{"args.amount":[250]}"#));
            });
        }
    });
}

/// Sends a request whose call must not pass. Returns the response and the audit event.
fn denied(site: &Listening, http: Http, request: &Request) -> (Response, Value) {
    let response = site.send(http, request);
    assert!(!String::from_utf8_lossy(&response.body).contains("\"name\":\"refund\""));
    assert!(!String::from_utf8_lossy(&response.body).contains("done"));
    (response, site.records.next())
}

fn what_the_service_does_not_approve_is_denied_with_its_reason(version: Version) {
    let service = Provider::start();
    let envoy = start(version, &refunds(json!({"wait": "1s"})), service.address);
    type Wrong = fn(&ApprovalRequest) -> Answer;
    let cases: [(&str, &str, Wrong); 9] = [
        ("AG3003", "", |_| gives(&[])),
        ("AG3003", "", |_| gives(&[]).after(&Gate::default())),
        ("AG3007", "service_status", |_| Answer::json(500, b"{}")),
        ("AG3007", "service_status", |_| Answer::none()),
        ("AG3007", "malformed_answer", |_| {
            Answer::new(200, &[], b"yes, do")
        }),
        ("AG3004", "bad_signature", |request| {
            let token = approved_by(request, &manager());
            let (unsigned, _) = token.rsplit_once('.').expect("a signature");
            gives(&[format!("{unsigned}.")])
        }),
        ("AG3004", "changed_arguments", |request| {
            let mut other = request.clone();
            let args = digest(br#"{"amount":1,"to":"x"}"#).expect("JSON");
            other.subject.args = args.into();
            gives(&[approved_by(&other, &manager())])
        }),
        ("AG3004", "wrong_role", |request| {
            gives(&[approved_by(
                request,
                &SigningKey::from_seed("lead", [2; 32]),
            )])
        }),
        ("AG3004", "unknown_key", |request| {
            gives(&[approved_by(
                request,
                &SigningKey::from_seed("manager", [9; 32]),
            )])
        }),
    ];
    for (code, detail, wrong) in cases {
        service.answer_with(move |received| wrong(&named(received)[0]));
        for (way, request, answer, _) in ways() {
            for mode in Mode::BOTH {
                case(&format!("{code} {detail} {way} {mode:?}"), || {
                    envoy.provider.answer_always(answer.clone());
                    let (response, record) = denied(envoy.site(mode.word()), Http::Two, &request);
                    assert_eq!(record["code"], code, "{record}");
                    assert_eq!(record["decision"], "require_approval");
                    let told = record["approval"]["detail"].as_str().unwrap_or_default();
                    assert_eq!(told, detail);
                    // The call can still be approved by hand.
                    assert!(String::from_utf8_lossy(&response.body).contains("agar1."));
                });
            }
        }
    }
}

fn a_service_that_is_not_there_is_a_denial(version: Version) {
    let (mut sites, mut names) = (Vec::new(), Vec::new());
    for cluster in ["approvals", "nowhere", "unheard-of"] {
        let mut policy = refunds(json!({"wait": "30s", "notify": true}));
        policy["approval_service"]["cluster"] = json!(cluster);
        for mode in Mode::BOTH {
            let name = format!("{cluster}-{}", mode.word());
            sites.push(Site::new(&name, &in_mode(&policy, mode)));
            names.push(name);
        }
    }
    let envoy = Setup::new(version, sites)
        .service("approvals", CLOSED)
        .lease();
    for name in names {
        for (way, request, answer, _) in ways() {
            case(&format!("{name} {way}"), || {
                envoy.provider.answer_always(answer);
                let (_, record) = denied(envoy.site(&name), Http::One, &request);
                assert_eq!(record["code"], "AG3007", "{record}");
                let detail = match name.starts_with("approvals") {
                    true => "service_status",
                    false => "service_unreachable",
                };
                assert_eq!(record["approval"]["detail"], detail);
            });
        }
    }
    assert!(
        envoy
            .printed()
            .contains("AG3007 the approval service behind cluster `unheard-of` failed")
    );
}

fn calls_of_a_stream_wait_one_after_another_and_nothing_overtakes_them(version: Version) {
    let service = Provider::start();
    // One for each case: an open one holds nothing.
    let gate: Arc<Mutex<Gate>> = Arc::default();
    let (count, held) = (AtomicUsize::new(0), Arc::clone(&gate));
    service.answer_with(
        move |received| match count.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => agrees(received).after(&held.lock().expect("a gate")),
            _ => agrees(received),
        },
    );
    let envoy = start(version, &refunds(json!({"wait": "30s"})), service.address);
    // Two choices, of which the second one calls while the first waits; then text, in many pieces.
    let choice = |index: u32, delta: Value, finish: Value| {
        let frame = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                           "choices": [{"index": index, "delta": delta, "finish_reason": finish}]});
        format!("data: {frame}\n\n").into_bytes()
    };
    let call = |index: u32| {
        choice(
            index,
            json!({"tool_calls": [{"index": 0, "id": format!("call_{index}"), "type": "function",
                                   "function": {"name": "refund", "arguments": REFUND}}]}),
            Value::Null,
        )
    };
    let mut frames = vec![
        choice(
            0,
            json!({"role": "assistant", "content": null}),
            Value::Null,
        ),
        choice(
            1,
            json!({"role": "assistant", "content": null}),
            Value::Null,
        ),
        call(0),
        choice(0, json!({}), json!("tool_calls")),
        call(1),
        choice(1, json!({}), json!("tool_calls")),
    ];
    frames.extend((0..50).map(|_| choice(2, json!({"content": "x".repeat(2000)}), Value::Null)));
    frames.push(b"data: [DONE]\n\n".to_vec());
    envoy.provider.answer_always(streams(&frames));
    for mode in Mode::BOTH {
        for http in Http::BOTH {
            case(&format!("{mode:?} {http:?}"), || {
                service.forget();
                let closed = Gate::default();
                *gate.lock().expect("a gate") = closed.clone();
                let site = envoy.site(mode.word());
                let live = site.open(http, &asks());
                wait_for("the service to be asked", || {
                    (service.count() == 1).then_some(())
                });
                closed.open();
                let response = live.rest();
                assert_eq!(
                    String::from_utf8_lossy(&response.body),
                    String::from_utf8_lossy(&frames.concat())
                );
                assert_eq!(service.count(), 2);
                let record = site.records.next();
                assert_eq!(record["decision"], "allow", "{record}");
                assert_eq!(record["events"]["tool_call"], 2);
            });
        }
    }
}

fn a_client_that_leaves_while_it_waits_harms_nobody(version: Version) {
    let service = Provider::start();
    let gate = Gate::default();
    let held = gate.clone();
    service.answer_with(move |received| agrees(received).after(&held));
    let envoy = start(version, &refunds(json!({"wait": "30s"})), service.address);
    for (way, request, answer, _) in ways() {
        for mode in Mode::BOTH {
            case(&format!("{way} {mode:?}"), || {
                envoy.provider.answer_always(answer.clone());
                service.forget();
                let site = envoy.site(mode.word());
                let mut raw = site.raw();
                raw.send(&request.bytes());
                wait_for("the service to be asked", || {
                    (service.count() == 1).then_some(())
                });
                drop(raw);
                let record = site.records.next();
                assert_eq!(record["decision"], "require_approval", "{record}");
                assert_eq!(record["approval"]["state"], "waiting");
            });
        }
    }
    gate.open();
    // The filter still runs, and responses to queries that are no longer awaited do nothing.
    for mode in Mode::BOTH {
        let (_, request, answer, expected) = ways().remove(1);
        envoy.provider.answer_always(answer);
        assert_eq!(
            envoy.site(mode.word()).send(Http::One, &request).body,
            expected
        );
    }
}

fn fifty_wait_and_others_pass_at_once(version: Version) {
    const WAITING: usize = 50;
    let service = Provider::start();
    let gate = Gate::default();
    let held = gate.clone();
    service.answer_with(move |received| agrees(received).after(&held));
    let policy = refunds(json!({"wait": "60s"}));
    let envoy = Setup::new(version, sites(&policy))
        .service("approvals", service.address)
        .workers(2)
        .lease_apart();
    let done = ways().remove(2).2;
    envoy.provider.answer_always(done);
    for mode in Mode::BOTH {
        service.forget();
        let site = envoy.site(mode.word());
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..WAITING)
                .map(|_| scope.spawn(|| site.send(Http::One, &tool_call(None))))
                .collect();
            wait_for("all to wait", || (service.count() == WAITING).then_some(()));
            // None of the waiting calls gets its response before these.
            for _ in 0..WAITING {
                let passed = site.send(Http::One, &Request::chat(says("Hello")));
                assert_eq!(passed.status, 200);
            }
            gate.open();
            for response in waiting {
                let response = response.join().expect("a response");
                assert!(String::from_utf8_lossy(&response.body).contains("done"));
            }
        });
    }
}

fn a_notice_arrives_though_nothing_waits_for_it(version: Version) {
    let service = Provider::start();
    let gate = Gate::default();
    // A notice is not awaited, even if its response never comes.
    service.answer_always(gives(&[]).after(&gate));
    let envoy = start(version, &refunds(json!({"notify": true})), service.address);
    envoy.provider.answer_always(calls(&[("refund", REFUND)]));
    in_every_way(&envoy, |site, _, http| {
        for (way, request, answer, _) in ways() {
            case(way, || {
                envoy.provider.answer_always(answer);
                service.forget();
                let (response, record) = denied(site, http, &request);
                assert_eq!(record["code"], "AG3003");
                let told = named(&service.whole(0));
                assert_eq!(told.len(), 1);
                let body = String::from_utf8_lossy(&response.body);
                assert!(body.contains(&told[0].encode()), "{body}");
            });
        }
    });
}
