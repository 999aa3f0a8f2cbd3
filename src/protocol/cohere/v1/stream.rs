//! Events of a streamed response of `POST /v1/chat` and `/v1/generate`, one in each line. The last event repeats the
//! whole response.
//!
//! ```text
//! {"is_finished":false,"event_type":"stream-start","generation_id":"g"}
//! {"is_finished":false,"event_type":"text-generation","text":"Rain"}
//! {"is_finished":false,"event_type":"tool-calls-chunk","tool_call_delta":{"index":0,"name":"weather"}}
//! {"is_finished":false,"event_type":"tool-calls-chunk","tool_call_delta":{"index":0,"parameters":"{\"city\""}}
//! {"is_finished":true,"event_type":"stream-end","finish_reason":"COMPLETE","response":{"generation_id":"g","text":"Rain"}}
//! ```

use super::{CALL, RESPONSE, TURN, denied_response, quoted};
use crate::event::Part;
use crate::protocol::cohere::{ANSWER, texts};
use crate::protocol::json_edit::{cite, lower_number, number, remove_elements, replace_present};
use crate::protocol::openai_shapes::beside;
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    CallCopy, CallKey, ChangesByText, Delta, EvaluatedCall, HeldFrame, HeldFrames, KeepAlive,
    OrderingGroups, SnapshotCall, SnapshotCalls, SnapshotTexts, StreamReader, SyntheticFrame,
    TextKey, TextPath, Update,
};
use crate::protocol::{CannotRemove, Denial, Origin, Reader, RequestContext};
use crate::wire::json::{self, Edits, NodeId, Value};
use crate::wire::span::offset;

const EVENT: &[Row] = &[
    (
        "event_type",
        Type::Read(|reader, value| reader.claim(value)),
    ),
    ("is_finished", Type::Flag),
    ("index", Type::Number),
    ("tool_call_delta", Type::Custom),
    ("response", Type::Custom),
    ("tool_calls", Type::Custom),
];
const REPEATED_REASON: &[Row] = &[(
    "finish_reason",
    Type::Read(|reader, value| reader.claim(value)),
)];
const CALL_DELTA: &[&str] = &["index", "name", "parameters"];

/// Position of the response's text.
const ANSWERED: TextPath = [0, 0, 0];

/// Streamed response.
#[derive(Debug)]
pub(in crate::protocol) struct V1Stream {
    is_chat: bool,
    has_begun: bool,
    /// Whether the response contains text, after which an explanation is a paragraph of its own.
    has_text: bool,
    texts: SnapshotTexts,
    /// Calls by their number.
    calls: SnapshotCalls,
    /// Numbers of removed calls.
    denied: Vec<u32>,
    /// Explanations in their place.
    explanation: String,
}

impl V1Stream {
    pub(in crate::protocol) fn new(context: &RequestContext) -> V1Stream {
        V1Stream {
            is_chat: context.endpoint.name == "chat",
            has_begun: false,
            has_text: false,
            texts: SnapshotTexts::default(),
            calls: SnapshotCalls::ignoring_spaces(),
            denied: Vec::new(),
            explanation: String::new(),
        }
    }

    /// Reads the whole response.
    fn response(&mut self, reader: &mut Reader<'static>, response: Value<'_>) {
        let origin = Origin::piece(0);
        let first = reader.frame.pieces.len();
        let events = reader.reading.events.len();
        let table = if self.is_chat {
            RESPONSE
        } else {
            texts::RESPONSE
        };
        let tables = [RESPONSE_OF_STREAM, table, ANSWER];
        let mut calls = None;
        reader.row_lists(
            response,
            &tables,
            &origin,
            &mut |reader, key, value| match key {
                _ if value.is_null() => reader.claim(value),
                "tool_calls" => calls = Some(value),
                _ => history(reader, value, &origin),
            },
        );
        let mut generation = 0u32;
        self.texts.assign(reader, first, &mut |piece| {
            let path = match piece.text_key.part {
                Part::Text if self.is_chat => ANSWERED,
                Part::Text => {
                    generation = generation.saturating_add(1);
                    [generation.saturating_sub(1), 0, 0]
                }
                _ => [0, 1, piece.text_key.item],
            };
            (path, Update::Whole)
        });
        reader.mark_copies(events);
        if let Some(calls) = calls {
            self.whole_calls(reader, calls);
        }
    }

    /// Reads a list of whole calls.
    fn whole_calls(&mut self, reader: &mut Reader<'static>, calls: Value<'_>) {
        let mut number = 0u32;
        reader.array(calls, |reader, call| {
            self.whole_call(reader, call, number);
            number = number.saturating_add(1);
        });
        let ended = self.calls.end(&|_| true);
        reader.piece(Delta::CallsEnd(ended));
    }

