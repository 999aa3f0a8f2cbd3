//! Short syntax: documents in the style of other policy languages, without `apiVersion`. They are expanded to the full
//! language, so that it has one spelling. What they leave out gets the default of those languages.

use super::action_spellings::spellings;
use super::field::Field;
use super::field_ref::split_operator;
use super::node::{Member, Node, NodeValue};
use super::operators::Verb;
use crate::diag::{Diagnostic, Fix, Severity, codes, nearest};
use crate::wire::letter_case;
use std::ops::Range;

/// Keys by which a document without `apiVersion` is recognised as short syntax.
const HINTS: &[&str] = &[
    "policy",
    "rules",
    "defaults",
    "default_action",
    "allow",
    "deny",
    "rate_limits",
];

const TOP: &[&str] = &[
    "name",
    "id",
    "version",
    "description",
    "metadata",
    "rules",
    "defaults",
    "default_action",
    "enforcement",
    "mode",
    "environment",
    "lists",
    "allow",
    "deny",
    "rate_limits",
];

const RULE: &[&str] = &[
    "tool_name",
    "id",
    "name",
    "description",
    "match",
    "when",
    "unless",
    "outcome",
    "action",
    "approver_role",
    "exceptions",
    "reason",
    "message",
    "remedy",
    "tags",
    "message_content",
    "mode",
    "enforcement",
];

/// Usual keys of `match`.
const MATCH: &[&str] = &[
    "tool_name",
    "environment",
    "model",
    "agent",
    "role",
    "tenant",
    "client",
    "server",
];

/// Keys of a limit besides its amounts.
const LIMIT: &[&str] = &[
    "id",
    "name",
    "description",
    "tool",
    "tool_name",
    "per",
    "reason",
    "message",
];

/// Names in conditions that are fields, not arguments.
const FIELDS: &[&str] = &[
    "environment",
    "model",
    "provider",
    "protocol",
    "server",
    "host",
    "client",
    "tenant",
    "agent",
    "tool",
];

/// Arguments with the recipients of a message.
const RECIPIENTS: &str = "args.to|cc|bcc|recipient|recipients";
/// Arguments with the text of a query.
const QUERY: &str = "args.query|sql|statement";
/// Arguments with the object of an action.
const RESOURCE: &str = "args.path|file|file_path|filename|resource|uri|url";

/// Abbreviations of zones, with the place whose clocks show them in summer and in winter.
const ZONES: &[(&str, &str)] = &[
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
    ("GMT", "UTC"),
];

/// Document in the full language, with diagnostics.
pub struct DesugaredRule {
    /// Document in the full language.
    pub root: Node,
    /// Parts that could not be expanded, and assumptions.
    pub diagnostics: Vec<Diagnostic>,
}

/// Expands a document in short syntax; `None` if it is not one.
pub fn desugar(root: &Node) -> Option<DesugaredRule> {
    let is_terse = root.get("apiVersion").is_none()
        && root.get("kind").is_none()
        && HINTS.iter().any(|hint| root.get(hint).is_some());
    if !is_terse {
        return None;
    }
    let mut terse = ShortSyntax {
        diagnostics: Vec::new(),
        lists: Vec::new(),
    };
    let policy = match root.get("policy") {
        Some(policy) => {
            terse.beside_policy(root);
            policy
        }
        None => root,
    };
    let root = terse.document(policy);
    terse.say(
        Severity::Note,
        codes::AG1024,
        &(policy.span.start..policy.span.start),
        "this is the terse form of a policy",
        "`agentguard fmt` writes it in full",
    );
    Some(DesugaredRule {
        root,
        diagnostics: terse.diagnostics,
    })
}

struct ShortSyntax {
    diagnostics: Vec<Diagnostic>,
    /// Names of the document's lists.
    lists: Vec<Box<str>>,
}

impl ShortSyntax {
    fn say(
        &mut self,
        severity: Severity,
        code: &'static str,
        span: &Range<usize>,
        message: &str,
        help: &str,
    ) {
        self.diagnostics.push(Diagnostic {
            code,
            severity,
            path: String::new(),
            span: span.clone(),
            message: message.to_owned(),
            label: None,
            help: (!help.is_empty()).then(|| help.to_owned()),
            fix: None,
        });
    }

