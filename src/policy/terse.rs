//! Terse documents, as other policy languages write them, made into documents of this one. Whatever stands in them keeps its
//! place in the text, so that a mistake is shown where it was made.

use super::decode::{At, Decoder};
use super::document::API_VERSION;
use super::field::Field;
use super::node::{Data, Member, Node};
use super::operators::Verb;
use crate::diag::{Severity, codes};
use std::ops::Range;

const TOP: &[&str] = &[
    "name",
    "description",
    "version",
    "environment",
    "defaults",
    "default_action",
    "enforcement",
    "lists",
    "rules",
    "rate_limits",
    "allow",
    "deny",
];
const RULE: &[&str] = &[
    "id",
    "name",
    "description",
    "match",
    "tool_name",
    "when",
    "conditions",
    "unless",
    "exceptions",
    "outcome",
    "action",
    "approver_role",
    "reason",
    "message",
    "remedy",
    "tags",
];

/// Arguments that tools put a query, a recipient, a path in.
const QUERY: &str = "args.query|sql|statement";
const RECIPIENT: &str = "args.to|cc|bcc|recipient|recipients";
const RESOURCE: &str = "args.path|file|file_path|filename|resource|url";

/// Words for what a rule does.
const OUTCOMES: &[(&str, &str)] = &[
    ("allow", "allow"),
    ("permit", "allow"),
    ("deny", "deny"),
    ("block", "deny"),
    ("forbid", "deny"),
    ("require_approval", "require_approval"),
    ("requires_approval", "require_approval"),
    ("approval_required", "require_approval"),
    ("escalate", "require_approval"),
    ("redact", "redact"),
    ("mask", "redact"),
    ("log", "tag"),
    ("log_only", "tag"),
    ("audit", "tag"),
];

/// Abbreviations of time zones, with the place whose clocks are meant. Most of them are half a year off by themselves.
const ZONES: &[(&str, &str)] = &[
    ("UTC", "UTC"),
    ("GMT", "UTC"),
    ("EST", "America/New_York"),
    ("EDT", "America/New_York"),
    ("ET", "America/New_York"),
    ("CST", "America/Chicago"),
    ("CDT", "America/Chicago"),
    ("CT", "America/Chicago"),
    ("MST", "America/Denver"),
    ("MDT", "America/Denver"),
    ("MT", "America/Denver"),
    ("PST", "America/Los_Angeles"),
    ("PDT", "America/Los_Angeles"),
    ("PT", "America/Los_Angeles"),
    ("CET", "Europe/Berlin"),
    ("CEST", "Europe/Berlin"),
    ("BST", "Europe/London"),
];

/// What `rate_limits` counts, by the beginning of its keys.
const COUNTED: [&str; 3] = ["requests", "tool_calls", "tokens"];
const WINDOWS: [(&str, &str); 4] = [
    ("second", "1s"),
    ("minute", "1m"),
    ("hour", "1h"),
    ("day", "24h"),
];

/// Whether a document is one of another language: it names none.
pub fn is_terse(root: &Node) -> bool {
    let own = ["apiVersion", "kind", "metadata", "spec"];
    let theirs = ["policy", "rules", "allow", "deny", "default_action"];
    own.iter().all(|key| root.get(key).is_none())
        && theirs.iter().any(|key| root.get(key).is_some())
}

/// Makes a terse document one of this language. Notes what can't be.
pub(super) fn convert(decoder: &mut Decoder, root: &Node) -> Option<Node> {
    let at = At::root();
    let at_policy = at.key("policy");
    let (at, body) = match root.get("policy") {
        Some(inner) if root.members().len() == 1 && matches!(inner.data, Data::Map(_)) => {
            (at_policy, inner)
        }
        _ => (at, root),
    };
    let report = decoder.report(
        Severity::Note,
        codes::AG1024,
        &at,
        body.span.start..body.span.start,
        "this is the terse form of a policy".to_owned(),
    );
    if let Some(diagnostic) = report {
        diagnostic.help = Some("`agentguard fmt` writes it in full".to_owned());
    }
    let mut converter = Converter {
        decoder,
        lists: body.get("lists"),
    };
    converter.document(&at, body)
}

