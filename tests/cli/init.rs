//! `init`, completions, manual pages, and the formats of code hosts.

use super::{files, json_lines, out, root, run};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn init(folder: &Path, options: &[&str]) -> std::process::Output {
    run(&[&["init", folder.to_str().unwrap()], options].concat())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

const MESH: [&str; 4] = ["--image", "r.io/agentguard:1", "--gateway", "agents"];

#[test]
fn a_folder_has_a_tested_policy_what_the_proxy_needs_and_ten_lines_to_read() {
    for (target, options, proxy) in [
        ("envoy", &[][..], &["agentguard.json", "envoy.json"][..]),
        (
            "docker",
            &[],
            &[
                "agentguard.json",
                "compose.yaml",
                "envoy.json",
                "monitoring",
            ],
        ),
        (
            "envoy",
            &["--host", "native"],
            &["agentguard.json", "envoy.json"],
        ),
        ("istio", &MESH, &["agentguard.yaml"]),
        ("envoy-gateway", &MESH, &["agentguard.yaml"]),
        (
            "envoy-gateway",
            &["--host", "native", "--gateway", "agents"],
            &["agentguard.yaml"],
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let made = folder.path().join("new/guard");
        let output = init(&made, &[&["--for", target], options].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{target}: {said}");
        let mut expected = vec!["README.md", "policy.test.yaml", "policy.yaml"];
        expected.extend(proxy);
        expected.sort_unstable();
        assert_eq!(names(&made), expected, "{target}");
        let test = run(&["test", made.join("policy.yaml").to_str().unwrap()]);
        assert_eq!(test.status.code(), Some(0), "{}", out(&test));
        let policy = fs::read_to_string(made.join("policy.yaml")).unwrap();
        assert!(policy.starts_with("# yaml-language-server: $schema=https://agentguard.dev/"));
        let readme = fs::read_to_string(made.join("README.md")).unwrap();
        assert!(
            (8..=12).contains(&readme.lines().count()),
            "{target}: {readme}"
        );
        // What the page says to run after a change writes what stands there.
        let command = readme
            .split('`')
            .find(|part| part.starts_with("agentguard build"))
            .unwrap();
        let file = made.join(command.split_whitespace().last().unwrap());
        let before = fs::read(&file).unwrap();
        let again = made.join("again");
        let arguments: Vec<String> = command
            .split_whitespace()
            .skip(1)
            .map(|word| match word {
                "policy.yaml" => made.join(word).to_str().unwrap().to_owned(),
                word if file.ends_with(word) => again.to_str().unwrap().to_owned(),
                word => word.to_owned(),
            })
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(|word| &**word).collect();
        assert_eq!(run(&arguments).status.code(), Some(0), "{command}");
        assert_eq!(fs::read(&again).unwrap(), before, "{target}");
    }
}

#[test]
fn the_page_of_a_folder_quotes_what_a_shell_would_read_as_something_else() {
    let folder = TempDir::new().unwrap();
    let keys = "https://login.example/keys?p=a&q=it's";
    let tokens = ["--jwt-issuer", "https://login.example/", "--jwks", keys];
    let options = [&["--for", "envoy-gateway"][..], &MESH, &tokens].concat();
    assert_eq!(init(folder.path(), &options).status.code(), Some(0));
    let readme = fs::read_to_string(folder.path().join("README.md")).unwrap();
    let command = readme
        .split('`')
        .find(|part| part.starts_with("agentguard build"));
    // A shell that runs it prints what the command would get.
    let printed = format!(
        "agentguard() {{ printf '%s\\n' \"$@\"; }}; {}",
        command.unwrap()
    );
    let read = std::process::Command::new("sh")
        .args(["-c", &printed])
        .output()
        .unwrap();
    let words: Vec<String> = out(&read).lines().map(str::to_owned).collect();
    assert!(words.iter().any(|word| word == keys), "{words:?}");
    assert_eq!(words.last().map(String::as_str), Some("agentguard.yaml"));
}

#[test]
fn the_compose_file_has_the_form_of_its_schema_and_mounts_what_is_there() {
    let folder = TempDir::new().unwrap();
    let made = folder.path().join("guard");
    assert_eq!(init(&made, &["--for", "docker"]).status.code(), Some(0));
    let text = fs::read_to_string(made.join("compose.yaml")).unwrap();
    let compose: Value = yaml(&text);
    let schema = fs::read_to_string(root().join("tests/crds/compose-spec.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let wrong: Vec<String> = schema
        .iter_errors(&compose)
        .map(|it| it.to_string())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    for service in compose["services"].as_object().unwrap().values() {
        assert!(
            !service["image"].as_str().unwrap().contains("IMAGE"),
            "{service}"
        );
        for volume in service["volumes"].as_array().unwrap() {
            let from = volume.as_str().unwrap().split(':').next().unwrap();
            let is_named = compose["volumes"].get(from).is_some();
            assert!(is_named || made.join(from).exists(), "{volume}");
        }
    }
    // Prometheus reads what the health listener of Envoy's configuration answers.
    let prometheus = yaml(&fs::read_to_string(made.join("monitoring/prometheus.yml")).unwrap());
    let target = &prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0];
    let envoy = fs::read_to_string(made.join("envoy.json")).unwrap();
    let port = target.as_str().unwrap().strip_prefix("envoy:").unwrap();
    assert!(
        envoy.contains(&format!("\"port_value\": {port}")),
        "{target}"
    );
}

fn yaml(text: &str) -> Value {
    let mut json = Vec::new();
    agentguard::author::parse_yaml(text)
        .unwrap()
        .write_json(&mut json);
    serde_json::from_slice(&json).unwrap()
}

#[test]
fn nothing_is_overwritten_and_nothing_is_half_made() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("policy.yaml"), "mine").unwrap();
    let refused = init(folder.path(), &[]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("exists already") && said.contains("policy.yaml"),
        "{said}"
    );
    assert_eq!(names(folder.path()), ["policy.yaml"]);
    assert_eq!(
        fs::read_to_string(folder.path().join("policy.yaml")).unwrap(),
        "mine"
    );
    // A mistake in the options leaves no folder behind.
    for options in [
        &["--for", "istio"][..],
        &["--wasm", "README.md"],
        &["--host", "native", "--module", "README.md"],
        &["--host", "native", "--wasm", "README.md"],
        &["--host", "native", "--for", "docker"],
        &["--module", "README.md"],
        &["--upstream", "api.openai.com"],
        // What would change nothing.
        &["--image", "r.io/a:1"],
        &["--for", "docker", "--name", "n"],
        &[
            "--for",
            "istio",
            "--image",
            "r.io/a:1",
            "--gateway",
            "g",
            "--client-ca",
            "c",
        ],
        &[
            "--for",
            "istio",
            "--image",
            "r.io/a:1",
            "--gateway",
            "g",
            "--upstream",
            "https://a.example",
        ],
    ] {
        let made = folder.path().join("new");
        assert_eq!(init(&made, options).status.code(), Some(2), "{options:?}");
        assert!(!made.exists(), "{options:?}");
    }
}

#[test]
fn the_module_is_copied_beside_the_configuration_that_names_it() {
    let folder = TempDir::new().unwrap();
    let module = folder.path().join("m.wasm");
    fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
    let made = folder.path().join("new");
    let output = init(&made, &["--wasm", module.to_str().unwrap(), "--json"]);
    let line = json_lines(&output).remove(0);
    assert!(
        line["files"]
            .as_array()
            .unwrap()
            .contains(&Value::from("agentguard.wasm"))
    );
    assert_eq!(
        fs::read(made.join("agentguard.wasm")).unwrap(),
        fs::read(&module).unwrap()
    );
    let filter = fs::read_to_string(made.join("agentguard.json")).unwrap();
    assert!(
        filter.contains("\"filename\": \"agentguard.wasm\""),
        "{filter}"
    );
}

/// The names of all subcommands, from `--help`.
fn subcommands() -> Vec<String> {
    let help = out(&run(&["--help"]));
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .map_while(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .filter(|name| name != "help")
        .collect()
}

#[test]
fn completions_and_manual_pages_know_every_subcommand() {
    let subcommands = subcommands();
    assert!(subcommands.len() >= 18, "{subcommands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = out(&run(&["completions", shell]));
        for name in &subcommands {
            assert!(script.contains(&**name), "{shell} {name}");
        }
    }
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("man1");
    assert_eq!(
        run(&["man", "--output", pages.to_str().unwrap()])
            .status
            .code(),
        Some(0)
    );
    for name in &subcommands {
        assert!(
            pages.join(format!("agentguard-{name}.1")).is_file(),
            "{name}"
        );
    }
    assert!(out(&run(&["man"])).contains(".TH agentguard 1"));
}

#[test]
fn what_is_wrong_is_told_to_code_hosts_in_their_formats() {
    let file = "tests/cli/wrong/after_other_letters.yaml";
    let plain = json_lines(&run(&["--json", "validate", file]));
    let github = run(&["validate", "--format", "github", file]);
    assert_eq!(github.status.code(), Some(1));
    let first = &plain[0];
    let text = out(&github);
    let line = text.lines().next().unwrap();
    assert!(
        line.starts_with(&format!(
            "::error file={file},line={},col={},title={}::{}",
            first["line"],
            first["column"],
            first["code"].as_str().unwrap(),
            first["message"].as_str().unwrap(),
        )),
        "{line}"
    );
    assert_eq!(text.lines().count(), plain.len());
    let sarif = run(&["lint", "--format", "sarif", "tests/cli/wrong", "policies"]);
    assert_eq!(sarif.status.code(), Some(1));
    let log: Value = serde_json::from_slice(&sarif.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run_of = &log["runs"][0];
    let rules = run_of["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run_of["results"].as_array().unwrap();
    assert!(results.len() >= files("tests/cli/wrong").len());
    for result in results {
        assert!(
            rules.iter().any(|rule| rule["id"] == result["ruleId"]),
            "{result}"
        );
        let place = &result["locations"][0]["physicalLocation"];
        let named = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(root().join(named).is_file(), "{named}");
        let region = &place["region"];
        let at = |key: &str| region[key].as_u64().unwrap();
        assert!(
            (at("startLine"), at("startColumn")) <= (at("endLine"), at("endColumn")),
            "{result}"
        );
        assert!(at("startLine") >= 1 && at("startColumn") >= 1, "{result}");
    }
    let clean = run(&[
        "validate",
        "--format",
        "sarif",
        "policies/getting-started.yaml",
    ]);
    assert_eq!(clean.status.code(), Some(0));
    let log: Value = serde_json::from_slice(&clean.stdout).unwrap();
    assert_eq!(log["runs"][0]["results"], Value::Array(Vec::new()));
}

#[test]
fn the_schemas_of_the_folder_are_those_of_the_command() {
    for (name, option) in [
        ("policy", None),
        ("test", Some("--test")),
        ("kill-list", Some("--kill")),
    ] {
        let mut arguments = vec!["schema"];
        arguments.extend(option);
        let schema = out(&run(&arguments));
        let file = root().join(format!("schema/{name}.json"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&file, &schema).unwrap();
        }
        assert!(
            fs::read_to_string(&file).is_ok_and(|written| written == schema),
            "schema/{name}.json: UPDATE_DOCS=1 cargo test --test cli schemas"
        );
        let parsed: Value = serde_json::from_str(&schema).unwrap();
        assert_eq!(
            parsed["$id"],
            format!("https://agentguard.dev/schema/v1/{name}.json")
        );
    }
}

#[test]
fn every_policy_and_test_that_ships_names_its_schema_for_editors() {
    for folder in ["policies", "policies/terse"] {
        for file in files(folder) {
            let text = fs::read_to_string(root().join(&file)).unwrap();
            let line = text.lines().next().unwrap();
            let schema = line
                .strip_prefix("# yaml-language-server: $schema=")
                .unwrap();
            assert!(root().join(folder).join(schema).is_file(), "{file}");
            assert_eq!(
                schema.ends_with("test.json"),
                file.ends_with(".test.yaml"),
                "{file}"
            );
        }
    }
}

#[test]
fn the_action_annotates_what_is_wrong_and_runs_the_tests() {
    let action = fs::read_to_string(root().join("action.yml")).unwrap();
    assert!(action.contains("tools/setup/check-policies"), "{action}");
    let check = |targets: &str, strict: &str| {
        std::process::Command::new(root().join("tools/setup/check-policies"))
            .current_dir(root())
            .env("AGENTGUARD", env!("CARGO_BIN_EXE_agentguard"))
            .env("TARGETS", targets)
            .env("PROXY", "istio")
            .env("STRICT", strict)
            .output()
            .unwrap()
    };
    let good = check("policies/getting-started.yaml", "true");
    assert_eq!(good.status.code(), Some(0), "{}", out(&good));
    let wrong = check("tests/cli/wrong/after_other_letters.yaml", "false");
    assert_ne!(wrong.status.code(), Some(0));
    assert!(
        out(&wrong).starts_with("::error file=tests/cli/wrong/"),
        "{}",
        out(&wrong)
    );
    // A policy without a test is an error as well.
    let untested = check("tests/cli/lint/allowed_anyway.yaml", "true");
    assert_eq!(untested.status.code(), Some(2));
    assert!(
        out(&untested).contains("::warning file="),
        "{}",
        out(&untested)
    );
}

#[test]
fn every_hook_runs_a_subcommand_that_there_is() {
    let hooks = fs::read_to_string(root().join(".pre-commit-hooks.yaml")).unwrap();
    let subcommands = subcommands();
    let entries: Vec<&str> = hooks
        .lines()
        .filter_map(|line| line.strip_prefix("  entry: agentguard "))
        .collect();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        let name = entry.split(' ').next().unwrap();
        assert!(subcommands.iter().any(|known| known == name), "{entry}");
    }
}
