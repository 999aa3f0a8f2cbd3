//! Facts about an exchange as a whole, and about its caller.

use super::{History, Known, Models};
use crate::wire::sorted_map::SortedMap;

/// The caller's identity with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user or service account.
    pub id: Known<Box<str>>,
    /// The agent.
    pub agent: Known<Box<str>>,
    /// The client application.
    pub client: Known<Box<str>>,
    /// The tenant.
    pub tenant: Known<Box<str>>,
    /// The roles.
    pub roles: Known<Vec<Box<str>>>,
    /// All other claims, each a set of values.
    pub claims: SortedMap<Box<str>, Known<Vec<Box<str>>>>,
    /// The identity source.
    pub via: Option<Box<str>>,
}

impl Principal {
    /// Creates an anonymous principal. All its fields are unknown, which is resolved toward denial.
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

    /// Creates a principal that an identity source has found, without members.
    pub fn known_by(source: Option<&str>) -> Principal {
        Principal {
            id: Known::Missing,
            agent: Known::Missing,
            client: Known::Missing,
            tenant: Known::Missing,
            roles: Known::Missing,
            claims: SortedMap::new(),
            via: source.map(Into::into),
        }
    }

    /// Returns whether the caller is anonymous.
    pub fn is_anonymous(&self) -> bool {
        self.via.is_none()
    }

    /// Returns the values of `principal.NAME`.
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
            Some(Known::Is(values)) => Known::Is(values.iter().map(|value| &**value).collect()),
            Some(Known::Unknown) => Known::Unknown,
            Some(Known::Missing) | None if self.is_anonymous() => Known::Unknown,
            Some(Known::Missing) | None => Known::Missing,
        }
    }
}

/// `request.*`: properties of the whole request. Absent members are missing, not unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// Number of messages in the conversation.
    pub message_count: Option<u64>,
    /// Number of messages by author: system, user, assistant, tool.
    pub messages_by_author: Option<[u64; 4]>,
    /// Estimated tokens: bytes of the body divided by four, the usual rule of thumb.
    pub estimated_tokens: Option<u64>,
    /// Size of the body in bytes.
    pub bytes: Option<u64>,
    /// Whether the client requests a stream.
    pub stream: Option<bool>,
    /// Maximum length of the response in tokens, as requested.
    pub max_tokens: Option<u64>,
    /// Names of the defined tools.
    pub tools: Option<Vec<Box<str>>>,
    /// The region that the path or the host names.
    pub region: Known<Box<str>>,
}

impl RequestFacts {
    /// Returns the number of messages of an author.
    pub fn messages_by(&self, author: &str) -> Option<u64> {
        let at = ["system", "user", "assistant", "tool"]
            .iter()
            .position(|word| *word == author)?;
        self.messages_by_author?.get(at).copied()
    }
}

/// Facts that rules evaluate about the exchange of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The protocol.
    pub protocol: Known<Box<str>>,
    /// The provider of the model.
    pub provider: Known<Box<str>>,
    /// The MCP server, by route or host.
    pub server: Known<Box<str>>,
    /// Whether the policy names that server. The tool names are then qualified with it: `github/create_issue`.
    pub qualifies: bool,
    /// The models that the request may use.
    pub models: Models,
    /// `:authority` in lower case, without port.
    pub host: Known<Box<str>>,
    /// Envoy's name of the upstream cluster, if the policy needs it.
    pub cluster: Known<Box<str>>,
    /// The path without query: as it arrived, and normalised if that differs.
    pub paths: Known<Vec<Box<str>>>,
    /// The HTTP method.
    pub method: Known<Box<str>>,
    /// Client's address, if a limit is kept for each; for IPv6 its /64 network, which usually belongs to one client.
    pub address: Known<Box<str>>,
    /// Fingerprints of the session's names, each with its source, if a limit is kept for each session.
    pub sessions: Vec<(Box<str>, Box<str>)>,
    /// Start of the exchange in nanoseconds since 1970.
    pub time: Option<u64>,
    /// The environment, from the source that the policy names.
    pub environment: Known<Box<str>>,
    /// The caller.
    pub principal: Principal,
    /// Request headers that the policy names, with names in lower case, and query parameters as `?name`.
    pub headers: Vec<(Box<str>, Box<[u8]>)>,
    /// The `content-type` of a body that could not be inspected.
    pub content_type: Option<Box<str>>,
    /// Names of all tools that the request defines. Unknown if the provider's stored configuration or a tool server
    /// defines others.
    pub offered: Known<Vec<Box<str>>>,
    /// Properties of the whole request.
    pub request: RequestFacts,
    /// The conversation history.
    pub history: History,
    /// Roles that have approved the event, in a test case. In Envoy, tokens determine them.
    #[cfg(not(target_arch = "wasm32"))]
    pub approved_by: Vec<Box<str>>,
    /// Amounts that limits have counted before, by rule, in a test case. The filter counts itself.
    #[cfg(not(target_arch = "wasm32"))]
    pub used: SortedMap<Box<str>, crate::wire::json::Decimal>,
}

impl Facts {
    /// Records the tools that the request defines.
    pub fn offer<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        self.offered = Known::Is(names.map(Into::into).collect());
    }

    /// Creates facts of which all are unknown.
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
            address: Known::Unknown,
            sessions: Vec::new(),
            time: None,
            environment: Known::Unknown,
            principal: Principal::anonymous(),
            headers: Vec::new(),
            offered: Known::Unknown,
            content_type: None,
            request: RequestFacts::default(),
            history: History::default(),
            #[cfg(not(target_arch = "wasm32"))]
            approved_by: Vec::new(),
            #[cfg(not(target_arch = "wasm32"))]
            used: SortedMap::new(),
        }
    }

    /// Returns a tool's name qualified with the server's name, if the policy names the server.
    pub fn qualified(&self, tool: &str) -> Option<String> {
        match &self.server {
            Known::Is(server) if self.qualifies => Some(format!("{server}/{tool}")),
            _ => None,
        }
    }
}
