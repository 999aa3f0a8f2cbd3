//! API keys that two policies resolve differently. A request without such a key has the same caller in both.

use crate::author::explain::moment;
use crate::event::Principal;
use crate::policy::{ApiKey, ApiKeySource, IdentitySource, KeyHash, KeySecret, SourceKind};
use crate::wire::hex;
use std::collections::{BTreeMap, BTreeSet};

/// API key whose caller differs between two policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// Name of its source.
    pub source: String,
    /// Hash of the key, in hexadecimal digits.
    pub sha256: String,
    /// Caller in the old policy, or that the key was revoked; `None` if it is unknown.
    pub old: Option<String>,
    /// Caller in the new policy, likewise.
    pub new: Option<String>,
}

/// Returns the keys that two policies resolve differently, if their sources differ in nothing else. Keys in environment
/// variables must be the same: a policy whose variable is not set is not loaded at all.
pub(super) fn key_changes(
    old: &[IdentitySource],
    new: &[IdentitySource],
) -> Option<Vec<KeyChange>> {
    if old.len() != new.len() {
        return None;
    }
    let mut changes = Vec::new();
    for (old, new) in old.iter().zip(new) {
        if old == new {
            continue;
        }
        let (SourceKind::ApiKey(one), SourceKind::ApiKey(other)) = (&old.kind, &new.kind) else {
            return None;
        };
        let is_same_source = old.name == new.name && old.combine == new.combine;
        if !is_same_source || !reads_alike(one, other) {
            return None;
        }
        let [before, after] = [one, other].map(states);
        let changed: BTreeSet<&KeyHash> = before
            .keys()
            .chain(after.keys())
            .copied()
            .filter(|hash| before.get(hash) != after.get(hash))
            .collect();
        // A variable may contain a key that has an entry, too: then the order of the two matters.
        let has_variables = [one, other]
            .iter()
            .any(|source| source.keys.iter().any(|key| hash_of(key).is_none()));
        if has_variables && !kept(one, &changed).eq(kept(other, &changed)) {
            return None;
        }
        changes.extend(changed.into_iter().map(|hash| KeyChange {
            source: old.name.to_string(),
            sha256: hex::encode(hash),
            old: before.get(hash).map(KeyState::written),
            new: after.get(hash).map(KeyState::written),
        }));
    }
    Some(changes)
}

/// Returns which of two policies is the only one whose sources can identify such a caller. Only sources of API keys list
/// their callers.
pub(super) fn known_only_to(
    old: &[IdentitySource],
    new: &[IdentitySource],
    caller: &Principal,
) -> Option<&'static str> {
    let caller = values(caller);
    match (may_name(old, &caller), may_name(new, &caller)) {
        _ if caller.is_empty() => None,
        (true, false) => Some("old"),
        (false, true) => Some("new"),
        _ => None,
    }
}

/// Returns whether sources may identify a caller with these values.
fn may_name(sources: &[IdentitySource], caller: &BTreeSet<(&str, &str)>) -> bool {
    sources.iter().any(|source| match &source.kind {
        SourceKind::ApiKey(keys) if source.combine.is_empty() => {
            let is_valid =
                |key: &&ApiKey| hash_of(key).is_none_or(|hash| !keys.revoked.contains(hash));
            let mut valid = keys.keys.iter().filter(is_valid);
            valid.any(|key| caller.is_subset(&values(&key.principal)))
        }
        _ => true,
    })
}

/// Returns the known values of a caller, each with the name of its member.
fn values(principal: &Principal) -> BTreeSet<(&str, &str)> {
    known_members(principal)
        .flat_map(|(word, values)| values.iter().map(move |value| (word, &**value)))
        .collect()
}

/// Returns whether two sources read the same values as keys.
fn reads_alike(one: &ApiKeySource, other: &ApiKeySource) -> bool {
    let ApiKeySource {
        headers,
        starts_with,
        keys: _,
        revoked: _,
    } = one;
    *headers == other.headers && *starts_with == other.starts_with
}

/// Returns the hash of a key in the policy; `None` for one in a variable.
fn hash_of(key: &ApiKey) -> Option<&KeyHash> {
    match &key.secret {
        KeySecret::Hash(hash) => Some(hash),
        KeySecret::Variable(_) => None,
    }
}

/// Returns the entries of a source without those that change.
fn kept<'s>(
    source: &'s ApiKeySource,
    changed: &'s BTreeSet<&KeyHash>,
) -> impl Iterator<Item = &'s ApiKey> {
    let is_kept = |key: &&ApiKey| hash_of(key).is_none_or(|hash| !changed.contains(hash));
    source.keys.iter().filter(is_kept)
}

