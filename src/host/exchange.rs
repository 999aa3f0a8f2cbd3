//! HTTP context of one exchange, between Envoy's callbacks and [`Flow`].

use super::abi::{self, Buffer, Half, Map};
use super::headers;
use super::proxy::EnvoyProperties;
use super::root::{HeldRequests, send};
use super::stats::Stats;
use crate::approval::MAX_ANSWER_BYTES;
use crate::event::Direction;
use crate::filter::{self, LogLevel};
use crate::flow::{
    Action as FlowAction, Body, End, Flow, Guard, RequestHead, ResponseHead, Resumed,
    ServiceAnswer, ServiceCall, Step,
};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Stream context of one exchange.
pub(super) struct HttpExchange {
    context: u32,
    /// Id of its configuration's root context, which outlives it.
    root: u32,
    guard: Rc<Guard>,
    flow: Rc<RefCell<Flow>>,
    stats: Rc<RefCell<Stats>>,
    waiting: HeldRequests,
    /// Awaited call to the approval service: Envoy's token, and the call's number in the exchange.
    asked: Option<(u32, u64)>,
}

/// Bytes in one of Envoy's buffers.
struct HeldMessage {
    buffer: Buffer,
    size: usize,
    /// Whether the host failed to return the bytes.
    failed: bool,
}

impl Body for HeldMessage {
    fn size(&self) -> usize {
        self.size
    }

    fn begin(&mut self, max: usize) -> Vec<u8> {
        abi::buffer(self.buffer, max.min(abi::ALL)).unwrap_or_else(|_| {
            self.failed = true;
            Vec::new()
        })
    }
}

/// The host's identifiers for one half of the exchange.
#[derive(Clone, Copy)]
pub(super) struct MessageHalf {
    half: Half,
    pub(super) map: Map,
    buffer: Buffer,
}

pub(super) const REQUEST: MessageHalf = MessageHalf {
    half: Half::Request,
    map: Map::RequestHeaders,
    buffer: Buffer::RequestBody,
};

const RESPONSE: MessageHalf = MessageHalf {
    half: Half::Response,
    map: Map::ResponseHeaders,
    buffer: Buffer::ResponseBody,
};

impl HttpExchange {
    pub(super) fn new(
        context: u32,
        root: u32,
        guard: Rc<Guard>,
        stats: Rc<RefCell<Stats>>,
        waiting: HeldRequests,
    ) -> HttpExchange {
        HttpExchange {
            context,
            root,
            flow: Rc::new(RefCell::new(Flow::new(Rc::clone(&guard)))),
            guard,
            stats,
            waiting,
            asked: None,
        }
    }

    /// Performs the actions of a step, and of the steps that follow it at once.
    fn take(&mut self, half: MessageHalf, mut step: Step) -> Action {
        loop {
            let calls = std::mem::take(&mut step.calls);
            let action = self.act(half, step);
            let Some(number) = self.call_service(&calls) else {
                return action;
            };
            // The call failed, so that no response will come.
            match self.answered(number, &ServiceAnswer::Unreachable) {
                Some((_, next)) => step = next,
                None => return action,
            }
        }
    }

    /// Makes the calls to the approval service. Returns the number of an awaited call that can't be made.
    fn call_service(&mut self, calls: &[ServiceCall]) -> Option<u64> {
        let guard = Rc::clone(&self.guard);
        let service = guard.policy.document.approval_service.as_ref()?;
        let mut failed = None;
        for call in calls {
            let headers = vec![
                (":method", "POST"),
                (":path", &*service.path),
                (":authority", &*service.authority),
                ("content-type", "application/json"),
                ("accept", "application/json"),
            ];
            // Envoy cancels the calls of an exchange that ends, and a denial ends it. A notice is therefore sent by the
            // root.
            let caller = match call.is_awaited {
                true => self.context,
                false => self.root,
            };
            let timeout = Duration::from_secs(call.timeout);
            let token = abi::set_effective_context(caller).ok().and_then(|()| {
                abi::call_service(&service.cluster, headers, Some(&call.body), timeout)
            });
            let _ = abi::set_effective_context(self.context);
            match token {
                Some(token) if call.is_awaited => self.asked = Some((token, call.number)),
                Some(_) => {}
                None if call.is_awaited => failed = Some(call.number),
                None => self.report("service_unreachable, a notice is lost"),
            }
        }
        failed
    }

