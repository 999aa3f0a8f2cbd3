//! The policy language by its cases: every `*.yaml` beside this file is a page of the specification.
//!
//! A file has `about`, optionally what its cases share (`lists`, `environment`), and `cases`. A case asks one of:
//!
//! - `when`, a condition: `restricting` and `loosening` say whether it is true on either side, for the event that the case
//!   gives. Both are tried in every place of that side (`when` and `unless` of a deny and of an allow) and under `not`,
//!   where what is missing stays strict (`missing: true`). Beside it may stand `if_missing` and `match`.
//! - `rules` and `defaults`, a policy, or `policies`, the documents of a set: `expect` says what is decided.
//! - `wrong`, a condition that is refused: `says` is the code or some words of the message. `wrong_rule` is a whole rule (but
//!   its id), `wrong_policy` members of a whole document; `right_rule` and `right_policy` are taken, for contrast.
//!
//! The event is a call with `args` unless the case says `text` (a message; several in a list), `request`, `response`,
//! `tool_result`, `tool_offer` or `uninspectable`. `args: unknown` are those of a tool that the provider runs. `given`
//! holds facts: `env`, `model`, `principal`, `headers`, `host`, `path`, `time`, …; a fact that is not given is unknown. `earlier`
//! lists what stands before the event in the conversation, `history: incomplete` says that this is not all.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "test code: a failure is a panic"
)]

mod given;
mod keys;
mod page;
mod properties;
mod reference;
mod table;
mod terse;

use agentguard::author::parse_yaml;
use agentguard::policy::{
    Context, Decision, Evaluation, EvaluationPhase, Member, Node, NodeValue, Policy, ScanScratch,
    Scans, load_with_zones,
};
use given::Given;
use std::cell::RefCell;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/policy")
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
}

fn node(data: NodeValue) -> Node {
    Node { span: 0..0, data }
}

fn text(text: &str) -> Node {
    node(NodeValue::String(text.into()))
}

fn map(members: Vec<(&str, Node)>) -> Node {
    node(NodeValue::Map(
        members
            .into_iter()
            .map(|(key, value)| Member {
                key: key.into(),
                key_span: 0..0,
                value,
            })
            .collect(),
    ))
}

fn written(node: &Node) -> String {
    let mut out = Vec::new();
    node.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

/// What the cases of a file share, and one of them.
struct Case<'f> {
    file: &'f Node,
    node: &'f Node,
}

