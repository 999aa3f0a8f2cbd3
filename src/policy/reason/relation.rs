//! How two policies relate: what is proved, what an event shows, what stays open.

use super::implies::rule_implies;
use super::meaning::{Meaning, RuleMeaning};
use super::search::{Candidate, candidates};
use crate::event::{Kind, Known, Redaction};
use crate::policy::case::{Case, settle, written};
use crate::policy::decide::{Context, Decision};
use crate::policy::detectors::written as written_detectors;
use crate::policy::document::{Default, DefaultAction, Document, Mode};
use crate::policy::field::Kinds;
use crate::policy::node::Node;
use crate::policy::rule::Action;
use crate::policy::{Moment, Policy, ScanScratch, Scans};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Most events that are judged in search of a witness.
const MOST_EVENTS: usize = 20_000;

/// An answer that is right wherever it is not `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Proved of every event.
    Yes,
    /// A witness shows it.
    No,
    /// Neither.
    Unknown,
}

impl Answer {
    /// The word for output.
    pub fn word(self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::No => "no",
            Answer::Unknown => "unknown",
        }
    }
}

/// An event that two policies decide differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// The event and its exchange, as a test file writes them.
    pub case: Node,
    /// What the old policy does.
    pub old: Told,
    /// What the new one does.
    pub new: Told,
}

/// What a policy does with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// `allow`, `redact`, `require_approval`, `deny`.
    pub action: &'static str,
    /// The same if everything were enforced.
    pub would: &'static str,
    /// Rules that hold.
    pub rules: Vec<Box<str>>,
}

/// How two policies relate.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Whether they do the same with every event.
    pub same: Answer,
    /// Whether everything that the old one refuses is refused as strictly by the new one.
    pub keeps: Answer,
    /// Whether everything that the new one refuses was refused as strictly by the old one.
    pub adds_nothing: Answer,
    /// An event that is done something else with.
    pub differs: Option<Witness>,
    /// An event that the new policy lets through further than the old one.
    pub loosens: Option<Witness>,
    /// An event that the new policy refuses more strictly than the old one.
    pub tightens: Option<Witness>,
    /// Settings of the document that differ.
    pub settings: Vec<&'static str>,
    /// Ids of rules that only the new policy has, or means otherwise.
    pub added: Vec<Box<str>>,
    /// Ids of rules that only the old policy has, or means otherwise.
    pub removed: Vec<Box<str>>,
    /// Events that were judged in search of a witness.
    pub judged: usize,
}

/// Compares two policies.
pub fn compare(old: &Policy, new: &Policy) -> Difference {
    let (old_meaning, new_meaning) = (Meaning::of(old), Meaning::of(new));
    let mut settings = settings(&old.document, &new.document);
    if old.version == new.version {
        settings.clear();
    }
    let open = !settings.is_empty();
    let keeps = !open && refuses_as_much(old, &old_meaning, new, &new_meaning);
    let adds_nothing = !open && refuses_as_much(new, &new_meaning, old, &old_meaning);
    let same = old.version == new.version
        || !open
            && defaults(&old.document) == defaults(&new.document)
            && (normals(&old_meaning) == normals(&new_meaning)
                || (keeps && adds_nothing && effects(&old_meaning) == effects(&new_meaning)));
    let mut difference = Difference {
        same: proved(same),
        keeps: proved(keeps || same),
        adds_nothing: proved(adds_nothing || same),
        differs: None,
        loosens: None,
        tightens: None,
        settings,
        added: only_in(&new_meaning, &old_meaning),
        removed: only_in(&old_meaning, &new_meaning),
        judged: 0,
    };
    if !same {
        search(
            old,
            new,
            candidates(&old_meaning, &new_meaning),
            &mut difference,
        );
    }
    difference
}

fn proved(yes: bool) -> Answer {
    if yes { Answer::Yes } else { Answer::Unknown }
}

