//! `agentguard explain POLICY --request-id ID --audit FILE`: shows the rules that matched in an audit event, with their
//! text.

use super::source::Source;
use super::{ExitStatus, Failed, audit, output};
use crate::diag::codes;
use crate::policy::{Node, NodeValue};
use serde_json::{Value, json};
use std::path::Path;

/// Maximum depth of documents that extend one another.
const MAX_DEPTH: usize = 8;

/// Members of an event that are shown first.
const SHOWN: &[&str] = &[
    "ts",
    "decision",
    "would",
    "code",
    "status",
    "principal",
    "model",
    "tools",
    "findings",
    "limits",
    "approval",
    "coverage",
    "undecided",
];

/// Position of a rule in its document.
struct RuleText {
    file: String,
    line: usize,
    text: String,
}

/// Explains every record with a request id.
pub(super) fn run(
    policy: &str,
    request_id: &str,
    files: &[String],
    json: bool,
) -> Result<ExitStatus, Failed> {
    let source = Source::open(policy)?;
    let version = source.policy()?.version.clone();
    let records = audit::records_of_request(files, request_id)?;
    if records.is_empty() {
        return Err(output::print_coded(
            codes::AG9014,
            &format!(
                "no record has the request id {}; is the file of that time named?",
                output::visible(request_id)
            ),
        ));
    }
    for record in records {
        let Ok(record) = serde_json::from_str::<Value>(&record) else {
            continue;
        };
        let is_same = text_at(&record, "/policy/version") == Some(version.as_str());
        match json {
            true => output::json_line(&as_json(policy, &record, is_same).to_string()),
            false => output::print(&as_text(policy, &record, is_same)),
        }
    }
    Ok(ExitStatus::Clean)
}

fn text_at<'v>(record: &'v Value, pointer: &str) -> Option<&'v str> {
    record.pointer(pointer).and_then(Value::as_str)
}

fn rules(record: &Value) -> Vec<&Value> {
    let rules = record.get("rules").and_then(Value::as_array);
    rules
        .map(|rules| rules.iter().collect())
        .unwrap_or_default()
}

fn as_json(policy: &str, record: &Value, is_same: bool) -> Value {
    let rules: Vec<Value> = rules(record)
        .into_iter()
        .map(|rule| {
            let written = text_at(rule, "/id").and_then(|id| written(policy, id, 0));
            json!({
                "id": rule.get("id"), "action": rule.get("action"), "at": rule.get("at"), "mode": rule.get("mode"),
                "file": written.as_ref().map(|written| &written.file),
                "line": written.as_ref().map(|written| written.line),
                "text": written.as_ref().map(|written| &written.text),
            })
        })
        .collect();
    json!({"record": record, "same_version": is_same, "rules": rules})
}

fn as_text(policy: &str, record: &Value, is_same: bool) -> String {
    let mut out = String::new();
    for name in SHOWN {
        if let Some(value) = record.get(name) {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            out.push_str(&format!("{name}: {}\n", output::visible(&value)));
        }
    }
    let said = audit::conversation::conversation(record);
    if !said.is_empty() {
        out.push_str(&format!("content:\n{said}"));
    }
    if !is_same {
        out.push_str(&format!(
            "The record is of another version of the policy ({}): the texts below may have been different then.\n",
            output::visible(text_at(record, "/policy/version").unwrap_or("unknown")),
        ));
    }
    let code = text_at(record, "/code").and_then(codes::find);
    let rules = rules(record);
    for rule in &rules {
        let part = |name: &str| output::visible(text_at(rule, name).unwrap_or_default());
        let id = text_at(rule, "/id").unwrap_or_default();
        let observed = match text_at(rule, "/mode") {
            Some("observe") => " (observed)",
            _ => "",
        };
        let event = part("/event");
        let article = if event.starts_with('u') { "an" } else { "a" };
        // The empty pointer refers to the whole body.
        let at = match &*part("/at") {
            "" => String::new(),
            at => format!(" at {at}"),
        };
        out.push_str(&format!(
            "\n{} {}{observed}: matched {article} {event}{at}\n",
            part("/action"),
            part("/id"),
        ));
        match written(policy, id, 0) {
            Some(written) => {
                out.push_str(&format!("{}:{}\n", written.file, written.line));
                for line in written.text.lines() {
                    out.push_str(&format!("  {line}\n"));
                }
            }
            None => out.push_str(&format!("  {policy} has no rule with this id\n")),
        }
    }
    if rules.is_empty() {
        out.push_str(match code {
            Some(_) => "\nno rule matched: the code decided\n",
            None => "\nno rule matched: the default decided\n",
        });
    }
    if let Some(code) = code {
        out.push_str(&format!(
            "\n{}: {}\n{}\n",
            code.id, code.title, code.explain
        ));
    }
    out
}

/// Returns the text of a rule in a policy or a document that it extends.
fn written(policy: &str, id: &str, depth: usize) -> Option<RuleText> {
    let source = Source::read(policy).ok().filter(|_| depth < MAX_DEPTH)?;
    written_in(&source, source.root.as_ref()?, id, depth)
}

/// The same in a document of a file. A rule of a document inside another one is recorded with that document's name before its id.
fn written_in(source: &Source, document: &Node, id: &str, depth: usize) -> Option<RuleText> {
    let document = document.get("spec").unwrap_or(document);
    let members = document.get("policies").map_or(&[][..], Node::items);
    let inside = members.iter().chain(document.get("shadow"));
    let in_part = inside.into_iter().find_map(|part| {
        let name = part.get("metadata").and_then(|data| data.get("name"));
        let name = name.and_then(Node::text).unwrap_or("shadow");
        let own = id.strip_prefix(name)?.strip_prefix('/')?;
        written_in(source, part, own, depth)
    });
    if in_part.is_some() {
        return in_part;
    }
    if let Some(node) = find_rule(document, id) {
        let (line, column) = source.position(node.span.start);
        let text = source.text.get(node.span.clone())?;
        return Some(RuleText {
            file: source.name.clone(),
            line,
            text: outdented(text, column),
        });
    }
    let folder = Path::new(&source.name).parent().unwrap_or(Path::new(""));
    let bases = document.get("extends").map_or(&[][..], Node::items);
    bases.iter().filter_map(Node::text).find_map(|name| {
        let base = folder.join(name);
        written(&base.to_string_lossy(), id, depth.saturating_add(1))
    })
}

/// Returns the mapping with this id: a rule, wherever a document in the short syntax has it.
fn find_rule<'n>(node: &'n Node, id: &str) -> Option<&'n Node> {
    // Callers have ids as well.
    const OTHERS: [&str; 4] = ["examples", "policies", "principals", "shadow"];
    if node.get("id").and_then(Node::text) == Some(id) {
        return Some(node);
    }
    match &node.data {
        NodeValue::List(items) => items.iter().find_map(|item| find_rule(item, id)),
        _ => node
            .members()
            .iter()
            .filter(|member| !OTHERS.contains(&&*member.key))
            .find_map(|member| find_rule(&member.value, id)),
    }
}

/// Returns a text whose lines begin at a column, without the spaces before that column.
fn outdented(text: &str, column: usize) -> String {
    let spaces = column.saturating_sub(1);
    let lines = text.trim_end().lines().enumerate().map(|(number, line)| {
        let indent = line.chars().take_while(|c| *c == ' ').count().min(spaces);
        match number {
            0 => line,
            _ => line.get(indent..).unwrap_or(line),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}
