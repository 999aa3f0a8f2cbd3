//! JSON inside strings, parsed on demand. A tool may decode `x` in `{"x": "{\"amount\": 500}"}`, so that a rule on
//! `x.amount` applies to it. A protocol parser opens the strings that its protocol defines as JSON (arguments); any
//! other string is opened when a path leads into it.

use super::body::{JsonBody, NodeId};
use super::pointer_cache::PointerCache;
use super::scan::{ScanErrorKind, Tape, as_text, scan};
use super::string::DecodedOffsets;
use super::value::{Backing, JsonText, Value, ValueKind};
use crate::wire::sorted_map::SortedMap;
use crate::wire::span::index;
use crate::wire::work;
use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;

/// The number of the first text in this store.
pub(super) const FIRST: u16 = 0xF000;

/// Texts in one chunk.
const CHUNK: usize = 64;

/// Texts of a body that are opened on demand, at most.
pub(super) const MAX_ON_DEMAND: usize = CHUNK * CHUNK;

/// Maximum bytes of a string that is parsed again instead of being remembered.
const SHORT: usize = 64;

/// Work steps for parsing a string, besides its bytes.
const PARSED: usize = 100;

/// The content of a string.
#[derive(Clone, Copy, Debug)]
pub enum Inside<'a> {
    /// No JSON object, array or string.
    Nothing,
    /// An object, an array, or another string.
    Json(Value<'a>),
    /// JSON that parsers could read differently, that is nested too deep, or that exceeds the number of texts.
    Unread,
}

/// The result of an earlier lookup.
#[derive(Clone, Copy, Debug)]
enum Lookup {
    Nothing,
    At(u16),
    Unread,
}

/// The texts that were opened on demand so far. They never move, so that references to their values stay valid.
#[derive(Debug, Default)]
pub(super) struct OpenedTexts {
    chunks: OnceCell<Box<[OnceCell<Chunk>]>>,
    count: Cell<u16>,
    known: RefCell<SortedMap<NodeId, Lookup>>,
}

type Chunk = Box<[OnceCell<JsonText<'static>>]>;

fn cells<T>() -> Box<[OnceCell<T>]> {
    (0..CHUNK).map(|_| OnceCell::new()).collect()
}

impl OpenedTexts {
    /// Returns the cell of the text with this number.
    fn cell(&self, id: u16) -> Option<&OnceCell<JsonText<'static>>> {
        let at = usize::from(id.checked_sub(FIRST)?);
        let chunks = self.chunks.get_or_init(cells);
        let chunk = chunks.get(at.checked_div(CHUNK)?)?.get_or_init(cells);
        chunk.get(at.checked_rem(CHUNK)?)
    }

    pub(super) fn doc(&self, id: u16) -> Option<&JsonText<'static>> {
        self.cell(id)?.get()
    }

    pub(super) fn count(&self) -> u16 {
        self.count.get()
    }
}

impl JsonBody<'_> {
    /// Returns the JSON inside a string, within `max_level`. Each string is parsed once.
    pub fn inside(&self, string: Value<'_>) -> Inside<'_> {
        if string.kind() != ValueKind::String || !may_hold_json(string.raw_content()) {
            return Inside::Nothing;
        }
        let place = string.place();
        let known = self.opened.known.borrow().get(&place).copied();
        let known = known.unwrap_or_else(|| {
            let known = self.read_inside(string);
            // Parsing a short string again costs less than remembering it: a body may have millions.
            if matches!(known, Lookup::At(_)) || string.raw_content().len() > SHORT {
                self.opened.known.borrow_mut().insert(place, known);
            }
            known
        });
        match known {
            Lookup::Nothing => Inside::Nothing,
            Lookup::At(id) => self
                .opened
                .doc(id)
                .map_or(Inside::Unread, |doc| Inside::Json(doc.root())),
            Lookup::Unread => Inside::Unread,
        }
    }

    fn read_inside(&self, string: Value<'_>) -> Lookup {
        work::spend(string.raw_content().len().saturating_add(PARSED));
        let text = string.text().unwrap_or_default();
        if !text.trim_start().starts_with(['{', '[', '"']) {
            return Lookup::Nothing;
        }
        let mut bytes = text.into_owned().into_bytes();
        let mut tape = Tape::default();
        let mut scanned = scan(&bytes, self.limits, &mut tape);
        if let Err(error) = scanned
            && error.kind == ScanErrorKind::Trailing
        {
            // Stream parsers (Go's `Decoder`, Python's `raw_decode`) stop after the first value.
            bytes.truncate(error.at);
            tape = Tape::default();
            scanned = scan(&bytes, self.limits, &mut tape);
        }
        match scanned {
            Ok(()) => {}
            Err(error) if error.kind == ScanErrorKind::Syntax => return Lookup::Nothing,
            Err(_) => return Lookup::Unread,
        }
        let Ok(text) = as_text(Cow::Owned(bytes)) else {
            return Lookup::Unread;
        };
        let count = self.opened.count.get();
        let level = string.doc().level.saturating_add(1);
        let id = FIRST.checked_add(count).filter(|_| level <= self.max_level);
        let Some((id, cell)) = id.and_then(|id| Some((id, self.opened.cell(id)?))) else {
            return Lookup::Unread;
        };
        let doc = JsonText {
            id,
            text,
            tape,
            parent: Some(string.place()),
            backing: Backing::InString,
            level,
            pointers: PointerCache::default(),
        };
        match cell.set(doc) {
            Ok(()) => {
                self.opened.count.set(count.saturating_add(1));
                Lookup::At(id)
            }
            Err(_) => Lookup::Unread,
        }
    }

    /// Returns the part of an editable string that corresponds to a range of a string's text. It is the same range,
    /// unless the string is in JSON that [`inside`](JsonBody::inside) parsed.
    pub fn outside(&self, place: NodeId, range: Range<usize>) -> (NodeId, Range<usize>) {
        let (mut place, mut range) = (place, range);
        while place.doc >= FIRST
            && let Some(doc) = self.doc(place.doc)
            && let Some(parent) = doc.parent
        {
            let value = doc.value(place.node);
            let start = index(value.content_span().start);
            // Each range is looked for from the beginning.
            work::spend(range.end >> 2);
            let raw = DecodedOffsets::new(value.raw_content()).range(range);
            range = raw.start.saturating_add(start)..raw.end.saturating_add(start);
            place = parent;
        }
        (place, range)
    }
}

