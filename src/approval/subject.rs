//! Subject of an approval.

use super::encoding::{EncodingError, PayloadReader, PayloadWriter, texts};
use crate::event::{Known, Principal};

/// Call or request, with everything an approval is bound to. The filter derives it from the traffic; a token must contain
/// the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Name of the policy.
    pub policy: Box<str>,
    /// `tool_call` or `request`.
    pub event: Box<str>,
    /// Name of the tool; for a request, its method, host and path.
    pub what: Box<str>,
    /// Digest of the arguments, of the body, or of the values that `bind` names.
    pub args: Box<str>,
    /// Paths whose values are bound; if empty, everything is.
    pub bind: Vec<Box<str>>,
    /// Digest of the values shown to the approver; absent if none were.
    pub shown: Option<Box<str>>,
    /// Id of the caller, if known.
    pub id: Option<Box<str>>,
    /// Agent of the caller.
    pub agent: Option<Box<str>>,
    /// Client of the caller.
    pub client: Option<Box<str>>,
    /// Tenant of the caller.
    pub tenant: Option<Box<str>>,
    /// Session.
    pub session: Option<Box<str>>,
}

impl Subject {
    /// Sets the caller; `None` if a caller that a source has found has a member that can't be read: two of them would be the
    /// same to a token.
    pub fn asked_by(mut self, principal: &Principal) -> Option<Subject> {
        let known = |member: &Known<Box<str>>| match member {
            Known::Unknown if !principal.is_anonymous() => None,
            member => Some(member.value().cloned()),
        };
        self.id = known(&principal.id)?;
        self.agent = known(&principal.agent)?;
        self.client = known(&principal.client)?;
        self.tenant = known(&principal.tenant)?;
        Some(self)
    }

    pub(super) fn write(&self, out: &mut PayloadWriter) {
        out.text("policy", &self.policy);
        out.text("event", &self.event);
        out.text("what", &self.what);
        out.text("args", &self.args);
        if !self.bind.is_empty() {
            out.texts("bind", self.bind.iter().map(|path| &**path));
        }
        out.optional("shown", self.shown.as_deref());
        out.optional("principal", self.id.as_deref());
        out.optional("agent", self.agent.as_deref());
        out.optional("client", self.client.as_deref());
        out.optional("tenant", self.tenant.as_deref());
        out.optional("session", self.session.as_deref());
    }

    pub(super) fn read(payload: &mut PayloadReader<'_>) -> Result<Subject, EncodingError> {
        Ok(Subject {
            policy: payload.text("policy")?,
            event: payload.text("event")?,
            what: payload.text("what")?,
            args: payload.text("args")?,
            bind: payload
                .value("bind")
                .map(texts)
                .transpose()?
                .unwrap_or_default(),
            shown: payload.optional("shown")?,
            id: payload.optional("principal")?,
            agent: payload.optional("agent")?,
            client: payload.optional("client")?,
            tenant: payload.optional("tenant")?,
            session: payload.optional("session")?,
        })
    }
}
