//! Names of arguments that readers of the same bytes interpret differently, in whole exchanges.

use super::*;

const REFUNDS: &str = "defaults: { action: allow }
rules:
  - id: large
    match: { tool: refund }
    when: { \"args.amount|order.amount\": { greater_than: 100 } }
    action: deny
    reason: Too much.
";

fn call(arguments: &str) -> Value {
    json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "refund", "arguments": arguments}}]})
}

fn decision(policy: &str, arguments: &str) -> String {
    let seen = exchange(
        &guard(policy),
        &chat_request(&says("hi")),
        answer(call(arguments), "tool_calls"),
    );
    record(&seen)["decision"].as_str().unwrap().to_owned()
}

#[test]
fn a_name_in_another_case_beside_the_argument_is_denied() {
    for arguments in [
        r#"{"amount": 5, "Amount": 500}"#,
        r#"{"AMOUNT": 500}"#,
        r#"{"amount": 5, "am_ount": 500}"#,
        r#"{"order": {"amount": 5}, "Order": {"amount": 500}}"#,
        r#"{"order": "{\"amount\": 500}"}"#,
        r#"{"order": "{\"Amount\": 500}"}"#,
    ] {
        assert_eq!(decision(REFUNDS, arguments), "deny", "{arguments}");
    }
    assert_eq!(decision(REFUNDS, r#"{"amount": 5, "Amount": 50}"#), "allow");
}

#[test]
fn an_allow_does_not_match_beside_a_name_in_another_case() {
    let policy = "defaults: { action: allow, tool_call: deny }
rules:
  - id: small
    match: { tool: refund }
    when: { args.amount: { at_most: 100 } }
    action: allow
";
    assert_eq!(decision(policy, r#"{"amount": 5, "note": "x"}"#), "allow");
    for arguments in [
        r#"{"amount": 5, "Amount": 50}"#,
        r#"{"Amount": 5}"#,
        r#"{"amount": 5, "a-mount": 5}"#,
    ] {
        assert_eq!(decision(policy, arguments), "deny", "{arguments}");
    }
}

const NOTES: &str = "defaults: { action: allow }
rules:
  - id: mails
    match: { event: tool_call, tool: refund, turn: [latest, earlier] }
    action: redact
    redact: { what: args.order.mail }
";

/// Returns a request whose history has a call with these arguments.
fn history(arguments: &str) -> String {
    json!({"model": "m", "messages": [call(arguments), {"role": "tool", "tool_call_id": "c", "content": "ok"}]})
        .to_string()
}

#[test]
fn a_finding_in_json_in_a_string_is_edited_there_and_nothing_else() {
    let arguments = r#"{"order": "{\"mail\": \"a\\u0040b.de\", \"n\": 5}", "x": "\u0041"}"#;
    let body = history(arguments);
    let seen = exchange(&guard(NOTES), &chat_request(body.as_bytes()), hello());
    let sent = String::from_utf8(seen.upstream.unwrap().body()).unwrap();
    assert_eq!(
        sent,
        history(&arguments.replace(r"a\\u0040b.de", "[REDACTED]"))
    );
}

#[test]
fn a_number_in_json_in_a_string_is_not_edited_but_denied() {
    let body = history(r#"{"order": "{\"mail\": 5}"}"#);
    let seen = exchange(&guard(NOTES), &chat_request(body.as_bytes()), hello());
    let sent = seen.upstream.as_ref().map(|sent| sent.body());
    assert!(sent.is_none_or(|sent| sent.is_empty()));
    assert_eq!(record(&seen)["code"], "AG3005");
}
