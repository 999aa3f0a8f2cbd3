//! Events that are described by hand instead of recorded: on the command line, and in a policy's tests and examples. `diff`
//! writes a witness in the same form.
//!
//! A case is a mapping. The event is one of `call` (`"issue_refund {amount: 100}"`, or `{ tool, args, … }`), `text` (a
//! message), `model` (a request), or a kind of event with its members (`tool_result: { tool: fetch, text: … }`). Beside it
//! are facts of the exchange: `env`, `principal`, `time`, `host`, … A fact that is absent is unknown. Any value may be
//! `unknown`, or `null` if it is missing.

use super::explain::moment;
use super::yaml::parse_yaml;
use crate::diag::{Diagnostic, codes, listed, nearest};
use crate::event::{
    Author, Class, Direction, Event, Facts, Form, Kind, Known, Models, Part, Principal, Reading,
    Text, Turn, Usage, each_named,
};
use crate::policy::compiled_policy::Policy;
use crate::policy::context::Context;
use crate::policy::declared_principal::{known, name_of, principal};
use crate::policy::decode::{Decoder, PolicyPath};
use crate::policy::environment::EnvironmentSource;
use crate::policy::node::{Member, Node, NodeValue};
use crate::wire::json::{Decimal, JsonBody, Limits, NodeId, Value, ValueKind as Json};
use crate::wire::span::offset;
use std::cell::RefCell;
use std::ops::Range;

/// Maximum nesting of a described event.
pub const CASE_LIMITS: Limits = Limits { max_depth: 64 };

/// Facts of the exchange in a case.
pub const FACT_KEYS: &[&str] = &[
    "env",
    "principal",
    "time",
    "host",
    "path",
    "method",
    "provider",
    "protocol",
    "server",
    "model",
    "headers",
    "earlier",
    "approved_by",
    "limits",
];

/// Keys of a case that describe its event.
pub const EVENT_KEYS: &[&str] = &[
    "call",
    "text",
    "request",
    "message",
    "tool_offer",
    "tool_call",
    "tool_result",
    "response",
    "uninspectable",
];

const MEMBERS: &[&str] = &[
    "tool",
    "args",
    "result",
    "text",
    "from",
    "part",
    "turn",
    "ok",
    "in",
    "provider_run",
    "unoffered",
    "code",
    "class",
    "usage",
    "finish",
];

const REQUEST_MEMBERS: &[&str] = &[
    "model",
    "params",
    "message_count",
    "estimated_tokens",
    "bytes",
    "stream",
    "max_tokens",
    "tools",
];

/// Classes of opaque content.
pub(super) const CLASSES: &[&str] = &[
    "attachment",
    "provider_state",
    "opaque",
    "token_ids",
    "text_tools",
    "arguments",
];

/// Described event.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleEvent {
    /// Kind.
    pub kind: Kind,
    /// Half of the exchange; if absent, the half in which its kind is evaluated first.
    pub direction: Option<Direction>,
    /// Tool.
    pub tool: Known<Box<str>>,
    /// Arguments of a call.
    pub args: Known<Node>,
    /// Structured result.
    pub result: Known<Node>,
    /// Settings of a request.
    pub params: Known<Node>,
    /// Its texts.
    pub texts: Vec<Box<str>>,
    /// Author of the text.
    pub from: Known<Author>,
    /// Part of the message.
    pub part: Part,
    /// Turn of the message.
    pub turn: Turn,
    /// Whether a result is a success.
    pub ok: Known<bool>,
    /// Whether the provider runs the tool.
    pub provider_run: bool,
    /// Whether the request offers no such tool; if missing, the offered tools decide.
    pub unoffered: Known<bool>,
    /// Code of an uninspectable event.
    pub code: Option<&'static str>,
    /// Class of its opaque content.
    pub class: Option<&'static str>,
    /// Tokens of the response.
    pub usage: Usage,
    /// Finish reason of the response.
    pub finish: Option<Box<str>>,
    /// Earlier events of the conversation; `None` if unknown.
    pub earlier: Option<Vec<SampleEvent>>,
}

