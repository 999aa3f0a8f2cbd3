//! The command line as a person or a script sees it.
#![expect(clippy::unwrap_used, reason = "test code: a failure is a panic")]

mod approve;
mod audit;
mod audit_index;
mod author;
mod compliance;
mod console_blocks;
mod doctor;
mod identity;
mod init;
mod kill;
mod manifests;
mod names;
mod output;
mod scan;
mod sinks;
mod yaml11;

use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn run(arguments: &[&str]) -> Output {
    run_with(arguments, b"")
}

fn run_with(arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(arguments)
        .current_dir(root())
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails early closes its standard input.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json_lines(output: &Output) -> Vec<Value> {
    out(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn files(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap()))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    names
}

/// Draws what a command says of each file of a folder, one snapshot a file.
fn gallery(folder: &str, command: &str, prefix: &str, exit: i32) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for file in files(folder) {
            let stem = Path::new(&file).file_stem().unwrap().to_str().unwrap();
            let name = format!("{prefix}{stem}");
            let output = run(&[command, &file]);
            let strict = run(&[command, "--strict", &file]);
            assert!(!out(&output).is_empty(), "{file}");
            assert!(
                strict.status.code() == Some(exit) || out(&output).starts_with("note"),
                "{file}"
            );
            insta::assert_snapshot!(name, out(&output));
        }
    });
}

#[test]
fn every_error_is_rendered_with_its_location_and_a_fix() {
    gallery("tests/cli/wrong", "validate", "", 1);
    assert!(files("tests/cli/wrong").len() >= 80);
}

#[test]
fn what_is_legal_and_wrong_is_drawn_as_well() {
    gallery("tests/cli/lint", "lint", "lint_", 1);
    // Validation alone has nothing to say of it, but for what Envoy does not provide yet.
    for file in files("tests/cli/lint") {
        for line in json_lines(&run(&["--json", "validate", &file])) {
            assert_eq!(line["code"], "AG1017", "{file}");
        }
    }
}

#[test]
fn every_finding_of_lint_has_a_picture() {
    let mut seen = std::collections::BTreeSet::new();
    for file in files("tests/cli/lint") {
        for line in json_lines(&run(&["--json", "lint", &file])) {
            seen.insert(line["code"].as_str().unwrap().to_owned());
        }
    }
    let codes = json_lines(&run(&["--json", "explain"]));
    let known = codes.iter().map(|code| code["code"].as_str().unwrap());
    for code in known.filter(|code| code.starts_with("AG11")) {
        assert!(
            seen.contains(code),
            "no policy in tests/cli/lint causes {code}"
        );
    }
}

