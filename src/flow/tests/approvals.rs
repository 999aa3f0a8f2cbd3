//! Approvals: the approval request in a denial, and the token that lets the call pass.

use super::*;
use crate::approval::{ApprovalRequest, SigningKey, VERIFICATIONS, mint, nonce};
use crate::event::Principal;

pub(super) const SECOND: u64 = 1_000_000_000;

pub(super) fn manager() -> SigningKey {
    SigningKey::from_seed("manager", [1; 32])
}

pub(super) fn lead() -> SigningKey {
    SigningKey::from_seed("lead", [2; 32])
}

pub(super) fn approvers() -> String {
    format!(
        "approvers: {{ manager: \"{}\", lead: \"{}\" }}\n",
        manager().public().unwrap(),
        lead().public().unwrap()
    )
}

fn refunds() -> Rc<Guard> {
    guard(&format!(
        "{}defaults: {{ action: allow }}
rules:
  - id: large
    match: {{ tool: refund }}
    when: {{ args.amount: {{ greater_than: 100 }} }}
    action: require_approval
    approval: {{ by: manager, show: args.amount }}
",
        approvers()
    ))
}

pub(super) fn asks(tokens: &[String]) -> HttpMessage {
    let mut request = chat_request(&says("Refund me."));
    for token in tokens {
        request.headers.push((
            b"x-agentguard-approval".to_vec(),
            token.clone().into_bytes(),
        ));
    }
    request
}

pub(super) fn calls(arguments: &[&str]) -> HttpMessage {
    let calls: Vec<Value> = (0..)
        .zip(arguments)
        .map(|(number, arguments)| {
            json!({"id": format!("c{number}"), "type": "function",
                   "function": {"name": "refund", "arguments": arguments}})
        })
        .collect();
    answer(
        json!({"role": "assistant", "content": null, "tool_calls": calls}),
        "tool_calls",
    )
}

fn exchange(guard: &Rc<Guard>, request: &HttpMessage, answer: HttpMessage) -> SimulatedResult {
    run(guard, request, |_| answer, NOW)
}

fn exchange_at(
    guard: &Rc<Guard>,
    request: &HttpMessage,
    answer: HttpMessage,
    seconds: u64,
) -> SimulatedResult {
    run(guard, request, |_| answer, NOW + seconds * SECOND)
}

pub(super) fn text(message: &HttpMessage) -> String {
    String::from_utf8(message.body()).unwrap()
}

/// Returns the approval request in the client's response, wherever it is.
pub(super) fn requested(seen: &SimulatedResult) -> ApprovalRequest {
    let body = text(&seen.client);
    let (_, rest) = body
        .split_once("agar1.")
        .unwrap_or_else(|| panic!("no request in {body}"));
    let payload = rest.split(['"', '\\', ' ']).next().unwrap();
    ApprovalRequest::parse(&format!("agar1.{payload}")).unwrap()
}

pub(super) fn approved_by(key: &SigningKey, request: &ApprovalRequest) -> String {
    mint(request, key, NOW / SECOND, nonce(&[5; 16]))
}

pub(super) fn record(seen: &SimulatedResult) -> Value {
    serde_json::from_slice(&seen.finished.line).unwrap()
}

/// Returns whether the call passed.
pub(super) fn passes(seen: &SimulatedResult) -> bool {
    text(&seen.client).contains("\"tool_calls\":[")
}

fn detail(seen: &SimulatedResult) -> String {
    let record = record(seen);
    assert_eq!(record["code"], "AG3004", "{record}");
    record["approval"]["detail"].as_str().unwrap().to_owned()
}

