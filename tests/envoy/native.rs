//! Functions that only a native module has: panics that are caught, policies of routes, and buffers that it raises itself.
//! The other tests run with it as well: `make test-native`.

use crate::scene::{
    Mode, answers, case, forbidden, in_every_way, in_mode, no_weapons, policy, refusal, says,
    sites, with,
};
use crate::{approval_service, approvals};
use harness::{Answer, Envoy, Provider, Request, Setup, Site, Version, wait_for};
use serde_json::{Value, json};

in_both_envoys![natively:
    a_panic_denies_its_exchange_and_no_other,
    a_panic_at_the_answer_of_a_service_denies_the_call_that_waits,
    a_route_has_a_policy_of_its_own,
    a_policy_of_a_route_that_is_refused_is_not_loaded,
    bodies_larger_than_the_listener_s_buffer_are_inspected,
    a_folder_of_init_runs_as_its_page_says,
];

fn a_folder_of_init_runs_as_its_page_says(version: Version) {
    crate::examples::folder_of_init_runs(version, harness::Host::Native);
}

fn uninspectable(envoy: &Envoy, code: &str) -> f64 {
    let samples = envoy.samples();
    let of = |label: &str| label == code;
    samples
        .iter()
        .filter(|sample| sample.name == "agentguard_uninspectable_total")
        .filter(|sample| sample.labels.get("code").is_some_and(|label| of(label)))
        .map(|sample| sample.value)
        .sum()
}

fn a_panic_denies_its_exchange_and_no_other(version: Version) {
    let envoy = Setup::new(version, sites(&policy(json!([no_weapons()])))).start();
    envoy.provider.answer_always(answers("Hello"));
    let mut panics = 0.0;
    in_every_way(&envoy, |site, mode, http| {
        for hook in [
            "request_headers",
            "request_body",
            "response_headers",
            "response_body",
            "stream_complete",
        ] {
            case(hook, || {
                let request = Request::chat(says("hello"))
                    .header("x-test-panic", hook)
                    .header("x-test-mode", mode.word());
                let response = site.try_send(http, &request);
                panics += 1.0;
                let is_denied = |code: &str| match &response {
                    Ok(response) => {
                        response.status == 503 && response.header("x-agentguard-code") == Some(code)
                    }
                    Err(_) => false,
                };
                match hook {
                    "request_headers" => {
                        assert!(is_denied("AG9006"));
                        assert!(!has_reached(&envoy, hook, mode));
                    }
                    "request_body" if mode == Mode::Hold => {
                        assert!(is_denied("AG9006"));
                        assert!(!has_reached(&envoy, hook, mode));
                    }
                    "request_body" | "response_headers" => assert!(is_denied("AG9006")),
                    // The headers may have been forwarded.
                    "response_body" => {
                        let text =
                            response.map(|response| (response.broken.clone(), response.body));
                        let is_cut = match &text {
                            Ok((broken, body)) => broken.is_some() || !contains(body, b"Hello"),
                            Err(_) => true,
                        };
                        assert!(is_cut, "{text:?}");
                    }
                    _ => assert_eq!(response.map(|response| response.status), Ok(200)),
                }
                // Other exchanges are not affected.
                let response = site.send(http, &Request::chat(says("hello")));
                assert_eq!(response.status, 200);
                refusal(&site.send(http, &forbidden()), 400, "AG3001");
            });
        }
    });
    assert_eq!(uninspectable(&envoy, "AG9006"), panics);
    assert!(envoy.printed().contains("AG9006 a hook panicked"));
    // Every other exchange has its record, whether it passed or was denied, but not the one that panicked.
    for mode in Mode::BOTH {
        wait_for("the records", || {
            let lines = envoy.site(mode.word()).records.lines();
            let written = lines.iter().filter(|line| *line != "-").count();
            (lines.len() == 2 * 5 * 3 && written == 2 * 5 * 2).then_some(())
        });
    }
}

fn a_panic_at_the_answer_of_a_service_denies_the_call_that_waits(version: Version) {
    let service = Provider::start();
    service.answer_with(approval_service::agrees);
    let policy = approval_service::refunds(json!({"wait": "30s"}));
    let envoy = approval_service::start(version, &policy, service.address);
    let done = br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"done"}]}}"#;
    envoy.provider.answer_always(Answer::json(200, done));
    let mut panics = 0.0;
    in_every_way(&envoy, |site, _, http| {
        let panicking = approvals::tool_call(None).header("x-test-panic", "answered");
        let denied = site.send(http, &panicking);
        panics += 1.0;
        assert_eq!(denied.status, 503);
        assert_eq!(denied.header("x-agentguard-code"), Some("AG9006"));
        // The next call waits, and passes.
        let passed = site.send(http, &approvals::tool_call(None));
        assert!(contains(&passed.body, b"done"));
    });
    assert_eq!(uninspectable(&envoy, "AG9006"), panics);
}

/// Returns whether the provider received anything of a request that panicked in this hook.
fn has_reached(envoy: &Envoy, hook: &str, mode: Mode) -> bool {
    envoy.provider.received().iter().any(|request| {
        let has = |name: &str, value: &str| {
            let mut headers = request.headers.iter();
            headers.any(|(known, is)| known == name && is == value.as_bytes())
        };
        has("x-test-panic", hook) && has("x-test-mode", mode.word())
    })
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|part| part == text)
}

fn with_route(policy: &Value, route: &Value) -> Vec<Site> {
    let sites = Mode::BOTH.map(|mode| {
        Site::new(mode.word(), &in_mode(policy, mode)).route_policy(&in_mode(route, mode))
    });
    sites.to_vec()
}

fn a_route_has_a_policy_of_its_own(version: Version) {
    let strict = policy(json!([no_weapons()]));
    let lenient = with(
        policy(json!([])),
        json!({"metadata": {"name": "of-the-route"}}),
    );
    let envoy = Setup::new(version, with_route(&strict, &lenient)).start();
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        refusal(&site.send(http, &forbidden()), 400, "AG3001");
        assert_eq!(site.records.next()["policy"]["name"], "test");
        let request = forbidden().header("x-test-route-policy", "1");
        assert_eq!(site.send(http, &request).status, 200);
        assert_eq!(site.records.next()["policy"]["name"], "of-the-route");
    });
}

fn a_policy_of_a_route_that_is_refused_is_not_loaded(version: Version) {
    let wrong = policy(json!([{"id": "x", "mach": {"tool": "a"}, "action": "deny"}]));
    let setup = Setup::new(version, with_route(&policy(json!([])), &wrong));
    let (status, printed) = setup.fail_to_start();
    assert!(!status.success());
    assert!(printed.contains("AG1004 rules[0].mach"), "{printed}");
}

fn bodies_larger_than_the_listener_s_buffer_are_inspected(version: Version) {
    let policy = policy(json!([no_weapons()]));
    let sites = sites(&policy)
        .into_iter()
        .map(|site| site.buffer_limit(16 << 10))
        .collect();
    let envoy = Setup::new(version, sites).start();
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        let filler = "a ".repeat(1 << 20);
        let large = |end: &str| Request::chat(says(&format!("{filler}{end}")));
        assert_eq!(site.send(http, &large("")).status, 200);
        assert!(envoy.provider.last().body.len() > 2 << 20);
        refusal(&site.send(http, &large("forbidden")), 400, "AG3001");
    });
}
