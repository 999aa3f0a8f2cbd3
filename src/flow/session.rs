//! What names the session of an exchange: a header, a member of the body, or what the conversation begins with.

use crate::event::{Author, Kind, Known, Part, Reading};
use crate::policy::SessionSource;
use crate::wire::json::{JsonBody, Value};
use crate::wire::utf8;

/// Bytes of the first messages that name a session.
const MAX_NAMING_BYTES: usize = 64 << 10;

/// The values of the header that names a session; none if it is named elsewhere, or not at all.
pub(super) fn in_headers(source: &SessionSource, headers: &[(&[u8], &[u8])]) -> Vec<String> {
    let name = match source {
        SessionSource::Header(name) => name.as_bytes(),
        SessionSource::Mcp => b"mcp-session-id",
        _ => return Vec::new(),
    };
    let values = headers.iter().filter(|(known, _)| *known == name);
    values
        .filter(|(_, value)| !value.is_empty())
        .map(|(_, value)| utf8::lossy(value).into_owned())
        .collect()
}

/// What of a request's body names a session; nothing if it is named elsewhere, or not at all.
pub(super) fn in_body(
    source: &SessionSource,
    reading: &Reading,
    json: &JsonBody<'_>,
) -> Vec<String> {
    let body = json.body();
    let root = body.as_ref().map(|body| body.root());
    let named = match source {
        SessionSource::Header(_) | SessionSource::Mcp => None,
        SessionSource::Field(path) => {
            let mut names = path.split('.');
            let value = names.try_fold(root, |value, name| Some(value?.get(name)));
            value.flatten().and_then(plain)
        }
        SessionSource::Conversation => {
            let conversation = root.and_then(|root| root.get("conversation"));
            conversation.and_then(|it| plain(it).or_else(|| plain(it.get("id")?)))
        }
        SessionSource::FirstMessages => return first_messages(reading, json),
    };
    named.into_iter().collect()
}

/// The response that a request goes on from.
pub(super) fn previous_response(json: &JsonBody<'_>) -> Option<String> {
    let body = json.body()?;
    plain(body.root().get("previous_response_id")?)
}

/// A text or a number as a text.
pub(super) fn plain(value: Value<'_>) -> Option<String> {
    let text = value.text().map(|text| text.into_owned());
    text.or_else(|| value.number().map(str::to_owned))
        .filter(|text| !text.is_empty())
}

/// The texts up to the first one of the user, which a client sends again with each request of a conversation.
fn first_messages(reading: &Reading, json: &JsonBody<'_>) -> Vec<String> {
    let mut texts = Vec::new();
    let mut size = 0usize;
    for event in &reading.events {
        if event.kind != Kind::Message || event.part == Part::Definition {
            continue;
        }
        for text in reading.texts.of(event.texts.clone()) {
            let value = json.value(text.place);
            let text = value.and_then(|value| value.text());
            let text = text.unwrap_or_default();
            size = size.saturating_add(text.len());
            texts.push(text.into_owned());
        }
        if event.from == Known::Is(Author::User) || size > MAX_NAMING_BYTES {
            return texts;
        }
    }
    Vec::new()
}
