//! Caller that is declared rather than authenticated: in tests, on the command line, or in an exchange for evaluation.
//!
//! `{ client: ci, roles: [dev], department: ops }`; `anonymous` or `null` is an anonymous caller.

use super::decode::{Decoder, PolicyPath};
use super::node::{Node, NodeValue};
use crate::diag::Diagnostic;
use crate::event::{Known, Principal};

/// Reads a name; `unknown` is a name that is not known.
pub(crate) fn name_of(text: &str) -> Known<Box<str>> {
    match text {
        "unknown" => Known::Unknown,
        text => Known::Is(text.into()),
    }
}

/// Reads a name; `null` is a missing name.
pub(crate) fn known(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<Known<Box<str>>> {
    match &node.data {
        NodeValue::Null => Some(Known::Missing),
        _ => decoder.text(at, node).map(|text| name_of(&text)),
    }
}

/// Returns an authenticated caller without any known property.
pub fn default_principal() -> Principal {
    Principal::known_by(Some("case"))
}

/// Reads a caller inside of a larger document.
pub(crate) fn principal(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<Principal> {
    if matches!(&node.data, NodeValue::Null) || node.text() == Some("anonymous") {
        return Some(Principal::anonymous());
    }
    let NodeValue::Map(members) = &node.data else {
        decoder.wrong_type(at, node, "a mapping, or `anonymous`,");
        return None;
    };
    let mut principal = default_principal();
    for member in members {
        let at = at.key(&member.key);
        let value = &member.value;
        match &*member.key {
            "id" => principal.id = known(decoder, &at, value)?,
            "agent" => principal.agent = known(decoder, &at, value)?,
            "client" => principal.client = known(decoder, &at, value)?,
            "tenant" => principal.tenant = known(decoder, &at, value)?,
            "roles" | "role" if value.text() == Some("unknown") => {
                principal.roles = Known::Unknown;
            }
            "roles" | "role" => principal.roles = Known::Is(decoder.texts(&at, value)?),
            claim => {
                let values = match &value.data {
                    NodeValue::Number(number) => Known::Is(vec![number.clone()]),
                    NodeValue::Bool(value) => Known::Is(vec![value.to_string().into()]),
                    _ if value.text() == Some("unknown") => Known::Unknown,
                    _ => Known::Is(decoder.texts(&at, value)?),
                };
                principal.claims.insert(claim.into(), values);
            }
        }
    }
    Some(principal)
}

/// Reads a caller.
///
/// # Errors
/// Returns the errors in the description.
pub fn describe_principal(node: &Node) -> Result<Principal, Vec<Diagnostic>> {
    let mut decoder = Decoder::default();
    principal(&mut decoder, &PolicyPath::root(), node).ok_or(decoder.diagnostics)
}