struct Converter<'d> {
    decoder: &'d mut Decoder,
    lists: Option<&'d Node>,
}

fn node(span: &Range<usize>, data: Data) -> Node {
    Node {
        span: span.clone(),
        data,
    }
}

fn text(span: &Range<usize>, text: &str) -> Node {
    node(span, Data::String(text.into()))
}

fn map(span: &Range<usize>, members: Vec<(&str, Node)>) -> Node {
    let members = members
        .into_iter()
        .map(|(key, value)| Member {
            key: key.into(),
            key_span: span.clone(),
            value,
        })
        .collect();
    node(span, Data::Map(members))
}

fn items(node: &Node) -> &[Node] {
    match &node.data {
        Data::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

impl Converter<'_> {
    fn document(&mut self, at: &At<'_>, body: &Node) -> Option<Node> {
        let span = &body.span;
        let members = self.decoder.mapping(at, body, TOP)?;
        let find = |key: &str| {
            members
                .iter()
                .find(|member| &*member.key == key)
                .map(|member| &member.value)
        };
        let mut metadata = vec![(
            "name",
            find("name").cloned().unwrap_or(text(span, "policy")),
        )];
        metadata.extend(find("description").map(|value| ("description", value.clone())));
        let mut rules = Vec::new();
        for (key, action) in [("allow", "allow"), ("deny", "deny")] {
            if let Some(list) = find(key) {
                for (number, item) in items(list).iter().enumerate() {
                    rules.extend(self.resource(&at.key(key), number, item, action));
                }
            }
        }
        if let Some(list) = find("rules") {
            let at = at.key("rules");
            for (number, rule) in items(list).iter().enumerate() {
                rules.push(self.rule(&at.index(number), number, rule)?);
            }
        }
        if let Some(limits) = find("rate_limits") {
            self.limits(&at.key("rate_limits"), limits, &mut rules);
        }
        let default = match (find("defaults"), find("default_action")) {
            (_, Some(word)) => Some((at.key("default_action"), word)),
            (Some(defaults), None) => defaults
                .get("outcome")
                .or(defaults.get("action"))
                .map(|word| (at.key("defaults"), word)),
            (None, None) => None,
        };
        let default = match default {
            Some((at, word)) => self.outcome(&at, word)?,
            // A list of what is allowed means that nothing else is.
            None if find("allow").is_some() => text(span, "deny"),
            None => text(span, "allow"),
        };
        let mut all = vec![
            ("apiVersion", text(span, API_VERSION)),
            ("kind", text(span, "AgentPolicy")),
            ("metadata", map(span, metadata)),
        ];
        if let Some(word) = find("enforcement") {
            let mode = match word.text() {
                Some("log_only" | "monitor" | "audit" | "observe" | "dry_run") => "observe",
                _ => "enforce",
            };
            all.push(("mode", text(&word.span, mode)));
        }
        all.push(("require", text(span, "none")));
        all.extend(find("environment").map(|value| ("environment", value.clone())));
        all.push(("defaults", map(span, vec![("action", default)])));
        all.extend(find("lists").map(|value| ("lists", value.clone())));
        all.push(("rules", node(span, Data::List(rules))));
        Some(map(span, all))
    }

    /// `DENY`, `Require Approval`: the action of this name.
    fn outcome(&mut self, at: &At<'_>, word: &Node) -> Option<Node> {
        let written = self.decoder.text(at, word)?;
        let folded = written.to_lowercase().replace([' ', '-'], "_");
        let known = OUTCOMES.iter().find(|(theirs, _)| *theirs == folded);
        if known.is_none() {
            let words = OUTCOMES.iter().map(|(theirs, _)| *theirs);
            self.decoder
                .unknown(codes::AG1007, at, &word.span, "outcome", &written, words);
        }
        known.map(|(_, own)| text(&word.span, own))
    }

    fn rule(&mut self, at: &At<'_>, number: usize, rule: &Node) -> Option<Node> {
        let span = &rule.span;
        self.decoder.mapping(at, rule, RULE)?;
        let id = rule.get("id").or(rule.get("name")).cloned();
        let id = id.unwrap_or_else(|| text(span, &format!("rule-{}", number.saturating_add(1))));
        let mut matches: Vec<Member> = Vec::new();
        let mut when: Vec<Node> = Vec::new();
        for member in rule.get("match").into_iter().flat_map(Node::members) {
            self.match_key(member, &mut matches, &mut when)?;
        }
        if let Some(tool) = rule.get("tool_name") {
            matches.push(renamed("tool", tool));
        }
        for key in ["when", "conditions"] {
            let at = at.key(key);
            for member in rule.get(key).into_iter().flat_map(Node::members) {
                when.push(self.condition(&at, member, &mut matches)?);
            }
        }
        let mut all = vec![("id", id)];
        all.extend(
            rule.get("description")
                .map(|value| ("description", value.clone())),
        );
        if !matches.is_empty() {
            all.push(("match", node(span, Data::Map(matches))));
        }
        all.extend(joined(span, when).map(|when| ("when", when)));
        let mut unless: Vec<Node> = rule.get("unless").cloned().into_iter().collect();
        for exception in rule.get("exceptions").map(items).unwrap_or_default() {
            for member in exception.members() {
                unless.push(match &*member.key {
                    "approver_role" | "role" | "roles" | "user_role" => {
                        let value = member.value.clone();
                        map(&member.key_span, vec![("principal.roles", value)])
                    }
                    _ => self.condition(&at.key("exceptions"), member, &mut Vec::new())?,
                });
            }
        }
        match unless.len() {
            0 => {}
            1 => all.extend(unless.pop().map(|only| ("unless", only))),
            // Each exception is one of its own.
            _ => {
                let any = node(span, Data::List(unless));
                all.push(("unless", map(span, vec![("any", any)])));
            }
        }
        let Some((key, word)) = ["outcome", "action"]
            .into_iter()
            .find_map(|key| Some((key, rule.get(key)?)))
        else {
            let help = "for example `outcome: DENY`";
            self.decoder
                .error(codes::AG1006, at, span, "`outcome` is missing", help);
            return None;
        };
        let action = self.outcome(&at.key(key), word)?;
        let is_tag = action.text() == Some("tag");
        all.push(("action", action));
        if let Some(role) = rule.get("approver_role") {
            let by = match &role.data {
                Data::List(_) => role.clone(),
                _ => node(&role.span, Data::List(vec![role.clone()])),
            };
            all.push(("approval", map(&role.span, vec![("by", by)])));
        }
        all.extend(
            rule.get("reason")
                .or(rule.get("message"))
                .map(|value| ("reason", value.clone())),
        );
        all.extend(rule.get("remedy").map(|value| ("remedy", value.clone())));
        match rule.get("tags") {
            Some(tags) => all.push(("tags", tags.clone())),
            None if is_tag => {
                all.push(("tags", node(span, Data::List(vec![text(span, "logged")]))));
            }
            None => {}
        }
        Some(map(span, all))
    }

    /// A key of `match`; what is no key of it here becomes a condition.
    fn match_key(
        &mut self,
        member: &Member,
        matches: &mut Vec<Member>,
        when: &mut Vec<Node>,
    ) -> Option<()> {
        let value = &member.value;
        match &*member.key {
            "tool_name" | "tool" | "tools" => matches.push(renamed("tool", value)),
            "model_name" | "model" => matches.push(renamed("model", value)),
            "env" | "environment" => matches.push(renamed("environment", value)),
            "user_role" | "role" => matches.push(renamed("role", value)),
            "message_content" | "message_count" => {
                let at = At::root();
                let condition = self.condition(&at.key("match"), member, matches)?;
                when.push(condition);
            }
            _ => matches.push(member.clone()),
        }
        Some(())
    }

    /// One key of `when`.
    fn condition(
        &mut self,
        at: &At<'_>,
        member: &Member,
        matches: &mut Vec<Member>,
    ) -> Option<Node> {
        let span = &member.key_span;
        let value = &member.value;
        let one = |field: &str, verb: &str, operand: Node| {
            map(span, vec![(field, map(span, vec![(verb, operand)]))])
        };
        Some(match &*member.key {
            "contains_any" | "contains" => self.contains(span, value),
            "table_contains_any" | "tables" => one(QUERY, "sql_table_in", value.clone()),
            "time_outside" => self.hours(at, span, "outside", value)?,
            "time_inside" | "time_within" => self.hours(at, span, "inside", value)?,
            "message_content" => {
                matches.push(renamed("event", &text(span, "message")));
                match value.get("pattern") {
                    Some(pattern) => one("text", "matches", pattern.clone()),
                    None => map(span, vec![("text", value.clone())]),
                }
            }
            "message_count" => {
                matches.push(renamed("event", &text(span, "request")));
                map(span, vec![("request.message_count", value.clone())])
            }
            "role" | "user_role" => map(span, vec![("principal.roles", value.clone())]),
            key if Field::parse(key).is_ok() || matches!(key, "all" | "any" | "not") => {
                node(span, Data::Map(vec![member.clone()]))
            }
            key => match name_and_verb(key) {
                Some((name, verb)) => one(&field_of(name), verb, self.operand(value)),
                None => map(span, vec![(&*field_of(key), value.clone())]),
            },
        })
    }

    /// A list whose one item is the name of a list stands for that list.
    fn operand(&self, value: &Node) -> Node {
        match items(value) {
            [only] => match only.text() {
                Some(name) if self.lists.is_some_and(|lists| lists.get(name).is_some()) => {
                    map(&value.span, vec![("list", only.clone())])
                }
                _ => value.clone(),
            },
            _ => value.clone(),
        }
    }

    /// `contains_any: [export, "*", "LIMIT > 1000"]`: texts, and what a query does.
    fn contains(&mut self, span: &Range<usize>, value: &Node) -> Node {
        let mut texts = Vec::new();
        let mut any = Vec::new();
        let query =
            |verb: &str, operand: Node| map(span, vec![(QUERY, map(span, vec![(verb, operand)]))]);
        for item in items(value) {
            let written = item.text().unwrap_or_default().trim();
            let limit = written
                .to_lowercase()
                .strip_prefix("limit")
                .and_then(|rest| rest.trim().strip_prefix('>'))
                .map(|rows| rows.trim().to_owned());
            match limit {
                _ if written == "*" || written.eq_ignore_ascii_case("select *") => {
                    let all = node(&item.span, Data::List(vec![text(&item.span, "select *")]));
                    any.push(query("sql_verb_in", all));
                }
                Some(rows) if rows.bytes().all(|b| b.is_ascii_digit()) && !rows.is_empty() => {
                    let rows = node(&item.span, Data::Number(rows.into()));
                    any.push(query("sql_limit_greater_than", rows));
                }
                _ => texts.push(item.clone()),
            }
        }
        if !texts.is_empty() {
            let texts = node(&value.span, Data::List(texts));
            any.push(map(
                span,
                vec![("args", map(span, vec![("contains_any", texts)]))],
            ));
        }
        match (any.len(), any.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                any.extend(last);
                map(span, vec![("any", node(span, Data::List(any)))])
            }
        }
    }

    /// `9am-5pm EST`.
    fn hours(
        &mut self,
        at: &At<'_>,
        span: &Range<usize>,
        verb: &str,
        value: &Node,
    ) -> Option<Node> {
        let written = self.decoder.text(at, value)?;
        let (hours, zone) = written
            .trim()
            .rsplit_once(' ')
            .filter(|(hours, _)| hours.contains('-'))
            .unwrap_or((written.trim(), "UTC"));
        let ends: Vec<String> = hours.split('-').filter_map(clock).collect();
        let [from, to] = ends.as_slice() else {
            self.decoder.error(
                codes::AG1011,
                at,
                &value.span,
                format!("`{written}` is no span of the day"),
                "write for example `9am-5pm EST` or `09:00-17:00 Europe/Berlin`",
            );
            return None;
        };
        let place = ZONES
            .iter()
            .find(|(short, _)| short.eq_ignore_ascii_case(zone));
        if let Some((short, place)) = place.filter(|(_, place)| *place != "UTC") {
            let message = format!("`{short}` is read as the clocks of {place}, summer and winter");
            let report = self.decoder.report(
                Severity::Warning,
                codes::AG1024,
                at,
                value.span.clone(),
                message,
            );
            if let Some(diagnostic) = report {
                diagnostic.help = Some(format!("name the place: `{place}`"));
            }
        }
        let zone = place.map_or(zone, |(_, place)| place);
        let window = map(
            &value.span,
            vec![
                (verb, text(&value.span, &format!("{from}-{to}"))),
                ("zone", text(&value.span, zone)),
            ],
        );
        Some(map(span, vec![("time", window)]))
    }

    /// `{ action: read file, resource: "/data/*" }`
    fn resource(&mut self, at: &At<'_>, number: usize, item: &Node, action: &str) -> Option<Node> {
        let at = at.index(number);
        let span = &item.span;
        let (named, resource) = match &item.data {
            Data::String(_) => (item, None),
            _ => {
                self.decoder
                    .mapping(&at, item, &["action", "resource", "reason"])?;
                let Some(named) = item.get("action") else {
                    let help = "for example `{ action: read file, resource: \"/data/*\" }`";
                    self.decoder
                        .error(codes::AG1006, &at, span, "`action` is missing", help);
                    return None;
                };
                (named, item.get("resource"))
            }
        };
        let name = self.decoder.text(&at, named)?;
        let tools = spellings(&name)
            .iter()
            .map(|name| text(&named.span, name))
            .collect();
        let tools = node(&named.span, Data::List(tools));
        let id = format!("{action}-{}", number.saturating_add(1));
        let mut all = vec![
            ("id", text(span, &id)),
            ("match", map(span, vec![("tool", tools)])),
        ];
        if let Some(resource) = resource.filter(|resource| resource.text() != Some("*")) {
            let glob = map(&resource.span, vec![("glob", resource.clone())]);
            all.push(("when", map(&resource.span, vec![(RESOURCE, glob)])));
        }
        all.push(("action", text(span, action)));
        all.extend(item.get("reason").map(|reason| ("reason", reason.clone())));
        Some(map(span, all))
    }

    /// `rate_limits: { requests_per_minute: 60 }`
    fn limits(&mut self, at: &At<'_>, limits: &Node, rules: &mut Vec<Node>) {
        for member in limits.members() {
            let read = member
                .key
                .split_once("_per_")
                .and_then(|(counted, window)| {
                    let counted = COUNTED.iter().find(|known| **known == counted)?;
                    let (_, window) = WINDOWS.iter().find(|(word, _)| *word == window)?;
                    Some((*counted, *window))
                });
            let Some((counted, window)) = read else {
                self.decoder.error(
                    codes::AG1004,
                    &at.key(&member.key),
                    &member.key_span,
                    format!("unknown limit `{}`", member.key),
                    "write for example `requests_per_minute: 60`",
                );
                continue;
            };
            let span = &member.key_span;
            let limit = map(
                span,
                vec![
                    ("count", text(span, counted)),
                    ("max", member.value.clone()),
                    ("window", text(span, window)),
                ],
            );
            let event = if counted == "tool_calls" {
                "tool_call"
            } else {
                "request"
            };
            rules.push(map(
                span,
                vec![
                    ("id", text(span, &member.key.replace('_', "-"))),
                    ("match", map(span, vec![("event", text(span, event))])),
                    ("limit", limit),
                    ("action", text(span, "deny")),
                ],
            ));
        }
    }
}

