//! Answers that arrive in frames. A protocol reads one frame at a time, with the same code that reads whole responses; texts
//! and calls that go on in later frames are told as [`Piece`]s. It also knows how a call disappears from its frames, how
//! a response ends as a refusal, and what keeps a silent connection alive.

mod block;
mod deltas;
mod texts;

pub(super) use block::{BlockEvent, BlockSpec, BlockStream, KindIn};
pub use deltas::{FrameEvent, FrameMark, TextRun, UnknownTexts};
pub use texts::{MAX_TEXTS, SnapshotTexts, TextPath, TextPrefixHash, Update, too_many};

use super::{CannotRemove, Denial, Dialect, Reader, RemovalMethod, Removals};
use crate::diag::codes;
use crate::event::{Class, Kind, Part, Usage};
use crate::wire::json::{Edits, JsonBody, JsonText, NodeId, Value};
use crate::wire::sorted_map::SortedMap;
use std::ops::Range;
use std::rc::Rc;

/// A text of a response that arrives in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextKey {
    /// Choice or candidate; 0 where there is one response.
    pub choice: u32,
    /// Which part of it.
    pub part: Part,
    /// Which of several texts of that part; the protocol numbers them.
    pub item: u32,
}

/// A call of a response that arrives in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey {
    /// Choice or candidate.
    pub choice: u32,
    /// Which of its calls; the protocol numbers them.
    pub item: u32,
}

impl TextKey {
    /// The text of a block, where there is one message with numbered blocks.
    pub fn block(item: u32, part: Part) -> TextKey {
        TextKey {
            choice: 0,
            part,
            item,
        }
    }
}

impl CallKey {
    /// The call in a block, where there is one message with numbered blocks.
    pub fn block(item: u32) -> CallKey {
        CallKey { choice: 0, item }
    }
}

/// What a frame adds to something that began before or goes on after it. Places are strings of the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// Text.
    Text(TextDelta),
    /// A text has ended.
    TextEnd(TextKey),
    /// A call: `element` is the value of the frame that is about it, and nothing else.
    Call {
        /// Of which call.
        key: CallKey,
        /// Where in the frame.
        element: NodeId,
        /// What is said of it.
        what: CallDelta,
    },
    /// These calls are complete, and evaluated together.
    CallsEnd(Vec<CallKey>),
    /// A text has ended as far as its protocol says; a server that says so too early goes on with it.
    TextRest(TextKey),
    /// Every call of a choice has ended, and every text as with [`TextRest`](Piece::TextRest); or with `None` every text and
    /// every call for good.
    End(Option<u32>),
}

/// What a frame adds to a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextDelta {
    /// Which text.
    pub channel: TextKey,
    /// The string.
    pub place: NodeId,
    /// Whether it may be edited.
    pub class: Class,
    /// How many bytes at its beginning repeat the end of what came before: all of that, where a server sends the text so
    /// far with each frame. A text that has ended may be repeated too, as a whole and with nothing new.
    pub repeats: usize,
    /// Another text says the same: not told twice to a reader.
    pub retold: bool,
}

impl TextDelta {
    /// A piece that repeats nothing.
    pub fn new(channel: TextKey, place: NodeId, class: Class) -> TextDelta {
        TextDelta {
            channel,
            place,
            class,
            repeats: 0,
            retold: false,
        }
    }
}

/// What a frame says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallDelta {
    /// That it is there.
    Begin {
        /// The provider runs it, so that it has happened.
        provider_run: bool,
    },
    /// The tool, or more of its name.
    Name(NodeId),
    /// The tool, where no value of the frame is its name and nothing else.
    Named(Box<str>),
    /// Another name of the tool.
    Alias(NodeId),
    /// More of its arguments, JSON in a string; or all of them, as they are.
    Arguments(NodeId),
    /// More of its only argument, which has this name.
    Argument(&'static str, NodeId),
    /// One of its arguments, or more of one: where it belongs in them, and how much of it this is.
    At(Box<[ArgumentStep]>, NodeId, Extent),
    /// More of its input, free text.
    Input(NodeId),
    /// The name in another place of the same frame.
    NameAgain(NodeId),
    /// What [`Arguments`](CallPiece::Arguments) or [`Input`](CallPiece::Input) said, in another place of the same frame.
    ArgumentsAgain(NodeId),
    /// All that was said of its arguments or its input, once more. The call may have ended.
    ArgumentsWhole(NodeId),
}

/// A step on the way to an argument.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArgumentStep {
    /// Into an element of a list.
    Index(usize),
    /// Into a member of an object.
    Name(Box<str>),
}

/// How much of an argument a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// More of it; it may go on.
    Part,
    /// The last of it, or all of it at once.
    Last,
    /// All of it, once more if some of it was said.
    Whole,
    /// All of it, which is `null`, whatever the value itself is.
    Null,
}

