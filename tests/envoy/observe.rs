//! Observe mode: nothing is held, nothing changes, and the decisions are recorded.

use crate::scene::{
    Mode, answers, both_modes, calls, case, in_every_way, in_mode, mask_cards, no_weapons, policy,
    says, with,
};
use harness::{Answer, Gate, Http, Request, Setup, Site, Version, gzip, wait_for};
use serde_json::{Value, json};

in_both_envoys![
    denials_and_redactions_are_recorded_and_not_applied,
    nothing_waits_in_either_direction,
    what_could_not_be_read_passes_as_it_came,
    a_rule_that_observes_leaves_its_neighbours_in_force,
];

fn observed(rules: Value) -> Value {
    with(policy(rules), json!({"mode": "observe"}))
}

fn no_delete() -> Value {
    json!({"id": "no-delete", "match": {"tool": "delete_customer"}, "action": "deny"})
}

fn denials_and_redactions_are_recorded_and_not_applied(version: Version) {
    let rules = json!([no_weapons(), mask_cards(), no_delete()]);
    let envoy = both_modes(version, &observed(rules));
    in_every_way(&envoy, |site, _, http| {
        let card = "4111 1111 1111 1111";
        let arguments = "{\"id\":7}";
        for (question, answer, would, tool) in [
            ("the forbidden word", answers("Hello"), "deny", None),
            (card, answers(card), "redact", None),
            (
                "hello",
                calls(&[("delete_customer", arguments)]),
                "deny",
                Some("delete_customer"),
            ),
        ] {
            envoy.provider.answer_next(answer.clone());
            let response = site.send(http, &Request::chat(says(question)));
            assert_eq!(response.status, 200);
            let text = String::from_utf8_lossy(&response.body);
            assert!(text.contains("Hello") || text.contains(card) || text.contains("delete"));
            let received = envoy.provider.last();
            assert_eq!(received.body, says(question));
            // Compression is only disabled for a rule in force.
            assert_eq!(received.header("accept-encoding"), None);
            let record = site.records.next();
            assert_eq!(record["decision"], "allow");
            assert_eq!(record["would"], would);
            assert_eq!(record["status"], 200);
            assert_eq!(record["policy"]["mode"], "observe");
            assert_eq!(record["rules"][0]["mode"], "observe");
            assert_eq!(record["tools"][0].as_str(), tool);
        }
    });
}

fn nothing_waits_in_either_direction(version: Version) {
    let envoy = both_modes(
        version,
        &observed(json!([no_weapons(), mask_cards(), no_delete()])),
    );
    in_every_way(&envoy, |site, _, http| {
        let gate = Gate::default();
        let head = &b"{\"id\":\"c\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"[..];
        let tail =
            &b"\"message\":{\"role\":\"assistant\",\"content\":\"4111 1111 1111 1111\"}}]}"[..];
        envoy.provider.answer_next(
            Answer::chunked(200, &[("content-type", "application/json")])
                .chunk(head)
                .wait(&gate)
                .chunk(tail)
                .end(),
        );
        // The provider receives the first half before the second is sent.
        let question = says("the forbidden word");
        let (first, second) = question.split_at(20);
        let number = envoy.provider.count();
        let upload = site.begin(http, &Request::chat(question.clone()).chunks(Vec::new()));
        upload.send(first);
        wait_for("the first half to reach the provider", || {
            (envoy.provider.received().get(number)?.body == first).then_some(())
        });
        upload.send(second);
        // The client receives the first half before the second is sent.
        let mut live = upload.finish().expect("a response");
        assert_eq!(live.next_bytes().expect("bytes").as_deref(), Some(head));
        gate.open();
        assert_eq!(live.rest().body, tail);
        assert_eq!(envoy.provider.last().body, question);
        let record = site.records.next();
        assert_eq!(
            (&record["decision"], &record["would"]),
            (&json!("allow"), &json!("deny"))
        );
        assert_eq!(record["findings"], json!({"credit_card": 1}));
        assert_eq!(record["timing"]["held_us"], 0);
    });
}

