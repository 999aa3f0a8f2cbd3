//! Source `api_key`: API keys that the policy lists as hashes.

use super::member::{claims, header_name, require_identity_member};
use crate::diag::{Fix, Severity, codes};
use crate::event::{Known, Principal};
use crate::policy::decode::{Decoder, PolicyPath};
use crate::policy::grammar::{ApiKeyKey, KeyKey, MAX_KEYS};
use crate::policy::node::{Node, NodeValue};
use crate::policy::operators::moment;
use crate::wire::hex;
use crate::wire::letter_case;
use crate::wire::sorted_map::SortedSet;
use sha2::{Digest, Sha256};

/// Words that a plain key is likely to be written under.
const PLAIN: &[&str] = &[
    "key",
    "secret",
    "value",
    "token",
    "plain",
    "plaintext",
    "password",
];

/// Maximum headers of a source.
const MAX_HEADERS: usize = 16;

/// SHA-256 hash of a key.
pub(crate) type KeyHash = [u8; 32];

/// Returns the hash of a key.
pub(crate) fn digest(key: &[u8]) -> KeyHash {
    Sha256::digest(key).into()
}

/// Source `api_key`.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeySource {
    /// Headers that may contain a key.
    pub(crate) headers: Vec<KeyHeader>,
    /// Prefix of every key of this source. Other values are not keys of this source.
    pub(crate) starts_with: Option<Box<str>>,
    /// Keys of the source.
    pub(crate) keys: Vec<ApiKey>,
    /// Revoked keys.
    pub(crate) revoked: Vec<KeyHash>,
}

/// Header that may contain a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyHeader {
    /// Name of the header, in lower case.
    pub(crate) name: Box<str>,
    /// Text before the key: `Bearer`, in any letter case.
    pub(crate) prefix: Option<Box<str>>,
}

/// API key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiKey {
    /// Hash of the key, or the variable with the key.
    pub(crate) secret: KeySecret,
    /// Principal of the key; the source sets `via`.
    pub(crate) principal: Principal,
    /// Start of its validity, in nanoseconds since 1970.
    pub(crate) not_before: Option<u64>,
    /// End of its validity, in nanoseconds since 1970.
    pub(crate) not_after: Option<u64>,
}

#[cfg(not(target_arch = "wasm32"))]
impl ApiKey {
    /// Returns the members of its principal that are known.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        let principal = &self.principal;
        let named = [
            ("id", principal.id.value().is_some()),
            ("agent", principal.agent.value().is_some()),
            ("client", principal.client.value().is_some()),
            ("tenant", principal.tenant.value().is_some()),
            ("roles", principal.roles.value().is_some()),
        ];
        let named = named.into_iter().filter(|(_, is_known)| *is_known);
        let claims = principal.claims.iter().map(|(name, _)| &**name);
        named.map(|(name, _)| name).chain(claims)
    }
}

/// Origin of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySecret {
    /// Hash in the policy.
    Hash(KeyHash),
    /// Environment variable of the proxy.
    Variable(Box<str>),
}

/// Reads the source `api_key`.
pub(super) fn read(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<ApiKeySource> {
    let mut names = Vec::new();
    let mut prefix = None;
    let mut starts_with = None;
    let mut keys = Vec::new();
    let mut revoked = Vec::new();
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            ApiKeyKey::Header => names = headers(decoder, &at, value)?,
            ApiKeyKey::Prefix => prefix = decoder.text(&at, value),
            ApiKeyKey::StartsWith => starts_with = decoder.text(&at, value),
            ApiKeyKey::Keys => keys = read_keys(decoder, &at, value),
            ApiKeyKey::Revoked => {
                for text in decoder.texts(&at, value).unwrap_or_default() {
                    revoked.extend(hash(decoder, &at, value, &text));
                }
            }
        }
    }
    decoder.has_required::<ApiKeyKey>(at, node, &node.span);
    if let (Some(_), [_, _, ..], Some(value)) = (&prefix, names.as_slice(), node.get("prefix")) {
        let message = "a prefix belongs to one header";
        let help = "`authorization` has the prefix `Bearer` by itself; give another header a source of its own";
        decoder.error(codes::AG1007, &at.key("prefix"), &value.span, message, help);
    }
    let headers = names.into_iter().map(|name| KeyHeader {
        prefix: match (&*name, &prefix) {
            (_, Some(prefix)) if prefix.trim().is_empty() => None,
            (_, Some(prefix)) => Some(prefix.trim().into()),
            ("authorization" | "proxy-authorization", None) => Some("Bearer".into()),
            _ => None,
        },
        name,
    });
    Some(ApiKeySource {
        headers: headers.collect(),
        starts_with: starts_with.filter(|start| !start.is_empty()),
        keys,
        revoked,
    })
}

