//! Audit events: each has the members that are declared, in their order; and what is made of the declaration is up to date.

use super::recorded;
use super::streams::{guard, replay};
use agentguard::audit::{MEMBERS, Member, Shape, schema};
use agentguard::author::{evaluate_record, parse_yaml};
use agentguard::flow::simulation;
use agentguard::policy::{load, parse_json};
use agentguard::wire::json::{JsonBody, Limits, Value as Cursor};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;

const START: &str = "<!-- members -->\n";
const END: &str = "<!-- end -->";

/// Checks that the members of an object are in the order in which they are declared.
fn check_order(object: Cursor<'_>, members: &[Member]) {
    let mut declared = members.iter();
    for (key, value) in object.members() {
        let key = key.text().unwrap();
        let member = declared.find(|member| member.name == key);
        let member = member.unwrap_or_else(|| panic!("{key} is not declared, or not here"));
        match member.shape {
            Shape::Object(members) => check_order(value, members),
            Shape::List(members) => value.elements().for_each(|item| check_order(item, members)),
            _ => {}
        }
    }
}

const RULES: &str = "
  - { id: said, match: { event: [message, response] }, when: { text: { detects: [email, credit_card] } }, action: redact }
  - { id: calls, match: { event: tool_call }, action: deny, tags: [call] }
  - { id: many, action: deny, limit: { count: requests, per: host, max: 20, window: 1m } }
";

#[test]
fn every_record_of_recorded_traffic_has_the_declared_form() {
    let guard = guard(RULES);
    let mut seen = 0;
    for exchange in recorded() {
        let line = replay(&guard, &exchange).finished.line;
        let record: Value = serde_json::from_slice(&line).unwrap();
        harness::check(&record);
        let body = JsonBody::scan(&line, Limits { max_depth: 16 }, 0).unwrap();
        check_order(body.body().unwrap().root(), MEMBERS);
        for key in ["method", "host", "path", "duration_ms"] {
            assert!(record.get(key).is_some(), "{key} in {record:#}");
        }
        seen += 1;
    }
    assert!(seen > 100);
}

/// Policies whose decisions differ by what an audit event has: the model, the tools, the caller, the half of the exchange,
/// the server, the host, and what it does not have.
const REPLAYED: &[&str] = &[
    "defaults: { action: allow, tool_call: allow }\nrules: []",
    "defaults: { action: deny }\nrules: []",
    "defaults: { action: allow, tool_call: deny }\nrules: []",
    "defaults: { action: deny, tool_call: allow }\nrules: []",
    "defaults: { action: allow, tool_call: allow, tool_offer: deny }\nrules: []",
    "defaults: { action: allow, tool_call: deny, tool_offer: hide }\nrules: []",
    "defaults: { action: allow, uninspectable: allow }\nrules: []",
    "defaults: { action: allow, tool_call: allow, partial: deny }\nrules: []",
    "defaults: { action: { action: deny, mode: observe } }\nrules: []",
    "mode: observe\ndefaults: { action: deny }\nrules: []",
    "defaults: { action: deny }\nrules:\n- { id: a, match: { event: request }, action: allow }",
    "defaults: { action: deny }\nrules:\n- { id: a, match: { event: tool_call, tool: \"*\" }, action: allow }",
    "defaults: { action: deny }\nrules:\n- { id: a, match: { event: request, model: \"gpt*\" }, action: allow }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: request, model: \"*4*\" }, action: deny }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: request, provider: openai }, action: deny }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: request }, unless: { protocol: mcp }, action: deny }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { tool: \"*_*\" }, action: deny }",
    "defaults: { action: allow, tool_call: deny }\nrules:\n- { id: a, match: { tool: \"*_*\" }, action: allow }",
    "defaults: { action: allow, tool_call: deny }\nrules:\n- { id: a, match: { event: tool_call, tool: \"*\" }, when: { in: response }, action: allow }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: tool_call }, when: { in: request }, action: deny }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: tool_call, turn: earlier }, action: deny }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: tool_call }, when: { args: { contains: a } }, action: deny }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: tool_call }, when: { provider_run: true }, action: deny }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: tool_call }, action: deny }\n- { id: b, match: { event: tool_offer }, action: deny, on_deny: hide }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: tool_result }, action: deny }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: message }, when: { text: { contains: a } }, action: redact }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: response }, action: deny }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: uninspectable }, action: allow }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: request, host: \"api.*\" }, action: deny }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: request, method: POST }, action: deny }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: request, environment: prod }, action: deny }",
    "environment: dev\ndefaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: request, environment: prod }, action: deny }",
    "require: none\ndefaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: request, agent: x }, action: deny }",
    "require: none\ndefaults: { action: deny, tool_call: allow }\nrules:\n- { id: a, match: { event: request, role: x }, action: allow }",
    "require: identity\ndefaults: { action: allow, tool_call: allow }\nrules: []",
    "applies_to: { hosts: [\"api.openai.com\"] }\ndefaults: { action: deny }\nrules: []",
    "applies_to: { paths: [\"/v1/chat/*\"] }\ndefaults: { action: deny }\nrules: []",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: request }, action: deny, limit: { count: requests, max: 3, window: 1h } }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: tool_call }, action: require_approval, approval: { by: [x] } }",
    "defaults: { action: allow, tool_call: deny }\nrules:\n- { id: a, match: { event: tool_call }, action: require_approval, approval: { by: [x] } }",
    "defaults: { action: allow, tool_call: allow }\nrules:\n- { id: a, match: { event: request }, action: require_approval, approval: { by: [x] } }",
];

