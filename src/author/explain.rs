//! Explanation why a rule matches or not: its conditions as a tree, each evaluated exactly as in the filter, with the values that
//! it evaluated.

use crate::detect::{Confidence, DETECTORS, Finding, Input, Scanner, Scratch, Selection};
use crate::event::Event;
use crate::limits;
use crate::policy::Limit;
use crate::policy::compiled::{
    CompiledCheck, CompiledCondition, CompiledRule, CompiledTest, Operator, OverlapTarget,
};
use crate::policy::compiled_policy::Policy;
use crate::policy::condition::{Check, Condition, Earlier, Operand, Quantifier, Test};
use crate::policy::condition_tree::{Joins, Leaf};
use crate::policy::context::Context;
use crate::policy::document::Document;
use crate::policy::evaluate::condition::ConditionEvaluator;
use crate::policy::evaluate::value::{Arrays, PathReading, Presence, tool_names};
use crate::policy::field::Field;
use crate::policy::match_item::MatchItem;
use crate::policy::node::{Node, NodeValue};
use crate::policy::operators::Polarity;
use crate::policy::rule::Rule;
use crate::policy::scalar::Scalar;
use std::collections::VecDeque;

/// Maximum characters of a value that is shown.
const LONGEST_VALUE: usize = 80;

/// Maximum values of one field that are shown.
const MOST_VALUES: usize = 5;

/// Evaluation of a rule on one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Id of the rule.
    pub rule: Box<str>,
    /// Action of the rule.
    pub action: &'static str,
    /// Whether it is enforced or only recorded.
    pub enforced: bool,
    /// Whether the rule matches.
    pub held: bool,
    /// Reason why the rule does not apply to this event, whatever its conditions.
    pub inapplicable: Option<&'static str>,
    /// `match`, `when` and `unless`.
    pub parts: Vec<Branch>,
}

/// Condition, or a group of conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Text of the condition: `match`, `all`, `args.amount greater_than 100`.
    pub asks: String,
    /// Whether the condition is true.
    pub held: bool,
    /// Evaluated values, secrets masked.
    pub seen: Vec<String>,
    /// Note on how the condition was evaluated.
    pub note: Option<&'static str>,
    /// Parts of the condition.
    pub parts: Vec<Branch>,
}

/// Explainer of rules.
pub struct Explainer {
    masked: Scanner,
}

impl Default for Explainer {
    fn default() -> Explainer {
        let mut selection = Selection::all(Confidence::High);
        // `secrets` is a built-in group. If it were missing, secrets that are certain would still be masked.
        let _ = selection.add("secrets", Confidence::Low);
        Explainer {
            masked: Scanner::new(&selection),
        }
    }
}

impl Explainer {
    /// Explains every rule for this kind of event, by id. `past` is the context of the earlier conversation.
    pub fn explain(
        &self,
        event: &Event,
        context: &Context<'_>,
        past: Option<&Context<'_>>,
    ) -> Vec<Explained> {
        let policy = context.policy;
        policy
            .index
            .all(event.kind)
            .iter()
            .filter_map(|number| {
                let rule = policy.rule(*number)?;
                let written = written(policy, rule)?;
                Some(self.rule(rule, written, event, (context, past)))
            })
            .collect()
    }

    fn rule<'e>(
        &self,
        rule: &'e CompiledRule,
        written: &'e Rule,
        event: &'e Event,
        (context, past): (&'e Context<'_>, Option<&'e Context<'_>>),
    ) -> Explained {
        let explainer = |side| ConditionExplainer {
            evaluate: ConditionEvaluator {
                event,
                context,
                outer: side,
                if_missing: rule.if_missing,
                item: None,
                for_certain: false,
            },
            masked: &self.masked,
            past,
        };
        let side = rule.side();
        let mut parts = Vec::new();
        let tests: Vec<Branch> = rule
            .matches
            .iter()
            .zip(&written.matches)
            .map(|(test, item)| explainer(side).test(test, &[match_text(item)], side))
            .collect();
        if !tests.is_empty() {
            parts.push(Branch::of(
                "match",
                tests.iter().all(|test| test.held),
                tests,
            ));
        }
        if let (Some(when), Some(written)) = (&rule.when, &written.when) {
            let inner = explainer(side).condition(when, written, side);
            parts.push(Branch::of("when", inner.held, vec![inner]));
        }
        if let (Some(unless), Some(written)) = (&rule.unless, &written.unless) {
            let side = side.flipped();
            let inner = explainer(side).condition(unless, written, side);
            parts.push(Branch::of("unless", inner.held, vec![inner]));
        }
        if let Some(limit) = &rule.limit {
            parts.push(limit_branch(rule, limit, event, context));
        }
        Explained {
            rule: rule.id.clone(),
            action: rule.action.word(),
            enforced: rule.enforced,
            held: context.policy.holds(rule, event, context)
                && limits::standing(rule, event, context).is_none_or(|limit| limit.is_exceeded),
            inapplicable: rule.inapplicable_reason(event),
            parts,
        }
    }
}

