//! Items of a streamed response, with the texts and calls in them: `{"type": "response.output_item.added",
//! "output_index": 0, "item": {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": ""}}`.

use super::super::items::{self, CALL, FOUND, ITEM, Items, MESSAGE, PART, THOUGHT};
use super::super::mark::OpenCall;
use super::super::removal::explaining_id;
use super::{CONTENT, ItemText, Phase, ResponsesStream, SUMMARY};
use crate::event::{Known, Part};
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    ArgumentStep, CallDelta, CallKey, Delta, Extent, SnapshotCall, Update, too_many,
};
use crate::protocol::{Origin, Reader};
use crate::wire::json::{self, NodeId, Value};
use crate::wire::span::offset;

/// Members of a reasoning item; both lists contain reasoning.
const THOUGHTS: &[Row] = &[("summary", Type::Custom), ("content", Type::Custom)];

/// Call in a frame.
pub(super) struct CallAt<'a> {
    pub(super) item: u32,
    /// The value that contains this call and nothing else.
    pub(super) element: NodeId,
    pub(super) name: Option<&'a str>,
    pub(super) provider_run: bool,
}

impl ResponsesStream {
    /// Holds the frames of a call that has not run until the call ends.
    pub(super) fn hold(&self, reader: &mut Reader<'static>, element: NodeId, number: u32) {
        if !self.item(number).is_some_and(|item| item.is_held) {
            return;
        }
        for key in self.calls.open(&|call| call.path[0] == number) {
            reader.call_piece(element, key, CallDelta::BEGIN);
        }
    }

    pub(super) fn read_item(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        item: Value<'_>,
        number: u32,
        phase: Phase,
    ) {
        let kind = items::kind_of(item);
        let is_held = items::is_call(&kind) && !items::is_provider_run(item, &kind);
        if !self.know_item(number, item.get("id"), is_held) {
            too_many(reader);
            return;
        }
        if is_held {
            let is_kept = self.kept.unwrap_or(!self.context.unstored);
            if let Some(known) = self.item_mut(number)
                && known.marked.is_none()
            {
                known.marked = Some((explaining_id(item, is_kept), OpenCall::of(item)));
            }
        }
        let (is_done, is_annotated) = self
            .item(number)
            .map_or((false, false), |item| (item.is_done, item.is_annotated));
        let first = reader.reading.events.len();
        match kind.as_str() {
            "message" | "agent_message" => {
                let mut at = 0u32;
                let origin = Origin::answer(0).with_part(Part::Other);
                let tables = [ITEM, MESSAGE];
                reader.row_lists(item, &tables, &origin, &mut |reader, key, value| match (
                    key,
                    value.kind(),
                ) {
                    ("content", json::ValueKind::Array) => reader.array(value, |reader, part| {
                        let about = ItemText { item: number, at };
                        self.read_part(reader, part, about, CONTENT);
                        at = at.saturating_add(1);
                    }),
                    ("type", _) => reader.claim(value),
                    _ => {}
                });
            }
            "reasoning" => {
                let origin = Origin::answer(0).with_part(Part::Other);
                let tables = [ITEM, THOUGHTS];
                reader.row_lists(
                    item,
                    &tables,
                    &origin,
                    &mut |reader, key, value| match key {
                        _ if value.is_null() => reader.claim(value),
                        "summary" => self.thoughts(reader, value, number, SUMMARY),
                        "content" => self.thoughts(reader, value, number, CONTENT),
                        _ => reader.claim(value),
                    },
                );
            }
            kind if items::is_call(kind) => {
                self.read_call(reader, event, item, number, phase);
            }
            _ => Items::alone(reader, item),
        }
        // Each item is reported once, as soon as it is complete.
        let is_copy = match phase {
            Phase::Added => true,
            Phase::Done => is_annotated,
            Phase::Repeated => is_done,
        };
        if is_copy {
            reader.mark_copies(first);
        }
    }

