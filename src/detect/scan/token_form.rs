//! Token forms: tokens with a known prefix, such as `ghp_` and 36 letters or digits.
//!
//! The part after the prefix is written as a simple regular expression, which is parsed once when a policy is loaded:
//! characters that stand for themselves (`\` before `.`, `$`, `+` and the like), a class with a count
//! (`[0-9a-f]{64}`, `[0-9a-zA-Z]{10,24}`), and at the end of the form optional characters with a class
//! (`(\.[0-9a-z]{0,40})?`). Classes are those of [`Alphabet`]; a class matches greedily.

use super::alphabet::Alphabet;

/// Token with a known prefix, and the form of the part after it.
#[derive(Debug)]
pub(in crate::detect) struct TokenPrefix {
    /// Prefix, at least three characters.
    pub(in crate::detect) prefix: &'static str,
    /// Form of the rest, as described in this module.
    pub(in crate::detect) form: &'static str,
    /// Minimum entropy of the rest, in tenths of a bit for each character. 0: a form so long and rare that even
    /// samples of it are reported.
    pub(in crate::detect) min_entropy: u32,
}

/// Returns a token whose rest has at least 2.5 bits of entropy for each character. Text typed by people has less.
pub(in crate::detect) const fn token(prefix: &'static str, form: &'static str) -> TokenPrefix {
    TokenPrefix {
        prefix,
        form,
        min_entropy: 25,
    }
}

impl TokenPrefix {
    /// Returns the same token with another minimum entropy, in tenths of a bit for each character.
    pub(in crate::detect) const fn entropy(self, variety: u32) -> Self {
        Self {
            min_entropy: variety,
            ..self
        }
    }
}

/// Part of a token after its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum TokenPart {
    /// These characters.
    Text(&'static str),
    /// Characters of an alphabet, at least and at most this many; it matches greedily.
    Run(Alphabet, usize, usize),
    /// These characters and at most this many of the alphabet, or nothing.
    Maybe(&'static str, Alphabet, usize),
}

/// Parses a form; `None` if it is invalid.
pub(in crate::detect) fn parts_of(form: &'static str) -> Option<Vec<TokenPart>> {
    let mut parts = Vec::new();
    let mut rest = form;
    while !rest.is_empty() {
        if let Some(group) = rest.strip_prefix('(') {
            let (group, behind) = group.split_once(")?")?;
            let (text, group) = text_of(group);
            let (alphabet, _, most, end) = run_of(group)?;
            if !end.is_empty() || !behind.is_empty() {
                return None;
            }
            parts.push(TokenPart::Maybe(text, alphabet, most));
            break;
        }
        if rest.starts_with('[') {
            let (alphabet, least, most, behind) = run_of(rest)?;
            parts.push(TokenPart::Run(alphabet, least, most));
            rest = behind;
        } else {
            let (text, behind) = text_of(rest);
            if text.is_empty() {
                return None;
            }
            parts.push(TokenPart::Text(text));
            rest = behind;
        }
    }
    Some(parts)
}

/// Returns the literal characters at the beginning of a form, up to the next `\`, and the rest of the form.
fn text_of(form: &'static str) -> (&'static str, &'static str) {
    const SPECIAL: [char; 8] = ['[', '(', '\\', ')', ']', '{', '}', '?'];
    let (escaped, form) = match form.strip_prefix('\\') {
        Some(behind) => (behind.chars().next().map_or(0, char::len_utf8), behind),
        None => (0, form),
    };
    let behind = form.get(escaped..).unwrap_or_default();
    let end = behind.find(SPECIAL).unwrap_or(behind.len());
    form.split_at_checked(escaped.saturating_add(end))
        .unwrap_or((form, ""))
}

/// Parses a class with its count at the beginning of a form: the alphabet, minimum, maximum, and the rest of the
/// form.
fn run_of(form: &'static str) -> Option<(Alphabet, usize, usize, &'static str)> {
    let (class, count) = form.strip_prefix('[')?.split_once("]{")?;
    let (count, behind) = count.split_once('}')?;
    let (least, most) = match count.split_once(',') {
        Some((least, most)) => (least.parse().ok()?, most.parse().ok()?),
        None => (count.parse().ok()?, count.parse().ok()?),
    };
    Some((Alphabet::of_class(class)?, least, most, behind))
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "tests cut at boundaries")]
mod tests {
    use super::*;
    use crate::detect::scan::anchor::Anchor;
    use crate::detect::{Confidence, DETECTORS, Input, Scanner, Scratch, Selection};

