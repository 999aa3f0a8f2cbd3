//! What of a rule can be evaluated while a text still arrives, and what has to wait for its end.

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

/// Which rules are evaluated now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluationPhase {
    /// Everything is there.
    Whole,
    /// The text begins.
    Begin,
    /// Something was found in a part of it.
    Hit,
    /// The text has ended, and its other rules were evaluated while it arrived.
    End,
}

/// How a text of a stream has to be treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReleaseMode {
    /// What is settled may leave.
    #[default]
    Settled,
    /// The same, but all of it is evaluated once more at its end, for the record.
    Remembered,
    /// Nothing leaves before the text has ended.
    Held,
    /// Nothing leaves before the response has ended.
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
    /// How a text of which this is known at its beginning has to be treated.
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
    /// Whether it can hold something back.
    fn restricts(&self) -> bool {
        let restricts = match self.action {
            Action::Deny | Action::RequireApproval | Action::Redact => true,
            Action::Allow | Action::Tag => false,
        };
        restricts && self.enforced
    }

    /// When it can be evaluated.
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

/// Two conditions that must both hold: two things to find may be far apart.
fn together(a: DecisionPoint, b: DecisionPoint) -> DecisionPoint {
    match (a, b) {
        (DecisionPoint::Hit, DecisionPoint::Hit) => DecisionPoint::Text,
        _ => a.max(b),
    }
}

/// That something does not stand in a text is known at its end.
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
        // What is evaluated item by item is no text that streams; operands may be.
        Leaf::AnyItem(_, condition) => pace_of(condition),
        // The conversation before a response is known before the response comes.
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
                // A pattern for the whole text has the whole text as its hit.
                Operator::Matches { .. } => DecisionPoint::Hit,
                Operator::Exists(_) => DecisionPoint::Begin,
                _ => DecisionPoint::Text,
            })
            .fold(DecisionPoint::Begin, together),
        _ => DecisionPoint::Begin,
    };
    own.max(operands)
}
