//! Dutch citizen service numbers (BSN).

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "nl_bsn",
    groups: &["pii.eu.nl"],
    doc: Doc {
        finds: "Nine digits that pass the eleven test (weights 9–2 and -1), after a word such as `BSN`.",
        misses: "Numbers without such a word.",
        source: "Wet algemene bepalingen burgerservicenummer; Logisch Ontwerp BSN, elfproef",
    },
    reach: 11,
    context: &[
        "bsn",
        "burgerservicenummer",
        "sofinummer",
        "sofi",
        "citizen service number",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?999999999",
            "?9999.99.999",
            "?999 999 999",
            "?9999 99 999",
            "?999.999.999",
            "?999-999-999",
        ],
        validate,
    )],
    hits: &[
        hit("BSN 111222333", &["111222333"]),
        hit("burgerservicenummer: 123456782", &["123456782"]),
        hit("{\"bsn\":\"000987657\"}", &["000987657"]),
        hit("BSN 111.222.333", &["111.222.333"]),
    ],
    misses: &[
        miss("BSN 111222334", "fails the eleven test"),
        miss("BSN 000000000", "zeros"),
        miss("id 111222333", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let sum = weighted_head(number, &[9, 8, 7, 6, 5, 4, 3, 2])?;
    if sum == 0 || !sum.checked_sub(digit(number, 8)?)?.is_multiple_of(11) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
