//! Tool calls of a streamed response, assembled from their deltas.
//!
//! Two deltas of OpenAI: `{"index":0,"id":"call_1","function":{"name":"pay","arguments":"{\"am"}}` and
//! `{"index":0,"function":{"arguments":"ount\":5}"}}` are the call `pay` with `{"amount":5}`.

use super::fragments::ArgumentFragments;
use super::queue::Queue;
use crate::event::{Class, Direction, Event, Kind, Known, Problem, Reading};
use crate::protocol::stream::{CallDelta, CallKey, HeldFrames};
use crate::protocol::{Bounds, Reader};
use crate::wire::json::{self, Edits, JsonBody, Limits, NodeId, Value, quote};
use crate::wire::work;
use std::borrow::Cow;

/// State of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct AssembledCall {
    provider_run: bool,
    /// Name of the tool, if no value of a frame is exactly the name.
    named: Option<Box<str>>,
    /// Deltas of the name: frame, location and text.
    names: Vec<(u64, NodeId, String)>,
    /// Other names of the tool.
    aliases: Vec<String>,
    /// Deltas of the arguments: frame and location.
    parts: Vec<(u64, NodeId)>,
    arguments: String,
    /// First surrogate of a UTF-16 pair at the end of the arguments.
    half: Option<u16>,
    /// Arguments that are sent one by one. If the stream also has the whole arguments, they repeat them.
    fragments: ArgumentFragments,
    /// Whether the arguments are free text instead of JSON.
    is_text: bool,
    /// The single argument that the deltas contain, and whether it is a text.
    argument: Option<(&'static str, bool)>,
    /// Locations in the same frames that repeat the name and the arguments.
    names_again: Vec<(u64, NodeId)>,
    parts_again: Vec<(u64, NodeId)>,
    /// Locations that repeat the complete arguments.
    wholes: Vec<(u64, NodeId)>,
    /// Locations of all values of the call, with their frames.
    pub(super) elements: Vec<(u64, NodeId)>,
}

impl AssembledCall {
    /// Adds the delta of a frame. Returns whether it is the frame's first one for this call.
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
                // Some servers send the arguments as an object instead of a string.
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
                // Edited arguments are written to a delta that is not empty.
                if !more.is_empty() {
                    let halves = json.value(*place).map_or([None; 2], Value::halves);
                    let [second, first] = halves;
                    let joined = [std::mem::replace(&mut self.half, first), second];
                    let mut joined = char::decode_utf16(joined.into_iter().flatten());
                    let mut more = more.chars();
                    if let Some(Ok(joined)) = joined.next() {
                        // A lone surrogate is U+FFFD in the text of its piece.
                        self.arguments.pop();
                        more.next();
                        self.arguments.push(joined);
                    }
                    self.arguments.push_str(more.as_str());
                    self.parts.push((frame, *place));
                }
            }
            CallDelta::At(path, place, extent) => {
                if let Some(value) = json.value(*place) {
                    self.fragments.add(frame, *place, value, path, *extent);
                }
            }
            CallDelta::NameAgain(place) => self.names_again.push((frame, *place)),
            CallDelta::ArgumentsAgain(place) => self.parts_again.push((frame, *place)),
            CallDelta::ArgumentsWhole(place) => self.wholes.push((frame, *place)),
        }
        is_new
    }

    /// Returns the number of bytes of the arguments so far.
    pub(super) fn size(&self) -> usize {
        self.arguments.len().saturating_add(self.fragments.size())
    }

    /// Returns the arguments as the client assembles them, and whether they are a text. They are a text if they are
    /// free text, or if clients may assemble the deltas in different ways.
    fn assembled_arguments(&self) -> (Cow<'_, str>, bool) {
        if self.fragments.is_empty() {
            return (Cow::Borrowed(&self.arguments), self.is_text);
        }
        if !self.is_text && self.arguments.is_empty() {
            if let Some(arguments) = self.fragments.assembled() {
                return (Cow::Owned(arguments), false);
            }
        } else if !self.is_text && self.fragments.agrees_with(&self.arguments) {
            return (Cow::Borrowed(&self.arguments), false);
        }
        let mut text = self.fragments.text();
        text.push_str(&self.arguments);
        (Cow::Owned(text), true)
    }

    /// Returns the name so far, as most clients assemble it.
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

    /// Keeps the name in one delta only. Some servers repeat the name in every delta: OpenAI's own library would
    /// concatenate the copies, other clients keep one. With a single copy, every client reads the name that was
    /// evaluated.
    pub(super) fn keep_name_once(&self, queue: &mut Queue) -> bool {
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

    /// Returns the events to evaluate: the call, and its arguments as a text.
    ///
    /// # Errors
    /// The arguments exceed the limits.
    pub(super) fn read(
        &self,
        key: &CallKey,
        bounds: Bounds,
    ) -> Result<(JsonBody<'static>, Reading), Problem> {
        let mut body = br#"{"arguments":"#.to_vec();
        let (arguments, is_text_alone) = self.assembled_arguments();
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
        let whole = self.name();
        let mut names = vec![whole.as_str()];
        // Some clients keep the first delta with a name, some the last, and Vercel's begins another call at each name.
        let pieces = self.names.iter().map(|(.., name)| name);
        for name in pieces.chain(&self.aliases) {
            work::spend(names.len());
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        for (number, name) in names.into_iter().enumerate() {
            let mut event = event.clone();
            event.is_duplicate = number > 0;
            event.tool = match name {
                "" => Known::Unknown,
                name => Known::Is(name.into()),
            };
            reader.call(event, holder.filter(|_| number == 0));
        }
        let (json, reading, _) = reader.finish_frame();
        Ok((json, reading))
    }

    /// Returns the call after these edits; `None` if its arguments can't be edited.
    pub(super) fn with_edits(
        &self,
        key: &CallKey,
        json: JsonBody<'static>,
        reading: Reading,
        edits: Edits,
        bounds: Bounds,
    ) -> Option<(JsonBody<'static>, Reading)> {
        if edits.is_empty() {
            return Some((json, reading));
        }
        let call = AssembledCall {
            arguments: self.edited_arguments(&json, edits)?,
            fragments: ArgumentFragments::default(),
            is_text: self.assembled_arguments().1,
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

    /// Replaces the arguments: the first delta gets all of the new ones, the others become empty. Returns the new
    /// arguments.
    pub(super) fn edit(
        &self,
        json: &JsonBody<'_>,
        edits: Edits,
        queue: &mut Queue,
    ) -> Option<String> {
        let arguments = self.edited_arguments(json, edits)?;
        if !self.fragments.is_empty() {
            if self.assembled_arguments().1 {
                return None;
            }
            self.fragments.edit(&arguments, queue)?;
        }
        if self.fragments.is_empty() || !self.parts.is_empty() {
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

/// Replaces arguments at a location, as a string if the location has one.
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
