//! Which events a rule is about, as far as that is known without its conditions.

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
    /// Whether a document takes part in what is decided of an event; if so, whether it is certain that it is for whoever
    /// asks. In doubt it takes part, since all that it could do is to restrict.
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
    /// Whether it asks about the exchange alone, the same for every event in it.
    pub(super) fn is_of_exchange(&self) -> bool {
        self.fields().all(Field::is_of_exchange)
    }

    /// Whether a test of a tool's name could hold for some tool of the server at hand: `github/…` is none of another's.
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
    /// Which names are looked for in a tool's name that a client joined with its server's: only to restrict, and only where
    /// one that fits is enough.
    pub(crate) fn joined(&self, operator: &Operator, side: Polarity) -> Option<JoinedNames> {
        let is_asked = side == Polarity::Restricting
            && !self.verb.is_negative()
            && self.quantifier != Some(Quantifier::All);
        let qualified = match operator {
            Operator::Equality(equality) => {
                let mut names = equality.literals.iter().filter_map(|name| name.as_text());
                names.any(|name| name.contains('/'))
            }
            Operator::Glob { exact, .. } => exact.iter().any(|glob| glob.asks_for('/')),
            // A joined name ends as the tool's own does.
            Operator::Affix(affix) if affix.is_at_start() => affix.asks_for('/'),
            _ => return None,
        };
        is_asked.then_some(JoinedNames { qualified })
    }
}

impl CompiledRule {
    /// Why it denies a tool that the provider runs; its own reason is about arguments that nobody has seen.
    pub fn unseen_arguments(&self, tool: &str) -> String {
        format!(
            "The provider runs {tool} itself: its arguments can't be inspected, and rule `{}` needs them.",
            self.id
        )
    }

    /// Why it is not about this event, whatever its conditions say.
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
            // A call in the history has run; nobody can agree to it any more. One that is a message of its own is about
            // to be carried out.
            let is_history =
                event.direction == Direction::Request && !event.provider_run && event.rpc.is_none();
            if self.action == Action::RequireApproval && is_history {
                return Some("a call in the history has run: nobody can agree to it any more");
            }
        }
        // What stands in the text of arguments is done by a tool: an edit changes what it does. In a response they are
        // still to be carried out; those of the history have been.
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

    /// Whether `match` holds.
    pub(crate) fn may_match(&self, event: &Event, context: &Context<'_>) -> bool {
        let evaluate = ConditionEvaluator {
            if_missing: self.if_missing,
            ..ConditionEvaluator::new(event, context, self.side())
        };
        self.matches
            .iter()
            .all(|test| evaluate.test(test, self.side()))
    }

    /// Whether every field that `match` and `when` test is one of these.
    pub(super) fn is_only_about(&self, known: impl Fn(&Field) -> bool + Copy) -> bool {
        self.matches.iter().all(|test| test.fields().all(known))
            && self
                .when
                .as_ref()
                .is_none_or(|when| when.is_only_about(known))
    }

    /// The same of `unless`.
    pub(super) fn exempts_only_by(&self, known: impl Fn(&Field) -> bool + Copy) -> bool {
        let unless = self.unless.as_ref();
        unless.is_none_or(|unless| unless.is_only_about(known))
    }

    /// Whether it lets a code pass that no default does.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn names_hard_code(&self) -> bool {
        let mut codes = codes::CODES.iter().map(|code| code.id);
        codes.any(|code| (is_hard_code(code) || code == codes::AG2014) && self.names_code(code))
    }

    /// Whether `match` names exactly this code.
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
    /// Whether every field that it tests is one of these.
    pub(super) fn is_only_about(&self, known: impl Fn(&Field) -> bool + Copy) -> bool {
        let side = Polarity::Restricting;
        self.fold(side, &Joins::EVERY_LEAF, &mut |leaf, _| match leaf {
            Leaf::Test(test) => test.fields().all(known),
            Leaf::AnyItem(..) | Leaf::Earlier(_) => false,
        })
    }
}

/// Why a limit does not count an event: it counts what can still be stopped, and each thing once.
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

/// Whether readers could understand differently what could not be inspected: no default relaxes that, only a rule that names
/// its code.
pub(super) fn is_hard(event: &Event) -> bool {
    event.gate == DefaultGate::Named || event.code.is_some_and(is_hard_code)
}

/// Codes of bodies of which that holds. A stream that can't be read on (AG2014) has the faults of such a body; one of a kind
/// that nobody reads has not.
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
