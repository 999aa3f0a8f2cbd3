//! US registration numbers of prescribers of controlled substances.

use crate::detect::checksum::digit;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "us_dea",
    groups: &["pii.us"],
    doc: Doc {
        finds: "A registrant's letter, another letter or 9, and seven digits of which the last checks the others, after a word such as `DEA`.",
        misses: "Numbers without such a word: hexadecimal hashes pass the check.",
        source: "21 CFR 1301; DEA Diversion Control Division, registration number format",
    },
    reach: 9,
    context: &[
        "dea",
        "prescriber",
        "controlled substances",
        "medical certificate",
    ],
    anchors: &[Anchor::Forms(&["?AX9999999"], validate)],
    hits: &[
        hit("DEA: AW5004445", &["AW5004445"]),
        hit("DEA number=GB8407517;", &["GB8407517"]),
        hit("{\"dea\":\"F91234563\"}", &["F91234563"]),
    ],
    misses: &[
        miss("DEA AW5004446", "wrong check digit"),
        miss("DEA ZW5004445", "no registrant has the letter Z"),
        miss("file AW5004445", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let [registrant, second, number @ ..] = candidate.compact() else {
        return None;
    };
    let at = |place| digit(number, place);
    let odd = at(0)?.wrapping_add(at(2)?).wrapping_add(at(4)?);
    let even = at(1)?.wrapping_add(at(3)?).wrapping_add(at(5)?);
    let checked = odd.wrapping_add(even.wrapping_mul(2)).wrapping_rem(10) == at(6)?;
    let known = matches!(registrant, b'A'..=b'H' | b'J'..=b'M' | b'P' | b'R'..=b'U' | b'X')
        && (second.is_ascii_uppercase() || *second == b'9');
    if checked && known {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
