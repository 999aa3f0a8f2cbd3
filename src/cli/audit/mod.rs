//! `agentguard audit`: verifies, searches, reports and prunes audit trails.

mod build_index;
mod cells;
mod checkpoint;
mod column;
pub(in crate::cli) mod conversation;
mod filter;
mod index;
mod index_writer;
mod indexed_files;
mod lines;
mod members;
mod page;
mod prune;
mod query;
mod report;
mod source;
mod summary;
mod trail;
mod trigram;
mod verify;
mod violations;

pub(super) use checkpoint::read_signing_key;
pub(super) use lines::unpacked;

use super::{ExitStatus, Failed, output};
use clap::{Args, Subcommand};

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Find every record that was changed, removed, inserted, moved or cut off.
    Verify(verify::Verify),
    /// Sign the heads of all chains, to keep them elsewhere and to prove later that nothing before them was changed.
    Checkpoint(checkpoint::WriteCheckpoint),
    /// Make an index, so that queries over millions of records take less than a second.
    Index(build_index::BuildIndex),
    /// Show records by time, caller, tool, rule, code, decision, model or any member.
    Query(query::Query),
    /// Write records as CSV or JSON lines.
    Export(query::Export),
    /// Summarise violations, agents, tools, approvals, limits and spend.
    Report(report::WriteReport),
    /// Delete old files, and keep the rest verifiable.
    Prune(prune::Prune),
}

impl Audit {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        match &self.command {
            AuditCommand::Verify(command) => command.run(json),
            AuditCommand::Checkpoint(command) => command.run(json),
            AuditCommand::Index(command) => command.run(json),
            AuditCommand::Query(command) => command.run(json),
            AuditCommand::Export(command) => command.run(json),
            AuditCommand::Report(command) => command.run(json),
            AuditCommand::Prune(command) => command.run(json),
        }
    }
}

/// Returns the records of a request from files or an index.
pub(super) fn records_of_request(files: &[String], id: &str) -> Result<Vec<String>, Failed> {
    let source = source::Source::open(files)?;
    Ok(source
        .newest(&filter::Filter::of_request(id), usize::MAX)?
        .lines)
}
