//! Results of an exchange, with its audit event and metrics.

use super::limits::OpenCharge;
use super::target_uri::{recorded_host, recorded_path};
use super::{Flow, HalfState, step::End};
use crate::audit::{
    Chain, Record, RecordedApproval, RecordedContent, RecordedLimit, RecordedRequest, RecordedRule,
};
use crate::diag::codes;
use crate::event::{Direction, EventCounts, Kind, Known, Usage};
use crate::metrics::{self, Metric};
use crate::policy::{Decision, Mode};
use crate::wire::json::quote;
use crate::wire::sort;
use crate::wire::sorted_map::{SortedMap, SortedSet};

/// Outcome of an exchange, in ascending strictness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExchangeOutcome {
    /// No event was evaluated.
    #[default]
    NotEvaluated,
    /// The exchange passed.
    Allow,
    /// The exchange passed with replacements.
    Redact,
    /// The exchange waits for an approval.
    RequireApproval,
    /// The exchange was denied.
    Deny,
}

impl From<Decision> for ExchangeOutcome {
    fn from(decision: Decision) -> ExchangeOutcome {
        match decision {
            Decision::Allow => ExchangeOutcome::Allow,
            Decision::RequireApproval => ExchangeOutcome::RequireApproval,
            Decision::Deny => ExchangeOutcome::Deny,
        }
    }
}

impl ExchangeOutcome {
    /// Returns the outcome as audit events spell it.
    pub fn word(self) -> &'static str {
        match self {
            ExchangeOutcome::NotEvaluated => "not_evaluated",
            ExchangeOutcome::Allow => "allow",
            ExchangeOutcome::Redact => "redact",
            ExchangeOutcome::RequireApproval => "require_approval",
            ExchangeOutcome::Deny => "deny",
        }
    }
}

/// Inspection coverage of one half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Coverage {
    /// The policy requires no inspection.
    #[default]
    Unasked,
    Full,
    Partial,
    None,
}

/// Results of the shadow policy.
#[derive(Clone, Debug, Default)]
pub(super) struct ShadowResult {
    pub(super) outcome: ExchangeOutcome,
    /// Ids of its matching rules.
    pub(super) rules: SortedSet<Box<str>>,
}

/// Data for the audit event and the metrics.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchange {
    pub(super) started: u64,
    pub(super) outcome: ExchangeOutcome,
    /// Outcome if all observed rules were enforced.
    pub(super) would: ExchangeOutcome,
    pub(super) shadow: Option<ShadowResult>,
    pub(super) code: Option<&'static str>,
    pub(super) status: Option<u16>,
    /// Matching rules, by number of the rule and kind of event.
    pub(super) rules: SortedMap<(u16, &'static str), RecordedRule>,
    /// Ids of rules that matched only because content was uninspectable. The content's code decided instead.
    pub(super) undecided: SortedSet<Box<str>>,
    pub(super) findings: SortedMap<Box<str>, u64>,
    pub(super) events: EventCounts,
    /// Names of the called tools, each with the outcome of its call.
    pub(super) calls: Vec<(Box<str>, ExchangeOutcome)>,
    pub(super) tags: SortedSet<Box<str>>,
    /// Whether the request has no valid credential although the policy requires one.
    pub(super) is_unauthenticated: bool,
    /// Limits that were charged or exceeded.
    pub(super) limits: SortedMap<Box<str>, RecordedLimit>,
    /// Limits that are settled at the end.
    pub(super) open_charges: Vec<OpenCharge>,
    /// Whether the session of the response was noted.
    pub(super) has_noted_response: bool,
    /// Outcome and rule that the host already knows.
    pub(super) published_decision: Option<(ExchangeOutcome, String)>,
    /// Whether an interim audit event was written for a denied stream.
    pub(super) has_interim: bool,
    /// Whether the response arrived completely.
    pub(super) is_complete: bool,
    /// Bytes of the request's body, read or not.
    pub(super) request_bytes: u64,
    /// Bytes of the response's body, read or not.
    pub(super) response_bytes: u64,
    /// Bytes of text and arguments in a streamed response.
    pub(super) response_text: u64,
    /// Ids of exceeded limits, once for each event. The mode is `Enforce` if the excess had consequences.
    pub(super) limit_hits: Vec<(Box<str>, Mode)>,
    /// Ids of limits that denied something themselves, or would have.
    pub(super) denied_by_limits: SortedSet<Box<str>>,
    /// Whether the policy does not apply to the exchange.
    pub(super) ignored: bool,
    pub(super) request_read: Coverage,
    pub(super) response_read: Coverage,
    pub(super) reasons: SortedSet<String>,
    /// Codes of content that could not be inspected.
    pub(super) uninspectable: Vec<&'static str>,
    pub(super) usage: Usage,
    pub(super) provider_error: Option<Box<str>>,
    /// Bytes of text that detectors had to inspect.
    pub(super) text: u64,
    pub(super) inspect_ns: u64,
    pub(super) held_ns: u64,
}

