//! Australian tax file numbers.

use crate::detect::checksum::weighted;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "au_tfn",
    groups: &["pii.au"],
    doc: Doc {
        finds: "Nine digits, weights 1, 4, 3, 7, 5, 8, 6, 9, 10 modulo 11, after a word such as `TFN`.",
        misses: "Numbers without such a word, and those of eight digits.",
        source: "Australian Taxation Office, tax file number validation",
    },
    reach: 11,
    context: &["tfn", "tfns", "tax file", "taxfile"],
    anchors: &[Anchor::Forms(
        &["?999 999 999", "?999-999-999", "?999999999", "?999.999.999"],
        validate,
    )],
    hits: &[
        hit("TFN: 123 456 782", &["123 456 782"]),
        hit("tax file number=876543210;", &["876543210"]),
        hit("{\"TFN\":\"123456782\"}", &["123456782"]),
        hit("TFN: 123.456.782", &["123.456.782"]),
    ],
    misses: &[
        miss("TFN 123 456 783", "wrong check digit"),
        miss("id 123456782", "nothing says that it is one"),
        miss("TFN 12345678", "eight digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let sum = weighted(candidate.compact(), &[1, 4, 3, 7, 5, 8, 6, 9, 10])?;
    if sum.is_multiple_of(11) && sum > 0 {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
