//! A text of a response while it arrives in pieces.

use super::queue::Queue;
use crate::event::{Class, Event};
use crate::policy::{HoldbackBuffer, ReleaseMode};
use crate::protocol::stream::{HeldFrames, TextChanges};
use crate::protocol::written_calls;
use crate::wire::json::NodeId;
use std::collections::VecDeque;
use std::ops::Range;

/// One text so far.
#[derive(Debug)]
pub(super) struct StreamedText {
    /// What is evaluated; its only text is the part at hand.
    pub(super) event: Event,
    /// Whether it may be edited.
    pub(super) class: Class,
    /// Where it stands in the response, for people.
    pub(super) at: String,
    pub(super) flowing: ReleaseMode,
    pub(super) window: HoldbackBuffer,
    /// All of it, where its end is evaluated.
    pub(super) whole: String,
    /// It seemed to have ended, and everything of it has left.
    pub(super) has_ended: bool,
    /// How much of it had left by then, in bytes.
    pub(super) left: usize,
    /// Calls that it may hold.
    pub(super) written: WrittenCallTail,
    /// Pieces that are not settled yet.
    pieces: VecDeque<DeltaPosition>,
}

/// What of a text could be a call that the model writes as text. From the first mark of one on, nothing leaves before the
/// text has ended.
#[derive(Debug, Default)]
pub(super) struct WrittenCallTail {
    /// Whether calls are looked for.
    pub(super) is_asked: bool,
    /// What stands from where a mark begins, or could begin.
    kept: String,
    /// Where that is.
    start: usize,
    /// There is a mark.
    is_marked: bool,
}

impl WrittenCallTail {
    fn push(&mut self, piece: &str) {
        if !self.is_asked {
            return;
        }
        self.kept.push_str(piece);
        if self.is_marked {
            return;
        }
        let is_begin = self.start == 0;
        let mark = written_calls::first_mark(&self.kept, 0, is_begin);
        self.is_marked = mark.is_some();
        let free = mark.unwrap_or_else(|| written_calls::free_of_marks(&self.kept, is_begin));
        // A mark may count only at the beginning of a line, and its first letters may have left already.
        let longest = match self.is_marked {
            true => free,
            false => free.min(self.kept.len().saturating_sub(written_calls::LONGEST_MARK)),
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

    /// How much of the text may leave.
    fn free(&self, length: usize) -> usize {
        if !self.is_asked {
            return usize::MAX;
        }
        match self.is_marked {
            true => self.start,
            false => length.saturating_sub(self.held()),
        }
    }

    /// What may be the beginning of a mark.
    fn held(&self) -> usize {
        let free = written_calls::free_of_marks(&self.kept, self.start == 0);
        self.kept.len().saturating_sub(free)
    }

    /// What calls may stand in, if there is a mark of one.
    pub(super) fn take(&mut self) -> Option<String> {
        let kept = std::mem::take(&mut self.kept);
        // It may go on after all.
        self.start = self.start.saturating_add(kept.len());
        std::mem::take(&mut self.is_marked).then_some(kept)
    }
}

/// A piece: which bytes of the text, and where they stand.
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

    /// Whether nothing of it leaves before it has ended.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.flowing, ReleaseMode::Held | ReleaseMode::HeldToEnd)
    }

    /// Whether all of it is kept.
    pub(super) fn is_kept(&self) -> bool {
        self.flowing != ReleaseMode::Settled
    }

    /// It goes on after all. What stands on both sides of where it seemed to end is found; only what has left stays.
    pub(super) fn reopen(&mut self) {
        self.has_ended = false;
        self.left = match self.is_held() {
            true => self.whole.len(),
            false => self.window.length(),
        };
        self.window.reopen();
    }

    /// Notes where a piece stands that goes on at `start` and repeats `repeats` bytes before that.
    pub(super) fn add(&mut self, new: Range<usize>, repeats: usize, frame: u64, place: NodeId) {
        self.pieces.push_back(DeltaPosition {
            range: new.start.saturating_sub(repeats)..new.end,
            frame,
            place,
        });
    }

    /// Looks for calls in what has come.
    pub(super) fn note_written(&mut self, piece: &str) {
        self.written.push(piece);
    }

    /// How much of it may leave, for all that it could be a call.
    pub(super) fn free_of_calls(&self) -> usize {
        self.written.free(self.window.length())
    }

    /// Everything before `end` is evaluated: edits the pieces that are complete by that, and lets go of their frames.
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

/// Edits one piece. What is replaced across pieces is written into the first of them, and gone from the others.
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
