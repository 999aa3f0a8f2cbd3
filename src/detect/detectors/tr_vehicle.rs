//! Turkish vehicle registration marks.

use crate::detect::checksum::number_at;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "tr_vehicle",
    groups: &["pii.tr"],
    doc: Doc {
        finds: "The province (01–81), one to three capitals, two to five digits, with spaces; after a word such as `plaka`, or where the text is nothing else.",
        misses: "Marks within a text without such a word: dates such as `12 JAN 24` look the same.",
        source: "Karayolları Trafik Yönetmeliği, tescil plakaları",
    },
    reach: 11,
    context: &[
        "plaka",
        "plakası",
        "plakali",
        "plakalı",
        "arac",
        "araç",
        "plate",
        "plates",
        "vehicle",
        "registration",
    ],
    anchors: &[Anchor::Forms(
        &[
            "!99_A_999",
            "!99_A_9999",
            "!99_A_99999",
            "!99_AA_99",
            "!99_AA_999",
            "!99_AA_9999",
            "!99_AAA_99",
            "!99_AAA_999",
            "!99_AAA_9999",
        ],
        validate,
    )],
    hits: &[
        hit("35 JK 12", &["35 JK 12"]),
        hit(
            "Plaka 34 ABC 123 ve 06 JK 567",
            &["34 ABC 123", "06 JK 567"],
        ),
        hit("{\"plaka\":\"34 ABC 1234\"}", &["34 ABC 1234"]),
    ],
    misses: &[
        miss("plaka 82 ABC 123", "no province 82"),
        miss("on 12 JAN 2024 at", "a date"),
        miss("plaka 34 ABCD 12", "four letters"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let mark = candidate.compact();
    if !matches!(number_at(mark, 0, 2)?, 1..=81) {
        return None;
    }
    let letters: &[u8] = mark.get(2..5)?;
    let month = matches!(
        letters,
        b"JAN"
            | b"FEB"
            | b"MAR"
            | b"APR"
            | b"MAY"
            | b"JUN"
            | b"JUL"
            | b"AUG"
            | b"SEP"
            | b"OCT"
            | b"NOV"
            | b"DEC"
    );
    if month {
        return None;
    }
    if candidate.is_separated() {
        candidate.high_or_whole(Confidence::Medium)
    } else {
        candidate.high_or(Confidence::Low)
    }
}
