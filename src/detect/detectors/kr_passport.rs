//! South Korean passport numbers.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
    anchors: &[Anchor::Forms(&["?a99999999", "?a999a9999"], judge)],
    hits: &[
        Hit {
            text: "the kr passport number is M35772699",
            found: &["M35772699"],
        },
        Hit {
            text: "여권번호는 M789C1234입니다",
            found: &["M789C1234"],
        },
        Hit {
            text: "passport: s99887766",
            found: &["s99887766"],
        },
    ],
    misses: &[
        Miss {
            text: "part M35772699",
            why: "nothing says that it is one",
        },
        Miss {
            text: "passport M123456789",
            why: "nine digits",
        },
        Miss {
            text: "passport MM123A4567",
            why: "two letters",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
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
