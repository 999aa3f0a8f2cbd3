//! Australian company numbers.

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "au_acn",
    groups: &["pii.au"],
    doc: Doc {
        finds: "Nine digits, the last one by weights 8–1 modulo 10, after a word such as `ACN`.",
        misses: "Numbers without such a word.",
        source: "Australian Securities and Investments Commission, Australian Company Number digit check",
    },
    reach: 11,
    context: &[
        "acn",
        "acns",
        "a c n",
        "company number",
        "australian company",
    ],
    anchors: &[Anchor::Forms(
        &["?999 999 999", "?999-999-999", "?999999999"],
        validate,
    )],
    hits: &[
        hit("A.C.N. 005499981", &["005499981"]),
        hit("ACN 004 085 616", &["004 085 616"]),
        hit("Australian company number: 005499981", &["005499981"]),
        hit("{\"acn\":\"000000019\"}", &["000000019"]),
    ],
    misses: &[
        miss("ACN 004 085 617", "wrong check digit"),
        miss("id 004085616", "nothing says that it is one"),
        miss("ACN 51 824 753 5564", "twelve digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let rest = weighted_head(number, &[8, 7, 6, 5, 4, 3, 2, 1])?.wrapping_rem(10);
    let check = 10u32.wrapping_sub(rest).wrapping_rem(10);
    if Some(check) == digit(number, 8) {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
