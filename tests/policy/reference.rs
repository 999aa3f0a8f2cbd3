//! The meaning of rules once more, as plainly as it can be said: no index, no compiled forms, one value after the other. It
//! has to agree with the language itself on random policies and events.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Restricting,
    Loosening,
}

impl Side {
    fn flipped(self) -> Side {
        match self {
            Side::Restricting => Side::Loosening,
            Side::Loosening => Side::Restricting,
        }
    }
}

#[derive(Clone, Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// Alternatives, `any_` or `all_`, an operator and its operand.
    Test(Vec<&'static str>, &'static str, &'static str, Value),
    AnyItem(&'static str, Box<Condition>),
}

#[derive(Clone, Debug)]
struct Rule {
    action: &'static str,
    when: Option<Condition>,
    unless: Option<Condition>,
    if_missing: Option<&'static str>,
    observed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Holds,
    Fails,
    Unreadable,
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Verdict {
        if holds {
            Verdict::Holds
        } else {
            Verdict::Fails
        }
    }
}

/// Where a condition stands.
#[derive(Clone, Copy)]
struct Stand {
    side: Side,
    /// Before any `not`.
    outer: Side,
    if_missing: Option<&'static str>,
}

fn holds(condition: &Condition, stand: Stand, args: Option<&Value>) -> bool {
    match condition {
        Condition::All(list) => list.iter().all(|inner| holds(inner, stand, args)),
        Condition::Any(list) => list.iter().any(|inner| holds(inner, stand, args)),
        Condition::Not(inner) => {
            let side = stand.side.flipped();
            !holds(inner, Stand { side, ..stand }, args)
        }
        Condition::Test(keys, quantifier, verb, operand) => {
            let Some(args) = args else {
                return stand.side == Side::Restricting;
            };
            let is_read_as_line = stand.side == Side::Restricting
                && *quantifier != "all_"
                && ["equals", "in", "contains"].contains(verb);
            let holds_line = is_read_as_line
                && lines(args, keys)
                    .iter()
                    .any(|line| verdicts(verb, operand, line, true).contains(&Verdict::Holds));
            holds_line || test(&values(args, keys), quantifier, verb, operand, stand)
        }
        Condition::AnyItem(key, inner) => {
            let strict = stand.side == Side::Restricting;
            let Some(args) = args else { return strict };
            let items = values(args, &[key]);
            if items.is_empty() {
                return missing(false, stand);
            }
            items.iter().any(|item| match item {
                Value::Object(_) => holds(inner, stand, Some(item)),
                _ => strict,
            })
        }
    }
}

/// What stands under these keys; arrays are opened.
fn values(args: &Value, keys: &[&str]) -> Vec<Value> {
    fn open(value: &Value, out: &mut Vec<Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| open(item, out)),
            other => out.push(other.clone()),
        }
    }
    let mut out = Vec::new();
    for key in keys {
        if let Some(value) = args.get(key) {
            open(value, &mut out);
        }
    }
    out
}

/// The values of each list under these keys, joined by blanks.
fn lines(args: &Value, keys: &[&str]) -> Vec<Value> {
    let word = |item: &Value| match item {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(item.to_string()),
        _ => None,
    };
    let lists = keys.iter().filter_map(|key| args.get(key)?.as_array());
    lists
        .map(|list| list.iter().filter_map(word).collect::<Vec<_>>())
        .filter(|words| words.len() > 1)
        .map(|words| words.join(" ").into())
        .collect()
}

fn missing(is_negative: bool, stand: Stand) -> bool {
    match (stand.outer, stand.side, stand.if_missing) {
        (Side::Restricting, Side::Restricting, Some(word)) => word == "apply",
        (Side::Restricting, Side::Loosening, Some(word)) => word == "skip",
        (Side::Restricting, Side::Restricting, None) => is_negative,
        (Side::Loosening, Side::Restricting, _) => true,
        (_, Side::Loosening, _) => false,
    }
}

fn test(values: &[Value], quantifier: &str, verb: &str, operand: &Value, stand: Stand) -> bool {
    if verb == "exists" {
        return json!(!values.is_empty()) == *operand;
    }
    let restricting = stand.side == Side::Restricting;
    let verdicts: Vec<Verdict> = values
        .iter()
        .flat_map(|value| verdicts(verb, operand, value, restricting))
        .collect();
    if verdicts.is_empty() {
        return missing(verb.starts_with("not_"), stand);
    }
    let fits = |verdict: &Verdict| match verdict {
        Verdict::Holds => true,
        Verdict::Fails => false,
        Verdict::Unreadable => restricting,
    };
    match (quantifier, restricting) {
        ("any_", _) | ("", true) => verdicts.iter().any(fits),
        _ => verdicts.iter().all(fits),
    }
}

