//! Limits in an exchange. An event that a limit counts is charged once nothing else denies it.

use super::Flow;
use super::denial::redacted_pointer;
use super::evaluate::{DeniedEvent, Enforcement, EvaluatedEvent, HalfDecision};
use super::exchange::ExchangeOutcome;
use super::session;
use crate::audit::{RecordedLimit, RecordedRule};
use crate::diag::codes;
use crate::event::{Direction, Event, Kind, Reading};
use crate::limits::{self, Charge, LimitKeys, OnExcess, Standing, Unavailable};
use crate::policy::{
    Action, Charging, CompiledRule, Context, Counted, Decision, Evaluation, Interest, Limit,
    MatchedRule, Measure, Mode, Policy, Ruling, SessionSource,
};
use crate::wire::json::{JsonBody, NodeId, Value};
use std::rc::Rc;

/// Tokens that a stream is charged ahead of its written output.
const AHEAD_TOKENS: u64 = 63;

/// Event that a limit counts.
#[derive(Clone, Debug)]
pub(super) struct LimitedEvent {
    event: Event,
    at: String,
    rule: u16,
    enforced: bool,
    keys: LimitKeys,
    /// Amount to charge; absent if it can't be determined.
    amount: Option<u64>,
    /// Index among the exchange's recorded calls.
    call: Option<usize>,
    /// Rules that require an approval if the charge turns out to exceed the limit, including the limit's own rule.
    /// Empty if the limit requires none, or was already exceeded at the evaluation.
    asked: Vec<MatchedRule>,
    /// Whether an approval lets the event exceed the limit.
    is_approved: bool,
    /// Present if only the shadow policy has the limit.
    shadow: Option<ShadowLimit>,
}

/// State of a limit of the shadow policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ShadowLimit {
    /// Whether the shadow policy denies the event for another reason.
    is_denied: bool,
}

/// Limit that is settled once the exchange has ended.
#[derive(Clone, Debug)]
pub(super) struct OpenCharge {
    rule: u16,
    enforced: bool,
    is_shadow: bool,
    keys: LimitKeys,
    /// Reservation.
    charge: Option<Charge>,
    /// Amount reserved so far, including the charges of a streamed response.
    reserved: u64,
}

/// Limit that an event exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LimitHit {
    /// Maximum in whole units.
    max: u64,
    remaining: u64,
    /// Seconds until the same request would pass; absent if waiting doesn't help.
    wait_s: Option<u64>,
    /// Whether the client is asked to wait and to retry.
    asks_to_wait: bool,
    /// HTTP status of the denial.
    pub(super) status: u16,
}

impl LimitedEvent {
    /// Returns whether the limit requires approvals and was not exceeded when the event was evaluated.
    fn is_new(&self) -> bool {
        !self.asked.is_empty()
    }
}

impl LimitHit {
    fn of(standing: &Standing, unit: u64) -> LimitHit {
        let whole = |units: u64| units.checked_div(unit).unwrap_or(units);
        LimitHit {
            max: whole(standing.max),
            remaining: whole(standing.max.saturating_sub(standing.used)),
            wait_s: standing.wait_ms.map(|wait| wait.div_ceil(1_000).max(1)),
            asks_to_wait: standing.asks_to_wait(),
            status: standing.status(),
        }
    }

    /// Returns the headers of the denial, in the form of Envoy's own rate limit filters.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let Some(wait) = self.wait_s.filter(|_| self.asks_to_wait) else {
            return Vec::new();
        };
        [
            ("retry-after", wait),
            ("x-ratelimit-limit", self.max),
            ("x-ratelimit-remaining", self.remaining),
            ("x-ratelimit-reset", wait),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .collect()
    }

    /// Returns the suggested fix: `Try again in 37 seconds.`
    pub(super) fn remedy(&self) -> Option<String> {
        Some(match self.wait_s? {
            1 => "Try again in a second.".to_owned(),
            wait @ 2..120 => format!("Try again in {wait} seconds."),
            wait @ 120..7_200 => format!("Try again in {} minutes.", wait.div_ceil(60)),
            wait => format!("Try again in {} hours.", wait.div_ceil(3_600)),
        })
    }
}