    #[test]
    fn a_form_is_characters_and_classes_with_counts() {
        let parts = parts_of(r"[0-9a-z]{26}_x\.acc[0-9a-f]{10,24}(\.[0-9a-zA-Z_-]{0,40})?");
        assert_eq!(
            parts.unwrap(),
            [
                TokenPart::Run(Alphabet::Smalls, 26, 26),
                TokenPart::Text("_x"),
                TokenPart::Text(".acc"),
                TokenPart::Run(Alphabet::HexSmall, 10, 24),
                TokenPart::Maybe(".", Alphabet::Base64Url, 40),
            ]
        );
        for wrong in [
            "[0-9]",
            "[0-9]{",
            "[q-r]{3}",
            "[0-9]{x}",
            "(x)?",
            "([0-9]{0,3})?x",
            "a]b",
        ] {
            assert_eq!(parts_of(wrong), None, "{wrong}");
        }
    }

    /// Returns tokens with their detectors.
    fn tokens() -> impl Iterator<Item = (&'static str, &'static TokenPrefix)> {
        DETECTORS.iter().flat_map(|detector| {
            detector
                .anchors
                .iter()
                .filter_map(move |anchor| match anchor {
                    Anchor::Beginning(tokens) => Some(tokens.iter()),
                    _ => None,
                })
                .flatten()
                .map(|token| (detector.name, token))
        })
    }

    /// Returns a token of the form: each run as short as possible, or one character shorter if `too_short`.
    fn sample(token: &TokenPrefix, too_short: bool) -> Option<String> {
        let parts = parts_of(token.form).expect(token.form);
        let mut text = token.prefix.to_owned();
        let mut seed = 7_u32;
        let last = parts
            .iter()
            .rposition(|part| matches!(part, TokenPart::Run(..)))?;
        for (at, part) in parts.iter().enumerate() {
            match part {
                TokenPart::Text(literal) => text.push_str(literal),
                TokenPart::Maybe(..) => {}
                TokenPart::Run(alphabet, least, most) => {
                    let characters: Vec<char> = ('0'..='z')
                        .filter(|c| c.is_ascii_alphanumeric() && alphabet.has(*c as u8))
                        .collect();
                    // A form that may be short gets enough characters that the result does not look typed by people.
                    let wanted = (*least).max(24.min(*most));
                    let count = if too_short && at == last {
                        least.checked_sub(1)?
                    } else {
                        wanted
                    };
                    for _ in 0..count {
                        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        text.push(characters[(seed >> 16) as usize % characters.len()]);
                    }
                }
            }
        }
        Some(text)
    }

    fn found(detector: &str, text: &str) -> Vec<String> {
        let mut selection = Selection::none();
        selection.add(detector, Confidence::Low).unwrap();
        let mut findings = Vec::new();
        Scanner::new(&selection).scan(&Input::whole(text), &mut Scratch::default(), &mut findings);
        findings
            .iter()
            .map(|finding| text[finding.range()].to_owned())
            .collect()
    }

    #[test]
    fn every_token_is_found_by_its_form_and_not_when_it_is_too_short() {
        for (detector, token) in tokens() {
            let whole = sample(token, false).unwrap();
            let text = format!("it is {whole} here");
            assert!(
                found(detector, &text).contains(&whole),
                "{}: {text}",
                token.prefix
            );
            if let Some(short) = sample(token, true) {
                let text = format!("it is {short} here");
                assert!(
                    !found(detector, &text).contains(&short),
                    "{}: {text}",
                    token.prefix
                );
            }
        }
    }
}