    fn error(&mut self, code: &'static str, span: &Range<usize>, message: &str, help: &str) {
        self.say(Severity::Error, code, span, message, help);
    }

    fn unknown(&mut self, what: &str, member: &Member, known: &[&str]) {
        let message = format!("unknown {what} `{}`", member.key);
        let meant = nearest(&member.key, known);
        self.error(codes::AG1004, &member.key_span, &message, "");
        if let (Some(meant), Some(diagnostic)) = (meant, self.diagnostics.last_mut()) {
            diagnostic.help = Some(format!("did you mean `{meant}`?"));
            diagnostic.fix = Some(Fix {
                span: member.key_span.clone(),
                with: meant.to_owned(),
            });
        }
    }

    /// Returns the members of a mapping. Anything else is an error: a rule without its `when` would match more.
    fn members<'n>(&mut self, node: &'n Node) -> &'n [Member] {
        if !matches!(node.data, NodeValue::Map(_)) {
            let message = format!("a mapping is expected here, not {}", node.kind());
            self.error(codes::AG1005, &node.span, &message, "write `key: value`");
        }
        node.members()
    }

    /// Returns the value of a key that has two names. Both at once are an error: only one of the two would count.
    fn either<'n>(&mut self, node: &'n Node, names: [&str; 2]) -> Option<&'n Node> {
        let [first, second] = names;
        let (value, other) = (node.get(first), node.get(second));
        if let (Some(_), Some(other)) = (value, other) {
            let message = format!("`{first}` and `{second}` mean the same");
            self.error(
                codes::AG1002,
                &other.span,
                &message,
                "remove one of the two",
            );
        }
        value.or(other)
    }

    /// Reports keys beside `policy`, which would not be read.
    fn beside_policy(&mut self, root: &Node) {
        for member in root.members() {
            if !["policy", "version", "description"].contains(&&*member.key) {
                let message = format!("`{}` stands beside `policy`", member.key);
                let help = "put it under `policy`";
                self.error(codes::AG1004, &member.key_span, &message, help);
            }
        }
    }

    /// Returns the mode of a document or a rule.
    fn mode(&mut self, node: &Node) -> Option<Node> {
        let value = self.either(node, ["enforcement", "mode"])?;
        let word = letter_case::ascii_lower(value.text().unwrap_or_default());
        let mode = match &*word {
            "log_only" | "monitor" | "observe" | "audit" | "dry_run" => "observe",
            "enforce" | "enforced" | "block" | "strict" => "enforce",
            _ => {
                let message = "neither `enforce` nor `observe`";
                let help = "write `enforce`, or `log_only` to only record what would be decided";
                self.error(codes::AG1007, &value.span, message, help);
                return None;
            }
        };
        Some(Node::text_at(mode, &value.span))
    }

    fn document(&mut self, policy: &Node) -> Node {
        self.members(policy);
        let at = &policy.span;
        let start = &(at.start..at.start);
        let text = |text: &str| Node::text_at(text, start);
        let named = |key: &str| policy.get(key).or_else(|| policy.get("metadata")?.get(key));
        let mut metadata = vec![(
            "name",
            named("name")
                .or(policy.get("id"))
                .cloned()
                .unwrap_or_else(|| text("policy")),
        )];
        metadata.extend(named("description").map(|node| ("description", node.clone())));
        let mut members = vec![
            ("apiVersion", text("agentguard.dev/v1")),
            ("kind", text("AgentPolicy")),
            ("metadata", Node::map_at(metadata, start)),
        ];
        members.extend(self.mode(policy).map(|mode| ("mode", mode)));
        members.extend(
            policy
                .get("environment")
                .map(|node| ("environment", node.clone())),
        );
        members.push(("require", text("none")));
        members.push(("defaults", self.defaults(policy)));
        members.extend(self.lists(policy).map(|lists| ("lists", lists)));
        let mut rules = Vec::new();
        for rule in policy.get("rules").into_iter().flat_map(Node::items) {
            rules.push(self.rule(rule, rules.len()));
        }
        for (key, outcome) in [("allow", "allow"), ("deny", "deny")] {
            for entry in policy.get(key).into_iter().flat_map(Node::items) {
                rules.push(self.entry(entry, outcome, rules.len()));
            }
        }
        let limits = policy.get("rate_limits").into_iter().flat_map(Node::items);
        for (number, limit) in limits.enumerate() {
            self.rate_limits(limit, number.saturating_add(1), &mut rules);
        }
        members.push(("rules", Node::list_at(rules, start)));
        Node::map_at(members, at)
    }

    /// Expands `defaults: { outcome: DENY }` or `default_action: deny`. Without either, everything is allowed.
    fn defaults(&mut self, policy: &Node) -> Node {
        let written = self.either(policy, ["default_action", "defaults"]);
        let written = match written.map(|written| (written, &written.data)) {
            Some((defaults, NodeValue::Map(members))) => {
                for member in members {
                    if !["outcome", "action"].contains(&&*member.key) {
                        self.unknown("default", member, &["outcome", "action"]);
                    }
                }
                self.either(defaults, ["outcome", "action"])
            }
            Some((written, NodeValue::String(_))) => Some(written),
            _ => None,
        };
        let at = policy.span.start..policy.span.start;
        let action = match written {
            Some(written) => self.outcome(written).unwrap_or("deny"),
            None if policy
                .get("defaults")
                .or(policy.get("default_action"))
                .is_some() =>
            {
                let message = "`outcome` is missing from `defaults`";
                self.error(
                    codes::AG1006,
                    &at,
                    message,
                    "write `defaults: { outcome: ALLOW }`",
                );
                "deny"
            }
            None => "allow",
        };
        if !matches!(action, "allow" | "deny") {
            let message = format!("`{action}` is no default");
            self.error(codes::AG1007, &at, &message, "a default is ALLOW or DENY");
        }
        let span = written.map_or(&at, |written| &written.span);
        Node::map_at(vec![("action", Node::text_at(action, span))], span)
    }

    /// Returns the lists, which are under `lists` or under their names at the top.
    fn lists(&mut self, policy: &Node) -> Option<Node> {
        let mut lists = self.within(policy, "lists").to_vec();
        for member in policy.members() {
            if TOP.contains(&&*member.key) {
                continue;
            }
            match member.value.data {
                NodeValue::List(_) => lists.push(member.clone()),
                _ => self.unknown("key", member, TOP),
            }
        }
        self.lists = lists.iter().map(|list| list.key.clone()).collect();
        let span = lists.first()?.key_span.clone();
        Some(Node {
            span,
            data: NodeValue::Map(lists),
        })
    }

    /// Returns the action for a word.
    fn outcome(&mut self, node: &Node) -> Option<&'static str> {
        let word = letter_case::ascii_lower(node.text().unwrap_or_default());
        let action = match &*word.replace(['-', ' '], "_") {
            "allow" | "permit" => "allow",
            "deny" | "block" | "reject" | "forbid" => "deny",
            "require_approval" | "approval" | "requires_approval" => "require_approval",
            "redact" | "mask" => "redact",
            "log" | "tag" | "monitor" => "tag",
            _ => {
                let message = format!("unknown outcome `{}`", node.text().unwrap_or_default());
                let help = "ALLOW, DENY, REQUIRE_APPROVAL, REDACT or LOG";
                self.error(codes::AG1007, &node.span, &message, help);
                return None;
            }
        };
        Some(action)
    }

    /// Returns the members of a key's mapping.
    fn within<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Member] {
        match node.get(key) {
            Some(value) => self.members(value),
            None => &[],
        }
    }

    fn rule(&mut self, rule: &Node, number: usize) -> Node {
        let at = &rule.span;
        let start = &(at.start..at.start);
        for member in rule.members() {
            if !RULE.contains(&&*member.key) {
                self.unknown("key", member, RULE);
            }
        }
        let id = rule.get("id").or(rule.get("name")).cloned();
        let id = id
            .unwrap_or_else(|| Node::text_at(&format!("rule-{}", number.saturating_add(1)), start));
        let mut members = vec![("id", id)];
        members.extend(
            rule.get("description")
                .map(|node| ("description", node.clone())),
        );
        let mut matches = Vec::new();
        let mut conditions = Vec::new();
        for member in self.within(rule, "match") {
            self.matched(member, &mut matches, &mut conditions);
        }
        matches.extend(rule.get("tool_name").map(|tool| ("tool", tool.clone())));
        if let Some(content) = rule.get("message_content") {
            self.message(content, &mut matches, &mut conditions);
        }
        for member in self.within(rule, "when") {
            self.condition(member, &mut matches, &mut conditions);
        }
        let outcome = self.either(rule, ["outcome", "action"]);
        if !matches.is_empty() {
            members.push(("match", Node::map_at(matches, start)));
        }
        members.extend(joined(conditions, start).map(|when| ("when", when)));
        let mut ignored = Vec::new();
        let mut exceptions = Vec::new();
        for member in self.within(rule, "unless") {
            self.condition(member, &mut ignored, &mut exceptions);
        }
        // `exceptions` may name an exempt role as `approver_role`.
        for exempt in rule.get("exceptions").into_iter().flat_map(Node::items) {
            for member in self.members(exempt) {
                match &*member.key {
                    "approver_role" | "role" | "roles" => {
                        exceptions.push(one(
                            "principal.roles",
                            member.value.clone(),
                            &member.key_span,
                        ));
                    }
                    _ => self.condition(member, &mut ignored, &mut exceptions),
                }
            }
        }
        if !ignored.is_empty() {
            let message = "an exception can't say which event it is about";
            self.error(codes::AG1011, at, message, "put it under `match`");
        }
        if outcome.is_none() {
            let message = "`outcome` is missing".to_owned();
            self.error(codes::AG1006, at, &message, "for example `outcome: DENY`");
        }
        let any = match exceptions.len() {
            0 | 1 => exceptions.pop(),
            _ => Some(one("any", Node::list_at(exceptions, start), start)),
        };
        members.extend(any.map(|unless| ("unless", unless)));
        let action = match outcome {
            Some(outcome) => self
                .outcome(outcome)
                .map(|action| Node::text_at(action, &outcome.span)),
            None => None,
        };
        if action.as_ref().and_then(Node::text) == Some("tag") && rule.get("tags").is_none() {
            let mark = Node::text_at("logged", start);
            members.push(("tags", Node::list_at(vec![mark], start)));
        }
        members.extend(action.map(|action| ("action", action)));
        if let Some(by) = rule.get("approver_role") {
            members.push(("approval", Node::map_at(vec![("by", by.clone())], &by.span)));
        }
        let reason = rule.get("reason").or(rule.get("message"));
        members.extend(reason.map(|reason| ("reason", reason.clone())));
        for key in ["remedy", "tags"] {
            members.extend(rule.get(key).map(|value| (key, value.clone())));
        }
        members.extend(self.mode(rule).map(|mode| ("mode", mode)));
        Node::map_at(members, at)
    }

    /// Expands a key of `match`.
    fn matched<'m>(
        &mut self,
        member: &'m Member,
        matches: &mut Vec<(&'m str, Node)>,
        conditions: &mut Vec<Node>,
    ) {
        let key = match &*member.key {
            "tool_name" | "tool_names" | "tools" => "tool",
            "env" => "environment",
            "user_role" | "roles" => "role",
            "agent_name" | "agent_id" => "agent",
            key => key,
        };
        match &member.value.data {
            NodeValue::String(_) | NodeValue::List(_) if super::match_item::is_match_key(key) => {
                matches.push((key, member.value.clone()));
            }
            _ if key.starts_with("message_content")
                || matches!(key, "message_count" | "time_outside" | "time_inside")
                || is_path(key)
                || split_operator(key).is_some()
                || is_operators(&member.value) =>
            {
                self.condition(member, matches, conditions);
            }
            _ => self.unknown("key", member, MATCH),
        }
    }

    /// Expands `message_content: { pattern: … }`, which applies to texts of messages.
    fn message(
        &mut self,
        content: &Node,
        matches: &mut Vec<(&str, Node)>,
        conditions: &mut Vec<Node>,
    ) {
        let pattern = content.get("pattern").unwrap_or(content);
        matches.push(("event", Node::text_at("message", &content.span)));
        let test = Node::map_at(vec![("matches", pattern.clone())], &content.span);
        conditions.push(one("text", test, &content.span));
    }

    /// Expands a key of `when`: `NAME_OPERATOR: x`, or a key with a meaning of its own.
    fn condition<'m>(
        &mut self,
        member: &'m Member,
        matches: &mut Vec<(&'m str, Node)>,
        conditions: &mut Vec<Node>,
    ) {
        let at = &member.key_span;
        let value = &member.value;
        match &*member.key {
            "message_content" | "message_content.pattern" => {
                return self.message(value, matches, conditions);
            }
            "time_outside" | "time_inside" => {
                let verb = member.key.strip_prefix("time_").unwrap_or("outside");
                conditions.extend(self.time(verb, value, at));
                return;
            }
            "env" => {
                conditions.push(one("environment", value.clone(), at));
                return;
            }
            "tool_name" | "tool_names" => {
                conditions.push(one("tool", value.clone(), at));
                return;
            }
            "role" | "user_role" | "roles" => {
                conditions.push(one("principal.roles", value.clone(), at));
                return;
            }
            "all" | "any" => {
                let mut inner = Vec::new();
                for item in value.items() {
                    inner.extend(self.part(item));
                }
                conditions.push(one(&member.key, Node::list_at(inner, &value.span), at));
                return;
            }
            "not" => {
                conditions.extend(self.part(value).map(|inner| one("not", inner, at)));
                return;
            }
            _ => {}
        }
        if let Some(verb) = Verb::parse(&member.key) {
            match bare(verb) {
                Some("") => conditions.push(self.test("", verb, value, at)),
                Some(path) => conditions.push(check(path, verb, value.clone(), at)),
                None => {
                    let message = format!("what `{}` applies to is missing", member.key);
                    let help =
                        format!("put the argument's name before it: `amount_{}`", member.key);
                    self.error(codes::AG1010, at, &message, &help);
                }
            }
        } else if let Some((name, verb)) = split_operator(&member.key) {
            conditions.push(self.test(name, verb, value, at));
        } else if FIELDS.contains(&&*member.key) || is_path(&member.key) {
            conditions.push(one(&member.key, value.clone(), at));
        } else {
            // The value is a plain value, or operators under the argument's name.
            conditions.push(one(&argument(&member.key), value.clone(), at));
        }
    }

    /// Expands a part of `all`, `any` or `not`.
    fn part(&mut self, item: &Node) -> Option<Node> {
        let mut parts = Vec::new();
        for member in self.members(item) {
            // A key that selects the kind of event applies to the whole rule.
            self.condition_inside(member, &mut parts);
        }
        joined(parts, &item.span)
    }

    fn condition_inside(&mut self, member: &Member, parts: &mut Vec<Node>) {
        let mut matches = Vec::new();
        self.condition(member, &mut matches, parts);
        if !matches.is_empty() {
            let message = format!("`{}` can't stand among alternatives", member.key);
            self.error(
                codes::AG1011,
                &member.key_span,
                &message,
                "make a rule of its own",
            );
        }
    }

    /// Expands an operator on an argument; without a name, on any text of the arguments.
    fn test(&mut self, name: &str, verb: Verb, value: &Node, at: &Range<usize>) -> Node {
        let value = self.named_list(verb, value);
        if name == "table"
            && matches!(
                verb,
                Verb::ContainsAny | Verb::Contains | Verb::In | Verb::Equals
            )
        {
            return check(QUERY, Verb::SqlTableIn, value, at);
        }
        let path = match name {
            "" => "args".to_owned(),
            "query" | "sql" => QUERY.to_owned(),
            _ => argument(name),
        };
        let is_query = matches!(name, "" | "query" | "sql");
        if !is_query || !matches!(verb, Verb::Contains | Verb::ContainsAny) {
            return check(&path, verb, value, at);
        }
        // Among the words of a query, `*` and `LIMIT > 1000` are tests of the query.
        let mut words = Vec::new();
        let mut tests = Vec::new();
        for item in value.items() {
            match item.text().map(|text| (text.trim(), limit(text))) {
                Some(("*" | "SELECT *" | "select *", _)) => {
                    let all = Node::text_at("select *", &item.span);
                    tests.push(check(
                        QUERY,
                        Verb::SqlVerbIn,
                        Node::list_at(vec![all], &item.span),
                        at,
                    ));
                }
                Some((_, Some(rows))) => {
                    let rows = Node {
                        span: item.span.clone(),
                        data: NodeValue::Number(rows.into()),
                    };
                    tests.push(check(QUERY, Verb::SqlLimitGreaterThan, rows, at));
                }
                _ => words.push(item.clone()),
            }
        }
        if tests.is_empty() {
            return check(&path, verb, value, at);
        }
        if !words.is_empty() {
            let words = Node::list_at(words, &value.span);
            tests.insert(0, check(&path, Verb::ContainsAny, words, at));
        }
        one("any", Node::list_at(tests, at), at)
    }

    /// Expands `[customer_domains]` to the list of that name, if there is one.
    fn named_list(&mut self, verb: Verb, value: &Node) -> Node {
        let [only] = value.items() else {
            return value.clone();
        };
        let Some(name) = only.text() else {
            return value.clone();
        };
        if self.lists.iter().any(|list| **list == *name) {
            return Node::map_at(vec![("list", only.clone())], &only.span);
        }
        let is_domain = matches!(verb, Verb::DomainIn | Verb::DomainNotIn);
        if is_domain && !name.contains('.') {
            let message = format!("there is no list `{name}`");
            let help = "define it: `lists: { NAME: [example.com] }`";
            self.error(codes::AG1012, &only.span, &message, help);
        }
        value.clone()
    }

    /// Expands `9am-5pm EST`.
    fn time(&mut self, verb: &str, value: &Node, at: &Range<usize>) -> Option<Node> {
        let read = value.text().and_then(|text| {
            let text = text.trim();
            let (hours, zone) = match text.rsplit_once(' ') {
                Some((hours, zone))
                    if zone.starts_with(|c: char| c.is_ascii_alphabetic())
                        && clock(zone).is_none() =>
                {
                    (hours, Some(zone))
                }
                _ => (text, None),
            };
            let (from, to) = hours.split_once(['-', '–'])?;
            Some((format!("{}-{}", clock(from)?, clock(to)?), zone))
        });
        let Some((hours, zone)) = read else {
            let text = value.text().unwrap_or_default();
            let message = format!("`{text}` is no span of the day");
            self.error(
                codes::AG1011,
                &value.span,
                &message,
                "write for example `9am-5pm EST` or `09:00-17:00 Europe/Berlin`",
            );
            return None;
        };
        let mut members = vec![(verb, Node::text_at(&hours, &value.span))];
        if let Some(zone) = zone {
            let known = ZONES
                .iter()
                .find(|(short, _)| short.eq_ignore_ascii_case(zone));
            if let Some((short, place)) = known.filter(|(short, _)| *short != "GMT") {
                let message = format!("`{short}` is read as `{place}`, in summer and in winter");
                let help = "name the zone itself to be sure";
                self.say(
                    Severity::Warning,
                    codes::AG1024,
                    &value.span,
                    &message,
                    help,
                );
            }
            let zone = known.map_or(zone, |(_, place)| place);
            members.push(("zone", Node::text_at(zone, &value.span)));
        }
        Some(one("time", Node::map_at(members, &value.span), at))
    }

    /// Expands an entry of `allow` or `deny`: `{ action: "read file", resource: "/srv/*" }`.
    fn entry(&mut self, entry: &Node, outcome: &str, number: usize) -> Node {
        let at = &entry.span;
        for member in entry.members() {
            if !["id", "action", "resource", "reason", "description"].contains(&&*member.key) {
                self.unknown("key", member, &["id", "action", "resource", "reason"]);
            }
        }
        let action = entry.get("action").unwrap_or(entry);
        let mut names = Vec::new();
        for word in action.items() {
            match word.text() {
                Some(text) => names.extend(
                    spellings(text)
                        .iter()
                        .map(|name| Node::text_at(name, &word.span)),
                ),
                None => {
                    let message = "the name of an action is expected here";
                    self.error(
                        codes::AG1005,
                        &word.span,
                        message,
                        "for example `read file`",
                    );
                }
            }
        }
        let id = entry.get("id").cloned();
        let id = id.unwrap_or_else(|| {
            Node::text_at(&format!("{outcome}-{}", number.saturating_add(1)), at)
        });
        let mut members = vec![
            ("id", id),
            (
                "match",
                Node::map_at(vec![("tool", Node::list_at(names, at))], at),
            ),
        ];
        let is_all = |node: &&Node| matches!(node.text(), Some("*" | "**"));
        if let Some(resource) = entry.get("resource").filter(|node| !is_all(node)) {
            // A deny rule tests all arguments, an allow rule only those that name a resource.
            let path = if outcome == "deny" { "args" } else { RESOURCE };
            members.push(("when", check(path, Verb::Glob, resource.clone(), at)));
            if outcome == "deny" {
                members.push(("if_missing", Node::text_at("apply", at)));
            }
        }
        members.push(("action", Node::text_at(outcome, at)));
        members.extend(entry.get("reason").map(|reason| ("reason", reason.clone())));
        Node::map_at(members, at)
    }

    /// Expands a limit: `{ requests_per_minute: 60 }`, `{ id: mails, tool: send_email, max: 10, window: 1h }`. `number` is
    /// its position among the limits.
    fn rate_limits(&mut self, limit: &Node, number: usize, rules: &mut Vec<Node>) {
        let at = &limit.span;
        let text = |text: &str| Node::text_at(text, at);
        let named = limit.get("id").or(limit.get("name")).and_then(Node::text);
        let name = named.map_or_else(|| format!("limit-{number}"), str::to_owned);
        let (others, told) = (rules.len(), self.diagnostics.len());
        let members = self.members(limit);
        let max = self.either(limit, ["max", "limit"]);
        let reason = limit.get("reason").or(limit.get("message"));
        let mut add = |count: &str, tool: Option<&Node>, max: &Node, window: Node| {
            // One entry may have several limits: for a minute, and for a day.
            let id = match rules.len().saturating_sub(others) {
                0 => name.clone(),
                before => format!("{name}-{}", before.saturating_add(1)),
            };
            let mut members = vec![("id", text(&id))];
            members.extend(
                limit
                    .get("description")
                    .map(|node| ("description", node.clone())),
            );
            members
                .extend(tool.map(|tool| ("match", Node::map_at(vec![("tool", tool.clone())], at))));
            members.push(("action", text("deny")));
            let mut bounds = vec![("count", text(count))];
            bounds.extend(limit.get("per").map(|per| ("per", per.clone())));
            bounds.extend([("max", max.clone()), ("window", window)]);
            members.push(("limit", Node::map_at(bounds, at)));
            members.extend(reason.map(|reason| ("reason", reason.clone())));
            rules.push(Node::map_at(members, at));
        };
        let tool = limit.get("tool").or(limit.get("tool_name"));
        let count = if tool.is_some() {
            "tool_calls"
        } else {
            "requests"
        };
        let plain = match (max, limit.get("window")) {
            (Some(max), Some(window)) => {
                add(count, tool, max, window.clone());
                ["max", "limit", "window"].as_slice()
            }
            _ => &[],
        };
        for member in members {
            let read = member.key.split_once("_per_").and_then(|(what, span)| {
                let window = match span {
                    "second" => "1s",
                    "minute" => "1m",
                    "hour" => "1h",
                    "day" => "24h",
                    _ => return None,
                };
                let count = ["requests", "tool_calls", "tokens"]
                    .into_iter()
                    .find(|word| *word == what)?;
                Some((count, window))
            });
            match read {
                Some((count, window)) => add(count, tool, &member.value, text(window)),
                None if LIMIT.contains(&&*member.key) || plain.contains(&&*member.key) => {}
                None => self.unknown(
                    "limit",
                    member,
                    &["requests_per_minute", "max", "window", "tool"],
                ),
            }
        }
        if (rules.len(), self.diagnostics.len()) == (others, told) {
            let help = "for example `requests_per_minute: 60`, or `max: 10` with `window: 1h`";
            self.error(codes::AG1006, at, "the limit is missing", help);
        }
    }
}

