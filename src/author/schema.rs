//! JSON Schema of policies (draft 2020-12), for editors: it completes keys and marks misspelt ones. A document that it
//! accepts can still be wrong, because only `validate` checks the meaning of names and operands.
//!
//! It is generated from the declared keys.

use super::testing;
use crate::detect::select;
use crate::diag::codes;
use crate::event::{Direction, PROTOCOL_NAMES, Words};
use crate::policy::field::NAMES;
use crate::policy::grammar::{
    DOCUMENT, DefaultKey, DetectorKey, DocumentKey, ExceptionKey, Key, Keys, Role, ValueType,
};
use crate::policy::operators::Verb;
use serde_json::{Map, Value, json};

/// Short spellings of operators.
const SHORT_VERBS: [&str; 12] = [
    "gt",
    "gte",
    "lt",
    "lte",
    "count_gt",
    "count_gte",
    "count_lt",
    "count_lte",
    "length_gt",
    "length_gte",
    "length_lt",
    "length_lte",
];

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn about(mut value: Value, text: &str) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.insert("description".to_owned(), json!(text));
    }
    value
}

/// Returns the schema of a policy.
pub fn schema() -> Value {
    let mut properties = properties(DOCUMENT);
    let inner = |role: Role| {
        let around = ["apiVersion", "kind", "metadata", "spec"];
        document(role, &|name| {
            role == Role::Shadow || !around.contains(&name)
        })
    };
    let member = about(document(Role::Member, &|_| true), "A policy of the set.");
    for (name, part) in [
        ("spec", inner(Role::Alone)),
        ("shadow", inner(Role::Shadow)),
        ("policies", json!({"type": "array", "items": member})),
    ] {
        if let Some(members) = properties.get_mut(name).and_then(Value::as_object_mut) {
            members.extend(part.as_object().cloned().unwrap_or_default());
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://agentguard.dev/schema/v1/policy.json",
        "title": "AgentGuard policy",
        "type": "object",
        "properties": properties,
        "required": ["apiVersion", "kind", "metadata"],
        "anyOf": [{"required": ["defaults"]}, {"required": ["spec"]}, {"required": ["policies"]}],
        "additionalProperties": false,
        "$defs": {
            "scalar": {"type": ["string", "number", "boolean", "null"]},
            "texts": {"type": ["string", "array"], "items": {"type": "string"}},
            "condition": condition(),
            "test": test(),
        },
    })
}

/// A document inside another one: what it may have in its role, as it is described at the top.
fn document(role: Role, fits: &dyn Fn(&str) -> bool) -> Value {
    let keys = DOCUMENT.iter().zip(DocumentKey::ROLES);
    let keys = keys.filter(|(key, roles)| roles.contains(&role) && fits(key.name));
    let described = keys.map(|(key, _)| {
        let at = json!({"$ref": format!("#/properties/{}", key.name)});
        (key.name.to_owned(), at)
    });
    json!({
        "type": "object",
        "properties": described.collect::<Map<_, _>>(),
        "additionalProperties": false,
    })
}

