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

/// `folder/NAME`, a link to `folder/elsewhere/NAME`.
#[cfg(unix)]
fn linked(folder: &TempDir, name: &str, contents: &[u8]) -> [std::path::PathBuf; 2] {
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let (file, link) = (elsewhere.join(name), folder.path().join(name));
    fs::write(&file, contents).unwrap();
    // Relative to the link's folder, as people write them.
    std::os::unix::fs::symlink(format!("elsewhere/{name}"), &link).unwrap();
    [file, link]
}

#[cfg(unix)]
#[test]
fn what_is_behind_a_link_is_replaced_and_the_link_stays() {
    const KILL: &[u8] =
        b"apiVersion: agentguard.dev/v1\nkind: AgentKill\ngeneration: 1\nkill: []\n";
    let terse = fs::read(super::root().join("policies/terse/support-agent.json")).unwrap();
    for (name, before, arguments, after) in [
        (
            "policy.json",
            &*terse,
            &["fmt", "--write", "LINK"][..],
            "apiVersion: agentguard.dev/v1",
        ),
        (
            "kill.yaml",
            KILL,
            &[
                "kill", "--file", "LINK", "--agent", "bot", "--reason", "why",
            ],
            "agents: [\"bot\"]",
        ),
        (
            "filter.json",
            b"",
            &["build", GOOD, "--for", "envoy", "--output", "LINK"],
            "getting-started",
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let [file, link] = linked(&folder, name, before);
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|argument| match *argument {
                "LINK" => link.to_str().unwrap(),
                argument => argument,
            })
            .collect();
        let written = run(&arguments);
        let said = String::from_utf8_lossy(&written.stderr);
        assert_eq!(written.status.code(), Some(0), "{arguments:?}: {said}");
        let leads_to = fs::read_link(&link).unwrap();
        assert_eq!(leads_to, std::path::Path::new("elsewhere").join(name));
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(after), "{arguments:?}: {text}");
        // And nothing is left beside either.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }
}

/// Envoy is told of what is renamed in the folder that it watches, and that has the link.
#[cfg(unix)]
#[test]
fn a_link_that_envoy_may_watch_is_renamed_into_its_folder_again() {
    use std::os::unix::fs::MetadataExt;
    let folder = TempDir::new().unwrap();
    let [_, link] = linked(&folder, "filter.json", b"");
    let inode = |path| fs::symlink_metadata(path).unwrap().ino();
    let before = inode(&link);
    assert_eq!(build(GOOD, link.to_str().unwrap()).status.code(), Some(0));
    assert_ne!(inode(&link), before);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_that_is_not_there_yet_gets_its_file() {
    let folder = TempDir::new().unwrap();
    let [file, link] = linked(&folder, "filter.json", b"");
    fs::remove_file(&file).unwrap();
    assert_eq!(build(GOOD, link.to_str().unwrap()).status.code(), Some(0));
    assert!(file.is_file() && fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_are_told() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, place(name)).unwrap();
    link("b", "a");
    link("a", "b");
    link("no/such/folder", "lost");
    for (name, why) in [
        (
            "a",
            "its symbolic links lead in a circle; name the file itself",
        ),
        (
            "lost",
            "no/such/folder, can't be written: its folder does not exist",
        ),
    ] {
        let refused = build(GOOD, &place(name));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(fs::symlink_metadata(place(name)).unwrap().is_symlink());
    }
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
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("audit.jsonl");
    let record = r#"{"v":1,"ts":"2026-01-01T00:00:00Z","request_id":"a","decision":"allow"}"#;
    fs::write(&log, format!("{record}\n")).unwrap();
    let log = log.to_str().unwrap();
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["help", "kill"],
        &["audit", "verify", "--help"],
        &["build", GOOD, "--for", "json"],
        &["schema"],
        &["fmt", GOOD],
        &["man"],
        &["completions", "bash"],
        &["keygen", "--client", "acme"],
        &["audit", "export", log],
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
        let told = said.contains(
            "AG9011: standard output can't be written: the disk is full; what is in the file is not all",
        );
        assert!(
            output.status.code() == Some(2) && told,
            "{arguments:?}: {said}"
        );
    }
}

