//! Findings in code points, the unit of other programs.

use super::{Confidence, Finding, Input, Scanner, Scratch};

/// Finding with the name of its detector, in Unicode code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// First code point of the finding.
    pub start: usize,
    /// First code point after the finding.
    pub end: usize,
    /// Name of the detector.
    pub name: &'a str,
    /// Confidence of the detector.
    pub confidence: Confidence,
}

/// Returns the findings of a whole text, ordered by start.
pub fn spans<'a>(scanner: &'a Scanner, text: &str, scratch: &mut Scratch) -> Vec<Span<'a>> {
    let mut findings: Vec<Finding> = Vec::new();
    scanner.scan(&Input::whole(text), scratch, &mut findings);
    let mut places: Vec<usize> = findings
        .iter()
        .flat_map(|finding| [finding.start, finding.end])
        .collect();
    places.sort_unstable();
    places.dedup();
    let mut points: Vec<usize> = Vec::with_capacity(places.len());
    let (mut byte, mut point) = (0, 0usize);
    for place in &places {
        point = point.saturating_add(
            text.get(byte..*place)
                .map_or(0, |part| part.chars().count()),
        );
        byte = *place;
        points.push(point);
    }
    let point = |at: usize| {
        places
            .binary_search(&at)
            .ok()
            .and_then(|index| points.get(index).copied())
            .unwrap_or(0)
    };
    findings
        .iter()
        .filter_map(|finding| {
            let name = scanner.name(finding.detector)?;
            Some(Span {
                start: point(finding.start),
                end: point(finding.end),
                name,
                confidence: finding.confidence,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Confidence, Selection};

    #[test]
    fn spans_count_code_points() {
        let scanner = Scanner::new(&Selection::all(Confidence::Medium));
        let found = spans(
            &scanner,
            "é😀 a@b.co，４１１１ 1111 1111 1111",
            &mut Scratch::default(),
        );
        let found: Vec<(usize, usize, &str)> = found
            .iter()
            .map(|span| (span.start, span.end, span.name))
            .collect();
        assert_eq!(found, [(3, 9, "email"), (10, 29, "credit_card")]);
    }
}