#[test]
fn diagnostics_as_json_carry_everything_a_tool_needs() {
    let output = run(&[
        "--json",
        "validate",
        "tests/cli/wrong/after_other_letters.yaml",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        json_lines(&output),
        [json!({
            "code": "AG1010", "severity": "error", "file": "tests/cli/wrong/after_other_letters.yaml",
            "line": 8, "column": 21, "byte_start": 175, "byte_end": 183,
            "path": "rules[0].when.text.contians",
            "message": "unknown operator `contians`", "help": "did you mean `contains`?",
            "fix": {"byte_start": 175, "byte_end": 183, "with": "contains"},
        })]
    );
}

/// The policies that ship, without their tests.
#[test]
fn an_applied_fix_repairs_the_file() {
    let yaml = |key: &str, action: &str| {
        format!(
            "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: ü }}\ndefaults: {{ {key}: {action} }}\n"
        )
    };
    let json = r#"{"apiVersion":"agentguard.dev/v1","kind":"AgentPolicy","metadata":{"name":"x"},"defaults":{"actoin":"allow"}}"#;
    for wrong in [
        yaml("action", "alow"),
        yaml("action", "\"alow\""),
        yaml("action", "'alow'"),
        yaml("actoin", "allow"),
        yaml("\"actoin\"", "allow"),
        json.to_owned(),
        json.replace("actoin", "action").replace("allow", "alow"),
    ] {
        for mark in ["", "\u{FEFF}"] {
            let mut file = format!("{mark}{wrong}").into_bytes();
            let told = run_with(&["--json", "validate", "-"], &file);
            let told = json_lines(&told);
            let fix = told.iter().find_map(|line| line.get("fix")).unwrap();
            let byte = |key: &str| usize::try_from(fix[key].as_u64().unwrap()).unwrap();
            let with = fix["with"].as_str().unwrap().bytes();
            file.splice(byte("byte_start")..byte("byte_end"), with);
            let mended = run_with(&["--json", "validate", "-"], &file);
            assert_eq!(mended.status.code(), Some(0), "{wrong}: {mended:?}");
        }
    }
}

fn policies() -> Vec<String> {
    files("policies")
        .into_iter()
        .filter(|file| !file.ends_with(".test.yaml"))
        .collect()
}

#[test]
fn what_is_well_is_not_complained_of() {
    for file in policies() {
        let output = run(&["--json", "validate", &file]);
        assert_eq!(output.status.code(), Some(0), "{file}");
        for line in json_lines(&output) {
            assert_eq!(line["code"], "AG1017", "{file}: {line}");
        }
    }
}

#[test]
fn policies_that_ship_are_sound_and_say_whom_they_are_for() {
    assert!(policies().len() >= 12);
    for file in policies() {
        let output = run(&["--json", "lint", &file]);
        assert_eq!(output.status.code(), Some(0), "{file}: {}", out(&output));
        // What remains are exceptions: denials that win over allows, and commands that an agent's work can't do without; and
        // what Envoy does not provide yet.
        for line in json_lines(&output) {
            let is_told = ["AG1105", "AG1122", "AG1017"]
                .iter()
                .any(|code| line["code"] == *code);
            assert!(is_told, "{file}: {line}");
        }
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        assert_eq!(
            text.find("# For: "),
            text.find('\n').map(|end| end + 1),
            "{file}"
        );
        assert!(text.contains("\n# Does not: "), "{file}");
        let formatted = run(&["fmt", "--check", &file]);
        assert_eq!(
            formatted.status.code(),
            Some(0),
            "{file} is not in its usual form"
        );
    }
}

#[test]
fn policies_that_ship_pass_their_tests_and_every_rule_is_reached() {
    let output = run(&["--json", "test", "policies", "--coverage"]);
    assert_eq!(output.status.code(), Some(0));
    let lines = json_lines(&output);
    let cases = lines.iter().filter(|line| line.get("ok").is_some()).count();
    assert!(cases > 150, "{cases}");
    let coverage: Vec<&Value> = lines
        .iter()
        .filter(|line| line.get("missed").is_some())
        .collect();
    let terse = 3;
    assert_eq!(coverage.len(), policies().len() + terse);
    for policy in coverage {
        assert_eq!(policy["missed"], json!([]), "{policy}");
    }
}

#[test]
fn wrong_use_and_unreadable_input_end_with_two() {
    for arguments in [
        &["nonsense"][..],
        &["validate"],
        &["validate", "no/such/file.yaml"],
        &["check", "policies/getting-started.yaml"],
        &["check", "tests/cli/wrong/no_defaults.yaml", "--model", "x"],
        &[
            "build",
            "policies/getting-started.yaml",
            "--for",
            "json",
            "--bootstrap",
        ],
        &[
            "build",
            "policies/getting-started.yaml",
            "--for",
            "envoy",
            "--listen",
            "[::1]:80",
        ],
        &[
            "build",
            "policies/getting-started.yaml",
            "--for",
            "envoy",
            "--bootstrap",
            "--upstream",
            "https://gateway.example/openai",
        ],
        &[
            "check",
            "policies/getting-started.yaml",
            "--tool",
            "x",
            "--args",
            "{",
        ],
        &[
            "check",
            "policies/getting-started.yaml",
            "--event",
            "nonsense",
        ],
        &[
            "check",
            "policies/getting-started.yaml",
            "--text",
            "x",
            "--time",
            "noon",
        ],
        &["build", "tests/cli/wrong/no_defaults.yaml", "--for", "json"],
        &[
            "build",
            "policies/getting-started.yaml",
            "--for",
            "envoy",
            "--bootstrap",
            "--upstream",
            "ftp://x",
        ],
        &["explain", "AG9999"],
        &["explain", "no/such/policy.yaml"],
        &["inspect", "no/such/file.jsonl"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?} says why");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    assert_eq!(
        run_with(&["inspect"], b"{\"id\":1}\n").status.code(),
        Some(2)
    );
}

#[test]
fn inspect_sees_what_the_filter_sees() {
    let exchange = |method: &str, path: &str, body: &str, answered: &str, answer: &str| {
        json!({
            "id": path,
            "request": {"method": method, "host": "a.example", "path": path,
                "headers": {"content-type": "application/json"}, "body": body},
            "response": {"status": 200, "headers": {"content-type": answered}, "body": answer},
        })
    };
    let result = json!({"custom_id": "1", "result": {"type": "succeeded", "message": {"role": "assistant",
        "content": [{"type": "tool_use", "id": "t", "name": "wipe", "input": {}}]}}});
    let lines = [
        // Results of a batch are lines that come as a whole.
        exchange(
            "GET",
            "/v1/messages/batches/b/results",
            "",
            "application/x-jsonl",
            &format!("{result}\n"),
        ),
        // What is no JSON is told as that, where only the body could have told the protocol.
        exchange(
            "POST",
            "/mcp",
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            "application/json",
            "{}",
        ),
        exchange("POST", "/mcp", "hello", "application/json", "{}"),
    ];
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let seen = json_lines(&run_with(&["--json", "inspect"], lines.as_bytes()));
    assert_eq!(seen[0]["coverage"]["level"], "full");
    assert_eq!(seen[0]["events"][0]["tool"], "wipe");
    assert_eq!(seen[1]["coverage"]["reasons"], json!(["request:AG2002"]));
    assert_eq!(seen[2]["coverage"]["reasons"], json!(["request:AG2007"]));
    // For a person, too.
    let answer = json!({"model": "m", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "red\u{1b}[31m"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}});
    let ask = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]});
    let chat = exchange(
        "POST",
        "/v1/chat/completions",
        &ask.to_string(),
        "application/json",
        &answer.to_string(),
    );
    let told = out(&run_with(&["inspect"], chat.to_string().as_bytes()));
    assert!(
        told.starts_with("/v1/chat/completions: other openai.chat chat.completions model m coverage partial (request:attachment) tokens 3 in, 2 cached, 4 out\n"),
        "{told}"
    );
    assert!(told.contains("red [31m"), "{told}");
}

