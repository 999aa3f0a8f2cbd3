//! German tax identification numbers (steuerliche Identifikationsnummer).

use crate::detect::checksum::mod_11_10;
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
    anchors: &[Anchor::Forms(&["?99999999999", "?99 999 999 999"], judge)],
    hits: &[
        Hit {
            text: "Steuer-ID: 86095742719",
            found: &["86095742719"],
        },
        Hit {
            text: "my IdNr is 99 150 746 233",
            found: &["99 150 746 233"],
        },
        Hit {
            text: "{\"steuerId\":\"36825941202\"}",
            found: &["36825941202"],
        },
    ],
    misses: &[
        Miss {
            text: "Steuer-ID 86095742718",
            why: "wrong check digit",
        },
        Miss {
            text: "Steuer-ID 06095742719",
            why: "begins with 0",
        },
        Miss {
            text: "id 86095742719",
            why: "nothing says that it is one",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
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