    pub(super) fn thoughts(
        &mut self,
        reader: &mut Reader<'static>,
        thoughts: Value<'_>,
        item: u32,
        list: u32,
    ) {
        let mut at = 0u32;
        let origin = Origin::piece(0);
        reader.array(thoughts, |reader, thought| {
            let first = reader.frame.pieces.len();
            reader.plain_rows(thought, THOUGHT, &origin);
            let path = [item, list, at];
            self.texts.assign_all(reader, first, path, Update::Whole);
            at = at.saturating_add(1);
        });
    }

    pub(super) fn read_part(
        &mut self,
        reader: &mut Reader<'static>,
        part: Value<'_>,
        about: ItemText,
        list: u32,
    ) {
        let kind = part.get("type").and_then(|kind| kind.text());
        let text_part = match kind.as_deref() {
            Some("reasoning_text" | "summary_text") => Part::Reasoning,
            Some("output_text" | "text" | "refusal") => Part::Text,
            _ => {
                items::content_part(reader, part, &Origin::answer(0), false);
                return;
            }
        };
        let origin = Origin::piece(0);
        let first = reader.frame.pieces.len();
        reader.rows(part, PART, &origin, &mut |reader, key, value| match key {
            _ if value.is_null() => reader.claim(value),
            "text" => {
                reader.text(value, &origin.with_part(text_part));
            }
            _ => {}
        });
        let path = [about.item, list, about.at];
        self.texts.assign_all(reader, first, path, Update::Whole);
    }

    pub(super) fn read_call(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        item: Value<'_>,
        number: u32,
        phase: Phase,
    ) {
        let is_repeated = phase == Phase::Repeated;
        if self.item(number).is_some_and(|item| item.denied.is_some()) {
            // The item will be replaced.
            reader.claim_all(item);
            return;
        }
        let kind = items::kind_of(item);
        let element = if is_repeated {
            item.place()
        } else {
            event.place()
        };
        let own_name = item.get("name").and_then(|name| name.text());
        let name = items::named_by_type(&kind).or(own_name.as_deref());
        let provider_run = items::is_provider_run(item, &kind);
        let call = CallAt {
            item: number,
            element,
            name,
            provider_run,
        };
        // A call that the provider runs need not be held before there is content to evaluate.
        if !provider_run || phase != Phase::Added {
            self.call_of(reader, &call, None);
        }
        let origin = Origin::answer(0).with_part(Part::Other);
        let tables = [ITEM, CALL];
        reader.row_lists(
            item,
            &tables,
            &origin,
            &mut |reader, key, value| match key {
                "type" => reader.claim(value),
                "name" => {
                    reader.name(value);
                }
                _ if value.is_null() => reader.claim(value),
                "result" => {
                    reader.media(value);
                    reader.uninspectable(item, "attachment");
                }
                key if FOUND.contains(&key) => {
                    let mut result = items::find(reader, key, value, &origin);
                    result.tool = name.map_or(Known::Unknown, |name| Known::Is(name.into()));
                    reader.add_result(result, value, &|part| part.get("text"));
                }
                // An item that has begun is not complete yet.
                "action" | "actions" | "operation" if phase == Phase::Added && is_hollow(value) => {
                    reader.claim_all(value);
                }
                // The missing members arrive in deltas.
                "operation" if phase == Phase::Added => {
                    reader.claim_all(value);
                    for (key, member) in value.members() {
                        let path = vec![ArgumentStep::Name(key.text().unwrap_or_default().into())];
                        self.argument(reader, member, &call, path, Extent::Part);
                    }
                }
                _ => self.arguments(reader, value, &call, key, false),
            },
        );
        if is_repeated {
            self.end_calls(reader, number);
        }
    }

