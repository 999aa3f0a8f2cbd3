//! OAuth 2 beside a server of MCP: the endpoints at which a client registers, is authorized and gets its tokens.
//! Servers of MCP are often their own authorization server, at `/register`, `/authorize`, `/token` and `/revoke` of
//! their origin.
//!
//! Source: the specification of MCP ("Authorization"), RFC 6749, 7009, 7591, 7592, 7662, 8628, 9126, and the paths of
//! the official SDKs, Keycloak, Okta, Auth0 and Entra ID.
//!
//! Values that grant access (codes, tokens, secrets, passwords) are known by their names and are no text of any event,
//! so that no rule, audit event or metric contains them. A value under such a name that cannot be a token is a text.
//!
//! Providers of models are excluded, and so are the token services of the clouds that serve models: their tokens would
//! let traffic bypass the proxy.

use super::coverage::{ASKED, CoverageRow, TEXT_RESPONSE, TEXTS, shown};
use super::json_edit::ObjectWriter;
use super::reader::{Origin, Reader, Row, Type};
use super::routes::{self, RouteSpec, get};
use super::{
    BodyForm, Denial, DenialReply, Dialect, Endpoint, Format, Inspected, Protocol, RequestContext,
    RouteHead, provider_of,
};
use crate::diag::codes;
use crate::event::{Author, DefaultGate, Direction, Event, Kind, Part, Turn};
use crate::wire::json::{self, Value};

/// Protocol.
pub(super) struct OAuth;

const AUTHORIZE: &str = "oauth.authorize";
const TOKEN: &str = "oauth.token";
const REGISTER: &str = "oauth.register";
const REVOKE: &str = "oauth.revoke";
const INTROSPECT: &str = "oauth.introspect";
const DEVICE: &str = "oauth.device";
const PUSHED: &str = "oauth.par";
const USER: &str = "oauth.userinfo";
const KEYS: &str = "oauth.keys";

const fn form(path: &'static str, name: &'static str) -> RouteSpec {
    routes::json(path, name).body(BodyForm::Fields)
}

/// Routes; the more specific path comes before the more general one.
const ROUTES: &[RouteSpec] = &[
    form("device/authorize", DEVICE),
    form("device_authorization", DEVICE),
    form("devicecode", DEVICE),
    form("device/code", DEVICE),
    form("auth/device", DEVICE),
    form("par/request", PUSHED),
    form("par", PUSHED),
    form("authorize", AUTHORIZE),
    get("GET", "authorize", AUTHORIZE),
    get("GET", "openid-connect/auth", AUTHORIZE),
    form("token/introspect", INTROSPECT),
    form("introspect", INTROSPECT),
    form("token", TOKEN),
    form("oauth/access_token", TOKEN),
    form("revoke", REVOKE),
    form("register", REGISTER),
    form("clients-registrations/openid-connect", REGISTER),
    RouteSpec {
        methods: "PUT",
        ..form("register/*", REGISTER)
    },
    get("GET DELETE", "register/*", REGISTER),
    get("GET", "userinfo", USER),
    get("GET", "jwks", KEYS),
    get("GET", "jwks.json", KEYS),
    get("GET", "openid-connect/certs", KEYS),
    get("GET", "oauth2/v1/keys", KEYS),
    get("GET", "discovery/v2.0/keys", KEYS),
];

/// Members that identify a body of OAuth: other services have paths such as `/token`, too.
const IDENTIFYING: &[(&str, &[&str])] = &[
    (TOKEN, &["grant_type"]),
    (
        REGISTER,
        &[
            "redirect_uris",
            "grant_types",
            "client_name",
            "token_endpoint_auth_method",
        ],
    ),
    (REVOKE, &["token"]),
    (INTROSPECT, &["token"]),
    (DEVICE, &["client_id"]),
    (PUSHED, &["client_id", "request"]),
    (AUTHORIZE, &["client_id", "request_uri"]),
];

/// Clouds whose tokens grant access to the models that they serve.
const CLOUDS: &[&str] = &[".googleapis.com", ".amazonaws.com", ".amazonaws.com.cn"];

static FORMAT: Format = Format {
    name: "oauth",
    dialect: Dialect::OpenAi,
    routes: ROUTES,
    coverage: &[
        CoverageRow {
            route: shown(
                "`POST …/token`, `…/register`, `…/revoke`, `…/introspect`, `…/par`, `…/device_authorization`, `…/authorize`, if the body is OAuth's; tokens, codes and secrets are no texts",
            ),
            request: TEXTS,
            response: TEXT_RESPONSE,
            stream: Inspected::UNREAD_STREAM,
        },
        CoverageRow {
            route: shown("`GET …/authorize?client_id=…`, `…/userinfo`, `…/jwks`, `…/register/ID`"),
            request: ASKED,
            response: TEXT_RESPONSE,
            stream: Inspected::UNREAD_STREAM,
        },
    ],
};

