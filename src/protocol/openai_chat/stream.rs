//! Streamed chat completions, `chat.completion.chunk`: one response in many frames, its choices interleaved.
//!
//! ```text
//! {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}
//! {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Rain"},"finish_reason":null}]}
//! {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":""}}]},"finish_reason":null}]}
//! {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\""}}]},"finish_reason":null}]}
//! {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}
//! [DONE]
//! ```

use super::removal::{self, denial_reason};
use super::{CHOICE, FINISH_REASONS, MESSAGE, RESPONSE, ROLES, ResponseShape};
use crate::diag::codes;
use crate::event::Class;
use crate::event::Part;
use crate::event::Turn;
use crate::protocol::json_edit::{
    choices, lower_number, move_annotations, remove_elements, remove_members,
};
use crate::protocol::openai_shapes::{
    ANSWER, SPEECH, beside, called_function, content, spoken, tool_call,
};
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    CallDelta, CallKey, ChoiceFormat, ChoiceSpec, ChoiceStream, CorrectedFrame, DONE, Delta,
    EvaluatedCall, HeldFrame, HeldFrames, MAX_TEXTS, SyntheticFrame, TextDelta, TextKey, too_many,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Origin, Reader, Removals, RequestContext};
use crate::wire::json::{self, Edits, Value, quote};
use crate::wire::sort;
use crate::wire::sorted_map::{SortedMap, SortedSet};
use crate::wire::span::{index, offset};
use crate::wire::work;

/// Reasons of DashScope: `null` until a choice has ended.
const DASHSCOPE_REASONS: &str = "null|stop|length|tool_calls";

/// Number of the call in `function_call`, of which there is at most one.
const LEGACY_CALL: u32 = u32::MAX;

/// Members of a chunk that are not read as in a whole response. The ids are padding against traffic analysis, OpenAI's
/// and Mistral's.
const CHUNK: &[Row] = &[
    ("obfuscation", Type::Id),
    ("p", Type::Id),
    ("choices", Type::Custom),
    // DashScope has the choices in it.
    ("output", Type::Custom),
    // Workers AI has the text and the calls of its only choice beside it.
    ("response", Type::Custom),
    ("tool_calls", Type::Custom),
];

/// Members of a choice that continue over chunks.
const CHOICE_PART: &[Row] = &[
    ("finish_reason", Type::Custom),
    ("delta", Type::Custom),
    ("message", Type::Custom),
];

/// Objects with numbered texts.
const IN_CHOICE: u32 = 0;
const IN_DELTA: u32 = 1;
const IN_MESSAGE: u32 = 2;

/// Members of `delta`.
const SPOKEN: &[&[Row]] = &[MESSAGE, SPEECH];

/// Names of a text that the model thinks.
const THOUGHTS: &[(&str, u8)] = &[("reasoning_content", 1), ("reasoning", 2), ("thinking", 4)];

/// Members of `message`, beside `delta`, that repeat the content of `delta`.
const COPIED: &[&str] = &[
    "role",
    "content",
    "refusal",
    "reasoning_content",
    "reasoning",
    "tool_calls",
    "function_call",
];

/// Members of an entry of `tool_calls`.
const CALL: &[Row] = &[
    ("id", Type::Id),
    ("type", Type::Word("function|custom")),
    ("index", Type::Number),
    ("function", Type::Custom),
    ("custom", Type::Custom),
];

/// Chunks of a streamed chat completion.
#[derive(Debug)]
pub(in crate::protocol) struct Chunks {
    /// Shape of the frames that the filter creates.
    answer: ResponseShape,
    /// Form of the stream.
    form: ChunkForm,
    /// Choices that the current frame ends. The frame may still be denied.
    ending: Vec<u32>,
}

/// Form of a stream of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum ChunkForm {
    /// OpenAI's; `[DONE]` ends it.
    OpenAi,
    /// OpenAI's, as watsonx.ai sends it: the usage is the last of its chunks.
    Watsonx,
    /// DashScope's: `{"output":{"choices":[{"message":{…},"finish_reason":"null"}]}}`, where a message is a delta. Nothing
    /// follows its chunks.
    InOutput,
    /// OpenAI's, or those of Workers AI, `{"response":"Rain","tool_calls":[…]}`; `[DONE]` ends it.
    WorkersAi,
}

