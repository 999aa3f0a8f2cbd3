//! What every protocol's reader is built from. Completeness by construction: a reader *claims* what it knows; every
//! string, key and long number that nobody claimed is found at the end and evaluated as text of class `unknown`, so that
//! a field that the provider adds tomorrow is not a hole.

mod embedded;
mod encoded;
mod form;
mod leaves;
mod names;
mod record;
mod rows;
mod tools;

pub(super) use encoded::is_textual;
pub(super) use leaves::is_tag;
use names::Names;
pub(super) use names::is_case_variant;
use rows::is_one_of;
pub(super) use rows::{Roles, Row, Type, UsageKeys};
pub(super) use tools::CallBuilder;

use super::Endpoint;
use super::stream::{Delta, FrameReading, TextDelta, TextKey};

use crate::diag::codes;
use crate::event::{
    Attachments, Author, Class, Direction, Event, Form, Kind, Known, NamedNode, NodeName, Part,
    Problem, Reading, RpcMessage, Text, Turn, each_named,
};
use crate::wire::json::{
    self, JsonBody, JsonText, Limits, NodeId, ScanError, ScanErrorKind, Value,
};
use crate::wire::letter_case;
use crate::wire::span::{index, offset};
use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

/// Numbers shorter than this hold nothing that a detector looks for, and bodies are full of them.
const SHORTEST_TELLING_NUMBER: usize = 7;

/// Shorter names hold nothing that is looked for in a name.
const SHORTEST_TELLING_NAME: usize = 13;

/// Problems that are told of one body; of each code there is one at least.
const MAX_PROBLEMS: usize = 64;

/// Bounds of reading one body; the policy's `inspect` sets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Deepest nesting of arrays and objects.
    pub max_depth: u16,
    /// How many strings deep JSON may be nested in JSON.
    pub nested_json: u8,
    /// Whether structured results of tools are looked into.
    pub results: bool,
    /// Whether results are looked at together with the arguments of the call that they answer.
    pub result_args: bool,
}

/// Who wrote a text, which part it is, to which turn it belongs.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Author; absent in responses.
    pub from: Known<Author>,
    /// Part.
    pub part: Part,
    /// Turn.
    pub turn: Turn,
    /// Choice or candidate.
    pub choice: u32,
    /// In a frame of a stream: the text goes on in other frames. Which of several texts of this part it is.
    pub piece_of: Option<u32>,
    /// Events of the text.
    pub emit: Emit,
}

/// Which events have a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// One of its own.
    Own,
    /// One of its own, and that of the result which it is part of.
    Also,
    /// Only that of what it is part of.
    Never,
}

impl Origin {
    /// A whole text, outside of any choice, that has an event of its own.
    #[inline(never)]
    pub fn new(from: Known<Author>, part: Part, turn: Turn) -> Origin {
        Origin {
            from,
            part,
            turn,
            choice: 0,
            piece_of: None,
            emit: Emit::Own,
        }
    }

    /// Text of a request by a known author.
    #[inline(never)]
    pub fn of(from: Author, part: Part) -> Origin {
        Origin::new(Known::Is(from), part, Turn::Latest)
    }

    /// Text of a response.
    #[inline(never)]
    pub fn answer(choice: u32) -> Origin {
        Origin {
            choice,
            ..Origin::new(Known::Missing, Part::Text, Turn::Latest)
        }
    }

    /// In a frame of a stream: the origin of a text in a member of a known object, by the member's place in its tables. The
    /// same member of the next frame goes on with it.
    pub fn member(&self, number: usize) -> Origin {
        const MOST: u32 = 64;
        let number = offset(number).min(MOST).saturating_add(1);
        Origin {
            piece_of: self
                .piece_of
                .map(|outer| outer.saturating_mul(MOST).saturating_add(number)),
            ..self.clone()
        }
    }

    /// The same origin, of a text that is whole.
    pub fn whole(&self) -> Origin {
        Origin {
            piece_of: None,
            ..self.clone()
        }
    }

    /// The same origin, another part.
    #[inline(never)]
    pub fn with_part(&self, part: Part) -> Origin {
        Origin {
            part,
            ..self.clone()
        }
    }
}

