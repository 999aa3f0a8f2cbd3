//! Literals of a policy in one automaton: a text is read once, however many `contains` conditions a policy has.
//!
//! Letters A–Z match case-insensitively, and any run of ASCII white space matches any other, so that `drop  table` is
//! found in `DROP\r\n\tTABLE`. Every other character matches itself. A literal of only white space matches exactly,
//! too. Views of a text (see [`normalise`](super::normalise)) are scanned like separate texts: there the white space
//! beyond ASCII is spaces.

use super::automaton::Automaton;
pub(super) use super::automaton::is_white;
use super::prefilter::Sieve;
use crate::wire::span::{Span, index, offset};
use crate::wire::{sort, work};
use std::borrow::Cow;
use std::ops::Range;

/// Maximum bytes of all literals of one automaton; 50,000 terms of 80 bytes fit.
pub const MAX_LITERAL_BYTES: usize = 4 << 20;

/// Work steps for reporting an occurrence of a literal.
const HIT: usize = 8;

/// Error: the literals have more than [`MAX_LITERAL_BYTES`] bytes in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyLiterals {
    /// Bytes of the literals.
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

/// Finder of every occurrence of every literal in one pass, including overlapping ones.
#[derive(Clone, Debug)]
pub struct Literals {
    /// `None` if there are no literals: the text is not read.
    automaton: Option<Automaton>,
    /// Pre-filter that rules out texts without any of them, which are most, faster than the automaton.
    sieve: Option<Sieve>,
    longest: usize,
    /// Literals, sorted by their form in lower case.
    sorted: Vec<u32>,
    /// For each word of the automaton, the start of its literals in `sorted`: they differ only in case and white
    /// space.
    begins: Vec<u32>,
    /// Whether one of them has a character outside ASCII.
    are_wide: bool,
    /// Literals of only white space: their indices, and their text as written.
    white: Vec<(u32, String)>,
}

impl Literals {
    /// Compiles the literals; their position in the list is their index in [`find`](Self::find). An empty literal is
    /// never found, because it would be everywhere.
    pub fn new(literals: &[String]) -> Result<Self, TooManyLiterals> {
        let bytes = literals
            .iter()
            .fold(0usize, |sum, l| sum.saturating_add(l.len()));
        if bytes > MAX_LITERAL_BYTES {
            return Err(TooManyLiterals { bytes });
        }
        let mut small = Vec::with_capacity(bytes);
        let mut sorted: Vec<(Span, u32)> = Vec::with_capacity(literals.len());
        let mut white = Vec::new();
        let mut longest = 0;
        for (number, literal) in (0..).zip(literals).filter(|(_, l)| !l.is_empty()) {
            let start = small.len();
            squeeze(literal.as_bytes(), &mut small);
            if small.get(start..) == Some(b" ") {
                white.push((number, literal.clone()));
            }
            sorted.push((Span::new(start, small.len()), number));
            longest = longest.max(literal.chars().count());
        }
        small.make_ascii_lowercase();
        sort::sort_by(&mut sorted, |(a, _), (b, _)| a.of(&small).cmp(b.of(&small)));
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
            are_wide: literals.iter().any(|literal| !literal.is_ascii()),
            white,
            sorted: sorted.iter().map(|(_, number)| *number).collect(),
        })
    }

    fn literals_of(&self, word: u32) -> &[u32] {
        let begin = |word: u32| self.begins.get(index(word)).copied().map(index);
        let end = begin(word.saturating_add(1)).unwrap_or(self.sorted.len());
        let range = begin(word).unwrap_or(end)..end;
        self.sorted.get(range).unwrap_or_default()
    }

    /// Returns whether one of them has a character outside ASCII, where it is found in its own case only.
    pub fn are_wide(&self) -> bool {
        self.are_wide
    }

    /// Returns the length of the longest literal in characters, which a stream holds back.
    pub fn reach(&self) -> usize {
        self.longest
    }

    /// Returns the first position from which the text is an unfinished literal, which more text could complete; the
    /// length of the text if there is none.
    pub fn begun(&self, text: &str) -> usize {
        let begun = |automaton: &Automaton| automaton.begun(text.as_bytes());
        text.len()
            .saturating_sub(self.automaton.as_ref().map_or(0, begun))
    }

    /// Calls `hit` with the index of a literal and its byte range, for each occurrence, by ascending end. Runs of
    /// white space at its ends are in the range as a whole. A literal that is twice in the list is reported under
    /// both indices. The time is linear in text and hits.
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
                match self
                    .white
                    .binary_search_by_key(literal, |(white, _)| *white)
                {
                    Ok(white) => self.find_white(white, text, &range, hit),
                    Err(_) => hit(*literal, range.clone()),
                }
            }
        });
    }
}

impl Literals {
    /// Finds literals of only white space in a run of white space.
    #[inline(never)]
    fn find_white(
        &self,
        white: usize,
        text: &str,
        run: &Range<usize>,
        hit: &mut dyn FnMut(u32, Range<usize>),
    ) {
        let run_text = text.get(run.clone()).unwrap_or_default();
        if let Some((literal, written)) = self.white.get(white) {
            for (at, _) in run_text.match_indices(written.as_str()) {
                let start = run.start.saturating_add(at);
                hit(*literal, start..start.saturating_add(written.len()));
            }
        }
    }
}

/// Appends a literal with each run of ASCII white space as one space.
fn squeeze(literal: &[u8], to: &mut Vec<u8>) {
    let start = to.len();
    for byte in literal {
        if !is_white(*byte) {
            to.push(*byte);
        } else if to.get(start..).and_then(<[u8]>::last) != Some(&b' ') {
            to.push(b' ');
        }
    }
}

/// Returns a text with each run of white space as one space.
pub fn squeezed(text: &str) -> Cow<'_, str> {
    let white = |c: char| c.is_whitespace();
    let is_single = |run: &str| matches!(run, "" | " ");
    if text.split(|c| !white(c)).all(is_single) {
        return Cow::Borrowed(text);
    }
    let mut squeezed = String::with_capacity(text.len());
    for c in text.chars() {
        if !white(c) {
            squeezed.push(c);
        } else if !squeezed.ends_with(' ') {
            squeezed.push(' ');
        }
    }
    Cow::Owned(squeezed)
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
    fn any_white_space_between_words_matches_any_other() {
        let literals = ["drop table", "drop\n\n table", "table "];
        assert_eq!(hits(&literals, "DROP\r\n\tTABLE"), [(0, 0..12), (1, 0..12)]);
        assert_eq!(
            hits(&literals, " drop  table\x0B\n;"),
            [(0, 1..12), (1, 1..12), (2, 7..14)]
        );
        assert!(hits(&literals, "droptable, drop\u{A0}table").is_empty());
    }

    #[test]
    fn nothing_but_white_space_matches_as_it_is() {
        assert_eq!(
            hits(&["\n\n", "\n", " "], "a b\n\n\nc"),
            [(2, 1..2), (0, 3..5), (1, 3..4), (1, 4..5), (1, 5..6)]
        );
        assert!(hits(&["\t"], "a b\nc").is_empty());
    }

    #[test]
    fn a_text_is_squeezed_if_it_has_to_be() {
        assert!(matches!(squeezed("a b c "), Cow::Borrowed(_)));
        for (text, expected) in [("a\tb", "a b"), ("  a \u{2003}\n b", " a b"), ("", "")] {
            assert_eq!(squeezed(text), expected);
        }
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
