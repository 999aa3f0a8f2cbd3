//! `agentguard explain CODE`, `agentguard explain POLICY EVENT`

use super::event::EventOptions;
use super::exchange::{OfflineProxy, Recorded, moment, now};
use super::source::Source;
use super::verdict::CheckResult;
use super::{ExitStatus, Failed, output};
use crate::author::{Branch, Explained, Explainer, SampleExchange};
use crate::diag::{codes, nearest};
use crate::event::Event;
use crate::policy::{Context, Policy};
use clap::Args;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::rc::Rc;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A stable code such as `AG2002`, or a policy's file; without either, all codes.
    #[arg(value_name = "CODE|POLICY")]
    asked: Option<String>,
    /// With a policy: the event, as in a test file: `{call: "issue_refund {amount: 250}", env: prod}`, or just the call.
    #[arg(value_name = "EVENT", requires = "asked")]
    described: Option<String>,
    /// With a policy: a recorded exchange, one JSON object as `replay` reads it; every event in it is explained. `-` is
    /// standard input.
    #[arg(
        long,
        value_name = "FILE",
        requires = "asked",
        conflicts_with = "described"
    )]
    exchange: Option<String>,
    /// Rules that are not about this event as well: those whose `match` does not hold.
    #[arg(long, requires = "asked")]
    all: bool,
    #[command(flatten)]
    event: EventOptions,
}

impl Explain {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let Some(asked) = &self.asked else {
            for code in codes::CODES {
                tell(code, json, false);
            }
            return Ok(ExitStatus::Clean);
        };
        let is_event =
            self.described.is_some() || self.exchange.is_some() || self.event.names_event();
        if !is_event {
            return explain_code(asked, json);
        }
        let source = Source::open(asked)?;
        let policy = source.policy()?;
        source.warn_of_unprovided();
        let (events, verdict) = match (&self.exchange, &self.described) {
            (Some(file), _) => self.exchanged(&source, file)?,
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
            output::line(&json!({"events": events, "verdict": verdict.to_json()}).to_string());
            return Ok(ExitStatus::Clean);
        }
        for event in &events {
            output::print(&as_text(event, self.all));
        }
        output::print(&verdict.told());
        let is_by_code = verdict
            .code
            .as_ref()
            .is_some_and(|code| code.starts_with("AG2"));
        if verdict.rules.is_empty() {
            output::line(match is_by_code {
                true => "  no rule holds: the code decides",
                false => "  no rule holds: the default decides",
            });
        }
        Ok(ExitStatus::Clean)
    }

    /// Sends a recorded exchange through everything that the filter does, and explains each event on the way.
    fn exchanged(
        &self,
        source: &Source,
        file: &str,
    ) -> Result<(Vec<EventExplained>, CheckResult), Failed> {
        let Some(root) = &source.root else {
            return Err(output::complain("the policy could not be read"));
        };
        let bytes = output::read_lines(file)?;
        let complain = |what| output::complain(&format!("{file}: {what}"));
        let recorded = Recorded::parse(&bytes).map_err(|what| {
            complain(format!(
                "{what}; one exchange is expected: one JSON object, as `replay` reads it"
            ))
        })?;
        let (sent, answered) = (
            recorded.sent().map_err(complain)?,
            recorded.answered().map_err(complain)?,
        );
        let time = recorded
            .time
            .as_deref()
            .and_then(moment)
            .unwrap_or_else(now);
        let events: Rc<RefCell<Vec<EventExplained>>> = Rc::default();
        let told = Rc::clone(&events);
        let explainer = Explainer::default();
        let watcher = move |event: &Event, at: &str, context: &Context<'_>| {
            let explained = EventExplained {
                kind: event.kind.word(),
                at: Some(at.to_owned()),
                rules: explainer.explain(event, context, None),
            };
            let mut told = told.borrow_mut();
            // A text that comes in pieces is evaluated again and again: the last time it is whole.
            match told
                .iter_mut()
                .find(|known| known.kind == explained.kind && known.at == explained.at)
            {
                Some(known) if at.starts_with('#') => *known = explained,
                _ => told.push(explained),
            }
        };
        let proxyless = OfflineProxy::new(root, self.event.environment())?;
        let evaluated = proxyless.evaluate_watched(&sent, answered, time, Some(Box::new(watcher)));
        Ok((events.take(), evaluated.verdict))
    }
}

/// An event with everything that was asked of it.
struct EventExplained {
    kind: &'static str,
    /// Where it stands in its exchange.
    at: Option<String>,
    rules: Vec<Explained>,
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
            if let (Some(why), Some(members)) = (rule.barred, object.as_object_mut()) {
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
        Some(at) => format!("{} at {at}\n", event.kind),
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
        let mark = if rule.held { "holds" } else { "does not hold" };
        let mode = if rule.enforced { "" } else { " (observed)" };
        out.push_str(&format!("  {} {}{mode}: {mark}\n", rule.action, rule.rule));
        if let Some(why) = rule.barred {
            out.push_str(&format!("    ✗ {why}\n"));
        }
        for part in &rule.parts {
            branch_text(part, 2, &mut out);
        }
    }
    if others > 0 {
        out.push_str(&format!(
            "  {others} more about other {} events (--all shows them)\n",
            event.kind
        ));
    }
    out
}

fn branch_text(branch: &Branch, depth: usize, out: &mut String) {
    let mark = if branch.held { '✓' } else { '✗' };
    out.push_str(&format!("{}{mark} {}", "  ".repeat(depth), branch.asks));
    if !branch.seen.is_empty() {
        out.push_str(&format!("   seen: {}", branch.seen.join(", ")));
    }
    if let Some(note) = branch.note {
        out.push_str(&format!("   ({note})"));
    }
    out.push('\n');
    for part in &branch.parts {
        branch_text(part, depth.saturating_add(1), out);
    }
}

fn explain_code(asked: &str, json: bool) -> Result<ExitStatus, Failed> {
    match codes::find(asked) {
        Some(code) => {
            tell(code, json, true);
            Ok(ExitStatus::Clean)
        }
        None if std::path::Path::new(asked).exists() => Err(output::complain(
            "say which event: `agentguard explain POLICY '{call: \"issue_refund {amount: 250}\"}'`, or --tool, --text, --model",
        )),
        None => {
            let known: Vec<&str> = codes::CODES.iter().map(|code| code.id).collect();
            let near = nearest(asked, &known);
            let hint = near
                .map(|near| format!("; did you mean {near}?"))
                .unwrap_or_default();
            Err(output::complain(&format!("{asked} is no code{hint}")))
        }
    }
}

fn tell(code: &codes::Code, json: bool, whole: bool) {
    if json {
        let object = json!({
            "code": code.id,
            "title": code.title,
            "status": (code.status != 0).then_some(code.status),
            "explanation": code.explain,
        });
        output::line(&object.to_string());
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
