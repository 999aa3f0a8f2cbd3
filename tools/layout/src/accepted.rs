//! File of accepted figures, and the report on figures that differ from it.
//!
//! Counts are exact, so each difference has a cause in the code or in the compiler. Figures of another compiler than the one that
//! wrote the file are shown and fail nothing, because a change to the code does not determine the compiler.

use crate::counts::Counts;
use crate::report::number;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Permitted deviation of a figure, in percent.
const PERCENT: u64 = 2;

/// Result of a check.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Lines of the report.
    pub text: String,
    /// Whether a figure is above the accepted one.
    pub failed: bool,
}

/// Returns the file's contents for these figures.
pub fn write(counts: &[Counts], compiler: &str) -> String {
    let exchanges: Map<String, Value> = counts
        .iter()
        .map(|counts| (counts.name.clone(), counts.to_json()))
        .collect();
    let file = json!({ "compiler": compiler, "exchanges": exchanges });
    format!("{file:#}\n")
}

/// Compares a compiler's figures with the file's.
pub fn check(counts: &[Counts], compiler: &str, file: &Value) -> Verdict {
    let exchanges = &file["exchanges"];
    let (mut above, mut below) = (String::new(), String::new());
    for counts in counts {
        let name = &counts.name;
        if !exchanges[name].is_object() {
            let _ = writeln!(above, "  {name}: none of its figures are accepted");
            continue;
        }
        for (what, accepted, counted) in pairs(&exchanges[name], &counts.to_json()) {
            let text = match percent(accepted, counted) {
                Some(percent) => {
                    format!("{percent} than the accepted {}", number(accepted))
                }
                None => "of which none are accepted".to_owned(),
            };
            let line = format!("  {name}: {} {what}, {text}\n", number(counted));
            if counted * 100 > accepted * (100 + PERCENT) {
                above += &line;
            } else if counted * 100 < accepted * (100 - PERCENT) {
                below += &line;
            }
        }
    }
    let by = file["compiler"].as_str().unwrap_or("no compiler");
    let other = by != compiler;
    let mut text = String::new();
    if other {
        let _ = writeln!(
            text,
            "The accepted figures are of {by}, these of {compiler}: no difference fails."
        );
    }
    if !below.is_empty() {
        let _ = write!(
            text,
            "More than {PERCENT} % below the accepted figures, which `make counts ACCEPT=1` lowers:\n{below}"
        );
    }
    if !above.is_empty() {
        let _ = write!(
            text,
            "More than {PERCENT} % above the accepted figures. Find what costs more (`make counts FUNCTIONS=25` shows where), \
             or accept it with `make counts ACCEPT=1` and say in the commit why:\n{above}"
        );
    }
    if text.is_empty() {
        let _ = writeln!(text, "All within {PERCENT} % of the accepted figures.");
    }
    Verdict {
        text,
        failed: !other && !above.is_empty(),
    }
}

/// Returns pairs of an accepted and a counted figure, by name. A figure that one side lacks is zero there.
fn pairs(accepted: &Value, counted: &Value) -> Vec<(String, u64, u64)> {
    let mut pairs = Vec::new();
    let (accepted, counted) = (flat(accepted), flat(counted));
    for (what, now) in &counted {
        let before = accepted.iter().find(|(name, _)| name == what);
        pairs.push((what.clone(), before.map_or(0, |(_, before)| *before), *now));
    }
    for (what, before) in accepted {
        if !counted.iter().any(|(name, _)| *name == what) {
            pairs.push((what, before, 0));
        }
    }
    pairs
}

fn flat(figures: &Value) -> Vec<(String, u64)> {
    let mut flat = Vec::new();
    for (name, figure) in figures.as_object().into_iter().flatten() {
        let name = name.replace('_', " ");
        match figure {
            Value::Object(calls) => {
                for (function, calls) in calls {
                    let what = format!("{name} of {function}");
                    flat.push((what, calls.as_u64().unwrap_or(0)));
                }
            }
            figure => flat.push((name, figure.as_u64().unwrap_or(0))),
        }
    }
    flat
}

