//! Operators `sql_verb_in`, `sql_table_in`, `sql_limit_greater_than`: test what SQL does, from its tokens.
//!
//! A text is read as each of five families of servers reads it (standard and PostgreSQL, MySQL, SQL Server, BigQuery,
//! Snowflake), and every reading counts: a word that one of them takes for a comment is a statement to another. A text that
//! all of them read alike is read once. Each verb, table and statement is a separate value.
//!
//! - Verbs: the word of each statement, of queries and changes inside it (`WITH … AS (DELETE …)`), and what a clause
//!   implies: `SELECT … INTO` creates and inserts, `FOR UPDATE` locks, `COPY … PROGRAM` executes, `INSERT OR REPLACE` and
//!   `INSERT OVERWRITE` replace. `"select *"` in a list means a query of all columns. A verb that does the same as a listed
//!   one ([`ALSO_DOES`]) is unreadable. A verb that runs something outside of the text (`CALL`, `EXECUTE`, a word that
//!   begins no known statement) matches if it is listed itself, and otherwise is unreadable.
//! - Tables: a listed name is compared with all parts of a name in the text, ignoring case. If one of the two has more
//!   parts than the other (`users`, `hr.users`), they may be the same table: that is unreadable. So is a name with dots
//!   inside its quotes (`` `project.dataset.users` ``), which is one name or several, and so is a function or another
//!   server's table (`users@link`) with a listed name. Names that `WITH` defines are not tables.
//! - Limits: each statement that returns or changes rows, by its outermost `LIMIT`, `TOP` or `FETCH FIRST`. A query of
//!   aggregates without `GROUP BY` returns one row. Any other without a limit is larger than any number. An expression or a
//!   placeholder is unreadable.
//!
//! Unreadable are open quotes and comments, comments that MySQL runs, and texts longer than [`MAX_BYTES`]. Out of scope is
//! what views, triggers, routines and functions with side effects do.

mod rows;
mod statement;
mod summary;
mod token;
mod words;

use super::{OperandError, TestResult};
use crate::wire::letter_case;
use crate::wire::sorted_map::SortedSet;
use crate::wire::work;
use rows::Rows;
use statement::{SqlFindings, TableRef};
use token::{Dialect, is_read_alike, tokens};
use words::{ALSO_DOES, OPAQUE_VERBS, OTHER_VERBS, RESERVED_VERBS};

/// Maximum bytes of a text.
const MAX_BYTES: usize = 256 << 10;

/// Work steps for each byte of a text for each further family of servers.
const READ_AGAIN: usize = 40;

/// Work steps for comparing a table with an entry.
const COMPARED: usize = 32;

/// Test of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SqlQuestion {
    /// Whether each verb is one of these.
    Verbs(SortedSet<Box<str>>),
    /// Whether each table is one of these, given by the parts of their names.
    Tables(Vec<Vec<Box<str>>>),
    /// Whether each statement may return more rows.
    MoreRowsThan(u64),
}

/// Entry in a list of verbs for a query of all columns.
const SELECT_ALL: &str = "select *";

impl SqlQuestion {
    /// Parses a list of verbs.
    pub(crate) fn verbs(entries: &[Box<str>]) -> Result<SqlQuestion, OperandError> {
        let mut verbs = SortedSet::new();
        for (at, entry) in entries.iter().enumerate() {
            let lower = letter_case::lower(entry);
            let verb = match &*lower {
                "exec" => "execute",
                "desc" => "describe",
                other => other,
            };
            let is_known = RESERVED_VERBS.contains(&verb) || OTHER_VERBS.contains(&verb);
            if !is_known && verb != SELECT_ALL {
                let known = [RESERVED_VERBS.as_slice(), &OTHER_VERBS].concat();
                let help = match crate::diag::nearest(verb, &known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write the first word of a statement: `select`, `insert`, `drop`, …, or `select *`".to_owned(),
                };
                return Err(OperandError::new(
                    at,
                    format!("`{entry}` begins no statement of SQL"),
                    help,
                ));
            }
            verbs.insert(verb.into());
        }
        Ok(SqlQuestion::Verbs(verbs))
    }

