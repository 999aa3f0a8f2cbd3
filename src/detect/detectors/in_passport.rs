//! Indian passport numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

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
    anchors: &[Anchor::Forms(&["?A9999999", "?A99 99999"], validate)],
    hits: &[
        hit("passport Z3757575", &["Z3757575"]),
        hit("Indian passport A2096457", &["A2096457"]),
        hit("passport no. J8369854", &["J8369854"]),
        hit("{\"passport\":\"K1234567\"}", &["K1234567"]),
    ],
    misses: &[
        miss("part A2096457", "nothing says that it is one"),
        miss("passport Q2096457", "Q is not used"),
        miss("passport A0096457", "a zero after the letter"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    match candidate.compact() {
        [b'Q' | b'X', ..] | [_, b'0', ..] | [.., b'0'] => None,
        _ => candidate.high_or(Confidence::Low),
    }
}
