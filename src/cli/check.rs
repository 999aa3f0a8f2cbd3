//! `agentguard check POLICY …`: judges exactly the events that the options name.

use super::source::Source;
use super::{Failed, Outcome, output};
use crate::diag::codes;
use crate::event::{
    Author, Class, Direction, Event, Facts, Form, Kind, Known, Models, Principal, Reading,
    Redaction, Text,
};
use crate::policy::{
    Action, Context, Decision, EnvironmentSource, Mode, Moment, Policy, ScanScratch, Scans,
};
use crate::redact::{self, Ledger};
use crate::wire::edit;
use crate::wire::json::{Edits, Limits, Nest, Place, decode};
use clap::Args;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The policy.
    policy: String,
    /// A model that the request asks for: judges a `request`.
    #[arg(long)]
    model: Option<String>,
    /// A tool that is called: judges a `tool_call`.
    #[arg(long)]
    tool: Option<String>,
    /// Arguments of the call, as JSON.
    #[arg(long, requires = "tool", value_name = "JSON")]
    args: Option<String>,
    /// A text: judges a `message` of the user, or what `--event` says.
    #[arg(long)]
    text: Option<String>,
    /// The kind of event that `--text` or `--tool` stands for.
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// The author of a message: system, user, assistant, tool.
    #[arg(long, value_name = "AUTHOR", default_value = "user")]
    from: String,
    /// Who is asking: {"id", "agent", "client", "tenant", "roles": […], …}; every other member is a claim.
    #[arg(long, value_name = "JSON")]
    principal: Option<String>,
    /// The environment's name.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// When it happens, RFC 3339.
    #[arg(long, value_name = "RFC3339")]
    time: Option<String>,
}

/// What is judged: a body made of the options' values, and the events in it.
struct Case {
    body: Vec<u8>,
    reading: Reading,
    facts: Facts,
}

impl Check {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, Failed> {
        let source = Source::open(&self.policy)?;
        let policy = source.policy()?;
        let kinds = self.kinds()?;
        let facts = self.facts(policy)?;
        let case = self.case(&kinds, facts)?;
        let verdict = judge(policy, &case)?;
        if json {
            output::line(&Value::Object(verdict.clone()).to_string());
        } else {
            output::print(&told(&verdict));
        }
        Ok(match verdict.get("action").and_then(Value::as_str) {
            Some("deny" | "require_approval") => Outcome::Found,
            _ => Outcome::Clean,
        })
    }

    /// The kinds of events that the options name.
    fn kinds(&self) -> Result<Vec<Kind>, Failed> {
        if let Some(word) = &self.event {
            let kind = Kind::from_word(word).ok_or_else(|| {
                let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
                output::complain(&format!("--event {word}: known are {}", known.join(", ")))
            })?;
            return Ok(vec![kind]);
        }
        let mut kinds = Vec::new();
        if self.model.is_some() {
            kinds.push(Kind::Request);
        }
        if self.tool.is_some() {
            kinds.push(Kind::ToolCall);
        }
        if self.text.is_some() {
            kinds.push(Kind::Message);
        }
        if kinds.is_empty() {
            return Err(output::complain(
                "nothing to judge: give --model, --tool, --text or --event",
            ));
        }
        Ok(kinds)
    }

    fn facts(&self, policy: &Policy) -> Result<Facts, Failed> {
        let mut facts = Facts::unknown();
        if let Some(model) = &self.model {
            facts.models = Models {
                names: vec![model.as_str().into()],
                unknown: false,
            };
        }
        facts.environment = match (&self.env, &policy.document.environment) {
            (Some(name), _) => Known::Is(name.as_str().into()),
            (None, EnvironmentSource::Value(name)) => Known::Is(name.clone()),
            _ => Known::Unknown,
        };
        if let Some(text) = &self.principal {
            facts.principal = principal(text)?;
        }
        if let Some(text) = &self.time {
            let time: jiff::Timestamp = text
                .parse()
                .map_err(|error| output::complain(&format!("--time {text}: {error}")))?;
            facts.time = u64::try_from(time.as_nanosecond()).ok();
        }
        Ok(facts)
    }

