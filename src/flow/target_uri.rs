//! Target URIs ([RFC 9110 §7.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.1)), with the facts that follow from
//! them alone. A client calls few URIs again and again, so that each worker caches the last ones.

use super::name_masker::NameMasker;
use crate::audit::mask_identifiers;
use crate::event::Known;
use crate::protocol;
use crate::wire::http::{Path, percent_decode};
use crate::wire::letter_case;
use std::cell::RefCell;
use std::rc::Rc;

/// Maximum target URIs in the cache.
const MAX_KEPT: usize = 16;

/// Maximum bytes of a cached target URI.
const MAX_KEPT_BYTES: usize = 512;

/// Target URI of a request: the authority in lower case, and the target without an API key.
#[derive(Debug)]
pub(super) struct TargetUri {
    authority: Box<str>,
    target: Box<str>,
    pub(super) path: Path,
    /// Target with the provider's own response id, if the target contains one of the filter's.
    pub(super) restored: Option<String>,
    /// Whether the query has an AWS signature.
    pub(super) is_presigned: bool,
    /// Whether the query asks for another method, type or body than the request has.
    pub(super) overrides: bool,
    /// Authority without its port and trailing dots.
    pub(super) host: Box<str>,
    /// Path as it arrived, and also normalised if that differs.
    pub(super) paths: Vec<Box<str>>,
    pub(super) provider: &'static str,
    pub(super) region: Known<Box<str>>,
    /// Host in audit events.
    pub(super) recorded_host: String,
    /// Path in audit events.
    pub(super) recorded_path: String,
}

impl TargetUri {
    pub(super) fn new(authority: &str, target: &str, masker: &NameMasker) -> TargetUri {
        let path = Path::parse(target);
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        };
        let dotless = host.trim_end_matches('.');
        let raw = target.split('?').next().unwrap_or_default();
        let mut normal = String::with_capacity(raw.len());
        for segment in &path.segments {
            normal.push('/');
            normal.push_str(segment);
        }
        if normal.is_empty() {
            normal.push('/');
        }
        let mut paths: Vec<Box<str>> = vec![raw.into()];
        if *raw != *normal {
            paths.push(normal.into());
        }
        TargetUri {
            restored: protocol::restored_path(target),
            is_presigned: has_name(&path.query, &["x-amz-signature="]),
            overrides: has_name(&path.query, &OVERRIDES),
            provider: protocol::provider_of(authority),
            region: protocol::region_of(host, &path),
            recorded_host: recorded_host(dotless, masker),
            recorded_path: recorded_path(raw, masker),
            host: dotless.into(),
            authority: authority.into(),
            target: target.into(),
            path,
            paths,
        }
    }
}

/// Target URIs of the last requests, latest first.
#[derive(Debug, Default)]
pub(super) struct TargetUris(RefCell<Vec<Rc<TargetUri>>>);

impl TargetUris {
    /// Returns a request's target URI, given its authority in lower case and its target without an API key.
    pub(super) fn of(&self, authority: &str, target: &str, masker: &NameMasker) -> Rc<TargetUri> {
        let mut kept = self.0.borrow_mut();
        let known = kept
            .iter()
            .position(|known| *known.target == *target && *known.authority == *authority);
        if let Some(newer) = known.and_then(|at| kept.get_mut(..=at)) {
            newer.rotate_right(1);
            if let Some(latest) = newer.first() {
                return Rc::clone(latest);
            }
        }
        let parsed = Rc::new(TargetUri::new(authority, target, masker));
        if authority.len().saturating_add(target.len()) <= MAX_KEPT_BYTES {
            kept.truncate(MAX_KEPT.saturating_sub(1));
            kept.insert(0, Rc::clone(&parsed));
        }
        parsed
    }
}

/// Returns a host in the form of audit events. Hosts are in lower case, in which some secrets are not recognised.
pub(super) fn recorded_host(host: &str, masker: &NameMasker) -> String {
    let host = masker.without_secrets(mask_identifiers(host));
    match masker.masked(&host.to_ascii_uppercase()) {
        Some(_) => "{id}".to_owned(),
        None => host,
    }
}

/// Returns a path in the form of audit events.
pub(super) fn recorded_path(path: &str, masker: &NameMasker) -> String {
    masker.without_secrets(mask_identifiers(path))
}

/// Beginnings of the names by which a query asks a server for another method, type or body than the request has: system
/// parameters of Google's front end, which are headers to it, with the body in `$req`; and `_method` of frameworks.
///
/// Source: <https://cloud.google.com/apis/docs/system-parameters>.
const OVERRIDES: [&str; 5] = ["$http", "$ct=", "$req=", "_method=", "x-http-method"];

/// Returns whether a parameter of a query begins with one of these texts, which are in lower case.
fn has_name(query: &str, beginnings: &[&str]) -> bool {
    query.split('&').any(|part| {
        let part = letter_case::ascii_lower(&percent_decode(part));
        beginnings.iter().any(|begin| part.starts_with(begin))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_uri_is_parsed_once_while_it_is_in_use() {
        let (uris, masker) = (TargetUris::default(), NameMasker::default());
        let first = uris.of("api.openai.com", "/v1/chat/completions", &masker);
        assert!(Rc::ptr_eq(
            &first,
            &uris.of("api.openai.com", "/v1/chat/completions", &masker)
        ));
        assert!(!Rc::ptr_eq(
            &first,
            &uris.of("api.openai.com:8443", "/v1/chat/completions", &masker)
        ));
        assert!(!Rc::ptr_eq(
            &first,
            &uris.of("api.openai.com", "/v1/chat/completions?a", &masker)
        ));
        for number in 0..MAX_KEPT {
            let other = uris.of("a.example", &format!("/{number}"), &masker);
            assert_eq!(other.paths, [format!("/{number}").into()]);
        }
        assert_eq!(uris.0.borrow().len(), MAX_KEPT);
        assert!(!Rc::ptr_eq(
            &first,
            &uris.of("api.openai.com", "/v1/chat/completions", &masker)
        ));
    }

    #[test]
    fn a_long_target_uri_is_not_kept() {
        let (uris, masker) = (TargetUris::default(), NameMasker::default());
        let long = format!("/{}", "a".repeat(MAX_KEPT_BYTES));
        assert_eq!(*uris.of("a.example", &long, &masker).target, *long);
        assert!(uris.0.borrow().is_empty());
    }

    #[test]
    fn a_path_is_known_as_it_arrived_and_normalised() {
        let masker = NameMasker::default();
        let paths = |target| TargetUri::new("a.example", target, &masker).paths;
        assert_eq!(paths("/v1/chat?x=1"), ["/v1/chat".into()]);
        assert_eq!(
            paths("/v1//%63hat/"),
            ["/v1//%63hat/".into(), "/v1/chat".into()]
        );
        assert_eq!(paths("/"), ["/".into()]);
        assert_eq!(paths(""), ["".into(), "/".into()]);
    }
}
