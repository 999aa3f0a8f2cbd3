//! `agentguard check POLICY …`: judges exactly the events that the options name.

use super::event::EventOptions;
use super::source::Source;
use super::verdict::Verdict;
use super::{Failed, Outcome, output};
use clap::Args;
use serde_json::Value;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The policy.
    policy: String,
    #[command(flatten)]
    event: EventOptions,
}

impl Check {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, Failed> {
        let source = Source::open(&self.policy)?;
        let policy = source.policy()?;
        let case = self.event.case(policy)?;
        source.warn_of_unprovided();
        let verdict = Verdict::of(policy, &case);
        if json {
            output::line(&Value::Object(verdict.to_json()).to_string());
        } else {
            output::print(&verdict.told());
        }
        Ok(if verdict.refuses() {
            Outcome::Found
        } else {
            Outcome::Clean
        })
    }
}