/// A body while it is read.
pub struct Reader<'b> {
    /// The body and the JSON texts nested in it.
    pub json: JsonBody<'b>,
    /// What was found so far.
    pub reading: Reading,
    direction: Direction,
    /// Whether structured results of tools are looked into.
    pub results: bool,
    /// The body is a form: all that a field holds is a string.
    is_form: bool,
    /// The document that is read: the body, or a record of it.
    current: u16,
    /// What a frame of a stream says beside that.
    pub frame: FrameReading,
    /// Whether results are looked at together with the arguments of the call that they answer.
    pub result_args: bool,
    /// One entry for each node of that document: whether a reader knows what it is.
    claimed: Vec<bool>,
    /// What is read stands in a signed block.
    sealed: bool,
    /// Nodes of the body that belong to one of several answers, in their order, each with the response's number.
    choices: Vec<(Range<u32>, u32)>,
    /// Keys may be written in camelCase or in snake_case, and numbers as strings: Google's JSON of protocol buffers.
    pub proto_json: bool,
    /// JSON-RPC messages, in the order of the nodes.
    messages: Vec<Section>,
    /// Where names stand that are long enough to hold something. They are texts of nothing that is read.
    names: Vec<NodeId>,
}

/// What reads the members of an object; `K` is how it is told which one. There are hundreds of them, and a `dyn FnMut`
/// brings more code for each than this does: it can also be called once.
pub trait VisitField<'b, 'v, K> {
    /// Reads a member.
    fn take(&mut self, reader: &mut Reader<'b>, key: K, value: Value<'v>);
}

impl<'b, 'v, K, F: FnMut(&mut Reader<'b>, K, Value<'v>)> VisitField<'b, 'v, K> for F {
    fn take(&mut self, reader: &mut Reader<'b>, key: K, value: Value<'v>) {
        self(reader, key, value);
    }
}

/// What reads the elements of a list.
trait VisitElement<'b, 'v> {
    fn take(&mut self, reader: &mut Reader<'b>, value: Value<'v>);
}

impl<'b, 'v, F: FnMut(&mut Reader<'b>, Value<'v>)> VisitElement<'b, 'v> for F {
    fn take(&mut self, reader: &mut Reader<'b>, value: Value<'v>) {
        self(reader, value);
    }
}

/// Where a JSON-RPC message begins and ends.
struct Section {
    nodes: Range<u32>,
    /// The message that it stands in.
    parent: Option<usize>,
    /// Which of the body's own messages it is, or stands in.
    choice: u32,
}

