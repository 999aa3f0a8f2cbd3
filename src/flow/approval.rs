//! Approvals of an exchange: the approval request in a denial, and the approval tokens that come with the next request.
//!
//! A call is checked when it is evaluated. A use of its approval is only taken once nothing else denies the call.

use super::Flow;
use super::evaluate::{DeniedEvent, HalfDecision};
use super::exchange::ExchangeOutcome;
use super::session;
use crate::approval::{
    ApprovalRequest, Check, Checked, Grant, Invalid, RequestedRule, RuleDemand, SignedToken,
    SpentTokens, Subject, VerifiedToken, VerifyingKeys, digest_of,
};
use crate::diag::codes;
use crate::event::{APPROVAL_KEY, Direction, Event, Kind, Known, Reading};
use crate::policy::evaluate::value::{BoundValue, each_bound};
use crate::policy::field_ref::FieldRef;
use crate::policy::{
    Action, Approval, CompiledRule, Context, Decision, MatchedRule, Policy, Ruling, SessionSource,
};
use crate::protocol::Protocol;
use crate::proxy::SharedData;
use crate::wire::json::{JsonBody, ValueKind, quote, write_canonical};
use crate::wire::sorted_map::{SortedMap, SortedSet};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::rc::Rc;

/// Header with approval tokens, separated by commas.
pub(super) const HEADER: &[u8] = b"x-agentguard-approval";

/// Maximum tokens of a request. Each costs a verification of its signature.
const MAX_TOKENS: usize = 8;

/// Maximum bytes of the values that an approver is shown. Longer values are not shown.
const MAX_SHOWN_BYTES: usize = 2 << 10;

/// Bytes of an approval request's id.
const ID_BYTES: usize = 16;

/// State of a policy in force that approvals need.
pub(super) struct Approvals {
    pub(super) keys: VerifyingKeys,
    data: Rc<dyn SharedData>,
    /// Whether some rule waits for approvals.
    pub(super) waits: bool,
    /// Sources of session names, of all rules.
    sessions: Vec<SessionSource>,
    /// Key of the ids of approval requests, so that workers never create the same id.
    id_key: [u8; 32],
    next_id: Cell<u64>,
}

impl std::fmt::Debug for Approvals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Approvals({:?})", self.keys)
    }
}

impl Approvals {
    pub(super) fn new(
        keys: VerifyingKeys,
        data: Rc<dyn SharedData>,
        id_key: [u8; 32],
        policy: &Policy,
    ) -> Approvals {
        if policy.asks_approvals() {
            SpentTokens::prepare(&*data);
        }
        let mut sessions: Vec<SessionSource> = Vec::new();
        let mut asking: Vec<&CompiledRule> = policy.rules().iter().collect();
        asking.retain(|rule| rule.action == Action::RequireApproval);
        for source in asking.iter().flat_map(|rule| approval_of(rule).sessions()) {
            if !sessions.contains(source) {
                sessions.push(source.clone());
            }
        }
        Approvals {
            sessions,
            keys,
            data,
            waits: policy.waits_for_approvals(),
            id_key,
            next_id: Cell::new(0),
        }
    }

    /// Returns the shared data that stores the spent tokens.
    pub(super) fn data(&self) -> &Rc<dyn SharedData> {
        &self.data
    }

    /// Returns the same keys, with other shared data for the spent tokens.
    pub(super) fn over(&self, data: Rc<dyn SharedData>) -> Approvals {
        Approvals {
            keys: self.keys.clone(),
            data,
            waits: self.waits,
            sessions: self.sessions.clone(),
            id_key: self.id_key,
            next_id: Cell::new(0),
        }
    }

    /// Returns a new id that cannot be guessed.
    fn fresh_id(&self, request_id: &str, now: u64) -> Box<str> {
        let number = self.next_id.get();
        self.next_id.set(number.wrapping_add(1));
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.id_key) else {
            return Box::default();
        };
        mac.update(&number.to_be_bytes());
        mac.update(&now.to_be_bytes());
        mac.update(request_id.as_bytes());
        let hash = mac.finalize().into_bytes();
        URL_SAFE_NO_PAD
            .encode(hash.get(..ID_BYTES).unwrap_or_default())
            .into()
    }
}

