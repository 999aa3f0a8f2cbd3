//! Refusals. Almost all are HTTP 200 with a JSON-RPC answer: the 1.x SDKs tear the whole session down on a 4xx.

use super::{SESSION_END, STREAM};
use crate::event::RpcMessage;
use crate::protocol::jsonrpc::{DENIED, Waiting, answers, begin, refusal_with_status, write_error};
use crate::protocol::refusal::Object;
use crate::protocol::surgery::remove_elements;
use crate::protocol::{Asked, CannotWithhold, Denial, Refusal, Withholding};
use crate::wire::json::{self, Edits, Nest, Place, Value, escape, quote};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Texts shorter than this are not looked for elsewhere: they stand everywhere.
const SHORTEST_COPY: usize = 4;
/// More different texts than this are not looked for; the answer is then refused instead.
const MOST_COPIES: usize = 64;

/// The answer to everything that the client asked in this exchange.
pub(super) fn refusal(denial: &Denial, asked: &Asked) -> Refusal {
    // A server that has no stream to offer, or lets nobody end a session, says 405, and clients go on without.
    if matches!(asked.endpoint.name, STREAM | SESSION_END) {
        let mut refusal = refusal_with_status(denial, asked);
        refusal.status = 405;
        refusal.headers.push(("allow", "POST".to_owned()));
        return refusal;
    }
    if asked.rpc.is_empty() {
        return refusal_with_status(denial, asked);
    }
    let is_batch = asked.endpoint.name == "batch";
    match answers(asked, is_batch, |out, message| {
        let id = message.id.as_deref();
        write_refused(out, id, Some(message), denial);
    }) {
        Some(body) => Refusal {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body,
        },
        // Nobody waits for an answer to a notification: it is accepted, and dropped.
        None => Refusal {
            status: 202,
            headers: Vec::new(),
            body: Vec::new(),
        },
    }
}

/// One refused answer. A model that called a tool reads why in the result; everything else ends with an error.
fn write_refused(
    out: &mut Vec<u8>,
    id: Option<&[u8]>,
    asked: Option<&RpcMessage>,
    denial: &Denial,
) {
    let call =
        asked.filter(|asked| asked.method.as_deref() == Some("tools/call") && !asked.as_task);
    let Some(call) = call else {
        write_error(out, id, DENIED, denial);
        return;
    };
    let mut outer = begin(out, id);
    outer.member("result", |out| {
        let mut result = Object::begin(out);
        result.member("content", |out| {
            out.extend_from_slice(br#"[{"type":"text","text":"#);
            quote(&denial.message(), out);
            out.extend_from_slice(b"}]");
        });
        result.member("isError", |out| out.extend_from_slice(b"true"));
        if call.typed_result {
            result.text("resultType", "complete");
        }
        result.member("_meta", |out| {
            let mut meta = Object::begin(out);
            meta.member("agentguard", |out| denial.details(out));
            meta.end();
        });
        result.end();
    });
    outer.end();
}

/// Edits a whole answer: refused messages are replaced, refused offers left out, copies of redacted texts edited too.
pub(super) fn withhold(
    nest: &Nest<'_>,
    asked: &Asked,
    withholding: &Withholding,
    edits: &mut Edits,
) -> Result<(), CannotWithhold> {
    let body = nest.body().ok_or(CannotWithhold)?;
    let root = body.root();
    let messages: Vec<Value<'_>> = match root.kind() {
        json::Kind::Array => root.elements().collect(),
        _ => vec![root],
    };
    let at = |choice: u32| {
        usize::try_from(choice)
            .ok()
            .and_then(|choice| messages.get(choice))
            .copied()
    };
    let waiting = Waiting::of(asked);
    for (choice, denial) in &withholding.denials {
        let message = at(*choice).ok_or(CannotWithhold)?;
        if message.get("method").is_some() {
            return Err(CannotWithhold);
        }
        let id = message.get("id");
        let question = waiting.request(id);
        let mut with = Vec::with_capacity(512);
        write_refused(&mut with, id.map(|id| id.raw()), question, denial);
        edits.replace(message, with);
    }
    leave_out(&messages, &withholding.offers, edits)?;
    correct_copies(nest, &messages, withholding, edits)
}

