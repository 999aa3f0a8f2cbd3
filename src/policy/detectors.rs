//! `detectors`: those that the policy brings, and what is no finding of the others.
//!
//! ```yaml
//! detectors:
//!   employee_id: { pattern: 'EMP-\d{6}', context: [employee, staff], groups: [pii.staff] }
//!   codename: { keywords: { list: codenames } }
//!   email: { allow: { list: customer_domains } }
//!   "*": { allow: [ops@example.com] }
//! ```

use super::decode::{At, Decoder};
use super::document::{Document, List};
use super::node::{Data, Node};
use crate::detect::pattern::Pattern;
use crate::detect::{AllowList, Confidence, CustomDetector, Selection, Validator, allow};
use crate::diag::codes;
use std::collections::BTreeMap;

/// The keys of a detector that the policy brings.
const KEYS: &[&str] = &[
    "pattern",
    "keywords",
    "context",
    "validator",
    "confidence",
    "allow",
    "groups",
    "reach",
    "description",
];

/// The words for how sure a detector is.
pub(super) const CONFIDENCES: &[(&str, Confidence)] = &[
    ("low", Confidence::Low),
    ("medium", Confidence::Medium),
    ("high", Confidence::High),
];

/// What the policy says of detectors; none of them runs yet.
pub(super) fn define(decoder: &mut Decoder, document: &Document) -> Selection {
    let mut selection = Selection::none();
    selection.decode(document.inspect.decode);
    let Some(node) = &document.detectors else {
        return selection;
    };
    let root = At::root();
    let at = root.key("detectors");
    let Data::Map(members) = &node.data else {
        decoder.wrong_type(&at, node, "a mapping of detectors");
        return selection;
    };
    let lists = &document.lists;
    let is_known = |name: &str| name == "*" || crate::detect::select::members(name).is_ok();
    // Groups of the policy's own are known once all of its detectors are.
    for member in members.iter().filter(|member| !is_known(&member.key)) {
        let at = at.key(&member.key);
        let Some(detector) = custom(decoder, &at, &member.key, &member.value, lists) else {
            continue;
        };
        if let Err(error) = selection.define(detector) {
            let help = error.help.unwrap_or_default();
            decoder.error(codes::AG1013, &at, &member.key_span, error.message, help);
        }
    }
    for member in members.iter().filter(|member| is_known(&member.key)) {
        let at = at.key(&member.key);
        for inner in decoder
            .mapping(&at, &member.value, &["allow", "description"])
            .unwrap_or_default()
        {
            if &*inner.key != "allow" {
                continue;
            }
            let Some(entries) = texts(decoder, &at.key("allow"), &inner.value, lists) else {
                continue;
            };
            let list = AllowList::new(entries.iter().map(|entry| &**entry));
            let name = Some(&*member.key).filter(|name| *name != "*");
            // The name is known: it was asked above.
            let _ = selection.allow(name, list);
        }
    }
    selection
}

fn custom(
    decoder: &mut Decoder,
    at: &At<'_>,
    name: &str,
    node: &Node,
    lists: &BTreeMap<Box<str>, List>,
) -> Option<CustomDetector> {
    let mut detector = CustomDetector::new(name);
    for member in decoder.mapping(at, node, KEYS)? {
        let at = at.key(&member.key);
        let value = &member.value;
        let owned = |texts: Vec<Box<str>>| texts.into_iter().map(String::from).collect();
        match &*member.key {
            "pattern" => {
                for source in decoder.texts(&at, value)? {
                    match Pattern::new(&source) {
                        Ok(pattern) => detector.patterns.push(pattern),
                        Err(error) => {
                            let message = format!("`{source}`: {}", error.message);
                            let help = error.help.unwrap_or_default();
                            decoder.error(codes::AG1013, &at, &value.span, message, help);
                            return None;
                        }
                    }
                }
            }
            "keywords" => detector.keywords = owned(texts(decoder, &at, value, lists)?),
            "context" => detector.context = owned(texts(decoder, &at, value, lists)?),
            "groups" => detector.groups = owned(decoder.texts(&at, value)?),
            "allow" => {
                let entries = texts(decoder, &at, value, lists)?;
                detector.allow = AllowList::new(entries.iter().map(|entry| &**entry));
            }
            "confidence" => detector.confidence = decoder.word(&at, value, CONFIDENCES)?,
            "reach" => {
                detector.reach = Some(usize::try_from(decoder.count(&at, value)?).ok()?);
            }
            "validator" => {
                let word = decoder.text(&at, value)?;
                let validator = Validator::named(&word);
                if validator.is_none() {
                    let names = Validator::names();
                    let known: Vec<&str> = names.collect();
                    decoder.unknown(codes::AG1007, &at, &value.span, "check", &word, known);
                }
                detector.validator = Some(validator?);
            }
            // The description is for people.
            _ => {}
        }
    }
    Some(detector)
}

/// Texts, written out or named: a text, `{ list: NAME }`, or a list of both. Numbers are taken as written.
fn texts(
    decoder: &mut Decoder,
    at: &At<'_>,
    node: &Node,
    lists: &BTreeMap<Box<str>, List>,
) -> Option<Vec<Box<str>>> {
    match &node.data {
        Data::String(text) => Some(vec![text.clone()]),
        Data::Map(_) => {
            let mut texts = Vec::new();
            for member in decoder.mapping(at, node, &["list"])? {
                texts.extend(list(decoder, &at.key("list"), &member.value, lists)?);
            }
            Some(texts)
        }
        Data::List(items) => {
            let mut texts = Vec::with_capacity(items.len());
            for (number, item) in items.iter().enumerate() {
                match &item.data {
                    Data::String(text) | Data::Number(text) => texts.push(text.clone()),
                    _ => texts.extend(self::texts(decoder, &at.index(number), item, lists)?),
                }
            }
            Some(texts)
        }
        _ => {
            decoder.wrong_type(at, node, "a list, or `{ list: NAME }`");
            None
        }
    }
}

/// A list of the policy, or one that comes with the program.
fn list(
    decoder: &mut Decoder,
    at: &At<'_>,
    node: &Node,
    lists: &BTreeMap<Box<str>, List>,
) -> Option<Vec<Box<str>>> {
    let name = decoder.text(at, node)?;
    match lists.get(&name) {
        Some(List::Plain(items)) => Some(
            items
                .iter()
                .filter_map(|item| match &item.data {
                    Data::String(text) | Data::Number(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
        ),
        Some(List::Keyed(_)) => {
            let message = format!("list `{name}` has keys");
            let help = "detectors are the same for everybody: name a list without keys";
            decoder.error(codes::AG1011, at, &node.span, message, help);
            None
        }
        None => match allow::known(&name) {
            Some(entries) => Some(entries.iter().copied().map(Into::into).collect()),
            None => {
                let known = lists.keys().map(|name| &**name).chain([allow::TEST_CARDS]);
                let known: Vec<&str> = known.collect();
                decoder.unknown(codes::AG1012, at, &node.span, "list", &name, known);
                None
            }
        },
    }
}
