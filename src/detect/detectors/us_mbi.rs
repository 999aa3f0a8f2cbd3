//! US Medicare beneficiary identifiers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "us_mbi",
    groups: &["pii.us"],
    doc: Doc {
        finds: "Eleven characters as 4-3-4 or without hyphens: digits and letters at fixed places, never S, L, O, I, B or Z.",
        misses: "Small letters without hyphens and without a word such as `Medicare`.",
        source: "CMS, Understanding the Medicare Beneficiary Identifier (MBI) Format",
    },
    reach: 13,
    context: &[
        "mbi",
        "mbis",
        "medicare",
        "beneficiary",
        "hicn",
        "medicaid",
        "cms",
    ],
    anchors: &[Anchor::Forms(
        &["9ax9-ax9-aa99", "9ax9ax9aa99", "?9ax9 ax9 aa99"],
        validate,
    )],
    hits: &[
        hit("MBI 1EG4-TE5-MK73", &["1EG4-TE5-MK73"]),
        hit("for 1eg4-te5-mk73.", &["1eg4-te5-mk73"]),
        hit("The MBI is 4EF6GH8JK12 for this patient", &["4EF6GH8JK12"]),
        hit("MBI 1EG4 TE5 MK73", &["1EG4 TE5 MK73"]),
    ],
    misses: &[
        miss("MBI 1EG4-LE5-MK73", "L is not used"),
        miss("MBI 0EG4-TE5-MK73", "begins with 0"),
        miss("MBI 1EG4TE5MK7", "ten characters"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let identifier = candidate.capitals();
    if identifier.first() == Some(&b'0') || identifier.iter().any(|byte| b"SLOIBZ".contains(byte)) {
        return None;
    }
    let capitals = candidate.compact() == &*identifier;
    candidate.high_or(if candidate.is_separated() || capitals {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
