//! Keys `principals`, the sources that identify a caller, and `client_address`.
//!
//! ```yaml
//! principals:                        # in this order: the first source that finds its credential decides
//!   - name: key
//!     api_key:
//!       header: x-agent-key
//!       keys: [{ sha256: 64 hex digits, client: acme, roles: [agent], not_after: 2027-01-01T00:00:00Z }]
//!   - name: user
//!     jwt: { payload: jwt, id: sub, client: azp, tenant: org.id, roles: realm_access.roles }
//!   - name: mesh
//!     mtls: { uri_san: "spiffe://*/ns/{tenant}/sa/{agent}" }
//!   - name: edge
//!     header: { id: x-user, roles: x-roles, trusted: [10.0.0.0/8] }
//! ```
//!
//! The policy contains no secret: a key is its SHA-256 hash, or in an environment variable of the proxy.

mod api_key;
mod certificate_pattern;
mod member;

use super::decode::{Decoder, PolicyPath};
use super::grammar::{
    AddressKey, ClaimKey, HeaderKey, JwtKey, MAX_HOPS, MAX_SOURCES, MtlsKey, SourceKey,
};
use super::node::{Member, Node, NodeValue};
use super::operators::Networks;
use crate::diag::codes;
pub(crate) use api_key::{ApiKey, ApiKeySource, KeyHash, KeySecret, digest};
pub(crate) use certificate_pattern::{CertificatePattern, NameSyntax};
use member::{claims, header_name, require_identity_member};

/// Source that may identify the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentitySource {
    /// Name of the source in audit events and metrics.
    pub name: Box<str>,
    /// Credential that the source reads.
    pub kind: SourceKind,
    /// Numbers of other sources whose members it adds to its own.
    pub(crate) combine: Vec<usize>,
}

/// Credential that a source reads.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// API keys in the policy.
    ApiKey(ApiKeySource),
    /// Claims of a token that Envoy's `jwt_authn` has verified.
    Jwt(JwtSource),
    /// Client certificate that Envoy has verified.
    Mtls(MtlsSource),
    /// Headers that a trusted proxy sets.
    Header(HeaderSource),
}

/// Source `jwt`.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtSource {
    /// `payload_in_metadata` of the provider in `jwt_authn`.
    pub(crate) payload: Box<str>,
    /// `failed_status_in_metadata` of the provider.
    pub(crate) failed: Option<Box<str>>,
    /// Accepted issuers of the token; empty: every issuer that `jwt_authn` accepts.
    pub(crate) issuers: Vec<Box<str>>,
    /// Members of the principal with their claims.
    pub(crate) members: Vec<(Box<str>, Claim)>,
}

/// Claim of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Names from the top of the payload.
    pub(crate) path: Vec<Box<str>>,
    /// Type of its value. Envoy does not report the type of a claim.
    pub(crate) kind: ClaimType,
}

/// Type of a claim, or of the elements of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimType {
    /// One text.
    Text,
    /// Words between spaces, as in `scope`.
    Words,
    /// Number.
    Number,
    /// Boolean.
    Boolean,
}

/// Source `mtls`. All patterns that are given must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MtlsSource {
    /// Patterns of the first URI SAN.
    pub(crate) uri_san: Vec<CertificatePattern>,
    /// Patterns of the first DNS SAN.
    pub(crate) dns_san: Vec<CertificatePattern>,
    /// Patterns of the subject.
    pub(crate) subject: Vec<CertificatePattern>,
}

/// Source `header`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderSource {
    /// Members of the principal with their headers, in lower case.
    pub(crate) members: Vec<(Box<str>, Box<str>)>,
    /// Addresses of trusted peers.
    pub(crate) networks: Networks,
    /// SPIFFE ids of trusted peers.
    pub(crate) peers: Vec<CertificatePattern>,
}

/// Key `client_address`: source of the client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAddress {
    /// Peer of the connection.
    #[default]
    Direct,
    /// Address in `x-forwarded-for` that was written by the outermost of this number of trusted proxies.
    XffHops(u8),
}

