//! Decision of a policy on a case or an exchange, in the common format of `check`, `test` and `replay`.

use super::output;
use crate::author::{CASE_LIMITS, SampleExchange};
use crate::diag::codes;
use crate::event::{Direction, Event, Kind, Redaction};
use crate::flow::ExchangeOutcome;
use crate::limits;
use crate::policy::{
    Action, CompiledRule, Context, Decision, Evaluation, EvaluationPhase, LEAVE_TOOL_OUT, Mode,
    Policy, Shadow,
};
use crate::redact::{self, RedactionState};
use crate::wire::edit;
use crate::wire::json::{Edits, JsonBody, decode};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Decision with its reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CheckResult {
    /// Action under the mode in force: `allow`, `redact`, `require_approval`, `deny`.
    pub(super) action: String,
    /// Action if all observed rules were enforced, if it differs.
    pub(super) would: Option<String>,
    /// Status for the client.
    pub(super) status: u16,
    /// Stable code of a denial.
    pub(super) code: Option<String>,
    /// Matching rules, by id.
    pub(super) rules: Vec<ReportedRule>,
    /// Rules on uninspectable content that the code decided without them.
    pub(super) undecided: Vec<String>,
    /// Decision of the shadow policy, if there is one.
    pub(super) shadow: Option<ShadowVerdict>,
    /// The deciding rule's reason.
    pub(super) reason: Option<String>,
    /// The deciding rule's remedy.
    pub(super) remedy: Option<String>,
    /// Use of the approval service before the denial.
    pub(super) service: Option<ServiceUse>,
    /// Number of findings by detector.
    pub(super) findings: BTreeMap<String, u64>,
    /// Text after redaction.
    pub(super) text: Option<String>,
}

/// Decision of the shadow policy, in the form of the audit event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShadowVerdict {
    decision: String,
    /// Ids of its matching rules.
    rules: Vec<String>,
}

impl ShadowVerdict {
    /// Reads the decision from an audit event.
    fn of_record(record: &Value) -> Option<ShadowVerdict> {
        let shadow = record.get("shadow")?;
        let rules = shadow.get("rules").and_then(Value::as_array);
        let rules = rules.into_iter().flatten().filter_map(Value::as_str);
        Some(ShadowVerdict {
            decision: shadow.get("decision")?.as_str()?.to_owned(),
            rules: rules.map(str::to_owned).collect(),
        })
    }

    fn to_text(&self) -> String {
        let rules: Vec<String> = self.rules.iter().map(|id| output::visible(id)).collect();
        match rules.as_slice() {
            [] => self.decision.clone(),
            rules => format!("{} ({})", self.decision, rules.join(", ")),
        }
    }
}

/// Decision of the shadow policy on the events of a case so far.
#[derive(Default)]
struct ShadowProgress {
    outcome: ExchangeOutcome,
    rules: BTreeSet<String>,
}

impl ShadowProgress {
    /// Adds an event, as the filter does.
    fn add(&mut self, policy: &Policy, event: &Event, context: &Context<'_>, shadow: &Shadow) {
        self.outcome = self.outcome.max(shadow.ruling.decision.into());
        for rule in shadow.held.iter().filter_map(|held| policy.rule(held.rule)) {
            self.rules.insert(rule.id.to_string());
            if rule.action == Action::Redact {
                policy.redactions(rule, event, context, &mut |redaction| {
                    self.outcome = self.outcome.max(match redaction.is_possible() {
                        true => ExchangeOutcome::Redact,
                        false => ExchangeOutcome::Deny,
                    });
                });
            }
        }
        let limited = shadow.limited.iter();
        for rule in limited.filter_map(|limited| policy.rule(limited.rule)) {
            if !limits::standing(rule, event, context).is_some_and(|standing| standing.is_exceeded)
            {
                continue;
            }
            self.rules.insert(rule.id.to_string());
            self.outcome = self.outcome.max(match rule.action {
                Action::RequireApproval => ExchangeOutcome::RequireApproval,
                Action::Tag => ExchangeOutcome::Allow,
                _ => ExchangeOutcome::Deny,
            });
        }
    }

