//! Swiss old-age insurance numbers (AHV, AVS).

use crate::detect::checksum::weighted;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "ch_ahv",
    groups: &["pii.ch"],
    doc: Doc {
        finds: "Thirteen digits that begin with 756, the last one the check digit of EAN-13, as 756.9999.9999.99, with spaces or hyphens; without separators after a word such as `AHV`.",
        misses: "Thirteen digits in a row without such a word, and the older numbers of eleven digits.",
        source: "Verordnung über die Alters- und Hinterlassenenversicherung (AHVV), Art. 133; GS1 General Specifications, check digit",
    },
    reach: 16,
    context: &[
        "ahv",
        "ahvn13",
        "ahvn",
        "ahv nr",
        "ahv nummer",
        "avs",
        "navs",
        "navs13",
        "numero avs",
        "oasi",
        "sozialversicherungsnummer",
        "versichertennummer",
        "sozialversicherung",
        "numero d assure",
        "assicurazione sociale",
        "securite sociale",
        "social security",
    ],
    anchors: &[Anchor::Forms(
        &[
            "999.9999.9999.99",
            "999 9999 9999 99",
            "999-9999-9999-99",
            "?9999999999999",
        ],
        validate,
    )],
    hits: &[
        hit("see 756.9217.0769.85", &["756.9217.0769.85"]),
        hit("AHV-Nummer: 7564752772040", &["7564752772040"]),
        hit("numéro AVS 756 1748 8851 59", &["756 1748 8851 59"]),
        hit("{\"navs13\":\"7569078454748\"}", &["7569078454748"]),
    ],
    misses: &[
        miss("AHV 756.9217.0769.84", "wrong check digit"),
        miss("AHV 123.4567.8910.19", "another country"),
        miss("id 7569217076985", "thirteen digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let sum = weighted(number, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1])?;
    if !number.starts_with(b"756") || !sum.is_multiple_of(10) {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
