//! Redactions, and the headers and lengths that must fit the edited message.

use crate::scene::{
    Mode, answers, both_modes, case, completion, in_every_way, in_mode, mask_cards, policy, says,
};
use harness::{Answer, Ended, Request, Setup, Site, Version};
use serde_json::json;

in_both_envoys![
    a_finding_is_replaced_in_both_directions_and_nothing_else_changes,
    a_finding_behind_turns_that_came_before_is_replaced,
    a_finding_behind_tools_that_came_before_is_replaced_and_a_changed_tool_denied,
    lengths_fit_whatever_is_cut_and_however_it_comes,
    headers_that_vouch_for_the_old_bytes_go,
    envoy_s_buffer_behind_gives_the_edited_body_a_length_again,
    messages_with_trailers_are_redacted_too,
    headers_of_ours_from_an_upstream_are_no_trailers_either,
];

fn a_finding_is_replaced_in_both_directions_and_nothing_else_changes(version: Version) {
    let envoy = both_modes(version, &policy(json!([mask_cards()])));
    let question = br#"{ "model":"gpt-4o", "messages":[{"role":"user","content":"card \u0034111 1111\u00201111 1111, \"ok\" \u00e9"}] , "x": 1.50}"#;
    let masked = br#"{ "model":"gpt-4o", "messages":[{"role":"user","content":"card [CREDIT_CARD], \"ok\" \u00e9"}] , "x": 1.50}"#;
    let answer = |text: &str| {
        completion(
            json!({"role": "assistant", "content": text, "refusal": null}),
            "stop",
        )
    };
    in_every_way(&envoy, |site, mode, http| {
        envoy.provider.answer_next(Answer::json(
            200,
            &answer("4111 1111 1111 1111 \u{e9} 5500-0000-0000-0004"),
        ));
        let response = site.send(http, &Request::chat(question.to_vec()));
        let received = envoy.provider.last();
        assert_eq!(
            String::from_utf8_lossy(&received.body),
            String::from_utf8_lossy(masked)
        );
        assert_eq!(response.status, 200);
        assert_eq!(response.broken, None);
        assert_eq!(
            String::from_utf8_lossy(&response.body),
            String::from_utf8_lossy(&answer("[CREDIT_CARD] \u{e9} [CREDIT_CARD]"))
        );
        let request_length = received.header("content-length").map(str::to_owned);
        match mode {
            // With headers held, both get the new length.
            Mode::Hold => {
                assert_eq!(request_length, Some(masked.len().to_string()));
                assert_eq!(response.length, Some(response.body.len()));
                assert_eq!(response.header("x-agentguard-decision"), Some("redact"));
            }
            // Headers that were forwarded at once have no length, because only the old one was
            // known.
            Mode::Portable => {
                assert_eq!(request_length, None);
                assert_eq!(received.header("transfer-encoding"), Some("chunked"));
                assert_eq!(response.length, None);
            }
        }
        let record = site.records.next();
        assert_eq!(record["decision"], "redact");
        assert_eq!(record["findings"], json!({"credit_card": 3}));
        assert_eq!(record["rules"][0]["id"], "mask-cards");
        // Ids and hashes are random: four digits of a card may stand in them.
        let line = record.to_string();
        assert!(
            !line.contains("4111 1111") && !line.contains("5500-0000"),
            "{line}"
        );
    });
}

/// An agent sends its whole conversation with every request; turns that came before are passed over.
fn a_finding_behind_turns_that_came_before_is_replaced(version: Version) {
    let envoy = both_modes(version, &policy(json!([mask_cards()])));
    let answer = completion(json!({"role": "assistant", "content": "Thanks."}), "stop");
    envoy.provider.answer_always(Answer::json(200, &answer));
    let conversation = |turns: usize, last: &str| {
        let about = "Nobody knows why the order is late. ".repeat(10);
        let turns = (0..turns).map(|turn| {
            let role = ["user", "assistant"][turn % 2];
            json!({"role": role, "content": format!("{turn}. {about}")})
        });
        let last = json!({"role": "user", "content": last});
        let messages: Vec<_> = turns.chain([last]).collect();
        let body = json!({"model": "gpt-4o", "messages": messages});
        body.to_string().into_bytes()
    };
    in_every_way(&envoy, |site, _, http| {
        for (round, turns) in [40, 40, 40, 44, 48, 48].into_iter().enumerate() {
            let card = format!("{round}: 4111 1111 1111 1111");
            let _ = site.send(http, &Request::chat(conversation(turns, &card)));
            let received = envoy.provider.last();
            let masked = conversation(turns, &format!("{round}: [CREDIT_CARD]"));
            assert_eq!(
                String::from_utf8_lossy(&received.body),
                String::from_utf8_lossy(&masked)
            );
            let record = site.records.next();
            assert_eq!(record["findings"], json!({"credit_card": 1}), "{round}");
            assert_eq!(record["events"]["message"], turns + 1, "{round}");
            assert_eq!(record["coverage"]["level"], "full", "{round}");
        }
    });
}

