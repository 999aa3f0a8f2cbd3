//! UK postcodes.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "uk_postcode",
    groups: &["pii.uk"],
    doc: Doc {
        finds: "Outward and inward code in capitals, after a word such as `postcode`, `address` or `Street`.",
        misses: "Codes without such a word: model numbers look the same.",
        source: "Royal Mail, Programmers' Guide to PAF; BS 7666",
    },
    reach: 8,
    context: &[
        "postcode",
        "postcodes",
        "post code",
        "postal code",
        "address",
        "zip",
        "lives",
        "live",
        "street",
        "road",
        "lane",
        "avenue",
        "london",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?A9_9AA",
            "?A99_9AA",
            "?AA9_9AA",
            "?AA99_9AA",
            "?A9A_9AA",
            "?AA9A_9AA",
        ],
        judge,
    )],
    hits: &[
        Hit {
            text: "Send to postcode EC2A 1NT please",
            found: &["EC2A 1NT"],
        },
        Hit {
            text: "My address is SW1A 1AA in London",
            found: &["SW1A 1AA"],
        },
        Hit {
            text: "221B Baker Street, London NW1 6XE",
            found: &["NW1 6XE"],
        },
        Hit {
            text: "{\"postcode\":\"CR26XH\"}",
            found: &["CR26XH"],
        },
    ],
    misses: &[
        Miss {
            text: "model EC2A 1NT",
            why: "nothing says that it is one",
        },
        Miss {
            text: "postcode M1 1CA",
            why: "C is not used in the inward code",
        },
        Miss {
            text: "postcode M1 1AI",
            why: "I is not used in the inward code",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let code = candidate.compact();
    let [outward @ .., _, unit_first, unit_last] = code else {
        return None;
    };
    let unused = [unit_first, unit_last]
        .iter()
        .any(|byte| b"CIKMOV".contains(byte))
        || outward.first().is_some_and(|byte| b"QVX".contains(byte))
        || outward.get(1).is_some_and(|byte| b"IJZ".contains(byte));
    let confidence = candidate.high_or(Confidence::Low)?;
    (!unused).then_some(confidence.min(Confidence::Medium))
}
