//! Keys and tokens without a form of their own, identified by their name.

use super::apart::{below, default_of, is_alone};
use super::named::{is_code, is_numbered, is_snippet, is_word};
use crate::detect::entropy::{is_placeholder, marks};
use crate::detect::scan::alphabet::{Alphabet, Binding};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::named_value::VALUE;
use crate::detect::scan::names::{KeyFilter, NameGroups};
use crate::detect::scan::probe::{Match, MatchSite, NamedValue};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(in crate::detect) static KEY: Detector = Detector {
    name: "generic_api_key",
    groups: &["secrets.generic"],
    doc: Doc {
        finds: "A value with digits and variety that is assigned to a name with `token`, `secret`, `key`, `auth` or `cred` in it; of twenty characters and more also behind such a name in prose, in a table or a call, on the line below it, or as the default of such a variable of Terraform.",
        misses: "References, placeholders, words, paths, addresses; hashes and identifiers whose name says what they are (`public_key`, `key_id`, `cache_key`).",
        source: "Names as used in configuration files; CWE-798",
    },
    reach: 512,
    context: &[],
    anchors: &[
        Anchor::Keyed(10..=VALUE, KeyFilter::Key, generic),
        Anchor::Word(&["BUNDLE_"], bundler),
        Anchor::Word(&["key:", "token:", "secret:"], under),
        Anchor::Word(&["variable \""], variable),
    ],
    hits: &[
        hit(
            "https://example.com/?token=wvNqWJ0C9JdWEvBYkZLQa026&pretty",
            &["wvNqWJ0C9JdWEvBYkZLQa026"],
        ),
        hit(
            "accessTokenSecret: 'LaCge2D7DFVICxZnRdl59zBm', PRIMARY_API_KEY=wvNqWJ0C9JdWEvBYkZLQa026",
            &["LaCge2D7DFVICxZnRdl59zBm", "wvNqWJ0C9JdWEvBYkZLQa026"],
        ),
        hit(
            "| API key | n5rAeWSpLvy4ZcF229Jemquu |\nb.setApiKey(\"wvNqWJ0C9JdWEvBYkZLQa026\")",
            &["n5rAeWSpLvy4ZcF229Jemquu", "wvNqWJ0C9JdWEvBYkZLQa026"],
        ),
        hit(
            "my API key is 52k4DbSA5po1a77D5cotMbWY, the token wvNqWJ0C9JdWEvBYkZLQa026",
            &["52k4DbSA5po1a77D5cotMbWY", "wvNqWJ0C9JdWEvBYkZLQa026"],
        ),
        hit(
            "API key:\nn5rAeWSpLvy4ZcF229Jemquu\n\nvariable \"api_token\" {\n  default = \"wvNqWJ0C9JdWEvBYkZLQa026\"\n}",
            &["n5rAeWSpLvy4ZcF229Jemquu", "wvNqWJ0C9JdWEvBYkZLQa026"],
        ),
        hit(
            "genericToken = \"Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB\"",
            &["Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB"],
        ),
        hit(
            "<sumoToken>\n    suBmxwThKvuG8L5x\n</sumoToken>",
            &["suBmxwThKvuG8L5x"],
        ),
        hit(
            "JIRA_API_TOKEN=HXe8DGg1iJd2AopzyxkFB7F2",
            &["HXe8DGg1iJd2AopzyxkFB7F2"],
        ),
        hit(
            "herokuToken=28333d61-f405-5362-90f0-558ae1e7951c",
            &["28333d61-f405-5362-90f0-558ae1e7951c"],
        ),
    ],
    misses: &[
        miss(
            "\"NextContinuationToken\": \"1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=\", \"nextSyncToken\": \"CPDAlvWDx70CEPDAlvWDx70CGAU=\", $skiptoken=RFNwdAIAAQAAACpHcm91cF9jNTE2N2YxYi1kYjk4LTQ",
            "where a listing goes on",
        ),
        miss(
            "the key is 4bf92f3577b34da6a3ce929d0e0e4736, the token is gpt2-medium-v1",
            "a key of anything; a name",
        ),
        miss(
            "public key:\nn5rAeWSpLvy4ZcF229Jemquu\n\ntoken:\n  name-of-the-service-2024-11\n",
            "a public key, a name",
        ),
        miss(
            "cache-key: linux-node-18-abc123def, PASS: Suite1.TestLogin_OK",
            "a key of something else, a test",
        ),
        miss("\"key\": \"user:12345:profile\"", "names"),
        miss("api_key = \"YOUR_API_KEY_1234\"", "a placeholder"),
        miss("max_tokens: 4096", "a number of tokens"),
        miss("\"primaryKey\": \"customer_id_2\"", "a name"),
        miss("token = tokens[1234567890]", "code"),
        miss(
            "public_key = \"Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB\"",
            "public",
        ),
    ],
};

