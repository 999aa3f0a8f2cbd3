//! Rules and conditions as they are evaluated.

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

/// One document of a policy: what it says besides its rules.
#[derive(Debug)]
pub(crate) struct CompiledDocument {
    /// Numbers of its rules.
    pub(crate) rules: Range<u16>,
    pub(crate) defaults: Defaults,
    pub(crate) mode: Mode,
    /// Nothing in it is enforced, whatever it says.
    pub(crate) is_observed: bool,
    /// It is only tried out: what it would decide stands in the record by itself.
    pub(crate) is_shadow: bool,
    /// It decides by itself; what it does not apply to is not evaluated at all.
    pub(crate) is_alone: bool,
    /// For whom it is.
    pub(crate) audience: Vec<CompiledTest>,
    pub(crate) scope: Scope,
}

impl CompiledDocument {
    /// Whether something with a mode of its own, or none, is enforced.
    pub(crate) fn enforces(&self, own: Option<Mode>) -> bool {
        !self.is_observed && own.unwrap_or(self.mode) == Mode::Enforce
    }

    /// Whether an exchange is within `applies_to`. What restricts is read broadly, so an exchange is outside only if
    /// neither its path as it came nor as a server reads it fits, in whatever letter case; and what is not known fits.
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

/// What rules ask of the conversation before an event: a kind of events that fits.
#[derive(Debug)]
pub(crate) struct HistoryQuery {
    pub(crate) kind: Kind,
    pub(crate) matches: Vec<CompiledTest>,
    pub(crate) when: Option<CompiledCondition>,
    /// The texts of what fits are compared with.
    pub(crate) keeps_texts: bool,
}

/// A rule, ready to be evaluated.
#[derive(Debug)]
pub struct CompiledRule {
    /// Its name in records and refusals.
    pub id: Box<str>,
    /// What it does.
    pub action: Action,
    /// Whether it is enforced or only recorded.
    pub enforced: bool,
    /// Why, for the one who is refused.
    pub reason: Option<Box<str>>,
    /// What to do instead.
    pub remedy: Option<Box<str>>,
    /// Marks that it sets.
    pub tags: Vec<Box<str>>,
    /// What becomes of what it denies.
    pub on_deny: Option<OnDeny>,
    /// Who has to agree.
    pub approval: Option<Box<Approval>>,
    /// It holds only once this is exceeded.
    pub limit: Option<Box<Limit>>,
    /// How much content audit events have of exchanges that it matches; `None`: as the policy says.
    pub content: Option<ContentForm>,
    pub(crate) kinds: Kinds,
    pub(crate) matches: Vec<CompiledTest>,
    pub(crate) when: Option<CompiledCondition>,
    pub(crate) unless: Option<CompiledCondition>,
    pub(crate) if_missing: Option<IfMissing>,
    pub(crate) redact: Rc<Redact>,
    /// It names `turn`, and so sees earlier calls too.
    pub(crate) asks_turn: bool,
    /// It asks for a `part`, and so may edit arguments of a call in a response.
    pub(crate) asks_part: bool,
    /// It asks for arguments, which of a tool that the provider runs never pass here.
    pub(crate) asks_arguments: bool,
    /// It can only hold if something that rules look for stands in the text.
    pub(crate) needs_hit: bool,
    /// What it looks for in texts.
    pub(crate) wants: MatchKinds,
    /// When in a stream it can be evaluated.
    pub(crate) pace: DecisionPoint,
}

impl CompiledRule {
    /// Why its limit denies, unless it says so itself.
    pub fn limit_reason(&self) -> String {
        let limit = self.limit.as_ref();
        let described = limit.map(|limit| limit.describe()).unwrap_or_default();
        let more = match self.action {
            Action::RequireApproval => " More needs an approval.",
            _ => "",
        };
        format!("Limit `{}` is reached: at most {described}.{more}", self.id)
    }

    /// Whether it writes pseudonyms where it can.
    pub fn makes_pseudonyms(&self) -> bool {
        self.action == Action::Redact && self.redact.form == Replacement::Pseudonym
    }

