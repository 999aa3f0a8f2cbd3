//! Denials of MCP. Almost all are HTTP 200 with a JSON-RPC answer: the 1.x SDKs close the whole session on a 4xx.

use super::{SESSION_END, STREAM};
use crate::detect::literals::Literals;
use crate::event::RpcMessage;
use crate::protocol::json_edit::ObjectWriter;
use crate::protocol::json_edit::remove_elements;
use crate::protocol::jsonrpc::{
    self, DENIED, PendingRpc, answers, begin, denial_with_status, write_error,
};
use crate::protocol::{CannotRemove, Denial, DenialReply, EditedText, Removals, RequestContext};
use crate::wire::json::{self, Edits, JsonBody, NodeId, Value, escape, quote};
use crate::wire::sorted_map::SortedMap;
use crate::wire::span::index;
use crate::wire::work;
use std::ops::Range;

/// Method in place of a denied request. No peer knows it, so that the peer answers with an error, as JSON-RPC requires. To
/// a server that asks, the error says that its request is not carried out; to a client of HTTP+SSE, that its own is not.
const DENIED_METHOD: &str = "agentguard/denied";

/// Minimum bytes of a text whose copies are searched. Shorter texts occur everywhere.
const SHORTEST_COPY: usize = 4;
/// Work steps for each byte of a text whose copies are searched. What exhausts the budget denies the response instead.
const STEPS_PER_BYTE: usize = 32;

/// Returns the answer to all requests of the client in this exchange.
pub(super) fn reply(denial: &Denial, context: &RequestContext) -> DenialReply {
    // A server without a stream, or without the ending of sessions, returns 405, and clients continue without it.
    if matches!(context.endpoint.name, STREAM | SESSION_END) {
        let mut reply = denial_with_status(denial, context);
        reply.status = 405;
        reply.headers.push(("allow", "POST".to_owned()));
        return reply;
    }
    if context.rpc.is_empty() {
        return denial_with_status(denial, context);
    }
    match answers(context, is_batch(context), &mut |out, message| {
        let id = message.id.as_deref();
        write_denied(out, id, Some(message), denial);
    }) {
        // Clients of HTTP+SSE read nothing of the response but its status, and would wait for an answer on their stream.
        Some(_) if context.endpoint.stream == Some(false) => denial_with_status(denial, context),
        Some(body) => DenialReply {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body,
        },
        // No client waits for an answer to a notification: it is accepted, and dropped.
        None => DenialReply {
            status: 202,
            headers: Vec::new(),
            body: Vec::new(),
        },
    }
}

/// Returns the body in place of answers of the client: the server waits for them as long as its SDK does, most of them for ever.
/// Clients of HTTP+SSE wait like that for what the server sends on their stream, and there are no batches.
pub(super) fn denied_answers(denial: &Denial, context: &RequestContext) -> Option<Vec<u8>> {
    let asked = (context.endpoint.stream == Some(false)).then(|| {
        answers(context, false, &mut |out, message| {
            begin_unknown(out, message.id.as_deref()).end();
        })
    });
    asked
        .flatten()
        .or_else(|| jsonrpc::denied_answers(denial, context, is_batch(context)))
}

/// Begins a request that its reader does not know.
pub(super) fn begin_unknown<'o>(out: &'o mut Vec<u8>, id: Option<&[u8]>) -> ObjectWriter<'o> {
    let mut outer = begin(out, id);
    outer.text("method", DENIED_METHOD);
    outer
}

fn is_batch(context: &RequestContext) -> bool {
    context.endpoint.name == "batch"
}

/// Writes one denied answer. A model that called a tool reads the reason in the result; everything else ends with an
/// error.
pub(super) fn write_denied(
    out: &mut Vec<u8>,
    id: Option<&[u8]>,
    context: Option<&RpcMessage>,
    denial: &Denial,
) {
    let call = context
        .filter(|context| context.method.as_deref() == Some("tools/call") && !context.as_task);
    let Some(call) = call else {
        write_error(out, id, DENIED, denial);
        return;
    };
    let mut outer = begin(out, id);
    outer.member("result", |out| {
        let mut result = ObjectWriter::begin(out);
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
            let mut meta = ObjectWriter::begin(out);
            meta.member("agentguard", |out| denial.details(out));
            meta.end();
        });
        result.end();
    });
    outer.end();
}

/// Edits a whole response: replaces denied messages, removes denied tool definitions, and edits copies of redacted
/// texts.
pub(super) fn remove_from_response(
    json: &JsonBody<'_>,
    context: &RequestContext,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    let body = json.body().ok_or(CannotRemove)?;
    let root = body.root();
    let messages: Vec<Value<'_>> = match root.kind() {
        json::ValueKind::Array => root.elements().collect(),
        _ => vec![root],
    };
    let at = |choice: u32| {
        usize::try_from(choice)
            .ok()
            .and_then(|choice| messages.get(choice))
            .copied()
    };
    let waiting = (!removals.denials.is_empty()).then(|| PendingRpc::of(context));
    for (choice, denial) in &removals.denials {
        let message = at(*choice).ok_or(CannotRemove)?;
        if message.get("method").is_some() {
            return Err(CannotRemove);
        }
        let id = message.get("id");
        let question = waiting
            .as_ref()
            .and_then(|waiting| waiting.request(context, id));
        let mut with = Vec::with_capacity(512);
        write_denied(&mut with, id.map(|id| id.raw()), question, denial);
        edits.replace(message, with);
    }
    leave_out(&messages, &removals.offers, edits)?;
    correct_copies(json, &messages, removals, edits)
}

