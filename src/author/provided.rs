//! Warnings about values that a policy requires and nothing provides: members of the caller without a source in `principals`,
//! and approvals and limits that this version does not provide in Envoy. Commands evaluate such rules with given values; in
//! Envoy these values are missing. A missing value is resolved toward denial, so nothing passes that should not, but the
//! policy does not do what it promises either.

use crate::diag::{Diagnostic, Severity, codes};
use crate::policy::IdentitySource;
use crate::policy::approval::Approval;
use crate::policy::compiled_policy::Policy;
use crate::policy::field::Field;
use crate::policy::field_ref::FieldRef;
use crate::policy::match_item::MatchItem;
use crate::policy::node::{Node, NodeValue};
use crate::policy::rule::Rule;
use crate::policy::words::Action;
use crate::policy::{Document, EnvironmentSource};
use std::collections::BTreeSet;
use std::ops::Range;

/// Returns the documents that decide, each with its tree and the path of that tree: `policies[2].`.
pub(super) fn written_documents<'p>(
    policy: &'p Policy,
    root: &'p Node,
) -> Vec<(&'p Document, &'p Node, String)> {
    if policy.document.members.is_empty() {
        return vec![(&policy.document, root, String::new())];
    }
    let set = match top(root, "policies").map(|policies| &policies.data) {
        Some(NodeValue::List(documents)) => documents.as_slice(),
        _ => &[],
    };
    // Compiled documents are sorted by name; in the file they are in any order.
    let written = |document: &Document| {
        set.iter().enumerate().find(|(_, node)| {
            let name = node
                .get("metadata")
                .and_then(|metadata| metadata.get("name"));
            name.and_then(Node::text) == Some(&*document.name)
        })
    };
    let members = policy.document.members.iter();
    members
        .filter_map(|document| {
            let (number, node) = written(document)?;
            Some((document, node, format!("policies[{number}].")))
        })
        .collect()
}

/// Returns the value of a key at the top, or inside `spec`.
pub(super) fn top<'n>(root: &'n Node, key: &str) -> Option<&'n Node> {
    root.get(key)
        .or_else(|| root.get("spec").and_then(|spec| spec.get(key)))
}

/// Returns the rules of a document's tree, with the path of their list.
pub(super) fn written_rules<'n>(root: &'n Node, path: &str) -> (&'n [Node], String) {
    let (start, rules) = match root.get("rules") {
        Some(rules) => ("rules", Some(rules)),
        None => ("spec.rules", top(root, "rules")),
    };
    let nodes: &[Node] = match rules.map(|rules| &rules.data) {
        Some(NodeValue::List(nodes)) => nodes,
        _ => &[],
    };
    (nodes, format!("{path}{start}"))
}

/// Sources of the caller's identity.
const SOURCES: &str = "API keys, JWT claims, mTLS or headers of a trusted proxy (docs/identity.md)";

/// Advice if the strict behaviour is intended.
const STRICT: &str = "build with `--fail-closed` if that is meant";

