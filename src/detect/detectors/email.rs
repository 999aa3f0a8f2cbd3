//! E-mail addresses.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "email",
    groups: &["pii"],
    doc: Doc {
        finds: "A local part of 1–64 characters, `@`, and a domain of labels that ends in letters or `xn--…`; also with `[at]`, `(at)` and `[dot]`, `(dot)`, or with the words at and dot and a common top-level domain.",
        misses: "Addresses with spaces or one of `,:=` in a quoted local part, with spaces around the `@`, or with an IP address for a domain. With low confidence: mailboxes that nobody reads (`noreply@…`, `…@users.noreply.github.com`), and what is an account on a host: `git@github.com:org/repo`, `ops@web.example.com:/srv`, `ssh ops@web.example.com`, a URL's user or password. Addresses at `example.com` are found as any other.",
        source: "RFC 5321 section 4.5.3.1, RFC 5322 section 3.4.1, RFC 6531",
    },
    reach: 320,
    context: &[],
    anchors: &[
        Anchor::At(around),
        Anchor::Word(&["at]", "at)", "at}", "at>"], bracketed),
        Anchor::Word(&["dot "], spoken),
    ],
    hits: &[
        hit(
            "O'Brien@example.com, 'o'hara@example.com', \"jane.doe\"@example.com",
            &[
                "O'Brien@example.com",
                "o'hara@example.com",
                "\"jane.doe\"@example.com",
            ],
        ),
        hit(
            "Mail jane.doe+x@mail.example.com.",
            &["jane.doe+x@mail.example.com"],
        ),
        hit("<a@b.co>, c_d@e-f.org", &["a@b.co", "c_d@e-f.org"]),
        hit(
            "write to ann@example.com—or bob@example.org- now; _c@example.com_",
            &["ann@example.com", "bob@example.org", "_c@example.com"],
        ),
        hit("mailto:x@example.xn--p1ai", &["x@example.xn--p1ai"]),
        hit("write to josé@example.com", &["josé@example.com"]),
        hit("私のメールはann@example.comです", &["ann@example.com"]),
        hit(
            "jane.doe [at] example [dot] co [dot] uk; bob(at)example.com",
            &[
                "jane.doe [at] example [dot] co [dot] uk",
                "bob(at)example.com",
            ],
        ),
        hit(
            "From: reply@example.com: hello; mailto:x@example.com:25, ssh keys of jane@example.com",
            &["reply@example.com", "x@example.com", "jane@example.com"],
        ),
        hit(
            "it's jane_doe at mail dot example dot com, I think",
            &["jane_doe at mail dot example dot com"],
        ),
    ],
    misses: &[
        miss(
            "{\"a\":\"@example.com\",\"b\": \"@example.com\"}",
            "nobody's",
        ),
        miss(
            "Co-Authored-By: Claude <noreply@anthropic.com>, 49699333+dependabot[bot]@users.noreply.github.com, ci-no-reply@corp.example.com, octo@users.noreply.github.com, DoNotReply@corp.example.com",
            "nobody reads these",
        ),
        miss(
            "git clone git@github.com:org/repo.git; scp x ops@web1.corp.example.com:/srv/x; rsync -a d a@b.corp.example.com:~/d; ssh -p 22 deploy@web1.corp.example.com uptime; ssh://git@git.corp.example.com/x; https://jane:hunter@corp.example.com/",
            "accounts on hosts",
        ),
        miss(
            "git clone git@github.com-work:org/repo, ops@web.node-1, a@b.com_x",
            "accounts on hosts, a longer name",
        ),
        miss("npm i @scope/pkg@1.2.3", "a package and its version"),
        miss("icon@2x.png", "an image for dense screens"),
        miss("@handle and a@b", "no domain"),
        miss("a @ b.com", "spaces"),
        miss(
            "look at node dot js, or meet me at example dot com",
            "no address",
        ),
        miss("x[at] = b.c", "a variable"),
    ],
};

