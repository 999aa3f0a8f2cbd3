//! Content for the audit event: texts, arguments and results as they arrived, regardless of the decision.
//!
//! The content is bounded. Until the end of the exchange, some bytes beyond the limit are kept: a secret is only
//! recognised as a whole.

use super::Flow;
use super::name_masker::{LOOKAHEAD_BYTES, own_credentials, with_masks};
use crate::audit::{RecordedContent, RecordedPart};
use crate::event::{Class, Direction, Event, Kind, Known, Part, Reading, Redaction, Turn};
use crate::policy::{ContentForm, ContentRecording};
use crate::protocol::stream::{CallKey, TextKey};
use crate::wire::json::{JsonBody, NodeId, Value};
use std::borrow::Cow;
use std::ops::Range;

/// Maximum parts of one half.
const MAX_PARTS: usize = 64;

/// Replacement for a part with more findings than can be listed.
const UNSEARCHED: &str = "[NOT_SEARCHED]";

/// Content of an exchange so far.
#[derive(Debug, Default)]
pub(super) struct Content {
    request: HalfContent,
    response: HalfContent,
    /// Bytes taken from the VM's memory budget.
    pub(super) reserved: usize,
}

/// Content of one half.
#[derive(Debug, Default)]
struct HalfContent {
    parts: Vec<ContentPart>,
    /// Bytes that may be written.
    shown: usize,
    /// Whether some content was left out.
    is_truncated: bool,
}

/// Text, or the arguments of a call.
#[derive(Debug)]
struct ContentPart {
    /// Key of a text or call that arrives in pieces.
    source: Option<Source>,
    event: &'static str,
    from: Option<&'static str>,
    part: Option<&'static str>,
    choice: u32,
    tool: Option<Box<str>>,
    /// Location of arguments or of a structured result, which are JSON.
    json: Option<NodeId>,
    text: String,
    /// Bytes of the text that may be written.
    shown: usize,
    /// Whether some of the text was not kept.
    is_cut: bool,
    /// Ranges that rules redact, with their labels.
    masks: Vec<(Range<usize>, String)>,
    /// Ranges of the part's texts, by their locations.
    places: Vec<(NodeId, Range<usize>)>,
}

/// Key of content that arrives in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A text of a stream.
    Text(TextKey),
    /// A call in a stream.
    Call(CallKey),
}

