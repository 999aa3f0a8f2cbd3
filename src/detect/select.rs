//! Selection of the detectors that a policy uses.

use crate::wire::letter_case;
use std::sync::Arc;

use super::allow::AllowList;
use super::custom::{CustomDetector, DefinitionError};
use super::{Confidence, DETECTORS};
use crate::diag::nearest;
use crate::wire::sort;

/// Selection of the detectors to run, each with the lowest confidence that is reported. It includes the policy's
/// custom detectors and its allow lists.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Thresholds of [`DETECTORS`] and then of `custom`; `None`: the detector does not run.
    thresholds: Vec<Option<Confidence>>,
    custom: Vec<Arc<CustomDetector>>,
    /// Bytes of the keywords of all custom detectors.
    keyword_bytes: usize,
    /// Allow lists with the detectors that each applies to; `None`: all detectors.
    allowed: Vec<(Option<Vec<u16>>, Arc<AllowList>)>,
    decodes: bool,
}

/// Error: a name that is neither a detector nor a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDetector {
    /// Unknown name.
    pub name: String,
    /// Similar names, the nearest first; at most three.
    pub suggestions: Vec<String>,
}

impl Selection {
    /// Returns an empty selection.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns every built-in detector.
    pub fn all(at_least: Confidence) -> Self {
        let mut all = Self::none();
        all.add_all(at_least);
        all
    }

    /// Adds every detector, including custom ones, with a threshold.
    pub fn add_all(&mut self, at_least: Confidence) {
        let count = DETECTORS.len().saturating_add(self.custom.len());
        self.thresholds.resize(count, None);
        for threshold in &mut self.thresholds {
            *threshold = Some(threshold.map_or(at_least, |old| old.min(at_least)));
        }
    }

    /// Defines a custom detector of the policy, which runs once it is added. Returns its index in findings.
    pub fn define(&mut self, detector: CustomDetector) -> Result<u16, DefinitionError> {
        let bytes = detector.check(&self.custom, self.keyword_bytes)?;
        let index = DETECTORS.len().saturating_add(self.custom.len());
        self.keyword_bytes = self.keyword_bytes.saturating_add(bytes);
        self.custom.push(Arc::new(detector));
        Ok(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// Adds a detector, or all of a group, with a threshold. If one is added twice, the lower threshold applies:
    /// rules compare the findings with their own.
    pub fn add(&mut self, name: &str, at_least: Confidence) -> Result<(), UnknownDetector> {
        for member in self.members(name)? {
            let member = usize::from(member);
            if self.thresholds.len() <= member {
                self.thresholds.resize(member.saturating_add(1), None);
            }
            if let Some(threshold) = self.thresholds.get_mut(member) {
                *threshold = Some(threshold.map_or(at_least, |old| old.min(at_least)));
            }
        }
        Ok(())
    }

    /// Adds values that are not findings of a detector or group; of any if `name` is `None`.
    pub fn allow(&mut self, name: Option<&str>, list: AllowList) -> Result<(), UnknownDetector> {
        let members = name.map(|name| self.members(name)).transpose()?;
        self.allowed.push((members, Arc::new(list)));
        Ok(())
    }

    /// Sets whether runs of Base64 and hexadecimal digits are decoded and scanned. A finding there covers the whole
    /// run. Decoding costs at most as much again as the scan without it.
    pub fn decode(&mut self, decodes: bool) {
        self.decodes = decodes;
    }

    /// Returns the indices of the detectors with this name or in this group, ascending.
    pub fn members(&self, name: &str) -> Result<Vec<u16>, UnknownDetector> {
        let within = |group: &str| is_within(group, name);
        let built_in = DETECTORS
            .iter()
            .map(|known| known.name == name || known.groups.iter().any(|group| within(group)));
        let custom = self
            .custom
            .iter()
            .map(|known| known.name == name || known.groups.iter().any(|group| within(group)));
        let members: Vec<u16> = (0u16..)
            .zip(built_in.chain(custom))
            .filter(|(_, is_member)| *is_member)
            .map(|(index, _)| index)
            .collect();
        if members.is_empty() {
            return Err(UnknownDetector {
                name: name.to_owned(),
                suggestions: self.suggestions(name),
            });
        }
        Ok(members)
    }

    /// Returns the name of a finding's detector.
    pub fn name(&self, detector: u16) -> Option<&str> {
        let index = usize::from(detector);
        match DETECTORS.get(index) {
            Some(known) => Some(known.name),
            None => self
                .custom
                .get(index.saturating_sub(DETECTORS.len()))
                .map(|known| known.name.as_str()),
        }
    }

    pub(super) fn custom(&self) -> &[Arc<CustomDetector>] {
        &self.custom
    }

    pub(super) fn allowed(&self) -> &[(Option<Vec<u16>>, Arc<AllowList>)] {
        &self.allowed
    }

    pub(super) fn decodes(&self) -> bool {
        self.decodes
    }

    /// Returns similar names: one with nearly the same spelling, and those that contain the name.
    fn suggestions(&self, name: &str) -> Vec<String> {
        let folded = letter_case::lower(name).replace(['-', ' '], "_");
        let known = || {
            let own = self.custom.iter().map(|detector| detector.name.as_str());
            names().into_iter().chain(own)
        };
        let near = nearest(&folded, &known().collect::<Vec<&str>>());
        let parts = known().filter(|known| {
            known.len() > 2
                && folded.len() > 2
                && (known.contains(&folded) || folded.contains(known))
        });
        let mut suggestions: Vec<String> = Vec::new();
        for name in near.into_iter().chain(parts) {
            if suggestions.len() < 3 && !suggestions.iter().any(|known| known == name) {
                suggestions.push(name.to_owned());
            }
        }
        suggestions
    }

    /// Returns the lowest confidence that is reported of a detector; `None` if it does not run.
    pub fn threshold(&self, detector: u16) -> Option<Confidence> {
        self.thresholds
            .get(usize::from(detector))
            .copied()
            .flatten()
    }

    /// Returns whether no detector runs.
    pub fn is_empty(&self) -> bool {
        self.thresholds.iter().all(Option::is_none)
    }
}

/// Returns the indices of the built-in detectors with this name or in this group, ascending.
pub fn members(name: &str) -> Result<Vec<u16>, UnknownDetector> {
    Selection::none().members(name)
}

/// Returns the names of all built-in detectors and groups, sorted.
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
    sort::sort(&mut names);
    names.dedup();
    names
}

/// Returns whether a group is another one or inside it: `pii.us` is within `pii`.
pub(super) fn is_within(group: &str, name: &str) -> bool {
    group
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
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
        assert_eq!(
            error("creditcard").first().map(String::as_str),
            Some("credit_card")
        );
        assert_eq!(error("us-snn").first().map(String::as_str), Some("us_ssn"));
        assert!(error("ssn").contains(&"us_ssn".to_owned()));
        assert!(error("zzzzzzzzzz").is_empty());
    }
}
