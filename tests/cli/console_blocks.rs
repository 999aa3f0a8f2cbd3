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
