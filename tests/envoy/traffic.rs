//! Exchanges recorded between real clients and real providers; see `tests/traffic/README.md`.

use crate::scene::{case, in_every_way, mask_cards, no_weapons, policy, sites};
use harness::{Answer, Request, Setup, Version};
use serde_json::{Value, json};
use std::collections::BTreeSet;

in_both_envoys![
    recorded_exchanges_pass_unchanged_and_are_recorded_as_they_are,
    recorded_responses_pass_response_rules_unchanged,
];

const RECORDED: &str = include_str!("../traffic/openai.chat.jsonl");

struct Recorded {
    id: String,
    request: Request,
    question: Vec<u8>,
    status: u16,
    answer: Answer,
    body: Vec<u8>,
    streamed: bool,
    expected: Value,
}

fn recorded() -> Vec<Recorded> {
    RECORDED
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("a recorded exchange");
            let (request, response) = (&line["request"], &line["response"]);
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let body = text(&response["body"]).into_bytes();
            let media = text(&response["headers"]["content-type"]);
            let status =
                u16::try_from(response["status"].as_u64().expect("a status")).expect("a status");
            let headers = [("content-type", media.as_str())];
            // In chunks with awkward boundaries, as providers send it.
            let answer = body
                .chunks(1_000)
                .fold(Answer::chunked(status, &headers), Answer::chunk)
                .end();
            let question = text(&request["body"]).into_bytes();
            let host = text(&request["host"]);
            Recorded {
                id: text(&line["id"]),
                request: Request::chat(question.clone())
                    .authority(&host)
                    .path(&text(&request["path"])),
                question,
                status,
                answer,
                body,
                streamed: media.starts_with("text/event-stream"),
                expected: line["expected"].clone(),
            }
        })
        .collect()
}

fn recorded_exchanges_pass_unchanged_and_are_recorded_as_they_are(version: Version) {
    let no_shell = json!({"id": "no-shell", "match": {"event": "tool_offer", "tool": "shell"}, "action": "deny"});
    let envoy = Setup::new(version, sites(&policy(json!([no_weapons(), no_shell])))).lease();
    let all = recorded();
    assert!(all.len() >= 50);
    in_every_way(&envoy, |site, _, http| {
        for exchange in &all {
            case(&exchange.id, || {
                envoy.provider.answer_next(exchange.answer.clone());
                let response = site.send(http, &exchange.request);
                assert_eq!((response.status, response.broken), (exchange.status, None));
                assert!(response.body == exchange.body, "the answer differs");
                assert!(
                    envoy.provider.last().body == exchange.question,
                    "the question differs"
                );
                let record = site.records.next();
                assert_eq!(record["decision"], "allow");
                let expected = &exchange.expected;
                assert_eq!(record["protocol"], "openai.chat");
                assert_eq!(record["model"], expected["model"]);
                assert_eq!(record["stream"], expected["stream"]);
                let count = |list: &Value| list.as_array().map_or(0, Vec::len);
                let offers = count(&expected["tools_offered"]) + count(&expected["provider_tools"]);
                let told = record["events"]["tool_offer"].as_u64().unwrap_or(0);
                assert_eq!(usize::try_from(told), Ok(offers));
                if exchange.streamed {
                    return;
                }
                for (ours, theirs) in [("input_tokens", "input"), ("output_tokens", "output")] {
                    assert_eq!(record["usage"][ours], expected["usage"][theirs]);
                }
                let names = |calls: &Value| -> BTreeSet<String> {
                    let calls = calls.as_array().into_iter().flatten();
                    calls
                        .filter_map(|call| call["name"].as_str().or(call.as_str()))
                        .map(str::to_owned)
                        .collect()
                };
                // Calls of the response, and those whose results are in the request.
                let called = names(&expected["tool_calls"]);
                let before = names(&expected["history_tool_calls"]);
                let told = names(&record["tools"]);
                assert!(told.is_superset(&called), "{told:?}");
                assert!(
                    told.is_subset(&called.union(&before).cloned().collect()),
                    "{told:?}"
                );
            });
        }
    });
}

fn recorded_responses_pass_response_rules_unchanged(version: Version) {
    let no_delete =
        json!({"id": "no-delete", "match": {"tool": "delete_customer"}, "action": "deny"});
    let envoy = Setup::new(version, sites(&policy(json!([mask_cards(), no_delete])))).lease();
    let all: Vec<Recorded> = recorded()
        .into_iter()
        .filter(|exchange| !exchange.streamed)
        .collect();
    assert!(all.len() >= 40);
    in_every_way(&envoy, |site, mode, http| {
        for exchange in &all {
            case(&exchange.id, || {
                envoy.provider.answer_next(exchange.answer.clone());
                let response = site.send(http, &exchange.request);
                assert_eq!((response.status, response.broken), (exchange.status, None));
                assert!(response.body == exchange.body, "the answer differs");
                let record = site.records.next();
                assert_eq!(record["decision"], "allow", "{mode:?}");
                assert_eq!(
                    record["coverage"]["level"]
                        .as_str()
                        .map(|level| level == "none"),
                    Some(false)
                );
            });
        }
    });
}
