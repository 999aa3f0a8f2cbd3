//! Document → policy that can be evaluated: names resolved, patterns compiled, what it looks at known.

use super::approval::Approval;
use super::condition::{self, Check, Condition, Earlier, FieldRef, Operand, Quantifier, Test};
use super::decision_point::DecisionPoint;
use super::decode::{Decoder, PolicyPath};
use super::detectors::CONFIDENCES;
use super::document::{AppliesTo, Defaults, Document, List, Mode};
use super::field::{Field, FieldType, Kinds};
use super::glob::Glob;
use super::index::Index;
use super::inspection_plan::InspectionPlan;
use super::limit::Limit;
use super::node::{Node, NodeValue};
use super::operators::{
    Affix, Commands, Comparison, Contains, ContainsDynamic, Domains, Equality, Folders, Literal,
    Networks, OperandError, SqlQuestion, TimeTest, Verb,
};
use super::protocols::{self, MatchedEntry};
use super::rule::{Action, IfMissing, MAX_RULES, MatchItem, OnDeny, Redact, Rule};
use super::scan::{MatchKinds, Matcher};
use super::zones::{Lookup, Zones};
use crate::detect::literals::{Literals, squeezed};
use crate::detect::pattern::{Pattern, PatternSet};
use crate::detect::{Confidence, Scanner, Selection, View, fold_name};
use crate::diag::{Severity, codes};
use crate::event::{Facts, Kind, Known, Replacement};
use crate::wire::json::Decimal;
use crate::wire::letter_case;
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;
use crate::wire::span::offset;
use std::ops::Range;
use std::rc::Rc;

/// A policy, ready to be evaluated with. Immutable; exchanges share it.
#[derive(Debug)]
pub struct Policy {
    /// The document's settings.
    pub document: Document,
    /// `sha256:` of its canonical form.
    pub version: String,
    /// What it looks at.
    pub needs: InspectionPlan,
    /// By id, so that the order of the document can't matter.
    pub(crate) rules: Vec<CompiledRule>,
    pub(crate) index: Index,
    pub(crate) matcher: Matcher,
    definitions: Selection,
    /// The documents that decide, each for itself, and the one that is only tried out.
    pub(crate) chapters: Vec<CompiledDocument>,
    /// The time zones that its rules name.
    pub zones: Zones,
    /// What its rules ask of the conversation before an event.
    pub(crate) questions: Vec<HistoryQuery>,
}