impl Flow {
    /// Adds the `require_approval` limits that an event would exceed to its evaluation. Returns the numbers of their
    /// rules.
    pub(super) fn ask_beyond_limits(
        &mut self,
        case: &EvaluatedEvent<'_>,
        context: &Context<'_>,
        evaluation: &mut Evaluation,
        half_decision: &HalfDecision,
    ) -> Vec<u16> {
        let mut exceeded = Vec::new();
        if evaluation.ruling.decision == Decision::Deny {
            return exceeded;
        }
        for limited in std::mem::take(&mut evaluation.limited) {
            evaluation.limited.push(limited);
            let Some((rule, limit)) = limited_rule(context.policy, limited.rule)
                .filter(|(rule, _)| rule.action == Action::RequireApproval)
            else {
                continue;
            };
            let Some(keys) = self.guard.limits.keys(limited.rule, case.event, context) else {
                continue;
            };
            // Earlier calls in the same response use the limit first.
            let before = half_decision.limited.iter().filter(|before| {
                before.rule == limited.rule
                    && before.keys == keys
                    && !limit.is_distinct()
                    && !half_decision.has_denied_call(before.event.at)
            });
            let before = before.filter_map(|before| before.amount);
            let amount = limits::amount(rule, case.event, context);
            let amount = match limit.charging() {
                // An estimate passes as long as anything is left.
                Charging::Reserved if !is_lease(limit) => amount.map(|_| 1),
                _ => amount.map(|amount| before.fold(amount, u64::saturating_add)),
            };
            let limits = &self.guard.limits;
            let asked = limits.charge(limited.rule, &keys, amount, OnExcess::Ask, self.now);
            // If the counters are unreachable now, the charge denies the event.
            let Ok(charge) = asked else { continue };
            if charge.standing.is_exceeded {
                self.record_limit(rule, limit, &keys, &charge.standing);
                let mode = self.mode_of(limited.enforced, case.enforcement);
                self.exchange.limit_hits.push((rule.id.clone(), mode));
                exceeded.push(limited.rule);
                Policy::ask_beyond(evaluation, limited);
            }
        }
        #[cfg(not(target_arch = "wasm32"))]
        if !exceeded.is_empty() {
            let roles = &context.facts.approved_by;
            context.policy.apply_given_approvals(evaluation, roles);
        }
        exceeded
    }

    fn mode_of(&self, enforced: bool, enforcement: Enforcement) -> Mode {
        match enforced && enforcement == Enforcement::Enforced {
            true => Mode::Enforce,
            false => Mode::Observe,
        }
    }

    /// Adds the limits that count an event to the decision; `exceeded` are the rules whose limits it was already found
    /// to exceed.
    pub(super) fn collect_limits(
        &mut self,
        case: &EvaluatedEvent<'_>,
        evaluation: &Evaluation,
        exceeded: &[u16],
        call: Option<usize>,
        context: &Context<'_>,
        half_decision: &mut HalfDecision,
    ) {
        let event = case.event;
        let is_required = |held: &&MatchedRule| {
            let rule = context.policy.rule(held.rule);
            rule.is_some_and(|rule| rule.action == Action::RequireApproval)
        };
        let shadow = evaluation.shadow.as_ref();
        let of_shadow = shadow.into_iter().flat_map(|shadow| {
            let is_denied = shadow.ruling.decision != Decision::Allow;
            let of = Some(ShadowLimit { is_denied });
            shadow.limited.iter().map(move |limited| (limited, of))
        });
        let own = evaluation.limited.iter().map(|limited| (limited, None));
        for (limited, shadow) in own.chain(of_shadow) {
            let rule = context.policy.rule(limited.rule);
            let keys = self.guard.limits.keys(limited.rule, event, context);
            let (Some(rule), Some(keys)) = (rule, keys) else {
                continue;
            };
            let is_exceeded = exceeded.contains(&limited.rule);
            let ruling = match limited.enforced {
                true => &evaluation.ruling,
                false => &evaluation.would,
            };
            let is_approved = is_exceeded && ruling.decision == Decision::Allow;
            if is_exceeded && !is_approved {
                self.exchange.denied_by_limits.insert(rule.id.clone());
            }
            let asked = match (rule.action, shadow) {
                (Action::RequireApproval, None) if !is_exceeded => {
                    let held = evaluation.held.iter().filter(is_required).copied();
                    let mut asked: Vec<MatchedRule> = held.collect();
                    let place = asked.partition_point(|held| held.rule < limited.rule);
                    asked.insert(place, *limited);
                    asked
                }
                _ => Vec::new(),
            };
            half_decision.limited.push(LimitedEvent {
                event: event.clone(),
                at: match case.at {
                    Some(at) => at.to_owned(),
                    None => redacted_pointer(context.json, event.at),
                },
                rule: limited.rule,
                enforced: limited.enforced,
                keys,
                amount: limits::amount(rule, event, context),
                call,
                asked,
                is_approved,
                shadow,
            });
        }
    }