/// Settings beside rules, lists and defaults that decide something.
fn settings(old: &Document, new: &Document) -> Vec<&'static str> {
    [
        ("applies_to", old.applies_to == new.applies_to),
        ("environment", old.environment == new.environment),
        ("require", old.requires_identity == new.requires_identity),
        ("inspect", old.inspect == new.inspect),
        ("protocols", old.protocols == new.protocols),
        ("envoy", old.headers == new.headers),
        ("stream", old.stream_on_deny == new.stream_on_deny),
        ("disclose", old.disclose_code_only == new.disclose_code_only),
        // Documents that decide for themselves are compared only as a whole.
        ("detectors", detectors(old) == detectors(new)),
        ("policies", old.members.is_empty() && new.members.is_empty()),
        ("for", old.audience.is_empty() && new.audience.is_empty()),
    ]
    .into_iter()
    .filter(|(_, equal)| !equal)
    .map(|(name, _)| name)
    .collect()
}

/// The document's own detectors and allow-lists, with the lists that they name.
fn detectors(document: &Document) -> Option<Vec<u8>> {
    let node = document.detectors.as_ref()?;
    Some(written_detectors(node, &document.lists))
}

fn defaults(document: &Document) -> Vec<(DefaultAction, bool)> {
    let defaults = &document.defaults;
    [
        defaults.request,
        defaults.tool_call,
        defaults.tool_offer,
        defaults.uninspectable,
        defaults.partial,
    ]
    .into_iter()
    .map(|Default { action, mode }| {
        let enforced = mode.unwrap_or(document.mode) == Mode::Enforce;
        (action, enforced && !document.observe_all)
    })
    .collect()
}

fn normals(meaning: &Meaning) -> BTreeSet<String> {
    meaning.rules.iter().map(RuleMeaning::normal).collect()
}

/// Rules that do something beside deciding.
fn effects(meaning: &Meaning) -> BTreeSet<String> {
    meaning
        .rules
        .iter()
        .filter(|rule| {
            matches!(rule.action, Action::Redact | Action::Tag) || rule.effect != "{} None"
        })
        .map(RuleMeaning::normal)
        .collect()
}

fn only_in(one: &Meaning, other: &Meaning) -> Vec<Box<str>> {
    let known = normals(other);
    one.rules
        .iter()
        .filter(|rule| !known.contains(&rule.normal()))
        .map(|rule| rule.id.clone())
        .collect()
}

/// A proof that whatever `a` refuses, `b` refuses at least as strictly: as things are enforced, and if everything were.
fn refuses_as_much(a: &Policy, a_rules: &Meaning, b: &Policy, b_rules: &Meaning) -> bool {
    [true, false].into_iter().all(|only_enforced| {
        let take = |meaning: &Meaning, actions: &[Action]| -> Vec<RuleMeaning> {
            meaning
                .rules
                .iter()
                .filter(|rule| actions.contains(&rule.action))
                .filter(|rule| rule.enforced || !only_enforced)
                .cloned()
                .collect()
        };
        let each = |of: &[RuleMeaning], within: &[RuleMeaning]| {
            // Most rules of two policies are the same: only the others are compared with all.
            let known: BTreeSet<String> = within.iter().map(RuleMeaning::normal).collect();
            of.iter().all(|one| {
                known.contains(&one.normal()) || within.iter().any(|other| rule_implies(one, other))
            })
        };
        let (a_deny, b_deny) = (
            take(a_rules, &[Action::Deny]),
            take(b_rules, &[Action::Deny]),
        );
        let asks = [Action::RequireApproval];
        let a_asks = take(a_rules, &asks);
        let b_refuses = take(b_rules, &[Action::Deny, Action::RequireApproval]);
        // A redaction that can't be made is a denial.
        let a_redacts = take(a_rules, &[Action::Redact]);
        let b_redacts = take(b_rules, &[Action::Redact]);
        let redacts = a_redacts.iter().all(|one| {
            b_redacts.iter().any(|other| one.normal() == other.normal())
                || b_deny.iter().any(|other| rule_implies(one, other))
        });
        let default = |policy: &Policy| -> Vec<bool> {
            defaults(&policy.document)
                .into_iter()
                .map(|(action, enforced)| {
                    action != DefaultAction::Allow && (enforced || !only_enforced)
                })
                .collect()
        };
        let (a_closed, b_closed) = (default(a), default(b));
        let closes = a_closed
            .iter()
            .zip(&b_closed)
            .all(|(a_closes, b_closes)| *b_closes || !a_closes);
        // Behind a closed gate, whatever `b` opens, `a` opens.
        let behind = closed_gates(&a_closed);
        let opens = [Action::Allow, Action::RequireApproval];
        let a_opens = take(a_rules, &opens);
        let mut b_opens = take(b_rules, &opens);
        b_opens.retain(|rule| rule.kinds.meets(behind));
        let gates = b_opens.iter().all(|one| {
            a_opens.iter().any(|other| match one.action {
                // Which plumbing and which offers pass is read off the rules themselves, not off what they mean.
                Action::Allow => one.normal() == other.normal(),
                _ => rule_implies(one, other),
            })
        });
        each(&a_deny, &b_deny) && each(&a_asks, &b_refuses) && redacts && closes && gates
    })
}