/// One document of a policy: what it says besides its rules.
#[derive(Debug)]
pub(crate) struct CompiledDocument {
    /// Numbers of its rules.
    pub(crate) rules: Range<u16>,
    pub(crate) defaults: Defaults,
    mode: Mode,
    /// Nothing in it is enforced, whatever it says.
    is_observed: bool,
    /// It is only tried out: what it would decide stands in the record by itself.
    pub(crate) is_shadow: bool,
    /// It decides by itself; what it does not apply to is not evaluated at all.
    pub(crate) is_alone: bool,
    /// For whom it is.
    pub(crate) audience: Vec<CompiledTest>,
    scope: Scope,
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

#[derive(Debug)]
pub(crate) enum CompiledCondition {
    All(Vec<CompiledCondition>),
    Any(Vec<CompiledCondition>),
    Not(Box<CompiledCondition>),
    Test(CompiledTest),
    AnyItem {
        list: Field,
        condition: Box<CompiledCondition>,
    },
    Earlier {
        /// Its number in the policy.
        question: usize,
        at_least: u32,
        in_a_row: u32,
    },
}

impl CompiledCondition {
    /// Steps for a byte that all of it reads.
    fn steps(&self) -> usize {
        match self {
            CompiledCondition::All(all) | CompiledCondition::Any(all) => {
                let steps = all.iter().map(CompiledCondition::steps);
                steps.fold(0, usize::saturating_add)
            }
            CompiledCondition::Not(condition) | CompiledCondition::AnyItem { condition, .. } => {
                condition.steps()
            }
            CompiledCondition::Test(test) => test.steps(),
            CompiledCondition::Earlier { .. } => 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct CompiledTest {
    pub(crate) field: Field,
    pub(crate) checks: Vec<CompiledCheck>,
}

#[derive(Debug)]
pub(crate) struct CompiledCheck {
    pub(crate) verb: Verb,
    pub(crate) quantifier: Option<Quantifier>,
    pub(crate) operator: Operator,
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
    /// Numbers of patterns in the set; one is enough.
    Matches(Vec<u32>),
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

    /// Steps that it takes for each byte that it reads by itself. What looks into texts together with others, and whatever
    /// costs more for one text than for another, is counted where it is done.
    pub(crate) fn steps(&self) -> usize {
        match self {
            Operator::Exists(_)
            | Operator::Order(_)
            | Operator::Contains(_)
            | Operator::Matches(_)
            | Operator::Detects(_)
            | Operator::Time(_)
            | Operator::Nothing
            | Operator::Field(_)
            | Operator::Keyed { .. } => 0,
            Operator::Equality(_) | Operator::Count(_) | Operator::Length(_) => 2,
            Operator::Affix(_) | Operator::Glob { .. } | Operator::Stands(_) => 8,
            Operator::Domains(_)
            | Operator::Folders(_)
            | Operator::Networks(_)
            | Operator::Overlaps { .. } => 16,
            Operator::Commands(_) | Operator::Sql(_) => 32,
        }
    }
}

/// The values of a list; a value alone is one.
fn each_of(node: &Node) -> Vec<&Node> {
    match &node.data {
        NodeValue::List(items) => items.iter().collect(),
        _ => vec![node],
    }
}

/// What `overlaps` compares with.
#[derive(Debug)]
pub(crate) enum OverlapTarget {
    Field(Field),
    /// The texts of what answers this question.
    Earlier(usize),
}

#[derive(Debug)]
struct Scope {
    hosts: Option<Vec<Glob>>,
    paths: Option<Vec<Glob>>,
    clusters: Option<Vec<Glob>>,
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

impl CompiledTest {
    /// Steps for a byte that all of it reads.
    fn steps(&self) -> usize {
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

impl Policy {
    /// The detectors and allow-lists that the policy defines; none of them runs.
    pub fn detectors(&self) -> &Selection {
        &self.definitions
    }

    /// Whether a rule asks about detectors of the group `secrets`.
    pub fn finds_secrets(&self) -> bool {
        self.matcher.detectors.finds_secrets()
    }

    /// How many patterns its rules and its own detectors have.
    pub fn patterns(&self) -> usize {
        let own = self.matcher.detectors.patterns();
        self.matcher.patterns.patterns().len().saturating_add(own)
    }

    /// Steps that its operators take for a byte, if all of them read the same text.
    pub fn operator_steps(&self) -> usize {
        self.rules.iter().fold(0, |steps, rule| {
            let tests = rule.matches.iter().map(CompiledTest::steps);
            let conditions = rule.when.iter().chain(&rule.unless);
            let conditions = conditions.map(CompiledCondition::steps);
            tests.chain(conditions).fold(steps, usize::saturating_add)
        })
    }

    /// A rule by its number.
    pub fn rule(&self, number: u16) -> Option<&CompiledRule> {
        self.rules.get(usize::from(number))
    }

    /// All rules, by id.
    pub fn rules(&self) -> &[CompiledRule] {
        &self.rules
    }

    /// The rules that this version can evaluate but not enforce, since it keeps no state between exchanges.
    pub fn unenforceable(&self) -> impl Iterator<Item = &CompiledRule> {
        self.rules.iter().filter(|rule| rule.limit.is_some())
    }

    /// What is in force although nothing here provides what it asks for: all of that is denied, or counts for the strict side.
    pub fn denied_for_want(&self) -> Option<&'static str> {
        let documents = self.document.deciding();
        if self.document.requires_identity == Some(true) {
            return Some("`require: identity` denies every request: no credential is read yet");
        }
        if self
            .rules
            .iter()
            .any(|rule| rule.action == Action::RequireApproval)
        {
            return Some("rules that require an approval deny: none can be given yet");
        }
        let asks = |part: &Document| {
            !part.audience.is_empty() || part.rules.iter().any(Rule::asks_identity)
        };
        documents.iter().any(asks).then_some(
            "rules about who is asking count for the strict side: nothing tells that yet",
        )
    }

    /// Whether what no rule decides is enforced or only recorded.
    pub fn enforces_defaults(&self) -> bool {
        self.chapters.iter().any(|chapter| chapter.enforces(None))
    }

    /// Whether an exchange is something that the policy is about.
    pub fn applies(&self, facts: &Facts) -> bool {
        self.chapters
            .iter()
            .any(|chapter| !chapter.is_shadow && chapter.applies(facts))
    }

    /// What `protocols` says of a request.
    pub fn named(&self, facts: &Facts) -> MatchedEntry<'_> {
        protocols::find(&self.document.protocols, facts)
    }

    /// Whether `applies_to` names clusters, which the host must then look up.
    pub fn asks_cluster(&self) -> bool {
        self.chapters
            .iter()
            .any(|chapter| chapter.scope.clusters.is_some())
    }
}

/// What the compiler builds up.
pub(crate) struct Compiler<'d> {
    pub(crate) decoder: &'d mut Decoder,
    lists: &'d SortedMap<Box<str>, List>,
    /// Time zones that the document brings with it.
    pub(crate) given_zones: &'d Zones,
    /// Looks up those that it doesn't.
    pub(crate) find_zone: &'d dyn Fn(&str) -> Lookup,
    /// Those that its rules name.
    pub(crate) zones: Zones,
    literals: Vec<String>,
    literal_numbers: SortedMap<Box<str>, u32>,
    patterns: Vec<Pattern>,
    pattern_numbers: SortedMap<String, u32>,
    selection: Selection,
    /// What the rule at hand looks for.
    wants: MatchKinds,
    questions: Vec<HistoryQuery>,
}

/// Makes an operator of the items of an operand; whether they stand in a list.
type MakeOperator<'m, 'd> =
    &'m mut dyn FnMut(&mut Compiler<'d>, &[&Node], bool) -> Option<Operator>;

/// Compiles a document. Notes what is wrong; the policy may be used only if no error was noted.
pub(crate) fn compile(
    decoder: &mut Decoder,
    document: Document,
    version: String,
    find_zone: &dyn Fn(&str) -> Lookup,
) -> Option<Policy> {
    let definitions = super::detectors::define(decoder, &document);
    let mut compiler = Compiler {
        lists: &document.lists,
        given_zones: &document.zones,
        find_zone,
        zones: Zones::default(),
        literals: Vec::new(),
        literal_numbers: SortedMap::new(),
        patterns: Vec::new(),
        pattern_numbers: SortedMap::new(),
        selection: definitions.clone(),
        wants: MatchKinds::default(),
        questions: Vec::new(),
        decoder,
    };
    let mut needs = InspectionPlan::default();
    let mut rules = Vec::new();
    let mut chapters = Vec::new();
    let tried_out = document.shadow.as_deref();
    for part in document.deciding().iter().chain(tried_out) {
        let is_shadow = tried_out.is_some_and(|shadow| std::ptr::eq(shadow, part));
        compiler.lists = &part.lists;
        let mut chapter = compiler.chapter(part, is_shadow)?;
        chapter.is_observed |= document.observe_all;
        chapter.is_alone = !is_shadow && document.members.is_empty();
        needs.add_defaults(&chapter);
        let start = number_of(rules.len());
        compiler.rules(part, &chapter, &mut needs, &mut rules);
        chapter.rules = start..number_of(rules.len());
        chapters.push(chapter);
    }
    if rules.len() > MAX_RULES {
        let message = format!("{} rules, at most {MAX_RULES} are allowed", rules.len());
        let at = PolicyPath::root();
        compiler
            .decoder
            .error(codes::AG1019, &at, &(0..0), &message, "");
        return None;
    }
    let Compiler {
        literals,
        patterns,
        selection,
        zones,
        questions,
        ..
    } = compiler;
    let at = PolicyPath::root();
    let automaton = Literals::new(&literals)
        .map_err(|error| {
            let message = format!("too many texts to look for: {error}");
            decoder.error(codes::AG1019, &at, &(0..0), &message, "");
        })
        .ok()?;
    let patterns = PatternSet::new(patterns)
        .map_err(|error| {
            decoder.error(
                codes::AG1013,
                &at,
                &(0..0),
                &error.message,
                error.help.as_deref().unwrap_or_default(),
            )
        })
        .ok()?;
    if rules.len() > usize::from(u16::MAX) {
        let message = format!("{} rules are more than the filter can number", rules.len());
        let help =
            "write one rule for several tools or texts: `tool: [a, b]`, `contains_any: [..]`";
        decoder.error(codes::AG1019, &at, &(0..0), &message, help);
        return None;
    }
    Some(Policy {
        version,
        needs,
        index: Index::of(&rules),
        rules,
        matcher: Matcher {
            literals: automaton,
            literal_texts: literals,
            patterns,
            detectors: Scanner::new(&selection),
        },
        definitions,
        chapters,
        zones,
        questions,
        document,
    })
}

fn scope(decoder: &mut Decoder, applies_to: &AppliesTo) -> Scope {
    let at = PolicyPath::root();
    let at = at.key("applies_to");
    let mut globs = |key: &str, texts: &Option<Vec<Box<str>>>| {
        texts.as_ref().map(|texts| {
            texts
                .iter()
                .filter_map(|text| match Glob::parse(&letter_case::lower(text)) {
                    Ok(glob) => Some(glob),
                    Err(what) => {
                        decoder.error(codes::AG1013, &at.key(key), &(0..0), &what, "");
                        None
                    }
                })
                .collect()
        })
    };
    Scope {
        hosts: globs("hosts", &applies_to.hosts),
        paths: globs("paths", &applies_to.paths),
        clusters: globs("clusters", &applies_to.clusters),
    }
}

fn number_of(rules: usize) -> u16 {
    u16::try_from(rules).unwrap_or(u16::MAX)
}

impl<'d> Compiler<'d> {
    /// What a document says besides its rules.
    fn chapter(&mut self, document: &Document, is_shadow: bool) -> Option<CompiledDocument> {
        let mut audience = Vec::with_capacity(document.audience.len());
        for item in &document.audience {
            audience.push(self.match_item(item)?);
        }
        Some(CompiledDocument {
            rules: 0..0,
            defaults: document.defaults,
            mode: document.mode,
            is_observed: is_shadow || document.observe_all,
            is_shadow,
            is_alone: false,
            audience,
            scope: scope(self.decoder, &document.applies_to),
        })
    }

    /// Adds the rules of a document, by id.
    fn rules(
        &mut self,
        document: &Document,
        chapter: &CompiledDocument,
        needs: &mut InspectionPlan,
        rules: &mut Vec<CompiledRule>,
    ) {
        let mut sorted: Vec<&Rule> = document.rules.iter().collect();
        sort::sort_by(&mut sorted, |a, b| a.id.cmp(&b.id));
        rules.reserve_exact(sorted.len());
        for rule in sorted {
            self.wants = MatchKinds::default();
            if let Some(limit) = &rule.limit {
                self.warn_of_limit(rule, limit);
            }
            if let Some(mut compiled) = self.rule(rule, chapter.enforces(rule.mode)) {
                needs.add_rule(rule, &compiled, self.wants);
                if !chapter.is_alone {
                    compiled.id = format!("{}/{}", document.name, rule.id).into();
                }
                rules.push(compiled);
            }
        }
    }

    fn warn_of_limit(&mut self, rule: &Rule, limit: &Limit) {
        let message = format!(
            "rule `{}` has a limit, and nothing counts between requests yet: Envoy refuses this policy",
            rule.id
        );
        let at = PolicyPath::root();
        let warning = Severity::Warning;
        let report = self
            .decoder
            .report(warning, codes::AG1017, &at, limit.span.clone(), message);
        if let Some(diagnostic) = report {
            diagnostic.path.clone_from(&limit.path);
            let help = "take it out, and use Envoy's own filters (`local_ratelimit`, `ratelimit`) until it works";
            diagnostic.help = Some(help.to_owned());
        }
    }

    fn rule(&mut self, rule: &Rule, enforced: bool) -> Option<CompiledRule> {
        let mut matches = Vec::with_capacity(rule.matches.len());
        for item in &rule.matches {
            matches.push(self.match_item(item)?);
        }
        let when = match &rule.when {
            Some(condition) => Some(self.condition(condition)?),
            None => None,
        };
        let unless = match &rule.unless {
            Some(condition) => Some(self.condition(condition)?),
            None => None,
        };
        let (mut asks_turn, mut asks_part, mut asks_arguments) = (false, false, false);
        rule.each_field(&mut |mention, of| {
            // What is asked of an earlier event says nothing of the one at hand.
            if of.is_none() {
                asks_turn |= mention.field == Field::Turn;
                asks_part |= mention.field == Field::Part;
                asks_arguments |= matches!(mention.field, Field::Args(_));
            }
        });
        Some(CompiledRule {
            id: rule.id.clone(),
            action: rule.action,
            enforced,
            reason: rule.reason.clone(),
            remedy: rule.remedy.clone(),
            tags: rule.tags.clone(),
            on_deny: rule.on_deny,
            approval: rule.approval.clone(),
            limit: rule.limit.clone(),
            kinds: rule.kinds,
            // Where a missing text counts as a hit, there is nothing to look for first.
            needs_hit: rule.action != Action::Allow
                && rule.if_missing != Some(IfMissing::Apply)
                && when.as_ref().is_some_and(needs_hit),
            wants: self.wants,
            pace: CompiledRule::pace_of(&matches, when.as_ref(), unless.as_ref()),
            matches,
            when,
            unless,
            if_missing: rule.if_missing,
            redact: Rc::clone(&rule.redact),
            asks_turn,
            asks_part,
            asks_arguments,
        })
    }

    /// `match: { tool: [a, "b*"] }`: names and globs, one of which must fit.
    fn match_item(&mut self, item: &MatchItem) -> Option<CompiledTest> {
        let (verb, operator) = if item.values.iter().any(|value| Glob::is_glob(value)) {
            let mut exact = Vec::with_capacity(item.values.len());
            for value in &item.values {
                exact.push(self.glob(value, &item.mention.span, &item.path)?);
            }
            let glob = Operator::Glob {
                folded: folded(&exact),
                exact,
                names: true,
            };
            (Verb::Glob, glob)
        } else {
            if let FieldType::Word(words) = item.mention.field.nature() {
                for value in &item.values {
                    self.known_word(value, words, &item.mention.span, &item.path)?;
                }
            }
            let equality = Operator::Equality(Equality {
                literals: item
                    .values
                    .iter()
                    .map(|value| Literal::text(value))
                    .collect(),
                negative: false,
                names: true,
            });
            (Verb::In, equality)
        };
        Some(CompiledTest {
            field: item.mention.field.clone(),
            checks: vec![CompiledCheck {
                verb,
                quantifier: None,
                operator,
            }],
        })
    }

    fn condition(&mut self, condition: &Condition) -> Option<CompiledCondition> {
        Some(match condition {
            Condition::All(list) => CompiledCondition::All(self.conditions(list)?),
            Condition::Any(list) => CompiledCondition::Any(self.conditions(list)?),
            Condition::Not(inner) => CompiledCondition::Not(Box::new(self.condition(inner)?)),
            Condition::Test(test) => CompiledCondition::Test(self.test(test)?),
            Condition::AnyItem { list, condition } => {
                if list.field.nature() != FieldType::Data {
                    let message = format!("`{}` is no list", list.name);
                    let help = "items stand in `args`, `result` and `params`";
                    self.error(codes::AG1011, &list.span, "", &message, help);
                    return None;
                }
                CompiledCondition::AnyItem {
                    list: list.field.clone(),
                    condition: Box::new(self.condition(condition)?),
                }
            }
            Condition::Earlier(earlier) => CompiledCondition::Earlier {
                question: self.question(earlier, false)?,
                at_least: earlier.at_least,
                in_a_row: earlier.in_a_row,
            },
        })
    }

    /// What is asked of the conversation before an event; gives its number.
    fn question(&mut self, earlier: &Earlier, keeps_texts: bool) -> Option<usize> {
        let mut matches = Vec::with_capacity(earlier.matches.len());
        for item in &earlier.matches {
            matches.push(self.match_item(item)?);
        }
        let when = match &earlier.condition {
            Some(condition) => Some(self.condition(condition)?),
            None => None,
        };
        self.questions.push(HistoryQuery {
            kind: earlier.kind,
            matches,
            when,
            keeps_texts,
        });
        self.questions.len().checked_sub(1)
    }

    fn conditions(&mut self, list: &[Condition]) -> Option<Vec<CompiledCondition>> {
        condition::each(list, |condition| self.condition(condition))
    }

    fn test(&mut self, test: &Test) -> Option<CompiledTest> {
        if matches!(test.mention.field, Field::Session(_)) {
            let message = format!("`{}`: sessions are not supported yet", test.mention.name);
            let path = test.checks.first().map_or("", |check| &*check.path);
            self.error(codes::AG1017, &test.mention.span, path, &message, "");
            return None;
        }
        let checks = condition::each(&test.checks, |check| {
            self.fits_nature(test, check)?;
            let operator = self.operator(&test.mention.field, check, &check.operand)?;
            Some(CompiledCheck {
                verb: check.verb,
                quantifier: check.quantifier,
                operator,
            })
        })?;
        Some(CompiledTest {
            field: test.mention.field.clone(),
            checks,
        })
    }

    pub(crate) fn error(
        &mut self,
        code: &'static str,
        span: &Range<usize>,
        path: &str,
        message: &str,
        help: &str,
    ) {
        let message = message.to_owned();
        let report = self.decoder.report(
            Severity::Error,
            code,
            &PolicyPath::root(),
            span.clone(),
            message,
        );
        if let Some(diagnostic) = report {
            diagnostic.path = path.to_owned();
            diagnostic.help = (!help.is_empty()).then(|| help.to_owned());
        }
    }

    pub(crate) fn does_not_fit(&mut self, check: &Check, message: &str, help: &str) {
        self.error(codes::AG1011, &check.span, &check.path, message, help);
    }

    /// Whether the field's values are something that the verb can be asked about.
    fn fits_nature(&mut self, test: &Test, check: &Check) -> Option<()> {
        let verb = check.verb;
        let equality = matches!(
            verb,
            Verb::Equals | Verb::NotEquals | Verb::In | Verb::NotIn | Verb::Exists
        );
        let order = matches!(
            verb,
            Verb::GreaterThan | Verb::AtLeast | Verb::LessThan | Verb::AtMost | Verb::Between
        );
        let fits = match test.mention.field.nature() {
            FieldType::Word(_) | FieldType::Bool => equality,
            FieldType::Number => equality || order,
            FieldType::Name | FieldType::NameSet | FieldType::Text => !order && !verb.asks_time(),
            FieldType::Data => !verb.asks_time(),
            FieldType::Time => verb.asks_time(),
            FieldType::History => true,
        };
        if fits {
            return Some(());
        }
        let what = match test.mention.field.nature() {
            FieldType::Word(_) => "one of a few words",
            FieldType::Bool => "true or false",
            FieldType::Number => "a number",
            _ if verb.asks_time() => "not the field `time`",
            _ => "a text",
        };
        self.does_not_fit(
            check,
            &format!(
                "`{}` does not apply to `{}`, which is {what}",
                verb.word(),
                test.mention.name
            ),
            "",
        );
        None
    }

    fn operator(&mut self, field: &Field, check: &Check, operand: &Operand) -> Option<Operator> {
        self.with_items(check, operand, &mut |compiler, items, is_list| {
            compiler.plain_operator(field, check, items, is_list)
        })
    }

    /// Makes an operator of an operand's items, or one for each key of a keyed list.
    fn with_items(
        &mut self,
        check: &Check,
        operand: &Operand,
        make: MakeOperator<'_, 'd>,
    ) -> Option<Operator> {
        match operand {
            Operand::Value(node) => {
                let items = each_of(node);
                make(self, &items, matches!(node.data, NodeValue::List(_)))
            }
            Operand::Windows {
                windows,
                days,
                zone,
            } => self.with_items(check, windows, &mut |compiler, items, _| {
                compiler.windows(check, items, days.as_ref(), zone.as_ref())
            }),
            Operand::Commands {
                commands,
                redirect,
                variables,
            } => self.with_items(check, commands, &mut |compiler, items, _| {
                compiler.commands(check, items, redirect.as_ref(), variables.as_ref())
            }),
            Operand::List(name, span) => match self.list(name, span, &check.path)? {
                List::Plain(items) => {
                    let items: Vec<&Node> = items.iter().collect();
                    make(self, &items, true)
                }
                List::Keyed(_) => {
                    self.error(
                        codes::AG1011,
                        span,
                        &check.path,
                        &format!("list `{name}` has keys"),
                        "say which one: `{ list: NAME, key: principal.tenant }`",
                    );
                    None
                }
            },
            Operand::KeyedList(name, key, span) => match self.list(name, span, &check.path)? {
                List::Keyed(keyed) => {
                    let mut operators = SortedMap::new();
                    for (key, items) in keyed {
                        let items: Vec<&Node> = items.iter().collect();
                        let operator = make(self, &items, true)?;
                        operators.insert(key.clone(), operator);
                    }
                    Some(Operator::Keyed {
                        key: self.operand_field(check, key)?,
                        operators,
                    })
                }
                List::Plain(_) => {
                    self.error(
                        codes::AG1011,
                        span,
                        &check.path,
                        &format!("list `{name}` has no keys"),
                        "leave `key` out",
                    );
                    None
                }
            },
            Operand::Field(mention) => {
                if !check.verb.takes_field() {
                    let message = format!("`{}` takes no other field", check.verb.word());
                    let help = "write what it compares with, or a list";
                    self.error(codes::AG1011, &mention.span, &check.path, &message, help);
                    return None;
                }
                self.operand_field(check, mention).map(Operator::Field)
            }
            Operand::Overlap { with, run } => {
                let with = match &**with {
                    Operand::Field(mention) => {
                        OverlapTarget::Field(self.operand_field(check, mention)?)
                    }
                    Operand::Earlier(earlier) => {
                        OverlapTarget::Earlier(self.question(earlier, true)?)
                    }
                    _ => return None,
                };
                Some(Operator::Overlaps { with, run: *run })
            }
            Operand::Earlier(earlier) => {
                let message = format!("`{}` takes no earlier event", check.verb.word());
                let help = "`overlaps` compares with the texts of earlier events";
                let span = &earlier.mention.span;
                self.error(codes::AG1011, span, &check.path, &message, help);
                None
            }
        }
    }

    /// Another field whose values can be compared with.
    fn operand_field(&mut self, check: &Check, mention: &FieldRef) -> Option<Field> {
        let field = &mention.field;
        let is_session = matches!(field, Field::Session(_));
        if is_session || matches!(field.nature(), FieldType::Time | FieldType::History) {
            let message = format!("`{}` can't be compared with", mention.name);
            self.error(codes::AG1011, &mention.span, &check.path, &message, "");
            return None;
        }
        Some(field.clone())
    }

    /// The items of a plain list of this name, if there is one.
    pub(crate) fn plain_list(&self, name: &str) -> Option<&'d [Node]> {
        match self.lists.get(name) {
            Some(List::Plain(items)) => Some(items),
            _ => None,
        }
    }

    fn list(&mut self, name: &str, span: &Range<usize>, path: &str) -> Option<&'d List> {
        let lists = self.lists;
        if let Some(list) = lists.get(name) {
            return Some(list);
        }
        let known: Vec<&str> = lists.keys().map(|name| &**name).collect();
        self.decoder.unknown(
            codes::AG1012,
            &PolicyPath::root(),
            span,
            "list",
            name,
            &known,
        );
        if let Some(diagnostic) = self.decoder.diagnostics.last_mut() {
            diagnostic.path = path.to_owned();
        }
        None
    }

