//! German number plates.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_plate",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "One to three capitals for the district, one or two capitals, one to four digits without leading zero, perhaps E or H; after a word such as `Kennzeichen`.",
        misses: "Plates without such a word: part numbers look the same.",
        source: "Fahrzeug-Zulassungsverordnung, annex 3",
    },
    reach: 12,
    context: &[
        "kennzeichen",
        "nummernschild",
        "kfz",
        "plate",
        "plates",
        "fahrzeug",
        "kraftfahrzeugkennzeichen",
        "fahrzeugkennzeichen",
        "autokennzeichen",
        "fahrzeugschein",
        "fahrzeugbrief",
        "zulassung",
        "zulassungsbescheinigung",
        "pkw",
        "lkw",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?A-A 9999",
            "?A-AA 9999",
            "?AA-A 9999",
            "?AA-AA 9999",
            "?AAA-A 9999",
            "?AAA-AA 9999",
            "?A~A~999",
            "?A~AA~999",
            "?AA~A~999",
            "?AA~AA~999",
            "?AAA~A~999",
            "?AAA~AA~999",
            "?A~A~9999",
            "?A~AA~9999",
            "?AA~A~9999",
            "?AA~AA~9999",
            "?AAA~AA~9999",
            "?A~AA~99",
            "?AA~AA~99",
            "?A-AA 999",
            "?AA-AA 999",
            "?AA-AA 99",
            "?A-AA 99",
            "?AA-A 999",
            "?A~AA~999A",
            "?AA~AA~999A",
            "?AAA~AA~9999A",
            "?AA~AA~9999A",
            "?A~AA~9999A",
            "?A-A 999",
            "?A-A 99",
            "?AA-A 99",
            "?AAA-A 999",
            "?AAA-A 99",
            "?AAA-AA 999",
            "?AAA-AA 99",
            "?AAA~A~9999",
            "?A-A9999",
            "?A-A999",
            "?A-AA99",
            "?A-AA999",
            "?A-AA9999",
            "?AA-A99",
            "?AA-A999",
            "?AA-A9999",
            "?AA-AA99",
            "?AA-AA999",
            "?AA-AA9999",
            "?AAA-A999",
            "?AAA-A9999",
            "?AAA-AA99",
            "?AAA-AA999",
        ],
        validate,
    )],
    hits: &[
        hit("Kennzeichen: HH-AB-1234.", &["HH-AB-1234"]),
        hit("Kennzeichen M-XY 999", &["M-XY 999"]),
        hit(
            "Kennzeichen: B-XY4711, HH-F68, MTK-PJ615",
            &["B-XY4711", "HH-F68", "MTK-PJ615"],
        ),
        hit("Kfz B AB 1234 parkt", &["B AB 1234"]),
    ],
    misses: &[
        miss("part HH-AB-1234", "nothing says that it is one"),
        miss("Kennzeichen B 1234", "no letters in the middle"),
        miss("Kennzeichen B AB 0123", "a leading zero"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let mark = candidate.compact();
    let first = mark.iter().find(|byte| byte.is_ascii_digit())?;
    let ending = mark.last()?;
    if *first == b'0' || ending.is_ascii_uppercase() && !matches!(ending, b'E' | b'H') {
        return None;
    }
    let confidence = candidate.high_or(Confidence::Low)?;
    Some(if candidate.is_separated() {
        confidence
    } else {
        confidence.min(Confidence::Medium)
    })
}