#[cfg(not(target_arch = "wasm32"))]
impl IdentitySource {
    /// Returns the members of a principal that this source can give.
    pub(crate) fn members(&self) -> Vec<&str> {
        match &self.kind {
            SourceKind::ApiKey(source) => {
                let each = source.keys.iter().flat_map(|key| key.members());
                each.collect()
            }
            SourceKind::Jwt(source) => source.members.iter().map(|(name, _)| &**name).collect(),
            SourceKind::Mtls(source) => {
                let patterns = [&source.uri_san, &source.dns_san, &source.subject];
                let captured = patterns.into_iter().flatten();
                let captured = captured.flat_map(CertificatePattern::members);
                std::iter::once("id").chain(captured).collect()
            }
            SourceKind::Header(source) => source.members.iter().map(|(name, _)| &**name).collect(),
        }
    }
}

#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
impl IdentitySource {
    /// Returns the principals of a source that names all of them: those of its API keys.
    pub(crate) fn named_principals(
        &self,
    ) -> Option<impl Iterator<Item = &crate::event::Principal>> {
        match &self.kind {
            SourceKind::ApiKey(source) => Some(source.keys.iter().map(|key| &key.principal)),
            _ => None,
        }
    }
}

/// Returns the environment variables that contain keys.
pub(crate) fn key_variables(sources: &[IdentitySource]) -> impl Iterator<Item = &str> {
    sources.iter().flat_map(|source| {
        let keys = match &source.kind {
            SourceKind::ApiKey(source) => source.keys.as_slice(),
            _ => &[],
        };
        keys.iter().filter_map(|key| match &key.secret {
            KeySecret::Variable(name) => Some(&**name),
            KeySecret::Hash(_) => None,
        })
    })
}

/// Reads the key `principals`.
pub(crate) fn read_all(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Vec<IdentitySource> {
    let NodeValue::List(items) = &node.data else {
        decoder.wrong_type(at, node, "a list of sources");
        return Vec::new();
    };
    if items.is_empty() || items.len() > MAX_SOURCES {
        let message = format!("a list of 1 to {MAX_SOURCES} sources is expected here");
        decoder.error(codes::AG1005, at, &node.span, &message, "");
        return Vec::new();
    }
    let mut sources: Vec<IdentitySource> = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let at = at.index(number);
        let Some(source) = read_source(decoder, &at, item) else {
            continue;
        };
        if sources.iter().any(|other| other.name == source.name) {
            let message = format!("source `{}` is defined twice", source.name);
            let help = "audit events name a source by its name";
            decoder.error(codes::AG1008, &at, &item.span, &message, help);
        }
        sources.push(source);
    }
    if sources.len() == items.len() {
        resolve_combined(decoder, at, items, &mut sources);
    }
    sources
}

/// Replaces the names in `combine` by the numbers of their sources.
fn resolve_combined(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    items: &[Node],
    sources: &mut [IdentitySource],
) {
    let names: Vec<Box<str>> = sources.iter().map(|source| source.name.clone()).collect();
    let known: Vec<&str> = names.iter().map(|name| &**name).collect();
    for (number, (item, source)) in items.iter().zip(sources).enumerate() {
        let Some(node) = item.get("combine") else {
            continue;
        };
        let at = at.index(number);
        let at = at.key("combine");
        for name in decoder.names(&at, node).unwrap_or_default() {
            match known.iter().position(|known| **known == *name) {
                Some(other) if other == number => {
                    let message = format!("source `{name}` is this one");
                    decoder.error(codes::AG1012, &at, &node.span, &message, "name another");
                }
                Some(other) => source.combine.push(other),
                None => decoder.unknown(codes::AG1012, &at, &node.span, "source", &name, &known),
            }
        }
    }
}

