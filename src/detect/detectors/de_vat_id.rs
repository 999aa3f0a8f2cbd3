//! German VAT identification numbers.

use crate::detect::checksum::mod_11_10;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_vat_id",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "`DE` and nine digits, the last one by ISO 7064 MOD 11,10, in one piece or in groups with spaces, dots or hyphens.",
        misses: "Small letters in one piece without a word such as `USt-IdNr`.",
        source: "Umsatzsteuergesetz § 27a; European Commission, VIES",
    },
    reach: 14,
    context: &[
        "ust id",
        "ust idnr",
        "ustid",
        "ustidnr",
        "umsatzsteuer",
        "vat",
        "umsatzsteueridentifikationsnummer",
        "mehrwertsteuer",
        "uid",
    ],
    anchors: &[Anchor::Forms(
        &[
            "aa999999999",
            "aa 999999999",
            "aa 999 999 999",
            "aa.999.999.999",
            "aa-999-999-999",
            "aa 999-999-999",
            "aa 999.999.999",
            "aa 999-999.999",
            "aa 999.999-999",
            "aa999 999 999",
            "aa999.999.999",
            "aa999-999-999",
            "aa-999999999",
        ],
        validate,
    )],
    hits: &[
        hit(
            "Bitte angeben: DE136695976 auf der Rechnung.",
            &["DE136695976"],
        ),
        hit("de 136 695 976", &["de 136 695 976"]),
        hit("DE 136-695.976", &["DE 136-695.976"]),
    ],
    misses: &[
        miss("DE136695977", "wrong check digit"),
        miss("DE12345678", "eight digits"),
        miss("AT136695976", "another country"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let code = candidate.capitals();
    let number = code.strip_prefix(b"DE")?;
    if number.first() == Some(&b'0') || !mod_11_10(number) {
        return None;
    }
    let small = candidate.compact() != &*code && candidate.form == 0;
    candidate.high_or(if small {
        Confidence::Low
    } else {
        Confidence::Medium
    })
}