/// Returns a limit, with the amount that is used.
fn limit_branch(
    rule: &CompiledRule,
    limit: &Limit,
    event: &Event,
    context: &Context<'_>,
) -> Branch {
    let used = context.facts.used.get(&rule.id);
    Branch {
        seen: vec![match used {
            Some(used) => format!("{used} used"),
            None => "0 used".to_owned(),
        }],
        note: used
            .is_none()
            .then_some("the event has no `limits`: nothing counts as used before"),
        ..Branch::of(
            &format!("limit: more than {}", limit.describe()),
            limits::standing(rule, event, context).is_some_and(|limit| limit.is_exceeded),
            Vec::new(),
        )
    }
}

impl Branch {
    fn of(asks: &str, held: bool, parts: Vec<Branch>) -> Branch {
        Branch {
            asks: asks.to_owned(),
            held,
            seen: Vec::new(),
            note: None,
            parts,
        }
    }
}

/// Returns the documents that decide and the shadow document, each with its compiled rules.
pub(super) fn parts(policy: &Policy) -> impl Iterator<Item = (&Document, &[CompiledRule])> {
    let documents = policy.document.deciding().iter();
    let tried_out = policy.document.shadow.as_deref();
    documents
        .chain(tried_out)
        .zip(&policy.chapters)
        .map(|(document, chapter)| {
            let rules = usize::from(chapter.rules.start)..usize::from(chapter.rules.end);
            (document, policy.rules.get(rules).unwrap_or_default())
        })
}

/// Returns the rule as it was written.
pub(super) fn written<'p>(policy: &'p Policy, rule: &CompiledRule) -> Option<&'p Rule> {
    parts(policy).find_map(|(document, rules)| {
        rules.iter().find(|known| std::ptr::eq(*known, rule))?;
        document
            .rules
            .iter()
            .find(|written| is_compiled(document, written, rule))
    })
}

/// Returns the compiled rule of a document's rule. Rules are compiled in the order of their ids.
pub(super) fn compiled_to<'c>(
    document: &Document,
    written: &Rule,
    rules: &'c [CompiledRule],
) -> Option<&'c CompiledRule> {
    let in_set = format!("{}/{}", document.name, written.id);
    [&*in_set, &*written.id].into_iter().find_map(|id| {
        let at = rules.binary_search_by(|rule| (*rule.id).cmp(id)).ok()?;
        rules.get(at)
    })
}

/// Returns whether a rule of a document was compiled to this one. In a set, the document's name precedes its id.
fn is_compiled(document: &Document, written: &Rule, compiled: &CompiledRule) -> bool {
    let own = compiled
        .id
        .strip_prefix(&*document.name)
        .and_then(|rest| rest.strip_prefix('/'));
    compiled.id == written.id || own == Some(&*written.id)
}

/// Builder of the branches of one rule.
struct ConditionExplainer<'t, 'e, 'a> {
    evaluate: ConditionEvaluator<'e, 'a>,
    masked: &'t Scanner,
    /// Context of the earlier conversation.
    past: Option<&'e Context<'a>>,
}

