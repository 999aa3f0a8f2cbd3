//! Danish personal identification numbers (CPR).

use crate::detect::checksum::{is_date, number_at, weighted};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "dk_cpr",
    groups: &["pii.eu.dk"],
    doc: Doc {
        finds: "Date of birth and four digits with a hyphen, if the weights 4, 3, 2, 7, 6, 5, 4, 3, 2, 1 modulo 11 fit; numbers issued since 2007 need not fit and count after a word such as `CPR`.",
        misses: "Ten digits in a row without such a word.",
        source: "CPR-kontoret, Personnummeret i CPR",
    },
    reach: 11,
    context: &["cpr", "cprnr", "personnummer", "cprnummer"],
    anchors: &[Anchor::Forms(
        &["999999-9999", "?999999 9999", "?9999999999"],
        validate,
    )],
    hits: &[
        hit("see 211062-5637", &["211062-5637"]),
        hit("CPR 0101851230", &["0101851230"]),
        hit("CPR-nr. 211062-5638", &["211062-5638"]),
    ],
    misses: &[
        miss("see 211062-5638", "the weights don't fit"),
        miss("CPR 321062-5637", "day 32"),
        miss("id 0101851230", "ten digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let checked = weighted(number, &[4, 3, 2, 7, 6, 5, 4, 3, 2, 1])?.is_multiple_of(11);
    if !is_date(
        number_at(number, 4, 2)?.wrapping_add(2000),
        number_at(number, 2, 2)?,
        number_at(number, 0, 2)?,
    ) {
        return None;
    }
    candidate.high_or(if checked && candidate.form == 0 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
