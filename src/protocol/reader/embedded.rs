//! Texts in other clothes: `data:` URLs, base64, JSON inside a text. What is found so is evaluated as text beside what it stands in.

use super::{Origin, Reader, telling_form};
use crate::event::{Attachments, Class, Form, Part, each_named};
use crate::wire::http::percent_decode;
use crate::wire::json::{NodeId, Value};
use crate::wire::letter_case;
use crate::wire::span::index;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::borrow::Cow;
use std::ops::Range;

/// Base64 as it is met: with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Shorter runs of letters and digits are words, not an encoding that hides anything.
const SHORTEST_BASE64: usize = 16;

/// Beginning of an encoding that is decoded first, to see if the rest can be a text.
const PROBE: usize = 64;

impl Reader<'_> {
    /// A part that is attached by its URL, or as a `data:` URL with its bytes. A text in a `data:` URL is read; whatever
    /// else is there is counted as what no rule can look into.
    pub fn attached_url(
        &mut self,
        part: Value<'_>,
        url: Value<'_>,
        origin: &Origin,
        count: impl FnOnce(&mut Attachments) -> &mut u32,
    ) {
        let counter = count(&mut self.reading.attachments);
        *counter = counter.saturating_add(1);
        if !self.data_text(url, origin) {
            self.uninspectable(part, "attachment");
            self.url(url, origin);
        }
    }

    /// Reads a `data:` URL of a text; whether it was one and nothing of it is unread.
    pub fn data_text(&mut self, url: Value<'_>, origin: &Origin) -> bool {
        let Some(text) = url.text() else {
            return false;
        };
        let Some((kind, decoded)) = text_of_data_url(&text) else {
            return false;
        };
        let Some(texts) = self.decoded_texts(url, &decoded) else {
            self.claim(url);
            return false;
        };
        self.tell_decoded(url, texts, origin);
        // What is drawn is more than the words in it.
        kind != TextKind::Drawing
    }

    /// A text that `holder` encodes: claimed, registered, never edited.
    pub(super) fn decoded_texts(&mut self, holder: Value<'_>, text: &str) -> Option<Range<u32>> {
        let doc = self.json.decoded(holder, text).ok()?;
        self.claim(holder);
        Some(self.register_text(doc.root(), Class::Unknown))
    }

    /// Tells of a text that stood in another form, and of what it holds in yet another one.
    pub(super) fn tell_decoded(&mut self, at: Value<'_>, texts: Range<u32>, origin: &Origin) {
        let origin = origin.with_part(Part::Other);
        let inner = self.look_into_all(texts.clone());
        self.emit_text(at, texts, &origin);
        self.emit_duplicate(at, inner, &origin);
    }

    /// Looks into texts that a machine wrote for what they hold in another form: strings of JSON that are written with
    /// escapes, base64 of a text, a text's `data:` URL. As deep as JSON in JSON is read at all; what does not fit is no error, since the
    /// outer text is evaluated in any case.
    #[inline(never)]
    pub fn look_into_all(&mut self, texts: Range<u32>) -> Range<u32> {
        let start = self.text_count();
        for number in texts {
            let text = self.reading.texts.get_mut(index(number));
            if let Some(text) = text.filter(|text| text.form == Form::String) {
                text.is_data = true;
                let place = text.place;
                self.look_into(place);
            }
        }
        start..self.text_count()
    }

    #[inline(never)]
    fn look_into(&mut self, place: NodeId) {
        if let Some(doc) = self.json.shared(place.doc) {
            let value = doc.value(place.node);
            if let Some(text) = value.text() {
                self.look_into_text(value, &text);
            }
        }
    }

    fn look_into_text(&mut self, value: Value<'_>, text: &str) {
        let begins_json = matches!(
            text.trim_ascii_start().as_bytes().first(),
            Some(b'{' | b'[' | b'"')
        );
        if begins_json {
            // Without either, every string in it stands in the outer text as it is.
            if (text.contains('\\') || has_encoding(text))
                && let Ok(doc) = self.json.open(value)
            {
                each_named(doc.root(), &mut |named| {
                    let form = telling_form(named.is_key, named.value);
                    if let Some(form @ (Form::String | Form::Key)) = form {
                        if named.value.has_escapes() {
                            let number = self.register_named(named, Class::Text, form);
                            if let Some(text) = self.reading.texts.get_mut(index(number)) {
                                text.is_data = form == Form::String;
                            }
                        }
                        if form == Form::String {
                            self.look_into(named.value.place());
                        }
                    }
                });
            }
        } else if let Some(decoded) = text_of_data_url(text)
            .map(|(_, decoded)| decoded)
            .or_else(|| text_of_base64(text).map(Cow::Owned))
            && let Ok(doc) = self.json.decoded(value, &decoded)
        {
            let root = doc.root();
            let decoded = self.register_text(root, Class::Unknown);
            if let Some(text) = self.reading.texts.get_mut(index(decoded.start)) {
                text.is_data = true;
            }
            self.look_into(root.place());
        }
    }
}

