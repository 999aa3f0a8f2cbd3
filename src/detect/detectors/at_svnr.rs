//! Austrian social insurance numbers (SVNR).

use crate::detect::checksum::{digit, number_at, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "at_svnr",
    groups: &["pii.eu.at"],
    doc: Doc {
        finds: "Three digits, a check digit (weights 3, 7, 9, 5, 8, 4, 2, 1, 6 modulo 11) and a date of birth, together or with a space, hyphen or slash, after a word such as `SVNR`. Months go up to 15: further ones stand for birthdays that had no number left.",
        misses: "Ten digits without such a word.",
        source: "Allgemeines Sozialversicherungsgesetz (ASVG) § 31; Dachverband der Sozialversicherungsträger, Versicherungsnummer",
    },
    reach: 13,
    context: &[
        "svnr",
        "sv nr",
        "sv nummer",
        "svnummer",
        "vsnr",
        "vnr",
        "sozialversicherungsnummer",
        "sozialversicherungsnr",
        "versicherungsnummer",
        "sozialversicherung",
        "austrian social",
        "e card",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?9999999999",
            "?9999 999999",
            "?9999-999999",
            "?9999/999999",
            "?9999 99 99 99",
        ],
        validate,
    )],
    hits: &[
        hit("SVNR 1237 010180", &["1237 010180"]),
        hit(
            "Meine Sozialversicherungsnummer ist 9514241275.",
            &["9514241275"],
        ),
        hit("SV-Nr.: 2129/310703", &["2129/310703"]),
        hit("{\"svnr\":\"1237010180\"}", &["1237010180"]),
    ],
    misses: &[
        miss("SVNR 2237 010180", "wrong check digit"),
        miss("SVNR 1235 321080", "day 32"),
        miss("SVNR 0180 010180", "the serial begins with 0"),
        miss("1237 010180", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let check = weighted_head(number, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6])?.wrapping_rem(11);
    let dated =
        matches!(number_at(number, 4, 2)?, 1..=31) && matches!(number_at(number, 6, 2)?, 1..=15);
    if number.first() == Some(&b'0') || digit(number, 3) != Some(check) || !dated {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
