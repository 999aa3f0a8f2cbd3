//! Parts of sources of every kind: members of a principal, and the headers that contain them.

use crate::diag::codes;
use crate::policy::decode::{Decoder, PolicyPath};
use crate::policy::node::{Member, Node, NodeValue};
use crate::wire::letter_case;

/// Maximum further members of a principal.
const MAX_CLAIMS: usize = 32;

/// Names that further members can't have.
const RESERVED: &[&str] = &[
    "id",
    "agent",
    "client",
    "tenant",
    "role",
    "roles",
    "ticket",
    "environment",
    "claims",
];

/// Reads the name of a header, in lower case.
pub(super) fn header_name(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<Box<str>> {
    let text = decoder.text(at, node)?;
    let name = letter_case::ascii_lower(&text);
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_taken = matches!(
        &*name,
        "host" | "content-length" | "transfer-encoding" | "connection" | "x-forwarded-for"
    ) || name.starts_with("x-agentguard-");
    if name.is_empty() || !name.bytes().all(is_token) {
        let message = format!("`{text}` is no name of a header");
        decoder.error(codes::AG1007, at, &node.span, &message, "");
        return None;
    }
    if is_taken {
        let message = format!("`{text}` has a meaning of its own");
        decoder.error(
            codes::AG1007,
            at,
            &node.span,
            &message,
            "use another header",
        );
        return None;
    }
    Some(name.into())
}

/// Reads `claims`: further members of a principal.
pub(super) fn claims<T>(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    members: &mut Vec<(Box<str>, T)>,
    mut read: impl FnMut(&mut Decoder, &PolicyPath<'_>, &Node) -> Option<T>,
) {
    let NodeValue::Map(items) = &node.data else {
        decoder.wrong_type(at, node, "a mapping of the principal's members");
        return;
    };
    if items.len() > MAX_CLAIMS {
        let message = format!("at most {MAX_CLAIMS} members are possible");
        decoder.error(codes::AG1019, at, &node.span, &message, "");
        return;
    }
    for item in items {
        let at = at.key(&item.key);
        if !is_claim_name(decoder, &at, item) {
            continue;
        }
        if let Some(value) = read(decoder, &at, &item.value) {
            members.push((item.key.clone(), value));
        }
    }
}

/// Returns whether a name is allowed for a further member, and reports an error if not.
fn is_claim_name(decoder: &mut Decoder, at: &PolicyPath<'_>, item: &Member) -> bool {
    let is_known = RESERVED.contains(&&*item.key) || item.key.is_empty();
    if is_known {
        let message = format!("`{}` is no name for a further member", item.key);
        let help = "members with a meaning of their own stand beside `claims`";
        decoder.error(codes::AG1007, at, &item.key_span, &message, help);
    }
    !is_known
}

/// Reports an error if a source has no member that identifies a caller.
pub(super) fn require_identity_member(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) {
    let names = ["id", "agent", "client", "tenant"];
    if names.iter().all(|name| node.get(name).is_none()) {
        let help = "say at least one of `id`, `agent`, `client` and `tenant`";
        let message = "the caller's identity is missing";
        decoder.error(codes::AG1006, at, &node.span, message, help);
    }
}