/// Approval tokens and related properties of an exchange.
#[derive(Debug, Default)]
pub(super) struct PresentedApprovals {
    /// Parsed tokens whose signatures have not been verified yet.
    signed: Vec<Result<SignedToken, Invalid>>,
    /// Tokens after the verification of their signatures, each verified once.
    verified: Vec<Result<VerifiedToken, Invalid>>,
    /// Method, host, path and hash of the query of the request.
    target: Box<str>,
    /// Sources that name the session, each with the hash of the name.
    sessions: Vec<(SessionSource, [u8; 32])>,
    /// Keys of the calls that passed in this exchange with an approval, see [`copy_key`].
    taken: SortedSet<Box<str>>,
    /// Approval in the audit event.
    pub(super) recorded: Option<RecordedApproval>,
}

impl PresentedApprovals {
    /// Stores the session's names in a part of the request; `find` returns the texts for a source.
    fn learn_session(
        &mut self,
        sources: &[SessionSource],
        find: impl Fn(&SessionSource) -> Vec<String>,
    ) {
        for source in sources {
            let texts = find(source);
            if texts.is_empty() {
                continue;
            }
            let mut hash = Sha256::new();
            for text in texts {
                hash.update(text.len().to_string());
                hash.update(" ");
                hash.update(text);
            }
            self.sessions.push((source.clone(), hash.finalize().into()));
        }
    }

    /// Returns the session to which an approval for these rules is bound. Each rule contributes the first of its
    /// sources that names one.
    fn session_of(&self, rules: &[&CompiledRule]) -> Option<Box<str>> {
        let of_source = |source: &SessionSource| {
            let (_, hash) = self.sessions.iter().find(|(known, _)| known == source)?;
            Some((source.name(), *hash))
        };
        let of_rule =
            |rule: &&CompiledRule| approval_of(rule).sessions().iter().find_map(of_source);
        let mut named = SortedSet::new();
        named.extend(rules.iter().filter_map(of_rule));
        let mut hash = Sha256::new();
        for (source, value) in named.iter() {
            hash.update(source.as_bytes());
            hash.update(value);
        }
        let is_named = named.iter().next().is_some();
        let hash = hash.finalize();
        is_named.then(|| {
            URL_SAFE_NO_PAD
                .encode(hash.get(..ID_BYTES).unwrap_or_default())
                .into()
        })
    }
}

/// Approval in the audit event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordedApproval {
    pub(super) id: Box<str>,
    pub(super) digest: Box<str>,
    pub(super) state: &'static str,
    pub(super) detail: Option<&'static str>,
}

/// Missing approval of a denied event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DeniedApproval {
    /// Approval request; absent if no approver could approve it.
    pub(super) request: Option<Box<str>>,
    /// Reason why the presented tokens are invalid.
    pub(super) invalid: Option<Invalid>,
    /// Whether the approved values cannot be determined for certain.
    pub(super) is_uncertain: bool,
    /// Whether the approval service was called and failed.
    pub(super) has_failed: bool,
    /// Request to the approval service, if it is called.
    pub(super) asked: Option<Box<ServiceRequest>>,
}

/// Request to the approval service, for a missing approval or as a notice of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceRequest {
    pub(super) request: ApprovalRequest,
    /// Seconds to wait for the response; `None` if the exchange does not wait.
    pub(super) wait: Option<u64>,
    /// Whether the service is notified.
    pub(super) notify: bool,
}

/// Event that passes once its approvals are spent.
#[derive(Clone, Debug)]
pub(super) struct ApprovedEvent {
    event: Event,
    ruling: Ruling,
    grants: Vec<Grant>,
    request: ApprovalRequest,
}

/// Result for an event that requires an approval.
pub(super) enum ApprovalCheck {
    Approved(Box<ApprovedEvent>),
    Denied(DeniedApproval),
}

impl Flow {
    /// Stores the tokens, session names and target of a request's headers.
    pub(super) fn take_presented(
        &mut self,
        headers: &[(&[u8], &[u8])],
        method: &str,
        host: &str,
        target: &str,
    ) {
        let presented = &mut self.approvals;
        if !self.guard.policy.asks_approvals() && self.guard.policy.document.approvers.is_empty() {
            return;
        }
        for (name, value) in headers {
            if *name == HEADER {
                presented.add(std::str::from_utf8(value).unwrap_or_default());
            }
        }
        presented.learn_session(&self.guard.approvals.sessions, |source| {
            session::in_headers(source, headers)
        });
        // A query may contain the provider's key. Only its hash is kept, so that the approval is bound to it.
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = match query {
            "" => String::new(),
            query => format!("?{}", digest_of(query.as_bytes())),
        };
        presented.target = format!("{method} {host}{path}{query}").into();
    }

