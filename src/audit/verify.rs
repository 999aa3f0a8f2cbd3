//! Verification of an audit trail: every record is at its position in its chain and has its original content.
//!
//! A [`Verifier`] takes lines, whatever the order of the files. It keeps segments of consecutive records, one for each
//! chain plus one for each gap, so a million sound records need memory for one segment per chain. Without the MAC key, an
//! attacker who can write the files can rewrite a chain undetected. No chain can prove that its last record is the last
//! one written. A [`Checkpoint`](super::Checkpoint) that is stored elsewhere closes both gaps for all records before it.
//!
//! ```
//! use agentguard::audit::{Verifier, parse_chain_id};
//! let first = r#"{"v":1,"ts":"2026-01-01T00:00:00.000Z","chain":{"id":"0101010101010101","seq":0,"prev":"0000000000000000000000000000000000000000000000000000000000000000","start":true},"decision":"allow"}"#;
//! let second = r#"{"v":1,"ts":"2026-01-01T00:00:01.000Z","chain":{"id":"0101010101010101","seq":1,"prev":"843b178c2cb2dd15fd53f6d85bf06b37efda1341013276726ae48c4dd7f51ea8"},"decision":"deny"}"#;
//! let report = Verifier::new(Vec::new()).lines([first, second]);
//! assert!(report.faults.is_empty());
//! // On another day, verify only what was written since.
//! let head = report.heads[&parse_chain_id("0101010101010101").unwrap()];
//! assert_eq!(head.seq, 1);
//! let report = Verifier::new(Vec::new()).behind(report.heads).lines([second]);
//! assert!(report.faults.is_empty());
//! // A changed record does not match its successor.
//! let changed = first.replace("allow", "deny");
//! let report = Verifier::new(Vec::new()).lines([changed.as_str(), second]);
//! assert_eq!(report.faults[0].word(), "unlinked");
//! ```

use super::chain::ChainKey;
use super::time::is_time;
use crate::wire::hex;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Maximum segments that are kept. An ordinary trail has one per chain and file.
const MAX_SEGMENTS: usize = 1_000_000;

/// Maximum faults that are kept, so that a large file without records does not become as large a list of faults.
const MAX_FAULTS: usize = 100_000;

/// Id of a chain.
pub type ChainId = [u8; 8];

/// Digest of a record that its successor contains: its MAC, or its SHA-256 without a key.
pub type RecordDigest = [u8; 32];

/// Position of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the file, in the order in which they were given.
    pub file: usize,
    /// Line, from 1.
    pub line: u64,
}

/// The last known record of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Sequence number of the record.
    pub seq: u64,
    /// Digest that the successor contains.
    pub digest: RecordDigest,
    /// Kind of the digest; `None` in heads that were written without it.
    pub kind: Option<DigestKind>,
}

/// Kind of a record's digest. A hash and a MAC of the same bytes are different records: otherwise a record of a trail without
/// MACs could be changed and get the digest that was stored elsewhere as its MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestKind {
    /// The record's MAC, HMAC-SHA-256.
    Mac,
    /// The SHA-256 of a record without a MAC.
    Hash,
}

impl DigestKind {
    /// Word of the kind in the display form of a head.
    const fn word(self) -> &'static str {
        match self {
            DigestKind::Mac => "hmac-sha256",
            DigestKind::Hash => "sha256",
        }
    }
}

