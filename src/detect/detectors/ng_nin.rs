//! Nigerian identification numbers.

use crate::detect::checksum::verhoeff;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "ng_nin",
    groups: &["pii.ng"],
    doc: Doc {
        finds: "Eleven digits with Verhoeff's check digit after a word such as `NIN`.",
        misses: "Numbers without such a word.",
        source: "National Identity Management Commission of Nigeria, NIN",
    },
    reach: 13,
    context: &[
        "nin",
        "nins",
        "national identification",
        "nimc",
        "national identity",
        "nigerian identification",
        "nigeria id",
        "nigerian id",
    ],
    anchors: &[Anchor::Forms(
        &["?99999999999", "?9999 999 9999", "?9999-999-9999"],
        validate,
    )],
    hits: &[
        hit("NIN 12345678902", &["12345678902"]),
        hit("NIN: 1234 567 8902", &["1234 567 8902"]),
        hit("my NIN is 23456789019", &["23456789019"]),
        hit("{\"nin\":\"34567890120\"}", &["34567890120"]),
    ],
    misses: &[
        miss("NIN 12345678901", "wrong check digit"),
        miss("NIN 1234567890", "ten digits"),
        miss("id 12345678902", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    if verhoeff(candidate.compact()) {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
