//! Recorded answers that stream, sent through the filter: untouched they stay what they are, in whatever pieces they arrive;
//! edited they say what the edited whole would say.

use super::recorded;
use agentguard::author::parse_yaml;
use agentguard::event::{Class, Kind, Part};
use agentguard::flow::simulation::{self, HttpMessage, SimulatedResult, run};
use agentguard::flow::{Guard, Transcript, transcript};
use agentguard::policy::load;
use agentguard::protocol::{self, Bounds, Protocol, Recognised, RequestContext, RouteHead};
use agentguard::wire::frame::Framing;
use agentguard::wire::http::{ContentType, Path};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::rc::Rc;

const BOUNDS: Bounds = Bounds {
    max_depth: 64,
    nested_json: 4,
    results: false,
    result_args: false,
    repeats: None,
};

/// A recorded exchange whose answer streams.
pub(super) struct Streamed {
    pub(super) id: String,
    pub(super) request: HttpMessage,
    pub(super) response: HttpMessage,
    pub(super) body: Vec<u8>,
    pub(super) framing: Framing,
    pub(super) protocol: &'static dyn Protocol,
    asked: RequestContext,
}

pub(super) fn body(message: &Value) -> Vec<u8> {
    let body = message["body"].as_str().unwrap_or_default();
    match message["body_encoding"].as_str() {
        Some("base64") => STANDARD.decode(body).unwrap(),
        _ => body.as_bytes().to_vec(),
    }
}

pub(super) fn headers(message: &Value) -> Vec<(String, String)> {
    message["headers"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| !["content-length", "transfer-encoding"].contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The request and the response of a recorded exchange.
pub(super) fn messages(exchange: &Value) -> (HttpMessage, HttpMessage) {
    let (request, response) = (&exchange["request"], &exchange["response"]);
    let text = |key: &str| request[key].as_str().unwrap_or_default();
    let status = response["status"].to_string();
    let request = half(
        &[
            (":method", text("method")),
            (":path", text("path")),
            (":authority", text("host")),
        ],
        request,
    );
    (request, half(&[(":status", &status)], response))
}

/// Runs a recorded exchange under a policy.
pub(super) fn replay(guard: &Rc<Guard>, exchange: &Value) -> SimulatedResult {
    let (request, response) = messages(exchange);
    run(guard, &request, |_| response, 1_763_622_245_000_000_000)
}

fn half(pseudo: &[(&str, &str)], message: &Value) -> HttpMessage {
    let headers = headers(message);
    let all: Vec<(&str, &str)> = pseudo
        .iter()
        .copied()
        .chain(
            headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        )
        .collect();
    HttpMessage::new(&all, &body(message))
}

fn streamed(exchange: &Value) -> Option<Streamed> {
    let (request, response) = (&exchange["request"], &exchange["response"]);
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
    let content_type = response["headers"]["content-type"].as_str()?;
    let media = ContentType::parse(Some(content_type.as_bytes())).media;
    let Recognised::Protocol(route) = protocol::recognise(&head) else {
        return None;
    };
    let mut asked = RequestContext::at(route.endpoint.clone());
    let sent = body(request);
    if let Ok((_, reading)) = protocol::read_request(&route, &sent, BOUNDS) {
        asked.learn(&reading);
    }
    let framing = route.protocol.framing(&asked, media)?;
    route.protocol.stream(&asked)?;
    let body = body(response);
    let (request, response) = messages(exchange);
    Some(Streamed {
        id: exchange["id"].to_string(),
        request,
        response,
        body,
        framing,
        protocol: route.protocol,
        asked,
    })
}

pub(super) fn all() -> impl Iterator<Item = Streamed> {
    recorded()
        .into_iter()
        .filter_map(|exchange| streamed(&exchange))
}

pub(super) fn guard(rules: &str) -> Rc<Guard> {
    guard_with("action: allow", rules)
}

pub(super) fn guard_with(defaults: &str, rules: &str) -> Rc<Guard> {
    let text = format!(
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: test }}\n\
         defaults: {{ {defaults} }}\nrules:\n{rules}"
    );
    let loaded = load(&parse_yaml(&text).unwrap());
    let policy = loaded
        .policy
        .unwrap_or_else(|| panic!("{:?}\n{text}", loaded.diagnostics));
    simulation::guard(policy).unwrap()
}

/// Cuts a body into pieces of uneven sizes.
pub(super) fn in_pieces(response: &HttpMessage, sizes: &[usize]) -> HttpMessage {
    let body = response.body();
    let mut cut = HttpMessage {
        chunks: Vec::new(),
        ..response.clone()
    };
    let mut sizes = sizes.iter().cycle();
    let mut rest = body.as_slice();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        cut.chunks.push(piece.to_vec());
        rest = after;
    }
    cut
}

