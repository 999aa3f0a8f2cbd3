//! Recorded exchanges that are no streams, read, changed at random and sent through the filter: nothing in them is
//! overlooked, nothing breaks the readers, and what is withheld is gone.

use super::dice::Dice;
use super::recorded;
use super::streams::{body, guard, headers, messages};
use agentguard::event::{Event, Kind, Known, Reading};
use agentguard::flow::simulation::{HttpMessage, SimulatedResult, run};
use agentguard::protocol::{self, BodyForm, Bounds, Recognised, RequestContext, Route, RouteHead};
use agentguard::wire::http::{ContentType, MediaType, Path};
use agentguard::wire::json::JsonBody;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const BOUNDS: Bounds = Bounds {
    max_depth: 64,
    nested_json: 4,
    results: true,
    result_args: true,
    repeats: None,
};

/// A recorded exchange whose answer comes as a whole.
struct Whole {
    id: String,
    route: Route,
    request: Vec<u8>,
    request_type: Option<String>,
    response: Vec<u8>,
    sent: HttpMessage,
    answered: HttpMessage,
    is_error: bool,
}

fn route_of(exchange: &Value) -> Option<Route> {
    let request = &exchange["request"];
    let text = |key: &str| request[key].as_str().unwrap_or_default();
    let path = Path::parse(text("path"));
    let owned = headers(request);
    let bytes: Vec<(&[u8], &[u8])> = owned
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let head = RouteHead {
        method: text("method"),
        host: text("host"),
        path: &path,
        headers: &bytes,
    };
    match protocol::recognise(&head) {
        Recognised::Protocol(route) => Some(route),
        Recognised::ByBody => {
            let body = body(request);
            let limits = agentguard::wire::json::Limits { max_depth: 64 };
            let json = JsonBody::scan(&body, limits, 0).ok()?;
            protocol::recognise_body(&head, json.body()?.root())
        }
        _ => None,
    }
}

fn whole(exchange: &Value) -> Option<Whole> {
    let (request, response) = (&exchange["request"], &exchange["response"]);
    let content_type = response["headers"]["content-type"].as_str();
    let media = ContentType::parse(content_type.map(str::as_bytes)).media;
    if !matches!(media, MediaType::Json | MediaType::Absent) {
        return None;
    }
    let route = route_of(exchange)?;
    let asked = RequestContext::at(route.endpoint.clone());
    if route.protocol.framing(&asked, media).is_some() {
        return None;
    }
    let (sent, answered) = messages(exchange);
    Some(Whole {
        id: exchange["id"].to_string(),
        route,
        request: body(request),
        request_type: request["headers"]["content-type"]
            .as_str()
            .map(str::to_owned),
        response: body(response),
        sent,
        answered,
        is_error: response["status"].as_u64().unwrap_or_default() >= 400,
    })
}

fn all() -> Vec<Whole> {
    recorded().iter().filter_map(whole).collect()
}

impl Whole {
    fn has_request(&self) -> bool {
        !self.request.is_empty() && self.route.endpoint.body != BodyForm::Absent
    }

    fn asked(&self) -> RequestContext {
        let mut asked = RequestContext::at(self.route.endpoint.clone());
        if let Some((_, reading)) = self.read_request(&self.request) {
            asked.learn(&reading);
        }
        asked
    }

    fn read_request<'b>(&self, body: &'b [u8]) -> Option<(JsonBody<'b>, Reading)> {
        protocol::read_request(&self.route, body, BOUNDS).ok()
    }

    fn read_response<'b>(
        &self,
        asked: &RequestContext,
        body: &'b [u8],
    ) -> Option<(JsonBody<'b>, Reading)> {
        protocol::read_response(self.route.protocol, asked, body, BOUNDS).ok()
    }

    fn is_json(&self) -> bool {
        self.request_type
            .as_deref()
            .is_none_or(|kind| kind.contains("json"))
    }
}

/// Texts that rules are asked about.
fn texts(json: &JsonBody<'_>, reading: &Reading) -> Vec<String> {
    let mut found = Vec::new();
    for event in &reading.events {
        found.extend(texts_of(event, json, reading));
    }
    found
}

