//! Indian Aadhaar numbers.

use crate::detect::checksum::verhoeff;
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "in_aadhaar",
    groups: &["pii.in"],
    doc: Doc {
        finds: "Twelve digits as 4-4-4 that begin with 2–9, with Verhoeff's check digit, no palindrome; without separators after a word such as `Aadhaar`.",
        misses: "Twelve digits in a row without such a word, and virtual ids of sixteen digits.",
        source: "UIDAI, A UID Numbering Scheme",
    },
    reach: 18,
    context: &[
        "aadhaar",
        "aadhar",
        "adhaar",
        "adhar",
        "ஆதார்",
        "uidai",
        "uid",
        "आधार",
    ],
    anchors: &[Anchor::Forms(
        &[
            "9999 9999 9999",
            "9999-9999-9999",
            "9999:9999:9999",
            "?9999 - 9999 - 9999",
            "?9999  9999  9999",
            "?999999999999",
        ],
        judge,
    )],
    hits: &[
        Hit {
            text: "ஆதார் எண் 312345678909",
            found: &["312345678909"],
        },
        Hit {
            text: "Aadhaar 2341  2341  2346",
            found: &["2341  2341  2346"],
        },
        Hit {
            text: "see 3123 4567 8909",
            found: &["3123 4567 8909"],
        },
        Hit {
            text: "my aadhaar number is 312345678909",
            found: &["312345678909"],
        },
        Hit {
            text: "3998:7654:3211",
            found: &["3998:7654:3211"],
        },
    ],
    misses: &[
        Miss {
            text: "Aadhaar 3123 4567 8908",
            why: "wrong check digit",
        },
        Miss {
            text: "Aadhaar 1123 4567 8905",
            why: "begins with 1",
        },
        Miss {
            text: "id 312345678909",
            why: "twelve digits that could be anything",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let palindrome = number.iter().eq(number.iter().rev());
    if matches!(number.first(), Some(b'0' | b'1')) || palindrome || !verhoeff(number) {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
