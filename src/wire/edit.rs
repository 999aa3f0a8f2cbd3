//! Edits of a body. An edit changes exactly the bytes of its span; every other byte stays as it arrived.

use super::sort;
use super::span::{Span, index};

/// A byte range of a body and its replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// The range that is replaced.
    pub span: Span,
    /// The replacement bytes.
    pub with: Vec<u8>,
}

/// Sorts edits and merges overlapping ones into one edit, so that no byte that one of them removes reappears. A merged
/// edit takes the replacement of the first edit (of several at one offset, of the longest).
///
/// INVARIANT (edits are disjoint): upheld here; [`apply`] relies on it.
pub fn join_overlaps(mut splices: Vec<Splice>) -> Vec<Splice> {
    sort::sort_by(&mut splices, |a, b| {
        (a.span.start, std::cmp::Reverse(a.span.end))
            .cmp(&(b.span.start, std::cmp::Reverse(b.span.end)))
    });
    let mut joined: Vec<Splice> = Vec::with_capacity(splices.len());
    for splice in splices {
        match joined.last_mut() {
            Some(last) if splice.span.start < last.span.end => {
                last.span.end = last.span.end.max(splice.span.end);
            }
            _ => joined.push(splice),
        }
    }
    joined
}

/// Returns the body with all edits applied. INVARIANT (edits are disjoint): `splices` come from [`join_overlaps`].
pub fn apply(body: &[u8], splices: &[Splice]) -> Vec<u8> {
    let added: usize = splices.iter().map(|splice| splice.with.len()).sum();
    let mut out = Vec::with_capacity(body.len().saturating_add(added));
    let mut at = 0;
    for splice in splices {
        out.extend_from_slice(body.get(at..index(splice.span.start)).unwrap_or_default());
        out.extend_from_slice(&splice.with);
        at = index(splice.span.end);
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splice(start: usize, end: usize, with: &str) -> Splice {
        Splice {
            span: Span::new(start, end),
            with: with.as_bytes().to_vec(),
        }
    }

    fn edited(body: &str, splices: Vec<Splice>) -> String {
        String::from_utf8(apply(body.as_bytes(), &join_overlaps(splices))).unwrap()
    }

    #[test]
    fn only_the_span_changes() {
        assert_eq!(
            edited(
                "0123456789",
                vec![splice(8, 9, ""), splice(2, 4, "abc"), splice(0, 0, "^")]
            ),
            "^01abc45679"
        );
    }

    #[test]
    fn overlapping_edits_become_one_that_covers_them_all() {
        assert_eq!(
            edited(
                "0123456789",
                vec![splice(4, 8, "B"), splice(2, 5, "A"), splice(3, 4, "C")]
            ),
            "01A89"
        );
    }

    #[test]
    fn an_edit_inside_a_removed_value_goes_with_it() {
        assert_eq!(
            edited("0123456789", vec![splice(5, 6, "x"), splice(1, 9, "")]),
            "09"
        );
    }

    #[test]
    fn edits_that_touch_stay_apart() {
        assert_eq!(
            edited("0123", vec![splice(1, 2, "a"), splice(2, 3, "b")]),
            "0ab3"
        );
    }
}
