//! Denied requests.

use crate::scene::{
    Mode, answers, both_modes, forbidden, in_every_way, in_mode, no_weapons, policy, refusal, says,
    with,
};
use harness::{Ended, Request, Setup, Site, Version, wait_for};
use serde_json::{Value, json};

in_both_envoys![
    a_denied_request_gets_the_provider_s_error,
    nothing_of_a_denied_body_leaves_even_if_its_headers_did,
    behind_envoy_s_buffer_not_even_the_headers_of_a_denied_request_leave,
    a_request_denied_from_its_headers_leaves_nothing_behind,
    trailers_do_not_carry_a_body_past_the_policy,
    after_a_denial_the_client_is_served_on,
    a_denial_does_not_wait_for_a_body_that_is_too_large,
    disclose_code_reveals_nothing_of_the_policy,
    bodies_that_are_made_to_cost_do_not_stall_the_worker,
];

/// Envoy's counter of requests sent to the provider.
const SENT: &str = "cluster.provider.upstream_rq_total";

fn a_denied_request_gets_the_provider_s_error(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons()])));
    envoy.provider.answer_always(answers("never asked"));
    in_every_way(&envoy, |site, _, http| {
        let response = site.send(http, &forbidden().header("x-request-id", "mine"));
        let error = refusal(&response, 400, "AG3001");
        assert_eq!(
            error["message"],
            "We don't talk about this. Ask something else."
        );
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["param"], json!(null));
        let told = &error["agentguard"];
        assert_eq!(told["rule"], "no-weapons");
        assert_eq!(told["reason"], "We don't talk about this.");
        assert_eq!(told["remedy"], "Ask something else.");
        assert_eq!(told["at"], json!(["/messages/0/content"]));
        for (name, value) in [
            ("decision", "deny"),
            ("rule", "no-weapons"),
            ("policy", "test"),
        ] {
            assert_eq!(
                response.header(&format!("x-agentguard-{name}")),
                Some(value)
            );
        }
        let record = site.records.next();
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["code"], "AG3001");
        assert_eq!(record["status"], 400);
        assert_eq!(record["request_id"], told["request_id"]);
    });
}

fn nothing_of_a_denied_body_leaves_even_if_its_headers_did(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons()])));
    in_every_way(&envoy, |site, mode, http| {
        let sent = envoy.stat(SENT);
        let number = envoy.provider.count();
        let body = says("the forbidden word");
        let request = Request::chat(body.clone()).chunks(Vec::new());
        let upload = site.begin(http, &request);
        if mode == Mode::Portable {
            wait_for("the headers to reach the provider", || {
                (envoy.provider.count() > number).then_some(())
            });
        }
        let (first, second) = body.split_at(body.len() / 2);
        upload.send(first);
        upload.send(second);
        let response = upload.finish().expect("a response").rest();
        refusal(&response, 400, "AG3001");
        assert_eq!(site.records.next()["decision"], "deny");
        match mode {
            Mode::Hold => {
                assert_eq!(envoy.stat(SENT), sent, "nothing was even on its way");
                assert_eq!(envoy.provider.count(), number);
            }
            Mode::Portable => {
                let received = envoy.provider.ended(number);
                assert_eq!(received.ended, Ended::Broken);
                assert_eq!(received.body, b"");
            }
        }
    });
}

fn behind_envoy_s_buffer_not_even_the_headers_of_a_denied_request_leave(version: Version) {
    let policy = policy(json!([no_weapons()]));
    let sites = Mode::BOTH.map(|mode| Site::new(mode.word(), &in_mode(&policy, mode)).buffered());
    let envoy = Setup::new(version, sites.to_vec()).lease();
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        refusal(&site.send(http, &forbidden()), 400, "AG3001");
        site.records.next();
    });
    assert_eq!(envoy.stat(SENT), 0);
    in_every_way(&envoy, |site, _, http| {
        let body = says("hello");
        assert_eq!(site.send(http, &Request::chat(body.clone())).status, 200);
        assert_eq!(envoy.provider.last().body, body);
    });
}

fn a_request_denied_from_its_headers_leaves_nothing_behind(version: Version) {
    let envoy = both_modes(version, &policy(json!([])));
    in_every_way(&envoy, |site, _, http| {
        let request = Request::new("POST", "/v1/unheard-of")
            .header("content-type", "application/json")
            .body(says("hello"));
        let error = refusal(&site.send(http, &request), 400, "AG2007");
        assert!(error["agentguard"].get("rule").is_none());
        let record = site.records.next();
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["code"], "AG2007");
    });
    assert_eq!(envoy.stat(SENT), 0);
}

fn trailers_do_not_carry_a_body_past_the_policy(version: Version) {
    // With trailers, Envoy never marks a chunk of the body as the last one.
    let envoy = both_modes(version, &policy(json!([no_weapons()])));
    in_every_way(&envoy, |site, _, http| {
        let body = says("the forbidden word");
        let request = Request::chat(Vec::new())
            .chunks(body.chunks(11).map(<[u8]>::to_vec).collect())
            .trailer("x-check", "7");
        refusal(&site.send(http, &request), 400, "AG3001");
        assert_eq!(site.records.next()["decision"], "deny");
    });
    assert!(
        envoy
            .provider
            .received()
            .iter()
            .all(|received| received.body.is_empty())
    );
}

