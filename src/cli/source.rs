//! Policy files: reading, parsing and compiling, with locations as lines and columns.

use super::{Failed, output};
use crate::author::{
    ReadPolicyFile, Resolved, add_advice, foreign_document, is_kill_list, is_test_file,
    parse_yaml_in_part, resolve, unprovided,
};
use crate::diag::{Diagnostic, Severity, codes};
use crate::policy::{
    KillList, Loaded, MAX_DOCUMENT, Node, NodeValue, Policy, desugar_document, load_with_zones,
    parse_json,
};
use std::ops::Range;
use std::path::Path;

/// Maximum warnings beside a decision about callers and approvals that the policy requires and nothing provides.
const MAX_WARNINGS: usize = 5;

/// Document and its compiled form.
pub(super) struct Source {
    /// File name as given. `-` is standard input.
    pub(super) name: String,
    /// The text.
    pub(super) text: String,
    /// Number of bytes in the file before the text: the byte order mark.
    before: usize,
    /// Offset of each line. Thousands of findings may need their position.
    lines: Vec<usize>,
    /// Tree of the document; absent if it could not be parsed.
    pub(super) root: Option<Node>,
    /// Tree of a document with invalid scalars only, to find further errors.
    partial: Option<Node>,
    /// Compiled document.
    pub(super) loaded: Loaded,
    /// The document with the files that it names, if it names any.
    resolved: Option<Resolved>,
}

impl Source {
    /// Reads and compiles a file. An unreadable file is a failure; an invalid policy is a diagnostic.
    pub(super) fn open(name: &str) -> Result<Source, Failed> {
        Ok(Source::read(name)?.compiled())
    }

    /// Reads a file without compiling it.
    pub(super) fn read(name: &str) -> Result<Source, Failed> {
        let bytes = output::read_at_most(name, MAX_DOCUMENT)
            .map_err(|what| output::print_unread(name, &what))?;
        Ok(Source::of_bytes(name, &bytes))
    }

    /// Parses a text that is not in a file.
    pub(super) fn of(name: &str, text: &str) -> Source {
        Source::of_bytes(name, text.as_bytes())
    }

