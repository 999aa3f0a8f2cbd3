//! What a policy looks at, so that nothing else is read, held or copied.

use super::field::{Field, Kinds};
use super::text_scan::MatchKinds;
use crate::event::{Direction, Kind, Replacement};
use crate::policy::compiled::{CompiledDocument, CompiledRule};
use crate::policy::defaults::Default;
use crate::policy::rule::Rule;
use crate::policy::words::Action;
use crate::policy::words::DefaultAction;

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
#[derive(Clone, Debug, Default)]
pub struct InspectionPlan {
    enforced: Kinds,
    observed: Kinds,
    /// The same of what answers hold: requests of a server (MCP) are something else than the request that they answer.
    enforced_in_answers: Kinds,
    observed_in_answers: Kinds,
    /// Kinds of events whose texts an enforced rule may edit.
    edited: Kinds,
    /// The document itself is enforced: what can't be read is refused.
    defaults_enforced: bool,
    /// Request headers that rules name, lower case.
    pub headers: Vec<Box<str>>,
    /// Some rule looks into structured results of tools.
    pub results: bool,
    /// Some rule about results looks at the arguments of the call too.
    pub result_args: bool,
    pub(crate) request: MatchKinds,
    pub(crate) response: MatchKinds,
}

impl InspectionPlan {
    /// What the defaults of a document look at.
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
        // An allow matters only under a default that denies, which looks at its kind itself.
        if rule.action != Action::Allow {
            let mut tells_requests_apart = false;
            rule.each_field(&mut |mention, _| {
                tells_requests_apart |= matches!(
                    mention.field,
                    Field::Method | Field::Params(_) | Field::Uri | Field::In
                );
            });
            self.look_at(rule.kinds, compiled.enforced, tells_requests_apart);
        }
        if rule.action == Action::Redact && compiled.enforced {
            self.edited = rule.kinds.iter().fold(self.edited, Kinds::with);
            if rule.redact.form == Replacement::Pseudonym {
                // What is replaced in a request is turned back in its response.
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
        rule.each_field(&mut |mention, of| {
            let kinds = of.map_or(rule.kinds, |kind| Kinds::of(&[kind]));
            // What stands earlier stands in the request.
            if of.is_some() {
                self.request.join(wants);
            }
            match &mention.field {
                Field::Header(name) if !self.headers.contains(name) => {
                    self.headers.push(name.clone());
                }
                Field::Result(_) => self.results = true,
                Field::Args(_) => self.result_args |= kinds.contains(Kind::ToolResult),
                _ => {}
            }
        });
    }

    /// `of_servers`: what is asked of requests may be so of a server's request and not of the client's that it answers.
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

    /// How strongly answers that hold events of these kinds are looked at.
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

    /// Whether detectors look at texts of this half.
    pub fn detects(&self, direction: Direction) -> bool {
        self.wants(direction).detectors
    }

    /// What rules look for in texts of this half.
    pub(crate) fn wants(&self, direction: Direction) -> MatchKinds {
        match direction {
            Direction::Request => self.request,
            Direction::Response => self.response,
        }
    }

    /// Whether calls of tools are evaluated, not only looked at.
    pub fn evaluates_calls(&self) -> bool {
        self.enforced.meets(Kinds::of(&[Kind::ToolCall]))
    }

    /// Whether requests wait until they are evaluated. Where the document is enforced they do even without a rule, since
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