fn same_type(a: &Value, b: &Value) -> bool {
    matches!(
        (a, b),
        (Value::String(_), Value::String(_))
            | (Value::Number(_), Value::Number(_))
            | (Value::Bool(_), Value::Bool(_))
    )
}

fn verdicts(verb: &str, operand: &Value, value: &Value, restricting: bool) -> Vec<Verdict> {
    let literals: Vec<Value> = operand.as_array().cloned().unwrap_or(vec![operand.clone()]);
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let equal = literals
        .iter()
        .any(|literal| match (number(literal), number(value)) {
            (Some(a), Some(b)) if literal.is_number() && value.is_number() => a == b,
            _ => literal == value,
        });
    let one = match verb {
        "equals" | "in" => equal.into(),
        "not_equals" | "not_in" => match literals.iter().any(|literal| same_type(literal, value)) {
            true => (!equal).into(),
            false => Verdict::Unreadable,
        },
        "greater_than" => match number(value) {
            Some(number) => (number > operand.as_f64().unwrap()).into(),
            None => Verdict::Unreadable,
        },
        "contains" => {
            let needle = operand.as_str().unwrap();
            let stands = |text: &str| match restricting {
                true => one_blank(&text.to_lowercase()).contains(&needle.to_lowercase()),
                false => text.contains(needle),
            };
            return match value {
                Value::Null | Value::Array(_) => vec![],
                Value::Bool(value) => vec![stands(&value.to_string()).into()],
                Value::Number(number) => vec![stands(&number.to_string()).into()],
                Value::String(text) => vec![stands(text).into()],
                Value::Object(_) => {
                    let mut found = Vec::new();
                    strings(value, &mut |text, is_itself| {
                        let holds = stands(text);
                        // A find in a key or number counts where it restricts; that there is none says nothing.
                        if is_itself || (holds && restricting) {
                            found.push(holds.into());
                        }
                    });
                    found
                }
            };
        }
        other => panic!("{other}"),
    };
    vec![one]
}

/// A text with one blank in the place of each run of white space.
fn one_blank(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        match c.is_whitespace() {
            true if plain.ends_with(' ') => {}
            true => plain.push(' '),
            false => plain.push(c),
        }
    }
    plain
}

fn strings(value: &Value, visit: &mut dyn FnMut(&str, bool)) {
    match value {
        Value::String(text) => visit(text, true),
        Value::Number(number) => visit(&number.to_string(), false),
        Value::Array(items) => items.iter().for_each(|item| strings(item, visit)),
        Value::Object(members) => {
            for (key, value) in members {
                visit(key, false);
                strings(value, visit);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn rule_holds(rule: &Rule, args: Option<&Value>) -> bool {
    let side = match rule.action {
        "allow" => Side::Loosening,
        _ => Side::Restricting,
    };
    let stand = |side| Stand {
        side,
        outer: side,
        if_missing: rule.if_missing,
    };
    rule.when
        .as_ref()
        .is_none_or(|when| holds(when, stand(side), args))
        && !rule
            .unless
            .as_ref()
            .is_some_and(|unless| holds(unless, stand(side.flipped()), args))
}

/// What is decided where these rules hold.
fn decision(held: &[&Rule], default: &str) -> Decision {
    let any = |action: &str| held.iter().any(|rule| rule.action == action);
    if any("deny") {
        Decision::Deny
    } else if any("require_approval") {
        Decision::RequireApproval
    } else if any("allow") || default == "allow" {
        Decision::Allow
    } else {
        Decision::Deny
    }
}

impl Condition {
    fn write(&self, prefix: &str) -> Value {
        match self {
            Condition::All(list) => {
                json!({"all": list.iter().map(|inner| inner.write(prefix)).collect::<Vec<_>>()})
            }
            Condition::Any(list) => {
                json!({"any": list.iter().map(|inner| inner.write(prefix)).collect::<Vec<_>>()})
            }
            Condition::Not(inner) => json!({"not": inner.write(prefix)}),
            Condition::Test(keys, quantifier, verb, operand) => {
                json!({format!("{prefix}{}", keys.join("|")): {format!("{quantifier}{verb}"): operand}})
            }
            Condition::AnyItem(key, inner) => {
                json!({format!("{prefix}{key}"): {"any_item": inner.write("")}})
            }
        }
    }
}

impl Rule {
    fn write(&self, id: usize) -> Value {
        let mut rule =
            json!({"id": format!("r{id}"), "match": {"tool": "t"}, "action": self.action});
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                rule.as_object_mut().unwrap().insert(key.to_owned(), value);
            }
        };
        set("when", self.when.as_ref().map(|when| when.write("args.")));
        set(
            "unless",
            self.unless.as_ref().map(|unless| unless.write("args.")),
        );
        set("if_missing", self.if_missing.map(Value::from));
        set("mode", self.observed.then(|| json!("observe")));
        set("tags", (self.action == "tag").then(|| json!(["x"])));
        rule
    }
}

fn leaf() -> impl Strategy<Value = Condition> {
    let keys = prop::sample::select(vec![vec!["a"], vec!["b"], vec!["a", "b"], vec!["c", "a"]]);
    let quantifier = prop::sample::select(&["", "", "any_", "all_"][..]);
    let test = prop::sample::select(vec![
        ("equals", json!(1)),
        ("equals", json!("x")),
        ("in", json!(["x", 7, true])),
        ("not_equals", json!(1)),
        ("not_in", json!(["x", "y"])),
        ("greater_than", json!(5)),
        ("contains", json!("x")),
        ("contains", json!("7")),
        ("contains", json!("x 7")),
        ("equals", json!("x 7")),
    ]);
    let exists = (prop::sample::select(&["a", "b"][..]), any::<bool>())
        .prop_map(|(key, expected)| Condition::Test(vec![key], "", "exists", json!(expected)));
    let tests = (keys, quantifier, test).prop_map(|(keys, quantifier, (verb, operand))| {
        Condition::Test(keys, quantifier, verb, operand)
    });
    prop_oneof![6 => tests, 1 => exists]
}

fn condition() -> impl Strategy<Value = Condition> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        let list = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            list().prop_map(Condition::All),
            list().prop_map(Condition::Any),
            inner
                .clone()
                .prop_map(|inner| Condition::Not(Box::new(inner))),
            (prop::sample::select(&["a", "c"][..]), inner.clone())
                .prop_map(|(key, inner)| Condition::AnyItem(key, Box::new(inner))),
        ]
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    (
        prop::sample::select(&["allow", "deny", "require_approval", "tag"][..]),
        prop::option::of(condition()),
        prop::option::of(condition()),
        prop::sample::select(&[None, None, Some("apply"), Some("skip")][..]),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(action, when, unless, if_missing, observed)| Rule {
            action,
            when,
            unless,
            if_missing,
            observed,
        })
}

