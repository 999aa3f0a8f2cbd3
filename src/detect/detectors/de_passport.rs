//! German passport numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_passport",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "Nine or ten digits and capitals without vowels, the last one by the ICAO's weights 7, 3, 1, where the text is nothing else; nine of them after a word such as `Reisepass`.",
        misses: "Numbers within a text without such a word: article numbers pass the check.",
        source: "Passgesetz § 4; ICAO Doc 9303 part 3, check digits",
    },
    reach: 10,
    context: &[
        "reisepass",
        "passnummer",
        "passnr",
        "pass",
        "passport",
        "reisepassnummer",
        "dokumentennummer",
        "ausweisdokument",
        "passdokument",
        "mrz",
    ],
    anchors: &[Anchor::Forms(&["axxxxxxxx", "axxxxxxxx9"], validate)],
    hits: &[
        hit(
            "Reisepass C01234565 ausgestellt am 01.01.2020.",
            &["C01234565"],
        ),
        hit("C01X00T41", &["C01X00T41"]),
        hit("Pass-Nr.: F12345671", &["F12345671"]),
    ],
    misses: &[
        miss("article C01X00T41 is sold", "nothing says that it is one"),
        miss("Reisepass 901234567", "begins with a digit"),
        miss("Reisepass A01234565", "vowels are not used"),
    ],
};

/// The characters of passport and card numbers: no vowels, and none that look like others.
pub(super) fn is_serial(serial: &[u8]) -> bool {
    serial.iter().all(is_of_serial) && serial.iter().skip(1).any(u8::is_ascii_digit)
}

fn is_of_serial(byte: &u8) -> bool {
    byte.is_ascii_digit()
        || byte.is_ascii_uppercase()
            && !matches!(
                byte,
                b'A' | b'B' | b'D' | b'E' | b'I' | b'O' | b'Q' | b'S' | b'U'
            )
}

/// Whether the last digit checks the others, weights 7, 3, 1, A = 10 … Z = 35.
pub(super) fn icao_checks(number: &[u8]) -> bool {
    let Some((last, head)) = number.split_last() else {
        return false;
    };
    let sum =
        head.iter()
            .zip([7u32, 3, 1].into_iter().cycle())
            .fold(0u32, |sum, (byte, weight)| {
                let value = if byte.is_ascii_digit() {
                    u32::from(byte & 0x0F)
                } else {
                    u32::from(byte.wrapping_sub(b'A')).wrapping_add(10)
                };
                sum.wrapping_add(value.wrapping_mul(weight))
            });
    last.is_ascii_digit() && sum.wrapping_rem(10) == u32::from(last & 0x0F)
}

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.capitals();
    if !is_serial(&number) {
        return None;
    }
    let checked = icao_checks(&number);
    match (candidate.form, checked) {
        (_, true) => candidate.high_or_whole(Confidence::Medium),
        (0, false) => candidate.high_or(Confidence::Low),
        _ => None,
    }
}
