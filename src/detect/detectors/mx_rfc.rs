//! Mexican taxpayer codes (RFC).

use crate::detect::checksum::{is_date, number_at};
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "mx_rfc",
    groups: &["pii.mx"],
    doc: Doc {
        finds: "Three or four letters, a date, three letters or digits, after the word `RFC`.",
        misses: "Codes without the word.",
        source: "Servicio de Administración Tributaria, estructura del RFC",
    },
    reach: 13,
    context: &["rfc", "registro federal", "contribuyentes"],
    anchors: &[Anchor::Forms(
        &[
            "?AAAA999999XXX",
            "?AAA999999XXX",
            "?AAAA-999999-XXX",
            "?AAA-999999-XXX",
        ],
        judge,
    )],
    hits: &[
        Hit {
            text: "RFC: GODE561231GR8",
            found: &["GODE561231GR8"],
        },
        Hit {
            text: "RFC MAG041126GT8",
            found: &["MAG041126GT8"],
        },
        Hit {
            text: "{\"rfc\":\"VECJ880326XXX\"}",
            found: &["VECJ880326XXX"],
        },
    ],
    misses: &[
        Miss {
            text: "part GODE561231GR8",
            why: "nothing says that it is one",
        },
        Miss {
            text: "RFC GODE561331GR8",
            why: "month 13",
        },
        Miss {
            text: "RFC 2616",
            why: "a standard",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let code = candidate.compact();
    let date = code.len().checked_sub(9)?;
    let at = |place: usize| number_at(code, date.wrapping_add(place), 2);
    if !is_date(at(0)?.wrapping_add(2000), at(2)?, at(4)?) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
