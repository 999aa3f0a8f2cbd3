//! Romanian personal numeric codes (CNP).

use crate::detect::checksum::{digit, is_date, number_at, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "ro_cnp",
    groups: &["pii.eu.ro"],
    doc: Doc {
        finds: "Thirteen digits after a word such as `CNP`: sex and century, date of birth, county, serial, and a check digit (weights 2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9 modulo 11).",
        misses: "Numbers without such a word: times in milliseconds pass the check.",
        source: "Ordonanța de urgență a Guvernului nr. 97/2005; Legea nr. 105/1996, codul numeric personal",
    },
    reach: 17,
    context: &[
        "cnp",
        "cod numeric personal",
        "codul numeric personal",
        "codului numeric personal",
        "c n p",
        "romanian personal",
    ],
    anchors: &[Anchor::Forms(
        &["?9999999999999", "?9~999999~99~999~9", "?9~999999~999999"],
        validate,
    )],
    hits: &[
        hit("CNP 1800101221144", &["1800101221144"]),
        hit("codul numeric personal: 6040229465809", &["6040229465809"]),
        hit("{\"cnp\":\"1800101831511\"}", &["1800101831511"]),
        hit("C.N.P. 1-800101-221144", &["1-800101-221144"]),
    ],
    misses: &[
        miss("CNP 1800101221145", "wrong check digit"),
        miss("CNP 1801301221144", "month 13"),
        miss("CNP 1800101601146", "no such county"),
        miss("id 1800101221144", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let rest = weighted_head(number, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9])?.wrapping_rem(11);
    let check = if rest == 10 { 1 } else { rest };
    let century = match number.first()? {
        b'1' | b'2' => 1900,
        b'3' | b'4' => 1800,
        // Of residents and foreigners (7, 8, 9) the century is unknown.
        b'5'..=b'9' => 2000,
        _ => return None,
    };
    let dated = is_date(
        number_at(number, 1, 2)?.wrapping_add(century),
        number_at(number, 3, 2)?,
        number_at(number, 5, 2)?,
    );
    let placed = matches!(number_at(number, 7, 2)?, 1..=48 | 51 | 52 | 70 | 80..=83);
    if !dated || !placed || digit(number, 12) != Some(check) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
