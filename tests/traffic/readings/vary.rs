//! Variants of a JSON body: each changes one value of it, and leaves every other byte as it was.

use std::collections::BTreeMap;
use std::ops::Range;

/// A value of a JSON text.
#[derive(Clone, Debug)]
pub struct Node {
    /// The way to it without positions, with the words that tell one shape from another: `/messages/*[user]/content`.
    pub path: String,
    /// The member that it is the value of, key and value: `"role":"user"`.
    member: Option<Range<usize>>,
    /// The key, quotes included.
    key: Option<Range<usize>>,
    /// The value.
    value: Range<usize>,
    /// First byte of the value.
    kind: u8,
}

/// Members whose value says which shape an object has.
const TAGS: &[&str] = &[
    "type",
    "role",
    "event_type",
    "object",
    "kind",
    "method",
    "event",
];

/// Ways to change a value.
pub const CHANGES: &[Change] = &[
    ("member removed", removed),
    ("type changed", other_type),
    ("type changed to an object or a list", container),
    ("null", |_, _| Some("null".to_owned())),
    ("emptied", emptied),
    ("another word or number", other_value),
    ("words in an unknown member", unknown_member),
    ("a tree in an unknown member", unknown_tree),
    ("key in another case", other_case),
    ("key with a capital", capital),
    ("member twice", twice),
    ("member twice with another value", twice_otherwise),
];

/// A name, and what takes the place of a node: of the member where it is one, of the value otherwise. Absent where the
/// node can't be changed like that.
pub type Change = (&'static str, fn(&str, &Node) -> Option<String>);

/// All values of a text that is JSON, in their order.
pub fn nodes(json: &str) -> Vec<Node> {
    let mut walk = Walk {
        json: json.as_bytes(),
        at: 0,
        nodes: Vec::new(),
    };
    walk.value(String::new(), None);
    walk.nodes
}

/// The text with one node changed.
pub fn changed(
    json: &str,
    node: &Node,
    change: fn(&str, &Node) -> Option<String>,
) -> Option<String> {
    let with = change(json, node)?;
    let range = node.member.clone().unwrap_or_else(|| node.value.clone());
    let with = match &node.key {
        // A change that begins with a mark is about the whole member.
        Some(_) if with.starts_with('\u{0}') => with[1..].to_owned(),
        Some(key) => format!("{}:{with}", &json[key.clone()]),
        None => with.trim_start_matches('\u{0}').to_owned(),
    };
    let (mut from, mut to) = (range.start, range.end);
    if with.is_empty() {
        // The comma goes with the member.
        let rest = json[to..].trim_start();
        if rest.starts_with(',') {
            to = json.len() - rest.len() + 1;
        } else if let Some(before) = json[..from].trim_end().strip_suffix(',') {
            from = before.len();
        }
    }
    Some(format!("{}{with}{}", &json[..from], &json[to..]))
}

struct Walk<'j> {
    json: &'j [u8],
    at: usize,
    nodes: Vec<Node>,
}

