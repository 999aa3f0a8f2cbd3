//! UK passport numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "uk_passport",
    groups: &["pii.uk"],
    doc: Doc {
        finds: "Nine digits, or two letters and seven digits, after the word `passport`.",
        misses: "Numbers without the word: there is no check digit.",
        source: "HM Passport Office; gov.uk GDS date and passport number pattern",
    },
    reach: 9,
    context: &["passport", "passports", "passportnumber", "travel document"],
    anchors: &[Anchor::Forms(&["?999999999", "?AA9999999"], validate)],
    hits: &[
        hit("the uk passport number is 107182890", &["107182890"]),
        hit(
            "Passports: AB1234567 and XY9876543",
            &["AB1234567", "XY9876543"],
        ),
        hit("{\"passport\":\"104121156\"}", &["104121156"]),
    ],
    misses: &[
        miss("order 107182890", "nothing says that it is one"),
        miss("passport A12345678", "one letter"),
        miss("passport 1234567AB", "letters at the end"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    candidate.high_or(Confidence::Low)
}
