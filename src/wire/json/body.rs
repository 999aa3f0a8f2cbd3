//! JSON bodies with the JSON texts inside their strings. An edit of a nested text becomes an edit of the body's own
//! bytes, escaped once per string around it.
//!
//! Example: in `{"arguments":"{\"city\":\"Oslo\"}"}` the string of `arguments` is a nested text. Replacing `Oslo` with
//! `"` there writes `\\\"` into the body.

use super::inside::{FIRST, MAX_ON_DEMAND, OpenedTexts};
use super::pointer_cache::PointerCache;
use super::scan::{Limits, ScanError, ScanErrorKind, scan_text};
use super::string::{DecodedOffsets, decode};
use super::value::{Backing, JsonText, Value, ValueKind};
use super::write;
use crate::wire::edit::{Splice, apply, join_overlaps};
use crate::wire::sort;
use crate::wire::span::{Span, index};
use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

/// The location of a value: text and node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Number of the text. 0 is the body; nested texts follow in the order in which they were opened.
    pub doc: u16,
    /// Index of the node in the text.
    pub node: u32,
}

/// A scanned body with the JSON texts opened inside its strings so far.
#[derive(Debug)]
pub struct JsonBody<'b> {
    docs: Vec<Rc<JsonText<'b>>>,
    pub(super) limits: Limits,
    pub(super) max_level: u8,
    /// Texts that conditions and detectors opened inside strings.
    pub(super) opened: OpenedTexts,
}

impl<'b> JsonBody<'b> {
    /// Scans a body. `max_level` is the maximum nesting of JSON in strings of JSON.
    ///
    /// # Errors
    /// See [`scan::scan`](super::scan::scan).
    pub fn scan(body: &'b [u8], limits: Limits, max_level: u8) -> Result<JsonBody<'b>, ScanError> {
        Self::begin(Cow::Borrowed(body), Backing::AsIs, limits, max_level)
    }

    /// Scans a body like [`scan`](JsonBody::scan), and takes ownership of it.
    ///
    /// # Errors
    /// See [`scan::scan`](super::scan::scan).
    pub fn owned(body: Vec<u8>, limits: Limits, max_level: u8) -> Result<JsonBody<'b>, ScanError> {
        Self::begin(Cow::Owned(body), Backing::AsIs, limits, max_level)
    }

