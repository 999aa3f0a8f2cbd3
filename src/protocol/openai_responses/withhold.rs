//! What is taken out of an answer's items, and what takes its place.

use crate::protocol::openai_shapes::refusal_text;
use crate::protocol::surgery::move_indices;
use crate::protocol::{CannotWithhold, EditedText, Withholding};
use crate::wire::json::{self, Edits, Nest, Value, quote};
use crate::wire::order;

/// Makes the edits in every item. A denied call becomes a message at its place, so that no index and no order changes.
pub(in crate::protocol) fn withhold(
    nest: &Nest<'_>,
    withholding: &Withholding,
    edits: &mut Edits,
) -> Result<(), CannotWithhold> {
    let body = nest.body().ok_or(CannotWithhold)?;
    let root = body.root();
    let output = root
        .get("output")
        .filter(|output| output.kind() == json::Kind::Array);
    let copy = root
        .get("output_text")
        .filter(|copy| copy.kind() == json::Kind::String);
    if let Some((_, text)) = withholding.choices.first() {
        let output = output.ok_or(CannotWithhold)?;
        let mut with = b"[".to_vec();
        refusing_item(text, &mut with);
        with.push(b']');
        edits.replace(output, with);
        if let Some(copy) = copy {
            edits.replace(copy, br#""""#.to_vec());
        }
        return Ok(());
    }
    let denied = order::map(
        withholding
            .calls
            .iter()
            .map(|call| (call.at, call.text.as_str())),
    );
    let mut told: Vec<&str> = Vec::new();
    let mut found = 0usize;
    let list = output.or_else(|| root.get("data"));
    for item in list.into_iter().flat_map(|list| list.elements()) {
        match denied.get(&item.place()) {
            Some(text) => {
                let mut with = Vec::new();
                explaining_item(item, text, &mut with);
                edits.replace(item, with);
                told.push(text);
                found = found.saturating_add(1);
            }
            None => correct_copies(item, &withholding.edited, edits),
        }
    }
    if found < denied.len() {
        return Err(CannotWithhold);
    }
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

/// A message in the place of an item.
pub(super) fn explaining_item(item: Value<'_>, text: &str, out: &mut Vec<u8>) {
    let id = item.get("id").and_then(|id| id.text()).unwrap_or_default();
    message_item(&message_id(&id), OUTPUT_TEXT, text, out);
}

/// The id of a message in the place of an item: the item's with the prefix of messages. Where the provider keeps the
/// conversation, ids with another prefix are refused.
pub(super) fn message_id(id: &str) -> String {
    let rest = id.split_once('_').map_or(id, |(_, rest)| rest);
    format!("msg_{rest}")
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
pub(in crate::protocol) fn refusing_item(text: &str, out: &mut Vec<u8>) {
    message_item(REFUSING_ID, REFUSAL, text, out);
}

/// The id of a message of our own.
pub(super) const REFUSING_ID: &str = "msg_agentguard";
