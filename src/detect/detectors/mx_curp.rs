//! Mexican population registry codes (CURP).

use crate::detect::checksum::{is_date, number_at};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "mx_curp",
    groups: &["pii.mx"],
    doc: Doc {
        finds: "Eighteen characters: four letters, date of birth, H, M or X, the state, three letters, a character for the century, a digit that checks the others.",
        misses: "Codes in small letters.",
        source: "Instructivo normativo para la asignación de la CURP, Diario Oficial de la Federación",
    },
    reach: 18,
    context: &["curp", "clave unica"],
    anchors: &[Anchor::Forms(&["AAAA999999AAAAAAX9"], validate)],
    hits: &[
        hit("CURP HEGG560427MVZRRL04", &["HEGG560427MVZRRL04"]),
        hit("see BADD110313HCMLNS06.", &["BADD110313HCMLNS06"]),
        hit("{\"curp\":\"HEGG560427MVZRRL04\"}", &["HEGG560427MVZRRL04"]),
    ],
    misses: &[
        miss("CURP HEGG560427MVZRRL05", "wrong check digit"),
        miss("CURP HEGG561327MVZRRL04", "month 13"),
        miss("CURP HEGG560427KVZRRL04", "neither H, M nor X"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let code = candidate.compact();
    // Ñ stands between N and O; it is not used, but counts.
    let value = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte & 0x0F),
        b'A'..=b'N' => u32::from(byte.wrapping_sub(b'A')).wrapping_add(10),
        _ => u32::from(byte.wrapping_sub(b'A')).wrapping_add(11),
    };
    let (last, head) = code.split_last()?;
    let sum = head
        .iter()
        .zip((2..=18u32).rev())
        .fold(0u32, |sum, (byte, weight)| {
            sum.wrapping_add(value(*byte).wrapping_mul(weight))
        });
    let check = 10u32.wrapping_sub(sum.wrapping_rem(10)).wrapping_rem(10);
    let dated = is_date(
        number_at(code, 4, 2)?.wrapping_add(2000),
        number_at(code, 6, 2)?,
        number_at(code, 8, 2)?,
    );
    if !dated
        || !matches!(code.get(10), Some(b'H' | b'M' | b'X'))
        || u32::from(last & 0x0F) != check
    {
        return None;
    }
    candidate.high_or(Confidence::High)
}
