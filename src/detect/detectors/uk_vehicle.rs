//! UK vehicle registration marks.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
        judge,
    )],
    hits: &[
        Hit {
            text: "a blue AB51 ABC was seen",
            found: &["AB51 ABC"],
        },
        Hit {
            text: "LN14-HGT",
            found: &["LN14-HGT"],
        },
        Hit {
            text: "Vehicles AB51 ABC and BD62XYZ were seen",
            found: &["AB51 ABC", "BD62XYZ"],
        },
    ],
    misses: &[
        Miss {
            text: "reg AQ51 ABC",
            why: "Q is not used",
        },
        Miss {
            text: "reg AB51 AIB",
            why: "I is not used",
        },
        Miss {
            text: "part BD62XYZ",
            why: "nothing says that it is one",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
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
