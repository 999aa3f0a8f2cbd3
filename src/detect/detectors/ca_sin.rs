//! Canadian social insurance numbers.

use crate::detect::checksum::luhn;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "ca_sin",
    groups: &["pii.ca"],
    doc: Doc {
        finds: "Nine digits as 3-3-3 with the Luhn check digit that begin with neither 0 nor 8; without separators, or beginning with 0 as published samples do, after a word such as `SIN`.",
        misses: "Nine digits in a row without such a word.",
        source: "Employment and Social Development Canada, SIN Code of Practice",
    },
    reach: 16,
    context: &[
        "sin",
        "sins",
        "social insurance",
        "nas",
        "assurance sociale",
    ],
    anchors: &[Anchor::Forms(
        &["999 999 999", "999-999-999", "?999999999", "?999.999.999"],
        validate,
    )],
    hits: &[
        hit("see 130 692 544", &["130 692 544"]),
        hit("SIN: 046454286", &["046454286"]),
        hit("mon NAS: 258-933-688", &["258-933-688"]),
        hit("SIN 046.454.286", &["046.454.286"]),
    ],
    misses: &[
        miss("SIN 130 692 545", "wrong check digit"),
        miss("SIN 812 345 676", "begins with 8"),
        miss("999 999 999", "one digit repeated"),
        miss("see 130 692 544 130 692 544", "a row of numbers"),
        miss("id 130692544", "nine digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let first = number.first()?;
    if *first == b'8' || !luhn(number) || number.iter().all(|byte| byte == first) {
        return None;
    }
    candidate.high_or(
        if candidate.is_separated() && *first != b'0' && !candidate.is_in_row(3) {
            Confidence::Medium
        } else {
            Confidence::Low
        },
    )
}
