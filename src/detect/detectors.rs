//! The list of detectors; one file for each, or for each close family.

use super::Detector;

mod credit_card;
mod email;
mod us_ssn;

/// Every built-in detector; its place in this list is its index in findings.
pub static DETECTORS: &[&Detector] = &[&credit_card::DETECTOR, &email::DETECTOR, &us_ssn::DETECTOR];
