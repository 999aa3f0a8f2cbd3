//! Singapore entity numbers (UEN).

use crate::detect::checksum::weighted;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "sg_uen",
    groups: &["pii.sg"],
    doc: Doc {
        finds: "Eight digits and a letter, the year and five digits and a letter, or R, S or T, two digits, two letters, four digits and a letter; the letter checks the others. After a word such as `UEN`.",
        misses: "Numbers without such a word.",
        source: "Accounting and Corporate Regulatory Authority, Unique Entity Number",
    },
    reach: 10,
    context: &[
        "uen",
        "uens",
        "entity number",
        "acra",
        "business registration",
        "company registration",
        "unique entity",
    ],
    anchors: &[Anchor::Forms(
        &["?99999999A", "?999999999A", "?A99AA9999X"],
        validate,
    )],
    hits: &[
        hit("UEN 00192200M", &["00192200M"]),
        hit("UEN: 197401143C", &["197401143C"]),
        hit("{\"uen\":\"201434292D\"}", &["201434292D"]),
    ],
    misses: &[
        miss("UEN 00192200N", "wrong letter"),
        miss("UEN 197401143D", "wrong letter"),
        miss("id 00192200M", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let (last, head) = number.split_last()?;
    let expected = match candidate.form {
        0 => b"XMKECAWLJDB"
            .get(weighted(head, &[10, 4, 9, 3, 8, 2, 7, 1])?.wrapping_rem(11) as usize)?,
        1 => b"ZKCMDNERGWH"
            .get(weighted(head, &[10, 8, 6, 4, 9, 7, 5, 3, 1])?.wrapping_rem(11) as usize)?,
        _ => other(head)?,
    };
    if expected == last {
        candidate.high_or(Confidence::Low)
    } else {
        None
    }
}

/// The check character of entities that are neither businesses nor companies.
fn other(head: &[u8]) -> Option<&'static u8> {
    const SYMBOLS: &[u8; 33] = b"ABCDEFGHJKLMNPQRSTUVWX0123456789?";
    if !matches!(head.first(), Some(b'R' | b'S' | b'T')) {
        return None;
    }
    let sum = head.iter().zip([4u32, 3, 5, 3, 10, 2, 2, 5, 7]).try_fold(
        0u32,
        |sum, (byte, weight)| {
            let value = u32::try_from(SYMBOLS.iter().position(|symbol| symbol == byte)?).ok()?;
            Some(sum.wrapping_add(value.wrapping_mul(weight)))
        },
    )?;
    SYMBOLS.get(sum.checked_sub(5)?.wrapping_rem(11) as usize)
}