/// Words before `key` that form the name of a secret with it.
const BEFORE_KEY: &[&str] = &["api ", "secret ", "access "];

fn generic(keyed: &NamedValue<'_>) -> Option<Match> {
    let value = keyed.bytes();
    let kinds = keyed.kinds;
    let part = |byte: u8| Alphabet::Wide.has(byte) || matches!(byte, b'~' | b':' | b'%' | b'@');
    if kinds.digits == 0
        || is_time(value)
        || kinds.may_have(marks::STRANGE) && !value.iter().all(|byte| part(*byte))
    {
        return None;
    }
    // `key` is enough with another word, or for a longer value.
    let text = keyed.place.text;
    let more = || {
        text.before(keyed.name_at) == b' '
            && BEFORE_KEY
                .iter()
                .any(|word| text.precedes(keyed.name_at, word))
    };
    let only_key = !keyed.said.any(NameGroups::SECRET | NameGroups::MORE) && !more();
    // In prose such a word is followed by more than its value, possibly by another name and its value.
    let named =
        || kinds.may_have(marks::EQUALS) && value.iter().rev().skip(2).any(|byte| *byte == b'=');
    let vague = keyed.link == Binding::Prose && (only_key || value.len() < 20 || named());
    if vague || only_key && value.len() < 16 || !is_whole_word(keyed) {
        return None;
    }
    let variety = text.variety(keyed.value.clone());
    let random = if kinds.digits == value.len() {
        // Identifiers of some vendors consist only of digits; shorter ones are numbers and times.
        value.len() >= 15 && variety >= 24 && !only_key
    } else if is_uuid(value) {
        !keyed.names("id") || keyed.names("client") || keyed.names("token")
    } else if kinds.digits.wrapping_add(kinds.smalls) == value.len()
        || kinds.digits.wrapping_add(kinds.capitals) == value.len()
    {
        variety >= 28 && kinds.digits >= 2
            || variety >= 32 && value.len() >= 16 && !only_key && is_unspeakable(value)
    } else {
        let mixed = kinds.capitals >= 3 && kinds.smalls >= 3 && !only_key;
        variety >= if only_key { 35 } else { 30 }
            && (kinds.digits >= 2 || variety >= 37 || variety >= 33 && mixed)
    };
    if !random
        || is_words(value)
        || kinds.is_reference(value)
        || kinds.is_repetitive(value)
        || is_code(value, kinds)
        || is_snippet(value, kinds)
        || is_word(value)
        // `PASS: Suite1.TestLogin_OK`
        || keyed.name.len() == 4 && is_numbered(value)
    {
        return None;
    }
    if keyed.has_placeholder() {
        // `wJalr…EXAMPLEKEY` contains the word that marks it as an example.
        return Some(keyed.found(Confidence::Low));
    }
    let sure = variety >= 35 && value.len() >= 20 && !only_key;
    Some(keyed.found(if sure {
        Confidence::High
    } else {
        Confidence::Medium
    }))
}

/// `API key:` and the value on the next line.
fn under(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let named = !text.follows(place.at, "key")
        || BEFORE_KEY.iter().any(|word| text.precedes(place.at, word));
    apart(place, named.then(|| below(place))??)
}

/// `variable "api_key" { default = "…" }`
fn variable(place: &MatchSite<'_>) -> Option<Match> {
    apart(
        place,
        default_of(place, &["token", "secret", "api_key", "access_key"])?,
    )
}

