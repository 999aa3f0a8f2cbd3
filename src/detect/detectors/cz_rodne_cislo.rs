//! Czech and Slovak birth numbers (rodné číslo).

use crate::detect::checksum::{digit, is_date, number_at};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "cz_rodne_cislo",
    groups: &["pii.eu.cz", "pii.eu.sk"],
    doc: Doc {
        finds: "Date of birth (50 added to the month of women, 20 where a day since 2004 had no number left), three digits and one that makes the number divisible by 11 (0 in older ones where none does), with a slash; without it after a word such as `rodné číslo`, and then also the nine digits of numbers before 1954, which have no check.",
        misses: "Nine or ten digits in a row without such a word. With low confidence: numbers after a slash, and months with 20 added, where years and months of folders look the same.",
        source: "Zákon č. 133/2000 Sb., o evidenci obyvatel a rodných číslech, § 13; zákon č. 301/1995 Z. z., o rodnom čísle",
    },
    reach: 11,
    context: &[
        "rodné číslo",
        "rodného čísla",
        "rodným číslem",
        "rodným číslom",
        "rodná čísla",
        "rodnécislo",
        "rodnecislo",
        "rodným číslom",
        "birth number",
        "r č",
        "rč",
    ],
    anchors: &[Anchor::Forms(
        &[
            "999999/9999",
            "?999999/999",
            "?9999999999",
            "?999999 9999",
            "?999999-9999",
            "?999999999",
            "?999999 999",
        ],
        validate,
    )],
    hits: &[
        hit("see 736028/5163", &["736028/5163"]),
        hit("rodné číslo 0403121488", &["0403121488"]),
        hit("Rodné číslo: 401215/123", &["401215/123"]),
        hit("r.č. 086222 3747", &["086222 3747"]),
    ],
    misses: &[
        miss("rodné číslo 736028/5164", "not divisible by 11"),
        miss("rodné číslo 731328/5162", "month 13"),
        miss("rodné číslo 711123/123", "nine digits after 1953"),
        miss("id 7360285163", "ten digits that could be anything"),
        miss("/log/200512/0318", "a folder"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let (year, month) = (number_at(number, 0, 2)?, number_at(number, 2, 2)?);
    // Numbers of nine digits were given out until the end of 1953.
    let is_short = number.len() == 9;
    let year = year.wrapping_add(if year < 54 && !is_short { 2000 } else { 1900 });
    if is_short && year > 1953 {
        return None;
    }
    let month = month.checked_sub(50).unwrap_or(month);
    let is_added = year >= 2004 && month > 20;
    let month = if is_added {
        month.wrapping_sub(20)
    } else {
        month
    };
    let fits =
        is_short || digit(number, 9)? == number_at(number, 0, 9)?.wrapping_rem(11).wrapping_rem(10);
    if !fits || !is_date(year, month, number_at(number, 4, 2)?) {
        return None;
    }
    let in_path = candidate.place.text.before(candidate.range.start) == b'/';
    candidate.high_or(if candidate.form == 0 && !is_added && !in_path {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