pub(super) fn exchange(
    guard: &Rc<Guard>,
    streamed: &Streamed,
    response: HttpMessage,
) -> SimulatedResult {
    run(
        guard,
        &streamed.request,
        |_| response,
        1_763_622_245_000_000_000,
    )
}

pub(super) fn transcript_of(streamed: &Streamed, body: &[u8]) -> Transcript {
    let reader = streamed.protocol.stream(&streamed.asked).unwrap();
    transcript(body, streamed.framing, reader, BOUNDS)
}

/// Texts of the transcript that arrive in pieces and that the model says: where, and what.
fn texts(transcript: &Transcript) -> Vec<(String, String)> {
    let texts = transcript.parts.iter().filter_map(|part| {
        let event = part.reading.events.first()?;
        let at = part.at.clone()?;
        if !matches!(event.part, Part::Text | Part::Reasoning | Part::Refusal) {
            return None;
        }
        let text = part.json.value(event.at)?.text()?.into_owned();
        Some((at, text))
    });
    texts.collect()
}

/// All that the answer's signatures cover.
fn signed_texts(transcript: &Transcript) -> String {
    let signed = transcript.parts.iter().flat_map(|part| {
        let texts = part.reading.texts.iter();
        texts
            .filter(|text| text.class == Class::Sealed)
            .filter_map(|text| Some(part.json.value(text.place)?.text()?.into_owned()))
    });
    signed.collect()
}