    fn of_bytes(name: &str, bytes: &[u8]) -> Source {
        let whole = bytes.len();
        let bytes = bytes.strip_prefix(output::BYTE_ORDER_MARK).unwrap_or(bytes);
        let before = whole.saturating_sub(bytes.len());
        let (text, (root, mut diagnostics)) = match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), parse(name, text)),
            Err(error) => {
                let at = error.valid_up_to();
                let text = String::from_utf8_lossy(bytes).into_owned();
                let end = text.len().min(at.saturating_add(3));
                (text, (None, vec![not_utf8(at..end)]))
            }
        };
        add_advice(&text, &mut diagnostics);
        let (root, partial) = match diagnostics.is_empty() {
            true => (root, None),
            false => (None, root),
        };
        let ends = text.match_indices('\n');
        let begins = ends.map(|(end, _)| end.saturating_add(1));
        Source {
            name: name.to_owned(),
            before,
            lines: std::iter::once(0).chain(begins).collect(),
            text,
            root,
            partial,
            loaded: Loaded {
                policy: None,
                diagnostics,
            },
            resolved: None,
        }
    }

    /// Compiles the document with the documents that it extends.
    pub(super) fn compiled(self) -> Source {
        let Some(root) = self.root.as_ref().or(self.partial.as_ref()) else {
            return self;
        };
        if is_kill_list(root) {
            let diagnostics = KillList::read(root).err().unwrap_or_default();
            let mut loaded = Loaded {
                policy: None,
                diagnostics,
            };
            self.add_words(&mut loaded);
            return Source { loaded, ..self };
        }
        if let Some(foreign) = foreign_document(root) {
            let loaded = Loaded {
                policy: None,
                diagnostics: vec![foreign],
            };
            return Source { loaded, ..self };
        }
        let mut resolved = None;
        let merged = desugar_document(root).and_then(|(root, notes)| {
            let merged = if names_files(&root) {
                let whole = resolve(&self.name, &root, &mut read_beside)?;
                resolved.insert(whole).root.clone()
            } else {
                root
            };
            Ok((merged, notes))
        });
        let (mut loaded, root) = match merged {
            Ok((merged, notes)) => {
                let mut loaded = load_with_zones(&merged);
                loaded.diagnostics.extend(notes);
                if let Some(policy) = &loaded.policy {
                    loaded.diagnostics.extend(unprovided(policy, &merged));
                }
                (loaded, Some(merged))
            }
            Err(diagnostics) => {
                let policy = None;
                let loaded = Loaded {
                    policy,
                    diagnostics,
                };
                (loaded, self.root.clone())
            }
        };
        self.add_words(&mut loaded);
        if let Some(resolved) = &resolved {
            resolved.attribute(&mut loaded.diagnostics);
        }
        let root = root.filter(|_| self.root.is_some());
        Source {
            loaded,
            root,
            resolved,
            ..self
        }
    }

    /// Adds the invalid scalars of the text to what is wrong with the document that was read without them, with what to do.
    fn add_words(&self, loaded: &mut Loaded) {
        let words = &self.loaded.diagnostics;
        if !words.is_empty() {
            // An error that follows from an invalid scalar is not reported.
            let is_word = |diagnostic: &Diagnostic| {
                let mut words = words.iter();
                words.any(|word| {
                    word.span.start <= diagnostic.span.start && diagnostic.span.end <= word.span.end
                })
            };
            loaded.diagnostics.retain(|diagnostic| !is_word(diagnostic));
            loaded.diagnostics.extend(words.iter().cloned());
            loaded.policy = None;
        }
        add_advice(&self.text, &mut loaded.diagnostics);
        loaded
            .diagnostics
            .sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.span.start));
    }

    /// Returns whether the document is a file of tests, also one with invalid scalars.
    pub(super) fn is_test_file(&self) -> bool {
        let root = self.root.as_ref().or(self.partial.as_ref());
        root.is_some_and(is_test_file)
    }

    /// Adds to diagnostics what to do, and which of the files that the document names they are about.
    pub(super) fn advise(&self, diagnostics: &mut [Diagnostic]) {
        add_advice(&self.text, diagnostics);
        if let Some(resolved) = &self.resolved {
            resolved.attribute(diagnostics);
        }
    }

    /// Returns the policy. Reports an error if there is none, for subcommands that need a valid one.
    pub(super) fn policy(&self) -> Result<&Policy, Failed> {
        match &self.loaded.policy {
            Some(policy) => Ok(policy),
            None if self.root.as_ref().is_some_and(is_kill_list) => {
                Err(output::print_foreign(&format!(
                    "{} is a kill list, not a policy; `agentguard kill --file` shows it, and `build` takes it",
                    self.name
                )))
            }
            None => Err(self.print_invalid(self.loaded.errors())),
        }
    }

    /// Prints how many errors a policy has, and the first of them.
    pub(super) fn print_invalid<'e>(&self, errors: impl Iterator<Item = &'e Diagnostic>) -> Failed {
        let errors: Vec<&Diagnostic> = errors.collect();
        let count = match errors.len() {
            1 => "1 error".to_owned(),
            several => format!("{several} errors"),
        };
        let first = errors.first().map(|error| {
            let (line, column) = self.position(error.span.start);
            let error = output::visible(&error.to_string());
            format!(": line {line}, column {column}: {error}")
        });
        let first = first.unwrap_or_default();
        output::print_error(&format!(
            "{} is not a valid policy ({count}){first}; see `agentguard validate {}`",
            self.name, self.name
        ))
    }

    /// Converts an offset in the text to an offset in the file.
    pub(super) fn place_in_file(&self, byte: usize) -> usize {
        byte.saturating_add(self.before)
    }

    /// Returns a span of the text extended to whole characters: a syntax error is at a byte.
    pub(super) fn whole_characters(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start);
        start..self.text.ceil_char_boundary(span.end).max(start)
    }

    /// Returns line and column (in characters) of an offset, both from 1.
    pub(super) fn position(&self, byte: usize) -> (usize, usize) {
        let byte = self.text.floor_char_boundary(byte);
        let line = self.lines.partition_point(|start| *start <= byte);
        let start = line.checked_sub(1).and_then(|line| self.lines.get(line));
        let before = start.and_then(|start| self.text.get(*start..byte));
        let column = before.map_or(0, |before| before.chars().count());
        (line, column.saturating_add(1))
    }
}