impl ContentPart {
    fn of(event: &Event) -> ContentPart {
        let is_text = matches!(event.kind, Kind::Message | Kind::Response);
        ContentPart {
            source: None,
            event: event.kind.word(),
            from: match (event.kind, &event.from) {
                (Kind::Message, Known::Is(author)) => Some(author.word()),
                _ => None,
            },
            part: (is_text && event.part != Part::Text).then(|| event.part.word()),
            choice: event.choice,
            tool: event.tool.value().cloned(),
            json: None,
            text: String::new(),
            shown: 0,
            is_cut: false,
            masks: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Adds a text, of which `free` bytes may be written.
    fn push(&mut self, text: &str, free: usize) {
        let free = match self.shown == self.text.len() {
            true => text.floor_char_boundary(free),
            false => 0,
        };
        let ahead = self.text.len().saturating_sub(self.shown);
        let kept = free.saturating_add(LOOKAHEAD_BYTES.saturating_sub(ahead));
        let kept = text.get(..text.floor_char_boundary(kept)).unwrap_or(text);
        self.text.push_str(kept);
        self.shown = self.shown.saturating_add(free.min(kept.len()));
        self.is_cut |= kept.len() < text.len();
    }

    /// Returns the text as it is written to the audit event.
    fn written(self, form: ContentForm, recording: &ContentRecording) -> String {
        let mut masks = match form {
            ContentForm::Redacted => match recording.masked(&self.text, self.is_cut) {
                Some(found) => found,
                None => return UNSEARCHED.to_owned(),
            },
            _ => Vec::new(),
        };
        if form == ContentForm::Redacted {
            masks.extend(self.masks);
        }
        // Readers of the audit trail must not be able to act as a client of the filter.
        let own = own_credentials(&self.text);
        masks.extend(own.map(|(range, label)| (range, label.to_owned())));
        with_masks(&self.text, self.shown, masks)
    }
}

impl HalfContent {
    fn free(&self, limit: usize) -> usize {
        limit.saturating_sub(self.shown)
    }

    /// Starts a part, if there is room for it.
    fn begin(&mut self, part: ContentPart, limit: usize) -> Option<&mut ContentPart> {
        if self.free(limit) == 0 || self.parts.len() >= MAX_PARTS {
            self.is_truncated = true;
            return None;
        }
        self.parts.push(part);
        self.parts.last_mut()
    }

    fn written(self, form: ContentForm, recording: &ContentRecording) -> Vec<RecordedPart> {
        let parts = self.parts.into_iter();
        parts
            .map(|part| RecordedPart {
                event: part.event,
                from: part.from,
                part: part.part,
                choice: part.choice,
                is_arguments: part.json.is_some() && part.event == Kind::ToolCall.word(),
                tool: part.tool.clone(),
                text: part.written(form, recording),
            })
            .collect()
    }
}

impl Content {
    fn half(&mut self, direction: Direction) -> &mut HalfContent {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }
}

/// Texts or value of an event that are content, each with its location.
enum EventContent<'a> {
    /// Arguments or a structured result.
    Json(Value<'a>),
    Texts(Vec<(NodeId, Cow<'a, str>)>),
}

impl<'a> EventContent<'a> {
    fn of(event: &Event, reading: &Reading, json: &'a JsonBody<'_>) -> Option<EventContent<'a>> {
        let is_content = match event.kind {
            Kind::Message | Kind::Response => {
                !matches!(event.part, Part::Arguments | Part::Definition | Part::Name)
            }
            Kind::ToolCall => !event.is_provider_offer(),
            Kind::ToolResult => true,
            Kind::Request | Kind::ToolOffer | Kind::Uninspectable => false,
        };
        // Audit events of earlier exchanges contain the history.
        if !is_content || event.is_duplicate || event.turn != Turn::Latest {
            return None;
        }
        let value = match event.kind {
            Kind::ToolCall => event.args.value(),
            Kind::ToolResult => event.result.value(),
            _ => None,
        };
        if let Some(value) = value.and_then(|place| json.value(*place)) {
            return Some(EventContent::Json(value));
        }
        let texts = reading.texts.of(event.texts.clone()).iter();
        let texts: Vec<_> = texts
            .filter(|text| match text.class {
                Class::Text | Class::Sealed => true,
                Class::Unknown => event.part != Part::Other,
                _ => false,
            })
            .filter_map(|text| Some((text.place, json.value(text.place)?.text()?)))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        // A call without arguments is content; an empty text is not.
        (event.kind == Kind::ToolCall || !texts.is_empty()).then_some(EventContent::Texts(texts))
    }
}

impl Flow {
    /// Returns whether the audit event may have content.
    pub(super) fn records_content(&self) -> bool {
        self.content.is_some()
    }

    /// Keeps the content of a whole body, a frame or a call, after its evaluation.
    pub(super) fn record_content(
        &mut self,
        direction: Direction,
        source: Option<Source>,
        (json, reading): (&JsonBody<'_>, &Reading),
        redactions: &[Redaction],
    ) {
        let limit = self.content_limit();
        let Some((content, limit)) = self.content.as_deref_mut().zip(limit) else {
            return;
        };
        let half = content.half(direction);
        let known = half.parts.len();
        let mut reserved = 0usize;
        for event in &reading.events {
            let Some(of_event) = EventContent::of(event, reading, json) else {
                continue;
            };
            let mut part = ContentPart {
                source,
                ..ContentPart::of(event)
            };
            let free = half.free(limit);
            match of_event {
                EventContent::Json(value) => {
                    part.json = Some(value.place());
                    let raw = value.raw();
                    // A character that is cut at the end must not end up in the text: four more bytes than can be kept.
                    let most = limit.saturating_add(LOOKAHEAD_BYTES).saturating_add(4);
                    let kept = raw.get(..most).unwrap_or(raw);
                    part.push(&String::from_utf8_lossy(kept), free);
                    part.is_cut |= kept.len() < raw.len();
                }
                EventContent::Texts(texts) => {
                    for (place, text) in texts {
                        if !part.text.is_empty() {
                            let free = free.saturating_sub(part.shown);
                            part.push("\n", free);
                        }
                        let start = part.text.len();
                        let free = free.saturating_sub(part.shown);
                        part.push(&text, free);
                        part.places.push((place, start..part.text.len()));
                    }
                }
            }
            let size = part.text.len();
            if !self.guard.reserve(size) {
                half.is_truncated = true;
                break;
            }
            reserved = reserved.saturating_add(size);
            let (shown, is_whole) = (part.shown, part.shown == size && !part.is_cut);
            if half.begin(part, limit).is_some() {
                half.shown = half.shown.saturating_add(shown);
                half.is_truncated |= !is_whole;
            } else {
                self.guard.release(size);
                reserved = reserved.saturating_sub(size);
                break;
            }
        }
        for redaction in redactions {
            mask(
                half.parts.get_mut(known..).unwrap_or_default(),
                redaction,
                json,
            );
        }
        content.reserved = content.reserved.saturating_add(reserved);
    }

    /// Keeps a piece of a streamed text.
    pub(super) fn record_text(&mut self, key: TextKey, piece: &str) {
        let limit = self.content_limit();
        let Some((content, limit)) = self.content.as_deref_mut().zip(limit) else {
            return;
        };
        if matches!(key.part, Part::Arguments | Part::Definition | Part::Name) || piece.is_empty() {
            return;
        }
        let half = &mut content.response;
        let source = Some(Source::Text(key));
        if half.parts.iter().all(|part| part.source != source) {
            let mut event = Event::new(Kind::Response, Direction::Response, NodeId::default());
            event.part = key.part;
            event.choice = key.choice;
            let part = ContentPart {
                source,
                ..ContentPart::of(&event)
            };
            if half.begin(part, limit).is_none() {
                return;
            }
        }
        let free = half.free(limit);
        let Some(part) = half.parts.iter_mut().find(|part| part.source == source) else {
            return;
        };
        let (size, shown) = (part.text.len(), part.shown);
        let room = piece.len().min(free.saturating_add(LOOKAHEAD_BYTES));
        if !self.guard.reserve(room) {
            part.is_cut = true;
            half.is_truncated = true;
            return;
        }
        part.push(piece, free);
        let kept = part.text.len().saturating_sub(size);
        half.is_truncated |= part.shown < part.text.len() || part.is_cut;
        half.shown = half.shown.saturating_add(part.shown.saturating_sub(shown));
        self.guard.release(room.saturating_sub(kept));
        content.reserved = content.reserved.saturating_add(kept);
    }

    /// Starts a new text under a key that another text had before.
    pub(super) fn begin_recorded_text(&mut self, key: TextKey) {
        let parts = self
            .content
            .iter_mut()
            .flat_map(|content| &mut content.response.parts);
        for part in parts.filter(|part| part.source == Some(Source::Text(key))) {
            part.source = None;
        }
    }

    /// Masks the redactions of a streamed text. Their ranges are relative to the offset `start`.
    pub(super) fn mask_recorded_text(
        &mut self,
        key: TextKey,
        start: usize,
        redactions: &[Redaction],
    ) {
        let parts = self
            .content
            .iter_mut()
            .flat_map(|content| &mut content.response.parts);
        for part in parts.filter(|part| part.source == Some(Source::Text(key))) {
            for redaction in redactions {
                let Range {
                    start: from,
                    end: to,
                } = redaction.range;
                let range = from.saturating_add(start)..to.saturating_add(start);
                part.masks.push((range, label(redaction)));
            }
        }
    }

    fn content_limit(&self) -> Option<usize> {
        let recording = self.guard.policy.content.as_ref()?;
        Some(recording.max_bytes)
    }

    /// Returns the content for the audit event, if the policy and the matching rules require it.
    pub(super) fn take_content(&mut self) -> Option<RecordedContent> {
        let content = self.content.take()?;
        self.guard.release(content.reserved);
        let policy = &self.guard.policy;
        let recording = policy.content.as_ref()?;
        let matched = self.exchange.rules.keys();
        let form = recording.form(matched.filter_map(|(rule, _)| policy.rule(*rule)));
        if form == ContentForm::None {
            return None;
        }
        let Content {
            request, response, ..
        } = *content;
        let truncated = [
            (&request, Direction::Request),
            (&response, Direction::Response),
        ];
        let truncated = truncated.iter().filter(|(half, _)| half.is_truncated);
        let truncated = truncated.map(|(_, direction)| direction.word()).collect();
        let masker = &self.guard.name_masker;
        let [request, response] = [request, response].map(|half| {
            let mut parts = half.written(form, recording);
            for tool in parts.iter_mut().filter_map(|part| part.tool.as_mut()) {
                masker.mask(tool);
            }
            parts
        });
        (!request.is_empty() || !response.is_empty()).then(|| RecordedContent {
            form: form.word(),
            request,
            response,
            truncated,
        })
    }
}

/// Masks a rule's redaction in the parts of the same body.
fn mask(parts: &mut [ContentPart], redaction: &Redaction, json: &JsonBody<'_>) {
    let label = || label(redaction);
    for part in &mut *parts {
        if let Some((_, range)) = part.places.iter().find(|(at, _)| *at == redaction.place) {
            let within = |at: usize| range.start.saturating_add(at).min(range.end);
            let range = within(redaction.range.start)..within(redaction.range.end);
            part.masks.push((range, label()));
            return;
        }
    }
    let value = json.value(redaction.place);
    for part in parts {
        let Some(outer) = part.json.and_then(|place| json.value(place)) else {
            continue;
        };
        let is_same = outer.place().doc == redaction.place.doc;
        match value.filter(|_| is_same) {
            Some(value) if outer.span().contains(value.span()) => {
                let start = outer.span().range().start;
                let span = value.content_span().range();
                let within = |at: usize| at.saturating_sub(start);
                let range = within(span.start)..within(span.end);
                part.masks.push((range, label()));
            }
            Some(_) => {}
            // The value is JSON inside a string of this part, so that its range there is unknown.
            None => part.masks.push((0..part.text.len(), label())),
        }
    }
}

fn label(redaction: &Redaction) -> String {
    match &redaction.label {
        Some(label) => format!("[{label}]"),
        None => "[REDACTED]".to_owned(),
    }
}