fn texts_of(event: &Event, json: &JsonBody<'_>, reading: &Reading) -> Vec<String> {
    event
        .texts
        .clone()
        .filter_map(|number| {
            let text = reading.texts.get(usize::try_from(number).unwrap())?;
            Some(json.value(text.place)?.text()?.into_owned())
        })
        .collect()
}

/// The objects of a value, each by the way to it.
fn objects(value: &Value, way: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(members) => {
            found.push(way.clone());
            for (key, member) in members {
                way.push(key.clone());
                objects(member, way, found);
                way.pop();
            }
        }
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                way.push(at.to_string());
                objects(element, way, found);
                way.pop();
            }
        }
        _ => {}
    }
}

fn at<'v>(value: &'v mut Value, way: &[String]) -> &'v mut Value {
    way.iter().fold(value, |value, step| match value {
        Value::Array(elements) => &mut elements[step.parse::<usize>().unwrap()],
        value => &mut value[step.as_str()],
    })
}

const CANARY: &str = "a canary sings here";

/// Bodies with one more member in one of their objects.
fn with_canaries(body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    let mut ways = Vec::new();
    objects(&value, &mut Vec::new(), &mut ways);
    // What is said token by token is told as a whole elsewhere.
    ways.retain(|way| !way.iter().any(|step| step.contains("logprobs")));
    let step = ways.len().div_ceil(25).max(1);
    ways.into_iter()
        .step_by(step)
        .map(|way| {
            let mut value = value.clone();
            let object = at(&mut value, &way).as_object_mut().unwrap();
            object.insert("something_of_tomorrow".to_owned(), json!(CANARY));
            (way.join("/"), serde_json::to_vec(&value).unwrap())
        })
        .collect()
}

#[test]
fn a_member_that_nobody_knows_is_found_wherever_it_stands() {
    let mut count = 0;
    for whole in all() {
        let asked = whole.asked();
        let requests = if whole.is_json() && whole.has_request() {
            with_canaries(&whole.request)
        } else {
            Vec::new()
        };
        for (way, body) in requests {
            count += 1;
            let Some((json, reading)) = whole.read_request(&body) else {
                panic!("{} {way}: not read", whole.id);
            };
            let found = texts(&json, &reading).iter().any(|text| text == CANARY);
            assert!(found, "{} request /{way}", whole.id);
        }
        for (way, body) in with_canaries(&whole.response) {
            count += 1;
            let Some((json, reading)) = whole.read_response(&asked, &body) else {
                panic!("{} {way}: not read", whole.id);
            };
            let found = texts(&json, &reading)
                .iter()
                .any(|text| text.contains(CANARY));
            assert!(found, "{} response /{way}", whole.id);
        }
    }
    assert!(count > 1_000, "{count}");
}

/// The same value with the members of every object the other way round.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .rev()
                .map(|(key, member)| (key.clone(), reversed(member)))
                .collect::<Map<String, Value>>(),
        ),
        Value::Array(elements) => elements.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

/// What was seen, whatever its order.
fn seen(json: &JsonBody<'_>, reading: &Reading) -> Vec<String> {
    let mut all: Vec<String> = reading
        .events
        .iter()
        .map(|event| {
            let mut texts = texts_of(event, json, reading);
            texts.sort();
            // Arguments are compared as values, not as they are written.
            let args = event.args.value().and_then(|at| json.value(*at));
            let args: Option<Value> = args.and_then(|at| serde_json::from_slice(at.raw()).ok());
            let args = args.map(|args| match args {
                Value::Object(members) => members.keys().cloned().collect::<BTreeSet<_>>(),
                _ => BTreeSet::new(),
            });
            format!(
                "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {texts:?} {args:?}",
                event.kind, event.tool, event.from, event.part, event.turn, event.opacity, event.ok
            )
        })
        // Runs of what is not known depend on what stands beside it.
        .filter(|event| !event.contains("Other"))
        .collect();
    all.sort();
    let mut models = reading.models.names.clone();
    models.sort();
    all.push(format!(
        "{models:?} {:?} {} {:?} {:?} {:?}",
        reading.models.unknown, reading.stream, reading.usage, reading.finish, reading.messages
    ));
    all
}

