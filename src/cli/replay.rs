//! `agentguard replay --policy POLICY FILE`: evaluates recorded exchanges with a policy.
//!
//! A line is either a recorded exchange, which is processed like in the filter, or an audit event, of which only the
//! recorded facts can be evaluated. If a rule would have to inspect a text or arguments there, the action is `unknown`.

use super::check_result::CheckResult;
use super::exchange::{OfflineProxy, Recorded, ReplayResult, moment, now};
use super::source::Source;
use super::{ExitStatus, Failed, output};
use crate::author::evaluate_record;
use crate::policy::Policy;
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The policy.
    #[arg(long, value_name = "POLICY")]
    policy: String,
    /// Compare with this policy instead of the recorded decisions.
    #[arg(long, value_name = "POLICY")]
    against: Option<String>,
    /// Exchanges or audit events, one JSON object per line. Standard input if absent.
    #[arg(default_value = output::STDIN, value_name = "FILE")]
    file: String,
    /// Name of the environment.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Only show differences.
    #[arg(long)]
    differing: bool,
    /// Only show the summary: counts by action, rule and code, with examples.
    #[arg(long)]
    summary: bool,
}

/// Number of lines with an outcome, and the first few of them.
#[derive(Default)]
struct OutcomeCount {
    count: usize,
    examples: Vec<Value>,
}

/// Maximum examples of an outcome.
const MAX_EXAMPLES: usize = 3;

/// Outcomes of all lines.
#[derive(Default)]
struct Summary {
    count: usize,
    /// Number of lines with a recorded decision.
    compared: usize,
    differing: usize,
    open: usize,
    actions: BTreeMap<String, OutcomeCount>,
    rules: BTreeMap<String, OutcomeCount>,
    codes: BTreeMap<String, OutcomeCount>,
    differences: BTreeMap<String, OutcomeCount>,
}

impl Summary {
    fn add(&mut self, line: &ReplayedLine) {
        let bump = |count: &mut usize, fits: bool| *count = count.saturating_add(usize::from(fits));
        bump(&mut self.count, true);
        bump(&mut self.compared, line.was.is_some());
        bump(&mut self.differing, line.differs());
        bump(&mut self.open, line.result.action == UNKNOWN);
        let note = |tallies: &mut BTreeMap<String, OutcomeCount>, key: String| {
            let tally = tallies.entry(key).or_default();
            bump(&mut tally.count, true);
            if tally.examples.len() < MAX_EXAMPLES {
                tally.examples.push(line.id.clone());
            }
        };
        note(&mut self.actions, line.result.action.clone());
        for rule in &line.result.rules {
            note(&mut self.rules, rule.id.clone());
        }
        if let Some(code) = &line.result.code {
            note(&mut self.codes, code.clone());
        }
        if let Some(was) = line.old_outcome() {
            note(&mut self.differences, format!("{was} → {}", line.outcome()));
        }
    }

    fn parts(&self) -> [(&'static str, &BTreeMap<String, OutcomeCount>); 4] {
        [
            ("actions", &self.actions),
            ("rules", &self.rules),
            ("codes", &self.codes),
            ("differences", &self.differences),
        ]
    }

    fn to_json(&self) -> Value {
        let mut object = json!({
            "count": self.count, "compared": self.compared, "differing": self.differing, "unknown": self.open,
        });
        for (name, tallies) in self.parts() {
            let tallies: Map<String, Value> = tallies
                .iter()
                .map(|(key, tally)| {
                    (
                        key.clone(),
                        json!({"count": tally.count, "examples": tally.examples}),
                    )
                })
                .collect();
            if let Some(members) = object.as_object_mut() {
                members.insert(name.to_owned(), Value::Object(tallies));
            }
        }
        object
    }

    fn text(&self, is_against: bool) -> String {
        let mut out = String::new();
        for (name, tallies) in self.parts() {
            // Frequent outcomes first.
            let mut tallies: Vec<(&String, &OutcomeCount)> = tallies.iter().collect();
            tallies.sort_by_key(|(key, tally)| (std::cmp::Reverse(tally.count), *key));
            for (key, tally) in tallies {
                let ids: Vec<String> = tally.examples.iter().map(written_id).collect();
                let more = if tally.count > ids.len() { ", …" } else { "" };
                let label = name.trim_end_matches('s');
                out.push_str(&format!(
                    "{label} {key}: {} ({}{more})\n",
                    tally.count,
                    ids.join(", ")
                ));
            }
        }
        let open = match self.open {
            0 => String::new(),
            open => format!(", {open} unknown from the recording"),
        };
        out.push_str(&match (self.compared, is_against) {
            (0, false) if self.count > 0 => format!(
                "{} evaluated{open}; nothing to compare with: no line has a decision (`action` of an exchange, `decision` of an audit event). --against POLICY compares with another policy\n",
                self.count
            ),
            (compared, _) if compared < self.count => format!(
                "{} evaluated, {} of the {compared} with a decision differ{open}\n",
                self.count, self.differing
            ),
            _ => format!("{} evaluated, {} differ{open}\n", self.count, self.differing),
        });
        out
    }
}

fn written_id(id: &Value) -> String {
    match id {
        Value::String(id) => output::visible(id),
        other => output::visible(&other.to_string()),
    }
}

/// Result of one line.
struct ReplayedLine {
    id: Value,
    result: CheckResult,
    /// Decision that was recorded, or that of the other policy.
    was: Option<String>,
    /// Decision of the other policy without `observe`, if it differs.
    would: Option<String>,
    /// Whether the other policy did something else with the exchange, perhaps under the same decision.
    has_other_effect: bool,
}

impl ReplayedLine {
    fn differs(&self) -> bool {
        self.was.as_ref().is_some_and(|was| {
            // An unknown decision is no difference, nor is a line that was not evaluated when it was recorded.
            self.result.action != UNKNOWN
                && was != UNKNOWN
                && (*was != self.result.action || self.has_other_effect)
        })
    }

