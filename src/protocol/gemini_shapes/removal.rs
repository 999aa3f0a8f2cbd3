//! Removal of denied parts from a response, and their replacements.

use crate::protocol::json_edit::{ObjectWriter, choices, count, remove_members};
use crate::protocol::{CannotRemove, EditedText, Removals};
use crate::wire::json::{self, Edits, NodeId, Value};
use crate::wire::sorted_map::SortedMap;
use crate::wire::span::Span;
use crate::wire::work;
use std::ops::Range;

/// Returns a response with one candidate that contains only a denial.
pub(in crate::protocol) fn denied_response_body(text: &str, tokens: (u64, u64)) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut root = ObjectWriter::begin(&mut out);
    root.member("candidates", |out| {
        out.push(b'[');
        denied_candidate(text, 0, false, out);
        out.push(b']');
    });
    root.member("usageMetadata", |out| counts(tokens, out));
    root.end();
    out
}

/// Returns a frame that ends these candidates with a denial.
pub(super) fn denied_frame(text: &str, candidates: &[u32], as_number: bool) -> Vec<u8> {
    let mut out = br#"{"candidates":["#.to_vec();
    for (at, number) in candidates.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        denied_candidate(text, *number, as_number, &mut out);
    }
    out.extend_from_slice(b"]}");
    out
}

fn counts(tokens: (u64, u64), out: &mut Vec<u8>) {
    let mut usage = ObjectWriter::begin(out);
    usage.number("promptTokenCount", tokens.0);
    usage.number("candidatesTokenCount", tokens.1);
    usage.number("totalTokenCount", tokens.0.saturating_add(tokens.1));
    usage.end();
}

