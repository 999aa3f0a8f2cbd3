//! How fast detectors look, natively and in V8.

use std::time::{Duration, Instant};

use agentguard::detect::{Confidence, Input, Scanner, Scratch, Selection};

/// Takes a detector (empty: all together), a text, MB/s and how much was found.
pub type Keep<'a> = &'a mut dyn FnMut(&str, &str, f64, usize);

/// All detectors together on each text.
pub fn together(texts: &[(&str, String)], budget: Duration, keep: Keep<'_>) {
    each("", &Selection::all(Confidence::Medium), texts, budget, keep);
}

/// One detector on each text.
pub fn alone(name: &str, texts: &[(&str, String)], budget: Duration, keep: Keep<'_>) {
    let mut selection = Selection::none();
    selection.add(name, Confidence::Medium).unwrap();
    each(name, &selection, texts, budget, keep);
}

fn each(
    name: &str,
    selection: &Selection,
    texts: &[(&str, String)],
    budget: Duration,
    keep: Keep<'_>,
) {
    let scanner = Scanner::new(selection);
    let mut scratch = Scratch::default();
    let mut findings = Vec::new();
    for (kind, text) in texts {
        // The fastest of several scans: whatever else the machine does only adds.
        let mut best = f64::MAX;
        let begun = Instant::now();
        while begun.elapsed() < budget {
            findings.clear();
            let start = Instant::now();
            scanner.scan(&Input::whole(text), &mut scratch, &mut findings);
            best = best.min(start.elapsed().as_secs_f64());
        }
        keep(name, kind, text.len() as f64 / best / 1e6, findings.len());
    }
}
