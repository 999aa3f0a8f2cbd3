//! Limits whose excess does not deny: it requires an approval, or a shadow policy records its decision.

use super::approvals::{
    SECOND, approved_by, approvers, asks, calls, passes, record, requested, text,
};
use super::simulation::{Caller, run_as};
use super::*;

const FOR_A: &str = r#"{"amount": 40, "to": "a"}"#;

/// Refunds up to 100 need no approval, and beyond that each one needs a manager's.
fn refunds(more: &str) -> Rc<Guard> {
    guard(&format!(
        "{}require: none
defaults: {{ action: allow }}
rules:
  - id: budget
    match: {{ tool: refund }}
    action: require_approval
    approval: {{ by: manager, show: args.amount }}
    limit: {{ sum: args.amount, per: args.to, max: 100, window: 24h }}
{more}",
        approvers()
    ))
}

fn exchange(guard: &Rc<Guard>, tokens: &[String], arguments: &[&str]) -> SimulatedResult {
    run(guard, &asks(tokens), |_| calls(arguments), NOW)
}

fn used(seen: &SimulatedResult) -> Value {
    record(seen)["limits"].clone()
}

fn token_for(seen: &SimulatedResult) -> Vec<String> {
    vec![approved_by(&approvals::manager(), &requested(seen))]
}

