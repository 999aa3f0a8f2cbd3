//! Nigerian identification numbers.

use crate::detect::checksum::verhoeff;
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
        judge,
    )],
    hits: &[
        Hit {
            text: "NIN 12345678902",
            found: &["12345678902"],
        },
        Hit {
            text: "NIN: 1234 567 8902",
            found: &["1234 567 8902"],
        },
        Hit {
            text: "my NIN is 23456789019",
            found: &["23456789019"],
        },
        Hit {
            text: "{\"nin\":\"34567890120\"}",
            found: &["34567890120"],
        },
    ],
    misses: &[
        Miss {
            text: "NIN 12345678901",
            why: "wrong check digit",
        },
        Miss {
            text: "NIN 1234567890",
            why: "ten digits",
        },
        Miss {
            text: "id 12345678902",
            why: "nothing says that it is one",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    if verhoeff(candidate.compact()) {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
