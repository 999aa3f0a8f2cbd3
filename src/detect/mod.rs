//! Finds personal data and secrets in text. Deterministic: a format, a checksum, the words before it; no model.
//!
//! A detector is one file of this folder with its documentation, validator and samples, and one line in
//! [`DETECTORS`]. One pass over the text finds candidates for all detectors that the policy asks for; validators
//! look at candidates only.

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

pub mod literals;
pub mod normalise;
pub mod pattern;
mod tables;
