//! Normal form of a rule: lists are resolved, spellings unified, `not` is moved to the single tests, order and repetition
//! are removed.

use super::sample::ask_of_texts;
use crate::author::explain::{compiled_to, parts};
use crate::event::Kind;
use crate::policy::compiled::CompiledDocument;
use crate::policy::condition::{Condition, Earlier, Operand, Quantifier, Test};
use crate::policy::condition_tree::{Joins, Leaf};
use crate::policy::document::{AppliesTo, Document, List};
use crate::policy::field::Kinds;
use crate::policy::field_ref::FieldRef;
use crate::policy::glob::Glob;
use crate::policy::match_item::MatchItem;
use crate::policy::node::{Node, NodeValue};
use crate::policy::operators::{Measured, OperandKind, Polarity, Verb};
use crate::policy::rule::{IfMissing, Rule};
use crate::policy::words::Action;
use crate::policy::{Approval, CompiledRule, Limit, Policy, SessionSource};
use crate::wire::json::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// Rules of a policy, in normal form.
#[derive(Debug)]
pub(in crate::author) struct Meaning {
    pub(in crate::author) rules: Vec<RuleMeaning>,
}

/// Document of a policy that decides.
pub(in crate::author) struct GuardedDocument<'p> {
    pub(in crate::author) chapter: &'p CompiledDocument,
    /// Condition under which the document applies; empty if it always does.
    pub(in crate::author) guard: Formula,
    /// Rules of the document, without the guard.
    pub(in crate::author) meaning: Meaning,
}

impl GuardedDocument<'_> {
    /// Returns the document's rules with the guard as another condition of each.
    pub(in crate::author) fn guarded(&self) -> Vec<RuleMeaning> {
        let mut rules = self.meaning.rules.clone();
        for rule in &mut rules {
            // A limit counts the events of its document only.
            let guard = &self.guard;
            rule.formula.each_mut(&mut |literal| {
                if let TestOperand::Limit(limit) = &mut literal.ask {
                    limit.push_str(&guard.normal());
                }
            });
            let formula = std::mem::replace(&mut rule.formula, Formula::All(Vec::new()));
            rule.formula = Formula::all(vec![self.guard.clone(), formula]);
        }
        rules
    }
}

/// Normal form of one rule.
#[derive(Clone, Debug)]
pub(in crate::author) struct RuleMeaning {
    pub(in crate::author) id: Box<str>,
    pub(in crate::author) action: Action,
    pub(in crate::author) enforced: bool,
    pub(in crate::author) kinds: Kinds,
    pub(in crate::author) asks_turn: bool,
    pub(in crate::author) formula: Formula,
    /// Effects besides the decision: the form of a redaction, tags, the treatment of a denied part.
    pub(in crate::author) effect: String,
    /// Roles that must approve, validity and uses; empty unless the rule requires an approval.
    pub(in crate::author) approval: String,
    /// Conditions as they are written, without order and repetition. They decide which protocol messages and which tool
    /// definitions pass.
    pub(in crate::author) shape: String,
}

/// Condition of a rule.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::author) enum Formula {
    All(Vec<Formula>),
    Any(Vec<Formula>),
    Literal(TestLiteral),
}

/// Test of one field, or its negation.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::author) struct TestLiteral {
    pub(in crate::author) negated: bool,
    /// Side on which the test is read.
    pub(in crate::author) side: Polarity,
    /// Side of the condition that contains the test.
    pub(in crate::author) outer: Polarity,
    pub(in crate::author) if_missing: Option<IfMissing>,
    pub(in crate::author) field: String,
    pub(in crate::author) quantifier: Option<Quantifier>,
    pub(in crate::author) ask: TestOperand,
}

