//! Parser for `multipart/form-data` (RFC 7578): forms with files.
//!
//! With the boundary `x`, a part is `--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n`, and the
//! form ends with `--x--`.
//!
//! Multipart parsers differ more than JSON parsers: about line ends, about escapes, about which of two names counts.
//! This parser rejects every body that two parsers could read differently, so that the filter inspects what the server
//! reads.

use crate::wire::http::percent_decode;
use crate::wire::letter_case;
use crate::wire::span::Span;

/// Maximum parts of a body.
const MAX_PARTS: usize = 4096;
/// Maximum bytes of the headers of one part.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// Maximum bytes of a boundary: RFC 2046 §5.1.1.
const MAX_BOUNDARY_BYTES: usize = 70;

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormPart {
    /// The name of the field.
    pub name: String,
    /// The file name, if the part is a file.
    pub filename: Option<String>,
    /// The part's `content-type`, as it arrived.
    pub content_type: Option<String>,
    /// Other headers. No form server needs them, but they may carry text.
    pub others: Vec<String>,
    /// The byte range of the content in the body.
    pub content: Span,
}

/// The reason why a body is not a form that all servers read alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The body breaks the grammar, or uses a part of the grammar that servers read differently.
    Malformed,
    /// A header or a parameter occurs twice.
    Duplicate,
    /// A part declares a `content-transfer-encoding`.
    Encoded,
    /// A part is itself a multipart body, or the body is another multipart type.
    Nested,
    /// A name or a header is not UTF-8.
    Encoding,
    /// The body exceeds the limits for parts or header bytes.
    TooLarge,
}

/// A form that cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormError {
    /// The kind of error.
    pub kind: ErrorKind,
    /// The error message.
    pub what: &'static str,
    /// Offset of the error in the body, as far as there is one.
    pub at: usize,
}

impl std::fmt::Display for FormError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what)
    }
}

fn fail<T>(kind: ErrorKind, what: &'static str, at: usize) -> Result<T, FormError> {
    Err(FormError { kind, what, at })
}

/// Returns the boundary that a `content-type` names.
///
/// # Errors
/// The value is another type, names no boundary, or names it in a way that servers read differently.
pub fn boundary(content_type: &[u8]) -> Result<String, FormError> {
    let Ok(text) = std::str::from_utf8(content_type) else {
        return fail(ErrorKind::Encoding, "the content type is not UTF-8", 0);
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return fail(
            ErrorKind::Nested,
            "another kind of multipart than form-data",
            0,
        );
    }
    let mut boundary = None;
    each_parameter(parameters, 0, &mut |name, value| {
        if !name.eq_ignore_ascii_case("boundary") {
            return Ok(());
        }
        if boundary.replace(value).is_some() {
            return fail(ErrorKind::Duplicate, "two boundaries", 0);
        }
        Ok(())
    })?;
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    match boundary {
        None => fail(ErrorKind::Malformed, "the form names no boundary", 0),
        Some(boundary)
            if boundary.is_empty()
                || boundary.len() > MAX_BOUNDARY_BYTES
                || boundary.ends_with(' ')
                || !boundary.bytes().all(is_allowed) =>
        {
            fail(
                ErrorKind::Malformed,
                "a boundary that the standard does not allow",
                0,
            )
        }
        Some(boundary) => Ok(boundary),
    }
}

/// The line end of a body. The standard requires CRLF. Some clients write LF throughout, and servers that accept LF
/// read it alike; servers read a mixture differently.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    CrLf,
    Lf,
}

impl LineEnd {
    fn bytes(self) -> &'static [u8] {
        match self {
            LineEnd::CrLf => b"\r\n",
            LineEnd::Lf => b"\n",
        }
    }
}

/// A line that starts with the delimiter.
struct Delimiter {
    /// Offset of this line.
    start: usize,
    /// Offset of the next line.
    after: usize,
    is_last: bool,
}

