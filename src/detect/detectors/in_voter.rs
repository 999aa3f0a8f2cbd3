//! Indian voter cards (EPIC numbers).

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "in_voter",
    groups: &["pii.in"],
    doc: Doc {
        finds: "Three capitals and seven digits after a word such as `voter` or `EPIC`.",
        misses: "Numbers without such a word.",
        source: "Election Commission of India, Manual on Electoral Rolls, EPIC numbering",
    },
    reach: 10,
    context: &[
        "voter",
        "voters",
        "vote",
        "epic",
        "elector",
        "electoral",
        "election",
        "elections",
        "मतदाता",
    ],
    anchors: &[Anchor::Forms(&["?AAA9999999"], validate)],
    hits: &[
        hit("You can vote with your CPJ4467918 number", &["CPJ4467918"]),
        hit("EPIC: KSD1287349", &["KSD1287349"]),
        hit("{\"voter_id\":\"ABC1234567\"}", &["ABC1234567"]),
    ],
    misses: &[
        miss("part CPJ4467918", "nothing says that it is one"),
        miss("voter CPJ446791", "six digits"),
        miss("voter cpj4467918", "small letters"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    candidate.high_or(Confidence::Low)
}
