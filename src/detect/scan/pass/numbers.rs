//! Tokens with digits, and forms that begin with digits: selection of the detectors to run on them.

use super::{Pass, TOKEN, ViewFinding, lead};
use crate::detect::Confidence;
use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::{MARKED, WIDE_BEFORE};
use crate::detect::scan::context::{self, DetectorSet};
use crate::detect::scan::forms::{FREE, WHOLE, Walked};
use crate::detect::scan::probe::{BLANKS, COMPACT, Candidate, Match};
use crate::detect::scan::tokens::{TokenProbe, TokenProbes};
use crate::wire::simd::Block;
use crate::wire::work;

/// Steps in the forms that are walked before any other check.
const FEW_DIGITS: usize = 3;

/// Work steps for reading a token, in addition to the probes that run on it.
const TOKEN_SEEN: usize = 4;

/// Bytes after a token that show whether it is the first of several groups.
const BEHIND: usize = 5;

impl Pass<'_> {
    /// Handles tokens with a digit that begin or continue in this block.
    pub(super) fn tokens(&mut self, base: usize, block: &Block, alphanumeric: u64, carried: usize) {
        let mut digits = block.digit & behind(base, self.token_done);
        while digits != 0 {
            let bit = digits.trailing_zeros();
            let below = !alphanumeric & (1u64 << bit).wrapping_sub(1);
            let start = match 64u32.wrapping_sub(below.leading_zeros()) {
                0 if self.text.before(base).is_ascii_alphanumeric() => carried,
                first => base.wrapping_add(first as usize),
            };
            let above = !alphanumeric & u64::MAX.wrapping_shl(bit);
            let next = above.trailing_zeros();
            digits = if next >= 64 {
                0
            } else {
                digits & u64::MAX.wrapping_shl(next)
            };
            if start < self.token_done {
                continue;
            }
            let mut end = base.wrapping_add(next as usize);
            if next >= 64 {
                end = self
                    .text
                    .run(end, usize::MAX, |byte| byte.is_ascii_alphanumeric());
            } else if end == self.text.len() {
                self.text.at(end);
            }
            self.token_done = end;
            // Only tokens of known length are handled here; a token of unknown length has begun.
            let cut = self.text.take_past_end() && self.open;
            if end.wrapping_sub(start) >= TOKEN {
                continue;
            }
            if cut {
                self.begun = self.begun.min(start);
                continue;
            }
            let first = u32::try_from(start.wrapping_sub(base)).unwrap_or(64);
            let number = if start >= base && next < 64 {
                // All bits of the token are digits.
                let token = u64::MAX.wrapping_shl(first) & !u64::MAX.wrapping_shl(next);
                block.digit & token == token
            } else {
                self.text.slice(start..end).iter().all(u8::is_ascii_digit)
            };
            self.token(start, end, number);
        }
    }

    fn token(&mut self, start: usize, end: usize, number: bool) {
        let len = end.wrapping_sub(start);
        let plan = self.plan;
        if number
            && self.text.before(start) == b'.'
            && self.text.before(start.wrapping_sub(1)).is_ascii_digit()
        {
            // Half of the numbers in data are digits after a decimal point. A value that contains dots begins before
            // them.
            return;
        }
        work::spend(TOKEN_SEEN.wrapping_add(len / 4));
        let lists = if number { &plan.numbers } else { &plan.mixed };
        let known = self.out.len();
        if let Some(list) = lists.get(len).filter(|list| !list.probes.is_empty()) {
            self.ask(list, start, end);
        }
        if self.out.len() > known {
            let sure = |raw: &&ViewFinding| {
                raw.confidence == Confidence::High && raw.start == start && raw.end > end
            };
            if let Some(raw) = self.out.get(known..).unwrap_or_default().iter().find(sure) {
                // A certain card number does not also contain other numbers. A token alone may be several: an account
                // number and the number of its bank.
                self.token_done = self.token_done.max(raw.end);
                return;
            }
        }
        let first = plan.forms.start();
        if first == 0 {
            return;
        }
        let known = self.out.len();
        if number {
            let bytes = self.text.bytes();
            // After most numbers no form continues.
            let Walked { at, state } = plan.forms.walk_few(bytes, end, len, FEW_DIGITS);
            if state != 0 {
                self.forms(start, at, state);
            }
        } else {
            self.forms_of(start, end, first);
        }
        if self
            .text
            .before(start.wrapping_sub(1))
            .is_ascii_alphabetic()
            && let Some(word) = lead(self.text, start)
        {
            self.forms_of(word, start.wrapping_sub(1), first);
            if let Some(before) = lead(self.text, word) {
                self.forms_of(before, word.wrapping_sub(1), first);
            }
        }
        if self.out.len() > known {
            self.cover(known);
        }
    }

    /// Runs the probes on a token that may apply to it.
    #[inline(never)]
    fn ask(&mut self, list: &TokenProbes, start: usize, end: usize) {
        let rest = self.text.bytes().get(end..).unwrap_or_default();
        let behind = match rest.first_chunk() {
            Some(behind) => Some(*behind),
            // Nothing follows after the end of a complete text.
            None => (!self.open).then(|| padded(rest)),
        };
        // Probes that depend on the end of an open text run, too.
        let mut asked = match behind {
            Some([next, second, ..]) => list.before(next, second),
            None => u32::MAX,
        };
        if !self.may_be_wide || asked & list.wide != 0 && !self.is_wide(start) {
            asked &= !list.wide;
        }
        if asked == 0 {
            return;
        }
        let byte = self.text.at(start);
        let marked = matches!(self.text.before(start), b'+' | b'(');
        let first = if marked { MARKED } else { 0 } | 1u16.wrapping_shl(u32::from(byte & 15));
        if behind.is_some() {
            let second = self.text.at(start.wrapping_add(1));
            if !byte.is_ascii_alphabetic() || !second.is_ascii_alphabetic() {
                asked &= !list.lettered;
            }
            let with = list.with(byte, marked);
            asked &= with | list.gated;
            if asked & with & list.grouped != 0 && !self.is_first_group(first, start, end) {
                asked &= !list.grouped;
            }
            let gated = asked & !with;
            asked &= with;
            if gated != 0 && self.may_be_named(list.gates, start) {
                asked |= gated;
                if gated & list.grouped != 0 && !self.is_first_group(first, start, end) {
                    asked &= !list.grouped;
                }
            }
        }
        while let Some(token) = list.probes.get(asked.trailing_zeros() as usize) {
            asked &= asked.wrapping_sub(1);
            let goes_on = behind.is_some()
                || self.may_go_on(token, start, end)
                    && (!token.grouped || self.is_first_group(first, start, end));
            if goes_on {
                self.ask_one(token, first, start, end);
            }
        }
    }

    /// Returns whether a character outside ASCII is near before a position, or the text's key is a context word.
    fn is_wide(&self, at: usize) -> bool {
        self.is_named || self.has_foreign(at.saturating_sub(WIDE_BEFORE), at)
    }

    /// Returns whether a context word of these detectors may be before a position; true if many words would have to
    /// be read.
    #[inline]
    fn may_be_named(&self, gates: DetectorSet, start: usize) -> bool {
        let near = self.near.borrow();
        if near.is_unread(start) {
            return !near.is_quiet(start);
        }
        drop(near);
        self.context(start) & gates != 0
    }

    #[inline]
    fn ask_one(&mut self, token: &TokenProbe, first: u16, start: usize, end: usize) {
        let by_first = token.firsts.is_none_or(|firsts| firsts & first != 0);
        let eager = !by_first && token.eager && self.near.borrow().is_unread(start);
        if !by_first && !eager && token.gate & self.context(start) == 0 {
            return;
        }
        let (slot, probe) = token.probe;
        work::spend(TOKEN_SEEN);
        let place = self.place(slot, start, end);
        let found = probe(&place);
        if eager
            && (found.is_some() || self.text.is_past_end())
            && token.gate & self.context(start) == 0
        {
            self.text.take_past_end();
            return;
        }
        let begins = place.first.get();
        let far = begins > start;
        self.far |= self.take(slot, begins, found) && far;
    }

    /// Updates `covered` with the findings after index `known`. The earliest ones, and of these the longest, are
    /// last.
    #[inline(never)]
    fn cover(&mut self, known: usize) {
        for raw in self.out.iter().skip(known).rev() {
            if self.plan.in_order.get(raw.slot) == Some(&true)
                && raw.start >= self.covers_from
                && let Some(end) = self.covered.get_mut(raw.slot)
                && raw.start >= *end
            {
                *end = raw.end;
            }
        }
    }

    /// Returns whether a finding that begins here would be dropped.
    #[inline]
    pub(super) fn is_covered(&self, slot: usize, start: usize) -> bool {
        self.covered.get(slot).is_some_and(|end| start < *end)
    }

    /// Returns the detectors with a context word before a position.
    #[inline(always)]
    pub(super) fn context(&self, at: usize) -> DetectorSet {
        let mut near = self.near.borrow_mut();
        near.before(self.text.bytes(), at, &self.plan.terms)
    }

    /// Returns whether more digits follow a number, after one or two separators, and none precede it. After a 1
    /// alone, those of an area code must follow. At the end of the text they may.
    #[inline]
    fn is_first_group(&self, first: u16, start: usize, end: usize) -> bool {
        let bytes = self.text.bytes();
        if matches!(self.text.before(start), b'-' | b'.' | b'/' | b':')
            && self.text.before(start.wrapping_sub(1)).is_ascii_digit()
        {
            return false;
        }
        let Some([mark, second, third]) = bytes.get(end..).and_then(|rest| rest.first_chunk())
        else {
            return true;
        };
        if first == 0b10
            && !matches!(second, b'2'..=b'9' | b'(')
            && !self.text.before(end.wrapping_sub(1)).is_ascii_digit()
        {
            return false;
        }
        match mark {
            b' ' if matches!(second, b'-' | b'/') => *third == b' ',
            b' ' | b'-' | b'.' | b'/' if *second == b'(' => third.is_ascii_digit(),
            b' ' | b'-' | b'.' | b'/' | b'(' => second.is_ascii_digit(),
            b')' => {
                second.is_ascii_digit()
                    || matches!(second, b' ' | b'-' | b'.') && third.is_ascii_digit()
            }
            _ => false,
        }
    }

    /// Returns, near the end of the text, whether the required characters follow a token.
    #[inline(never)]
    fn may_go_on(&mut self, token: &TokenProbe, start: usize, end: usize) -> bool {
        let next = self.text.bytes().get(end).copied().unwrap_or(0);
        if token.strict && !token.next.contains(&next) {
            return false;
        }
        if !token.named {
            return true;
        }
        let first = self.text.at(end.wrapping_add(1));
        if self.text.take_past_end() && self.open {
            self.begun = self.begun.min(start);
        }
        // A name begins with a capital or with a letter that is not Latin.
        first.is_ascii_uppercase() || first >= 0x80
    }

    /// Walks the forms that may begin with the letters and digits in a row from `start` to `end`.
    #[inline(never)]
    fn forms_of(&mut self, start: usize, end: usize, state: u16) {
        let bytes = self.text.bytes();
        let next = bytes.get(end).copied().unwrap_or(0);
        let second = bytes.get(end.wrapping_add(1)).copied();
        let token = bytes.get(start..end).unwrap_or_default();
        if self.plan.forms.may_begin_with(token, next, second) {
            self.forms(start, start, state);
        }
    }

    /// Walks all forms from a position. The bytes up to `at` led to the given state.
    #[inline(never)]
    fn forms(&mut self, start: usize, at: usize, state: u16) {
        let plan = self.plan;
        let bytes = self.text.bytes();
        let quiet = start > BLANKS && self.near.borrow().is_quiet(start);
        let mut next = (at, state);
        let walked = loop {
            let walked = plan.forms.walk(bytes, next.0, next.1, quiet);
            work::spend(walked.at.saturating_sub(next.0).wrapping_add(TOKEN_SEEN));
            if walked.state == 0 {
                break walked;
            }
            let Walked { at, state } = walked;
            self.fitting(start, at, state, quiet);
            let byte = bytes.get(at).copied().unwrap_or(0);
            next = (at.wrapping_add(1), plan.forms.step(state, byte));
        };
        if walked.at > bytes.len() && self.open {
            self.begun = self.begun.min(start);
        }
    }

    /// Runs the validators of the forms that end here. `quiet`: no context word is before the position.
    #[inline(never)]
    fn fitting(&mut self, start: usize, end: usize, state: u16, quiet: bool) {
        let plan = self.plan;
        if self.open && end >= self.text.len() {
            return;
        }
        let whole = start <= BLANKS;
        let free = FREE | if whole { WHOLE } else { 0 };
        let gate = plan.forms.gate(state);
        let context = match quiet || gate & !free == 0 {
            true => 0,
            false => self.context(start),
        };
        if gate & (free | context) == 0 {
            return;
        }
        let mut bytes = [0u8; COMPACT];
        let mut len = 0;
        for fit in plan.forms.fits(state) {
            if fit.needs_context && context == 0 && !whole {
                break;
            }
            let needs_word = fit.needs_context && !(fit.or_whole && whole);
            // Of the many forms of a number few have their word before it.
            if needs_word && !context::has(context, fit.detector) {
                continue;
            }
            let Some((slot, validator)) = plan.validators.get(usize::from(fit.validator)).copied()
            else {
                continue;
            };
            if self.is_covered(slot, start) {
                continue;
            }
            if len == 0 {
                len = compacted(self.text.slice(start..end), &mut bytes);
            }
            work::spend(2 * TOKEN_SEEN);
            let candidate = Candidate {
                place: self.place(slot, start, end),
                range: start..end,
                form: usize::from(fit.form),
                bytes: &bytes,
                len,
            };
            let found = validator(&candidate).map(|confidence| Match {
                start,
                end,
                confidence,
            });
            let first = candidate.place.first.get();
            self.take(slot, first, found);
        }
    }
}

/// Returns the next bytes of a text, with 0 after its end.
#[inline(never)]
fn padded(rest: &[u8]) -> [u8; BEHIND] {
    let mut bytes = [0; BEHIND];
    for (to, byte) in bytes.iter_mut().zip(rest) {
        *to = *byte;
    }
    bytes
}

/// Returns the positions of a block from `at` on.
#[inline]
fn behind(base: usize, at: usize) -> u64 {
    let passed = u32::try_from(at.saturating_sub(base)).unwrap_or(u32::MAX);
    u64::MAX.checked_shl(passed).unwrap_or(0)
}

/// Copies the letters and digits of a candidate. Returns their number.
fn compacted(written: &[u8], bytes: &mut [u8; COMPACT]) -> usize {
    let mut len = 0usize;
    for byte in written {
        if let Some(to) = bytes.get_mut(len) {
            *to = *byte;
            len = len.wrapping_add(usize::from(Alphabet::Alphanumeric.has(*byte)));
        }
    }
    len
}
