//! Comparison of two policies: what is proved, what an event shows, and what stays unknown.

use super::implication_index::ImplicationIndex;
use super::implies::formula_implies;
use super::keys::{KeyChange, key_changes, known_only_to};
use super::meaning::{
    Formula, GuardedDocument, Meaning, RuleMeaning, TestLiteral, TestOperand, approval,
};
use super::search::{Candidate, candidates};
use super::settings::{ListChange, list_changes, settings};
use crate::author::explain::written;
use crate::author::sample_event::{SampleExchange, settle, written as written_case};
use crate::event::{Facts, Kind, Known, Redaction};
use crate::policy::condition::Quantifier;
use crate::policy::context::Context;
use crate::policy::defaults::Default;
use crate::policy::evaluate::Decision;
use crate::policy::field::Kinds;
use crate::policy::node::Node;
use crate::policy::operators::Polarity;
use crate::policy::words::Action;
use crate::policy::words::DefaultAction;
use crate::policy::{EvaluationPhase, Policy};
use std::collections::BTreeSet;

/// Maximum events that are evaluated to find a witness.
const MOST_EVENTS: usize = 20_000;

/// Maximum times that a rule is split to find a proof.
const MOST_SPLITS: usize = 2;

/// Maximum rules that one is split into.
const MOST_PARTS: usize = 32;

/// Result about two policies. It is certain unless it is `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Proved for every event.
    Yes,
    /// Disproved by a witness.
    No,
    /// Neither proved nor disproved.
    Unknown,
}

impl Proof {
    /// Returns the result's name in output.
    pub fn word(self) -> &'static str {
        match self {
            Proof::Yes => "yes",
            Proof::No => "no",
            Proof::Unknown => "unknown",
        }
    }
}

/// Event that two policies decide differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// Event and its exchange, in the form of a test file.
    pub case: Node,
    /// Outcome of the old policy.
    pub old: PolicyOutcome,
    /// Outcome of the new policy.
    pub new: PolicyOutcome,
    /// `old` or `new` if only that policy's API keys identify the caller, so that no request shows the difference.
    pub caller_only_in: Option<&'static str>,
}

impl Witness {
    /// Returns whether both policies can identify its caller.
    pub fn is_met_by_both(&self) -> bool {
        self.caller_only_in.is_none()
    }
}

/// Outcome of a policy for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyOutcome {
    /// `allow`, `redact`, `require_approval`, `deny`.
    pub action: &'static str,
    /// Action if everything were enforced.
    pub would: &'static str,
    /// Rules that match.
    pub rules: Vec<Box<str>>,
    /// Effects besides the action: the replacement of a redaction, tags, the required approval, the treatment of a denied
    /// part.
    pub effects: Vec<String>,
}

/// Results about two policies for a set of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Whether the outcomes are the same for every event.
    pub same: Proof,
    /// Whether the new policy denies everything that the old one denies, as strictly.
    pub keeps: Proof,
    /// Whether the old policy denied everything that the new one denies, as strictly.
    pub adds_nothing: Proof,
}

/// Difference of two policies.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Results for all requests.
    pub all: Answers,
    /// API keys that the policies resolve differently.
    pub keys: Vec<KeyChange>,
    /// Results for the requests without these keys, if there are such keys.
    pub without_keys: Option<Answers>,
    /// Event with different outcomes.
    pub differs: Option<Witness>,
    /// Event that the new policy treats less strictly than the old one.
    pub loosens: Option<Witness>,
    /// Event that the new policy treats more strictly than the old one.
    pub tightens: Option<Witness>,
    /// Settings of the document that differ.
    pub settings: Vec<&'static str>,
    /// Lists whose values differ.
    pub lists: Vec<ListChange>,
    /// Ids of rules that only the new policy has, or that have another meaning there.
    pub added: Vec<Box<str>>,
    /// Ids of rules that only the old policy has, or that have another meaning there.
    pub removed: Vec<Box<str>>,
    /// Number of events that were evaluated to find a witness.
    pub evaluated: usize,
}

