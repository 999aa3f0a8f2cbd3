//! Telephone numbers.

use std::ops::Range;

use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "phone",
    groups: &["pii"],
    doc: Doc {
        finds: "`+`, a country code and 7–15 digits in all; numbers of the North American plan with separators; ten or eleven digits that begin with a single 0; and after words such as `phone` or `call me`, 7–15 digits in any grouping.",
        misses: "Numbers in one piece without a sign, a leading 0 or such a word.",
        source: "ITU-T E.164 and E.123; North American Numbering Plan",
    },
    reach: 32,
    context: &[
        "phone",
        "phones",
        "telephone",
        "tel",
        "tels",
        "mobile",
        "mobil",
        "cell number",
        "cell no",
        "my cell",
        "his cell",
        "her cell",
        "cellphone",
        "fax",
        "whatsapp",
        "sms",
        "landline",
        "hotline",
        "call me",
        "call us",
        "call him",
        "call her",
        "call them",
        "call on",
        "call at",
        "call back",
        "reach me",
        "reach us",
        "reach him",
        "reach her",
        "answering at",
        "contact number",
        "contact no",
        "dial",
        "text me",
        "ring me",
        "phonenumber",
        "msisdn",
        "telefon",
        "telefonnummer",
        "handy",
        "handynummer",
        "rufnummer",
        "telefono",
        "telefonos",
        "movil",
        "celular",
        "cellulare",
        "telefone",
        "telephone",
        "portable",
        "telepono",
        "telefoon",
        "puhelin",
        "tlf",
        "ph",
        "फोन",
        "मोबाइल",
        "numer telefonu",
        "телефон",
        "тел",
        "電話",
        "携帯",
        "전화",
        "휴대폰",
        "手机",
        "电话",
        "โทร",
    ],
    // Numbers as [`is_promising`] requires them.
    anchors: &[
        Anchor::Number(
            1..=1,
            PreFilter::ALWAYS.first_or_marked(0b11).of_groups(),
            probe,
        ),
        Anchor::Number(
            2..=2,
            PreFilter::ALWAYS.in_context_or(0b1).of_groups(),
            probe,
        ),
        Anchor::Number(
            3..=3,
            PreFilter::ALWAYS.in_context_or(0b11_1111_1101).of_groups(),
            probe,
        ),
        Anchor::Number(
            4..=5,
            PreFilter::ALWAYS.in_context_or(0b1).of_groups(),
            probe,
        ),
        Anchor::Number(6..=6, PreFilter::ALWAYS.in_context_or(0).of_groups(), probe),
        Anchor::Number(7..=9, PreFilter::ALWAYS.in_context_or(0), probe),
        Anchor::Number(10..=15, PreFilter::ALWAYS.in_context_or(0b1), probe),
    ],
    hits: &[
        hit(
            "phone,age\n2125550188,35\n2125550189 2125550190",
            &["2125550188", "2125550189"],
        ),
        hit(
            "Tlf. 62 36 66 63, मोबाइल 9844417305",
            &["62 36 66 63", "9844417305"],
        ),
        hit(
            "Tel. 030 / 3643994 or 0171 - 1234567; reach us: +81 3-5588-2546 (9-5); +33 (0)1 62 31 68 66",
            &[
                "030 / 3643994",
                "0171 - 1234567",
                "+81 3-5588-2546",
                "+33 (0)1 62 31 68 66",
            ],
        ),
        hit(
            "call +44 (20) 7123 4567 or +4930123456",
            &["+44 (20) 7123 4567", "+4930123456"],
        ),
        hit(
            "US: 415-555-0132, (415) 555-0132",
            &["415-555-0132", "(415) 555-0132"],
        ),
        hit("_+49 30 901820_", &["+49 30 901820"]),
        hit("09171234567", &["09171234567"]),
        hit("0312 123 45 67", &["0312 123 45 67"]),
        hit("my phone number is 425 8829090", &["425 8829090"]),
        hit("call me on 0097688112222 tonight", &["0097688112222"]),
    ],
    misses: &[
        miss(
            "phone 0.4160976159, 12.2.1249.13880, released 2025-11, phone \u{A9} 2016-2017",
            "a decimal, a version, times",
        ),
        miss(
            "a phone. Order no. 4622669671, NDC 08984-3206-96",
            "numbers of something else",
        ),
        miss(
            "phone or card? 6304 5101 9962 3180, 340314801661319",
            "cards",
        ),
        miss("phone 128 / 256 / 512, fax 2000 / 3000", "no area codes"),
        miss("phone,ip\nnone,45.79.23.58", "an address of a host"),
        miss("page 415-420", "six digits"),
        miss("ts 1700000000", "a time"),
        miss("12.34.56", "six digits"),
        miss("id 53212345678", "eleven digits that could be anything"),
        miss("0.09171234567", "a decimal"),
        miss("115-555-0132", "no area code begins with 1"),
    ],
};

