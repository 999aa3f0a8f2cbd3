//! `agentguard validate FILE…`

use super::source::Source;
use super::{Failed, Outcome, output, render};
use crate::diag::Severity;
use clap::Args;

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// Policies in YAML or JSON; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Warnings fail as well.
    #[arg(long)]
    strict: bool,
}

impl Validate {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, Failed> {
        let mut outcome = Outcome::Clean;
        for name in &self.files {
            let source = Source::open(name)?;
            for diagnostic in &source.loaded.diagnostics {
                if json {
                    output::line(&render::as_json(&source, diagnostic));
                } else {
                    output::line(&render::as_text(&source, diagnostic));
                    output::line("");
                }
                let fails = match diagnostic.severity {
                    Severity::Error => true,
                    Severity::Warning => self.strict,
                    Severity::Note => false,
                };
                if fails {
                    outcome = Outcome::Found;
                }
            }
            if !json && let Some(policy) = &source.loaded.policy {
                let rules = match policy.rules().len() {
                    1 => "1 rule".to_owned(),
                    several => format!("{several} rules"),
                };
                output::line(&format!(
                    "{name}: {rules}, {} mode, {}",
                    policy.document.mode.word(),
                    policy.version
                ));
            }
        }
        Ok(outcome)
    }
}