#[test]
fn the_order_of_members_changes_nothing() {
    for whole in all() {
        let asked = whole.asked();
        if whole.is_json() && whole.has_request() {
            let value: Value = serde_json::from_slice(&whole.request).unwrap();
            let turned = serde_json::to_vec(&reversed(&value)).unwrap();
            let (json, reading) = whole.read_request(&whole.request).unwrap();
            let (turned_nest, turned_reading) = whole.read_request(&turned).unwrap();
            assert_eq!(
                seen(&json, &reading),
                seen(&turned_nest, &turned_reading),
                "{} request",
                whole.id
            );
        }
        let Ok(value) = serde_json::from_slice::<Value>(&whole.response) else {
            continue;
        };
        let turned = serde_json::to_vec(&reversed(&value)).unwrap();
        let (json, reading) = whole.read_response(&asked, &whole.response).unwrap();
        let (turned_nest, turned_reading) = whole.read_response(&asked, &turned).unwrap();
        assert_eq!(
            seen(&json, &reading),
            seen(&turned_nest, &turned_reading),
            "{} response",
            whole.id
        );
    }
}

/// Values of every kind, to stand where another is expected.
fn strangers() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1.5e3),
        json!(""),
        json!("[{\"a\":\"\\u0041\"}]"),
        json!("data:text/plain;base64,aGVsbG8gdGhlcmU="),
        json!([]),
        json!([[], {}, 1, "x"]),
        json!({}),
        json!({"type": "text", "text": 1, "name": [], "id": {}}),
    ]
}

fn confused(value: &Value, dice: &mut Dice) -> Value {
    let mut value = value.clone();
    let strangers = strangers();
    for _ in 0..=dice.below(3) {
        put_somewhere(&mut value, dice, &strangers);
    }
    value
}

fn damaged(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.below(bytes.len());
        match dice.below(4) {
            0 => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            1 => {
                bytes.remove(at);
            }
            2 => bytes.truncate(at),
            _ => {
                let end = (at + dice.below(40)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = dice.below(bytes.len());
                bytes.splice(to..to, copy);
            }
        }
    }
    bytes
}

#[test]
fn no_body_breaks_a_reader() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for whole in all() {
        let asked = whole.asked();
        for _ in 0..30 {
            if let Ok(value) = serde_json::from_slice::<Value>(&whole.request) {
                let body = serde_json::to_vec(&confused(&value, &mut dice)).unwrap();
                let _ = whole.read_request(&body);
            }
            if let Ok(value) = serde_json::from_slice::<Value>(&whole.response) {
                let body = serde_json::to_vec(&confused(&value, &mut dice)).unwrap();
                let _ = whole.read_response(&asked, &body);
            }
            let _ = whole.read_request(&damaged(&whole.request, &mut dice));
            let _ = whole.read_response(&asked, &damaged(&whole.response, &mut dice));
        }
    }
}

/// A body whose lists are as long as they get.
fn lengthened(value: &Value, times: usize) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(key, member)| (key.clone(), lengthened(member, times)))
                .collect(),
        ),
        Value::Array(elements) if elements.iter().any(Value::is_object) => elements
            .iter()
            .cycle()
            .take(times.max(elements.len()))
            .cloned()
            .collect(),
        other => other.clone(),
    }
}

/// What is quadratic would not come to an end.
#[test]
fn bodies_of_megabytes_are_read() {
    let mut protocols = BTreeSet::new();
    for whole in all() {
        // One of each protocol is enough.
        if !whole.is_json() || whole.is_error || !protocols.insert(whole.route.protocol.name()) {
            continue;
        }
        let asked = whole.asked();
        let long = |body: &[u8]| -> Vec<u8> {
            let value: Value = serde_json::from_slice(body).unwrap_or_default();
            serde_json::to_vec(&lengthened(&value, 3_000)).unwrap()
        };
        drop(whole.read_request(&long(&whole.request)));
        drop(whole.read_response(&asked, &long(&whole.response)));
    }
}

fn exchange(rules: &str, whole: &Whole) -> SimulatedResult {
    let answer = whole.answered.clone();
    run(
        &guard(rules),
        &whole.sent,
        |_| answer,
        1_763_622_245_000_000_000,
    )
}