/// Streamed chat completion.
pub(in crate::protocol) type ChatStream = ChoiceStream<Chunks>;

/// Returns a reader of a response.
pub(in crate::protocol) fn chat_stream(
    context: &RequestContext,
    answer: ResponseShape,
) -> ChatStream {
    chat_stream_of(context, answer, ChunkForm::OpenAi)
}

/// Returns a reader of a response in this form.
pub(in crate::protocol) fn chat_stream_of(
    context: &RequestContext,
    answer: ResponseShape,
    form: ChunkForm,
) -> ChatStream {
    let ending = Vec::new();
    ChoiceStream::new(
        context,
        Chunks {
            answer,
            form,
            ending,
        },
    )
}

/// Choice so far.
#[derive(Debug, Default)]
pub(in crate::protocol) struct StreamedChoice {
    /// Whether the finish reason has arrived; OpenRouter repeats it with the usage.
    has_reason: bool,
    finished: bool,
    calls: Vec<StreamedCall>,
    /// Number of its calls when the choice ended.
    ended_calls: usize,
    /// Whether its members are those of the chunks themselves, as Workers AI sends them.
    is_bare: bool,
    /// Whether `function_call` had content.
    has_legacy_call: bool,
    /// Names under which the last delta with thoughts had them: one bit for each.
    thoughts: u8,
    /// Texts under `message` so far, by their number.
    copies: SortedMap<u32, String>,
}

/// Call so far.
#[derive(Debug)]
struct StreamedCall {
    index: Option<u64>,
    id: Option<Box<str>>,
}

impl ChatStream {
    fn read_choice(&mut self, reader: &mut Reader<'static>, choice: Value<'_>, number: u32) {
        whole_index(reader, choice);
        let is_in_output = self.format.form == ChunkForm::InOutput;
        let mut finished = false;
        let delta = choice.get("delta");
        let origin = Origin::piece_in(number, IN_CHOICE);
        reader.row_lists(
            choice,
            &[CHOICE_PART, CHOICE],
            &origin,
            &mut |reader, key, value| match key {
                "finish_reason" => {
                    let is_open =
                        |reason: &str| reason.is_empty() || is_in_output && reason == "null";
                    let reason = value.text().filter(|reason| !is_open(reason));
                    if let Some(reason) = reason {
                        let state = self.state(number);
                        let had_reason = std::mem::replace(&mut state.has_reason, true);
                        if !had_reason || self.format.answer == ResponseShape::Text {
                            reader.reading.finish.push(reason.into());
                        }
                        finished = true;
                    }
                    reader.word(
                        value,
                        if is_in_output {
                            DASHSCOPE_REASONS
                        } else {
                            FINISH_REASONS
                        },
                    );
                }
                "message" if is_in_output => self.delta(reader, value, number),
                "delta" => self.delta(reader, value, number),
                _ => {
                    self.message(reader, value, delta, number);
                }
            },
        );
        self.state(number);
        if finished {
            self.format.ending.push(number);
            reader.piece(Delta::End(Some(number)));
        }
    }

    fn delta(&mut self, reader: &mut Reader<'static>, delta: Value<'_>, choice: u32) {
        let origin = Origin::piece_in(choice, IN_DELTA);
        let mut thoughts = 0;
        reader.row_lists(
            delta,
            SPOKEN,
            &origin,
            &mut |reader, key, value| match key {
                "content" => content(reader, value, &origin.member(number_of(key))),
                "tool_calls" => self.calls(reader, value, choice),
                "function_call" if has_content(value) => {
                    let key = CallKey {
                        choice,
                        item: LEGACY_CALL,
                    };
                    let state = self.state(choice);
                    let is_known = std::mem::replace(&mut state.has_legacy_call, true);
                    if is_known && state.finished {
                        goes_on(reader, value);
                    }
                    reader.call_piece(value.place(), key, CallDelta::BEGIN);
                    called(reader, value, value, key);
                }
                "function_call" => reader.claim_all(value),
                "name" | "tool_call_id" => reader.id(value),
                _ => {
                    let name = THOUGHTS.iter().find(|(name, _)| *name == key);
                    if let Some((_, bit)) = name
                        && value.text().is_some_and(|text| !text.is_empty())
                    {
                        thoughts |= bit;
                    }
                    spoken(reader, key, value, &origin.member(number_of(key)));
                }
            },
        );
        let known = &mut self.state(choice).thoughts;
        let before = match thoughts {
            0 => 0,
            _ => std::mem::replace(known, thoughts),
        };
        if before != 0 && before != thoughts {
            // Clients show what they find under any of these names, or look for one.
            reader.problem(codes::AG2014, delta, "thoughts under changing names");
        }
        // A server with its own name for the text sends that text in pieces, too.
        self.unknown.read(reader, delta, SPOKEN, choice);
    }

