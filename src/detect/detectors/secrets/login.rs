//! Credentials in addresses and headers.

use crate::detect::entropy::{is_reference, is_repetitive, makeup, marks};
use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::named_value::VALUE;
use crate::detect::scan::names::{KeyFilter, NameGroups, has_part};
use crate::detect::scan::probe::{Match, MatchSite, NamedValue};
use crate::detect::substring_set::SubstringSet;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(in crate::detect) static BASIC_AUTH: Detector = Detector {
    name: "basic_auth",
    groups: &["secrets.login"],
    doc: Doc {
        finds: "User and password in an address (`scheme://user:password@host`), also of databases and queues, and after `-u` or `--user` of curl.",
        misses: "References such as `${USER}:${PASSWORD}`, a user without password, and toys such as `user:pass` on a command line.",
        source: "RFC 3986 section 3.2.1; curl manual, --user",
    },
    reach: 260,
    context: &[],
    anchors: &[Anchor::Url(url), Anchor::Word(&["curl "], curl)],
    hits: &[
        hit(
            "postgres://reader:aE.UTYKibE@db.internal.example:5432/app",
            &["reader:aE.UTYKibE"],
        ),
        hit(
            "git clone https://root:F9Jb8N5cF@git.example.com/a/b.git",
            &["root:F9Jb8N5cF"],
        ),
        hit(
            "curl -k -u elastic:P4ssw0rdX1 https://localhost:9200",
            &["elastic:P4ssw0rdX1"],
        ),
    ],
    misses: &[
        miss("http://localhost:5000/<%= @variable %>", "a port"),
        miss(
            "https://example.com:8443/path@v2",
            "the sign stands in the path",
        ),
        miss("mysql://${USER}:${PASSWORD}@db/x", "references"),
        miss(
            "curl --user \"username:password\" https://example.com",
            "a toy",
        ),
    ],
};

pub(in crate::detect) static HTTP_AUTH_HEADER: Detector = Detector {
    name: "http_auth_header",
    groups: &["secrets.login"],
    doc: Doc {
        finds: "The credentials of an `Authorization` header (`Basic`, `Bearer`, `Token` …), and the value of headers such as `X-Api-Key` on a command line.",
        misses: "References and placeholders.",
        source: "RFC 9110 section 11.6.2, RFC 7617, RFC 6750",
    },
    reach: 2_048,
    context: &[],
    anchors: &[Anchor::Keyed(1..=VALUE, KeyFilter::Header, header)],
    hits: &[
        hit(
            "Authorization: Basic c3ZjOkZqdm1naWEzOSNmbjdpZQ==",
            &["c3ZjOkZqdm1naWEzOSNmbjdpZQ=="],
        ),
        hit(
            "\"authorization\": \"Bearer Zk3x9QmA7vB2cD4e\"",
            &["Zk3x9QmA7vB2cD4e"],
        ),
        hit(
            "curl -H \"apikey: c4ed6c21-9dd5-4a05-8e3f-c56d1151cce8\" x",
            &["c4ed6c21-9dd5-4a05-8e3f-c56d1151cce8"],
        ),
    ],
    misses: &[
        miss("-H \"Authorization: Bearer XXXXXXXXXXXX\"", "a placeholder"),
        miss(
            "-H \"Authorization: Bearer $(gcloud auth print-access-token)\"",
            "a command",
        ),
        miss("--header \"Authorization: Basic ...\"", "shortened"),
        miss("Authorization: Bearer <token>", "a placeholder"),
    ],
};

fn user_part(byte: u8) -> bool {
    byte > b' '
        && !matches!(
            byte,
            b'/' | b':'
                | b'@'
                | b'"'
                | b'\''
                | b'`'
                | b'<'
                | b'>'
                | b'\\'
                | b'|'
                | b','
                | b'?'
                | b'#'
        )
        && byte != 0x7F
}

fn password_part(byte: u8) -> bool {
    byte > b' '
        && !matches!(
            byte,
            b'/' | b'@' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\' | b'|' | b'?'
        )
        && byte != 0x7F
}

/// Finds `://user:password@host`.
fn url(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    if !text.before(place.at).is_ascii_alphanumeric() {
        return None;
    }
    let start = place.at.wrapping_add(3);
    place.begins(start);
    let colon = text.run(start, 100, user_part);
    if text.at(colon) != b':' {
        return None;
    }
    let password = colon.wrapping_add(1);
    let end = text.run(password, 150, password_part);
    let host = text.at(end.wrapping_add(1));
    if text.at(end) != b'@' || end == password || !(host.is_ascii_alphanumeric() || host == b'[') {
        return None;
    }
    let written = text.slice(start..end);
    let secret = text.slice(password..end);
    if is_reference(text.slice(start..colon))
        || is_reference(secret)
        || is_repetitive(secret) && secret.len() > 2
        || secret.contains(&b'{') && secret.contains(&b'}')
    {
        return None;
    }
    let toys: &[&[u8]] = &[
        b"user:pass",
        b"user:password",
        b"username:password",
        b"foo:bar",
        b"user:pwd",
    ];
    let toy = toys.iter().any(|toy| written.eq_ignore_ascii_case(toy));
    Some(Match {
        start,
        end,
        confidence: if toy {
            Confidence::Medium
        } else {
            Confidence::High
        },
    })
}