impl SampleEvent {
    /// Returns an event of a kind with no further members.
    pub fn new(kind: Kind) -> SampleEvent {
        SampleEvent {
            kind,
            direction: None,
            tool: Known::Unknown,
            args: Known::Missing,
            result: Known::Missing,
            params: Known::Missing,
            texts: Vec::new(),
            from: Known::Is(Author::User),
            part: Part::Text,
            turn: Turn::Latest,
            ok: Known::Missing,
            provider_run: false,
            unoffered: Known::Missing,
            code: None,
            class: None,
            usage: Usage::default(),
            finish: None,
            earlier: None,
        }
    }

    /// Returns the half of the exchange. Calls are evaluated where they can be stopped: in a response.
    fn direction(&self) -> Direction {
        // A tool that the provider runs is mostly known by its definition, in a request.
        let is_offer = self.provider_run && self.args == Known::Unknown;
        self.direction.unwrap_or(match self.kind {
            Kind::ToolCall if is_offer => Direction::Request,
            Kind::ToolCall | Kind::Response => Direction::Response,
            _ => Direction::Request,
        })
    }
}

/// Events and their exchange, ready to be evaluated.
#[derive(Clone, Debug)]
pub struct SampleExchange {
    /// Body that contains the events' values.
    pub body: Vec<u8>,
    /// Events in the body.
    pub reading: Reading,
    /// Facts of the exchange.
    pub facts: Facts,
    /// Earlier conversation.
    pub past: Option<Box<SampleExchange>>,
}

/// Checks that the used amounts in a case belong to limits of the policy: with a misspelt name, the limit would count as
/// unused.
///
/// # Errors
/// A rule does not exist, or has no limit. The message suggests a name.
pub fn has_limits(policy: &Policy, facts: &Facts) -> Result<(), String> {
    let rules = policy.rules().iter();
    let known: Vec<&str> = rules
        .filter(|rule| rule.limit.is_some())
        .map(|rule| &*rule.id)
        .collect();
    let unknown = facts.used.keys().find(|name| !known.contains(&&***name));
    let Some(name) = unknown else {
        return Ok(());
    };
    let hint = match (nearest(name, &known), listed(&known)) {
        (Some(meant), _) => format!("did you mean `{meant}`?"),
        (None, Some(names)) => format!("its limits are {names}"),
        (None, None) if known.is_empty() => "none of its rules has a limit".to_owned(),
        (None, None) => format!("it has {} others", known.len()),
    };
    Err(format!("`{name}` is no limit of the policy; {hint}"))
}

impl SampleExchange {
    /// Lays out described events for a policy, which provides some of the missing facts.
    ///
    /// # Errors
    /// The values can't be scanned, or a limit is not in the policy.
    pub fn new(
        events: &[SampleEvent],
        mut facts: Facts,
        policy: &Policy,
    ) -> Result<SampleExchange, String> {
        has_limits(policy, &facts)?;
        settle(&mut facts, policy);
        let earlier: Option<Vec<SampleEvent>> = events
            .iter()
            .filter_map(|event| event.earlier.clone())
            .reduce(|mut all, more| {
                all.extend(more);
                all
            });
        let mut earlier_case = None;
        if let Some(mut earlier) = earlier {
            for event in &mut earlier {
                // Earlier events were in the request.
                event.direction = Some(Direction::Request);
            }
            let past = SampleExchange::laid_out(&earlier, facts.clone())?;
            if let Some(history) = past.seen_by(policy, |context| policy.recall(context)) {
                facts.history = history;
            }
            earlier_case = Some(Box::new(past));
        }
        let mut case = SampleExchange::laid_out(events, facts)?;
        case.past = earlier_case;
        Ok(case)
    }

    fn laid_out(events: &[SampleEvent], facts: Facts) -> Result<SampleExchange, String> {
        let body = body_of(events);
        let mut case = SampleExchange {
            body,
            reading: Reading::new(),
            facts,
            past: None,
        };
        let json = JsonBody::scan(&case.body, CASE_LIMITS, 0).map_err(|error| error.to_string())?;
        let Some(doc) = json.body() else {
            return Ok(case);
        };
        let mut reading = Reading::new();
        for (event, value) in events.iter().zip(doc.root().elements()) {
            lay_out(event, value, &mut reading);
        }
        drop(doc);
        drop(json);
        case.reading = reading;
        Ok(case)
    }

