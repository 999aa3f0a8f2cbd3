//! Key `approval`: who must approve, and for how long an approval is valid.

use super::decode::{Decoder, PolicyPath};
use super::field_ref::{self, FieldRef};
use super::grammar::{ApprovalKey, ApprovalServiceKey};
use super::node::Node;
use super::session::{self, SessionSource};
use crate::diag::codes;

/// Default validity of an approval, in seconds.
const USUAL_SECONDS: u64 = 600;

/// Maximum seconds that a call waits. Envoy's stream idle timeout is five minutes.
const MAX_WAIT: u64 = 240;

/// Service that gives approvals, or is notified that one is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalService {
    /// Name of Envoy's cluster.
    pub cluster: Box<str>,
    /// `:path` of the request.
    pub path: Box<str>,
    /// `:authority` of the request.
    pub authority: Box<str>,
}

/// Approval that a rule requires.
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    /// Roles that may approve. Empty: the policy names no role.
    pub by: Vec<Box<str>>,
    /// Number of approvals needed.
    pub needed: u32,
    /// Validity in seconds.
    pub valid_for: u64,
    /// Number of uses.
    pub uses: u32,
    /// Fields that the approval is bound to: another value needs another approval. Empty: all arguments, or the whole
    /// request.
    pub(crate) bind: Vec<FieldRef>,
    /// Fields that an approver sees in the request for an approval. That request passes through the agent.
    pub(crate) show: Vec<FieldRef>,
    /// Sources of the session that the approval is bound to; empty: the default sources of approvals.
    pub(crate) session: Vec<SessionSource>,
    /// Seconds that a call waits for the approval service.
    pub wait: Option<u64>,
    /// Whether the approval service is notified of a denied call.
    pub notify: bool,
}

impl Approval {
    /// Approval without any key.
    pub(crate) const USUAL: Approval = Approval {
        by: Vec::new(),
        needed: 1,
        valid_for: USUAL_SECONDS,
        uses: 1,
        bind: Vec::new(),
        show: Vec::new(),
        session: Vec::new(),
        wait: None,
        notify: false,
    };

    /// Returns the paths that the approval is bound to, as written.
    pub fn bound_to(&self) -> impl Iterator<Item = &str> {
        self.bind.iter().map(|field_ref| &*field_ref.name)
    }

    /// Returns the sources of the session that the approval is bound to, in the order in which they are tried.
    pub fn sessions(&self) -> &[SessionSource] {
        match self.session.as_slice() {
            [] => &SessionSource::OF_APPROVALS,
            named => named,
        }
    }

    /// Returns the paths that an approver sees, as written.
    pub fn shown(&self) -> impl Iterator<Item = &str> {
        self.show.iter().map(|field_ref| &*field_ref.name)
    }
}

pub(crate) fn read(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Approval> {
    let mut approval = Approval::USUAL;
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            ApprovalKey::By => approval.by = decoder.names(&at, value)?,
            ApprovalKey::Needed => approval.needed = decoder.positive(&at, value)?,
            ApprovalKey::Uses => approval.uses = decoder.positive(&at, value)?,
            ApprovalKey::ValidFor => approval.valid_for = decoder.seconds(&at, value)?,
            ApprovalKey::Wait => {
                let seconds = decoder.seconds(&at, value)?;
                if !(1..=MAX_WAIT).contains(&seconds) {
                    let message = format!("a call waits between a second and {MAX_WAIT} seconds");
                    let help =
                        "write for example `wait: 30s`; Envoy ends what is idle for five minutes";
                    decoder.error(codes::AG1011, &at, &value.span, &message, help);
                    return None;
                }
                approval.wait = Some(seconds);
            }
            ApprovalKey::Session => approval.session = session::read(decoder, &at, value)?,
            ApprovalKey::Notify => approval.notify = decoder.boolean(&at, value)?,
            ApprovalKey::Bind | ApprovalKey::Show => {
                for path in decoder.names(&at, value)? {
                    let field = field_ref::read_field_ref(decoder, &at, &path, &value.span)?;
                    match key {
                        ApprovalKey::Bind => approval.bind.push(field),
                        _ => approval.show.push(field),
                    }
                }
            }
        }
    }
    if approval.valid_for == 0 {
        let message = "an approval that holds for no time can never be used";
        let help = "write how long it may be used, for example `valid_for: 10m`";
        decoder.error(
            codes::AG1011,
            &at.key("valid_for"),
            &node.span,
            message,
            help,
        );
        return None;
    }
    Some(approval)
}

/// Reads the key `approval_service`.
pub(super) fn read_service(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<ApprovalService> {
    let (mut cluster, mut path, mut authority) = (None, None, None);
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let text = decoder.text(&at, &member.value)?;
        // Path and authority are written into the request unescaped. The cluster's name is the default authority.
        let is_visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let (known, is_valid, help) = match key {
            ApprovalServiceKey::Cluster => (
                &mut cluster,
                is_visible,
                "write the name that the cluster has in Envoy: `cluster: approvals`",
            ),
            ApprovalServiceKey::Path => (
                &mut path,
                is_visible && text.starts_with('/'),
                "write an absolute path: `path: /approvals`",
            ),
            ApprovalServiceKey::Authority => (
                &mut authority,
                is_visible,
                "write a host: `authority: approvals.example.com`",
            ),
        };
        if !is_valid {
            let message = format!("this is no {}", member.key);
            decoder.error(codes::AG1005, &at, &member.value.span, &message, help);
            return None;
        }
        *known = Some(text);
    }
    let cluster = cluster?;
    Some(ApprovalService {
        path: path.unwrap_or_else(|| "/".into()),
        authority: authority.unwrap_or_else(|| cluster.clone()),
        cluster,
    })
}
