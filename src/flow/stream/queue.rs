//! Queue of frames that are held back in their order until everything in them is evaluated.

use crate::protocol::stream::{HeldFrame, HeldFrames, OrderingGroups};
use crate::wire::frame::Frame;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::RangeInclusive;

/// Maximum frames that are held behind a frame that waits for a little more of a text, regardless of their ordering
/// groups. An unedited response then stays the same byte for byte. Later frames overtake a text that pauses for longer.
const MAX_FRAMES_BEHIND: u64 = 16;

/// Capacity in frames that a list keeps for reuse.
const KEPT_CAPACITY: usize = 16;

/// Bytes of the place of a frame that overtook an earlier one. The place stays until the earlier frame is released.
const PLACE: usize = size_of::<Option<QueuedFrame>>();

/// Queued frame.
#[derive(Debug)]
pub(super) struct QueuedFrame {
    pub(super) frame: Frame,
    /// Editable content; absent for frames that are forwarded unread.
    pub(super) held: Option<HeldFrame>,
    lanes: OrderingGroups,
    /// Number of items in the frame that are not evaluated.
    waits: u32,
    /// Number of these items that are texts waiting for a little more.
    short: u32,
}

/// All queued frames. A frame is released when none of its items waits and no earlier frame shares an ordering group
/// with it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Number of the first queued frame.
    first: u64,
    entries: VecDeque<Option<QueuedFrame>>,
    /// Frame numbers by ordering group.
    lanes: Vec<VecDeque<u64>>,
    /// Numbers of the frames that stay in order with all other frames.
    barriers: VecDeque<u64>,
    /// Numbers of the frames that hold back all later ones, because they wait for a little more of a text.
    stops: VecDeque<u64>,
    /// Released frames.
    ready: Vec<QueuedFrame>,
    /// Bytes of the queued frames, and of the places that released ones have left.
    bytes: usize,
}

impl Queue {
    /// Adds a frame, which waits until [`settled`](Queue::settled) is called for it once.
    pub(super) fn push(
        &mut self,
        frame: Frame,
        held: Option<HeldFrame>,
        lanes: OrderingGroups,
    ) -> u64 {
        let number = self.next();
        self.bytes = self.bytes.saturating_add(frame.raw.len());
        self.entries.push_back(Some(QueuedFrame {
            frame,
            held,
            lanes,
            waits: 1,
            short: 0,
        }));
        if lanes == OrderingGroups::ALL {
            self.barriers.push_back(number);
        } else {
            for lane in numbers(lanes) {
                if self.lanes.len() <= lane {
                    self.lanes
                        .resize_with(lane.saturating_add(1), VecDeque::new);
                }
                if let Some(queue) = self.lanes.get_mut(lane) {
                    queue.push_back(number);
                }
            }
        }
        if let Some(stop) = self.stops.front().copied()
            && number.saturating_sub(stop) > MAX_FRAMES_BEHIND
        {
            self.stops.pop_front();
            self.pass(stop);
        }
        number
    }

    fn next(&self) -> u64 {
        let count = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        self.first.saturating_add(count)
    }