    fn whole_call(&mut self, reader: &mut Reader<'static>, call: Value<'_>, number: u32) {
        reader.object(call, CALL, |reader, key, value| match key {
            "name" => reader.claim(value),
            "parameters" => reader.claim_all(value),
            _ => reader.id(value),
        });
        if self.denied.contains(&number) {
            // The copy of a removed call is removed, too.
            return;
        }
        let name = call.get("name").and_then(|name| name.text());
        let parameters = call.get("parameters");
        let text = parameters.map(|parameters| String::from_utf8_lossy(parameters.raw()));
        let copy = CallCopy {
            element: call.place(),
            name: name.as_deref(),
            text: text.as_deref().unwrap_or_default(),
            arguments: parameters,
        };
        let path = [number, 0];
        let is_it = |_, known: &SnapshotCall| known.path == path;
        self.calls
            .copy(reader, &copy, &is_it, SnapshotCall::at(path));
    }

    /// Reads a name, or more of the parameters of a call.
    fn call_delta(&mut self, reader: &mut Reader<'static>, event: Value<'_>, delta: Value<'_>) {
        let path = [number(delta, "index").unwrap_or(0), 0];
        let known = self
            .calls
            .last(&|call| call.path == path && !call.has_ended);
        let element = event.place();
        let begin = || self.calls.begin(reader, SnapshotCall::at(path), element);
        let Some(at) = known.or_else(begin) else {
            return;
        };
        reader.object(delta, CALL_DELTA, |reader, key, value| match key {
            "index" => reader.claim(value),
            "name" => {
                reader.claim(value);
                self.calls.name(reader, at, element, value);
            }
            _ => {
                reader.claim_all(value);
                self.calls.arguments(reader, at, element, value);
            }
        });
    }

    /// Returns the number of a call in the protocol.
    fn number_of(&self, key: &CallKey) -> Option<u32> {
        self.calls.of(key).map(|call| call.path[0])
    }

    /// Writes an event that adds to the text.
    fn write_text(text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"is_finished":false,"event_type":"text-generation","text":"#);
        out.extend_from_slice(&quoted(text));
        out.push(b'}');
    }

    /// Removes denied calls from a list.
    fn without_denied(&self, list: Value<'_>, edits: &mut Edits) {
        let denied: Vec<NodeId> = (0u32..)
            .zip(list.elements())
            .filter(|(number, _)| self.denied.contains(number))
            .map(|(_, call)| call.place())
            .collect();
        if !denied.is_empty() {
            remove_elements(list, &|place| denied.contains(&place), edits);
        }
    }

    fn correct_whole(&self, whole: Value<'_>, edits: &mut Edits) {
        if let Some(list) = whole.get("tool_calls") {
            self.without_denied(list, edits);
        }
        if self.explanation.is_empty() {
            return;
        }
        if let Some(text) = whole.get("text")
            && let Some(content) = text.text()
        {
            let end = content.len();
            edits.replace_text(text, [(end..end, self.explanation.as_str())]);
        }
        // The last turn of the history contains the call, too.
        replace_present(whole, "chat_history", b"[]", edits);
    }
}

/// Members that the last line contains in another form than a whole response.
const RESPONSE_OF_STREAM: &[Row] = &[("chat_history", Type::Custom), ("tool_calls", Type::Custom)];

/// Reads the turns so far, of which the last is the response.
fn history(reader: &mut Reader<'static>, turns: Value<'_>, origin: &Origin) {
    let last = turns.elements().last().map(|turn| turn.place());
    reader.array(turns, |reader, turn| {
        let is_answer = Some(turn.place()) == last
            && turn.kind() == json::ValueKind::Object
            && turn.get("role").is_some_and(|role| role.is_text("CHATBOT"));
        if !is_answer {
            let texts = reader.tree(turn);
            reader.emit_duplicate(turn, texts, &beside());
            return;
        }
        reader.rows(turn, TURN, origin, &mut |reader, key, value| match key {
            "role" => reader.claim(value),
            "message" if value.kind() == json::ValueKind::String => {
                reader.text(value, origin);
            }
            _ => {
                let texts = reader.tree(value);
                reader.emit_duplicate(value, texts, &beside());
            }
        });
    });
}

