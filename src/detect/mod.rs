//! Finds personal data and secrets in text. Deterministic: a format, a checksum, the words before it; no model.
//!
//! A detector is one file of [`detectors`] with its documentation, validator and samples, and one line in
//! [`DETECTORS`]. One pass over the text finds candidates for all detectors that the policy asks for; validators
//! look at candidates only.

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
mod simd;
mod substring_set;
mod tables;

pub use allow::AllowList;
pub use custom::{CustomDetector, DefinitionError, Validator};
pub use detectors::DETECTORS;
pub use normalise::{NormalisedText, fold_name};
pub use scan::{Ending, Input, Scanner, Scratch};
pub use select::{Selection, UnknownDetector};

/// How sure a detector is of a finding; rules may ask for a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// The form fits, nothing else speaks for it.
    Low,
    /// The form fits and a check digit or a word before it speaks for it.
    Medium,
    /// The form, its check and its context fit, or the form is unmistakable.
    High,
}

impl Confidence {
    /// The word that policies use for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// One hit of a detector in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Index of the detector in [`DETECTORS`], custom detectors of a policy follow.
    pub detector: u16,
    /// First byte of the hit in the text that was scanned; a character boundary.
    pub start: usize,
    /// First byte after it; a character boundary.
    pub end: usize,
    /// How sure.
    pub confidence: Confidence,
}

impl Finding {
    /// The bytes of the text.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// What is known of one kind of sensitive content. The code that finds it stands beside it.
#[derive(Debug)]
pub struct Detector {
    /// What policies, findings and records call it.
    pub name: &'static str,
    /// Names that stand for it together with others; `pii.us` implies `pii`.
    pub groups: &'static [&'static str],
    /// What the reference page says.
    pub doc: Doc,
    /// The longest finding, in characters of the normalised view.
    pub reach: usize,
    /// Words that stand before a value and speak for it; also as a JSON key or column name.
    pub context: &'static [&'static str],
    /// Where it looks.
    pub(in crate::detect) anchors: &'static [scan::anchor::Anchor],
    /// Texts in which it finds exactly these parts.
    pub hits: &'static [Hit],
    /// Texts in which it finds nothing at medium confidence.
    pub misses: &'static [Miss],
}

/// The headings of a detector's section in the reference.
#[derive(Debug)]
pub struct Doc {
    /// The form and the checks.
    pub finds: &'static str,
    /// What it leaves alone, knowingly.
    pub misses: &'static str,
    /// Where the form is published.
    pub source: &'static str,
}

/// A sample that must be found.
#[derive(Debug)]
pub struct Hit {
    /// The whole text.
    pub text: &'static str,
    /// The parts that are found, in order.
    pub found: &'static [&'static str],
}

/// A sample that must be found, with the parts of it that are findings, in order.
const fn hit(text: &'static str, found: &'static [&'static str]) -> Hit {
    Hit { text, found }
}

/// A sample that must not be found.
#[derive(Debug)]
pub struct Miss {
    /// The whole text.
    pub text: &'static str,
    /// Why it is none.
    pub why: &'static str,
}

/// A sample that must not be found, and why it is none.
const fn miss(text: &'static str, why: &'static str) -> Miss {
    Miss { text, why }
}
