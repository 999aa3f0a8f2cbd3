//! Events of an assistant's run: the run itself, its steps with their calls, and its messages.
//!
//! ```text
//! {"id":"run_1","object":"thread.run","status":"in_progress","assistant_id":"asst_1","model":"gpt-4o"}
//! {"id":"msg_1","object":"thread.message.delta","delta":{"content":[{"index":0,"type":"text","text":{"value":"Rain","annotations":[]}}]}}
//! {"id":"step_1","object":"thread.run.step.delta","delta":{"step_details":{"type":"tool_calls","tool_calls":[{"index":0,"type":"function","function":{"arguments":"{\"city\""}}]}}}
//! [DONE]
//! ```

use super::stored::{
    OBJECT, REQUIRED, STEP, STEP_CALL, STEP_FUNCTION, is_by_others, object_member, step_function,
    step_of_provider,
};
use crate::protocol::json_edit::{move_annotations, number};
use crate::protocol::openai_shapes::{ANSWER, beside, content_part};
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    CallDelta, CallKey, ChangesByText, Delta, HeldFrame, KeepAlive, MAX_TEXTS, OrderingGroups,
    SnapshotTexts, StreamReader, SyntheticFrame, TextKey, TextPath, TextPrefixHash, Update,
    is_done, too_many,
};
use crate::protocol::{Denial, Dialect, Origin, Reader};
use crate::wire::json::{self, Edits, NodeId, Value};
use crate::wire::span::{index, offset};

const EVENT: &[Row] = &[("delta", Type::Custom)];
const DELTA: &[Row] = &[
    ("role", Type::Id),
    ("content", Type::Custom),
    ("step_details", Type::Custom),
];
/// What a spot is in: a message or the code of a step.
const CONTENT: u32 = 0;
const CODE: u32 = 1;

/// A call so far. Where a later event tells other arguments, that is another call.
#[derive(Debug)]
struct StreamedCall {
    step: u32,
    at: u32,
    id: Option<Box<str>>,
    name: Option<Box<str>>,
    so_far: TextPrefixHash,
    has_ended: bool,
}

/// A streamed run.
#[derive(Debug, Default)]
pub(super) struct RunStream {
    /// Ids of messages and steps.
    ids: Vec<Box<str>>,
    texts: SnapshotTexts,
    calls: Vec<StreamedCall>,
    /// The run's settings were told.
    has_told: bool,
}

pub(super) fn pieces() -> Origin {
    Origin {
        piece_of: Some(0),
        ..Origin::answer(0)
    }
}

fn at_of(value: Value<'_>, position: u32) -> u32 {
    number(value, "index").unwrap_or(position)
}

impl RunStream {
    /// The number of the message or step that an event is about.
    fn number_of(&mut self, object: Value<'_>) -> u32 {
        let id = object.get("id").and_then(|id| id.text());
        let id = id.unwrap_or_default();
        let known = self.ids.iter().position(|known| **known == *id);
        let number = known.unwrap_or(self.ids.len());
        if known.is_none() && number < MAX_TEXTS {
            self.ids.push(id.as_ref().into());
        }
        offset(number)
    }

    fn contents(
        &mut self,
        reader: &mut Reader<'static>,
        contents: Value<'_>,
        number: u32,
        how: Update,
    ) {
        let mut position = 0u32;
        reader.array(contents, |reader, part| {
            let first = reader.frame.pieces.len();
            content_part(reader, part, &pieces(), false);
            let spot = [number, at_of(part, position), CONTENT];
            self.texts.told(reader, first, spot, how);
            position = position.saturating_add(1);
        });
    }

