//! Events that the filter creates.

use super::super::removal::{OUTPUT_TEXT, PartForm, message_item, message_part};
use crate::protocol::stream::SyntheticFrame;
use crate::wire::json::{Value, quote};

/// An event; its number is added when it is sent.
pub(super) fn event(kind: &'static str, rest: &[&[u8]]) -> SyntheticFrame {
    let mut payload = br#"{"type":"#.to_vec();
    quote(kind, &mut payload);
    payload.push(b',');
    for part in rest {
        payload.extend_from_slice(part);
    }
    payload.push(b'}');
    SyntheticFrame::new(Some(kind), payload)
}

/// A message of one part as the item of this number, with all of its events.
pub(super) fn message(item: u32, id: &str, form: PartForm, text: &str) -> Vec<SyntheticFrame> {
    let mut quoted_id = Vec::new();
    quote(id, &mut quoted_id);
    let at_item = format!(r#""output_index":{item},"item":"#).into_bytes();
    let in_item = [
        br#""item_id":"#,
        quoted_id.as_slice(),
        format!(r#","output_index":{item},"content_index":0,"#).as_bytes(),
    ]
    .concat();
    let begun = [
        br#"{"type":"message","id":"#,
        quoted_id.as_slice(),
        br#","role":"assistant","status":"in_progress","content":[]}"#,
    ]
    .concat();
    let (mut empty, mut part, mut whole, mut quoted) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    message_part(form, "", &mut empty);
    message_part(form, text, &mut part);
    message_item(id, form, text, &mut whole);
    quote(text, &mut quoted);
    let (delta, done, member, more): (_, _, &[u8], &[u8]) = if form == OUTPUT_TEXT {
        (
            "response.output_text.delta",
            "response.output_text.done",
            br#""text":"#,
            br#","logprobs":[]"#,
        )
    } else {
        (
            "response.refusal.delta",
            "response.refusal.done",
            br#""refusal":"#,
            b"",
        )
    };
    let part_of: &[u8] = br#""part":"#;
    vec![
        event("response.output_item.added", &[&at_item, &begun]),
        event("response.content_part.added", &[&in_item, part_of, &empty]),
        event(delta, &[&in_item, br#""delta":"#, &quoted, more]),
        event(done, &[&in_item, member, &quoted, more]),
        event("response.content_part.done", &[&in_item, part_of, &part]),
        event("response.output_item.done", &[&at_item, &whole]),
    ]
}

/// The end of an item.
pub(super) fn item_done(number: u32, item: &[u8]) -> SyntheticFrame {
    let at_item = format!(r#""output_index":{number},"item":"#).into_bytes();
    event("response.output_item.done", &[&at_item, item])
}

/// Returns the end of an item that is cut off: its type and id, without content.
pub(super) fn ended(item: Value<'_>) -> Vec<u8> {
    let mut out = b"{".to_vec();
    for name in ["type", "id", "call_id"] {
        if let Some(value) = item.get(name) {
            quote(name, &mut out);
            out.push(b':');
            out.extend_from_slice(value.raw());
            out.push(b',');
        }
    }
    let is = |kind: &str| item.get("type").is_some_and(|known| known.is_text(kind));
    if is("message") {
        out.extend_from_slice(br#""role":"assistant","content":[],"#);
    } else if is("reasoning") {
        out.extend_from_slice(br#""summary":[],"#);
    }
    out.extend_from_slice(br#""status":"incomplete"}"#);
    out
}
