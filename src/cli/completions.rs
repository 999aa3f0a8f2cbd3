//! `agentguard completions SHELL`: prints the completions of a shell.

use super::{Arguments, ExitStatus, Failed, output};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<ExitStatus, Failed> {
        let mut script = Vec::new();
        let mut command = Arguments::command();
        clap_complete::generate(self.shell, &mut command, "agentguard", &mut script);
        output::verbatim(&String::from_utf8_lossy(&script));
        Ok(ExitStatus::Clean)
    }
}
