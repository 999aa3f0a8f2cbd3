//! `agentguard inspect [FILE]`: shows the events that a protocol parser finds in recorded exchanges.

use super::content_encoding;
use super::exchange::{Recorded, RecordedResponse, bytes_of, header_list};
use super::{ExitStatus, Failed, output};
use crate::diag::codes;
use crate::event::{
    Attachments, Class, Direction, Event, Form, Kind, Known, Part, Problem, Reading, Text, Turn,
    Usage,
};
use crate::flow::transcript;
use crate::policy::Inspect as Bounds;
use crate::protocol::{self, BodyForm, Protocol, Recognised, RequestContext, RouteHead};
use crate::wire::frame::Framing;
use crate::wire::http::{ContentType, MediaType, Path, is_identity};
use crate::wire::json::{JsonBody, Limits};
use crate::wire::span::index;
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Exchanges, one JSON object per line. Standard input if absent.
    #[arg(default_value = output::STDIN, value_name = "FILE")]
    file: String,
}

impl Inspect {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let bytes = output::read_lines(&self.file)?;
        for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let recorded = Recorded::parse(line).map_err(|error| {
                let number = number.saturating_add(1);
                let advice = output::advice_on_lines(&bytes);
                output::print_foreign(&format!(
                    "{}: line {number} is not an exchange: {error}{advice}",
                    self.file
                ))
            })?;
            let seen = inspect(&recorded).map_err(|what| {
                output::print_foreign(&format!("{}: {}: {what}", self.file, recorded.id))
            })?;
            if json {
                output::json_line(&Value::Object(seen).to_string());
            } else {
                output::print(&as_text(&seen));
            }
        }
        Ok(ExitStatus::Clean)
    }
}

/// Results of one exchange so far.
#[derive(Default)]
struct InspectedExchange {
    events: Vec<Value>,
    reasons: BTreeSet<String>,
    unread: bool,
    partial: bool,
    attachments: Attachments,
}

impl InspectedExchange {
    fn problem(&mut self, direction: Direction, problem: &Problem) {
        self.unread = true;
        self.reasons
            .insert(format!("{}:{}", direction.word(), problem.code));
        self.events.push(json!({
            "event": Kind::Uninspectable.word(),
            "in": direction.word(),
            "code": problem.code,
            "at": problem.at,
            "what": problem.what,
        }));
    }

