//! Answers line by line: texts go on over lines, each call stands whole in one.
//!
//! ```text
//! {"model":"llama3.2","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"Rain"},"done":false}
//! {"model":"llama3.2","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"weather","arguments":{"city":"Bern"}}}]},"done":false}
//! {"model":"llama3.2","created_at":"2026-01-01T00:00:00Z","response":"Rain","done":false}
//! {"model":"llama3.2","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":41}
//! ```

use super::{MESSAGE, RESPONSE, answer_member, message_member, removal};
use crate::protocol::json_edit::raw_members;
use crate::protocol::stream::{
    CallKey, ChangesByText, HeldFrame, KeepAlive, OrderingGroups, StreamReader, SyntheticFrame,
    TextKey, UnknownTexts,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Origin, Reader, Removals, RequestContext};
use crate::wire::json::{Edits, NodeId, Value, quote};
use std::collections::VecDeque;

/// Where texts stand whose members are numbered.
const IN_LINE: u32 = 0;
const IN_MESSAGE: u32 = 1;

/// A streamed response.
#[derive(Debug)]
pub(super) struct OllamaStream {
    context: RequestContext,
    /// What lines of our own repeat, as the first line wrote it.
    common: Option<Vec<u8>>,
    /// Of each line with calls that has not been sent: those that were taken out.
    denied: VecDeque<Vec<NodeId>>,
    /// Calls that were taken out of lines that have been sent.
    gone: u64,
    /// Members of messages that nobody knows.
    unknown: UnknownTexts,
}

impl OllamaStream {
    pub(super) fn new(context: &RequestContext) -> OllamaStream {
        OllamaStream {
            context: context.clone(),
            common: None,
            denied: VecDeque::new(),
            gone: 0,
            unknown: UnknownTexts::default(),
        }
    }

    /// A line that says this.
    fn line(&self, text: &str, is_last: bool) -> Vec<u8> {
        let mut out = b"{".to_vec();
        match &self.common {
            Some(common) => out.extend_from_slice(common),
            None => super::common(&self.context, &mut out),
        }
        if self.context.endpoint.name == "chat" {
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
        out
    }
}

fn calls_of(root: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let calls = root
        .get("message")
        .and_then(|message| message.get("tool_calls"));
    calls.into_iter().flat_map(|calls| calls.elements())
}

impl StreamReader for OllamaStream {
    fn read(&mut self, reader: &mut Reader<'static>, _: Option<&str>) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
        reader.frame.lanes = OrderingGroups::ALL;
        if self.common.is_none() {
            self.common = Some(raw_members(root, &["model", "created_at"]));
        }
        let of = |which: u32| Origin {
            piece_of: Some(which),
            ..Origin::answer(0)
        };
        let origin = of(IN_LINE);
        reader.rows(
            root,
            RESPONSE,
            &origin,
            &mut |reader, key, value| match key {
                "message" => {
                    let origin = of(IN_MESSAGE);
                    let mut read = |reader: &mut Reader<'static>, key: &'static str, value| {
                        message_member(reader, key, value, &origin);
                    };
                    reader.rows(value, MESSAGE, &origin, &mut read);
                    // Servers that take after Ollama say texts under names of their own, over lines as all texts.
                    self.unknown.read(reader, value, &[MESSAGE], 0);
                }
                _ => answer_member(reader, key, value),
            },
        );
        if calls_of(root).next().is_some() {
            self.denied.push_back(Vec::new());
        }
        reader.frame.last = root.get("done").and_then(|done| done.as_bool()) == Some(true);
    }

    fn text_at(&self, channel: &TextKey) -> String {
        format!("#{}", channel.part.word())
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#tool_calls/{}", key.item)
    }

    fn remove_from_response(
        &mut self,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        if let Some(denied) = self.denied.back_mut() {
            denied.extend(removals.calls.iter().map(|call| call.at));
        }
        let json = frame.json.as_ref().ok_or(CannotRemove)?;
        removal::remove_from_response(json, removals, &mut frame.edits)
    }

    /// Calls have numbers of which none may be missing.
    fn counts_frames(&self) -> bool {
        true
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        let Some(body) = frame.body() else {
            return;
        };
        let root = body.root();
        if calls_of(root).next().is_some() {
            let denied = self.denied.pop_front().unwrap_or_default();
            for call in calls_of(root) {
                if denied.contains(&call.place()) {
                    self.gone = self.gone.saturating_add(1);
                } else {
                    self.renumber(call, &mut frame.edits);
                }
            }
        }
        // Tokens repeat the text: those of this line, and at the end those of the whole response.
        if !frame.edits.is_empty() || !changes.is_empty() {
            removal::remove_copies(root, &mut frame.edits);
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        let line = if as_error {
            Dialect::Ollama.body(denial)
        } else {
            match self.context.endpoint.name {
                "chat" | "generate" => self.line(&denial.message(), true),
                _ => Dialect::Ollama.body(denial),
            }
        };
        vec![SyntheticFrame::new(None, line)]
    }

    /// Clients read every line as JSON.
    fn keep_alive(&self) -> Option<KeepAlive> {
        matches!(self.context.endpoint.name, "chat" | "generate")
            .then(|| KeepAlive::Frame(SyntheticFrame::new(None, self.line("", false))))
    }
}

impl OllamaStream {
    fn renumber(&self, call: Value<'_>, edits: &mut Edits) {
        let function = call.get("function");
        let index = function.and_then(|function| function.get("index"));
        let Some((value, index)) = index.and_then(|value| Some((value, value.as_u64()?))) else {
            return;
        };
        if self.gone > 0 {
            let number = index.saturating_sub(self.gone);
            edits.replace(value, number.to_string().into_bytes());
        }
    }
}
