//! Prints the speed of all detectors together on each kind of text, SHA-256 first: detector, text, MB/s, findings, and
//! counted steps for each byte, separated by tabs. `--each` adds each detector alone; `--only WORD` selects the texts
//! whose name contains the word.

use std::time::Duration;

use agentguard::detect::DETECTORS;

#[path = "../../speed.rs"]
mod speed;
#[path = "../../texts.rs"]
mod texts;

/// Warm-up time per text, in which V8 compiles its best code.
const WARMING: Duration = Duration::from_millis(100);
/// Measuring time per text.
const TOGETHER: Duration = Duration::from_millis(100);
/// Warm-up time of one detector, whose code is already compiled.
const ALONE: Duration = Duration::from_millis(5);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut only = None;
    let mut is_each = false;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--only" => only = arguments.next(),
            "--each" => is_each = true,
            _ => {}
        }
    }
    let mut texts = texts::texts();
    if let Some(only) = only {
        texts.retain(|(kind, _)| kind.contains(&only));
    }
    let mut print = |detector: &str, kind: &str, measured: speed::Measured| {
        let speed::Measured {
            speed,
            found,
            steps,
        } = measured;
        println!("{detector}\t{kind}\t{speed:.1}\t{found}\t{steps:.1}");
    };
    speed::yardstick(WARMING, &mut |_, _, _| {});
    speed::yardstick(TOGETHER, &mut print);
    speed::together(&texts, WARMING, &mut |_, _, _| {});
    speed::together(&texts, TOGETHER, &mut print);
    if is_each {
        for detector in DETECTORS {
            speed::alone(detector.name, &texts, ALONE, &mut print);
        }
    }
}
