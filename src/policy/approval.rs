//! `approval`: who has to agree, and for how long that holds.

use super::decode::{Decoder, PolicyPath};
use super::field_ref::{self, FieldRef};
use super::grammar::ApprovalKey;
use super::node::Node;
use crate::diag::codes;

/// How long an approval holds where the policy doesn't say.
const USUAL_SECONDS: u64 = 600;

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
    };

    /// The paths that it is bound to, as written.
    pub fn bound_to(&self) -> impl Iterator<Item = &str> {
        self.bind.iter().map(|mention| &*mention.name)
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
                let message = "a request can't wait for an approval yet";
                let help =
                    "leave it out: the agent asks again with the token in `x-agentguard-approval`";
                decoder.error(codes::AG1017, &at, &value.span, message, help);
                return None;
            }
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

fn positive(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<u32> {
    let count = decoder.count(at, node)?;
    let count = u32::try_from(count).ok().filter(|count| *count > 0);
    if count.is_none() {
        let help = "write `1` or more, or leave it out";
        decoder.error(codes::AG1011, at, &node.span, "one is the least", help);
    }
    count
}