    /// Whether nothing else may take a pseudonym's place.
    pub fn requires_pseudonym(&self) -> bool {
        self.redact.requires_pseudonym
    }

    /// Whether the provider is asked not to keep what it would keep.
    pub fn unstores(&self) -> bool {
        self.redact.unstores
    }
}

/// Condition as compiled.
pub(crate) type CompiledCondition = ConditionTree<CompiledTest, Field, HistoryThreshold>;

/// Number of earlier events that a condition asks for.
#[derive(Debug)]
pub(crate) struct HistoryThreshold {
    /// Number of the question in the policy.
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
    /// Steps for a byte that all of it reads.
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
    /// Steps for a byte that all of it reads.
    pub(crate) fn steps(&self) -> usize {
        let steps = self.checks.iter().map(|check| match &check.operator {
            // One of them is asked.
            Operator::Keyed { operators, .. } => {
                let steps = operators.values().map(Operator::steps);
                steps.max().unwrap_or(0)
            }
            operator => operator.steps(),
        });
        steps.fold(0, usize::saturating_add)
    }

    /// Calls `visit` with each field that it looks at.
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
    /// The field of the event that is its operand.
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

/// A verb with its operand.
#[derive(Debug)]
pub(crate) enum Operator {
    Equality(Equality),
    Exists(bool),
    Order(Comparison),
    Count(Comparison),
    Length(Comparison),
    Contains(Contains),
    Affix(Affix),
    /// As written, and folded as names are.
    Glob {
        exact: Vec<Glob>,
        folded: Vec<Glob>,
        names: bool,
    },
    /// Numbers of patterns in the set; one is enough. Names are folded where that restricts.
    Matches {
        patterns: Vec<u32>,
        names: bool,
    },
    /// Detectors, each with the lowest confidence that counts; ascending.
    Detects(Vec<(u16, Confidence)>),
    Domains(Domains),
    Folders(Folders),
    Commands(Commands),
    Networks(Networks),
    Sql(SqlQuestion),
    Time(TimeTest),
    /// Compares with an empty list.
    Nothing,
    /// Compares with what another field holds.
    Field(Field),
    /// Looks for texts that are known only when it is evaluated.
    Stands(ContainsDynamic),
    Overlaps {
        with: OverlapTarget,
        /// How many characters in a row are a shared text.
        run: usize,
    },
    /// The operator under the key that another field holds.
    Keyed {
        key: Field,
        operators: SortedMap<Box<str>, Operator>,
    },
}

impl Operator {
    /// A comparison with numbers.
    pub(crate) fn comparison(measured: Measured, comparison: Comparison) -> Operator {
        match measured {
            Measured::Number => Operator::Order(comparison),
            Measured::Count => Operator::Count(comparison),
            Measured::Length => Operator::Length(comparison),
        }
    }

    /// Whether an array that stands in a string is asked element by element as well: `"[\"/etc\"]"`. What is looked for in a
    /// text anyhow is found in it, and a length is that of the string.
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

    /// Whether the elements of an array are asked as one text as well: `["rm", "-rf"]`.
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

    /// Steps that it takes for each byte that it reads by itself. What looks into texts together with others, and whatever
    /// costs more for one text than for another, is counted where it is done.
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

/// What `overlaps` compares with.
#[derive(Debug)]
pub(crate) enum OverlapTarget {
    Field(Field),
    /// The texts of what answers this question.
    Earlier(usize),
}

/// When a rule about a text can be evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DecisionPoint {
    /// Before any of it: no condition looks at the text.
    #[default]
    Begin,
    /// At each thing that is found in it: one condition asks for something to stand in it.
    Hit,
    /// At its end: it counts characters, compares all of it, or asks for several things.
    Text,
    /// At the end of the whole response: it asks for usage, or why the response ended.
    Answer,
}

#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) hosts: Option<Vec<Glob>>,
    pub(crate) paths: Option<Vec<Glob>>,
    pub(crate) clusters: Option<Vec<Glob>>,
}
