//! Australian tax file numbers.

use crate::detect::checksum::weighted;
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "au_tfn",
    groups: &["pii.au"],
    doc: Doc {
        finds: "Nine digits, weights 1, 4, 3, 7, 5, 8, 6, 9, 10 modulo 11, after a word such as `TFN`.",
        misses: "Numbers without such a word, and those of eight digits.",
        source: "Australian Taxation Office, tax file number validation",
    },
    reach: 11,
    context: &["tfn", "tfns", "tax file", "taxfile"],
    anchors: &[Anchor::Forms(
        &["?999 999 999", "?999-999-999", "?999999999"],
        judge,
    )],
    hits: &[
        Hit {
            text: "TFN: 123 456 782",
            found: &["123 456 782"],
        },
        Hit {
            text: "tax file number=876543210;",
            found: &["876543210"],
        },
        Hit {
            text: "{\"TFN\":\"123456782\"}",
            found: &["123456782"],
        },
    ],
    misses: &[
        Miss {
            text: "TFN 123 456 783",
            why: "wrong check digit",
        },
        Miss {
            text: "id 123456782",
            why: "nothing says that it is one",
        },
        Miss {
            text: "TFN 12345678",
            why: "eight digits",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let sum = weighted(candidate.compact(), &[1, 4, 3, 7, 5, 8, 6, 9, 10])?;
    if sum.is_multiple_of(11) && sum > 0 {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
