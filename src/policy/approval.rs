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
    /// How long a request waits for it, in seconds.
    pub wait: u64,
    /// What it is bound to: another value needs another approval.
    pub(crate) bind: Vec<FieldRef>,
}

impl Approval {
    /// What holds where the policy says nothing.
    pub(crate) const USUAL: Approval = Approval {
        by: Vec::new(),
        needed: 1,
        valid_for: USUAL_SECONDS,
        uses: 1,
        wait: 0,
        bind: Vec::new(),
    };

    /// The paths that it is bound to, as written.
    pub fn bound_to(&self) -> impl Iterator<Item = &str> {
        self.bind.iter().map(|mention| &*mention.name)
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
            ApprovalKey::Wait => approval.wait = decoder.seconds(&at, value)?,
            ApprovalKey::Bind => {
                for path in decoder.names(&at, value)? {
                    let bound = field_ref::read_mention(decoder, &at, &path, &value.span)?;
                    approval.bind.push(bound);
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