/// Returns the schema of a mapping with these keys and no others.
fn mapping(keys: &[Key]) -> Value {
    let required = keys.iter().filter(|key| key.is_required);
    json!({
        "type": "object",
        "properties": properties(keys),
        "required": required.map(|key| key.name).collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

fn properties(keys: &[Key]) -> Map<String, Value> {
    let described = keys.iter().map(|key| {
        let mut schema = taken(&key.value);
        if key.name == "defaults"
            && let Some(members) = schema.as_object_mut()
        {
            let gates = json!([{"required": ["action"]}, {"required": ["request", "tool_call"]}]);
            members.insert("anyOf".to_owned(), gates);
        }
        (key.name.to_owned(), about(schema, &unlinked(key.about)))
    });
    described.collect()
}

/// Returns Markdown without its links, which editors would not resolve.
fn unlinked(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[')
        && let Some((name, target)) = link.split_once("](")
        && let Some((_, after)) = target.split_once(')')
    {
        plain.push_str(before);
        plain.push_str(name);
        rest = after;
    }
    plain + rest
}

/// Returns the schema of a key's value.
fn taken(value: &ValueType) -> Value {
    let several = |item: Value| json!({"type": "array", "items": item, "minItems": 1});
    match value {
        ValueType::Text => json!({"type": "string"}),
        ValueType::Form(_, pattern) => json!({"type": "string", "pattern": pattern}),
        ValueType::Texts | ValueType::Names([]) => json!({"$ref": "#/$defs/texts"}),
        ValueType::Listed => json!({"type": ["string", "array", "object"]}),
        ValueType::Boolean => json!({"type": "boolean"}),
        ValueType::False => json!({"const": false}),
        ValueType::Whole(least, most) => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        ValueType::Number => json!({"type": "number"}),
        ValueType::Size => {
            json!({"type": ["integer", "string"], "pattern": "^[0-9]+ ?(B|kB|KB|MB|KiB|Ki|MiB|Mi|GiB|Gi)?$"})
        }
        ValueType::Moment => json!({"type": "string", "format": "date-time"}),
        ValueType::Seconds => json!({"type": "string", "pattern": "^[0-9]+[smhd]$"}),
        ValueType::Words(words) => json!({"enum": words}),
        ValueType::Default(words) => {
            let mut with_mode = mapping(DefaultKey::MAPPING);
            if let Some(known) = with_mode.pointer_mut("/properties/action/enum") {
                *known = json!(words);
            }
            json!({"anyOf": [{"enum": words}, with_mode]})
        }
        ValueType::Names(words) => json!({"anyOf": [
            {"enum": words},
            several(json!({"enum": words})),
            {"type": "string", "pattern": "[*?\\[]"},
        ]}),
        ValueType::Mapping(keys) => mapping(keys),
        ValueType::Either(values) => json!({"anyOf": values.iter().map(taken).collect::<Vec<_>>()}),
        ValueType::List(item) => json!({"type": "array", "items": taken(item)}),
        ValueType::ListOf(least, most, item) => {
            json!({"type": "array", "minItems": least, "maxItems": most, "items": taken(item)})
        }
        ValueType::Named(item) => json!({"type": "object", "additionalProperties": taken(item)}),
        ValueType::Condition => json!({"$ref": "#/$defs/condition"}),
        ValueType::Lists => {
            let list = json!({"type": "array", "items": {"$ref": "#/$defs/scalar"}});
            json!({"type": "object", "additionalProperties": {"anyOf": [
                list,
                {"type": "object", "additionalProperties": list},
                {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": false},
            ]}})
        }
        ValueType::Detectors => json!({
            "type": "object",
            "patternProperties": {known_detectors(): mapping(ExceptionKey::MAPPING)},
            "additionalProperties": mapping(DetectorKey::MAPPING),
        }),
        ValueType::Object => json!({"type": "object"}),
        ValueType::Any => json!({}),
    }
}

/// Returns a pattern of the names of all detectors and groups, and `*`.
fn known_detectors() -> String {
    let names = crate::detect::select::names().join("|");
    format!("^({}|\\*)$", names.replace('.', "\\."))
}

/// Returns the schema of `when` and `unless`.
fn condition() -> Value {
    let mut properties = Map::new();
    let several = json!({"type": "array", "items": {"$ref": "#/$defs/condition"}, "minItems": 1});
    properties.insert(
        "all".to_owned(),
        about(several.clone(), "All of these hold."),
    );
    properties.insert("any".to_owned(), about(several, "One of these holds."));
    properties.insert(
        "not".to_owned(),
        about(json!({"$ref": "#/$defs/condition"}), "This does not hold."),
    );
    for name in NAMES {
        properties.insert((*name).to_owned(), json!({"$ref": "#/$defs/test"}));
    }
    properties.insert(
        "in".to_owned(),
        json!({"anyOf": [{"enum": Direction::WORDS}, {"$ref": "#/$defs/test"}]}),
    );
    properties.insert(
        "earlier".to_owned(),
        json!({"type": "object", "description": "Something stands before the event in the conversation: `{ event: tool_result, tool: web_fetch }`."}),
    );
    properties.insert(
        "protocol".to_owned(),
        json!({"anyOf": [{"enum": PROTOCOL_NAMES}, {"$ref": "#/$defs/test"}]}),
    );
    json!({
        "type": "object",
        "minProperties": 1,
        "properties": properties,
        // Paths, and names below a root.
        "patternProperties": {
            "^(args|result|params)([.\\[$]|$)": {"$ref": "#/$defs/test"},
            "^(principal|header|session|request|usage)\\..+": {"$ref": "#/$defs/test"},
        },
        "additionalProperties": false,
    })
}

/// Returns the schema of a field's test.
fn test() -> Value {
    let mut operators = Map::new();
    let operand = json!({"anyOf": [
        {"$ref": "#/$defs/scalar"},
        {"type": "array"},
        {"type": "object"},
    ]});
    for verb in Verb::ALL {
        let value = match verb {
            Verb::Exists => json!({"anyOf": [{"type": "boolean"}, {"type": "object"}]}),
            Verb::Detects => detects(),
            Verb::CommandIn => commands(),
            _ => operand.clone(),
        };
        operators.insert(verb.word().to_owned(), value);
    }
    for verb in SHORT_VERBS {
        operators.insert(verb.to_owned(), operand.clone());
    }
    for (key, value) in [
        ("list", text("The name of a list.")),
        ("key", text("The field that holds the key of a keyed list.")),
        (
            "path",
            text("Another field, with whose value this one is compared."),
        ),
        (
            "any_item",
            json!({"type": "object", "description": "One item of the list fits all of these."}),
        ),
        (
            "days",
            json!({"type": ["string", "array"], "description": "Days of windows of time."}),
        ),
        ("zone", text("The time zone of windows of time.")),
    ] {
        operators.insert(key.to_owned(), value);
    }
    json!({"anyOf": [
        {"$ref": "#/$defs/scalar"},
        {"type": "array", "items": {"$ref": "#/$defs/scalar"}},
        {
            "type": "object",
            "minProperties": 1,
            "properties": operators,
            "patternProperties": {"^(any|all)_": operand},
            "additionalProperties": false,
        },
    ]})
}

fn commands() -> Value {
    let list =
        json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]});
    json!({"anyOf": [
        list,
        {
            "type": "object",
            "properties": {
                "commands": {"type": ["string", "array", "object"], "description": "Commands, or a list by its name."},
                "redirect": {"anyOf": [list], "description": "Folders that redirections may write to."},
                "variables": {"anyOf": [list], "description": "Variables that may be assigned."},
                "list": {"type": "string"},
                "key": {"type": "string"},
                "path": {"type": "string"},
            },
            "additionalProperties": false,
        },
    ]})
}

fn detects() -> Value {
    // Built-in names, for completion; a policy may define its own.
    let name = json!({"anyOf": [{"enum": select::names()}, {"type": "string"}]});
    let names = json!({"type": "array", "items": name, "minItems": 1});
    let types = json!({
        "type": "object",
        "properties": {
            "types": {"anyOf": [name, names]},
            "confidence": {"enum": ["low", "medium", "high"]},
            "list": {"type": "string"},
            "key": {"type": "string"},
        },
        "additionalProperties": false,
    });
    json!({"anyOf": [
        name,
        {"type": "array", "items": {"anyOf": [name, types]}, "minItems": 1},
        types,
    ]})
}

/// Returns the schema of a file of tests.
pub fn test_schema() -> Value {
    let keys = |keys: &[&str]| -> Map<String, Value> {
        keys.iter()
            .map(|key| ((*key).to_owned(), json!({})))
            .collect()
    };
    let facts = keys(super::sample_event::FACT_KEYS);
    let mut case = keys(testing::CASE);
    case.extend(facts.clone());
    case.extend(keys(super::sample_event::EVENT_KEYS));
    let mut expect = keys(testing::EXPECT);
    for key in ["action", "would"] {
        expect.insert(key.to_owned(), json!({"enum": testing::ACTIONS}));
    }
    expect.insert(
        "code".to_owned(),
        json!({"enum": codes::CODES.iter().map(|code| code.id).collect::<Vec<_>>()}),
    );
    case.insert(
        "expect".to_owned(),
        json!({"anyOf": [
            {"enum": testing::ACTIONS},
            {"type": "object", "properties": expect, "additionalProperties": false},
        ]}),
    );
    let half = |known: &[&str]| json!({"type": "object", "properties": keys(known), "additionalProperties": false});
    case.insert(
        "exchange".to_owned(),
        json!({
            "type": "object",
            "properties": {
                "request": half(testing::EXCHANGE_REQUEST),
                "response": half(testing::EXCHANGE_RESPONSE),
                "peer": {"type": ["string", "object"], "description": "The connection's peer: an address, a SPIFFE id, or `{ address, uri_san, dns_san, subject }`."},
                "properties": {"type": "object", "description": "Envoy's properties, by their path."},
            },
            "required": ["request"],
            "additionalProperties": false,
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://agentguard.dev/schema/v1/test.json",
        "title": "AgentGuard policy tests",
        "type": "object",
        "properties": {
            "apiVersion": {"const": crate::policy::grammar::API_VERSION},
            "kind": {"const": testing::KIND},
            "metadata": {"type": "object"},
            "policy": text("The policy's file, relative to this one."),
            "given": {"type": "object", "properties": facts, "additionalProperties": false, "description": "Facts of every case."},
            "tests": {"type": "array", "items": {
                "type": "object",
                "properties": case,
                "required": ["expect"],
                "additionalProperties": false,
            }},
        },
        "required": ["apiVersion", "kind", "policy", "tests"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::parse_yaml;
    use crate::policy::compile::compile;
    use crate::policy::decode::Decoder;
    use crate::policy::{Mode, document, version, zones};
    use std::collections::{BTreeMap, BTreeSet};

    /// Document that contains every mapping and every closed list at least once.
    const EVERYTHING: &str = r#"
apiVersion: agentguard.dev/v1
kind: AgentPolicy
metadata: { name: everything }
mode: { all: observe }
envoy: { headers: hold }
applies_to: { hosts: ["*"] }
environment: { value: prod }
defaults:
  action: { action: allow, mode: enforce }
  request: { action: allow, mode: enforce }
  tool_call: { action: allow, mode: enforce }
  tool_offer: { action: allow, mode: enforce }
  uninspectable: { action: deny, mode: enforce }
  partial: { action: allow, mode: enforce }
require: none
inspect: { max_depth: 5 }
stream: { on_deny: reset }
client_address: { xff_hops: 1 }
disclose: code
audit: { key: "env:K", content: redacted }
principals:
  - name: key
    api_key: { header: x-key, keys: [{ env: KEY, client: acme }] }
    combine: user
  - name: user
    jwt: { payload: jwt, id: { claim: c, type: text }, agent: { claim: c, type: text }, client: { claim: c, type: text },
      tenant: { claim: c, type: text }, roles: { claim: c, type: text }, ticket: { claim: c, type: text }, environment: { claim: c, type: text } }
  - { name: mesh, mtls: { uri_san: "spiffe://td/{agent}" } }
  - { name: edge, header: { id: x-user, trusted: 10.0.0.0/8 } }
approvers: { x: [{ hmac: "env:K" }] }
approval_service: { cluster: approvals, path: /approvals, authority: approvals.example.com }
protocols:
  - { paths: [/x], protocol: generic, read: { texts: [$.a], calls: { at: $.c, name: n } } }
rules:
  - id: a
    mode: observe
    match: { tool: t }
    if_missing: skip
    action: deny
    on_deny: replace
    trust: claimed
    redact: { with: mask, require: pseudonym }
    audit: { content: none }
    approval: { by: x, wait: 30s, notify: true }
    limit: { count: requests, max: 5 }
  - id: b
    action: deny
    limit: { sum: usage.cost_usd, max: 5, window: { sliding: 1h }, prices: { otherwise: { input: 1, output: 2 } } }
"#;

    fn decoded() -> Decoder {
        let mut decoder = Decoder::default();
        let short = EVERYTHING
            .replace("mode: { all: observe }", "mode: enforce")
            .replace("{ action: allow, mode: enforce }", "allow")
            .replace("{ action: deny, mode: enforce }", "deny")
            .replace("{ xff_hops: 1 }", "direct");
        for text in [EVERYTHING, &short] {
            let root = parse_yaml(text).unwrap();
            let document = document::read(&mut decoder, &root).unwrap();
            compile(&mut decoder, document, version::of(&root), &zones::find);
        }
        decoder
    }

    #[test]
    fn its_words_are_those_that_are_read() {
        let mut declared = BTreeMap::new();
        // The first two keys, which identify the kind of document, are checked before it is read.
        for key in &DOCUMENT[2..] {
            words("", key.name, &key.value, &mut declared);
        }
        let decoder = decoded();
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, known) in &decoder.asked_words {
            seen.entry(path.clone())
                .or_default()
                .extend(known.iter().cloned());
        }
        assert_eq!(seen, declared);
    }

    /// Collects the words of a key and of those below it, by its path.
    fn words(
        path: &str,
        name: &str,
        value: &ValueType,
        found: &mut BTreeMap<String, BTreeSet<String>>,
    ) {
        let path = match name {
            "" | "[]" => format!("{path}{name}"),
            _ if path.is_empty() => name.to_owned(),
            _ => format!("{path}.{name}"),
        };
        match value {
            ValueType::Words(list) => {
                let list = list.iter().map(|word| (*word).to_owned());
                found.entry(path).or_default().extend(list);
            }
            ValueType::Default(list) => {
                words(&path, "", &ValueType::Words(list), found);
                words(&path, "action", &ValueType::Words(list), found);
                words(&path, "mode", &ValueType::Words(Mode::WORDS), found);
            }
            ValueType::Mapping(keys) => {
                for key in *keys {
                    words(&path, key.name, &key.value, found);
                }
            }
            ValueType::Either(values) => {
                for value in *values {
                    words(&path, "", value, found);
                }
            }
            ValueType::List(item) | ValueType::ListOf(_, _, item) => {
                words(&path, "[]", item, found)
            }
            _ => {}
        }
    }

    #[test]
    fn short_verbs_are_verbs() {
        for verb in SHORT_VERBS {
            assert!(Verb::parse(verb).is_some(), "{verb}");
        }
    }
}
