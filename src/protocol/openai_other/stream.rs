//! Events of an assistant's run: the run, its steps with their calls, and its messages.
//!
//! ```text
//! {"id":"run_1","object":"thread.run","status":"in_progress","assistant_id":"asst_1","model":"gpt-4o"}
//! {"id":"msg_1","object":"thread.message.delta","delta":{"content":[{"index":0,"type":"text","text":{"value":"Rain","annotations":[]}}]}}
//! {"id":"step_1","object":"thread.run.step.delta","delta":{"step_details":{"type":"tool_calls","tool_calls":[{"index":0,"type":"function","function":{"arguments":"{\"city\""}}]}}}
//! [DONE]
//! ```

use super::stored::{
    OBJECT, REQUIRED, STEP, STEP_CALL, STEP_FUNCTION, is_by_others, object_content, step_function,
    step_of_provider,
};
use crate::protocol::json_edit::{move_annotations, number};
use crate::protocol::openai_shapes::{ANSWER, beside, content_part};
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    CallCopy, CallKey, CallPath, ChangesByText, Delta, HeldFrame, KeepAlive, MAX_TEXTS,
    OrderingGroups, SnapshotCall, SnapshotCalls, SnapshotTexts, StreamReader, SyntheticFrame,
    TextKey, TextPath, Update, is_done,
};
use crate::protocol::{Denial, Dialect, Origin, Reader};
use crate::wire::json::{self, Edits, Value};
use crate::wire::span::{index, offset};

/// Members whose texts and calls continue over events.
const EVENT: &[Row] = &[
    ("delta", Type::Custom),
    ("step_details", Type::Custom),
    ("required_action", Type::Custom),
];
const DELTA: &[Row] = &[
    ("role", Type::Id),
    ("content", Type::Custom),
    ("step_details", Type::Custom),
];
/// Objects with texts: a message, or the code of a step.
const CONTENT: u32 = 0;
const CODE: u32 = 1;

/// Streamed run.
#[derive(Debug, Default)]
pub(super) struct RunStream {
    /// Ids of messages and steps.
    ids: Vec<Box<str>>,
    /// Their numbers, in the order of the ids.
    sorted: Vec<u32>,
    texts: SnapshotTexts,
    /// Calls by the number of their step and their position in it.
    calls: SnapshotCalls,
    /// Whether the run's settings were reported.
    has_settings: bool,
}

fn at_of(value: Value<'_>, position: u32) -> u32 {
    number(value, "index").unwrap_or(position)
}

impl RunStream {
    /// Returns the number of the message or step of an event.
    fn number_of(&mut self, object: Value<'_>) -> u32 {
        let id = object.get("id").and_then(|id| id.text());
        let id = id.unwrap_or_default();
        let of = |number: &u32| self.ids.get(index(*number)).map(|known| &**known);
        let place = self
            .sorted
            .binary_search_by(|number| of(number).cmp(&Some(&*id)));
        let number = offset(self.ids.len());
        match place {
            Ok(place) => self.sorted.get(place).copied().unwrap_or(number),
            Err(place) => {
                if self.ids.len() < MAX_TEXTS {
                    self.ids.push(id.as_ref().into());
                    self.sorted.insert(place, number);
                }
                number
            }
        }
    }

    fn contents(
        &mut self,
        reader: &mut Reader<'static>,
        contents: Value<'_>,
        number: u32,
        update: Update,
    ) {
        let mut position = 0u32;
        reader.array(contents, |reader, part| {
            let first = reader.frame.pieces.len();
            content_part(reader, part, &Origin::piece(0), false);
            let path = [number, at_of(part, position), CONTENT];
            self.texts.assign_all(reader, first, path, update);
            position = position.saturating_add(1);
        });
    }

