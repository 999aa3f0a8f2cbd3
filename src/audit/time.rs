//! Timestamps of records.

/// Returns whether a text is a timestamp of a record: RFC 3339 in UTC, `2026-11-22T09:00:00.000Z`. Such texts sort in the order
/// of their times. Any other text would have a meaningless position, and a query by time range would include it by chance.
pub fn is_time(text: &str) -> bool {
    let has_form = text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => matches!(byte, b'.' | b'Z'),
        _ => byte.is_ascii_digit() || (at > 19 && byte == b'Z'),
    });
    has_form && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_sorts_as_its_text() {
        for time in ["2026-11-22T09:00:00.000Z", "2026-11-22T09:00:00Z"] {
            assert!(is_time(time), "{time}");
        }
        for other in [
            "",
            "t",
            "yesterday",
            "9999",
            "2026-11-22",
            "2026-11-22 09:00:00.000Z",
            "2026-11-22T09:00:00.000z",
            "2026-11-22T09:00:00.000+00:00",
            "2026-11-22T10:00:00.000+01:00",
            "2026-11-22T09:00:00",
            "2026-13-22T09:00:00.000Z",
            "2026-11-22T25:00:00.000Z",
            "2026-11-22T09:00:00.0Z0Z",
            "2026-11-22T09:00:00.Z",
            "1763802000",
        ] {
            assert!(!is_time(other), "{other}");
        }
    }
}
