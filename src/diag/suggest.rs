//! "Did you mean" suggestions by edit distance.

/// Returns the known name nearest to a misspelt one, ignoring case. At most a third of its letters may differ.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    nearest_within(name, known, |length| length.div_euclid(3).max(1))
}

/// Returns the known name that a name is by a slip of the finger: one letter apart, or two in a longer name, ignoring case.
/// For names of which more exist than are known.
pub fn slip_of<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    nearest_within(name, known, |length| match length {
        0..4 => 0,
        4..10 => 1,
        _ => 2,
    })
}

/// Returns the known name nearest to a name, of those with at most `allowed` edits for the length of the longer one.
fn nearest_within<'k>(
    name: &str,
    known: &[&'k str],
    allowed: fn(usize) -> usize,
) -> Option<&'k str> {
    // All known names are ASCII.
    let letters =
        |name: &str| -> Vec<char> { name.chars().map(|c| c.to_ascii_lowercase()).collect() };
    let name = letters(name);
    let mut best = None;
    for candidate in known {
        let candidate_letters = letters(candidate);
        let allowed = allowed(name.len().max(candidate_letters.len()));
        let distance = distance(&name, &candidate_letters);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, *candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Returns a list of all known names; `None` if there are too many to read.
pub fn listed(known: &[&str]) -> Option<String> {
    (!known.is_empty() && known.len() <= 24).then(|| format!("`{}`", known.join("`, `")))
}

/// Counts the edits (insertion, deletion, replacement, transposition) between two words: Damerau's restricted distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (i, &ca) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i.saturating_add(1));
        let mut previous_b = None;
        for (j, &cb) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX >> 1);
            let replaced = at(&last, j).saturating_add(usize::from(ca != cb));
            let inserted = at(&row, j).saturating_add(1);
            let deleted = at(&last, j.saturating_add(1)).saturating_add(1);
            let mut best = replaced.min(inserted).min(deleted);
            if previous_a == Some(cb) && previous_b == Some(ca) {
                best = best.min(at(&before, j.wrapping_sub(1)).saturating_add(1));
            }
            row.push(best);
            previous_b = Some(cb);
        }
        before = std::mem::replace(&mut last, row);
        previous_a = Some(ca);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["match", "when", "unless", "greater_than", "redact"];

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        for (typed, meant) in [
            ("mach", "match"),
            ("Match", "match"),
            ("wehn", "when"),
            ("greater_then", "greater_than"),
            ("unles", "unless"),
        ] {
            assert_eq!(nearest(typed, &KNOWN), Some(meant), "{typed}");
        }
    }

    #[test]
    fn a_name_that_others_have_is_no_slip() {
        const METHODS: [&str; 5] = ["tools/call", "tasks/get", "resources/read", "GET", "POST"];
        assert_eq!(slip_of("tool/call", &METHODS), Some("tools/call"));
        assert_eq!(slip_of("resource/raed", &METHODS), Some("resources/read"));
        assert_eq!(slip_of("PSOT", &METHODS), Some("POST"));
        for other in ["tools/recall_all", "SET", "shop/read", "GETX/y", ""] {
            assert_eq!(slip_of(other, &METHODS), None, "{other}");
        }
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("conditions", &KNOWN), None);
        assert_eq!(nearest("x", &KNOWN), None);
        assert_eq!(nearest("", &KNOWN), None);
    }
}
