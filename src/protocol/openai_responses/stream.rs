//! Events of a streamed response of OpenAI's Responses API.
//!
//! Content arrives in deltas, and then as a whole up to four times: when the text ends, and when its part, its item
//! and the response end. All copies are the same text, so that every copy is edited alike.
//!
//! ```text
//! {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","output":[]}}
//! {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[]}}
//! {"type":"response.output_text.delta","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Rain"}
//! {"type":"response.output_text.done","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"text":"Rain"}
//! {"type":"response.output_item.done","sequence_number":4,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Rain","annotations":[]}]}}
//! {"type":"response.completed","sequence_number":5,"response":{"id":"resp_1","object":"response","status":"completed","output":[{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Rain","annotations":[]}]}]}}
//! ```

mod numbers;
mod own;

use super::items::{self, CALL, FOUND, ITEM, Items, MESSAGE, PART, THOUGHT};
use super::mark::{self, OpenCall};
use super::removal::{
    OUTPUT_TEXT, REFUSAL, correct_copies, correct_copies_in, denial_id, explaining_id, message_item,
};
use super::{Common, RESPONSE, response_member};
use crate::event::{Class, Known, Part, Pending};
use crate::protocol::json_edit::{move_annotations, number, replace_present};
use crate::protocol::openai_shapes::{ANSWER, beside, error};
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    ArgumentStep, CallDelta, CallKey, ChangesByText, Delta, EvaluatedCall, Extent, HeldFrame,
    HeldFrames, KeepAlive, MAX_TEXTS, OrderingGroups, SnapshotCall, SnapshotCalls, SnapshotTexts,
    StreamReader, SyntheticFrame, TextDelta, TextKey, TextPath, Update, is_done, too_many,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Origin, Reader, Removals, RequestContext};
use crate::wire::json::{self, Edits, NodeId, Value, quote};
use crate::wire::span::{index, offset};
use numbers::Numbers;

/// Members of events.
const EVENT: &[Row] = &[
    ("type", Type::Custom),
    ("sequence_number", Type::Number),
    ("output_index", Type::Number),
    ("content_index", Type::Number),
    ("summary_index", Type::Number),
    ("annotation_index", Type::Number),
    ("item_id", Type::Id),
    // Random padding against traffic analysis.
    ("obfuscation", Type::Id),
    ("delta", Type::Custom),
    ("text", Type::Custom),
    ("refusal", Type::Custom),
    ("transcript", Type::Custom),
    ("arguments", Type::Custom),
    ("input", Type::Custom),
    ("code", Type::Custom),
    ("command", Type::Custom),
    ("command_index", Type::Number),
    ("diff", Type::Custom),
    ("name", Type::Custom),
    ("item", Type::Custom),
    ("part", Type::Custom),
    ("response", Type::Custom),
    ("logprobs", Type::Custom),
    ("annotation", Type::Tree(Part::Other)),
    // Images while they are generated.
    ("partial_image_index", Type::Number),
    ("partial_image_b64", Type::Media),
    ("size", Type::Id),
    ("quality", Type::Id),
    ("background", Type::Id),
    ("output_format", Type::Id),
    // Errors.
    ("message", Type::Text(Part::Other)),
    ("param", Type::Id),
    ("error", Type::Custom),
];

/// Members of a reasoning item; both lists contain reasoning.
const THOUGHTS: &[Row] = &[("summary", Type::Custom), ("content", Type::Custom)];

/// Texts that arrive in deltas: the name of the events, the list of the item that contains the text, the part of the
/// response, and the member of the final event that repeats the text.
const TEXTS: &[(&str, u32, Part, &str)] = &[
    ("output_text", CONTENT, Part::Text, "text"),
    ("refusal", CONTENT, Part::Refusal, "refusal"),
    ("reasoning_text", CONTENT, Part::Reasoning, "text"),
    ("reasoning_summary_text", SUMMARY, Part::Reasoning, "text"),
    ("audio.transcript", AUDIO, Part::Transcript, "transcript"),
];

/// Arguments that arrive in deltas: the name of the events, and the member of the final event and of the item that
/// repeats them.
const ARGUMENTS: &[(&str, &str)] = &[
    ("function_call_arguments", "arguments"),
    ("mcp_call_arguments", "arguments"),
    ("custom_tool_call_input", "input"),
    ("code_interpreter_call_code", "code"),
];

