//! Texts of a streamed response, assembled from their deltas.

use super::queue::Queue;
use super::texts::part_of_text;
use crate::event::{Class, Event, Reading};
use crate::policy::{HoldbackBuffer, ReleaseMode};
use crate::protocol::stream::{HeldFrames, TextChanges};
use crate::protocol::written_calls::{self, Marks};
use crate::wire::json::{JsonBody, NodeId};
use std::collections::VecDeque;
use std::ops::Range;

/// Maximum bytes that may be the beginning of a call before they are taken for one.
const MOST_BEGUN: usize = 1_024;

/// State of one text.
#[derive(Debug)]
pub(super) struct StreamedText {
    /// Event to evaluate; its only text is the current part.
    pub(super) event: Event,
    /// Class, which determines whether the text may be edited.
    pub(super) class: Class,
    /// Location in the response, for messages.
    pub(super) at: String,
    pub(super) flowing: ReleaseMode,
    pub(super) window: HoldbackBuffer,
    /// Whole text, if its end is evaluated.
    pub(super) whole: String,
    /// Whether the text ended for the time being and was released completely.
    pub(super) has_ended: bool,
    /// Bytes that were released by then.
    pub(super) left: usize,
    /// End of the text that may be a call.
    pub(super) written: WrittenCallTail,
    /// Deltas that are not settled.
    pieces: VecDeque<DeltaPosition>,
}

/// End of a text that may be a call written as text. From the first call marker on, nothing is released before the text
/// ends.
#[derive(Debug, Default)]
pub(super) struct WrittenCallTail {
    /// Whether the policy requires a search for calls.
    pub(super) is_enabled: bool,
    /// Text from a marker, or from the beginning of a possible one.
    kept: String,
    /// Offset of that text.
    start: usize,
    /// Bytes of white space at the beginning of the whole text.
    white: usize,
    /// Whether there is a call marker.
    pub(super) is_marked: bool,
    /// Number of bytes at the end that may be the beginning of a marker.
    begun: usize,
}

impl WrittenCallTail {
    fn push(&mut self, piece: &str) {
        if !self.is_enabled {
            return;
        }
        self.kept.push_str(piece);
        if self.is_marked {
            return;
        }
        let is_begin = self.start == self.white;
        if is_begin {
            // However much white space comes first, it is no part of a call.
            let white = self.kept.len().saturating_sub(self.kept.trim_start().len());
            self.kept.drain(..white);
            self.start = self.start.saturating_add(white);
            self.white = self.start;
        }
        // Before a text that goes on, the first character is only kept to tell whether a line begins behind it.
        let first = usize::from(!is_begin);
        let (free, is_marked) = match written_calls::marks(&self.kept, first, is_begin) {
            Marks::From(at) => (at, true),
            Marks::FreeUntil(free) => (free, false),
        };
        self.begun = self.kept.len().saturating_sub(free);
        // What has not shown itself to be a call by now is withheld until its text ends, since it is looked at with each delta.
        self.is_marked = is_marked || self.begun > MOST_BEGUN;
        // Some markers depend on what stands before them, so that the characters before a possible marker are kept, even if
        // they were released.
        let longest = match self.is_marked {
            true => free,
            false => free.min(self.kept.len().saturating_sub(written_calls::LONGEST_LEAD)),
        };
        let lead = self
            .kept
            .get(..self.kept.floor_char_boundary(longest))
            .map_or(0, |free| {
                free.char_indices().next_back().map_or(0, |(at, _)| at)
            });
        self.kept.drain(..lead);
        self.start = self.start.saturating_add(lead);
    }

    /// Returns the number of bytes that may be released.
    fn free(&self, length: usize) -> usize {
        if !self.is_enabled {
            return usize::MAX;
        }
        match self.is_marked {
            true => self.start,
            false => length.saturating_sub(self.begun),
        }
    }

