//! Identity of the caller: the sources of a policy resolve the credentials of a request to a [`Principal`].
//!
//! Every source searches for its credential in the headers or in what the proxy has verified. An invalid credential makes the
//! request fail, whatever the other sources find; only a token of another issuer may be valid for another source. Of several
//! valid credentials, the first source decides. Nothing is believed because a client sends it: keys are compared with hashes,
//! Envoy has verified tokens and certificates, and headers count only from a trusted peer.

mod address;
mod api_key;
mod certificate;
mod claims;
mod trusted_header;

pub use address::client_address;
use address::peer_address;
use api_key::Digests;
#[cfg(not(target_arch = "wasm32"))]
pub use api_key::key_in_file;
pub use api_key::{KeyError, KeyTable};

use crate::event::{Known, Principal};
use crate::policy::{IdentitySource, SourceKind};
use crate::proxy::Properties;
use crate::wire::utf8;

/// Start of a request, as far as identity depends on it.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// All headers, names in lower case.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// Envoy's properties of the connection and the request.
    pub properties: &'a dyn Properties,
    /// Nanoseconds since 1970.
    pub now: u64,
}

impl<'a> Credentials<'a> {
    /// Returns the values of a header, by its exact name.
    fn values(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let headers = self.headers.iter();
        headers
            .filter(move |(known, _)| *known == name.as_bytes())
            .map(|(_, value)| *value)
    }

    /// Returns a property as text, if it has no control characters.
    fn text(&self, path: &[&str]) -> Option<String> {
        text(self.properties.get(path)?)
    }
}

/// Reason why a credential is invalid. It is in the audit event and the metrics; the client does not receive it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No source has this key.
    Unknown,
    /// The credential has expired.
    Expired,
    /// The credential is not valid yet.
    NotYetValid,
    /// The credential was revoked.
    Revoked,
    /// The credential is in the request more than once.
    Duplicate,
    /// The credential can't be parsed.
    Malformed,
    /// The credential is in the URL, which every server on the way logs.
    InUrl,
    /// Another issuer issued the token.
    WrongIssuer,
    /// Envoy could not verify the token.
    Unverified,
    /// The credentials belong to different callers.
    Contradictory,
}

impl Reason {
    /// Returns the reason's name in audit events and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Unknown => "unknown",
            Reason::Expired => "expired",
            Reason::NotYetValid => "not_yet_valid",
            Reason::Revoked => "revoked",
            Reason::Duplicate => "duplicate",
            Reason::Malformed => "malformed",
            Reason::InUrl => "in_url",
            Reason::WrongIssuer => "wrong_issuer",
            Reason::Unverified => "unverified",
            Reason::Contradictory => "contradictory",
        }
    }
}

/// Invalid credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Name of the source that recognised it; several names are joined by `+`.
    pub source: Box<str>,
    /// Reason why it is invalid.
    pub reason: Reason,
    /// Client to whom the credential belongs, if known.
    pub client: Option<Box<str>>,
}

/// Result of resolving the credentials of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Caller; anonymous if there is no credential or an invalid one.
    pub principal: Principal,
    /// Invalid credential.
    pub failure: Option<Failure>,
    /// Names of the headers that contain a key of the policy, which must not reach the upstream.
    pub keys: Vec<String>,
    /// Headers of a source that this peer may not set.
    pub untrusted: Vec<String>,
    /// Path without the keys in its query, if it had any.
    pub path: Option<String>,
}

/// Result of one source.
enum Finding {
    /// The credential is absent.
    Absent,
    /// A valid credential.
    Found(Principal),
    /// An invalid credential.
    Invalid(Reason, Option<Box<str>>),
}

