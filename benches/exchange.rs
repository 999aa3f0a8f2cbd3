//! Benchmark of the filter's own time for one exchange, without Envoy: a request of an agent and its response under policies
//! of 1 and of 100 rules, from the headers to the written audit event; and for each frame of a streamed response.
//! `cargo bench --bench exchange`; `make bench` runs the same in V8, and native.py counts instructions between marks.
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

use agentguard::audit::{Chain, ChainKey, Record, RecordedRequest, RecordedRule};
use agentguard::event::{Known, Principal, Usage};
use agentguard::flow::{Action, End, Flow, Guard, HostEnvironment, RequestHead, ResponseHead};
use agentguard::policy::load_json;
use agentguard::proxy::{Properties, SharedData, VersionMismatch, Versioned};
use agentguard::wire::sorted_map::{SortedMap, SortedSet};
use exchanges::{DONE, Headers, REQUEST, RESPONSE, STREAM};
use serde_json::Value;
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[path = "exchanges.rs"]
mod exchanges;
#[path = "workload.rs"]
mod workload;

/// Measuring time per line; V8 compiles its best code meanwhile.
const BUDGET: Duration = Duration::from_millis(1_500);

const NOW: u64 = 1_800_000_000_000_000_000;

/// Proxy without connection properties and shared data: no policy here needs them. The in-memory implementations are not
/// compiled for V8.
struct Nothing;

impl Properties for Nothing {
    fn get(&self, _: &[&str]) -> Option<Vec<u8>> {
        None
    }
}

impl SharedData for Nothing {
    fn get(&self, _: &str) -> Option<Versioned> {
        None
    }

    fn set(&self, _: &str, _: &[u8], _: u32) -> Result<(), VersionMismatch> {
        Ok(())
    }
}

/// Processes the request of an exchange. Returns `false` if it is denied.
fn ask(flow: &mut Flow, question: &[u8]) -> bool {
    let held = flow.request_headers(&RequestHead {
        headers: REQUEST,
        end: false,
        properties: &Nothing,
        now: NOW,
    });
    assert_ne!(held.action, Action::Reset);
    let mut body = question;
    let step = flow.request_body(&mut body, true, NOW);
    !matches!(step.action, Action::Reply(_))
}

fn respond(flow: &mut Flow, head: Headers) {
    let _ = flow.response_headers(&ResponseHead {
        headers: head,
        end: false,
        now: NOW,
    });
}

fn pass(flow: &mut Flow, mut part: &[u8], last: bool) {
    let _ = flow.response_body(&mut part, last, NOW);
}

/// Finishes an exchange.
fn finish(flow: &mut Flow) -> usize {
    let end = End {
        now: NOW,
        ..End::default()
    };
    let line = flow.finish(&end).line.len();
    let mut counted = 0;
    flow.count(&end, &mut |_, _, _| counted += 1);
    line + counted
}

/// Runs an exchange up to its end.
fn converse(guard: &Rc<Guard>, question: &[u8], head: Headers, answer: &[&[u8]]) -> Flow {
    let mut flow = Flow::new(Rc::clone(guard));
    if ask(&mut flow, question) {
        respond(&mut flow, head);
        let (last, parts) = answer.split_last().expect("an answer");
        for part in parts {
            pass(&mut flow, part, false);
        }
        pass(&mut flow, last, true);
    }
    flow
}

fn exchange(guard: &Rc<Guard>, question: &[u8], head: Headers, answer: &[&[u8]]) -> usize {
    finish(&mut converse(guard, question, head, answer))
}

/// Mark in a trace at which native.py starts counting.
#[inline(never)]
fn begin() {
    black_box("begin");
}

/// Mark at which native.py stops counting.
#[inline(never)]
fn end() {
    black_box("end");
}

