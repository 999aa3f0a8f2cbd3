//! Events of `POST /v1/chat` and `/v1/generate`, one in each line; the last repeats the whole response.
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
use crate::protocol::cohere::{ANSWER, answer_member, error_text, texts};
use crate::protocol::json_edit::{cite, number, remove_elements};
use crate::protocol::openai_shapes::beside;
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    CallDelta, CallKey, ChangesByText, Delta, EvaluatedCall, HeldFrame, HeldFrames, KeepAlive,
    MAX_TEXTS, OrderingGroups, SnapshotTexts, StreamReader, SyntheticFrame, TextKey, TextPath,
    TextPrefixHash, Update, too_many,
};
use crate::protocol::{CannotRemove, Denial, Origin, Reader, RequestContext};
use crate::wire::json::{self, Edits, NodeId, Value};
use crate::wire::span::{index, offset};

const EVENT: &[Row] = &[
    ("event_type", Type::Custom),
    ("is_finished", Type::Flag),
    ("index", Type::Number),
    ("tool_call_delta", Type::Custom),
    ("response", Type::Custom),
];
const CALL_DELTA: &[&str] = &["index", "name", "parameters"];

/// Where the response's text stands.
const ANSWERED: TextPath = [0, 0, 0];

/// A call so far. Where a later event tells other parameters, that is another call of the same number.
#[derive(Debug, Default)]
struct StreamedCall {
    number: u32,
    name: Option<Box<str>>,
    /// Its parameters without white space, which copies of them write differently.
    so_far: TextPrefixHash,
    spaces: Spaces,
    has_ended: bool,
}

/// A streamed response.
#[derive(Debug)]
pub(in crate::protocol) struct V1Stream {
    is_chat: bool,
    has_begun: bool,
    /// Something was said, so that what we say is a paragraph of its own.
    has_said: bool,
    texts: SnapshotTexts,
    calls: Vec<StreamedCall>,
    /// Numbers of calls that were taken out, and what was said instead.
    denied: Vec<u32>,
    told: String,
}

/// Takes white space out of JSON that arrives in pieces.
#[derive(Clone, Copy, Debug, Default)]
struct Spaces {
    in_string: bool,
    is_escaped: bool,
}

impl Spaces {
    fn without(&mut self, json: &str) -> String {
        let stays = |c: &char| {
            if self.in_string {
                let is_end = *c == '"' && !self.is_escaped;
                self.is_escaped = *c == '\\' && !self.is_escaped;
                self.in_string = !is_end;
                true
            } else {
                self.in_string = *c == '"';
                !c.is_ascii_whitespace()
            }
        };
        json.chars().filter(stays).collect()
    }
}

impl V1Stream {
    pub(in crate::protocol) fn new(context: &RequestContext) -> V1Stream {
        V1Stream {
            is_chat: context.endpoint.name == "chat",
            has_begun: false,
            has_said: false,
            texts: SnapshotTexts::default(),
            calls: Vec::new(),
            denied: Vec::new(),
            told: String::new(),
        }
    }