impl Exchange {
    /// Records a decision. The strictest one is kept.
    pub(super) fn decided(&mut self, outcome: ExchangeOutcome, would: ExchangeOutcome) {
        self.outcome = self.outcome.max(outcome);
        self.would = self.would.max(would);
    }

    pub(super) fn read(&mut self, direction: Direction, read: Coverage) {
        let half = match direction {
            Direction::Request => &mut self.request_read,
            Direction::Response => &mut self.response_read,
        };
        *half = (*half).max(read);
    }

    /// Records why a half was not inspected completely: `request:AG2005`, `response:attachment`.
    pub(super) fn gap(&mut self, direction: Direction, read: Coverage, reason: &str) {
        self.read(direction, read);
        self.reasons
            .insert(format!("{}:{reason}", direction.word()));
    }

    /// Returns whether this gap was recorded.
    pub(super) fn has_gap(&self, direction: Direction, reason: &str) -> bool {
        self.reasons
            .contains(&format!("{}:{reason}", direction.word()))
    }

    fn coverage(&self) -> &'static str {
        if self.ignored {
            return "ignored";
        }
        match self.request_read.max(self.response_read) {
            Coverage::Full => "full",
            Coverage::Partial => "partial",
            Coverage::Unasked | Coverage::None => "none",
        }
    }
}

/// Results of a finished exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Line of the audit event, without a line end.
    pub line: Vec<u8>,
    /// Id of the deciding rule, if there is one.
    pub rule: Option<String>,
    /// Input and output tokens together.
    pub tokens_total: u64,
}

/// Decision that the host does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDecision {
    /// `allow`, `deny`, `redact`, `require_approval`, `not_evaluated`.
    pub word: &'static str,
    /// Id of the deciding rule; empty if there is none.
    pub rule: String,
    /// Whether the host knows no decision yet.
    pub is_first: bool,
}

impl Flow {
    /// Finishes the exchange and writes its audit event.
    pub fn finish(&mut self, end: &End<'_>) -> Finished {
        self.close(end);
        let content = self.take_content();
        let exchange = &self.exchange;
        let tools = self.called_tools();
        let models = &self.facts.models.names;
        let chain = &self.guard.chain;
        let line = self.write_record(
            end,
            (models, &tools, content.as_ref()),
            Some(&mut chain.borrow_mut()),
            false,
        );
        let usage = exchange.usage;
        let tokens = usage.all_input().unwrap_or(0);
        Finished {
            line,
            rule: self.deciding_rule(),
            tokens_total: tokens.saturating_add(usage.all_output().unwrap_or(0)),
        }
    }

    /// Ends the exchange without an audit event. Returns the decision with its reasons as a JSON object: the decision's
    /// members of an audit event, `why` with the reason and remedy of each matching rule, and `means`, the explanation
    /// of the code.
    pub fn explain(&mut self, end: &End<'_>) -> Vec<u8> {
        self.close(end);
        let tools = self.called_tools();
        let models = &self.facts.models.names;
        let mut out = self.write_record(end, (models, &tools, None), None, false);
        out.pop();
        let policy = &self.guard.policy;
        let mut last = None;
        for ((number, _), _) in self.exchange.rules.iter() {
            let rule = policy.rule(*number).filter(|_| last != Some(*number));
            let Some(rule) = rule else { continue };
            out.extend_from_slice(if last.is_none() { b",\"why\":[" } else { b"," });
            out.extend_from_slice(b"{\"rule\":");
            quote(&rule.id, &mut out);
            let limit = rule.limit.as_ref().map(|_| rule.limit_reason());
            let reason = rule.reason.as_deref().or(limit.as_deref());
            for (name, text) in [("reason", reason), ("remedy", rule.remedy.as_deref())] {
                if let Some(text) = text {
                    out.push(b',');
                    quote(name, &mut out);
                    out.push(b':');
                    quote(text, &mut out);
                }
            }
            out.push(b'}');
            last = Some(*number);
        }
        if last.is_some() {
            out.push(b']');
        }
        if let Some(explanation) = self.exchange.code.and_then(codes::explanation) {
            out.extend_from_slice(b",\"means\":");
            quote(explanation, &mut out);
        }
        out.push(b'}');
        out
    }

