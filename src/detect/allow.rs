//! Allow lists: values that are not findings, such as test cards, own domains, a company's own numbers.

use crate::wire::sorted_map::SortedSet;
use std::net::IpAddr;

use super::normalise::NormalisedText;

/// Card numbers that payment providers publish for tests (the testing pages of Stripe, PayPal, Adyen and Worldpay).
const TEST_CARD_NUMBERS: &[&str] = &[
    "2223003122003222",
    "30569309025904",
    "3056930009020004",
    "3530111333300000",
    "3566002020360505",
    "36227206271667",
    "371449635398431",
    "378282246310005",
    "378734493671000",
    "38520000023237",
    "4000000000000002",
    "4000056655665556",
    "4012888888881881",
    "4111111111111111",
    "4222222222222",
    "4242424242424242",
    "4444333322221111",
    "4917610000000000",
    "5105105105105100",
    "5200828282828210",
    "5454545454545454",
    "5555555555554444",
    "6011000990139424",
    "6011111111111117",
    "6011981111111113",
    "6200000000000005",
    "6555900000604105",
    "6759649826438453",
];

/// Name of the list of card numbers that payment providers publish for tests.
pub const TEST_CARDS: &str = "test_cards";

/// Returns the entries of a built-in list.
pub fn known(name: &str) -> Option<&'static [&'static str]> {
    (name == TEST_CARDS).then_some(TEST_CARD_NUMBERS)
}

/// Allow list. Each entry matches:
/// - the value as it is, letters A–Z in either case;
/// - of letters and digits with separators: the same with other separators or none, `4111-1111-1111-1111`;
/// - of a host, `example.com`: every address and URL at it; `*.example.com`: at hosts below it;
/// - of a network, `10.0.0.0/8`: the addresses in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    exact: SortedSet<String>,
    compact: SortedSet<String>,
    hosts: SortedSet<String>,
    parents: SortedSet<String>,
    /// Address and prefix length; IPv4 in its IPv6 form.
    networks: Vec<(u128, u32)>,
}

impl AllowList {
    /// Returns the list of these entries.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list = Self::default();
        for entry in entries {
            list.add(entry);
        }
        list
    }

    /// Returns whether the list has no entries.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, entry: &str) {
        let value = folded(entry.trim());
        if value.is_empty() {
            return;
        }
        if let Some(parent) = value.strip_prefix("*.") {
            self.parents.insert(parent.to_owned());
            return;
        }
        if let Some(network) = network(&value) {
            self.networks.push(network);
            return;
        }
        let host = value.strip_prefix('@').unwrap_or(&value);
        if is_host(host) {
            self.hosts.insert(host.to_owned());
        }
        if let Some(compact) = compact(&value) {
            self.compact.insert(compact);
        }
        self.exact.insert(value);
    }

    /// Returns whether a normalised value is on the list.
    pub(super) fn has(&self, value: &str) -> bool {
        let value = folded(value);
        if self.exact.contains(&value) {
            return true;
        }
        if !self.compact.is_empty()
            && compact(&value).is_some_and(|value| self.compact.contains(&value))
        {
            return true;
        }
        if !self.networks.is_empty()
            && let Ok(address) = value.parse::<IpAddr>()
        {
            let bits = bits(address);
            return self
                .networks
                .iter()
                .any(|(network, mask)| masked(bits, *mask) == *network);
        }
        if self.hosts.is_empty() && self.parents.is_empty() {
            return false;
        }
        host_of(&value).is_some_and(|host| {
            let mut above = host.match_indices('.');
            self.hosts.contains(host)
                || above.any(|(dot, _)| {
                    host.get(dot.saturating_add(1)..)
                        .is_some_and(|parent| self.parents.contains(parent))
                })
        })
    }
}

fn folded(value: &str) -> String {
    let mut seen =
        NormalisedText::of(value).map_or_else(|| value.to_owned(), |view| view.text().to_owned());
    seen.make_ascii_lowercase();
    seen
}

