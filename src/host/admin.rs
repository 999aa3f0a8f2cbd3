//! Administration filter in its VM. It reports on the policies that other configurations have put in force there.

use super::abi::{self, Buffer};
use super::exchange::REQUEST;
use super::headers;
use super::policies;
use super::root::send;
use crate::filter::{
    Administered, LogLevel, MAX_EXCHANGE_BYTES, administer, evaluate, missing_exchange,
};
use crate::flow::Reply;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::cell::RefCell;
use std::rc::Rc;

/// Nanoseconds for which the filter waits for a submitted exchange. Less than the `request_timeout` of the shipped
/// listener, after which Envoy responds with 504 and without a reason.
const PATIENCE_NS: u64 = 5_000_000_000;

/// Contexts of requests whose bodies have not arrived, each with its start. Few wait at a time, so that the search is
/// linear.
#[derive(Clone, Debug, Default)]
pub(super) struct AwaitedBodies(Rc<RefCell<Vec<(u32, u64)>>>);

impl AwaitedBodies {
    /// Replies to requests whose bodies don't arrive. They would hang where Envoy doesn't let the filter hold headers.
    pub(super) fn give_up(&self, now: u64) {
        let is_overdue = |(_, since): &(u32, u64)| now.saturating_sub(*since) > PATIENCE_NS;
        let mut overdue = self.0.borrow().clone();
        overdue.retain(is_overdue);
        for (context, _) in overdue {
            self.remove(context);
            if abi::set_effective_context(context).is_ok() {
                answer(&missing_exchange());
            }
        }
    }

    fn remove(&self, context: u32) {
        self.0.borrow_mut().retain(|(known, _)| *known != context);
    }
}

/// Stream context of one request to the administration listener.
pub(super) struct AdminExchange {
    context: u32,
    awaited: AwaitedBodies,
    /// Whether its body is an exchange to evaluate.
    is_evaluation: bool,
}

impl AdminExchange {
    pub(super) fn new(context: u32, awaited: AwaitedBodies) -> AdminExchange {
        AdminExchange {
            context,
            awaited,
            is_evaluation: false,
        }
    }

    /// Evaluates the received body.
    fn evaluate(&mut self) -> Action {
        self.is_evaluation = false;
        let exchange = abi::buffer(Buffer::RequestBody, MAX_EXCHANGE_BYTES.saturating_add(1));
        let policies = policies::in_force();
        answer(&evaluate(
            &exchange.unwrap_or_default(),
            &policies,
            abi::now(),
        ))
    }
}

fn answer(reply: &Reply) -> Action {
    if send(reply).is_err() {
        abi::log(
            LogLevel::Error,
            "agentguard: AG9001 an answer could not be sent",
        );
    }
    Action::Pause
}

impl Context for AdminExchange {}

impl HttpContext for AdminExchange {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        let map = abi::headers(REQUEST.map).unwrap_or_default();
        let headers = headers::parse(&map);
        match administer(&headers, end, &policies::in_force(), abi::now()) {
            Administered::Passed => Action::Continue,
            Administered::Answered(reply) => answer(&reply),
            Administered::Awaited => {
                self.is_evaluation = true;
                let mut awaited = self.awaited.0.borrow_mut();
                awaited.push((self.context, abi::now()));
                Action::Pause
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !self.is_evaluation {
            return Action::Continue;
        }
        self.awaited.remove(self.context);
        match end || size > MAX_EXCHANGE_BYTES {
            true => self.evaluate(),
            false => Action::Pause,
        }
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        match self.is_evaluation {
            true => self.evaluate(),
            false => Action::Continue,
        }
    }
}

impl Drop for AdminExchange {
    fn drop(&mut self) {
        self.awaited.remove(self.context);
    }
}
