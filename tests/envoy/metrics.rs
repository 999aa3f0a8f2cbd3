//! Metrics on Envoy's Prometheus page.

use crate::scene::{Mode, answers, calls, forbidden, mask_cards, no_weapons, policy, says, sites};
use agentguard::metrics::{METRICS, label_names, tag_pattern};
use harness::{Answer, Envoy, Http, Request, Sample, Setup, Version, wait_for};
use serde_json::json;
use std::collections::BTreeSet;

in_both_envoys![
    every_metric_has_its_labels,
    what_clients_write_can_t_break_the_page_or_flood_it,
    workers_count_together,
];

/// Returns the tag extraction of `agentguard build --bootstrap`.
fn tags() -> Vec<(&'static str, String)> {
    let names = label_names().into_iter();
    names.map(|name| (name, tag_pattern(name))).collect()
}

fn start(version: Version, workers: u32) -> Envoy {
    let no_delete =
        json!({"id": "no-delete", "match": {"tool": "delete_customer"}, "action": "deny"});
    let no_pro = json!({"id": "no-pro-models", "match": {"model": "*-pro"}, "action": "deny"});
    let policy = policy(json!([no_weapons(), mask_cards(), no_delete, no_pro]));
    Setup::new(version, sites(&policy))
        .tags(tags())
        .workers(workers)
        .start()
}

/// Returns the value of a metric with exactly these labels.
fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    samples
        .iter()
        .find(|sample| {
            sample.name == name
                && sample.labels.len() == labels.len()
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|is| is == value))
        })
        .map(|sample| sample.value)
}

fn every_metric_has_its_labels(version: Version) {
    let envoy = start(version, 1);
    for mode in Mode::BOTH {
        let site = envoy.site(mode.word());
        let card = "4111 1111 1111 1111";
        envoy.provider.answer_next(answers(card));
        site.send(Http::One, &Request::chat(says(card)));
        envoy
            .provider
            .answer_next(calls(&[("delete_customer", "{}"), ("get_customer", "{}")]));
        site.send(Http::Two, &Request::chat(says("hello")));
        envoy.provider.answer_next(Answer::json(
            429,
            br#"{"error":{"message":"slow down","type":"rate_limit_exceeded"}}"#,
        ));
        site.send(Http::One, &Request::chat(says("hello")));
        site.records.skip_to(3);
        site.send(Http::Two, &forbidden());
        site.send(Http::Two, &Request::chat(b"{".to_vec()));
        site.records.skip_to(5);
    }
    let samples = envoy.samples();
    let both = Some(2.0);
    let client = ("client_id", "anonymous");
    let openai = ("provider", "openai");
    let model = |status| [openai, ("model", "gpt-4o"), ("status", status), client];
    let requests = "agentguard_requests_total";
    assert_eq!(value(&samples, requests, &model("redact")), both);
    assert_eq!(value(&samples, requests, &model("allow")), both);
    // The removed call and the denied word.
    assert_eq!(value(&samples, requests, &model("deny")), Some(4.0));
    let unread = [openai, ("model", "unknown"), ("status", "deny"), client];
    assert_eq!(value(&samples, requests, &unread), both);
    let enforce = ("mode", "enforce");
    let decided = |decision, code| vec![("decision", decision), enforce, ("code", code)];
    for (name, labels, expected) in [
        (
            "agentguard_policy_decisions_total",
            vec![("rule_id", "no-weapons"), ("action", "deny"), enforce],
            2.0,
        ),
        (
            "agentguard_policy_decisions_total",
            vec![("rule_id", "no-delete"), ("action", "deny"), enforce],
            2.0,
        ),
        // One for the request and one for the response.
        (
            "agentguard_policy_decisions_total",
            vec![("rule_id", "mask-cards"), ("action", "redact"), enforce],
            4.0,
        ),
        (
            "agentguard_findings_total",
            vec![("type", "credit_card"), ("action", "redact")],
            4.0,
        ),
        (
            "agentguard_tool_calls_total",
            vec![("tool", "delete_customer"), ("action", "deny")],
            2.0,
        ),
        (
            "agentguard_tool_calls_total",
            vec![("tool", "get_customer"), ("action", "allow")],
            2.0,
        ),
        (
            "agentguard_provider_errors_total",
            vec![openai, ("error_type", "rate_limit_exceeded")],
            2.0,
        ),
        (
            "agentguard_uninspectable_total",
            vec![("code", "AG2001")],
            2.0,
        ),
        ("agentguard_decisions_total", decided("deny", "AG3001"), 4.0),
        ("agentguard_decisions_total", decided("deny", "AG2001"), 2.0),
        ("agentguard_decisions_total", decided("redact", "none"), 2.0),
        ("agentguard_decisions_total", decided("allow", "none"), 2.0),
        // One for each policy: there is one worker.
        ("agentguard_audit_chains_total", vec![], 2.0),
        ("agentguard_config_rejected_total", vec![], 0.0),
    ] {
        assert_eq!(
            value(&samples, name, &labels),
            Some(expected),
            "{name} {labels:?}"
        );
    }
    // The code decides on an unreadable body, not a rule on its content.
    let is_of_no_pro = |sample: &Sample| {
        sample
            .labels
            .get("rule_id")
            .is_some_and(|id| id == "no-pro-models")
    };
    assert!(!samples.iter().any(is_of_no_pro));
    for (direction, expected) in [("input", 12.0), ("output", 16.0)] {
        let labels = [
            openai,
            ("model", "gpt-4o"),
            ("direction", direction),
            client,
        ];
        assert_eq!(
            value(&samples, "agentguard_tokens_total", &labels),
            Some(expected)
        );
    }
    // Histograms are visible after Envoy's next flush.
    for name in [
        "agentguard_request_duration_milliseconds",
        "agentguard_inspection_microseconds",
    ] {
        wait_for(name, || {
            let samples = envoy.samples();
            [("redact", 2.0), ("allow", 2.0), ("deny", 6.0)]
                .iter()
                .all(|(decision, expected)| {
                    let labels = [openai, ("decision", *decision)];
                    value(&samples, &format!("{name}_count"), &labels) == Some(*expected)
                })
                .then_some(())
        });
    }
    // All stats of the filter are documented.
    let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    for sample in samples
        .iter()
        .filter(|sample| sample.name.contains("agentguard_"))
    {
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| sample.name.strip_suffix(suffix))
            .unwrap_or(&sample.name);
        // Envoy's own stats of the listeners contain their names, too.
        assert!(
            known.contains(name) || sample.name.starts_with("envoy_"),
            "{}",
            sample.name
        );
    }
}

