//! An index of audit records in SQLite.
//!
//! `records` has the lines. `members` has, for each path and value of the records, which records have it, as a Roaring bitmap: a query
//! intersects bitmaps and reads the few lines that are left. A path with very many values, such as a digest, is not in `members`; a
//! condition on it reads the lines.

use super::filter::{Condition, Filter, Reading, Test};
use super::members::visit;
use roaring::RoaringBitmap;
use rusqlite::{Connection, OpenFlags, Statement, params};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;

/// Number of the layout. An index of another one has to be made anew.
const VERSION: i64 = 1;

/// Identifies the file among SQLite databases: `AGix`.
const APPLICATION: i64 = 0x4147_6978;

/// Records whose bitmaps are held in memory before they are written.
const PART: u32 = 1 << 20;

/// Maximum values of a path in a part. A path with more is not worth an index, and its values would fill the memory.
const MAX_VALUES: usize = 20_000;

/// Members that differ in nearly every record.
const UNINDEXED: &[&str] = &[
    "request_id",
    "chain.seq",
    "chain.prev",
    "chain.mac",
    "traceparent",
    "timing.inspect_us",
    "timing.held_us",
    "content.request.text",
    "content.request.args",
    "content.response.text",
    "content.response.args",
];

/// Candidates up to which their times are looked up one by one instead of going through all records by time.
const FEW: u64 = 20_000;

/// Why an index can't be used.
#[derive(Debug)]
pub(super) enum IndexError {
    /// SQLite's error.
    Database(rusqlite::Error),
    /// A bitmap can't be read.
    Bitmap(std::io::Error),
    /// It is another database, or of another version.
    Foreign,
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
        IndexError::Bitmap(error)
    }
}

impl std::fmt::Display for IndexError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            IndexError::Database(error) => error.fmt(f),
            IndexError::Bitmap(error) => write!(f, "the index is damaged ({error}); make it anew"),
            IndexError::Foreign => f.write_str(
                "it is no index of this version of `agentguard audit index`; make it anew",
            ),
            IndexError::Full => {
                f.write_str("there are too many records for one index: make several")
            }
        }
    }
}

type Result<T> = std::result::Result<T, IndexError>;

/// The values of a path, and the records of the part that have them.
type Values = HashMap<String, RoaringBitmap>;

/// Writes an index.
pub(super) struct IndexWriter {
    database: Connection,
    paths: HashMap<String, Values>,
    unindexed: HashSet<String>,
    part: u32,
    next: u32,
}

