//! `agentguard explain CODE`, `agentguard explain POLICY EVENT`

use super::event::EventOptions;
use super::source::Source;
use super::verdict::Verdict;
use super::{Failed, Outcome, output};
use crate::diag::{codes, nearest};
use crate::policy::{Branch, Case, Context, Explained, Explainer, Policy};
use clap::Args;
use serde_json::{Map, Value, json};

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A stable code such as `AG2002`, or a policy's file; without either, all codes.
    #[arg(value_name = "CODE|POLICY")]
    asked: Option<String>,
    /// With a policy: the event, as in a test file: `{call: "issue_refund {amount: 250}", env: prod}`, or just the call.
    #[arg(value_name = "EVENT", requires = "asked")]
    described: Option<String>,
    /// Rules that are not about this event as well: those whose `match` does not hold.
    #[arg(long, requires = "asked")]
    all: bool,
    #[command(flatten)]
    event: EventOptions,
}

impl Explain {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, Failed> {
        let Some(asked) = &self.asked else {
            for code in codes::CODES {
                tell(code, json, false);
            }
            return Ok(Outcome::Clean);
        };
        let is_event = self.described.is_some() || self.event.names_event();
        if !is_event {
            return explain_code(asked, json);
        }
        let source = Source::open(asked)?;
        let policy = source.policy()?;
        let case = match &self.described {
            Some(text) => self.event.described_case(text, policy)?,
            None => self.event.case(policy)?,
        };
        for event in explained(policy, &case) {
            if json {
                output::line(&Value::Object(as_json(&event)).to_string());
            } else {
                output::print(&as_text(&event, self.all));
            }
        }
        let verdict = Verdict::of(policy, &case);
        if json {
            output::line(&json!({"verdict": verdict.to_json()}).to_string());
        } else {
            output::print(&verdict.told());
            if verdict.rules.is_empty() {
                output::line("  no rule holds: the default decides");
            }
        }
        Ok(Outcome::Clean)
    }
}

/// An event with everything that was asked of it.
struct EventExplained {
    kind: &'static str,
    rules: Vec<Explained>,
}

fn explained(policy: &Policy, case: &Case) -> Vec<EventExplained> {
    let explained = |past: Option<&Context<'_>>| {
        case.seen_by(policy, |context| {
            let explainer = Explainer::default();
            let events = case.reading.events.iter();
            events
                .map(|event| EventExplained {
                    kind: event.kind.word(),
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
    let mut out = format!("{}\n", event.kind);
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

fn explain_code(asked: &str, json: bool) -> Result<Outcome, Failed> {
    match codes::find(asked) {
        Some(code) => {
            tell(code, json, true);
            Ok(Outcome::Clean)
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
