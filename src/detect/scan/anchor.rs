//! Declarations in a detector's file: the anchors where it is run, and the pre-filters that skip most of them.

use std::ops::RangeInclusive;

use super::names::KeyFilter;
use super::probe::{KeyedValidateFn, ProbeFn, ValidateFn};
use super::token_form::TokenPrefix;
use crate::detect::normalise::AnomalyKind;

/// Class of places in the text where a detector is run. The pass over the text finds each class without extra cost.
#[derive(Debug)]
pub(in crate::detect) enum Anchor {
    /// Forms in the language of [`forms`](super::forms), and the validator of a candidate that matches one.
    Forms(&'static [&'static str], ValidateFn),
    /// Run of digits whose length is in the range, with no letter next to it.
    Number(RangeInclusive<usize>, PreFilter, ProbeFn),
    /// Run of letters and digits with at least one of each, whose length is in the range.
    Mixed(RangeInclusive<usize>, PreFilter, ProbeFn),
    /// `@`.
    At(ProbeFn),
    /// `:` after a hexadecimal digit or another colon.
    Colon(ProbeFn),
    /// The third of three colons, or hyphens, with two characters between them.
    Pairs(ProbeFn),
    /// `://`.
    Url(ProbeFn),
    /// `---`.
    Dashes(ProbeFn),
    /// One of the marks `![`, `](`, `]:`, `<|`, `[inst`, `</s`.
    Mark(ProbeFn),
    /// Word that begins with one of these prefixes, case-insensitively; each has at least three characters.
    Word(&'static [&'static str], ProbeFn),
    /// As [`Word`](Self::Word), for findings that begin at the word.
    Token(&'static [&'static str], ProbeFn),
    /// Token that begins with one of these prefixes, case-sensitively.
    Beginning(&'static [TokenPrefix]),
    /// Anomaly in the original that is invisible to a reader.
    Odd(AnomalyKind),
    /// Phrases in scripts other than Latin, as written. They are searched only in texts with such characters.
    Phrases(&'static [&'static str]),
    /// Value of a name such as `password`, `token`, `api_key`, whose length in bytes is in the range.
    Keyed(RangeInclusive<usize>, KeyFilter, KeyedValidateFn),
}

/// Pre-filter that skips most tokens before a detector runs: by what precedes the token, its first digit, and what
/// follows it. All conditions must hold. Built from [`ALWAYS`](Self::ALWAYS) by adding conditions.
#[derive(Clone, Copy, Debug)]
pub(in crate::detect) struct PreFilter {
    pub(super) words: ContextWordNeed,
    /// Allowed first digits as a bit set; [`MARKED`] is the bit for tokens after `+` or `(`. `None`: any character.
    pub(super) firsts: Option<u16>,
    /// Characters that may follow the token; empty: any.
    pub(super) next: &'static [u8],
    /// Characters that may follow that character. Each represents its class, `0` every digit; empty: any.
    pub(super) second: &'static [u8],
    /// Whether one of `next` must follow even at the end of the text.
    pub(super) strict: bool,
    /// Whether a name must begin after those characters.
    pub(super) named: bool,
    /// Whether more digits must follow after a separator.
    pub(super) grouped: bool,
    /// Whether the filter passes only near characters outside ASCII, or under a key that is a context word.
    pub(super) wide: bool,
    /// Whether the token must begin with two letters.
    pub(super) lettered: bool,
}

/// Bytes before a token in which a character outside ASCII counts: those of context words, and of a value that begins
/// before the token. What stands further away or after the token has no effect, so that a stream has the findings of
/// the whole text.
pub(super) const WIDE_BEFORE: usize = 128;

/// Bit in a set of first digits for tokens after `+` or `(`.
pub(super) const MARKED: u16 = 1 << 10;

/// Whether a context word must precede the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContextWordNeed {
    /// No.
    None,
    /// Yes, unless findings of low confidence are wanted, or the detector has no context words.
    UnlessLow,
    /// Yes, or the token has one of the first digits.
    OrFirst,
}

impl PreFilter {
    /// Passes every token.
    pub(in crate::detect) const ALWAYS: Self = Self {
        words: ContextWordNeed::None,
        firsts: None,
        next: &[],
        second: &[],
        strict: false,
        named: false,
        grouped: false,
        wide: false,
        lettered: false,
    };

    /// Passes tokens after a context word only, unless the policy asks for findings of low confidence.
    pub(in crate::detect) const fn in_context(self) -> Self {
        Self {
            words: ContextWordNeed::UnlessLow,
            ..self
        }
    }

    /// Passes tokens after a context word, after `+` or `(`, or with one of these first digits (a bit set).
    pub(in crate::detect) const fn in_context_or(self, digits: u16) -> Self {
        Self {
            words: ContextWordNeed::OrFirst,
            firsts: Some(digits | MARKED),
            ..self
        }
    }

    /// Passes tokens with one of these first digits, a bit set.
    pub(in crate::detect) const fn first(self, digits: u16) -> Self {
        Self {
            firsts: Some(digits),
            ..self
        }
    }

    /// Passes tokens with one of these first digits, a bit set, or after `+` or `(`.
    pub(in crate::detect) const fn first_or_marked(self, digits: u16) -> Self {
        self.first(digits | MARKED)
    }

    /// Passes tokens with a character outside ASCII within [`WIDE_BEFORE`] bytes before them, or under a key that is a
    /// context word. In other texts nearly every token is made of letters and digits. Reading all words before each of
    /// them would cost more than the rest of the scan.
    pub(in crate::detect) const fn in_wide_text(self) -> Self {
        Self { wide: true, ..self }
    }

    /// Passes tokens that begin with two letters.
    pub(in crate::detect) const fn lettered(self) -> Self {
        Self {
            lettered: true,
            ..self
        }
    }

    /// Passes tokens before one of these characters.
    pub(in crate::detect) const fn before(self, next: &'static [u8]) -> Self {
        Self {
            next,
            strict: true,
            ..self
        }
    }

    /// Passes tokens before one of these characters and another of them after it; `0` represents every digit.
    pub(in crate::detect) const fn before_group(self, next: &'static [u8]) -> Self {
        Self {
            next,
            second: next,
            ..self
        }
    }

    /// Passes tokens before one of these characters, followed by a letter or by a separator between the parts of a
    /// date.
    pub(in crate::detect) const fn before_date(self, next: &'static [u8]) -> Self {
        Self {
            next,
            second: b" ,.-aA\x80",
            ..self
        }
    }

    /// Passes tokens after a context word, before a space and a capital, or a letter that is not Latin.
    pub(in crate::detect) const fn before_name(self) -> Self {
        Self {
            words: ContextWordNeed::OrFirst,
            firsts: Some(0),
            next: b" ",
            second: b"A\x80",
            strict: true,
            named: true,
            ..self
        }
    }

    /// Passes tokens before more digits after a separator.
    pub(in crate::detect) const fn of_groups(self) -> Self {
        Self {
            next: b" -./()",
            second: b"0 -./(",
            grouped: true,
            ..self
        }
    }
}
