//! `agentguard validate FILE…`, `agentguard lint FILE…`

use super::source::{ProxyKind, Source};
use super::test::{documents, failing_examples, is_policy_document};
use super::{ExitStatus, Failed, ci, output, render};
use crate::author::{booleans_elsewhere, lint};
use crate::diag::{Diagnostic, Severity};
use crate::policy::mode::Mode;
use crate::policy::{KillList, Policy};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;

/// Maximum diagnostics of one file that are rendered.
const MAX_RENDERED: usize = 50;

/// Maximum diagnostics with the same message that are rendered. Of further ones only the lines are listed.
const MAX_ALIKE: usize = 3;

/// Maximum lines that are listed for one message.
const MAX_LISTED: usize = 10;

/// Arguments of `validate` and `lint`.
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// Policies in YAML or JSON, or folders of them: files that end with .yaml, .yml or .json, also in the folders below. `-` is standard
    /// input.
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
        let mut passed_over = false;
        let mut is_any_read = false;
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
                passed_over = true;
                continue;
            }
            is_any_read = true;
            let mut source = source.compiled();
            if self.host.is_some() {
                source.require_provided(self.fail_closed);
            }
            let diagnostics = all(&source, linted);
            let mut report = TextReport::default();
            for diagnostic in &diagnostics {
                if json {
                    output::json_line(&render::as_json(&source, diagnostic));
                } else if self.format == Format::Sarif {
                    results.push(ci::as_sarif(&source, diagnostic));
                } else if self.format == Format::Github {
                    output::line(&ci::as_github(&source, diagnostic));
                } else {
                    report.add(&source, diagnostic);
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
            report.finish(&source, &diagnostics);
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
                    "{name}: {rules}, {}, {}",
                    mode_in_words(policy),
                    policy.version
                ));
            }
        }
        if self.format == Format::Sarif {
            output::json_line(&ci::sarif_log(results));
        }
        // In a folder that was named by mistake, nothing would be wrong for ever.
        if passed_over && !is_any_read && !unreadable {
            return Err(output::print_undone(
                "no policy is there: no file declares `kind: AgentPolicy` or `AgentPolicySet`; name another folder, or a file",
            ));
        }
        if unreadable { Err(Failed) } else { Ok(outcome) }
    }
}

/// Returns the mode of a policy, and how many documents of a set have another one.
fn mode_in_words(policy: &Policy) -> String {
    let (enforced, observed) = (Mode::Enforce.word(), Mode::Observe.word());
    let set = &policy.document;
    if set.observe_all {
        return format!("{observed} mode");
    }
    let members = &set.members;
    let others = members
        .iter()
        .filter(|member| member.mode == Mode::Observe)
        .count();
    match others {
        0 => format!("{} mode", set.mode.word()),
        all if all == members.len() => format!("{observed} mode"),
        some => format!(
            "{enforced} mode ({some} of {} documents: {observed} mode)",
            members.len()
        ),
    }
}

/// Report of one file's diagnostics for a person. An error that is repeated in every rule does not hide the others.
#[derive(Default)]
struct TextReport<'d> {
    rendered: usize,
    /// Number of rendered diagnostics by message.
    alike: BTreeMap<(&'d str, &'d str), usize>,
    /// Lines of messages that were rendered often enough, in the order of the first line.
    further: Vec<(&'d Diagnostic, Vec<usize>)>,
    left_out: usize,
}

impl<'d> TextReport<'d> {
    fn add(&mut self, source: &Source, diagnostic: &'d Diagnostic) {
        let rendered = self
            .alike
            .entry((diagnostic.code, &diagnostic.message))
            .or_default();
        if *rendered >= MAX_ALIKE {
            let (line, _) = source.position(diagnostic.span.start);
            let is_same = |(other, _): &&mut (&Diagnostic, Vec<usize>)| {
                other.code == diagnostic.code && other.message == diagnostic.message
            };
            match self.further.iter_mut().find(is_same) {
                Some((_, lines)) => lines.push(line),
                None => self.further.push((diagnostic, vec![line])),
            }
        } else if self.rendered < MAX_RENDERED {
            *rendered = rendered.saturating_add(1);
            self.rendered = self.rendered.saturating_add(1);
            output::verbatim_line(&render::as_text(source, diagnostic));
            output::line("");
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// Adds what was not rendered.
    fn finish(self, source: &Source, diagnostics: &[Diagnostic]) {
        for (diagnostic, lines) in &self.further {
            let listed: Vec<String> = lines
                .iter()
                .take(MAX_LISTED)
                .map(usize::to_string)
                .collect();
            let more = match lines.len().saturating_sub(MAX_LISTED) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let word = if lines.len() == 1 { "line" } else { "lines" };
            output::line(&format!(
                "{}[{}]: {}: also in {word} {}{more}",
                diagnostic.severity.word(),
                diagnostic.code,
                output::visible(&diagnostic.message),
                listed.join(", "),
            ));
        }
        if self.left_out == 0 && self.further.is_empty() {
            return;
        }
        let counts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .filter_map(|severity| {
                let alike = diagnostics.iter().filter(|one| one.severity == severity);
                match (alike.count(), severity.word()) {
                    (0, _) => None,
                    (1, word) => Some(format!("1 {word}")),
                    (count, word) => Some(format!("{count} {word}s")),
                }
            })
            .collect();
        let left_out = match self.left_out {
            0 => String::new(),
            left_out => format!("; {left_out} of them are not shown"),
        };
        let counts = counts.join(", ");
        output::line(&format!(
            "{}: {counts}{left_out}; --json lists all\n",
            source.name
        ));
    }
}

/// Returns all diagnostics of a document.
fn all(source: &Source, linted: bool) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if let (Some(policy), Some(root)) = (&source.loaded.policy, &source.root) {
        found.extend(failing_examples(policy, root));
        if linted {
            found.extend(lint(policy, root));
            found.extend(booleans_elsewhere(&source.text, root));
        }
    }
    source.advise(&mut found);
    // Diagnostics of the document itself got their advice when it was loaded.
    let mut diagnostics = source.loaded.diagnostics.clone();
    diagnostics.append(&mut found);
    diagnostics.sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.span.start));
    diagnostics
}
