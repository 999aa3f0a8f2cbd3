//! Texts of a policy for people, and texts that match its own rules.

use super::{Findings, LintedPolicy};
use crate::author::provided::top;
use crate::author::sample_event::{SampleEvent, SampleExchange};
use crate::detect::fold_name;
use crate::diag::codes;
use crate::event::{Author, Facts, Kind, Known};
use crate::policy::node::{Node, NodeValue};
use crate::policy::words::Action;
use crate::policy::{Approval, ApproverKey, EvaluationPhase, Policy};
use std::collections::BTreeSet;

/// Finds approvers' keys with which the verifier can approve as well.
pub(super) fn shared_secrets(policy: &Policy, root: &Node, findings: &mut Findings) {
    for approver in &policy.document.approvers {
        if let ApproverKey::Hmac(name) = &approver.key {
            let span = top(root, "approvers")
                .and_then(|node| node.get(&approver.role))
                .map_or(0..0, |node| node.span.clone());
            findings.warn(
                codes::AG1131,
                (span, format!("approvers.{}", approver.role)),
                format!(
                    "the key of `{}` is a secret (`{name}`) that the proxy holds too: whoever reads its environment can approve",
                    approver.role
                ),
                "`agentguard keygen --approver ROLE` makes a key whose other half never leaves the approver",
            );
        }
    }
}

/// Finds approvals that no approver can give.
pub(super) fn approvers(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        if view.written.action != Action::RequireApproval {
            continue;
        }
        let by = view
            .node
            .get("approval")
            .and_then(|approval| approval.get("by"));
        let is_empty = match by.map(|by| &by.data) {
            None => true,
            Some(NodeValue::List(roles)) => roles.is_empty(),
            Some(_) => false,
        };
        if is_empty {
            findings.warn(
                codes::AG1112,
                view.place("approval"),
                format!("rule `{}` does not say who may approve", view.written.id),
                "write `approval: { by: [ROLE] }`",
            );
        }
        let approval = view.written.approval.as_deref();
        if let Some(approval) = approval
            && let Some(holders) = holders(subject, approval)
            && holders < approval.needed
        {
            findings.warn(
                codes::AG1112,
                view.place("approval"),
                format!(
                    "rule `{}` needs {} who agree, and `approvers` has keys of {holders} who may",
                    view.written.id, approval.needed
                ),
                "add keys that `agentguard keygen --approver ROLE` prints; two keys of one `principal` are one who agrees",
            );
        }
        let unable = approval.map(|approval| subject.policy.document.roles_without_key(approval));
        // If no approver can, the compiler reports it.
        let some = approval.filter(|approval| {
            let unable = unable.as_ref().map_or(0, Vec::len);
            unable > 0 && unable < approval.by.len()
        });
        if let (Some(_), Some(roles)) = (some, &unable) {
            findings.warn(
                codes::AG1112,
                view.place("approval"),
                format!(
                    "rule `{}` may be approved by `{}`, and `approvers` has no key of that role",
                    view.written.id,
                    roles.join("`, `")
                ),
                "add the key that `agentguard keygen --approver ROLE` prints, or leave the role out",
            );
        }
    }
}

/// Returns how many may give an approval; `None` if nobody may, which the compiler reports.
fn holders(subject: &LintedPolicy<'_>, approval: &Approval) -> Option<u32> {
    let approvers = subject.policy.document.approvers.iter();
    let able: Vec<_> = approvers
        .filter(|approver| approval.by.contains(&approver.role))
        .collect();
    // Another letter case is no other name.
    let named = able
        .iter()
        .filter_map(|approver| approver.principal.as_deref());
    let principals: BTreeSet<_> = named.map(|name| fold_name(name).into_owned()).collect();
    let unnamed = able
        .iter()
        .filter(|approver| approver.principal.is_none())
        .count();
    let count = principals.len().saturating_add(unnamed);
    u32::try_from(count).ok().filter(|count| *count > 0)
}

/// Finds denials without a reason.
pub(super) fn reasons(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        // A limit needs no reason.
        let refuses = matches!(view.written.action, Action::Deny | Action::RequireApproval)
            && view.written.limit.is_none();
        let reason = view.written.reason.as_deref().map(str::trim);
        if refuses && reason.is_none_or(str::is_empty) {
            findings.warn(
                codes::AG1113,
                view.place("id"),
                format!(
                    "rule `{}` denies without a reason: the agent reads only its id",
                    view.written.id
                ),
                "add `reason: …`, and `remedy: …` for what to do instead",
            );
        }
    }
}

/// Finds reasons, remedies and labels that the policy's own rules match.
pub(super) fn own_words(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        for key in ["reason", "remedy"] {
            if let Some(text) = view.node.get(key).and_then(Node::text) {
                check(subject, findings, view.place(key), text);
            }
        }
        let label = view
            .node
            .get("redact")
            .and_then(|redact| redact.get("label"))
            .and_then(Node::text);
        if let Some(label) = label.filter(|label| *label != "numbered") {
            check(subject, findings, view.place("redact"), label);
        }
    }
}

fn check(
    subject: &LintedPolicy<'_>,
    findings: &mut Findings,
    place: (std::ops::Range<usize>, String),
    text: &str,
) {
    let mut said = SampleEvent::new(Kind::Message);
    said.texts = vec![text.into()];
    said.from = Known::Is(Author::Assistant);
    let mut result = SampleEvent::new(Kind::ToolResult);
    result.texts = vec![text.into()];
    let Ok(case) = SampleExchange::new(&[said, result], Facts::unknown(), subject.policy) else {
        return;
    };
    case.seen_by(subject.policy, |context| {
    for event in &case.reading.events {
        let evaluation = subject.policy.evaluate(event, context, EvaluationPhase::Whole);
        let holding = evaluation.held.iter().find_map(|held| {
            let rule = subject.policy.rule(held.rule)?;
            // A rule that matches every text is no evidence about this one.
            let looks = rule.needs_hit;
            (looks && rule.action != Action::Tag).then_some(rule)
        });
        if let Some(rule) = holding {
            findings.warn(
                codes::AG1114,
                place,
                format!(
                    "rule `{}` holds for these words: once they were said, they stand in the conversation",
                    rule.id
                ),
                "say it in other words, or leave out what the rule looks for",
            );
            return;
        }
    }
    });
}
