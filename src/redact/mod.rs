//! Redaction: writes the replacements into a body. Overlapping parts are merged; of several forms the strongest
//! applies.

use crate::detect::{DETECTORS, NormalisedText};
use crate::event::{Redaction, Replacement};
use crate::wire::hex;
use crate::wire::json::{Edits, JsonBody, NodeId};
use crate::wire::letter_case;
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::ops::Range;

mod pseudonym;

use pseudonym::PseudonymSource;
pub use pseudonym::{Pseudonyms, replaced};

/// Label of a text or pattern of the policy that has no label of its own.
const DEFAULT_LABEL: &str = "REDACTED";

/// Keys of replacements: one for each form, so that a replacement of one form reveals nothing about another.
#[derive(Clone)]
pub struct RedactionKeys {
    /// Key of hashes.
    pub hashes: [u8; 32],
    /// Key of pseudonyms.
    pub pseudonyms: [u8; 32],
}

impl std::fmt::Debug for RedactionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedactionKeys")
    }
}

/// State shared by all redactions of an exchange: equal values have equal replacements.
#[derive(Debug, Default)]
pub struct RedactionState {
    /// Numbers of numbered labels, by label and value.
    by_label: SortedMap<String, SortedMap<Box<str>, usize>>,
    /// Pseudonyms.
    pub pseudonyms: Pseudonyms,
}

impl RedactionState {
    fn number(&mut self, label: &str, value: &str) -> usize {
        let values = self.by_label.entry(label.to_owned()).or_default();
        let next = values.len().saturating_add(1);
        *values.entry(value.into()).or_insert(next)
    }
}

/// Edited text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// Position of its value.
    pub place: NodeId,
    /// Index of the response choice.
    pub choice: u32,
    /// Replaced byte ranges of the decoded text, with their replacements.
    pub changes: Vec<(Range<usize>, String)>,
}

/// Converts redactions to edits. Returns the edited texts. Impossible redactions must have been denied before.
pub fn apply(
    mut redactions: Vec<Redaction>,
    json: &JsonBody<'_>,
    keys: &RedactionKeys,
    state: &mut RedactionState,
    edits: &mut Edits,
) -> Vec<Edited> {
    redactions.retain(|redaction| redaction.is_possible() && !redaction.range.is_empty());
    sort::sort_by(&mut redactions, |a, b| {
        (a.place, a.range.start, b.range.end).cmp(&(b.place, b.range.start, a.range.end))
    });
    let mut all = Vec::new();
    for group in redactions.chunk_by(|a, b| a.place == b.place) {
        let Some(first) = group.first() else { continue };
        let Some(value) = json.value(first.place) else {
            continue;
        };
        let text = value.text().unwrap_or_default();
        let changes = written(group, &text, keys, state);
        edits.replace_text(
            value,
            changes
                .iter()
                .map(|(range, with)| (range.clone(), with.as_str())),
        );
        all.push(Edited {
            place: first.place,
            choice: first.choice,
            changes,
        });
    }
    all
}

/// Returns the replacements in one text, in order.
pub fn changes(
    mut redactions: Vec<Redaction>,
    text: &str,
    keys: &RedactionKeys,
    state: &mut RedactionState,
) -> Vec<(Range<usize>, String)> {
    redactions.retain(|redaction| redaction.is_possible() && !redaction.range.is_empty());
    sort::sort_by_key(&mut redactions, |redaction| {
        (
            redaction.range.start,
            std::cmp::Reverse(redaction.range.end),
        )
    });
    written(&redactions, text, keys, state)
}

fn written(
    sorted: &[Redaction],
    text: &str,
    keys: &RedactionKeys,
    state: &mut RedactionState,
) -> Vec<(Range<usize>, String)> {
    joined(sorted)
        .into_iter()
        .map(|(range, chosen)| {
            let found = text.get(range.clone()).unwrap_or_default();
            (range, replacement(chosen, found, keys, state))
        })
        .collect()
}

