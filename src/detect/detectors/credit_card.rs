//! Payment card numbers.

use crate::detect::scan::Reader;
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

/// See its `doc`.
pub(in crate::detect) static DETECTOR: Detector = Detector {
    name: "credit_card",
    groups: &["pii", "payment"],
    doc: Doc {
        finds: "13–19 digits in a row or in groups of four (American Express 4-6-5), a known issuer, the Luhn check digit.",
        misses: "Numbers that are part of a longer run of digits or of a decimal.",
        source: "ISO/IEC 7812-1",
    },
    reach: 24,
    hits: &[
        Hit {
            text: "card 4111 1111 1111 1111.",
            found: &["4111 1111 1111 1111"],
        },
        Hit {
            text: "378282246310005",
            found: &["378282246310005"],
        },
        Hit {
            text: "3782-822463-10005",
            found: &["3782-822463-10005"],
        },
    ],
    misses: &[
        Miss {
            text: "4111 1111 1111 1112",
            why: "wrong check digit",
        },
        Miss {
            text: "0.4111111111111111",
            why: "a decimal",
        },
        Miss {
            text: "9111111111111111",
            why: "no issuer begins with 9",
        },
    ],
};

/// The number that begins at `start`, where a digit follows something else.
pub(in crate::detect) fn starting(text: &Reader<'_>, start: usize) -> Option<(usize, Confidence)> {
    if let Some(before) = start.checked_sub(1)
        && (text.at(before).is_ascii_alphanumeric() || text.at(before) == b'.')
    {
        return None;
    }
    let mut digits: Vec<u8> = Vec::with_capacity(20);
    let mut end = start;
    loop {
        let byte = text.at(end);
        if byte.is_ascii_digit() {
            digits.push(byte.saturating_sub(b'0'));
            if digits.len() > 19 {
                return None;
            }
        } else if !(matches!(byte, b' ' | b'-') && text.at(end.saturating_add(1)).is_ascii_digit())
        {
            break;
        }
        end = end.saturating_add(1);
    }
    let ends_well = !text.at(end).is_ascii_alphanumeric();
    let issued = matches!(digits.first(), Some(2..=6));
    ((13..=19).contains(&digits.len()) && issued && ends_well && luhn(&digits))
        .then_some((end, Confidence::High))
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let doubled = u32::from(*digit) << (place & 1);
            if doubled > 9 {
                doubled.saturating_sub(9)
            } else {
                doubled
            }
        })
        .sum();
    sum.is_multiple_of(10)
}
