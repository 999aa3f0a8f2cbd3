//! Detectors of personal data and secrets in text.
//!
//! Detection is deterministic: a format, a checksum and the context words before a value decide. No model is
//! involved.
//!
//! A detector is one file of [`detectors`] with its documentation, validator and samples, and one line in
//! [`DETECTORS`]. One pass over the text finds candidates for all detectors that the policy selects. Validators run
//! on candidates only.

use std::ops::Range;

pub mod allow;
mod automaton;
mod checksum;
pub mod custom;
pub mod detectors;
mod entropy;
#[cfg(test)]
#[expect(clippy::string_slice, reason = "tests cut at boundaries")]
pub(crate) mod hostile;
mod keccak;
pub mod literals;
pub mod normalise;
pub mod pattern;
mod prefilter;
pub mod report;
pub mod scan;
pub mod select;
mod substring_set;
mod tables;

pub use allow::AllowList;
pub use custom::{CustomDetector, DefinitionError, Validator};
pub use detectors::DETECTORS;
pub use normalise::{NormalisedText, fold_name};
pub use scan::{Ending, Input, Scanner, Scratch};
pub use select::{Selection, UnknownDetector};

/// Confidence of a detector in a finding. Rules may set a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// The form matches, without further evidence.
    Low,
    /// The form matches, and a check digit or a context word before it supports the finding.
    Medium,
    /// The form, its check and its context match, or the form is unmistakable.
    High,
}

impl Confidence {
    /// Returns the word that policies use for this confidence.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Match of one detector in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Index of the detector in [`DETECTORS`]. The custom detectors of a policy follow after those.
    pub detector: u16,
    /// First byte of the finding in the scanned text; a character boundary.
    pub start: usize,
    /// First byte after the finding; a character boundary.
    pub end: usize,
    /// Confidence of the detector.
    pub confidence: Confidence,
}

impl Finding {
    /// Returns the byte range of the finding in the text.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// Declaration of one kind of sensitive content, next to the code that finds it.
#[derive(Debug)]
pub struct Detector {
    /// Name of the detector in policies, findings and audit events.
    pub name: &'static str,
    /// Groups that select the detector together with others; `pii.us` implies `pii`.
    pub groups: &'static [&'static str],
    /// Text of the detector's section on the reference page.
    pub doc: Doc,
    /// Length of the longest finding, in characters of the normalised view.
    pub reach: usize,
    /// Context words: words before a value that support a finding. A JSON key or a column name counts as well.
    pub context: &'static [&'static str],
    /// Classes of places in the text where the detector is run.
    pub(in crate::detect) anchors: &'static [scan::anchor::Anchor],
    /// Sample texts in which the detector finds exactly the listed parts.
    pub hits: &'static [Hit],
    /// Sample texts in which the detector finds nothing at medium confidence.
    pub misses: &'static [Miss],
}

/// Headings of a detector's section on the reference page.
#[derive(Debug)]
pub struct Doc {
    /// Form that is found, and its checks.
    pub finds: &'static str,
    /// Values that are left out on purpose.
    pub misses: &'static str,
    /// Publication of the form.
    pub source: &'static str,
}

/// Sample that must be found.
#[derive(Debug)]
pub struct Hit {
    /// Whole text of the sample.
    pub text: &'static str,
    /// Findings in the text, in order.
    pub found: &'static [&'static str],
}

/// Returns a sample that must be found, with the parts of the text that are findings, in order.
const fn hit(text: &'static str, found: &'static [&'static str]) -> Hit {
    Hit { text, found }
}

/// Sample that must not be found.
#[derive(Debug)]
pub struct Miss {
    /// Whole text of the sample.
    pub text: &'static str,
    /// Reason why the text contains no finding.
    pub why: &'static str,
}

/// Returns a sample that must not be found, with the reason.
const fn miss(text: &'static str, why: &'static str) -> Miss {
    Miss { text, why }
}