/// Parses a form in time linear in `body`.
///
/// # Errors
/// Anything that two servers could read differently.
pub fn parse(body: &[u8], boundary: &str) -> Result<Vec<FormPart>, FormError> {
    let delimiter = format!("--{boundary}");
    let delimiter = delimiter.as_bytes();
    // Some clients start with the line end that belongs to the first delimiter.
    let begin = match body {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] => 1,
        _ => 0,
    };
    if !from(body, begin).starts_with(delimiter) {
        return fail(
            ErrorKind::Malformed,
            "the form does not begin with its boundary",
            0,
        );
    }
    let end = match from(body, begin).iter().position(|b| *b == b'\n') {
        Some(at) if from(body, begin).get(at.wrapping_sub(1)) == Some(&b'\r') => LineEnd::CrLf,
        _ => LineEnd::Lf,
    };
    let mut parts = Vec::new();
    let mut open: Option<usize> = None;
    let mut line = begin;
    loop {
        if from(body, line).starts_with(delimiter) {
            let found = read_delimiter(body, line, delimiter.len(), end)?;
            if let Some(start) = open {
                let content_end = before_line_end(body, found.start, end)?;
                if parts.len() >= MAX_PARTS {
                    return fail(ErrorKind::TooLarge, "too many parts", start);
                }
                parts.push(read_part(body, start, content_end, end)?);
            }
            if found.is_last {
                if !from(body, found.after).trim_ascii().is_empty() {
                    return fail(
                        ErrorKind::Malformed,
                        "bytes after the end of the form",
                        found.after,
                    );
                }
                return Ok(parts);
            }
            open = Some(found.after);
            line = found.after;
            continue;
        }
        match from(body, line).iter().position(|b| *b == b'\n') {
            Some(length) => line = line.saturating_add(length).saturating_add(1),
            None => {
                return fail(ErrorKind::Malformed, "the form does not end", line);
            }
        }
    }
}

fn from(body: &[u8], at: usize) -> &[u8] {
    body.get(at..).unwrap_or_default()
}

/// Reads the delimiter at `start`. A line with anything after the delimiter is an error: the standard ignores the rest
/// of the line, but servers don't.
fn read_delimiter(
    body: &[u8],
    start: usize,
    length: usize,
    end: LineEnd,
) -> Result<Delimiter, FormError> {
    let mut after = start.saturating_add(length);
    let mut rest = from(body, after);
    let is_last = rest.starts_with(b"--");
    if is_last {
        after = after.saturating_add(2);
        rest = from(body, after);
    }
    if rest.starts_with(end.bytes()) {
        after = after.saturating_add(end.bytes().len());
    } else if !(is_last && rest.is_empty()) {
        return fail(
            ErrorKind::Malformed,
            "a line that may or may not be a boundary",
            start,
        );
    }
    Ok(Delimiter {
        start,
        after,
        is_last,
    })
}

/// Returns the end of the content before the delimiter at `start`, without the line end that belongs to the delimiter.
fn before_line_end(body: &[u8], start: usize, end: LineEnd) -> Result<usize, FormError> {
    let before = body.get(..start).unwrap_or_default();
    match (before.strip_suffix(end.bytes()), end) {
        (Some(content), LineEnd::Lf) if content.last() != Some(&b'\r') => Ok(content.len()),
        (Some(content), LineEnd::CrLf) => Ok(content.len()),
        _ => fail(
            ErrorKind::Malformed,
            "lines of the form end in different ways",
            start,
        ),
    }
}

