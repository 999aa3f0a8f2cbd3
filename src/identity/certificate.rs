//! Client certificate that Envoy has verified.

use super::{Credentials, Finding, set};
use crate::event::Known;
use crate::event::Principal;
use crate::policy::{CertificatePattern, MtlsSource};

/// First URI SAN of the client's certificate.
const URI_SAN: &[&str] = &["connection", "uri_san_peer_certificate"];
/// First DNS SAN.
const DNS_SAN: &[&str] = &["connection", "dns_san_peer_certificate"];
/// Subject.
const SUBJECT: &[&str] = &["connection", "subject_peer_certificate"];

/// Returns whether the connection has a client certificate.
fn is_mutual(credentials: &Credentials<'_>) -> bool {
    credentials.properties.get(&["connection", "mtls"]) == Some(vec![1])
}

/// Returns whether the peer's URI SAN matches one of the patterns.
pub(super) fn has_uri(patterns: &[CertificatePattern], credentials: &Credentials<'_>) -> bool {
    if patterns.is_empty() || !is_mutual(credentials) {
        return false;
    }
    let name = credentials.text(URI_SAN);
    name.is_some_and(|name| {
        patterns
            .iter()
            .any(|pattern| pattern.captures(&name).is_some())
    })
}

/// Finds the principal in the certificate. A certificate that matches no pattern belongs to another
/// source.
pub(super) fn find(source: &MtlsSource, credentials: &Credentials<'_>) -> Finding {
    if !is_mutual(credentials) {
        return Finding::Absent;
    }
    let mut principal = Principal::known_by(None);
    let kinds = [
        (&source.subject, SUBJECT),
        (&source.dns_san, DNS_SAN),
        (&source.uri_san, URI_SAN),
    ];
    for (patterns, property) in kinds {
        if patterns.is_empty() {
            continue;
        }
        let Some(name) = credentials.text(property) else {
            return Finding::Absent;
        };
        let mut fitting = patterns
            .iter()
            .filter_map(|pattern| pattern.captures(&name));
        let Some(captures) = fitting.next() else {
            return Finding::Absent;
        };
        principal.id = Known::Is(name.clone().into());
        for (member, value) in captures {
            set(&mut principal, member, Known::Is(vec![value.into()]));
        }
    }
    Finding::Found(principal)
}