#[test]
fn beyond_the_limit_a_call_passes_with_an_approval_and_is_counted() {
    let guard = refunds("");
    for amount in [40, 80] {
        let seen = exchange(&guard, &[], &[FOR_A]);
        assert!(passes(&seen));
        assert_eq!(
            used(&seen),
            json!([{"id": "budget", "used": amount, "max": 100}])
        );
        assert!(record(&seen).get("approval").is_none());
    }
    let denied = exchange(&guard, &[], &[FOR_A]);
    assert!(!passes(&denied));
    let body = text(&denied.client);
    let told =
        "Limit `budget` is reached: at most 100 of `args.amount` in 1d. More needs an approval.";
    assert!(body.contains(told), "{body}");
    let told = record(&denied);
    assert_eq!(told["decision"], "require_approval", "{told}");
    assert_eq!(told["code"], "AG3003");
    assert_eq!(told["approval"]["state"], "required");
    assert_eq!(told["rules"][0]["action"], "require_approval");
    // A denied call is not counted.
    let exceeded = json!([{"id": "budget", "used": 80, "max": 100, "exceeded": true}]);
    assert_eq!(told["limits"], exceeded);
    let labels = vec!["budget".to_owned(), "enforce".to_owned()];
    assert!(
        denied
            .counts
            .contains(&("agentguard_limit_hits_total", labels, 1))
    );
    let request = requested(&denied);
    assert_eq!(request.shown(), Some(r#"{"args.amount":[40]}"#));

    let token = token_for(&denied);
    let other = exchange(&guard, &token, &[r#"{"amount": 41, "to": "a"}"#]);
    assert!(!passes(&other));
    assert_eq!(record(&other)["approval"]["detail"], "changed_arguments");
    let passed = exchange(&guard, &token, &[FOR_A]);
    assert!(passes(&passed), "{}", text(&passed.client));
    assert_eq!(record(&passed)["decision"], "allow");
    assert_eq!(record(&passed)["approval"]["state"], "approved");
    let exceeded = json!([{"id": "budget", "used": 120, "max": 100, "exceeded": true}]);
    assert_eq!(used(&passed), exceeded);
    // The token is valid once.
    let replayed = exchange(&guard, &token, &[FOR_A]);
    assert_eq!(record(&replayed)["approval"]["detail"], "replayed");
    // Other recipients have a limit of their own.
    assert!(passes(&exchange(
        &guard,
        &[],
        &[r#"{"amount": 100, "to": "b"}"#]
    )));
}

#[test]
fn a_token_within_the_limit_is_not_spent() {
    let guard = refunds("");
    let denied = exchange(&guard, &[], &[r#"{"amount": 101, "to": "a"}"#]);
    let token = token_for(&denied);
    assert!(passes(&exchange(&guard, &token, &[FOR_A])));
    assert!(passes(&exchange(
        &guard,
        &token,
        &[r#"{"amount": 101, "to": "a"}"#]
    )));
}

#[test]
fn calls_of_one_response_use_the_limit_in_their_order() {
    let guard = refunds("");
    let second = r#"{"amount": 50, "to": "a"}"#;
    let third = r#"{"amount": 30, "to": "a"}"#;
    let seen = exchange(&guard, &[], &[FOR_A, second, third]);
    let body = text(&seen.client);
    assert!(body.contains(r#"\"amount\": 40"#), "{body}");
    assert!(body.contains(r#"\"amount\": 50"#), "{body}");
    assert!(!body.contains(r#"\"amount\": 30"#), "{body}");
    assert_eq!(record(&seen)["code"], "AG3003");
    // A call that is not approved leaves its part of the limit to the next one.
    let guard = refunds("");
    let seen = exchange(&guard, &[], &[r#"{"amount": 101, "to": "a"}"#, third]);
    assert!(text(&seen.client).contains(r#"\"amount\": 30"#));
    assert_eq!(
        used(&seen),
        json!([{"id": "budget", "used": 30, "max": 100, "exceeded": true}])
    );
}

#[test]
fn one_approval_request_names_the_limit_and_every_other_rule() {
    let guard = refunds(
        "  - id: large
    match: { tool: refund }
    when: { args.amount: { greater_than: 60 } }
    action: require_approval
    approval: { by: lead }
",
    );
    let large = r#"{"amount": 70, "to": "a"}"#;
    let alone = exchange(&guard, &[], &[large]);
    let named = |seen: &SimulatedResult| {
        let request = requested(seen);
        let rules = request.rules.iter().map(|rule| rule.id.to_string());
        rules.collect::<Vec<_>>()
    };
    assert_eq!(named(&alone), ["large"]);
    let of_lead = approved_by(&approvals::lead(), &requested(&alone));
    assert!(passes(&exchange(&guard, &[of_lead], &[large])));
    let both = exchange(&guard, &[], &[large]);
    assert_eq!(named(&both), ["budget", "large"]);
    let of_lead = approved_by(&approvals::lead(), &requested(&both));
    let half = exchange(&guard, std::slice::from_ref(&of_lead), &[large]);
    assert!(!passes(&half));
    let of_manager = approved_by(&approvals::manager(), &requested(&both));
    let seen = exchange(&guard, &[of_lead, of_manager], &[large]);
    assert!(passes(&seen), "{}", text(&seen.client));
}

#[test]
fn requests_beyond_a_limit_are_denied_with_their_request_and_pass_with_its_token() {
    let policy = format!(
        "{}require: none
defaults: {{ action: allow }}
rules:
  - {{ id: few, action: require_approval, approval: {{ by: manager }}, limit: {{ count: requests, max: 1, window: 1h }} }}
",
        approvers()
    );
    in_both_modes(&policy, |guard, _| {
        let ask = |tokens: &[String]| run(guard, &asks(tokens), |_| hello(), NOW);
        assert_eq!(ask(&[]).client.status(), Some(200));
        let denied = ask(&[]);
        assert_eq!(denied.client.status(), Some(400));
        assert_eq!(denied.client.header("retry-after"), None);
        let token = token_for(&denied);
        assert_eq!(ask(&token).client.status(), Some(200));
        assert_eq!(ask(&token).client.status(), Some(400));
        // The next window has begun.
        let later = run(guard, &asks(&[]), |_| hello(), NOW + 3_600 * SECOND);
        assert_eq!(later.client.status(), Some(200));
    });
}

#[test]
fn tokens_beyond_a_budget_need_an_approval_before_the_request_leaves() {
    let guard = guard(&format!(
        "{}require: none
defaults: {{ action: allow }}
rules:
  - {{ id: budget, action: require_approval, approval: {{ by: manager }}, limit: {{ count: tokens, max: 20, window: 1h }} }}
",
        approvers()
    ));
    let ask = |tokens: &[String]| run(&guard, &asks(tokens), |_| hello(), NOW);
    let first = ask(&[]);
    assert_eq!(first.client.status(), Some(200));
    let mut denied = first;
    for _ in 0..30 {
        denied = ask(&[]);
        if denied.client.status() != Some(200) {
            break;
        }
    }
    assert_eq!(record(&denied)["code"], "AG3003");
    let before = used(&denied)[0]["used"].as_u64().unwrap();
    assert!(before >= 20);
    let seen = ask(&token_for(&denied));
    assert_eq!(seen.client.status(), Some(200));
    assert!(used(&seen)[0]["used"].as_u64().unwrap() > before);
}

#[test]
fn another_denial_costs_neither_the_approval_nor_the_limit() {
    let guard = refunds(
        "  - { id: never, match: { tool: refund }, when: { args.to: bad }, action: deny }\n",
    );
    let bad = r#"{"amount": 101, "to": "bad"}"#;
    let seen = exchange(&guard, &[], &[bad]);
    assert_eq!(record(&seen)["code"], "AG3001");
    assert!(record(&seen).get("limits").is_none());
    assert!(record(&seen).get("approval").is_none());
}

#[test]
fn an_observed_limit_requires_no_approval_and_records_that_it_would() {
    let guard = refunds("mode: observe\n");
    for _ in 0..4 {
        assert!(passes(&exchange(&guard, &[], &[FOR_A])));
    }
    let seen = exchange(&guard, &[], &[FOR_A]);
    assert_eq!(record(&seen)["would"], "require_approval");
    // The excess is not counted, as if the limit were enforced.
    let exceeded = json!([{"id": "budget", "used": 80, "max": 100, "exceeded": true}]);
    assert_eq!(used(&seen), exceeded);
}

#[test]
fn a_simulation_takes_given_approvals_beyond_the_limit() {
    let guard = refunds("");
    let large = r#"{"amount": 101, "to": "a"}"#;
    let with = |roles: &[&str], arguments: &[&str]| {
        let caller = Caller {
            approved_by: roles.iter().map(|role| (*role).into()).collect(),
            ..Caller::default()
        };
        run_as(&caller, &guard, &asks(&[]), |_| calls(arguments), NOW, None)
    };
    assert!(!passes(&with(&["lead"], &[large])));
    assert!(passes(&with(&["manager"], &[large])));
    // Several calls exceed the limit only together.
    let seen = with(&["manager"], &[FOR_A, FOR_A, FOR_A]);
    assert_eq!(record(&seen)["decision"], "allow");
    assert_eq!(used(&seen)[0]["used"], 221);
}

#[test]
fn an_approval_of_a_limit_allows_nothing_that_is_denied_by_default() {
    let policy = |defaults: &str| {
        guard(&format!(
            "{}require: none
defaults: {defaults}
rules:
  - {{ id: few, match: {{ tool: refund }}, action: require_approval, approval: {{ by: manager }}, limit: {{ count: tool_calls, max: 0, window: 1h }} }}
",
            approvers()
        ))
    };
    let closed = policy("{ action: allow, tool_call: deny }");
    assert_eq!(record(&exchange(&closed, &[], &[FOR_A]))["code"], "AG3002");
    let open = policy("{ action: allow }");
    assert_eq!(record(&exchange(&open, &[], &[FOR_A]))["code"], "AG3003");
}

#[test]
fn a_limit_of_a_shadow_policy_counts_separately_and_denies_nothing() {
    let policy = "require: none
defaults: { action: allow }
rules:
  - { id: few, action: deny, limit: { count: requests, max: 4, window: 1h } }
shadow:
  defaults: { action: allow }
  rules:
    - { id: few, action: deny, limit: { count: requests, max: 2, window: 1h } }
    - { id: spent, action: tag, tags: [spent], limit: { count: requests, max: 1, window: 1h } }
    - { id: words, match: { event: message }, when: { text: { contains: forbidden } }, action: deny }
    - { id: wrong, action: deny, limit: { count: denials, max: 1, window: 1h } }
";
    in_both_modes(policy, |guard, _| {
        let ask = |text: &str| run(guard, &chat_request(&says(text)), |_| hello(), NOW);
        let limit = |id: &str, used: u64, max: u64, exceeded: bool| match exceeded {
            true => json!({"id": id, "used": used, "max": max, "exceeded": true}),
            false => json!({"id": id, "used": used, "max": max}),
        };
        let statuses: Vec<u16> = (0..5).map(|_| ask("hi").client.status().unwrap()).collect();
        assert_eq!(statuses, [200, 200, 200, 200, 403]);
        let seen = ask("hi");
        // A call that is really denied is not counted in the shadow policy either.
        assert!(record(&seen).get("shadow").is_some());
        let fresh = guard_of(policy);
        let ask = |text: &str| {
            let seen = run(&fresh, &chat_request(&says(text)), |_| hello(), NOW);
            assert_eq!(seen.client.status(), Some(200));
            let record = record(&seen);
            assert_eq!(record["decision"], "allow");
            assert!(record.get("would").is_none(), "{record}");
            assert!(record.get("tags").is_none(), "{record}");
            record
        };
        let first = ask("hi");
        assert_eq!(first["shadow"], json!({"decision": "allow"}));
        assert_eq!(
            first["limits"],
            json!([
                limit("few", 1, 4, false),
                limit("shadow/few", 1, 2, false),
                limit("shadow/spent", 1, 1, false),
                limit("shadow/wrong", 0, 1, false),
            ])
        );
        // The shadow policy denies this request for another reason: it counts as a denial, and not as a request.
        let second = ask("forbidden");
        assert_eq!(second["shadow"]["decision"], "deny");
        let third = ask("hi");
        assert_eq!(
            third["shadow"]["rules"],
            json!(["shadow/spent", "shadow/wrong"])
        );
        assert_eq!(third["shadow"]["decision"], "deny");
    });
}

fn guard_of(policy: &str) -> Rc<Guard> {
    guard(policy)
}
