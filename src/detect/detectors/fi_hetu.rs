//! Finnish personal identity codes (henkilötunnus).

use crate::detect::checksum::{is_date, number_at};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "fi_hetu",
    groups: &["pii.eu.fi"],
    doc: Doc {
        finds: "Date of birth as six digits, a sign for the century (`+ - A–F U–Y`), three digits, and a character that checks them modulo 31.",
        misses: "Small letters without a word such as `henkilötunnus`.",
        source: "Digital and Population Data Services Agency, The personal identity code",
    },
    reach: 11,
    context: &[
        "henkilötunnus",
        "hetu",
        "hetus",
        "personal identity code",
        "personbeteckning",
    ],
    anchors: &[Anchor::Forms(
        &["999999a999x", "999999-999x", "999999+999x"],
        validate,
    )],
    hits: &[
        hit("see 131052-308T", &["131052-308T"]),
        hit("HETU: 131002+308W", &["131002+308W"]),
        hit("020504B904H", &["020504B904H"]),
    ],
    misses: &[
        miss("hetu 131052-308U", "wrong check character"),
        miss("hetu 131352-308T", "month 13"),
        miss("hetu 131052/308T", "no such sign"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let code = candidate.capitals();
    let date = number_at(&code, 0, 6)?;
    let serial = code.get(code.len().checked_sub(4)?..)?;
    let century = match (candidate.form, code.get(6)?) {
        (0, b'A'..=b'F') => 2000,
        (0, b'U'..=b'Y') | (1, _) => 1900,
        (2, _) => 1800,
        _ => return None,
    };
    let year = date.wrapping_rem(100).wrapping_add(century);
    let rest = date
        .wrapping_mul(1_000)
        .wrapping_add(number_at(serial, 0, 3)?)
        .wrapping_rem(31);
    let check = b"0123456789ABCDEFHJKLMNPRSTUVWXY".get(rest as usize);
    let dated = is_date(
        year,
        date.div_euclid(100).wrapping_rem(100),
        date.div_euclid(10_000),
    );
    if check != serial.last() || !dated || number_at(serial, 0, 3)? < 2 {
        return None;
    }
    let capitals = candidate.compact() == &*code;
    candidate.high_or(if capitals {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