fn renamed(key: &str, value: &Node) -> Member {
    Member {
        key: key.into(),
        key_span: value.span.clone(),
        value: value.clone(),
    }
}

/// All of several conditions.
fn joined(span: &Range<usize>, mut conditions: Vec<Node>) -> Option<Node> {
    if conditions.len() > 1 {
        return Some(map(span, vec![("all", node(span, Data::List(conditions)))]));
    }
    conditions.pop()
}

/// `amount_greater_than`: the name, and the verb that it ends with; of several the longest.
fn name_and_verb(key: &str) -> Option<(&str, &'static str)> {
    let short = [("gt", Verb::GreaterThan), ("lt", Verb::LessThan)];
    let verbs = Verb::ALL.iter().map(|verb| (verb.word(), *verb));
    verbs
        .chain(short)
        .filter_map(|(word, verb)| {
            let name = key.strip_suffix(word)?.strip_suffix('_')?;
            (!name.is_empty()).then_some((name, verb.word()))
        })
        .min_by_key(|(name, _)| name.len())
}

/// The field that a bare name means: an argument of the call.
fn field_of(name: &str) -> String {
    match name {
        "recipient" | "recipients" => RECIPIENT.to_owned(),
        "query" | "sql" => QUERY.to_owned(),
        name if Field::parse(name).is_ok() => name.to_owned(),
        name => format!("args.{name}"),
    }
}

