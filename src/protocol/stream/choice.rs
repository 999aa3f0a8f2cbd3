//! State machine for streamed responses in choices (candidates): each frame adds to some of them.
//!
//! | API | frame |
//! |---|---|
//! | OpenAI | `{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"Rain"},"finish_reason":null}]}` |
//! | Gemini | `{"candidates":[{"index":0,"content":{"parts":[{"text":"Rain"}],"role":"model"}}]}` |
//! | Ollama | `{"model":"llama3.2","message":{"role":"assistant","content":"Rain"},"done":false}` |
//!
//! A [`ChoiceFormat`] for each API declares its frames, and reads and corrects one choice. Frames of one choice stay
//! in order, frames of different choices may overtake each other, and a frame without a choice stays in order with
//! all others.

use super::{
    CallKey, ChangesByText, EvaluatedCall, HeldFrame, HeldFrames, KeepAlive, OrderingGroups,
    StreamReader, SyntheticFrame, TextKey, UnknownTexts, is_done, too_many,
};
use crate::diag::codes;
use crate::event::Part;
use crate::protocol::json_edit::{choice_number, choices, raw_members};
use crate::protocol::reader::{Origin, Reader, Row};
use crate::protocol::{CannotRemove, Denial, Removals, RequestContext};
use crate::wire::json::{Edits, Value};
use crate::wire::sorted_map::SortedMap;

/// Maximum choices of a response: eight times those that a request to OpenAI may ask for. What is removed from one is looked
/// for in all.
const MAX_CHOICES: usize = 1_024;

/// Declaration of an API for the state machine.
pub(in crate::protocol) struct ChoiceSpec {
    /// Members of a frame.
    pub frame: &'static [&'static [Row]],
    /// Origin of the texts in a frame outside of its choices.
    pub origin: fn() -> Origin,
    /// Whether keys have two spellings, as in all of Google's JSON.
    pub proto_json: bool,
    /// Member with the choices; `None` if a frame is the only choice.
    pub list: Option<&'static str>,
    /// Member that contains a frame, where servers wrap it.
    pub envelope: Option<&'static str>,
    /// Members that the frames of the filter repeat, as the first frame contained them.
    pub common: &'static [&'static str],
    /// Name of a choice in audit events.
    pub place: &'static str,
    /// Whether `[DONE]` ends the stream.
    pub has_done: bool,
    /// Whether frames are numbered, so that each is corrected once anything was changed.
    pub counts_frames: bool,
    /// Frame of an error.
    pub error: fn(&Denial) -> SyntheticFrame,
}

/// Frame whose choices are corrected.
pub(in crate::protocol) struct CorrectedFrame<'f> {
    /// Whether content of the frame was changed.
    pub is_edited: bool,
    pub edits: &'f mut Edits,
    /// Changes so far in the texts of the response.
    pub changes: &'f ChangesByText,
}

/// Reader of the choices of an API.
pub(in crate::protocol) trait ChoiceFormat: Sized {
    /// Choice so far.
    type Choice: Default;
    /// Declaration of the API.
    const SPEC: ChoiceSpec;

    /// Returns the member that contains a frame in this response.
    fn envelope(_: &ChoiceStream<Self>) -> Option<&'static str> {
        Self::SPEC.envelope
    }

    /// Returns the frame of an error in this response.
    fn error(_: &ChoiceStream<Self>, denial: &Denial) -> SyntheticFrame {
        (Self::SPEC.error)(denial)
    }

    /// Notes the beginning of a frame.
    fn begin(_: &mut ChoiceStream<Self>, _: &mut Reader<'static>, _: Value<'_>) {}

    /// Reads a custom member of a frame other than the list of choices.
    fn member(
        _: &mut ChoiceStream<Self>,
        _: &mut Reader<'static>,
        _key: &'static str,
        _: Value<'_>,
    ) {
    }

    /// Reads an element of the list of choices.
    fn choice(_: &mut ChoiceStream<Self>, _: &mut Reader<'static>, _: Value<'_>, _: u32) {}

    /// Returns the position of a call in its choice.
    fn call_at(key: &CallKey) -> String;

    /// Removes denied calls that arrived in pieces, as [`StreamReader::remove_calls`].
    fn remove_calls(
        _: &mut ChoiceStream<Self>,
        _calls: &[EvaluatedCall],
        _end: u64,
        _frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        Err(CannotRemove)
    }

    /// Removes denied content that is complete in one frame.
    fn remove(
        stream: &mut ChoiceStream<Self>,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove>;

    /// Corrects a choice in a frame after changes: copies of its texts, offsets into them, numbers of its calls.
    fn correct(
        stream: &mut ChoiceStream<Self>,
        choice: (u32, Value<'_>),
        frame: &mut CorrectedFrame<'_>,
    );

    /// Returns the frames that end the response with a denial.
    fn denied(stream: &ChoiceStream<Self>, denial: &Denial) -> Vec<SyntheticFrame>;

    /// Returns the keep-alive of a silent connection.
    fn keep_alive(_: &ChoiceStream<Self>) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}

/// Streamed response in choices.
pub(in crate::protocol) struct ChoiceStream<F: ChoiceFormat> {
    pub context: RequestContext,
    /// State of the format beyond its choices.
    pub format: F,
    pub choices: SortedMap<u32, F::Choice>,
    /// Members that the frames of the filter repeat.
    pub common: Option<Vec<u8>>,
    /// Texts in unknown members.
    pub unknown: UnknownTexts,
}

impl<F: ChoiceFormat> ChoiceStream<F> {
    pub fn new(context: &RequestContext, format: F) -> Self {
        ChoiceStream {
            context: context.clone(),
            format,
            choices: SortedMap::new(),
            common: None,
            unknown: UnknownTexts::default(),
        }
    }

    /// Returns the frame inside of its envelope; one without an envelope is itself.
    pub fn frame_in<'v>(&self, root: Value<'v>) -> Value<'v> {
        let inside = F::envelope(self).and_then(|name| root.get(name));
        inside.unwrap_or(root)
    }

    /// Returns a choice so far.
    pub fn state(&mut self, number: u32) -> &mut F::Choice {
        self.choices.entry(number).or_default()
    }

    /// Returns the numbers of these choices, or 0 if no choice has begun: a denial answers each of them.
    pub fn numbers(&self, which: impl Fn(&F::Choice) -> bool) -> Vec<u32> {
        let chosen = self.choices.iter().filter(|(_, choice)| which(choice));
        let mut numbers: Vec<u32> = chosen.map(|(number, _)| *number).collect();
        if self.choices.is_empty() {
            numbers.push(0);
        }
        numbers
    }
}

