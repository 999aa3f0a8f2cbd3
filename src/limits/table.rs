//! Table of counters in Envoy's shared data: a fixed number of buckets, which contain the entries whose keys hash to them.
//!
//! Envoy never frees a key of shared data, and a compare-and-swap needs a key that exists. So all buckets are created
//! once, before requests arrive, and no key is added later. A full bucket drops entries: expired ones first, then the
//! least recently used one of the same limit, then of any other limit. So a flood of sessions can evict only sessions, not
//! the count of a tenant.
//!
//! ```text
//! bucket = version (1 byte) · entry*
//! entry  = tag (4) · key (12) · last use in s (4) · expiry in s (4) · length of the payload (2) · payload
//! ```

use crate::proxy::{SharedData, Versioned};
use std::cell::Cell;
use std::rc::Rc;

/// Number of buckets.
pub const BUCKETS: u16 = 4_096;

/// Maximum bytes of a bucket: about a hundred entries.
const MAX_BUCKET_BYTES: usize = 4 << 10;

/// Version of the format.
const FORMAT: u8 = 1;

/// Maximum attempts to write. Each failed attempt means that another worker has written. A loop of a few microseconds
/// fails this often only if something is wrong.
const MAX_ATTEMPTS: usize = 1_000;

/// Key of the table's salt. It is written last, so that it exists only if all buckets do.
const HEADER: &str = "agentguard.limits";

/// Bytes of an entry before its payload.
const ENTRY_HEADER: usize = 26;

/// Error: the counters could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// Key of a counter: the limit's tag, and a hash of the values of its `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotKey {
    pub(super) tag: [u8; 4],
    pub(super) hash: [u8; 12],
}

impl SlotKey {
    fn bucket(&self) -> u16 {
        let [a, b, ..] = self.hash;
        u16::from_le_bytes([a, b]) & (BUCKETS.saturating_sub(1))
    }
}

/// Change of an entry.
pub(super) enum Update {
    /// Leave it as it is.
    Keep,
    /// Write this payload, which expires at this second.
    Write(Vec<u8>, u32),
}

/// Function that determines an entry's change from its payload. It may be called again.
type Change<'c> = dyn FnMut(Option<&[u8]>) -> Result<Update, Unavailable> + 'c;

/// Table of one `vm_id`.
pub(super) struct Table {
    shared: Rc<dyn SharedData>,
    salt: [u8; 16],
    evictions: Cell<u64>,
}

/// Entry of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'b> {
    pub(super) key: SlotKey,
    pub(super) used_s: u32,
    pub(super) expires_s: u32,
    pub(super) payload: &'b [u8],
}

impl Entry<'_> {
    /// Returns the entry's size in a bucket, in bytes.
    fn size(&self) -> usize {
        ENTRY_HEADER.saturating_add(self.payload.len())
    }
}

fn bucket_name(number: u16) -> String {
    format!("{HEADER}.{number}")
}

impl Table {
    /// Opens the table; creates it if it does not exist.
    pub(super) fn open(shared: Rc<dyn SharedData>, salt: [u8; 16]) -> Table {
        let known = |shared: &dyn SharedData| {
            let header = shared.get(HEADER)?.value;
            let (version, salt) = header.split_first()?;
            (*version == FORMAT).then_some(())?;
            <[u8; 16]>::try_from(salt).ok()
        };
        let salt = known(&*shared).unwrap_or_else(|| {
            for number in 0..BUCKETS {
                // An empty bucket has no version to compare with. No other worker writes before the header exists.
                let _ = shared.set(&bucket_name(number), &[FORMAT], 0);
            }
            let mut header = vec![FORMAT];
            header.extend_from_slice(&salt);
            let _ = shared.set(HEADER, &header, 0);
            salt
        });
        Table {
            shared,
            salt,
            evictions: Cell::new(0),
        }
    }

    pub(super) fn salt(&self) -> &[u8; 16] {
        &self.salt
    }

    pub(super) fn take_evictions(&self) -> u64 {
        self.evictions.take()
    }

