//! Keys of counters: hashes of the values of a limit's `per`.
//!
//! Limits are on the deny side, so values are compared loosely: `Acme` and `acme` are one customer, `1` and `"1.0"` are
//! one number, and a request that may use two models is charged to both. A counter with a `per` never has values of
//! different tenants. The hashes have a salt that only this Envoy knows, so that no client can choose values that lead to
//! the same bucket.

use super::counter::TOOL_BYTES;
use super::table::SlotKey;
use crate::detect::fold_name;
use crate::event::{Event, Facts, Known};
use crate::policy::Context;
use crate::policy::evaluate::value::{Arrays, PathReading, Presence, visit};
use crate::policy::field::Field;
use crate::policy::limit::{Limit, Measure, Per};
use crate::policy::scalar::Scalar;
use crate::policy::words::Counted;
use crate::wire::json::{self, Decimal, write_canonical};
use crate::wire::sorted_map::SortedSet;
use sha2::{Digest, Sha256};

/// Maximum values of one `per` in one event.
const MAX_VALUES: usize = 16;

/// Maximum counters that one event is charged to.
const MAX_KEYS: usize = 64;

/// Counters that an event is charged to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitKeys {
    /// Keys of the counters; `None` if there are too many, so that the limit counts as exceeded.
    pub(super) keys: Option<Vec<SlotKey>>,
    /// Hash of the tool, for a limit on distinct tools.
    pub(super) tool: Option<[u8; TOOL_BYTES]>,
    /// Source of the session, for a limit for each session.
    pub session: Option<Box<str>>,
}

/// Common part of all keys of a limit: the hash state after the salt and the limit's name.
pub(super) struct KeyHasher {
    start: Sha256,
    tag: [u8; 4],
}

/// Value of a `per`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Missing,
    Unknown,
    Is(Box<str>),
}

/// Returns the keys of the counters that an event is charged to.
pub(super) fn of(
    hasher: &KeyHasher,
    limit: &Limit,
    event: &Event,
    context: &Context<'_>,
) -> LimitKeys {
    let mut session = None;
    let mut keys: Vec<Sha256> = vec![hasher.start.clone()];
    let mut parts: Vec<SortedSet<Value>> = Vec::with_capacity(limit.counters().len());
    if !limit.counters().is_empty() {
        parts.push(one(&context.facts.principal.tenant));
    }
    for per in limit.counters() {
        parts.push(match per {
            Per::Session => {
                session = Some(add_session(limit, context.facts, &mut parts));
                continue;
            }
            Per::Address => one(&context.facts.address),
            Per::Field(field_ref) => values(&field_ref.field, event, context),
        });
    }
    if limit.measure == Measure::Count(Counted::IdenticalToolCalls) {
        parts.push(one(&event.tool));
        parts.push(SortedSet::from([arguments(event, context)]));
    }
    for values in &parts {
        let many = keys.len().saturating_mul(values.len());
        if values.len() > MAX_VALUES || many > MAX_KEYS {
            return LimitKeys {
                session,
                ..LimitKeys::default()
            };
        }
        keys = match values.first() {
            // Nearly always there is one value.
            Some(value) if values.len() == 1 => {
                keys.into_iter().map(|key| with(key, value)).collect()
            }
            _ => keys
                .iter()
                .flat_map(|key| values.iter().map(|value| with(key.clone(), value)))
                .collect(),
        };
    }
    LimitKeys {
        keys: Some(keys.into_iter().map(|key| hasher.end(key)).collect()),
        tool: limit
            .is_distinct()
            .then(|| hasher.tool(event, context.facts)),
        session,
    }
}

/// Adds the session: the caller, the client's address if no caller is known, and the name that the first source in the
/// request gives. A session that a client names belongs to the caller, so two principals never share a session. Returns
/// the source.
fn add_session(limit: &Limit, facts: &Facts, parts: &mut Vec<SortedSet<Value>>) -> Box<str> {
    let principal = &facts.principal;
    let mut is_known = false;
    for name in [&principal.id, &principal.client, &principal.agent] {
        is_known |= name.value().is_some();
        parts.push(one(name));
    }
    if !is_known {
        parts.push(one(&facts.address));
    }
    for source in &limit.session {
        let name = source.name();
        let found = facts.sessions.iter().find(|(known, _)| *known == name);
        if let Some((_, value)) = found {
            parts.push(one(&Known::Is(value.clone())));
            return name;
        }
    }
    match is_known {
        true => "principal".into(),
        false => "address".into(),
    }
}

/// Returns the sum of a field's values in the limit's units, rounded up; `None` if a value is unknown or not a number.
/// Negative numbers add nothing, so that no client can reduce what it has used.
pub(super) fn sum(limit: &Limit, event: &Event, context: &Context<'_>) -> Option<u64> {
    let field = limit.summed()?;
    let (mut sum, mut is_sound) = (0u64, true);
    let is_unknown = visit_all(field, event, context, &mut |scalar| {
        let number = match &scalar {
            Scalar::Number(number, _) => Decimal::parse(number),
            Scalar::Text(text) => Decimal::parse(text.text().trim()),
            _ => None,
        };
        let units = number.and_then(|number| match number.is_negative() {
            true => Some(0),
            false => {
                let (units, is_exact) = number.scaled(limit.places())?;
                units.checked_add(u64::from(!is_exact))
            }
        });
        match units {
            Some(units) => sum = sum.saturating_add(units),
            None => is_sound = false,
        }
    });
    (is_sound && !is_unknown).then_some(sum)
}

