//! Streams that wait for the approval service. Bytes after the waiting part are kept, but not read.

use super::{Frame, Stream, StreamEnd};
use crate::event::{Direction, Kind, Problem, Reading};
use crate::flow::evaluate::DeniedEvent;
use crate::flow::exchange::ExchangeOutcome;
use crate::flow::request::empty_body;
use crate::flow::step::Step;
use crate::flow::{Flow, HalfState};
use crate::protocol::stream::{Delta, FrameReading, HeldFrame};
use std::collections::VecDeque;

/// Reason why reading stops.
pub(super) enum Interruption {
    /// The stream ends with a denial.
    End(StreamEnd),
    /// The approval service is called first.
    Wait,
}

impl From<StreamEnd> for Interruption {
    fn from(stop: StreamEnd) -> Interruption {
        Interruption::End(stop)
    }
}

/// Frame after reading and before its evaluation.
pub(super) struct ReadFrame {
    pub(super) frame: Frame,
    pub(super) held: HeldFrame,
    pub(super) reading: Reading,
    pub(super) details: FrameReading,
}

/// Deltas of a queued frame that have not been processed.
pub(super) struct OpenDeltas {
    pub(super) number: u64,
    pub(super) pieces: VecDeque<Delta>,
    /// Whether the frame completes the response.
    pub(super) last: bool,
    /// Whether the frame can be delayed, see [`FrameReading::quiet`].
    pub(super) quiet: bool,
}

/// Position at which reading continues.
pub(super) enum Stall {
    /// At the events that are complete in a frame.
    Frame(Box<ReadFrame>),
    /// At the calls that end with a frame.
    Deltas(OpenDeltas),
    /// At the calls that end with a frame without content.
    Last {
        /// Number of the frame.
        number: u64,
        /// Whether it ends the stream.
        is_end: bool,
    },
}

impl Flow {
    /// Continues a stream after the approval service's response.
    pub(in crate::flow) fn resume_stream(&mut self) -> Step {
        let HalfState::Streaming(mut stream) =
            std::mem::replace(&mut self.response, HalfState::Done)
        else {
            return Step::go_on();
        };
        let end = stream.is_all_here;
        let stopped = match self.killed_stream(&stream) {
            Some(stop) => Some(stop),
            None => self.read_on_after(&mut stream, end).err(),
        };
        let now = self.now;
        self.stream_step(stream, stopped, &[], end, now)
    }

    fn read_on_after(&mut self, stream: &mut Stream, end: bool) -> Result<(), StreamEnd> {
        let resumed = match stream.stall.take() {
            Some(Stall::Frame(read)) => self.take_read_frame(stream, *read),
            Some(Stall::Deltas(open)) => self.take_pieces(stream, open),
            Some(Stall::Last { number, is_end }) => self.take_last(stream, number, is_end),
            None => Ok(()),
        };
        self.end_answer();
        match resumed {
            Ok(()) => self.end_over_limit(stream)?,
            Err(Interruption::End(stop)) => return Err(stop),
            Err(Interruption::Wait) => {}
        }
        self.advance(stream, &[], end)
    }

    /// Ends a waiting stream that holds back too much. The waiting part never passes for that reason, even if the
    /// policy allows uninspectable content.
    pub(super) fn end_stalled(
        &mut self,
        stream: &Stream,
        code: &'static str,
    ) -> Result<(), StreamEnd> {
        let (Some(_), Some(json)) = (&stream.stall, empty_body()) else {
            return Ok(());
        };
        let outcome = ExchangeOutcome::Deny;
        self.exchange.decided(outcome, outcome);
        let denied = DeniedEvent {
            problem: Some(Problem::of_body(
                code,
                "too much comes behind a call that waits for its approval",
            )),
            ..DeniedEvent::half(Kind::Response, Direction::Response, code)
        };
        Err(StreamEnd {
            denial: Box::new(self.denial(&denied, &json)),
            as_error: true,
        })
    }
}
