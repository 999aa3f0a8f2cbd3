//! `agentguard schema`: prints JSON Schemas for editors and for readers of audit events.

use super::{ExitStatus, Failed, output};
use crate::audit;
use crate::author::{kill_schema, schema, test_schema};
use clap::Args;

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// The schema of audit events.
    #[arg(long, conflicts_with = "test")]
    audit: bool,
    /// The schema of test files.
    #[arg(long)]
    test: bool,
    /// The schema of kill lists.
    #[arg(long, conflicts_with_all = ["test", "audit"])]
    kill: bool,
}

impl Schema {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let schema = if self.audit {
            audit::schema()
        } else if self.test {
            test_schema()
        } else if self.kill {
            kill_schema()
        } else {
            schema()
        };
        let text = if json {
            schema.to_string()
        } else {
            serde_json::to_string_pretty(&schema).unwrap_or_default()
        };
        output::verbatim_line(&text);
        Ok(ExitStatus::Clean)
    }
}