fn value() -> impl Strategy<Value = Value> {
    let plain = prop::sample::select(vec![
        json!(1),
        json!(7),
        json!(7.5),
        json!("x"),
        json!("aXb"),
        json!(" 7 "),
        json!("many"),
        json!(true),
        json!(null),
        json!({}),
        json!({"a": 1, "b": "x"}),
        json!({"a": "x", "k7": 7}),
    ]);
    let list = prop::collection::vec(plain.clone(), 0..4).prop_map(Value::from);
    prop_oneof![4 => plain, 2 => list]
}

fn args() -> impl Strategy<Value = Option<Value>> {
    let known =
        prop::collection::btree_map(prop::sample::select(&["a", "b", "c"][..]), value(), 0..4)
            .prop_map(|members| Some(json!(members)));
    prop_oneof![9 => known, 1 => Just(None)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn the_language_agrees_with_its_plain_meaning(
        rules in prop::collection::vec(rule(), 1..5), args in args(),
        default in prop::sample::select(&["allow", "deny"][..]),
    ) {
        let written: Vec<Value> = rules.iter().enumerate().map(|(id, rule)| rule.write(id)).collect();
        let document = json!({
            "apiVersion": "agentguard.dev/v1", "kind": "AgentPolicy", "metadata": {"name": "p"},
            "defaults": {"action": default}, "rules": written,
        });
        let document = agentguard::policy::parse_json(document.to_string().as_bytes()).unwrap();
        let policy = compiled(&document).unwrap();
        let event = json!({"tool_call": {"args": args.clone().unwrap_or(json!("unknown"))}});
        let event = agentguard::policy::parse_json(event.to_string().as_bytes()).unwrap();
        let evaluation = evaluate(&policy, &Given::of(&event)).remove(0);

        let held: Vec<&Rule> = rules.iter().filter(|rule| rule_holds(rule, args.as_ref())).collect();
        let told: Vec<String> = evaluation.held.iter().map(|held| policy.rule(held.rule).unwrap().id.to_string()).collect();
        let expected: Vec<String> = rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule_holds(rule, args.as_ref()))
            .map(|(id, _)| format!("r{id}"))
            .collect();
        prop_assert_eq!(told, expected);
        prop_assert_eq!(evaluation.would.decision, decision(&held, default));
        let enforced: Vec<&Rule> = held.into_iter().filter(|rule| !rule.observed).collect();
        prop_assert_eq!(evaluation.ruling.decision, decision(&enforced, default));
    }
}
