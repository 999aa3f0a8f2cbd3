//! What every protocol's reader is built from. Completeness by construction: a reader *claims* what it knows; every
//! string, key and long number that nobody claimed is found at the end and judged as text of class `unknown`, so that
//! a field that the provider adds tomorrow is not a hole.

mod tools;

use crate::diag::codes;
use crate::event::{
    Attachments, Author, Class, Direction, Event, Form, Kind, Known, Part, Problem, Reading, Text,
    Turn,
};
use crate::wire::json::{self, Doc, Limits, Nest, Place, ScanError, ScanErrorKind, Value};
use crate::wire::span::{index, offset};
use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

/// Numbers shorter than this hold nothing that a detector looks for, and bodies are full of them.
const SHORTEST_TELLING_NUMBER: usize = 7;

/// Bounds of reading one body; the policy's `inspect` sets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Deepest nesting of arrays and objects.
    pub max_depth: u16,
    /// How many strings deep JSON may be nested in JSON.
    pub nested_json: u8,
    /// Whether structured results of tools are looked into.
    pub results: bool,
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
}

impl Origin {
    /// Text of a request by a known author.
    pub fn of(from: Author, part: Part) -> Origin {
        Origin {
            from: Known::Is(from),
            part,
            turn: Turn::Latest,
            choice: 0,
        }
    }

