//! Texts in base64: documents whose media type is text, and bodies inside a body.
//!
//! ```text
//! {"source":{"type":"base64","media_type":"text/plain","data":"UmFpbg=="}}     contains the text `Rain`
//! ```

use super::embedded::{decode_base64, is_text_type};
use super::{Origin, Reader, code_of, is_encoded};
use crate::diag::codes;
use crate::event::Class;
use crate::wire::json::Value;
use crate::wire::letter_case;
use std::borrow::Cow;
use std::ops::Range;

/// Returns whether the bytes of a media type or of a file's format are text.
pub(in crate::protocol) fn is_textual(kind: &str) -> bool {
    (!kind.is_empty() && is_text_type(kind))
        || matches!(
            letter_case::ascii_lower(kind).as_str(),
            "txt" | "csv" | "html" | "md" | "json"
        )
}

impl Reader<'_> {
    /// Reads a base64 string that contains a text, which is evaluated and cannot be edited. Returns whether all of it
    /// was read.
    pub fn base64_text(&mut self, value: Value<'_>, origin: &Origin) -> bool {
        let Some((texts, is_whole)) = self.base64_texts(value) else {
            return false;
        };
        self.emit_decoded(value, texts, origin);
        is_whole
    }

    /// Registers the texts of such a string without an event, and returns whether they are all of it: bytes of another
    /// charset differ from their text.
    pub fn base64_texts(&mut self, value: Value<'_>) -> Option<(Range<u32>, bool)> {
        let written = value.text()?;
        let bytes = decode_base64(&written)?;
        let text = String::from_utf8_lossy(&bytes);
        let is_whole = matches!(text, Cow::Borrowed(_)) && !bytes.contains(&0);
        let mut texts = self.decoded_texts(value, &text)?;
        // Words are a text to whoever does not decode them.
        if !is_encoded(written.as_bytes()) {
            texts.end = self.register_text(value, Class::Unknown).end;
        }
        Some((texts, is_whole))
    }

    /// Reads a base64 string that contains JSON as a body of its own. Values that `read` does not claim are unknown
    /// text.
    pub fn base64_body(&mut self, value: Value<'_>, read: &mut dyn FnMut(&mut Self, Value<'_>)) {
        self.claim(value);
        let Some(bytes) = value.text().and_then(|text| decode_base64(&text)) else {
            self.problem(codes::AG2001, value, "base64 is expected here");
            return;
        };
        match self.json.open_decoded(value, bytes) {
            Ok(doc) => self.inside(&doc, read),
            Err(error) => {
                let what = format!("inside base64: {error}");
                self.problem(code_of(error), value, &what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_are_text_are_known() {
        for kind in [
            "text/plain",
            "TEXT/HTML; charset=utf-8",
            "application/ld+json",
            "csv",
        ] {
            assert!(is_textual(kind), "{kind}");
        }
        for kind in ["application/pdf", "image/png", "docx", ""] {
            assert!(!is_textual(kind), "{kind}");
        }
    }
}