/// Proofs about two policies, without evaluating events.
pub(super) struct Proofs {
    /// The outcomes are the same for every event.
    pub(super) same: bool,
    /// The new policy denies everything that the old one denies.
    pub(super) keeps: bool,
    /// The old policy denies everything that the new one denies.
    pub(super) adds_nothing: bool,
}

impl Proofs {
    pub(super) fn of(old: &Policy, new: &Policy) -> Proofs {
        Proofs::under(old, new, settings(old, new).is_empty())
    }

    /// Returns the proofs for requests without the API keys that the policies resolve differently.
    fn without_keys(old: &Policy, new: &Policy) -> Proofs {
        Proofs::under(old, new, settings(old, new) == ["principals"])
    }

    fn under(old: &Policy, new: &Policy, are_settings_same: bool) -> Proofs {
        if old.version == new.version {
            return Proofs {
                same: true,
                keeps: true,
                adds_nothing: true,
            };
        }
        let (old_parts, new_parts) = (Meaning::parts_of(old), Meaning::parts_of(new));
        let effects = |parts: &[GuardedDocument<'_>]| effects(&Meaning::of(parts));
        let keeps = are_settings_same && refuses_as_much(&old_parts, &new_parts);
        let adds_nothing = are_settings_same && refuses_as_much(&new_parts, &old_parts);
        let same = are_settings_same
            && (wholes(&old_parts) == wholes(&new_parts)
                || (keeps
                    && adds_nothing
                    && closed_gates(&old_parts) == closed_gates(&new_parts)
                    && effects(&old_parts) == effects(&new_parts)));
        Proofs {
            same,
            keeps: keeps || same,
            adds_nothing: adds_nothing || same,
        }
    }
}

/// Compares two policies.
pub fn compare(old: &Policy, new: &Policy) -> Difference {
    let keys = match old.version == new.version {
        true => Vec::new(),
        false => {
            key_changes(&old.document.principals, &new.document.principals).unwrap_or_default()
        }
    };
    let all = Proofs::of(old, new);
    let without_keys = (!keys.is_empty()).then(|| Proofs::without_keys(old, new));
    let is_searched = !without_keys.as_ref().unwrap_or(&all).same;
    let (old_parts, new_parts) = (Meaning::parts_of(old), Meaning::parts_of(new));
    let (old_meaning, new_meaning) = (Meaning::of(&old_parts), Meaning::of(&new_parts));
    let mut difference = Difference {
        all: all.answers(),
        keys,
        without_keys: without_keys.map(|proofs| proofs.answers()),
        differs: None,
        loosens: None,
        tightens: None,
        settings: match old.version == new.version {
            true => Vec::new(),
            false => settings(old, new),
        },
        lists: list_changes(&old.document, &new.document),
        added: only_in(&new_meaning, &old_meaning),
        removed: only_in(&old_meaning, &new_meaning),
        evaluated: 0,
    };
    if is_searched {
        let parts = old_parts.iter().chain(&new_parts);
        let guards: Vec<&Formula> = parts.map(|part| &part.guard).collect();
        search(
            old,
            new,
            candidates(&old_meaning, &new_meaning, &guards),
            &mut difference,
        );
    }
    difference
}

impl Proofs {
    fn answers(&self) -> Answers {
        let proved = |yes: bool| if yes { Proof::Yes } else { Proof::Unknown };
        Answers {
            same: proved(self.same),
            keeps: proved(self.keeps),
            adds_nothing: proved(self.adds_nothing),
        }
    }
}

/// Returns the default of each decision point of a document, and whether it is enforced.
fn defaults(part: &GuardedDocument<'_>) -> Vec<(DefaultAction, bool)> {
    let defaults = &part.chapter.defaults;
    [
        defaults.request,
        defaults.tool_call,
        defaults.tool_offer,
        defaults.uninspectable,
        defaults.partial,
        // No default allows codes on which readers could differ. The default's mode applies to them all the same.
        Default {
            action: DefaultAction::Deny,
            mode: defaults.uninspectable.mode,
        },
    ]
    .into_iter()
    .map(|Default { action, mode }| (action, part.chapter.enforces(mode)))
    .collect()
}

/// Returns documents, each as a text. Their order does not affect decisions.
pub(super) fn wholes(parts: &[GuardedDocument<'_>]) -> Vec<String> {
    let mut wholes: Vec<String> = parts
        .iter()
        .map(|part| {
            format!(
                "{} {:?} {:?}",
                part.guard.normal(),
                defaults(part),
                part.meaning
                    .rules
                    .iter()
                    .map(RuleMeaning::exact)
                    .collect::<BTreeSet<_>>()
            )
        })
        .collect();
    wholes.sort();
    wholes
}

/// Returns the decision points that some document denies by default.
fn closed_gates(parts: &[GuardedDocument<'_>]) -> BTreeSet<String> {
    let of_part = |part: &GuardedDocument<'_>| -> Vec<String> {
        let closed = defaults(part).into_iter().enumerate();
        closed
            .filter(|(_, (action, _))| *action != DefaultAction::Allow)
            .map(|gate| format!("{} {gate:?}", part.guard.normal()))
            .collect()
    };
    parts.iter().flat_map(of_part).collect()
}

fn normals(meaning: &Meaning) -> BTreeSet<String> {
    normal_forms(&meaning.rules)
}

fn normal_forms(rules: &[RuleMeaning]) -> BTreeSet<String> {
    rules.iter().map(RuleMeaning::normal).collect()
}

/// `effect` of a rule that only decides.
const NO_EFFECT: &str = "{} None";

/// Returns rules with effects besides the decision.
fn effects(meaning: &Meaning) -> BTreeSet<String> {
    meaning
        .rules
        .iter()
        .filter(|rule| {
            matches!(rule.action, Action::Redact | Action::Tag) || rule.effect != NO_EFFECT
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

/// Proves that `b` denies everything that `a` denies, at least as strictly: under the modes in force, and if everything were
/// enforced.
fn refuses_as_much(a: &[GuardedDocument<'_>], b: &[GuardedDocument<'_>]) -> bool {
    let (a_rules, b_rules) = (Meaning::of(a), Meaning::of(b));
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
            let known = normal_forms(within);
            let among = ImplicationIndex::of(within.iter());
            of.iter()
                .all(|one| known.contains(&one.normal()) || is_covered(one, &among, MOST_SPLITS))
        };
        let (a_deny, b_deny) = (
            take(&a_rules, &[Action::Deny]),
            take(&b_rules, &[Action::Deny]),
        );
        let asks = [Action::RequireApproval];
        let a_asks = take(&a_rules, &asks);
        let b_refuses = take(&b_rules, &[Action::Deny, Action::RequireApproval]);
        // A redaction that is impossible is a denial.
        let a_redacts = take(&a_rules, &[Action::Redact]);
        let b_redacts = take(&b_rules, &[Action::Redact]);
        let known = normal_forms(&b_redacts);
        let among = ImplicationIndex::of(b_deny.iter());
        let redacts = a_redacts
            .iter()
            .all(|one| known.contains(&one.normal()) || is_implied(one, &among));
        let closed = |part: &GuardedDocument<'_>| -> Vec<u8> {
            defaults(part)
                .into_iter()
                .map(|(action, enforced)| match enforced || !only_enforced {
                    true => action.strictness(),
                    false => 0,
                })
                .collect()
        };
        // Everything that the defaults of a document deny must be denied by the defaults of a document that applies wherever
        // the first does.
        let opens = [Action::Allow, Action::RequireApproval];
        let exact = |rules: &[RuleMeaning]| -> BTreeSet<String> {
            rules.iter().map(RuleMeaning::exact).collect()
        };
        let gates = a.iter().all(|a| {
            let a_closed = closed(a);
            let a_opens = take(&a.meaning, &opens);
            let known = exact(&a_opens);
            let among = ImplicationIndex::of(a_opens.iter());
            // Where the default denies, `a` must open whatever `b` opens.
            let behind = kinds_behind(&a_closed);
            let hides = a.chapter.defaults.tool_offer.action == DefaultAction::Hide;
            // Which protocol messages and tool definitions pass depends on the rules as they are written, not on their
            // meaning.
            let reads_rules = hides || a_closed.first().is_some_and(|closed| *closed > 0);
            let calls = |rules: &[RuleMeaning]| -> BTreeSet<String> {
                let calls = rules
                    .iter()
                    .filter(|rule| rule.kinds.contains(Kind::ToolCall));
                calls.map(RuleMeaning::exact).collect()
            };
            let is_as_closed = |b: &GuardedDocument<'_>| {
                let closes = a_closed.iter().zip(closed(b)).all(|(a, b)| b >= *a);
                let mut b_opens = take(&b.meaning, &opens);
                b_opens.retain(|rule| rule.kinds.meets(behind));
                // A tool definition is also hidden because its call is denied.
                let b_hides = b.chapter.defaults.tool_offer.action == DefaultAction::Hide;
                let denials = !(hides && b_hides)
                    || calls(&take(&a.meaning, &[Action::Deny]))
                        .is_subset(&calls(&take(&b.meaning, &[Action::Deny])));
                closes
                    && denials
                    && formula_implies(&a.guard, &b.guard)
                    && b_opens.iter().all(|one| match one.action {
                        Action::RequireApproval if !reads_rules => is_implied(one, &among),
                        _ => known.contains(&one.exact()),
                    })
            };
            a_closed.iter().all(|closed| *closed == 0) || b.iter().any(is_as_closed)
        });
        each(&a_deny, &b_deny)
            && each(&a_asks, &b_refuses)
            && redacts
            && gates
            && refuses_strangers(a, b, only_enforced)
    })
}