/// `9am`, `5:30pm`, `17:00` as `17:00`.
fn clock(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (digits, half) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(digits), _) => (digits, Some(0)),
        (_, Some(digits)) => (digits, Some(12)),
        _ => (text.as_str(), None),
    };
    let (hour, minute) = digits
        .trim()
        .split_once(':')
        .unwrap_or((digits.trim(), "0"));
    let hour: u32 = hour.parse().ok()?;
    let minute: u32 = minute.parse().ok()?;
    let hour = match half {
        // Twelve comes before one.
        Some(half) if (1..=12).contains(&hour) => hour.checked_rem(12)?.checked_add(half)?,
        Some(_) => return None,
        None => hour,
    };
    let in_day = hour < 24 && minute < 60 || hour == 24 && minute == 0;
    in_day.then(|| format!("{hour:02}:{minute:02}"))
}

/// `read file`, `read:file`, `readFile`, `read-file`: all of them.
fn spellings(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        let separates = matches!(c, ' ' | ':' | '-' | '_' | '.');
        if separates || (c.is_uppercase() && before.is_lowercase()) || words.is_empty() {
            words.push(String::new());
        }
        if let (false, Some(word)) = (separates, words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    let mut camel = String::new();
    for (number, word) in words.iter().enumerate() {
        let mut letters = word.chars();
        match (number, letters.next()) {
            (0, _) => camel.push_str(word),
            (_, Some(first)) => {
                camel.extend(first.to_uppercase());
                camel.push_str(letters.as_str());
            }
            (_, None) => {}
        }
    }
    let mut all = vec![words.join("_"), words.join("-"), camel, words.join(":")];
    if !all.iter().any(|known| known == name) && !name.contains(' ') {
        all.insert(0, name.to_owned());
    }
    let mut unique: Vec<String> = Vec::new();
    for name in all {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_ends_with_its_verb() {
        assert_eq!(
            name_and_verb("amount_greater_than"),
            Some(("amount", "greater_than"))
        );
        assert_eq!(
            name_and_verb("recipient_count_greater_than"),
            Some(("recipient", "count_greater_than"))
        );
        assert_eq!(
            name_and_verb("recipient_domain_not_in"),
            Some(("recipient", "domain_not_in"))
        );
        assert_eq!(name_and_verb("amount_gt"), Some(("amount", "greater_than")));
        assert_eq!(name_and_verb("amount"), None);
    }

    #[test]
    fn hours_are_read_as_people_write_them() {
        for (written, read) in [
            ("9am", "09:00"),
            ("5pm", "17:00"),
            ("12am", "00:00"),
            ("12pm", "12:00"),
            ("5:30 pm", "17:30"),
            ("17:00", "17:00"),
            ("24:00", "24:00"),
        ] {
            assert_eq!(clock(written).as_deref(), Some(read), "{written}");
        }
        for written in ["25:00", "13pm", "0am", "nine", "9:60"] {
            assert_eq!(clock(written), None, "{written}");
        }
    }

    #[test]
    fn an_action_is_every_spelling_of_its_tool() {
        for name in [
            "read file",
            "read:file",
            "readFile",
            "read-file",
            "read_file",
        ] {
            let all = spellings(name);
            for spelling in ["read_file", "read-file", "readFile", "read:file"] {
                assert!(all.iter().any(|known| known == spelling), "{name}: {all:?}");
            }
        }
    }
}
