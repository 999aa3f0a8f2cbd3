//! Blocks of a response that the client has received: a denial continues after them.

/// Blocks that were sent to the client.
#[derive(Debug, Default)]
pub(super) struct ClientBlocks {
    /// Whether the event before the first block was sent.
    pub(super) has_begun: bool,
    /// Whether the finish reason was sent.
    pub(super) has_ended: bool,
    /// Number of the next block.
    pub(super) next: u32,
    /// Blocks that have not ended.
    pub(super) open: Vec<u32>,
}

impl ClientBlocks {
    /// Records the beginning or continuation of a block.
    pub(super) fn open(&mut self, index: u32) {
        if !self.open.contains(&index) {
            self.open.push(index);
        }
        self.next = self.next.max(index.saturating_add(1));
    }

    /// Records the end of a block.
    pub(super) fn close(&mut self, index: u32) {
        self.open.retain(|open| *open != index);
    }
}
