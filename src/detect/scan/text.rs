//! The text as validators read it.

use std::cell::Cell;
use std::ops::Range;

use super::place::Alphabet;

/// The bytes of a normalised text. Looking past the end is allowed and noticed: what was decided by it may change
/// when the text goes on.
pub(in crate::detect) struct Text<'a> {
    bytes: &'a [u8],
    past_end: Cell<bool>,
    /// For each alphabet the last run that was walked: every prefix within it leads to the same end.
    runs: [Cell<(usize, usize)>; Alphabet::COUNT],
    /// The last search of [`find`](Self::find): from where, up to where, and the place that was found, if any.
    searched: Cell<(usize, usize, Option<usize>)>,
}

impl<'a> Text<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            past_end: Cell::new(false),
            runs: [const { Cell::new((0, 0)) }; Alphabet::COUNT],
            searched: Cell::new((0, 0, None)),
        }
    }

    /// The byte at `index`; 0 past the end. A normalised text has no byte 0 of its own.
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

    /// The byte before `index`; 0 at the start.
    #[inline]
    pub(in crate::detect) fn before(&self, index: usize) -> u8 {
        index
            .checked_sub(1)
            .and_then(|before| self.bytes.get(before))
            .copied()
            .unwrap_or(0)
    }

    /// The bytes of a range that has been read already.
    pub(in crate::detect) fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Bytes before the end.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// All bytes, for searches that never look past the end.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The end of the run of bytes from `from` on that fit, at most `most` of them. Most runs are empty.
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
        let mut end = from;
        while end.wrapping_sub(from) < most && fits(self.at(end)) {
            end = end.wrapping_add(1);
        }
        end
    }

    /// The end of the run of characters of an alphabet from `from` on, at most `most` of them. A run that many ask
    /// about is walked once.
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

    /// The first place in a range that has been read already where these bytes stand, always the same ones for one
    /// text: what was searched for one start isn't searched again for the next.
    pub(in crate::detect) fn find(&self, part: &[u8], range: Range<usize>) -> Option<usize> {
        let (from, to, found) = self.searched.get();
        let known = (from..to).contains(&range.start);
        let found = match found {
            Some(found) if known && range.start <= found => Some(found),
            _ => {
                let from = if known && found.is_none() {
                    range.start.max(to.saturating_sub(part.len()))
                } else {
                    range.start
                };
                let searched = self.slice(from..range.end);
                let place = searched
                    .windows(part.len())
                    .position(|window| window == part);
                let found = place.map(|place| from.wrapping_add(place));
                self.searched.set((range.start, range.end, found));
                found
            }
        };
        found.filter(|found| found.wrapping_add(part.len()) <= range.end)
    }

    /// The start of the run of bytes before `to` that fit, at most `most` of them.
    #[inline(never)]
    pub(in crate::detect) fn run_back(
        &self,
        to: usize,
        most: usize,
        fits: impl Fn(u8) -> bool,
    ) -> usize {
        let mut start = to;
        while to.wrapping_sub(start) < most && start > 0 && fits(self.before(start)) {
            start = start.wrapping_sub(1);
        }
        start
    }

    /// The end of a range without the bytes at its end that fit.
    pub(in crate::detect) fn run_back_in(
        &self,
        range: Range<usize>,
        fits: impl Fn(u8) -> bool,
    ) -> usize {
        let most = range.end.saturating_sub(range.start);
        self.run_back(range.end, most, fits)
    }

    /// Whether the text goes on with these bytes, letters in any case. Mostly the first tells.
    #[inline(always)]
    pub(in crate::detect) fn follows(&self, from: usize, word: &str) -> bool {
        let [first, rest @ ..] = word.as_bytes() else {
            return true;
        };
        self.at(from).eq_ignore_ascii_case(first) && self.goes_on(from.wrapping_add(1), rest)
    }

    #[inline(never)]
    fn goes_on(&self, from: usize, rest: &[u8]) -> bool {
        rest.iter()
            .enumerate()
            .all(|(place, byte)| self.at(from.wrapping_add(place)).eq_ignore_ascii_case(byte))
    }

    /// Whether these bytes stand before `to`, letters in any case.
    pub(in crate::detect) fn precedes(&self, to: usize, word: &str) -> bool {
        to.checked_sub(word.len())
            .and_then(|from| self.bytes.get(from..to))
            .is_some_and(|bytes| bytes.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Whether a colon before `at` stands behind a word: `address:`, and not behind the digits of a longer address.
    pub(in crate::detect) fn is_named(&self, at: usize) -> bool {
        let end = at.wrapping_sub(1);
        let word = self.run_back(end, 8, |byte| byte.is_ascii_alphabetic());
        let digit = |byte: &u8| byte.is_ascii_hexdigit();
        self.before(at) == b':' && !self.slice(word..end).iter().all(digit)
    }

    /// Whether the end was looked past since the last call.
    pub(super) fn take_past_end(&self) -> bool {
        self.past_end.replace(false)
    }
}
