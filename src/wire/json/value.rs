//! A cursor over a scanned document.

use super::body::NodeId;
use super::number::Decimal;
use super::pointer_cache::PointerCache;
use super::scan::{ESCAPED, LONE_SURROGATE, Node, NodeKind, Tape};
use super::string;
use crate::wire::span::{Span, index, offset};
use std::borrow::Cow;

/// One scanned JSON text: its bytes and where its values stand in them.
#[derive(Debug)]
pub struct JsonText<'b> {
    pub(super) id: u16,
    pub(super) bytes: Cow<'b, [u8]>,
    pub(super) tape: Tape,
    /// The value that holds this text, for a text nested in another one.
    pub(super) parent: Option<NodeId>,
    /// How it came out of what holds it.
    pub(super) held: Backing,
    /// How many strings deep.
    pub(super) level: u8,
    pub(super) trail: PointerCache,
}

/// How a text came out of what holds it (for the outermost: out of the body), and so how an edit finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backing {
    /// It is the body, or a value as it stands: bytes for bytes.
    AsIs,
    /// It is what a string says: an edit is escaped once more.
    InString,
    /// It is a body of JSON lines, put together to one array: everything stands one byte later.
    InLines,
    /// It is a body of plain text, quoted.
    Quoted,
    /// It was decoded or put together otherwise: there is no way back.
    Derived,
}

impl JsonText<'_> {
    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { doc: self, node: 0 }
    }

    /// The bytes that were scanned.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value at a node's index.
    pub fn value(&self, node: u32) -> Value<'_> {
        Value { doc: self, node }
    }

    /// Number of values and keys.
    pub fn len(&self) -> u32 {
        offset(self.tape.len())
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.tape.is_empty()
    }

    fn node(&self, node: u32) -> Option<&Node> {
        self.tape.nodes.get(index(node))
    }
}

/// What kind of JSON value.
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
    /// The word for a message to a person.
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
    /// What it is. A key is a string.
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

    /// Where it stands, for later.
    pub fn place(self) -> NodeId {
        NodeId {
            doc: self.doc.id,
            node: self.node,
        }
    }

    /// The document that it is part of.
    pub fn doc(self) -> &'a JsonText<'a> {
        self.doc
    }

    /// Bytes of the whole value; of a string, with its quotes.
    pub fn span(self) -> Span {
        match self.doc.node(self.node) {
            Some(node) if matches!(node.kind, NodeKind::String | NodeKind::Key) => {
                node.span.widened()
            }
            Some(node) => node.span,
            None => Span::default(),
        }
    }

    /// Bytes of a string between its quotes; of anything else, of the whole value.
    pub fn content_span(self) -> Span {
        self.doc
            .node(self.node)
            .map(|node| node.span)
            .unwrap_or_default()
    }

    /// The value as written, with quotes if it is a string.
    pub fn raw(self) -> &'a [u8] {
        self.span().of(&self.doc.bytes)
    }

    /// A string's content as written, escapes and all.
    pub fn raw_content(self) -> &'a [u8] {
        self.content_span().of(&self.doc.bytes)
    }

    fn flags(self) -> u8 {
        self.doc.node(self.node).map_or(0, |node| node.flags)
    }

    /// Whether a string holds escapes.
    pub fn has_escapes(self) -> bool {
        self.flags() & ESCAPED != 0
    }

    /// Whether a string holds a surrogate without its partner.
    pub fn has_lone_surrogate(self) -> bool {
        self.flags() & LONE_SURROGATE != 0
    }

    /// Whether it is `null`.
    #[inline(never)]
    pub fn is_null(self) -> bool {
        self.kind() == ValueKind::Null
    }

    /// The decoded text of a string or key.
    pub fn text(self) -> Option<Cow<'a, str>> {
        (self.kind() == ValueKind::String).then(|| {
            if self.has_escapes() {
                string::decode(self.raw_content())
            } else {
                // The scanner has checked it; the fallback keeps this line free of panics.
                match std::str::from_utf8(self.raw_content()) {
                    Ok(text) => Cow::Borrowed(text),
                    Err(_) => String::from_utf8_lossy(self.raw_content()),
                }
            }
        })
    }

    /// Whether it is a string with exactly this text.
    #[inline(never)]
    pub fn is_text(self, text: &str) -> bool {
        if self.kind() != ValueKind::String {
            return false;
        }
        if self.has_escapes() {
            string::decode(self.raw_content()) == text
        } else {
            self.raw_content() == text.as_bytes()
        }
    }

    /// A number as written.
    #[inline(never)]
    pub fn number(self) -> Option<&'a str> {
        (self.kind() == ValueKind::Number)
            .then(|| std::str::from_utf8(self.raw()).ok())
            .flatten()
    }

    /// A whole number that fits, however it is written: `3`, `3.0`, `30e-1`.
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

    /// The members of an object; none of anything else.
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

    /// The elements of an array; none of anything else.
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

    /// The member of that name; the scanner refuses objects that have two.
    #[inline(never)]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.members()
            .find(|(key, _)| key.is_text(name))
            .map(|(_, value)| value)
    }

    /// The element of that index.
    pub fn element(self, at: usize) -> Option<Value<'a>> {
        self.elements().nth(at)
    }

    /// Itself and everything in it, in the order of the bytes: values and keys.
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

    fn inside(self) -> (u32, u32) {
        let end = self.doc.node(self.node).map_or(0, |node| node.next);
        (self.node.saturating_add(1), end)
    }

    /// Index of the node after this value and all that it contains.
    pub fn end_node(self) -> u32 {
        self.doc.node(self.node).map_or(u32::MAX, |node| node.next)
    }
}

/// A value or a key inside another value.
#[derive(Clone, Copy, Debug)]
pub struct Descendant<'a> {
    /// Whether it is an object's key.
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
