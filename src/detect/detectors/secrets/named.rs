//! Named values that are in the position of a secret but are none.

use crate::detect::entropy::{CharClasses, marks};

/// Values in the position of a password that are none.
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

pub(super) fn is_word(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_alphabetic)
        && WORDS
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// Returns whether a value is a path, an address or a reference in a program: `os.environ[…]`, `config.password`,
/// `getPassword()`.
pub(super) fn is_code(value: &[u8], kinds: CharClasses) -> bool {
    let pair = |first: u8, second: &[u8]| {
        value
            .windows(2)
            .any(|two| matches!(two, [a, b] if *a == first && second.contains(b)))
    };
    let mark = kinds.may_have(marks::COLON) && kinds.may_repeat() && pair(b':', b":")
        || kinds.may_have(marks::ANGLE) && pair(b'-', b">")
        || kinds.may_have(marks::BRACKET) && pair(b'(', b")[\"");
    mark || kinds.may_have(marks::DOT) && is_dotted(value)
        || kinds.may_have(marks::SLASH) && is_path_or_address(value, kinds)
}

/// Returns whether a value is words, some with numbers at their end, joined by marks: `Base64-encoded`, `AES256-GCM`,
/// `Suite1.TestLogin`.
pub(super) fn is_numbered(value: &[u8]) -> bool {
    let mut parts = value
        .split(|byte| matches!(byte, b'-' | b'_' | b'.' | b'/'))
        .map(|part| part.iter().skip_while(|byte| byte.is_ascii_alphabetic()));
    parts.clone().count() > 1 && parts.all(|mut rest| rest.all(u8::is_ascii_digit))
}

/// Returns whether a value is words joined by dots.
fn is_dotted(value: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    value
        .split(|byte| *byte == b'.')
        .all(|word| !word.is_empty() && word.iter().all(letter))
}

fn is_path_or_address(value: &[u8], kinds: CharClasses) -> bool {
    let several = value.iter().filter(|byte| **byte == b'/').count() > 1;
    let absolute = several && value.starts_with(b"/") && kinds.digits == 0;
    let relative = [&b"./"[..], b"../", b"~/"]
        .iter()
        .any(|start| value.starts_with(start));
    let address = several && value.windows(3).any(|three| three == b"://");
    absolute || relative || address
}

/// Returns whether a value is code of tool descriptions, schemas and programs: `run_in_background: false`,
/// `limit=2000`, `Option<String>`, `&mut self.buf`, `foo(bar1)`, `process.env.X`, `urn:…`, `a|b|c`, `[a-z]{3}`, `' +
/// name + '`.
pub(super) fn is_snippet(value: &[u8], kinds: CharClasses) -> bool {
    // Each of these has a mark that most values lack.
    let is_code = kinds.may_have(marks::CODE);
    kinds.may_have(marks::COLON | marks::EQUALS) && is_setting(value)
        || (is_code || value.starts_with(b"+")) && is_concatenation(value)
        || is_code && (is_call_or_type(value) || is_pattern(value) || is_choice(value))
        || (is_code || kinds.may_have(marks::COLON | marks::DOT)) && is_environment(value)
}

fn is_of_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')
}

fn identifier(value: &[u8]) -> &[u8] {
    let starts = value.first().is_some_and(|byte| !byte.is_ascii_digit());
    let len = value
        .iter()
        .take_while(|byte| is_of_identifier(**byte))
        .count();
    value.get(..len).filter(|_| starts).unwrap_or_default()
}

/// `name: value`, `name=value`, `{name: value}`, and the value is a number, a word, in quotes or in brackets.
fn is_setting(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"{").unwrap_or(value);
    let name = identifier(value);
    let rest = value.get(name.len()..).unwrap_or_default();
    let (spaced, given) = match rest {
        [b':', b' ', given @ ..] => (true, given),
        [b' ', b'=', b' ', given @ ..] => (true, given),
        [b'=' | b':', given @ ..] => (false, given),
        _ => return false,
    };
    let given = given.strip_suffix(b"}").unwrap_or(given);
    let number = || {
        given
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_'))
    };
    let quoted = matches!((given.first(), given.last()), (Some(a), Some(b)) if a == b && matches!(a, b'"' | b'\'' | b'`'));
    let word = || {
        let words = [
            &b"true"[..],
            b"false",
            b"null",
            b"none",
            b"undefined",
            b"!0",
            b"!1",
        ];
        words.iter().any(|word| given.eq_ignore_ascii_case(word))
            || spaced && identifier(given).len() == given.len()
    };
    let bracketed = matches!(given.first(), Some(b'[' | b'{' | b'(')) && given.len() > 1;
    name.len() >= 2 && !given.is_empty() && (number() || quoted || word() || bracketed)
}