fn read_source(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<IdentitySource> {
    let mut name = None;
    let mut kinds: Vec<(&Member, Option<SourceKind>)> = Vec::new();
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let value = &member.value;
        let kind = match key {
            SourceKey::Name => {
                name = source_name(decoder, &at, value);
                continue;
            }
            SourceKey::ApiKey => api_key::read(decoder, &at, value).map(SourceKind::ApiKey),
            SourceKey::Jwt => read_jwt(decoder, &at, value).map(SourceKind::Jwt),
            SourceKey::Mtls => read_mtls(decoder, &at, value).map(SourceKind::Mtls),
            SourceKey::Header => read_header(decoder, &at, value).map(SourceKind::Header),
            // Its names may refer to later sources, so that it is read afterwards.
            SourceKey::Combine => continue,
        };
        kinds.push((member, kind));
    }
    decoder.has_required::<SourceKey>(at, node, &node.span);
    if kinds.len() != 1 {
        let help = "write one of `api_key`, `jwt`, `mtls` and `header`";
        let message = "a source reads exactly one kind of credential";
        decoder.error(codes::AG1006, at, &node.span, message, help);
        return None;
    }
    let kind = kinds.into_iter().next()?.1?;
    Some(IdentitySource {
        name: name?,
        kind,
        combine: Vec::new(),
    })
}

/// Reads a name that can be the value of a metric's label.
fn source_name(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Box<str>> {
    const MAX_NAME: usize = 64;
    let name = decoder.text(at, node)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_plain) {
        return Some(name);
    }
    let help = "letters, digits, `.`, `_` and `-`, at most 64";
    let message = format!("`{name}` is no name of a source");
    decoder.error(codes::AG1007, at, &node.span, &message, help);
    None
}

fn read_jwt(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<JwtSource> {
    let mut payload = None;
    let mut failed = None;
    let mut issuers = Vec::new();
    let mut members = Vec::new();
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            JwtKey::Payload => payload = decoder.text(&at, value),
            JwtKey::Failed => failed = decoder.text(&at, value),
            JwtKey::Issuer => issuers = decoder.names(&at, value)?,
            JwtKey::Claims => claims(decoder, &at, value, &mut members, |decoder, at, node| {
                claim(decoder, at, node, ClaimType::Text)
            }),
            JwtKey::Id
            | JwtKey::Agent
            | JwtKey::Client
            | JwtKey::Tenant
            | JwtKey::Roles
            | JwtKey::Ticket
            | JwtKey::Environment => {
                let usual = match key {
                    JwtKey::Roles => ClaimType::Words,
                    _ => ClaimType::Text,
                };
                if let Some(claim) = claim(decoder, &at, value, usual) {
                    members.push((member.key.clone(), claim));
                }
            }
        }
    }
    decoder.has_required::<JwtKey>(at, node, &node.span);
    require_identity_member(decoder, at, node);
    Some(JwtSource {
        payload: payload?,
        failed,
        issuers,
        members,
    })
}

/// Reads a claim: `org.id` (dots separate levels), `["https://acme.com/org", id]`, or either as
/// `{ claim: …, type: number }`.
fn claim(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    usual: ClaimType,
) -> Option<Claim> {
    let mut kind = usual;
    let mut path = None;
    match &node.data {
        NodeValue::Map(_) => {
            for (key, member) in decoder.keys(at, node)? {
                let at = at.key(&member.key);
                match key {
                    ClaimKey::Claim => path = claim_path(decoder, &at, &member.value),
                    ClaimKey::Type => {
                        let words = [
                            ("text", ClaimType::Text),
                            ("words", ClaimType::Words),
                            ("number", ClaimType::Number),
                            ("boolean", ClaimType::Boolean),
                        ];
                        kind = decoder.word(&at, &member.value, &words)?;
                    }
                }
            }
            decoder.has_required::<ClaimKey>(at, node, &node.span);
        }
        _ => path = claim_path(decoder, at, node),
    }
    Some(Claim { path: path?, kind })
}

