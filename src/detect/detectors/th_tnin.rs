//! Thai national identification numbers.

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "th_tnin",
    groups: &["pii.th"],
    doc: Doc {
        finds: "Thirteen digits as 1-4-5-2-1, the last one by weights 13–2 modulo 11; without hyphens after words such as `Thai ID`.",
        misses: "Thirteen digits in a row without such words: times in milliseconds pass the check.",
        source: "Department of Provincial Administration of Thailand, thirteen-digit number",
    },
    reach: 17,
    context: &[
        "thai id",
        "thai ids",
        "thai national",
        "thailand",
        "tnin",
        "citizen id",
        "national id",
        "ประชาชน",
        "thai identification",
    ],
    anchors: &[Anchor::Forms(
        &["9-9999-99999-99-9", "9 9999 99999 99 9", "?9999999999999"],
        validate,
    )],
    hits: &[
        hit("see 1-2345-67890-12-1", &["1-2345-67890-12-1"]),
        hit("My Thai ID is 1234567890121", &["1234567890121"]),
        hit("เลขประจำตัวประชาชน 1234567890121", &["1234567890121"]),
    ],
    misses: &[
        miss("Thai ID 1234567890122", "wrong check digit"),
        miss("Thai ID 0234567890124", "begins with 0"),
        miss("at 1234567890121", "thirteen digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let sum = weighted_head(number, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2])?;
    let check = 11u32.wrapping_sub(sum.wrapping_rem(11)).wrapping_rem(10);
    if matches!(number.first(), Some(b'0' | b'9')) || Some(check) != digit(number, 12) {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
