//! What is taken out of a whole answer, and what takes its place.

use super::choice_number;
use crate::protocol::surgery::{member_span, remove_elements, remove_members};
use crate::protocol::{Asked, CannotWithhold, EditedText, Withholding};
use crate::wire::json::{self, Edits, Nest, Place, Value, quote};
use crate::wire::span::Span;
use std::ops::Range;

/// Makes the edits in every choice.
pub(super) fn withhold(
    nest: &Nest<'_>,
    asked: &Asked,
    withholding: &Withholding,
    edits: &mut Edits,
) -> Result<(), CannotWithhold> {
    let body = nest.body().ok_or(CannotWithhold)?;
    let choices = body.root().get("choices").ok_or(CannotWithhold)?;
    for (at, choice) in choices.elements().enumerate() {
        let number = choice_number(choice, at);
        let refused = withholding.choices.iter().find(|(n, _)| *n == number);
        if let Some((_, text)) = refused {
            refuse_choice(choice, text, asked.structured_output, edits)?;
            continue;
        }
        let texts: Vec<&EditedText> = withholding
            .edited
            .iter()
            .filter(|edited| edited.choice == number)
            .collect();
        if !texts.is_empty() {
            correct_copies(choice, &texts, edits);
        }
        let calls: Vec<(Place, &str)> = withholding
            .calls
            .iter()
            .filter(|call| call.choice == number)
            .map(|call| (call.at, call.text.as_str()))
            .collect();
        if !calls.is_empty() {
            take_out_calls(choice, &calls, edits)?;
        }
    }
    Ok(())
}

/// The whole choice becomes a refusal.
fn refuse_choice(
    choice: Value<'_>,
    text: &str,
    structured_output: bool,
    edits: &mut Edits,
) -> Result<(), CannotWithhold> {
    let message = choice.get("message").ok_or(CannotWithhold)?;
    let mut with = Vec::new();
    refusing_message(text, &mut with);
    edits.replace(message, with);
    if let Some(finish) = choice.get("finish_reason") {
        edits.replace(finish, refusing_reason(structured_output).to_vec());
    }
    null_logprobs(choice, edits);
    Ok(())
}

pub(super) fn refusing_message(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"role":"assistant","content":null,"refusal":"#);
    quote(text, out);
    out.push(b'}');
}

/// `content_filter` is the reason that a client expects with a refusal; but the SDK's `parse()` raises on that reason
/// when a schema was asked for, so that `stop` is right there.
pub(super) fn refusing_reason(structured_output: bool) -> &'static [u8] {
    if structured_output {
        br#""stop""#
    } else {
        br#""content_filter""#
    }
}

fn null_logprobs(choice: Value<'_>, edits: &mut Edits) {
    if let Some(logprobs) = choice.get("logprobs").filter(|value| !value.is_null()) {
        edits.replace(logprobs, b"null".to_vec());
    }
}

/// Token probabilities repeat the text, and annotations point into it: the first go, the others move along.
fn correct_copies(choice: Value<'_>, texts: &[&EditedText], edits: &mut Edits) {
    null_logprobs(choice, edits);
    let Some(message) = choice.get("message") else {
        return;
    };
    let Some(content) = message.get("content") else {
        return;
    };
    let Some(edited) = texts.iter().find(|edited| edited.at == content.place()) else {
        return;
    };
    let (Some(text), Some(annotations)) = (content.text(), message.get("annotations")) else {
        return;
    };
    for node in annotations.descendants() {
        for name in ["start_index", "end_index"] {
            let index = node.value.get(name);
            let Some((value, at)) = index.and_then(|value| Some((value, value.as_u64()?))) else {
                continue;
            };
            let moved = moved_index(&text, at, edited, name == "end_index");
            if moved != at {
                edits.replace(value, moved.to_string().into_bytes());
            }
        }
    }
}

/// Where a character index stands after the edits. An index inside an edited part moves to its edge.
fn moved_index(text: &str, at: u64, edited: &EditedText, is_end: bool) -> u64 {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    let byte = text
        .char_indices()
        .nth(at)
        .map_or(text.len(), |(byte, _)| byte);
    let mut moved = 0usize;
    let mut copied = 0usize;
    for (range, with) in &edited.changes {
        if range.start >= byte {
            break;
        }
        moved = moved.saturating_add(characters(text, copied..range.start));
        if range.end <= byte || is_end {
            moved = moved.saturating_add(with.chars().count());
        }
        copied = range.end;
    }
    moved = moved.saturating_add(characters(text, copied..byte));
    u64::try_from(moved).unwrap_or(u64::MAX)
}

fn characters(text: &str, range: Range<usize>) -> usize {
    text.get(range).map_or(0, |part| part.chars().count())
}

/// Removes denied calls. With none left the answer is an ordinary text, and says why; otherwise the remaining calls
/// stand as they came and the text says what is missing.
fn take_out_calls(
    choice: Value<'_>,
    calls: &[(Place, &str)],
    edits: &mut Edits,
) -> Result<(), CannotWithhold> {
    let message = choice.get("message").ok_or(CannotWithhold)?;
    let list = message.get("tool_calls").filter(|list| !list.is_null());
    let legacy = message.get("function_call").filter(|call| !call.is_null());
    let is_denied = |call: &Value<'_>| calls.iter().any(|(at, _)| *at == call.place());
    let kept: Vec<Value<'_>> = list
        .into_iter()
        .flat_map(|list| list.elements())
        .filter(|call| !is_denied(call))
        .collect();
    let legacy_denied = legacy.as_ref().is_some_and(is_denied);
    let mut gone: Vec<&str> = Vec::new();
    if kept.is_empty() && list.is_some() {
        // An empty list is not what every client expects; no list is what they get from a plain answer.
        gone.push("tool_calls");
    } else if let Some(list) = list {
        let places: Vec<Place> = calls.iter().map(|(at, _)| *at).collect();
        remove_elements(list, &places, edits);
        for (number, call) in kept.iter().enumerate() {
            if let Some(index) = call.get("index").filter(|index| index.as_u64().is_some()) {
                let number = number.to_string().into_bytes();
                if index.raw() != number {
                    edits.replace(index, number);
                }
            }
        }
    }
    if legacy_denied {
        gone.push("function_call");
    }
    let mut texts: Vec<&str> = calls.iter().map(|(_, text)| *text).collect();
    texts.dedup();
    explain(message, &gone, &texts.join("\n"), edits);
    let none_left = kept.is_empty() && (legacy.is_none() || legacy_denied);
    if none_left && let Some(finish) = choice.get("finish_reason") {
        edits.replace(finish, br#""stop""#.to_vec());
    }
    Ok(())
}

/// Puts a text after whatever the message says, and removes members.
fn explain(message: Value<'_>, gone: &[&str], text: &str, edits: &mut Edits) {
    match message.get("content") {
        Some(content) if content.kind() == json::Kind::String => {
            let with = if content.raw_content().is_empty() {
                text.to_owned()
            } else {
                format!("\n\n{text}")
            };
            let end = content.text().map_or(0, |text| text.len());
            edits.replace_text(content, [(end..end, with.as_str())]);
        }
        Some(content) if content.kind() == json::Kind::Array => {
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
            // In the place of a member that goes, or before those that stay.
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
