//! US social security numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "us_ssn",
    groups: &["pii.us"],
    doc: Doc {
        finds: "Nine digits as 3-2-4 with one separator, or without after a word such as `SSN`. Areas 000, 666 and 900–999, group 00 and serial 0000 are never issued.",
        misses: "The specimen 078-05-1120, and nine digits in a row without such a word.",
        source: "https://www.ssa.gov/employer/randomizationfaqs.html",
    },
    reach: 15,
    context: &[
        "ssn",
        "ssns",
        "social security",
        "socialsecurity",
        "social sec",
        "soc sec",
        "ss number",
        "ss no",
        "seguro social",
    ],
    anchors: &[Anchor::Forms(
        &[
            "999-99-9999",
            "999 99 9999",
            "?999.99.9999",
            "?999 - 99 - 9999",
            "?999  99  9999",
            "?999/99/9999",
            "?999:99:9999",
            "?999,99,9999",
            "?999999999",
            "?999-999999",
            "?99999-9999",
            "?99999 9999",
            "?999 999999",
        ],
        validate,
    )],
    hits: &[
        hit(
            "SSN 536 - 22 - 8711, ssn: 536  22  8712, SSN 5 3 6 - 2 2 - 8 7 1 3",
            &["536 - 22 - 8711", "536  22  8712", "5 3 6 - 2 2 - 8 7 1 3"],
        ),
        hit("SSN 536-22-1234", &["536-22-1234"]),
        hit(
            "SSN 536/22/1234, ssn: 536:22:1235, ssn=536,22,1236",
            &["536/22/1234", "536:22:1235", "536,22,1236"],
        ),
        hit(
            "SSN/DOB: 536-22-1234:1980-01-31, 537-22-1234/538-22-1234",
            &["536-22-1234", "537-22-1234", "538-22-1234"],
        ),
        hit("see 536 22 1234 attached", &["536 22 1234"]),
        hit(
            "a 536-22-1234, b 537-22-1234",
            &["536-22-1234", "537-22-1234"],
        ),
        hit("my social security number is 536221234", &["536221234"]),
    ],
    misses: &[
        miss("SSN 000-22-1234", "area 000"),
        miss("SSN 666-22-1234", "area 666"),
        miss("SSN 536-00-1234", "group 00"),
        miss("SSN 536-22-0000", "serial 0000"),
        miss("536-22-12345", "ten digits"),
        miss(
            "536-22-1234/537-22-1234",
            "part of something, and no word before it",
        ),
        miss("order GR-412-55-1928", "a number with letters in front"),
        miss("536-22 1234", "mixed separators"),
        miss("SSN 078-05-1120", "a specimen"),
        miss("part 536221234", "nine digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let refused = matches!(
        number,
        [b'0', b'0', b'0', ..] | [b'6', b'6', b'6', ..] | [b'9', ..]
    ) || matches!(
        number,
        [_, _, _, b'0', b'0', ..] | [.., b'0', b'0', b'0', b'0']
    ) || number == b"078051120";
    if refused {
        return None;
    }
    let text = candidate.place.text;
    let start = candidate.range.start;
    // `GR-412-55-1928` is a part number.
    let joined =
        text.before(start) == b'-' && text.before(start.saturating_sub(1)).is_ascii_alphabetic();
    match candidate.form {
        0 | 1 if !joined => candidate.high_or(Confidence::Medium),
        _ => candidate.high_or(Confidence::Low),
    }
}
