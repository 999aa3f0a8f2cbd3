//! Writer of an index of audit records, which creates an index or adds to one.

use super::column::Column;
use super::index::{APPLICATION, IndexError, LINES_ONLY, TIME, VERSION, hour};
use super::indexed_files::{IndexedFile, Mark};
use super::members::visit;
use super::trigram::{self, Trigrams};
use crate::audit::is_time;
use roaring::RoaringBitmap;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

/// Number of records whose bitmaps are in memory before they are written.
const PART: u32 = 1 << 20;

/// Number of records whose column values are in memory before they are written.
const CHUNK: u32 = 1 << 14;

/// Maximum values of a path in a part. A path with more values is a column.
const MAX_VALUES: usize = 20_000;

/// Maximum paths with bitmaps in a part.
const MAX_PATHS: usize = 4_096;

/// Maximum wait for another process that uses the index.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Members that differ in nearly every record.
const COLUMNS: &[&str] = &[
    "request_id",
    "chain.seq",
    "chain.prev",
    "chain.mac",
    "traceparent",
    "timing.inspect_us",
    "timing.held_us",
];

type Result<T> = std::result::Result<T, IndexError>;

/// Values of a path, with the records of the part that have them.
type Values = HashMap<String, RoaringBitmap>;

/// Result of adding a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// The line is a record, and was added.
    Record,
    /// The `ts` of the record is this text, which is not a timestamp. The record was not added, because the index is sorted
    /// by time.
    Timeless(String),
    /// The line is no record.
    NoRecord,
}

/// Writer of an index.
pub(super) struct IndexWriter {
    database: Connection,
    paths: HashMap<String, Values>,
    columns: HashMap<String, Column>,
    trigrams: Trigrams,
    /// Number of the part, and its first record.
    part: u32,
    first: u32,
    next: u32,
}

