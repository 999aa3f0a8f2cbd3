//! `agentguard explain CODE`, `agentguard explain POLICY EVENT`: explains codes and decisions. `explain_record` explains
//! audit events.

use super::check_result::CheckResult;
use super::event::EventOptions;
use super::exchange::{OfflineProxy, Recorded, moment, now};
use super::source::Source;
use super::{ExitStatus, Failed, output};
use crate::author::{Branch, Explained, Explainer, SampleExchange};
use crate::diag::{codes, nearest};
use crate::event::Event;
use crate::flow::EventObserver;
use crate::policy::{Context, Policy, WithoutRule};
use clap::Args;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::rc::Rc;

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  agentguard explain AG3001
  agentguard explain policy.yaml 'issue_refund {amount: 250}'
  agentguard explain policy.yaml --exchange exchange.json
  agentguard explain policy.yaml --request-id 2f1c… --audit audit.jsonl*")]
pub(super) struct Explain {
    /// A stable code such as `AG2002`, or the file of a policy. Without argument, all codes.
    #[arg(value_name = "CODE|POLICY")]
    subject: Option<String>,
    /// With a policy: the event, as in a test file: `{call: "issue_refund {amount: 250}", env: prod}`, or only the
    /// call.
    #[arg(value_name = "EVENT", requires = "subject")]
    described: Option<String>,
    /// With a policy: a file with one recorded exchange in the format of `replay`. Every event in it is explained. `-`
    /// is standard input.
    #[arg(
        long,
        value_name = "FILE",
        requires = "subject",
        conflicts_with = "described"
    )]
    exchange: Option<String>,
    /// With a policy and `--audit`: the request id of an audit event. It and the rules that matched are shown.
    #[arg(
        long,
        value_name = "ID",
        requires_all = ["subject", "audit"],
        conflicts_with_all = ["described", "exchange"]
    )]
    request_id: Option<String>,
    /// Audit logs (plain, gzip, zstd), or the index that `audit index` made. May be repeated.
    #[arg(long, value_name = "FILE", requires = "request_id", num_args = 1..)]
    audit: Vec<String>,
    /// Also show rules whose `match` does not apply to the event.
    #[arg(long, requires = "subject")]
    all: bool,
    #[command(flatten)]
    event: EventOptions,
}

