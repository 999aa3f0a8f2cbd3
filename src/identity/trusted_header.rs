//! Headers that a trusted proxy sets. They are removed from requests of any other peer.

use super::{Credentials, Finding, Reason, certificate, is_alike, peer_address, set, text};
use crate::event::Known;
use crate::event::Principal;
use crate::policy::HeaderSource;
use crate::wire::utf8;

/// Number of values of one header at which its member becomes unknown.
const MAX_VALUES: usize = 256;

/// Finds the headers of a source. Lists which of them may be forwarded and which may not.
pub(super) fn find(
    source: &HeaderSource,
    credentials: &Credentials<'_>,
    trusted: &mut Vec<String>,
    untrusted: &mut Vec<String>,
) -> Finding {
    let is_trusted = peer_address(credentials.properties)
        .is_some_and(|address| source.networks.contains(address))
        || certificate::has_uri(&source.peers, credentials);
    for (name, _) in credentials.headers {
        let headers = || source.members.iter().map(|(_, header)| &**header);
        if !headers().any(|header| is_alike(name, header)) {
            continue;
        }
        // A trusted proxy sets `x-user`. If it forwards a client's `x_user`, that header is still not
        // trusted.
        let is_set = is_trusted && headers().any(|header| header.as_bytes() == *name);
        let list = match is_set {
            true => &mut *trusted,
            false => &mut *untrusted,
        };
        let name = utf8::lossy(name).into_owned();
        if !list.contains(&name) {
            list.push(name);
        }
    }
    if !is_trusted {
        return Finding::Absent;
    }
    let mut principal = Principal::known_by(None);
    let mut is_found = false;
    for (member, header) in &source.members {
        let mut values = credentials.values(header);
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Finding::Invalid(Reason::Duplicate, None);
        }
        let value = value.trim_ascii();
        if value.is_empty() {
            continue;
        }
        let Some(value) = text(value.to_vec()) else {
            return Finding::Invalid(Reason::Malformed, None);
        };
        let values: Vec<Box<str>> = match &**member {
            "id" | "agent" | "client" | "tenant" | "environment" | "ticket" => vec![value.into()],
            _ => {
                let words = value.split([',', ' ']).filter(|word| !word.is_empty());
                words.take(MAX_VALUES).map(Box::from).collect()
            }
        };
        is_found = true;
        // A value after the last one that is read could be the role that a rule denies.
        let values = match values.len() {
            MAX_VALUES => Known::Unknown,
            _ => Known::Is(values),
        };
        set(&mut principal, member, values);
    }
    match is_found {
        true => Finding::Found(principal),
        false => Finding::Absent,
    }
}