impl<'f> Case<'f> {
    fn get(&self, key: &str) -> Option<&'f Node> {
        self.node.get(key)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key).map(|node| &node.data) {
            Some(NodeValue::Bool(value)) => Some(*value),
            None => None,
            other => panic!("{key}: {other:?}"),
        }
    }

    /// A document around these rules.
    fn document(&self, rules: Vec<Node>, defaults: Node) -> Node {
        let mut members = vec![
            ("apiVersion", text("agentguard.dev/v1")),
            ("kind", text("AgentPolicy")),
            ("metadata", map(vec![("name", text("case"))])),
            ("defaults", defaults),
            ("require", text("none")),
            ("rules", node(NodeValue::List(rules))),
        ];
        for key in ["lists", "mode", "inspect", "zones", "shadow"] {
            if let Some(value) = self.get(key).or(self.file.get(key)) {
                members.push((key, value.clone()));
            }
        }
        map(members)
    }

    /// A rule with a condition in one of its places.
    fn rule(&self, action: &str, place: &str, condition: &Node) -> Node {
        let event = Given::of(self.node).event_word();
        let mut matches = vec![("event", text(event))];
        for member in self.get("match").into_iter().flat_map(Node::members) {
            matches.push((&member.key, member.value.clone()));
        }
        let mut members = vec![("id", text("r")), ("action", text(action))];
        if place == "match" {
            for member in condition.members() {
                matches.push((&member.key, member.value.clone()));
            }
        } else {
            members.push((place, condition.clone()));
        }
        members.push(("match", map(matches)));
        if let Some(value) = self.get("if_missing") {
            members.push(("if_missing", value.clone()));
        }
        map(members)
    }

    /// Whether a condition holds in a place of a rule.
    fn holds(&self, action: &str, place: &str, condition: &Node) -> Result<bool, String> {
        let defaults = map(vec![("action", text("deny"))]);
        let rule = self.rule(action, place, condition);
        let policy = compiled(&self.document(vec![rule], defaults))?;
        let evaluations = evaluate(&policy, &Given::of(self.node));
        let held = evaluations
            .iter()
            .any(|evaluation| !evaluation.held.is_empty());
        // A condition under `unless` holds where its rule doesn't.
        Ok(held == (place != "unless"))
    }

    fn condition_case(&self, condition: &Node) -> Vec<String> {
        let mut wrong = Vec::new();
        let negated = map(vec![("not", condition.clone())]);
        let is_missing = self.flag("missing").unwrap_or(false);
        let has_gate = matches!(Given::of(self.node).event_word(), "request" | "tool_call");
        let mut expect =
            |name: &str, action: &str, place: &str, condition: &Node, expected: bool| {
                if action == "allow" && !has_gate {
                    return;
                }
                match self.holds(action, place, condition) {
                    Ok(actual) if actual == expected => {}
                    Ok(actual) => wrong.push(format!("{name} in {place} of {action}: {actual}")),
                    Err(error) => wrong.push(error),
                }
            };
        // By these, rules are found: in `match` they say what they say in `when`.
        let finds_rules = condition.members().iter().all(|member| {
            matches!(&*member.key, "tool" | "model")
                && !matches!(member.value.data, NodeValue::Map(_))
        });
        if let Some(restricting) = self.flag("restricting") {
            expect("restricting", "deny", "when", condition, restricting);
            if finds_rules {
                expect("restricting", "deny", "match", condition, restricting);
            }
            expect("restricting", "allow", "unless", condition, restricting);
            // Under `not`, a missing value counts as true, so that what loosens stays false.
            let negated_loosens = !restricting && !is_missing;
            expect("not, loosening", "allow", "when", &negated, negated_loosens);
            expect(
                "not, loosening",
                "deny",
                "unless",
                &negated,
                negated_loosens,
            );
        }
        if let Some(loosening) = self.flag("loosening") {
            expect("loosening", "allow", "when", condition, loosening);
            if finds_rules {
                expect("loosening", "allow", "match", condition, loosening);
            }
            expect("loosening", "deny", "unless", condition, loosening);
            if self.get("if_missing").is_none() {
                expect("not, restricting", "deny", "when", &negated, !loosening);
                expect("not, restricting", "allow", "unless", &negated, !loosening);
            }
        }
        if let Some(negated_restricts) = self.flag("not_restricting") {
            expect(
                "not, restricting",
                "deny",
                "when",
                &negated,
                negated_restricts,
            );
        }
        wrong
    }

    fn policy_case(&self, rules: &Node) -> Vec<String> {
        let NodeValue::List(rules) = &rules.data else {
            panic!("`rules` is a list");
        };
        let allow = map(vec![("action", text("allow"))]);
        let defaults = self.get("defaults").cloned().unwrap_or(allow);
        self.decided(&self.document(rules.clone(), defaults))
    }

    fn set_case(&self, policies: &Node) -> Vec<String> {
        let mut members = vec![
            ("apiVersion", text("agentguard.dev/v1")),
            ("kind", text("AgentPolicySet")),
            ("metadata", map(vec![("name", text("case"))])),
            ("require", text("none")),
            ("policies", policies.clone()),
        ];
        for key in ["mode", "shadow"] {
            members.extend(self.get(key).map(|value| (key, value.clone())));
        }
        self.decided(&map(members))
    }

    /// What a policy decides, against what is expected.
    fn decided(&self, document: &Node) -> Vec<String> {
        let policy = match compiled(document) {
            Ok(policy) => policy,
            Err(error) => return vec![error],
        };
        let evaluations = evaluate(&policy, &Given::of(self.node));
        let expect = self.get("expect").unwrap();
        let mut wrong = Vec::new();
        for member in expect.members() {
            let expected = written(&member.value);
            let actual = match &*member.key {
                "decision" => quoted(word(evaluations.iter().map(|j| j.ruling.decision).max())),
                "would" => quoted(word(evaluations.iter().map(|j| j.would.decision).max())),
                "code" => quoted(
                    evaluations
                        .iter()
                        .find_map(|evaluation| evaluation.ruling.code)
                        .unwrap_or("none"),
                ),
                "held" => {
                    let mut ids: Vec<String> = evaluations
                        .iter()
                        .flat_map(|evaluation| &evaluation.held)
                        .map(|held| quoted(&policy.rule(held.rule).unwrap().id))
                        .collect();
                    ids.dedup();
                    format!("[{}]", ids.join(","))
                }
                "shadow" => quoted(word(
                    evaluations
                        .iter()
                        .filter_map(|evaluation| evaluation.shadow.as_ref())
                        .map(|shadow| shadow.ruling.decision)
                        .max(),
                )),
                "redacts" => redactions(&policy, &Given::of(self.node)),
                other => panic!("`expect` has no `{other}`"),
            };
            if actual != expected {
                wrong.push(format!("{}: {actual}", member.key));
            }
        }
        wrong
    }

    fn wrong_case(&self, document: &Node) -> Vec<String> {
        let error = match compiled(document) {
            Ok(_) => return vec!["it is not refused".to_owned()],
            Err(error) => error,
        };
        let words = self.get("says").and_then(Node::text).unwrap();
        if error.contains(words) {
            Vec::new()
        } else {
            vec![error]
        }
    }

    /// A document around one rule that the case writes out.
    fn around(&self, rule: &Node) -> Node {
        let mut members = vec![("id", text("r"))];
        members.extend(
            rule.members()
                .iter()
                .map(|member| (&*member.key, member.value.clone())),
        );
        self.document(vec![map(members)], map(vec![("action", text("allow"))]))
    }

    /// A document with these members.
    fn with(&self, given: &Node) -> Node {
        let allow = map(vec![("action", text("allow"))]);
        let usual = self.document(Vec::new(), allow);
        let mut members: Vec<(&str, Node)> = given
            .members()
            .iter()
            .map(|member| (&*member.key, member.value.clone()))
            .collect();
        let is_set = given.get("kind").is_some();
        for member in usual.members() {
            let is_of_set = !matches!(&*member.key, "defaults" | "rules");
            if given.get(&member.key).is_none() && (is_of_set || !is_set) {
                members.push((&member.key, member.value.clone()));
            }
        }
        map(members)
    }

    fn right_case(document: &Node) -> Vec<String> {
        compiled(document).err().into_iter().collect()
    }

    fn run(&self) -> Vec<String> {
        let allow = || map(vec![("action", text("allow"))]);
        let asked: Vec<Vec<String>> = self
            .node
            .members()
            .iter()
            .filter_map(|member| {
                let value = &member.value;
                Some(match &*member.key {
                    "when" => self.condition_case(value),
                    "rules" => self.policy_case(value),
                    "policies" => self.set_case(value),
                    "wrong" => {
                        let rule = self.rule("deny", "when", value);
                        self.wrong_case(&self.document(vec![rule], allow()))
                    }
                    "wrong_rule" => self.wrong_case(&self.around(value)),
                    "wrong_policy" => self.wrong_case(&self.with(value)),
                    "right_rule" => Case::right_case(&self.around(value)),
                    "right_policy" => Case::right_case(&self.with(value)),
                    _ => return None,
                })
            })
            .collect();
        assert_eq!(
            asked.len(),
            1,
            "a case asks one thing: {}",
            written(self.node)
        );
        asked.concat()
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn word(decision: Option<Decision>) -> &'static str {
    match decision {
        Some(Decision::Deny) => "deny",
        Some(Decision::RequireApproval) => "require_approval",
        Some(Decision::Allow) | None => "allow",
    }
}

