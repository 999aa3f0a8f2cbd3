//! US driver licence numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "us_driver_licence",
    groups: &["pii.us"],
    doc: Doc {
        finds: "The forms of the states: 7–9 digits, a letter and 6–14 digits, two letters and 6 or 7 digits; after words such as `driver's license` or `DL`.",
        misses: "Numbers without such a word: there is no check digit that states share.",
        source: "AAMVA DL/ID Card Design Standard; the states' published number formats",
    },
    reach: 17,
    context: &[
        "driver license",
        "driver licence",
        "drivers license",
        "drivers licence",
        "driver s license",
        "driver s licence",
        "driving license",
        "driving licence",
        "dl",
        "driverlicense",
        "dln",
        "license number",
        "licence number",
        "dls",
        "cdls",
        "lic no",
        "license no",
        "licence no",
        "driving permit",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?9999999",
            "?99999999",
            "?999999999",
            "?a999999",
            "?a9999999",
            "?a99999999",
            "?a999999999999",
            "?a9999999999999",
            "?a99999999999999",
            "?aa999999",
            "?aa9999999",
            "?a999-9999-9999",
            "?a999-999-999-999",
            "?A999-9999-9999-99",
        ],
        validate,
    )],
    hits: &[
        hit("license_no: 'S5041801'", &["S5041801"]),
        hit("my driver's license is 96558245", &["96558245"]),
        hit("DL: T4828834", &["T4828834"]),
        hit("| driver license | F311912636676 |", &["F311912636676"]),
    ],
    misses: &[
        miss("order 96558245", "nothing says that it is one"),
        miss("driver's license 965", "three digits"),
        miss("DL ABCDEFGH", "no digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    candidate.high_or(Confidence::Low)
}
