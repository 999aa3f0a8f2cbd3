//! UK NHS numbers.

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "uk_nhs",
    groups: &["pii.uk"],
    doc: Doc {
        finds: "Ten digits as 3-3-4, the last one by weights 10–2 modulo 11; without separators after a word such as `NHS`.",
        misses: "Ten digits in a row without such a word: times in seconds pass the check.",
        source: "NHS Data Dictionary, NHS NUMBER",
    },
    reach: 12,
    context: &[
        "nhs",
        "patient",
        "patients",
        "national health",
        "health number",
    ],
    anchors: &[Anchor::Forms(
        &[
            "999 999 9999",
            "999-999-9999",
            "?9999999999",
            "?999.999.9999",
        ],
        validate,
    )],
    hits: &[
        hit("see 401-023-2137", &["401-023-2137"]),
        hit("NHS number 9434765919", &["9434765919"]),
        hit("patient NHS: 943 476 5919", &["943 476 5919"]),
        hit("NHS number: 943.476.5919", &["943.476.5919"]),
    ],
    misses: &[
        miss("NHS 401-023-2138", "wrong check digit"),
        miss("size 2147483648", "a power of two that passes the check"),
        miss("NHS 000 000 0000", "one digit repeated"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let rest = weighted_head(number, &[10, 9, 8, 7, 6, 5, 4, 3, 2])?.wrapping_rem(11);
    let check = 11u32.wrapping_sub(rest).wrapping_rem(11);
    if Some(check) != digit(number, 9) || number.iter().all(|byte| Some(byte) == number.first()) {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