    fn end(self) -> ShadowVerdict {
        ShadowVerdict {
            decision: self.outcome.word().to_owned(),
            rules: self.rules.into_iter().collect(),
        }
    }
}

/// Use of the approval service for a call that needs an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServiceUse {
    /// Seconds that the call waits for the approval service.
    wait: Option<u64>,
    /// Whether the service is notified.
    notify: bool,
}

impl ServiceUse {
    /// Computes the use as the filter does: every matching rule must permit the wait, and the shortest wait applies.
    fn of(policy: &Policy, rules: &[ReportedRule], code: Option<&str>) -> Option<ServiceUse> {
        if code != Some(codes::AG3003) {
            return None;
        }
        let asks = |rule: &&CompiledRule| {
            let mut reported = rules.iter();
            rule.action == Action::RequireApproval
                && rule.enforced
                && reported.any(|reported| reported.id == *rule.id)
        };
        let asking: Vec<_> = policy.rules().iter().filter(asks).collect();
        let approvals = || asking.iter().map(|rule| rule.approval.as_deref());
        let wait = approvals().map(|approval| approval?.wait).min().flatten();
        let notify = wait.is_none() && approvals().flatten().any(|approval| approval.notify);
        (wait.is_some() || notify).then_some(ServiceUse { wait, notify })
    }

    fn to_json(self) -> Value {
        match self.wait {
            Some(wait) => json!({ "wait": wait }),
            None => json!({ "notify": self.notify }),
        }
    }

    fn to_text(self) -> String {
        match self.wait {
            Some(wait) => format!("asked first, for at most {wait} seconds"),
            None => "notified".to_owned(),
        }
    }
}

/// Returns reason and remedy of the deciding rule. If it needed arguments that only the provider sees, its message on
/// arguments would be misleading.
fn words(decided: Option<&CompiledRule>, code: Option<&str>) -> (Option<String>, Option<String>) {
    let Some(rule) = decided else {
        return (None, None);
    };
    if code == Some(codes::AG2010) {
        return (
            Some(rule.unseen_arguments("this tool")),
            Some(LEAVE_TOOL_OUT.to_owned()),
        );
    }
    let owned = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    let reason = owned(&rule.reason);
    let is_limit = code == Some(codes::AG5001) || rule.limit.is_some();
    (
        reason.or_else(|| is_limit.then(|| rule.limit_reason())),
        owned(&rule.remedy),
    )
}

/// Matching rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReportedRule {
    pub(super) id: String,
    pub(super) action: String,
    pub(super) mode: String,
}

impl ReportedRule {
    /// Creates the report of a matching rule.
    pub(super) fn of(rule: &CompiledRule) -> ReportedRule {
        let mode = if rule.enforced {
            Mode::Enforce
        } else {
            Mode::Observe
        };
        ReportedRule {
            id: rule.id.to_string(),
            action: rule.action.word().to_owned(),
            mode: mode.word().to_owned(),
        }
    }
}

impl CheckResult {
    /// Evaluates a case.
    pub(super) fn of(policy: &Policy, case: &SampleExchange) -> CheckResult {
        case.seen_by(policy, |context| CheckResult::under(policy, case, context))
            .unwrap_or_default()
    }

