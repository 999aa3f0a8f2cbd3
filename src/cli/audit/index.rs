//! An index of audit records in SQLite.
//!
//! `records` has the lines. `members` has, for each path and value of the records of a part, which records have it, as a Roaring bitmap:
//! a query intersects bitmaps and reads the few lines that are left. The values of a path that has very many of them, such as a digest,
//! are in `columns`. `files` says how far each file was read, and `ranges` which records are of it.

use super::column::{self, Wanted};
use super::filter::{Condition, Filter, Reading, Test};
use super::output;
use roaring::RoaringBitmap;
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement};
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Number of the layout. An index of another one has to be made anew.
pub(super) const VERSION: i64 = 2;

/// Identifies the file among SQLite databases: `AGix`.
pub(super) const APPLICATION: i64 = 0x4147_6978;

/// Members whose values only the lines have: they are as long as what was said.
pub(super) const LINES_ONLY: &[&str] = &[
    "content.request.text",
    "content.request.args",
    "content.response.text",
    "content.response.args",
];

/// Candidates up to which their times are looked up one by one instead of going through all records by time.
const FEW: u64 = 20_000;

/// How long a process that is just replacing the index is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why an index can't be used.
#[derive(Debug)]
pub(super) enum IndexError {
    /// SQLite's error.
    Database(rusqlite::Error),
    /// A file can't be written.
    File(std::io::Error),
    /// It is the database of another program.
    Foreign,
    /// It is of another version.
    OtherVersion,
    /// Its content is damaged.
    Damaged,
    /// Other processes read or write it.
    Busy,
    /// It has too many records for one index.
    Full,
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> IndexError {
        IndexError::Database(error)
    }
}

impl From<std::io::Error> for IndexError {
    fn from(error: std::io::Error) -> IndexError {
        IndexError::File(error)
    }
}

impl std::fmt::Display for IndexError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            IndexError::Database(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    IndexError::Busy.fmt(f)
                }
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                    IndexError::Damaged.fmt(f)
                }
                Some(ErrorCode::DiskFull) => f.write_str("the disk is full; nothing was changed"),
                _ => error.fmt(f),
            },
            IndexError::File(error) => f.write_str(&output::unwritable(error)),
            IndexError::Damaged => f.write_str(
                "the index is damaged; delete it and make it anew with `agentguard audit index`",
            ),
            IndexError::Foreign => f.write_str(
                "it is the database of another program, and no index of `agentguard audit index`",
            ),
            IndexError::OtherVersion => f.write_str(
                "it is an index of another version of agentguard; make it anew with `agentguard audit index`",
            ),
            IndexError::Busy => f.write_str("other processes use the index; try again"),
            IndexError::Full => {
                f.write_str("there are too many records for one index: make several")
            }
        }
    }
}

type Result<T> = std::result::Result<T, IndexError>;

/// The path of the hours in which records are.
pub(super) const TIME: &str = "ts";

/// `2026-11-22T09`
pub(super) fn hour(time: &str) -> &str {
    time.get(..13).unwrap_or(time)
}

/// A finished index.
pub(super) struct Index {
    database: Connection,
    parts: Vec<u32>,
}

/// Records that may be meant.
struct Candidates {
    /// `None`: all.
    records: Option<RoaringBitmap>,
    /// What bitmaps don't answer.
    rest: Filter,
}

/// What a query found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The lines of the newest records, the oldest first.
    pub(super) lines: Vec<String>,
    /// Number of all records that are meant; `None` if not all were read.
    pub(super) total: Option<u64>,
    /// Number of files that could not be read to their ends.
    pub(super) unread: u64,
}

