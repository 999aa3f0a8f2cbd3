//! What holds for any policy and any event, tried on random ones.

use super::*;
use proptest::prelude::*;

/// Conditions and the places that they may stand in; joined at random, they make rules.
const CONDITIONS: &[&str] = &[
    "{ args.n: { greater_than: 5 } }",
    "{ args.n: { not_equals: 1 } }",
    "{ not: { args.n: { at_most: 3 } } }",
    "{ args.to: { domain_not_in: [example.com] } }",
    "{ args.to|cc: { contains: evil } }",
    "{ args.file: { path_within: [/srv] } }",
    "{ args.m: { exists: false } }",
    "{ any: [{ args.n: 7 }, { args.m: { in: [a, b] } }] }",
    "{ all: [{ args.n: 7 }, { not: { args.m: a } }] }",
    "{ args.items: { any_item: { n: { greater_than: 5 }, m: a } } }",
    "{ args.m: { equals: { path: principal.id } } }",
    "{ earlier: { tool: read } }",
    "{ earlier: { tool: read, in_a_row: 2 } }",
    "{ not: { earlier: { event: tool_result, ok: true } } }",
    "{ principal.roles: lead }",
    "{ environment: { not_in: [dev, test] } }",
];

const MATCHES: &[&str] = &[
    "{ tool: send }",
    "{ tool: [send, read] }",
    "{ tool: \"*\" }",
    "{ tool: s*, tenant: acme }",
];

const ARGS: &[&str] = &[
    "{}",
    "unknown",
    "{ n: 7 }",
    "{ n: 1, m: a }",
    "{ n: many, to: nobody }",
    "{ n: [1, 9], to: [bob@example.com, eve@evil.com] }",
    "{ to: bob@example.com, file: /srv/x }",
    "{ file: /srv/../etc, m: null }",
    "{ items: [{ n: 6, m: b }, { n: 6, m: a }], cc: EVIL }",
    "{ items: [1], m: alice }",
];

const GIVEN: &[&str] = &[
    "",
    ", given: { env: prod, principal: { id: alice, tenant: acme, roles: [lead] } }",
    ", given: { env: dev, principal: { id: bob, tenant: beta, roles: [] } }",
    ", given: { env: test }",
];

const EARLIER: &[&str] = &[
    "",
    ", earlier: []",
    ", earlier: [{ tool_call: { tool: read } }, { tool_call: { tool: Read } }]",
    ", earlier: [{ tool_call: { tool: read } }, { tool_result: { tool: read, ok: true } }]",
    ", earlier: [{ tool_call: { tool: other } }], history: incomplete",
];

/// A rule in YAML without its id.
fn rule(actions: &'static [&'static str]) -> impl Strategy<Value = String> {
    let condition = || prop::option::of(prop::sample::select(CONDITIONS));
    (
        prop::sample::select(actions),
        prop::sample::select(MATCHES),
        condition(),
        condition(),
        prop::sample::select(&["", ", if_missing: apply", ", if_missing: skip"][..]),
        prop::sample::select(&["", ", mode: observe"][..]),
    )
        .prop_map(|(action, matches, when, unless, missing, mode)| {
            let when = when
                .map(|when| format!(", when: {when}"))
                .unwrap_or_default();
            let unless = unless
                .map(|unless| format!(", unless: {unless}"))
                .unwrap_or_default();
            let rest = match action {
                "tag" => ", tags: [t]",
                "redact" => ", redact: { what: args.m }",
                _ => "",
            };
            format!("match: {matches}{when}{unless}{missing}{mode}, action: {action}{rest}")
        })
}

fn event() -> impl Strategy<Value = String> {
    (
        prop::sample::select(ARGS),
        prop::sample::select(&["send", "read", "Send", "unknown", "x"][..]),
        prop::sample::select(GIVEN),
        prop::sample::select(EARLIER),
    )
        .prop_map(|(args, tool, given, earlier)| {
            format!("{{ tool_call: {{ tool: {tool}, args: {args} }}{given}{earlier} }}")
        })
}

const ANY: &[&str] = &["allow", "deny", "require_approval", "redact", "tag"];
const RESTRICTING: &[&str] = &["deny", "redact", "tag"];