/// Fault in a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A line that is no record.
    NoRecord(Place),
    /// A record of another version of agentguard.
    OtherVersion(Place),
    /// The last line of a file ends in the middle of a record.
    Truncated(Place),
    /// The compressed data of a file ends early.
    TruncatedFile(Place),
    /// The rest of a file can't be read.
    Unreadable {
        /// The first line that could not be read.
        at: Place,
        /// Error.
        why: String,
    },
    /// The `ts` of a record is not a timestamp.
    NoTime(Place),
    /// The MAC of a record does not match its content.
    Changed(Place),
    /// A record has no MAC, although a key was given.
    NoMac(Place),
    /// A record has a MAC and others of its chain have none, or the reverse.
    MixedMacs(Place),
    /// The MAC of a record is of another key than that of others of its chain.
    OtherKey(Place),
    /// A record does not contain the digest of its predecessor: one of the two was changed.
    Unlinked {
        /// The record.
        at: Place,
        /// The record before it; `None` for the head that was given.
        after: Option<Place>,
    },
    /// Records are missing.
    Missing {
        /// Their chain.
        chain: ChainId,
        /// The first sequence number that is missing.
        first: u64,
        /// The last one.
        last: u64,
        /// The record before the gap; `None` if it is not in this trail.
        after: Option<Place>,
        /// The record after the gap.
        before: Place,
    },
    /// Two records have the same sequence number: one of the two was inserted.
    Repeated {
        /// The record.
        at: Place,
        /// The other record.
        first: Place,
        /// Whether the two are the same records: a copy of a file.
        is_copy: bool,
    },
    /// A record differs from the one whose digest was stored elsewhere.
    Rewritten {
        /// The record.
        at: Place,
        /// Its chain.
        chain: ChainId,
        /// Its sequence number.
        seq: u64,
        /// Source of the stored digest.
        kept: Kept,
    },
    /// A chain ends before a record whose digest was stored elsewhere.
    CutOff {
        /// The chain.
        chain: ChainId,
        /// Sequence number of that record.
        seq: u64,
        /// Last sequence number in the trail.
        last: Option<u64>,
        /// Source of the stored digest.
        kept: Kept,
    },
    /// A record follows a later one of its chain in the same file.
    Reordered {
        /// The record.
        at: Place,
        /// The later record.
        behind: Place,
    },
}

/// Source of a digest that was stored earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A checkpoint.
    Checkpoint,
    /// The heads after which the verification starts.
    Heads,
}

/// The result of a verification.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The faults, by place.
    pub faults: Vec<Fault>,
    /// Number of records.
    pub records: u64,
    /// Number of exchanges that no policy evaluated, which are `-` in the access log.
    pub not_evaluated: u64,
    /// The last record of each chain.
    pub heads: BTreeMap<ChainId, Head>,
    /// Whether the MACs of all records were checked.
    pub authenticated: bool,
    /// Number of MACs that were not checked, because no key was given.
    pub unchecked_macs: u64,
    /// Number of checkpoint heads that were found in the trail.
    pub anchored: u64,
    /// Number of checkpoint heads that these files can't prove, because they are not behind the heads after which the
    /// verification starts, and the records before those are not all present.
    pub before_start: u64,
    /// Whether there were too many faults or segments to report all.
    pub is_incomplete: bool,
}

/// Verifier of audit records.
#[derive(Debug, Default)]
pub struct Verifier {
    keys: Vec<ChainKey>,
    heads: BTreeMap<ChainId, Head>,
    /// Heads of checkpoints, each with whether it was found.
    anchors: BTreeMap<ChainId, Vec<(Head, bool)>>,
    chains: BTreeMap<ChainId, ChainSegments>,
    /// Chains whose first record is present.
    begun: BTreeSet<ChainId>,
    segments: usize,
    report: Report,
}

/// Consecutive records of a chain.
#[derive(Clone, Copy, Debug)]
struct Segment {
    first: u64,
    /// Digest that the first record contains of its predecessor.
    prev: RecordDigest,
    first_at: Place,
    last: Head,
    last_at: Place,
}

impl Segment {
    /// Returns whether another segment is a copy of this one or of its end. Equal digests of the last record imply equal
    /// records before it.
    fn ends_as(&self, other: &Segment) -> bool {
        self.last == other.last && self.first <= other.first
    }
}

#[derive(Debug, Default)]
struct ChainSegments {
    /// Segments. All but the last are closed.
    list: Vec<Segment>,
    /// How the first record that was read is sealed; `None` if that is not known.
    seal: Option<Seal>,
}

/// How a record is sealed. The filter gives a chain its key at its beginning, so all records of a chain have the same seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seal {
    /// It has no MAC.
    Hash,
    /// It has a MAC, which is not checked.
    Mac,
    /// It has a MAC of the key with this number.
    Key(usize),
}

impl Verifier {
    /// Creates a verifier. Every record must have a MAC of one of the keys; without keys, MACs are not checked.
    pub fn new(keys: Vec<ChainKey>) -> Verifier {
        Verifier {
            keys,
            ..Verifier::default()
        }
    }

