//! Session of an exchange, named by a header, a member of the body, or the first messages of the conversation.

use crate::event::{Author, Event, Kind, Known, Part, Reading};
use crate::policy::SessionSource;
use crate::wire::json::{JsonBody, Value};
use crate::wire::utf8;

/// Maximum bytes of the first messages, beyond which no further one is read.
const MAX_NAMING_BYTES: usize = 64 << 10;

/// Returns the values of the header that names a session; none if the source is not a header, or the header is absent.
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

/// Returns the texts of a request's body that name a session; none if the source is not in the body, or absent there.
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

/// Returns the id of the response that a request continues.
pub(super) fn previous_response(json: &JsonBody<'_>) -> Option<String> {
    let body = json.body()?;
    plain(body.root().get("previous_response_id")?)
}

/// Returns a string or a number as text, unless it is empty.
pub(super) fn plain(value: Value<'_>) -> Option<String> {
    let text = value.text().map(|text| text.into_owned());
    text.or_else(|| value.number().map(str::to_owned))
        .filter(|text| !text.is_empty())
}

/// Returns the texts up to the first message of the user. A client repeats them in each request of a conversation.
fn first_messages(reading: &Reading, json: &JsonBody<'_>) -> Vec<String> {
    let mut texts = Vec::new();
    let mut size = 0usize;
    for event in &reading.events {
        if !is_said(event) {
            continue;
        }
        for text in reading.texts.of(event.texts.clone()) {
            let value = json.value(text.place);
            let text = value.and_then(|value| value.text());
            let text = text.unwrap_or_default();
            size = size.saturating_add(text.len());
            texts.push(text.into_owned());
        }
        if ends_first_messages(event) || size > MAX_NAMING_BYTES {
            return texts;
        }
    }
    Vec::new()
}

fn is_said(event: &Event) -> bool {
    event.kind == Kind::Message && event.part != Part::Definition
}

/// Returns whether the messages that name a session end with this event.
pub(super) fn ends_first_messages(event: &Event) -> bool {
    is_said(event) && event.from == Known::Is(Author::User)
}
