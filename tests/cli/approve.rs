//! `agentguard keygen --approver` and `agentguard approve`: from a denial to a token that approves what was shown.

use super::*;
use agentguard::approval::{
    ApprovalRequest, Check, Checked, RequestedRule, RuleDemand, Subject, VerifyingKeys, canonical,
    digest, digest_of,
};
use agentguard::event::Principal;
use agentguard::policy::load_json;

const NOW: &str = "2026-11-22T12:00:00Z";
const NOW_SECONDS: u64 = 1_795_348_800;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Makes a key, and returns its file with the line for the policy.
fn key(folder: &Path, role: &str) -> (String, String) {
    let file = folder
        .join(format!("{role}.key"))
        .to_str()
        .unwrap()
        .to_owned();
    let made = run(&["keygen", "--approver", role, "--output", &file]);
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    (file, out(&made))
}

fn request(show: &str) -> ApprovalRequest {
    let show = canonical(show.as_bytes()).unwrap();
    ApprovalRequest {
        id: "r-1".into(),
        subject: Subject {
            policy: "support".into(),
            event: "tool_call".into(),
            what: "issue_refund".into(),
            args: digest(br#"{"amount":250,"to":"x"}"#).unwrap().into(),
            shown: Some(digest_of(&show).into()),
            tenant: Some("acme".into()),
            id: Some("ada".into()),
            ..Subject::default()
        },
        rules: vec![RequestedRule {
            id: "large".into(),
            by: vec!["manager".into(), "lead".into()],
            needed: 1,
        }],
        show: Some(String::from_utf8(show).unwrap().into()),
        until: NOW_SECONDS + 600,
        valid_for: 600,
        uses: 1,
    }
}

#[test]
fn a_token_of_the_command_approves_what_it_showed() {
    let folder = folder();
    let (file, line) = key(folder.path(), "manager");
    let request = request(r#"{"args.amount":[250]}"#);
    let text = request.encode();
    let made = run(&["approve", &text, "--key", &file, "--yes", "--time", NOW]);
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("approve", err(&made));
    });
    // The printed line is what a policy takes.
    let public = line.split('"').nth(1).unwrap();
    let policy = format!(
        r#"{{"apiVersion": "agentguard.dev/v1", "kind": "AgentPolicy", "metadata": {{"name": "support"}},
             "approvers": {{"manager": ["{public}"]}}, "defaults": {{"action": "allow"}}, "rules": []}}"#
    );
    let policy = load_json(policy.as_bytes()).policy.unwrap();
    let keys = VerifyingKeys::new(&policy.document.approvers, &|_| None).unwrap();
    let check = Check {
        subject: &request.subject,
        asker: &Principal::anonymous(),
        now: NOW_SECONDS,
        reserved: &[],
    };
    let by = ["manager".into(), "lead".into()];
    let demand = RuleDemand {
        rule: "large",
        by: &by,
        needed: 1,
        valid_for: 600,
        uses: 1,
    };
    let token = keys.read(&out(&made));
    let checked = check.tokens(&[token], &[demand], None);
    assert!(matches!(checked, Checked::Approved(_)), "{checked:?}");
}