impl<'e> ConditionExplainer<'_, 'e, '_> {
    fn condition(
        &self,
        condition: &'e CompiledCondition,
        written: &'e Condition,
        side: Polarity,
    ) -> Branch {
        const JOINS: Joins<Branch> = Joins {
            all: |_, parts| {
                let parts: Vec<Branch> = parts.collect();
                Branch::of("all", parts.iter().all(|part| part.held), parts)
            },
            any: |_, parts| {
                let parts: Vec<Branch> = parts.collect();
                Branch::of("any", parts.iter().any(|part| part.held), parts)
            },
            not: |inner| {
                let inner = inner();
                Branch::of("not", !inner.held, vec![inner])
            },
        };
        // The compiler keeps the shape of a condition, so its leaves are in the same order.
        let mut leaves = VecDeque::new();
        written.each_leaf(side, &mut |leaf, _| leaves.push_back(leaf));
        condition.fold(side, &JOINS, &mut |leaf, side| {
            match (leaf, leaves.pop_front()) {
                (Leaf::Test(test), Some(Leaf::Test(written))) => {
                    let checks = written.checks.iter();
                    let asks: Vec<String> = checks.map(|check| check_text(written, check)).collect();
                    self.test(test, &asks, side)
                }
                (Leaf::AnyItem(field, inner), Some(Leaf::AnyItem(list, written))) => Branch::of(
                    &format!("an item of {} fits", list.name),
                    self.evaluate.any_item(field, inner, side),
                    self.items(field, inner, written, side),
                ),
                (Leaf::Earlier(asked), Some(Leaf::Earlier(earlier))) => {
                    let is_known = self.evaluate.context.facts.history.is_complete;
                    Branch {
                        note: (!is_known).then_some(
                            "not all of the conversation is known, which counts for the strict side",
                        ),
                        ..Branch::of(
                            &earlier_text(earlier),
                            self.evaluate.earlier(asked, side),
                            self.earlier(asked.question, Some(earlier), side),
                        )
                    }
                }
                _ => Branch::of("", false, Vec::new()),
            }
        })
    }

    /// Returns the items of a list, each with its conditions.
    fn items(
        &self,
        list: &Field,
        condition: &CompiledCondition,
        written: &Condition,
        side: Polarity,
    ) -> Vec<Branch> {
        let mut branches = Vec::new();
        for reading in [PathReading::NAMED, PathReading::OTHERS] {
            self.evaluate.values(list, reading, Arrays::Opened, &mut |scalar| {
            let asks = format!("item {}", branches.len());
            let seen = vec![self.shown(&scalar)];
            let branch = match scalar {
                Scalar::Object(value) => {
                    let explainer = ConditionExplainer {
                        evaluate: ConditionEvaluator {
                            item: Some(value),
                            ..self.evaluate
                        },
                        masked: self.masked,
                        past: self.past,
                    };
                    let inner = explainer.condition(condition, written, side);
                    Branch::of(&asks, inner.held, vec![inner])
                }
                _ => Branch {
                    note: Some(
                        "only an object can be looked into; this counts for the strict side",
                    ),
                    ..Branch::of(&asks, side == Polarity::Restricting, Vec::new())
                },
            };
            branches.push(Branch { seen, ..branch });
            });
        }
        most_relevant(branches)
    }

    /// Returns the earlier events of the required kind, each with its conditions. If only their texts are compared (`written` is
    /// absent), returns the texts.
    fn earlier(&self, question: usize, written: Option<&Earlier>, side: Polarity) -> Vec<Branch> {
        let questions = &self.evaluate.context.policy.questions;
        let (Some(past), Some(asked)) = (self.past, questions.get(question)) else {
            return Vec::new();
        };
        let mut branches = Vec::new();
        for (number, event) in (0_usize..).zip(&past.reading.events) {
            if event.kind != asked.kind {
                continue;
            }
            let explainer = ConditionExplainer {
                evaluate: ConditionEvaluator {
                    event,
                    context: past,
                    outer: side,
                    if_missing: None,
                    item: None,
                    for_certain: false,
                },
                masked: self.masked,
                past: None,
            };
            let fit = asked.fit(event, past);
            let held = match side {
                Polarity::Restricting => fit.broadly,
                Polarity::Loosening => fit.narrowly,
            };
            let asks = format!("earlier[{number}] {}", event.kind.word());
            branches.push(match written {
                Some(written) => {
                    let mut parts: Vec<Branch> = asked
                        .matches
                        .iter()
                        .zip(&written.matches)
                        .map(|(test, item)| explainer.test(test, &[match_text(item)], side))
                        .collect();
                    if let (Some(when), Some(written)) = (&asked.when, &written.condition) {
                        parts.push(explainer.condition(when, written, side));
                    }
                    Branch::of(&asks, held, parts)
                }
                None => Branch {
                    seen: explainer.seen(&Field::Text, side).0,
                    ..Branch::of(&asks, held, Vec::new())
                },
            });
        }
        most_relevant(branches)
    }

