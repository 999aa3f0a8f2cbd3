//! French social security numbers (NIR, numéro INSEE).

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "fr_nir",
    groups: &["pii.eu.fr"],
    doc: Doc {
        finds: "Fifteen digits: sex, year, month, department (2A and 2B for Corsica), town, serial, and a key of 97 minus the number modulo 97; with or without spaces.",
        misses: "Thirteen digits without the key.",
        source: "INSEE, décret n° 82-103 relatif au répertoire national d'identification",
    },
    reach: 21,
    context: &[
        "nir",
        "insee",
        "securite sociale",
        "secu",
        "numero de securite",
        "carte vitale",
        "assure",
    ],
    anchors: &[Anchor::Forms(
        &[
            "9 99 99 9X 999 999 99",
            "999999X99999999",
            "999999X999999 99",
            "9.99.99.9X.999.999.99",
            "?9-99-99-9X-999-999-99",
        ],
        validate,
    )],
    hits: &[
        hit("see 1 85 05 78 006 084 91", &["1 85 05 78 006 084 91"]),
        hit("NIR 269054958815780", &["269054958815780"]),
        hit("sécurité sociale : 185057800608491", &["185057800608491"]),
        hit("NIR 2-69-05-49-588-157-80", &["2-69-05-49-588-157-80"]),
    ],
    misses: &[
        miss("NIR 1 85 05 78 006 084 92", "wrong key"),
        miss("NIR 585057800608491", "begins with 5"),
        miss("NIR 1850578006084", "no key"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    // Corsica counts as 19 and 18.
    let corsica = match number.get(5..7)? {
        b"2A" => Some(*b"19"),
        b"2B" => Some(*b"18"),
        department if department.iter().all(u8::is_ascii_digit) => None,
        _ => return None,
    };
    let mut digits = [0u8; 15];
    for (to, byte) in digits.iter_mut().zip(number) {
        *to = *byte;
    }
    if let (Some(code), Some(place)) = (corsica, digits.get_mut(5..7)) {
        place.copy_from_slice(&code);
    }
    let value = digits.iter().take(13).fold(0u64, |value, byte| {
        value.wrapping_mul(10).wrapping_add(u64::from(byte & 0x0F))
    });
    let key = digits.iter().skip(13).fold(0u64, |key, byte| {
        key.wrapping_mul(10).wrapping_add(u64::from(byte & 0x0F))
    });
    let month = crate::detect::checksum::number_at(number, 3, 2)?;
    let known = matches!(number.first(), Some(b'1'..=b'4' | b'7' | b'8'))
        && matches!(month, 1..=12 | 20..=42 | 50..=99);
    if !known || 97u64.wrapping_sub(value.wrapping_rem(97)) != key {
        return None;
    }
    candidate.high_or(Confidence::Medium)
}