    /// Parses a list of tables.
    pub(crate) fn tables(entries: &[Box<str>]) -> Result<SqlQuestion, OperandError> {
        let mut tables = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let parts: Vec<Box<str>> = entry
                .split('.')
                .map(|part| {
                    let name = part.trim().trim_matches(['"', '`', '[', ']']);
                    letter_case::lower(name).into()
                })
                .collect();
            let fits = |part: &str| {
                !part.is_empty() && !part.contains(['*', '?', ',', ';', '(', ')', '"', '\''])
            };
            if !parts.iter().all(|part| fits(part)) {
                return Err(OperandError::new(
                    at,
                    format!("`{entry}` is no name of a table"),
                    "write `users` or `hr.users`; globs are not read here",
                ));
            }
            tables.push(parts);
        }
        Ok(SqlQuestion::Tables(tables))
    }

    /// Evaluates each verb, table or statement of a text.
    pub(crate) fn evaluate(&self, text: &str, report: &mut dyn FnMut(TestResult)) {
        if text.len() > MAX_BYTES {
            return report(TestResult::Unreadable);
        }
        let mut seen: Vec<SqlFindings> = Vec::with_capacity(Dialect::ALL.len());
        let readings = match is_read_alike(text) {
            true => 1,
            false => Dialect::ALL.len(),
        };
        let dialects = Dialect::ALL.into_iter().take(readings);
        let dialects = dialects.filter(|dialect| readings == 1 || dialect.differs(text));
        for (number, dialect) in dialects.enumerate() {
            if number > 0 {
                work::spend(text.len().saturating_mul(READ_AGAIN));
            }
            if work::is_exhausted() {
                return report(TestResult::Unreadable);
            }
            let tokens = tokens(text, dialect);
            if dialect == Dialect::BigQuery && tokens.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            match tokens.and_then(|tokens| statement::read(&tokens)) {
                None => report(TestResult::Unreadable),
                Some(findings) if seen.contains(&findings) => {}
                Some(findings) => {
                    self.answer(&findings, report);
                    seen.push(findings);
                }
            }
        }
    }

    fn answer(&self, findings: &SqlFindings, report: &mut dyn FnMut(TestResult)) {
        match self {
            SqlQuestion::Verbs(verbs) => {
                for verb in &findings.verbs {
                    let is_listed = verbs.contains(&*verb.word)
                        || (verb.selects_all && verbs.contains(SELECT_ALL));
                    let may_be_listed = verb.is_unknown
                        || OPAQUE_VERBS.contains(&&*verb.word)
                        || also_does(&verb.word).any(|other| verbs.contains(other));
                    report(match (is_listed, may_be_listed) {
                        (true, _) => TestResult::Holds,
                        (false, true) => TestResult::Unreadable,
                        (false, false) => TestResult::Fails,
                    });
                }
            }
            SqlQuestion::Tables(tables) => {
                if findings.is_opaque {
                    report(TestResult::Unreadable);
                }
                for table in &findings.tables {
                    work::spend(tables.len().saturating_mul(COMPARED));
                    if work::is_exhausted() {
                        return report(TestResult::Unreadable);
                    }
                    report(compare(table, tables));
                }
                if findings.tables.is_empty() {
                    report(TestResult::Fails);
                }
            }
            SqlQuestion::MoreRowsThan(most) => {
                for rows in &findings.rows {
                    report(match rows {
                        Rows::Most(rows) => (rows > most).into(),
                        Rows::All => TestResult::Holds,
                        Rows::Unknown => TestResult::Unreadable,
                    });
                }
                if findings.rows.is_empty() {
                    report(TestResult::Fails);
                }
            }
        }
    }
}

/// Returns the other verbs whose effects a verb has, too.
fn also_does(verb: &str) -> impl Iterator<Item = &'static str> {
    let of_verb = ALSO_DOES.iter().filter(move |(word, _)| *word == verb);
    of_verb.flat_map(|(_, others)| others.iter().copied())
}

fn compare(table: &TableRef, listed: &[Vec<Box<str>>]) -> TestResult {
    let name: Vec<&str> = table.parts.iter().map(String::as_str).collect();
    let mut all = if table.is_function {
        TestResult::Unreadable
    } else {
        TestResult::Fails
    };
    // BigQuery writes a whole path in one pair of quotes; to others it is a name with dots.
    let inner = name.iter().flat_map(|part| part.split('.'));
    let split: Vec<&str> = inner
        .map(|part| part.trim().trim_matches(['"', '`', '[', ']']))
        .collect();
    for entry in listed {
        let entry: Vec<&str> = entry.iter().map(|part| &**part).collect();
        if entry == name && !table.is_function {
            return TestResult::Holds;
        }
        let may_be =
            |name: &[&str]| !name.is_empty() && (entry.ends_with(name) || name.ends_with(&entry));
        if may_be(&name) || may_be(&split) {
            all = TestResult::Unreadable;
        }
    }
    all
}

#[cfg(test)]
mod tests;