    /// Returns the number of bytes of the queued frames, and of the places that released ones have left.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn at(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    fn entry(&mut self, number: u64) -> Option<&mut QueuedFrame> {
        let at = self.at(number)?;
        self.entries.get_mut(at)?.as_mut()
    }

    /// Adds an unevaluated item to a frame.
    pub(super) fn wait(&mut self, number: u64) {
        if let Some(entry) = self.entry(number) {
            entry.waits = entry.waits.saturating_add(1);
        }
    }

    /// Adds a text that needs a little more to a frame.
    pub(super) fn wait_shortly(&mut self, number: u64) {
        self.wait(number);
        if let Some(entry) = self.entry(number) {
            entry.short = entry.short.saturating_add(1);
            if entry.short == 1 {
                self.stops.push_back(number);
            }
        }
    }

    /// Marks one item of a frame as evaluated.
    pub(super) fn settled(&mut self, number: u64) {
        if let Some(entry) = self.entry(number) {
            entry.waits = entry.waits.saturating_sub(1);
            if entry.waits == 0 && self.may_leave(number) {
                self.leave(vec![number]);
            }
        }
    }

    /// Marks a text that needed a little more as evaluated.
    pub(super) fn settled_shortly(&mut self, number: u64) {
        self.settled(number);
        let Some(entry) = self.entry(number) else {
            return;
        };
        entry.short = entry.short.saturating_sub(1);
        if entry.short == 0 {
            // Behind another stop nothing can be released.
            let was_first = self.stops.front() == Some(&number);
            self.stops.retain(|stop| *stop != number);
            if was_first {
                self.pass(number);
            }
        }
    }

    /// Releases the frames that this frame held back.
    fn pass(&mut self, number: u64) {
        let until = self.stops.front().copied().unwrap_or(self.next());
        self.leave(self.evaluated(number..=until).collect());
    }

    /// Takes the released frames in their order.
    pub(super) fn take_ready(&mut self) -> Vec<QueuedFrame> {
        std::mem::take(&mut self.ready)
    }

    /// Takes the list of [`take_ready`](Queue::take_ready) back, empty, to reuse its memory.
    pub(super) fn reuse(&mut self, ready: Vec<QueuedFrame>) {
        if self.ready.is_empty() && ready.capacity() <= KEPT_CAPACITY {
            self.ready = ready;
        }
    }

    /// Takes all frames, whether released or not.
    pub(super) fn take_all(&mut self) -> Vec<QueuedFrame> {
        let mut all = self.take_ready();
        all.extend(std::mem::take(&mut self.entries).into_iter().flatten());
        self.first = self.next();
        self.lanes.clear();
        self.barriers.clear();
        self.stops.clear();
        self.bytes = 0;
        all
    }

    /// Releases those candidates that may leave, and the frames that only waited for them, in the order of their numbers.
    fn leave(&mut self, candidates: Vec<u64>) {
        let mut candidates: BinaryHeap<Reverse<u64>> =
            candidates.into_iter().map(Reverse).collect();
        while let Some(Reverse(number)) = candidates.pop() {
            if !self.may_leave(number) {
                continue;
            }
            let Some(at) = self.at(number) else { continue };
            let Some(entry) = self.entries.get_mut(at).and_then(Option::take) else {
                continue;
            };
            let size = entry.frame.raw.len();
            self.bytes = self.bytes.saturating_sub(size).saturating_add(PLACE);
            if self.stops.front() == Some(&number) {
                self.stops.pop_front();
                let until = self.stops.front().copied().unwrap_or(self.next());
                candidates.extend(self.evaluated(number..=until).map(Reverse));
            }
            let was_barrier = entry.lanes == OrderingGroups::ALL;
            if was_barrier {
                self.barriers.pop_front();
            } else {
                for lane in numbers(entry.lanes) {
                    let queue = self.lanes.get_mut(lane);
                    candidates.extend(queue.and_then(|queue| {
                        queue.pop_front();
                        queue.front().copied().map(Reverse)
                    }));
                }
            }
            self.ready.push(entry);
            while let Some(None) = self.entries.front() {
                self.entries.pop_front();
                self.bytes = self.bytes.saturating_sub(PLACE);
                self.first = self.first.saturating_add(1);
            }
            if was_barrier {
                candidates.extend(self.freed_by_barrier().into_iter().map(Reverse));
            } else if self.barriers.front() == Some(&self.first) {
                candidates.push(Reverse(self.first));
            }
        }
    }

    /// Returns the frames between a barrier that was released and the next one.
    fn freed_by_barrier(&self) -> Vec<u64> {
        let until = self.barriers.front().copied().unwrap_or(self.next());
        self.evaluated(self.first..=until).collect()
    }

    /// Returns the frames among these numbers whose items are all evaluated. With many interleaved choices, there are
    /// few.
    fn evaluated(&self, numbers: RangeInclusive<u64>) -> impl Iterator<Item = u64> + use<'_> {
        numbers.filter(|number| {
            let entry = self.at(*number).and_then(|at| self.entries.get(at));
            entry
                .and_then(Option::as_ref)
                .is_some_and(|entry| entry.waits == 0)
        })
    }

    fn may_leave(&self, number: u64) -> bool {
        let entry = self
            .at(number)
            .and_then(|at| self.entries.get(at))
            .and_then(Option::as_ref);
        let Some(entry) = entry.filter(|entry| entry.waits == 0) else {
            return false;
        };
        if self.stops.front().is_some_and(|stop| *stop < number) {
            return false;
        }
        if entry.lanes == OrderingGroups::ALL {
            return number == self.first;
        }
        let has_lane = entry.lanes != OrderingGroups::default();
        let is_blocked = self
            .barriers
            .front()
            .is_some_and(|barrier| *barrier < number);
        let is_front = |lane: usize| {
            self.lanes
                .get(lane)
                .is_some_and(|queue| queue.front() == Some(&number))
        };
        !(has_lane && is_blocked) && numbers(entry.lanes).all(is_front)
    }
}