/// Runs the counted exchanges between marks, for native.py. Prints the addresses of the marks, then the name of each
/// exchange.
fn marked() {
    const WARM_UP: usize = 2;
    const PARTS: usize = 10;
    println!("{:x} {:x}", begin as fn() as usize, end as fn() as usize);
    for counted in exchanges::exchanges() {
        let (guard, _) = guard(&counted.policy);
        let answer: Vec<&[u8]> = counted.answer.iter().map(Vec::as_slice).collect();
        let mut flow = Flow::new(Rc::clone(&guard));
        let asked = ask(&mut flow, &counted.question);
        assert_eq!(asked, counted.outcome != "denied", "{}", counted.name);
        if let Some(first) = counted.part {
            respond(&mut flow, counted.head);
            let (before, rest) = answer.split_at(first);
            for part in before {
                pass(&mut flow, part, false);
            }
            for part in &rest[..PARTS] {
                println!("{}", counted.name);
                begin();
                pass(&mut flow, part, false);
                end();
            }
        } else {
            let renewed = |part: &[u8], number| match counted.is_new {
                true => renewed(part, number),
                false => part.to_vec(),
            };
            for number in 0..=WARM_UP {
                let question = renewed(&counted.question, number);
                let answer: Vec<Vec<u8>> =
                    answer.iter().map(|part| renewed(part, number)).collect();
                let answer: Vec<&[u8]> = answer.iter().map(Vec::as_slice).collect();
                if number == WARM_UP {
                    println!("{}", counted.name);
                    begin();
                }
                exchange(&guard, &question, counted.head, &answer);
            }
            end();
        }
    }
}

/// Returns a body with texts that the policy has not scanned before.
fn renewed(body: &[u8], number: usize) -> Vec<u8> {
    let text = std::str::from_utf8(body).expect("a body is text");
    text.replace(workload::NEW_WORD, &workload::new_word(number))
        .into_bytes()
}

fn guard(policy: &Value) -> (Rc<Guard>, Duration) {
    let policy = policy.to_string();
    let start = Instant::now();
    let policy = load_json(policy.as_bytes()).policy.expect("a policy");
    let loaded = start.elapsed();
    let surroundings = HostEnvironment {
        variable: &|_| Some("a key of sixteen bytes and more".to_owned()),
        node_environment: &|| None,
        seed: [7; 40],
        shared_data: Rc::new(Nothing),
        kill: Rc::default(),
    };
    let guard = Guard::new(policy, &surroundings).expect("a guard");
    (Rc::new(guard), loaded)
}

/// Returns the shortest of many rounds.
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

