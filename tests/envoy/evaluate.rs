//! `POST /agentguard/evaluate` of the administration filter: the decision of the policy in force on a described exchange.

use super::health::{Probed, curl, get};
use super::identity::forge::Folder;
use crate::scene::case;
use agentguard::author::parse_yaml;
use harness::{Answer, Host, Provider, Version, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

in_both_envoys![
    it_says_of_shipped_cases_what_the_command_says,
    it_changes_nothing_and_sees_what_traffic_has_used,
    without_leave_to_hold_headers_it_says_so,
];

/// Returns the policies whose cases have whole exchanges, each with these exchanges in the form of the endpoint.
fn told_cases() -> BTreeMap<String, Vec<(String, Value)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut told: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for entry in std::fs::read_dir(&root).expect("the policies") {
        let path = entry.expect("a file").path();
        if !path.to_string_lossy().ends_with(".test.yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a test file");
        let mut written = Vec::new();
        parse_yaml(&text).expect("YAML").write_json(&mut written);
        let written: Value = serde_json::from_slice(&written).expect("JSON");
        let policy = format!("policies/{}", written["policy"].as_str().expect("a name"));
        let source = std::fs::read_to_string(&policy).expect("a policy");
        // Envoy does not expose its node to a native module.
        if Host::of_run() == Host::Native && source.contains("environment: { from: node") {
            continue;
        }
        for case in written["tests"].as_array().expect("cases") {
            let mut exchange = case["exchange"].clone();
            if exchange.is_null() || !exchange["properties"].is_null() {
                continue;
            }
            for fact in ["principal", "time"] {
                if !case[fact].is_null() {
                    exchange[fact] = case[fact].clone();
                }
            }
            let name = case["name"].as_str().expect("a name").to_owned();
            told.entry(policy.clone())
                .or_default()
                .push((name, exchange));
        }
    }
    told
}

