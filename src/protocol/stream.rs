//! Streamed responses, which arrive in frames.
//!
//! A protocol reads one frame at a time, with the same code that reads whole responses. Texts and calls that continue
//! in later frames are reported as [`Delta`]s. The protocol also removes a call from its frames, ends a response with
//! a denial, and keeps a silent connection alive.

mod block;
mod calls;
mod choice;
mod deltas;
mod text;
mod texts;

pub(super) use block::{BlockEvent, BlockSpec, BlockStream, KindIn};
pub use calls::{CallCopy, CallPath, SnapshotCall, SnapshotCalls};
pub(super) use choice::{ChoiceFormat, ChoiceSpec, ChoiceStream, CorrectedFrame};
pub use deltas::{FrameEvent, FrameMark, TextRun, UnknownTexts};
pub(super) use text::{TextSpec, TextStream};
pub use texts::{MAX_TEXTS, SnapshotTexts, TextPath, TextPrefixHash, Update, too_many};

use super::{CannotRemove, Denial, Dialect, Reader, RemovalMethod, Removals};
use crate::diag::codes;
use crate::event::{Class, Kind, Part, Usage};
use crate::wire::json::{Edits, JsonBody, JsonText, NodeId, Value};
use crate::wire::sorted_map::SortedMap;
use std::ops::Range;
use std::rc::Rc;

/// Key of a text that arrives in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextKey {
    /// Choice or candidate; 0 if there is one response.
    pub choice: u32,
    /// Part of the choice.
    pub part: Part,
    /// Number of the text among those of the part, assigned by the protocol.
    pub item: u32,
}

/// Key of a call that arrives in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey {
    /// Choice or candidate.
    pub choice: u32,
    /// Number of the call in the choice, assigned by the protocol.
    pub item: u32,
}

impl TextKey {
    /// Returns the key of a block's text, for one message with numbered blocks.
    pub fn block(item: u32, part: Part) -> TextKey {
        TextKey {
            choice: 0,
            part,
            item,
        }
    }

    /// Returns the key of what goes across to a text from the end of the one before.
    pub fn across(self) -> TextKey {
        TextKey {
            item: ACROSS,
            ..self
        }
    }

    /// Returns whether this is the key of what goes across.
    pub fn is_across(self) -> bool {
        self.item == ACROSS
    }
}

impl CallKey {
    /// Returns the key of a block's call, for one message with numbered blocks.
    pub fn block(item: u32) -> CallKey {
        CallKey { choice: 0, item }
    }
}

/// Content that a frame adds to something that began earlier or continues later. Places are strings of the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// A piece of text.
    Text(TextDelta),
    /// The end of a text.
    TextEnd(TextKey),
    /// A piece of a call; `element` is the value of the frame that contains this call and nothing else.
    Call {
        /// Key of the call.
        key: CallKey,
        /// Position in the frame.
        element: NodeId,
        /// Content of the piece.
        what: CallDelta,
    },
    /// The end of these calls, which are evaluated together.
    CallsEnd(Vec<CallKey>),
    /// The end of a text by its protocol. A server that ends the text too early may continue it.
    TextRest(TextKey),
    /// The end of every call of a choice, and of every text as with [`TextRest`](Delta::TextRest). `None`: the final
    /// end of every text and every call.
    End(Option<u32>),
}

/// Number of the text that the tokens of a choice are together, beside its other texts.
pub const TOKENS: u32 = u32::MAX;

/// Number of the text that goes across from the end of one to the beginning of the next.
const ACROSS: u32 = u32::MAX - 1;

/// Piece of a text in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextDelta {
    /// Key of the text.
    pub text_key: TextKey,
    /// The string in the frame.
    pub place: NodeId,
    /// Class of the text, which determines whether it may be edited.
    pub class: Class,
    /// Bytes at the beginning of the piece that repeat the end of the text so far. They are all of it if a server
    /// sends the whole text so far with each frame. A text that has ended may be repeated, too, as a whole and with
    /// nothing new.
    pub repeats: usize,
    /// Whether another text has the same content, so that a client's reader does not see it twice.
    pub is_duplicate: bool,
    /// Whether the piece is evaluated by itself, too, so that only what goes across to the pieces before it is of interest.
    pub joins: bool,
    /// Whether its key says what it is, as of a member that nobody knows.
    pub is_named: bool,
}

impl TextDelta {
    /// Returns a piece that repeats nothing.
    pub fn new(text_key: TextKey, place: NodeId, class: Class) -> TextDelta {
        TextDelta {
            text_key,
            place,
            class,
            repeats: 0,
            is_duplicate: false,
            joins: false,
            is_named: false,
        }
    }

