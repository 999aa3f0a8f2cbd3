//! Compiled rules and conditions.

use crate::detect::Confidence;
use crate::event::{Facts, Kind, Known, Replacement};
use crate::policy::approval::Approval;
use crate::policy::condition::Quantifier;
use crate::policy::condition_tree::{ConditionTree, Leaf};
use crate::policy::defaults::Defaults;
use crate::policy::field::{Field, Kinds};
use crate::policy::glob::Glob;
use crate::policy::limit::Limit;
use crate::policy::mode::Mode;
use crate::policy::operators::{
    Affix, Commands, Comparison, Contains, ContainsDynamic, Domains, Equality, Folders, Measured,
    Networks, Polarity, SqlQuestion, TimeTest, Verb,
};
use crate::policy::rule::{IfMissing, Redact};
use crate::policy::text_scan::MatchKinds;
use crate::policy::words::{Action, ContentForm, OnDeny};
use crate::wire::letter_case;
use crate::wire::sorted_map::SortedMap;
use std::ops::Range;
use std::rc::Rc;

/// Compiled document of a policy, without its rules.
#[derive(Debug)]
pub(crate) struct CompiledDocument {
    /// Numbers of its rules.
    pub(crate) rules: Range<u16>,
    pub(crate) defaults: Defaults,
    pub(crate) mode: Mode,
    /// Whether nothing in the document is enforced, whatever the modes in it.
    pub(crate) is_observed: bool,
    /// Whether the document is a shadow policy: its decisions are only recorded, separately.
    pub(crate) is_shadow: bool,
    /// Whether the document is the whole policy, neither part of a set nor a shadow. Exchanges that it does not apply to
    /// are not evaluated at all.
    pub(crate) is_alone: bool,
    /// Principals that the document applies to.
    pub(crate) audience: Vec<CompiledTest>,
    pub(crate) scope: Scope,
}

impl CompiledDocument {
    /// Returns whether something with this own mode, or with none, is enforced.
    pub(crate) fn enforces(&self, own: Option<Mode>) -> bool {
        !self.is_observed && own.unwrap_or(self.mode) == Mode::Enforce
    }

    /// Returns whether an exchange is within `applies_to`. The scope is read broadly: an exchange is outside only if
    /// neither its path as received nor its normalized path matches, in any letter case. Unknown facts match.
    pub(crate) fn applies(&self, facts: &Facts) -> bool {
        let fits = |globs: &[Glob], value: &str| {
            let value = letter_case::lower(value);
            globs
                .iter()
                .any(|glob| glob.matches(&value, super::glob::GlobReading::Broad))
        };
        let one = |scope: &Option<Vec<Glob>>, fact: &Known<Box<str>>| match (scope, fact) {
            (None, _) | (_, Known::Unknown) => true,
            (Some(_), Known::Missing) => false,
            (Some(globs), Known::Is(value)) => fits(globs, value),
        };
        let is_path = match (&self.scope.paths, &facts.paths) {
            (None, _) | (_, Known::Unknown) => true,
            (Some(_), Known::Missing) => false,
            (Some(globs), Known::Is(paths)) => paths.iter().any(|path| fits(globs, path)),
        };
        is_path && one(&self.scope.hosts, &facts.host) && one(&self.scope.clusters, &facts.cluster)
    }
}

/// Query of rules on the conversation before an event, for events of one kind.
#[derive(Debug)]
pub(crate) struct HistoryQuery {
    pub(crate) kind: Kind,
    pub(crate) matches: Vec<CompiledTest>,
    pub(crate) when: Option<CompiledCondition>,
    /// Whether the texts of matching events are kept, to be compared with.
    pub(crate) keeps_texts: bool,
}