/// Proves that one of several rules matches whenever a deny-side rule does: always the same, or one for each part of the
/// rule.
fn is_covered(one: &RuleMeaning, within: &ImplicationIndex<'_>, splits: usize) -> bool {
    is_implied(one, within)
        || splits.checked_sub(1).is_some_and(|fewer| {
            split(one)
                .iter()
                .any(|parts| parts.iter().all(|part| is_covered(part, within, fewer)))
        })
}

fn is_implied(one: &RuleMeaning, within: &ImplicationIndex<'_>) -> bool {
    within.implied_by(one, &|_| true).is_some()
}

/// Returns the ways to split a deny-side rule into several, of which at least one matches whenever it does: by kind of
/// event, by alternative, by value of an operand.
fn split(rule: &RuleMeaning) -> Vec<Vec<RuleMeaning>> {
    let kinds: Vec<RuleMeaning> = rule
        .kinds
        .iter()
        .map(|kind| RuleMeaning {
            kinds: Kinds::of(&[kind]),
            ..rule.clone()
        })
        .collect();
    let mut ways = vec![kinds];
    let parts = rule.formula.parts();
    for (at, part) in parts.iter().enumerate() {
        let instead = |part: Formula| {
            let mut parts = parts.to_vec();
            if let Some(slot) = parts.get_mut(at) {
                *slot = part;
            }
            RuleMeaning {
                formula: Formula::All(parts),
                ..rule.clone()
            }
        };
        let single = |text: &String| BTreeSet::from([text.clone()]);
        let pieces: Vec<Formula> = match part {
            Formula::Any(parts) => parts.clone(),
            // A single value is enough only if values are read broadly.
            Formula::Literal(literal)
                if !literal.negated
                    && literal.side == Polarity::Restricting
                    && literal.quantifier != Some(Quantifier::All) =>
            {
                let asks: Vec<TestOperand> = match &literal.ask {
                    TestOperand::In(texts) => texts
                        .iter()
                        .map(|text| TestOperand::In(single(text)))
                        .collect(),
                    TestOperand::Globs(texts) => texts
                        .iter()
                        .map(|text| TestOperand::Globs(single(text)))
                        .collect(),
                    _ => Vec::new(),
                };
                let piece = |ask| {
                    Formula::Literal(TestLiteral {
                        ask,
                        ..literal.clone()
                    })
                };
                asks.into_iter().map(piece).collect()
            }
            _ => Vec::new(),
        };
        ways.push(pieces.into_iter().map(instead).collect());
    }
    ways.retain(|parts: &Vec<RuleMeaning>| (2..=MOST_PARTS).contains(&parts.len()));
    ways
}