    /// Scans a body of JSON lines as one array. Blank lines are skipped. Each line end becomes one byte of the array (a
    /// comma or a space), so that an offset in the array is the offset in the body plus one.
    ///
    /// # Errors
    /// The scan error of any line.
    /// What the scanner refuses, in any line.
    pub fn scan_lines(
        body: &[u8],
        limits: Limits,
        max_level: u8,
    ) -> Result<JsonBody<'b>, ScanError> {
        let mut array = Vec::with_capacity(body.len().saturating_add(2));
        array.push(b'[');
        let lines = join_lines(body, &mut array);
        array.push(b']');
        let json = Self::begin(Cow::Owned(array), Backing::InLines, limits, max_level)?;
        // Each line is one value: no value spans two lines, no line has two values.
        if let Some(doc) = json.docs.first() {
            let mut lines = lines.iter();
            for record in doc.root().elements() {
                if !lines
                    .next()
                    .is_some_and(|line| line.contains(record.span()))
                {
                    return Err(ScanError {
                        kind: ScanErrorKind::Syntax,
                        at: index(record.span().start).saturating_sub(1),
                    });
                }
            }
        }
        Ok(json)
    }

    /// Scans a body of plain text as one JSON string. Bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// The body is too large.
    pub fn quoted(body: &[u8], limits: Limits, max_level: u8) -> Result<JsonBody<'b>, ScanError> {
        let mut string = Vec::with_capacity(body.len().saturating_add(2));
        write::quote(&String::from_utf8_lossy(body), &mut string);
        Self::begin(Cow::Owned(string), Backing::Quoted, limits, max_level)
    }

    /// Scans a document that represents a body other than JSON. The document cannot be edited.
    ///
    /// # Errors
    /// See [`scan::scan`](super::scan::scan).
    pub fn derived(doc: Vec<u8>, limits: Limits, max_level: u8) -> Result<JsonBody<'b>, ScanError> {
        Self::begin(Cow::Owned(doc), Backing::Derived, limits, max_level)
    }

    fn begin(
        bytes: Cow<'b, [u8]>,
        backing: Backing,
        limits: Limits,
        max_level: u8,
    ) -> Result<JsonBody<'b>, ScanError> {
        let (text, tape) = scan_text(bytes, limits)?;
        Ok(JsonBody {
            docs: vec![Rc::new(JsonText {
                id: 0,
                text,
                tape,
                parent: None,
                backing,
                level: 0,
                pointers: PointerCache::default(),
            })],
            limits,
            max_level,
            opened: OpenedTexts::default(),
        })
    }

    /// The text of the body.
    pub fn body(&self) -> Option<Rc<JsonText<'b>>> {
        self.docs.first().map(Rc::clone)
    }

    /// Returns a text by its number, to keep while others are opened.
    #[inline(never)]
    pub fn shared(&self, id: u16) -> Option<Rc<JsonText<'b>>> {
        self.docs.get(usize::from(id)).map(Rc::clone)
    }

    /// Returns a text by its number.
    pub fn doc(&self, id: u16) -> Option<&JsonText<'b>> {
        match self.docs.get(usize::from(id)) {
            Some(doc) => Some(doc),
            None => self.opened.doc(id),
        }
    }

    /// Returns the length of the values at some locations, in bytes; of strings, with their quotes.
    pub fn length(&self, places: impl Iterator<Item = NodeId>) -> usize {
        // Nearly all are in the body itself.
        let body = self.doc(0);
        places.fold(0usize, |all, place| {
            let doc = match place.doc {
                0 => body,
                other => self.doc(other),
            };
            all.saturating_add(doc.map_or(0, |doc| doc.value(place.node).span().len()))
        })
    }

    /// Returns the value at a location.
    pub fn value(&self, place: NodeId) -> Option<Value<'_>> {
        self.doc(place.doc).map(|doc| doc.value(place.node))
    }

    /// Scans the JSON text inside a string of this body.
    ///
    /// # Errors
    /// The text's scan error; [`ScanErrorKind::TooDeep`] beyond `max_level`.
    pub fn open(&mut self, string: Value<'_>) -> Result<Rc<JsonText<'b>>, ScanError> {
        let text = string.text().unwrap_or_default().into_owned();
        let level = string.doc().level.saturating_add(1);
        self.hold(string, text.into_bytes(), Backing::InString, level)
    }

    /// Scans a value as a document of its own: each record of a batch is a body in itself. The nesting level stays the
    /// same.
    ///
    /// # Errors
    /// There are more documents than numbers for them.
    pub fn detach(&mut self, value: Value<'_>) -> Result<Rc<JsonText<'b>>, ScanError> {
        let level = value.doc().level;
        self.hold(value, value.raw().to_vec(), Backing::AsIs, level)
    }

    /// Adds the decoded content of a string (of a `data:` URL, of base64) as a document that is one string. The
    /// document cannot be edited.
    ///
    /// # Errors
    /// [`ScanErrorKind::TooDeep`] beyond `max_level`, or if there are more documents than numbers for them.
    pub fn decoded(
        &mut self,
        string: Value<'_>,
        text: &str,
    ) -> Result<Rc<JsonText<'b>>, ScanError> {
        let mut quoted = Vec::with_capacity(text.len().saturating_add(2));
        write::quote(text, &mut quoted);
        self.open_decoded(string, quoted)
    }

    /// Adds a text that a value contains in pieces, as a document that is one string. Any edit of it empties the value.
    ///
    /// # Errors
    /// There are more documents than numbers for them.
    pub fn copied(&mut self, value: Value<'_>, text: &str) -> Result<Rc<JsonText<'b>>, ScanError> {
        let mut quoted = Vec::with_capacity(text.len().saturating_add(2));
        write::quote(text, &mut quoted);
        self.hold(value, quoted, Backing::Copied, value.doc().level)
    }

    /// Scans a JSON text that a string holds in another encoding, such as base64. The text cannot be edited.
    ///
    /// # Errors
    /// See [`open`](JsonBody::open).
    pub fn open_decoded(
        &mut self,
        string: Value<'_>,
        json: Vec<u8>,
    ) -> Result<Rc<JsonText<'b>>, ScanError> {
        let level = string.doc().level.saturating_add(1);
        self.hold(string, json, Backing::Derived, level)
    }

    fn hold(
        &mut self,
        parent: Value<'_>,
        bytes: Vec<u8>,
        backing: Backing,
        level: u8,
    ) -> Result<Rc<JsonText<'b>>, ScanError> {
        let (true, Some(id)) = (level <= self.max_level, self.next_id()) else {
            return Err(ScanError {
                kind: ScanErrorKind::TooDeep,
                at: 0,
            });
        };
        let (text, tape) = scan_text(Cow::Owned(bytes), self.limits)?;
        let doc = Rc::new(JsonText {
            id,
            text,
            tape,
            parent: Some(parent.place()),
            backing,
            level,
            pointers: PointerCache::default(),
        });
        self.docs.push(Rc::clone(&doc));
        Ok(doc)
    }

    fn next_id(&self) -> Option<u16> {
        let id = u16::try_from(self.docs.len()).ok();
        id.filter(|id| *id < FIRST)
    }

    /// Returns the number of texts besides the body.
    pub fn nested(&self) -> usize {
        let others = self.docs.len().saturating_sub(1);
        others.saturating_add(usize::from(self.opened.count()))
    }

    /// Returns whether a body with `more` further texts may have more of them than can be opened.
    pub fn may_be_full(&self, more: usize) -> bool {
        self.nested().saturating_add(more) >= MAX_ON_DEMAND
    }

    /// Returns whether an edit at a location can be written back to the body.
    pub fn is_editable(&self, place: NodeId) -> bool {
        let mut doc = self.doc(place.doc);
        while let Some(current) = doc {
            if current.backing == Backing::Derived {
                return false;
            }
            doc = current.parent.and_then(|parent| self.doc(parent.doc));
        }
        true
    }

    /// Adds a JSON text from outside the body (arguments of the call that the body is the result of), so that both are
    /// evaluated together. The text cannot be edited.
    ///
    /// # Errors
    /// The text's scan error.
    pub fn attach(&mut self, text: Vec<u8>) -> Result<Rc<JsonText<'b>>, ScanError> {
        let too_many = ScanError {
            kind: ScanErrorKind::TooLarge,
            at: 0,
        };
        let id = self.next_id().ok_or(too_many)?;
        let (text, tape) = scan_text(Cow::Owned(text), self.limits)?;
        let doc = Rc::new(JsonText {
            id,
            text,
            tape,
            parent: None,
            backing: Backing::Derived,
            level: 0,
            pointers: PointerCache::default(),
        });
        self.docs.push(Rc::clone(&doc));
        Ok(doc)
    }

    /// Returns the value of the body that contains a value: the value itself, or the string that holds its text.
    pub fn in_body(&self, place: NodeId) -> Option<NodeId> {
        let mut place = place;
        while place.doc != 0 {
            place = self.doc(place.doc)?.parent?;
        }
        Some(place)
    }

    /// Returns the RFC 6901 pointer to a value of the body. A value of a nested text has the pointer of the string that
    /// holds the text, followed by the pointer inside: `/arguments/city`. A key has the pointer of its value.
    pub fn pointer(&self, place: NodeId) -> String {
        let mut pointer = match self.doc(place.doc).and_then(|doc| doc.parent) {
            Some(parent) => self.pointer(parent),
            None => String::new(),
        };
        let Some(doc) = self.doc(place.doc) else {
            return pointer;
        };
        doc.pointers.to(doc, place.node, &mut |key, at| {
            pointer.push('/');
            match key {
                Some(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
                None => pointer.push_str(&at.to_string()),
            }
        });
        pointer
    }

    /// Converts edits of all texts to edits of the body's bytes: sorted, without overlaps.
    pub fn flatten(&self, edits: Edits) -> Vec<Splice> {
        let mut by_doc: Vec<Vec<Splice>> = Vec::new();
        by_doc.resize_with(self.docs.len().max(1), Vec::new);
        for (doc, splice) in edits.list {
            if let Some(list) = by_doc.get_mut(usize::from(doc)) {
                list.push(splice);
            }
        }
        // A nested text always has a higher number than the text around it, because texts are opened from the outside
        // in. Going down, the edits of each text are complete when its turn comes.
        while let (Some(inner), Some(doc)) = (by_doc.pop(), self.docs.get(by_doc.len())) {
            if by_doc.is_empty() {
                return join_overlaps(inner);
            }
            let holder = doc.parent.and_then(|parent| self.value(parent));
            let Some((holder, outer)) = holder.and_then(|holder| {
                let outer = by_doc.get_mut(usize::from(holder.place().doc))?;
                Some((holder, outer))
            }) else {
                continue;
            };
            let mut offsets = DecodedOffsets::new(holder.raw_content());
            for splice in join_overlaps(inner) {
                match doc.backing {
                    Backing::InString => {
                        let raw = offsets.range(splice.span.range());
                        let mut with = Vec::with_capacity(splice.with.len());
                        write::escape(&String::from_utf8_lossy(&splice.with), &mut with);
                        let span = shifted(raw, index(holder.content_span().start));
                        outer.push(Splice { span, with });
                    }
                    Backing::AsIs => outer.push(Splice {
                        span: shifted(splice.span.range(), index(holder.span().start)),
                        with: splice.with,
                    }),
                    Backing::Copied => outer.push(Splice {
                        span: holder.span(),
                        with: match holder.kind() {
                            ValueKind::Array => b"[]".to_vec(),
                            _ => b"null".to_vec(),
                        },
                    }),
                    Backing::InLines | Backing::Quoted | Backing::Derived => {}
                }
            }
        }
        Vec::new()
    }

    /// Returns the body with all edits applied, in the form in which it arrived. A body that cannot be edited stays as
    /// it is.
    pub fn edited(&self, body: &[u8], edits: Edits) -> Vec<u8> {
        let Some(outermost) = self.docs.first() else {
            return body.to_vec();
        };
        let mut splices = self.flatten(edits);
        match outermost.backing {
            Backing::AsIs | Backing::InString => apply(body, &splices),
            Backing::InLines => {
                for splice in &mut splices {
                    splice.span.start = splice.span.start.saturating_sub(1);
                    splice.span.end = splice.span.end.saturating_sub(1);
                }
                apply(body, &splices)
            }
            Backing::Quoted => {
                let quoted = apply(outermost.bytes(), &splices);
                let content = quoted
                    .strip_prefix(b"\"")
                    .and_then(|rest| rest.strip_suffix(b"\""))
                    .unwrap_or(&quoted);
                decode(content).into_owned().into_bytes()
            }
            Backing::Copied | Backing::Derived => body.to_vec(),
        }
    }
}