fn leave_out(
    messages: &[Value<'_>],
    offers: &[Place],
    edits: &mut Edits,
) -> Result<(), CannotWithhold> {
    if offers.is_empty() {
        return Ok(());
    }
    let offers: BTreeSet<Place> = offers.iter().copied().collect();
    let mut found = 0usize;
    for message in messages {
        let result = message.get("result");
        let inside = result
            .and_then(|result| result.get("inputRequests"))
            .into_iter()
            .flat_map(|requests| requests.members())
            .map(|(_, request)| request);
        let lists = result
            .into_iter()
            .chain(message.get("params"))
            .chain(inside.filter_map(|request| request.get("params")))
            .filter_map(|holder| holder.get("tools"));
        for list in lists {
            found = found.saturating_add(remove_elements(list, &offers, edits));
        }
    }
    if found == offers.len() {
        Ok(())
    } else {
        Err(CannotWithhold)
    }
}

/// A tool's result says the same twice, as text for people and as data; servers are told to. What was found in one of
/// them may escape a detector in the other, for want of the words around it.
fn correct_copies(
    nest: &Nest<'_>,
    messages: &[Value<'_>],
    withholding: &Withholding,
    edits: &mut Edits,
) -> Result<(), CannotWithhold> {
    let mut by_message: BTreeMap<u32, BTreeMap<String, String>> = BTreeMap::new();
    for edited in &withholding.edited {
        let Some(text) = nest.value(edited.at).and_then(|value| value.text()) else {
            continue;
        };
        let copies = by_message.entry(edited.choice).or_default();
        for (range, with) in &edited.changes {
            let found = text.get(range.clone()).unwrap_or_default();
            if found.len() >= SHORTEST_COPY {
                copies.insert(found.to_owned(), with.clone());
            }
        }
        if copies.len() > MOST_COPIES {
            return Err(CannotWithhold);
        }
    }
    for (choice, copies) in &by_message {
        let result = usize::try_from(*choice)
            .ok()
            .and_then(|choice| messages.get(choice))
            .and_then(|message| message.get("result"));
        let Some(result) = result else { continue };
        if result.get("structuredContent").is_none() {
            continue;
        }
        for holder in ["content", "structuredContent"] {
            for node in result
                .get(holder)
                .into_iter()
                .flat_map(|holder| holder.descendants())
                .filter(|node| !node.is_key)
            {
                if let Some(text) = node.value.text() {
                    let changes = found_in(&text, copies);
                    edits.replace_text(
                        node.value,
                        changes
                            .iter()
                            .map(|(range, with)| (range.clone(), with.as_str())),
                    );
                }
            }
        }
    }
    Ok(())
}

/// Where copies stand in a text, as they are and as they are escaped in JSON that the text holds.
fn found_in(text: &str, copies: &BTreeMap<String, String>) -> Vec<(Range<usize>, String)> {
    let mut changes = Vec::new();
    for (found, with) in copies {
        let mut look_for = |found: &str, with: &str| {
            for (at, matched) in text.match_indices(found) {
                changes.push((at..at.saturating_add(matched.len()), with.to_owned()));
            }
        };
        look_for(found, with);
        let escaped = escaped(found);
        if escaped != *found {
            look_for(&escaped, &self::escaped(with));
        }
    }
    changes.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let mut end = 0;
    changes.retain(|(range, _)| {
        let is_free = range.start >= end;
        if is_free {
            end = range.end;
        }
        is_free
    });
    changes
}

fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    escape(text, &mut out);
    String::from_utf8(out).unwrap_or_default()
}
