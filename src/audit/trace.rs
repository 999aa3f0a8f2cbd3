//! W3C Trace Context: the `traceparent` header.
//!
//! `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`: version, trace id, span id, flags.

/// Length of a header of version 00.
const LENGTH: usize = 55;

/// Returns a `traceparent` if it is valid, without the fields that later versions append.
pub fn valid_traceparent(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let (known, more) = text.split_at_checked(LENGTH)?;
    let mut fields = known.split('-');
    let mut field = |length: usize| {
        let field = fields.next()?;
        let is_hex = field
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (field.len() == length && is_hex).then_some(field)
    };
    let (version, trace, span, _flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let is_zero = |id: &str| id.bytes().all(|byte| byte == b'0');
    let fits = more.is_empty() || (version != "00" && more.starts_with('-'));
    (version != "ff" && !is_zero(trace) && !is_zero(span) && fits).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn valid_headers_are_kept_and_later_versions_are_cut() {
        assert_eq!(valid_traceparent(VALID.as_bytes()), Some(VALID));
        let later = VALID.replacen("00", "01", 1);
        let longer = format!("{later}-what-the-future-will-be-like");
        assert_eq!(valid_traceparent(longer.as_bytes()), Some(later.as_str()));
    }

    #[test]
    fn anything_else_is_left_out() {
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736\n00f067aa0ba902b7-01",
        ] {
            assert_eq!(valid_traceparent(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