impl IndexWriter {
    /// Creates an index in a file that does not exist yet.
    pub(super) fn create(file: &Path) -> Result<IndexWriter> {
        let database = Connection::open(file)?;
        // The file is renamed when it is complete, so a crash leaves nothing that looks like an index.
        database.execute_batch(&format!(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};
             BEGIN;
             CREATE TABLE records (n INTEGER PRIMARY KEY, ts TEXT NOT NULL, request_id TEXT, line TEXT NOT NULL);
             CREATE TABLE parts (part INTEGER PRIMARY KEY, first INTEGER NOT NULL, records INTEGER NOT NULL, trigrams INTEGER NOT NULL);
             CREATE TABLE members (part INTEGER NOT NULL, path TEXT NOT NULL, value TEXT NOT NULL, records BLOB NOT NULL,
                                   PRIMARY KEY (part, path, value)) WITHOUT ROWID;
             CREATE TABLE trigrams (part INTEGER NOT NULL, bucket INTEGER NOT NULL, records BLOB NOT NULL,
                                    PRIMARY KEY (part, bucket)) WITHOUT ROWID;
             CREATE TABLE columns (path TEXT NOT NULL, first INTEGER NOT NULL, entries BLOB NOT NULL,
                                   PRIMARY KEY (path, first)) WITHOUT ROWID;
             CREATE TABLE files (id INTEGER PRIMARY KEY, name TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL,
                                 size INTEGER NOT NULL, modified INTEGER NOT NULL, offset INTEGER NOT NULL,
                                 lines INTEGER NOT NULL, head BLOB NOT NULL, tail INTEGER NOT NULL, last BLOB NOT NULL,
                                 digest BLOB NOT NULL);
             CREATE TABLE ranges (first INTEGER PRIMARY KEY, behind INTEGER NOT NULL, file INTEGER NOT NULL);"
        ))?;
        Ok(IndexWriter::new(database, 0, 0))
    }

    /// Opens an existing index. All changes take effect at once, in `finish`.
    pub(super) fn append(file: &Path) -> Result<IndexWriter> {
        let database = open(file)?;
        database.execute_batch(
            "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536; BEGIN IMMEDIATE;",
        )?;
        let number = |query: &str| -> Result<u32> {
            let number = database.query_row(query, [], |row| row.get::<_, Option<u32>>(0))?;
            number.map_or(Ok(0), |last| last.checked_add(1).ok_or(IndexError::Full))
        };
        let part = number("SELECT max(part) FROM parts")?;
        let next = number("SELECT max(n) FROM records")?;
        Ok(IndexWriter::new(database, part, next))
    }

    fn new(database: Connection, part: u32, next: u32) -> IndexWriter {
        let mut writer = IndexWriter {
            database,
            paths: HashMap::new(),
            columns: HashMap::new(),
            trigrams: Trigrams::default(),
            part,
            first: next,
            next,
        };
        writer.begin_part();
        writer
    }

    fn begin_part(&mut self) {
        let columns = COLUMNS.iter();
        self.columns = columns
            .map(|path| ((*path).to_owned(), Column::default()))
            .collect();
        self.first = self.next;
    }

    /// Adds a line, if it is a record.
    pub(super) fn add(&mut self, line: &[u8]) -> Result<Added> {
        let Ok(text) = std::str::from_utf8(line) else {
            return Ok(Added::NoRecord);
        };
        let (mut time, mut request) = (None, None);
        let is_read = visit(line, &mut |path, value| match path {
            TIME => time = Some(value.to_owned()),
            "request_id" => request = Some(value.to_owned()),
            _ => {}
        });
        let (Some(()), Some(time)) = (is_read, time) else {
            return Ok(Added::NoRecord);
        };
        if !is_time(&time) {
            return Ok(Added::Timeless(time));
        }
        let n = self.next;
        self.next = n.checked_add(1).ok_or(IndexError::Full)?;
        self.database
            .prepare_cached("INSERT INTO records VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![n, time, request, text])?;
        // The hour is a member too: it serves most of a time range.
        self.note(TIME, hour(&time), n);
        visit(line, &mut |path, value| {
            if LINES_ONLY.contains(&path) {
                self.trigrams.add(n, value);
                // The member's presence is indexed, not its text.
                self.note(path, "", n);
            } else if path != TIME {
                self.note(path, value, n);
            }
        });
        let size = self.next.saturating_sub(self.first);
        if size >= PART || self.trigrams.entries() >= trigram::MAX_ENTRIES {
            self.end_part()?;
        } else if size.checked_rem(CHUNK) == Some(0) {
            self.write_columns()?;
        }
        Ok(Added::Record)
    }

    fn note(&mut self, path: &str, value: &str, n: u32) {
        if let Some(column) = self.columns.get_mut(path) {
            return column.push(n, value);
        }
        let Some(values) = self.paths.get_mut(path) else {
            if self.paths.len() < MAX_PATHS {
                let values = Values::from([(value.to_owned(), RoaringBitmap::from_iter([n]))]);
                self.paths.insert(path.to_owned(), values);
            } else {
                let column = self.columns.entry(path.to_owned()).or_default();
                column.push(n, value);
            }
            return;
        };
        if let Some(records) = values.get_mut(value) {
            records.insert(n);
        } else {
            values.insert(value.to_owned(), RoaringBitmap::from_iter([n]));
            if values.len() > MAX_VALUES && path != TIME {
                self.turn_into_column(path);
            }
        }
    }

    /// Turns the values of a path into a column for the rest of the part.
    fn turn_into_column(&mut self, path: &str) {
        let values = self.paths.remove(path).unwrap_or_default();
        let mut entries: Vec<(u32, &str)> = Vec::new();
        for (value, records) in &values {
            entries.extend(records.iter().map(|n| (n, value.as_str())));
        }
        entries.sort_unstable();
        let column = self.columns.entry(path.to_owned()).or_default();
        for (n, value) in entries {
            column.push(n, value);
        }
    }

    fn write_columns(&mut self) -> Result<()> {
        let mut insert = self
            .database
            .prepare_cached("INSERT INTO columns VALUES (?1, ?2, ?3)")?;
        for (path, column) in &mut self.columns {
            if let Some((first, entries)) = column.take() {
                insert.execute(params![path, first, entries])?;
            }
        }
        Ok(())
    }

    fn end_part(&mut self) -> Result<()> {
        self.write_columns()?;
        let size = self.next.saturating_sub(self.first);
        let mut insert = self
            .database
            .prepare_cached("INSERT INTO members VALUES (?1, ?2, ?3, ?4)")?;
        let mut bytes = Vec::new();
        for (path, values) in self.paths.drain() {
            for (value, mut records) in values {
                bytes.clear();
                records.optimize();
                records.serialize_into(&mut bytes)?;
                insert.execute(params![self.part, path, value, bytes])?;
            }
        }
        drop(insert);
        let mut insert = self
            .database
            .prepare_cached("INSERT INTO trigrams VALUES (?1, ?2, ?3)")?;
        let entries = self.trigrams.entries().cast_signed();
        for (bucket, mut records) in self.trigrams.take() {
            bytes.clear();
            records.optimize();
            records.serialize_into(&mut bytes)?;
            insert.execute(params![self.part, bucket, bytes])?;
        }
        drop(insert);
        if size > 0 {
            self.database
                .prepare_cached("INSERT INTO parts VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![self.part, self.first, size, entries])?;
            self.part = self.part.saturating_add(1);
        }
        self.begin_part();
        Ok(())
    }

    /// Takes back previous parts that are not larger than the current one, so that many small additions leave few parts.
    fn take_back_small_parts(&mut self) -> Result<()> {
        self.write_columns()?;
        while self.next > self.first {
            let mut find = self.database.prepare_cached(
                "SELECT part, first, records, trigrams FROM parts ORDER BY part DESC LIMIT 1",
            )?;
            let mut rows = find.query([])?;
            let Some(row) = rows.next()? else { break };
            let (part, first, size): (u32, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let entries = row.get::<_, i64>(3)?.cast_unsigned();
            drop(rows);
            drop(find);
            let mine = self.next.saturating_sub(self.first);
            let entries = entries.saturating_add(self.trigrams.entries());
            if size > mine || mine.saturating_add(size) > PART || entries > trigram::MAX_ENTRIES {
                break;
            }
            self.take_back(part)?;
            (self.part, self.first) = (part, first);
        }
        Ok(())
    }

    fn take_back(&mut self, part: u32) -> Result<()> {
        let mut find = self
            .database
            .prepare_cached("SELECT path, value, records FROM members WHERE part = ?1")?;
        let mut rows = find.query([part])?;
        while let Some(row) = rows.next()? {
            let (path, value): (String, String) = (row.get(0)?, row.get(1)?);
            let bytes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
            let records =
                RoaringBitmap::deserialize_from(bytes).map_err(|_| IndexError::Damaged)?;
            let values = self.paths.entry(path).or_default();
            *values.entry(value).or_default() |= records;
        }
        drop(rows);
        drop(find);
        let mut find = self
            .database
            .prepare_cached("SELECT bucket, records FROM trigrams WHERE part = ?1")?;
        let mut rows = find.query([part])?;
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let records =
                RoaringBitmap::deserialize_from(bytes).map_err(|_| IndexError::Damaged)?;
            self.trigrams.merge(row.get(0)?, records);
        }
        drop(rows);
        drop(find);
        for statement in [
            "DELETE FROM members WHERE part = ?1",
            "DELETE FROM trigrams WHERE part = ?1",
            "DELETE FROM parts WHERE part = ?1",
        ] {
            self.database.prepare_cached(statement)?.execute([part])?;
        }
        let is_full = |(path, values): (&String, &Values)| {
            (values.len() > MAX_VALUES && path != TIME).then(|| path.clone())
        };
        let full: Vec<String> = self.paths.iter().filter_map(is_full).collect();
        for path in full {
            self.turn_into_column(&path);
        }
        Ok(())
    }

    /// Returns the number of the next record.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// Stores the position up to which a file was read. The records since `first` are from this file.
    pub(super) fn read_file(&mut self, file: &IndexedFile, first: u32) -> Result<()> {
        let mark = &file.mark;
        self.database
            .prepare_cached(
                "INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                file.id,
                file.name,
                file.state.device.cast_signed(),
                file.state.inode.cast_signed(),
                file.state.size.cast_signed(),
                file.state.modified,
                mark.offset.cast_signed(),
                mark.lines.cast_signed(),
                mark.head,
                mark.tail.cast_signed(),
                mark.last,
                mark.digest
            ])?;
        self.add_range(file.id, first)
    }

    fn add_range(&mut self, file: i64, first: u32) -> Result<()> {
        if self.next > first {
            self.database
                .prepare_cached("INSERT INTO ranges VALUES (?1, ?2, ?3)")?
                .execute(params![first, self.next, file])?;
        }
        Ok(())
    }

    /// Copies the records of files from another index.
    pub(super) fn copy(&mut self, from: &Path, files: &[IndexedFile]) -> Result<()> {
        let kept: HashSet<i64> = files.iter().map(|file| file.id).collect();
        let old = open(from)?;
        let mut ranges = old.prepare("SELECT first, behind, file FROM ranges ORDER BY first")?;
        let ranges = ranges.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut lines =
            old.prepare("SELECT line FROM records WHERE n >= ?1 AND n < ?2 ORDER BY n")?;
        for range in ranges {
            let (first, behind, file): (u32, u32, i64) = range?;
            if !kept.contains(&file) {
                continue;
            }
            let start = self.next;
            let mut rows = lines.query([first, behind])?;
            while let Some(row) = rows.next()? {
                let line = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
                self.add(line.as_bytes())?;
            }
            self.add_range(file, start)?;
        }
        for file in files {
            self.read_file(file, self.next)?;
        }
        Ok(())
    }

    /// Completes the index. Returns the number of its records.
    pub(super) fn finish(mut self) -> Result<u32> {
        self.take_back_small_parts()?;
        self.end_part()?;
        self.database.execute_batch(
            "COMMIT; CREATE INDEX IF NOT EXISTS by_time ON records (ts);
             CREATE INDEX IF NOT EXISTS by_request ON records (request_id);",
        )?;
        // With WAL, readers keep their view while records are added.
        self.database
            .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        self.database.close().map_err(|(_, error)| error)?;
        Ok(self.next)
    }
}

