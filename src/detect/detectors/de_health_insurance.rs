//! German health insurance numbers.

use crate::detect::checksum::digit;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_health_insurance",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "A capital and nine digits, the last one by weights 1 and 2 in turn with the letter as two digits, after a word such as `Krankenversichertennummer`.",
        misses: "Numbers without such a word: one in ten article numbers passes the check.",
        source: "Sozialgesetzbuch V § 290; GKV-Spitzenverband, Krankenversichertennummer",
    },
    reach: 10,
    context: &[
        "kvnr",
        "krankenversicherung",
        "krankenversichertennummer",
        "krankenkasse",
        "versichertennummer",
        "versichertennr",
        "gesundheitskarte",
        "egk",
        "krankenversicherungsnummer",
        "krankenversicherten",
        "versicherten",
        "kv nummer",
        "versichertenkarte",
        "krankenversicherungskarte",
        "krankenversicherungsausweis",
        "versichertenausweis",
        "gkv",
        "aok",
        "barmer",
        "tk",
    ],
    anchors: &[Anchor::Forms(&["?A999999999"], validate)],
    hits: &[
        hit("Versicherten-Nr. A123456780", &["A123456780"]),
        hit("KVNR A123456780", &["A123456780"]),
        hit("Versichertennummer: C000500021", &["C000500021"]),
        hit("{\"kvnr\":\"A000500015\"}", &["A000500015"]),
    ],
    misses: &[
        miss("KVNR A123456787", "wrong check digit"),
        miss("KVNR 1123456780", "no letter"),
        miss("part A123456780", "nothing says that it is one"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let letter = u32::from(number.first()?.wrapping_sub(b'A')).wrapping_add(1);
    let rest = number.get(1..9)?.iter().map(|byte| u32::from(byte & 0x0F));
    let values = [letter.div_euclid(10), letter.wrapping_rem(10)]
        .into_iter()
        .chain(rest);
    let sum = values
        .zip([1u32, 2].into_iter().cycle())
        .fold(0u32, |sum, (value, weight)| {
            let product = value.wrapping_mul(weight);
            sum.wrapping_add(product.div_euclid(10))
                .wrapping_add(product.wrapping_rem(10))
        });
    if digit(number, 9) != Some(sum.wrapping_rem(10)) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
