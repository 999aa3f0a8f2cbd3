//! Headers: the filter's own ones, the ones that it adds to requests, and the failure if they can't be held.

use crate::scene::{
    Mode, answers, both_modes, completion, forbidden, in_every_way, in_mode, mask_cards,
    no_weapons, policy, refusal, says, sites, with,
};
use harness::{Answer, Host, Http, Request, Setup, Site, Version, wait_for};
use serde_json::json;

in_both_envoys![
    headers_of_ours_that_others_send_are_taken_out,
    tags_go_upstream_where_headers_still_can,
    inspected_responses_are_requested_uncompressed,
    a_client_that_waits_for_leave_to_send_its_body_gets_it,
    held_headers_without_the_flag_get_a_reply_and_never_hang,
    bytes_that_are_no_text_in_headers_change_nothing,
];

fn headers_of_ours_that_others_send_are_taken_out(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons(), mask_cards()])));
    let body = completion(json!({"role": "assistant", "content": "Hello"}), "stop");
    envoy.provider.answer_always(Answer::new(
        200,
        &[
            ("content-type", "application/json"),
            ("x-agentguard-decision", "allow"),
            ("X-AgentGuard-Anything", "forged"),
        ],
        &body,
    ));
    in_every_way(&envoy, |site, _, http| {
        let request = Request::chat(says("hello"))
            .header("x-agentguard-tags", "forged")
            .header("x-agentguard-tags", "twice")
            .header("x-agentguard-approval", "token")
            .header("x_agentguard_tags", "forged")
            .header("x-agentguardian", "not ours");
        let response = site.send(http, &request);
        let names = |headers: &[(String, Vec<u8>)]| -> Vec<String> {
            headers
                .iter()
                .map(|(name, _)| name.clone())
                .filter(|name| name.replace('_', "-").starts_with("x-agentguard"))
                .collect()
        };
        assert_eq!(names(&envoy.provider.last().headers), ["x-agentguardian"]);
        assert_eq!(names(&response.headers), Vec::<String>::new());
    });
}

fn tags_go_upstream_where_headers_still_can(version: Version) {
    let tag = json!({
        "id": "mark-support",
        "match": {"event": "message"},
        "when": {"text": {"contains": "refund"}},
        "action": "tag",
        "tags": ["billing", "support"],
    });
    let by_path = json!({
        "id": "mark-path",
        "match": {"event": "request", "method": "GET"},
        "action": "tag",
        "tags": ["listing"],
    });
    let envoy = both_modes(version, &policy(json!([tag, by_path])));
    in_every_way(&envoy, |site, mode, http| {
        envoy.provider.answer_next(answers("Hello"));
        site.send(http, &Request::chat(says("a refund please")));
        let told = envoy.provider.last();
        let expected = match mode {
            Mode::Hold => Some("billing,support"),
            // Its headers were forwarded before the body was evaluated.
            Mode::Portable => None,
        };
        assert_eq!(told.header("x-agentguard-tags"), expected);
        assert_eq!(site.records.next()["tags"], json!(["billing", "support"]));
        site.send(http, &Request::new("GET", "/v1/models"));
        assert_eq!(
            envoy.provider.last().header("x-agentguard-tags"),
            Some("listing")
        );
        site.records.next();
    });
}

fn inspected_responses_are_requested_uncompressed(version: Version) {
    let envoy = both_modes(version, &policy(json!([mask_cards()])));
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        for request in [
            Request::chat(says("hello")),
            Request::new("GET", "/v1/chat/completions/chatcmpl-1"),
        ] {
            let request = request
                .header("accept-encoding", "gzip")
                .header("accept-encoding", "br");
            site.send(http, &request);
            let asked: Vec<String> = envoy
                .provider
                .last()
                .headers
                .into_iter()
                .filter(|(name, _)| name == "accept-encoding")
                .map(|(_, value)| String::from_utf8_lossy(&value).into_owned())
                .collect();
            assert_eq!(asked, ["identity"]);
        }
    });
}

