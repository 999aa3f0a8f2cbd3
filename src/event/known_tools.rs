//! Tools of a request that have come before, byte for byte, and on which the policy has no say: no rule and no default could
//! decide anything about them, whoever sends them.

use super::Known;
use super::repeated::{PassedContent, PolicyKey, ReadSpan};
use std::cell::Cell;

/// Tool that has come before.
#[derive(Debug)]
pub struct KnownTool {
    /// What it is known for.
    pub key: PolicyKey,
    /// Reader of the tool.
    pub reader: &'static str,
    /// Whether the tool can be passed over.
    pub passes: bool,
    /// Number of requests in which it is read all the same.
    pub pause: Cell<u8>,
    /// Names that it is offered by.
    pub names: Box<[Known<Box<str>>]>,
    /// Work steps that reading it takes.
    pub steps: u64,
    /// What it adds to the exchange.
    pub adds: PassedContent,
}

impl KnownTool {
    /// Place among the remembered values of an element at which a tool is remembered: no value stands there.
    pub const PLACE: u32 = u32::MAX;

    /// Number of requests in which tools are read after one that had to be read again. It may come again, and others have the
    /// same tools.
    const PAUSE: u8 = 64;

    /// Returns whether the tool is passed over in a request.
    pub fn is_passed(&self) -> bool {
        let left = self.pause.get();
        self.pause.set(left.saturating_sub(1));
        self.passes && left == 0
    }

    /// Lets the tool be read for a while.
    pub fn pause(&self) {
        self.pause.set(Self::PAUSE);
    }
}

/// Tool that has come before and was read.
#[derive(Clone, Debug)]
pub struct NewTool {
    /// Reader of the tool.
    pub reader: &'static str,
    /// Its place.
    pub span: ReadSpan,
}
