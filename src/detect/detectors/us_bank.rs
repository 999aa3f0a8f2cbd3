//! US bank account numbers.

use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "us_bank",
    groups: &["pii.us", "payment"],
    doc: Doc {
        finds: "8–17 digits after words such as `bank account` or `account number`.",
        misses: "Numbers without such words: there is no check digit.",
        source: "Nacha Operating Rules, DFI account number field",
    },
    reach: 17,
    context: &[
        "account number",
        "account no",
        "account nr",
        "account num",
        "checking",
        "savings",
        "acct",
        "bankaccount",
        "accountnumber",
        "deposit account",
        "bank",
    ],
    anchors: &[Anchor::Number(
        8..=17,
        PreFilter::ALWAYS.in_context(),
        probe,
    )],
    hits: &[
        hit("my bank account number is 71170298473", &["71170298473"]),
        hit("{\"account no.\": \"2872485296\"}", &["2872485296"]),
        hit("checking account: 405265257543", &["405265257543"]),
    ],
    misses: &[
        miss("order 71170298473", "nothing says that it is one"),
        miss("account number 1234567", "seven digits"),
        miss("account number 00000000", "one digit repeated"),
    ],
};

fn probe(place: &MatchSite<'_>) -> Option<Match> {
    let range = place.at..place.end;
    let number = place.text.slice(range.clone());
    if number.iter().all(|byte| Some(byte) == number.first()) || place.is_part(&range) {
        return None;
    }
    let confidence = if place.context(place.at) {
        Confidence::High
    } else {
        Confidence::Low
    };
    Some(Match {
        start: place.at,
        end: place.end,
        confidence,
    })
}
