//! South African identity numbers.

use crate::detect::checksum::{is_date, luhn, number_at};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "za_id",
    groups: &["pii.za"],
    doc: Doc {
        finds: "Thirteen digits: date of birth, four digits, 0–2 for citizenship, a digit, the Luhn check digit; after words such as `South African ID`.",
        misses: "Thirteen digits without such words: times in milliseconds pass the check.",
        source: "Identification Act 68 of 1997 (South Africa), regulations, annex A",
    },
    reach: 16,
    context: &[
        "south african id",
        "rsa id",
        "sa id",
        "za id",
        "id number",
        "id no",
        "id nommer",
        "said",
        "national id",
        "smart id",
        "id book",
        "identity",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?9999999999999",
            "?999999 9999 999",
            "?999999 9999 99 9",
            "?999999-9999-999",
        ],
        validate,
    )],
    hits: &[
        hit("ID-nommer 8001015009087", &["8001015009087"]),
        hit("South African ID 8001015009087", &["8001015009087"]),
        hit("RSA ID number: 7701247704188", &["7701247704188"]),
        hit("{\"id_number\":\"9408092928189\"}", &["9408092928189"]),
        hit("RSA ID 800101-5009-087", &["800101-5009-087"]),
    ],
    misses: &[
        miss("RSA ID 8001015009086", "wrong check digit"),
        miss("RSA ID 8013015009087", "month 13"),
        miss("at 8001015009087", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    // 2000 is a leap year, as is every fourth of both centuries that a living person can be born in.
    let year = number_at(number, 0, 2)?.wrapping_add(2000);
    let dated = is_date(year, number_at(number, 2, 2)?, number_at(number, 4, 2)?);
    if !dated || !matches!(number.get(10), Some(b'0'..=b'2')) || !luhn(number) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
