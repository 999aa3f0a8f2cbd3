//! `agentguard diff OLD NEW`: shows the effect of a policy change.

use super::exchange::{OfflineProxy, Recorded, moment, now};
use super::source::Source;
use super::{ExitStatus, Failed, output};
use crate::author::{
    Answers, Difference, KeyChange, ListChange, PolicyOutcome, Proof, Witness, compare,
};
use crate::policy::Node;
use clap::Args;
use serde_json::{Map, Value, json};

/// Maximum values of a list in the text output.
const MAX_SHOWN_VALUES: usize = 20;

/// Number of digits of a key's hash in the text output.
const SHOWN_DIGITS: usize = 12;

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The old policy.
    old: String,
    /// The new policy.
    new: String,
    /// Replay recorded exchanges too, and show those with different decisions.
    #[arg(long, value_name = "FILE")]
    traffic: Option<String>,
    /// Name of the environment for recorded exchanges.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
}

impl Diff {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let old = Source::open(&self.old)?;
        let new = Source::open(&self.new)?;
        let difference = compare(old.policy()?, new.policy()?);
        if json {
            output::json_line(&as_json(&difference).to_string());
        } else {
            output::print(&as_text(&difference));
        }
        let mut differing = 0_usize;
        if let (Some(file), Some(old), Some(new)) = (&self.traffic, &old.root, &new.root) {
            differing = self.replay(file, old, new, json)?;
        }
        // A difference that was not disproved may exist, so the exit code is 1.
        Ok(if difference.all.same == Proof::Yes && differing == 0 {
            ExitStatus::Clean
        } else {
            ExitStatus::Found
        })
    }

    /// Replays recorded exchanges with both policies. Returns the number of different decisions.
    fn replay(&self, file: &str, old: &Node, new: &Node, json: bool) -> Result<usize, Failed> {
        let env = self.env.as_deref();
        let (old, new) = (OfflineProxy::new(old, env)?, OfflineProxy::new(new, env)?);
        let bytes = output::read_lines(file)?;
        let started = now();
        let (mut count, mut differing) = (0_usize, 0_usize);
        for (number, line) in (1_usize..).zip(bytes.split(|byte| *byte == b'\n')) {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let complain = |what| {
                let advice = output::advice_on_lines(&bytes);
                output::print_foreign(&format!("{file}: line {number}: {what}{advice}"))
            };
            let recorded = Recorded::parse(line).map_err(complain)?;
            let time = recorded.time.as_deref().and_then(moment);
            let time = time.unwrap_or(started);
            let sent = recorded.request().map_err(complain)?;
            let response = recorded.response().map_err(complain)?;
            let caller = recorded.caller().map_err(complain)?;
            let one = old.evaluate(&caller, &sent, response.clone(), time);
            let other = new.evaluate(&caller, &sent, response, time);
            count = count.saturating_add(1);
            if one.is_same(&other) {
                continue;
            }
            differing = differing.saturating_add(1);
            if json {
                let object = json!({
                    "id": recorded.id,
                    "old": one.result.to_json(),
                    "new": other.result.to_json(),
                });
                output::json_line(&object.to_string());
            } else {
                output::line(&format!(
                    "{}: {} → {}",
                    recorded.id, one.result.action, other.result.action
                ));
            }
        }
        if !json {
            output::line(&format!(
                "{differing} of {count} exchanges are decided differently"
            ));
        }
        Ok(differing)
    }
}

fn outcome_json(outcome: &PolicyOutcome) -> Value {
    let mut object = json!({"action": outcome.action, "rules": outcome.rules});
    if let Some(members) = object.as_object_mut() {
        if outcome.would != outcome.action {
            members.insert("would".to_owned(), json!(outcome.would));
        }
        if !outcome.effects.is_empty() {
            members.insert("effects".to_owned(), json!(outcome.effects));
        }
    }
    object
}

