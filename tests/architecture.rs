//! The layers, read off the `use crate::…` lines: an arrow may be skipped, never reversed, and siblings do not import one
//! another.
#![expect(clippy::unwrap_used, reason = "test code: a failure is a panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// From the bottom up; what stands in one line are siblings.
const LAYERS: &[&[&str]] = &[
    &["wire", "diag"],
    &["detect", "event"],
    &[
        "policy", "protocol", "audit", "metrics", "limit", "identity", "approval", "redact",
    ],
    &["flow"],
    &["cli", "host"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The modules that a file names, tests left out.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let name: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        found.insert(name);
    }
    found
}

#[test]
fn dependencies_point_down() {
    let mut wrong = Vec::new();
    for file in files(&source()) {
        let relative = file.strip_prefix(source()).unwrap();
        let module = relative
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        let is_test = relative.ends_with("tests.rs");
        let Some(own) = layer(module).filter(|_| !is_test) else {
            continue;
        };
        for import in imports(&std::fs::read_to_string(&file).unwrap()) {
            match layer(&import) {
                Some(other) if import != module && other >= own => {
                    wrong.push(format!("{} imports {import}", relative.display()));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_folder_of_the_source_has_its_layer() {
    for entry in std::fs::read_dir(source()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(layer(&name).is_some(), "{name} has no layer");
        }
    }
}

#[test]
fn only_the_host_names_the_sdk() {
    for file in files(&source()) {
        let text = std::fs::read_to_string(&file).unwrap();
        let inside = file.starts_with(source().join("host")) || file.ends_with("lib.rs");
        assert!(
            inside || !text.contains("proxy_wasm::"),
            "{}",
            file.display()
        );
    }
}

#[test]
fn a_protocol_a_detector_or_a_subcommand_that_is_not_registered_is_found() {
    for (folder, list) in [
        ("protocol", "protocol/mod.rs"),
        ("cli", "cli/mod.rs"),
        ("policy/operators", "policy/operators/mod.rs"),
    ] {
        let list = std::fs::read_to_string(source().join(list)).unwrap();
        for entry in std::fs::read_dir(source().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if name != "mod" {
                assert!(list.contains(&format!("mod {name};")), "{folder}/{name}");
            }
        }
    }
}