pub(super) const LOOKS: &str = "  - id: never
    match: { event: response }
    when: { text: { contains_any: [\"nowhere in any recording\"] } }
    action: redact
  - id: tool
    match: { tool: nowhere_in_any_recording }
    action: deny
";

#[test]
fn untouched_streams_are_the_same_bytes_in_whatever_pieces_they_arrive() {
    let guard = guard(LOOKS);
    let mut count = 0;
    for streamed in all() {
        count += 1;
        let whole = exchange(&guard, &streamed, streamed.response.clone());
        // Tools of a server that are not listed may have any name.
        if !whole.upstream_complete {
            continue;
        }
        assert_eq!(
            String::from_utf8_lossy(&whole.client.body()),
            String::from_utf8_lossy(&streamed.body),
            "{}",
            streamed.id
        );
        for sizes in [&[1][..], &[7, 1, 100, 33], &[4_096]] {
            let seen = exchange(&guard, &streamed, in_pieces(&streamed.response, sizes));
            assert!(
                seen.client.body() == streamed.body,
                "{} {sizes:?}",
                streamed.id
            );
            let without_time = |line: &[u8]| {
                let mut record: Value = serde_json::from_slice(line).unwrap();
                for key in ["ts", "chain", "timing", "duration_ms", "request_id"] {
                    record.as_object_mut().unwrap().remove(key);
                }
                record
            };
            assert_eq!(
                without_time(&seen.finished.line),
                without_time(&whole.finished.line),
                "{}",
                streamed.id
            );
        }
    }
    assert!(count > 0);
}

#[test]
fn a_word_of_the_answer_disappears_from_all_of_it_and_nothing_else_changes() {
    for streamed in all() {
        let transcript = transcript_of(&streamed, &streamed.body);
        let before = texts(&transcript);
        let signed = signed_texts(&transcript);
        let words = before.iter().filter_map(|(_, text)| word_of(text));
        // What is signed may not be edited.
        let Some(word) = words
            .into_iter()
            .find(|word| !signed.contains(word.as_str()))
        else {
            continue;
        };
        let rule = format!(
            "  - id: word
    match: {{ event: response, part: [text, reasoning, refusal] }}
    when: {{ text: {{ matches: {} }} }}
    action: redact
    redact: {{ label: \"<gone>\" }}
",
            Value::String(regex_escaped(&word))
        );
        let guard = guard(&rule);
        let whole = exchange(&guard, &streamed, streamed.response.clone());
        let pieces = in_pieces(&streamed.response, &[3, 50, 1]);
        let seen = exchange(&guard, &streamed, pieces);
        assert!(whole.client.body() == seen.client.body(), "{}", streamed.id);
        let after = transcript_of(&streamed, &seen.client.body());
        assert!(
            after.problems.is_empty(),
            "{}: {:?}",
            streamed.id,
            after.problems
        );
        let expected: Vec<(String, String)> = before
            .iter()
            .map(|(at, text)| (at.clone(), text.replace(&word, "<gone>")))
            .collect();
        assert_same(
            &texts(&after),
            &expected,
            &format!("{} {word:?}", streamed.id),
        );
    }
}

/// The texts of a transcript: those that are arguments of calls, or the others.
fn of_arguments(transcript: &Transcript, are_arguments: bool) -> Vec<String> {
    let parts = transcript.parts.iter().flat_map(|part| {
        let events = part.reading.events.iter();
        let events = events
            .filter(|event| event.kind != Kind::ToolCall)
            .filter(move |event| (event.part == Part::Arguments) == are_arguments);
        let texts = events.flat_map(|event| event.texts.clone());
        texts.filter_map(|number| {
            let text = part.reading.texts.get(usize::try_from(number).ok()?)?;
            Some(part.json.value(text.place)?.text()?.into_owned())
        })
    });
    parts.collect()
}

#[test]
fn arguments_of_calls_are_redacted_only_by_a_rule_that_names_their_part() {
    let mut count = 0;
    for streamed in all() {
        let transcript = transcript_of(&streamed, &streamed.body);
        let others = of_arguments(&transcript, false).concat();
        let words = of_arguments(&transcript, true);
        let words = words.iter().filter_map(|text| word_of(text));
        let Some(word) = words.into_iter().find(|word| !others.contains(word)) else {
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
            let pieces = in_pieces(&streamed.response, &[3, 50, 1]);
            exchange(&guard(&rule), &streamed, pieces).client.body()
        };
        assert!(redacted("") == streamed.body, "{} {word}", streamed.id);
        let named = redacted(", part: arguments");
        assert!(named != streamed.body, "{} {word}", streamed.id);
        count += 1;
    }
    // Of other recordings no word of the arguments stands nowhere else.
    assert!(count > 12, "{count}");
}

/// The same texts; says where the first difference is, since texts are long.
fn assert_same(texts: &[(String, String)], expected: &[(String, String)], what: &str) {
    let places = |texts: &[(String, String)]| -> Vec<String> {
        texts.iter().map(|(at, _)| at.clone()).collect()
    };
    assert_eq!(places(texts), places(expected), "{what}");
    for ((at, text), (_, expected)) in texts.iter().zip(expected) {
        let same = text
            .char_indices()
            .zip(expected.chars())
            .take_while(|((_, left), right)| left == right)
            .last()
            .map_or(0, |((from, _), _)| from);
        assert_eq!(text.get(same..), expected.get(same..), "{what} at {at}");
    }
}

/// The longest word, or what is most like one.
fn word_of(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words
        .max_by_key(|word| word.len())
        .filter(|word| word.chars().count() > 4)
        .map(str::to_owned)
}

fn regex_escaped(word: &str) -> String {
    word.chars().map(|c| format!("{c}")).collect()
}

#[test]
fn a_denied_tool_is_called_no_more_and_the_others_still_are() {
    for streamed in all() {
        let called = |transcript: &Transcript| -> Vec<String> {
            let events = transcript
                .parts
                .iter()
                .flat_map(|part| part.reading.events.iter())
                .filter(|event| event.kind == Kind::ToolCall)
                .filter(|event| !event.is_duplicate && !event.provider_run);
            events
                .filter_map(|event| Some(event.tool.value()?.to_string()))
                .collect()
        };
        let before = called(&transcript_of(&streamed, &streamed.body));
        let Some(denied) = before.first() else {
            continue;
        };
        let guard = guard(&format!(
            "  - id: tool
    match: {{ tool: {} }}
    when: {{ in: response }}
    action: deny
    on_deny: replace
    reason: Not this one.
",
            Value::String(denied.clone())
        ));
        let mut streamed = streamed;
        let seen = exchange(&guard, &streamed, in_pieces(&streamed.response, &[64, 5]));
        if seen.upstream.is_none() || streamed.asked.forces_tool {
            continue;
        }
        streamed.body = seen.client.body();
        let transcript = transcript_of(&streamed, &streamed.body);
        assert!(
            transcript.problems.is_empty(),
            "{}: {:?}",
            streamed.id,
            transcript.problems
        );
        let kept: Vec<String> = before
            .iter()
            .filter(|tool| *tool != denied)
            .cloned()
            .collect();
        assert_eq!(called(&transcript), kept, "{}", streamed.id);
        assert!(
            String::from_utf8_lossy(&streamed.body).contains("Not this one.")
                || streamed.framing == Framing::Amazon,
            "{}",
            streamed.id
        );
    }
}