/// The kinds of events whose rules decide what passes where a default refuses.
fn closed_gates(closed: &[bool]) -> Kinds {
    let kinds = [
        Kinds::of(&[Kind::Request]),
        Kinds::of(&[Kind::ToolCall]),
        Kinds::of(&[Kind::ToolOffer, Kind::ToolCall]),
        Kinds::of(&[Kind::Uninspectable]),
        Kinds::of(&[Kind::Uninspectable]),
    ];
    closed
        .iter()
        .zip(kinds)
        .filter(|(closed, _)| **closed)
        .flat_map(|(_, kinds)| Vec::from_iter(kinds.iter()))
        .fold(Kinds::EMPTY, Kinds::with)
}

/// What a policy does with a case, in full.
struct Outcome {
    told: Told,
    redactions: Vec<Redaction>,
    tags: BTreeSet<Box<str>>,
}

fn rank(action: &str) -> usize {
    ["allow", "redact", "require_approval", "deny"]
        .iter()
        .position(|known| *known == action)
        .unwrap_or_default()
}

impl Outcome {
    fn of(policy: &Policy, candidate: &Candidate) -> Option<Outcome> {
        let (event, facts) = candidate.described();
        let case = Case::new(&[event], facts, policy).ok()?;
        let nest = case.nest()?;
        let scans = RefCell::new(Scans::default());
        let scratch = RefCell::new(ScanScratch::default());
        let context = Context {
            policy,
            facts: &case.facts,
            reading: &case.reading,
            nest: &nest,
            scans: &scans,
            scratch: &scratch,
        };
        let event = case.reading.events.first()?;
        let judgement = policy.judge(event, &context, Moment::Whole);
        let word = |decision| match decision {
            Decision::Allow => "allow",
            Decision::RequireApproval => "require_approval",
            Decision::Deny => "deny",
        };
        let (mut action, mut would) = (
            word(judgement.ruling.decision),
            word(judgement.would.decision),
        );
        let mut redactions = Vec::new();
        let mut tags = BTreeSet::new();
        let mut rules = Vec::new();
        for held in &judgement.held {
            let rule = policy.rule(held.rule)?;
            rules.push(rule.id.clone());
            tags.extend(rule.tags.iter().cloned());
            if rule.action != Action::Redact {
                continue;
            }
            let mut found = Vec::new();
            policy.redactions(rule, event, &context, &mut |redaction| {
                found.push(redaction)
            });
            let effect = if found.iter().any(|redaction| !redaction.is_possible()) {
                "deny"
            } else {
                "redact"
            };
            if rank(effect) > rank(would) {
                would = effect;
            }
            if held.enforced {
                if rank(effect) > rank(action) {
                    action = effect;
                }
                redactions.extend(found);
            }
        }
        redactions.sort_by_key(|redaction| (redaction.range.start, redaction.range.end));
        Some(Outcome {
            told: Told {
                action,
                would,
                rules,
            },
            redactions,
            tags,
        })
    }
}

/// What a witness would show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    Differs,
    Loosens,
    Tightens,
}

