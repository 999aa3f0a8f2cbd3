//! Names that clients and tools spell in their own ways, as `check` decides them.

use super::*;

const HEAD: &str =
    "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: t }\nrequire: none\n";

/// What `check` does with calls, under a policy from standard input.
fn decided(policy: &str, calls: &[(&str, &str)]) -> Vec<String> {
    calls
        .iter()
        .map(|(tool, args)| {
            let arguments = ["--json", "check", "-", "--tool", tool, "--args", args];
            let output = run_with(&arguments, policy.as_bytes());
            let line = json_lines(&output).remove(0);
            line.get("action")
                .and_then(Value::as_str)
                .unwrap()
                .to_owned()
        })
        .collect()
}

fn all(policy: &str, expected: &str, calls: &[(&str, &str)]) {
    for (call, action) in calls.iter().zip(decided(policy, calls)) {
        assert_eq!(action, expected, "{call:?}");
    }
}

fn denying(rule: &str) -> String {
    format!(
        "{HEAD}defaults: {{ action: allow }}\nrules:\n  - {{ id: r, {rule}, action: deny, reason: No. }}\n"
    )
}

fn allowing(rule: &str) -> String {
    format!("{HEAD}defaults: {{ action: deny }}\nrules:\n  - {{ id: r, {rule}, action: allow }}\n")
}

