//! Spanish passport numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

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
    anchors: &[Anchor::Forms(&["?aaa999999"], validate)],
    hits: &[
        hit("Mi pasaporte es AAA123456", &["AAA123456"]),
        hit("the es passport number is ZAB000254", &["ZAB000254"]),
        hit("pasaporte: AaA123456", &["AaA123456"]),
    ],
    misses: &[
        miss("part AAA123456", "nothing says that it is one"),
        miss("pasaporte AAAA12345", "four letters"),
        miss("pasaporte AAA12345", "five digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    candidate.high_or(Confidence::Low)
}
