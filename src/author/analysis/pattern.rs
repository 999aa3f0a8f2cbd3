//! Text that matches a regular expression.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Maximum bytes of a generated text.
const MAX_PATTERN_BYTES: usize = 4096;

/// Returns a short text that matches a pattern, as far as its assertions (`\b`, `^`) allow; the caller must try it. Each `way`
/// leads to another text if the pattern leaves a choice: another alternative, another letter, more repetitions.
pub(super) fn text_for(pattern: &str, way: usize) -> Option<String> {
    let hir = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(pattern)
        .ok()?;
    let mut out = Vec::new();
    write(&hir, way, &mut out)?;
    String::from_utf8(out).ok()
}

/// Returns whether no text matches a pattern: it asks for a character of an empty class, or for something before the
/// beginning or after the end of the text.
pub(in crate::author) fn matches_nothing(pattern: &str) -> bool {
    let parsed = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(pattern);
    parsed.is_ok_and(|hir| is_impossible(&hir))
}

fn is_impossible(hir: &Hir) -> bool {
    // Without a shortest match there is none.
    if hir.properties().minimum_len().is_none() {
        return true;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(_) => false,
        HirKind::Repetition(repetition) => repetition.min > 0 && is_impossible(&repetition.sub),
        HirKind::Capture(capture) => is_impossible(&capture.sub),
        HirKind::Alternation(parts) => parts.iter().all(is_impossible),
        HirKind::Concat(parts) => {
            let takes_some = |part: &Hir| part.properties().minimum_len() > Some(0);
            let mut parts_before = parts.iter().enumerate();
            parts_before.any(|(at, part)| {
                let looks = part.properties();
                let begins = looks.look_set_prefix().contains(Look::Start);
                let ends = looks.look_set_suffix().contains(Look::End);
                is_impossible(part)
                    || (begins && parts.iter().take(at).any(takes_some))
                    || (ends && parts.iter().skip(at.saturating_add(1)).any(takes_some))
            })
        }
    }
}

fn write(hir: &Hir, way: usize, out: &mut Vec<u8>) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(class) => out.push(one_of(class, way)?),
        HirKind::Repetition(repetition) => {
            let more = repetition
                .min
                .saturating_add(u32::try_from(way).unwrap_or(0));
            for _ in 0..more.min(repetition.max.unwrap_or(more)) {
                write(&repetition.sub, way, out)?;
                if out.len() > MAX_PATTERN_BYTES {
                    return None;
                }
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, way, out)?,
        HirKind::Concat(parts) => {
            for part in parts {
                write(part, way, out)?;
            }
        }
        HirKind::Alternation(parts) => write(parts.get(way).or(parts.last())?, way, out)?,
    }
    Some(())
}

/// Returns a character of a class, preferably a common one.
fn one_of(class: &Class, way: usize) -> Option<u8> {
    let fits = |byte: u8| match class {
        Class::Bytes(class) => class
            .ranges()
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&byte)),
        Class::Unicode(class) => class
            .ranges()
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&char::from(byte))),
    };
    let usual = b"xaA1 -_./:=?&<>()[]{}\"'\n\t".iter().copied();
    usual
        .filter(|byte| fits(*byte))
        .take(way.saturating_add(1))
        .last()
        .or_else(|| (0x21..0x7F).find(|byte| fits(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::pattern::{Pattern, Scratch};

    #[test]
    fn a_pattern_that_no_text_matches_is_known() {
        let texts = ["", "a", "ab", "a\nb", "b", "x", "aab"];
        for pattern in [
            "a^b",
            "(a|b)(^b|^a)",
            "b$a",
            "(a$)b",
            "(?:$)a",
            r"[^\s\S]",
            r"a[^\s\S]+",
            "a^b|b$a",
            "(a^b){2}",
        ] {
            assert!(matches_nothing(pattern), "{pattern}");
            let compiled = Pattern::new(pattern).unwrap();
            for text in texts {
                assert!(
                    !compiled.is_match(text, &mut Scratch::default()),
                    "{pattern}: {text}"
                );
            }
        }
        for pattern in [
            "^a",
            "a$",
            "^$",
            "a|^b",
            "(?m)a\n^b",
            "(?m)a$\nb",
            "a?^b",
            "a*$b?",
            "(^|,)a",
            "(a^b)?x",
            "(a^b){0}x",
            "a^b|x",
            r"\ba",
        ] {
            assert!(!matches_nothing(pattern), "{pattern}");
        }
    }

    #[test]
    fn the_text_fits_its_pattern() {
        for pattern in [
            "abc",
            r"(?i)\bpush\b",
            r"[A-Z][A-Z0-9]+-[0-9]+",
            r"(?i)\b(ignore|forget) (all |any )?(previous|prior) rules\b",
            r"(?i)!\[[^\]]*\]\(\s*https?://[^)\s]*\?[^)\s]*\)",
            r"x{3,5}y*",
            "^a$",
            "^(secret|hidden)-[0-9]{3}$",
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            for way in 0..4 {
                let text = text_for(pattern, way).unwrap();
                assert!(
                    compiled.is_match(&text, &mut Scratch::default()),
                    "{pattern}: {text:?}"
                );
            }
        }
    }
}
