//! Masking of names that clients choose (models, tools, request ids) before they are written to audit events, metric
//! labels and headers. A secret, a card number or an address in a name is masked there, regardless of the policy.

use crate::detect::{Confidence, Finding, Input, Scanner, Scratch, Selection};
use crate::wire::sort;
use crate::wire::sorted_map::SortedSet;
use std::cell::{OnceCell, RefCell};
use std::ops::Range;

/// Minimum characters of a name that can contain a secret.
const MIN_HIDDEN_CHARS: usize = 13;

/// Maximum bytes of a masked name; audit events show fewer. Clients may send names of megabytes.
const MAX_SHOWN_BYTES: usize = 1 << 10;

/// Bytes that are read beyond those that are shown: a secret that is cut off is not recognised. The longest secrets are
/// private keys; an RSA key of 8,192 bits has 6,400.
pub(super) const LOOKAHEAD_BYTES: usize = 8 << 10;

/// Maximum names without findings that are cached, and maximum bytes of a cached name.
const MAX_CLEAN_NAMES: usize = 256;
const MAX_CLEAN_BYTES: usize = 256;

/// Detectors whose findings are always masked: unmistakable credentials, numbers with a check digit, and email
/// addresses.
const ALWAYS_MASKED: &[(&str, Confidence)] = &[
    ("secrets", Confidence::High),
    ("credit_card", Confidence::Medium),
    ("iban", Confidence::Medium),
    ("email", Confidence::Medium),
];

/// Prefixes of the project's own credentials, each with its label. Policies may configure other prefixes for keys.
const OWN: [(&str, &str); 3] = [
    ("agk_", "[AGENT_KEY]"),
    ("agat1.", "[APPROVAL_TOKEN]"),
    ("agar1.", "[APPROVAL_REQUEST]"),
];

/// Minimum characters after the prefix of one of the project's own credentials.
const MIN_OWN_CHARS: usize = 12;

/// Masker of names.
#[derive(Debug, Default)]
pub(super) struct NameMasker {
    /// Scanner, built for the first name that is long enough.
    scanner: OnceCell<Scanner>,
    clean: RefCell<SortedSet<Box<str>>>,
}

impl NameMasker {
    /// Returns the masked name if it has findings.
    pub(super) fn masked(&self, name: &str) -> Option<Box<str>> {
        if name.len() < MIN_HIDDEN_CHARS || is_uuid(name) || self.clean.borrow().contains(name) {
            return None;
        }
        let shown = name.floor_char_boundary(MAX_SHOWN_BYTES);
        let read = name.floor_char_boundary(MAX_SHOWN_BYTES.saturating_add(LOOKAHEAD_BYTES));
        let read = name.get(..read).unwrap_or_default();
        let scanner = self.scanner();
        let findings = self.findings(read).into_iter().map(|finding| {
            let detector = scanner.name(finding.detector).unwrap_or_default();
            (finding.range(), format!("[{}]", detector.to_uppercase()))
        });
        let own = own_credentials(read).map(|(range, label)| (range, label.to_owned()));
        let masks: Vec<(Range<usize>, String)> = own.chain(findings).collect();
        if masks.is_empty() && shown == name.len() {
            let mut clean = self.clean.borrow_mut();
            if clean.len() < MAX_CLEAN_NAMES && name.len() <= MAX_CLEAN_BYTES {
                clean.insert(name.into());
            }
            return None;
        }
        Some(with_masks(read, shown, masks).into())
    }

    /// Masks a name in place.
    pub(super) fn mask(&self, name: &mut Box<str>) {
        if let Some(masked) = self.masked(name) {
            *name = masked;
        }
    }

    /// Returns a name with its secrets masked.
    pub(super) fn without_secrets(&self, name: String) -> String {
        self.masked(&name).map_or(name, String::from)
    }

    fn scanner(&self) -> &Scanner {
        self.scanner.get_or_init(|| {
            let mut selection = Selection::none();
            for (name, at_least) in ALWAYS_MASKED {
                // Names of built-in detectors and groups are always valid.
                let known = selection.add(name, *at_least);
                debug_assert!(known.is_ok());
            }
            Scanner::new(&selection)
        })
    }

    /// Returns the findings in a name: as written, with its separators as spaces, and with its digits alone. To a
    /// detector `pay_4111111111111111` is a single word.
    fn findings(&self, name: &str) -> Vec<Finding> {
        let scanner = self.scanner();
        let mut scratch = Scratch::default();
        let mut findings = Vec::new();
        scanner.scan(&Input::whole(name), &mut scratch, &mut findings);
        // Replacements keep the length in bytes, and so the offsets.
        let joints: String = name
            .chars()
            .map(|c| {
                if matches!(c, '_' | '/' | ':' | '.') {
                    ' '
                } else {
                    c
                }
            })
            .collect();
        let digits: String = name
            .bytes()
            .map(|b| {
                if b.is_ascii_digit() {
                    char::from(b)
                } else {
                    ' '
                }
            })
            .collect();
        for text in [joints, digits] {
            scanner.scan(&Input::whole(&text), &mut scratch, &mut findings);
        }
        // Offsets of a replaced character may not be character boundaries of the name.
        findings.retain(|finding| name.get(finding.range()).is_some());
        findings
    }
}