    /// Stores the tokens in `_meta` (MCP) and the session names of a request's body.
    pub(super) fn take_presented_in_body(&mut self, reading: &Reading, json: &JsonBody<'_>) {
        let sources = &self.guard.approvals.sessions;
        self.approvals
            .learn_session(sources, |source| session::in_body(source, reading, json));
        for place in &reading.approvals {
            let tokens = json.value(*place).and_then(|meta| meta.get(APPROVAL_KEY));
            if let Some(text) = tokens.and_then(|tokens| tokens.text()) {
                self.approvals.add(&text);
            }
        }
    }

    /// Returns whether tokens in the body of the request are removed from it.
    pub(super) fn removes_tokens(&self) -> bool {
        let brings = |protocol: &dyn Protocol| protocol.name() == "mcp";
        self.guard.policy.asks_approvals() && self.protocol.is_some_and(brings)
    }

    /// Returns whether presented tokens approve an event; `held` are the rules that match it.
    pub(super) fn check_approval(
        &mut self,
        event: &Event,
        context: &Context<'_>,
        held: &[MatchedRule],
        ruling: Ruling,
        enforced_only: bool,
        approved: &[ApprovedEvent],
    ) -> ApprovalCheck {
        let rules: Vec<&CompiledRule> = held
            .iter()
            .filter(|held| held.enforced || !enforced_only)
            .filter_map(|held| context.policy.rule(held.rule))
            .filter(|rule| rule.action == Action::RequireApproval)
            .collect();
        let guard = Rc::clone(&self.guard);
        let now = seconds(context.facts.time.unwrap_or(self.exchange.started));
        let demands: Vec<RuleDemand<'_>> = rules.iter().map(|rule| demand(rule)).collect();
        let keys = &guard.approvals.keys;
        if !demands.iter().all(|demand| keys.has_role(demand.by)) {
            return ApprovalCheck::Denied(DeniedApproval::default());
        }
        let Some((subject, show)) = self.subject(event, context, &rules) else {
            return ApprovalCheck::Denied(DeniedApproval {
                is_uncertain: true,
                ..DeniedApproval::default()
            });
        };
        let reserved: Vec<Grant> = approved
            .iter()
            .flat_map(|approved| approved.grants.iter().cloned())
            .collect();
        let check = Check {
            subject: &subject,
            asker: &context.facts.principal,
            now,
            reserved: &reserved,
        };
        // A copy of a call that has passed in this exchange, or passes now, passes as well.
        let is_same = |other: &ApprovedEvent| other.request.subject == subject;
        let is_copy = event.is_duplicate
            && (self.approvals.taken.contains(&copy_key(&subject)) || approved.iter().any(is_same));
        let spent = SpentTokens::new(&*guard.approvals.data, now);
        let spent = (!is_copy).then_some(&spent);
        self.approvals.verify(keys);
        let checked = check.tokens(&self.approvals.verified, &demands, spent);
        let least = |of: fn(&RuleDemand<'_>) -> u64| demands.iter().map(of).min().unwrap_or(0);
        let valid_for = least(|demand| demand.valid_for);
        let mut request = ApprovalRequest {
            id: Box::default(),
            subject,
            rules: demands
                .iter()
                .map(|demand| RequestedRule {
                    id: demand.rule.into(),
                    by: demand.by.to_vec(),
                    needed: demand.needed,
                })
                .collect(),
            show,
            until: now.saturating_add(valid_for),
            valid_for,
            uses: u32::try_from(least(|demand| u64::from(demand.uses))).unwrap_or(1),
        };
        // The exchange waits only if each of the rules waits.
        let wait = rules.iter().map(|rule| approval_of(rule).wait).min();
        let wait = wait.flatten();
        let notify = rules.iter().any(|rule| approval_of(rule).notify);
        let invalid = match checked {
            Checked::Approved(grants) => {
                request.id = grants
                    .first()
                    .map_or_else(Box::default, |grant| grant.id.clone());
                return ApprovalCheck::Approved(Box::new(ApprovedEvent {
                    event: event.clone(),
                    ruling,
                    grants: if is_copy { Vec::new() } else { grants },
                    request,
                }));
            }
            Checked::Missing => None,
            Checked::Invalid(reason) => Some(reason),
        };
        let mut denied = self.asked(&mut request, invalid, now);
        if invalid.is_none()
            && wait.is_some()
            && let Some(failure) = self.service.failure()
        {
            denied.has_failed = true;
            self.approvals.record(&request, "required", Some(failure));
        } else if invalid.is_none() && wait.is_some() && self.service.is_answered() {
            self.approvals.record(&request, "unanswered", None);
        }
        if invalid.is_none() && (wait.is_some() || notify) {
            denied.asked = Some(Box::new(ServiceRequest {
                request,
                wait,
                notify,
            }));
        }
        ApprovalCheck::Denied(denied)
    }

    /// Checks the approval of an event whose charge exceeds a limit that was not exceeded at the evaluation: another
    /// worker, or another call of the same response, has used it up since. `held` are the rules that require an
    /// approval, including the limit's own. Returns the denial. The approval must name the limit, and the exchange does
    /// not wait for one any more.
    pub(super) fn check_late_approval(
        &mut self,
        event: &Event,
        context: &Context<'_>,
        held: &[MatchedRule],
        limit: u16,
        half_decision: &mut HalfDecision,
    ) -> Option<DeniedEvent> {
        #[cfg(not(target_arch = "wasm32"))]
        if context.policy.are_given(held, &context.facts.approved_by) {
            return None;
        }
        let asks = Ruling::ask(limit);
        half_decision
            .approved
            .retain(|approved| approved.event != *event);
        match self.check_approval(event, context, held, asks, true, &half_decision.approved) {
            ApprovalCheck::Approved(approved) => {
                half_decision.approved.push(*approved);
                None
            }
            ApprovalCheck::Denied(denied) => {
                let code = match denied.invalid {
                    Some(_) => codes::AG3004,
                    None => codes::AG3003,
                };
                let ruling = Ruling {
                    code: Some(code),
                    ..asks
                };
                Some(DeniedEvent {
                    approval: Some(Box::new(denied)),
                    ..DeniedEvent::new(event.clone(), ruling)
                })
            }
        }
    }

    /// Records a missing approval, and completes the request for it.
    fn asked(
        &mut self,
        request: &mut ApprovalRequest,
        invalid: Option<Invalid>,
        now: u64,
    ) -> DeniedApproval {
        // The approval service may still approve the request that it was sent.
        let known = self.service.take_id(&copy_key(&request.subject));
        let fresh = || self.guard.approvals.fresh_id(&self.head.request_id, now);
        request.id = known.unwrap_or_else(fresh);
        let state = match invalid {
            Some(_) => "invalid",
            None => "required",
        };
        let detail = invalid.map(Invalid::word);
        self.approvals.record(request, state, detail);
        DeniedApproval {
            request: Some(request.encode().into()),
            invalid,
            ..DeniedApproval::default()
        }
    }

    /// Spends the approvals of events, unless something else denies them. An event is denied if its approval can't be
    /// spent.
    pub(super) fn spend(&mut self, direction: Direction, half_decision: &mut HalfDecision) {
        let approved = std::mem::take(&mut half_decision.approved);
        let is_denied = half_decision.denied.iter().any(|denied| !denied.hidden);
        if direction == Direction::Request && is_denied {
            return;
        }
        let guard = Rc::clone(&self.guard);
        let now = seconds(self.facts.time.unwrap_or(self.exchange.started));
        let table = SpentTokens::new(&*guard.approvals.data, now);
        let is_denied = |event: &Event, denied: &[DeniedEvent]| {
            denied.iter().any(|denied| denied.event == *event)
        };
        for approved in approved {
            // Another decision denies the event, for example an impossible redaction.
            if is_denied(&approved.event, &half_decision.denied) {
                continue;
            }
            let spent = approved
                .grants
                .iter()
                .try_for_each(|grant| table.spend(grant));
            let Err(reason) = spent else {
                self.approvals
                    .taken
                    .insert(copy_key(&approved.request.subject));
                self.approvals.record(&approved.request, "approved", None);
                continue;
            };
            let outcome = ExchangeOutcome::RequireApproval;
            self.exchange.decided(outcome, outcome);
            if let Known::Is(tool) = &approved.event.tool {
                let tool = self
                    .facts
                    .qualified(tool)
                    .unwrap_or_else(|| tool.to_string());
                let mut calls = self.exchange.calls.iter_mut().rev();
                if let Some(call) = calls.find(|(name, _)| **name == *tool) {
                    call.1 = outcome;
                }
            }
            let mut request = approved.request;
            let denied = self.asked(&mut request, Some(reason), now);
            let ruling = Ruling {
                code: Some(codes::AG3004),
                ..approved.ruling
            };
            half_decision.denied.push(DeniedEvent {
                approval: Some(Box::new(denied)),
                ..DeniedEvent::new(approved.event, ruling)
            });
        }
    }

    /// Returns the subject of an approval, and the values that its approver is shown. `None` if they can't be
    /// determined for certain.
    fn subject(
        &self,
        event: &Event,
        context: &Context<'_>,
        rules: &[&CompiledRule],
    ) -> Option<(Subject, Option<Box<str>>)> {
        let facts = context.facts;
        let what = match event.kind {
            Kind::Request => self.approvals.target.clone(),
            _ => {
                let tool = event.tool.value()?;
                // No server's name has a slash: an approval for `delete` of a server `github` is none for a tool
                // `github/delete` of a server without a name.
                let alone = || tool.replace('%', "%25").replace('/', "%2F");
                facts.qualified(tool).unwrap_or_else(alone).into()
            }
        };
        let binds_all = rules.iter().any(|rule| approval_of(rule).bind.is_empty());
        let mut bind: SortedSet<Box<str>> = SortedSet::new();
        let bound = match binds_all {
            true => self.whole(event, context)?,
            false => {
                let bound = rules.iter().flat_map(|rule| &approval_of(rule).bind);
                bind.extend(bound.clone().map(|field| field.name.clone()));
                values(bound, event, context)?
            }
        };
        let mut shown = rules
            .iter()
            .flat_map(|rule| &approval_of(rule).show)
            .peekable();
        let show = match shown.peek() {
            None => None,
            Some(_) => Some(values(shown, event, context)?),
        };
        let show = show.filter(|show| show.len() <= MAX_SHOWN_BYTES);
        let subject = Subject {
            policy: context.policy.document.name.clone(),
            event: event.kind.word().into(),
            what,
            args: digest_of(&bound).into(),
            bind: bind.iter().cloned().collect(),
            shown: show.as_ref().map(|show| digest_of(show).into()),
            session: self.approvals.session_of(rules),
            ..Subject::default()
        };
        let show = match show {
            Some(show) => Some(String::from_utf8(show).ok()?.into()),
            None => None,
        };
        Some((subject.asked_by(&facts.principal)?, show))
    }

    /// Returns the canonical form of all arguments of a call, or of the whole content of a request.
    fn whole(&self, event: &Event, context: &Context<'_>) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let json = context.json;
        match event.kind {
            // The definition of a provider-run tool, whose arguments never pass through the filter.
            Kind::ToolCall if event.is_provider_offer() => {
                write_canonical(json.value(event.at)?, &mut out).ok()?;
            }
            Kind::ToolCall => match event.args {
                Known::Unknown => return None,
                Known::Missing => out.extend_from_slice(b"null"),
                Known::Is(place) => write_canonical(json.value(place)?, &mut out).ok()?,
            },
            _ if context.reading.is_unread || !json.is_editable(json.body()?.root().place()) => {
                return None;
            }
            _ => match event.rpc {
                // Ids and progress tokens differ each time.
                Some(_) => {
                    let message = json.value(event.at)?;
                    out.extend_from_slice(b"{\"method\":");
                    quote(&message.get("method")?.text()?, &mut out);
                    let params = message.get("params");
                    // Those of a list have no names under which they could be bound.
                    if params.is_some_and(|params| params.kind() == ValueKind::Array) {
                        return None;
                    }
                    for (key, value) in params.into_iter().flat_map(|params| params.members()) {
                        if key.is_text("_meta") {
                            continue;
                        }
                        out.push(b',');
                        // The prefix keeps a parameter named `method` apart from the method.
                        quote(&format!("params.{}", key.text()?), &mut out);
                        out.push(b':');
                        write_canonical(value, &mut out).ok()?;
                    }
                    out.push(b'}');
                    return crate::approval::canonical(&out).ok();
                }
                None => write_canonical(json.body()?.root(), &mut out).ok()?,
            },
        }
        Some(out)
    }
}

impl PresentedApprovals {
    /// Adds the tokens of a header's value.
    fn add(&mut self, value: &str) {
        for token in value.split(',').filter(|token| !token.trim().is_empty()) {
            if self.signed.len().saturating_add(self.verified.len()) < MAX_TOKENS {
                self.signed.push(SignedToken::parse(token));
            }
        }
    }