/// Members of all bodies: a name has the same meaning everywhere.
const FIELDS: &[Row] = &[
    // Of requests (RFC 6749, 7009, 7523, 7636, 8628, 8693, 8707, OpenID Connect).
    ("grant_type", Type::PeerId),
    ("response_type", Type::PeerId),
    ("response_mode", Type::PeerId),
    ("client_id", Type::PeerId),
    ("client_secret", Type::Secret),
    ("client_assertion", Type::Secret),
    ("client_assertion_type", Type::PeerId),
    ("assertion", Type::Secret),
    ("code", Type::Secret),
    ("code_verifier", Type::Secret),
    ("code_challenge", Type::PeerId),
    ("code_challenge_method", Type::PeerId),
    ("redirect_uri", Type::PeerId),
    ("scope", Type::PeerId),
    ("state", Type::Secret),
    ("nonce", Type::Secret),
    ("prompt", Type::PeerId),
    ("login_hint", Type::PeerId),
    ("request", Type::Secret),
    ("request_uri", Type::Secret),
    ("audience", Type::PeerId),
    ("username", Type::PeerId),
    ("password", Type::Secret),
    ("token", Type::Secret),
    ("token_type_hint", Type::PeerId),
    ("subject_token", Type::Secret),
    ("subject_token_type", Type::PeerId),
    ("actor_token", Type::Secret),
    ("actor_token_type", Type::PeerId),
    ("requested_token_type", Type::PeerId),
    ("resource", Type::Custom),
    // Of responses.
    ("access_token", Type::Secret),
    ("refresh_token", Type::Secret),
    ("id_token", Type::Secret),
    ("token_type", Type::PeerId),
    ("issued_token_type", Type::PeerId),
    ("expires_in", Type::Number),
    ("device_code", Type::Secret),
    ("user_code", Type::Secret),
    ("verification_uri", Type::Url),
    ("verification_uri_complete", Type::Secret),
    ("interval", Type::Number),
    ("active", Type::Flag),
    ("exp", Type::Number),
    ("iat", Type::Number),
    ("nbf", Type::Number),
    ("error", Type::Text(Part::Other)),
    ("error_description", Type::Text(Part::Other)),
    ("error_uri", Type::Url),
    // Of registrations (RFC 7591, 7592).
    ("redirect_uris", Type::List(&Type::Url)),
    ("grant_types", Type::List(&Type::PeerId)),
    ("response_types", Type::List(&Type::PeerId)),
    ("token_endpoint_auth_method", Type::PeerId),
    ("application_type", Type::PeerId),
    ("client_name", Type::Text(Part::Other)),
    ("client_uri", Type::Url),
    ("logo_uri", Type::Url),
    ("tos_uri", Type::Url),
    ("policy_uri", Type::Url),
    ("jwks_uri", Type::Url),
    ("contacts", Type::List(&Type::PeerId)),
    ("software_id", Type::PeerId),
    ("software_version", Type::PeerId),
    ("software_statement", Type::Secret),
    ("client_id_issued_at", Type::Number),
    ("client_secret_expires_at", Type::Number),
    ("registration_access_token", Type::Secret),
    ("registration_client_uri", Type::Url),
];

impl Protocol for OAuth {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let host = head
            .host
            .rsplit_once(':')
            .map_or(head.host, |(host, _)| host);
        let is_model_s = provider_of(head.host) != "other"
            || CLOUDS
                .iter()
                .any(|cloud| host.trim_end_matches('.').ends_with(cloud));
        // A message of MCP may be sent to any path.
        let is_mcp_s = head.method == "POST"
            && (head.header("mcp-method").is_some() || head.header("mcp-session-id").is_some());
        if is_model_s || is_mcp_s {
            return None;
        }
        let endpoint = routes::endpoint(head, ROUTES)?;
        let asks_nothing = endpoint.name == AUTHORIZE && !names_client(head);
        if asks_nothing && endpoint.body == BodyForm::Absent {
            return None;
        }
        Some(Endpoint {
            gate: DefaultGate::Origin,
            ..endpoint
        })
    }

    fn serves_tools(&self) -> bool {
        true
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        let known = IDENTIFYING.iter().find(|(name, _)| *name == endpoint.name);
        let is_known =
            known.is_none_or(|(_, members)| members.iter().any(|name| root.get(name).is_some()));
        if !is_known {
            reader.problem(codes::AG2007, root, "the body is no request of OAuth");
        }
        reader.reading.params = Some(root.place());
        let mut event = Event::new(Kind::Request, Direction::Request, root.place());
        event.gate = endpoint.gate;
        reader.reading.add(event);
        read(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        read(reader, root);
    }

    /// Returns `error` and `error_description`, which clients of OAuth read (RFC 6749 §5.2).
    fn denial_reply(&self, denial: &Denial, _: &RequestContext) -> DenialReply {
        DenialReply {
            body: denied_text(denial),
            ..Dialect::OpenAi.reply(denial)
        }
    }

    fn denied_response(&self, denial: &Denial, _: &RequestContext) -> Vec<u8> {
        denied_text(denial)
    }
}

/// Returns whether the query requests an authorization.
fn names_client(head: &RouteHead<'_>) -> bool {
    head.path.query.split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        matches!(name, "client_id" | "request_uri")
    })
}

fn read(reader: &mut Reader<'_>, root: Value<'_>) {
    let origin = Origin::new(reader.author(Author::System), Part::Text, Turn::Latest);
    reader.rows(root, FIELDS, &origin, &mut |reader, _, value| {
        // RFC 8707: may be present more than once.
        let of = match value.kind() {
            json::ValueKind::Array => Type::List(&Type::PeerId),
            _ => Type::PeerId,
        };
        reader.value(value, of, &origin);
    });
    // Claims about the user and metadata of a client or a server: text that may be edited in a response.
    for (_, value) in root.members() {
        if reader.direction() == Direction::Response && !reader.is_claimed_value(value) {
            let texts = reader.tree(value);
            reader.emit_text(value, texts, &origin);
        }
    }
}

fn denied_text(denial: &Denial) -> Vec<u8> {
    let mut out = Vec::new();
    let mut outer = ObjectWriter::begin(&mut out);
    let error = match denial.status {
        401 => "invalid_client",
        500.. => "temporarily_unavailable",
        400 if denial.code.starts_with("AG3") => "access_denied",
        _ => "invalid_request",
    };
    outer.text("error", error);
    outer.text("error_description", &denial.message());
    outer.member("agentguard", |out| denial.details(out));
    outer.end();
    out
}