fn read_part(body: &[u8], start: usize, end: usize, lines: LineEnd) -> Result<FormPart, FormError> {
    let mut part = FormPart {
        name: String::new(),
        filename: None,
        content_type: None,
        others: Vec::new(),
        content: Span::new(end, end),
    };
    let mut has_disposition = false;
    let mut length: Option<usize> = None;
    let mut has_encoding = false;
    let mut at = start;
    loop {
        let rest = body.get(at..end).unwrap_or_default();
        if at.saturating_sub(start) > MAX_HEADER_BYTES {
            return fail(
                ErrorKind::TooLarge,
                "the headers of a part are too long",
                start,
            );
        }
        let Some(size) = rest.iter().position(|b| *b == b'\n') else {
            return fail(
                ErrorKind::Malformed,
                "a part without an end of its headers",
                start,
            );
        };
        let after = at.saturating_add(size).saturating_add(1);
        let line = body.get(at..after).unwrap_or_default();
        let line = match (line.strip_suffix(lines.bytes()), lines) {
            (Some(line), LineEnd::CrLf) => line,
            (Some(line), LineEnd::Lf) if line.last() != Some(&b'\r') => line,
            _ => {
                return fail(
                    ErrorKind::Malformed,
                    "lines of the form end in different ways",
                    at,
                );
            }
        };
        at = after;
        if line.is_empty() {
            break;
        }
        let (name, value) = read_header(line, at)?;
        match name.as_str() {
            "content-disposition" => {
                if std::mem::replace(&mut has_disposition, true) {
                    return fail(ErrorKind::Duplicate, "a header of a part stands twice", at);
                }
                read_disposition(value, at, &mut part)?;
            }
            "content-type" => {
                if part.content_type.replace(value.to_owned()).is_some() {
                    return fail(ErrorKind::Duplicate, "a header of a part stands twice", at);
                }
                let essence = value.split(';').next().unwrap_or_default().trim();
                if essence
                    .get(..10)
                    .is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
                {
                    return fail(ErrorKind::Nested, "a part that is a form itself", at);
                }
            }
            "content-transfer-encoding" => {
                let is_plain = ["binary", "8bit", "7bit"]
                    .iter()
                    .any(|known| value.eq_ignore_ascii_case(known));
                if !is_plain || std::mem::replace(&mut has_encoding, true) {
                    return fail(ErrorKind::Encoded, "a part that is encoded", at);
                }
            }
            "content-encoding" => return fail(ErrorKind::Encoded, "a part that is encoded", at),
            "content-length" => match value.parse() {
                Ok(bytes) if length.is_none() => length = Some(bytes),
                _ => return fail(ErrorKind::Malformed, "a length that is none", at),
            },
            _ => part.others.push(format!("{name}: {value}")),
        }
    }
    if !has_disposition {
        return fail(ErrorKind::Malformed, "a part without a name", start);
    }
    part.content = Span::new(at.min(end), end);
    if length.is_some_and(|length| length != part.content.len()) {
        return fail(
            ErrorKind::Malformed,
            "a part that is longer or shorter than it says",
            start,
        );
    }
    Ok(part)
}

/// Returns a header's name in lower case and its value.
fn read_header(line: &[u8], at: usize) -> Result<(String, &str), FormError> {
    let Ok(line) = std::str::from_utf8(line) else {
        return fail(ErrorKind::Encoding, "a header of a part is not UTF-8", at);
    };
    // Some servers read a line with a leading space as a continuation of the line before.
    match line.split_once(':') {
        Some((name, value))
            if is_token(name) && !value.bytes().any(|b| b.is_ascii_control() && b != b'\t') =>
        {
            Ok((letter_case::ascii_lower(name), value.trim()))
        }
        _ => fail(
            ErrorKind::Malformed,
            "a line of a part that is no header",
            at,
        ),
    }
}

/// Beginning of a `filename*` in UTF-8 without a language (RFC 8187).
const UTF8: &str = "utf-8''";

