//! Evaluation of a policy on an audit event: on the request, the caller, and the tools that were called. Arguments and texts
//! are not in the event, so the outcome is often unknown.

use super::sample_event::{SampleEvent, SampleExchange, class};
use crate::event::{Direction, Facts, Kind, Known, Models, Principal};
use crate::policy::compiled_policy::Policy;
use crate::policy::evaluate::Decision;
use crate::policy::field::Field;
use crate::policy::node::{Node, NodeValue};
use crate::policy::rule::Rule;
use crate::policy::words::Action;
use crate::policy::{EvaluationPhase, default_principal};
use crate::wire::sorted_map::SortedSet;

/// Outcome that can be derived from a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FromRecord {
    /// Action; `None` if it can't be derived from the record.
    pub action: Option<&'static str>,
    /// Stable code of a denial.
    pub code: Option<&'static str>,
    /// Rules that certainly match.
    pub rules: Vec<Box<str>>,
}

/// Evaluates an audit event.
pub fn evaluate_record(policy: &Policy, record: &Node) -> FromRecord {
    let text = |key: &str| record.get(key).and_then(Node::text);
    let known = |key: &str| text(key).map(Box::from).map_or(Known::Unknown, Known::Is);
    let mut facts = Facts::unknown();
    facts.provider = known("provider");
    facts.protocol = known("protocol");
    if let Some(model) = text("model") {
        facts.models = Models::of(model.split(','));
    }
    facts.time = text("ts")
        .and_then(|time| time.parse::<jiff::Timestamp>().ok())
        .and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    if let Some(node) = record.get("principal") {
        facts.principal = principal(node);
    }
    if let Some(NodeValue::Bool(stream)) = record.get("stream").map(|node| &node.data) {
        facts.request.stream = Some(*stream);
    }
    let kinds: SortedSet<&str> = record
        .get("events")
        .map(|events| events.members().iter().map(|member| &*member.key).collect())
        .unwrap_or_default();
    let mut open = false;
    let mut strictest = Decision::Allow;
    let mut rebuilt = FromRecord::default();
    let mut rules = SortedSet::new();
    let mut is_unread = false;
    for event in events(record, &kinds) {
        let Some(evaluated) = evaluate(policy, &event, &facts, is_unread) else {
            continue;
        };
        let is_request = event.direction != Some(Direction::Response);
        is_unread |= event.code.is_some() && is_request && evaluated.decision == Decision::Deny;
        open |= evaluated.open;
        rules.extend(evaluated.rules);
        if evaluated.decision > strictest {
            strictest = evaluated.decision;
            rebuilt.code = evaluated.code;
        }
    }
    // Texts and results are not in the record: a rule that could match one of them leaves the outcome unknown.
    for kind in [
        Kind::Message,
        Kind::ToolResult,
        Kind::ToolOffer,
        Kind::Response,
    ] {
        open |= kinds.contains(kind.word())
            && policy.index.all(kind).iter().any(|number| {
                policy
                    .rule(*number)
                    .is_some_and(|rule| rule.enforced && rule.action != Action::Tag)
            });
    }
    rebuilt.rules = rules.into_iter().collect();
    let approval = record
        .get("approval")
        .and_then(|approval| approval.get("state"));
    if strictest == Decision::RequireApproval && approval.and_then(Node::text) == Some("approved") {
        strictest = Decision::Allow;
        rebuilt.code = None;
    }
    rebuilt.action = match (strictest, open) {
        (Decision::Deny, _) => Some("deny"),
        (_, true) => None,
        (Decision::RequireApproval, false) => Some("require_approval"),
        (Decision::Allow, false) => Some("allow"),
    };
    if rebuilt.action.is_none() {
        rebuilt.code = None;
    }
    rebuilt
}

/// Returns the events that a record names. Uninspectable events come first; their code decides without the rules on them.
fn events(record: &Node, kinds: &SortedSet<&str>) -> Vec<SampleEvent> {
    let mut events = unread_events(record);
    if kinds.contains(Kind::Request.word()) || kinds.is_empty() {
        events.push(SampleEvent::new(Kind::Request));
    }
    for tool in strings(record.get("tools")) {
        let mut event = SampleEvent::new(Kind::ToolCall);
        event.tool = Known::Is(tool.into());
        event.args = Known::Unknown;
        events.push(event);
    }
    events
}

