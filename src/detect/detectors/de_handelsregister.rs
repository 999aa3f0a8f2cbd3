//! German commercial register entries.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_handelsregister",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "`HRA` or `HRB` and one to six digits.",
        misses: "Entries of the registers of associations and cooperatives.",
        source: "Handelsregisterverordnung § 3",
    },
    reach: 12,
    context: &[
        "handelsregister",
        "registergericht",
        "amtsgericht",
        "register",
    ],
    anchors: &[Anchor::Forms(
        &[
            "AAA_9999",
            "AAA_99999",
            "AAA_999999",
            "AAA_999",
            "?AAA_99",
            "?AAA_9",
        ],
        validate,
    )],
    hits: &[
        hit("Amtsgericht München HRB 12345.", &["HRB 12345"]),
        hit("HRA12345", &["HRA12345"]),
        hit("HRB 123456", &["HRB 123456"]),
    ],
    misses: &[
        miss("HR 12345", "neither part of the register"),
        miss("HRC 12345", "no part C"),
        miss("HRB 1234567", "seven digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let entry = candidate.compact();
    if !entry.starts_with(b"HRA") && !entry.starts_with(b"HRB") {
        return None;
    }
    candidate.high_or(if candidate.form <= 3 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
