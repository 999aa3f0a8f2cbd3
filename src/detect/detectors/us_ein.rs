//! US employer identification numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "us_ein",
    groups: &["pii.us"],
    doc: Doc {
        finds: "Nine digits as 2-7 with a prefix that a campus of the IRS assigns, after a word such as `EIN`.",
        misses: "Numbers without such a word: 2-7 digits are parts of many identifiers.",
        source: "https://www.irs.gov/businesses/small-businesses-self-employed/how-eins-are-assigned-and-valid-ein-prefixes",
    },
    reach: 10,
    context: &[
        "ein",
        "eins",
        "fein",
        "employer identification",
        "federal tax id",
        "employer id",
    ],
    anchors: &[Anchor::Forms(&["?99-9999999", "?999999999"], validate)],
    hits: &[
        hit("EIN 12-3456789", &["12-3456789"]),
        hit(
            "{\"employer_identification_number\": \"94-1234567\"}",
            &["94-1234567"],
        ),
        hit("Our FEIN is 121234567.", &["121234567"]),
    ],
    misses: &[
        miss("EIN 07-3456789", "no campus has the prefix 07"),
        miss("invoice 12-3456789", "nothing says that it is one"),
        miss("EIN 12-345678", "eight digits"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let unassigned = matches!(
        candidate.compact().get(..2)?,
        b"00"
            | b"07"
            | b"08"
            | b"09"
            | b"17"
            | b"18"
            | b"19"
            | b"28"
            | b"29"
            | b"49"
            | b"69"
            | b"70"
            | b"78"
            | b"79"
            | b"89"
            | b"96"
            | b"97"
    );
    if unassigned {
        None
    } else {
        candidate.high_or(Confidence::Low)
    }
}
