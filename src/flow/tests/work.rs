//! What inspecting an exchange may cost.

use super::stream::streamed;
use super::*;
use crate::detect::hostile::{share, texts, units_of_operators};

const DETECTS: &str = "
defaults: { action: allow }
rules:
  - { id: secrets, match: { event: [message, response] }, when: { text: { detects: [pii, secrets] } }, action: tag, tags: [x] }
";

const MATCHES: &str = "
defaults: { action: allow }
rules:
  - { id: pattern, match: { event: [message, response] }, when: { text: { matches: '[ab]*a[ab]{20}c' } }, action: deny }
";

/// Digits with separators between them, each run of which is read in three ways with what stands before it.
fn spelled(runs: usize) -> String {
    "4.1.1.1\n1.1.1.1=".repeat(runs)
}

/// `a` and `b` as they come, so that hardly any two places have the same 20 letters before them.
fn letters(len: usize) -> String {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state >> 40 & 1 == 0 { 'a' } else { 'b' }
    };
    (0..len).map(|_| next()).collect()
}

fn chat(texts: &[String]) -> Vec<u8> {
    let messages: Vec<Value> = texts
        .iter()
        .map(|text| json!({"role": "user", "content": text}))
        .collect();
    json!({"model": "gpt-4o", "messages": messages})
        .to_string()
        .into_bytes()
}

/// Bodies that cost a multiple of what others of their size do, each with a policy that looks at them.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (DETECTS, chat(&vec![spelled(2_000); 8])),
        (MATCHES, chat(&[letters(240_000)])),
    ]
}

fn ask(policy: &str, body: &[u8]) -> SimulatedResult {
    run(&guard(policy), &chat_request(body), |_| hello(), NOW)
}

#[test]
fn a_request_that_costs_too_much_is_denied_with_a_code_of_its_own() {
    for (policy, body) in hostile() {
        let seen = ask(policy, &body);
        let record = record(&seen);
        assert_eq!(seen.client.status(), Some(413), "{record}");
        assert_eq!(seen.upstream.map(|upstream| upstream.body()), Some(vec![]));
        assert_eq!(
            (&record["decision"], &record["code"]),
            (&json!("deny"), &json!("AG2015"))
        );
        assert_eq!(record["coverage"]["level"], "none");
        assert_eq!(record["coverage"]["reasons"], json!(["request:AG2015"]));
        assert!(
            seen.counts.iter().any(|(name, values, _)| {
                *name == "agentguard_uninspectable_total" && values == &["AG2015"]
            }),
            "{:?}",
            seen.counts
        );
    }
}

#[test]
fn where_a_policy_is_only_observed_it_is_recorded_and_passes_untouched() {
    for (policy, body) in hostile() {
        let seen = ask(&format!("mode: observe\n{policy}"), &body);
        let record = record(&seen);
        assert_eq!(seen.upstream.unwrap().body(), body);
        assert_eq!(seen.client.status(), Some(200));
        assert_eq!(
            (&record["decision"], &record["would"]),
            (&json!("allow"), &json!("deny"))
        );
        let reasons = record["coverage"]["reasons"].as_array().unwrap();
        assert!(reasons.contains(&json!("request:AG2015")), "{record}");
    }
}

#[test]
fn only_a_rule_that_names_the_code_lets_it_pass() {
    let (policy, body) = hostile().remove(0);
    let relaxed = policy.replace(
        "{ action: allow }",
        "{ action: allow, uninspectable: allow }",
    );
    assert_eq!(record(&ask(&relaxed, &body))["code"], "AG2015");
    let named = format!(
        "{policy}  - {{ id: costly, match: {{ event: uninspectable, code: AG2015 }}, action: allow }}\n"
    );
    let seen = ask(&named, &body);
    assert_eq!(seen.upstream.as_ref().unwrap().body(), body);
    assert_eq!(record(&seen)["coverage"]["level"], "none");
}

