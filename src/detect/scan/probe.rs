//! Input of a detector's functions: the place in the text, a candidate that matches a form, a name with its value.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use super::alphabet::Binding;
use super::context::{ContextDictionary, ContextWords, DetectorSet};
use super::names::{self, KeyFilter, NameGroups};
use super::text::Text;
use crate::detect::Confidence;
use crate::detect::entropy::CharClasses;

/// Validator of a candidate that matches one of the detector's forms.
pub(in crate::detect) type ValidateFn = fn(&Candidate<'_>) -> Option<Confidence>;

/// Validator of a named value.
pub(in crate::detect) type KeyedValidateFn = fn(&NamedValue<'_>) -> Option<Match>;

/// Function that searches around an anchor.
pub(in crate::detect) type ProbeFn = fn(&MatchSite<'_>) -> Option<Match>;

/// Finding in the normalised text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) struct Match {
    pub(in crate::detect) start: usize,
    pub(in crate::detect) end: usize,
    pub(in crate::detect) confidence: Confidence,
}

/// Place in the text where a detector is anchored.
pub(in crate::detect) struct MatchSite<'a> {
    pub(in crate::detect) text: &'a Text<'a>,
    /// Anchor: the first byte of the mark, word or token.
    pub(in crate::detect) at: usize,
    /// First byte after the token or word; equal to `at` for marks.
    pub(in crate::detect) end: usize,
    /// Bit of the detector in the set of detectors with context words.
    pub(super) context: DetectorSet,
    /// Lowest confidence that the policy asks for.
    pub(super) threshold: Confidence,
    pub(super) near: &'a RefCell<ContextWords>,
    pub(super) terms: &'a ContextDictionary,
    /// First byte at which a finding could begin if more text follows.
    pub(super) first: Cell<usize>,
}

/// Maximum quotes and spaces on each side of a value that still counts as the whole text.
pub(super) const BLANKS: usize = 16;

impl MatchSite<'_> {
    /// Sets where a finding would begin if more text follows. The default is the anchor.
    pub(in crate::detect) fn begins(&self, at: usize) {
        self.first.set(at);
    }

    /// Sets that a finding would begin with the URL of this host, its scheme included. Returns where that is.
    #[inline(never)]
    pub(in crate::detect) fn begins_url(&self, host: usize) -> usize {
        let mut schemes = ["https://", "http://"].iter();
        let scheme = schemes.find(|scheme| self.text.precedes(host, scheme));
        let start = host.wrapping_sub(scheme.map_or(0, |scheme| scheme.len()));
        self.begins(start);
        start
    }

    /// Returns whether one of the detector's context words is before `at`, or in the JSON key of the text.
    pub(in crate::detect) fn context(&self, at: usize) -> bool {
        self.context != 0
            && self
                .near
                .borrow_mut()
                .before(self.text.bytes(), at, self.terms)
                & self.context
                != 0
    }

    /// Returns whether the range is the whole text, apart from quotes and spaces.
    pub(in crate::detect) fn is_whole(&self, range: &Range<usize>) -> bool {
        let blank = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`');
        range.start <= BLANKS
            && self.text.run_back(range.start, BLANKS, blank) == 0
            && self.text.at(self.text.run(range.end, BLANKS, blank)) == 0
    }

    /// Returns whether the characters around a range make it part of something longer: a decimal, an identifier with
    /// digits, a time.
    pub(in crate::detect) fn is_part(&self, range: &Range<usize>) -> bool {
        self.continues(range.start) || self.goes_on(range.end)
    }

    /// Returns whether the characters from a position on make what ends there part of something longer.
    fn goes_on(&self, end: usize) -> bool {
        let text = self.text;
        let right = end.wrapping_add(1);
        match text.at(end) {
            b'.' | b':' | b'/' => text.at(right).is_ascii_digit(),
            b'-' | b'_' => {
                let run = text.run(right, 12, |byte| byte.is_ascii_alphanumeric());
                text.slice(right..run).iter().any(u8::is_ascii_digit)
            }
            b'%' => true,
            byte => byte.is_ascii_alphanumeric(),
        }
    }

    /// Returns whether the characters before a position make what begins there part of something longer.
    fn continues(&self, at: usize) -> bool {
        let text = self.text;
        let mark = text.before(at);
        let left = at.saturating_sub(1);
        match mark {
            b'.' | b':' | b'/' => text.before(left).is_ascii_digit(),
            b'-' | b'_' => {
                let run = text.run_back(left, 12, |byte| byte.is_ascii_alphanumeric());
                text.slice(run..left).iter().any(u8::is_ascii_digit)
            }
            b'+' | b'#' | b'$' => mark == b'+',
            _ => mark.is_ascii_alphanumeric(),
        }
    }
}

/// Text that matches one of the detector's forms.
pub(in crate::detect) struct Candidate<'a> {
    pub(in crate::detect) place: MatchSite<'a>,
    pub(in crate::detect) range: Range<usize>,
    /// Index of the form in the detector's list.
    pub(in crate::detect) form: usize,
    /// Letters and digits of the text, and their number.
    pub(super) bytes: &'a [u8; COMPACT],
    pub(super) len: usize,
}

impl Candidate<'_> {
    /// Returns the letters and digits as written, without separators.
    pub(in crate::detect) fn compact(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Returns the letters and digits in capitals.
    #[inline(never)]
    pub(in crate::detect) fn capitals(&self) -> Capitals {
        // Of a known length: V8 calls a function to copy any other.
        let bytes = self.bytes.map(|byte| byte.to_ascii_uppercase());
        Capitals {
            bytes,
            len: self.len,
        }
    }

    /// Returns whether the candidate is written with separators.
    pub(in crate::detect) fn is_separated(&self) -> bool {
        self.range.len() > self.len
    }

    /// Returns whether the candidate is part of something longer.
    pub(in crate::detect) fn is_part(&self) -> bool {
        self.place.is_part(&self.range)
    }

    /// Returns whether one of the detector's context words is before the candidate.
    pub(in crate::detect) fn context(&self) -> bool {
        self.place.context(self.range.start)
    }

    /// Returns whether the candidate is the whole text.
    pub(in crate::detect) fn is_whole(&self) -> bool {
        self.place.is_whole(&self.range)
    }

    /// Returns whether another group of this many digits is beside the candidate, one space away, as in a row of numbers or in
    /// an identifier of more groups. The group before it may be a year.
    #[inline(never)]
    pub(in crate::detect) fn is_in_row(&self, width: usize) -> bool {
        let text = self.place.text;
        let most = width.wrapping_add(1);
        let (before, after) = (
            self.range.start.wrapping_sub(1),
            self.range.end.wrapping_add(1),
        );
        let first = text.run_back(before, most, |byte| byte.is_ascii_digit());
        let end = text.run(after, most, |byte| byte.is_ascii_digit());
        let is_year = matches!(text.before(first.wrapping_add(1)), b'1' | b'2');
        text.before(self.range.start) == b' ' && first.wrapping_add(width) == before && !is_year
            || text.at(self.range.end) == b' ' && end == self.range.end.wrapping_add(most)
    }

    /// Returns high confidence after a context word, otherwise the given one. Returns nothing if the candidate is
    /// part of something longer.
    pub(in crate::detect) fn high_or(&self, otherwise: Confidence) -> Option<Confidence> {
        let context = self.context();
        let confidence = if context { Confidence::High } else { otherwise };
        // Checks the surroundings only if the confidence reaches the policy's threshold. After a context word another
        // value may stand beside the candidate: `SSN/DOB: 123-45-6789:1980-01-31`.
        let is_beside = |byte: u8| context && matches!(byte, b':' | b'/');
        let text = self.place.text;
        let is_part = || {
            !is_beside(text.before(self.range.start)) && self.place.continues(self.range.start)
                || !is_beside(text.at(self.range.end)) && self.place.goes_on(self.range.end)
        };
        (confidence >= self.place.threshold && !is_part()).then_some(confidence)
    }

    /// Returns confidence as [`high_or`](Self::high_or), for forms that are evidence enough when they are the whole
    /// text. Within a text the confidence is low.
    pub(in crate::detect) fn high_or_whole(&self, whole: Confidence) -> Option<Confidence> {
        self.high_or(if self.is_whole() {
            whole
        } else {
            Confidence::Low
        })
    }
}

/// Maximum letters and digits of a form.
pub(super) const COMPACT: usize = 40;

/// Letters and digits of a candidate in capitals.
pub(in crate::detect) struct Capitals {
    bytes: [u8; COMPACT],
    len: usize,
}

impl std::ops::Deref for Capitals {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Value with its name, as in `api_key = "…"`.
pub(in crate::detect) struct NamedValue<'a> {
    pub(in crate::detect) place: MatchSite<'a>,
    /// Whole name: `MY_API_KEY`, `db.password`.
    pub(in crate::detect) name: &'a [u8],
    /// Start of the name; 0 if the name is the JSON key of the text.
    pub(in crate::detect) name_at: usize,
    pub(in crate::detect) value: Range<usize>,
    /// Separator between the name and the value.
    pub(in crate::detect) link: Binding,
    /// Quote around the value; 0: none.
    pub(in crate::detect) quote: u8,
    /// Character classes of the value.
    pub(in crate::detect) kinds: CharClasses,
    /// Keyword groups in the name.
    pub(in crate::detect) said: NameGroups,
}

impl NamedValue<'_> {
    /// Returns whether a detector with this filter inspects the value.
    #[inline]
    pub(super) fn passes(&self, filter: KeyFilter) -> bool {
        let name_is_quoted = || matches!(self.place.text.before(self.name_at), b'"' | b'\'');
        filter.has(
            self.name,
            self.said,
            self.link == Binding::Prose,
            self.quote != 0,
            name_is_quoted,
        )
    }

    /// Returns the bytes of the value.
    #[inline]
    pub(in crate::detect) fn bytes(&self) -> &[u8] {
        self.place.text.slice(self.value.clone())
    }

    /// Returns whether the value contains a [word of placeholders](crate::detect::entropy::has_word).
    pub(in crate::detect) fn has_placeholder(&self) -> bool {
        self.place.text.has_placeholder(self.value.clone())
    }

    /// Returns the value as a finding.
    pub(in crate::detect) fn found(&self, confidence: Confidence) -> Match {
        Match {
            start: self.value.start,
            end: self.value.end,
            confidence,
        }
    }

    /// Returns whether the name contains this part, case-insensitively.
    pub(in crate::detect) fn names(&self, part: &str) -> bool {
        names::has_part(self.name, part)
    }
}