/// Operand of a test.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::author) enum TestOperand {
    /// One of these values, each with its type: `s:abc`, `n:100`.
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists(bool),
    Order(Range),
    Count(Range),
    Length(Range),
    Globs(BTreeSet<String>),
    /// Operator that matches one of several texts: more texts match more.
    OneOf(Verb, BTreeSet<String>),
    /// Operator that matches all of several texts: more texts match less.
    AllOf(Verb, BTreeSet<String>),
    /// At least one item of a list matches.
    AnyItem(Box<Formula>),
    /// A number of matching events is earlier in the conversation, or in a row.
    Earlier {
        kind: Kind,
        formula: Box<Formula>,
        count: (u32, u32),
    },
    /// Operator `sql_limit_greater_than`.
    RowsOver(u64),
    /// Value of the list whose key another field contains.
    Keyed {
        verb: Verb,
        key: String,
        lists: BTreeMap<String, BTreeSet<String>>,
    },
    /// A limit is exceeded. No proof knows the limit's count, so it may or may not be; two limits that count the same events
    /// with the same numbers are exceeded together.
    Limit(String),
    /// Operand that can only be compared as a whole.
    Other(Verb, String),
}

/// Range of numbers. Each end has whether it is included.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::author) struct Range {
    pub(in crate::author) low: Option<(Decimal, bool)>,
    pub(in crate::author) high: Option<(Decimal, bool)>,
}