    fn plain_operator(
        &mut self,
        field: &Field,
        check: &Check,
        items: &[&Node],
        is_list: bool,
    ) -> Option<Operator> {
        let verb = check.verb;
        match verb {
            Verb::Equals | Verb::NotEquals if is_list => {
                self.does_not_fit(
                    check,
                    &format!("`{}` compares with one value", verb.word()),
                    "use `in` or `not_in` for a list",
                );
                None
            }
            Verb::Equals | Verb::NotEquals | Verb::In | Verb::NotIn => {
                self.equality(field, check, items)
            }
            Verb::Exists => match items.first().map(|node| &node.data) {
                Some(NodeValue::Bool(value)) if !is_list => Some(Operator::Exists(*value)),
                _ => {
                    self.does_not_fit(check, "`exists` takes true or false", "");
                    None
                }
            },
            Verb::GreaterThan => Some(Operator::Order(self.low(check, items, false)?)),
            Verb::AtLeast => Some(Operator::Order(self.low(check, items, true)?)),
            Verb::LessThan => Some(Operator::Order(self.high(check, items, false)?)),
            Verb::AtMost => Some(Operator::Order(self.high(check, items, true)?)),
            Verb::Between => self.between(check, items),
            Verb::CountGreaterThan => Some(Operator::Count(self.low(check, items, false)?)),
            Verb::CountAtLeast => Some(Operator::Count(self.low(check, items, true)?)),
            Verb::CountLessThan => Some(Operator::Count(self.high(check, items, false)?)),
            Verb::CountAtMost => Some(Operator::Count(self.high(check, items, true)?)),
            Verb::CountEquals => Some(Operator::Count(self.exactly(check, items)?)),
            Verb::LengthGreaterThan => Some(Operator::Length(self.low(check, items, false)?)),
            Verb::LengthAtLeast => Some(Operator::Length(self.low(check, items, true)?)),
            Verb::LengthLessThan => Some(Operator::Length(self.high(check, items, false)?)),
            Verb::LengthAtMost => Some(Operator::Length(self.high(check, items, true)?)),
            Verb::LengthEquals => Some(Operator::Length(self.exactly(check, items)?)),
            Verb::Contains | Verb::ContainsAny | Verb::ContainsAll => {
                if verb == Verb::Contains && is_list {
                    self.does_not_fit(
                        check,
                        "`contains` looks for one text",
                        "use `contains_any` or `contains_all` for a list",
                    );
                    return None;
                }
                let texts = self.needles(check, items)?;
                self.wants.literals = true;
                let needles = texts.iter().map(|text| self.literal(text)).collect();
                Some(Operator::Contains(Contains {
                    needles,
                    all: verb == Verb::ContainsAll,
                }))
            }
            Verb::StartsWith | Verb::EndsWith => {
                let texts = self.needles(check, items)?;
                Some(Operator::Affix(Affix::new(&texts, verb == Verb::EndsWith)))
            }
            Verb::Matches => self.matches(check, items),
            Verb::Glob => {
                let texts = self.needles(check, items)?;
                let names = matches!(field.nature(), FieldType::Name | FieldType::NameSet);
                let mut exact = Vec::with_capacity(texts.len());
                let mut read = Vec::with_capacity(texts.len());
                for text in &texts {
                    exact.push(self.glob(text, &check.span, &check.path)?);
                    if !names {
                        // Texts are compared with each run of white space as one space.
                        read.push(self.glob(&squeezed(text), &check.span, &check.path)?);
                    }
                }
                Some(Operator::Glob {
                    folded: folded(if names { &exact } else { &read }),
                    exact,
                    names,
                })
            }
            Verb::Detects => self.detects(check, items),
            Verb::DomainIn | Verb::DomainNotIn => {
                let parse = |texts: &[Box<str>]| Domains::parse(texts, verb.is_negative());
                self.listed(check, items, parse).map(Operator::Domains)
            }
            Verb::PathWithin | Verb::PathNotWithin => {
                let parse = |texts: &[Box<str>]| Folders::parse(texts, verb.is_negative());
                self.listed(check, items, parse).map(Operator::Folders)
            }
            Verb::CommandIn => self.commands(check, items, None, None),
            Verb::CidrIn => self
                .listed(check, items, Networks::parse)
                .map(Operator::Networks),
            Verb::SqlVerbIn => self
                .listed(check, items, SqlQuestion::verbs)
                .map(Operator::Sql),
            Verb::SqlTableIn => self
                .listed(check, items, SqlQuestion::tables)
                .map(Operator::Sql),
            Verb::SqlLimitGreaterThan => {
                let number = self.number(check, items)?;
                match number.to_string().parse() {
                    Ok(rows) => Some(Operator::Sql(SqlQuestion::MoreRowsThan(rows))),
                    Err(_) => {
                        let message = format!("`{}` compares with a whole number", verb.word());
                        self.does_not_fit(check, &message, "");
                        None
                    }
                }
            }
            Verb::NotBefore | Verb::NotAfter => self.moment(check, items),
            _ => {
                self.error(
                    codes::AG1017,
                    &check.span,
                    &check.path,
                    &format!("`{}` is not supported yet", verb.word()),
                    "",
                );
                None
            }
        }
    }

