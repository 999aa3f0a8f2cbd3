//! A stream that waits for the answer of the approval service. Nothing behind what waits is read; it is only kept.

use super::{Frame, Stream, StreamEnd};
use crate::event::{Direction, Kind, Problem, Reading};
use crate::flow::evaluate::DeniedEvent;
use crate::flow::exchange::ExchangeOutcome;
use crate::flow::request::empty_body;
use crate::flow::step::Step;
use crate::flow::{Flow, HalfState};
use crate::protocol::stream::{Delta, FrameReading, HeldFrame};
use std::collections::VecDeque;

/// Why frames are not read on.
pub(super) enum Interruption {
    /// The stream ends with a denial.
    End(StreamEnd),
    /// The approval service is asked first.
    Wait,
}

impl From<StreamEnd> for Interruption {
    fn from(stop: StreamEnd) -> Interruption {
        Interruption::End(stop)
    }
}

/// A frame that has been read and not been evaluated.
pub(super) struct ReadFrame {
    pub(super) frame: Frame,
    pub(super) held: HeldFrame,
    pub(super) reading: Reading,
    pub(super) details: FrameReading,
}

/// What a queued frame adds and has not been processed.
pub(super) struct OpenDeltas {
    pub(super) number: u64,
    pub(super) pieces: VecDeque<Delta>,
    /// Whether the response is complete with it.
    pub(super) last: bool,
    /// Whether nobody waits for what it says.
    pub(super) quiet: bool,
}

/// Where reading goes on.
pub(super) enum Stall {
    /// At the events that are complete in a frame.
    Frame(Box<ReadFrame>),
    /// At the calls that end with a frame.
    Deltas(OpenDeltas),
    /// At the calls that end with a frame without content.
    Last {
        /// The frame.
        number: u64,
        /// Whether it ends the stream.
        is_end: bool,
    },
}

impl Flow {
    /// Goes on with a stream once the approval service has answered.
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

    /// Ends a stream that waits and holds too much. What waits never passes for that, whatever the policy says of content that
    /// can't be inspected.
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
            problem: Some(Problem {
                code,
                at: String::new(),
                what: "too much comes behind a call that waits for its approval".to_owned(),
            }),
            ..DeniedEvent::half(Kind::Response, Direction::Response, code)
        };
        Err(StreamEnd {
            denial: Box::new(self.denial(&denied, &json)),
            as_error: true,
        })
    }
}