fn read_disposition(value: &str, at: usize, part: &mut FormPart) -> Result<(), FormError> {
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return fail(
            ErrorKind::Malformed,
            "a part that is no field of a form",
            at,
        );
    }
    let mut name = None;
    let mut filename = None;
    let mut coded = None;
    each_parameter(parameters, at, &mut |key, value| {
        let slot = if key.eq_ignore_ascii_case("name") {
            &mut name
        } else if key.eq_ignore_ascii_case("filename") {
            &mut filename
        } else if key.eq_ignore_ascii_case("filename*") {
            &mut coded
        } else {
            return fail(
                ErrorKind::Malformed,
                "a parameter of a part that servers read differently",
                at,
            );
        };
        match slot.replace(value) {
            Some(_) => fail(
                ErrorKind::Duplicate,
                "a parameter of a part stands twice",
                at,
            ),
            None => Ok(()),
        }
    })?;
    match name {
        Some(name) if !name.is_empty() => part.name = name,
        _ => return fail(ErrorKind::Malformed, "a part without a name", at),
    }
    // Some servers prefer `filename*`, some ignore it, and RFC 7578 forbids it. .NET's clients send a name in both ways.
    let is_other = |coded: String| match coded.split_at_checked(UTF8.len()) {
        Some((charset, coded)) if charset.eq_ignore_ascii_case(UTF8) => {
            filename.as_deref() != Some(&*percent_decode(coded))
        }
        _ => true,
    };
    if coded.is_some_and(is_other) {
        return fail(ErrorKind::Malformed, "a file with two names", at);
    }
    part.filename = filename;
    Ok(())
}

