//! Benchmark of the detectors: findings on labelled texts, and throughput.
//!
//! `cargo bench --bench detect [-- --only TEXT] [DETECTOR …]`: all detectors together and each alone, or the named
//! ones; on all texts, or on texts with this word in the name. `--texts` prints the texts instead; `--v8 FILE` and
//! `--others FILE` add the results of `benches/v8` and `benches/others.py`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    reason = "a tool for measurements"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use agentguard::detect::{Confidence, DETECTORS, Selection};
use serde::Deserialize;

#[path = "../tests/detect/judge.rs"]
mod judge;
#[path = "../tests/detect/score.rs"]
mod score;
mod speed;
mod texts;

use judge::{Counts, Labelled, Verdict, cases};
use speed::Measured;

/// Measuring time per text.
const BUDGET: Duration = Duration::from_millis(10);

/// Texts that resemble most traffic.
const USUAL: [&str; 4] = ["English", "code", "JSON", "digits"];

/// MB/s by detector (empty for all together) and text.
type Speeds = BTreeMap<(String, String), f64>;

/// Results of another program.
#[derive(Deserialize)]
struct Other {
    tool: String,
    /// MB/s by text; if negative, the program is slower than the absolute value.
    speeds: BTreeMap<String, f64>,
    /// Findings for each labelled text.
    found: Vec<Vec<Labelled>>,
}

impl Other {
    /// Scores the program's findings like ours. A finding of type `secret` counts as the labelled type.
    fn verdict(&self) -> Verdict {
        let cases = cases();
        let mut place = 0;
        Verdict::new(&cases, |_| {
            let about = &cases[place].about;
            let found = self.found[place].iter().filter_map(|(start, end, name)| {
                let secret = name == "secret" && score::is_secret(about);
                let name = if secret { about } else { name };
                // Types without a detector of ours, such as UUIDs, are not counted against it.
                let known = name == "secret" || DETECTORS.iter().any(|ours| ours.name == name);
                known.then(|| (*start, *end, name.clone()))
            });
            place += 1;
            found.collect()
        })
    }
}

/// Formats thousandths as percent.
fn percent(thousandths: usize) -> String {
    format!("{}.{}", thousandths / 10, thousandths % 10)
}

/// Prints the scores on labelled texts: all detectors at medium confidence, and the F1 of others.
fn print_scores(others: &[Other]) {
    let ours = score::verdict(&Selection::all(Confidence::Medium));
    let theirs: Vec<Verdict> = others.iter().map(Other::verdict).collect();
    print!(
        "{:<22} {:>8} {:>6} {:>6} {:>6} {:>6}",
        "type", "labelled", "P", "R", "F1", "masked"
    );
    for other in others {
        print!("  {:>22}", format!("F1 {}", other.tool));
    }
    println!();
    let line = |name: &str, of: &dyn Fn(&Verdict) -> Counts| {
        let counts = of(&ours);
        print!(
            "{name:<22} {:>8} {:>6} {:>6} {:>6} {:>6}",
            counts.labelled,
            percent(counts.precision()),
            percent(counts.recall()),
            percent(counts.f1()),
            percent(counts.masked())
        );
        for verdict in &theirs {
            print!("  {:>22}", percent(of(verdict).f1()));
        }
        println!();
    };
    for (name, _) in ours.types.iter().filter(|(_, counts)| counts.labelled > 0) {
        line(name, &|verdict| verdict.types[name]);
    }
    line("personal data", &|verdict| {
        verdict.together(|name| !score::is_secret(name))
    });
    line("secrets", &|verdict| verdict.together(score::is_secret));
    let noise = |verdict: &Verdict| {
        let noise = verdict.noise();
        format!("{}.{:02}", noise / 100, noise % 100)
    };
    print!(
        "false findings in 100 kB of text without any{:>14}",
        noise(&ours)
    );
    for verdict in &theirs {
        print!("  {:>22}", noise(verdict));
    }
    println!("\n");
}