    /// The whole response.
    fn response(&mut self, reader: &mut Reader<'static>, response: Value<'_>) {
        let origin = pieces();
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
                "chat_history" => history(reader, value, &origin),
                "token_likelihoods" => reader.claim_all(value),
                _ => answer_member(reader, key, value),
            },
        );
        let mut generation = 0u32;
        for piece in reader.frame.pieces.split_off(first) {
            let Delta::Text(piece) = piece else {
                reader.piece(piece);
                continue;
            };
            let spot = match piece.channel.part {
                Part::Text if self.is_chat => ANSWERED,
                Part::Text => {
                    generation = generation.saturating_add(1);
                    [generation.saturating_sub(1), 0, 0]
                }
                _ => [0, 1, piece.channel.item],
            };
            self.texts.piece(reader, piece, spot, Update::Whole);
        }
        for event in reader.reading.events.iter_mut().skip(events) {
            event.retold = true;
        }
        if let Some(calls) = calls {
            self.whole_calls(reader, calls);
        }
    }

    /// A list of whole calls.
    fn whole_calls(&mut self, reader: &mut Reader<'static>, calls: Value<'_>) {
        let mut number = 0u32;
        reader.array(calls, |reader, call| {
            self.whole_call(reader, call, number);
            number = number.saturating_add(1);
        });
        let mut ended = Vec::new();
        for (at, call) in self.calls.iter_mut().enumerate() {
            if !std::mem::replace(&mut call.has_ended, true) {
                ended.push(key(at));
            }
        }
        reader.piece(Delta::CallsEnd(ended));
    }

    fn whole_call(&mut self, reader: &mut Reader<'static>, call: Value<'_>, number: u32) {
        reader.object(call, CALL, |reader, key, value| match key {
            "name" => reader.claim(value),
            "parameters" => reader.claim_all(value),
            _ => reader.id(value),
        });
        if self.denied.contains(&number) {
            // It is taken out here too.
            return;
        }
        let name = call.get("name").and_then(|name| name.text());
        let parameters = call.get("parameters");
        let said = parameters.map_or(std::borrow::Cow::Borrowed(""), |parameters| {
            String::from_utf8_lossy(parameters.raw())
        });
        let said = Spaces::default().without(&said);
        let says_so = |known: &StreamedCall| {
            known.number == number
                && known.name.as_deref() == name.as_deref()
                && known.so_far.length() == said.len()
                && known.so_far.begins(&said)
        };
        if let Some(known) = self.calls.iter().rposition(says_so) {
            if let Some(parameters) = parameters {
                let place = parameters.place();
                reader.piece(piece(known, call.place(), CallDelta::ArgumentsWhole(place)));
            }
            return;
        }
        let Some(at) = self.begin(reader, number, call.place()) else {
            return;
        };
        if let Some(known) = self.calls.get_mut(at) {
            known.so_far.push(&said);
            known.name = name.as_deref().map(Into::into);
        }
        if let Some(name) = name {
            let what = CallDelta::Named(name.as_ref().into());
            reader.piece(piece(at, call.place(), what));
        }
        if let Some(parameters) = parameters {
            let what = CallDelta::Arguments(parameters.place());
            reader.piece(piece(at, call.place(), what));
        }
    }

    fn begin(
        &mut self,
        reader: &mut Reader<'static>,
        number: u32,
        element: NodeId,
    ) -> Option<usize> {
        if self.calls.len() >= MAX_TEXTS {
            too_many(reader);
            return None;
        }
        self.calls.push(StreamedCall {
            number,
            ..StreamedCall::default()
        });
        let at = self.calls.len().saturating_sub(1);
        let provider_run = false;
        reader.piece(piece(at, element, CallDelta::Begin { provider_run }));
        Some(at)
    }

    /// More of a call: its name, or of its parameters.
    fn call_delta(&mut self, reader: &mut Reader<'static>, event: Value<'_>, delta: Value<'_>) {
        let number = number(delta, "index").unwrap_or(0);
        let known = self
            .calls
            .iter()
            .rposition(|call| call.number == number && !call.has_ended);
        let element = event.place();
        let at = known.or_else(|| self.begin(reader, number, element));
        let Some((at, call)) = at.and_then(|at| Some((at, self.calls.get_mut(at)?))) else {
            return;
        };
        reader.object(delta, CALL_DELTA, |reader, key, value| {
            let text = value.text().unwrap_or_default();
            match key {
                "index" => reader.claim(value),
                "name" => {
                    reader.claim(value);
                    let mut name = call.name.take().map_or_else(String::new, String::from);
                    name.push_str(&text);
                    call.name = Some(name.into());
                    reader.piece(piece(at, element, CallDelta::Name(value.place())));
                }
                _ => {
                    reader.claim_all(value);
                    call.so_far.push(&call.spaces.without(&text));
                    reader.piece(piece(at, element, CallDelta::Arguments(value.place())));
                }
            }
        });
    }

    fn said(&self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"is_finished":false,"event_type":"text-generation","text":"#);
        out.extend_from_slice(&quoted(text));
        out.push(b'}');
    }

    /// Takes denied calls out of a list.
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
        if self.told.is_empty() {
            return;
        }
        if let Some(text) = whole.get("text")
            && let Some(said) = text.text()
        {
            let end = said.len();
            edits.replace_text(text, [(end..end, self.told.as_str())]);
        }
        // The call stands there once more, as the last turn.
        if let Some(history) = whole.get("chat_history").filter(|list| !list.is_null()) {
            edits.replace(history, b"[]".to_vec());
        }
    }
}

/// What the last line tells in another way than a whole response.
const RESPONSE_OF_STREAM: &[Row] = &[("chat_history", Type::Custom)];