impl Walk<'_> {
    fn space(&mut self) {
        while self.json[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Range<usize> {
        let start = self.at;
        self.at += 1;
        while self.json[self.at] != b'"' {
            self.at += if self.json[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        start..self.at
    }

    fn text(&self, range: Range<usize>) -> &str {
        std::str::from_utf8(&self.json[range]).unwrap()
    }

    fn value(&mut self, path: String, key: Option<Range<usize>>) {
        self.space();
        let start = self.at;
        let kind = self.json[start];
        let number = self.nodes.len();
        self.nodes.push(Node {
            path: path.clone(),
            member: None,
            key: key.clone(),
            value: start..start,
            kind,
        });
        match kind {
            b'{' => self.members(&path),
            b'[' => self.elements(&path),
            b'"' => drop(self.string()),
            _ => {
                while self
                    .json
                    .get(self.at)
                    .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
                {
                    self.at += 1;
                }
            }
        }
        let node = &mut self.nodes[number];
        node.value = start..self.at;
        node.member = key.map(|key| key.start..self.at);
    }

    fn members(&mut self, path: &str) {
        let mut path = path.to_owned();
        let tags = self.tags();
        if !tags.is_empty() {
            path.push_str(&format!("[{tags}]"));
        }
        self.at += 1;
        loop {
            self.space();
            match self.json[self.at] {
                b'}' => break,
                b',' => self.at += 1,
                _ => {
                    let key = self.string();
                    self.space();
                    self.at += 1;
                    let name = self.text(key.start + 1..key.end - 1).to_owned();
                    self.value(format!("{path}/{name}"), Some(key));
                }
            }
        }
        self.at += 1;
    }

    fn elements(&mut self, path: &str) {
        self.at += 1;
        loop {
            self.space();
            match self.json[self.at] {
                b']' => break,
                b',' => self.at += 1,
                _ => self.value(format!("{path}/*"), None),
            }
        }
        self.at += 1;
    }

    /// What the object that begins here says that it is.
    fn tags(&self) -> String {
        let object = std::str::from_utf8(&self.json[self.at..]).unwrap();
        let mut values = serde_json::Deserializer::from_str(object).into_iter();
        let Some(Ok(serde_json::Value::Object(object))) = values.next() else {
            return String::new();
        };
        let tags = TAGS.iter().filter_map(|tag| object.get(*tag)?.as_str());
        let tags: Vec<&str> = tags
            .filter(|tag| tag.len() < 40 && !tag.contains(' '))
            .collect();
        tags.join(" ")
    }
}

fn removed(_: &str, node: &Node) -> Option<String> {
    (!node.path.is_empty()).then(|| "\u{0}".to_owned())
}

fn other_type(json: &str, node: &Node) -> Option<String> {
    let value = &json[node.value.clone()];
    Some(match node.kind {
        b'"' => "7".to_owned(),
        b'{' => format!("[{value}]"),
        b'[' => format!("{{\"a\":{value}}}"),
        b'n' => "\"words that nobody expects\"".to_owned(),
        _ => format!("\"{value}\""),
    })
}

fn container(json: &str, node: &Node) -> Option<String> {
    let value = &json[node.value.clone()];
    Some(match node.kind {
        b'"' => format!("{{\"text\":{value}}}"),
        b'{' | b'[' => "\"words that nobody expects\"".to_owned(),
        b'n' => "{}".to_owned(),
        b't' | b'f' => "1".to_owned(),
        _ => format!("[{value}]"),
    })
}

fn emptied(_: &str, node: &Node) -> Option<String> {
    Some(match node.kind {
        b'"' => "\"\"".to_owned(),
        b'{' => "{}".to_owned(),
        b'[' => "[]".to_owned(),
        b'n' => return None,
        _ => "0".to_owned(),
    })
}

fn other_value(_: &str, node: &Node) -> Option<String> {
    match node.kind {
        b'"' => Some("\"another_word\"".to_owned()),
        b't' => Some("false".to_owned()),
        b'f' => Some("true".to_owned()),
        b'{' | b'[' | b'n' => None,
        _ => Some("1.5".to_owned()),
    }
}

fn unknown_member(json: &str, node: &Node) -> Option<String> {
    with_member(json, node, "\"zz_more\":\"words that nobody expects\"")
}

fn unknown_tree(json: &str, node: &Node) -> Option<String> {
    let tree = "\"zz_more\":[{\"name\":\"find\",\"text\":\"words that nobody expects\",\"n\":4}]";
    with_member(json, node, tree)
}

fn with_member(json: &str, node: &Node, member: &str) -> Option<String> {
    let rest = json[node.value.clone()].strip_prefix('{')?;
    let comma = if rest.trim_start().starts_with('}') {
        ""
    } else {
        ","
    };
    Some(format!("{{{member}{comma}{rest}"))
}

fn with_key(json: &str, node: &Node, key: &str) -> String {
    format!("\u{0}\"{key}\":{}", &json[node.value.clone()])
}

fn name<'j>(json: &'j str, node: &Node) -> Option<&'j str> {
    let key = node.key.clone()?;
    Some(&json[key.start + 1..key.end - 1])
}

/// `max_tokens` as `maxTokens`, and the other way round.
fn other_case(json: &str, node: &Node) -> Option<String> {
    let name = name(json, node)?;
    let mut other = String::new();
    let mut is_next = false;
    for c in name.chars() {
        match c {
            '_' => is_next = true,
            c if is_next => {
                other.extend(c.to_uppercase());
                is_next = false;
            }
            c if c.is_ascii_uppercase() => {
                other.push('_');
                other.push(c.to_ascii_lowercase());
            }
            c => other.push(c),
        }
    }
    (other != name).then(|| with_key(json, node, &other))
}

fn capital(json: &str, node: &Node) -> Option<String> {
    let name = name(json, node)?;
    let mut other = name.to_owned();
    other.get_mut(..1)?.make_ascii_uppercase();
    (other != name).then(|| with_key(json, node, &other))
}

fn twice(json: &str, node: &Node) -> Option<String> {
    let member = &json[node.member.clone()?];
    Some(format!("\u{0}{member},{member}"))
}

fn twice_otherwise(json: &str, node: &Node) -> Option<String> {
    let member = &json[node.member.clone()?];
    let key = &json[node.key.clone()?];
    let other = other_value(json, node).or_else(|| other_type(json, node))?;
    Some(format!("\u{0}{member},{key}:{other}"))
}

/// The first node of each way that was not met yet, with the number of the text that it is in. Short texts come first, so
/// that variants are short.
pub fn one_of_each_path(texts: &[(String, &str)]) -> Vec<(usize, Node)> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|number| texts[*number].1.len());
    let mut known: BTreeMap<(&str, String), (usize, Node)> = BTreeMap::new();
    for number in order {
        let (what, json) = &texts[number];
        for node in nodes(json) {
            let path = (what.as_str(), node.path.clone());
            known.entry(path).or_insert((number, node));
        }
    }
    known.into_values().collect()
}
