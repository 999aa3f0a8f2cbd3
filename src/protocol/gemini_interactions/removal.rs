//! Removal of denied parts from an interaction, and their replacements.

use crate::protocol::gemini_shapes::moved;
use crate::protocol::json_edit::{ObjectWriter, tag};
use crate::protocol::{CannotRemove, EditedText, Removals};
use crate::wire::json::{Edits, NodeId, Value};
use crate::wire::sorted_map::SortedMap;

/// An interaction that is nothing but a denial.
pub(super) fn denied_text(text: &str, id: &str, model: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut root = ObjectWriter::begin(&mut out);
    describe(&mut root, "completed", id, model);
    root.member("steps", |out| {
        out.push(b'[');
        output(text, out);
        out.push(b']');
    });
    root.end();
    out
}

/// Status and output of an interaction.
pub(super) fn describe(root: &mut ObjectWriter<'_>, status: &str, id: &str, model: Option<&str>) {
    root.text("id", id);
    root.text("object", "interaction");
    root.text("status", status);
    if let Some(model) = model {
        root.text("model", model);
    }
}

fn output(text: &str, out: &mut Vec<u8>) {
    let mut step = ObjectWriter::begin(out);
    step.text("type", "model_output");
    step.member("content", |out| {
        out.extend_from_slice(br#"[{"type":"text","text":"#);
        crate::wire::json::quote(text, out);
        out.extend_from_slice(b"}]");
    });
    step.end();
}

/// Makes the edits in an interaction.
pub(super) fn remove_from_response(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    if let Some((_, text)) = removals.choices.first() {
        root.get("steps")
            .or(root.get("outputs"))
            .ok_or(CannotRemove)?;
        let model = tag(root.get("model"), "");
        let model = Some(&*model).filter(|model| !model.is_empty());
        edits.replace(
            root,
            denied_text(text, &tag(root.get("id"), "agentguard"), model),
        );
        return Ok(());
    }
    let edited = removals.edited_texts();
    if !edited.is_empty() {
        move_annotations(root, &edited, edits);
    }
    let denied = removals.denied_calls();
    if denied.is_empty() {
        return Ok(());
    }
    // Before steps, a list of contents: a text there has another shape.
    let steps = root.get("steps").ok_or(CannotRemove)?;
    let mut taken = 0usize;
    let mut left = false;
    for step in steps.elements() {
        match denied.get(&step.place()) {
            Some(text) => {
                let mut with = Vec::new();
                output(text, &mut with);
                edits.replace(step, with);
                taken = taken.saturating_add(1);
            }
            None => {
                left |= step
                    .get("type")
                    .is_some_and(|kind| kind.is_text("function_call"));
            }
        }
    }
    if taken < denied.len() {
        return Err(CannotRemove);
    }
    if let Some(status) = root.get("status")
        && !left
        && status.is_text("requires_action")
    {
        edits.replace(status, br#""completed""#.to_vec());
    }
    Ok(())
}

/// Annotations point into the text beside them, in bytes.
fn move_annotations(root: Value<'_>, edited: &SortedMap<NodeId, &EditedText>, edits: &mut Edits) {
    for node in root.descendants() {
        let text = node.value.get("text");
        let Some(edited) = text.and_then(|text| edited.get(&text.place())) else {
            continue;
        };
        let annotations = node.value.get("annotations");
        for annotation in annotations.into_iter().flat_map(|list| list.elements()) {
            for (name, is_end) in [("start_index", false), ("end_index", true)] {
                let index = annotation.get(name);
                let Some((value, at)) =
                    index.and_then(|index| Some((index, usize::try_from(index.as_u64()?).ok()?)))
                else {
                    continue;
                };
                let moved = moved(at, &edited.changes, is_end);
                if moved != at {
                    edits.replace(value, moved.to_string().into_bytes());
                }
            }
        }
    }
}