fn claim_path(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Vec<Box<str>>> {
    const MAX_DEPTH: usize = 8;
    let path: Vec<Box<str>> = match &node.data {
        NodeValue::String(text) => text.split('.').map(Box::from).collect(),
        _ => decoder.texts(at, node)?,
    };
    if path.is_empty() || path.len() > MAX_DEPTH || path.iter().any(|name| name.is_empty()) {
        let message = "this is no path of a claim";
        let help = "write `org.id`, or `[\"https://acme.com/org\", id]` for names with dots";
        decoder.error(codes::AG1007, at, &node.span, message, help);
        return None;
    }
    Some(path)
}

fn read_mtls(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<MtlsSource> {
    let mut source = MtlsSource::default();
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let (syntax, patterns) = match key {
            MtlsKey::UriSan => (NameSyntax::Uri, &mut source.uri_san),
            MtlsKey::DnsSan => (NameSyntax::Dns, &mut source.dns_san),
            MtlsKey::Subject => (NameSyntax::Subject, &mut source.subject),
        };
        for text in decoder.names(&at, &member.value)? {
            patterns.push(pattern(decoder, &at, &member.value, &text, syntax)?);
        }
    }
    if node.members().is_empty() {
        let help = "for example `uri_san: \"spiffe://*/ns/{tenant}/sa/{agent}\"`";
        decoder.error(
            codes::AG1006,
            at,
            &node.span,
            "a pattern is missing here",
            help,
        );
        return None;
    }
    Some(source)
}

fn pattern(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    text: &str,
    syntax: NameSyntax,
) -> Option<CertificatePattern> {
    match CertificatePattern::parse(text, syntax) {
        Ok(pattern) => Some(pattern),
        Err(what) => {
            let help = "`*` and `{name}` each stand for a part between separators, `**` for all parts at the end";
            decoder.error(codes::AG1013, at, &node.span, &what, help);
            None
        }
    }
}

fn read_header(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<HeaderSource> {
    let mut members: Vec<(Box<str>, Box<str>)> = Vec::new();
    let mut networks = None;
    let mut peers = Vec::new();
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            HeaderKey::Trusted => {
                let (uris, addresses): (Vec<Box<str>>, Vec<Box<str>>) = decoder
                    .names(&at, value)?
                    .into_iter()
                    .partition(|text| text.contains("://"));
                for uri in uris {
                    peers.push(pattern(decoder, &at, value, &uri, NameSyntax::Uri)?);
                }
                match Networks::parse(&addresses) {
                    Ok(parsed) => networks = Some(parsed),
                    Err(error) => {
                        decoder.error(codes::AG1011, &at, &value.span, &error.message, &error.help);
                    }
                }
            }
            HeaderKey::Claims => claims(decoder, &at, value, &mut members, header_name),
            HeaderKey::Id
            | HeaderKey::Agent
            | HeaderKey::Client
            | HeaderKey::Tenant
            | HeaderKey::Roles
            | HeaderKey::Ticket
            | HeaderKey::Environment => {
                if let Some(name) = header_name(decoder, &at, value) {
                    members.push((member.key.clone(), name));
                }
            }
        }
    }
    decoder.has_required::<HeaderKey>(at, node, &node.span);
    require_identity_member(decoder, at, node);
    Some(HeaderSource {
        members,
        networks: networks?,
        peers,
    })
}

/// Reads the key `client_address`.
pub(crate) fn read_address(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<ClientAddress> {
    let NodeValue::Map(_) = &node.data else {
        return decoder.word(at, node, &[("direct", ClientAddress::Direct)]);
    };
    decoder.has_required::<AddressKey>(at, node, &node.span);
    let (AddressKey::XffHops, member) = decoder.keys(at, node)?.next()?;
    let at = at.key("xff_hops");
    let hops = decoder.count(&at, &member.value)?;
    match u8::try_from(hops) {
        Ok(count) if (1..=MAX_HOPS).contains(&hops) => Some(ClientAddress::XffHops(count)),
        _ => {
            let message = format!("a number from 1 to {MAX_HOPS} is expected here");
            let help = "the number of trusted proxies in front of this one";
            decoder.error(codes::AG1007, &at, &member.value.span, &message, help);
            None
        }
    }
}