/// Resolves the credentials of a request.
pub fn identify(
    sources: &[IdentitySource],
    keys: &KeyTable,
    credentials: &Credentials<'_>,
) -> Identified {
    let mut identified = Identified {
        principal: Principal::anonymous(),
        failure: None,
        keys: Vec::new(),
        untrusted: Vec::new(),
        path: None,
    };
    let mut found: Vec<Option<Principal>> = Vec::with_capacity(sources.len());
    let mut trusted = Vec::new();
    let digests = Digests::default();
    let mut elsewhere = None;
    for (number, source) in sources.iter().enumerate() {
        let finding = match &source.kind {
            SourceKind::ApiKey(api_key) => {
                api_key::find(number, api_key, sources, keys, credentials, &digests)
            }
            SourceKind::Jwt(jwt) => claims::find(jwt, credentials),
            SourceKind::Mtls(mtls) => certificate::find(mtls, credentials),
            SourceKind::Header(header) => {
                let untrusted = &mut identified.untrusted;
                trusted_header::find(header, credentials, &mut trusted, untrusted)
            }
        };
        found.push(match finding {
            Finding::Absent => None,
            Finding::Found(principal) => Some(Principal {
                via: Some(source.name.clone()),
                ..principal
            }),
            Finding::Invalid(reason, client) => {
                let failure = Failure {
                    source: source.name.clone(),
                    reason,
                    client,
                };
                match reason {
                    Reason::WrongIssuer => elsewhere.get_or_insert(failure),
                    _ => identified.failure.get_or_insert(failure),
                };
                None
            }
        });
    }
    // To the sources of other issuers, a valid token has the wrong issuer.
    let mut kinds = sources.iter().zip(&found);
    let has_token =
        kinds.any(|(source, found)| matches!(source.kind, SourceKind::Jwt(_)) && found.is_some());
    if !has_token && identified.failure.is_none() {
        identified.failure = elsewhere;
    }
    // A header of two sources is forwarded if one of them trusts the peer.
    identified.untrusted.retain(|name| !trusted.contains(name));
    if let Some(leak) = api_key::leaks(sources, keys, credentials.headers, &digests) {
        identified.keys = leak.headers;
        identified.path = leak.path;
        if let (None, Some(source)) = (&identified.failure, leak.in_url) {
            identified.failure = Some(Failure {
                source,
                reason: Reason::InUrl,
                client: None,
            });
        }
    }
    if identified.failure.is_none() {
        match agreed(sources, found) {
            Ok(principal) => identified.principal = principal,
            Err(failure) => identified.failure = Some(failure),
        }
    }
    identified
}

/// Returns the names of the request's trailers that must not be forwarded: headers of trusted proxies, which set no trailers,
/// and keys of the policy. If identity doesn't apply to the request (`applies`), only the keys. Trailers identify no caller
/// here, but a server may read them as headers.
pub fn forbidden_trailers(
    sources: &[IdentitySource],
    keys: &KeyTable,
    trailers: &[(&[u8], &[u8])],
    applies: bool,
) -> Vec<String> {
    let members = sources.iter().flat_map(|source| match &source.kind {
        SourceKind::Header(header) if applies => header.members.as_slice(),
        _ => &[],
    });
    let is_member = |name: &[u8]| {
        let mut members = members.clone();
        members.any(|(_, header)| is_alike(name, header))
    };
    let named = trailers.iter().filter(|(name, _)| is_member(name));
    let mut forbidden: Vec<String> = named
        .map(|(name, _)| utf8::lossy(name).into_owned())
        .collect();
    if let Some(leak) = api_key::leaks(sources, keys, trailers, &Digests::default()) {
        forbidden.extend(leak.headers);
    }
    forbidden
}

/// Returns the principal of several sources: that of the first, with the members of the sources that it combines.
fn agreed(
    sources: &[IdentitySource],
    mut found: Vec<Option<Principal>>,
) -> Result<Principal, Failure> {
    // Credentials of two clients contradict each other, combined or not.
    let mut clients = found.iter().flatten();
    let named = |principal: &&Principal| principal.client.value().is_some();
    if let Some(first) = clients.find(named)
        && let Some(other) = clients.find(|other| named(other) && other.client != first.client)
    {
        return Err(contradiction(first, other));
    }
    let Some(number) = found.iter().position(Option::is_some) else {
        return Ok(Principal::anonymous());
    };
    let Some(mut principal) = found.get_mut(number).and_then(Option::take) else {
        return Ok(Principal::anonymous());
    };
    let combined = sources.get(number).map(|source| source.combine.as_slice());
    for other in combined.unwrap_or_default() {
        let Some(other) = found.get_mut(*other).and_then(Option::take) else {
            continue;
        };
        if let (Known::Is(tenant), Known::Is(second)) = (&principal.tenant, &other.tenant)
            && tenant != second
        {
            return Err(contradiction(&principal, &other));
        }
        add(&mut principal, other);
    }
    Ok(principal)
}

