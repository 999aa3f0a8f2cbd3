//! Greek social security numbers (AMKA).

use crate::detect::checksum::{is_date, luhn, number_at};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "gr_amka",
    groups: &["pii.eu.gr"],
    doc: Doc {
        finds: "Date of birth and five digits, the last one Luhn's, after the word `AMKA`.",
        misses: "Eleven digits without the word.",
        source: "Νόμος 3655/2008, άρθρο 153; ΗΔΙΚΑ, Αριθμός Μητρώου Κοινωνικής Ασφάλισης",
    },
    reach: 12,
    context: &[
        "amka",
        "αμκα",
        "a m k a",
        "α μ κ α",
        "κοινωνικής ασφάλισης",
        "greek social security",
    ],
    anchors: &[Anchor::Forms(
        &["?99999999999", "?999999 99999", "?999999-99999"],
        validate,
    )],
    hits: &[
        hit("AMKA 01018028173", &["01018028173"]),
        hit("Ο ΑΜΚΑ μου είναι 31127510159.", &["31127510159"]),
        hit("{\"amka\":\"29020429139\"}", &["29020429139"]),
        hit("Α.Μ.Κ.Α.: 010180 28173", &["010180 28173"]),
    ],
    misses: &[
        miss("AMKA 01018028174", "wrong check digit"),
        miss("AMKA 01138028172", "month 13"),
        miss("id 01018028173", "eleven digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    // 2000 is a leap year, as is every fourth of both centuries that a living person can be born in.
    let dated = is_date(
        number_at(number, 4, 2)?.wrapping_add(2000),
        number_at(number, 2, 2)?,
        number_at(number, 0, 2)?,
    );
    if !dated || !luhn(number) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