/// Returns the letters and digits of a value that otherwise contains only separators.
fn compact(value: &str) -> Option<String> {
    let separated = value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'.' | b'/'));
    let letters: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
    (separated && letters.len() >= 6 && letters.bytes().any(|byte| byte.is_ascii_digit()))
        .then_some(letters)
}

/// Returns whether a value is a host name, and not a number or a word.
fn is_host(value: &str) -> bool {
    value.rsplit_once('.').is_some_and(|(_, top)| {
        top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic())
    }) && value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

/// Returns the host of an e-mail address or a URL.
fn host_of(value: &str) -> Option<&str> {
    let (rest, is_url) = match value.split_once("://") {
        Some((_, rest)) => (rest, true),
        None => (value, false),
    };
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or(rest);
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => host,
        None if is_url => authority,
        None => return None,
    };
    let host = host.split(':').next().unwrap_or(host);
    Some(host.strip_suffix('.').unwrap_or(host))
}

fn network(value: &str) -> Option<(u128, u32)> {
    let (address, prefix) = value.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let prefix: u32 = prefix.parse().ok()?;
    let (longest, before) = match address {
        IpAddr::V4(_) => (32, 96u32),
        IpAddr::V6(_) => (128, 0),
    };
    let mask = (prefix <= longest).then(|| prefix.saturating_add(before))?;
    Some((masked(bits(address), mask), mask))
}

#[inline(never)]
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn masked(address: u128, prefix: u32) -> u128 {
    let kept = 128u32.saturating_sub(prefix);
    u128::MAX.checked_shl(kept).unwrap_or(0) & address
}

#[cfg(test)]
mod tests {
    use super::super::checksum::luhn;
    use super::*;

    #[test]
    fn published_test_cards_have_valid_check_digits() {
        for card in TEST_CARD_NUMBERS {
            assert!(luhn(card.as_bytes()), "{card}");
        }
        let cards = AllowList::new(known(TEST_CARDS).unwrap().iter().copied());
        assert!(cards.has("4111 1111 1111 1111") && cards.has("4111-1111-1111-1111"));
        assert!(!cards.has("4111 1111 1111 1112"));
    }

    #[test]
    fn a_host_stands_for_its_addresses_and_a_star_for_those_below() {
        let list = AllowList::new(["Example.com", "*.example.org", "bob@example.net"]);
        for value in [
            "ann@example.com",
            "ANN@EXAMPLE.COM",
            "https://example.com/x?y=1",
            "postgres://u:p@example.com:5432/db",
            "ann@mail.example.org",
            "ann@a.b.example.org",
            "Bob@Example.net",
            "example.com",
        ] {
            assert!(list.has(value), "{value}");
        }
        for value in [
            "ann@example.org",
            "ann@notexample.com",
            "ann@example.com.evil.org",
            "https://evil.org/?x=@example.com",
            "https://example.com@evil.org/",
            "ann@example.net",
            "ann",
        ] {
            assert!(!list.has(value), "{value}");
        }
    }

    #[test]
    fn a_network_stands_for_its_addresses() {
        let list = AllowList::new(["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]);
        for value in ["10.1.2.3", "2001:db8:1::5", "192.0.2.7"] {
            assert!(list.has(value), "{value}");
        }
        for value in ["11.1.2.3", "2001:db9::1", "192.0.2.8"] {
            assert!(!list.has(value), "{value}");
        }
        assert!(AllowList::new(["0.0.0.0/0"]).has("8.8.8.8"));
        assert!(!AllowList::new(["0.0.0.0/0"]).has("2001:db8::1"));
    }

    #[test]
    fn separators_and_case_do_not_matter_in_numbers() {
        let list = AllowList::new(["DE89 3704 0044 0532 0130 00", "token_a-1"]);
        assert!(list.has("de89370400440532013000"));
        assert!(list.has("TOKEN_A-1"));
        assert!(!list.has("token_a1"));
    }

    #[test]
    fn an_empty_entry_allows_nothing() {
        let list = AllowList::new(["", " ", "\u{200B}"]);
        assert!(list.is_empty() && !list.has(""));
    }
}
