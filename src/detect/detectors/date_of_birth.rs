//! Dates of birth.

use crate::detect::checksum::{is_date, number_at};
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "date_of_birth",
    groups: &["pii"],
    doc: Doc {
        finds: "A date between 1900 and 2029 in figures, after words such as `date of birth`, `DOB`, `born`, `Geburtsdatum`, `生年月日`.",
        misses: "Dates without such words, with names of months, or with two digits for the year.",
        source: "ISO 8601-1 and the usual national orders of day, month and year",
    },
    reach: 10,
    context: &[
        "date of birth",
        "dateofbirth",
        "birth date",
        "birthdate",
        "birthday",
        "dob",
        "born",
        "born on",
        "geburtsdatum",
        "geboren",
        "geb",
        "date de naissance",
        "ne le",
        "nee le",
        "naissance",
        "fecha de nacimiento",
        "nacimiento",
        "data di nascita",
        "nascita",
        "nato il",
        "nata il",
        "data de nascimento",
        "nascimento",
        "geboortedatum",
        "data urodzenia",
        "urodzenia",
        "födelsedatum",
        "syntymäaika",
        "生年月日",
        "出生日期",
        "생년월일",
        "dogum tarihi",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?9999-99-99",
            "?9999/99/99",
            "?9999.99.99",
            "?99.99.9999",
            "?99/99/9999",
            "?99-99-9999",
            "?9/99/9999",
            "?99/9/9999",
            "?9/9/9999",
            "?9.9.9999",
            "?99.9.9999",
            "?9.99.9999",
            "?99999999",
        ],
        judge,
    )],
    hits: &[
        Hit {
            text: "DOB: 1984-02-29",
            found: &["1984-02-29"],
        },
        Hit {
            text: "geboren am 24.12.1990 in Ulm",
            found: &["24.12.1990"],
        },
        Hit {
            text: "{\"dateOfBirth\":\"7/4/1976\"}",
            found: &["7/4/1976"],
        },
    ],
    misses: &[
        Miss {
            text: "due 1984-02-29",
            why: "nothing says whose day it is",
        },
        Miss {
            text: "DOB 1983-02-29",
            why: "no such day",
        },
        Miss {
            text: "DOB 1784-02-28",
            why: "too long ago",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let date = candidate.compact();
    let written: Vec<u32> = candidate
        .place
        .text
        .slice(candidate.range.clone())
        .split(|byte| !byte.is_ascii_digit())
        .filter_map(|part| number_at(part, 0, part.len()))
        .collect();
    let fits = |year: u32, a: u32, b: u32| {
        (1900..=2029).contains(&year) && (is_date(year, a, b) || is_date(year, b, a))
    };
    let known = match written.as_slice() {
        [year, month, day] if *year > 31 => fits(*year, *month, *day),
        [day, month, year] => fits(*year, *month, *day),
        [_] => {
            is_date(
                number_at(date, 0, 4)?,
                number_at(date, 4, 2)?,
                number_at(date, 6, 2)?,
            ) && fits(number_at(date, 0, 4)?, 1, 1)
        }
        _ => false,
    };
    if !known {
        None
    } else {
        candidate.high_or(Confidence::Low)
    }
}
