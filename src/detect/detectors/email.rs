//! E-mail addresses.

use crate::detect::scan::Reader;
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

/// See its `doc`.
pub(in crate::detect) static DETECTOR: Detector = Detector {
    name: "email",
    groups: &["pii"],
    doc: Doc {
        finds: "A local part of 1–64 characters, `@`, and a domain of labels that ends in letters or `xn--…`.",
        misses: "Addresses with quoted local parts or IP literals.",
        source: "RFC 5321 section 4.5.3.1 and RFC 5322 section 3.4.1",
    },
    reach: 320,
    hits: &[
        Hit {
            text: "Mail jane.doe+x@mail.example.com.",
            found: &["jane.doe+x@mail.example.com"],
        },
        Hit {
            text: "<a@b.co>, c_d@e-f.org",
            found: &["a@b.co", "c_d@e-f.org"],
        },
        Hit {
            text: "mailto:x@example.xn--p1ai",
            found: &["x@example.xn--p1ai"],
        },
    ],
    misses: &[
        Miss {
            text: "npm i @scope/pkg@1.2.3",
            why: "a package and its version",
        },
        Miss {
            text: "icon@2x.png",
            why: "an image for dense screens",
        },
        Miss {
            text: "@handle and a@b",
            why: "no domain",
        },
    ],
};

/// The address around the `@` at `at`.
pub(in crate::detect) fn around(
    text: &Reader<'_>,
    at: usize,
) -> Option<(usize, usize, Confidence)> {
    let mut start = at;
    while at.saturating_sub(start) < 64
        && start
            .checked_sub(1)
            .is_some_and(|before| is_local(text.at(before)))
    {
        start = start.saturating_sub(1);
    }
    while start < at && matches!(text.at(start), b'.' | b'-' | b'+') {
        start = start.saturating_add(1);
    }
    if start == at || text.at(at.saturating_sub(1)) == b'.' {
        return None;
    }
    let mut end = at.saturating_add(1);
    let mut label = end;
    let mut dots = 0usize;
    let mut last = 0..0;
    while end.saturating_sub(at) < 256 {
        match text.at(end) {
            byte if byte.is_ascii_alphanumeric() || byte == b'-' && end > label => {}
            b'.' if end > label && text.at(end.saturating_sub(1)) != b'-' => {
                if !text.at(end.saturating_add(1)).is_ascii_alphanumeric() {
                    break;
                }
                dots = dots.saturating_add(1);
                label = end.saturating_add(1);
            }
            _ => break,
        }
        end = end.saturating_add(1);
        last = label..end;
    }
    let letters = last.clone().all(|at| text.at(at).is_ascii_alphabetic());
    let punycode = text.at(last.start) == b'x' && text.at(last.start.saturating_add(2)) == b'-';
    let image =
        text.at(at.saturating_add(2)) == b'x' && text.at(at.saturating_add(1)).is_ascii_digit();
    (dots > 0 && last.len() >= 2 && (letters || punycode) && !image).then_some((
        start,
        end,
        Confidence::High,
    ))
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || b".!#$%&'*+/=?^_`{|}~-".contains(&byte) && !b"/='`{|}?&".contains(&byte)
        || byte >= 0x80
}