impl<F: ChoiceFormat> ChoiceStream<F> {
    /// Reads the members of a frame, and notes the choices that they belong to.
    fn members(
        &mut self,
        reader: &mut Reader<'static>,
        frame: Value<'_>,
        lanes: &mut OrderingGroups,
    ) {
        let spec = &F::SPEC;
        let origin = (spec.origin)();
        let envelope = F::envelope(self);
        reader.row_lists(frame, spec.frame, &origin, &mut |reader, key, value| {
            if Some(key) == envelope {
                self.members(reader, value, lanes);
                return;
            }
            if Some(key) != spec.list {
                F::member(self, reader, key, value);
                return;
            }
            let mut at = 0usize;
            reader.array(value, |reader, choice| {
                let number = choice_number(choice, at);
                F::choice(self, reader, choice, number);
                *lanes = lanes.and(OrderingGroups::of(number));
                at = at.saturating_add(1);
            });
        });
    }
}

impl<F: ChoiceFormat> StreamReader for ChoiceStream<F> {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, _: Option<&str>) {
        let spec = &F::SPEC;
        reader.proto_json = spec.proto_json;
        if self.common.is_none() {
            self.common = Some(raw_members(root, spec.common));
        }
        if root.elements().any(|event| event.get("error").is_none()) {
            reader.problem(codes::AG2014, root, "a list of events in one");
        }
        F::begin(self, reader, root);
        let mut lanes = OrderingGroups::default();
        self.members(reader, root, &mut lanes);
        if self.choices.len() > MAX_CHOICES {
            too_many(reader);
        }
        reader.frame.lanes = match lanes == OrderingGroups::default() {
            true => OrderingGroups::ALL,
            false => lanes,
        };
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        F::SPEC.has_done && is_done(payload)
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        let TextKey { choice, part, .. } = text_key;
        match (F::SPEC.list, part) {
            (None, part) => format!("#{}", part.word()),
            (_, Part::Text) => format!("#{}/{choice}", F::SPEC.place),
            (_, part) => format!("#{}/{choice}/{}", F::SPEC.place, part.word()),
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        match F::SPEC.list {
            Some(_) => format!("#{}/{}/{}", F::SPEC.place, key.choice, F::call_at(key)),
            None => format!("#{}", F::call_at(key)),
        }
    }

    fn remove_calls(
        &mut self,
        calls: &[EvaluatedCall],
        end: u64,
        frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        F::remove_calls(self, calls, end, frames)
    }

    fn remove_from_response(
        &mut self,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        F::remove(self, frame, removals)
    }

    fn counts_frames(&self) -> bool {
        F::SPEC.counts_frames
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        let Some(body) = frame.body() else { return };
        let root = body.root();
        let is_edited = !frame.edits.is_empty();
        let corrected = &mut CorrectedFrame {
            is_edited,
            edits: &mut frame.edits,
            changes,
        };
        let root = self.frame_in(root);
        match F::SPEC.list {
            Some(list) => {
                choices(root, list).for_each(|choice| F::correct(self, choice, corrected))
            }
            None => F::correct(self, (0, root), corrected),
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        match as_error {
            true => vec![F::error(self, denial)],
            false => F::denied(self, denial),
        }
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        F::keep_alive(self)
    }
}
