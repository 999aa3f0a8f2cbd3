//! A call of a response while it arrives in pieces.

use super::fragments::ArgumentFragments;
use super::queue::Queue;
use crate::event::{Class, Direction, Event, Kind, Known, Problem, Reading};
use crate::protocol::stream::{CallDelta, CallKey, HeldFrames};
use crate::protocol::{Bounds, Reader};
use crate::wire::json::{self, Edits, JsonBody, Limits, NodeId, quote};
use std::borrow::Cow;

/// One call so far.
#[derive(Clone, Debug, Default)]
pub(super) struct AssembledCall {
    provider_run: bool,
    /// The name, where no value says nothing else.
    named: Option<Box<str>>,
    /// Each part of the name: its frame, its place, what it says.
    names: Vec<(u64, NodeId, String)>,
    /// What else it goes by.
    aliases: Vec<String>,
    /// The arguments' parts: frame and place.
    parts: Vec<(u64, NodeId)>,
    arguments: String,
    /// Those that are told one by one. Where all of them are told as well, these repeat them.
    scattered: ArgumentFragments,
    /// Free text, not JSON.
    is_text: bool,
    /// What came is this argument alone, and whether it is a text.
    argument: Option<(&'static str, bool)>,
    /// Places in which other fields of the same frames repeat the name, and the arguments.
    names_again: Vec<(u64, NodeId)>,
    parts_again: Vec<(u64, NodeId)>,
    /// Places that repeat all of the arguments.
    wholes: Vec<(u64, NodeId)>,
    /// Every value that is about it: frame and place.
    pub(super) elements: Vec<(u64, NodeId)>,
}

impl AssembledCall {
    /// Takes in what a frame says; whether the frame says something of this call for the first time.
    pub(super) fn add(
        &mut self,
        frame: u64,
        element: NodeId,
        what: &CallDelta,
        json: &JsonBody<'_>,
    ) -> bool {
        let is_new = self.elements.last().is_none_or(|(last, _)| *last != frame);
        if self.elements.last() != Some(&(frame, element)) {
            self.elements.push((frame, element));
        }
        let text = |place: NodeId| {
            let value = json.value(place)?;
            Some(match value.kind() {
                json::ValueKind::String => value.text().unwrap_or_default().into_owned(),
                json::ValueKind::Null => String::new(),
                // Arguments that are an object where a text is usual.
                _ => String::from_utf8_lossy(value.raw()).into_owned(),
            })
        };
        match what {
            CallDelta::Begin { provider_run } => self.provider_run |= *provider_run,
            CallDelta::Name(place) => {
                let text = text(*place).filter(|text| !text.is_empty());
                self.names.extend(text.map(|text| (frame, *place, text)));
            }
            CallDelta::Named(name) => self.named = Some(name.clone()),
            CallDelta::Alias(place) => {
                let text = text(*place).filter(|text| !text.is_empty());
                self.aliases.extend(text);
            }
            CallDelta::Arguments(place)
            | CallDelta::Argument(_, place)
            | CallDelta::Input(place) => {
                self.is_text |= matches!(what, CallDelta::Input(_));
                if let CallDelta::Argument(name, _) = what {
                    let value = json.value(*place);
                    let is_text =
                        value.is_some_and(|value| value.kind() == json::ValueKind::String);
                    self.argument = Some((name, is_text));
                }
                let more = text(*place).unwrap_or_default();
                // Edited arguments go where there were some.
                if !more.is_empty() {
                    self.arguments.push_str(&more);
                    self.parts.push((frame, *place));
                }
            }
            CallDelta::At(path, place, extent) => {
                if let Some(value) = json.value(*place) {
                    self.scattered.add(frame, *place, value, path, *extent);
                }
            }
            CallDelta::NameAgain(place) => self.names_again.push((frame, *place)),
            CallDelta::ArgumentsAgain(place) => self.parts_again.push((frame, *place)),
            CallDelta::ArgumentsWhole(place) => self.wholes.push((frame, *place)),
        }
        is_new
    }

    /// Bytes of its arguments so far.
    pub(super) fn size(&self) -> usize {
        self.arguments.len().saturating_add(self.scattered.size())
    }

    /// The arguments as the client has them in the end, and whether they are a text: free, or because nobody can say how
    /// it puts them together.
    fn said(&self) -> (Cow<'_, str>, bool) {
        if self.scattered.is_empty() {
            return (Cow::Borrowed(&self.arguments), self.is_text);
        }
        if !self.is_text && self.arguments.is_empty() {
            if let Some(arguments) = self.scattered.put_together() {
                return (Cow::Owned(arguments), false);
            }
        } else if !self.is_text && self.scattered.agrees_with(&self.arguments) {
            return (Cow::Borrowed(&self.arguments), false);
        }
        let mut text = self.scattered.text();
        text.push_str(&self.arguments);
        (Cow::Owned(text), true)
    }

    /// Its name so far, as most readers put it together.
    pub(super) fn name(&self) -> String {
        if let Some(name) = &self.named {
            return name.to_string();
        }
        match self.names.split_first() {
            Some(((.., first), rest)) if rest.iter().all(|(.., name)| name == first) => {
                first.clone()
            }
            _ => self.names.iter().map(|(.., name)| name.as_str()).collect(),
        }
    }

    /// Some servers repeat the name in every piece. OpenAI's own library would join them, others keep one: with the
    /// others gone, every reader sees the name that was evaluated.
    pub(super) fn say_name_once(&self, queue: &mut Queue) -> bool {
        let Some((_, rest)) = self.names.split_first() else {
            return false;
        };
        let name = self.name();
        if rest.is_empty() || rest.iter().any(|(.., other)| *other != name) {
            return false;
        }
        let again = self.names_again.iter().skip(1);
        let rest = rest.iter().map(|(frame, place, _)| (frame, place));
        for (frame, place) in rest.chain(again.map(|(frame, place)| (frame, place))) {
            replace(queue, *frame, *place, b"null".to_vec());
        }
        true
    }

