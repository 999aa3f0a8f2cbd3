//! Spanish passport numbers.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "es_passport",
    groups: &["pii.eu.es"],
    doc: Doc {
        finds: "Three letters and six digits after a word such as `pasaporte`.",
        misses: "Numbers without such a word before them: there is no check digit.",
        source: "Policía Nacional, pasaporte ordinario, numeración",
    },
    reach: 9,
    context: &[
        "pasaporte",
        "pasaportes",
        "passport",
        "passports",
        "passaporte",
    ],
    anchors: &[Anchor::Forms(&["?aaa999999"], judge)],
    hits: &[
        Hit {
            text: "Mi pasaporte es AAA123456",
            found: &["AAA123456"],
        },
        Hit {
            text: "the es passport number is ZAB000254",
            found: &["ZAB000254"],
        },
        Hit {
            text: "pasaporte: AaA123456",
            found: &["AaA123456"],
        },
    ],
    misses: &[
        Miss {
            text: "part AAA123456",
            why: "nothing says that it is one",
        },
        Miss {
            text: "pasaporte AAAA12345",
            why: "four letters",
        },
        Miss {
            text: "pasaporte AAA12345",
            why: "five digits",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    candidate.high_or(Confidence::Low)
}
