//! Italian driving licences.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "it_driver_licence",
    groups: &["pii.eu.it"],
    doc: Doc {
        finds: "Two capitals, seven digits and a capital; or `U1`, seven digits or consonants, and a letter.",
        misses: "Small letters without a word such as `patente`.",
        source: "Ministero delle Infrastrutture e dei Trasporti, numerazione delle patenti di guida",
    },
    reach: 10,
    context: &[
        "patente",
        "patenti",
        "driving licence",
        "driving license",
        "driver license",
        "licenza",
    ],
    anchors: &[Anchor::Forms(&["aa9999999a", "a9xxxxxxxa"], validate)],
    hits: &[
        hit("AA0123456B and AB0123456C", &["AA0123456B", "AB0123456C"]),
        hit("U1H00B000C", &["U1H00B000C"]),
        hit("patente: aa0123456b", &["aa0123456b"]),
    ],
    misses: &[
        miss("990123456B", "begins with digits"),
        miss("U1H00A000B", "A is not used"),
        miss("U2H00B000C", "begins with U2"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.capitals();
    if candidate.form == 1 {
        let middle = number.strip_prefix(b"U1")?.get(..7)?;
        if middle.iter().any(|byte| b"AEIOQV".contains(byte)) {
            return None;
        }
    }
    let capitals = candidate.compact() == &*number;
    candidate.high_or(if capitals {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
