//! Differences between two policies that are visible in their documents: settings, and values of lists.

use super::keys::key_changes;
use super::meaning::Meaning;
use super::relation::wholes;
use crate::policy::ContentForm;
use crate::policy::Policy;
use crate::policy::approvers::Approver;
use crate::policy::detectors::written as written_detectors;
use crate::policy::document::{Document, List};
use crate::policy::node::Node;
use std::collections::{BTreeMap, BTreeSet};

/// List whose values differ between two policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListChange {
    /// Name of the list; for a keyed list, with the key.
    pub name: String,
    /// Values that only the new policy has.
    pub added: Vec<String>,
    /// Values that only the old policy has.
    pub removed: Vec<String>,
}

/// Returns the settings other than rules, lists and defaults that affect decisions or the record. The identification of callers
/// and approvers is among them: events are compared for a given caller, however it was identified.
pub(super) fn settings(old: &Policy, new: &Policy) -> Vec<&'static str> {
    let zones = old.zones.agrees_with(&new.zones);
    let shadow = tried_out(old) == tried_out(new);
    let (old, new) = (&old.document, &new.document);
    // The compiler reports a new key here. It is compared here, or is part of `Meaning`.
    let Document {
        name: _,
        description: _,
        mode: _,
        observe_all: _,
        headers,
        applies_to,
        environment,
        defaults: _,
        requires_identity,
        principals,
        client_address,
        inspect,
        protocols,
        stream_on_deny,
        disclose_code_only,
        approvers,
        approval_service,
        audit,
        lists: _,
        detectors: _,
        zones: _,
        rules: _,
        audience: _,
        members: _,
        shadow: _,
    } = old;
    [
        ("applies_to", *applies_to == new.applies_to),
        ("environment", *environment == new.environment),
        ("require", *requires_identity == new.requires_identity),
        (
            "principals",
            key_changes(principals, &new.principals).is_some_and(|changes| changes.is_empty()),
        ),
        ("client_address", *client_address == new.client_address),
        ("approvers", is_same_keys(approvers, &new.approvers)),
        (
            "approval_service",
            *approval_service == new.approval_service,
        ),
        ("inspect", *inspect == new.inspect),
        ("protocols", *protocols == new.protocols),
        ("envoy", *headers == new.headers),
        ("stream", *stream_on_deny == new.stream_on_deny),
        ("disclose", *disclose_code_only == new.disclose_code_only),
        ("detectors", detectors(old) == detectors(new)),
        (
            "audit",
            *audit == new.audit && recording_rules(old) == recording_rules(new),
        ),
        ("shadow", shadow),
        ("zones", zones),
    ]
    .into_iter()
    .filter(|(_, equal)| !equal)
    .map(|(name, _)| name)
    .collect()
}

/// Returns whether the same keys approve, in any order.
fn is_same_keys(old: &[Approver], new: &[Approver]) -> bool {
    let holds_all =
        |one: &[Approver], other: &[Approver]| one.iter().all(|key| other.contains(key));
    old.len() == new.len() && holds_all(old, new) && holds_all(new, old)
}

/// Returns the rules that change how much content is recorded, by their ids.
fn recording_rules(document: &Document) -> BTreeMap<(&str, &str), ContentForm> {
    let documents = document.deciding().iter();
    // The name of a single document has no effect.
    let is_set = !document.members.is_empty();
    let rules = documents.flat_map(|part| {
        let name = if is_set { &*part.name } else { "" };
        part.rules.iter().map(move |rule| (name, rule))
    });
    rules
        .filter_map(|(part, rule)| Some(((part, &*rule.id), rule.content?)))
        .collect()
}

/// Returns the shadow policy as a text.
fn tried_out(policy: &Policy) -> Vec<String> {
    wholes(&Meaning::shadows_of(policy))
}

/// Returns the policy's own detectors and allow-lists, with the lists that they name.
fn detectors(document: &Document) -> BTreeSet<Vec<u8>> {
    let documents = document.deciding().iter();
    let written = |part: &Document| Some(written_detectors(part.detectors.as_ref()?, &part.lists));
    documents.filter_map(written).collect()
}

/// Returns the lists that differ between two policies.
pub(super) fn list_changes(old: &Document, new: &Document) -> Vec<ListChange> {
    let (old, new) = (list_values(old), list_values(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let none = BTreeSet::new();
    let change = |name: &String| {
        let [one, other] = [&old, &new].map(|lists| lists.get(name).unwrap_or(&none));
        let only = |here: &BTreeSet<String>, there: &BTreeSet<String>| {
            here.difference(there).cloned().collect::<Vec<_>>()
        };
        let (added, removed) = (only(other, one), only(one, other));
        let name = name.clone();
        (!added.is_empty() || !removed.is_empty()).then_some(ListChange {
            name,
            added,
            removed,
        })
    };
    names.into_iter().filter_map(change).collect()
}

/// Returns the values of each list; for a keyed list, of each of its keys.
fn list_values(document: &Document) -> BTreeMap<String, BTreeSet<String>> {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for part in document.deciding() {
        let start = match document.members.is_empty() {
            true => String::new(),
            false => format!("{}/", part.name),
        };
        for (name, list) in part.lists.iter() {
            let mut add = |name: String, nodes: &[Node]| {
                let texts = nodes.iter().map(|node| match node.text() {
                    Some(text) => text.to_owned(),
                    None => {
                        let mut out = Vec::new();
                        node.write_json(&mut out);
                        String::from_utf8_lossy(&out).into_owned()
                    }
                });
                values.insert(name, texts.collect());
            };
            match list {
                List::Plain(nodes) => add(format!("{start}{name}"), nodes),
                List::Keyed(lists) => {
                    for (key, nodes) in lists.iter() {
                        add(format!("{start}{name}.{key}"), nodes);
                    }
                }
            }
        }
    }
    values
}
