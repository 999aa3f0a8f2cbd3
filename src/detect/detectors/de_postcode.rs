//! German postcodes.

use crate::detect::checksum::number_at;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_postcode",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "Five digits from 01001 to 99998 after a word such as `PLZ`.",
        misses: "Five digits without such a word.",
        source: "Deutsche Post, Postleitzahlensystem",
    },
    reach: 5,
    context: &[
        "plz",
        "postleitzahl",
        "postleitzahlen",
        "postcode",
        "postal code",
        "postanschrift",
    ],
    anchors: &[Anchor::Forms(&["?99999"], validate)],
    hits: &[
        hit("PLZ 80331", &["80331"]),
        hit("Postleitzahl: 01067 Dresden", &["01067"]),
        hit("{\"plz\":\"10115\"}", &["10115"]),
    ],
    misses: &[
        miss("port 80331", "nothing says that it is one"),
        miss("PLZ 00000", "below the first"),
        miss("PLZ 1011", "four digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    if !matches!(number_at(candidate.compact(), 0, 5)?, 1_001..=99_998) {
        return None;
    }
    candidate
        .high_or(Confidence::Low)
        .map(|confidence| confidence.min(Confidence::Medium))
}