fn compiled(document: &Node) -> Result<Policy, String> {
    let loaded = load_with_zones(document);
    let errors: Vec<String> = loaded.errors().map(ToString::to_string).collect();
    loaded.policy.ok_or_else(|| errors.join("; "))
}

fn with_context<T>(
    policy: &Policy,
    given: &Given<'_>,
    use_it: impl FnOnce(&Context<'_>) -> T,
) -> T {
    let body = given.body();
    let json = given.json(&body);
    let reading = given.reading(&json);
    let mut facts = given.facts();
    let scans = RefCell::new(Scans::default());
    let scratch = RefCell::new(ScanScratch::default());
    if let Some((body, events)) = given.earlier() {
        let json = given.json(&body);
        let mut reading = Given::earlier_reading(&events, &json);
        reading.continues_elsewhere = given.continues_elsewhere();
        facts.history = policy.recall(&Context {
            policy,
            facts: &facts,
            reading: &reading,
            json: &json,
            scans: &RefCell::default(),
            scratch: &scratch,
        });
    }
    use_it(&Context {
        policy,
        facts: &facts,
        reading: &reading,
        json: &json,
        scans: &scans,
        scratch: &scratch,
    })
}

fn evaluate(policy: &Policy, given: &Given<'_>) -> Vec<Evaluation> {
    with_context(policy, given, |context| {
        let events = &context.reading.events;
        events
            .iter()
            .map(|event| policy.evaluate(event, context, EvaluationPhase::Whole))
            .collect()
    })
}

/// How many spans are replaced, or that one can't be.
fn redactions(policy: &Policy, given: &Given<'_>) -> String {
    with_context(policy, given, |context| {
        let mut count = 0u32;
        let mut possible = true;
        for event in &context.reading.events {
            for held in policy.evaluate(event, context, EvaluationPhase::Whole).held {
                let rule = policy.rule(held.rule).unwrap();
                policy.redactions(rule, event, context, &mut |redaction| {
                    count += 1;
                    possible &= redaction.is_possible();
                });
            }
        }
        if possible {
            count.to_string()
        } else {
            quoted("impossible")
        }
    })
}

fn is_described(case: &Case<'_>) -> bool {
    case.get("why")
        .and_then(Node::text)
        .is_some_and(|why| !why.is_empty())
}

#[test]
fn every_case_is_decided_as_it_says() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in files() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let source = std::fs::read_to_string(&path).unwrap();
        let file = parse_yaml(&source).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        assert!(file.get("about").is_some(), "{name} has no `about`");
        let Some(NodeValue::List(cases)) = file.get("cases").map(|cases| &cases.data) else {
            panic!("{name} has no `cases`");
        };
        for node in cases {
            count += 1;
            let case = Case { file: &file, node };
            let line = source[..node.span.start].matches('\n').count() + 1;
            assert!(is_described(&case), "{name}:{line} says no `why`");
            for what in case.run() {
                let why = case.get("why").and_then(Node::text).unwrap();
                wrong.push(format!("{name}:{line} ({why}): {what}"));
            }
        }
    }
    println!("{count} cases");
    assert!(
        wrong.is_empty(),
        "{} of {count} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