    fn case(&self, kinds: &[Kind], facts: Facts) -> Result<Case, Failed> {
        let from = Author::from_word(&self.from).ok_or_else(|| {
            output::complain(&format!(
                "--from {}: known are system, user, assistant, tool",
                self.from
            ))
        })?;
        let args: Option<Value> = match &self.args {
            None => None,
            Some(text) => Some(
                serde_json::from_str(text)
                    .map_err(|error| output::complain(&format!("--args is no JSON: {error}")))?,
            ),
        };
        let body = json!({"text": self.text, "args": args})
            .to_string()
            .into_bytes();
        let mut reading = Reading::default();
        for kind in kinds {
            let mut event = Event::new(*kind, direction(*kind), Place::default());
            event.tool = match &self.tool {
                Some(tool) => Known::Is(tool.as_str().into()),
                None => Known::Unknown,
            };
            event.from = Known::Is(from);
            reading.events.push(event);
        }
        let mut case = Case {
            body,
            reading,
            facts,
        };
        case.place(self.text.is_some(), args.is_some())?;
        Ok(case)
    }
}

/// Calls are judged where they can be stopped: in a response.
fn direction(kind: Kind) -> Direction {
    match kind {
        Kind::ToolCall | Kind::Response => Direction::Response,
        _ => Direction::Request,
    }
}

const LIMITS: Limits = Limits { max_depth: 64 };

impl Case {
    /// Gives the events their texts and arguments in the body.
    fn place(&mut self, has_text: bool, has_args: bool) -> Result<(), Failed> {
        let nest = Nest::scan(&self.body, LIMITS, 0).map_err(|error| {
            output::complain(&format!("--text or --args can't be judged: {error}"))
        })?;
        let Some(doc) = nest.body() else {
            return Ok(());
        };
        let text = doc.root().get("text").filter(|_| has_text);
        let args = doc.root().get("args").filter(|_| has_args);
        let mut register = |place: Place, form: Form| {
            let number = u32::try_from(self.reading.texts.len()).unwrap_or(u32::MAX);
            self.reading.texts.push(Text {
                place,
                class: Class::Text,
                form,
                key: None,
            });
            number
        };
        let text_number = text.map(|text| register(text.place(), Form::String));
        let mut arg_numbers = 0..0;
        for node in args.into_iter().flat_map(|args| args.descendants()) {
            if node.value.text().is_some() {
                let form = if node.is_key { Form::Key } else { Form::String };
                let number = register(node.value.place(), form);
                if arg_numbers.is_empty() {
                    arg_numbers.start = number;
                }
                arg_numbers.end = number.saturating_add(1);
            }
        }
        for event in &mut self.reading.events {
            if event.kind == Kind::ToolCall {
                event.args = args.map(|args| args.place()).into();
                event.texts = arg_numbers.clone();
            } else if let Some(number) = text_number {
                event.texts = number..number.saturating_add(1);
            }
        }
        Ok(())
    }
}

fn principal(text: &str) -> Result<Principal, Failed> {
    let members: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| output::complain(&format!("--principal is no JSON object: {error}")))?;
    let words = |value: &Value| -> Vec<Box<str>> {
        match value {
            Value::Array(items) => items.iter().map(|item| plain(item).into()).collect(),
            other => vec![plain(other).into()],
        }
    };
    let mut principal = Principal {
        id: Known::Missing,
        agent: Known::Missing,
        client: Known::Missing,
        tenant: Known::Missing,
        roles: Known::Missing,
        claims: BTreeMap::new(),
        via: Some("check".into()),
    };
    for (name, value) in &members {
        let one = || Known::Is(plain(value).into());
        match name.as_str() {
            "id" => principal.id = one(),
            "agent" => principal.agent = one(),
            "client" => principal.client = one(),
            "tenant" => principal.tenant = one(),
            "roles" | "role" => principal.roles = Known::Is(words(value)),
            _ => {
                principal.claims.insert(name.as_str().into(), words(value));
            }
        }
    }
    Ok(principal)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Judges the case; gives the object that `--json` prints.