    /// Calls `look` with the context in which a policy evaluates the events.
    pub fn seen_by<R>(&self, policy: &Policy, look: impl FnOnce(&Context<'_>) -> R) -> Option<R> {
        let levels = policy.document.inspect.nested_json;
        let json = JsonBody::scan(&self.body, CASE_LIMITS, levels).ok()?;
        Some(look(&Context {
            policy,
            facts: &self.facts,
            reading: &self.reading,
            json: &json,
            scans: &RefCell::default(),
            scratch: &RefCell::default(),
        }))
    }
}

/// Completes the facts from the policy: its environment, which applies if neither the case nor the proxy provides one.
pub(super) fn settle(facts: &mut Facts, policy: &Policy) {
    let name = match &policy.document.environment {
        EnvironmentSource::Absent => None,
        EnvironmentSource::Value(name) => Some(name),
        EnvironmentSource::Node { otherwise }
        | EnvironmentSource::Variable { otherwise, .. }
        | EnvironmentSource::Principal { otherwise } => otherwise.as_ref(),
    };
    if let (Known::Unknown, Some(name)) = (&facts.environment, name) {
        facts.environment = Known::Is(name.clone());
    }
}

fn body_of(events: &[SampleEvent]) -> Vec<u8> {
    let members = |event: &SampleEvent| {
        let texts = event
            .texts
            .iter()
            .map(|text| node(NodeValue::String(text.clone())))
            .collect();
        let mut members = vec![member("texts", node(NodeValue::List(texts)))];
        for (key, value) in [
            ("args", &event.args),
            ("result", &event.result),
            ("params", &event.params),
        ] {
            members.extend(value.value().map(|value| member(key, value.clone())));
        }
        node(NodeValue::Map(members))
    };
    let mut body = Vec::new();
    node(NodeValue::List(events.iter().map(members).collect())).write_json(&mut body);
    body
}

fn node(data: NodeValue) -> Node {
    Node { span: 0..0, data }
}

fn member(key: &str, value: Node) -> Member {
    Member {
        key: key.into(),
        key_span: 0..0,
        value,
    }
}

fn lay_out(described: &SampleEvent, value: Value<'_>, reading: &mut Reading) {
    let mut event = Event::new(described.kind, described.direction(), value.place());
    let place = |known: &Known<Node>, key: &str| -> Known<NodeId> {
        match known {
            Known::Missing => Known::Missing,
            Known::Unknown => Known::Unknown,
            Known::Is(_) => value.get(key).map(|value| value.place()).into(),
        }
    };
    event.args = place(&described.args, "args");
    event.result = place(&described.result, "result");
    event.tool = described.tool.clone();
    event.from = described.from.clone();
    event.ok = described.ok.clone();
    event.part = described.part;
    event.turn = described.turn;
    event.provider_run = described.provider_run;
    event.unoffered = described.unoffered.clone();
    event.code = described.code;
    event.opacity = described.class;
    let texts = match described.kind {
        Kind::ToolCall => value.get("args"),
        Kind::ToolResult if described.texts.is_empty() => value.get("result"),
        _ => value.get("texts"),
    };
    if let Some(texts) = texts {
        let is_data = described.kind == Kind::ToolResult;
        event.texts = register(texts, is_data, reading);
    }
    match described.kind {
        Kind::Request => reading.params = place(&described.params, "params").value().copied(),
        Kind::Response => {
            reading.usage = described.usage;
            reading.finish = described.finish.iter().cloned().collect();
        }
        _ => {}
    }
    reading.add(event);
}

/// Registers the strings, keys and numbers of a value as a protocol's reader does.
fn register(value: Value<'_>, is_data: bool, reading: &mut Reading) -> Range<u32> {
    let start = offset(reading.texts.len());
    each_named(value, &mut |named| {
        let form = match named.value.kind() {
            Json::String if named.is_key => Form::Key,
            Json::String => Form::String,
            Json::Number => Form::Number,
            _ => return,
        };
        reading.texts.push(Text {
            place: named.value.place(),
            class: Class::Text,
            form,
            names: named.name.into(),
            is_data,
        });
    });
    start..offset(reading.texts.len())
}

/// Reads a case: its facts and its event. Other keys are left to the caller.
pub(super) fn read(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    shared: &Facts,
) -> Option<(SampleEvent, Facts)> {
    let errors_before = decoder.diagnostics.len();
    let mut facts = shared.clone();
    read_facts(decoder, at, node, &mut facts);
    let mut event = None;
    for key in EVENT_KEYS {
        let Some(value) = node.get(key) else { continue };
        let at = at.key(key);
        if event.is_some() {
            decoder.error(
                codes::AG1007,
                &at,
                &value.span,
                "a case is about one event",
                "give each event a case of its own",
            );
            return None;
        }
        event = Some(read_event(decoder, &at, key, value, &mut facts)?);
    }
    let event = match event {
        Some(event) => event,
        None if node.get("model").is_some() => SampleEvent::new(Kind::Request),
        None => {
            decoder.error(
                codes::AG1006,
                at,
                &node.span,
                "the event to evaluate is missing",
                "write `call`, `text`, `model`, or a kind of event such as `tool_result`",
            );
            return None;
        }
    };
    let mut event = event;
    if let Some(earlier) = node.get("earlier").filter(|earlier| !is_unknown(earlier)) {
        let at = at.key("earlier");
        let NodeValue::List(items) = &earlier.data else {
            decoder.wrong_type(&at, earlier, "a list of events");
            return None;
        };
        let mut events = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let at = at.index(number);
            decoder.mapping(&at, item, EVENT_KEYS)?;
            events.push(read(decoder, &at, item, &facts)?.0);
        }
        event.earlier = Some(events);
    }
    (decoder.diagnostics.len() == errors_before).then_some((event, facts))
}

