//! `agentguard audit index FILE… --db FILE`: makes an index for queries.

use super::super::{ExitStatus, Failed, output};
use super::index::{Index, IndexError, IndexWriter};
use super::source::{each_line, is_no_exchange, note_others};
use super::trail::{Files, counted};
use clap::Args;
use serde_json::json;
use std::ops::ControlFlow;
use std::path::Path;

/// Arguments of `audit index`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  agentguard audit index /var/log/agentguard/audit.jsonl* --db audit.db
  agentguard audit query audit.db --decision deny --since 24h

The index has the records themselves: protect it as you protect them. It is made anew each time and replaces the old one
when it is complete.")]
pub(super) struct BuildIndex {
    /// Audit logs, in any order: plain, gzip or zstd. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// The index: an SQLite database. An existing one is replaced.
    #[arg(long, value_name = "FILE")]
    db: String,
}

impl BuildIndex {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let failed =
            |what: &str| output::print_error(&format!("{} can't be written: {what}", self.db));
        let path = Path::new(&self.db);
        if path.exists() && !Index::is_database(&self.db) {
            return Err(failed("it exists and is no index; name another file"));
        }
        let files = Files::new(&self.files)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let beside = tempfile::Builder::new()
            .prefix(".agentguard-")
            .suffix(".db")
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(|error| failed(&error.to_string()))?;
        let mut writer =
            IndexWriter::create(beside.path()).map_err(|error| failed(&error.to_string()))?;
        let mut others = 0_u64;
        let mut problem: Option<IndexError> = None;
        let _ = each_line(&files, &mut |line| {
            if is_no_exchange(line.bytes) {
                return ControlFlow::Continue(());
            }
            match writer.add(line.bytes) {
                Ok(true) => {}
                Ok(false) => others = others.saturating_add(1),
                Err(error) => {
                    problem = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        let records = match problem {
            Some(error) => Err(error),
            None => writer.finish(),
        }
        .map_err(|error| failed(&error.to_string()))?;
        beside
            .as_file()
            .sync_all()
            .map_err(|error| failed(&error.to_string()))?;
        beside
            .persist(path)
            .map_err(|error| failed(&error.error.to_string()))?;
        if others > 0 {
            note_others(others);
        }
        match json {
            true => output::line(&json!({"records": records, "not_records": others}).to_string()),
            false => output::line(&format!(
                "{}: {}",
                self.db,
                counted(u64::from(records), "record", "records")
            )),
        }
        Ok(ExitStatus::Clean)
    }
}