    /// Returns the decision in words.
    fn outcome(&self) -> String {
        in_words(&self.result.action, self.result.would.as_deref())
    }

    /// Returns the other decision in words, if it differs.
    fn old_outcome(&self) -> Option<String> {
        let was = self.was.as_deref().filter(|_| self.differs())?;
        // A recorded decision has no other one beside it.
        if !self.has_other_effect {
            return Some(was.to_owned());
        }
        let was = in_words(was, self.would.as_deref());
        Some(match was == self.outcome() {
            true => format!("{was} with other content"),
            false => was,
        })
    }
}

fn in_words(action: &str, would: Option<&str>) -> String {
    match would {
        Some(would) => format!("{action} (would {would})"),
        None => action.to_owned(),
    }
}

const UNKNOWN: &str = "unknown";

impl Replay {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let evaluate = ReplayPolicy::new(&self.policy, self.env.as_deref())?;
        let against = match &self.against {
            Some(policy) => Some(ReplayPolicy::new(policy, self.env.as_deref())?),
            None => None,
        };
        let bytes = output::read_lines(&self.file)?;
        let mut summary = Summary::default();
        let mut interim = 0_usize;
        let lines = bytes.split(|byte| *byte == b'\n');
        let mut lines = (1_usize..).zip(lines).peekable();
        while let Some((number, line)) = lines.next() {
            // A trapped VM writes no audit event, and Envoy logs `-`.
            if matches!(line.trim_ascii(), b"" | b"-") {
                continue;
            }
            // An Envoy that writes at this moment, or was killed, leaves a part of a line at the end.
            if lines.peek().is_none() && number > 1 && is_cut(line) {
                output::note(&format!(
                    "{}: line {number} ends in the middle of a record, and is left out: it was cut off, or is being written just now",
                    self.file
                ));
                break;
            }
            let complain = |what: String| {
                let advice = output::advice_on_lines(&bytes);
                output::print_foreign(&format!("{}: line {number}: {what}{advice}", self.file))
            };
            let replayed = self
                .line(&evaluate, against.as_ref(), line)
                .map_err(complain)?;
            let Some(replayed) = replayed else {
                interim = interim.saturating_add(1);
                continue;
            };
            summary.add(&replayed);
            if !self.summary && (replayed.differs() || !self.differing) {
                print(&replayed, json);
            }
        }
        if interim > 0 {
            output::note(&format!(
                "lines left out as interim audit events: {interim}. An exchange counts by the event at its end, which the access log has"
            ));
        }
        if !json {
            output::print(&summary.text(self.against.is_some()));
        } else if self.summary {
            output::json_line(&summary.to_json().to_string());
        }
        Ok(if summary.differing == 0 {
            ExitStatus::Clean
        } else {
            ExitStatus::Found
        })
    }

