//! South Korean driving licences.

use crate::detect::checksum::number_at;
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
    anchors: &[Anchor::Forms(&["99-99-999999-99", "?999999999999"], judge)],
    hits: &[
        Hit {
            text: "My license is 13-22-123456-12",
            found: &["13-22-123456-12"],
        },
        Hit {
            text: "see 11-07-654321-01",
            found: &["11-07-654321-01"],
        },
        Hit {
            text: "운전면허 112212345612",
            found: &["112212345612"],
        },
    ],
    misses: &[
        Miss {
            text: "license 10-22-123456-12",
            why: "no region 10",
        },
        Miss {
            text: "license 11-22-12345-12",
            why: "five digits",
        },
        Miss {
            text: "id 112212345612",
            why: "twelve digits that could be anything",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    if !matches!(number_at(candidate.compact(), 0, 2)?, 11..=26 | 28) {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