/// Finds `curl … -u user:password`.
fn curl(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    // Up to the end of the line, or to the next command, which is handled by itself.
    let mut line = place.end.wrapping_sub(1);
    let last = place.end.saturating_add(300);
    let option = loop {
        line = text.run(line, last.saturating_sub(line), |byte| {
            !matches!(byte, b'\n' | 0 | b' ')
        });
        let command = || line >= place.end && text.precedes(line, "curl");
        if text.at(line) != b' ' || line >= last || command() {
            place.begins(line);
            return None;
        }
        line = line.wrapping_add(1);
        let options: &[&str] = match (text.at(line), text.at(line.wrapping_add(1)) | 0x20) {
            (b'-', b'u') => &["-u ", "-u\"", "-u'"],
            (b'-', b'-') => &["--user ", "--user="],
            _ => &[],
        };
        let known = options.iter().find(|option| text.follows(line, option));
        if let Some(option) = known {
            let quoted = option.ends_with(['"', '\'']);
            break line
                .wrapping_add(option.len())
                .wrapping_sub(usize::from(quoted));
        }
    };
    let from = text.run(option, 4, |byte| byte == b' ');
    let quote = text.at(from);
    let quoted = matches!(quote, b'"' | b'\'');
    let start = from.wrapping_add(usize::from(quoted));
    place.begins(start);
    let end = text.run(start, 200, |byte| {
        if quoted {
            byte != quote && byte != b'\n' && byte != 0
        } else {
            byte > b' ' && !matches!(byte, b'"' | b'\'')
        }
    });
    let written = text.slice(start..end);
    let colon = written.iter().position(|byte| *byte == b':')?;
    let (user, password) = written.split_at_checked(colon)?;
    let password = password.get(1..)?;
    let secret = if password.is_empty() { user } else { password };
    let kinds = makeup(secret);
    let is_likely = secret.len() >= 6
        && (kinds.digits > 0 || kinds.capitals > 0 && kinds.smalls > 0)
        || secret.len() >= 12;
    let reference = is_reference(user)
        || is_reference(password)
        || written.contains(&b'$') && quote != b'\'' && password.first() == Some(&b'$')
        || written.contains(&b'{');
    let toys: &[&[u8]] = &[
        b"password",
        b"pass",
        b"yyy",
        b"passwd",
        b"secret",
        b"your_password",
    ];
    let toy =
        toys.iter().any(|toy| secret.eq_ignore_ascii_case(toy)) || kinds.is_repetitive(secret);
    (is_likely && !reference && !toy).then_some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}

/// Maximum bytes of a scheme.
const SCHEME: usize = 9;

/// Schemes of the header. Before other credentials the first word is not a scheme.
const SCHEMES: &[&str] = &[
    "basic",
    "bearer",
    "token",
    "apikey",
    "api-key",
    "digest",
    "negotiate",
    "splunk",
    "genie",
    "ssws",
    "oauth",
];

fn header(keyed: &NamedValue<'_>) -> Option<Match> {
    let text = keyed.place.text;
    let authorization = keyed.said.any(NameGroups::AUTHORIZATION);
    let on_command_line = || {
        let quote = keyed.name_at.wrapping_sub(1);
        matches!(text.before(keyed.name_at), b'"' | b'\'')
            && ["-H ", "-H", "--header ", "--header="]
                .iter()
                .any(|option| text.precedes(quote, option))
    };
    if !authorization && !on_command_line() {
        return None;
    }
    let word = text.run(keyed.value.start, SCHEME, |byte| {
        byte.is_ascii_alphabetic() || byte == b'-'
    });
    let written = text.slice(keyed.value.start..word);
    let known = |scheme: &&&str| written.eq_ignore_ascii_case(scheme.as_bytes());
    let scheme = match text.at(word) {
        b' ' => SCHEMES.iter().find(known),
        _ => None,
    };
    if authorization && scheme.is_none() && keyed.bytes().len() < 16 {
        return None;
    }
    let start = keyed
        .value
        .start
        .wrapping_add(scheme.map_or(0, |scheme| scheme.len().wrapping_add(1)));
    let start = text.run(start, 4, |byte| byte == b' ');
    // A value made of the characters of keys and tokens is the credentials.
    let known = match start == keyed.value.start && !keyed.kinds.may_have(marks::STRANGE) {
        true => keyed.value.end,
        false => start,
    };
    let end = text.run(known, 1_900, |byte| {
        (Alphabet::Bare.has(byte) || byte == b'&') && !matches!(byte, b'\\' | b')')
    });
    let credentials = text.slice(start..end);
    let basic = scheme.is_some_and(|scheme| *scheme == "basic");
    let kinds = match (start..end) == keyed.value {
        true => keyed.kinds,
        false => makeup(credentials),
    };
    let is_likely = if basic {
        credentials.len() >= 8
    } else {
        credentials.len() >= 10 && kinds.digits > 0
    };
    let marked = || {
        let marks = |byte: &u8| matches!(byte, b'{' | b'$' | b'(');
        kinds.may_have(marks::REFERENCE | marks::BRACKET) && credentials.iter().any(marks)
    };
    if !is_likely
        || credentials.ends_with(b"...")
        || marked()
        || kinds.is_reference(credentials)
        || kinds.is_repetitive(credentials)
        || PLACEHOLDERS.stand_in(credentials)
        || kinds.may_repeat() && has_part(credentials, "xxx")
    {
        return None;
    }
    Some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}

/// Returns whether a value is a placeholder: `your-token-here`, `YOUR_API_KEY`, `token`.
static PLACEHOLDERS: SubstringSet = SubstringSet::new(&[
    "your",
    "token_",
    "_token",
    "api_key",
    "apikey",
    "example",
    "access-token",
    "access_token",
]);
