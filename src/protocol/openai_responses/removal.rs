//! Removal of denied items from a response, and their replacements.

use super::items::{is_call, is_provider_run, kind_of};
use super::mark::{self, OpenCall};
use crate::event::Pending;
use crate::protocol::json_edit::move_indices;
use crate::protocol::openai_shapes::denial_text;
use crate::protocol::{CannotRemove, Denial, EditedText, Removals, RequestContext};
use crate::wire::json::{self, Edits, NodeId, Value, quote};
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;

/// Edits every item. A denied call becomes a message at its position, so that no index and no order changes.
pub(in crate::protocol) fn remove_from_response(
    root: Value<'_>,
    context: &RequestContext,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    let is_kept = is_kept(root, context);
    let output = root
        .get("output")
        .filter(|output| output.kind() == json::ValueKind::Array);
    let copy = root
        .get("output_text")
        .filter(|copy| copy.kind() == json::ValueKind::String);
    if let Some((_, text)) = removals.choices.first() {
        let output = output.ok_or(CannotRemove)?;
        let mut with = b"[".to_vec();
        let denial = removals.denials.first().map(|(_, denial)| denial);
        denial_item(denial.unwrap_or(&Denial::default()), text, &mut with);
        with.push(b']');
        edits.replace(output, with);
        // Calls beside the text are removed with it.
        let calls = output.elements().filter(|item| {
            let kind = kind_of(*item);
            is_call(&kind) && !is_provider_run(*item, &kind)
        });
        let open: Vec<Option<OpenCall>> = calls.map(OpenCall::of).collect();
        name_open_calls(root, context, is_kept, &open, edits)?;
        if let Some(copy) = copy {
            edits.replace(copy, br#""""#.to_vec());
        }
        return Ok(());
    }
    let denied = sort::map(
        removals
            .calls
            .iter()
            .map(|call| (call.at, call.text.as_str())),
    );
    let mut explanation: Vec<&str> = Vec::new();
    let mut open: Vec<Option<OpenCall>> = Vec::new();
    let mut found = 0usize;
    let edited = removals.edited_texts();
    let list = output.or_else(|| root.get("data"));
    for item in list.into_iter().flat_map(|list| list.elements()) {
        match denied.get(&item.place()) {
            Some(text) => {
                let mut with = Vec::new();
                let id = explaining_id(item, is_kept);
                message_item(&id, OUTPUT_TEXT, text, &mut with);
                edits.replace(item, with);
                explanation.push(text);
                open.push(OpenCall::of(item));
                found = found.saturating_add(1);
            }
            None => correct_copies(item, &edited, edits),
        }
    }
    if found < denied.len() {
        return Err(CannotRemove);
    }
    name_open_calls(root, context, is_kept, &open, edits)?;
    let explanation = denial_text(&mut explanation.into_iter());
    if let Some(copy) = copy.filter(|_| !explanation.is_empty()) {
        let end = copy.text().map_or(0, |text| text.len());
        let explanation = if end == 0 {
            explanation
        } else {
            format!("\n\n{explanation}")
        };
        edits.replace_text(copy, [(end..end, explanation.as_str())]);
    }
    Ok(())
}

/// Edited texts by their position.
type EditedTexts<'e> = SortedMap<NodeId, &'e EditedText>;

/// Corrects copies of an edited text: token probabilities repeat it and are removed, annotations point into it and
/// are moved.
pub(super) fn correct_copies(item: Value<'_>, texts: &EditedTexts<'_>, edits: &mut Edits) {
    let parts = item.get("content").into_iter();
    for part in parts.flat_map(|content| content.elements()) {
        correct_copies_in(part, texts, edits);
    }
}

/// Corrects one part in the same way.
pub(super) fn correct_copies_in(part: Value<'_>, texts: &EditedTexts<'_>, edits: &mut Edits) {
    let Some(text) = part.get("text") else {
        return;
    };
    let Some(edited) = texts.get(&text.place()) else {
        return;
    };
    if let Some(annotations) = part.get("annotations") {
        move_indices(text, annotations, edited, edits);
    }
    if let Some(logprobs) = part.get("logprobs").filter(|value| !value.is_null()) {
        edits.replace(logprobs, b"[]".to_vec());
    }
}

/// Returns whether the provider stores a response: the response contains this, or the request decides it.
fn is_kept(response: Value<'_>, context: &RequestContext) -> bool {
    let says = response.get("store").and_then(|store| store.as_bool());
    says.unwrap_or(!context.unstored)
}

/// Replaces the id of a stored response by one that contains its open calls.
fn name_open_calls(
    root: Value<'_>,
    context: &RequestContext,
    is_kept: bool,
    open: &[Option<OpenCall>],
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    if open.is_empty() || !is_kept {
        return Ok(());
    }
    let id = root.get("id");
    let marked = id
        .and_then(|id| id.text())
        .and_then(|id| mark::response_id(&id, open));
    match (id, marked) {
        (Some(id), Some(marked)) => {
            let mut with = Vec::new();
            quote(&marked, &mut with);
            edits.replace(id, with);
            Ok(())
        }
        // The client continues by the id of the response, and the provider would wait for a result forever.
        _ if context.pending == Some(Pending::ById) => Err(CannotRemove),
        _ => Ok(()),
    }
}

/// Returns the id of a message in place of an item. Where the provider stores the conversation, it rejects ids
/// without the prefix of messages.
pub(super) fn explaining_id(item: Value<'_>, is_kept: bool) -> String {
    match OpenCall::of(item).filter(|_| is_kept) {
        Some(call) => call.message_id(),
        None => {
            let id = item.get("id").and_then(|id| id.text());
            mark::plain_message_id(&id.unwrap_or_default())
        }
    }
}

/// Beginning and end of the JSON of a message's part.
pub(super) type PartForm = (&'static [u8], &'static [u8]);

/// Part with a text.
pub(super) const OUTPUT_TEXT: PartForm = (
    br#"{"type":"output_text","text":"#,
    br#","annotations":[]}"#,
);

/// Part with a model's refusal.
pub(super) const REFUSAL: PartForm = (br#"{"type":"refusal","refusal":"#, b"}");

/// Writes a part of a message.
pub(super) fn message_part(form: PartForm, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(form.0);
    quote(text, out);
    out.extend_from_slice(form.1);
}

/// Writes a message of one part.
pub(super) fn message_item(id: &str, form: PartForm, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"message","id":"#);
    quote(id, out);
    out.extend_from_slice(br#","role":"assistant","status":"completed","content":["#);
    message_part(form, text, out);
    out.extend_from_slice(b"]}");
}

/// Writes a message that contains only a denial.
pub(in crate::protocol) fn denial_item(denial: &Denial, text: &str, out: &mut Vec<u8>) {
    message_item(&denial_id(denial), REFUSAL, text, out);
}

/// Returns the id of a message that the filter creates.
pub(super) fn denial_id(denial: &Denial) -> String {
    mark::plain_message_id(&format!("msg_{}", denial.request_id))
}