    /// Charges the limits of a half. An event that is denied for another reason uses up no limit, except those that
    /// count attempts or are charged at the end. A request is charged as a whole, but each call of a response by
    /// itself, since a denied call is removed alone.
    pub(super) fn charge_limits(
        &mut self,
        direction: Direction,
        enforcement: Enforcement,
        context: &Context<'_>,
        half_decision: &mut HalfDecision,
    ) {
        if half_decision.limited.is_empty() {
            return;
        }
        let limited = std::mem::take(&mut half_decision.limited);
        let is_request = direction == Direction::Request;
        let is_refused = is_request && half_decision.denied.iter().any(|denied| !denied.hidden);
        let mut charged: Vec<(&LimitedEvent, Charge)> = Vec::new();
        let same_event = |a: &LimitedEvent, b: &LimitedEvent| {
            a.event.kind == b.event.kind && a.event.at == b.event.at && a.call == b.call
        };
        for of_event in limited.chunk_by(same_event) {
            let is_denied = is_refused
                || of_event
                    .first()
                    .is_some_and(|first| half_decision.has_denied_call(first.event.at));
            let before = charged.len();
            let mut denied = None;
            let (mut would_deny, mut of_shadow) = (false, None);
            for item in of_event {
                let Some((rule, limit)) = limited_rule(context.policy, item.rule) else {
                    continue;
                };
                let is_denied = is_denied
                    || item.shadow.is_some_and(|shadow| {
                        let is_refused = is_request && self.is_denied_by_shadow();
                        shadow.is_denied || would_deny || is_refused
                    });
                let counts_attempts = limit.measure == Measure::Count(Counted::ToolCallAttempts);
                let is_open = limit.charging() == Charging::AtEnd;
                if is_denied && !counts_attempts && !is_open {
                    continue;
                }
                if is_denied && is_open {
                    self.open_charge(item, None);
                    continue;
                }
                if item.shadow.is_some() {
                    // Shadow limits come after the enforced ones.
                    let start = *of_shadow.get_or_insert(charged.len());
                    match self.charge_shadow(item, rule, limit, is_denied) {
                        LimitVerdict::Within(charge) => charged.push((item, charge)),
                        LimitVerdict::Beyond => {
                            would_deny = true;
                            self.give_back(charged.split_off(start));
                        }
                        LimitVerdict::Unknown => {}
                    }
                    continue;
                }
                match self.charge_one(item, is_denied, enforcement, context, half_decision) {
                    Ok(charge) => charged.extend(charge.map(|charge| (item, charge))),
                    Err(denial) if is_denied => drop(denial),
                    Err(denial) => {
                        denied = Some(denial);
                        break;
                    }
                }
            }
            if let Some(denial) = denied {
                // A denied request is not charged at all. In a response, only this call's charges are taken back.
                let kept = if is_request { 0 } else { before };
                self.give_back(charged.split_off(kept));
                half_decision.denied.push(*denial);
                if is_request {
                    break;
                }
            }
        }
        for (item, charge) in charged {
            let limited = limited_rule(context.policy, item.rule);
            if limited.is_some_and(|(_, limit)| limit.charging() != Charging::Now) {
                self.open_charge(item, Some(charge));
            }
        }
    }

