//! Indian vehicle registration marks.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "in_vehicle",
    groups: &["pii.in"],
    doc: Doc {
        finds: "The state in two capitals, the district as one or two digits, one to three letters, four digits; also the BH series.",
        misses: "Old marks without the district.",
        source: "Central Motor Vehicles Rules 1989, rules 50 and 51; state codes of the Ministry of Road Transport",
    },
    reach: 13,
    context: &[
        "vehicle",
        "vehicles",
        "registration",
        "reg",
        "plate",
        "plates",
        "rto",
        "bike",
        "car",
    ],
    anchors: &[Anchor::Forms(
        &[
            "AA99~AA~9999",
            "AA~99~AA~9999",
            "AA~99~A~9999",
            "AA~99~AAA~9999",
            "AA~9~AA~9999",
            "AA~9~A~9999",
            "AA~9~AAA~9999",
            "99~AA~9999~AA",
            "99~AA~9999~A",
            "?AAA9999",
            "?AA9999",
        ],
        judge,
    )],
    hits: &[
        Hit {
            text: "KA53ME3456",
            found: &["KA53ME3456"],
        },
        Hit {
            text: "registration number is OD02BA2341 with",
            found: &["OD02BA2341"],
        },
        Hit {
            text: "a taxi, MH 12 AB 1234, waits",
            found: &["MH 12 AB 1234"],
        },
        Hit {
            text: "22 BH 6517 A",
            found: &["22 BH 6517 A"],
        },
    ],
    misses: &[
        Miss {
            text: "ZZ53ME3456",
            why: "no state ZZ",
        },
        Miss {
            text: "ka53me3456",
            why: "small letters",
        },
        Miss {
            text: "KA53ME345",
            why: "three digits",
        },
    ],
};

const STATES: &[u8] =
    b"ANAPARASBRCHCGDDDLDNGAGJHPHRJHJKKAKLLALDMHMLMNMPMZNLODORPBPYRJSKTGTNTRTSUKUAUPWB";

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let mark = candidate.compact();
    let known = match candidate.form {
        7 | 8 => mark.get(2..4)? == b"BH",
        _ => STATES.chunks(2).any(|state| mark.starts_with(state)),
    };
    match (known, candidate.form) {
        (false, _) => None,
        // Without letters between, a mark is a model number as often.
        (true, 9 | 10) => candidate.high_or(Confidence::Low),
        (true, _) => candidate.high_or(Confidence::Medium),
    }
}
