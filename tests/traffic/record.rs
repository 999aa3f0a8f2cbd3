//! Audit events: each has the members that are declared, in their order; and what is made of the declaration is up to date.

use super::recorded;
use super::streams::{guard, replay};
use agentguard::audit::{MEMBERS, Member, Shape, schema};
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
