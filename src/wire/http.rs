//! HTTP syntax that decides how a body is parsed: content types, content codings, paths and queries.

use crate::wire::letter_case;
use std::borrow::Cow;

/// The media type that a message declares. It is only a hint: the filter inspects what a server would read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// No `content-type` at all.
    Absent,
    /// `application/json` and everything `+json`.
    Json,
    /// `text/event-stream`.
    EventStream,
    /// `application/x-ndjson`, `application/stream+json`, `application/jsonl`.
    JsonLines,
    /// `application/vnd.amazon.eventstream`.
    AmazonEventStream,
    /// `multipart/form-data`.
    Multipart,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `text/…`.
    Text,
    /// Anything else.
    Other,
}

/// A parsed `content-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// Type and subtype.
    pub media: MediaType,
    /// Whether a `charset` parameter names an encoding other than UTF-8 or its subset ASCII.
    pub foreign_charset: bool,
}

impl ContentType {
    /// Parses a `content-type` value; `None` is a missing header. A value that is not UTF-8 is [`MediaType::Other`].
    pub fn parse(value: Option<&[u8]>) -> ContentType {
        let Some(value) = value else {
            return ContentType {
                media: MediaType::Absent,
                foreign_charset: false,
            };
        };
        let value = letter_case::ascii_lower(&String::from_utf8_lossy(value));
        let mut parts = value.split(';');
        let essence = parts.next().unwrap_or_default().trim();
        let media = match essence {
            "" => MediaType::Absent,
            "text/event-stream" => MediaType::EventStream,
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonl"
            | "application/stream+json" => MediaType::JsonLines,
            "application/vnd.amazon.eventstream" => MediaType::AmazonEventStream,
            "application/x-www-form-urlencoded" => MediaType::Form,
            "application/json" | "text/json" => MediaType::Json,
            _ if essence.ends_with("+json") => MediaType::Json,
            _ if essence.starts_with("multipart/") => MediaType::Multipart,
            // JSONP is a script, not a text.
            "text/javascript" => MediaType::Other,
            _ if essence.starts_with("text/") => MediaType::Text,
            _ => MediaType::Other,
        };
        let foreign_charset = parts
            .filter_map(|parameter| parameter.split_once('='))
            .filter(|(name, _)| name.trim() == "charset")
            .any(|(_, value)| {
                !matches!(
                    value.trim().trim_matches('"'),
                    "utf-8" | "utf8" | "us-ascii" | "ascii"
                )
            });
        ContentType {
            media,
            foreign_charset,
        }
    }
}

/// Returns whether a `content-encoding` (or a `transfer-encoding` apart from chunking) leaves the bytes unchanged. `none` is no
/// coding, and nobody decodes it: servers of event streams send it so that nothing on the way compresses them.
pub fn is_identity(encoding: &[u8]) -> bool {
    let encoding = encoding.trim_ascii();
    encoding.is_empty()
        || [&b"identity"[..], b"none"]
            .iter()
            .any(|known| encoding.eq_ignore_ascii_case(known))
}

/// A normalised request path, as servers and routers may understand it: percent-decoded, without doubled or trailing
/// slashes, with dot segments resolved, in lower case. It only serves to recognise an endpoint; the forwarded path
/// stays as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Non-empty segments, percent-decoded, in their original letter case.
    pub segments: Vec<String>,
    /// The query after the first `?`, as it arrived.
    pub query: String,
    /// Whether some servers read another path: they cut the path at a decoded `?`, `#` or NUL, or trim its segments.
    /// Such a path is never recognised as a harmless endpoint.
    pub is_odd: bool,
}

