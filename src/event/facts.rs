//! What is known of an exchange as a whole, and of who is asking.

use super::{History, Known, Models};
use crate::wire::sorted_map::SortedMap;

/// Who is asking, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The subject.
    pub id: Known<Box<str>>,
    /// The agent that acts.
    pub agent: Known<Box<str>>,
    /// The application.
    pub client: Known<Box<str>>,
    /// The tenant.
    pub tenant: Known<Box<str>>,
    /// Roles.
    pub roles: Known<Vec<Box<str>>>,
    /// Everything else that is known of it, each a set of values.
    pub claims: SortedMap<Box<str>, Vec<Box<str>>>,
    /// The source that said so.
    pub via: Option<Box<str>>,
}

impl Principal {
    /// Nobody is known: everything about them is unknown, which counts for whoever restricts.
    pub fn anonymous() -> Principal {
        Principal {
            id: Known::Unknown,
            agent: Known::Unknown,
            client: Known::Unknown,
            tenant: Known::Unknown,
            roles: Known::Unknown,
            claims: SortedMap::new(),
            via: None,
        }
    }

    /// Whether nobody is known.
    pub fn is_anonymous(&self) -> bool {
        self.via.is_none()
    }

    /// The values of `principal.NAME`.
    pub fn claim(&self, name: &str) -> Known<Vec<&str>> {
        let field = match name {
            "id" => Some(&self.id),
            "agent" => Some(&self.agent),
            "client" => Some(&self.client),
            "tenant" => Some(&self.tenant),
            _ => None,
        };
        match field {
            Some(Known::Missing) => return Known::Missing,
            Some(Known::Unknown) => return Known::Unknown,
            Some(Known::Is(value)) => return Known::Is(vec![value]),
            None => {}
        }
        match self.claims.get(name) {
            Some(values) => Known::Is(values.iter().map(|value| &**value).collect()),
            None if self.is_anonymous() => Known::Unknown,
            None => Known::Missing,
        }
    }
}

/// `request.*`: what the request as a whole looks like. Absent members are missing, not unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// Messages of the conversation.
    pub message_count: Option<u64>,
    /// Messages by author: system, user, assistant, tool.
    pub messages_by_author: Option<[u64; 4]>,
    /// Characters of text by four, the usual rule of thumb.
    pub estimated_tokens: Option<u64>,
    /// Size of the body.
    pub bytes: Option<u64>,
    /// Whether a stream was asked for.
    pub stream: Option<bool>,
    /// Longest answer that was asked for, in tokens.
    pub max_tokens: Option<u64>,
    /// Names of the tools that are offered.
    pub tools: Option<Vec<Box<str>>>,
    /// Where the request goes, if its path or host says so.
    pub region: Known<Box<str>>,
}

impl RequestFacts {
    /// Messages by the author of that word.
    pub fn messages_by(&self, author: &str) -> Option<u64> {
        let at = ["system", "user", "assistant", "tool"]
            .iter()
            .position(|word| *word == author)?;
        self.messages_by_author?.get(at).copied()
    }
}

/// What rules may ask about the exchange that an event is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Format.
    pub protocol: Known<Box<str>>,
    /// Who serves the model.
    pub provider: Known<Box<str>>,
    /// Which MCP server, by route or host.
    pub server: Known<Box<str>>,
    /// The policy gives that server its name, so that the names of its tools can be told apart from others':
    /// `github/create_issue`.
    pub qualifies: bool,
    /// Models that the request may use.
    pub models: Models,
    /// `:authority` in lower case, without port.
    pub host: Known<Box<str>>,
    /// Envoy's name for the upstream, where the policy asks.
    pub cluster: Known<Box<str>>,
    /// Path without query: as it came, and as a server reads it if that differs.
    pub paths: Known<Vec<Box<str>>>,
    /// Method.
    pub method: Known<Box<str>>,
    /// When the exchange began, in nanoseconds since 1970.
    pub time: Option<u64>,
    /// Environment, as the policy says where from.
    pub environment: Known<Box<str>>,
    /// Who is asking.
    pub principal: Principal,
    /// Request headers that the policy names, lower case.
    pub headers: Vec<(Box<str>, Box<[u8]>)>,
    /// `content-type` of what could not be read.
    pub content_type: Option<Box<str>>,
    /// Names of all tools that the request offers; unknown where what the provider keeps or a server of tools
    /// offers others.
    pub offered: Known<Vec<Box<str>>>,
    /// The request as a whole.
    pub request: RequestFacts,
    /// The conversation so far.
    pub history: History,
}

impl Facts {
    /// Notes all tools that the request offers.
    pub fn offer<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        self.offered = Known::Is(names.map(Into::into).collect());
    }

    /// An exchange of which nothing is known.
    pub fn unknown() -> Facts {
        Facts {
            protocol: Known::Unknown,
            provider: Known::Unknown,
            server: Known::Unknown,
            qualifies: false,
            models: Models {
                unknown: true,
                ..Models::default()
            },
            host: Known::Unknown,
            cluster: Known::Unknown,
            paths: Known::Unknown,
            method: Known::Unknown,
            time: None,
            environment: Known::Unknown,
            principal: Principal::anonymous(),
            headers: Vec::new(),
            offered: Known::Unknown,
            content_type: None,
            request: RequestFacts::default(),
            history: History::default(),
        }
    }

    /// A tool's name with the server's before it, where the policy names the server.
    pub fn qualified(&self, tool: &str) -> Option<String> {
        match &self.server {
            Known::Is(server) if self.qualifies => Some(format!("{server}/{tool}")),
            _ => None,
        }
    }
}