impl TestOperand {
    /// Returns an operand for each of several values alone.
    pub(super) fn single(&self) -> Vec<TestOperand> {
        let single = |text: &String| BTreeSet::from([text.clone()]);
        let each = |texts: &BTreeSet<String>, ask: &dyn Fn(BTreeSet<String>) -> TestOperand| {
            texts.iter().map(|text| ask(single(text))).collect()
        };
        match self {
            TestOperand::In(texts) | TestOperand::NotIn(texts) => each(texts, &TestOperand::In),
            TestOperand::Globs(texts) => each(texts, &TestOperand::Globs),
            TestOperand::OneOf(verb, texts) => each(texts, &|text| TestOperand::OneOf(*verb, text)),
            TestOperand::AllOf(Verb::DomainNotIn, texts) => {
                each(texts, &|text| TestOperand::OneOf(Verb::DomainIn, text))
            }
            TestOperand::AllOf(Verb::PathNotWithin, texts) => {
                each(texts, &|text| TestOperand::OneOf(Verb::PathWithin, text))
            }
            TestOperand::Keyed { verb, lists, .. } => {
                let asks = lists.values().map(|texts| ask_of_texts(*verb, texts));
                asks.flat_map(|ask| ask.single()).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl TestLiteral {
    /// Returns everything except the operand.
    fn frame(&self) -> String {
        format!(
            "{} {:?} {:?} {:?} {} {:?}",
            self.negated, self.side, self.outer, self.if_missing, self.field, self.quantifier
        )
    }
}

impl Meaning {
    /// Returns the documents that decide.
    pub(in crate::author) fn parts_of(policy: &Policy) -> Vec<GuardedDocument<'_>> {
        Meaning::chapters_of(policy, false)
    }

    /// Returns the documents of the shadow policy.
    pub(in crate::author) fn shadows_of(policy: &Policy) -> Vec<GuardedDocument<'_>> {
        Meaning::chapters_of(policy, true)
    }

    fn chapters_of(policy: &Policy, are_shadows: bool) -> Vec<GuardedDocument<'_>> {
        parts(policy)
            .zip(&policy.chapters)
            .filter(|(_, chapter)| chapter.is_shadow == are_shadows)
            .map(|((document, compiled), chapter)| GuardedDocument {
                chapter,
                guard: guard(document, chapter),
                meaning: Meaning::of_part(document, compiled),
            })
            .collect()
    }

    /// Returns all rules of some documents.
    pub(in crate::author) fn of(parts: &[GuardedDocument<'_>]) -> Meaning {
        let rules = parts.iter().flat_map(GuardedDocument::guarded).collect();
        Meaning { rules }
    }

    /// Returns the rules of one document.
    pub(in crate::author) fn of_part(document: &Document, compiled: &[CompiledRule]) -> Meaning {
        let rules = document
            .rules
            .iter()
            .filter_map(|written| {
                let compiled = compiled_to(document, written, compiled)?;
                Some(RuleMeaning {
                    id: compiled.id.clone(),
                    action: written.action,
                    enforced: compiled.enforced,
                    kinds: written.kinds,
                    asks_turn: compiled.asks_turn,
                    formula: holds(written, document),
                    effect: effect(written),
                    approval: approval(written),
                    shape: shape(written, document),
                })
            })
            .collect();
        Meaning { rules }
    }
}

impl RuleMeaning {
    /// Returns the rule as a text: equal texts are equal rules.
    pub(in crate::author) fn normal(&self) -> String {
        let kinds: Vec<&str> = self.kinds.iter().map(Kind::word).collect();
        format!(
            "{} {} {:?} {} {} {} {}",
            self.action.word(),
            self.enforced,
            kinds,
            self.asks_turn,
            self.effect,
            self.approval,
            self.formula.normal()
        )
    }

    /// Returns the rule as a text, with the conditions as they are written.
    pub(in crate::author) fn exact(&self) -> String {
        format!("{} {}", self.normal(), self.shape)
    }
}

impl Formula {
    /// Returns the formula as a text, the same for every order of its parts.
    pub(in crate::author) fn normal(&self) -> String {
        let joined = |word: &str, parts: &[Formula]| {
            let parts: BTreeSet<String> = parts.iter().map(Formula::normal).collect();
            match parts.len() {
                1 => parts.into_iter().next().unwrap_or_default(),
                _ => format!("{word}({})", Vec::from_iter(parts).join(", ")),
            }
        };
        match self {
            Formula::All(parts) => joined("all", parts),
            Formula::Any(parts) => joined("any", parts),
            Formula::Literal(literal) => match &literal.ask {
                TestOperand::AnyItem(inner) => {
                    format!("{} item {}", literal.frame(), inner.normal())
                }
                TestOperand::Earlier {
                    kind,
                    formula,
                    count,
                } => format!(
                    "{} {kind:?} {count:?} {}",
                    literal.frame(),
                    formula.normal()
                ),
                ask => format!("{} {ask:?}", literal.frame()),
            },
        }
    }

    /// Calls `visit` with every literal.
    pub(in crate::author) fn each<'f>(&'f self, visit: &mut dyn FnMut(&'f TestLiteral)) {
        match self {
            Formula::All(parts) | Formula::Any(parts) => {
                for part in parts {
                    part.each(visit);
                }
            }
            Formula::Literal(literal) => visit(literal),
        }
    }

    /// Calls `change` with every literal.
    fn each_mut(&mut self, change: &mut dyn FnMut(&mut TestLiteral)) {
        match self {
            Formula::All(parts) | Formula::Any(parts) => {
                for part in parts {
                    part.each_mut(change);
                }
            }
            Formula::Literal(literal) => change(literal),
        }
    }

    fn all(parts: Vec<Formula>) -> Formula {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Formula::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match (flat.len(), flat.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                flat.extend(last);
                Formula::All(flat)
            }
        }
    }

    fn any(parts: Vec<Formula>) -> Formula {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Formula::Any(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match (flat.len(), flat.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                flat.extend(last);
                Formula::Any(flat)
            }
        }
    }

    /// Returns the parts that must all be true.
    pub(in crate::author) fn parts(&self) -> &[Formula] {
        match self {
            Formula::All(parts) => parts,
            other => std::slice::from_ref(other),
        }
    }
}

fn side_of(action: Action) -> Polarity {
    match action {
        Action::Allow => Polarity::Loosening,
        _ => Polarity::Restricting,
    }
}

/// Returns the guard of a document: its audience, read broadly, and in a set its `applies_to`.
fn guard(document: &Document, chapter: &CompiledDocument) -> Formula {
    let side = Polarity::Restricting;
    let reader = MeaningReader {
        document,
        outer: side,
        if_missing: None,
    };
    let mut parts = reader.matches(&document.audience, side);
    if !chapter.is_alone && document.applies_to != AppliesTo::default() {
        let scope = TestOperand::Other(Verb::Glob, format!("{:?}", document.applies_to));
        parts.push(reader.literal("applies_to", None, scope, side, false));
    }
    Formula::All(parts)
}

fn holds(rule: &Rule, document: &Document) -> Formula {
    let side = side_of(rule.action);
    let reader = MeaningReader {
        document,
        outer: side,
        if_missing: rule.if_missing,
    };
    let mut parts = reader.matches(&rule.matches, side);
    if let Some(when) = &rule.when {
        parts.push(reader.condition(when, side, false));
    }
    if let Some(unless) = &rule.unless {
        let side = side.flipped();
        let reader = MeaningReader {
            outer: side,
            ..reader
        };
        parts.push(reader.condition(unless, side, true));
    }
    let Some(limit) = &rule.limit else {
        return Formula::all(parts);
    };
    // The limit counts the events that the rest of the rule matches.
    let counted = Formula::all(parts.clone()).normal();
    let kinds: Vec<&str> = rule.kinds.iter().map(Kind::word).collect();
    let ask = TestOperand::Limit(format!("{} {kinds:?} {counted} ", limited(limit)));
    parts.push(reader.literal("limit", None, ask, side, false));
    Formula::all(parts)
}

/// Returns the conditions of a rule as they are written, each part sorted.
fn shape(rule: &Rule, document: &Document) -> String {
    fn joined(word: &str, parts: &mut dyn Iterator<Item = String>) -> String {
        let parts: BTreeSet<String> = parts.collect();
        format!("{word}({})", Vec::from_iter(parts).join(", "))
    }
    const JOINS: Joins<String> = Joins {
        all: |_, parts| joined("all", parts),
        any: |_, parts| joined("any", parts),
        not: |inner| format!("not({})", inner()),
    };
    let side = side_of(rule.action);
    let reader = MeaningReader {
        document,
        outer: side,
        if_missing: rule.if_missing,
    };
    let matches = Formula::All(reader.matches(&rule.matches, side)).normal();
    let [when, unless] =
        [(&rule.when, side), (&rule.unless, side.flipped())].map(|(part, side)| {
            let of = |part: &Condition| {
                part.fold(side, &JOINS, &mut |leaf, side| {
                    reader.leaf(leaf, side, false).normal()
                })
            };
            part.as_ref().map(of)
        });
    format!("{matches} {when:?} {unless:?}")
}

struct MeaningReader<'d> {
    document: &'d Document,
    outer: Polarity,
    if_missing: Option<IfMissing>,
}