/// Calls `each` for the parameters of `; name=value; name="value"`. Escapes inside quotes and words of RFC 2047 (`=?…`) are
/// an error, because some servers decode them and others keep them.
fn each_parameter(
    text: &str,
    at: usize,
    visit: &mut dyn FnMut(&str, String) -> Result<(), FormError>,
) -> Result<(), FormError> {
    let broken = || fail(ErrorKind::Malformed, "a parameter that can't be read", at);
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            return broken();
        };
        let name = name.trim();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => match quoted.split_once('"') {
                Some((value, after)) if !value.contains('\\') => (value, after.trim_start()),
                _ => return broken(),
            },
            None => {
                let end = after.find(';').unwrap_or(after.len());
                let (value, after) = after.split_at_checked(end).unwrap_or((after, ""));
                let value = value.trim();
                // RFC 2045 also requires quotes around `/`, `=`, `?` and `:`; clients omit them around boundaries.
                let fits = |b: u8| is_token_byte(b) || b"/=?:".contains(&b);
                if value.is_empty() || !value.bytes().all(fits) {
                    return broken();
                }
                (value, after)
            }
        };
        if !is_token(name) || value.contains("=?") {
            return broken();
        }
        visit(name, value.to_owned())?;
        rest = match after.strip_prefix(';') {
            Some(after) => after.trim(),
            None if after.is_empty() => "",
            None => return broken(),
        };
    }
    Ok(())
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<FormPart>, FormError> {
        parse(body.as_bytes(), "X")
    }

    /// Parses a form that the test writes with LF instead of CRLF.
    fn form(body: &str) -> Result<Vec<FormPart>, FormError> {
        read(&body.replace('\n', "\r\n"))
    }

    const PLAIN: &str = "--X\nContent-Disposition: form-data; name=\"model\"\n\nwhisper-1\n--X\n\
        content-disposition: form-data; name=file; filename=\"a b.wav\"\nContent-Type: audio/wav\n\n\
        RI\nFF\n\n--X--\n";

    #[test]
    fn fields_and_files_have_their_names_types_and_bytes() {
        let body = PLAIN.replace('\n', "\r\n");
        let parts = read(&body).unwrap();
        let content = |part: &FormPart| {
            String::from_utf8_lossy(part.content.of(body.as_bytes())).into_owned()
        };
        assert_eq!(parts.len(), 2);
        assert_eq!(
            (parts[0].name.as_str(), content(&parts[0])),
            ("model", "whisper-1".to_owned())
        );
        assert_eq!(parts[0].filename, None);
        assert_eq!(parts[1].filename.as_deref(), Some("a b.wav"));
        assert_eq!(parts[1].content_type.as_deref(), Some("audio/wav"));
        assert_eq!(content(&parts[1]), "RI\r\nFF\r\n");
    }

    #[test]
    fn line_feeds_throughout_are_read_and_a_mixture_is_not() {
        assert_eq!(read(PLAIN).unwrap().len(), 2);
        assert!(read(&PLAIN.replacen('\n', "\r\n", 1)).is_err());
        assert!(read(&PLAIN.replace("\n--X--", "\r\n--X--")).is_err());
        assert!(read(&PLAIN.replace("audio/wav\n", "audio/wav\r\n")).is_err());
        // After a bare LF in a form with CRLF, some servers take a boundary as the end of the part, others as content.
        let body = PLAIN
            .replace('\n', "\r\n")
            .replace("RI\r\nFF", "RI\n--X\r\nFF");
        assert!(read(&body).is_err());
    }

    #[test]
    fn a_file_may_contain_text_that_looks_like_a_boundary() {
        let parts =
            form("--X\nContent-Disposition: form-data; name=a\n\n -- X --X\n- -X\n--X--").unwrap();
        assert_eq!(parts[0].content.len(), " -- X --X\r\n- -X".len());
    }

    #[test]
    fn forms_that_servers_read_differently_are_rejected() {
        let part = |headers: &str| format!("--X\n{headers}\n\nv\n--X--\n");
        let disposition =
            |parameters: &str| part(&format!("Content-Disposition: form-data{parameters}"));
        assert!(form(&disposition("; name=\"a\"")).is_ok());
        for (body, kind) in [
            (disposition(""), ErrorKind::Malformed),
            (disposition("; name=\"\""), ErrorKind::Malformed),
            (disposition("; name=a; name=b"), ErrorKind::Duplicate),
            (
                disposition("; name=a; filename=b; filename=c"),
                ErrorKind::Duplicate,
            ),
            (
                disposition("; name=a; filename*=utf-8''b"),
                ErrorKind::Malformed,
            ),
            (
                disposition("; name=a; filename=b; filename*=utf-8''c"),
                ErrorKind::Malformed,
            ),
            (
                disposition("; name=a; filename=b; filename*=utf-16''b"),
                ErrorKind::Malformed,
            ),
            (
                disposition("; name=a; filename=b; filename*=b"),
                ErrorKind::Malformed,
            ),
            (
                disposition("; name=a; filename=b; filename*=utf-8''b; filename*=utf-8''b"),
                ErrorKind::Duplicate,
            ),
            (disposition("; name*=utf-8''b"), ErrorKind::Malformed),
            (
                disposition("; name=\"a\\\"; filename=\"b\""),
                ErrorKind::Malformed,
            ),
            // aiohttp and werkzeug drop the backslash.
            (disposition("; name=\"mo\\del\""), ErrorKind::Malformed),
            // Tomcat decodes words of RFC 2047.
            (
                disposition("; name=\"=?utf-8?Q?model?=\""),
                ErrorKind::Malformed,
            ),
            (
                disposition("; name==?utf-8?Q?model?="),
                ErrorKind::Malformed,
            ),
            (disposition("; name=\"a\"b"), ErrorKind::Malformed),
            (disposition("; name=a b"), ErrorKind::Malformed),
            (disposition("; name"), ErrorKind::Malformed),
            (
                part("Content-Disposition: attachment; name=a"),
                ErrorKind::Malformed,
            ),
            (part("Content-Type: text/plain"), ErrorKind::Malformed),
            (
                disposition("; name=a\nContent-Disposition: form-data; name=b"),
                ErrorKind::Duplicate,
            ),
            (
                disposition("; name=a\nContent-Type: text/plain\nContent-Type: text/html"),
                ErrorKind::Duplicate,
            ),
            (
                disposition("; name=a\nContent-Type: Multipart/Mixed; boundary=Y"),
                ErrorKind::Nested,
            ),
            (
                disposition("; name=a\nContent-Transfer-Encoding: base64"),
                ErrorKind::Encoded,
            ),
            (
                disposition("; name=a\nContent-Transfer-Encoding: quoted-printable"),
                ErrorKind::Encoded,
            ),
            (
                disposition(
                    "; name=a\nContent-Transfer-Encoding: binary\nContent-Transfer-Encoding: 8bit",
                ),
                ErrorKind::Encoded,
            ),
            (
                disposition("; name=a\nContent-Encoding: gzip"),
                ErrorKind::Encoded,
            ),
            (
                disposition(&format!("; name=a{}", "\nX-Note: call me".repeat(1_000))),
                ErrorKind::TooLarge,
            ),
            (
                disposition("; name=a\nContent-Length: 2"),
                ErrorKind::Malformed,
            ),
            (disposition("; name=a;\n filename=b"), ErrorKind::Malformed),
            (disposition("; name=a\nno header"), ErrorKind::Malformed),
            (
                format!("preamble\n{}", disposition("; name=a")),
                ErrorKind::Malformed,
            ),
            (
                format!("{}epilogue", disposition("; name=a")),
                ErrorKind::Malformed,
            ),
            (
                disposition("; name=a").replace("--X--", "--X"),
                ErrorKind::Malformed,
            ),
            (
                disposition("; name=a").replace("--X--", "--Xy"),
                ErrorKind::Malformed,
            ),
            (
                disposition("; name=a").replace("--X\n", "--X \n"),
                ErrorKind::Malformed,
            ),
            (String::new(), ErrorKind::Malformed),
        ] {
            assert_eq!(form(&body).map_err(|error| error.kind), Err(kind), "{body}");
        }
    }

    #[test]
    fn a_file_whose_two_names_are_the_same_is_accepted() {
        // `MultipartFormDataContent.Add(content, name, fileName)` of .NET writes both.
        for (parameters, name) in [
            ("name=file; filename=a.wav; filename*=utf-8''a.wav", "a.wav"),
            (
                "name=file; filename=\"a b.wav\"; filename*=UTF-8''a%20b.wav",
                "a b.wav",
            ),
            ("name=file; filename*=utf-8''a.wav; filename=a.wav", "a.wav"),
        ] {
            let body = format!("--X\nContent-Disposition: form-data; {parameters}\n\nv\n--X--\n");
            let parts = form(&body).unwrap();
            assert_eq!(parts[0].filename.as_deref(), Some(name), "{parameters}");
        }
    }

    #[test]
    fn a_part_with_a_correct_content_length_is_accepted() {
        let body = "--X\nContent-Disposition: form-data; name=a\nContent-Length: 1\n\
                    Content-Transfer-Encoding: binary\nX-Note: call me\n\nv\n--X--";
        assert_eq!(form(body).unwrap()[0].others, ["x-note: call me"]);
    }

    #[test]
    fn a_boundary_is_named_once_and_in_one_way() {
        let named = |text: &str| boundary(text.as_bytes()).ok();
        assert_eq!(
            named("multipart/form-data; boundary=abc").as_deref(),
            Some("abc")
        );
        assert_eq!(
            named("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"").as_deref(),
            Some("a b")
        );
        for text in [
            "multipart/form-data",
            "multipart/mixed; boundary=a",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"\"",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=a, multipart/form-data; boundary=a",
            "multipart/form-data; boundary=a, application/json",
            "multipart/form-data; boundary=\"a\\\"b\"",
            "multipart/form-data; boundary=\"a \"",
        ] {
            assert_eq!(named(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_form_or_rejected(body in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::strategy::Just(&b"--X"[..]), proptest::strategy::Just(&b"--"[..]),
                proptest::strategy::Just(&b"\r\n"[..]), proptest::strategy::Just(&b"\n"[..]),
                proptest::strategy::Just(&b"Content-Disposition: form-data; name=\"a\""[..]),
                proptest::strategy::Just(&b"Content-Type: text/plain"[..]),
                proptest::strategy::Just(&b"\xff; filename=\"\""[..]), proptest::strategy::Just(&b"x"[..]),
            ], 0..40)) {
            let body = body.concat();
            if let Ok(parts) = parse(&body, "X") {
                for part in parts {
                    proptest::prop_assert!(!part.name.is_empty() && part.content.range().end <= body.len());
                    let content = part.content.of(&body);
                    proptest::prop_assert!(!content.starts_with(b"--X"));
                }
            }
        }
    }
}
