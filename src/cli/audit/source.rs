//! Source of records for queries, exports and reports: files or an index.

use super::super::{ExitStatus, Failed, output};
use super::filter::{Filter, Reading};
use super::index::{Found, Index, IndexError};
use super::lines::Line;
use super::trail::Files;
use crate::diag::codes;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

/// Source of records.
pub(super) enum Source {
    Files(Files),
    Index(String, Index),
}

impl Source {
    /// Opens files, or one index.
    pub(super) fn open(names: &[String]) -> Result<Source, Failed> {
        let is_index: Vec<bool> = names.iter().map(|name| Index::is_database(name)).collect();
        match (names, is_index.contains(&true)) {
            (_, false) => Files::new(names).map(Source::Files),
            ([name], true) => Index::open(name)
                .map(|index| Source::Index(name.clone(), index))
                .map_err(|error| failed(name, &error)),
            (_, true) => Err(output::print_coded(
                codes::AG9012,
                "name one index, or files: an index has the records of its files already",
            )),
        }
    }

    /// Returns the newest matching records.
    pub(super) fn newest(&self, filter: &Filter, limit: usize) -> Result<Found, Failed> {
        match self {
            Source::Index(name, index) => {
                let found = index
                    .newest(filter, limit)
                    .map_err(|error| failed(name, &error))?;
                if found.lines.is_empty() {
                    note_empty_index(name, index)?;
                }
                Ok(found)
            }
            Source::Files(files) => {
                // The oldest of the kept records is on top; of equal times, the one that was read first.
                let mut kept = BinaryHeap::new();
                let mut total = 0_u64;
                let missing = read(files, filter, &mut |line, time| {
                    total = total.saturating_add(1);
                    kept.push(Reverse((time, total, line.to_owned())));
                    if kept.len() > limit {
                        kept.pop();
                    }
                    ControlFlow::Continue(())
                })?;
                let mut lines: Vec<String> = Vec::with_capacity(kept.len());
                while let Some(Reverse((_, _, line))) = kept.pop() {
                    lines.push(line);
                }
                Ok(Found {
                    lines,
                    total: Some(total),
                    missing,
                })
            }
        }
    }

    /// Passes all matching records to the callback. Returns what could not be read.
    pub(super) fn each(
        &self,
        filter: &Filter,
        take: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Missing, Failed> {
        match self {
            Source::Index(name, index) => {
                let mut is_empty = true;
                let mut take = |line: &str| {
                    is_empty = false;
                    take(line)
                };
                index
                    .each(filter, &mut take)
                    .map_err(|error| failed(name, &error))?;
                if is_empty {
                    note_empty_index(name, index)?;
                }
                Ok(Missing::default())
            }
            Source::Files(files) => read(files, filter, &mut |line, _| take(line)),
        }
    }
}

fn failed(name: &str, error: &IndexError) -> Failed {
    output::print_coded(
        error.code().unwrap_or(codes::AG9010),
        &format!("{name}: {error}"),
    )
}

/// Notes that an index is empty, so that no query can find anything.
fn note_empty_index(name: &str, index: &Index) -> Result<(), Failed> {
    if index.is_empty().map_err(|error| failed(name, &error))? {
        note_no_record();
    }
    Ok(())
}

/// Notes that there is no record, whatever the filter. The command ends as after any other search, because a log that was
/// just rotated has no record either.
pub(super) fn note_no_record() {
    output::note(
        "there is no record in these files; are they the ones that Envoy's access log writes?",
    );
}

/// Reads the records of files. Reports what can't be read, and reads the rest. Returns what could not be read. Fails for
/// files that have lines and no record, because they are no audit logs.
fn read(
    files: &Files,
    filter: &Filter,
    take: &mut dyn FnMut(&str, String) -> ControlFlow<()>,
) -> Result<Missing, Failed> {
    let mut missing = Missing::default();
    let mut has_records = false;
    let is_ended = each_line(files, &mut missing.files, &mut |line| {
        if is_no_exchange(line.bytes) {
            return ControlFlow::Continue(());
        }
        match (filter.accepts(line.bytes), std::str::from_utf8(line.bytes)) {
            (Reading::Meant(time), Ok(text)) => {
                has_records = true;
                take(text, time)
            }
            (Reading::Timeless(time), _) => {
                has_records = true;
                tell_timeless(&files.name(line.at), &time, missing.timeless);
                missing.timeless = missing.timeless.saturating_add(1);
                ControlFlow::Continue(())
            }
            (Reading::Other, _) => {
                has_records = true;
                ControlFlow::Continue(())
            }
            (Reading::NoRecord | Reading::Meant(_), _) => {
                missing.others = missing.others.saturating_add(1);
                ControlFlow::Continue(())
            }
        }
    });
    if has_records && missing.others > 0 && is_ended.is_continue() {
        note_others(missing.others);
    }
    match (has_records, missing.others, missing.files) {
        (false, 0, 0) => note_no_record(),
        (false, 1.., 0) => {
            return Err(output::print_coded(
                codes::AG9013,
                &format!(
                    "{}: no line is a record; name the files that Envoy's access log writes",
                    files.0.join(", ")
                ),
            ));
        }
        _ => {}
    }
    Ok(missing)
}

/// What a result lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Number of files that could not be read to their ends.
    pub(super) files: u64,
    /// Number of records whose `ts` is not a timestamp.
    pub(super) timeless: u64,
    /// Number of lines that are no records. A damaged record is among them, and so is what another program wrote to the
    /// file, so that they alone don't make a result incomplete.
    pub(super) others: u64,
}