    fn close(&mut self, end: &End<'_>) {
        self.close_open_halves();
        self.close_waiting();
        self.mask_names();
        self.now = end.now;
        self.settle_limits();
    }

    fn called_tools(&self) -> SortedSet<Box<str>> {
        sort::set(self.exchange.calls.iter().map(|(tool, _)| tool.clone()))
    }

    /// Returns an interim audit event for a denied stream, once: the event of the whole exchange is only written at its
    /// end, which may be far away. Interim events have their own chain, so that each log can be verified alone.
    pub fn interim(&mut self, now: impl FnOnce() -> u64) -> Option<Vec<u8>> {
        let is_denied = self.exchange.outcome >= ExchangeOutcome::RequireApproval;
        if !is_denied || self.exchange.has_interim || !self.status_sent {
            return None;
        }
        self.exchange.has_interim = true;
        let masker = &self.guard.name_masker;
        let masked = |name: &str| masker.masked(name).unwrap_or_else(|| name.into());
        // These are masked copies: rules still evaluate the names themselves.
        let models: Vec<Box<str>> = self.facts.models.names.iter().map(|n| masked(n)).collect();
        let calls = self.exchange.calls.iter();
        let tools = sort::set(calls.map(|(tool, _)| masked(tool)));
        let end = End {
            now: now(),
            ..End::default()
        };
        let chain = &self.guard.interim_chain;
        let chain = &mut chain.borrow_mut();
        Some(self.write_record(&end, (&models, &tools, None), Some(chain), true))
    }

    /// Returns the version of the policy in force.
    pub fn policy_version(&self) -> &str {
        &self.guard.policy.version
    }

    /// Returns the decision so far and the deciding rule, if they differ from the previous call's. Before the end, an
    /// exchange that was not evaluated has no decision.
    pub fn new_decision(&mut self, is_end: bool) -> Option<NewDecision> {
        let outcome = self.exchange.outcome;
        let known = self.exchange.published_decision.as_ref();
        let is_first = known.is_none();
        if !is_end
            && (outcome == ExchangeOutcome::NotEvaluated
                || known.is_some_and(|(known, _)| *known == outcome))
        {
            return None;
        }
        let rule = self.deciding_rule().unwrap_or_default();
        let new = (outcome, rule.clone());
        if known == Some(&new) {
            return None;
        }
        self.exchange.published_decision = Some(new);
        Some(NewDecision {
            word: outcome.word(),
            rule,
            is_first,
        })
    }

