//! Hosts in a text: of mail addresses, of URLs, alone, and several in one text.

use super::idna::{ascii_name, mapped};
use super::ip::{Numeric, ipv4, ipv6};
use super::{mail, url};
use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Host that a client would connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// Name as DNS compares it.
    Name(String),
    /// One label alone, without any sign that it is a host: `localhost`, or any other word.
    Word(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

/// Visitor of the hosts of a text; `None`: a part of the text is unreadable as a host.
pub(super) type HostVisitor<'f> = &'f mut dyn FnMut(Option<Host>);

/// Maximum bytes of a text: room for about ten thousand addresses.
const MAX_BYTES: usize = 512 << 10;

/// Calls `found` with every host in a text; at least once.
pub(super) fn hosts(text: &str, found: HostVisitor<'_>) {
    if text.len() > MAX_BYTES {
        return found(None);
    }
    // URL Standard §4.4 strips controls and spaces around a URL.
    let text = text.trim_matches(|c: char| c.is_whitespace() || c <= ' ');
    let any = Cell::new(false);
    let mut found = |host| {
        any.set(true);
        found(host);
    };
    across_lines(text, &mut found);
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|'));
        if rest.is_empty() {
            break;
        }
        let is_url = url::begins(rest);
        let length = if is_url {
            url::length(rest)
        } else {
            mail::item_length(rest)
        };
        // An item is never empty, so that every iteration makes progress.
        let Some((item, after)) = rest.split_at_checked(length.max(1)) else {
            found(None);
            break;
        };
        if is_url {
            url::read(item, &mut found);
        } else if mail::is_address(item) {
            mail::read_item(item, &mut found);
        } else {
            words(item, &mut found);
        }
        rest = after;
    }
    if !any.get() {
        found(None);
    }
}

/// Reads a URL with tabs or line ends inside without them (URL Standard §4.4). If a later line is a URL itself, the text is
/// a list instead.
fn across_lines(text: &str, found: HostVisitor<'_>) {
    if !text.contains(['\t', '\n', '\r']) || !url::begins(&without_breaks(text)) {
        return;
    }
    let is_list = text
        .split(['\t', '\n', '\r'])
        .skip(1)
        .any(|line| url::begins(line.trim_start()));
    if !is_list {
        let joined = without_breaks(text);
        let length = url::length(&joined);
        url::read(joined.get(..length).unwrap_or(&joined), found);
    }
}

fn without_breaks(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], "")
}

/// Reads an item without an address: one host, or several words that are URLs or have a dot. Other words are unreadable.
fn words(item: &str, found: HostVisitor<'_>) {
    let mut words = item.split_whitespace();
    if let (Some(word), None) = (words.next(), words.next()) {
        return bare(word, found);
    }
    for word in item.split_whitespace() {
        let inner = word
            .strip_prefix('<')
            .and_then(|word| word.strip_suffix('>'))
            .unwrap_or(word);
        if url::begins(inner) || inner.contains('.') {
            bare(inner, found);
        } else {
            found(None);
        }
    }
}

/// Reads a URL, or a host alone, with or without port and path.
pub(super) fn bare(word: &str, found: HostVisitor<'_>) {
    let word = word
        .strip_prefix('<')
        .and_then(|word| word.strip_suffix('>'))
        .unwrap_or(word);
    if url::begins(word) {
        return url::read(word, found);
    }
    if word.starts_with('[') {
        return bracketed(word, found);
    }
    let end = word.find(['/', '\\', '?', '#']).unwrap_or(word.len());
    let host_and_port = word.get(..end).unwrap_or_default();
    if let Some(address) = ipv6(host_and_port) {
        let is_network = end < word.len();
        return found((!is_network).then_some(Host::V6(address)));
    }
    let (host, port) = match host_and_port.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host_and_port, None),
    };
    if port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_err()) {
        return found(None);
    }
    // `10.0.0.0/8` is a network, not a host with a path.
    let is_network = word
        .get(end..)
        .and_then(|path| path.strip_prefix('/'))
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    if is_network && !matches!(ipv4(host), Numeric::No) {
        return found(None);
    }
    let is_word = port.is_none() && end == word.len() && !host.trim_end_matches('.').contains('.');
    if is_word {
        let one = ascii_name(host).filter(|name| !name.contains('.'));
        found(one.map(Host::Word));
    } else {
        named(host, found);
    }
}

