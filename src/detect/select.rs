//! Which detectors a policy asks for.

use super::{Confidence, DETECTORS};

/// The detectors to run, each with the lowest confidence that is reported.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// For each of [`DETECTORS`]; `None`: it doesn't run.
    thresholds: Vec<Option<Confidence>>,
}

/// A name that is neither a detector nor a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDetector {
    /// The name.
    pub name: String,
    /// Names that it may have meant, the nearest first; at most three.
    pub suggestions: Vec<&'static str>,
}

impl Selection {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every built-in detector.
    pub fn all(at_least: Confidence) -> Self {
        Self {
            thresholds: vec![Some(at_least); DETECTORS.len()],
        }
    }

    /// Adds a detector, or all of a group, at a confidence. Asked twice, the lower confidence holds: rules compare
    /// the findings with their own.
    pub fn add(&mut self, name: &str, at_least: Confidence) -> Result<(), UnknownDetector> {
        let members = members(name)?;
        self.thresholds.resize(DETECTORS.len(), None);
        for member in members {
            if let Some(threshold) = self.thresholds.get_mut(usize::from(member)) {
                *threshold = Some(threshold.map_or(at_least, |old| old.min(at_least)));
            }
        }
        Ok(())
    }

    /// The lowest confidence that is reported of a detector; `None` if it doesn't run.
    pub fn threshold(&self, detector: u16) -> Option<Confidence> {
        self.thresholds
            .get(usize::from(detector))
            .copied()
            .flatten()
    }

    /// Whether no detector runs.
    pub fn is_empty(&self) -> bool {
        self.thresholds.iter().all(Option::is_none)
    }
}

/// The indices of the detectors that a detector's or group's name stands for, ascending.
pub fn members(name: &str) -> Result<Vec<u16>, UnknownDetector> {
    let members: Vec<u16> = (0u16..)
        .zip(DETECTORS)
        .filter(|(_, detector)| {
            detector.name == name || detector.groups.iter().any(|group| is_within(group, name))
        })
        .map(|(index, _)| index)
        .collect();
    if members.is_empty() {
        return Err(UnknownDetector {
            name: name.to_owned(),
            suggestions: suggestions(name),
        });
    }
    Ok(members)
}

/// Names of all detectors and groups, sorted.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for detector in DETECTORS {
        names.push(detector.name);
        for group in detector.groups {
            let parents = group
                .match_indices('.')
                .filter_map(|(dot, _)| group.get(..dot));
            names.extend(parents.chain([*group]));
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// `pii.us` is within `pii`.
fn is_within(group: &str, name: &str) -> bool {
    group
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn suggestions(name: &str) -> Vec<&'static str> {
    let folded: String = name.to_lowercase().replace(['-', ' '], "_");
    let mut near: Vec<(usize, &'static str)> = names()
        .into_iter()
        .filter_map(|known| {
            let part = known.len() > 2
                && folded.len() > 2
                && (known.contains(&folded) || folded.contains(known));
            let distance = distance(&folded, known);
            let limit = known.len().max(folded.len()).div_euclid(3);
            (part || distance <= limit).then_some((distance, known))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, known)| known).take(3).collect()
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let replaced = diagonal.saturating_add(usize::from(x != *y));
            diagonal = *cell;
            left = replaced
                .min(left.saturating_add(1))
                .min(cell.saturating_add(1));
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_stands_for_its_detectors_and_those_of_its_parts() {
        let mut selection = Selection::none();
        selection.add("pii", Confidence::High).unwrap();
        for (index, detector) in (0u16..).zip(DETECTORS) {
            let in_pii = detector
                .groups
                .iter()
                .any(|group| *group == "pii" || group.starts_with("pii."));
            assert_eq!(
                selection.threshold(index).is_some(),
                in_pii,
                "{}",
                detector.name
            );
        }
        assert!(members("pii.us").unwrap().len() < members("pii").unwrap().len());
    }

    #[test]
    fn of_two_thresholds_the_lower_holds() {
        let mut selection = Selection::none();
        selection.add("email", Confidence::High).unwrap();
        selection.add("pii", Confidence::Medium).unwrap();
        selection.add("email", Confidence::High).unwrap();
        let email = members("email").unwrap();
        assert_eq!(selection.threshold(email[0]), Some(Confidence::Medium));
    }

    #[test]
    fn an_unknown_name_gets_suggestions() {
        let error = |name| {
            Selection::none()
                .add(name, Confidence::Low)
                .unwrap_err()
                .suggestions
        };
        assert_eq!(error("creditcard"), ["credit_card"]);
        assert_eq!(error("us-snn").first(), Some(&"us_ssn"));
        assert!(error("ssn").contains(&"us_ssn"));
        assert!(error("zzzzzzzzzz").is_empty());
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "ab"), 2);
        assert_eq!(distance("ab", "ab"), 0);
    }
}
