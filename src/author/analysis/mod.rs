//! What rules mean, apart from how they are written: compared by `diff`, looked through by `lint`. Never part of the filter.
//!
//! [`meaning`] puts a rule into a normal form; [`implies`] proves that one holds whenever another does, or doesn't know;
//! [`implication_index`] finds the rules of which that can be proved; [`sample`] finds values that make a condition hold or
//! fail; [`search`] puts them together to events and lets the policies themselves evaluate those. What is proved is true of every event; what is found is shown with the event.

#[cfg(test)]
mod agreement;
mod implication_index;
mod implies;
mod keys;
mod meaning;
mod pattern;
mod relation;
mod sample;
mod search;
mod settings;

pub(super) use implication_index::ImplicationIndex;
pub(super) use implies::{formula_implies, rule_implies};
pub use keys::KeyChange;
pub(super) use meaning::{Formula, Meaning, Range, RuleMeaning, TestLiteral, TestOperand};
pub use relation::{Answers, Difference, PolicyOutcome, Proof, Witness, compare};
pub(super) use search::{Candidate, together};
pub use settings::ListChange;