const LOOKS: &str = "  - id: never
    match: { event: [message, response, tool_result] }
    when: { text: { contains_any: [\"nowhere in any recording\"] } }
    action: redact
  - id: tool
    match: { tool: nowhere_in_any_recording }
    action: deny
";

#[test]
fn what_no_rule_touches_is_the_same_bytes() {
    for whole in all() {
        let seen = exchange(LOOKS, &whole);
        let upstream = seen.upstream.as_ref();
        // A tool that may be any is denied with the one that is.
        let Some(upstream) = upstream.filter(|_| seen.upstream_complete) else {
            let text = String::from_utf8_lossy(&whole.request);
            let line = String::from_utf8_lossy(&seen.finished.line);
            assert!(
                text.contains("\"mcp\"")
                    || text.contains("tool_outputs")
                    || line.contains("\"uninspectable\""),
                "{} {line}",
                whole.id,
            );
            continue;
        };
        assert!(upstream.body() == whole.sent.body(), "{} request", whole.id);
        assert!(
            seen.client.body() == whole.answered.body(),
            "{} response",
            whole.id
        );
    }
}

/// Whether a word also stands where nobody answers: in what was asked, which answers repeat, and in names of members.
fn stands_elsewhere(whole: &Whole, word: &str) -> bool {
    fn is_key(value: &Value, word: &str) -> bool {
        match value {
            Value::Array(elements) => elements.iter().any(|element| is_key(element, word)),
            Value::Object(members) => members
                .iter()
                .any(|(key, member)| key.contains(word) || is_key(member, word)),
            _ => false,
        }
    }
    let asked = String::from_utf8_lossy(&whole.sent.body()).contains(word);
    let answered = serde_json::from_slice(&whole.response).unwrap_or_default();
    asked || is_key(&answered, word)
}

/// The longest word of an answer's text that stands nowhere else.
fn word_of(whole: &Whole) -> Option<String> {
    let (json, reading) = whole.read_response(&whole.asked(), &whole.response)?;
    let said: Vec<String> = reading
        .events
        .iter()
        .filter(|event| event.kind == Kind::Response && event.part == agentguard::event::Part::Text)
        .flat_map(|event| texts_of(event, &json, &reading))
        .collect();
    said.iter()
        .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()))
        .filter(|word| word.len() > 4 && !stands_elsewhere(whole, word))
        .max_by_key(|word| word.len())
        .map(str::to_owned)
}

fn holds(value: &Value, word: &str) -> bool {
    match value {
        Value::String(text) => text.contains(word),
        Value::Array(elements) => elements.iter().any(|element| holds(element, word)),
        Value::Object(members) => members
            .iter()
            .any(|(key, member)| key.contains(word) || holds(member, word)),
        _ => false,
    }
}

#[test]
fn a_word_that_is_redacted_is_nowhere_in_the_answer() {
    let mut count = 0;
    for whole in all() {
        let Some(word) = word_of(&whole) else {
            continue;
        };
        let seen = exchange(
            &format!(
                "  - id: word
    match: {{ event: response, part: '*' }}
    when: {{ text: {{ contains: {} }} }}
    action: redact
    redact: {{ label: gone }}
",
                Value::String(word.clone())
            ),
            &whole,
        );
        let body: Value = serde_json::from_slice(&seen.client.body())
            .unwrap_or_else(|error| panic!("{}: {error}", whole.id));
        assert!(!holds(&body, &word), "{} {word}: {body}", whole.id);
        count += 1;
    }
    assert!(count > 50, "{count}");
}

/// The longest word of the arguments of an answer's calls that stands in none of its other texts.
fn argument_of(whole: &Whole) -> Option<String> {
    let (json, reading) = whole.read_response(&whole.asked(), &whole.response)?;
    let (arguments, others): (Vec<&Event>, Vec<&Event>) = reading
        .events
        .iter()
        .filter(|event| event.kind != Kind::ToolCall)
        .partition(|event| event.part == agentguard::event::Part::Arguments);
    let said = |events: &[&Event]| -> Vec<String> {
        let texts = events.iter().map(|event| texts_of(event, &json, &reading));
        texts.flatten().collect()
    };
    let others = said(&others).concat();
    said(&arguments)
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()))
        .filter(|word| word.len() > 3 && !others.contains(word))
        .max_by_key(|word| word.len())
        .map(str::to_owned)
}

