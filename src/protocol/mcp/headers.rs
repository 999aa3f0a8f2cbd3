//! Headers that mirror the body (2026-07-28, "Request Metadata"). Proxies route by them, and servers act on the body,
//! so that a difference is a mistake or an attack.
//!
//! ```text
//! Mcp-Method: tools/call
//! Mcp-Name: weather
//! {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{}}}
//! ```

use super::tables::named;
use super::{METHOD, NAME, PARAM, VERSION, is_mirrored};
use crate::diag::codes;
use crate::event::Class;
use crate::protocol::Endpoint;
use crate::protocol::reader::Reader;
use crate::wire::json::{self, Decimal, Value};
use crate::wire::span::index;
use crate::wire::work;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// Maximum headers of MCP in a request. A request with more is denied.
const MOST_HEADERS: usize = 64;

/// Work steps for comparing a header with one value among the arguments, and for finding the text of the value.
const STEPS_PER_NODE: usize = 16;

const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// Returns the version in the parameters.
pub(super) fn version_in(params: Option<Value<'_>>) -> Option<Cow<'_, str>> {
    params?.get("_meta")?.get(VERSION_KEY)?.text()
}

/// Reports a contradiction between headers and the message.
pub(super) fn agree(reader: &mut Reader<'_>, message: Value<'_>, endpoint: &Endpoint) {
    if let Err(what) = compare(reader, message, endpoint) {
        reader.problem(codes::AG2012, message, &what);
    }
}

/// Reports a header of a batch, which has no single method to mirror.
pub(super) fn none_for_batch(reader: &mut Reader<'_>, batch: Value<'_>, endpoint: &Endpoint) {
    let mirrors = |name: &str| name == METHOD || name == NAME || name.starts_with(PARAM);
    if let Some((name, _)) = endpoint.headers.iter().find(|(name, _)| mirrors(name)) {
        reader.problem(
            codes::AG2012,
            batch,
            &format!("the header `{name}` stands before a batch"),
        );
    }
}

fn compare(reader: &mut Reader<'_>, message: Value<'_>, endpoint: &Endpoint) -> Result<(), String> {
    none_twice(endpoint)?;
    let params = message.get("params");
    let method = message.get("method").and_then(|method| method.text());
    let in_header = value(endpoint, VERSION);
    let in_body = version_in(params);
    if let (Some(header), Some(body)) = (in_header, &in_body)
        && header != body.as_bytes()
    {
        return Err(differs(VERSION));
    }
    let mirrored = in_header.is_some_and(is_mirrored)
        || in_body
            .as_deref()
            .is_some_and(|version| is_mirrored(version.as_bytes()));
    // The mirrored members of a notification are not defined.
    let required = mirrored && method.is_some() && message.get("id").is_some();
    if required && in_header.is_none() {
        return Err(missing(VERSION));
    }
    match value(endpoint, METHOD) {
        Some(header) if method.as_deref().map(str::as_bytes) != Some(header) => {
            return Err(differs(METHOD));
        }
        None if required => return Err(missing(METHOD)),
        _ => {}
    }
    let mirrored_param = method
        .as_deref()
        .and_then(named)
        .and_then(|method| method.mirrored);
    match value(endpoint, NAME) {
        Some(header) => {
            let decoded = decode(header).ok_or_else(|| differs(NAME))?;
            // Only three methods must be mirrored; a client may mirror more, if it is true.
            let keys: &[&str] = match &mirrored_param {
                Some(key) => std::slice::from_ref(key),
                None => &["name", "uri", "taskId"],
            };
            let agrees = keys.iter().any(|key| {
                params
                    .and_then(|params| params.get(key))
                    .is_some_and(|value| value.is_text(&decoded))
            });
            if !agrees {
                return Err(differs(NAME));
            }
        }
        None if required && mirrored_param.is_some() => return Err(missing(NAME)),
        None => {}
    }
    let arguments = params
        .filter(|_| method.as_deref() == Some("tools/call"))
        .and_then(|params| params.get("arguments"));
    let mirrors = endpoint
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with(PARAM));
    for (name, mirrored) in mirrors {
        let decoded = decode(mirrored).ok_or_else(|| differs(name))?;
        let found =
            arguments.is_some_and(|arguments| mirrors_argument(reader, arguments, &decoded));
        if !found {
            return Err(differs(name));
        }
    }
    Ok(())
}

/// Returns an error for a header that is present twice, because proxies and servers choose different ones. No client
/// sends more than a few.
fn none_twice(endpoint: &Endpoint) -> Result<(), String> {
    let headers = &endpoint.headers;
    if headers.len() > MOST_HEADERS {
        return Err("too many headers mirror the body".to_owned());
    }
    for (at, (name, _)) in headers.iter().enumerate() {
        if headers
            .iter()
            .skip(at.saturating_add(1))
            .any(|(other, _)| other == name)
        {
            return Err(format!("the header `{name}` stands twice"));
        }
    }
    Ok(())
}

fn value<'e>(endpoint: &'e Endpoint, name: &'e str) -> Option<&'e [u8]> {
    endpoint.header(name).next()
}

fn differs(name: &str) -> String {
    format!("the header `{name}` is not what the body says")
}

fn missing(name: &str) -> String {
    format!("the header `{name}` is missing, which this version of the protocol requires")
}

/// Returns the value of a header: visible ASCII as it is, or UTF-8 in `=?base64?…?=`. `None` if it is neither.
fn decode(value: &[u8]) -> Option<Cow<'_, str>> {
    if !value.iter().all(|b| matches!(b, b' '..=b'~' | b'\t')) {
        return None;
    }
    let wrapped = value
        .strip_prefix(b"=?base64?")
        .and_then(|rest| rest.strip_suffix(b"?="));
    match wrapped {
        // Padding and trailing bits have only one valid form.
        Some(wrapped) => String::from_utf8(STANDARD.decode(wrapped).ok()?)
            .ok()
            .map(Cow::Owned),
        None => std::str::from_utf8(value).ok().map(Cow::Borrowed),
    }
}

/// Returns whether an argument has this value. Only the tool's schema contains which one is mirrored; a value of no
/// argument is wrong in any case. A mirrored text can no longer be edited, because the header would still contain it.
fn mirrors_argument(reader: &mut Reader<'_>, arguments: Value<'_>, value: &str) -> bool {
    let nodes = arguments.end_node().saturating_sub(arguments.place().node);
    work::spend(index(nodes).saturating_mul(STEPS_PER_NODE));
    if work::is_exhausted() {
        return true;
    }
    let mut found = false;
    let mut mirrored = Vec::new();
    for node in arguments.descendants().filter(|node| !node.is_key) {
        let own = node.value;
        match own.kind() {
            json::ValueKind::String if own.is_text(value) => mirrored.push(own.place()),
            json::ValueKind::Number => {
                found |= own
                    .number()
                    .is_some_and(|number| same_number(number, value));
            }
            json::ValueKind::Bool(flag) => found |= value == if flag { "true" } else { "false" },
            _ => {}
        }
    }
    if mirrored.is_empty() {
        return found;
    }
    for number in 0..reader.text_count() {
        let text = reader.reading.texts.get(index(number));
        if text.is_some_and(|text| mirrored.binary_search(&text.place).is_ok()) {
            let texts = &mut reader.reading.texts;
            texts.change(number, |text| text.class = Class::Name);
        }
    }
    true
}

/// Compares numbers by value: `42.0` equals `42`.
fn same_number(body: &str, header: &str) -> bool {
    body == header
        || matches!(
            (Decimal::parse(body), Decimal::parse(header)),
            (Some(body), Some(header)) if body == header
        )
}