    /// Reads an entry and writes the result of `change`; repeats that until no other worker has written in between.
    pub(super) fn update(
        &self,
        key: &SlotKey,
        now_ms: u64,
        change: &mut Change<'_>,
    ) -> Result<(), Unavailable> {
        let name = bucket_name(key.bucket());
        let now_s = u32::try_from(now_ms.div_euclid(1_000)).unwrap_or(u32::MAX);
        for _ in 0..MAX_ATTEMPTS {
            let Versioned { value, version } = self.shared.get(&name).ok_or(Unavailable)?;
            let entries = read(&value).ok_or(Unavailable)?;
            let known = entries.iter().find(|entry| entry.key == *key);
            let (payload, expires_s) = match change(known.map(|entry| entry.payload))? {
                Update::Keep => return Ok(()),
                Update::Write(payload, expires_s) => (payload, expires_s),
            };
            let written = Entry {
                key: *key,
                used_s: now_s,
                expires_s,
                payload: &payload,
            };
            let (bytes, evicted) = replaced(&entries, written, now_s);
            if self.shared.set(&name, &bytes, version).is_ok() {
                self.evictions
                    .set(self.evictions.get().saturating_add(evicted));
                return Ok(());
            }
        }
        Err(Unavailable)
    }
}

/// Parses the entries of a bucket; `None` if it is not in this format.
pub(super) fn read(bytes: &[u8]) -> Option<Vec<Entry<'_>>> {
    let (version, mut rest) = bytes.split_first()?;
    (*version == FORMAT).then_some(())?;
    let mut entries = Vec::with_capacity(rest.len().div_euclid(ENTRY_HEADER));
    while !rest.is_empty() {
        let (tag, after) = rest.split_first_chunk()?;
        let (hash, after) = after.split_first_chunk()?;
        let (used, after) = after.split_first_chunk()?;
        let (expires, after) = after.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let (payload, after) = after.split_at_checked(u16::from_le_bytes(*length).into())?;
        entries.push(Entry {
            key: SlotKey {
                tag: *tag,
                hash: *hash,
            },
            used_s: u32::from_le_bytes(*used),
            expires_s: u32::from_le_bytes(*expires),
            payload,
        });
        rest = after;
    }
    Some(entries)
}

/// Encodes a bucket.
pub(super) fn write<'e>(entries: impl Iterator<Item = &'e Entry<'e>> + Clone) -> Vec<u8> {
    let size = entries
        .clone()
        .fold(1usize, |size, entry| size.saturating_add(entry.size()));
    let mut bytes = Vec::with_capacity(size);
    bytes.push(FORMAT);
    for entry in entries {
        // A counter's payload is always far smaller.
        let length = u16::try_from(entry.payload.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&entry.key.tag);
        bytes.extend_from_slice(&entry.key.hash);
        bytes.extend_from_slice(&entry.used_s.to_le_bytes());
        bytes.extend_from_slice(&entry.expires_s.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(entry.payload.get(..length.into()).unwrap_or_default());
    }
    bytes
}

/// Returns the bucket with an entry written, and the number of live entries that were dropped for it.
fn replaced(entries: &[Entry<'_>], written: Entry<'_>, now_s: u32) -> (Vec<u8>, u64) {
    let mut kept: Vec<&Entry<'_>> = Vec::with_capacity(entries.len());
    kept.extend(entries.iter().filter(|entry| entry.key != written.key));
    let mut size = kept
        .iter()
        .map(|entry| entry.size())
        .fold(written.size().saturating_add(1), usize::saturating_add);
    let mut evicted = 0u64;
    if size > MAX_BUCKET_BYTES {
        kept.retain(|entry| {
            let is_live = entry.expires_s > now_s;
            if !is_live {
                size = size.saturating_sub(entry.size());
            }
            is_live
        });
    }
    while size > MAX_BUCKET_BYTES {
        let victim = kept
            .iter()
            .enumerate()
            .min_by_key(|(_, entry)| (entry.key.tag != written.key.tag, entry.used_s))
            .map(|(at, _)| at);
        let Some(victim) = victim else { break };
        size = size.saturating_sub(kept.remove(victim).size());
        evicted = evicted.saturating_add(1);
    }
    (write(kept.into_iter().chain([&written])), evicted)
}
