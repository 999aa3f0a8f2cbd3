//! Payment card numbers.

use std::ops::Range;

use super::phone::is_called_other;
use crate::detect::checksum::luhn;
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "credit_card",
    groups: &["pii", "payment"],
    doc: Doc {
        finds: "13–19 digits in a row, in groups of four, or as 4-6-5 and 4-6-4, with one separator or with mixed ones, after a word such as `card` in groups of any size with any marks between them, or with wide ones (spaces, tabs, a line end) or `,`, `:`, `;`, `*`, `~` where no other number stands beside it; in groups of any size without such a word with low confidence; an issuer's first digits and length; the Luhn check digit.",
        misses: "Numbers that are part of a longer run of digits, of a decimal or, without such a word, of an identifier.",
        source: "ISO/IEC 7812-1; issuer ranges as published by the card networks",
    },
    reach: 40,
    context: &[
        "card",
        "cards",
        "cc",
        "visa",
        "mastercard",
        "amex",
        "american express",
        "maestro",
        "discover",
        "diners",
        "jcb",
        "pan",
        "credit",
        "debit",
        "creditcard",
        "carta",
        "tarjeta",
        "karte",
        "kreditkarte",
        "carte",
        "cartao",
        "karta",
        "kaart",
    ],
    anchors: &[
        Anchor::Number(
            4..=4,
            PreFilter::ALWAYS
                .first(0b111_1100)
                .before_group(b" \t\n\r\x0C-.|_/+,:;*~0"),
            grouped,
        ),
        Anchor::Number(13..=19, PreFilter::ALWAYS, solid),
        Anchor::Number(
            2..=12,
            PreFilter::ALWAYS
                .in_context()
                .before_group(b" \t\n\r\x0B\x0C!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~0\x80"),
            loose,
        ),
    ],
    hits: &[
        hit(
            "in 2024 4111 1111 1111 1111 5500 0000 0000 0004 4012 8888 8888 1881",
            &[
                "4111 1111 1111 1111",
                "5500 0000 0000 0004",
                "4012 8888 8888 1881",
            ],
        ),
        hit("card 4111 1111 1111 1111.", &["4111 1111 1111 1111"]),
        hit(
            "card 4111 1111 1111 1111 123, 41111111 11111111, 4111111111111111/12/27",
            &[
                "4111 1111 1111 1111",
                "41111111 11111111",
                "4111111111111111",
            ],
        ),
        hit(
            "cards: 4111111111111111:12:27:123, 5555555555554444-123, 4012 8888 8888 1881/12/27",
            &[
                "4111111111111111",
                "5555555555554444",
                "4012 8888 8888 1881",
            ],
        ),
        hit("378282246310005", &["378282246310005"]),
        hit("3782-822463-10005", &["3782-822463-10005"]),
        hit("pay with 4111-1111 1111.1111", &["4111-1111 1111.1111"]),
        hit(
            "https://shop.example/pay?n=4111+1111+1111+1111&m=12",
            &["4111+1111+1111+1111"],
        ),
        hit(
            "pay 4111  1111\t1111\r\n1111 or 5555 - 5555 - 5555 - 4444.",
            &["4111  1111\t1111\r\n1111", "5555 - 5555 - 5555 - 4444"],
        ),
        hit(
            "pay 4111,1111,1111,1111 or 4111:1111:1111:1111 or 5555*5555*5555*4444 or 3782;822463;10005.",
            &[
                "4111,1111,1111,1111",
                "4111:1111:1111:1111",
                "5555*5555*5555*4444",
                "3782;822463;10005",
            ],
        ),
        hit(
            "card 41,11:11;11*11~11=11#11. card 411-11111111-11111",
            &["41,11:11;11*11~11=11#11", "411-11111111-11111"],
        ),
        hit(
            "card (4111) (1111) (1111) (1111), `5555` `5555` `5555` `4444`, 3782<br>822463, visa 4012\\8888\\8888\\1881, pan 6011•0009•9013•9424",
            &[
                "4111) (1111) (1111) (1111",
                "5555` `5555` `5555` `4444",
                "4012\\8888\\8888\\1881",
                "6011•0009•9013•9424",
            ],
        ),
        hit("3782 822463 10005\n2 items", &["3782 822463 10005"]),
        hit(
            "it is 4 1 1 1 - 1 1 1 1 - 1 1 1 1 - 1 1 1 1, I think",
            &["4 1 1 1 - 1 1 1 1 - 1 1 1 1 - 1 1 1 1"],
        ),
        hit("{\"cc\":\"5555555555554444\"}", &["5555555555554444"]),
    ],
    misses: &[
        miss("card 4111 1111 1111 1112", "wrong check digit"),
        miss("0.4111111111111111", "a decimal"),
        miss(
            "4111111111111111:12:27, 4111 1111 1111 1111-123",
            "part of something, and no word before it",
        ),
        miss("9111111111111111", "no issuer begins with 9"),
        miss("build 5555.5555.5555.4445", "wrong check digit"),
        miss("2000\t4111\t1111\t1111\t1111\n", "a row of a table"),
        miss("4111\n1111\n1111\n1111\n1200", "a column of a table"),
        miss(
            "[4111,1111,1111,1111], {4111:1111}, 7,4111,1111,1111,1111,3",
            "lists of numbers",
        ),
        miss(
            "411-11111111-11111",
            "groups of other sizes, and no word before them",
        ),
        miss(
            "EAN 4577297717897",
            "the check digit of an article's number",
        ),
        miss("[0, 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1]", "a row of digits"),
        miss("id 00000000000000000000", "twenty digits, no issuer"),
    ],
};

