//! `agentguard audit index FILE… --db FILE`: creates an index for queries, or adds new records to it.
//!
//! New records are added in one transaction. An index that loses records is written to a temporary file, which
//! replaces the old one when it is complete. So a crash leaves the index unchanged.

use super::super::output::{self, LinkedFile};
use super::super::{ExitStatus, Failed};
use super::index::{Index, IndexError};
use super::index_writer::{Added, IndexWriter, indexed_files, settle};
use super::indexed_files::{IndexedFile, Mark, Plan, State, plan};
use super::lines::{Lines, fault_of};
use super::source::{Missing, is_no_exchange, note_no_record, note_others, status, tell_timeless};
use super::trail::{Files, counted};
use crate::audit::{Fault, Place};
use crate::diag::codes;
use clap::Args;
use serde_json::json;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Arguments of `audit index`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  agentguard audit index /var/log/agentguard/audit.jsonl* --db audit.db
  agentguard audit query audit.db --decision deny --since 24h

Run it again to add what is new: files are known again when they were renamed or compressed. The index has the records
themselves: protect it as you protect them.")]
pub(super) struct BuildIndex {
    /// Audit logs, in any order: plain, gzip or zstd. With `-`, standard input, the index is made anew.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// The index: an SQLite database.
    #[arg(long, value_name = "FILE")]
    db: String,
    /// Remove the records of files that are not named or no longer there, such as those that `audit prune` deleted.
    #[arg(long)]
    remove_missing: bool,
    /// Read all files from their beginnings, and forget others.
    #[arg(long)]
    rebuild: bool,
}

/// Counts of one run.
#[derive(Debug, Default)]
struct Progress {
    new: u64,
    others: u64,
    missing: Missing,
}

impl BuildIndex {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let files = Files::new(&self.files)?;
        let linked = LinkedFile::of(&self.db).map_err(|why| self.failed(&why))?;
        let path = linked.target.as_path();
        self.check_place(path)?;
        let _lock = self.lock(path)?;
        let known = self.known(path, &files)?;
        let is_new = known.is_none();
        let plan = plan(&files.0, known.unwrap_or_default());
        self.tell(&plan);
        let mut progress = Progress::default();
        let must_forget =
            !plan.changed.is_empty() || (self.remove_missing && !plan.missing.is_empty());
        let records = match is_new || must_forget {
            true => self.write_anew(path, is_new, &plan, &mut progress),
            false => add(path, &plan, &mut progress),
        }
        .map_err(|error| self.failed_at(&error))?;
        if progress.others > 0 {
            note_others(progress.others);
        } else if records == 0 && progress.missing.is_nothing() {
            note_no_record();
        }
        let Progress {
            new,
            others,
            missing,
        } = progress;
        match json {
            true => output::json_line(
                &json!({"records": records, "new": new, "not_records": others}).to_string(),
            ),
            false => {
                let all = counted(u64::from(records), "record", "records");
                let new = match (is_new, new) {
                    (true, _) => String::new(),
                    (false, 0) => ", none of them new".to_owned(),
                    (false, new) => format!(", {new} of them new"),
                };
                output::line(&format!("{}: {all}{new}", self.db));
            }
        }
        Ok(status(missing))
    }

    fn failed(&self, what: &str) -> Failed {
        output::print_unwritten(&self.db, what)
    }

    fn failed_at(&self, error: &IndexError) -> Failed {
        output::print_coded(
            error.code().unwrap_or(codes::AG9011),
            &format!("{} can't be written: {error}", self.db),
        )
    }

    /// Checks that the index's path is usable. Writes nothing.
    fn check_place(&self, path: &Path) -> Result<(), Failed> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let problem = match path.metadata() {
            _ if self.db == output::STDIN => "it is no file; name one",
            Ok(file) if file.is_dir() => "it is a folder; name a file in it",
            Ok(_) if !Index::is_database(&self.db) => {
                "it exists and is no index; name another file"
            }
            Err(_) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                "its folder does not exist; make it first"
            }
            _ => return Ok(()),
        };
        Err(self.failed(problem))
    }

    /// Returns a lock against another `audit index` of the same file.
    fn lock(&self, path: &Path) -> Result<File, Failed> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beside(path, "-lock"))
            .map_err(|error| self.failed(&output::unwritable(&error)))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                let what = "another `agentguard audit index` is writing it; try again";
                Err(output::print_coded(
                    codes::AG9014,
                    &format!("{} can't be written: {what}", self.db),
                ))
            }
            Err(TryLockError::Error(error)) => Err(self.failed(&output::unwritable(&error))),
        }
    }

    /// Returns the files of the existing index; `None` if it must be rebuilt.
    fn known(&self, path: &Path, files: &Files) -> Result<Option<Vec<(IndexedFile, u64)>>, Failed> {
        if !path.exists() {
            return Ok(None);
        }
        match Index::open(&self.db) {
            Ok(_) => {}
            Err(IndexError::OtherVersion) => {
                output::note(&format!(
                    "{} is of another version of agentguard: it is made anew from the named files",
                    self.db
                ));
                return Ok(None);
            }
            Err(error) => return Err(self.failed_at(&error)),
        }
        // What was read from a pipe before is unknown.
        let is_pipe = |name: &String| !std::fs::metadata(name).is_ok_and(|file| file.is_file());
        if self.rebuild || files.0.iter().any(is_pipe) {
            return Ok(None);
        }
        indexed_files(path)
            .map(Some)
            .map_err(|error| self.failed_at(&error))
    }

    fn tell(&self, plan: &Plan) {
        for (file, records) in &plan.changed {
            output::note(&format!(
                "{} was cut or changed since it was indexed: {} of it {} removed, and it is read from its beginning",
                file.name,
                counted(*records, "record", "records"),
                if *records == 1 { "is" } else { "are" },
            ));
        }
        for (file, records) in &plan.missing {
            let records = counted(*records, "record", "records");
            output::note(&match self.remove_missing {
                true => format!("{} is not named or gone: its {records} removed", file.name),
                false => format!(
                    "{} is not named or gone: its {records} kept (--remove-missing removes)",
                    file.name
                ),
            });
        }
    }

    /// Writes an index to a temporary file, which then replaces the old one.
    fn write_anew(
        &self,
        path: &Path,
        is_new: bool,
        plan: &Plan,
        progress: &mut Progress,
    ) -> Result<u32, IndexError> {
        let beside = beside(path, "-new");
        create_empty(&beside)?;
        let mut writer = IndexWriter::create(&beside)?;
        if !is_new {
            let missing = plan.missing.iter().map(|(file, _)| file);
            let missing = missing.filter(|_| !self.remove_missing);
            let is_read = |file: &&IndexedFile| file.mark != Mark::default();
            let kept = plan
                .unchanged
                .iter()
                .chain(plan.read.iter().filter(is_read));
            let kept: Vec<IndexedFile> = kept.chain(missing).cloned().collect();
            writer.copy(path, &kept)?;
        }
        let records = read(writer, plan, progress)?;
        File::open(&beside)?.sync_all()?;
        if path.exists() {
            settle(path)?;
        }
        std::fs::rename(&beside, path)?;
        Ok(records)
    }
}

