//! API keys. A header's value is hashed and compared with every hash of the policy, in the same time whether one matches or
//! not.

use super::{Credentials, Finding, Reason, is_alike};
use crate::policy::{ApiKey, ApiKeySource, IdentitySource, KeyHash, KeySecret, SourceKind, digest};
use crate::wire::http::percent_decode;
use crate::wire::utf8;
use std::cell::RefCell;

/// Maximum bytes of a header's value or of a query parameter that is hashed.
const MAX_KEY: usize = 1024;

/// Minimum bytes of a key in an environment variable, and of a word or query parameter that is compared with keys.
const MIN_KEY: usize = 16;

/// Maximum words of a header's value that are hashed.
const MAX_WORDS: usize = 16;

/// Maximum parameters of a query that are hashed.
const MAX_PARAMETERS: usize = 256;

/// Headers in which providers expect their own keys. A client may send a key of the policy there by accident.
const USUAL: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
];

/// Hashes of all keys, including those of environment variables.
#[derive(Clone, Debug, Default)]
pub struct KeyTable {
    keys: Vec<KnownKey>,
}

/// Hash of a key with its position in the policy.
#[derive(Clone, Copy, Debug)]
struct KnownKey {
    hash: KeyHash,
    source: usize,
    /// Index of its entry; `None` if the key was revoked.
    entry: Option<usize>,
}

/// Environment variable without a usable key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The variable is not set, or it is empty.
    Absent(Box<str>),
    /// The value is too short to be a key.
    Short(Box<str>),
}

impl KeyTable {
    /// Hashes the keys of a policy.
    ///
    /// # Errors
    /// The environment variable of a key is not set, or its value is too short.
    pub fn new(
        sources: &[IdentitySource],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<KeyTable, KeyError> {
        let mut keys = Vec::new();
        for (number, source) in sources.iter().enumerate() {
            let SourceKind::ApiKey(source) = &source.kind else {
                continue;
            };
            for (entry, key) in source.keys.iter().enumerate() {
                let hash = match &key.secret {
                    KeySecret::Hash(hash) => *hash,
                    KeySecret::Variable(name) => {
                        let value = variable(name).ok_or_else(|| KeyError::Absent(name.clone()))?;
                        // Envoy trims the values of headers.
                        match value.trim() {
                            "" => return Err(KeyError::Absent(name.clone())),
                            value if value.len() < MIN_KEY => {
                                return Err(KeyError::Short(name.clone()));
                            }
                            value => digest(value.as_bytes()),
                        }
                    }
                };
                keys.push(KnownKey {
                    hash,
                    source: number,
                    entry: Some(entry),
                });
            }
            keys.extend(source.revoked.iter().map(|hash| KnownKey {
                hash: *hash,
                source: number,
                entry: None,
            }));
        }
        Ok(KeyTable { keys })
    }

    /// Returns the keys with this hash. All keys are compared.
    fn find(&self, hash: &KeyHash) -> impl Iterator<Item = &KnownKey> {
        self.keys.iter().filter(move |key| is_same(&key.hash, hash))
    }

    fn knows<'v>(&self, value: &'v [u8], digests: &Digests<'v>) -> bool {
        // Counting the matches compares all keys; a search would end at the first match.
        (1..=MAX_KEY).contains(&value.len()) && self.find(&digests.of(value)).count() > 0
    }

    /// Returns the keys among the words of a value, whatever its form: after one or two schemes, in quotes, or in one of
    /// several lines of a header, which Envoy joins with commas.
    fn among_words<'v>(
        &self,
        value: &'v [u8],
        digests: &Digests<'v>,
    ) -> impl Iterator<Item = &KnownKey> {
        value
            .split(|byte| byte.is_ascii_whitespace() || b",;=\"'".contains(byte))
            .filter(|word| (MIN_KEY..=MAX_KEY).contains(&word.len()))
            .take(MAX_WORDS)
            .flat_map(move |word| {
                let hash = digests.of(word);
                self.keys
                    .iter()
                    .filter(move |key| is_same(&key.hash, &hash))
            })
    }
}