/// State of a key in a source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct KeyState<'s> {
    entry: Option<&'s ApiKey>,
    is_revoked: bool,
}

fn states(source: &ApiKeySource) -> BTreeMap<&KeyHash, KeyState<'_>> {
    let mut states: BTreeMap<&KeyHash, KeyState<'_>> = BTreeMap::new();
    for key in &source.keys {
        if let Some(hash) = hash_of(key) {
            states.entry(hash).or_default().entry = Some(key);
        }
    }
    for hash in &source.revoked {
        states.entry(hash).or_default().is_revoked = true;
    }
    states
}

impl KeyState<'_> {
    /// Returns the state as text: `client acme, roles agent analyst, until 2027-01-01T00:00:00Z`
    fn written(&self) -> String {
        let mut parts = Vec::new();
        if self.is_revoked {
            parts.push("revoked".to_owned());
        }
        if let Some(key) = self.entry {
            parts.extend(members(&key.principal));
            let times = [("from", key.not_before), ("until", key.not_after)];
            parts.extend(
                times
                    .into_iter()
                    .filter_map(|(word, time)| Some(format!("{word} {}", moment(time?)?))),
            );
        }
        parts.join(", ")
    }
}

/// Returns the members of a caller, each as a text.
fn members(principal: &Principal) -> impl Iterator<Item = String> {
    known_members(principal).map(|(word, values)| format!("{word} {}", values.join(" ")))
}

