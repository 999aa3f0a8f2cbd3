//! Approvals: an agent is denied, gets an approval and retries.

use crate::scene::{
    Mode, answers, both_modes, calls, case, in_every_way, in_mode, policy, says, with,
};
use agentguard::approval::{ApprovalRequest, SigningKey, mint, nonce};
use harness::{Answer, Http, Listening, Request, Response, Setup, Site, Version};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

in_both_envoys![
    an_approved_call_of_a_response_passes_once,
    an_approved_call_of_a_tool_server_passes_once_and_the_server_sees_no_token,
    an_approved_request_passes_once,
    one_token_in_parallel_passes_once_over_all_workers,
    a_token_is_for_the_tenant_that_asked,
    a_token_is_for_the_session_that_asked,
];

pub const REFUND: &str = r#"{"amount": 250, "to": "x"}"#;

pub fn manager() -> SigningKey {
    SigningKey::from_seed("manager", [1; 32])
}

#[expect(clippy::disallowed_methods, reason = "an approver has a clock")]
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a clock after 1970").as_secs()
}

/// Returns a policy in which large refunds need a manager.
pub fn refunds() -> Value {
    let rule = json!({
        "id": "large",
        "match": {"tool": "refund"},
        "when": {"args.amount": {"greater_than": 100}},
        "action": "require_approval",
        "approval": {"by": "manager", "show": "args.amount"},
        "reason": "Large refunds need a manager.",
    });
    let public = manager().public().expect("a public key");
    with(
        policy(json!([rule])),
        json!({"approvers": {"manager": public}}),
    )
}

/// Returns the approval request in a client's response.
pub fn requested(response: &Response) -> ApprovalRequest {
    let body = String::from_utf8_lossy(&response.body);
    let (_, rest) = body.split_once("agar1.").expect(&body);
    let payload = rest.split(['"', '\\', ' ']).next().unwrap_or_default();
    ApprovalRequest::parse(&format!("agar1.{payload}")).expect("a request")
}

/// Returns the token that `agentguard approve` prints for a manager.
pub fn approved(request: &ApprovalRequest) -> String {
    approved_by(request, &manager())
}

/// Returns a token that a key signs for a request.
pub fn approved_by(request: &ApprovalRequest, key: &SigningKey) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    mint(request, key, now(), nonce(&number))
}

pub fn asks() -> Request {
    Request::chat(says("Refund me."))
}

fn asks_with(token: &str) -> Request {
    asks().header("x-agentguard-approval", token)
}

fn called(response: &Response) -> bool {
    response.json()["choices"][0]["message"]["tool_calls"].is_array()
}

fn detail(site: &Listening) -> Value {
    let record = site.records.next();
    assert_eq!(record["code"], "AG3004", "{record}");
    assert_eq!(record["approval"]["state"], "invalid");
    record["approval"]["detail"].clone()
}

