//! Throughput of detectors, natively and in V8.

use std::time::{Duration, Instant};

use agentguard::detect::{Confidence, Input, Scanner, Scratch, Selection};
use agentguard::wire::work;
use sha2::{Digest, Sha256};

/// Results for a text.
#[derive(Clone, Copy, Default)]
pub struct Measured {
    /// MB/s.
    pub speed: f64,
    /// Number of findings.
    pub found: usize,
    /// Counted work for each byte.
    pub steps: f64,
}

/// Callback for a detector (empty for all together), a text, and its results.
pub type Keep<'a> = &'a mut dyn FnMut(&str, &str, Measured);

/// The text name in the line of [`yardstick`].
pub const YARDSTICK: &str = "SHA-256";

/// Measures the machine's hash throughput, to compare figures of different machines.
pub fn yardstick(budget: Duration, keep: Keep<'_>) {
    let bytes = vec![7u8; 65_536];
    let speed = fastest(bytes.len(), budget, &mut || {
        std::hint::black_box(Sha256::digest(std::hint::black_box(&bytes)));
    });
    let measured = Measured {
        speed,
        ..Measured::default()
    };
    keep("", YARDSTICK, measured);
}

/// Measures all detectors together on each text.
pub fn together(texts: &[(&str, String)], budget: Duration, keep: Keep<'_>) {
    each("", &Selection::all(Confidence::Medium), texts, budget, keep);
}

/// Measures one detector on each text.
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
        let speed = fastest(text.len(), budget, &mut || {
            findings.clear();
            scanner.scan(&Input::whole(text), &mut scratch, &mut findings);
        });
        findings.clear();
        let (_, steps) =
            work::count(|| scanner.scan(&Input::whole(text), &mut scratch, &mut findings));
        let measured = Measured {
            speed,
            found: findings.len(),
            steps: steps as f64 / text.len() as f64,
        };
        keep(name, kind, measured);
    }
}

/// Returns MB/s of the fastest of at least ten rounds: other load on the machine only adds time.
fn fastest(bytes: usize, budget: Duration, round: &mut dyn FnMut()) -> f64 {
    let mut best = f64::MAX;
    let mut rounds = 0u32;
    let begun = Instant::now();
    while rounds < 10 || begun.elapsed() < budget {
        rounds = rounds.wrapping_add(1);
        let start = Instant::now();
        round();
        best = best.min(start.elapsed().as_secs_f64());
    }
    bytes as f64 / best / 1e6
}
