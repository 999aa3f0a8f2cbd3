//! Rules on content that could not be read: the code alone decides.

use super::*;

const NO_PRO: &str = "defaults: { action: allow }
rules:
  - { id: no-pro-models, match: { model: '*-pro*' }, action: deny, tags: [pro], reason: Too dear. }
  - { id: not-mini, when: { model: { not_in: [gpt-4o-mini] } }, action: deny }
  - { id: short, when: { request.max_tokens: { exists: false } }, action: deny }
";

/// Returns the decisions of rules in the metrics.
fn counted(guard: &Rc<Guard>, request: &HttpMessage) -> Vec<String> {
    let mut flow = Flow::new(Rc::clone(guard));
    let step = sends_head(&mut flow, request);
    if step.action != Action::Continue && !matches!(step.action, Action::Reply(_)) || !flow.replied
    {
        let _ = flow.request_body(&mut request.body().as_slice(), true, NOW);
    }
    let end = End {
        now: NOW,
        ..End::default()
    };
    let _ = flow.finish(&end);
    let mut told = Vec::new();
    flow.count(&end, &mut |metric, values, _| {
        if metric.name == "agentguard_policy_decisions_total" {
            told.push(values.join(" "));
        }
    });
    told
}

#[test]
fn an_unreadable_body_is_denied_by_its_code_and_counted_for_no_rule() {
    in_both_modes(NO_PRO, |guard, _| {
        for (body, code) in [
            (&b"{\"model\":"[..], "AG2001"),
            (
                b"{\"messages\":[],\"model\":\"a\",\"model\":\"b-pro\"}",
                "AG2002",
            ),
            (b"\xef\xbb\xbf{}", "AG2009"),
            (b"", "AG2001"),
        ] {
            let request = chat_request(body);
            let seen = exchange(guard, &request, hello());
            let told = client_json(&seen)["error"]["agentguard"].clone();
            assert_eq!((&told["code"], &told["rule"]), (&json!(code), &Value::Null));
            let record = record(&seen);
            assert_eq!(
                (&record["code"], &record["rules"]),
                (&json!(code), &Value::Null),
                "{record}"
            );
            assert_eq!(
                record["undecided"],
                json!(["no-pro-models", "not-mini", "short"]),
                "{record}"
            );
            assert_eq!(record["tags"], Value::Null, "{record}");
            assert_eq!(seen.finished.rule, None);
            assert_eq!(counted(guard, &request), [] as [&str; 0]);
        }
    });
}

#[test]
fn only_the_unread_part_of_a_body_is_undecided() {
    let guard = guard(NO_PRO);
    let request = chat_request(b"{\"messages\":[],\"model\":[\"a\"]}");
    let record = record(&exchange(&guard, &request, hello()));
    assert_eq!(record["code"], "AG2001");
    assert_eq!(record["undecided"], json!(["no-pro-models", "not-mini"]));
    assert_eq!(record["rules"][0]["id"], "short", "{record}");
    assert_eq!(counted(&guard, &request), ["short deny enforce"]);
}

#[test]
fn a_rule_that_needs_nothing_of_the_body_matches_too() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - { id: not-here, match: { path: '/v1/*' }, action: deny }
  - { id: no-pro-models, match: { model: '*-pro*' }, action: deny }
  - { id: either, when: { any: [{ path: { starts_with: /v1 } }, { request.stream: true }] }, action: deny }
",
    );
    let seen = exchange(&guard, &chat_request(b"{\"model\":"), hello());
    let record = record(&seen);
    assert_eq!(record["code"], "AG2001");
    assert_eq!(record["rules"][0]["id"], "not-here");
    assert_eq!(record["rules"].as_array().unwrap().len(), 1);
    assert_eq!(record["undecided"], json!(["either", "no-pro-models"]));
    // The code decided, and not a rule.
    assert_eq!(seen.finished.rule, None);
}

#[test]
fn a_model_in_the_path_is_known_without_the_body() {
    let guard = guard(NO_PRO);
    let request = HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", "/v1beta/models/gemini-2.5-pro:generateContent"),
            (":authority", "generativelanguage.googleapis.com"),
            ("content-type", "application/json"),
        ],
        b"{\"contents\":",
    );
    let seen = exchange(&guard, &request, hello());
    let record = record(&seen);
    assert_eq!(record["code"], "AG2001", "{record}");
    let rules: Vec<&Value> = record["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["id"])
        .collect();
    assert_eq!(rules, ["no-pro-models", "not-mini"], "{record}");
    assert_eq!(record["undecided"], json!(["short"]));
}

#[test]
fn the_rule_decides_toward_denial_if_the_code_is_allowed() {
    let policy = NO_PRO.replace(
        "rules:",
        "rules:\n  - { id: unread, match: { event: uninspectable, code: AG2001 }, action: allow }",
    );
    let guard = guard(&policy);
    let seen = exchange(&guard, &chat_request(b"{\"model\":"), hello());
    let record = record(&seen);
    assert_eq!(record["code"], "AG3001", "{record}");
    assert_eq!(record["rules"][0]["id"], "no-pro-models");
    assert_eq!(record["undecided"], Value::Null);
}

#[test]
fn observed_rules_are_undecided_too() {
    let guard = guard(&format!("mode: observe\n{NO_PRO}"));
    let request = chat_request(b"{\"model\":");
    let seen = exchange(&guard, &request, hello());
    let record = record(&seen);
    assert_eq!(
        (&record["decision"], &record["would"]),
        (&json!("allow"), &json!("deny"))
    );
    assert_eq!(record["rules"], Value::Null, "{record}");
    assert_eq!(
        record["undecided"],
        json!(["no-pro-models", "not-mini", "short"])
    );
    assert_eq!(counted(&guard, &request), [] as [&str; 0]);
}

#[test]
fn a_broken_response_counts_for_no_rule_whole_and_streamed() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - { id: words, match: { event: response }, when: { text: { contains: weapon } }, action: deny }
  - { id: no-delete, match: { tool: delete_customer }, action: deny }
",
    );
    let whole = exchange(
        &guard,
        &chat_request(&says("hello")),
        HttpMessage::new(
            &[(":status", "200"), ("content-type", "application/json")],
            b"{\"choices\":[{\"message\":",
        ),
    );
    let headers = [(":status", "200"), ("content-type", "text/event-stream")];
    let streamed = exchange(
        &guard,
        &chat_request(&says("hello")),
        HttpMessage::new(
            &headers,
            b"data: {\"choices\":[{\"delta\":\n\ndata: [DONE]\n\n",
        ),
    );
    for (seen, code) in [(whole, "AG2001"), (streamed, "AG2014")] {
        let record = record(&seen);
        assert_eq!(
            (&record["code"], &record["rules"]),
            (&json!(code), &Value::Null),
            "{record}"
        );
        assert_eq!(record["decision"], "deny");
    }
}