fn case_text(case: &Node) -> String {
    let mut out = Vec::new();
    case.write_json(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn witness_json(witness: &Witness) -> Value {
    let case: Value = serde_json::from_str(&case_text(&witness.case)).unwrap_or_default();
    let mut object = json!({"event": case, "old": outcome_json(&witness.old), "new": outcome_json(&witness.new)});
    if let (Some(policy), Some(members)) = (witness.caller_only_in, object.as_object_mut()) {
        members.insert("caller_only_in".to_owned(), json!(policy));
    }
    object
}

fn answers_json(answers: Answers) -> [(&'static str, Value); 3] {
    [
        ("same", json!(answers.same.word())),
        ("keeps_refusals", json!(answers.keeps.word())),
        ("adds_no_refusals", json!(answers.adds_nothing.word())),
    ]
}

fn as_json(difference: &Difference) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    for (key, answer) in answers_json(difference.all) {
        put(key, answer);
    }
    for (key, witness) in [
        ("differs", &difference.differs),
        ("loosens", &difference.loosens),
        ("tightens", &difference.tightens),
    ] {
        if let Some(witness) = witness {
            put(key, witness_json(witness));
        }
    }
    for (key, names) in [
        ("added", &difference.added),
        ("removed", &difference.removed),
    ] {
        put(key, json!(names));
    }
    put("settings", json!(difference.settings));
    let lists = difference.lists.iter().map(
        |change| json!({"list": change.name, "added": change.added, "removed": change.removed}),
    );
    put("lists", Value::Array(lists.collect()));
    if let Some(answers) = difference.without_keys {
        let keys = difference.keys.iter().map(|change| {
            json!({"source": change.source, "sha256": change.sha256, "old": change.old, "new": change.new})
        });
        put("keys", Value::Array(keys.collect()));
        let answers = answers_json(answers).map(|(key, answer)| (key.to_owned(), answer));
        put("without_keys", Value::Object(answers.into_iter().collect()));
    }
    put("judged", json!(difference.evaluated));
    Value::Object(object)
}

fn as_text(difference: &Difference) -> String {
    if difference.all.same == Proof::Yes {
        return format!(
            "The same: every event is decided alike (proved).\n{}",
            lists_text(&difference.lists)
        );
    }
    let evaluated = difference.evaluated;
    let mut out = keys_text(&difference.keys);
    let answers = difference.without_keys.unwrap_or(difference.all);
    let mut answered = |question: &str, proof: Proof, witness: &Option<Witness>| {
        let text = match proof {
            Proof::Yes => "yes (proved)".to_owned(),
            Proof::No => "no".to_owned(),
            Proof::Unknown if witness.is_some() => {
                format!(
                    "unknown: not proved, and of {evaluated} events only those of a caller whom one policy does not know are counterexamples"
                )
            }
            Proof::Unknown => {
                format!("unknown: not proved, and none of {evaluated} events is a counterexample")
            }
        };
        out.push_str(&format!("{question} {text}\n"));
        if let Some(witness) = witness {
            out.push_str(&witness_text(witness));
        }
    };
    // If the event already shows an added or removed denial, it shows the difference too.
    let plain = match (&difference.loosens, &difference.tightens) {
        (None, None) => &difference.differs,
        _ => &None,
    };
    answered(
        "Does every event have the same decision?",
        answers.same,
        plain,
    );
    answered(
        "Is everything still denied that was denied?",
        answers.keeps,
        &difference.loosens,
    );
    answered(
        "Is nothing denied that was not denied?",
        answers.adds_nothing,
        &difference.tightens,
    );
    let (added, removed) = (&difference.added, &difference.removed);
    let among = |names: &[Box<str>], others: &[Box<str>], both: bool| -> Vec<String> {
        names
            .iter()
            .filter(|name| others.contains(name) == both)
            .map(|name| output::visible(name))
            .collect()
    };
    for (label, names) in [
        ("with another meaning", among(added, removed, true)),
        ("only in the new policy", among(added, removed, false)),
        ("only in the old policy", among(removed, added, false)),
    ] {
        if !names.is_empty() {
            out.push_str(&format!("Rules {label}: {}\n", names.join(", ")));
        }
    }
    if !difference.settings.is_empty() {
        let settings = output::visible(&difference.settings.join(", "));
        out.push_str(&format!("Different settings: {settings}\n"));
    }
    out.push_str(&lists_text(&difference.lists));
    out
}

/// Formats the API keys that change, and introduces the answers below.
fn keys_text(keys: &[KeyChange]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let mut out =
        "The callers with these API keys change, and their requests may be decided differently:\n"
            .to_owned();
    for change in keys.iter().take(MAX_SHOWN_VALUES) {
        let [old, new] = [&change.old, &change.new].map(|state| match state {
            Some(state) => output::visible(state),
            None => "unknown".to_owned(),
        });
        let start: String = change.sha256.chars().take(SHOWN_DIGITS).collect();
        out.push_str(&format!(
            "    {} {start}…: {old} → {new}\n",
            output::visible(&change.source)
        ));
    }
    let more = keys.len().saturating_sub(MAX_SHOWN_VALUES);
    if more > 0 {
        out.push_str(&format!("    and {more} more; --json lists all\n"));
    }
    out.push_str("Of all other requests:\n");
    out
}

/// Formats lists with their added and removed values.
fn lists_text(lists: &[ListChange]) -> String {
    let mut out = String::new();
    for change in lists {
        let signed = |sign: char, values: &[String]| -> Vec<String> {
            values
                .iter()
                .map(|value| format!("{sign}{value}"))
                .collect()
        };
        let mut values = signed('+', &change.added);
        values.extend(signed('-', &change.removed));
        let more = values.len().saturating_sub(MAX_SHOWN_VALUES);
        values.truncate(MAX_SHOWN_VALUES);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        out.push_str(&format!(
            "List {}: {}{more}\n",
            output::visible(&change.name),
            output::visible(&values.join(" "))
        ));
    }
    out
}

fn witness_text(witness: &Witness) -> String {
    let outcome = |outcome: &PolicyOutcome| {
        let rules: Vec<&str> = outcome.rules.iter().map(|rule| &**rule).collect();
        let would = if outcome.would == outcome.action {
            String::new()
        } else {
            format!(", would {}", outcome.would)
        };
        let rules = if rules.is_empty() {
            "no rule".to_owned()
        } else {
            rules.join(", ")
        };
        let effects = match outcome.effects.is_empty() {
            true => String::new(),
            false => format!(": {}", outcome.effects.join("; ")),
        };
        output::visible(&format!("{}{would} ({rules}){effects}", outcome.action))
    };
    let caller = witness.caller_only_in.map(|policy| {
        format!("    Only API keys of the {policy} policy name this caller: the other one never meets it.\n")
    });
    format!(
        "    {}\n    old: {}\n    new: {}\n{}",
        case_text(&witness.case),
        outcome(&witness.old),
        outcome(&witness.new),
        caller.unwrap_or_default()
    )
}
