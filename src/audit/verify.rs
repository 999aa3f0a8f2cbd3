//! Verification of an audit trail: every record is where its chain says, and is as it was written.
//!
//! A [`Verifier`] takes lines in any order of files and holds one segment of each chain for each gap, so that a million
//! sound records need the memory of one per chain. What a chain can't prove is not claimed: without the key of the MACs
//! whoever can write a file can write a chain anew, and nothing tells whether records followed the last one.

use super::chain::ChainKey;
use crate::wire::hex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Maximum segments that are kept. An ordinary trail has one per chain and file.
const MAX_SEGMENTS: usize = 1_000_000;

/// Id of a chain.
pub type ChainId = [u8; 8];

/// What a record's successor names: its MAC, or its SHA-256 without a key.
pub type RecordDigest = [u8; 32];

/// Where a record stands.
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
    /// Its sequence number.
    pub seq: u64,
    /// What its successor names.
    pub digest: RecordDigest,
}

/// What is wrong with a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A line that is no record.
    NoRecord(Place),
    /// The last line of a file ends in the middle of a record.
    Truncated(Place),
    /// A record does not have the MAC of its content.
    Changed(Place),
    /// A record has no MAC, though a key was given.
    NoMac(Place),
    /// A record does not follow the one before it: one of the two was changed.
    Unlinked {
        /// The record.
        at: Place,
        /// The one before it; `None`: the head that was given.
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
        /// The record before them; `None` if it is none of this trail.
        after: Option<Place>,
        /// The record behind them.
        before: Place,
    },
    /// A sequence number that another record has too: one of the two was inserted.
    Repeated {
        /// The record.
        at: Place,
        /// The other one.
        first: Place,
    },
    /// A record stands behind a later one of its chain in the same file.
    Reordered {
        /// The record.
        at: Place,
        /// The later one.
        behind: Place,
    },
}

/// The result of a verification.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The faults, by place.
    pub faults: Vec<Fault>,
    /// Number of records.
    pub records: u64,
    /// Number of lines for exchanges that no policy evaluated: `-` in the access log.
    pub not_evaluated: u64,
    /// The last record of each chain.
    pub heads: BTreeMap<ChainId, Head>,
    /// Whether the MACs of all records were checked.
    pub authenticated: bool,
    /// Whether there were too many faults to look at all.
    pub is_incomplete: bool,
}

/// Verifies lines of audit records.
#[derive(Debug, Default)]
pub struct Verifier {
    keys: Vec<ChainKey>,
    heads: BTreeMap<ChainId, Head>,
    chains: BTreeMap<ChainId, ChainSegments>,
    segments: usize,
    report: Report,
}

/// Consecutive records of a chain.
#[derive(Clone, Copy, Debug)]
struct Segment {
    first: u64,
    /// What the first record names as its predecessor.
    prev: RecordDigest,
    first_at: Place,
    last: Head,
    last_at: Place,
}

#[derive(Debug, Default)]
struct ChainSegments {
    /// All but the last are closed.
    list: Vec<Segment>,
}

impl Verifier {
    /// Creates a verifier. Each record has to have a MAC under one of the keys; without any key MACs are not checked.
    pub fn new(keys: Vec<ChainKey>) -> Verifier {
        Verifier {
            keys,
            ..Verifier::default()
        }
    }

    /// Starts behind records that were verified earlier.
    #[must_use]
    pub fn behind(mut self, heads: BTreeMap<ChainId, Head>) -> Verifier {
        self.heads = heads;
        self
    }