    /// Evaluates a line. Returns `None` for an interim audit event, which has what was known of a stream that went on.
    fn line(
        &self,
        evaluate: &ReplayPolicy,
        against: Option<&ReplayPolicy>,
        line: &[u8],
    ) -> Result<Option<ReplayedLine>, String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| {
            let fault = output::json_fault(&error);
            format!("neither an exchange nor an audit event: {fault}")
        })?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        if value.get("request").is_none() {
            if value.get("decision").is_none() {
                return Err(
                    "neither an exchange (`request`) nor an audit event (`decision`)".to_owned(),
                );
            }
            if value.get("interim") == Some(&Value::Bool(true)) {
                return Ok(None);
            }
            let was = match against {
                Some(other) => Some(other.record(&value).action),
                None => text("decision").filter(|was| was != "not_evaluated"),
            };
            return Ok(Some(ReplayedLine {
                id: value.get("request_id").cloned().unwrap_or_default(),
                result: evaluate.record(&value),
                was,
                would: None,
                has_other_effect: false,
            }));
        }
        let recorded = Recorded::parse(line)?;
        let new = evaluate.exchange(&recorded)?;
        let old = match against {
            Some(other) => Some(other.exchange(&recorded)?),
            None => None,
        };
        let has_other_effect = old.as_ref().is_some_and(|old| !old.is_same(&new));
        let (was, would) = match old {
            Some(old) => (Some(old.result.action), old.result.would),
            // A recording may contain its decision, as the output of `replay --json` does.
            None => (text("action"), None),
        };
        Ok(Some(ReplayedLine {
            was,
            would,
            has_other_effect,
            result: new.result,
            id: recorded.id,
        }))
    }
}

/// Returns whether a line is the beginning of a JSON document.
fn is_cut(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

fn print(line: &ReplayedLine, json: bool) {
    if json {
        let mut object = Map::new();
        object.insert("id".to_owned(), line.id.clone());
        object.extend(line.result.to_json());
        if let Some(was) = &line.was {
            object.insert("was".to_owned(), json!(was));
            object.insert("differs".to_owned(), json!(line.differs()));
        }
        output::json_line(&Value::Object(object).to_string());
        return;
    }
    let id = written_id(&line.id);
    let was = match line.old_outcome() {
        Some(was) => format!("   was {}", output::visible(&was)),
        None => String::new(),
    };
    let rules: Vec<&str> = line
        .result
        .rules
        .iter()
        .map(|rule| rule.id.as_str())
        .collect();
    let code = line.result.code.as_deref().unwrap_or_default();
    let told = format!(
        "{id}: {} {code} {}{was}",
        line.result.action,
        rules.join(", ")
    );
    output::line(told.trim_end());
}

/// Policy that evaluates recorded exchanges.
struct ReplayPolicy {
    source: Source,
    proxyless: OfflineProxy,
    environment: Option<String>,
    started: u64,
}

impl ReplayPolicy {
    fn new(name: &str, environment: Option<&str>) -> Result<ReplayPolicy, Failed> {
        let source = Source::open(name)?;
        source.policy()?;
        let Some(root) = &source.root else {
            return Err(output::print_error("the policy could not be read"));
        };
        Ok(ReplayPolicy {
            proxyless: OfflineProxy::new(root, environment)?,
            environment: environment.map(str::to_owned),
            source,
            started: now(),
        })
    }

    fn policy(&self) -> Option<&Policy> {
        self.source.loaded.policy.as_ref()
    }

    fn exchange(&self, recorded: &Recorded) -> Result<ReplayResult, String> {
        let time = recorded.time.as_deref().and_then(moment);
        Ok(self.proxyless.evaluate(
            &recorded.caller()?,
            &recorded.request()?,
            recorded.response()?,
            time.unwrap_or(self.started),
        ))
    }

    fn record(&self, record: &Value) -> CheckResult {
        let mut result = CheckResult::default();
        let Some(policy) = self.policy() else {
            return result;
        };
        let text = record.to_string();
        let Ok(node) = crate::policy::parse_json(text.as_bytes()) else {
            return result;
        };
        let mut decided = evaluate_record(policy, &node, self.environment.as_deref());
        // This very policy has decided on the whole exchange: if otherwise, by something that its event does not have.
        let is_own = record.pointer("/policy/version").and_then(Value::as_str)
            == Some(&*policy.version)
            && self.environment.is_none();
        if is_own && decided.action != record.get("decision").and_then(Value::as_str) {
            decided.action = None;
            decided.code = None;
        }
        result.action = decided.action.unwrap_or(UNKNOWN).to_owned();
        result.code = decided.code.map(str::to_owned);
        result.status = decided.code.map_or(0, crate::diag::codes::status);
        result.rules = decided
            .rules
            .iter()
            .filter_map(|id| policy.rules().iter().find(|rule| *rule.id == **id))
            .map(super::check_result::ReportedRule::of)
            .collect();
        result
    }
}