/// Compiled rule.
#[derive(Debug)]
pub struct CompiledRule {
    /// Name of the rule in audit events and denials.
    pub id: Box<str>,
    /// Action of the rule.
    pub action: Action,
    /// Whether the rule is enforced; otherwise it is only recorded.
    pub enforced: bool,
    /// Reason, for the denied caller.
    pub reason: Option<Box<str>>,
    /// Alternative, for the denied caller.
    pub remedy: Option<Box<str>>,
    /// Tags in the audit event.
    pub tags: Vec<Box<str>>,
    /// Treatment of a denied part of a response or tool definition.
    pub on_deny: Option<OnDeny>,
    /// Approval that the rule requires.
    pub approval: Option<Box<Approval>>,
    /// Limit. The rule matches only once it is exceeded.
    pub limit: Option<Box<Limit>>,
    /// Content of audit events of matching exchanges; `None`: as in the policy.
    pub content: Option<ContentForm>,
    pub(crate) kinds: Kinds,
    pub(crate) matches: Vec<CompiledTest>,
    pub(crate) when: Option<CompiledCondition>,
    pub(crate) unless: Option<CompiledCondition>,
    pub(crate) if_missing: Option<IfMissing>,
    pub(crate) redact: Rc<Redact>,
    /// Whether the rule names `turn`, and so sees earlier calls too.
    pub(crate) asks_turn: bool,
    /// Whether the rule names `part`, and so may edit arguments of a call in a response.
    pub(crate) asks_part: bool,
    /// Whether the rule tests arguments. Those of a tool that the provider runs never pass through the filter.
    pub(crate) asks_arguments: bool,
    /// Whether the rule can match only if a text contains something that rules search for.
    pub(crate) needs_hit: bool,
    /// What the rule searches for in texts.
    pub(crate) wants: MatchKinds,
    /// When the rule can be evaluated in a stream.
    pub(crate) pace: DecisionPoint,
}

impl CompiledRule {
    /// Returns the reason of a denial by the limit, for a rule without a reason of its own.
    pub fn limit_reason(&self) -> String {
        let limit = self.limit.as_ref();
        let described = limit.map(|limit| limit.describe()).unwrap_or_default();
        let more = match self.action {
            Action::RequireApproval => " More needs an approval.",
            _ => "",
        };
        format!("Limit `{}` is reached: at most {described}.{more}", self.id)
    }

    /// Returns whether the rule writes pseudonyms where it can.
    pub fn makes_pseudonyms(&self) -> bool {
        self.action == Action::Redact && self.redact.form == Replacement::Pseudonym
    }

    /// Returns whether the rule requires a pseudonym, without any other replacement.
    pub fn requires_pseudonym(&self) -> bool {
        self.redact.requires_pseudonym
    }

    /// Returns whether the provider is told not to store the conversation.
    pub fn unstores(&self) -> bool {
        self.redact.unstores
    }
}

/// Compiled condition.
pub(crate) type CompiledCondition = ConditionTree<CompiledTest, Field, HistoryThreshold>;

/// Minimum of earlier events that a condition requires.
#[derive(Debug)]
pub(crate) struct HistoryThreshold {
    /// Number of the query in the policy.
    pub(crate) question: usize,
    /// Minimum of all matching events.
    pub(crate) at_least: u32,
    /// Minimum of the last events that all match.
    pub(crate) in_a_row: u32,
}

#[derive(Debug)]
pub(crate) struct CompiledTest {
    pub(crate) field: Field,
    pub(crate) checks: Vec<CompiledCheck>,
}

impl CompiledCondition {
    /// Returns the work steps for one byte, if all tests read it.
    pub(crate) fn steps(&self) -> usize {
        let mut steps = 0_usize;
        self.each_leaf(Polarity::Restricting, &mut |leaf, _| {
            steps = steps.saturating_add(match leaf {
                Leaf::Test(test) => test.steps(),
                Leaf::AnyItem(_, condition) => condition.steps(),
                Leaf::Earlier(_) => 0,
            });
        });
        steps
    }
}

impl CompiledTest {
    /// Returns the work steps for one byte, if all checks read it.
    pub(crate) fn steps(&self) -> usize {
        let steps = self.checks.iter().map(|check| match &check.operator {
            // Only one of the operators is evaluated.
            Operator::Keyed { operators, .. } => {
                let steps = operators.values().map(Operator::steps);
                steps.max().unwrap_or(0)
            }
            operator => operator.steps(),
        });
        steps.fold(0, usize::saturating_add)
    }

    /// Returns the fields that the test reads.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        let operands = self.checks.iter().filter_map(CompiledCheck::operand);
        std::iter::once(&self.field).chain(operands)
    }
}

#[derive(Debug)]
pub(crate) struct CompiledCheck {
    pub(crate) verb: Verb,
    pub(crate) quantifier: Option<Quantifier>,
    pub(crate) operator: Operator,
}

impl CompiledCheck {
    /// Returns the field of the event that is the operand.
    pub(crate) fn operand(&self) -> Option<&Field> {
        match &self.operator {
            Operator::Field(field)
            | Operator::Keyed { key: field, .. }
            | Operator::Overlaps {
                with: OverlapTarget::Field(field),
                ..
            } => Some(field),
            _ => None,
        }
    }
}