impl Missing {
    /// Returns whether the result lacks nothing.
    pub(super) fn is_nothing(self) -> bool {
        self.files == 0 && self.timeless == 0
    }

    /// Returns the sentence on the lines that are no records, if there are any.
    pub(super) fn left_out(self) -> Option<String> {
        (self.others > 0).then(|| format!("{} and left out", counted_others(self.others)))
    }
}

/// Maximum records without a timestamp that are reported one by one.
const MAX_TIMELESS: u64 = 3;

/// Reports a record whose `ts` is not a timestamp. `told` is the number of earlier reports.
pub(super) fn tell_timeless(place: &str, time: &str, told: u64) {
    if told < MAX_TIMELESS {
        output::print_foreign(&format!(
            "{place}: the record's `ts` is no time: `{}`; the filter writes `2026-11-22T09:00:00.000Z`: something else has written \
             or changed this line",
            output::visible(time)
        ));
    }
}

/// Returns the exit status of a command whose input may have been incomplete.
pub(super) fn status(missing: Missing) -> ExitStatus {
    if missing.files > 0 {
        output::note(&format!(
            "{} not be read to the end: the answer lacks what is behind that place",
            super::trail::counted(missing.files, "file could", "files could")
        ));
    }
    if missing.timeless > 0 {
        let records = super::trail::counted(missing.timeless, "record has", "records have");
        output::note(&format!("{records} no time: the answer lacks them"));
    }
    match missing.is_nothing() {
        true => ExitStatus::Clean,
        false => ExitStatus::Found,
    }
}

/// Returns whether a line is empty, or Envoy's `-` for an exchange that the filter did not see.
pub(super) fn is_no_exchange(line: &[u8]) -> bool {
    matches!(line.trim_ascii(), b"" | b"-")
}

/// Notes that lines were skipped.
pub(super) fn note_others(count: u64) {
    output::note(&format!(
        "{}: `agentguard audit verify` names them",
        counted_others(count)
    ));
}

/// Returns how many lines are no records, in words.
fn counted_others(count: u64) -> String {
    super::trail::counted(count, "line is no record", "lines are no records")
}

/// Passes the lines of files to the callback. A file that can't be read to its end is reported and counted.
fn each_line(
    files: &Files,
    unread: &mut u64,
    take: &mut dyn FnMut(&Line<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    files.each_line(&mut |line| match line {
        Ok(line) => take(line),
        Err(fault) => {
            let message = fault.describe(&|place| files.name(place));
            let place = fault.place().map(|place| files.name(place));
            output::print_coded(
                codes::AG9010,
                &format!("{}: {message}", place.unwrap_or_default()),
            );
            *unread = unread.saturating_add(1);
            ControlFlow::Continue(())
        }
    })
}
