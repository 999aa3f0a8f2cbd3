//! Measures of `count_*` and `length_*`.

use super::mail;

/// Returns the number of mail addresses in a text, as a mail server reads a list of them. It is at least 1, since a text is
/// one value.
pub(crate) fn address_count(text: &str) -> u64 {
    let mut count = 0u64;
    mail::each_item(text, &mut |item| {
        count = count.saturating_add(mail::address_count(item));
    });
    count.max(1)
}

/// Returns the number of characters (Unicode scalar values) of a text.
pub(crate) fn character_count(text: &str) -> u64 {
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
        assert_eq!(address_count("a@x.com (b@y.com, c@z.com)"), 1);
        assert_eq!(address_count("friends: a@x.com, b@y.com;"), 2);
        assert_eq!(address_count("<a@x.com> <b@y.com>"), 2);
        assert_eq!(address_count("<a@x.com, b@y.com>"), 2);
        assert_eq!(address_count("<@x.com,@y.com:c@z.com>"), 1);
        assert_eq!(address_count("\\\"a@x.com, b@y.com"), 2);
    }
}
