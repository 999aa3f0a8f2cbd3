//! Custom detectors of a policy: patterns, keywords, a validator, context words.

use std::sync::Arc;

use super::allow::AllowList;
use super::checksum::{digits, luhn, mod_11_10, mod_97, verhoeff};
use super::entropy::{is_placeholder, shannon_entropy_tenths};
use super::literals::MAX_LITERAL_BYTES;
use super::normalise::readings;
use super::pattern::Pattern;
use super::{Confidence, DETECTORS, select};

/// Maximum custom detectors of a policy.
pub const MAX_CUSTOM: usize = 1_000;

/// Maximum custom detectors with context words.
pub const MAX_WITH_CONTEXT: usize = 127;

/// Lookahead in characters, where the detector sets none, of a pattern whose matches have no maximum length. A stream
/// holds a match back up to this length.
pub const DEFAULT_REACH: usize = 4_096;

/// Custom detector of a policy.
///
/// Detectors inspect the normalised text (see [`normalise`](super::normalise)). Patterns inspect the text as written,
/// too.
#[derive(Clone, Debug)]
pub struct CustomDetector {
    /// Name; not that of another detector or group.
    pub name: String,
    /// Groups of the detector, built-in ones or others.
    pub groups: Vec<String>,
    /// Patterns: each leftmost match that is not empty is a finding.
    pub patterns: Vec<Pattern>,
    /// Keywords: each whole word or phrase is a finding, case-insensitively.
    pub keywords: Vec<String>,
    /// Values that are not findings.
    pub allow: AllowList,
    /// Validator that each match of a pattern must pass.
    pub validator: Option<Validator>,
    /// Context words before a match, or in the JSON key of the text. If there are any, a match without one has low
    /// confidence.
    pub context: Vec<String>,
    /// Confidence of a finding.
    pub confidence: Confidence,
    /// Lookahead of a stream in characters, which is the longest match of a pattern that it waits for. `None`: the
    /// maximum length of the pattern, or [`DEFAULT_REACH`]. If a text arrives in pieces, a match that has begun and
    /// is longer is a finding, however it continues, to the end of the text.
    pub reach: Option<usize>,
}

/// Error in a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionError {
    /// One line, lower case, without a final period.
    pub message: String,
    /// Suggested fix, if there is one.
    pub help: Option<String>,
    /// Key of the definition that contains the error, if it is one.
    pub key: Option<&'static str>,
}

