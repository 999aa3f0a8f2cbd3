//! Mexican taxpayer codes (RFC).

use crate::detect::checksum::{is_date, number_at};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "mx_rfc",
    groups: &["pii.mx"],
    doc: Doc {
        finds: "Three or four letters, a date, three letters or digits, after the word `RFC`.",
        misses: "Codes without the word.",
        source: "Servicio de Administración Tributaria, estructura del RFC",
    },
    reach: 15,
    context: &["rfc", "registro federal", "contribuyentes"],
    anchors: &[Anchor::Forms(
        &[
            "?AAAA999999XXX",
            "?AAA999999XXX",
            "?AAAA-999999-XXX",
            "?AAA-999999-XXX",
        ],
        validate,
    )],
    hits: &[
        hit("RFC: GODE561231GR8", &["GODE561231GR8"]),
        hit("RFC MAG041126GT8", &["MAG041126GT8"]),
        hit("{\"rfc\":\"VECJ880326XXX\"}", &["VECJ880326XXX"]),
    ],
    misses: &[
        miss("part GODE561231GR8", "nothing says that it is one"),
        miss("RFC GODE561331GR8", "month 13"),
        miss("RFC 2616", "a standard"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let code = candidate.compact();
    let date = code.len().checked_sub(9)?;
    let at = |place: usize| number_at(code, date.wrapping_add(place), 2);
    if !is_date(at(0)?.wrapping_add(2000), at(2)?, at(4)?) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
