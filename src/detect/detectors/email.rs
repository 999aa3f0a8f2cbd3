//! E-mail addresses.

use crate::detect::scan::place::{Anchor, Found, Place};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "email",
    groups: &["pii"],
    doc: Doc {
        finds: "A local part of 1–64 characters, `@`, and a domain of labels that ends in letters or `xn--…`.",
        misses: "Addresses with quoted local parts, with spaces around the `@`, or with an IP address for a domain.",
        source: "RFC 5321 section 4.5.3.1, RFC 5322 section 3.4.1, RFC 6531",
    },
    reach: 320,
    context: &[],
    anchors: &[Anchor::At(around)],
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
        Hit {
            text: "write to josé@example.com",
            found: &["josé@example.com"],
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
        Miss {
            text: "a @ b.com",
            why: "spaces",
        },
    ],
};

/// The address around an `@`.
fn around(place: &Place<'_>) -> Option<Found> {
    let text = place.text;
    let at = place.at;
    let mut start = text.run_back(at, 64, is_local);
    // A local part doesn't begin with a dot, and what does is often the end of a sentence or a list mark.
    start = text.run(start, at.wrapping_sub(start), |byte| {
        matches!(byte, b'.' | b'-' | b'+' | b'*' | b'~' | b'#' | b'%')
    });
    place.begins(start);
    if start == at || text.before(at) == b'.' {
        return None;
    }
    let mut end = at.wrapping_add(1);
    let mut label = end;
    let mut dots = 0usize;
    let mut last = 0..0;
    while end.wrapping_sub(at) < 256 {
        match text.at(end) {
            b'-' if end > label => {}
            b'.' if end > label && text.before(end) != b'-' => {
                if !is_label(text.at(end.wrapping_add(1))) {
                    break;
                }
                dots = dots.wrapping_add(1);
                label = end.wrapping_add(1);
            }
            byte if is_label(byte) => {}
            _ => break,
        }
        end = end.wrapping_add(1);
        last = label..end;
    }
    let domain = text.slice(last.clone());
    let letters = domain
        .iter()
        .all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
    let top = letters || domain.starts_with(b"xn--");
    let image = text.at(at.wrapping_add(1)).is_ascii_digit() && text.at(at.wrapping_add(2)) == b'x';
    let glued = matches!(text.at(end), b'@' | b'_');
    (dots > 0 && domain.len() >= 2 && top && !image && !glued).then_some(Found {
        start,
        end,
        confidence: Confidence::High,
    })
}

fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// RFC 5322's atext without the characters that more often end something before the address, such as `=` and `/`.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".!#$%*+^_~-".contains(&byte) || byte >= 0x80
}
