//! Words that are texts in a policy's file, and booleans where the policy is pasted into a manifest of Kubernetes: go-yaml
//! reads the manifest by YAML 1.1. `yes`, `no`, `on` and `off` are errors in a policy; `y` and `n` are also the names of
//! arguments and axes.

use super::fix;
use crate::diag::{Diagnostic, Severity, codes};
use crate::policy::node::{Node, NodeValue};
use std::ops::Range;

/// Finds such words that are written without quotes. `text` is the file that the document was read from.
pub fn booleans_elsewhere(text: &str, root: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    visit(text, root, "", &mut found);
    // A node of a short syntax may stand in several places.
    found.sort_by_key(|diagnostic| diagnostic.span.start);
    found.dedup_by_key(|diagnostic| diagnostic.span.start);
    found
}

fn visit(text: &str, node: &Node, path: &str, found: &mut Vec<Diagnostic>) {
    match &node.data {
        NodeValue::String(word) => check(text, word, &node.span, path, found),
        NodeValue::List(items) => {
            for (number, item) in items.iter().enumerate() {
                visit(text, item, &format!("{path}[{number}]"), found);
            }
        }
        NodeValue::Map(members) => {
            for member in members {
                let path = match path {
                    "" => member.key.to_string(),
                    path => format!("{path}.{}", member.key),
                };
                check(text, &member.key, &member.key_span, &path, found);
                visit(text, &member.value, &path, found);
            }
        }
        NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) => {}
    }
}

fn check(text: &str, word: &str, span: &Range<usize>, path: &str, found: &mut Vec<Diagnostic>) {
    let read = match word {
        "y" | "Y" => "true",
        "n" | "N" => "false",
        _ => return,
    };
    // The place of a text in quotes includes them.
    if text.get(span.clone()) != Some(word) {
        return;
    }
    found.push(Diagnostic {
        code: codes::AG1136,
        severity: Severity::Note,
        path: path.to_owned(),
        span: span.clone(),
        message: format!(
            "`{word}` is a text here, and `{read}` where the policy is pasted into a manifest of Kubernetes"
        ),
        label: None,
        help: Some("put it in quotes".to_owned()),
        fix: fix(span, &format!("\"{word}\"")),
    });
}
