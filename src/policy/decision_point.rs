//! Evaluation of rules on a text that is still arriving: which rules can be evaluated now, and which must wait for its end.

use super::compiled::DecisionPoint;
use super::field::Field;
use crate::event::{Event, Kind};
use crate::policy::compiled::{
    CompiledCheck, CompiledCondition, CompiledRule, CompiledTest, Operator,
};
use crate::policy::compiled_policy::Policy;
use crate::policy::condition_tree::{Joins, Leaf};
use crate::policy::context::Context;
use crate::policy::operators::Polarity;
use crate::policy::words::Action;

/// Phase of a text, which determines the rules that are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluationPhase {
    /// The whole body is known.
    Whole,
    /// The text begins.
    Begin,
    /// Something was found in a part of the text.
    Hit,
    /// The text has ended, and the rules of the other phases have been evaluated.
    End,
}

/// When the parts of a streamed text are released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReleaseMode {
    /// Settled parts are released at once.
    #[default]
    Settled,
    /// As `Settled`, but the whole text is evaluated again at its end, for the audit event.
    Remembered,
    /// Nothing is released before the end of the text.
    Held,
    /// Nothing is released before the end of the response.
    HeldToEnd,
}

impl EvaluationPhase {
    pub(crate) fn includes(self, rule: &CompiledRule) -> bool {
        match self {
            EvaluationPhase::Whole => true,
            EvaluationPhase::Begin => rule.pace <= DecisionPoint::Hit && !rule.needs_hit,
            EvaluationPhase::Hit => rule.pace == DecisionPoint::Hit,
            EvaluationPhase::End => rule.pace >= DecisionPoint::Text,
        }
    }
}

impl Policy {
    /// Returns whether a rule decides on parts of a streamed text, by its id. What a part decided stays, whatever follows.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn decides_on_parts(&self, id: &str) -> bool {
        let rule = self.rules().iter().find(|rule| *rule.id == *id);
        rule.is_some_and(|rule| rule.pace <= DecisionPoint::Hit)
    }

    /// Returns when the parts of a text are released, as far as the event is known at its beginning.
    pub fn flowing(&self, event: &Event, context: &Context<'_>) -> ReleaseMode {
        let mut flowing = ReleaseMode::Settled;
        for &number in self.index.all(Kind::Response) {
            let Some(rule) = self
                .rule(number)
                .filter(|rule| rule.pace >= DecisionPoint::Text)
            else {
                continue;
            };
            let asks = match (rule.restricts(), rule.pace) {
                (true, DecisionPoint::Answer) => ReleaseMode::HeldToEnd,
                (true, _) => ReleaseMode::Held,
                (false, _) => ReleaseMode::Remembered,
            };
            if asks > flowing && rule.may_match(event, context) {
                flowing = asks;
            }
        }
        flowing
    }
}

impl CompiledRule {
    /// Returns whether the rule is on the deny side and enforced.
    fn restricts(&self) -> bool {
        let restricts = match self.action {
            Action::Deny | Action::RequireApproval | Action::Redact => true,
            Action::Allow | Action::Tag => false,
        };
        restricts && self.enforced
    }

    /// Returns when a rule can be evaluated.
    pub(crate) fn pace_of(
        matches: &[CompiledTest],
        when: Option<&CompiledCondition>,
        unless: Option<&CompiledCondition>,
    ) -> DecisionPoint {
        let tests = matches.iter().map(pace_of_test);
        let unless = unless.map(|unless| negated(pace_of(unless)));
        tests
            .chain(when.map(pace_of))
            .chain(unless)
            .fold(DecisionPoint::Begin, together)
    }
}

/// Combines two conditions that must both match: their two matches may be far apart in the text.
fn together(a: DecisionPoint, b: DecisionPoint) -> DecisionPoint {
    match (a, b) {
        (DecisionPoint::Hit, DecisionPoint::Hit) => DecisionPoint::Text,
        _ => a.max(b),
    }
}

/// Returns when the negation of a condition is known. That a text does not contain something is known at its end.
fn negated(pace: DecisionPoint) -> DecisionPoint {
    match pace {
        DecisionPoint::Hit => DecisionPoint::Text,
        other => other,
    }
}

fn pace_of(condition: &CompiledCondition) -> DecisionPoint {
    const JOINS: Joins<DecisionPoint> = Joins {
        all: |_, parts| parts.fold(DecisionPoint::Begin, together),
        any: |_, parts| parts.max().unwrap_or_default(),
        not: |inner| negated(inner()),
    };
    condition.fold(Polarity::Restricting, &JOINS, &mut |leaf, _| match leaf {
        Leaf::Test(test) => pace_of_test(test),
        // Items of lists are not streamed texts, but operands may be.
        Leaf::AnyItem(_, condition) => pace_of(condition),
        // The conversation before a response is known before the response.
        Leaf::Earlier(_) => DecisionPoint::Begin,
    })
}

fn pace_of_test(test: &CompiledTest) -> DecisionPoint {
    let operands = test
        .checks
        .iter()
        .filter_map(CompiledCheck::operand)
        .map(|field| match field {
            Field::Text => DecisionPoint::Text,
            Field::Usage(_) | Field::Finish => DecisionPoint::Answer,
            _ => DecisionPoint::Begin,
        })
        .max()
        .unwrap_or_default();
    let own = match test.field {
        Field::Usage(_) | Field::Finish => DecisionPoint::Answer,
        Field::Text => test
            .checks
            .iter()
            .map(|check| match &check.operator {
                Operator::Detects(_) => DecisionPoint::Hit,
                Operator::Contains(contains) if !contains.all => DecisionPoint::Hit,
                // A pattern anchored to the whole text has the whole text as its match.
                Operator::Matches { .. } => DecisionPoint::Hit,
                Operator::Exists(_) => DecisionPoint::Begin,
                _ => DecisionPoint::Text,
            })
            .fold(DecisionPoint::Begin, together),
        _ => DecisionPoint::Begin,
    };
    own.max(operands)
}
