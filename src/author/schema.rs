//! The policy as a JSON Schema (draft 2020-12), for editors: it completes keys and marks what is misspelt. What it lets pass
//! can still be wrong: `validate` knows what names and operands mean.
//!
//! A test holds its keys and words against those that the decoder takes.

mod principals;

use super::testing;
use crate::detect::select;
use crate::diag::codes;
use crate::event::{Author, Direction, Kind, PROTOCOL_NAMES, Part, Replacement, Turn};
use crate::policy::field::NAMES;
use crate::policy::operators::Verb;
use crate::policy::rule::{Action, OnDeny};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Shorter spellings of verbs.
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

/// Collects what the schema says, so that it can be held against the decoder.
#[derive(Default)]
struct Builder {
    /// Keys of each mapping, by its path: `rules[].redact`.
    objects: BTreeMap<String, Vec<String>>,
    /// Words of each closed list.
    words: BTreeMap<String, Vec<String>>,
}

impl Builder {
    /// A mapping with these keys and no others.
    fn object(&mut self, path: &str, properties: Value, required: &[&str]) -> Value {
        let keys = properties
            .as_object()
            .map(|members| members.keys().cloned().collect())
            .unwrap_or_default();
        self.objects.insert(path.to_owned(), keys);
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    /// One of these words.
    fn words(&mut self, path: &str, words: &[&str]) -> Value {
        let known = words.iter().map(|word| (*word).to_owned()).collect();
        self.words.insert(path.to_owned(), known);
        json!({"enum": words})
    }
}

fn all<T: Copy>(values: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
    values.iter().map(|value| word(*value)).collect()
}

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn texts(about: &str) -> Value {
    json!({"type": ["string", "array"], "items": {"type": "string"}, "description": about})
}

fn either(values: &[Value]) -> Value {
    json!({"anyOf": values})
}

fn about(mut value: Value, text: &str) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.insert("description".to_owned(), json!(text));
    }
    value
}

/// The schema of a policy.
pub fn schema() -> Value {
    build().0
}

fn build() -> (Value, Builder) {
    let mut builder = Builder::default();
    let b = &mut builder;
    let mode = b.words("mode", &["enforce", "observe"]);
    let observe = b.words("mode.all", &["observe"]);
    let all_observed = b.object("mode", json!({"all": observe}), &["all"]);
    let modes = about(
        either(&[mode, all_observed]),
        "Whether decisions are taken or only recorded. The nearest holds; `{ all: observe }` overrides everything.",
    );
    let top = json!({
        "apiVersion": {"const": crate::policy::document::API_VERSION},
        "kind": {"enum": ["AgentPolicy", "AgentPolicySet"]},
        "metadata": metadata(b),
        "spec": {"type": "object", "description": "Everything below `metadata` may stand in here instead."},
        "mode": modes,
        "envoy": envoy(b),
        "applies_to": b.object("applies_to", json!({
            "hosts": texts("Globs over hosts."),
            "paths": texts("Globs over paths."),
            "clusters": texts("Globs over Envoy's cluster names."),
        }), &[]),
        "environment": environment(b),
        "defaults": defaults(b),
        "require": about(b.words("require", &["identity", "none"]), "What becomes of anonymous requests: refused, or judged with everything about them unknown."),
        "inspect": b.object("inspect", json!({
            "max_body": size("Largest body that is read."),
            "max_depth": {"type": "integer", "minimum": 1, "maximum": 512, "description": "Deepest nesting of JSON."},
            "nested_json": {"type": "integer", "minimum": 0, "maximum": 16, "description": "How many strings deep JSON may be nested in JSON."},
            "max_text": size("Most text that detectors look at in one exchange."),
            "decode": {"type": "boolean", "description": "Whether detectors look into encoded text."},
        }), &[]),
        "lists": {
            "type": "object",
            "description": "Named lists of values; a list may be keyed.",
            "additionalProperties": {"anyOf": [
                {"type": "array", "items": {"$ref": "#/$defs/scalar"}},
                {"type": "object", "additionalProperties": {"type": "array", "items": {"$ref": "#/$defs/scalar"}}},
            ]},
        },
        "detectors": {
            "type": "object",
            "description": "Detectors of your own, and what is no finding of the others.",
            "patternProperties": {known_detectors(): {
                "type": "object",
                "properties": allow_keys(),
                "additionalProperties": false,
            }},
            "additionalProperties": {
                "type": "object",
                "properties": detector_keys(),
                "additionalProperties": false,
            },
        },
        "rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}, "description": "Rules have no order: the strictest decision wins."},
        "for": {"description": "Only for these principals."},
        "extends": texts("Resolved by `agentguard build`."),
        "shadow": {"description": "A second policy, evaluated and never enforced."},
        "protocols": {"type": "array", "items": {"$ref": "#/$defs/protocol"}, "description": "What nothing on the wire says."},
        "principals": principals::principals(b),
        "approvers": approvers(b),
        "client_address": principals::client_address(b),
        "stream": stream(b),
        "disclose": about(b.words("disclose", &["all", "code"]), "What refusals tell."),
        "audit": b.object("audit", json!({
            "key": {"type": "string", "pattern": "^env:.+", "description": "The environment variable that holds the key of the chain's MAC."},
            "content": {"description": "Recorded content."},
        }), &[]),
        "zones": {"type": "object", "description": "Added by `agentguard build`."},
        "policies": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Of an AgentPolicySet: documents that decide each for itself.",
        },
    });
    let rule = rule(b);
    let protocol = protocol(b);
    let keys = top
        .as_object()
        .map(|members| members.keys().cloned().collect())
        .unwrap_or_default();
    b.objects.insert(String::new(), keys);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "AgentGuard policy",
        "type": "object",
        "properties": top,
        "required": ["apiVersion", "kind", "metadata"],
        "anyOf": [{"required": ["defaults"]}, {"required": ["spec"]}, {"required": ["policies"]}],
        "additionalProperties": false,
        "$defs": {
            "scalar": {"type": ["string", "number", "boolean", "null"]},
            "rule": rule,
            "protocol": protocol,
            "condition": condition(),
            "test": test(),
        },
    });
    (schema, builder)
}