    fn under(policy: &Policy, case: &SampleExchange, context: &Context<'_>) -> CheckResult {
        let mut ruling: Option<(Decision, Option<u16>, Option<&'static str>)> = None;
        let mut would = ExchangeOutcome::Allow;
        let principal = &context.facts.principal;
        if policy.document.requires_identity == Some(true) && principal.is_anonymous() {
            would = ExchangeOutcome::Deny;
            if policy.enforces_defaults() {
                ruling = Some((Decision::Deny, None, Some(codes::AG4001)));
            }
        }
        let mut limit_status = None;
        let mut rules = BTreeMap::new();
        let mut redactions: Vec<Redaction> = Vec::new();
        let mut shadow: Option<ShadowProgress> = None;
        for event in &case.reading.events {
            let mut evaluation = policy.evaluate(event, context, EvaluationPhase::Whole);
            if let Some(tried) = &evaluation.shadow {
                let progress = shadow.get_or_insert_default();
                progress.add(policy, event, context, tried);
            }
            ask_beyond_limits(policy, event, context, &mut evaluation);
            let mut wanted = ExchangeOutcome::from(evaluation.would.decision);
            let exceeded = evaluation.limited.iter().filter_map(|limited| {
                let rule = policy.rule(limited.rule)?;
                let asks = rule.action == Action::RequireApproval;
                let standing = limits::standing(rule, event, context).filter(|_| !asks)?;
                standing.is_exceeded.then_some((limited, rule, standing))
            });
            // As in Envoy, an event that is denied for another reason is not counted.
            let exceeded: Vec<_> = match evaluation.ruling.decision {
                Decision::Allow => exceeded.collect(),
                _ => Vec::new(),
            };
            for (limited, rule, standing) in exceeded {
                rules.insert(rule.id.clone(), ReportedRule::of(rule));
                if rule.action == Action::Tag {
                    continue;
                }
                wanted = ExchangeOutcome::Deny;
                let is_first = ruling.is_none_or(|(decision, ..)| decision != Decision::Deny);
                if limited.enforced && is_first {
                    ruling = Some((Decision::Deny, Some(limited.rule), Some(codes::AG5001)));
                    limit_status = Some(standing.status());
                }
            }
            if ruling.is_none_or(|(decision, ..)| decision < evaluation.ruling.decision) {
                let result = evaluation.ruling;
                ruling = Some((result.decision, result.rule, result.code));
            }
            for held in &evaluation.held {
                let Some(rule) = policy.rule(held.rule) else {
                    continue;
                };
                rules.insert(rule.id.clone(), ReportedRule::of(rule));
                if rule.action == Action::Redact {
                    let mut found = Vec::new();
                    policy.redactions(rule, event, context, &mut |redaction| found.push(redaction));
                    let impossible = found.iter().any(|redaction| !redaction.is_possible());
                    // As in Envoy, a rule that finds nothing to replace wants nothing.
                    wanted = wanted.max(match impossible {
                        true => ExchangeOutcome::Deny,
                        false if found.is_empty() => ExchangeOutcome::Allow,
                        false => ExchangeOutcome::Redact,
                    });
                    if held.enforced {
                        if impossible
                            && ruling.is_none_or(|(decision, ..)| decision != Decision::Deny)
                        {
                            ruling = Some((Decision::Deny, Some(held.rule), Some(codes::AG3005)));
                        }
                        redactions.extend(found);
                    }
                }
            }
            would = would.max(wanted);
        }
        let (decision, rule, code) = ruling.unwrap_or((Decision::Allow, None, None));
        let mut action = ExchangeOutcome::from(decision);
        if !redactions.is_empty() {
            action = action.max(ExchangeOutcome::Redact);
        }
        let code = code.filter(|_| decision != Decision::Allow);
        let decided = rule
            .filter(|_| decision != Decision::Allow)
            .and_then(|number| policy.rule(number));
        let findings = context
            .finding_counts()
            .into_iter()
            .map(|(name, count)| (name.into(), count))
            .collect();
        let text = match action {
            ExchangeOutcome::Redact => {
                redacted_text(context.json, redactions, may_be_turned_back(case))
            }
            _ => None,
        };
        let (reason, remedy) = words(decided, code);
        let rules: Vec<ReportedRule> = rules.into_values().collect();
        CheckResult {
            service: ServiceUse::of(policy, &rules, code),
            action: action.word().to_owned(),
            would: (would != action).then(|| would.word().to_owned()),
            status: match limit_status.filter(|_| code == Some(codes::AG5001)) {
                Some(status) => status,
                None => code.map_or(200, codes::status),
            },
            code: code.map(str::to_owned),
            rules,
            undecided: Vec::new(),
            shadow: shadow.map(ShadowProgress::end),
            reason,
            remedy,
            findings,
            text,
        }
    }

    /// Creates the decision from an audit event, with the messages of the deciding rule from the policy.
    pub(super) fn of_record(record: &Value, policy: &Policy) -> CheckResult {
        let text = |key: &str| record.get(key).and_then(Value::as_str).map(str::to_owned);
        let rules: Vec<ReportedRule> = record
            .get("rules")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|rule| {
                let member = |key: &str| {
                    let value = rule.get(key).and_then(Value::as_str);
                    value.unwrap_or_default().to_owned()
                };
                ReportedRule {
                    id: member("id"),
                    action: member("action"),
                    mode: member("mode"),
                }
            })
            .collect();
        let action = text("decision").unwrap_or_default();
        let code = text("code");
        // A code decides on uninspectable content. Only a rule on uninspectable content overrides it.
        let unread = code.as_ref().is_some_and(|code| code.starts_with("AG2"));
        let is_about_it = |rule: &Value| {
            let event = rule.get("event").and_then(Value::as_str);
            !unread || event == Some(Kind::Uninspectable.word())
        };
        let recorded = record.get("rules").and_then(Value::as_array);
        let decided = rules
            .iter()
            .zip(recorded.into_iter().flatten())
            .filter(|(_, recorded)| is_about_it(recorded))
            .map(|(rule, _)| rule)
            .find(|rule| rule.action == action && rule.mode == Mode::Enforce.word())
            .filter(|_| action == "deny" || action == "require_approval")
            .and_then(|held| policy.rules().iter().find(|rule| *rule.id == *held.id));
        let findings = record
            .get("findings")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, count)| (name.clone(), count.as_u64().unwrap_or_default()))
            .collect();
        let code = text("code");
        let (reason, remedy) = words(decided, code.as_deref());
        let status = record.get("status").and_then(Value::as_u64);
        CheckResult {
            service: ServiceUse::of(policy, &rules, code.as_deref()),
            would: text("would"),
            status: status
                .and_then(|status| u16::try_from(status).ok())
                .unwrap_or_default(),
            code,
            reason,
            remedy,
            findings,
            text: None,
            shadow: ShadowVerdict::of_record(record),
            undecided: record
                .get("undecided")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|id| id.as_str().map(str::to_owned))
                .collect(),
            action,
            rules,
        }
    }

    /// Returns whether the decision denies the request.
    pub(super) fn denies(&self) -> bool {
        matches!(self.action.as_str(), "deny" | "require_approval")
    }

    /// Returns the object for `--json`.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("action", json!(self.action));
        if let Some(would) = &self.would {
            put("would", json!(would));
        }
        put("status", json!(self.status));
        if let Some(code) = &self.code {
            put("code", json!(code));
        }
        let rules = self
            .rules
            .iter()
            .map(|rule| json!({"id": rule.id, "action": rule.action, "mode": rule.mode}))
            .collect();
        put("rules", rules);
        if !self.undecided.is_empty() {
            put("undecided", json!(self.undecided));
        }
        if let Some(shadow) = &self.shadow {
            put(
                "shadow",
                json!({"decision": shadow.decision, "rules": shadow.rules}),
            );
        }
        for (key, text) in [("reason", &self.reason), ("remedy", &self.remedy)] {
            if let Some(text) = text {
                put(key, json!(text));
            }
        }
        if let Some(service) = self.service {
            put("service", service.to_json());
        }
        if !self.findings.is_empty() {
            put("findings", json!(self.findings));
        }
        if let Some(text) = &self.text {
            put("text", json!(text));
        }
        object
    }

    /// Formats the decision as text.
    pub(super) fn to_text(&self) -> String {
        let mut out = format!("{} (HTTP {})", self.action, self.status);
        if let Some(code) = &self.code {
            out.push_str(&format!(" {code}"));
        }
        if let Some(would) = &self.would {
            out.push_str(&format!(", would {would} if all were enforced"));
        }
        out.push('\n');
        for rule in &self.rules {
            let observed = if rule.mode == Mode::Observe.word() {
                " (observed)"
            } else {
                ""
            };
            let id = output::visible(&rule.id);
            out.push_str(&format!("  rule {id}: {}{observed}\n", rule.action));
        }
        for rule in &self.undecided {
            out.push_str(&format!(
                "  rule {}: not decided, what it asks could not be read\n",
                output::visible(rule)
            ));
        }
        let service = self.service.map(ServiceUse::to_text);
        let shadow = self.shadow.as_ref().map(ShadowVerdict::to_text);
        for (label, text) in [
            ("shadow policy", &shadow),
            ("approval service", &service),
            ("reason", &self.reason),
            ("remedy", &self.remedy),
            ("text", &self.text),
        ] {
            if let Some(text) = text {
                // Indented, so that a line of it can't pass for a line of the result.
                out.push_str(&format!("  {label}: {}\n", text.replace('\n', "\n    ")));
            }
        }
        for (kind, count) in &self.findings {
            out.push_str(&format!("  found: {kind} × {count}\n"));
        }
        out
    }
}