/// Merges overlapping parts. The strongest form wins; of equal forms, the longest part determines the
/// replacement.
fn joined(sorted: &[Redaction]) -> Vec<(Range<usize>, &Redaction)> {
    let mut joined: Vec<(Range<usize>, &Redaction)> = Vec::new();
    for redaction in sorted {
        match joined.last_mut() {
            Some((range, chosen)) if redaction.range.start < range.end => {
                range.end = range.end.max(redaction.range.end);
                let strength = |redaction: &Redaction| {
                    (
                        redaction.with,
                        usize::MAX.saturating_sub(redaction.range.len()),
                    )
                };
                if strength(redaction) < strength(chosen) {
                    *chosen = redaction;
                }
            }
            _ => joined.push((redaction.range.clone(), redaction)),
        }
    }
    joined
}

fn replacement(
    redaction: &Redaction,
    found: &str,
    keys: &RedactionKeys,
    state: &mut RedactionState,
) -> String {
    let label = || match &redaction.label {
        Some(label) => label.trim_matches(['[', ']']).to_owned(),
        None => redaction
            .detector
            .and_then(|number| DETECTORS.get(usize::from(number)))
            .map_or_else(
                || DEFAULT_LABEL.to_owned(),
                |detector| letter_case::upper(detector.name),
            ),
    };
    // A label from the policy is used unchanged.
    let plain = || match &redaction.label {
        Some(label) => label.to_string(),
        None => format!("[{}]", label()),
    };
    match redaction.with {
        Replacement::Remove => String::new(),
        Replacement::Label if redaction.numbered => {
            let label = label();
            let number = state.number(&label, found);
            format!("[{label}_{number}]")
        }
        Replacement::Label => plain(),
        Replacement::Pseudonym => {
            let detector = redaction
                .detector
                .and_then(|number| DETECTORS.get(usize::from(number)));
            let original = PseudonymSource {
                detector: detector.map(|detector| detector.name),
                label: &label(),
                value: found,
                tools: &redaction.restore,
            };
            match state.pseudonyms.of(&keys.pseudonyms, original) {
                Some(pseudonym) => pseudonym.to_owned(),
                None => plain(),
            }
        }
        Replacement::Hash => format!("[{}:{}]", label(), short_hash(&keys.hashes, found)),
        Replacement::Mask => masked(found, 0),
        Replacement::Last4 => masked(found, 4),
    }
}

/// Replaces a value by `*`, except for the last `kept` letters and digits of a longer one. Separators stay in a value that
/// has letters or digits: a password may have neither.
fn masked(found: &str, kept: usize) -> String {
    let total = found.chars().filter(|c| is_alphanumeric(*c)).count();
    let hidden = if total > kept {
        total.saturating_sub(kept)
    } else {
        total
    };
    let mut seen = 0usize;
    found
        .chars()
        .map(|c| {
            seen = seen.saturating_add(usize::from(is_alphanumeric(c)));
            let stays = total > 0 && is_separator(c);
            if seen <= hidden && !stays { '*' } else { c }
        })
        .collect()
}

/// Returns whether a character separates the parts of numbers, addresses and names.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || "-./:@()+,_".contains(c)
}

/// Returns whether a character is a letter or a digit, or represents one, as a Unicode tag character does.
fn is_alphanumeric(c: char) -> bool {
    c.is_alphanumeric()
        || NormalisedText::of(c.encode_utf8(&mut [0; 4]))
            .is_some_and(|view| view.text().contains(char::is_alphanumeric))
}