fn what_clients_write_can_t_break_the_page_or_flood_it(version: Version) {
    let envoy = start(version, 1);
    envoy.provider.answer_always(answers("Hello"));
    let site = envoy.site("hold");
    let ask = |model: &str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        let response = site.send(Http::One, &Request::chat(body.to_string()));
        assert_eq!(response.status, 200, "{model:?}");
    };
    let hostile = [
        "gpt;.;status=.=forged;.;x",
        "a\"} 1\nforged_total 7\n#",
        "tab\there\u{1}\u{7f}",
        "caf\u{e9} \u{1F600}",
        "back\\slash\\n",
        "",
        &"m".repeat(10_000),
        "agentguard_requests_total{forged=\"1\"}",
    ];
    for model in hostile {
        ask(model);
    }
    // Envoy never removes a stat: a client with invented models must not create many.
    for number in 0..300 {
        ask(&format!("made-up-{number}"));
    }
    let samples = envoy.samples();
    let models: Vec<&Sample> = samples
        .iter()
        .filter(|sample| sample.name == "agentguard_requests_total")
        .collect();
    let sum: f64 = models.iter().map(|sample| sample.value).sum();
    assert_eq!(sum, 308.0);
    assert_eq!(models.len(), 201, "200 models and `other`");
    for sample in &models {
        let labels: Vec<&str> = sample.labels.keys().map(String::as_str).collect();
        assert_eq!(labels, ["client_id", "model", "provider", "status"]);
        assert_eq!(sample.labels["status"], "allow");
        let model = &sample.labels["model"];
        assert!(model.len() <= 64, "{model}");
        assert!(
            model
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte)),
            "{model}"
        );
    }
    assert!(!samples.iter().any(|sample| sample.name.contains("forged")));
}

fn workers_count_together(version: Version) {
    let envoy = start(version, 2);
    envoy.provider.answer_always(answers("Hello"));
    for number in 1..=40 {
        let site = envoy.site(if number % 2 == 0 { "hold" } else { "portable" });
        site.send(Http::One, &Request::chat(says("hello")));
    }
    for mode in Mode::BOTH {
        envoy.site(mode.word()).records.skip_to(20);
    }
    let sum: f64 = envoy
        .samples()
        .iter()
        .filter(|sample| sample.name == "agentguard_requests_total")
        .map(|sample| sample.value)
        .sum();
    assert_eq!(sum, 40.0);
}