impl MeaningReader<'_> {
    fn condition(&self, condition: &Condition, side: Polarity, negated: bool) -> Formula {
        // By De Morgan's laws, a negation moves to the leaves.
        const AS_WRITTEN: Joins<Formula> = Joins {
            all: |negated, parts| joined(negated, parts),
            any: |negated, parts| joined(!negated, parts),
            not: |inner| inner(),
        };
        const NEGATED: Joins<Formula> = Joins {
            all: AS_WRITTEN.any,
            any: AS_WRITTEN.all,
            not: AS_WRITTEN.not,
        };
        fn joined(is_any: bool, parts: &mut dyn Iterator<Item = Formula>) -> Formula {
            match is_any {
                true => Formula::any(parts.collect()),
                false => Formula::all(parts.collect()),
            }
        }
        let joins = if negated { &NEGATED } else { &AS_WRITTEN };
        condition.fold(side, joins, &mut |leaf, of_leaf| {
            self.leaf(leaf, of_leaf, negated ^ (of_leaf != side))
        })
    }

    fn leaf(
        &self,
        leaf: Leaf<'_, Test, FieldRef, Box<Earlier>>,
        side: Polarity,
        negated: bool,
    ) -> Formula {
        match leaf {
            Leaf::Test(test) => self.test(test, side, negated),
            Leaf::AnyItem(list, condition) => {
                let ask = TestOperand::AnyItem(Box::new(self.condition(condition, side, false)));
                self.literal(&list.field.name(), None, ask, side, negated)
            }
            Leaf::Earlier(earlier) => {
                let ask = self.earlier(earlier, side);
                self.literal("earlier", None, ask, side, negated)
            }
        }
    }

    fn matches(&self, items: &[MatchItem], side: Polarity) -> Vec<Formula> {
        items
            .iter()
            .map(|item| {
                let texts: BTreeSet<String> = item.values.iter().map(ToString::to_string).collect();
                let ask = if texts.iter().any(|text| Glob::is_glob(text)) {
                    TestOperand::Globs(texts)
                } else {
                    TestOperand::In(texts.iter().map(|text| format!("s:{text}")).collect())
                };
                self.literal(&item.field_ref.field.name(), None, ask, side, false)
            })
            .collect()
    }

    fn earlier(&self, earlier: &Earlier, side: Polarity) -> TestOperand {
        let mut parts = self.matches(&earlier.matches, side);
        if let Some(condition) = &earlier.condition {
            parts.push(self.condition(condition, side, false));
        }
        TestOperand::Earlier {
            kind: earlier.kind,
            formula: Box::new(Formula::all(parts)),
            count: (earlier.at_least, earlier.in_a_row),
        }
    }

    fn test(&self, test: &Test, side: Polarity, negated: bool) -> Formula {
        let name = test.field_ref.field.name();
        let literals = test
            .checks
            .iter()
            .map(|check| {
                let ask = self.ask(check.verb, &check.operand, side);
                self.literal(&name, check.quantifier, ask, side, negated)
            })
            .collect();
        if negated {
            Formula::any(literals)
        } else {
            Formula::all(literals)
        }
    }

    fn literal(
        &self,
        field: &str,
        quantifier: Option<Quantifier>,
        ask: TestOperand,
        side: Polarity,
        negated: bool,
    ) -> Formula {
        // On the allow side, a missing value is resolved toward denial anyway, so `if_missing` has no effect.
        let if_missing = match self.outer {
            Polarity::Restricting => self.if_missing,
            Polarity::Loosening => None,
        };
        Formula::Literal(TestLiteral {
            negated,
            side,
            outer: self.outer,
            if_missing,
            field: field.to_owned(),
            quantifier,
            ask,
        })
    }

    fn ask(&self, verb: Verb, operand: &Operand, side: Polarity) -> TestOperand {
        match operand {
            Operand::Value(node) => ask_of(verb, &items(node)),
            Operand::List(name, _) => match self.document.lists.get(name) {
                Some(List::Plain(nodes)) => ask_of(verb, &nodes.iter().collect::<Vec<_>>()),
                _ => TestOperand::Other(verb, format!("list {name}")),
            },
            Operand::KeyedList(name, key, _) => {
                let lists = match self.document.lists.get(name) {
                    Some(List::Keyed(lists)) => lists
                        .iter()
                        .map(|(key, nodes)| {
                            (key.to_string(), texts(&nodes.iter().collect::<Vec<_>>()))
                        })
                        .collect(),
                    _ => BTreeMap::new(),
                };
                TestOperand::Keyed {
                    verb,
                    key: key.field.name(),
                    lists,
                }
            }
            Operand::Windows {
                windows,
                days,
                zone,
            } => {
                let windows = self.ask(verb, windows, side);
                let beside: Vec<String> = [days, zone]
                    .into_iter()
                    .map(|node| node.as_ref().map(written).unwrap_or_default())
                    .collect();
                TestOperand::Other(verb, format!("{windows:?} {beside:?}"))
            }
            Operand::Field(field_ref) => {
                TestOperand::Other(verb, format!("field {}", field_ref.field.name()))
            }
            Operand::Earlier(earlier) => {
                TestOperand::Other(verb, format!("{:?}", self.earlier(earlier, side)))
            }
            Operand::Overlap { with, run } => {
                TestOperand::Other(verb, format!("{:?} {run}", self.ask(verb, with, side)))
            }
            Operand::Commands {
                commands,
                redirect,
                variables,
            } => {
                let beside = [redirect, variables].map(|node| node.as_ref().map(written));
                let commands = self.ask(verb, commands, side);
                TestOperand::Other(verb, format!("{commands:?} {beside:?}"))
            }
        }
    }
}

