//! What earlier versions wrote, read by this one: each folder beside this file is named after a version and has what its
//! command and its filter made. Such a folder is never changed. Before a release, one is added for it.
//!
//! | file | made by |
//! |---|---|
//! | `policy.yaml`, `policy.test.yaml`, `kill.yaml` | people |
//! | `built.json`, `built-kill.json` | `agentguard build --for json`: what a filter of the next version reads first |
//! | `exchanges.jsonl` | the requests that a real Envoy got, with the responses of its provider |
//! | `decisions.jsonl` | `agentguard --json replay` on them |
//! | `audit.jsonl` | the filter, in that Envoy |
//! | `checkpoint.json`, `checkpoint.key`, `manager.key` | `agentguard audit checkpoint`, `agentguard keygen` |
//! | `approval-request.txt` | the filter, in a denial; then a time at which it holds |
#![expect(clippy::unwrap_used, reason = "test code: a failure is a panic")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The key of the MACs in every `audit.jsonl`.
const AUDIT_KEY: &str = "a-mac-key-of-thirty-two-bytes-0123";

fn versions() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade");
    let entries = std::fs::read_dir(folder).unwrap();
    let folders = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    let folders: Vec<PathBuf> = folders.collect();
    assert!(!folders.is_empty());
    folders
}

fn run(version: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(arguments)
        .current_dir(version)
        .env("AUDIT_KEY", AUDIT_KEY)
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

/// What a command prints that must succeed.
#[track_caller]
fn prints(version: &Path, arguments: &[&str]) -> String {
    let output = run(version, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {arguments:?}: {errors}",
        version.display()
    );
    String::from_utf8(output.stdout).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn read(version: &Path, name: &str) -> String {
    std::fs::read_to_string(version.join(name)).unwrap()
}

/// Whether all that an earlier version said is said; later ones may say more.
fn says_at_least(now: &Value, before: &Value) -> bool {
    match (now, before) {
        (Value::Object(now), Value::Object(before)) => before
            .iter()
            .all(|(key, before)| now.get(key).is_some_and(|now| says_at_least(now, before))),
        (Value::Array(now), Value::Array(before)) => {
            now.len() == before.len()
                && now
                    .iter()
                    .zip(before)
                    .all(|(now, before)| says_at_least(now, before))
        }
        _ => now == before,
    }
}

#[test]
fn a_policy_means_what_it_meant() {
    for version in versions() {
        prints(&version, &["validate", "policy.yaml", "built.json"]);
        prints(&version, &["test", "policy.test.yaml"]);
        let before = lines(&read(&version, "decisions.jsonl"));
        for policy in ["policy.yaml", "built.json"] {
            let replay = ["--json", "replay", "--policy", policy, "exchanges.jsonl"];
            let now = lines(&prints(&version, &replay));
            assert_eq!(now.len(), before.len());
            for (now, before) in now.iter().zip(&before) {
                assert!(says_at_least(now, before), "{policy}: {now} was {before}");
            }
        }
    }
}

#[test]
fn a_built_policy_has_the_version_that_it_had() {
    for version in versions() {
        let events = lines(&read(&version, "audit.jsonl"));
        let recorded = &events[0]["policy"]["version"];
        for policy in ["policy.yaml", "built.json"] {
            let said = prints(&version, &["validate", policy]);
            assert!(said.contains(recorded.as_str().unwrap()), "{said}");
        }
    }
}

#[test]
fn an_audit_trail_can_be_verified_and_searched() {
    let schema = lines_of_schema();
    for version in versions() {
        let text = read(&version, "audit.jsonl");
        for event in lines(&text) {
            let wrong: Vec<String> = schema
                .iter_errors(&event)
                .map(|it| it.to_string())
                .collect();
            assert!(wrong.is_empty(), "{wrong:?} in {event}");
        }
        let checkpoint: Value = serde_json::from_str(&read(&version, "checkpoint.json")).unwrap();
        let key = checkpoint["key"].as_str().unwrap();
        let verify = [
            "audit",
            "verify",
            "audit.jsonl",
            "--mac-key",
            "env:AUDIT_KEY",
            "--checkpoint",
            "checkpoint.json",
            "--checkpoint-key",
            key,
        ];
        prints(&version, &verify);
        // What was changed is found in a trail of that version as well.
        let changed = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(changed.path(), text.replacen("\"POST\"", "\"PUT\"", 1)).unwrap();
        let mut verify = verify;
        verify[2] = changed.path().to_str().unwrap();
        assert_eq!(run(&version, &verify).status.code(), Some(1));

        let mut counted = BTreeMap::new();
        for event in lines(&text) {
            let decision = event["decision"].as_str().unwrap().to_owned();
            *counted.entry(decision).or_insert(0) += 1;
        }
        for (decision, count) in counted {
            let query = [
                "--json",
                "audit",
                "query",
                "audit.jsonl",
                "--decision",
                &decision,
            ];
            assert_eq!(lines(&prints(&version, &query)).len(), count, "{decision}");
        }
    }
}

fn lines_of_schema() -> jsonschema::Validator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = prints(folder, &["schema", "--audit"]);
    jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap()
}

#[test]
fn a_kill_list_stops_what_it_stopped() {
    for version in versions() {
        let said = |file: &str| lines(&prints(&version, &["--json", "kill", "--file", file]));
        let list = said("kill.yaml");
        assert!(!list[0]["kill"].as_array().unwrap().is_empty());
        assert_eq!(said("built-kill.json")[0]["kill"], list[0]["kill"]);
    }
}

#[test]
fn a_request_for_an_approval_can_be_approved() {
    for version in versions() {
        let asked = read(&version, "approval-request.txt");
        let (request, time) = asked.trim().split_once('\n').unwrap();
        let arguments = r#"{"amount": 250}"#;
        let approve = [
            "approve",
            request,
            "--key",
            "manager.key",
            "--args",
            arguments,
            "--yes",
            "--time",
            time,
        ];
        assert!(prints(&version, &approve).starts_with("agat1."));
    }
}