    /// Takes a line without its end. `is_complete` is false for a last line without a line feed.
    pub fn line(&mut self, line: &[u8], at: Place, is_complete: bool) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() || line == b"-" {
            // Envoy writes `-` for an exchange that the filter did not see.
            let counted = u64::from(line == b"-");
            self.report.not_evaluated = self.report.not_evaluated.saturating_add(counted);
            return;
        }
        let Some(link) = Link::parse(line) else {
            let fault = match is_complete {
                true => Fault::NoRecord(at),
                false => Fault::Truncated(at),
            };
            self.report.faults.push(fault);
            return;
        };
        self.report.records = self.report.records.saturating_add(1);
        let digest = self.digest(line, &link, at);
        self.append(&link, digest, at);
    }

    /// What the successor of a record names.
    fn digest(&mut self, line: &[u8], link: &Link, at: Place) -> RecordDigest {
        let Some((mac, member)) = &link.mac else {
            if !self.keys.is_empty() {
                self.report.faults.push(Fault::NoMac(at));
            }
            return Sha256::digest(line).into();
        };
        let (before, after) = (
            line.get(..member.start).unwrap_or_default(),
            line.get(member.end..).unwrap_or_default(),
        );
        let is_of = |key: &ChainKey| key.mac_of(&[before, after]) == *mac;
        if !self.keys.is_empty() && !self.keys.iter().any(is_of) {
            self.report.faults.push(Fault::Changed(at));
        }
        *mac
    }

    fn append(&mut self, link: &Link, digest: RecordDigest, at: Place) {
        let chain = self.chains.entry(link.id).or_default();
        let head = Head {
            seq: link.seq,
            digest,
        };
        if let Some(open) = chain.list.last_mut()
            && open.last.seq.checked_add(1) == Some(link.seq)
        {
            if open.last.digest != link.prev {
                self.report.faults.push(Fault::Unlinked {
                    at,
                    after: Some(open.last_at),
                });
            }
            (open.last, open.last_at) = (head, at);
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

    /// Ends the verification.
    pub fn finish(mut self) -> Report {
        for (id, segments) in std::mem::take(&mut self.chains) {
            self.join(id, segments);
        }
        for (id, head) in self.heads {
            // A chain that has not gone on.
            self.report.heads.entry(id).or_insert(head);
        }
        self.report.authenticated = !self.keys.is_empty();
        self.report.faults.sort_by_key(Fault::place);
        self.report
    }

    /// Joins the segments of a chain by their sequence numbers.
    fn join(&mut self, chain: ChainId, segments: ChainSegments) {
        let mut list = segments.list;
        list.sort_by_key(|segment| (segment.first, segment.first_at));
        let known = self.heads.get(&chain).copied();
        let mut end = known.map(|head| (head, None));
        let mut last_at: Option<Place> = None;
        for segment in list {
            let expected = end.map_or(0, |(head, _)| head.seq.saturating_add(1));
            let (prev, after) = match end {
                Some((head, at)) => (Some(head.digest), at),
                None => (None, None),
            };
            if segment.first > expected {
                self.report.faults.push(Fault::Missing {
                    chain,
                    first: expected,
                    last: segment.first.saturating_sub(1),
                    after,
                    before: segment.first_at,
                });
            } else if segment.first < expected {
                match (known, last_at) {
                    // Records from before the head that was given are known already.
                    (Some(head), _) if segment.last.seq <= head.seq => continue,
                    (Some(head), None) if segment.first <= head.seq => {}
                    (_, first) => {
                        self.report.faults.push(Fault::Repeated {
                            at: segment.first_at,
                            first: first.unwrap_or_default(),
                        });
                        if segment.last.seq < expected {
                            continue;
                        }
                    }
                }
            } else {
                let prev = prev.unwrap_or(NO_PREDECESSOR_BYTES);
                if prev != segment.prev {
                    self.report.faults.push(Fault::Unlinked {
                        at: segment.first_at,
                        after,
                    });
                }
            }
            if let Some(behind) = last_at
                && behind.file == segment.first_at.file
                && behind > segment.first_at
            {
                self.report.faults.push(Fault::Reordered {
                    at: behind,
                    behind: segment.first_at,
                });
            }
            end = Some((segment.last, Some(segment.last_at)));
            last_at = Some(segment.last_at);
        }
        if let Some((head, _)) = end {
            self.report.heads.insert(chain, head);
        }
    }
}

/// The predecessor of a chain's first record.
const NO_PREDECESSOR_BYTES: RecordDigest = [0; 32];

/// The members of a record that chain it.
struct Link {
    id: ChainId,
    seq: u64,
    prev: RecordDigest,
    /// The MAC, and where its member stands in the line.
    mac: Option<(RecordDigest, std::ops::Range<usize>)>,
}

impl Link {
    /// Reads the beginning of a line in the order in which the filter writes it:
    /// `{"v":1,"ts":"…","request_id":"…","chain":{"id":"…","seq":0,"prev":"…","start":true,"mac":"…"},…}`.
    fn parse(line: &[u8]) -> Option<Link> {
        let mut rest = Rest(line);
        rest.take(b"{\"v\":1,\"ts\":")?;
        rest.string()?;
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
        rest.0
            .ends_with(b"}")
            .then_some(Link { id, seq, prev, mac })
    }
}

/// What is left of a line.
struct Rest<'l>(&'l [u8]);