/// Writes a candidate with a denial. `SAFETY` is the reason of the provider's own filters, with which SDKs keep the
/// text; it is 3 with `enum-encoding=int`.
fn denied_candidate(text: &str, number: u32, as_number: bool, out: &mut Vec<u8>) {
    let mut candidate = ObjectWriter::begin(out);
    candidate.member("content", |out| {
        out.extend_from_slice(br#"{"parts":["#);
        text_part(text, out);
        out.extend_from_slice(br#"],"role":"model"}"#);
    });
    if as_number {
        candidate.number("finishReason", 3);
    } else {
        candidate.text("finishReason", "SAFETY");
    }
    candidate.number("index", u64::from(number));
    candidate.end();
}

pub(super) fn text_part(text: &str, out: &mut Vec<u8>) {
    let mut part = ObjectWriter::begin(out);
    part.text("text", text);
    part.end();
}

/// Edits a response.
pub(in crate::protocol) fn remove_from_response(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    let Some(candidates) = root.get("candidates") else {
        // An error, which has no copies of its text.
        return removals.only_edits();
    };
    if let Some((_, text)) = removals.choices.first() {
        let usage = root.get("usageMetadata");
        let tokens = (
            count(usage, "promptTokenCount"),
            count(usage, "candidatesTokenCount"),
        );
        if candidates.elements().nth(1).is_none() {
            edits.replace(root, denied_response_body(text, tokens));
            return Ok(());
        }
        // A denied text can be beside the candidates, too.
        let beside: Vec<_> = root
            .members()
            .filter_map(|(key, _)| key.text())
            .filter(|key| !matches!(&**key, "candidates" | "usageMetadata"))
            .collect();
        let beside: Vec<&str> = beside.iter().map(|key| &**key).collect();
        remove_members(root, &beside, edits);
        if let Some(usage) = usage {
            let mut with = Vec::new();
            counts(tokens, &mut with);
            edits.replace(usage, with);
        }
    }
    let denied_texts = removals.denied_texts();
    let denied = removals.denied_calls();
    let edited = removals.edited_texts();
    let mut taken = 0usize;
    for (number, candidate) in choices(root, "candidates") {
        if let Some(text) = denied_texts.get(&number) {
            let as_number = candidate
                .get("finishReason")
                .is_some_and(|reason| reason.kind() == json::ValueKind::Number);
            let mut with = Vec::new();
            denied_candidate(text, number, as_number, &mut with);
            edits.replace(candidate, with);
            continue;
        }
        let calls = take_out_calls(candidate, &denied, edits);
        taken = taken.saturating_add(calls);
        if calls > 0 || !edited.is_empty() {
            correct_copies(candidate, &edited, edits);
        }
    }
    if taken < denied.len() {
        return Err(CannotRemove);
    }
    Ok(())
}

pub(super) fn is_call(part: Value<'_>) -> bool {
    part.get("functionCall").is_some() || part.get("function_call").is_some()
}

/// Replaces denied calls by texts. The first call of a step contains its signature, which the provider requires back.
/// If that call is removed, the next call gets the signature.
fn take_out_calls(
    candidate: Value<'_>,
    denied: &SortedMap<NodeId, &str>,
    edits: &mut Edits,
) -> usize {
    let parts = candidate
        .get("content")
        .and_then(|content| content.get("parts"));
    let mut taken = 0usize;
    let mut orphan: Option<Value<'_>> = None;
    let mut left = false;
    let calls = parts
        .into_iter()
        .flat_map(|parts| parts.elements())
        .filter(|part| is_call(*part));
    for part in calls {
        let signature = part
            .get("thoughtSignature")
            .filter(|signature| !signature.is_null());
        match denied.get(&part.place()) {
            Some(text) => {
                let mut with = Vec::new();
                text_part(text, &mut with);
                edits.replace(part, with);
                taken = taken.saturating_add(1);
                orphan = orphan.or(signature.filter(|_| !left));
            }
            None => {
                if let (Some(orphan), None, false) = (orphan.take(), signature, left) {
                    sign(part, orphan.raw(), edits);
                }
                left = true;
            }
        }
    }
    if taken > 0 && !left {
        // "Model generated function call(s)."
        remove_members(candidate, &["finishMessage"], edits);
    }
    taken
}

/// Gives a call the signature of a removed call.
pub(super) fn sign(part: Value<'_>, signature: &[u8], edits: &mut Edits) {
    let mut with = br#""thoughtSignature":"#.to_vec();
    with.extend_from_slice(signature);
    with.push(b',');
    let start = part.span().start.saturating_add(1);
    edits.splice(part.doc(), Span { start, end: start }, with);
}

/// Corrects copies of edited texts: token probabilities are removed; supports and citations, which point into the text,
/// are moved with it.
fn correct_copies(
    candidate: Value<'_>,
    edited: &SortedMap<NodeId, &EditedText>,
    edits: &mut Edits,
) {
    remove_members(candidate, &["logprobsResult"], edits);
    let texts: Vec<_> = candidate
        .get("content")
        .and_then(|content| content.get("parts"))
        .into_iter()
        .flat_map(|parts| parts.elements())
        .map(|part| {
            let text = part.get("text")?;
            let edited = edited.get(&text.place())?;
            Some((text.text()?, *edited))
        })
        .collect();
    for name in ["groundingMetadata", "citationMetadata"] {
        let Some(metadata) = candidate.get(name) else {
            continue;
        };
        for node in metadata.descendants() {
            let place = node.value;
            let index = |name: &str| {
                place
                    .get(name)
                    .and_then(|index| usize::try_from(index.as_u64()?).ok())
            };
            let (start, end) = (index("startIndex"), index("endIndex"));
            let part = index("partIndex").unwrap_or(0);
            let Some(Some((text, edited))) =
                texts.get(part).filter(|_| start.is_some() || end.is_some())
            else {
                continue;
            };
            let changes = &edited.changes;
            move_index(place.get("startIndex"), changes, false, edits);
            move_index(place.get("endIndex"), changes, true, edits);
            if let Some(copy) = place.get("text")
                && let Some(copied) = copy.text()
            {
                // Whatever the indices say, a copy is no longer than it is: many of them would fill the memory.
                let start = start.unwrap_or(0);
                let longest = start.saturating_add(copied.len());
                let range = start..end.unwrap_or(text.len()).min(longest);
                let mut with = Vec::new();
                json::quote(&edited_part(text, range, changes), &mut with);
                edits.replace(copy, with);
            }
        }
    }
}

#[inline(never)]
fn move_index(
    index: Option<Value<'_>>,
    changes: &[(Range<usize>, String)],
    is_end: bool,
    edits: &mut Edits,
) {
    let Some((value, at)) =
        index.and_then(|index| Some((index, usize::try_from(index.as_u64()?).ok()?)))
    else {
        return;
    };
    let moved = moved(at, changes, is_end);
    if moved != at {
        edits.replace(value, moved.to_string().into_bytes());
    }
}

/// Returns the position of a byte after the changes of its text. A byte inside a changed part moves to its edge.
#[inline(never)]
pub(in crate::protocol) fn moved(
    at: usize,
    changes: &[(Range<usize>, String)],
    is_end: bool,
) -> usize {
    let mut moved = at;
    for (range, with) in changes {
        if range.start >= at {
            break;
        }
        work::spend(1);
        let is_inside = at < range.end;
        let covered = range.end.min(at).saturating_sub(range.start);
        moved = moved.saturating_sub(covered);
        if !is_inside || is_end {
            moved = moved.saturating_add(with.len());
        }
    }
    moved
}

/// Returns a part of a text after the changes.
fn edited_part(text: &str, range: Range<usize>, changes: &[(Range<usize>, String)]) -> String {
    let mut out = String::new();
    let mut at = range.start;
    for (change, with) in changes {
        if change.end <= range.start || change.start >= range.end {
            continue;
        }
        out.push_str(text.get(at..change.start.max(at)).unwrap_or_default());
        out.push_str(with);
        at = change.end.max(at);
    }
    out.push_str(text.get(at..range.end.max(at)).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_move_with_the_text_that_they_point_to() {
        // "call 4111 now" → "call [CARD] now"
        let changes = [(5..9, "[CARD]".to_owned())];
        for (at, is_end, expected) in [
            (0, false, 0),
            (5, false, 5),
            (5, true, 5),
            (7, false, 5),
            (7, true, 11),
            (9, true, 11),
            (10, false, 12),
            (13, true, 15),
        ] {
            assert_eq!(moved(at, &changes, is_end), expected, "{at} {is_end}");
        }
        assert_eq!(
            edited_part("call 4111 now", 0..13, &changes),
            "call [CARD] now"
        );
        assert_eq!(edited_part("call 4111 now", 0..7, &changes), "call [CARD]");
        assert_eq!(edited_part("call 4111 now", 9..13, &changes), " now");
    }
}
