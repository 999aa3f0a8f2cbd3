//! German pension insurance numbers.

use crate::detect::checksum::{digit, number_at};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_social_security",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "Two digits for the insurer, a date of birth, a capital, two digits, and a digit that checks them: weights 2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1, the digits of each product added up.",
        misses: "Small letters.",
        source: "Sozialgesetzbuch VI § 147; Verordnung über die Versicherungsnummer",
    },
    reach: 16,
    context: &[
        "rentenversicherung",
        "rentenversicherungsnummer",
        "sozialversicherungsnummer",
        "sozialversicherung",
        "versicherungsnummer",
        "rvnr",
        "svnr",
        "sv nummer",
    ],
    anchors: &[Anchor::Forms(
        &["99999999A999", "99 999999 A 999", "99_999999_A_99_9"],
        validate,
    )],
    hits: &[
        hit("15070649C103", &["15070649C103"]),
        hit("Rentenversicherung 65 170839 J 003", &["65 170839 J 003"]),
        hit("SV-Nummer: 38551285K051", &["38551285K051"]),
    ],
    misses: &[
        miss("15070649C104", "wrong check digit"),
        miss("15071349C103", "month 13"),
        miss("150706491103", "no letter"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let letter = u32::from(number.get(8)?.wrapping_sub(b'A')).wrapping_add(1);
    let month = number_at(number, 4, 2)?;
    let values = number
        .iter()
        .take(11)
        .enumerate()
        .flat_map(|(place, byte)| {
            let value = u32::from(byte & 0x0F);
            if place == 8 {
                vec![letter.div_euclid(10), letter.wrapping_rem(10)]
            } else {
                vec![value]
            }
        });
    let sum =
        values
            .zip([2u32, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1])
            .fold(0u32, |sum, (value, weight)| {
                let product = value.wrapping_mul(weight);
                sum.wrapping_add(product.div_euclid(10))
                    .wrapping_add(product.wrapping_rem(10))
            });
    if !matches!(month, 1..=12) || digit(number, 11) != Some(sum.wrapping_rem(10)) {
        return None;
    }
    candidate.high_or(Confidence::Medium)
}
