//! `agentguard validate FILE…`, `agentguard lint FILE…`

use super::source::{ProxyKind, Source};
use super::test::{documents, failing_examples, says_it_is_a_policy};
use super::{ExitStatus, Failed, output, render};
use crate::author::lint;
use crate::diag::{Diagnostic, Severity};
use clap::Args;

/// Most problems that are drawn: nobody reads more before mending some.
const MOST_DRAWN: usize = 200;

/// Arguments of `validate` and `lint`.
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// Policies in YAML or JSON, or folders of them; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Where the policy is to run: what it asks for and is not provided there yet is an error.
    #[arg(long = "for", value_enum, value_name = "HOST")]
    host: Option<ProxyKind>,
    /// With `--for`: an approval or an identity that is not provided is meant to be denied.
    #[arg(long, requires = "host")]
    fail_closed: bool,
    /// Warnings fail as well.
    #[arg(long)]
    strict: bool,
}

impl Validate {
    /// Every mistake.
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        self.tell(json, false)
    }

    /// Also what is legal and probably wrong.
    pub(super) fn run_lint(&self, json: bool) -> Result<ExitStatus, Failed> {
        self.tell(json, true)
    }

    fn tell(&self, json: bool, linted: bool) -> Result<ExitStatus, Failed> {
        let mut outcome = ExitStatus::Clean;
        let mut unreadable = false;
        for (path, is_named) in documents(&self.files)? {
            let name = &path.to_string_lossy();
            // One file that can't be read hides nothing of the others.
            let Ok(source) = Source::read(name) else {
                unreadable = true;
                continue;
            };
            if !is_named && !source.root.as_ref().is_none_or(says_it_is_a_policy) {
                continue;
            }
            let mut source = source.compiled();
            if self.host.is_some() {
                source.require_provided(self.fail_closed);
            }
            let diagnostics = all(&source, linted);
            for (number, diagnostic) in diagnostics.iter().enumerate() {
                if json {
                    output::line(&render::as_json(&source, diagnostic));
                } else if number < MOST_DRAWN {
                    output::line(&render::as_text(&source, diagnostic));
                    output::line("");
                }
                let fails = match diagnostic.severity {
                    Severity::Error => true,
                    Severity::Warning => self.strict,
                    Severity::Note => false,
                };
                if fails {
                    outcome = ExitStatus::Found;
                }
            }
            let left_out = diagnostics.len().saturating_sub(MOST_DRAWN);
            if !json && left_out > 0 {
                output::line(&format!(
                    "{left_out} more are not drawn; --json tells all\n"
                ));
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
        if unreadable { Err(Failed) } else { Ok(outcome) }
    }
}

/// What is to be said of a document.
fn all(source: &Source, linted: bool) -> Vec<Diagnostic> {
    let mut diagnostics = source.loaded.diagnostics.clone();
    if let (Some(policy), Some(root)) = (&source.loaded.policy, &source.root) {
        diagnostics.extend(failing_examples(policy, root));
        if linted {
            diagnostics.extend(lint(policy, root));
        }
    }
    diagnostics.sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.span.start));
    diagnostics
}
