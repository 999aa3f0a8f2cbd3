//! A document as it was written, whatever it was written in: YAML, JSON, or a Struct from Envoy.

use crate::wire::json::{Value, ValueKind, quote};
use crate::wire::span::index;
use std::ops::Range;

/// A value with its place in the text of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Bytes of the document.
    pub span: Range<usize>,
    /// The value.
    pub data: NodeValue,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number in JSON's grammar, as written.
    Number(Box<str>),
    /// A text.
    String(Box<str>),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the document; keys are unique.
    Map(Vec<Member>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The key.
    pub key: Box<str>,
    /// Bytes of the key.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A text at a place.
    #[inline(never)]
    pub(crate) fn text_at(text: &str, span: &Range<usize>) -> Node {
        Node {
            span: span.clone(),
            data: NodeValue::String(text.into()),
        }
    }

    /// A list at a place.
    pub(crate) fn list_at(items: Vec<Node>, span: &Range<usize>) -> Node {
        Node {
            span: span.clone(),
            data: NodeValue::List(items),
        }
    }

    /// A mapping at a place, with its keys there too.
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

    /// The items of a list; anything else is a list of one.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.data {
            NodeValue::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// A scanned JSON value.
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

    /// Appends the tree as JSON text; numbers stay as they were written.
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

    /// What it is, for a message.
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

    /// The members of a mapping; none of anything else.
    pub fn members(&self) -> &[Member] {
        match &self.data {
            NodeValue::Map(members) => members,
            _ => &[],
        }
    }

    /// The value of a key.
    #[inline(never)]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.members()
            .iter()
            .find(|member| &*member.key == key)
            .map(|member| &member.value)
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            NodeValue::String(text) => Some(text),
            _ => None,
        }
    }
}
