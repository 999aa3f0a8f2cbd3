//! Streamed responses of InvokeModel: each frame contains an event of the model's family in base64. The first one shows
//! the family.
//!
//! ```text
//! {"bytes":"eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0=","p":"abcd"}    with {"type":"message_stop"} inside
//! ```

use super::plain_stream::plain_stream;
use super::{ModelFamily, Signs, any_choice, model_of, plain, report_mixture};
use crate::diag::codes;
use crate::protocol::anthropic_shapes::MESSAGE_STREAM;
use crate::protocol::bedrock_shapes::{NOVA_STREAM, exception, read_exception};
use crate::protocol::openai_chat::{ResponseShape, chat_stream};
use crate::protocol::reader::{Reader, is_case_variant, is_tag};
use crate::protocol::stream::{
    BlockStream, CallKey, ChangesByText, DONE, EvaluatedCall, HeldFrame, HeldFrames,
    OrderingGroups, StreamReader, SyntheticFrame, TextKey,
};
use crate::protocol::{CannotRemove, Denial, Removals, RequestContext};
use crate::wire::json::{Edits, JsonBody, Limits, Value, quote};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The name of every frame that is no error.
const CHUNK: &str = "chunk";

/// What can be around an event.
const LIMITS: Limits = Limits { max_depth: 8 };

/// A streamed response.
pub(super) struct InvokeStream {
    context: RequestContext,
    family: Option<ModelFamily>,
    inner: Box<dyn StreamReader>,
}

/// Whose event it is; `None` if it is one of several families.
fn family_of(event: Value<'_>) -> Option<ModelFamily> {
    let begins = |prefix: &str| {
        event
            .members()
            .any(|(key, _)| key.text().is_some_and(|key| key.starts_with(prefix)))
    };
    let is_chunk = |kind: Value<'_>| kind.is_text("chat.completion.chunk");
    let mut signs = Signs {
        // The older form of Claude's events is a plain text.
        claude: event
            .get("type")
            .is_some_and(|kind| !kind.is_text("completion")),
        nova: begins("messageS") || begins("contentBlock"),
        chat: event.get("object").is_some_and(is_chunk)
            || any_choice(event, |choice| {
                choice.get("delta").is_some() || choice.get("message").is_some()
            }),
        calls: event.get("tool_calls").is_some() || event.get("tool_call_delta").is_some(),
    };
    signs.nova |= !signs.claude && !signs.chat && begins("metadata");
    signs.family()
}

/// Returns the family whose event a denial is before any event has come.
fn family_of_model(model: &str) -> ModelFamily {
    if model.contains("anthropic.") {
        ModelFamily::Claude
    } else if model.contains("amazon.nova") {
        ModelFamily::Nova
    } else if plain::member_of(model).is_some() {
        ModelFamily::Plain
    } else {
        ModelFamily::Chat
    }
}

impl InvokeStream {
    pub(super) fn new(context: &RequestContext) -> InvokeStream {
        let family = family_of_model(&model_of(&context.endpoint));
        InvokeStream {
            context: context.clone(),
            family: None,
            inner: reader_of(family, context),
        }
    }
}

fn reader_of(family: ModelFamily, context: &RequestContext) -> Box<dyn StreamReader> {
    match family {
        ModelFamily::Claude => Box::new(BlockStream::new(MESSAGE_STREAM, context)),
        ModelFamily::Nova => Box::new(BlockStream::new(NOVA_STREAM, context)),
        ModelFamily::Chat => Box::new(chat_stream(context, ResponseShape::Chat)),
        ModelFamily::Plain => Box::new(plain_stream(&model_of(&context.endpoint), context)),
    }
}

/// Returns the member with the base64 of an event, if that is what a payload is: `{bytes, p}`. An error is no such
/// object. Go's decoder ignores the case of a key.
fn wrapped(root: Value<'_>) -> Option<(Value<'_>, Value<'_>)> {
    root.members().find(|(key, _)| {
        let key = key.text();
        key.is_some_and(|key| is_case_variant(&key, "bytes"))
    })
}

impl StreamReader for InvokeStream {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, name: Option<&str>) {
        if name != Some(CHUNK) {
            reader.frame.lanes = OrderingGroups::of(0);
            read_exception(reader, root, name);
            return;
        }
        let family = family_of(root).unwrap_or_else(|| report_mixture(reader, root));
        match self.family {
            None => {
                self.family = Some(family);
                self.inner = reader_of(family, &self.context);
            }
            Some(known) if known != family => {
                let what = "an event of another kind than those before";
                reader.problem(codes::AG2014, root, what);
            }
            Some(_) => {}
        }
        self.inner.read(reader, root, None);
        let metrics = root.get("amazon-bedrock-invocationMetrics");
        let count = |name: &str| metrics.and_then(|metrics| metrics.get(name)?.as_u64());
        reader.frame.metered.input_tokens = count("inputTokenCount");
        reader.frame.metered.output_tokens = count("outputTokenCount");
    }

    fn wraps(&self) -> bool {
        true
    }

    fn unwrap(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let json = JsonBody::scan(payload, LIMITS, 0).ok()?;
        let body = json.body()?;
        if wrapped(body.root()).is_none() {
            return Some(payload.to_vec());
        }
        let mut bytes = None;
        for (key, value) in body.root().members() {
            if key.is_text("bytes") {
                bytes = STANDARD.decode(value.text()?.as_bytes()).ok();
            } else if !key.is_text("p") || !is_tag(value.raw_content()) {
                // Padding, and nothing else that a client could read.
                return None;
            }
        }
        bytes
    }

    fn wrap(&self, original: Option<&[u8]>, payload: Vec<u8>) -> Vec<u8> {
        let mut quoted = Vec::new();
        quote(&STANDARD.encode(&payload), &mut quoted);
        let Some(original) = original else {
            return [br#"{"bytes":"#.as_slice(), &quoted, b"}"].concat();
        };
        let json = JsonBody::scan(original, LIMITS, 0).ok();
        let body = json.as_ref().and_then(|json| json.body());
        let bytes = body.as_ref().and_then(|body| wrapped(body.root()));
        match (&json, bytes) {
            (Some(json), Some((_, bytes))) => {
                let mut edits = Edits::default();
                edits.replace(bytes, quoted);
                json.edited(original, edits)
            }
            _ => payload,
        }
    }

    fn name_of(&self, _: &SyntheticFrame) -> Option<&'static str> {
        Some(CHUNK)
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        self.inner.text_at(text_key)
    }

    fn call_at(&self, key: &CallKey) -> String {
        self.inner.call_at(key)
    }

    fn remove_calls(
        &mut self,
        calls: &[EvaluatedCall],
        end: u64,
        frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        self.inner.remove_calls(calls, end, frames)
    }

    fn remove_from_response(
        &mut self,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        self.inner.remove_from_response(frame, removals)
    }

    fn counts_frames(&self) -> bool {
        self.inner.counts_frames()
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        self.inner.correct(frame, changes);
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        if as_error {
            return vec![exception(denial)];
        }
        let mut made = self.inner.denial_frames(denial, false);
        // Bedrock ends a stream without a mark.
        made.retain(|made| made.payload != DONE);
        made
    }
}
