//! `agentguard kill` in the hands of somebody in a hurry.

use super::{out, run};
use std::fs;
use tempfile::TempDir;

fn kill(file: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(&[&["kill", "--file", file], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    (output.status.code(), format!("{}{said}", out(&output)))
}

#[test]
fn an_entry_that_would_stop_nobody_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("kill.yaml");
    let file = file.to_str().unwrap();
    for (until, why) in [
        ("2020-01-01T00:00:00Z", "this moment has passed"),
        ("tomorrow", "this is no moment with its offset"),
    ] {
        let stop = ["--agent", "bot", "--reason", "why", "--until", until];
        let (code, said) = kill(file, &stop);
        assert!(code == Some(2) && said.contains(why), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_entry_that_has_ended_is_shown_so() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("kill.yaml");
    let list = "apiVersion: agentguard.dev/v1\nkind: AgentKill\ngeneration: 1\nkill:\n";
    let entry = "  - { agents: [a], reason: r, until: \"2020-01-01T00:00:00Z\" }\n";
    fs::write(&file, format!("{list}{entry}")).unwrap();
    let (code, said) = kill(file.to_str().unwrap(), &[]);
    assert_eq!(code, Some(0));
    assert!(said.contains("(ended 2020-01-01T00:00:00Z)"), "{said}");
}

#[test]
fn another_document_is_named_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let policy = folder.path().join("policy.yaml");
    let shipped = super::root().join("policies/getting-started.yaml");
    fs::copy(&shipped, &policy).unwrap();
    let built = folder.path().join("policy.json");
    let made = run(&[
        "build",
        policy.to_str().unwrap(),
        "--for",
        "envoy",
        "--output",
        built.to_str().unwrap(),
    ]);
    assert_eq!(made.status.code(), Some(0));
    for file in [policy, built] {
        let before = fs::read(&file).unwrap();
        let (code, said) = kill(
            file.to_str().unwrap(),
            &["--agent", "bot", "--reason", "why"],
        );
        assert_eq!(code, Some(2));
        assert!(
            said.contains("this is no kill list; name the kill list"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 2, "{said}");
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}

#[test]
fn a_file_that_is_not_there_is_told_with_what_writes_it() {
    for (file, said) in [
        (
            "no/such/kill.yaml",
            "its folder does not exist; make it first",
        ),
        (
            "no-such-kill.json",
            "write it with `agentguard build KILL.yaml",
        ),
    ] {
        let (code, told) = kill(file, &["--agent", "bot", "--reason", "why"]);
        assert!(code == Some(2) && told.contains(said), "{told}");
    }
}
