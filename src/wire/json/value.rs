//! A cursor over a scanned document.

use super::array_cache::KnownArray;
use super::body::NodeId;
use super::element_cache::ScannedElement;
use super::number::Decimal;
use super::pointer_cache::PointerCache;
use super::scan::{ESCAPED, LONE_SURROGATE, Node, NodeKind, Tape};
use super::string;
use crate::wire::span::{Span, index, offset};
use std::borrow::Cow;
use std::rc::Rc;

/// A scanned JSON text, and the tape of its values.
#[derive(Debug)]
pub struct JsonText<'b> {
    pub(super) id: u16,
    pub(super) text: Cow<'b, str>,
    pub(super) tape: Tape,
    /// The value that contains this text; `None` for the body.
    pub(super) parent: Option<NodeId>,
    /// How the text was obtained from that value.
    pub(super) backing: Backing,
    /// Nesting level in strings; 0 for the body.
    pub(super) level: u8,
    /// Way to the value whose pointer was asked for last.
    pub(super) pointers: PointerCache,
}

/// How a text was obtained from the value that contains it (or from the body). Determines how an edit is written back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backing {
    /// The text is the body or a value of it, byte for byte.
    AsIs,
    /// The text is the decoded content of a string. An edit is escaped once more.
    InString,
    /// The text is a body of JSON lines joined to an array. All offsets are one higher.
    InLines,
    /// The text is a quoted body of plain text.
    Quoted,
    /// The text was decoded or composed in another way. It cannot be edited.
    Derived,
    /// The text was composed of the parts of a value that repeats it. An edit empties the value.
    Copied,
}

impl JsonText<'_> {
    /// The root value.
    pub fn root(&self) -> Value<'_> {
        Value { doc: self, node: 0 }
    }

    /// The scanned bytes.
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Returns the value at a node's index.
    pub fn value(&self, node: u32) -> Value<'_> {
        Value { doc: self, node }
    }

    /// Number of values and keys.
    pub fn len(&self) -> u32 {
        offset(self.tape.len())
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.tape.is_empty()
    }

    fn node(&self, node: u32) -> Option<&Node> {
        self.tape.nodes.get(index(node))
    }
}

/// The type of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, as written.
    Number,
    /// A string.
    String,
    /// `[…]`
    Array,
    /// `{…}`
    Object,
}

impl ValueKind {
    /// The type's name for messages.
    pub fn name(self) -> &'static str {
        match self {
            ValueKind::Null => "null",
            ValueKind::Bool(_) => "a boolean",
            ValueKind::Number => "a number",
            ValueKind::String => "a string",
            ValueKind::Array => "an array",
            ValueKind::Object => "an object",
        }
    }
}

/// A value of a document; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    doc: &'a JsonText<'a>,
    node: u32,
}

impl<'a> Value<'a> {
    /// The array's element that has come before and in which this value lies, and the value's place in it. `None`: it is not known
    /// whether it has come before.
    pub fn known_element(self) -> Option<(&'a ScannedElement, u32)> {
        self.doc.tape.known_element(self.node)
    }

    /// The array that came before with the first elements of this one, and the number of these. `None`: it is not known whether
    /// any has come before.
    pub fn known_beginning(self) -> Option<(&'a Rc<KnownArray>, usize)> {
        self.doc.tape.known_beginning(self.node)
    }

    /// The type of the value. A key is a string.
    pub fn kind(self) -> ValueKind {
        match self.doc.node(self.node).map(|node| node.kind) {
            Some(NodeKind::True) => ValueKind::Bool(true),
            Some(NodeKind::False) => ValueKind::Bool(false),
            Some(NodeKind::Number) => ValueKind::Number,
            Some(NodeKind::String | NodeKind::Key) => ValueKind::String,
            Some(NodeKind::Array) => ValueKind::Array,
            Some(NodeKind::Object) => ValueKind::Object,
            Some(NodeKind::Null) | None => ValueKind::Null,
        }
    }

    /// The location of the value.
    pub fn place(self) -> NodeId {
        NodeId {
            doc: self.doc.id,
            node: self.node,
        }
    }

    /// The document that contains the value.
    pub fn doc(self) -> &'a JsonText<'a> {
        self.doc
    }

    /// The byte range of the whole value; of a string, with its quotes.
    pub fn span(self) -> Span {
        match self.doc.node(self.node) {
            Some(node) if matches!(node.kind, NodeKind::String | NodeKind::Key) => {
                node.span.widened()
            }
            Some(node) => node.span,
            None => Span::default(),
        }
    }

    /// The byte range of a string between its quotes; of any other value, of the whole value.
    pub fn content_span(self) -> Span {
        self.doc
            .node(self.node)
            .map(|node| node.span)
            .unwrap_or_default()
    }