    /// Passes a response of the approval service to the flow.
    fn answered(&mut self, number: u64, answer: &ServiceAnswer<'_>) -> Option<(MessageHalf, Step)> {
        let mut flow = self.flow.borrow_mut();
        let half = match flow.awaits()? {
            Direction::Request => REQUEST,
            Direction::Response => RESPONSE,
        };
        let mut held = HeldMessage {
            buffer: half.buffer,
            size: 0,
            failed: false,
        };
        let start = abi::now();
        let Resumed { step, failure } = flow.service_answered(number, answer, &mut held, start)?;
        flow.spent(abi::now().saturating_sub(start));
        drop(flow);
        if let Some(failure) = failure {
            let status = match answer {
                ServiceAnswer::Received { status, .. } => format!(", status {status}"),
                ServiceAnswer::Unreachable => String::new(),
            };
            self.report(&format!("{failure}{status}"));
        }
        if held.failed {
            let _ = self.fail("a held body could not be read");
            return None;
        }
        Some((half, step))
    }

    /// Logs the failure of the approval service.
    fn report(&self, why: &str) {
        let Some(service) = &self.guard.policy.document.approval_service else {
            return;
        };
        abi::log(
            LogLevel::Warn,
            &format!(
                "agentguard: AG3007 the approval service behind cluster `{}` failed: {why}",
                service.cluster
            ),
        );
    }

    /// Performs the action of a step. Every failed host call ends the exchange.
    fn act(&self, half: MessageHalf, step: Step) -> Action {
        filter::publish_decision(&mut self.flow.borrow_mut(), false, &mut set_state);
        let done = headers::edit(half.map, &step.headers).and_then(|()| match step.action {
            FlowAction::Continue => Ok(Action::Continue),
            FlowAction::Hold => Ok(Action::Pause),
            FlowAction::Take => abi::set_buffer(half.buffer, b"").map(|()| Action::Pause),
            FlowAction::Replace(body) => {
                abi::set_buffer(half.buffer, &body).map(|()| Action::Continue)
            }
            FlowAction::Reply(reply) => send(&reply).map(|()| Action::Pause),
            FlowAction::Reset => abi::close_response().map(|()| Action::Pause),
        });
        done.unwrap_or_else(|refused| {
            self.fail(&format!("a host call failed with status {}", refused.0))
        })
    }

    /// Denies the exchange because of an internal error.
    fn fail(&self, why: &str) -> Action {
        abi::log(LogLevel::Error, &format!("agentguard: AG9001 {why}"));
        let reply = self.flow.borrow_mut().fail();
        let _ = send(&reply);
        Action::Pause
    }

    /// Runs a part of the flow and measures its time.
    fn timed(&self, run: impl FnOnce(&mut Flow, u64) -> Step) -> Step {
        filter::timed(&mut self.flow.borrow_mut(), abi::now, run)
    }

    /// Denies a request that is routed to another cluster than the one for which it was evaluated.
    fn rerouted(&mut self, half: MessageHalf) -> Option<Action> {
        let step = self.flow.borrow_mut().rerouted(&EnvoyProperties)?;
        Some(self.take(half, step))
    }

    fn body(
        &mut self,
        half: MessageHalf,
        size: usize,
        run: &mut dyn FnMut(&mut Flow, &mut dyn Body, u64) -> Step,
    ) -> Action {
        let mut held = HeldMessage {
            buffer: half.buffer,
            size,
            failed: false,
        };
        let step = self.timed(|flow, now| run(flow, &mut held, now));
        if held.failed {
            return self.fail("a body could not be read");
        }
        self.take(half, step)
    }
}

/// Sets filter state.
fn set_state(name: &str, value: &[u8]) {
    if let Err(refused) = abi::set_property(name, value) {
        let status = refused.0;
        abi::log(
            LogLevel::Error,
            &format!("agentguard: {name} could not be written: status {status}"),
        );
    }
}

impl Context for HttpExchange {
    fn on_http_call_response(&mut self, token: u32, headers: usize, size: usize, _trailers: usize) {
        // The response to a notice is ignored.
        let Some((_, number)) = self.asked.take_if(|(asked, _)| *asked == token) else {
            return;
        };
        let status = match headers {
            // Some hosts report a failed call in this way.
            0 => None,
            _ => headers::status(Map::CallResponseHeaders),
        };
        let body = match size {
            0..=MAX_ANSWER_BYTES => abi::buffer(Buffer::CallResponseBody, MAX_ANSWER_BYTES),
            _ => Ok(Vec::new()),
        };
        let answer = match (status, &body) {
            (Some(status), Ok(body)) => ServiceAnswer::Received { status, body },
            _ => ServiceAnswer::Unreachable,
        };
        let Some((half, step)) = self.answered(number, &answer) else {
            return;
        };
        if self.take(half, step) == Action::Continue {
            let _ = abi::continue_stream(half.half);
        }
    }
}

