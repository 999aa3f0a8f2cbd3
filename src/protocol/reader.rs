//! Base of the readers of all protocols.
//!
//! A reader *claims* the values that it knows. Every other string, key and long number is found at the end and
//! evaluated as text of class `unknown`. So a field that a provider adds later is inspected, too.

mod conversation;
mod embedded;
mod encoded;
mod form;
mod leaves;
mod messages;
mod names;
mod origin;
mod record;
mod repeated;
mod rows;
mod tokens;
mod tools;
mod unclaimed;

#[cfg(test)]
pub(crate) use conversation::known_turns_passed;
use embedded::text_of_media;
pub(super) use encoded::is_textual;
pub(super) use leaves::is_tag;
use messages::Section;
use names::Names;
pub(super) use names::is_case_variant;
pub use origin::{Emit, Origin};
#[cfg(test)]
pub(crate) use repeated::known_tools_passed;
use rows::is_one_of;
pub(super) use rows::is_one_word;
pub(super) use rows::{Roles, Row, Type, UsageKeys};
pub(super) use tools::{CallBuilder, DESCRIPTION, SCHEMA, is_data_url};

use super::Endpoint;
use super::stream::{Delta, FrameReading, TextDelta, TextKey};

use crate::diag::codes;
use crate::event::{
    Attachments, Author, Class, Direction, Event, Form, Kind, Known, PolicyKey, Problem, Reading,
    Text, TextNames,
};
use crate::wire::json::{
    self, JsonBody, JsonText, Limits, NodeId, ScanError, ScanErrorKind, Value,
};
use crate::wire::letter_case;
use crate::wire::sorted_map::SortedMap;
use crate::wire::span::{index, offset};
use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

/// Minimum bytes of a name that is inspected. Shorter names contain nothing that is searched in a name.
const SHORTEST_TELLING_NAME: usize = 13;

/// Maximum problems reported for one body. Of each code at least one is reported.
const MAX_PROBLEMS: usize = 64;

/// Bounds of reading one body, set by the policy's `inspect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Maximum nesting of arrays and objects.
    pub max_depth: u16,
    /// Maximum depth of JSON strings that contain JSON.
    pub nested_json: u8,
    /// Whether structured results of tools are inspected.
    pub results: bool,
    /// Whether results are evaluated together with the arguments of their call.
    pub result_args: bool,
    /// What content that has come before is known for; `None`: it is read each time.
    pub repeats: Option<PolicyKey>,
}

/// Reader of a body.
pub struct Reader<'b> {
    /// Body, with the JSON texts nested in it.
    pub json: JsonBody<'b>,
    /// Results so far.
    pub reading: Reading,
    direction: Direction,
    /// Whether structured results of tools are inspected.
    pub results: bool,
    repeats: Option<PolicyKey>,
    /// Whether the body is a form, whose values are all strings.
    is_form: bool,
    /// Document that is being read: the body, or one of its records.
    current: u16,
    /// Whether the body is a frame of a stream.
    is_frame: bool,
    /// Further results of reading a frame of a stream.
    pub frame: FrameReading,
    /// Whether results are evaluated together with the arguments of their call.
    pub result_args: bool,
    /// For each node of the document, whether a reader claimed it.
    claimed: Vec<bool>,
    /// Whether the reader is inside a signed block.
    sealed: bool,
    /// Nodes of the body that belong to one of several choices, in order, each with the number of the choice.
    choices: Vec<(Range<u32>, u32)>,
    /// Whether keys may be in camelCase or in snake_case, and numbers may be strings, as in Google's JSON of protocol
    /// buffers.
    pub proto_json: bool,
    /// JSON-RPC messages, in the order of the nodes.
    messages: Vec<Section>,
    /// Arguments of the calls that results answer, by the numbers of the requests.
    arguments: SortedMap<u32, Known<NodeId>>,
    /// How often a model was named. A name that is known already counts as well.
    models: usize,
    /// Positions of names that are long enough to be inspected. They are not texts of any event.
    names: Vec<NodeId>,
}

