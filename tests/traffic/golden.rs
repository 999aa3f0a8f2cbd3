//! Every recorded exchange under policies that make the filter use all that it reads: what reached the provider, what reached
//! the client, the audit event and the metrics. A change of the code that is meant to change nothing keeps every digest.
//!
//! Where a digest differs, `GOLDEN_DUMP=folder cargo test --test traffic golden` writes what stands behind each one; the
//! same in a checkout of before, and `diff -r` shows the difference. `GOLDEN_WRITE=1` writes the new digests.

use super::recorded;
use super::streams::{guard, replay};
use agentguard::flow::simulation::{HttpMessage, SimulatedResult};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What a policy makes the filter do: a name and its rules.
const POLICIES: &[(&str, &str)] = &[
    (
        "every event is tagged and its readings are asked for",
        "  - { id: request, match: { event: request }, action: tag, tags: [request] }
  - { id: models, match: { event: request, model: ['*'] }, action: tag, tags: [model] }
  - { id: messages, match: { event: message, from: [system, user, assistant, tool] }, when: { text: { length_at_least: 1 } }, action: tag, tags: [message] }
  - { id: offers, match: { event: tool_offer }, when: { text: { length_at_least: 1 } }, action: tag, tags: [offer] }
  - { id: calls, match: { event: tool_call, turn: [latest, earlier] }, when: { args: { exists: true } }, action: tag, tags: [call] }
  - { id: results, match: { event: tool_result, turn: [latest, earlier] }, when: { result: { exists: true } }, action: tag, tags: [result] }
  - { id: answers, match: { event: response, part: [text, reasoning, refusal, arguments, transcript, other] }, when: { text: { length_at_least: 1 } }, action: tag, tags: [answer] }
",
    ),
    (
        "every text of a request is edited",
        "  - { id: vowels, match: { event: message, part: text }, when: { text: { matches: '[aeiou]+' } }, action: redact, redact: { with: mask } }
",
    ),
    (
        "every text of an answer is edited",
        "  - { id: vowels, match: { event: response, part: [text, transcript] }, when: { text: { matches: '[aeiou]+' } }, action: redact }
",
    ),
    (
        "arguments and results are edited",
        "  - { id: args, match: { event: tool_call }, when: { args: { matches: '[aeiou]' } }, action: redact, redact: { what: args, with: mask } }
  - { id: result, match: { event: tool_result }, when: { text: { matches: '[aeiou]' } }, action: redact }
",
    ),
    (
        "every call is taken out",
        "  - { id: calls, match: { tool: '**' }, action: deny, reason: Not here., remedy: Ask someone. }
",
    ),
    (
        "every text of an answer is denied",
        "  - { id: said, match: { event: response }, when: { text: { matches: '[aeiou]' } }, action: deny, reason: Not here. }
",
    ),
];

fn write_half(out: &mut String, what: &str, half: &HttpMessage) {
    let _ = writeln!(out, "== {what}");
    for (name, value) in &half.headers {
        let (name, value) = (
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(value),
        );
        let _ = writeln!(out, "{name}: {value}");
    }
    let _ = writeln!(out, "\n{}", half.body().escape_ascii());
}

/// All that came of an exchange, without what differs between two runs.
fn outcome(seen: &SimulatedResult) -> String {
    let mut out = String::new();
    match &seen.upstream {
        Some(upstream) => write_half(&mut out, "upstream", upstream),
        None => out.push_str("== nothing upstream\n"),
    }
    write_half(&mut out, "client", &seen.client);
    let mut record: Value = serde_json::from_slice(&seen.finished.line).unwrap();
    for key in ["ts", "chain", "timing"] {
        record.as_object_mut().unwrap().remove(key);
    }
    let _ = writeln!(
        out,
        "== complete {} cut {}",
        seen.upstream_complete, seen.cut
    );
    let _ = writeln!(out, "== record\n{record:#}");
    // Times differ from run to run, and a chain is counted with the exchange that happens to be the first.
    let left_out = ["duration", "inspection", "audit_chains"];
    for (name, labels, by) in &seen.counts {
        if !left_out.iter().any(|part| name.contains(part)) {
            let _ = writeln!(out, "{name}{labels:?} {by}");
        }
    }
    out
}

pub(super) fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .take(6)
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/traffic/golden.txt")
}

#[test]
fn golden_outcomes_of_every_recorded_exchange_are_as_they_were() {
    let dump = std::env::var_os("GOLDEN_DUMP").map(PathBuf::from);
    let guards: Vec<_> = POLICIES.iter().map(|(_, rules)| guard(rules)).collect();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (number, recording) in recorded().iter().enumerate() {
        let id = recording["id"].as_str().unwrap();
        let mut digests = Vec::new();
        for (policy, guard) in guards.iter().enumerate() {
            let outcome = outcome(&replay(guard, recording));
            digests.push(digest(&outcome));
            if let Some(folder) = &dump {
                let (what, _) = POLICIES[policy];
                std::fs::create_dir_all(folder).unwrap();
                let name = format!("{}-{policy}.txt", digest(id));
                std::fs::write(folder.join(name), format!("{id}\n{what}\n{outcome}")).unwrap();
            }
        }
        let known = found.insert(id.to_owned(), digests.join(" "));
        assert!(known.is_none(), "{id} is recorded twice ({number})");
    }
    let text = found.iter().fold(String::new(), |mut text, (id, digests)| {
        let _ = writeln!(text, "{digests} {id}");
        text
    });
    hold_to(&file(), &text);
}

/// Holds lines to those of a golden file, or writes them there (`GOLDEN_WRITE=1`).
pub(super) fn hold_to(file: &Path, text: &str) {
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        std::fs::write(file, text).unwrap();
    }
    let before = std::fs::read_to_string(file).unwrap_or_default();
    let known: BTreeSet<&str> = before.lines().collect();
    let found = text.lines().count();
    let differ: Vec<&str> = text.lines().filter(|line| !known.contains(line)).collect();
    assert!(
        differ.is_empty() && known.len() == found,
        "{} of {found} differ, {} are known (see the head of this file): {differ:#?}",
        differ.len(),
        known.len()
    );
}
