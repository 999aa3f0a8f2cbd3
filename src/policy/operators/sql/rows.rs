//! Number of rows that a statement may return: `LIMIT`, `TOP`, `FETCH FIRST` of its outermost query.

use super::statement::StatementReader;
use super::token::Token;
use super::words::RESERVED_VERBS;

/// Maximum number of rows that a statement returns or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    Most(u64),
    All,
    /// Unknown: an expression or a placeholder.
    Unknown,
}

impl StatementReader<'_> {
    /// Stores the limit of the rows up to here. What follows has a limit of its own.
    pub(super) fn end_rows(&mut self) {
        self.end_branch();
        let statement = &mut self.statement;
        if statement.gives_rows {
            let tops = std::mem::take(&mut statement.tops);
            let bounded = u32::try_from(tops.len()).is_ok_and(|count| count >= statement.branches);
            let rows = match statement.limit {
                Some(limit) => limit,
                // Each part of a union has its own limit.
                None if bounded && !tops.is_empty() => tops.into_iter().fold(Rows::Most(0), plus),
                None => Rows::All,
            };
            self.findings.rows.push(rows);
        }
        self.statement.gives_rows = false;
        self.statement.branches = 0;
        self.statement.limit = None;
        self.statement.tops.clear();
    }

    /// Ends one of the queries that `UNION` joins.
    pub(super) fn end_branch(&mut self) {
        if std::mem::take(&mut self.statement.is_summary) {
            self.statement.tops.push(Rows::Most(1));
        }
    }

    /// Reads a limit of the outermost query: `LIMIT`, `FETCH FIRST`, `TOP`. Returns the number of tokens.
    pub(super) fn bound(&mut self, word: &str) -> Option<usize> {
        match word {
            "top"
                if matches!(
                    self.word_before(1),
                    "select" | "distinct" | "all" | "update" | "delete" | "insert" | "merge"
                ) =>
            {
                let (rows, length) = self.top();
                if self.is_outermost() && self.word_before(1) != "insert" {
                    self.statement.tops.push(rows);
                }
                if self.token(length).is_some_and(|token| token.is_symbol('*'))
                    && let Some(at) = self.frames.last().and_then(|frame| frame.columns_of)
                {
                    self.selects_all(at);
                }
                return Some(length);
            }
            "limit" if self.is_outermost() => {
                let rows = self.limit();
                self.set_limit(rows);
            }
            "fetch" if self.is_outermost() && matches!(self.word_at(1), "first" | "next") => {
                let rows = self.fetch();
                self.set_limit(rows);
            }
            // A grouped query returns a row for each group; `WITHIN GROUP` belongs to an aggregate.
            "group" => {
                if self.is_outermost() && self.word_before(1) != "within" {
                    self.statement.is_summary = false;
                }
            }
            "union" | "except" | "intersect" | "minus" => {
                // A limit before it applies only to the part before.
                if self.is_outermost() {
                    self.statement.joined = true;
                }
            }
            _ => return None,
        }
        self.name_or_end(word);
        Some(1)
    }

    fn set_limit(&mut self, rows: Rows) {
        let limit = &mut self.statement.limit;
        // There are two limits: no server takes that, or one of them belongs to something else.
        *limit = Some(limit.map_or(rows, |_| Rows::Unknown));
    }

    /// Reads a number that is alone.
    fn amount(&self, ahead: usize) -> Rows {
        match self.token(ahead) {
            Some(Token::Number(digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Rows::Most(digits.parse().unwrap_or(u64::MAX))
            }
            Some(Token::Word(word)) if matches!(&**word, "all" | "null") => Rows::All,
            _ => Rows::Unknown,
        }
    }

    /// Reads `LIMIT 10`, `LIMIT 5, 10` or `LIMIT 10 OFFSET 5`.
    fn limit(&self) -> Rows {
        let mut rows = self.amount(1);
        let mut next = 2usize;
        if self.token(next).is_some_and(|token| token.is_symbol(',')) {
            rows = match (rows, self.amount(3)) {
                (Rows::Most(_), rows) => rows,
                _ => Rows::Unknown,
            };
            next = 4;
        }
        // Any other continuation (`+ 1000`, `BY`, `PERCENT`) changes the number.
        let ends = match self.token(next) {
            None | Some(Token::Symbol(';')) => true,
            Some(Token::Word(word)) => {
                matches!(&**word, "offset" | "for" | "lock" | "into" | "returning")
                    || RESERVED_VERBS.contains(&&**word)
            }
            _ => false,
        };
        if ends { rows } else { Rows::Unknown }
    }

    /// Reads `FETCH FIRST [n] ROWS ONLY`.
    fn fetch(&self) -> Rows {
        let (rows, next) = match self.token(2) {
            Some(Token::Word(word)) if matches!(&**word, "row" | "rows") => (Rows::Most(1), 2),
            Some(Token::Symbol('(')) => (self.amount(3), 5),
            _ => (self.amount(2), 3),
        };
        let is_plain = matches!(self.word_at(next), "row" | "rows")
            && next
                .checked_add(1)
                .is_some_and(|next| self.word_at(next) == "only");
        if is_plain { rows } else { Rows::Unknown }
    }

    /// Reads `TOP 10` or `TOP (10)`. Returns the number of tokens as well.
    fn top(&self) -> (Rows, usize) {
        let (rows, length) = match self.token(1) {
            Some(Token::Symbol('(')) if self.token(3).is_some_and(|token| token.is_symbol(')')) => {
                (self.amount(2), 4)
            }
            Some(Token::Number(_)) => (self.amount(1), 2),
            _ => return (Rows::Unknown, 1),
        };
        // `PERCENT` and `WITH TIES` may return more rows than the number.
        match self.word_at(length) {
            "percent" | "with" => (Rows::Unknown, length),
            _ => (rows, length),
        }
    }
}

fn plus(a: Rows, b: Rows) -> Rows {
    match (a, b) {
        (Rows::Most(a), Rows::Most(b)) => Rows::Most(a.saturating_add(b)),
        (Rows::All, _) | (_, Rows::All) => Rows::All,
        _ => Rows::Unknown,
    }
}
