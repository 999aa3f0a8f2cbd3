//! The event and the facts of a case.

use agentguard::event::{
    Author, Class, Direction, Event, Facts, Form, Kind, Known, Models, Part, Principal, Reading,
    RequestFacts, Text, TextNames, Turn,
};
use agentguard::policy::{Node, NodeValue};
use agentguard::wire::json::{JsonBody, Limits, Value, ValueKind as Json};

/// What a case gives.
pub struct Given<'c> {
    case: &'c Node,
}

impl<'c> Given<'c> {
    /// Of a case.
    pub fn of(case: &'c Node) -> Given<'c> {
        Given { case }
    }

    /// The event's kind; its members, if it is written out.
    fn event(&self) -> (Kind, Option<&'c Node>) {
        for kind in Kind::ALL {
            if let Some(node) = self.case.get(kind.word()) {
                return (*kind, Some(node));
            }
        }
        if self.case.get("text").is_some() {
            (Kind::Message, None)
        } else {
            (Kind::ToolCall, None)
        }
    }

    /// The word of the event's kind.
    pub fn event_word(&self) -> &'static str {
        self.event().0.word()
    }

    /// A member of the event.
    fn member(&self, key: &str) -> Option<&'c Node> {
        self.event()
            .1
            .and_then(|node| node.get(key))
            .or(self.case.get(key))
    }

    /// The events that stand earlier in the conversation, and the body that holds them.
    pub fn earlier(&self) -> Option<(Vec<u8>, Vec<Given<'c>>)> {
        let NodeValue::List(items) = &self.case.get("earlier")?.data else {
            panic!("`earlier` is a list of events");
        };
        let given: Vec<Given<'_>> = items.iter().map(Given::of).collect();
        let bodies: Vec<Vec<u8>> = given.iter().map(Given::body).collect();
        let body = [b"[", bodies.join(&b","[..]).as_slice(), b"]"].concat();
        Some((body, given))
    }

    /// The earlier events in their body.
    pub fn earlier_reading(events: &[Given<'_>], json: &JsonBody<'_>) -> Reading {
        let mut reading = Reading::default();
        let doc = json.body().unwrap();
        let root = doc.root();
        for (event, value) in events.iter().zip(root.elements()) {
            event.add_to(&mut reading, value, Direction::Request);
        }
        reading
    }

    /// Whether the conversation is known only in part.
    pub fn continues_elsewhere(&self) -> bool {
        let word = self.case.get("history").and_then(Node::text);
        assert!(matches!(word, None | Some("incomplete")));
        word.is_some()
    }

    /// The body: the event's texts, arguments and result, for the scanner.
    pub fn body(&self) -> Vec<u8> {
        let mut body = b"{".to_vec();
        for key in ["text", "args", "result", "params"] {
            let Some(value) = self
                .member(key)
                .filter(|value| value.text() != Some("unknown") || key == "text")
            else {
                continue;
            };
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend_from_slice(format!("\"{key}\":").as_bytes());
            value.write_json(&mut body);
        }
        body.push(b'}');
        body
    }

    /// The scanned body.
    pub fn json<'b>(&self, body: &'b [u8]) -> JsonBody<'b> {
        JsonBody::scan(body, Limits { max_depth: 64 }, 4).unwrap()
    }

    /// The one event that the case is about.
    pub fn reading(&self, json: &JsonBody<'_>) -> Reading {
        let mut reading = Reading::default();
        let direction = match self.event().0 {
            Kind::ToolCall | Kind::Response => Direction::Response,
            _ => Direction::Request,
        };
        self.add_to(&mut reading, json.body().unwrap().root(), direction);
        reading
    }

    fn add_to(&self, reading: &mut Reading, root: Value<'_>, direction: Direction) {
        let (kind, _) = self.event();
        let mut event = Event::new(kind, direction, root.place());
        let value = |key: &str| match (self.member(key), root.get(key)) {
            (Some(written), _) if written.text() == Some("unknown") => Known::Unknown,
            (_, Some(value)) => Known::Is(value.place()),
            _ => Known::Missing,
        };
        event.args = value("args");
        event.result = value("result");
        reading.params = root.get("params").map(|value| value.place());
        event.tool = self.name("tool", Some("t"));
        event.from = match self.member("from").and_then(Node::text) {
            Some("unknown") => Known::Unknown,
            Some(word) => Known::Is(Author::from_word(word).unwrap()),
            None => Known::Is(Author::User),
        };
        event.ok = match self.member("ok").map(|node| &node.data) {
            Some(NodeValue::Bool(ok)) => Known::Is(*ok),
            _ => Known::Missing,
        };
        event.provider_run = event.args == Known::Unknown;
        if let Some(part) = self.member("part").and_then(Node::text) {
            event.part = Part::from_word(part).unwrap();
        }
        if let Some(turn) = self.member("turn").and_then(Node::text) {
            event.turn = Turn::from_word(turn).unwrap();
        }
        if let Some(code) = self.member("code").and_then(Node::text) {
            event.code = agentguard::diag::codes::find(code).map(|code| code.id);
        }
        let source = match kind {
            Kind::ToolCall => root.get("args"),
            Kind::ToolResult => root.get("result").or(root.get("text")),
            _ => root.get("text"),
        };
        if let Some(source) = source {
            event.texts = register(reading, source);
        }
        reading.events.push(event);
    }

    /// A name: `unknown` is unknown, `null` missing.
    fn name(&self, key: &str, otherwise: Option<&str>) -> Known<Box<str>> {
        known(self.member(key)).unwrap_or_else(|| otherwise.map(Box::from).into())
    }

    /// The exchange.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts::unknown();
        let Some(given) = self.case.get("given") else {
            return facts;
        };
        for member in given.members() {
            let value = &member.value;
            let one = || known(Some(value)).unwrap();
            match &*member.key {
                "env" => facts.environment = one(),
                "host" => facts.host = one(),
                "method" => facts.method = one(),
                "provider" => facts.provider = one(),
                "server" => facts.server = one(),
                "path" => facts.paths = Known::Is(texts(value)),
                "model" => {
                    let names = texts(value);
                    facts.models = Models::from_words(names.iter().map(|name| &**name));
                }
                "principal" => facts.principal = principal(value),
                "headers" => {
                    for header in value.members() {
                        let bytes = header.value.text().unwrap().as_bytes();
                        facts.headers.push((header.key.clone(), bytes.into()));
                    }
                }
                "time" => {
                    let time: jiff::Timestamp = value.text().unwrap().parse().unwrap();
                    facts.time = Some(u64::try_from(time.as_nanosecond()).unwrap());
                }
                "request" => facts.request = request(value),
                other => panic!("`given` has no `{other}`"),
            }
        }
        facts
    }
}

