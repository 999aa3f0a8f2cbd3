//! Denials of A2A: a JSON-RPC error with HTTP 200, as agents use it themselves; in HTTP+JSON the form of Google's
//! errors.

use super::{SEND, TASK, VERSION};
use crate::protocol::json_edit::ObjectWriter;
use crate::protocol::jsonrpc::{DENIED, answers, denial_with_status, has_own_status, write_error};
use crate::protocol::stream::SyntheticFrame;
use crate::protocol::{Denial, DenialReply, Dialect, RequestContext};
use crate::wire::json::quote;

/// Returns a denial whose status can still be set.
pub(super) fn reply(denial: &Denial, context: &RequestContext) -> DenialReply {
    let is_rpc = context.endpoint.name == super::MESSAGE || !context.rpc.is_empty();
    if !is_rpc {
        return Dialect::A2a.reply(denial);
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
    answers(context, false, &mut |out, message| {
        write_error(out, message.id.as_deref(), DENIED, denial);
    })
}

/// Returns a response for a client that has already received a successful status.
pub(super) fn answer(denial: &Denial, context: &RequestContext) -> Vec<u8> {
    if let Some(body) = errors(denial, context) {
        return body;
    }
    match context.endpoint.name {
        // The agent's answer is a message. This one contains the reason why there is no other.
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

/// Returns the last frame of a denied stream. HTTP+JSON names the event; a frame of JSON-RPC is recognisable as an
/// error.
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
    // 0.3 uses another name for parts in this binding.
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