    fn equality(&mut self, field: &Field, check: &Check, items: &[&Node]) -> Option<Operator> {
        if items.is_empty() {
            self.does_not_fit(check, "the list is empty", "");
            return None;
        }
        let mut literals = Vec::with_capacity(items.len());
        for item in items {
            let literal = match &item.data {
                NodeValue::Null => Literal::Null,
                NodeValue::Bool(value) => Literal::Bool(*value),
                NodeValue::Number(text) => match Decimal::parse(text) {
                    Some(number) => Literal::Number(number),
                    None => {
                        self.does_not_fit(
                            check,
                            &format!("`{text}` is no number that can be compared"),
                            "",
                        );
                        return None;
                    }
                },
                NodeValue::String(text) => {
                    if let FieldType::Word(words) = field.nature() {
                        self.known_word(text, words, &item.span, &check.path)?;
                    }
                    Literal::text(text)
                }
                NodeValue::List(_) | NodeValue::Map(_) => {
                    self.does_not_fit(
                        check,
                        &format!(
                            "`{}` compares with plain values, not with {}",
                            check.verb.word(),
                            item.kind()
                        ),
                        "",
                    );
                    return None;
                }
            };
            let fits = match (field.nature(), &literal) {
                (FieldType::Data, _) | (_, Literal::Null) => true,
                (FieldType::Bool, literal) => matches!(literal, Literal::Bool(_)),
                (FieldType::Number, literal) => matches!(literal, Literal::Number(_)),
                (_, literal) => matches!(literal, Literal::Text { .. }),
            };
            if !fits {
                let help = if matches!(literal, Literal::Text { .. }) {
                    "without quotes it is a number or a boolean"
                } else {
                    "put it in quotes"
                };
                self.does_not_fit(check, "this can never be equal: the types differ", help);
                return None;
            }
            literals.push(literal);
        }
        Some(Operator::Equality(Equality {
            literals,
            negative: check.verb.is_negative(),
            names: matches!(field.nature(), FieldType::Name | FieldType::NameSet),
        }))
    }

