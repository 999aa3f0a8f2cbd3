//! Italian passport numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "it_passport",
    groups: &["pii.eu.it"],
    doc: Doc {
        finds: "Two letters and seven digits after a word such as `passaporto`.",
        misses: "Numbers without such a word: there is no check digit.",
        source: "Polizia di Stato, passaporto elettronico, numerazione",
    },
    reach: 9,
    context: &[
        "passaporto",
        "passaporti",
        "passport",
        "passports",
        "passportnumber",
        "documento",
    ],
    anchors: &[Anchor::Forms(&["?aa9999999"], validate)],
    hits: &[
        hit("passaporto YA8335453", &["YA8335453"]),
        hit("the it passport number is KK0000000", &["KK0000000"]),
        hit("{\"passaporto\":\"aa7654321\"}", &["aa7654321"]),
    ],
    misses: &[
        miss("part YA8335453", "nothing says that it is one"),
        miss("passaporto YA833545", "six digits"),
        miss("passaporto Y8335453", "one letter"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    candidate.high_or(Confidence::Low)
}