    /// Takes the text from the marker on, if there is a marker. Otherwise the text may still continue, and its end may be the
    /// beginning of a marker.
    pub(super) fn take(&mut self) -> Option<String> {
        std::mem::take(&mut self.is_marked).then(|| std::mem::take(&mut self.kept))
    }
}

/// Delta: its byte range in the text, and its location.
#[derive(Debug)]
struct DeltaPosition {
    range: Range<usize>,
    frame: u64,
    place: NodeId,
}

impl StreamedText {
    pub(super) fn new(
        event: Event,
        class: Class,
        at: String,
        flowing: ReleaseMode,
    ) -> StreamedText {
        StreamedText {
            event,
            class,
            at,
            flowing,
            window: HoldbackBuffer::default(),
            whole: String::new(),
            has_ended: false,
            left: 0,
            written: WrittenCallTail::default(),
            pieces: VecDeque::new(),
        }
    }

    /// Creates a body for a part of the text, with the facts on the response.
    pub(super) fn body(
        &self,
        part: &str,
        response: &Reading,
    ) -> (Option<JsonBody<'static>>, Reading) {
        part_of_text(part, self.window.name.as_deref(), self.class, response)
    }

    /// Returns whether nothing is released before the text ends.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.flowing, ReleaseMode::Held | ReleaseMode::HeldToEnd)
    }

    /// Returns whether the whole text is kept.
    pub(super) fn is_kept(&self) -> bool {
        self.flowing != ReleaseMode::Settled
    }

    /// Reopens a text that continues after an end. Matches across that point are found, but the released part stays.
    pub(super) fn reopen(&mut self) {
        self.has_ended = false;
        self.left = match self.is_held() {
            true => self.whole.len(),
            false => self.window.length(),
        };
        self.window.reopen();
    }

    /// Adds the location of a delta that starts at `start` and repeats the `repeats` bytes before it.
    pub(super) fn add(&mut self, new: Range<usize>, repeats: usize, frame: u64, place: NodeId) {
        self.pieces.push_back(DeltaPosition {
            range: new.start.saturating_sub(repeats)..new.end,
            frame,
            place,
        });
    }

    /// Searches a delta for call markers.
    pub(super) fn note_written(&mut self, piece: &str) {
        self.written.push(piece);
    }

    /// Returns the number of bytes that may be released, given the possible calls.
    pub(super) fn free_of_calls(&self) -> usize {
        self.written.free(self.window.length())
    }

    /// Settles the text up to `end`: edits the deltas that are complete by then, and marks them as evaluated in their
    /// frames.
    pub(super) fn settle(&mut self, end: usize, changes: Option<&TextChanges>, queue: &mut Queue) {
        while let Some(piece) = self.pieces.front().filter(|piece| piece.range.end <= end) {
            let frame = piece.frame;
            if let Some(changes) = changes {
                edit(&piece.range, frame, piece.place, changes, queue);
            }
            self.pieces.pop_front();
            if self.is_held() {
                queue.settled(frame);
            } else {
                queue.settled_shortly(frame);
            }
        }
    }
}

/// Edits one delta. A replacement across deltas is written to the first one and removed from the others.
pub(super) fn edit(
    piece: &Range<usize>,
    frame: u64,
    place: NodeId,
    changes: &TextChanges,
    queue: &mut Queue,
) {
    let local = |at: usize| at.clamp(piece.start, piece.end).saturating_sub(piece.start);
    let parts: Vec<(Range<usize>, &str)> = changes
        .within(piece.clone())
        .map(|change| {
            let with = if change.bytes.start >= piece.start {
                change.with.as_str()
            } else {
                ""
            };
            (local(change.bytes.start)..local(change.bytes.end), with)
        })
        .collect();
    if !parts.is_empty()
        && let Some(held) = queue.get(frame)
        && let Some(value) = held.json.as_ref().and_then(|json| json.value(place))
    {
        held.edits.replace_text(value, parts);
    }
}
