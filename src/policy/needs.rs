//! What a policy looks at, so that nothing else is read, held or copied.

use super::compile::{CompiledRule, is_enforced};
use super::document::{Default, DefaultAction, Document};
use super::field::{Field, Kinds};
use super::rule::{Action, Rule};
use super::scan::Wants;
use crate::event::Kind;

/// How strongly something is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interest {
    /// Not at all.
    #[default]
    None,
    /// For the record only.
    Observed,
    /// A decision may depend on it.
    Enforced,
}

/// What a policy looks at.
#[derive(Clone, Debug)]
pub struct Needs {
    enforced: Kinds,
    observed: Kinds,
    /// Kinds of events whose texts an enforced rule may edit.
    edited: Kinds,
    /// The document itself is enforced: what can't be read is refused.
    defaults_enforced: bool,
    /// Request headers that rules name, lower case.
    pub headers: Vec<Box<str>>,
    /// Some rule looks into structured results of tools.
    pub results: bool,
    pub(super) request: Wants,
    pub(super) response: Wants,
}

const KINDS_OF_RESPONSES: [Kind; 2] = [Kind::Response, Kind::ToolCall];

impl Needs {
    pub(super) fn of(document: &Document) -> Needs {
        let mut needs = Needs {
            enforced: Kinds::EMPTY,
            observed: Kinds::EMPTY,
            edited: Kinds::EMPTY,
            defaults_enforced: is_enforced(document, None),
            headers: Vec::new(),
            results: false,
            request: Wants::default(),
            response: Wants::default(),
        };
        let defaults = &document.defaults;
        for (kind, default) in [
            (Kind::Request, defaults.request),
            (Kind::ToolCall, defaults.tool_call),
            (Kind::ToolOffer, defaults.tool_offer),
        ] {
            let Default { action, mode } = default;
            if action != DefaultAction::Allow {
                needs.look_at(Kinds::of(&[kind]), is_enforced(document, mode));
            }
        }
        needs
    }

    pub(super) fn add_rule(&mut self, rule: &Rule, compiled: &CompiledRule, wants: Wants) {
        // An allow matters only under a default that denies, which looks at its kind itself.
        if rule.action != Action::Allow {
            self.look_at(rule.kinds, compiled.enforced);
        }
        if rule.action == Action::Redact && compiled.enforced {
            self.edited = rule.kinds.iter().fold(self.edited, Kinds::with);
        }
        for kind in rule.kinds.iter() {
            if kind != Kind::Response {
                self.request.join(wants);
            }
            if !matches!(kind, Kind::Request | Kind::Message) {
                self.response.join(wants);
            }
        }
        rule.each_field(&mut |field| match field {
            Field::Header(name) if !self.headers.contains(name) => self.headers.push(name.clone()),
            Field::Result(_) => self.results = true,
            _ => {}
        });
    }

    fn look_at(&mut self, kinds: Kinds, enforced: bool) {
        let set = if enforced {
            &mut self.enforced
        } else {
            &mut self.observed
        };
        *set = kinds.iter().fold(*set, Kinds::with);
    }

    /// How strongly answers of a model are looked at.
    pub fn answers(&self) -> Interest {
        let kinds = Kinds::of(&KINDS_OF_RESPONSES);
        if self.enforced.meets(kinds) {
            Interest::Enforced
        } else if self.observed.meets(kinds) {
            Interest::Observed
        } else {
            Interest::None
        }
    }

    /// Whether requests wait until they are judged. Where the document is enforced they do even without a rule, since
    /// what can't be read is refused.
    pub fn holds_requests(&self) -> bool {
        self.defaults_enforced || self.enforced != Kinds::EMPTY
    }

    /// Whether a request's body may leave changed.
    pub fn edits_requests(&self) -> bool {
        self.edited.meets(Kinds::of(&[
            Kind::Message,
            Kind::ToolResult,
            Kind::ToolCall,
        ]))
    }
}
