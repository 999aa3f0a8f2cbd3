//! Applicability of documents and rules to an event, as far as it is known without the rules' conditions.

use crate::diag::codes;
use crate::event::{DefaultGate, Direction, Event, Facts, Kind, Part, Turn};
use crate::policy::compiled::{
    CompiledCheck, CompiledCondition, CompiledDocument, CompiledRule, CompiledTest, Operator,
};
use crate::policy::condition::Quantifier;
use crate::policy::condition_tree::{Joins, Leaf};
use crate::policy::context::Context;
use crate::policy::evaluate::condition::ConditionEvaluator;
use crate::policy::evaluate::value::JoinedNames;
use crate::policy::field::Field;
use crate::policy::glob::GlobReading;
use crate::policy::operators::Polarity;
use crate::policy::words::Action;

impl CompiledDocument {
    /// Returns `None` if the document does not apply to the event; otherwise whether it certainly applies to the caller. In
    /// doubt it applies, since a further document can only make the decision stricter.
    pub(super) fn takes_part(&self, event: &Event, context: &Context<'_>) -> Option<bool> {
        let fits = |side| {
            let evaluate = ConditionEvaluator::new(event, context, side);
            self.audience.iter().all(|test| evaluate.test(test, side))
        };
        let applies = self.is_alone || self.applies(context.facts);
        let takes_part = applies && fits(Polarity::Restricting);
        takes_part.then(|| fits(Polarity::Loosening))
    }
}

impl CompiledTest {
    /// Returns whether the test reads only fields of the exchange, which are the same for all of its events.
    pub(super) fn is_of_exchange(&self) -> bool {
        self.fields().all(Field::is_of_exchange)
    }

    /// Returns whether a test of a tool's name could match some tool of the current server: a name `github/…` can't match
    /// at another server.
    pub(super) fn could_be_at(&self, facts: &Facts) -> bool {
        let Some(start) = facts.qualified("").filter(|_| self.field == Field::Tool) else {
            return true;
        };
        self.checks.iter().all(|check| match &check.operator {
            Operator::Equality(equality) if !equality.negative => equality
                .literals
                .iter()
                .filter_map(|literal| literal.as_text())
                .any(|name| !name.contains('/') || name.starts_with(&start)),
            Operator::Glob { exact, .. } => exact.iter().any(|glob| {
                !glob.asks_for('/') || glob.could_begin_with(&start, GlobReading::Narrow)
            }),
            _ => true,
        })
    }
}

impl CompiledCheck {
    /// Returns whether a value is compared in all of its spellings: where a rule denies what is equal, or allows what is not.
    pub(crate) fn is_broad(&self, side: Polarity) -> bool {
        (side == Polarity::Restricting) != self.verb.is_negative()
    }

    /// Returns which names are read from a tool's name that a client joined with its server's name. Joined names are read
    /// only where one that is equal decides.
    pub(crate) fn joined(&self, operator: &Operator, side: Polarity) -> Option<JoinedNames> {
        let undecided = match self.verb.is_negative() {
            false => Quantifier::All,
            true => Quantifier::Any,
        };
        let is_asked = self.is_broad(side) && self.quantifier != Some(undecided);
        let qualified = match operator {
            Operator::Equality(equality) => {
                let mut names = equality.literals.iter().filter_map(|name| name.as_text());
                names.any(|name| name.contains('/'))
            }
            Operator::Glob { exact, .. } => exact.iter().any(|glob| glob.asks_for('/')),
            Operator::Matches { qualified, .. } => *qualified,
            // A joined name has the same end as the tool's own name.
            Operator::Affix(affix) if affix.is_at_start() => affix.asks_for('/'),
            _ => return None,
        };
        is_asked.then_some(JoinedNames { qualified })
    }
}

impl CompiledRule {
    /// Returns the reason for denying a tool that the provider runs. The rule's own reason refers to arguments that the
    /// filter never sees.
    pub fn unseen_arguments(&self, tool: &str) -> String {
        format!(
            "The provider runs {tool} itself: its arguments can't be inspected, and rule `{}` needs them.",
            self.id
        )
    }

