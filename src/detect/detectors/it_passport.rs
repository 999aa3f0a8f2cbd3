//! Italian passport numbers.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
    anchors: &[Anchor::Forms(&["?aa9999999"], judge)],
    hits: &[
        Hit {
            text: "passaporto YA8335453",
            found: &["YA8335453"],
        },
        Hit {
            text: "the it passport number is KK0000000",
            found: &["KK0000000"],
        },
        Hit {
            text: "{\"passaporto\":\"aa7654321\"}",
            found: &["aa7654321"],
        },
    ],
    misses: &[
        Miss {
            text: "part YA8335453",
            why: "nothing says that it is one",
        },
        Miss {
            text: "passaporto YA833545",
            why: "six digits",
        },
        Miss {
            text: "passaporto Y8335453",
            why: "one letter",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    candidate.high_or(Confidence::Low)
}