/// A pattern of the names that are detectors or groups already, and of all of them.
fn known_detectors() -> String {
    let names = crate::detect::select::names().join("|");
    format!("^({}|\\*)$", names.replace('.', "\\."))
}

/// What can be said of a detector that is there already.
fn allow_keys() -> Map<String, Value> {
    let mut keys = detector_keys();
    keys.retain(|key, _| matches!(key.as_str(), "allow" | "description"));
    keys
}

fn detector_keys() -> Map<String, Value> {
    crate::policy::detectors::KEYS
        .iter()
        .map(|key| {
            let value = match *key {
                "confidence" => json!({"enum": ["low", "medium", "high"]}),
                "reach" => json!({"type": "integer", "minimum": 1}),
                "description" => json!({"type": "string"}),
                "pattern" => json!({"type": ["string", "array"], "items": {"type": "string"}}),
                // Texts, or the name of a list.
                _ => json!({"type": ["string", "array", "object"]}),
            };
            ((*key).to_owned(), value)
        })
        .collect()
}

fn size(about: &str) -> Value {
    json!({"type": ["integer", "string"], "pattern": "^[0-9]+ ?(B|kB|KB|MB|KiB|Ki|MiB|Mi|GiB|Gi)?$", "description": about})
}

fn seconds(about: &str) -> Value {
    json!({"type": "string", "pattern": "^[0-9]+[smhd]$", "description": about})
}

fn metadata(b: &mut Builder) -> Value {
    b.object(
        "metadata",
        json!({
            "name": text("Records and refusals name the policy by it."),
            "description": text("What it is for."),
            "labels": {"type": "object"},
            "annotations": {"type": "object"},
            "namespace": {"type": "string"},
        }),
        &["name"],
    )
}

fn envoy(b: &mut Builder) -> Value {
    let headers = b.words("envoy.headers", &["portable", "hold"]);
    let headers = about(
        headers,
        "When request headers leave; `hold` needs `allow_on_headers_stop_iteration: true` in the plugin.",
    );
    b.object("envoy", json!({"headers": headers}), &[])
}

fn environment(b: &mut Builder) -> Value {
    let object = b.object(
        "environment",
        json!({
            "value": text("Its name."),
            "from": {"type": "string", "pattern": "^(node|principal|env:.+)$", "description": "Who says so."},
            "otherwise": text("If nobody says."),
        }),
        &[],
    );
    either(&[text("Its name."), object])
}