/// An agent sends all of its tools with every request; those that came before are passed over.
fn a_finding_behind_tools_that_came_before_is_replaced_and_a_changed_tool_denied(version: Version) {
    let rules = json!([mask_cards(), {
        "id": "basilisk",
        "match": {"event": "tool_offer"},
        "when": {"definition": {"contains": "project basilisk"}},
        "action": "deny",
    }]);
    let envoy = both_modes(version, &policy(rules));
    let answer = completion(json!({"role": "assistant", "content": "Thanks."}), "stop");
    envoy.provider.answer_always(Answer::json(200, &answer));
    let request = |last_about: &str, said: &str| {
        let tools = (0..12).map(|tool| {
            let about = if tool == 11 {
                last_about
            } else {
                "Nobody knows what it does. "
            };
            let path = json!({"type": "string", "description": about.repeat(5)});
            let schema =
                json!({"type": "object", "properties": {"path": path}, "required": ["path"]});
            let function =
                json!({"name": format!("tool_{tool}"), "description": about, "parameters": schema});
            json!({"type": "function", "function": function})
        });
        let tools: Vec<_> = tools.collect();
        let messages = [json!({"role": "user", "content": said})];
        let body = json!({"model": "gpt-4o", "messages": messages, "tools": tools});
        body.to_string().into_bytes()
    };
    in_every_way(&envoy, |site, _, http| {
        for about in [
            "Writes. ",
            "Writes. ",
            "Writes. ",
            "Writes. ",
            "Project Basilisk. ",
            "Writes. ",
        ] {
            let response = site.send(http, &Request::chat(request(about, "4111 1111 1111 1111")));
            let record = site.records.next();
            assert_eq!(record["events"]["tool_offer"], 12, "{about}");
            if about.starts_with("Project") {
                assert_eq!(response.status, 400);
                assert_eq!(record["rules"][0]["id"], "basilisk");
                continue;
            }
            assert_eq!(
                String::from_utf8_lossy(&envoy.provider.last().body),
                String::from_utf8_lossy(&request(about, "[CREDIT_CARD]"))
            );
            assert_eq!(record["findings"], json!({"credit_card": 1}));
            assert_eq!(record["coverage"]["level"], "full");
        }
    });
}

fn lengths_fit_whatever_is_cut_and_however_it_comes(version: Version) {
    let mut remove = mask_cards();
    remove["redact"] = json!({"with": "remove"});
    let mut longer = mask_cards();
    longer["redact"] = json!({"with": "label", "label": "#".repeat(100)});
    for (name, rule, stands_for) in [
        ("removed", remove, String::new()),
        ("longer", longer, "#".repeat(100)),
    ] {
        let envoy = both_modes(version, &policy(json!([rule])));
        in_every_way(&envoy, |site, _, http| {
            for cards in [1, 2_000] {
                let text = |card: &str| format!("{card} and ").repeat(cards);
                let (given, expected) = (text("4111 1111 1111 1111"), text(&stands_for));
                let question = says(&given);
                let answer = completion(json!({"role": "assistant", "content": given}), "stop");
                let masked = completion(json!({"role": "assistant", "content": expected}), "stop");
                let whole = Answer::json(200, &answer);
                let pieces = answer
                    .chunks(9_973)
                    .fold(
                        Answer::chunked(200, &[("content-type", "application/json")]),
                        Answer::chunk,
                    )
                    .end();
                let sized = Request::chat(question.clone());
                let in_pieces = Request::chat(Vec::new())
                    .without("content-length")
                    .chunks(question.chunks(1_009).map(<[u8]>::to_vec).collect());
                for (request, response) in [(sized, whole), (in_pieces, pieces)] {
                    case(&format!("{name}, {cards} cards"), || {
                        envoy.provider.answer_next(response);
                        let response = site.send(http, &request);
                        let received = envoy.provider.last();
                        assert_eq!(received.ended, Ended::Whole);
                        assert_eq!(received.body, says(&expected));
                        assert_eq!(response.broken, None);
                        assert_eq!(response.body, masked);
                        assert_eq!(site.records.next()["decision"], "redact");
                    });
                }
            }
        });
    }
}