/// Runs the command with an output that nobody reads.
fn unread(arguments: &[&str]) -> std::process::Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(arguments)
        .current_dir(super::root())
        .stdout(writer)
        .output()
        .unwrap()
}

/// As in `agentguard … | head -1`.
#[test]
fn whoever_reads_only_the_beginning_is_told_nothing() {
    for arguments in [&["--help"][..], &["schema"], &["fmt", GOOD]] {
        let output = unread(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(0) && said.is_empty(),
            "{arguments:?}: {said}"
        );
    }
}

/// As in `agentguard audit verify … | head -1` under `pipefail`.
#[test]
fn a_verdict_is_the_same_if_nobody_reads_what_was_found() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let trail = write("audit.jsonl", "no record\n");
    let wrong = write("wrong.yaml", "apiVersion: agentguard.dev/v1\n");
    let policy = write(
        "policy.yaml",
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: p }\ndefaults: { action: deny }\n",
    );
    for arguments in [
        &["audit", "verify", &trail][..],
        &["--json", "audit", "verify", &trail],
        &["validate", &wrong],
        &["check", &policy, "--model", "gpt-4o"],
        &["--json", "diff", &policy, GOOD],
    ] {
        let output = unread(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_key_whose_public_half_could_not_be_printed_is_not_kept() {
    for kind in [&["--approver", "lead"][..], &["--checkpoint"]] {
        let folder = TempDir::new().unwrap();
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let ended = Command::new(env!("CARGO_BIN_EXE_agentguard"))
            .arg("keygen")
            .args(kind)
            .current_dir(folder.path())
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains("the key was not kept"), "{said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
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

/// Whoever named the wrong file would take the silence for a good answer.
#[test]
fn input_without_a_line_is_said() {
    for arguments in [
        &["replay", "--policy", GOOD][..],
        &["inspect"],
        &["scan"],
        &["diff", GOOD, GOOD, "--traffic", "-"],
    ] {
        for nothing in ["", "\u{FEFF}\r\n\n"] {
            let ended = run_with(arguments, nothing.as_bytes());
            let said = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {said}");
            assert_eq!(said, "standard input is empty\n", "{arguments:?}");
        }
    }
}

#[test]
fn a_variable_that_is_not_set_is_told_so() {
    for arguments in [
        &["validate", ""][..],
        &["check", "", "--model", "m"],
        &["inspect", ""],
        &["audit", "verify", ""],
        &["build", GOOD, "--for", "json", "--output", ""],
        &["kill", "--file", "", "--agent", "bot", "--reason", "why"],
    ] {
        let refused = run(arguments);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(
            said.contains("the argument is empty; is a variable of the shell not set?"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn a_folder_is_not_taken_for_a_key() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().to_str().unwrap();
    for kind in [&["--approver", "lead"][..], &["--checkpoint"]] {
        let refused = run(&[&["keygen"], kind, &["-o", place]].concat());
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("it is a folder; name a file"), "{said}");
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

#[test]
fn wrong_input_is_told_with_a_code_and_the_place_in_the_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("x.yaml");
    let name = file.to_str().unwrap();
    let cases: [(&[&str], &str, &str); 7] = [
        (
            &["scan", name],
            "{\"text\":}",
            "AG9013: FILE: line 1 is no object with a `text`: expected value (column 9)",
        ),
        (
            &["scan", name],
            "null",
            "AG9013: FILE: line 1 is no object with a `text`: invalid type: null, expected an object with a `text`",
        ),
        (
            &["inspect", name],
            "{\"request\":1}",
            "AG9013: FILE: line 1 is not an exchange: invalid type: integer `1`, expected a request",
        ),
        (
            &["replay", "--policy", GOOD, name],
            "[1,",
            "AG9013: FILE: line 1: neither an exchange nor an audit event: EOF while parsing a value (column 3)",
        ),
        (
            &["doctor", name],
            "a:\n\t- b\n",
            "AG9013: FILE: line 2 column 2: tabs disallowed within this context (block indentation); this is neither YAML nor JSON",
        ),
        (
            &["check", name, "--model", "m"],
            "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: t }\ndefaults: { action: allow }\nrules: []\nmdoe: enforce\n",
            "line 6, column 1: AG1004 mdoe: unknown key `mdoe`",
        ),
        (
            &["check", name, "--model", "m"],
            "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: t }\ndefaults: { action: allow }\nrules: []\n\"a\\e[31m\": 1\n",
            "unknown key `a\\u{1b}[31m`",
        ),
    ];
    for (arguments, contents, expected) in cases {
        fs::write(&file, contents).unwrap();
        let refused = run(arguments);
        let said = String::from_utf8(refused.stderr)
            .unwrap()
            .replace(name, "FILE");
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_without_a_line_end_is_not_read_for_ever() {
    for command in [
        &["audit", "query", "/dev/zero"][..],
        &["audit", "verify", "/dev/zero"],
        &["audit", "report", "/dev/zero"],
    ] {
        let ran = run(command);
        assert_eq!(ran.status.code(), Some(1), "{command:?}");
        let told = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        assert!(
            told.contains("/dev/zero:1: the file can't be read from here on: more than 256 MiB"),
            "{told}"
        );
    }
}

#[test]
fn wrong_use_has_one_form_and_one_code() {
    for (arguments, said) in [
        (&["chek"][..], "unrecognized subcommand 'chek'"),
        (
            &["check", "--polcy", "p"],
            "unexpected argument '--polcy' found",
        ),
        (
            &["init", "no/such/folder", "--upstream=-1"],
            "unexpected argument '-1' found",
        ),
        (
            &["validate"],
            "the following required arguments were not provided",
        ),
        (&["build", "p", "--for", "nginx"], "invalid value 'nginx'"),
        (
            &["validate", "--format", "sarif", "--json", "p"],
            "cannot be used with",
        ),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.status.code(), Some(2), "{arguments:?}");
        let told = String::from_utf8(ran.stderr).unwrap();
        let begin = "agentguard: AG9012: ";
        assert!(told.starts_with(begin), "{told}");
        assert!(told.contains(said) && told.contains("'--help'"), "{told}");
    }
}

/// What steers a terminal, reverses the text behind it, or can't be seen: ESC, CR, CSI, DEL, RLO, RLI, a zero-width blank, BOM.
const HIDDEN: [char; 8] = [
    '\u{1b}', '\r', '\u{9b}', '\u{7f}', '\u{202e}', '\u{2067}', '\u{200b}', '\u{feff}',
];

/// A text with all of them, as YAML and JSON write them.
fn hostile(word: &str) -> String {
    format!("{word}\\u001bc\\u000d\\u009b\\u007f\\u202e\\u2067\\u200b\\ufeff")
}

#[test]
fn nothing_in_a_policy_or_a_recorded_exchange_steers_the_terminal() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str, text: &str| -> String {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let head = |default: &str| {
        format!(
            "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: \"{}\" }}\ndefaults: {{ action: {default} }}\n",
            hostile("p")
        )
    };
    let [reason, value, unknown, list] = ["reason", "value", "unknown", "list"].map(hostile);
    let rules = format!(
        "lists: {{ \"{list}\": [\"{value}\"] }}\nrules:\n  - id: r\n    match: {{ tool: \"{value}\" }}\n    when: {{ args.a: {{ in: {{ list: \"{list}\" }} }} }}\n    action: deny\n    reason: \"{reason}\"\n    remedy: \"{reason}\"\n"
    );
    let policy = at("policy.yaml", &format!("{}{rules}", head("allow")));
    let other = at("other.yaml", &format!("{}rules: []\n", head("deny")));
    let literal: String = HIDDEN.iter().filter(|c| **c != '\r').collect();
    let wrong = at(
        "wrong.yaml",
        &format!("{}\"{unknown}\": 1\nrules: 'a{literal}'\n", head("allow")),
    );
    let broken = at("broken.yaml", &format!("a: [b{literal}\n"));
    let tests = at(
        "policy.test.yaml",
        &format!(
            "apiVersion: agentguard.dev/v1\nkind: PolicyTest\npolicy: policy.yaml\ntests:\n  - name: \"{}\"\n    events: [{{ tool_call: {{ tool: \"{value}\", args: {{ a: \"{value}\" }} }} }}]\n    expect: allow\n",
            hostile("name")
        ),
    );
    let args = format!("{{\"a\": \"{value}\"}}");
    let tool: String = serde_json::from_str(&format!("\"{value}\"")).unwrap();
    let strange = folder.path().join(format!("no{literal}"));
    let strange = strange.to_str().unwrap();
    let commands: [&[&str]; 10] = [
        &["validate", &policy],
        &["lint", &policy],
        &["validate", &wrong],
        &["check", &policy, "--tool", &tool, "--args", &args],
        &["explain", &policy, "--tool", &tool, "--args", &args],
        &["diff", &policy, &other],
        &["test", &tests],
        &["fmt", &broken],
        &["validate", strange],
        &["audit", "verify", strange, &format!("--no{literal}")],
    ];
    for command in commands {
        let ran = run(command);
        assert!(ran.status.code().is_some(), "{command:?}");
        for bytes in [&ran.stdout, &ran.stderr] {
            let text = std::str::from_utf8(bytes).unwrap();
            let found = text.chars().find(|c| HIDDEN.contains(c));
            assert_eq!(found, None, "{command:?}\n{text:?}");
        }
        let both = [ran.stdout, ran.stderr].concat();
        assert!(!both.is_empty(), "{command:?}");
    }
    // A name of several lines is written in one, so that no part of it looks like a line of the command.
    let lines = at(
        "lines.yaml",
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: l }\ndefaults: { action: allow }\nlists: { \"l\\nFORGED\": [\"v\\nFORGED\"] }\nrules:\n  - id: \"r\\nFORGED\"\n    match: { tool: t }\n    when: { args.a: { in: { list: \"l\\nFORGED\" } } }\n    action: deny\n    reason: \"a\\nFORGED\"\n    tags: [\"g\\nFORGED\"]\n",
    );
    let of_two_lines = r#"{"a": "v\nFORGED"}"#;
    let record = at(
        "audit.jsonl",
        r#"{"v": 1, "ts": "\u001b[2J\u202e\r\nFORGED", "request_id": "a", "decision": "allow"}"#,
    );
    for format in ["text", "markdown", "html"] {
        let report = run(&["audit", "report", &record, "--format", format]);
        assert_eq!(report.status.code(), Some(1), "{report:?}");
        let text = String::from_utf8([report.stdout, report.stderr].concat()).unwrap();
        let found = text.chars().find(|c| HIDDEN.contains(c));
        assert_eq!(found, None, "{format}\n{text:?}");
        assert!(!text.contains("\nFORGED"), "{format}\n{text}");
    }
    for command in [
        &["check", &lines, "--tool", "t", "--args", of_two_lines][..],
        &["explain", &lines, "--tool", "t", "--args", of_two_lines],
        &["diff", &lines, &other],
        &["lint", &lines],
    ] {
        let ran = run(command);
        let told = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        let forged = told.lines().find(|line| line.starts_with("FORGED"));
        assert_eq!(forged, None, "{command:?}\n{told}");
    }
    // JSON has the same values, and steers no terminal either.
    for command in [
        &["validate", &wrong][..],
        &["check", &policy, "--tool", &tool, "--args", &args],
        &["explain", &policy, "--tool", &tool, "--args", &args],
        &["diff", &policy, &other],
        &["test", &tests],
        &["validate", "--format", "sarif", &wrong],
    ] {
        let is_sarif = command.contains(&"sarif");
        let option: &[&str] = if is_sarif { &[] } else { &["--json"] };
        let ran = run(&[command, option].concat());
        let text = std::str::from_utf8(&ran.stdout).unwrap();
        let found = text.chars().find(|c| HIDDEN.contains(c));
        assert_eq!(
            (found, text.is_empty()),
            (None, false),
            "{command:?}\n{text:?}"
        );
    }
    let json = run(&["check", &policy, "--tool", &tool, "--args", &args, "--json"]);
    let said = json_lines(&json);
    assert!(
        said[0]["reason"].as_str().unwrap().contains('\u{202e}'),
        "{said:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_folder_has_the_policies_that_are_in_it_and_reading_it_ends() {
    use std::os::unix::fs::symlink;
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let policy = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: p }\ndefaults: { action: allow }\n";
    for below in ["sub", ".git", "..2026_11_22"] {
        fs::create_dir(at(below)).unwrap();
    }
    for file in [
        "a.yaml",
        "sub/b.yml",
        ".git/c.yaml",
        "..2026_11_22/d.yaml",
        "e.txt",
    ] {
        fs::write(at(file), policy).unwrap();
    }
    // Links to folders lead back, twice; one of a file is the file. A pipe has no writer, and what a link leads to may be gone.
    symlink(".", at("here")).unwrap();
    symlink("..", at("sub/up")).unwrap();
    symlink("..2026_11_22", at("..data")).unwrap();
    symlink("..data/d.yaml", at("d.yaml")).unwrap();
    symlink("nowhere", at("gone.yaml")).unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(at("pipe.yaml"))
        .status();
    assert!(pipe.unwrap().success());
    for command in ["validate", "lint"] {
        let ran = run(&[command, folder.path().to_str().unwrap()]);
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
        let told = super::out(&ran);
        let named: Vec<&str> = told
            .lines()
            .filter_map(|line| line.split(": ").next()?.rsplit('/').next())
            .collect();
        assert_eq!(named, ["a.yaml", "d.yaml", "b.yml"], "{told}");
    }
    // More than anybody's policies.
    let many = TempDir::new().unwrap();
    for number in 0..=100_000 {
        symlink(".", many.path().join(number.to_string())).unwrap();
    }
    let ran = run(&["validate", many.path().to_str().unwrap()]);
    assert_eq!(ran.status.code(), Some(2));
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(
        told.contains("AG9010") && told.contains("more than 100000 files"),
        "{told}"
    );
}

/// Whoever checks a folder before it is in force hears of a policy that is none by a letter.
#[test]
fn a_policy_in_a_folder_is_not_passed_over_for_its_kind() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    let good = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: p }\ndefaults: { action: allow }\n\
                rules: [{ id: r, match: { tool: t }, action: deny, reason: x, examples: [{ call: \"t {}\", expect: deny }] }]\n";
    fs::write(file("good.yaml"), good).unwrap();
    let path = folder.path().to_str().unwrap();
    for (kind, message) in [
        ("kind: AgentPolcy\n", "this kind of document is no policy"),
        ("kind: agentpolicy\n", "this kind of document is no policy"),
        ("kind: PolicyTests\n", "this kind of document is no policy"),
        ("", "`kind` is missing"),
    ] {
        let wrong = good.replace("kind: AgentPolicy\n", kind);
        fs::write(file("wrong.yaml"), wrong).unwrap();
        for (command, status) in [("validate", 1), ("lint", 1), ("test", 2)] {
            let ran = run(&[command, path]);
            assert_eq!(ran.status.code(), Some(status), "{command} {kind}");
            let told = format!(
                "{}{}",
                super::out(&ran),
                String::from_utf8_lossy(&ran.stderr)
            );
            assert!(told.contains(message), "{command} {kind}: {told}");
        }
    }
    // What belongs to others, or is another kind of ours, is no policy.
    for other in [
        "apiVersion: v1\nkind: ConfigMap\ndata: {}\n",
        "apiVersion: agentguard.dev/v1\nkind: AgentKill\ngeneration: 1\nkill: []\n",
        "name: values\n",
        "[]\n",
    ] {
        fs::write(file("wrong.yaml"), other).unwrap();
        for command in ["validate", "lint", "test"] {
            assert_eq!(run(&[command, path]).status.code(), Some(0), "{other}");
        }
    }
    // Without a policy nothing would ever be wrong.
    fs::remove_file(file("good.yaml")).unwrap();
    for command in ["validate", "lint", "test"] {
        let ran = run(&[command, path]);
        assert_eq!(ran.status.code(), Some(2), "{command}");
        let told = String::from_utf8(ran.stderr).unwrap();
        assert!(told.contains("AG9014"), "{command}: {told}");
    }
}

#[test]
fn a_word_that_yaml_readers_read_differently_is_told_in_every_kind_of_document() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, format!("apiVersion: agentguard.dev/v1\n{text}")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let list = "kind: AgentKill\ngeneration: 1\nkill: [{ agents: [bot], reason: no }]\n";
    let tests =
        "kind: PolicyTest\npolicy: p.yaml\ntests: [{ call: \"t {}\", name: no, expect: allow }]\n";
    for (name, text, command) in [
        ("list.yaml", list, "validate"),
        ("list.yaml", list, "lint"),
        ("tests.yaml", tests, "test"),
    ] {
        let ran = run(&["--json", command, &file(name, text)]);
        assert_ne!(ran.status.code(), Some(0), "{command} {name}");
        let codes: Vec<serde_json::Value> = json_lines(&ran)
            .into_iter()
            .map(|mut line| line["code"].take())
            .collect();
        assert_eq!(codes, ["AG1001"], "{command} {name}");
    }
    let ran = run(&["build", "--for", "json", &file("list.yaml", list)]);
    assert_eq!(ran.status.code(), Some(2));
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(told.contains("(1 error): line 4"), "{told}");
}

#[test]
fn an_error_at_a_letter_of_several_bytes_is_shown_with_all_of_it() {
    let folder = TempDir::new().unwrap();
    for (name, text, column, letter) in [
        ("a.yaml", "a: [b\u{feff}", 6, "\u{feff}"),
        ("b.yaml", "é: \"x\" ü\n", 8, "ü"),
        ("d.json", "{\"a\": ü}", 7, "ü"),
        ("e.json", "\u{feff}{\u{1f600}: 1}", 2, "\u{1f600}"),
        ("f.json", "{\"a\": 1 \u{a0}}", 9, "\u{a0}"),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        for command in ["validate", "lint", "fmt"] {
            let ran = run(&[command, file]);
            assert!(matches!(ran.status.code(), Some(1 | 2)), "{name} {command}");
            let told = [ran.stdout, ran.stderr].concat();
            assert!(
                String::from_utf8(told).unwrap().contains("AG1001"),
                "{name}"
            );
        }
        let ran = run(&["validate", "--json", file]);
        let said = &json_lines(&ran)[0];
        let at = |name: &str| usize::try_from(said[name].as_u64().unwrap()).unwrap();
        let marked = text.get(at("byte_start")..at("byte_end"));
        assert_eq!(
            (marked, at("column")),
            (Some(letter), column),
            "{name}: {said}"
        );
    }
}

/// The names of the subcommands in a help text.
fn subcommands(of: &[&str]) -> Vec<String> {
    let help = super::out(&super::run(&[of, &["--help"]].concat()));
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let named = listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = named.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_prints_json_where_json_is_asked_for() {
    const TRAIL: &str = "tests/upgrade/0.1/audit.jsonl";
    let folder = TempDir::new().unwrap();
    let inside = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let policy = include_str!("../../policies/getting-started.yaml");
    let unsound = inside("unsound.yaml");
    fs::write(&unsound, policy.replace("defaults:", "defualts:")).unwrap();
    let observed = "tests/cli/lint/observe_left_on.yaml";
    let (kill, made, pages, index) = (
        inside("kill.yaml"),
        inside("made"),
        inside("pages"),
        inside("audit.db"),
    );
    let (envoy, heads) = (inside("envoy.yaml"), inside("heads.json"));
    fs::write(&envoy, r#"{"static_resources": {"listeners": [{"name": "agents", "address": {"socket_address": {"address": "0.0.0.0", "port_value": 10000}}, "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "a", "route_config": {"name": "r", "virtual_hosts": []}, "http_filters": []}}]}]}]}}"#).unwrap();
    let old = inside("old.jsonl");
    fs::copy(super::root().join(TRAIL), &old).unwrap();
    let (exchanges, key) = ("tests/upgrade/0.1/exchanges.jsonl", inside("manager.key"));
    let calls: &[(&str, &[&str])] = &[
        ("validate", &[&unsound]),
        ("lint", &[observed]),
        ("check", &[GOOD, "--tool", "t"]),
        ("test", &[GOOD]),
        ("inspect", &[exchanges]),
        ("scan", &["tests/detect/injection.jsonl"]),
        ("replay", &["--policy", GOOD, exchanges]),
        ("diff", &[GOOD, observed]),
        ("audit verify", &[TRAIL]),
        ("audit index", &[TRAIL, "--db", &index]),
        ("audit query", &[TRAIL]),
        ("audit export", &[TRAIL]),
        ("audit report", &[TRAIL]),
        (
            "audit prune",
            &[
                &old,
                TRAIL,
                "--older-than",
                "1d",
                "--force",
                "--dry-run",
                "--heads",
                &heads,
            ],
        ),
        ("init", &[&made]),
        (
            "build",
            &[GOOD, "--for", "envoy", "--output", &inside("filter.json")],
        ),
        ("doctor", &[&envoy]),
        ("kill", &["--file", &kill, "--tool", "t", "--reason", "r"]),
        ("keygen", &["--client", "c"]),
        ("keygen", &["--approver", "manager", "--output", &key]),
        ("fmt", &["--check", observed]),
        ("schema", &[]),
        ("explain", &["AG1001"]),
        ("explain", &[GOOD, "{text: x}"]),
        ("completions", &["bash"]),
        ("man", &[]),
        ("man", &["--output", &pages]),
    ];
    let mut wrong: Vec<String> = Vec::new();
    for (command, arguments) in calls {
        let command: Vec<&str> = command.split(' ').collect();
        let output = super::run(&[&["--json"], command.as_slice(), arguments].concat());
        let told = super::out(&output);
        // An object is a finding of `doctor`, and this configuration has none.
        if told.is_empty() && command != ["doctor"] {
            wrong.push(format!("{command:?} {arguments:?}: {output:?}"));
        }
        for line in told.lines() {
            let value = serde_json::from_str::<serde_json::Value>(line);
            if !value.is_ok_and(|value| value.is_object()) {
                wrong.push(format!("{command:?} {arguments:?}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Those with a token or a signature as their only result have tests of their own.
    let elsewhere = ["approve", "audit checkpoint"];
    for name in subcommands(&[]) {
        let below: Vec<String> = match &*name {
            "audit" => subcommands(&["audit"]),
            _ => Vec::new(),
        };
        let names = match below.is_empty() {
            true => vec![name],
            false => below
                .iter()
                .map(|below| format!("{name} {below}"))
                .collect(),
        };
        for name in names {
            let is_called = calls.iter().any(|(command, _)| *command == name);
            assert!(is_called || elsewhere.contains(&&*name), "{name}");
        }
    }
    let contradicting = super::run(&["--json", "audit", "export", TRAIL, "--format", "csv"]);
    assert_eq!(contradicting.status.code(), Some(2));
}
