//! UK vehicle registration marks.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "uk_vehicle",
    groups: &["pii.uk"],
    doc: Doc {
        finds: "Marks since 2001 in capitals: two letters, the age as two digits, three letters, with a space or hyphen; in one piece, and the older forms, after a word such as `registration`.",
        misses: "Older marks without such a word.",
        source: "DVLA INF104, vehicle registration numbers and number plates",
    },
    reach: 8,
    context: &[
        "vehicle",
        "vehicles",
        "registration",
        "reg",
        "plate",
        "plates",
        "car",
        "cars",
        "vrm",
        "vrn",
        "numberplate",
        "dvla",
        "v5c",
        "logbook",
        "mot",
    ],
    anchors: &[Anchor::Forms(
        &[
            "AA99 AAA",
            "AA99-AAA",
            "AA99AAA",
            "?A9_AAA",
            "?A99_AAA",
            "?A999_AAA",
            "?AAA_9A",
            "?AAA_99A",
            "?AAA_999A",
        ],
        validate,
    )],
    hits: &[
        hit("a blue AB51 ABC was seen", &["AB51 ABC"]),
        hit("LN14-HGT", &["LN14-HGT"]),
        hit(
            "Vehicles AB51 ABC and BD62XYZ were seen",
            &["AB51 ABC", "BD62XYZ"],
        ),
    ],
    misses: &[
        miss("reg AQ51 ABC", "Q is not used"),
        miss("reg AB51 AIB", "I is not used"),
        miss("part BD62XYZ", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let mark = candidate.compact();
    if mark.iter().any(|byte| matches!(byte, b'I' | b'Q'))
        || candidate.form < 3 && mark.iter().take(2).any(|byte| *byte == b'Z')
    {
        return None;
    }
    match candidate.form {
        0 | 1 => candidate.high_or(Confidence::Medium),
        2 => candidate.high_or_whole(Confidence::Medium),
        _ => candidate
            .high_or(Confidence::Low)
            .map(|confidence| confidence.min(Confidence::Medium)),
    }
}