    /// Returns why the rule does not apply to an event, whatever its conditions are.
    pub(crate) fn inapplicable_reason(&self, event: &Event) -> Option<&'static str> {
        if self.limit.is_some()
            && let Some(reason) = uncounted(event)
        {
            return Some(reason);
        }
        if event.kind == Kind::ToolCall {
            if event.turn == Turn::Earlier && !self.asks_turn {
                return Some("an earlier call is seen only by rules that name `turn`");
            }
            // A call in the history has run, and an approval would come too late. A call that is a message of its own is
            // about to run.
            let is_history =
                event.direction == Direction::Request && !event.provider_run && event.rpc.is_none();
            if self.action == Action::RequireApproval && is_history {
                return Some("a call in the history has run: nobody can agree to it any more");
            }
        }
        // A tool acts on the text of arguments, so that an edit changes what the tool does. Arguments in a response are
        // about to be used; those in the history have been used.
        if event.kind == Kind::Response
            && event.part == Part::Arguments
            && self.action == Action::Redact
            && !self.asks_part
        {
            return Some(
                "a redaction edits arguments of a response's call only if it names `part`",
            );
        }
        let code = event.code.filter(|code| {
            self.action == Action::Allow && is_hard(event) && !self.names_code(code)
        });
        code.map(|_| "only a rule that names this code lets it pass")
    }

    pub(crate) fn side(&self) -> Polarity {
        match self.action {
            Action::Allow => Polarity::Loosening,
            _ => Polarity::Restricting,
        }
    }

    /// Returns whether `match` matches.
    pub(crate) fn may_match(&self, event: &Event, context: &Context<'_>) -> bool {
        let evaluate = ConditionEvaluator {
            if_missing: self.if_missing,
            ..ConditionEvaluator::new(event, context, self.side())
        };
        self.matches
            .iter()
            .all(|test| evaluate.test(test, self.side()))
    }

    /// Returns whether `match` and `when` test only these fields.
    pub(super) fn is_only_about(&self, known: impl Fn(&Field) -> bool + Copy) -> bool {
        self.matches.iter().all(|test| test.fields().all(known))
            && self
                .when
                .as_ref()
                .is_none_or(|when| when.is_only_about(known))
    }

    /// Returns whether `unless` tests only these fields.
    pub(super) fn exempts_only_by(&self, known: impl Fn(&Field) -> bool + Copy) -> bool {
        let unless = self.unless.as_ref();
        unless.is_none_or(|unless| unless.is_only_about(known))
    }

    /// Returns whether the rule asks for nothing but what an event itself says.
    pub(super) fn is_about_event(&self) -> bool {
        self.is_only_about(Field::is_of_event) && self.exempts_only_by(Field::is_of_event)
    }

    /// Returns whether the rule names a code that no default allows.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn names_hard_code(&self) -> bool {
        let mut codes = codes::CODES.iter().map(|code| code.id);
        codes.any(|code| (is_hard_code(code) || code == codes::AG2014) && self.names_code(code))
    }

    /// Returns whether `match` names exactly this code.
    fn names_code(&self, code: &str) -> bool {
        self.matches
            .iter()
            .filter(|test| test.field == Field::Code)
            .flat_map(|test| &test.checks)
            .any(|check| match &check.operator {
                Operator::Equality(equality) => equality
                    .literals
                    .iter()
                    .any(|literal| literal.is_text(code)),
                _ => false,
            })
    }
}

impl CompiledCondition {
    /// Returns whether the condition tests only these fields. `any_item` and `earlier` count as other fields.
    pub(super) fn is_only_about(&self, known: impl Fn(&Field) -> bool + Copy) -> bool {
        let side = Polarity::Restricting;
        self.fold(side, &Joins::EVERY_LEAF, &mut |leaf, _| match leaf {
            Leaf::Test(test) => test.fields().all(known),
            Leaf::AnyItem(..) | Leaf::Earlier(_) => false,
        })
    }
}

/// Returns why a limit does not count an event: it counts only what can still be stopped, and each thing once.
fn uncounted(event: &Event) -> Option<&'static str> {
    let is_of_server = event.kind == Kind::Request && event.direction == Direction::Response;
    let is_history = event.kind == Kind::ToolCall
        && event.direction == Direction::Request
        && event.rpc.is_none();
    if is_history {
        return Some("a limit counts calls in a response or in MCP, not those of the history");
    }
    if is_of_server || event.is_duplicate {
        return Some("a limit counts this elsewhere");
    }
    None
}

/// Returns whether two readers could understand the uninspectable body differently. No default allows such a body, only a
/// rule that names its code.
pub(super) fn is_hard(event: &Event) -> bool {
    event.gate == DefaultGate::Named || event.code.is_some_and(is_hard_code)
}

/// Returns whether a code is always of such a body. AG2014 is not: it is the code of streams with the same faults, but also
/// of streams of an unknown format.
fn is_hard_code(code: &str) -> bool {
    matches!(
        code,
        codes::AG2001
            | codes::AG2002
            | codes::AG2003
            | codes::AG2004
            | codes::AG2009
            | codes::AG2015
    )
}
