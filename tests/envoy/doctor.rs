//! `agentguard doctor` on running Envoys.

use crate::kill::KillFile;
use crate::scene::{Mode, in_mode, no_weapons, policy};
use agentguard::metrics::{label_names, tag_pattern};
use harness::{Host, Setup, Site, Version};
use serde_json::{Value, json};
use std::process::Command;

in_both_envoys![doctor_examines_a_running_envoy];

fn doctor_examines_a_running_envoy(version: Version) {
    let kill = KillFile::new("doctor", version);
    let hold = in_mode(&policy(json!([no_weapons()])), Mode::Hold);
    let sites = vec![
        Site::new("well", &hold).behind_filters(vec![kill.filter()]),
        Site::new("watched", &hold).watched(),
        Site::bare("bare"),
        Site::new("flagless", &hold).stop_iteration(false),
        Site::new("small", &hold).buffer_limit(65_536),
    ];
    let names = label_names().into_iter();
    let tags = names.map(|name| (name, tag_pattern(name))).collect();
    let envoy = Setup::new(version, sites).tags(tags).start();
    let examined = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_agentguard"))
            .args([
                "doctor",
                "--json",
                "--admin",
                &format!("http://{}", envoy.admin()),
            ])
            .args(more)
            .output()
            .expect("the command");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        (output.status.code(), lines)
    };
    let (status, lines) = examined(&[]);
    let findings: Vec<(&str, &str)> = lines
        .iter()
        .filter_map(|line| Some((line["code"].as_str()?, line["place"].as_str()?)))
        .collect();
    // A native module needs no flag, and raises the buffer itself.
    let expected: &[(&str, &str)] = match Host::of_run() {
        Host::Wasm => &[
            ("AG6001", "listener bare"),
            ("AG6010", "listener small"),
            ("AG6011", "listener flagless, filter agentguard-flagless"),
        ],
        Host::Native => &[("AG6001", "listener bare")],
    };
    assert_eq!(findings, expected);
    assert_eq!(status, Some(1));
    let policies = lines.iter().filter(|line| line["policy"] == "test");
    assert_eq!(policies.count(), 4);
    let (status, lines) = examined(&["--listener", "well", "--listener", "watched"]);
    assert_eq!((status, lines.len()), (Some(0), 2), "{lines:?}");
}
