//! German physicians' numbers (LANR).

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_lanr",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "Nine digits, the seventh by weights 4 and 9 modulo 10, after a word such as `LANR`.",
        misses: "Numbers without such a word.",
        source: "Kassenärztliche Bundesvereinigung, Arztnummern-Richtlinie",
    },
    reach: 9,
    context: &[
        "lanr",
        "arztnummer",
        "arztnr",
        "vertragsarztnummer",
        "betriebsarzt",
        "arzt nummer",
        "arzt nr",
        "kassenarzt",
        "vertragsarzt",
        "hausarzt",
        "facharzt",
        "behandelnder arzt",
        "kv nummer",
    ],
    anchors: &[Anchor::Forms(&["?999999999"], judge)],
    hits: &[
        Hit {
            text: "LANR 123456601",
            found: &["123456601"],
        },
        Hit {
            text: "Arztnummer: 987654401",
            found: &["987654401"],
        },
        Hit {
            text: "{\"lanr\":\"100000601\"}",
            found: &["100000601"],
        },
    ],
    misses: &[
        Miss {
            text: "LANR 123456701",
            why: "wrong check digit",
        },
        Miss {
            text: "LANR 12345660",
            why: "eight digits",
        },
        Miss {
            text: "id 123456601",
            why: "nothing says that it is one",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let sum = weighted_head(number, &[4, 9, 4, 9, 4, 9])?;
    let check = 10u32.wrapping_sub(sum.wrapping_rem(10)).wrapping_rem(10);
    if digit(number, 6) == Some(check) {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
