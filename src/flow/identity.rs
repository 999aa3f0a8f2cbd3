//! Identity of the caller in an exchange: turns credentials into facts, and removes headers that may not go upstream.

use super::Flow;
use super::evaluate::DeniedEvent;
use super::exchange::ExchangeOutcome;
use super::request::is_own;
use super::step::{HeaderEdit, RequestHead};
use crate::diag::codes;
use crate::event::{Direction, Kind, Known, Principal};
use crate::identity::{Credentials, Failure, Identified, Reason, forbidden_trailers, identify};
use crate::policy::EnvironmentSource;
use std::rc::Rc;

/// Returns the names of trailers that only AgentGuard sets.
fn own_names(trailers: &[(&[u8], &[u8])]) -> impl Iterator<Item = String> {
    let own = trailers.iter().filter(|(name, _)| is_own(name));
    own.map(|(name, _)| String::from_utf8_lossy(name).into_owned())
}

fn removal(name: String) -> HeaderEdit {
    HeaderEdit::Remove(name.into())
}

impl Flow {
    /// Resolves the credentials of a request.
    pub(super) fn identify(&self, head: &RequestHead<'_>) -> Identified {
        let document = &self.guard.policy.document;
        let credentials = Credentials {
            headers: head.headers,
            properties: head.properties,
            now: head.now,
        };
        identify(&document.principals, &self.guard.keys, &credentials)
    }

    /// Stores the principal of the request.
    pub(super) fn remember_caller(&mut self, identified: Identified) {
        let guard = Rc::clone(&self.guard);
        let document = &guard.policy.document;
        self.authentication = identified.failure;
        self.facts.principal = identified.principal;
        if let Some(given) = self.given_principal.take() {
            self.authentication = None;
            self.facts.principal = given;
        }
        if let EnvironmentSource::Principal { otherwise } = &document.environment {
            self.facts.environment = environment(&self.facts.principal, otherwise.as_deref());
        }
    }

    /// Returns the edits of a request's trailers: a name that may not go upstream as a header may not go as a trailer
    /// either.
    pub fn trailer_edits(&self, trailers: &[(&[u8], &[u8])]) -> Vec<HeaderEdit> {
        let applies = !self.exchange.ignored;
        let sources = &self.guard.policy.document.principals;
        let mut names = forbidden_trailers(sources, &self.guard.keys, trailers, applies);
        names.extend(own_names(trailers).filter(|_| applies));
        names.into_iter().map(removal).collect()
    }

    /// Returns the edits of a response's trailers. The filter's own names must not reach the client from an upstream,
    /// and clients may read trailers as headers.
    pub fn response_trailer_edits(&self, trailers: &[(&[u8], &[u8])]) -> Vec<HeaderEdit> {
        match self.exchange.ignored {
            true => Vec::new(),
            false => own_names(trailers).map(removal).collect(),
        }
    }

    /// Denies a request with an invalid credential, or an anonymous one if the policy requires an identity.
    pub(super) fn evaluate_identity(&mut self) -> Option<DeniedEvent> {
        let code = match &self.authentication {
            Some(Failure {
                reason: Reason::Contradictory,
                ..
            }) => codes::AG4003,
            Some(_) => codes::AG4002,
            None if self.guard.policy.document.requires_identity == Some(true)
                && self.facts.principal.is_anonymous() =>
            {
                codes::AG4001
            }
            None => return None,
        };
        self.exchange.is_unauthenticated = true;
        let enforced = self.guard.policy.enforces_defaults();
        let outcome = if enforced {
            ExchangeOutcome::Deny
        } else {
            ExchangeOutcome::Allow
        };
        self.exchange.decided(outcome, ExchangeOutcome::Deny);
        enforced.then(|| DeniedEvent::half(Kind::Request, Direction::Request, code))
    }
}

/// Returns the environment of a principal.
fn environment(principal: &Principal, otherwise: Option<&str>) -> Known<Box<str>> {
    let named = match principal.claim("environment") {
        Known::Is(names) => match names.as_slice() {
            [name] => Some(*name),
            // With several values, the one that applies is unknown.
            [_, ..] => return Known::Unknown,
            [] => None,
        },
        Known::Unknown if !principal.is_anonymous() => return Known::Unknown,
        Known::Missing | Known::Unknown => None,
    };
    named
        .or(otherwise)
        .map_or(Known::Unknown, |name| Known::Is(name.into()))
}

/// Returns the removals of headers that may not go upstream: the policy's API keys always; where the policy applies,
/// also identity headers that did not come from a source's trusted proxies.
pub(super) fn removals(identified: &Identified, applies: bool) -> Vec<HeaderEdit> {
    let untrusted = identified.untrusted.iter().filter(|_| applies);
    let keys = identified.keys.iter();
    let names = keys.chain(untrusted);
    names
        .cloned()
        .map(|name| HeaderEdit::Remove(name.into()))
        .collect()
}