/// Maximum groups of digits in a number.
const GROUPS: usize = 7;

/// Number as written.
#[derive(Default)]
struct WrittenNumber {
    /// Number of digits in each group.
    groups: [u8; GROUPS],
    count: usize,
    /// Total number of digits.
    digits: usize,
    /// For each group, the distance in bytes from the first digit to the end of the group.
    ends: [u8; GROUPS],
    /// Separator before each group except the first; 0 where a parenthesis closes.
    separators: [u8; GROUPS],
}

fn probe(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let first = place.at;
    let opened = text.before(first) == b'(';
    let mut start = if opened { first.wrapping_sub(1) } else { first };
    let plus = text.before(start) == b'+';
    start = start.wrapping_sub(usize::from(plus));
    place.begins(start);
    let grouped = matches!(text.before(start), b'-' | b'.' | b'/' | b':')
        && text.before(start.saturating_sub(1)).is_ascii_digit();
    if grouped || !is_promising(place, plus, opened) || !begins(place, start, plus || opened) {
        return None;
    }
    if !plus && !opened && place.end.wrapping_sub(first) == 1 && is_decimal(place) {
        return None;
    }
    if !plus && !opened && is_social_security(place) {
        return None;
    }
    let written = read(place, first, opened)?;
    if plus {
        let end = international(place, first, &written)?;
        return Some(Match {
            start,
            end,
            confidence: Confidence::High,
        });
    }
    let (end, confidence) = national(place, first, &written, opened)?;
    Some(Match {
        start,
        end,
        confidence,
    })
}

/// Returns whether a number may begin here, that is, not inside a longer one.
fn begins(place: &MatchSite<'_>, start: usize, marked: bool) -> bool {
    let text = place.text;
    let before = text.before(start);
    let second = text.before(start.saturating_sub(1));
    match before {
        b' ' | b')' if second.is_ascii_digit() => {
            // After another number: a sign, or a 0 if that number was long enough to be complete.
            let end = start.saturating_sub(1);
            let complete =
                end.saturating_sub(text.run_back(end, 8, |byte| byte.is_ascii_digit())) >= 7;
            marked || complete && text.at(start) == b'0'
        }
        b' ' | b')' => true,
        b'-' | b'.' | b'/' | b':' => {
            !(second.is_ascii_digit() || before == b'-' && second.is_ascii_alphabetic())
        }
        b'#' => place.context(start),
        b'$' | b'+' => false,
        b'_' => !text.continues_name(start),
        byte => !byte.is_ascii_alphanumeric(),
    }
}

/// Returns whether the first group can begin a number by its form, or by a context word.
fn is_promising(place: &MatchSite<'_>, plus: bool, opened: bool) -> bool {
    let len = place.end.wrapping_sub(place.at);
    let first = place.text.at(place.at);
    let area = len == 3 && first >= b'2' || opened && (2..=5).contains(&len);
    let second = place.text.at(place.end.wrapping_add(1));
    let country = first == b'1' && len == 1 && (second == b'(' || (b'2'..=b'9').contains(&second));
    let trunk = first == b'0' && (len <= 5 || len >= 10) || country;
    plus || area || trunk || len >= 2 && place.context(place.at)
}

/// Returns whether a digit is followed by a dot and more digits, and these by no other group.
fn is_decimal(place: &MatchSite<'_>) -> bool {
    let text = place.text;
    let dot = text.at(place.end) == b'.';
    let end = || text.run_of(Alphabet::Digits, place.end.wrapping_add(1), 16);
    dot && !matches!(text.at(end()), b' ' | b'-' | b'.' | b'/' | b'(')
}