/// Opens an index for writing.
fn open(file: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(file, flags)?;
    database.busy_timeout(BUSY_TIMEOUT)?;
    Ok(database)
}

/// Returns the files of an index, with the number of their records.
pub(super) fn indexed_files(file: &Path) -> Result<Vec<(IndexedFile, u64)>> {
    let mut database = open(file)?;
    let reading = database.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let mut files = reading.prepare(
        "SELECT id, name, device, inode, size, modified, offset, lines, head, tail, last, digest,
                (SELECT coalesce(sum(behind - first), 0) FROM ranges WHERE file = id) FROM files ORDER BY id",
    )?;
    let files = files.query_map([], |row| {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let file = IndexedFile {
            id: row.get(0)?,
            name: row.get(1)?,
            state: super::indexed_files::State {
                device: number(2)?,
                inode: number(3)?,
                size: number(4)?,
                modified: row.get(5)?,
            },
            mark: Mark {
                offset: number(6)?,
                lines: number(7)?,
                head: row.get(8)?,
                tail: number(9)?,
                last: row.get(10)?,
                digest: row.get(11)?,
            },
        };
        Ok((file, number(12)?))
    })?;
    Ok(files.collect::<rusqlite::Result<_>>()?)
}

/// Writes everything into the file itself, so that a file that replaces it is not combined with its log.
pub(super) fn settle(file: &Path) -> Result<()> {
    let database = open(file)?;
    let mode: String = database.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    match mode.as_str() {
        "delete" => Ok(()),
        _ => Err(IndexError::Busy),
    }
}
