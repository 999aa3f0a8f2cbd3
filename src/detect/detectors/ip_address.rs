//! IP addresses.

use std::net::Ipv6Addr;

use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "ip_address",
    groups: &["pii"],
    doc: Doc {
        finds: "IPv4 as four numbers 0–255 without leading zeros; IPv6 in all its forms with a zone; both with a prefix length.",
        misses: "Versions and section numbers with five parts, the unspecified address `::`, and IPv6 addresses of two short groups, which are slices of a program as often.",
        source: "RFC 791, RFC 4291 section 2.2, RFC 4007 section 11, RFC 4632",
    },
    reach: 64,
    context: &[
        "ip", "ips", "ipv4", "ipv6", "host", "hosts", "from", "server", "gateway", "subnet",
        "client", "address", "addr", "dns",
    ],
    anchors: &[
        Anchor::Number(1..=3, PreFilter::ALWAYS.before(b"."), version_4),
        Anchor::Colon(version_6),
    ],
    hits: &[
        hit(
            "アドレス：2001:db8::17, ip6:2001:db8::18",
            &["2001:db8::17", "2001:db8::18"],
        ),
        hit("顧客のIP：2001:db8::17、以上です", &["2001:db8::17"]),
        hit("_2001:db8::17_", &["2001:db8::17"]),
        hit("from 192.168.0.1:80", &["192.168.0.1"]),
        hit("subnet 10.0.0.0/8.", &["10.0.0.0/8"]),
        hit("http://[2001:db8::1]/path", &["2001:db8::1"]),
        hit("fe80::1%eth0/64 and ::1", &["fe80::1%eth0/64", "::1"]),
        hit("64:ff9b::198.51.100.1", &["64:ff9b::198.51.100.1"]),
    ],
    misses: &[
        miss("text2001:db8::1", "part of a longer word"),
        miss("Firmware 5.14.2.7", "a version"),
        miss("section 10.4.2.1.7", "five parts"),
        miss("192.168.1.256", "more than 255"),
        miss("1.2.3.04", "a leading zero"),
        miss("std::vector and a[1::2]", "a name and a slice of a program"),
        miss("at 12:34:56", "a time"),
    ],
};

/// Finds the address whose first number is at this place.
fn version_4(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let before = text.before(place.at);
    let second = place.at.saturating_sub(1);
    let longer = before == b'.' && text.before(second).is_ascii_digit()
        || matches!(before, b'_' | b'-') && text.before(second).is_ascii_digit();
    if longer || text.at(place.end) != b'.' {
        return None;
    }
    let (mut at, mut end) = (place.at, place.end);
    for part in 0..4 {
        if part > 0 {
            if text.at(at) != b'.' {
                return None;
            }
            at = at.wrapping_add(1);
            end = text.run(at, 4, |byte| byte.is_ascii_digit());
        }
        let value =
            crate::detect::checksum::number_at(text.slice(at..end), 0, end.wrapping_sub(at))?;
        let leading = text.at(at) == b'0' && end.wrapping_sub(at) > 1;
        if end == at || value > 255 || leading {
            return None;
        }
        at = end;
    }
    let after = text.at(at);
    let next = text.at(at.wrapping_add(1));
    let longer = after == b'.' && next.is_ascii_digit()
        || after.is_ascii_alphanumeric()
        || matches!(after, b'-' | b'_' | b'+') && next.is_ascii_alphanumeric();
    if longer || is_version(place) {
        return None;
    }
    let end = prefix_length(place, at, 32);
    let port = after == b':' && next.is_ascii_digit();
    let confidence = if place.context(place.at) {
        Confidence::High
    } else if end == at && !port && is_numbering(text.slice(place.at..at)) {
        Confidence::Low
    } else {
        Confidence::Medium
    };
    Some(Match {
        start: place.at,
        end,
        confidence,
    })
}

