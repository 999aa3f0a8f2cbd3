//! Pseudonyms: replacements that the model sees instead of the real values, restored in its response.
//!
//! A pseudonym is derived from the value by a keyed hash, so that a value keeps its pseudonym in every turn, and
//! histories and the provider's caches stay valid. Pseudonyms are taken from ranges reserved for examples, if there is
//! one: `example.com` (RFC 2606), telephone numbers 555-0100 to 555-0199 (NANPA), addresses of RFC 2544 and RFC 3849,
//! card numbers with the prefix of test cards, social security numbers of the area 666, which is never issued.

use crate::detect::literals::Literals;
use crate::wire::sorted_map::SortedMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;

/// Maximum attempts to find a pseudonym that no other value has.
const MAX_ATTEMPTS: u8 = 16;

/// Pseudonyms of one exchange.
#[derive(Debug, Default)]
pub struct Pseudonyms {
    /// Tenant and session of the pseudonyms; if `None`, no pseudonyms are created.
    scope: Option<Vec<u8>>,
    list: Vec<Pseudonym>,
    by_value: SortedMap<Box<str>, usize>,
    by_text: SortedMap<Box<str>, usize>,
    finder: OnceCell<Option<Literals>>,
}

#[derive(Debug)]
struct Pseudonym {
    text: Box<str>,
    value: Box<str>,
    /// Tools in whose arguments the pseudonym is restored.
    tools: Vec<Rc<[Box<str>]>>,
}

/// Value that a pseudonym replaces.
#[derive(Clone, Copy, Debug)]
pub(super) struct PseudonymSource<'a> {
    /// Built-in detector that found the value.
    pub(super) detector: Option<&'a str>,
    /// Label for a value without a reserved range.
    pub(super) label: &'a str,
    pub(super) value: &'a str,
    /// Tools in whose arguments the pseudonym is restored.
    pub(super) tools: &'a Rc<[Box<str>]>,
}

impl Pseudonyms {
    /// Enables pseudonyms for this tenant and session. Other sessions have other pseudonyms.
    pub fn open(&mut self, scope: Vec<u8>) {
        self.scope = Some(scope);
    }

    /// Disables pseudonyms.
    pub fn close(&mut self) {
        self.scope = None;
    }

    /// Returns whether no pseudonym was created.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the pseudonym of a value; `None` if pseudonyms are disabled.
    pub(super) fn of(&mut self, key: &[u8], original: PseudonymSource<'_>) -> Option<&str> {
        let scope = self.scope.as_deref()?;
        let known = self.by_value.get(original.value).copied();
        let number = match known {
            Some(number) => number,
            None => {
                let text = (0..=MAX_ATTEMPTS)
                    .map(|tried| {
                        written(hashed(key, scope, tried, original.value), original, tried)
                    })
                    .find(|text| !self.by_text.contains_key(text.as_str()))?;
                let number = self.list.len();
                self.by_value.insert(original.value.into(), number);
                self.by_text.insert(text.as_str().into(), number);
                self.list.push(Pseudonym {
                    text: text.into(),
                    value: original.value.into(),
                    tools: Vec::new(),
                });
                self.finder = OnceCell::new();
                number
            }
        };
        let pseudonym = self.list.get_mut(number)?;
        if !pseudonym.tools.iter().any(|tools| tools == original.tools) {
            pseudonym.tools.push(Rc::clone(original.tools));
        }
        Some(&pseudonym.text)
    }

    fn finder(&self) -> Option<&Literals> {
        let texts = || {
            let texts = self.list.iter().map(|pseudonym| pseudonym.text.to_string());
            texts.collect::<Vec<_>>()
        };
        self.finder
            .get_or_init(|| Literals::new(&texts()).ok())
            .as_ref()
            .filter(|_| !self.is_empty())
    }

    /// Finds the pseudonyms in a text, and returns their ranges with the original values. If `tool` has the names of a
    /// tool, the text is in its arguments, and only pseudonyms that a rule restores there are returned.
    pub fn found(&self, text: &str, tool: Option<&[&str]>) -> Vec<(Range<usize>, String)> {
        let mut found: Vec<(Range<usize>, String)> = Vec::new();
        let Some(finder) = self.finder() else {
            return found;
        };
        finder.find(text, &mut |number, range| {
            let pseudonym = usize::try_from(number)
                .ok()
                .and_then(|number| self.list.get(number));
            if let Some(pseudonym) = pseudonym
                && text.get(range.clone()) == Some(&pseudonym.text)
                && tool.is_none_or(|names| pseudonym.is_for(names))
                && found.last().is_none_or(|(last, _)| last.end <= range.start)
            {
                found.push((range, pseudonym.value.to_string()));
            }
        });
        found
    }

