//! Dutch citizen service numbers (BSN).

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
        &["?999999999", "?9999.99.999", "?999 999 999", "?9999 99 999"],
        judge,
    )],
    hits: &[
        Hit {
            text: "BSN 111222333",
            found: &["111222333"],
        },
        Hit {
            text: "burgerservicenummer: 123456782",
            found: &["123456782"],
        },
        Hit {
            text: "{\"bsn\":\"000987657\"}",
            found: &["000987657"],
        },
    ],
    misses: &[
        Miss {
            text: "BSN 111222334",
            why: "fails the eleven test",
        },
        Miss {
            text: "BSN 000000000",
            why: "zeros",
        },
        Miss {
            text: "id 111222333",
            why: "nothing says that it is one",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let sum = weighted_head(number, &[9, 8, 7, 6, 5, 4, 3, 2])?;
    if sum == 0 || !sum.checked_sub(digit(number, 8)?)?.is_multiple_of(11) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
