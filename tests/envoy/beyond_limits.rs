//! Limits that do not deny: beyond them an approval is required, or a shadow policy records what it
//! would do.

use crate::approvals::{approved, manager, requested};
use crate::scene::{answers, calls, case, in_every_way, policy, says, sites, with};
use harness::{Http, Request, Response, Setup, Version, wait_for};
use serde_json::{Value, json};

in_both_envoys![
    a_call_beyond_the_limit_passes_with_its_approval_and_is_counted,
    of_one_approval_beyond_the_limit_one_request_passes_over_all_workers,
    a_shadow_limit_counts_by_itself_over_all_workers_and_denies_nobody,
];

fn asking(limit: Value, rule: Value) -> Value {
    let asks = json!({"id": "budget", "action": "require_approval", "approval": {"by": "manager", "show": "args"}, "limit": limit});
    let public = manager().public().expect("a public key");
    with(
        policy(json!([with(asks, rule)])),
        json!({"require": "none", "approvers": {"manager": public}}),
    )
}

fn hello() -> Request {
    Request::chat(says("hi"))
}

fn with_token(token: &str) -> Request {
    hello().header("x-agentguard-approval", token)
}

fn called(response: &Response) -> bool {
    response.json()["choices"][0]["message"]["tool_calls"].is_array()
}

fn a_call_beyond_the_limit_passes_with_its_approval_and_is_counted(version: Version) {
    let limit = json!({"sum": "args.amount", "per": "args.to", "max": 100, "window": "24h"});
    let policy = asking(limit, json!({"match": {"tool": "refund"}}));
    let envoy = Setup::new(version, sites(&policy)).workers(2).lease_apart();
    let mut customer = 0;
    in_every_way(&envoy, |site, _, http| {
        customer += 1;
        let refund = format!(r#"{{"amount": 80, "to": "c{customer}"}}"#);
        envoy.provider.answer_always(calls(&[("refund", &refund)]));
        let ask = |token: Option<&str>| {
            let request = token.map_or_else(hello, with_token);
            let response = site.send(http, &request);
            let record = site.records.next();
            (response, record)
        };
        let (free, record) = ask(None);
        assert!(called(&free));
        assert_eq!(record["limits"][0]["used"], 80);
        let (denied, record) = ask(None);
        assert!(!called(&denied));
        assert_eq!(
            (&record["decision"], &record["code"]),
            (&json!("require_approval"), &json!("AG3003"))
        );
        assert_eq!(record["limits"][0]["used"], 80);
        let request = requested(&denied);
        assert_eq!(&*request.rules[0].id, "budget");
        let token = approved(&request);
        let (passed, record) = ask(Some(&token));
        assert!(called(&passed), "{}", passed.json());
        assert_eq!(record["approval"]["state"], "approved");
        assert_eq!(record["limits"][0]["used"], 160);
        let (again, record) = ask(Some(&token));
        assert!(!called(&again));
        assert_eq!(record["approval"]["detail"], "replayed");
    });
}

fn of_one_approval_beyond_the_limit_one_request_passes_over_all_workers(version: Version) {
    let limit = json!({"count": "requests", "max": 5, "window": "24h"});
    let mut policy = asking(limit, json!({}));
    policy["rules"][0]["approval"] = json!({"by": "manager"});
    let envoy = Setup::new(version, sites(&policy)).workers(4).lease_apart();
    envoy.provider.answer_always(answers("Hello"));
    let site = envoy.site("hold");
    let at_once = |request: &Request| -> Vec<u16> {
        std::thread::scope(|scope| {
            let ask = || {
                (0..5)
                    .map(|_| site.send(Http::One, request).status)
                    .collect()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            let statuses = threads
                .into_iter()
                .flat_map(|thread| -> Vec<u16> { thread.join().expect("a client") });
            statuses.collect()
        })
    };
    let passed = |statuses: &[u16]| statuses.iter().filter(|status| **status == 200).count();
    // A request that loses a race against another worker also requires an approval.
    let statuses = at_once(&hello());
    assert_eq!(passed(&statuses), 5);
    assert!(statuses.iter().all(|status| [200, 400].contains(status)));
    let denied = site.send(Http::One, &hello());
    let token = approved(&requested(&denied));
    assert_eq!(passed(&at_once(&with_token(&token))), 1);
    wait_for("the one to be counted", || {
        let lines = site.records.lines();
        lines
            .iter()
            .any(|line| {
                let record: Value = serde_json::from_str(line).unwrap_or_default();
                record["limits"][0]["used"] == 6
            })
            .then_some(())
    });
}

fn a_shadow_limit_counts_by_itself_over_all_workers_and_denies_nobody(version: Version) {
    let limit = |max: u32| json!({"id": "few", "action": "deny", "limit": {"count": "requests", "max": max, "window": "24h"}});
    let policy = with(
        policy(json!([limit(20)])),
        json!({"require": "none", "shadow": {"defaults": {"action": "allow"}, "rules": [limit(8)]}}),
    );
    let envoy = Setup::new(version, sites(&policy))
        .labels(vec!["limit_id", "mode"])
        .workers(4)
        .lease_apart();
    envoy.provider.answer_always(answers("Hello"));
    // Both listeners count for the same policy.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = ["portable", "hold", "portable", "hold"]
            .into_iter()
            .map(|site| {
                let site = envoy.site(site);
                scope.spawn(move || -> Vec<u16> {
                    (0..6)
                        .map(|_| site.send(Http::One, &hello()).status)
                        .collect()
                })
            })
            .collect();
        let threads = threads.into_iter();
        threads
            .flat_map(|thread| thread.join().expect("a client"))
            .collect()
    });
    let of = |status: u16| statuses.iter().filter(|seen| **seen == status).count();
    assert_eq!((of(200), of(403)), (20, 4), "{statuses:?}");
    let records: Vec<Value> = wait_for("the audit events", || {
        let lines = ["portable", "hold"].map(|site| envoy.site(site).records.lines());
        let lines = lines.concat();
        let read = |line: &String| serde_json::from_str(line).expect("JSON");
        (lines.len() == 24).then(|| lines.iter().map(read).collect())
    });
    let would_deny = |record: &&Value| record["shadow"]["decision"] == "deny";
    let denied: Vec<&Value> = records.iter().filter(would_deny).collect();
    assert_eq!(denied.len(), 12);
    for record in denied {
        case(&record.to_string(), || {
            assert_eq!(record["decision"], "allow");
            assert_eq!(record["shadow"]["rules"], json!(["shadow/few"]));
            let limits = record["limits"].as_array().expect("limits");
            let shadow = limits.iter().find(|limit| limit["id"] == "shadow/few");
            let expected = json!({"id": "shadow/few", "used": 8, "max": 8, "exceeded": true});
            assert_eq!(shadow, Some(&expected));
        });
    }
    wait_for("the metric", || {
        let samples = envoy.samples();
        let hits = samples.iter().find(|sample| {
            sample.name == "agentguard_limit_hits_total"
                && sample
                    .labels
                    .get("limit_id")
                    .is_some_and(|id| id == "shadow/few")
        })?;
        (hits.value == 12.0 && hits.labels["mode"] == "observe").then_some(())
    });
}
