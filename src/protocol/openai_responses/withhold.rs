//! What is taken out of an answer's items, and what takes its place.

use crate::protocol::openai_shapes::refusal_text;
use crate::protocol::surgery::move_indices;
use crate::protocol::{CannotWithhold, EditedText, Withholding};
use crate::wire::json::{self, Edits, Nest, Place, Value, quote};
use crate::wire::order;
use std::collections::BTreeMap;

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
    let edited = order::map(withholding.edited.iter().map(|edited| (edited.at, edited)));
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
            None => correct_copies(item, &edited, edits),
        }
    }
    if found < denied.len() {
        return Err(CannotWithhold);
    }
    let told = refusal_text(told.into_iter());
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
fn correct_copies(item: Value<'_>, texts: &BTreeMap<Place, &EditedText>, edits: &mut Edits) {
    let parts = item.get("content").into_iter();
    for part in parts.flat_map(|content| content.elements()) {
        let Some(text) = part.get("text") else {
            continue;
        };
        let Some(edited) = texts.get(&text.place()) else {
            continue;
        };
        if let Some(annotations) = part.get("annotations") {
            move_indices(text, annotations, edited, edits);
        }
        if let Some(logprobs) = part.get("logprobs").filter(|value| !value.is_null()) {
            edits.replace(logprobs, b"[]".to_vec());
        }
    }
}

/// A message in the place of an item. Its id is the item's with the prefix of messages: where the provider keeps the
/// conversation, ids with another prefix are refused.
fn explaining_item(item: Value<'_>, text: &str, out: &mut Vec<u8>) {
    let id = item.get("id").and_then(|id| id.text()).unwrap_or_default();
    let rest = id.split_once('_').map_or(&*id, |(_, rest)| rest);
    out.extend_from_slice(br#"{"type":"message","id":"#);
    quote(&format!("msg_{rest}"), out);
    out.extend_from_slice(
        br#","role":"assistant","status":"completed","content":[{"type":"output_text","text":"#,
    );
    quote(text, out);
    out.extend_from_slice(br#","annotations":[]}]}"#);
}

/// A message that is nothing but a refusal.
pub(in crate::protocol) fn refusing_item(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(
        br#"{"type":"message","id":"msg_agentguard","role":"assistant","status":"completed","content":[{"type":"refusal","refusal":"#,
    );
    quote(text, out);
    out.extend_from_slice(b"}]}");
}
