//! A policy's file: read, parsed, compiled, with its places in lines and columns.

use super::{Failed, output};
use crate::diag::{Diagnostic, Severity, codes};
use crate::policy::{
    Data, Loaded, Node, Policy, Read, load_with_zones, parse_json, parse_yaml, resolve, unfold,
};
use std::ops::Range;
use std::path::Path;

/// A document and what came of it.
pub(super) struct Source {
    /// The file's name as it was given; `-` for standard input.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
    /// Bytes of the file before the text: those of a byte order mark.
    before: usize,
    /// Where each of its lines begins: of thousands of findings each says where it is.
    lines: Vec<usize>,
    /// Its tree; absent if it could not be parsed.
    pub(super) root: Option<Node>,
    /// What came of it.
    pub(super) loaded: Loaded,
}

impl Source {
    /// Reads and compiles a file. A file that can't be read is a failure; one that is no policy is a diagnostic.
    pub(super) fn open(name: &str) -> Result<Source, Failed> {
        Ok(Source::read(name)?.compiled())
    }

    /// Reads a file without compiling it.
    pub(super) fn read(name: &str) -> Result<Source, Failed> {
        let bytes = output::read(name)?;
        let whole = bytes.len();
        let bytes = bytes
            .strip_prefix(output::BYTE_ORDER_MARK)
            .unwrap_or(&bytes);
        let before = whole.saturating_sub(bytes.len());
        let (text, root) = match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), parse(name, text)),
            Err(error) => {
                let at = error.valid_up_to();
                let text = String::from_utf8_lossy(bytes).into_owned();
                let end = text.len().min(at.saturating_add(3));
                (text, Err(vec![not_utf8(at..end)]))
            }
        };
        let (root, diagnostics) = match root {
            Ok(root) => (Some(root), Vec::new()),
            Err(diagnostics) => (None, diagnostics),
        };
        let ends = text.match_indices('\n');
        let begins = ends.map(|(end, _)| end.saturating_add(1));
        Ok(Source {
            name: name.to_owned(),
            before,
            lines: std::iter::once(0).chain(begins).collect(),
            text,
            root,
            loaded: Loaded {
                policy: None,
                diagnostics,
            },
        })
    }

    /// The same with what it extends, compiled.
    pub(super) fn compiled(self) -> Source {
        let Some(root) = &self.root else { return self };
        let merged = unfold(root).and_then(|(root, told)| {
            let merged = if names_files(&root) {
                resolve(&self.name, &root, &mut read_beside)?
            } else {
                root
            };
            Ok((merged, told))
        });
        match merged {
            Ok((merged, told)) => {
                let mut loaded = load_with_zones(&merged);
                loaded.diagnostics.extend(told);
                loaded
                    .diagnostics
                    .sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.span.start));
                Source {
                    loaded,
                    root: Some(merged),
                    ..self
                }
            }
            Err(diagnostics) => Source {
                loaded: Loaded {
                    policy: None,
                    diagnostics,
                },
                ..self
            },
        }
    }

    /// The policy, or the complaint that there is none: for subcommands that need a valid one.
    pub(super) fn policy(&self) -> Result<&Policy, Failed> {
        match &self.loaded.policy {
            Some(policy) => Ok(policy),
            None => {
                let errors = match self.loaded.errors().count() {
                    1 => "1 error".to_owned(),
                    several => format!("{several} errors"),
                };
                let first = self
                    .loaded
                    .errors()
                    .next()
                    .map(|error| format!(": {error}"))
                    .unwrap_or_default();
                Err(output::complain(&format!(
                    "{} is not a valid policy ({errors}){first}; see `agentguard validate {}`",
                    self.name, self.name
                )))
            }
        }
    }

    /// Where a byte of the text stands in the file.
    pub(super) fn place_in_file(&self, byte: usize) -> usize {
        byte.saturating_add(self.before)
    }

    /// Line and column (in characters) of a byte, both from 1.
    pub(super) fn position(&self, byte: usize) -> (usize, usize) {
        let byte = byte.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= byte);
        let start = line.checked_sub(1).and_then(|line| self.lines.get(line));
        let before = start.and_then(|start| self.text.get(*start..byte));
        let column = before.map_or(0, |before| before.chars().count());
        (line, column.saturating_add(1))
    }
}

/// Whether a document rests on other files. One that says something inside `spec` and outside is refused as it stands.
fn names_files(root: &Node) -> bool {
    let spec = root.get("spec").map(Node::members).unwrap_or_default();
    if spec.iter().any(|member| root.get(&member.key).is_some()) {
        return false;
    }
    root.members().iter().chain(spec).any(|member| {
        let value = &member.value;
        match (&*member.key, &value.data) {
            ("extends", _) => true,
            ("lists", _) => value
                .members()
                .iter()
                .any(|list| list.value.get("file").is_some()),
            ("policies", Data::List(documents)) => documents.iter().any(names_files),
            _ => false,
        }
    })
}

/// A file that a document names, relative to the document.
fn read_beside(from: &str, path: &str) -> Result<Read, String> {
    let file = match Path::new(from).parent() {
        Some(folder) => folder.join(path),
        None => path.into(),
    };
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Read {
            name: file.to_string_lossy().into_owned(),
            text,
        }),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

fn parse(name: &str, text: &str) -> Result<Node, Vec<Diagnostic>> {
    let is_json =
        name.ends_with(".json") || (name == output::STDIN && text.trim_start().starts_with('{'));
    if is_json {
        parse_json(text.as_bytes()).map_err(|diagnostic| vec![*diagnostic])
    } else {
        parse_yaml(text)
    }
}

fn not_utf8(span: Range<usize>) -> Diagnostic {
    Diagnostic {
        code: codes::AG1001,
        severity: Severity::Error,
        path: String::new(),
        span,
        message: "the file is not UTF-8".to_owned(),
        label: None,
        help: Some("save it as UTF-8".to_owned()),
        fix: None,
    }
}
