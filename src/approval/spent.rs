//! Table of request ids whose approvals were used, in data that all workers share.
//!
//! Its size is fixed, since shared data is never freed: [`BUCKETS`] keys, each with at most [`MAX_ENTRIES`] entries of 28
//! bytes.
//!
//! ```text
//! 16 bytes  start of SHA-256 of the id
//!  8 bytes  until when it must be remembered, seconds since 1970, big-endian
//!  4 bytes  uses, big-endian
//! ```
//!
//! An entry is removed only if its bucket is full and its token has expired. So a clock that jumps ahead and back loses
//! nothing while there is room. A full bucket denies.

use super::check::{Grant, Invalid};
use crate::proxy::SharedData;
use sha2::{Digest, Sha256};

/// Number of keys in the shared data.
const BUCKETS: u8 = 64;

/// Maximum entries of a bucket.
const MAX_ENTRIES: usize = 64;

/// Number of bytes of an entry.
const ENTRY: usize = 28;

/// Number of bytes of an id.
const ID: usize = 16;

/// Maximum attempts to write while other workers write the same bucket.
const MAX_ATTEMPTS: usize = 256;

/// Table of spent ids.
#[derive(Clone, Copy)]
pub struct SpentTokens<'a> {
    data: &'a dyn SharedData,
    now: u64,
}

impl std::fmt::Debug for SpentTokens<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SpentTokens({})", self.now)
    }
}

struct Entry {
    id: [u8; ID],
    until: u64,
    uses: u32,
}

impl<'a> SpentTokens<'a> {
    /// Opens the table. `now` is in seconds since 1970.
    pub fn new(data: &'a dyn SharedData, now: u64) -> SpentTokens<'a> {
        SpentTokens { data, now }
    }

    /// Creates the table's keys. To be called before any worker takes requests: if two workers found a key absent, both
    /// would write it, and the uses that one of them had recorded would be lost.
    pub fn prepare(data: &dyn SharedData) {
        for bucket in 0..BUCKETS {
            let name = name(bucket);
            if data.get(&name).is_none() {
                let _ = data.set(&name, &[], 0);
            }
        }
    }

    /// Checks that a use is left.
    pub(super) fn peek(&self, grant: &Grant) -> Result<(), Invalid> {
        let (id, name) = place(&grant.id);
        let value = self.data.get(&name).map(|versioned| versioned.value);
        let entries = read(&value.unwrap_or_default());
        let used = entries.iter().find(|entry| entry.id == id);
        match used {
            Some(entry) if entry.uses >= grant.uses => Err(Invalid::Replayed),
            _ => Ok(()),
        }
    }

    /// Records one use.
    ///
    /// # Errors
    /// No use is left, or the use can't be stored.
    pub fn spend(&self, grant: &Grant) -> Result<(), Invalid> {
        let (id, name) = place(&grant.id);
        for _ in 0..MAX_ATTEMPTS {
            let Some(known) = self.data.get(&name) else {
                let _ = self.data.set(&name, &[], 0);
                continue;
            };
            let mut entries = read(&known.value);
            match entries.iter_mut().find(|entry| entry.id == id) {
                Some(entry) if entry.uses >= grant.uses => return Err(Invalid::Replayed),
                Some(entry) => {
                    entry.uses = entry.uses.saturating_add(1);
                    entry.until = entry.until.max(grant.until);
                }
                None => {
                    if entries.len() >= MAX_ENTRIES {
                        entries.retain(|entry| entry.until > self.now);
                    }
                    if entries.len() >= MAX_ENTRIES {
                        return Err(Invalid::TableFull);
                    }
                    entries.push(Entry {
                        id,
                        until: grant.until,
                        uses: 1,
                    });
                }
            }
            let written = self.data.set(&name, &write(&entries), known.version);
            if written.is_ok() {
                return Ok(());
            }
        }
        Err(Invalid::TableFull)
    }
}

fn name(bucket: u8) -> String {
    format!("agentguard.approvals.1.{bucket}")
}

/// Returns the hash of an id, and the key of its bucket.
fn place(id: &str) -> ([u8; ID], String) {
    let hash = Sha256::digest(id.as_bytes());
    let mut short = [0; ID];
    for (to, from) in short.iter_mut().zip(hash) {
        *to = from;
    }
    let bucket = short.first().copied().unwrap_or(0).checked_rem(BUCKETS);
    (short, name(bucket.unwrap_or(0)))
}

fn read(bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(bytes.len().div_ceil(ENTRY).saturating_add(1));
    for chunk in bytes.chunks_exact(ENTRY) {
        let Some((id, rest)) = chunk.split_first_chunk::<ID>() else {
            continue;
        };
        let Some((until, uses)) = rest.split_first_chunk::<8>() else {
            continue;
        };
        entries.push(Entry {
            id: *id,
            until: u64::from_be_bytes(*until),
            uses: uses.try_into().map_or(u32::MAX, u32::from_be_bytes),
        });
    }
    entries
}

fn write(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len().saturating_mul(ENTRY));
    for entry in entries {
        bytes.extend_from_slice(&entry.id);
        bytes.extend_from_slice(&entry.until.to_be_bytes());
        bytes.extend_from_slice(&entry.uses.to_be_bytes());
    }
    bytes
}