    /// Returns a piece of what clients join although each piece is a text of its own.
    pub fn joined(text_key: TextKey, place: NodeId, class: Class) -> TextDelta {
        TextDelta {
            is_duplicate: true,
            joins: true,
            ..TextDelta::new(text_key, place, class)
        }
    }
}

/// Content of a piece of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallDelta {
    /// The beginning of the call.
    Begin {
        /// Whether the provider runs the call, so that it has already run.
        provider_run: bool,
    },
    /// The name of the tool, or more of it.
    Name(NodeId),
    /// The name of the tool, if no value of the frame is exactly the name.
    Named(Box<str>),
    /// Another name of the tool.
    Alias(NodeId),
    /// More of its arguments, JSON in a string; or all of them, as a value.
    Arguments(NodeId),
    /// More of its only argument, which has this name.
    Argument(&'static str, NodeId),
    /// One of its arguments, or more of one: its path in the arguments, and its extent.
    At(Box<[ArgumentStep]>, NodeId, Extent),
    /// More of its input, free text.
    Input(NodeId),
    /// A copy of the name at another position in the same frame.
    NameAgain(NodeId),
    /// A copy of [`Arguments`](CallDelta::Arguments) or [`Input`](CallDelta::Input) at another position in the same
    /// frame.
    ArgumentsAgain(NodeId),
    /// A copy of all its arguments or its whole input. The call may have ended.
    ArgumentsWhole(NodeId),
}

impl CallDelta {
    /// Beginning of a call of the client's tools.
    pub const BEGIN: CallDelta = CallDelta::Begin {
        provider_run: false,
    };
}

/// Step of the path to an argument.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArgumentStep {
    /// Into an element of a list.
    Index(usize),
    /// Into a member of an object.
    Name(Box<str>),
}

/// Extent of an argument that a value contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// More of the argument, which may continue.
    Part,
    /// The last part of the argument, or all of it at once.
    Last,
    /// All of the argument, repeated if part of it has arrived.
    Whole,
    /// The whole argument is `null`; the value at this place is ignored.
    Null,
}

/// Ordering groups (lanes) of a frame: two frames that share a lane are forwarded in the order of arrival. No lane:
/// those of the frame before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderingGroups(pub u64);

impl OrderingGroups {
    /// All lanes: in order with every other frame that has a lane.
    pub const ALL: OrderingGroups = OrderingGroups(u64::MAX);

    /// Returns the lane of a number. Numbers above 62 share the last lane.
    pub fn of(number: u32) -> OrderingGroups {
        OrderingGroups(1u64.checked_shl(number.min(63)).unwrap_or(1))
    }

    /// Returns the union of two sets of lanes.
    pub fn and(self, other: OrderingGroups) -> OrderingGroups {
        OrderingGroups(self.0 | other.0)
    }
}

/// Results of reading a frame, in addition to its [`Reading`](crate::event::Reading).
#[derive(Clone, Debug, Default)]
pub struct FrameReading {
    /// Frames that this one must not overtake.
    pub lanes: OrderingGroups,
    /// Content that continues in other frames, in the order of the bytes.
    pub pieces: Vec<Delta>,
    /// Whether the response is complete: nothing meaningful follows.
    pub last: bool,
    /// Whether the frame can be delayed: it begins the response, or the model thinks or calls. At the beginning of a
    /// response such frames may wait for each other.
    pub quiet: bool,
    /// Tokens that the service around the model has counted.
    pub metered: Usage,
    /// Data that the correction of the frame needs again.
    pub mark: FrameMark,
}

/// Payload that ends a stream of OpenAI's events, and those of APIs that follow OpenAI.
pub const DONE: &[u8] = b"[DONE]";

/// Returns whether a payload is [`DONE`].
pub fn is_done(payload: &[u8]) -> bool {
    payload.trim_ascii() == DONE
}

/// Frame that is held back and can still be changed.
#[derive(Debug)]
pub struct HeldFrame {
    /// Payload; `None` for an end mark that is not JSON.
    pub json: Option<JsonBody<'static>>,
    /// Data from reading the frame.
    pub mark: FrameMark,
    /// Changes to the payload.
    pub edits: Edits,
    /// Whether the frame is not forwarded.
    pub dropped: bool,
    /// Frames to send before it.
    pub before: Vec<SyntheticFrame>,
    /// Frames to send after it.
    pub after: Vec<SyntheticFrame>,
}

