//! Dates of birth.

use crate::detect::checksum::{is_date, number_at};
use crate::detect::scan::place::{Anchor, Candidate, Found, Place, When};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "date_of_birth",
    groups: &["pii"],
    doc: Doc {
        finds: "A date between 1900 and 2029 in figures or with the name of the month (English, German, French, Spanish, Italian, Portuguese, Dutch, Polish), after words such as `date of birth`, `DOB`, `born`, `Geburtsdatum`, `生年月日`.",
        misses: "Dates without such words, or with two digits for the year.",
        source: "ISO 8601-1 and the usual national orders of day, month and year",
    },
    reach: 32,
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
    anchors: &[
        Anchor::Forms(
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
        ),
        Anchor::Number(4..=4, When::InContext, with_month),
    ],
    hits: &[
        Hit {
            text: "born on March 15, 1962; geboren am 3. Mai 1975; nacida el 9 de abril de 2001",
            found: &["March 15, 1962", "3. Mai 1975", "9 de abril de 2001"],
        },
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
            text: "born in the summer of 1962",
            why: "no day",
        },
        Miss {
            text: "founded March 15, 1962",
            why: "nothing says that it is a birth",
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

/// How names of months begin, in English, German, French, Spanish, Italian, Portuguese, Dutch and Polish.
const MONTHS: &[&[u8; 3]] = &[
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
    b"mai", b"okt", b"dez", b"jui", b"fev", b"avr", b"aou", b"ene", b"abr", b"ago", b"dic", b"gen",
    b"mag", b"giu", b"lug", b"set", b"ott", b"out", b"maa", b"mei", b"sty", b"lut", b"kwi", b"maj",
    b"cze", b"lip", b"sie", b"wrz", b"paz", b"lis", b"gru",
];

/// `19 April 1975`, `April 19th, 1975`, `19 de abril de 1975`; the place is at the year.
fn with_month(place: &Place<'_>) -> Option<Found> {
    let text = place.text;
    let year = number_at(text.slice(place.at..place.end), 0, 4)?;
    let back = |at: usize| text.run_back(at, 2, |byte| matches!(byte, b' ' | b',' | b'.' | b'-'));
    let word = |end: usize| text.run_back(end, 12, |byte| byte.is_ascii_alphabetic());
    let digits = |end: usize| text.run_back(end, 3, |byte| byte.is_ascii_digit());
    let month = |start: usize, end: usize| {
        let begins = |month: &&[u8; 3]| {
            text.slice(start..end)
                .get(..3)
                .is_some_and(|first| first.eq_ignore_ascii_case(*month))
        };
        MONTHS.iter().any(|known| begins(&known))
    };
    let day = |start: usize, end: usize| {
        let number = text.slice(start..end);
        (1..=2).contains(&number.len())
            && number_at(number, 0, number.len()).is_some_and(|day| (1..=31).contains(&day))
    };
    // `de` of Spanish and Portuguese
    let without_of = |at: usize| {
        if text.precedes(at, " de") {
            at.wrapping_sub(3)
        } else {
            at
        }
    };
    let end = without_of(back(place.at));
    let start = word(end);
    let start = if month(start, end) {
        let day_end = without_of(back(start));
        let first = digits(day_end);
        place.begins(first);
        day(first, day_end).then_some(first)?
    } else {
        // `April 19th`, `April 19`
        let day_end = if matches!(text.slice(start..end), b"st" | b"nd" | b"rd" | b"th") {
            start
        } else {
            end
        };
        let first = digits(day_end);
        let name_end = back(first);
        let name = word(name_end);
        place.begins(name);
        (day(first, day_end) && name_end < first && month(name, name_end)).then_some(name)?
    };
    ((1900..=2029).contains(&year) && place.context(start)).then_some(Found {
        start,
        end: place.end,
        confidence: Confidence::High,
    })
}