fn judge(policy: &Policy, case: &Case) -> Result<Map<String, Value>, Failed> {
    let nest = Nest::scan(&case.body, LIMITS, 0)
        .map_err(|error| output::complain(&format!("the event can't be judged: {error}")))?;
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
    let mut ruling: Option<(Decision, Option<u16>, Option<&'static str>)> = None;
    let mut would = "allow";
    let mut rules = BTreeMap::new();
    let mut redactions: Vec<Redaction> = Vec::new();
    for event in &case.reading.events {
        let judgement = policy.judge(event, &context, Moment::Whole);
        let mut wanted = word(judgement.would.decision);
        if ruling.is_none_or(|(decision, ..)| decision < judgement.ruling.decision) {
            let told = judgement.ruling;
            ruling = Some((told.decision, told.rule, told.code));
        }
        for held in &judgement.held {
            let Some(rule) = policy.rule(held.rule) else {
                continue;
            };
            let mode = if held.enforced {
                Mode::Enforce
            } else {
                Mode::Observe
            };
            let entry = json!({"id": *rule.id, "action": rule.action.word(), "mode": mode.word()});
            rules.insert(rule.id.clone(), entry);
            if rule.action == Action::Redact {
                let mut found = Vec::new();
                policy.redactions(rule, event, &context, &mut |redaction| {
                    found.push(redaction)
                });
                let impossible = found.iter().any(|redaction| !redaction.is_possible());
                wanted = stricter(wanted, if impossible { "deny" } else { "redact" });
                if held.enforced {
                    if impossible && ruling.is_none_or(|(decision, ..)| decision != Decision::Deny)
                    {
                        ruling = Some((Decision::Deny, Some(held.rule), Some(codes::AG3005)));
                    }
                    redactions.extend(found);
                }
            }
        }
        would = stricter(would, wanted);
    }
    let (decision, rule, code) = ruling.unwrap_or((Decision::Allow, None, None));
    let mut action = word(decision);
    if action == "allow" && !redactions.is_empty() {
        action = "redact";
    }
    let mut object = Map::new();
    object.insert("action".to_owned(), json!(action));
    if would != action {
        object.insert("would".to_owned(), json!(would));
    }
    let code = code.filter(|_| decision != Decision::Allow);
    object.insert("status".to_owned(), json!(code.map_or(200, codes::status)));
    if let Some(code) = code {
        object.insert("code".to_owned(), json!(code));
    }
    object.insert("rules".to_owned(), rules.into_values().collect());
    if decision != Decision::Allow
        && let Some(rule) = rule.and_then(|number| policy.rule(number))
    {
        if let Some(reason) = &rule.reason {
            object.insert("reason".to_owned(), json!(**reason));
        }
        if let Some(remedy) = &rule.remedy {
            object.insert("remedy".to_owned(), json!(**remedy));
        }
    }
    let findings = context.finding_counts();
    if !findings.is_empty() {
        object.insert("findings".to_owned(), json!(findings));
    }
    if action == "redact"
        && let Some(text) = redacted_text(&nest, redactions)
    {
        object.insert("text".to_owned(), json!(text));
    }
    Ok(object)
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::RequireApproval => "require_approval",
        Decision::Deny => "deny",
    }
}

fn stricter(a: &'static str, b: &'static str) -> &'static str {
    let order = ["allow", "redact", "require_approval", "deny"];
    let rank = |word: &str| order.iter().position(|known| *known == word);
    if rank(b) > rank(a) { b } else { a }
}

/// The text after redaction; of arguments, the arguments.
fn redacted_text(nest: &Nest<'_>, redactions: Vec<Redaction>) -> Option<String> {
    let body = nest.body()?;
    let mut edits = Edits::default();
    // The command line has no key of its own: hashes differ from those that a proxy writes.
    redact::apply(
        redactions,
        nest,
        b"agentguard check",
        &mut Ledger::default(),
        &mut edits,
    );
    let edited = edit::apply(body.bytes(), &nest.flatten(edits));
    let nest = Nest::scan(&edited, LIMITS, 0).ok()?;
    let body = nest.body()?;
    let text = body.root().get("text").filter(|text| !text.is_null());
    let args = body.root().get("args").filter(|args| !args.is_null());
    match text.or(args) {
        Some(value) if value.text().is_some() => Some(decode(value.raw_content()).into_owned()),
        Some(value) => Some(String::from_utf8_lossy(value.raw()).into_owned()),
        None => None,
    }
}

/// The verdict for people.
fn told(verdict: &Map<String, Value>) -> String {
    let text = |key: &str| verdict.get(key).map(plain).unwrap_or_default();
    let mut out = format!("{} (HTTP {})", text("action"), text("status"));
    if verdict.contains_key("code") {
        out.push_str(&format!(" {}", text("code")));
    }
    if verdict.contains_key("would") {
        out.push_str(&format!(", would {} if all were enforced", text("would")));
    }
    out.push('\n');
    for rule in verdict
        .get("rules")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let member = |key: &str| rule.get(key).map(plain).unwrap_or_default();
        let observed = if member("mode") == Mode::Observe.word() {
            " (observed)"
        } else {
            ""
        };
        out.push_str(&format!(
            "  rule {}: {}{observed}\n",
            member("id"),
            member("action")
        ));
    }
    for (key, label) in [("reason", "reason"), ("remedy", "remedy"), ("text", "text")] {
        if verdict.contains_key(key) {
            out.push_str(&format!("  {label}: {}\n", text(key)));
        }
    }
    for (kind, count) in verdict
        .get("findings")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        out.push_str(&format!("  found: {kind} × {count}\n"));
    }
    out
}