/// Parses `NAME {arguments}`.
///
/// # Errors
/// The arguments are not a mapping, or the name is a quoted text: a message is written as `{text: …}`.
pub fn read_call(text: &str) -> Result<SampleEvent, String> {
    let text = text.trim();
    let split = text
        .find(|c: char| c == '{' || c.is_whitespace())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(split).unwrap_or((text, ""));
    if name.is_empty() || name.starts_with(['"', '\'']) {
        return Err("a call begins with the name of a tool; a text is `{text: …}`".to_owned());
    }
    let mut event = SampleEvent::new(Kind::ToolCall);
    event.tool = name_of(name);
    match rest.trim() {
        "" => {}
        "unknown" => event.args = Known::Unknown,
        rest => {
            let args = parse_yaml(rest).map_err(|errors| {
                errors
                    .first()
                    .map_or_else(String::new, |error| error.message.clone())
            })?;
            if !matches!(args.data, NodeValue::Map(_)) {
                return Err("arguments are a mapping, `{argument: value}`".to_owned());
            }
            event.args = Known::Is(args);
        }
    }
    Ok(event)
}

fn read_event(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    key: &str,
    node: &Node,
    facts: &mut Facts,
) -> Option<SampleEvent> {
    match (key, &node.data) {
        ("call", NodeValue::String(text)) => match read_call(text) {
            Ok(event) => return Some(event),
            Err(what) => {
                decoder.error(
                    codes::AG1005,
                    at,
                    &node.span,
                    &format!("the arguments can't be read: {what}"),
                    "write a call as `NAME {argument: value, …}`",
                );
                return None;
            }
        },
        ("text", _) => {
            let mut event = SampleEvent::new(Kind::Message);
            event.texts = decoder.texts(at, node)?;
            return Some(event);
        }
        ("request", _) => {
            let mut event = SampleEvent::new(Kind::Request);
            for member in decoder.mapping(at, node, REQUEST_MEMBERS)? {
                read_request(decoder, &at.key(&member.key), member, facts, &mut event)?;
            }
            return Some(event);
        }
        _ => {}
    }
    let kind = match key {
        "call" => Kind::ToolCall,
        key => Kind::from_word(key)?,
    };
    let mut event = SampleEvent::new(kind);
    for member in decoder.mapping(at, node, MEMBERS)? {
        read_member(decoder, &at.key(&member.key), member, &mut event)?;
    }
    Some(event)
}

