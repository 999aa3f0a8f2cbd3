//! Hosts of URLs, as a browser reads them (URL Standard).
//!
//! In a special scheme `\` is `/`, any number of slashes begins the authority, tabs and line ends are removed, and the host
//! is percent-decoded and mapped before it is tested. If a reader that follows RFC 3986 would go to another host, because
//! of a backslash in the authority, that host counts as well. So does the domain of a URL that some reader takes for a mail
//! address (`https://good.com/@evil.com`).

use super::host::{Host, HostVisitor, bracketed, named};
use super::idna::ascii_name;
use super::ip::{Numeric, ipv4};
use super::mail;

/// Schemes whose URLs a browser reads leniently.
const SPECIAL: [&str; 5] = ["http", "https", "ws", "wss", "ftp"];

/// Schemes of URLs without a host that are recognised without slashes.
const WITHOUT_HOST: [&str; 7] = ["file", "data", "javascript", "blob", "about", "tel", "urn"];

/// Splits off the scheme and its colon. Reads no further than a scheme can extend.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'))?;
    let (scheme, rest) = text.split_at_checked(end)?;
    let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let rest = rest.strip_prefix(':').filter(|_| begins)?;
    Some((scheme, rest))
}

fn is_one_of(scheme: &str, schemes: &[&str]) -> bool {
    schemes
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

fn begins_with_two_slashes(text: &str) -> bool {
    let mut chars = text.chars();
    [chars.next(), chars.next()]
        .iter()
        .all(|c| matches!(c, Some('/' | '\\')))
}

/// Returns whether a text begins like a URL, or like a reference without a scheme (`//host`).
pub(super) fn begins(text: &str) -> bool {
    match split_scheme(text) {
        Some((scheme, rest)) => {
            begins_with_two_slashes(rest)
                || is_one_of(scheme, &SPECIAL)
                || is_one_of(scheme, &WITHOUT_HOST)
                || scheme.eq_ignore_ascii_case("mailto")
        }
        None => begins_with_two_slashes(text),
    }
}

/// Returns the length of a URL: up to white space, a quote or an angle bracket, and up to `,` `;` or `|` if another URL or
/// an address follows.
pub(super) fn length(text: &str) -> usize {
    let is_stop = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"');
    let is_separator = |c: char| matches!(c, ',' | ';' | '|');
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if is_stop(c) {
            return at;
        }
        if is_separator(c) {
            let next = chars.as_str();
            let end = next.find(|c| is_stop(c) || is_separator(c));
            let next = end.and_then(|end| next.get(..end)).unwrap_or(next);
            if begins(next) || next.contains('@') {
                return at;
            }
        }
    }
    text.len()
}

/// Calls `found` with the hosts of a URL.
pub(super) fn read(url: &str, found: HostVisitor<'_>) {
    let (scheme, rest) = split_scheme(url).unwrap_or(("https", url));
    if scheme.eq_ignore_ascii_case("mailto") {
        return mailto(rest, found);
    }
    let is_special = is_one_of(scheme, &SPECIAL);
    if !is_special && (is_one_of(scheme, &WITHOUT_HOST) || !begins_with_two_slashes(rest)) {
        return without_special_host(scheme, rest, found);
    }
    let (slashes, after): (&[char], &str) = if is_special {
        let slashes: &[char] = &['/', '\\'];
        (slashes, rest.trim_start_matches(slashes))
    } else {
        (&['/'], rest.trim_start_matches(['/', '\\']))
    };
    let end = after
        .find(|c| slashes.contains(&c) || matches!(c, '?' | '#'))
        .unwrap_or(after.len());
    let (authority, behind) = after.split_at_checked(end).unwrap_or((after, ""));
    authority_host(authority, found);
    if behind.starts_with('\\') && rest.starts_with("//") {
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        authority_host(after.get(..end).unwrap_or_default(), found);
    }
    for domain in behind.split('@').skip(1) {
        as_delivered(domain, found);
    }
}

/// Finds the domain to which a mail program would deliver that takes the URL before it for a group's name and a local part:
/// `evil.com` in `https://good.com/x@evil.com`. The domain ends at a character that can't be in one. With a path after it,
/// or as a number (`react@18.2.0`), it is not a domain.
fn as_delivered(text: &str, found: HostVisitor<'_>) {
    if text.starts_with('[') {
        return found(None);
    }
    let is_end = |c: char| c.is_ascii_punctuation() && !matches!(c, '.' | '-' | '_' | '/' | '%');
    let domain = text.split(is_end).next().unwrap_or_default();
    if let Some(name) = ascii_name(domain)
        && name.contains('.')
        && ipv4(&name) == Numeric::No
    {
        found(Some(Host::Name(name)));
    }
}

/// Finds the host of `file://server/share`; `file:///etc` and all other URLs here have none.
fn without_special_host(scheme: &str, rest: &str, found: HostVisitor<'_>) {
    let rest = rest
        .strip_prefix("//")
        .filter(|_| scheme.eq_ignore_ascii_case("file"));
    let server = rest
        .and_then(|rest| rest.split(['/', '\\', '?', '#']).next())
        .filter(|server| !server.is_empty());
    match server {
        Some(server) => authority_host(server, found),
        None => found(None),
    }
}

/// Finds the host of `user:password@host:port`.
fn authority_host(authority: &str, found: HostVisitor<'_>) {
    let (user, host_and_port) = authority.rsplit_once('@').unwrap_or(("", authority));
    // A reader that folds full-width characters first ends the host at one of these: `https://evil.com／@good.com`.
    if !user.is_ascii() {
        found(None);
    }
    if host_and_port.starts_with('[') {
        return bracketed(host_and_port, found);
    }
    let (host, port) = host_and_port.split_once(':').unwrap_or((host_and_port, ""));
    let port_fits = port.bytes().all(|b| b.is_ascii_digit())
        && (port.is_empty()
            || port.trim_start_matches('0').parse::<u16>().is_ok()
            || port.bytes().all(|b| b == b'0'));
    match percent_decoded(host) {
        Some(host) if port_fits => named(&host, found),
        _ => found(None),
    }
}

/// Finds the hosts of the addresses in the path and in the fields `to`, `cc`, `bcc` (RFC 6068).
fn mailto(rest: &str, found: HostVisitor<'_>) {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let query = query.split('#').next().unwrap_or_default();
    let fields = query.split('&').filter_map(|field| {
        let (name, value) = field.split_once('=')?;
        is_one_of(name, &["to", "cc", "bcc"]).then_some(value)
    });
    for list in std::iter::once(path).chain(fields) {
        match percent_decoded(list) {
            Some(list) => mail::read_list(&list, found),
            None => found(None),
        }
    }
}

/// Returns the text decoded once. A `%` without two hexadecimal digits stays. `None` if the result is not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let hex = |digit: Option<u8>| digit.and_then(|digit| char::from(digit).to_digit(16));
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high << 4 | low).ok()?);
                bytes = ahead;
            }
            _ => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).ok()
}
