//! JSON inside strings, read once somebody asks for what is in it: `{"x": "{\"amount\": 500}"}` has an amount for a tool
//! that decodes `x`. What a protocol itself holds so (arguments) is opened while the body is read; of the other strings
//! nobody can tell before a path leads into one.

use super::nest::{Nest, Place};
use super::scan::{ScanErrorKind, Tape, scan};
use super::string::DecodedOffsets;
use super::trail::Trail;
use super::value::{Doc, Held, Kind, Value};
use crate::wire::btree::BTreeMap;
use crate::wire::span::index;
use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;

/// Numbers from here on are those of texts in this store.
pub(super) const FIRST: u16 = 0xF000;

/// Texts in one chunk, and chunks: a body has 4,096 texts at most that are opened so.
const CHUNK: usize = 64;

/// A string that is read in no time, in bytes.
const SHORT: usize = 64;

/// What a string holds.
#[derive(Clone, Copy, Debug)]
pub enum Inside<'a> {
    /// No JSON that anything could be found in.
    Nothing,
    /// An object, an array, or another string.
    Json(Value<'a>),
    /// Something that readers could understand differently, that lies too deep, or is one text too many.
    Unread,
}

/// Where something was found that was read before.
#[derive(Clone, Copy, Debug)]
enum Known {
    Nothing,
    At(u16),
    Unread,
}

/// The texts that were opened so far. They stay where they are, so that what was found in them can be kept.
#[derive(Debug, Default)]
pub(super) struct Opened {
    chunks: OnceCell<Box<[OnceCell<Chunk>]>>,
    count: Cell<u16>,
    known: RefCell<BTreeMap<Place, Known>>,
}

type Chunk = Box<[OnceCell<Doc<'static>>]>;

fn cells<T>() -> Box<[OnceCell<T>]> {
    (0..CHUNK).map(|_| OnceCell::new()).collect()
}

impl Opened {
    /// Where a text of this number stands or will stand.
    fn cell(&self, id: u16) -> Option<&OnceCell<Doc<'static>>> {
        let at = usize::from(id.checked_sub(FIRST)?);
        let chunks = self.chunks.get_or_init(cells);
        let chunk = chunks.get(at.checked_div(CHUNK)?)?.get_or_init(cells);
        chunk.get(at.checked_rem(CHUNK)?)
    }

    pub(super) fn doc(&self, id: u16) -> Option<&Doc<'static>> {
        self.cell(id)?.get()
    }
}

impl Nest<'_> {
    /// The JSON that a string holds, within the level that was set at the start. Each string is read once.
    pub fn inside(&self, string: Value<'_>) -> Inside<'_> {
        if string.kind() != Kind::String || !may_hold_json(string.raw_content()) {
            return Inside::Nothing;
        }
        let place = string.place();
        let known = self.opened.known.borrow().get(&place).copied();
        let known = known.unwrap_or_else(|| {
            let known = self.read_inside(string);
            // What is short is read again sooner than it is remembered: there may be millions.
            if matches!(known, Known::At(_)) || string.raw_content().len() > SHORT {
                self.opened.known.borrow_mut().insert(place, known);
            }
            known
        });
        match known {
            Known::Nothing => Inside::Nothing,
            Known::At(id) => self
                .opened
                .doc(id)
                .map_or(Inside::Unread, |doc| Inside::Json(doc.root())),
            Known::Unread => Inside::Unread,
        }
    }

    fn read_inside(&self, string: Value<'_>) -> Known {
        let text = string.text().unwrap_or_default();
        if !text.trim_start().starts_with(['{', '[', '"']) {
            return Known::Nothing;
        }
        let mut bytes = text.into_owned().into_bytes();
        let mut tape = Tape::default();
        let mut scanned = scan(&bytes, self.limits, &mut tape);
        if let Err(error) = scanned
            && error.kind == ScanErrorKind::Trailing
        {
            // Readers of streams (Go's `Decoder`, Python's `raw_decode`) stop behind the first value.
            bytes.truncate(error.at);
            tape = Tape::default();
            scanned = scan(&bytes, self.limits, &mut tape);
        }
        match scanned {
            Ok(()) => {}
            Err(error) if error.kind == ScanErrorKind::Syntax => return Known::Nothing,
            Err(_) => return Known::Unread,
        }
        let count = self.opened.count.get();
        let level = string.doc().level.saturating_add(1);
        let id = FIRST.checked_add(count).filter(|_| level <= self.max_level);
        let Some((id, cell)) = id.and_then(|id| Some((id, self.opened.cell(id)?))) else {
            return Known::Unread;
        };
        let doc = Doc {
            id,
            bytes: Cow::Owned(bytes),
            tape,
            parent: Some(string.place()),
            held: Held::InString,
            level,
            trail: Trail::default(),
        };
        match cell.set(doc) {
            Ok(()) => {
                self.opened.count.set(count.saturating_add(1));
                Known::At(id)
            }
            Err(_) => Known::Unread,
        }
    }

    /// Part of a string's text, as part of the text of the string around it that can be edited: the same one unless it
    /// stands in JSON that [`inside`](Nest::inside) read.
    pub fn outside(&self, place: Place, range: Range<usize>) -> (Place, Range<usize>) {
        let (mut place, mut range) = (place, range);
        while place.doc >= FIRST
            && let Some(doc) = self.doc(place.doc)
            && let Some(parent) = doc.parent
        {
            let value = doc.value(place.node);
            let start = index(value.content_span().start);
            let raw = DecodedOffsets::new(value.raw_content()).range(range);
            range = raw.start.saturating_add(start)..raw.end.saturating_add(start);
            place = parent;
        }
        (place, range)
    }
}