fn what_could_not_be_read_passes_as_it_came(version: Version) {
    let envoy = both_modes(version, &observed(json!([no_weapons(), mask_cards()])));
    let packed = gzip(&says("4111 1111 1111 1111"));
    let requests = [
        (
            "malformed",
            Request::chat(b"{\"model\":".to_vec()),
            "AG2001",
        ),
        (
            "packed",
            Request::chat(packed.clone()).header("content-encoding", "gzip"),
            "AG2005",
        ),
        (
            "unknown endpoint",
            Request::new("POST", "/v1/unheard-of").body(says("hello")),
            "AG2007",
        ),
    ];
    in_every_way(&envoy, |site, _, http| {
        for (name, request, code) in &requests {
            case(name, || {
                let number = envoy.provider.count();
                envoy.provider.answer_next(answers("Hello"));
                assert_eq!(site.send(http, request).status, 200);
                assert_eq!(envoy.provider.count(), number + 1);
                let record = site.records.next();
                assert_eq!(
                    (&record["decision"], &record["would"]),
                    (&json!("allow"), &json!("deny"))
                );
                let reasons = record["coverage"]["reasons"].to_string();
                assert!(reasons.contains(&format!("request:{code}")), "{reasons}");
            });
        }
        let chat = Request::chat(says("hello"));
        let embedding = json!({"model": "text-embedding-3-small", "input": "hi"});
        let embedding = Request::chat(embedding.to_string()).path("/v1/embeddings");
        let odd_answers = [
            (
                "packed",
                chat.clone(),
                Answer::new(
                    200,
                    &[
                        ("content-type", "application/json"),
                        ("content-encoding", "gzip"),
                    ],
                    &packed,
                ),
                packed.clone(),
                "AG2005",
            ),
            (
                "malformed",
                chat.clone(),
                Answer::json(200, b"{\"a\":"),
                b"{\"a\":".to_vec(),
                "AG2001",
            ),
            (
                "streamed where nobody knows a stream",
                embedding,
                Answer::chunked(200, &[("content-type", "text/event-stream")])
                    .chunk(b"data: [DONE]\n\n")
                    .end(),
                b"data: [DONE]\n\n".to_vec(),
                "AG2014",
            ),
        ];
        for (name, request, answer, body, code) in odd_answers {
            case(name, || {
                envoy.provider.answer_next(answer);
                let response = site.send(http, &request);
                assert_eq!((response.status, response.body), (200, body));
                let record = site.records.next();
                assert_eq!(
                    (&record["decision"], &record["would"]),
                    (&json!("allow"), &json!("deny"))
                );
                assert_eq!(record["coverage"]["level"], "none");
                let reasons = record["coverage"]["reasons"].to_string();
                assert!(reasons.contains(&format!("response:{code}")), "{reasons}");
            });
        }
    });
}

fn a_rule_that_observes_leaves_its_neighbours_in_force(version: Version) {
    let mut quiet = no_weapons();
    quiet["mode"] = json!("observe");
    let policy = policy(json!([quiet, no_delete()]));
    let sites = Mode::BOTH.map(|mode| Site::new(mode.word(), &in_mode(&policy, mode)));
    let envoy = Setup::new(version, sites.to_vec()).lease();
    for mode in Mode::BOTH {
        let site = envoy.site(mode.word());
        envoy
            .provider
            .answer_next(calls(&[("delete_customer", "{}")]));
        let response = site.send(Http::One, &Request::chat(says("the forbidden word")));
        assert!(!String::from_utf8_lossy(&response.body).contains("tool_calls\":["));
        let record = site.records.next();
        assert_eq!(record["decision"], "deny");
        let modes: Vec<(&Value, &Value)> = record["rules"]
            .as_array()
            .expect("two rules")
            .iter()
            .map(|rule| (&rule["id"], &rule["mode"]))
            .collect();
        assert_eq!(
            modes,
            [
                (&json!("no-delete"), &json!("enforce")),
                (&json!("no-weapons"), &json!("observe"))
            ]
        );
    }
}