    /// Returns the tests of one field. `asks` has the text of each.
    fn test(&self, test: &'e CompiledTest, asks: &[String], side: Polarity) -> Branch {
        let mut parts: Vec<Branch> = test
            .checks
            .iter()
            .zip(asks)
            .map(|(check, asks)| self.check(&test.field, check, asks, side))
            .collect();
        match (parts.len(), parts.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                parts.extend(last);
                Branch::of("all", parts.iter().all(|part| part.held), parts)
            }
        }
    }

    fn check(
        &self,
        field: &'e Field,
        check: &'e CompiledCheck,
        asks: &str,
        side: Polarity,
    ) -> Branch {
        let held = |side| self.evaluate.check(field, check, &check.operator, side);
        let (seen, presence) = self.seen(field, side);
        let note = match presence {
            Presence::Missing => Some("there is none"),
            Presence::Unknown => Some("it can't be determined, which counts for the strict side"),
            Presence::Ambiguous => Some(
                "a name in another spelling, a list in place of one value, one value in place of a list, or JSON in a string may be taken for it, which counts for the strict side",
            ),
            Presence::Present { .. }
                if held(side) == (side == Polarity::Restricting)
                    && self.evaluate.has_unreadable(field, check, side) =>
            {
                Some("it can't be read as what is asked for, which counts for the strict side")
            }
            Presence::Present { .. } => match (side, held(side), held(side.flipped())) {
                (Polarity::Restricting, true, false) => {
                    Some("read broadly, as everything that restricts")
                }
                (Polarity::Loosening, false, true) => {
                    Some("read narrowly, as everything that loosens")
                }
                _ => None,
            },
        };
        Branch {
            asks: asks.to_owned(),
            held: held(side),
            seen,
            note,
            parts: match &check.operator {
                Operator::Overlaps {
                    with: OverlapTarget::Earlier(question),
                    ..
                } => self.earlier(*question, None, side),
                _ => Vec::new(),
            },
        }
    }

    fn seen(&self, field: &'e Field, side: Polarity) -> (Vec<String>, Presence) {
        let mut seen = Vec::new();
        let (event, context) = (self.evaluate.event, self.evaluate.context);
        if *field == Field::Time {
            return match context.facts.time.and_then(moment) {
                Some(time) => (vec![time], Presence::Present { and_unknown: false }),
                None => (seen, Presence::Unknown),
            };
        }
        let mut more = 0_usize;
        let mut give = |scalar: Scalar<'_>| {
            if seen.len() < MOST_VALUES {
                seen.push(self.shown(&scalar));
            } else {
                more = more.saturating_add(1);
            }
        };
        let presence = match field {
            Field::Tool => tool_names(event, context.facts, side, None, &mut give),
            _ => {
                let presence =
                    self.evaluate
                        .values(field, PathReading::NAMED, Arrays::Opened, &mut give);
                if presence == Presence::Ambiguous {
                    self.evaluate
                        .values(field, PathReading::OTHERS, Arrays::Opened, &mut give);
                }
                presence
            }
        };
        if *field == Field::Model && side == Polarity::Restricting {
            for spelling in &context.facts.models.spellings {
                give(Scalar::text(&**spelling));
            }
        }
        if more > 0 {
            seen.push(format!("… and {more} more"));
        }
        (seen, presence)
    }

    fn shown(&self, scalar: &Scalar<'_>) -> String {
        let text = match scalar {
            Scalar::Null => return "null".to_owned(),
            Scalar::Bool(value, _) => return value.to_string(),
            Scalar::Number(text, _) => text.clone().into_owned(),
            Scalar::Text(text) => format!("{:?}", masked(self.masked, &text.text())),
            Scalar::Object(value) | Scalar::Array(value) => {
                masked(self.masked, &String::from_utf8_lossy(value.raw()))
            }
        };
        match text.char_indices().nth(LONGEST_VALUE) {
            Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
            None => text,
        }
    }
}