#[test]
fn arguments_in_other_letters_are_denied_and_never_allowed() {
    let calls = [
        ("pay", r#"{"amount": 5, "Amount": 500}"#),
        ("pay", r#"{"AMOUNT": 500}"#),
        ("pay", r#"{"amount": 5, "a-mount": 500}"#),
        ("pay", r#"{"amount": 5, "ａmount": 500}"#),
    ];
    let rule = "match: { tool: pay }, when: { args.amount: { greater_than: 100 } }";
    all(&denying(rule), "deny", &calls);
    let rule = "match: { tool: pay }, when: { args.amount: { between: [0, 100] } }";
    all(&allowing(rule), "deny", &calls);
    all(
        &allowing(rule),
        "deny",
        &[("pay", r#"{"amount": 5, "Amount": 5}"#)],
    );
    all(
        &allowing(rule),
        "allow",
        &[("pay", r#"{"amount": 5, "note": "x"}"#)],
    );
}

#[test]
fn arguments_in_json_in_a_string_are_denied_and_never_allowed() {
    let calls = [
        ("pay", r#"{"x": "{\"amount\": 500}"}"#),
        ("pay", r#"{"x": "{\"AMOUNT\": \"500\"}"}"#),
        ("pay", r#"{"x": "\"{\\\"amount\\\": 500}\""}"#),
    ];
    let rule = "match: { tool: pay }, when: { args.x.amount: { greater_than: 100 } }";
    all(&denying(rule), "deny", &calls);
    let rule = "match: { tool: pay }, when: { args..amount: { greater_than: 100 } }";
    all(&denying(rule), "deny", &calls);
    let rule = "match: { tool: pay }, when: { args.x.amount: { between: [0, 1000] } }";
    all(&allowing(rule), "deny", &calls);
}

#[test]
fn support_agent_lets_no_amount_through_by_its_spelling() {
    let output = run(&[
        "--json",
        "check",
        "policies/support-agent.yaml",
        "--tool",
        "issue_refund",
        "--args",
        r#"{"amount": 5, "Amount": 5000}"#,
        "--principal",
        r#"{"id": "a", "roles": ["support"]}"#,
    ]);
    let line = json_lines(&output).remove(0);
    assert_eq!(
        line.get("action").and_then(Value::as_str),
        Some("require_approval")
    );
}

#[test]
fn tools_that_a_client_joined_with_their_server_are_denied_and_not_allowed() {
    let joined = [
        ("mcp__github__delete_repo", "{}"),
        ("mcp_github_delete_repo", "{}"),
        ("github__delete_repo", "{}"),
        ("github_delete_repo", "{}"),
        ("github.delete_repo", "{}"),
        ("github-delete_repo", "{}"),
        ("github/delete_repo", "{}"),
        ("github:delete_repo", "{}"),
    ];
    for name in [
        "delete_repo",
        "\"delete_*\"",
        "[other, delete_repo]",
        "github/delete_repo",
    ] {
        all(
            &denying(&format!("match: {{ tool: {name} }}")),
            "deny",
            &joined,
        );
    }
    all(&allowing("match: { tool: delete_repo }"), "deny", &joined);
    all(
        &denying("match: { tool: delete }"),
        "allow",
        &[
            ("file_delete", "{}"),
            ("delete_file", "{}"),
            ("undelete", "{}"),
        ],
    );
}

#[test]
fn wildcards_of_the_short_syntax_mean_every_spelling() {
    let calls = [
        ("delete:user", "{}"),
        ("delete_user", "{}"),
        ("deleteUser", "{}"),
        ("delete-user", "{}"),
        ("delete.user", "{}"),
        ("delete user", "{}"),
    ];
    let policy =
        "policy:\n  name: t\n  default_action: allow\n  deny:\n    - { action: \"delete:*\" }\n";
    all(policy, "deny", &calls);
    all(policy, "allow", &[("read_user", "{}"), ("undelete", "{}")]);
    let policy =
        "policy:\n  name: t\n  default_action: deny\n  allow:\n    - { action: \"read *\" }\n";
    all(
        policy,
        "allow",
        &[("read_file", "{}"), ("readFile", "{}"), ("read file", "{}")],
    );
    all(policy, "deny", &[("ready", "{}"), ("delete_user", "{}")]);
}

#[test]
fn a_list_of_commands_allows_no_variable_and_no_file_that_it_does_not_name() {
    let policy = denying("match: { tool: bash }, unless: { args.c: { command_in: [git, cat] } }");
    all(
        &policy,
        "deny",
        &[
            ("bash", r#"{"c": "EDITOR=rm git commit"}"#),
            ("bash", r#"{"c": "GIT_PAGER=x git log"}"#),
            ("bash", r#"{"c": "JAVA_TOOL_OPTIONS=-javaagent:x git log"}"#),
            ("bash", r#"{"c": "cat x > /etc/cron.d/x"}"#),
            ("bash", r#"{"c": "cat x &> y"}"#),
        ],
    );
    all(
        &policy,
        "allow",
        &[
            ("bash", r#"{"c": "LC_ALL=C git log 2>&1"}"#),
            ("bash", r#"{"c": "cat x 2>/dev/null"}"#),
        ],
    );
    let policy = denying(
        "match: { tool: bash }, unless: { args.c: { command_in: { commands: [git, cat], redirect: [/tmp], variables: [EDITOR] } } }",
    );
    all(
        &policy,
        "allow",
        &[
            ("bash", r#"{"c": "EDITOR=true git commit"}"#),
            ("bash", r#"{"c": "cat x > /tmp/y"}"#),
        ],
    );
    all(
        &policy,
        "deny",
        &[("bash", r#"{"c": "cat x > /tmp/../y"}"#)],
    );
}

#[test]
fn what_only_looks_like_a_folder_is_not_within_it() {
    let policy = allowing("match: { tool: read }, when: { args.p: { path_within: [/srv] } }");
    all(
        &policy,
        "deny",
        &[
            ("read", r#"{"p": "/srv/．．/etc"}"#),
            ("read", r#"{"p": "/srv/$(id)"}"#),
            ("read", r#"{"p": "/srv/{a,../../etc}"}"#),
        ],
    );
    all(
        &policy,
        "allow",
        &[("read", r#"{"p": "/srv/{slug}/ä.md"}"#)],
    );
    let rule = "match: { tool: fetch }, when: { args.u: { cidr_in: [127.0.0.0/8] } }";
    all(
        &denying(rule),
        "deny",
        &[("fetch", r#"{"u": "http://0.0.0.0/"}"#)],
    );
    let rule = "match: { tool: read }, when: { args.p: { glob: \"**/.env\" } }";
    all(
        &denying(rule),
        "deny",
        &[("read", r#"{"p": ".env"}"#), ("read", r#"{"p": "a/.env"}"#)],
    );
}

#[test]
fn tables_with_dots_inside_their_quotes_are_denied() {
    let rule = "match: { tool: query }, when: { args.q: { sql_table_in: [users, hr.pay] } }";
    all(
        &denying(rule),
        "deny",
        &[
            ("query", r#"{"q": "SELECT a FROM `project.dataset.users`"}"#),
            ("query", r#"{"q": "SELECT a FROM `hr.pay`"}"#),
            ("query", r#"{"q": "SELECT a FROM [hr.pay]"}"#),
            ("query", r#"{"q": "SELECT a FROM \"hr.pay\""}"#),
        ],
    );
}
