//! Everything that a person reads about a mistake: stable codes, and diagnostics with a place and a way out.

pub mod codes;
mod suggest;

pub use suggest::{listed, nearest};

use std::ops::Range;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The policy is not used.
    Error,
    /// Legal, and probably not what was meant.
    Warning,
    /// Legal; worth knowing.
    Note,
}

impl Severity {
    /// The word for output.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A replacement that mends a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// Bytes of the document.
    pub span: Range<usize>,
    /// What to write there.
    pub with: String,
}

/// One mistake in a document: plain data, drawn by the command line, logged by the filter.
///
/// Style: a message begins in lower case, has no final period and no line break; what the author wrote stands in
/// backticks; no names of Rust types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, `AG1…`.
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Where in the document's structure: `rules[2].when["args.amount"]`. Empty for the document as a whole.
    pub path: String,
    /// Where in the document's text, in bytes.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What the place itself is, beside the caret.
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// An edit that does it.
    pub fix: Option<Fix>,
}

impl std::fmt::Display for Diagnostic {
    /// One line, for a log: `AG1004 rules[0].mach: unknown key `mach`; did you mean `match`?`
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