/// Returns whether three groups of the size of a social security number stand here, which [`national`] refuses once they
/// are read. Near the end of the text they are read.
fn is_social_security(place: &MatchSite<'_>) -> bool {
    let near = place.text.slice(place.at..place.at.wrapping_add(14));
    let Some([first, _, _, mark, a, b, other, c, d, e, f, next, second, _]) = near.first_chunk()
    else {
        return false;
    };
    let separates = |byte: &u8| matches!(byte, b' ' | b'-' | b'.' | b'/');
    place.end.wrapping_sub(place.at) == 3
        && separates(mark)
        && separates(other)
        && [a, b, c, d, e, f].into_iter().all(u8::is_ascii_digit)
        && !(next.is_ascii_digit() || *next == b'(')
        && !(separates(next) && (second.is_ascii_digit() || *second == b'('))
        && *first != b'0'
}

/// Reads groups of digits with one separator between them.
fn read(place: &MatchSite<'_>, first: usize, opened: bool) -> Option<WrittenNumber> {
    let text = place.text;
    let mut written = WrittenNumber::default();
    let mut at = first;
    let mut open = opened;
    // The text before a parenthesis that is not closed: `(9-5)`.
    let mut before_open = (0, 0);
    while written.count < GROUPS {
        let mut end = at;
        while end.wrapping_sub(at) < 16 && text.at(end).is_ascii_digit() {
            end = end.wrapping_add(1);
        }
        let len = end.wrapping_sub(at);
        if len == 0 || written.digits.wrapping_add(len) > 15 {
            break;
        }
        *written.groups.get_mut(written.count)? = u8::try_from(len).ok()?;
        *written.ends.get_mut(written.count)? = u8::try_from(end.wrapping_sub(first)).ok()?;
        written.count = written.count.wrapping_add(1);
        written.digits = written.digits.wrapping_add(len);
        let mut next = end;
        let mut separator = text.at(next);
        let area = written.count == 1 && text.at(first) == b'0';
        let apart = separator == b' ' && text.at(next.wrapping_add(2)) == b' ';
        if area && apart && !open && matches!(text.at(next.wrapping_add(1)), b'/' | b'-') {
            // `030 / 1234567`
            separator = text.at(next.wrapping_add(1));
            next = next.wrapping_add(3);
        } else if open && separator == b')' {
            open = false;
            separator = 0;
            next = next.wrapping_add(1);
            next = next.wrapping_add(usize::from(matches!(text.at(next), b' ' | b'-' | b'.')));
        } else if !open && matches!(separator, b' ' | b'-' | b'.' | b'/') {
            next = next.wrapping_add(1);
            if text.at(next) == b'(' {
                open = true;
                next = next.wrapping_add(1);
            }
        } else if !open && separator == b'(' {
            open = true;
            next = next.wrapping_add(1);
        } else {
            break;
        }
        if let Some(slot) = written.separators.get_mut(written.count) {
            *slot = separator;
        }
        if open {
            before_open = (written.count, written.digits);
        }
        at = next;
    }
    if open && before_open.0 > 0 {
        (written.count, written.digits) = before_open;
    }
    (written.count > 0).then_some(written)
}

/// Maximum digits of numbers with the country code, where that is less than fifteen.
fn longest(number: &[u8]) -> usize {
    match number {
        [b'1', ..] | [b'7', ..] | [b'3', b'3', ..] => 11,
        [b'4', b'4' | b'9' | b'1' | b'7' | b'5', ..]
        | [b'9', b'1', ..]
        | [b'8', b'1', ..]
        | [b'3', b'4', ..] => 13,
        _ => 15,
    }
}

/// Returns where a number with a country code ends.
fn international(place: &MatchSite<'_>, first: usize, written: &WrittenNumber) -> Option<usize> {
    let text = place.text;
    // `+33 (0)1 …`
    let trunk =
        usize::from(written.groups.get(1) == Some(&1) && text.at(first.wrapping_add(4)) == b'0');
    let most = longest(text.slice(first..first.wrapping_add(2))).wrapping_add(trunk);
    let mut digits = 0usize;
    let mut end = None;
    for (group, end_at) in written.groups.iter().zip(written.ends).take(written.count) {
        let at = first.wrapping_add(usize::from(end_at));
        digits = digits.wrapping_add(usize::from(*group));
        if digits > most {
            break;
        }
        if digits >= 7 && !text.at(at).is_ascii_alphanumeric() {
            end = Some(at);
        }
    }
    let zero = text.at(first) == b'0';
    end.filter(|end| !zero && !is_continued(place, *end))
}