fn document(rules: &[String], rest: &str) -> Node {
    let rules: Vec<String> = rules
        .iter()
        .enumerate()
        .map(|(number, rule)| format!("{{ id: r{number}, {rule} }}"))
        .collect();
    let text = format!(
        "{{ apiVersion: agentguard.dev/v1, kind: AgentPolicy, metadata: {{ name: p }}, require: none, {rest}, rules: [{}] }}",
        rules.join(", ")
    );
    parse_yaml(&text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

fn decided(document: &Node, event: &str) -> Evaluation {
    let policy = compiled(document).unwrap();
    let node = parse_yaml(event).unwrap();
    evaluate(&policy, &Given::of(&node)).remove(0)
}

/// The rules that held, by what they say, since their numbers and ids may differ.
fn held(document: &Node, event: &str) -> Vec<String> {
    let policy = compiled(document).unwrap();
    let node = parse_yaml(event).unwrap();
    let evaluation = evaluate(&policy, &Given::of(&node)).remove(0);
    let ids = evaluation
        .held
        .iter()
        .map(|held| &*policy.rule(held.rule).unwrap().id);
    let rules = document.get("rules").unwrap();
    let NodeValue::List(rules) = &rules.data else {
        panic!()
    };
    let mut held: Vec<String> = ids
        .map(|id| {
            let rule = rules
                .iter()
                .find(|rule| rule.get("id").unwrap().text() == Some(id));
            let kept = rule
                .unwrap()
                .members()
                .iter()
                .filter(|member| &*member.key != "id");
            written(&node_of(kept.cloned().collect()))
        })
        .collect();
    held.sort();
    held
}

fn node_of(members: Vec<Member>) -> Node {
    node(NodeValue::Map(members))
}

fn defaults() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "defaults: { action: allow }",
            "defaults: { action: deny }",
            "mode: observe, defaults: { action: deny }",
            "defaults: { action: allow, tool_call: { action: deny, mode: observe } }",
        ][..],
    )
}

/// Gates with an event that their default decides on; AG2001 is denied even by an `allow`.
const GATES: &[(&str, &str)] = &[
    ("request", "{ request: {} }"),
    ("tool_call", "{ tool_call: { tool: send } }"),
    ("tool_offer", "{ tool_offer: { tool: send } }"),
    ("uninspectable", "{ uninspectable: { code: AG2005 } }"),
    ("uninspectable", "{ uninspectable: { code: AG2001 } }"),
    ("partial", "{ uninspectable: {} }"),
];

