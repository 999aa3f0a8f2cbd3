//! Key `environment`: the source of the environment's name.

use super::decode::{Decoder, PolicyPath};
use super::grammar::EnvironmentKey;
use super::node::{Node, NodeValue};
use crate::diag::codes;

/// Source of the environment's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentSource {
    /// No source: the name is unknown.
    Absent,
    /// Name in the policy.
    Value(Box<str>),
    /// Key `environment` of Envoy's node metadata.
    Node {
        /// Name if the node has no such key.
        otherwise: Option<Box<str>>,
    },
    /// Environment variable of the proxy.
    Variable {
        /// Name of the variable.
        name: Box<str>,
        /// Name of the environment if the variable is not set.
        otherwise: Option<Box<str>>,
    },
    /// Claim `environment` of the principal.
    Principal {
        /// Name if the principal has no such claim.
        otherwise: Option<Box<str>>,
    },
}

/// Reads the key `environment`.
pub(super) fn read(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<EnvironmentSource> {
    if let NodeValue::String(value) = &node.data {
        return Some(EnvironmentSource::Value(value.clone()));
    }
    let mut value = None;
    let mut from = None;
    let mut otherwise = None;
    for (key, member) in decoder.keys(at, node)? {
        let text = decoder.text(&at.key(&member.key), &member.value);
        match key {
            EnvironmentKey::Value => value = text,
            EnvironmentKey::From => from = text.map(|text| (text, member.value.span.clone())),
            EnvironmentKey::Otherwise => otherwise = text,
        }
    }
    match (value, from) {
        (Some(value), None) => Some(EnvironmentSource::Value(value)),
        (None, Some((from, span))) => match (&*from, from.strip_prefix("env:")) {
            ("node", _) => Some(EnvironmentSource::Node { otherwise }),
            ("principal", _) => Some(EnvironmentSource::Principal { otherwise }),
            (_, Some(name)) if !name.is_empty() => Some(EnvironmentSource::Variable {
                name: name.into(),
                otherwise,
            }),
            _ => {
                decoder.error(
                    codes::AG1007,
                    &at.key("from"),
                    &span,
                    &format!("`{from}` is no source of the environment's name"),
                    "write `node`, `principal` or `env:NAME`",
                );
                None
            }
        },
        _ => {
            decoder.error(
                codes::AG1006,
                at,
                &node.span,
                "either `value` or `from` is required",
                "for example `environment: prod` or `environment: { from: env:STAGE, otherwise: prod }`",
            );
            None
        }
    }
}
