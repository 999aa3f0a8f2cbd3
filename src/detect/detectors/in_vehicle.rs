//! Indian vehicle registration marks.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "in_vehicle",
    groups: &["pii.in"],
    doc: Doc {
        finds: "The state in two capitals, the district as one or two digits, one to three letters, four digits; also the BH series.",
        misses: "Old marks without the district.",
        source: "Central Motor Vehicles Rules 1989, rules 50 and 51; state codes of the Ministry of Road Transport",
    },
    reach: 14,
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
        validate,
    )],
    hits: &[
        hit("KA53ME3456", &["KA53ME3456"]),
        hit("registration number is OD02BA2341 with", &["OD02BA2341"]),
        hit("a taxi, MH 12 AB 1234, waits", &["MH 12 AB 1234"]),
        hit("22 BH 6517 A", &["22 BH 6517 A"]),
    ],
    misses: &[
        miss("ZZ53ME3456", "no state ZZ"),
        miss("ka53me3456", "small letters"),
        miss("KA53ME345", "three digits"),
    ],
};

const STATES: &[u8] =
    b"ANAPARASBRCHCGDDDLDNGAGJHPHRJHJKKAKLLALDMHMLMNMPMZNLODORPBPYRJSKTGTNTRTSUKUAUPWB";

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
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