    /// Starts after records that were verified earlier.
    #[must_use]
    pub fn behind(mut self, heads: BTreeMap<ChainId, Head>) -> Verifier {
        self.heads = heads;
        self
    }

    /// Requires the records that a checkpoint names. May be called for several checkpoints.
    #[must_use]
    pub fn anchored(mut self, heads: &BTreeMap<ChainId, Head>) -> Verifier {
        for (chain, head) in heads {
            self.anchors.entry(*chain).or_default().push((*head, false));
        }
        self
    }

    /// Verifies the lines of one trail from any source.
    pub fn lines<L: AsRef<[u8]>>(mut self, lines: impl IntoIterator<Item = L>) -> Report {
        for (line, number) in lines.into_iter().zip(1..) {
            let at = Place {
                file: 0,
                line: number,
            };
            self.line(line.as_ref(), at, true);
        }
        self.finish()
    }

    /// Adds a fault that occurred while a file was read.
    pub fn fault(&mut self, fault: Fault) {
        match self.report.faults.len() < MAX_FAULTS {
            true => self.report.faults.push(fault),
            false => self.report.is_incomplete = true,
        }
    }

    /// Adds a line without its end. `is_complete` is false for a last line without a line feed.
    pub fn line(&mut self, line: &[u8], at: Place, is_complete: bool) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() || line == b"-" {
            // Envoy writes `-` for an exchange that the filter did not see.
            let counted = u64::from(line == b"-");
            self.report.not_evaluated = self.report.not_evaluated.saturating_add(counted);
            return;
        }
        // A line can be cut after an inner brace, so a closing brace does not prove that an unfinished line is whole.
        let is_whole = || is_complete || serde_json::from_slice::<IgnoredAny>(line).is_ok();
        let Some(link) = Link::parse(line).filter(|_| is_whole()) else {
            self.fault(match is_complete {
                true if is_of_other_version(line) => Fault::OtherVersion(at),
                true => Fault::NoRecord(at),
                false => Fault::Truncated(at),
            });
            return;
        };
        self.report.records = self.report.records.saturating_add(1);
        if !link.has_time {
            self.fault(Fault::NoTime(at));
        }
        let (digest, seal) = self.digest(line, &link, at);
        if let Some(seal) = seal {
            self.compare_seal(link.id, seal, at);
        }
        self.append(&link, digest, at);
    }

    /// Returns the digest that the successor of a record must contain, and how the record is sealed; `None` for a seal that
    /// is a fault by itself.
    fn digest(&mut self, line: &[u8], link: &Link, at: Place) -> (RecordDigest, Option<Seal>) {
        let Some((mac, member)) = &link.mac else {
            let digest = Sha256::digest(line).into();
            if self.keys.is_empty() {
                return (digest, Some(Seal::Hash));
            }
            self.fault(Fault::NoMac(at));
            return (digest, None);
        };
        let (before, after) = (
            line.get(..member.start).unwrap_or_default(),
            line.get(member.end..).unwrap_or_default(),
        );
        let is_of = |key: &ChainKey| key.mac_of(&[before, after]) == *mac;
        if self.keys.is_empty() {
            self.report.unchecked_macs = self.report.unchecked_macs.saturating_add(1);
            return (*mac, Some(Seal::Mac));
        }
        let key = self.keys.iter().position(is_of);
        if key.is_none() {
            self.fault(Fault::Changed(at));
        }
        (*mac, key.map(Seal::Key))
    }

    /// Compares how a record is sealed with the others of its chain. Without this, a record of a chain without MACs could be
    /// changed and get its former SHA-256 as a MAC, which its successor names; and whoever has an old key could go on with a
    /// chain of the new one.
    fn compare_seal(&mut self, chain: ChainId, seal: Seal, at: Place) {
        let first = *self
            .chains
            .entry(chain)
            .or_default()
            .seal
            .get_or_insert(seal);
        if first != seal {
            self.fault(match seal {
                Seal::Key(_) => Fault::OtherKey(at),
                Seal::Hash | Seal::Mac => Fault::MixedMacs(at),
            });
        }
    }

    /// Compares a record with the digests in checkpoints and heads. Files from before the heads may be present as well,
    /// and a rewritten chain continues from its own records.
    fn compare(&mut self, link: &Link, digest: RecordDigest, at: Place) {
        let kind = link.kind();
        let is_other = |head: &Head| {
            let is_same = head.digest == digest && head.kind.is_none_or(|stored| stored == kind);
            head.seq == link.seq && !is_same
        };
        let mut kept = self
            .heads
            .get(&link.id)
            .filter(|head| is_other(head))
            .map(|_| Kept::Heads);
        for (head, is_found) in self.anchors.get_mut(&link.id).into_iter().flatten() {
            *is_found |= head.seq == link.seq;
            if is_other(head) {
                kept = Some(Kept::Checkpoint);
            }
        }
        if let Some(kept) = kept {
            self.fault(Fault::Rewritten {
                at,
                chain: link.id,
                seq: link.seq,
                kept,
            });
        }
    }

    fn append(&mut self, link: &Link, digest: RecordDigest, at: Place) {
        self.compare(link, digest, at);
        let chain = self.chains.entry(link.id).or_default();
        let head = Head {
            seq: link.seq,
            digest,
            kind: Some(link.kind()),
        };
        if let Some(open) = chain.list.last_mut()
            && open.last.seq.checked_add(1) == Some(link.seq)
        {
            let after = (open.last.digest != link.prev).then_some(open.last_at);
            (open.last, open.last_at) = (head, at);
            if after.is_some() {
                self.fault(Fault::Unlinked { at, after });
            }
            return;
        }
        if self.segments >= MAX_SEGMENTS {
            self.report.is_incomplete = true;
            return;
        }
        self.segments = self.segments.saturating_add(1);
        chain.list.push(Segment {
            first: link.seq,
            prev: link.prev,
            first_at: at,
            last: head,
            last_at: at,
        });
    }

    /// Ends the verification and returns the report.
    pub fn finish(mut self) -> Report {
        for (id, segments) in std::mem::take(&mut self.chains) {
            self.join(id, segments);
        }
        for (id, head) in &self.heads {
            // Heads of chains without new records.
            self.report.heads.entry(*id).or_insert(*head);
        }
        self.anchor();
        self.report.authenticated = !self.keys.is_empty();
        self.report.faults.sort_by_key(Fault::place);
        self.report
    }

    /// Counts the checkpoint heads and reports the missing ones.
    fn anchor(&mut self) {
        for (chain, anchors) in std::mem::take(&mut self.anchors) {
            let start = self.heads.get(&chain).copied();
            for (head, is_found) in anchors {
                let count = match start {
                    // Records before the start prove nothing, unless all of them are present.
                    Some(start)
                        if start.seq >= head.seq && !(is_found && self.begun.contains(&chain)) =>
                    {
                        &mut self.report.before_start
                    }
                    _ if is_found => &mut self.report.anchored,
                    _ => {
                        let last = self.report.heads.get(&chain).map(|head| head.seq);
                        self.fault(Fault::CutOff {
                            chain,
                            seq: head.seq,
                            last: last.filter(|last| *last < head.seq),
                            kept: Kept::Checkpoint,
                        });
                        continue;
                    }
                };
                *count = count.saturating_add(1);
            }
        }
    }

    /// Joins the segments of a chain by their sequence numbers.
    ///
    /// Files from before the head that was given may be present or not. Of those that are, the records have to be in their
    /// order, without gaps, and to reach the head: otherwise records could be inserted or repeated before it.
    fn join(&mut self, chain: ChainId, segments: ChainSegments) {
        let mut list = segments.list;
        list.sort_by_key(|segment| (segment.first, segment.first_at));
        let Some(first) = list.first().map(|segment| segment.first) else {
            return;
        };
        if first == 0 {
            self.begun.insert(chain);
        }
        let known = self.heads.get(&chain).copied();
        let mut end = known
            .filter(|head| first > head.seq)
            .map(|head| (head, None));
        // The first record that is present of those that the head has.
        let mut early = known.filter(|head| first <= head.seq).map(|_| first);
        let mut last_at: Option<Place> = None;
        let mut last_in_file: BTreeMap<usize, Place> = BTreeMap::new();
        let mut before: Option<Segment> = None;
        for segment in list {
            let is_copy = before.is_some_and(|before| before.ends_as(&segment));
            before = Some(segment);
            let is_early = early.take().is_some_and(|first| first > 0);
            let expected = match end {
                Some((head, _)) => head.seq.saturating_add(1),
                None if is_early => segment.first,
                None => 0,
            };
            let (prev, after) = match end {
                Some((head, at)) => (head.digest, at),
                // The predecessor of an early record is not known.
                None if is_early => (segment.prev, None),
                None => (NO_PREDECESSOR_BYTES, None),
            };
            if segment.first > expected {
                self.fault(Fault::Missing {
                    chain,
                    first: expected,
                    last: segment.first.saturating_sub(1),
                    after,
                    before: segment.first_at,
                });
            } else if segment.first < expected {
                self.fault(Fault::Repeated {
                    at: segment.first_at,
                    first: last_at.unwrap_or_default(),
                    is_copy,
                });
                if segment.last.seq < expected {
                    continue;
                }
            } else if prev != segment.prev {
                self.fault(Fault::Unlinked {
                    at: segment.first_at,
                    after,
                });
            }
            // Its place in each file, because the chain may go on in another file in between.
            let places = [segment.first_at, segment.last_at];
            let is_of_one_file = segment.first_at.file == segment.last_at.file;
            for at in places.into_iter().take(if is_of_one_file { 1 } else { 2 }) {
                if let Some(behind) = last_in_file.get(&at.file).copied()
                    && behind > at
                {
                    self.fault(Fault::Reordered {
                        at: behind,
                        behind: at,
                    });
                }
            }
            for at in places {
                last_in_file.insert(at.file, at);
            }
            end = Some((segment.last, Some(segment.last_at)));
            last_at = Some(segment.last_at);
        }
        let Some((mut head, _)) = end else {
            return;
        };
        if let Some(known) = known
            && known.seq > head.seq
        {
            self.fault(Fault::CutOff {
                chain,
                seq: known.seq,
                last: Some(head.seq),
                kept: Kept::Heads,
            });
            head = known;
        }
        self.report.heads.insert(chain, head);
    }
}

