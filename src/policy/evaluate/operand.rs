//! Operands that are known only when a rule is evaluated: what another field of the event holds.

use crate::policy::compiled::Operator;
use crate::policy::operators::{
    Affix, Comparison, ContainsDynamic, Domains, Equality, Folders, Literal, Verb, number,
};
use crate::policy::scalar::Scalar;

/// Makes operators of the values that another field holds: one of all for verbs that take a list, else one of each. None
/// if one of the values can't be compared with.
pub(crate) fn operators(verb: Verb, values: &[Scalar<'_>], names: bool) -> Option<Vec<Operator>> {
    if verb.takes_list() {
        return one(verb, values, names).map(|operator| vec![operator]);
    }
    values
        .iter()
        .map(|value| one(verb, std::slice::from_ref(value), names))
        .collect()
}

fn one(verb: Verb, values: &[Scalar<'_>], names: bool) -> Option<Operator> {
    match verb {
        Verb::Equals | Verb::NotEquals | Verb::In | Verb::NotIn => {
            let literals = values.iter().map(literal).collect::<Option<Vec<_>>>()?;
            Some(Operator::Equality(Equality {
                literals,
                negative: verb.is_negative(),
                names,
            }))
        }
        Verb::Contains | Verb::ContainsAny | Verb::ContainsAll => {
            let all = verb == Verb::ContainsAll;
            ContainsDynamic::new(&texts(values)?, all).map(Operator::Stands)
        }
        Verb::StartsWith | Verb::EndsWith => {
            let texts = texts(values)?;
            let is_sound = texts.iter().all(|text| !text.trim().is_empty());
            is_sound.then(|| Operator::Affix(Affix::new(&texts, verb == Verb::EndsWith)))
        }
        Verb::DomainIn | Verb::DomainNotIn => {
            let domains = Domains::parse(&texts(values)?, verb.is_negative());
            domains.ok().map(Operator::Domains)
        }
        Verb::PathWithin | Verb::PathNotWithin => {
            let folders = Folders::parse(&texts(values)?, verb.is_negative());
            folders.ok().map(Operator::Folders)
        }
        _ => order(verb, values),
    }
}

fn order(verb: Verb, values: &[Scalar<'_>]) -> Option<Operator> {
    let [value] = values else { return None };
    let number = number(value)?;
    let above = |included| Comparison {
        low: Some((number.clone(), included)),
        high: None,
    };
    let below = |included| Comparison {
        low: None,
        high: Some((number.clone(), included)),
    };
    let exactly = || Comparison {
        low: Some((number.clone(), true)),
        high: Some((number.clone(), true)),
    };
    Some(match verb {
        Verb::GreaterThan => Operator::Order(above(false)),
        Verb::AtLeast => Operator::Order(above(true)),
        Verb::LessThan => Operator::Order(below(false)),
        Verb::AtMost => Operator::Order(below(true)),
        Verb::CountGreaterThan => Operator::Count(above(false)),
        Verb::CountAtLeast => Operator::Count(above(true)),
        Verb::CountLessThan => Operator::Count(below(false)),
        Verb::CountAtMost => Operator::Count(below(true)),
        Verb::CountEquals => Operator::Count(exactly()),
        Verb::LengthGreaterThan => Operator::Length(above(false)),
        Verb::LengthAtLeast => Operator::Length(above(true)),
        Verb::LengthLessThan => Operator::Length(below(false)),
        Verb::LengthAtMost => Operator::Length(below(true)),
        Verb::LengthEquals => Operator::Length(exactly()),
        _ => return None,
    })
}

fn literal(value: &Scalar<'_>) -> Option<Literal> {
    use crate::wire::json::Decimal;
    match value {
        Scalar::Null => Some(Literal::Null),
        Scalar::Bool(value, _) => Some(Literal::Bool(*value)),
        Scalar::Number(text, _) => Decimal::parse(text).map(Literal::Number),
        Scalar::Text(text) => Some(Literal::text(&text.text())),
        Scalar::Object(_) | Scalar::Array(_) => None,
    }
}

/// Texts, and numbers and booleans as written.
fn texts(values: &[Scalar<'_>]) -> Option<Vec<Box<str>>> {
    let text = |value: &Scalar<'_>| match value {
        Scalar::Text(text) => Some(text.text().into()),
        Scalar::Number(text, _) => Some((**text).into()),
        Scalar::Bool(value, _) => Some(if *value { "true" } else { "false" }.into()),
        Scalar::Null | Scalar::Object(_) | Scalar::Array(_) => None,
    };
    values.iter().map(text).collect()
}
