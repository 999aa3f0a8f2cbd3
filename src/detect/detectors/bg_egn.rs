//! Bulgarian civil numbers (EGN).

use crate::detect::checksum::{digit, is_date, number_at, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "bg_egn",
    groups: &["pii.eu.bg"],
    doc: Doc {
        finds: "Date of birth (20 or 40 added to the month for the centuries before and after 1900), three digits and a check digit (weights 2, 4, 8, 5, 10, 9, 7, 3, 6 modulo 11), after a word such as `ЕГН`.",
        misses: "Ten digits without such a word.",
        source: "Закон за гражданската регистрация, чл. 11; Наредба за функциите на ЕСГРАОН",
    },
    reach: 11,
    context: &[
        "egn",
        "егн",
        "е г н",
        "единен граждански номер",
        "граждански номер",
        "uniform civil number",
        "unified civil number",
    ],
    anchors: &[Anchor::Forms(
        &["?9999999999", "?999999 9999", "?999999-9999"],
        validate,
    )],
    hits: &[
        hit("ЕГН 8001010862", &["8001010862"]),
        hit("EGN: 9912311271", &["9912311271"]),
        hit("единен граждански номер 8001017173", &["8001017173"]),
        hit("{\"egn\":\"7523169263\"}", &["7523169263"]),
    ],
    misses: &[
        miss("ЕГН 8001010863", "wrong check digit"),
        miss("ЕГН 8013010869", "month 13"),
        miss("id 8001010862", "ten digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let rest = weighted_head(number, &[2, 4, 8, 5, 10, 9, 7, 3, 6])?;
    let month = number_at(number, 2, 2)?;
    let (century, month) = match month {
        ..20 => (1900, month),
        20..40 => (1800, month.wrapping_sub(20)),
        _ => (2000, month.wrapping_sub(40)),
    };
    let year = number_at(number, 0, 2)?.wrapping_add(century);
    if !is_date(year, month, number_at(number, 4, 2)?)
        || digit(number, 9) != Some(rest.wrapping_rem(11).wrapping_rem(10))
    {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
