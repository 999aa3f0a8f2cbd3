//! Alphabets of tokens, search states, and bindings between a name and its value.

/// Set of characters that tokens consist of.
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
    /// Characters of a name after its keyword: `0-9a-zA-Z_@-`
    Name,
    /// Characters of unquoted values.
    Bare,
}

impl Alphabet {
    /// Number of alphabets.
    pub(super) const COUNT: usize = Self::Bare as usize + 1;

    /// Returns the alphabet of a regular expression's class, without its brackets.
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

    /// Returns whether the alphabet contains this character.
    #[inline]
    pub(in crate::detect) fn has(self, byte: u8) -> bool {
        ALPHABETS
            .get(usize::from(byte))
            .is_some_and(|alphabets| alphabets >> self as u16 & 1 == 1)
    }

    /// Returns whether the alphabet contains this character, by definition; the table is built from this.
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

/// For each character the alphabets that contain it, one bit each.
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

/// Search of detectors around many places that may be close together. Each keeps its own result.
#[derive(Clone, Copy, Debug)]
pub(in crate::detect) enum SearchState {
    /// Mark inside a key of OpenAI's.
    KeyMark,
    /// Kind of a manifest, before its data.
    KindBefore,
    /// Kind of a manifest, after its data.
    KindBehind,
    /// White space longer than other marks between the words of a phrase.
    White,
    /// Noun of a disguised phrase.
    Noun,
    /// Position where the body of a private key is interrupted.
    KeyBreak,
    /// Position where the body of a private key ends.
    KeyEnd,
    /// Position where the next private key begins.
    KeyBegin,
}

impl SearchState {
    /// Number of search states.
    pub(super) const COUNT: usize = Self::KeyBegin as usize + 1;
}

/// Binding between a name and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum Binding {
    /// `=`, `:`, `:=`, `=>`, `<name>value`.
    Assigned,
    /// `==`, `!=`.
    Compared,
    /// `("name", "value")`, `--name value`, `name "value"`.
    Beside,
    /// `name is value`, in prose.
    Prose,
    /// The name is the JSON key of the value.
    Key,
}
