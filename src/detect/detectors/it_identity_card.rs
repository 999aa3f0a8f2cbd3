//! Italian identity cards.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "it_identity_card",
    groups: &["pii.eu.it"],
    doc: Doc {
        finds: "The electronic card (two letters, five digits, two letters) and the paper one (two letters and seven digits, or seven digits and two letters) after words such as `carta d'identità`.",
        misses: "Numbers without such words: there is no check digit.",
        source: "Ministero dell'Interno, Carta di identità elettronica, numero unico nazionale",
    },
    reach: 10,
    context: &[
        "identita",
        "cie",
        "identity card",
        "id card",
        "documento",
        "carta",
        "riconoscimento",
        "identificativo",
    ],
    anchors: &[Anchor::Forms(
        &["?aa99999aa", "?aa_9999999", "?9999999aa"],
        validate,
    )],
    hits: &[
        hit("carta d'identità CA12345AB", &["CA12345AB"]),
        hit("CIE: CA00000AA", &["CA00000AA"]),
        hit("carta d'identità n. AO 1234567", &["AO 1234567"]),
    ],
    misses: &[
        miss("part CA12345AB", "nothing says that it is one"),
        miss("carta d'identità CA1234AB", "four digits"),
        miss("CIE 123456", "no letters"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    candidate.high_or(Confidence::Low)
}