/// Cache of the hashes of one request's values. Each value is compared several times.
#[derive(Default)]
pub(super) struct Digests<'v>(RefCell<Vec<(&'v [u8], KeyHash)>>);

impl<'v> Digests<'v> {
    fn of(&self, value: &'v [u8]) -> KeyHash {
        let mut known = self.0.borrow_mut();
        if let Some((_, hash)) = known.iter().find(|(other, _)| *other == value) {
            return *hash;
        }
        let hash = digest(value);
        known.push((value, hash));
        hash
    }
}

/// Returns the key in a file's text, in the form that the filter sees: without the line end.
///
/// # Errors
/// The text is no key that a request could present, or one that could be found by trying.
#[cfg(not(target_arch = "wasm32"))]
pub fn key_in_file(text: &str) -> Result<&str, &'static str> {
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a key is one word of visible ASCII");
    }
    match key.len() {
        ..MIN_KEY => Err("the key is shorter than 16 characters; `agentguard keygen` makes one"),
        MIN_KEY..=MAX_KEY => Ok(key),
        _ => Err("the key is longer than 1024 characters; `agentguard keygen` makes one"),
    }
}

/// Returns whether two hashes are equal, in constant time.
fn is_same(a: &KeyHash, b: &KeyHash) -> bool {
    let differing = a.iter().zip(b).fold(0, |bits, (a, b)| bits | (a ^ b));
    std::hint::black_box(differing) == 0
}

/// Finds the credential of a source in its headers.
pub(super) fn find<'v>(
    number: usize,
    source: &'v ApiKeySource,
    sources: &[IdentitySource],
    keys: &KeyTable,
    credentials: &Credentials<'v>,
    digests: &Digests<'v>,
) -> Finding {
    let mut found: Option<(usize, &ApiKey)> = None;
    for header in &source.headers {
        let is_own = |value: &'v [u8]| {
            let mut known = keys.among_words(value, digests);
            known.any(|key| key.source == number)
        };
        let mut values = credentials
            .values(&header.name)
            .filter_map(|value| recognised(source, header.prefix.as_deref(), value, &is_own));
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Finding::Invalid(Reason::Duplicate, None);
        }
        let Some(value) = value else {
            return Finding::Invalid(Reason::Malformed, None);
        };
        if value.len() > MAX_KEY {
            return Finding::Invalid(Reason::Unknown, None);
        }
        let hash = digests.of(value);
        let (own, others): (Vec<&KnownKey>, Vec<&KnownKey>) =
            keys.find(&hash).partition(|key| key.source == number);
        let entries = own.iter().filter_map(|key| key.entry);
        let entry = entries
            .clone()
            .find_map(|entry| Some((entry, source.keys.get(entry)?)));
        let client = || {
            let (_, key) = entry?;
            key.principal.client.value().cloned()
        };
        if own.iter().any(|key| key.entry.is_none()) {
            return Finding::Invalid(Reason::Revoked, client());
        }
        let Some((entry, key)) = entry else {
            let reads = |other: &&KnownKey| reads_header(sources, other.source, &header.name);
            match others.iter().any(reads) {
                true => continue,
                false => return Finding::Invalid(Reason::Unknown, None),
            }
        };
        if key.not_after.is_some_and(|end| credentials.now >= end) {
            return Finding::Invalid(Reason::Expired, client());
        }
        if key.not_before.is_some_and(|start| credentials.now < start) {
            return Finding::Invalid(Reason::NotYetValid, client());
        }
        match found {
            Some((other, _)) if other != entry => {
                return Finding::Invalid(Reason::Contradictory, client());
            }
            _ => found = Some((entry, key)),
        }
    }
    match found {
        Some((_, key)) => Finding::Found(key.principal.clone()),
        None => Finding::Absent,
    }
}

/// Returns whether a source reads keys from this header.
fn reads_header(sources: &[IdentitySource], source: usize, name: &str) -> bool {
    match sources.get(source).map(|source| &source.kind) {
        Some(SourceKind::ApiKey(source)) => {
            source.headers.iter().any(|header| *header.name == *name)
        }
        _ => false,
    }
}

