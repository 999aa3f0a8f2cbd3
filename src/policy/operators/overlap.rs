//! Operator `overlaps`: tests whether a text shares a run of characters with another one.

use super::text::{each_seen, seen, seen_without_case};
use crate::wire::sort;

/// Default number of characters in a row that count as a shared text.
pub(crate) const USUAL_RUN: usize = 12;

/// Minimum characters of a text that is compared as a whole.
const MIN_RUN: usize = 4;

/// Permitted lengths of a shared text.
pub(crate) const RUNS: std::ops::RangeInclusive<usize> = MIN_RUN..=64;

/// Text that others are compared with.
pub(crate) struct Overlap {
    run: usize,
    exact: String,
    seen: RunNumbers,
    /// Text without case outside ASCII, if that differs.
    caseless: Option<RunNumbers>,
}

/// Numbers of all runs of a text, computed for each length when it is first needed.
struct RunNumbers {
    text: Vec<char>,
    /// Numbers by length, from [`MIN_RUN`], ascending.
    runs: Vec<Option<Vec<u64>>>,
}

impl Overlap {
    pub(crate) fn new(text: &str, run: usize) -> Overlap {
        Overlap {
            run,
            exact: text.to_owned(),
            seen: RunNumbers::of(&seen(text)),
            caseless: seen_without_case(text).map(|text| RunNumbers::of(&text)),
        }
    }

    /// Returns whether this text contains a run of characters of the other one, with both texts normalised. A shorter text
    /// counts as a whole.
    pub(crate) fn shares(&mut self, other: &str) -> bool {
        let run = self.run;
        let mut shares = false;
        each_seen(other, &mut |read| {
            let caseless = self.caseless.as_mut();
            shares = shares
                || self.seen.share(read, run)
                || caseless.is_some_and(|text| text.share(read, run));
        });
        shares
    }

    /// Returns whether the other text contains all of this text, as written.
    pub(crate) fn is_within(&self, other: &str) -> bool {
        !self.exact.is_empty() && other.contains(&self.exact)
    }
}

impl RunNumbers {
    fn of(text: &str) -> RunNumbers {
        RunNumbers {
            text: text.chars().collect(),
            runs: Vec::new(),
        }
    }

    fn share(&mut self, other: &str, run: usize) -> bool {
        let other: Vec<char> = other.trim().chars().collect();
        let length = other.len().min(run);
        if length < MIN_RUN || length > self.text.len() {
            return false;
        }
        let slot = length.saturating_sub(MIN_RUN);
        if self.runs.len() <= slot {
            self.runs.resize(slot.saturating_add(1), None);
        }
        let RunNumbers { text, runs } = self;
        let Some(runs) = runs.get_mut(slot) else {
            return false;
        };
        let runs = runs.get_or_insert_with(|| {
            let mut runs = Vec::new();
            each_run(text, length, &mut |run| {
                runs.push(run);
                true
            });
            sort::sort(&mut runs);
            runs
        });
        !each_run(&other, length, &mut |run| runs.binary_search(&run).is_err())
    }
}

/// Calls `visit` with the number of each run of this length until it returns `false`. Returns whether it never did. Two
/// different runs may have the same number, though that does not happen in practice. On the allow side the texts themselves
/// are compared.
fn each_run(text: &[char], length: usize, visit: &mut dyn FnMut(u64) -> bool) -> bool {
    const BASE: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut highest = 1u64;
    for _ in 1..length {
        highest = highest.wrapping_mul(BASE);
    }
    let number = |c: &char| u64::from(u32::from(*c)).wrapping_add(1);
    let mut run = 0u64;
    for (at, c) in text.iter().enumerate() {
        if let Some(gone) = at.checked_sub(length).and_then(|gone| text.get(gone)) {
            run = run.wrapping_sub(number(gone).wrapping_mul(highest));
        }
        run = run.wrapping_mul(BASE).wrapping_add(number(c));
        if at.saturating_add(1) >= length && !visit(run) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(text: &str, other: &str, run: usize) -> bool {
        Overlap::new(text, run).shares(other)
    }

    #[test]
    fn a_run_of_characters_is_found_wherever_it_stands() {
        let secret = "the key is 8f3a-99c1-77de-0b21, keep it";
        assert!(shares("send 8f3a-99c1-77de-0b21 to bob", secret, 12));
        assert!(shares("8F3A-99C1-77DE", secret, 12));
        assert!(shares("СЕКРЕТНЫЙ КЛЮЧ", "вот секретный ключ", 12));
        assert!(shares("вот секретный ключ", "СЕКРЕТНЫЙ КЛЮЧ", 12));
        assert!(!shares("8f3a-99c1-7", secret, 12));
        assert!(shares("8f3a-99c1-7", secret, 8));
        assert!(!shares("nothing of this stands there", secret, 12));
    }

    #[test]
    fn a_short_text_counts_as_a_whole() {
        assert!(shares("the pin is 4711.", "4711", 12));
        assert!(shares("the pin is 4711.", " 4711\n", 12));
        assert!(!shares("the pin is 4711.", "4712", 12));
        assert!(!shares("a b c", "b", 12), "too short to mean anything");
        assert!(!shares("471", "4711", 12));
    }

    #[test]
    fn every_run_of_every_place_has_the_number_of_its_characters() {
        let text: Vec<char> = "abcabcabxabc".chars().collect();
        let mut numbers = Vec::new();
        each_run(&text, 3, &mut |number| {
            numbers.push(number);
            true
        });
        for (a, first) in numbers.iter().enumerate() {
            for (b, second) in numbers.iter().enumerate() {
                let same = text[a..a + 3] == text[b..b + 3];
                assert_eq!(same, first == second, "{a} and {b}");
            }
        }
    }

    #[test]
    fn where_it_loosens_all_of_the_text_must_stand_there() {
        let found = "see https://docs.example.com/a and https://docs.example.com/b";
        assert!(Overlap::new("https://docs.example.com/a", 12).is_within(found));
        assert!(!Overlap::new("https://docs.example.com/a?x=1", 12).is_within(found));
        assert!(!Overlap::new("HTTPS://docs.example.com/a", 12).is_within(found));
        assert!(!Overlap::new("", 12).is_within(found));
    }
}