    /// Returns whether the shadow policy would have denied something in the exchange.
    fn is_denied_by_shadow(&self) -> bool {
        let shadow = self.exchange.shadow.as_ref();
        shadow.is_some_and(|shadow| shadow.outcome >= ExchangeOutcome::RequireApproval)
    }

    /// Takes back the charges of denied events.
    fn give_back(&self, charged: Vec<(&LimitedEvent, Charge)>) {
        for (item, charge) in charged {
            let limits = &self.guard.limits;
            limits.settle(item.rule, &item.keys, &charge, 0, self.now);
        }
    }

    /// Charges a limit of the shadow policy, and records its effect.
    fn charge_shadow(
        &mut self,
        item: &LimitedEvent,
        rule: &CompiledRule,
        limit: &Limit,
        is_denied: bool,
    ) -> LimitVerdict {
        let on_excess = on_excess(rule, limit, false);
        let limits = &self.guard.limits;
        let Ok(charge) = limits.charge(item.rule, &item.keys, item.amount, on_excess, self.now)
        else {
            return LimitVerdict::Unknown;
        };
        self.record_limit(rule, limit, &item.keys, &charge.standing);
        if !charge.standing.is_exceeded || is_denied {
            return LimitVerdict::Within(charge);
        }
        let hit = (rule.id.clone(), Mode::Observe);
        self.exchange.limit_hits.push(hit);
        let outcome = match rule.action {
            Action::Tag => ExchangeOutcome::Allow,
            Action::RequireApproval => ExchangeOutcome::RequireApproval,
            _ => ExchangeOutcome::Deny,
        };
        let tried = self.exchange.shadow.get_or_insert_default();
        tried.rules.insert(rule.id.clone());
        tried.outcome = tried.outcome.max(outcome);
        if rule.action == Action::Tag {
            return LimitVerdict::Within(charge);
        }
        self.exchange.denied_by_limits.insert(rule.id.clone());
        LimitVerdict::Beyond
    }

    fn open_charge(&mut self, item: &LimitedEvent, charge: Option<Charge>) {
        self.exchange.open_charges.push(OpenCharge {
            rule: item.rule,
            enforced: item.enforced,
            is_shadow: item.shadow.is_some(),
            keys: item.keys.clone(),
            reserved: charge.as_ref().map_or(0, Charge::amount),
            charge,
        });
    }

    /// Charges one limit. Returns the charge, if the counters could be reached, or the denial of the event.
    fn charge_one(
        &mut self,
        item: &LimitedEvent,
        is_denied: bool,
        enforcement: Enforcement,
        context: &Context<'_>,
        half_decision: &mut HalfDecision,
    ) -> Result<Option<Charge>, Box<DeniedEvent>> {
        let Some((rule, limit)) = limited_rule(context.policy, item.rule) else {
            return Ok(None);
        };
        let mode = self.mode_of(item.enforced, enforcement);
        let is_enforced = mode == Mode::Enforce;
        let charge = |flow: &Flow, is_approved| {
            let on_excess = on_excess(rule, limit, is_approved);
            let limits = &flow.guard.limits;
            limits.charge(item.rule, &item.keys, item.amount, on_excess, flow.now)
        };
        let (code, hit, charged) = match charge(self, item.is_approved) {
            Ok(charged) => {
                let standing = charged.standing;
                self.record_limit(rule, limit, &item.keys, &standing);
                if !standing.is_exceeded || item.is_approved {
                    return Ok(Some(charged));
                }
                // For a limit that requires approvals, an excess at the evaluation was recorded there.
                if rule.action != Action::RequireApproval || item.is_new() {
                    self.exchange.limit_hits.push((rule.id.clone(), mode));
                }
                let hit = LimitHit::of(&standing, limit.unit());
                (codes::AG5001, Some(hit), Some(charged))
            }
            Err(Unavailable) => (codes::AG9004, None, None),
        };
        self.record_exceeded(item, rule);
        if rule.action == Action::Tag {
            return Ok(charged);
        }
        let asks = rule.action == Action::RequireApproval && hit.is_some();
        let late = match asks && is_enforced && !is_denied && item.is_new() {
            true => {
                let (event, asked) = (&item.event, &item.asked);
                let late =
                    self.check_late_approval(event, context, asked, item.rule, half_decision);
                if late.is_none() {
                    return Ok(charge(self, true).ok());
                }
                late
            }
            false => None,
        };
        let would = match asks {
            true => ExchangeOutcome::RequireApproval,
            false => ExchangeOutcome::Deny,
        };
        let outcome = match is_enforced {
            true => would,
            false => ExchangeOutcome::Allow,
        };
        self.exchange.decided(outcome, would);
        self.exchange.denied_by_limits.insert(rule.id.clone());
        if !is_enforced {
            return Ok(charged);
        }
        let call = item.call;
        if let Some((_, of_call)) = call.and_then(|call| self.exchange.calls.get_mut(call)) {
            *of_call = outcome;
        }
        Err(Box::new(late.unwrap_or_else(|| DeniedEvent {
            limit: hit,
            ..DeniedEvent::new(item.event.clone(), Ruling::deny(Some(item.rule), code))
        })))
    }

