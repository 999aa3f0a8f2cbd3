//! Reader of the messages between agents.

use super::tables::{ERROR, MESSAGE, PARAMS, PART, RESULT};
use super::{CANCEL, CARD, NOTIFICATION, STREAM, SUBSCRIBE, endpoint_of, named_like};
use crate::diag::codes;
use crate::event::{Author, DefaultGate, Direction, Event, Kind, Known, Part, RpcMessage, Turn};
use crate::protocol::jsonrpc::{self, Envelope, PendingRpc, is_message};
use crate::protocol::reader::{Origin, Reader, is_textual};
use crate::protocol::stream::{Delta, TextDelta};
use crate::protocol::{BodyForm, Endpoint, RequestContext};
use crate::wire::json::{self, NodeId, Value};

/// Reads a request in either binding.
pub(super) fn request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    if endpoint.name != super::MESSAGE {
        reader.reading.params = Some(root.place());
        let mut event = Event::new(Kind::Request, reader.direction(), root.place());
        event.gate = endpoint.gate;
        reader.reading.add(event);
        let has_params = endpoint.body == BodyForm::Json
            || matches!(endpoint.name, CANCEL | SUBSCRIBE)
            || root.members().next().is_none();
        if !has_params {
            let what = "a body is not expected at this endpoint";
            reader.problem(codes::AG2007, root, what);
        }
        params(reader, root);
        return;
    }
    if is_notification(root) {
        reader.reading.endpoint = Some(NOTIFICATION);
        reader.reading.params = Some(root.place());
        let event = Event::new(Kind::Request, reader.direction(), root.place());
        reader.reading.add(event);
        task_or_message(reader, root, &Continued::default());
        return;
    }
    // There are no batches, and no answers of clients: any other message has an invalid envelope.
    let envelope = Envelope::read(reader, root);
    let method = envelope.method.as_deref().unwrap_or_default();
    reader.message(root, envelope.message());
    let known = endpoint_of(method);
    let mut event = Event::new(Kind::Request, reader.direction(), root.place());
    if known == Some(CARD) {
        event.gate = DefaultGate::Plumbing;
    }
    reader.reading.add(event);
    reader.reading.endpoint = known;
    reader.reading.stream = matches!(known, Some(STREAM | SUBSCRIBE));
    if envelope.method.is_none() || envelope.id.is_none() {
        let what = "a request has a `method` and an `id`";
        reader.problem(codes::AG2001, root, what);
    }
    match (known, envelope.params) {
        (Some(_), Some(value)) => params(reader, value),
        (Some(_), None) => {}
        (None, _) => unknown(reader, root, method),
    }
}

/// Returns whether a body is what an agent posts to its client: a task, an update of one or a message, bare (0.3) or under
/// its name (1.0).
pub(super) fn is_notification(root: Value<'_>) -> bool {
    let has =
        |key: &str, kind: json::ValueKind| root.get(key).is_some_and(|value| value.kind() == kind);
    let is_named = [
        "task",
        "message",
        "statusUpdate",
        "status_update",
        "artifactUpdate",
        "artifact_update",
    ]
    .iter()
    .any(|key| has(key, json::ValueKind::Object));
    let is_bare = has("status", json::ValueKind::Object)
        || has("artifact", json::ValueKind::Object)
        || has("parts", json::ValueKind::Array);
    (is_named || is_bare) && !is_message(root)
}

fn unknown(reader: &mut Reader<'_>, root: Value<'_>, method: &str) {
    if let Some(known) = named_like(method) {
        jsonrpc::report_variant(reader, root, known);
    }
    let origin = Origin::new(Known::Unknown, Part::Other, Turn::Latest);
    jsonrpc::unknown_method(reader, root, &origin);
}

fn params(reader: &mut Reader<'_>, value: Value<'_>) {
    let origin = Origin::of(Author::System, Part::Other);
    reader.rows(value, PARAMS, &origin, &mut |reader, _, spoken| {
        message(reader, spoken, Turn::Latest, None);
    });
}

/// Texts of a frame that continue in other frames.
#[derive(Default)]
pub(super) struct Continued<'c> {
    /// Chunks of artifacts: the position of each list of parts, in ascending order, and the text that it continues.
    pub(super) chunks: &'c [(NodeId, TextDelta)],
    /// What the agent's messages continue, beside being texts of their own.
    pub(super) said: Option<TextDelta>,
}

/// Reads one message. In a request it has an author. In a response it is the agent's, or repeats an earlier one.
fn message(reader: &mut Reader<'_>, value: Value<'_>, turn: Turn, said: Option<TextDelta>) {
    let from = match value.get("role").and_then(|role| role.text()).as_deref() {
        Some("user" | "ROLE_USER") => Known::Is(Author::User),
        Some("agent" | "ROLE_AGENT") => Known::Is(Author::Assistant),
        _ => Known::Unknown,
    };
    let is_request = reader.direction() == Direction::Request;
    if is_request && !value.is_null() {
        reader.reading.count_message(&from);
    }
    let origin = Origin::new(
        if is_request { from } else { Known::Missing },
        match turn {
            Turn::Latest => Part::Text,
            Turn::Earlier => Part::Other,
        },
        turn,
    );
    reader.rows(value, MESSAGE, &origin, &mut |reader, _, parts| {
        self::parts(reader, parts, &origin, &[], said);
    });
}

