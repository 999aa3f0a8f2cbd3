//! Changes of a kill list as a document: entries are added and lifted, and everything else is kept as written.

use crate::detect::fold_name;
use crate::diag::{Diagnostic, codes, nearest};
use crate::policy::glob::{Glob, GlobReading};
use crate::policy::{
    API_VERSION, KILL_KIND, Kill, KillList, KillTarget, MAX_KILLS, Node, NodeValue, parse_json,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Maximum generation that is written: the largest whole number that readers of JSON with doubles tell from its neighbours.
const MAX_GENERATION: u64 = (1 << 53) - 1;

/// Change of a kill list.
#[derive(Clone, Debug, Default)]
pub struct KillChange {
    /// Names for each kind of target; none for everything.
    pub targets: Vec<(KillTarget, Vec<Box<str>>)>,
    /// Reason of new kills. `None` lifts the kills.
    pub reason: Option<Box<str>>,
    /// End of the kills, RFC 3339.
    pub until: Option<Box<str>>,
}

/// Kill list in a file.
#[derive(Debug)]
pub struct KillDocument {
    format: Format,
    text: String,
    /// The list.
    pub list: KillList,
    generation: std::ops::Range<usize>,
    kills: std::ops::Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Yaml,
    Json,
    /// Envoy's resource, which contains the JSON document as a string.
    Discovery,
}

/// Returns the errors of a kill list. For another document, returns only what it is: its keys are not wrong.
fn relevant(root: &Node, mut errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if let Some(foreign) = super::foreign_document(root) {
        return vec![foreign];
    }
    let is_kind = |error: &Diagnostic| error.code == codes::AG1003 && error.path == "kind";
    if root.get("kind").is_some() && errors.iter().any(is_kind) {
        errors.retain(is_kind);
        for error in &mut errors {
            error.help = Some("name the kill list, `kind: AgentKill`, instead".to_owned());
        }
    }
    errors
}

/// Paths of the document in a resource of `agentguard build`: in Wasm's configuration, and in a native
/// module's.
const IN_RESOURCE: [&str; 2] = [
    "/resources/0/typed_config/config/configuration/value",
    "/resources/0/typed_config/filter_config/value",
];

impl KillDocument {
    /// Returns a document with no kills.
    pub fn empty() -> String {
        format!("apiVersion: {API_VERSION}\nkind: {KILL_KIND}\ngeneration: 0\nkill: []\n")
    }

    /// Parses a kill list in YAML or JSON, or the resource that `agentguard build` wrote from one.
    ///
    /// # Errors
    /// All errors, with their positions in the document.
    pub fn read(text: &str) -> Result<KillDocument, Vec<Diagnostic>> {
        // Neither JSON nor Envoy accepts a byte order mark: one that an editor wrote is removed.
        let text = match text.strip_prefix('\u{feff}') {
            Some(json) if json.trim_start().starts_with('{') => json,
            _ => text,
        };
        if !text.trim_start().starts_with('{') {
            let root = super::parse_yaml(text)?;
            return KillDocument::of(Format::Yaml, text, &root);
        }
        let resource: Option<Value> = serde_json::from_str(text).ok();
        let inner = resource.as_ref().and_then(|value| {
            IN_RESOURCE
                .iter()
                .find_map(|place| value.pointer(place)?.as_str())
        });
        let text = inner.unwrap_or(text);
        let root = parse_json(text.as_bytes()).map_err(|diagnostic| vec![*diagnostic])?;
        let format = match inner {
            Some(_) => Format::Discovery,
            None => Format::Json,
        };
        KillDocument::of(format, text, &root)
    }

    fn of(format: Format, text: &str, root: &Node) -> Result<KillDocument, Vec<Diagnostic>> {
        let list = KillList::read(root).map_err(|errors| relevant(root, errors))?;
        let span = |key: &str| root.get(key).map_or(0..0, |node| node.span.clone());
        Ok(KillDocument {
            format,
            text: text.to_owned(),
            list,
            generation: span("generation"),
            kills: span("kill"),
        })
    }

    /// Returns the file's new text, and the list in it. `file` is its present text.
    ///
    /// # Errors
    /// A kill to be lifted does not exist, the generation can't grow, or the result is not a kill list.
    pub fn changed(&self, file: &str, change: &KillChange) -> Result<(String, KillList), String> {
        let kills = changed(&self.list.kills, change)?;
        let generation = self.list.generation.saturating_add(1);
        if generation > MAX_GENERATION {
            return Err(format!(
                "`generation` can't grow any more: at most {MAX_GENERATION} is told from its neighbours by every reader of JSON; write a smaller one in the file"
            ));
        }
        let written = match self.format {
            Format::Yaml => self.as_yaml(&kills),
            Format::Json | Format::Discovery => as_json(&kills).to_string(),
        };
        let mut text = self.text.clone();
        let mut kills_at = self.kills.clone();
        if written.starts_with('\n') {
            let before = text.get(..kills_at.start).unwrap_or_default();
            kills_at.start = before.trim_end_matches(' ').len();
        }
        let mut places = [
            (self.generation.clone(), generation.to_string()),
            (kills_at, written),
        ];
        places.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
        for (place, with) in places {
            text.replace_range(place, &with);
        }
        let read = KillDocument::read(&text).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            errors.join("; ")
        })?;
        debug_assert_eq!(read.list.kills, kills);
        if self.format != Format::Discovery {
            return Ok((text, read.list));
        }
        let mut resource: Value = serde_json::from_str(file).map_err(|error| error.to_string())?;
        for place in IN_RESOURCE {
            if let Some(value) = resource.pointer_mut(place) {
                *value = json!(text);
            }
        }
        if let Some(version) = resource.get_mut("version_info") {
            *version = json!(generation.to_string());
        }
        serde_json::to_string_pretty(&resource)
            .map(|text| (format!("{text}\n"), read.list))
            .map_err(|error| error.to_string())
    }

    /// Returns one entry per line, below each other: `- { agents: ["a"], reason: "b" }`.
    fn as_yaml(&self, kills: &[Kill]) -> String {
        if kills.is_empty() {
            return "[]".to_owned();
        }
        let before = self.text.get(..self.kills.start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let is_block = self
            .text
            .get(self.kills.clone())
            .is_some_and(|list| list.starts_with('-'));
        let (first, indent) = match is_block && line.trim().is_empty() {
            true => (String::new(), line.to_owned()),
            // The list was in the line of its key.
            false => ("\n  ".to_owned(), "  ".to_owned()),
        };
        let lines: Vec<String> = kills.iter().map(yaml_entry).collect();
        let end = match is_block
            && self
                .text
                .get(..self.kills.end)
                .is_some_and(|text| text.ends_with('\n'))
        {
            true => "\n",
            false => "",
        };
        format!("{first}{}{end}", lines.join(&format!("\n{indent}")))
    }
}