impl<'b> Reader<'b> {
    /// Scans a body.
    ///
    /// # Errors
    /// The problem that makes the whole body unreadable.
    pub fn new(
        body: &'b [u8],
        direction: Direction,
        bounds: Bounds,
    ) -> Result<Reader<'b>, Problem> {
        let limits = Limits {
            max_depth: bounds.max_depth,
        };
        let json = JsonBody::scan(body, limits, bounds.nested_json).map_err(unreadable)?;
        Ok(Self::over(json, direction, bounds))
    }

    /// Scans the payload of a frame.
    ///
    /// # Errors
    /// The problem that makes all of it unreadable.
    pub fn of_frame(payload: Vec<u8>, bounds: Bounds) -> Result<Reader<'static>, Problem> {
        let limits = Limits {
            max_depth: bounds.max_depth,
        };
        let json = JsonBody::owned(payload, limits, bounds.nested_json).map_err(unreadable)?;
        Ok(Reader::over(json, Direction::Response, bounds))
    }

    /// Ends the reading of a frame.
    pub fn finish_frame(mut self) -> (JsonBody<'b>, Reading, FrameReading) {
        self.report_unclaimed();
        self.end_messages(0);
        (self.json, self.reading, self.frame)
    }

    /// Scans a body of JSON lines, each of them a record.
    ///
    /// # Errors
    /// The problem that makes the whole body unreadable.
    pub fn lines(body: &[u8], direction: Direction, bounds: Bounds) -> Result<Reader<'b>, Problem> {
        let limits = Limits {
            max_depth: bounds.max_depth,
        };
        let json = JsonBody::scan_lines(body, limits, bounds.nested_json).map_err(unreadable)?;
        Ok(Self::over(json, direction, bounds))
    }

    fn over(json: JsonBody<'b>, direction: Direction, bounds: Bounds) -> Reader<'b> {
        let nodes = json.body().map_or(0, |doc| doc.len());
        Reader {
            json,
            reading: Reading::new(),
            direction,
            results: bounds.results,
            is_form: false,
            current: 0,
            frame: FrameReading::default(),
            result_args: bounds.result_args,
            messages: Vec::new(),
            names: Vec::new(),
            claimed: vec![false; index(nodes)],
            sealed: false,
            choices: Vec::new(),
            proto_json: false,
        }
    }

    /// Whether the body is a list of objects.
    pub(super) fn holds_records(&self) -> bool {
        self.json.body().is_some_and(|body| {
            let root = body.root();
            root.elements().next().is_some()
                && root
                    .elements()
                    .all(|record| record.kind() == json::ValueKind::Object)
        })
    }

    /// Adds the model that the path names.
    pub(super) fn model_of_path(&mut self, endpoint: &Endpoint) {
        endpoint.add_models(&mut self.reading.models);
    }

    /// The document that is read: the body, or within [`record`](Reader::record) the record.
    pub fn body(&self) -> Option<Rc<JsonText<'b>>> {
        self.json.shared(self.current)
    }

    /// Which half of the exchange is read.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Who says what stands in a request; in a response nobody asks.
    pub fn author(&self, author: Author) -> Known<Author> {
        match self.direction {
            Direction::Request => Known::Is(author),
            Direction::Response => Known::Missing,
        }
    }

    /// Notes a JSON-RPC message. Every event in it, those of unknown texts included, will name it. A message that stands
    /// in another one is noted after it.
    pub fn message(&mut self, value: Value<'_>, message: RpcMessage) {
        let start = value.place().node;
        let end = value
            .descendants()
            .last()
            .map_or(start, |last| last.value.place().node);
        let parent = self.section_at(start);
        let choice = match parent.and_then(|parent| self.messages.get(parent)) {
            Some(parent) => parent.choice,
            None => self
                .messages
                .last()
                .map_or(0, |last| last.choice.saturating_add(1)),
        };
        self.messages.push(Section {
            nodes: start..end.saturating_add(1),
            parent,
            choice,
        });
        self.reading.rpc.push(message);
    }

    /// The innermost message that a node stands in.
    fn section_at(&self, node: u32) -> Option<usize> {
        let after = self
            .messages
            .partition_point(|message| message.nodes.start <= node);
        let mut at = after.checked_sub(1)?;
        loop {
            let section = self.messages.get(at)?;
            if section.nodes.contains(&node) {
                return Some(at);
            }
            at = section.parent?;
        }
    }

    /// Gives the events since `from` their JSON-RPC message; those that come later have none.
    pub fn end_messages(&mut self, from: usize) {
        if self.messages.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut self.reading.events);
        for event in events.iter_mut().skip(from) {
            let place = self.json.in_body(event.at);
            let at = place.and_then(|place| self.section_at(place.node));
            if let Some((at, section)) = at.and_then(|at| Some((at, self.messages.get(at)?))) {
                event.rpc = Some(offset(at));
                event.choice = section.choice;
            }
        }
        self.reading.events = events;
        self.messages.clear();
    }

    /// Ends the reading: whatever was not claimed becomes text of class `unknown`.
    pub fn finish(mut self) -> (JsonBody<'b>, Reading) {
        self.report_unclaimed();
        for place in std::mem::take(&mut self.names) {
            self.register(place, Class::Name, Form::String, None);
        }
        self.end_messages(0);
        (self.json, self.reading)
    }

    /// Tells of everything in the current document that was not claimed.
    fn report_unclaimed(&mut self) {
        let Some(doc) = self.body() else { return };
        let from = match self.direction {
            Direction::Request => Known::Unknown,
            Direction::Response => Known::Missing,
        };
        // Where it is a model that is asked, a name of models that nobody knows names more of them.
        let asks_models =
            self.direction == Direction::Request && !self.reading.models.names.is_empty();
        let mut naming = ModelNameScope::Nothing;
        let mut key = None;
        let mut group: Option<Event> = None;
        for node in doc.root().descendants() {
            let place = node.value.place();
            if node.is_key {
                key = Some(place);
            }
            let is_claimed = self.is_claimed(place);
            let is_member = |key: Value<'_>| {
                let mut members = doc.root().members();
                members.any(|(member, _)| member.place() == key.place())
            };
            if asks_models && naming.names(node.is_key, node.value, is_claimed, is_member) {
                let name = node.value.text().unwrap_or_default();
                self.reading.models.add(&name);
            }
            if is_claimed {
                // Values inside known structure end a run of unknown ones; the run is one event.
                if let Some(event) = group.take() {
                    self.reading.add(event);
                }
                continue;
            }
            let Some(form) = telling_form(node.is_key, node.value) else {
                continue;
            };
            let text = self.register(place, Class::Unknown, form, key.filter(|key| *key != place));
            match &mut group {
                Some(event) => event.texts.end = text.saturating_add(1),
                None => {
                    let mut event = Event::new(self.text_kind(), self.direction, place);
                    event.from = from.clone();
                    event.part = Part::Other;
                    event.choice = self.choice_of(place);
                    event.texts = text..text.saturating_add(1);
                    group = Some(event);
                }
            }
        }
        self.reading.events.extend(group);
    }

    fn text_kind(&self) -> Kind {
        match self.direction {
            Direction::Request => Kind::Message,
            Direction::Response => Kind::Response,
        }
    }

    fn is_claimed(&self, place: NodeId) -> bool {
        place.doc != self.current || self.claimed.get(index(place.node)).copied().unwrap_or(true)
    }

    /// Whether somebody has claimed a value.
    pub fn is_claimed_value(&self, value: Value<'_>) -> bool {
        self.is_claimed(value.place())
    }

    #[inline(never)]
    fn claim_place(&mut self, place: NodeId) {
        if place.doc == self.current
            && let Some(claimed) = self.claimed.get_mut(index(place.node))
        {
            *claimed = true;
        }
    }

    /// Says that a value of the body belongs to one of several answers, so that what nobody knows in it belongs there too.
    /// Values are named in their order.
    pub fn in_choice(&mut self, value: Value<'_>, choice: u32) {
        let start = value.place().node;
        self.choices.push((start..value.end_node(), choice));
    }

    fn choice_of(&self, place: NodeId) -> u32 {
        let before = self
            .choices
            .partition_point(|(nodes, _)| nodes.start <= place.node);
        before
            .checked_sub(1)
            .and_then(|at| self.choices.get(at))
            .filter(|(nodes, _)| place.doc == 0 && nodes.contains(&place.node))
            .map_or(0, |(_, choice)| *choice)
    }

    /// Reads what stands in a signed block: its texts are evaluated and never edited.
    pub fn in_signed(&mut self, is_signed: bool, read: impl FnOnce(&mut Self)) {
        let outer = self.sealed;
        self.sealed |= is_signed;
        read(self);
        self.sealed = outer;
    }

    /// Claims a value itself, not what is in it: known structure (a container, a number, a boolean, null).
    pub fn claim(&mut self, value: Value<'_>) {
        self.claim_place(value.place());
    }

    /// Claims a value and everything in it: structure that holds no text at all.
    pub fn claim_all(&mut self, value: Value<'_>) {
        for node in value.descendants() {
            self.claim(node.value);
        }
    }

    /// Reads an array element by element; `null` counts as absent.
    pub fn array<'v>(&mut self, value: Value<'v>, mut read: impl FnMut(&mut Self, Value<'v>)) {
        self.each_element(value, &mut read);
    }

    fn each_element<'v>(&mut self, value: Value<'v>, read: &mut dyn VisitElement<'b, 'v>) {
        if !matches!(value.kind(), json::ValueKind::Array | json::ValueKind::Null) {
            self.wrong_type(value, "an array");
            return;
        }
        self.claim(value);
        for element in value.elements() {
            read.take(self, element);
        }
    }

    /// A number; `null` counts as absent.
    pub fn number(&mut self, value: Value<'_>) -> Option<u64> {
        match value.kind() {
            json::ValueKind::Number | json::ValueKind::Null => self.claim(value),
            json::ValueKind::String if self.is_form => {
                let text = value.text()?;
                if is_number(text.trim()) {
                    self.claim(value);
                }
                return text.trim().parse().ok();
            }
            _ => self.mistyped(value, "a number"),
        }
        value.as_u64()
    }

    /// A boolean; `null` counts as absent.
    pub fn boolean(&mut self, value: Value<'_>) -> Option<bool> {
        match value.kind() {
            json::ValueKind::Bool(_) | json::ValueKind::Null => self.claim(value),
            json::ValueKind::String if self.is_form => {
                // As Pydantic and Go read it.
                let text = letter_case::ascii_lower(value.text()?.trim());
                let is_true = matches!(&*text, "true" | "1" | "on" | "t" | "y" | "yes");
                if is_true || matches!(&*text, "false" | "0" | "off" | "f" | "n" | "no" | "") {
                    self.claim(value);
                }
                return Some(is_true);
            }
            _ => self.mistyped(value, "a boolean"),
        }
        value.as_bool()
    }

    /// A word out of a closed list, `"auto|any|none"`. Another word is not claimed and so evaluated as text.
    pub fn word(&mut self, value: Value<'_>, words: &str) {
        match value.kind() {
            json::ValueKind::String if is_one_of(value, words) => self.claim(value),
            json::ValueKind::Null => self.claim(value),
            json::ValueKind::String => {}
            _ if self.direction == Direction::Request => self.wrong_type(value, "a string"),
            _ => {}
        }
    }

    /// The same for one member of an object whose other members are read elsewhere.
    pub fn word_of(&mut self, object: Value<'_>, name: &str, words: &str) {
        for (key, value) in object.members() {
            if key.is_text(name) && !key.has_escapes() {
                self.claim(key);
                self.word(value, words);
            }
        }
    }

    /// An identifier: only unmistakable secrets count in it.
    pub fn id(&mut self, value: Value<'_>) {
        self.mark(value, Class::Id);
    }

    /// Signed, encrypted or otherwise unreadable: counted, and evaluated by rules about what is opaque.
    pub fn opaque(&mut self, value: Value<'_>, class: &'static str) {
        self.mark(value, Class::Opaque);
        self.uninspectable(value, class);
    }

    /// Image, audio or file bytes, as base64 or as a `data:` URL. Anything else under such a name is evaluated as text.
    pub fn media(&mut self, value: Value<'_>) {
        let is_bytes = match value.text() {
            Some(text) => is_encoded(text.as_bytes()),
            None => true,
        };
        if is_bytes {
            self.mark(value, Class::Media);
        }
    }

    fn mark(&mut self, value: Value<'_>, class: Class) {
        match value.kind() {
            json::ValueKind::String => {
                self.claim(value);
                if class == Class::Id {
                    self.register(value.place(), class, Form::String, None);
                }
            }
            json::ValueKind::Null => self.claim(value),
            _ => self.mistyped(value, "a string"),
        }
    }

    /// A part that no rule can look into; what kind of part it is, it is counted under.
    pub fn attachment(
        &mut self,
        value: Value<'_>,
        count: impl FnOnce(&mut Attachments) -> &mut u32,
    ) {
        self.count_attachment(count);
        self.uninspectable(value, "attachment");
    }

    /// A part that is no text of the conversation and can be read all the same: a document's words.
    pub fn count_attachment(&mut self, count: impl FnOnce(&mut Attachments) -> &mut u32) {
        let counter = count(&mut self.reading.attachments);
        *counter = counter.saturating_add(1);
    }

    /// Something that is there and can't be read: `attachment`, `provider_state`, `opaque`, …
    #[inline(never)]
    pub fn uninspectable(&mut self, value: Value<'_>, class: &'static str) {
        let mut event = Event::new(Kind::Uninspectable, self.direction, value.place());
        event.opacity = Some(class);
        self.reading.add(event);
    }

    /// A name that is compared: a tool's, a model's.
    pub fn name<'v>(&mut self, value: Value<'v>) -> Option<Cow<'v, str>> {
        match value.kind() {
            json::ValueKind::String if value.has_lone_surrogate() => {
                self.problem(codes::AG2001, value, "an unpaired surrogate in a name");
                None
            }
            json::ValueKind::String => {
                self.claim(value);
                // Nobody should call a model or a tool by a secret or the number of a card.
                if self.direction == Direction::Request
                    && value.raw_content().len() >= SHORTEST_TELLING_NAME
                {
                    self.names.push(value.place());
                }
                value.text()
            }
            json::ValueKind::Null => {
                self.claim(value);
                None
            }
            _ => {
                self.wrong_type(value, "a string");
                None
            }
        }
    }

    #[inline(never)]
    fn register(&mut self, place: NodeId, class: Class, form: Form, key: Option<NodeId>) -> u32 {
        let number = self.text_count();
        // What was decoded, and what stands for a body that is no JSON, has no way back to the bytes.
        let class = match class {
            Class::Text if self.sealed => Class::Sealed,
            Class::Text if !self.json.is_editable(place) => Class::Unknown,
            class => class,
        };
        if class == Class::Sealed {
            self.reading.sealed.insert(place);
        }
        self.reading.texts.push(Text {
            place,
            class,
            form,
            key,
            over: None,
            is_data: false,
        });
        number
    }

    /// Registers a value in data, with what it goes by.
    #[inline(never)]
    fn register_named(&mut self, named: NamedNode<'_>, class: Class, form: Form) -> u32 {
        let NodeName { nearest, over, .. } = named.name;
        let [key, over] = [nearest, over].map(|name| name.map(Value::place));
        let number = self.register(named.value.place(), class, form, key);
        if let Some(text) = self.reading.texts.last_mut() {
            text.over = over;
        }
        number
    }

    /// One text, and the event that tells of it.
    pub fn text(&mut self, value: Value<'_>, origin: &Origin) -> Range<u32> {
        let texts = self.register_text(value, Class::Text);
        self.emit_text(value, texts.clone(), origin);
        texts
    }

    /// A string that is evaluated as text and never edited: a reference whose other end would not be found.
    pub fn reference(&mut self, value: Value<'_>, origin: &Origin) {
        let texts = self.register_text(value, Class::Unknown);
        self.emit_text(value, texts, origin);
    }

    /// Registers a text without an event of its own.
    #[inline(never)]
    pub fn register_text(&mut self, value: Value<'_>, class: Class) -> Range<u32> {
        match value.kind() {
            json::ValueKind::String => {
                self.claim(value);
                let text = self.register(value.place(), class, Form::String, None);
                text..text.saturating_add(1)
            }
            json::ValueKind::Null => {
                self.claim(value);
                self.no_texts()
            }
            _ => {
                self.wrong_type(value, "a string");
                self.no_texts()
            }
        }
    }

    /// How many texts were found so far: the number of the next one.
    pub fn text_count(&self) -> u32 {
        offset(self.reading.texts.len())
    }

    fn no_texts(&self) -> Range<u32> {
        let end = self.text_count();
        end..end
    }

    /// Claims the numbers in a value and the keys that are numbers too (`logit_bias` is keyed by token).
    pub fn claim_numbers(&mut self, value: Value<'_>) {
        for node in value.descendants() {
            let is_number = match node.value.kind() {
                json::ValueKind::String => {
                    node.is_key && node.value.raw_content().iter().all(u8::is_ascii_digit)
                }
                _ => true,
            };
            if is_number {
                self.claim(node.value);
            }
        }
    }

    /// Everything in a value that can hold text: strings, keys, long numbers. Free structure such as arguments or a
    /// schema; each string stays editable.
    #[inline(never)]
    pub fn tree(&mut self, value: Value<'_>) -> Range<u32> {
        let start = self.text_count();
        each_named(value, &mut |named| {
            self.claim(named.value);
            if let Some(form) = telling_form(named.is_key, named.value) {
                self.register_named(named, Class::Text, form);
            }
        });
        start..self.text_count()
    }

    /// The event of texts that were registered: one `message` or `response`.
    pub fn emit_text(&mut self, at: Value<'_>, texts: Range<u32>, origin: &Origin) {
        match origin.emit {
            Emit::Own => self.emit_text_event(at, texts, origin, false),
            Emit::Also => self.emit_text_event(at, texts, origin, true),
            Emit::Never => {}
        }
    }

    /// The event of texts that another event has as well.
    pub fn emit_duplicate(&mut self, at: Value<'_>, texts: Range<u32>, origin: &Origin) {
        self.emit_text_event(at, texts, origin, true);
    }

    fn emit_text_event(&mut self, at: Value<'_>, texts: Range<u32>, origin: &Origin, retold: bool) {
        if texts.is_empty() {
            return;
        }
        if let Some(item) = origin.piece_of {
            let channel = TextKey {
                choice: origin.choice,
                part: origin.part,
                item,
            };
            self.text_deltas(texts, channel);
            return;
        }
        let mut event = Event::new(self.text_kind(), self.direction, at.place());
        event.texts = texts;
        event.from = origin.from.clone();
        event.part = origin.part;
        event.turn = origin.turn;
        event.choice = origin.choice;
        event.retold = retold;
        self.reading.add(event);
    }

    fn text_deltas(&mut self, texts: Range<u32>, channel: TextKey) {
        let texts = self.reading.texts.get(index(texts.start)..index(texts.end));
        let pieces = texts
            .unwrap_or_default()
            .iter()
            .map(|text| Delta::Text(TextDelta::new(channel, text.place, text.class)));
        self.frame.pieces.extend(pieces);
    }

    /// Reads the JSON text that a string holds: a call's arguments. An empty string stands for none.
    ///
    /// # Errors
    /// What the scanner refuses.
    pub fn open(&mut self, string: Value<'_>) -> Result<Option<Rc<JsonText<'b>>>, ScanError> {
        self.claim(string);
        if string.raw_content().trim_ascii().is_empty() {
            return Ok(None);
        }
        self.json.open(string).map(Some)
    }

    /// Notes that a known field has a type that its protocol does not allow.
    pub fn wrong_type(&mut self, value: Value<'_>, expected: &str) {
        let what = format!("{expected} is expected here, not {}", value.kind().name());
        self.problem(codes::AG2001, value, &what);
    }

    /// Notes something that could not be read.
    pub fn problem(&mut self, code: &'static str, value: Value<'_>, what: &str) {
        let problems = &self.reading.problems;
        // To find where it stands costs a walk over the body: of thousands, all say the same.
        if problems.len() >= MAX_PROBLEMS && problems.iter().any(|problem| problem.code == code) {
            return;
        }
        self.reading.problems.push(Problem {
            code,
            at: self.json.pointer(value.place()),
            what: what.to_owned(),
        });
    }
}