#[test]
fn check_evaluates_its_options_and_exits_by_the_decision() {
    let check = |arguments: &[&str]| {
        let mut all = vec!["--json", "check", "policies/getting-started.yaml"];
        all.extend_from_slice(arguments);
        let output = run(&all);
        (output.status.code(), json_lines(&output).remove(0))
    };
    assert_eq!(
        check(&["--model", "gpt-4o-mini"]),
        (
            Some(0),
            json!({"action": "allow", "status": 200, "rules": []})
        )
    );
    assert_eq!(
        check(&["--model", "o1-pro"]),
        (
            Some(1),
            json!({"action": "deny", "status": 400, "code": "AG3001",
                   "rules": [{"id": "no-pro-models", "action": "deny", "mode": "enforce"}],
                   "reason": "Pro models are not for agents.", "remedy": "Use gpt-4o-mini."})
        )
    );
    assert_eq!(
        check(&["--text", "card 4111 1111 1111 1111"]),
        (
            Some(0),
            json!({"action": "redact", "status": 200,
                   "rules": [{"id": "mask-payment-data", "action": "redact", "mode": "enforce"}],
                   "findings": {"credit_card": 1}, "text": "card [CREDIT_CARD]"})
        )
    );
    assert_eq!(
        check(&["--tool", "delete_customer", "--args", "{\"id\": 7}"]).0,
        Some(1)
    );
}

