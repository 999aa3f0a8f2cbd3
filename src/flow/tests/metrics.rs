//! Metrics of an exchange.

use super::*;

/// Returns the counts of one metric, each as its label values.
fn counted(seen: &SimulatedResult, name: &str) -> Vec<String> {
    let of_metric = seen.counts.iter().filter(|(metric, ..)| *metric == name);
    of_metric.map(|(_, values, _)| values.join(" ")).collect()
}

const NO_WEAPONS: &str = "defaults: { action: allow }
rules:
  - { id: no-weapons, match: { event: message }, when: { text: { contains: weapon } }, action: deny }
";

fn asks(policy: &str, text: &str) -> SimulatedResult {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]});
    let request = chat_request(body.to_string().as_bytes());
    exchange(&guard(policy), &request, hello())
}

#[test]
fn a_decision_is_counted_once_with_its_code() {
    let seen = asks(NO_WEAPONS, "a weapon");
    assert_eq!(
        counted(&seen, "agentguard_decisions_total"),
        ["deny enforce AG3001"]
    );
    assert_eq!(
        counted(&seen, "agentguard_policy_decisions_total"),
        ["no-weapons deny enforce"]
    );
    let seen = asks(NO_WEAPONS, "a flower");
    assert_eq!(
        counted(&seen, "agentguard_decisions_total"),
        ["allow enforce none"]
    );
}

#[test]
fn a_would_be_denial_is_counted_in_addition_to_the_decision() {
    let seen = asks(&format!("mode: observe\n{NO_WEAPONS}"), "a weapon");
    assert_eq!(
        counted(&seen, "agentguard_decisions_total"),
        ["allow enforce none", "deny observe none"]
    );
    assert_eq!(
        counted(&seen, "agentguard_policy_decisions_total"),
        ["no-weapons deny observe"]
    );
}

#[test]
fn an_observed_limit_is_counted_as_observed() {
    let limit = "require: none
defaults: { action: allow }
rules:
  - { id: one, action: deny, limit: { count: requests, max: 1, window: 1h } }
";
    for (policy, mode) in [
        (limit.to_owned(), "one enforce"),
        (format!("mode: observe\n{limit}"), "one observe"),
    ] {
        let guard = guard(&policy);
        let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
        let request = chat_request(body.to_string().as_bytes());
        let first = exchange(&guard, &request, hello());
        assert_eq!(
            counted(&first, "agentguard_limit_hits_total"),
            Vec::<String>::new()
        );
        let second = exchange(&guard, &request, hello());
        assert_eq!(counted(&second, "agentguard_limit_hits_total"), [mode]);
    }
}

#[test]
fn a_chain_is_counted_with_its_first_event() {
    let guard = guard(NO_WEAPONS);
    let request = chat_request(br#"{"model":"gpt-4o","messages":[]}"#);
    for chains in [1, 0, 0] {
        let seen = exchange(&guard, &request, hello());
        assert_eq!(
            counted(&seen, "agentguard_audit_chains_total").len(),
            chains
        );
    }
}