    /// The bytes of the value; of a string, with its quotes.
    pub fn raw(self) -> &'a [u8] {
        self.span().of(self.doc.bytes())
    }

    /// The bytes of a string's content, not decoded.
    pub fn raw_content(self) -> &'a [u8] {
        self.content_span().of(self.doc.bytes())
    }

    /// The text in a span. Spans of values and of their contents are between characters.
    fn spelled(self, span: Span) -> &'a str {
        self.doc.text.get(span.range()).unwrap_or_default()
    }

    fn flags(self) -> u8 {
        self.doc.node(self.node).map_or(0, |node| node.flags)
    }

    /// Returns whether a string has escapes.
    pub fn has_escapes(self) -> bool {
        self.flags() & ESCAPED != 0
    }

    /// Returns whether a string has an unpaired surrogate.
    pub fn has_lone_surrogate(self) -> bool {
        self.flags() & LONE_SURROGATE != 0
    }

    /// The unpaired surrogates at the edges of a string, which a client that joins it with others makes a character of: the
    /// second half of one at its beginning, and the first half of one at its end.
    pub fn halves(self) -> [Option<u16>; 2] {
        let raw = self.raw_content();
        if !self.has_lone_surrogate() {
            return [None, None];
        }
        let ends_in_one = self.text().is_some_and(|text| text.ends_with('\u{FFFD}'));
        let last = raw.len().saturating_sub(6);
        let last = raw.get(last..).filter(|_| ends_in_one);
        let half = |escape: Option<&[u8]>| string::hex4(escape?.strip_prefix(b"\\u")?);
        let first = half(raw.get(..6)).filter(|half| (0xDC00..0xE000).contains(half));
        let last = half(last).filter(|half| (0xD800..0xDC00).contains(half));
        [first, last].map(|half| half.and_then(|half| u16::try_from(half).ok()))
    }

    /// Returns whether the value is `null`.
    #[inline(never)]
    pub fn is_null(self) -> bool {
        self.kind() == ValueKind::Null
    }

    /// The decoded text of a string or key.
    pub fn text(self) -> Option<Cow<'a, str>> {
        (self.kind() == ValueKind::String).then(|| match self.has_escapes() {
            true => string::decode(self.raw_content()),
            false => Cow::Borrowed(self.spelled(self.content_span())),
        })
    }

    /// Returns whether the value is a string with exactly this text.
    #[inline(never)]
    pub fn is_text(self, text: &str) -> bool {
        let Some(node) = self.doc.node(self.node) else {
            return false;
        };
        if !matches!(node.kind, NodeKind::String | NodeKind::Key) {
            return false;
        }
        if node.flags & ESCAPED != 0 {
            return string::decode(self.raw_content()) == text;
        }
        // Most texts have another length, and most that are as long begin otherwise.
        let text = text.as_bytes();
        node.span.len() == text.len() && {
            let raw = node.span.of(self.doc.bytes());
            raw.first() == text.first() && raw == text
        }
    }

    /// The spelling of a number.
    #[inline(never)]
    pub fn number(self) -> Option<&'a str> {
        (self.kind() == ValueKind::Number).then(|| self.spelled(self.span()))
    }

    /// Returns a whole number that fits `u64`, in any spelling: `3`, `3.0`, `30e-1`.
    #[inline(never)]
    pub fn as_u64(self) -> Option<u64> {
        let number = self.number()?;
        let whole = || Decimal::parse(number)?.whole();
        number.parse().ok().or_else(whole)
    }

    /// `true` or `false`.
    pub fn as_bool(self) -> Option<bool> {
        match self.kind() {
            ValueKind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the members of an object; none for other types.
    pub fn members(self) -> Members<'a> {
        let range = if self.kind() == ValueKind::Object {
            self.inside()
        } else {
            (0, 0)
        };
        Members {
            doc: self.doc,
            at: range.0,
            end: range.1,
        }
    }

    /// Returns the elements of an array; none for other types.
    pub fn elements(self) -> Elements<'a> {
        let range = if self.kind() == ValueKind::Array {
            self.inside()
        } else {
            (0, 0)
        };
        Elements {
            doc: self.doc,
            at: range.0,
            end: range.1,
        }
    }

    /// Returns the member with this name. It is unique: the scanner rejects duplicate keys.
    #[inline(never)]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.members()
            .find(|(key, _)| key.is_text(name))
            .map(|(_, value)| value)
    }

    /// Returns the key of a member's value; `None` for the root and for elements.
    pub fn key(self) -> Option<Value<'a>> {
        let before = self.doc.value(self.node.checked_sub(1)?);
        let node = self.doc.node(before.node)?;
        (node.kind == NodeKind::Key).then_some(before)
    }

    /// Returns the element at this index.
    pub fn element(self, at: usize) -> Option<Value<'a>> {
        self.elements().nth(at)
    }

    /// Returns the value itself and all values and keys inside it, in the order of the bytes.
    pub fn descendants(self) -> impl Iterator<Item = Descendant<'a>> {
        let doc = self.doc;
        let end = doc.node(self.node).map_or(0, |node| node.next);
        (self.node..end).map(move |node| Descendant {
            is_key: doc
                .node(node)
                .is_some_and(|node| node.kind == NodeKind::Key),
            value: Value { doc, node },
        })
    }

    /// Returns whether there is a string or a key in the value, itself included.
    pub fn holds_strings(self) -> bool {
        let range = index(self.node)..index(self.end_node());
        let nodes = self.doc.tape.nodes.get(range).unwrap_or_default();
        let is_string = |node: &Node| matches!(node.kind, NodeKind::String | NodeKind::Key);
        nodes.iter().any(is_string)
    }

    fn inside(self) -> (u32, u32) {
        let end = self.doc.node(self.node).map_or(0, |node| node.next);
        (self.node.saturating_add(1), end)
    }

    /// Index of the node after this value and everything inside it.
    pub fn end_node(self) -> u32 {
        self.doc.node(self.node).map_or(u32::MAX, |node| node.next)
    }
}

/// A value or a key inside another value.
#[derive(Clone, Copy, Debug)]
pub struct Descendant<'a> {
    /// Whether the value is an object's key.
    pub is_key: bool,
    /// The value, or the key as a string.
    pub value: Value<'a>,
}

/// Iterator over an object's members: key and value.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    doc: &'a JsonText<'a>,
    at: u32,
    end: u32,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let key = self.doc.value(self.at);
        let value = self.doc.value(self.at.saturating_add(1));
        self.at = value.end_node();
        Some((key, value))
    }
}

/// Iterator over an array's elements.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    doc: &'a JsonText<'a>,
    at: u32,
    end: u32,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let value = self.doc.value(self.at);
        self.at = value.end_node();
        Some(value)
    }
}
