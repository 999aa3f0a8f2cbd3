//! A body and the JSON texts inside its strings (tool arguments are a string that holds JSON), with the way back: an
//! edit of a nested text becomes an edit of the body's own bytes, escaped once for each string around it.

use super::scan::{Limits, ScanError, ScanErrorKind, Tape, scan};
use super::string::DecodedOffsets;
use super::value::{Doc, Value};
use super::write;
use crate::wire::edit::{Splice, join_overlaps};
use crate::wire::span::{Span, index};
use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

/// Where a value stands: which text, which node of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// 0 is the body; nested texts follow in the order in which they were opened.
    pub doc: u16,
    /// Index of the node.
    pub node: u32,
}

/// A scanned body, and the JSON texts opened inside its strings so far.
#[derive(Debug)]
pub struct Nest<'b> {
    docs: Vec<Rc<Doc<'b>>>,
    limits: Limits,
    max_level: u8,
}

impl<'b> Nest<'b> {
    /// Scans a body. `max_level` is how many strings deep JSON may be nested in JSON.
    ///
    /// # Errors
    /// What the scanner refuses.
    pub fn scan(body: &'b [u8], limits: Limits, max_level: u8) -> Result<Nest<'b>, ScanError> {
        let mut tape = Tape::default();
        scan(body, limits, &mut tape)?;
        Ok(Nest {
            docs: vec![Rc::new(Doc {
                id: 0,
                bytes: Cow::Borrowed(body),
                tape,
                parent: None,
                level: 0,
            })],
            limits,
            max_level,
        })
    }

    /// The body.
    pub fn body(&self) -> Option<Rc<Doc<'b>>> {
        self.docs.first().map(Rc::clone)
    }

    /// A text by its number.
    pub fn doc(&self, id: u16) -> Option<&Doc<'b>> {
        self.docs.get(usize::from(id)).map(|doc| &**doc)
    }

    /// The value at a place.
    pub fn value(&self, place: Place) -> Option<Value<'_>> {
        self.doc(place.doc).map(|doc| doc.value(place.node))
    }

    /// Scans the JSON text inside a string of this nest.
    ///
    /// # Errors
    /// What the scanner refuses; [`ScanErrorKind::TooDeep`] beyond the level that was set at the start.
    pub fn open(&mut self, string: Value<'_>) -> Result<Rc<Doc<'b>>, ScanError> {
        let level = string.doc().level.saturating_add(1);
        let id = u16::try_from(self.docs.len());
        let (true, Ok(id)) = (level <= self.max_level, id) else {
            return Err(ScanError {
                kind: ScanErrorKind::TooDeep,
                at: 0,
            });
        };
        let text = string.text().unwrap_or_default().into_owned();
        let mut tape = Tape::default();
        scan(text.as_bytes(), self.limits, &mut tape)?;
        let doc = Rc::new(Doc {
            id,
            bytes: Cow::Owned(text.into_bytes()),
            tape,
            parent: Some(string.place()),
            level,
        });
        self.docs.push(Rc::clone(&doc));
        Ok(doc)
    }

    /// RFC 6901 pointer to a value of the body. A value of a nested text is named by the pointer of the string that
    /// holds it, followed by the pointer inside. A key is named by its value.
    pub fn pointer(&self, place: Place) -> String {
        let mut pointer = match self.doc(place.doc).and_then(|doc| doc.parent) {
            Some(parent) => self.pointer(parent),
            None => String::new(),
        };
        let Some(doc) = self.doc(place.doc) else {
            return pointer;
        };
        let mut at = doc.root();
        loop {
            let step = at
                .members()
                .find(|(key, value)| holds(*value, place.node) || key.place() == place)
                .map(|(key, value)| {
                    let name = key.text().unwrap_or_default();
                    (name.replace('~', "~0").replace('/', "~1"), value)
                })
                .or_else(|| {
                    at.elements()
                        .enumerate()
                        .find(|(_, value)| holds(*value, place.node))
                        .map(|(at, value)| (at.to_string(), value))
                });
            let Some((name, value)) = step else {
                return pointer;
            };
            pointer.push('/');
            pointer.push_str(&name);
            at = value;
        }
    }

    /// Turns edits of any text of the nest into edits of the body's bytes: sorted, without overlaps.
    pub fn flatten(&self, mut edits: Edits) -> Vec<Splice> {
        // Texts are opened outside in, so that a nested one always has the higher number: going down, every text's
        // edits are complete when its turn comes.
        for id in (1..self.docs.len()).rev() {
            let (Ok(id), Some(doc)) = (u16::try_from(id), self.docs.get(id)) else {
                continue;
            };
            let inner = join_overlaps(edits.take(id));
            let Some(holder) = doc.parent.and_then(|parent| self.value(parent)) else {
                continue;
            };
            let mut offsets = DecodedOffsets::new(holder.raw_content());
            let content = index(holder.content_span().start);
            for splice in inner {
                let raw = offsets.range(splice.span.range());
                let mut with = Vec::with_capacity(splice.with.len());
                write::escape(&String::from_utf8_lossy(&splice.with), &mut with);
                edits.list.push((
                    holder.place().doc,
                    Splice {
                        span: shifted(raw, content),
                        with,
                    },
                ));
            }
        }
        join_overlaps(edits.take(0))
    }
}

fn holds(value: Value<'_>, node: u32) -> bool {
    value.place().node <= node && node < value.next()
}

fn shifted(range: Range<usize>, by: usize) -> Span {
    Span::new(range.start.saturating_add(by), range.end.saturating_add(by))
}

/// Edits of a body and of the texts nested in it, in any order.
#[derive(Debug, Default)]
pub struct Edits {
    list: Vec<(u16, Splice)>,
}

impl Edits {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Replaces bytes of the text that `value` is part of; `with` is JSON as it shall stand there.
    pub fn splice(&mut self, doc: &Doc<'_>, span: Span, with: Vec<u8>) {
        self.list.push((doc.id, Splice { span, with }));
    }

    /// Replaces a whole value.
    pub fn replace(&mut self, value: Value<'_>, with: Vec<u8>) {
        self.splice(value.doc(), value.span(), with);
    }

    /// Replaces parts of a string by text, which is escaped as needed. `parts` are ranges of the decoded text in
    /// ascending order.
    pub fn replace_text<'t>(
        &mut self,
        string: Value<'_>,
        parts: impl IntoIterator<Item = (Range<usize>, &'t str)>,
    ) {
        let mut offsets = DecodedOffsets::new(string.raw_content());
        let content = index(string.content_span().start);
        for (range, text) in parts {
            let raw = if string.has_escapes() {
                offsets.range(range)
            } else {
                range
            };
            let mut with = Vec::with_capacity(text.len());
            write::escape(text, &mut with);
            self.splice(string.doc(), shifted(raw, content), with);
        }
    }

    fn take(&mut self, doc: u16) -> Vec<Splice> {
        let (taken, kept) = std::mem::take(&mut self.list)
            .into_iter()
            .partition::<Vec<_>, _>(|(id, _)| *id == doc);
        self.list = kept;
        taken.into_iter().map(|(_, splice)| splice).collect()
    }
}
