//! Secrets that only their name gives away.

use crate::detect::scan::place::{Anchor, Found, Keyed, Link, Place};
use crate::detect::variety::{is_placeholder, is_reference, is_repetitive, makeup, variety};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

pub(in crate::detect) static PASSWORD: Detector = Detector {
    name: "password",
    groups: &["secrets.login"],
    doc: Doc {
        finds: "A value that is assigned to, compared with or stands beside a name with `pass`, `pwd`, `passphrase` in it, or to a secret's name if it has the punctuation of a password.",
        misses: "References, placeholders, types, words and sentences; short values without digits.",
        source: "Names as used in configuration files; CWE-259, CWE-798",
    },
    reach: 512,
    context: &[],
    anchors: &[
        Anchor::Keyed(password),
        Anchor::Word(&["if (", "if("], compared),
    ],
    hits: &[
        Hit {
            text: "DB_PASSWORD=Ugdwuy862#6avw7",
            found: &["Ugdwuy862#6avw7"],
        },
        Hit {
            text: "{\"username\":\"lee\",\"password\":\"Nlrram353%cB\"}",
            found: &["Nlrram353%cB"],
        },
        Hit {
            text: "login with user lee and passphrase Pjdcdu078#Yhd please",
            found: &["Pjdcdu078#Yhd"],
        },
        Hit {
            text: "<password>Gtbd11?Va</password>",
            found: &["Gtbd11?Va"],
        },
    ],
    misses: &[
        Miss {
            text: "reset your password: https://example.com/reset",
            why: "an address",
        },
        Miss {
            text: "password: {{ .Values.db.password }}",
            why: "a reference",
        },
        Miss {
            text: "password = os.environ[\"DB_PASSWORD\"]",
            why: "code",
        },
        Miss {
            text: "\"password\": \"string\"",
            why: "a type",
        },
        Miss {
            text: "password=<your-password>",
            why: "a placeholder",
        },
        Miss {
            text: "def check_password(password: str) -> bool:",
            why: "a type",
        },
    ],
};

pub(in crate::detect) static GENERIC: Detector = Detector {
    name: "generic_api_key",
    groups: &["secrets.generic"],
    doc: Doc {
        finds: "A value with digits and variety that is assigned to a name with `token`, `secret`, `key`, `auth` or `cred` in it.",
        misses: "References, placeholders, words, paths, addresses; hashes and identifiers whose name says what they are (`public_key`, `key_id`, `cache_key`).",
        source: "Names as used in configuration files; CWE-798",
    },
    reach: 512,
    context: &[],
    anchors: &[Anchor::Keyed(generic), Anchor::Word(&["BUNDLE_"], bundler)],
    hits: &[
        Hit {
            text: "genericToken = \"Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB\"",
            found: &["Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB"],
        },
        Hit {
            text: "<sumoToken>\n    suBmxwThKvuG8L5x\n</sumoToken>",
            found: &["suBmxwThKvuG8L5x"],
        },
        Hit {
            text: "JIRA_API_TOKEN=HXe8DGg1iJd2AopzyxkFB7F2",
            found: &["HXe8DGg1iJd2AopzyxkFB7F2"],
        },
        Hit {
            text: "herokuToken=28333d61-f405-5362-90f0-558ae1e7951c",
            found: &["28333d61-f405-5362-90f0-558ae1e7951c"],
        },
    ],
    misses: &[
        Miss {
            text: "api_key = \"YOUR_API_KEY_1234\"",
            why: "a placeholder",
        },
        Miss {
            text: "max_tokens: 4096",
            why: "a number of tokens",
        },
        Miss {
            text: "\"primaryKey\": \"customer_id_2\"",
            why: "a name",
        },
        Miss {
            text: "token = tokens[1234567890]",
            why: "code",
        },
        Miss {
            text: "public_key = \"Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB\"",
            why: "public",
        },
    ],
};

/// Values that are no password though they stand where one would.
const WORDS: &[&str] = &[
    "string",
    "none",
    "null",
    "true",
    "false",
    "undefined",
    "required",
    "optional",
    "password",
    "secret",
    "token",
    "str",
    "text",
    "bool",
    "boolean",
    "object",
    "number",
    "integer",
    "varchar",
    "default",
    "empty",
    "unknown",
    "hidden",
    "value",
    "input",
    "test",
    "admin",
    "field",
    "invalid",
    "incorrect",
    "missing",
    "wrong",
    "must",
    "should",
    "cannot",
    "forgot",
    "reset",
    "here",
    "this",
    "that",
    "your",
    "enter",
    "confirm",
    "and",
    "the",
    "for",
    "with",
    "is",
    "are",
    "not",
    "protected",
    "manager",
    "hash",
    "hashed",
    "encrypted",
    "plain",
    "plaintext",
    "credentials",
    "auth",
    "type",
    "any",
    "bytes",
    "char",
    "self",
    "request",
    "req",
    "user",
    "username",
    "email",
];