/// Whether a string holds nothing but bytes in base64, behind what a `data:` URL says of them.
fn is_encoded(content: &[u8]) -> bool {
    let bytes = match content.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"data:") => content
            .iter()
            .position(|b| *b == b',')
            .and_then(|comma| content.get(comma..))
            .unwrap_or(content),
        _ => content,
    };
    // MIME breaks lines.
    let fits = |b: u8| {
        b.is_ascii_alphanumeric()
            | matches!(b, b'+' | b'/' | b'-' | b'_' | b'=' | b',' | b'\r' | b'\n')
    };
    // Megabytes of it are usual: no early exit inside a chunk, so that it is done many bytes at a time.
    bytes
        .chunks(4096)
        .all(|chunk| chunk.iter().fold(true, |all, b| all & fits(*b)))
}

/// Whether what is met in a body of unknown members stands under a name of models.
#[derive(Clone, Copy)]
enum ModelNameScope {
    Nothing,
    /// The next value does.
    Next,
    /// Whatever stands before this node does.
    Until(u32),
}

impl ModelNameScope {
    /// Takes in the next node; whether it is a model's name.
    fn names<'v>(
        &mut self,
        is_key: bool,
        value: Value<'v>,
        is_known: bool,
        is_member: impl Fn(Value<'v>) -> bool,
    ) -> bool {
        let is_inside = matches!(self, ModelNameScope::Until(end) if value.place().node < *end);
        *self = match *self {
            _ if is_inside => *self,
            _ if is_known => ModelNameScope::Nothing,
            _ if is_key && is_name_of_models(value, is_member) => ModelNameScope::Next,
            ModelNameScope::Next => ModelNameScope::Until(value.end_node()),
            _ => ModelNameScope::Nothing,
        };
        !is_key
            && matches!(self, ModelNameScope::Until(_))
            && value.kind() == json::ValueKind::String
    }
}

