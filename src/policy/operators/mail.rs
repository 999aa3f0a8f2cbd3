//! Mail addresses (RFC 5322) as the servers that deliver to them read them.
//!
//! `Bob <bob@x.com>` is delivered to `x.com`, `"a@good.com"@evil.com` to `evil.com`; comments and display names are not
//! addresses. Where servers differ, every reading counts: all parts of `a@b@c`, both hosts of `user%evil.com@relay.com` and
//! `evil.com!user@relay.com`, an address in a display name, a quoted string or a comment, and every address of a source
//! route. Unreadable are: an open quote, comment or angle bracket, a line end inside of one of these, encoded words inside
//! of an address, and a domain followed by something other than a port or a path.

use super::host::{Host, HostVisitor, bare, named};
use super::idna::ascii_name;

/// Returns the length of the first item of a list: up to `,` `;` or a line end outside of quotes, comments and angle
/// brackets.
pub(super) fn item_length(list: &str) -> usize {
    let mut walk = AddressScanner::default();
    for (at, c) in list.char_indices() {
        if walk.is_outside() && matches!(c, ',' | ';' | '\n' | '\r') {
            return at;
        }
        walk.step(c);
    }
    list.len()
}

/// State of a scan over an item.
#[derive(Default)]
struct AddressScanner {
    quoted: bool,
    escaped: bool,
    comments: u32,
    angles: u32,
    /// Whether a bracket was closed that was not open, or opened inside of another one.
    broken: bool,
}

/// Role of a character in an item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CharRole {
    /// Part of a comment, or a bracket around one.
    Comment,
    /// Part of a quoted string, or a quote.
    Quoted,
    /// Angle bracket that opens or closes an address.
    Angle,
    /// Any other character.
    Plain,
}

impl AddressScanner {
    fn is_outside(&self) -> bool {
        !self.quoted && self.comments == 0 && self.angles == 0
    }

    fn is_open(&self) -> bool {
        !self.is_outside() || self.broken
    }

    fn step(&mut self, c: char) -> CharRole {
        if self.escaped {
            self.escaped = false;
            return if self.quoted {
                CharRole::Quoted
            } else {
                CharRole::Comment
            };
        }
        if self.quoted {
            match c {
                '\\' => self.escaped = true,
                '"' => self.quoted = false,
                _ => {}
            }
            return CharRole::Quoted;
        }
        if self.comments > 0 {
            match c {
                '\\' => self.escaped = true,
                '(' => self.comments = self.comments.saturating_add(1),
                ')' => self.comments = self.comments.saturating_sub(1),
                _ => {}
            }
            return CharRole::Comment;
        }
        match c {
            '"' => {
                self.quoted = true;
                CharRole::Quoted
            }
            '(' => {
                self.comments = 1;
                CharRole::Comment
            }
            '<' => {
                self.broken |= self.angles > 0;
                self.angles = 1;
                CharRole::Angle
            }
            '>' => {
                self.broken |= self.angles == 0;
                self.angles = 0;
                CharRole::Angle
            }
            _ => CharRole::Plain,
        }
    }
}

/// Placeholder for a quoted string, whose content does not affect where a mail is delivered.
const QUOTED: char = '"';

/// Item without comments and without the content of its quoted strings: the parts in angle brackets, and the text around
/// them.
struct AddressItem {
    around: String,
    angled: Vec<String>,
    /// Content of quotes and comments, which some readers take for an address: nodemailer before 7.0.7 delivered
    /// `"x@evil.com y"@good.com` to `evil.com`, and a search for addresses by a pattern finds them anywhere.
    aside: String,
    is_open: bool,
}

impl AddressItem {
    fn of(text: &str) -> AddressItem {
        let mut item = AddressItem {
            around: String::new(),
            angled: Vec::new(),
            aside: String::new(),
            is_open: false,
        };
        let mut walk = AddressScanner::default();
        for c in text.chars() {
            let was_quoted = walk.quoted;
            let was_angled = walk.angles > 0;
            let role = walk.step(c);
            if role == CharRole::Angle {
                if walk.angles > 0 {
                    item.angled.push(String::new());
                }
                continue;
            }
            if role != CharRole::Plain {
                item.aside.push(match c {
                    '"' | '\\' | '(' | ')' => ' ',
                    c => c,
                });
                // A header ends here, and another one may begin (`Bcc:`).
                walk.broken |= matches!(c, '\n' | '\r');
            }
            let target = match item.angled.last_mut() {
                Some(angled) if was_angled => angled,
                _ => &mut item.around,
            };
            match role {
                CharRole::Plain => target.push(c),
                CharRole::Quoted if !was_quoted => target.push(QUOTED),
                // A comment counts as white space (RFC 5322 §3.2.2).
                CharRole::Comment => target.push(' '),
                _ => {}
            }
        }
        item.is_open = walk.is_open();
        item
    }
}

/// Calls `visit` with every item of a list that is not empty.
pub(super) fn each_item(list: &str, visit: &mut dyn FnMut(&str)) {
    let mut rest = list;
    while let Some((item, after)) = rest.split_at_checked(item_length(rest)) {
        if !item.trim().is_empty() {
            visit(item);
        }
        let mut after = after.chars();
        // Skips the separator.
        if after.next().is_none() {
            return;
        }
        rest = after.as_str();
    }
}

/// Reads every address of a list.
pub(super) fn read_list(list: &str, found: HostVisitor<'_>) {
    each_item(list, &mut |item| read_item(item, found));
}