/// Proves that `b` denies every caller who is in the audience of no document of `a`.
fn refuses_strangers(
    a: &[GuardedDocument<'_>],
    b: &[GuardedDocument<'_>],
    only_enforced: bool,
) -> bool {
    let is_for_all =
        |parts: &[GuardedDocument<'_>]| parts.iter().any(|part| part.guard.parts().is_empty());
    let enforces =
        |parts: &[GuardedDocument<'_>]| parts.iter().any(|part| part.chapter.enforces(None));
    let is_known = |part: &GuardedDocument<'_>| {
        a.iter()
            .any(|known| formula_implies(&part.guard, &known.guard))
    };
    is_for_all(a)
        || (!is_for_all(b)
            && b.iter().all(is_known)
            && (enforces(b) || !enforces(a) || !only_enforced))
}

/// Returns the kinds of events whose rules decide what passes where a default denies.
fn kinds_behind(closed: &[u8]) -> Kinds {
    let kinds = [
        Kinds::of(&[Kind::Request]),
        Kinds::of(&[Kind::ToolCall]),
        Kinds::of(&[Kind::ToolOffer, Kind::ToolCall]),
        Kinds::of(&[Kind::Uninspectable]),
        Kinds::of(&[Kind::Uninspectable]),
        Kinds::of(&[Kind::Uninspectable]),
    ];
    closed
        .iter()
        .zip(kinds)
        .filter(|(closed, _)| **closed > 0)
        .flat_map(|(_, kinds)| Vec::from_iter(kinds.iter()))
        .fold(Kinds::EMPTY, Kinds::with)
}

/// Complete outcome of a policy for a case.
pub(super) struct FullOutcome {
    pub(super) reported: PolicyOutcome,
    pub(super) redactions: Vec<Redaction>,
}

pub(super) fn rank(action: &str) -> usize {
    ["allow", "redact", "require_approval", "deny"]
        .iter()
        .position(|known| *known == action)
        .unwrap_or_default()
}

impl FullOutcome {
    fn of(policy: &Policy, candidate: &Candidate) -> Option<FullOutcome> {
        let (event, facts) = candidate.described();
        let case = SampleExchange::new(&[event], facts, policy).ok()?;
        case.seen_by(policy, |context| FullOutcome::under(policy, &case, context))?
    }

    pub(super) fn under(
        policy: &Policy,
        case: &SampleExchange,
        context: &Context<'_>,
    ) -> Option<FullOutcome> {
        let event = case.reading.events.first()?;
        let evaluation = policy.evaluate(event, context, EvaluationPhase::Whole);
        let word = |decision| match decision {
            Decision::Allow => "allow",
            Decision::RequireApproval => "require_approval",
            Decision::Deny => "deny",
        };
        let (mut action, mut would) = (
            word(evaluation.ruling.decision),
            word(evaluation.would.decision),
        );
        let mut redactions = Vec::new();
        let mut effects = BTreeSet::new();
        let mut rules = Vec::new();
        for held in &evaluation.held {
            let rule = policy.rule(held.rule)?;
            rules.push(rule.id.clone());
            effects.extend(rule.tags.iter().map(|tag| format!("tag {tag}")));
            if rule.action != Action::Redact {
                continue;
            }
            let mut found = Vec::new();
            policy.redactions(rule, event, context, &mut |redaction| found.push(redaction));
            let effect = if found.iter().any(|redaction| !redaction.is_possible()) {
                "deny"
            } else {
                "redact"
            };
            if rank(effect) > rank(would) {
                would = effect;
            }
            let form = rule.redact.form.word();
            effects.extend((!found.is_empty()).then(|| match &rule.redact.label {
                Some(label) => format!("redact with {form} {label}"),
                None => format!("redact with {form}"),
            }));
            if held.enforced {
                if rank(effect) > rank(action) {
                    action = effect;
                }
                redactions.extend(found);
            }
        }
        // The other effects of a rule count only if its action is the outcome, after impossible redactions were replaced by
        // denials.
        for held in &evaluation.held {
            let rule = policy.rule(held.rule)?;
            if [action, would].contains(&rule.action.word()) {
                if rule.action == Action::RequireApproval {
                    let written = written(policy, rule)?;
                    effects.insert(format!("approval {}", approval(written)));
                }
                if let Some(on_deny) = rule.on_deny {
                    effects.insert(format!("on_deny {}", on_deny.word()));
                }
            }
        }
        redactions.sort_by_key(|redaction| format!("{redaction:?}"));
        redactions.dedup();
        Some(FullOutcome {
            reported: PolicyOutcome {
                action,
                would,
                rules,
                effects: effects.into_iter().collect(),
            },
            redactions,
        })
    }
}

/// Difference that a witness must show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DocumentQuestion {
    Differs,
    Loosens,
    Tightens,
}

impl DocumentQuestion {
    fn shown_by(self, old: &FullOutcome, new: &FullOutcome) -> bool {
        let ranks =
            |outcome: &FullOutcome| (rank(outcome.reported.action), rank(outcome.reported.would));
        let (old_ranks, new_ranks) = (ranks(old), ranks(new));
        let refuses = |rank: usize| if rank >= 2 { rank } else { 0 };
        let less = |a: (usize, usize), b: (usize, usize)| {
            refuses(a.0) < refuses(b.0) || refuses(a.1) < refuses(b.1)
        };
        match self {
            DocumentQuestion::Differs => {
                old_ranks != new_ranks
                    || old.reported.effects != new.reported.effects
                    || (old.reported.action == "redact" && old.redactions != new.redactions)
            }
            DocumentQuestion::Loosens => less(new_ranks, old_ranks),
            DocumentQuestion::Tightens => less(old_ranks, new_ranks),
        }
    }
}

fn search(old: &Policy, new: &Policy, among: Vec<Candidate>, difference: &mut Difference) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for candidate in among {
        if difference.evaluated >= MOST_EVENTS {
            break;
        }
        if !known.insert(format!("{candidate:?}")) {
            continue;
        }
        let (Some(one), Some(other)) = (
            FullOutcome::of(old, &candidate),
            FullOutcome::of(new, &candidate),
        ) else {
            continue;
        };
        difference.evaluated = difference.evaluated.saturating_add(1);
        for question in [
            DocumentQuestion::Differs,
            DocumentQuestion::Loosens,
            DocumentQuestion::Tightens,
        ] {
            let slot = match question {
                DocumentQuestion::Differs => &mut difference.differs,
                DocumentQuestion::Loosens => &mut difference.loosens,
                DocumentQuestion::Tightens => &mut difference.tightens,
            };
            let is_better = match slot {
                None => true,
                Some(known) => {
                    !known.is_met_by_both()
                        && caller_only_in(old, new, &candidate.described().1).is_none()
                }
            };
            if is_better && question.shown_by(&one, &other) {
                *slot = witness(old, new, &candidate, question);
            }
        }
        if is_shown(&difference.loosens) && is_shown(&difference.tightens) {
            break;
        }
    }
    // A witness counts only if both policies can identify its caller.
    for answers in std::iter::once(&mut difference.all).chain(&mut difference.without_keys) {
        if is_shown(&difference.differs) {
            answers.same = Proof::No;
        }
        if is_shown(&difference.loosens) {
            answers.keeps = Proof::No;
        }
        if is_shown(&difference.tightens) {
            answers.adds_nothing = Proof::No;
        }
    }
}

/// Returns whether a request can show the witness. A witness whose caller only one policy knows is kept if there is no
/// other.
fn is_shown(witness: &Option<Witness>) -> bool {
    witness.as_ref().is_some_and(Witness::is_met_by_both)
}

fn caller_only_in(old: &Policy, new: &Policy, facts: &Facts) -> Option<&'static str> {
    let [old, new] = [old, new].map(|policy| &*policy.document.principals);
    known_only_to(old, new, &facts.principal)
}

