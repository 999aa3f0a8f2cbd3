//! German postcodes.

use crate::detect::checksum::number_at;
use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
    anchors: &[Anchor::Forms(&["?99999"], judge)],
    hits: &[
        Hit {
            text: "PLZ 80331",
            found: &["80331"],
        },
        Hit {
            text: "Postleitzahl: 01067 Dresden",
            found: &["01067"],
        },
        Hit {
            text: "{\"plz\":\"10115\"}",
            found: &["10115"],
        },
    ],
    misses: &[
        Miss {
            text: "port 80331",
            why: "nothing says that it is one",
        },
        Miss {
            text: "PLZ 00000",
            why: "below the first",
        },
        Miss {
            text: "PLZ 1011",
            why: "four digits",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
    if !matches!(number_at(candidate.compact(), 0, 5)?, 1_001..=99_998) {
        return None;
    }
    candidate
        .high_or(Confidence::Low)
        .map(|confidence| confidence.min(Confidence::Medium))
}
