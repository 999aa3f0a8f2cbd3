//! Index of audit records in SQLite.
//!
//! `records` has the lines. `members` has, for each path and value of the records of a part, the set of records that have
//! it, as a Roaring bitmap: a query intersects bitmaps and reads the few lines that remain. The values of a path with
//! very many of them, such as a digest, are in `columns`. `trigrams` has the records that can contain a text of
//! `content`. `files` has the position up to which each file was read, and `ranges` the records of each file.

use super::column::{self, Hints, Wanted};
use super::filter::{Condition, Filter, Reading, Test};
use super::source::Missing;
use super::{output, trigram};
use crate::diag::codes;
use roaring::RoaringBitmap;
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement};
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Version of the layout. An index of another version must be rebuilt.
pub(super) const VERSION: i64 = 3;

/// Application id of the file among SQLite databases: `AGix`.
pub(super) const APPLICATION: i64 = 0x4147_6978;

/// Members whose values are only in the lines, because they are as long as the texts of an exchange. Bitmaps contain
/// which records have them, and trigrams which records can contain a part of them.
pub(super) const LINES_ONLY: &[&str] = &[
    "content.request.text",
    "content.request.args",
    "content.response.text",
    "content.response.args",
];

/// Maximum candidates whose times are looked up one by one. With more, all records are read in the order of their times.
const MAX_SINGLE_LOOKUPS: u64 = 20_000;

/// Maximum wait for a process that is replacing the index.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Reason why an index can't be used.
#[derive(Debug)]
pub(super) enum IndexError {
    /// Error of SQLite.
    Database(rusqlite::Error),
    /// A file can't be written.
    File(std::io::Error),
    /// The file is the database of another program.
    Foreign,
    /// The index has another version.
    OtherVersion,
    /// The index is damaged.
    Damaged,
    /// Other processes read or write the index.
    Busy,
    /// There are too many records for one index.
    Full,
}

impl IndexError {
    /// Returns the code, unless it is that of a file that can't be read or written.
    pub(super) fn code(&self) -> Option<&'static str> {
        match self {
            IndexError::Foreign | IndexError::OtherVersion | IndexError::Damaged => {
                Some(codes::AG9013)
            }
            IndexError::Busy => Some(codes::AG9014),
            IndexError::Database(error) => match error.sqlite_error_code()? {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(codes::AG9014),
                ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => Some(codes::AG9013),
                _ => None,
            },
            IndexError::File(_) | IndexError::Full => None,
        }
    }
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

/// Path of the hours of records.
pub(super) const TIME: &str = "ts";

/// Returns the hour of a time: `2026-11-22T09`.
pub(super) fn hour(time: &str) -> &str {
    time.get(..13).unwrap_or(time)
}

/// Complete index.
pub(super) struct Index {
    database: Connection,
    parts: Vec<u32>,
}

/// Records that may match.
struct Candidates {
    /// Set of records; `None` for all.
    records: Option<RoaringBitmap>,
    /// Conditions that bitmaps can't evaluate.
    rest: Filter,
}

/// Result of a query.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Lines of the newest records, oldest first.
    pub(super) lines: Vec<String>,
    /// Number of all matching records; `None` if not all were read.
    pub(super) total: Option<u64>,
    /// What could not be read.
    pub(super) missing: Missing,
}