/// Single arguments that arrive in deltas: the name of the events, the name of the argument in the item, and the
/// member of the first and the final event that contains it. If the event contains the number of the command, the
/// argument is an element of a list.
const ARGUMENT_PARTS: &[(&str, &str, &str)] = &[
    ("shell_call_command", "commands", "command"),
    ("apply_patch_call_operation_diff", "diff", "diff"),
];

/// Number of the item in an event that names none.
const NO_ITEM: u32 = u32::MAX;

/// Maximum unknown kinds of events. Texts of further kinds are not continued.
const MAX_UNKNOWN: usize = 64;

/// Lists of an item that contain texts. Unknown kinds of deltas have the numbers from the last one on.
const CONTENT: u32 = 0;
const SUMMARY: u32 = 1;
const AUDIO: u32 = 2;
const UNKNOWN: u32 = 3;

/// Item so far.
#[derive(Debug)]
struct StreamedItem {
    number: u32,
    id: Option<Box<str>>,
    /// Whether the item is a call that has not run: its frames are held until it is evaluated.
    is_held: bool,
    is_done: bool,
    /// Whether annotations arrived one by one.
    is_annotated: bool,
    /// Id of the item's replacement, and the call that would be open.
    marked: Option<(String, Option<OpenCall>)>,
    /// Replacement text of a denied item.
    denied: Option<String>,
}

/// Phase of an item in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The item begins.
    Added,
    /// The item is complete.
    Done,
    /// The whole response repeats the item.
    Repeated,
}

/// Item and text of an event.
#[derive(Clone, Copy, Debug)]
struct ItemText {
    item: u32,
    at: u32,
}

/// Streamed response.
#[derive(Debug)]
pub(in crate::protocol) struct ResponsesStream {
    context: RequestContext,
    /// Members that created frames repeat, as the first event contained them.
    common: Option<Common>,
    items: Vec<StreamedItem>,
    texts: SnapshotTexts,
    /// Calls by the number of their item.
    calls: SnapshotCalls,
    /// Names of unknown deltas.
    unknown: Vec<Box<str>>,
    numbers: Numbers,
    /// Whether the beginning of the response was sent.
    has_begun: bool,
    /// Number after those of all items that the client knows.
    next_item: u32,
    /// Whether the provider stores the response, if the response contains this.
    kept: Option<bool>,
    /// Id of the response at the provider.
    id: Option<Box<str>>,
    /// Id that the client received in the first event. Later events keep it: OpenAI's packages raise an error if it
    /// changes.
    sent_id: Option<Box<str>>,
    /// Items that have begun and not ended, as the client knows them, with the end of each if no more of it is sent.
    open: Vec<(u32, Vec<u8>)>,
}

impl ResponsesStream {
    pub(in crate::protocol) fn new(context: &RequestContext) -> ResponsesStream {
        ResponsesStream {
            context: context.clone(),
            common: None,
            items: Vec::new(),
            texts: SnapshotTexts::default(),
            calls: SnapshotCalls::default(),
            unknown: Vec::new(),
            numbers: Numbers::default(),
            has_begun: false,
            next_item: 0,
            kept: None,
            id: None,
            sent_id: None,
            open: Vec::new(),
        }
    }

    fn item(&self, number: u32) -> Option<&StreamedItem> {
        self.items.iter().rev().find(|item| item.number == number)
    }

    fn item_mut(&mut self, number: u32) -> Option<&mut StreamedItem> {
        let mut items = self.items.iter_mut().rev();
        items.find(|item| item.number == number)
    }

    /// Returns the number of the item with this id: the one at this index, if its id matches.
    fn number_of(&self, id: Option<&str>, at: Option<u32>) -> u32 {
        let is_it = |item: &&StreamedItem| item.id.is_some() && item.id.as_deref() == id;
        let there = at.and_then(|at| self.item(at)).filter(is_it);
        let named = there.or_else(|| self.items.iter().find(is_it));
        named.map(|item| item.number).or(at).unwrap_or(NO_ITEM)
    }

    /// Records an item with this number; `false` if there are too many.
    fn know_item(&mut self, number: u32, id: Option<Value<'_>>, is_held: bool) -> bool {
        if let Some(item) = self.item_mut(number) {
            item.is_held |= is_held;
            return true;
        }
        if self.items.len() >= MAX_TEXTS {
            return false;
        }
        let id = id.and_then(|id| Some(id.text()?.as_ref().into()));
        self.items.push(StreamedItem {
            number,
            id,
            is_held,
            is_done: false,
            is_annotated: false,
            marked: None,
            denied: None,
        });
        true
    }

