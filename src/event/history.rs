//! Conversation history, as far as the conditions of a policy query it.

use crate::wire::json::NodeId;
use std::cell::RefCell;

/// Maximum bytes of earlier texts kept for comparisons. Beyond this limit the history is incomplete.
const MAX_TEXT: usize = 1 << 20;

/// The conversation before an event. The history of a response is in the request, whose body is gone when the response
/// arrives. All history queries of the policy are therefore evaluated on the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Whether the whole conversation was inspected. Otherwise (MCP, a conversation that the provider keeps, a body
    /// that was not read) there may be unknown earlier events.
    pub is_complete: bool,
    /// Results by history query. They grow while the calls of a response are evaluated one after another.
    matches: RefCell<Vec<HistoryMatches>>,
}

/// The result of one history query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryMatches {
    /// All events of the queried kind, in their order.
    past: Vec<Past>,
    texts: Vec<PastText>,
    kept: usize,
    /// Whether texts were dropped at the limit.
    is_cut: bool,
}

/// An event of the past, with the number of matches up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Past {
    at: Position,
    broadly: Count,
    narrowly: Count,
}

/// Number of matching events up to an event, and number of consecutive ones at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All matching events.
    pub all: u32,
    /// Matching events in a row.
    pub in_a_row: u32,
}

impl Count {
    fn next(self, fits: bool) -> Count {
        if !fits {
            return Count {
                in_a_row: 0,
                ..self
            };
        }
        Count {
            all: self.all.saturating_add(1),
            in_a_row: self.in_a_row.saturating_add(1),
        }
    }
}

/// The position of an event in the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// In the request.
    Request(NodeId),
    /// In the response, after everything that was evaluated before.
    Response,
}

/// A text of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastText {
    /// Position of its event.
    at: Position,
    /// Whether its event also matches under the narrow reading.
    is_narrow: bool,
    /// The text.
    text: Box<str>,
}

/// Whether an event matches a history query under both readings. A deny-side condition uses the broad reading, an
/// allow-side condition the narrow one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BroadNarrow {
    /// It matches under the broad reading.
    pub broadly: bool,
    /// It matches under the narrow reading.
    pub narrowly: bool,
}

impl History {
    /// Creates an empty history.
    pub fn new(is_complete: bool) -> History {
        History {
            is_complete,
            matches: RefCell::default(),
        }
    }

    /// Records an event of a query's kind. `texts` stores the texts of a matching one.
    pub fn note(
        &self,
        question: usize,
        at: Position,
        fit: BroadNarrow,
        texts: &mut dyn FnMut(&mut HistoryMatches),
    ) {
        let mut matches = self.matches.borrow_mut();
        if matches.len() <= question {
            matches.resize_with(question.saturating_add(1), HistoryMatches::default);
        }
        let Some(query) = matches.get_mut(question) else {
            return;
        };
        let (broadly, narrowly) = query
            .past
            .last()
            .map(|past| (past.broadly, past.narrowly))
            .unwrap_or_default();
        query.past.push(Past {
            at,
            broadly: broadly.next(fit.broadly),
            narrowly: narrowly.next(fit.narrowly),
        });
        if fit.broadly {
            texts(query);
        }
    }

    /// Returns the numbers of a query's matches before a position, under the broad and the narrow reading.
    pub fn count(&self, question: usize, before: Position) -> (Count, Count) {
        let matches = self.matches.borrow();
        let Some(query) = matches.get(question) else {
            return Default::default();
        };
        let last = match before {
            Position::Response => query.past.len(),
            Position::Request(_) => query.past.partition_point(|past| past.at < before),
        };
        last.checked_sub(1)
            .and_then(|last| query.past.get(last))
            .map(|past| (past.broadly, past.narrowly))
            .unwrap_or_default()
    }

    /// Calls `visit` with the texts that match a query before a position. Returns whether these are all matching texts.
    pub fn texts(
        &self,
        question: usize,
        before: Position,
        narrowly: bool,
        visit: &mut dyn FnMut(&str),
    ) -> bool {
        let matches = self.matches.borrow();
        let Some(query) = matches.get(question) else {
            return self.is_complete;
        };
        for past in &query.texts {
            let is_before = before == Position::Response || past.at < before;
            if is_before && (past.is_narrow || !narrowly) {
                visit(&past.text);
            }
        }
        self.is_complete && !query.is_cut
    }
}

impl HistoryMatches {
    /// Keeps a text of the event that was recorded last.
    pub fn keep(&mut self, text: &str, fit: BroadNarrow) {
        let kept = self.kept.saturating_add(text.len());
        let Some(past) = self.past.last().filter(|_| kept <= MAX_TEXT) else {
            self.is_cut = true;
            return;
        };
        self.kept = kept;
        self.texts.push(PastText {
            at: past.at,
            is_narrow: fit.narrowly,
            text: text.into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(node: u32) -> Position {
        Position::Request(NodeId { doc: 0, node })
    }

    const FITS: BroadNarrow = BroadNarrow {
        broadly: true,
        narrowly: true,
    };
    const BROADLY: BroadNarrow = BroadNarrow {
        broadly: true,
        narrowly: false,
    };
    const NOT: BroadNarrow = BroadNarrow {
        broadly: false,
        narrowly: false,
    };

    #[test]
    fn only_earlier_events_count() {
        let history = History::default();
        for (node, fit) in [(2, FITS), (4, NOT), (6, FITS), (8, BROADLY)] {
            history.note(0, at(node), fit, &mut |_| {});
        }
        let broadly = |before| history.count(0, before).0;
        let narrowly = |before| history.count(0, before).1;
        let count = |all, in_a_row| Count { all, in_a_row };
        assert_eq!(broadly(at(2)), count(0, 0));
        assert_eq!(broadly(at(3)), count(1, 1));
        assert_eq!(broadly(at(6)), count(1, 0));
        assert_eq!(broadly(Position::Response), count(3, 2));
        assert_eq!(narrowly(Position::Response), count(2, 0));
        assert_eq!(history.count(1, Position::Response), Default::default());
    }

    #[test]
    fn a_response_counts_its_own_calls_and_a_request_does_not() {
        let history = History::default();
        history.note(0, Position::Response, FITS, &mut |_| {});
        assert_eq!(history.count(0, Position::Response).0.all, 1);
        assert_eq!(history.count(0, at(100)).0.all, 0);
    }

    #[test]
    fn texts_beyond_the_bound_are_known_to_be_missing() {
        let history = History::new(true);
        let long = "x".repeat(MAX_TEXT);
        let keep = |text: &str, fit| {
            history.note(0, Position::Response, fit, &mut |query| {
                query.keep(text, fit)
            });
        };
        let seen = |narrowly| {
            let mut texts = Vec::new();
            let mut visit = |text: &str| texts.push(text.to_owned());
            let all = history.texts(0, Position::Response, narrowly, &mut visit);
            (texts, all)
        };
        keep("a", BROADLY);
        assert_eq!(seen(false), (vec!["a".to_owned()], true));
        assert_eq!(seen(true), (vec![], true));
        keep(&long, FITS);
        assert_eq!(seen(false), (vec!["a".to_owned()], false));
    }
}
