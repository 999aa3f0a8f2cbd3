//! Values that do not directly follow their name: below it, or in a block of Terraform.

use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::names::has_part;
use crate::detect::scan::probe::MatchSite;

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'`' | b'*' | b'=')
}

/// Returns where the value begins below a line that ends with the place's word: `Password:`. The value may be fenced.
pub(super) fn below(place: &MatchSite<'_>) -> Option<usize> {
    let text = place.text;
    let start = text.run(place.end, 16, is_blank);
    place.begins(start);
    text.slice(place.end..start)
        .contains(&b'\n')
        .then_some(start)
}

/// Maximum lines from a variable to its default.
const LINES: usize = 8;

/// Returns where the default of the variable at this place begins, if its name contains one of these parts: `variable
/// "db_password" { default = "…" }` (Terraform, input variables).
pub(super) fn default_of(place: &MatchSite<'_>, parts: &[&str]) -> Option<usize> {
    let text = place.text;
    let indented = text.run_back(place.at, 16, |byte| matches!(byte, b' ' | b'\t'));
    let mut at = text.run_of(Alphabet::Name, place.end, 64);
    if !matches!(text.before(indented), b'\n' | 0) || text.at(at) != b'"' {
        return None;
    }
    let name = text.slice(place.end..at);
    parts.iter().find(|part| has_part(name, part))?;
    for _ in 0..LINES {
        at = text.run(at, 128, |byte| !matches!(byte, b'\n' | b'}' | 0));
        if text.at(at) != b'\n' {
            break;
        }
        at = text.run(at, 16, is_blank);
        if text.follows(at, "variable") {
            // The next variable is handled by itself.
            break;
        }
        if text.follows(at, "default") {
            let quote = text.run(at.wrapping_add(7), 16, is_blank);
            let start = quote.wrapping_add(1);
            place.begins(start);
            return (text.at(quote) == b'"').then_some(start);
        }
    }
    None
}

/// Returns whether a value that ends here is alone on its line, or in its quotes. A value that ends in a colon
/// introduces something else: `password:` and `secretKeyRef:` in YAML.
pub(super) fn is_alone(place: &MatchSite<'_>, end: usize) -> bool {
    let text = place.text;
    let next = text.run(end, 8, is_blank);
    let alone = text.slice(end..next).contains(&b'\n') || matches!(text.at(next), b'"' | 0);
    alone && text.before(end) != b':'
}