/// In which order frames have to stay: two that share a lane leave in the order in which they came. No lane: those of the
/// frame before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderingGroups(pub u64);

impl OrderingGroups {
    /// In order with every other frame that has a lane.
    pub const ALL: OrderingGroups = OrderingGroups(u64::MAX);

    /// The lane of a number. Numbers above 62 share the last.
    pub fn of(number: u32) -> OrderingGroups {
        OrderingGroups(1u64.checked_shl(number.min(63)).unwrap_or(1))
    }

    /// These lanes and those.
    pub fn and(self, other: OrderingGroups) -> OrderingGroups {
        OrderingGroups(self.0 | other.0)
    }
}

/// What a frame says beside what its [`Reading`](crate::event::Reading) tells.
#[derive(Clone, Debug, Default)]
pub struct FrameReading {
    /// Which frames it must not overtake.
    pub lanes: OrderingGroups,
    /// What goes on in other frames, in the order of the bytes.
    pub pieces: Vec<Delta>,
    /// The response is complete; nothing with a meaning follows.
    pub last: bool,
    /// Nobody waits for what it says: the response begins, the model thinks or calls. At the beginning of a response such
    /// frames may wait for each other.
    pub quiet: bool,
    /// Tokens that the service around the model has counted.
    pub metered: Usage,
    /// What of it is needed again when it is corrected.
    pub mark: FrameMark,
}

/// What ends a stream of events at OpenAI, and at those who take after it.
pub const DONE: &[u8] = b"[DONE]";

/// Whether a payload is that.
pub fn is_done(payload: &[u8]) -> bool {
    payload.trim_ascii() == DONE
}

/// A frame that is held back, while it can still be changed.
#[derive(Debug)]
pub struct HeldFrame {
    /// Its payload; absent for a mark that is no JSON.
    pub json: Option<JsonBody<'static>>,
    /// What was found in it when it was read.
    pub mark: FrameMark,
    /// Changes of it.
    pub edits: Edits,
    /// It is not sent at all.
    pub dropped: bool,
    /// Frames that are sent before it.
    pub before: Vec<SyntheticFrame>,
    /// Frames that are sent after it.
    pub after: Vec<SyntheticFrame>,
}

impl HeldFrame {
    /// A frame of which nothing is changed yet.
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

    /// Its payload as JSON.
    pub fn body(&self) -> Option<Rc<JsonText<'static>>> {
        self.json.as_ref()?.body()
    }
}

/// A frame of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticFrame {
    /// Its name, where the framing has names.
    pub event: Option<&'static str>,
    /// Its payload.
    pub payload: Vec<u8>,
    /// It reports an error in a way that the framing itself knows.
    pub is_exception: bool,
}

impl SyntheticFrame {
    /// The event `error`, in a dialect.
    pub fn error(dialect: Dialect, denial: &Denial) -> SyntheticFrame {
        SyntheticFrame::new(Some("error"), dialect.body(denial))
    }

    /// A frame.
    pub fn new(event: Option<&'static str>, payload: Vec<u8>) -> SyntheticFrame {
        SyntheticFrame {
            event,
            payload,
            is_exception: false,
        }
    }
}

/// A call that was evaluated.
#[derive(Clone, Debug)]
pub struct EvaluatedCall {
    /// Which.
    pub key: CallKey,
    /// Its pieces: number of the frame, and the value in it that is about the call alone.
    pub pieces: Vec<(u64, NodeId)>,
    /// For a call that is taken out: what the reader is told instead.
    pub denied: Option<String>,
}

/// The frames that are held back.
pub trait HeldFrames {
    /// A frame by its number, if it is still held.
    fn get(&mut self, number: u64) -> Option<&mut HeldFrame>;
}

/// What was replaced so far in each text.
pub type ChangesByText = SortedMap<TextKey, TextChanges>;

/// What was replaced so far in a text, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextChanges {
    list: Vec<TextChange>,
}

/// One change of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextChange {
    /// Which bytes.
    pub bytes: Range<usize>,
    /// The same as characters.
    characters: Range<u64>,
    /// What takes their place.
    pub with: String,
    /// Where that begins, in characters of the changed text.
    start: u64,
}

impl TextChange {
    /// Where what takes their place ends.
    fn end(&self) -> u64 {
        let length = u64::try_from(self.with.chars().count()).unwrap_or(u64::MAX);
        self.start.saturating_add(length)
    }
}

impl TextChanges {
    /// Adds a change behind those that are there.
    pub fn add(&mut self, bytes: Range<usize>, characters: Range<u64>, with: String) {
        let start = self.moved(characters.start, true);
        self.list.push(TextChange {
            bytes,
            characters,
            with,
            start,
        });
    }