/// Returns the key in a header's value: `None` if the value belongs to another source or a provider, `Some(None)` if it
/// contains a key of this source in a form that is not accepted.
fn recognised<'v>(
    source: &ApiKeySource,
    prefix: Option<&str>,
    value: &'v [u8],
    is_own: &dyn Fn(&'v [u8]) -> bool,
) -> Option<Option<&'v [u8]>> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return None;
    }
    let key = match prefix {
        None => value,
        Some(prefix) => match behind_scheme(value, prefix) {
            Some(key) => key,
            None => return is_own(value).then_some(None),
        },
    };
    if key.is_empty() {
        return Some(None);
    }
    match &source.starts_with {
        Some(start) if !key.starts_with(start.as_bytes()) => is_own(key).then_some(None),
        _ => Some(Some(key)),
    }
}

/// Returns the value after a scheme: `Bearer KEY`, in any letter case, with any white space.
fn behind_scheme<'v>(value: &'v [u8], scheme: &str) -> Option<&'v [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    let is_scheme = start.eq_ignore_ascii_case(scheme.as_bytes())
        && rest.first().is_none_or(u8::is_ascii_whitespace);
    is_scheme.then(|| rest.trim_ascii())
}

/// Positions of the policy's keys in a request.
pub(super) struct Leak {
    /// Names of headers.
    pub(super) headers: Vec<String>,
    /// Name of the source that has the key in the query.
    pub(super) in_url: Option<Box<str>>,
    /// Path without the keys in its query.
    pub(super) path: Option<String>,
}

/// Finds the keys of the policy, valid or not, in the query and in all headers that may contain one.
pub(super) fn leaks<'v>(
    sources: &[IdentitySource],
    keys: &KeyTable,
    headers: &[(&'v [u8], &'v [u8])],
    digests: &Digests<'v>,
) -> Option<Leak> {
    if keys.keys.is_empty() {
        return None;
    }
    let mut leak = Leak {
        headers: Vec::new(),
        in_url: None,
        path: None,
    };
    let configured = || {
        sources.iter().flat_map(|source| match &source.kind {
            SourceKind::ApiKey(source) => source.headers.as_slice(),
            _ => &[],
        })
    };
    for (name, value) in headers {
        let prefixes: Vec<&str> = configured()
            .filter(|header| is_alike(name, &header.name))
            .filter_map(|header| header.prefix.as_deref())
            .collect();
        let may_hold = configured().any(|header| is_alike(name, &header.name))
            || USUAL.iter().any(|usual| is_alike(name, usual));
        if !may_hold {
            continue;
        }
        let value = value.trim_ascii();
        let behind = prefixes
            .into_iter()
            .chain(["Bearer"])
            .find_map(|scheme| behind_scheme(value, scheme));
        let is_key = |value| keys.knows(value, digests);
        if behind.is_some_and(is_key)
            || is_key(value)
            || keys.among_words(value, digests).count() > 0
        {
            let name = utf8::lossy(name).into_owned();
            if !leak.headers.contains(&name) {
                leak.headers.push(name);
            }
        }
    }
    let path = headers.iter().find(|(name, _)| *name == b":path");
    let path = path.map_or(&b""[..], |(_, path)| *path);
    if path.contains(&b'?') {
        let path = utf8::lossy(path);
        let (before, query) = path.split_once('?').unwrap_or((&path, ""));
        let mut kept = Vec::new();
        for (number, parameter) in query.split('&').enumerate() {
            let value = parameter
                .split_once('=')
                .map_or(parameter, |(_, value)| value);
            let is_long = number < MAX_PARAMETERS && value.len() >= MIN_KEY;
            let decoded = is_long.then(|| percent_decode(value));
            let known = decoded.and_then(|value| {
                let hash = (value.len() <= MAX_KEY).then(|| digest(value.as_bytes()))?;
                keys.find(&hash).last()
            });
            match known {
                Some(key) => {
                    leak.in_url = sources.get(key.source).map(|source| source.name.clone());
                }
                None => kept.push(parameter),
            }
        }
        if leak.in_url.is_some() {
            leak.path = Some(match kept.is_empty() {
                true => before.to_owned(),
                false => format!("{before}?{}", kept.join("&")),
            });
        }
    }
    Some(leak)
}
