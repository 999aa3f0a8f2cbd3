//! Files that the command writes: whole or not at all.

use super::{json_lines, run, run_with};
use std::fs;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const GOOD: &str = "policies/getting-started.yaml";
const BAD: &str = "tests/cli/wrong/no_defaults.yaml";

fn build(policy: &str, file: &str) -> std::process::Output {
    run(&["build", policy, "--for", "envoy", "--output", file])
}

#[test]
fn build_output_writes_what_build_prints_and_names_the_policy() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("filter.json");
    let written = build(GOOD, file.to_str().unwrap());
    assert_eq!(written.status.code(), Some(0));
    let printed = run(&["build", GOOD, "--for", "envoy"]);
    assert_eq!(fs::read(&file).unwrap(), printed.stdout);
    let said = super::out(&written);
    assert!(said.contains("policy getting-started sha256:"), "{said}");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing is left beside it: {names:?}");
}

#[test]
fn a_policy_with_an_error_leaves_the_file_as_it_is() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("filter.json");
    fs::write(&file, "the policy in force").unwrap();
    let refused = build(BAD, file.to_str().unwrap());
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(fs::read_to_string(&file).unwrap(), "the policy in force");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn build_output_takes_a_new_inode_and_keeps_the_permissions_of_the_file() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("filter.json");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&file).unwrap().ino();
    assert_eq!(build(GOOD, file.to_str().unwrap()).status.code(), Some(0));
    let after = fs::metadata(&file).unwrap();
    assert_ne!(after.ino(), before, "Envoy follows renames, not writes");
    assert_eq!(after.permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_folder_that_is_not_there_is_a_usage_error_that_names_the_file() {
    let refused = build(GOOD, "no/such/folder/filter.json");
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("no/such/folder/filter.json can't be written"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn fmt_write_keeps_a_link_a_link() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("policy.json");
    let link = folder.path().join("link.json");
    fs::copy(
        super::root().join("policies/terse/support-agent.json"),
        &file,
    )
    .unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let written = run(&["fmt", "--write", link.to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(0));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let full = fs::read_to_string(&file).unwrap();
    assert!(full.contains("apiVersion: agentguard.dev/v1"), "{full}");
}

#[test]
fn nobody_has_to_read_what_is_said_beside_the_output() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(["audit", "verify", "no-such-file"])
        .stderr(writer)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(ended.code(), Some(2));
}

#[cfg(target_os = "linux")]
#[test]
fn what_does_not_fit_on_the_disk_is_no_success() {
    for arguments in [
        &["build", GOOD, "--for", "json"][..],
        &["schema"],
        &["fmt", GOOD],
        &["man"],
        &["completions", "bash"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_agentguard"))
            .args(arguments)
            .current_dir(super::root())
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let told = said.contains("AG9011: standard output can't be written: the disk is full");
        assert!(
            output.status.code() == Some(2) && told,
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn a_file_in_the_place_of_a_folder_is_said_so() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("pages");
    fs::write(&file, "").unwrap();
    let refused = run(&["man", "--output", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("a file stands where a folder is needed"),
        "{said}"
    );
}

#[test]
fn standard_input_is_read_for_one_argument_only() {
    let policy = fs::read(super::root().join(GOOD)).unwrap();
    for arguments in [
        &["replay", "--policy", "-"][..],
        &["replay", "--policy", "-", "-"],
        &["diff", "-", "-"],
        &["check", "-", "--text", "-"],
        &["explain", "-", "--exchange", "-"],
        &["scan", "--policy", "-"],
    ] {
        let refused = run_with(arguments, &policy);
        let said = String::from_utf8_lossy(&refused.stderr);
        let told = said.contains("standard input is asked for twice");
        assert!(
            refused.status.code() == Some(2) && told && refused.stdout.is_empty(),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn a_dash_is_no_file_to_write_to() {
    let folder = TempDir::new().unwrap();
    for arguments in [
        &["keygen", "--approver", "lead", "--output", "-"][..],
        &["kill", "--file", "-", "--agent", "bot", "--reason", "why"],
    ] {
        let ended = Command::new(env!("CARGO_BIN_EXE_agentguard"))
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn errors_of_a_file_are_json_where_json_is_asked_for_and_no_part_of_another_format() {
    for command in ["fmt", "test", "validate"] {
        let lines = json_lines(&run_with(&["--json", command, "-"], b"a: [\n"));
        assert_eq!(lines[0]["code"], "AG1001", "{command}");
    }
    for arguments in [
        &["fmt", "-"][..],
        &["test", "--format", "junit", "-"],
        &["test", "--format", "tap", "-"],
    ] {
        let refused = run_with(arguments, b"a: [\n");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.stdout.is_empty(), "{arguments:?}");
        assert!(said.contains("error[AG1001]"), "{arguments:?}: {said}");
    }
}

#[test]
fn json_in_another_form_than_lines_is_told_how_to_become_lines() {
    let exchange = "{\n \"request\": {}\n}";
    for (text, said) in [
        (exchange.to_owned(), "`jq -c . FILE`"),
        (format!("[{exchange}]"), "`jq -c '.[]' FILE`"),
    ] {
        for arguments in [
            &["replay", "--policy", GOOD][..],
            &["inspect"],
            &["scan"],
            &["diff", GOOD, GOOD, "--traffic", "-"],
        ] {
            let refused = run_with(arguments, text.as_bytes());
            let told = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
            assert!(told.contains(said), "{arguments:?}: {told}");
        }
    }
}

#[test]
fn what_a_client_called_its_request_steers_no_terminal() {
    let id = r#""id": "a\u001b[2Jb\u202ec""#;
    let request =
        r#""request": {"method": "GET", "host": "a", "path": "/v1/models", "headers": {}}"#;
    let exchange =
        format!("{{{id}, {request}, \"response\": {{\"status\": 200, \"headers\": {{}}}}}}");
    let record = r#"{"v": 1, "ts": "2026-01-01T00:00:00Z", "request_id": "a\u001b[2Jb\u202ec", "decision": "allow"}"#;
    let text = format!("{{{id}, \"text\": \"4111 1111 1111 1111\"}}");
    for (arguments, input) in [
        (&["replay", "--policy", GOOD][..], &*exchange),
        (&["replay", "--policy", GOOD], record),
        (&["inspect"], &exchange),
        (&["scan"], &text),
    ] {
        let output = run_with(arguments, input.as_bytes());
        let told = super::out(&output);
        assert!(
            told.contains("a\\u{1b}[2Jb\\u{202e}c"),
            "{arguments:?}: {told}"
        );
        assert!(!told.contains(['\u{1b}', '\u{202e}']), "{arguments:?}");
    }
}