/// Appends lines to the content of an array. Each line end becomes a comma between two lines with content, and a space
/// elsewhere. Returns the range of each line with content.
fn join_lines(body: &[u8], array: &mut Vec<u8>) -> Vec<Span> {
    let mut lines = Vec::new();
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let is_blank = content.trim_ascii().is_empty();
        // The previous line end was written as a space, before it was known that another line follows.
        if !is_blank
            && !lines.is_empty()
            && let Some(before) = array.last_mut()
        {
            *before = b',';
        }
        let start = array.len();
        array.extend_from_slice(content);
        if !is_blank {
            lines.push(Span::new(start, array.len()));
        }
        if content.len() < line.len() {
            array.push(b' ');
        }
    }
    lines
}

fn shifted(range: Range<usize>, by: usize) -> Span {
    Span::new(range.start.saturating_add(by), range.end.saturating_add(by))
}

/// Edits of a body and of its nested texts, in any order.
#[derive(Debug, Default)]
pub struct Edits {
    list: Vec<(u16, Splice)>,
}

impl Edits {
    /// Returns whether there are no edits.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns whether the edits replace all of these values completely.
    pub fn replace_all<'v>(&self, values: &mut dyn Iterator<Item = Value<'v>>) -> bool {
        let mut spans: Vec<(u16, Span)> = self
            .list
            .iter()
            .map(|(doc, splice)| (*doc, splice.span))
            .collect();
        sort::sort(&mut spans);
        let mut joined: Vec<(u16, Span)> = Vec::with_capacity(spans.len());
        for (doc, span) in spans {
            match joined.last_mut() {
                Some((last, before)) if *last == doc && span.start <= before.end => {
                    before.end = before.end.max(span.end);
                }
                _ => joined.push((doc, span)),
            }
        }
        let is_replaced = |value: Value<'_>| {
            let (doc, span) = (value.doc().id, value.span());
            let after = joined.partition_point(|(id, edit)| (*id, edit.start) <= (doc, span.start));
            let before = after.checked_sub(1).and_then(|at| joined.get(at));
            before.is_some_and(|(id, edit)| *id == doc && span.end <= edit.end)
        };
        for value in values {
            if !is_replaced(value) {
                return false;
            }
        }
        true
    }

    /// Replaces bytes of the text that `value` belongs to; `with` is JSON as it is written there.
    #[inline(never)]
    pub fn splice(&mut self, doc: &JsonText<'_>, span: Span, with: Vec<u8>) {
        self.list.push((doc.id, Splice { span, with }));
    }

    /// Replaces a whole value.
    pub fn replace(&mut self, value: Value<'_>, with: Vec<u8>) {
        self.splice(value.doc(), value.span(), with);
    }

    /// Replaces ranges of a string by text, which is escaped as needed. `parts` are ranges of the decoded text in
    /// ascending order.
    pub fn replace_text<'t>(
        &mut self,
        string: Value<'_>,
        parts: impl IntoIterator<Item = (Range<usize>, &'t str)>,
    ) {
        let mut offsets = DecodedOffsets::new(string.raw_content());
        for (range, text) in parts {
            self.replace_part(string, &mut offsets, range, text);
        }
    }

    #[inline(never)]
    fn replace_part(
        &mut self,
        string: Value<'_>,
        offsets: &mut DecodedOffsets<'_>,
        range: Range<usize>,
        text: &str,
    ) {
        let raw = if string.has_escapes() {
            offsets.range(range)
        } else {
            range
        };
        let mut with = Vec::with_capacity(text.len());
        write::escape(text, &mut with);
        let content = index(string.content_span().start);
        self.splice(string.doc(), shifted(raw, content), with);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_depth: 16 };

    #[test]
    fn json_lines_are_an_array_whose_edits_reach_the_lines() {
        let body = b"\n{\"a\":\"x\"}\r\n \n{\"a\":\"y\"}\n\n";
        let json = JsonBody::scan_lines(body, LIMITS, 0).unwrap();
        let doc = json.body().unwrap();
        assert_eq!(doc.root().elements().count(), 2);
        let mut edits = Edits::default();
        for record in doc.root().elements() {
            edits.replace_text(record.get("a").unwrap(), [(0..1, "\"")]);
        }
        assert_eq!(
            json.edited(body, edits),
            b"\n{\"a\":\"\\\"\"}\r\n \n{\"a\":\"\\\"\"}\n\n"
        );
    }

    #[test]
    fn a_line_that_is_not_one_value_is_no_json_line() {
        for body in [
            "{\"a\":1},{\"a\":2}",
            "{\"a\":[1\n2]}",
            "{\"a\":[1\n2]}\n{},{}",
            "{}\r{}",
            "{} {}",
            "]\n[",
        ] {
            assert!(
                JsonBody::scan_lines(body.as_bytes(), LIMITS, 0).is_err(),
                "{body}"
            );
        }
        assert_eq!(
            JsonBody::scan_lines(b" \n", LIMITS, 0)
                .unwrap()
                .body()
                .unwrap()
                .root()
                .elements()
                .count(),
            0
        );
    }

    #[test]
    fn a_plain_text_is_edited_as_plain_text() {
        let body = "say \"hi\"\nto é".as_bytes();
        let json = JsonBody::quoted(body, LIMITS, 0).unwrap();
        let mut edits = Edits::default();
        edits.replace_text(json.body().unwrap().root(), [(4..8, "\\o/")]);
        assert_eq!(json.edited(body, edits), "say \\o/\nto é".as_bytes());
    }

    #[test]
    fn an_edit_of_a_record_becomes_an_edit_of_the_body() {
        let body = br#"{"r": [ {"args":"{\"a\":\"x\"}"} ]}"#;
        let mut json = JsonBody::scan(body, LIMITS, 4).unwrap();
        let doc = json.body().unwrap();
        let record = json
            .detach(doc.root().get("r").unwrap().element(0).unwrap())
            .unwrap();
        let args = json.open(record.root().get("args").unwrap()).unwrap();
        let at = args.root().get("a").unwrap();
        assert_eq!(json.pointer(at.place()), "/r/0/args/a");
        assert!(json.is_editable(at.place()));
        let mut edits = Edits::default();
        edits.replace_text(at, [(0..1, "y\"")]);
        assert_eq!(
            json.edited(body, edits),
            br#"{"r": [ {"args":"{\"a\":\"y\\\"\"}"} ]}"#
        );
    }

    #[test]
    fn what_was_decoded_is_looked_at_and_not_edited() {
        let body = br#"["aGk="]"#;
        let mut json = JsonBody::scan(body, LIMITS, 1).unwrap();
        let doc = json.body().unwrap();
        let text = json.decoded(doc.root().element(0).unwrap(), "hi").unwrap();
        assert!(text.root().is_text("hi"));
        assert!(!json.is_editable(text.root().place()));
        let mut edits = Edits::default();
        edits.replace_text(text.root(), [(0..1, "y")]);
        assert_eq!(json.edited(body, edits), body);
        assert!(json.decoded(text.root(), "deeper").is_err());
    }
}