    fn known_word(
        &mut self,
        word: &str,
        known: &'static [&'static str],
        span: &Range<usize>,
        path: &str,
    ) -> Option<()> {
        if known.contains(&word) {
            return Some(());
        }
        self.decoder.unknown(
            codes::AG1007,
            &PolicyPath::root(),
            span,
            "value",
            word,
            known,
        );
        if let Some(diagnostic) = self.decoder.diagnostics.last_mut() {
            diagnostic.path = path.to_owned();
        }
        None
    }

    fn number(&mut self, check: &Check, items: &[&Node]) -> Option<Decimal> {
        let number = match items {
            [only] => match &only.data {
                NodeValue::Number(text) => Decimal::parse(text),
                _ => None,
            },
            _ => None,
        };
        if number.is_none() {
            self.does_not_fit(
                check,
                &format!("`{}` compares with one number", check.verb.word()),
                "write it without quotes and without separators: `1000`",
            );
        }
        number
    }

    fn low(&mut self, check: &Check, items: &[&Node], included: bool) -> Option<Comparison> {
        let number = self.number(check, items)?;
        Some(Comparison {
            low: Some((number, included)),
            high: None,
        })
    }

    fn high(&mut self, check: &Check, items: &[&Node], included: bool) -> Option<Comparison> {
        let number = self.number(check, items)?;
        Some(Comparison {
            low: None,
            high: Some((number, included)),
        })
    }