/// Returns the path of a file beside the index.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Creates a file that only its owner can read. Replaces the file of an interrupted run.
fn create_empty(file: &Path) -> std::io::Result<()> {
    if let Err(error) = std::fs::remove_file(file)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(|_| ())
}

/// Adds new records to an index.
fn add(path: &Path, plan: &Plan, progress: &mut Progress) -> Result<u32, IndexError> {
    let mut writer = IndexWriter::append(path)?;
    for file in &plan.unchanged {
        writer.read_file(file, writer.next())?;
    }
    read(writer, plan, progress)
}

fn read(mut writer: IndexWriter, plan: &Plan, progress: &mut Progress) -> Result<u32, IndexError> {
    for (number, file) in plan.read.iter().enumerate() {
        let first = writer.next();
        let mut file = file.clone();
        if let Some(fault) = read_file(&mut writer, number, &mut file, progress)? {
            let name = |place: Place| format!("{}:{}", file.name, place.line);
            let place = fault.place().map(name).unwrap_or_default();
            output::note(&format!("{place}: {}", fault.describe(&name)));
            // The file is read again the next time, even if it does not change.
            file.state = State::default();
            let is_written_now = matches!(fault, Fault::Truncated(_));
            let unread = &mut progress.missing.files;
            *unread = unread.saturating_add(u64::from(!is_written_now));
        }
        let read = u64::from(writer.next().saturating_sub(first));
        progress.new = progress.new.saturating_add(read);
        writer.read_file(&file, first)?;
    }
    writer.finish()
}

/// Adds the records of a file after its mark. Returns the fault if it can't be read to its end.
fn read_file(
    writer: &mut IndexWriter,
    number: usize,
    file: &mut IndexedFile,
    progress: &mut Progress,
) -> Result<Option<Fault>, IndexError> {
    let mark = &mut file.mark;
    let mut lines = match Lines::open_behind(&file.name, number, mark.lines, mark.offset) {
        Ok(lines) => lines,
        Err(error) => {
            let line = mark.lines.saturating_add(1);
            return Ok(Some(fault_of(&error, Place { file: number, line })));
        }
    };
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(None),
            Err(fault) => return Ok(Some(fault)),
        };
        let is_exchange = !is_no_exchange(line.bytes);
        match is_exchange.then(|| writer.add(line.bytes)).transpose()? {
            Some(Added::NoRecord) if !line.is_complete => {
                return Ok(Some(Fault::Truncated(line.at)));
            }
            Some(Added::NoRecord) => progress.others = progress.others.saturating_add(1),
            Some(Added::Timeless(time)) => {
                let told = &mut progress.missing.timeless;
                tell_timeless(&format!("{}:{}", file.name, line.at.line), &time, *told);
                *told = told.saturating_add(1);
            }
            Some(Added::Record) | None => {}
        }
        mark.pass(line.bytes, line.behind);
    }
}