/// Returns whether a document depends on other files. A document with the same key inside and outside of `spec` is
/// rejected as it is.
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
            ("policies", NodeValue::List(documents)) => documents.iter().any(names_files),
            ("principals", NodeValue::List(sources)) => sources.iter().any(names_key_files),
            _ => false,
        }
    })
}

/// Returns whether a source of `principals` has keys in files.
fn names_key_files(source: &Node) -> bool {
    let keys = source
        .get("api_key")
        .and_then(|api_key| api_key.get("keys"));
    match keys.map(|keys| &keys.data) {
        Some(NodeValue::List(keys)) => keys.iter().any(|key| key.get("file").is_some()),
        _ => false,
    }
}

/// Reads a file that a document names, relative to the document.
fn read_beside(from: &str, path: &str) -> Result<ReadPolicyFile, String> {
    let file = match Path::new(from).parent() {
        Some(folder) => folder.join(path),
        None => path.into(),
    };
    let name = file.to_string_lossy().into_owned();
    let bytes =
        output::read_at_most(&name, MAX_DOCUMENT).map_err(|what| format!("{name}: {what}"))?;
    // The mark would be part of the first entry of a list, or of a key.
    let bytes = bytes
        .strip_prefix(output::BYTE_ORDER_MARK)
        .unwrap_or(&bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(ReadPolicyFile {
            name,
            text: text.to_owned(),
        }),
        Err(_) => Err(format!("{name} is not UTF-8")),
    }
}

fn parse(name: &str, text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    let is_json =
        name.ends_with(".json") || (name == output::STDIN && text.trim_start().starts_with('{'));
    if !is_json {
        return parse_yaml_in_part(text);
    }
    match parse_json(text.as_bytes()) {
        Ok(root) => (Some(root), Vec::new()),
        Err(diagnostic) => (None, vec![*diagnostic]),
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

/// The proxy that enforces a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProxyKind {
    /// Envoy alone.
    Envoy,
    /// Istio.
    Istio,
    /// Envoy Gateway.
    EnvoyGateway,
}

impl Source {
    /// Turns warnings about functions that Envoy does not provide into errors. With `fail_closed`, only those that
    /// Envoy would reject: what the other functions apply to is denied, as intended.
    pub(super) fn require_provided(&mut self, fail_closed: bool) {
        let Some(policy) = &self.loaded.policy else {
            return;
        };
        let refused: Vec<&str> = policy
            .unenforceable()
            .filter_map(|(rule, _)| Some(rule.limit.as_ref()?.path()))
            .collect();
        for diagnostic in &mut self.loaded.diagnostics {
            let is_refused = refused.contains(&&*diagnostic.path);
            if diagnostic.code == codes::AG1017 && (is_refused || !fail_closed) {
                diagnostic.severity = Severity::Error;
            }
        }
        self.loaded
            .diagnostics
            .sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.span.start));
    }

    /// Warns about callers and approvals that an evaluated policy requires and nothing in it provides.
    pub(super) fn warn_of_unprovided(&self) {
        let unprovided = self.loaded.diagnostics.iter();
        let unprovided: Vec<&Diagnostic> = unprovided
            .filter(|diagnostic| diagnostic.code == codes::AG1017)
            .collect();
        for diagnostic in unprovided.iter().take(MAX_WARNINGS) {
            let message = output::visible(&diagnostic.message);
            output::print_error(&format!("warning: AG1017 {message}"));
        }
        let more = unprovided.len().saturating_sub(MAX_WARNINGS);
        if more > 0 {
            output::print_error(&format!(
                "warning: {more} more of AG1017; see `agentguard validate {}`",
                self.name
            ));
        }
    }
}