impl StreamReader for V1Stream {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, _: Option<&str>) {
        reader.frame.lanes = OrderingGroups::ALL;
        let index = number(root, "index");
        let path = [index.filter(|_| !self.is_chat).unwrap_or(0), 0, 0];
        let is_whole = root.get("tool_calls").is_some();
        let text = root.get("text").and_then(|text| text.text());
        self.has_text |= text.is_some_and(|text| !text.is_empty());
        let origin = Origin::piece(0);
        let first = reader.frame.pieces.len();
        let mut calls = Vec::new();
        // The whole response contains the reason, too.
        let reason = match root.get("response") {
            Some(_) => REPEATED_REASON,
            None => &[],
        };
        let tables = [EVENT, reason, RESPONSE, ANSWER];
        reader.row_lists(
            root,
            &tables,
            &origin,
            &mut |reader, key, value| match value.is_null() {
                true => reader.claim(value),
                false => calls.push((key, value)),
            },
        );
        let update = match is_whole {
            true => Update::Whole,
            false => Update::Delta,
        };
        self.texts.assign_all(reader, first, path, update);
        for (name, value) in calls {
            match name {
                "tool_call_delta" => self.call_delta(reader, root, value),
                "tool_calls" => self.whole_calls(reader, value),
                _ => self.response(reader, value),
            }
        }
        let is_finished = root.get("is_finished").and_then(|is| is.as_bool());
        reader.frame.last = is_finished == Some(true) && root.get("response").is_some();
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        match self.texts.path(text_key) {
            Some([choice, 0, _]) if !self.is_chat => format!("#generations/{choice}"),
            _ => "#text".to_owned(),
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#tool_calls/{}", self.number_of(key).unwrap_or(0))
    }

    fn remove_calls(
        &mut self,
        calls: &[EvaluatedCall],
        end: u64,
        frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        let mut texts: Vec<&str> = Vec::new();
        for call in calls {
            let Some(text) = call.denied.as_deref() else {
                continue;
            };
            let number = self.number_of(&call.key);
            self.denied.extend(number);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        for call in calls {
            let number = self.number_of(&call.key);
            if !number.is_some_and(|number| self.denied.contains(&number)) {
                continue;
            }
            for (frame, element) in &call.pieces {
                let frame = frames.get(*frame).ok_or(CannotRemove)?;
                let json = frame.json.as_ref().ok_or(CannotRemove)?;
                let body = json.body().ok_or(CannotRemove)?;
                frame.dropped |= body.root().place() == *element;
            }
        }
        let mut explanation = texts.join("\n");
        if self.has_text {
            explanation.insert_str(0, "\n\n");
        }
        self.has_text = true;
        let mut line = Vec::new();
        V1Stream::write_text(&explanation, &mut line);
        self.explanation.push_str(&explanation);
        if let Some(frame) = frames.get(end) {
            frame.before.push(SyntheticFrame::new(None, line));
        }
        Ok(())
    }

    /// Returns `true`: numbers of calls have no gaps.
    fn counts_frames(&self) -> bool {
        true
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        self.has_begun = true;
        let Some(body) = frame.body() else {
            return;
        };
        let root = body.root();
        let edits = &mut frame.edits;
        let whole = root.get("response");
        if let Some(changes) = self.texts.changes_at(ANSWERED, changes) {
            for holder in [Some(root), whole].into_iter().flatten() {
                if let Some(citations) = holder.get("citations") {
                    cite(citations, changes, edits);
                }
            }
        }
        if self.denied.is_empty() {
            return;
        }
        if let Some(list) = root.get("tool_calls") {
            let count = list.elements().count();
            frame.dropped |= (0u32..)
                .take(count)
                .all(|number| self.denied.contains(&number));
            self.without_denied(list, edits);
        }
        let delta = root.get("tool_call_delta");
        if let Some(index) = delta.and_then(|delta| delta.get("index"))
            && let Some(at) = index.as_u64()
        {
            let denied = self.denied.iter();
            let before = denied.filter(|denied| u64::from(**denied) < at).count();
            lower_number(Some(index), offset(before), edits);
        }
        if let Some(whole) = whole {
            self.correct_whole(whole, edits);
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        let mut frames = Vec::new();
        let id = quoted(&format!("agentguard-{}", denial.request_id));
        if !self.has_begun {
            let mut begun =
                br#"{"is_finished":false,"event_type":"stream-start","generation_id":"#.to_vec();
            begun.extend_from_slice(&id);
            begun.push(b'}');
            frames.push(begun);
        }
        if !as_error {
            let mut line = Vec::new();
            V1Stream::write_text(&denial.message(), &mut line);
            frames.push(line);
        }
        let mut end = br#"{"is_finished":true,"event_type":"stream-end","finish_reason":"#.to_vec();
        if as_error {
            end.extend_from_slice(br#""ERROR","error":"#);
            end.extend_from_slice(&quoted(&denial.message()));
        } else {
            end.extend_from_slice(br#""COMPLETE""#);
        }
        end.extend_from_slice(br#","response":"#);
        end.extend_from_slice(&if self.is_chat {
            denied_response(denial)
        } else {
            texts::denied_generation(denial)
        });
        end.push(b'}');
        frames.push(end);
        frames
            .into_iter()
            .map(|line| SyntheticFrame::new(None, line))
            .collect()
    }

    /// Returns an empty line, which clients skip.
    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::Bytes(b"\n"))
    }
}