    fn about(&self, event: Value<'_>) -> ItemText {
        let number = |name: &str| number(event, name);
        let item = number("output_index").unwrap_or_else(|| {
            let id = event.get("item_id").and_then(|id| id.text());
            self.number_of(id.as_deref(), None)
        });
        let at = number("content_index").or_else(|| number("summary_index"));
        ItemText {
            item,
            at: at.unwrap_or(0),
        }
    }

    /// Returns whether an event can wait until it is known which calls are denied. This applies where the provider
    /// stores the response: its id lists the denied calls, and is in the first event. Text that a person watches does
    /// not wait.
    fn is_quiet(&self, event: Value<'_>, kind: &str, item: u32) -> bool {
        if !self.context.offers_tools || !self.kept.unwrap_or(!self.context.unstored) {
            return false;
        }
        match kind {
            "created" | "queued" | "in_progress" => true,
            "output_item.added" | "output_item.done" => event.get("item").is_some_and(|item| {
                let kind = items::kind_of(item);
                kind == "reasoning"
                    || (items::is_call(&kind) && !items::is_provider_run(item, &kind))
            }),
            _ => self.item(item).is_some_and(|item| item.is_held),
        }
    }

    fn event(&mut self, reader: &mut Reader<'static>, event: Value<'_>, kind: &str) {
        let about = self.about(event);
        reader.frame.quiet = self.is_quiet(event, kind, about.item);
        // Events are numbered and items follow one another, so the events after a call wait for it.
        reader.frame.lanes = OrderingGroups::ALL;
        if kind == "error" {
            reader.reading.error = Some(match event.get("code").and_then(|code| code.text()) {
                Some(code) => code.as_ref().into(),
                None => "error".into(),
            });
        }
        if kind == "output_text.annotation.added"
            && let Some(item) = self.item_mut(about.item)
        {
            item.is_annotated = true;
        }
        let (stem, phase) = match kind.rsplit_once('.') {
            Some((stem, "added")) => (stem, Phase::Added),
            Some((stem, _)) => (stem, Phase::Done),
            None => (kind, Phase::Done),
        };
        let is_delta = kind.ends_with(".delta");
        let said = TEXTS.iter().find(|(known, ..)| *known == stem);
        let called = ARGUMENTS.iter().find(|(known, _)| *known == stem);
        let part = ARGUMENT_PARTS.iter().find(|(known, ..)| *known == stem);
        let provider_run = match part {
            Some(_) => self.item(about.item).is_some_and(|item| !item.is_held),
            None => stem.starts_with("mcp") || stem.starts_with("code"),
        };
        let is_of_call = called.is_some() || part.is_some();
        if is_of_call && !self.know_item(about.item, event.get("item_id"), !provider_run) {
            too_many(reader);
            return;
        }
        self.hold(reader, event.place(), about.item);
        let other = Origin::answer(0).with_part(Part::Other);
        reader.rows(event, EVENT, &other, &mut |reader, key, value| match key {
            "type" | "name" => reader.claim(value),
            _ if value.is_null() => reader.claim(value),
            "error" => error(reader, value),
            // The text again, token by token: these are dropped as a whole when the text is edited.
            "logprobs" => reader.claim_all(value),
            "item" => self.read_item(reader, event, value, about.item, phase),
            "part" => {
                let list = if stem.starts_with("reasoning_summary") {
                    SUMMARY
                } else {
                    CONTENT
                };
                let first = reader.reading.events.len();
                self.read_part(reader, value, about, list);
                reader.mark_copies(first);
            }
            "response" => self.read_whole(reader, value, kind),
            "delta" if stem == "audio" => reader.media(value),
            _ => match (said, called) {
                (Some((_, list, part, member)), _) if is_delta || key == *member => {
                    let path = [about.item, *list, about.at];
                    let update = if is_delta {
                        Update::Delta
                    } else {
                        Update::Whole
                    };
                    self.text(reader, value, path, *part, update);
                }
                (_, Some((_, member))) if is_delta || key == *member => {
                    let name = event.get("name").and_then(|name| name.text());
                    let call = CallAt {
                        item: about.item,
                        element: event.place(),
                        name: name.as_deref(),
                        provider_run,
                    };
                    if !is_delta {
                        self.call_of(reader, &call, None);
                    }
                    self.arguments(reader, value, &call, member, is_delta);
                }
                _ if let Some((_, argument, member)) = part
                    && (key == "delta" || key == *member) =>
                {
                    let call = CallAt {
                        item: about.item,
                        element: event.place(),
                        name: None,
                        provider_run,
                    };
                    let extent = match phase {
                        _ if is_delta => Extent::Part,
                        Phase::Added => Extent::Part,
                        _ => Extent::Whole,
                    };
                    let mut path = vec![ArgumentStep::Name((*argument).into())];
                    let index = event.get("command_index").and_then(|at| at.as_u64());
                    path.extend(
                        index.and_then(|at| Some(ArgumentStep::Index(at.try_into().ok()?))),
                    );
                    self.argument(reader, value, &call, path, extent);
                }
                _ if key == "code" && kind == "error" => reader.id(value),
                _ if key == "delta" => self.unknown_delta(reader, value, stem, about),
                _ => {}
            },
        });
        match phase {
            Phase::Added => {}
            _ if kind == "output_item.done" => self.end_item(reader, about.item),
            _ => {
                if let Some((_, list, ..)) = said.filter(|_| !is_delta) {
                    let ended = [about.item, *list, about.at];
                    self.texts.end(reader, &|path| path == ended);
                }
            }
        }
    }

