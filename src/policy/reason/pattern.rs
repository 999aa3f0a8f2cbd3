//! A text that fits a regular expression.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Longest text that is made.
const LONGEST: usize = 4096;

/// A short text that fits a pattern, as far as its looks around (`\b`, `^`) allow; whoever uses it has to try.
pub(super) fn text_for(pattern: &str) -> Option<String> {
    let hir = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(pattern)
        .ok()?;
    let mut out = Vec::new();
    write(&hir, &mut out)?;
    String::from_utf8(out).ok()
}

fn write(hir: &Hir, out: &mut Vec<u8>) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(class) => out.push(one_of(class)?),
        HirKind::Repetition(repetition) => {
            for _ in 0..repetition.min {
                write(&repetition.sub, out)?;
                if out.len() > LONGEST {
                    return None;
                }
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, out)?,
        HirKind::Concat(parts) => {
            for part in parts {
                write(part, out)?;
            }
        }
        HirKind::Alternation(parts) => write(parts.first()?, out)?,
    }
    Some(())
}

/// A character of a class: one that people write, if there is one.
fn one_of(class: &Class) -> Option<u8> {
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
    b"xaA1 -_./:=?&<>()[]{}\"'\n\t"
        .iter()
        .copied()
        .find(|byte| fits(*byte))
        .or_else(|| (0x21..0x7F).find(|byte| fits(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::pattern::{Pattern, Scratch};

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
        ] {
            let text = text_for(pattern).unwrap();
            let compiled = Pattern::new(pattern).unwrap();
            assert!(
                compiled.is_match(&text, &mut Scratch::default()),
                "{pattern}: {text:?}"
            );
        }
    }
}
