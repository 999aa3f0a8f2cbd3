//! Replacement of a policy under traffic, through the file that Envoy watches.

use crate::scene::{Mode, answers, forbidden, in_mode, no_weapons, policy, refusal, says, with};
use harness::{
    Answer, Configuration, Envoy, Gate, Host, Http, Raw, Request, Sample, Setup, Site, Version,
    wait_for,
};
use serde_json::{Value, json};

in_both_envoys![
    a_good_policy_takes_the_place_of_the_old_one,
    a_bad_policy_leaves_the_old_one_in_force,
    an_exchange_ends_under_the_policy_that_it_began_with,
    an_invalid_policy_at_the_start_denies_everything_until_a_valid_one_arrives,
    counters_go_on_under_a_new_policy,
    a_new_policy_leaves_the_bound_of_label_values_as_it_is,
];

fn named(name: &str, rules: Value) -> Value {
    with(policy(rules), json!({"metadata": {"name": name}}))
}

fn site(mode: Mode, policy: &Value) -> Site {
    Site::new("watched", &in_mode(policy, mode)).watched()
}

/// Returns the policies in force by the gauge.
fn in_force(envoy: &Envoy) -> Vec<(String, String, f64)> {
    let of = |sample: &Sample, label: &str| sample.labels.get(label).cloned().unwrap_or_default();
    envoy
        .samples()
        .iter()
        .filter(|sample| sample.name == "agentguard_policy_info" && sample.value > 0.0)
        .map(|sample| (of(sample, "name"), of(sample, "version"), sample.value))
        .collect()
}

/// Replaces the policy and waits until Envoy uses it.
fn replace(envoy: &mut Envoy, site: Site) {
    let before = envoy.discovery_stat("watched", "update_success");
    envoy.replace(site);
    wait_for("the new policy to be taken up", || {
        (envoy.discovery_stat("watched", "update_success") > before).then_some(())
    });
}

/// Replaces the policy by an invalid one and waits until Envoy rejects it.
fn replace_in_vain(envoy: &mut Envoy, site: Site) {
    let rejected = |envoy: &Envoy| {
        envoy.discovery_stat("watched", "update_rejected")
            + envoy.discovery_stat("watched", "update_failure")
    };
    let before = rejected(envoy);
    envoy.replace(site);
    wait_for("the new policy to be rejected", || {
        (rejected(envoy) > before).then_some(())
    });
}

fn rejected_total(envoy: &Envoy) -> Option<f64> {
    let samples = envoy.samples();
    let sample = samples
        .iter()
        .find(|sample| sample.name == "agentguard_config_rejected_total")?;
    assert!(sample.labels.is_empty());
    Some(sample.value)
}

fn start(version: Version, site: Site) -> Envoy {
    Setup::new(version, vec![site])
        .labels(vec!["name", "version"])
        .workers(2)
        .start()
}

/// Envoy drops a stat with the last configuration that uses it, so each configuration must take over those of the
/// previous one.
fn counters_go_on_under_a_new_policy(version: Version) {
    // Before 1.40, Envoy lets a configuration count only during an exchange.
    if Host::of_run() == Host::Native && version == Version::Oldest {
        return;
    }
    for mode in Mode::BOTH {
        let mut envoy = Setup::new(version, vec![site(mode, &named("first", json!([])))])
            .labels(vec!["provider", "model", "status", "client_id"])
            .workers(2)
            .lease();
        envoy.provider.answer_always(answers("Hello"));
        for round in 1..=3u32 {
            let asked = envoy
                .site("watched")
                .send(Http::One, &Request::chat(says("hello")));
            assert_eq!(asked.status, 200);
            let counted = |envoy: &Envoy| -> f64 {
                let samples = envoy.samples();
                let exchanges = samples
                    .iter()
                    .filter(|sample| sample.name == "agentguard_requests_total");
                exchanges.map(|sample| sample.value).sum()
            };
            wait_for("the exchange to be counted", || {
                (counted(&envoy) >= f64::from(round)).then_some(())
            });
            // Several replacements, so that nothing references the configuration under which the exchange was
            // counted.
            for name in ["second", "third"] {
                replace(&mut envoy, site(mode, &named(name, json!([]))));
            }
            assert_eq!(counted(&envoy), f64::from(round), "{mode:?}");
        }
    }
}

