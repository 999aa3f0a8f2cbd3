//! Conditions as written: `path: operand`, `all`, `any`, `not`.

use super::decode::{At, Decoder};
use super::field::{Field, FieldError, NAMES, ROOTS};
use super::node::{Data, Node};
use super::operators::Verb;
use crate::diag::codes;
use std::ops::Range;

/// One condition, or several that belong together.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// All hold.
    All(Vec<Condition>),
    /// One holds.
    Any(Vec<Condition>),
    /// It doesn't hold.
    Not(Box<Condition>),
    /// A field is tested.
    Test(Test),
}

/// Tests of one field.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) field: Field,
    /// The left side as written.
    pub(super) name: Box<str>,
    pub(super) span: Range<usize>,
    /// All must hold.
    pub(super) checks: Vec<Check>,
}

/// One verb with its operand.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    pub(super) verb: Verb,
    /// `any_…` or `all_…` in front of the verb.
    pub(super) quantifier: Option<Quantifier>,
    pub(super) operand: Operand,
    pub(super) span: Range<usize>,
    /// Where it stands, for messages of the compiler.
    pub(super) path: String,
}

/// How many of several values must fit, where the policy says so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    Any,
    All,
}

/// The right side.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    /// A value, or a list of values; a mapping only where the verb takes one.
    Value(Node),
    /// `{ list: NAME }`
    List(Box<str>, Range<usize>),
    /// `{ list: NAME, key: PATH }`: the list under the key that another field holds.
    KeyedList(Box<str>, Field, Range<usize>),
    /// Windows of time; `days` and `zone` beside them hold for those that don't say their own.
    Windows {
        windows: Box<Operand>,
        days: Option<Node>,
        zone: Option<Node>,
    },
}

impl Condition {
    /// Calls `visit` with every test in it.
    pub(super) fn each_test<'c>(&'c self, visit: &mut dyn FnMut(&'c Test)) {
        match self {
            Condition::All(list) | Condition::Any(list) => {
                for condition in list {
                    condition.each_test(visit);
                }
            }
            Condition::Not(inner) => inner.each_test(visit),
            Condition::Test(test) => visit(test),
        }
    }
}

/// Reads the value of `when` or `unless`.
pub(super) fn read(decoder: &mut Decoder, at: &At<'_>, node: &Node) -> Option<Condition> {
    let Data::Map(members) = &node.data else {
        decoder.wrong_type(at, node, "a mapping of conditions");
        return None;
    };
    let mut all = Vec::with_capacity(members.len());
    for member in members {
        let at = at.key(&member.key);
        let condition = match &*member.key {
            "all" => read_list(decoder, &at, &member.value).map(Condition::All),
            "any" => read_list(decoder, &at, &member.value).map(Condition::Any),
            "not" => read(decoder, &at, &member.value).map(|inner| Condition::Not(Box::new(inner))),
            name => {
                read_test(decoder, &at, name, &member.key_span, &member.value).map(Condition::Test)
            }
        };
        all.push(condition?);
    }
    if all.is_empty() {
        decoder.error(
            codes::AG1006,
            at,
            &node.span,
            "no condition stands here",
            "leave the key out if there is nothing to ask",
        );
        return None;
    }
    Some(match (all.len(), all.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            all.extend(last);
            Condition::All(all)
        }
    })
}

fn read_list(decoder: &mut Decoder, at: &At<'_>, node: &Node) -> Option<Vec<Condition>> {
    let Data::List(items) = &node.data else {
        decoder.wrong_type(at, node, "a list of conditions");
        return None;
    };
    if items.is_empty() {
        decoder.error(codes::AG1006, at, &node.span, "the list is empty", "");
        return None;
    }
    let mut list = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        list.push(read(decoder, &at.index(number), item)?);
    }
    Some(list)
}

/// Reads a field's name; says what is wrong with it.
pub(super) fn read_field(
    decoder: &mut Decoder,
    at: &At<'_>,
    name: &str,
    span: &Range<usize>,
) -> Option<Field> {
    match Field::parse(name) {
        Ok(field) => Some(field),
        Err(FieldError::BadPath(what)) => {
            decoder.error(
                codes::AG1009,
                at,
                span,
                format!("`{name}` is no path: {what}"),
                "paths look like `args.items[*].price`, `args[\"a.b\"]` or `args.to|cc`",
            );
            None
        }
        Err(error) => {
            let known: Vec<String> = match (error, name.split_once('.')) {
                (FieldError::UnknownPart(parts), Some((root, _))) => {
                    parts.iter().map(|part| format!("{root}.{part}")).collect()
                }
                // Either the whole name was misspelt, or what stands before its first dot.
                (_, split) => {
                    let rest = split.map(|(_, rest)| rest);
                    let roots = rest
                        .into_iter()
                        .flat_map(|rest| ROOTS.iter().map(move |root| format!("{root}.{rest}")));
                    let names = NAMES.iter().map(|name| (*name).to_owned());
                    roots.chain(names).collect()
                }
            };
            decoder.unknown(
                codes::AG1009,
                at,
                span,
                "field",
                name,
                known.iter().map(String::as_str),
            );
            None
        }
    }
}

