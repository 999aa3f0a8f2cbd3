//! Content on which a policy has no say, so that it need not be evaluated again when it comes again.

use crate::event::{Direction, Event, Facts, Kind, Turn};
use crate::policy::compiled_policy::Policy;
use crate::policy::context::Context;
use crate::policy::decision_point::EvaluationPhase;
use crate::policy::words::DefaultAction;

/// Maximum documents of a policy by which content is known, one for each bit.
const MAX_DOCUMENTS: usize = 64;

impl Policy {
    /// Returns whether content that came before need not be evaluated again. It is each time if texts are recorded, or if a tool's
    /// name depends on the server.
    pub fn knows_content(&self, facts: &Facts) -> bool {
        self.content.is_none()
            && facts.qualified("").is_none()
            && self.chapters.len() <= MAX_DOCUMENTS
    }

    /// Returns whether the policy is one document that applies to all callers.
    pub fn is_for_all(&self) -> bool {
        match self.chapters.as_slice() {
            [only] => only.is_alone && only.audience.is_empty(),
            _ => false,
        }
    }

    /// Returns which documents apply to the exchange, one bit each.
    #[inline(never)]
    pub fn documents_of(&self, event: &Event, context: &Context<'_>) -> u64 {
        let apply = self.chapters.iter();
        let apply = apply.map(|chapter| u64::from(chapter.takes_part(event, context).is_some()));
        apply.fold(0, |all, applies| all << 1 | applies)
    }

    /// Returns whether no rule and no default of the documents that apply could decide anything about a tool that is
    /// offered or an event of an earlier turn, whatever the caller, the model and the time are.
    #[inline(never)]
    pub fn leaves_alone(&self, event: &Event, context: &Context<'_>) -> bool {
        let may_repeat = match event.kind {
            Kind::Message | Kind::ToolOffer | Kind::ToolResult => true,
            Kind::ToolCall => event.turn == Turn::Earlier && !event.is_provider_offer(),
            Kind::Uninspectable => {
                let class = event.opacity.filter(|_| event.code.is_none());
                class.is_some_and(|class| class != "provider_state")
            }
            Kind::Request | Kind::Response => false,
        };
        // Rules that ask for the history see such an event in every request.
        let is_asked = self
            .questions
            .iter()
            .any(|question| question.kind == event.kind);
        if !may_repeat || is_asked || event.direction != Direction::Request {
            return false;
        }
        // What is found is counted, whatever a rule makes of it.
        if !context.found_nothing(event) {
            return false;
        }
        let mut hit = None;
        let mut has_hit = || {
            let asked = self.index.asks_texts(event);
            *hit.get_or_insert_with(|| context.has_hit(event, asked))
        };
        let mut apply = self.chapters.iter();
        apply.all(|chapter| {
            if chapter.takes_part(event, context).is_none() {
                return true;
            }
            let default = self.default(chapter, event, context);
            // Whether a tool is hidden depends on what the caller may call.
            let may_hide = event.kind == Kind::ToolOffer
                && chapter.defaults.tool_offer.action != DefaultAction::Allow;
            let is_allowed =
                !may_hide && default.is_none_or(|default| default.action == DefaultAction::Allow);
            let searching = self.index.searching(event, &chapter.rules);
            let can_match = |number: &u16| {
                self.rule(*number).is_some_and(|rule| {
                    // A rule that searches texts found nothing there, or would be the only one that searches them.
                    let found_nothing = rule.needs_hit && !searching.is_empty();
                    EvaluationPhase::Whole.includes(rule)
                        && rule.inapplicable_reason(event).is_none()
                        && !found_nothing
                        && (!rule.is_about_event() || self.holds(rule, event, context))
                })
            };
            is_allowed
                && (searching.is_empty() || !has_hit())
                && !self
                    .index
                    .others(event, context.facts, &chapter.rules)
                    .iter()
                    .any(can_match)
        })
    }
}