    /// Returns the number of the item of a call.
    fn item_of(&self, key: &CallKey) -> Option<u32> {
        self.calls.of(key).map(|call| call.path[0])
    }

    /// Holds the frames of a call that has not run until the call ends.
    fn hold(&self, reader: &mut Reader<'static>, element: NodeId, number: u32) {
        if !self.item(number).is_some_and(|item| item.is_held) {
            return;
        }
        for key in self.calls.open(&|call| call.path[0] == number) {
            reader.call_piece(element, key, CallDelta::BEGIN);
        }
    }

    fn read_item(
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
            "message" => {
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

    fn thoughts(
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

    fn read_part(
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
            "logprobs" => reader.claim_all(value),
            _ => {}
        });
        let path = [about.item, list, about.at];
        self.texts.assign_all(reader, first, path, Update::Whole);
    }

    fn text(
        &mut self,
        reader: &mut Reader<'static>,
        value: Value<'_>,
        path: TextPath,
        part: Part,
        update: Update,
    ) {
        let first = reader.frame.pieces.len();
        let origin = Origin::piece(0);
        reader.text(value, &origin.with_part(part));
        self.texts.assign_all(reader, first, path, update);
    }

    fn unknown_delta(
        &mut self,
        reader: &mut Reader<'static>,
        value: Value<'_>,
        name: &str,
        about: ItemText,
    ) {
        let known = self.unknown.iter().position(|known| **known == *name);
        let number = known.unwrap_or(self.unknown.len());
        if value.kind() != json::ValueKind::String || number >= MAX_UNKNOWN {
            return;
        }
        if known.is_none() {
            self.unknown.push(name.into());
        }
        reader.claim(value);
        let path = [about.item, UNKNOWN.saturating_add(offset(number)), about.at];
        let channel = TextKey {
            choice: 0,
            part: Part::Other,
            item: 0,
        };
        let piece = TextDelta::new(channel, value.place(), Class::Unknown);
        self.texts.piece(reader, piece, path, Update::Delta);
    }

    fn read_call(
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
    fn call_of(
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
    fn arguments(
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
                _ => CallDelta::Arguments(place),
            }
        };
        reader.call_piece(at.element, CallKey::block(offset(number)), what);
    }

    /// Reads one of the arguments, or more of one.
    fn argument(
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

    fn end_item(&mut self, reader: &mut Reader<'static>, number: u32) {
        self.texts.end(reader, &|[item, ..]| item == number);
        self.end_calls(reader, number);
        if let Some(item) = self.item_mut(number) {
            item.is_done = true;
        }
    }

    fn end_calls(&mut self, reader: &mut Reader<'static>, item: u32) {
        let ended = self.calls.end(&|call| call.path[0] == item);
        if !ended.is_empty() {
            reader.piece(Delta::CallsEnd(ended));
        }
    }

    /// Reads the object of the whole response.
    fn read_whole(&mut self, reader: &mut Reader<'static>, response: Value<'_>, kind: &str) {
        let is_last = is_last(kind);
        let is_first = self.common.is_none();
        if is_first {
            let raw = |name: &str| {
                let value = response.get(name).map(|value| value.raw().to_vec());
                value.unwrap_or_else(|| b"null".to_vec())
            };
            self.common = Some(Common {
                id: raw("id"),
                created_at: raw("created_at"),
                model: raw("model"),
            });
        }
        if self.id.is_none() {
            let id = response.get("id").and_then(|id| id.text());
            self.id = id.map(|id| id.as_ref().into());
        }
        if self.kept.is_none() {
            self.kept = response.get("store").and_then(|store| store.as_bool());
        }
        let phase = if is_last {
            Phase::Repeated
        } else {
            Phase::Added
        };
        let mut output = None;
        let first = reader.reading.events.len();
        let tables = [RESPONSE, ANSWER];
        reader.row_lists(
            response,
            &tables,
            &beside(),
            &mut |reader, key, value| match key {
                "status" if !is_last => reader.id(value),
                "output" if !value.is_null() => output = Some(value),
                _ => response_member(reader, key, value),
            },
        );
        // Each of these events repeats the settings of the request.
        if !is_first {
            reader.mark_copies(first);
        }
        let mut at = 0u32;
        if let Some(output) = output {
            reader.array(output, |reader, item| {
                let id = item.get("id").and_then(|id| id.text());
                let number = self.number_of(id.as_deref(), Some(at));
                self.read_item(reader, item, item, number, phase);
                at = at.saturating_add(1);
            });
        }
        if is_last {
            reader.frame.last = true;
        }
    }

    /// Corrects the members of a part that depend on its text: token probabilities repeat it, annotations point into
    /// it.
    fn correct_part(
        &self,
        part: Value<'_>,
        path: TextPath,
        edits: &mut Edits,
        changes: &ChangesByText,
    ) {
        let Some(changes) = self.texts.changes_at(path, changes) else {
            return;
        };
        replace_present(part, "logprobs", b"[]", edits);
        if let Some(annotations) = part.get("annotations") {
            move_annotations(annotations, edits, changes);
        }
    }

    fn correct_item(
        &self,
        item: Value<'_>,
        number: u32,
        edits: &mut Edits,
        changes: &ChangesByText,
    ) {
        let parts = item.get("content").into_iter();
        for (at, part) in parts.flat_map(|content| content.elements()).enumerate() {
            let path = [number, CONTENT, offset(at)];
            self.correct_part(part, path, edits, changes);
        }
    }

    /// Returns the id of a response that the provider stores, with its open calls if the id can contain them.
    fn id_with_open_calls(&self, id: &str) -> Option<String> {
        let open: Vec<Option<OpenCall>> = self
            .items
            .iter()
            .filter(|item| item.denied.is_some())
            .map(|item| item.marked.as_ref().and_then(|(_, call)| call.clone()))
            .collect();
        let is_kept = self.kept.unwrap_or(!self.context.unstored);
        mark::response_id(id, &open).filter(|_| is_kept && !open.is_empty())
    }

    /// Replaces the id of a response that the provider stores by one that contains its open calls.
    fn name_open_calls(&self, response: Value<'_>, edits: &mut Edits) {
        let id = response.get("id");
        if let (Some(id), Some(sent)) = (id, &self.sent_id)
            && id.text().is_some_and(|id| *id != **sent)
        {
            let mut with = Vec::new();
            quote(sent, &mut with);
            edits.replace(id, with);
        }
    }

    fn correct_event(
        &self,
        event: Value<'_>,
        kind: &str,
        edits: &mut Edits,
        changes: &ChangesByText,
    ) {
        let about = self.about(event);
        let path = [about.item, CONTENT, about.at];
        match kind {
            "output_text.annotation.added" => {
                if let (Some(annotation), Some(changes)) = (
                    event.get("annotation"),
                    self.texts.changes_at(path, changes),
                ) {
                    move_annotations(annotation, edits, changes);
                }
            }
            "output_item.done" => {
                if let Some(item) = event.get("item") {
                    self.correct_item(item, about.item, edits, changes);
                }
            }
            "output_text.delta" if edits.is_empty() => {}
            "output_text.delta" => replace_present(event, "logprobs", b"[]", edits),
            _ => {
                let part = event.get("part").unwrap_or(event);
                self.correct_part(part, path, edits, changes);
            }
        }
        if let Some(response) = event.get("response") {
            self.name_open_calls(response, edits);
        }
        let output = event
            .get("response")
            .and_then(|response| response.get("output"));
        let items = output.into_iter().flat_map(|output| output.elements());
        for (at, item) in items.enumerate() {
            let id = item.get("id").and_then(|id| id.text());
            let number = self.number_of(id.as_deref(), Some(offset(at)));
            let known = self.item(number);
            match known.and_then(|item| item.denied.as_ref()) {
                Some(text) if items::is_call(&items::kind_of(item)) => {
                    let mut with = Vec::new();
                    let marked = known.and_then(|item| item.marked.as_ref());
                    let id =
                        marked.map_or_else(|| explaining_id(item, false), |(id, _)| id.clone());
                    message_item(&id, OUTPUT_TEXT, text, &mut with);
                    edits.replace(item, with);
                }
                _ => self.correct_item(item, number, edits, changes),
            }
        }
    }
}

/// Call in a frame.
struct CallAt<'a> {
    item: u32,
    /// The value that contains this call and nothing else.
    element: NodeId,
    name: Option<&'a str>,
    provider_run: bool,
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

/// Returns the name of an event without the common prefix.
fn stem(kind: &str) -> &str {
    kind.strip_prefix("response.").unwrap_or(kind)
}

/// Returns whether an event contains the whole response, and ends it.
fn is_last(kind: &str) -> bool {
    matches!(kind, "completed" | "incomplete" | "failed")
}

impl StreamReader for ResponsesStream {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, event: Option<&str>) {
        let kind = reader.event_type(event);
        if let Some(number) = root.get("sequence_number").and_then(|n| n.as_u64()) {
            self.numbers.read(number);
        }
        self.event(reader, root, stem(&kind));
    }

    /// OpenRouter sends it; OpenAI does not.
    fn is_end(&self, payload: &[u8]) -> bool {
        is_done(payload)
    }

    fn text_at(&self, channel: &TextKey) -> String {
        let Some([item, list, at]) = self.texts.path(channel) else {
            return String::new();
        };
        match list {
            CONTENT => format!("#output/{item}/content/{at}"),
            SUMMARY => format!("#output/{item}/summary/{at}"),
            AUDIO => "#audio/transcript".to_owned(),
            _ => {
                let name = self.unknown.get(index(list.saturating_sub(UNKNOWN)));
                format!("#output/{item}/{}", name.map_or("", |name| name))
            }
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#output/{}", self.item_of(key).unwrap_or(NO_ITEM))
    }

    fn remove_calls(
        &mut self,
        calls: &[EvaluatedCall],
        _: u64,
        frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        let items: Vec<Option<u32>> = calls.iter().map(|call| self.item_of(&call.key)).collect();
        let calls = || calls.iter().zip(items.iter().copied());
        let mut numbers: Vec<u32> = calls()
            .filter(|(call, _)| call.denied.is_some())
            .filter_map(|(_, item)| item)
            .collect();
        numbers.dedup();
        for number in numbers {
            let of_item = || {
                calls()
                    .filter(|(_, item)| *item == Some(number))
                    .map(|(call, _)| call)
            };
            let mut texts: Vec<&str> = of_item()
                .filter_map(|call| call.denied.as_deref())
                .collect();
            texts.dedup();
            let text = texts.join("\n");
            let id = match self.item(number) {
                Some(StreamedItem {
                    marked: Some((id, _)),
                    ..
                }) => id.clone(),
                item => {
                    let id = item.and_then(|item| item.id.as_deref());
                    mark::plain_message_id(id.unwrap_or_default())
                }
            };
            let mut explanation = Some(own::message(number, &id, OUTPUT_TEXT, &text));
            for (frame, element) in of_item().flat_map(|call| call.pieces.iter()) {
                let frame = frames.get(*frame).ok_or(CannotRemove)?;
                let json = frame.json.as_ref().ok_or(CannotRemove)?;
                let body = json.body().ok_or(CannotRemove)?;
                if body.root().place() == *element {
                    frame.dropped = true;
                    frame.before.extend(explanation.take().unwrap_or_default());
                }
            }
            if let Some(item) = self.item_mut(number) {
                item.denied = Some(text);
            }
        }
        // The client continues by the id of the response, so the id must contain all denied calls.
        let id = self.id.as_deref();
        let marked = id.and_then(|id| self.id_with_open_calls(id));
        let is_sent = marked.is_some_and(|marked| {
            let sent = self.sent_id.as_deref();
            sent.is_none_or(|sent| sent == marked)
        });
        let has_denied = self.items.iter().any(|item| item.denied.is_some());
        if has_denied && !is_sent && self.context.pending == Some(Pending::ById) {
            return Err(CannotRemove);
        }
        Ok(())
    }

    /// Edits a text that is complete in one frame in place.
    fn remove_from_response(
        &mut self,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        removals.only_edits()?;
        let json = frame.json.as_ref().ok_or(CannotRemove)?;
        let body = json.body().ok_or(CannotRemove)?;
        let root = body.root();
        let output = root
            .get("response")
            .and_then(|response| response.get("output"));
        let items = output.into_iter().flat_map(|output| output.elements());
        for item in root.get("item").into_iter().chain(items) {
            correct_copies(item, &removals.edited, &mut frame.edits);
        }
        let part = root.get("part").unwrap_or(root);
        correct_copies_in(part, &removals.edited, &mut frame.edits);
        Ok(())
    }

    fn counts_frames(&self) -> bool {
        true
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        for made in &mut frame.before {
            self.numbers.add(made);
        }
        let Some(body) = frame.body() else {
            return;
        };
        let root = body.root();
        if frame.dropped {
            self.numbers.skip();
            // The replacement of an item has its number.
            let number = self.about(root).item;
            if number != NO_ITEM {
                self.next_item = self.next_item.max(number.saturating_add(1));
            }
            return;
        }
        let kind = root.get("type").and_then(|kind| kind.text());
        let kind = stem(kind.as_deref().unwrap_or_default());
        let id = root.get("response").and_then(|response| response.get("id"));
        if let Some(id) = id.and_then(|id| id.text())
            && self.sent_id.is_none()
        {
            let marked = self.id_with_open_calls(&id);
            self.sent_id = Some(marked.unwrap_or_else(|| id.into_owned()).into());
        }
        match kind {
            "created" => self.has_begun = true,
            "output_item.added" => {
                let number = self.about(root).item;
                self.next_item = self.next_item.max(number.saturating_add(1));
                let item = root.get("item");
                self.open
                    .extend(item.map(|item| (number, own::ended(item))));
            }
            "output_item.done" => {
                let number = self.about(root).item;
                self.open.retain(|(open, _)| *open != number);
            }
            _ => {}
        }
        let has_denied = || self.items.iter().any(|item| item.denied.is_some());
        if !frame.edits.is_empty()
            || !changes.is_empty()
            || (root.get("response").is_some() && has_denied())
        {
            self.correct_event(root, kind, &mut frame.edits, changes);
        }
        let number = root.get("sequence_number");
        if let Some((value, number)) = number.and_then(|value| Some((value, value.as_u64()?))) {
            let sent = self.numbers.send(number);
            if sent != number {
                frame.edits.replace(value, sent.to_string().into_bytes());
            }
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        let mut frames = Vec::new();
        if as_error {
            // OpenAI's own libraries raise the content of `error`, and pass on objects with a type.
            let mut payload =
                br#"{"type":"error","code":"agentguard_denied","param":null,"message":"#.to_vec();
            quote(&denial.message(), &mut payload);
            payload.push(b',');
            payload.extend_from_slice(Dialect::OpenAi.body(denial).get(1..).unwrap_or_default());
            frames.push(SyntheticFrame::new(Some("error"), payload));
        } else {
            let common = self
                .common
                .take()
                .unwrap_or_else(|| Common::of(denial, &self.context));
            if !self.has_begun {
                let begun = common.response("in_progress", b"");
                frames.push(own::event("response.created", &[br#""response":"#, &begun]));
            }
            // OpenAI's own library rejects the end of a response whose items have not ended.
            for (number, item) in std::mem::take(&mut self.open) {
                frames.push(own::item_done(number, &item));
            }
            let text = denial.message();
            let id = denial_id(denial);
            frames.extend(own::message(self.next_item, &id, REFUSAL, &text));
            let mut output = Vec::new();
            message_item(&id, REFUSAL, &text, &mut output);
            let whole = common.response("completed", &output);
            frames.push(own::event(
                "response.completed",
                &[br#""response":"#, &whole],
            ));
        }
        for made in &mut frames {
            self.numbers.add(made);
        }
        frames
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}
