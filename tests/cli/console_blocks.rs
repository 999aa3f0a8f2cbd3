//! The pages of the documentation: every command of a `console` block prints what the page shows. Those that need an Envoy are run
//! by `tests/envoy/console_blocks.rs`.

use super::root;
use std::path::{Path, PathBuf};

/// Pages that need an Envoy, a provider and a client.
const WITH_ENVOY: [&str; 2] = ["README.md", "docs/start.md"];

/// All pages for readers.
fn pages() -> Vec<PathBuf> {
    let mut folders = vec![root().join("docs")];
    let mut pages = vec![root().join("README.md"), root().join("SECURITY.md")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "md" => pages.push(path),
                _ => {}
            }
        }
    }
    pages.sort();
    pages
}

#[test]
fn the_commands_of_every_page_print_what_it_shows() {
    let command = Path::new(env!("CARGO_BIN_EXE_agentguard"));
    let programs = [command.parent().unwrap()];
    let root = root();
    let root = root.to_str().unwrap();
    for path in pages() {
        let name = path
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let page = harness::Page::read(&path);
        if page.has_commands() && !WITH_ENVOY.contains(&&*name) {
            let folder = tempfile::tempdir().unwrap();
            page.run(folder.path(), &programs, &[]);
        }
    }
}

/// Keys that a policy and other files have: what a page shows under them alone may be of another file.
const SHARED_KEYS: [&str; 1] = ["metadata"];

#[test]
fn every_part_of_a_policy_that_a_page_shows_is_valid() {
    let schema = super::run(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    let keys = schema["properties"].as_object().unwrap();
    let begin = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: page }\n";
    let mut parts = 0;
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let top = |line: &&str| line.starts_with(|c: char| c.is_ascii_alphabetic());
            let named: Vec<&str> = block
                .lines()
                .filter(top)
                .filter_map(|line| line.split(':').next())
                .collect();
            let is_part = |key: &&str| keys.contains_key(*key) && !SHARED_KEYS.contains(key);
            // A page may show two ways to write one key.
            let is_once =
                named.iter().collect::<std::collections::HashSet<_>>().len() == named.len();
            if named.is_empty()
                || !is_once
                || !named.iter().all(is_part)
                || named.contains(&"apiVersion")
            {
                continue;
            }
            parts += 1;
            let defaults = match named.contains(&"defaults") {
                true => "",
                false => "defaults: { action: allow }\n",
            };
            let policy = format!("{begin}{defaults}{block}");
            let output = super::run_with(&["validate", "-"], policy.as_bytes());
            let said = super::out(&output);
            assert!(output.status.success(), "{}: {said}", path.display());
        }
    }
    assert!(parts >= 10, "{parts} parts");
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        // What is in code is no link.
        let text: String = text.split("```").step_by(2).collect();
        let text: String = text.split('`').step_by(2).collect();
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links {
            let target = link.split('#').next().unwrap();
            let is_elsewhere = link.contains("://") || link.starts_with("mailto:");
            if target.is_empty() || is_elsewhere {
                continue;
            }
            let leads_to = path.parent().unwrap().join(target);
            assert!(leads_to.exists(), "{}: {link}", path.display());
        }
    }
}