    fn exactly(&mut self, check: &Check, items: &[&Node]) -> Option<Comparison> {
        let number = self.number(check, items)?;
        Some(Comparison {
            low: Some((number.clone(), true)),
            high: Some((number, true)),
        })
    }

    fn between(&mut self, check: &Check, items: &[&Node]) -> Option<Operator> {
        let [low, high] = items else {
            self.does_not_fit(
                check,
                "`between` takes two numbers",
                "`between: [1, 100]` includes both",
            );
            return None;
        };
        let low = self.number(check, &[low])?;
        let high = self.number(check, &[high])?;
        if high < low {
            self.does_not_fit(check, "the first number is larger than the second", "");
            return None;
        }
        Some(Operator::Order(Comparison {
            low: Some((low, true)),
            high: Some((high, true)),
        }))
    }

    /// Texts that an operator looks for.
    fn needles(&mut self, check: &Check, items: &[&Node]) -> Option<Vec<Box<str>>> {
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match &item.data {
                NodeValue::String(text) if !text.is_empty() => texts.push(text.clone()),
                NodeValue::String(_) => {
                    self.does_not_fit(check, "an empty text stands everywhere", "");
                    return None;
                }
                _ => {
                    self.does_not_fit(
                        check,
                        &format!(
                            "`{}` looks for texts, not for {}",
                            check.verb.word(),
                            item.kind()
                        ),
                        "put it in quotes",
                    );
                    return None;
                }
            }
        }
        if texts.is_empty() {
            self.does_not_fit(check, "the list is empty", "");
            return None;
        }
        Some(texts)
    }

    /// An operator over a list of texts that it reads itself.
    /// `command_in: [ls, cat]`, with the folders that redirections may write to and the variables that may be assigned.
    fn commands(
        &mut self,
        check: &Check,
        items: &[&Node],
        redirect: Option<&Node>,
        variables: Option<&Node>,
    ) -> Option<Operator> {
        let commands = self.listed(check, items, Commands::parse)?;
        let redirect = match redirect {
            Some(node) => {
                let parse = |texts: &[Box<str>]| Folders::parse(texts, false);
                Some(self.listed(check, &each_of(node), parse)?)
            }
            None => None,
        };
        let variables = match variables {
            Some(node) => self.listed(check, &each_of(node), Commands::variables)?,
            None => Vec::new(),
        };
        Some(Operator::Commands(commands.allowing(redirect, variables)))
    }

    fn listed<T>(
        &mut self,
        check: &Check,
        items: &[&Node],
        parse: impl FnOnce(&[Box<str>]) -> Result<T, OperandError>,
    ) -> Option<T> {
        let texts = self.needles(check, items)?;
        match parse(&texts) {
            Ok(operator) => Some(operator),
            Err(error) => {
                let span = items.get(error.at).map_or(&check.span, |item| &item.span);
                self.error(
                    codes::AG1011,
                    span,
                    &check.path,
                    &error.message,
                    &error.help,
                );
                None
            }
        }
    }

    fn literal(&mut self, text: &str) -> [u32; 2] {
        let written = self.literal_number(text);
        let seen = match View::of(text) {
            Some(view) => self.literal_number(view.text()),
            None => written,
        };
        [written, seen]
    }

    fn literal_number(&mut self, text: &str) -> u32 {
        let next = offset(self.literals.len());
        let number = *self.literal_numbers.entry(text.into()).or_insert(next);
        if number == next {
            self.literals.push(text.to_owned());
        }
        number
    }

    fn glob(&mut self, text: &str, span: &Range<usize>, path: &str) -> Option<Glob> {
        match Glob::parse(text) {
            Ok(glob) => Some(glob),
            Err(what) => {
                self.error(
                    codes::AG1013,
                    span,
                    path,
                    &what,
                    "globs know `*`, `**`, `?` and `[abc]`",
                );
                None
            }
        }
    }

    fn matches(&mut self, check: &Check, items: &[&Node]) -> Option<Operator> {
        let sources = self.needles(check, items)?;
        let mut numbers = Vec::with_capacity(sources.len());
        for source in &sources {
            if let Some(number) = self.pattern_numbers.get(&**source) {
                numbers.push(*number);
                continue;
            }
            match Pattern::new(source) {
                Ok(pattern) => {
                    let number = offset(self.patterns.len());
                    self.patterns.push(pattern);
                    self.pattern_numbers.insert(source.to_string(), number);
                    numbers.push(number);
                }
                Err(error) => {
                    let message = format!("`{source}`: {}", error.message);
                    let help = error.help.unwrap_or_default();
                    self.error(codes::AG1013, &check.span, &check.path, &message, &help);
                    return None;
                }
            }
        }
        self.wants.patterns = true;
        sort::sort(&mut numbers);
        Some(Operator::Matches(numbers))
    }

    /// `{ types: […], confidence: high }`: adds the names, each with its place.
    fn types(
        &mut self,
        operand: &Node,
        names: &mut Vec<(Box<str>, Range<usize>)>,
        confidence: &mut Confidence,
    ) -> Option<()> {
        let at = PolicyPath::root();
        let known = &["types", "confidence"];
        for member in self.decoder.mapping(&at, operand, known)? {
            let at = at.key(&member.key);
            let value = &member.value;
            if &*member.key == "confidence" {
                *confidence = self.decoder.word(&at, value, CONFIDENCES)?;
                continue;
            }
            let types = self.decoder.texts(&at, value)?;
            let spans: Vec<Range<usize>> = match &value.data {
                NodeValue::List(items) => items.iter().map(|item| item.span.clone()).collect(),
                _ => vec![value.span.clone()],
            };
            names.extend(types.into_iter().zip(spans));
        }
        Some(())
    }

    /// `detects: credit_card`, `detects: [pii, secrets]`, `detects: { types: […], confidence: high }`
    fn detects(&mut self, check: &Check, items: &[&Node]) -> Option<Operator> {
        let mut confidence = Confidence::Medium;
        let mut names: Vec<(Box<str>, Range<usize>)> = Vec::new();
        for item in items {
            match &item.data {
                NodeValue::String(text) => names.push((text.clone(), item.span.clone())),
                NodeValue::Map(_) => {
                    let known = self.decoder.diagnostics.len();
                    let read = self.types(item, &mut names, &mut confidence);
                    // They are told from the operand on.
                    for told in self.decoder.diagnostics.iter_mut().skip(known) {
                        told.path = format!("{}.{}", check.path, told.path);
                    }
                    read?;
                }
                _ => {
                    self.does_not_fit(check, "`detects` takes names of detectors or groups", "");
                    return None;
                }
            }
        }
        let mut detectors: Vec<(u16, Confidence)> = Vec::new();
        let mut are_known = true;
        for (name, span) in &names {
            match self.selection.members(name) {
                Ok(members) => {
                    detectors.extend(members.into_iter().map(|member| (member, confidence)))
                }
                Err(unknown) => {
                    let help = match unknown.suggestions.as_slice() {
                        [] => "docs/detectors.md lists detectors and groups".to_owned(),
                        near => {
                            let near: Vec<String> =
                                near.iter().map(|name| format!("`{name}`")).collect();
                            format!("did you mean {}?", near.join(" or "))
                        }
                    };
                    let message = format!("unknown detector or group `{name}`");
                    self.error(codes::AG1012, span, &check.path, &message, &help);
                    are_known = false;
                    continue;
                }
            }
            are_known &= self.selection.add(name, confidence).is_ok();
        }
        if !are_known {
            return None;
        }
        if detectors.is_empty() {
            self.does_not_fit(check, "no detector is named", "");
            return None;
        }
        sort::sort(&mut detectors);
        detectors.dedup();
        self.wants.detectors = true;
        Some(Operator::Detects(detectors))
    }
}

fn folded(globs: &[Glob]) -> Vec<Glob> {
    globs
        .iter()
        .map(|glob| glob.folded(|literal| fold_name(literal).into_owned()))
        .collect()
}

/// Whether a condition can only hold if the text of the event holds something that is looked for.
fn needs_hit(condition: &CompiledCondition) -> bool {
    match condition {
        CompiledCondition::All(list) => list.iter().any(needs_hit),
        CompiledCondition::Any(list) => list.iter().all(needs_hit),
        CompiledCondition::Not(_)
        | CompiledCondition::AnyItem { .. }
        | CompiledCondition::Earlier { .. } => false,
        CompiledCondition::Test(test) => {
            test.field == Field::Text
                && test.checks.iter().any(|check| {
                    matches!(
                        check.operator,
                        Operator::Contains(_) | Operator::Matches(_) | Operator::Detects(_)
                    )
                })
        }
    }
}
