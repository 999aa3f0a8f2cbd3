//! US bank routing numbers.

use crate::detect::checksum::{number_at, weighted};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "us_aba_routing",
    groups: &["pii.us", "payment"],
    doc: Doc {
        finds: "Nine digits, weights 3-7-1, with a Federal Reserve prefix (00–12, 21–32, 61–72, 80); by itself as 4-4-1, otherwise after a word such as `routing`.",
        misses: "Nine digits in a row without such a word.",
        source: "American Bankers Association, Routing Number Policy and Procedures",
    },
    reach: 11,
    context: &["routing", "aba", "rtn", "transit number", "abarouting"],
    anchors: &[Anchor::Forms(&["9999-9999-9", "?999999999"], validate)],
    hits: &[
        hit("my bank's routing number is 011103093", &["011103093"]),
        hit("routing number: 011103093", &["011103093"]),
        hit("ABA 0711-0130-7", &["0711-0130-7"]),
        hit("{\"RTN\":\"256339130\"}", &["256339130"]),
    ],
    misses: &[
        miss("ABA 011103094", "wrong check digit"),
        miss("ABA 426317017", "no such prefix"),
        miss("id 011103093", "nine digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let prefix = number_at(number, 0, 2)?;
    let checked = weighted(number, &[3, 7, 1, 3, 7, 1, 3, 7, 1])?.is_multiple_of(10);
    if !checked || !matches!(prefix, 0..=12 | 21..=32 | 61..=72 | 80) || number == b"000000000" {
        return None;
    }
    candidate.high_or(if candidate.form == 0 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