impl Path {
    /// Parses a `:path`. Percent-encoding is decoded until nothing changes, at most three times, because each proxy and
    /// server up to the handler decodes it once.
    pub fn parse(target: &str) -> Path {
        // RFC 9112 §3.2.2: a client may send a proxy the absolute form.
        let target = match target.split_once("://") {
            Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
            }
            _ => target,
        };
        let target = target.split('#').next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut decoded = Cow::Borrowed(path);
        for _ in 0..3 {
            match percent_decode(&decoded) {
                Cow::Borrowed(_) => break,
                Cow::Owned(next) => decoded = Cow::Owned(next),
            }
        }
        let mut segments: Vec<String> = Vec::new();
        // A server that decodes first takes a decoded `?` or `#` as the start of a query or fragment; NUL ends a string
        // in C.
        let end = decoded
            .bytes()
            .position(|byte| matches!(byte, b'?' | b'#' | 0));
        let whole = end.and_then(|end| decoded.get(..end)).unwrap_or(&decoded);
        let mut is_odd = whole.len() < decoded.len();
        for written in whole.split(['/', '\\']) {
            // Some servers drop matrix parameters (`/v1;x/chat`) before they route.
            let written = written.split(';').next().unwrap_or_default();
            let is_trimmed = |c: char| c.is_whitespace() || c.is_control();
            let mut segment = written.trim_matches(is_trimmed);
            // Windows ignores a dot at the end of a file name.
            if !matches!(segment, "." | "..") {
                segment = segment.trim_end_matches(|c| c == '.' || is_trimmed(c));
            }
            is_odd |= segment != written;
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                _ => segments.push(segment.to_owned()),
            }
        }
        Path {
            segments,
            query: query.to_owned(),
            is_odd,
        }
    }

    /// Returns whether the last segments equal `tail`, ignoring letter case.
    pub fn ends_with(&self, tail: &[&str]) -> bool {
        self.segments.len() >= tail.len()
            && self
                .segments
                .iter()
                .rev()
                .zip(tail.iter().rev())
                .all(|(segment, expected)| segment.eq_ignore_ascii_case(expected))
    }
}

/// Decodes percent-encoding once. Borrowed when there is none; a `%` without two hex digits stays. Bytes that are not
/// UTF-8 after decoding become U+FFFD: such a path names no endpoint.
pub fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let decoded = (byte == b'%')
            .then(|| {
                let high = char::from(*after.first()?).to_digit(16)?;
                let low = char::from(*after.get(1)?).to_digit(16)?;
                u8::try_from(high.wrapping_mul(16) | low).ok()
            })
            .flatten();
        match decoded {
            Some(decoded) => {
                out.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    if out == text.as_bytes() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(value: &str) -> MediaType {
        ContentType::parse(Some(value.as_bytes())).media
    }

    #[test]
    fn content_types_are_read_whatever_their_case_and_parameters() {
        assert_eq!(media("Application/JSON; charset=UTF-8"), MediaType::Json);
        assert_eq!(media("application/problem+json"), MediaType::Json);
        assert_eq!(
            media("text/event-stream;charset=utf-8"),
            MediaType::EventStream
        );
        assert_eq!(media("text/plain"), MediaType::Text);
        assert_eq!(media(" "), MediaType::Absent);
        assert_eq!(media("image/png"), MediaType::Other);
        assert_eq!(media("text/javascript"), MediaType::Other);
        assert_eq!(ContentType::parse(None).media, MediaType::Absent);
    }

    #[test]
    fn a_charset_that_is_not_utf8_is_foreign() {
        let foreign = |value: &str| ContentType::parse(Some(value.as_bytes())).foreign_charset;
        assert!(foreign("application/json; charset=utf-16"));
        assert!(foreign("application/json; charset=\"UTF-7\""));
        assert!(!foreign("application/json; charset=\"utf-8\""));
        assert!(!foreign("application/json"));
    }

    #[test]
    fn spelling_cannot_move_a_request_out_of_its_path() {
        for target in [
            "/v1/chat/completions",
            "//v1//chat/completions/",
            "/v1/chat/./completions?x=1",
            "/v1/x/../chat/completions",
            "/v1/%63hat/completions",
            "/v1/%2563hat/completions",
            "/v1/chat%2Fcompletions",
            "/v1\\chat\\completions",
            "/V1/Chat/COMPLETIONS",
            "/v1;a=b/chat/completions;c",
            "http://host/v1/chat/completions",
            "/v1/chat/completions#x",
            "/v1/chat/completions%20",
            "/v1/chat/%09completions%0d%0a",
            "/v1/chat/completions%00.png",
            "/v1/chat/completions%3Fx=1",
            "/v1/chat/completions%23x",
            "/v1/chat/completions.",
            "/v1/chat%20/completions%C2%A0;x",
        ] {
            let path = Path::parse(target);
            assert!(
                path.ends_with(&["v1", "chat", "completions"]),
                "{target}: {path:?}"
            );
            assert_eq!(path.segments.len(), 3, "{target}: {path:?}");
        }
    }

    #[test]
    fn a_path_that_climbs_above_its_root_stays_at_the_root() {
        assert_eq!(Path::parse("/../../a").segments, ["a"]);
        assert!(Path::parse("").segments.is_empty());
    }

    #[test]
    fn a_percent_sign_without_digits_stays() {
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%41"), "%zzA");
        assert_eq!(percent_decode("%ff"), "\u{FFFD}");
    }
}