fn contradiction(first: &Principal, other: &Principal) -> Failure {
    Failure {
        source: joined(&first.via, &other.via).unwrap_or_default(),
        reason: Reason::Contradictory,
        client: None,
    }
}

fn joined(first: &Option<Box<str>>, other: &Option<Box<str>>) -> Option<Box<str>> {
    match (first, other) {
        (Some(first), Some(other)) => Some(format!("{first}+{other}").into()),
        (Some(one), None) | (None, Some(one)) => Some(one.clone()),
        (None, None) => None,
    }
}

/// Adds the members of another principal that the first one lacks. Roles are united.
fn add(principal: &mut Principal, other: Principal) {
    let fill = |own: &mut Known<Box<str>>, other: Known<Box<str>>| {
        if *own == Known::Missing {
            *own = other;
        }
    };
    fill(&mut principal.id, other.id);
    fill(&mut principal.agent, other.agent);
    fill(&mut principal.client, other.client);
    fill(&mut principal.tenant, other.tenant);
    match (&mut principal.roles, other.roles) {
        (Known::Is(roles), Known::Is(others)) => {
            for role in others {
                if !roles.contains(&role) {
                    roles.push(role);
                }
            }
        }
        (own @ Known::Missing, roles) => *own = roles,
        // An unknown role could be one that a rule denies.
        (own, Known::Unknown) => *own = Known::Unknown,
        _ => {}
    }
    for (name, values) in other.claims {
        principal.claims.entry(name).or_insert(values);
    }
    principal.via = joined(&principal.via, &other.via);
}

/// Sets a member of a principal. An empty value leaves it missing.
fn set(principal: &mut Principal, member: &str, values: Known<Vec<Box<str>>>) {
    let first = |values: Known<Vec<Box<str>>>| match values {
        Known::Is(values) => {
            let mut values = values.into_iter();
            match (values.next(), values.next()) {
                (Some(only), None) => Known::Is(only),
                (None, _) => Known::Missing,
                // Which of several values applies is unknown.
                _ => Known::Unknown,
            }
        }
        Known::Missing => Known::Missing,
        Known::Unknown => Known::Unknown,
    };
    let values = match values {
        Known::Is(mut values) => {
            values.retain(|value| !value.is_empty());
            Known::Is(values)
        }
        other => other,
    };
    match member {
        "id" => principal.id = first(values),
        "agent" => principal.agent = first(values),
        "client" => principal.client = first(values),
        "tenant" => principal.tenant = first(values),
        "roles" | "role" => principal.roles = values,
        member => match values {
            Known::Missing => {}
            Known::Is(values) if values.is_empty() => {}
            values => drop(principal.claims.insert(member.into(), values)),
        },
    }
}

/// Returns bytes as text if they are UTF-8 without control characters. Envoy's encodings of numbers and structures contain
/// control characters.
fn text(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

/// Returns whether two header names are the same to a server that reads `_` as `-`, as CGI and WSGI do.
pub fn is_alike(name: &[u8], other: &str) -> bool {
    let folded = |byte: u8| if byte == b'_' { b'-' } else { byte };
    name.len() == other.len()
        && name
            .iter()
            .zip(other.bytes())
            .all(|(a, b)| folded(*a) == folded(b))
}

/// Returns the value of `www-authenticate`: the challenges for a client without a credential.
pub fn challenge(sources: &[IdentitySource]) -> String {
    let mut challenges: Vec<String> = Vec::new();
    let mut add = |challenge: String| {
        if !challenges.contains(&challenge) {
            challenges.push(challenge);
        }
    };
    for source in sources {
        match &source.kind {
            SourceKind::Jwt(_) => add("Bearer realm=\"agentguard\"".to_owned()),
            SourceKind::ApiKey(source) => {
                for header in &source.headers {
                    add(match (&*header.name, header.prefix.as_deref()) {
                        ("authorization", Some(scheme)) => format!("{scheme} realm=\"agentguard\""),
                        (name, _) => format!("ApiKey realm=\"agentguard\", header=\"{name}\""),
                    });
                }
            }
            SourceKind::Mtls(_) => add("ClientCertificate realm=\"agentguard\"".to_owned()),
            SourceKind::Header(_) => {}
        }
    }
    match challenges.is_empty() {
        // RFC 9110 §15.5.2: a 401 response has at least one challenge.
        true => "Bearer".to_owned(),
        false => challenges.join(", "),
    }
}

#[cfg(test)]
mod tests;
