//! `agentguard fmt FILE…`: formats policies.

use super::source::Source;
use super::{ExitStatus, Failed, output, render};
use crate::author::{format_yaml, write_converted, write_json};
use crate::diag::Diagnostic;
use crate::policy::{desugar, desugar_document};
use clap::Args;
use serde_json::json;

/// Arguments of `fmt`.
#[derive(Debug, Args)]
pub(super) struct Fmt {
    /// Policies or test files, in YAML or JSON. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Write the files instead of printing.
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Only list the files that would change.
    #[arg(long)]
    check: bool,
}

impl Fmt {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let mut outcome = ExitStatus::Clean;
        for name in &self.files {
            let source = Source::read(name)?;
            let Some(root) = &source.root else {
                report(&source, &source.loaded.diagnostics, json);
                return Err(output::print_undone(&format!("{name} can't be parsed")));
            };
            let is_json = source.text.trim_start().starts_with('{');
            let formatted = if desugar(root).is_some() {
                match desugar_document(root) {
                    Ok((full, _)) => write_converted(&source.text, root, &full),
                    Err(diagnostics) => {
                        report(&source, &diagnostics, json);
                        return Err(output::print_error(&format!(
                            "{name} can't be written in full"
                        )));
                    }
                }
            } else if is_json {
                write_json(root)
            } else {
                format_yaml(&source.text, root)
                    .map_err(|error| output::print_error(&format!("{name}: {}", error.0)))?
            };
            let changes = formatted != source.text;
            if changes && self.check {
                outcome = ExitStatus::Found;
            }
            if json {
                output::json_line(&json!({"file": name, "changes": changes}).to_string());
            } else if self.check && changes {
                output::line(name);
            }
            if self.write && changes && name != output::STDIN {
                output::replace_file(name, formatted.as_bytes())?;
            } else if !self.check && (!self.write || name == output::STDIN) && !json {
                output::verbatim(&formatted);
            }
        }
        Ok(outcome)
    }
}

/// Prints diagnostics. As text they go to standard error, because standard output is a policy.
fn report(source: &Source, diagnostics: &[Diagnostic], json: bool) {
    for diagnostic in diagnostics {
        match json {
            true => output::json_line(&render::as_json(source, diagnostic)),
            false => output::verbatim_note(&render::as_text(source, diagnostic)),
        }
    }
}
