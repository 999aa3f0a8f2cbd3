//! Removal of denied parts from a whole response, and their replacements.

use crate::protocol::json_edit::{
    choices, member_span, move_indices, remove_elements, remove_members,
};
use crate::protocol::openai_shapes::denial_text;
use crate::protocol::{CannotRemove, EditedText, Removals, RequestContext};
use crate::wire::json::{self, Edits, NodeId, Value, quote};
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;
use crate::wire::span::Span;

/// Edits every choice.
pub(in crate::protocol) fn remove_from_response(
    root: Value<'_>,
    context: &RequestContext,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    if root.get("choices").is_none() {
        // An error, which has no copies of its text.
        return removals.only_edits();
    }
    let denied_texts = removals.denied_texts();
    let denied = removals.denied_calls();
    let edited = removals.edited_texts();
    let with_edits = sort::set(edited.values().map(|edited| edited.choice));
    let mut taken = 0usize;
    for (number, choice) in choices(root, "choices") {
        if let Some(text) = denied_texts.get(&number) {
            deny_choice(choice, text, context.structured_output, edits)?;
            continue;
        }
        if with_edits.contains(&number) {
            correct_copies(choice, &edited, edits);
        }
        taken = taken.saturating_add(take_out_calls(choice, &denied, edits));
    }
    match taken < denied.len() {
        true => Err(CannotRemove),
        false => Ok(()),
    }
}

/// Replaces a whole choice by a denial.
fn deny_choice(
    choice: Value<'_>,
    text: &str,
    structured_output: bool,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    let (message, prompted) = (choice.get("message"), choice.get("text"));
    if message.is_none() && prompted.is_none() {
        return Err(CannotRemove);
    }
    // Perplexity has both a message and a `delta`.
    for message in [message, choice.get("delta")].into_iter().flatten() {
        let mut with = Vec::new();
        denial_message(text, &mut with);
        edits.replace(message, with);
    }
    if let Some(prompted) = prompted {
        let mut with = Vec::new();
        quote(text, &mut with);
        edits.replace(prompted, with);
    }
    if let Some(reasoning) = choice.get("reasoning_content") {
        edits.replace(reasoning, b"null".to_vec());
    }
    if let Some(finish) = choice.get("finish_reason") {
        edits.replace(finish, denial_reason(structured_output).to_vec());
    }
    null_logprobs(choice, edits);
    Ok(())
}

pub(super) fn denial_message(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"role":"assistant","content":null,"refusal":"#);
    quote(text, out);
    out.push(b'}');
}

/// Returns the finish reason of a denial. Clients expect `content_filter`. But the SDK's `parse()` raises on that reason
/// if the request contains a schema; then the reason is `stop`.
pub(super) fn denial_reason(structured_output: bool) -> &'static [u8] {
    if structured_output {
        br#""stop""#
    } else {
        br#""content_filter""#
    }
}

/// Replaces token probabilities by `null`, because they repeat texts and calls.
pub(super) fn null_logprobs(choice: Value<'_>, edits: &mut Edits) {
    for name in ["logprobs", "log_probs"] {
        if let Some(logprobs) = choice.get(name).filter(|value| !value.is_null()) {
            edits.replace(logprobs, b"null".to_vec());
        }
    }
}

/// Corrects copies of a text: token probabilities repeat it and are removed, annotations point into it and are moved.
fn correct_copies(choice: Value<'_>, texts: &SortedMap<NodeId, &EditedText>, edits: &mut Edits) {
    null_logprobs(choice, edits);
    let message = choice.get("message");
    let content = message.and_then(|message| message.get("content"));
    let annotations = message.and_then(|message| message.get("annotations"));
    let edited = content.and_then(|content| texts.get(&content.place()));
    if let (Some(content), Some(annotations), Some(edited)) = (content, annotations, edited) {
        move_indices(content, annotations, edited, edits);
    }
}

/// Removes denied calls, and returns their number. If none is left, the response becomes an ordinary text with the
/// reason. Otherwise the remaining calls are unchanged, and the text names the missing ones.
fn take_out_calls(choice: Value<'_>, denied: &SortedMap<NodeId, &str>, edits: &mut Edits) -> usize {
    let Some(message) = choice.get("message") else {
        return 0;
    };
    let list = message.get("tool_calls").filter(|list| !list.is_null());
    let legacy = message.get("function_call").filter(|call| !call.is_null());
    let mut kept: Vec<Value<'_>> = Vec::new();
    let mut texts: Vec<&str> = Vec::new();
    for call in list.into_iter().flat_map(|list| list.elements()) {
        match denied.get(&call.place()) {
            Some(text) => texts.push(text),
            None => kept.push(call),
        }
    }
    let legacy_denied = legacy.and_then(|call| denied.get(&call.place()));
    texts.extend(legacy_denied);
    if texts.is_empty() {
        return 0;
    }
    let mut gone: Vec<&str> = Vec::new();
    if kept.is_empty() && list.is_some() {
        // Some clients do not expect an empty list; a plain response has no list.
        gone.push("tool_calls");
    } else if let Some(list) = list {
        remove_elements(list, &|place| denied.contains_key(&place), edits);
        for (number, call) in kept.iter().enumerate() {
            if let Some(index) = call.get("index").filter(|index| index.as_u64().is_some()) {
                let number = number.to_string().into_bytes();
                if index.raw() != number {
                    edits.replace(index, number);
                }
            }
        }
    }
    if legacy_denied.is_some() {
        gone.push("function_call");
    }
    let explanation = denial_text(&mut texts.iter().copied());
    explain(message, &gone, &explanation, edits);
    null_logprobs(choice, edits);
    let none_left = kept.is_empty() && (legacy.is_none() || legacy_denied.is_some());
    if none_left && let Some(finish) = choice.get("finish_reason") {
        edits.replace(finish, br#""stop""#.to_vec());
    }
    texts.len()
}

/// Appends a text to the text of the message, and removes members.
fn explain(message: Value<'_>, gone: &[&str], text: &str, edits: &mut Edits) {
    match message.get("content") {
        Some(content) if content.kind() == json::ValueKind::String => {
            let with = if content.raw_content().is_empty() {
                text.to_owned()
            } else {
                format!("\n\n{text}")
            };
            let end = content.text().map_or(0, |text| text.len());
            edits.replace_text(content, [(end..end, with.as_str())]);
        }
        Some(content) if content.kind() == json::ValueKind::Array => {
            let mut part = if content.elements().next().is_some() {
                b",".to_vec()
            } else {
                Vec::new()
            };
            part.extend_from_slice(br#"{"type":"text","text":"#);
            quote(text, &mut part);
            part.push(b'}');
            let end = content.span().end.saturating_sub(1);
            edits.splice(content.doc(), Span { start: end, end }, part);
        }
        Some(content) => {
            let mut with = Vec::new();
            quote(text, &mut with);
            edits.replace(content, with);
        }
        None => {
            let mut with = br#""content":"#.to_vec();
            quote(text, &mut with);
            // In place of a removed member, or before the remaining ones.
            match gone.split_first() {
                Some((first, others)) => {
                    if let Some(member) = member_span(message, first) {
                        edits.splice(message.doc(), member, with);
                    }
                    remove_members(message, others, edits);
                }
                None => {
                    with.push(b',');
                    let start = message.span().start.saturating_add(1);
                    edits.splice(message.doc(), Span { start, end: start }, with);
                }
            }
            return;
        }
    }
    remove_members(message, gone, edits);
}