    fn step(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        step: Value<'_>,
        number: u32,
        how: Update,
    ) {
        reader.rows(step, STEP, &beside(), &mut |reader, _, calls| {
            let mut position = 0u32;
            reader.array(calls, |reader, call| {
                let at = at_of(call, position);
                position = position.saturating_add(1);
                let first = reader.frame.pieces.len();
                reader.rows(call, STEP_CALL, &pieces(), &mut |reader, _, function| {
                    let place = (number, at);
                    self.function(reader, event, call, function, place, how);
                });
                self.code(reader, first, [number, at, CODE], how);
                if how == Update::Whole {
                    step_of_provider(reader, call);
                }
            });
        });
    }

    /// Pieces of calls stay; texts since `first` are code.
    fn code(&mut self, reader: &mut Reader<'static>, first: usize, spot: TextPath, how: Update) {
        for piece in reader.frame.pieces.split_off(first) {
            match piece {
                Delta::Text(piece) => self.texts.piece(reader, piece, spot, how),
                other => reader.piece(other),
            }
        }
    }

    /// A call of a tool that the client runs.
    fn function(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        call: Value<'_>,
        function: Value<'_>,
        (step, at): (u32, u32),
        how: Update,
    ) {
        let id = call.get("id").and_then(|id| id.text());
        let is_it = |known: &StreamedCall| match (&id, how) {
            (Some(id), _) => known.id.as_deref() == Some(id),
            (None, Update::Delta) => known.step == step && known.at == at,
            (None, Update::Whole) => false,
        };
        let known = self.calls.iter().rposition(is_it);
        if known.is_none() && how == Update::Whole {
            // What was called before this stream began, and answered since.
            step_function(reader, call, function);
            return;
        }
        let number = match known {
            Some(number) => number,
            None => {
                let call = StreamedCall {
                    step,
                    at,
                    id: id.as_deref().map(Into::into),
                    name: None,
                    so_far: TextPrefixHash::default(),
                    has_ended: false,
                };
                match self.add(reader, call, event.place()) {
                    Some(number) => number,
                    None => return,
                }
            }
        };
        match how {
            Update::Delta => self.delta(reader, event, function, number),
            Update::Whole => self.whole(reader, event, function, number),
        }
    }

    fn add(
        &mut self,
        reader: &mut Reader<'static>,
        call: StreamedCall,
        element: NodeId,
    ) -> Option<usize> {
        if self.calls.len() >= MAX_TEXTS {
            too_many(reader);
            return None;
        }
        self.calls.push(call);
        let number = self.calls.len().saturating_sub(1);
        let provider_run = false;
        reader.piece(piece(number, element, CallDelta::Begin { provider_run }));
        Some(number)
    }

    fn delta(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        function: Value<'_>,
        number: usize,
    ) {
        let Some(call) = self.calls.get_mut(number) else {
            return;
        };
        let element = event.place();
        reader.rows(
            function,
            STEP_FUNCTION,
            &beside(),
            &mut |reader, key, value| {
                reader.claim_all(value);
                let Some(text) = value.text() else { return };
                let what = if key == "name" {
                    let mut name = call.name.take().map_or_else(String::new, String::from);
                    name.push_str(&text);
                    call.name = Some(name.into());
                    CallDelta::Name(value.place())
                } else {
                    call.so_far.push(&text);
                    CallDelta::Arguments(value.place())
                };
                reader.piece(piece(number, element, what));
            },
        );
    }