    /// Returns the call of an item with this name, and with these arguments if they are set.
    pub(super) fn call_of(
        &mut self,
        reader: &mut Reader<'static>,
        at: &CallAt<'_>,
        arguments: Option<&str>,
    ) -> Option<usize> {
        let fits = |call: &SnapshotCall| {
            call.path[0] == at.item
                && (at.name.is_none() || call.name.is_none() || call.name.as_deref() == at.name)
        };
        let has = |call: &SnapshotCall| arguments.is_none_or(|text| call.has_arguments(text));
        let is_open = |call: &SnapshotCall| call.so_far.length() == 0 && !call.has_ended;
        let known = self
            .calls
            .last(&|call| fits(call) && has(call))
            .or_else(|| self.calls.last(&|call| fits(call) && is_open(call)));
        let number = match known {
            Some(number) => number,
            None => self.calls.add(reader, SnapshotCall::at([at.item, 0]))?,
        };
        let call = self.calls.get_mut(number)?;
        if !call.has_ended {
            let key = CallKey::block(offset(number));
            let provider_run = at.provider_run;
            reader.call_piece(at.element, key, CallDelta::Begin { provider_run });
            if call.name.is_none()
                && let Some(name) = at.name
            {
                call.name = Some(name.into());
                reader.call_piece(at.element, key, CallDelta::Named(name.into()));
            }
        }
        Some(number)
    }

    /// Reads arguments, or more of them; `member` is their name in the item.
    pub(super) fn arguments(
        &mut self,
        reader: &mut Reader<'static>,
        value: Value<'_>,
        at: &CallAt<'_>,
        member: &str,
        is_delta: bool,
    ) {
        let said = match value.kind() {
            json::ValueKind::String => value.text().unwrap_or_default(),
            json::ValueKind::Array | json::ValueKind::Object => {
                String::from_utf8_lossy(value.raw())
            }
            _ => return,
        };
        reader.claim_all(value);
        if said.is_empty() && !is_delta {
            return;
        }
        let number = match is_delta {
            true => self
                .calls
                .last(&|call| call.path[0] == at.item && !call.has_ended)
                .or_else(|| self.call_of(reader, at, None)),
            false => self.call_of(reader, at, Some(&said)),
        };
        let Some((number, call)) =
            number.and_then(|number| Some((number, self.calls.get_mut(number)?)))
        else {
            return;
        };
        let place = value.place();
        let what = if !is_delta && call.so_far.length() > 0 {
            CallDelta::ArgumentsWhole(place)
        } else {
            call.so_far.push(&said);
            match member {
                "input" => CallDelta::Input(place),
                "code" => CallDelta::Argument("code", place),
                "queries" => CallDelta::Argument("queries", place),
                "command" => CallDelta::Argument("command", place),
                "content" => CallDelta::Argument("content", place),
                _ => CallDelta::Arguments(place),
            }
        };
        reader.call_piece(at.element, CallKey::block(offset(number)), what);
    }

    /// Reads one of the arguments, or more of one.
    pub(super) fn argument(
        &mut self,
        reader: &mut Reader<'static>,
        value: Value<'_>,
        at: &CallAt<'_>,
        path: Vec<ArgumentStep>,
        extent: Extent,
    ) {
        let going = |call: &SnapshotCall| call.path[0] == at.item && !call.has_ended;
        let known = self.calls.last(&going);
        let Some(number) = known.or_else(|| self.call_of(reader, at, None)) else {
            return;
        };
        // A continuation of evaluated arguments is not an argument: it is read as unknown text.
        if self.calls.get(number).is_some_and(going) && value.kind() == json::ValueKind::String {
            reader.claim(value);
            let what = CallDelta::At(path.into(), value.place(), extent);
            reader.call_piece(at.element, CallKey::block(offset(number)), what);
        }
    }

    pub(super) fn end_item(&mut self, reader: &mut Reader<'static>, number: u32) {
        self.texts.end(reader, &|[item, ..]| item == number);
        self.end_calls(reader, number);
        if let Some(item) = self.item_mut(number) {
            item.is_done = true;
        }
    }

    pub(super) fn end_calls(&mut self, reader: &mut Reader<'static>, item: u32) {
        let ended = self.calls.end(&|call| call.path[0] == item);
        if !ended.is_empty() {
            reader.piece(Delta::CallsEnd(ended));
        }
    }
}

/// Returns whether an action contains no text yet besides its type.
fn is_hollow(value: Value<'_>) -> bool {
    value.descendants().all(|node| {
        node.is_key
            || node.value.kind() != json::ValueKind::String
            || node.value.raw_content().is_empty()
            || value
                .get("type")
                .is_some_and(|kind| kind.place() == node.value.place())
    })
}
