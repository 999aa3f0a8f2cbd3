//! `agentguard scan`, and the detectors that a policy brings.

use super::{json_lines, out, run, run_with};
use serde_json::{Value, json};

const POLICY: &str = r#"
apiVersion: agentguard.dev/v1
kind: AgentPolicy
metadata: { name: t }
defaults: { action: allow }
inspect: { decode: true }
lists:
  domains: [example.com]
  codenames: [swan, "blue heron"]
detectors:
  employee_id: { pattern: 'EMP-\d{6}', context: [employee], confidence: high, groups: [pii.staff] }
  customer: { pattern: '\b\d{11}\b', context: [customer], validator: luhn, allow: [79927398713] }
  codename: { keywords: { list: codenames } }
  email: { allow: { list: domains } }
  payment: { allow: [{ list: test_cards }] }
  "*": { allow: [192.0.2.0/24] }
rules:
  - id: mask
    match: { event: message }
    when: { text: { detects: [pii, codename, customer] } }
    action: redact
"#;

/// What is found in each text.
fn scanned(options: &[&str], texts: &[&str]) -> Vec<Value> {
    let lines: String = texts
        .iter()
        .enumerate()
        .map(|(id, text)| format!("{}\n", json!({"id": id, "text": text})))
        .collect();
    let mut arguments = vec!["--json", "scan"];
    arguments.extend_from_slice(options);
    let output = run_with(&arguments, lines.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    json_lines(&output)
        .iter()
        .enumerate()
        .map(|(id, line)| {
            assert_eq!(line.get("id"), Some(&json!(id)));
            line.get("spans").unwrap().clone()
        })
        .collect()
}

/// The text as a policy lets it leave.
fn checked(text: &str) -> Value {
    let arguments = ["--json", "check", "-", "--text", text];
    let output = run_with(&arguments, POLICY.as_bytes());
    let verdict = json_lines(&output).remove(0);
    verdict.get("text").cloned().unwrap_or_default()
}

#[test]
fn spans_are_code_points_of_each_text() {
    assert_eq!(
        scanned(
            &[],
            &[
                "é😀 a@b.co",
                "nothing",
                "use AKIAQ3EGRIKP7ZLX4MTN, mail x@y.org"
            ]
        ),
        [
            json!([[3, 9, "email"]]),
            json!([]),
            json!([[4, 24, "aws_access_key"], [31, 38, "email"]])
        ]
    );
}

#[test]
fn detectors_confidence_and_decoding_can_be_asked_for() {
    let card = "4111 1111 1111 1111 or a@b.co";
    assert_eq!(
        scanned(&["--detects", "payment"], &[card]),
        [json!([[0, 19, "credit_card"]])]
    );
    assert_eq!(
        scanned(
            &["--detects", "us_ssn", "--confidence", "low"],
            &["536220846"]
        ),
        [json!([[0, 9, "us_ssn"]])]
    );
    assert_eq!(
        scanned(&["--detects", "us_ssn"], &["536220846"]),
        [json!([])]
    );
    // `mail ann@contoso.com now`
    let encoded = "bWFpbCBhbm5AY29udG9zby5jb20gbm93";
    assert_eq!(scanned(&[], &[encoded]), [json!([])]);
    assert_eq!(
        scanned(&["--decode"], &[encoded]),
        [json!([[0, 32, "email"]])]
    );
}

#[test]
fn a_policy_brings_detectors_and_what_is_no_finding() {
    let folder = std::env::temp_dir().join(format!("agentguard-scan-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("policy.yaml");
    std::fs::write(&file, POLICY).unwrap();
    let found = scanned(
        &["--policy", file.to_str().unwrap()],
        &[
            "employee EMP-123456",
            "the Blue Heron flies",
            "swans fly",
            "customer 79927398713, 17893729974, 17893729975",
            "ann@example.com, ann@contoso.com",
            "4111 1111 1111 1111",
            "from 192.0.2.17 and 198.51.100.7",
        ],
    );
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(
        found,
        [
            json!([[9, 19, "employee_id"]]),
            json!([[4, 14, "codename"]]),
            json!([]),
            json!([[22, 33, "customer"]]),
            json!([[17, 32, "email"]]),
            json!([]),
            json!([[20, 32, "ip_address"]]),
        ]
    );
}

#[test]
fn rules_ask_for_a_policy_s_own_detectors_by_name_and_group() {
    assert_eq!(
        checked("employee EMP-123456, swan, customer 17893729974"),
        "employee [EMPLOYEE_ID], [CODENAME], customer [CUSTOMER]"
    );
    assert_eq!(
        checked("ann@example.com or 4111111111111111"),
        Value::Null,
        "both are on a list"
    );
    assert_eq!(
        checked("see bWFpbCBhbm5AY29udG9zby5jb20gbm93"),
        "see [EMAIL]"
    );
}

#[test]
fn for_people_each_finding_is_a_line_without_the_text() {
    let output = run_with(&["scan"], b"{\"text\":\"mail a@b.co\"}\n");
    assert_eq!(out(&output), "line 1: 5-11 email (high)\n");
}

#[test]
fn what_is_no_line_of_text_and_no_detector_ends_with_two() {
    for (arguments, input) in [
        (&["scan"][..], &b"{\"id\":1}\n"[..]),
        (&["scan", "--detects", "creditcard"], b""),
        (
            &["scan", "--policy", "tests/cli/wrong/no_defaults.yaml"],
            b"",
        ),
        (&["scan", "no/such/file"], b""),
    ] {
        let output = run_with(arguments, input);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?} says why");
    }
    let suggestion = run(&["scan", "--detects", "creditcard"]);
    let message = String::from_utf8(suggestion.stderr).unwrap();
    assert!(message.contains("did you mean `credit_card`?"), "{message}");
}

#[test]
fn the_detectors_of_the_docs_example_find_what_they_say() {
    let page = include_str!("../../docs/detectors.md");
    let (_, own) = page.split_once("## A policy's own\n\n```yaml\n").unwrap();
    let (example, _) = own.split_once("```").unwrap();
    let head = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: t }\ndefaults: { action: allow }\n";
    let policy = format!("{head}{example}");
    let leaves = |text: &str| {
        let output = run_with(&["--json", "check", "-", "--text", text], policy.as_bytes());
        let verdict = json_lines(&output).remove(0);
        verdict.get("text").cloned().unwrap_or(json!(text))
    };
    assert_eq!(
        leaves("staff id EMP-123455 of Blue Heron"),
        json!("staff id [EMPLOYEE_ID] of [CODENAME]")
    );
    // A wrong check digit, no word before it, on the allow-list.
    for text in ["staff id EMP-123456", "EMP-123455", "staff id EMP-000000"] {
        assert_eq!(leaves(text), json!(text));
    }
}

#[test]
fn a_byte_order_mark_before_lines_is_passed_over() {
    let line = "\u{FEFF}{\"id\":1,\"text\":\"jane@example.com\"}\r\n";
    let output = run_with(&["--json", "scan"], line.as_bytes());
    assert_eq!(
        json_lines(&output),
        [json!({"id": 1, "spans": [[0, 16, "email"]]})]
    );
}
