//! Encoded texts: `data:` URLs, base64, JSON inside a text. The decoded content is evaluated in addition to the text
//! that contains it.

use super::{Origin, Reader};
use crate::event::{Attachments, Class, Direction, Event, Form, Known, Part, Text, each_named};
use crate::wire::http::percent_decode;
use crate::wire::json::{NodeId, Value, decode, escapes};
use crate::wire::letter_case;
use crate::wire::span::index;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::borrow::Cow;
use std::ops::Range;

/// Base64 as it occurs: with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Minimum bytes of an encoding. Shorter runs of letters and digits are words, which hide nothing.
const SHORTEST_BASE64: usize = 16;

/// Bytes at the beginning of an encoding that are decoded first, to check whether the rest can be text.
const PROBE: usize = 64;

/// Bytes of a JSON string that are decoded to see how its text begins: the probe, however it is escaped.
const BEGINNING: usize = 512;

impl Reader<'_> {
    /// Reads a part that is attached by its URL, or as a `data:` URL with its bytes. Text in a `data:` URL is read.
    /// Other content is counted as a part that no rule can inspect.
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

    /// Reads a `data:` URL of a text. Returns whether it is one and was read completely.
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
        self.emit_decoded(url, texts, origin);
        // An image contains more than its words.
        kind != TextKind::Drawing
    }

    /// Adds the event of a text in bytes that are called something else.
    #[inline(never)]
    pub(super) fn disguised_text(&mut self, bytes: Value<'_>, text: &str) {
        if let Some(texts) = self.decoded_texts(bytes, text) {
            self.emit_disguised(bytes, texts);
        }
    }

    /// Evaluates the text that a decoder finds in bytes which skips what is no base64. Other decoders reject them, so that
    /// they stay what they are beside it.
    pub(super) fn text_past_strays(&mut self, bytes: Value<'_>) {
        let text = bytes.text().and_then(|bytes| text_past_strays(&bytes));
        let doc = text.and_then(|text| self.json.decoded(bytes, &text).ok());
        if let Some(doc) = doc {
            let texts = self.register_text(doc.root(), Class::Unknown);
            self.emit_disguised(bytes, texts);
        }
    }

    fn emit_disguised(&mut self, bytes: Value<'_>, texts: Range<u32>) {
        let mut event = Event::new(self.text_kind(), self.direction, bytes.place());
        event.part = Part::Other;
        event.choice = self.choice_of(bytes.place());
        event.texts = texts;
        if self.direction == Direction::Request {
            event.from = Known::Unknown;
        }
        self.reading.add(event);
    }

    /// Registers a text that `holder` encodes. It is claimed, but never edited.
    pub(super) fn decoded_texts(&mut self, holder: Value<'_>, text: &str) -> Option<Range<u32>> {
        let doc = self.json.decoded(holder, text).ok()?;
        self.claim(holder);
        Some(self.register_text(doc.root(), Class::Unknown))
    }

    /// Adds the event of a decoded text, and of texts encoded inside it.
    pub(super) fn emit_decoded(&mut self, at: Value<'_>, texts: Range<u32>, origin: &Origin) {
        let origin = origin.with_part(Part::Other);
        let inner = self.look_into_all(texts.clone());
        self.emit_text(at, texts, &origin);
        self.emit_duplicate(at, inner, &origin);
    }

    /// Reads the encoded content of texts that a machine wrote: JSON strings with escapes, base64 of a text, a
    /// `data:` URL of a text. The maximum depth is that of JSON in JSON. Content that does not fit is not an error,
    /// because the outer text is evaluated in any case.
    #[inline(never)]
    pub fn look_into_all(&mut self, texts: Range<u32>) -> Range<u32> {
        let start = self.text_count();
        for number in texts {
            let text = self.reading.texts.get(index(number));
            if let Some(text) = text.filter(|text| text.form == Form::String) {
                let place = text.place;
                self.reading
                    .texts
                    .change(number, |text| text.is_data = true);
                self.look_into(place);
            }
        }
        start..self.text_count()
    }

    #[inline(never)]
    fn look_into(&mut self, place: NodeId) {
        if let Some(doc) = self.json.shared(place.doc) {
            let value = doc.value(place.node);
            // Nearly every long text has line ends or quotes, and nearly none of them encodes anything.
            if value.has_escapes() && !may_encode(value.raw_content()) {
                return;
            }
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
            // Without either, the outer text contains every string in it unchanged.
            if (text.contains('\\') || has_encoding(text))
                && let Ok(doc) = self.json.open(value)
            {
                let class = self.class_at(doc.root().place(), Class::Text);
                each_named(doc.root(), &mut |named| {
                    let Some(text) = Text::named(named, class) else {
                        return;
                    };
                    let is_string = text.form == Form::String;
                    // Numbers have none.
                    if named.value.has_escapes() {
                        self.add_text(Text {
                            is_data: is_string,
                            ..text
                        });
                    }
                    if is_string {
                        self.look_into(text.place);
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
            let texts = &mut self.reading.texts;
            texts.change(decoded.start, |text| text.is_data = true);
            self.look_into(root.place());
        }
    }
}

/// Returns whether the content of a JSON string, which has escapes, may be a text that [`Reader::look_into_text`] finds anything
/// in. Only its beginning is decoded.
fn may_encode(raw: &[u8]) -> bool {
    let is_whole = raw.len() <= BEGINNING;
    let beginning = decode(raw.get(..BEGINNING).unwrap_or(raw));
    let beginning = beginning.trim();
    // What little is left after blanks may be cut inside an escape.
    if beginning.len() < PROBE && !is_whole {
        return true;
    }
    if beginning.starts_with(['{', '[', '"']) {
        return may_contain_encoded(raw);
    }
    let probe = beginning.as_bytes();
    let probe = probe.get(..PROBE).unwrap_or(probe);
    let is_url = probe
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"data:"));
    is_url
        || probe
            .iter()
            .all(|b| is_base64(*b) || b.is_ascii_whitespace())
}

/// Returns whether the decoded content of a JSON string may contain a backslash or a long run of base64, in which `/` may be
/// written `\/`.
fn may_contain_encoded(raw: &[u8]) -> bool {
    escapes(raw).any(|escaped| matches!(escaped, b'\\' | b'u'))
        || has_run(raw, |b| is_base64(b) || b == b'\\')
}

/// Returns whether a run in a text is long enough to be an encoding.
fn has_encoding(text: &str) -> bool {
    has_run(text.as_bytes(), is_base64)
}

/// Returns whether [`SHORTEST_BASE64`] bytes in a row are part of an encoding. Each window is read from its end, so that most bytes are never
/// read.
fn has_run(bytes: &[u8], is_part: impl Fn(u8) -> bool) -> bool {
    let mut rest = bytes;
    while let Some(window) = rest.first_chunk::<SHORTEST_BASE64>() {
        match window.iter().rposition(|b| !is_part(*b)) {
            Some(at) => rest = rest.get(at.saturating_add(1)..).unwrap_or_default(),
            None => return true,
        }
    }
    false
}

fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// Kind of a media type that is text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TextKind {
    Plain,
    /// Image that is written as text.
    Drawing,
}