fn headers(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Vec<Box<str>>> {
    let names = match &node.data {
        NodeValue::List(items) if (1..=MAX_HEADERS).contains(&items.len()) => {
            let mut names: Vec<Box<str>> = Vec::with_capacity(items.len());
            for (number, item) in items.iter().enumerate() {
                let name = header_name(decoder, &at.index(number), item)?;
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            names
        }
        NodeValue::List(_) => {
            let message = format!("1 to {MAX_HEADERS} headers are expected here");
            decoder.error(codes::AG1006, at, &node.span, &message, "");
            return None;
        }
        _ => vec![header_name(decoder, at, node)?],
    };
    Some(names)
}

fn read_keys(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Vec<ApiKey> {
    let NodeValue::List(items) = &node.data else {
        decoder.wrong_type(at, node, "a list of keys");
        return Vec::new();
    };
    if items.len() > MAX_KEYS {
        let message = format!("a source has at most {MAX_KEYS} keys");
        decoder.error(codes::AG1019, at, &node.span, &message, "");
        return Vec::new();
    }
    let mut keys = Vec::with_capacity(items.len());
    let mut seen: SortedSet<KeyHash> = SortedSet::default();
    for (number, item) in items.iter().enumerate() {
        let at = at.index(number);
        let Some(key) = read_key(decoder, &at, item) else {
            continue;
        };
        if let KeySecret::Hash(hash) = key.secret
            && !seen.insert(hash)
        {
            let message = "this key is listed twice";
            let help = "one key belongs to one caller";
            decoder.error(codes::AG1008, &at, &item.span, message, help);
        }
        keys.push(key);
    }
    keys
}

fn read_key(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<ApiKey> {
    if let Some(plain) = node
        .members()
        .iter()
        .find(|member| PLAIN.contains(&&*member.key))
    {
        plain_key(decoder, &at.key(&plain.key), plain.value.text(), node);
        return None;
    }
    let mut secrets = Vec::new();
    let mut principal = Principal::known_by(None);
    let (mut not_before, mut not_after) = (None, None);
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            KeyKey::Sha256 => {
                let text = decoder.text(&at, value)?;
                secrets.push(KeySecret::Hash(hash(decoder, &at, value, &text)?));
            }
            KeyKey::Env => {
                let name = decoder.text(&at, value)?;
                if name.is_empty() || name.contains(['=', '\0']) {
                    let message = format!("`{name}` is no name of an environment variable");
                    decoder.error(codes::AG1007, &at, &value.span, &message, "");
                    return None;
                }
                secrets.push(KeySecret::Variable(name));
            }
            KeyKey::File => {
                let message = "a key in a file is hashed by `agentguard build`, not by the filter";
                decoder.error(codes::AG1016, &at, &value.span, message, "");
                return None;
            }
            KeyKey::NotBefore => not_before = Some(time(decoder, &at, value)?),
            KeyKey::NotAfter => not_after = Some(time(decoder, &at, value)?),
            KeyKey::Roles => principal.roles = Known::Is(decoder.names(&at, value)?),
            KeyKey::Claims => {
                let mut members: Vec<(Box<str>, Vec<Box<str>>)> = Vec::new();
                claims(decoder, &at, value, &mut members, |decoder, at, node| {
                    decoder.texts(at, node)
                });
                for (name, values) in members {
                    principal.claims.insert(name, Known::Is(values));
                }
            }
            KeyKey::Id
            | KeyKey::Agent
            | KeyKey::Client
            | KeyKey::Tenant
            | KeyKey::Ticket
            | KeyKey::Environment => {
                let text = decoder.text(&at, value)?;
                if text.is_empty() {
                    decoder.error(codes::AG1006, &at, &value.span, "the name is empty", "");
                    return None;
                }
                match key {
                    KeyKey::Id => principal.id = Known::Is(text),
                    KeyKey::Agent => principal.agent = Known::Is(text),
                    KeyKey::Client => principal.client = Known::Is(text),
                    KeyKey::Tenant => principal.tenant = Known::Is(text),
                    _ => drop(
                        principal
                            .claims
                            .insert(member.key.clone(), Known::Is(vec![text])),
                    ),
                }
            }
        }
    }
    require_identity_member(decoder, at, node);
    let mut secrets = secrets.into_iter();
    let (Some(secret), None) = (secrets.next(), secrets.next()) else {
        let help = "write `sha256: …` (`agentguard keygen` prints it) or `env: NAME`";
        let message = "a key is given in exactly one way";
        decoder.error(codes::AG1006, at, &node.span, message, help);
        return None;
    };
    Some(ApiKey {
        secret,
        principal,
        not_before,
        not_after,
    })
}

/// Reports an error for a key that is written in the policy itself, with its hash as the fix.
fn plain_key(decoder: &mut Decoder, at: &PolicyPath<'_>, key: Option<&str>, node: &Node) {
    let member = node
        .members()
        .iter()
        .find(|member| PLAIN.contains(&&*member.key));
    let Some(member) = member else { return };
    let span = member.key_span.start..member.value.span.end;
    let message = "the key itself does not stand in a policy: whoever can read the proxy's configuration would have it";
    let Some(diagnostic) = decoder.report(
        Severity::Error,
        codes::AG1025,
        at,
        span.clone(),
        message.to_owned(),
    ) else {
        return;
    };
    let hash = key.map(|key| format!("sha256: {}", hex::encode(&digest(key.as_bytes()))));
    diagnostic.help = Some(match &hash {
        Some(_) => "write its hash, and replace the key if others have read this file".to_owned(),
        None => "write its hash, `sha256: …`, or `env: NAME`".to_owned(),
    });
    diagnostic.fix = hash.map(|with| Fix { span, with });
}

/// Reads 64 hexadecimal digits, with or without `sha256:` before them.
fn hash(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node, text: &str) -> Option<KeyHash> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let hash = parse_hash(digits);
    if hash.is_none() {
        let message = "64 hexadecimal digits are expected here: the SHA-256 of the key";
        let help = "`agentguard keygen` prints it; the key itself does not stand in a policy";
        decoder.error(codes::AG1007, at, &node.span, message, help);
    }
    hash
}

fn parse_hash(digits: &str) -> Option<KeyHash> {
    let digits = letter_case::ascii_lower(digits);
    let mut hash = KeyHash::default();
    if digits.len() != hash.len().saturating_mul(2) || !digits.is_ascii() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        // `from_str_radix` accepts a sign.
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(hash)
}

/// Reads a moment and returns its nanoseconds since 1970.
fn time(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<u64> {
    let parsed = node
        .text()
        .and_then(moment)
        .and_then(|time| u64::try_from(time).ok());
    if parsed.is_none() {
        let help = "write it with its offset, as RFC 3339 does: `2027-01-01T00:00:00Z`";
        decoder.error(
            codes::AG1005,
            at,
            &node.span,
            "a moment is expected here",
            help,
        );
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        let digits = "00ff".repeat(16);
        assert_eq!(parse_hash(&digits).unwrap()[..2], [0, 255]);
        assert_eq!(parse_hash(&digits.to_uppercase()), parse_hash(&digits));
        for wrong in [
            "",
            "00",
            &"+f".repeat(32),
            &"0g".repeat(32),
            &"é".repeat(32),
        ] {
            assert_eq!(parse_hash(wrong), None, "{wrong}");
        }
    }
}