fn defaults(b: &mut Builder) -> Value {
    let mut properties = Map::new();
    for (key, words, told) in [
        (
            "action",
            &["allow", "deny"][..],
            "For requests and tool calls that no rule decides.",
        ),
        ("request", &["allow", "deny"], "For requests."),
        ("tool_call", &["allow", "deny"], "For calls of tools."),
        (
            "tool_offer",
            &["allow", "deny", "hide"],
            "For offers of tools; `hide` takes out those whose calls could never pass.",
        ),
        (
            "uninspectable",
            &["allow", "deny"],
            "For what could not be read.",
        ),
        (
            "partial",
            &["allow", "deny"],
            "For what was read but is opaque.",
        ),
    ] {
        let word = b.words(&format!("defaults.{key}"), words);
        let inner = b.words(&format!("defaults.{key}.action"), words);
        let mode = b.words(&format!("defaults.{key}.mode"), &["enforce", "observe"]);
        let object = b.object(
            &format!("defaults.{key}"),
            json!({"action": inner, "mode": mode}),
            &["action"],
        );
        properties.insert(key.to_owned(), about(either(&[word, object]), told));
    }
    let mut object = b.object("defaults", Value::Object(properties), &[]);
    if let Some(members) = object.as_object_mut() {
        members.insert(
            "anyOf".to_owned(),
            json!([{"required": ["action"]}, {"required": ["request", "tool_call"]}]),
        );
        members.insert(
            "description".to_owned(),
            json!("What happens where no rule decides."),
        );
    }
    object
}

/// The keys of each role, one or a list of them; `x` stands for any role.
fn approvers(b: &mut Builder) -> Value {
    let public = json!({"type": "string", "pattern": "^ed25519:[A-Za-z0-9+/_-]{43}=?$", "description": "An Ed25519 public key; `agentguard keygen --approver ROLE` writes it."});
    let members = b.object("approvers.x[]", json!({
        "key": public,
        "hmac": {"type": "string", "pattern": "^env:.+", "description": "The environment variable that holds a shared secret. Whoever verifies with it can approve with it."},
        "principal": text("Who holds the key. Nobody approves what the same principal asks for."),
    }), &[]);
    let key = json!({"anyOf": [public, members]});
    json!({
        "type": "object",
        "additionalProperties": {"anyOf": [key, {"type": "array", "items": key, "minItems": 1}]},
        "description": "The keys of those who approve, by role.",
    })
}

fn stream(b: &mut Builder) -> Value {
    let on_deny = b.words("stream.on_deny", &["drain", "reset"]);
    b.object("stream", json!({"on_deny": on_deny}), &[])
}

fn rule(b: &mut Builder) -> Value {
    let condition = json!({"$ref": "#/$defs/condition"});
    let mode = b.words("rules[].mode", &["enforce", "observe"]);
    let if_missing = b.words("rules[].if_missing", &["apply", "skip"]);
    let action = b.words("rules[].action", &all(Action::ALL, Action::word));
    let on_deny = b.words("rules[].on_deny", &all(OnDeny::ALL, OnDeny::word));
    let trust = b.words("rules[].trust", &["claimed"]);
    let properties = json!({
        "id": text("Unique; records and refusals name the rule by it."),
        "description": text("For people."),
        "mode": mode,
        "match": matches(b),
        "when": about(condition.clone(), "All of it must hold."),
        "unless": about(condition, "The rule does not hold where this does."),
        "if_missing": about(if_missing, "What a missing value counts as."),
        "action": action,
        "reason": text("Why, for whoever is refused."),
        "remedy": text("What to do instead."),
        "tags": texts("Marks in the record."),
        "on_deny": about(on_deny, "What becomes of a denied part of an answer, or of a denied offer."),
        "redact": redact(b),
        "approval": b.object("rules[].approval", json!({
            "by": texts("Roles of those who may agree."),
            "needed": {"type": "integer", "minimum": 1, "description": "How many have to agree."},
            "valid_for": seconds("For how long an approval holds."),
            "uses": {"type": "integer", "minimum": 1, "description": "For how many uses."},
            "bind": texts("What it is bound to: another value needs another approval."),
            "show": texts("What an approver reads of the call. It travels through the agent."),
            "wait": seconds("Not supported yet."),
        }), &[]),
        "limit": limit(b),
        "trust": about(trust, "What loosens rests only on what the client says, and that is meant."),
        "overridable": {"type": "boolean", "description": "A document that extends this one may define the rule again."},
        "examples": {"type": "array", "items": {"type": "object"}, "description": "Cases that `validate` and `test` run: `{ call: \"refund {amount: 5}\", expect: allow }`."},
    });
    b.object("rules[]", properties, &["id", "action"])
}

