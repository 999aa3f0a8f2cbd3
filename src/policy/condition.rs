//! Conditions as written: `path: operand`, `all`, `any`, `not`.

use super::condition_tree::{ConditionTree, Leaf};
use super::decode::{Decoder, PolicyPath};
use super::field::Field;
use super::field_ref::{FieldRef, read_field_ref, read_item_field};
use super::match_item::{MatchItem, is_match_key, read_match_item};
use super::node::{Member, Node, NodeValue};
use super::operators::{Polarity, RUNS, USUAL_RUN, Verb};
use crate::diag::codes;
use crate::event::Kind;
use std::ops::Range;

/// Condition as written.
pub(crate) type Condition = ConditionTree<Test, FieldRef, Box<Earlier>>;

/// Condition on the conversation before the event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Earlier {
    pub(crate) field_ref: FieldRef,
    pub(crate) kind: Kind,
    pub(crate) matches: Vec<MatchItem>,
    pub(crate) condition: Option<Condition>,
    /// Minimum of matching events.
    pub(crate) at_least: u32,
    /// Number of the last events of this kind that must all match.
    pub(crate) in_a_row: u32,
}

/// Tests of one field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Test {
    /// Field on the left side.
    pub(crate) field_ref: FieldRef,
    /// Checks, all of which must match.
    pub(crate) checks: Vec<Check>,
}

/// One verb with its operand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Check {
    pub(crate) verb: Verb,
    /// `any_…` or `all_…` in front of the verb.
    pub(crate) quantifier: Option<Quantifier>,
    pub(crate) operand: Operand,
    pub(crate) span: Range<usize>,
    /// Path of the check in the policy, for messages of the compiler.
    pub(crate) path: String,
}

/// How many of several values must match, if the policy specifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantifier {
    Any,
    All,
}

/// Right side of a check.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    /// A value, or a list of values; a mapping only where the verb takes one.
    Value(Node),
    /// `{ list: NAME }`
    List(Box<str>, Range<usize>),
    /// `{ list: NAME, key: PATH }`: the list under the key that another field contains.
    KeyedList(Box<str>, FieldRef, Range<usize>),
    /// Windows of time. `days` and `zone` apply to the windows that don't have their own.
    Windows {
        windows: Box<Operand>,
        days: Option<Node>,
        zone: Option<Node>,
    },
    /// `{ path: PATH }`: the value of another field of the event.
    Field(FieldRef),
    /// `{ earlier: { … } }`: texts before the event in the conversation.
    Earlier(Box<Earlier>),
    /// Operand of `overlaps`, and the number of characters in a row that count as a shared text.
    Overlap { with: Box<Operand>, run: usize },
    /// `{ commands: […], redirect: […], variables: […] }`: commands, the folders that their redirections may write to, and
    /// the variables that may be assigned.
    Commands {
        commands: Box<Operand>,
        redirect: Option<Node>,
        variables: Option<Node>,
    },
}

impl Condition {
    /// Calls `visit` with every test of the items of a list.
    pub(crate) fn each_item_test<'c>(&'c self, visit: &mut dyn FnMut(&'c Test)) {
        self.each_leaf(Polarity::Restricting, &mut |leaf, _| {
            if let Leaf::AnyItem(_, condition) = leaf {
                condition.each_test(visit);
                condition.each_item_test(visit);
            }
        });
    }

    /// Calls `visit` with every operand, whatever it is compared with.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn each_operand<'c>(&'c self, visit: &mut dyn FnMut(&'c Operand)) {
        self.each_leaf(Polarity::Restricting, &mut |leaf, _| match leaf {
            Leaf::Test(test) => test.checks.iter().for_each(|check| visit(&check.operand)),
            Leaf::AnyItem(_, condition) => condition.each_operand(visit),
            Leaf::Earlier(earlier) => {
                if let Some(condition) = &earlier.condition {
                    condition.each_operand(visit);
                }
            }
        });
    }

    /// Calls `visit` with every field in the condition, on either side of an operator, and with the kind of the earlier
    /// event if it is a field of one.
    pub(crate) fn each_field<'c>(
        &'c self,
        of: Option<Kind>,
        visit: &mut dyn FnMut(&'c FieldRef, Option<Kind>),
    ) {
        self.each_leaf(Polarity::Restricting, &mut |leaf, _| match leaf {
            Leaf::Test(test) => {
                visit(&test.field_ref, of);
                for check in &test.checks {
                    check.operand.each_field(of, visit);
                }
            }
            Leaf::AnyItem(list, condition) => {
                visit(list, of);
                condition.each_field(of, visit);
            }
            Leaf::Earlier(earlier) => {
                visit(&earlier.field_ref, of);
                earlier.each_field(visit);
            }
        });
    }
}

