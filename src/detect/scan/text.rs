//! Text as validators read it.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use super::alphabet::{Alphabet, SearchState};
use crate::detect::entropy::{self, SlidingHistogram};
use crate::detect::literals::is_white;
use crate::detect::substring_set::SubstringSet;
use crate::wire::work;

/// Bytes of a normalised text. Reading past the end is allowed and recorded, because a result that depends on the end
/// may change when more text follows.
pub(in crate::detect) struct Text<'a> {
    bytes: &'a [u8],
    past_end: Cell<bool>,
    /// For each alphabet, the last run that was walked. Every prefix inside the run leads to the same end.
    runs: [Cell<(usize, usize)>; Alphabet::COUNT],
    /// Last searches of [`find`](Self::find): start, end, and the position that was found, if any.
    searched: [Cell<(usize, usize, Option<usize>)>; SearchState::COUNT],
    /// Last searches of [`lacks`](Self::lacks): start, end, and the last position of a word.
    lacking: [Cell<(usize, usize, Option<usize>)>; 2],
    /// Last values whose entropy was computed, in rotation.
    tallies: RefCell<Vec<SlidingHistogram>>,
    turn: Cell<usize>,
}

/// Values with different ends that are kept in rotation.
const TALLIES: usize = 4;

/// Bytes after a range that are searched as well for words that the range lacks.
const AHEAD: usize = 64;

/// Work steps for each byte of a value whose entropy is computed.
const TALLIED: usize = 4;

/// Maximum underscores around a value.
const MARKS: usize = 3;

/// Length in bytes up to which values are not kept.
const SHORT: usize = 24;

