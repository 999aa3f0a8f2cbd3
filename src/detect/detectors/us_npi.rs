//! US national provider identifiers of health care.

use crate::detect::checksum::luhn_sum;
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "us_npi",
    groups: &["pii.us"],
    doc: Doc {
        finds: "Ten digits that begin with 1 or 2, with the Luhn check digit over `80840` and the number, after a word such as `NPI`.",
        misses: "Numbers without such a word: one in ten times in seconds passes the check.",
        source: "45 CFR 162.406; CMS, Requirements for National Provider Identifier and NPI check digit",
    },
    reach: 12,
    context: &[
        "npi",
        "npis",
        "national provider",
        "provider identifier",
        "provider id",
        "provider number",
    ],
    anchors: &[Anchor::Forms(
        &["?9999999999", "?9999-999-999", "?9999 999 999"],
        judge,
    )],
    hits: &[
        Hit {
            text: "NPI: 1234567893",
            found: &["1234567893"],
        },
        Hit {
            text: "{\"npi\":\"1245319599\"}",
            found: &["1245319599"],
        },
        Hit {
            text: "national provider identifier 1003000126",
            found: &["1003000126"],
        },
    ],
    misses: &[
        Miss {
            text: "NPI 1234567890",
            why: "wrong check digit",
        },
        Miss {
            text: "NPI 3234567893",
            why: "begins with 3",
        },
        Miss {
            text: "at 1234567893",
            why: "could be a time",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    // The prefix 80840 adds 24 to the sum.
    let checked = luhn_sum(number)?.wrapping_add(24).is_multiple_of(10);
    if matches!(number, [b'1' | b'2', ..]) && checked {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
