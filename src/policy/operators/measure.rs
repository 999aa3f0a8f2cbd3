//! What `count_*` and `length_*` count.

/// Mail addresses in one text, separated by `,` `;` or line ends outside quotes and comments; at least 1, since a
/// text is one thing.
pub(in crate::policy) fn address_count(text: &str) -> u64 {
    let mut count = 0u64;
    let mut has_at = false;
    let mut quoted = false;
    let mut escaped = false;
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' | ';' | '\n' if !quoted => {
                count = count.saturating_add(u64::from(has_at));
                has_at = false;
            }
            '@' => has_at = true,
            _ => {}
        }
    }
    count.saturating_add(u64::from(has_at)).max(1)
}

/// Characters (Unicode scalar values) of a text.
pub(in crate::policy) fn character_count(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_one_text_are_counted() {
        assert_eq!(address_count("a@x.com"), 1);
        assert_eq!(address_count("a@x.com, b@y.com;c@z.com"), 3);
        assert_eq!(address_count("\"Doe, John\" <j@x.com>, b@y.com"), 2);
        assert_eq!(address_count("nobody"), 1);
        assert_eq!(address_count(""), 1);
        assert_eq!(address_count("a@x.com,,"), 1);
    }
}