#[test]
fn a_response_that_costs_too_much_is_refused() {
    // Several choices, since what is spelled in one text is looked at only so often.
    for (policy, text) in [(DETECTS, spelled(2_000)), (MATCHES, letters(40_000))] {
        let choices: Vec<Value> = (0..8u32)
            .map(|index| {
                json!({"index": index, "finish_reason": "stop", "logprobs": null,
                    "message": {"role": "assistant", "content": text}})
            })
            .collect();
        let mut reply = hello();
        let body = json!({"id": "c-1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices});
        reply.chunks = vec![body.to_string().into_bytes()];
        let seen = run(&guard(policy), &chat_request(&says("hi")), |_| reply, NOW);
        let record = record(&seen);
        assert_eq!(
            (&record["decision"], &record["code"]),
            (&json!("deny"), &json!("AG2015"))
        );
        assert!(!String::from_utf8_lossy(&seen.client.body()).contains(text.split_at(16).0));
    }
}

/// A stream of this text, so many bytes of it in each frame.
fn stream_of(text: &str, each: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for part in text.as_bytes().chunks(each) {
        let part = std::str::from_utf8(part).unwrap();
        let chunk = json!({
            "id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024",
            "choices": [{"index": 0, "delta": {"content": part}, "logprobs": null, "finish_reason": null}],
        });
        body.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
    }
    body.extend_from_slice(b"data: [DONE]\n\n");
    body
}

fn answered(policy: &str, body: &[u8], cuts: &[usize]) -> SimulatedResult {
    run(
        &guard(policy),
        &chat_request(&says("hi")),
        |_| streamed(body, cuts),
        NOW,
    )
}

#[test]
fn a_stream_that_costs_too_much_ends_with_a_refusal_however_it_is_cut() {
    let body = stream_of(&letters(120_000), 20_000);
    let seen = answered(MATCHES, &body, &[]);
    let record = record(&seen);
    assert_eq!(
        (&record["decision"], &record["code"]),
        (&json!("deny"), &json!("AG2015"))
    );
    let reasons = record["coverage"]["reasons"].as_array().unwrap();
    assert!(reasons.contains(&json!("response:AG2015")), "{record}");
    let client = String::from_utf8(seen.client.body()).unwrap();
    assert!(client.contains("\"code\":\"AG2015\""), "{client}");
    let cuts: Vec<usize> = (0..body.len()).step_by(7_001).collect();
    assert_eq!(
        answered(MATCHES, &body, &cuts).client.body(),
        seen.client.body()
    );
}

#[test]
fn an_observed_stream_that_costs_too_much_passes_untouched() {
    let body = stream_of(&letters(120_000), 20_000);
    let seen = answered(
        &format!("mode: observe\n{MATCHES}"),
        &body,
        &[1_000, 90_000],
    );
    assert_eq!(seen.client.body(), body);
    let record = record(&seen);
    assert_eq!(
        (&record["decision"], &record["would"]),
        (&json!("allow"), &json!("deny"))
    );
}

#[test]
fn after_an_observed_request_that_costs_too_much_the_answer_is_not_called_read() {
    let (policy, body) = hostile().remove(1);
    let guard = guard(&format!("mode: observe\n{policy}"));
    let role = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\ndata: [DONE]\n\n";
    let seen = run(&guard, &chat_request(&body), |_| streamed(role, &[]), NOW);
    let reasons = record(&seen)["coverage"]["reasons"].clone();
    assert_eq!(reasons, json!(["request:AG2015", "response:AG2015"]));
    assert_eq!(seen.client.body(), role);
}

#[test]
fn a_long_stream_of_ordinary_text_never_meets_the_bound() {
    let text = "The committee met on a grey morning, and agreed after some debate; call 555 0100 or see item 4. ";
    let body = stream_of(&text.repeat(600), 24);
    for policy in [DETECTS, MATCHES] {
        let seen = answered(policy, &body, &[]);
        assert_eq!(record(&seen)["decision"], "allow");
        assert_eq!(seen.client.body(), body);
    }
}

#[test]
fn what_one_exchange_spends_is_not_taken_from_the_next() {
    let guard = guard(DETECTS);
    let (_, body) = hostile().remove(0);
    let denied = run(&guard, &chat_request(&body), |_| hello(), NOW);
    assert_eq!(record(&denied)["code"], "AG2015");
    let next = run(&guard, &chat_request(&says("hi")), |_| hello(), NOW);
    assert_eq!(record(&next)["decision"], "allow");
    // Nor is anything kept of texts that were not searched to their end.
    let again = run(&guard, &chat_request(&body), |_| hello(), NOW);
    assert_eq!(record(&again)["code"], "AG2015");
}

/// Operators that read a text, each as an operand has it.
const OPERATORS: &[&str] = &[
    "command_in: [ls, git]",
    "sql_verb_in: [select]",
    "sql_table_in: [users, hr.pay]",
    "sql_limit_greater_than: 100",
    "path_within: [/srv]",
    "path_not_within: [/srv]",
    "domain_in: [example.com, '*.example.org']",
    "domain_not_in: [example.com]",
    "cidr_in: [10.0.0.0/8]",
    "glob: ['*a*b*c*d*e*', '**/.env', '[a-z]*[0-9]?x*']",
    "contains_any: [a, ab, aa, aaa, aba, 'a b', select, '-rf']",
    "contains_all: [select, from]",
    "starts_with: sel",
    "ends_with: abc",
    "equals: select",
    "in: [select, insert]",
    "length_greater_than: 5",
    "matches: ['[ab]*a[ab]{6}c', '(?i)select.*from', '\\brm\\b.{0,20}-rf', '(a|ab|abc)*$']",
    "detects: [pii, secrets]",
];

/// Most steps for each byte of an argument.
const MOST: u64 = 220;

/// What a call with this argument spends for each of its bytes.
fn spent_on(guard: &Rc<Guard>, argument: &str) -> u64 {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "t", "arguments": {"x": argument}}});
    let body = call.to_string().into_bytes();
    let headers: Vec<(&[u8], &[u8])> = vec![
        (b":method", b"POST"),
        (b":path", b"/mcp"),
        (b":authority", b"mcp.example.com"),
        (b"content-type", b"application/json"),
        (b"accept", b"application/json, text/event-stream"),
    ];
    let mut flow = Flow::new(Rc::clone(guard));
    let _ = flow.request_headers(&RequestHead {
        headers: &headers,
        end: false,
        cluster: None,
        now: NOW,
    });
    // As if it had so much to spend that it is all counted.
    flow.work = 1 << 60;
    let _ = flow.request_body(&mut body.as_slice(), true, NOW);
    assert!(flow.exchange.events.contains_key("tool_call"));
    guard.allowance.left_of(1 << 60, flow.work) / u64::try_from(argument.len()).unwrap()
}

#[test]
fn no_argument_made_of_what_operators_look_for_costs_much_more_than_others() {
    let made = texts(&units_of_operators(), share().unwrap_or(2_000));
    let step = if share().is_some() { 1 } else { 40 };
    let mut over = Vec::new();
    for (number, operator) in OPERATORS.iter().enumerate() {
        let guard = guard(&format!(
            "defaults: {{ action: allow }}\nrules: [{{ id: a, match: {{ tool: t }}, when: {{ args.x: {{ {operator} }} }}, action: deny }}]"
        ));
        // Another part of the texts for each operator.
        for made in made.iter().skip(number * 7 % step).step_by(step) {
            let steps = spent_on(&guard, &made.text(1_500));
            if steps > MOST {
                over.push((steps, operator, made));
            }
        }
    }
    over.sort_by_key(|(steps, ..)| std::cmp::Reverse(*steps));
    assert!(
        over.is_empty(),
        "{} {:#?}",
        over.len(),
        over.iter().take(20).collect::<Vec<_>>()
    );
}
