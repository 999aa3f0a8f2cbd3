//! Streams of endpoints that only the policy defines.

use super::super::stream::streamed;
use super::*;

const RULES: &str = "rules:
  - { id: pii, match: { event: response }, when: { text: { detects: pii } }, action: redact }
  - { id: swan, match: { event: response }, when: { text: { contains: forbidden word } }, action: deny, reason: Not that word. }
  - { id: refund, match: { tool: refund }, action: deny, reason: No refunds. }
";

/// Returns a policy with texts at this path in addition to the usual ones.
fn with_text_at(path: &str) -> Rc<Guard> {
    let policy = TICKETS.replace("$.reply]", &format!("$.reply, \"{path}\"]"));
    assert_ne!(policy, TICKETS);
    guard(&format!("{policy}{RULES}"))
}

fn asked() -> HttpMessage {
    ticket(&json!({"ticket": {"title": "help"}}))
}

fn client(seen: &SimulatedResult) -> String {
    String::from_utf8(seen.client.body()).unwrap()
}

#[test]
fn texts_at_declared_locations_continue_from_event_to_event() {
    let guard = with_text_at("$.replies[*].part");
    let event = |one: &str, two: &str| {
        let replies = json!({"replies": [{"part": one}, {"part": two}], "n": 1});
        format!("data: {replies}\n\n")
    };
    let body = format!(
        "{}{}{}data: [DONE]\n\n",
        event("pay 4111 1111", "hello "),
        event(" 1111 1111", "there"),
        event(" now", "")
    );
    for cuts in [vec![], (0..body.len()).collect()] {
        let seen = exchange(&guard, &asked(), streamed(body.as_bytes(), &cuts));
        let expected = format!(
            "{}{}{}data: [DONE]\n\n",
            event("pay [CREDIT_CARD]", "hello "),
            event("", "there"),
            event(" now", "")
        );
        assert_eq!(client(&seen), expected);
        assert_eq!(record(&seen)["rules"][0]["at"], "#text/3000");
    }
}

#[test]
fn plain_text_is_a_text_if_the_policy_declares_it() {
    let guard = with_text_at("$");
    let body =
        "data: pay [\n\ndata: 4111\n\ndata: 1111\n\ndata: 11111111\n\ndata: ] and\n\ndata:  go\n\n";
    let seen = exchange(&guard, &asked(), streamed(body.as_bytes(), &[]));
    let text: String = client(&seen)
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(text, "pay [[CREDIT_CARD]] and go");
}

#[test]
fn lines_are_read_like_events() {
    let guard = guard(&format!("{TICKETS}{RULES}"));
    let body = b"{\"reply\":\"4111 1111\"}\n{\"reply\":\" 1111 1111\"}\n";
    let mut response = streamed(body, &[]);
    response.headers[1].1 = b"application/x-ndjson".to_vec();
    let seen = exchange(&guard, &asked(), response);
    assert_eq!(
        client(&seen),
        "{\"reply\":\"[CREDIT_CARD]\"}\n{\"reply\":\"\"}\n"
    );
}
