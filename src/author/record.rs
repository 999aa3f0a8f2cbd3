//! Evaluation of a policy on an audit event: on the request, the caller, and the tools that were called. Arguments and texts
//! are not in the event, nor what the policy that wrote it did not ask about, so the outcome is often unknown.

use super::sample_event::{SampleEvent, SampleExchange, class};
use crate::audit::{MAX_LIST_ITEMS, MAX_TEXT_BYTES};
use crate::diag::codes;
use crate::event::{Direction, Facts, Kind, Known, Models, Principal};
use crate::policy::compiled::CompiledRule;
use crate::policy::compiled_policy::Policy;
use crate::policy::defaults::{Default as PolicyDefault, Defaults};
use crate::policy::document::Document;
use crate::policy::environment::EnvironmentSource;
use crate::policy::evaluate::Decision;
use crate::policy::field::Field;
use crate::policy::node::{Node, NodeValue};
use crate::policy::rule::Rule;
use crate::policy::words::{Action, DefaultAction};
use crate::policy::{EvaluationPhase, Interest, default_principal};
use crate::protocol;
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

/// What an audit event has of an exchange, and how far it can be relied on.
struct RecordedExchange<'r> {
    record: &'r Node,
    facts: Facts,
    /// Whether it is MCP, where a call is a request of its own.
    is_mcp: bool,
    /// Whether the exchange was denied, so that what would have followed was never evaluated.
    was_stopped: bool,
    /// Whether the event is of this very policy: then it has everything that the policy asks about. Another one may have
    /// left a response or the definitions of tools unread.
    is_own: bool,
    has_environment: bool,
}

