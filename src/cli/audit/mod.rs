//! `agentguard audit`: verifies audit trails.

mod checkpoint;
mod lines;
mod trail;
mod verify;

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
}

impl Audit {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        match &self.command {
            AuditCommand::Verify(command) => command.run(json),
            AuditCommand::Checkpoint(command) => command.run(json),
        }
    }
}
