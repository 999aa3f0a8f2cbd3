//! Query of the approval service and its response.
//!
//! ```json
//! {"agentguard":"approval_request","version":1,"wait":30,"request_id":"1b0f…",
//!  "requests":[{"request":"agar1.eyJpZCI6…","contents":{"id":"3q2-7w","policy":"support-agent",…}}]}
//! ```
//!
//! `contents` is the decoded request, for services that don't decode it themselves. A notice has no `wait`, and its response
//! is not read. A response contains any number of tokens; without any, the call is not approved:
//!
//! ```json
//! {"agentguard":"approval","tokens":["agat1.eyJpZCI6…"]}
//! ```

use super::encoding::PayloadWriter;
use super::request::ApprovalRequest;
use super::token::MAX_BYTES as MAX_TOKEN_BYTES;
use crate::wire::json::{JsonBody, Limits, ValueKind};

/// Maximum tokens of a response. Each costs a signature check.
const MAX_TOKENS: usize = 32;

/// Maximum bytes of a response.
pub const MAX_ANSWER_BYTES: usize = MAX_TOKENS * (MAX_TOKEN_BYTES + 8) + (1 << 10);

/// Maximum nesting of a response.
const MAX_DEPTH: u16 = 16;

/// Error: a body is not a response of an approval service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedAnswer;

/// Returns the query of the approval service; without `wait`, the notice.
pub fn service_request(
    requests: &[&ApprovalRequest],
    request_id: &str,
    wait: Option<u64>,
) -> Vec<u8> {
    let mut out = PayloadWriter::new();
    out.text("agentguard", "approval_request");
    out.number("version", 1);
    if let Some(wait) = wait {
        out.number("wait", wait);
    }
    out.text("request_id", request_id);
    let list = out.key("requests");
    list.push(b'[');
    for (number, request) in requests.iter().enumerate() {
        if number > 0 {
            list.push(b',');
        }
        let mut each = PayloadWriter::new();
        each.text("request", &request.encode());
        each.key("contents").extend_from_slice(&request.contents());
        list.extend_from_slice(&each.end());
    }
    list.push(b']');
    out.end()
}

/// Returns the tokens of a response. Envoy sends its own response for a service that it can't reach, and other proxies may
/// do so too. So only a body that declares itself an approval response is accepted.
///
/// # Errors
/// The body is not a response of an approval service.
pub fn service_tokens(response: &[u8]) -> Result<Vec<String>, MalformedAnswer> {
    let limits = Limits {
        max_depth: MAX_DEPTH,
    };
    if response.len() > MAX_ANSWER_BYTES {
        return Err(MalformedAnswer);
    }
    let json = JsonBody::scan(response, limits, 0).map_err(|_| MalformedAnswer)?;
    let body = json.body().ok_or(MalformedAnswer)?;
    let root = body.root();
    let says = root.get("agentguard").and_then(|value| value.text());
    if says.as_deref() != Some("approval") {
        return Err(MalformedAnswer);
    }
    let Some(tokens) = root.get("tokens") else {
        return Ok(Vec::new());
    };
    if tokens.kind() != ValueKind::Array {
        return Err(MalformedAnswer);
    }
    let tokens = tokens.elements();
    let tokens = tokens.map(|token| token.text().map(|text| text.into_owned()));
    let tokens: Option<Vec<String>> = tokens.collect();
    tokens
        .filter(|tokens| tokens.len() <= MAX_TOKENS)
        .ok_or(MalformedAnswer)
}