/// Over HTTP/1.1, Envoy announces and closes a connection after every local reply with 400, and the client
/// reconnects.
fn after_a_denial_the_client_is_served_on(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons()])));
    envoy.provider.answer_always(answers("Hello"));
    for mode in Mode::BOTH {
        let mut connection = envoy.site(mode.word()).raw();
        for text in [
            "hello",
            "the forbidden word",
            "hello",
            "the forbidden word",
            "hello",
        ] {
            let body = says(text);
            let head = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            connection.send(&[head.as_bytes(), &body].concat());
            let response = connection.response().expect("a whole response");
            let is_denied = text != "hello";
            let closes = response
                .headers
                .iter()
                .any(|(name, value)| name == "connection" && value == b"close");
            assert_eq!(
                (response.status, response.whole, closes),
                (if is_denied { 400 } else { 200 }, true, is_denied),
                "{mode:?}"
            );
            if closes {
                connection = envoy.site(mode.word()).raw();
            }
        }
    }
}

fn a_denial_does_not_wait_for_a_body_that_is_too_large(version: Version) {
    let small = json!({"max_body": "64KiB"});
    let policy = with(policy(json!([])), json!({"inspect": small}));
    let envoy = both_modes(version, &policy);
    in_every_way(&envoy, |site, _, http| {
        // The client never ends its body, and the response arrives nevertheless.
        let request =
            Request::new("POST", "/v1/chat/completions").header("content-type", "application/json");
        let upload = site.begin(http, &request);
        upload.send(&vec![b' '; 128 << 10]);
        let live = upload.answered().expect("an answer");
        assert_eq!(live.status, 413);
        drop(live);
        let record = site.records.next();
        assert_eq!(record["code"], "AG2004");
        assert_eq!(record["coverage"]["reasons"], json!(["request:AG2004"]));
    });
    assert_eq!(
        envoy
            .provider
            .received()
            .iter()
            .map(|received| received.body.len())
            .sum::<usize>(),
        0
    );
}

fn disclose_code_reveals_nothing_of_the_policy(version: Version) {
    let policy = with(policy(json!([no_weapons()])), json!({"disclose": "code"}));
    let envoy = both_modes(version, &policy);
    in_every_way(&envoy, |site, _, http| {
        let response = site.send(http, &forbidden());
        let error = refusal(&response, 400, "AG3001");
        assert_eq!(error["message"], "Blocked by policy (AG3001).");
        let told = error["agentguard"].as_object().expect("an object");
        let keys: Vec<&String> = told.keys().collect();
        assert_eq!(keys, ["code", "request_id"]);
        assert_eq!(response.header("x-agentguard-rule"), None);
        assert_eq!(response.header("x-agentguard-policy"), None);
        assert_eq!(site.records.next()["rules"][0]["id"], "no-weapons");
    });
}

/// Maximum microseconds for the inspection of a hostile megabyte on any machine: without a work budget it took half a
/// minute.
const PATIENCE: u64 = 5_000_000;

fn bodies_that_are_made_to_cost_do_not_stall_the_worker(version: Version) {
    let finds = json!({
        "id": "no-secrets",
        "match": {"event": "message"},
        "when": {"text": {"detects": ["secrets", "pii"]}},
        "action": "tag",
        "tags": ["found"],
    });
    // One worker: every delay delays all other requests.
    let envoy = both_modes(version, &policy(json!([finds])));
    envoy.provider.answer_always(answers("Hello"));
    // A known text is not scanned again, so each of these is new.
    let mut number = 0;
    let begins = |number: u32| {
        let begins = "-----BEGIN RSA PRIVATE KEY-----\n".repeat(32_768);
        says(&format!("{number} {begins}"))
    };
    let costly = |number: u32| {
        let spelled = "4.1.1.1\n1.1.1.1=".repeat(2_000);
        let content = format!("{number} {spelled}");
        let parts = vec![json!({"role": "user", "content": content}); 32];
        let body = json!({"model": "gpt-4o", "messages": parts});
        body.to_string().into_bytes()
    };
    for (body, status, code) in [
        (&begins as &dyn Fn(u32) -> Vec<u8>, 200, json!(null)),
        (&costly, 413, json!("AG2015")),
    ] {
        in_every_way(&envoy, |site, _, http| {
            number += 1;
            let body = body(number);
            let request = Request::chat(body.clone()).chunks(Vec::new());
            let upload = site.begin(http, &request);
            upload.send(&body);
            let innocent = site.send(http, &Request::chat(says("hello")));
            assert_eq!(innocent.status, 200);
            let response = upload.finish().expect("a response").rest();
            assert_eq!(response.status, status);
            let records = [site.records.next(), site.records.next()];
            let large = |record: &&Value| {
                record["code"] == code && record["timing"]["inspect_us"].as_u64() > Some(2_000)
            };
            let hostile = records
                .iter()
                .find(large)
                .expect("the record of the hostile body");
            let spent = hostile["timing"]["inspect_us"].as_u64().expect("a number");
            assert!(spent < PATIENCE, "{hostile}");
        });
    }
}
