//! International bank account numbers.

use crate::detect::checksum::mod_97;
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "iban",
    groups: &["pii", "payment"],
    doc: Doc {
        finds: "A country of the registry, two check digits, as many characters as the country has, in one piece, with spaces, dots or hyphens, over two lines, or in groups of four with any marks between them; in small letters where half of it are digits; ISO 7064 MOD 97-10 of the whole is 1.",
        misses: "Numbers in small letters that are mostly letters.",
        source: "ISO 13616-1; SWIFT, IBAN Registry",
    },
    reach: 48,
    context: &[],
    anchors: &[
        // The first of several groups; none contains all characters of the number.
        Anchor::Mixed(
            4..=4,
            PreFilter::ALWAYS
                .lettered()
                .before(b" -.\t\n\r\x0B\x0C!\"#$%&'()*+,/:;<=>?@[\\]^_`{|}~\x80"),
            probe,
        ),
        Anchor::Mixed(
            5..=14,
            PreFilter::ALWAYS.lettered().before(b" -.\t\n\r\x0C"),
            probe,
        ),
        Anchor::Mixed(15..=38, PreFilter::ALWAYS.lettered(), probe),
    ],
    hits: &[
        hit(
            "IBAN: DE89 3704 0044 0532 0130 00.",
            &["DE89 3704 0044 0532 0130 00"],
        ),
        hit("GB82WEST12345698765432", &["GB82WEST12345698765432"]),
        hit(
            "AL47-2121-1009-0000-0002-3569-8741",
            &["AL47-2121-1009-0000-0002-3569-8741"],
        ),
        hit(
            "to CH93 0076 2011 6238 5295 7 today",
            &["CH93 0076 2011 6238 5295 7"],
        ),
        hit(
            "de89 3704 0044 0532 0130 00, gb82west12345698765432",
            &["de89 3704 0044 0532 0130 00", "gb82west12345698765432"],
        ),
        hit(
            "DE89  3704\t0044\r\n0532 0130 00",
            &["DE89  3704\t0044\r\n0532 0130 00"],
        ),
        hit(
            "DE89/3704/0044/0532/0130/00, DE89,3704,0044,0532,0130,00; DE89 - 3704 - 0044 - 0532 - 0130 - 00",
            &[
                "DE89/3704/0044/0532/0130/00",
                "DE89,3704,0044,0532,0130,00",
                "DE89 - 3704 - 0044 - 0532 - 0130 - 00",
            ],
        ),
        hit(
            "__DE89370400440532013000__ or _GB82WEST12345698765432_",
            &["DE89370400440532013000", "GB82WEST12345698765432"],
        ),
        hit("IBANDE89370400440532013000", &["DE89370400440532013000"]),
        hit(
            "D E 8 9 3 7 0 4 0 0 4 4 0 5 3 2 0 1 3 0 0 0",
            &["D E 8 9 3 7 0 4 0 0 4 4 0 5 3 2 0 1 3 0 0 0"],
        ),
    ],
    misses: &[
        miss("DE89 3704 0044 0532 0130 01", "wrong check digits"),
        miss("DE89 3704 0044 0532 0130", "too short for Germany"),
        miss("de89 3704 00\n44 0532 0130 00", "cut within a group"),
        miss("XX89 3704 0044 0532 0130 00", "no such country"),
    ],
};

/// Countries and the lengths of their numbers.
const COUNTRIES: &[(&[u8; 2], u8)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"DZ", 26),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IR", 26),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MA", 28),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"MZ", 25),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// Maximum bytes between two groups of four, of anything but letters and digits.
const BETWEEN_GROUPS: usize = 4;

/// Length of the numbers for every pair of letters; 0: not a country.
static LENGTHS: [[u8; 26]; 26] = lengths();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn lengths() -> [[u8; 26]; 26] {
    let mut lengths = [[0; 26]; 26];
    let mut index = 0;
    while index < COUNTRIES.len() {
        let ([first, second], length) = COUNTRIES[index];
        lengths[(*first - b'A') as usize][(*second - b'A') as usize] = length;
        index += 1;
    }
    lengths
}

fn probe(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    // The context word may precede the number without a space.
    let named = text.slice(place.at..place.end).get(..4);
    let start = match named {
        Some(name) if name.eq_ignore_ascii_case(b"iban") => place.at.wrapping_add(4),
        _ => place.at,
    };
    let letter = |at: usize| usize::from(text.at(at).to_ascii_uppercase().wrapping_sub(b'A'));
    let length = LENGTHS
        .get(letter(start))
        .and_then(|second| second.get(letter(start.wrapping_add(1))))
        .map_or(0, |length| usize::from(*length));
    if length == 0 {
        return None;
    }
    let check = start.wrapping_add(2);
    if !text.at(check).is_ascii_digit() || !text.at(check.wrapping_add(1)).is_ascii_digit() {
        return None;
    }
    let mut number = [0u8; 34];
    let mut len = 0usize;
    let mut at = start;
    let mut separators = 0usize;
    let mut small = false;
    while len < length {
        // Usually digits and capitals are in groups of four.
        if len.is_multiple_of(4)
            && len.wrapping_add(4) <= length
            && let Some(four) = text.slice(at..at.wrapping_add(4)).first_chunk::<4>()
            && let Some(to) = number.get_mut(len..len.wrapping_add(4))
            && four
                .iter()
                .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        {
            to.copy_from_slice(four);
            len = len.wrapping_add(4);
            at = at.wrapping_add(4);
            separators = 0;
            continue;
        }
        let byte = text.at(at);
        let between = separators == 0 && len >= 2 && matches!(byte, b' ' | b'-' | b'.')
            || len.is_multiple_of(4) && len > 0 && separators < BETWEEN_GROUPS;
        if byte.is_ascii_alphanumeric() {
            *number.get_mut(len)? = byte.to_ascii_uppercase();
            len = len.wrapping_add(1);
            small |= byte.is_ascii_lowercase();
            separators = 0;
        } else if between {
            separators = separators.wrapping_add(1);
        } else {
            return None;
        }
        at = at.wrapping_add(1);
    }
    // Words in lower case are checked as well.
    let is_prose = small && {
        let digits = number.iter().filter(|byte| byte.is_ascii_digit()).count();
        digits.wrapping_mul(2) < len
    };
    if text.at(at).is_ascii_alphanumeric() || text.continues_name(place.at) || is_prose {
        return None;
    }
    let (head, tail) = number.get(..len)?.split_at_checked(4)?;
    let rest = mod_97(tail.iter().chain(head).copied())?;
    (rest == 1).then_some(Match {
        start,
        end: at,
        confidence: Confidence::High,
    })
}
