//! Administration filter, for all policies of the process.

use crate::abi::{AtHand, Half, Map, Stream};
use crate::configuration::with_policies;
use crate::exchange::{Outcome, now};
use agentguard::filter::{Administered, MAX_EXCHANGE_BYTES, administer, evaluate};

/// One request to the administration listener.
#[derive(Default)]
pub(crate) struct AdminExchange {
    /// Whether its body is an exchange to evaluate.
    is_evaluation: bool,
}

impl AdminExchange {
    pub(crate) fn request_headers(&mut self, stream: &mut Stream<'_>, end: bool) -> Outcome {
        let headers = stream.headers(Map::RequestHeaders).unwrap_or_default();
        let asked = with_policies(|policies| administer(&headers, end, policies, now()));
        match asked {
            Administered::Passed => Outcome::Continue,
            Administered::Answered(reply) => Outcome::Reply(reply),
            Administered::Awaited => {
                self.is_evaluation = true;
                // One byte more shows that the exchange is too long.
                let most = MAX_EXCHANGE_BYTES.saturating_add(1);
                stream.raise_buffer_limit(u64::try_from(most).unwrap_or(u64::MAX));
                Outcome::Hold
            }
        }
    }

    pub(crate) fn request_body(&mut self, stream: &Stream<'_>, end: bool) -> Outcome {
        let has_all = end || stream.body_size(Half::Request, held(true)) > MAX_EXCHANGE_BYTES;
        match (self.is_evaluation, has_all) {
            (false, _) => Outcome::Continue,
            (true, false) => Outcome::Hold,
            (true, true) => self.evaluate(stream, true),
        }
    }

    pub(crate) fn request_trailers(&mut self, stream: &Stream<'_>) -> Outcome {
        match self.is_evaluation {
            true => self.evaluate(stream, false),
            false => Outcome::Continue,
        }
    }

    /// Evaluates the received body.
    fn evaluate(&mut self, stream: &Stream<'_>, received: bool) -> Outcome {
        self.is_evaluation = false;
        let exchange = stream
            .body(Half::Request, held(received), usize::MAX)
            .unwrap_or_default();
        let reply = with_policies(|policies| evaluate(&exchange, policies, now()));
        Outcome::Reply(reply)
    }
}

/// Returns the bytes of an exchange that is held until it is evaluated.
fn held(received: bool) -> AtHand {
    AtHand {
        received,
        buffered: true,
    }
}
