//! Hardware addresses of network interfaces.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::{Candidate, Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "mac_address",
    groups: &["pii"],
    doc: Doc {
        finds: "Six pairs of hexadecimal digits with one separator, `:` or `-`; or three groups of four with dots, after a word such as `MAC` or where the text is nothing else.",
        misses: "Twelve hexadecimal digits in a row, and longer runs of pairs such as fingerprints of keys.",
        source: "IEEE Std 802-2014, section 8",
    },
    reach: 17,
    context: &[
        "mac",
        "macs",
        "device",
        "ethernet",
        "hwaddr",
        "hardware address",
        "bssid",
        "ether",
        "physical address",
    ],
    anchors: &[
        Anchor::Pairs(around),
        Anchor::Forms(&["!xxxx.xxxx.xxxx"], validate),
    ],
    hits: &[
        hit("MACアドレス：B1:E5:7F:26:70:63", &["B1:E5:7F:26:70:63"]),
        hit("device:2C:55:1A:3D:2E:31", &["2C:55:1A:3D:2E:31"]),
        hit("MAC 8a-3b-7e-d9-14-9b.", &["8a-3b-7e-d9-14-9b"]),
        hit(
            "device ab:ab:ab:ab:ab:ab is offline",
            &["ab:ab:ab:ab:ab:ab"],
        ),
        hit("mac abcd.ef01.2345", &["abcd.ef01.2345"]),
        hit("4687.0CDE.a19a", &["4687.0CDE.a19a"]),
    ],
    misses: &[
        miss("MAC 1d-10-33-dd-66", "five pairs"),
        miss("fingerprint 8a:3b:7e:d9:14:9b:00", "seven pairs"),
        miss(
            "see 4687.0cde.a19a, 2024.1103.0007",
            "nothing says that it is one",
        ),
        miss("2024.1103.0007", "a version"),
        miss("MAC 33:9f:de:5a:fa:6g", "not hexadecimal"),
    ],
};

/// The address of which the third separator stands here.
fn around(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let start = place.at.checked_sub(8)?;
    place.begins(start);
    let separator = text.at(place.at);
    let before = text.before(start);
    if before.is_ascii_alphanumeric() || before == separator && !text.is_named(start) {
        return None;
    }
    let end = start.wrapping_add(17);
    for at in start..end {
        let byte = text.at(at);
        let fits = if at.wrapping_sub(start).wrapping_rem(3) == 2 {
            byte == separator
        } else {
            byte.is_ascii_hexdigit()
        };
        if !fits {
            return None;
        }
    }
    let after = text.at(end);
    if after.is_ascii_alphanumeric()
        || after == separator && text.at(end.wrapping_add(1)).is_ascii_hexdigit()
    {
        return None;
    }
    let confidence = if place.context(start) {
        Confidence::High
    } else {
        Confidence::Medium
    };
    Some(Match {
        start,
        end,
        confidence,
    })
}

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let address = candidate.compact();
    if !address.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    // Digits alone are a version, letters alone words.
    let digits = address.iter().filter(|byte| byte.is_ascii_digit()).count();
    if (1..address.len()).contains(&digits) {
        candidate.high_or_whole(Confidence::Medium)
    } else {
        candidate.high_or(Confidence::Low)
    }
}