fn pieces() -> Origin {
    Origin {
        piece_of: Some(0),
        ..Origin::answer(0)
    }
}

/// The turns so far. The last is the response.
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

fn key(at: usize) -> CallKey {
    CallKey {
        choice: 0,
        item: offset(at),
    }
}

fn piece(at: usize, element: NodeId, what: CallDelta) -> Delta {
    Delta::Call {
        key: key(at),
        element,
        what,
    }
}

impl StreamReader for V1Stream {
    fn read(&mut self, reader: &mut Reader<'static>, _: Option<&str>) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
        reader.frame.lanes = OrderingGroups::ALL;
        let index = number(root, "index");
        let spot = [index.filter(|_| !self.is_chat).unwrap_or(0), 0, 0];
        let is_whole = root.get("tool_calls").is_some();
        let said = root.get("text").and_then(|text| text.text());
        self.has_said |= said.is_some_and(|said| !said.is_empty());
        let origin = pieces();
        let first = reader.frame.pieces.len();
        let mut calls = Vec::new();
        let tables = [EVENT, RESPONSE, ANSWER];
        reader.row_lists(
            root,
            &tables,
            &origin,
            &mut |reader, key, value| match key {
                _ if value.is_null() => reader.claim(value),
                "event_type" => reader.claim(value),
                "tool_call_delta" | "tool_calls" | "response" => calls.push((key, value)),
                "message" => error_text(reader, value),
                // The response's end tells it once more.
                "finish_reason" if root.get("response").is_some() => reader.claim(value),
                _ => answer_member(reader, key, value),
            },
        );
        self.texts.told(
            reader,
            first,
            spot,
            if is_whole {
                Update::Whole
            } else {
                Update::Delta
            },
        );
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

    fn text_at(&self, channel: &TextKey) -> String {
        match self.texts.spot(channel) {
            Some([choice, 0, _]) if !self.is_chat => format!("#generations/{choice}"),
            _ => "#text".to_owned(),
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        let call = self.calls.get(index(key.item));
        format!("#tool_calls/{}", call.map_or(0, |call| call.number))
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
            let known = self.calls.get(index(call.key.item));
            self.denied.extend(known.map(|known| known.number));
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        for call in calls {
            let known = self.calls.get(index(call.key.item));
            if !known.is_some_and(|known| self.denied.contains(&known.number)) {
                continue;
            }
            for (frame, element) in &call.pieces {
                let frame = frames.get(*frame).ok_or(CannotRemove)?;
                let json = frame.json.as_ref().ok_or(CannotRemove)?;
                let body = json.body().ok_or(CannotRemove)?;
                frame.dropped |= body.root().place() == *element;
            }
        }
        let mut told = texts.join("\n");
        if self.has_said {
            told.insert_str(0, "\n\n");
        }
        self.has_said = true;
        let mut line = Vec::new();
        self.said(&told, &mut line);
        self.told.push_str(&told);
        if let Some(frame) = frames.get(end) {
            frame.before.push(SyntheticFrame::new(None, line));
        }
        Ok(())
    }

    /// Numbers of calls may not have gaps.
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
        if let Some(number) = root
            .get("tool_call_delta")
            .and_then(|delta| delta.get("index"))
            && let Some(at) = number.as_u64()
        {
            let before = self
                .denied
                .iter()
                .filter(|denied| u64::from(**denied) < at)
                .count();
            let at = at.saturating_sub(u64::from(offset(before)));
            edits.replace(number, at.to_string().into_bytes());
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
            let mut said = Vec::new();
            self.said(&denial.message(), &mut said);
            frames.push(said);
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

    /// Clients skip empty lines.
    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::Bytes(b"\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::Spaces;

    #[test]
    fn white_space_outside_of_strings_goes_wherever_the_pieces_end() {
        let json = "{ \"a b\" : [1, \"c\\\" d\\\\\"] , \"e\":\t\"\" }";
        let expected = "{\"a b\":[1,\"c\\\" d\\\\\"],\"e\":\"\"}";
        assert_eq!(Spaces::default().without(json), expected);
        for cut in 0..json.len() {
            let mut spaces = Spaces::default();
            let (begin, end) = json.split_at(cut);
            let joined = spaces.without(begin) + &spaces.without(end);
            assert_eq!(joined, expected, "{cut}");
        }
    }
}
