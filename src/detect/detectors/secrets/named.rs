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
    let contains = |part: &[u8]| value.windows(part.len()).any(|window| window == part);
    let name = |part: &[u8]| {
        !part.is_empty()
            && part
                .iter()
                .all(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
    };
    let dotted = value.contains(&b'.') && value.split(|byte| *byte == b'.').all(name);
    let slashes = value.iter().filter(|byte| **byte == b'/').count();
    let absolute = value.starts_with(b"/") && slashes > 1 && makeup(value).digits == 0;
    let relative = [&b"./"[..], b"../", b"~/"]
        .iter()
        .any(|start| value.starts_with(start));
    let marks: [&[u8]; 6] = [b"://", b"()", b"->", b"::", b"([", b"(\""];
    dotted || absolute || relative || marks.iter().any(|mark| contains(mark))
}