impl HeldFrame {
    /// Returns a frame without changes.
    pub fn of(json: Option<JsonBody<'static>>) -> HeldFrame {
        HeldFrame {
            json,
            mark: FrameMark::default(),
            edits: Edits::default(),
            dropped: false,
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    /// Returns the payload as JSON.
    pub fn body(&self) -> Option<Rc<JsonText<'static>>> {
        self.json.as_ref()?.body()
    }
}

/// Frame that the filter creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticFrame {
    /// Name of the event, if the framing has names.
    pub event: Option<&'static str>,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Whether the frame is an error in the framing itself.
    pub is_exception: bool,
}

impl SyntheticFrame {
    /// Returns the event `error` in a dialect.
    pub fn error(dialect: Dialect, denial: &Denial) -> SyntheticFrame {
        SyntheticFrame::new(Some("error"), dialect.body(denial))
    }

    /// Returns an event in a dialect whose own member says that it is an error: `{"type":"error","error":{…}}`.
    pub fn typed_error(
        event: Option<&'static str>,
        member: &str,
        dialect: Dialect,
        denial: &Denial,
    ) -> SyntheticFrame {
        let mut payload = format!(r#"{{"{member}":"error","#).into_bytes();
        payload.extend_from_slice(dialect.body(denial).get(1..).unwrap_or_default());
        SyntheticFrame::new(event, payload)
    }

    /// Returns a frame with this name and payload.
    pub fn new(event: Option<&'static str>, payload: Vec<u8>) -> SyntheticFrame {
        SyntheticFrame {
            event,
            payload,
            is_exception: false,
        }
    }
}

/// Evaluated call.
#[derive(Clone, Debug)]
pub struct EvaluatedCall {
    /// Key of the call.
    pub key: CallKey,
    /// Pieces of the call: the number of the frame, and the value in it that contains this call alone.
    pub pieces: Vec<(u64, NodeId)>,
    /// Text for the client in place of a denied call.
    pub denied: Option<String>,
}

/// Frames that are held back.
pub trait HeldFrames {
    /// Returns a frame by its number, if it is still held.
    fn get(&mut self, number: u64) -> Option<&mut HeldFrame>;
}

/// Replacements so far in each text.
pub type ChangesByText = SortedMap<TextKey, TextChanges>;

/// Replacements so far in a text, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextChanges {
    list: Vec<TextChange>,
}

/// Replacement in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextChange {
    /// Replaced bytes.
    pub bytes: Range<usize>,
    /// Replaced characters.
    characters: Range<u64>,
    /// Replacement.
    pub with: String,
    /// Start of the replacement, in characters of the changed text.
    start: u64,
}

impl TextChange {
    /// Returns the end of the replacement, in characters of the changed text.
    fn end(&self) -> u64 {
        let length = u64::try_from(self.with.chars().count()).unwrap_or(u64::MAX);
        self.start.saturating_add(length)
    }
}

impl TextChanges {
    /// Adds a change after the existing ones.
    pub fn add(&mut self, bytes: Range<usize>, characters: Range<u64>, with: String) {
        let start = self.moved(characters.start, true);
        self.list.push(TextChange {
            bytes,
            characters,
            with,
            start,
        });
    }

    /// Forgets the changes, for a text that takes the place of another one.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Returns the changes in these bytes, without those that only touch them from outside.
    pub fn within(&self, bytes: Range<usize>) -> impl Iterator<Item = &TextChange> {
        let first = self
            .list
            .partition_point(|change| change.bytes.end <= bytes.start);
        let changes = self.list.get(first..).unwrap_or_default().iter();
        changes.take_while(move |change| change.bytes.start < bytes.end)
    }

    /// Returns whether any of these characters was changed.
    pub fn touch(&self, characters: Range<u64>) -> bool {
        let next = self
            .list
            .partition_point(|change| change.characters.end <= characters.start);
        self.list
            .get(next)
            .is_some_and(|change| change.characters.start < characters.end)
    }

    /// Returns a character index after the changes. An index inside a changed part moves to its edge.
    pub fn moved(&self, at: u64, is_end: bool) -> u64 {
        let next = self
            .list
            .partition_point(|change| change.characters.start < at);
        match next.checked_sub(1).and_then(|last| self.list.get(last)) {
            None => at,
            Some(change) if change.characters.end <= at => change
                .end()
                .saturating_add(at.saturating_sub(change.characters.end)),
            Some(change) if is_end => change.end(),
            Some(change) => change.start,
        }
    }
}