/// Returns whether a line begins like a record of another version: `{"v":2,`.
fn is_of_other_version(line: &[u8]) -> bool {
    let version = line.strip_prefix(b"{\"v\":");
    version.is_some_and(|rest| {
        rest.first().is_some_and(u8::is_ascii_digit) && !rest.starts_with(b"1,")
    })
}

/// The predecessor of a chain's first record.
const NO_PREDECESSOR_BYTES: RecordDigest = [0; 32];

/// Members that link a record to its chain.
struct Link {
    has_time: bool,
    id: ChainId,
    seq: u64,
    prev: RecordDigest,
    /// The MAC, and the range of its member in the line.
    mac: Option<(RecordDigest, std::ops::Range<usize>)>,
}

impl Link {
    const fn kind(&self) -> DigestKind {
        match self.mac {
            Some(_) => DigestKind::Mac,
            None => DigestKind::Hash,
        }
    }

    /// Parses the beginning of a line, in the order in which the filter writes it:
    /// `{"v":1,"ts":"…","request_id":"…","chain":{"id":"…","seq":0,"prev":"…","start":true,"mac":"…"},…}`.
    fn parse(line: &[u8]) -> Option<Link> {
        let mut rest = Rest(line);
        rest.take(b"{\"v\":1,\"ts\":")?;
        let has_time = std::str::from_utf8(rest.string()?).is_ok_and(has_written_form);
        if rest.take(b",\"request_id\":").is_some() {
            rest.string()?;
        }
        rest.take(b",\"chain\":{\"id\":\"")?;
        let id = rest.hex()?;
        rest.take(b"\",\"seq\":")?;
        let seq = rest.number()?;
        rest.take(b",\"prev\":\"")?;
        let prev = rest.hex()?;
        rest.take(b"\"")?;
        let starts = rest.take(b",\"start\":true").is_some();
        if starts != (seq == 0) {
            return None;
        }
        let begin = line.len().checked_sub(rest.0.len())?;
        let mac = match rest.take(b",\"mac\":\"") {
            Some(()) => {
                let mac = rest.hex()?;
                rest.take(b"\"")?;
                let end = line.len().checked_sub(rest.0.len())?;
                Some((mac, begin..end))
            }
            None => None,
        };
        rest.take(b"},")?;
        rest.0.ends_with(b"}").then_some(Link {
            has_time,
            id,
            seq,
            prev,
            mac,
        })
    }
}

