//! Singapore identity numbers (NRIC, FIN).

use crate::detect::checksum::weighted;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "sg_nric",
    groups: &["pii.sg"],
    doc: Doc {
        finds: "S, T, F, G or M, seven digits, and a letter that checks them.",
        misses: "Small letters without a word such as `NRIC`: exponents of decimals look the same.",
        source: "National Registration (Singapore) check letter as documented publicly; M series since 2022 (ICA)",
    },
    reach: 9,
    context: &[
        "nric",
        "nrics",
        "fin",
        "fins",
        "identity card",
        "ic number",
        "ic no",
    ],
    anchors: &[Anchor::Forms(&["a9999999a"], validate)],
    hits: &[
        hit("NRIC S2740116C was processed", &["S2740116C"]),
        hit("G1122144R", &["G1122144R"]),
        hit("my fin is f2346401l", &["f2346401l"]),
    ],
    misses: &[
        miss("NRIC S2740116D", "wrong letter"),
        miss("NRIC A2740116C", "begins with A"),
        miss("exponent t1671728i", "small letters without context"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.capitals();
    let (added, letters) = match number.first()? {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        b'M' => (3, b"XWUTRQPNJLK"),
        _ => return None,
    };
    let rest = weighted(number.get(1..8)?, &[2, 7, 6, 5, 4, 3, 2])?
        .wrapping_add(added)
        .wrapping_rem(11);
    if letters.get(rest as usize) != number.get(8) {
        return None;
    }
    let capitals = candidate.compact() == &*number;
    candidate.high_or(if capitals {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