/// Reads parts whose texts continue these, or are texts of their own that `said` continues as well.
fn parts(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    origin: &Origin,
    chunks: &[(NodeId, TextDelta)],
    said: Option<TextDelta>,
) {
    let mut texts = value.elements().filter(|part| part.get("text").is_some());
    let has_several = texts.nth(1).is_some();
    reader.array(value, |reader, part| {
        let member = |key: &str| part.get(key).filter(|value| !value.is_null());
        let file = member("file");
        let of_file = |key: &str| file?.get(key).filter(|value| !value.is_null());
        let is_text = [
            member("mediaType"),
            member("media_type"),
            of_file("mimeType"),
            of_file("mime_type"),
        ];
        let is_text = is_text.into_iter().flatten().any(|kind| {
            let kind = kind.text();
            kind.is_some_and(|kind| is_textual(&kind))
        });
        let mut has_bytes = false;
        reader.rows(part, PART, origin, &mut |reader, key, value| match key {
            "text" => {
                match chunks.first() {
                    Some((_, chunk)) => {
                        let texts = reader.register_text(value, chunk.class);
                        // Clients show the parts of an artifact line by line as well.
                        if has_several {
                            reader.emit_duplicate(value, texts, origin);
                        }
                    }
                    None => {
                        reader.text(value, origin);
                    }
                }
                for piece in chunks.iter().map(|(_, chunk)| *chunk).chain(said) {
                    reader.piece(Delta::Text(TextDelta {
                        place: value.place(),
                        ..piece
                    }));
                }
            }
            _ if value.is_null() => reader.claim(value),
            _ => {
                has_bytes = true;
                reader.file_bytes(value, is_text, part, |count| &mut count.file, origin);
            }
        });
        let is_elsewhere = member("url").is_some()
            || ["uri", "fileWithUri", "file_with_uri"]
                .iter()
                .any(|key| of_file(key).is_some());
        if is_elsewhere || (file.is_some() && !has_bytes) {
            reader.attachment(part, |count| &mut count.file);
        }
    });
}

/// Returns the result in a response of either binding.
pub(super) fn result_of<'v>(root: Value<'v>, context: &RequestContext) -> Option<Value<'v>> {
    if is_rpc(root, context) {
        root.get("result")
    } else {
        Some(root)
    }
}

fn is_rpc(root: Value<'_>, context: &RequestContext) -> bool {
    is_message(root) || !context.rpc.is_empty()
}

/// Reads a response in either binding, or a frame of one.
pub(super) fn answer(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    context: &RequestContext,
    continued: &Continued<'_>,
) {
    if !is_rpc(root, context) {
        rest_answer(reader, root, context, continued);
        return;
    }
    let envelope = Envelope::read(reader, root);
    let question = PendingRpc::of(context).request(context, envelope.id);
    let rpc = RpcMessage {
        is_answer: true,
        params: None,
        ..question.cloned().unwrap_or_default()
    };
    reader.message(root, rpc);
    let origin = said(reader);
    envelope.read_error(reader, &origin);
    if let Some(result) = envelope.result {
        self::result(reader, result, context, continued);
    }
}

fn rest_answer(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    context: &RequestContext,
    continued: &Continued<'_>,
) {
    let Some(error) = root
        .get("error")
        .filter(|error| error.kind() == json::ValueKind::Object)
    else {
        result(reader, root, context, continued);
        return;
    };
    let status = error.get("status").and_then(|status| status.text());
    reader.reading.error = Some(status.as_deref().unwrap_or("error").into());
    let origin = said(reader);
    reader.object(root, &["error"], |reader, _, error| {
        reader.rows(error, ERROR, &origin, &mut |_, _, _| {});
    });
}

fn said(reader: &Reader<'_>) -> Origin {
    jsonrpc::origin(reader, Author::Assistant, Part::Text)
}

fn result(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    context: &RequestContext,
    continued: &Continued<'_>,
) {
    if context.endpoint.name == CARD {
        card(reader, value);
        return;
    }
    match value.kind() {
        json::ValueKind::Object => {}
        // 0.3 returns push notifications as a bare list.
        json::ValueKind::Array => {
            reader.claim(value);
            for element in value.elements() {
                result(reader, element, context, continued);
            }
            return;
        }
        // Answers to other methods are unknown.
        _ => return,
    }
    task_or_message(reader, value, continued);
}

/// Reads what an agent sends: in a response, or in a request to its client.
fn task_or_message(reader: &mut Reader<'_>, value: Value<'_>, continued: &Continued<'_>) {
    let origin = said(reader);
    reader.rows(
        value,
        RESULT,
        &origin,
        &mut |reader, key, value| match key {
            "parts" | "content" => {
                let (place, chunks) = (value.place(), continued.chunks);
                let from = chunks.partition_point(|(parts, _)| *parts < place);
                let to = chunks.partition_point(|(parts, _)| *parts <= place);
                let chunks = chunks.get(from..to).unwrap_or_default();
                let said = continued.said.filter(|_| chunks.is_empty());
                parts(reader, value, &origin, chunks, said);
            }
            "history" => reader.array(value, |reader, spoken| {
                message(reader, spoken, Turn::Earlier, None);
            }),
            _ => message(reader, value, Turn::Latest, continued.said),
        },
    );
}

/// Reads an agent's description of itself and its skills. If it is signed, no byte of it may change: then it stays
/// unknown, so it is evaluated and never edited.
fn card(reader: &mut Reader<'_>, value: Value<'_>) {
    if value
        .get("signatures")
        .is_some_and(|list| list.elements().next().is_some())
    {
        return;
    }
    let texts = reader.tree(value);
    reader.emit_text(value, texts, &said(reader).with_part(Part::Definition));
}