/// Returns whether a text is a timestamp in the filter's form: `2026-11-22T09:00:00.000Z`.
fn has_written_form(text: &str) -> bool {
    // The filter's clocks never have a leap second.
    let second = text.as_bytes().get(17);
    is_time(text) && text.len() == 24 && second.is_some_and(|tens| *tens < b'6')
}

/// Rest of a line.
struct Rest<'l>(&'l [u8]);

impl<'l> Rest<'l> {
    fn take(&mut self, start: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(start)?;
        Some(())
    }

    /// Returns the next JSON string, with its escapes.
    fn string(&mut self) -> Option<&'l [u8]> {
        self.take(b"\"")?;
        let mut escaped = false;
        let end = self.0.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        let text = self.0.get(..end);
        self.0 = self.0.get(end.checked_add(1)?..)?;
        text
    }

    fn number(&mut self) -> Option<u64> {
        let digits = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    /// Parses bytes written as lower-case hexadecimal digits.
    fn hex<const N: usize>(&mut self) -> Option<[u8; N]> {
        let digits = self.0.get(..N.checked_mul(2)?)?;
        self.0 = self.0.get(digits.len()..)?;
        hex::decode(digits)
    }
}

impl Fault {
    /// Returns the position of the fault; `None` if the fault is at no line.
    pub fn place(&self) -> Option<Place> {
        match self {
            Fault::NoRecord(at)
            | Fault::OtherVersion(at)
            | Fault::Truncated(at)
            | Fault::TruncatedFile(at)
            | Fault::NoTime(at)
            | Fault::Changed(at)
            | Fault::NoMac(at)
            | Fault::MixedMacs(at)
            | Fault::OtherKey(at)
            | Fault::Unreadable { at, .. }
            | Fault::Unlinked { at, .. }
            | Fault::Repeated { at, .. }
            | Fault::Rewritten { at, .. }
            | Fault::Reordered { at, .. } => Some(*at),
            Fault::Missing { before, .. } => Some(*before),
            Fault::CutOff { .. } => None,
        }
    }