impl Index {
    /// Whether a file is an SQLite database.
    pub(super) fn is_database(file: &str) -> bool {
        // What is read of a pipe is gone.
        if !std::fs::metadata(file).is_ok_and(|file| file.is_file()) {
            return false;
        }
        let mut start = [0; 16];
        let read = std::fs::File::open(file)
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start));
        read.is_ok() && start == *b"SQLite format 3\0"
    }

    /// Opens an index. What others add to it from now on is not seen.
    pub(super) fn open(file: &str) -> Result<Index> {
        match Index::open_as(Path::new(file)) {
            // Nobody can write beside it, so that nobody is writing.
            Err(IndexError::Database(error))
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
                ) =>
            {
                Index::open_as(&immutable(file))
            }
            opened => opened,
        }
    }

    fn open_as(file: &Path) -> Result<Index> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let database = Connection::open_with_flags(file, flags)?;
        database.busy_timeout(PATIENCE)?;
        let pragma = |name: &str| database.pragma_query_value(None, name, |row| row.get(0));
        let (application, version): (i64, i64) =
            (pragma("application_id")?, pragma("user_version")?);
        match (application, version) {
            (APPLICATION, VERSION) => {}
            (APPLICATION, _) => return Err(IndexError::OtherVersion),
            _ => return Err(IndexError::Foreign),
        }
        database.pragma_update(None, "mmap_size", 1_i64 << 40)?;
        // All of a query sees the same state.
        database.execute_batch("BEGIN")?;
        let mut parts = database.prepare("SELECT part FROM parts ORDER BY part")?;
        let known = parts
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        drop(parts);
        Ok(Index {
            database,
            parts: known,
        })
    }

    /// The newest records that are meant, at most `limit`.
    pub(super) fn newest(&self, filter: &Filter, limit: usize) -> Result<Found> {
        let candidates = self.candidates(filter)?;
        let mut found = Found::default();
        let is_rest = !candidates.rest.conditions.is_empty();
        let mut line_of = self.line_of()?;
        let mut take = |n: u32| -> Result<ControlFlow<()>> {
            let mut rows = line_of.query([n])?;
            let row = rows.next()?.ok_or(IndexError::Damaged)?;
            let line = text_of(row)?;
            if is_meant(&candidates.rest, line) {
                found.lines.push(line.to_owned());
            }
            Ok(match found.lines.len() >= limit {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        };
        let records = match candidates.records {
            Some(records) => records,
            None => self.all()?,
        };
        let total = records.len();
        let mut is_ended = true;
        'newest: for (hour, of_hour) in self.hours("", END)?.into_iter().rev() {
            for n in self.newest_of(&hour, &(&records & of_hour))? {
                if take(n)?.is_break() {
                    is_ended = false;
                    break 'newest;
                }
            }
        }
        found.total = match (is_rest, is_ended) {
            (false, _) => Some(total),
            (true, true) => u64::try_from(found.lines.len()).ok(),
            (true, false) => None,
        };
        found.lines.reverse();
        Ok(found)
    }

    /// Hands over all records that are meant, in the order in which they were indexed.
    pub(super) fn each(
        &self,
        filter: &Filter,
        take: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<()> {
        let candidates = self.candidates(filter)?;
        let mut take = |line: &str| match is_meant(&candidates.rest, line) {
            true => take(line),
            false => ControlFlow::Continue(()),
        };
        match &candidates.records {
            Some(records) => {
                let mut line_of = self.line_of()?;
                for n in records {
                    let mut rows = line_of.query([n])?;
                    if let Some(row) = rows.next()?
                        && take(text_of(row)?).is_break()
                    {
                        break;
                    }
                }
            }
            None => {
                let mut all = self
                    .database
                    .prepare("SELECT line FROM records ORDER BY n")?;
                let mut rows = all.query([])?;
                while let Some(row) = rows.next()? {
                    if take(text_of(row)?).is_break() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn line_of(&self) -> Result<Statement<'_>> {
        Ok(self
            .database
            .prepare("SELECT line FROM records WHERE n = ?1")?)
    }

    fn all(&self) -> Result<RoaringBitmap> {
        let last: Option<u32> =
            self.database
                .query_row("SELECT max(n) FROM records", [], |row| row.get(0))?;
        let mut all = RoaringBitmap::new();
        if let Some(last) = last {
            all.insert_range(0..=last);
        }
        Ok(all)
    }

    /// Records of an hour, the newest first.
    fn newest_of(&self, hour: &str, records: &RoaringBitmap) -> Result<Vec<u32>> {
        if records.len() <= FEW {
            return self.by_time(records);
        }
        let mut newest = self.database.prepare(
            "SELECT n FROM records WHERE ts >= ?1 AND ts < ?1 || '~' ORDER BY ts DESC, n DESC",
        )?;
        let all = newest.query_map([hour], |row| row.get::<_, u32>(0))?;
        let is_meant =
            |n: &rusqlite::Result<u32>| n.as_ref().map_or(true, |n| records.contains(*n));
        Ok(all.filter(is_meant).collect::<rusqlite::Result<_>>()?)
    }

    /// A few records, the newest first.
    fn by_time(&self, records: &RoaringBitmap) -> Result<Vec<u32>> {
        let mut time_of = self
            .database
            .prepare("SELECT ts FROM records WHERE n = ?1")?;
        let mut times = Vec::new();
        for n in records {
            let time: String = time_of.query_row([n], |row| row.get(0))?;
            times.push((time, n));
        }
        times.sort_unstable();
        Ok(times.into_iter().rev().map(|(_, n)| n).collect())
    }

    fn candidates(&self, filter: &Filter) -> Result<Candidates> {
        let mut records: Option<RoaringBitmap> = None;
        let mut narrow = |more: RoaringBitmap| {
            records = Some(match records.take() {
                Some(known) => known & more,
                None => more,
            });
        };
        let mut rest = Filter::default();
        for condition in &filter.conditions {
            if condition.path == "request_id"
                && let (Test::Is, Some(ids)) = (condition.test, condition.exact())
            {
                narrow(self.of_requests(ids)?);
            } else if has_lines_only(condition) {
                if condition.path != TIME && condition.test != Test::IsNot {
                    narrow(self.of_condition(&Condition::is_there("content.form"))?);
                }
                rest.conditions.push(condition.clone());
            } else {
                narrow(self.of_condition(condition)?);
            }
        }
        if filter.since.is_some() || filter.until.is_some() {
            narrow(self.of_times(filter)?);
        }
        Ok(Candidates { records, rest })
    }

    fn of_requests(&self, ids: &[String]) -> Result<RoaringBitmap> {
        let mut records = RoaringBitmap::new();
        let mut find = self
            .database
            .prepare("SELECT n FROM records WHERE request_id = ?1")?;
        for id in ids {
            let found = find.query_map([id], |row| row.get::<_, u32>(0))?;
            for n in found {
                records.insert(n?);
            }
        }
        Ok(records)
    }

    fn of_condition(&self, condition: &Condition) -> Result<RoaringBitmap> {
        let mut records = RoaringBitmap::new();
        self.add_members(condition, &mut records)?;
        self.add_columns(condition, &mut records)?;
        if condition.test == Test::IsNot {
            let mut others = self.all()?;
            // All of them are among the others, so that this takes them out.
            others ^= records;
            return Ok(others);
        }
        Ok(records)
    }

    fn add_members(&self, condition: &Condition, records: &mut RoaringBitmap) -> Result<()> {
        let path = &condition.path;
        if let Some(values) = condition.exact() {
            let mut find = self.database.prepare(
                "SELECT records FROM members WHERE part = ?1 AND path = ?2 AND value = ?3",
            )?;
            for part in &self.parts {
                for value in values {
                    let mut rows = find.query((part, path, value))?;
                    if let Some(row) = rows.next()? {
                        *records |= bitmap_of(row, 0)?;
                    }
                }
            }
            return Ok(());
        }
        let mut find = self.database.prepare(
            "SELECT value, records FROM members WHERE part = ?1 AND path >= ?2 AND path < ?3",
        )?;
        for (from, behind) in ranges_of(condition) {
            for part in &self.parts {
                let mut rows = find.query((part, &from, &behind))?;
                while let Some(row) = rows.next()? {
                    if condition.accepts(text_of(row)?) {
                        *records |= bitmap_of(row, 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn add_columns(&self, condition: &Condition, records: &mut RoaringBitmap) -> Result<()> {
        let mut find = self
            .database
            .prepare("SELECT first, entries FROM columns WHERE path >= ?1 AND path < ?2")?;
        let is_meant = |value: &str| condition.accepts(value);
        let wanted = match condition.exact() {
            Some(values) => Wanted::Exactly(values.iter().map(|value| packed(value)).collect()),
            None => Wanted::Meant(&is_meant),
        };
        for range in ranges_of(condition) {
            let mut rows = find.query(range)?;
            while let Some(row) = rows.next()? {
                let entries = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
                column::find(row.get(0)?, entries, &wanted, &mut |n| {
                    records.insert(n);
                })
                .ok_or(IndexError::Damaged)?;
            }
        }
        Ok(())
    }

    /// The records of each hour in a range.
    fn hours(&self, since: &str, until: &str) -> Result<BTreeMap<String, RoaringBitmap>> {
        let mut find = self.database.prepare(
            "SELECT value, records FROM members WHERE part = ?1 AND path = ?2 AND value >= ?3 AND value <= ?4",
        )?;
        let mut hours = BTreeMap::<String, RoaringBitmap>::new();
        for part in &self.parts {
            let mut rows = find.query((part, TIME, hour(since), hour(until)))?;
            while let Some(row) = rows.next()? {
                *hours.entry(text_of(row)?.to_owned()).or_default() |= bitmap_of(row, 1)?;
            }
        }
        Ok(hours)
    }

    /// The records of a time range: whole hours by their bitmaps, the hours at its ends by their times.
    fn of_times(&self, filter: &Filter) -> Result<RoaringBitmap> {
        let mut records = RoaringBitmap::new();
        let since = filter.since.as_deref().unwrap_or_default();
        let until = filter.until.as_deref().unwrap_or(END);
        let mut edges = HashSet::new();
        for (value, of_hour) in self.hours(since, until)? {
            if value == hour(since) || value == hour(until) {
                edges.insert(value);
            } else {
                records |= of_hour;
            }
        }
        let mut exact = self
            .database
            .prepare("SELECT n FROM records WHERE ts >= max(?1, ?3) AND ts < min(?2, ?3 || '~')")?;
        for edge in edges {
            let found = exact.query_map([since, until, &edge], |row| row.get::<_, u32>(0))?;
            for n in found {
                records.insert(n?);
            }
        }
        Ok(records)
    }
}

/// Behind every time.
const END: &str = "~";

/// The paths that a condition is about: a path above others, as `findings`, has them between `findings.` and `findings/`.
fn ranges_of(condition: &Condition) -> Vec<(String, String)> {
    let path = &condition.path;
    let mut ranges = vec![(path.clone(), format!("{path}\0"))];
    if condition.test == Test::IsThere {
        ranges.push((format!("{path}."), format!("{path}/")));
    }
    ranges
}

/// Whether only lines tell what a condition asks for.
fn has_lines_only(condition: &Condition) -> bool {
    condition.path == TIME || LINES_ONLY.contains(&condition.path.as_str())
}

fn is_meant(rest: &Filter, line: &str) -> bool {
    rest.conditions.is_empty()
        || (rest.can_accept(line) && matches!(rest.accepts(line.as_bytes()), Reading::Meant(_)))
}

fn packed(value: &str) -> Vec<u8> {
    let mut packed = Vec::new();
    column::pack(value, &mut packed);
    packed
}

/// A file as one that nobody changes: SQLite then needs no files beside it.
fn immutable(file: &str) -> PathBuf {
    let mut uri = "file:".to_owned();
    for byte in file.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    PathBuf::from(uri + "?immutable=1")
}

fn bitmap_of(row: &rusqlite::Row<'_>, column: usize) -> Result<RoaringBitmap> {
    let bytes = row
        .get_ref(column)?
        .as_blob()
        .map_err(rusqlite::Error::from)?;
    RoaringBitmap::deserialize_from(bytes).map_err(|_| IndexError::Damaged)
}

/// The text in the first column.
fn text_of<'r>(row: &'r rusqlite::Row<'_>) -> Result<&'r str> {
    Ok(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)
}