fn is_word(value: &[u8]) -> bool {
    WORDS
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// A path, an address or a reference to something in a program: `os.environ[…]`, `config.password`, `getPassword()`.
fn is_code(value: &[u8]) -> bool {
    let contains = |part: &[u8]| value.windows(part.len()).any(|window| window == part);
    let dotted = value.contains(&b'.')
        && value.split(|byte| *byte == b'.').all(|part| {
            !part.is_empty()
                && part
                    .iter()
                    .all(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        });
    contains(b"://")
        || contains(b"()")
        || contains(b"->")
        || contains(b"::")
        || contains(b"([")
        || contains(b"(\"")
        || value.starts_with(b"/")
            && value.iter().filter(|byte| **byte == b'/').count() > 1
            && makeup(value).digits == 0
        || value.starts_with(b"./")
        || value.starts_with(b"../")
        || value.starts_with(b"~/")
        || dotted
}

/// Passwords that documentation prints: the reference of nuget.config.
const SAMPLES: &[&[u8]] = &[b"33f!!lloppa", b"hal+9ooo_da!sY"];

fn named_password(keyed: &Keyed<'_>) -> bool {
    keyed.names("pass") && !keyed.names("bypass") && !keyed.names("passage") || keyed.names("pwd")
}

fn password(keyed: &Keyed<'_>) -> Option<Found> {
    let value = keyed.bytes();
    let kinds = makeup(value);
    if is_reference(value)
        || is_repetitive(value)
        || is_placeholder_password(value)
        || is_word(value)
        || SAMPLES.contains(&value)
    {
        return None;
    }
    let quoted = keyed.quote != 0;
    let spaces = value.contains(&b' ');
    let punctuation = kinds.others >= 6 && !spaces;
    let classes = [kinds.digits, kinds.capitals, kinds.smalls, kinds.others]
        .iter()
        .filter(|count| **count > 0)
        .count();
    let strong = value.len() >= 6 && classes >= 3 || punctuation && value.len() >= 8;
    let letters = kinds.capitals.wrapping_add(kinds.smalls);
    let plain = value.len() >= 6 && kinds.digits > 0 && letters > 0;
    if !named_password(keyed) {
        // A quoted value full of marks is typed by a person, whatever the name calls it.
        let telling = quoted
            && punctuation
            && value.len() >= 8
            && keyed.link != Link::Told
            && (classes >= 2 || value.iter().any(|byte| *byte >= 0x80));
        return (telling && !is_code_with_marks(value) && !is_code(value))
            .then(|| keyed.found(Confidence::Medium));
    }
    if is_name(keyed) {
        return None;
    }
    let confidence = match keyed.link {
        Link::Told => (strong && kinds.digits > 0 && classes >= 3 && !is_code(value))
            .then_some(Confidence::Medium),
        Link::Beside if !quoted => strong.then_some(Confidence::Medium),
        _ if quoted && spaces => (value.len() <= 64 && value.len() >= 12 && !is_sentence(value))
            .then_some(Confidence::Medium),
        _ if quoted && (strong || plain) && !is_code(value) => Some(Confidence::High),
        _ if quoted
            && value.len() >= 8
            && classes >= 2
            && !is_code(value)
            && !is_identifier(value) =>
        {
            Some(Confidence::Medium)
        }
        _ if !quoted
            && strong
            && kinds.digits > 0
            && !is_code(value)
            && !is_code_with_marks(value) =>
        {
            Some(Confidence::High)
        }
        _ if !quoted
            && plain
            && !is_code(value)
            && !is_code_with_marks(value)
            && keyed.link == Link::Assigned =>
        {
            Some(Confidence::Medium)
        }
        _ => None,
    };
    confidence.map(|confidence| keyed.found(confidence))
}

/// `password_policy: …`, `passwordFile=…`: what follows is not the password.
fn is_name(keyed: &Keyed<'_>) -> bool {
    [
        "policy",
        "file",
        "path",
        "_url",
        "_uri",
        "hint",
        "field",
        "label",
        "length",
        "_min",
        "_max",
        "name",
        "_id",
        "reset",
        "expir",
        "_age",
        "prompt",
        "strength",
        "regex",
        "pattern",
        "_len",
        "count",
        "placeholder",
        "help",
    ]
    .iter()
    .any(|part| keyed.names(part))
}

fn is_placeholder_password(value: &[u8]) -> bool {
    let contains = |part: &str| {
        value
            .windows(part.len())
            .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
    };
    [
        "your",
        "example",
        "changeme",
        "change_me",
        "change-me",
        "placeholder",
        "redacted",
        "xxxx",
        "****",
        "<pass",
        "enter ",
        "insert",
        "secret_here",
    ]
    .iter()
    .any(|part| contains(part))
}

/// Only letters with `_`, `-` or `.` between them: a name, not a password.
fn is_identifier(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Words with spaces and a full stop, or many words.
fn is_sentence(value: &[u8]) -> bool {
    let words: Vec<&[u8]> = value.split(|byte| *byte == b' ').collect();
    let common = [
        "the", "is", "your", "a", "to", "for", "of", "must", "be", "in", "not", "please", "or",
        "at", "least", "can", "has", "you", "this", "are", "an",
    ];
    let known = words
        .iter()
        .filter(|word| {
            common
                .iter()
                .any(|common| word.eq_ignore_ascii_case(common.as_bytes()))
        })
        .count();
    words.len() > 6
        || known > 0
        || value.ends_with(b".")
        || value.ends_with(b":")
        || value.contains(&b',')
        || value.contains(&b'=')
}

/// Brackets and operators of a program. A typed password may have any of them, but then it has many marks.
fn is_code_with_marks(value: &[u8]) -> bool {
    let contains = |part: &[u8]| value.windows(part.len()).any(|window| window == part);
    let marks: [&[u8]; 9] = [
        b"](", b"==", b"\\", b"({", b"</", b"${", b"[\"", b"['", b"://",
    ];
    marks.iter().any(|mark| contains(mark)) && makeup(value).others < 10
}

/// `if ("value" == password)`
fn compared(place: &Place<'_>) -> Option<Found> {
    let text = place.text;
    let from = text.run(place.end, 4, |byte| byte == b' ');
    let quote = text.at(from);
    if !matches!(quote, b'"' | b'\'' | b'`') {
        return None;
    }
    let start = from.wrapping_add(1);
    place.begins(start);
    let end = text.run(start, 128, |byte| {
        byte != quote && byte != b'\n' && byte != 0
    });
    let sign = text.run(end.wrapping_add(1), 2, |byte| byte == b' ');
    let name = text.run(sign, 3, |byte| matches!(byte, b'=' | b'!'));
    if text.at(end) != quote || name.wrapping_sub(sign) < 2 {
        return None;
    }
    let name = text.run(name, 2, |byte| byte == b' ');
    let name_end = text.run(name, 40, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
    });
    let named = text.slice(name..name_end);
    let secret = ["pass", "pwd", "secret", "apikey", "api_key", "token"]
        .iter()
        .any(|part| {
            named
                .windows(part.len())
                .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
        });
    let value = text.slice(start..end);
    let kinds = makeup(value);
    let telling = value.len() >= 8
        && (kinds.digits > 0 || kinds.others > 3)
        && !is_reference(value)
        && !is_placeholder(value);
    (secret && telling).then_some(Found {
        start,
        end,
        confidence: Confidence::Medium,
    })
}

/// Parts of names that are no secret though they have the word in them.
const PUBLIC: &[&str] = &[
    "public",
    "pubkey",
    "pub_key",
    "primary",
    "foreign",
    "partition",
    "sort_key",
    "sortkey",
    "cache",
    "keyname",
    "key_name",
    "keyword",
    "key_id",
    "keyid",
    "hotkey",
    "shortcut",
    "monkey",
    "turkey",
    "donkey",
    "tokenizer",
    "tokenid",
    "token_id",
    "tokentype",
    "token_type",
    "token_url",
    "tokenurl",
    "token_uri",
    "endpoint",
    "next_token",
    "nexttoken",
    "page_token",
    "pagetoken",
    "csrf",
    "xsrf",
    "author",
    "unique",
    "object_key",
    "objectkey",
    "routing",
    "idempotency",
    "fingerprint",
    "checksum",
    "digest",
    "sha256",
    "integrity",
    "keystore",
    "keypath",
    "key_path",
    "keyfile",
    "key_file",
    "credential_id",
    "secret_name",
    "secretname",
    "secretref",
    "secret_ref",
    "secret_arn",
    "keyvault",
    "key_vault",
    "keyboard",
    "keyframe",
    "keypress",
    "keycode",
    "key_code",
    "thread_key",
    "group_key",
    "groupkey",
    "natural_key",
    "composite",
    "keysize",
    "key_size",
    "keylen",
    "stop_token",
    "eos_token",
    "bos_token",
    "pad_token",
    "unk_token",
    "sep_token",
    "cls_token",
    "mask_token",
    "special_token",
    "tokens",
    "auth_type",
    "authtype",
    "auth_mode",
    "auth_method",
    "auth_url",
    "authurl",
    "auth_provider",
];

fn generic(keyed: &Keyed<'_>) -> Option<Found> {
    let value = keyed.bytes();
    let named = ["token", "secret", "key", "auth", "cred", "pass", "pwd"]
        .iter()
        .any(|part| keyed.names(part));
    if !named
        || keyed.link == Link::Told
        || PUBLIC.iter().any(|part| keyed.names(part))
        || !is_whole_word(keyed)
    {
        return None;
    }
    let part = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'_' | b'-' | b'.' | b'=' | b'+' | b'/' | b'~' | b':' | b'%' | b'@'
            )
    };
    if !value.iter().all(|byte| part(*byte))
        || is_reference(value)
        || is_placeholder(value)
        || is_code(value)
        || is_word(value)
    {
        return None;
    }
    let kinds = makeup(value);
    let only_key = ![
        "token", "secret", "apikey", "api_key", "api-key", "auth", "cred", "access", "private",
        "pass", "pwd",
    ]
    .iter()
    .any(|part| keyed.names(part));
    let digits_only = kinds.digits == value.len();
    let least = if only_key { 16 } else { 10 };
    let quoted = keyed.quote != 0;
    if value.len() < least || kinds.digits == 0 || is_time(value) {
        return None;
    }
    let variety = variety(value);
    let random = if digits_only {
        // Identifiers of some vendors are digits only; shorter ones are numbers and times.
        value.len() >= 15 && variety >= 24 && !only_key
    } else if is_uuid(value) {
        !keyed.names("id") || keyed.names("client") || keyed.names("token")
    } else if kinds.digits.wrapping_add(kinds.smalls) == value.len()
        || kinds.digits.wrapping_add(kinds.capitals) == value.len()
    {
        variety >= 28 && kinds.digits >= 2
    } else {
        variety >= if only_key { 35 } else { 30 }
            && (kinds.digits >= 2
                || variety >= 37
                || variety >= 33 && kinds.capitals >= 3 && kinds.smalls >= 3 && !only_key)
    };
    let words = is_words(value);
    if !random || words {
        return None;
    }
    let sure =
        variety >= 35 && value.len() >= 20 && !only_key && (quoted || keyed.link == Link::Assigned);
    Some(keyed.found(if sure {
        Confidence::High
    } else {
        Confidence::Medium
    }))
}