fn known(node: Option<&Node>) -> Option<Known<Box<str>>> {
    match node.map(|node| &node.data) {
        None => None,
        Some(NodeValue::Null) => Some(Known::Missing),
        Some(NodeValue::String(word)) if **word == *"unknown" => Some(Known::Unknown),
        Some(NodeValue::String(word)) => Some(Known::Is(word.clone())),
        other => panic!("{other:?} is no name"),
    }
}

fn texts(node: &Node) -> Vec<Box<str>> {
    match &node.data {
        NodeValue::List(items) => items
            .iter()
            .map(|item| item.text().unwrap().into())
            .collect(),
        NodeValue::String(text) => vec![text.clone()],
        other => panic!("{other:?} is no text"),
    }
}

fn principal(node: &Node) -> Principal {
    let mut principal = Principal::known_by(Some("case"));
    for member in node.members() {
        match &*member.key {
            "id" => principal.id = known(Some(&member.value)).unwrap(),
            "agent" => principal.agent = known(Some(&member.value)).unwrap(),
            "client" => principal.client = known(Some(&member.value)).unwrap(),
            "tenant" => principal.tenant = known(Some(&member.value)).unwrap(),
            "roles" if member.value.text() == Some("unknown") => principal.roles = Known::Unknown,
            "roles" => principal.roles = Known::Is(texts(&member.value)),
            claim => {
                let values = match member.value.text() {
                    Some("unknown") => Known::Unknown,
                    _ => Known::Is(texts(&member.value)),
                };
                principal.claims.insert(claim.into(), values);
            }
        }
    }
    principal
}

fn request(node: &Node) -> RequestFacts {
    let number = |key: &str| match node.get(key).map(|node| &node.data) {
        Some(NodeValue::Number(text)) => Some(text.parse().unwrap()),
        _ => None,
    };
    RequestFacts {
        message_count: number("message_count"),
        max_tokens: number("max_tokens"),
        tools: node.get("tools").map(texts),
        stream: match node.get("stream").map(|node| &node.data) {
            Some(NodeValue::Bool(stream)) => Some(*stream),
            _ => None,
        },
        ..RequestFacts::default()
    }
}

/// Registers the strings, keys and numbers of a value as a protocol's reader does.
fn register(reading: &mut Reading, value: Value<'_>) -> std::ops::Range<u32> {
    let start = u32::try_from(reading.texts.len()).unwrap();
    for node in value.descendants() {
        let form = match node.value.kind() {
            Json::String if node.is_key => Form::Key,
            Json::String => Form::String,
            Json::Number => Form::Number,
            _ => continue,
        };
        reading.texts.push(Text {
            place: node.value.place(),
            class: Class::Text,
            form,
            names: TextNames::NONE,
            is_data: false,
        });
    }
    start..u32::try_from(reading.texts.len()).unwrap()
}