impl Earlier {
    fn each_field<'c>(&'c self, visit: &mut dyn FnMut(&'c FieldRef, Option<Kind>)) {
        for item in &self.matches {
            visit(&item.field_ref, Some(self.kind));
        }
        if let Some(condition) = &self.condition {
            condition.each_field(Some(self.kind), visit);
        }
    }
}

impl Operand {
    fn each_field<'c>(
        &'c self,
        of: Option<Kind>,
        visit: &mut dyn FnMut(&'c FieldRef, Option<Kind>),
    ) {
        match self {
            Operand::Field(field_ref) | Operand::KeyedList(_, field_ref, _) => visit(field_ref, of),
            Operand::Earlier(earlier) => {
                visit(&earlier.field_ref, of);
                earlier.each_field(visit);
            }
            Operand::Windows { windows: inner, .. }
            | Operand::Overlap { with: inner, .. }
            | Operand::Commands {
                commands: inner, ..
            } => {
                inner.each_field(of, visit);
            }
            Operand::Value(_) | Operand::List(..) => {}
        }
    }
}

/// Owner of the fields that a condition names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FieldScope {
    /// The event.
    Event,
    /// One item of a list: the fields are paths into it.
    Item,
}

/// Reads the value of `when` or `unless`.
pub(crate) fn read(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Condition> {
    read_of(decoder, at, node, FieldScope::Event)
}

fn read_of(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    subject: FieldScope,
) -> Option<Condition> {
    let NodeValue::Map(members) = &node.data else {
        decoder.wrong_type(at, node, "a mapping of conditions");
        return None;
    };
    let all = each(members, |member| read_member(decoder, at, member, subject))?;
    if all.is_empty() {
        decoder.error(
            codes::AG1006,
            at,
            &node.span,
            "a condition is missing here",
            "leave the key out if there is nothing to ask",
        );
    }
    joined(all)
}

/// Reads each item. Returns `None` if one of them is invalid, but only after reading all of them, so that all errors are
/// reported.
pub(crate) fn each<T, U>(items: &[T], mut read: impl FnMut(&T) -> Option<U>) -> Option<Vec<U>> {
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        all.extend(read(item));
    }
    (all.len() == items.len()).then_some(all)
}

/// Joins several conditions, which must all match; `None` if there are none.
fn joined(mut all: Vec<Condition>) -> Option<Condition> {
    if all.len() > 1 {
        return Some(Condition::All(all));
    }
    all.pop()
}

fn read_member(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    member: &Member,
    subject: FieldScope,
) -> Option<Condition> {
    let at = at.key(&member.key);
    let value = &member.value;
    match &*member.key {
        "all" => read_list(decoder, &at, value, subject).map(Condition::All),
        "any" => read_list(decoder, &at, value, subject).map(Condition::Any),
        "not" => read_of(decoder, &at, value, subject).map(|inner| Condition::Not(Box::new(inner))),
        name => {
            let field_ref = match subject {
                FieldScope::Event => read_field_ref(decoder, &at, name, &member.key_span),
                FieldScope::Item => read_item_field(decoder, &at, name, &member.key_span),
            }?;
            if field_ref.field == Field::Earlier {
                return read_earlier(decoder, &at, field_ref, value)
                    .map(|earlier| Condition::Earlier(Box::new(earlier)));
            }
            read_test(decoder, &at, field_ref, value)
        }
    }
}

fn read_list(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    subject: FieldScope,
) -> Option<Vec<Condition>> {
    let NodeValue::List(items) = &node.data else {
        decoder.wrong_type(at, node, "a list of conditions");
        return None;
    };
    if items.is_empty() {
        decoder.error(codes::AG1006, at, &node.span, "the list is empty", "");
        return None;
    }
    let mut numbers = 0usize..;
    each(items, |item| {
        let number = numbers.next().unwrap_or_default();
        read_of(decoder, &at.index(number), item, subject)
    })
}

