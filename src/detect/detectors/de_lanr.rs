//! German physicians' numbers (LANR).

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

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
    anchors: &[Anchor::Forms(&["?999999999"], validate)],
    hits: &[
        hit("LANR 123456601", &["123456601"]),
        hit("Arztnummer: 987654401", &["987654401"]),
        hit("{\"lanr\":\"100000601\"}", &["100000601"]),
    ],
    misses: &[
        miss("LANR 123456701", "wrong check digit"),
        miss("LANR 12345660", "eight digits"),
        miss("id 123456601", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let sum = weighted_head(number, &[4, 9, 4, 9, 4, 9])?;
    let check = 10u32.wrapping_sub(sum.wrapping_rem(10)).wrapping_rem(10);
    if digit(number, 6) == Some(check) {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}