impl HeldFrames for Queue {
    fn get(&mut self, number: u64) -> Option<&mut HeldFrame> {
        self.entry(number)?.held.as_mut()
    }
}

fn numbers(lanes: OrderingGroups) -> impl Iterator<Item = usize> {
    let mut rest = lanes.0;
    std::iter::from_fn(move || {
        let lane = usize::try_from(rest.trailing_zeros()).ok()?;
        if rest == 0 {
            return None;
        }
        rest &= rest.wrapping_sub(1);
        Some(lane)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{Frames, Framing};

    fn frame(text: &str) -> Frame {
        let mut frames = Frames::new(Framing::Lines, 100);
        frames.push(format!("{text}\n").as_bytes());
        frames.next_frame().unwrap().unwrap()
    }

    fn left(queue: &mut Queue) -> String {
        queue
            .take_ready()
            .into_iter()
            .map(|waiting| {
                String::from_utf8(waiting.frame.raw)
                    .unwrap()
                    .trim()
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn frames_of_other_lanes_overtake_and_those_of_one_lane_do_not() {
        let mut queue = Queue::default();
        let call = queue.push(frame("c"), None, OrderingGroups::of(2));
        let text = queue.push(frame("t"), None, OrderingGroups::of(0));
        let more = queue.push(frame("u"), None, OrderingGroups::of(0));
        queue.settled(more);
        assert_eq!(left(&mut queue), "");
        queue.settled(text);
        assert_eq!(left(&mut queue), "tu");
        let both = queue.push(
            frame("b"),
            None,
            OrderingGroups::of(0).and(OrderingGroups::of(2)),
        );
        queue.settled(both);
        assert_eq!(left(&mut queue), "");
        queue.settled(call);
        assert_eq!(left(&mut queue), "cb");
        assert!(queue.is_empty() && queue.bytes() == 0);
    }

    #[test]
    fn a_barrier_stays_in_order_with_everything_that_has_a_lane() {
        let mut queue = Queue::default();
        let first = queue.push(frame("1"), None, OrderingGroups::of(0));
        let barrier = queue.push(frame("2"), None, OrderingGroups::ALL);
        let behind = queue.push(frame("3"), None, OrderingGroups::of(5));
        let ping = queue.push(frame("p"), None, OrderingGroups::default());
        for number in [behind, barrier] {
            queue.settled(number);
        }
        assert_eq!(left(&mut queue), "");
        queue.settled(ping);
        assert_eq!(left(&mut queue), "p");
        queue.settled(first);
        assert_eq!(left(&mut queue), "123");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_short_wait_holds_up_all_lanes_and_a_long_one_its_own() {
        let mut queue = Queue::default();
        let text = queue.push(frame("t"), None, OrderingGroups::of(0));
        queue.wait_shortly(text);
        queue.settled(text);
        let other = queue.push(frame("o"), None, OrderingGroups::of(1));
        queue.settled(other);
        assert_eq!(left(&mut queue), "");
        queue.settled_shortly(text);
        assert_eq!(left(&mut queue), "to");
        let text = queue.push(frame("T"), None, OrderingGroups::of(0));
        queue.wait_shortly(text);
        queue.settled(text);
        for _ in 0..=MAX_FRAMES_BEHIND {
            let other = queue.push(frame("o"), None, OrderingGroups::of(1));
            queue.settled(other);
        }
        assert_eq!(left(&mut queue), "ooooooooooooooooo");
        queue.settled_shortly(text);
        assert_eq!(left(&mut queue), "T");
        assert!(queue.is_empty());
    }

    #[test]
    fn the_place_of_a_frame_is_memory_until_the_frames_before_it_are_released() {
        let mut queue = Queue::default();
        let call = queue.push(frame("c"), None, OrderingGroups::of(1));
        let held = queue.bytes();
        for _ in 0..100 {
            let text = queue.push(frame("t"), None, OrderingGroups::of(0));
            queue.settled(text);
        }
        assert_eq!(left(&mut queue).len(), 100);
        assert_eq!(queue.bytes(), held + 100 * PLACE);
        queue.settled(call);
        assert_eq!((left(&mut queue).as_str(), queue.bytes()), ("c", 0));
    }

    #[test]
    fn a_frame_waits_for_everything_in_it() {
        let mut queue = Queue::default();
        let number = queue.push(frame("x"), None, OrderingGroups::of(0));
        queue.wait(number);
        queue.settled(number);
        assert_eq!(left(&mut queue), "");
        queue.settled(number);
        assert_eq!(left(&mut queue), "x");
    }
}