/// Returns 16 hexadecimal digits of a salted hash of texts.
pub(super) fn fingerprint(salt: &[u8; 16], texts: &[&str]) -> Box<str> {
    let mut hash = Sha256::new();
    hash.update(salt);
    for text in texts {
        hash.update(length(text));
        hash.update(text);
    }
    let bytes = <[u8; 32]>::from(hash.finalize());
    let start: [u8; 8] = bytes.first_chunk().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(start)).into()
}

impl KeyHasher {
    /// Creates the hasher for a limit or another scope.
    pub(super) fn new(salt: &[u8; 16], scope: &str) -> KeyHasher {
        let mut start = Sha256::new();
        start.update(salt);
        start.update(length(scope));
        start.update(scope);
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(scope.as_bytes()));
        let tag = [a, b, c, d];
        KeyHasher { start, tag }
    }

    /// Returns the key of one text.
    pub(super) fn key_of(&self, text: &str) -> SlotKey {
        self.end(with(self.start.clone(), &Value::Is(text.into())))
    }

    /// Returns the hash of a tool and its server. Two servers may have tools of the same name.
    fn tool(&self, event: &Event, facts: &Facts) -> [u8; TOOL_BYTES] {
        let hash = [&facts.server, &event.tool]
            .into_iter()
            .flat_map(one)
            .fold(self.start.clone(), |hash, value| with(hash, &value));
        let bytes = <[u8; 32]>::from(hash.finalize());
        bytes.first_chunk().copied().unwrap_or_default()
    }

    fn end(&self, hash: Sha256) -> SlotKey {
        let bytes = <[u8; 32]>::from(hash.finalize());
        SlotKey {
            tag: self.tag,
            hash: bytes.first_chunk().copied().unwrap_or_default(),
        }
    }
}

/// Returns the length that precedes a text, so that different lists of texts have different bytes.
fn length(text: &str) -> [u8; 8] {
    u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes()
}

fn with(mut hash: Sha256, value: &Value) -> Sha256 {
    match value {
        Value::Missing => hash.update([0]),
        Value::Unknown => hash.update([1]),
        Value::Is(text) => {
            hash.update([2]);
            hash.update(length(text));
            hash.update(&**text);
        }
    }
    hash
}

fn one(known: &Known<Box<str>>) -> SortedSet<Value> {
    SortedSet::from([match known {
        Known::Missing => Value::Missing,
        Known::Unknown => Value::Unknown,
        Known::Is(text) => Value::Is(canonical_text(text)),
    }])
}

/// Returns every value that a parser may read for the field.
fn values(field: &Field, event: &Event, context: &Context<'_>) -> SortedSet<Value> {
    let mut found = SortedSet::new();
    let is_unknown = visit_all(field, event, context, &mut |scalar| {
        // One more than the maximum, so that the caller notices the excess.
        if found.len() <= MAX_VALUES {
            found.insert(Value::Is(canonical(&scalar)));
        }
    });
    if is_unknown {
        found.insert(Value::Unknown);
    }
    if found.is_empty() {
        found.insert(Value::Missing);
    }
    found
}

/// Visits every value that a parser may read for a field. Returns whether there may be unknown values.
fn visit_all<'a>(
    field: &Field,
    event: &'a Event,
    context: &Context<'a>,
    look: &mut dyn FnMut(Scalar<'a>),
) -> bool {
    let mut is_unknown = false;
    for others in [false, true] {
        let reading = PathReading {
            others,
            ..PathReading::NAMED
        };
        let presence = visit(field, event, context, reading, Arrays::Opened, look);
        is_unknown |= matches!(
            presence,
            Presence::Unknown | Presence::Present { and_unknown: true }
        );
    }
    is_unknown
}

/// Returns the arguments of a call in one form, independent of their order and spelling.
fn arguments(event: &Event, context: &Context<'_>) -> Value {
    match &event.args {
        Known::Missing => Value::Missing,
        Known::Unknown => Value::Unknown,
        Known::Is(place) => match context.value(*place) {
            Some(value) => Value::Is(canonical_json(value)),
            None => Value::Unknown,
        },
    }
}

/// Returns a value in its canonical form. An ambiguous value is used as it is written.
fn canonical_json(value: json::Value<'_>) -> Box<str> {
    let mut out = Vec::new();
    let _ = write_canonical(value, &mut out);
    String::from_utf8_lossy(&out).into()
}

fn canonical(scalar: &Scalar<'_>) -> Box<str> {
    match scalar {
        Scalar::Null => "null".into(),
        Scalar::Bool(true, _) => "true".into(),
        Scalar::Bool(false, _) => "false".into(),
        Scalar::Number(number, _) => canonical_text(number),
        Scalar::Text(text) => canonical_text(&text.text()),
        Scalar::Object(value) | Scalar::Array(value) => canonical_json(*value),
    }
}

/// Returns a text in the form in which it is compared: numbers in one spelling, other texts folded like names.
fn canonical_text(text: &str) -> Box<str> {
    let text = text.trim();
    match Decimal::parse(text) {
        Some(number) => number.to_string().into(),
        None => fold_name(text).into(),
    }
}