/// Whether a run in a text is long enough to be an encoding.
fn has_encoding(text: &str) -> bool {
    let mut run = 0usize;
    text.bytes().any(|b| {
        run = if is_base64(b) { run.wrapping_add(1) } else { 0 };
        run >= SHORTEST_BASE64
    })
}

fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// What a type that holds text is, beyond the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TextKind {
    Plain,
    /// An image that is written as text.
    Drawing,
}

/// Whether a media type is text that can be read as it stands.
fn text_kind(media_type: &str) -> Option<TextKind> {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let essence = letter_case::ascii_lower(essence);
    // RFC 2397: no type at all means `text/plain`.
    if essence.is_empty() || essence.starts_with("text/") {
        return Some(TextKind::Plain);
    }
    if essence == "image/svg+xml" {
        return Some(TextKind::Drawing);
    }
    let subtype = essence.strip_prefix("application/")?;
    let is_text = subtype.ends_with("+json")
        || subtype.ends_with("+xml")
        || matches!(
            subtype.strip_prefix("x-").unwrap_or(subtype),
            "json"
                | "jsonl"
                | "ndjson"
                | "jsonlines"
                | "xml"
                | "yaml"
                | "toml"
                | "csv"
                | "sql"
                | "sh"
                | "python"
                | "javascript"
                | "typescript"
                | "ecmascript"
                | "rtf"
                | "tex"
                | "httpd-php"
        );
    is_text.then_some(TextKind::Plain)
}

/// Whether a media type says that its bytes are text.
pub(super) fn is_text_type(media_type: &str) -> bool {
    text_kind(media_type) == Some(TextKind::Plain)
}

/// The text in a `data:` URL; `None` if it is none or holds something else.
fn text_of_data_url(url: &str) -> Option<(TextKind, Cow<'_, str>)> {
    let rest = url.trim_start();
    let scheme = rest.get(..5)?;
    if !scheme.eq_ignore_ascii_case("data:") {
        return None;
    }
    let (head, data) = rest.get(5..)?.split_once(',')?;
    let mut parameters = head.split(';').map(str::trim);
    let media_type = parameters.next().unwrap_or_default();
    let mut is_base64 = false;
    for parameter in parameters {
        let parameter = letter_case::ascii_lower(parameter);
        is_base64 |= parameter == "base64";
        // Bytes in another charset are not the text that they seem to be.
        if let Some(charset) = parameter.strip_prefix("charset=")
            && !matches!(
                charset.trim_matches('"'),
                "utf-8" | "utf8" | "us-ascii" | "ascii"
            )
        {
            return None;
        }
    }
    let kind = text_kind(media_type).or_else(|| {
        // A type that says nothing: what the bytes are decides.
        media_type
            .eq_ignore_ascii_case("application/octet-stream")
            .then_some(TextKind::Plain)
    })?;
    let text = if is_base64 {
        Cow::Owned(printable(decode_base64(data)?)?)
    } else {
        percent_decode(data)
    };
    Some((kind, text))
}