impl Question {
    fn shown_by(self, old: &Outcome, new: &Outcome) -> bool {
        let ranks = |outcome: &Outcome| (rank(outcome.told.action), rank(outcome.told.would));
        let (old_ranks, new_ranks) = (ranks(old), ranks(new));
        let refuses = |rank: usize| if rank >= 2 { rank } else { 0 };
        let less = |a: (usize, usize), b: (usize, usize)| {
            refuses(a.0) < refuses(b.0) || refuses(a.1) < refuses(b.1)
        };
        match self {
            Question::Differs => {
                old_ranks != new_ranks
                    || old.tags != new.tags
                    || (old.told.action == "redact" && old.redactions != new.redactions)
            }
            Question::Loosens => less(new_ranks, old_ranks),
            Question::Tightens => less(old_ranks, new_ranks),
        }
    }
}

fn search(old: &Policy, new: &Policy, among: Vec<Candidate>, difference: &mut Difference) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for candidate in among {
        if difference.judged >= MOST_EVENTS {
            break;
        }
        if !known.insert(format!("{candidate:?}")) {
            continue;
        }
        let (Some(one), Some(other)) = (Outcome::of(old, &candidate), Outcome::of(new, &candidate))
        else {
            continue;
        };
        difference.judged = difference.judged.saturating_add(1);
        for question in [Question::Differs, Question::Loosens, Question::Tightens] {
            let slot = match question {
                Question::Differs => &mut difference.differs,
                Question::Loosens => &mut difference.loosens,
                Question::Tightens => &mut difference.tightens,
            };
            if slot.is_none() && question.shown_by(&one, &other) {
                *slot = witness(old, new, &candidate, question);
            }
        }
        if difference.loosens.is_some() && difference.tightens.is_some() {
            break;
        }
    }
    if difference.differs.is_some() {
        difference.same = Answer::No;
    }
    if difference.loosens.is_some() {
        difference.keeps = Answer::No;
    }
    if difference.tightens.is_some() {
        difference.adds_nothing = Answer::No;
    }
}