fn read_member(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    member: &Member,
    event: &mut SampleEvent,
) -> Option<()> {
    let value = &member.value;
    match &*member.key {
        "tool" => event.tool = known(decoder, at, value)?,
        "args" => event.args = known_node(value),
        "result" => event.result = known_node(value),
        "text" => event.texts = decoder.texts(at, value)?,
        "from" => {
            event.from = match value.text() {
                Some("unknown") => Known::Unknown,
                _ => Known::Is(decoder.one_of(at, value)?),
            }
        }
        "part" => event.part = decoder.one_of(at, value)?,
        "turn" => event.turn = decoder.one_of(at, value)?,
        "in" => event.direction = Some(decoder.one_of(at, value)?),
        "ok" => {
            event.ok = match value.text() {
                Some("unknown") => Known::Unknown,
                _ => Known::Is(decoder.boolean(at, value)?),
            }
        }
        "provider_run" => {
            event.provider_run = decoder.boolean(at, value)?;
            if event.provider_run {
                event.args = Known::Unknown;
            }
        }
        "unoffered" => {
            event.unoffered = match value.text() {
                Some("unknown") => Known::Unknown,
                _ => Known::Is(decoder.boolean(at, value)?),
            }
        }
        "code" => {
            let words: Vec<(&str, &'static str)> =
                codes::CODES.iter().map(|code| (code.id, code.id)).collect();
            event.code = Some(decoder.word(at, value, &words)?);
        }
        "class" => {
            let words: Vec<(&str, &'static str)> =
                CLASSES.iter().map(|class| (*class, *class)).collect();
            event.class = Some(decoder.word(at, value, &words)?);
        }
        "usage" => {
            let known = &[
                "input_tokens",
                "output_tokens",
                "cached_tokens",
                "reasoning_tokens",
            ];
            for member in decoder.mapping(at, value, known)? {
                if is_unknown(&member.value) {
                    continue;
                }
                let count = decoder.count(&at.key(&member.key), &member.value)?;
                match &*member.key {
                    "input_tokens" => event.usage.input_tokens = Some(count),
                    "output_tokens" => event.usage.output_tokens = Some(count),
                    "cached_tokens" => event.usage.cached_tokens = Some(count),
                    _ => event.usage.reasoning_tokens = Some(count),
                }
            }
        }
        _ => event.finish = Some(decoder.text(at, value)?),
    }
    Some(())
}

fn read_request(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    member: &Member,
    facts: &mut Facts,
    event: &mut SampleEvent,
) -> Option<()> {
    let value = &member.value;
    match &*member.key {
        "model" => facts.models = models(decoder, at, value)?,
        "params" => event.params = known_node(value),
        // Each of these is unknown without a value.
        _ if is_unknown(value) => {}
        "message_count" => facts.request.message_count = Some(decoder.count(at, value)?),
        "estimated_tokens" => facts.request.estimated_tokens = Some(decoder.count(at, value)?),
        "bytes" => facts.request.bytes = Some(decoder.count(at, value)?),
        "max_tokens" => facts.request.max_tokens = Some(decoder.count(at, value)?),
        "stream" => facts.request.stream = Some(decoder.boolean(at, value)?),
        _ => facts.request.tools = Some(decoder.texts(at, value)?),
    }
    Some(())
}

/// Reads facts from a mapping.
pub(super) fn read_facts(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    facts: &mut Facts,
) {
    for member in node.members() {
        if FACT_KEYS.contains(&&*member.key) {
            let _ = read_fact(decoder, &at.key(&member.key), member, facts);
        }
    }
}

fn read_fact(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    member: &Member,
    facts: &mut Facts,
) -> Option<()> {
    let value = &member.value;
    match &*member.key {
        "env" => facts.environment = known(decoder, at, value)?,
        "host" => facts.host = known(decoder, at, value)?,
        "method" => facts.method = known(decoder, at, value)?,
        "provider" => facts.provider = known(decoder, at, value)?,
        "protocol" => facts.protocol = known(decoder, at, value)?,
        "server" => facts.server = known(decoder, at, value)?,
        "path" => {
            facts.paths = match &value.data {
                _ if is_unknown(value) => Known::Unknown,
                NodeValue::Null => Known::Missing,
                _ => Known::Is(decoder.texts(at, value)?),
            }
        }
        "model" => facts.models = models(decoder, at, value)?,
        // All fields of a caller without an identity are unknown.
        "principal" if is_unknown(value) => facts.principal = Principal::anonymous(),
        "principal" => facts.principal = principal(decoder, at, value)?,
        "headers" => {
            if is_unknown(value) {
                decoder.error(
                    codes::AG1005,
                    at,
                    &value.span,
                    "headers are never unknown: those that are not listed are missing",
                    "write a mapping of headers, or leave `headers` out",
                );
                return None;
            }
            let NodeValue::Map(members) = &value.data else {
                decoder.wrong_type(at, value, "a mapping of headers");
                return None;
            };
            facts.headers.clear();
            for member in members {
                let text = decoder.text(&at.key(&member.key), &member.value)?;
                let name = member.key.to_ascii_lowercase().into();
                facts.headers.push((name, text.as_bytes().into()));
            }
        }
        "approved_by" => facts.approved_by = decoder.texts(at, value)?,
        "limits" => {
            let NodeValue::Map(members) = &value.data else {
                decoder.wrong_type(at, value, "a mapping of rules to what is used");
                return None;
            };
            for member in members {
                let used = match &member.value.data {
                    NodeValue::Number(number) => Decimal::parse(number),
                    _ => None,
                };
                let Some(used) = used.filter(|used| !used.is_negative()) else {
                    let at = at.key(&member.key);
                    decoder.wrong_type(&at, &member.value, "a number that is not negative");
                    return None;
                };
                facts.used.insert(member.key.clone(), used);
            }
        }
        // Read with its event.
        "earlier" => {}
        "time" if is_unknown(value) => facts.time = None,
        _ => {
            let text = decoder.text(at, value)?;
            match text.parse::<jiff::Timestamp>() {
                Ok(time) => facts.time = u64::try_from(time.as_nanosecond()).ok(),
                Err(error) => {
                    decoder.error(
                        codes::AG1005,
                        at,
                        &value.span,
                        &format!("`{text}` is no moment: {error}"),
                        "write it as RFC 3339: `2026-03-09T14:00:00Z`",
                    );
                    return None;
                }
            }
        }
    }
    Some(())
}

fn known_node(node: &Node) -> Known<Node> {
    match is_unknown(node) {
        true => Known::Unknown,
        false => Known::Is(node.clone()),
    }
}

/// Returns whether a value is written as unknown, which a fact without a value is.
fn is_unknown(node: &Node) -> bool {
    node.text() == Some("unknown")
}

fn models(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Models> {
    let names = decoder.texts(at, node)?;
    Some(Models::from_words(names.iter().map(|name| &**name)))
}

/// Returns the class with this name, if there is one.
pub(super) fn class(name: &str) -> Option<&'static str> {
    CLASSES.iter().copied().find(|class| *class == name)
}

/// Reads a case on its own.
///
/// # Errors
/// All errors of the case.
pub fn describe(node: &Node) -> Result<(SampleEvent, Facts), Vec<Diagnostic>> {
    let mut decoder = Decoder::default();
    let at = PolicyPath::root();
    let known: Vec<&str> = EVENT_KEYS.iter().chain(FACT_KEYS).copied().collect();
    let described = decoder
        .mapping(&at, node, &known)
        .and_then(|_| read(&mut decoder, &at, node, &Facts::unknown()));
    match described {
        Some(described) if decoder.diagnostics.is_empty() => Ok(described),
        _ => Err(decoder.diagnostics),
    }
}

/// Returns an event and its exchange as a case, in the form of a test file.
pub fn written(event: &SampleEvent, facts: &Facts) -> Node {
    let mut members = Vec::new();
    let mut inner = Vec::new();
    let text = |text: &str| node(NodeValue::String(text.into()));
    let list = |texts: &[Box<str>]| match texts {
        [only] => node(NodeValue::String(only.clone())),
        several => node(NodeValue::List(
            several
                .iter()
                .map(|text| node(NodeValue::String(text.clone())))
                .collect(),
        )),
    };
    let name = |known: &Known<Box<str>>| match known {
        Known::Missing => node(NodeValue::Null),
        Known::Unknown => node(NodeValue::String("unknown".into())),
        Known::Is(name) => node(NodeValue::String(name.clone())),
    };
    let count = |count: u64| node(NodeValue::Number(count.to_string().into()));
    let has_tool = matches!(
        event.kind,
        Kind::ToolOffer | Kind::ToolCall | Kind::ToolResult
    );
    if has_tool {
        inner.push(member("tool", name(&event.tool)));
    }
    for (key, value) in [
        ("args", &event.args),
        ("result", &event.result),
        ("params", &event.params),
    ] {
        match value {
            Known::Missing => {}
            Known::Unknown => inner.push(member(key, text("unknown"))),
            Known::Is(value) => inner.push(member(key, value.clone())),
        }
    }
    if !event.texts.is_empty() && event.kind != Kind::ToolCall {
        inner.push(member("text", list(&event.texts)));
    }
    if event.kind == Kind::Message && event.from != Known::Is(Author::User) {
        let from = match &event.from {
            Known::Is(from) => from.word(),
            _ => "unknown",
        };
        inner.push(member("from", text(from)));
    }
    if event.part != Part::Text {
        inner.push(member("part", text(event.part.word())));
    }
    if event.turn != Turn::Latest {
        inner.push(member("turn", text(event.turn.word())));
    }
    if let Some(direction) = event.direction {
        inner.push(member("in", text(direction.word())));
    }
    if let Known::Is(ok) = event.ok {
        inner.push(member("ok", node(NodeValue::Bool(ok))));
    }
    if event.provider_run {
        inner.push(member("provider_run", node(NodeValue::Bool(true))));
    }
    if let Known::Is(unoffered) = event.unoffered {
        inner.push(member("unoffered", node(NodeValue::Bool(unoffered))));
    }
    for (key, value) in [("code", event.code), ("class", event.class)] {
        inner.extend(value.map(|value| member(key, text(value))));
    }
    let usage: Vec<Member> = [
        ("input_tokens", event.usage.input_tokens),
        ("output_tokens", event.usage.output_tokens),
        ("cached_tokens", event.usage.cached_tokens),
        ("reasoning_tokens", event.usage.reasoning_tokens),
    ]
    .into_iter()
    .filter_map(|(key, tokens)| Some(member(key, count(tokens?))))
    .collect();
    if !usage.is_empty() {
        inner.push(member("usage", node(NodeValue::Map(usage))));
    }
    inner.extend(
        event
            .finish
            .as_ref()
            .map(|finish| member("finish", text(finish))),
    );
    let request = &facts.request;
    let mut models = facts.models.names.clone();
    if facts.models.unknown && !models.is_empty() {
        models.push("unknown".into());
    }
    if event.kind == Kind::Request {
        if !models.is_empty() {
            inner.push(member("model", list(&models)));
        }
        for (key, value) in [
            ("message_count", request.message_count),
            ("estimated_tokens", request.estimated_tokens),
            ("bytes", request.bytes),
            ("max_tokens", request.max_tokens),
        ] {
            inner.extend(value.map(|value| member(key, count(value))));
        }
        inner.extend(
            request
                .stream
                .map(|stream| member("stream", node(NodeValue::Bool(stream)))),
        );
        inner.extend(
            request
                .tools
                .as_ref()
                .map(|tools| member("tools", list(tools))),
        );
    } else if !models.is_empty() {
        members.push(member("model", list(&models)));
    }
    members.insert(0, member(event.kind.word(), node(NodeValue::Map(inner))));
    for (key, value) in [
        ("env", &facts.environment),
        ("host", &facts.host),
        ("method", &facts.method),
        ("provider", &facts.provider),
        ("protocol", &facts.protocol),
        ("server", &facts.server),
    ] {
        if *value != Known::Unknown {
            members.push(member(key, name(value)));
        }
    }
    match &facts.paths {
        Known::Is(paths) => members.push(member("path", list(paths))),
        Known::Missing => members.push(member("path", node(NodeValue::Null))),
        Known::Unknown => {}
    }
    if !facts.approved_by.is_empty() {
        members.push(member("approved_by", list(&facts.approved_by)));
    }
    if !facts.principal.is_anonymous() {
        members.push(member("principal", written_principal(&facts.principal)));
    }
    let time = facts.time.and_then(moment);
    members.extend(time.map(|time| member("time", text(&time))));
    if !facts.used.is_empty() {
        let used = facts.used.iter();
        let used =
            used.map(|(rule, used)| member(rule, node(NodeValue::Number(used.to_string().into()))));
        members.push(member("limits", node(NodeValue::Map(used.collect()))));
    }
    if let Some(earlier) = &event.earlier {
        let nothing = Facts::unknown();
        let events = earlier
            .iter()
            .map(|event| written(event, &nothing))
            .collect();
        members.push(member("earlier", node(NodeValue::List(events))));
    }
    if !facts.headers.is_empty() {
        let headers = facts
            .headers
            .iter()
            .map(|(key, value)| member(key, text(&String::from_utf8_lossy(value))))
            .collect();
        members.push(member("headers", node(NodeValue::Map(headers))));
    }
    node(NodeValue::Map(members))
}

fn written_principal(principal: &Principal) -> Node {
    let mut members = Vec::new();
    for (key, value) in [
        ("id", &principal.id),
        ("agent", &principal.agent),
        ("client", &principal.client),
        ("tenant", &principal.tenant),
    ] {
        match value {
            Known::Missing => {}
            Known::Unknown => members.push(member(key, node(NodeValue::String("unknown".into())))),
            Known::Is(name) => members.push(member(key, node(NodeValue::String(name.clone())))),
        }
    }
    let list = |texts: &[Box<str>]| {
        let texts = texts
            .iter()
            .map(|text| node(NodeValue::String(text.clone())));
        node(NodeValue::List(texts.collect()))
    };
    let mut write = |name: &str, values: &Known<Vec<Box<str>>>| match values {
        Known::Missing => {}
        Known::Unknown => members.push(member(name, node(NodeValue::String("unknown".into())))),
        Known::Is(values) => members.push(member(name, list(values))),
    };
    write("roles", &principal.roles);
    for (claim, values) in &principal.claims {
        write(claim, values);
    }
    node(NodeValue::Map(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(case: &str) -> Facts {
        describe(&parse_yaml(case).unwrap()).unwrap().1
    }

    #[test]
    fn a_path_is_known_unknown_or_missing() {
        let path = |path: &str| facts(&format!("{{ text: x, path: {path} }}")).paths;
        assert_eq!(path("unknown"), Known::Unknown);
        assert_eq!(path("null"), Known::Missing);
        assert_eq!(path("/a"), Known::Is(vec!["/a".into()]));
        assert_eq!(facts("{ text: x }").paths, Known::Unknown);
        // A witness is written as it is read.
        for written_as in ["unknown", "null", "/a"] {
            let (event, given) =
                describe(&parse_yaml(&format!("{{ text: x, path: {written_as} }}")).unwrap())
                    .unwrap();
            assert_eq!(describe(&written(&event, &given)).unwrap().1, given);
        }
    }

    #[test]
    fn every_fact_that_may_be_unknown_may_be_written_so() {
        let nothing = facts("{ text: x }");
        for key in FACT_KEYS {
            let case = format!("{{ text: x, {key}: unknown }}");
            let read = describe(&parse_yaml(&case).unwrap());
            match *key {
                "headers" | "limits" => {
                    assert_eq!(
                        read.unwrap_err().first().unwrap().code,
                        codes::AG1005,
                        "{key}"
                    );
                }
                // A role may have any name.
                "approved_by" => assert_eq!(read.unwrap().1.approved_by, ["unknown".into()]),
                "earlier" => assert_eq!(read.unwrap().0.earlier, None),
                _ => assert_eq!(read.unwrap().1, nothing, "{key}"),
            }
        }
        for key in REQUEST_MEMBERS.iter().filter(|key| **key != "params") {
            let read = facts(&format!("{{ request: {{ {key}: unknown }} }}"));
            assert_eq!(read.request, nothing.request, "{key}");
        }
        let usage = "{ response: { usage: { input_tokens: unknown, output_tokens: 5 } } }";
        let usage = describe(&parse_yaml(usage).unwrap()).unwrap().0.usage;
        assert_eq!((usage.input_tokens, usage.output_tokens), (None, Some(5)));
    }
}