fn a_client_that_waits_for_leave_to_send_its_body_gets_it(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons()])));
    envoy.provider.answer_always(answers("Hello"));
    for mode in Mode::BOTH {
        let mut connection = envoy.site(mode.word()).raw();
        for (text, status) in [("hello", 200), ("the forbidden word", 400)] {
            let body = says(text);
            let head = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\nexpect: 100-continue\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            connection.send(head.as_bytes());
            let leave = connection.response().expect("leave to go on");
            assert_eq!(leave.status, 100, "{mode:?}");
            connection.send(&body);
            let response = connection.response().expect("an answer");
            assert_eq!(response.status, status, "{mode:?}");
        }
    }
}

fn held_headers_without_the_flag_get_a_reply_and_never_hang(version: Version) {
    let hold = in_mode(&policy(json!([no_weapons()])), Mode::Hold);
    let envoy = Setup::new(
        version,
        vec![Site::new("flagless", &hold).stop_iteration(false)],
    )
    .lease();
    let site = envoy.site("flagless");
    if Host::of_run() == Host::Native {
        // A native module needs no flag.
        envoy.provider.answer_always(answers("Hello"));
        for http in Http::BOTH {
            let response = site.send(http, &Request::chat(says("hello")));
            assert_eq!(response.status, 200);
            refusal(&site.send(http, &forbidden()), 400, "AG3001");
        }
        assert_eq!(envoy.provider.count(), 2);
        return;
    }
    // Two requests at once, one per protocol, to check that each gets its own reply.
    let uploads: Vec<_> = Http::BOTH
        .map(|http| site.begin(http, &Request::chat(says("hello"))))
        .into();
    for upload in uploads {
        let response = upload.finish().expect("an answer after a while").rest();
        let error = refusal(&response, 503, "AG9002");
        assert_eq!(error["type"], "server_error");
        let record = site.records.next();
        assert_eq!(
            (&record["decision"], &record["code"]),
            (&json!("deny"), &json!("AG9002"))
        );
        assert_eq!(record["status"], 503);
    }
    assert_eq!(envoy.provider.count(), 0);
    wait_for("the reason in Envoy's log", || {
        envoy
            .printed()
            .contains("set `allow_on_headers_stop_iteration: true`")
            .then_some(())
    });
    // Requests without a body need no flag.
    envoy.provider.answer_next(Answer::json(200, b"{}"));
    assert_eq!(
        site.send(Http::One, &Request::new("GET", "/v1/models"))
            .status,
        200
    );
}

fn bytes_that_are_no_text_in_headers_change_nothing(version: Version) {
    let named = with(
        policy(json!([no_weapons(), {
            "id": "no-team-x",
            "match": {"event": "message"},
            "when": {"header.x-team": {"starts_with": "x"}},
            "action": "deny",
        }])),
        json!({"require": "none"}),
    );
    let envoy = Setup::new(version, sites(&named)).lease();
    envoy.provider.answer_always(answers("Hello"));
    for mode in Mode::BOTH {
        let site = envoy.site(mode.word());
        let odd = &b"caf\xe9\xff\x80"[..];
        let request = Request::chat(says("hello"))
            .header("x-team", odd)
            .header("x-other", odd);
        assert_eq!(site.send(Http::One, &request).status, 200);
        let received = envoy.provider.last();
        for name in ["x-team", "x-other"] {
            let (_, value) = received
                .headers
                .iter()
                .find(|(known, _)| known == name)
                .expect("it is passed on");
            assert_eq!(value, odd);
        }
        assert_eq!(site.records.next()["decision"], "allow");
        let request = Request::chat(says("hello")).header("x-team", b"x\xe9\xff");
        refusal(&site.send(Http::One, &request), 400, "AG3001");
        assert_eq!(site.records.next()["decision"], "deny");
    }
}
