//! How long one decision takes by the number of rules, natively: a call of a tool and a message, judged by policies whose
//! rules name tools, by such whose rules look for texts, and by both. Prints nanoseconds for one event and the time that
//! compiling took. `cargo bench --bench decide`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a benchmark prints what it measured"
)]

use agentguard::event::{
    Author, Class, Direction, Event, Facts, Form, Kind, Known, Part, Reading, Text,
};
use agentguard::policy::{Context, Moment, Policy, ScanScratch, Scans, load, parse_yaml};
use agentguard::wire::json::{Limits, Nest, Place};
use std::cell::RefCell;
use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

const BODY: &[u8] = br#"{"text": "Please refund order 4711 to the customer, thanks.", "args": {"amount": 120, "to": "a@example.com"}}"#;

fn policy(tools: usize, texts: usize) -> (Policy, f64) {
    let mut yaml = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: bench }\n\
                    defaults: { action: allow }\nrules:\n"
        .to_owned();
    for n in 0..tools {
        writeln!(yaml, "  - {{ id: tool-{n}, match: {{ tool: tool_{n} }}, when: {{ args.amount: {{ greater_than: {n} }} }}, action: deny }}").unwrap();
    }
    for n in 0..texts {
        writeln!(yaml, "  - {{ id: text-{n}, match: {{ event: message }}, when: {{ text: {{ contains: needle {n} of many }} }}, action: deny }}").unwrap();
    }
    let node = parse_yaml(&yaml).unwrap();
    let start = Instant::now();
    let policy = load(&node).policy.unwrap();
    (policy, start.elapsed().as_secs_f64() * 1e3)
}

/// Nanoseconds for one event: the least of several rounds.
fn measure(policy: &Policy, event: &Event, reading: &Reading, nest: &Nest<'_>) -> f64 {
    let facts = Facts::unknown();
    let scratch = RefCell::new(ScanScratch::default());
    let rounds = 5_000u32;
    (0..7)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..rounds {
                let scans = RefCell::new(Scans::default());
                let context = Context {
                    policy,
                    facts: &facts,
                    reading,
                    nest,
                    scans: &scans,
                    scratch: &scratch,
                };
                black_box(policy.judge(event, &context, Moment::Whole));
            }
            start.elapsed().as_nanos() as f64 / f64::from(rounds)
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    let nest = Nest::scan(BODY, Limits { max_depth: 8 }, 0).unwrap();
    let body = nest.body().unwrap();
    let place = |key: &str| body.root().get(key).unwrap().place();
    let mut reading = Reading::default();
    reading.texts.push(Text {
        place: place("text"),
        class: Class::Text,
        form: Form::String,
        key: None,
    });
    let mut call = Event::new(Kind::ToolCall, Direction::Request, Place::default());
    call.tool = Known::Is("tool_7".into());
    call.args = Known::Is(place("args"));
    let mut message = Event::new(Kind::Message, Direction::Request, Place::default());
    message.from = Known::Is(Author::User);
    message.part = Part::Text;
    message.texts = 0..1;
    println!("| rules | compile, ms | a call, ns | a message, ns |\n| --- | ---: | ---: | ---: |");
    for count in [1, 100, 1_000, 10_000] {
        for (name, tools, texts) in [("name tools", count, 0), ("look for texts", 0, count)] {
            let (policy, compile) = policy(tools, texts);
            println!(
                "| {count} that {name} | {compile:.1} | {:.0} | {:.0} |",
                measure(&policy, &call, &reading, &nest),
                measure(&policy, &message, &reading, &nest),
            );
        }
    }
}
