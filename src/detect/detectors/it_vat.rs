//! Italian VAT numbers.

use crate::detect::checksum::luhn;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "it_vat",
    groups: &["pii.eu.it"],
    doc: Doc {
        finds: "Eleven digits with the Luhn check digit after a word such as `partita IVA`, or with `IT` before them.",
        misses: "Eleven digits without such a word.",
        source: "Decreto del Presidente della Repubblica 633/1972, art. 35; Agenzia delle Entrate",
    },
    reach: 13,
    context: &["piva", "partitaiva", "iva", "vat"],
    anchors: &[Anchor::Forms(&["?99999999999", "AA99999999999"], validate)],
    hits: &[
        hit("P.IVA: 00743110157", &["00743110157"]),
        hit("partita IVA=01333550323;", &["01333550323"]),
        hit("from IT00743110157", &["IT00743110157"]),
    ],
    misses: &[
        miss("P.IVA 00743110158", "wrong check digit"),
        miss("id 00743110157", "eleven digits that could be anything"),
        miss("P.IVA 00000000000", "zeros"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let code = candidate.compact();
    let number = code.strip_prefix(b"IT").unwrap_or(code);
    if number.len() != 11 || !luhn(number) || number.starts_with(b"0000000") {
        return None;
    }
    candidate.high_or(if candidate.form == 1 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
