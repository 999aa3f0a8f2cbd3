//! UK driving licence numbers.

use crate::detect::checksum::number_at;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "uk_driving_licence",
    groups: &["pii.uk"],
    doc: Doc {
        finds: "Sixteen characters: five of the surname, the date of birth spread over six digits (50 added to a woman's month), two initials, a digit or letter, two letters.",
        misses: "Numbers of Northern Ireland, which are eight digits.",
        source: "DVLA, driver number format as printed on the photocard licence",
    },
    reach: 16,
    context: &["licence", "license", "driver number", "dvla"],
    anchors: &[Anchor::Forms(
        &[
            "aaaaa999999xxxaa",
            "aaaa9999999xxxaa",
            "aaa99999999xxxaa",
            "aa999999999xxxaa",
            "a9999999999xxxaa",
        ],
        validate,
    )],
    hits: &[
        hit("MORGA657054SM9IJ", &["MORGA657054SM9IJ"]),
        hit("licence fo999512018aa1ab", &["fo999512018aa1ab"]),
        hit("JONES710153J99EF.", &["JONES710153J99EF"]),
    ],
    misses: &[
        miss("MORGA600054SM9IJ", "month 00"),
        miss("MORGA663054SM9IJ", "month 63"),
        miss("MORGA601004SM9IJ", "day 00"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.capitals();
    let month = number_at(&number, 6, 2)?;
    let day = number_at(&number, 8, 2)?;
    let padding = number.get(5usize.saturating_sub(candidate.form)..5)?;
    let initials = number.get(11..13)?;
    let fits = matches!(month, 1..=12 | 51..=62)
        && (1..=31).contains(&day)
        && padding.iter().all(|byte| *byte == b'9')
        && initials
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || *byte == b'9');
    if fits {
        candidate.high_or(Confidence::Medium)
    } else {
        None
    }
}