fn leave_out(
    messages: &[Value<'_>],
    offers: &[NodeId],
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    if offers.is_empty() {
        return Ok(());
    }
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
            // A server's card is no message.
            .chain([*message])
            .chain(inside.filter_map(|request| request.get("params")))
            .filter_map(|holder| holder.get("tools"));
        for list in lists {
            // Tool definitions are in the order of the bytes.
            let goes = |place: NodeId| offers.binary_search(&place).is_ok();
            found = found.saturating_add(remove_elements(list, &goes, edits));
        }
    }
    if found == offers.len() {
        Ok(())
    } else {
        Err(CannotRemove)
    }
}

/// Edits copies of redacted texts. The result of a tool has the same content twice, as text for people and as data,
/// as servers are required to. A detector may miss in one of them what it found in the other, because the context
/// words are missing.
fn correct_copies(
    json: &JsonBody<'_>,
    messages: &[Value<'_>],
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    for group in removals.edited.chunk_by(|a, b| a.choice == b.choice) {
        let message = group
            .first()
            .and_then(|edited| usize::try_from(edited.choice).ok())
            .and_then(|choice| messages.get(choice));
        let results: Vec<Value<'_>> = message
            .into_iter()
            .flat_map(|message| results_in(*message))
            .filter(|result| result.get("structuredContent").is_some())
            .collect();
        if results.is_empty() {
            continue;
        }
        let copies = Copies::of(json, group)?;
        let holders = results.iter().flat_map(|result| {
            ["content", "structuredContent"]
                .iter()
                .filter_map(|key| result.get(key))
        });
        for node in holders
            .flat_map(|holder| holder.descendants())
            .filter(|node| !node.is_key)
        {
            copies.replace_in(node.value, edits);
        }
    }
    // Without a budget nothing more was found.
    match work::is_exhausted() {
        true => Err(CannotRemove),
        false => Ok(()),
    }
}

/// Returns the results of tools in a message: its own, and those of the tasks in it.
fn results_in(message: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let result = message.get("result");
    let listed = result.and_then(|result| result.get("tasks"));
    let tasks = [
        result,
        result.and_then(|result| result.get("task")),
        message.get("params"),
    ];
    let of_tasks = tasks
        .into_iter()
        .flatten()
        .chain(listed.into_iter().flat_map(|list| list.elements()))
        .filter_map(|task| task.get("result"));
    result.into_iter().chain(of_tasks)
}

/// Redacted texts, both as they are and as JSON inside a string escapes them.
struct Copies {
    /// Texts, in the order of their replacements.
    texts: Vec<String>,
    replacements: Vec<String>,
    finder: Literals,
}

impl Copies {
    /// Returns the texts that edits have replaced.
    fn of(json: &JsonBody<'_>, edited: &[EditedText]) -> Result<Copies, CannotRemove> {
        let (mut texts, mut replacements) = (Vec::new(), Vec::new());
        let mut known: SortedMap<String, u32> = SortedMap::new();
        for edited in edited {
            let Some(text) = json.value(edited.at).and_then(|value| value.text()) else {
                continue;
            };
            for (range, with) in &edited.changes {
                let found = text.get(range.clone()).unwrap_or_default();
                if found.len() < SHORTEST_COPY || known.insert(found.to_owned(), 0).is_some() {
                    continue;
                }
                work::spend(found.len().saturating_mul(STEPS_PER_BYTE));
                let inside = escaped(found);
                if inside != found {
                    texts.push(inside);
                    replacements.push(escaped(with));
                }
                texts.push(found.to_owned());
                replacements.push(with.clone());
            }
        }
        if work::is_exhausted() {
            return Err(CannotRemove);
        }
        Ok(Copies {
            finder: Literals::new(&texts).map_err(|_| CannotRemove)?,
            texts,
            replacements,
        })
    }

    /// Replaces the texts everywhere in a string. Of overlapping ones the first determines the replacement.
    fn replace_in(&self, string: Value<'_>, edits: &mut Edits) {
        let Some(text) = string.text() else { return };
        let mut parts: Vec<(Range<usize>, &str)> = Vec::new();
        self.finder.find(&text, &mut |number, mut range| {
            let copy = self.texts.get(index(number));
            // The finder ignores case and the length of blanks.
            if copy.is_none_or(|copy| text.get(range.clone()) != Some(copy)) {
                return;
            }
            let with = self.replacements.get(index(number));
            let mut with = with.map_or("", |with| with.as_str());
            while let Some((before, first)) = parts.pop_if(|(before, _)| before.end > range.start) {
                if before.start < range.start {
                    (range.start, with) = (before.start, first);
                }
            }
            parts.push((range, with));
        });
        edits.replace_text(string, parts);
    }
}

fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    escape(text, &mut out);
    String::from_utf8(out).unwrap_or_default()
}