    /// Returns the last offset up to `at` at which a text that continues can be split without splitting a pseudonym.
    pub fn cut(&self, text: &str, at: usize) -> usize {
        let Some(finder) = self.finder() else {
            return at;
        };
        let mut at = at.min(finder.begun(text));
        for (range, _) in self.found(text, None).iter().rev() {
            if range.start < at && range.end > at {
                at = range.start;
            }
        }
        at
    }
}

impl Pseudonym {
    fn is_for(&self, names: &[&str]) -> bool {
        self.tools
            .iter()
            .any(|tools| tools.iter().any(|tool| names.contains(&&**tool)))
    }
}

/// Replaces parts of a text. The parts are in order and don't overlap.
pub fn replaced(text: &str, parts: &[(Range<usize>, String)]) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut done = 0;
    for (range, with) in parts {
        whole.push_str(text.get(done..range.start).unwrap_or_default());
        whole.push_str(with);
        done = range.end;
    }
    whole.push_str(text.get(done..).unwrap_or_default());
    whole
}

/// Returns a hash that is the same for the same value and scope, and reveals neither of them without the key.
fn hashed(key: &[u8], scope: &[u8], tried: u8, value: &str) -> u64 {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return 0;
    };
    let length = u64::try_from(scope.len()).unwrap_or(u64::MAX);
    mac.update(b"stand-in");
    mac.update(&length.to_be_bytes());
    mac.update(scope);
    mac.update(&[tried]);
    mac.update(value.as_bytes());
    mac.finalize()
        .into_bytes()
        .first_chunk::<8>()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Formats a pseudonym from a hash. All of one form are equally long: none is the beginning of another one, or of a longer
/// number. After [`MAX_ATTEMPTS`] the range counts as exhausted, and the label is used.
fn written(hash: u64, original: PseudonymSource<'_>, tried: u8) -> String {
    let short = hash >> 32;
    let part = |shift: u32, range: u64| (hash >> shift).checked_rem(range).unwrap_or(0);
    match original.detector.filter(|_| tried < MAX_ATTEMPTS) {
        Some("email") => format!("user-{short:08x}@example.com"),
        Some("phone") => {
            // The first digit is 2 to 9; the middle digit is not 1 (N11 is a service number).
            let middle = [0, 2, 3, 4, 5, 6, 7, 8].get(usize::try_from(part(8, 8)).unwrap_or(0));
            format!(
                "+1-{}{}{}-555-01{:02}",
                part(0, 8).wrapping_add(2),
                middle.copied().unwrap_or(0),
                part(16, 10),
                part(24, 100)
            )
        }
        Some("ip_address") if original.value.contains(':') => {
            let group = |shift| part(shift, 0xF000).wrapping_add(0x1000);
            format!("2001:db8::{:x}:{:x}", group(0), group(16))
        }
        Some("ip_address") => {
            format!(
                "198.{}.{}.{}",
                part(0, 2).wrapping_add(18),
                part(8, 156).wrapping_add(100),
                part(16, 156).wrapping_add(100)
            )
        }
        Some("us_ssn") => {
            format!(
                "666-{:02}-{:04}",
                part(0, 99).wrapping_add(1),
                part(16, 9_999).wrapping_add(1)
            )
        }
        Some("credit_card") => {
            let body = format!("400000{:09}", hash % 1_000_000_000);
            let number = format!("{body}{}", luhn_digit(&body));
            let groups = number.as_bytes().chunks(4);
            let groups: Vec<&str> = groups
                .filter_map(|group| std::str::from_utf8(group).ok())
                .collect();
            groups.join(" ")
        }
        _ => format!("[{}:{short:08x}]", original.label),
    }
}

