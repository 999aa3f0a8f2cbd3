//! Norwegian national identity numbers.

use crate::detect::checksum::{digit, is_date, number_at, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "no_fodselsnummer",
    groups: &["pii.no"],
    doc: Doc {
        finds: "Date of birth (40 added to the day or month for D and synthetic numbers), three digits and two check digits modulo 11; as 6-5, or after a word such as `fødselsnummer`.",
        misses: "Eleven digits in a row without such a word.",
        source: "Skatteetaten, Fødselsnummer; Folkeregisterforskriften § 2-2-1",
    },
    reach: 12,
    context: &[
        "fødselsnummer",
        "fodselsnr",
        "fodselsnummer",
        "personnummer",
        "d nummer",
        "fnr",
    ],
    anchors: &[Anchor::Forms(
        &["999999 99999", "?99999999999", "?999999-99999"],
        validate,
    )],
    hits: &[
        hit("see 131052 30855", &["131052 30855"]),
        hit("fødselsnummer: 15108511114", &["15108511114"]),
        hit("{\"fnr\":\"13105230855\"}", &["13105230855"]),
        hit("fødselsnummer: 151085-11114", &["151085-11114"]),
    ],
    misses: &[
        miss("fødselsnummer 13105230856", "wrong check digit"),
        miss("fødselsnummer 13135230855", "month 13"),
        miss("id 13105230855", "eleven digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let check = |weights: &[u32]| {
        let rest = weighted_head(number, weights)?.wrapping_rem(11);
        Some(11u32.wrapping_sub(rest).wrapping_rem(11))
    };
    let first = check(&[3, 7, 6, 1, 8, 9, 4, 5, 2])?;
    let second = check(&[5, 4, 3, 2, 7, 6, 5, 4, 3, 2])?;
    let less = |value: u32| {
        if value > 40 {
            value.wrapping_sub(40)
        } else {
            value
        }
    };
    let (day, month) = (
        less(number_at(number, 0, 2)?),
        less(number_at(number, 2, 2)?),
    );
    let dated = is_date(number_at(number, 4, 2)?.wrapping_add(2000), month, day);
    if !dated || digit(number, 9) != Some(first) || digit(number, 10) != Some(second) {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
