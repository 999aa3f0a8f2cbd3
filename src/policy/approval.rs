//! `approval`: who has to agree, and for how long that holds.

use super::decode::{Decoder, PolicyPath};
use super::field_ref::{self, FieldRef};
use super::grammar::{ApprovalKey, ApprovalServiceKey};
use super::node::Node;
use super::session::{self, SessionSource};
use crate::diag::codes;

/// How long an approval holds where the policy doesn't say.
const USUAL_SECONDS: u64 = 600;

/// Most seconds that a call waits. Envoy ends what is idle for five minutes.
const MAX_WAIT: u64 = 240;

/// The service that gives approvals, or is told that one is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalService {
    /// The name of Envoy's cluster.
    pub cluster: Box<str>,
    /// `:path` of the request.
    pub path: Box<str>,
    /// `:authority` of the request.
    pub authority: Box<str>,
}

/// Who has to agree to what a rule asks about.
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    /// Roles of those who may agree; one is enough. Without any, nobody is named.
    pub by: Vec<Box<str>>,
    /// How many have to agree.
    pub needed: u32,
    /// For how long, in seconds.
    pub valid_for: u64,
    /// For how many uses.
    pub uses: u32,
    /// What it is bound to: another value needs another approval. Without any, all arguments, or the whole request.
    pub(crate) bind: Vec<FieldRef>,
    /// What an approver reads in the request for an approval. It travels through the agent.
    pub(crate) show: Vec<FieldRef>,
    /// Where the session is looked for that it is bound to; empty: where an approval usually looks.
    pub(crate) session: Vec<SessionSource>,
    /// How many seconds a call waits while the approval service is asked.
    pub wait: Option<u64>,
    /// Whether the approval service is told of a denied call.
    pub notify: bool,
}

impl Approval {
    /// What holds where the policy says nothing.
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

    /// The paths that it is bound to, as written.
    pub fn bound_to(&self) -> impl Iterator<Item = &str> {
        self.bind.iter().map(|mention| &*mention.name)
    }

    /// Where the session is looked for that it is bound to, in this order.
    pub fn sessions(&self) -> &[SessionSource] {
        match self.session.as_slice() {
            [] => &SessionSource::OF_APPROVALS,
            named => named,
        }
    }

    /// The paths that an approver reads, as written.
    pub fn shown(&self) -> impl Iterator<Item = &str> {
        self.show.iter().map(|mention| &*mention.name)
    }
}

pub(crate) fn read(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Approval> {
    let mut approval = Approval::USUAL;
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            ApprovalKey::By => approval.by = decoder.names(&at, value)?,
            ApprovalKey::Needed => approval.needed = positive(decoder, &at, value)?,
            ApprovalKey::Uses => approval.uses = positive(decoder, &at, value)?,
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
                    let field = field_ref::read_mention(decoder, &at, &path, &value.span)?;
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

/// Reads `approval_service`.
pub(super) fn read_service(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<ApprovalService> {
    let (mut cluster, mut path, mut authority) = (None, None, None);
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let text = decoder.text(&at, &member.value)?;
        // Both are written into a request as they are.
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

fn positive(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<u32> {
    let count = decoder.count(at, node)?;
    let count = u32::try_from(count).ok().filter(|count| *count > 0);
    if count.is_none() {
        let help = "write `1` or more, or leave it out";
        decoder.error(codes::AG1011, at, &node.span, "one is the least", help);
    }
    count
}
