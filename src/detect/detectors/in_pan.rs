//! Indian permanent account numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "in_pan",
    groups: &["pii.in"],
    doc: Doc {
        finds: "Five capitals, four digits, a capital; the fourth letter is the kind of holder (P, C, H, A, B, G, J, L, F, T).",
        misses: "Numbers in small letters; there is no check digit that is published.",
        source: "Income Tax Department of India, structure of the PAN (Rule 114)",
    },
    reach: 10,
    context: &["pan", "pans", "permanent account", "income tax"],
    anchors: &[Anchor::Forms(&["AAAAA9999A"], validate)],
    hits: &[
        hit("PAN: NQOPD6585K", &["NQOPD6585K"]),
        hit("{\"PAN card\": \"ALMCQ9099G\"}", &["ALMCQ9099G"]),
        hit("see ABCPD1234Z", &["ABCPD1234Z"]),
    ],
    misses: &[
        miss("PAN ABCXD1234Z", "X is no kind of holder"),
        miss("PAN abcpd1234z", "small letters"),
        miss("PAN ABCPD0000Z", "number 0000"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    if !number
        .get(3)
        .is_some_and(|kind| b"PCHABGJLFT".contains(kind))
        || number.get(5..9) == Some(b"0000".as_slice())
    {
        return None;
    }
    // Names of constants: `TV_YPBPR1080I`
    let named = candidate.place.text.continues_name(candidate.range.start);
    candidate.high_or(if named {
        Confidence::Low
    } else {
        Confidence::Medium
    })
}