    /// All of a call that was told in deltas.
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
            &mut |reader, _, value| {
                reader.claim_all(value);
            },
        );
        let name = function.get("name").and_then(|name| name.text());
        let arguments = function.get("arguments");
        let said = arguments.and_then(|arguments| arguments.text());
        let said = said.unwrap_or_default();
        let Some(known) = self.calls.get(number) else {
            return;
        };
        let element = event.place();
        let is_same = known.name.as_deref() == name.as_deref()
            && known.so_far.length() == said.len()
            && known.so_far.begins(&said);
        if said.is_empty() && is_same {
            return;
        }
        if is_same {
            if let Some(arguments) = arguments {
                let what = CallDelta::ArgumentsWhole(arguments.place());
                reader.piece(piece(number, element, what));
            }
            return;
        }
        let mut call = StreamedCall {
            step: known.step,
            at: known.at,
            id: known.id.clone(),
            name: name.as_deref().map(Into::into),
            so_far: TextPrefixHash::default(),
            has_ended: false,
        };
        call.so_far.push(&said);
        let Some(number) = self.add(reader, call, element) else {
            return;
        };
        if let Some(name) = name {
            let what = CallDelta::Named(name.as_ref().into());
            reader.piece(piece(number, element, what));
        }
        if let Some(arguments) = arguments {
            let what = CallDelta::Arguments(arguments.place());
            reader.piece(piece(number, element, what));
        }
    }

    /// What the client is asked to run.
    fn required(&mut self, reader: &mut Reader<'static>, event: Value<'_>, action: Value<'_>) {
        let mut at = 0u32;
        reader.rows(action, REQUIRED, &beside(), &mut |reader, _, call| {
            let id = call.get("id").and_then(|id| id.text());
            let known = self
                .calls
                .iter()
                .rposition(|known| known.id.is_some() && known.id.as_deref() == id.as_deref());
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
                let call = StreamedCall {
                    step: u32::MAX,
                    at,
                    id: id.as_deref().map(Into::into),
                    name: None,
                    so_far: TextPrefixHash::default(),
                    has_ended: false,
                };
                self.add(reader, call, event.place())
            });
            at = at.saturating_add(1);
            if let (Some(number), Some(function)) = (number, function) {
                self.whole(reader, event, function, number);
            }
        });
    }

    fn end_calls(&mut self, reader: &mut Reader<'static>) {
        let mut ended = Vec::new();
        for (number, call) in self.calls.iter_mut().enumerate() {
            if !std::mem::replace(&mut call.has_ended, true) {
                ended.push(key(number));
            }
        }
        reader.piece(Delta::CallsEnd(ended));
    }
}

pub(super) fn key(number: usize) -> CallKey {
    CallKey {
        choice: 0,
        item: offset(number),
    }
}

pub(super) fn piece(number: usize, element: NodeId, what: CallDelta) -> Delta {
    Delta::Call {
        key: key(number),
        element,
        what,
    }
}

impl StreamReader for RunStream {
    fn read(&mut self, reader: &mut Reader<'static>, event: Option<&str>) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
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
            _ => object_member(reader, root, key, value),
        });
        let is_run = kind.starts_with("thread.run.") && !kind.starts_with("thread.run.step.");
        let is_told_later = kind.ends_with(".created") || kind.ends_with(".in_progress");
        if (is_run && std::mem::replace(&mut self.has_told, true)) || (!is_run && is_told_later) {
            for event in reader.reading.events.iter_mut().skip(first) {
                event.retold = true;
            }
        }
        match kind {
            "thread.message.completed" | "thread.message.incomplete" => {
                let is_it = |[of, _, what]: TextPath| of == number && what == CONTENT;
                self.texts.end(reader, &is_it);
            }
            "thread.run.requires_action" => self.end_calls(reader),
            kind if kind.starts_with("thread.run.step.")
                && !is_told_later
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

    fn text_at(&self, channel: &TextKey) -> String {
        match self.texts.spot(channel) {
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
        let call = self.calls.get(index(key.item));
        let id = call.and_then(|call| call.id.as_deref());
        format!("#{}", id.unwrap_or_default())
    }

    /// Annotations point into the text.
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
            let spot = [number, at_of(part, position), CONTENT];
            let annotations = part.get("text").and_then(|text| text.get("annotations"));
            if let (Some(annotations), Some(changes)) =
                (annotations, self.texts.changes_at(spot, changes))
            {
                move_annotations(annotations, edits, changes);
            }
        }
    }

    /// The run goes on at the provider, whatever is told here.
    fn denial_frames(&mut self, denial: &Denial, _: bool) -> Vec<SyntheticFrame> {
        vec![SyntheticFrame::error(Dialect::OpenAi, denial)]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}
