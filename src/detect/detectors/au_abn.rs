//! Australian business numbers.

use crate::detect::checksum::weighted;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "au_abn",
    groups: &["pii.au"],
    doc: Doc {
        finds: "Eleven digits as 2-3-3-3 of which the first two check the others modulo 89; without separators after a word such as `ABN`.",
        misses: "Eleven digits in a row without such a word.",
        source: "Australian Business Register, Format of the ABN",
    },
    reach: 14,
    context: &[
        "abn",
        "abns",
        "a b n",
        "business number",
        "australian business",
    ],
    anchors: &[Anchor::Forms(
        &["99 999 999 999", "99-999-999-999", "?99999999999"],
        validate,
    )],
    hits: &[
        hit("A.B.N. 51824753556", &["51824753556"]),
        hit("see 51 824 753 556", &["51 824 753 556"]),
        hit("ABN 51824753556", &["51824753556"]),
        hit("{\"abn\":\"53 004 085 616\"}", &["53 004 085 616"]),
    ],
    misses: &[
        miss("ABN 51 824 753 557", "wrong check digits"),
        miss("id 51824753556", "eleven digits that could be anything"),
        miss("ABN 51 824 753 5564", "twelve digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    // One is taken from the first digit, which has the weight 10.
    let sum = weighted(number, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19])?.checked_sub(10)?;
    if !sum.is_multiple_of(89) || number.first() == Some(&b'0') {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