/// Finds a number without separators.
fn solid(place: &MatchSite<'_>) -> Option<Match> {
    let range = place.at..place.end;
    let number = place.text.slice(range.clone());
    if !issued(number) || !luhn(number) {
        return None;
    }
    if is_part(place, &range) {
        return None;
    }
    Some(Match {
        start: place.at,
        end: place.end,
        confidence: confidence(place, number),
    })
}

/// Finds a number in groups, whose first four digits are at this place.
fn grouped(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    if !matches!(text.at(place.at), b'2'..=b'6') || text.before(place.at).is_ascii_digit() {
        return None;
    }
    if let Some(written) = text
        .slice(place.at..place.at.wrapping_add(LOOK))
        .first_chunk::<LOOK>()
        && is_no_card(written)
    {
        return None;
    }
    next_group(place, place.end, true)?;
    let mut number = [0u8; 20];
    let mut len = 0usize;
    let mut groups = [0usize; 6];
    let mut group = 0usize;
    let mut wide = false;
    let mut marked = false;
    let mut at = place.at;
    let mut byte = text.at(at);
    let end = loop {
        let from = at;
        while byte.is_ascii_digit() {
            *number.get_mut(len)? = byte;
            len = len.wrapping_add(1);
            at = at.wrapping_add(1);
            byte = text.at(at);
        }
        let size = at.wrapping_sub(from);
        *groups.get_mut(group)? = size;
        group = group.wrapping_add(1);
        let second = group == 2 && !matches!(size, 4 | 6);
        if second || size > 8 || len > 19 {
            return None;
        }
        let next = match next_group(place, at, len <= 16) {
            Some(next) if len < 19 => next,
            _ => break at,
        };
        // A fifth group belongs to a number of 19 digits or to something else.
        if matches!(
            groups,
            [4, 4, 4, 4, 0, 0] | [4, 6, 5, 0, 0, 0] | [4, 6, 4, 0, 0, 0]
        ) {
            let fifth = text
                .run(next, 5, |byte| byte.is_ascii_digit())
                .wrapping_sub(next);
            // Three digits that do not complete the number are the security code on the back.
            let sixteen = number.get(..16)?;
            if fifth != 3 || len != 16 || issued(sixteen) && luhn(sixteen) {
                break at;
            }
        }
        wide |= next > at.wrapping_add(1) || matches!(byte, b'\t' | b'\n' | b'\r');
        marked |= is_mark(byte);
        at = next;
        byte = text.at(at);
    };
    let number = number.get(..len)?;
    let known = matches!(
        groups,
        [4, 4, 4, 4, 0, 0] | [4, 4, 4, 4, 3, 0] | [4, 6, 5, 0, 0, 0] | [4, 6, 4, 0, 0, 0]
    );
    let range = place.at..end;
    if !known || !issued(number) || !luhn(number) || is_part(place, &range) {
        return None;
    }
    let in_context = !(wide || marked) || place.context(place.at);
    if !in_context && (is_in_table(place, &range) || marked && is_listed(place, &range)) {
        return None;
    }
    let confidence = confidence(place, number);
    Some(Match {
        start: place.at,
        end,
        confidence: match in_context {
            false if marked => confidence.min(Confidence::Medium),
            _ => confidence,
        },
    })
}

