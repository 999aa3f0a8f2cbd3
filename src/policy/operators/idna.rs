//! Domain names as DNS compares them: ASCII, lower case, A-labels (RFC 5890), without the final dot.
//!
//! A U-label is lower-cased and encoded (RFC 3492). Full-width ASCII and the three other dots are mapped as in UTS #46. The
//! rest of that mapping is not implemented: a label with a character that it would change (circled letters, ligatures, soft
//! hyphens, decomposed accents) is not a name here and so unreadable, instead of a name other than the one that a client
//! resolves. `ß`, `ς` and the joiners of IDNA 2003 are read by IDNA 2008. Similar letters of different scripts stay
//! distinct, as in DNS. Known gap: a few Indic vowel signs that normalisation would join stay as written.

mod unsettled;

use crate::wire::letter_case;
use unsettled::UNSETTLED;

/// Limits of RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 253;

/// Returns a name as DNS compares it; `None` if DNS can't contain such a name. A name may begin with an underscore or a
/// hyphen, which resolvers accept although host names should not have them.
pub(super) fn ascii_name(text: &str) -> Option<String> {
    let mapped = mapped(text)?;
    let name = mapped.strip_suffix('.').unwrap_or(&mapped);
    let mut ascii = String::with_capacity(name.len());
    for label in name.split('.') {
        if !ascii.is_empty() {
            ascii.push('.');
        }
        ascii.push_str(&ascii_label(label)?);
        if ascii.len() > MAX_NAME {
            return None;
        }
    }
    Some(ascii)
}

/// Returns the characters as UTS #46 maps them, as far as the mapping is implemented here; otherwise `None`.
pub(super) fn mapped(text: &str) -> Option<String> {
    let mut mapped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0'..='\x7F' => mapped.push(c.to_ascii_lowercase()),
            // These are the dots of UTS #46 §2.3.
            '\u{3002}' | '\u{FF0E}' | '\u{FF61}' => mapped.push('.'),
            '\u{FF01}'..='\u{FF5E}' => mapped.push(from_full_width(c)?.to_ascii_lowercase()),
            _ => {
                let mut lower = letter_case::lower_of(c);
                match (lower.next(), lower.next()) {
                    // The lower case of the Kelvin sign is `k`.
                    (Some(lower), None) if lower.is_ascii() || is_settled(lower) => {
                        mapped.push(lower);
                    }
                    _ => return None,
                }
            }
        }
    }
    Some(mapped)
}

/// Returns the ASCII character of a full-width one: U+FF01 to U+FF5E are the printable ASCII characters, in their order.
fn from_full_width(c: char) -> Option<char> {
    char::from_u32(u32::from(c).checked_sub(0xFEE0)?)
}

/// Returns whether UTS #46 maps a character beyond ASCII to itself.
fn is_settled(c: char) -> bool {
    let c = u32::from(c);
    let at = UNSETTLED.partition_point(|(_, last)| *last < c);
    UNSETTLED.get(at).is_none_or(|(first, _)| c < *first)
}

fn ascii_label(label: &str) -> Option<String> {
    let is_plain = label
        .bytes()
        .all(|b| !b.is_ascii() || b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !is_plain || label.is_empty() {
        return None;
    }
    if !label.is_ascii() {
        if label.starts_with("xn--") || label.chars().count() > MAX_LABEL {
            return None;
        }
        let encoded = format!("xn--{}", encode(label)?);
        return (encoded.len() <= MAX_LABEL).then_some(encoded);
    }
    if label.len() > MAX_LABEL {
        return None;
    }
    if let Some(encoded) = label.strip_prefix("xn--") {
        // An A-label is the encoding of exactly one U-label. Clients differ in reading others (`xn--a`, or one that hides
        // upper case or a dot).
        let decoded = decode(encoded)?;
        let is_one = !decoded.is_ascii()
            && decoded
                .chars()
                .all(|c| c.is_ascii() || (is_settled(c) && letter_case::lower_of(c).eq([c])))
            && encode(&decoded).as_deref() == Some(encoded);
        if !is_one {
            return None;
        }
    }
    Some(label.to_owned())
}

// Parameters of RFC 3492 §5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// Returns the next bias (RFC 3492 §6.1).
fn adapt(delta: u32, count: u32, is_first: bool) -> Option<u32> {
    let mut delta = delta.checked_div(if is_first { DAMP } else { 2 })?;
    delta = delta.checked_add(delta.checked_div(count)?)?;
    let mut k = 0u32;
    // ((BASE − T_MIN) × T_MAX) ÷ 2
    while delta > 455 {
        delta = delta.checked_div(BASE.checked_sub(T_MIN)?)?;
        k = k.checked_add(BASE)?;
    }
    // BASE − T_MIN + 1 = BASE
    let part = BASE
        .checked_mul(delta)?
        .checked_div(delta.checked_add(SKEW)?)?;
    k.checked_add(part)
}

/// Returns the threshold of a digit at `k`.
fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(T_MIN, T_MAX)
}