/// Envoy keeps what an earlier policy has counted, so that a bound for each policy would be none.
fn a_new_policy_leaves_the_bound_of_label_values_as_it_is(version: Version) {
    let watched = |name| site(Mode::Hold, &named(name, json!([])));
    let mut envoy = Setup::new(version, vec![watched("first")])
        .labels(vec!["provider", "model", "status", "client_id"])
        .workers(1)
        .start();
    envoy.provider.answer_always(answers("Hello"));
    for (name, exchanges) in [("second", 150), ("third", 300)] {
        for number in exchanges - 150..exchanges {
            let model = format!("model-{number}");
            let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
            let asked = envoy
                .site("watched")
                .send(Http::One, &Request::chat(body.to_string()));
            assert_eq!(asked.status, 200);
        }
        envoy.site("watched").records.skip_to(exchanges);
        replace(&mut envoy, watched(name));
    }
    let samples = envoy.samples();
    let models: Vec<&Sample> = samples
        .iter()
        .filter(|sample| sample.name == "agentguard_requests_total")
        .collect();
    // Before 1.40, Envoy forgets what a native module has counted under an earlier policy.
    if Host::of_run() == Host::Native && version == Version::Oldest {
        assert!(models.len() <= 201, "{}", models.len());
        return;
    }
    assert_eq!(models.len(), 201, "200 models and `other`");
    let other = |sample: &&&Sample| sample.labels["model"] == "other";
    assert_eq!(
        models.iter().find(other).map(|sample| sample.value),
        Some(100.0)
    );
}

fn a_good_policy_takes_the_place_of_the_old_one(version: Version) {
    for mode in Mode::BOTH {
        let strict = named("strict", json!([no_weapons()]));
        let mut envoy = start(version, site(mode, &strict));
        envoy.provider.answer_always(answers("Hello"));
        // An open connection is not bound to the old policy. Envoy closes a connection after its own reply with 400.
        let mut connection = envoy.site("watched").raw();
        let ask = |envoy: &Envoy, connection: &mut Raw, text: &str| {
            let body = says(text);
            let head = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            connection.send(&[head.as_bytes(), &body].concat());
            let status = connection.response().expect("an answer").status;
            if status == 400 {
                *connection = envoy.site("watched").raw();
            }
            status
        };
        assert_eq!(ask(&envoy, &mut connection, "the forbidden word"), 400);
        assert_eq!(ask(&envoy, &mut connection, "hello"), 200);
        assert_eq!(rejected_total(&envoy), Some(0.0));
        wait_for("the policy to be told", || {
            (in_force(&envoy).first()?.0 == "strict").then_some(())
        });
        replace(&mut envoy, site(mode, &named("lenient", json!([]))));
        wait_for("the new policy to be in force", || {
            (ask(&envoy, &mut connection, "the forbidden word") == 200).then_some(())
        });
        let told = wait_for("only the new policy to be told", || {
            // Before Envoy 1.40, a native module can only report it during an exchange.
            ask(&envoy, &mut connection, "hello");
            let told = in_force(&envoy);
            // It is reported once, although Envoy's main thread and each worker have it.
            (told.len() == 1 && told[0].0 == "lenient" && told[0].2 == 1.0).then_some(told)
        });
        let last = wait_for("its first record", || {
            let records = envoy.site("watched").records.lines();
            let last: Value = serde_json::from_str(records.last()?).expect("JSON");
            (last["policy"]["name"] == "lenient").then_some(last)
        });
        let version = last["policy"]["version"].as_str().expect("a version");
        assert_eq!(told[0].1, version);
        replace(&mut envoy, site(mode, &strict));
        wait_for("the old policy to be back", || {
            (ask(&envoy, &mut connection, "the forbidden word") == 400).then_some(())
        });
    }
}

fn a_bad_policy_leaves_the_old_one_in_force(version: Version) {
    let good = named("good", json!([no_weapons()]));
    let mut envoy = start(version, site(Mode::Portable, &good));
    envoy.provider.answer_always(answers("Hello"));
    let misspelt = named(
        "bad",
        json!([{"id": "x", "mach": {"tool": "a"}, "action": "deny"}]),
    );
    let text =
        |text: &str| site(Mode::Portable, &good).configured(Configuration::Text(text.to_owned()));
    let bad = [
        (
            site(Mode::Portable, &misspelt),
            "AG1004 rules[0].mach: unknown key `mach`; did you mean `match`?",
        ),
        (text("{\"apiVersion\":"), "AG1001"),
        (
            text("apiVersion: agentguard.dev/v1\nkind: AgentPolicy\n"),
            "AG1001",
        ),
        (
            site(
                Mode::Portable,
                &with(good.clone(), json!({"audit": {"key": "env:NO_SUCH_KEY"}})),
            ),
            "AG1022",
        ),
        (
            site(Mode::Portable, &good).configured(Configuration::Absent),
            "AG1003",
        ),
    ];
    for (number, (bad, code)) in bad.into_iter().enumerate() {
        replace_in_vain(&mut envoy, bad);
        let rejected = envoy.discovery_stat("watched", "update_rejected");
        assert_eq!(rejected, number as u64 + 1);
        let printed = envoy.printed();
        let line = printed
            .lines()
            .rfind(|line| line.contains("configuration rejected"))
            .unwrap_or_default();
        assert!(line.contains(code), "{code} is not in {line}");
        // The old policy stays in force.
        let watched = envoy.site("watched");
        refusal(&watched.send(Http::One, &forbidden()), 400, "AG3001");
        assert_eq!(
            watched
                .send(Http::Two, &Request::chat(says("hello")))
                .status,
            200
        );
        for _ in 0..2 {
            assert_eq!(watched.records.next()["policy"]["name"], "good");
        }
        // Before Envoy 1.40, a native module can only report it during an exchange.
        assert_eq!(rejected_total(&envoy), Some(number as f64 + 1.0));
    }
    wait_for("only the good policy to be told", || {
        let told = in_force(&envoy);
        (told.len() == 1 && told.first()?.0 == "good").then_some(())
    });
    // The counter also outlives the next valid policy.
    replace(
        &mut envoy,
        site(Mode::Portable, &named("better", json!([]))),
    );
    let watched = envoy.site("watched");
    wait_for("the better policy to be in force", || {
        (watched.send(Http::One, &forbidden()).status == 200).then_some(())
    });
    assert_eq!(rejected_total(&envoy), Some(5.0));
}

