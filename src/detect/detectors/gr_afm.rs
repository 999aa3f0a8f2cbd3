//! Greek tax numbers (AFM).

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "gr_afm",
    groups: &["pii.eu.gr"],
    doc: Doc {
        finds: "Nine digits, the last one by the weights 256, 128 … 2 modulo 11, after a word such as `AFM`, or with `EL` before them.",
        misses: "Nine digits without such a word.",
        source: "European Commission, TIN structure and algorithms, Greece; VIES, VAT identification number structure",
    },
    reach: 11,
    context: &[
        "afm",
        "αφμ",
        "a f m",
        "α φ μ",
        "φορολογικό μητρώο",
        "φορολογικού μητρώου",
        "greek tax",
        "greek vat",
    ],
    anchors: &[Anchor::Forms(&["?999999999", "AA999999999"], validate)],
    hits: &[
        hit("AFM: 094259216", &["094259216"]),
        hit("Το ΑΦΜ μου: 123199866", &["123199866"]),
        hit("from EL094259216", &["EL094259216"]),
        hit("Α.Φ.Μ. 181497800", &["181497800"]),
    ],
    misses: &[
        miss("AFM 094259217", "wrong check digit"),
        miss("AFM 000000000", "zeros"),
        miss("AFM GB094259216", "another country"),
        miss("id 094259216", "nine digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let code = candidate.compact();
    let number = code.strip_prefix(b"EL").unwrap_or(code);
    let sum = weighted_head(number, &[256, 128, 64, 32, 16, 8, 4, 2])?;
    let check = sum.wrapping_rem(11).wrapping_rem(10);
    if number.len() != 9 || sum == 0 || digit(number, 8) != Some(check) {
        return None;
    }
    candidate.high_or(if candidate.form == 1 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