impl<'r> RecordedExchange<'r> {
    fn read(policy: &Policy, record: &'r Node, environment: Option<&str>) -> RecordedExchange<'r> {
        let text = |key: &str| record.get(key).and_then(Node::text);
        let mut facts = Facts::unknown();
        facts.provider = known(record, "provider");
        facts.protocol = known(record, "protocol");
        facts.host = known(record, "host");
        if let Some(model) = text("model") {
            facts.models = Models::of(model.split(','));
            facts.models.unknown = is_partly_known(model);
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
        let has_environment = match (&policy.document.environment, environment) {
            (EnvironmentSource::Value(_) | EnvironmentSource::Absent, _) => true,
            (_, None) => false,
            (_, Some(name)) => {
                facts.environment = Known::Is(name.into());
                true
            }
        };
        let is_mcp = text("protocol") == Some("mcp");
        let was_stopped = matches!(text("decision"), Some("deny" | "require_approval"));
        let version = record
            .get("policy")
            .and_then(|recorded| recorded.get("version"));
        RecordedExchange {
            record,
            facts,
            is_mcp,
            was_stopped,
            is_own: version.and_then(Node::text) == Some(&*policy.version),
            has_environment,
        }
    }

    /// Returns the number of events of a kind.
    fn count(&self, kind: Kind) -> usize {
        let events = self.record.get("events");
        match events
            .and_then(|events| events.get(kind.word()))
            .map(|node| &node.data)
        {
            Some(NodeValue::Number(count)) => count.parse().unwrap_or(1),
            _ => 0,
        }
    }

    /// Returns whether every called tool was called in the response. The calls of a conversation have results, and a tool that
    /// the provider runs is named if its definition was denied.
    fn calls_are_in_response(&self) -> bool {
        !self.is_mcp && !self.was_stopped && self.count(Kind::ToolResult) == 0
    }

    /// Returns whether texts of a kind may have been evaluated. Arguments, results and definitions are also texts of
    /// messages and responses, which are not counted again.
    fn has_content(&self, kind: Kind) -> bool {
        let also: &[Kind] = match kind {
            Kind::Message => &[Kind::ToolCall, Kind::ToolResult, Kind::ToolOffer],
            Kind::Response => &[Kind::ToolCall, Kind::ToolResult],
            _ => &[],
        };
        std::iter::once(&kind)
            .chain(also)
            .any(|kind| self.count(*kind) > 0)
    }

    /// Returns whether a decision may depend on the response: one that is only observed has left before.
    fn holds_response(&self, policy: &Policy) -> bool {
        let protocol = self.record.get("protocol").and_then(Node::text);
        protocol.and_then(protocol::named).is_some_and(|protocol| {
            let kinds = protocol::responses_of(protocol);
            policy.needs.answers(kinds) == Interest::Enforced
        })
    }

    /// Returns the called tools, as far as their names are certain, each with the facts at its server.
    fn calls(&self, policy: &Policy) -> Vec<(SampleEvent, Facts)> {
        let servers = || {
            policy
                .document
                .protocols
                .iter()
                .filter_map(|entry| entry.server.as_deref())
        };
        let names = strings(self.record.get("tools"));
        let mut calls: Vec<(SampleEvent, Facts)> = names
            .iter()
            .map(|name| {
                let mut facts = self.facts.clone();
                let mut event = call();
                event.tool = match name.split_once('/').filter(|_| self.is_mcp) {
                    _ if is_cut(name) => Known::Unknown,
                    Some((server, tool)) if servers().any(|known| known == server) => {
                        facts.server = Known::Is(server.into());
                        facts.qualifies = true;
                        Known::Is(tool.into())
                    }
                    // The server may be another one for this policy than for the one of the event.
                    Some(_) => Known::Unknown,
                    None if self.is_mcp && servers().next().is_some() => Known::Unknown,
                    None => Known::Is((*name).into()),
                };
                (event, facts)
            })
            .collect();
        // Calls of the conversation have results. Any other call without a name may be one of a tool that the provider runs.
        let explained = names.len().saturating_add(self.count(Kind::ToolResult));
        if names.len() >= MAX_LIST_ITEMS || self.count(Kind::ToolCall) > explained {
            calls.push((call(), self.facts.clone()));
        }
        calls
    }

    /// Returns whether the event has the value of a field.
    fn is_recorded(&self, field: &Field, event: &SampleEvent, facts: &Facts) -> bool {
        let principal = self.record.get("principal");
        let member = |name: &str| principal.is_none_or(|principal| principal.get(name).is_some());
        match field {
            Field::Protocol | Field::Provider | Field::Time | Field::Code | Field::Class => true,
            Field::Model => {
                let model = self.record.get("model").and_then(Node::text);
                model.is_some_and(|model| !is_partly_known(model))
            }
            Field::Client => member("client"),
            Field::Tenant => member("tenant"),
            Field::Agent => member("agent"),
            Field::Roles => {
                let roles = principal.map(|principal| strings(principal.get("roles")));
                member("roles") && roles.is_none_or(|roles| roles.len() < MAX_LIST_ITEMS)
            }
            Field::Tool => event.tool != Known::Unknown,
            Field::Server => facts.server != Known::Unknown,
            Field::In => event.kind != Kind::ToolCall || self.calls_are_in_response(),
            Field::Environment => self.has_environment,
            _ => false,
        }
    }

    /// Returns whether something that the policy decides on is not in the event.
    fn is_open(&self, policy: &Policy) -> bool {
        let text = |key: &str| self.record.get(key).and_then(Node::text);
        let decides = |kind: Kind, asks: &dyn Fn(&CompiledRule) -> bool| {
            deciding_rules(policy, kind).any(asks)
        };
        let any = |_: &CompiledRule| true;
        let documents = || policy.document.deciding().iter();
        let denies = |default: fn(&Defaults) -> PolicyDefault| {
            documents().any(|document| default(&document.defaults).action != DefaultAction::Allow)
        };
        // Texts and results are not in the event: a rule that could match one of them leaves the outcome unknown.
        let asks_texts = [
            Kind::Message,
            Kind::ToolResult,
            Kind::ToolOffer,
            Kind::Response,
        ]
        .into_iter()
        .any(|kind| {
            let is_unread = !self.is_own && kind != Kind::Message;
            (is_unread || self.has_content(kind)) && decides(kind, &any)
        });
        // A policy that does not ask about calls leaves the response unread, and tools that the provider runs.
        let calls_are_read = self.is_own
            || self.is_mcp
            || self.count(Kind::ToolOffer) == 0
                && (self.count(Kind::Response) > 0
                    || self.count(Kind::ToolCall) > self.count(Kind::ToolResult));
        let asks_calls = !calls_are_read
            && (denies(|defaults| defaults.tool_call) || decides(Kind::ToolCall, &any));
        let asks_history =
            self.count(Kind::ToolCall) > 0 && decides(Kind::ToolCall, &|rule| rule.asks_turn);
        let asks_offers = (self.count(Kind::ToolOffer) > 0 || !self.is_own)
            && denies(|defaults| defaults.tool_offer);
        // What a denied request would have been answered was never said.
        let asks_answers = self.was_stopped
            && (denies(|defaults| defaults.tool_call)
                || [
                    Kind::ToolCall,
                    Kind::ToolResult,
                    Kind::ToolOffer,
                    Kind::Response,
                ]
                .into_iter()
                .any(|kind| decides(kind, &any)));
        let authentication = self.record.get("authentication");
        let source = authentication
            .and_then(|failed| failed.get("source"))
            .and_then(Node::text);
        // An exchange without any event was not read.
        self.record.get("events").is_none()
            || text("decision") == Some("not_evaluated")
            || source.is_some_and(|source| source != "none")
            || asks_texts
            || asks_calls
            || asks_history
            || asks_offers
            || asks_answers
    }
}

/// Returns the rules that may decide on a kind of event: those that are enforced, without the shadow policy's.
fn deciding_rules(policy: &Policy, kind: Kind) -> impl Iterator<Item = &CompiledRule> {
    let deciding = policy.chapters.iter().filter(|chapter| !chapter.is_shadow);
    deciding
        .flat_map(move |chapter| policy.index.of_chapter(kind, &chapter.rules))
        .filter_map(|number| policy.rule(*number))
        .filter(|rule| rule.enforced && rule.action != Action::Tag)
}

/// Returns whether a name may be cut: audit events have its first 256 bytes, and whole characters of them.
fn is_cut(name: &str) -> bool {
    name.len() > MAX_TEXT_BYTES.saturating_sub(char::MAX_LEN_UTF8)
}

/// Returns whether the models of a request may be others than these: the name of an AWS resource doesn't say its model.
fn is_partly_known(models: &str) -> bool {
    is_cut(models) || models.starts_with("arn:")
}

fn call() -> SampleEvent {
    let mut event = SampleEvent::new(Kind::ToolCall);
    event.args = Known::Unknown;
    event
}

/// Evaluates an audit event. `environment` is the name that the proxy would provide.
pub fn evaluate_record(policy: &Policy, record: &Node, environment: Option<&str>) -> FromRecord {
    let exchange = RecordedExchange::read(policy, record, environment);
    let mut rebuilt = FromRecord::default();
    if !policy.applies(&exchange.facts) {
        rebuilt.action = Some("allow");
        return rebuilt;
    }
    let mut open = exchange.is_open(policy);
    let mut strictest = Decision::Allow;
    let mut rules = SortedSet::new();
    let mut is_unread = false;
    if policy.document.requires_identity == Some(true)
        && policy.enforces_defaults()
        && record.get("principal").is_none()
    {
        strictest = Decision::Deny;
        rebuilt.code = Some(codes::AG4001);
    }
    let approval = record
        .get("approval")
        .and_then(|approval| approval.get("state"));
    let is_approved = approval.and_then(Node::text) == Some("approved");
    let in_response = |event: &SampleEvent| event.direction == Some(Direction::Response);
    let (answered, asked): (Vec<_>, Vec<_>) =
        unread_events(record).into_iter().partition(in_response);
    let request = asked
        .into_iter()
        .chain(std::iter::once(SampleEvent::new(Kind::Request)));
    let mut events: Vec<(SampleEvent, Facts)> = request
        .chain(answered)
        .map(|event| (event, exchange.facts.clone()))
        .collect();
    events.extend(exchange.calls(policy));
    let mut is_asked = false;
    for (event, facts) in &events {
        // A request that this policy stops has no response. A call may be one of the conversation, too.
        let is_stopped =
            strictest == Decision::Deny || (strictest == Decision::RequireApproval && !is_approved);
        let is_call = event.kind == Kind::ToolCall && !exchange.is_mcp;
        if is_asked && is_stopped && !exchange.is_own && (in_response(event) || is_call) {
            open |= is_call && !exchange.calls_are_in_response();
            continue;
        }
        is_asked |= event.kind == Kind::Request;
        let Some(evaluated) = evaluate(policy, event, facts, &exchange, is_unread) else {
            open = true;
            continue;
        };
        let is_request = !in_response(event);
        is_unread |= event.code.is_some() && is_request && evaluated.decision == Decision::Deny;
        // What could not be read, and would pass now, would have been followed by what was never read.
        open |= evaluated.open
            || (event.code.is_some()
                && exchange.was_stopped
                && evaluated.decision != Decision::Deny);
        rules.extend(evaluated.rules);
        if evaluated.decision > strictest {
            strictest = evaluated.decision;
            rebuilt.code = evaluated.code;
        }
    }
    rebuilt.rules = rules.into_iter().collect();
    if strictest == Decision::RequireApproval && is_approved {
        strictest = Decision::Allow;
        rebuilt.code = None;
    }
    let level = record
        .get("coverage")
        .and_then(|coverage| coverage.get("level"));
    let was_ignored = level.and_then(Node::text) == Some("ignored");
    // An exchange at another path, or for another cluster, may not be evaluated at all.
    let may_be_ignored = |document: &Document| {
        document.applies_to.paths.is_some() || document.applies_to.clusters.is_some()
    };
    let is_elsewhere = was_ignored || policy.document.deciding().iter().any(may_be_ignored);
    rebuilt.action = match (strictest, open) {
        (Decision::Deny | Decision::RequireApproval, _) if is_elsewhere => None,
        (Decision::Allow, _) if was_ignored => None,
        (Decision::Deny, _) => Some("deny"),
        (_, true) => None,
        (Decision::RequireApproval, false) => Some("require_approval"),
        (Decision::Allow, false) => Some("allow"),
    };
    // Of several events that are denied, the first one decides the code, and what is open may come before.
    let is_rules = rebuilt.code.is_some_and(|code| code.starts_with("AG3"));
    if rebuilt.action.is_none() || (open && is_rules) {
        rebuilt.code = None;
    }
    rebuilt
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
        event.code = codes::find(what).map(|code| code.id);
        event.class = class(what);
        if event.code.is_some() || event.class.is_some() {
            events.push(event);
        }
    }
    events
}

/// Returns a text member. One that is absent was missing or unknown.
fn known(node: &Node, key: &str) -> Known<Box<str>> {
    let text = node.get(key).and_then(Node::text);
    text.map_or(Known::Unknown, |text| Known::Is(text.into()))
}

fn strings(node: Option<&Node>) -> Vec<&str> {
    match node.map(|node| &node.data) {
        Some(NodeValue::List(items)) => items.iter().filter_map(Node::text).collect(),
        _ => Vec::new(),
    }
}

fn principal(node: &Node) -> Principal {
    let roles = node.get("roles").map(|roles| strings(Some(roles)));
    Principal {
        id: known(node, "id"),
        agent: known(node, "agent"),
        client: known(node, "client"),
        tenant: known(node, "tenant"),
        roles: roles.map_or(Known::Unknown, |roles| {
            Known::Is(roles.into_iter().map(Box::from).collect())
        }),
        ..default_principal()
    }
}

struct RecordedDecision {
    decision: Decision,
    code: Option<&'static str>,
    rules: Vec<Box<str>>,
    /// Whether a rule or default depends on something that is not in the record.
    open: bool,
}

/// `is_unread`: a code denies the request already.
fn evaluate(
    policy: &Policy,
    event: &SampleEvent,
    facts: &Facts,
    exchange: &RecordedExchange<'_>,
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
                rule.each_field(&mut |field_ref, _| {
                    unknown |= !exchange.is_recorded(&field_ref.field, event, facts);
                });
                unknown
            }
        };
        // A rule leaves the outcome open if its `match`, most of whose fields are in the record, is true.
        let open = deciding_rules(policy, event.kind).any(|rule| {
            rule.may_match(laid_out, context)
                && super::explain::written(policy, rule).is_some_and(is_open)
        });
        let certain: Vec<&CompiledRule> = evaluation
            .held
            .iter()
            .filter_map(|held| policy.rule(held.rule))
            .filter(|rule| !super::explain::written(policy, rule).is_some_and(is_open))
            .filter(|rule| !is_unread || !policy.is_undecided(rule, laid_out, context))
            .collect();
        let ruling = evaluation.ruling;
        // This policy may leave a response unread that another one could not read, or only observe it, and have other bounds.
        let is_bound = [Some(codes::AG2003), Some(codes::AG2004)].contains(&event.code);
        let may_be_unread = event.kind == Kind::Uninspectable
            && match event.direction {
                Some(Direction::Response) => !exchange.is_own || !exchange.holds_response(policy),
                _ => !exchange.is_own && is_bound,
            };
        let is_uncertain = match (event.kind, ruling.decision, ruling.rule) {
            // Whether a default applies to a request depends on its method and its content.
            (Kind::Request, Decision::Deny, None) => {
                exchange.is_mcp || exchange.count(Kind::Message) == 0
            }
            (Kind::ToolCall, Decision::Deny, None) => event.tool == Known::Unknown,
            // A call in the history has run, and needs no approval.
            (Kind::ToolCall, Decision::RequireApproval, _) => {
                !exchange.is_mcp && exchange.count(Kind::ToolResult) > 0
            }
            (Kind::Uninspectable, Decision::Deny, _) => may_be_unread,
            _ => false,
        };
        let mut denying = certain
            .iter()
            .filter(|rule| rule.action == Action::Deny && rule.enforced);
        let denied = !may_be_unread && denying.next().is_some();
        let (decision, open) = match (denied, open || is_uncertain) {
            (true, _) => (Decision::Deny, false),
            (_, true) => (Decision::Allow, true),
            (_, false) => (ruling.decision, false),
        };
        RecordedDecision {
            code: match decision {
                Decision::Deny if denied => Some(codes::AG3001),
                Decision::Allow => None,
                _ => ruling.code,
            },
            rules: certain.iter().map(|rule| rule.id.clone()).collect(),
            decision,
            open,
        }
    })
}