/// Decodes a label without its prefix; `None` if it is not Punycode.
fn decode(encoded: &str) -> Option<String> {
    let (basic, digits) = encoded.rsplit_once('-').unwrap_or(("", encoded));
    let mut decoded: Vec<char> = basic.chars().collect();
    let mut n = INITIAL_N;
    let mut i = 0u32;
    let mut bias = INITIAL_BIAS;
    let mut digits = digits.bytes();
    while digits.len() > 0 {
        let before = i;
        let mut weight = 1u32;
        let mut k = BASE;
        loop {
            let digit = match digits.next()? {
                letter @ b'a'..=b'z' => u32::from(letter.checked_sub(b'a')?),
                number @ b'0'..=b'9' => u32::from(number.checked_sub(b'0')?).checked_add(26)?,
                _ => return None,
            };
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let t = threshold(k, bias);
            if digit < t {
                break;
            }
            weight = weight.checked_mul(BASE.checked_sub(t)?)?;
            k = k.checked_add(BASE)?;
        }
        let count = u32::try_from(decoded.len()).ok()?.checked_add(1)?;
        bias = adapt(i.checked_sub(before)?, count, before == 0)?;
        n = n.checked_add(i.checked_div(count)?)?;
        i = i.checked_rem(count)?;
        decoded.insert(usize::try_from(i).ok()?, char::from_u32(n)?);
        i = i.checked_add(1)?;
    }
    Some(decoded.into_iter().collect())
}

/// Encodes a label in Punycode, without the prefix. The nested loops are short because labels are.
fn encode(label: &str) -> Option<String> {
    let chars: Vec<u32> = label.chars().map(u32::from).collect();
    let mut encoded: String = label.chars().filter(char::is_ascii).collect();
    let mut handled = u32::try_from(encoded.len()).ok()?;
    let basic = handled;
    if basic > 0 {
        encoded.push('-');
    }
    let mut n = INITIAL_N;
    let mut delta = 0u32;
    let mut bias = INITIAL_BIAS;
    while let Some(&next) = chars.iter().filter(|&&c| c >= n).min() {
        let count = handled.checked_add(1)?;
        delta = delta.checked_add(next.checked_sub(n)?.checked_mul(count)?)?;
        n = next;
        for &c in &chars {
            if c < n {
                delta = delta.checked_add(1)?;
            }
            if c != n {
                continue;
            }
            let mut q = delta;
            let mut k = BASE;
            loop {
                let t = threshold(k, bias);
                if q < t {
                    break;
                }
                let rest = q.checked_sub(t)?;
                let base = BASE.checked_sub(t)?;
                encoded.push(digit(t.checked_add(rest.checked_rem(base)?)?)?);
                q = rest.checked_div(base)?;
                k = k.checked_add(BASE)?;
            }
            encoded.push(digit(q)?);
            let count = handled.checked_add(1)?;
            bias = adapt(delta, count, handled == basic)?;
            delta = 0;
            handled = count;
        }
        delta = delta.checked_add(1)?;
        n = n.checked_add(1)?;
    }
    Some(encoded)
}

