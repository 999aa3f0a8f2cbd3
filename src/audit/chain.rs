//! Chain of audit events: each event names its predecessor, and a key authenticates each event with a MAC.

use crate::wire::{decimal, hex};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// MAC key of a chain. Its hash states are prepared once.
#[derive(Clone)]
pub struct ChainKey(Hmac<Sha256>);

impl std::fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChainKey")
    }
}

impl ChainKey {
    /// Creates a key from bytes of any length; `None` if there are none.
    pub fn new(key: &[u8]) -> Option<ChainKey> {
        if key.is_empty() {
            return None;
        }
        Hmac::new_from_slice(key).ok().map(ChainKey)
    }

    fn mac(&self, line: &[u8]) -> String {
        hex::encode(&self.mac_of(&[line]))
    }

    /// Returns the MAC over the concatenated parts of a line.
    pub(super) fn mac_of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// State of a chain: its id, the next sequence number and the digest of the last event. Every VM has its own chain.
#[derive(Clone, Debug)]
pub struct Chain {
    id: String,
    seq: u64,
    prev: String,
    key: Option<ChainKey>,
}

/// The predecessor that the first event of a chain names.
const NO_PREDECESSOR: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Chain {
    /// Starts a chain. `id` must be unique.
    pub fn new(id: [u8; 8], key: Option<ChainKey>) -> Chain {
        Chain {
            id: hex::encode(&id),
            seq: 0,
            prev: NO_PREDECESSOR.to_owned(),
            key,
        }
    }

    /// The chain's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sequence number of the next event.
    pub fn next_seq(&self) -> u64 {
        self.seq
    }

    /// Writes the chain members of the next event, except the MAC.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(b"\",\"seq\":");
        decimal::write(out, self.seq, 1);
        out.extend_from_slice(b",\"prev\":\"");
        out.extend_from_slice(self.prev.as_bytes());
        out.push(b'"');
        if self.seq == 0 {
            out.extend_from_slice(b",\"start\":true");
        }
        out.push(b'}');
    }

    /// Completes the event in `line`, whose chain object ends at `chain_end` (after its brace): adds the MAC over the
    /// line and advances the chain. The next event names this one by its MAC, or without a key by its SHA-256.
    pub(super) fn seal(&mut self, line: &mut Vec<u8>, chain_end: usize) {
        match &self.key {
            Some(key) => {
                let mac = key.mac(line);
                let at = chain_end.saturating_sub(1);
                let member = [b",\"mac\":\"", mac.as_bytes(), b"\""].concat();
                line.splice(at..at, member);
                self.prev = mac;
            }
            None => self.prev = hex::encode(&Sha256::digest(&*line)),
        }
        self.seq = self.seq.saturating_add(1);
    }
}