/// Returns the known members of a caller, each with its values.
fn known_members(principal: &Principal) -> impl Iterator<Item = (&str, &[Box<str>])> {
    let Principal {
        id,
        agent,
        client,
        tenant,
        roles,
        claims,
        via: _,
    } = principal;
    let names = [
        ("id", id),
        ("agent", agent),
        ("client", client),
        ("tenant", tenant),
    ];
    let names = names
        .into_iter()
        .filter_map(|(word, name)| Some((word, std::slice::from_ref(name.value()?))));
    let roles = roles.value().map(|roles| ("roles", roles.as_slice()));
    let claims = claims
        .iter()
        .filter_map(|(name, values)| Some((&**name, values.value()?.as_slice())));
    names.chain(roles).chain(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::parse_yaml;
    use crate::identity::{Credentials, KeyTable, identify};
    use crate::policy::{digest, load_with_zones};
    use crate::proxy::Properties;
    use proptest::prelude::*;

    /// Returns the sources of a policy.
    fn sources(principals: &str) -> Vec<IdentitySource> {
        let text = format!(
            "{{ apiVersion: agentguard.dev/v1, kind: AgentPolicy, metadata: {{ name: p }}, defaults: {{ action: allow }}, principals: {principals} }}"
        );
        let loaded = load_with_zones(&parse_yaml(&text).unwrap());
        let errors: Vec<String> = loaded.errors().map(ToString::to_string).collect();
        let policy = loaded.policy.unwrap_or_else(|| panic!("{errors:?} {text}"));
        policy.document.principals
    }

    fn key(number: usize) -> String {
        format!("agk_{number}{number}{number}")
    }

    fn hash(number: usize) -> String {
        hex::encode(&digest(key(number).as_bytes()))
    }

    fn api_key(keys: &str) -> String {
        format!("[{{ name: k, api_key: {{ header: x-key, {keys} }} }}]")
    }

    fn entry(number: usize, rest: &str) -> String {
        format!("{{ sha256: {}, {rest} }}", hash(number))
    }

    #[test]
    fn a_key_that_is_new_changed_or_revoked_is_shown_with_its_caller() {
        let old = api_key(&format!("keys: [{}]", entry(1, "client: a")));
        let both = |second: &str| {
            api_key(&format!(
                "keys: [{}, {}]",
                entry(2, second),
                entry(1, "client: a")
            ))
        };
        let changes = |old: &str, new: &str| key_changes(&sources(old), &sources(new));
        assert_eq!(changes(&old, &old), Some(Vec::new()));
        let change = KeyChange {
            source: "k".to_owned(),
            sha256: hash(2),
            old: None,
            new: Some("agent bot, roles x y, ticket T-1, until 2030-01-01T00:00:00Z".to_owned()),
        };
        let named = "agent: bot, roles: [x, y], ticket: T-1, not_after: \"2030-01-01T00:00:00Z\"";
        assert_eq!(changes(&old, &both(named)), Some(vec![change.clone()]));
        let renamed = KeyChange {
            old: change.new,
            new: Some("client b".to_owned()),
            ..change
        };
        assert_eq!(
            changes(&both(named), &both("client: b")),
            Some(vec![renamed])
        );
        let revoked = api_key(&format!(
            "keys: [{}], revoked: [{}]",
            entry(1, "client: a"),
            hash(1)
        ));
        let told = changes(&old, &revoked).unwrap().remove(0);
        assert_eq!(told.new, Some("revoked, client a".to_owned()));
    }

    #[test]
    fn what_changes_more_than_keys_is_not_told_by_keys() {
        let keys = format!("keys: [{}]", entry(1, "client: a"));
        let old = api_key(&keys);
        for new in [
            old.replace("x-key", "x-other"),
            old.replace("name: k", "name: l"),
            api_key(&format!("starts_with: agk_, {keys}")),
            // A policy whose variable is not set is not loaded.
            api_key(&format!(
                "keys: [{}, {{ env: KEY, client: b }}]",
                entry(1, "client: a")
            )),
        ] {
            assert_eq!(key_changes(&sources(&old), &sources(&new)), None, "{new}");
        }
        let after =
            "keys: [{ env: KEY, client: b }, ENTRY]".replace("ENTRY", &entry(1, "client: a"));
        let before =
            "keys: [ENTRY, { env: KEY, client: b }]".replace("ENTRY", &entry(1, "client: a"));
        let [before, after] = [before, after].map(|keys| sources(&api_key(&keys)));
        assert_eq!(key_changes(&before, &after), None);
    }

    struct NoProperties;

    impl Properties for NoProperties {
        fn get(&self, _: &[&str]) -> Option<Vec<u8>> {
            None
        }
    }

    const KEYS: usize = 4;

    /// Generates two sources that share a header, with some keys each.
    fn any_sources() -> impl Strategy<Value = String> {
        let keys = || {
            prop::collection::vec((0..KEYS, 0..3_usize), 0..4).prop_map(|drawn| {
                let keys: BTreeMap<usize, usize> = drawn.into_iter().collect();
                let entries = keys.iter().map(|(number, client)| match client {
                    0 => entry(*number, "client: a"),
                    1 => entry(*number, "client: b"),
                    _ => entry(*number, "client: a, not_after: \"2020-01-01T00:00:00Z\""),
                });
                entries.collect::<Vec<_>>().join(", ")
            })
        };
        let revoked = prop::collection::vec(0..KEYS, 0..2);
        (keys(), keys(), revoked, prop::option::weighted(0.1, Just(())))
            .prop_map(|(one, two, revoked, env)| {
                let revoked: Vec<String> = revoked.into_iter().map(hash).collect();
                let env = env.map_or("", |()| ", { env: KEY, client: c }");
                format!(
                    "[{{ name: k, api_key: {{ header: [x-key, x-both], keys: [{one}{env}], revoked: [{}] }} }}, \
                     {{ name: l, api_key: {{ header: [x-both, authorization], keys: [{two}] }} }}]",
                    revoked.join(", ")
                )
                .replace("[, ", "[")
            })
    }

    /// Generates a request: headers, and keys in them by their numbers.
    fn any_request() -> impl Strategy<Value = Vec<(String, String, usize)>> {
        let header = prop_oneof![
            Just("x-key"),
            Just("x-both"),
            Just("authorization"),
            Just("api-key"),
            Just(":path"),
        ];
        let form = prop_oneof![Just(""), Just("Bearer "), Just("/x?key=")];
        let value = (header, form, 0..=KEYS);
        let named = value.prop_map(|(header, form, number)| {
            (header.to_owned(), format!("{form}{}", key(number)), number)
        });
        prop::collection::vec(named, 0..3)
    }

    proptest! {
        /// A request without a key that changes has the same caller under both policies, and the same parts are removed from
        /// it, whatever it contains elsewhere.
        #[test]
        fn a_request_without_a_changed_key_has_the_same_caller(
            old in any_sources(),
            new in any_sources(),
            request in any_request(),
        ) {
            let [old, new] = [old, new].map(|text| sources(&text));
            let Some(changes) = key_changes(&old, &new) else {
                return Ok(());
            };
            let is_changed = |number: usize| changes.iter().any(|change| change.sha256 == hash(number));
            if request.iter().any(|(_, _, number)| is_changed(*number)) {
                return Ok(());
            }
            let headers: Vec<(&[u8], &[u8])> = request
                .iter()
                .map(|(name, value, _)| (name.as_bytes(), value.as_bytes()))
                .collect();
            let credentials = Credentials {
                headers: &headers,
                properties: &NoProperties,
                now: 1_800_000_000_000_000_000,
            };
            // The variable contains one of the keys that may have an entry, too.
            let variable = |_: &str| Some(format!("{}-and-more", key(0)));
            let identified = [&old, &new].map(|sources| {
                let keys = KeyTable::new(sources, &variable).unwrap();
                identify(sources, &keys, &credentials)
            });
            prop_assert_eq!(&identified[0], &identified[1]);
        }
    }
}