    fn step(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        step: Value<'_>,
        number: u32,
        update: Update,
    ) {
        reader.rows(step, STEP, &beside(), &mut |reader, _, calls| {
            let mut position = 0u32;
            reader.array(calls, |reader, call| {
                let at = at_of(call, position);
                position = position.saturating_add(1);
                let first = reader.frame.pieces.len();
                reader.rows(
                    call,
                    STEP_CALL,
                    &Origin::piece(0),
                    &mut |reader, _, function| {
                        let path = [number, at];
                        self.function(reader, event, call, function, path, update);
                    },
                );
                self.texts
                    .assign_all(reader, first, [number, at, CODE], update);
                if update == Update::Whole {
                    step_of_provider(reader, call);
                }
            });
        });
    }

    /// Reads a call of a tool that the client runs.
    fn function(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        call: Value<'_>,
        function: Value<'_>,
        path: CallPath,
        update: Update,
    ) {
        let id = call.get("id").and_then(|id| id.text());
        let known = self.calls.last(&|known| match (&id, update) {
            (Some(id), _) => known.id.as_deref() == Some(id),
            (None, Update::Delta) => known.path == path,
            (None, Update::Whole) => false,
        });
        match (known, update) {
            // A call before this stream began, whose result was sent since.
            (None, Update::Whole) => step_function(reader, call, function),
            (Some(number), Update::Whole) => self.whole(reader, event, function, number),
            (known, Update::Delta) => {
                let call = SnapshotCall::at(path).with_id(id.as_deref());
                let begin = || self.calls.begin(reader, call, event.place());
                if let Some(number) = known.or_else(begin) {
                    self.delta(reader, event, function, number);
                }
            }
        }
    }

    fn delta(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        function: Value<'_>,
        number: usize,
    ) {
        let element = event.place();
        reader.rows(
            function,
            STEP_FUNCTION,
            &beside(),
            &mut |reader, key, value| {
                reader.claim_all(value);
                match key {
                    _ if value.kind() != json::ValueKind::String => {}
                    "name" => self.calls.name(reader, number, element, value),
                    _ => self.calls.arguments(reader, number, element, value),
                }
            },
        );
    }

    /// Reads all of a call that arrived in deltas.
    fn whole(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        function: Value<'_>,
        number: usize,
    ) {
        reader.rows(
            function,
            STEP_FUNCTION,
            &beside(),
            &mut |reader, _, value| reader.claim_all(value),
        );
        let Some(known) = self.calls.get(number) else {
            return;
        };
        let another = SnapshotCall::at(known.path).with_id(known.id.as_deref());
        let name = function.get("name").and_then(|name| name.text());
        let arguments = function.get("arguments");
        let text = arguments.and_then(|arguments| arguments.text());
        let copy = CallCopy {
            element: event.place(),
            name: name.as_deref(),
            text: text.as_deref().unwrap_or_default(),
            arguments,
        };
        let is_it = |at: usize, _: &SnapshotCall| at == number;
        self.calls.copy(reader, &copy, &is_it, another);
    }

    /// Reads the calls that the client has to run.
    fn required(&mut self, reader: &mut Reader<'static>, event: Value<'_>, action: Value<'_>) {
        let mut at = 0u32;
        reader.rows(action, REQUIRED, &beside(), &mut |reader, _, call| {
            let id = call.get("id").and_then(|id| id.text());
            let known = self
                .calls
                .last(&|known| known.id.is_some() && known.id.as_deref() == id.as_deref());
            let function = call.get("function");
            reader.rows(call, STEP_CALL, &beside(), &mut |reader, _, function| {
                reader.rows(
                    function,
                    STEP_FUNCTION,
                    &beside(),
                    &mut |reader, _, value| {
                        reader.claim_all(value);
                    },
                );
            });
            let number = known.or_else(|| {
                let call = SnapshotCall::at([u32::MAX, at]).with_id(id.as_deref());
                self.calls.begin(reader, call, event.place())
            });
            at = at.saturating_add(1);
            if let (Some(number), Some(function)) = (number, function) {
                self.whole(reader, event, function, number);
            }
        });
    }

