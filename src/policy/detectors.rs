//! Key `detectors`: detectors that the policy defines, and exceptions from the built-in ones.
//!
//! ```yaml
//! detectors:
//!   employee_id: { pattern: 'EMP-\d{6}', context: [employee, staff], groups: [pii.staff] }
//!   codename: { keywords: { list: codenames } }
//!   email: { allow: { list: customer_domains } }
//!   "*": { allow: [ops@example.com] }
//! ```

use super::decode::{Decoder, PolicyPath};
use super::grammar::{DetectorKey, ExceptionKey};
use super::node::{Member, Node, NodeValue};
use crate::detect::pattern::Pattern;
use crate::detect::{AllowList, Confidence, CustomDetector, Selection, Validator, allow, select};
use crate::diag::codes;
use crate::policy::document::{Document, List};
use crate::wire::sorted_map::SortedMap;

/// Permitted lookahead of a detector, in characters that a stream holds back.
const REACHES: std::ops::RangeInclusive<usize> = 1..=65_536;

/// Words for a detector's confidence.
pub(crate) const CONFIDENCES: &[(&str, Confidence)] = &[
    ("low", Confidence::Low),
    ("medium", Confidence::Medium),
    ("high", Confidence::High),
];

/// Reads the detectors of all documents. None of them runs yet.
pub(crate) fn define(decoder: &mut Decoder, document: &Document) -> Selection {
    let mut selection = Selection::none();
    selection.decode(document.inspect.decode);
    // A shadow policy has no detectors of its own: these are its detectors too, with what they except.
    let parts = document.deciding();
    let root = PolicyPath::root();
    let at = root.key("detectors");
    let is_known = |name: &str| name == "*" || select::members(name).is_ok();
    let mut defined: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut lists: Vec<(&Member, &Document)> = Vec::new();
    for part in parts {
        let Some(node) = &part.detectors else {
            continue;
        };
        let NodeValue::Map(members) = &node.data else {
            decoder.wrong_type(&at, node, "a mapping of detectors");
            continue;
        };
        for member in members {
            if is_known(&member.key) {
                lists.push((member, part));
                continue;
            }
            let written = written(&member.value, &part.lists);
            let at = at.key(&member.key);
            match defined.iter().find(|(name, _)| *name == &*member.key) {
                Some((_, known)) if *known == written => continue,
                Some(_) => {
                    let message = format!("the detector `{}` is defined twice", member.key);
                    let help =
                        "documents that decide together share their detectors: use two names";
                    decoder.error(codes::AG1008, &at, &member.key_span, &message, help);
                    continue;
                }
                None => defined.push((&member.key, written)),
            }
            let detector = custom(decoder, &at, &member.key, &member.value, &part.lists);
            let is_wrong = match detector.map(|detector| selection.define(detector)) {
                Some(Ok(_)) => false,
                Some(Err(error)) => {
                    let help = error.help.as_deref().unwrap_or_default();
                    let about = error.key.and_then(|key| member.value.get(key));
                    let span = about.map_or(&member.key_span, |value| &value.span);
                    decoder.error(codes::AG1013, &at, span, &error.message, help);
                    true
                }
                None => true,
            };
            if is_wrong {
                // Rules that name this detector must not be reported as well.
                let _ = selection.define(CustomDetector {
                    keywords: vec![member.key.to_string()],
                    ..CustomDetector::new(&member.key)
                });
            }
        }
    }
    // Groups that the policy defines are known only after all of its detectors.
    for (member, part) in lists {
        allow(
            decoder,
            &at.key(&member.key),
            member,
            part,
            parts,
            &mut selection,
        );
    }
    selection
}

/// Adds the exceptions of an existing detector or group.
fn allow(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    member: &Member,
    part: &Document,
    parts: &[Document],
    selection: &mut Selection,
) {
    let own = written(&member.value, &part.lists);
    let is_shared = parts.iter().all(|other| {
        let detectors = other.detectors.as_ref();
        detectors
            .and_then(|node| node.get(&member.key))
            .is_some_and(|node| written(node, &other.lists) == own)
    });
    if !is_shared {
        let message = format!("not every document has this list for `{}`", member.key);
        let help = "a list loosens what all documents find: write the same one in each of them";
        decoder.error(codes::AG1017, at, &member.key_span, &message, help);
        return;
    }
    for (key, inner) in decoder.keys(at, &member.value).into_iter().flatten() {
        match key {
            ExceptionKey::Allow => {}
            ExceptionKey::Description => continue,
        }
        let Some(entries) = texts(decoder, &at.key("allow"), &inner.value, &part.lists) else {
            continue;
        };
        let list = AllowList::new(entries.iter().map(|entry| &**entry));
        let name = Some(&*member.key).filter(|name| *name != "*");
        // The name is that of a detector or group; otherwise it would be a definition.
        let _ = selection.allow(name, list);
    }
}

