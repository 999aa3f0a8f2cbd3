//! Nigerian vehicle registration marks.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "ng_vehicle",
    groups: &["pii.ng"],
    doc: Doc {
        finds: "Three capitals, a hyphen or space, three digits and two capitals; after a word such as `plate`, or where the text is nothing else.",
        misses: "Marks within a text without such a word: part numbers look the same.",
        source: "Federal Road Safety Corps of Nigeria, number plates since 2011",
    },
    reach: 9,
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
        judge,
    )],
    hits: &[
        Hit {
            text: "reg. ABJ123XY",
            found: &["ABJ123XY"],
        },
        Hit {
            text: "The plate number is ABJ-123XY for this vehicle",
            found: &["ABJ-123XY"],
        },
        Hit {
            text: "APP 456CV",
            found: &["APP 456CV"],
        },
        Hit {
            text: "Plates: APP-456CV and KJA-999PZ",
            found: &["APP-456CV", "KJA-999PZ"],
        },
    ],
    misses: &[
        Miss {
            text: "part APP-456CV fits",
            why: "nothing says that it is one",
        },
        Miss {
            text: "plate AB-12CD",
            why: "two letters",
        },
        Miss {
            text: "plate 123-456AB",
            why: "digits in front",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    if candidate.is_separated() {
        candidate.high_or_whole(Confidence::Medium)
    } else {
        candidate.high_or(Confidence::Low)
    }
}
