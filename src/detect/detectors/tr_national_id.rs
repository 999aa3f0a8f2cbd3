//! Turkish identity numbers.

use crate::detect::checksum::digit;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "tr_national_id",
    groups: &["pii.tr"],
    doc: Doc {
        finds: "Eleven digits of which the last two check the others, after a word such as `TCKN` or `kimlik`.",
        misses: "Numbers without such a word.",
        source: "Nüfus ve Vatandaşlık İşleri Genel Müdürlüğü, T.C. kimlik numarası algoritması",
    },
    reach: 14,
    context: &[
        "tckn",
        "kimlik",
        "turkish id",
        "turkish identity",
        "tc no",
        "t c",
        "vatandaslik",
        "national id",
        "nüfus cüzdanı",
        "identity number",
        "identification number",
    ],
    anchors: &[Anchor::Forms(
        &["?99999999999", "?999 999 999 99", "?999-999-999-99"],
        validate,
    )],
    hits: &[
        hit("TC Kimlik No: 10000000146", &["10000000146"]),
        hit("Turkish ID 10000000146", &["10000000146"]),
        hit("Hasta: Ay\u{15F}e, T.C. 10000000146", &["10000000146"]),
        hit("{\"tckn\":\"19191919190\"}", &["19191919190"]),
        hit("TC Kimlik No: 100-000-001-46", &["100-000-001-46"]),
    ],
    misses: &[
        miss("TCKN 10000000145", "wrong check digit"),
        miss("TCKN 01000000146", "begins with 0"),
        miss("id 10000000146", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let sum = |places: &[usize]| {
        places.iter().try_fold(0u32, |sum, place| {
            Some(sum.wrapping_add(digit(number, *place)?))
        })
    };
    let odd = sum(&[0, 2, 4, 6, 8])?;
    let even = sum(&[1, 3, 5, 7])?;
    // 40 keeps the difference positive.
    let tenth = odd
        .wrapping_mul(7)
        .wrapping_add(40)
        .wrapping_sub(even)
        .wrapping_rem(10);
    let eleventh = odd.wrapping_add(even).wrapping_add(tenth).wrapping_rem(10);
    if number.first() == Some(&b'0')
        || digit(number, 9) != Some(tenth)
        || digit(number, 10) != Some(eleventh)
    {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