    /// Adds the tokens of the approval service's response to those of the request. Returns the number of the request's
    /// tokens.
    pub(super) fn add_answered(&mut self, tokens: &[String], keys: &VerifyingKeys) -> usize {
        self.verify(keys);
        let presented = self.verified.len();
        let answered = tokens.iter().map(|token| keys.read(token));
        self.verified.extend(answered);
        presented
    }

    /// Drops the tokens of the approval service's response: they apply only to the part of the exchange that waited.
    pub(super) fn drop_answered(&mut self, presented: usize) {
        self.verified.truncate(presented);
    }

    /// Verifies the tokens that were added since the last call.
    fn verify(&mut self, keys: &VerifyingKeys) {
        let new = self.signed.drain(..);
        self.verified.extend(new.map(|signed| keys.verify(signed?)));
    }

    /// Stores the approval for the audit event. A missing approval takes precedence over a given one.
    fn record(
        &mut self,
        request: &ApprovalRequest,
        state: &'static str,
        detail: Option<&'static str>,
    ) {
        if state == "approved" && self.recorded.is_some() {
            return;
        }
        self.recorded = Some(RecordedApproval {
            id: request.id.clone(),
            digest: request.subject.args.clone(),
            state,
            detail,
        });
    }
}

/// Returns a rule's requirements on approvals.
fn approval_of(rule: &CompiledRule) -> &Approval {
    static USUAL: Approval = Approval::USUAL;
    rule.approval.as_deref().unwrap_or(&USUAL)
}

fn demand(rule: &CompiledRule) -> RuleDemand<'_> {
    let approval = approval_of(rule);
    RuleDemand {
        rule: &rule.id,
        by: &approval.by,
        needed: approval.needed,
        valid_for: approval.valid_for,
        uses: approval.uses,
    }
}

