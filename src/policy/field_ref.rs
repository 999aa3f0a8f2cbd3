//! Reference to a field in a policy.

use super::decode::{Decoder, PolicyPath};
use super::field::{Field, FieldError, NAMES, ROOTS};
use super::operators::{Verb, operator_words};
use crate::diag::codes;
use crate::wire::json::JsonPath;
use std::ops::Range;

/// Field with its name and place in the policy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldRef {
    pub(crate) field: Field,
    /// Name as written.
    pub(crate) name: Box<str>,
    pub(crate) span: Range<usize>,
}

/// Reads a field's name and reports errors.
pub(crate) fn read_field(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
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
                &format!("`{name}` is no path: {what}"),
                "paths look like `args.items[*].price`, `args[\"a.b\"]` or `args.to|cc`",
            );
            None
        }
        Err(FieldError::Unknown) if let Some((argument, verb)) = split_operator(name) => {
            let message = format!("unknown field `{name}`");
            let help = format!("did you mean `args.{argument}: {{ {}: … }}`?", verb.word());
            decoder.error(codes::AG1009, at, span, &message, &help);
            None
        }
        Err(error) => {
            let known: Vec<String> = match (error, name.split_once('.')) {
                (FieldError::UnknownPart(parts), Some((root, _))) => {
                    parts.iter().map(|part| format!("{root}.{part}")).collect()
                }
                // Either the whole name is misspelt, or the part before its first dot.
                (_, split) => {
                    let rest = split.map(|(_, rest)| rest);
                    let roots = rest
                        .into_iter()
                        .flat_map(|rest| ROOTS.iter().map(move |root| format!("{root}.{rest}")));
                    let names = NAMES.iter().map(|name| (*name).to_owned());
                    roots.chain(names).collect()
                }
            };
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            decoder.unknown(codes::AG1009, at, span, "field", name, &known);
            None
        }
    }
}

/// Reads a field's name and returns a reference to the field.
pub(crate) fn read_field_ref(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    name: &str,
    span: &Range<usize>,
) -> Option<FieldRef> {
    let field = read_field(decoder, at, name, span)?;
    Some(FieldRef {
        field,
        name: name.into(),
        span: span.clone(),
    })
}

/// Reads a path into an item: `price`, `tags[0]`.
pub(crate) fn read_item_field(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    name: &str,
    span: &Range<usize>,
) -> Option<FieldRef> {
    let path = match name.starts_with(['[', '$', '.']) {
        true => JsonPath::parse(name),
        false => JsonPath::parse(&format!(".{name}")),
    };
    match path {
        Ok(path) => Some(FieldRef {
            field: Field::Item(path),
            name: name.into(),
            span: span.clone(),
        }),
        Err(what) => {
            let message = format!("`{name}` is no path into an item: {what}");
            let help = "name the item's own members: `price`, `tags[0]` or `[\"a.b\"]`";
            decoder.error(codes::AG1009, at, span, &message, help);
            None
        }
    }
}

/// Splits a key such as `amount_greater_than` into a name and the longest operator at its end.
pub(crate) fn split_operator(key: &str) -> Option<(&str, Verb)> {
    let short = ["gt", "gte", "lt", "lte"];
    let word = operator_words()
        .chain(short)
        .filter(|word| {
            key.strip_suffix(word)
                .is_some_and(|name| name.len() > 1 && name.ends_with('_'))
        })
        .max_by_key(|word| word.len())?;
    let name = key.strip_suffix(word)?.strip_suffix('_')?;
    Some((name, Verb::parse(word)?))
}