    fn record_limit(
        &mut self,
        rule: &CompiledRule,
        limit: &Limit,
        keys: &LimitKeys,
        standing: &Standing,
    ) {
        let known = self.exchange.limits.get(&rule.id);
        let recorded = RecordedLimit {
            used: standing.used,
            max: standing.max,
            unit: limit.unit(),
            is_exceeded: standing.is_exceeded || known.is_some_and(|known| known.is_exceeded),
            session: keys.session.clone(),
        };
        self.exchange.limits.insert(rule.id.clone(), recorded);
    }

    fn record_exceeded(&mut self, item: &LimitedEvent, rule: &CompiledRule) {
        let kind = item.event.kind.word();
        let mode = match item.enforced {
            true => Mode::Enforce,
            false => Mode::Observe,
        };
        self.exchange
            .rules
            .entry((item.rule, kind))
            .or_insert_with(|| RecordedRule {
                id: rule.id.clone(),
                action: rule.action.word(),
                event: kind,
                at: item.at.clone(),
                mode: mode.word(),
                form: None,
            });
        self.exchange.tags.extend(rule.tags.iter().cloned());
    }

    /// Settles reservations, and charges the limits that depend on the end of the exchange.
    pub(super) fn settle_limits(&mut self) {
        let guard = Rc::clone(&self.guard);
        for open in std::mem::take(&mut self.exchange.open_charges) {
            let Some((rule, limit)) = limited_rule(&guard.policy, open.rule) else {
                continue;
            };
            let limits = &guard.limits;
            match limit.charging() {
                Charging::Now => {}
                Charging::Reserved => {
                    let used = self.used(limit, &open);
                    if let Some(charge) = &open.charge {
                        limits.settle(open.rule, &open.keys, charge, used, self.now);
                    }
                    if let Some(recorded) = self.exchange.limits.get_mut(&rule.id) {
                        let reserved = open.charge.as_ref().map_or(0, Charge::amount);
                        let others = recorded.used.saturating_sub(reserved);
                        recorded.used = others.saturating_add(used);
                    }
                }
                Charging::AtEnd => {
                    let happened = self.has_happened(limit, rule, &open);
                    if happened {
                        let (keys, now) = (&open.keys, self.now);
                        let _ = limits.charge(open.rule, keys, Some(1), OnExcess::Count, now);
                        if let Some(recorded) = self.exchange.limits.get_mut(&rule.id) {
                            recorded.used = recorded.used.saturating_add(1);
                        }
                    } else if limit.measure == Measure::Count(Counted::ConsecutiveDenials)
                        && !self.is_denied_by(rule)
                    {
                        limits.reset(open.rule, &open.keys, self.now);
                    }
                }
            }
        }
    }

    /// Returns whether this limit itself denied the exchange.
    fn is_denied_by(&self, rule: &CompiledRule) -> bool {
        self.exchange.denied_by_limits.contains(&rule.id)
    }

