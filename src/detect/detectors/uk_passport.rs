//! UK passport numbers.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
    anchors: &[Anchor::Forms(&["?999999999", "?AA9999999"], judge)],
    hits: &[
        Hit {
            text: "the uk passport number is 107182890",
            found: &["107182890"],
        },
        Hit {
            text: "Passports: AB1234567 and XY9876543",
            found: &["AB1234567", "XY9876543"],
        },
        Hit {
            text: "{\"passport\":\"104121156\"}",
            found: &["104121156"],
        },
    ],
    misses: &[
        Miss {
            text: "order 107182890",
            why: "nothing says that it is one",
        },
        Miss {
            text: "passport A12345678",
            why: "one letter",
        },
        Miss {
            text: "passport 1234567AB",
            why: "letters at the end",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    candidate.high_or(Confidence::Low)
}
