//! UK unique taxpayer references.

use crate::detect::checksum::{digit, weighted};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "uk_utr",
    groups: &["pii.uk"],
    doc: Doc {
        finds: "Ten digits of which the first checks the others, after a word such as `UTR`.",
        misses: "Ten digits without such a word.",
        source: "HMRC, Unique Taxpayer Reference modulus check",
    },
    reach: 12,
    context: &[
        "utr",
        "utrs",
        "unique taxpayer",
        "taxpayer reference",
        "self assessment",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?9999999999",
            "?99999 99999",
            "?999 999 9999",
            "?99999-99999",
        ],
        validate,
    )],
    hits: &[
        hit("UTR 1955839661", &["1955839661"]),
        hit("Unique Taxpayer Reference: 11234 56789", &["11234 56789"]),
        hit("{\"utr\":\"2234234987\"}", &["2234234987"]),
        hit("UTR 19558-39661", &["19558-39661"]),
    ],
    misses: &[
        miss("UTR 2955839661", "wrong check digit"),
        miss("at 1955839661", "nothing says that it is one"),
        miss("UTR 195583966", "nine digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let rest = weighted(number.get(1..)?, &[6, 7, 8, 9, 10, 5, 4, 3, 2])?.wrapping_rem(11);
    let check = b"21987654321"
        .get(rest as usize)
        .map(|byte| u32::from(byte & 0x0F));
    if check.is_some() && check == digit(number, 0) {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
