//! German tax numbers (Steuernummer).

use crate::detect::checksum::number_at;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_tax_number",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "The forms of the states with slashes (2/3/5, 3/3/5, 3/4/4 and 2/4/4 digits), and thirteen digits with the state in front, after a word such as `Steuernummer`.",
        misses: "Numbers without such a word: check digits differ by state.",
        source: "Bundeszentralamt für Steuern, Aufbau der Steuernummer (ELSTER)",
    },
    reach: 14,
    context: &[
        "steuernummer",
        "steuernr",
        "steuer nr",
        "st nr",
        "stnr",
        "tax number",
        "finanzamt",
        "steuerbescheid",
        "steuer nummer",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?99/999/99999",
            "?999/999/99999",
            "?999/9999/9999",
            "?99/9999/9999",
            "?999/9999/99999",
            "?99/999/9999",
            "?9999999999999",
        ],
        validate,
    )],
    hits: &[
        hit("St.-Nr. 123/456/78901 bitte angeben.", &["123/456/78901"]),
        hit(
            "Steuernummer: 0981508150999 wurde vergeben.",
            &["0981508150999"],
        ),
        hit("{\"steuernummer\":\"12/345/67890\"}", &["12/345/67890"]),
    ],
    misses: &[
        miss("Aktenzeichen 123/456/78901", "nothing says that it is one"),
        miss("Steuernummer 1781508150001", "no state 17"),
        miss("Steuernummer 123/45/6789", "two digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    // The federal form: the state, the office, 0, the district, the number; the state may also be counted from 01 to 16.
    if candidate.form == 6 {
        let state = number_at(number, 0, 2)?;
        let office = matches!(number.first(), Some(b'5' | b'9'))
            || matches!(state, 10 | 11 | 21..=24 | 26..=28 | 30..=32 | 40 | 41);
        if !(matches!(state, 1..=16) || office && number.get(4) == Some(&b'0')) {
            return None;
        }
    }
    candidate.high_or(Confidence::Low)
}
