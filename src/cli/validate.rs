//! `agentguard validate FILE…`, `agentguard lint FILE…`

use super::source::{ProxyKind, Source};
use super::test::{documents, failing_examples, is_policy_document};
use super::{ExitStatus, Failed, ci, output, render};
use crate::author::lint;
use crate::diag::{Diagnostic, Severity};
use crate::policy::KillList;
use clap::{Args, ValueEnum};

/// Maximum diagnostics that are rendered.
const MAX_RENDERED: usize = 200;

/// Arguments of `validate` and `lint`.
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// Policies in YAML or JSON, or folders of them. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// The proxy that enforces the policy. Callers and approvals that nothing in the policy provides are errors.
    #[arg(long = "for", value_enum, value_name = "HOST")]
    host: Option<ProxyKind>,
    /// With `--for`: accept identities that are not provided and approvals that no approver can give, because their denial is intended.
    #[arg(long, requires = "host")]
    fail_closed: bool,
    /// Treat warnings as errors.
    #[arg(long)]
    strict: bool,
    /// The format of the report.
    #[arg(long, value_enum, default_value_t, conflicts_with = "json")]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The lines of the policy with what is wrong, and a suggested fix.
    #[default]
    Text,
    /// SARIF 2.1.0, for code hosts.
    Sarif,
    /// GitHub's workflow commands: annotations in pull requests.
    Github,
}

impl Validate {
    /// Reports all errors.
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        self.report(json, false)
    }

    /// Reports all errors and valid but probably wrong rules.
    pub(super) fn run_lint(&self, json: bool) -> Result<ExitStatus, Failed> {
        self.report(json, true)
    }

    fn report(&self, json: bool, linted: bool) -> Result<ExitStatus, Failed> {
        let mut outcome = ExitStatus::Clean;
        let mut unreadable = false;
        let mut results = Vec::new();
        let as_text = !json && self.format == Format::Text;
        for (path, is_named) in documents(&self.files)? {
            let name = &path.to_string_lossy();
            // An unreadable file does not hide the results of the others.
            let Ok(source) = Source::read(name) else {
                unreadable = true;
                continue;
            };
            if !is_named && !source.root.as_ref().is_none_or(is_policy_document) {
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
                } else if self.format == Format::Sarif {
                    results.push(ci::as_sarif(&source, diagnostic));
                } else if self.format == Format::Github {
                    output::line(&ci::as_github(&source, diagnostic));
                } else if number < MAX_RENDERED {
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
            let left_out = diagnostics.len().saturating_sub(MAX_RENDERED);
            if as_text && left_out > 0 {
                output::line(&format!(
                    "{left_out} more are not shown; --json lists all\n"
                ));
            }
            if let (true, true, Some(root)) = (as_text, diagnostics.is_empty(), &source.root)
                && let Ok(list) = KillList::read(root)
            {
                let (entries, generation) = (list.kills.len(), list.generation);
                output::line(&format!(
                    "{name}: kill list, entries: {entries}, generation {generation}"
                ));
            }
            if as_text && let Some(policy) = &source.loaded.policy {
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
        if self.format == Format::Sarif {
            output::line(&ci::sarif_log(results));
        }
        if unreadable { Err(Failed) } else { Ok(outcome) }
    }
}

/// Returns all diagnostics of a document.
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