/// The witness with everything left out that it shows itself without.
fn witness(
    old: &Policy,
    new: &Policy,
    candidate: &Candidate,
    question: Question,
) -> Option<Witness> {
    let mut least = candidate.clone();
    for assignment in &candidate.assignments {
        let mut fewer = least.clone();
        fewer.assignments.retain(|known| known != assignment);
        if let (Some(one), Some(other)) = (Outcome::of(old, &fewer), Outcome::of(new, &fewer))
            && question.shown_by(&one, &other)
        {
            least = fewer;
        }
    }
    let (one, other) = (Outcome::of(old, &least)?, Outcome::of(new, &least)?);
    let (event, mut facts) = least.described();
    if facts.environment == Known::Unknown {
        settle(&mut facts, new);
    }
    Some(Witness {
        case: written(&event, &facts),
        old: one.told,
        new: other.told,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{load_with_zones, parse_yaml};
    use proptest::prelude::*;

    fn policy(default: &str, rules: &[String]) -> Policy {
        let rules: Vec<String> = rules
            .iter()
            .enumerate()
            .map(|(number, rule)| format!("  - {{ id: r{number}, {rule} }}\n"))
            .collect();
        let text = format!(
            "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: t }}\nrequire: none\ndefaults: {{ action: {default} }}\nrules:{}\n{}",
            if rules.is_empty() { " []" } else { "" },
            rules.concat()
        );
        let loaded = load_with_zones(&parse_yaml(&text).unwrap());
        let errors: Vec<String> = loaded.errors().map(ToString::to_string).collect();
        loaded
            .policy
            .unwrap_or_else(|| panic!("{errors:?}\n{text}"))
    }

    fn any_test() -> impl Strategy<Value = String> {
        prop_oneof![
            (0..4i32).prop_map(|n| format!("args.n: {{ greater_than: {n} }}")),
            (0..4i32).prop_map(|n| format!("args.n: {{ at_most: {n} }}")),
            (0..3i32).prop_map(|n| format!("args.n: {n}")),
            Just("args.n: { not_in: [1, 2] }".to_owned()),
            Just("args.n: { not_in: [1, a] }".to_owned()),
            Just("args.s: [a, b]".to_owned()),
            Just("args.s: A".to_owned()),
            Just("args.s: { not_equals: a }".to_owned()),
            Just("args.s: { contains_any: [ab, c] }".to_owned()),
            Just("args.s: { contains_all: [ab, c] }".to_owned()),
            Just("args.s: { glob: \"a*\" }".to_owned()),
            Just("args.s: { glob: \"a?b*\" }".to_owned()),
            Just("args.s: { any_equals: a }".to_owned()),
            Just("args.s: { exists: true }".to_owned()),
            Just("args.s: { count_greater_than: 1 }".to_owned()),
            Just("args.to: { domain_in: [a.example, b.example] }".to_owned()),
            Just("args.to: { domain_not_in: [a.example] }".to_owned()),
            Just("principal.roles: lead".to_owned()),
            Just("principal.roles: { not_in: [lead, dev] }".to_owned()),
            Just("model: { glob: \"m*\" }".to_owned()),
            Just("model: m1".to_owned()),
        ]
    }

    fn any_condition() -> impl Strategy<Value = String> {
        let leaf = any_test().prop_map(|test| format!("{{ {test} }}"));
        leaf.prop_recursive(2, 6, 2, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..3)
                    .prop_map(|all| format!("{{ all: [{}] }}", all.join(", "))),
                prop::collection::vec(inner.clone(), 1..3)
                    .prop_map(|any| format!("{{ any: [{}] }}", any.join(", "))),
                inner.prop_map(|inner| format!("{{ not: {inner} }}")),
            ]
        })
    }

    fn any_rule() -> impl Strategy<Value = String> {
        let tool = prop_oneof![
            Just("t"),
            Just("u"),
            Just("[t, u]"),
            Just("\"t*\""),
            Just("\"*\""),
        ];
        let action = prop_oneof![
            Just("deny"),
            Just("allow"),
            Just("require_approval"),
            Just("tag, tags: [x]"),
        ];
        (
            tool,
            prop::option::of(any_condition()),
            prop::option::of(any_condition()),
            prop::option::of(prop_oneof![Just("apply"), Just("skip")]),
            action,
        )
            .prop_map(|(tool, when, unless, missing, action)| {
                let part = |key: &str, value: Option<String>| {
                    value.map_or(String::new(), |value| format!("{key}: {value}, "))
                };
                format!(
                    "match: {{ tool: {tool} }}, {}{}{}action: {action}",
                    part("when", when),
                    part("unless", unless),
                    part("if_missing", missing.map(str::to_owned)),
                )
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// What is proved, no event contradicts: neither of rules taken away, nor of rules that were changed.
        #[test]
        fn a_proof_and_a_witness_never_meet(
            rules in prop::collection::vec(any_rule(), 0..4),
            others in prop::collection::vec(any_rule(), 0..3),
            kept in 0..4usize,
            defaults in prop_oneof![Just(("allow", "allow")), Just(("deny", "deny")), Just(("allow", "deny"))],
        ) {
            let old = policy(defaults.0, &rules);
            let mut changed: Vec<String> = rules.into_iter().take(kept).collect();
            changed.extend(others);
            let new = policy(defaults.1, &changed);
            let (one, other) = (Meaning::of(&old), Meaning::of(&new));
            let keeps = refuses_as_much(&old, &one, &new, &other);
            let adds_nothing = refuses_as_much(&new, &other, &old, &one);
            let difference = compare(&old, &new);
            if keeps {
                prop_assert!(difference.loosens.is_none(), "{:?}", difference.loosens);
            }
            if adds_nothing {
                prop_assert!(difference.tightens.is_none(), "{:?}", difference.tightens);
            }
            // And a policy is always proved to be itself, in any order.
            changed.reverse();
            let turned = policy(defaults.1, &changed);
            prop_assert_eq!(compare(&new, &turned).same, Answer::Yes);
        }
    }
}