/// Reader of the frames of one response.
pub trait StreamReader {
    /// Reads one frame from the root of its payload. Texts whose [`Origin`](super::Origin) contains a number (`piece_of`) become pieces.
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, event: Option<&str>);

    /// Notifies the reader that the last frame was evaluated and not denied.
    fn passed(&mut self) {}

    /// Returns whether a payload that is not JSON ends the response: `[DONE]`.
    fn is_end(&self, _payload: &[u8]) -> bool {
        false
    }

    /// Returns whether payloads may be other than JSON, with JSON inside or in their place.
    fn wraps(&self) -> bool {
        false
    }

    /// Returns the JSON in a frame's payload, or in its place.
    fn unwrap(&self, payload: &[u8]) -> Option<Vec<u8>> {
        Some(payload.to_vec())
    }

    /// Returns the payload of a frame with other JSON in it; `original` is `None` for a frame that the filter
    /// creates.
    fn wrap(&self, _original: Option<&[u8]>, json: Vec<u8>) -> Vec<u8> {
        json
    }

    /// Returns the name of a created frame in the surrounding framing.
    fn name_of(&self, made: &SyntheticFrame) -> Option<&'static str> {
        made.event
    }

    /// Returns whether clients show its texts one after the other, as one.
    fn shows_texts_as_one(&self) -> bool {
        true
    }

    /// Returns the position of a text that arrives in pieces, for people and audit events: `#choice/0`.
    fn text_at(&self, _channel: &TextKey) -> String {
        String::new()
    }

    /// Returns the position of a call that arrives in pieces.
    fn call_at(&self, _key: &CallKey) -> String {
        String::new()
    }

    /// Returns the effect on the stream if an event of this kind is denied that is complete in the last frame.
    fn removal(&self, kind: Kind) -> RemovalMethod {
        match kind {
            Kind::ToolCall => RemovalMethod::Call,
            _ => RemovalMethod::Whole,
        }
    }

    /// Returns whether an unreadable frame may be dropped and the stream continue, because the client does not depend
    /// on it.
    fn can_skip(&self) -> bool {
        false
    }

    /// Removes denied calls that arrived in pieces from their frames. `calls` ended together in the frame `end`. The
    /// remaining calls may need other numbers.
    ///
    /// # Errors
    /// If that is impossible; the stream is then denied.
    fn remove_calls(
        &mut self,
        _calls: &[EvaluatedCall],
        _end: u64,
        _frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        Err(CannotRemove)
    }

    /// Removes denied content that is complete in one frame.
    ///
    /// # Errors
    /// If that is impossible; the stream is then denied.
    fn remove_from_response(
        &mut self,
        _frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        removals.only_edits()
    }

    /// Returns whether the reader must see every frame before it is sent, because frames have numbers.
    fn counts_frames(&self) -> bool {
        false
    }

    /// Corrects members of a frame that depend on changes: copies of edited texts, offsets into them, the finish
    /// reason. Called before a frame is sent, once anything in the response was changed.
    fn correct(&mut self, _frame: &mut HeldFrame, _changes: &ChangesByText) {}

    /// Returns the frames that end the response with a denial, or with an error. The result is empty if no client
    /// would read them: the connection is then closed.
    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame>;

    /// Returns bytes or a frame that may be sent at any time and have no meaning.
    fn keep_alive(&self) -> Option<KeepAlive> {
        None
    }
}

/// Keep-alive of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// Raw bytes: an SSE comment, white space.
    Bytes(&'static [u8]),
    /// A frame.
    Frame(SyntheticFrame),
}

impl KeepAlive {
    /// SSE comment, which is valid anywhere in a stream.
    pub const COMMENT: KeepAlive = KeepAlive::Bytes(b": keep-alive\n\n");

    /// Returns Anthropic's event `ping`.
    pub fn ping() -> KeepAlive {
        let ping = br#"{"type": "ping"}"#.to_vec();
        KeepAlive::Frame(SyntheticFrame::new(Some("ping"), ping))
    }
}

impl Reader<'_> {
    /// Reads the `type` of an event. In framings with names, the name repeats the type. Some clients read one, some
    /// the other.
    pub fn event_type(&mut self, name: Option<&str>) -> String {
        let Some(body) = self.body() else {
            return String::new();
        };
        let root = body.root();
        let Some(kind) = root.get("type") else {
            return name.unwrap_or_default().to_owned();
        };
        let text = kind.text().unwrap_or_default().into_owned();
        if name.is_some_and(|name| name != text && name != "message") {
            let what = "an event whose name is not its type";
            self.problem(codes::AG2014, kind, what);
        }
        text
    }

    /// Adds a piece to the frame.
    #[inline(never)]
    pub fn piece(&mut self, piece: Delta) {
        self.frame.pieces.push(piece);
    }
}