/// Returns where a number without a country code ends, with its confidence.
fn national(
    place: &MatchSite<'_>,
    first: usize,
    written: &WrittenNumber,
    opened: bool,
) -> Option<(usize, Confidence)> {
    let groups = written.groups.get(..written.count)?;
    // Social security numbers and dates occur in the same tables.
    if matches!(groups, [3, 2, 4] | [4, 2, 2] | [2, 2, 4]) {
        return None;
    }
    // So do host addresses, versions and decimals.
    let dots = written
        .separators
        .get(1..written.count)?
        .iter()
        .all(|mark| *mark == b'.');
    let short = groups.iter().skip(1).any(|len| *len == 1);
    if dots && (matches!(groups, [1..=3, 1..=3, 1..=3, 1..=3] | [1, _]) || short) {
        return None;
    }
    // The longest prefix of the groups that is a number of the North American plan or begins with a single 0.
    let mut best: Option<(usize, Confidence)> = None;
    let zero = place.text.at(first) == b'0';
    for count in 1..=written.count {
        let part = groups.get(..count)?;
        let known = || zero || matches!(part, [3, 3, 4] | [1, 3, 3, 4] | [3, 3, 2, 2]);
        if count < written.count && !known() {
            continue;
        }
        let end = first.wrapping_add(usize::from(*written.ends.get(count.wrapping_sub(1))?));
        let separators = written.separators.get(1..count)?;
        if place.text.at(end).is_ascii_alphanumeric() || is_continued(place, end) {
            continue;
        }
        let found = north_american(place, first, part, separators, opened)
            .or_else(|| trunk(place, first..end, part, separators, opened));
        best = found.map(|confidence| (end, confidence)).or(best);
    }
    let in_context = place.context(first);
    if let Some((end, confidence)) = best {
        return Some((
            end,
            if in_context && !is_called_other(place, first) {
                Confidence::High
            } else {
                confidence
            },
        ));
    }
    if !in_context {
        return None;
    }
    let end = first.wrapping_add(usize::from(
        *written.ends.get(written.count.wrapping_sub(1))?,
    ));
    let shortest = if written.count == 1 { 7 } else { 6 };
    let number = place.text.slice(first..end);
    let repeated = number.iter().all(|byte| Some(byte) == number.first());
    // `2025-11`, `2016-2017`
    let years = matches!(groups, [4, 2 | 4])
        && matches!(number.first_chunk(), Some(b"19" | b"20"))
        && (groups == [4, 2] || matches!(number.get(5..7), Some(b"19" | b"20")));
    let dotted = written.separators.get(1..written.count)?.contains(&b'.') && written.digits < 8;
    // Card numbers have more digits, of which only the first three groups may have been read.
    let goes_on = || {
        matches!(place.text.at(end), b' ' | b'-')
            && place.text.at(end.wrapping_add(1)).is_ascii_digit()
    };
    let card = !zero && (written.digits > 13 || written.digits > 11 && goes_on());
    let ends_well =
        !place.text.at(end).is_ascii_alphanumeric() && !is_continued(place, end) && !card;
    let fits = written.digits >= shortest && ends_well && !repeated && !dotted && !years;
    (fits && !is_called_other(place, first)).then_some((end, Confidence::High))
}

/// Matches area code, exchange and subscriber, with or without the 1 in front.
fn north_american(
    place: &MatchSite<'_>,
    first: usize,
    groups: &[u8],
    separators: &[u8],
    opened: bool,
) -> Option<Confidence> {
    let text = place.text;
    let (area, rest, separators) = match groups {
        [1, rest @ ..] if text.at(first) == b'1' && rest.len() == 3 => {
            (first.wrapping_add(2), rest, separators.get(1..)?)
        }
        rest => (first, rest, separators),
    };
    let area = area.wrapping_add(usize::from(text.at(area) == b'('));
    if rest != [3, 3, 4] {
        return None;
    }
    let digits = text.slice(area..area.wrapping_add(9));
    let exchange = digits.iter().skip(3).find(|byte| byte.is_ascii_digit());
    let valid =
        matches!(digits.first(), Some(b'2'..=b'9')) && matches!(exchange, Some(b'2'..=b'9'));
    let same = separators.first() == separators.get(1);
    let parenthesis = opened || separators.first() == Some(&0);
    if !valid {
        return None;
    }
    match separators.get(1) {
        Some(b'-' | b'.') if same || parenthesis => Some(Confidence::Medium),
        Some(b' ') if parenthesis => Some(Confidence::Medium),
        // Three groups with spaces are often amounts and table columns.
        _ => Some(Confidence::Low),
    }
}