impl<'a> Text<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            past_end: Cell::new(false),
            runs: [const { Cell::new((0, 0)) }; Alphabet::COUNT],
            searched: [const { Cell::new((0, 0, None)) }; SearchState::COUNT],
            lacking: [const { Cell::new((0, 0, None)) }; 2],
            tallies: RefCell::new(Vec::new()),
            turn: Cell::new(0),
        }
    }

    /// Returns the [entropy](entropy::shannon_entropy_tenths) of a range that was read already.
    pub(in crate::detect) fn variety(&self, range: Range<usize>) -> u32 {
        let value = self.slice(range.clone());
        self.tallied(value, range, |tally| tally.variety())
            .unwrap_or_else(|| entropy::shannon_entropy_tenths(value))
    }

    /// Returns whether a range that was read already [is a placeholder](entropy::is_placeholder).
    pub(in crate::detect) fn is_placeholder(&self, range: Range<usize>) -> bool {
        let value = self.slice(range.clone());
        self.tallied(value, range, |tally| tally.is_placeholder(value))
            .unwrap_or_else(|| entropy::is_placeholder(value))
    }

    /// Returns whether a range that was read already contains a [word of placeholders](entropy::has_word).
    pub(super) fn has_placeholder(&self, range: Range<usize>) -> bool {
        let value = self.slice(range.clone());
        self.tallied(value, range, |tally| tally.has_word(value))
            .unwrap_or_else(|| entropy::has_word(value))
    }

    /// Returns whether a range that was read already has at least this entropy and is not a placeholder.
    pub(in crate::detect) fn is_random(&self, range: Range<usize>, least: u32) -> bool {
        let value = self.slice(range.clone());
        self.tallied(value, range, |tally| {
            tally.variety() >= least && !tally.is_placeholder(value)
        })
        .unwrap_or_else(|| {
            entropy::shannon_entropy_tenths(value) >= least && !entropy::is_placeholder(value)
        })
    }

    /// Returns the number of digits in a range that was read already.
    pub(in crate::detect) fn digits(&self, range: Range<usize>) -> usize {
        let value = self.slice(range.clone());
        self.tallied(value, range, |tally| tally.digits())
            .unwrap_or_else(|| entropy::makeup(value).digits)
    }

    /// Computes a property of a value from the histogram of the last value with the same end.
    fn tallied<T>(
        &self,
        value: &[u8],
        range: Range<usize>,
        ask: impl Fn(&mut SlidingHistogram) -> T,
    ) -> Option<T> {
        if value.len() < SHORT || value.len() > usize::from(u16::MAX) {
            work::spend(value.len().wrapping_mul(TALLIED));
            return None;
        }
        let mut tallies = self.tallies.borrow_mut();
        let same = |tally: &&mut SlidingHistogram| {
            let known = tally.range();
            known.contains(&range.start)
                && known.start <= range.start
                && (known.end..known.end.saturating_add(value.len() / 4)).contains(&range.end)
        };
        if let Some(tally) = tallies.iter_mut().find(same) {
            let end = tally.range().end;
            let differs = range.start.wrapping_sub(tally.range().start);
            work::spend(differs.wrapping_add(range.end.saturating_sub(end)));
            if end < range.end {
                tally.with(self.slice(end..range.end));
            }
            tally.without(self.slice(tally.range().start..range.start));
            return Some(ask(tally));
        }
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1) % TALLIES);
        if tallies.len() <= turn {
            tallies.push(SlidingHistogram::new());
        }
        let tally = tallies.get_mut(turn)?;
        work::spend(value.len().wrapping_mul(TALLIED));
        tally.begin(value, range.end);
        Some(ask(tally))
    }

    /// Returns the byte at `index`; 0 past the end. A normalised text has no byte 0 of its own.
    #[inline]
    pub(in crate::detect) fn at(&self, index: usize) -> u8 {
        match self.bytes.get(index) {
            Some(byte) => *byte,
            None => {
                self.past_end.set(true);
                0
            }
        }
    }

    /// Returns the byte before `index`; 0 at the start.
    #[inline]
    pub(in crate::detect) fn before(&self, index: usize) -> u8 {
        index
            .checked_sub(1)
            .and_then(|before| self.bytes.get(before))
            .copied()
            .unwrap_or(0)
    }

    /// Returns the bytes of a range that was read already.
    pub(in crate::detect) fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Returns the length of the text in bytes.
    pub(in crate::detect) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns all bytes, for searches that never read past the end.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the end of the run of matching bytes from `from` on, at most `most` bytes. Most runs are empty.
    #[inline]
    pub(in crate::detect) fn run(
        &self,
        from: usize,
        most: usize,
        fits: impl Fn(u8) -> bool,
    ) -> usize {
        if most > 0 && fits(self.at(from)) {
            self.run_on(from.wrapping_add(1), most.wrapping_sub(1), fits)
        } else {
            from
        }
    }

    #[inline(never)]
    fn run_on(&self, from: usize, most: usize, fits: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        let within = rest.get(..most);
        let walked = within.unwrap_or(rest);
        let len = walked.iter().position(|byte| !fits(*byte));
        if len.is_none() && within.is_none() {
            self.past_end.set(true);
        }
        let len = len.unwrap_or(walked.len());
        work::spend(len);
        from.wrapping_add(len)
    }

    /// Returns the end of the run of an alphabet's characters from `from` on, at most `most` bytes. A run is walked
    /// once, however many validators query it.
    pub(in crate::detect) fn run_of(&self, alphabet: Alphabet, from: usize, most: usize) -> usize {
        let cap = from.saturating_add(most);
        let Some(memory) = self.runs.get(alphabet as usize) else {
            return from;
        };
        let (start, walked) = memory.get();
        let (start, from) = if (start..walked).contains(&from) {
            (start, walked)
        } else {
            (from, from)
        };
        if from >= cap {
            return cap;
        }
        let end = self.run(from, cap.wrapping_sub(from), |byte| alphabet.has(byte));
        memory.set((start, end));
        end
    }

    /// Returns whether a range that does not end the text surely contains none of the words, which are at most
    /// `longest` bytes long. Only the part after the last range is searched. There are two lists of words.
    pub(in crate::detect) fn lacks(
        &self,
        list: usize,
        words: &SubstringSet,
        longest: usize,
        range: Range<usize>,
    ) -> bool {
        if range.end >= self.len() {
            return false;
        }
        let Some(lacking) = self.lacking.get(list) else {
            return false;
        };
        let (mut from, to, mut last) = lacking.get();
        let mut search = range.start;
        if (from..=to).contains(&range.start) {
            search = search.max(to.saturating_sub(longest));
        } else {
            (from, last) = (range.start, None);
        }
        if range.end > to || search == range.start {
            // The next range usually ends little later.
            let to = range.end.saturating_add(AHEAD).min(self.len());
            work::spend(to.saturating_sub(search));
            let found = words.last_in(self.slice(search..to));
            last = found.map(|place| search.wrapping_add(place)).or(last);
            lacking.set((from, to, last));
        }
        last.is_none_or(|last| last < range.start)
    }

    /// Returns the end of a range of at most `most` bytes, or of the text.
    pub(in crate::detect) fn end_within(&self, from: usize, most: usize) -> usize {
        let end = from.saturating_add(most);
        if end > self.len() {
            self.past_end.set(true);
        }
        end.min(self.len())
    }

    /// Returns the first position of these bytes in a range that was read already. The bytes are always the same for
    /// one `SearchState`, so a part that was searched for one start is not searched again for the next.
    pub(in crate::detect) fn find(
        &self,
        what: SearchState,
        part: &[u8],
        range: Range<usize>,
    ) -> Option<usize> {
        self.find_by(what, part.len(), range, |range| {
            let from = range.start;
            Some(from.wrapping_add(first_in(self.slice(range), part)?))
        })
    }

    /// Returns a position as [`find`](Self::find) does, for something `len` bytes long that `first_in` finds,
    /// independent of the range.
    pub(in crate::detect) fn find_by(
        &self,
        what: SearchState,
        len: usize,
        range: Range<usize>,
        first_in: impl Fn(Range<usize>) -> Option<usize>,
    ) -> Option<usize> {
        let searched = self.searched.get(what as usize)?;
        let (from, to, found) = searched.get();
        let known = (from..to).contains(&range.start);
        let found = match found {
            Some(found) if known && range.start <= found => Some(found),
            _ => {
                let from = if known && found.is_none() {
                    range.start.max(to.saturating_sub(len))
                } else {
                    range.start
                };
                let found = first_in(from..range.end);
                work::spend(found.unwrap_or(range.end).saturating_sub(from));
                searched.set((range.start, range.end, found));
                found
            }
        };
        found.filter(|found| found.wrapping_add(len) <= range.end)
    }

    /// Returns the start of the run of matching bytes before `to`, at most `most` bytes.
    #[inline(never)]
    pub(in crate::detect) fn run_back(
        &self,
        to: usize,
        most: usize,
        fits: impl Fn(u8) -> bool,
    ) -> usize {
        let before = self.slice(to.saturating_sub(most)..to).iter().rev();
        let len = before.take_while(|byte| fits(**byte)).count();
        work::spend(len);
        to.wrapping_sub(len)
    }

    /// Returns the end of a range without the matching bytes at its end.
    pub(in crate::detect) fn run_back_in(
        &self,
        range: Range<usize>,
        fits: impl Fn(u8) -> bool,
    ) -> usize {
        let most = range.end.saturating_sub(range.start);
        self.run_back(range.end, most, fits)
    }

    /// Returns whether the text continues with these bytes, case-sensitively.
    #[inline]
    pub(super) fn goes_on_as(&self, from: usize, part: &str) -> bool {
        let end = from.wrapping_add(part.len());
        match self.bytes.get(from..end) {
            // For bytes this short a loop is faster than a call.
            Some(bytes) => bytes.iter().eq(part.as_bytes()),
            None => {
                let rest = self.bytes.get(from..).unwrap_or_default();
                let begun = part.as_bytes().starts_with(rest);
                self.past_end.set(begun || self.past_end.get());
                false
            }
        }
    }

    /// Returns whether the text continues with these bytes, case-insensitively. Usually the first byte decides.
    #[inline(always)]
    pub(in crate::detect) fn follows(&self, from: usize, word: &str) -> bool {
        let [first, rest @ ..] = word.as_bytes() else {
            return true;
        };
        self.at(from).eq_ignore_ascii_case(first) && self.goes_on(from.wrapping_add(1), rest)
    }

    #[inline(never)]
    fn goes_on(&self, from: usize, rest: &[u8]) -> bool {
        let text = self.bytes.get(from..).unwrap_or_default();
        let same = |(byte, word): (&u8, &u8)| byte == word || byte.eq_ignore_ascii_case(word);
        let goes_on = text.iter().zip(rest).all(same);
        if goes_on && text.len() < rest.len() {
            self.past_end.set(true);
            return false;
        }
        goes_on
    }

    /// Returns the end of one or several words that the text continues with, case-insensitively and with any white
    /// space between two of them.
    #[inline(never)]
    pub(in crate::detect) fn follows_spaced(&self, from: usize, words: &str) -> Option<usize> {
        let mut at = from;
        let mut rest = words.as_bytes();
        // A loop, because a search for one character costs more than such short words.
        let blank = |words: &[u8]| words.iter().position(|byte| *byte == b' ');
        while let Some((first, [_, more @ ..])) =
            blank(rest).and_then(|blank| rest.split_at_checked(blank))
            && !more.is_empty()
        {
            if !self.goes_on(at, first) {
                return None;
            }
            let end = at.wrapping_add(first.len());
            at = self.run(end, usize::MAX, is_white);
            if at == end {
                return None;
            }
            rest = more;
        }
        self.goes_on(at, rest).then(|| at.wrapping_add(rest.len()))
    }

    /// Returns whether these bytes are before `to`, case-insensitively.
    pub(in crate::detect) fn precedes(&self, to: usize, word: &str) -> bool {
        to.checked_sub(word.len())
            .and_then(|from| self.bytes.get(from..to))
            .is_some_and(|bytes| bytes.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Returns whether one of these words, and not only the end of a longer one, is before `to`, case-insensitively.
    /// Usually there is no word at all.
    #[inline(never)]
    pub(in crate::detect) fn precedes_word(&self, to: usize, words: &[&str]) -> bool {
        let is_whole = |word: &str| {
            let start = to.saturating_sub(word.len());
            self.precedes(to, word) && !self.before(start).is_ascii_alphabetic()
        };
        self.before(to).is_ascii_alphabetic() && words.iter().any(|word| is_whole(word))
    }

    /// Returns whether underscores join what begins at `at` to a word before them, as in `my_name`. Alone they are marks
    /// around it, as in `_Markdown_`.
    pub(in crate::detect) fn continues_name(&self, at: usize) -> bool {
        let marks = self.run_back(at, MARKS, |byte| byte == b'_');
        marks < at && self.before(marks).is_ascii_alphanumeric()
    }

    /// Returns whether underscores join what ends at `at` to a word after them.
    pub(in crate::detect) fn begins_name(&self, at: usize) -> bool {
        let marks = self.run(at, MARKS, |byte| byte == b'_');
        marks > at && self.at(marks).is_ascii_alphanumeric()
    }

    /// Returns whether the colon before `at` follows a word, as in `address:`, and not the digits of a longer
    /// address.
    pub(in crate::detect) fn is_named(&self, at: usize) -> bool {
        let end = at.wrapping_sub(1);
        // `ip6:`
        let end = self.run_back(end, 1, |byte| byte.is_ascii_digit());
        let word = self.run_back(end, 8, |byte| byte.is_ascii_alphabetic());
        let digit = |byte: &u8| byte.is_ascii_hexdigit();
        let named = self.before(end) >= 0x80 || !self.slice(word..end).iter().all(digit);
        self.before(at) == b':' && named
    }

    /// Returns whether the end was passed since the last call of [`take_past_end`](Self::take_past_end).
    #[inline]
    pub(in crate::detect) fn is_past_end(&self) -> bool {
        self.past_end.get()
    }

    /// Returns whether the end was passed since the last call.
    pub(super) fn take_past_end(&self) -> bool {
        self.past_end.replace(false)
    }
}

/// Returns the first position of bytes in others. Usually the first byte shows that there is none.
pub(in crate::detect) fn first_in(searched: &[u8], part: &[u8]) -> Option<usize> {
    let first = part.first()?;
    let starts = searched.iter().enumerate();
    starts
        .filter(|(_, byte)| *byte == first)
        .map(|(place, _)| place)
        .find(|place| {
            searched
                .get(*place..)
                .is_some_and(|rest| rest.starts_with(part))
        })
}
