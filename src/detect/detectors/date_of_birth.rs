//! Dates of birth.

use crate::detect::checksum::{is_date, number_at};
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Candidate, Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "date_of_birth",
    groups: &["pii"],
    doc: Doc {
        finds: "A date between 1900 and 2029 in figures or with the name of the month (English, German, French, Spanish, Italian, Portuguese, Dutch, Polish), after words such as `date of birth`, `DOB`, `born`, `Geburtsdatum`, `生年月日`.",
        misses: "Dates without such words; dates without a day.",
        source: "ISO 8601-1 and the usual national orders of day, month and year",
    },
    reach: 32,
    context: &[
        "date of birth",
        "dateofbirth",
        "birth date",
        "birthdate",
        "birth day",
        "birthday",
        "dob",
        "d o b",
        "born",
        "geburtsdatum",
        "geboren",
        "geb",
        "ne le",
        "nee le",
        "naissance",
        "nacimiento",
        "nacido",
        "nacida",
        "nascita",
        "nato il",
        "nata il",
        "nascimento",
        "nascido",
        "nascida",
        "geboortedatum",
        "urodzenia",
        "urodzony",
        "urodzona",
        "födelsedatum",
        "född",
        "fødselsdato",
        "født",
        "дата рождения",
        "дата народження",
        "родился",
        "родилась",
        "syntymäaika",
        "生年月日",
        "出生日期",
        "出生于",
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
                "?99/99/99",
                "?99.99.99",
                "?99-99-99",
                "?9/9/99",
                "?99/9/99",
                "?9/99/99",
            ],
            validate,
        ),
        Anchor::Number(
            1..=2,
            PreFilter::ALWAYS.in_context().before_date(b" ,.-"),
            day_first,
        ),
        // The first bytes of 年 and 년.
        Anchor::Number(
            4..=4,
            PreFilter::ALWAYS.in_context().before_date(b"\xE5\xEB"),
            year_first,
        ),
        Anchor::Number(
            4..=4,
            PreFilter::ALWAYS.in_context().before_group(b"-0"),
            timed,
        ),
        Anchor::Word(
            &[
                "january",
                "february",
                "march",
                "april",
                "may ",
                "june",
                "july",
                "august",
                "september",
                "october",
                "november",
                "december",
                "jan ",
                "feb ",
                "mar ",
                "apr ",
                "jun ",
                "jul ",
                "aug ",
                "sep ",
                "sept ",
                "oct ",
                "nov ",
                "dec ",
            ],
            month_first,
        ),
    ],
    hits: &[
        hit(
            "born on March 15, 1962; geboren am 3. Mai 1975; nacida el 9 de abril de 2001",
            &["March 15, 1962", "3. Mai 1975", "9 de abril de 2001"],
        ),
        hit("生年月日：1984年3月14日", &["1984年3月14日"]),
        hit("DOB 14/03/84, born 03-14-84", &["14/03/84", "03-14-84"]),
        hit("DOB: 1984-02-29", &["1984-02-29"]),
        hit("geboren am 24.12.1990 in Ulm", &["24.12.1990"]),
        hit("{\"dateOfBirth\":\"7/4/1976\"}", &["7/4/1976"]),
        hit(
            "{\"birth_day\":\"1976-04-07T00:00:00Z\"}, D.O.B. 07/04/1976",
            &["1976-04-07", "07/04/1976"],
        ),
        hit(
            "Дата рождения: 24.12.1990; urodzony 3.5.1975; född 1984-02-29; født 24.12.1990; nascido em 24/12/1990",
            &[
                "24.12.1990",
                "3.5.1975",
                "1984-02-29",
                "24.12.1990",
                "24/12/1990",
            ],
        ),
    ],
    misses: &[
        miss("due 1984-02-29", "nothing says whose day it is"),
        miss("DOB 1983-02-29", "no such day"),
        miss("born in the summer of 1962", "no day"),
        miss("founded March 15, 1962", "nothing says that it is a birth"),
        miss("DOB 1784-02-28", "too long ago"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let date = candidate.compact();
    let mut written = [0u32; 3];
    let mut count = 0usize;
    let mut parts = candidate
        .place
        .text
        .slice(candidate.range.clone())
        .split(|byte| !byte.is_ascii_digit());
    for (to, part) in written.iter_mut().zip(&mut parts) {
        *to = number_at(part, 0, part.len())?;
        count = count.wrapping_add(1);
    }
    let fits = |year: u32, a: u32, b: u32| {
        (1900..=2029).contains(&year) && (is_date(year, a, b) || is_date(year, b, a))
    };
    let known = match written.get(..count)? {
        [year, month, day] if *year > 31 => fits(*year, *month, *day),
        // A year of two digits: a living person was born in this century or the one before.
        [a, b, year] if *year < 100 => fits(year.wrapping_add(1900), *a, *b),
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

/// Beginnings of the names of months, in English, German, French, Spanish, Italian, Portuguese, Dutch and Polish.
const MONTHS: &[&[u8; 3]] = &[
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
    b"mai", b"okt", b"dez", b"jui", b"fev", b"avr", b"aou", b"ene", b"abr", b"ago", b"dic", b"gen",
    b"mag", b"giu", b"lug", b"set", b"ott", b"out", b"maa", b"mei", b"sty", b"lut", b"kwi", b"maj",
    b"cze", b"lip", b"sie", b"wrz", b"paz", b"lis", b"gru",
];

/// Reads `19 April 1975`, `3. Mai 1975`, `9 de abril de 2001`; the place is at the day.
fn day_first(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let from = of(place, gap(place, place.end));
    if from == place.end || !text.at(from).is_ascii_alphabetic() {
        return None;
    }
    let end = text.run(from, 12, |byte| byte.is_ascii_alphabetic());
    let begins = text.slice(from..end).first_chunk::<3>()?;
    let month = begins.map(|letter| letter.to_ascii_lowercase());
    if !MONTHS.iter().any(|known| **known == month) {
        return None;
    }
    let number = text.slice(place.at..place.end);
    if !(1..=31).contains(&number_at(number, 0, number.len().min(2))?) {
        return None;
    }
    until_year(place, of(place, gap(place, end)))
}

/// Reads `April 19th, 1975`; the place is at the month.
fn month_first(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let from = gap(place, place.end);
    let end = text.run(from, 3, |byte| byte.is_ascii_digit());
    let day = number_at(text.slice(from..end), 0, end.wrapping_sub(from))?;
    let ordinal = ["st", "nd", "rd", "th"]
        .iter()
        .any(|ending| text.follows(end, ending));
    let after = end.wrapping_add(if ordinal { 2 } else { 0 });
    ((1..=31).contains(&day) && end.wrapping_sub(from) <= 2)
        .then(|| until_year(place, gap(place, after)))
        .flatten()
        .filter(|_| place.context(place.at))
}

/// Reads `1984年3月14日`, `1984년 3월 14일`; the place is at the year.
fn year_first(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let mut parts = [number_at(text.slice(place.at..place.end), 0, 4)?, 0, 0];
    let mut at = place.end;
    for (part, signs) in [(1, ["年", "년"]), (2, ["月", "월"]), (3, ["日", "일"])] {
        let sign = signs.iter().find(|sign| text.follows(at, sign))?;
        at = at.wrapping_add(sign.len());
        let Some(to) = parts.get_mut(part) else {
            break;
        };
        let from = text.run(at, 1, |byte| byte == b' ');
        at = text.run(from, 2, |byte| byte.is_ascii_digit());
        *to = number_at(text.slice(from..at), 0, at.wrapping_sub(from))?;
    }
    let [year, month, day] = parts;
    let known = (1900..=2029).contains(&year) && is_date(year, month, day);
    known.then_some(Match {
        start: place.at,
        end: at,
        confidence: Confidence::High,
    })
}

/// Reads the date in `1976-04-07T00:00:00Z`, as programs write it; the place is at the year.
fn timed(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let end = place.end.wrapping_add(6);
    let part = |from: usize| number_at(text.slice(from..from.wrapping_add(2)), 0, 2);
    let year = number_at(text.slice(place.at..place.end), 0, 4)?;
    let month = part(place.end.wrapping_add(1))?;
    let day = part(end.wrapping_sub(2))?;
    part(end.wrapping_add(1))?;
    let fits = (1900..=2029).contains(&year)
        && is_date(year, month, day)
        && text.at(end.wrapping_sub(3)) == b'-'
        && text.at(end) == b'T'
        && text.at(end.wrapping_add(3)) == b':';
    fits.then_some(Match {
        start: place.at,
        end,
        confidence: Confidence::High,
    })
}

/// Returns the end of spaces and marks between the parts of a date.
fn gap(place: &MatchSite<'_>, at: usize) -> usize {
    place
        .text
        .run(at, 2, |byte| matches!(byte, b' ' | b',' | b'.' | b'-'))
}

/// Returns the end of `de `, as in Spanish and Portuguese.
fn of(place: &MatchSite<'_>, at: usize) -> usize {
    at.wrapping_add(if place.text.follows(at, "de ") { 3 } else { 0 })
}

/// Returns the date, if a year is at this place.
fn until_year(place: &MatchSite<'_>, from: usize) -> Option<Match> {
    let text = place.text;
    let end = text.run(from, 5, |byte| byte.is_ascii_digit());
    let year = number_at(text.slice(from..end), 0, 4)?;
    let known = end.wrapping_sub(from) == 4 && (1900..=2029).contains(&year);
    (known && !text.at(end).is_ascii_alphanumeric()).then_some(Match {
        start: place.at,
        end,
        confidence: Confidence::High,
    })
}