impl Rest<'_> {
    fn take(&mut self, start: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(start)?;
        Some(())
    }

    /// Passes over a string.
    fn string(&mut self) -> Option<()> {
        self.take(b"\"")?;
        let mut escaped = false;
        let end = self.0.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        self.0 = self.0.get(end.checked_add(1)?..)?;
        Some(())
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

    /// Reads bytes as lower-case hexadecimal digits.
    fn hex<const N: usize>(&mut self) -> Option<[u8; N]> {
        let digits = self.0.get(..N.checked_mul(2)?)?;
        self.0 = self.0.get(digits.len()..)?;
        hex::decode(digits)
    }
}

impl Fault {
    /// Where it is.
    pub fn place(&self) -> Place {
        match self {
            Fault::NoRecord(at) | Fault::Truncated(at) | Fault::Changed(at) | Fault::NoMac(at) => {
                *at
            }
            Fault::Unlinked { at, .. }
            | Fault::Repeated { at, .. }
            | Fault::Reordered { at, .. } => *at,
            Fault::Missing { before, .. } => *before,
        }
    }

    /// A word for it, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Fault::NoRecord(_) => "no_record",
            Fault::Truncated(_) => "truncated",
            Fault::Changed(_) => "changed",
            Fault::NoMac(_) => "no_mac",
            Fault::Unlinked { .. } => "unlinked",
            Fault::Missing { .. } => "missing",
            Fault::Repeated { .. } => "repeated",
            Fault::Reordered { .. } => "reordered",
        }
    }

    /// Says it, with places as `name` writes them.
    pub fn describe(&self, name: &dyn Fn(Place) -> String) -> String {
        match self {
            Fault::NoRecord(_) => "this line is no audit record".to_owned(),
            Fault::Truncated(_) => "the file ends in the middle of a record".to_owned(),
            Fault::Changed(_) => {
                "the record was changed: its MAC is of another content, or of another key"
                    .to_owned()
            }
            Fault::NoMac(_) => "the record has no MAC: it was written without the key".to_owned(),
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
            Fault::Repeated { first, .. } => format!(
                "the sequence number is also that of a record up to {}: one of them was inserted",
                name(*first)
            ),
            Fault::Reordered { behind, .. } => {
                format!("the record belongs before the one at {}", name(*behind))
            }
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex::encode(&self.digest))
    }
}

impl Head {
    /// Reads a head as it is displayed: `41:9f86…`.
    pub fn parse(text: &str) -> Option<Head> {
        let (seq, digest) = text.split_once(':')?;
        Some(Head {
            seq: seq.parse().ok()?,
            digest: hex::decode(digest.as_bytes())?,
        })
    }
}

/// Reads a chain's id: 16 hexadecimal digits.
pub fn parse_chain_id(text: &str) -> Option<ChainId> {
    hex::decode(text.as_bytes())
}

#[cfg(test)]
mod tests;
