//! German driving licences.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

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
    anchors: &[Anchor::Forms(&["?xxxxxxxxxxx"], validate)],
    hits: &[
        hit("Führerscheinnr. B072RRE2I55", &["B072RRE2I55"]),
        hit("Führerschein B072RRE2I55", &["B072RRE2I55"]),
        hit("Fahrerlaubnis GE123456780", &["GE123456780"]),
        hit("{\"fuehrerschein\":\"mu12345678b\"}", &["mu12345678b"]),
    ],
    misses: &[
        miss("part GE123456780", "nothing says that it is one"),
        miss("Führerschein 12345678901", "no letter"),
        miss("Führerschein Anmeldungen", "no digit"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let digits = number.iter().filter(|byte| byte.is_ascii_digit()).count();
    if (4..=10).contains(&digits) {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
