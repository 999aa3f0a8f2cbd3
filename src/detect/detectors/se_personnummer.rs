//! Swedish personal identity numbers.

use crate::detect::checksum::{is_date, luhn, number_at};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "se_personnummer",
    groups: &["pii.eu.se"],
    doc: Doc {
        finds: "Date of birth (60 added to the day for coordination numbers), `-` or `+`, four digits of which the last is Luhn's; without the sign after the word `personnummer`.",
        misses: "Ten or twelve digits in a row without the word.",
        source: "Skatteverket, SKV 704; Folkbokföringslagen 18 §",
    },
    reach: 13,
    context: &[
        "personnummer",
        "personnr",
        "personal number",
        "pnr",
        "samordningsnummer",
        "personal identity number",
    ],
    anchors: &[Anchor::Forms(
        &[
            "999999-9999",
            "999999+9999",
            "99999999-9999",
            "99999999+9999",
            "?9999999999",
            "?999999999999",
            "?99999999 9999",
            "?999999 9999",
        ],
        validate,
    )],
    hits: &[
        hit("see 640823-3234", &["640823-3234"]),
        hit("personnummer: 19640823-3234", &["19640823-3234"]),
        hit("personnummer 201109252385", &["201109252385"]),
    ],
    misses: &[
        miss("personnummer 640823-3235", "wrong check digit"),
        miss("personnummer 641323-3233", "month 13"),
        miss("id 201109252385", "twelve digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let short = number.get(number.len().checked_sub(10)?..)?;
    let (month, day) = (number_at(short, 2, 2)?, number_at(short, 4, 2)?);
    let year = number_at(short, 0, 2)?;
    let century = match number.len() {
        12 => number_at(number, 0, 2)?,
        // The leap years of both centuries.
        _ => 20,
    };
    let dated = is_date(
        century.wrapping_mul(100).wrapping_add(year),
        month,
        if day > 60 { day.wrapping_sub(60) } else { day },
    );
    if !dated || number.len() == 12 && !matches!(century, 18..=20) {
        return None;
    }
    if !luhn(short) {
        // Validators in wide use check all twelve digits, and so do the samples that people copy from them.
        return (luhn(number) && candidate.context() && !candidate.is_part())
            .then_some(Confidence::Medium);
    }
    candidate.high_or(if candidate.form <= 3 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
