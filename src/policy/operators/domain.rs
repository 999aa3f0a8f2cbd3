//! Operators `domain_in` and `domain_not_in`: test every mail address, URL or host in a text, by the rules of DNS.
//!
//! An entry `example.com` is only that host; `*.example.com` is every host below it, but not the host itself. A list may
//! also contain addresses. Each host of a text is a separate value. So, among several hosts, one that does not match is
//! noticed on the deny side, and prevents a match on the allow side. A word without a dot (`localhost`) counts as a host
//! only if the list contains it; otherwise it may be any word.
//!
//! Not inspected: DNS records, redirects, and hosts in the query of a URL unless they are at its end like the domain of an
//! address.

use super::host::{Host, hosts};
use super::idna::ascii_name;
use super::ip::{Numeric, ends, ipv4, ipv6};
use super::{OperandError, TestResult};
use crate::wire::sorted_map::SortedSet;
use std::net::IpAddr;

/// Domains to compare with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Domains {
    names: SortedSet<Box<str>>,
    /// Names whose sub-domains match.
    above: SortedSet<Box<str>>,
    addresses: SortedSet<IpAddr>,
    negative: bool,
}

impl Domains {
    /// Parses the entries of a list.
    pub(crate) fn parse(entries: &[Box<str>], negative: bool) -> Result<Domains, OperandError> {
        let mut domains = Domains {
            negative,
            ..Domains::default()
        };
        for (at, entry) in entries.iter().enumerate() {
            domains.add(entry).ok_or_else(|| {
                OperandError::new(at, format!("`{entry}` is no domain"), help(entry))
            })?;
        }
        Ok(domains)
    }

    fn add(&mut self, entry: &str) -> Option<()> {
        let literal = entry
            .strip_prefix('[')
            .and_then(|entry| entry.strip_suffix(']'))
            .unwrap_or(entry);
        if let Some(address) = ipv6(literal) {
            self.addresses.insert(ends(IpAddr::V6(address)).0);
            return Some(());
        }
        let (name, is_above) = match entry.strip_prefix("*.") {
            Some(name) => (ascii_name(name)?, true),
            None => (ascii_name(entry)?, false),
        };
        match ipv4(&name) {
            Numeric::No if is_above => self.above.insert(name.into()),
            Numeric::No => self.names.insert(name.into()),
            Numeric::Yes(address, None) if !is_above => self.addresses.insert(IpAddr::V4(address)),
            _ => return None,
        };
        Some(())
    }

    /// Evaluates each host in a text.
    pub(crate) fn evaluate(&self, text: &str, report: &mut dyn FnMut(TestResult)) {
        hosts(text, &mut |host| report(self.host(host)));
    }

    fn host(&self, host: Option<Host>) -> TestResult {
        let is_in = match host {
            None => return TestResult::Unreadable,
            Some(Host::Word(word)) if !self.names.contains(&*word) => {
                return TestResult::Unreadable;
            }
            Some(Host::Word(_)) => true,
            Some(Host::Name(name)) => self.names.contains(&*name) || self.is_below(&name),
            Some(Host::V4(address)) => self.addresses.contains(&IpAddr::V4(address)),
            Some(Host::V6(address)) => self.addresses.contains(&ends(IpAddr::V6(address)).0),
        };
        (is_in != self.negative).into()
    }

    fn is_below(&self, name: &str) -> bool {
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            if self.above.contains(parent) {
                return true;
            }
            rest = parent;
        }
        false
    }
}

