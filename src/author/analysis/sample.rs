//! Values that should make a test of a field true or false: typical values, and those at the edges. Only the policy
//! decides whether they do.

use super::meaning::{Formula, Range, TestOperand};
use super::pattern::text_for;
use super::search::{Candidate, put, solve};
use crate::event::Known;
use crate::policy::node::{Node, NodeValue};
use crate::policy::operators::{OperandKind, STRANGER, Verb};
use crate::policy::parse_json;
use crate::wire::json::{Decimal, JsonPath};
use std::collections::BTreeSet;

/// Maximum elements of a generated list.
const MOST_ELEMENTS: usize = 2_000;

/// Maximum earlier events that are generated.
const MOST_EVENTS: usize = 32;

/// Maximum values for one test.
const MOST_VALUES: usize = 6;

/// Value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::author) enum Sample {
    /// The value is missing.
    Missing,
    /// The value can't be determined.
    Unknown,
    /// A known value.
    Is(Node),
    /// Events that are earlier in the conversation.
    Before(Vec<Candidate>),
}

impl Sample {
    pub(in crate::author) fn text(text: &str) -> Sample {
        Sample::Is(node(NodeValue::String(text.into())))
    }

    fn number(text: &str) -> Sample {
        Sample::Is(node(NodeValue::Number(text.into())))
    }
}

fn node(data: NodeValue) -> Node {
    Node { span: 0..0, data }
}

/// Returns values that should make a test true, or false.
pub(super) fn samples(ask: &TestOperand, fits: bool) -> Vec<Sample> {
    let mut samples = match (ask, fits) {
        (TestOperand::In(values), true) | (TestOperand::NotIn(values), false) => typed(values),
        (TestOperand::In(values), false) | (TestOperand::NotIn(values), true) => strangers(values),
        (TestOperand::Exists(yes), _) if *yes == fits => vec![Sample::text("x")],
        (TestOperand::Exists(_), _) => vec![Sample::Missing],
        (TestOperand::Order(range), _) => numbers(range, fits)
            .iter()
            .map(|number| Sample::number(number))
            .collect(),
        (TestOperand::Count(range), _) => lengths(range, fits).into_iter().map(addresses).collect(),
        (TestOperand::Length(range), _) => lengths(range, fits)
            .into_iter()
            .map(|length| Sample::text(&"x".repeat(length)))
            .collect(),
        (TestOperand::Globs(globs), true) => globs
            .iter()
            .map(|glob| Sample::text(&fitting(glob)))
            .collect(),
        (TestOperand::Globs(_), false) => vec![Sample::text(STRANGER)],
        (TestOperand::OneOf(verb, texts), true) => one_of(*verb, texts),
        (TestOperand::OneOf(verb, _), false) => vec![Sample::text(verb.reference().stranger)],
        (TestOperand::AllOf(Verb::ContainsAll, texts), true) => {
            vec![Sample::text(
                &Vec::from_iter(texts.iter().cloned()).join(" "),
            )]
        }
        (TestOperand::AllOf(verb, texts), false) if verb.is_negative() => one_of(*verb, texts),
        (TestOperand::AllOf(verb, _), _) => vec![Sample::text(verb.reference().stranger)],
        (TestOperand::RowsOver(rows), _) => {
            let rows = if fits { rows.saturating_add(1) } else { *rows };
            vec![Sample::text(&format!("SELECT a FROM t LIMIT {rows}"))]
        }
        (TestOperand::AnyItem(formula), true) => items(formula),
        (TestOperand::AnyItem(_), false) => vec![Sample::Is(node(NodeValue::List(Vec::new())))],
        (TestOperand::Earlier { .. }, false) => vec![Sample::Before(Vec::new())],
        (
            TestOperand::Earlier {
                kind,
                formula,
                count: (at_least, in_a_row),
            },
            true,
        ) => {
            let event = Candidate {
                kind: *kind,
                assignments: solve(formula).into_iter().next().unwrap_or_default(),
            };
            let count = usize::try_from((*at_least).max(*in_a_row)).unwrap_or(1);
            vec![Sample::Before(vec![event; count.clamp(1, MOST_EVENTS)])]
        }
        // Values of the list under some key; the caller adds the key.
        (TestOperand::Keyed { verb, lists, .. }, fits) => {
            let asks = lists.values().map(|texts| ask_of_texts(*verb, texts));
            asks.flat_map(|ask| samples(&ask, fits)).collect()
        }
        // No event determines what a limit has counted.
        (TestOperand::Limit(_), _) => vec![Sample::Unknown],
        (TestOperand::Other(verb, _), _) if verb.asks_time() => times(),
        (TestOperand::Other(..), _) => vec![Sample::text(STRANGER)],
    };
    samples.truncate(MOST_VALUES.max(if matches!(ask, TestOperand::Other(..)) {
        16
    } else {
        0
    }));
    samples
}