    /// Adds the reading of a body. A parse error becomes an event.
    fn read(
        &mut self,
        direction: Direction,
        read: Result<(JsonBody<'_>, Reading), Problem>,
    ) -> Option<Reading> {
        match read {
            Ok((json, reading)) => {
                self.add(&reading, &json, direction, None);
                Some(reading)
            }
            Err(problem) => {
                self.problem(direction, &problem);
                None
            }
        }
    }

    /// Adds a streamed response. Returns the reading of the whole response.
    fn stream(
        &mut self,
        body: &[u8],
        framing: Framing,
        protocol: &dyn Protocol,
        context: &RequestContext,
    ) -> (Reading, Usage) {
        let Some(reader) = protocol.stream(context) else {
            let problem = unread(
                codes::AG2014,
                "no streamed response of this endpoint is known",
            );
            self.problem(Direction::Response, &problem);
            return Default::default();
        };
        let transcript = transcript(body, framing, reader, BOUNDS);
        for part in &transcript.parts {
            let (reading, json) = (&part.reading, &part.json);
            self.add(reading, json, Direction::Response, part.at.as_deref());
        }
        for problem in &transcript.problems {
            self.problem(Direction::Response, problem);
        }
        (transcript.response, transcript.metered)
    }

    /// Adds events. `at` is their location, if it is not in a body.
    fn add(
        &mut self,
        reading: &Reading,
        json: &JsonBody<'_>,
        direction: Direction,
        at: Option<&str>,
    ) {
        for problem in &reading.problems {
            self.problem(direction, problem);
        }
        let aside: BTreeSet<u32> = reading
            .events
            .iter()
            .filter(|event| !event.is_duplicate && event.part != Part::Text)
            .filter(|event| matches!(event.kind, Kind::Message | Kind::Response))
            .flat_map(|event| event.texts.clone())
            .collect();
        for event in reading.events.iter().filter(|event| !event.is_duplicate) {
            if let Some(class) = event.opacity {
                self.partial = true;
                self.reasons.insert(format!("{}:{class}", direction.word()));
            }
            let mut shown = shown(event, &aside, reading, json);
            if let Some(at) = at {
                shown.insert("at".to_owned(), json!(at));
            }
            self.events.push(Value::Object(shown));
        }
        // Only attachments of the client are counted here. Attachments of a response have their own events.
        if direction == Direction::Response {
            return;
        }
        let attachments = reading.attachments;
        self.attachments.image = self.attachments.image.saturating_add(attachments.image);
        self.attachments.file = self.attachments.file.saturating_add(attachments.file);
        self.attachments.audio = self.attachments.audio.saturating_add(attachments.audio);
    }
}

fn inspect(recorded: &Recorded) -> Result<Map<String, Value>, String> {
    let request = &recorded.request;
    let path = Path::parse(&request.path);
    let headers = header_list(&request.headers);
    let headers: Vec<(&[u8], &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let body = bytes_of(&request.body, &request.body_encoding)?;
    let (body, encoded) = plain(
        body,
        &request.body_encoding,
        &headers,
        content_encoding::OF_REQUESTS,
    );
    let head = RouteHead {
        method: &request.method,
        host: &request.host,
        path: &path,
        headers: &headers,
    };
    let mut seen = InspectedExchange::default();
    let mut context = RequestContext::default();
    let mut answered = Reading::new();
    let mut protocol_name = "unknown";
    let mut failed = false;
    let mut header_usage = Usage::default();
    let mut metered = Usage::default();
    let mut agent = None;
    let mut problem = unread(codes::AG2007, "the endpoint is not known");
    let route = match protocol::recognise(&head) {
        Recognised::Protocol(route) => Some(route),
        Recognised::ByBody => by_body(&head, &body, &mut problem),
        Recognised::Harmless { endpoint } => {
            context.endpoint.name = endpoint;
            if endpoint == "models" {
                protocol_name = "openai.other";
            }
            None
        }
        Recognised::Unknown => None,
    };
    if let Some(route) = &route {
        protocol_name = route.protocol.name();
        context = RequestContext::at(route.endpoint.clone());
        if let Some(code) = route.endpoint.code {
            let problem = unread(code, "this endpoint hands out access past the proxy");
            seen.problem(Direction::Request, &problem);
        } else if route.endpoint.body != BodyForm::Absent {
            let read = encoded.map_or_else(|| protocol::read_request(route, &body, BOUNDS), Err);
            if let Some(reading) = seen.read(Direction::Request, read) {
                context.learn(&reading);
                agent = reading.agent;
            }
        }
        if let Some(response) = &recorded.response {
            failed = response.status >= 400;
            let headers = header_list(&response.headers);
            let headers: Vec<(&[u8], &[u8])> = headers
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                .collect();
            header_usage = route.protocol.usage_in_headers(&headers);
            let body = bytes_of(&response.body, &response.body_encoding)?;
            let (body, encoded) = plain(
                body,
                &response.body_encoding,
                &headers,
                content_encoding::OF_RESPONSES,
            );
            let form = context.endpoint.response;
            let media = media_of(response);
            if let Some(problem) = encoded {
                seen.problem(Direction::Response, &problem);
            } else if form.is_media(media) {
                seen.read(Direction::Response, protocol::read_bytes(BOUNDS));
            } else if let Some(framing) = route
                .protocol
                .framing(&context, media)
                .filter(|_| !form.is_whole(media) || route.protocol.stream(&context).is_some())
            {
                (answered, metered) = seen.stream(&body, framing, route.protocol, &context);
            } else if !body.is_empty() {
                let read = protocol::read_response(route.protocol, &context, &body, BOUNDS);
                answered = seen.read(Direction::Response, read).unwrap_or_default();
            }
        }
    } else if context.endpoint.name.is_empty() {
        seen.problem(Direction::Request, &problem);
    }
    let level = if seen.unread {
        "none"
    } else if seen.partial {
        "partial"
    } else {
        "full"
    };
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("id", recorded.id.clone());
    put("protocol", json!(protocol_name));
    put("provider", json!(protocol::provider_of(&request.host)));
    put("endpoint", json!(context.endpoint.name));
    if let Some(model) = context.models.names.first() {
        put("model", json!(**model));
    }
    if let Some(agent) = agent {
        put("agent", json!(*agent));
    }
    if let (Known::Is(deployment), true) = (&context.endpoint.model, context.endpoint.is_deployment)
    {
        put("deployment", json!(**deployment));
    }
    // In these protocols the server chooses whether to stream; in others the client does.
    let is_stream = match protocol_name {
        "mcp" | "a2a" => recorded
            .response
            .as_ref()
            .is_some_and(|response| media_of(response) == MediaType::EventStream),
        _ => context.stream,
    };
    put("stream", json!(is_stream));
    let alone = recorded.response.is_some() && ONE_MESSAGE.contains(&protocol_name);
    put("finish", finish(&answered, alone));
    put("error", json!(failed || answered.error.is_some()));
    put("coverage", json!({"level": level, "reasons": seen.reasons}));
    put("usage", counts(&answered.usage));
    if header_usage != Usage::default() {
        put("usage_headers", counts(&header_usage));
    }
    if metered != Usage::default() {
        put("usage_invocation_metrics", counts(&metered));
    }
    put(
        "attachments",
        json!({"image": seen.attachments.image, "file": seen.attachments.file, "audio": seen.attachments.audio}),
    );
    put("events", Value::Array(seen.events));
    Ok(object)
}

/// Protocols whose response is a single message. An error has no finish reason there.
const ONE_MESSAGE: &[&str] = &[
    "anthropic.messages",
    "anthropic.count_tokens",
    "bedrock.converse",
    "cohere.v2",
    "openai.responses",
];

/// Returns the finish reason of each choice; `null` for a single message without one. Google's reasons may be numbers.
fn finish(answered: &Reading, is_one_message: bool) -> Value {
    if answered.finish.is_empty() && is_one_message {
        return json!([null]);
    }
    let reasons = answered.finish.iter();
    reasons
        .map(|reason| match reason.parse::<u32>() {
            Ok(number) => json!(number),
            Err(_) => json!(**reason),
        })
        .collect()
}

fn counts(usage: &Usage) -> Value {
    let mut counts = Map::new();
    for (key, tokens) in [
        ("input_tokens", usage.input_tokens),
        ("output_tokens", usage.output_tokens),
        ("cached_tokens", usage.cached_tokens),
        ("reasoning_tokens", usage.reasoning_tokens),
    ] {
        if let Some(tokens) = tokens {
            counts.insert(key.to_owned(), json!(tokens));
        }
    }
    Value::Object(counts)
}

const BOUNDS: protocol::Bounds = protocol::Bounds {
    max_depth: Bounds::DEFAULT.max_depth,
    nested_json: Bounds::DEFAULT.nested_json,
    results: true,
    result_args: false,
    repeats: None,
};

/// Returns the route of a request that only the body determines. `problem` is set to its parse error.
fn by_body(head: &RouteHead<'_>, body: &[u8], problem: &mut Problem) -> Option<protocol::Route> {
    let limits = Limits {
        max_depth: BOUNDS.max_depth,
    };
    match JsonBody::scan(body, limits, 0) {
        Ok(json) => protocol::recognise_body(head, json.body()?.root()),
        Err(error) => {
            if let Some(unread) = protocol::unread_message(body, error) {
                *problem = unread;
            }
            None
        }
    }
}

/// Returns the media type that the response declares.
fn media_of(response: &RecordedResponse) -> MediaType {
    let headers = header_list(&response.headers);
    let content_type = headers.iter().find(|(name, _)| name == "content-type");
    ContentType::parse(content_type.map(|(_, value)| value.as_bytes())).media
}

/// Returns a recorded body without its compression, and what is wrong if it could not be decoded. A body that was recorded
/// as text is decoded already.
fn plain(
    body: Vec<u8>,
    encoding: &Option<String>,
    headers: &[(&[u8], &[u8])],
    codings: &[&str],
) -> (Vec<u8>, Option<Problem>) {
    let mut named = headers
        .iter()
        .filter(|(name, value)| *name == b"content-encoding" && !is_identity(value));
    let Some((_, coding)) = named.next().filter(|_| encoding.is_some()) else {
        return (body, None);
    };
    match content_encoding::decoded(headers.iter().copied(), &body, codings) {
        Some(body) => (body, None),
        None => {
            let coding = String::from_utf8_lossy(coding);
            let what = format!(
                "the body is compressed with `{coding}` and could not be decoded: record it decoded"
            );
            (body, Some(unread(codes::AG2005, &what)))
        }
    }
}

fn unread(code: &'static str, what: &str) -> Problem {
    Problem {
        code,
        at: String::new(),
        what: what.to_owned(),
    }
}

/// Formats an event with the members that apply to it.
fn shown(
    event: &Event,
    aside: &BTreeSet<u32>,
    reading: &Reading,
    json: &JsonBody<'_>,
) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("event", json!(event.kind.word()));
    put("in", json!(event.direction.word()));
    put("at", json!(json.pointer(event.at)));
    let is_call = matches!(event.kind, Kind::ToolCall | Kind::ToolResult);
    if is_call && event.direction == Direction::Request {
        put("turn", json!(event.turn.word()));
    }
    if event.kind == Kind::Message && event.turn == Turn::Earlier {
        put("turn", json!(event.turn.word()));
    }
    if let (Kind::Message, Known::Is(from)) = (event.kind, &event.from) {
        put("from", json!(from.word()));
    }
    if matches!(
        event.kind,
        Kind::Message | Kind::Response | Kind::ToolResult
    ) {
        let channel = match event.part {
            Part::Text => None,
            Part::Reasoning => Some("reasoning"),
            Part::Refusal => Some("refusal"),
            _ => Some("metadata"),
        };
        if let Some(channel) = channel {
            put("channel", json!(channel));
        }
    }
    if event.provider_run {
        put("runs", json!("provider"));
    }
    if let Some(message) = event.rpc.and_then(|at| reading.rpc.get(index(at)))
        && event.kind == Kind::Request
    {
        if let Some(method) = &message.method {
            put("method", json!(**method));
        }
        if let Some(uri) = &message.uri {
            put("uri", json!(**uri));
        }
    }
    if let Known::Is(tool) = &event.tool {
        put("tool", json!(**tool));
    }
    if let Known::Is(ok) = event.ok {
        put("ok", json!(ok));
    }
    if let Some(class) = event.opacity {
        put("class", json!(class));
    }
    if event.kind == Kind::ToolCall {
        match &event.args {
            Known::Is(place) => {
                // An empty string and `null` are no arguments.
                let args = json
                    .value(*place)
                    .filter(|value| !value.is_null() && value.text().is_none())
                    .map_or_else(
                        || json!({}),
                        |value| serde_json::from_slice(value.raw()).unwrap_or(Value::Null),
                    );
                put("args", args);
            }
            Known::Missing => {}
            Known::Unknown => {
                put("args_text", json!(args_text(event, reading, json)));
            }
        }
    } else if event.kind == Kind::ToolResult {
        put("text", json!(result_text(event, aside, reading, json)));
    } else if !event.texts.is_empty() {
        put("text", json!(text_of(event, reading, json)));
    }
    object
}

/// Returns the texts of an event, joined, without the identifiers between them.
fn text_of(event: &Event, reading: &Reading, json: &JsonBody<'_>) -> String {
    joined(event.texts.clone(), &|_| true, reading, json)
}

/// Returns unparsed arguments verbatim, without content in another encoding.
fn args_text(event: &Event, reading: &Reading, json: &JsonBody<'_>) -> String {
    let first = reading.texts.get(index(event.texts.start));
    let stands_there = |text: &Text| first.is_some_and(|first| first.place.doc == text.place.doc);
    joined(event.texts.clone(), &stands_there, reading, json)
}

/// Returns the strings of a tool's result, without keys, ids, and content with its own events (documents, search
/// results).
fn result_text(
    event: &Event,
    aside: &BTreeSet<u32>,
    reading: &Reading,
    json: &JsonBody<'_>,
) -> String {
    let numbers = event.texts.clone().filter(|number| !aside.contains(number));
    let is_said = |text: &Text| text.form == Form::String && text.class != Class::Id;
    joined(numbers, &is_said, reading, json)
}

fn joined(
    numbers: impl Iterator<Item = u32>,
    wanted: &dyn Fn(&Text) -> bool,
    reading: &Reading,
    json: &JsonBody<'_>,
) -> String {
    let mut out = String::new();
    let texts = numbers
        .filter_map(|number| reading.texts.get(usize::try_from(number).ok()?))
        .filter(|text| wanted(text));
    for value in texts.filter_map(|text| json.value(text.place)) {
        match value.text() {
            Some(text) => out.push_str(&text),
            None => out.push_str(value.number().unwrap_or_default()),
        }
    }
    out
}

/// Formats one exchange as text.
fn as_text(seen: &Map<String, Value>) -> String {
    let text = |key: &str| match seen.get(key) {
        Some(Value::String(text)) => output::visible(text),
        Some(other) => output::visible(&other.to_string()),
        None => "-".to_owned(),
    };
    let coverage = |key: &str| seen.get("coverage").and_then(|coverage| coverage.get(key));
    let level = coverage("level");
    let reasons = coverage("reasons").and_then(Value::as_array);
    let reasons: Vec<&str> = reasons
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let reasons = match reasons.as_slice() {
        [] => String::new(),
        reasons => format!(" ({})", reasons.join(", ")),
    };
    let tokens = |key: &str, word: &str| {
        let usage = ["usage", "usage_headers", "usage_invocation_metrics"];
        let count = usage.iter().find_map(|usage| seen.get(*usage)?.get(key));
        count.map(|count| format!("{count} {word}"))
    };
    let usage: Vec<String> = [
        tokens("input_tokens", "in"),
        tokens("cached_tokens", "cached"),
        tokens("output_tokens", "out"),
        tokens("reasoning_tokens", "reasoning"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let usage = match usage.as_slice() {
        [] => String::new(),
        usage => format!(" tokens {}", usage.join(", ")),
    };
    let mut out = format!(
        "{}: {} {} {} model {} coverage {}{reasons}{usage}\n",
        text("id"),
        text("provider"),
        text("protocol"),
        text("endpoint"),
        text("model"),
        level.and_then(Value::as_str).unwrap_or("-"),
    );
    for event in seen
        .get("events")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let member = |key: &str| match event.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let detail: String = [
            "method",
            "uri",
            "tool",
            "args",
            "args_text",
            "code",
            "class",
            "what",
            "text",
        ]
        .iter()
        .map(|key| member(key))
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
        let short: String = detail
            .chars()
            .take(100)
            // Control characters could control a terminal.
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        out.push_str(&format!(
            "  {:<8} {:<13} {:<28} {short}\n",
            member("in"),
            member("event"),
            output::visible(&member("at"))
        ));
    }
    out
}
