//! `agentguard completions SHELL`: prints the completions of a shell.

use super::{Arguments, ExitStatus, Failed, output};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let mut script = Vec::new();
        let mut command = Arguments::command();
        clap_complete::generate(self.shell, &mut command, "agentguard", &mut script);
        let script = String::from_utf8_lossy(&script);
        match json {
            true => {
                let told = json!({"shell": self.shell.to_string(), "script": script});
                output::json_line(&told.to_string());
            }
            false => output::verbatim(&script),
        }
        Ok(ExitStatus::Clean)
    }
}