/// Finds the address around an `@`.
fn around(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let at = place.at;
    let last = text.before(at);
    if last == b'.' || !is_label(last) && local_start(place) == at {
        return None;
    }
    let domain = domain_end(place);
    if domain.is_none() && !text.is_past_end() {
        return None;
    }
    let start = local_start(place);
    place.begins(start);
    let end = domain?;
    let is_someones = !is_unread(place, start, end) && !is_account(place, start, end);
    Some(Match {
        start,
        end,
        confidence: if is_someones {
            Confidence::High
        } else {
            Confidence::Low
        },
    })
}

/// Returns whether a mailbox is not read by a person: `noreply@…`, `build-no-reply@…`,
/// `1234+octo@users.noreply.github.com`.
fn is_unread(place: &MatchSite<'_>, start: usize, end: usize) -> bool {
    let name = place.text.slice(start..place.at);
    let unread = [
        "noreply",
        "no-reply",
        "no_reply",
        "donotreply",
        "do-not-reply",
        "do_not_reply",
    ];
    let last = name.last().map(u8::to_ascii_lowercase);
    let ends = |word: &str| {
        word.bytes().last() == last
            && name
                .len()
                .checked_sub(word.len())
                .and_then(|at| name.split_at_checked(at))
                .is_some_and(|(before, last)| {
                    last.eq_ignore_ascii_case(word.as_bytes())
                        && !before.last().is_some_and(u8::is_ascii_alphanumeric)
                })
    };
    let host = place.text.slice(place.at.wrapping_add(1)..end);
    let labels = host.split(|byte| *byte == b'.');
    let is_hosts = || {
        labels
            .clone()
            .any(|label| label.eq_ignore_ascii_case(b"noreply"))
    };
    unread.iter().any(|word| ends(word)) || is_hosts()
}

/// Returns whether an address is an account on a host: `git@github.com:org/repo`, `ssh ops@web.example.com`, the user
/// information of a URL (RFC 3986, section 3.2.1).
fn is_account(place: &MatchSite<'_>, start: usize, end: usize) -> bool {
    let text = place.text;
    // `git@github.com-work:org/repo`, with an alias of the host.
    let end = text.run(end, 64, is_label_or_hyphen);
    if text.at(end) == b':' {
        // `host:/path`, `host:~/path`, `host:org/repo`
        let path = end.wrapping_add(1);
        let first = text.run(path, 64, is_label_or_hyphen);
        if matches!(text.at(path), b'/' | b'~') || first > path && text.at(first) == b'/' {
            return true;
        }
    }
    let is_of_url =
        |byte: u8| byte > b' ' && !matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'/');
    // Most addresses follow a space. The text after the address is checked only there, or only elsewhere.
    if text.before(start) != b' ' {
        return text.precedes(text.run_back(start, 64, is_of_url), "://");
    }
    // `ssh -p 22 ops@host`, `sftp ops@host`
    let line = text.run_back(start, 48, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'.' | b'_' | b'/' | b'~')
    });
    let mut words = text
        .slice(line..start)
        .split(|byte| *byte == b' ')
        .rev()
        .skip(1);
    let is_client =
        |word: &[u8]| [&b"ssh"[..], b"scp", b"sftp", b"ssh-copy-id", b"rsync"].contains(&word);
    words.clone().take(6).any(is_client)
        && words
            .by_ref()
            .take_while(|word| !is_client(word))
            .all(|word| word.starts_with(b"-") || !word.iter().all(u8::is_ascii_alphabetic))
}