/// Matches a number with the trunk prefix 0, or in the groups of a mobile number.
fn trunk(
    place: &MatchSite<'_>,
    range: Range<usize>,
    groups: &[u8],
    separators: &[u8],
    opened: bool,
) -> Option<Confidence> {
    let text = place.text;
    let zero = text.at(range.start) == b'0';
    if !zero && groups != [3, 3, 2, 2] {
        return None;
    }
    let digits: u32 = groups.iter().map(|group| u32::from(*group)).sum();
    let same = separators
        .iter()
        .all(|separator| Some(separator) == separators.first());
    let second = text
        .slice(range.clone())
        .iter()
        .skip(1)
        .find(|byte| byte.is_ascii_digit())
        .copied()
        .unwrap_or(0);
    let number = text.slice(range.clone());
    let varied = number
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .any(|byte| !matches!(*byte, b'0') && Some(byte) != number.get(1));
    // Turkish mobile numbers are written in groups of 3-3-2-2.
    if groups == [3, 3, 2, 2]
        && same
        && !separators.contains(&b'.')
        && matches!(text.at(place.at), b'5')
    {
        return Some(Confidence::Medium);
    }
    if !zero
        || second == b'0'
        || !matches!(digits, 10 | 11)
        || !varied
        || number.starts_with(b"0123456789")
    {
        return None;
    }
    let one = groups.len() == 1;
    let grouped = same || opened || separators.contains(&0) || groups.len() == 2;
    let decimal = separators.first() == Some(&b'.') && groups.len() < 3;
    if !one && !grouped || decimal || separators.contains(&b'/') && groups.len() > 2 {
        return None;
    }
    Some(if is_other_number(place, &range) {
        Confidence::Low
    } else {
        Confidence::Medium
    })
}

/// Words for other values that contain numbers.
const OTHERS: &[&str] = &[
    "sku",
    "part no",
    "part number",
    "part",
    "ref",
    "reference",
    "order",
    "order no",
    "invoice",
    "id",
    "tracking",
    "serial",
    "serial no",
    "isbn",
    "ean",
    "gtin",
    "ndc",
    "issn",
    "doi",
    "version",
    "ticket",
    "case",
    "article",
    "item",
    "account",
];

/// Returns whether a word before the number names another kind of number, or the number is between numbers of a list.
fn is_other_number(place: &MatchSite<'_>, range: &Range<usize>) -> bool {
    let text = place.text;
    let comma = |byte: u8| matches!(byte, b',' | b';' | b'\t');
    let before = text.before(range.start);
    let number = |byte: u8| byte.is_ascii_digit() || byte == b'-';
    if comma(before)
        && text.before(range.start.wrapping_sub(1)).is_ascii_digit()
        && comma(text.at(range.end))
        && number(text.at(range.end.wrapping_add(1)))
    {
        return true;
    }
    is_called_other(place, range.start)
}

/// Returns whether the word directly before the number shows that it does not belong to a person.
pub(super) fn is_called_other(place: &MatchSite<'_>, start: usize) -> bool {
    let text = place.text;
    let end = text.run_back(start, 4, |byte| {
        matches!(byte, b' ' | b'=' | b':' | b'#' | b'.' | b'"' | b'\'')
    });
    text.precedes_word(end, OTHERS)
}

/// Returns whether a longer number continues after the end.
fn is_continued(place: &MatchSite<'_>, end: usize) -> bool {
    let text = place.text;
    match text.at(end) {
        b'.' | b':' | b'/' | b'-' | b'_' => text.at(end.wrapping_add(1)).is_ascii_digit(),
        b'%' => true,
        _ => false,
    }
}