/// Prints microseconds per frame of a stream, without the cost of an exchange without frames.
fn streams() {
    let frames = workload::frames();
    let question = exchanges::streamed(1 << 10);
    let at_once = [frames.concat().as_slice(), DONE].concat();
    let one_by_one = frames.iter().map(Vec::as_slice).chain([DONE]);
    let one_by_one: Vec<&[u8]> = one_by_one.collect();
    println!("Streams, µs/frame       one by one    in one write");
    for (name, rules) in [
        ("1 rule", workload::rules(1)),
        ("100 rules", workload::rules(100)),
        ("all detectors", workload::everything()),
    ] {
        let (guard, _) = guard(&workload::policy(&rules, false));
        let run = |answer: &[&[u8]]| {
            let time = best(1, &mut || {
                exchange(&guard, &question, STREAM, answer);
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

/// Prints microseconds of the end of an exchange: its audit event with MAC and link, and its metrics.
fn ends() {
    println!("The audit event with its chain, and metrics, µs");
    let answer = workload::answer();
    let question = workload::question(4 << 10);
    for rules in [1, 100] {
        let (guard, _) = guard(&workload::policy(&workload::rules(rules), false));
        let with = best(20, &mut || {
            exchange(&guard, &question, RESPONSE, &[&answer]);
        });
        let without = best(20, &mut || {
            black_box(converse(&guard, &question, RESPONSE, &[&answer]));
        });
        let us = (with.saturating_sub(without)).as_secs_f64() * 1e6;
        println!(
            "{rules:>4} rules {us:>16.1} of {:.1}",
            with.as_secs_f64() * 1e6
        );
    }
}

/// Prints microseconds of writing one audit event and linking it into its chain: with the MAC of a key, and with a hash.
fn records() {
    println!("The audit event with its chain, µs");
    let (version, path) = (format!("sha256:{}", "0".repeat(64)), "/v1/chat/completions");
    let rules = ["mask-cards", "masked-answers"].map(|id| RecordedRule {
        id: id.into(),
        action: "redact",
        event: "message",
        at: "/messages/3/content".into(),
        mode: "enforce",
        form: None,
    });
    let findings = [("credit_card".into(), 2)].into_iter().collect();
    let events = [
        ("request", 1),
        ("message", 5),
        ("tool_offer", 2),
        ("response", 1),
    ];
    let events = events.into_iter().collect();
    let (models, tools) = (["gpt-4o-mini".into()], ["search_orders".into()]);
    let tools = tools.into_iter().collect();
    let (none, reasons, limits) = (SortedSet::new(), SortedSet::new(), SortedMap::new());
    let mut principal = Principal::known_by(Some("api_key"));
    principal.client = Known::Is("checkout".into());
    let record = Record {
        started_ns: NOW,
        request_id: "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
        is_interim: false,
        request: RecordedRequest {
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            client: None,
            method: "POST",
            host: "api.openai.com",
            path,
        },
        policy: ("bench", &version, "enforce"),
        principal: Some(&principal),
        authentication: None,
        protocol: "openai.chat",
        provider: "openai",
        models: &models,
        endpoint: "chat",
        stream: Some(false),
        decision: "redact",
        would: None,
        code: None,
        killed_by: None,
        status: 200,
        ended: "",
        rules: &rules,
        undecided: &none,
        findings: &findings,
        events: &events,
        tools: &tools,
        tags: &none,
        limits: &limits,
        coverage: ("full", &reasons),
        usage: Usage {
            input_tokens: Some(1_200),
            output_tokens: Some(80),
            ..Usage::default()
        },
        approval: None,
        shadow: None,
        duration_ms: Some(812),
        inspect_us: 75,
        held_us: 40,
        content: None,
    };
    for (name, key) in [
        (
            "with a key",
            ChainKey::new(b"a key of sixteen bytes and more"),
        ),
        ("without one", None),
    ] {
        let mut chain = Chain::new([7; 8], key);
        let mut bytes = 0;
        let time = best(200, &mut || {
            bytes = black_box(record.write(&mut chain)).len();
        });
        let us = time.as_secs_f64() * 1e6;
        println!("{name:>12} {us:>8.2} for {bytes} bytes");
    }
}

/// Measures and prints; the program for V8 calls it, too. The argument `records`, `ends`, `streams`, `24 tools`, `40 turns`
/// or the size of a body measures only that; `marked` is for native.py.
pub fn main() {
    let only = std::env::args().nth(1).filter(|word| word != "--bench");
    if only.as_ref().is_some_and(|only| only == "marked") {
        return marked();
    }
    let is_asked = |part: &str| only.as_ref().is_none_or(|only| only == part);
    if is_asked("streams") {
        streams();
    }
    if is_asked("ends") {
        ends();
    }
    if is_asked("records") {
        records();
    }
    let parts = ["streams", "ends", "records"];
    if only.as_ref().is_some_and(|only| parts.contains(&&**only)) {
        return;
    }
    let answer = workload::answer();
    for rules in [1, 100] {
        let (guard, loaded) = guard(&workload::policy(&workload::rules(rules), false));
        println!(
            "{rules:>4} rules, loaded in {:.2} ms",
            loaded.as_secs_f64() * 1e3
        );
        let agents = [
            ("24 tools", workload::question_with_tools(24)),
            ("40 turns", workload::question_after_turns(40)),
        ];
        for (name, question) in agents.iter().filter(|(name, _)| is_asked(name)) {
            let best = best(20, &mut || {
                exchange(&guard, question, RESPONSE, &[&answer]);
            });
            println!("{name:>18} {:>10.1} µs", best.as_secs_f64() * 1e6);
        }
        for size in [1 << 10, 4 << 10, 64 << 10, 1 << 20] {
            if only.as_ref().is_some_and(|only| *only != size.to_string()) {
                continue;
            }
            let question = workload::question(size);
            let rounds = if size > 1 << 18 { 1 } else { 20 };
            let best = best(rounds, &mut || {
                exchange(&guard, &question, RESPONSE, &[&answer]);
            });
            let us = best.as_secs_f64() * 1e6;
            println!(
                "{size:>12} bytes {us:>10.1} µs {:>8.2} ns/byte",
                us * 1e3 / size as f64
            );
        }
    }
}
