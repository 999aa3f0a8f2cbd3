//! Belgian national register numbers.

use crate::detect::checksum::number_at;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "be_national_number",
    groups: &["pii.eu.be"],
    doc: Doc {
        finds: "Date of birth, serial and a key of 97 minus the number modulo 97 (with a 2 in front for births since 2000), as 99.99.99-999.99; without separators after a word such as `rijksregisternummer`.",
        misses: "Eleven digits in a row without such a word.",
        source: "Koninklijk besluit van 3 april 1984 over het identificatienummer van het Rijksregister",
    },
    reach: 15,
    context: &[
        "rijksregisternummer",
        "rijksregister",
        "registre national",
        "numero national",
        "nationaal nummer",
        "niss",
        "insz",
        "national number",
        "national register",
    ],
    anchors: &[Anchor::Forms(
        &[
            "99.99.99-999.99",
            "99.99.99 999 99",
            "999999-999-99",
            "999999-999.99",
            "?99999999999",
            "?99 99 99 999 99",
            "?99.99.99.999.99",
        ],
        validate,
    )],
    hits: &[
        hit("see 85.07.30-033.28", &["85.07.30-033.28"]),
        hit("rijksregisternummer 93051822361", &["93051822361"]),
        hit("registre national: 01.02.03-004.67", &["01.02.03-004.67"]),
        hit("rijksregisternummer 93.05.18.223.61", &["93.05.18.223.61"]),
    ],
    misses: &[
        miss("see 85.07.30-033.29", "wrong key"),
        miss("see 85.13.30-033.28", "month 13"),
        miss("id 93051822361", "eleven digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let value = number_at(number, 0, 9)?;
    let key = number_at(number, 9, 2)?;
    let fits = |value: u64| 97u64.wrapping_sub(value.wrapping_rem(97)) == u64::from(key);
    // People of unknown birthday have month 0; 20 and 40 are added for those who are not registered.
    let month = number_at(number, 2, 2)?.wrapping_rem(20);
    if month > 12
        || number_at(number, 4, 2)? > 31
        || !(fits(u64::from(value)) || fits(u64::from(value).wrapping_add(2_000_000_000)))
    {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