/// Returns whether the first character of a string, which may be escaped, can begin a JSON object, array or string.
fn may_hold_json(raw: &[u8]) -> bool {
    matches!(raw.first(), Some(b'{' | b'[' | b'\\' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::Limits;

    fn json(body: &str) -> JsonBody<'_> {
        JsonBody::scan(body.as_bytes(), Limits { max_depth: 8 }, 2).unwrap()
    }

    #[test]
    fn a_string_is_parsed_as_the_json_in_it() {
        let json = json(
            r#"{"a": "{\"b\": \"[1]\"}", "c": "\u007b}", "d": " [2]", "e": "\"[3]\"", "f": "{} {\"a\""}"#,
        );
        let root = json.body().unwrap();
        let read = |key: &str| match json.inside(root.root().get(key).unwrap()) {
            Inside::Json(value) => String::from_utf8_lossy(value.raw()).into_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(read("a"), r#"{"b": "[1]"}"#);
        assert_eq!(read("c"), "{}");
        assert_eq!(read("d"), "[2]");
        assert_eq!(read("e"), r#""[3]""#);
        assert_eq!(read("f"), "{}");
    }

    #[test]
    fn text_is_not_json_and_ambiguous_json_is_unread() {
        let json = json(
            r#"["[draft] x", "5", "true", "", "{\"a\":1,\"a\":2}", "[[[[[[[[[[1]]]]]]]]]]", "[draft"]"#,
        );
        let body = json.body().unwrap();
        let read: Vec<&str> = body
            .root()
            .elements()
            .map(|value| match json.inside(value) {
                Inside::Nothing => "nothing",
                Inside::Json(_) => "json",
                Inside::Unread => "unread",
            })
            .collect();
        assert_eq!(
            read,
            [
                "nothing", "nothing", "nothing", "nothing", "unread", "unread", "nothing"
            ]
        );
    }

    #[test]
    fn beyond_the_level_nothing_is_read() {
        let json = json(r#"["[\"[\\\"[1]\\\"]\"]"]"#);
        let body = json.body().unwrap();
        let mut value = body.root().element(0).unwrap();
        let mut levels = 0;
        while let Inside::Json(inner) = json.inside(value) {
            levels += 1;
            value = inner.element(0).unwrap();
        }
        assert_eq!(levels, 2);
        assert!(matches!(json.inside(value), Inside::Unread));
    }

    #[test]
    fn a_string_is_read_once_and_its_parts_are_found_in_the_body() {
        let body = r#"["{\"a\":\"{\\\"b\\\":\\\"x\\\\u0041yz\\\"}\"}"]"#;
        let json = json(body);
        let root = json.body().unwrap();
        let string = root.root().element(0).unwrap();
        let find = || {
            let Inside::Json(outer) = json.inside(string) else {
                panic!()
            };
            let Inside::Json(inner) = json.inside(outer.get("a").unwrap()) else {
                panic!()
            };
            inner.get("b").unwrap()
        };
        let found = find();
        assert_eq!(found.text().unwrap(), "xAyz");
        assert_eq!(found.place(), find().place());
        let (place, range) = json.outside(found.place(), 1..3);
        assert_eq!(place, string.place());
        assert_eq!(string.text().unwrap().get(range), Some(r"\\u0041y"));
        assert_eq!(json.outside(string.place(), 1..3).1, 1..3);
    }

    #[test]
    fn so_many_texts_are_read_and_no_more() {
        let count = CHUNK * CHUNK;
        let body = format!("[{}\"[]\"]", "\"[]\",".repeat(count));
        let json = json(&body);
        let root = json.body().unwrap();
        let read = |value| matches!(json.inside(value), Inside::Json(_));
        assert_eq!(
            root.root().elements().filter(|value| read(*value)).count(),
            count
        );
    }
}