/// Returns a definition together with the lists that it names, for comparison with another.
pub(crate) fn written(node: &Node, lists: &SortedMap<Box<str>, List>) -> Vec<u8> {
    let mut written = Vec::new();
    node.write_json(&mut written);
    write_lists(node, lists, &mut written);
    written
}

fn write_lists(node: &Node, lists: &SortedMap<Box<str>, List>, out: &mut Vec<u8>) {
    if let Some(List::Plain(items)) = node
        .get("list")
        .and_then(Node::text)
        .and_then(|name| lists.get(name))
    {
        for item in items {
            item.write_json(out);
        }
    }
    for member in node.members() {
        write_lists(&member.value, lists, out);
    }
    if let NodeValue::List(items) = &node.data {
        for item in items {
            write_lists(item, lists, out);
        }
    }
}

fn custom(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    name: &str,
    node: &Node,
    lists: &SortedMap<Box<str>, List>,
) -> Option<CustomDetector> {
    let mut detector = CustomDetector::new(name);
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let value = &member.value;
        let owned = |texts: Vec<Box<str>>| texts.into_iter().map(String::from).collect();
        match key {
            DetectorKey::Pattern => {
                for source in decoder.texts(&at, value)? {
                    match Pattern::new(&source) {
                        Ok(pattern) => detector.patterns.push(pattern),
                        Err(error) => {
                            let message = format!("`{source}`: {}", error.message);
                            let help = error.help.as_deref().unwrap_or_default();
                            decoder.error(codes::AG1013, &at, &value.span, &message, help);
                            return None;
                        }
                    }
                }
            }
            DetectorKey::Keywords => detector.keywords = owned(texts(decoder, &at, value, lists)?),
            DetectorKey::Context => detector.context = owned(texts(decoder, &at, value, lists)?),
            DetectorKey::Groups => detector.groups = owned(decoder.texts(&at, value)?),
            DetectorKey::Allow => {
                let entries = texts(decoder, &at, value, lists)?;
                detector.allow = AllowList::new(entries.iter().map(|entry| &**entry));
            }
            DetectorKey::Confidence => {
                detector.confidence = decoder.word(&at, value, CONFIDENCES)?
            }
            DetectorKey::Reach => {
                let count = decoder.count(&at, value)?;
                let reach = usize::try_from(count)
                    .ok()
                    .filter(|reach| REACHES.contains(reach));
                let Some(reach) = reach else {
                    let message = format!(
                        "a number from {} to {} is expected here",
                        REACHES.start(),
                        REACHES.end()
                    );
                    let help = "write how many characters the longest match has, for example `reach: 200`; without it the pattern says so";
                    decoder.error(codes::AG1007, &at, &value.span, &message, help);
                    return None;
                };
                detector.reach = Some(reach);
            }
            DetectorKey::Validator => {
                let word = decoder.text(&at, value)?;
                let validator = Validator::named(&word);
                if validator.is_none() {
                    let names = Validator::names();
                    let known: Vec<&str> = names.collect();
                    decoder.unknown(codes::AG1007, &at, &value.span, "check", &word, &known);
                }
                detector.validator = Some(validator?);
            }
            DetectorKey::Description => {}
        }
    }
    Some(detector)
}

/// Reads texts: a text, `{ list: NAME }`, or a list of both. Numbers are taken as written.
fn texts(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    lists: &SortedMap<Box<str>, List>,
) -> Option<Vec<Box<str>>> {
    match &node.data {
        NodeValue::String(text) => Some(vec![text.clone()]),
        NodeValue::Map(_) => {
            let mut texts = Vec::new();
            for member in decoder.mapping(at, node, &["list"])? {
                texts.extend(list(decoder, &at.key("list"), &member.value, lists)?);
            }
            Some(texts)
        }
        NodeValue::List(items) => {
            let mut texts = Vec::with_capacity(items.len());
            for (number, item) in items.iter().enumerate() {
                match &item.data {
                    NodeValue::String(text) | NodeValue::Number(text) => texts.push(text.clone()),
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

/// Returns a list of the policy, or a built-in one.
fn list(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    lists: &SortedMap<Box<str>, List>,
) -> Option<Vec<Box<str>>> {
    let name = decoder.text(at, node)?;
    match lists.get(&name) {
        Some(List::Plain(items)) => Some(
            items
                .iter()
                .filter_map(|item| match &item.data {
                    NodeValue::String(text) | NodeValue::Number(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
        ),
        Some(List::Keyed(_)) => {
            let message = format!("list `{name}` has keys");
            let help = "detectors are the same for everybody: name a list without keys";
            decoder.error(codes::AG1011, at, &node.span, &message, help);
            None
        }
        None => match allow::known(&name) {
            Some(entries) => Some(entries.iter().copied().map(Into::into).collect()),
            None => {
                let known = lists.keys().map(|name| &**name).chain([allow::TEST_CARDS]);
                let known: Vec<&str> = known.collect();
                decoder.unknown(codes::AG1012, at, &node.span, "list", &name, &known);
                None
            }
        },
    }
}