#[test]
fn an_extended_document_lets_through_no_more_than_its_base_and_no_more_than_alone() {
    for (gate, event) in GATES {
        let mut settings = Vec::new();
        for mode in ["", "mode: observe, ", "mode: { all: observe }, "] {
            for action in ["allow", "deny", "hide"] {
                if action == "hide" && *gate != "tool_offer" {
                    continue;
                }
                let enforced = format!("{{ action: {action}, mode: enforce }}");
                let observed = format!("{{ action: {action}, mode: observe }}");
                for default in [action, &enforced, &observed] {
                    settings.push(format!(
                        "{mode}defaults: {{ action: allow, {gate}: {default} }}"
                    ));
                }
            }
        }
        let decision = |document: &Node| decided(document, event).ruling.decision;
        let alone: Vec<(&String, Node, Decision)> = settings
            .iter()
            .map(|settings| {
                let document = document(&[], settings);
                let decision = decision(&document);
                (settings, document, decision)
            })
            .collect();
        for (of_top, _, top) in &alone {
            let extending = document(&[], &format!("extends: base.json, {of_top}"));
            for (of_base, document, base) in &alone {
                let text = written(document);
                let mut read = |_: &str, _: &str| {
                    Ok(agentguard::author::ReadPolicyFile {
                        name: "base.json".to_owned(),
                        text: text.clone(),
                    })
                };
                let merged =
                    agentguard::author::resolve("top.yaml", &extending, &mut read).unwrap();
                let merged = decision(&merged.root);
                assert!(
                    merged >= *top && merged >= *base,
                    "{event}: {of_top} extends {of_base}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_order_of_rules_never_matters(
        rules in prop::collection::vec(rule(ANY), 1..6), event in event(), rest in defaults(), by in 0usize..6,
    ) {
        let mut turned = rules.clone();
        turned.rotate_left(by % rules.len());
        let (a, b) = (document(&rules, rest), document(&turned, rest));
        prop_assert_eq!(held(&a, &event), held(&b, &event));
        let (a, b) = (decided(&a, &event), decided(&b, &event));
        prop_assert_eq!(a.ruling.decision, b.ruling.decision);
        prop_assert_eq!(a.would.decision, b.would.decision);
    }

    #[test]
    fn a_rule_that_restricts_never_lets_more_through(
        rules in prop::collection::vec(rule(ANY), 0..5), more in rule(RESTRICTING), event in event(), rest in defaults(),
    ) {
        let before = decided(&document(&rules, rest), &event);
        let more = [rules, vec![more]].concat();
        let after = decided(&document(&more, rest), &event);
        prop_assert!(after.ruling.decision >= before.ruling.decision);
        prop_assert!(after.would.decision >= before.would.decision);
    }

    #[test]
    fn an_allow_or_an_exception_never_refuses_more(
        rules in prop::collection::vec(rule(ANY), 0..5), more in rule(&["allow"]), event in event(), rest in defaults(),
    ) {
        let before = decided(&document(&rules, rest), &event);
        let more = [rules, vec![more]].concat();
        let after = decided(&document(&more, rest), &event);
        prop_assert!(after.ruling.decision <= before.ruling.decision);
    }

    #[test]
    fn a_document_beside_another_never_lets_more_through(
        a in prop::collection::vec(rule(ANY), 0..4), b in prop::collection::vec(rule(ANY), 0..4),
        event in event(), of_a in defaults(), of_b in defaults(),
    ) {
        let (alone, other) = (document(&a, of_a), document(&b, of_b));
        let member = |document: &Node, name: &str| {
            let mut members: Vec<Member> = document
                .members()
                .iter()
                .filter(|member| !matches!(&*member.key, "metadata" | "require"))
                .cloned()
                .collect();
            members.extend(map(vec![("metadata", map(vec![("name", text(name))]))]).members().iter().cloned());
            node_of(members)
        };
        let set = map(vec![
            ("apiVersion", text("agentguard.dev/v1")),
            ("kind", text("AgentPolicySet")),
            ("metadata", map(vec![("name", text("set"))])),
            ("require", text("none")),
            ("policies", node(NodeValue::List(vec![member(&alone, "a"), member(&other, "b")]))),
        ]);
        let together = decided(&set, &event);
        for alone in [decided(&alone, &event), decided(&other, &event)] {
            prop_assert!(together.ruling.decision >= alone.ruling.decision);
            prop_assert!(together.would.decision >= alone.would.decision);
        }
        let strictest = decided(&alone, &event).ruling.decision.max(decided(&other, &event).ruling.decision);
        prop_assert_eq!(together.ruling.decision, strictest);
    }

    #[test]
    fn one_document_of_two_never_lets_more_through(
        a in prop::collection::vec(rule(ANY), 0..4), b in prop::collection::vec(rule(&["deny", "tag", "redact", "require_approval"]), 0..4),
        event in event(), of_a in defaults(), of_b in defaults(),
    ) {
        let top = document(&a, &format!("extends: base.yaml, {of_a}"));
        let base = document(&b, of_b);
        // Names differ, as they must.
        let renamed = written(&base).replace("\"id\":\"r", "\"id\":\"base-r");
        let mut read = |_: &str, _: &str| Ok(agentguard::author::ReadPolicyFile { name: "base.json".to_owned(), text: renamed.clone() });
        let merged = agentguard::author::resolve("top.yaml", &top, &mut read).unwrap();
        let merged = decided(&merged.root, &event).ruling.decision;
        let own = decided(&document(&a, of_a), &event).ruling.decision;
        let restricted = decided(&document(&b, "defaults: { action: allow }"), &event).ruling.decision;
        let observed_base = of_b.starts_with("mode: observe");
        // An approval opens a gate that is closed by default, whoever asks for it.
        prop_assert!(merged >= own || is_default(&a, of_a, &event));
        prop_assert!(observed_base || merged >= restricted);
    }

    #[test]
    fn the_version_is_the_same_however_a_policy_is_written(
        rules in prop::collection::vec(rule(ANY), 0..4), rest in defaults(),
    ) {
        let yaml = document(&rules, rest);
        let json = agentguard::policy::parse_json(written(&yaml).as_bytes()).unwrap();
        let mut turned: Vec<Member> = yaml.members().to_vec();
        turned.reverse();
        let versions: Vec<String> = [&yaml, &json, &node_of(turned)].map(|node| compiled(node).unwrap().version).into();
        prop_assert_eq!(&versions[0], &versions[1]);
        prop_assert_eq!(&versions[0], &versions[2]);
    }
}

/// Whether a refusal is the default's.
fn is_default(rules: &[String], rest: &str, event: &str) -> bool {
    decided(&document(rules, rest), event).ruling.rule.is_none()
}

/// Conditions about arguments, as they are asked of `args` or of something in it.
const ASKS: &[&str] = &[
    "args.n: { greater_than: 5 }",
    "args.n: { at_most: 5 }",
    "args.n: { not_equals: 7 }",
    "args.n: { exists: false }",
    "args.n: { exists: true }",
    "args.n: { count_equals: 1 }",
    "args.n: { count_greater_than: 1 }",
    "args.to: { all_domain_in: [example.com] }",
    "args.to: { domain_not_in: [example.com] }",
    "\"args.to|file\": { contains: evil }",
    "args.file: { path_within: [/srv] }",
    "args.file: { path_not_within: [/srv] }",
    "args.file: { starts_with: /srv }",
    "args.file: { overlaps: { path: args.to } }",
    "args.items: { any_item: { n: { greater_than: 5 } } }",
    "\"args.items[*].n\": { greater_than: 5 }",
    "args..n: { in: [1, 7] }",
    "\"args.*\": { glob: \"*evil*\" }",
    "args.n: { equals: { path: args.m } }",
];

/// Members of arguments as JSON writes them.
const MEMBERS: &[&str] = &[
    "",
    r#""n": 7"#,
    r#""n": 1"#,
    r#""n": [1, 9], "m": 9"#,
    r#""n": null, "m": 1"#,
    r#""to": "bob@example.com", "file": "/srv/x""#,
    r#""to": ["a@evil.com"], "file": "/etc/evil""#,
    r#""items": [{"n": 9}, {"m": 1}], "n": "[9]""#,
    r#""items": [{"n": 1}], "to": "evil""#,
];

/// The same names in another spelling.
fn spelled(members: &str, way: usize) -> String {
    ["n", "m", "to", "file", "items"]
        .iter()
        .fold(members.to_owned(), |members, name| {
            let other = match way {
                0 => name.to_uppercase(),
                1 => format!("_{name}"),
                2 => format!("{name}-"),
                _ => format!("{name}\u{200B}"),
            };
            members.replace(&format!("\"{name}\":"), &format!("\"{other}\":"))
        })
}

/// What is asked of the arguments, asked of a value in them.
fn asked_under(path: &str, ask: &str) -> String {
    let words = ask.split(' ').map(|word| {
        let end = if word.ends_with(':') { ":" } else { "" };
        let written = word.trim_end_matches(':').trim_matches('"');
        match written.strip_prefix("args.") {
            Some(name) => format!("\"{path}{name}\"{end}"),
            None => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A policy of one rule that asks this, and of a default that is its opposite.
fn asking(ask: &str, negated: bool, place: &str, action: &str, missing: &str) -> Node {
    let (missing, rest) = match action {
        "allow" => ("", "defaults: { action: deny }"),
        _ => (missing, "defaults: { action: allow }"),
    };
    let ask = match negated {
        true => format!("{{ not: {{ {ask} }} }}"),
        false => format!("{{ {ask} }}"),
    };
    let rule = format!("match: {{ tool: send }}, {place}: {ask}, action: {action}{missing}");
    document(&[rule], rest)
}

/// Conditions about the name of a tool, or about what is listed for it.
const ASKS_OF_TOOLS: &[&str] = &[
    "tool: delete_repo",
    "tool: [delete_repo, read]",
    "tool: github/delete_repo",
    "tool: { glob: \"delete_*\" }",
    "tool: { glob: [\"github/*\", read] }",
    "tool: { starts_with: delete_ }",
    "tool: { ends_with: _repo }",
    "tool: { matches: \"^delete_\" }",
    "tool: { matches: \"^(github/)?delete_repo$\" }",
    "tool: { contains: delete }",
    "tool: { any_in: [delete_repo] }",
    "tool: { not_equals: delete_repo }",
    "tool: { not_in: [delete_repo, read] }",
    "tool: { all_not_in: [delete_repo] }",
    "tool: { equals: { path: args.name } }",
    "args.x: { in: { list: by_tool, key: tool } }",
    "args.x: { not_in: { list: by_tool, key: tool } }",
    "args.x: { contains_any: { list: by_tool, key: tool } }",
];

/// Names that some client or server takes for `delete_repo`.
const SPELLINGS_OF_A_TOOL: &[&str] = &[
    "Delete_Repo",
    "ｄelete_repo",
    "\" delete_repo \"",
    "mcp__github__delete_repo",
    "github_delete_repo",
    "GitHub.Delete_Repo",
];

/// A policy of one rule about calls of any tool, and of a default that is its opposite.
fn asking_of_tools(ask: &str, negated: bool, place: &str, action: &str) -> Node {
    let default = match action {
        "allow" => "deny",
        _ => "allow",
    };
    let ask = match negated {
        true => format!("{{ not: {{ {ask} }} }}"),
        false => format!("{{ {ask} }}"),
    };
    let rest = format!(
        "lists: {{ by_tool: {{ delete_repo: [a], read: [b] }} }}, defaults: {{ action: {default} }}"
    );
    let rule = format!("match: {{ event: tool_call }}, {place}: {ask}, action: {action}");
    document(&[rule], &rest)
}

fn on(args: &str) -> String {
    format!("{{ tool_call: {{ tool: send, args: {args} }} }}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_tool_in_another_spelling_never_lets_more_through(
        ask in prop::sample::select(ASKS_OF_TOOLS), negated in any::<bool>(),
        place in prop::sample::select(&["when", "unless"][..]), action in prop::sample::select(&["deny", "require_approval", "allow"][..]),
        other in prop::sample::select(SPELLINGS_OF_A_TOOL), x in prop::sample::select(&["a", "b", "c"][..]),
    ) {
        let policy = asking_of_tools(ask, negated, place, action);
        let call = |tool: &str| format!("{{ tool_call: {{ tool: {tool}, args: {{ x: {x}, name: delete_repo }} }} }}");
        let as_named = decided(&policy, &call("delete_repo")).ruling.decision;
        let spelled = decided(&policy, &call(other)).ruling.decision;
        prop_assert!(spelled >= as_named, "{ask}, negated: {negated}, {place} of {action}: {other}");
    }

    #[test]
    fn names_in_other_spellings_never_let_more_through(
        ask in prop::sample::select(ASKS), negated in any::<bool>(), place in prop::sample::select(&["when", "unless"][..]),
        action in prop::sample::select(&["deny", "require_approval", "allow"][..]),
        missing in prop::sample::select(&["", ", if_missing: apply", ", if_missing: skip"][..]),
        own in prop::sample::select(MEMBERS), more in prop::sample::select(MEMBERS), way in 0usize..4,
    ) {
        let policy = asking(ask, negated, place, action, missing);
        let more = spelled(more, way);
        let joint = if own.is_empty() || more.is_empty() { "" } else { ", " };
        let before = decided(&policy, &on(&format!("{{{own}}}")));
        let after = decided(&policy, &on(&format!("{{{own}{joint}{more}}}")));
        // `args.*` names whatever is there.
        prop_assume!(!ask.contains("args.*"));
        prop_assert!(after.ruling.decision >= before.ruling.decision);
    }

    #[test]
    fn json_in_a_string_never_lets_more_through(
        ask in prop::sample::select(ASKS), negated in any::<bool>(), place in prop::sample::select(&["when", "unless"][..]),
        action in prop::sample::select(&["deny", "require_approval", "allow"][..]),
        missing in prop::sample::select(&["", ", if_missing: apply", ", if_missing: skip"][..]),
        members in prop::sample::select(MEMBERS), levels in 1usize..4,
    ) {
        let policy = asking(&asked_under("args.x.", ask), negated, place, action, missing);
        let plain = format!("{{{members}}}");
        let mut inside = plain.clone();
        for _ in 0..levels {
            let mut quoted = Vec::new();
            agentguard::wire::json::quote(&inside, &mut quoted);
            inside = String::from_utf8(quoted).unwrap();
        }
        let before = decided(&policy, &on(&format!("{{\"x\": {plain}}}")));
        let after = decided(&policy, &on(&format!("{{\"x\": {inside}}}")));
        prop_assert!(after.ruling.decision >= before.ruling.decision);
    }

    #[test]
    fn a_list_around_a_value_or_none_never_lets_more_through(
        ask in prop::sample::select(ASKS), negated in any::<bool>(), place in prop::sample::select(&["when", "unless"][..]),
        action in prop::sample::select(&["deny", "require_approval", "allow"][..]),
        missing in prop::sample::select(&["", ", if_missing: apply", ", if_missing: skip"][..]),
        members in prop::sample::select(MEMBERS), path in prop::sample::select(&["args.x.", "args.x[*].", "args.x[0]."][..]),
        levels in 0usize..3,
    ) {
        // `args.*` names whatever is there.
        prop_assume!(!ask.contains("args.*"));
        let policy = asking(&asked_under(path, ask), negated, place, action, missing);
        let wrapped = |levels: usize| {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            on(&format!("{{\"x\": {open}{{{members}}}{close}}}"))
        };
        let before = decided(&policy, &wrapped(usize::from(path.contains('['))));
        let after = decided(&policy, &wrapped(levels));
        prop_assert!(after.ruling.decision >= before.ruling.decision);
    }
}