/// Adds exceeded limits with the action `require_approval` to an event's rules, as the filter does.
fn ask_beyond_limits(
    policy: &Policy,
    event: &Event,
    context: &Context<'_>,
    evaluation: &mut Evaluation,
) {
    if evaluation.ruling.decision == Decision::Deny {
        return;
    }
    for limited in evaluation.limited.clone() {
        let rule = policy.rule(limited.rule);
        let Some(rule) = rule.filter(|rule| rule.action == Action::RequireApproval) else {
            continue;
        };
        if limits::standing(rule, event, context).is_some_and(|standing| standing.is_exceeded) {
            Policy::ask_beyond(evaluation, limited);
        }
    }
    policy.apply_given_approvals(evaluation, &context.facts.approved_by);
}

/// Returns whether pseudonyms are created: only in requests, because the response restores them. Other texts get
/// labels.
fn may_be_turned_back(case: &SampleExchange) -> bool {
    let mut events = case.reading.events.iter();
    events.all(|event| event.direction == Direction::Request)
}

/// Keys of replacements. No output that is made with them is stored.
const KEYS: redact::RedactionKeys = redact::RedactionKeys {
    hashes: [1; 32],
    pseudonyms: [2; 32],
};

/// Returns the text after redaction; for arguments or a result, that value.
fn redacted_text(
    json: &JsonBody<'_>,
    redactions: Vec<Redaction>,
    with_pseudonyms: bool,
) -> Option<String> {
    let body = json.body()?;
    let mut edits = Edits::default();
    let mut state = RedactionState::default();
    if with_pseudonyms {
        state.pseudonyms.open(Vec::new());
    }
    // The command line has no key of its own, so its hashes differ from those of a proxy.
    redact::apply(redactions, json, &KEYS, &mut state, &mut edits);
    let edited = edit::apply(body.bytes(), &json.flatten(edits));
    let json = JsonBody::scan(&edited, CASE_LIMITS, 0).ok()?;
    let body = json.body()?;
    let mut texts = Vec::new();
    for event in body.root().elements() {
        texts.extend(
            event
                .get("texts")
                .into_iter()
                .flat_map(|texts| texts.elements()),
        );
        texts.extend(event.get("args"));
        texts.extend(event.get("result"));
    }
    let written: Vec<String> = texts
        .into_iter()
        .map(|value| match value.text() {
            Some(_) => decode(value.raw_content()).into_owned(),
            None => String::from_utf8_lossy(value.raw()).into_owned(),
        })
        .collect();
    (!written.is_empty()).then(|| written.join("\n"))
}
