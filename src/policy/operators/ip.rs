//! IP addresses in every form that a client accepts.
//!
//! IPv4 as inet_aton(3) and the WHATWG read it: one to four parts, each decimal, octal (`0177`) or hexadecimal (`0x7f`),
//! with the last one filling the rest (`127.1`). Some clients read `010.0.0.1` as decimal: such a text is two addresses.
//! IPv6 as in RFC 4291, with a zone (RFC 4007), which is ignored.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Meaning of a text as an IPv4 address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Numeric {
    /// The text is not an address but a name.
    No,
    /// One address, and another one for a client that ignores leading zeros.
    Yes(Ipv4Addr, Option<Ipv4Addr>),
    /// Neither: it ends in a number, so that clients don't resolve it as a name, and is not an address (URL Standard, "ends
    /// in a number").
    Broken,
}

/// Parses an IPv4 address. The text is ASCII; a final dot is allowed.
pub(super) fn ipv4(text: &str) -> Numeric {
    let text = text.strip_suffix('.').unwrap_or(text);
    let last = text.rsplit('.').next().unwrap_or_default();
    if last.is_empty() || !is_number(last) {
        return Numeric::No;
    }
    let decimal = dotted_decimal(text);
    match (inet_aton(text), decimal) {
        (Some(address), Some(other)) if address != other => Numeric::Yes(address, Some(other)),
        (Some(address), _) => Numeric::Yes(address, None),
        // `08.0.0.1` is not octal, but is an address to readers of decimal numbers.
        (None, _) => Numeric::Broken,
    }
}

fn is_number(part: &str) -> bool {
    let hex = part.strip_prefix("0x").or(part.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => part.bytes().all(|b| b.is_ascii_digit()),
    }
}

fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let mut parts: [u32; 4] = [0; 4];
    let mut count = 0usize;
    for part in text.split('.') {
        *parts.get_mut(count)? = number(part)?;
        count = count.saturating_add(1);
    }
    let (last, first) = parts.get(..count)?.split_last()?;
    let mut address = 0u32;
    let mut shift = 24u32;
    for part in first {
        if *part > 255 {
            return None;
        }
        address |= part.checked_shl(shift)?;
        shift = shift.checked_sub(8)?;
    }
    // The last part fills the remaining octets.
    let room = shift.checked_add(8)?;
    if room < 32 && last.checked_shr(room)? != 0 {
        return None;
    }
    Some(Ipv4Addr::from_bits(address | last))
}

fn number(part: &str) -> Option<u32> {
    let hex = part.strip_prefix("0x").or(part.strip_prefix("0X"));
    let (digits, radix) = match hex {
        Some(digits) => (digits, 16),
        None if part.len() > 1 && part.starts_with('0') => (part, 8),
        None => (part, 10),
    };
    if hex.is_none() && digits.is_empty() {
        return None;
    }
    digits.chars().try_fold(0u32, |value, digit| {
        value
            .checked_mul(radix)?
            .checked_add(digit.to_digit(radix)?)
    })
}

/// Parses four decimal numbers, ignoring leading zeros.
fn dotted_decimal(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() {
            0
        } else {
            digits.parse().ok()?
        };
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// Parses an IPv6 address without brackets; `%` and the text after it is a zone.
pub(super) fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse().ok()
}

/// Returns the addresses to which packets may go: the address itself, and the IPv4 address inside of it. An IPv4-mapped
/// address (RFC 4291 §2.5.5.2) is only its IPv4 address.
pub(super) fn ends(address: IpAddr) -> (IpAddr, Option<Ipv4Addr>) {
    let IpAddr::V6(v6) = address else {
        return (address, None);
    };
    match v6.to_ipv4_mapped() {
        Some(v4) => (IpAddr::V4(v4), None),
        None => (address, carried(v6)),
    }
}