impl Index {
    /// Returns whether a file is an SQLite database.
    pub(super) fn is_database(file: &str) -> bool {
        // Bytes read from a pipe can't be read again.
        if !std::fs::metadata(file).is_ok_and(|file| file.is_file()) {
            return false;
        }
        let mut start = [0; 16];
        let read = std::fs::File::open(file)
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start));
        read.is_ok() && start == *b"SQLite format 3\0"
    }

    /// Opens an index. Records that others add later are not visible.
    pub(super) fn open(file: &str) -> Result<Index> {
        match Index::open_as(Path::new(file)) {
            // SQLite can't create files beside the index, so no process is writing it.
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
        database.busy_timeout(BUSY_TIMEOUT)?;
        let pragma = |name: &str| database.pragma_query_value(None, name, |row| row.get(0));
        let (application, version): (i64, i64) =
            (pragma("application_id")?, pragma("user_version")?);
        match (application, version) {
            (APPLICATION, VERSION) => {}
            (APPLICATION, _) => return Err(IndexError::OtherVersion),
            _ => return Err(IndexError::Foreign),
        }
        database.pragma_update(None, "mmap_size", 1_i64 << 40)?;
        // All statements of a query see the same state.
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

    /// Returns whether the index has no record.
    pub(super) fn is_empty(&self) -> Result<bool> {
        Ok(self.all()?.is_empty())
    }

    /// Returns the newest matching records, at most `limit`.
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

    /// Passes all matching records to the callback, in the order in which they were indexed.
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

    /// Returns records of an hour, newest first.
    fn newest_of(&self, hour: &str, records: &RoaringBitmap) -> Result<Vec<u32>> {
        if records.len() <= MAX_SINGLE_LOOKUPS {
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

    /// Returns a few records, newest first.
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
        let mut excluded = Vec::new();
        for condition in &filter.conditions {
            let is_text = LINES_ONLY.contains(&condition.path.as_str());
            if condition.path == "request_id"
                && let (Test::Is, Some(ids)) = (condition.test, condition.exact())
            {
                narrow(self.of_requests(ids)?);
            } else if condition.path == TIME {
                narrow(self.of_written_times(condition)?);
            } else if is_text && condition.test == Test::IsNot {
                excluded.push(condition.negated());
            } else if is_text && condition.test != Test::IsThere {
                narrow(self.of_text(condition)?);
                rest.conditions.push(condition.clone());
            } else {
                narrow(self.of_condition(condition)?);
            }
        }
        if filter.since.is_some() || filter.until.is_some() {
            narrow(self.of_times(filter)?);
        }
        for condition in excluded {
            let with_it = self.with_text(condition, records.as_ref())?;
            let mut others = match records.take() {
                Some(known) => known,
                None => self.all()?,
            };
            // `with_it` is a subset of `others`, so XOR removes it.
            others ^= with_it;
            records = Some(others);
        }
        Ok(Candidates { records, rest })
    }

    /// Returns the records in which a text of `content` can meet a condition.
    fn of_text(&self, condition: &Condition) -> Result<RoaringBitmap> {
        let with_text = self.of_condition(&Condition::is_there(&condition.path))?;
        if condition.test != Test::Is {
            return Ok(with_text);
        }
        let mut find = self.database.prepare(OF_BUCKET)?;
        let mut all = RoaringBitmap::new();
        for parts in condition.parts() {
            let wanted = trigram::wanted(parts);
            if wanted.is_empty() {
                return Ok(with_text);
            }
            for part in &self.parts {
                let mut of_part: Option<RoaringBitmap> = None;
                for bucket in &wanted {
                    let mut rows = find.query((part, bucket))?;
                    let records = match rows.next()? {
                        Some(row) => bitmap_of(row, 0)?,
                        None => RoaringBitmap::new(),
                    };
                    let left = match of_part.take() {
                        Some(known) => known & records,
                        None => records,
                    };
                    let is_found = left.is_empty();
                    of_part = Some(left);
                    if is_found {
                        break;
                    }
                }
                all |= of_part.unwrap_or_default();
            }
        }
        Ok(all & with_text)
    }

    /// Returns the records, among some or all, with a text that meets a condition.
    fn with_text(
        &self,
        condition: Condition,
        among: Option<&RoaringBitmap>,
    ) -> Result<RoaringBitmap> {
        let mut candidates = self.of_text(&condition)?;
        if let Some(among) = among {
            candidates &= among;
        }
        let filter = Filter {
            conditions: vec![condition],
            ..Filter::default()
        };
        let mut line_of = self.line_of()?;
        let mut found = RoaringBitmap::new();
        for n in candidates {
            let mut rows = line_of.query([n])?;
            if let Some(row) = rows.next()?
                && is_meant(&filter, text_of(row)?)
            {
                found.insert(n);
            }
        }
        Ok(found)
    }

    /// Returns the records whose time meets a condition on its text, such as `ts=2026-11-2*`.
    fn of_written_times(&self, condition: &Condition) -> Result<RoaringBitmap> {
        if condition.test == Test::IsThere {
            return self.all();
        }
        let mut find = self.database.prepare(BY_TIME)?;
        let mut records = RoaringBitmap::new();
        for start in condition.starts() {
            let mut rows = find.query((start, format!("{start}{END}")))?;
            while let Some(row) = rows.next()? {
                if condition.accepts(text_of(row)?) {
                    records.insert(row.get(1)?);
                }
            }
        }
        if condition.test == Test::IsNot {
            let mut others = self.all()?;
            // `records` is a subset of `others`, so XOR removes it.
            others ^= records;
            return Ok(others);
        }
        Ok(records)
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
            // `records` is a subset of `others`, so XOR removes it.
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
            None => Wanted::Meant(Hints::of(condition.glob()), &is_meant),
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

    /// Returns the records of each hour in a range.
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

    /// Returns the records of a time range: whole hours by their bitmaps, the hours at its ends by their times.
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

/// Query of the records of a bucket of trigrams.
const OF_BUCKET: &str = "SELECT records FROM trigrams WHERE part = ?1 AND bucket = ?2";

/// Query of the times of a range, and their records.
const BY_TIME: &str = "SELECT ts, n FROM records WHERE ts >= ?1 AND ts < ?2";

/// Text that sorts after every time.
const END: &str = "~";

/// Returns the ranges of paths that a condition applies to. The paths below `findings` are between `findings.` and
/// `findings/`.
fn ranges_of(condition: &Condition) -> Vec<(String, String)> {
    let path = &condition.path;
    let mut ranges = vec![(path.clone(), format!("{path}\0"))];
    if condition.test == Test::IsThere {
        ranges.push((format!("{path}."), format!("{path}/")));
    }
    ranges
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

/// Returns the URI of a file that SQLite treats as immutable: it then needs no files beside it.
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

/// Returns the text in the first column.
fn text_of<'r>(row: &'r rusqlite::Row<'_>) -> Result<&'r str> {
    Ok(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::super::filter::read_condition;
    use super::super::index_writer::{Added, IndexWriter};
    use super::*;

    /// Pseudo-random numbers that are the same in each run (xorshift).
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            for shift in [13, 7, 17] {
                self.0 ^= match shift {
                    7 => self.0 >> shift,
                    _ => self.0 << shift,
                };
            }
            self.0 % end
        }

        fn of<'w>(&mut self, words: &[&'w str]) -> &'w str {
            words[usize::try_from(self.below(words.len() as u64)).unwrap()]
        }
    }

    const WORDS: &[&str] = &[
        "order", "refund", "Jane", "naïve", "♥♥", "a\"b", "x\ny", "4711", "4712", "ab", "",
        "[EMAIL]", "\u{202e}",
    ];

    fn text(random: &mut Random) -> String {
        let words = (0..random.below(5)).map(|_| random.of(WORDS));
        words.collect::<Vec<_>>().join(" ")
    }

    fn record(n: u64, random: &mut Random) -> String {
        let id = random.below(u64::MAX);
        let mut record = serde_json::json!({
            "v": 1,
            "ts": format!("2026-11-{:02}T{:02}:00:00.000Z", 1 + n % 20, n % 24),
            "request_id": format!("{id:08x}-ec1d-7da0-a6eb-8c9ebd69fe29"),
            "chain": {"seq": n, "mac": format!("{id:064x}")},
            "decision": random.of(&["allow", "deny"]),
        });
        if random.below(3) > 0 {
            record["content"] = serde_json::json!({
                "form": "full",
                "request": [{"event": "message", "text": text(random)}, {"event": "message", "text": text(random)}],
            });
            if random.below(2) == 0 {
                record["content"]["response"] =
                    serde_json::json!([{"event": "tool_call", "args": text(random)}]);
            }
        }
        record.to_string()
    }

    /// Returns an index of these lines, written in several runs.
    fn index(folder: &tempfile::TempDir, lines: &[String]) -> Index {
        let file = folder.path().join("audit.db");
        for (run, lines) in lines.chunks(lines.len() / 5).enumerate() {
            let mut writer = match run {
                0 => IndexWriter::create(&file).unwrap(),
                _ => IndexWriter::append(&file).unwrap(),
            };
            for line in lines {
                assert_eq!(writer.add(line.as_bytes()).unwrap(), Added::Record);
            }
            writer.finish().unwrap();
        }
        Index::open(file.to_str().unwrap()).unwrap()
    }

    fn condition(random: &mut Random) -> String {
        let path = random.of(&[
            "content.request.text",
            "content.request.text",
            "content.response.args",
            "content.response.text",
            "content",
            "request_id",
            "chain.mac",
            "chain.seq",
            "ts",
            "decision",
        ]);
        let value = match path {
            "request_id" | "chain.mac" => format!("{:x}", random.below(4096)),
            "chain.seq" => random.below(400).to_string(),
            "ts" => format!("2026-11-{:02}", 1 + random.below(20)),
            "decision" => random.of(&["allow", "de", "y"]).to_owned(),
            _ => text(random),
        };
        let sign = random.of(&["=", "=", "=", "!=", ">"]);
        match (random.below(8), value.parse::<f64>()) {
            (0, _) => path.to_owned(),
            (1, _) => format!("{path}={value}"),
            (_, Err(_)) if sign == ">" => format!("{path}=*{value}"),
            (_, Ok(_)) if sign == ">" => format!("{path}>{value}"),
            (2, _) => format!("{path}{sign}{value}*"),
            (3, _) => format!("{path}{sign}*{value}"),
            (4, _) => format!("{path}{sign}{value}*{value}"),
            _ => format!("{path}{sign}*{value}*"),
        }
    }

    #[test]
    fn random_queries_find_what_a_scan_of_the_lines_finds() {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let lines: Vec<String> = (0..400).map(|n| record(n, &mut random)).collect();
        let index = index(&folder, &lines);
        let mut narrowed = 0;
        for _ in 0..800 {
            let texts: Vec<String> = (0..=random.below(2))
                .map(|_| condition(&mut random))
                .collect();
            let conditions = texts.iter().map(|text| read_condition(text).unwrap());
            let filter = Filter {
                conditions: conditions.collect(),
                ..Filter::default()
            };
            let is_meant =
                |line: &&String| matches!(filter.accepts(line.as_bytes()), Reading::Meant(_));
            let expected: Vec<&String> = lines.iter().filter(is_meant).collect();
            let mut found = Vec::new();
            index
                .each(&filter, &mut |line| {
                    found.push(line.to_owned());
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert!(found.iter().eq(expected.iter().copied()), "{texts:?}");
            let newest = index.newest(&filter, 7).unwrap();
            assert_eq!(newest.lines.len(), expected.len().min(7), "{texts:?}");
            narrowed += usize::from(!found.is_empty() && found.len() < 100);
        }
        assert!(narrowed > 100, "{narrowed}");
    }

    #[test]
    fn a_text_of_content_is_found_without_reading_the_lines() {
        let folder = tempfile::tempdir().unwrap();
        let line = |n: u64| {
            format!(
                r#"{{"ts":"2026-11-22T09:00:00.000Z","content":{{"form":"full","request":[{{"event":"message","text":"Refund order {n} of jane, please"}}]}}}}"#
            )
        };
        let lines: Vec<String> = (10_000..13_000).map(line).collect();
        let index = index(&folder, &lines);
        let candidates = |text: &str| {
            let filter = Filter {
                conditions: vec![read_condition(text).unwrap()],
                ..Filter::default()
            };
            index.candidates(&filter).unwrap()
        };
        for (condition, most) in [
            ("content.request.text=*order 12345 of*", 3),
            ("content.request.text=Refund*order 10007*", 3),
            ("content.request.text=*jahn*", 0),
            ("content.request.text!=*order 1*", 0),
            ("content.response.text=*order*", 0),
        ] {
            let records = candidates(condition).records.unwrap().len();
            assert!(records <= most, "{condition}: {records}");
        }
        let all = candidates("content.request.text=*, please");
        assert_eq!(all.records.unwrap().len(), 3_000);
        // No line is read to find whether a record has the text.
        for condition in ["content.request.text", "content.request.text!=*order 1*"] {
            assert!(candidates(condition).rest.conditions.is_empty());
        }
    }

    #[test]
    fn conditions_on_texts_and_times_search_and_never_scan() {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random(1);
        let lines: Vec<String> = (0..10).map(|n| record(n, &mut random)).collect();
        let index = index(&folder, &lines);
        let plan = |query: &str| -> String {
            let explain = format!("EXPLAIN QUERY PLAN {query}");
            let plan = index
                .database
                .query_row(&explain, ["1", "2"], |row| row.get(3));
            plan.unwrap()
        };
        assert_eq!(
            plan(OF_BUCKET),
            "SEARCH trigrams USING PRIMARY KEY (part=? AND bucket=?)"
        );
        assert_eq!(
            plan(BY_TIME),
            "SEARCH records USING COVERING INDEX by_time (ts>? AND ts<?)"
        );
    }
}