impl Explain {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let Some(subject) = &self.subject else {
            for code in codes::CODES {
                print_code(code, json, false);
            }
            return Ok(ExitStatus::Clean);
        };
        if let Some(id) = &self.request_id {
            return super::explain_record::run(subject, id, &self.audit, json);
        }
        let is_event =
            self.described.is_some() || self.exchange.is_some() || self.event.names_event();
        if !is_event {
            return explain_code(subject, json);
        }
        let source = Source::open(subject)?;
        let policy = source.policy()?;
        source.warn_of_unprovided();
        let (events, result) = match (&self.exchange, &self.described) {
            (Some(file), _) => self.explain_exchange(&source, file)?,
            (None, Some(text)) => {
                let case = self.event.described_case(text, policy)?;
                (explained(policy, &case), CheckResult::of(policy, &case))
            }
            (None, None) => {
                let case = self.event.case(policy)?;
                (explained(policy, &case), CheckResult::of(policy, &case))
            }
        };
        if json {
            let events: Vec<Value> = events
                .iter()
                .map(|event| Value::Object(as_json(event)))
                .collect();
            output::json_line(&json!({"events": events, "verdict": result.to_json()}).to_string());
            return Ok(ExitStatus::Clean);
        }
        for event in &events {
            output::print(&as_text(event, self.all));
        }
        output::print(&result.to_text());
        let is_by_code = result
            .code
            .as_ref()
            .is_some_and(|code| code.starts_with("AG2") || code.starts_with("AG4"));
        if result.rules.is_empty() {
            let without = events.iter().map(|event| event.without_rule).max();
            output::line(match without {
                _ if is_by_code => "  no rule matches: the code decides",
                Some(WithoutRule::NoDocument) => "  no document of the set is for this caller",
                Some(WithoutRule::Origin) => {
                    "  no rule matches, and no default decides: requests like it pass where the policy could allow another request to this host"
                }
                Some(WithoutRule::Session) => {
                    "  no rule matches, and no default decides: requests like it pass where the policy could allow another request to this server"
                }
                Some(WithoutRule::NoDefault) => {
                    "  no rule matches, and there is no default for such an event: it passes"
                }
                Some(WithoutRule::Default) => "  no rule matches: the default decides",
                None => {
                    "  nothing of it is evaluated: `applies_to` leaves it out, or it has nothing that rules are about"
                }
            });
        }
        Ok(ExitStatus::Clean)
    }

    /// Replays a recorded exchange and explains each evaluated event.
    fn explain_exchange(
        &self,
        source: &Source,
        file: &str,
    ) -> Result<(Vec<EventExplained>, CheckResult), Failed> {
        let Some(root) = &source.root else {
            return Err(output::print_error("the policy could not be read"));
        };
        let bytes = output::read_lines(file)?;
        let complain = |what| output::print_foreign(&format!("{file}: {what}"));
        let recorded = Recorded::parse(&bytes).map_err(|what| {
            complain(format!(
                "{what}; expected one exchange as a JSON object, in the format of `replay`"
            ))
        })?;
        let (sent, answered) = (
            recorded.request().map_err(complain)?,
            recorded.response().map_err(complain)?,
        );
        let time = recorded
            .time
            .as_deref()
            .and_then(moment)
            .unwrap_or_else(now);
        let events: Rc<RefCell<Vec<EventExplained>>> = Rc::default();
        let observed = Rc::clone(&events);
        let explainer = Explainer::default();
        let watcher = move |event: &Event, at: &str, context: &Context<'_>| {
            let explained = EventExplained {
                kind: event.kind.word(),
                at: Some(at.to_owned()),
                rules: explainer.explain(event, context, None),
                without_rule: context.policy.without_rule(event, context),
            };
            let mut observed = observed.borrow_mut();
            match observed
                .iter_mut()
                .find(|known| known.kind == explained.kind && known.at == explained.at)
            {
                // A streamed text is evaluated repeatedly.
                Some(known) if at.starts_with('#') => known.go_on(explained, context.policy),
                _ => observed.push(explained),
            }
        };
        let proxyless = || OfflineProxy::new(root, self.event.environment());
        let mut caller = recorded.caller().map_err(complain)?;
        if let Some(principal) = self.event.principal()? {
            caller.principal = Some(principal);
        }
        let watcher = Some(Box::new(watcher) as EventObserver);
        // An explanation also looks for what no rule asks about here: what it finds is not part of the result.
        let evaluated = proxyless()?.evaluate(&caller, &sent, answered.clone(), time);
        proxyless()?.evaluate_watched(&caller, &sent, answered, time, watcher);
        Ok((events.take(), evaluated.result))
    }
}

/// Event with its evaluation.
struct EventExplained {
    kind: &'static str,
    /// Location in its exchange.
    at: Option<String>,
    rules: Vec<Explained>,
    /// What becomes of it if no rule matches.
    without_rule: WithoutRule,
}

impl EventExplained {
    /// Takes over a later evaluation of the same streamed text. A rule that parts of the text decide was evaluated only with the part
    /// in which something was found, and what matched there is not undone by a later part.
    fn go_on(&mut self, later: EventExplained, policy: &Policy) {
        let mut earlier = std::mem::replace(self, later).rules;
        earlier.retain(|rule| rule.held && policy.decides_on_parts(&rule.rule));
        for rule in self.rules.iter_mut().filter(|rule| !rule.held) {
            if let Some(at) = earlier.iter().position(|held| held.rule == rule.rule) {
                *rule = earlier.swap_remove(at);
            }
        }
    }
}

fn explained(policy: &Policy, case: &SampleExchange) -> Vec<EventExplained> {
    let explained = |past: Option<&Context<'_>>| {
        case.seen_by(policy, |context| {
            let explainer = Explainer::default();
            let events = case.reading.events.iter();
            events
                .map(|event| EventExplained {
                    kind: event.kind.word(),
                    at: None,
                    rules: explainer.explain(event, context, past),
                    without_rule: policy.without_rule(event, context),
                })
                .collect()
        })
    };
    let past = case.past.as_ref();
    past.and_then(|past| past.seen_by(policy, |past| explained(Some(past))))
        .unwrap_or_else(|| explained(None))
        .unwrap_or_default()
}

