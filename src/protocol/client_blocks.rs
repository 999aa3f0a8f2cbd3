//! What of a response in numbered blocks the client has: a refusal goes on from there.

/// What has been sent.
#[derive(Debug, Default)]
pub(super) struct ClientBlocks {
    /// What stands before the first block.
    pub(super) has_begun: bool,
    /// Why the response ended.
    pub(super) has_ended: bool,
    /// Number of the next block.
    pub(super) next: u32,
    /// Blocks that have not ended.
    pub(super) open: Vec<u32>,
}

impl ClientBlocks {
    /// A block has begun, or goes on.
    pub(super) fn open(&mut self, index: u32) {
        if !self.open.contains(&index) {
            self.open.push(index);
        }
        self.next = self.next.max(index.saturating_add(1));
    }

    /// A block has ended.
    pub(super) fn close(&mut self, index: u32) {
        self.open.retain(|open| *open != index);
    }
}
