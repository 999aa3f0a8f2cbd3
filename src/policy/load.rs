//! Loader from bytes to a policy, for the filter's configuration and the command line's files.

use super::decode::Decoder;
use super::node::Node;
use super::short_syntax::{self, DesugaredRule};
use super::zones::Lookup;
use super::{document, version};
use crate::diag::{Diagnostic, Severity, codes};
use crate::policy::compile::compile;
use crate::policy::compiled_policy::Policy;
use crate::wire::json::{JsonBody, Limits, ScanErrorKind};
use crate::wire::sort;

/// Maximum nesting of a policy's JSON.
const MAX_DEPTH: u16 = 64;

/// Maximum bytes of a document. A configuration this large no longer fits Kubernetes objects anyway.
pub const MAX_DOCUMENT: usize = 16 << 20;

/// Result of loading a document.
#[derive(Debug)]
pub struct Loaded {
    /// Policy; `None` if there was an error.
    pub policy: Option<Policy>,
    /// All diagnostics, errors first, then by their position in the document.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Returns the result for a document that could not be parsed.
    pub fn failed(diagnostic: Diagnostic) -> Loaded {
        Loaded {
            policy: None,
            diagnostics: vec![diagnostic],
        }
    }

    /// Returns the errors.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Loads a policy in JSON.
pub fn load_json(text: &[u8]) -> Loaded {
    let parsed = parse_json(text);
    match parsed {
        Ok(root) => load(&root),
        Err(diagnostic) => Loaded::failed(*diagnostic),
    }
}

/// Parses JSON text to a document's tree.
///
/// # Errors
/// Returns the diagnostic of the first syntax error.
pub fn parse_json(text: &[u8]) -> Result<Node, Box<Diagnostic>> {
    let failed = |code, at: usize, message: String| {
        Box::new(Diagnostic {
            code,
            severity: Severity::Error,
            path: String::new(),
            span: at..at.saturating_add(1).min(text.len()),
            message,
            label: None,
            help: None,
            fix: None,
        })
    };
    if text.len() > MAX_DOCUMENT {
        let message = format!("{} bytes, at most {MAX_DOCUMENT} are allowed", text.len());
        return Err(failed(codes::AG1019, 0, message));
    }
    let json = JsonBody::scan(
        text,
        Limits {
            max_depth: MAX_DEPTH,
        },
        0,
    )
    .map_err(|error| {
        let code = match error.kind {
            ScanErrorKind::DuplicateKey => codes::AG1002,
            ScanErrorKind::TooDeep | ScanErrorKind::TooLarge => codes::AG1019,
            _ => codes::AG1001,
        };
        failed(code, error.at, error.to_string())
    })?;
    match json.body() {
        Some(doc) => Ok(Node::from_json(doc.root())),
        None => Err(failed(codes::AG1001, 0, "the document is empty".to_owned())),
    }
}

/// Compiles a document's tree. Time zones are only those in the document.
pub fn load(root: &Node) -> Loaded {
    load_with(root, &|_| Lookup::NotHere)
}

/// Compiles a document's tree with the time zone database of the system, so that `agentguard build` need not have added
/// any.
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
pub fn load_with_zones(root: &Node) -> Loaded {
    load_with(root, &super::zones::find)
}

/// Expands a document in short syntax; any other document is returned unchanged. Returns also the warnings.
///
/// # Errors
/// Returns all diagnostics of a document with an error.
pub fn desugar_document(root: &Node) -> Result<(Node, Vec<Diagnostic>), Vec<Diagnostic>> {
    match short_syntax::desugar(root) {
        Some(desugared) => document_or_errors(desugared),
        None => Ok((root.clone(), Vec::new())),
    }
}

fn document_or_errors(
    desugared: DesugaredRule,
) -> Result<(Node, Vec<Diagnostic>), Vec<Diagnostic>> {
    let failed = desugared
        .diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error);
    if failed {
        Err(desugared.diagnostics)
    } else {
        Ok((desugared.root, desugared.diagnostics))
    }
}

fn load_with(root: &Node, find_zone: &dyn Fn(&str) -> Lookup) -> Loaded {
    let mut decoder = Decoder::default();
    let converted;
    let root = match short_syntax::desugar(root).map(document_or_errors) {
        None => root,
        Some(Ok((unfolded, diagnostics))) => {
            decoder.diagnostics = diagnostics;
            converted = unfolded;
            &converted
        }
        Some(Err(diagnostics)) => {
            return Loaded {
                policy: None,
                diagnostics,
            };
        }
    };
    let document = document::read(&mut decoder, root);
    let version = version::of(root);
    let policy = document.and_then(|document| compile(&mut decoder, document, version, find_zone));
    let failed = decoder.has_errors();
    let mut diagnostics = decoder.diagnostics;
    sort::sort_by_key(&mut diagnostics, |diagnostic| {
        (
            diagnostic.severity,
            diagnostic.span.start,
            diagnostic.span.end,
        )
    });
    Loaded {
        policy: policy.filter(|_| !failed),
        diagnostics,
    }
}
