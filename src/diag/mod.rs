//! Diagnostics for people: stable codes, and messages with a location and a suggested fix.

pub mod codes;
mod suggest;

pub use suggest::{listed, nearest, slip_of};

use std::ops::Range;

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The policy is rejected.
    Error,
    /// The policy is valid, but probably not what its author meant.
    Warning,
    /// The policy is valid; the note is for information.
    Note,
}

impl Severity {
    /// Returns the severity's name in output.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A replacement that fixes an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The byte range in the document.
    pub span: Range<usize>,
    /// The replacement.
    pub with: String,
}

/// A finding in a document: plain data, rendered by the command line and logged by the filter.
///
/// Style: a message starts in lower case, has no final period and no line break; quoted input is in backticks; Rust
/// type names never occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code, `AG1…`.
    pub code: &'static str,
    /// The severity.
    pub severity: Severity,
    /// The location in the document's structure: `rules[2].when["args.amount"]`. Empty for the whole document.
    pub path: String,
    /// The byte range in the document's text.
    pub span: Range<usize>,
    /// The message.
    pub message: String,
    /// The label at the caret, which describes the location.
    pub label: Option<String>,
    /// The suggested remedy.
    pub help: Option<String>,
    /// The suggested fix as an edit.
    pub fix: Option<Fix>,
}

impl std::fmt::Display for Diagnostic {
    /// Formats one line for a log: `AG1004 rules[0].mach: unknown key `mach`; did you mean `match`?`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code)?;
        if !self.path.is_empty() {
            write!(f, " {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}
