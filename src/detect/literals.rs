//! One automaton over all literals of a policy: a text is read once, however many `contains` a policy has.
//!
//! Letters A–Z match without case; every other character matches as it is. Views of a text (see
//! [`normalise`](super::normalise)) are scanned like texts of their own.

use std::ops::Range;

use super::sieve::Sieve;
use crate::wire::order;

use aho_corasick::automaton::{Automaton, OverlappingState};
use aho_corasick::{Anchored, Input, StartKind, dfa, nfa};

/// Most bytes that all literals of one automaton may have together; 50,000 terms of 80 bytes fit.
pub const MAX_LITERAL_BYTES: usize = 4 << 20;

/// Up to this many bytes of literals the table has a row for each state: 3 × faster, 60 × larger.
const DFA_BYTES: usize = 1_024;

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
    table: Table,
    /// Tells texts without any of them, which is most, faster than the table.
    sieve: Option<Sieve>,
    longest: usize,
    /// In small letters A–Z, sorted: to find those that the end of a text is the beginning of.
    sorted: Vec<Box<str>>,
}

#[derive(Clone, Debug)]
enum Table {
    /// Nothing to look for: the text is not read.
    Empty,
    Small(Box<dfa::DFA>),
    Large(Box<nfa::contiguous::NFA>),
}

impl Literals {
    /// Compiles the literals; their place in the list is their index in [`find`](Self::find). An empty literal
    /// is never found: it would be everywhere.
    pub fn new(literals: &[String]) -> Result<Self, TooManyLiterals> {
        let bytes = literals
            .iter()
            .fold(0usize, |sum, l| sum.saturating_add(l.len()));
        if bytes == 0 {
            return Ok(Self {
                table: Table::Empty,
                sieve: None,
                longest: 0,
                sorted: Vec::new(),
            });
        }
        if bytes > MAX_LITERAL_BYTES {
            return Err(TooManyLiterals { bytes });
        }
        // The builder's own bound is 2³¹ states, which `MAX_LITERAL_BYTES` keeps out of reach.
        let too_many = |_| TooManyLiterals { bytes };
        let table = if bytes <= DFA_BYTES {
            let dfa = dfa::Builder::new()
                .ascii_case_insensitive(true)
                .prefilter(false)
                .start_kind(StartKind::Unanchored)
                .build(literals)
                .map_err(too_many)?;
            Table::Small(Box::new(dfa))
        } else {
            let nfa = nfa::contiguous::Builder::new()
                .ascii_case_insensitive(true)
                .prefilter(false)
                .build(literals)
                .map_err(too_many)?;
            Table::Large(Box::new(nfa))
        };
        let longest = literals
            .iter()
            .map(|l| l.chars().count())
            .max()
            .unwrap_or(0);
        let mut sorted: Vec<Box<str>> = literals
            .iter()
            .filter(|literal| !literal.is_empty())
            .map(|literal| literal.to_ascii_lowercase().into_boxed_str())
            .collect();
        order::sort(&mut sorted);
        sorted.dedup();
        let words: Vec<&[u8]> = sorted.iter().map(|literal| literal.as_bytes()).collect();
        let sieve = Sieve::new(&words);
        Ok(Self {
            table,
            sieve,
            longest,
            sorted,
        })
    }

    /// Length of the longest literal in characters: what a stream holds back.
    pub fn reach(&self) -> usize {
        self.longest
    }

    /// The first place from which on the text is the beginning of a literal, and not all of it: more text could
    /// complete it. The text's length if there is none.
    pub fn begun(&self, text: &str) -> usize {
        let back = self.longest.saturating_sub(1);
        let begins = |(_, byte): &(usize, u8)| byte & 0xC0 != 0x80;
        let characters = text.bytes().enumerate().rev().filter(begins);
        let Some((from, _)) = characters.take(back).last() else {
            return text.len();
        };
        let tail = text.get(from..).unwrap_or_default().to_ascii_lowercase();
        let mut characters = tail.bytes().enumerate().filter(begins);
        let first = characters.find(|(at, _)| {
            let end = tail.get(*at..).unwrap_or_default();
            let next = self.sorted.partition_point(|literal| &**literal <= end);
            self.sorted
                .get(next)
                .is_some_and(|literal| literal.starts_with(end))
        });
        first.map_or(text.len(), |(at, _)| from.saturating_add(at))
    }

    /// Calls `hit` with the index of a literal and its byte range, for each occurrence, by ascending end. A literal
    /// that stands twice in the list is reported under both indices. Linear in text and hits.
    pub fn find(&self, text: &str, hit: &mut dyn FnMut(u32, Range<usize>)) {
        if self
            .sieve
            .as_ref()
            .is_some_and(|sieve| !sieve.may_hold(text.as_bytes()))
        {
            return;
        }
        match &self.table {
            Table::Empty => {}
            Table::Small(dfa) => walk(dfa.as_ref(), text, hit),
            Table::Large(nfa) => walk(nfa.as_ref(), text, hit),
        }
    }
}

fn walk(table: &impl Automaton, text: &str, hit: &mut dyn FnMut(u32, Range<usize>)) {
    let input = Input::new(text).anchored(Anchored::No);
    let mut state = OverlappingState::start();
    // An error would mean a table without unanchored starts; both builders above make them.
    while table.try_find_overlapping(&input, &mut state).is_ok() {
        let Some(found) = state.get_match() else {
            return;
        };
        if !found.is_empty() {
            hit(found.pattern().as_u32(), found.range());
        }
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