/// Names of what answers in a model's place or changes it, wherever they stand: TGI, LoRAX, vLLM, SGLang, Azure.
const ADAPTERS: &[&str] = &[
    "adapterid",
    "adaptername",
    "loraname",
    "loraid",
    "lorapath",
    "lorarequest",
    "deploymentid",
    "deploymentname",
    "engineid",
    "modeluri",
];
/// The same of a body's own members. Elsewhere they are a search's or a tool's.
const SERVED: &[&str] = &[
    "engine",
    "deployment",
    "adapter",
    "adapters",
    "lora",
    "loras",
];

/// Whether a member's name says that models stand under it: `fallback_models`, `providerOptions.gateway.models`.
fn is_name_of_models<'v>(value: Value<'v>, is_member: impl Fn(Value<'v>) -> bool) -> bool {
    let key = value.text().unwrap_or_default();
    // A list in a form: `model[]`.
    let key = key.strip_suffix("[]").unwrap_or(&key);
    let folded: String = key
        .chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if ADAPTERS.contains(&folded.as_str())
        || (SERVED.contains(&folded.as_str()) && is_member(value))
    {
        return true;
    }
    let key = key.as_bytes();
    ["model", "models", "fallbacks", "model_name", "model_id"]
        .iter()
        .any(|name| {
            let before = key.strip_suffix(name.as_bytes());
            before.is_some_and(|before| matches!(before.last(), None | Some(b'_')))
        })
        || [&b"Model"[..], b"Models", b"modelName", b"modelId"]
            .iter()
            .any(|name| key.ends_with(name))
}