    /// Returns the audit event; without a chain, only its members on the decision.
    fn write_record(
        &self,
        end: &End<'_>,
        (models, tools, content): (&[Box<str>], &SortedSet<Box<str>>, Option<&RecordedContent>),
        chain: Option<&mut Chain>,
        is_interim: bool,
    ) -> Vec<u8> {
        let exchange = &self.exchange;
        let policy = &self.guard.policy;
        let masker = &self.guard.name_masker;
        let status = end.status.or(exchange.status).unwrap_or(0);
        // An upstream response is the usual end, which is not recorded.
        let ended = match end.details {
            "via_upstream" => "",
            details => details,
        };
        let mut rules: Vec<RecordedRule> = exchange.rules.values().cloned().collect();
        for rule in &mut rules {
            if let Some(masked) = masker.masked(&rule.at) {
                rule.at = masked.into();
            }
        }
        let observes = policy.document.observe_all || policy.document.mode == Mode::Observe;
        let mode = if observes {
            Mode::Observe
        } else {
            Mode::Enforce
        };
        let evaluated = exchange.outcome != ExchangeOutcome::NotEvaluated;
        let known = self.has_begun();
        let recorded = self.approvals.recorded.as_ref();
        let method = self.facts.method.value();
        let method = method.map(|method| masker.without_secrets(String::from(&**method)));
        let unknown_method = self.request_context.unknown_method();
        let unknown_method = unknown_method.map(|method| masker.without_secrets(method.to_owned()));
        let uri = self.head.uri.as_deref();
        let (unseen_host, unseen_path);
        let (host, path) = match uri {
            Some(uri) => (&*uri.recorded_host, &*uri.recorded_path),
            None => {
                let host = self.facts.host.value();
                unseen_host = host.map_or_else(String::new, |host| recorded_host(host, masker));
                let path = self.facts.paths.value().and_then(|paths| paths.first());
                unseen_path = path.map_or_else(String::new, |path| recorded_path(path, masker));
                (&*unseen_host, &*unseen_path)
            }
        };
        let record = Record {
            started_ns: if known { exchange.started } else { end.now },
            request_id: &self.head.request_id,
            is_interim,
            request: RecordedRequest {
                traceparent: self
                    .head
                    .recorded
                    .traceparent
                    .as_deref()
                    .unwrap_or_default(),
                client: self.head.recorded.client,
                method: method.as_deref().unwrap_or_default(),
                host,
                path,
            },
            policy: (&policy.document.name, &policy.version, mode.word()),
            principal: Some(&self.facts.principal),
            authentication: self.authentication_failure(),
            protocol: self.facts.protocol.value().map_or("", |name| name),
            provider: self.facts.provider.value().map_or("", |name| name),
            models,
            endpoint: unknown_method
                .as_deref()
                .unwrap_or(self.request_context.endpoint.name),
            stream: self.facts.request.stream,
            decision: exchange.outcome.word(),
            would: (evaluated && exchange.would != exchange.outcome).then(|| exchange.would.word()),
            code: exchange.code,
            killed_by: self.kill.generation(),
            status,
            ended,
            rules: &rules,
            undecided: &exchange.undecided,
            findings: &exchange.findings,
            events: &exchange.events.by_word(),
            tools,
            tags: &exchange.tags,
            coverage: (exchange.coverage(), &exchange.reasons),
            usage: exchange.usage,
            approval: recorded.map(|approval| RecordedApproval {
                id: &approval.id,
                digest: &approval.digest,
                state: approval.state,
                detail: approval.detail,
            }),
            limits: &exchange.limits,
            shadow: exchange
                .shadow
                .as_ref()
                .map(|shadow| (shadow.outcome.word(), &shadow.rules)),
            duration_ms: known.then(|| {
                let duration = end.now.saturating_sub(exchange.started);
                duration.div_euclid(1_000_000)
            }),
            inspect_us: exchange.inspect_ns.div_euclid(1_000),
            held_us: exchange.held_ns.div_euclid(1_000),
            content,
        };
        match chain {
            Some(chain) => record.write(chain),
            None => record.decision(),
        }
    }

    /// Returns the source that recognised an invalid credential, the reason why it is invalid, and its client.
    fn authentication_failure(&self) -> Option<(&str, &'static str, Option<&str>)> {
        if !self.exchange.is_unauthenticated {
            return None;
        }
        Some(match &self.authentication {
            Some(failure) => (
                &failure.source,
                failure.reason.word(),
                failure.client.as_deref(),
            ),
            None => ("none", "missing", None),
        })
    }

    /// Masks secrets in names. The client or the provider chooses the names of models, tools and error types.
    fn mask_names(&mut self) {
        let tools = self.exchange.calls.iter_mut().map(|(tool, _)| tool);
        let mut request_id = Box::from(&*self.head.request_id);
        let names = tools
            .chain(std::iter::once(&mut request_id))
            .chain(&mut self.facts.models.names)
            .chain(&mut self.exchange.provider_error);
        for name in names {
            self.guard.name_masker.mask(name);
        }
        self.head.request_id = request_id.into();
    }

    fn deciding_rule(&self) -> Option<String> {
        let word = self.exchange.outcome.word();
        // On uninspectable content a code decides, or a rule for `uninspectable`.
        let unread = self
            .exchange
            .code
            .is_some_and(|code| code.starts_with("AG2"));
        self.exchange
            .rules
            .values()
            .filter(|rule| !unread || rule.event == Kind::Uninspectable.word())
            .find(|rule| rule.action == word && rule.mode == Mode::Enforce.word())
            .map(|rule| rule.id.to_string())
    }