/// Returns the IPv4 address inside of an IPv6 address of a transition mechanism.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 =
        |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match (a, b, c, d, e, f) {
        // `::` and `::1` are the unspecified and the loopback address. All others in ::/96 are "IPv4-compatible" (RFC 4291
        // §2.5.5.1).
        (0, 0, 0, 0, 0, 0) if (g, h) > (0, 1) => v4(g, h),
        // IPv4-translated (RFC 2765) and NAT64's well-known prefix (RFC 6052).
        (0, 0, 0, 0, 0xFFFF, 0) | (0x64, 0xFF9B, 0, 0, 0, 0) => v4(g, h),
        // NAT64's prefix for local use (RFC 8215) is a /48, so that the zero octet divides the address in two (RFC 6052
        // §2.2).
        (0x64, 0xFF9B, 1, _, _, _) => v4(d, e << 8 | f >> 8),
        // 6to4 (RFC 3056).
        (0x2002, high, low, _, _, _) => v4(high, low),
        // Teredo (RFC 4380): the client's address, inverted.
        (0x2001, 0, _, _, _, _) => v4(!g, !h),
        // ISATAP (RFC 5214).
        (_, _, _, _, 0 | 0x0200, 0x5EFE) => v4(g, h),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> String {
        match ipv4(text) {
            Numeric::Yes(address, None) => address.to_string(),
            Numeric::Yes(address, Some(other)) => format!("{address} or {other}"),
            Numeric::No => "name".to_owned(),
            Numeric::Broken => "broken".to_owned(),
        }
    }

    #[test]
    fn every_form_of_an_address_is_the_address() {
        for text in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0X7F000001",
            "017700000001",
            "0x7f.1",
            "0177.0.0x0.1",
            "0x7f.0x0.0x0.0x1",
        ] {
            assert_eq!(one(text), "127.0.0.1", "{text}");
        }
        assert_eq!(one("0"), "0.0.0.0");
        assert_eq!(one("4294967295"), "255.255.255.255");
        assert_eq!(one("1.2.65535"), "1.2.255.255");
    }

    #[test]
    fn a_leading_zero_is_two_addresses() {
        assert_eq!(one("010.0.0.1"), "8.0.0.1 or 10.0.0.1");
        assert_eq!(one("0127.0.0.1"), "87.0.0.1 or 127.0.0.1");
        assert_eq!(one("127.00.00.01"), "127.0.0.1");
    }

    #[test]
    fn what_ends_in_a_number_is_no_name() {
        for text in [
            "256.0.0.1",
            "1.2.3.4.5",
            "4294967296",
            "1..1",
            "08.0.0.1",
            "example.1",
            "1.2.3.0x1g.9",
            "1.2.3.",
            "0x",
        ] {
            let expected = match text {
                "1.2.3." => "1.2.0.3",
                // The URL Standard reads `0x` without digits as zero.
                "0x" => "0.0.0.0",
                _ => "broken",
            };
            assert_eq!(one(text), expected, "{text}");
        }
        for text in ["example.com", "1.2.3.x", "", ".", "a", "0xg"] {
            assert_eq!(one(text), "name", "{text:?}");
        }
    }

    #[test]
    fn an_ipv6_address_that_carries_an_ipv4_address_ends_at_both() {
        let end = |text: &str| match ends(IpAddr::V6(ipv6(text).unwrap())) {
            (IpAddr::V4(v4), None) => format!("{v4}"),
            (IpAddr::V6(_), Some(v4)) => format!("itself and {v4}"),
            (IpAddr::V6(_), None) => "itself".to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(end("::ffff:127.0.0.1"), "127.0.0.1");
        assert_eq!(end("::FFFF:7f00:1"), "127.0.0.1");
        assert_eq!(end("::127.0.0.1"), "itself and 127.0.0.1");
        assert_eq!(end("64:ff9b::10.1.2.3"), "itself and 10.1.2.3");
        assert_eq!(end("64:ff9b:1:0a01:0002:0300::"), "itself and 10.1.2.3");
        assert_eq!(end("2002:0a01:0203::1"), "itself and 10.1.2.3");
        assert_eq!(end("2001:0:1234::f5fe:fdfc"), "itself and 10.1.2.3");
        assert_eq!(end("fe80::5efe:10.1.2.3%eth0"), "itself and 10.1.2.3");
        assert_eq!(end("::ffff:0:10.1.2.3"), "itself and 10.1.2.3");
        assert_eq!(end("::1"), "itself");
        assert_eq!(end("::"), "itself");
        assert_eq!(end("2001:db8::1"), "itself");
    }

    proptest! {
        #[test]
        fn the_decimal_hexadecimal_and_octal_forms_agree(bits: u32) {
            let plain = Ipv4Addr::from_bits(bits);
            let [a, b, c, d] = plain.octets();
            for text in [
                plain.to_string(),
                format!("{bits}"),
                format!("{bits:#x}"),
                format!("0{bits:o}"),
                format!("{a}.{}", bits & 0xFF_FFFF),
                format!("{a:#x}.{b}.{}", u32::from(c) << 8 | u32::from(d)),
            ] {
                prop_assert_eq!(ipv4(&text), Numeric::Yes(plain, None), "{}", text);
            }
        }

        #[test]
        fn no_text_is_too_odd(text in "[0-9a-fx.]{0,24}") {
            let _ = ipv4(&text);
        }
    }
}