    /// What is evaluated: the call, and its arguments as a text.
    ///
    /// # Errors
    /// Only for arguments that no limit lets pass.
    pub(super) fn read(
        &self,
        key: &CallKey,
        bounds: Bounds,
    ) -> Result<(JsonBody<'static>, Reading), Problem> {
        let mut body = br#"{"arguments":"#.to_vec();
        let (arguments, is_text_alone) = self.said();
        match self.argument {
            None => quote(&arguments, &mut body),
            Some((name, is_text)) => {
                body.push(b'{');
                quote(name, &mut body);
                body.push(b':');
                if is_text {
                    quote(&arguments, &mut body);
                } else {
                    body.extend_from_slice(arguments.as_bytes());
                }
                body.push(b'}');
            }
        }
        body.push(b'}');
        let mut reader = Reader::of_frame(body, bounds)?;
        let Some(doc) = reader.body() else {
            return Ok((reader.json, reader.reading));
        };
        let root = doc.root();
        reader.claim_all(root);
        let holder = root.get("arguments");
        let mut event = Event::new(Kind::ToolCall, Direction::Response, root.place());
        event.choice = key.choice;
        event.provider_run = self.provider_run;
        if let Some(holder) = holder {
            if is_text_alone {
                event.args = Known::Unknown;
                event.texts = reader.register_text(holder, Class::Text);
            } else {
                (event.args, event.texts) = reader.arguments(holder);
            }
        }
        let mut names = vec![self.name()];
        // What a reader that keeps only the last part would call it.
        names.extend(self.names.last().map(|(.., name)| name.clone()));
        names.extend(self.aliases.iter().cloned());
        names.dedup();
        for (number, name) in names.iter().enumerate() {
            let mut event = event.clone();
            event.retold = number > 0;
            event.tool = match name.as_str() {
                "" => Known::Unknown,
                name => Known::Is(name.into()),
            };
            reader.call(event, holder.filter(|_| number == 0));
        }
        let (json, reading, _) = reader.finish_frame();
        Ok((json, reading))
    }

    /// The call as it is once `turned` is made.
    pub(super) fn turned_back(
        &self,
        key: &CallKey,
        json: JsonBody<'static>,
        reading: Reading,
        turned: Edits,
        bounds: Bounds,
    ) -> Option<(JsonBody<'static>, Reading)> {
        if turned.is_empty() {
            return Some((json, reading));
        }
        let call = AssembledCall {
            arguments: self.edited_arguments(&json, turned)?,
            scattered: ArgumentFragments::default(),
            is_text: self.said().1,
            ..self.clone()
        };
        call.read(key, bounds).ok()
    }

    fn edited_arguments(&self, json: &JsonBody<'_>, edits: Edits) -> Option<String> {
        let body = json.body()?;
        let edited = json.edited(body.bytes(), edits);
        let limits = Limits {
            max_depth: u16::MAX,
        };
        let json = JsonBody::owned(edited, limits, 0).ok()?;
        let body = json.body()?;
        let mut arguments = body.root().get("arguments")?;
        if let Some((name, _)) = self.argument {
            arguments = arguments.get(name)?;
        }
        Some(match arguments.kind() {
            json::ValueKind::String => arguments.text()?.into_owned(),
            _ => String::from_utf8_lossy(arguments.raw()).into_owned(),
        })
    }

    /// Puts edited arguments in place of those that came: all of them into the first part, none into the others. Gives
    /// them.
    pub(super) fn edit(
        &self,
        json: &JsonBody<'_>,
        edits: Edits,
        queue: &mut Queue,
    ) -> Option<String> {
        let arguments = self.edited_arguments(json, edits)?;
        if !self.scattered.is_empty() {
            if self.said().1 {
                return None;
            }
            self.scattered.edit(&arguments, queue)?;
        }
        if self.scattered.is_empty() || !self.parts.is_empty() {
            put_in_first(&self.parts, &arguments, queue)?;
        }
        if !self.parts_again.is_empty() {
            put_in_first(&self.parts_again, &arguments, queue)?;
        }
        for (frame, place) in &self.wholes {
            put(*frame, *place, &arguments, queue)?;
        }
        Some(arguments)
    }
}

pub(super) fn put_in_first(
    parts: &[(u64, NodeId)],
    arguments: &str,
    queue: &mut Queue,
) -> Option<()> {
    let ((frame, place), rest) = parts.split_first()?;
    put(*frame, *place, arguments, queue)?;
    for (frame, place) in rest {
        replace(queue, *frame, *place, b"\"\"".to_vec());
    }
    Some(())
}

/// Writes arguments in the place of others: as a text, where those are one.
pub(super) fn put(frame: u64, place: NodeId, arguments: &str, queue: &mut Queue) -> Option<()> {
    let held = queue.get(frame)?;
    let value = held.json.as_ref()?.value(place)?;
    let mut with = Vec::with_capacity(arguments.len().saturating_add(2));
    match value.kind() {
        json::ValueKind::String => quote(arguments, &mut with),
        _ => with.extend_from_slice(arguments.as_bytes()),
    }
    held.edits.replace(value, with);
    Some(())
}

fn replace(queue: &mut Queue, frame: u64, place: NodeId, with: Vec<u8>) {
    if let Some(held) = queue.get(frame)
        && let Some(value) = held.json.as_ref().and_then(|json| json.value(place))
    {
        held.edits.replace(value, with);
    }
}
