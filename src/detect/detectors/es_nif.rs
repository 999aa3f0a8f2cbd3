//! Spanish tax and identity numbers (NIF, DNI).

use crate::detect::checksum::number_at;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "es_nif",
    groups: &["pii.eu.es"],
    doc: Doc {
        finds: "Eight digits and the letter that they give modulo 23, with or without a hyphen or space.",
        misses: "A small letter without a word such as `DNI`: hexadecimal identifiers pass the check.",
        source: "Ministerio del Interior, cálculo del dígito de control del NIF",
    },
    reach: 12,
    context: &[
        "nif",
        "nifs",
        "dni",
        "dnis",
        "documento nacional",
        "identidad",
        "identificacion fiscal",
        "cif",
        "identificación",
    ],
    anchors: &[Anchor::Forms(
        &[
            "99999999a",
            "99999999-a",
            "?99999999 a",
            "?9999999a",
            "?9999999-a",
            "99.999.999-a",
            "99.999.999a",
        ],
        validate,
    )],
    hits: &[
        hit("see 12345678Z", &["12345678Z"]),
        hit("DNI: 89869386-Z.", &["89869386-Z"]),
        hit("the es nif number is 01234567l", &["01234567l"]),
    ],
    misses: &[
        miss("DNI 12345678A", "wrong letter"),
        miss("0988838e", "the head of a UUID"),
        miss("12345678z in a hash", "a small letter without context"),
    ],
};

/// The letter for each remainder of a number by 23.
pub(super) const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.capitals();
    // Older numbers are written without the leading zero, too.
    let digits = number.len().checked_sub(1)?;
    let rest = number_at(&number, 0, digits)?.wrapping_rem(23);
    if LETTERS.get(rest as usize) != number.last() || number.starts_with(b"00000000") {
        return None;
    }
    let capital = candidate.compact().last()?.is_ascii_uppercase();
    candidate.high_or(if capital && candidate.form != 2 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
