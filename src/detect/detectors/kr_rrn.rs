//! South Korean resident registration numbers.

use crate::detect::checksum::{digit, is_date, number_at, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "kr_rrn",
    groups: &["pii.kr"],
    doc: Doc {
        finds: "Date of birth as six digits, a hyphen, a digit for century and sex (1–4), six digits of which the last checks the others by weights modulo 11; numbers issued since October 2020 have no check digit and count after a word such as `주민등록번호`.",
        misses: "Numbers without the hyphen and without such a word.",
        source: "Resident Registration Act of Korea, enforcement rules, article 2",
    },
    reach: 14,
    context: &[
        "rrn",
        "rrns",
        "resident registration",
        "주민",
        "jumin",
        "resident number",
        "korean resident",
    ],
    anchors: &[Anchor::Forms(
        &["999999-9999999", "?9999999999999", "?999999 9999999"],
        validate,
    )],
    hits: &[
        hit("주민 등록 번호 9601211021413", &["9601211021413"]),
        hit("see 960121-1021413", &["960121-1021413"]),
        hit("주민등록번호는 960121-1021413입니다", &["960121-1021413"]),
        hit("RRN 9601211021413", &["9601211021413"]),
        hit("RRN 960121 1021413", &["960121 1021413"]),
    ],
    misses: &[
        miss("RRN 961321-1021413", "month 13"),
        miss("see 960121-1021414", "wrong check digit"),
        miss(
            "RRN 051102-9234110",
            "no resident has the digit 9 after 1900",
        ),
    ],
};

/// Whether the number begins with a date, in the century that its seventh digit says.
pub(super) fn is_dated(number: &[u8]) -> bool {
    let century = match digit(number, 6) {
        Some(1 | 2 | 5 | 6) => 1900,
        Some(3 | 4 | 7 | 8) => 2000,
        _ => return false,
    };
    let at = |from| number_at(number, from, 2).unwrap_or(0);
    is_date(at(0).wrapping_add(century), at(2), at(4))
}

/// The weighted sum of the first twelve digits modulo 11.
pub(super) fn rest(number: &[u8]) -> Option<u32> {
    Some(weighted_head(number, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5])?.wrapping_rem(11))
}

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    if !matches!(number.get(6), Some(b'1'..=b'4')) || !is_dated(number) {
        return None;
    }
    let checked = Some(11u32.wrapping_sub(rest(number)?).wrapping_rem(10)) == digit(number, 12);
    match (candidate.is_separated(), checked) {
        (true, true) => candidate.high_or(Confidence::Medium),
        (false, true) => candidate.high_or(Confidence::Low),
        (_, false) => candidate
            .high_or(Confidence::Low)
            .map(|confidence| confidence.min(Confidence::Medium)),
    }
}