/// Returns the operand of an operator with the texts of a keyed list, which are prefixed by their types.
pub(super) fn ask_of_texts(verb: Verb, texts: &BTreeSet<String>) -> TestOperand {
    let plain = || {
        let texts = texts.iter().filter_map(|text| text.split_once(':'));
        texts.map(|(_, text)| text.to_owned()).collect()
    };
    match verb {
        Verb::Equals | Verb::In => TestOperand::In(texts.clone()),
        Verb::NotEquals | Verb::NotIn => TestOperand::NotIn(texts.clone()),
        Verb::Glob => TestOperand::Globs(plain()),
        Verb::ContainsAll | Verb::DomainNotIn | Verb::PathNotWithin => {
            TestOperand::AllOf(verb, plain())
        }
        Verb::Contains => TestOperand::OneOf(Verb::ContainsAny, plain()),
        verb => TestOperand::OneOf(verb, plain()),
    }
}

/// Returns lists with one item that should match.
fn items(formula: &Formula) -> Vec<Sample> {
    solve(formula)
        .into_iter()
        .map(|assignments| {
            let mut item = Known::Is(node(NodeValue::Map(Vec::new())));
            for assignment in assignments {
                let path = assignment.field.strip_prefix("item").unwrap_or_default();
                if let Ok(path) = JsonPath::parse(path) {
                    put(&mut item, &path, &assignment.sample);
                }
            }
            let item = item.value().cloned();
            Sample::Is(node(NodeValue::List(item.into_iter().collect())))
        })
        .collect()
}

/// Returns values of the types with which they are prefixed.
fn typed(values: &BTreeSet<String>) -> Vec<Sample> {
    values
        .iter()
        .filter_map(|value| match value.split_once(':')? {
            ("s", text) => Some(Sample::text(text)),
            ("n", number) => Some(Sample::number(number)),
            (_, json) => parse_json(json.as_bytes()).ok().map(Sample::Is),
        })
        .collect()
}

/// Returns values of the same types that are not in the set.
fn strangers(values: &BTreeSet<String>) -> Vec<Sample> {
    let has = |start: &str| values.iter().any(|value| value.starts_with(start));
    let mut strangers = Vec::new();
    if has("n:") {
        strangers.push(Sample::number("987654321"));
    }
    if has("j:true") {
        strangers.push(Sample::Is(node(NodeValue::Bool(false))));
    }
    if has("j:false") {
        strangers.push(Sample::Is(node(NodeValue::Bool(true))));
    }
    if has("s:") || strangers.is_empty() {
        strangers.push(Sample::text(STRANGER));
    }
    strangers
}

