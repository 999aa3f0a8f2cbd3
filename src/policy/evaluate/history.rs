//! Queries of rules about the conversation before an event.

use crate::event::{BroadNarrow, Direction, Event, Form, History, Kind, Position};
use crate::policy::compiled::HistoryQuery;
use crate::policy::compiled_policy::Policy;
use crate::policy::context::Context;
use crate::policy::evaluate::condition::ConditionEvaluator;
use crate::policy::operators::Polarity;
use crate::wire::sort;

impl Policy {
    /// Evaluates all history queries on the conversation in a request, so that the rules can use the results for its
    /// response.
    pub fn recall(&self, context: &Context<'_>) -> History {
        let reading = context.reading;
        let is_of_provider = |event: &Event| event.opacity == Some("provider_state");
        let history = History::new(
            !reading.continues_elsewhere
                && reading.rpc.is_empty()
                && reading.problems.is_empty()
                && !reading.events.iter().any(is_of_provider),
        );
        if !self.questions.is_empty() {
            let mut events: Vec<&Event> = reading.events.iter().collect();
            sort::sort_by_key(&mut events, |event| event.at);
            for event in events {
                self.note_at(Position::Request(event.at), event, context, &history);
            }
        }
        history
    }

    /// Adds a call of a response to the history, so that later calls are evaluated with it in their past.
    pub fn note(&self, event: &Event, context: &Context<'_>) {
        if event.kind == Kind::ToolCall && event.direction == Direction::Response {
            self.note_at(Position::Response, event, context, &context.facts.history);
        }
    }

    fn note_at(&self, at: Position, event: &Event, context: &Context<'_>, history: &History) {
        for (number, question) in self.questions.iter().enumerate() {
            if question.kind != event.kind {
                continue;
            }
            let fit = question.fit(event, context);
            history.note(number, at, fit, &mut |answer| {
                let kept = event.texts.clone().filter(|_| question.keeps_texts);
                for text in kept.filter_map(|number| context.text(number)) {
                    if text.form != Form::Key {
                        answer.keep(&text.text(), fit);
                    }
                }
            });
        }
    }
}

impl HistoryQuery {
    /// Returns whether an event of the query's kind matches it, on the deny side and on the allow side.
    pub(crate) fn fit(&self, event: &Event, context: &Context<'_>) -> BroadNarrow {
        let fits = |side| {
            let evaluate = ConditionEvaluator::new(event, context, side);
            self.matches.iter().all(|test| evaluate.test(test, side))
                && self
                    .when
                    .as_ref()
                    .is_none_or(|when| evaluate.condition(when, side))
        };
        // The definition of a tool that the provider runs counts as a call on the deny side. The allow side can't rely on
        // it.
        BroadNarrow {
            broadly: fits(Polarity::Restricting),
            narrowly: !event.is_provider_offer() && fits(Polarity::Loosening),
        }
    }
}