fn digit(value: u32) -> Option<char> {
    let letter = match value {
        0..=25 => u32::from(b'a').checked_add(value)?,
        _ => u32::from(b'0').checked_add(value.checked_sub(26)?)?,
    };
    char::from_u32(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_samples_of_the_standard_are_encoded_and_decoded() {
        // RFC 3492 §7.1 (A), (B), (D), (I), (L), (N), in lower case.
        for (label, encoded) in [
            ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"),
            ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("pročprostěnemluvíčesky", "proprostnemluvesky-uyb24dma41a"),
            (
                "почемужеонинеговорятпорусски",
                "b1abfaaepdrnnbgefbadotcwatmq2g4l",
            ),
            ("3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"),
            (
                "hello-another-way-それぞれの場所",
                "hello-another-way--fc4qua05auwb3674vfr0b",
            ),
        ] {
            assert_eq!(encode(label).as_deref(), Some(encoded), "{label}");
            assert_eq!(decode(encoded).as_deref(), Some(label), "{encoded}");
        }
    }

    #[test]
    fn spellings_of_one_name_are_the_same_name() {
        for (spelling, name) in [
            ("example.com", "example.com"),
            ("EXAMPLE.Com.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("ｅｘａｍｐｌｅ．ｃｏｍ", "example.com"),
            ("example。com", "example.com"),
            ("example｡com", "example.com"),
            ("\u{212A}elvin.example", "kelvin.example"),
            ("faß.de", "xn--fa-hia.de"),
            ("münchen.de", "xn--mnchen-3ya.de"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("нпк.рф", "xn--j1afg.xn--p1ai"),
            ("इंडिया.भारत", "xn--i1bj3fqcyde.xn--h2brj9c"),
        ] {
            assert_eq!(ascii_name(spelling).as_deref(), Some(name), "{spelling}");
        }
    }

    #[test]
    fn letters_that_look_alike_are_other_names() {
        // The first letter is Cyrillic.
        assert_ne!(ascii_name("аpple.com"), ascii_name("apple.com"));
        assert!(ascii_name("аpple.com").is_some());
    }

    #[test]
    fn what_dns_could_not_hold_or_clients_read_differently_is_no_name() {
        for (text, why) in [
            ("", "empty"),
            (".", "empty label"),
            ("a..b", "empty label"),
            (".example.com", "empty label"),
            ("example.com..", "two final dots"),
            ("exa mple.com", "space"),
            ("exa%6dple.com", "percent sign: only URLs decode it"),
            ("a@b", "separator"),
            ("a/b", "separator"),
            ("a\0b", "control"),
            ("\u{24D4}vil.com", "circled letter, a plain one to UTS #46"),
            ("e\u{AD}vil.com", "soft hyphen, nothing to UTS #46"),
            ("e\u{200B}vil.com", "zero width"),
            ("ﬁle.com", "ligature"),
            ("𝐞vil.com", "mathematical letter"),
            ("cafe\u{301}.com", "decomposed accent"),
            ("İ.com", "lower case of two characters"),
            ("xn--a.com", "no Punycode"),
            ("xn--abc-.com", "hides nothing but ASCII"),
            ("xn--le-1b1n.com", "a ligature, which no client encodes"),
            (
                "xn--bcher-kv\u{FF41}\u{FC}.com",
                "a letter beside the encoding",
            ),
            ("xn--ü.com", "a prefix before a U-label"),
        ] {
            assert_eq!(ascii_name(text), None, "{text:?}: {why}");
        }
        assert_eq!(ascii_name(&"a".repeat(64)), None, "label too long");
        assert_eq!(
            ascii_name(&"a.".repeat(127)),
            Some("a.".repeat(127).trim_end_matches('.').to_owned())
        );
        assert_eq!(ascii_name(&"a.".repeat(128)), None, "name too long");
        assert_eq!(
            ascii_name(&"ü".repeat(60)),
            None,
            "label too long once encoded"
        );
    }

    /// Returns the name as the `idna` crate reads it: UTS #46, not transitional, of any length and with any ASCII.
    fn reference(text: &str) -> Option<String> {
        use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
        let name = Uts46::new()
            .to_ascii(
                text.as_bytes(),
                AsciiDenyList::EMPTY,
                Hyphens::Allow,
                DnsLength::Ignore,
            )
            .ok()?;
        Some(name.strip_suffix('.').unwrap_or(&name).to_owned())
    }

    /// Reports a name that is read here, but as another name than a client resolves, which would bypass `domain_in`. A name
    /// that is read here but rejected by the crate (right-to-left order, unassigned letters) can't be resolved.
    fn agrees_with_the_crate(text: &str) -> Result<(), String> {
        match (ascii_name(text), reference(text)) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                Err(format!("{text:?}: {ours}, the crate says {theirs}"))
            }
            _ => Ok(()),
        }
    }

    #[test]
    fn every_character_in_a_name_is_read_as_the_idna_crate_reads_it() {
        let mut read = 0;
        let mut differ = Vec::new();
        // Of the planes above the third, only the fourteenth has characters.
        for c in (0x80..=0x3_3FFF)
            .chain(0xE_0000..=0xE_01FF)
            .filter_map(char::from_u32)
        {
            let text = format!("a{c}");
            read += usize::from(ascii_name(&text).is_some() && reference(&text).is_some());
            differ.extend(agrees_with_the_crate(&text).err());
        }
        assert_eq!(differ, Vec::<String>::new());
        assert!(read > 100_000, "{read}");
    }

    proptest! {
        #[test]
        fn names_are_read_as_the_idna_crate_reads_them(
            text in "[a-zA-ZÀ-öа-яα-ωàéüßς。．ａ-ｚ_-]{1,12}(\\.[a-zäöüぁ-んア-ン一-鿿א-ת]{1,12}){0,2}",
        ) {
            prop_assert_eq!(agrees_with_the_crate(&text), Ok(()));
        }

        #[test]
        fn a_name_is_a_name_of_itself(text in "\\PC{0,40}") {
            if let Some(name) = ascii_name(&text) {
                prop_assert!(name.is_ascii());
                prop_assert_eq!(ascii_name(&name), Some(name.clone()));
                let upper = name.to_ascii_uppercase();
                prop_assert_eq!(ascii_name(&upper), Some(name.clone()));
                let with_dot = format!("{name}.");
                prop_assert_eq!(ascii_name(&with_dot), Some(name));
            }
        }

        #[test]
        fn punycode_is_read_back(label in "[a-zà-öа-яぁ-んア-ン一-鿿]{1,20}") {
            let encoded = encode(&label).unwrap();
            prop_assert_eq!(decode(&encoded), Some(label));
        }

        #[test]
        fn no_label_is_too_odd_to_decode(label in "[a-z0-9-]{0,63}") {
            let _ = decode(&label);
        }
    }
}