fn an_approved_call_of_a_response_passes_once(version: Version) {
    let envoy = both_modes(version, &refunds());
    in_every_way(&envoy, |site, _, http| {
        envoy.provider.answer_always(calls(&[("refund", REFUND)]));
        let denied = site.send(http, &asks());
        assert!(!called(&denied));
        let record = site.records.next();
        assert_eq!(record["code"], "AG3003");
        assert_eq!(record["approval"]["state"], "required");
        let request = requested(&denied);
        assert_eq!(request.shown(), Some(r#"{"args.amount":[250]}"#));
        let token = approved(&request);
        // The model calls with other arguments.
        envoy
            .provider
            .answer_always(calls(&[("refund", r#"{"amount": 1000, "to": "x"}"#)]));
        assert!(!called(&site.send(http, &asks_with(&token))));
        assert_eq!(detail(site), "changed_arguments");
        // The model calls with the same arguments in another spelling.
        envoy
            .provider
            .answer_always(calls(&[("refund", r#"{"to":"\u0078","amount":2.5e2}"#)]));
        let passed = site.send(http, &asks_with(&token));
        assert!(called(&passed), "{}", passed.json());
        let record = site.records.next();
        assert_eq!(record["decision"], "allow");
        assert_eq!(record["approval"]["state"], "approved");
        assert_eq!(record["approval"]["id"], *request.id);
        let upstream = envoy.provider.last();
        assert_eq!(upstream.header("x-agentguard-approval"), None);
        assert!(!called(&site.send(http, &asks_with(&token))));
        assert_eq!(detail(site), "replayed");
    });
}

pub fn tool_call(token: Option<&str>) -> Request {
    let mut params =
        json!({"name": "refund", "arguments": {"amount": 250}, "_meta": {"progressToken": 7}});
    if let Some(token) = token {
        params["_meta"]["agentguard/approval"] = json!(token);
    }
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    Request::new("POST", "/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-06-18")
        .header("content-length", body.len().to_string())
        .body(body)
}

fn an_approved_call_of_a_tool_server_passes_once_and_the_server_sees_no_token(version: Version) {
    let envoy = both_modes(version, &refunds());
    let result = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "done"}]}});
    let done = Answer::json(200, result.to_string().as_bytes());
    envoy.provider.answer_always(done);
    in_every_way(&envoy, |site, _, http| {
        let denied = site.send(http, &tool_call(None));
        assert_eq!(denied.status, 200);
        let meta = denied.json()["result"]["_meta"]["agentguard"].clone();
        assert_eq!(meta["code"], "AG3003");
        site.records.next();
        let token = approved(&requested(&denied));
        let passed = site.send(http, &tool_call(Some(&token)));
        assert_eq!(passed.json(), result);
        assert_eq!(site.records.next()["decision"], "allow");
        let upstream = envoy.provider.last();
        let body: Value = serde_json::from_slice(&upstream.body).expect("JSON");
        assert_eq!(body["params"]["_meta"], json!({"progressToken": 7}));
        let replayed = site.send(http, &tool_call(Some(&token)));
        assert_eq!(replayed.json()["result"]["isError"], true);
        assert_eq!(detail(site), "replayed");
    });
}

fn an_approved_request_passes_once(version: Version) {
    let rule = json!({
        "id": "dear",
        "match": {"event": "request", "model": "gpt-4o"},
        "action": "require_approval",
        "approval": {"by": "manager"},
    });
    let public = manager().public().expect("a public key");
    let keys = json!({"approvers": {"manager": public}});
    let envoy = both_modes(version, &with(policy(json!([rule])), keys));
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        let denied = site.send(http, &asks());
        assert_eq!(denied.status, 400);
        site.records.next();
        let token = approved(&requested(&denied));
        let other = Request::chat(says("Refund me twice.")).header("x-agentguard-approval", &token);
        assert_eq!(site.send(http, &other).status, 400);
        assert_eq!(detail(site), "changed_arguments");
        assert_eq!(site.send(http, &asks_with(&token)).status, 200);
        site.records.next();
        assert_eq!(site.send(http, &asks_with(&token)).status, 400);
        assert_eq!(detail(site), "replayed");
    });
}

fn one_token_in_parallel_passes_once_over_all_workers(version: Version) {
    const THREADS: usize = 16;
    const EACH: usize = 8;
    let policy = refunds();
    let sites = Mode::BOTH.map(|mode| Site::new(mode.word(), &in_mode(&policy, mode)));
    let envoy = Setup::new(version, sites.to_vec()).workers(4).lease_apart();
    envoy.provider.answer_always(calls(&[("refund", REFUND)]));
    for mode in Mode::BOTH {
        case(mode.word(), || {
            let site = envoy.site(mode.word());
            let token = approved(&requested(&site.send(Http::One, &asks())));
            let passed = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        for _ in 0..EACH {
                            let response = site.send(Http::One, &asks_with(&token));
                            assert_eq!(response.status, 200);
                            passed.fetch_add(usize::from(called(&response)), Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(passed.load(Ordering::Relaxed), 1);
        });
    }
}

fn a_token_is_for_the_tenant_that_asked(version: Version) {
    // SHA-256 of `acme-key-0123456789abcdef` and `beta-key-0123456789abcdef`.
    let key = |hash: &str, tenant: &str| json!({"sha256": hash, "client": "bot", "tenant": tenant});
    let keys = [
        key(
            "8d1fde3e812f6f2e7da16e8dbbe290a806f4608424c237f78886b81304c4c234",
            "acme",
        ),
        key(
            "eb21fbde279a3af10c35f2f55a8143566ee012e75173d91ca07c3c49235edeca",
            "beta",
        ),
    ];
    let source = json!([{"name": "key", "api_key": {"header": "x-agent-key", "keys": keys}}]);
    let policy = with(
        refunds(),
        json!({"principals": source, "require": "identity"}),
    );
    let envoy = both_modes(version, &policy);
    envoy.provider.answer_always(calls(&[("refund", REFUND)]));
    in_every_way(&envoy, |site, _, http| {
        let acme = |request: Request| request.header("x-agent-key", "acme-key-0123456789abcdef");
        let beta = |request: Request| request.header("x-agent-key", "beta-key-0123456789abcdef");
        let denied = site.send(http, &acme(asks()));
        site.records.next();
        let request = requested(&denied);
        assert_eq!(request.subject.tenant.as_deref(), Some("acme"));
        let token = approved(&request);
        assert!(!called(&site.send(http, &beta(asks_with(&token)))));
        assert_eq!(detail(site), "other_tenant");
        assert!(called(&site.send(http, &acme(asks_with(&token)))));
        site.records.next();
    });
}

fn a_token_is_for_the_session_that_asked(version: Version) {
    let mut policy = refunds();
    policy["rules"][0]["approval"]["session"] = json!(["header:x-session-id", "first_messages"]);
    let envoy = both_modes(version, &policy);
    envoy.provider.answer_always(calls(&[("refund", REFUND)]));
    let says_in = |session: Option<&str>, text: &str| {
        let request = Request::chat(says(text));
        match session {
            Some(session) => request.header("x-session-id", session),
            None => request,
        }
    };
    in_every_way(&envoy, |site, _, http| {
        for session in [Some("s1"), None] {
            let denied = site.send(http, &says_in(session, "Refund me."));
            assert_eq!(site.records.next()["code"], "AG3003");
            let token = approved(&requested(&denied));
            let with_token = |request: Request| request.header("x-agentguard-approval", &token);
            for (session, text) in [(Some("s2"), "Refund me."), (None, "Refund us.")] {
                let elsewhere = site.send(http, &with_token(says_in(session, text)));
                assert!(!called(&elsewhere));
                assert_eq!(detail(site), "other_session");
            }
            let passed = site.send(http, &with_token(says_in(session, "Refund me.")));
            assert!(called(&passed), "{}", passed.json());
            assert_eq!(site.records.next()["approval"]["state"], "approved");
        }
    });
}
