//! Kill switch: the kill list stops callers and tools before any rule of a policy. It is enforced in every mode, since
//! an operator has decided about this very caller or tool.
//!
//! The caller is checked at the start of the exchange, and again with each body and frame if the list has changed
//! since. Tool calls are checked together with the evaluation of the policy's rules.

use super::evaluate::DeniedEvent;
use super::exchange::ExchangeOutcome;
use super::{Flow, HalfState};
use crate::diag::codes;
use crate::event::{Direction, Event, Kind, Principal};
use crate::policy::{Context, KillState, Killed};
use crate::wire::json::NodeId;

/// Decision of the kill switch on an exchange.
#[derive(Debug, Default)]
pub(super) struct KillCheck {
    /// State of the kill list at the last check of the exchange.
    state: KillState,
    /// Reason why the exchange, or a call in it, is stopped.
    killed: Option<Killed>,
    /// Whether the exchange itself is stopped.
    stops_exchange: bool,
}

impl KillCheck {
    /// Returns the reason why the exchange or a call is stopped.
    pub(super) fn killed(&self) -> Option<&Killed> {
        self.killed.as_ref()
    }

    /// Returns whether calls must be read even if no rule requires it.
    pub(super) fn stops_tools(&self) -> bool {
        matches!(&self.state, KillState::List(list) if list.stops_tools())
    }

    /// Returns the generation of the list that stopped something.
    pub(super) fn generation(&self) -> Option<u64> {
        self.killed.as_ref().map(|killed| killed.generation)
    }
}

impl Flow {
    /// Checks the caller with the kill list in force, at the start of an exchange.
    pub(super) fn begin_kill(&mut self) -> Option<DeniedEvent> {
        self.kill.state = self.guard.kill.state();
        self.evaluate_kill(Direction::Request)
    }

    /// Checks the caller again if the list has changed since. A stopped exchange stays stopped.
    pub(super) fn recheck_kill(&mut self, direction: Direction) -> Option<DeniedEvent> {
        if self.kill.stops_exchange {
            return Some(self.killed_exchange(direction));
        }
        let state = self.guard.kill.state();
        if state.is_same(&self.kill.state) || self.replied {
            return None;
        }
        self.kill.state = state;
        self.evaluate_kill(direction)
    }

    fn evaluate_kill(&mut self, direction: Direction) -> Option<DeniedEvent> {
        let list = match &self.kill.state {
            KillState::Absent => return None,
            KillState::Unreadable => {
                self.kill.stops_exchange = true;
                return Some(self.killed_exchange(direction));
            }
            KillState::List(list) => list.clone(),
        };
        let event = Event::new(Kind::Request, Direction::Request, NodeId::default());
        let principal = self.exchange.ignored.then(anonymous);
        let known = principal.map(|nobody| std::mem::replace(&mut self.facts.principal, nobody));
        let killed = self.without_body(|context| list.stops(&event, context));
        if let Some(known) = known {
            self.facts.principal = known;
        }
        self.kill.killed = Some(killed??);
        self.kill.stops_exchange = true;
        Some(self.killed_exchange(direction))
    }

    /// Returns whether the kill list of the exchange's last check stops a call.
    pub(super) fn is_killed_call(&mut self, event: &Event, context: &Context<'_>) -> bool {
        let KillState::List(list) = &self.kill.state else {
            return false;
        };
        if event.kind != Kind::ToolCall || !list.stops_tools() {
            return false;
        }
        let killed = list.stops(event, context);
        let is_killed = killed.is_some();
        if is_killed {
            self.kill.killed = killed;
        }
        is_killed
    }

    /// Records the denial of the exchange.
    fn killed_exchange(&mut self, direction: Direction) -> DeniedEvent {
        self.exchange
            .decided(ExchangeOutcome::Deny, ExchangeOutcome::Deny);
        let kind = match direction {
            Direction::Request => Kind::Request,
            Direction::Response => Kind::Response,
        };
        let code = match self.kill.state {
            KillState::Unreadable => codes::AG9003,
            _ => codes::AG3006,
        };
        DeniedEvent::half(kind, direction, code)
    }

    /// Returns whether bytes of this response are forwarded without a reader that could end them validly.
    pub(super) fn is_forwarded_unread(&self) -> bool {
        matches!(self.response, HalfState::Passing | HalfState::Tapping(_))
    }
}

/// Returns an anonymous caller, whom only an entry for everything stops. Outside `applies_to`, callers are not
/// identified.
fn anonymous() -> Principal {
    Principal::known_by(Some("none"))
}
