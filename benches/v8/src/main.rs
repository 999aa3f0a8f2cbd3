//! Prints the speed of all detectors together and of each alone on each kind of text: detector, text, MB/s and findings,
//! with tabs between them.

use std::time::Duration;

use agentguard::detect::DETECTORS;

#[path = "../../speed.rs"]
mod speed;
#[path = "../../texts.rs"]
mod texts;

/// How long one text is scanned over and over; V8 compiles its best code while that goes on.
const TOGETHER: Duration = Duration::from_millis(150);
/// The same code has been compiled by then.
const ALONE: Duration = Duration::from_millis(5);

fn main() {
    let texts = texts::texts();
    let mut print = |detector: &str, kind: &str, speed: f64, found: usize| {
        println!("{detector}\t{kind}\t{speed:.1}\t{found}");
    };
    speed::together(&texts, TOGETHER, &mut print);
    if std::env::args().any(|argument| argument == "--each") {
        for detector in DETECTORS {
            speed::alone(detector.name, &texts, ALONE, &mut print);
        }
    }
}
