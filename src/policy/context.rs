//! Input of an evaluation.

use super::compiled_policy::Policy;
use crate::event::{Facts, Reading};
use crate::policy::scan::{ScanScratch, Scans};
use crate::wire::json::JsonBody;
use std::cell::RefCell;

/// Input of an event's evaluation: its exchange, its body, and the scans of the body's texts, kept between rules.
pub struct Context<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The exchange.
    pub facts: &'a Facts,
    /// Result of reading the body.
    pub reading: &'a Reading,
    /// The body.
    pub json: &'a JsonBody<'a>,
    /// Scans made so far.
    pub scans: &'a RefCell<Scans>,
    /// Reused memory of the scanners.
    pub scratch: &'a RefCell<ScanScratch>,
}
