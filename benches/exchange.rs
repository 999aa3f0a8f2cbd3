//! How long the filter itself takes for one exchange, without Envoy around it: a question of an agent and its answer under
//! policies of 1 and of 100 rules, from the headers to the written record; and for each frame of an answer that streams. `cargo bench --bench exchange`; the same runs in
//! V8 with `make bench`.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark reads clocks, prints, and ends where something is wrong"
)]

use agentguard::flow::{Action, End, Flow, Guard, HostEnvironment, RequestHead, ResponseHead};
use agentguard::policy::load_json;
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::{Duration, Instant};

#[path = "workload.rs"]
mod workload;

/// How long each line is measured; V8 compiles its best code while that goes on.
const BUDGET: Duration = Duration::from_millis(1_500);

const NOW: u64 = 1_800_000_000_000_000_000;

const REQUEST: [(&[u8], &[u8]); 11] = [
    (b":authority", b"api.openai.com"),
    (b":path", b"/v1/chat/completions"),
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b"content-type", b"application/json"),
    (b"accept", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.51.0"),
    (b"authorization", b"Bearer sk-0123456789"),
    (b"x-forwarded-proto", b"http"),
    (b"x-request-id", b"7f6c2f86-0c0c-4a55-9d0a-0d2f0f7bb9a1"),
    (b"x-stainless-lang", b"python"),
];

const STREAM: [(&[u8], &[u8]); 3] = [
    (b":status", b"200"),
    (b"content-type", b"text/event-stream"),
    (b"date", b"Fri, 20 Nov 2026 10:00:00 GMT"),
];

const RESPONSE: [(&[u8], &[u8]); 4] = [
    (b":status", b"200"),
    (b"content-type", b"application/json"),
    (b"content-length", b"800"),
    (b"date", b"Fri, 20 Nov 2026 10:00:00 GMT"),
];

fn exchange(
    guard: &Rc<Guard>,
    question: &[u8],
    head: &[(&[u8], &[u8])],
    answer: &[&[u8]],
    now: u64,
) -> usize {
    let mut flow = Flow::new(Rc::clone(guard));
    let held = flow.request_headers(&RequestHead {
        headers: &REQUEST,
        end: false,
        cluster: None,
        now,
    });
    assert_ne!(held.action, Action::Reset);
    let mut body = question;
    assert_eq!(
        flow.request_body(&mut body, true, now).action,
        Action::Continue
    );
    let _ = flow.response_headers(&ResponseHead {
        headers: head,
        end: false,
        now,
    });
    let (last, parts) = answer.split_last().expect("an answer");
    for part in parts {
        let mut body = *part;
        let _ = flow.response_body(&mut body, false, now);
    }
    let mut body = *last;
    let _ = flow.response_body(&mut body, true, now);
    let end = End { now, status: None };
    let line = flow.finish(&end).line.len();
    let mut counted = 0;
    flow.count(&end, &mut |_, _, _| counted += 1);
    line + counted
}

fn guard(rules: &[Value]) -> (Rc<Guard>, Duration) {
    let policy = workload::policy(rules, false).to_string();
    let start = Instant::now();
    let policy = load_json(policy.as_bytes()).policy.expect("a policy");
    let loaded = start.elapsed();
    let surroundings = HostEnvironment {
        variable: &|_| Some("a key of sixteen bytes and more".to_owned()),
        node_environment: &|| None,
        seed: [7; 40],
    };
    let guard = Guard::new(policy, &surroundings).expect("a guard");
    (Rc::new(guard), loaded)
}

/// The shortest of many rounds.
fn best(rounds: u32, run: &mut dyn FnMut()) -> Duration {
    let (mut best, begun) = (Duration::MAX, Instant::now());
    while begun.elapsed() < BUDGET {
        let start = Instant::now();
        for _ in 0..rounds {
            run();
        }
        best = best.min(start.elapsed() / rounds);
    }
    best
}

/// Microseconds for each frame of a stream, beyond what its exchange takes without any.
fn streams() {
    let frames = workload::frames();
    let mut question: Value = serde_json::from_slice(&workload::question(1 << 10)).expect("JSON");
    question["stream"] = json!(true);
    let question = question.to_string();
    const DONE: &[u8] = b"data: [DONE]\n\n";
    let at_once = [frames.concat().as_slice(), DONE].concat();
    let one_by_one = frames.iter().map(Vec::as_slice).chain([DONE]);
    let one_by_one: Vec<&[u8]> = one_by_one.collect();
    println!("Streams, µs/frame       one by one    in one write");
    for (name, rules) in [
        ("1 rule", workload::rules(1)),
        ("100 rules", workload::rules(100)),
        ("all detectors", workload::everything()),
    ] {
        let (guard, _) = guard(&rules);
        let run = |answer: &[&[u8]]| {
            let time = best(1, &mut || {
                exchange(&guard, question.as_bytes(), &STREAM, answer, NOW);
            });
            time.as_secs_f64() * 1e6
        };
        let none = run(&[DONE]);
        let each = |answer: &[&[u8]]| (run(answer) - none) / workload::FRAMES as f64;
        println!(
            "{name:>21} {:>12.2} {:>15.2}",
            each(&one_by_one),
            each(&[&at_once])
        );
    }
}

/// Measures and prints; the program for V8 calls it, too. `streams` or the size of a body as an argument measures that alone.
pub fn main() {
    let only = std::env::args().nth(1).filter(|word| word != "--bench");
    if only.as_ref().is_none_or(|only| only == "streams") {
        streams();
    }
    if only.as_ref().is_some_and(|only| only == "streams") {
        return;
    }
    let answer = workload::answer();
    for rules in [1, 100] {
        let (guard, loaded) = guard(&workload::rules(rules));
        println!(
            "{rules:>4} rules, loaded in {:.2} ms",
            loaded.as_secs_f64() * 1e3
        );
        for size in [1 << 10, 4 << 10, 64 << 10, 1 << 20] {
            if only.as_ref().is_some_and(|only| *only != size.to_string()) {
                continue;
            }
            let question = workload::question(size);
            let rounds = if size > 1 << 18 { 1 } else { 20 };
            let best = best(rounds, &mut || {
                exchange(&guard, &question, &RESPONSE, &[&answer], NOW);
            });
            let us = best.as_secs_f64() * 1e6;
            println!(
                "{size:>12} bytes {us:>10.1} µs {:>8.2} ns/byte",
                us * 1e3 / size as f64
            );
        }
    }
}