    /// The changes of these bytes, those that only touch them from outside left out.
    pub fn within(&self, bytes: Range<usize>) -> impl Iterator<Item = &TextChange> {
        let first = self
            .list
            .partition_point(|change| change.bytes.end <= bytes.start);
        let changes = self.list.get(first..).unwrap_or_default().iter();
        changes.take_while(move |change| change.bytes.start < bytes.end)
    }

    /// Whether any of these characters was changed.
    pub fn touch(&self, characters: Range<u64>) -> bool {
        let next = self
            .list
            .partition_point(|change| change.characters.end <= characters.start);
        self.list
            .get(next)
            .is_some_and(|change| change.characters.start < characters.end)
    }

    /// Where a character index stands after the changes. An index inside a changed part moves to its edge.
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

/// Reads the frames of one response.
pub trait StreamReader {
    /// Reads one frame. Texts with an [`Origin`](super::Origin) that says which text they are a piece of become pieces.
    fn read(&mut self, reader: &mut Reader<'static>, event: Option<&str>);

    /// The frame that was read last was evaluated, and not refused.
    fn passed(&mut self) {}

    /// Whether a payload that is no JSON ends the response: `[DONE]`.
    fn is_end(&self, _payload: &[u8]) -> bool {
        false
    }

    /// Whether payloads may be something else than JSON, which stands in them or for them.
    fn wraps(&self) -> bool {
        false
    }

    /// The JSON in a frame's payload, or for it.
    fn unwrap(&self, payload: &[u8]) -> Option<Vec<u8>> {
        Some(payload.to_vec())
    }

    /// The payload of a frame with other JSON in it; `original` is absent for a frame of our own.
    fn wrap(&self, _original: Option<&[u8]>, json: Vec<u8>) -> Vec<u8> {
        json
    }

    /// The name that a frame of our own has in the framing around it.
    fn name_of(&self, made: &SyntheticFrame) -> Option<&'static str> {
        made.event
    }

    /// Where a text that arrives in pieces stands, for people and records: `#choice/0`.
    fn text_at(&self, _channel: &TextKey) -> String {
        String::new()
    }

    /// Where a call that arrives in pieces stands.
    fn call_at(&self, _key: &CallKey) -> String {
        String::new()
    }

    /// What becomes of the stream when an event of this kind, which stands whole in the frame that was read last, may not
    /// pass.
    fn removal(&self, kind: Kind) -> RemovalMethod {
        match kind {
            Kind::ToolCall => RemovalMethod::Call,
            _ => RemovalMethod::Whole,
        }
    }

    /// Whether a frame that can't be read may be left out, and the stream go on: nobody waits for what it said.
    fn can_skip(&self) -> bool {
        false
    }

    /// Takes denied calls that arrived in pieces out of their frames. `calls` ended together in the frame `end`; those
    /// that stay may need other numbers.
    ///
    /// # Errors
    /// When that can't be done; the stream is then refused.
    fn remove_calls(
        &mut self,
        _calls: &[EvaluatedCall],
        _end: u64,
        _frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        Err(CannotRemove)
    }

    /// Takes out what stands whole in one frame and may not pass.
    ///
    /// # Errors
    /// When that can't be done; the stream is then refused.
    fn remove_from_response(
        &mut self,
        _frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        removals.only_edits()
    }

    /// Whether it has to see every frame before it is sent, since frames have numbers.
    fn counts_frames(&self) -> bool {
        false
    }

    /// Corrects what in a frame depends on what was changed: copies of edited texts, offsets into them, why the response
    /// ended. Called before a frame is sent, once anything of the response was changed.
    fn correct(&mut self, _frame: &mut HeldFrame, _changes: &ChangesByText) {}

    /// The frames that end the response as a refusal, or as an error. None where they would reach nobody: the connection is
    /// then cut.
    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame>;

    /// What may be sent at any time and means nothing.
    fn keep_alive(&self) -> Option<KeepAlive> {
        None
    }
}

/// What keeps a connection alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// Bytes as they are: an SSE comment, white space.
    Bytes(&'static [u8]),
    /// A frame.
    Frame(SyntheticFrame),
}

impl KeepAlive {
    /// A comment, which SSE takes anywhere.
    pub const COMMENT: KeepAlive = KeepAlive::Bytes(b": keep-alive\n\n");
}

impl Reader<'_> {
    /// The `type` of an event, which its name repeats in framings that have names. Clients go by either.
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

    /// Adds a piece of a call that is a block of the only message; `event` is about the call alone.
    pub fn call_piece(&mut self, event: Value<'_>, block: u32, what: CallDelta) {
        self.piece(Delta::Call {
            key: CallKey::block(block),
            element: event.place(),
            what,
        });
    }

    /// Adds a piece to what the frame says.
    #[inline(never)]
    pub fn piece(&mut self, piece: Delta) {
        self.frame.pieces.push(piece);
    }
}
