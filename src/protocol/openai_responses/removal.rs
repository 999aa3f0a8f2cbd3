//! What is taken out of a response's items, and what takes its place.

use super::items::{is_call, is_provider_run, kind_of};
use super::mark::{self, OpenCall};
use crate::event::Pending;
use crate::protocol::json_edit::move_indices;
use crate::protocol::openai_shapes::refusal_text;
use crate::protocol::{CannotRemove, Denial, EditedText, Removals, RequestContext};
use crate::wire::json::{self, Edits, JsonBody, Value, quote};
use crate::wire::sort;

/// Makes the edits in every item. A denied call becomes a message at its place, so that no index and no order changes.
pub(in crate::protocol) fn remove_from_response(
    json: &JsonBody<'_>,
    context: &RequestContext,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    let body = json.body().ok_or(CannotRemove)?;
    let root = body.root();
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
        // Calls beside the text are gone with it.
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
    let mut told: Vec<&str> = Vec::new();
    let mut open: Vec<Option<OpenCall>> = Vec::new();
    let mut found = 0usize;
    let list = output.or_else(|| root.get("data"));
    for item in list.into_iter().flat_map(|list| list.elements()) {
        match denied.get(&item.place()) {
            Some(text) => {
                let mut with = Vec::new();
                let id = explaining_id(item, is_kept);
                message_item(&id, OUTPUT_TEXT, text, &mut with);
                edits.replace(item, with);
                told.push(text);
                open.push(OpenCall::of(item));
                found = found.saturating_add(1);
            }
            None => correct_copies(item, &removals.edited, edits),
        }
    }
    if found < denied.len() {
        return Err(CannotRemove);
    }
    name_open_calls(root, context, is_kept, &open, edits)?;
    let told = refusal_text(&mut told.into_iter());
    if let Some(copy) = copy.filter(|_| !told.is_empty()) {
        let end = copy.text().map_or(0, |text| text.len());
        let told = if end == 0 {
            told
        } else {
            format!("\n\n{told}")
        };
        edits.replace_text(copy, [(end..end, told.as_str())]);
    }
    Ok(())
}

/// Token probabilities repeat a text that was edited, and annotations point into it: the first go, the others move along.
pub(super) fn correct_copies(item: Value<'_>, texts: &[EditedText], edits: &mut Edits) {
    let parts = item.get("content").into_iter();
    for part in parts.flat_map(|content| content.elements()) {
        correct_copies_in(part, texts, edits);
    }
}

/// The same for one part.
pub(super) fn correct_copies_in(part: Value<'_>, texts: &[EditedText], edits: &mut Edits) {
    let Some(text) = part.get("text") else {
        return;
    };
    let Some(edited) = texts.iter().find(|edited| edited.at == text.place()) else {
        return;
    };
    if let Some(annotations) = part.get("annotations") {
        move_indices(text, annotations, edited, edits);
    }
    if let Some(logprobs) = part.get("logprobs").filter(|value| !value.is_null()) {
        edits.replace(logprobs, b"[]".to_vec());
    }
}

/// Whether the provider keeps a response: it says so itself, or the request decides.
fn is_kept(response: Value<'_>, context: &RequestContext) -> bool {
    let says = response.get("store").and_then(|store| store.as_bool());
    says.unwrap_or(!context.unstored)
}

/// Gives a kept answer an id that tells which of its calls are open.
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
        // The client goes on by the response's id, and the provider would wait for a result for ever.
        _ if context.pending == Some(Pending::ById) => Err(CannotRemove),
        _ => Ok(()),
    }
}

/// The id of a message in the place of an item. Where the provider keeps the conversation, ids without the prefix of
/// messages are refused.
pub(super) fn explaining_id(item: Value<'_>, is_kept: bool) -> String {
    match OpenCall::of(item).filter(|_| is_kept) {
        Some(call) => call.message_id(),
        None => {
            let id = item.get("id").and_then(|id| id.text());
            mark::plain_message_id(&id.unwrap_or_default())
        }
    }
}

/// A part of a message: the beginning of its JSON, and its end.
pub(super) type PartForm = (&'static [u8], &'static [u8]);

/// A text.
pub(super) const OUTPUT_TEXT: PartForm = (
    br#"{"type":"output_text","text":"#,
    br#","annotations":[]}"#,
);

/// A refusal.
pub(super) const REFUSAL: PartForm = (br#"{"type":"refusal","refusal":"#, b"}");

/// A part of a message.
pub(super) fn message_part(form: PartForm, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(form.0);
    quote(text, out);
    out.extend_from_slice(form.1);
}

/// A message of one part.
pub(super) fn message_item(id: &str, form: PartForm, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"message","id":"#);
    quote(id, out);
    out.extend_from_slice(br#","role":"assistant","status":"completed","content":["#);
    message_part(form, text, out);
    out.extend_from_slice(b"]}");
}

/// A message that is nothing but a refusal.
pub(in crate::protocol) fn denial_item(denial: &Denial, text: &str, out: &mut Vec<u8>) {
    message_item(&denial_id(denial), REFUSAL, text, out);
}

/// The id of a message of our own.
pub(super) fn denial_id(denial: &Denial) -> String {
    mark::plain_message_id(&format!("msg_{}", denial.request_id))
}
