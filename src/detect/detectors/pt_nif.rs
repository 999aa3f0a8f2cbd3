//! Portuguese tax numbers (NIF).

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "pt_nif",
    groups: &["pii.eu.pt"],
    doc: Doc {
        finds: "Nine digits that begin with 1–3, 45 or 5–9, the last one by weights 9–2 modulo 11, after a word such as `NIF` or `contribuinte`, or with `PT` before them.",
        misses: "Numbers without such a word.",
        source: "Decreto-Lei n.º 14/2013; Autoridade Tributária e Aduaneira",
    },
    reach: 11,
    context: &["nif", "nifs", "contribuinte", "nipc"],
    anchors: &[Anchor::Forms(
        &["?999999999", "?999 999 999", "AA999999999"],
        validate,
    )],
    hits: &[
        hit("NIF 123456789, NIF 450000001", &["123456789", "450000001"]),
        hit("contribuinte: 501 442 014", &["501 442 014"]),
        hit("from PT501442014", &["PT501442014"]),
    ],
    misses: &[
        miss("NIF 123456788", "wrong check digit"),
        miss("NIF 423456787", "begins with 42"),
        miss("id 123456789", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let code = candidate.compact();
    let number = code.strip_prefix(b"PT").unwrap_or(code);
    let rest = weighted_head(number, &[9, 8, 7, 6, 5, 4, 3, 2])?.wrapping_rem(11);
    let check = 11u32.wrapping_sub(rest);
    let check = if check > 9 { 0 } else { check };
    let known = matches!(number, [b'1'..=b'3' | b'5'..=b'9', ..] | [b'4', b'5', ..]);
    if !known || digit(number, 8) != Some(check) {
        return None;
    }
    candidate.high_or(if candidate.form == 2 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
