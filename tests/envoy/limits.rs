//! Limits in Envoy: exact over all workers, also after new VMs and new configurations.

use crate::scene::{Mode, answers, calls, case, in_every_way, in_mode, policy, says, sites, with};
use harness::{Answer, Envoy, Gate, Http, Request, Setup, Site, Version, wait_for};
use serde_json::{Value, json};

in_both_envoys![
    of_a_thousand_concurrent_requests_exactly_a_hundred_pass,
    a_window_that_is_over_lets_pass_again,
    a_new_configuration_keeps_what_is_counted,
    policies_with_other_names_count_for_themselves,
    calls_of_a_tool_are_counted_over_exchanges,
    each_client_address_has_its_own_counter,
    tokens_are_settled_by_what_the_provider_says,
    a_stream_over_its_budget_ends_as_a_valid_one,
    a_session_has_its_own_counter,
    only_so_many_requests_run_at_the_same_time,
];

/// Returns a policy with a limit. Under another name it has its own counters, also in an Envoy that other
/// tests used.
fn limited(name: &str, rule: Value) -> Value {
    with(
        policy(json!([rule])),
        json!({"metadata": {"name": name}, "require": "none"}),
    )
}

fn hundred() -> Value {
    json!({
        "id": "hundred", "action": "deny",
        "limit": {"count": "requests", "max": 100, "window": "24h"},
    })
}

/// Returns the statuses of `threads` × `each` requests, sent from `threads` connections at the same time.
fn statuses(envoy: &Envoy, site: &str, threads: usize, each: usize) -> Vec<u16> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|number| {
                let http = Http::BOTH[number % 2];
                scope.spawn(move || {
                    let site = envoy.site(site);
                    (0..each)
                        .map(|_| site.send(http, &Request::chat(says("hi"))).status)
                        .collect::<Vec<u16>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a client"))
            .collect()
    })
}

fn passed(statuses: &[u16]) -> usize {
    let passed = statuses.iter().filter(|status| **status == 200).count();
    let denied = statuses
        .iter()
        .filter(|status| [403, 429].contains(*status))
        .count();
    assert_eq!(passed + denied, statuses.len(), "{statuses:?}");
    passed
}

fn of_a_thousand_concurrent_requests_exactly_a_hundred_pass(version: Version) {
    for (workers, mode) in [(2, Mode::Hold), (4, Mode::Portable)] {
        case(&format!("{workers} workers"), || {
            let policy = in_mode(&limited("hundred", hundred()), mode);
            let envoy = Setup::new(version, vec![Site::new("all", &policy)])
                .labels(vec!["limit_id", "mode"])
                .workers(workers)
                .lease_apart();
            envoy.provider.answer_always(answers("Hello"));
            let statuses = statuses(&envoy, "all", 50, 20);
            assert_eq!(statuses.len(), 1_000);
            assert_eq!(passed(&statuses), 100);
            if mode == Mode::Hold {
                assert_eq!(envoy.provider.count(), 100);
            }
            let hits = wait_for("the metric", || {
                let samples = envoy.samples();
                let hits = samples
                    .iter()
                    .find(|sample| sample.name == "agentguard_limit_hits_total")?;
                (hits.value == 900.0).then(|| hits.labels.clone())
            });
            assert_eq!(hits["limit_id"], "hundred");
            assert_eq!(hits["mode"], "enforce");
        });
    }
}

fn a_window_that_is_over_lets_pass_again(version: Version) {
    let rule = json!({
        "id": "few", "action": "deny", "limit": {"count": "requests", "max": 2, "window": "3s"},
    });
    let envoy = Setup::new(version, sites(&limited("few", rule))).lease();
    envoy.provider.answer_always(answers("Hello"));
    let site = envoy.site("hold");
    let ask = || site.send(Http::One, &Request::chat(says("hi")));
    // The requests and the denial may be in two windows, but not four times in a row.
    let denied = wait_for("a denial", || {
        let answer = ask();
        (answer.status == 429).then_some(answer)
    });
    let wait: u64 = denied
        .header("retry-after")
        .expect("when to try again")
        .parse()
        .expect("seconds");
    assert!((1..=3).contains(&wait));
    assert_eq!(denied.header("x-should-retry"), Some("true"));
    assert_eq!(denied.header("x-ratelimit-limit"), Some("2"));
    assert_eq!(denied.json()["error"]["agentguard"]["code"], "AG5001");
    wait_for("the next window", || (ask().status == 200).then_some(()));
}

