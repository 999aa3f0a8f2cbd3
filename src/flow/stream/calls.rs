//! Calls of a streamed response, which continue over frames. A call is evaluated when its arguments are complete.

use super::call::{self, AssembledCall};
use super::frames::copy_known_facts;
use super::stall::Interruption;
use super::{Stream, StreamEnd};
use crate::diag::codes;
use crate::event::{Direction, Kind};
use crate::flow::Flow;
use crate::flow::content::Source;
use crate::flow::evaluate::AssembledPart;
use crate::flow::exchange::ExchangeOutcome;
use crate::policy::{EvaluationPhase, OnDeny, Scans};
use crate::protocol::stream::{CallDelta, CallKey, EvaluatedCall, HeldFrames};
use crate::protocol::{CannotRemove, RemovalMethod};
use crate::redact;
use crate::wire::json::{Edits, NodeId};
use crate::wire::sort;

/// Maximum calls that end together of which one can be removed.
const MAX_REMOVED_CALLS: usize = 1_024;

impl Flow {
    pub(super) fn take_call(
        &mut self,
        stream: &mut Stream,
        number: u64,
        key: CallKey,
        element: NodeId,
        what: &CallDelta,
    ) {
        if let CallDelta::ArgumentsWhole(place) = what
            && !stream.calls.contains_key(&key)
        {
            if let Some(arguments) = stream.rewritten.get(&key) {
                call::put(number, *place, arguments, &mut stream.queue);
            }
            return;
        }
        // Clients don't join the texts before and after a call.
        stream.separate_texts();
        let call = stream.calls.entry(key).or_default();
        let held = stream.queue.get(number);
        let Some(json) = held.and_then(|held| held.json.as_ref()) else {
            return;
        };
        let before = call.size();
        let is_first = call.add(number, element, what, json);
        let more = call.size().saturating_sub(before);
        stream.assembled = stream.assembled.saturating_add(more);
        if is_first {
            stream.queue.wait(number);
        }
    }

    /// Evaluates complete calls, and removes the denied ones. If some wait for approvals, the others are decided, and
    /// all are released together.
    pub(super) fn end_calls(
        &mut self,
        stream: &mut Stream,
        keys: &[CallKey],
        end: u64,
        may_wait: bool,
    ) -> Result<(), Interruption> {
        let mut waits = false;
        let has_waited = !stream.decided.is_empty();
        for key in keys {
            let Some(call) = stream.calls.remove(key) else {
                continue;
            };
            let written = u64::try_from(call.size()).unwrap_or(u64::MAX);
            let so_far = self.exchange.response_text;
            self.exchange.response_text = so_far.saturating_add(written);
            let assembled = stream.assembled;
            stream.assembled = assembled.saturating_sub(call.size());
            match self.evaluate_call(stream, key, &call, may_wait) {
                Err(Interruption::Wait) => {
                    self.exchange.response_text = so_far;
                    stream.assembled = assembled;
                    stream.calls.insert(*key, call);
                    waits = true;
                }
                denied => {
                    let denied = denied?;
                    stream.decided.push(EvaluatedCall {
                        key: *key,
                        pieces: call.elements,
                        denied,
                    });
                }
            }
        }
        if waits {
            return Err(Interruption::Wait);
        }
        let mut evaluated = std::mem::take(&mut stream.decided);
        if has_waited {
            let place = |call: &EvaluatedCall| keys.iter().position(|key| *key == call.key);
            sort::sort_by_key(&mut evaluated, place);
        }
        if evaluated.iter().any(|call| call.denied.is_some()) {
            stream.is_changed = true;
            // Readers compare calls with one another. No model makes as many at once.
            let taken = match evaluated.len() <= MAX_REMOVED_CALLS {
                true => stream
                    .reader
                    .remove_calls(&evaluated, end, &mut stream.queue),
                false => Err(CannotRemove),
            };
            if taken.is_err() {
                return Err(Interruption::End(self.stop_uneditable(None)));
            }
        }
        for call in &evaluated {
            let mut last = None;
            for (frame, _) in &call.pieces {
                if last.replace(*frame) != Some(*frame) {
                    stream.queue.settled(*frame);
                }
            }
        }
        Ok(())
    }

