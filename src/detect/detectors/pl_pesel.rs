//! Polish national identification numbers (PESEL).

use crate::detect::checksum::{digit, is_date, number_at, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "pl_pesel",
    groups: &["pii.eu.pl"],
    doc: Doc {
        finds: "Eleven digits, the last one by weights 1, 3, 7, 9 modulo 10, after the word `PESEL`.",
        misses: "Numbers without the word: times in milliseconds and decimals pass the check.",
        source: "Ustawa o ewidencji ludności, art. 18; gov.pl, Co to jest numer PESEL",
    },
    reach: 11,
    context: &["pesel", "pesels"],
    anchors: &[Anchor::Forms(&["?99999999999"], validate)],
    hits: &[
        hit("numer PESEL: 44051401458", &["44051401458"]),
        hit("My pesel is 02070803628.", &["02070803628"]),
        hit("{\"pesel\":\"91040276690\"}", &["91040276690"]),
    ],
    misses: &[
        miss("PESEL 44051401459", "wrong check digit"),
        miss("id 44051401458", "nothing says that it is one"),
        miss("PESEL 4405140145", "ten digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let rest = weighted_head(number, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3])?.wrapping_rem(10);
    if Some(10u32.wrapping_sub(rest).wrapping_rem(10)) != digit(number, 10)
        || number.iter().all(|byte| Some(byte) == number.first())
    {
        return None;
    }
    // The century is added to the month in steps of 20.
    let month = number_at(number, 2, 2)?;
    let century = [1900, 2000, 2100, 2200, 1800]
        .get(month.div_euclid(20) as usize)
        .copied()?;
    let year = number_at(number, 0, 2)?.wrapping_add(century);
    let dated = is_date(year, month.wrapping_rem(20), number_at(number, 4, 2)?);
    let confidence = candidate.high_or(Confidence::Low)?;
    // Published samples have no date; where the word stands, the check digit is enough.
    Some(if dated {
        confidence
    } else {
        confidence.min(Confidence::Medium)
    })
}
