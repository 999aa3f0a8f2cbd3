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

mod correct;
mod item;
mod numbers;
mod own;

use super::items;
use super::mark::{self, OpenCall};
use super::removal::{
    OUTPUT_TEXT, REFUSAL, correct_copies, correct_copies_in, denial_id, message_item,
};
use super::{Common, RESPONSE, status};
use crate::diag::codes;
use crate::event::{Class, Part, Pending};
use crate::protocol::json_edit::number;
use crate::protocol::openai_shapes::{ANSWER, beside, error};
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    ArgumentStep, CallKey, ChangesByText, EvaluatedCall, Extent, HeldFrame, HeldFrames, KeepAlive,
    MAX_TEXTS, OrderingGroups, SnapshotCall, SnapshotCalls, SnapshotTexts, StreamReader,
    SyntheticFrame, TextDelta, TextKey, TextPath, Update, is_done, too_many,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Origin, Reader, Removals, RequestContext};
use crate::wire::json::{self, Value, quote};
use crate::wire::span::{index, offset};
use item::CallAt;
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
    // Of a session.
    ("event_id", Type::Id),
    ("session_id", Type::Id),
    ("turn_id", Type::Id),
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
    ("output", Type::Custom),
    ("diff", Type::Custom),
    ("name", Type::Custom),
    ("item", Type::Custom),
    ("part", Type::Custom),
    ("response", Type::Custom),
    ("logprobs", Type::Tokens),
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

