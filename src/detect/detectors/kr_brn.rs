//! South Korean business registration numbers.

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "kr_brn",
    groups: &["pii.kr"],
    doc: Doc {
        finds: "Ten digits as 3-2-5, the last one by weights 1, 3, 7, 1, 3, 7, 1, 3, 5; without hyphens after a word such as `사업자등록번호`.",
        misses: "Ten digits in a row without such a word: times in seconds pass the check.",
        source: "National Tax Service of Korea, business registration number check",
    },
    reach: 12,
    context: &[
        "brn",
        "brns",
        "business registration",
        "business number",
        "tax registration",
        "사업자",
    ],
    anchors: &[Anchor::Forms(&["999-99-99999", "?9999999999"], validate)],
    hits: &[
        hit("see 104-86-56659", &["104-86-56659"]),
        hit("사업자등록번호 1048656659", &["1048656659"]),
        hit("BRN: 120-81-47521", &["120-81-47521"]),
    ],
    misses: &[
        miss("BRN 104-86-56658", "wrong check digit"),
        miss("BRN 110-81-412722", "eleven digits"),
        miss("at 1048656659", "ten digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let ninth = digit(number, 8)?.wrapping_mul(5).div_euclid(10);
    let sum = weighted_head(number, &[1, 3, 7, 1, 3, 7, 1, 3, 5])?.wrapping_add(ninth);
    let check = 10u32.wrapping_sub(sum.wrapping_rem(10)).wrapping_rem(10);
    if Some(check) != digit(number, 9) || number.starts_with(b"000") {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