    /// Returns whether the event that a limit counts at the end has happened: a failure or a denial.
    fn has_happened(&self, limit: &Limit, rule: &CompiledRule, open: &OpenCharge) -> bool {
        let exchange = &self.exchange;
        let outcome = match (open.is_shadow, open.enforced) {
            (true, _) => exchange
                .shadow
                .as_ref()
                .map_or(ExchangeOutcome::NotEvaluated, |shadow| shadow.outcome),
            (false, true) => exchange.outcome,
            (false, false) => exchange.would,
        };
        match limit.measure {
            Measure::Count(Counted::Failures) => {
                !self.replied
                    && (exchange.provider_error.is_some()
                        || exchange.status.is_some_and(|status| status >= 400))
            }
            _ => {
                matches!(
                    outcome,
                    ExchangeOutcome::Deny | ExchangeOutcome::RequireApproval
                ) && !self.is_denied_by(rule)
            }
        }
    }

    /// Returns the amount of a reserved limit that the ended exchange used.
    fn used(&self, limit: &Limit, open: &OpenCharge) -> u64 {
        let exchange = &self.exchange;
        let (input, output) = match limit.measure {
            Measure::Count(Counted::ConcurrentRequests) => return 0,
            Measure::Count(Counted::Bytes) => {
                // Bytes that were not inspected were transferred, too.
                let request = exchange.request_bytes;
                return request.saturating_add(exchange.response_bytes);
            }
            _ => self.tokens(),
        };
        let has_usage = exchange
            .usage
            .all_input()
            .or(exchange.usage.all_output())
            .is_some();
        let failed = exchange.status.is_some_and(|status| status >= 400) && !self.replied;
        if failed && !has_usage {
            // Providers charge nothing for an error.
            return 0;
        }
        let used = limits::of_tokens(limit, &self.facts.models, input, output);
        let used = used.unwrap_or(open.reserved);
        // How much of an aborted exchange the provider has processed is unknown.
        match exchange.is_complete {
            true => used,
            false => used.max(open.reserved),
        }
    }

    /// Returns the input and output tokens: as reported by the provider, otherwise estimated at four bytes per token.
    /// Before the end, a provider's output count is only its initial value.
    fn tokens(&self) -> (u64, u64) {
        let usage = self.exchange.usage;
        let estimated = self.facts.request.estimated_tokens.unwrap_or(0);
        let written = self.exchange.response_text.div_ceil(4);
        let output = match usage.all_output() {
            Some(told) if self.exchange.is_complete => told,
            told => told.unwrap_or(0).max(written),
        };
        (usage.all_input().unwrap_or(estimated), output)
    }

    /// Charges the output of a stream beyond the reservation. Returns the denial that ends the stream once a limit is
    /// reached.
    pub(super) fn charge_stream(&mut self) -> Option<DeniedEvent> {
        if self.guard.limits.bounds_streams() == Interest::None {
            return None;
        }
        let guard = Rc::clone(&self.guard);
        let (input, output) = self.tokens();
        let mut open_charges = std::mem::take(&mut self.exchange.open_charges);
        let mut denied = None;
        for open in &mut open_charges {
            let Some((rule, limit)) = limited_rule(&guard.policy, open.rule) else {
                continue;
            };
            if !limit.counts_output() || !open.enforced || rule.action != Action::Deny {
                continue;
            }
            let used = limits::of_tokens(limit, &self.facts.models, input, output);
            let Some(used) = used.filter(|used| *used > open.reserved) else {
                continue;
            };
            // Charged a little ahead, so that not every frame needs a charge.
            let more = used
                .saturating_sub(open.reserved)
                .saturating_add(AHEAD_TOKENS);
            let limits = &guard.limits;
            let (keys, now) = (&open.keys, self.now);
            let charged = limits.charge(open.rule, keys, Some(more), OnExcess::Clamp, now);
            let Ok(more) = charged else { continue };
            open.reserved = open.reserved.saturating_add(more.amount());
            if let Some(charge) = &mut open.charge {
                charge.extend(&more);
            }
            if used > open.reserved && denied.is_none() {
                self.record_limit(rule, limit, &open.keys, &more.standing);
                let hit = (rule.id.clone(), Mode::Enforce);
                self.exchange.limit_hits.push(hit);
                self.exchange.denied_by_limits.insert(rule.id.clone());
                denied = Some((open.rule, LimitHit::of(&more.standing, limit.unit())));
            }
        }
        self.exchange.open_charges = open_charges;
        let (number, hit) = denied?;
        let event = Event::new(Kind::Response, Direction::Response, NodeId::default());
        if let Some(rule) = guard.policy.rule(number) {
            let item = LimitedEvent {
                event: event.clone(),
                at: String::new(),
                rule: number,
                enforced: true,
                keys: LimitKeys::default(),
                amount: None,
                call: None,
                asked: Vec::new(),
                is_approved: false,
                shadow: None,
            };
            self.record_exceeded(&item, rule);
        }
        self.exchange
            .decided(ExchangeOutcome::Deny, ExchangeOutcome::Deny);
        Some(DeniedEvent {
            limit: Some(hit),
            ..DeniedEvent::new(event, Ruling::deny(Some(number), codes::AG5001))
        })
    }