/// Returns a mapping of one key.
#[inline(never)]
fn one(key: &str, value: Node, at: &Range<usize>) -> Node {
    Node::map_at(vec![(key, value)], at)
}

fn check(path: &str, verb: Verb, value: Node, at: &Range<usize>) -> Node {
    one(path, one(verb.word(), value, at), at)
}

/// Joins several conditions, which must all match; `None` if there are none.
fn joined(mut conditions: Vec<Node>, at: &Range<usize>) -> Option<Node> {
    match conditions.len() {
        0 | 1 => conditions.pop(),
        _ => Some(one("all", Node::list_at(conditions, at), at)),
    }
}

/// Returns the path of an argument by its name.
fn argument(name: &str) -> String {
    match name {
        "recipient" | "recipients" => RECIPIENTS.to_owned(),
        "message_count" => "request.message_count".to_owned(),
        _ => format!("args.{name}"),
    }
}

/// Returns the path that an operator without a name applies to; the empty path is any text of the arguments.
fn bare(verb: Verb) -> Option<&'static str> {
    Some(match verb {
        Verb::SqlVerbIn | Verb::SqlTableIn | Verb::SqlLimitGreaterThan => QUERY,
        Verb::PathWithin | Verb::PathNotWithin => "args.path|file|filename",
        Verb::CommandIn => "args.command|cmd",
        verb if verb.looks_for_text() => "",
        _ => return None,
    })
}

