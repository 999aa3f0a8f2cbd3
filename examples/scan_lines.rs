//! Reads lines `{"id", "text"}` and writes lines `{"id", "spans": [[start, end, type]]}` in Unicode code points.
//!
//! `cargo run --release --example scan_lines -- [low|medium|high] [detector or group …] < cases.jsonl`
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a tool for measurements"
)]

use std::io::{BufRead, stdin};

use agentguard::detect::{Confidence, Scanner, Scratch, Selection, lines};
use serde_json::{Value, json};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let confidence = match arguments.next().as_deref() {
        Some("low") => Confidence::Low,
        Some("high") => Confidence::High,
        _ => Confidence::Medium,
    };
    let names: Vec<String> = arguments.collect();
    let mut selection = Selection::none();
    for name in &names {
        selection.add(name, confidence).unwrap();
    }
    let selection = if names.is_empty() {
        Selection::all(confidence)
    } else {
        selection
    };
    let scanner = Scanner::new(&selection);
    let mut scratch = Scratch::default();
    for line in stdin().lock().lines() {
        let case: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let found = lines::spans(
            &scanner,
            case["text"].as_str().unwrap_or_default(),
            &mut scratch,
        );
        let spans: Vec<Value> = found
            .iter()
            .map(|span| json!([span.start, span.end, span.name]))
            .collect();
        println!("{}", json!({ "id": case["id"], "spans": spans }));
    }
}