#[test]
fn an_audit_event_is_decided_as_the_exchange_was_or_its_outcome_is_unknown() {
    let exchanges = recorded();
    let guards: Vec<_> = REPLAYED
        .iter()
        .map(|rules| {
            let text = format!(
                "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: t }}\n{rules}\n"
            );
            let loaded = load(&parse_yaml(&text).unwrap());
            let policy = loaded.policy;
            simulation::guard(policy.unwrap_or_else(|| panic!("{text}"))).unwrap()
        })
        .collect();
    let mut wrong = Vec::new();
    let mut decided = 0;
    for (number, exchange) in exchanges.iter().enumerate() {
        let lines: Vec<Vec<u8>> = guards
            .iter()
            .map(|guard| replay(guard, exchange).finished.line)
            .collect();
        for (at, (guard, own)) in guards.iter().zip(&lines).enumerate() {
            let own: Value = serde_json::from_slice(own).unwrap();
            let truth = own["decision"].as_str().unwrap();
            // The event of the policy itself, and that of another one, which saw more or less of the exchange.
            for other in [at, (at + 1 + number) % guards.len()] {
                let event = parse_json(&lines[other]).unwrap();
                let Some(action) = evaluate_record(&guard.policy, &event, None).action else {
                    continue;
                };
                decided += 1;
                if action != truth {
                    let line = String::from_utf8_lossy(&lines[other]);
                    wrong.push(format!(
                        "{action}, and it is {truth}: {}\n{}\n{line}",
                        REPLAYED[at], REPLAYED[other]
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {decided}:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    // What can't be told is the smaller part.
    assert!(decided > guards.len() * exchanges.len(), "{decided}");
}

fn rows(table: &mut String, prefix: &str, members: &[Member]) {
    for member in members {
        let name = format!("{prefix}{}", member.name);
        let words = match member.shape {
            Shape::Words(words) => format!(": {}", words.join(" \\| ")),
            Shape::True => ": true".to_owned(),
            Shape::Boolean => ": true \\| false".to_owned(),
            Shape::Version(version) => format!(": {version}"),
            _ => String::new(),
        };
        let always = if member.is_required { "always" } else { "" };
        writeln!(table, "| `{name}{words}` | {always} | {} |", member.about).unwrap();
        match member.shape {
            Shape::Object(members) => rows(table, &format!("{name}."), members),
            Shape::List(members) => rows(table, &format!("{name}[]."), members),
            _ => {}
        }
    }
}

fn up_to_date(name: &str, written: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, written).unwrap();
    }
    assert!(
        std::fs::read_to_string(&file).unwrap_or_default() == written,
        "docs/{name} is out of date: run `UPDATE_DOCS=1 cargo test --test traffic record`"
    );
}

#[test]
fn the_page_and_the_schema_in_docs_are_up_to_date() {
    up_to_date("audit.schema.json", &format!("{:#}\n", schema()));
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/audit.md");
    let page = std::fs::read_to_string(file).unwrap();
    let (before, rest) = page.split_once(START).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut table = "\n| member | in each | meaning |\n|---|---|---|\n".to_owned();
    rows(&mut table, "", MEMBERS);
    up_to_date("audit.md", &format!("{before}{START}{table}\n{END}{after}"));
}
