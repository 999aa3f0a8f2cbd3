//! Spaced-out values, written one character at a time: `4 1 1 1 …`, `1 2 3 - 4 5 - 6 7 8 9`, `s-k---a-n-t-…`.
//!
//! A run is single letters and digits with one to three separators between them. It is read without the most frequent
//! separator, in two ways: with its groups, and without groups.

use std::ops::Range;

use super::text::Text;
use crate::detect::checksum::luhn;

/// Minimum letters and digits of a run.
const FEWEST: usize = 8;

/// Maximum bytes of a run. A longer one is a table or a vector.
pub(super) const MAX_SPELLED_BYTES: usize = 240;

/// Maximum runs of one text that are scanned. Each costs as much as some hundred bytes of text.
pub(super) const MAX_SPELLED_RUNS: usize = 2_000;

/// Maximum separators between two characters.
const BETWEEN: usize = 3;

/// Bytes of context words before a run that are scanned with it.
const BEFORE: usize = 96;

/// Returns the positions in 64 bytes directly after single letters or digits that may belong to a run: after the
/// third in a row with one byte between them, or the fourth with two. `here` and `before` are the letters and digits
/// of these 64 bytes and of the 64 before them; `singles_before` is the second result for the latter.
#[inline]
pub(super) fn candidates(here: u64, before: u64, singles_before: u64) -> (u64, u64) {
    let shifted = |mask: u64, before: u64, n: u32| mask << n | before >> 64u32.wrapping_sub(n);
    let singles = shifted(here, before, 1) & !here & !shifted(here, before, 2);
    if singles == 0 {
        return (0, 0);
    }
    let back = |n: u32| shifted(singles, singles_before, n);
    let close = singles & back(2) & back(4);
    let wide = singles & back(3) & back(6) & back(9);
    (close | wide, singles)
}

/// Returns the run around one of its characters, whatever its length.
pub(super) fn around(text: &Text<'_>, at: usize) -> Range<usize> {
    let mut end = at;
    loop {
        // Usually one separator is between two characters.
        let mut close = text.bytes().get(end..).unwrap_or_default();
        while let [_, separator, next, behind, ..] = close
            && is_separator(*separator)
            && next.is_ascii_alphanumeric()
            && !behind.is_ascii_alphanumeric()
        {
            close = close.get(2..).unwrap_or_default();
            end = end.wrapping_add(2);
        }
        let Some(next) = after(text, end) else { break };
        end = next;
    }
    first(text, at)..end.wrapping_add(1)
}

/// Returns whether a range is a run, by its number of letters and digits.
pub(super) fn is_run(text: &[u8], range: &Range<usize>) -> bool {
    let written = text.get(range.clone()).unwrap_or_default();
    let count = || {
        let letters = written.iter();
        letters.filter(|byte| byte.is_ascii_alphanumeric()).count()
    };
    written.len() <= MAX_SPELLED_BYTES && count() >= FEWEST
}

/// Returns whether a run is significant without a context word: by its letters, its groups, or a check digit. Most
/// rows of tables are not.
pub(super) fn tells(text: &[u8], range: &Range<usize>) -> bool {
    let run = text.get(range.clone()).unwrap_or_default();
    let letters = run.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let mut digits = [0u8; 20];
    let mut count = 0usize;
    for digit in run.iter().filter(|byte| byte.is_ascii_digit()) {
        if let Some(to) = digits.get_mut(count) {
            *to = *digit;
        }
        count = count.saturating_add(1);
    }
    let number = digits.get(..count).unwrap_or_default();
    let first = number.first().copied().unwrap_or(0);
    let before = range.start.checked_sub(1).and_then(|at| text.get(at));
    let grouped = || {
        let usual = usual(run);
        parts(run).skip(1).any(|(gap, _)| gap != usual)
    };
    letters > 1
        || first == b'0'
        || before == Some(&b'+')
        || (13..20).contains(&count) && matches!(first, b'2'..=b'6') && luhn(number)
        || count < 13 && grouped()
}

/// Returns the start of the run that ends the text, if the run may continue.
pub(super) fn begun(text: &Text<'_>) -> Option<usize> {
    let last = text
        .run_back(text.len(), BETWEEN, is_separator)
        .checked_sub(1)?;
    let single = text.before(last.wrapping_add(1)).is_ascii_alphanumeric()
        && !text.before(last).is_ascii_alphanumeric();
    let start = first(text, last);
    (single && text.len().wrapping_sub(start) <= MAX_SPELLED_BYTES).then_some(start)
}

fn is_separator(byte: u8) -> bool {
    matches!(
        byte,
        b'-' | b'.' | b'_' | b'/' | b',' | b':' | b';' | b'*' | b'|' | b'+' | b'@' | b'~'
    ) || byte.is_ascii_whitespace()
}

