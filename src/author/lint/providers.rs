//! Effects of a provider's peculiarities on a rule: its names of models, and what it stores.

use super::breadth::texts;
use super::{Findings, LintedPolicy};
use crate::diag::{Severity, codes};
use crate::event::Replacement;
use crate::policy::condition::Condition;
use crate::policy::field::Field;
use crate::policy::operators::Verb;
use crate::policy::rule::Rule;
use crate::policy::words::Action;
use std::ops::Range;

/// Bedrock's prefixes of vendors: `us.anthropic.claude-sonnet-4-20250514-v1:0`.
const VENDORS: &[&str] = &[
    "ai21.",
    "amazon.",
    "anthropic.",
    "cohere.",
    "deepseek.",
    "meta.",
    "mistral.",
    "openai.",
    "qwen.",
    "stability.",
    "writer.",
];

/// Finds allow rules with a glob that ends at the colon of Bedrock's versions.
pub(super) fn versions(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let mut tell = |glob: &str, place: (Range<usize>, String)| {
            if !ends_at_a_colon(glob) {
                return;
            }
            findings.warn(
                codes::AG1141,
                place,
                format!("`*` in what allows stops at `:`, and Bedrock's models end with one: `{glob}` takes none that is called `…-v1:0`"),
                format!("write `{glob}*`: `**` crosses `:` and `/`"),
            );
        };
        if view.written.action == Action::Allow {
            for item in &view.written.matches {
                if item.field_ref.field == Field::Model {
                    for glob in &item.values {
                        tell(glob, (item.field_ref.span.clone(), item.path.clone()));
                    }
                }
            }
        }
        let Some(condition) = loosening(view.written) else {
            continue;
        };
        condition.each_test(&mut |test| {
            if test.field_ref.field != Field::Model {
                return;
            }
            for check in test.checks.iter().filter(|check| check.verb == Verb::Glob) {
                for (glob, node) in texts(check) {
                    tell(glob, (node.span.clone(), check.path.clone()));
                }
            }
        });
    }
}

/// Returns the allow-side condition of a rule.
fn loosening(rule: &Rule) -> Option<&Condition> {
    match rule.action {
        Action::Allow => rule.when.as_ref(),
        _ => rule.unless.as_ref(),
    }
}

fn ends_at_a_colon(glob: &str) -> bool {
    glob.ends_with('*')
        && !glob.ends_with("**")
        && !glob.contains(':')
        && VENDORS.iter().any(|vendor| glob.contains(vendor))
}

/// Finds pseudonyms that become labels because the provider stores the conversation.
pub(super) fn pseudonyms(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let redact = &view.written.redact;
        if view.written.action != Action::Redact
            || redact.form != Replacement::Pseudonym
            || redact.requires_pseudonym
            || redact.unstores
        {
            continue;
        }
        let protocols = view
            .written
            .matches
            .iter()
            .filter(|item| item.field_ref.field == Field::Protocol);
        // Other protocols store nothing unless the request asks for it.
        let keeps = |name: &str| name.contains('*') || STORING_PROTOCOLS.contains(&name);
        if protocols
            .clone()
            .any(|item| !item.values.iter().any(|value| keeps(value)))
        {
            continue;
        }
        findings.add(
            Severity::Note,
            codes::AG1142,
            view.place("redact"),
            "OpenAI's Responses and Google's Interactions keep conversations unless a request says `store: false`, which few clients do: there a label takes the pseudonym's place".to_owned(),
            "say `store: false` to have it asked for, `require: pseudonym` to deny instead, or match the `protocol` that is meant",
        );
    }
}

/// Protocols whose provider stores requests by default.
const STORING_PROTOCOLS: &[&str] = &["openai.responses", "gemini.interactions"];
