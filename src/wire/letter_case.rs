//! Letter case conversion with the results of the standard library, from tables of a fifth of the size.

mod tables;

use tables::{IGNORED, LOWER, SEVERAL_CAPITALS, UPPER};

/// A run of letters with one distance to their counterparts. Either every letter of the run has it, or every other one.
struct CaseRun {
    first: u32,
    /// Distance from the first letter to the last.
    span: u8,
    /// 1 if only every other letter belongs to the run.
    skips: u8,
    distance: i32,
}

const fn run(first: u32, span: u8, skips: u8, distance: i32) -> CaseRun {
    CaseRun {
        first,
        span,
        skips,
        distance,
    }
}

/// Like [`str::to_ascii_lowercase`], which the compiler copies into each of its callers.
#[inline(never)]
pub fn ascii_lower(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// Like [`str::to_lowercase`].
#[inline(never)]
pub fn lower(text: &str) -> String {
    if text.is_ascii() {
        return ascii_lower(text);
    }
    let mut lower = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if c == 'Σ' && ends_word(text, at) {
            lower.push('ς');
        } else {
            lower.extend(lower_of(c));
        }
    }
    lower
}

/// Like [`str::to_uppercase`].
#[inline(never)]
pub fn upper(text: &str) -> String {
    text.chars().flat_map(upper_of).collect()
}

/// Like [`char::to_lowercase`].
pub fn lower_of(c: char) -> impl Iterator<Item = char> {
    let (letter, dot) = match c {
        'İ' => ('i', Some('\u{307}')),
        _ => (counterpart(c, &LOWER), None),
    };
    std::iter::once(letter).chain(dot)
}

/// Like [`char::to_uppercase`].
pub fn upper_of(c: char) -> impl Iterator<Item = char> {
    let mut entries = SEVERAL_CAPITALS.split(' ');
    // Few letters have several capitals, and each of an alphabet is asked about.
    let several = match c {
        'ß' | 'ŉ' | 'ǰ' | 'ΐ' | 'ΰ' | 'և' | '\u{1E96}'..='\u{1FFC}' | '\u{FB00}'..='\u{FB17}' => {
            entries.find_map(|entry| entry.strip_prefix(c))
        }
        _ => None,
    };
    let one = several.is_none().then(|| counterpart(c, &UPPER));
    one.into_iter().chain(several.unwrap_or_default().chars())
}

#[inline(never)]
fn counterpart(c: char, runs: &[CaseRun]) -> char {
    let code = u32::from(c);
    let after = runs.partition_point(|run| run.first <= code);
    let run = after.checked_sub(1).and_then(|at| runs.get(at));
    run.filter(|run| {
        let offset = code.saturating_sub(run.first);
        offset <= u32::from(run.span) && offset & u32::from(run.skips) == 0
    })
    .and_then(|run| char::from_u32(code.wrapping_add_signed(run.distance)))
    .unwrap_or(c)
}

/// Returns whether the capital sigma at an offset is the last letter of a word (Unicode's `Final_Sigma`).
fn ends_word(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let after = text.get(at..).unwrap_or_default();
    is_letter_next(before.chars().rev()) && !is_letter_next(after.chars().skip(1))
}

fn is_letter_next(mut characters: impl Iterator<Item = char>) -> bool {
    let next = characters.find(|c| !is_ignored(*c));
    next.is_some_and(|c| c.is_lowercase() || c.is_uppercase() || counterpart(c, &LOWER) != c)
}

/// Returns whether a word continues after a character such as an apostrophe or an accent (Unicode's `Case_Ignorable`).
fn is_ignored(c: char) -> bool {
    let code = u32::from(c);
    let after = IGNORED.partition_point(|run| run >> 8 <= code);
    let run = after.checked_sub(1).and_then(|at| IGNORED.get(at));
    run.is_some_and(|run| code.saturating_sub(run >> 8) <= run & 0xFF)
}

#[cfg(test)]
mod tests;
