//! UTF-8, checked many bytes at a time. In WebAssembly the standard library looks at eight together, and at one for what is
//! to be read in any case ([`lossy`]).

use std::borrow::Cow;
use std::str::Utf8Error;

/// Bytes as text.
///
/// # Errors
/// They are not UTF-8, and where.
pub fn text(bytes: &[u8]) -> Result<&str, Utf8Error> {
    simdutf8::basic::from_utf8(bytes).or_else(|_| std::str::from_utf8(bytes))
}

/// Bytes as text, with U+FFFD for what is not UTF-8.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    text(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}