fn an_exchange_ends_under_the_policy_that_it_began_with(version: Version) {
    for mode in Mode::BOTH {
        let deny_answers = named(
            "old",
            json!([{
                "id": "no-recipes",
                "match": {"event": "response"},
                "when": {"text": {"contains": "secret recipe"}},
                "action": "deny",
            }]),
        );
        let mut envoy = start(version, site(mode, &deny_answers));
        // One request waits for the model's response, one for the rest of the client's own request.
        envoy
            .provider
            .answer_always(answers("the secret recipe is salt"));
        let gate = Gate::default();
        envoy
            .provider
            .answer_next(answers("the secret recipe is salt").after(&gate));
        let number = envoy.provider.count();
        let mut waiting = envoy
            .site("watched")
            .begin(Http::Two, &Request::chat(says("hello")));
        waiting.end();
        envoy.provider.ended(number);
        let body = says("hello again");
        let began = envoy.stat("http.watched.downstream_rq_total");
        let slow = envoy.site("watched").begin(
            Http::One,
            &Request::chat(body.clone()).chunks(vec![body[..10].to_vec()]),
        );
        wait_for("the slow request to begin", || {
            (envoy.stat("http.watched.downstream_rq_total") > began).then_some(())
        });

        replace(&mut envoy, site(mode, &named("new", json!([no_weapons()]))));
        let watched = envoy.site("watched");
        wait_for("the new policy to be in force", || {
            (watched.send(Http::One, &forbidden()).status == 400).then_some(())
        });
        let response = watched.send(Http::One, &Request::chat(says("hello")));
        assert!(String::from_utf8_lossy(&response.body).contains("salt"));

        gate.open();
        let first = waiting.finish().expect("an answer").rest();
        slow.send(&body[10..]);
        let second = slow.finish().expect("an answer").rest();
        for response in [first, second] {
            assert!(!String::from_utf8_lossy(&response.body).contains("salt"));
            let expected = if mode == Mode::Hold { 400 } else { 200 };
            assert_eq!((response.status, response.broken), (expected, None));
        }
        let names = |name: &str| {
            watched
                .records
                .lines()
                .iter()
                .filter(|line| {
                    let record: Value = serde_json::from_str(line).expect("JSON");
                    record["policy"]["name"] == name && record["decision"] == "deny"
                })
                .count()
        };
        wait_for("the records of the old policy", || {
            (names("old") == 2).then_some(())
        });
    }
}

fn an_invalid_policy_at_the_start_denies_everything_until_a_valid_one_arrives(version: Version) {
    let bad = named("bad", json!([{"id": "x", "action": "deni"}]));
    let mut envoy = start(version, site(Mode::Portable, &bad));
    let watched = envoy.site("watched");
    for request in [
        Request::chat(says("hello")),
        Request::new("GET", "/v1/models"),
        Request::new("GET", "/"),
    ] {
        assert_eq!(watched.send(Http::One, &request).status, 500);
    }
    assert_eq!(envoy.provider.count(), 0);
    assert!(envoy.printed().contains("AG1007"), "{}", envoy.printed());
    // The filter's own counter was lost with the VM, since none was in service; Envoy has one too.
    assert_eq!(envoy.discovery_stat("watched", "update_rejected"), 1);
    replace(
        &mut envoy,
        site(Mode::Portable, &named("good", json!([no_weapons()]))),
    );
    envoy.provider.answer_always(Answer::json(200, b"{}"));
    let watched = envoy.site("watched");
    wait_for("the good policy to be in force", || {
        (watched
            .send(Http::One, &Request::chat(says("hello")))
            .status
            == 200)
            .then_some(())
    });
    refusal(&watched.send(Http::One, &forbidden()), 400, "AG3001");
}
