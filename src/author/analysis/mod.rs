//! Meaning of rules, independent of their spelling, for `diff` and `lint`. Not part of the filter.
//!
//! [`meaning`] converts a rule to a normal form. [`implies`] proves that one rule matches whenever another does, or finds no
//! proof; [`implication_index`] finds the rules for which a proof is possible. [`sample`] finds values that make a condition
//! true or false. [`search`] combines them to events, which the policies themselves evaluate. A proof applies to every
//! event; a difference that was found is reported with its event.

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
pub(super) use implies::{beginning, formula_implies, rule_implies};
pub use keys::KeyChange;
pub(super) use meaning::{Formula, Meaning, Range, RuleMeaning, TestLiteral, TestOperand};
pub(super) use pattern::matches_nothing;
pub use relation::{Answers, Difference, PolicyOutcome, Proof, Witness, compare};
pub(super) use sample::fitting;
pub(super) use search::{Candidate, together};
pub use settings::ListChange;
