//! The detectors, measured: what they find of what is labelled, and how fast they look.
//!
//! `cargo bench --bench detect [-- --only TEXT] [DETECTOR …]`: all detectors together and each alone, or these; on all
//! texts, or on those whose name has that word.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    reason = "a tool for measurements"
)]

use std::time::{Duration, Instant};

use agentguard::detect::{Confidence, DETECTORS, Input, Scanner, Scratch, Selection};

mod texts;

#[path = "../tests/detect/judge.rs"]
mod judge;
#[path = "../tests/detect/score.rs"]
mod score;

/// How long one text is scanned over and over.
const BUDGET: Duration = Duration::from_millis(10);

/// What most traffic is made of.
const USUAL: [&str; 4] = ["English", "code", "JSON", "digits"];

/// Thousandths as percent.
fn percent(thousandths: usize) -> String {
    format!("{}.{}", thousandths / 10, thousandths % 10)
}

/// What is found of what is labelled: everything at medium confidence.
fn print_scores() {
    let verdict = score::verdict(&Selection::all(Confidence::Medium));
    println!(
        "{:<22} {:>8} {:>6} {:>6} {:>6} {:>6}",
        "type", "labelled", "P", "R", "F1", "masked"
    );
    let line = |name: &str, counts: &judge::Counts| {
        println!(
            "{name:<22} {:>8} {:>6} {:>6} {:>6} {:>6}",
            counts.labelled,
            percent(counts.precision()),
            percent(counts.recall()),
            percent(counts.f1()),
            percent(counts.masked())
        );
    };
    for (name, counts) in verdict
        .types
        .iter()
        .filter(|(_, counts)| counts.labelled > 0)
    {
        line(name, counts);
    }
    line(
        "personal data",
        &verdict.together(|name| !score::is_secret(name)),
    );
    line("secrets", &verdict.together(score::is_secret));
    let noise = verdict.noise();
    println!(
        "false findings in 100 kB of text without any: {}.{:02}\n",
        noise / 100,
        noise % 100
    );
}

/// The fastest of several scans, in seconds; and how much was found.
fn time(scanner: &Scanner, text: &str) -> (f64, usize) {
    let mut scratch = Scratch::default();
    let mut findings = Vec::new();
    let mut best = f64::MAX;
    let begun = Instant::now();
    while begun.elapsed() < BUDGET {
        findings.clear();
        let start = Instant::now();
        scanner.scan(&Input::whole(text), &mut scratch, &mut findings);
        best = best.min(start.elapsed().as_secs_f64());
    }
    (best, findings.len())
}

fn main() {
    let mut only = None;
    let mut names: Vec<String> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--only" => only = arguments.next(),
            // What `cargo bench` hands to every benchmark.
            "--bench" => {}
            _ => names.push(argument),
        }
    }
    let texts: Vec<(&str, String)> = texts::texts()
        .into_iter()
        .filter(|(kind, _)| {
            only.as_ref()
                .is_none_or(|only| kind.contains(only.as_str()))
        })
        .collect();
    let speed = |scanner: &Scanner, text: &str| {
        let (seconds, found) = time(scanner, text);
        (text.len() as f64 / seconds / 1e6, found)
    };
    if names.is_empty() && only.is_none() {
        print_scores();
    }
    if names.is_empty() {
        let start = Instant::now();
        let scanner = Scanner::new(&Selection::all(Confidence::Medium));
        println!(
            "all detectors, made ready in {:.1} ms",
            start.elapsed().as_secs_f64() * 1e3
        );
        for (kind, text) in &texts {
            let (speed, found) = speed(&scanner, text);
            println!("{speed:>8.0} MB/s {found:>6} findings  {kind}");
        }
        names.extend(DETECTORS.iter().map(|detector| detector.name.to_owned()));
    }
    println!(
        "\nMB/s of each alone: {}, and the slowest of all texts",
        USUAL.join(", ")
    );
    for name in names {
        let mut selection = Selection::none();
        selection.add(&name, Confidence::Medium).unwrap();
        let scanner = Scanner::new(&selection);
        let mut slowest = (f64::MAX, "");
        let mut usual = String::new();
        for (kind, text) in &texts {
            let (speed, _) = speed(&scanner, text);
            if USUAL.contains(kind) {
                usual.push_str(&format!("{speed:>7.0}"));
            }
            if speed < slowest.0 {
                slowest = (speed, kind);
            }
        }
        println!("{name:<22}{usual}{:>7.0}  {}", slowest.0, slowest.1);
    }
}