impl CustomDetector {
    /// Returns a detector that finds nothing yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            groups: Vec::new(),
            patterns: Vec::new(),
            keywords: Vec::new(),
            allow: AllowList::default(),
            validator: None,
            context: Vec::new(),
            confidence: Confidence::High,
            reach: None,
        }
    }

    /// Returns the lookahead of this pattern in a stream, in characters.
    pub(super) fn reach_of(&self, pattern: &Pattern) -> usize {
        self.reach
            .or_else(|| pattern.reach())
            .unwrap_or(DEFAULT_REACH)
    }

    /// Checks the detector against those defined before, whose keywords have `bytes_before` bytes. Returns the bytes
    /// of its own keywords.
    pub(super) fn check(
        &self,
        others: &[Arc<CustomDetector>],
        bytes_before: usize,
    ) -> Result<usize, DefinitionError> {
        let wrong = |key: Option<&'static str>, message: String, help: Option<&str>| {
            Err(DefinitionError {
                message,
                help: help.map(str::to_owned),
                key,
            })
        };
        let error = |message: String, help: Option<&str>| wrong(None, message, help);
        let name = &self.name;
        let fits = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        if !fits(name) {
            return error(
                format!("`{name}` can't be a detector's name"),
                Some("names are made of small letters, digits and `_`, like `employee_id`"),
            );
        }
        for group in &self.groups {
            if !group.split('.').all(fits) || is_detector(group, others) {
                return wrong(
                    Some("groups"),
                    format!("`{group}` can't be a group"),
                    Some("groups are written like `pii` or `pii.staff`, and are no detectors"),
                );
            }
        }
        if is_detector(name, others) || is_group(name, others) {
            return error(format!("a detector or group `{name}` exists already"), None);
        }
        let bytes = self
            .keywords
            .iter()
            .flat_map(|word| readings(word))
            .fold(0usize, |sum, word| sum.saturating_add(word.len()));
        if self.patterns.is_empty() && bytes == 0 {
            return error(
                format!("the detector `{name}` has nothing to find"),
                Some("give it `pattern` or `keywords`"),
            );
        }
        if let Some(pattern) = self.patterns.iter().find(|pattern| pattern.matches_empty()) {
            return wrong(
                Some("pattern"),
                format!("the pattern `{}` matches the empty text", pattern.source()),
                Some("write `+` for `*`, or make a part of it required"),
            );
        }
        if others.len() >= MAX_CUSTOM {
            return error(
                format!("more than {MAX_CUSTOM} detectors are defined"),
                None,
            );
        }
        let with_context = others.iter().filter(|other| !other.context.is_empty());
        if !self.context.is_empty() && with_context.count() >= MAX_WITH_CONTEXT {
            return error(
                format!("more than {MAX_WITH_CONTEXT} detectors have words of context"),
                None,
            );
        }
        let all = bytes_before.saturating_add(bytes);
        if all > MAX_LITERAL_BYTES {
            return wrong(
                Some("keywords"),
                format!(
                    "the keywords of all detectors have {all} bytes, at most {MAX_LITERAL_BYTES} fit"
                ),
                None,
            );
        }
        Ok(bytes)
    }
}

fn is_detector(name: &str, others: &[Arc<CustomDetector>]) -> bool {
    DETECTORS.iter().any(|known| known.name == name)
        || others.iter().any(|known| known.name == name)
}

fn is_group(name: &str, others: &[Arc<CustomDetector>]) -> bool {
    let within = |group: &str| select::is_within(group, name);
    DETECTORS
        .iter()
        .any(|known| known.groups.iter().any(|group| within(group)))
        || others
            .iter()
            .any(|known| known.groups.iter().any(|group| within(group)))
}

/// Validator that a match must pass. It reads the digits of the match, with its letters where the variant's
/// description includes them, but never the separators: of `EMP-123455` it reads `123455`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validator {
    /// ISO/IEC 7812-1: payment cards, many customer numbers.
    Luhn,
    /// Verhoeff's dihedral check.
    Verhoeff,
    /// ISO/IEC 7064 MOD 97-10, with letters.
    Mod97,
    /// ISO/IEC 7064 MOD 97-10 with the first four characters moved to the end: IBAN, creditor identifiers.
    Iban,
    /// ISO/IEC 7064 MOD 11,10.
    Mod11_10,
    /// GS1: EAN, UPC, GTIN, SSCC.
    Gs1,
    /// Randomness: no placeholder, no repetition, at least 2.8 bits for each character.
    Random,
}

impl Validator {
    const ALL: [(&'static str, Validator); 7] = [
        ("luhn", Validator::Luhn),
        ("verhoeff", Validator::Verhoeff),
        ("mod_97", Validator::Mod97),
        ("iban", Validator::Iban),
        ("mod_11_10", Validator::Mod11_10),
        ("gs1", Validator::Gs1),
        ("random", Validator::Random),
    ];

    /// Returns the validator of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, validator)| *validator)
    }

