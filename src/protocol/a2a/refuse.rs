//! Refusals: a JSON-RPC error with HTTP 200, as agents answer themselves; in HTTP+JSON the shape of Google's errors.

use super::{SEND, TASK, VERSION};
use crate::protocol::jsonrpc::{DENIED, answers, has_own_status, refusal_with_status, write_error};
use crate::protocol::stream::Made;
use crate::protocol::surgery::Object;
use crate::protocol::{Asked, Denial, Dialect, Refusal};
use crate::wire::json::quote;

/// A refusal whose status can still be chosen.
pub(super) fn refusal(denial: &Denial, asked: &Asked) -> Refusal {
    let is_rpc = asked.endpoint.name == super::MESSAGE || !asked.rpc.is_empty();
    if !is_rpc {
        return Dialect::A2a.refusal(denial);
    }
    if has_own_status(denial) {
        return refusal_with_status(denial, asked);
    }
    match errors(denial, asked) {
        Some(body) => Refusal {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body,
        },
        None => refusal_with_status(denial, asked),
    }
}

fn errors(denial: &Denial, asked: &Asked) -> Option<Vec<u8>> {
    answers(asked, false, |out, message| {
        write_error(out, message.id.as_deref(), DENIED, denial);
    })
}

/// An answer for a client that has already been sent a successful status.
pub(super) fn answer(denial: &Denial, asked: &Asked) -> Vec<u8> {
    if let Some(body) = errors(denial, asked) {
        return body;
    }
    match asked.endpoint.name {
        // The agent's answer is a message; here it says why there is no other.
        SEND => {
            let mut out = Vec::with_capacity(512);
            let mut outer = Object::begin(&mut out);
            outer.member("message", |out| write_message(out, denial, asked));
            outer.end();
            out
        }
        TASK => {
            let mut out = Vec::with_capacity(512);
            let mut task = Object::begin(&mut out);
            task.text("id", &denial.request_id);
            task.member("status", |out| {
                let mut status = Object::begin(out);
                status.text("state", "TASK_STATE_REJECTED");
                status.member("message", |out| write_message(out, denial, asked));
                status.end();
            });
            task.end();
            out
        }
        _ => Dialect::A2a.body(denial),
    }
}

/// The last frame of a stream that is refused. HTTP+JSON names it; in JSON-RPC it tells itself that it is an error.
pub(super) fn frame(denial: &Denial, asked: &Asked) -> Made {
    match errors(denial, asked) {
        Some(body) => Made::new(None, body),
        None => Made::new(Some("error"), Dialect::A2a.body(denial)),
    }
}

fn write_message(out: &mut Vec<u8>, denial: &Denial, asked: &Asked) {
    let is_old = !asked
        .endpoint
        .header(VERSION)
        .any(|version| !version.starts_with(b"0."));
    let mut message = Object::begin(out);
    message.text("messageId", &format!("agentguard-{}", denial.request_id));
    message.text("role", "ROLE_AGENT");
    // 0.3 has parts under another name in this binding.
    message.member(if is_old { "content" } else { "parts" }, |out| {
        out.extend_from_slice(br#"[{"text":"#);
        quote(&denial.message(), out);
        out.extend_from_slice(b"}]");
    });
    message.member("metadata", |out| {
        let mut metadata = Object::begin(out);
        metadata.member("agentguard", |out| denial.details(out));
        metadata.end();
    });
    message.end();
}
