//! Singapore identity numbers (NRIC, FIN).

use crate::detect::checksum::weighted;
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
    anchors: &[Anchor::Forms(&["a9999999a"], judge)],
    hits: &[
        Hit {
            text: "NRIC S2740116C was processed",
            found: &["S2740116C"],
        },
        Hit {
            text: "G1122144R",
            found: &["G1122144R"],
        },
        Hit {
            text: "my fin is f2346401l",
            found: &["f2346401l"],
        },
    ],
    misses: &[
        Miss {
            text: "NRIC S2740116D",
            why: "wrong letter",
        },
        Miss {
            text: "NRIC A2740116C",
            why: "begins with A",
        },
        Miss {
            text: "exponent t1671728i",
            why: "small letters without context",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
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
