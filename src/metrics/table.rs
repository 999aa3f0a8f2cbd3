//! Table of all metrics: each is declared only here. `docs/metrics.md`, the tag extraction of Envoy and Istio, and the
//! tests are generated from it.

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricType {
    /// Only increases.
    Counter,
    /// Is set to a value.
    Gauge,
    /// A distribution of whole numbers.
    Histogram,
}

impl MetricType {
    /// Returns the type's name on a Prometheus page.
    pub fn word(self) -> &'static str {
        match self {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
        }
    }
}

/// Label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Name.
    pub name: &'static str,
    /// Maximum bytes of a value; longer ones are cut.
    pub(super) max_bytes: usize,
    /// Description of its values. Empty in the filter, to save space.
    pub help: &'static str,
}

/// Metric: its name and its labels in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Prometheus name.
    pub name: &'static str,
    /// Type.
    pub kind: MetricType,
    /// Labels.
    pub labels: &'static [Label],
    /// Unit of its values. Empty in the filter, to save space.
    pub unit: &'static str,
    /// Description. Empty in the filter, to save space.
    pub help: &'static str,
}

/// Returns a text for documentation; in the filter, an empty one.
const fn documented(text: &'static str) -> &'static str {
    if cfg!(target_arch = "wasm32") {
        ""
    } else {
        text
    }
}

macro_rules! labels {
    ($($id:ident $name:literal $max:literal $help:literal;)+) => {
        $(const $id: Label = Label { name: $name, max_bytes: $max, help: documented($help) };)+
    };
}

labels! {
    ACTION "action" 64 "What happened: `allow`, `deny`, `redact`, `require_approval`, for a rule its action.";
    CLIENT "client_id" 64 "The caller by the policy's `principals`; `anonymous` without one.";
    CODE "code" 64 "A stable code, which `agentguard explain CODE` explains; `none` without one.";
    DECISION "decision" 64 "`allow`, `deny`, `redact`, `require_approval`, or `not_evaluated`: nothing was there to evaluate, or the filter never saw it.";
    DIRECTION "direction" 64 "`input` or `output`.";
    ERROR_TYPE "error_type" 64 "The type that the provider's error names.";
    LIMIT "limit_id" 64 "The id of the rule with the limit.";
    MODE "mode" 64 "`enforce`: it happened. `observe`: it would have happened if the policy, or the rule, did not only observe.";
    MODEL "model" 64 "The model as the request names it; `none`, `unknown` if it can't be read, `several` if there are several.";
    NAME "name" 64 "`metadata.name` of the policy, or `agentguard-kill` for the kill list.";
    PROVIDER "provider" 64 "The provider by the request's host; `other` for a host that is none of theirs, `none` without one.";
    REASON "reason" 64 "`missing`, `invalid` and others: docs/identity.md. Of the kill feed `unreachable`, `status`, `malformed`, `older`: docs/kill.md.";
    RULE "rule_id" 64 "The rule's id.";
    SOURCE "source" 64 "The source in `principals` that recognised the credential; `none` if there was none.";
    STATE "state" 64 "As in the audit event: `required`, `approved`, `invalid`, `unanswered` or `waiting`.";
    STATUS "status" 64 "The decision: `allow`, `deny`, `redact`, `require_approval`, `not_evaluated`.";
    TOOL "tool" 64 "The tool's name, with secrets in it masked.";
    TYPE "type" 64 "The detector's name.";
    VERSION "version" 71 "The whole version: `sha256:` and 64 digits, for the kill list its generation, or `unreadable`.";
}

/// Labels whose values a policy gives, not a client.
pub(super) const OF_POLICY: &[&str] = &[RULE.name, LIMIT.name, TYPE.name];

macro_rules! metrics {
    ($($id:ident $name:literal $kind:ident $unit:literal [$($label:ident),*] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $id: Metric = Metric {
                name: $name,
                kind: MetricType::$kind,
                labels: &[$($label),*],
                unit: documented($unit),
                help: documented($help),
            };
        )+

        /// All metrics.
        pub const METRICS: &[Metric] = &[$($id),+];
    };
}

metrics! {
    REQUESTS "agentguard_requests_total" Counter "exchanges" [PROVIDER, MODEL, STATUS, CLIENT]
        "Exchanges that have ended, by what happened to them.";
    DECISIONS "agentguard_decisions_total" Counter "decisions" [DECISION, MODE, CODE]
        "Decisions on exchanges: with mode enforce what happened, once for each exchange; with mode observe what enforcement would have done, where that differs.";
    POLICY_DECISIONS "agentguard_policy_decisions_total" Counter "exchanges" [RULE, ACTION, MODE]
        "Exchanges in which a rule matched, once for each rule and kind of event.";
    REQUEST_DURATION "agentguard_request_duration_milliseconds" Histogram "milliseconds" [PROVIDER, DECISION]
        "Time from the first header of the request to the last byte of the response.";
    INSPECTION "agentguard_inspection_microseconds" Histogram "microseconds" [PROVIDER, DECISION]
        "Time that one exchange spent in the filter, all its callbacks together.";
    FINDINGS "agentguard_findings_total" Counter "findings" [TYPE, ACTION]
        "What detectors found, by what happened to the exchange.";
    TOOL_CALLS "agentguard_tool_calls_total" Counter "calls" [TOOL, ACTION]
        "Tool calls by what happened to them.";
    TOKENS "agentguard_tokens_total" Counter "tokens" [PROVIDER, MODEL, DIRECTION, CLIENT]
        "Tokens as providers report them, cached input and reasoning included.";
    PROVIDER_ERRORS "agentguard_provider_errors_total" Counter "responses" [PROVIDER, ERROR_TYPE]
        "Errors in responses of providers.";
    UNINSPECTABLE "agentguard_uninspectable_total" Counter "messages" [CODE]
        "Content that could not be inspected, whether it was denied or let through.";
    AUTHENTICATION_FAILURES "agentguard_authentication_failures_total" Counter "requests" [SOURCE, REASON]
        "Requests without a valid credential, where the policy asks for one.";
    LIMIT_HITS "agentguard_limit_hits_total" Counter "events" [LIMIT, MODE]
        "Events that exceeded a limit.";
    LIMIT_EVICTIONS "agentguard_limit_evictions_total" Counter "counters" []
        "Counters of limits that were dropped because their bucket was full.";
    APPROVALS "agentguard_approvals_total" Counter "exchanges" [STATE]
        "Exchanges with a call that needs an approval.";
    AUDIT_CHAINS "agentguard_audit_chains_total" Counter "chains" []
        "Audit chains that were begun: one by each worker for each policy that it puts in force, with its first audit event.";
    KILL_ENTRIES "agentguard_kill_entries" Gauge "entries" []
        "Entries of the kill list in force: what is stopped.";
    KILL_FEED_FAILURES "agentguard_kill_feed_failures_total" Counter "requests" [REASON]
        "Requests for the kill feed's list, by all workers, that brought no list.";
    KILL_FEED_GENERATION "agentguard_kill_feed_generation" Gauge "1" []
        "Generation of the kill feed's list in force; 0 where there is none, so that everything is denied, or no feed.";
    POLICY_INFO "agentguard_policy_info" Gauge "1" [NAME, VERSION]
        "1 for each policy and kill list that exchanges run under, however many workers there are; 0 for earlier ones.";
    POLICY_WORKERS "agentguard_policy_workers" Gauge "workers" [NAME, VERSION]
        "Workers that have the policy or kill list in force, Envoy's main thread included; those that finish an exchange under an earlier one count there, too.";
    CONFIG_REJECTED "agentguard_config_rejected_total" Counter "configurations" []
        "Policies that were rejected since Envoy started; the one before stayed in force.";
}
