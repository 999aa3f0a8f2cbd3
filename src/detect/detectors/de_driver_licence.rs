//! German driving licences.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_driver_licence",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "Eleven digits and capitals with letters in front or among them, after a word such as `Führerschein`.",
        misses: "Numbers without such a word.",
        source: "Fahrerlaubnis-Verordnung, annex 8, field 5",
    },
    reach: 11,
    context: &[
        "führerschein",
        "fuehrerschein",
        "fahrerlaubnis",
        "führerscheinnummer",
        "führerscheinnr",
        "driving licence",
        "driver license",
        "fs nr",
        "fahrerlaubnisnummer",
        "driving license",
        "driver licence",
        "drivers license",
        "driver s license",
        "fuehrerscheinnummer",
    ],
    anchors: &[Anchor::Forms(&["?xxxxxxxxxxx"], judge)],
    hits: &[
        Hit {
            text: "Führerscheinnr. B072RRE2I55",
            found: &["B072RRE2I55"],
        },
        Hit {
            text: "Führerschein B072RRE2I55",
            found: &["B072RRE2I55"],
        },
        Hit {
            text: "Fahrerlaubnis GE123456780",
            found: &["GE123456780"],
        },
        Hit {
            text: "{\"fuehrerschein\":\"mu12345678b\"}",
            found: &["mu12345678b"],
        },
    ],
    misses: &[
        Miss {
            text: "part GE123456780",
            why: "nothing says that it is one",
        },
        Miss {
            text: "Führerschein 12345678901",
            why: "no letter",
        },
        Miss {
            text: "Führerschein Anmeldungen",
            why: "no digit",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let digits = number.iter().filter(|byte| byte.is_ascii_digit()).count();
    if (4..=10).contains(&digits) {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
