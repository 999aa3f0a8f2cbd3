//! One automaton over all literals of a policy: a text is read once, however many `contains` a policy has.
//!
//! Letters A–Z match without case; every other character matches as it is. Views of a text (see
//! [`normalise`](super::normalise)) are scanned like texts of their own.

use super::automaton::Automaton;
use super::sieve::Sieve;
use crate::wire::span::{Span, index, offset};
use crate::wire::{order, work};
use std::ops::Range;

/// Most bytes that all literals of one automaton may have together; 50,000 terms of 80 bytes fit.
pub const MAX_LITERAL_BYTES: usize = 4 << 20;

/// Steps of telling that a literal stands somewhere.
const HIT: usize = 8;

/// The literals have more than [`MAX_LITERAL_BYTES`] bytes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyLiterals {
    /// How many bytes they have.
    pub bytes: usize,
}

impl std::fmt::Display for TooManyLiterals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} bytes of literals, at most {MAX_LITERAL_BYTES} fit into one automaton",
            self.bytes
        )
    }
}

/// Finds every occurrence of every literal in one pass, overlapping ones included.
#[derive(Clone, Debug)]
pub struct Literals {
    /// Absent if there is nothing to look for: the text is not read.
    automaton: Option<Automaton>,
    /// Tells texts without any of them, which is most, faster than the automaton.
    sieve: Option<Sieve>,
    longest: usize,
    /// The literals by what they are in small letters.
    sorted: Vec<u32>,
    /// Where in `sorted` those of each word of the automaton begin: they differ in nothing but case.
    begins: Vec<u32>,
}

impl Literals {
    /// Compiles the literals; their place in the list is their index in [`find`](Self::find). An empty literal
    /// is never found: it would be everywhere.
    pub fn new(literals: &[String]) -> Result<Self, TooManyLiterals> {
        let bytes = literals
            .iter()
            .fold(0usize, |sum, l| sum.saturating_add(l.len()));
        if bytes > MAX_LITERAL_BYTES {
            return Err(TooManyLiterals { bytes });
        }
        let mut small = Vec::with_capacity(bytes);
        let mut sorted: Vec<(Span, u32)> = Vec::with_capacity(literals.len());
        let mut longest = 0;
        for (number, literal) in (0..).zip(literals).filter(|(_, l)| !l.is_empty()) {
            let start = small.len();
            small.extend_from_slice(literal.as_bytes());
            sorted.push((Span::new(start, small.len()), number));
            longest = longest.max(literal.chars().count());
        }
        small.make_ascii_lowercase();
        order::sort_by(&mut sorted, |(a, _), (b, _)| a.of(&small).cmp(b.of(&small)));
        let mut words: Vec<&[u8]> = Vec::with_capacity(sorted.len());
        let mut begins = Vec::with_capacity(sorted.len());
        for (at, (span, _)) in sorted.iter().enumerate() {
            let word = span.of(&small);
            if words.last() != Some(&word) {
                words.push(word);
                begins.push(offset(at));
            }
        }
        Ok(Self {
            automaton: (!words.is_empty()).then(|| Automaton::new(&words)),
            sieve: Sieve::new(&words),
            longest,
            begins,
            sorted: sorted.iter().map(|(_, number)| *number).collect(),
        })
    }

    fn literals_of(&self, word: u32) -> &[u32] {
        let begin = |word: u32| self.begins.get(index(word)).copied().map(index);
        let end = begin(word.saturating_add(1)).unwrap_or(self.sorted.len());
        let range = begin(word).unwrap_or(end)..end;
        self.sorted.get(range).unwrap_or_default()
    }

    /// Length of the longest literal in characters: what a stream holds back.
    pub fn reach(&self) -> usize {
        self.longest
    }

    /// The first place from which on the text is the beginning of a literal, and not all of it: more text could
    /// complete it. The text's length if there is none.
    pub fn begun(&self, text: &str) -> usize {
        let begun = |automaton: &Automaton| automaton.begun(text.as_bytes());
        text.len()
            .saturating_sub(self.automaton.as_ref().map_or(0, begun))
    }

