//! What of an answer in numbered blocks the client has: a refusal goes on from there.

use std::collections::BTreeSet;

/// What has been sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// What stands before the first block.
    pub(super) has_begun: bool,
    /// Why the answer ended.
    pub(super) has_ended: bool,
    /// Number of the next block.
    pub(super) next: u32,
    /// Blocks that have not ended.
    pub(super) open: BTreeSet<u32>,
}

impl Sent {
    /// A block has begun, or goes on.
    pub(super) fn open(&mut self, index: u32) {
        self.open.insert(index);
        self.next = self.next.max(index.saturating_add(1));
    }

    /// A block has ended.
    pub(super) fn close(&mut self, index: u32) {
        self.open.remove(&index);
    }
}
