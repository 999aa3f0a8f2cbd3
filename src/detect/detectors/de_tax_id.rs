//! German tax identification numbers (steuerliche Identifikationsnummer).

use crate::detect::checksum::mod_11_10;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_tax_id",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "Eleven digits, the last one by ISO 7064 MOD 11,10, after a word such as `Steuer-ID` or `IdNr`; surer if one of the first ten digits stands there two or three times, as it must in numbers that were issued.",
        misses: "Numbers without such a word.",
        source: "Abgabenordnung § 139b; Steueridentifikationsnummerverordnung",
    },
    reach: 14,
    context: &[
        "steuer id",
        "steuerid",
        "idnr",
        "identifikationsnummer",
        "steueridentifikationsnummer",
        "tin",
        "tax id",
        "steueridnr",
        "steueridentifikation",
        "steuer identifikation",
        "steuerliche identifikation",
        "bzst",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?99999999999",
            "?99 999 999 999",
            "?99-999-999-999",
            "?99.999.999.999",
        ],
        validate,
    )],
    hits: &[
        hit("Steuer-ID: 86095742719", &["86095742719"]),
        hit("my IdNr is 99 150 746 233", &["99 150 746 233"]),
        hit("{\"steuerId\":\"36825941202\"}", &["36825941202"]),
        hit("Steuer-ID 86.095.742.719", &["86.095.742.719"]),
    ],
    misses: &[
        miss("Steuer-ID 86095742718", "wrong check digit"),
        miss("Steuer-ID 06095742719", "begins with 0"),
        miss("id 86095742719", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    if number.first() == Some(&b'0') || !mod_11_10(number) {
        return None;
    }
    let head = number.get(..10)?;
    let most = (b'0'..=b'9')
        .map(|digit| head.iter().filter(|byte| **byte == digit).count())
        .max();
    let confidence = candidate.high_or(Confidence::Low)?;
    Some(if matches!(most, Some(2 | 3)) {
        confidence
    } else {
        confidence.min(Confidence::Medium)
    })
}
