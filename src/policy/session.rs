//! `session`: where the session of a request is looked for.

use super::decode::{Decoder, PolicyPath};
use super::node::Node;
use crate::diag::codes;
use crate::wire::letter_case;

/// Where a session is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionSource {
    /// A request header, in lower case.
    Header(Box<str>),
    /// MCP's `mcp-session-id`.
    Mcp,
    /// `conversation`; for a limit also the conversation that `previous_response_id` goes on.
    Conversation,
    /// A member of the request's body, by its path: `metadata.session_id`.
    Field(Box<str>),
    /// The first messages, which a client sends again with each request.
    FirstMessages,
}

impl SessionSource {
    /// Where a limit looks for it if it doesn't say.
    pub const OF_LIMITS: [SessionSource; 3] = [
        SessionSource::Mcp,
        SessionSource::Conversation,
        SessionSource::FirstMessages,
    ];

    /// Where an approval looks for it if it doesn't say. A client that asks again may have changed the first messages.
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

    /// Its name in policies and audit events.
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

/// `header:x-session-id`, or a list of sources in the order in which they are tried.
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