fn as_json(event: &EventExplained) -> Map<String, Value> {
    let rules = event
        .rules
        .iter()
        .map(|rule| {
            let mut object = json!({
                "id": *rule.rule,
                "action": rule.action,
                "mode": if rule.enforced { "enforce" } else { "observe" },
                "held": rule.held,
                "parts": rule.parts.iter().map(branch_json).collect::<Vec<_>>(),
            });
            if let (Some(why), Some(members)) = (rule.inapplicable, object.as_object_mut()) {
                members.insert("barred".to_owned(), json!(why));
            }
            object
        })
        .collect();
    let mut object = Map::new();
    object.insert("event".to_owned(), json!(event.kind));
    if let Some(at) = &event.at {
        object.insert("at".to_owned(), json!(at));
    }
    object.insert("rules".to_owned(), Value::Array(rules));
    object
}

fn branch_json(branch: &Branch) -> Value {
    let mut object = json!({"asks": branch.asks, "held": branch.held});
    if let Some(members) = object.as_object_mut() {
        if !branch.seen.is_empty() {
            members.insert("seen".to_owned(), json!(branch.seen));
        }
        if let Some(note) = branch.note {
            members.insert("note".to_owned(), json!(note));
        }
        if !branch.parts.is_empty() {
            let parts = branch.parts.iter().map(branch_json).collect();
            members.insert("parts".to_owned(), Value::Array(parts));
        }
    }
    object
}

fn as_text(event: &EventExplained, all: bool) -> String {
    let at = event.at.as_deref().filter(|at| !at.is_empty());
    let mut out = match at {
        Some(at) => format!("{} at {}\n", event.kind, output::visible(at)),
        None => format!("{}\n", event.kind),
    };
    let mut others = 0_usize;
    for rule in &event.rules {
        let is_about = rule
            .parts
            .first()
            .is_none_or(|part| part.asks != "match" || part.held);
        if !is_about && !all {
            others = others.saturating_add(1);
            continue;
        }
        let mark = if rule.held {
            "matches"
        } else {
            "does not match"
        };
        let mode = if rule.enforced { "" } else { " (observed)" };
        let id = output::visible(&rule.rule);
        out.push_str(&format!("  {} {id}{mode}: {mark}\n", rule.action));
        if let Some(why) = rule.inapplicable {
            out.push_str(&format!("    ✗ {why}\n"));
        }
        for part in &rule.parts {
            branch_text(part, 2, &mut out);
        }
    }
    if others > 0 {
        out.push_str(&format!(
            "  {others} more for other {} events (--all shows them)\n",
            event.kind
        ));
    }
    out
}

fn branch_text(branch: &Branch, depth: usize, out: &mut String) {
    let mark = if branch.held { '✓' } else { '✗' };
    let asks = output::visible(&branch.asks);
    out.push_str(&format!("{}{mark} {asks}", "  ".repeat(depth)));
    if !branch.seen.is_empty() {
        let seen = output::visible(&branch.seen.join(", "));
        out.push_str(&format!("   seen: {seen}"));
    }
    if let Some(note) = branch.note {
        out.push_str(&format!("   ({note})"));
    }
    out.push('\n');
    for part in &branch.parts {
        branch_text(part, depth.saturating_add(1), out);
    }
}

fn explain_code(subject: &str, json: bool) -> Result<ExitStatus, Failed> {
    match codes::find(subject) {
        Some(code) => {
            print_code(code, json, true);
            Ok(ExitStatus::Clean)
        }
        None if std::path::Path::new(subject).exists() => Err(output::print_misused(
            "say which event: `agentguard explain POLICY '{call: \"issue_refund {amount: 250}\"}'`, or --tool, --text, --model",
        )),
        None if subject.contains(['/', '.']) => Err(output::print_unread(
            subject,
            "there is no such file; is the path right?",
        )),
        None => {
            let known: Vec<&str> = codes::CODES.iter().map(|code| code.id).collect();
            let near = nearest(subject, &known);
            let hint = near
                .map(|near| format!("; did you mean {near}?"))
                .unwrap_or_default();
            Err(output::print_misused(&format!(
                "{subject} is neither a code nor a file{hint}; `agentguard explain` lists all codes"
            )))
        }
    }
}

fn print_code(code: &codes::Code, json: bool, whole: bool) {
    if json {
        let object = json!({
            "code": code.id,
            "title": code.title,
            "status": (code.status != 0).then_some(code.status),
            "explanation": code.explain,
        });
        output::json_line(&object.to_string());
    } else if whole {
        let status = match code.status {
            0 => String::new(),
            status => format!(" (HTTP {status})"),
        };
        output::line(&format!(
            "{}: {}{status}\n\n{}",
            code.id, code.title, code.explain
        ));
    } else {
        output::line(&format!("{}  {}", code.id, code.title));
    }
}