/// Finds a value with so much entropy that its name need not directly precede it.
fn apart(place: &MatchSite<'_>, start: usize) -> Option<Match> {
    let end = place.text.run_of(Alphabet::Wide, start, 128);
    let value = place.text.slice(start..end);
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let fits = value.len() >= 20
        && (2..value.len()).contains(&digits)
        && is_alone(place, end)
        && place.text.is_random(start..end, 35)
        && !is_words(value);
    fits.then_some(Match {
        start,
        end,
        confidence: Confidence::Medium,
    })
}

/// Finds `BUNDLE_GEMS__EXAMPLE__COM=user:password`: Bundler's credentials for a host (bundle-config(1)).
fn bundler(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let name_end = text.run(place.end, 80, |byte| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
    });
    let name = text.slice(place.end..name_end);
    let from = text.run(name_end, 6, |byte| {
        matches!(byte, b' ' | b'=' | b':' | b'"' | b'\'')
    });
    place.begins(from);
    let user = text.run(from, 64, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
    });
    let end = text.run(user.wrapping_add(1), 128, |byte| {
        byte > b' ' && !matches!(byte, b'"' | b'\'' | b'`' | b';' | b'&' | b'/')
    });
    let host = name.windows(2).any(|window| window == b"__");
    let value = text.slice(from..end);
    let fits = host
        && from > name_end
        && user > from
        && text.at(user) == b':'
        && end.wrapping_sub(user) > 6;
    (fits && !is_placeholder(value)).then_some(Match {
        start: from,
        end,
        confidence: Confidence::High,
    })
}

/// Returns whether the word in the name is not the end of another word: `monkey`, `compass`.
fn is_whole_word(keyed: &NamedValue<'_>) -> bool {
    let name = keyed.name;
    let ends = ["key", "pass", "auth"].iter().any(|word| {
        let Some((head, tail)) = name
            .len()
            .checked_sub(word.len())
            .and_then(|at| name.split_at_checked(at))
        else {
            return false;
        };
        let small = head.last().is_some_and(u8::is_ascii_lowercase)
            && tail.first().is_some_and(u8::is_ascii_lowercase);
        small && tail.eq_ignore_ascii_case(word.as_bytes())
    });
    !ends || keyed.said.any(NameGroups::WHOLE)
}

/// Returns whether a value contains five letters in a row without a vowel, as hardly any word does.
fn is_unspeakable(value: &[u8]) -> bool {
    value
        .split(|byte| !byte.is_ascii_alphabetic() || b"aeiou".contains(&byte.to_ascii_lowercase()))
        .any(|run| run.len() >= 5)
}

fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value.iter().enumerate().all(|(place, byte)| {
            if matches!(place, 8 | 13 | 18 | 23) {
                *byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        })
}

/// Returns whether a value is a time: `2024-03-09T11:02:41Z`, `12:30:00`.
fn is_time(value: &[u8]) -> bool {
    let marked = value.iter().any(|byte| !byte.is_ascii_digit());
    matches!(value, [y, _, _, _, b'-', _, _, b'-', ..] if y.is_ascii_digit())
        || marked
            && value
                .iter()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'-' | b'/'))
}

/// Returns whether a value is words joined by marks, possibly with a short number: `gpt-4o-2024`, `user_id_2`,
/// `sha256-fips`.
fn is_words(value: &[u8]) -> bool {
    let mut words = false;
    for part in value.split(|byte| matches!(byte, b'_' | b'-' | b'.' | b'/' | b':' | b'@' | b'=')) {
        let short = part.len() <= 4 || part.len() <= 6 && part.iter().all(u8::is_ascii_digit);
        if short && (words || part.len() < 2) {
            continue;
        }
        let letters = part.iter().all(u8::is_ascii_lowercase)
            || part.iter().all(u8::is_ascii_uppercase)
            || part.split_first().is_some_and(|(first, rest)| {
                first.is_ascii_uppercase() && rest.iter().all(u8::is_ascii_lowercase)
            });
        if !letters && !short {
            return false;
        }
        words |= letters;
    }
    words
}