fn read_test(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    field_ref: FieldRef,
    node: &Node,
) -> Option<Condition> {
    let mut checks = Vec::new();
    let mut items = None;
    match &node.data {
        _ if field_ref.field == Field::Time => checks = read_time(decoder, at, node)?,
        NodeValue::Map(_) if is_list_reference(node) => {
            let operand = read_operand(decoder, at, node)?;
            checks.push(check(Verb::In, None, operand, node, at));
        }
        NodeValue::Map(_) if is_path_reference(node) => {
            let operand = read_operand(decoder, at, node)?;
            checks.push(check(Verb::Equals, None, operand, node, at));
        }
        NodeValue::Map(members) => {
            let read = each(members, |member| {
                let at = at.key(&member.key);
                if &*member.key == "any_item" {
                    let condition = read_of(decoder, &at, &member.value, FieldScope::Item)?;
                    items = Some(Condition::AnyItem {
                        list: field_ref.clone(),
                        condition: Box::new(condition),
                    });
                    return Some(None);
                }
                let Some((quantifier, verb)) = read_verb(&member.key) else {
                    let words: Vec<&str> = Verb::ALL.iter().map(|verb| verb.word()).collect();
                    decoder.unknown(
                        codes::AG1010,
                        &at,
                        &member.key_span,
                        "operator",
                        &member.key,
                        &words,
                    );
                    return None;
                };
                let operand = match verb {
                    Verb::Overlaps => read_overlap(decoder, &at, &member.value)?,
                    Verb::CommandIn if member.value.get("commands").is_some() => {
                        read_commands(decoder, &at, &member.value)?
                    }
                    _ => read_operand(decoder, &at, &member.value)?,
                };
                Some(Some(check(verb, quantifier, operand, &member.value, &at)))
            });
            checks.extend(read?.into_iter().flatten());
            if checks.is_empty() && items.is_none() {
                decoder.error(
                    codes::AG1006,
                    at,
                    &node.span,
                    "an operator is missing here",
                    "for example `{ equals: … }` or just the value",
                );
                return None;
            }
        }
        NodeValue::List(_) => checks.push(check(
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
    let test = (!checks.is_empty()).then_some(Condition::Test(Test { field_ref, checks }));
    joined(test.into_iter().chain(items).collect())
}

/// Reads `earlier: { event: tool_result, tool: web_fetch, ok: true, count_at_least: 2 }`.
fn read_earlier(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    field_ref: FieldRef,
    node: &Node,
) -> Option<Earlier> {
    let NodeValue::Map(members) = &node.data else {
        decoder.wrong_type(at, node, "a mapping that describes an earlier event");
        return None;
    };
    let mut kind = None;
    let mut matches = Vec::new();
    let mut conditions = Vec::new();
    let mut counts = [1, 0];
    for member in members {
        let inner = at.key(&member.key);
        let value = &member.value;
        let is_plain = matches!(value.data, NodeValue::String(_) | NodeValue::List(_));
        match &*member.key {
            "event" => {
                let words = [Kind::ToolCall, Kind::ToolResult, Kind::Message];
                kind = Some(decoder.word(&inner, value, &words.map(|kind| (kind.word(), kind)))?);
            }
            key @ ("count_at_least" | "in_a_row") => {
                let count = decoder.positive(&inner, value)?;
                if let Some(slot) = counts.get_mut(usize::from(key == "in_a_row")) {
                    *slot = count;
                }
            }
            key if is_plain && is_match_key(key) => {
                matches.push(read_match_item(decoder, at, member)?);
            }
            _ => conditions.push(read_member(decoder, at, member, FieldScope::Event)?),
        }
    }
    let condition = joined(conditions);
    let mut told = Vec::new();
    for item in &matches {
        told.push(&item.field_ref.field);
    }
    if let Some(condition) = &condition {
        condition.each_field(None, &mut |field_ref, _| told.push(&field_ref.field));
    }
    let told = |kind: Kind| told.iter().any(|field| field.only_kind() == Some(kind));
    let kind = match kind {
        Some(kind) => kind,
        None if told(Kind::ToolResult) => Kind::ToolResult,
        None if told(Kind::ToolCall) => Kind::ToolCall,
        None => {
            decoder.error(
                codes::AG1014,
                at,
                &node.span,
                "the earlier event is not described",
                "write `event: tool_call`, `event: tool_result` or `event: message`",
            );
            return None;
        }
    };
    let [at_least, in_a_row] = counts;
    let earlier = Earlier {
        field_ref,
        kind,
        matches,
        condition,
        at_least,
        in_a_row,
    };
    let mut nested = false;
    earlier.each_field(&mut |field_ref, _| nested |= field_ref.field == Field::Earlier);
    if nested {
        let message = "`earlier` does not stand inside `earlier`";
        decoder.error(codes::AG1011, at, &node.span, message, "");
        return None;
    }
    Some(earlier)
}

/// Reads `time: { outside: "09:00-17:00", days: mon-fri, zone: America/New_York }`.
fn read_time(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Vec<Check>> {
    let NodeValue::Map(members) = &node.data else {
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
                &words,
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
            "the time of day is missing",
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
    at: &PolicyPath<'_>,
) -> Check {
    Check {
        verb,
        quantifier,
        operand,
        span: node.span.clone(),
        path: at.path(),
    }
}

/// Reads a verb with its quantifier: `contains`, `any_contains`, `all_contains`.
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

/// Reads `overlaps: { earlier: { tool: read_secret }, length_at_least: 8 }`.
fn read_overlap(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Operand> {
    let mut with = Vec::new();
    let mut run = USUAL_RUN;
    for member in decoder.mapping(at, node, &["path", "earlier", "length_at_least"])? {
        if &*member.key == "length_at_least" {
            let at = at.key(&member.key);
            let length = decoder.count(&at, &member.value)?;
            match usize::try_from(length)
                .ok()
                .filter(|run| RUNS.contains(run))
            {
                Some(length) => run = length,
                None => {
                    let message = format!("from {} to {}", RUNS.start(), RUNS.end());
                    let help = format!("leave it out for {USUAL_RUN}");
                    decoder.error(codes::AG1011, &at, &member.value.span, &message, &help);
                    return None;
                }
            }
        } else {
            let only = Node {
                span: member.value.span.clone(),
                data: NodeValue::Map(vec![member.clone()]),
            };
            with.push(read_operand(decoder, at, &only)?);
        }
    }
    match (with.len(), with.pop()) {
        (1, Some(with)) => Some(Operand::Overlap {
            with: Box::new(with),
            run,
        }),
        _ => {
            decoder.error(
                codes::AG1006,
                at,
                &node.span,
                "what is it compared with?",
                "write `overlaps: { path: PATH }` or `overlaps: { earlier: { tool: NAME } }`",
            );
            None
        }
    }
}

/// Reads `command_in: { commands: [ls, cat], redirect: [/tmp], variables: [TARGET] }`.
fn read_commands(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Operand> {
    let mut commands = None;
    let (mut redirect, mut variables) = (None, None);
    for member in decoder.mapping(at, node, &["commands", "redirect", "variables"])? {
        let value = &member.value;
        match &*member.key {
            "commands" => commands = Some(read_operand(decoder, &at.key("commands"), value)?),
            "redirect" => redirect = Some(value.clone()),
            _ => variables = Some(value.clone()),
        }
    }
    Some(Operand::Commands {
        commands: Box::new(commands?),
        redirect,
        variables,
    })
}

fn is_path_reference(node: &Node) -> bool {
    node.get("path").is_some() && node.members().len() == 1
}

fn read_operand(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Operand> {
    if is_path_reference(node) {
        let at = at.key("path");
        let path = node.get("path")?;
        let name = decoder.text(&at, path)?;
        return read_field_ref(decoder, &at, &name, &path.span).map(Operand::Field);
    }
    if let Some(earlier) = node.get("earlier").filter(|_| node.members().len() == 1) {
        let at = at.key("earlier");
        let field_ref = FieldRef {
            field: Field::Earlier,
            name: "earlier".into(),
            span: earlier.span.clone(),
        };
        return read_earlier(decoder, &at, field_ref, earlier)
            .map(|earlier| Operand::Earlier(Box::new(earlier)));
    }
    if !is_list_reference(node) {
        return Some(Operand::Value(node.clone()));
    }
    let list = node.get("list")?;
    let name = decoder.text(&at.key("list"), list)?;
    let Some(key) = node.get("key") else {
        return Some(Operand::List(name, list.span.clone()));
    };
    let at = at.key("key");
    let path = decoder.text(&at, key)?;
    let field = read_field_ref(decoder, &at, &path, &key.span)?;
    Some(Operand::KeyedList(name, field, list.span.clone()))
}
