//! One exchange: Envoy's callbacks ↔ [`Flow`].

use super::abi::{self, Buffer, Level, Map};
use super::headers;
use super::root::send;
use super::stats::Stats;
use crate::flow::{Action, Body, End, Flow, Guard, RequestHead, ResponseHead, Step};
use std::cell::RefCell;
use std::rc::Rc;

/// After so long without a byte of the body, a held request is answered: Envoy was not told to let us hold headers, and
/// would let it hang for good.
const PATIENCE_NS: u64 = 10_000_000_000;

/// What Envoy does next with this half of the exchange.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Next {
    Continue = 0,
    Pause = 1,
}

/// The stream context of one exchange.
pub(super) struct HttpExchange {
    context: u32,
    guard: Rc<Guard>,
    flow: Flow,
    stats: Rc<RefCell<Stats>>,
    /// Since when the headers are held and no body has begun, in nanoseconds since 1970.
    waiting: Option<u64>,
}

/// Bytes in one of Envoy's buffers.
struct Held {
    buffer: Buffer,
    size: usize,
    /// The host would not hand the bytes over.
    failed: bool,
}

impl Body for Held {
    fn size(&self) -> usize {
        self.size
    }

    fn read(&mut self) -> Vec<u8> {
        abi::buffer(self.buffer, abi::ALL).unwrap_or_else(|_| {
            self.failed = true;
            Vec::new()
        })
    }
}

/// One half of the exchange as the host names it.
#[derive(Clone, Copy)]
struct Half {
    map: Map,
    buffer: Buffer,
}

const REQUEST: Half = Half {
    map: Map::RequestHeaders,
    buffer: Buffer::RequestBody,
};

const RESPONSE: Half = Half {
    map: Map::ResponseHeaders,
    buffer: Buffer::ResponseBody,
};

impl HttpExchange {
    pub(super) fn new(context: u32, guard: Rc<Guard>, stats: Rc<RefCell<Stats>>) -> HttpExchange {
        HttpExchange {
            context,
            flow: Flow::new(Rc::clone(&guard)),
            guard,
            stats,
            waiting: None,
        }
    }

    /// Does what the flow asks for. Whatever the host refuses ends the exchange.
    fn take(&mut self, half: Half, step: Step) -> Next {
        let done = headers::edit(half.map, &step.headers).and_then(|()| match step.action {
            Action::Continue => Ok(Next::Continue),
            Action::Hold => Ok(Next::Pause),
            Action::Replace(body) => abi::set_buffer(half.buffer, &body).map(|()| Next::Continue),
            Action::Reply(reply) => send(&reply).map(|()| Next::Pause),
            Action::Reset => abi::close_response().map(|()| Next::Pause),
        });
        done.unwrap_or_else(|refused| {
            self.fail(&format!("a host call failed with status {}", refused.0))
        })
    }

    /// Refuses the exchange because the filter can't do its work.
    fn fail(&mut self, why: &str) -> Next {
        abi::log(Level::Error, &format!("agentguard: AG9001 {why}"));
        let reply = self.flow.fail();
        let _ = send(&reply);
        Next::Pause
    }

    /// Runs a part of the flow and adds up the time that it took.
    fn timed(&mut self, run: impl FnOnce(&mut Flow, u64) -> Step) -> Step {
        let start = abi::now();
        let step = run(&mut self.flow, start);
        // Waiting for more costs nothing worth a look at the clock.
        if step.action != Action::Hold {
            self.flow.spent(abi::now().saturating_sub(start));
        }
        step
    }

    fn body(
        &mut self,
        half: Half,
        size: usize,
        run: &mut dyn FnMut(&mut Flow, &mut dyn Body, u64) -> Step,
    ) -> Next {
        let mut held = Held {
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

    /// Refuses an exchange whose held headers no body follows.
    pub(super) fn tick(&mut self, now: u64) {
        if self
            .waiting
            .is_none_or(|since| now.saturating_sub(since) <= PATIENCE_NS)
        {
            return;
        }
        self.waiting = None;
        if abi::set_effective_context(self.context).is_err() {
            return;
        }
        abi::log(
            Level::Error,
            "agentguard: AG9002 headers are held and no body came: set `allow_on_headers_stop_iteration: true` \
             in the plugin, or `envoy: { headers: portable }` in the policy",
        );
        let reply = self.flow.give_up();
        let _ = send(&reply);
    }

    pub(super) fn request_headers(&mut self, end: bool) -> Next {
        // Envoy forgets the map when this callback returns Continue: everything that is needed later is copied now.
        let Ok(map) = abi::headers(REQUEST.map) else {
            return self.fail("the request headers could not be read");
        };
        let cluster = self
            .guard
            .policy
            .asks_cluster()
            .then(|| abi::property(&["xds", "cluster_name"]))
            .flatten();
        let cluster = cluster
            .as_deref()
            .and_then(|name| std::str::from_utf8(name).ok());
        let step = self.timed(|flow, now| {
            flow.request_headers(&RequestHead {
                headers: &headers::parse(&map),
                end,
                cluster,
                now,
            })
        });
        if step.action == Action::Hold {
            self.waiting = Some(abi::now());
        }
        self.take(REQUEST, step)
    }

    pub(super) fn request_body(&mut self, size: usize, end: bool) -> Next {
        self.waiting = None;
        self.body(REQUEST, size, &mut |flow, held, now| {
            flow.request_body(held, end, now)
        })
    }

    pub(super) fn request_trailers(&mut self) -> Next {
        // With trailers (and Envoy's decompressor always adds some) no body callback is marked as the last, so that the
        // body would go on unjudged. What the body callbacks held is in reach here.
        self.waiting = None;
        let Ok(map) = abi::headers(Map::RequestTrailers) else {
            return self.fail("the request trailers could not be read");
        };
        let trailers = headers::parse(&map);
        self.body(REQUEST, 0, &mut |flow, held, now| {
            flow.request_trailers(&trailers, held, now)
        })
    }

    pub(super) fn response_headers(&mut self, end: bool) -> Next {
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

    pub(super) fn response_body(&mut self, size: usize, end: bool) -> Next {
        self.body(RESPONSE, size, &mut |flow, held, now| {
            flow.response_body(held, end, now)
        })
    }

    pub(super) fn log(&mut self) {
        self.waiting = None;
        let flow = &mut self.flow;
        let status = if flow.knows_status() {
            None
        } else {
            abi::property(&["response", "code"])
                .and_then(|code| {
                    code.first_chunk::<8>()
                        .map(|code| u64::from_le_bytes(*code))
                })
                .and_then(|code| u16::try_from(code).ok())
        };
        let end = End {
            now: abi::now(),
            status,
        };
        let finished = flow.finish(&end);
        // Trouble with the record never blocks traffic; Envoy's log line then says `-`, which readers count.
        let version = &self.guard.policy.version;
        for (name, value) in [
            ("agentguard", finished.line.as_slice()),
            ("agentguard.decision", finished.decision.as_bytes()),
            (
                "agentguard.rule",
                finished.rule.as_deref().unwrap_or_default().as_bytes(),
            ),
            ("agentguard.policy_version", version.as_bytes()),
            (
                "agentguard.tokens_total",
                finished.tokens_total.to_string().as_bytes(),
            ),
        ] {
            if let Err(refused) = abi::set_property(name, value) {
                abi::log(
                    Level::Error,
                    &format!(
                        "agentguard: {name} could not be written: status {}",
                        refused.0
                    ),
                );
            }
        }
        let mut stats = self.stats.borrow_mut();
        flow.count(&end, &mut |metric, values, by| {
            stats.count(&self.guard, metric, values, by);
        });
    }
}