fn yaml_entry(kill: &Kill) -> String {
    let Value::Object(members) = entry(kill) else {
        return String::new();
    };
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    format!("- {{ {} }}", members.join(", "))
}

fn entry(kill: &Kill) -> Value {
    let mut entry = serde_json::Map::new();
    let names = match kill.target {
        KillTarget::All => json!(true),
        _ => json!(kill.names),
    };
    entry.insert(kill.target.word().to_owned(), names);
    entry.insert("reason".to_owned(), json!(kill.reason));
    if let Some(until) = &kill.until {
        entry.insert("until".to_owned(), json!(until));
    }
    Value::Object(entry)
}

fn as_json(kills: &[Kill]) -> Value {
    kills.iter().map(entry).collect()
}

/// Returns the entries after a change. A name that is in the list already gets the new reason and end.
fn changed(kills: &[Kill], change: &KillChange) -> Result<Vec<Kill>, String> {
    let mut kills = kills.to_vec();
    for (target, names) in &change.targets {
        for name in names {
            // Every entry that has the name: a remaining one would keep what was lifted in force.
            let mut known = false;
            for kill in kills.iter_mut().filter(|kill| kill.target == *target) {
                let before = kill.names.len();
                kill.names.retain(|known| known != name);
                known |= kill.names.len() < before;
            }
            if !known && change.reason.is_none() {
                // Another spelling or a glob may stop it all the same: that it is not stopped would be wrong.
                return Err(format!(
                    "no entry has {} `{name}`, written like this{}",
                    singular(*target),
                    near(&kills, *target, name)
                ));
            }
        }
        let before = kills.len();
        kills.retain(|kill| match kill.target {
            KillTarget::All => *target != KillTarget::All,
            _ => !kill.names.is_empty(),
        });
        if *target == KillTarget::All && change.reason.is_none() && kills.len() == before {
            return Err("no entry stops everything".to_owned());
        }
        if let Some(reason) = &change.reason {
            kills.push(Kill {
                target: *target,
                names: names.clone(),
                reason: reason.clone(),
                until: change.until.clone(),
            });
        }
    }
    Ok(kills)
}