fn a_new_configuration_keeps_what_is_counted(version: Version) {
    let site = |max: u32| {
        let rule = json!({
            "id": "few", "action": "deny", "limit": {"count": "requests", "max": max, "window": "24h"},
        });
        Site::new("watched", &limited("kept", rule)).watched()
    };
    let mut envoy = Setup::new(version, vec![site(3)]).workers(2).lease();
    envoy.provider.answer_always(answers("Hello"));
    assert_eq!(passed(&statuses(&envoy, "watched", 4, 2)), 3);
    let before = envoy.discovery_stat("watched", "update_success");
    envoy.replace(site(5));
    wait_for("the new policy to be taken up", || {
        (envoy.discovery_stat("watched", "update_success") > before).then_some(())
    });
    // Workers apply the change one after the other; in the end exactly two more have passed.
    let mut more = 0;
    wait_for("two more to pass", || {
        more += passed(&statuses(&envoy, "watched", 4, 2));
        (more == 2).then_some(())
    });
    assert_eq!(passed(&statuses(&envoy, "watched", 4, 2)), 0);
}

fn policies_with_other_names_count_for_themselves(version: Version) {
    let sites = ["one", "two"]
        .map(|name| Site::new(name, &limited(name, hundred())))
        .to_vec();
    let envoy = Setup::new(version, sites).workers(2).lease();
    envoy.provider.answer_always(answers("Hello"));
    assert_eq!(passed(&statuses(&envoy, "one", 10, 15)), 100);
    assert_eq!(passed(&statuses(&envoy, "two", 10, 15)), 100);
}

fn calls_of_a_tool_are_counted_over_exchanges(version: Version) {
    let rule = json!({
        "id": "tools", "action": "deny", "reason": "That is enough.",
        "limit": {"count": "tool_calls", "per": "tool", "max": 8, "window": "24h"},
    });
    let envoy = Setup::new(version, sites(&limited("tools", rule))).lease();
    envoy.provider.answer_always(calls(&[("look", "{}")]));
    let mut kept = 0;
    for _ in 0..3 {
        in_every_way(&envoy, |site, _, http| {
            let answer = site.send(http, &Request::chat(says("hi")));
            assert_eq!(answer.status, 200);
            let message = &answer.json()["choices"][0]["message"];
            match message.get("tool_calls") {
                Some(_) => kept += 1,
                None => {
                    let told = message["content"].as_str().expect("a text");
                    assert!(told.starts_with("That is enough. Try again in "), "{told}");
                }
            }
        });
    }
    assert_eq!(kept, 8);
}

fn each_client_address_has_its_own_counter(version: Version) {
    let rule = json!({
        "id": "each", "action": "deny", "limit": {"count": "requests", "per": "address", "max": 3, "window": "24h"},
    });
    let envoy = Setup::new(version, vec![Site::new("all", &limited("each", rule))]).lease();
    envoy.provider.answer_always(answers("Hello"));
    // Another port is the same client.
    assert_eq!(passed(&statuses(&envoy, "all", 3, 2)), 3);
}

fn tokens(max: u32, per: &str) -> Value {
    json!({
        "id": "budget", "action": "deny", "reason": "The budget is used up.",
        "limit": {"count": "tokens", "per": per, "max": max, "window": "24h"},
    })
}