fn items(node: &Node) -> Vec<&Node> {
    match &node.data {
        NodeValue::List(items) => items.iter().collect(),
        _ => vec![node],
    }
}

fn ask_of(verb: Verb, items: &[&Node]) -> TestOperand {
    let range = |low: Option<bool>, high: Option<bool>| {
        let end = |included: Option<bool>| Some((number(items.first()?)?, included?));
        Range {
            low: end(low),
            high: end(high),
        }
    };
    let texts = texts(items);
    let operand = verb.spec().operand;
    let bounds = if operand == OperandKind::Between {
        2
    } else {
        1
    };
    let is_order = matches!(operand, OperandKind::Bounds(..) | OperandKind::Between);
    if is_order && (items.len() != bounds || items.iter().any(|node| number(node).is_none())) {
        return TestOperand::Other(verb, format!("{texts:?}"));
    }
    match operand {
        OperandKind::Value | OperandKind::Values if verb.is_negative() => TestOperand::NotIn(texts),
        OperandKind::Value | OperandKind::Values => TestOperand::In(texts),
        OperandKind::Truth => TestOperand::Exists(matches!(
            items.first().map(|node| &node.data),
            Some(NodeValue::Bool(true))
        )),
        OperandKind::Bounds(measured, bounds) => {
            let range = range(bounds.low, bounds.high);
            match measured {
                Measured::Number => TestOperand::Order(range),
                Measured::Count => TestOperand::Count(range),
                Measured::Length => TestOperand::Length(range),
            }
        }
        OperandKind::Between => TestOperand::Order(Range {
            low: items.first().and_then(|node| Some((number(node)?, true))),
            high: items.get(1).and_then(|node| Some((number(node)?, true))),
        }),
        OperandKind::Globs => TestOperand::Globs(plain_texts(items)),
        OperandKind::Literal => TestOperand::OneOf(Verb::ContainsAny, plain_texts(items)),
        OperandKind::Literals { all: true } => TestOperand::AllOf(verb, plain_texts(items)),
        OperandKind::Domains | OperandKind::Folders if verb.is_negative() => {
            TestOperand::AllOf(verb, plain_texts(items))
        }
        OperandKind::Literals { all: false }
        | OperandKind::Affix { .. }
        | OperandKind::Patterns
        | OperandKind::Domains
        | OperandKind::Folders
        | OperandKind::Commands
        | OperandKind::Networks
        | OperandKind::SqlVerbs
        | OperandKind::SqlTables => TestOperand::OneOf(verb, plain_texts(items)),
        OperandKind::SqlRows => {
            let rows = items.first().and_then(|node| number(node));
            match rows.and_then(|rows| rows.to_string().parse().ok()) {
                Some(rows) => TestOperand::RowsOver(rows),
                None => TestOperand::Other(verb, format!("{texts:?}")),
            }
        }
        OperandKind::Detectors => detects(items),
        OperandKind::OtherText | OperandKind::Windows | OperandKind::Moment => {
            TestOperand::Other(verb, format!("{texts:?}"))
        }
    }
}