#[test]
fn an_approved_call_passes_once_and_no_other_does() {
    let guard = refunds();
    let first = exchange(
        &guard,
        &asks(&[]),
        calls(&[r#"{"amount": 250, "to": "x"}"#]),
    );
    assert!(!passes(&first));
    assert_eq!(record(&first)["code"], "AG3003");
    assert_eq!(record(&first)["approval"]["state"], "required");
    let request = requested(&first);
    assert_eq!(&*request.subject.what, "refund");
    assert_eq!(request.shown(), Some(r#"{"args.amount":[250]}"#));
    let token = [approved_by(&manager(), &request)];
    // The model may spell the arguments differently, but not change them.
    let changed = exchange(
        &guard,
        &asks(&token),
        calls(&[r#"{"amount": 1000, "to": "x"}"#]),
    );
    assert!(!passes(&changed));
    assert_eq!(detail(&changed), "changed_arguments");
    let again = exchange(
        &guard,
        &asks(&token),
        calls(&[r#"{"to":"\u0078","amount":2.5e2}"#]),
    );
    assert!(passes(&again), "{}", text(&again.client));
    assert_eq!(record(&again)["decision"], "allow");
    assert_eq!(record(&again)["approval"]["state"], "approved");
    assert_eq!(record(&again)["approval"]["id"], *request.id);
    let replayed = exchange(
        &guard,
        &asks(&token),
        calls(&[r#"{"amount": 250, "to": "x"}"#]),
    );
    assert!(!passes(&replayed));
    assert_eq!(detail(&replayed), "replayed");
}

#[test]
fn a_call_whose_approval_is_spent_meanwhile_is_counted_as_denied_and_no_other_is() {
    let guard = refunds();
    let large = r#"{"amount": 250}"#;
    let first = exchange(&guard, &asks(&[]), calls(&[large]));
    let token = [approved_by(&manager(), &requested(&first))];
    // Two calls with one approval, and one of a tool whose name ends alike.
    let called = |name: &str| json!({"id": name, "type": "function", "function": {"name": name, "arguments": large}});
    let tools = ["refund", "refund", "prerefund"].map(called);
    let said = answer(
        json!({"role": "assistant", "content": null, "tool_calls": tools}),
        "tool_calls",
    );
    let seen = exchange(&guard, &asks(&token), said);
    assert_eq!(detail(&seen), "replayed");
    let counted = |tool: &str, decision: &str| {
        let labels = vec![tool.to_owned(), decision.to_owned()];
        let told = ("agentguard_tool_calls_total", labels, 1);
        seen.counts.iter().filter(|count| **count == told).count()
    };
    assert_eq!(counted("refund", "allow"), 1);
    assert_eq!(counted("refund", "require_approval"), 1);
    assert_eq!(counted("prerefund", "allow"), 1);
}

#[test]
fn each_token_is_verified_once_for_all_calls_of_an_exchange() {
    let guard = refunds();
    let arguments: Vec<String> = (200..300)
        .map(|amount| format!("{{\"amount\": {amount}}}"))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let first = exchange(&guard, &asks(&[]), calls(&arguments[50..51]));
    let request = requested(&first);
    let mut tokens = vec![approved_by(&manager(), &request)];
    tokens.extend((0..7).map(|number| mint(&request, &lead(), NOW / SECOND, nonce(&[number; 16]))));
    VERIFICATIONS.set(0);
    let seen = exchange(&guard, &asks(&tokens), calls(&arguments));
    assert_eq!(VERIFICATIONS.get(), 8);
    // Only the approved call passes.
    assert!(text(&seen.client).contains("{\\\"amount\\\": 250}"));
    assert!(!text(&seen.client).contains("{\\\"amount\\\": 251}"));
    // No rule requires an approval, so that no token is verified.
    VERIFICATIONS.set(0);
    let cheap = exchange(&guard, &asks(&tokens), calls(&[r#"{"amount": 5}"#]));
    assert!(passes(&cheap));
    assert_eq!(VERIFICATIONS.get(), 0);
}

#[test]
fn a_simulation_takes_given_approvals() {
    let guard = refunds();
    let outcome = |roles: &[&str]| {
        let caller = simulation::Caller {
            approved_by: roles.iter().map(|role| (*role).into()).collect(),
            ..simulation::Caller::default()
        };
        let answer = |_: &HttpMessage| calls(&[r#"{"amount": 250}"#]);
        passes(&simulation::run_as(
            &caller,
            &guard,
            &asks(&[]),
            answer,
            NOW,
            None,
        ))
    };
    assert!(outcome(&["manager"]));
    assert!(!outcome(&["lead"]));
    assert!(!outcome(&[]));
}

#[test]
fn a_token_never_goes_upstream() {
    let guard = refunds();
    for policy in [&guard, &observed()] {
        let seen = exchange(policy, &asks(&["agat1.x.y".to_owned()]), calls(&[]));
        let upstream = seen.upstream.unwrap();
        assert_eq!(upstream.header("x-agentguard-approval"), None);
    }
}

fn observed() -> Rc<Guard> {
    guard(&format!(
        "{}mode: observe\ndefaults: {{ action: allow }}
rules:
  - {{ id: large, match: {{ tool: refund }}, action: require_approval, approval: {{ by: manager }} }}
",
        approvers()
    ))
}

#[test]
fn an_observed_rule_records_what_an_approval_would_have_done() {
    let guard = observed();
    let arguments = r#"{"amount": 250}"#;
    let without = exchange(&guard, &asks(&[]), calls(&[arguments]));
    assert!(passes(&without));
    assert_eq!(record(&without)["would"], "require_approval");
    assert_eq!(record(&without)["approval"]["state"], "required");
}

#[test]
fn a_token_expires() {
    let guard = refunds();
    let arguments = r#"{"amount": 250}"#;
    let first = exchange(&guard, &asks(&[]), calls(&[arguments]));
    let token = [approved_by(&manager(), &requested(&first))];
    let late = exchange_at(&guard, &asks(&token), calls(&[arguments]), 600);
    assert_eq!(detail(&late), "expired");
    let in_time = exchange_at(&guard, &asks(&token), calls(&[arguments]), 599);
    assert!(passes(&in_time));
}

#[test]
fn two_equal_calls_need_two_approvals() {
    let guard = refunds();
    let arguments = r#"{"amount": 250}"#;
    let first = exchange(&guard, &asks(&[]), calls(&[arguments]));
    let token = [approved_by(&manager(), &requested(&first))];
    let both = exchange(&guard, &asks(&token), calls(&[arguments, arguments]));
    let body = text(&both.client);
    assert!(passes(&both), "{body}");
    assert_eq!(body.matches("\"function\":").count(), 1, "{body}");
    assert_eq!(detail(&both), "replayed");
}

#[test]
fn tokens_for_several_calls_come_in_one_header_or_in_several() {
    let guard = refunds();
    let (one, two) = (r#"{"amount": 101}"#, r#"{"amount": 102}"#);
    let token = |arguments: &str| {
        let seen = exchange(&guard, &asks(&[]), calls(&[arguments]));
        approved_by(&manager(), &requested(&seen))
    };
    for tokens in [
        vec![format!("{}, {}", token(one), token(two))],
        vec![token(one), token(two)],
    ] {
        let seen = exchange(&guard, &asks(&tokens), calls(&[one, two]));
        assert_eq!(text(&seen.client).matches("\"function\":").count(), 2);
        assert_eq!(record(&seen)["decision"], "allow");
    }
}

#[test]
fn two_rules_on_one_call_make_one_request() {
    let guard = guard(&format!(
        "{}defaults: {{ action: allow }}
rules:
  - {{ id: large, match: {{ tool: refund }}, action: require_approval, approval: {{ by: manager }} }}
  - {{ id: night, match: {{ tool: refund }}, action: require_approval, approval: {{ by: lead, valid_for: 5m }} }}
",
        approvers()
    ));
    let arguments = r#"{"amount": 250}"#;
    let first = exchange(&guard, &asks(&[]), calls(&[arguments]));
    let request = requested(&first);
    let rules: Vec<&str> = request.rules.iter().map(|rule| &*rule.id).collect();
    assert_eq!(rules, ["large", "night"]);
    assert_eq!(request.valid_for, 300);
    let one = [approved_by(&manager(), &request)];
    let half = exchange(&guard, &asks(&one), calls(&[arguments]));
    assert_eq!(detail(&half), "wrong_role");
    let both = [one[0].clone(), approved_by(&lead(), &request)];
    assert!(passes(&exchange(&guard, &asks(&both), calls(&[arguments]))));
}

#[test]
fn a_deny_beats_an_approval() {
    let policy = |rule: &str| {
        guard(&format!(
            "{}defaults: {{ action: allow }}
rules:
  - {{ id: large, match: {{ tool: refund }}, action: require_approval, approval: {{ by: manager }} }}
{rule}",
            approvers()
        ))
    };
    let arguments = r#"{"amount": 250}"#;
    let first = exchange(&policy(""), &asks(&[]), calls(&[arguments]));
    let token = [approved_by(&manager(), &requested(&first))];
    let deny = policy(
        "  - { id: never, match: { tool: refund }, when: { args.amount: 250 }, action: deny }\n",
    );
    let seen = exchange(&deny, &asks(&token), calls(&[arguments]));
    assert!(!passes(&seen));
    assert_eq!(record(&seen)["code"], "AG3001");
}

#[test]
fn an_approval_allows_what_is_denied_by_default() {
    let guard = guard(&format!(
        "{}defaults: {{ request: allow, tool_call: deny }}
rules:
  - {{ id: large, match: {{ tool: refund }}, action: require_approval, approval: {{ by: manager }} }}
",
        approvers()
    ));
    let arguments = r#"{"amount": 250}"#;
    let first = exchange(&guard, &asks(&[]), calls(&[arguments]));
    let token = [approved_by(&manager(), &requested(&first))];
    assert!(passes(&exchange(
        &guard,
        &asks(&token),
        calls(&[arguments])
    )));
}

#[test]
fn bound_arguments_may_not_change_and_others_may() {
    let guard = guard(&format!(
        "{}defaults: {{ action: allow }}
rules:
  - id: large
    match: {{ tool: refund }}
    action: require_approval
    approval: {{ by: manager, uses: 5, bind: [args.amount, \"args.lines[*].id\"] }}
",
        approvers()
    ));
    let first = exchange(
        &guard,
        &asks(&[]),
        calls(&[r#"{"amount":250,"lines":[{"id":1}],"note":"a"}"#]),
    );
    let request = requested(&first);
    assert_eq!(
        request.subject.bind,
        ["args.amount".into(), "args.lines[*].id".into()]
    );
    let token = [approved_by(&manager(), &request)];
    let outcome = |arguments: &str| exchange(&guard, &asks(&token), calls(&[arguments]));
    assert!(passes(&outcome(
        r#"{"amount":250,"lines":[{"id":1,"n":2}],"note":"b"}"#
    )));
    for changed in [
        r#"{"amount":251,"lines":[{"id":1}]}"#,
        r#"{"amount":250,"lines":[{"id":2}]}"#,
        r#"{"amount":250,"lines":[{"id":1},{"id":1}]}"#,
        r#"{"lines":[{"id":1}]}"#,
    ] {
        assert_eq!(detail(&outcome(changed)), "changed_arguments", "{changed}");
    }
    // Readers may disagree on the amount, or on whether a single line is a list.
    for ambiguous in [
        r#"{"amount":250,"Amount":9000,"lines":[{"id":1}]}"#,
        r#"{"amount":250,"lines":{"id":1}}"#,
        r#"[{"amount":250,"lines":[{"id":1}]}]"#,
    ] {
        let seen = outcome(ambiguous);
        assert!(!passes(&seen), "{ambiguous}");
        assert_eq!(record(&seen)["code"], "AG3003", "{ambiguous}");
        assert!(!text(&seen.client).contains("agar1."), "{ambiguous}");
    }
}

#[test]
fn arguments_that_can_t_be_read_can_t_be_approved() {
    let whole = guard(&format!(
        "{}defaults: {{ action: allow }}
rules: [{{ id: all, match: {{ tool: refund }}, action: require_approval, approval: {{ by: manager }} }}]
",
        approvers()
    ));
    for guard in [refunds(), whole] {
        let seen = exchange(&guard, &asks(&[]), calls(&["{\"amount\": 250"]));
        assert!(!passes(&seen));
        let told = text(&seen.client);
        assert!(!told.contains("agar1."), "{told}");
    }
}

/// Requires an approval of each request, bound to its model, and denies some of them.
fn requests_of_models() -> Rc<Guard> {
    guard(&format!(
        "{}defaults: {{ action: allow }}
rules:
  - {{ id: ask, match: {{ event: request }}, action: require_approval, approval: {{ by: manager, bind: model }} }}
  - {{ id: word, match: {{ event: message }}, when: {{ text: {{ contains: forbidden }} }}, action: deny }}
",
        approvers()
    ))
}

fn asks_with(token: &str, content: &str, path: &str) -> HttpMessage {
    let mut request = chat_request(&says(content));
    request.headers.retain(|(name, _)| name != b":path");
    let path = (b":path".to_vec(), path.as_bytes().to_vec());
    let token = (b"x-agentguard-approval".to_vec(), token.as_bytes().to_vec());
    request.headers.extend([path, token]);
    request
}

#[test]
fn a_request_that_is_denied_for_another_reason_spends_no_approval() {
    let guard = requests_of_models();
    let path = "/v1/chat/completions";
    let first = exchange(&guard, &asks_with("", "hello", path), hello());
    assert_eq!(record(&first)["code"], "AG3003");
    let token = approved_by(&manager(), &requested(&first));
    let denied = exchange(
        &guard,
        &asks_with(&token, "a forbidden word", path),
        hello(),
    );
    assert_eq!(record(&denied)["code"], "AG3001");
    let passing = exchange(&guard, &asks_with(&token, "hello", path), hello());
    assert_eq!(record(&passing)["decision"], "allow");
    let again = exchange(&guard, &asks_with(&token, "hello", path), hello());
    assert_eq!(detail(&again), "replayed");
}

#[test]
fn an_approval_of_a_request_is_for_its_path_and_query() {
    let guard = requests_of_models();
    let path = "/v1/chat/completions?account=a";
    let first = exchange(&guard, &asks_with("", "hello", path), hello());
    let request = requested(&first);
    assert!(!request.subject.what.contains("account"), "only a digest");
    let token = approved_by(&manager(), &request);
    for other in ["/v1/chat/completions?account=b", "/v1/chat/completions"] {
        let seen = exchange(&guard, &asks_with(&token, "hello", other), hello());
        assert_eq!(detail(&seen), "other_call", "{other}");
    }
    let seen = exchange(&guard, &asks_with(&token, "hello", path), hello());
    assert_eq!(record(&seen)["decision"], "allow");
}

#[test]
fn at_most_eight_tokens_are_read() {
    for (others, in_one_header) in [(7, true), (7, false), (8, true), (8, false)] {
        let guard = refunds();
        let large = [r#"{"amount": 250}"#];
        let request = requested(&exchange(&guard, &asks(&[]), calls(&large)));
        let mut tokens: Vec<String> = (0..others)
            .map(|number| mint(&request, &lead(), NOW / SECOND, nonce(&[number; 16])))
            .collect();
        tokens.push(approved_by(&manager(), &request));
        if in_one_header {
            tokens = vec![tokens.join(",")];
        }
        let seen = exchange(&guard, &asks(&tokens), calls(&large));
        assert_eq!(passes(&seen), others == 7);
        if others == 8 {
            assert_eq!(detail(&seen), "wrong_role");
        }
    }
}

#[test]
fn no_approval_is_for_a_caller_who_can_t_be_told_from_others() {
    let guard = refunds();
    let asked_by = |agent: Known<Box<str>>| {
        let caller = simulation::Caller {
            principal: Some(Principal {
                agent,
                ..Principal::known_by(Some("jwt"))
            }),
            ..simulation::Caller::default()
        };
        let answer = |_: &HttpMessage| calls(&[r#"{"amount": 250}"#]);
        text(&simulation::run_as(&caller, &guard, &asks(&[]), answer, NOW, None).client)
    };
    assert!(asked_by(Known::Missing).contains("agar1."));
    assert!(asked_by(Known::Is("desk".into())).contains("agar1."));
    let unknown = asked_by(Known::Unknown);
    assert!(!unknown.contains("agar1."), "{unknown}");
    assert!(unknown.contains("or for whom, is unknown"), "{unknown}");
}

#[test]
fn no_request_is_made_where_no_approver_exists() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - { id: large, match: { tool: refund }, action: require_approval, approval: { by: manager } }
",
    );
    let seen = exchange(&guard, &asks(&[]), calls(&["{}"]));
    assert!(!passes(&seen));
    assert!(!text(&seen.client).contains("agar1."));
}

#[test]
fn a_request_is_approved_as_it_was_sent() {
    let guard = guard(&format!(
        "{}defaults: {{ action: allow }}
rules:
  - {{ id: dear, match: {{ model: \"gpt-4o\" }}, action: require_approval, approval: {{ by: manager }} }}
",
        approvers()
    ));
    let done = || answer(json!({"role": "assistant", "content": "Done."}), "stop");
    let first = exchange(&guard, &asks(&[]), done());
    assert_eq!(first.client.status(), Some(400));
    let body: Value = serde_json::from_slice(&first.client.body()).unwrap();
    assert_eq!(body["error"]["agentguard"]["code"], "AG3003");
    let request = requested(&first);
    assert_eq!(&*request.subject.event, "request");
    assert_eq!(
        &*request.subject.what,
        "POST api.openai.com/v1/chat/completions"
    );
    let token = [approved_by(&manager(), &request)];
    let mut other = chat_request(&says("Refund me twice."));
    other.headers.push((
        b"x-agentguard-approval".to_vec(),
        token[0].clone().into_bytes(),
    ));
    let changed = exchange(&guard, &other, done());
    assert_eq!(changed.client.status(), Some(400));
    assert_eq!(detail(&changed), "changed_arguments");
    let body: Value = serde_json::from_slice(&changed.client.body()).unwrap();
    assert_eq!(body["error"]["agentguard"]["detail"], "changed_arguments");
    assert!(body["error"]["agentguard"]["approval"].is_string());
    let passed = exchange(&guard, &asks(&token), done());
    assert_eq!(passed.client.status(), Some(200));
}

pub(super) fn mcp_call(arguments: Value, token: Option<&str>, session: &str) -> HttpMessage {
    let mut params = json!({"name": "refund", "arguments": arguments});
    if let Some(token) = token {
        params["_meta"] = json!({"progressToken": 7, "agentguard/approval": token});
    }
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let length = body.len().to_string();
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", "/mcp"),
            (":authority", "tools.example"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2025-06-18"),
            ("mcp-session-id", session),
            ("content-length", &length),
        ],
        body.as_bytes(),
    )
}

pub(super) fn mcp_done() -> HttpMessage {
    HttpMessage::new(
        &[(":status", "200"), ("content-type", "application/json")],
        br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"done"}]}}"#,
    )
}

#[test]
fn an_mcp_client_sends_the_token_in_meta_and_the_server_never_receives_it() {
    let guard = refunds();
    let arguments = json!({"amount": 250});
    let first = exchange(&guard, &mcp_call(arguments.clone(), None, "s1"), mcp_done());
    let body: Value = serde_json::from_slice(&first.client.body()).unwrap();
    assert_eq!(body["result"]["isError"], true);
    let meta = &body["result"]["_meta"]["agentguard"];
    assert_eq!(meta["code"], "AG3003");
    let request = ApprovalRequest::parse(meta["approval"].as_str().unwrap()).unwrap();
    let token = approved_by(&manager(), &request);
    let elsewhere = exchange(
        &guard,
        &mcp_call(arguments.clone(), Some(&token), "s2"),
        mcp_done(),
    );
    assert_eq!(detail(&elsewhere), "other_session");
    let sent = mcp_call(arguments, Some(&token), "s1");
    let passed = exchange(&guard, &sent, mcp_done());
    assert!(
        text(&passed.client).contains("done"),
        "{}",
        text(&passed.client)
    );
    let upstream = passed.upstream.unwrap();
    assert!(!text(&upstream).contains("agat1."), "{}", text(&upstream));
    let (mut expected, got): (Value, Value) = (
        serde_json::from_slice(&sent.body()).unwrap(),
        serde_json::from_slice(&upstream.body()).unwrap(),
    );
    expected["params"]["_meta"]
        .as_object_mut()
        .unwrap()
        .remove("agentguard/approval");
    assert_eq!(got, expected);
}

/// Returns a request with additional members in its body, and a session in a header.
fn asks_in(members: Value, header: Option<&str>, token: Option<&str>) -> HttpMessage {
    let mut body =
        json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Refund me."}]});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    let mut request = chat_request(body.to_string().as_bytes());
    let headers = [("x-session-id", header), ("x-agentguard-approval", token)];
    for (name, value) in headers {
        let values = value.iter().map(|value| value.as_bytes().to_vec());
        request
            .headers
            .extend(values.map(|value| (name.as_bytes().to_vec(), value)));
    }
    request
}

#[test]
fn an_approval_is_valid_in_the_session_that_requested_it() {
    type Asks = (Value, Option<&'static str>);
    let begins = |texts: &[&str]| {
        let roles = ["user", "assistant"].iter().cycle();
        let messages: Vec<Value> = roles
            .zip(texts)
            .map(|(role, text)| json!({"role": role, "content": text}))
            .collect();
        json!({"messages": messages})
    };
    let of = |id: &str| json!({"metadata": {"session_id": id}});
    let none = || json!({});
    let goes_on = |id: &str| json!({"previous_response_id": id});
    // The policy's source; the request that is denied; requests in its session; requests in other sessions.
    let cases: Vec<(&str, Asks, Vec<Asks>, Vec<Asks>)> = vec![
        (
            "",
            (json!({"conversation": "c1"}), None),
            vec![(
                json!({"conversation": {"id": "c1"}, "messages": begins(&["Please."])["messages"]}),
                Some("s1"),
            )],
            vec![(json!({"conversation": "c2"}), None), (none(), None)],
        ),
        // A client that retries may continue another response, and start with other words.
        (
            "",
            (goes_on("resp_1"), None),
            vec![
                (goes_on("resp_2"), None),
                (begins(&["Please."]), Some("s1")),
            ],
            vec![(json!({"conversation": "c1"}), None)],
        ),
        (
            "session: header:X-Session-Id",
            (none(), Some("s1")),
            vec![(begins(&["Please."]), Some("s1"))],
            vec![(none(), Some("s2")), (none(), None), (of("s1"), None)],
        ),
        (
            "session: field:metadata.session_id",
            (of("s1"), None),
            vec![(of("s1"), Some("s2"))],
            vec![(of("s2"), None), (none(), Some("s1"))],
        ),
        (
            "session: first_messages",
            (begins(&["Refund me."]), None),
            vec![(begins(&["Refund me.", "I can't.", "Again."]), Some("s1"))],
            vec![(begins(&["Refund us."]), None)],
        ),
        (
            "session: [header:x-session-id, first_messages]",
            (none(), Some("s1")),
            vec![(begins(&["Please."]), Some("s1"))],
            vec![(none(), Some("s2")), (none(), None)],
        ),
    ];
    for (session, (members, header), holds, fails) in cases {
        let guard = guard(&format!(
            "{}defaults: {{ action: allow }}
rules:
  - id: large
    match: {{ tool: refund }}
    action: require_approval
    approval: {{ by: manager, uses: 9, {session} }}
",
            approvers()
        ));
        let call = || calls(&[r#"{"amount": 250}"#]);
        let first = exchange(&guard, &asks_in(members.clone(), header, None), call());
        let token = approved_by(&manager(), &requested(&first));
        for (members, header) in fails {
            let seen = exchange(&guard, &asks_in(members, header, Some(&token)), call());
            assert!(!passes(&seen), "{session}");
            assert_eq!(detail(&seen), "other_session", "{session}");
        }
        for (members, header) in holds.into_iter().chain([(members, header)]) {
            let sent = asks_in(members, header, Some(&token));
            assert!(passes(&exchange(&guard, &sent, call())), "{session}");
        }
    }
}

#[test]
fn two_rules_with_sessions_of_their_own_bind_to_both() {
    let guard = guard(&format!(
        "{}defaults: {{ action: allow }}
rules:
  - id: large
    match: {{ tool: refund }}
    action: require_approval
    approval: {{ by: manager, uses: 9, session: header:x-session-id }}
  - id: any
    match: {{ tool: refund }}
    action: require_approval
    approval: {{ by: manager, uses: 9 }}
",
        approvers()
    ));
    let call = || calls(&[r#"{"amount": 250}"#]);
    let of = |id: &str| json!({"conversation": id});
    let first = exchange(&guard, &asks_in(of("c1"), Some("s1"), None), call());
    let token = approved_by(&manager(), &requested(&first));
    let passes_in = |conversation: &str, header: &str| {
        let sent = asks_in(of(conversation), Some(header), Some(&token));
        passes(&exchange(&guard, &sent, call()))
    };
    assert!(!passes_in("c1", "s2"));
    assert!(!passes_in("c2", "s1"));
    assert!(passes_in("c1", "s1"));
}

pub(super) fn streamed(chunks: &[Value]) -> HttpMessage {
    let body: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    HttpMessage::new(
        &[(":status", "200"), ("content-type", "text/event-stream")],
        format!("{body}data: [DONE]\n\n").as_bytes(),
    )
}

pub(super) fn streamed_call(arguments: [&str; 2]) -> HttpMessage {
    let delta = |delta: Value, finish: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
               "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let call = |name: Option<&str>, arguments: &str| match name {
        Some(name) => json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function",
            "function": {"name": name, "arguments": arguments}}]}),
        None => json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}),
    };
    streamed(&[
        delta(json!({"role": "assistant", "content": null}), Value::Null),
        delta(call(Some("refund"), ""), Value::Null),
        delta(call(None, arguments[0]), Value::Null),
        delta(call(None, arguments[1]), Value::Null),
        delta(json!({}), json!("tool_calls")),
    ])
}

#[test]
fn a_call_in_a_stream_passes_with_its_approval() {
    let guard = refunds();
    let first = exchange(&guard, &asks(&[]), streamed_call(["{\"amount\":", " 250}"]));
    assert!(
        !text(&first.client).contains("\"refund\""),
        "{}",
        text(&first.client)
    );
    let token = [approved_by(&manager(), &requested(&first))];
    let again = exchange(
        &guard,
        &asks(&token),
        streamed_call(["{\"amount\": 2", "50}"]),
    );
    assert!(
        text(&again.client).contains("\"refund\""),
        "{}",
        text(&again.client)
    );
    let replayed = exchange(
        &guard,
        &asks(&token),
        streamed_call(["{\"amount\": 2", "50}"]),
    );
    assert_eq!(detail(&replayed), "replayed");
}

#[test]
fn a_call_that_a_stream_repeats_at_its_end_needs_one_approval() {
    let guard = refunds();
    let mut request = HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", "/v1/responses"),
            (":authority", "api.openai.com"),
            ("content-type", "application/json"),
        ],
        json!({"model": "gpt-4o", "input": "Refund me.", "stream": true, "store": false})
            .to_string()
            .as_bytes(),
    );
    let item = |arguments: &str, status: &str| {
        json!({"id": "fc", "type": "function_call", "status": status, "call_id": "c1",
               "name": "refund", "arguments": arguments})
    };
    let response = |status: &str, output: Value| {
        json!({"id": "resp", "object": "response", "created_at": 1, "status": status, "model": "gpt-4o",
               "output": output, "usage": null})
    };
    let arguments = "{\"amount\": 250}";
    let answered = || {
        streamed(&[
            json!({"type": "response.created", "sequence_number": 0, "response": response("in_progress", json!([]))}),
            json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": item("", "in_progress")}),
            json!({"type": "response.function_call_arguments.delta", "sequence_number": 2, "item_id": "fc", "output_index": 0, "delta": arguments}),
            json!({"type": "response.function_call_arguments.done", "sequence_number": 3, "item_id": "fc", "output_index": 0, "arguments": arguments}),
            json!({"type": "response.output_item.done", "sequence_number": 4, "output_index": 0, "item": item(arguments, "completed")}),
            json!({"type": "response.completed", "sequence_number": 5, "response": response("completed", json!([item(arguments, "completed")]))}),
        ])
    };
    let first = exchange(&guard, &request, answered());
    let token = approved_by(&manager(), &requested(&first));
    request
        .headers
        .push((b"x-agentguard-approval".to_vec(), token.into_bytes()));
    let again = exchange(&guard, &request, answered());
    assert_eq!(
        record(&again)["decision"],
        "allow",
        "{}",
        text(&again.client)
    );
    assert_eq!(text(&again.client).matches("250").count(), 4);
}

/// A slash parts the server from its tool, so that it stands for nothing else in an approval.
#[test]
fn an_approval_for_a_tool_of_a_server_is_for_no_tool_that_is_called_like_both() {
    let guard = guard(&format!(
        "{}protocols:
  - {{ paths: [/plain], protocol: mcp }}
  - {{ paths: [/github], protocol: mcp, server: github }}
defaults: {{ action: allow }}
rules:
  - {{ id: ask, match: {{ event: tool_call }}, action: require_approval, approval: {{ by: manager }} }}
",
        approvers()
    ));
    let call = |path: &str, tool: &str, token: Option<&str>| {
        let mut params = json!({"name": tool, "arguments": {}});
        if let Some(token) = token {
            params["_meta"] = json!({"agentguard/approval": token});
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let body = body.to_string();
        let mut request = mcp_call(json!({}), None, "s1");
        let headers = request.headers.iter_mut();
        for (name, value) in headers {
            match name.as_slice() {
                b":path" => *value = path.as_bytes().to_vec(),
                b"content-length" => *value = body.len().to_string().into_bytes(),
                _ => {}
            }
        }
        request.chunks = vec![body.into_bytes()];
        exchange(&guard, &request, mcp_done())
    };
    let names = [
        ("/github", "delete", "github/delete"),
        ("/plain", "github/delete", "github%2Fdelete"),
        ("/plain", "github%2Fdelete", "github%252Fdelete"),
        ("/github", "a/b", "github/a/b"),
        ("/plain", "github/a/b", "github%2Fa%2Fb"),
    ];
    for (path, tool, what) in names {
        let request = requested(&call(path, tool, None));
        assert_eq!(&*request.subject.what, what);
        let token = approved_by(&manager(), &request);
        for (other_path, other_tool, other) in names {
            let seen = call(other_path, other_tool, Some(&token));
            match other == what {
                true => assert!(text(&seen.client).contains("done"), "{what}"),
                false => assert_eq!(detail(&seen), "other_call", "{what} {other}"),
            }
        }
    }
}

/// Parameters without names can't be bound one by one, and an approval of the method alone would be one of all of them.
#[test]
fn a_message_with_a_list_of_parameters_is_not_approved() {
    let guard = guard(&format!(
        "{}defaults: {{ action: allow, uninspectable: allow }}
rules:
  - {{ id: ask, match: {{ event: request, method: vendor/pay }}, action: require_approval, approval: {{ by: manager }} }}
",
        approvers()
    ));
    for (params, is_approvable) in [(json!([1]), false), (json!({"amount": 1}), true)] {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "vendor/pay", "params": params});
        let mut request = mcp_call(json!({}), None, "s1");
        request
            .headers
            .retain(|(name, _)| name != b"content-length");
        request.chunks = vec![body.to_string().into_bytes()];
        let seen = exchange(&guard, &request, mcp_done());
        assert_eq!(
            text(&seen.client).contains("agar1."),
            is_approvable,
            "{params}"
        );
    }
}
