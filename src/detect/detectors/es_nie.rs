//! Spanish identity numbers of foreigners (NIE).

use super::es_nif::LETTERS;
use crate::detect::checksum::number_at;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "es_nie",
    groups: &["pii.eu.es"],
    doc: Doc {
        finds: "X, Y or Z (for 0, 1, 2), seven digits, and the letter that the number gives modulo 23.",
        misses: "Numbers with the letter split off by a space.",
        source: "Ministerio del Interior, cálculo del dígito de control del NIE",
    },
    reach: 11,
    context: &["nie", "nies", "extranjero", "extranjeria"],
    anchors: &[Anchor::Forms(
        &["a9999999a", "a9999999-a", "a-9999999-a"],
        validate,
    )],
    hits: &[
        hit("see Z3034038K attached", &["Z3034038K"]),
        hit("Mi NIE es Y8063915-Z", &["Y8063915-Z"]),
        hit("z8078221m", &["z8078221m"]),
    ],
    misses: &[
        miss("NIE Y6865966P", "wrong letter"),
        miss("NIE A1234567L", "begins with A"),
        miss("NIE X123456L", "six digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.capitals();
    let first = match number.first()? {
        b'X' => 0,
        b'Y' => 10_000_000,
        b'Z' => 20_000_000,
        _ => return None,
    };
    let rest = number_at(&number, 1, 7)?
        .wrapping_add(first)
        .wrapping_rem(23);
    if LETTERS.get(rest as usize) == number.get(8) {
        candidate.high_or(Confidence::Medium)
    } else {
        None
    }
}