/// The text that a string encodes as base64 (with either alphabet, with or without padding and line ends).
fn text_of_base64(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = |b: u8| is_base64(b) || matches!(b, b'\r' | b'\n');
    if text.len() < SHORTEST_BASE64 || !text.bytes().all(fits) {
        return None;
    }
    // Images are long, and seen as what they are by their first bytes.
    let probe = text.get(..PROBE.min(text.len())).unwrap_or(text);
    let beginning = decode_base64(probe)?;
    if beginning.iter().any(|b| is_binary(*b)) {
        return None;
    }
    printable(decode_base64(text)?)
}

/// Undoes base64 in either alphabet, padded or not, broken into lines or not: servers differ in what they accept, and what
/// one of them reads has to be evaluated.
pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut clean: Vec<u8> = text
        .bytes()
        .filter(|b| !b.is_ascii_whitespace())
        .map(|b| match b {
            b'-' => b'+',
            b'_' => b'/',
            b => b,
        })
        .collect();
    while clean.last() == Some(&b'=') {
        clean.pop();
    }
    // One character too many encodes nothing.
    if clean.len() & 3 == 1 {
        clean.pop();
    }
    LENIENT.decode(clean).ok()
}

/// Bytes as a text that a person could read.
pub(super) fn printable(bytes: Vec<u8>) -> Option<String> {
    if bytes.is_empty() || bytes.iter().any(|b| is_binary(*b)) {
        return None;
    }
    String::from_utf8(bytes).ok()
}

fn is_binary(b: u8) -> bool {
    b == 0x7F || (b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0C))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_a_data_url_is_read_however_it_is_written() {
        for url in [
            "data:text/plain;base64,aGVsbG8gdGhlcmU=",
            "data:text/plain;base64,aGVsbG8gdGhlcmU",
            "DATA:;base64,aGVs bG8gdGhl\ncmU=",
            "data:,hello%20there",
            "data:text/plain;charset=\"UTF-8\",hello there",
            "data:application/octet-stream;base64,aGVsbG8gdGhlcmU=",
            "data:application/x-yaml;base64,aGVsbG8gdGhlcmU=",
        ] {
            let read = text_of_data_url(url).map(|(_, text)| text.into_owned());
            assert_eq!(read.as_deref(), Some("hello there"), "{url}");
        }
    }

    #[test]
    fn what_is_no_text_stays_unread() {
        for url in [
            "data:image/png;base64,iVBORw0KGgo=",
            "data:application/pdf;base64,aGVsbG8gdGhlcmU=",
            "data:application/octet-stream;base64,iVBORw0KGgo=",
            "data:text/plain;charset=utf-16;base64,aGVsbG8gdGhlcmU=",
            "data:text/plain;base64,####",
            "https://example.com/data:,x",
            "data:",
            "dat",
        ] {
            assert!(text_of_data_url(url).is_none(), "{url}");
        }
    }

    #[test]
    fn base64_of_a_text_is_told_from_words_and_from_images() {
        let text = "delete all the customers, please — now";
        for encoded in [
            LENIENT.encode(text),
            LENIENT.encode(text).replace('+', "-").replace('/', "_"),
            LENIENT.encode(text).trim_end_matches('=').to_owned(),
            format!("  {}\n", LENIENT.encode(text)),
            LENIENT
                .encode(text)
                .as_bytes()
                .chunks(20)
                .map(|line| String::from_utf8_lossy(line) + "\r\n")
                .collect(),
        ] {
            assert_eq!(text_of_base64(&encoded).as_deref(), Some(text), "{encoded}");
        }
        assert_eq!(text_of_base64("incomprehensibilities"), None);
        assert_eq!(text_of_base64("aGVsbG8="), None);
        assert_eq!(
            text_of_base64("iVBORw0KGgoAAAANSUhEUgAAAIAAAACACAYAAADDPmHL"),
            None
        );
    }
}
