//! Streamed responses in lines. A text continues over lines; a call is complete in one line.
//!
//! ```text
//! {"model":"llama3.2","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"Rain"},"done":false}
//! {"model":"llama3.2","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"weather","arguments":{"city":"Bern"}}}]},"done":false}
//! {"model":"llama3.2","created_at":"2026-01-01T00:00:00Z","response":"Rain","done":false}
//! {"model":"llama3.2","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":41}
//! ```

use super::{MESSAGE, RESPONSE, message_member, removal};
use crate::protocol::json_edit::lower_number;
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    CallKey, ChoiceFormat, ChoiceSpec, ChoiceStream, CorrectedFrame, HeldFrame, KeepAlive,
    SyntheticFrame,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Origin, Reader, Removals, RequestContext};
use crate::wire::json::{NodeId, Value, quote};
use crate::wire::sorted_map::SortedSet;
use std::collections::VecDeque;

/// Objects with numbered texts.
const IN_LINE: u32 = 0;
const IN_MESSAGE: u32 = 1;

/// Members of a line whose texts continue over lines.
const LINE: &[Row] = &[("message", Type::Custom)];

/// Calls of a streamed response.
#[derive(Debug, Default)]
pub(super) struct OllamaLines {
    /// Removed calls of each line with calls that has not been sent.
    denied: VecDeque<SortedSet<NodeId>>,
    /// Number of the calls removed from lines that have been sent.
    gone: u32,
}

/// Returns a reader of a response.
pub(super) fn line_stream(context: &RequestContext) -> ChoiceStream<OllamaLines> {
    ChoiceStream::new(context, OllamaLines::default())
}

/// Returns a line that the filter creates.
fn line(stream: &ChoiceStream<OllamaLines>, text: &str, is_last: bool) -> SyntheticFrame {
    let mut out = b"{".to_vec();
    match &stream.common {
        Some(common) => out.extend_from_slice(common),
        None => super::common(&stream.context, &mut out),
    }
    if stream.context.endpoint.name == "chat" {
        out.extend_from_slice(br#""message":"#);
        removal::denial_message(text, &mut out);
    } else {
        out.extend_from_slice(br#""response":"#);
        quote(text, &mut out);
    }
    out.extend_from_slice(if is_last {
        br#","done":true,"done_reason":"stop"}"#
    } else {
        br#","done":false}"#
    });
    SyntheticFrame::new(None, out)
}

/// Returns whether the lines of an endpoint contain a model's words, and not the progress of a download.
fn is_spoken(stream: &ChoiceStream<OllamaLines>) -> bool {
    matches!(stream.context.endpoint.name, "chat" | "generate")
}

fn calls_of(root: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let calls = root
        .get("message")
        .and_then(|message| message.get("tool_calls"));
    calls.into_iter().flat_map(|calls| calls.elements())
}

impl ChoiceFormat for OllamaLines {
    type Choice = ();
    const SPEC: ChoiceSpec = ChoiceSpec {
        frame: &[LINE, RESPONSE],
        origin: || Origin::piece(IN_LINE),
        proto_json: false,
        list: None,
        envelope: None,
        common: &["model", "created_at"],
        place: "",
        has_done: false,
        // Calls have numbers of which none may be missing.
        counts_frames: true,
        error: |denial| SyntheticFrame::new(None, Dialect::Ollama.body(denial)),
    };

    fn begin(stream: &mut ChoiceStream<Self>, reader: &mut Reader<'static>, line: Value<'_>) {
        if calls_of(line).next().is_some() {
            stream.format.denied.push_back(SortedSet::new());
        }
        reader.frame.last = line.get("done").and_then(|done| done.as_bool()) == Some(true);
    }

    fn member(
        stream: &mut ChoiceStream<Self>,
        reader: &mut Reader<'static>,
        _: &'static str,
        value: Value<'_>,
    ) {
        let origin = Origin::piece(IN_MESSAGE);
        reader.rows(value, MESSAGE, &origin, &mut |reader, key, value| {
            message_member(reader, key, value, &origin);
        });
        // A server with its own name for a text sends that text over several lines, too.
        stream.unknown.read(reader, value, &[MESSAGE], 0);
    }

    fn call_at(key: &CallKey) -> String {
        format!("tool_calls/{}", key.item)
    }

    fn remove(
        stream: &mut ChoiceStream<Self>,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        if let Some(denied) = stream.format.denied.back_mut() {
            denied.extend(removals.calls.iter().map(|call| call.at));
        }
        let body = frame.body().ok_or(CannotRemove)?;
        removal::remove_from_response(body.root(), removals, &mut frame.edits)
    }

    fn correct(
        stream: &mut ChoiceStream<Self>,
        (_, line): (u32, Value<'_>),
        frame: &mut CorrectedFrame<'_>,
    ) {
        let lines = &mut stream.format;
        if calls_of(line).next().is_some() {
            let denied = lines.denied.pop_front().unwrap_or_default();
            for call in calls_of(line) {
                if denied.contains(&call.place()) {
                    lines.gone = lines.gone.saturating_add(1);
                } else {
                    let function = call.get("function");
                    let index = function.and_then(|function| function.get("index"));
                    lower_number(index, lines.gone, frame.edits);
                }
            }
        }
        // Tokens repeat the text: those of this line, and at the end those of the whole response.
        if !frame.edits.is_empty() || !frame.changes.is_empty() {
            removal::remove_copies(line, frame.edits);
        }
    }

    fn denied(stream: &ChoiceStream<Self>, denial: &Denial) -> Vec<SyntheticFrame> {
        vec![match is_spoken(stream) {
            true => line(stream, &denial.message(), true),
            false => (Self::SPEC.error)(denial),
        }]
    }

    /// Returns a line, because clients read every line as JSON.
    fn keep_alive(stream: &ChoiceStream<Self>) -> Option<KeepAlive> {
        is_spoken(stream).then(|| KeepAlive::Frame(line(stream, "", false)))
    }
}
