//! Nigerian vehicle registration marks.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "ng_vehicle",
    groups: &["pii.ng"],
    doc: Doc {
        finds: "Three capitals, a hyphen or space, three digits and two capitals; after a word such as `plate`, or where the text is nothing else.",
        misses: "Marks within a text without such a word: part numbers look the same.",
        source: "Federal Road Safety Corps of Nigeria, number plates since 2011",
    },
    reach: 10,
    context: &[
        "plate",
        "plates",
        "vehicle",
        "vehicles",
        "registration",
        "reg",
        "car",
    ],
    anchors: &[Anchor::Forms(
        &[
            "AAA-999AA",
            "AAA 999AA",
            "?AAA999AA",
            "?AAA 999 AA",
            "?AAA-999-AA",
        ],
        validate,
    )],
    hits: &[
        hit("reg. ABJ123XY", &["ABJ123XY"]),
        hit(
            "The plate number is ABJ-123XY for this vehicle",
            &["ABJ-123XY"],
        ),
        hit("APP 456CV", &["APP 456CV"]),
        hit(
            "Plates: APP-456CV and KJA-999PZ",
            &["APP-456CV", "KJA-999PZ"],
        ),
    ],
    misses: &[
        miss("part APP-456CV fits", "nothing says that it is one"),
        miss("plate AB-12CD", "two letters"),
        miss("plate 123-456AB", "digits in front"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    if candidate.is_separated() {
        candidate.high_or_whole(Confidence::Medium)
    } else {
        candidate.high_or(Confidence::Low)
    }
}
