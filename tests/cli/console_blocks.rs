//! The pages of the documentation: every command of a `console` block prints what the page shows. Those that need an Envoy are run
//! by `tests/envoy/console_blocks.rs`.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "test code: a failure is a panic"
)]

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

/// The fenced blocks of a page: their language and their text, without the indentation of a list that they are in.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for line in text.lines() {
        let inner = line.trim_start();
        match (&mut open, inner.strip_prefix("```")) {
            (Some(_), Some("")) => {
                let (language, _, block) = open.take().unwrap();
                blocks.push((language, block));
            }
            (Some((_, indent, block)), _) => {
                block.push_str(line.get(*indent..).unwrap_or_default());
                block.push('\n');
            }
            (None, Some(language)) => {
                open = Some((language.to_owned(), line.len() - inner.len(), String::new()));
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The text of a page outside of its blocks.
fn prose(text: &str) -> String {
    let mut is_inside = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_inside ^= is_fence;
        !is_inside && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_document_that_a_page_shows_is_valid() {
    let mut documents = 0;
    for path in pages() {
        for (_, block) in blocks(&std::fs::read_to_string(&path).unwrap()) {
            let has_kind = |kind: &str| block.lines().any(|line| line == format!("kind: {kind}"));
            let kinds = ["AgentPolicy", "AgentPolicySet", "AgentKill"];
            let begins = block
                .lines()
                .any(|line| line == "apiVersion: agentguard.dev/v1");
            // What it extends is in another block.
            if !begins || !kinds.iter().any(|kind| has_kind(kind)) || block.contains("\nextends:") {
                continue;
            }
            documents += 1;
            let output = super::run_with(&["validate", "-"], block.as_bytes());
            let said = super::out(&output);
            assert!(
                output.status.success(),
                "{}: {said}\n{block}",
                path.display()
            );
        }
    }
    assert!(documents >= 10, "{documents} documents");
}

/// The commands that a page names in code, also those that are not run: each as its words.
fn named_commands(text: &str) -> Vec<Vec<String>> {
    let shell = blocks(text)
        .into_iter()
        .filter(|(language, _)| language == "sh" || language == "console")
        .flat_map(|(_, block)| {
            let block = block.replace("\\\n>", " ").replace("\\\n", " ");
            block.lines().map(str::to_owned).collect::<Vec<_>>()
        });
    let prose = prose(text).replace("\\|", " ");
    let inline = prose.split('`').skip(1).step_by(2).map(str::to_owned);
    let mut commands = Vec::new();
    for code in shell.chain(inline.collect::<Vec<_>>()) {
        let code = code
            .split(" # ")
            .next()
            .unwrap_or_default()
            .trim_start_matches("$ ");
        for part in code
            .split(['|', ';', '\n'])
            .flat_map(|part| part.split("&&"))
        {
            let part = part.trim();
            if part.starts_with("agentguard ") {
                commands.push(part.split_whitespace().map(str::to_owned).collect());
            }
        }
    }
    commands
}

#[test]
fn every_option_that_a_page_gives_a_command_is_one_of_it() {
    let mut helps = std::collections::HashMap::new();
    let mut help = |command: &[&str]| -> Option<String> {
        let key = command.join(" ");
        let entry = helps.entry(key).or_insert_with(|| {
            let output = super::run(&[command, &["--help"]].concat());
            output.status.success().then(|| super::out(&output))
        });
        entry.clone()
    };
    let mut options = 0;
    for path in pages() {
        for words in named_commands(&std::fs::read_to_string(&path).unwrap()) {
            // Names of other things begin with its name too, such as that of a container.
            let mut words = words
                .iter()
                .map(String::as_str)
                .skip(1)
                .filter(|word| *word != "--json");
            let Some(command) = words.next() else {
                continue;
            };
            let rest: Vec<&str> = words.collect();
            let inner = rest.first().filter(|_| command == "audit").copied();
            let command: Vec<&str> = std::iter::once(command).chain(inner).collect();
            let given: Vec<&str> = rest
                .iter()
                .map(|word| word.trim_start_matches('['))
                .filter(|word| word.starts_with("--") && word.len() > 2)
                .map(|word| word.split(['=', ']', ',']).next().unwrap_or(word))
                .collect();
            if given.is_empty() {
                continue;
            }
            let Some(help) = help(&command) else {
                panic!(
                    "{}: there is no `agentguard {}`",
                    path.display(),
                    command.join(" ")
                );
            };
            for option in given {
                options += 1;
                let is_there = help
                    .split_whitespace()
                    .any(|word| word.trim_end_matches(',') == option);
                assert!(is_there, "{}: {command:?} has no {option}", path.display());
            }
        }
    }
    assert!(options >= 100, "{options} options");
}

#[test]
fn every_code_metric_and_target_that_a_page_names_exists() {
    let codes: std::collections::BTreeSet<&str> = agentguard::diag::codes::CODES
        .iter()
        .map(|code| code.id)
        .collect();
    let metrics = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map(str::to_owned)
            .collect()
    };
    let known = words(&metrics);
    // Parts of names in Prometheus' text.
    let ends = ["_bucket", "_sum", "_count"];
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in words(&text) {
            let number = word.strip_prefix("AG").filter(|rest| rest.len() == 4);
            if number.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) {
                assert!(codes.contains(&*word), "{}: {word}", path.display());
            }
            let base = ends
                .iter()
                .find_map(|end| word.strip_suffix(end))
                .unwrap_or(&word);
            if word.starts_with("agentguard_") && word.ends_with("_total") {
                let is_known = known.iter().any(|known| known == base);
                assert!(is_known, "{}: {word}", path.display());
            }
        }
        for target in text.split("`make ").skip(1) {
            let name = target.split(['`', ' ']).next().unwrap_or_default();
            let is_there = makefile
                .lines()
                .any(|line| line.starts_with(&format!("{name}:")));
            assert!(
                is_there || name.is_empty(),
                "{}: make {name}",
                path.display()
            );
        }
    }
}

