//! US social security numbers.

use crate::detect::scan::Reader;
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

/// See its `doc`.
pub(in crate::detect) static DETECTOR: Detector = Detector {
    name: "us_ssn",
    groups: &["pii", "pii.us"],
    doc: Doc {
        finds: "Nine digits as 3-2-4 with one separator; areas 000, 666 and 9xx, group 00 and serial 0000 are never issued.",
        misses: "Specimen numbers such as 078-05-1120.",
        source: "https://www.ssa.gov/employer/randomizationfaqs.html",
    },
    reach: 11,
    hits: &[
        Hit {
            text: "SSN 536-22-1234",
            found: &["536-22-1234"],
        },
        Hit {
            text: "536 22 1234",
            found: &["536 22 1234"],
        },
        Hit {
            text: "a 536-22-1234, b 537-22-1234",
            found: &["536-22-1234", "537-22-1234"],
        },
    ],
    misses: &[
        Miss {
            text: "000-22-1234",
            why: "area 000",
        },
        Miss {
            text: "536-22-12345",
            why: "ten digits",
        },
        Miss {
            text: "536-22 1234",
            why: "mixed separators",
        },
        Miss {
            text: "078-05-1120",
            why: "a specimen",
        },
    ],
};

/// The number that begins at `start`, where a digit follows something else.
pub(in crate::detect) fn starting(text: &Reader<'_>, start: usize) -> Option<(usize, Confidence)> {
    if let Some(before) = start.checked_sub(1)
        && (text.at(before).is_ascii_alphanumeric() || matches!(text.at(before), b'.' | b'-'))
    {
        return None;
    }
    let at = |offset: usize| text.at(start.saturating_add(offset));
    let digit = |offset: usize| at(offset).is_ascii_digit();
    if !(0..3).all(digit)
        || !matches!(at(3), b'-' | b' ' | b'.')
        || !(4..6).all(digit)
        || at(6) != at(3)
        || !(7..11).all(digit)
    {
        return None;
    }
    if at(11).is_ascii_alphanumeric() || at(11) == at(3) && digit(12) {
        return None;
    }
    let area = (at(0), at(1), at(2));
    let refused = area == (b'0', b'0', b'0')
        || area == (b'6', b'6', b'6')
        || at(0) == b'9'
        || (at(4), at(5)) == (b'0', b'0')
        || (7..11).all(|offset| at(offset) == b'0')
        || (area, at(5), at(7), at(10)) == ((b'0', b'7', b'8'), b'5', b'1', b'0');
    (!refused).then_some((start.saturating_add(11), Confidence::High))
}
