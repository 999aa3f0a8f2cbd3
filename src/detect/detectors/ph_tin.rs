//! Philippine taxpayer numbers.

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "ph_tin",
    groups: &["pii.ph"],
    doc: Doc {
        finds: "Nine digits as 3-3-3, the last one by weights 9–2 modulo 11, with or without the branch, after a word such as `TIN`.",
        misses: "Numbers without such a word.",
        source: "Bureau of Internal Revenue of the Philippines, taxpayer identification number",
    },
    reach: 17,
    context: &[
        "tin",
        "tins",
        "bir",
        "taxpayer identification",
        "taxpayer id",
        "tax id",
        "tax identification",
        "revenue district",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?999-999-999",
            "?999-999-999-999",
            "?999-999-999-99999",
            "?999999999",
            "?999999999999",
            "?999 999 999",
            "?999 999 999 999",
        ],
        judge,
    )],
    hits: &[
        Hit {
            text: "My TIN is 000-123-456-000",
            found: &["000-123-456-000"],
        },
        Hit {
            text: "BIR TIN: 000123456000",
            found: &["000123456000"],
        },
        Hit {
            text: "{\"tin\":\"000-123-456\"}",
            found: &["000-123-456"],
        },
    ],
    misses: &[
        Miss {
            text: "Not a TIN 123456789",
            why: "wrong check digit",
        },
        Miss {
            text: "id 000-123-456",
            why: "nothing says that it is one",
        },
        Miss {
            text: "TIN 000-123",
            why: "six digits",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let rest = weighted_head(number, &[9, 8, 7, 6, 5, 4, 3, 2])?.wrapping_rem(11);
    if Some(rest) == digit(number, 8) {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
