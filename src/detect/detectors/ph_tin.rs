//! Philippine taxpayer numbers.

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

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
        validate,
    )],
    hits: &[
        hit("My TIN is 000-123-456-000", &["000-123-456-000"]),
        hit("BIR TIN: 000123456000", &["000123456000"]),
        hit("{\"tin\":\"000-123-456\"}", &["000-123-456"]),
    ],
    misses: &[
        miss("Not a TIN 123456789", "wrong check digit"),
        miss("id 000-123-456", "nothing says that it is one"),
        miss("TIN 000-123", "six digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let rest = weighted_head(number, &[9, 8, 7, 6, 5, 4, 3, 2])?.wrapping_rem(11);
    if Some(rest) == digit(number, 8) {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
