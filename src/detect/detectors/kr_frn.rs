//! South Korean registration numbers of foreigners.

use super::kr_rrn::{is_dated, rest};
use crate::detect::checksum::digit;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "kr_frn",
    groups: &["pii.kr"],
    doc: Doc {
        finds: "As a resident's number, with 5–8 for century and sex and 2 added to the check digit.",
        misses: "Numbers without the hyphen and without a word such as `외국인등록번호`.",
        source: "Immigration Act of Korea, enforcement decree, foreigner registration numbers",
    },
    reach: 14,
    context: &[
        "frn",
        "frns",
        "foreigner registration",
        "alien registration",
        "foreign registration",
        "등록번호",
        "외국인번호",
    ],
    anchors: &[Anchor::Forms(
        &["999999-9999999", "?9999999999999"],
        validate,
    )],
    hits: &[
        hit("외국인 등록번호 9601215021416", &["9601215021416"]),
        hit("see 960121-5021416", &["960121-5021416"]),
        hit("외국인등록번호 960121-5021416", &["960121-5021416"]),
        hit("FRN 9601215021416", &["9601215021416"]),
    ],
    misses: &[
        miss("FRN 961321-5021415", "month 13"),
        miss("see 960121-5021417", "wrong check digit"),
        miss("see 960121+5021415", "no hyphen"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    if !matches!(number.get(6), Some(b'5'..=b'8')) || !is_dated(number) {
        return None;
    }
    let check = 13u32.wrapping_sub(rest(number)?).wrapping_rem(10);
    let checked = Some(check) == digit(number, 12);
    match (candidate.is_separated(), checked) {
        (true, true) => candidate.high_or(Confidence::Medium),
        (false, true) => candidate.high_or(Confidence::Low),
        (_, false) => candidate
            .high_or(Confidence::Low)
            .map(|confidence| confidence.min(Confidence::Medium)),
    }
}