/// Visitor of an object's members; `K` identifies the member. There are hundreds of visitors. A `dyn FnMut` produces
/// more code for each of them than this trait, because it can also be called once.
pub trait VisitField<'b, 'v, K> {
    /// Reads a member.
    fn take(&mut self, reader: &mut Reader<'b>, key: K, value: Value<'v>);
}

impl<'b, 'v, K, F: FnMut(&mut Reader<'b>, K, Value<'v>)> VisitField<'b, 'v, K> for F {
    fn take(&mut self, reader: &mut Reader<'b>, key: K, value: Value<'v>) {
        self(reader, key, value);
    }
}

/// Visitor of the elements of a list.
trait VisitElement<'b, 'v> {
    fn take(&mut self, reader: &mut Reader<'b>, value: Value<'v>);
}

impl<'b, 'v, F: FnMut(&mut Reader<'b>, Value<'v>)> VisitElement<'b, 'v> for F {
    fn take(&mut self, reader: &mut Reader<'b>, value: Value<'v>) {
        self(reader, value);
    }
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
    /// The problem that makes the whole payload unreadable.
    pub fn of_frame(payload: Vec<u8>, bounds: Bounds) -> Result<Reader<'static>, Problem> {
        let limits = Limits {
            max_depth: bounds.max_depth,
        };
        let json = JsonBody::owned(payload, limits, bounds.nested_json).map_err(unreadable)?;
        Ok(Reader {
            is_frame: true,
            ..Reader::over(json, Direction::Response, bounds)
        })
    }

    /// Finishes the reading of a frame.
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
        let mut reading = Reading::new();
        // Every second to eighth node of a chat body is a text, and every fourth to sixteenth has an event, so that their lists
        // seldom grow. Room that isn't needed isn't touched.
        reading
            .texts
            .reserve(index(nodes).wrapping_div(2).min(4_096));
        let events = index(nodes).wrapping_div(4).min(512);
        if events > 4 {
            reading.events.reserve(events);
        }
        Reader {
            json,
            reading,
            direction,
            results: bounds.results,
            repeats: bounds.repeats,
            is_form: false,
            current: 0,
            is_frame: false,
            frame: FrameReading::default(),
            result_args: bounds.result_args,
            messages: Vec::new(),
            arguments: SortedMap::new(),
            models: 0,
            names: Vec::new(),
            claimed: vec![false; index(nodes)],
            sealed: false,
            choices: Vec::new(),
            proto_json: false,
        }
    }

    /// Returns whether the body is a list of objects.
    pub(super) fn holds_records(&self) -> bool {
        self.json.body().is_some_and(|body| {
            let root = body.root();
            root.elements().next().is_some()
                && root
                    .elements()
                    .all(|record| record.kind() == json::ValueKind::Object)
        })
    }

    /// Adds the model in the path.
    pub(super) fn model_of_path(&mut self, endpoint: &Endpoint) {
        endpoint.add_models(&mut self.reading.models);
    }

    /// Returns the document that is being read: the body, or the record inside [`record`](Reader::record).
    pub fn body(&self) -> Option<Rc<JsonText<'b>>> {
        self.json.shared(self.current)
    }

    /// Returns the direction that is being read.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Returns the author of a request's text; a response has none.
    pub fn author(&self, author: Author) -> Known<Author> {
        match self.direction {
            Direction::Request => Known::Is(author),
            Direction::Response => Known::Missing,
        }
    }

    /// Finishes the reading: every unclaimed value becomes text of class `unknown`.
    pub fn finish(mut self) -> (JsonBody<'b>, Reading) {
        self.report_unclaimed();
        for place in std::mem::take(&mut self.names) {
            self.register(place, Class::Name, Form::String, TextNames::NONE);
        }
        self.end_messages(0);
        (self.json, self.reading)
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

    /// Returns whether a value is claimed.
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

    /// Assigns a value of the body to one of several choices. Unknown texts in the value belong to that choice, too.
    /// Call this in the order of the values.
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

    /// Reads the content of a signed block: its texts are evaluated but never edited.
    pub fn in_signed(&mut self, is_signed: bool, read: impl FnOnce(&mut Self)) {
        let outer = self.sealed;
        self.sealed |= is_signed;
        read(self);
        self.sealed = outer;
    }

    /// Claims a value itself, not its content: known structure (a container, a number, a boolean, null).
    pub fn claim(&mut self, value: Value<'_>) {
        self.claim_place(value.place());
    }

    /// Claims a value and its content: structure that contains no text.
    pub fn claim_all(&mut self, value: Value<'_>) {
        let place = value.place();
        if place.doc == self.current
            && let Some(claimed) = self
                .claimed
                .get_mut(index(place.node)..index(value.end_node()))
        {
            claimed.fill(true);
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

    /// Reads a number; `null` counts as absent.
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

    /// Reads the number of answers that the caller asks for.
    pub fn answers(&mut self, value: Value<'_>) {
        let number = self.number(value);
        self.reading.asks_for_several |= number.is_some_and(|number| number > 1);
    }

    /// Reads a boolean; `null` counts as absent.
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

    /// Claims a word from a closed list, `"auto|any|none"`. Any other word is not claimed and so evaluated as text.
    pub fn word(&mut self, value: Value<'_>, words: &str) {
        match value.kind() {
            json::ValueKind::String if is_one_of(value, words) => self.claim(value),
            json::ValueKind::Null => self.claim(value),
            json::ValueKind::String => {}
            _ if self.direction == Direction::Request => self.wrong_type(value, "a string"),
            _ => {}
        }
    }

    /// Claims such a word in one member of an object whose other members are read elsewhere.
    pub fn word_of(&mut self, object: Value<'_>, name: &str, words: &str) {
        for (key, value) in object.members() {
            if key.is_text(name) && !key.has_escapes() {
                self.claim(key);
                self.word(value, words);
            }
        }
    }

    /// Reads an identifier, in which only unmistakable secrets count.
    pub fn id(&mut self, value: Value<'_>) {
        self.mark(value, Class::Id);
    }

    /// Reads a signed, encrypted or otherwise unreadable value. It is counted, and evaluated by rules about opaque
    /// content. Text that no encoding has (white space, an `@`, characters outside ASCII) is none: it stays unclaimed, and is
    /// evaluated.
    pub fn opaque(&mut self, value: Value<'_>, class: &'static str) {
        let fits = |byte: &u8| byte.is_ascii_graphic() && *byte != b'@';
        let text = value.text().unwrap_or_default();
        let mut chunks = text.as_bytes().chunks(4096);
        if chunks.all(|chunk| chunk.iter().fold(true, |all, byte| all & fits(byte))) {
            self.mark(value, Class::Opaque);
        }
        self.uninspectable(value, class);
    }

    /// Reads bytes of an image, audio or file, as base64 or as a `data:` URL. Other content is evaluated as text, and so are
    /// bytes that are a text, whatever they are called: whoever asks for a file may read them.
    pub fn media(&mut self, value: Value<'_>) {
        let text = value.text();
        let is_bytes = text.as_ref().is_none_or(|text| is_encoded(text.as_bytes()));
        if is_bytes {
            self.mark(value, Class::Media);
        }
        match text.and_then(|text| text_of_media(&text)) {
            Some(text) => self.disguised_text(value, &text),
            None => self.text_past_strays(value),
        }
    }

    fn mark(&mut self, value: Value<'_>, class: Class) {
        match value.kind() {
            json::ValueKind::String => {
                self.claim(value);
                if class == Class::Id {
                    self.register(value.place(), class, Form::String, TextNames::NONE);
                }
            }
            json::ValueKind::Null => self.claim(value),
            _ => self.mistyped(value, "a string"),
        }
    }

    /// Reads a part that no rule can inspect, and counts it under its kind.
    pub fn attachment(
        &mut self,
        value: Value<'_>,
        count: impl FnOnce(&mut Attachments) -> &mut u32,
    ) {
        self.count_attachment(count);
        self.uninspectable(value, "attachment");
    }

    /// Counts a part that is not conversation text but can be read: the text of a document.
    pub fn count_attachment(&mut self, count: impl FnOnce(&mut Attachments) -> &mut u32) {
        let counter = count(&mut self.reading.attachments);
        *counter = counter.saturating_add(1);
    }

    /// Adds an event for content that cannot be read: `attachment`, `provider_state`, `opaque`, …
    #[inline(never)]
    pub fn uninspectable(&mut self, value: Value<'_>, class: &'static str) {
        let mut event = Event::new(Kind::Uninspectable, self.direction, value.place());
        event.opacity = Some(class);
        self.reading.add(event);
    }

    /// Reads a name for comparison: of a tool, of a model.
    pub fn name<'v>(&mut self, value: Value<'v>) -> Option<Cow<'v, str>> {
        match value.kind() {
            json::ValueKind::String if value.has_lone_surrogate() => {
                self.problem(codes::AG2001, value, "an unpaired surrogate in a name");
                None
            }
            json::ValueKind::String => {
                self.claim(value);
                // The name of a model or a tool should not contain a secret or a card number.
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
    fn register(&mut self, place: NodeId, class: Class, form: Form, names: TextNames) -> u32 {
        let class = self.class_at(place, class);
        self.add_text(Text {
            place,
            class,
            form,
            names,
            is_data: false,
        })
    }

    /// The class of a text that stands here. It is the same for all texts of a document.
    fn class_at(&self, place: NodeId, class: Class) -> Class {
        match class {
            Class::Text if self.sealed => Class::Sealed,
            // Decoded text, and the replacement of a body that is not JSON, cannot be mapped back to the bytes.
            Class::Text if !self.json.is_editable(place) => Class::Unknown,
            class => class,
        }
    }

    #[inline(always)]
    fn add_text(&mut self, text: Text) -> u32 {
        let number = self.text_count();
        if text.class == Class::Sealed {
            self.reading.sealed.insert(text.place);
        }
        self.reading.texts.push(text);
        number
    }

    /// Registers one text and adds its event.
    pub fn text(&mut self, value: Value<'_>, origin: &Origin) -> Range<u32> {
        let texts = self.register_text(value, Class::Text);
        self.emit_text(value, texts.clone(), origin);
        texts
    }

    /// Registers a string that is evaluated as text but never edited, such as a reference that would no longer
    /// resolve.
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
                let text = self.register(value.place(), class, Form::String, TextNames::NONE);
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

    /// Returns the number of texts so far, which is the number of the next one.
    pub fn text_count(&self) -> u32 {
        offset(self.reading.texts.len())
    }

    fn no_texts(&self) -> Range<u32> {
        let end = self.text_count();
        end..end
    }

    /// Claims the numbers in a value, and keys that are numbers (`logit_bias` is keyed by token).
    pub fn claim_numbers(&mut self, value: Value<'_>) {
        if !value.holds_strings() {
            return self.claim_all(value);
        }
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

    /// Registers everything in a value that can contain text: strings, keys, long numbers. For free structure such as
    /// arguments or a schema; each string can be edited.
    #[inline(never)]
    pub fn tree(&mut self, value: Value<'_>) -> Range<u32> {
        let start = self.text_count();
        let class = self.class_at(value.place(), Class::Text);
        self.claim_all(value);
        self.reading.add_texts(value, class);
        start..self.text_count()
    }

    /// Adds the event of registered texts: one `message` or `response`.
    pub fn emit_text(&mut self, at: Value<'_>, texts: Range<u32>, origin: &Origin) {
        match origin.emit {
            Emit::Own => self.emit_text_event(at, texts, origin, false),
            Emit::Also => self.emit_text_event(at, texts, origin, true),
            Emit::Never => {}
        }
    }

    /// Marks the events since `first` as copies of others.
    #[inline(never)]
    pub fn mark_copies(&mut self, first: usize) {
        for event in self.reading.events.iter_mut().skip(first) {
            event.is_duplicate = true;
        }
    }

    /// Adds an event of texts that another event contains as well.
    pub fn emit_duplicate(&mut self, at: Value<'_>, texts: Range<u32>, origin: &Origin) {
        self.emit_text_event(at, texts, origin, true);
    }

    fn emit_text_event(
        &mut self,
        at: Value<'_>,
        texts: Range<u32>,
        origin: &Origin,
        is_duplicate: bool,
    ) {
        if texts.is_empty() {
            return;
        }
        if let Some(item) = origin.piece_of {
            let text_key = TextKey {
                choice: origin.choice,
                part: origin.part,
                item,
            };
            self.text_deltas(texts, text_key);
            return;
        }
        let mut event = Event::new(self.text_kind(), self.direction, at.place());
        event.texts = texts;
        event.from = origin.from.clone();
        event.part = origin.part;
        event.turn = origin.turn;
        event.choice = origin.choice;
        event.is_duplicate = is_duplicate;
        self.reading.add(event);
    }

    fn text_deltas(&mut self, texts: Range<u32>, text_key: TextKey) {
        let texts = self.reading.texts.of(texts);
        let pieces = texts
            .iter()
            .map(|text| Delta::Text(TextDelta::new(text_key, text.place, text.class)));
        self.frame.pieces.extend(pieces);
    }

    /// Parses the JSON text in a string, such as the arguments of a call. An empty string counts as none.
    ///
    /// # Errors
    /// The error of the scanner.
    pub fn open(&mut self, string: Value<'_>) -> Result<Option<Rc<JsonText<'b>>>, ScanError> {
        self.claim(string);
        if string.raw_content().trim_ascii().is_empty() {
            return Ok(None);
        }
        self.json.open(string).map(Some)
    }

    /// Reports a known field whose type its protocol does not allow.
    pub fn wrong_type(&mut self, value: Value<'_>, expected: &str) {
        let what = format!("{expected} is expected here, not {}", value.kind().name());
        self.problem(codes::AG2001, value, &what);
    }

    /// Reports something that could not be read.
    pub fn problem(&mut self, code: &'static str, value: Value<'_>, what: &str) {
        let problems = &self.reading.problems;
        // Finding the position costs a walk over the body. Thousands of problems with the same code add no
        // information.
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

/// Returns whether a string contains only bytes in base64, after the header of a `data:` URL if there is one.
fn is_encoded(content: &[u8]) -> bool {
    let bytes = match content.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"data:") => content
            .iter()
            .position(|b| *b == b',')
            .and_then(|comma| content.get(comma..))
            .unwrap_or(content),
        _ => content,
    };
    // MIME inserts line breaks.
    let fits = |b: u8| {
        b.is_ascii_alphanumeric()
            | matches!(b, b'+' | b'/' | b'-' | b'_' | b'=' | b',' | b'\r' | b'\n')
    };
    // Megabytes of base64 are usual. Without an early exit inside a chunk, many bytes are checked at a time.
    bytes
        .chunks(4096)
        .all(|chunk| chunk.iter().fold(true, |all, b| all & fits(*b)))
}

/// Returns whether a text in a form is a number as servers read one: `3`, `-.5`, `1e9`, `NaN`.
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

/// Returns the stable code of a body that is not JSON.
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

/// Returns the problem of a body that is not JSON but had to show the protocol of its request. A body that does not
/// even begin like JSON, in any encoding, is not a message to any reader.
pub fn unread_message(body: &[u8], error: ScanError) -> Option<Problem> {
    (begins_like_json(body) == Some(true)).then(|| unreadable(error))
}

/// Returns whether a body begins like an object or a list, in any encoding; `None` if it has not begun.
pub fn begins_like_json(body: &[u8]) -> Option<bool> {
    let is_before =
        |byte: &&u8| byte.is_ascii_whitespace() || b"\0\xEF\xBB\xBF\xFE\xFF".contains(byte);
    let begins = body.iter().find(|byte| !is_before(byte))?;
    Some(matches!(begins, b'{' | b'['))
}

/// Returns the problem of a body that cannot be scanned.
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