    /// The same origin, another part.
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
    pub nest: Nest<'b>,
    /// What was found so far.
    pub reading: Reading,
    direction: Direction,
    /// Whether structured results of tools are looked into.
    pub results: bool,
    /// One entry for each node of the body: whether a reader knows what it is.
    claimed: Vec<bool>,
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
        let nest = Nest::scan(body, limits, bounds.nested_json).map_err(|error| Problem {
            code: code_of(error),
            at: format!("byte {}", error.at),
            what: what_of(error),
        })?;
        let nodes = nest.body().map_or(0, |doc| doc.len());
        Ok(Reader {
            nest,
            reading: Reading::default(),
            direction,
            results: bounds.results,
            claimed: vec![false; index(nodes)],
        })
    }

    /// The body's outermost document.
    pub fn body(&self) -> Option<Rc<Doc<'b>>> {
        self.nest.body()
    }

    /// Which half of the exchange is read.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Ends the reading: whatever was not claimed becomes text of class `unknown`.
    pub fn finish(mut self) -> (Nest<'b>, Reading) {
        let Some(doc) = self.body() else {
            return (self.nest, self.reading);
        };
        let from = match self.direction {
            Direction::Request => Known::Unknown,
            Direction::Response => Known::Missing,
        };
        let mut key = None;
        let mut group: Option<Event> = None;
        for node in doc.root().descendants() {
            let place = node.value.place();
            if node.is_key {
                key = Some(place);
            }
            if self.is_claimed(place) {
                // Values inside known structure end a run of unknown ones; the run is one event.
                if let Some(event) = group.take() {
                    self.reading.events.push(event);
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
                    event.texts = text..text.saturating_add(1);
                    group = Some(event);
                }
            }
        }
        self.reading.events.extend(group);
        (self.nest, self.reading)
    }

    fn text_kind(&self) -> Kind {
        match self.direction {
            Direction::Request => Kind::Message,
            Direction::Response => Kind::Response,
        }
    }

    fn is_claimed(&self, place: Place) -> bool {
        place.doc != 0 || self.claimed.get(index(place.node)).copied().unwrap_or(true)
    }

    fn claim_place(&mut self, place: Place) {
        if place.doc == 0
            && let Some(claimed) = self.claimed.get_mut(index(place.node))
        {
            *claimed = true;
        }
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

    /// Reads an object member by member; `null` counts as absent. `keys` are all that its format knows; only those reach `read`. A key that is
    /// written in another letter case or with escapes is AG2002: some servers fold case, so that two readers differ.
    pub fn object<'v>(
        &mut self,
        value: Value<'v>,
        keys: &[&'static str],
        mut read: impl FnMut(&mut Self, &'static str, Value<'v>),
    ) {
        if !matches!(value.kind(), json::Kind::Object | json::Kind::Null) {
            self.wrong_type(value, "an object");
            return;
        }
        self.claim(value);
        for (key, member) in value.members() {
            let name = if key.has_escapes() {
                None
            } else {
                keys.iter()
                    .find(|name| name.as_bytes() == key.raw_content())
            };
            match name {
                Some(name) => {
                    self.claim(key);
                    read(self, name, member);
                }
                None => self.refuse_variant(key, keys),
            }
        }
    }

    fn refuse_variant(&mut self, key: Value<'_>, keys: &[&'static str]) {
        let Some(text) = key.text() else { return };
        if let Some(name) = keys.iter().find(|name| is_case_variant(&text, name)) {
            self.problem(
                codes::AG2002,
                key,
                format!("a key that some servers read as `{name}`"),
            );
        }
    }

    /// Reads an array element by element; `null` counts as absent.
    pub fn array<'v>(&mut self, value: Value<'v>, mut read: impl FnMut(&mut Self, Value<'v>)) {
        if !matches!(value.kind(), json::Kind::Array | json::Kind::Null) {
            self.wrong_type(value, "an array");
            return;
        }
        self.claim(value);
        for element in value.elements() {
            read(self, element);
        }
    }

    /// A number; `null` counts as absent.
    pub fn number(&mut self, value: Value<'_>) -> Option<u64> {
        match value.kind() {
            json::Kind::Number | json::Kind::Null => self.claim(value),
            _ => self.wrong_type(value, "a number"),
        }
        value.as_u64()
    }

    /// A boolean; `null` counts as absent.
    pub fn boolean(&mut self, value: Value<'_>) -> Option<bool> {
        match value.kind() {
            json::Kind::Bool(_) | json::Kind::Null => self.claim(value),
            _ => self.wrong_type(value, "a boolean"),
        }
        value.as_bool()
    }

    /// A word out of a closed list. Another word is not claimed and so judged as text.
    pub fn word(&mut self, value: Value<'_>, known: &[&str]) {
        match value.kind() {
            json::Kind::String if known.iter().any(|word| value.is_text(word)) => self.claim(value),
            json::Kind::Null => self.claim(value),
            _ => {}
        }
    }

    /// An identifier: only unmistakable secrets count in it.
    pub fn id(&mut self, value: Value<'_>) {
        self.mark(value, Class::Id);
    }

    /// Signed, encrypted or otherwise unreadable: counted, and judged by rules about what is opaque.
    pub fn opaque(&mut self, value: Value<'_>, class: &'static str) {
        self.mark(value, Class::Opaque);
        self.uninspectable(value, class);
    }

    /// Image, audio or file bytes.
    pub fn media(&mut self, value: Value<'_>) {
        self.mark(value, Class::Media);
    }

    fn mark(&mut self, value: Value<'_>, class: Class) {
        match value.kind() {
            json::Kind::String => {
                self.claim(value);
                if class == Class::Id {
                    self.register(value.place(), class, Form::String, None);
                }
            }
            json::Kind::Null => self.claim(value),
            _ => self.wrong_type(value, "a string"),
        }
    }

    /// A part that no rule can look into; what kind of part it is, it is counted under.
    pub fn attachment(
        &mut self,
        value: Value<'_>,
        count: impl FnOnce(&mut Attachments) -> &mut u32,
    ) {
        let counter = count(&mut self.reading.attachments);
        *counter = counter.saturating_add(1);
        self.uninspectable(value, "attachment");
    }

    /// Something that is there and can't be read: `attachment`, `provider_state`, `opaque`, …
    pub fn uninspectable(&mut self, value: Value<'_>, class: &'static str) {
        let mut event = Event::new(Kind::Uninspectable, self.direction, value.place());
        event.opacity = Some(class);
        self.reading.events.push(event);
    }

    /// A name that is compared: a tool's, a model's.
    pub fn name<'v>(&mut self, value: Value<'v>) -> Option<Cow<'v, str>> {
        match value.kind() {
            json::Kind::String if value.has_lone_surrogate() => {
                self.problem(
                    codes::AG2001,
                    value,
                    "an unpaired surrogate in a name".to_owned(),
                );
                None
            }
            json::Kind::String => {
                self.claim(value);
                value.text()
            }
            json::Kind::Null => {
                self.claim(value);
                None
            }
            _ => {
                self.wrong_type(value, "a string");
                None
            }
        }
    }

    fn register(&mut self, place: Place, class: Class, form: Form, key: Option<Place>) -> u32 {
        let number = self.text_count();
        self.reading.texts.push(Text {
            place,
            class,
            form,
            key,
        });
        number
    }

    /// One text, and the event that tells of it.
    pub fn text(&mut self, value: Value<'_>, origin: &Origin) -> Range<u32> {
        let texts = self.quiet_text(value, Class::Text);
        self.tell(value, texts.clone(), origin);
        texts
    }

    /// A string that is judged as text and never edited: a reference whose other end would not be found.
    pub fn reference(&mut self, value: Value<'_>, origin: &Origin) {
        let texts = self.quiet_text(value, Class::Unknown);
        self.tell(value, texts, origin);
    }

    /// Registers a text without an event of its own.
    pub fn quiet_text(&mut self, value: Value<'_>, class: Class) -> Range<u32> {
        match value.kind() {
            json::Kind::String => {
                self.claim(value);
                let text = self.register(value.place(), class, Form::String, None);
                text..text.saturating_add(1)
            }
            json::Kind::Null => {
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
                json::Kind::String => {
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
    pub fn tree(&mut self, value: Value<'_>) -> Range<u32> {
        let start = self.text_count();
        let mut key = None;
        for node in value.descendants() {
            self.claim(node.value);
            let place = node.value.place();
            if node.is_key {
                key = Some(place);
            }
            if let Some(form) = telling_form(node.is_key, node.value) {
                self.register(place, Class::Text, form, key.filter(|key| *key != place));
            }
        }
        start..self.text_count()
    }

    /// Tells of texts that were registered: one `message` or `response` event.
    pub fn tell(&mut self, at: Value<'_>, texts: Range<u32>, origin: &Origin) {
        self.tell_again(at, texts, origin, false);
    }

    /// Tells of texts that another event tells of as well.
    pub fn retell(&mut self, at: Value<'_>, texts: Range<u32>, origin: &Origin) {
        self.tell_again(at, texts, origin, true);
    }

    fn tell_again(&mut self, at: Value<'_>, texts: Range<u32>, origin: &Origin, retold: bool) {
        if texts.is_empty() {
            return;
        }
        let mut event = Event::new(self.text_kind(), self.direction, at.place());
        event.texts = texts;
        event.from = origin.from.clone();
        event.part = origin.part;
        event.turn = origin.turn;
        event.choice = origin.choice;
        event.retold = retold;
        self.reading.events.push(event);
    }

    /// Reads the JSON text that a string holds: a call's arguments. An empty string stands for none.
    ///
    /// # Errors
    /// What the scanner refuses.
    pub fn open(&mut self, string: Value<'_>) -> Result<Option<Rc<Doc<'b>>>, ScanError> {
        self.claim(string);
        if string.raw_content().trim_ascii().is_empty() {
            return Ok(None);
        }
        self.nest.open(string).map(Some)
    }

    /// Notes that a known field has a type that its protocol does not allow.
    pub fn wrong_type(&mut self, value: Value<'_>, expected: &str) {
        let what = format!("{expected} is expected here, not {}", value.kind().name());
        self.problem(codes::AG2001, value, what);
    }

    /// Notes something that could not be read.
    pub fn problem(&mut self, code: &'static str, value: Value<'_>, what: String) {
        self.reading.problems.push(Problem {
            code,
            at: self.nest.pointer(value.place()),
            what,
        });
    }
}

/// How a node can hold text; `None` if it can't.
fn telling_form(is_key: bool, value: Value<'_>) -> Option<Form> {
    match value.kind() {
        json::Kind::String if is_key => Some(Form::Key),
        json::Kind::String => Some(Form::String),
        json::Kind::Number if value.raw().len() >= SHORTEST_TELLING_NUMBER => Some(Form::Number),
        _ => None,
    }
}

/// Whether some JSON library would take `key` for `name`. Go's folds case by Unicode's simple folding, under which
/// `ſ` (U+017F) is `s` and `K` (U+212A) is `k`. A key equal after decoding counts too: it was written with escapes.
fn is_case_variant(key: &str, name: &str) -> bool {
    key.chars()
        .map(|c| match c {
            '\u{17F}' => 's',
            '\u{212A}' => 'k',
            _ => c.to_ascii_lowercase(),
        })
        .eq(name.chars().map(|c| c.to_ascii_lowercase()))
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

fn what_of(error: ScanError) -> String {
    error.to_string()
}
