//! Operator `cidr_in`: tests the addresses in a text, in any form, against networks.
//!
//! Addresses are read in every form of [`super::ip`], in brackets, with port or zone, as hosts of URLs and of mail
//! addresses, several in one text (`X-Forwarded-For`). A network in a text (`10.0.0.0/8`) matches if it is entirely within
//! a listed one. An IPv4-mapped IPv6 address is its IPv4 address. One that contains an IPv4 address otherwise (NAT64, 6to4,
//! Teredo, …) is two values, itself and the contained address, since packets may go to either. So are `0.0.0.0` and `::`: a
//! connection to them goes to the machine itself, `127.0.0.1` and `::1`. Zones are ignored.
//!
//! A name is unreadable, because it would take DNS to resolve it; this includes `localhost`.

use super::host::{Host, hosts};
use super::ip::{Numeric, ends, ipv4, ipv6};
use super::{OperandError, TestResult};
use crate::wire::work;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Work steps for comparing an address with a network.
const COMPARED: usize = 2;

/// Networks to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Networks {
    networks: Vec<Network>,
}

/// Network of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    V4 { bits: u32, prefix: u32 },
    V6 { bits: u128, prefix: u32 },
}

fn mask_v4(prefix: u32) -> u32 {
    let host_bits = 32u32.saturating_sub(prefix);
    u32::MAX.checked_shl(host_bits).unwrap_or(0)
}

fn mask_v6(prefix: u32) -> u128 {
    let host_bits = 128u32.saturating_sub(prefix);
    u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

impl Network {
    /// Returns the network of one address.
    fn of(address: IpAddr) -> Network {
        match ends(address).0 {
            IpAddr::V4(address) => Network::V4 {
                bits: address.to_bits(),
                prefix: 32,
            },
            IpAddr::V6(address) => Network::V6 {
                bits: address.to_bits(),
                prefix: 128,
            },
        }
    }

    /// Parses `address/prefix`. Bits after the prefix are kept.
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let number = match prefix {
            None => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse::<u32>().ok()?)
            }
            Some(_) => return None,
        };
        if let Ok(address) = address.parse::<Ipv4Addr>() {
            let prefix = number.unwrap_or(32);
            return (prefix <= 32).then(|| Network::V4 {
                bits: address.to_bits(),
                prefix,
            });
        }
        let address: Ipv6Addr = address.parse().ok()?;
        let prefix = number.unwrap_or(128);
        match (address.to_ipv4_mapped(), prefix.checked_sub(96)) {
            // A network of mapped addresses is an IPv4 network.
            (Some(v4), Some(prefix)) if prefix <= 32 => Some(Network::V4 {
                bits: v4.to_bits(),
                prefix,
            }),
            _ => (prefix <= 128).then(|| Network::V6 {
                bits: address.to_bits(),
                prefix,
            }),
        }
    }

    /// Returns the network without the bits after its prefix.
    fn masked(self) -> Network {
        match self {
            Network::V4 { bits, prefix } => Network::V4 {
                bits: bits & mask_v4(prefix),
                prefix,
            },
            Network::V6 { bits, prefix } => Network::V6 {
                bits: bits & mask_v6(prefix),
                prefix,
            },
        }
    }

    /// Returns whether this network is entirely within another one (`Holds`), not at all (`Fails`), or in part
    /// (`Unreadable`).
    fn within(self, other: Network) -> TestResult {
        let (differs, narrower) = match (self, other) {
            (
                Network::V4 { bits, prefix },
                Network::V4 {
                    bits: other,
                    prefix: wide,
                },
            ) => (
                (bits ^ other) & mask_v4(prefix.min(wide)) != 0,
                prefix >= wide,
            ),
            (
                Network::V6 { bits, prefix },
                Network::V6 {
                    bits: other,
                    prefix: wide,
                },
            ) => (
                (bits ^ other) & mask_v6(prefix.min(wide)) != 0,
                prefix >= wide,
            ),
            _ => (true, false),
        };
        match (differs, narrower) {
            (true, _) => TestResult::Fails,
            (false, true) => TestResult::Holds,
            (false, false) => TestResult::Unreadable,
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Network::V4 { bits, prefix } => write!(f, "{}/{prefix}", Ipv4Addr::from_bits(*bits)),
            Network::V6 { bits, prefix } => write!(f, "{}/{prefix}", Ipv6Addr::from_bits(*bits)),
        }
    }
}