    /// Returns the fault's name for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Fault::NoRecord(_) => "no_record",
            Fault::OtherVersion(_) => "other_version",
            Fault::Truncated(_) | Fault::TruncatedFile(_) => "truncated",
            Fault::Unreadable { .. } => "unreadable",
            Fault::NoTime(_) => "no_time",
            Fault::Changed(_) => "changed",
            Fault::NoMac(_) => "no_mac",
            Fault::MixedMacs(_) => "mixed_macs",
            Fault::OtherKey(_) => "other_key",
            Fault::Unlinked { .. } => "unlinked",
            Fault::Missing { .. } => "missing",
            Fault::Repeated { .. } => "repeated",
            Fault::Rewritten { .. } => "rewritten",
            Fault::CutOff { .. } => "cut_off",
            Fault::Reordered { .. } => "reordered",
        }
    }

    /// Returns a description of the fault. `name` formats positions.
    pub fn describe(&self, name: &dyn Fn(Place) -> String) -> String {
        match self {
            Fault::NoRecord(_) => "this line is no audit record".to_owned(),
            Fault::OtherVersion(_) => {
                "the record is of another version of agentguard, or was changed: verify it with that version"
                    .to_owned()
            }
            Fault::Truncated(_) => {
                "the file ends in the middle of a record: it was cut off, or is being written just \
                                    now"
                .to_owned()
            }
            Fault::TruncatedFile(_) => {
                "the compressed data ends here: the file was cut off, or is being written just now"
                    .to_owned()
            }
            Fault::Unreadable { why, .. } => {
                format!("the file can't be read from here on: {why}")
            }
            Fault::NoTime(_) => {
                "the record's `ts` is no time as the filter writes it, `2026-11-22T09:00:00.000Z`: something else has written or \
                 changed this line"
                    .to_owned()
            }
            Fault::Changed(_) => {
                "the record was changed: its MAC is of another content, or of another key"
                    .to_owned()
            }
            Fault::NoMac(_) => "the record has no MAC: it was written without the key".to_owned(),
            Fault::MixedMacs(_) => {
                "only some records of this chain have a MAC, and this one is not like the first: one of them was changed"
                    .to_owned()
            }
            Fault::OtherKey(_) => {
                "the record's MAC is of another key than the first one of this chain, which has one key from its beginning to \
                 its end: one of them was inserted or changed"
                    .to_owned()
            }
            Fault::Unlinked {
                after: Some(after), ..
            } => format!(
                "the record does not follow the one at {}: one of the two was changed",
                name(*after)
            ),
            Fault::Unlinked { after: None, .. } => {
                "the record does not follow its predecessor: one of the two was changed".to_owned()
            }
            Fault::Missing {
                chain,
                first,
                last,
                after,
                ..
            } => {
                let (chain, place) = (
                    hex::encode(chain),
                    match after {
                        Some(after) => format!("behind {}", name(*after)),
                        None => "before it".to_owned(),
                    },
                );
                match last.saturating_sub(*first) {
                    0 => format!("record {first} of chain {chain} is missing {place}"),
                    _ => format!("records {first} to {last} of chain {chain} are missing {place}"),
                }
            }
            Fault::Repeated {
                at,
                first,
                is_copy: true,
            } => format!(
                "the records from here on are also those up to {}: they stand in {}",
                name(*first),
                if at.file == first.file {
                    "this file twice"
                } else {
                    "two files"
                }
            ),
            Fault::Repeated { first, .. } => format!(
                "the sequence number is also that of a record up to {}: one of them was inserted, or a part of the trail is \
                 there twice",
                name(*first)
            ),
            Fault::Rewritten {
                chain, seq, kept, ..
            } => format!(
                "record {seq} of chain {} is not the one of the {}: it or a record before it was changed",
                hex::encode(chain),
                match kept {
                    Kept::Checkpoint => "checkpoint",
                    Kept::Heads => "heads",
                }
            ),
            Fault::CutOff {
                chain,
                seq,
                last: Some(last),
                kept: Kept::Heads,
            } => format!(
                "chain {} ends with record {last}, and the heads have record {seq}: the end was cut off, or a newer file was \
                 not named",
                hex::encode(chain)
            ),
            Fault::CutOff {
                chain, seq, last, ..
            } => {
                let chain = hex::encode(chain);
                match last {
                    Some(last) => format!(
                        "chain {chain} ends with record {last}, and the checkpoint has record {seq}: the end was cut off"
                    ),
                    None => format!(
                        "record {seq} of chain {chain}, which the checkpoint has, is not in these files"
                    ),
                }
            }
            Fault::Reordered { behind, .. } => {
                format!("the record belongs before the one at {}", name(*behind))
            }
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = hex::encode(&self.digest);
        match self.kind {
            Some(kind) => write!(f, "{}:{}:{digest}", self.seq, kind.word()),
            None => write!(f, "{}:{digest}", self.seq),
        }
    }
}

impl Head {
    /// Parses a head in its display form: `41:hmac-sha256:9f86…`, or without the kind of the digest: `41:9f86…`.
    pub fn parse(text: &str) -> Option<Head> {
        let (seq, digest) = text.split_once(':')?;
        let (kind, digest) = match digest.split_once(':') {
            Some((word, digest)) => {
                let mut kinds = [DigestKind::Mac, DigestKind::Hash].into_iter();
                (Some(kinds.find(|kind| kind.word() == word)?), digest)
            }
            None => (None, digest),
        };
        Some(Head {
            seq: seq.parse().ok()?,
            digest: hex::decode(digest.as_bytes())?,
            kind,
        })
    }
}

/// Parses a chain id: 16 hexadecimal digits.
pub fn parse_chain_id(text: &str) -> Option<ChainId> {
    hex::decode(text.as_bytes())
}

#[cfg(test)]
mod tests;