fn read_test(
    decoder: &mut Decoder,
    at: &At<'_>,
    name: &str,
    span: &Range<usize>,
    node: &Node,
) -> Option<Test> {
    let field = read_field(decoder, at, name, span)?;
    let mut checks = Vec::new();
    match &node.data {
        _ if field == Field::Time => checks = read_time(decoder, at, node)?,
        Data::Map(members) if is_list_reference(node) => {
            let _ = members;
            let operand = read_operand(decoder, at, node)?;
            checks.push(check(Verb::In, None, operand, node, at));
        }
        Data::Map(members) => {
            for member in members {
                let at = at.key(&member.key);
                let Some((quantifier, verb)) = read_verb(&member.key) else {
                    let words: Vec<&str> = Verb::ALL.iter().map(|verb| verb.word()).collect();
                    decoder.unknown(
                        codes::AG1010,
                        &at,
                        &member.key_span,
                        "operator",
                        &member.key,
                        words.iter().copied(),
                    );
                    return None;
                };
                let operand = read_operand(decoder, &at, &member.value)?;
                checks.push(check(verb, quantifier, operand, &member.value, &at));
            }
            if checks.is_empty() {
                decoder.error(
                    codes::AG1006,
                    at,
                    &node.span,
                    "no operator stands here",
                    "for example `{ equals: … }` or just the value",
                );
                return None;
            }
        }
        Data::List(_) => checks.push(check(
            Verb::In,
            None,
            Operand::Value(node.clone()),
            node,
            at,
        )),
        _ => checks.push(check(
            Verb::Equals,
            None,
            Operand::Value(node.clone()),
            node,
            at,
        )),
    }
    Some(Test {
        field,
        name: name.into(),
        span: span.clone(),
        checks,
    })
}

/// `time: { outside: "09:00-17:00", days: mon-fri, zone: America/New_York }`
fn read_time(decoder: &mut Decoder, at: &At<'_>, node: &Node) -> Option<Vec<Check>> {
    let Data::Map(members) = &node.data else {
        decoder.error(
            codes::AG1011,
            at,
            &node.span,
            "the time is equal to nothing for longer than a moment",
            "write for example `time: { outside: \"09:00-17:00\", days: mon-fri, zone: Europe/Berlin }`",
        );
        return None;
    };
    let mut checks = Vec::new();
    let mut has_windows = false;
    for member in members {
        let at = at.key(&member.key);
        let value = &member.value;
        let verb = match &*member.key {
            "days" | "zone" => continue,
            word => Verb::parse(word),
        };
        let Some(verb) = verb.filter(|verb| verb.asks_time()) else {
            let known = Verb::ALL.iter().filter(|verb| verb.asks_time());
            let words: Vec<&str> = known
                .map(|verb| verb.word())
                .chain(["days", "zone"])
                .collect();
            decoder.unknown(
                codes::AG1010,
                &at,
                &member.key_span,
                "operator of `time`",
                &member.key,
                words.iter().copied(),
            );
            return None;
        };
        let operand = if verb.takes_windows() {
            has_windows = true;
            Operand::Windows {
                windows: Box::new(read_operand(decoder, &at, value)?),
                days: node.get("days").cloned(),
                zone: node.get("zone").cloned(),
            }
        } else {
            Operand::Value(value.clone())
        };
        checks.push(check(verb, None, operand, value, &at));
    }
    if checks.is_empty() || (!has_windows && checks.len() < members.len()) {
        decoder.error(
            codes::AG1006,
            at,
            &node.span,
            "nothing says which time of day is meant",
            "`days` and `zone` stand beside `inside`, `outside` or `schedule`",
        );
        return None;
    }
    Some(checks)
}

fn check(
    verb: Verb,
    quantifier: Option<Quantifier>,
    operand: Operand,
    node: &Node,
    at: &At<'_>,
) -> Check {
    Check {
        verb,
        quantifier,
        operand,
        span: node.span.clone(),
        path: at.path(),
    }
}

/// `contains`, `any_contains`, `all_contains`.
fn read_verb(word: &str) -> Option<(Option<Quantifier>, Verb)> {
    if let Some(verb) = Verb::parse(word) {
        return Some((None, verb));
    }
    let (quantifier, rest) = match (word.strip_prefix("any_"), word.strip_prefix("all_")) {
        (Some(rest), _) => (Quantifier::Any, rest),
        (_, Some(rest)) => (Quantifier::All, rest),
        _ => return None,
    };
    Verb::parse(rest).map(|verb| (Some(quantifier), verb))
}

fn is_list_reference(node: &Node) -> bool {
    let members = node.members();
    node.get("list").is_some()
        && members
            .iter()
            .all(|member| matches!(&*member.key, "list" | "key"))
}

fn read_operand(decoder: &mut Decoder, at: &At<'_>, node: &Node) -> Option<Operand> {
    if !is_list_reference(node) {
        if let Some(path) = node.get("path").filter(|_| node.members().len() == 1) {
            decoder.error(
                codes::AG1017,
                at,
                &path.span,
                "comparing with another field is not supported yet",
                "",
            );
            return None;
        }
        return Some(Operand::Value(node.clone()));
    }
    let list = node.get("list")?;
    let name = decoder.text(&at.key("list"), list)?;
    let Some(key) = node.get("key") else {
        return Some(Operand::List(name, list.span.clone()));
    };
    let at = at.key("key");
    let path = decoder.text(&at, key)?;
    let field = read_field(decoder, &at, &path, &key.span)?;
    Some(Operand::KeyedList(name, field, list.span.clone()))
}