/// Returns which entries still stop a name that no entry has, or else which one is spelt like it, for an error message.
fn near(kills: &[Kill], target: KillTarget, name: &str) -> String {
    let stops = |written: &str| {
        let is_matched = Glob::parse(written).is_ok_and(|glob| {
            let folded = glob.folded(|literal| fold_name(literal).into_owned());
            glob.matches(name, GlobReading::Broad)
                || folded.matches(&fold_name(name), GlobReading::Broad)
        });
        is_matched || fold_name(written) == fold_name(name)
    };
    let written = |kill: &Kill| -> Vec<String> {
        let names = kill.names.iter().filter(|written| stops(written));
        match kill.target {
            KillTarget::All => vec!["the entry for everything".to_owned()],
            of if of == target => names
                .map(|written| format!("{} `{written}`", singular(of)))
                .collect(),
            _ => Vec::new(),
        }
    };
    let still: BTreeSet<String> = kills.iter().flat_map(written).collect();
    if !still.is_empty() {
        let still: Vec<String> = still.into_iter().collect();
        return format!(
            "; it is still stopped by {}: lift what the list has",
            still.join(", ")
        );
    }
    let elsewhere = kills.iter().filter(|kill| kill.target != target);
    let mut elsewhere =
        elsewhere.filter(|kill| kill.names.iter().any(|written| **written == *name));
    if let Some(kill) = elsewhere.next() {
        return format!("; the list has {} `{name}`", singular(kill.target));
    }
    let known: Vec<&str> = kills
        .iter()
        .filter(|kill| kill.target == target)
        .flat_map(|kill| kill.names.iter().map(|name| &**name))
        .collect();
    nearest(name, &known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// Returns the singular of a kind of target: `agent`.
pub fn singular(target: KillTarget) -> &'static str {
    match target {
        KillTarget::All => "everything",
        target => target.word().trim_end_matches('s'),
    }
}

/// Returns the JSON Schema of kill lists.
pub fn kill_schema() -> Value {
    let names = json!({"type": ["array", "string"], "items": {"type": "string", "minLength": 1}, "minItems": 1,
                       "minLength": 1, "description": "Names or globs."});
    let entries: Vec<Value> = KillTarget::ALL
        .iter()
        .map(|target| {
            let what = match target {
                KillTarget::All => json!({"const": true, "description": "Stops everything."}),
                _ => names.clone(),
            };
            json!({
                "type": "object",
                "additionalProperties": false,
                "required": [target.word(), "reason"],
                "properties": {
                    target.word(): what,
                    "reason": {"type": "string", "minLength": 1, "description": "Why; whoever is stopped reads it."},
                    "until": {"type": "string", "format": "date-time", "description": "Ends by itself."},
                },
            })
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://agentguard.dev/schema/v1/kill-list.json",
        "title": "AgentGuard kill list",
        "type": "object",
        "additionalProperties": false,
        "required": ["apiVersion", "kind", "generation", "kill"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": KILL_KIND},
            "metadata": {"type": "object"},
            "generation": {"type": "integer", "minimum": 0, "description": "Grows with each change."},
            "feed": {
                "type": "object",
                "additionalProperties": false,
                "required": ["cluster"],
                "description": "A service that holds a second list, which is in force beside this one.",
                "properties": {
                    "cluster": {"type": "string", "minLength": 1, "description": "The name of Envoy's cluster."},
                    "path": {"type": "string", "pattern": "^/", "description": "Absent: `/`."},
                    "authority": {"type": "string", "minLength": 1, "description": "Absent: the cluster's name."},
                    "every": {"type": "string", "description": "How often it is read, at most `1m`. Absent: `1s`."},
                    "grace": {"type": "string", "description": "How long its last list stays in force while it can't be read, at most `24h`. Absent: `30s`, or three times `every` if that is longer."},
                },
            },
            "kill": {"type": "array", "maxItems": MAX_KILLS, "items": {"oneOf": entries}},
        },
    })
}

/// Returns whether a document is a kill list.
pub fn is_kill_list(root: &Node) -> bool {
    matches!(&root.get("kind").map(|kind| &kind.data), Some(NodeValue::String(kind)) if **kind == *KILL_KIND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(target: KillTarget, names: &[&str], reason: &str) -> KillChange {
        KillChange {
            targets: vec![(target, names.iter().map(|name| (*name).into()).collect())],
            reason: Some(reason.into()),
            until: None,
        }
    }

    fn lift(target: KillTarget, names: &[&str]) -> KillChange {
        KillChange {
            reason: None,
            ..stop(target, names, "")
        }
    }

    fn after(text: &str, changes: &[KillChange]) -> String {
        changes.iter().fold(text.to_owned(), |text, change| {
            let document = KillDocument::read(&text).unwrap();
            document.changed(&text, change).unwrap().0
        })
    }

    #[test]
    fn entries_are_added_and_lifted_and_all_else_stays() {
        let text = "# Ask the duty officer first.\napiVersion: agentguard.dev/v1\nkind: AgentKill\n\
                    generation: 3 # grows\nkill:\n    - { agents: [a, b], reason: r }\nmetadata: { name: x }\n";
        let changed = after(
            text,
            &[
                stop(KillTarget::Tools, &["issue_*"], "it's \"attacked\""),
                lift(KillTarget::Agents, &["a"]),
            ],
        );
        assert_eq!(
            changed,
            "# Ask the duty officer first.\napiVersion: agentguard.dev/v1\nkind: AgentKill\n\
             generation: 5 # grows\nkill:\n    - { agents: [\"b\"], reason: \"r\" }\n    \
             - { tools: [\"issue_*\"], reason: \"it's \\\"attacked\\\"\" }\nmetadata: { name: x }\n"
        );
    }

    #[test]
    fn an_empty_document_takes_entries_and_loses_them_again() {
        let stopped = after(&KillDocument::empty(), &[stop(KillTarget::All, &[], "r")]);
        assert_eq!(
            stopped,
            "apiVersion: agentguard.dev/v1\nkind: AgentKill\ngeneration: 1\nkill:\n  - { all: true, reason: \"r\" }\n"
        );
        let lifted = after(&stopped, &[lift(KillTarget::All, &[])]);
        assert!(lifted.ends_with("generation: 2\nkill:\n  []\n"), "{lifted}");
        let again = after(&lifted, &[stop(KillTarget::Agents, &["a"], "r")]);
        assert_eq!(KillDocument::read(&again).unwrap().list.kills.len(), 1);
    }

    #[test]
    fn a_name_that_is_stopped_already_gets_the_new_reason() {
        let text = after(
            &KillDocument::empty(),
            &[
                stop(KillTarget::Agents, &["a", "b"], "old"),
                stop(KillTarget::Agents, &["a"], "new"),
            ],
        );
        let kills = KillDocument::read(&text).unwrap().list.kills;
        let found: Vec<(usize, &str)> = kills
            .iter()
            .map(|kill| (kill.names.len(), &*kill.reason))
            .collect();
        assert_eq!(found, [(1, "old"), (1, "new")]);
    }

    #[test]
    fn a_byte_order_mark_before_json_stops_no_change() {
        let text = "\u{feff}{\"apiVersion\":\"agentguard.dev/v1\",\"kind\":\"AgentKill\",\"generation\":1,\"kill\":[]}";
        let stopped = after(text, &[stop(KillTarget::Agents, &["a"], "r")]);
        assert!(stopped.starts_with("{\"apiVersion\""), "{stopped}");
        assert_eq!(KillDocument::read(&stopped).unwrap().list.generation, 2);
    }

    #[test]
    fn a_name_in_two_entries_is_lifted_from_both() {
        let text = "apiVersion: agentguard.dev/v1\nkind: AgentKill\ngeneration: 1\nkill:\n  \
                    - { agents: [a, b], reason: r }\n  - { agents: [a], reason: s }\n";
        let lifted = after(text, &[lift(KillTarget::Agents, &["a"])]);
        let kills = KillDocument::read(&lifted).unwrap().list.kills;
        let names: Vec<&[Box<str>]> = kills.iter().map(|kill| &*kill.names).collect();
        assert_eq!(names, [["b".into()]]);
    }

    #[test]
    fn a_generation_that_no_reader_tells_from_the_one_before_is_not_written() {
        let with = |generation: u64| {
            let text = KillDocument::empty();
            let text = text.replace("generation: 0", &format!("generation: {generation}"));
            let document = KillDocument::read(&text).unwrap();
            document.changed(&text, &stop(KillTarget::Agents, &["a"], "r"))
        };
        let (_, list) = with(MAX_GENERATION - 1).unwrap();
        assert_eq!(list.generation, MAX_GENERATION);
        for generation in [MAX_GENERATION, u64::MAX] {
            let error = with(generation).unwrap_err();
            assert!(error.contains("write a smaller one"), "{error}");
        }
    }

    #[test]
    fn what_is_not_stopped_cannot_be_lifted() {
        let document = KillDocument::read(&KillDocument::empty()).unwrap();
        let error = |change: &KillChange| document.changed("", change).unwrap_err();
        assert_eq!(
            error(&lift(KillTarget::Agents, &["a"])),
            "no entry has agent `a`, written like this"
        );
        assert_eq!(
            error(&lift(KillTarget::All, &[])),
            "no entry stops everything"
        );
    }

    #[test]
    fn an_error_names_what_still_stops_a_name_or_is_spelt_like_it() {
        let text = "apiVersion: agentguard.dev/v1\nkind: AgentKill\ngeneration: 1\nkill:\n\
                    \x20 - { agents: [Support-Bot, 'sales-*'], reason: r }\n  - { tools: [refund], reason: r }\n";
        let error = |change: KillChange| {
            let document = KillDocument::read(text).unwrap();
            document.changed(text, &change).unwrap_err()
        };
        for (target, name, told) in [
            (
                KillTarget::Agents,
                "support-bot",
                "it is still stopped by agent `Support-Bot`: lift",
            ),
            (
                KillTarget::Agents,
                "sales-eu",
                "it is still stopped by agent `sales-*`: lift",
            ),
            (KillTarget::Agents, "refund", "the list has tool `refund`"),
            (
                KillTarget::Agents,
                "Suport-Bot",
                "did you mean `Support-Bot`?",
            ),
        ] {
            let error = error(lift(target, &[name]));
            assert!(error.contains(told), "{error}");
        }
        let error = error(lift(KillTarget::Agents, &["billing"]));
        assert_eq!(error, "no entry has agent `billing`, written like this");
    }

    #[test]
    fn the_resource_for_envoy_is_changed_in_place() {
        let inner =
            r#"{"apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":1,"kill":[]}"#;
        let wasm = json!({"config": {"vm_config": {"vm_id": "agentguard"}, "configuration": {"value": inner}}});
        let native = json!({"filter_name": "agentguard-kill", "filter_config": {"value": inner}});
        for (place, filter) in IN_RESOURCE.into_iter().zip([wasm, native]) {
            let resource = json!({"version_info": "1", "resources": [{"typed_config": filter}]});
            let stop = stop(KillTarget::Agents, &["a"], "r");
            let text = after(&resource.to_string(), &[stop]);
            let mut changed: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(changed["version_info"], "2");
            let document = changed.pointer_mut(place).unwrap();
            assert_eq!(
                *document,
                r#"{"apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":2,"kill":[{"agents":["a"],"reason":"r"}]}"#
            );
            // Nothing else has changed.
            *document = json!(inner);
            changed["version_info"] = json!("1");
            assert_eq!(changed, resource);
        }
    }
}