fn tokens_are_settled_by_what_the_provider_says(version: Version) {
    // Each response reports 7 tokens; the fourth of one model finds nothing left of 21.
    for mode in Mode::BOTH {
        let name = format!("tokens-{}", mode.word());
        let policy = limited(&name, tokens(21, "model"));
        let envoy = Setup::new(version, vec![Site::new("all", &in_mode(&policy, mode))]).lease();
        envoy.provider.answer_always(answers("Hello"));
        let site = envoy.site("all");
        let ask = || site.send(Http::One, &Request::chat(says("hi")));
        for used in [7, 14, 21] {
            assert_eq!(ask().status, 200);
            let record = site.records.next();
            assert_eq!(record["limits"][0]["used"], used, "{record}");
        }
        let denied = ask();
        assert!([403, 429].contains(&denied.status));
        let error = &denied.json()["error"];
        assert_eq!(error["agentguard"]["code"], "AG5001");
        let other = json!({"model": "o3", "messages": [{"role": "user", "content": "hi"}]});
        let other = Request::chat(other.to_string().into_bytes());
        assert_eq!(site.send(Http::One, &other).status, 200);
    }
}

fn word() -> Vec<u8> {
    let chunk = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": null}],
    });
    format!("data: {chunk}\n\n").into_bytes()
}

fn a_stream_over_its_budget_ends_as_a_valid_one(version: Version) {
    let policy = limited("stream", tokens(200, "header.x-case"));
    let envoy = Setup::new(version, sites(&policy)).lease();
    let mut answer = Answer::chunked(200, &[("content-type", "text/event-stream")]);
    for _ in 0..400 {
        answer = answer.chunk(&word());
    }
    envoy
        .provider
        .answer_always(answer.chunk(b"data: [DONE]\n\n").end());
    let mut number = 0;
    in_every_way(&envoy, |site, _, http| {
        number += 1;
        let body = json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
        let request =
            Request::chat(body.to_string().into_bytes()).header("x-case", number.to_string());
        let answer = site.open(http, &request).rest();
        assert_eq!(answer.status, 200);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        // 180 of 200 tokens are left: 720 bytes, 144 words.
        let words = text.matches("word ").count();
        assert!((100..160).contains(&words), "{words}");
        assert!(text.contains("The budget is used up."), "{text}");
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        let record = site.records.next();
        assert_eq!(record["code"], "AG5001", "{record}");
        let used = record["limits"][0]["used"].as_u64();
        assert!(
            used.is_some_and(|used| (200..=202).contains(&used)),
            "{record}"
        );
        let next = site.send(http, &request);
        assert!([403, 429].contains(&next.status), "{}", next.status);
        site.records.next();
    });
}

fn a_session_has_its_own_counter(version: Version) {
    let rule = json!({
        "id": "turns", "action": "deny", "limit": {"count": "requests", "per": "session", "max": 3},
    });
    let site = Site::new("all", &limited("turns", rule));
    let envoy = Setup::new(version, vec![site]).workers(2).lease();
    envoy.provider.answer_always(answers("Hello"));
    let site = envoy.site("all");
    let asks = |first: &str, turn: usize| {
        let body = json!({"model": "gpt-4o", "messages": [
            {"role": "user", "content": first},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": format!("turn {turn}")},
        ]});
        site.send(Http::Two, &Request::chat(body.to_string().into_bytes()))
            .status
    };
    for first in ["hello", "good morning"] {
        let statuses: Vec<u16> = (0..5).map(|turn| asks(first, turn)).collect();
        assert_eq!(statuses, [200, 200, 200, 403, 403], "{first}");
    }
}

fn only_so_many_requests_run_at_the_same_time(version: Version) {
    let rule = json!({
        "id": "at-once", "action": "deny",
        "limit": {"count": "concurrent_requests", "max": 4, "window": {"sliding": "1h"}},
    });
    let site = Site::new("all", &limited("at-once", rule));
    let envoy = Setup::new(version, vec![site]).workers(4).lease_apart();
    let gate = Gate::default();
    envoy.provider.answer_always(answers("Hello").after(&gate));
    let site = envoy.site("all");
    let ask = || site.send(Http::One, &Request::chat(says("hi"))).status;
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        wait_for("four requests to run", || {
            (envoy.provider.count() == 4).then_some(())
        });
        for _ in 0..8 {
            assert_eq!(ask(), 403);
        }
        gate.open();
        for request in running {
            assert_eq!(request.join().expect("a client"), 200);
        }
    });
    wait_for("a place", || (ask() == 200).then_some(()));
}
