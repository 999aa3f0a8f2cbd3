//! Removal of denied parts from a message, and their replacements.

use crate::protocol::json_edit::{ObjectWriter, count, tag};
use crate::protocol::{CannotRemove, Removals};
use crate::wire::json::{Edits, NodeId, Value, quote};
use crate::wire::sorted_map::SortedMap;

/// Writes a message that contains only a denial.
pub(in crate::protocol) fn denied_message(
    text: &str,
    id: &str,
    model: &str,
    tokens: (u64, u64),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_message(Some(text), id, model, tokens, &mut out);
    out
}

/// Writes a message that has begun and has no content yet.
pub(super) fn begun_message(id: &str, model: &str, out: &mut Vec<u8>) {
    write_message(None, id, model, (0, 0), out);
}

fn write_message(text: Option<&str>, id: &str, model: &str, tokens: (u64, u64), out: &mut Vec<u8>) {
    let mut message = ObjectWriter::begin(out);
    message.text("id", id);
    message.text("type", "message");
    message.text("role", "assistant");
    message.text("model", model);
    message.member("content", |out| {
        out.push(b'[');
        if let Some(text) = text {
            text_block(text, out);
        }
        out.push(b']');
    });
    message.member("stop_reason", |out| match text {
        Some(_) => quote("refusal", out),
        None => out.extend_from_slice(b"null"),
    });
    message.member("stop_sequence", |out| out.extend_from_slice(b"null"));
    message.member("usage", |out| {
        let mut usage = ObjectWriter::begin(out);
        usage.number("input_tokens", tokens.0);
        usage.number("output_tokens", tokens.1);
        usage.end();
    });
    message.end();
}

fn text_block(text: &str, out: &mut Vec<u8>) {
    let mut block = ObjectWriter::begin(out);
    block.text("type", "text");
    block.text("text", text);
    block.end();
}

/// Edits one message and returns the number of removed calls.
///
/// A denied message is replaced completely, because denied text can be anywhere in it. A denied call becomes a text
/// block at its index: the SDK's accumulator requires indices without gaps.
pub(in crate::protocol) fn message(
    message: Value<'_>,
    denied_text: Option<&str>,
    denied: &SortedMap<NodeId, &str>,
    edits: &mut Edits,
) -> Result<usize, CannotRemove> {
    if let Some(text) = denied_text {
        // An error has a different form.
        message.get("content").ok_or(CannotRemove)?;
        let usage = message.get("usage");
        let denied_text = denied_message(
            text,
            &tag(message.get("id"), "agentguard"),
            &tag(message.get("model"), "unknown"),
            (count(usage, "input_tokens"), count(usage, "output_tokens")),
        );
        edits.replace(message, denied_text);
        return Ok(0);
    }
    if denied.is_empty() {
        return Ok(0);
    }
    let content = message.get("content").ok_or(CannotRemove)?;
    let mut taken = 0usize;
    let mut left = false;
    for block in content.elements() {
        if !block
            .get("type")
            .is_some_and(|kind| kind.is_text("tool_use"))
        {
            continue;
        }
        let Some(text) = denied.get(&block.place()) else {
            left = true;
            continue;
        };
        // A program that the provider runs waits for this call's result, so nothing can replace the call.
        let caller = block.get("caller").and_then(|caller| caller.get("type"));
        if caller.is_some_and(|caller| !caller.is_text("direct")) {
            return Err(CannotRemove);
        }
        let mut with = Vec::new();
        text_block(text, &mut with);
        edits.replace(block, with);
        taken = taken.saturating_add(1);
    }
    if let Some(reason) = message.get("stop_reason")
        && taken > 0
        && !left
        && reason.is_text("tool_use")
    {
        edits.replace(reason, br#""end_turn""#.to_vec());
    }
    Ok(taken)
}

/// Edits a response that is one message.
pub(in crate::protocol) fn whole(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    let denied_text = removals.choices.first().map(|(_, text)| text.as_str());
    let denied = removals.denied_calls();
    let taken = message(root, denied_text, &denied, edits)?;
    if denied_text.is_none() && taken < denied.len() {
        return Err(CannotRemove);
    }
    Ok(())
}
