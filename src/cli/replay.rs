//! `agentguard replay --policy POLICY FILE`: what a policy does with what happened.
//!
//! A line is a recorded exchange, which is driven through everything that the filter does, or an audit line, of which only
//! what it tells can be evaluated: where a rule would have to look at a text or at arguments, the action is `unknown`.

use super::exchange::{OfflineProxy, Recorded, moment, now};
use super::source::Source;
use super::verdict::CheckResult;
use super::{ExitStatus, Failed, output};
use crate::author::evaluate_record;
use crate::policy::Policy;
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The policy to evaluate by.
    #[arg(long, value_name = "POLICY")]
    policy: String,
    /// Compare with this policy instead of with what was recorded.
    #[arg(long, value_name = "POLICY")]
    against: Option<String>,
    /// Exchanges or audit lines, one JSON object a line; standard input if absent.
    #[arg(default_value = output::STDIN, value_name = "FILE")]
    file: String,
    /// The environment's name.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Tell only what differs.
    #[arg(long)]
    differing: bool,
    /// Tell only the summary: how many by action, rule and code, with examples.
    #[arg(long)]
    summary: bool,
}

/// How often something came of a line, with the first few.
#[derive(Default)]
struct OutcomeCount {
    count: usize,
    examples: Vec<Value>,
}

/// Most examples of one tally.
const MOST_EXAMPLES: usize = 3;

/// What came of all lines.
#[derive(Default)]
struct Summary {
    count: usize,
    /// Lines that say what was decided then.
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
        bump(&mut self.open, line.verdict.action == UNKNOWN);
        let note = |tallies: &mut BTreeMap<String, OutcomeCount>, key: String| {
            let tally = tallies.entry(key).or_default();
            bump(&mut tally.count, true);
            if tally.examples.len() < MOST_EXAMPLES {
                tally.examples.push(line.id.clone());
            }
        };
        note(&mut self.actions, line.verdict.action.clone());
        for rule in &line.verdict.rules {
            note(&mut self.rules, rule.id.clone());
        }
        if let Some(code) = &line.verdict.code {
            note(&mut self.codes, code.clone());
        }
        if let Some(was) = line.was.as_ref().filter(|_| line.differs()) {
            note(
                &mut self.differences,
                format!("{was} → {}", line.verdict.action),
            );
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

    fn told(&self, is_against: bool) -> String {
        let mut out = String::new();
        for (name, tallies) in self.parts() {
            // What is frequent first.
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
            open => format!(", {open} can't be told from what was recorded"),
        };
        out.push_str(&match (self.compared, is_against) {
            (0, false) if self.count > 0 => format!(
                "{} judged{open}; nothing was recorded to compare with: no line says what was decided (`action` of an exchange, `decision` of an audit line). --against POLICY compares with another policy\n",
                self.count
            ),
            (compared, _) if compared < self.count => format!(
                "{} judged, {} of the {compared} that can be compared differ{open}\n",
                self.count, self.differing
            ),
            _ => format!("{} judged, {} differ{open}\n", self.count, self.differing),
        });
        out
    }
}

fn written_id(id: &Value) -> String {
    match id {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    }
}

/// What came of one line.
struct ReplayedLine {
    id: Value,
    verdict: CheckResult,
    /// What happened then, or happens under the other policy.
    was: Option<String>,
}

impl ReplayedLine {
    fn differs(&self) -> bool {
        self.was.as_ref().is_some_and(|was| {
            // What can't be told does not differ; what was not evaluated then says nothing.
            self.verdict.action != UNKNOWN && was != UNKNOWN && *was != self.verdict.action
        })
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
        for (number, line) in (1_usize..).zip(bytes.split(|byte| *byte == b'\n')) {
            // A trapped VM leaves no record.
            if matches!(line.trim_ascii(), b"" | b"-") {
                continue;
            }
            let complain =
                |what: String| output::complain(&format!("{}: line {number}: {what}", self.file));
            let told = self
                .line(&evaluate, against.as_ref(), line)
                .map_err(complain)?;
            summary.add(&told);
            if !self.summary && (told.differs() || !self.differing) {
                print(&told, json);
            }
        }
        if !json {
            output::print(&summary.told(self.against.is_some()));
        } else if self.summary {
            output::line(&summary.to_json().to_string());
        }
        Ok(if summary.differing == 0 {
            ExitStatus::Clean
        } else {
            ExitStatus::Found
        })
    }