/// `foo(bar1)`, `config2.auth.get(`, `Vec2::new(1)`, `Option<String>`, `&mut self.buf`, `{a: b}=f(`.
fn is_call_or_type(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"&").unwrap_or(value);
    let value = value.strip_prefix(b"mut ").unwrap_or(value);
    let path = value
        .iter()
        .take_while(|byte| is_of_identifier(**byte) || matches!(byte, b'.' | b':'))
        .count();
    let is_name = value
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$'));
    let rest = value.get(path..).unwrap_or_default();
    let called = match rest {
        [b'(', b'-', b'-', ..] => true,
        [b'(', ..] => {
            let name = value.get(..path).unwrap_or_default();
            name.contains(&b'.') || matches!(rest.last(), Some(b')' | b'('))
        }
        [b'<', ..] => rest.ends_with(b">"),
        [b'[', ..] => rest.ends_with(b"]"),
        _ => false,
    };
    // Few values contain one of the marks that these end with.
    let marked = value.iter().any(|byte| matches!(byte, b'=' | b'>' | b';'));
    let has = |part: &[u8]| marked && value.windows(part.len()).any(|window| window == part);
    let parameter = value
        .strip_prefix(b"(")
        .is_some_and(|name| identifier(name).len() == name.len());
    is_name && path >= 3 && called || parameter || has(b"}=") || has(b"=>") || has(b");")
}

/// Returns whether a value is the code between two strings of a program: `' + name + '`.
fn is_concatenation(value: &[u8]) -> bool {
    let bare = value.trim_ascii();
    let bare = match bare {
        [b'"' | b'\'' | b'`', rest @ ..] => rest.trim_ascii_start(),
        _ => bare,
    };
    let Some(rest) = bare.strip_prefix(b"+") else {
        return false;
    };
    let rest = rest.trim_ascii_start();
    let name = identifier(rest.strip_prefix(b"$").unwrap_or(rest));
    !name.is_empty()
        && (bare.len() < value.len() || rest.iter().any(|byte| matches!(byte, b'.' | b';' | b'(')))
}

/// Returns whether a value is a regular expression or a template: `(AWS[A-Z0-9]{20,})`, `key-${id}`.
fn is_pattern(value: &[u8]) -> bool {
    let classes = [&b"[a-z"[..], b"[A-Z", b"[0-9", b"(?:", b"\\d", b"\\w"];
    // Few values contain one of the marks that these begin with.
    if !value
        .iter()
        .any(|byte| matches!(byte, b'[' | b'(' | b'\\' | b'$'))
    {
        return false;
    }
    let has = |class: &&[u8]| value.windows(class.len()).any(|window| window == *class);
    let is_template = |at: usize| {
        let inside = value.get(at..).and_then(|rest| rest.strip_prefix(b"${"));
        inside.is_some_and(|inside| {
            let name = identifier(inside).len();
            name > 0 && matches!(inside.get(name), Some(b'}' | b'.' | b'(' | b'['))
        })
    };
    classes.iter().any(has) || (0..value.len()).any(is_template)
}

/// `oauth-personal|gemini-api-key|…`
fn is_choice(value: &[u8]) -> bool {
    let word = |part: &[u8]| {
        !part.is_empty()
            && part.iter().all(|byte| {
                byte.is_ascii_lowercase()
                    || matches!(byte, b'-' | b'_' | b' ' | b'.')
                    || !byte.is_ascii()
            })
    };
    value.contains(&b'|') && value.split(|byte| *byte == b'|').all(word)
}

/// Returns whether a value is the name of a variable in the environment or of a program's setting, or a name by RFC
/// 8141.
fn is_environment(value: &[u8]) -> bool {
    let names: &[&[u8]] = match value.first() {
        Some(b'p') => &[b"process.env"],
        Some(b'i') => &[b"import.meta.env"],
        Some(b'o') => &[b"os.environ", b"os.getenv"],
        Some(b'S') => &[b"System.getenv"],
        Some(b's') => &[b"std::env", b"settings.", b"self."],
        Some(b'e') => &[b"env."],
        Some(b'E') => &[b"ENV["],
        Some(b'u') => &[b"urn:"],
        Some(b'c') => &[b"config."],
        Some(b't') => &[b"this."],
        _ => return false,
    };
    names.iter().any(|name| value.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::entropy::makeup;
    use proptest::prelude::*;

    /// The same without a look at the marks of the value.
    fn is_any_snippet(value: &[u8]) -> bool {
        is_setting(value)
            || is_call_or_type(value)
            || is_concatenation(value)
            || is_pattern(value)
            || is_choice(value)
            || is_environment(value)
    }

    proptest! {
        #[test]
        fn the_marks_of_a_value_rule_out_no_snippet(
            parts in prop::collection::vec(
                prop_oneof![
                    "[ -~]{0,3}",
                    prop::sample::select(vec![
                        "limit", "=", ": ", "2000", "foo(", ")", "<T>", "&mut ", "' + ", "+name", "\"", "[a-z]", "{3}",
                        "(?:", "\\d", "${id}", "a|b", "process.env", "env.", "ENV[", "urn:", "this.", "std::env", "é",
                        "}=", "=>", ");", "import.meta.env", "settings.",
                    ]).prop_map(str::to_owned),
                ],
                0..5,
            )
        ) {
            let value = parts.concat();
            let value = value.as_bytes();
            prop_assert_eq!(is_snippet(value, makeup(value)), is_any_snippet(value));
        }
    }
}