    fn end_calls(&mut self, reader: &mut Reader<'static>) {
        let ended = self.calls.end(&|_| true);
        reader.piece(Delta::CallsEnd(ended));
    }
}

impl StreamReader for RunStream {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, event: Option<&str>) {
        reader.frame.lanes = OrderingGroups::ALL;
        let kind = event.unwrap_or_default();
        let number = self.number_of(root);
        let first = reader.reading.events.len();
        let tables = [EVENT, OBJECT, ANSWER];
        reader.row_lists(root, &tables, &beside(), &mut |reader, key, value| match (
            key,
            value.kind(),
        ) {
            (_, json::ValueKind::Null) => reader.claim(value),
            ("delta", _) => {
                reader.rows(
                    value,
                    DELTA,
                    &beside(),
                    &mut |reader, key, value| match key {
                        _ if value.is_null() => reader.claim(value),
                        "content" => self.contents(reader, value, number, Update::Delta),
                        _ => self.step(reader, root, value, number, Update::Delta),
                    },
                );
            }
            ("content", json::ValueKind::Array) if !is_by_others(root) => {
                self.contents(reader, value, number, Update::Whole);
            }
            ("step_details", json::ValueKind::Object) => {
                self.step(reader, root, value, number, Update::Whole);
            }
            ("required_action", json::ValueKind::Object) => self.required(reader, root, value),
            ("content", _) => object_content(reader, root, value),
            _ => {}
        });
        let is_run = kind.starts_with("thread.run.") && !kind.starts_with("thread.run.step.");
        let is_partial = kind.ends_with(".created") || kind.ends_with(".in_progress");
        if (is_run && std::mem::replace(&mut self.has_settings, true)) || (!is_run && is_partial) {
            reader.mark_copies(first);
        }
        match kind {
            "thread.message.completed" | "thread.message.incomplete" => {
                let is_it = |[of, _, what]: TextPath| of == number && what == CONTENT;
                self.texts.end(reader, &is_it);
            }
            "thread.run.requires_action" => self.end_calls(reader),
            kind if kind.starts_with("thread.run.step.")
                && !is_partial
                && !kind.ends_with(".delta") =>
            {
                self.texts.end(reader, &|[of, ..]| of == number);
                self.end_calls(reader);
            }
            _ => {}
        }
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        is_done(payload)
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        match self.texts.path(text_key) {
            Some([of, at, CONTENT]) => {
                let id = self.ids.get(index(of)).map_or("", |id| id);
                format!("#{id}/content/{at}")
            }
            Some([of, at, _]) => {
                let id = self.ids.get(index(of)).map_or("", |id| id);
                format!("#{id}/tool_calls/{at}")
            }
            None => String::new(),
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        let call = self.calls.of(key);
        let id = call.and_then(|call| call.id.as_deref());
        format!("#{}", id.unwrap_or_default())
    }

    /// Moves annotations, which point into the text.
    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        let Some(body) = frame.body() else {
            return;
        };
        let root = body.root();
        let number = self.number_of(root);
        let edits: &mut Edits = &mut frame.edits;
        let holder = root.get("delta").unwrap_or(root);
        let parts = holder.get("content").into_iter();
        for (part, position) in parts.flat_map(|parts| parts.elements()).zip(0u32..) {
            let path = [number, at_of(part, position), CONTENT];
            let annotations = part.get("text").and_then(|text| text.get("annotations"));
            if let (Some(annotations), Some(changes)) =
                (annotations, self.texts.changes_at(path, changes))
            {
                move_annotations(annotations, edits, changes);
            }
        }
    }

    /// Returns an error: the run continues at the provider.
    fn denial_frames(&mut self, denial: &Denial, _: bool) -> Vec<SyntheticFrame> {
        vec![SyntheticFrame::error(Dialect::OpenAi, denial)]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}