/// Whether the first letter of a string could be that of JSON that holds something. A letter may be escaped.
fn may_hold_json(raw: &[u8]) -> bool {
    matches!(raw.first(), Some(b'{' | b'[' | b'\\' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::Limits;

    fn nest(body: &str) -> Nest<'_> {
        Nest::scan(body.as_bytes(), Limits { max_depth: 8 }, 2).unwrap()
    }

    #[test]
    fn a_string_is_read_as_the_json_that_it_holds() {
        let nest = nest(
            r#"{"a": "{\"b\": \"[1]\"}", "c": "\u007b}", "d": " [2]", "e": "\"[3]\"", "f": "{} {\"a\""}"#,
        );
        let root = nest.body().unwrap();
        let read = |key: &str| match nest.inside(root.root().get(key).unwrap()) {
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
    fn what_is_no_json_holds_nothing_and_what_is_doubtful_is_not_read() {
        let nest = nest(
            r#"["[draft] x", "5", "true", "", "{\"a\":1,\"a\":2}", "[[[[[[[[[[1]]]]]]]]]]", "[draft"]"#,
        );
        let body = nest.body().unwrap();
        let read: Vec<&str> = body
            .root()
            .elements()
            .map(|value| match nest.inside(value) {
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
        let nest = nest(r#"["[\"[\\\"[1]\\\"]\"]"]"#);
        let body = nest.body().unwrap();
        let mut value = body.root().element(0).unwrap();
        let mut levels = 0;
        while let Inside::Json(inner) = nest.inside(value) {
            levels += 1;
            value = inner.element(0).unwrap();
        }
        assert_eq!(levels, 2);
        assert!(matches!(nest.inside(value), Inside::Unread));
    }

    #[test]
    fn a_string_is_read_once_and_its_parts_are_found_in_the_body() {
        let body = r#"["{\"a\":\"{\\\"b\\\":\\\"x\\\\u0041yz\\\"}\"}"]"#;
        let nest = nest(body);
        let root = nest.body().unwrap();
        let string = root.root().element(0).unwrap();
        let find = || {
            let Inside::Json(outer) = nest.inside(string) else {
                panic!()
            };
            let Inside::Json(inner) = nest.inside(outer.get("a").unwrap()) else {
                panic!()
            };
            inner.get("b").unwrap()
        };
        let found = find();
        assert_eq!(found.text().unwrap(), "xAyz");
        assert_eq!(found.place(), find().place());
        let (place, range) = nest.outside(found.place(), 1..3);
        assert_eq!(place, string.place());
        assert_eq!(string.text().unwrap().get(range), Some(r"\\u0041y"));
        assert_eq!(nest.outside(string.place(), 1..3).1, 1..3);
    }

    #[test]
    fn so_many_texts_are_read_and_no_more() {
        let count = CHUNK * CHUNK;
        let body = format!("[{}\"[]\"]", "\"[]\",".repeat(count));
        let nest = nest(&body);
        let root = nest.body().unwrap();
        let read = |value| matches!(nest.inside(value), Inside::Json(_));
        assert_eq!(
            root.root().elements().filter(|value| read(*value)).count(),
            count
        );
    }
}