/// Returns where the local part before an `@` begins.
fn local_start(place: &MatchSite<'_>) -> usize {
    let (text, at) = (place.text, place.at);
    // `"jane.doe"@example.com`, but not the value after `"to":` that begins with an `@`.
    if text.before(at) == b'"' {
        let close = at.wrapping_sub(1);
        let open = text.run_back(close, 62, |byte| byte > b' ' && !b"\",:=".contains(&byte));
        if text.before(open) == b'"' && text.slice(open..close).iter().copied().any(is_label) {
            return open.wrapping_sub(1);
        }
    }
    let start = text.run_back(at, 64, is_local);
    // A local part does not begin with a dot. Such a dot is often the end of a sentence or a list mark.
    let start = text.run(start, at.wrapping_sub(start), |byte| {
        matches!(byte, b'.' | b'-' | b'+' | b'*' | b'~' | b'#' | b'%')
    });
    // `o'brien@example.com`, but not the quote before `'anna@example.com'`.
    let named = start.checked_sub(2).is_some_and(|first| {
        text.before(start) == b'\''
            && text.at(first).is_ascii_alphabetic()
            && !is_label(text.before(first))
    });
    after_unspaced(place, start.wrapping_sub(if named { 2 } else { 0 }))
}

/// Returns where the domain after an `@` ends.
fn domain_end(place: &MatchSite<'_>) -> Option<usize> {
    let text = place.text;
    let at = place.at;
    let mut end = at.wrapping_add(1);
    let mut label = end;
    let mut dots = 0usize;
    let mut last = 0..0;
    let longest = at.saturating_add(256);
    while end < longest {
        match text.at(end) {
            b'-' if end > label => {}
            b'.' if end > label && text.before(end) != b'-' => {
                if !is_label(text.at(end.wrapping_add(1))) {
                    break;
                }
                dots = dots.wrapping_add(1);
                label = end.wrapping_add(1);
            }
            byte if byte >= THREE_BYTES && dots > 0 && text.before(end).is_ascii_alphabetic() => {
                break;
            }
            byte if is_label(byte) => {}
            _ => break,
        }
        end = end.wrapping_add(1);
        // Most characters, without the choice above for each.
        end = text.run(end, longest.saturating_sub(end), |byte| {
            byte.is_ascii_alphanumeric()
        });
        last = label..end;
    }
    // `jane@example.com—or`: the view has a hyphen for a dash.
    let before_dash = text.run(label, LONGEST_TOP.wrapping_add(1), |byte| {
        byte.is_ascii_alphabetic()
    });
    if text.at(before_dash) == b'-' && is_one_of(TOPS, text.slice(label..before_dash)) {
        (last, end) = (label..before_dash, before_dash);
    }
    let domain = text.slice(last.clone());
    let letters = domain
        .iter()
        .all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
    let top = letters || domain.starts_with(b"xn--");
    let image = text.at(at.wrapping_add(1)).is_ascii_digit() && text.at(at.wrapping_add(2)) == b'x';
    let glued = text.at(end) == b'@' || text.begins_name(end);
    (dots > 0 && domain.len() >= 2 && top && !image && !glued).then_some(end)
}

/// Smallest first byte of characters of three bytes and more. Most of them belong to scripts without spaces between
/// words.
const THREE_BYTES: u8 = 0xE0;

/// In `住所はann@example.com` the address begins with the Latin letters.
fn after_unspaced(place: &MatchSite<'_>, start: usize) -> usize {
    let (text, at) = (place.text, place.at);
    let ascii = text.run_back(at, at.saturating_sub(start), |byte| byte.is_ascii());
    let script = text.before(ascii.saturating_sub(2));
    if ascii > start && ascii < at && script >= THREE_BYTES {
        ascii
    } else {
        start
    }
}

fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// Returns whether a byte belongs to RFC 5322's atext, without the characters that more often end something before
/// the address, such as `=` and `/`.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'.' | b'!' | b'#' | b'$' | b'%' | b'*' | b'+' | b'^' | b'_' | b'~' | b'-' | 0x80..
        )
}

/// Finds `jane [at] example [dot] com`, `jane(at)example.com`; the place is at `at]`.
fn bracketed(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let open = place.at.checked_sub(1)?;
    if !matches!(
        (text.at(open), text.before(place.end)),
        (b'[', b']') | (b'(', b')') | (b'{', b'}') | (b'<', b'>')
    ) {
        return None;
    }
    let spaced = usize::from(text.before(open) == b' ');
    let start = local_before(place, open.saturating_sub(spaced))?;
    let from = place
        .end
        .wrapping_add(usize::from(text.at(place.end) == b' '));
    let (end, dots) = domain(place, from);
    let top = text.run_back(end, 24, |byte| byte.is_ascii_alphabetic());
    (dots > 0 && end.wrapping_sub(top) >= 2).then_some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}

