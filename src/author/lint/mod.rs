//! Lint: findings about valid policies that are probably wrong. Each finding has a code `AG11…`; each family
//! has a file.

mod breadth;
mod cost;
mod gaps;
mod holes;
mod notations;
mod providers;
mod reach;
mod tools;
mod words;
mod yaml11;

use crate::author::analysis::{Meaning, RuleMeaning};
use crate::author::explain::{compiled_to, parts};
use crate::author::provided::{top, written_documents, written_rules};
use crate::diag::{Diagnostic, Fix, Severity, codes};
use crate::policy::compiled::CompiledRule;
use crate::policy::compiled_policy::Policy;
use crate::policy::document::Document;
use crate::policy::node::Node;
use crate::policy::rule::Rule;
use std::ops::Range;

pub use yaml11::booleans_elsewhere;

/// Checks, in the order of the codes.
const CHECKS: &[fn(&LintedPolicy<'_>, &mut Findings)] = &[
    reach::contradictions,
    reach::impossible_patterns,
    reach::left_out,
    reach::reversed_times,
    reach::repetitions,
    reach::idle_openings,
    reach::conflicts,
    breadth::open_names,
    notations::other_notations,
    notations::unknown_words,
    breadth::patterns,
    breadth::needles,
    cost::unbounded,
    cost::endless_detectors,
    holes::renamed_arguments,
    holes::idle_if_missing,
    holes::uncounted_arguments,
    holes::spellings,
    holes::passing_spellings,
    holes::claims,
    holes::unused_lists,
    holes::no_history,
    holes::forms,
    gaps::run_by_arguments,
    gaps::second_paths,
    gaps::no_lower_bound,
    gaps::typed_values,
    gaps::two_names,
    gaps::keywords,
    words::approvers,
    words::reasons,
    words::own_words,
    cost::observed,
    cost::held_streams,
    cost::portable,
    tools::open_by_default,
    tools::unseen_arguments,
    tools::edited_arguments,
    providers::versions,
    providers::pseudonyms,
];

/// Policy under examination.
struct LintedPolicy<'p> {
    policy: &'p Policy,
    /// The document, or one of a set.
    document: &'p Document,
    /// Tree of the document.
    root: &'p Node,
    rules: Vec<LintedRule<'p>>,
}

/// Rule in all its forms.
struct LintedRule<'p> {
    written: &'p Rule,
    compiled: &'p CompiledRule,
    meaning: RuleMeaning,
    node: &'p Node,
    path: String,
}

impl LintedRule<'_> {
    /// Returns the position of a key's value; if it has none, of the rule's id.
    fn place(&self, key: &str) -> (Range<usize>, String) {
        match self.node.get(key) {
            Some(value) => (value.span.clone(), format!("{}.{key}", self.path)),
            None => match self.node.get("id") {
                Some(id) => (id.span.clone(), self.path.clone()),
                None => (self.node.span.clone(), self.path.clone()),
            },
        }
    }
}

#[derive(Default)]
struct Findings {
    diagnostics: Vec<Diagnostic>,
}

impl Findings {
    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        place: (Range<usize>, String),
        message: String,
        help: impl Into<String>,
    ) -> Option<&mut Diagnostic> {
        let (span, path) = place;
        let help = help.into();
        self.diagnostics.push(Diagnostic {
            code,
            severity,
            path,
            span,
            message,
            label: None,
            help: (!help.is_empty()).then_some(help),
            fix: None,
        });
        self.diagnostics.last_mut()
    }

    fn warn(
        &mut self,
        code: &'static str,
        place: (Range<usize>, String),
        message: String,
        help: impl Into<String>,
    ) -> Option<&mut Diagnostic> {
        self.add(Severity::Warning, code, place, message, help)
    }
}

/// Returns the findings about a valid policy. `root` is the document that it was compiled from.
pub fn lint(policy: &Policy, root: &Node) -> Vec<Diagnostic> {
    let mut findings = Findings::default();
    // A shadow document sends no messages to clients.
    let compiled = parts(policy).map(|(_, compiled)| compiled);
    // Keys at the top of a set apply to all of its documents.
    words::shared_secrets(policy, root, &mut findings);
    holes::claimed_agents(policy, root, &mut findings);
    cost::observed_documents(policy, root, &mut findings);
    for ((document, part, path), compiled) in
        written_documents(policy, root).into_iter().zip(compiled)
    {
        lint_part(policy, document, compiled, (part, path), &mut findings);
    }
    findings
        .diagnostics
        .sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.span.start, diagnostic.code));
    findings.diagnostics
}

fn lint_part(
    policy: &Policy,
    document: &Document,
    compiled: &[CompiledRule],
    (root, path): (&Node, String),
    findings: &mut Findings,
) {
    let (nodes, start) = written_rules(root, &path);
    let meaning = Meaning::of_part(document, compiled);
    let rules = document
        .rules
        .iter()
        .zip(meaning.rules)
        .filter_map(|(written, meaning)| {
            Some(LintedRule {
                compiled: compiled_to(document, written, compiled)?,
                node: nodes.get(written.index)?,
                path: format!("{start}[{}]", written.index),
                written,
                meaning,
            })
        })
        .collect();
    let subject = LintedPolicy {
        policy,
        document,
        root,
        rules,
    };
    for check in CHECKS {
        check(&subject, findings);
    }
}

/// Returns a replacement of a span.
fn fix(span: &Range<usize>, with: &str) -> Option<Fix> {
    Some(Fix {
        span: span.clone(),
        with: with.to_owned(),
    })
}

/// Code of a finding that validation reports as well.
const PORTABLE: &str = codes::AG1021;
