//! South Korean passport numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "kr_passport",
    groups: &["pii.kr"],
    doc: Doc {
        finds: "M, S, R, O, D or G and eight digits, or with a letter in place of the fourth digit, after a word such as `passport` or `여권`.",
        misses: "Numbers without such a word: there is no check digit.",
        source: "Ministry of Foreign Affairs of Korea, passport number format since 2021",
    },
    reach: 9,
    context: &["passport", "passports", "passportnumber", "여권"],
    anchors: &[Anchor::Forms(&["?a99999999", "?a999a9999"], validate)],
    hits: &[
        hit("the kr passport number is M35772699", &["M35772699"]),
        hit("여권번호는 M789C1234입니다", &["M789C1234"]),
        hit("passport: s99887766", &["s99887766"]),
    ],
    misses: &[
        miss("part M35772699", "nothing says that it is one"),
        miss("passport M123456789", "nine digits"),
        miss("passport MM123A4567", "two letters"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let known = candidate
        .capitals()
        .first()
        .is_some_and(|letter| b"MSRODG".contains(letter));
    if known {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