/// Returns the difference of a figure, in tenths of a percent: "2.5 % more".
fn percent(accepted: u64, counted: u64) -> Option<String> {
    let tenths = (counted.abs_diff(accepted) * 1_000).checked_div(accepted)?;
    let word = if counted > accepted { "more" } else { "less" };
    Some(format!("{}.{} % {word}", tenths / 10, tenths % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPILER: &str = "rustc 1.95.0";

    fn counts(instructions: u64, logs: u64) -> Counts {
        Counts {
            name: "4 KB".to_owned(),
            instructions,
            code_lines: 1_000,
            data_lines: 500,
            allocations: 200,
            host_calls: vec![("proxy_log".to_owned(), logs)],
        }
    }

    /// Returns the verdict on figures if 100,000 instructions and 1 call are accepted.
    fn verdict(now: &Counts, compiler: &str) -> Verdict {
        let file = write(&[counts(100_000, 1)], COMPILER);
        check(
            std::slice::from_ref(now),
            compiler,
            &serde_json::from_str(&file).unwrap(),
        )
    }

    #[test]
    fn two_percent_more_or_less_is_accepted() {
        for instructions in [98_000, 100_000, 102_000] {
            let verdict = verdict(&counts(instructions, 1), COMPILER);
            assert_eq!(verdict.text, "All within 2 % of the accepted figures.\n");
            assert!(!verdict.failed);
        }
    }

    #[test]
    fn more_fails_and_says_what_where_and_by_how_much() {
        let verdict = verdict(&counts(102_001, 2), COMPILER);
        assert!(verdict.failed);
        assert_eq!(
            verdict.text,
            "More than 2 % above the accepted figures. Find what costs more (`make counts FUNCTIONS=25` shows where), or accept \
             it with `make counts ACCEPT=1` and say in the commit why:\n  \
             4 KB: 102,001 instructions, 2.0 % more than the accepted 100,000\n  \
             4 KB: 2 host calls of proxy_log, 100.0 % more than the accepted 1\n"
        );
    }

    #[test]
    fn less_is_told_and_does_not_fail() {
        let verdict = verdict(&counts(97_999, 0), COMPILER);
        assert!(!verdict.failed);
        assert_eq!(
            verdict.text,
            "More than 2 % below the accepted figures, which `make counts ACCEPT=1` lowers:\n  \
             4 KB: 97,999 instructions, 2.0 % less than the accepted 100,000\n  \
             4 KB: 0 host calls of proxy_log, 100.0 % less than the accepted 1\n"
        );
    }

    #[test]
    fn a_function_of_the_host_that_was_not_called_before_fails() {
        let mut now = counts(100_000, 1);
        now.host_calls.push(("proxy_get_property".to_owned(), 1));
        let verdict = verdict(&now, COMPILER);
        assert!(verdict.failed);
        let line = "  4 KB: 1 host calls of proxy_get_property, of which none are accepted\n";
        assert!(verdict.text.ends_with(line), "{}", verdict.text);
    }

    #[test]
    fn one_that_is_no_longer_called_is_told() {
        let mut now = counts(100_000, 1);
        now.host_calls.clear();
        let verdict = verdict(&now, COMPILER);
        assert!(!verdict.failed);
        let line = "  4 KB: 0 host calls of proxy_log, 100.0 % less than the accepted 1\n";
        assert!(verdict.text.ends_with(line), "{}", verdict.text);
    }

    #[test]
    fn figures_of_another_compiler_are_shown_and_fail_nothing() {
        let verdict = verdict(&counts(110_000, 1), "rustc 1.96.0");
        assert!(!verdict.failed);
        let (first, rest) = verdict.text.split_once('\n').unwrap();
        assert_eq!(
            first,
            "The accepted figures are of rustc 1.95.0, these of rustc 1.96.0: no difference fails."
        );
        assert!(rest.contains("10.0 % more than the accepted 100,000"));
    }

    #[test]
    fn an_exchange_without_accepted_figures_fails() {
        let mut now = counts(1, 1);
        now.name = "64 KB".to_owned();
        let verdict = verdict(&now, COMPILER);
        assert!(verdict.failed);
        let line = "  64 KB: none of its figures are accepted\n";
        assert!(verdict.text.ends_with(line), "{}", verdict.text);
    }
}
