//! Key `session`: sources of a request's session.

use super::decode::{Decoder, PolicyPath};
use super::node::Node;
use crate::diag::codes;
use crate::wire::letter_case;

/// Source of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionSource {
    /// Request header, in lower case.
    Header(Box<str>),
    /// MCP's `mcp-session-id`.
    Mcp,
    /// `conversation`; for a limit also the conversation that `previous_response_id` continues.
    Conversation,
    /// Member of the request's body, by its path: `metadata.session_id`.
    Field(Box<str>),
    /// First messages, which a client sends again with each request.
    FirstMessages,
}

impl SessionSource {
    /// Default sources of a limit.
    pub const OF_LIMITS: [SessionSource; 3] = [
        SessionSource::Mcp,
        SessionSource::Conversation,
        SessionSource::FirstMessages,
    ];

    /// Default sources of an approval. A client that repeats its request may have changed the first messages.
    pub const OF_APPROVALS: [SessionSource; 2] = [SessionSource::Mcp, SessionSource::Conversation];

    fn parse(text: &str) -> Option<SessionSource> {
        Some(match text {
            "mcp" => SessionSource::Mcp,
            "conversation" => SessionSource::Conversation,
            "first_messages" => SessionSource::FirstMessages,
            _ => match text.split_once(':')? {
                ("header", name) if !name.is_empty() => {
                    SessionSource::Header(letter_case::ascii_lower(name).into())
                }
                ("field", path) if !path.is_empty() => SessionSource::Field(path.into()),
                _ => return None,
            },
        })
    }

    /// Returns the name of the source in policies and audit events.
    pub fn name(&self) -> Box<str> {
        match self {
            SessionSource::Header(name) => format!("header:{name}").into(),
            SessionSource::Mcp => "mcp".into(),
            SessionSource::Conversation => "conversation".into(),
            SessionSource::Field(path) => format!("field:{path}").into(),
            SessionSource::FirstMessages => "first_messages".into(),
        }
    }
}

/// Reads `header:x-session-id`, or a list of sources in the order in which they are tried.
pub(super) fn read(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<Vec<SessionSource>> {
    let mut sources = Vec::new();
    for name in decoder.names(at, node)? {
        let Some(source) = SessionSource::parse(&name) else {
            let message = format!("`{name}` is no source of a session");
            let help =
                "write `header:NAME`, `field:PATH`, `mcp`, `conversation` or `first_messages`";
            decoder.error(codes::AG1007, at, &node.span, &message, help);
            return None;
        };
        sources.push(source);
    }
    Some(sources)
}
