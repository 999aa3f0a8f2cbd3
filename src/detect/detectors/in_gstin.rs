//! Indian goods and services tax numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "in_gstin",
    groups: &["pii.in"],
    doc: Doc {
        finds: "The state as two digits, a PAN, a digit or letter, Z, and a character that checks the others.",
        misses: "Numbers of temporary and foreign registrations, which have other forms.",
        source: "GST Network, GSTIN format; check character modulo 36 as published by the GSTN",
    },
    reach: 15,
    context: &["gst", "gstin", "gsts", "gstno"],
    anchors: &[Anchor::Forms(&["99AAAAA9999AXAX"], validate)],
    hits: &[
        hit("GSTIN 27AAPFU0939F1ZV", &["27AAPFU0939F1ZV"]),
        hit("see 29AAGCB7383J1Z4.", &["29AAGCB7383J1Z4"]),
        hit("{\"gst\":\"27ABCDE1234F1Z5\"}", &["27ABCDE1234F1Z5"]),
    ],
    misses: &[
        miss("GSTIN 00AAPFU0939F1ZV", "no state 00"),
        miss("GSTIN 27AAPFU0939F1YV", "the fourteenth character is Z"),
        miss("GSTIN 27AAPFU0939F1ZVX", "sixteen characters"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let state = crate::detect::checksum::number_at(number, 0, 2)?;
    if !matches!(state, 1..=38 | 97 | 99)
        || number.get(13) != Some(&b'Z')
        || number.get(12) == Some(&b'0')
    {
        return None;
    }
    candidate.high_or(if checks(number) {
        Confidence::High
    } else {
        Confidence::Medium
    })
}

/// Each value times 1 or 2 in turn, its digits in base 36 added up.
fn checks(number: &[u8]) -> bool {
    let Some((last, head)) = number.split_last() else {
        return false;
    };
    let value = |byte: u8| {
        if byte.is_ascii_digit() {
            u32::from(byte & 0x0F)
        } else {
            u32::from(byte.wrapping_sub(b'A')).wrapping_add(10)
        }
    };
    let sum = head
        .iter()
        .zip([1u32, 2].into_iter().cycle())
        .fold(0u32, |sum, (byte, factor)| {
            let product = value(*byte).wrapping_mul(factor);
            sum.wrapping_add(product.div_euclid(36))
                .wrapping_add(product.wrapping_rem(36))
        });
    36u32.wrapping_sub(sum.wrapping_rem(36)).wrapping_rem(36) == value(*last)
}