#[test]
#[cfg(unix)]
fn only_its_owner_reads_a_key_and_none_is_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let (file, _) = key(folder.path(), "manager");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&file).unwrap();
    let again = run(&["keygen", "--approver", "manager", "--output", &file]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn the_public_half_of_a_key_is_printed_again() {
    let folder = folder();
    let (file, line) = key(folder.path(), "manager");
    let again = run(&["keygen", "--approver", "manager", "--key", &file]);
    assert_eq!((again.status.code(), out(&again)), (Some(0), line.clone()));
    let told = run(&["--json", "keygen", "--approver", "manager", "--key", &file]);
    let public = json_lines(&told).remove(0)["public"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(line.contains(&public), "{public}");
    // The policy gives the role: whoever writes another one into it is told, and not stopped.
    let other = run(&["keygen", "--approver", "lead", "--key", &file]);
    assert_eq!(out(&other), line.replace("manager", "lead"));
    assert!(err(&other).contains("the key was made for the role `manager`"));
    let checkpoint = folder.path().join("c.key").to_str().unwrap().to_owned();
    let made = run(&["keygen", "--checkpoint", "--output", &checkpoint]);
    let again = run(&["keygen", "--checkpoint", "--key", &checkpoint]);
    assert_eq!((again.status.code(), out(&again)), (Some(0), out(&made)));
    // A key of another kind is none, and one that exists is not written anywhere.
    for wrong in [
        &["keygen", "--checkpoint", "--key", &file][..],
        &["keygen", "--approver", "lead", "--key", &checkpoint],
        &[
            "keygen",
            "--checkpoint",
            "--key",
            &checkpoint,
            "--output",
            "x",
        ],
    ] {
        let refused = run(wrong);
        assert_eq!(
            (refused.status.code(), out(&refused)),
            (Some(2), String::new())
        );
    }
}

#[test]
fn nobody_is_asked_without_a_terminal() {
    let folder = folder();
    let (file, _) = key(folder.path(), "manager");
    let text = request(r#"{"args.amount":[250]}"#).encode();
    let made = run(&["approve", &text, "--key", &file, "--time", NOW]);
    assert_eq!(made.status.code(), Some(2));
    assert!(err(&made).contains("give --yes"));
    assert_eq!(out(&made), "");
}

#[test]
fn an_approver_sees_what_a_library_can_not_hold() {
    let folder = folder();
    let (file, _) = key(folder.path(), "manager");
    let deep = format!("{}{}", "[".repeat(140), "]".repeat(140));
    for (values, seen) in [
        ("[250,1e400]", "250, 1e+400"),
        ("[99999999999999999999]", "99999999999999999999"),
        ("[0.30000000000000000001]", "0.30000000000000000001"),
        (&*format!("[250,{deep}]"), &*format!("250, {deep}")),
        ("250", "250"),
        ("[]", "nothing"),
    ] {
        let text = request(&format!(r#"{{"args.amount":{values}}}"#)).encode();
        let made = run(&["approve", &text, "--key", &file, "--yes", "--time", NOW]);
        assert_eq!(made.status.code(), Some(0), "{}", err(&made));
        let line = format!("  args.amount {seen}\n");
        assert!(err(&made).contains(&line), "{}", err(&made));
    }
}

#[test]
fn a_request_is_found_in_the_denial_that_holds_it() {
    let folder = folder();
    let (file, _) = key(folder.path(), "lead");
    let text = request(r#"{"args.amount":[250]}"#).encode();
    let denial = format!(r#"{{"error": {{"message": "Ask. Approval request: {text}"}}}}"#);
    let arguments = [
        "--json", "approve", "-", "--key", &file, "--yes", "--time", NOW,
    ];
    let made = run_with(&arguments, denial.as_bytes());
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    let line: Value = serde_json::from_str(&out(&made)).unwrap();
    assert_eq!(line["id"], "r-1");
    assert!(line["token"].as_str().unwrap().starts_with("agat1."));
}

#[test]
fn of_several_requests_in_a_text_none_is_taken_for_all() {
    let folder = folder();
    let (file, _) = key(folder.path(), "lead");
    let one = request(r#"{"args.amount":[250]}"#).encode();
    let other = request(r#"{"args.amount":[300]}"#).encode();
    let approve = |text: &str| run(&["approve", text, "--key", &file, "--yes", "--time", NOW]);
    let made = approve(&format!("Ask: {one}\nAsk: {other}"));
    assert_eq!(made.status.code(), Some(2));
    assert!(err(&made).contains("several requests"), "{}", err(&made));
    assert_eq!(out(&made), "");
    // A denial may tell the same request in two places.
    let made = approve(&format!("Ask: {one}\nAsk: {one}."));
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
}

#[test]
fn what_can_not_be_approved_is_not() {
    let folder = folder();
    let (manager, _) = key(folder.path(), "manager");
    let (other, _) = key(folder.path(), "clerk");
    let text = request(r#"{"args.amount":[250]}"#).encode();
    let approve = |text: &str, arguments: &[&str]| {
        let made = run(&[&["approve", text, "--yes"], arguments].concat());
        assert_eq!(made.status.code(), Some(2), "{arguments:?}");
        assert_eq!(out(&made), "");
        err(&made)
    };
    let late = "2026-11-22T12:10:00Z";
    assert!(approve(&text, &["--key", &manager, "--time", late]).contains("has ended"));
    assert!(approve(&text, &["--key", &other, "--time", NOW]).contains("`clerk`"));
    let args = [
        "--key",
        manager.as_str(),
        "--time",
        NOW,
        "--args",
        r#"{"amount":1,"to":"x"}"#,
    ];
    assert!(approve(&text, &args).contains("other arguments"));
    assert!(approve("agar1.e30", &["--key", &manager]).contains("can't be read"));
    assert!(approve("nothing", &["--key", &manager]).contains("no request"));
    assert!(approve(&text, &["--key", "Cargo.toml", "--time", NOW]).contains("no approver key"));
}

#[test]
fn the_arguments_are_compared_however_they_are_spelt() {
    let folder = folder();
    let (file, _) = key(folder.path(), "manager");
    let mut request = request(r#"{"args.amount":[250]}"#);
    let approve = |request: &ApprovalRequest, args: &str| {
        let text = request.encode();
        let made = run(&[
            "approve", &text, "--key", &file, "--yes", "--time", NOW, "--args", args,
        ]);
        made.status.code()
    };
    assert_eq!(
        approve(&request, r#"{"to":"\u0078","amount":2.5e2}"#),
        Some(0)
    );
    request.subject.bind = vec!["args.amount".into()];
    request.subject.args = digest(br#"{"args.amount":[250]}"#).unwrap().into();
    assert_eq!(
        approve(&request, r#"{"to":"anybody","amount":250}"#),
        Some(0)
    );
    assert_eq!(approve(&request, r#"{"to":"x","amount":251}"#), Some(2));
}

#[test]
fn check_and_test_take_approvals_as_given() {
    let folder = folder();
    let path = folder.path().join("p.yaml");
    let (_, line) = key(folder.path(), "manager");
    std::fs::write(
        &path,
        format!(
            "apiVersion: agentguard.dev/v1
kind: AgentPolicy
metadata: {{ name: p }}
require: none
{line}defaults: {{ action: allow }}
rules:
  - id: large
    match: {{ tool: refund }}
    action: require_approval
    approval: {{ by: [manager, lead], needed: 2 }}
    reason: Large.
    examples:
      - {{ call: refund, expect: require_approval }}
      - {{ call: refund, approved_by: manager, expect: require_approval }}
      - {{ call: refund, approved_by: [manager, lead], expect: allow }}
"
        ),
    )
    .unwrap();
    let path = path.to_str().unwrap();
    let tested = run(&["test", path]);
    assert_eq!(tested.status.code(), Some(0), "{}", out(&tested));
    let check = |roles: &[&str]| {
        let mut arguments = vec!["check", path, "--tool", "refund"];
        arguments.extend(roles);
        run(&arguments).status.code()
    };
    assert_eq!(check(&[]), Some(1));
    assert_eq!(check(&["--approved-by", "manager"]), Some(1));
    assert_eq!(check(&["--approved-by", "manager,lead"]), Some(0));
}

/// The code blocks of a language in the page about approvals.
fn blocks(language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/approvals.md")).unwrap();
    let start = format!("```{language}\n");
    let blocks = page.split(&start).skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_page_s_policy_is_valid_and_its_examples_hold() {
    let folder = folder();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, &blocks("yaml")[0]).unwrap();
    let path = path.to_str().unwrap();
    let linted = run(&["validate", "--strict", "--for", "envoy", path]);
    assert_eq!(
        linted.status.code(),
        Some(0),
        "{}{}",
        out(&linted),
        err(&linted)
    );
    let tested = run(&["test", path]);
    assert_eq!(tested.status.code(), Some(0), "{}", out(&tested));
    let built = run(&["build", path, "--for", "json"]);
    assert_eq!(built.status.code(), Some(0), "{}", err(&built));
}

#[test]
fn the_page_s_digest_is_that_of_the_library() {
    let printed = blocks("sh").pop().unwrap();
    let value = printed.split("digest of ").nth(1).unwrap();
    let json = printed.split('\'').nth(1).unwrap();
    assert_eq!(
        digest(value.trim().as_bytes()),
        digest(json.as_bytes()),
        "{printed}"
    );
    assert_eq!(canonical(value.trim().as_bytes()).unwrap(), json.as_bytes());
}

#[test]
fn the_page_and_the_code_explain_every_reason() {
    let page = std::fs::read_to_string(root().join("docs/approvals.md")).unwrap();
    let explained = out(&run(&["explain", "AG3004"]));
    for reason in agentguard::approval::Invalid::ALL {
        let word = format!("`{}`", reason.word());
        assert!(page.contains(&word), "{word}");
        assert!(explained.contains(&word), "{word}");
    }
}
