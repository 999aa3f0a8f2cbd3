//! Texts that stand in base64: documents whose type says that they are text, and bodies inside a body.

use super::{Origin, Reader};
use crate::diag::codes;
use crate::wire::json::{Doc, Value, quote};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::rc::Rc;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Undoes base64 in either alphabet, padded or not, broken into lines or not: servers differ in what they accept, and what
/// one of them reads has to be judged.
fn decode(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains(['-', '_']) {
        URL_SAFE
    } else {
        STANDARD
    };
    if text.contains(|c: char| c.is_ascii_whitespace()) {
        let joined: String = text.split_ascii_whitespace().collect();
        engine.decode(joined).ok()
    } else {
        engine.decode(text).ok()
    }
}

/// Whether a media type or a file's format says that the bytes are text.
pub(in crate::protocol) fn is_textual(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "txt"
                | "csv"
                | "html"
                | "md"
                | "json"
                | "application/json"
                | "application/xml"
                | "application/yaml"
                | "application/javascript"
                | "application/x-javascript"
                | "application/x-python"
        )
}

impl<'b> Reader<'b> {
    /// A string of base64 that holds a text; it is judged and can't be edited. Whether it could be read.
    pub fn base64_text(&mut self, value: Value<'_>, origin: &Origin) -> bool {
        let Some(bytes) = value.text().and_then(|text| decode(&text)) else {
            return false;
        };
        let mut json = Vec::with_capacity(bytes.len().saturating_add(2));
        quote(&String::from_utf8_lossy(&bytes), &mut json);
        let Ok(doc) = self.nest.open_decoded(value, json) else {
            return false;
        };
        self.claim(value);
        self.text(doc.root(), origin);
        true
    }

    /// A string of base64 that holds JSON which is read as a body of its own: whatever no reader claims in it is told as
    /// unknown text.
    pub fn base64_body(&mut self, value: Value<'_>) -> Option<Rc<Doc<'b>>> {
        self.claim(value);
        let Some(bytes) = value.text().and_then(|text| decode(&text)) else {
            self.problem(codes::AG2001, value, "base64 is expected here".to_owned());
            return None;
        };
        match self.nest.open_decoded(value, bytes) {
            Ok(doc) => {
                let nodes = crate::wire::span::index(doc.len());
                self.claimed_inside
                    .insert(doc.root().place().doc, vec![false; nodes]);
                Some(doc)
            }
            Err(error) => {
                self.problem(
                    super::code_of(error),
                    value,
                    format!("inside base64: {error}"),
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_undone_in_every_spelling() {
        for text in ["aGk/Pj8+", "aGk_Pj8-", "aGk/\r\nPj8+\n"] {
            assert_eq!(
                decode(text).as_deref(),
                Some(b"hi?>?>".as_slice()),
                "{text}"
            );
        }
        for text in ["aGk=", "aGk", "aGl="] {
            assert_eq!(decode(text).as_deref(), Some(b"hi".as_slice()), "{text}");
        }
        assert_eq!(decode("a?"), None);
    }

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