/// `BUNDLE_GEMS__EXAMPLE__COM=user:password`: Bundler's credentials for a host (bundle-config(1)).
fn bundler(place: &Place<'_>) -> Option<Found> {
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
    (fits && !is_reference(value) && !is_placeholder(value)).then_some(Found {
        start: from,
        end,
        confidence: Confidence::High,
    })
}

/// The word in the name is not the end of another: `monkey`, `compass`.
fn is_whole_word(keyed: &Keyed<'_>) -> bool {
    let name = keyed.name;
    let ends = ["key", "pass", "auth"].iter().any(|word| {
        let Some(at) = name.len().checked_sub(word.len()) else {
            return false;
        };
        let (Some(head), Some(tail)) = (name.get(..at), name.get(at..)) else {
            return false;
        };
        let small = head.last().is_some_and(u8::is_ascii_lowercase)
            && tail.first().is_some_and(u8::is_ascii_lowercase);
        tail.eq_ignore_ascii_case(word.as_bytes())
            && small
            && ![
                "api",
                "secret",
                "access",
                "private",
                "auth",
                "master",
                "account",
                "storage",
                "encryption",
                "signing",
                "user",
                "service",
                "license",
                "app",
                "db",
                "client",
            ]
            .iter()
            .any(|known| head.to_ascii_lowercase().ends_with(known.as_bytes()))
    });
    !ends
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

/// `2024-03-09T11:02:41Z`, `12:30:00`
fn is_time(value: &[u8]) -> bool {
    let marked = value.iter().any(|byte| !byte.is_ascii_digit());
    matches!(value, [y, _, _, _, b'-', _, _, b'-', ..] if y.is_ascii_digit())
        || marked
            && value
                .iter()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'-' | b'/'))
}

/// Words joined by marks, perhaps with a short number: `gpt-4o-2024`, `user_id_2`, `sha256-fips`.
fn is_words(value: &[u8]) -> bool {
    let mut words = 0usize;
    let mut others = 0usize;
    for part in value.split(|byte| matches!(byte, b'_' | b'-' | b'.' | b'/' | b':' | b'@' | b'=')) {
        let letters = part.iter().all(u8::is_ascii_lowercase)
            || part.iter().all(u8::is_ascii_uppercase)
            || part.split_first().is_some_and(|(first, rest)| {
                first.is_ascii_uppercase() && rest.iter().all(u8::is_ascii_lowercase)
            });
        let number = part.iter().all(u8::is_ascii_digit) && part.len() <= 4;
        let versioned = part.len() <= 4;
        if letters && part.len() > 1 {
            words = words.wrapping_add(1);
        } else if !number && !versioned {
            others = others.wrapping_add(1);
        }
    }
    words >= 1 && others == 0
}