/// What a heading is called in a link, as code hosts and the site make it: `## A: b, c` is `#a-b-c`.
fn anchors(text: &str) -> Vec<String> {
    let marks = text.split("<a id=\"").skip(1);
    let mut anchors: Vec<String> = marks
        .filter_map(|rest| Some(rest.split('"').next()?.to_owned()))
        .collect();
    for heading in prose(text).lines().filter(|line| line.starts_with('#')) {
        let title = heading.trim_start_matches('#').trim();
        // A link in a heading is its text.
        let mut shown = String::new();
        let mut rest = title;
        while let Some((before, link)) = rest.split_once('[') {
            shown.push_str(before);
            let (inner, behind) = link.split_once("](").unwrap_or((link, ")"));
            shown.push_str(inner);
            rest = behind.split_once(')').map_or("", |(_, behind)| behind);
        }
        shown.push_str(rest);
        let kept = shown.to_lowercase();
        let kept = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let name: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = anchors.iter().filter(|known| **known == name).count();
        anchors.push(match again {
            0 => name,
            again => format!("{name}-{again}"),
        });
    }
    anchors
}

#[test]
fn every_link_to_a_heading_finds_it() {
    let mut links = 0;
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        let shown = prose(&text);
        let shown: String = shown.split('`').step_by(2).collect();
        for link in shown
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let Some((file, anchor)) = link.split_once('#') else {
                continue;
            };
            if link.contains("://") {
                continue;
            }
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            links += 1;
            let known = anchors(&std::fs::read_to_string(&target).unwrap());
            assert!(
                known.iter().any(|known| known == anchor),
                "{}: {link}",
                path.display()
            );
        }
    }
    assert!(links >= 30, "{links} links");
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
