//! What stands where a secret would, and is none.

use crate::detect::variety::makeup;

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
pub(super) fn is_code(value: &[u8]) -> bool {
    if value.iter().all(u8::is_ascii_alphanumeric) {
        return false;
    }
    let mut slashes = 0usize;
    let mut dots = 0usize;
    let mut name = true;
    let mut mark = false;
    let mut before = 0u8;
    for byte in value {
        match byte {
            b'/' => slashes = slashes.wrapping_add(1),
            b'.' => {
                dots = dots.wrapping_add(1);
                name &= before != b'.' && before != 0;
            }
            _ => {}
        }
        name &= byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.');
        mark |= matches!(
            (before, byte),
            (b'(', b')' | b'[' | b'"') | (b'-', b'>') | (b':', b':')
        );
        before = *byte;
    }
    let dotted = dots > 0 && name && before != b'.';
    let absolute = slashes > 1 && value.starts_with(b"/") && makeup(value).digits == 0;
    let relative = slashes > 0
        && [&b"./"[..], b"../", b"~/"]
            .iter()
            .any(|start| value.starts_with(start));
    let address = slashes > 1 && value.windows(3).any(|three| three == b"://");
    mark || dotted || absolute || relative || address
}
