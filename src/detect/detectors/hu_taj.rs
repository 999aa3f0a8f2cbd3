//! Hungarian social security numbers (TAJ).

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "hu_taj",
    groups: &["pii.eu.hu"],
    doc: Doc {
        finds: "Nine digits, together or in threes, the last one by weights 3 and 7 modulo 10, after a word such as `TAJ`.",
        misses: "Nine digits without such a word.",
        source: "1996. évi XX. törvény a személyazonosító jel helyébe lépő azonosítási módokról, melléklet",
    },
    reach: 11,
    context: &[
        "taj",
        "tajszám",
        "tajszáma",
        "tajszámom",
        "társadalombiztosítási azonosító",
        "társadalombiztosítási",
        "hungarian social security",
    ],
    anchors: &[Anchor::Forms(&["?999~999~999"], validate)],
    hits: &[
        hit("TAJ: 933 323 191", &["933 323 191"]),
        hit("a TAJ-számom 670497300", &["670497300"]),
        hit("{\"taj\":\"308-622-641\"}", &["308-622-641"]),
    ],
    misses: &[
        miss("TAJ 933 323 192", "wrong check digit"),
        miss("TAJ 000 000 000", "zeros"),
        miss("id 933323191", "nine digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let sum = weighted_head(number, &[3, 7, 3, 7, 3, 7, 3, 7])?;
    if sum == 0 || digit(number, 8) != Some(sum.wrapping_rem(10)) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
