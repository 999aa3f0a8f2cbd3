//! Byte ranges of a body, and the one place where offsets are added up.

use std::ops::Range;

/// Half-open byte range. 32 bits: a body is at most 4 GiB − 1, and the filter itself lives in a 32-bit memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// First byte after it.
    pub end: u32,
}

impl Span {
    /// A span of two offsets; offsets beyond 32 bits saturate, so that such a span finds nothing.
    pub fn new(start: usize, end: usize) -> Self {
        Span {
            start: offset(start),
            end: offset(end),
        }
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        index(self.end.saturating_sub(self.start))
    }

    /// Whether it covers no byte.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The same as a range of indices.
    pub fn range(self) -> Range<usize> {
        index(self.start)..index(self.end)
    }

    /// The bytes of `source` that it covers; empty where it reaches beyond them.
    pub fn of(self, source: &[u8]) -> &[u8] {
        source.get(self.range()).unwrap_or_default()
    }

    /// One byte more on either side: from the content of a JSON string to the string with its quotes.
    pub fn widened(self) -> Self {
        Span {
            start: self.start.saturating_sub(1),
            end: self.end.saturating_add(1),
        }
    }

    /// Whether `other` lies wholly inside.
    pub fn contains(self, other: Span) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// An index as a 32-bit offset.
pub fn offset(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// An offset as an index. Lossless: no supported target has a pointer below 32 bits.
pub fn index(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
