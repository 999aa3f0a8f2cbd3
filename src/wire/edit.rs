//! Edits of a body: exactly the bytes of a span change, every other byte stays as it came.

use super::sort;
use super::span::{Span, index};

/// Bytes of a body and what shall stand in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// What is replaced.
    pub span: Span,
    /// By what.
    pub with: Vec<u8>,
}

/// Sorts edits and joins those that overlap, so that nothing that one of them removes can reappear. Of edits that
/// overlap, the one that begins first (and of those the longest) says what is put in their place.
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

/// The body with all edits made. INVARIANT (edits are disjoint): `splices` come from [`join_overlaps`].
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
