//! Document tree as written, independent of its source: YAML, JSON, or a Struct from Envoy.

use crate::wire::json::{Value, ValueKind, quote};
use crate::wire::span::index;
use std::ops::Range;

/// Value with its place in the text of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Range of bytes in the document.
    pub span: Range<usize>,
    /// Value.
    pub data: NodeValue,
}

/// Value of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    /// Null.
    Null,
    /// Boolean.
    Bool(bool),
    /// Number in JSON's grammar, as written.
    Number(Box<str>),
    /// Text.
    String(Box<str>),
    /// List.
    List(Vec<Node>),
    /// Mapping, in the order of the document. Keys are unique.
    Map(Vec<Member>),
}

/// Key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Key.
    pub key: Box<str>,
    /// Range of the key's bytes.
    pub key_span: Range<usize>,
    /// Value.
    pub value: Node,
}

impl Node {
    /// Returns a text with this place.
    #[inline(never)]
    pub(crate) fn text_at(text: &str, span: &Range<usize>) -> Node {
        Node {
            span: span.clone(),
            data: NodeValue::String(text.into()),
        }
    }

    /// Returns a list with this place.
    pub(crate) fn list_at(items: Vec<Node>, span: &Range<usize>) -> Node {
        Node {
            span: span.clone(),
            data: NodeValue::List(items),
        }
    }

    /// Returns a mapping; it and its keys have this place.
    #[inline(never)]
    pub(crate) fn map_at(members: Vec<(&str, Node)>, span: &Range<usize>) -> Node {
        let members = members.into_iter().map(|(key, value)| Member {
            key: key.into(),
            key_span: span.clone(),
            value,
        });
        Node {
            span: span.clone(),
            data: NodeValue::Map(members.collect()),
        }
    }

    /// Returns the items of a list, or any other node as the only item.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.data {
            NodeValue::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// Returns the tree of a scanned JSON value.
    pub fn from_json(value: Value<'_>) -> Node {
        let span = value.span().range();
        let text = || value.text().unwrap_or_default().into();
        let data = match value.kind() {
            ValueKind::Null => NodeValue::Null,
            ValueKind::Bool(value) => NodeValue::Bool(value),
            ValueKind::Number => NodeValue::Number(value.number().unwrap_or("0").into()),
            ValueKind::String => NodeValue::String(text()),
            ValueKind::Array => NodeValue::List(value.elements().map(Node::from_json).collect()),
            ValueKind::Object => NodeValue::Map(
                value
                    .members()
                    .map(|(key, value)| Member {
                        key: key.text().unwrap_or_default().into(),
                        key_span: index(key.span().start)..index(key.span().end),
                        value: Node::from_json(value),
                    })
                    .collect(),
            ),
        };
        Node { span, data }
    }

    /// Appends the tree as JSON text. Numbers stay as written.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match &self.data {
            NodeValue::Null => out.extend_from_slice(b"null"),
            NodeValue::Bool(value) => {
                out.extend_from_slice(if *value { b"true" } else { b"false" })
            }
            NodeValue::Number(text) => out.extend_from_slice(text.as_bytes()),
            NodeValue::String(text) => quote(text, out),
            NodeValue::List(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            NodeValue::Map(members) => {
                out.push(b'{');
                for (at, member) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    quote(&member.key, out);
                    out.push(b':');
                    member.value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }

    /// Returns the name of the value's type, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.data {
            NodeValue::Null => "nothing",
            NodeValue::Bool(_) => "true or false",
            NodeValue::Number(_) => "a number",
            NodeValue::String(_) => "a text",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a mapping",
        }
    }

    /// Returns the members of a mapping; empty for any other node.
    pub fn members(&self) -> &[Member] {
        match &self.data {
            NodeValue::Map(members) => members,
            _ => &[],
        }
    }

    /// Returns the value of a key.
    #[inline(never)]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.members()
            .iter()
            .find(|member| &*member.key == key)
            .map(|member| &member.value)
    }

    /// Returns the text of a text node.
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            NodeValue::String(text) => Some(text),
            _ => None,
        }
    }
}
