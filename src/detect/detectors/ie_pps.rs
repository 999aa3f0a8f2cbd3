//! Irish personal public service numbers (PPS).

use crate::detect::checksum::weighted_head;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "ie_pps",
    groups: &["pii.eu.ie"],
    doc: Doc {
        finds: "Seven digits and the letter that they give (weights 8–2 modulo 23), which since 2013 also counts a second one, A, B or H; W, T and X of older numbers don't count. After a word such as `PPSN`.",
        misses: "Numbers without such a word.",
        source: "Social Welfare Consolidation Act 2005, section 262; Department of Social Protection, Personal Public Service Number",
    },
    reach: 10,
    context: &[
        "pps",
        "ppsn",
        "pps number",
        "personal public service",
        "irish social",
        "rsi number",
    ],
    anchors: &[Anchor::Forms(
        &[
            "?9999999a",
            "?9999999aa",
            "?9999999 A",
            "?9999999 AA",
            "?9999999-AA",
            "?9999999-A",
        ],
        validate,
    )],
    hits: &[
        hit("PPS number 6433435F", &["6433435F"]),
        hit("My PPSN is 6127137WA.", &["6127137WA"]),
        hit("{\"ppsn\":\"4582569tt\"}", &["4582569tt"]),
        hit("PPS No. 6433435 FW", &["6433435 FW"]),
    ],
    misses: &[
        miss("PPS 6433435E", "wrong letter"),
        miss("PPS 6433435FC", "no such second letter"),
        miss("see 6433435F", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.capitals();
    let sum = weighted_head(&number, &[8, 7, 6, 5, 4, 3, 2])?;
    let counted = match number.get(8) {
        None | Some(b'T' | b'W' | b'X') => 0,
        Some(b'A') => 9,
        Some(b'B') => 18,
        Some(b'H') => 72,
        Some(_) => return None,
    };
    let rest = sum.wrapping_add(counted).wrapping_rem(23);
    if b"WABCDEFGHIJKLMNOPQRSTUV".get(rest as usize) != number.get(7) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