/// Texts that arrive in deltas: the name of the events, the list of the item that contains the text, the part of the
/// response, and the member of the final event that repeats the text.
/// Members of the whole response that are read anew in each event with it.
const REPEATED: &[Row] = &[("status", Type::Custom), ("output", Type::Custom)];
const TEXTS: &[(&str, u32, Part, &str)] = &[
    ("output_text", CONTENT, Part::Text, "text"),
    ("refusal", CONTENT, Part::Refusal, "refusal"),
    ("reasoning_text", CONTENT, Part::Reasoning, "text"),
    ("reasoning_summary_text", SUMMARY, Part::Reasoning, "text"),
    ("audio.transcript", AUDIO, Part::Transcript, "transcript"),
    ("command_execution_output", OUTPUT, Part::Other, "output"),
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

/// Name of the events with the output of a shell: `{"delta":{"stdout":"…"}}`, and at the end of a command all of it,
/// `{"output":[{"stdout":"…","stderr":"","outcome":{…}}]}`.
const SHELL_OUTPUT: &str = "shell_call_output_content";

/// Number of the item in an event that names none.
const NO_ITEM: u32 = u32::MAX;

/// Maximum unknown kinds of events, and bytes of the name of one. Texts of further kinds are not continued.
const MAX_UNKNOWN: usize = 64;
const LONGEST_NAME: usize = 256;

/// Lists of an item that contain texts. Unknown kinds of deltas have the numbers from the last one on.
const CONTENT: u32 = 0;
const SUMMARY: u32 = 1;
const AUDIO: u32 = 2;
const OUTPUT: u32 = 3;
const UNKNOWN: u32 = 4;

/// Item so far.
#[derive(Debug)]
struct StreamedItem {
    number: u32,
    id: Option<Box<str>>,
    /// Turn of a session.
    turn: Option<Box<str>>,
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
    /// Whether these are the events of a session, which has many responses: each begins to number its items anew, so that
    /// items are known by their ids.
    is_session: bool,
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
            is_session: false,
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

    /// Returns the reader of a session's events.
    pub(in crate::protocol) fn of_session(context: &RequestContext) -> ResponsesStream {
        ResponsesStream {
            is_session: true,
            ..ResponsesStream::new(context)
        }
    }

    /// Returns whether a call with this name and these arguments was part of the stream.
    pub(in crate::protocol) fn knows_call(&self, name: &str, arguments: &str) -> bool {
        let is_it = |call: &SnapshotCall| {
            call.name.as_deref() == Some(name) && call.has_arguments(arguments)
        };
        self.calls.last(&is_it).is_some()
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
            turn: None,
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
        let index = match self.is_session {
            true => None,
            false => number("output_index"),
        };
        let item = index.unwrap_or_else(|| match (id_of(event), self.is_session) {
            (Some(id), true) => {
                self.number_of(id.text().as_deref(), Some(offset(self.items.len())))
            }
            (id, _) => self.number_of(id.and_then(|id| id.text()).as_deref(), None),
        });
        let indices = ["content_index", "summary_index", "command_index"];
        ItemText {
            item,
            at: indices.into_iter().find_map(number).unwrap_or(0),
        }
    }

    /// Returns whether an event can wait until it is known which calls are denied. This applies where the provider
    /// stores the response: its id lists the denied calls, and is in the first event. Text that a person watches does
    /// not wait.
    fn is_quiet(&self, event: Value<'_>, kind: &str, item: u32) -> bool {
        if self.is_session
            || !self.context.offers_tools
            || !self.kept.unwrap_or(!self.context.unstored)
        {
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
        if let Some(id) = event.get("item_id").and_then(|id| id.text())
            && self.number_of(Some(&id), Some(about.item)) != about.item
        {
            // Some clients put texts and arguments together by the number, others by the id.
            let what = "an event of one item by its number, and of another one by its id";
            reader.problem(codes::AG2014, event, what);
        }
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
        let begins_item = is_of_call || (self.is_session && about.item != NO_ITEM);
        let is_held = is_of_call && !provider_run;
        if begins_item && !self.know_item(about.item, id_of(event), is_held) {
            too_many(reader);
            return;
        }
        if self.is_session
            && let Some(item) = self.item_mut(about.item)
            && let Some(turn) = event.get("turn_id").and_then(|turn| turn.text())
        {
            item.turn = Some(turn.as_ref().into());
        }
        self.hold(reader, event.place(), about.item);
        let other = Origin::answer(0).with_part(Part::Other);
        reader.rows(event, EVENT, &other, &mut |reader, key, value| match key {
            "type" | "name" => reader.claim(value),
            _ if value.is_null() => reader.claim(value),
            "error" => error(reader, value),
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
                _ if key == "delta" => {
                    self.unknown_text(reader, value, stem, about, Update::Delta);
                }
                _ if key == "output" && stem == SHELL_OUTPUT => {
                    for part in value.elements() {
                        self.unknown_text(reader, part, stem, about, Update::Whole);
                    }
                }
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
        if self.is_session && (is_last(kind) || kind == "cancelled") {
            self.end_turn(reader, event);
        }
    }

    /// Ends the items that a turn has left open. Turns of other agents may go on.
    fn end_turn(&mut self, reader: &mut Reader<'static>, event: Value<'_>) {
        let turn = event.get("turn").and_then(|turn| turn.get("id"));
        let turn = turn.and_then(|id| id.text());
        let is_open =
            |item: &&StreamedItem| !item.is_done && item.turn.as_deref() == turn.as_deref();
        let open = self.items.iter().filter(is_open).map(|item| item.number);
        for number in open.collect::<Vec<u32>>() {
            self.end_item(reader, number);
        }
    }

    /// Returns the number of the item of a call.
    fn item_of(&self, key: &CallKey) -> Option<u32> {
        self.calls.of(key).map(|call| call.path[0])
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

    /// Reads a text by its name, or an object of texts.
    fn unknown_text(
        &mut self,
        reader: &mut Reader<'static>,
        value: Value<'_>,
        name: &str,
        about: ItemText,
        update: Update,
    ) {
        for (key, member) in value.members() {
            let key = key.text().unwrap_or_default();
            if name.len().saturating_add(key.len()) < LONGEST_NAME {
                let name = format!("{name}/{key}");
                self.unknown_text(reader, member, &name, about, update);
            }
        }
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
        let text_key = TextKey {
            choice: 0,
            part: Part::Other,
            item: 0,
        };
        let class = match name.starts_with(SHELL_OUTPUT) {
            true => Class::Text,
            false => Class::Unknown,
        };
        let piece = TextDelta::new(text_key, value.place(), class);
        self.texts.piece(reader, piece, path, update);
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
        let tables = [REPEATED, RESPONSE, ANSWER];
        reader.row_lists(
            response,
            &tables,
            &beside(),
            &mut |reader, key, value| match key {
                _ if value.is_null() => reader.claim(value),
                "output" => output = Some(value),
                _ if is_last => status(reader, value),
                _ => reader.id(value),
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
}

/// Returns the id of an event's item.
fn id_of(event: Value<'_>) -> Option<Value<'_>> {
    let of_item = || event.get("item").and_then(|item| item.get("id"));
    event.get("item_id").or_else(of_item)
}

/// Returns the name of an event without the common prefix. Sessions have prefixes of their own:
/// `agent.session.turn.item.done`, `agent.output.command_execution_output.delta`.
fn stem(kind: &str) -> &str {
    let of_session = kind.strip_prefix("agent.session.turn.");
    match of_session.or_else(|| kind.strip_prefix("agent.output.")) {
        Some("item.added") => "output_item.added",
        Some("item.done") => "output_item.done",
        Some(rest) => rest,
        None => kind.strip_prefix("response.").unwrap_or(kind),
    }
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

    fn text_at(&self, text_key: &TextKey) -> String {
        let Some([item, list, at]) = self.texts.path(text_key) else {
            return String::new();
        };
        match list {
            CONTENT => format!("#output/{item}/content/{at}"),
            SUMMARY => format!("#output/{item}/summary/{at}"),
            AUDIO => "#audio/transcript".to_owned(),
            OUTPUT => format!("#output/{item}/output"),
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
        let edited = removals.edited_texts();
        for item in root.get("item").into_iter().chain(items) {
            correct_copies(item, &edited, &mut frame.edits);
        }
        let part = root.get("part").unwrap_or(root);
        correct_copies_in(part, &edited, &mut frame.edits);
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