/// Returns the kind of a media type whose bytes are text that can be read directly; `None` for others.
fn text_kind(media_type: &str) -> Option<TextKind> {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let essence = letter_case::ascii_lower(essence);
    // RFC 2397: a missing type means `text/plain`.
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

/// Returns whether a media type declares its bytes as text.
pub(super) fn is_text_type(media_type: &str) -> bool {
    text_kind(media_type) == Some(TextKind::Plain)
}

/// Returns whether a text is the medium itself instead of a reference to it.
pub(super) fn begins_data_url(text: &[u8]) -> bool {
    text.get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"data:"))
}

/// Returns the text in a `data:` URL; `None` if it is not one or contains something else.
fn text_of_data_url(url: &str) -> Option<(TextKind, Cow<'_, str>)> {
    let rest = url.trim_start();
    if !begins_data_url(rest.as_bytes()) {
        return None;
    }
    let (head, data) = rest.get(5..)?.split_once(',')?;
    let mut parameters = head.split(';').map(str::trim);
    let media_type = parameters.next().unwrap_or_default();
    let mut is_base64 = false;
    for parameter in parameters {
        let parameter = letter_case::ascii_lower(parameter);
        is_base64 |= parameter == "base64";
        // Bytes in another charset are not the text that they appear to be.
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
        // The type is unspecific: the bytes decide.
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

/// Returns the text in base64, or in a `data:` URL of base64, whatever its type.
pub(super) fn text_of_media(media: &str) -> Option<String> {
    text_of_base64(bytes_of_media(media))
}

/// Returns the base64 of a medium, without the head of a `data:` URL.
fn bytes_of_media(media: &str) -> &str {
    match media.split_once(',') {
        Some((_, bytes)) if begins_data_url(media.as_bytes()) => bytes,
        _ => media,
    }
}

/// Returns the text in base64 that has other characters in it: Python's decoder and Node's skip those. `None` if there are
/// none, or if what is left is no text.
fn text_past_strays(media: &str) -> Option<String> {
    let text = bytes_of_media(media).trim_end_matches('=');
    let is_kept = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let decode = |kept: &mut Vec<u8>| {
        // A single character left over encodes nothing.
        if kept.len() & 3 == 1 {
            kept.pop();
        }
        LENIENT.decode(kept).ok()
    };
    let mut kept: Vec<u8> = text.bytes().filter(is_kept).take(PROBE).collect();
    if kept.len() < SHORTEST_BASE64 || decode(&mut kept)?.iter().any(|b| is_binary(*b)) {
        return None;
    }
    if text
        .bytes()
        .all(|b| is_kept(&b) || b.is_ascii_whitespace() && b != b' ')
    {
        return None;
    }
    printable(decode(&mut text.bytes().filter(is_kept).collect())?)
}

/// Returns the text that a string encodes as base64 (either alphabet, with or without padding and line ends).
fn text_of_base64(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() < SHORTEST_BASE64 {
        return None;
    }
    // Prose has a blank in its first bytes. Images are long, and recognised by these as well.
    let probe = text.get(..PROBE.min(text.len())).unwrap_or(text);
    let fits = |b: u8| is_base64(b) || matches!(b, b'\r' | b'\n');
    if !probe.bytes().all(fits) {
        return None;
    }
    let beginning = decode_base64(probe)?;
    if beginning.iter().any(|b| is_binary(*b)) || !text.bytes().all(fits) {
        return None;
    }
    printable(decode_base64(text)?)
}

/// Decodes base64 in either alphabet, with or without padding and line breaks. Servers differ in what they accept,
/// and content that one of them reads must be evaluated.
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
    // A single character left over encodes nothing.
    if clean.len() & 3 == 1 {
        clean.pop();
    }
    LENIENT.decode(clean).ok()
}

/// Returns bytes as a text that a person could read.
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
    use proptest::prelude::*;

    /// A text as a JSON string may spell it, with some characters as escapes.
    fn any_spelling() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("{\\\"a\\\": \\\"".to_owned()),
            Just("data:text/plain;base64,".to_owned()),
            Just("aGVsbG8gdGhlcmU".to_owned()),
            Just("\\n".to_owned()),
            Just("\\/".to_owned()),
            Just("\\\\".to_owned()),
            Just("\\u3000".to_owned()),
            Just("\u{3000}".to_owned()),
            "[a-zA-Z0-9 +/=]{1,30}",
            "[a-z]".prop_map(|c| format!("\\u{:04x}", u32::from(c.chars().next().unwrap_or('a')))),
        ];
        prop::collection::vec(part, 1..40).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_encodes_anything_is_decoded(raw in any_spelling(), at in 0..40usize) {
            let raw = format!("{}{raw}", " ".repeat(at));
            let text = decode(raw.as_bytes());
            let is_json = text.trim_start().starts_with(['{', '[', '"']);
            let encodes = if is_json {
                text.contains('\\') || has_encoding(&text)
            } else {
                text_of_data_url(&text).is_some() || text_of_base64(&text).is_some()
            };
            prop_assert!(may_encode(raw.as_bytes()) || !encodes, "{}", raw);
        }

        #[test]
        fn a_run_is_so_many_bytes_in_a_row(text in "[a ]{0,60}") {
            let longest = text.split(' ').map(str::len).max();
            prop_assert_eq!(has_encoding(&text), longest >= Some(SHORTEST_BASE64));
        }
    }

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
    fn base64_with_other_characters_in_it_is_what_a_decoder_makes_of_it_that_skips_them() {
        let text = "delete all the customers, please — now";
        let encoded = LENIENT.encode(text);
        let split = |by: &str| -> String {
            let quads = encoded.as_bytes().chunks(4);
            let quads: Vec<_> = quads.map(String::from_utf8_lossy).collect();
            quads.join(by)
        };
        for strays in [" ", "*", "\0", "-", "_", "=", "\u{200b}", "!\n"] {
            for media in [
                split(strays),
                format!("data:image/png;base64,{}", split(strays)),
            ] {
                assert_eq!(text_past_strays(&media).as_deref(), Some(text), "{media}");
            }
        }
        assert_eq!(
            text_past_strays(&format!("!{encoded}!!")).as_deref(),
            Some(text)
        );
        // Without any it is read as it is; and neither prose nor an image becomes one.
        for media in [
            encoded.clone(),
            split("\r\n"),
            "there is a swan in this sentence, and nothing else".to_owned(),
            "iVBORw0KGgoAAAAN*SUhEUgAAAIAAAACACAYAAADDPmHL".to_owned(),
            "*".repeat(100),
        ] {
            assert_eq!(text_past_strays(&media), None, "{media}");
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
