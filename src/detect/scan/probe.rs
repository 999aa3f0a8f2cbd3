//! What a detector's functions get to see: the place in the text, a candidate that has a form, a name with its value.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use super::alphabet::Binding;
use super::context::{ContextDictionary, ContextWords, DetectorSet};
use super::names::{self, KeyFilter, NameGroups};
use super::text::Text;
use crate::detect::Confidence;
use crate::detect::entropy::CharClasses;

/// Looks at what has one of the forms.
pub(in crate::detect) type ValidateFn = fn(&Candidate<'_>) -> Option<Confidence>;

/// Looks at the value of a name.
pub(in crate::detect) type KeyedValidateFn = fn(&NamedValue<'_>) -> Option<Match>;

/// Looks around a place.
pub(in crate::detect) type ProbeFn = fn(&MatchSite<'_>) -> Option<Match>;

/// A finding in the normalised text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) struct Match {
    pub(in crate::detect) start: usize,
    pub(in crate::detect) end: usize,
    pub(in crate::detect) confidence: Confidence,
}

/// A place of the text that a detector is anchored at.
pub(in crate::detect) struct MatchSite<'a> {
    pub(in crate::detect) text: &'a Text<'a>,
    /// The anchor: the first byte of the mark, word or token.
    pub(in crate::detect) at: usize,
    /// The first byte after the token or word; for marks the same as `at`.
    pub(in crate::detect) end: usize,
    /// The detector's bit among those that have words of context.
    pub(super) context: DetectorSet,
    /// The least confidence that is asked for.
    pub(super) threshold: Confidence,
    pub(super) near: &'a RefCell<ContextWords>,
    pub(super) terms: &'a ContextDictionary,
    /// The first byte that a finding could begin at, should the text go on.
    pub(super) first: Cell<usize>,
}

/// Most quotes and spaces on each side of what a text is nothing but.
pub(super) const BLANKS: usize = 16;

impl MatchSite<'_> {
    /// Says where a finding would begin if the text goes on; without it, at the anchor.
    pub(in crate::detect) fn begins(&self, at: usize) {
        self.first.set(at);
    }

    /// Whether one of the detector's words stands before `at`, or in the key that the text stands under.
    pub(in crate::detect) fn context(&self, at: usize) -> bool {
        self.context != 0
            && self
                .near
                .borrow_mut()
                .before(self.text.bytes(), at, self.terms)
                & self.context
                != 0
    }

    /// Whether the text is nothing but this range, quotes and spaces aside.
    pub(in crate::detect) fn is_whole(&self, range: &Range<usize>) -> bool {
        let blank = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`');
        range.start <= BLANKS
            && self.text.run_back(range.start, BLANKS, blank) == 0
            && self.text.at(self.text.run(range.end, BLANKS, blank)) == 0
    }

    /// Whether the characters around a range make it part of something longer: a decimal, an identifier with
    /// digits, a time.
    pub(in crate::detect) fn is_part(&self, range: &Range<usize>) -> bool {
        let text = self.text;
        let mark = text.before(range.start);
        let left = range.start.saturating_sub(1);
        let part_left = match mark {
            b'.' | b':' | b'/' => text.before(left).is_ascii_digit(),
            b'-' | b'_' => {
                let run = text.run_back(left, 12, |byte| byte.is_ascii_alphanumeric());
                text.slice(run..left).iter().any(u8::is_ascii_digit)
            }
            b'+' | b'#' | b'$' => mark == b'+',
            _ => mark.is_ascii_alphanumeric(),
        };
        if part_left {
            return true;
        }
        let right = range.end.wrapping_add(1);
        match text.at(range.end) {
            b'.' | b':' | b'/' => text.at(right).is_ascii_digit(),
            b'-' | b'_' => {
                let run = text.run(right, 12, |byte| byte.is_ascii_alphanumeric());
                text.slice(right..run).iter().any(u8::is_ascii_digit)
            }
            b'%' => true,
            byte => byte.is_ascii_alphanumeric(),
        }
    }
}

/// Something that fits a form.
pub(in crate::detect) struct Candidate<'a> {
    pub(in crate::detect) place: MatchSite<'a>,
    pub(in crate::detect) range: Range<usize>,
    /// Which form of the detector's list.
    pub(in crate::detect) form: usize,
    pub(super) compact: &'a [u8],
}

impl Candidate<'_> {
    /// Letters and digits as written, without separators.
    pub(in crate::detect) fn compact(&self) -> &[u8] {
        self.compact
    }

    /// The same in capitals.
    pub(in crate::detect) fn capitals(&self) -> Capitals {
        let mut bytes = [0; COMPACT];
        if let Some(to) = bytes.get_mut(..self.compact.len()) {
            to.copy_from_slice(self.compact);
            to.make_ascii_uppercase();
        }
        Capitals {
            bytes,
            len: self.compact.len(),
        }
    }

    /// Whether it is written with separators.
    pub(in crate::detect) fn is_separated(&self) -> bool {
        self.range.len() > self.compact.len()
    }

    /// Whether it is a part of something longer.
    pub(in crate::detect) fn is_part(&self) -> bool {
        self.place.is_part(&self.range)
    }

    /// Whether one of the detector's words stands before it.
    pub(in crate::detect) fn context(&self) -> bool {
        self.place.context(self.range.start)
    }

    /// Whether the text is nothing else.
    pub(in crate::detect) fn is_whole(&self) -> bool {
        self.place.is_whole(&self.range)
    }

    /// High with one of the detector's words before it, else as given; nothing if it is part of something longer.
    pub(in crate::detect) fn high_or(&self, otherwise: Confidence) -> Option<Confidence> {
        self.unless_part(if self.context() {
            Confidence::High
        } else {
            otherwise
        })
    }

    /// As [`high_or`](Self::high_or), for forms that say enough where the text is nothing else: low within a text.
    pub(in crate::detect) fn high_or_whole(&self, whole: Confidence) -> Option<Confidence> {
        let confidence = if self.context() {
            Confidence::High
        } else if self.is_whole() {
            whole
        } else {
            Confidence::Low
        };
        self.unless_part(confidence)
    }

    /// What is too uncertain to be asked for is not looked at further.
    fn unless_part(&self, confidence: Confidence) -> Option<Confidence> {
        (confidence >= self.place.threshold && !self.is_part()).then_some(confidence)
    }
}

/// Most letters and digits of a form.
pub(super) const COMPACT: usize = 40;

/// A compact candidate in capitals.
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

/// A value that something like `api_key = "…"` names.
pub(in crate::detect) struct NamedValue<'a> {
    pub(in crate::detect) place: MatchSite<'a>,
    /// The whole name: `MY_API_KEY`, `db.password`.
    pub(in crate::detect) name: &'a [u8],
    /// Where the name begins; 0 if it is the key that the text stands under.
    pub(in crate::detect) name_at: usize,
    pub(in crate::detect) value: Range<usize>,
    /// What stands between.
    pub(in crate::detect) link: Binding,
    /// The quote that the value stands in; 0: none.
    pub(in crate::detect) quote: u8,
    /// What the value is made of.
    pub(in crate::detect) kinds: CharClasses,
    /// What the name says.
    pub(in crate::detect) said: NameGroups,
}

impl NamedValue<'_> {
    /// Whether a detector with this filter looks at the value.
    #[inline]
    pub(super) fn passes(&self, filter: KeyFilter) -> bool {
        let name_is_quoted = || matches!(self.place.text.before(self.name_at), b'"' | b'\'');
        filter.has(
            self.name,
            self.said,
            self.link == Binding::Told,
            self.quote != 0,
            name_is_quoted,
        )
    }

    /// The value's bytes.
    #[inline]
    pub(in crate::detect) fn bytes(&self) -> &[u8] {
        self.place.text.slice(self.value.clone())
    }

    /// As [`is_placeholder`](crate::detect::variety::is_placeholder), of the value.
    pub(in crate::detect) fn is_placeholder(&self) -> bool {
        let value = self.bytes();
        self.kinds.is_reference(value)
            || self.kinds.is_repetitive(value)
            || self.place.text.has_placeholder(self.value.clone())
    }

    /// The value as a finding.
    pub(in crate::detect) fn found(&self, confidence: Confidence) -> Match {
        Match {
            start: self.value.start,
            end: self.value.end,
            confidence,
        }
    }

    /// Whether the name has this part, letters in any case.
    pub(in crate::detect) fn names(&self, part: &str) -> bool {
        names::has_part(self.name, part)
    }
}
