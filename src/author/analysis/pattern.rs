//! Text that matches a regular expression.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

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
