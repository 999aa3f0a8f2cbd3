//! Forms with files, as JSON documents with a member for each field. A form cannot be edited: a redaction in it is a
//! denial.
//!
//! ```text
//! --b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--      becomes {"model":"whisper-1"}
//! ```

use super::embedded::{is_text_type, printable};
use super::{Bounds, Origin, Reader, unreadable};
use crate::diag::codes;
use crate::event::{Author, Direction, Part, Problem};
use crate::wire::http::{ContentType, MediaType, percent_decode};
use crate::wire::json::{self, JsonBody, Limits, Value, quote};
use crate::wire::letter_case;
use crate::wire::multipart::{self, ErrorKind, FormError};
use crate::wire::sort;

/// Members of a file.
const FILE: &[&str] = &["filename", "content_type", "text", "lines", "bytes"];

/// Fields of a form that may be present more than once (RFC 8707).
const REPEATED: &[&str] = &["resource"];

/// Key of headers of parts that no server of a form needs.
const PART_HEADERS: &str = "part headers";

fn broken(error: FormError) -> Problem {
    Problem {
        code: match error.kind {
            ErrorKind::Malformed => codes::AG2001,
            ErrorKind::Duplicate => codes::AG2002,
            ErrorKind::TooLarge => codes::AG2004,
            ErrorKind::Encoded => codes::AG2005,
            ErrorKind::Nested => codes::AG2006,
            ErrorKind::Encoding => codes::AG2009,
        },
        at: format!("byte {}", error.at),
        what: error.to_string(),
    }
}

fn problem(code: &'static str, name: &str, what: &str) -> Problem {
    Problem {
        code,
        at: format!("/{}", name.replace('~', "~0").replace('/', "~1")),
        what: what.to_owned(),
    }
}

impl<'b> Reader<'b> {
    /// Reads a form as an object. A field is a string; a name that ends in `[]` is a list; a file is an object with its
    /// `filename`, its `content_type`, and its `text`, its `lines` (for JSON lines) or its number of `bytes`.
    ///
    /// # Errors
    /// The problem that makes the whole body unreadable.
    pub fn form(
        body: &[u8],
        content_type: &[u8],
        direction: Direction,
        bounds: Bounds,
    ) -> Result<Reader<'b>, Problem> {
        let limits = Limits {
            max_depth: bounds.max_depth,
        };
        let boundary = multipart::boundary(content_type).map_err(broken)?;
        let parts = multipart::parse(body, &boundary).map_err(broken)?;
        let mut names: Vec<&str> = Vec::new();
        let mut doc = b"{".to_vec();
        let mut headers: Vec<&str> = Vec::new();
        let mut sorted: Vec<&multipart::FormPart> = parts.iter().collect();
        sort::sort_by(&mut sorted, |a, b| a.name.cmp(&b.name));
        for group in sorted.chunk_by(|a, b| a.name == b.name) {
            let Some(first) = group.first() else { continue };
            let is_list = first.name.ends_with("[]");
            if group.len() > 1 && !is_list {
                return Err(problem(
                    codes::AG2002,
                    &first.name,
                    "a field of the form stands twice",
                ));
            }
            if !names.is_empty() {
                doc.push(b',');
            }
            names.push(&first.name);
            quote(&first.name, &mut doc);
            doc.extend_from_slice(if is_list { b":[" } else { b":" });
            for (at, part) in group.iter().enumerate() {
                if at > 0 {
                    doc.push(b',');
                }
                write_part(body, part, limits, &mut doc)?;
                headers.extend(part.others.iter().map(String::as_str));
            }
            if is_list {
                doc.push(b']');
            }
        }
        if !headers.is_empty() {
            if !names.is_empty() {
                doc.push(b',');
            }
            quote(PART_HEADERS, &mut doc);
            doc.push(b':');
            quote(&headers.join("\n"), &mut doc);
        }
        doc.push(b'}');
        let json = JsonBody::derived(doc, limits, bounds.nested_json).map_err(unreadable)?;
        let mut reader = Self::over(json, direction, bounds);
        reader.is_form = true;
        Ok(reader)
    }

    /// Reads `application/x-www-form-urlencoded` as an object of strings.
    ///
    /// # Errors
    /// The problem that makes the whole body unreadable.
    pub fn fields(
        body: &[u8],
        direction: Direction,
        bounds: Bounds,
    ) -> Result<Reader<'b>, Problem> {
        let limits = Limits {
            max_depth: bounds.max_depth,
        };
        let text = std::str::from_utf8(body)
            .map_err(|_| problem(codes::AG2009, "", "the form is not UTF-8"))?;
        let decoded = |text: &str| percent_decode(&text.replace('+', " ")).into_owned();
        let mut pairs: Vec<(String, String)> = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        sort::sort_by(&mut pairs, |a, b| a.0.cmp(&b.0));
        let mut doc = b"{".to_vec();
        for group in pairs.chunk_by(|a, b| a.0 == b.0) {
            let Some((name, value)) = group.first() else {
                continue;
            };
            if group.len() > 1 && !REPEATED.contains(&name.as_str()) {
                let what = "a field of the form stands twice";
                return Err(problem(codes::AG2002, "", what));
            }
            if doc.len() > 1 {
                doc.push(b',');
            }
            quote(name, &mut doc);
            doc.push(b':');
            if group.len() == 1 {
                quote(value, &mut doc);
                continue;
            }
            for (at, (_, value)) in group.iter().enumerate() {
                doc.push(if at == 0 { b'[' } else { b',' });
                quote(value, &mut doc);
            }
            doc.push(b']');
        }
        doc.push(b'}');
        let json = JsonBody::derived(doc, limits, bounds.nested_json).map_err(unreadable)?;
        let mut reader = Self::over(json, direction, bounds);
        reader.is_form = true;
        Ok(reader)
    }

    /// Reads a body that is one file, as if it were the only field of a form, named `file`.
    ///
    /// # Errors
    /// The problem that makes the whole body unreadable.
    pub fn whole_file(
        body: &[u8],
        content_type: Option<&[u8]>,
        direction: Direction,
        bounds: Bounds,
    ) -> Result<Reader<'b>, Problem> {
        let limits = Limits {
            max_depth: bounds.max_depth,
        };
        let content_type = content_type.map(|value| String::from_utf8_lossy(value).into_owned());
        let mut doc = br#"{"file":"#.to_vec();
        write_file(body, "", content_type.as_deref(), limits, &mut doc);
        doc.push(b'}');
        let json = JsonBody::derived(doc, limits, bounds.nested_json).map_err(unreadable)?;
        Ok(Self::over(json, direction, bounds))
    }

    /// Reads a file of a form, or several: its name, and its content if it is text. Returns the records of JSON lines;
    /// the caller reads them, otherwise they are unknown text. A field without a filename is a text.
    pub fn file<'v>(&mut self, file: Value<'v>) -> Option<Value<'v>> {
        let origin = Origin::of(Author::User, Part::Other);
        let mut lines = None;
        match file.kind() {
            json::ValueKind::Array => {
                self.claim(file);
                for file in file.elements() {
                    self.file(file);
                }
            }
            json::ValueKind::Object => self.object(file, FILE, |reader, key, value| match key {
                "filename" | "text" => {
                    let texts = reader.text(value, &origin);
                    let inner = reader.look_into_all(texts);
                    reader.emit_duplicate(value, inner, &origin);
                }
                "content_type" => reader.id(value),
                "lines" => lines = Some(value),
                _ => {
                    reader.claim(value);
                    reader.uninspectable(file, "attachment");
                }
            }),
            _ => {
                self.text(file, &origin);
            }
        }
        lines
    }
}

