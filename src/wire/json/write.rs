//! JSON string escaping, with the fewest escapes that RFC 8259 allows: `"` becomes `\"`, a line feed `\n`, `é` stays.

/// Appends `text` as the content of a JSON string, without quotes.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|&b| b < 0x20 || b == b'"' || b == b'\\')
    {
        let (plain, from) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = from.split_first() else {
            return;
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            _ => {
                out.extend_from_slice(b"\\u00");
                for digit in [byte >> 4, byte & 15] {
                    out.push(
                        char::from_digit(u32::from(digit), 16)
                            .map_or(b'0', |c| u8::try_from(c).unwrap_or(b'0')),
                    );
                }
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// Appends `text` as a JSON string with its quotes.
pub fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_reads_back_as_the_same_text() {
        let text: String = (0u8..128)
            .map(char::from)
            .chain("é😀\u{2028}".chars())
            .collect();
        let mut out = Vec::new();
        quote(&text, &mut out);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    #[test]
    fn only_what_must_be_escaped_is() {
        let mut out = Vec::new();
        escape("a/é\u{7f}\u{1}", &mut out);
        assert_eq!(out, "a/é\u{7f}\\u0001".as_bytes());
    }
}
