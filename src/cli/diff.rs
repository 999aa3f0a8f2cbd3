//! `agentguard diff OLD NEW`: what a change of a policy changes.

use super::exchange::{OfflineProxy, Recorded, moment, now};
use super::source::Source;
use super::{ExitStatus, Failed, output};
use crate::author::{Difference, ListChange, PolicyOutcome, Proof, Witness, compare};
use crate::policy::Node;
use clap::Args;
use serde_json::{Map, Value, json};

/// Most values of a list that are told in text.
const MOST_VALUES: usize = 20;

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The policy as it was.
    old: String,
    /// The policy as it is to be.
    new: String,
    /// Recorded exchanges as well: those that both decide differently are told.
    #[arg(long, value_name = "FILE")]
    traffic: Option<String>,
    /// The environment's name, for recorded exchanges.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
}

impl Diff {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let old = Source::open(&self.old)?;
        let new = Source::open(&self.new)?;
        let difference = compare(old.policy()?, new.policy()?);
        if json {
            output::line(&as_json(&difference).to_string());
        } else {
            output::print(&as_text(&difference));
        }
        let mut differing = 0_usize;
        if let (Some(file), Some(old), Some(new)) = (&self.traffic, &old.root, &new.root) {
            differing = self.replay(file, old, new, json)?;
        }
        // What was not proved may differ: a script that asks for certainty gets it.
        Ok(if difference.same == Proof::Yes && differing == 0 {
            ExitStatus::Clean
        } else {
            ExitStatus::Found
        })
    }

    /// Sends recorded exchanges through both policies; how many end differently.
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
            let complain = |what| output::complain(&format!("{file}: line {number}: {what}"));
            let recorded = Recorded::parse(line).map_err(complain)?;
            let time = recorded.time.as_deref().and_then(moment);
            let time = time.unwrap_or(started);
            let sent = recorded.sent().map_err(complain)?;
            let answer = recorded.answered().map_err(complain)?;
            let one = old.evaluate(&sent, answer.clone(), time);
            let other = new.evaluate(&sent, answer, time);
            count = count.saturating_add(1);
            let same = one.verdict.action == other.verdict.action
                && one.verdict.would == other.verdict.would
                && one.seen.client == other.seen.client
                && one.seen.upstream.map(|half| half.body())
                    == other.seen.upstream.map(|half| half.body());
            if same {
                continue;
            }
            differing = differing.saturating_add(1);
            if json {
                let object = json!({
                    "id": recorded.id,
                    "old": one.verdict.to_json(),
                    "new": other.verdict.to_json(),
                });
                output::line(&object.to_string());
            } else {
                output::line(&format!(
                    "{}: {} → {}",
                    recorded.id, one.verdict.action, other.verdict.action
                ));
            }
        }
        if !json {
            output::line(&format!("{differing} of {count} exchanges end differently"));
        }
        Ok(differing)
    }
}

fn told_json(told: &PolicyOutcome) -> Value {
    let mut object = json!({"action": told.action, "rules": told.rules});
    if let Some(members) = object.as_object_mut() {
        if told.would != told.action {
            members.insert("would".to_owned(), json!(told.would));
        }
        if !told.effects.is_empty() {
            members.insert("effects".to_owned(), json!(told.effects));
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
    json!({"event": case, "old": told_json(&witness.old), "new": told_json(&witness.new)})
}

fn as_json(difference: &Difference) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("same", json!(difference.same.word()));
    put("keeps_refusals", json!(difference.keeps.word()));
    put("adds_no_refusals", json!(difference.adds_nothing.word()));
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
    put("judged", json!(difference.evaluated));
    Value::Object(object)
}

fn as_text(difference: &Difference) -> String {
    if difference.same == Proof::Yes {
        return format!(
            "The same: every event is decided alike (proved).\n{}",
            lists_text(&difference.lists)
        );
    }
    let evaluated = difference.evaluated;
    let mut out = String::new();
    let mut answer = |question: &str, answer: Proof, witness: &Option<Witness>| {
        let told = match answer {
            Proof::Yes => "yes (proved)".to_owned(),
            Proof::No => "no".to_owned(),
            Proof::Unknown => {
                format!("unknown: not proved, and none of {evaluated} events shows otherwise")
            }
        };
        out.push_str(&format!("{question} {told}\n"));
        if let Some(witness) = witness {
            out.push_str(&witness_text(witness));
        }
    };
    // Where an event shows a refusal that came or went, it shows the difference too.
    let plain = match (&difference.loosens, &difference.tightens) {
        (None, None) => &difference.differs,
        _ => &None,
    };
    answer("Is every event decided alike?", difference.same, plain);
    answer(
        "Is everything still refused that was?",
        difference.keeps,
        &difference.loosens,
    );
    answer(
        "Is nothing refused that was not?",
        difference.adds_nothing,
        &difference.tightens,
    );
    let (added, removed) = (&difference.added, &difference.removed);
    let among = |names: &[Box<str>], others: &[Box<str>], both: bool| -> Vec<String> {
        names
            .iter()
            .filter(|name| others.contains(name) == both)
            .map(ToString::to_string)
            .collect()
    };
    for (label, names) in [
        ("that mean something else", among(added, removed, true)),
        ("only in the new policy", among(added, removed, false)),
        ("only in the old policy", among(removed, added, false)),
    ] {
        if !names.is_empty() {
            out.push_str(&format!("Rules {label}: {}\n", names.join(", ")));
        }
    }
    if !difference.settings.is_empty() {
        let settings = difference.settings.join(", ");
        out.push_str(&format!("Settings that differ: {settings}\n"));
    }
    out.push_str(&lists_text(&difference.lists));
    out
}

/// Lists with the values that came and went.
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
        let more = values.len().saturating_sub(MOST_VALUES);
        values.truncate(MOST_VALUES);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        out.push_str(&format!(
            "List {}: {}{more}\n",
            change.name,
            values.join(" ")
        ));
    }
    out
}

fn witness_text(witness: &Witness) -> String {
    let told = |told: &PolicyOutcome| {
        let rules: Vec<&str> = told.rules.iter().map(|rule| &**rule).collect();
        let would = if told.would == told.action {
            String::new()
        } else {
            format!(", would {}", told.would)
        };
        let rules = if rules.is_empty() {
            "no rule".to_owned()
        } else {
            rules.join(", ")
        };
        let effects = match told.effects.is_empty() {
            true => String::new(),
            false => format!(": {}", told.effects.join("; ")),
        };
        format!("{}{would} ({rules}){effects}", told.action)
    };
    format!(
        "    {}\n    old: {}\n    new: {}\n",
        case_text(&witness.case),
        told(&witness.old),
        told(&witness.new)
    )
}