/// Returns the canonical form of an object of fields with all their values: `{"args.amount":[250]}`.
fn values<'f>(
    fields: impl Iterator<Item = &'f FieldRef>,
    event: &Event,
    context: &Context<'_>,
) -> Option<Vec<u8>> {
    let mut by_name: SortedMap<&str, Vec<u8>> = SortedMap::new();
    for field in fields {
        let mut out = vec![b'['];
        let mut is_canonical = true;
        let is_certain = each_bound(&field.field, event, context, &mut |value| {
            if out.len() > 1 {
                out.push(b',');
            }
            match value {
                BoundValue::Json(value) => {
                    is_canonical &= write_canonical(value, &mut out).is_ok();
                }
                BoundValue::Text(text) => quote(&text, &mut out),
                BoundValue::Number(number) => out.extend_from_slice(number.as_bytes()),
                BoundValue::Bool(value) => {
                    out.extend_from_slice(if value { b"true" } else { b"false" });
                }
            }
        });
        if !is_certain || !is_canonical {
            return None;
        }
        out.push(b']');
        by_name.insert(&field.name, out);
    }
    let mut out = vec![b'{'];
    for (name, values) in &by_name {
        if out.len() > 1 {
            out.push(b',');
        }
        quote(name, &mut out);
        out.push(b':');
        out.extend_from_slice(values);
    }
    out.push(b'}');
    // Canonical JSON sorts names by UTF-16 code units.
    crate::approval::canonical(&out).ok()
}

/// Returns the key that a call and its copies in one exchange share.
pub(super) fn copy_key(subject: &Subject) -> Box<str> {
    format!("{} {}", subject.what, subject.args).into()
}

fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_euclid(1_000_000_000)
}

/// Returns whether a ruling is that an approval is missing.
pub(super) fn is_required(ruling: &Ruling) -> bool {
    ruling.decision == Decision::RequireApproval
}