/// Returns the check digit for these digits by ISO/IEC 7812-1.
fn luhn_digit(digits: &str) -> u32 {
    let sum = digits
        .bytes()
        .rev()
        .zip([2u32, 1].into_iter().cycle())
        .fold(0u32, |sum, (byte, weight)| {
            let product = u32::from(byte.wrapping_sub(b'0')).wrapping_mul(weight);
            sum.wrapping_add(product % 10).wrapping_add(product / 10)
        });
    10u32.wrapping_sub(sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Confidence, Input, Scanner, Scratch, Selection};

    fn original<'a>(
        detector: Option<&'a str>,
        value: &'a str,
        tools: &'a Rc<[Box<str>]>,
    ) -> PseudonymSource<'a> {
        PseudonymSource {
            detector,
            label: "LABEL",
            value,
            tools,
        }
    }

    fn open(scope: &str) -> Pseudonyms {
        let mut pseudonyms = Pseudonyms::default();
        pseudonyms.open(scope.as_bytes().to_vec());
        pseudonyms
    }

    fn made(pseudonyms: &mut Pseudonyms, detector: &str, value: &str) -> String {
        let none = Rc::from([]);
        let original = original(Some(detector), value, &none);
        pseudonyms.of(b"key", original).unwrap().to_owned()
    }

    #[test]
    fn the_same_value_has_the_same_pseudonym_for_the_same_tenant_only() {
        let first = made(&mut open("acme"), "email", "ann@contoso.com");
        assert_eq!(made(&mut open("acme"), "email", "ann@contoso.com"), first);
        assert_ne!(made(&mut open("beta"), "email", "ann@contoso.com"), first);
        assert_ne!(made(&mut open("acme"), "email", "bob@contoso.com"), first);
        assert!(first.ends_with("@example.com"));
    }

    #[test]
    fn pseudonyms_have_the_form_of_their_originals() {
        for (detector, value) in [
            ("email", "ann@contoso.com"),
            ("phone", "+49 30 901820"),
            ("ip_address", "10.2.3.4"),
            ("ip_address", "fe80::1"),
            ("credit_card", "5555 5555 5555 4444"),
        ] {
            let mut selection = Selection::none();
            selection.add(detector, Confidence::Medium).unwrap();
            let scanner = Scanner::new(&selection);
            for number in 0..50 {
                let text = made(&mut open(&number.to_string()), detector, value);
                let mut findings = Vec::new();
                scanner.scan(&Input::whole(&text), &mut Scratch::default(), &mut findings);
                assert!(
                    matches!(findings[..], [finding] if finding.range() == (0..text.len())),
                    "{detector}: {text}"
                );
            }
        }
    }

    #[test]
    fn no_pseudonym_is_the_beginning_of_another() {
        for (detector, values) in [
            ("email", ["ann@contoso.com", "bob@contoso.com"]),
            ("phone", ["+49 30 901820", "0171 1234567"]),
            ("ip_address", ["10.2.3.4", "10.2.3.43"]),
            ("ip_address", ["fe80::1", "fe80::12"]),
            ("us_ssn", ["078-05-1120", "219-09-9999"]),
            (
                "credit_card",
                ["5555 5555 5555 4444", "4111 1111 1111 1111"],
            ),
        ] {
            let mut lengths: Vec<usize> = Vec::new();
            for number in 0..200 {
                let mut pseudonyms = open(&number.to_string());
                lengths.extend(values.map(|value| made(&mut pseudonyms, detector, value).len()));
            }
            lengths.dedup();
            assert_eq!(lengths.len(), 1, "{detector}: {lengths:?}");
        }
    }

    #[test]
    fn no_two_values_share_a_pseudonym_even_in_a_small_range() {
        let mut pseudonyms = open("acme");
        let mut seen = crate::wire::sorted_map::SortedSet::new();
        for number in 0..20_000u32 {
            let text = made(&mut pseudonyms, "phone", &format!("+49 {number}"));
            assert!(seen.insert(text));
        }
    }

    #[test]
    fn only_pseudonyms_of_this_exchange_are_restored() {
        let mut pseudonyms = open("acme");
        let email = made(&mut pseudonyms, "email", "ann@contoso.com");
        let other = made(&mut open("acme"), "email", "bob@contoso.com");
        let text = format!("é {email}, {other}, {}", email.to_uppercase());
        let found = pseudonyms.found(&text, None);
        assert_eq!(
            replaced(&text, &found),
            text.replacen(&email, "ann@contoso.com", 1)
        );
        assert!(Pseudonyms::default().found(&text, None).is_empty());
    }

    #[test]
    fn in_arguments_only_for_tools_that_a_rule_names() {
        let mut pseudonyms = open("acme");
        let mail: Rc<[Box<str>]> = Rc::from(["send_email".into()]);
        let text = pseudonyms
            .of(b"key", original(Some("email"), "ann@contoso.com", &mail))
            .unwrap()
            .to_owned();
        assert_eq!(pseudonyms.found(&text, Some(&["send_email"])).len(), 1);
        assert!(pseudonyms.found(&text, Some(&["post"])).is_empty());
    }

    #[test]
    fn a_text_is_cut_before_a_possible_pseudonym() {
        let mut pseudonyms = open("acme");
        let text = made(&mut pseudonyms, "email", "ann@contoso.com");
        let sentence = format!("to {text}");
        for end in 4..sentence.len() {
            let begun = sentence.get(..end).unwrap();
            assert_eq!(pseudonyms.cut(begun, end), 3, "{end}");
        }
        assert_eq!(pseudonyms.cut(&sentence, sentence.len()), sentence.len());
        assert_eq!(pseudonyms.cut(&sentence, 9), 3);
    }

    #[test]
    fn disabled_pseudonyms_are_not_created() {
        let mut pseudonyms = open("acme");
        pseudonyms.close();
        let none = Rc::from([]);
        assert_eq!(pseudonyms.of(b"key", original(None, "x", &none)), None);
    }
}
