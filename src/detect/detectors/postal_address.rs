//! Postal addresses, as far as form and context tell them.

use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "postal_address",
    groups: &["pii"],
    doc: Doc {
        finds: "A house number, one to four capitalised words and a word for a street (`Street`, `Rd`, `Avenue` …), after a word such as `address`, `lives at` or `ship to`.",
        misses: "Everything else: addresses have no form of their own. Addresses in which the street comes first.",
        source: "USPS Publication 28, appendix C1 (street suffixes); Universal Postal Union S42",
    },
    reach: 64,
    context: &[
        "address",
        "addresses",
        "street",
        "lives at",
        "live at",
        "living at",
        "ship to",
        "deliver to",
        "delivery",
        "mail to",
        "resides at",
        "residence",
        "send to",
    ],
    anchors: &[
        Anchor::Number(1..=5, PreFilter::ALWAYS.before_name(), probe),
        Anchor::Mixed(2..=5, PreFilter::ALWAYS.before_name(), probe),
    ],
    hits: &[
        hit("billing address: 12 Mill Lane, Leeds", &["12 Mill Lane"]),
        hit("She lives at 221B Baker Street.", &["221B Baker Street"]),
        hit(
            "{\"address\":\"1600 Pennsylvania Ave NW\"}",
            &["1600 Pennsylvania Ave"],
        ),
    ],
    misses: &[
        miss("see 12 Mill Lane", "nothing says whose it is"),
        miss("address 12 of the list", "no street"),
        miss("address 0x12 Main Memory", "no street"),
    ],
};

const STREETS: &[&str] = &[
    "street",
    "st",
    "road",
    "rd",
    "avenue",
    "ave",
    "av",
    "lane",
    "ln",
    "drive",
    "dr",
    "boulevard",
    "blvd",
    "way",
    "court",
    "ct",
    "place",
    "pl",
    "square",
    "sq",
    "terrace",
    "ter",
    "close",
    "crescent",
    "highway",
    "hwy",
    "parkway",
    "pkwy",
    "circle",
    "cir",
    "trail",
    "trl",
];

fn probe(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let number = text.slice(place.at..place.end);
    let suffixed = number.split_last().is_some_and(|(last, head)| {
        last.is_ascii_alphabetic() && head.iter().all(u8::is_ascii_digit)
    });
    if !number.first().is_some_and(u8::is_ascii_digit)
        || !(suffixed || number.iter().all(u8::is_ascii_digit))
    {
        return None;
    }
    let mut at = place.end;
    for words in 0..5 {
        if text.at(at) != b' ' {
            return None;
        }
        let start = at.wrapping_add(1);
        let end = text.run(start, 20, |byte| {
            byte.is_ascii_alphabetic() || matches!(byte, b'\'' | b'-') || byte >= 0x80
        });
        let word = text.slice(start..end);
        // A quote may stand behind it.
        let word = word.strip_suffix(b"'").unwrap_or(word);
        let end = start.wrapping_add(word.len());
        if words > 0
            && word.first().is_some_and(u8::is_ascii_uppercase)
            && STREETS
                .iter()
                .any(|street| word.eq_ignore_ascii_case(street.as_bytes()))
        {
            return Some(Match {
                start: place.at,
                end,
                confidence: Confidence::Medium,
            });
        }
        if !word
            .first()
            .is_some_and(|byte| byte.is_ascii_uppercase() || *byte >= 0x80)
        {
            return None;
        }
        at = end;
    }
    None
}