/// Words before `at` that are not a name.
const NO_NAMES: &[&[u8]] = &[
    b"a",
    b"all",
    b"and",
    b"are",
    b"available",
    b"be",
    b"do",
    b"example",
    b"find",
    b"found",
    b"get",
    b"go",
    b"good",
    b"help",
    b"her",
    b"here",
    b"him",
    b"hosted",
    b"is",
    b"it",
    b"live",
    b"located",
    b"look",
    b"looked",
    b"looking",
    b"me",
    b"not",
    b"now",
    b"online",
    b"or",
    b"out",
    b"page",
    b"point",
    b"pointed",
    b"register",
    b"seen",
    b"shop",
    b"sign",
    b"site",
    b"start",
    b"that",
    b"them",
    b"there",
    b"this",
    b"up",
    b"us",
    b"visit",
    b"was",
    b"website",
    b"work",
    b"works",
    b"you",
];

/// Length of the longest of [`TOPS`].
const LONGEST_TOP: usize = 4;

/// Top-level domains that people spell out.
const TOPS: &[&[u8]] = &[
    b"ai", b"at", b"au", b"be", b"biz", b"br", b"ca", b"ch", b"cn", b"co", b"com", b"cz", b"de",
    b"dev", b"dk", b"edu", b"es", b"eu", b"fi", b"fr", b"gov", b"ie", b"in", b"info", b"io", b"it",
    b"jp", b"kr", b"me", b"mx", b"net", b"nl", b"no", b"nz", b"org", b"pl", b"pt", b"ru", b"se",
    b"sg", b"uk", b"us", b"za",
];

/// Finds `jane at example dot com`; the place is at the first `dot`.
fn spoken(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let label_end = place.at.checked_sub(1)?;
    if text.at(label_end) != b' ' {
        return None;
    }
    let label = text.run_back(label_end, 63, is_label_or_hyphen);
    let at = label.checked_sub(4)?;
    if !text.precedes(label, " at ") || label == label_end {
        return None;
    }
    let start = local_before(place, at)?;
    let name = text.slice(start..at);
    let (end, dots) = domain(place, label);
    let top = text.slice(text.run_back(end, 24, |byte| byte.is_ascii_alphabetic())..end);
    (dots > 0 && is_one_of(TOPS, top) && !is_one_of(NO_NAMES, name)).then_some(Match {
        start,
        end,
        confidence: Confidence::Medium,
    })
}

fn is_one_of(list: &[&[u8]], word: &[u8]) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(word))
}

fn is_label_or_hyphen(byte: u8) -> bool {
    is_label(byte) || byte == b'-'
}

/// Returns the start of the local part before `end`.
fn local_before(place: &MatchSite<'_>, end: usize) -> Option<usize> {
    let text = place.text;
    let start = text.run_back(end, 64, is_local);
    let start = text.run(start, end.wrapping_sub(start), |byte| !is_label(byte));
    place.begins(start);
    (start < end).then_some(start)
}

/// Returns the end of a domain whose dots may be spelled, and their number.
fn domain(place: &MatchSite<'_>, from: usize) -> (usize, usize) {
    let text = place.text;
    let mut end = text.run(from, 63, is_label_or_hyphen);
    let mut dots = 0usize;
    if end == from {
        return (end, dots);
    }
    while dots < 6 {
        let spelled = [
            ".", " dot ", " [dot] ", "[dot]", " (dot) ", "(dot)", " {dot} ", "{dot}",
        ]
        .iter()
        .find(|dot| text.follows(end, dot));
        let Some(dot) = spelled else { break };
        let label = end.wrapping_add(dot.len());
        let next = text.run(label, 63, is_label_or_hyphen);
        if next == label {
            break;
        }
        dots = dots.wrapping_add(1);
        end = next;
    }
    (end, dots)
}