/// Returns a text in which secrets are replaced by their types.
fn masked(scanner: &Scanner, text: &str) -> String {
    let mut findings: Vec<Finding> = Vec::new();
    scanner.scan(&Input::whole(text), &mut Scratch::default(), &mut findings);
    findings.sort_by_key(|finding| (finding.start, finding.end));
    let mut out = String::new();
    let mut done = 0;
    for finding in &findings {
        if finding.start < done {
            continue;
        }
        let name = DETECTORS
            .get(usize::from(finding.detector))
            .map_or("secret", |detector| detector.name);
        out.push_str(text.get(done..finding.start).unwrap_or_default());
        out.push_str(&format!("[{}]", name.to_uppercase()));
        done = finding.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// Formats nanoseconds since 1970 as RFC 3339; `None` if they are out of range.
pub(super) fn moment(nanoseconds: u64) -> Option<String> {
    jiff::Timestamp::from_nanosecond(i128::from(nanoseconds))
        .ok()
        .map(|time| time.to_string())
}

/// Returns the most relevant branches, in their order: those that are true, and others while there are few.
fn most_relevant(branches: Vec<Branch>) -> Vec<Branch> {
    let all = branches.len();
    let holding = branches.iter().filter(|branch| branch.held).count();
    let mut others = MOST_VALUES.saturating_sub(holding);
    let mut kept: Vec<Branch> = Vec::new();
    for branch in branches {
        if branch.held && kept.len() < MOST_VALUES {
            kept.push(branch);
        } else if !branch.held && others > 0 {
            others = others.saturating_sub(1);
            kept.push(branch);
        }
    }
    if let Some(last) = kept.last_mut().filter(|_| all > MOST_VALUES) {
        last.note = Some("others are not shown");
    }
    kept
}

/// Returns a key of `match` as text: `tool: a or b`.
fn match_text(item: &MatchItem) -> String {
    let values: Vec<&str> = item.values.iter().map(|value| &**value).collect();
    format!("{}: {}", item.field_ref.name, values.join(" or "))
}

/// Returns a check as text: `args.amount greater_than 100`.
pub(super) fn check_text(test: &Test, check: &Check) -> String {
    let quantifier = match check.quantifier {
        Some(Quantifier::Any) => "any_",
        Some(Quantifier::All) => "all_",
        None => "",
    };
    let operand = operand_text(&check.operand);
    format!(
        "{} {quantifier}{} {operand}",
        test.field_ref.name,
        check.verb.word()
    )
}

fn operand_text(operand: &Operand) -> String {
    match operand {
        Operand::Value(node) => node_text(node),
        Operand::List(name, _) => format!("list {name}"),
        Operand::KeyedList(name, key, _) => format!("list {name} under {}", key.name),
        Operand::Windows {
            windows,
            days,
            zone,
        } => {
            let mut text = operand_text(windows);
            for (word, node) in [("days", days), ("zone", zone)] {
                if let Some(node) = node {
                    text.push_str(&format!(" {word} {}", node_text(node)));
                }
            }
            text
        }
        Operand::Field(field_ref) => field_ref.name.to_string(),
        Operand::Earlier(earlier) => earlier_text(earlier),
        Operand::Commands {
            commands,
            redirect,
            variables,
        } => {
            let mut text = operand_text(commands);
            for (word, node) in [("redirect", redirect), ("variables", variables)] {
                if let Some(node) = node {
                    text.push_str(&format!(" {word} {}", node_text(node)));
                }
            }
            text
        }
        Operand::Overlap { with, run } => format!("{} by {run} characters", operand_text(with)),
    }
}

/// Returns a condition on the conversation as text: `earlier tool_result (tool: web_fetch), at least 2`.
fn earlier_text(earlier: &Earlier) -> String {
    let matches: Vec<String> = earlier.matches.iter().map(match_text).collect();
    let mut text = format!("earlier {}", earlier.kind.word());
    if !matches.is_empty() {
        text.push_str(&format!(" ({})", matches.join(", ")));
    }
    if earlier.condition.is_some() {
        text.push_str(" that fits");
    }
    if earlier.at_least > 1 {
        text.push_str(&format!(", at least {}", earlier.at_least));
    }
    if earlier.in_a_row > 0 {
        text.push_str(&format!(", {} in a row", earlier.in_a_row));
    }
    text
}

fn node_text(node: &Node) -> String {
    match &node.data {
        NodeValue::String(text) => text.to_string(),
        NodeValue::List(items) => {
            let items: Vec<String> = items.iter().map(node_text).collect();
            format!("[{}]", items.join(", "))
        }
        _ => {
            let mut out = Vec::new();
            node.write_json(&mut out);
            String::from_utf8_lossy(&out).into_owned()
        }
    }
}
