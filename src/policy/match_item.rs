//! Key of `match`: a field and the names that it may have.

use super::decode::{Decoder, PolicyPath};
use super::field_ref::{FieldRef, read_field_ref};
use super::grammar::{Keys, MatchKey};
use super::node::Member;
use crate::diag::codes;

/// Key of `match` with its names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MatchItem {
    pub(crate) field_ref: FieldRef,
    pub(crate) values: Vec<Box<str>>,
    pub(crate) path: String,
}

/// Returns whether a key of this name is allowed in `match`.
pub(crate) fn is_match_key(key: &str) -> bool {
    MatchKey::NAMES.contains(&key)
}

/// Reads `tool: delete_*` or `model: [a, b]`.
pub(crate) fn read_match_item(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    member: &Member,
) -> Option<MatchItem> {
    let at = at.key(&member.key);
    let values = decoder.names(&at, &member.value)?;
    if &*member.key == "role" && values.iter().any(|value| is_author(value)) {
        decoder.error(
            codes::AG1007,
            &at,
            &member.value.span,
            "`role` is a role of who is asking, not the author of a message",
            "write `from: user` for the author",
        );
        return None;
    }
    Some(MatchItem {
        field_ref: read_field_ref(decoder, &at, &member.key, &member.value.span)?,
        values,
        path: at.path(),
    })
}

fn is_author(word: &str) -> bool {
    matches!(word, "user" | "assistant" | "system" | "tool" | "developer")
}
