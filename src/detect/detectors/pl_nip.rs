//! Polish tax numbers (NIP).

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "pl_nip",
    groups: &["pii.eu.pl"],
    doc: Doc {
        finds: "Ten digits as 3-3-2-2 or 3-2-2-3, the last one by weights modulo 11; without separators after the word `NIP`.",
        misses: "Ten digits in a row without the word.",
        source: "Ustawa o zasadach ewidencji i identyfikacji podatników i płatników",
    },
    reach: 13,
    context: &["nip", "nips", "identyfikacji podatkowej"],
    anchors: &[Anchor::Forms(
        &[
            "999-999-99-99",
            "999-99-99-999",
            "?999 999 99 99",
            "?9999999999",
        ],
        validate,
    )],
    hits: &[
        hit("NIP 123-456-32-18", &["123-456-32-18"]),
        hit("NIP: 1234563218", &["1234563218"]),
        hit("see 526-10-40-828", &["526-10-40-828"]),
    ],
    misses: &[
        miss("NIP 123-456-32-19", "wrong check digit"),
        miss("id 1234563218", "ten digits that could be anything"),
        miss("NIP 123-456-32-1", "nine digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let rest = weighted_head(number, &[6, 5, 7, 2, 3, 4, 5, 6, 7])?.wrapping_rem(11);
    if Some(rest) != digit(number, 9) || number.starts_with(b"000") {
        return None;
    }
    candidate.high_or(if candidate.form <= 1 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