/// `v1.2.3.4`, `version 1.2.3.4`.
fn is_version(place: &MatchSite<'_>) -> bool {
    let text = place.text;
    let word_end = text.run_back(place.at, 4, |byte| {
        matches!(
            byte,
            b' ' | b'=' | b':' | b'"' | b'\'' | b'/' | b'~' | b'^' | b'@' | b'<' | b'>'
        )
    });
    let versions = [
        "version", "ver", "release", "build", "section", "chapter", "firmware", "v",
    ];
    text.precedes_word(word_end, &versions)
}

/// Returns whether an address is a number of another kind: sections of a standard and versions (`5.3.1.2`), or the
/// object identifiers of certificates (`2.5.29.14`). Well-known resolvers have the same digit throughout, or two.
fn is_numbering(address: &[u8]) -> bool {
    let certificate = address.starts_with(b"2.5.29.") || address.starts_with(b"2.5.4.");
    let resolver = matches!(address, [a, _, b, _, c, _, d] if a == b && c == d || a == d && b == c);
    certificate || address.len() == 7 && !resolver
}

/// Returns the end with `/24`, if that follows and is a valid length.
fn prefix_length(place: &MatchSite<'_>, at: usize, most: u32) -> usize {
    let text = place.text;
    if text.at(at) != b'/' {
        return at;
    }
    let from = at.wrapping_add(1);
    let end = text.run(from, 4, |byte| byte.is_ascii_digit());
    match crate::detect::checksum::number_at(text.slice(from..end), 0, end.wrapping_sub(from)) {
        Some(length) if end > from && length <= most && !text.at(end).is_ascii_alphanumeric() => {
            end
        }
        _ => at,
    }
}

/// Finds the address with a colon at this place; only its first colon counts.
fn version_6(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    // An address has a second colon, not three in a row.
    let next = text.at(place.at.wrapping_add(1));
    if text.before(place.at) == b':'
        && (next == b':' || text.before(place.at.wrapping_sub(1)) == b':')
        || !next.is_ascii_hexdigit() && next != b':' && text.before(place.at) != b':'
    {
        return None;
    }
    let part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    let start = text.run_back(place.at, 5, |byte| byte.is_ascii_hexdigit());
    let start = if start == place.at && text.before(place.at) == b':' {
        place.at.wrapping_sub(1)
    } else {
        start
    };
    place.begins(start);
    let before = text.before(start);
    if before.is_ascii_alphanumeric()
        || before == b'.'
        || text.continues_name(start)
        || before == b':' && !text.is_named(start)
        || text.at(start) == b':' && text.at(start.wrapping_add(1)) != b':'
    {
        return None;
    }
    // Times, ratios and JSON have no second colon so near.
    let end = text.run(start, 46, |byte| part(byte) || byte == b'.');
    let end = text.run_back(end, 1, |byte| {
        matches!(byte, b'.' | b':') && !text.slice(start..end).ends_with(b"::")
    });
    let written = text.slice(start..end);
    if written.iter().filter(|byte| **byte == b':').count() < 2 {
        return None;
    }
    let address: Ipv6Addr = std::str::from_utf8(written).ok()?.parse().ok()?;
    if text.at(end).is_ascii_alphanumeric()
        || text.begins_name(end)
        || address.is_unspecified()
        || !is_unmistakable(written, address)
    {
        return None;
    }
    let mut zoned = end;
    if text.at(end) == b'%' {
        zoned = text.run(end.wrapping_add(1), 16, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
        });
        zoned = if zoned == end.wrapping_add(1) {
            end
        } else {
            zoned
        };
    }
    let end = prefix_length(place, zoned, 128);
    Some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}

/// Returns whether an address is more than one by form, as `a::b` and `1::2` are.
fn is_unmistakable(written: &[u8], address: Ipv6Addr) -> bool {
    let groups = written
        .split(|byte| *byte == b':')
        .filter(|group| !group.is_empty());
    let digits = written.iter().any(u8::is_ascii_digit);
    let long = groups.clone().any(|group| group.len() >= 3);
    address.is_loopback() || digits && (long || groups.count() >= 4)
}
