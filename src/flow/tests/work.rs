//! Work budget of an exchange.

use super::stream::streamed;
use super::*;
use crate::detect::hostile::{share, texts, units_of_operators};

const DETECTS: &str = "
defaults: { action: allow }
rules:
  - { id: secrets, match: { event: [message, response] }, when: { text: { detects: [pii, secrets] } }, action: tag, tags: [x] }
";

pub(super) const MATCHES: &str = "
defaults: { action: allow }
rules:
  - { id: pattern, match: { event: [message, response] }, when: { text: { matches: '[ab]*a[ab]{20}c' } }, action: deny }
";

/// Returns runs of digits with separators. Each run is read in three ways together with the text before it.
fn spelled(runs: usize) -> String {
    "4.1.1.1\n1.1.1.1=".repeat(runs)
}

/// Returns random letters `a` and `b`: hardly any two positions have the same 20 letters before them.
pub(super) fn letters(len: usize) -> String {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state >> 40 & 1 == 0 { 'a' } else { 'b' }
    };
    (0..len).map(|_| next()).collect()
}

pub(super) fn chat(texts: &[impl AsRef<str>]) -> Vec<u8> {
    let messages: Vec<Value> = texts
        .iter()
        .map(|text| json!({"role": "user", "content": text.as_ref()}))
        .collect();
    json!({"model": "gpt-4o", "messages": messages})
        .to_string()
        .into_bytes()
}

