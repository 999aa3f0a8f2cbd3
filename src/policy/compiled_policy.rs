//! A policy as it is evaluated.

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

/// A policy, ready to be evaluated with. Immutable; exchanges share it.
#[derive(Debug)]
pub struct Policy {
    /// The document's settings.
    pub document: Document,
    /// `sha256:` of its canonical form.
    pub version: String,
    /// What it looks at.
    pub needs: InspectionPlan,
    /// By id, so that the order of the document can't matter.
    pub(crate) rules: Vec<CompiledRule>,
    pub(crate) index: Index,
    pub(crate) matcher: Matcher,
    pub(crate) definitions: Selection,
    /// The content of its audit events; `None`: they have none.
    pub content: Option<ContentRecording>,
    /// The documents that decide, each for itself, and the one that is only tried out.
    pub(crate) chapters: Vec<CompiledDocument>,
    /// The time zones that its rules name.
    pub zones: Zones,
    /// What its rules ask of the conversation before an event.
    pub(crate) questions: Vec<HistoryQuery>,
}

impl Policy {
    /// The detectors and allow-lists that the policy defines; none of them runs.
    pub fn detectors(&self) -> &Selection {
        &self.definitions
    }

    /// Whether a rule asks about detectors of the group `secrets`.
    pub fn finds_secrets(&self) -> bool {
        self.matcher.detectors.finds_secrets()
    }

    /// How many patterns its rules and its own detectors have.
    pub fn patterns(&self) -> usize {
        let own = self.matcher.detectors.patterns();
        self.matcher.patterns.patterns().len().saturating_add(own)
    }

    /// Steps that its operators take for a byte, if all of them read the same text.
    pub fn operator_steps(&self) -> usize {
        self.rules.iter().fold(0, |steps, rule| {
            let tests = rule.matches.iter().map(CompiledTest::steps);
            let conditions = rule.when.iter().chain(&rule.unless);
            let conditions = conditions.map(CompiledCondition::steps);
            tests.chain(conditions).fold(steps, usize::saturating_add)
        })
    }

    /// A rule by its number.
    pub fn rule(&self, number: u16) -> Option<&CompiledRule> {
        self.rules.get(usize::from(number))
    }

    /// All rules, by id.
    pub fn rules(&self) -> &[CompiledRule] {
        &self.rules
    }

    /// The rules that this version can evaluate but not enforce, each with the reason.
    pub fn unenforceable(&self) -> impl Iterator<Item = (&CompiledRule, &'static str)> {
        self.rules.iter().filter_map(|rule| {
            let limit = rule.limit.as_deref()?;
            Some((rule, unprovided(limit, rule.kinds)?))
        })
    }

    /// What is in force although nothing here provides what it asks for: all of that is denied, or counts for the strict side.
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

    /// Whether what no rule decides is enforced or only recorded.
    pub fn enforces_defaults(&self) -> bool {
        self.chapters.iter().any(|chapter| chapter.enforces(None))
    }

    /// Whether an exchange is something that the policy is about.
    pub fn applies(&self, facts: &Facts) -> bool {
        self.chapters
            .iter()
            .any(|chapter| !chapter.is_shadow && chapter.applies(facts))
    }

    /// What `protocols` says of a request.
    pub fn named(&self, facts: &Facts) -> MatchedEntry<'_> {
        protocols::find(&self.document.protocols, facts)
    }

    /// Whether an enforced rule asks for an approval.
    pub fn asks_approvals(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.action == Action::RequireApproval && rule.enforced)
    }

    /// Whether an enforced rule waits for an approval.
    pub fn waits_for_approvals(&self) -> bool {
        self.rules.iter().any(|rule| {
            let mut approval = rule.approval.iter();
            rule.action == Action::RequireApproval
                && rule.enforced
                && approval.any(|approval| approval.wait.is_some())
        })
    }

    /// Whether `applies_to` names clusters, which the host must then look up.
    pub fn asks_cluster(&self) -> bool {
        self.chapters
            .iter()
            .any(|chapter| chapter.scope.clusters.is_some())
    }
}

/// What of a rule with a limit this version does not provide.
pub(crate) fn unprovided(limit: &Limit, kinds: Kinds) -> Option<&'static str> {
    (!limit.counts(kinds)).then_some("a limit of events that it does not count")
}