impl Networks {
    /// Parses the entries of a list.
    pub(crate) fn parse(entries: &[Box<str>]) -> Result<Networks, OperandError> {
        let mut networks = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let Some(network) = Network::parse(entry) else {
                return Err(OperandError::new(
                    at,
                    format!("`{entry}` is no network"),
                    "write for example `10.0.0.0/8`, `192.0.2.7` or `2001:db8::/32`",
                ));
            };
            if network.masked() != network {
                return Err(OperandError::new(
                    at,
                    format!("`{entry}` has bits behind its prefix"),
                    format!("the network is `{}`", network.masked()),
                ));
            }
            networks.push(network);
        }
        Ok(Networks { networks })
    }

    /// Returns whether no address is in them.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Returns whether an address is in one of the networks.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.compare(Network::of(address)) == TestResult::Holds
    }

    /// Evaluates each address in a text.
    pub(crate) fn evaluate(&self, text: &str, report: &mut dyn FnMut(TestResult)) {
        // The text may be a list of networks, and of addresses in the plain form.
        let items = text.split([',', ';', ' ', '\t', '\n', '\r']);
        let networks: Option<Vec<Network>> = items
            .filter(|item| !item.is_empty())
            .map(Network::parse)
            .collect();
        if let Some(networks) = networks.filter(|_| text.contains('/')) {
            for network in networks {
                match network {
                    Network::V4 { bits, prefix: 32 } => {
                        self.address(Ipv4Addr::from_bits(bits).into(), report);
                    }
                    Network::V6 { bits, prefix: 128 } => {
                        self.address(Ipv6Addr::from_bits(bits).into(), report);
                    }
                    network => report(self.compare(network.masked())),
                }
            }
            return;
        }
        hosts(text, &mut |host| match host {
            Some(Host::V4(address)) => self.address(IpAddr::V4(address), report),
            Some(Host::V6(address)) => self.address(IpAddr::V6(address), report),
            // A number alone is an address to a client that expects one.
            Some(Host::Word(word)) => match (ipv4(&word), ipv6(&word)) {
                (Numeric::Yes(address, other), _) => {
                    for address in std::iter::once(address).chain(other) {
                        self.address(IpAddr::V4(address), report);
                    }
                }
                (_, Some(address)) => self.address(IpAddr::V6(address), report),
                _ => report(TestResult::Unreadable),
            },
            Some(Host::Name(_)) | None => report(TestResult::Unreadable),
        });
    }

    fn address(&self, address: IpAddr, report: &mut dyn FnMut(TestResult)) {
        let (itself, carried) = ends(address);
        report(self.compare(Network::of(itself)));
        if itself.is_unspecified() {
            let own = match itself {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            };
            report(self.compare(Network::of(own)));
        }
        if let Some(carried) = carried {
            report(self.compare(Network::of(IpAddr::V4(carried))));
        }
    }

    fn compare(&self, network: Network) -> TestResult {
        work::spend(self.networks.len().saturating_mul(COMPARED));
        if work::is_exhausted() {
            return TestResult::Unreadable;
        }
        let mut all = TestResult::Fails;
        for other in &self.networks {
            match network.within(*other) {
                TestResult::Holds => return TestResult::Holds,
                TestResult::Unreadable => all = TestResult::Unreadable,
                TestResult::Fails => {}
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns `in`, `out` or `?` for each address.
    fn read(list: &[&str], text: &str) -> String {
        let list: Vec<Box<str>> = list.iter().map(|entry| (*entry).into()).collect();
        let mut words = Vec::new();
        Networks::parse(&list)
            .unwrap()
            .evaluate(text, &mut |result| {
                words.push(match result {
                    TestResult::Holds => "in",
                    TestResult::Fails => "out",
                    TestResult::Unreadable => "?",
                });
            });
        words.join(" ")
    }

    #[test]
    fn an_address_is_found_in_every_form() {
        for text in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "127.0.0.1:8080",
            "[::ffff:127.0.0.1]:80",
            "::ffff:7f00:1",
            "::FFFF:127.0.0.1%eth0",
            "http://127.0.0.1/x",
            "http://good.com@127.0.0.1/",
            "http:\\\\127.1\\x",
            "http://2130706433",
            "http://0x7f.1:80/?x",
            "http://１２７.0.0.1/",
            "http://127。0。0。1/",
            "http://%31%32%37.0.0.1/",
            "http://[::ffff:7f00:1]/",
            "root@127.0.0.1",
            "root@[127.0.0.1]",
            "127.0.0.1/",
            "127.0.0.1/32",
            " 127.0.0.1\n",
        ] {
            let found = read(&["127.0.0.0/8"], text);
            // Some clients read the octal form as decimal.
            let expected = if text.starts_with("0177") {
                "in out"
            } else {
                "in"
            };
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn each_address_of_a_text_is_judged() {
        for (text, expected, why) in [
            ("10.1.2.3, 192.0.2.1", "in out", "a list"),
            ("10.1.2.3 10.4.5.6", "in in", "separated by spaces"),
            ("2001:db8::1", "in", "IPv6"),
            ("2001:DB8:0:0:0:0:0:1", "in", "without abbreviation"),
            ("[2001:db8::1]:443", "in", "brackets and port"),
            ("2001:db9::1", "out", "another network"),
            ("010.0.0.1", "out in", "octal, or decimal"),
            ("64:ff9b::10.0.0.1", "out in", "NAT64"),
            ("2002:0a00:0001::", "out in", "6to4"),
            ("::10.0.0.1", "out in", "IPv4-compatible"),
            ("10.0.0.0/16", "in", "a network inside"),
            ("10.0.0.0/7", "?", "a network that reaches beyond"),
            ("0.0.0.0/0", "?", "all there is"),
            ("11.0.0.0/8", "out", "a network outside"),
            ("10.9.9.9/8", "in", "an address with its network"),
            ("10.0.0.0/33", "?", "a prefix that is none"),
            (
                "10.0.0.0/16, 11.0.0.0/8; 10.1.2.3",
                "in out in",
                "networks and an address",
            ),
            (
                "10.0.0.0/7, 127.1",
                "? out",
                "a network and an address in another form",
            ),
            ("10.0.0.1/x", "in", "an address and a path"),
            (
                "64:ff9b::10.0.0.1/128",
                "out in",
                "a network of one address, which contains another",
            ),
            (
                "11.0.0.0/8, 64:ff9b::10.0.0.1, 10.1.2.3/32",
                "out out in in",
                "an address beside a network",
            ),
        ] {
            assert_eq!(
                read(&["10.0.0.0/8", "2001:db8::/32"], text),
                expected,
                "{text}: {why}"
            );
        }
    }

    #[test]
    fn a_name_can_not_be_read() {
        for (text, why) in [
            ("", "empty"),
            ("example.com", "only DNS could tell"),
            ("localhost", "only a resolver could tell"),
            ("http://metadata.google.internal/", "only DNS could tell"),
            ("1.2.3.4.5", "too many parts"),
            ("256.0.0.1", "too large"),
            ("[::1", "open bracket"),
            ("10.0.0.1-10.0.0.9", "a range"),
        ] {
            assert_eq!(read(&["10.0.0.0/8"], text), "?", "{text:?}: {why}");
        }
    }

    #[test]
    fn networks_of_mapped_addresses_are_networks_of_ipv4() {
        assert_eq!(read(&["::ffff:10.0.0.0/104"], "10.1.1.1"), "in");
        assert_eq!(read(&["::ffff:0:0/96"], "192.0.2.1"), "in");
        assert_eq!(read(&["::/0"], "2001:db8::1"), "in");
        assert_eq!(read(&["::/0"], "192.0.2.1"), "out");
        assert_eq!(read(&["0.0.0.0/0"], "192.0.2.1"), "in");
    }

    #[test]
    fn an_entry_that_is_no_network_says_what_is_wrong() {
        for (entry, message) in [
            ("10.0.0.0/33", "`10.0.0.0/33` is no network"),
            ("10.0.0/8", "`10.0.0/8` is no network"),
            ("010.0.0.0/8", "`010.0.0.0/8` is no network"),
            ("10.0.0.0/", "`10.0.0.0/` is no network"),
            ("10.0.0.0/+8", "`10.0.0.0/+8` is no network"),
            ("10.0.0.0/255.0.0.0", "`10.0.0.0/255.0.0.0` is no network"),
            ("example.com", "`example.com` is no network"),
            ("2001:db8::/129", "`2001:db8::/129` is no network"),
            ("10.0.0.1/8", "`10.0.0.1/8` has bits behind its prefix"),
        ] {
            let error = Networks::parse(&["::/0".into(), entry.into()]).unwrap_err();
            assert_eq!((error.at, &*error.message), (1, message));
        }
        let error = Networks::parse(&["10.1.2.3/8".into()]).unwrap_err();
        assert_eq!(error.help, "the network is `10.0.0.0/8`");
    }

    proptest! {
        #[test]
        fn an_address_lies_in_each_of_its_networks(bits: u32, prefix in 0u32..=32) {
            let address = Ipv4Addr::from_bits(bits);
            let network = Network::V4 { bits, prefix }.masked().to_string();
            prop_assert_eq!(read(&[&network], &address.to_string()), "in");
            prop_assert_eq!(read(&[&network], &format!("[::ffff:{address}]:1")), "in");
        }

        #[test]
        fn no_text_is_too_odd(text in "[0-9a-fx.:/%\\[\\]@, ]{0,40}") {
            prop_assert!(!read(&["10.0.0.0/8"], &text).is_empty());
        }
    }
}