/// Returns a suggested fix for an entry that is not a domain.
fn help(entry: &str) -> String {
    let mut found = Vec::new();
    hosts(entry.trim_start_matches(['*', '.', '@']), &mut |host| {
        found.push(host)
    });
    match found.as_slice() {
        [Some(Host::Name(name))] => format!("write `{name}`, or `*.{name}` for its sub-domains"),
        _ => "write `example.com` for the host, `*.example.com` for its sub-domains".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(list: &[&str], negative: bool, text: &str) -> Vec<TestResult> {
        let list: Vec<Box<str>> = list.iter().map(|entry| (*entry).into()).collect();
        let domains = Domains::parse(&list, negative).unwrap();
        let mut all = Vec::new();
        domains.evaluate(text, &mut |result| all.push(result));
        all
    }

    fn both(list: &[&str], text: &str) -> [TestResult; 2] {
        let one = |negative| match results(list, negative, text).as_slice() {
            [only] => *only,
            several => panic!("{text}: {several:?}"),
        };
        [one(false), one(true)]
    }

    const IN: [TestResult; 2] = [TestResult::Holds, TestResult::Fails];
    const OUT: [TestResult; 2] = [TestResult::Fails, TestResult::Holds];
    const UNREADABLE: [TestResult; 2] = [TestResult::Unreadable; 2];

    #[test]
    fn an_entry_is_a_host_and_a_star_stands_for_what_is_below_it() {
        for (entry, text, expected, why) in [
            ("example.com", "bob@example.com", IN, "the host itself"),
            (
                "example.com",
                "https://EXAMPLE.com./x",
                IN,
                "case and final dot mean nothing",
            ),
            ("EXAMPLE.COM.", "example.com", IN, "in the list either"),
            (
                "example.com",
                "a.example.com",
                OUT,
                "a sub-domain is another host",
            ),
            ("*.example.com", "a.example.com", IN, "a sub-domain"),
            ("*.example.com", "a.b.example.com", IN, "further below"),
            ("*.example.com", "example.com", OUT, "not below itself"),
            ("example.com", "notexample.com", OUT, "a longer label"),
            ("*.example.com", "notexample.com", OUT, "a longer label"),
            ("example.com", "example.com.evil.com", OUT, "a prefix"),
            (
                "bücher.example",
                "xn--bcher-kva.example",
                IN,
                "U-label in the list",
            ),
            (
                "xn--bcher-kva.example",
                "x@BÜCHER.example",
                IN,
                "U-label in the text",
            ),
            (
                "apple.com",
                "аpple.com",
                OUT,
                "a Cyrillic letter is another name",
            ),
            ("localhost", "localhost", IN, "a word that the list has"),
            (
                "10.0.0.1",
                "http://0xa.1/",
                IN,
                "an address in another form",
            ),
            ("::ffff:10.0.0.1", "10.0.0.1", IN, "a mapped address"),
            (
                "[2001:db8::1]",
                "https://[2001:DB8:0::1]:8443",
                IN,
                "an IPv6 address",
            ),
            ("10.0.0.1", "10.0.0.2", OUT, "another address"),
        ] {
            assert_eq!(both(&[entry], text), expected, "{text} in {entry}: {why}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_neither_inside_nor_outside() {
        for (text, why) in [
            ("", "empty"),
            ("nobody", "a word that says nothing of a host"),
            ("https://", "no host"),
            ("e\u{AD}xample.com", "a soft hyphen, nothing to UTS #46"),
            ("http://1.2.3.4.5", "neither name nor address"),
        ] {
            assert_eq!(both(&["example.com"], text), UNREADABLE, "{text:?}: {why}");
        }
    }

    #[test]
    fn each_host_of_a_text_is_judged() {
        let of = |text| results(&["good.com"], false, text);
        assert_eq!(
            of("a@good.com, b@evil.com"),
            [TestResult::Holds, TestResult::Fails]
        );
        assert_eq!(
            of("a@good.com, b@"),
            [TestResult::Holds, TestResult::Unreadable]
        );
    }

    #[test]
    fn an_entry_that_is_no_domain_says_what_to_write() {
        for (entry, help) in [
            (
                "https://example.com/x",
                "write `example.com`, or `*.example.com` for its sub-domains",
            ),
            (
                "@example.com",
                "write `example.com`, or `*.example.com` for its sub-domains",
            ),
            (
                "*example.com",
                "write `example.com`, or `*.example.com` for its sub-domains",
            ),
            (
                ".example.com",
                "write `example.com`, or `*.example.com` for its sub-domains",
            ),
            (
                "bob@example.com",
                "write `example.com`, or `*.example.com` for its sub-domains",
            ),
            (
                "*",
                "write `example.com` for the host, `*.example.com` for its sub-domains",
            ),
            (
                "a.*.com",
                "write `example.com` for the host, `*.example.com` for its sub-domains",
            ),
            (
                "*.10.0.0.1",
                "write `example.com` for the host, `*.example.com` for its sub-domains",
            ),
        ] {
            let error = Domains::parse(&["x.com".into(), entry.into()], false).unwrap_err();
            assert_eq!((error.at, &*error.help), (1, help), "{entry}");
        }
    }

    #[test]
    fn long_texts_take_linear_time() {
        for part in [
            "a,",
            "a@b,",
            "https://a,",
            "https://a,b@c;",
            "\"",
            "(",
            "<",
            "a.",
            "@",
            "%41",
            "\t",
            "a b ",
            "//",
            "[:",
            "x@y ",
        ] {
            let text = part.repeat(100_000 / part.len());
            assert!(!results(&["*.x.com"], false, &text).is_empty(), "{part}");
        }
    }
}