    /// Finds the session's names in the headers of a request.
    pub(super) fn learn_session_headers(&mut self, headers: &[(&[u8], &[u8])]) {
        let guard = Rc::clone(&self.guard);
        for source in guard.limits.session_sources() {
            self.name_session(source, &session::in_headers(source, headers));
        }
    }

    /// Finds the session's names in the body of a request.
    pub(super) fn learn_session(&mut self, reading: &Reading, json: &JsonBody<'_>) {
        let guard = Rc::clone(&self.guard);
        for source in guard.limits.session_sources() {
            let texts = session::in_body(source, reading, json);
            if *source == SessionSource::Conversation
                && texts.is_empty()
                && let Some(id) = session::previous_response(json)
            {
                match guard.limits.session_of_response(&id, self.now) {
                    Some(known) => self.facts.sessions.push((source.name(), known)),
                    None => self.name_session(source, &[id]),
                }
            } else {
                self.name_session(source, &texts);
            }
        }
    }

    fn name_session(&mut self, source: &SessionSource, texts: &[String]) {
        if texts.is_empty() {
            return;
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        if let Some(name) = self.guard.limits.fingerprint(&texts) {
            self.facts.sessions.push((source.name(), name));
        }
    }

    /// Stores the session of a response that a later request may continue by its id.
    pub(super) fn note_response(&mut self, root: Value<'_>) {
        let sources = self.guard.limits.session_sources();
        if self.exchange.has_noted_response
            || !sources.contains(&SessionSource::Conversation)
            || self
                .protocol
                .is_none_or(|it| it.name() != "openai.responses")
        {
            return;
        }
        let id = root
            .get("response")
            .unwrap_or(root)
            .get("id")
            .and_then(session::plain);
        let source = SessionSource::Conversation.name();
        let mut named = self.facts.sessions.iter();
        let named = named.find(|(known, _)| *known == source);
        let first = self.facts.sessions.first();
        let session = named.or(first).map(|(_, session)| session.clone());
        if let Some((id, session)) = id.zip(session) {
            self.exchange.has_noted_response = true;
            self.guard.limits.note_response(&id, &session, self.now);
        }
    }
}

/// Result of charging a limit of the shadow policy.
enum LimitVerdict {
    /// The event passes.
    Within(Charge),
    /// The limit would deny the event.
    Beyond,
    /// The counters could not be reached.
    Unknown,
}

/// Returns how a charge that exceeds the limit is treated.
fn on_excess(rule: &CompiledRule, limit: &Limit, is_approved: bool) -> OnExcess {
    match (rule.action, limit.charging()) {
        (_, Charging::AtEnd) => OnExcess::Ask,
        (Action::Tag, _) => OnExcess::Count,
        _ if is_approved => OnExcess::Count,
        (_, Charging::Reserved) if !is_lease(limit) => OnExcess::Clamp,
        _ => OnExcess::Refuse,
    }
}

/// Returns whether the limit counts a use that is given back at the end.
fn is_lease(limit: &Limit) -> bool {
    limit.measure == Measure::Count(Counted::ConcurrentRequests)
}

/// Returns a rule with its limit; `None` if it has none.
fn limited_rule(policy: &Policy, number: u16) -> Option<(&CompiledRule, &Limit)> {
    let rule = policy.rule(number)?;
    Some((rule, rule.limit.as_deref()?))
}