#[test]
fn check_reads_a_policy_from_standard_input_and_shows_observed_decisions() {
    let policy = "apiVersion: agentguard.dev/v1
kind: AgentPolicy
metadata: { name: t }
mode: observe
require: none
environment: prod
defaults: { action: allow }
rules:
  - id: big
    match: { tool: refund, environment: prod }
    when: { args.amount: { greater_than: 100 } }
    unless: { principal.roles: lead }
    action: require_approval
";
    let check = |arguments: &[&str]| {
        let mut all = vec!["--json", "check", "-", "--tool", "refund"];
        all.extend_from_slice(arguments);
        let output = run_with(&all, policy.as_bytes());
        assert_eq!(output.status.code(), Some(0), "nothing is enforced");
        let verdict = json_lines(&output).remove(0);
        verdict
            .get("would")
            .map(|would| would.as_str().unwrap().to_owned())
    };
    let approval = Some("require_approval".to_owned());
    assert_eq!(check(&["--args", "{\"amount\": 100.01}"]), approval);
    assert_eq!(check(&["--args", "{\"amount\": \"1e3\"}"]), approval);
    assert_eq!(
        check(&["--args", "{\"amount\": \"a lot\"}"]),
        approval,
        "unreadable counts as strict"
    );
    assert_eq!(check(&["--args", "{\"amount\": 100}"]), None);
    assert_eq!(
        check(&["--args", "{}"]),
        None,
        "missing: a positive operator is false"
    );
    assert_eq!(
        check(&["--args", "{\"amount\": 500}", "--env", "dev"]),
        None
    );
    assert_eq!(
        check(&[
            "--args",
            "{\"amount\": 500}",
            "--principal",
            "{\"roles\": [\"lead\", \"x\"]}"
        ]),
        None
    );
    assert_eq!(
        check(&[
            "--args",
            "{\"amount\": 500}",
            "--principal",
            "{\"roles\": [\"x\"]}"
        ]),
        approval
    );
}

#[test]
fn the_version_is_the_same_from_yaml_and_from_what_build_writes() {
    let built = run(&["build", "policies/getting-started.yaml", "--for", "json"]);
    assert_eq!(built.status.code(), Some(0));
    let version = |output: &Output| {
        let text = out(output);
        let at = text.find("sha256:").unwrap();
        text.get(at..at + 71).unwrap().to_owned()
    };
    let yaml = run(&["validate", "policies/getting-started.yaml"]);
    let json = run_with(&["validate", "-"], &built.stdout);
    assert_eq!(version(&yaml), version(&json));
}

#[test]
fn build_writes_what_envoy_reads() {
    let policy = "policies/getting-started.yaml";
    let discovery = run(&["build", policy, "--for", "envoy", "--wasm", "/w/a.wasm"]);
    let discovery: Value = serde_json::from_slice(&discovery.stdout).unwrap();
    let filter = &discovery["resources"][0]["typed_config"]["config"];
    assert_eq!(
        filter["vm_config"]["code"]["local"]["filename"],
        "/w/a.wasm"
    );
    assert_eq!(filter["failure_policy"], "FAIL_RELOAD");
    let document: Value =
        serde_json::from_str(filter["configuration"]["value"].as_str().unwrap()).unwrap();
    assert_eq!(document["metadata"]["name"], "getting-started");
    let bootstrap = run(&[
        "build",
        policy,
        "--for",
        "envoy",
        "--bootstrap",
        "--watch",
        "/etc/agentguard/filter.json",
    ]);
    let bootstrap: Value = serde_json::from_slice(&bootstrap.stdout).unwrap();
    let manager = &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
        ["typed_config"];
    let filters = manager["http_filters"].as_array().unwrap();
    let ours = filters
        .iter()
        .find(|filter| filter["name"] == "agentguard")
        .unwrap();
    let source = &ours["config_discovery"]["config_source"]["path_config_source"];
    assert_eq!(source["path"], "/etc/agentguard/filter.json");
    assert_eq!(source["watched_directory"]["path"], "/etc/agentguard");
}

#[test]
fn every_code_can_be_explained() {
    let all = json_lines(&run(&["--json", "explain"]));
    assert!(all.len() > 30);
    for code in all {
        let id = code["code"].as_str().unwrap();
        let output = run(&["explain", id]);
        assert_eq!(output.status.code(), Some(0));
        assert!(out(&output).contains(code["explanation"].as_str().unwrap()));
    }
}

#[test]
fn help_names_every_subcommand_and_the_exit_status() {
    let help = out(&run(&["--help"]));
    for word in [
        "validate",
        "lint",
        "check",
        "test",
        "inspect",
        "scan",
        "replay",
        "diff",
        "build",
        "fmt",
        "schema",
        "explain",
        "Exit status",
    ] {
        assert!(help.contains(word), "{word}");
    }
}

mod tools;