/// Returns the witness without the assignments that it does not need.
fn witness(
    old: &Policy,
    new: &Policy,
    candidate: &Candidate,
    question: DocumentQuestion,
) -> Option<Witness> {
    let mut least = candidate.clone();
    for assignment in &candidate.assignments {
        let mut fewer = least.clone();
        fewer.assignments.retain(|known| known != assignment);
        if let (Some(one), Some(other)) =
            (FullOutcome::of(old, &fewer), FullOutcome::of(new, &fewer))
            && question.shown_by(&one, &other)
        {
            least = fewer;
        }
    }
    let (one, other) = (FullOutcome::of(old, &least)?, FullOutcome::of(new, &least)?);
    let (event, mut facts) = least.described();
    if facts.environment == Known::Unknown {
        settle(&mut facts, new);
    }
    Some(Witness {
        caller_only_in: caller_only_in(old, new, &facts),
        case: written_case(&event, &facts),
        old: one.reported,
        new: other.reported,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::parse_yaml;
    use crate::policy::load_with_zones;
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
        loaded(&text)
    }

    fn loaded(text: &str) -> Policy {
        let loaded = load_with_zones(&parse_yaml(text).unwrap());
        let errors: Vec<String> = loaded.errors().map(ToString::to_string).collect();
        loaded
            .policy
            .unwrap_or_else(|| panic!("{errors:?}\n{text}"))
    }

    /// Returns a set of documents, each given by the text after its name.
    fn set(documents: &[String]) -> Policy {
        let documents: Vec<String> = documents
            .iter()
            .enumerate()
            .map(|(number, document)| {
                format!("  - {{ metadata: {{ name: d{number} }}, {document} }}\n")
            })
            .collect();
        loaded(&format!(
            "apiVersion: agentguard.dev/v1\nkind: AgentPolicySet\nmetadata: {{ name: t }}\nrequire: none\npolicies:\n{}",
            documents.concat()
        ))
    }

    fn proofs(old: &Policy, new: &Policy) -> [Proof; 3] {
        let difference = compare(old, new);
        let answers = difference.all;
        [answers.same, answers.keeps, answers.adds_nothing]
    }

    const ALL: &str =
        "defaults: { action: allow }, rules: [{ id: r, match: { tool: t }, action: deny }]";
    const ACME: &str = "for: { tenant: acme }, defaults: { action: deny }, rules: [{ id: r, match: { tool: u }, action: allow }]";

    fn of(documents: &[&str]) -> Policy {
        set(&documents
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>())
    }

    #[test]
    fn documents_of_a_set_decide_alike_in_every_order() {
        assert_eq!(
            proofs(&of(&[ALL, ACME]), &of(&[ACME, ALL])),
            [Proof::Yes; 3]
        );
    }

    #[test]
    fn a_set_of_one_is_the_document_alone() {
        let alone = policy("allow", &["match: { tool: t }, action: deny".to_owned()]);
        assert_eq!(proofs(&alone, &of(&[ALL])), [Proof::Yes; 3]);
    }

    #[test]
    fn a_document_more_takes_nothing_away() {
        let (few, more) = (of(&[ALL]), of(&[ALL, ACME]));
        assert_eq!(proofs(&few, &more), [Proof::No, Proof::Yes, Proof::No]);
        assert_eq!(proofs(&more, &few), [Proof::No, Proof::No, Proof::Yes]);
    }

    #[test]
    fn documents_for_somebody_are_compared_rule_by_rule() {
        let longer = ACME.replace("tool: u", "tool: [u, v]");
        let (short, long) = (of(&[ALL, ACME]), of(&[ALL, &longer]));
        let difference = compare(&short, &long);
        let loosens = difference.loosens.unwrap();
        assert_eq!((loosens.old.action, loosens.new.action), ("deny", "allow"));
        assert_eq!(difference.added, vec![Box::from("d1/r")]);
    }

    #[test]
    fn whoever_no_document_is_for_counts() {
        let acme = ACME.replace("action: deny", "action: allow");
        let beta = acme.replace("acme", "[acme, beta]");
        assert_eq!(proofs(&of(&[&acme]), &of(&[&beta]))[1], Proof::No);
        assert_eq!(proofs(&of(&[&acme]), &of(&[&acme, ALL]))[1], Proof::No);
        assert_eq!(
            proofs(&of(&[&beta]), &of(&[&beta, &acme])),
            [Proof::Unknown, Proof::Yes, Proof::Yes]
        );
    }

    #[test]
    fn a_rule_for_several_tools_is_one_for_each() {
        let one = policy(
            "allow",
            &["match: { tool: [t, u] }, action: deny".to_owned()],
        );
        let each = ["t", "u"].map(|tool| format!("match: {{ tool: {tool} }}, action: deny"));
        assert_eq!(proofs(&one, &policy("allow", &each)), [Proof::Yes; 3]);
    }

    #[test]
    fn a_number_between_two_whole_ones_is_a_witness() {
        let [old, new] = ["greater_than: 5", "at_least: 6"].map(|asks| {
            policy(
                "allow",
                &[format!("when: {{ args.n: {{ {asks} }} }}, action: deny")],
            )
        });
        assert_eq!(proofs(&old, &new), [Proof::No, Proof::No, Proof::Yes]);
    }

    #[test]
    fn every_alternative_of_a_pattern_is_tried() {
        let [old, new] = ["(secret|hidden)-[0-9]{3}", "secret-[0-9]{3}"].map(|pattern| {
            policy(
                "allow",
                &[format!(
                    "when: {{ args.s: {{ matches: \"^{pattern}$\" }} }}, action: deny"
                )],
            )
        });
        assert_eq!(proofs(&old, &new)[1], Proof::No);
    }

    #[test]
    fn a_rule_for_more_covers_one_for_fewer() {
        let denies = "for: { tenant: acme }, defaults: { action: allow }, rules: [{ id: r, match: { tool: u }, action: deny }]";
        let more = denies.replace("acme", "[acme, beta]");
        let difference = compare(&of(&[ALL, denies]), &of(&[ALL, &more]));
        assert_eq!(difference.all.keeps, Proof::Yes);
        assert_eq!(difference.all.adds_nothing, Proof::No);
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

    fn any_document() -> impl Strategy<Value = String> {
        (
            prop_oneof![
                Just(""),
                Just("for: { tenant: a }, "),
                Just("for: { tenant: [a, b] }, "),
                Just("for: { role: lead }, "),
                Just("applies_to: { paths: [\"/v1/*\"] }, "),
                Just("mode: observe, "),
            ],
            prop_oneof![Just("allow"), Just("deny")],
            prop::collection::vec(any_rule(), 0..3),
        )
            .prop_map(|(whom, default, rules)| {
                let rules: Vec<String> = rules
                    .iter()
                    .enumerate()
                    .map(|(number, rule)| format!("{{ id: r{number}, {rule} }}"))
                    .collect();
                format!(
                    "{whom}defaults: {{ action: {default} }}, rules: [{}]",
                    rules.join(", ")
                )
            })
    }

    /// Checks that no event contradicts a proof that a change loosens or tightens nothing.
    fn proofs_hold(old: &Policy, new: &Policy) -> Result<(), TestCaseError> {
        let (one, other) = (Meaning::parts_of(old), Meaning::parts_of(new));
        let keeps = refuses_as_much(&one, &other);
        let adds_nothing = refuses_as_much(&other, &one);
        let difference = compare(old, new);
        if keeps {
            prop_assert!(difference.loosens.is_none(), "{:?}", difference.loosens);
        }
        if adds_nothing {
            prop_assert!(difference.tightens.is_none(), "{:?}", difference.tightens);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// No event contradicts a proof, whether rules are removed or changed.
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
            proofs_hold(&old, &new)?;
            // A policy is always proved to be the same as itself, in any order.
            changed.reverse();
            let turned = policy(defaults.1, &changed);
            prop_assert_eq!(compare(&new, &turned).all.same, Proof::Yes);
        }

        /// No event contradicts a proof for sets, whose documents have an audience or none.
        #[test]
        fn a_proof_and_a_witness_never_meet_in_sets(
            documents in prop::collection::vec(any_document(), 1..4),
            others in prop::collection::vec(any_document(), 0..2),
            kept in 0..4usize,
        ) {
            let old = set(&documents);
            let mut changed: Vec<String> = documents.into_iter().take(kept).chain(others).collect();
            if changed.is_empty() {
                changed.push("defaults: { action: allow }".to_owned());
            }
            let new = set(&changed);
            proofs_hold(&old, &new)?;
            changed.reverse();
            prop_assert_eq!(compare(&new, &set(&changed)).all.same, Proof::Yes);
        }
    }
}
