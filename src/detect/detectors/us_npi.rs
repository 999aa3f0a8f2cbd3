//! US national provider identifiers of health care.

use crate::detect::checksum::luhn_sum;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

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
        validate,
    )],
    hits: &[
        hit("NPI: 1234567893", &["1234567893"]),
        hit("{\"npi\":\"1245319599\"}", &["1245319599"]),
        hit("national provider identifier 1003000126", &["1003000126"]),
    ],
    misses: &[
        miss("NPI 1234567890", "wrong check digit"),
        miss("NPI 3234567893", "begins with 3"),
        miss("at 1234567893", "could be a time"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    // The prefix 80840 adds 24 to the sum.
    let checked = luhn_sum(number)?.wrapping_add(24).is_multiple_of(10);
    if matches!(number, [b'1' | b'2', ..]) && checked {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