/// Returns the next character of a run.
fn after(text: &Text<'_>, at: usize) -> Option<usize> {
    let next = text.run(at.wrapping_add(1), BETWEEN, is_separator);
    let single = next > at.wrapping_add(1)
        && text.at(next).is_ascii_alphanumeric()
        && !text.at(next.wrapping_add(1)).is_ascii_alphanumeric();
    single.then_some(next)
}

/// Returns the first character of the run around a position.
fn first(text: &Text<'_>, at: usize) -> usize {
    let mut first = at;
    loop {
        let gap = text.run_back(first, BETWEEN, is_separator);
        let Some(before) = gap.checked_sub(1) else {
            return first;
        };
        let single = gap < first
            && text.before(gap).is_ascii_alphanumeric()
            && !text.before(before).is_ascii_alphanumeric();
        // No run that long is scanned.
        if !single || at.wrapping_sub(before) > MAX_SPELLED_BYTES {
            return first;
        }
        first = before;
    }
}

/// Joined run, after the text before it.
#[derive(Debug, Default)]
pub(super) struct JoinedRun {
    pub(super) text: String,
    /// Start of the run in `text`.
    pub(super) from: usize,
    /// Position of each byte of the run in the original.
    places: Vec<usize>,
}

impl JoinedRun {
    /// Returns the bytes of the original that a range of `text` came from.
    pub(super) fn original(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let place = |at: usize| self.places.get(at.checked_sub(self.from)?).copied();
        let last = place(range.end.checked_sub(1)?)?;
        Some(place(range.start)?..last.saturating_add(1))
    }

    fn begin(&mut self, before: &str) {
        self.text.clear();
        self.text.push_str(before);
        self.from = before.len();
        self.places.clear();
    }

    fn add(&mut self, byte: u8, place: usize) {
        let shown = if byte.is_ascii_whitespace() {
            b' '
        } else {
            byte
        };
        self.text.push(char::from(shown));
        self.places.push(place);
    }

    /// Makes this a copy of another reading with only the matching bytes of the run.
    fn only(&mut self, other: &JoinedRun, fits: impl Fn(u8) -> bool) {
        let (before, run) = other.text.split_at_checked(other.from).unwrap_or_default();
        self.begin(before);
        for (byte, place) in run.bytes().zip(&other.places) {
            if fits(byte) {
                self.add(byte, *place);
            }
        }
    }
}

/// Readings of a run, in reused buffers.
#[derive(Debug, Default)]
pub(super) struct RunReadings {
    /// The run with its groups, without groups, and only its digits.
    all: [JoinedRun; 3],
    is_wanted: [bool; 3],
}

impl RunReadings {
    /// Reads a run of a text.
    pub(super) fn read(&mut self, text: &str, range: &Range<usize>) {
        let bytes = text.as_bytes().get(range.clone()).unwrap_or_default();
        let usual = usual(bytes);
        let start = text.floor_char_boundary(range.start.saturating_sub(BEFORE));
        let before = text.get(start..range.start).unwrap_or_default();
        let [grouped, whole, digits] = &mut self.all;
        grouped.begin(before);
        let mut place = range.start;
        let (mut numbers, mut letters) = (0usize, 0usize);
        for (gap, character) in parts(bytes) {
            let character_at = place.wrapping_add(gap.len());
            let mark = |byte: &&u8| !usual.contains(byte) && !byte.is_ascii_whitespace();
            if let [one] = usual
                && gap.len() == BETWEEN
                && gap.iter().all(|byte| byte == one)
            {
                grouped.add(*one, place);
            } else if gap != usual && gap.iter().any(|byte| mark(&byte)) {
                for (at, byte) in (place..).zip(gap).filter(|(_, byte)| mark(byte)) {
                    grouped.add(*byte, at);
                }
            } else if gap != usual && !gap.is_empty() {
                grouped.add(b' ', place);
            }
            grouped.add(character, character_at);
            if character.is_ascii_digit() {
                numbers = numbers.wrapping_add(1);
            } else {
                letters = letters.wrapping_add(1);
            }
            place = character_at.wrapping_add(1);
        }
        whole.only(grouped, |byte| {
            byte.is_ascii_alphanumeric() || letters > 2 && !byte.is_ascii_whitespace()
        });
        // `I`, `a` and the like may be words.
        let edges = letters <= 2 && numbers > letters;
        let mixed = edges && letters > 0;
        if mixed {
            digits.only(grouped, |byte| byte.is_ascii_digit());
        }
        self.is_wanted = [true, whole.text.len() < grouped.text.len(), mixed];
    }