    /// Calls `hit` with the index of a literal and its byte range, for each occurrence, by ascending end. A literal
    /// that stands twice in the list is reported under both indices. Linear in text and hits.
    pub fn find(&self, text: &str, hit: &mut dyn FnMut(u32, Range<usize>)) {
        let Some(automaton) = &self.automaton else {
            return;
        };
        work::spend(text.len());
        if work::is_exhausted() {
            return;
        }
        let sieve = self.sieve.as_ref();
        if sieve.is_some_and(|sieve| !sieve.may_hold(text.as_bytes())) {
            return;
        }
        automaton.find(text.as_bytes(), &mut |word, range| {
            let literals = self.literals_of(word);
            work::spend(literals.len().saturating_mul(HIT));
            if work::is_exhausted() {
                return;
            }
            for literal in literals {
                hit(*literal, range.clone());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(literals: &[&str], text: &str) -> Vec<(u32, Range<usize>)> {
        let literals: Vec<String> = literals.iter().map(|l| (*l).to_owned()).collect();
        let mut found = Vec::new();
        Literals::new(&literals)
            .unwrap()
            .find(text, &mut |index, range| found.push((index, range)));
        found
    }

    #[test]
    fn reports_every_overlapping_occurrence_without_case() {
        assert_eq!(
            hits(&["aba", "BA"], "xABAba"),
            [(0, 1..4), (1, 2..4), (0, 3..6), (1, 4..6)]
        );
    }

    #[test]
    fn a_literal_listed_twice_is_reported_under_both_indices() {
        assert_eq!(hits(&["a", "A"], "a"), [(0, 0..1), (1, 0..1)]);
    }

    #[test]
    fn without_literals_or_with_an_empty_one_nothing_is_found() {
        assert!(hits(&[], "anything").is_empty());
        assert!(hits(&[""], "anything").is_empty());
        assert_eq!(hits(&["", "y"], "any"), [(1, 2..3)]);
    }

    #[test]
    fn non_ascii_literals_match_as_they_are() {
        assert_eq!(hits(&["Straße"], "die STRAßE"), [(0, 4..11)]);
        assert!(hits(&["Ä"], "ä").is_empty());
    }

    #[test]
    fn fifty_thousand_terms_compile_and_are_found() {
        let terms: Vec<String> = (0..50_000).map(|n| format!("term-{n:05}-x")).collect();
        let literals = Literals::new(&terms).unwrap();
        let mut found = Vec::new();
        literals.find("… TERM-00017-X term-49999-x", &mut |index, _| {
            found.push(index)
        });
        assert_eq!(found, [17, 49_999]);
        assert_eq!(literals.reach(), 12);
    }

    #[test]
    fn finds_the_same_as_a_naive_search() {
        let literals = ["he", "she", "hers", "his", "sh", "e"];
        let text = "usHERSheishishershe";
        let folded = text.to_ascii_lowercase();
        let mut naive: Vec<(u32, Range<usize>)> = Vec::new();
        for (index, literal) in (0..).zip(literals) {
            for start in 0..text.len() {
                if folded
                    .get(start..)
                    .is_some_and(|rest| rest.starts_with(literal))
                {
                    naive.push((index, start..start + literal.len()));
                }
            }
        }
        let mut found = hits(&literals, text);
        found.sort_by_key(|(index, range)| (*index, range.start));
        assert_eq!(found, naive);
    }

    #[test]
    fn a_literal_has_begun_where_the_end_of_the_text_is_the_beginning_of_one() {
        let literals =
            Literals::new(&["abab".to_owned(), "Ähre".to_owned(), String::new()]).unwrap();
        for (text, begun) in [
            ("xab", 1),
            ("xabaB", 3),
            ("ABA", 0),
            ("xy", 2),
            ("", 0),
            ("xÄh", 1),
            ("Ähre", 5),
        ] {
            assert_eq!(literals.begun(text), begun, "{text}");
        }
        assert_eq!(Literals::new(&[]).unwrap().begun("abc"), 3);
    }

    #[test]
    fn more_bytes_than_the_bound_are_refused() {
        let literals = vec!["x".repeat(MAX_LITERAL_BYTES), "y".to_owned()];
        assert_eq!(
            Literals::new(&literals).unwrap_err().bytes,
            MAX_LITERAL_BYTES + 1
        );
    }
}