/// Returns whether a value consists of operators only: `{ gt: 50 }`.
fn is_operators(value: &Node) -> bool {
    let members = value.members();
    !members.is_empty()
        && members
            .iter()
            .all(|member| Verb::parse(&member.key).is_some())
}

/// Returns whether a name is a field of the full language: `args.x`, `principal.id`.
fn is_path(name: &str) -> bool {
    name.contains(['.', '[']) && Field::parse(name).is_ok()
}

/// Parses `LIMIT > 1000` and returns the number.
fn limit(text: &str) -> Option<&str> {
    let rest = text
        .trim()
        .get(.."limit".len())
        .filter(|word| word.eq_ignore_ascii_case("limit"))?;
    let rows = text
        .trim()
        .get(rest.len()..)?
        .trim()
        .strip_prefix('>')?
        .trim();
    (!rows.is_empty() && rows.bytes().all(|byte| byte.is_ascii_digit())).then_some(rows)
}

/// Parses `9am`, `5:30 pm` or `17:00` to `HH:MM`.
fn clock(text: &str) -> Option<String> {
    let text = letter_case::ascii_lower(text.trim());
    let (time, half) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(time), _) => (time.trim(), Some(0)),
        (_, Some(time)) => (time.trim(), Some(12)),
        _ => (&*text, None),
    };
    let (hours, minutes) = time.split_once(':').unwrap_or((time, "0"));
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    let hours = match half {
        Some(half) if (1..=12).contains(&hours) => hours.rem_euclid(12).saturating_add(half),
        None if hours <= 24 && time.contains(':') => hours,
        _ => return None,
    };
    (minutes < 60).then(|| format!("{hours:02}:{minutes:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_operators_are_told_apart() {
        for (key, name, verb) in [
            ("amount_greater_than", "amount", Verb::GreaterThan),
            (
                "recipient_count_greater_than",
                "recipient",
                Verb::CountGreaterThan,
            ),
            ("recipient_domain_not_in", "recipient", Verb::DomainNotIn),
            ("customer_id_in", "customer_id", Verb::In),
            ("amount_gte", "amount", Verb::AtLeast),
            ("body_contains_any", "body", Verb::ContainsAny),
        ] {
            assert_eq!(split_operator(key), Some((name, verb)), "{key}");
        }
        for key in ["amount", "greater_than", "_in", "margin"] {
            assert_eq!(split_operator(key), None, "{key}");
        }
    }

    #[test]
    fn times_of_day_are_read_as_people_say_them() {
        for (text, time) in [
            ("9am", "09:00"),
            ("5 PM", "17:00"),
            ("12am", "00:00"),
            ("12pm", "12:00"),
            ("5:30pm", "17:30"),
            ("17:00", "17:00"),
        ] {
            assert_eq!(clock(text).as_deref(), Some(time), "{text}");
        }
        for text in ["", "9", "13pm", "0am", "9:61", "noon", "EST"] {
            assert_eq!(clock(text), None, "{text}");
        }
    }

    #[test]
    fn limits_of_queries_are_read() {
        assert_eq!(limit("LIMIT > 1000"), Some("1000"));
        assert_eq!(limit(" limit>5 "), Some("5"));
        assert_eq!(limit("LIMIT"), None);
        assert_eq!(limit("LIMIT > many"), None);
        assert_eq!(limit("unlimited > 5"), None);
    }
}
