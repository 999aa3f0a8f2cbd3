//! Indian voter cards (EPIC numbers).

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
    anchors: &[Anchor::Forms(&["?AAA9999999"], judge)],
    hits: &[
        Hit {
            text: "You can vote with your CPJ4467918 number",
            found: &["CPJ4467918"],
        },
        Hit {
            text: "EPIC: KSD1287349",
            found: &["KSD1287349"],
        },
        Hit {
            text: "{\"voter_id\":\"ABC1234567\"}",
            found: &["ABC1234567"],
        },
    ],
    misses: &[
        Miss {
            text: "part CPJ4467918",
            why: "nothing says that it is one",
        },
        Miss {
            text: "voter CPJ446791",
            why: "six digits",
        },
        Miss {
            text: "voter cpj4467918",
            why: "small letters",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    candidate.high_or(Confidence::Low)
}