impl IndexWriter {
    /// Begins an index in an empty file.
    pub(super) fn create(file: &Path) -> Result<IndexWriter> {
        let database = Connection::open(file)?;
        // The file gets its name when it is complete: a crash leaves nothing that could be taken for an index.
        database.execute_batch(&format!(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};
             CREATE TABLE records (n INTEGER PRIMARY KEY, ts TEXT NOT NULL, request_id TEXT, line TEXT NOT NULL);
             CREATE TABLE members (path TEXT NOT NULL, value TEXT NOT NULL, part INTEGER NOT NULL,
                                   count INTEGER NOT NULL, records BLOB NOT NULL,
                                   PRIMARY KEY (path, value, part)) WITHOUT ROWID;
             CREATE TABLE unindexed (path TEXT PRIMARY KEY) WITHOUT ROWID;
             BEGIN;"
        ))?;
        Ok(IndexWriter {
            database,
            paths: HashMap::new(),
            unindexed: UNINDEXED.iter().map(|path| (*path).to_owned()).collect(),
            part: 0,
            next: 0,
        })
    }

    /// Adds a line. Returns false if it is no record.
    pub(super) fn add(&mut self, line: &[u8]) -> Result<bool> {
        let Ok(text) = std::str::from_utf8(line) else {
            return Ok(false);
        };
        let (mut time, mut request) = (None, None);
        let is_read = visit(line, &mut |path, value| match path {
            "ts" => time = Some(value.to_owned()),
            "request_id" => request = Some(value.to_owned()),
            _ => {}
        });
        let (Some(()), Some(time)) = (is_read, time) else {
            return Ok(false);
        };
        let n = self.next;
        self.database
            .prepare_cached("INSERT INTO records VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![n, time, request, text])?;
        // Whole hours are a member: most of a time range is answered by them.
        self.note(TIME, hour(&time), n);
        visit(line, &mut |path, value| {
            if path != TIME {
                self.note(path, value, n);
            }
        });
        self.next = n.checked_add(1).ok_or(IndexError::Full)?;
        if self.next.checked_rem(PART) == Some(0) {
            self.end_part()?;
        }
        Ok(true)
    }

    fn note(&mut self, path: &str, value: &str, n: u32) {
        if self.unindexed.contains(path) {
            return;
        }
        if !self.paths.contains_key(path) {
            self.paths.insert(path.to_owned(), Values::new());
        }
        let Some(values) = self.paths.get_mut(path) else {
            return;
        };
        if let Some(records) = values.get_mut(value) {
            records.insert(n);
        } else if values.len() >= MAX_VALUES {
            self.paths.remove(path);
            self.unindexed.insert(path.to_owned());
        } else {
            values.insert(value.to_owned(), RoaringBitmap::from_iter([n]));
        }
    }

    fn end_part(&mut self) -> Result<()> {
        let mut insert = self
            .database
            .prepare_cached("INSERT INTO members VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut bytes = Vec::new();
        for (path, values) in self.paths.drain() {
            for (value, records) in values {
                bytes.clear();
                records.serialize_into(&mut bytes)?;
                let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
                insert.execute(params![path, value, self.part, count, bytes])?;
            }
        }
        self.part = self.part.saturating_add(1);
        Ok(())
    }

    /// Completes the index. Returns the number of its records.
    pub(super) fn finish(mut self) -> Result<u32> {
        self.end_part()?;
        for path in &self.unindexed {
            self.database
                .prepare_cached("DELETE FROM members WHERE path = ?1")?
                .execute([path])?;
            self.database
                .prepare_cached("INSERT INTO unindexed VALUES (?1)")?
                .execute([path])?;
        }
        self.database.execute_batch(
            "COMMIT; CREATE INDEX by_time ON records (ts); CREATE INDEX by_request ON records (request_id);",
        )?;
        self.database.close().map_err(|(_, error)| error)?;
        Ok(self.next)
    }
}

/// The path of the hours in which records are.
const TIME: &str = "ts";

/// `2026-11-22T09`
fn hour(time: &str) -> &str {
    time.get(..13).unwrap_or(time)
}

/// A finished index.
pub(super) struct Index {
    database: Connection,
    unindexed: HashSet<String>,
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

    pub(super) fn open(file: &str) -> Result<Index> {
        let database = Connection::open_with_flags(
            file,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        let pragma = |name: &str| database.pragma_query_value(None, name, |row| row.get(0));
        let (application, version): (i64, i64) =
            (pragma("application_id")?, pragma("user_version")?);
        if (application, version) != (APPLICATION, VERSION) {
            return Err(IndexError::Foreign);
        }
        database.pragma_update(None, "mmap_size", 1_i64 << 40)?;
        let mut paths = database.prepare("SELECT path FROM unindexed")?;
        let unindexed = paths
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        drop(paths);
        Ok(Index {
            database,
            unindexed,
        })
    }

    /// The newest records that are meant, at most `limit`.
    pub(super) fn newest(&self, filter: &Filter, limit: usize) -> Result<Found> {
        let candidates = self.candidates(filter)?;
        let mut found = Found::default();
        let is_rest = !candidates.rest.conditions.is_empty();
        let mut line_of = self.line_of()?;
        let mut take = |n: u32| -> Result<ControlFlow<()>> {
            let line: String = line_of.query_row([n], |row| row.get(0))?;
            if !is_rest || matches!(candidates.rest.accepts(line.as_bytes()), Reading::Meant(_)) {
                found.lines.push(line);
            }
            Ok(match found.lines.len() >= limit {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        };
        let total = match &candidates.records {
            Some(records) => records.len(),
            None => self.count()?,
        };
        let mut is_ended = true;
        if let Some(records) = candidates
            .records
            .as_ref()
            .filter(|records| records.len() <= FEW)
        {
            for n in self.by_time(records)? {
                if take(n)?.is_break() {
                    is_ended = false;
                    break;
                }
            }
        } else {
            let mut newest = self.database.prepare(
                "SELECT n FROM records WHERE ts >= ?1 AND ts < ?2 ORDER BY ts DESC, n DESC",
            )?;
            let range = (
                filter.since.as_deref().unwrap_or_default(),
                filter.until.as_deref().unwrap_or(END),
            );
            let mut rows = newest.query(range)?;
            while let Some(row) = rows.next()? {
                let n: u32 = row.get(0)?;
                let is_meant = candidates
                    .records
                    .as_ref()
                    .is_none_or(|records| records.contains(n));
                if is_meant && take(n)?.is_break() {
                    is_ended = false;
                    break;
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
        let mut take = |line: &str| {
            let rest = &candidates.rest;
            let is_meant = rest.conditions.is_empty()
                || matches!(rest.accepts(line.as_bytes()), Reading::Meant(_));
            match is_meant {
                true => take(line),
                false => ControlFlow::Continue(()),
            }
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

    fn count(&self) -> Result<u64> {
        let last: Option<u32> =
            self.database
                .query_row("SELECT max(n) FROM records", [], |row| row.get(0))?;
        Ok(last.map_or(0, |last| u64::from(last).saturating_add(1)))
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
            } else if condition.path == TIME || self.is_unindexed(condition) {
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

    /// Whether the condition is on a path that has no bitmaps, or on one above it.
    fn is_unindexed(&self, condition: &Condition) -> bool {
        self.unindexed.iter().any(|path| condition.is_about(path))
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
        if let Some(values) = condition.exact() {
            let mut find = self
                .database
                .prepare("SELECT records FROM members WHERE path = ?1 AND value = ?2")?;
            for value in values {
                let mut rows = find.query([&condition.path, value])?;
                while let Some(row) = rows.next()? {
                    records |= bitmap(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
                }
            }
        } else {
            // A path above others, as `findings`, has them between `findings.` and `findings/`.
            let mut find = self.database.prepare(
                "SELECT path, value, records FROM members WHERE path = ?1 OR (path > ?1 || '.' AND path < ?1 || '/')",
            )?;
            let mut rows = find.query([&condition.path])?;
            while let Some(row) = rows.next()? {
                let path = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
                let value = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
                if condition.is_about(path) && condition.accepts(value) {
                    records |= bitmap(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
                }
            }
        }
        if condition.test == Test::IsNot {
            let mut others = RoaringBitmap::new();
            let count = u32::try_from(self.count()?).unwrap_or(u32::MAX);
            others.insert_range(0..count);
            // All of them are among the others, so that this takes them out.
            others ^= records;
            return Ok(others);
        }
        Ok(records)
    }

    /// The records of a time range: whole hours by their bitmaps, the hours at its ends by their times.
    fn of_times(&self, filter: &Filter) -> Result<RoaringBitmap> {
        let mut records = RoaringBitmap::new();
        let since = filter.since.as_deref().unwrap_or_default();
        let until = filter.until.as_deref().unwrap_or(END);
        let mut hours = self.database.prepare(
            "SELECT value, records FROM members WHERE path = ?1 AND value >= ?2 AND value <= ?3",
        )?;
        let mut rows = hours.query([TIME, hour(since), hour(until)])?;
        let mut edges = HashSet::new();
        while let Some(row) = rows.next()? {
            let value = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            if value == hour(since) || value == hour(until) {
                edges.insert(value.to_owned());
            } else {
                records |= bitmap(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
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

fn bitmap(bytes: &[u8]) -> Result<RoaringBitmap> {
    Ok(RoaringBitmap::deserialize_from(bytes)?)
}

fn text_of<'r>(row: &'r rusqlite::Row<'_>) -> Result<&'r str> {
    Ok(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)
}
