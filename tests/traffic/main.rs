//! What `agentguard inspect` sees in recorded exchanges, against what a correct reader finds in them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code: a failure is a panic"
)]

use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where the recorded expectation is wrong: the exchange, the member, and why.
const DISPUTED: &[(&str, &str, &str)] = &[(
    "openllmetry/packages/opentelemetry-instrumentation-openai/tests/traces/cassettes/test_azure/\
     test_prompt_content_filtering.yaml#0",
    "error",
    "status 200 with a body that is nothing but `{\"error\": {…, \"code\": \"content_filter\"}}`",
)];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/traffic")
}

fn recorded() -> Vec<Value> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
        .iter()
        .flat_map(|file| {
            std::fs::read_to_string(file)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect::<Vec<Value>>()
        })
        .collect()
}

fn inspect(exchanges: &[Value]) -> Vec<Value> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(["--json", "inspect"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = exchanges
        .iter()
        .map(|exchange| format!("{exchange}\n"))
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn events<'v>(seen: &'v Value, kind: &str, direction: &str) -> impl Iterator<Item = &'v Value> {
    seen["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(move |event| event["event"] == kind && event["in"] == direction)
}

/// Characters of the texts of a kind, of one author if one is named; reasoning, refusals and metadata apart.
fn characters(seen: &Value, kind: &str, from: Option<&str>) -> Value {
    let count: usize = seen["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["event"] == kind && event.get("channel").is_none())
        .filter(|event| from.is_none_or(|from| event["from"] == from))
        .map(|event| event["text"].as_str().unwrap_or_default().chars().count())
        .sum();
    json!(count)
}

/// Calls of one half: name and arguments, parsed or as text.
fn calls(seen: &Value, direction: &str) -> Value {
    events(seen, "tool_call", direction)
        .filter(|event| event["runs"] != "provider")
        .map(|event| {
            let arguments = event.get("args").or_else(|| event.get("args_text"));
            json!([event["tool"], arguments])
        })
        .collect()
}

fn expected_calls(calls: &Value) -> Value {
    calls
        .as_array()
        .unwrap()
        .iter()
        .map(|call| json!([call["name"], call["arguments"]]))
        .collect()
}

fn offers(seen: &Value, by_provider: bool) -> Value {
    events(seen, "tool_offer", "request")
        .filter(|event| (event["runs"] == "provider") == by_provider)
        .map(|event| event["tool"].clone())
        .collect()
}

/// Every member of `expected` that this reader claims to see, beside what it saw.
fn comparisons(exchange: &Value, seen: &Value) -> Vec<(&'static str, Value, Value)> {
    let expected = &exchange["expected"];
    let mut pairs = vec![
        (
            "protocol",
            exchange["protocol"].clone(),
            seen["protocol"].clone(),
        ),
        (
            "provider",
            exchange["provider"].clone(),
            seen["provider"].clone(),
        ),
    ];
    let mut compare = |name: &'static str, actual: Value| {
        if let Some(value) = expected.get(name) {
            pairs.push((name, value.clone(), actual));
        }
    };
    if !expected["model"].is_null() {
        compare("model", seen["model"].clone());
    }
    compare("stream", seen["stream"].clone());
    compare("tools_offered", offers(seen, false));
    compare("provider_tools", offers(seen, true));
    compare("user_text_chars", characters(seen, "message", Some("user")));
    compare(
        "system_text_chars",
        characters(seen, "message", Some("system")),
    );
    compare(
        "tool_result_text_chars",
        characters(seen, "tool_result", None),
    );
    compare("response_text_chars", characters(seen, "response", None));
    compare("images", seen["attachments"]["image"].clone());
    compare("files", seen["attachments"]["file"].clone());
    compare("audio", seen["attachments"]["audio"].clone());
    compare("finish", seen["finish"].clone());
    compare("error", seen["error"].clone());
    for (name, direction) in [
        ("tool_calls", "response"),
        ("history_tool_calls", "request"),
    ] {
        if let Some(value) = expected.get(name) {
            pairs.push((name, expected_calls(value), calls(seen, direction)));
        }
    }
    if let Some(usage) = expected.get("usage").filter(|usage| usage.is_object()) {
        pairs.push((
            "usage",
            json!([usage["input"], usage["output"]]),
            json!([
                seen["usage"]["input_tokens"],
                seen["usage"]["output_tokens"]
            ]),
        ));
    }
    pairs
}

#[test]
fn every_recorded_exchange_is_seen_as_it_is() {
    let exchanges: Vec<Value> = recorded()
        .into_iter()
        .filter(|exchange| exchange["expected"]["stream"] != true)
        .collect();
    let seen = inspect(&exchanges);
    assert_eq!(seen.len(), exchanges.len());
    let mut wrong = Vec::new();
    for (exchange, seen) in exchanges.iter().zip(&seen) {
        let id = exchange["id"].as_str().unwrap();
        for (name, expected, actual) in comparisons(exchange, seen) {
            let is_disputed = DISPUTED
                .iter()
                .any(|(known, member, _)| *known == id && *member == name);
            if expected != actual && !is_disputed {
                wrong.push(format!("{id}: {name} is {expected}, seen {actual}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
