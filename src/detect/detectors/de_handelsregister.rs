//! German commercial register entries.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
        judge,
    )],
    hits: &[
        Hit {
            text: "Amtsgericht München HRB 12345.",
            found: &["HRB 12345"],
        },
        Hit {
            text: "HRA12345",
            found: &["HRA12345"],
        },
        Hit {
            text: "HRB 123456",
            found: &["HRB 123456"],
        },
    ],
    misses: &[
        Miss {
            text: "HR 12345",
            why: "neither part of the register",
        },
        Miss {
            text: "HRC 12345",
            why: "no part C",
        },
        Miss {
            text: "HRB 1234567",
            why: "seven digits",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
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
