//! Refusals: a JSON-RPC error with HTTP 200, as agents answer themselves; in HTTP+JSON the shape of Google's errors.

use super::{SEND, TASK, VERSION};
use crate::protocol::json_edit::ObjectWriter;
use crate::protocol::jsonrpc::{DENIED, answers, denial_with_status, has_own_status, write_error};
use crate::protocol::stream::SyntheticFrame;
use crate::protocol::{Denial, DenialReply, Dialect, RequestContext};
use crate::wire::json::quote;

/// A refusal whose status can still be chosen.
pub(super) fn refusal(denial: &Denial, context: &RequestContext) -> DenialReply {
    let is_rpc = context.endpoint.name == super::MESSAGE || !context.rpc.is_empty();
    if !is_rpc {
        return Dialect::A2a.refusal(denial);
    }
    if has_own_status(denial) {
        return denial_with_status(denial, context);
    }
    match errors(denial, context) {
        Some(body) => DenialReply {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body,
        },
        None => denial_with_status(denial, context),
    }
}

fn errors(denial: &Denial, context: &RequestContext) -> Option<Vec<u8>> {
    answers(context, false, |out, message| {
        write_error(out, message.id.as_deref(), DENIED, denial);
    })
}

/// A response for a client that has already been sent a successful status.
pub(super) fn answer(denial: &Denial, context: &RequestContext) -> Vec<u8> {
    if let Some(body) = errors(denial, context) {
        return body;
    }
    match context.endpoint.name {
        // The agent's answer is a message; here it says why there is no other.
        SEND => {
            let mut out = Vec::with_capacity(512);
            let mut outer = ObjectWriter::begin(&mut out);
            outer.member("message", |out| write_message(out, denial, context));
            outer.end();
            out
        }
        TASK => {
            let mut out = Vec::with_capacity(512);
            let mut task = ObjectWriter::begin(&mut out);
            task.text("id", &denial.request_id);
            task.member("status", |out| {
                let mut status = ObjectWriter::begin(out);
                status.text("state", "TASK_STATE_REJECTED");
                status.member("message", |out| write_message(out, denial, context));
                status.end();
            });
            task.end();
            out
        }
        _ => Dialect::A2a.body(denial),
    }
}

/// The last frame of a stream that is refused. HTTP+JSON names it; in JSON-RPC it tells itself that it is an error.
pub(super) fn frame(denial: &Denial, context: &RequestContext) -> SyntheticFrame {
    match errors(denial, context) {
        Some(body) => SyntheticFrame::new(None, body),
        None => SyntheticFrame::error(Dialect::A2a, denial),
    }
}

fn write_message(out: &mut Vec<u8>, denial: &Denial, context: &RequestContext) {
    let is_old = !context
        .endpoint
        .header(VERSION)
        .any(|version| !version.starts_with(b"0."));
    let mut message = ObjectWriter::begin(out);
    message.text("messageId", &format!("agentguard-{}", denial.request_id));
    message.text("role", "ROLE_AGENT");
    // 0.3 has parts under another name in this binding.
    message.member(if is_old { "content" } else { "parts" }, |out| {
        out.extend_from_slice(br#"[{"text":"#);
        quote(&denial.message(), out);
        out.extend_from_slice(b"}]");
    });
    message.member("metadata", |out| {
        let mut metadata = ObjectWriter::begin(out);
        metadata.member("agentguard", |out| denial.details(out));
        metadata.end();
    });
    message.end();
}
