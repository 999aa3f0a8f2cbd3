//! `agentguard man`: prints or writes the manual pages.

use super::{Arguments, ExitStatus, Failed, output};
use clap::{Args, CommandFactory};
use clap_mangen::{Man, generate_to};
use serde_json::json;

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManPages {
    /// Write the pages of all subcommands to this folder instead of printing the first page.
    #[arg(long, short, value_name = "FOLDER")]
    output: Option<String>,
}

impl ManPages {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let command = Arguments::command();
        match &self.output {
            Some(folder) => {
                std::fs::create_dir_all(folder)
                    .and_then(|()| generate_to(command, folder))
                    .map_err(|error| {
                        output::print_unwritten(folder, &output::unwritable(&error))
                    })?;
                if json {
                    output::json_line(&json!({"folder": folder}).to_string());
                }
            }
            None => {
                let mut page = Vec::new();
                Man::new(command)
                    .render(&mut page)
                    .map_err(|error| output::print_error(&error.to_string()))?;
                let page = String::from_utf8_lossy(&page);
                match json {
                    true => output::json_line(&json!({"page": page}).to_string()),
                    false => output::verbatim(&page),
                }
            }
        }
        Ok(ExitStatus::Clean)
    }
}
