//! German numbers of medical practices (BSNR).

use crate::detect::checksum::number_at;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_bsnr",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "Nine digits that begin with the number of a regional association, after a word such as `BSNR`.",
        misses: "Numbers without such a word: there is no check digit.",
        source: "Kassenärztliche Bundesvereinigung, Richtlinie zur Vergabe der Betriebsstättennummer",
    },
    reach: 9,
    context: &[
        "bsnr",
        "betriebsstattennummer",
        "betriebsstatte",
        "betriebsstaettennummer",
        "nbsnr",
        "betriebsstätten nr",
        "betriebsstätten nummer",
        "hauptbetriebsstätte",
        "nebenbetriebsstätte",
        "praxisnummer",
        "praxis nr",
        "kv nummer",
        "vertragsarztpraxis",
        "arztpraxis",
    ],
    anchors: &[Anchor::Forms(&["?999999999"], validate)],
    hits: &[
        hit("betriebsstaettennummer: 021234567", &["021234567"]),
        hit("BSNR 711234567 der Praxis.", &["711234567"]),
        hit("Betriebsstättennummer: 021234567", &["021234567"]),
        hit("{\"bsnr\":\"931234567\"}", &["931234567"]),
    ],
    misses: &[
        miss("BSNR 000000000", "no association 00"),
        miss("BSNR 71123456", "eight digits"),
        miss("id 711234567", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let association = number_at(candidate.compact(), 0, 2)?;
    let known = matches!(association, 1..=3 | 5..=27 | 31 | 34..=38 | 39..=41 | 43..=49 | 51..=58 | 60..=73 | 74..=79 | 80..=83 | 85..=88 | 93 | 94..=96 | 98);
    if known {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
