//! South Korean driving licences.

use crate::detect::checksum::number_at;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "kr_driver_licence",
    groups: &["pii.kr"],
    doc: Doc {
        finds: "Twelve digits as 2-2-6-2 that begin with the number of a region (11–26, 28); without hyphens after a word such as `운전면허`.",
        misses: "Twelve digits in a row without such a word.",
        source: "Road Traffic Act of Korea, enforcement rules, annex on licence numbers",
    },
    reach: 15,
    context: &["license", "licence", "driver", "면허"],
    anchors: &[Anchor::Forms(
        &["99-99-999999-99", "?999999999999"],
        validate,
    )],
    hits: &[
        hit("My license is 13-22-123456-12", &["13-22-123456-12"]),
        hit("see 11-07-654321-01", &["11-07-654321-01"]),
        hit("운전면허 112212345612", &["112212345612"]),
    ],
    misses: &[
        miss("license 10-22-123456-12", "no region 10"),
        miss("license 11-22-12345-12", "five digits"),
        miss("id 112212345612", "twelve digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    if !matches!(number_at(candidate.compact(), 0, 2)?, 11..=26 | 28) {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
