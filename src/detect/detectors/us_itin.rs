//! US individual taxpayer identification numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "us_itin",
    groups: &["pii.us"],
    doc: Doc {
        finds: "Nine digits as 3-2-4 that begin with 9, with a group of 50–65, 70–88, 90–92 or 94–99; without separators after a word such as `ITIN`.",
        misses: "Nine digits in a row without such a word.",
        source: "IRS Publication 1915; Internal Revenue Manual 3.21.263",
    },
    reach: 11,
    context: &[
        "itin",
        "itins",
        "taxpayer",
        "tax id",
        "tax identification",
        "tax payer",
        "taxid",
        "tin",
    ],
    anchors: &[Anchor::Forms(
        &[
            "999-99-9999",
            "999 99 9999",
            "?999999999",
            "?999-999999",
            "?99999-9999",
            "?99999 9999",
            "?999 999999",
            "?999.99.9999",
            "?999/99/9999",
        ],
        validate,
    )],
    hits: &[
        hit("see 911-64-1234 attached", &["911-64-1234"]),
        hit("ITIN: 900 70 0000", &["900 70 0000"]),
        hit("my itin: 911701234", &["911701234"]),
        hit("ITIN: 900.70.0000", &["900.70.0000"]),
    ],
    misses: &[
        miss("ITIN 911-69-1234", "group 69 is not used"),
        miss("ITIN 911-93-1234", "group 93 is not used"),
        miss("ITIN 811-70-1234", "begins with 8"),
        miss("part 911701234", "nine digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let group = match candidate.compact() {
        [b'9', _, _, tens @ b'0'..=b'9', ones, ..] => {
            (tens & 0x0F).wrapping_mul(10).wrapping_add(ones & 0x0F)
        }
        _ => return None,
    };
    if !matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99) {
        return None;
    }
    candidate.high_or(if candidate.form <= 1 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
