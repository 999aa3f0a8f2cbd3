//! Data that a detector declares: in which places it looks, and which of them are not worth a look.

use std::ops::RangeInclusive;

use super::names::KeyFilter;
use super::probe::{KeyedValidateFn, ProbeFn, ValidateFn};
use super::token_form::TokenPrefix;
use crate::detect::normalise::AnomalyKind;

/// Where a detector looks. Each is a class of places that the pass over the text knows without extra cost.
#[derive(Debug)]
pub(in crate::detect) enum Anchor {
    /// Forms in the language of [`forms`](super::forms), and the judge of what fits one.
    Forms(&'static [&'static str], ValidateFn),
    /// Digits in a row, so many, with no letter next to them.
    Number(RangeInclusive<usize>, PreFilter, ProbeFn),
    /// Letters and digits in a row, so many of both, at least one of each.
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
    /// One of the marks `![`, `](h`, `<|`, `[inst`, `</s`.
    Mark(ProbeFn),
    /// A word that begins so; at least three characters, letters in any case.
    Word(&'static [&'static str], ProbeFn),
    /// As [`Word`](Self::Word); what is found begins with the word.
    Token(&'static [&'static str], ProbeFn),
    /// A token that begins so, in this case.
    Beginning(&'static [TokenPrefix]),
    /// Something in the original that a reader can't see.
    Odd(AnomalyKind),
    /// Phrases in scripts that aren't Latin, as they are written; found in texts with such characters only.
    Phrases(&'static [&'static str]),
    /// A value of so many bytes that stands after a word such as `password`, `token`, `api_key`.
    Keyed(RangeInclusive<usize>, KeyFilter, KeyedValidateFn),
}

/// Conditions that spare a look at most tokens: what precedes the token, its first digit, and what follows it. All must
/// hold. Built from [`ALWAYS`](Self::ALWAYS) by adding conditions.
#[derive(Clone, Copy, Debug)]
pub(in crate::detect) struct PreFilter {
    pub(super) words: ContextWordNeed,
    /// First digits, a set of bits; [`MARKED`] stands for tokens behind `+` or `(`. `None`: any character.
    pub(super) firsts: Option<u16>,
    /// Characters that may follow the token; none: any.
    pub(super) next: &'static [u8],
    /// Characters that may follow that one; each stands for its class, `0` for every digit; none: any.
    pub(super) second: &'static [u8],
    /// Whether one of `next` must follow even where the text ends behind the token.
    pub(super) strict: bool,
    /// Whether a name must begin behind that.
    pub(super) named: bool,
    /// Whether more digits must follow behind a separator.
    pub(super) grouped: bool,
    /// Whether only texts with more than ASCII, or under a key that is a context word, are looked at.
    pub(super) wide: bool,
    /// Whether the token must begin with two letters.
    pub(super) lettered: bool,
}

/// In a set of first digits: tokens behind `+` or `(`.
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
    /// Every token is looked at.
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

    /// Behind a context word, unless findings of low confidence are wanted.
    pub(in crate::detect) const fn in_context(self) -> Self {
        Self {
            words: ContextWordNeed::UnlessLow,
            ..self
        }
    }

    /// Behind a context word, or with one of these digits first (a set of bits), or behind `+` or `(`.
    pub(in crate::detect) const fn in_context_or(self, digits: u16) -> Self {
        Self {
            words: ContextWordNeed::OrFirst,
            firsts: Some(digits | MARKED),
            ..self
        }
    }

    /// With one of these digits first, a set of bits.
    pub(in crate::detect) const fn first(self, digits: u16) -> Self {
        Self {
            firsts: Some(digits),
            ..self
        }
    }

    /// With one of these digits first, a set of bits, or behind `+` or `(`.
    pub(in crate::detect) const fn first_or_marked(self, digits: u16) -> Self {
        self.first(digits | MARKED)
    }

    /// In texts with more than ASCII, or under a key that is a context word. In other texts nearly every token is one of
    /// letters and digits, and to read all words before them would cost more than the rest.
    pub(in crate::detect) const fn in_wide_text(self) -> Self {
        Self { wide: true, ..self }
    }

    /// Beginning with two letters.
    pub(in crate::detect) const fn lettered(self) -> Self {
        Self {
            lettered: true,
            ..self
        }
    }

    /// Before one of these characters.
    pub(in crate::detect) const fn before(self, next: &'static [u8]) -> Self {
        Self {
            next,
            strict: true,
            ..self
        }
    }

    /// Before one of these characters with another of them behind it; `0` stands for every digit.
    pub(in crate::detect) const fn before_group(self, next: &'static [u8]) -> Self {
        Self {
            next,
            second: next,
            ..self
        }
    }

    /// Before one of these characters, with a letter behind it, or what may stand between the parts of a date.
    pub(in crate::detect) const fn before_date(self, next: &'static [u8]) -> Self {
        Self {
            next,
            second: b" ,.-aA\x80",
            ..self
        }
    }

    /// Behind a context word, before a space and a capital, or a letter that isn't Latin.
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

    /// Before more digits behind a separator.
    pub(in crate::detect) const fn of_groups(self) -> Self {
        Self {
            next: b" -./()",
            second: b"0 -./(",
            grouped: true,
            ..self
        }
    }
}
