//! Plan of what a policy inspects, so that nothing else is read, held or copied.

use super::field::{Field, Kinds, RequestField};
use super::text_scan::MatchKinds;
use crate::event::{Direction, Kind, Replacement};
use crate::policy::compiled::{CompiledDocument, CompiledRule};
use crate::policy::defaults::Default;
use crate::policy::rule::Rule;
use crate::policy::words::Action;
use crate::policy::words::DefaultAction;

/// Level of inspection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interest {
    /// Not inspected.
    #[default]
    None,
    /// Inspected for the audit event only.
    Observed,
    /// A decision may depend on it.
    Enforced,
}

/// What a policy inspects.
#[derive(Clone, Debug, Default)]
pub struct InspectionPlan {
    enforced: Kinds,
    observed: Kinds,
    /// Kinds of events that are inspected in responses. A server's requests (MCP) are separate from the request that the
    /// response answers.
    enforced_in_answers: Kinds,
    observed_in_answers: Kinds,
    /// Kinds of events whose texts an enforced rule may edit.
    edited: Kinds,
    /// Whether the defaults of a document are enforced, so that uninspectable content is denied.
    defaults_enforced: bool,
    /// Request headers that rules name, in lower case.
    pub headers: Vec<Box<str>>,
    /// Whether some rule asks which tools a request offers.
    pub offers: bool,
    /// Whether some rule tests structured results of tools.
    pub results: bool,
    /// Whether some rule on results also tests the arguments of the call.
    pub result_args: bool,
    pub(crate) request: MatchKinds,
    pub(crate) response: MatchKinds,
}

impl InspectionPlan {
    /// Adds what the defaults of a document inspect.
    pub(crate) fn add_defaults(&mut self, chapter: &CompiledDocument) {
        self.defaults_enforced |= chapter.enforces(None);
        let defaults = &chapter.defaults;
        for (kind, default) in [
            (Kind::Request, defaults.request),
            (Kind::ToolCall, defaults.tool_call),
            (Kind::ToolOffer, defaults.tool_offer),
        ] {
            let Default { action, mode } = default;
            if action != DefaultAction::Allow {
                self.look_at(Kinds::of(&[kind]), chapter.enforces(mode), true);
            }
        }
    }

    pub(crate) fn add_rule(&mut self, rule: &Rule, compiled: &CompiledRule, wants: MatchKinds) {
        // An allow rule matters only under a default that denies, which adds the kind itself.
        if rule.action != Action::Allow {
            let mut tells_requests_apart = false;
            rule.each_field(&mut |field_ref, _| {
                tells_requests_apart |= matches!(
                    field_ref.field,
                    Field::Method | Field::Params(_) | Field::Uri | Field::In
                );
            });
            self.look_at(rule.kinds, compiled.enforced, tells_requests_apart);
        }
        if rule.action == Action::Redact && compiled.enforced {
            self.edited = rule.kinds.iter().fold(self.edited, Kinds::with);
            if rule.redact.form == Replacement::Pseudonym {
                // Pseudonyms in a request are restored in its response.
                self.look_at(Kinds::of(&[Kind::Response, Kind::ToolResult]), true, true);
            }
        }
        for kind in rule.kinds.iter() {
            if kind != Kind::Response {
                self.request.join(wants);
            }
            if !matches!(kind, Kind::Request | Kind::Message) {
                self.response.join(wants);
            }
        }
        rule.each_field(&mut |field_ref, of| {
            let kinds = of.map_or(rule.kinds, |kind| Kinds::of(&[kind]));
            // Earlier events are in the request.
            if of.is_some() {
                self.request.join(wants);
            }
            match &field_ref.field {
                Field::Header(name) if !self.headers.contains(name) => {
                    self.headers.push(name.clone());
                }
                Field::Unoffered | Field::Request(RequestField::Tools) => self.offers = true,
                Field::Result(_) => self.results = true,
                Field::Args(_) => self.result_args |= kinds.contains(Kind::ToolResult),
                _ => {}
            }
        });
    }

    /// Adds kinds of events. `of_servers`: requests include those of a server, not only those of the client.
    fn look_at(&mut self, kinds: Kinds, enforced: bool, of_servers: bool) {
        let (all, in_answers) = if enforced {
            (&mut self.enforced, &mut self.enforced_in_answers)
        } else {
            (&mut self.observed, &mut self.observed_in_answers)
        };
        for kind in kinds.iter() {
            *all = all.with(kind);
            if kind != Kind::Request || of_servers {
                *in_answers = in_answers.with(kind);
            }
        }
    }

    /// Returns the level of inspection of responses with events of these kinds.
    pub fn answers(&self, kinds: impl Iterator<Item = Kind>) -> Interest {
        let kinds = kinds.fold(Kinds::EMPTY, Kinds::with);
        if self.enforced_in_answers.meets(kinds) {
            Interest::Enforced
        } else if self.observed_in_answers.meets(kinds) {
            Interest::Observed
        } else {
            Interest::None
        }
    }

    /// Returns whether detectors scan texts of this direction.
    pub fn detects(&self, direction: Direction) -> bool {
        self.wants(direction).detectors
    }

    /// Returns what rules search for in texts of this direction.
    pub(crate) fn wants(&self, direction: Direction) -> MatchKinds {
        match direction {
            Direction::Request => self.request,
            Direction::Response => self.response,
        }
    }

    /// Returns whether enforced rules or defaults apply to tool calls.
    pub fn evaluates_calls(&self) -> bool {
        self.enforced.meets(Kinds::of(&[Kind::ToolCall]))
    }

    /// Returns whether requests are held until they are evaluated. With enforced defaults they are, even without a rule,
    /// since uninspectable requests are denied.
    pub fn holds_requests(&self) -> bool {
        self.defaults_enforced || self.enforced != Kinds::EMPTY
    }

    /// Returns whether a request's body may be edited.
    pub fn edits_requests(&self) -> bool {
        self.edited.meets(Kinds::of(&[
            Kind::Message,
            Kind::ToolResult,
            Kind::ToolCall,
        ]))
    }
}