/// Returns whether an item of a list contains an address: an `@` anywhere.
pub(super) fn is_address(item: &str) -> bool {
    item.contains('@')
}

/// Returns the number of addresses in an item of a list.
pub(super) fn address_count(text: &str) -> u64 {
    let item = AddressItem::of(text);
    // Some readers split at a comma inside of angle brackets as well. In a source route the comma precedes an `@`.
    let is_address = |part: &&str| part.contains('@') && !part.trim_start().starts_with('@');
    let angled = item.angled.iter().filter(|angled| angled.contains('@'));
    let angled: usize = angled
        .map(|angled| angled.split([',', ';']).filter(is_address).count().max(1))
        .sum();
    let around = words(&item.around)
        .filter(|word| word.contains('@'))
        .count();
    // An address before an angle bracket is a name for the one inside.
    let count = match (item.is_open, angled) {
        // Readers differ in where an open part ends.
        (true, _) => text.matches('@').count(),
        (false, 0) => around,
        (false, angled) => angled,
    };
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Calls `found` with every host that one item of a list may be delivered to.
pub(super) fn read_item(text: &str, found: HostVisitor<'_>) {
    let item = AddressItem::of(text);
    // Some libraries decode encoded words (RFC 2047) inside of an address, where they are not allowed, or fold width first.
    let is_rewritten = (text.contains("=?") && text.contains("?=")) || text.contains(['＠', '﹫']);
    if item.is_open || is_rewritten {
        found(None);
    }
    for angled in &item.angled {
        if angled.contains('@') {
            addresses(angled, true, found);
        } else {
            bare(angled.trim(), found);
        }
    }
    if item.around.contains('@') {
        addresses(&item.around, item.angled.is_empty(), found);
    } else if item.angled.is_empty() {
        found(None);
    }
    if item.aside.contains('@') {
        addresses(&item.aside, false, &mut |host| match host {
            // For example `(sales @ Acme)`.
            Some(Host::Name(name)) if !name.contains('.') => {}
            host => found(host),
        });
    }
}

/// Returns the words of a text, without the white space that RFC 5322 allows around `@` and `.`.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut joined = String::with_capacity(text.len());
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() {
            space = !joined.is_empty();
            continue;
        }
        let joins = matches!(c, '@' | '.') || joined.ends_with(['@', '.']);
        if space && !joins {
            joined.push(' ');
        }
        space = false;
        joined.push(c);
    }
    let words: Vec<String> = joined.split(' ').map(str::to_owned).collect();
    words.into_iter().filter(|word| !word.is_empty())
}

/// Reads the addresses among the words of an item. Words without `@` are a display name if an angle bracket follows, a
/// group's name if a colon follows, and otherwise unreadable if `strict`.
fn addresses(text: &str, strict: bool, found: HostVisitor<'_>) {
    let (before, from_at) = text.split_once('@').unwrap_or((text, ""));
    let without_group = match before.rsplit_once(':') {
        // For example `friends: a@x.com, b@x.com;`.
        Some((_, local)) => format!("{local}@{from_at}"),
        None => text.to_owned(),
    };
    for word in words(&without_group) {
        if word.contains('@') {
            address(&word, found);
        } else if strict {
            found(None);
        }
    }
}

fn address(word: &str, found: HostVisitor<'_>) {
    let mut parts = word.split('@');
    let local = parts.next().unwrap_or_default();
    // `good.com/@evil.com` is a URL's host to one client and a local part to another.
    if local.contains(['/', '\\', '?', '#']) {
        bare(local, found);
    }
    // These are routes from the time before DNS, which relays may still follow.
    for relayed in [
        local.rsplit_once('%').map(|(_, host)| host),
        local.split_once('!').map(|(host, _)| host),
    ] {
        if let Some(name) = relayed
            .filter(|host| host.contains('.'))
            .and_then(ascii_name)
        {
            found(Some(Host::Name(name)));
        }
    }
    let mut domains = 0u32;
    for part in parts {
        domains = domains.saturating_add(1);
        domain(part, found);
    }
    // Only a source route has a second `@` outside of quotes. In any other item, some reader splits between the two.
    if domains > 1 && !local.is_empty() {
        found(None);
    }
}

/// Reads the text after an `@`: a domain or an address literal, possibly followed by a port, a path (`git@host:repository`)
/// or the rest of a source route.
fn domain(text: &str, found: HostVisitor<'_>) {
    if let Some(literal) = text.strip_prefix('[') {
        let literal = literal.split_once(']').map_or("", |(literal, _)| literal);
        // Tag of an IPv6 address literal (RFC 5321 §4.1.3).
        let tagged = literal
            .get(..5)
            .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"));
        let address = tagged.and_then(|_| literal.get(5..)).unwrap_or(literal);
        match super::ip::ipv6(address) {
            Some(address) => found(Some(Host::V6(address))),
            None => named(address, found),
        }
        return;
    }
    let end = text
        .find([':', ',', '/', '\\', '?', '#'])
        .unwrap_or(text.len());
    let (host, behind) = text.split_at_checked(end).unwrap_or((text, ""));
    named(host, found);
    // A comma is followed by the `@` of a source route. Some reader uses any other continuation: `?bcc=…` after `mailto:`.
    if behind.starts_with(['\\', '?', '#']) || behind.starts_with(',') && behind.len() > 1 {
        found(None);
    }
}
