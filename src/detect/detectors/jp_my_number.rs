//! Japanese individual numbers (My Number).

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "jp_my_number",
    groups: &["pii.jp"],
    doc: Doc {
        finds: "Twelve digits, the last one by weights 6–2 and 7–2 modulo 11, after words such as `マイナンバー` or `My Number`.",
        misses: "Numbers without such words.",
        source: "行政手続における特定の個人を識別するための番号の利用等に関する法律 施行令第8条; 総務省令第85号",
    },
    reach: 14,
    context: &[
        "my number",
        "mynumber",
        "individual number",
        "マイナンバー",
        "個人番号",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?999999999999",
            "?9999 9999 9999",
            "?9999-9999-9999",
            "?9999.9999.9999",
        ],
        validate,
    )],
    hits: &[
        hit("マイナンバーは123456789018です", &["123456789018"]),
        hit("My Number: 9876 5432 1093", &["9876 5432 1093"]),
        hit("{\"個人番号\":\"123456789018\"}", &["123456789018"]),
        hit("My Number: 9876.5432.1093", &["9876.5432.1093"]),
    ],
    misses: &[
        miss("My Number 123456789019", "wrong check digit"),
        miss("My Number 12345678901", "eleven digits"),
        miss("id 123456789018", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let rest = weighted_head(number, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2])?.wrapping_rem(11);
    let check = if rest <= 1 {
        0
    } else {
        11u32.wrapping_sub(rest)
    };
    if digit(number, 11) == Some(check) {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
