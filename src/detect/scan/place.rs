//! What a validator gets to see of a candidate.

use std::cell::{Cell, RefCell};
use std::ops::{Range, RangeInclusive};

use super::context::{ContextDictionary, ContextWords, DetectorSet};
use super::names::{self, KeyFilter, NameGroups};
use super::text::Text;
use super::token_form::TokenPrefix;
use crate::detect::Confidence;
use crate::detect::entropy::CharClasses;
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

/// What spares a look at most tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum PreFilter {
    /// Every token is looked at.
    Always,
    /// Only those after one of the detector's words, unless findings of low confidence are wanted.
    InContext,
    /// As [`InContext`](Self::InContext), where the text has more than ASCII or its key is such a word. In other texts
    /// nearly every token is one of letters and digits, and to read all words before them would cost more than the rest.
    InWideContext,
    /// As [`InContext`](Self::InContext), and one of these characters follows, with a letter behind it, or what may stand
    /// between the parts of a date.
    InContextBefore(&'static [u8]),
    /// As [`InContext`](Self::InContext), and one of these characters follows, with another of them behind it; `0` stands
    /// for every digit.
    InContextBeforeGroup(&'static [u8]),
    /// Only those before one of these characters.
    Before(&'static [u8]),
    /// Only those that begin with two letters.
    BeginsWithLetters,
    /// As [`BeginsWithLetters`](Self::BeginsWithLetters), before one of these characters.
    BeginsWithLettersBefore(&'static [u8]),
    /// Those after one of the detector's words, those with one of these digits first (a set of bits), and those behind
    /// `+` or `(`.
    InContextOr(u16),
    /// Only those after one of the detector's words, before a space and a capital, or a letter that isn't Latin.
    BeforeName,
    /// Only those with one of these digits first, a set of bits, before one of these characters, with another of them
    /// behind it; `0` stands for every digit.
    FirstBeforeGroup(u16, &'static [u8]),
    /// Only those with one of these digits first, a set of bits, and those behind `+` or `(`, if more digits follow behind
    /// a separator.
    FirstOfGroups(u16),
    /// As [`InContextOr`](Self::InContextOr), and more digits follow behind a separator.
    GroupsInContextOr(u16),
}

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

/// Sets of characters that tokens are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum Alphabet {
    /// `0-9`
    Digits,
    /// `0-9a-f`
    HexSmall,
    /// `0-9a-fA-F`
    Hex,
    /// `0-9A-Z`
    Capitals,
    /// `0-9a-z`
    Smalls,
    /// `0-9a-zA-Z`
    Alphanumeric,
    /// `0-9a-zA-Z_`
    Word,
    /// `A-Z2-7`
    Base32,
    /// `0-9a-zA-Z_-`
    Base64Url,
    /// `0-9a-zA-Z_-=`
    Base64UrlPadded,
    /// `0-9a-zA-Z-`
    Hyphened,
    /// `0-9a-zA-Z+/=`
    Base64,
    /// `0-9a-zA-Z_.=-`
    Dotted,
    /// `0-9a-zA-Z_.=+/-`
    Wide,
    /// What names go on with behind a word: `0-9a-zA-Z_@-`
    Name,
    /// What values without quotes are made of.
    Bare,
}

impl Alphabet {
    /// How many there are.
    pub(super) const COUNT: usize = Self::Bare as usize + 1;

    /// The alphabet of a regular expression's class, without its brackets.
    pub(super) fn of_class(class: &str) -> Option<Alphabet> {
        Some(match class {
            "0-9" => Self::Digits,
            "0-9a-f" => Self::HexSmall,
            "0-9a-fA-F" => Self::Hex,
            "0-9A-Z" => Self::Capitals,
            "0-9a-z" => Self::Smalls,
            "0-9a-zA-Z" => Self::Alphanumeric,
            "0-9a-zA-Z_" => Self::Word,
            "A-Z2-7" => Self::Base32,
            "0-9a-zA-Z_-" => Self::Base64Url,
            "0-9a-zA-Z_=-" => Self::Base64UrlPadded,
            "0-9a-zA-Z-" => Self::Hyphened,
            "0-9a-zA-Z+/=" => Self::Base64,
            "0-9a-zA-Z_.=-" => Self::Dotted,
            "0-9a-zA-Z_.=+/-" => Self::Wide,
            _ => return None,
        })
    }

    /// Whether the alphabet has this character.
    #[inline]
    pub(in crate::detect) fn has(self, byte: u8) -> bool {
        ALPHABETS
            .get(usize::from(byte))
            .is_some_and(|alphabets| alphabets >> self as u16 & 1 == 1)
    }

    /// What the table is made of.
    const fn defines(self, byte: u8) -> bool {
        let alphanumeric = byte.is_ascii_alphanumeric();
        match self {
            Self::Digits => byte.is_ascii_digit(),
            Self::HexSmall => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Capitals => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            Self::Smalls => byte.is_ascii_digit() || byte.is_ascii_lowercase(),
            Self::Alphanumeric => alphanumeric,
            Self::Word => alphanumeric || byte == b'_',
            Self::Base32 => matches!(byte, b'A'..=b'Z' | b'2'..=b'7'),
            Self::Hyphened => alphanumeric || byte == b'-',
            Self::Base64Url => alphanumeric || matches!(byte, b'_' | b'-'),
            Self::Base64UrlPadded => alphanumeric || matches!(byte, b'_' | b'-' | b'='),
            Self::Base64 => alphanumeric || matches!(byte, b'+' | b'/' | b'='),
            Self::Dotted => alphanumeric || matches!(byte, b'_' | b'-' | b'=' | b'.'),
            Self::Wide => alphanumeric || matches!(byte, b'_' | b'-' | b'=' | b'.' | b'+' | b'/'),
            Self::Name => alphanumeric || matches!(byte, b'_' | b'-' | b'@'),
            Self::Bare => {
                byte > b' '
                    && !matches!(
                        byte,
                        b'"' | b'\'' | b'`' | b'<' | b'>' | b';' | b',' | b'&' | b'|'
                    )
            }
        }
    }
}

/// For each character the alphabets that have it, a bit for each.
static ALPHABETS: [u16; 256] = alphabets();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn alphabets() -> [u16; 256] {
    let all = [
        Alphabet::Digits,
        Alphabet::HexSmall,
        Alphabet::Hex,
        Alphabet::Capitals,
        Alphabet::Smalls,
        Alphabet::Alphanumeric,
        Alphabet::Word,
        Alphabet::Base32,
        Alphabet::Base64Url,
        Alphabet::Base64UrlPadded,
        Alphabet::Hyphened,
        Alphabet::Base64,
        Alphabet::Dotted,
        Alphabet::Wide,
        Alphabet::Name,
        Alphabet::Bare,
    ];
    let mut table = [0u16; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut each = 0;
        while each < all.len() {
            if all[each].defines(byte as u8) {
                table[byte] |= 1 << all[each] as u16;
            }
            each += 1;
        }
        byte += 1;
    }
    table
}

/// What detectors look for around many places that may stand close together.
#[derive(Clone, Copy, Debug)]
pub(in crate::detect) enum SearchState {
    /// The mark within a key of OpenAI's.
    KeyMark,
    /// What a manifest is of, before and behind its data.
    KindBefore,
    /// See above.
    KindBehind,
    /// White space longer than other marks between the words of a phrase.
    White,
    /// A noun of a phrase in disguise.
    Noun,
    /// Where the body of a private key breaks off, ends, and where the next one begins.
    KeyBreak,
    /// See above.
    KeyEnd,
    /// See above.
    KeyBegin,
}

impl SearchState {
    /// How many there are.
    pub(super) const COUNT: usize = Self::KeyBegin as usize + 1;
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

/// How a name and its value belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum Binding {
    /// `=`, `:`, `:=`, `=>`, `<name>value`.
    Assigned,
    /// `==`, `!=`.
    Compared,
    /// `("name", "value")`, `--name value`, `name "value"`.
    Beside,
    /// `name is value`, in prose.
    Told,
    /// The value stands under the name as its JSON key.
    Key,
}

impl NamedValue<'_> {
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
