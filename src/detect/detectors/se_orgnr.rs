//! Swedish organisation numbers.

use crate::detect::checksum::luhn;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "se_orgnr",
    groups: &["pii.eu.se"],
    doc: Doc {
        finds: "Six and four digits with a hyphen, the third digit 2 or more, the last one Luhn's; without the hyphen after a word such as `orgnr`.",
        misses: "Ten digits in a row without such a word.",
        source: "Skatteverket, SKV 709",
    },
    reach: 11,
    context: &[
        "orgnr",
        "org nr",
        "organisationsnummer",
        "organization number",
        "organisation number",
        "company identity",
    ],
    anchors: &[Anchor::Forms(&["999999-9999", "?9999999999"], validate)],
    hits: &[
        hit("see 556703-7485", &["556703-7485"]),
        hit("orgnr 2120000142", &["2120000142"]),
        hit("Org.nr: 212000-0142.", &["212000-0142"]),
    ],
    misses: &[
        miss("orgnr 556703-7486", "wrong check digit"),
        miss("orgnr 551203-7486", "the third digit is a month's"),
        miss("id 2120000142", "ten digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let known = matches!(number.first(), Some(b'1'..=b'3' | b'5'..=b'9'))
        && number.get(2).is_some_and(|digit| *digit >= b'2');
    if !known || !luhn(number) {
        return None;
    }
    candidate.high_or(if candidate.is_separated() {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
