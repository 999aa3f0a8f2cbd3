//! What an approval is for.

use super::encoding::{EncodingError, PayloadReader, PayloadWriter, texts};
use crate::event::{Known, Principal};

/// A call or a request, as far as an approval is bound to it. The filter makes it from what it sees; whatever a token says
/// of it must be the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Name of the policy.
    pub policy: Box<str>,
    /// `tool_call` or `request`.
    pub event: Box<str>,
    /// The tool; of a request, its method, host and path.
    pub what: Box<str>,
    /// Digest of the arguments, of the body, or of what `bind` names.
    pub args: Box<str>,
    /// The paths whose values are bound; without any, everything is.
    pub bind: Vec<Box<str>>,
    /// Digest of what the approver was shown; absent if nothing was.
    pub shown: Option<Box<str>>,
    /// The asker's id, if it is known.
    pub id: Option<Box<str>>,
    /// The asking agent.
    pub agent: Option<Box<str>>,
    /// The asking client.
    pub client: Option<Box<str>>,
    /// The asker's tenant.
    pub tenant: Option<Box<str>>,
    /// The session.
    pub session: Option<Box<str>>,
}

impl Subject {
    /// Sets who is asking.
    #[must_use]
    pub fn asked_by(mut self, principal: &Principal) -> Subject {
        let known = |member: &Known<Box<str>>| member.value().cloned();
        self.id = known(&principal.id);
        self.agent = known(&principal.agent);
        self.client = known(&principal.client);
        self.tenant = known(&principal.tenant);
        self
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