fn headers_that_vouch_for_the_old_bytes_go(version: Version) {
    let envoy = both_modes(version, &policy(json!([mask_cards()])));
    let body = completion(
        json!({"role": "assistant", "content": "4111 1111 1111 1111"}),
        "stop",
    );
    let vouching = [
        ("content-type", "application/json"),
        ("etag", "\"abc\""),
        ("digest", "sha-256=AAAA"),
        ("content-digest", "sha-256=:AAAA:"),
        ("repr-digest", "sha-256=:AAAA:"),
        ("content-md5", "AAAA"),
        ("x-kept", "yes"),
    ];
    envoy
        .provider
        .answer_always(Answer::new(200, &vouching, &body));
    in_every_way(&envoy, |site, _, http| {
        let request = vouching[2..].iter().fold(
            Request::chat(says("4111 1111 1111 1111")),
            |request, (name, value)| request.header(name, value),
        );
        let response = site.send(http, &request);
        let received = envoy.provider.last();
        for (name, _) in &vouching[1..] {
            let (sent, answered) = (received.header(name), response.header(name));
            if *name == "x-kept" {
                assert_eq!((sent, answered), (Some("yes"), Some("yes")));
            } else {
                assert_eq!((sent, answered), (None, None), "{name}");
            }
        }
    });
}

fn envoy_s_buffer_behind_gives_the_edited_body_a_length_again(version: Version) {
    let policy = policy(json!([mask_cards()]));
    let sites = Mode::BOTH.map(|mode| Site::new(mode.word(), &in_mode(&policy, mode)).buffered());
    let envoy = Setup::new(version, sites.to_vec()).lease();
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        let response = site.send(http, &Request::chat(says("pay 4111 1111 1111 1111")));
        assert_eq!(response.status, 200);
        let received = envoy.provider.last();
        let expected = says("pay [CREDIT_CARD]");
        assert_eq!(received.body, expected);
        assert_eq!(
            received.header("content-length"),
            Some(expected.len().to_string().as_str())
        );
    });
}

fn headers_of_ours_from_an_upstream_are_no_trailers_either(version: Version) {
    let envoy = both_modes(version, &policy(json!([mask_cards()])));
    let answer = completion(json!({"role": "assistant", "content": "Hello"}), "stop");
    in_every_way(&envoy, |site, _, http| {
        envoy.provider.answer_next(
            Answer::chunked(200, &[("content-type", "application/json")])
                .chunk(&answer)
                .bytes(b"0\r\nx-agentguard-decision: deny\r\nx-sum: 42\r\nX-AgentGuard-Code: AG3001\r\n\r\n"),
        );
        let response = site.send(http, &Request::chat(says("hello")));
        assert_eq!((response.status, response.broken), (200, None));
        assert_eq!(response.body, answer);
        assert_eq!(response.trailers, [("x-sum".into(), b"42".to_vec())]);
        assert_eq!(site.records.next()["decision"], "allow");
    });
}

fn messages_with_trailers_are_redacted_too(version: Version) {
    let envoy = both_modes(version, &policy(json!([mask_cards()])));
    let answer = |text: &str| completion(json!({"role": "assistant", "content": text}), "stop");
    in_every_way(&envoy, |site, _, http| {
        envoy.provider.answer_next(
            Answer::chunked(200, &[("content-type", "application/json")])
                .chunk(&answer("4111 1111 1111 1111")[..99])
                .chunk(&answer("4111 1111 1111 1111")[99..])
                .end_with_trailer("x-sum", "42"),
        );
        let question = says("pay 4111 1111 1111 1111 now");
        let request = Request::chat(Vec::new())
            .chunks(question.chunks(10).map(<[u8]>::to_vec).collect())
            .trailer("x-check", "7");
        let response = site.send(http, &request);
        let received = envoy.provider.last();
        assert_eq!(received.body, says("pay [CREDIT_CARD] now"));
        assert_eq!(received.trailers, [("x-check".into(), b"7".to_vec())]);
        assert_eq!((response.status, response.broken), (200, None));
        assert_eq!(response.body, answer("[CREDIT_CARD]"));
        assert_eq!(response.trailers, [("x-sum".into(), b"42".to_vec())]);
        assert_eq!(site.records.next()["decision"], "redact");
    });
}