/// Returns whether a number is part of something longer. After a context word, what stands beside it is its expiry date or
/// its security code: `4111111111111111:12:27:123`.
fn is_part(place: &MatchSite<'_>, range: &Range<usize>) -> bool {
    place.is_part(range)
        && (place.text.at(range.end).is_ascii_alphanumeric() || !place.context(range.start))
}

/// Returns whether a byte may be, once, between two groups; `+` is the space of a form's fields.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'_' | b'/' | b'+')
}

/// Returns whether a byte may also be between the numbers of a list.
fn is_mark(byte: u8) -> bool {
    matches!(byte, b',' | b':' | b';' | b'*' | b'~')
}

/// Returns whether a range is one of several values in brackets or with marks between them.
fn is_listed(place: &MatchSite<'_>, range: &Range<usize>) -> bool {
    let text = place.text;
    let within = |byte: u8| is_mark(byte) || byte == b' ';
    let before = text.run_back(range.start, WIDE, within);
    let after = text.run(range.end, WIDE, within);
    matches!(text.before(before), b'[' | b'(' | b'{')
        && matches!(text.at(after), b']' | b')' | b'}')
        || text.before(before).is_ascii_digit()
        || text.at(after).is_ascii_digit()
}

/// Returns where the next group of digits begins after one that ends at `at`: after one separator, or several wide
/// ones.
fn next_group(place: &MatchSite<'_>, at: usize, wide: bool) -> Option<usize> {
    let text = place.text;
    let byte = text.at(at);
    let mut next = at.wrapping_add(1);
    if (is_separator(byte) || wide && is_mark(byte)) && text.at(next).is_ascii_digit() {
        return Some(next);
    }
    if !wide || !is_wide(byte) {
        return None;
    }
    next = text.run(next, WIDE.wrapping_sub(1), is_wide);
    text.at(next).is_ascii_digit().then_some(next)
}

/// Finds a number after a context word, in groups of any size with anything but letters between them.
fn loose(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let between = |byte: u8| !byte.is_ascii_alphanumeric();
    let second = text.run(place.end, LOOSE, between);
    if second == place.end || !text.at(second).is_ascii_digit() {
        return None;
    }
    let is_grouped = || place.end.wrapping_sub(place.at) == 4 && grouped(place).is_some();
    if is_in_table(place, &(place.at..place.at)) || is_grouped() {
        return None;
    }
    let mut number = [0u8; 19];
    let mut len = 0usize;
    let mut at = place.at;
    let mut best = None;
    'groups: loop {
        while text.at(at).is_ascii_digit() {
            let Some(digit) = number.get_mut(len) else {
                break 'groups;
            };
            *digit = text.at(at);
            len = len.wrapping_add(1);
            at = at.wrapping_add(1);
        }
        let known = number.get(..len)?;
        if issued(known) && luhn(known) && !place.is_part(&(place.at..at)) {
            best = Some(at);
        }
        let next = text.run(at, LOOSE, between);
        if next == at || !text.at(next).is_ascii_digit() {
            break;
        }
        at = next;
    }
    let end = best?;
    // Checked last: checking for context words means reading them. Without one only the lengths of most cards count.
    let in_context = place.context(place.at);
    (in_context || matches!(len, 15 | 16)).then_some(Match {
        start: place.at,
        end,
        confidence: if in_context {
            Confidence::High
        } else {
            Confidence::Low
        },
    })
}

/// Maximum bytes between two groups after a context word: `** **` of Markdown, an emoji with a blank.
const LOOSE: usize = 6;

/// Maximum characters of a wide separator: ` - `, two line ends.
const WIDE: usize = 4;

fn is_wide(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'-' | b'.' | b'|')
}

/// Returns whether other numbers are beside a range, as in a row or column.
fn is_in_table(place: &MatchSite<'_>, range: &Range<usize>) -> bool {
    let text = place.text;
    let before = text.run_back(range.start, WIDE, is_wide);
    let after = text.run(range.end, WIDE, is_wide);
    before < range.start && text.before(before).is_ascii_digit()
        || after > range.end && text.at(after).is_ascii_digit()
}

