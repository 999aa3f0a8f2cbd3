//! Prints the speed of all detectors together on each kind of text.

use agentguard::detect::{Confidence, Input, Scanner, Scratch, Selection};
use std::time::{Duration, Instant};

#[path = "../../texts.rs"]
mod texts;

/// How long one text is scanned over and over; V8 compiles its best code while that goes on.
const BUDGET: Duration = Duration::from_millis(150);

fn main() {
    let scanner = Scanner::new(&Selection::all(Confidence::Medium));
    let mut scratch = Scratch::default();
    let mut findings = Vec::new();
    for (kind, text) in texts::texts() {
        let mut best = f64::MAX;
        let begun = Instant::now();
        while begun.elapsed() < BUDGET {
            findings.clear();
            let start = Instant::now();
            scanner.scan(&Input::whole(&text), &mut scratch, &mut findings);
            best = best.min(start.elapsed().as_secs_f64());
        }
        let speed = text.len() as f64 / best / 1e6;
        println!("{speed:>8.0} MB/s {:>6} findings  {kind}", findings.len());
    }
}