/// Returns eight hex digits of a keyed hash. The same value has the same hash; without the key, values cannot be
/// guessed and checked.
fn short_hash(key: &[u8], found: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return "00000000".to_owned();
    };
    mac.update(found.as_bytes());
    let code = <[u8; 32]>::from(mac.finalize().into_bytes());
    hex::encode(code.first_chunk::<4>().map_or(&[][..], |start| start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::select;
    use crate::event::{Class, Form};
    use crate::wire::edit;
    use crate::wire::json::Limits;
    use std::rc::Rc;

    fn redaction(range: Range<usize>, with: Replacement, detector: Option<&str>) -> Redaction {
        Redaction {
            place: NodeId { doc: 0, node: 0 },
            form: Form::String,
            class: Class::Text,
            range,
            choice: 0,
            detector: detector.map(|name| select::members(name).unwrap()[0]),
            with,
            label: None,
            numbered: false,
            restore: Rc::from([]),
        }
    }

    fn redacted(body: &str, redactions: Vec<Redaction>) -> String {
        let json = JsonBody::scan(body.as_bytes(), Limits { max_depth: 8 }, 0).unwrap();
        let mut edits = Edits::default();
        apply(
            redactions,
            &json,
            &RedactionKeys {
                hashes: [1; 32],
                pseudonyms: [2; 32],
            },
            &mut RedactionState::default(),
            &mut edits,
        );
        String::from_utf8(edit::apply(body.as_bytes(), &json.flatten(edits))).unwrap()
    }

    #[test]
    fn each_form_writes_what_it_promises() {
        let card = Some("credit_card");
        let body = r#""pay 4111-1111 now""#;
        for (with, expected) in [
            (Replacement::Label, r#""pay [CREDIT_CARD] now""#),
            (Replacement::Mask, r#""pay ****-**** now""#),
            (Replacement::Last4, r#""pay ****-1111 now""#),
            (Replacement::Remove, r#""pay  now""#),
        ] {
            assert_eq!(redacted(body, vec![redaction(4..13, with, card)]), expected);
        }
        let hashed = redacted(body, vec![redaction(4..13, Replacement::Hash, card)]);
        assert!(
            hashed.starts_with(r#""pay [CREDIT_CARD:"#) && hashed.len() == body.len() + 13,
            "{hashed}"
        );
    }

    #[test]
    fn a_mask_covers_all_that_is_read_as_a_letter_or_a_digit() {
        let tags = "\u{E0034}\u{E0031}\u{E0031}\u{E0031}";
        assert_eq!(masked(tags, 0), "****");
        assert_eq!(masked("①４é字-ⓐ٤", 0), "****-**");
        assert_eq!(masked("1234567890", 4), "******7890");
        assert_eq!(masked("12-345", 4), "*2-345");
        // A shorter value would not be masked at all.
        assert_eq!(masked("12-34", 4), "**-**");
        assert_eq!(masked("1", 4), "*");
        assert_eq!(masked("p@$$w0rd!{x}", 0), "*@**********");
        assert_eq!(masked("!$%&/=?#", 0), "********");
        assert_eq!(masked("-./ -./", 4), "*******");
        assert_eq!(masked("ann.lee@example.com", 0), "***.***@*******.***");
        assert_eq!(masked("!ab-cdef!", 4), "***-cdef!");
    }

    #[test]
    fn the_policy_s_own_texts_have_a_label_of_their_own() {
        let body = r#""the codename is swan""#;
        assert_eq!(
            redacted(body, vec![redaction(16..20, Replacement::Label, None)]),
            r#""the codename is [REDACTED]""#
        );
        let mut labelled = redaction(16..20, Replacement::Label, None);
        labelled.label = Some("(\"gone\")".into());
        assert_eq!(
            redacted(body, vec![labelled]),
            r#""the codename is (\"gone\")""#
        );
    }

    #[test]
    fn the_strongest_form_covers_everything_that_overlaps() {
        let body = r#""0123456789""#;
        let parts = vec![
            redaction(2..5, Replacement::Mask, None),
            redaction(4..8, Replacement::Label, Some("email")),
            redaction(7..9, Replacement::Last4, None),
        ];
        assert_eq!(redacted(body, parts), r#""01[EMAIL]9""#);
        // What only touches does not overlap.
        let parts = vec![
            redaction(2..5, Replacement::Mask, None),
            redaction(5..8, Replacement::Label, Some("email")),
        ];
        assert_eq!(redacted(body, parts), r#""01***[EMAIL]89""#);
    }

    #[test]
    fn numbered_labels_are_the_same_for_the_same_value() {
        let body = r#""ab cd ab""#;
        let numbered = |range| Redaction {
            numbered: true,
            ..redaction(range, Replacement::Label, Some("email"))
        };
        assert_eq!(
            redacted(body, vec![numbered(6..8), numbered(0..2), numbered(3..5)]),
            r#""[EMAIL_1] [EMAIL_2] [EMAIL_1]""#
        );
    }

    #[test]
    fn escapes_around_and_inside_a_finding_are_respected() {
        let body = r#""\"\u0034\u0031\"\n4""#;
        assert_eq!(
            redacted(body, vec![redaction(1..3, Replacement::Mask, None)]),
            r#""\"**\"\n4""#
        );
    }
}