    /// Reads `message` beside `delta`. Writer repeats the content of `delta` in it, Perplexity puts the whole text so
    /// far into it.
    fn message(
        &mut self,
        reader: &mut Reader<'static>,
        message: Value<'_>,
        delta: Option<Value<'_>>,
        choice: u32,
    ) {
        // Without `delta`, clients join what is in `message`.
        let origin = match delta {
            Some(_) => Origin::answer(choice),
            None => Origin::piece_in(choice, IN_MESSAGE),
        };
        reader.object(message, COPIED, |reader, key, value| {
            let twin = delta.and_then(|delta| delta.get(key));
            let is_string = value.kind() == json::ValueKind::String;
            match key {
                "role" => reader.role(value, ROLES),
                "content" | "refusal" | "reasoning_content" | "reasoning" if is_string => {
                    let is_copy = delta.is_some();
                    let piece = self.copied_text(reader, key, value, (is_copy, twin), choice);
                    // Mistral's models at Bedrock put all content into `message`.
                    reader.frame.pieces.extend(piece.map(|piece| {
                        Delta::Text(TextDelta {
                            is_duplicate: is_copy,
                            ..piece
                        })
                    }));
                }
                "content" => content(reader, value, &origin.member(number_of(key))),
                "tool_calls" if twin.is_some_and(|twin| twin.raw() == value.raw()) => {
                    let mut at = 0u32;
                    reader.array(value, |reader, call| {
                        let item = self.call_number(reader, call, choice, at);
                        copied_call(reader, call, CallKey { choice, item });
                        at = at.saturating_add(1);
                    });
                }
                "tool_calls" => reader.array(value, |reader, call| {
                    tool_call(reader, call, Turn::Latest, choice);
                }),
                "function_call" if has_content(value) => {
                    called_function(reader, value, value, Turn::Latest, choice);
                }
                "function_call" => reader.claim_all(value),
                _ => spoken(reader, key, value, &origin.member(number_of(key))),
            }
        });
        if delta.is_none() {
            self.unknown.read(reader, message, &[], choice);
        }
    }