    /// Closes halves without an end: the client or the upstream disconnected, or Envoy sent a local reply.
    fn close_open_halves(&mut self) {
        for direction in [Direction::Request, Direction::Response] {
            let stage = match direction {
                Direction::Request => &mut self.request,
                Direction::Response => &mut self.response,
            };
            let stage = std::mem::replace(stage, HalfState::Done);
            let is_open = match &stage {
                HalfState::Holding { .. } | HalfState::Asking => true,
                HalfState::Tapping(tap) => !tap.usage_only,
                HalfState::Streaming(stream) => stream.is_evaluated(),
                _ => false,
            };
            self.end_tap(stage);
            if is_open {
                self.exchange.gap(direction, Coverage::None, "incomplete");
            }
        }
    }

    /// Reports the metrics of this exchange: metric, label values, increment. Called after [`finish`](Flow::finish).
    pub fn count(&self, end: &End<'_>, tell: &mut impl FnMut(Metric, &[&str], u64)) {
        let exchange = &self.exchange;
        let decision = exchange.outcome.word();
        let provider = self.facts.provider.value().map_or("none", |name| name);
        let model = match self.facts.models.names.as_slice() {
            [] if self.facts.models.unknown => "unknown",
            [] => "none",
            [model] => model,
            _ => "several",
        };
        let client = match &self.facts.principal.client {
            Known::Is(client) => client,
            _ => "anonymous",
        };
        tell(metrics::REQUESTS, &[provider, model, decision, client], 1);
        let (enforce, observe) = (Mode::Enforce.word(), Mode::Observe.word());
        let code = exchange.code.unwrap_or("none");
        tell(metrics::DECISIONS, &[decision, enforce, code], 1);
        if decision != ExchangeOutcome::NotEvaluated.word() && exchange.would != exchange.outcome {
            let would = exchange.would.word();
            tell(metrics::DECISIONS, &[would, observe, "none"], 1);
        }
        if exchange.started != 0 {
            let duration = end.now.saturating_sub(exchange.started);
            tell(
                metrics::REQUEST_DURATION,
                &[provider, decision],
                duration.div_euclid(1_000_000),
            );
            tell(
                metrics::INSPECTION,
                &[provider, decision],
                exchange.inspect_ns.div_euclid(1_000),
            );
        }
        if let Some((source, reason, _)) = self.authentication_failure() {
            tell(metrics::AUTHENTICATION_FAILURES, &[source, reason], 1);
        }
        for rule in exchange.rules.values() {
            let values = [&*rule.id, rule.action, rule.mode];
            tell(metrics::POLICY_DECISIONS, &values, 1);
        }
        for (kind, count) in &exchange.findings {
            tell(metrics::FINDINGS, &[kind, decision], *count);
        }
        if let Some(error) = &exchange.provider_error {
            tell(metrics::PROVIDER_ERRORS, &[provider, error], 1);
        }
        for (direction, tokens) in [
            ("input", exchange.usage.all_input()),
            ("output", exchange.usage.all_output()),
        ] {
            if let Some(tokens) = tokens {
                let values = [provider, model, direction, client];
                tell(metrics::TOKENS, &values, tokens);
            }
        }
        for (tool, outcome) in &exchange.calls {
            tell(metrics::TOOL_CALLS, &[tool, outcome.word()], 1);
        }
        for (id, mode) in &exchange.limit_hits {
            tell(metrics::LIMIT_HITS, &[id, mode.word()], 1);
        }
        if let Some(approval) = &self.approvals.recorded {
            tell(metrics::APPROVALS, &[approval.state], 1);
        }
        if !self.guard.has_counted_chain.replace(true) {
            tell(metrics::AUDIT_CHAINS, &[], 1);
        }
        let evictions = self.guard.limits.take_evictions();
        if evictions > 0 {
            tell(metrics::LIMIT_EVICTIONS, &[], evictions);
        }
        for code in &exchange.uninspectable {
            tell(metrics::UNINSPECTABLE, &[code], 1);
        }
    }
}