/// Verb with its operand.
#[derive(Debug)]
pub(crate) enum Operator {
    Equality(Equality),
    Exists(bool),
    Order(Comparison),
    Count(Comparison),
    Length(Comparison),
    Contains(Contains),
    Affix(Affix),
    /// Globs as written, and folded as names are.
    Glob {
        exact: Vec<Glob>,
        folded: Vec<Glob>,
        names: bool,
    },
    /// Numbers of patterns in the set, of which one must match. Names are folded on the deny side.
    Matches {
        patterns: Vec<u32>,
        names: bool,
        /// Whether a pattern asks for `server/tool`.
        qualified: bool,
    },
    /// Detectors, each with the minimum confidence that counts, ascending.
    Detects(Vec<(u16, Confidence)>),
    Domains(Domains),
    Folders(Folders),
    Commands(Commands),
    Networks(Networks),
    Sql(SqlQuestion),
    Time(TimeTest),
    /// Comparison with an empty list.
    Nothing,
    /// Comparison with the value of another field.
    Field(Field),
    /// Search for texts that are known only at the evaluation.
    Stands(ContainsDynamic),
    Overlaps {
        with: OverlapTarget,
        /// Number of characters in a row that count as a shared text.
        run: usize,
    },
    /// Operator under the key that another field contains.
    Keyed {
        key: Field,
        operators: SortedMap<Box<str>, Operator>,
    },
}

impl Operator {
    /// Returns a comparison with numbers.
    pub(crate) fn comparison(measured: Measured, comparison: Comparison) -> Operator {
        match measured {
            Measured::Number => Operator::Order(comparison),
            Measured::Count => Operator::Count(comparison),
            Measured::Length => Operator::Length(comparison),
        }
    }

    /// Returns whether the elements of an array in a string are tested, too: `"[\"/etc\"]"`. Text searches find everything
    /// in the string anyway, and a length is that of the string.
    pub(crate) fn looks_into_strings(&self) -> bool {
        !matches!(
            self,
            Operator::Exists(_)
                | Operator::Length(_)
                | Operator::Contains(_)
                | Operator::Detects(_)
                | Operator::Overlaps { .. }
                | Operator::Nothing
        )
    }

    /// Returns whether the elements of an array are also tested as one text: `["rm", "-rf"]`.
    pub(crate) fn reads_lists_as_text(&self) -> bool {
        match self {
            Operator::Equality(equality) => !equality.negative,
            Operator::Contains(_)
            | Operator::Stands(_)
            | Operator::Affix(_)
            | Operator::Glob { .. }
            | Operator::Matches { .. } => true,
            _ => false,
        }
    }

    /// Returns the work steps for each byte that the operator reads by itself. Shared text scans, and costs that depend on
    /// the text, are counted where they arise.
    pub(crate) fn steps(&self) -> usize {
        match self {
            Operator::Exists(_)
            | Operator::Order(_)
            | Operator::Contains(_)
            | Operator::Matches { names: false, .. }
            | Operator::Detects(_)
            | Operator::Time(_)
            | Operator::Nothing
            | Operator::Field(_)
            | Operator::Keyed { .. } => 0,
            Operator::Equality(_) | Operator::Count(_) | Operator::Length(_) => 2,
            Operator::Affix(_)
            | Operator::Glob { .. }
            | Operator::Matches { names: true, .. }
            | Operator::Stands(_) => 8,
            Operator::Domains(_)
            | Operator::Folders(_)
            | Operator::Networks(_)
            | Operator::Overlaps { .. } => 16,
            Operator::Commands(_) | Operator::Sql(_) => 32,
        }
    }
}

/// Operand of `overlaps`.
#[derive(Debug)]
pub(crate) enum OverlapTarget {
    Field(Field),
    /// Texts of the events that match this query.
    Earlier(usize),
}

/// Point in a stream at which a rule on a text can be evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DecisionPoint {
    /// Before the text: no condition reads the text.
    #[default]
    Begin,
    /// At each match in the text: one condition searches the text.
    Hit,
    /// At the end of the text: a condition counts characters, compares the whole text, or searches for several things.
    Text,
    /// At the end of the whole response: a condition tests usage, or why the response ended.
    Answer,
}

#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) hosts: Option<Vec<Glob>>,
    pub(crate) paths: Option<Vec<Glob>>,
    pub(crate) clusters: Option<Vec<Glob>>,
}