/// Prints the speed of all detectors together on each text, natively and in V8, with the counted steps and
/// findings.
fn print_together(
    native: &Speeds,
    v8: Option<&Speeds>,
    counted: &BTreeMap<String, Measured>,
    others: &[Other],
    kinds: &[&str],
) {
    print!(
        "MB/s, all detectors   steps/B   found  native{}",
        v8.map_or("", |_| "      V8")
    );
    for other in others {
        print!("  {:>22}", other.tool);
    }
    println!();
    for kind in [speed::YARDSTICK].iter().chain(kinds) {
        let key = (String::new(), (*kind).to_owned());
        let Measured { steps, found, .. } = counted[*kind];
        print!("{kind:<22}{steps:>7.1}{found:>8}{:>8.0}", native[&key]);
        if let Some(speed) = v8.and_then(|v8| v8.get(&key)) {
            print!("{speed:>8.0}");
        }
        for speed in others.iter().filter_map(|other| other.speeds.get(*kind)) {
            let slower = if *speed < 0.0 { "<" } else { "" };
            print!("  {:>22}", format!("{slower}{:.3}", speed.abs()));
        }
        println!();
    }
}

/// Prints the throughput of one detector: on usual texts, and on its slowest one.
fn print_alone(name: &str, speeds: &Speeds) {
    let of = |kind: &str| speeds.get(&(name.to_owned(), kind.to_owned()));
    for kind in USUAL {
        if let Some(speed) = of(kind) {
            print!("{speed:>7.0}");
        }
    }
    let mine = speeds.iter().filter(|((detector, _), _)| detector == name);
    if let Some(((_, kind), slowest)) = mine.min_by(|a, b| a.1.total_cmp(b.1)) {
        print!("{slowest:>7.0}  {kind:<12}");
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn main() {
    let mut only = None;
    let mut v8 = None;
    let mut others: Vec<Other> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--texts" => {
                for (kind, text) in texts::texts() {
                    println!("{}", serde_json::json!({ "kind": kind, "text": text }));
                }
                return;
            }
            "--only" => only = arguments.next(),
            "--v8" => v8 = arguments.next().map(|path| speeds(&read(&path))),
            "--others" => {
                others = read(&arguments.next().unwrap())
                    .lines()
                    .map(|line| serde_json::from_str(line).unwrap())
                    .collect();
            }
            // `cargo bench` passes this to every benchmark.
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
    let kinds: Vec<&str> = texts.iter().map(|(kind, _)| *kind).collect();
    if names.is_empty() && only.is_none() {
        print_scores(&others);
    }
    let mut native = Speeds::new();
    let mut counted: BTreeMap<String, Measured> = BTreeMap::new();
    let mut keep = |detector: &str, kind: &str, measured: Measured| {
        if detector.is_empty() {
            counted.insert(kind.to_owned(), measured);
        }
        native.insert((detector.to_owned(), kind.to_owned()), measured.speed);
    };
    let all = names.is_empty();
    if all {
        let start = Instant::now();
        speed::yardstick(BUDGET, &mut keep);
        speed::together(&texts, BUDGET, &mut keep);
        println!(
            "measured on {} kB in {:.1} s\n",
            texts.iter().map(|(_, text)| text.len()).sum::<usize>() / 1000,
            start.elapsed().as_secs_f64()
        );
        names.extend(DETECTORS.iter().map(|detector| detector.name.to_owned()));
    }
    for name in &names {
        speed::alone(name, &texts, BUDGET, &mut keep);
    }
    if all {
        print_together(&native, v8.as_ref(), &counted, &others, &kinds);
    }
    println!(
        "\nMB/s of each alone: {}, and the slowest of all texts{}",
        USUAL.join(", "),
        v8.as_ref().map_or("", |_| "; the same in V8")
    );
    for name in &names {
        print!("{name:<22}");
        print_alone(name, &native);
        if let Some(v8) = &v8 {
            print_alone(name, v8);
        }
        println!();
    }
}

/// Parses the lines of `benches/v8`: detector, text, MB/s, findings, steps.
fn speeds(lines: &str) -> Speeds {
    lines
        .lines()
        .map(|line| {
            let parts: Vec<&str> = line.split('\t').collect();
            let key = (parts[0].to_owned(), parts[1].to_owned());
            (key, parts[2].parse().unwrap())
        })
        .collect()
}