/// Returns bodies that cost a multiple of ordinary bodies of their size, each with a policy that inspects it.
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
fn only_a_rule_that_names_the_code_allows_it() {
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
fn a_response_that_costs_too_much_is_denied() {
    // Several choices, since the spelled digits of one text are only searched a limited number of times.
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

/// Returns a stream of this text, with `each` bytes of it in each frame.
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
fn a_stream_that_costs_too_much_ends_with_a_denial_however_it_is_cut() {
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
fn coverage_is_not_full_after_an_observed_request_that_costs_too_much() {
    let (policy, body) = hostile().remove(1);
    let guard = guard(&format!("mode: observe\n{policy}"));
    let role = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\ndata: [DONE]\n\n";
    let seen = run(&guard, &chat_request(&body), |_| streamed(role, &[]), NOW);
    let reasons = record(&seen)["coverage"]["reasons"].clone();
    assert_eq!(reasons, json!(["request:AG2015", "response:AG2015"]));
    assert_eq!(seen.client.body(), role);
}

#[test]
fn a_long_stream_of_ordinary_text_never_reaches_the_bound() {
    let text = "The committee met on a grey morning, and agreed after some debate; call 555 0100 or see item 4. ";
    let body = stream_of(&text.repeat(600), 24);
    for policy in [DETECTS, MATCHES] {
        let seen = answered(policy, &body, &[]);
        assert_eq!(record(&seen)["decision"], "allow");
        assert_eq!(seen.client.body(), body);
    }
}

#[test]
fn exchanges_have_separate_budgets() {
    let guard = guard(DETECTS);
    let (_, body) = hostile().remove(0);
    let denied = run(&guard, &chat_request(&body), |_| hello(), NOW);
    assert_eq!(record(&denied)["code"], "AG2015");
    let next = run(&guard, &chat_request(&says("hi")), |_| hello(), NOW);
    assert_eq!(record(&next)["decision"], "allow");
    // Texts that were not searched to their end are not cached as known.
    let again = run(&guard, &chat_request(&body), |_| hello(), NOW);
    assert_eq!(record(&again)["code"], "AG2015");
}

/// Returns a guard with half of the work budget.
fn frugal(policy: &str) -> Rc<Guard> {
    let mut guard = guard(policy);
    let known = Rc::get_mut(&mut guard).unwrap();
    known.allowance = known.allowance.half();
    guard
}

/// Deterministic random numbers (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % end
    }
}

/// Returns lines until their length reaches `len`.
fn lines(len: usize, mut line: impl FnMut(&mut Numbers) -> String) -> String {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut text = String::new();
    while text.len() < len {
        text.push_str(&line(&mut numbers));
    }
    text
}

/// Returns ordinary texts and data, large enough that the fixed part of the budget doesn't matter.
fn ordinary() -> Vec<(&'static str, String)> {
    const LEN: usize = 300_000;
    let uuid = |n: &mut Numbers| {
        let part = |n: &mut Numbers, len: usize| {
            (0..len)
                .map(|_| format!("{:x}", n.below(16)))
                .collect::<String>()
        };
        [8, 4, 4, 4, 12].map(|len| part(n, len)).join("-")
    };
    let letters = |n: &mut Numbers, alphabet: &[u8], len: usize| {
        let mut letter = |_| {
            let at = n.below(u64::try_from(alphabet.len()).unwrap());
            char::from(alphabet[usize::try_from(at).unwrap()])
        };
        (0..len).map(&mut letter).collect::<String>()
    };
    let base64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    vec![
        (
            "prices",
            lines(LEN, |n| {
                format!(
                    "{},{}.{:02},{}.{:02},{}\n",
                    n.below(100_000),
                    n.below(900),
                    n.below(100),
                    n.below(90),
                    n.below(100),
                    n.below(5_000)
                )
            }),
        ),
        (
            "coordinates",
            lines(LEN, |n| {
                format!(
                    "[{}.{:06},-{}.{:06}],",
                    n.below(90),
                    n.below(1_000_000),
                    n.below(180),
                    n.below(1_000_000)
                )
            }),
        ),
        (
            "timestamps",
            lines(LEN, |n| {
                format!(
                    "2026-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z {}\n",
                    1 + n.below(12),
                    1 + n.below(28),
                    n.below(24),
                    n.below(60),
                    n.below(60),
                    n.below(1_000),
                    1_700_000_000 + n.below(90_000_000)
                )
            }),
        ),
        (
            "identifiers",
            lines(LEN, |n| {
                format!("{}, ", 10_000_000_000_000 + n.below(1 << 31) * 1_000_003)
            }),
        ),
        (
            "numbers of nine digits",
            lines(LEN, |n| format!("{}\t", 100_000_000 + n.below(900_000_000))),
        ),
        (
            "embeddings",
            lines(LEN, |n| {
                format!(
                    "{}0.{:09}, ",
                    if n.below(2) == 0 { "-" } else { "" },
                    n.below(1_000_000_000)
                )
            }),
        ),
        (
            "rows of digits",
            lines(LEN, |n| {
                (0..28)
                    .map(|_| format!("{} ", n.below(10)))
                    .collect::<String>()
                    + "\n"
            }),
        ),
        ("an image", lines(LEN, |n| letters(n, base64, 760))),
        (
            "an image in lines",
            lines(LEN, |n| letters(n, base64, 76) + "\n"),
        ),
        (
            "a log",
            lines(LEN, |n| {
                format!(
                    "2026-03-{:02} 11:02:{:02},{:03} INFO [worker-{}] request {} from 10.{}.{}.{} took {} ms\n",
                    1 + n.below(28),
                    n.below(60),
                    n.below(1_000),
                    n.below(16),
                    uuid(n),
                    n.below(256),
                    n.below(256),
                    n.below(256),
                    n.below(2_000)
                )
            }),
        ),
        (
            "persons",
            "id,name,email,city,ssn,phone,password,last_login\n".to_owned()
                + &lines(LEN, |n| {
                    format!(
                        "{},Ann Lee,ann.lee{}@example.com,Springfield,{},{},hunter{}Xy!,2024-03-09T11:02:41Z\n",
                        n.below(10_000),
                        n.below(10_000),
                        536_221_234 + n.below(10_000),
                        2_125_550_000 + n.below(10_000),
                        n.below(1_000)
                    )
                }),
        ),
        (
            "source code",
            lines(LEN, |n| {
                format!(
                    "    fn next_{}(&mut self) -> Option<Token> {{\n        let start = self.position + {};\n        while let Some(c) = self.peek() {{ if !c.is_alphanumeric() {{ break; }} }}\n    }}\n",
                    n.below(1_000),
                    n.below(100)
                )
            }),
        ),
        (
            "minified JavaScript",
            lines(LEN, |n| {
                format!(
                    "function {}(e,t){{var n=e[{}],r=t.{};return n&&r?(n.key={}(r.token,\"{}\"),!0):void 0}}",
                    letters(n, b"abcdefgh", 2),
                    n.below(100),
                    letters(n, b"abcdefgh", 3),
                    letters(n, b"abcdefgh", 2),
                    letters(n, b"abcdefghij-", 8)
                )
            }),
        ),
        (
            "Chinese",
            lines(LEN, |n| {
                format!(
                    "委员会在第{}天的早晨开会，经过一番辩论后一致认为，应该在冬天来临之前修好这座桥。",
                    n.below(365)
                )
            }),
        ),
        (
            "Russian",
            lines(LEN, |n| {
                format!(
                    "Комитет собрался утром {} числа и после споров решил, что мост надо починить до зимы. ",
                    n.below(31)
                )
            }),
        ),
        (
            "JSON",
            lines(LEN, |n| {
                format!(
                    "{{\"id\":\"msg_{}\",\"type\":\"message\",\"usage\":{{\"input_tokens\":{},\"output_tokens\":{}}},\"created\":{}}},\n",
                    letters(n, base64.split_at(62).0, 24),
                    n.below(5_000),
                    n.below(5_000),
                    1_700_000_000 + n.below(90_000_000)
                )
            }),
        ),
        // The number of these is limited in each text.
        (
            "telephone numbers digit by digit",
            (0..1_900)
                .map(|at| {
                    format!(
                        "Ann Lee: {} 1 2 - 5 5 5 - 0 1 {} {}\n",
                        2 + at % 7,
                        at % 10,
                        at / 10 % 10
                    )
                })
                .collect(),
        ),
    ]
}

#[test]
fn ordinary_content_takes_less_than_half_of_the_budget() {
    let guard = frugal(DETECTS);
    for (name, text) in ordinary() {
        let seen = run(&guard, &chat_request(&chat(&[text])), |_| hello(), NOW);
        assert_eq!(record(&seen)["decision"], "allow", "{name}");
    }
}

#[test]
fn thousands_of_short_texts_take_less_than_half_of_the_budget() {
    let rule = |at: usize| {
        format!(
            "  - {{ id: r{at}, match: {{ event: message }}, when: {{ text: {{ contains_any: [secret{at}] }} }}, action: deny }}\n"
        )
    };
    let rules: String = (0..40).map(rule).collect();
    let texts: Vec<String> = (0..6_000).map(|at| format!("{}", at % 1_000)).collect();
    for policy in [DETECTS.to_owned(), format!("{DETECTS}{rules}")] {
        let seen = run(
            &frugal(&policy),
            &chat_request(&chat(&texts)),
            |_| hello(),
            NOW,
        );
        assert_eq!(record(&seen)["decision"], "allow");
    }
}

/// Returns the bytes of a recorded half.
pub(super) fn body_of(half: &Value) -> Vec<u8> {
    use base64::Engine;
    let body = half["body"].as_str().unwrap_or_default();
    match half["body_encoding"].as_str() {
        Some("base64") => base64::engine::general_purpose::STANDARD
            .decode(body)
            .unwrap(),
        _ => body.as_bytes().to_vec(),
    }
}

#[test]
fn recorded_requests_and_labelled_texts_take_less_than_half_of_the_budget() {
    let guard = frugal(DETECTS);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut labelled = String::new();
    let packed = std::fs::File::open(folder.join("detect/dev.jsonl.gz")).unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed), &mut labelled)
        .unwrap();
    let text_of = |line: &str| {
        let case: Value = serde_json::from_str(line).unwrap();
        case["text"].as_str().unwrap().to_owned()
    };
    let all: Vec<String> = labelled.lines().map(text_of).collect();
    assert!(all.len() > 1_000);
    for texts in all.chunks(1_000) {
        let seen = run(&guard, &chat_request(&chat(texts)), |_| hello(), NOW);
        assert_ne!(record(&seen)["code"], "AG2015");
        assert_eq!(record(&seen)["decision"], "allow");
    }
    let mut requests = 0;
    for file in std::fs::read_dir(folder.join("traffic")).unwrap() {
        let file = file.unwrap().path();
        if file
            .extension()
            .is_none_or(|extension| extension != "jsonl")
        {
            continue;
        }
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let exchange: Value = serde_json::from_str(line).unwrap();
            let request = &exchange["request"];
            let part = |key: &str| request[key].as_str().unwrap_or_default();
            let half = HttpMessage::new(
                &[
                    (":method", part("method")),
                    (":path", part("path")),
                    (":authority", part("host")),
                    ("content-type", "application/json"),
                ],
                &body_of(request),
            );
            let seen = run(&guard, &half, |_| hello(), NOW);
            assert_ne!(record(&seen)["code"], "AG2015", "{}", exchange["id"]);
            requests += 1;
        }
    }
    assert!(requests > 400);
}

/// Operators on texts, with their operands.
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

/// Maximum steps per byte of an argument.
const MOST: u64 = 220;

/// Returns the steps per byte that a call with this argument spends.
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
        properties: &crate::proxy::MemoryProperties::default(),
        now: NOW,
    });
    // A budget that is never exhausted, so that all steps are counted.
    flow.work = 1 << 60;
    let _ = flow.request_body(&mut body.as_slice(), true, NOW);
    assert!(flow.exchange.events.by_word().contains_key("tool_call"));
    guard.allowance.left_of(1 << 60, flow.work) / u64::try_from(argument.len()).unwrap()
}

#[test]
fn no_argument_of_texts_that_operators_search_costs_much_more_than_others() {
    let made = texts(&units_of_operators(), share().unwrap_or(2_000));
    let step = if share().is_some() { 1 } else { 40 };
    let mut over = Vec::new();
    for (number, operator) in OPERATORS.iter().enumerate() {
        let guard = guard(&format!(
            "defaults: {{ action: allow }}\nrules: [{{ id: a, match: {{ tool: t }}, when: {{ args.x: {{ {operator} }} }}, action: deny }}]"
        ));
        // Each operator gets a different part of the texts.
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