    /// Evaluates one call. Returns the message for the client if the call is removed.
    pub(super) fn evaluate_call(
        &mut self,
        stream: &mut Stream,
        key: &CallKey,
        call: &AssembledCall,
        may_wait: bool,
    ) -> Result<Option<String>, Interruption> {
        if !stream.is_evaluated() {
            let name = call.name();
            if !name.is_empty() {
                self.exchange
                    .calls
                    .push((name.into(), ExchangeOutcome::Allow));
            }
            if self.records_content()
                && let Ok((json, reading)) = call.read(key, self.guard.bounds())
            {
                let source = Some(Source::Call(*key));
                self.record_content(Direction::Response, source, (&json, &reading), &[]);
            }
            return Ok(None);
        }
        let (json, reading) = match call.read(key, self.guard.bounds()) {
            Ok(read) => read,
            Err(problem) => {
                self.unread(stream, codes::AG2014, &problem.what)?;
                return Ok(None);
            }
        };
        let mut restored = Edits::default();
        self.restore_pseudonyms(&json, &reading, &|_| true, &mut restored);
        let is_restored = !restored.is_empty();
        let (json, mut reading) =
            match call.with_edits(key, json, reading, restored, self.guard.bounds()) {
                Some(read) => read,
                None => return Err(Interruption::End(self.stop_uneditable(None))),
            };
        copy_known_facts(&mut reading, &stream.response);
        let at = stream.reader.call_at(key);
        if may_wait {
            self.allow_waiting();
        }
        let half_decision = self.evaluate_assembled(AssembledPart {
            events: &reading.events,
            reading: &reading,
            json: &json,
            scans: Scans::default(),
            phase: EvaluationPhase::Whole,
            enforcement: stream.enforcement(),
            at: &at,
        });
        if half_decision.waits {
            return Err(Interruption::Wait);
        }
        let read = (&json, &reading);
        let source = Some(Source::Call(*key));
        self.record_content(Direction::Response, source, read, &half_decision.redactions);
        if !stream.is_enforced() {
            return Ok(None);
        }
        if let Some(denied) = half_decision.strictest() {
            let denial = self.denial(denied, &json);
            let has_begun = stream.beginning.is_none();
            // A denied text in the arguments is removed with its call.
            let can_go = half_decision.denied.iter().all(|denied| {
                let is_call = denied.event.kind == Kind::ToolCall;
                (is_call && self.can_be_removed_by(denied, RemovalMethod::Call, has_begun))
                    || (denied.event.kind == Kind::Response
                        && self.on_deny(&denied.ruling) != Some(OnDeny::Error)
                        && !self.request_context.forces_tool
                        && !self.request_context.waits_for_results(has_begun))
            });
            if !can_go {
                return Err(Interruption::End(StreamEnd {
                    denial: Box::new(denial),
                    as_error: true,
                }));
            }
            self.exchange.code = Some(denial.code);
            return Ok(Some(denial.message()));
        }
        if self.guard.policy.needs.evaluates_calls() && call.keep_name_once(&mut stream.queue) {
            stream.is_changed = true;
        }
        let mut edits = Edits::default();
        redact::apply(
            half_decision.redactions,
            &json,
            &self.guard.redaction_keys,
            &mut self.redactions,
            &mut edits,
        );
        if is_restored || !edits.is_empty() {
            stream.is_changed = true;
            match call.edit(&json, edits, &mut stream.queue) {
                Some(arguments) => stream.rewritten.insert(*key, arguments),
                None => return Err(Interruption::End(self.stop_uneditable(Some(&json)))),
            };
        }
        Ok(None)
    }
}