/// Parses `detects: NAME`, a list, or `{ types, confidence }`.
fn detects(items: &[&Node]) -> TestOperand {
    let mut names = BTreeSet::new();
    for item in items {
        match &item.data {
            NodeValue::Map(_) => {
                let types = item.get("types").map(self::items).unwrap_or_default();
                let confidence = item
                    .get("confidence")
                    .and_then(Node::text)
                    .unwrap_or("medium");
                for name in plain_texts(&types) {
                    names.insert(format!("{name} {confidence}"));
                }
            }
            _ => names.extend(item.text().map(|name| format!("{name} medium"))),
        }
    }
    TestOperand::OneOf(Verb::Detects, names)
}

fn number(node: &Node) -> Option<Decimal> {
    match &node.data {
        NodeValue::Number(text) => Decimal::parse(text),
        _ => None,
    }
}

fn plain_texts(items: &[&Node]) -> BTreeSet<String> {
    items
        .iter()
        .map(|item| match &item.data {
            NodeValue::String(text) => text.to_string(),
            _ => written(item),
        })
        .collect()
}

/// Returns values with their types, numbers in one spelling.
fn texts(items: &[&Node]) -> BTreeSet<String> {
    items
        .iter()
        .map(|item| match &item.data {
            NodeValue::String(text) => format!("s:{text}"),
            NodeValue::Number(text) => match Decimal::parse(text) {
                Some(number) => format!("n:{number}"),
                None => format!("n:{text}"),
            },
            _ => format!("j:{}", written(item)),
        })
        .collect()
}