    /// Returns the names of all validators.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(name, _)| *name)
    }

    /// Returns whether a normalised value passes.
    pub(super) fn passes(self, value: &str) -> bool {
        if self == Self::Random {
            return shannon_entropy_tenths(value.as_bytes()) >= 28
                && !is_placeholder(value.as_bytes());
        }
        let compact: Vec<u8> = value
            .bytes()
            .filter(u8::is_ascii_alphanumeric)
            .map(|byte| byte.to_ascii_uppercase())
            .collect();
        let number: Vec<u8> = compact.iter().copied().filter(u8::is_ascii_digit).collect();
        if number.len() < 2 {
            return false;
        }
        match self {
            Self::Luhn => luhn(&number),
            Self::Verhoeff => verhoeff(&number),
            Self::Mod97 => mod_97(compact.iter().copied()) == Some(1),
            Self::Iban => {
                let (head, rest) = compact.split_at(compact.len().min(4));
                mod_97(rest.iter().chain(head).copied()) == Some(1)
            }
            Self::Mod11_10 => mod_11_10(&number),
            Self::Gs1 => {
                let weights = [1u32, 3].iter().copied().cycle();
                digits(&number).is_some_and(|digits| {
                    digits
                        .rev()
                        .zip(weights)
                        .fold(0u32, |sum, (digit, weight)| {
                            sum.wrapping_add(digit.wrapping_mul(weight))
                        })
                        .is_multiple_of(10)
                })
            }
            Self::Random => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> CustomDetector {
        CustomDetector {
            keywords: vec!["x".to_owned()],
            ..CustomDetector::new(name)
        }
    }

    fn fits(detector: &CustomDetector, others: Vec<CustomDetector>) -> bool {
        let others: Vec<Arc<CustomDetector>> = others.into_iter().map(Arc::new).collect();
        detector.check(&others, 0).is_ok()
    }

    #[test]
    fn validators_accept_published_values_only() {
        for (name, good, bad) in [
            ("luhn", "79927398713", "79927398714"),
            ("verhoeff", "2363", "2364"),
            ("mod_97", "79444", "79445"),
            (
                "iban",
                "GB82 WEST 1234 5698 7654 32",
                "GB82 WEST 1234 5698 7654 33",
            ),
            ("mod_11_10", "07945", "07946"),
            ("gs1", "4006381333931", "4006381333932"),
            ("random", "q7GxR2pZ9LmT4vKs", "xxxxxxxxxxxxxxxx"),
        ] {
            let validator = Validator::named(name).unwrap();
            assert!(validator.passes(good), "{name}");
            assert!(!validator.passes(bad), "{name}");
            assert!(!validator.passes(""), "{name}");
            assert!(!validator.passes("é"), "{name}");
        }
        assert!(Validator::Luhn.passes("EMP-123455"));
        assert!(!Validator::Luhn.passes("EMP-123456"));
        assert_eq!(Validator::names().count(), 7);
        assert_eq!(Validator::named("none"), None);
    }

    #[test]
    fn a_name_is_taken_once() {
        assert!(!fits(&named("email"), vec![]));
        assert!(!fits(&named("pii"), vec![]));
        assert!(!fits(&named("staff"), vec![named("staff")]));
        assert!(!fits(&named("Staff id"), vec![]));
        assert!(fits(&named("staff"), vec![named("employee")]));
        let grouped = CustomDetector {
            groups: vec!["hr.people".to_owned()],
            ..named("employee")
        };
        assert!(fits(&grouped, vec![]));
        assert!(!fits(&named("hr"), vec![grouped]));
        let group = CustomDetector {
            groups: vec!["email".to_owned()],
            ..named("staff")
        };
        assert!(!fits(&group, vec![]));
    }

    #[test]
    fn a_detector_finds_something_but_not_everything() {
        assert!(!fits(&CustomDetector::new("staff"), vec![]));
        let blank = CustomDetector {
            keywords: vec![" \u{200B}".to_owned()],
            ..CustomDetector::new("staff")
        };
        assert!(!fits(&blank, vec![]));
        let everywhere = CustomDetector {
            patterns: vec![Pattern::new("x*").unwrap()],
            ..CustomDetector::new("staff")
        };
        assert!(!fits(&everywhere, vec![]));
    }

    #[test]
    fn more_keywords_than_fit_are_refused() {
        let others = [Arc::new(named("others"))];
        assert_eq!(named("staff").check(&others, 10), Ok(1));
        assert!(named("staff").check(&others, MAX_LITERAL_BYTES).is_err());
    }
}
