//! Removal of denied parts from a response, and their replacements.

use crate::protocol::json_edit::{remove_elements, remove_members, replace_present};
use crate::protocol::openai_shapes::denial_text;
use crate::protocol::{CannotRemove, Removals};
use crate::wire::json::{self, Edits, Value, quote};
use crate::wire::sort;
use crate::wire::span::Span;

pub(super) fn remove_from_response(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    remove_copies(root, edits);
    let message = root.get("message");
    if let Some((_, text)) = removals.choices.first() {
        let mut with = Vec::new();
        match (message, root.get("response")) {
            (Some(message), _) => {
                denial_message(text, &mut with);
                edits.replace(message, with);
            }
            (None, Some(response)) => {
                quote(text, &mut with);
                edits.replace(response, with);
                if let Some(thinking) = root.get("thinking") {
                    edits.replace(thinking, br#""""#.to_vec());
                }
            }
            (None, None) => return Err(CannotRemove),
        }
        stop(root, edits);
        return Ok(());
    }
    if removals.calls.is_empty() {
        return Ok(());
    }
    let message = message.ok_or(CannotRemove)?;
    let list = message.get("tool_calls").ok_or(CannotRemove)?;
    let denied = sort::set(removals.calls.iter().map(|call| call.at));
    if list.elements().all(|call| denied.contains(&call.place())) {
        remove_members(message, &["tool_calls"], edits);
        stop(root, edits);
    } else {
        remove_elements(list, &|place| denied.contains(&place), edits);
    }
    let explanation = denial_text(&mut removals.calls.iter().map(|call| call.text.as_str()));
    explain(message, &explanation, edits);
    Ok(())
}

/// Numbers the calls that stay without a gap.
pub(super) fn renumber(root: Value<'_>, removals: &Removals, edits: &mut Edits) {
    if removals.calls.is_empty() {
        return;
    }
    let list = root
        .get("message")
        .and_then(|message| message.get("tool_calls"));
    let denied = sort::set(removals.calls.iter().map(|call| call.at));
    let is_kept = |call: &Value<'_>| !denied.contains(&call.place());
    let calls = list.into_iter().flat_map(|list| list.elements());
    for (number, call) in calls.filter(is_kept).enumerate() {
        let index = call
            .get("function")
            .and_then(|function| function.get("index"));
        if let Some(index) = index.filter(|index| index.as_u64().is_some()) {
            edits.replace(index, number.to_string().into_bytes());
        }
    }
}

/// Tokens repeat the text: as probabilities, and as the context of the next request.
pub(super) fn remove_copies(root: Value<'_>, edits: &mut Edits) {
    for name in ["logprobs", "context"] {
        replace_present(root, name, b"[]", edits);
    }
}

fn stop(root: Value<'_>, edits: &mut Edits) {
    if let Some(reason) = root.get("done_reason") {
        edits.replace(reason, br#""stop""#.to_vec());
    }
}

/// Appends a text to the message.
fn explain(message: Value<'_>, text: &str, edits: &mut Edits) {
    match message.get("content") {
        Some(content) if content.kind() == json::ValueKind::String => {
            let end = content.text().map_or(0, |text| text.len());
            let with = if end == 0 {
                text.to_owned()
            } else {
                format!("\n\n{text}")
            };
            edits.replace_text(content, [(end..end, with.as_str())]);
        }
        Some(content) => {
            let mut with = Vec::new();
            quote(text, &mut with);
            edits.replace(content, with);
        }
        None => {
            let mut with = br#""content":"#.to_vec();
            quote(text, &mut with);
            let is_alone = message.members().all(|(key, _)| key.is_text("tool_calls"));
            if !is_alone {
                with.push(b',');
            }
            let start = message.span().start.saturating_add(1);
            edits.splice(message.doc(), Span { start, end: start }, with);
        }
    }
}

pub(super) fn denial_message(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"role":"assistant","content":"#);
    quote(text, out);
    out.push(b'}');
}
