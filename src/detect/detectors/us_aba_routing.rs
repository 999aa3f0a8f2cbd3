//! US bank routing numbers.

use crate::detect::checksum::{number_at, weighted};
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
    anchors: &[Anchor::Forms(&["9999-9999-9", "?999999999"], judge)],
    hits: &[
        Hit {
            text: "my bank's routing number is 011103093",
            found: &["011103093"],
        },
        Hit {
            text: "routing number: 011103093",
            found: &["011103093"],
        },
        Hit {
            text: "ABA 0711-0130-7",
            found: &["0711-0130-7"],
        },
        Hit {
            text: "{\"RTN\":\"256339130\"}",
            found: &["256339130"],
        },
    ],
    misses: &[
        Miss {
            text: "ABA 011103094",
            why: "wrong check digit",
        },
        Miss {
            text: "ABA 426317017",
            why: "no such prefix",
        },
        Miss {
            text: "id 011103093",
            why: "nine digits that could be anything",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
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