    /// Returns the text before the run that is scanned with it.
    pub(super) fn before(&self) -> &str {
        let [grouped, ..] = &self.all;
        grouped.text.get(..grouped.from).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &JoinedRun> {
        let all = self.all.iter().zip(self.is_wanted);
        all.filter_map(|(joined, is_wanted)| is_wanted.then_some(joined))
    }
}

/// Returns the characters of a run, each with the separators before it.
fn parts(run: &[u8]) -> impl Iterator<Item = (&[u8], u8)> {
    run.split_inclusive(u8::is_ascii_alphanumeric)
        .filter_map(|part| part.split_last().map(|(last, gap)| (gap, *last)))
}

/// Returns the most frequent separator of a run.
fn usual(run: &[u8]) -> &[u8] {
    let gaps = || parts(run).skip(1).map(|(gap, _)| gap);
    // Usually the separator between the first two characters.
    let Some(first) = gaps().next() else {
        return b" ";
    };
    let (same, all) = gaps().fold((0usize, 0usize), |(same, all), gap| {
        let is_same = usize::from(gap == first);
        (same.wrapping_add(is_same), all.wrapping_add(1))
    });
    if same >= all.wrapping_sub(same) {
        return first;
    }
    let mut known: Vec<(&[u8], usize)> = Vec::new();
    for gap in gaps() {
        match known.iter_mut().find(|(written, _)| *written == gap) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => known.push((gap, 1)),
        }
    }
    let most = known.iter().rev().max_by_key(|(_, count)| *count);
    most.map_or(b" ", |(gap, _)| gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let bytes = Text::new(text.as_bytes());
        let at = text.find('1').unwrap();
        let range = around(&bytes, at);
        if !is_run(text.as_bytes(), &range) {
            return Vec::new();
        }
        let mut readings = RunReadings::default();
        readings.read(text, &range);
        readings
            .iter()
            .map(|joined| joined.text.get(joined.from..).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_run_is_read_as_it_is_grouped_and_as_one() {
        assert_eq!(read("no 4 1 1 1 1 1 1 1."), ["41111111"]);
        assert_eq!(read("1 2 3 - 4 5 - 6 7 8 9"), ["123-45-6789", "123456789"]);
        assert_eq!(read("4 1 1 1  1 1 1 1"), ["4111 1111", "41111111"]);
        assert_eq!(read("4-1-1-1 1-1-1-1"), ["4111 1111", "41111111"]);
        assert_eq!(read("4.1.1.1\n1.1.1.1"), ["4111 1111", "41111111"]);
        assert_eq!(read("a 1 2 3 4 5 6 7 8 I say"), ["a12345678I", "12345678"]);
        assert_eq!(read("s k - 1 2 3 _ 4 x y z"), ["sk-123_4xyz"]);
        assert_eq!(read("4, 1, 1, 1, 1, 1, 1, 1"), ["41111111"]);
        assert_eq!(read("s-k---a-n-t---1-2-3"), ["sk-ant-123"]);
    }

    #[test]
    fn words_few_characters_and_long_lists_are_no_runs() {
        for text in ["4 1 1 1", "11 12 13 14 15 16 17 18", "1, 2 and 3, 4"] {
            assert!(read(text).is_empty(), "{text}");
        }
        assert!(read(&"1 ".repeat(MAX_SPELLED_BYTES)).is_empty());
    }

    #[test]
    fn rows_of_digits_say_nothing() {
        let says = |text: &str| tells(text.as_bytes(), &(0..text.len()));
        assert!(says("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1") && says("1 2 3 - 4 5 - 6 7 8 9"));
        assert!(says("D E 8 9 3 7 0 4 0 0") && says("0 1 7 0 1 2 3 4 5 6"));
        assert!(!says("1 0 0 1 0 1 1 0 1") && !says("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 2"));
    }

    #[test]
    fn characters_in_a_row_are_seen_across_blocks() {
        assert_eq!(candidates(0b1_0101, 0, 0).0, 0b10_0000);
        assert_eq!(candidates(0b10_0100_1001, 0, 0).0, 1 << 10);
        assert_eq!(candidates(0b11_0101, 0, 0).0, 0);
        assert_eq!(candidates(u64::MAX, 0, 0).0, 0);
        let before = 1 << 63 | 1 << 61;
        let (_, singles) = candidates(before, 0, 0);
        assert_eq!(candidates(0b10, before, singles).0, 0b100);
    }

    #[test]
    fn an_open_text_holds_back_the_run_that_it_ends_with() {
        let from = |text: &str| begun(&Text::new(text.as_bytes()));
        assert_eq!(from("no 4 1 1"), Some(3));
        assert_eq!(from("no 4 1 1 - "), Some(3));
        assert_eq!(from("no 4 1 12"), None);
        assert_eq!(from("a word"), None);
        assert_eq!(from(""), None);
        assert_eq!(from(&"1 ".repeat(MAX_SPELLED_BYTES)), None);
    }
}