/// Returns the ranges of the project's own credentials in a text, each with its label. Those with the same prefix don't
/// overlap: `agk_agk_…` is one credential. The time is linear.
pub(super) fn own_credentials(
    text: &str,
) -> impl Iterator<Item = (Range<usize>, &'static str)> + '_ {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    OWN.iter().flat_map(move |(prefix, label)| {
        let mut from = 0usize;
        std::iter::from_fn(move || {
            loop {
                let at = from.saturating_add(text.get(from..)?.find(prefix)?);
                let start = at.saturating_add(prefix.len());
                let rest = text.get(start..)?;
                let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                from = start.saturating_add(len);
                if len >= MIN_OWN_CHARS {
                    return Some((at..from, *label));
                }
            }
        })
    })
}

/// Returns the first `shown` bytes of a text with labels in place of the masked ranges. The label of the first of two
/// overlapping ranges covers both.
pub(super) fn with_masks(
    text: &str,
    shown: usize,
    mut masks: Vec<(Range<usize>, String)>,
) -> String {
    sort::sort_by(&mut masks, |(a, _), (b, _)| {
        a.start.cmp(&b.start).then(b.end.cmp(&a.end))
    });
    let mut written = String::with_capacity(shown);
    let mut at = 0;
    for (range, label) in masks {
        if range.start >= shown {
            break;
        }
        if at <= range.start {
            written.push_str(text.get(at..range.start).unwrap_or_default());
            written.push_str(&label);
        }
        at = at.max(range.end);
    }
    written.push_str(text.get(at..shown).unwrap_or_default());
    written
}

/// Returns whether a request id has the form of Envoy's own ids.
fn is_uuid(name: &str) -> bool {
    let groups = name.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && name.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_masking(name: &str) -> String {
        let masker = NameMasker::default();
        let masked = masker.masked(name);
        masked.map_or_else(|| name.to_owned(), Into::into)
    }

    #[test]
    fn few_names_are_cached_and_no_long_one() {
        let masker = NameMasker::default();
        let long = "tool_".repeat(MAX_CLEAN_BYTES / 4);
        assert!(masker.masked(&long).is_none());
        assert!(masker.clean.borrow().is_empty());
        for number in 0..2 * MAX_CLEAN_NAMES {
            assert!(
                masker
                    .masked(&format!("list_the_orders_{number}"))
                    .is_none()
            );
        }
        assert_eq!(masker.clean.borrow().len(), MAX_CLEAN_NAMES);
    }

    #[test]
    fn only_the_beginning_of_a_long_name_is_read() {
        for name in ["agk_aaaaaaaaaaaa/", "agk_", "4111111111111111 ", "x"] {
            let masked = after_masking(&name.repeat(1 << 20));
            assert!(
                masked.len() <= 2 * MAX_SHOWN_BYTES,
                "{name}: {}",
                masked.len()
            );
            assert!(
                !masked.contains("aaaa") && !masked.contains("1111"),
                "{masked}"
            );
        }
        // A secret is masked that is shown only in part.
        let beginning = "x".repeat(MAX_SHOWN_BYTES - 6);
        let name = format!("{beginning} 4111111111111111");
        assert_eq!(after_masking(&name), format!("{beginning} [CREDIT_CARD]"));
    }

    #[test]
    fn secrets_in_names_are_masked_and_the_rest_stays() {
        for (name, expected) in [
            ("4111111111111111", "[CREDIT_CARD]"),
            ("pay_4111111111111111", "pay_[CREDIT_CARD]"),
            ("pay4111111111111111now", "pay[CREDIT_CARD]now"),
            ("4111-1111-1111-1111", "[CREDIT_CARD]"),
            ("4111_1111_1111_1111", "[CREDIT_CARD]"),
            ("ünïcode 4111 1111 1111 1111", "ünïcode [CREDIT_CARD]"),
            (concat!("AKIA", "Z7QX3N5PLM2RT6VD"), "[AWS_ACCESS_KEY]"),
            ("jane.doe@example.com", "[EMAIL]"),
            (
                "a/agk_0123456789abcdefgh/agk_0123456789abcdefgh",
                "a/[AGENT_KEY]/[AGENT_KEY]",
            ),
            ("agat1.AAAAAAAAAAAAAAAA.BBBB_-", "[APPROVAL_TOKEN]"),
        ] {
            assert_eq!(after_masking(name), expected);
        }
    }

    #[test]
    fn names_in_use_stay_as_they_are() {
        for name in [
            "gpt-4o-2024-08-06",
            "claude-3-5-sonnet-20240620",
            "us.anthropic.claude-3-5-sonnet-20240620-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456",
            "publishers/google/models/gemini-2.0-flash@001",
            "claude-3-5-sonnet-v2@20241022",
            "ft:gpt-4o-mini-2024-07-18:acme:name:AbCdEf12",
            "accounts/fireworks/models/llama-v3p1-405b-instruct",
            "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
            "mcp__github__create_pull_request",
            "str_replace_based_edit_tool",
            "computer_20250124",
            "web_search_20250305",
            "functions.exec_command",
            "3f2b8c1e-7a44-4d0e-9b1a-2f6c0d9e8a71",
            "20240620-2030405060708",
            "agk_models/short",
        ] {
            assert_eq!(after_masking(name), name);
        }
    }
}
