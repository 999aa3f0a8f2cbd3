//! `agentguard check POLICY …`: evaluates the events that the options describe.

use super::check_result::CheckResult;
use super::event::EventOptions;
use super::source::Source;
use super::{ExitStatus, Failed, output};
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
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let source = Source::open(&self.policy)?;
        let policy = source.policy()?;
        let case = self.event.case(policy)?;
        source.warn_of_unprovided();
        let result = CheckResult::of(policy, &case);
        if json {
            output::json_line(&Value::Object(result.to_json()).to_string());
        } else {
            output::print(&result.to_text());
        }
        Ok(if result.denies() {
            ExitStatus::Found
        } else {
            ExitStatus::Clean
        })
    }
}