/// Returns a warning for each caller and approver that a policy requires and has no source of: the rule or key, the effect,
/// and advice. The compiler warns about limits.
pub fn unprovided(policy: &Policy, root: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut warn = |span: Range<usize>, path: String, message: String, help: String| {
        found.push(Diagnostic {
            code: codes::AG1017,
            severity: Severity::Warning,
            path,
            span,
            message,
            label: None,
            help: Some(help),
            fix: None,
        });
    };
    let place = |key: &str| top(root, key).map_or(0..0, |node| node.span.clone());
    let sources = &policy.document.principals;
    let given: BTreeSet<&str> = sources.iter().flat_map(IdentitySource::members).collect();
    if policy.document.requires_identity == Some(true) && sources.is_empty() {
        warn(
            place("require"),
            "require".to_owned(),
            "`require: identity`: no credential is read without `principals`, so that every request is denied (AG4001)".to_owned(),
            format!("add `principals`: {SOURCES}; or {STRICT}"),
        );
    }
    if let EnvironmentSource::Principal { otherwise } = &policy.document.environment
        && !given.contains("environment")
    {
        let here = match otherwise {
            Some(name) => format!("it is always `{name}`"),
            None => "it is unknown, which counts for the strict side".to_owned(),
        };
        warn(
            place("environment"),
            "environment".to_owned(),
            format!(
                "the environment comes from the principal, and no source in `principals` gives it: {here}"
            ),
            format!(
                "give a source the member `environment`, or write its name, `{{ from: node }}` or `{{ from: env:NAME }}`; or {STRICT}"
            ),
        );
    }
    let documents = written_documents(policy, root);
    let for_all = documents
        .iter()
        .any(|(document, ..)| document.audience.is_empty());
    for (document, node, path) in &documents {
        let mut audience = document.audience.iter();
        let missing =
            |item: &&MatchItem| member(&item.field_ref).is_some_and(|name| !given.contains(name));
        if let Some(item) = audience.find(missing) {
            let strangers = match for_all {
                true => "",
                false => "; and as no document is for everybody, every request is denied (AG3002)",
            };
            warn(
                item.field_ref.span.clone(),
                format!("{path}for"),
                format!(
                    "document `{}` is for some of those who ask, and no source in `principals` gives `{}`: {}",
                    document.name,
                    item.field_ref.name,
                    match sources.is_empty() {
                        true => format!("it takes part whoever asks{strangers}"),
                        false => "it takes part for no known caller".to_owned(),
                    }
                ),
                format!("give a source this member: {SOURCES}; or {STRICT}"),
            );
        }
        let (nodes, start) = written_rules(node, path);
        for rule in &document.rules {
            let Some(node) = nodes.get(rule.index) else {
                continue;
            };
            let at = format!("{start}[{}]", rule.index);
            let usual = Approval::USUAL;
            let approval = rule.approval.as_deref().unwrap_or(&usual);
            let unable = policy.document.roles_without_key(approval);
            if rule.action == Action::RequireApproval && unable.len() == approval.by.len() {
                let who = match unable.as_slice() {
                    [] => "and does not say by whom".to_owned(),
                    roles => format!(
                        "by {}, and `approvers` has no key of that role",
                        quoted(roles)
                    ),
                };
                let key = ["approval", "action", "id"]
                    .into_iter()
                    .find(|key| node.get(key).is_some());
                let key = key.unwrap_or("id");
                warn(
                    node.get(key)
                        .map_or(rule.span.clone(), |node| node.span.clone()),
                    format!("{at}.{key}"),
                    format!(
                        "rule `{}` requires an approval {who}: all that it holds for is denied (AG3003)",
                        rule.id
                    ),
                    format!(
                        "`agentguard keygen --approver ROLE` makes a key and prints the line for `approvers`; or {STRICT}"
                    ),
                );
            }
            if let Some((span, asked, effect)) = asks_identity(rule, &given) {
                warn(
                    span,
                    at,
                    format!(
                        "rule `{}` asks for {asked}, and no source in `principals` gives it: {}",
                        rule.id,
                        match sources.is_empty() {
                            true => effect,
                            false => "it is missing for everybody that is known",
                        }
                    ),
                    format!("give a source this member: {SOURCES}; or {STRICT}"),
                );
            }
        }
    }
    found
}

/// Returns the member of a principal that a field denotes.
fn member(field_ref: &FieldRef) -> Option<&str> {
    match &field_ref.field {
        Field::Client => Some("client"),
        Field::Tenant => Some("tenant"),
        Field::Agent => Some("agent"),
        Field::Roles => Some("roles"),
        Field::Principal(name) => Some(name),
        _ => None,
    }
}

fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" or ")
}

/// Returns the conditions of a rule on the caller, and their effect while the caller is unknown.
fn asks_identity(
    rule: &Rule,
    given: &BTreeSet<&str>,
) -> Option<(Range<usize>, String, &'static str)> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut first: Option<Range<usize>> = None;
    let note = |field_ref: &FieldRef| {
        let name = member(field_ref)?;
        (!given.contains(name)).then(|| field_ref.span.clone())
    };
    let (mut asks, mut exempts) = (false, false);
    for item in &rule.matches {
        if let Some(span) = note(&item.field_ref) {
            asks = true;
            names.insert(&item.field_ref.name);
            first.get_or_insert(span);
        }
    }
    for (part, is_exemption) in [(&rule.when, false), (&rule.unless, true)] {
        let Some(part) = part else { continue };
        part.each_field(None, &mut |field_ref, _| {
            if let Some(span) = note(field_ref) {
                match is_exemption {
                    true => exempts = true,
                    false => asks = true,
                }
                names.insert(&field_ref.name);
                first.get_or_insert(span);
            }
        });
    }
    let effect = match (rule.action, asks, exempts) {
        (_, false, false) => return None,
        (Action::Allow, ..) => "no caller matches it, so that it allows nothing",
        (_, true, false) => "it matches every caller",
        (_, false, true) => "no caller is exempt",
        (_, true, true) => "it matches every caller, and no caller is exempt",
    };
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Some((first?, quoted.join(", "), effect))
}