fn write_part(
    body: &[u8],
    part: &multipart::FormPart,
    limits: Limits,
    doc: &mut Vec<u8>,
) -> Result<(), Problem> {
    let content = part.content.of(body);
    let kind = part.content_type.as_deref();
    if let Some(filename) = &part.filename {
        write_file(content, filename, kind, limits, doc);
        return Ok(());
    }
    let foreign = ContentType::parse(kind.map(str::as_bytes)).foreign_charset;
    match std::str::from_utf8(content) {
        // RFC 7578 §4.6: a field of this name sets the charset of all others.
        Ok(text)
            if !foreign
                && (part.name != "_charset_" || text.trim().eq_ignore_ascii_case("utf-8")) =>
        {
            quote(text, doc);
            Ok(())
        }
        _ => Err(problem(
            codes::AG2009,
            &part.name,
            "a field of the form is not UTF-8",
        )),
    }
}

/// Returns a file as an object. Servers determine its type by the name, by the media type or by the bytes. Any content
/// that is valid text is read, and only content that is declared as text counts as read in full.
fn write_file(
    content: &[u8],
    filename: &str,
    content_type: Option<&str>,
    limits: Limits,
    doc: &mut Vec<u8>,
) {
    let media = ContentType::parse(content_type.map(str::as_bytes));
    doc.extend_from_slice(br#"{"filename":"#);
    quote(filename, doc);
    if let Some(content_type) = content_type {
        doc.extend_from_slice(br#","content_type":"#);
        quote(content_type, doc);
    }
    let extension = filename
        .rsplit_once('.')
        .map_or(String::new(), |(_, extension)| {
            letter_case::ascii_lower(extension)
        });
    let calls_itself_lines =
        media.media == MediaType::JsonLines || matches!(extension.as_str(), "jsonl" | "ndjson");
    let mut is_read = false;
    if calls_itself_lines
        && let Ok(json) = JsonBody::scan_lines(content, limits, 0)
        && let Some(lines) = json.body()
    {
        doc.extend_from_slice(br#","lines":"#);
        doc.extend_from_slice(lines.bytes());
        is_read = true;
    } else if let Some(text) = printable(content.to_vec()) {
        doc.extend_from_slice(br#","text":"#);
        quote(&text, doc);
        is_read = !media.foreign_charset
            && content_type.is_none_or(|kind| {
                is_text_type(kind) || kind.eq_ignore_ascii_case("application/octet-stream")
            });
    }
    if !is_read && !content.is_empty() {
        doc.extend_from_slice(br#","bytes":"#);
        doc.extend_from_slice(content.len().to_string().as_bytes());
    }
    doc.push(b'}');
}