/// Returns the output of `agentguard explain POLICY --exchange -`.
fn explained(policy: &str, exchange: &Value) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(["--json", "explain", policy, "--exchange", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let mut stdin = child.stdin.take().expect("its standard input");
    stdin
        .write_all(exchange.to_string().as_bytes())
        .expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the command");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.stdout.is_empty(), "{errors}");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    told["verdict"].clone()
}

/// Returns the status and the response of the endpoint.
fn evaluated(port: u16, exchange: &Value) -> (String, Value) {
    let body = exchange.to_string();
    let (status, answer) = curl(port, "/agentguard/evaluate", &["--data-binary", &body]);
    let answer = serde_json::from_str(&answer);
    (status, answer.expect("JSON"))
}

fn ids(rules: &Value) -> Vec<&str> {
    let rules = rules.as_array().into_iter().flatten();
    let mut ids: Vec<&str> = rules.filter_map(|rule| rule["id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn started(version: Version, name: &str, policy: &str, provider: &Provider) -> Probed {
    provider.answer_always(Answer::json(200, b"{}"));
    let folder = Folder::new(name);
    Probed::deploy(&folder, policy);
    let upstream = provider.address.to_string();
    Probed::start(version, folder, &upstream)
}

fn it_says_of_shipped_cases_what_the_command_says(version: Version) {
    let told = told_cases();
    let provider = Provider::start();
    let first = told.keys().next().expect("a policy");
    let envoy = started(version, "evaluate", first, &provider);
    let mut compared = 0;
    for (policy, cases) in &told {
        Probed::deploy(&envoy.folder, policy);
        let name = policy
            .trim_start_matches("policies/")
            .trim_end_matches(".yaml");
        wait_for(policy, || {
            let (_, told) = get(envoy.health, "/agentguard/policy");
            let told: Value = serde_json::from_str(&told).ok()?;
            (told["policies"].as_array()?.len() == 1 && told["policies"][0]["name"] == name)
                .then_some(())
        });
        for (name, exchange) in cases {
            case(&format!("{policy}: {name}"), || {
                let (status, answer) = evaluated(envoy.health, exchange);
                assert_eq!(status, "200", "{answer}");
                let decided = &answer["policies"][0];
                let said = explained(policy, exchange);
                assert_eq!(decided["decision"], said["action"], "{decided} {said}");
                for member in ["would", "code", "undecided", "findings"] {
                    assert_eq!(decided[member], said[member], "{member}: {decided} {said}");
                }
                assert_eq!(ids(&decided["rules"]), ids(&said["rules"]));
            });
            compared += 1;
        }
    }
    assert!(compared > 40, "{compared} cases");
    // No evaluated exchange was forwarded.
    assert_eq!(provider.count(), 0);
}

const LIMITED: &str = "apiVersion: agentguard.dev/v1
kind: AgentPolicy
metadata: { name: limited }
defaults: { action: allow }
rules:
- id: two
  match: { event: request }
  action: deny
  limit: { count: requests, per: client, max: 2, window: 1h }
";

fn it_changes_nothing_and_sees_what_traffic_has_used(version: Version) {
    let provider = Provider::start();
    let policies = Folder::new("evaluate-policy");
    let policy = policies.write("limited.yaml", LIMITED);
    let envoy = started(version, "evaluate-limits", &policy, &provider);
    wait_for("the policy", || {
        (get(envoy.health, "/ready").0 == "200").then_some(())
    });
    let secret = "AKIAQYLPMN5HFIQR7XYA";
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": format!("key {secret}")}]});
    let exchange = json!({
        "policy": "limited",
        "request": {
            "host": "api.openai.com",
            "path": "/v1/chat/completions",
            "headers": {"authorization": format!("Bearer {secret}")},
            "body": body,
        },
    });
    let decided = || {
        let (status, answer) = evaluated(envoy.health, &exchange);
        assert_eq!(status, "200", "{answer}");
        assert!(!answer.to_string().contains(secret), "{answer}");
        answer["policies"][0].clone()
    };
    for _ in 0..5 {
        assert_eq!(decided()["decision"], "allow");
    }
    let send = || {
        let body = body.to_string();
        let options = ["-d", &body, "-H", "content-type: application/json"];
        curl(envoy.traffic, "/v1/chat/completions", &options).0
    };
    assert_eq!([send(), send()], ["200", "200"]);
    let denied = decided();
    assert_eq!(denied["code"], "AG5001", "{denied}");
    assert_eq!(denied["why"][0]["rule"], "two");
    // The third request is denied as it would have been anyway, and the log has only the traffic.
    assert_eq!(json!(send()), json!(denied["status"].to_string()));
    let log = format!("{}/audit.jsonl", envoy.folder.root());
    let lines = wait_for("three audit events", || {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.lines().count() >= 3).then_some(text)
    });
    let sequence: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("an audit event"))
        .collect();
    assert_eq!(sequence.len(), 3, "{lines}");
    let (_, stats) = get(envoy.health, "/stats");
    let requests: u32 = stats
        .lines()
        .filter(|line| line.starts_with("agentguard_requests_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok())
        .sum();
    assert_eq!(requests, 3);
    // A body that is no exchange is reported.
    for (sent, status, code) in [
        (json!({"pth": "/"}).to_string(), "400", "AG1004"),
        ("{".to_owned(), "400", "AG1001"),
        (
            format!("{{\"path\":\"/{}\"}}", "a".repeat(600_000)),
            "413",
            "AG1019",
        ),
    ] {
        let file = envoy.folder.write("told.json", &sent);
        let options = ["--data-binary", &format!("@{file}")];
        let (told, answer) = curl(envoy.health, "/agentguard/evaluate", &options);
        assert_eq!(told, status, "{answer}");
        assert!(answer.contains(code), "{answer}");
    }
    assert_eq!(get(envoy.health, "/agentguard/evaluate").0, "405");
}

fn without_leave_to_hold_headers_it_says_so(version: Version) {
    let folder = Folder::new("evaluate-headers");
    Probed::deploy(&folder, "policies/getting-started.yaml");
    let provider = Provider::start();
    let upstream = provider.address.to_string();
    let envoy = Probed::start_changed(version, folder, &upstream, |example| {
        example.replace("allow_on_headers_stop_iteration: true", "")
    });
    wait_for("the policy", || {
        (get(envoy.health, "/ready").0 == "200").then_some(())
    });
    let exchange = json!({"request": {"path": "/v1/chat/completions", "body": {}}});
    let (status, answer) = evaluated(envoy.health, &exchange);
    match Host::of_run() {
        // Envoy delivers no body after headers that the filter held. The endpoint reports it before Envoy's own timeout.
        Host::Wasm => {
            assert_eq!(status, "503", "{answer}");
            assert_eq!(answer["error"]["code"], "AG9002", "{answer}");
        }
        // A native module may always hold headers.
        Host::Native => assert_eq!(status, "200", "{answer}"),
    }
    // A request without a body does not wait.
    assert_eq!(get(envoy.health, "/agentguard/policy").0, "200");
}