    fn line(
        &self,
        evaluate: &ReplayPolicy,
        against: Option<&ReplayPolicy>,
        line: &[u8],
    ) -> Result<ReplayedLine, String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        if value.get("request").is_none() {
            if value.get("decision").is_none() {
                return Err(
                    "neither an exchange (`request`) nor an audit line (`decision`)".to_owned(),
                );
            }
            let was = match against {
                Some(other) => Some(other.record(&value).action),
                None => text("decision").filter(|was| was != "not_evaluated"),
            };
            return Ok(ReplayedLine {
                id: value.get("request_id").cloned().unwrap_or_default(),
                verdict: evaluate.record(&value),
                was,
            });
        }
        let recorded = Recorded::parse(line)?;
        Ok(ReplayedLine {
            was: match against {
                Some(other) => Some(other.exchange(&recorded)?.action),
                // A recording may say what was decided, as `replay --json` itself does.
                None => text("action"),
            },
            verdict: evaluate.exchange(&recorded)?,
            id: recorded.id,
        })
    }
}

fn print(line: &ReplayedLine, json: bool) {
    if json {
        let mut object = Map::new();
        object.insert("id".to_owned(), line.id.clone());
        object.extend(line.verdict.to_json());
        if let Some(was) = &line.was {
            object.insert("was".to_owned(), json!(was));
            object.insert("differs".to_owned(), json!(line.differs()));
        }
        output::line(&Value::Object(object).to_string());
        return;
    }
    let id = written_id(&line.id);
    let was = match &line.was {
        Some(was) if line.differs() => format!("   was {was}"),
        _ => String::new(),
    };
    let rules: Vec<&str> = line
        .verdict
        .rules
        .iter()
        .map(|rule| rule.id.as_str())
        .collect();
    let code = line.verdict.code.as_deref().unwrap_or_default();
    output::line(&format!(
        "{id}: {} {code} {}{was}",
        line.verdict.action,
        rules.join(", ")
    ));
}

/// A policy that evaluates what was recorded.
struct ReplayPolicy {
    source: Source,
    proxyless: OfflineProxy,
    started: u64,
}

impl ReplayPolicy {
    fn new(name: &str, environment: Option<&str>) -> Result<ReplayPolicy, Failed> {
        let source = Source::open(name)?;
        source.policy()?;
        let Some(root) = &source.root else {
            return Err(output::complain("the policy could not be read"));
        };
        Ok(ReplayPolicy {
            proxyless: OfflineProxy::new(root, environment)?,
            source,
            started: now(),
        })
    }

    fn policy(&self) -> Option<&Policy> {
        self.source.loaded.policy.as_ref()
    }

    fn exchange(&self, recorded: &Recorded) -> Result<CheckResult, String> {
        let time = recorded.time.as_deref().and_then(moment);
        let evaluated = self.proxyless.evaluate(
            &recorded.sent()?,
            recorded.answered()?,
            time.unwrap_or(self.started),
        );
        Ok(evaluated.verdict)
    }

    fn record(&self, record: &Value) -> CheckResult {
        let mut verdict = CheckResult::default();
        let Some(policy) = self.policy() else {
            return verdict;
        };
        let text = record.to_string();
        let Ok(node) = crate::policy::parse_json(text.as_bytes()) else {
            return verdict;
        };
        let told = evaluate_record(policy, &node);
        verdict.action = told.action.unwrap_or(UNKNOWN).to_owned();
        verdict.code = told.code.map(str::to_owned);
        verdict.status = told.code.map_or(0, crate::diag::codes::status);
        verdict.rules = told
            .rules
            .iter()
            .filter_map(|id| policy.rules().iter().find(|rule| *rule.id == **id))
            .map(super::verdict::ReportedRule::of)
            .collect();
        verdict
    }
}