#[test]
fn arguments_of_calls_are_redacted_only_by_a_rule_that_names_their_part() {
    let mut count = 0;
    for whole in all() {
        let Some(word) = argument_of(&whole) else {
            continue;
        };
        let redacted = |part: &str| {
            let rule = format!(
                "  - id: word
    match: {{ event: response{part} }}
    when: {{ text: {{ matches: {} }} }}
    action: redact
",
                Value::String(word.clone())
            );
            exchange(&rule, &whole).client.body()
        };
        let same = redacted("") == whole.answered.body();
        assert!(same, "{} {word}", whole.id);
        let named = redacted(", part: arguments");
        assert!(named != whole.answered.body(), "{} {word}", whole.id);
        count += 1;
    }
    assert!(count > 30, "{count}");
}

#[test]
fn a_text_that_is_denied_is_nowhere_in_the_answer() {
    for whole in all() {
        let Some(word) = word_of(&whole) else {
            continue;
        };
        let seen = exchange(
            &format!(
                "  - id: word
    match: {{ event: response }}
    when: {{ text: {{ contains: {} }} }}
    action: deny
    reason: Not a word of that.
",
                Value::String(word.clone())
            ),
            &whole,
        );
        let body: Value = serde_json::from_slice(&seen.client.body())
            .unwrap_or_else(|error| panic!("{}: {error}", whole.id));
        assert!(!holds(&body, &word), "{} {word}: {body}", whole.id);
        assert!(holds(&body, "Not a word of that."), "{}: {body}", whole.id);
    }
}

#[test]
fn a_tool_that_is_denied_is_not_called_and_the_others_still_are() {
    let mut count = 0;
    // A notification is accepted without a word.
    for whole in all().iter().filter(|whole| !whole.response.is_empty()) {
        let asked = whole.asked();
        let called = |body: &[u8]| -> Vec<String> {
            let Some((_, reading)) = whole.read_response(&asked, body) else {
                panic!("{}: {}", whole.id, String::from_utf8_lossy(body));
            };
            assert!(
                reading.problems.is_empty(),
                "{}: {:?}",
                whole.id,
                reading.problems
            );
            reading
                .events
                .iter()
                .filter(|event| event.kind == Kind::ToolCall && !event.provider_run)
                .filter_map(|event| match &event.tool {
                    Known::Is(tool) => Some(tool.to_string()),
                    _ => None,
                })
                .collect()
        };
        let Some(denied) = called(&whole.response).into_iter().next() else {
            continue;
        };
        let seen = exchange(
            &format!(
                "  - id: tool
    match: {{ event: tool_call, tool: {} }}
    when: {{ in: response }}
    action: deny
    on_deny: replace
    reason: Not this one.
",
                Value::String(denied.clone())
            ),
            whole,
        );
        let body = seen.client.body();
        let parsed: Value = serde_json::from_slice(&body).unwrap();
        assert!(holds(&parsed, "Not this one."), "{}: {parsed}", whole.id);
        if asked.forces_tool || asked.continues_elsewhere {
            continue;
        }
        let kept: Vec<String> = called(&whole.response)
            .into_iter()
            .filter(|tool| *tool != denied)
            .collect();
        assert_eq!(called(&body), kept, "{}", whole.id);
        count += 1;
    }
    assert!(count > 10, "{count}");
}

/// Puts a stranger in the place of a value that the dice choose.
fn put_somewhere(at: &mut Value, dice: &mut Dice, strangers: &[Value]) {
    let goes_on = dice.below(4) != 0;
    match at {
        Value::Object(members) if !members.is_empty() && goes_on => {
            let which = dice.below(members.len());
            if let Some(member) = members.values_mut().nth(which) {
                put_somewhere(member, dice, strangers);
            }
        }
        Value::Array(elements) if !elements.is_empty() && goes_on => {
            let which = dice.below(elements.len());
            if let Some(element) = elements.get_mut(which) {
                put_somewhere(element, dice, strangers);
            }
        }
        at => *at = strangers[dice.below(strangers.len())].clone(),
    }
}