/// Returns numbers at the edges of a range.
fn numbers(range: &Range, fits: bool) -> Vec<String> {
    let moved = |number: &Decimal, by: i64| -> String {
        let text = number.to_string();
        match text.parse::<i64>() {
            Ok(number) => number.saturating_add(by).to_string(),
            Err(_) => match text.parse::<f64>() {
                Ok(number) => format!("{}", number + f64::from(i32::try_from(by).unwrap_or(1))),
                Err(_) => text,
            },
        }
    };
    // A number between two integers, where a rule for integers may have a gap.
    let half = |number: &Decimal, above: bool| -> Vec<String> {
        let below = |number: u32| {
            if above {
                Some(number)
            } else {
                number.checked_sub(1)
            }
        };
        let whole = number.to_string().parse::<u32>().ok().and_then(below);
        whole
            .map(|whole| format!("{whole}.5"))
            .into_iter()
            .collect()
    };
    let mut numbers = match (&range.low, &range.high, fits) {
        (Some((low, true)), _, true) => vec![low.to_string(), moved(low, 1)],
        (Some((low, false)), _, true) => vec![moved(low, 1), moved(low, 1_000)],
        (None, Some((high, true)), true) => vec![high.to_string(), moved(high, -1)],
        (None, Some((high, false)), true) => vec![moved(high, -1), moved(high, -1_000)],
        (Some((low, true)), _, false) => vec![moved(low, -1)],
        (Some((low, false)), _, false) => vec![low.to_string(), moved(low, -1)],
        (None, Some((high, true)), false) => vec![moved(high, 1)],
        (None, Some((high, false)), false) => vec![high.to_string(), moved(high, 1)],
        (None, None, _) => vec!["1".to_owned()],
    };
    match (&range.low, &range.high) {
        (Some((low, _)), _) => numbers.extend(half(low, fits)),
        (None, Some((high, _))) => numbers.extend(half(high, !fits)),
        (None, None) => {}
    }
    // Of two bounds a change may move either one.
    if let (Some((low, _)), Some((high, is_within))) = (&range.low, &range.high) {
        if *is_within == fits {
            numbers.push(high.to_string());
        }
        numbers.push(moved(high, if fits { -1 } else { 1 }));
        numbers.extend(match fits {
            true => middle(low, high),
            false => half(high, true).pop(),
        });
    }
    numbers
}

/// Returns a number between two others.
fn middle(low: &Decimal, high: &Decimal) -> Option<String> {
    let (low, high) = (low.to_string(), high.to_string());
    if let (Ok(low), Ok(high)) = (low.parse::<i64>(), high.parse::<i64>()) {
        return low.checked_add(high).map(|sum| (sum / 2).to_string());
    }
    let (low, high) = (low.parse::<f64>().ok()?, high.parse::<f64>().ok()?);
    Some(format!("{}", low / 2.0 + high / 2.0))
}

fn lengths(range: &Range, fits: bool) -> Vec<usize> {
    numbers(range, fits)
        .iter()
        .filter_map(|number| number.parse().ok())
        .filter(|length| *length <= MOST_ELEMENTS)
        .collect()
}

/// Returns a list with this number of addresses.
fn addresses(count: usize) -> Sample {
    let addresses = (0..count)
        .map(|at| node(NodeValue::String(format!("a{at}@example.com").into())))
        .collect();
    Sample::Is(node(NodeValue::List(addresses)))
}

/// Returns a name that matches a glob.
pub(in crate::author) fn fitting(glob: &str) -> String {
    let mut out = String::new();
    let mut chars = glob.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => {
                if !out.ends_with('x') {
                    out.push('x');
                }
            }
            '?' => out.push('x'),
            '[' => {
                let set: String = chars.by_ref().take_while(|c| *c != ']').collect();
                let first = set.chars().find(|c| !matches!(c, '!' | '^'));
                let negated = set.starts_with(['!', '^']);
                out.push(if negated { '~' } else { first.unwrap_or('x') });
            }
            c => out.push(c),
        }
    }
    out
}

fn one_of(verb: Verb, texts: &BTreeSet<String>) -> Vec<Sample> {
    if verb.spec().operand == OperandKind::Patterns {
        let mut made: Vec<String> = Vec::new();
        for way in 0..MOST_VALUES {
            for text in texts.iter().filter_map(|text| text_for(text, way)) {
                if !made.contains(&text) {
                    made.push(text);
                }
            }
        }
        return made.iter().map(|text| Sample::text(text)).collect();
    }
    let fits = verb.reference().fits;
    let made = texts.iter().filter_map(|text| fits(text));
    made.map(|text| Sample::text(&text)).collect()
}

/// Returns times in an ordinary week: at night, in working hours, at a weekend.
fn times() -> Vec<Sample> {
    [
        "2026-03-11T03:30:00Z",
        "2026-03-11T08:30:00Z",
        "2026-03-11T12:00:00Z",
        "2026-03-11T16:30:00Z",
        "2026-03-11T20:30:00Z",
        "2026-03-11T23:30:00Z",
        "2026-03-14T12:00:00Z",
        "2000-01-01T00:00:00Z",
        "2100-01-01T00:00:00Z",
    ]
    .iter()
    .map(|time| Sample::text(time))
    .collect()
}
