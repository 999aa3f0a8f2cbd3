//! Indian passport numbers.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "in_passport",
    groups: &["pii.in"],
    doc: Doc {
        finds: "A capital other than Q and X, a digit 1–9 and six digits, after the word `passport`.",
        misses: "Numbers without the word: there is no check digit.",
        source: "Ministry of External Affairs of India, passport number series",
    },
    reach: 9,
    context: &["passport", "passports", "passportnumber", "पासपोर्ट"],
    anchors: &[Anchor::Forms(&["?A9999999", "?A99 99999"], judge)],
    hits: &[
        Hit {
            text: "passport Z3757575",
            found: &["Z3757575"],
        },
        Hit {
            text: "Indian passport A2096457",
            found: &["A2096457"],
        },
        Hit {
            text: "passport no. J8369854",
            found: &["J8369854"],
        },
        Hit {
            text: "{\"passport\":\"K1234567\"}",
            found: &["K1234567"],
        },
    ],
    misses: &[
        Miss {
            text: "part A2096457",
            why: "nothing says that it is one",
        },
        Miss {
            text: "passport Q2096457",
            why: "Q is not used",
        },
        Miss {
            text: "passport A0096457",
            why: "a zero after the letter",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    match candidate.compact() {
        [b'Q' | b'X', ..] | [_, b'0', ..] | [.., b'0'] => None,
        _ => candidate.high_or(Confidence::Low),
    }
}
