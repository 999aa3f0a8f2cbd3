//! Operands that are known only when a rule is evaluated: the values of another field of the event.

use crate::policy::compiled::Operator;
use crate::policy::operators::{
    Affix, ContainsDynamic, Domains, Equality, Folders, Literal, OperandKind, Verb, number,
};
use crate::policy::scalar::Scalar;

/// Makes operators from the values of another field: one for all values if the verb takes a list, otherwise one for each.
/// Returns `None` if some value can't be an operand.
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
    match verb.spec().operand {
        OperandKind::Value | OperandKind::Values => {
            let literals = values.iter().map(literal).collect::<Option<Vec<_>>>()?;
            Some(Operator::Equality(Equality {
                literals,
                negative: verb.is_negative(),
                names,
            }))
        }
        OperandKind::Literal => ContainsDynamic::new(&texts(values)?, false).map(Operator::Stands),
        OperandKind::Literals { all } => {
            ContainsDynamic::new(&texts(values)?, all).map(Operator::Stands)
        }
        OperandKind::Affix { at_end } => {
            let texts = texts(values)?;
            let is_sound = texts.iter().all(|text| !text.trim().is_empty());
            is_sound.then(|| Operator::Affix(Affix::new(&texts, at_end)))
        }
        OperandKind::Domains => {
            let domains = Domains::parse(&texts(values)?, verb.is_negative());
            domains.ok().map(Operator::Domains)
        }
        OperandKind::Folders => {
            let folders = Folders::parse(&texts(values)?, verb.is_negative());
            folders.ok().map(Operator::Folders)
        }
        OperandKind::Bounds(measured, bounds) => {
            let [value] = values else { return None };
            let comparison = bounds.around(&number(value)?);
            Some(Operator::comparison(measured, comparison))
        }
        _ => None,
    }
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

/// Returns texts, numbers and booleans as written; `None` if there is any other value.
fn texts(values: &[Scalar<'_>]) -> Option<Vec<Box<str>>> {
    let text = |value: &Scalar<'_>| match value {
        Scalar::Text(text) => Some(text.text().into()),
        Scalar::Number(text, _) => Some((**text).into()),
        Scalar::Bool(value, _) => Some(if *value { "true" } else { "false" }.into()),
        Scalar::Null | Scalar::Object(_) | Scalar::Array(_) => None,
    };
    values.iter().map(text).collect()
}
