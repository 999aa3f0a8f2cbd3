//! Indian Aadhaar numbers.

use crate::detect::checksum::verhoeff;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "in_aadhaar",
    groups: &["pii.in"],
    doc: Doc {
        finds: "Twelve digits as 4-4-4 that begin with 2–9, with Verhoeff's check digit, no palindrome; without separators after a word such as `Aadhaar`.",
        misses: "Twelve digits in a row without such a word, and virtual ids of sixteen digits.",
        source: "UIDAI, A UID Numbering Scheme",
    },
    reach: 20,
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
            "?9999.9999.9999",
        ],
        validate,
    )],
    hits: &[
        hit("ஆதார் எண் 312345678909", &["312345678909"]),
        hit("Aadhaar 2341  2341  2346", &["2341  2341  2346"]),
        hit(
            "see 3123 4567 8909, in 2024 3123 4567 8909 10",
            &["3123 4567 8909", "3123 4567 8909"],
        ),
        hit("my aadhaar number is 312345678909", &["312345678909"]),
        hit("3998:7654:3211", &["3998:7654:3211"]),
        hit("Aadhaar 3123.4567.8909", &["3123.4567.8909"]),
    ],
    misses: &[
        miss("Aadhaar 3123 4567 8908", "wrong check digit"),
        miss("Aadhaar 1123 4567 8905", "begins with 1"),
        miss(
            "see 3123 4567 8909 1234, 9483 2312 6803 8909",
            "a virtual id, a row of numbers",
        ),
        miss("id 312345678909", "twelve digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let palindrome = number.iter().eq(number.iter().rev());
    if matches!(number.first(), Some(b'0' | b'1')) || palindrome || !verhoeff(number) {
        return None;
    }
    candidate.high_or(if candidate.is_separated() && !candidate.is_in_row(4) {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
