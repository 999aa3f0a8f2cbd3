//! Italian fiscal codes.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "it_fiscal_code",
    groups: &["pii.eu.it"],
    doc: Doc {
        finds: "Sixteen characters: six letters of the names, the year, a letter for the month, the day (40 added for women), a town's letter and number, a letter that checks the others; digits may be replaced by letters where two people would have the same code.",
        misses: "Codes of companies, which are eleven digits.",
        source: "Decreto Ministeriale 23 dicembre 1976, n. 13813",
    },
    reach: 19,
    context: &["cf", "fiscal code", "fiscale", "codicefiscale"],
    anchors: &[Anchor::Forms(
        &["aaaaaaxxaxxaxxxa", "aaa aaa xxaxx axxxa"],
        validate,
    )],
    hits: &[
        hit("see RSSMRA85T10A562S", &["RSSMRA85T10A562S"]),
        hit("codice fiscale: dmlpry77d15h501f.", &["dmlpry77d15h501f"]),
        hit("CF=SMDZGM82L05H125N;", &["SMDZGM82L05H125N"]),
    ],
    misses: &[
        miss("CF RSSMRA85T10A562T", "wrong letter at the end"),
        miss("CF RSSMRA85Z10A562S", "no month has the letter Z"),
        miss("CF RSSMRA85T99A562S", "day 99"),
    ],
};

/// What a digit or letter at an odd place counts, 0–9 and A–Z alike.
const ODD: [u32; 26] = [
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
];

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let code = candidate.capitals();
    let sum = code
        .iter()
        .take(15)
        .enumerate()
        .fold(0u32, |sum, (place, byte)| {
            let value = if byte.is_ascii_digit() {
                u32::from(byte & 0x0F)
            } else {
                u32::from(byte.wrapping_sub(b'A'))
            };
            let counted = if place.is_multiple_of(2) {
                ODD.get(value as usize).copied().unwrap_or(0)
            } else {
                value
            };
            sum.wrapping_add(counted)
        });
    let check = u8::try_from(sum.wrapping_rem(26)).ok()?.wrapping_add(b'A');
    let digit = |place: usize| {
        let byte = code.get(place)?;
        // Letters that stand for digits, 0–9 in this order.
        let value = if byte.is_ascii_digit() {
            usize::from(byte & 0x0F)
        } else {
            b"LMNPQRSTUV".iter().position(|letter| letter == byte)?
        };
        u32::try_from(value).ok()
    };
    for place in [6, 7, 12, 13, 14] {
        digit(place)?;
    }
    let day = digit(9)?.wrapping_mul(10).wrapping_add(digit(10)?);
    let month = code
        .get(8)
        .is_some_and(|letter| b"ABCDEHLMPRST".contains(letter));
    if code.get(15) != Some(&check) || !month || !matches!(day, 1..=31 | 41..=71) {
        return None;
    }
    candidate.high_or(Confidence::Medium)
}