fn unread_events(record: &Node) -> Vec<SampleEvent> {
    let mut events = Vec::new();
    for reason in strings(
        record
            .get("coverage")
            .and_then(|coverage| coverage.get("reasons")),
    ) {
        let (half, what) = reason.split_once(':').unwrap_or(("request", reason));
        let mut event = SampleEvent::new(Kind::Uninspectable);
        event.direction = Direction::from_word(half);
        event.code = crate::diag::codes::find(what).map(|code| code.id);
        event.class = class(what);
        if event.code.is_some() || event.class.is_some() {
            events.push(event);
        }
    }
    events
}

fn strings(node: Option<&Node>) -> Vec<&str> {
    match node.map(|node| &node.data) {
        Some(NodeValue::List(items)) => items.iter().filter_map(Node::text).collect(),
        _ => Vec::new(),
    }
}

fn principal(node: &Node) -> Principal {
    let one = |key: &str| node.get(key).and_then(Node::text).map(Box::from).into();
    Principal {
        id: one("id"),
        agent: one("agent"),
        client: one("client"),
        tenant: one("tenant"),
        roles: Known::Is(
            strings(node.get("roles"))
                .into_iter()
                .map(Box::from)
                .collect(),
        ),
        ..default_principal()
    }
}

struct RecordedDecision {
    decision: Decision,
    code: Option<&'static str>,
    rules: Vec<Box<str>>,
    /// Whether a rule depends on something that is not in the record.
    open: bool,
}

/// `is_unread`: a code denies the request already.
fn evaluate(
    policy: &Policy,
    event: &SampleEvent,
    facts: &Facts,
    is_unread: bool,
) -> Option<RecordedDecision> {
    let mut case = SampleExchange::new(std::slice::from_ref(event), facts.clone(), policy).ok()?;
    case.reading.is_unread = is_unread;
    let laid_out = case.reading.events.first()?;
    case.seen_by(policy, |context| {
        let evaluation = policy.evaluate(laid_out, context, EvaluationPhase::Whole);
        let is_open = |rule: &Rule| {
            rule.kinds.contains(event.kind) && {
                // What other exchanges have used of a limit is not in this record.
                let mut unknown = rule.limit.is_some();
                rule.each_field(&mut |mention, _| unknown |= !is_recorded(&mention.field));
                unknown
            }
        };
        // A rule leaves the outcome open if its `match`, most of whose fields are in the record, is true.
        let open = policy.index.all(event.kind).iter().any(|number| {
            policy.rule(*number).is_some_and(|rule| {
                rule.enforced
                    && rule.action != Action::Tag
                    && rule.may_match(laid_out, context)
                    && super::explain::written(policy, rule).is_some_and(is_open)
            })
        });
        let certain: Vec<&crate::policy::CompiledRule> = evaluation
            .held
            .iter()
            .filter_map(|held| policy.rule(held.rule))
            .filter(|rule| !super::explain::written(policy, rule).is_some_and(is_open))
            .filter(|rule| !is_unread || !policy.is_undecided(rule, laid_out, context))
            .collect();
        let denied = certain
            .iter()
            .any(|rule| rule.action == Action::Deny && rule.enforced);
        let (decision, open) = match (denied, open) {
            (true, _) => (Decision::Deny, false),
            (false, true) => (Decision::Allow, true),
            (false, false) => (evaluation.ruling.decision, false),
        };
        RecordedDecision {
            code: match decision {
                Decision::Deny if denied => Some(crate::diag::codes::AG3001),
                Decision::Allow => None,
                _ => evaluation.ruling.code,
            },
            rules: certain.iter().map(|rule| rule.id.clone()).collect(),
            decision,
            open,
        }
    })
}

/// Returns whether a record contains this field.
fn is_recorded(field: &Field) -> bool {
    matches!(
        field,
        Field::Protocol
            | Field::Provider
            | Field::Model
            | Field::Client
            | Field::Tenant
            | Field::Agent
            | Field::Roles
            | Field::Time
            | Field::Tool
            | Field::Code
            | Field::Class
            | Field::In
            | Field::Environment
    )
}