/// Reads `[2001:db8::1]:443/path`.
pub(super) fn bracketed(text: &str, found: HostVisitor<'_>) {
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.split_once(']'))
        .filter(|(_, after)| after.is_empty() || after.starts_with([':', '/', '\\', '?', '#']));
    let address = inside.and_then(|(address, _)| ipv6(address));
    found(address.map(Host::V6));
}

/// Reads a host without port: an IPv4 address in any form, or a name.
#[inline(never)]
pub(super) fn named(host: &str, found: HostVisitor<'_>) {
    match mapped(host).map(|host| ipv4(&host)) {
        Some(Numeric::Yes(address, other)) => {
            found(Some(Host::V4(address)));
            if let Some(other) = other {
                found(Some(Host::V4(other)));
            }
        }
        Some(Numeric::No) => found(ascii_name(host).map(Host::Name)),
        Some(Numeric::Broken) | None => found(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns the hosts in short form: names as they are, words in quotes, `?` for an unreadable part.
    fn read(text: &str) -> String {
        let mut all = Vec::new();
        hosts(text, &mut |host| {
            all.push(match host {
                Some(Host::Name(name)) => name,
                Some(Host::Word(word)) => format!("'{word}'"),
                Some(Host::V4(address)) => address.to_string(),
                Some(Host::V6(address)) => format!("[{address}]"),
                None => "?".to_owned(),
            });
        });
        all.join(" ")
    }

    #[test]
    fn an_address_is_delivered_to_its_domain() {
        for (text, hosts, why) in [
            ("bob@x.com", "x.com", "plain"),
            ("Bob <bob@X.com.>", "x.com", "display name, case, final dot"),
            ("bob+tag@x.com", "x.com", "tags stay with the local part"),
            ("\"a b\"@evil.com", "evil.com", "quoted local part"),
            ("\"Doe, John\" <j@x.com>", "x.com", "comma in a quoted name"),
            (
                "bob(at good.com)@evil.com(ha @ Acme)",
                "evil.com",
                "comments",
            ),
            (
                "bob@(good.com)evil.com",
                "evil.com",
                "comment before the domain",
            ),
            ("bob @ evil.com", "evil.com", "white space around the sign"),
            ("bob@evil . com", "evil.com", "white space around the dot"),
            (
                "\"x\\\" good.com\" <eve@evil.com>",
                "evil.com",
                "escaped quote in a name",
            ),
            ("friends: a@x.com, b@y.com;", "x.com y.com", "group"),
            ("root@[10.0.0.1]", "10.0.0.1", "address literal"),
            (
                "root@[IPv6:2001:db8::1]",
                "[2001:db8::1]",
                "address literal",
            ),
            (
                "git@github.com:org/repository.git",
                "github.com",
                "as ssh reads it",
            ),
            ("bob@bücher.example", "xn--bcher-kva.example", "U-label"),
            ("@x.com", "x.com", "no local part"),
            (
                "bob@localhost",
                "localhost",
                "one label, and the sign says that it is a host",
            ),
        ] {
            assert_eq!(read(text), hosts, "{text}: {why}");
        }
    }

    #[test]
    fn where_mail_servers_differ_every_reading_counts() {
        for (text, hosts, why) in [
            ("a@b.com@c.com", "b.com c.com ?", "two signs"),
            (
                "user%evil.com@relay.com",
                "evil.com relay.com",
                "percent hack",
            ),
            ("evil.com!user@relay.com", "evil.com relay.com", "bang path"),
            (
                "<@evil.com,@b.com:c@d.com>",
                "evil.com, b.com d.com",
                "source route",
            ),
            (
                "bob@good.com <eve@evil.com>",
                "evil.com good.com",
                "address as display name",
            ),
            (
                "Bob <a@x.com> Eve <b@y.com>",
                "x.com y.com",
                "two without a comma",
            ),
            (
                "=?utf-8?q?a=40evil.com=3e=00?=foo@good.com",
                "? good.com",
                "encoded word in an address",
            ),
            ("eve＠evil.com@good.com", "? good.com", "a wide sign"),
            (
                "eve＠evil.com <bob@good.com>",
                "? good.com",
                "a wide sign in a name",
            ),
            ("Bob <bob@x.com", "? x.com", "open angle bracket"),
            ("\"bob@x.com", "? x.com", "open quote"),
            (
                "\"a@good.com\"@evil.com",
                "evil.com good.com",
                "quoted local part",
            ),
            (
                "bob(at @good.com)@evil.com(ha)",
                "evil.com good.com",
                "comments",
            ),
            (
                "\"x\\\"@good.com\" <eve@evil.com>",
                "evil.com good.com",
                "address in a quoted name",
            ),
            ("(a@x.com)", "? x.com", "nothing but a comment"),
            (
                "\"x\r\nBcc: a@evil.com\r\n\" <bob@x.com>",
                "? evil.com x.com",
                "a header in a quoted name",
            ),
            (
                "bob(\r\nBcc: Eve)@x.com",
                "? x.com",
                "a header in a comment",
            ),
            (
                "<bob@x.com evil.com>",
                "? x.com",
                "Python joins both words of a domain",
            ),
            ("<bob@x.com,evil.com>", "? x.com", "a domain with a comma"),
            (
                "bob@x.com?bcc=a%40evil.com",
                "? x.com",
                "fields behind `mailto:`",
            ),
            ("bob@x.com#a", "? x.com", "a fragment"),
            ("bob@x.com (see", "? x.com", "open comment"),
            (
                "<a@x.com<b@y.com>>",
                "? x.com y.com",
                "nested angle brackets",
            ),
            ("Bob bob@x.com", "? x.com", "a word that is nothing"),
            (
                "git@good.com:x@evil.com",
                "good.com evil.com ?",
                "path or second address",
            ),
        ] {
            let expected = hosts.replace(',', "");
            let read = read(text);
            let mut sorted: Vec<&str> = read.split(' ').collect();
            let mut wanted: Vec<&str> = expected.split(' ').collect();
            sorted.sort_unstable();
            sorted.dedup();
            wanted.sort_unstable();
            assert_eq!(sorted, wanted, "{text}: {why}");
        }
    }

    #[test]
    fn several_in_one_text_are_all_found() {
        for text in [
            "a@x.com,b@y.com",
            "a@x.com; b@y.com",
            "a@x.com\nb@y.com\n",
            "a@x.com\r\nb@y.com",
            "A <a@x.com>, \"B, C\" <b@y.com>",
            "a@x.com b@y.com",
            "https://x.com/ https://y.com/",
            "https://x.com,https://y.com",
            "https://x.com/a,b;c,https://y.com/",
            "https://x.com\nhttps://y.com",
            "https://x.com/p;b@y.com",
            "x.com, y.com",
            "x.com y.com",
            "https://x.com|https://y.com",
            "mailto:a@x.com,b@y.com",
            "mailto:a%40x.com?subject=Hi%20there&cc=b@y.com&body=z%40z.com",
            ",, a@x.com ,; b@y.com",
        ] {
            assert_eq!(read(text), "x.com y.com", "{text:?}");
        }
    }

    #[test]
    fn a_url_names_the_host_that_a_browser_goes_to() {
        for (url, hosts, why) in [
            ("https://x.com", "x.com", "plain"),
            ("HTTPS://X.com.:443/a?b#c", "x.com", "case, final dot, port"),
            ("https://good.com@evil.com/", "evil.com", "userinfo"),
            (
                "https://good.com:pw@evil.com",
                "evil.com",
                "userinfo with a password",
            ),
            (
                "https://a@good.com@evil.com/",
                "evil.com",
                "the last sign ends the userinfo",
            ),
            (
                "https://evil.com#@good.com",
                "evil.com good.com",
                "fragment; an address to a mailer",
            ),
            ("https://evil.com?x", "evil.com", "query without a path"),
            (
                "https:\\\\evil.com\\x",
                "evil.com",
                "backslashes are slashes",
            ),
            ("https:/evil.com/x", "evil.com", "one slash"),
            ("https:evil.com", "evil.com", "no slash"),
            ("https:////evil.com", "evil.com", "many slashes"),
            ("//evil.com/x", "evil.com", "no scheme"),
            ("/\\evil.com", "evil.com", "no scheme, mixed slashes"),
            (
                "\\\\evil.com\\share",
                "evil.com",
                "as Windows writes a server",
            ),
            ("https://ev\til.com", "evil.com ev 'il.com'", "tab inside"),
            ("https://%65vil.com", "evil.com", "percent-encoded host"),
            (
                "https://%2565vil.com",
                "?",
                "encoded twice: no client decodes it",
            ),
            ("https://ｅｖｉｌ。com", "evil.com", "full-width letters"),
            ("https://[::1]:8080/x", "[::1]", "IPv6"),
            ("https://[fe80::1%25eth0]/", "[fe80::1]", "zone"),
            ("http://2130706433/", "127.0.0.1", "decimal"),
            ("http://0x7f.1/", "127.0.0.1", "hexadecimal and short"),
            ("ssh://git@x.com:22/r.git", "x.com", "another scheme"),
            ("git+ssh://x.com/r", "x.com", "plus in a scheme"),
            ("postgres://u:p@x.com:5432/db", "x.com", "another scheme"),
            ("file://x.com/share", "x.com", "a file on a server"),
            ("https://x.com/a,b;c", "x.com", "separators inside a path"),
            ("https://x.com/@bob", "x.com", "a name in a path, no domain"),
            (
                "https://unpkg.com/react@18.2.0",
                "unpkg.com",
                "a version is no domain",
            ),
            ("  https://x.com\n", "x.com", "white space around"),
        ] {
            let expected = hosts.replace('\'', "");
            assert_eq!(read(url), expected, "{url:?}: {why}");
        }
    }

    #[test]
    fn where_readers_of_urls_differ_both_hosts_count() {
        for (url, hosts) in [
            ("https://good.com\\@evil.com", "good.com evil.com evil.com"),
            ("https://evil.com\\@good.com/x", "evil.com good.com"),
            ("https://good.com\\.evil.com/", "good.com ?"),
            ("https://good.com/@evil.com", "good.com evil.com"),
            ("https://good.com/?to=bob@evil.com", "good.com evil.com"),
            ("https://good.com/x@evil.com(c)", "good.com evil.com"),
            ("https://good.com/x@evil.com;", "good.com evil.com"),
            ("https://good.com/x@evil.com,", "good.com evil.com"),
            ("https://good.com/x@evil.com:25", "good.com evil.com"),
            ("https://good.com/x@evil。com", "good.com evil.com"),
            (
                "https://good.com/x@evil.com@good.com",
                "good.com evil.com good.com",
            ),
            ("https://good.com/x@[10.0.0.1]", "good.com ?"),
            ("https://evil.com／@good.com/", "? good.com"),
            ("https://evil.com＃@good.com/", "? good.com"),
            ("https://good.com/@bob/x.html", "good.com"),
            ("https://good.com/@48.85,2.35,15z", "good.com"),
            ("https://good.com/react@18.2.0/x.js", "good.com"),
        ] {
            assert_eq!(read(url), hosts, "{url}");
        }
    }

    #[test]
    fn a_host_alone_may_have_port_and_path() {
        for (text, hosts) in [
            ("x.com", "x.com"),
            ("x.com:8443", "x.com"),
            ("x.com/path", "x.com"),
            ("x.com/a@b", "x.com b"),
            ("localhost", "'localhost'"),
            ("localhost:8080", "localhost"),
            ("localhost/x", "localhost"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("::1", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(read(text), hosts, "{text}");
        }
    }

    #[test]
    fn where_no_host_stands_nothing_can_be_read() {
        for (text, why) in [
            ("", "empty"),
            (" \n\t", "white space"),
            (",;", "separators"),
            ("https://", "no host"),
            ("https:///", "no host"),
            ("http://user@/", "no host behind the userinfo"),
            ("/etc/passwd", "a path"),
            ("data:text/html,x", "no host in this scheme"),
            ("javascript:alert(1)", "no host in this scheme"),
            ("file:///etc/passwd", "no host in this file"),
            ("tel:+123", "no host in this scheme"),
            ("https://a..b/", "empty label"),
            ("https://x.com:99999/", "no port"),
            ("https://x.com:8a/", "no port"),
            ("http://1.2.3.4.5/", "ends in a number"),
            ("https://[::1", "open bracket"),
            ("https://[1.2.3.4]/", "no IPv6"),
            ("friends:;", "empty group"),
            ("x.com:", "port missing"),
            ("10.0.0.0/8", "a network"),
            ("2001:db8::/32", "a network"),
        ] {
            assert!(read(text).contains('?'), "{text:?}: {why}");
        }
        assert_eq!(read("hello there"), "? ?", "prose");
    }

    #[test]
    fn addresses_in_an_item_are_counted() {
        for (item, count) in [
            ("a@x.com", 1),
            ("Bob <a@x.com>", 1),
            ("a@x.com <b@x.com>", 1),
            ("<a@x.com> <b@x.com>", 2),
            ("a@x.com b@x.com", 2),
            ("\"a@x.com\"", 0),
            ("(a@x.com, b@x.com)", 0),
            ("nobody", 0),
        ] {
            assert_eq!(mail::address_count(item), count, "{item}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_and_something_is_always_said(text in "\\PC{0,60}") {
            prop_assert!(!read(&text).is_empty());
        }

        #[test]
        fn nor_one_made_of_marks(text in "[a.@:/\\\\<>()\"%,;? \\[\\]!=#\n\t]{0,40}") {
            prop_assert!(!read(&text).is_empty());
        }

        #[test]
        fn spellings_of_an_address_are_delivered_to_one_domain(
            local in "[a-z0-9+]{1,5}(\\.[a-z0-9+]{1,4}){0,2}", domain in "[a-z]{1,8}(\\.[a-z]{2,5}){1,2}",
            name in "[A-Za-z]{0,8}", comment in "[a-z ]{0,5}",
        ) {
            for text in [
                format!("{local}@{domain}"),
                format!("{name} <{local}@{domain}>"),
                format!("<{local}@{domain}.>"),
                format!("({comment}){local}@{}", domain.to_uppercase()),
                format!("\"{local}\"@{domain}"),
                // A single word could be the scheme of a URL (`ws:`), and is then read as one, too.
                format!("all {name}: {local}@{domain};"),
                format!("mailto:{local}@{domain}"),
                format!("  {local} @ {domain}\n"),
            ] {
                prop_assert_eq!(read(&text), domain.clone(), "{}", text);
            }
        }

        #[test]
        fn spellings_of_a_url_go_to_one_host(
            domain in "[a-z]{1,8}(\\.[a-z]{2,5}){1,2}", path in "[a-z/]{0,8}", port in 1u16..,
        ) {
            for text in [
                format!("https://{domain}/{path}"),
                format!("HTTPS:\\\\{domain}/{path}"),
                format!("https:{domain}"),
                format!("//{domain}:{port}/{path}"),
                format!("https://a:b@{}./{path}", domain.to_uppercase()),
                format!("https://good.example@{domain}?{path}"),
                format!(" ftp://{domain}#{path} "),
                domain.bytes().fold("https://".to_owned(), |url, b| format!("{url}%{b:02x}")),
            ] {
                prop_assert_eq!(read(&text), domain.clone(), "{}", text);
            }
        }
    }
}
