//! A text of an answer while it arrives in pieces.

use super::queue::Queue;
use crate::event::{Class, Event};
use crate::policy::{Flowing, Window};
use crate::protocol::stream::{HeldFrames, TextChanges};
use crate::wire::json::Place;
use std::collections::VecDeque;
use std::ops::Range;

/// One text so far.
#[derive(Debug)]
pub(super) struct Text {
    /// What is judged; its only text is the part at hand.
    pub(super) event: Event,
    /// Whether it may be edited.
    pub(super) class: Class,
    /// Where it stands in the answer, for people.
    pub(super) at: String,
    pub(super) flowing: Flowing,
    pub(super) window: Window,
    /// All of it, where its end is judged.
    pub(super) whole: String,
    /// It seemed to have ended, and everything of it has left.
    pub(super) has_ended: bool,
    /// How much of it had left by then, in bytes.
    pub(super) left: usize,
    /// Pieces that are not settled yet.
    pieces: VecDeque<PieceAt>,
}

/// A piece: which bytes of the text, and where they stand.
#[derive(Debug)]
struct PieceAt {
    range: Range<usize>,
    frame: u64,
    place: Place,
}

impl Text {
    pub(super) fn new(event: Event, class: Class, at: String, flowing: Flowing) -> Text {
        Text {
            event,
            class,
            at,
            flowing,
            window: Window::default(),
            whole: String::new(),
            has_ended: false,
            left: 0,
            pieces: VecDeque::new(),
        }
    }

    /// Whether nothing of it leaves before it has ended.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.flowing, Flowing::Held | Flowing::HeldToEnd)
    }

    /// Whether all of it is kept.
    pub(super) fn is_kept(&self) -> bool {
        self.flowing != Flowing::Settled
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
    pub(super) fn add(&mut self, new: Range<usize>, repeats: usize, frame: u64, place: Place) {
        self.pieces.push_back(PieceAt {
            range: new.start.saturating_sub(repeats)..new.end,
            frame,
            place,
        });
    }

    /// Everything before `end` is judged: edits the pieces that are complete by that, and lets go of their frames.
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
    place: Place,
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
        && let Some(value) = held.nest.as_ref().and_then(|nest| nest.value(place))
    {
        held.edits.replace_text(value, parts);
    }
}
