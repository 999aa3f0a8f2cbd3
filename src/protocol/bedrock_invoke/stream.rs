//! An answer of InvokeModel that streams: each frame holds an event of the model family's own in base64. The first one tells
//! which family's it is.

use super::plain_stream::PlainStream;
use super::{Family, model_of, plain};
use crate::diag::codes;
use crate::protocol::anthropic_shapes::MessageStream;
use crate::protocol::bedrock_shapes::{ConverseStream, exception, read_exception};
use crate::protocol::openai_chat::{Answer, ChatStream};
use crate::protocol::reader::{Reader, is_tag};
use crate::protocol::stream::{
    CallKey, Changes, Channel, HeldFrame, HeldFrames, JudgedCall, Lanes, Made, StreamReader,
};
use crate::protocol::{Asked, CannotWithhold, Denial, Withholding};
use crate::wire::json::{Edits, JsonBody, Limits, Value, quote};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The name of every frame that is no error.
const CHUNK: &str = "chunk";

/// What can be around an event.
const LIMITS: Limits = Limits { max_depth: 8 };

/// A streamed answer.
pub(super) struct InvokeStream {
    asked: Asked,
    family: Option<Family>,
    inner: Box<dyn StreamReader>,
}

/// Whose event it is.
fn family_of(event: Value<'_>) -> Family {
    let begins = |prefix: &str| {
        event
            .members()
            .any(|(key, _)| key.text().is_some_and(|key| key.starts_with(prefix)))
    };
    let choice = event.get("choices").and_then(|choices| choices.element(0));
    let is_chat = choice
        .is_some_and(|choice| choice.get("delta").is_some() || choice.get("message").is_some())
        || event
            .get("object")
            .is_some_and(|object| object.is_text("chat.completion.chunk"));
    if event.get("type").is_some() && event.get("completion").is_none() {
        Family::Claude
    } else if begins("message") || begins("contentBlock") || begins("metadata") {
        Family::Nova
    } else if is_chat {
        Family::Chat
    } else {
        Family::Plain
    }
}

/// Whose event a refusal would have to be before any has come.
fn family_of_model(model: &str) -> Family {
    if model.contains("anthropic.") {
        Family::Claude
    } else if model.contains("amazon.nova") {
        Family::Nova
    } else if plain::member_of(model).is_some() {
        Family::Plain
    } else {
        Family::Chat
    }
}

impl InvokeStream {
    pub(super) fn new(asked: &Asked) -> InvokeStream {
        let family = family_of_model(&model_of(&asked.endpoint));
        InvokeStream {
            asked: asked.clone(),
            family: None,
            inner: reader_of(family, asked),
        }
    }
}

fn reader_of(family: Family, asked: &Asked) -> Box<dyn StreamReader> {
    match family {
        Family::Claude => Box::new(MessageStream::new(asked)),
        Family::Nova => Box::new(ConverseStream::new(true)),
        Family::Chat => Box::new(ChatStream::new(asked, Answer::Chat)),
        Family::Plain => Box::new(PlainStream::new(&model_of(&asked.endpoint))),
    }
}

/// The base64 around an event, if that is what a payload is: `{bytes, p}`. An error is no such object.
fn wrapped(payload: &[u8]) -> Option<JsonBody<'_>> {
    let json = JsonBody::scan(payload, LIMITS, 0).ok()?;
    json.body()?.root().get("bytes")?;
    Some(json)
}

impl StreamReader for InvokeStream {
    fn read(&mut self, reader: &mut Reader<'static>, name: Option<&str>) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
        if name != Some(CHUNK) {
            reader.frame.lanes = Lanes::of(0);
            read_exception(reader, root, name);
            return;
        }
        let family = family_of(root);
        match self.family {
            None => {
                self.family = Some(family);
                self.inner = reader_of(family, &self.asked);
            }
            Some(known) if known != family => {
                let what = "an event of another kind than those before";
                reader.problem(codes::AG2014, root, what);
            }
            Some(_) => {}
        }
        self.inner.read(reader, None);
        let metrics = root.get("amazon-bedrock-invocationMetrics");
        let count = |name: &str| metrics.and_then(|metrics| metrics.get(name)?.as_u64());
        reader.frame.metered.input_tokens = count("inputTokenCount");
        reader.frame.metered.output_tokens = count("outputTokenCount");
    }

    fn wraps(&self) -> bool {
        true
    }

    fn unwrap(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let Some(json) = wrapped(payload) else {
            return Some(payload.to_vec());
        };
        let body = json.body()?;
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
        let json = wrapped(original);
        let body = json.as_ref().and_then(|json| json.body());
        let bytes = body.as_ref().and_then(|body| body.root().get("bytes"));
        match (&json, bytes) {
            (Some(json), Some(bytes)) => {
                let mut edits = Edits::default();
                edits.replace(bytes, quoted);
                json.edited(original, edits)
            }
            _ => payload,
        }
    }

    fn name_of(&self, _: &Made) -> Option<&'static str> {
        Some(CHUNK)
    }

    fn text_at(&self, channel: &Channel) -> String {
        self.inner.text_at(channel)
    }

    fn call_at(&self, key: &CallKey) -> String {
        self.inner.call_at(key)
    }

    fn take_out(
        &mut self,
        calls: &[JudgedCall],
        end: u64,
        frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotWithhold> {
        self.inner.take_out(calls, end, frames)
    }

    fn withhold(
        &mut self,
        frame: &mut HeldFrame,
        withholding: &Withholding,
    ) -> Result<(), CannotWithhold> {
        self.inner.withhold(frame, withholding)
    }

    fn counts_frames(&self) -> bool {
        self.inner.counts_frames()
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &Changes) {
        self.inner.correct(frame, changes);
    }

    fn refusal(&mut self, denial: &Denial, as_error: bool) -> Vec<Made> {
        if as_error {
            return vec![exception(denial)];
        }
        let mut made = self.inner.refusal(denial, false);
        // Bedrock ends a stream without a mark.
        made.retain(|made| made.payload != b"[DONE]");
        made
    }
}
