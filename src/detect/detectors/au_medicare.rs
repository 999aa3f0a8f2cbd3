//! Australian Medicare card numbers.

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "au_medicare",
    groups: &["pii.au"],
    doc: Doc {
        finds: "Ten digits as 4-5-1 that begin with 2–6, the ninth by weights 1, 3, 7, 9 modulo 10, with or without the person's number; without separators after the word `Medicare`.",
        misses: "Ten digits in a row without such a word.",
        source: "Services Australia, Medicare card number check digit (HI Service TECH.SIS.HI)",
    },
    reach: 14,
    context: &["medicare"],
    anchors: &[Anchor::Forms(
        &[
            "9999 99999 9",
            "9999-99999-9",
            "?9999999999",
            "9999 99999 9 9",
            "?99999999999",
        ],
        validate,
    )],
    hits: &[
        hit("see 2123 45670 1", &["2123 45670 1"]),
        hit("Medicare 2123456701", &["2123456701"]),
        hit("Medicare card 2123-45670-1.", &["2123-45670-1"]),
    ],
    misses: &[
        miss("Medicare 2123 25870 1", "wrong check digit"),
        miss("Medicare 7123 45675 1", "begins with 7"),
        miss("id 2123456701", "ten digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let check = weighted_head(number, &[1, 3, 7, 9, 1, 3, 7, 9])?.wrapping_rem(10);
    if !matches!(number.first(), Some(b'2'..=b'6')) || Some(check) != digit(number, 8) {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
