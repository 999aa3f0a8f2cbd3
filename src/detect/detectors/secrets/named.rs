//! What stands where a secret would, and is none.

use crate::detect::variety::{Makeup, marks};

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

pub(super) fn is_word(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_alphabetic)
        && WORDS
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// A path, an address or a reference to something in a program: `os.environ[…]`, `config.password`, `getPassword()`.
pub(super) fn is_code(value: &[u8], kinds: Makeup) -> bool {
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

/// Words with numbers behind some, and marks between them: `Base64-encoded`, `AES256-GCM`, `Suite1.TestLogin`.
pub(super) fn is_numbered(value: &[u8]) -> bool {
    let mut parts = value
        .split(|byte| matches!(byte, b'-' | b'_' | b'.' | b'/'))
        .map(|part| part.iter().skip_while(|byte| byte.is_ascii_alphabetic()));
    parts.clone().count() > 1 && parts.all(|mut rest| rest.all(u8::is_ascii_digit))
}

/// Words with a dot between each two.
fn is_dotted(value: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    value
        .split(|byte| *byte == b'.')
        .all(|word| !word.is_empty() && word.iter().all(letter))
}

fn is_path_or_address(value: &[u8], kinds: Makeup) -> bool {
    let several = value.iter().filter(|byte| **byte == b'/').count() > 1;
    let absolute = several && value.starts_with(b"/") && kinds.digits == 0;
    let relative = [&b"./"[..], b"../", b"~/"]
        .iter()
        .any(|start| value.starts_with(start));
    let address = several && value.windows(3).any(|three| three == b"://");
    absolute || relative || address
}