fn written(node: &Node) -> String {
    let mut out = Vec::new();
    node.write_json(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn effect(rule: &Rule) -> String {
    let tags: BTreeSet<&str> = rule.tags.iter().map(|tag| &**tag).collect();
    let mut effect = format!("{tags:?} {:?}", rule.on_deny);
    if rule.action == Action::Redact {
        let what = rule.redact.what.as_ref().map(|what| what.field.name());
        effect.push_str(&format!(
            " {:?} {:?} {} {what:?} {:?} {} {}",
            rule.redact.form,
            rule.redact.label,
            rule.redact.numbered,
            rule.redact.restore,
            rule.redact.requires_pseudonym,
            rule.redact.unstores,
        ));
    }
    if let Some(limit) = &rule.limit {
        effect.push_str(&limited(limit));
    }
    effect
}

/// Returns a limit as it is written: all that decides what is counted, together with what, and up to where.
fn limited(limit: &Limit) -> String {
    let sessions: Vec<Box<str>> = limit.session.iter().map(SessionSource::name).collect();
    format!(
        " {:?} {:?} {:?} {:?} {sessions:?} {:?}",
        limit.measure,
        limit.max.to_string(),
        limit.window,
        limit.per().collect::<BTreeSet<_>>(),
        limit.prices,
    )
}

/// Returns the approval that a rule requires, as a text.
pub(super) fn approval(rule: &Rule) -> String {
    if rule.action != Action::RequireApproval {
        return String::new();
    }
    let usual = Approval::USUAL;
    let approval = rule.approval.as_deref().unwrap_or(&usual);
    let by: BTreeSet<&str> = approval.by.iter().map(|role| &**role).collect();
    let mut text = match by.is_empty() {
        true => "by no named approver".to_owned(),
        false => format!("by {}", Vec::from_iter(by).join(" or ")),
    };
    for (word, value, usual) in [
        (
            "needed",
            u64::from(approval.needed),
            u64::from(usual.needed),
        ),
        ("uses", u64::from(approval.uses), u64::from(usual.uses)),
        ("valid for seconds", approval.valid_for, usual.valid_for),
        ("waits for seconds", approval.wait.unwrap_or(0), 0),
        ("notices", u64::from(approval.notify), 0),
    ] {
        if value != usual {
            text.push_str(&format!(", {word}: {value}"));
        }
    }
    let bound: BTreeSet<&str> = approval.bound_to().collect();
    if !bound.is_empty() {
        text.push_str(&format!(", bound to {}", Vec::from_iter(bound).join(", ")));
    }
    if approval.sessions() != usual.sessions() {
        let sources = approval.sessions().iter().map(SessionSource::name);
        let sources: Vec<Box<str>> = sources.collect();
        text.push_str(&format!(", in one session by {}", sources.join(", ")));
    }
    let shown: BTreeSet<&str> = approval.shown().collect();
    if !shown.is_empty() {
        text.push_str(&format!(", showing {}", Vec::from_iter(shown).join(", ")));
    }
    text
}