fn redact(b: &mut Builder) -> Value {
    let forms: Vec<&str> = Replacement::ALL.iter().map(|form| form.word()).collect();
    let with = b.words("rules[].redact.with", &forms);
    b.object(
        "rules[].redact",
        json!({
            "with": about(with, "What stands in its place."),
            "label": text("The label, or `numbered`."),
            "what": text("The path of what is replaced."),
            "restore": texts("Where stand-ins are turned back."),
            "require": {"const": "pseudonym", "description": "Deny (AG3005) where a label would take a pseudonym's place."},
            "store": {"const": false, "description": "Ask a provider that would keep the conversation not to: `store: false`."},
        }),
        &[],
    )
}

fn limit(b: &mut Builder) -> Value {
    let counted: Vec<&str> = crate::policy::limit::Counted::ALL
        .iter()
        .map(|counted| counted.word())
        .collect();
    let window = b.object(
        "rules[].limit.window",
        json!({
            "fixed": seconds("From the full multiples of this time in UTC on."),
            "sliding": seconds("In the last so much time."),
        }),
        &[],
    );
    let price = b.object(
        "rules[].limit.prices.otherwise",
        json!({
            "input": {"type": "number", "minimum": 0, "description": "US dollars for a million tokens that are read."},
            "output": {"type": "number", "minimum": 0, "description": "The same of tokens that are written."},
        }),
        &[],
    );
    let count = b.words("rules[].limit.count", &counted);
    b.object(
        "rules[].limit",
        json!({
            "count": about(count, "What is counted."),
            "sum": text("The field that is added up."),
            "per": texts("For whom it is counted: each combination of these has its own."),
            "max": {"type": "number", "description": "The most that passes."},
            "window": {"anyOf": [seconds("In how much time."), window]},
            "prices": {
                "type": "object",
                "description": "What models cost, by their names; `otherwise` is the price of all others.",
                "additionalProperties": price,
            },
            "session": texts("What names a session, in the order in which it is looked for: `header:NAME`, `field:PATH`, `mcp`, `conversation`, `first_messages`."),
        }),
        &["max"],
    )
}

fn matches(b: &mut Builder) -> Value {
    let kinds = all(Kind::ALL, Kind::word);
    let closed = |words: &[&str]| -> Value {
        json!({"anyOf": [{"enum": words}, {"type": "array", "items": {"enum": words}, "minItems": 1}, {"type": "string", "pattern": "[*?\\[]"}]})
    };
    let mut properties = Map::new();
    for key in crate::policy::match_item::MATCH {
        let value = match *key {
            "event" => closed(&kinds),
            "from" => closed(&all(Author::ALL, Author::word)),
            "turn" => closed(&all(Turn::ALL, Turn::word)),
            "part" => closed(&all(Part::ALL, Part::word)),
            "code" => json!({"type": ["string", "array"], "items": {"type": "string"}}),
            key => texts(&format!("A name, a list, or a glob over `{key}`.")),
        };
        properties.insert((*key).to_owned(), value);
    }
    about(
        b.object("rules[].match", Value::Object(properties), &[]),
        "What the rule is about: cheap and exact.",
    )
}

/// The value of `when` and `unless`.
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
        json!({"anyOf": [{"enum": all(Direction::ALL, Direction::word)}, {"$ref": "#/$defs/test"}]}),
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

/// What is asked of a field.
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
    // Those that are built in, for completion; a policy may bring its own.
    let name = json!({"anyOf": [{"enum": select::names()}, {"type": "string"}]});
    let list = json!({"type": "array", "items": name, "minItems": 1});
    json!({"anyOf": [
        name,
        list,
        {
            "type": "object",
            "properties": {
                "types": {"anyOf": [name, list]},
                "confidence": {"enum": ["low", "medium", "high"]},
                "list": {"type": "string"},
                "key": {"type": "string"},
            },
            "additionalProperties": false,
        },
    ]})
}

