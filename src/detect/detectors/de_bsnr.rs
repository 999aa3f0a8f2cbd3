//! German numbers of medical practices (BSNR).

use crate::detect::checksum::number_at;
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
    anchors: &[Anchor::Forms(&["?999999999"], judge)],
    hits: &[
        Hit {
            text: "betriebsstaettennummer: 021234567",
            found: &["021234567"],
        },
        Hit {
            text: "BSNR 711234567 der Praxis.",
            found: &["711234567"],
        },
        Hit {
            text: "Betriebsstättennummer: 021234567",
            found: &["021234567"],
        },
        Hit {
            text: "{\"bsnr\":\"931234567\"}",
            found: &["931234567"],
        },
    ],
    misses: &[
        Miss {
            text: "BSNR 000000000",
            why: "no association 00",
        },
        Miss {
            text: "BSNR 71123456",
            why: "eight digits",
        },
        Miss {
            text: "id 711234567",
            why: "nothing says that it is one",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let association = number_at(candidate.compact(), 0, 2)?;
    let known = matches!(association, 1..=3 | 5..=27 | 31 | 34..=38 | 39..=41 | 43..=49 | 51..=58 | 60..=73 | 74..=79 | 80..=83 | 85..=88 | 93 | 94..=96 | 98);
    if known {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
