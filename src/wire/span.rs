//! Byte ranges of a body. Offset arithmetic is only done here.

use std::ops::Range;

/// A half-open byte range with 32-bit offsets: a body is at most 4 GiB − 1, and the filter's memory is 32-bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// Creates a span of two offsets. Offsets beyond 32 bits saturate, so that the span covers nothing.
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

    /// Returns whether the span is empty.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The span as a range of indices.
    pub fn range(self) -> Range<usize> {
        index(self.start)..index(self.end)
    }

    /// The bytes of `source` in the span; empty if the span exceeds `source`.
    pub fn of(self, source: &[u8]) -> &[u8] {
        source.get(self.range()).unwrap_or_default()
    }

    /// The span with one byte more on either side: from the content of a JSON string to the string with its quotes.
    pub fn widened(self) -> Self {
        Span {
            start: self.start.saturating_sub(1),
            end: self.end.saturating_add(1),
        }
    }

    /// Returns whether `other` lies completely inside.
    pub fn contains(self, other: Span) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// Converts an index to a 32-bit offset.
pub fn offset(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Converts an offset to an index. Lossless: no supported target has pointers below 32 bits.
pub fn index(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
