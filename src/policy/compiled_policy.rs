//! Compiled policy.

use crate::detect::Selection;
use crate::event::Facts;
use crate::policy::compiled::{
    CompiledCondition, CompiledDocument, CompiledRule, CompiledTest, HistoryQuery,
};
use crate::policy::content_recording::ContentRecording;
use crate::policy::document::Document;
use crate::policy::field::Kinds;
use crate::policy::index::Index;
use crate::policy::inspection_plan::InspectionPlan;
use crate::policy::limit::Limit;
use crate::policy::protocols::{self, MatchedEntry};
use crate::policy::rule::Rule;
use crate::policy::scan::Matcher;
use crate::policy::words::Action;
use crate::policy::zones::Zones;

/// Policy, ready for evaluation. It is immutable and shared by all exchanges.
#[derive(Debug)]
pub struct Policy {
    /// The document's settings.
    pub document: Document,
    /// `sha256:` hash of the policy's canonical form.
    pub version: String,
    /// What the policy inspects.
    pub needs: InspectionPlan,
    /// Rules by id, so that their order in the document can't matter.
    pub(crate) rules: Vec<CompiledRule>,
    pub(crate) index: Index,
    pub(crate) matcher: Matcher,
    pub(crate) definitions: Selection,
    /// Content of audit events; `None`: they have no content.
    pub content: Option<ContentRecording>,
    /// Documents that each decide on their own, and the shadow document.
    pub(crate) chapters: Vec<CompiledDocument>,
    /// Time zones that the rules name.
    pub zones: Zones,
    /// History queries of the rules.
    pub(crate) questions: Vec<HistoryQuery>,
}

impl Policy {
    /// Returns the detectors and allow-lists that the policy defines. None of them runs in this selection.
    pub fn detectors(&self) -> &Selection {
        &self.definitions
    }

    /// Returns whether a rule uses a detector of the group `secrets`.
    pub fn finds_secrets(&self) -> bool {
        self.matcher.detectors.finds_secrets()
    }

    /// Returns the number of patterns in the rules and in the policy's own detectors.
    pub fn patterns(&self) -> usize {
        let own = self.matcher.detectors.patterns();
        self.matcher.patterns.patterns().len().saturating_add(own)
    }

    /// Returns the work steps for one byte, if all operators read the same text.
    pub fn operator_steps(&self) -> usize {
        self.rules.iter().fold(0, |steps, rule| {
            let tests = rule.matches.iter().map(CompiledTest::steps);
            let conditions = rule.when.iter().chain(&rule.unless);
            let conditions = conditions.map(CompiledCondition::steps);
            tests.chain(conditions).fold(steps, usize::saturating_add)
        })
    }

    /// Returns a rule by its number.
    pub fn rule(&self, number: u16) -> Option<&CompiledRule> {
        self.rules.get(usize::from(number))
    }

    /// Returns all rules, by id.
    pub fn rules(&self) -> &[CompiledRule] {
        &self.rules
    }

    /// Returns the rules that this version can evaluate but not enforce, each with the reason.
    pub fn unenforceable(&self) -> impl Iterator<Item = (&CompiledRule, &'static str)> {
        self.rules.iter().filter_map(|rule| {
            let limit = rule.limit.as_deref()?;
            Some((rule, unprovided(limit, rule.kinds)?))
        })
    }

    /// Returns why a part of the policy only leads to denials: nothing in the policy provides what that part needs.
    pub fn denied_for_want(&self) -> Option<&'static str> {
        let documents = self.document.deciding();
        let is_sourceless = self.document.principals.is_empty();
        if self.document.requires_identity == Some(true) && is_sourceless {
            return Some(
                "`require: identity` denies every request: no source in `principals` reads a credential",
            );
        }
        let nobody_agrees = |rule: &CompiledRule| {
            let by = rule.approval.iter().flat_map(|approval| &approval.by);
            let mut approvers = self.document.approvers.iter();
            rule.action == Action::RequireApproval
                && !approvers.any(|approver| by.clone().any(|role| *role == approver.role))
        };
        if self.rules.iter().any(nobody_agrees) {
            return Some(
                "a rule requires an approval that no approver can give: no role in its `by` has a key in `approvers`",
            );
        }
        let asks = |part: &Document| {
            !part.audience.is_empty() || part.rules.iter().any(Rule::asks_identity)
        };
        let is_unknown = is_sourceless && documents.iter().any(asks);
        is_unknown.then_some(
            "rules on the caller are resolved toward denial: no source in `principals` identifies it",
        )
    }

    /// Returns whether the defaults of some document are enforced; otherwise they are only recorded.
    pub fn enforces_defaults(&self) -> bool {
        self.chapters.iter().any(|chapter| chapter.enforces(None))
    }

    /// Returns whether `applies_to` of some document covers an exchange.
    pub fn applies(&self, facts: &Facts) -> bool {
        self.chapters
            .iter()
            .any(|chapter| !chapter.is_shadow && chapter.applies(facts))
    }

    /// Returns the entry of `protocols` that matches a request.
    pub fn named(&self, facts: &Facts) -> MatchedEntry<'_> {
        protocols::find(&self.document.protocols, facts)
    }

    /// Returns whether an enforced rule requires an approval.
    pub fn asks_approvals(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.action == Action::RequireApproval && rule.enforced)
    }

    /// Returns whether an enforced rule makes a call wait for an approval.
    pub fn waits_for_approvals(&self) -> bool {
        self.rules.iter().any(|rule| {
            let mut approval = rule.approval.iter();
            rule.action == Action::RequireApproval
                && rule.enforced
                && approval.any(|approval| approval.wait.is_some())
        })
    }

    /// Returns whether `applies_to` names clusters, which the host must then look up.
    pub fn asks_cluster(&self) -> bool {
        self.chapters
            .iter()
            .any(|chapter| chapter.scope.clusters.is_some())
    }
}

/// Returns what this version does not provide for a rule with a limit.
pub(crate) fn unprovided(limit: &Limit, kinds: Kinds) -> Option<&'static str> {
    (!limit.counts(kinds)).then_some("a limit of events that it does not count")
}
