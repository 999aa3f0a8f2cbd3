//! US passport numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "us_passport",
    groups: &["pii.us"],
    doc: Doc {
        finds: "Nine digits, or a letter and eight digits, after the word `passport`.",
        misses: "Numbers without the word: there is no check digit.",
        source: "US Department of State, 8 FAM 403.5; passport book series",
    },
    reach: 9,
    context: &[
        "passport",
        "passports",
        "passportnumber",
        "passportno",
        "travel document",
    ],
    anchors: &[Anchor::Forms(&["?999999999", "?a99999999"], validate)],
    hits: &[
        hit("my passport number is 912803456", &["912803456"]),
        hit("US passport: E00007734", &["E00007734"]),
        hit("{\"passportNumber\":\"340007237\"}", &["340007237"]),
    ],
    misses: &[
        miss("order 912803456", "nothing says that it is one"),
        miss("passport 91280345", "eight digits"),
        miss("passport 000000000", "one digit repeated"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let digits = number.get(number.len().saturating_sub(8)..)?;
    if digits.iter().all(|byte| Some(byte) == digits.first()) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