/// Bytes of four groups of four digits with separators, and of the text that shows whether a fifth group has three
/// digits.
const LOOK: usize = 24;

/// Returns whether the second group has fewer than four digits, as in a date; or four groups of four digits are followed by no
/// fifth one of three, and their check digit is wrong. This rules out most grouped numbers, four digits at a time.
fn is_no_card(written: &[u8; LOOK]) -> bool {
    let at = |place: usize| written.get(place).copied().unwrap_or(0);
    if !is_separator(at(4)) {
        return false;
    }
    if at(5).is_ascii_digit() && !(6..9).all(|place| at(place).is_ascii_digit()) {
        return true;
    }
    if !is_separator(at(9)) || !is_separator(at(14)) {
        return false;
    }
    let group = |from: usize| {
        let four = written.get(from..).and_then(<[u8]>::first_chunk);
        four.map_or(0, |four| u64::from(u32::from_le_bytes(*four)))
    };
    let first = group(0) | group(5) << 32;
    let second = group(10) | group(15) << 32;
    let digits = |groups: u64| {
        groups & 0xF0F0_F0F0_F0F0_F0F0 == 0x3030_3030_3030_3030
            && groups.wrapping_add(0x0606_0606_0606_0606) & 0xF0F0_F0F0_F0F0_F0F0
                == 0x3030_3030_3030_3030
    };
    if !digits(first) || !digits(second) {
        return false;
    }
    let three = (20..23).all(|place| at(place).is_ascii_digit()) && !at(23).is_ascii_digit();
    if at(19).is_ascii_digit() || is_separator(at(19)) && three {
        return false;
    }
    // The first and third digit of each group are counted twice, two in one sum.
    let counted = |groups: u64| {
        let twice = groups & 0x000F_000F_000F_000F;
        let above_four = twice.wrapping_add(0x0003_0003_0003_0003) >> 3 & 0x0001_0001_0001_0001;
        let once = groups >> 8 & 0x000F_000F_000F_000F;
        twice
            .wrapping_mul(2)
            .wrapping_sub(above_four.wrapping_mul(9))
            .wrapping_add(once)
    };
    let sums = counted(first).wrapping_add(counted(second));
    // This product adds all four sums in the highest 16 bits.
    let sum = sums.wrapping_mul(0x0001_0001_0001_0001) >> 48;
    !sum.is_multiple_of(10)
}

/// Returns the confidence of a number. Fifteen or sixteen digits of an issuer are evidence enough. 13 and 14 digits
/// with a check digit are often a time or an article number, and longer ones an identifier.
fn confidence(place: &MatchSite<'_>, number: &[u8]) -> Confidence {
    match number.len() {
        _ if place.context(place.at) => Confidence::High,
        15 | 16 => Confidence::High,
        13 if !number.starts_with(b"4") => Confidence::Low,
        13 | 14 if is_called_other(place, place.at) => Confidence::Low,
        13 | 14 => Confidence::Medium,
        _ => Confidence::Low,
    }
}

/// Returns whether the first digits and the length of a number belong to a card network.
fn issued(number: &[u8]) -> bool {
    let head = number.get(..6).unwrap_or_default();
    let prefix = head.iter().fold(0u32, |prefix, byte| {
        prefix.wrapping_mul(10).wrapping_add(u32::from(byte & 0x0F))
    });
    let len = number.len();
    match prefix {
        // Visa
        400_000..=499_999 => matches!(len, 13 | 16 | 19),
        // Mastercard
        510_000..=559_999 | 222_100..=272_099 => len == 16,
        // American Express
        340_000..=349_999 | 370_000..=379_999 => len == 15,
        // Diners Club
        300_000..=305_999 | 309_500..=309_599 | 360_000..=369_999 | 380_000..=399_999 => {
            (14..=19).contains(&len)
        }
        // Discover and UnionPay
        601_100..=601_199 | 644_000..=659_999 | 620_000..=629_999 | 810_000..=817_199 => {
            (16..=19).contains(&len)
        }
        // JCB
        352_800..=358_999 => (16..=19).contains(&len),
        // Mir
        220_000..=220_499 => (16..=19).contains(&len),
        // Maestro and others of the 50 and 56–69 ranges
        500_000..=509_999 | 560_000..=699_999 => (13..=19).contains(&len),
        _ => false,
    }
}