    fn copied_text(
        &mut self,
        reader: &mut Reader<'static>,
        key: &str,
        value: Value<'_>,
        (is_copy, twin): (bool, Option<Value<'_>>),
        choice: u32,
    ) -> Option<TextDelta> {
        reader.claim(value);
        let text = value.text()?;
        let twin = twin.and_then(|twin| twin.text()).unwrap_or_default();
        let origin = Origin::piece_in(choice, IN_MESSAGE);
        let item = origin.member(number_of(key)).piece_of.unwrap_or_default();
        let copies = &mut self.state(choice).copies;
        let so_far = copies.entry(item).or_default();
        let goes_on = text.strip_prefix(so_far.as_str());
        let repeats = match goes_on {
            Some(new) if is_copy && (new == twin || text != twin) => so_far.len(),
            _ => 0,
        };
        so_far.push_str(text.get(repeats..).unwrap_or_default());
        let text_key = TextKey {
            choice,
            part: match key {
                "content" => Part::Text,
                "refusal" => Part::Refusal,
                _ => Part::Reasoning,
            },
            item,
        };
        Some(TextDelta {
            repeats,
            ..TextDelta::new(text_key, value.place(), Class::Text)
        })
    }

    fn calls(&mut self, reader: &mut Reader<'static>, list: Value<'_>, choice: u32) {
        let mut at = 0u32;
        reader.array(list, |reader, call| {
            self.call(reader, call, choice, at);
            at = at.saturating_add(1);
        });
    }

    fn call(&mut self, reader: &mut Reader<'static>, call: Value<'_>, choice: u32, at: u32) {
        let is_flat = self.format.form == ChunkForm::WorkersAi && call.get("function").is_none();
        let is_whole = call.get("index").is_none_or(Value::is_null);
        if is_flat && is_whole && call.get("name").is_some_and(|name| !name.is_null()) {
            // Nothing says which call another frame continues: each is one.
            called_function(reader, call, call, Turn::Latest, choice);
            return;
        }
        let item = self.call_number(reader, call, choice, at);
        let key = CallKey { choice, item };
        whole_index(reader, call);
        let state = self.choices.get(&choice);
        if state.is_some_and(|state| state.finished && index(item) < state.ended_calls) {
            goes_on(reader, call);
        }
        let id = call.get("id").filter(|id| !id.is_null());
        let mut others = self.choices.iter();
        if !self.context.asks_for_several
            && id.is_none_or(|id| id.is_text(""))
            && others.any(|(number, other)| *number != choice && !other.calls.is_empty())
        {
            // Who asks for one choice looks at the first of each frame, and goes on with its calls by their index.
            let what = "a call without id beside one of another choice";
            reader.problem(codes::AG2014, call, what);
        }
        reader.call_piece(call.place(), key, CallDelta::BEGIN);
        let tables = [CALL, SPEECH];
        let origin = Origin::answer(choice).with_part(Part::Other);
        reader.row_lists(
            call,
            &tables,
            &origin,
            &mut |reader, name, value| match name {
                "function" | "custom" => called(reader, call, value, key),
                _ => spoken(reader, name, value, &origin),
            },
        );
        if is_flat {
            called(reader, call, call, key);
        }
    }

    /// Returns the number of the call in an entry of `tool_calls`: that of its `index`. Mistral's entries have an id
    /// instead. An index that is repeated with another id is another call.
    fn call_number(
        &mut self,
        reader: &mut Reader<'static>,
        call: Value<'_>,
        choice: u32,
        at: u32,
    ) -> u32 {
        let index = call.get("index").and_then(|index| index.as_u64());
        let id = call
            .get("id")
            .and_then(|id| id.text())
            .filter(|id| !id.is_empty());
        let calls = &mut self.state(choice).calls;
        // Usually the last one is it.
        work::spend(calls.len() >> 3);
        let known = calls.iter().rposition(|known| match (&id, &known.id) {
            (Some(id), Some(known_id)) => **known_id == **id && known.index == index,
            _ => known.index == index && (index.is_some() || id.is_none()),
        });
        let known = match (known, index, &id) {
            (Some(known), ..) => Some(known),
            // Without both, the index of the entry in the list.
            (None, None, None) => usize::try_from(at).ok().filter(|at| *at < calls.len()),
            _ => None,
        };
        let number = known.unwrap_or_else(|| {
            if calls.len() < MAX_TEXTS {
                calls.push(StreamedCall { index, id: None });
            } else {
                too_many(reader);
            }
            calls.len().saturating_sub(1)
        });
        if let (Some(call), Some(id)) = (calls.get_mut(number), id) {
            call.id = Some(id.into());
        }
        offset(number)
    }

    /// Returns a created chunk for one choice: a text in a member of its delta, or the finish reason.
    fn chunk(
        &self,
        choice: u32,
        member: &str,
        text: &str,
        finish: Option<&[u8]>,
    ) -> SyntheticFrame {
        match self.format.form {
            ChunkForm::InOutput => return chunk_in_output(choice, text, finish),
            ChunkForm::WorkersAi if self.choices.get(&choice).is_none_or(|said| said.is_bare) => {
                let mut out = br#"{"response":"#.to_vec();
                quote(text, &mut out);
                out.push(b'}');
                return SyntheticFrame::new(None, out);
            }
            _ => {}
        }
        let (object, says): (&[u8], &[u8]) = match self.format.answer {
            ResponseShape::Chat => (br#"{"object":"chat.completion.chunk","#, br#","delta":{"#),
            ResponseShape::Text => (br#"{"object":"text_completion","#, br#","text":"#),
        };
        let mut out = object.to_vec();
        out.extend_from_slice(self.common.as_deref().unwrap_or_default());
        out.extend_from_slice(br#""choices":[{"index":"#);
        out.extend_from_slice(choice.to_string().as_bytes());
        out.extend_from_slice(says);
        match self.format.answer {
            ResponseShape::Chat => {
                if !text.is_empty() {
                    quote(member, &mut out);
                    out.push(b':');
                    quote(text, &mut out);
                }
                out.push(b'}');
            }
            ResponseShape::Text => quote(text, &mut out),
        }
        out.extend_from_slice(br#","logprobs":null,"finish_reason":"#);
        out.extend_from_slice(finish.unwrap_or(b"null"));
        out.extend_from_slice(b"}]}");
        SyntheticFrame::new(None, out)
    }
}

/// Returns a created chunk of DashScope's.
fn chunk_in_output(choice: u32, text: &str, finish: Option<&[u8]>) -> SyntheticFrame {
    let mut out = br#"{"output":{"choices":[{"index":"#.to_vec();
    out.extend_from_slice(choice.to_string().as_bytes());
    out.extend_from_slice(br#","message":{"role":"assistant","content":"#);
    quote(text, &mut out);
    out.extend_from_slice(br#"},"finish_reason":"#);
    out.extend_from_slice(finish.map_or(br#""null""#, |_| br#""stop""#));
    out.extend_from_slice(b"}]}}");
    SyntheticFrame::new(Some("result"), out)
}

/// Returns the index of a member of `delta` in its tables.
fn number_of(key: &str) -> usize {
    let mut members = SPOKEN.iter().copied().flatten();
    members.position(|(known, _)| *known == key).unwrap_or(0)
}

/// Reads a call in `message` that `delta` contains, too.
fn copied_call(reader: &mut Reader<'static>, call: Value<'_>, key: CallKey) {
    reader.claim_all(call);
    let function = call.get("function").or_else(|| call.get("custom"));
    reader.call_piece(call.place(), key, CallDelta::BEGIN);
    for (name, value) in function.into_iter().flat_map(|function| function.members()) {
        if value.is_null() {
            continue;
        }
        let what = if name.is_text("name") {
            CallDelta::NameAgain(value.place())
        } else {
            CallDelta::ArgumentsAgain(value.place())
        };
        reader.call_piece(call.place(), key, what);
    }
}

/// Reports a call that continues after its choice has ended. It is evaluated already, and clients continue it.
fn goes_on(reader: &mut Reader<'static>, call: Value<'_>) {
    let what = "a call that goes on after its choice has ended";
    reader.problem(codes::AG2014, call, what);
}

/// Reports an index that is not an integer, because clients interpret it differently.
fn whole_index(reader: &mut Reader<'static>, of: Value<'_>) {
    if let Some(index) = of.get("index").filter(|index| !index.is_null())
        && index.as_u64().is_none()
    {
        let what = "an index that is no whole number";
        reader.problem(codes::AG2014, index, what);
    }
}

/// Returns the number of the text in `content`.
fn content_item() -> u32 {
    let origin = Origin::piece(IN_DELTA);
    let content = origin.member(number_of("content"));
    content.piece_of.unwrap_or_default()
}

/// Reads `{name, arguments}` or `{name, input}`.
fn called(reader: &mut Reader<'static>, element: Value<'_>, function: Value<'_>, key: CallKey) {
    reader.object(
        function,
        &["name", "arguments", "input"],
        |reader, member, value| {
            reader.claim_all(value);
            if value.is_null() {
                return;
            }
            let place = value.place();
            let what = match member {
                "name" => CallDelta::Name(place),
                "arguments" => CallDelta::Arguments(place),
                _ => CallDelta::Input(place),
            };
            reader.call_piece(element.place(), key, what);
        },
    );
}

/// Returns whether a `function_call` has content. Snowflake sends an empty one in every chunk.
fn has_content(function: Value<'_>) -> bool {
    function
        .members()
        .any(|(_, value)| !value.is_null() && value.raw() != b"\"\"")
}

impl ChoiceFormat for Chunks {
    type Choice = StreamedChoice;
    const SPEC: ChoiceSpec = ChoiceSpec {
        frame: &[CHUNK, RESPONSE, ANSWER],
        origin: beside,
        proto_json: false,
        list: Some("choices"),
        envelope: None,
        common: &["id", "created", "model"],
        place: "choice",
        has_done: true,
        counts_frames: false,
        error: |denial| SyntheticFrame::new(None, Dialect::OpenAi.body(denial)),
    };

    fn envelope(stream: &ChatStream) -> Option<&'static str> {
        (stream.format.form == ChunkForm::InOutput).then_some("output")
    }

    fn error(stream: &ChatStream, denial: &Denial) -> SyntheticFrame {
        let dialect = match stream.format.form {
            ChunkForm::OpenAi => return (Self::SPEC.error)(denial),
            ChunkForm::Watsonx => Dialect::Watsonx,
            ChunkForm::WorkersAi => Dialect::Cloudflare,
            ChunkForm::InOutput => Dialect::DashScope,
        };
        SyntheticFrame::error(dialect, denial)
    }

    fn begin(stream: &mut ChatStream, reader: &mut Reader<'static>, frame: Value<'_>) {
        match stream.format.form {
            ChunkForm::Watsonx => {
                let mut choices = frame.get("choices").into_iter();
                let has_choices = choices.any(|list| list.elements().next().is_some());
                if !has_choices && frame.get("usage").is_some() {
                    reader.piece(Delta::End(None));
                }
            }
            ChunkForm::InOutput => {
                let text = stream.frame_in(frame).get("text");
                let is_empty = |text: &Value<'_>| text.is_null() || text.is_text("");
                if let Some(text) = text.filter(|text| !is_empty(text)) {
                    // It may be all of the text so far.
                    reader.problem(codes::AG2014, text, "a text outside of the choices");
                }
            }
            ChunkForm::OpenAi | ChunkForm::WorkersAi => {}
        }
        for ended in std::mem::take(&mut stream.format.ending) {
            let choice = stream.state(ended);
            if !std::mem::replace(&mut choice.finished, true) {
                choice.ended_calls = choice.calls.len();
            }
        }
    }

    fn member(
        stream: &mut ChatStream,
        reader: &mut Reader<'static>,
        key: &'static str,
        value: Value<'_>,
    ) {
        let is_bare = stream.format.form == ChunkForm::WorkersAi;
        match (key, value.kind()) {
            (_, json::ValueKind::Null) => reader.claim(value),
            ("response", _) if !is_bare => super::read_response(reader, value),
            ("response", json::ValueKind::String) => {
                stream.state(0).is_bare = true;
                let origin = Origin::piece_in(0, IN_DELTA).member(number_of("content"));
                reader.text(value, &origin);
            }
            // Clients join what they make a text of.
            ("response", _) => reader.problem(codes::AG2014, value, "a text that is no string"),
            ("tool_calls", json::ValueKind::Array) if is_bare => {
                stream.state(0).is_bare = true;
                stream.calls(reader, value, 0);
            }
            _ => {}
        }
    }

    fn choice(
        stream: &mut ChatStream,
        reader: &mut Reader<'static>,
        choice: Value<'_>,
        number: u32,
    ) {
        stream.read_choice(reader, choice, number);
    }

    fn call_at(key: &CallKey) -> String {
        match key.item {
            LEGACY_CALL => "function_call".to_owned(),
            item => format!("tool_calls/{item}"),
        }
    }

    fn remove_calls(
        stream: &mut ChatStream,
        calls: &[EvaluatedCall],
        end: u64,
        frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        let pieces = calls.iter().flat_map(|call| &call.pieces);
        let numbers = sort::set(pieces.map(|(frame, _)| *frame));
        for number in numbers {
            let frame = frames.get(number).ok_or(CannotRemove)?;
            take_out_of(stream, frame, number, calls)?;
        }
        let mut choices: Vec<u32> = calls.iter().map(|call| call.key.choice).collect();
        choices.dedup();
        for choice in choices {
            let of_choice = || calls.iter().filter(|call| call.key.choice == choice);
            let mut texts: Vec<&str> = of_choice()
                .filter_map(|call| call.denied.as_deref())
                .collect();
            texts.dedup();
            if texts.is_empty() {
                continue;
            }
            let explanation = stream.chunk(choice, "content", &texts.join("\n"), None);
            let frame = frames.get(end).ok_or(CannotRemove)?;
            frame.before.push(explanation);
            if of_choice().all(|call| call.denied.is_some()) {
                finish_plainly(stream, frame, choice);
            }
        }
        Ok(())
    }

    fn remove(
        stream: &mut ChatStream,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        let body = frame.body().ok_or(CannotRemove)?;
        let root = stream.frame_in(body.root());
        removal::remove_from_response(root, &stream.context, removals, &mut frame.edits)
    }

    fn correct(
        _: &mut ChatStream,
        (number, choice): (u32, Value<'_>),
        frame: &mut CorrectedFrame<'_>,
    ) {
        if frame.is_edited {
            removal::null_logprobs(choice, frame.edits);
        }
        let text_key = TextKey {
            choice: number,
            part: Part::Text,
            item: content_item(),
        };
        let annotations = choice
            .get("delta")
            .and_then(|delta| delta.get("annotations"));
        if let (Some(changes), Some(annotations)) = (frame.changes.get(&text_key), annotations) {
            move_annotations(annotations, frame.edits, changes);
        }
    }

    fn denied(stream: &ChatStream, denial: &Denial) -> Vec<SyntheticFrame> {
        let text = denial.message();
        let reason = denial_reason(stream.context.structured_output);
        let unfinished = stream.numbers(|choice| !choice.finished).into_iter();
        let frames = unfinished.flat_map(|choice| {
            [
                stream.chunk(choice, "refusal", &text, None),
                stream.chunk(choice, "", "", Some(reason)),
            ]
        });
        let done = SyntheticFrame::new(None, DONE.to_vec());
        let has_done = matches!(stream.format.form, ChunkForm::OpenAi | ChunkForm::WorkersAi);
        let done = Some(done).filter(|_| has_done);
        frames.chain(done).collect()
    }
}

/// Removes the denied calls from one frame, and renumbers the others without a gap, because a gap makes the stream
/// helper of OpenAI's own library fail.
fn take_out_of(
    stream: &ChatStream,
    frame: &mut HeldFrame,
    number: u64,
    calls: &[EvaluatedCall],
) -> Result<(), CannotRemove> {
    let json = frame.json.as_ref().ok_or(CannotRemove)?;
    let body = json.body().ok_or(CannotRemove)?;
    // Pieces are in the order of the bytes.
    let call_at = |value: Value<'_>| {
        work::spend(calls.len());
        let piece = (number, value.place());
        calls
            .iter()
            .find(|call| call.pieces.binary_search(&piece).is_ok())
    };
    let root = stream.frame_in(body.root());
    let is_bare = stream.format.form == ChunkForm::WorkersAi;
    let choices = root.get("choices");
    if choices.is_none() && !is_bare {
        return Err(CannotRemove);
    }
    let holders = choices
        .into_iter()
        .flat_map(|choices| choices.elements())
        .flat_map(|choice| [choice.get("delta"), choice.get("message")])
        .flatten()
        .chain(Some(root).filter(|_| is_bare));
    for delta in holders {
        let legacy = delta.get("function_call").and_then(call_at);
        let mut gone: Vec<&str> = Vec::new();
        if legacy.is_some_and(|call| call.denied.is_some()) {
            gone.push("function_call");
        }
        if let Some(list) = delta.get("tool_calls") {
            let mut denied = SortedSet::new();
            let mut kept = 0usize;
            for element in list.elements() {
                match call_at(element) {
                    Some(call) if call.denied.is_some() => {
                        denied.insert(element.place());
                    }
                    found => {
                        kept = kept.saturating_add(1);
                        if let Some(call) = found {
                            renumber(element, call, calls, &mut frame.edits);
                        }
                    }
                }
            }
            match (denied.is_empty(), kept) {
                (true, _) => {}
                (false, 0) => gone.push("tool_calls"),
                (false, _) => {
                    remove_elements(list, &|place| denied.contains(&place), &mut frame.edits);
                }
            }
        }
        if !gone.is_empty() {
            remove_members(delta, &gone, &mut frame.edits);
        }
    }
    Ok(())
}

/// Lowers the number of a call by the denied calls of its choice before it.
fn renumber(element: Value<'_>, call: &EvaluatedCall, calls: &[EvaluatedCall], edits: &mut Edits) {
    let removed_before = |other: &&EvaluatedCall| {
        other.denied.is_some()
            && other.key.choice == call.key.choice
            && other.key.item < call.key.item
    };
    let before = offset(calls.iter().filter(removed_before).count());
    lower_number(element.get("index"), before, edits);
}

/// Ends a response without any call as an ordinary text.
fn finish_plainly(stream: &ChatStream, frame: &mut HeldFrame, number: u32) {
    let Some(body) = frame.body() else {
        return;
    };
    for (choice_at, choice) in choices(stream.frame_in(body.root()), "choices") {
        if choice_at == number
            && let Some(finish) = choice
                .get("finish_reason")
                .filter(|finish| !finish.is_null())
        {
            frame.edits.replace(finish, br#""stop""#.to_vec());
        }
    }
}
