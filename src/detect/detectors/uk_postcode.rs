//! UK postcodes.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

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
        validate,
    )],
    hits: &[
        hit("Send to postcode EC2A 1NT please", &["EC2A 1NT"]),
        hit("My address is SW1A 1AA in London", &["SW1A 1AA"]),
        hit("221B Baker Street, London NW1 6XE", &["NW1 6XE"]),
        hit("{\"postcode\":\"CR26XH\"}", &["CR26XH"]),
    ],
    misses: &[
        miss("model EC2A 1NT", "nothing says that it is one"),
        miss("postcode M1 1CA", "C is not used in the inward code"),
        miss("postcode M1 1AI", "I is not used in the inward code"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
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