/// How a node can hold text; `None` if it can't.
fn telling_form(is_key: bool, value: Value<'_>) -> Option<Form> {
    match value.kind() {
        json::ValueKind::String if is_key => Some(Form::Key),
        json::ValueKind::String => Some(Form::String),
        json::ValueKind::Number if value.raw().len() >= SHORTEST_TELLING_NUMBER => {
            Some(Form::Number)
        }
        _ => None,
    }
}

/// Whether a text of a form is a number, as servers read one: `3`, `-.5`, `1e9`, `NaN`.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if ["inf", "infinity", "nan"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(unsigned))
    {
        return true;
    }
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_empty = whole.is_empty() && fraction.is_empty() || exponent.is_empty();
    !is_empty && digits(whole) && digits(fraction) && digits(exponent)
}

/// The stable code of a body that is no JSON.
pub fn code_of(error: ScanError) -> &'static str {
    match error.kind {
        ScanErrorKind::Empty
        | ScanErrorKind::Syntax
        | ScanErrorKind::Trailing
        | ScanErrorKind::SurrogateInKey => codes::AG2001,
        ScanErrorKind::DuplicateKey => codes::AG2002,
        ScanErrorKind::TooDeep => codes::AG2003,
        ScanErrorKind::TooLarge => codes::AG2004,
        ScanErrorKind::Encoding => codes::AG2009,
    }
}

/// The problem of a body that would have told which protocol a request speaks, had it been JSON. What does not even begin
/// like JSON, in whichever encoding, is no message to any reader.
pub fn unread_message(body: &[u8], error: ScanError) -> Option<Problem> {
    (begins_like_json(body) == Some(true)).then(|| unreadable(error))
}

/// Whether a body begins as an object or a list does, in whichever encoding; absent where it has not begun.
pub fn begins_like_json(body: &[u8]) -> Option<bool> {
    let is_before =
        |byte: &&u8| byte.is_ascii_whitespace() || b"\0\xEF\xBB\xBF\xFE\xFF".contains(byte);
    let begins = body.iter().find(|byte| !is_before(byte))?;
    Some(matches!(begins, b'{' | b'['))
}

/// The problem of a body that can't be scanned.
pub(super) fn unreadable(error: ScanError) -> Problem {
    Problem {
        code: code_of(error),
        at: format!("byte {}", error.at),
        what: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_of_a_form_are_those_that_servers_read(text in "[-+]?(inf|Infinity|nan|[0-9.]{0,4})[eE]?[-+]?[0-9.]{0,3}") {
            prop_assert_eq!(is_number(&text), text.parse::<f64>().is_ok());
        }
    }
}