impl HttpContext for HttpExchange {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        // Envoy drops the map when this callback returns Continue: all headers that are needed later are copied now.
        let Ok(map) = abi::headers(REQUEST.map) else {
            return self.fail("the request headers could not be read");
        };
        let step = self.timed(|flow, now| {
            flow.request_headers(&RequestHead {
                headers: &headers::parse(&map),
                end,
                properties: &EnvoyProperties,
                now,
            })
        });
        if step.action == FlowAction::Hold {
            let waiting = (abi::now(), Rc::clone(&self.flow));
            self.waiting.borrow_mut().insert(self.context, waiting);
        }
        self.take(REQUEST, step)
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.waiting.borrow_mut().remove(&self.context);
        if let Some(denied) = self.rerouted(REQUEST) {
            return denied;
        }
        self.body(REQUEST, size, &mut |flow, held, now| {
            flow.request_body(held, end, now)
        })
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        // With trailers (Envoy's decompressor always adds some), Envoy marks no body callback as the last one, so that
        // the body would be forwarded without evaluation. Bytes held by the body callbacks are still available here.
        self.waiting.borrow_mut().remove(&self.context);
        // A request of headers and trailers had no callback in between.
        if let Some(denied) = self.rerouted(REQUEST) {
            return denied;
        }
        let Ok(map) = abi::headers(Map::RequestTrailers) else {
            return self.fail("the request trailers could not be read");
        };
        let trailers = headers::parse(&map);
        let edits = self.flow.borrow().trailer_edits(&trailers);
        if headers::edit(Map::RequestTrailers, &edits).is_err() {
            return self.fail("a request trailer could not be removed");
        }
        self.body(REQUEST, 0, &mut |flow, held, now| {
            flow.request_trailers(&trailers, held, now)
        })
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        // A request without a body had no callback in between.
        if let Some(denied) = self.rerouted(RESPONSE) {
            return denied;
        }
        let Ok(map) = abi::headers(RESPONSE.map) else {
            return self.fail("the response headers could not be read");
        };
        let step = self.timed(|flow, now| {
            flow.response_headers(&ResponseHead {
                headers: &headers::parse(&map),
                end,
                now,
            })
        });
        self.take(RESPONSE, step)
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        let action = self.body(RESPONSE, size, &mut |flow, held, now| {
            flow.response_body(held, end, now)
        });
        if !end && let Some(line) = self.flow.borrow_mut().interim(abi::now) {
            let line = String::from_utf8_lossy(&line);
            abi::log(LogLevel::Warn, &format!("agentguard: interim {line}"));
        }
        action
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        let Ok(map) = abi::headers(Map::ResponseTrailers) else {
            return self.fail("the response trailers could not be read");
        };
        let edits = self
            .flow
            .borrow()
            .response_trailer_edits(&headers::parse(&map));
        if headers::edit(Map::ResponseTrailers, &edits).is_err() {
            return self.fail("a response trailer could not be removed");
        }
        self.body(RESPONSE, 0, &mut |flow, held, now| {
            flow.response_body(held, true, now)
        })
    }

    fn on_log(&mut self) {
        self.waiting.borrow_mut().remove(&self.context);
        let mut flow = self.flow.borrow_mut();
        if !flow.has_begun()
            && let Ok(map) = abi::headers(REQUEST.map)
        {
            flow.note_unseen_request(&RequestHead {
                headers: &headers::parse(&map),
                end: true,
                properties: &EnvoyProperties,
                now: abi::now(),
            });
        }
        // The client's response: another filter or Envoy itself may have replaced the response that this filter
        // received.
        let status = abi::property(&["response", "code"])
            .and_then(|code| Some(u64::from_le_bytes(*code.first_chunk::<8>()?)))
            .and_then(|code| u16::try_from(code).ok());
        let details = abi::property(&["response", "code_details"]).unwrap_or_default();
        let end = End {
            now: abi::now(),
            status,
            details: &String::from_utf8_lossy(&details),
        };
        // A failed audit event never blocks traffic. Envoy's log line then has `-`, which readers count.
        filter::finish(&mut flow, &end, &mut set_state);
        let mut stats = self.stats.borrow_mut();
        flow.count(&end, &mut |metric, values, by| {
            stats.count(metric, values, by);
        });
    }
}