fn protocol(b: &mut Builder) -> Value {
    let path = || text("A path: `$.ticket.title`.");
    let call = b.object(
        "protocols[].read.calls",
        json!({"at": path(), "name": path(), "args": path()}),
        &["at", "name"],
    );
    let read = b.object(
        "protocols[].read",
        json!({
            "models": texts("Where models stand."),
            "texts": texts("Where texts stand."),
            "ids": texts("Where identifiers stand."),
            "calls": {"anyOf": [call.clone(), {"type": "array", "items": call}]},
        }),
        &[],
    );
    let protocol = b.words("protocols[].protocol", PROTOCOL_NAMES);
    b.object(
        "protocols[]",
        json!({
            "hosts": texts("Globs over hosts."),
            "paths": texts("A path and everything beneath it, or a glob."),
            "protocol": protocol,
            "provider": text("What rules and records call whoever serves it."),
            "server": text("What rules and records call this MCP server."),
            "read": read,
        }),
        &[],
    )
}

/// The schema of a file of tests.
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
        "title": "AgentGuard policy tests",
        "type": "object",
        "properties": {
            "apiVersion": {"const": crate::policy::document::API_VERSION},
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
    use crate::policy::{document, version, zones};
    use std::collections::BTreeSet;

    /// A document that has every mapping and every closed list at least once.
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
audit: { key: "env:K" }
principals:
  - name: key
    api_key: { header: x-key, keys: [{ env: KEY, client: acme }] }
    combine: user
  - { name: user, jwt: { payload: jwt, id: { claim: sub, type: text } } }
  - { name: mesh, mtls: { uri_san: "spiffe://td/{agent}" } }
  - { name: edge, header: { id: x-user, trusted: 10.0.0.0/8 } }
approvers: { x: [{ hmac: "env:K" }] }
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
    redact: { with: mask }
    approval: { by: x }
    limit: { count: requests, max: 5 }
  - id: b
    action: deny
    limit: { sum: usage.cost_usd, max: 5, window: { sliding: 1h }, prices: { otherwise: { input: 1, output: 2 } } }
"#;

    fn decoded() -> Decoder {
        let mut decoder = Decoder::default();
        for text in [
            EVERYTHING,
            &EVERYTHING.replace("{ all: observe }", "enforce"),
            &EVERYTHING.replace("{ xff_hops: 1 }", "direct"),
            // A set knows one key more.
            "{ apiVersion: agentguard.dev/v1, kind: AgentPolicySet, metadata: { name: set }, policies: [] }",
        ] {
            let root = parse_yaml(text).unwrap();
            let document = document::read(&mut decoder, &root);
            if let Some(document) = document {
                let version = version::of(&root);
                compile(&mut decoder, document, version, &zones::find);
            }
        }
        decoder
    }

    #[test]
    fn its_keys_are_those_that_are_read() {
        let (_, builder) = build();
        let decoder = decoded();
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, known) in &decoder.asked_keys {
            seen.entry(path.clone())
                .or_default()
                .extend(known.iter().cloned());
        }
        for (path, keys) in &builder.objects {
            let keys: BTreeSet<String> = keys.iter().cloned().collect();
            assert_eq!(seen.get(path), Some(&keys), "{path:?}");
        }
        for path in seen.keys() {
            assert!(builder.objects.contains_key(path), "{path:?} has no schema");
        }
    }

    #[test]
    fn its_words_are_those_that_are_read() {
        let (_, mut builder) = build();
        let decoder = decoded();
        // One place, two ways to write it.
        for key in [
            "action",
            "request",
            "tool_call",
            "tool_offer",
            "uninspectable",
            "partial",
        ] {
            builder.words.remove(&format!("defaults.{key}"));
        }
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, known) in &decoder.asked_words {
            seen.entry(path.clone())
                .or_default()
                .extend(known.iter().cloned());
        }
        for (path, words) in &builder.words {
            let words: BTreeSet<String> = words.iter().cloned().collect();
            assert_eq!(seen.get(path), Some(&words), "{path:?}");
        }
        for path in seen.keys() {
            assert!(builder.words.contains_key(path), "{path:?} has no schema");
        }
    }

    #[test]
    fn short_verbs_are_verbs() {
        for verb in SHORT_VERBS {
            assert!(Verb::parse(verb).is_some(), "{verb}");
        }
    }
}
