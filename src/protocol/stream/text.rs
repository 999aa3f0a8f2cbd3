//! State machine for streamed responses without calls: each event adds to a text, repeats all of it, or contains a
//! medium.
//!
//! A [`TextSpec`] for each API reads an event and defines the text that a string in it belongs to.
//!
//! | API | event |
//! |---|---|
//! | Anthropic's text completions | `{"type":"completion","completion":" Rain","stop_reason":null}` |
//! | OpenAI's transcripts | `{"type":"transcript.text.delta","delta":"Rain"}` |
//! | OpenAI's images | `{"type":"image_generation.completed","b64_json":"iVBORw=="}` |
//! | SGLang | `{"text":"Rain to","meta_info":{"id":"1","finish_reason":null}}` |
//! | Titan | `{"outputText":"Rain","index":0,"completionReason":null}` |

use super::{
    ChangesByText, HeldFrame, KeepAlive, OrderingGroups, SnapshotTexts, StreamReader,
    SyntheticFrame, TextDelta, TextKey, Update, is_done,
};
use crate::protocol::reader::{Origin, Reader};
use crate::protocol::{CannotRemove, Denial, Dialect, Removals, RequestContext};
use crate::wire::json::{Edits, Value};

/// Text of its choice that a string in an event belongs to, and whether the string repeats it.
type UpdateOf = fn(Value<'_>, &TextDelta) -> (u32, Update);

/// Specification of an API for the state machine.
pub(in crate::protocol) struct TextSpec {
    /// Lanes of every event.
    pub lanes: OrderingGroups,
    /// Choice of an event.
    pub choice: fn(Value<'_>) -> u32,
    /// Reads an event, with the name that the framing gives it. Texts of this origin continue in other events.
    pub read: fn(&mut TextStream, &mut Reader<'static>, Value<'_>, Option<&str>, &Origin),
    /// Returns which text of its choice a string belongs to, and whether it repeats the text. Without this function
    /// each member of an event is a text, which the same member of the next event continues.
    pub update: Option<UpdateOf>,
    /// Whether an event ends the texts of its choice.
    pub ends: fn(Value<'_>) -> bool,
    /// Position of a text in audit events, from its key and its number in its choice.
    pub text_at: fn(&TextKey, Option<u32>) -> String,
    /// Whether `[DONE]` ends the stream.
    pub has_done: bool,
    /// Removes content that is complete in one event.
    pub remove: fn(Value<'_>, &Removals, &mut Edits) -> Result<(), CannotRemove>,
    /// Removes the members of an edited event that repeat its text.
    pub remove_copies: fn(Value<'_>, &mut Edits),
    /// Frames of a denied text, for an API that can express a denial as text.
    pub denied: Option<fn(&TextStream, &Denial) -> Vec<SyntheticFrame>>,
    /// Frame of an error.
    pub error: fn(&Denial) -> SyntheticFrame,
    /// Keep-alive of a silent connection.
    pub keep_alive: fn() -> Option<KeepAlive>,
}

impl TextSpec {
    /// Members that OpenAI's APIs share. A denial is an error, because these texts are not a model's own words.
    pub const OPENAI: TextSpec = TextSpec {
        lanes: OrderingGroups::ALL,
        choice: |_| 0,
        read: |_, _, _, _, _| {},
        update: None,
        ends: |_| false,
        text_at: |_, _| String::new(),
        has_done: true,
        remove: |_, removals, _| removals.only_edits(),
        remove_copies: |_, _| {},
        denied: None,
        error: |denial| SyntheticFrame::error(Dialect::OpenAi, denial),
        keep_alive: || Some(KeepAlive::COMMENT),
    };
}

/// Streamed response of texts.
pub(in crate::protocol) struct TextStream {
    spec: &'static TextSpec,
    texts: SnapshotTexts,
    /// Id and model that a denial repeats.
    pub id: String,
    pub model: String,
    /// Member with the text of a whole response, which determines the form of a denial.
    pub member: &'static str,
    /// Whether a medium that cannot be inspected was reported.
    pub has_media: bool,
}

impl TextStream {
    pub fn new(spec: &'static TextSpec, context: &RequestContext) -> TextStream {
        let model = context.models.names.first();
        TextStream {
            spec,
            texts: SnapshotTexts::default(),
            id: "agentguard".to_owned(),
            model: model.map_or_else(|| "unknown".to_owned(), |model| model.to_string()),
            member: "",
            has_media: false,
        }
    }
}

impl StreamReader for TextStream {
    fn read(&mut self, reader: &mut Reader<'static>, event: Value<'_>, name: Option<&str>) {
        reader.frame.lanes = self.spec.lanes;
        let choice = (self.spec.choice)(event);
        let first = reader.frame.pieces.len();
        (self.spec.read)(self, reader, event, name, &Origin::piece_in(choice, 0));
        let Some(update) = self.spec.update else {
            return;
        };
        self.texts.assign(reader, first, &mut |piece| {
            let (number, update) = update(event, piece);
            ([choice, number, 0], update)
        });
        if (self.spec.ends)(event) {
            self.texts.end(reader, &|[of, ..]| of == choice);
        }
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        self.spec.has_done && is_done(payload)
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        let path = self.texts.path(text_key);
        (self.spec.text_at)(text_key, path.map(|[_, number, _]| number))
    }

    fn remove_from_response(
        &mut self,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        let body = frame.body().ok_or(CannotRemove)?;
        (self.spec.remove)(body.root(), removals, &mut frame.edits)
    }

    fn correct(&mut self, frame: &mut HeldFrame, _: &ChangesByText) {
        if let Some(body) = frame.body().filter(|_| !frame.edits.is_empty()) {
            (self.spec.remove_copies)(body.root(), &mut frame.edits);
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        match self.spec.denied.filter(|_| !as_error) {
            Some(denied) => denied(self, denial),
            None => vec![(self.spec.error)(denial)],
        }
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        (self.spec.keep_alive)()
    }
}
