//! Queries that return one row whatever they read: `SELECT count(id), max(price) FROM orders`.
//!
//! Without `GROUP BY`, a query whose columns consist of aggregates returns one row on every server. Only aggregates that
//! return a number or one value count: `string_agg` and similar ones put a whole table into their row. A query of values
//! that reads no table returns one row, too: `SELECT 1`, `SELECT version()`.

use super::statement::StatementReader;
use super::token::Token;

/// Aggregates that return one value of the size of a column's.
const AGGREGATES: [&str; 22] = [
    "any_value",
    "approx_count_distinct",
    "avg",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "count_big",
    "max",
    "median",
    "min",
    "percentile_cont",
    "percentile_disc",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "stdev",
    "sum",
    "var",
    "var_pop",
    "var_samp",
    "variance",
];

/// Functions of one row that are applied to aggregates.
const AROUND: [&str; 7] = [
    "abs", "ceil", "ceiling", "coalesce", "floor", "ifnull", "round",
];

/// Functions and words that return one value without a table.
const VALUES: [&str; 14] = [
    "current_database",
    "current_date",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "database",
    "getdate",
    "localtimestamp",
    "now",
    "sqlite_version",
    "today",
    "user",
    "version",
];

/// Maximum nesting of expressions.
const MAX_DEPTH: u8 = 8;

impl StatementReader<'_> {
    /// Returns whether the current `SELECT` returns one row, by its columns. A later `GROUP BY` changes that.
    pub(super) fn is_summary(&self) -> bool {
        let mut at = match self.word_at(1) {
            "all" | "distinct" => 2,
            _ => 1,
        };
        let mut sums = true;
        loop {
            let Some((next, sums_here)) = self.expression(at, 0) else {
                return false;
            };
            sums &= sums_here;
            at = self.behind_alias(next);
            match self.token(at) {
                None | Some(Token::Symbol(';')) => return true,
                Some(Token::Word(word)) if &**word == "from" => return sums,
                Some(Token::Symbol(',')) => at = at.saturating_add(1),
                _ => return false,
            }
        }
    }

    /// Skips an alias: `AS total`, `total`, `"total"`.
    fn behind_alias(&self, at: usize) -> usize {
        let name = match self.word_at(at) {
            "as" => at.saturating_add(1),
            "from" => return at,
            _ => at,
        };
        match self.token(name) {
            Some(Token::Word(_) | Token::Quoted(_)) => name.saturating_add(1),
            _ => at,
        }
    }

    /// Reads terms with arithmetic between them. Returns the position after them, and whether an aggregate is among them.
    fn expression(&self, mut at: usize, depth: u8) -> Option<(usize, bool)> {
        let mut sums = false;
        loop {
            let (next, sums_here) = self.term(at, depth)?;
            sums |= sums_here;
            match self.token(next) {
                Some(Token::Symbol('+' | '-' | '*' | '/' | '%')) => at = next.checked_add(1)?,
                _ => return Some((next, sums)),
            }
        }
    }

    fn term(&self, at: usize, depth: u8) -> Option<(usize, bool)> {
        let inner = at.checked_add(1)?;
        let opens = |at: usize| self.token(at).is_some_and(|token| token.is_symbol('('));
        match self.token(at)? {
            Token::Number(_) | Token::Text(_) => Some((inner, false)),
            Token::Word(name) if VALUES.contains(&&**name) => {
                let closes = |at: usize| self.token(at).is_some_and(|token| token.is_symbol(')'));
                match opens(inner) {
                    true => {
                        let close = inner.checked_add(1).filter(|close| closes(*close))?;
                        Some((close.checked_add(1)?, false))
                    }
                    false => Some((inner, false)),
                }
            }
            Token::Word(name) if AGGREGATES.contains(&&**name) && opens(inner) => {
                // SQLite's `max(a, b)` is a function of one row.
                let is_of_row = matches!(&**name, "max" | "min");
                let mut next = self.closed(inner, is_of_row)?;
                // For example `percentile_cont(0.5) WITHIN GROUP (ORDER BY price)`.
                if self.word_at(next) == "within" && opens(next.checked_add(2)?) {
                    next = self.closed(next.checked_add(2)?, false)?;
                }
                if self.word_at(next) == "filter" && opens(next.checked_add(1)?) {
                    next = self.closed(next.checked_add(1)?, false)?;
                }
                // `OVER` makes it a value for each row.
                (self.word_at(next) != "over").then_some((next, true))
            }
            Token::Word(name) if AROUND.contains(&&**name) && opens(inner) => {
                self.list(inner.checked_add(1)?, depth)
            }
            Token::Symbol('(') => self.list(inner, depth),
            _ => None,
        }
    }

    /// Reads expressions up to a closing bracket.
    fn list(&self, mut at: usize, depth: u8) -> Option<(usize, bool)> {
        let depth = depth.checked_add(1).filter(|depth| *depth < MAX_DEPTH)?;
        let mut sums = false;
        loop {
            let (next, sums_here) = self.expression(at, depth)?;
            sums |= sums_here;
            at = next.checked_add(1)?;
            match self.token(next)? {
                Token::Symbol(',') => {}
                Token::Symbol(')') => return Some((at, sums)),
                _ => return None,
            }
        }
    }

    /// Returns the position after the bracket that closes the one here. Queries inside, and a comma with `is_single`, are
    /// not supported.
    fn closed(&self, open: usize, is_single: bool) -> Option<usize> {
        let mut depth = 0_u32;
        let mut at = open;
        loop {
            match self.token(at)? {
                Token::Symbol('(') => depth = depth.saturating_add(1),
                Token::Symbol(')') => depth = depth.saturating_sub(1),
                Token::Symbol(',') if is_single && depth == 1 => return None,
                Token::Symbol(';') => return None,
                Token::Word(word) if matches!(&**word, "select" | "table" | "values") => {
                    return None;
                }
                _ => {}
            }
            at = at.checked_add(1)?;
            if depth == 0 {
                return Some(at);
            }
        }
    }
}
