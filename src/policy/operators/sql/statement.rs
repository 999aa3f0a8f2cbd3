//! Effects of the statements of an SQL text: what they do, to which tables, and how many rows they may return. They are
//! read from the tokens, without the grammar of any one server.
//!
//! A verb that is reserved everywhere (`DELETE`) counts wherever it is, since SQL Server takes statements without a
//! separator and PostgreSQL changes rows inside of `WITH`. Other verbs (`CALL`) count only at the beginning of a statement.
//! A table is a name after `FROM`, `JOIN`, `INTO`, `UPDATE`, `TABLE` and similar words, except for names that `WITH`
//! defines. What a routine, a view, a trigger or a function does is not in the text.

use super::rows::Rows;
use super::token::Token;
use super::words::{
    AFTER_ALIAS, AFTER_STAR, BEFORE_NAME, BEFORE_STAR, BEFORE_TABLE, BEFORE_TABLES, BEFORE_TARGET,
    KINDS_OF_BEGIN, NO_TARGET, OPAQUE_VERBS, OPENS_QUERY, OTHER_VERBS, RESERVED_VERBS,
    TRANSACT_VERBS, WHOLE_VERBS,
};
use crate::wire::letter_case;
use crate::wire::sorted_map::SortedMap;

/// Maximum nesting of brackets; servers reject far less.
const MAX_DEPTH: usize = 256;

/// Findings in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SqlFindings {
    pub(super) verbs: Vec<StatementVerb>,
    pub(super) tables: Vec<TableRef>,
    pub(super) rows: Vec<Rows>,
    /// Whether something outside of the text is run or read.
    pub(super) is_opaque: bool,
}

/// Effect of a statement, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StatementVerb {
    /// Verb in lower case; `exec` is `execute`, `desc` is `describe`.
    pub(super) word: String,
    /// Whether it is a `SELECT` of all columns.
    pub(super) selects_all: bool,
    /// Whether no known statement begins with this word.
    pub(super) is_unknown: bool,
}

/// Table that is read or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableRef {
    /// Parts of its name, in lower case; empty for a variable or a placeholder.
    pub(super) parts: Vec<String>,
    /// Whether it is a function that returns rows, whose source is not in the text, or a table of another server.
    pub(super) is_function: bool,
}

/// Reads the tokens of a text; `None` if brackets are nested too deep.
pub(super) fn read(tokens: &[Token]) -> Option<SqlFindings> {
    let mut reader = StatementReader {
        tokens,
        at: 0,
        findings: SqlFindings::default(),
        frames: vec![Frame::default()],
        defined: SortedMap::new(),
        statement: Statement::default(),
    };
    reader.run()?;
    Some(reader.findings)
}

/// Level of brackets.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// Whether the level is a query or a statement, so that `FROM` means tables and not a part of a function's arguments.
    is_query: bool,
    /// Last verb on this level.
    verb: Option<String>,
    /// Role of the tables in the current list after `FROM` or a similar word: a comma is followed by another one.
    lists_tables: Option<TableRole>,
    /// Role of the table whose name comes next.
    expects: Option<TableRole>,
    /// Verb among the findings whose list of columns is being read: a `SELECT`.
    pub(super) columns_of: Option<usize>,
    /// Whether the brackets contain the arguments of a function.
    is_call: bool,
    /// Names that `WITH` defines on this level.
    defined: Vec<String>,
    /// Name that is defined at the end of this level.
    defines: Option<String>,
}

/// Role of a table in its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TableRole {
    /// Read. A name followed by brackets is a function.
    Source,
    /// Changed or created. Brackets contain columns.
    Target,
}

/// Current statement.
#[derive(Debug, Default)]
pub(super) struct Statement {
    /// First word; empty if the statement does not begin with a word.
    first: Option<String>,
    /// Whether the statement has a verb.
    has_verb: bool,
    /// Whether rows are returned or changed, so that their limit matters.
    pub(super) gives_rows: bool,
    pub(super) tops: Vec<Rows>,
    pub(super) branches: u32,
    pub(super) limit: Option<Rows>,
    /// Whether the current query returns one row, because it has only aggregates.
    pub(super) is_summary: bool,
    /// Whether a word before the next verb joins two queries (`UNION`).
    pub(super) joined: bool,
    /// Whether privileges are being listed, up to `ON`.
    lists_privileges: bool,
    /// Whether a statement may begin here although none has ended (`BEGIN`, `THEN`).
    begins_inside: bool,
    /// Whether it is a `COPY`, in which `PROGRAM` runs a command in the server's shell.
    copies: bool,
}

pub(super) struct StatementReader<'t> {
    tokens: &'t [Token],
    at: usize,
    pub(super) findings: SqlFindings,
    pub(super) frames: Vec<Frame>,
    /// Number of enclosing `WITH` definitions of each name.
    defined: SortedMap<String, u32>,
    pub(super) statement: Statement,
}

impl<'t> StatementReader<'t> {
    pub(super) fn token(&self, ahead: usize) -> Option<&'t Token> {
        self.tokens.get(self.at.checked_add(ahead)?)
    }

    fn before(&self, back: usize) -> Option<&'t Token> {
        self.tokens.get(self.at.checked_sub(back)?)
    }

    pub(super) fn word_at(&self, ahead: usize) -> &'t str {
        match self.token(ahead) {
            Some(Token::Word(word)) => word,
            _ => "",
        }
    }

    pub(super) fn word_before(&self, back: usize) -> &'t str {
        match self.before(back) {
            Some(Token::Word(word)) => word,
            _ => "",
        }
    }

    fn next_is(&self, symbol: char) -> bool {
        self.token(1).is_some_and(|token| token.is_symbol(symbol))
    }

    fn with_frame<T>(&mut self, change: impl FnOnce(&mut Frame) -> T) -> Option<T> {
        self.frames.last_mut().map(change)
    }

    pub(super) fn is_outermost(&self) -> bool {
        self.frames.len() <= 1
    }

    fn run(&mut self) -> Option<()> {
        while let Some(token) = self.token(0) {
            if self.frames.len() > MAX_DEPTH {
                return None;
            }
            let consumed = match token {
                Token::Symbol(symbol) => self.symbol(*symbol),
                Token::Word(word) => self.word(word),
                Token::Quoted(_) | Token::Text(_) | Token::Parameter | Token::Number(_) => {
                    self.value(token)
                }
            };
            self.at = self.at.saturating_add(consumed);
        }
        self.end_statement();
        if self.findings.verbs.is_empty() {
            self.unknown_verb("");
        }
        Some(())
    }

    fn unknown_verb(&mut self, word: &str) {
        self.findings.is_opaque = true;
        self.findings.verbs.push(StatementVerb {
            word: word.to_owned(),
            selects_all: false,
            is_unknown: true,
        });
        self.statement.has_verb = true;
        self.statement.gives_rows = true;
        self.statement.tops.push(Rows::Unknown);
    }

    /// Adds an unknown verb if a statement begins without a word.
    fn begins_without_word(&mut self) {
        if self.is_start() {
            self.unknown_verb("");
            self.statement.first = Some(String::new());
            self.statement.begins_inside = false;
        }
    }

    fn end_statement(&mut self) {
        // A `WITH …` without a statement after it.
        if self.statement.first.is_some() && !self.statement.has_verb {
            self.unknown_verb("");
        }
        self.end_rows();
        self.statement = Statement::default();
        self.frames = vec![Frame::default()];
        self.defined.clear();
    }

    /// Returns whether a statement begins at this token.
    fn is_start(&self) -> bool {
        self.statement.first.is_none() || self.statement.begins_inside
    }

    fn symbol(&mut self, symbol: char) -> usize {
        match symbol {
            ';' => {
                self.end_statement();
                return 1;
            }
            '(' => self.open(),
            ')' => self.close(),
            ',' => {
                self.with_frame(|frame| {
                    if let Some(role) = frame.lists_tables {
                        frame.expects = Some(role);
                    }
                });
            }
            '*' => self.star(),
            _ => {
                self.begins_without_word();
                // The table has no name: `{ … }`, an operator.
                if self
                    .with_frame(|frame| frame.expects.take())
                    .flatten()
                    .is_some()
                {
                    self.unknown_table();
                }
            }
        }
        1
    }

    fn open(&mut self) {
        let expects = self.with_frame(|frame| frame.expects.take()).flatten();
        let is_call =
            matches!(self.before(1), Some(Token::Word(word)) if !OPENS_QUERY.contains(&&**word));
        let begins = self.statement.first.is_none();
        // For example `WITH … (SELECT …)` or `SELECT … UNION (SELECT …)`.
        let goes_on = self.is_outermost()
            && (self.statement.joined
                || self.statement.branches == 0 && self.statement.first.as_deref() == Some("with"))
            && (self.next_is('(')
                || matches!(self.word_at(1), "select" | "table" | "with" | "from"));
        self.frames.push(Frame {
            // For example `FROM (a JOIN b)`.
            expects: expects.filter(|role| *role == TableRole::Source),
            lists_tables: expects.filter(|role| *role == TableRole::Source),
            is_query: expects.is_some() || begins,
            is_call,
            ..Frame::default()
        });
        if begins {
            // In `(SELECT …)`, the statement returns rows, and their limit is after the bracket.
            self.statement.gives_rows = true;
            self.statement.branches = 1;
        } else if goes_on {
            self.statement.gives_rows = true;
            self.statement.branches = self.statement.branches.saturating_add(1);
            self.statement.joined = false;
        }
    }

    fn close(&mut self) {
        if self.is_outermost() {
            return;
        }
        let Some(closed) = self.frames.pop() else {
            return;
        };
        for name in &closed.defined {
            self.forget(name);
        }
        let Some(name) = closed.defines else {
            return;
        };
        self.remember(name);
        if self.next_is(',')
            && let Some((name, body)) = self.definition(2)
        {
            self.define(name, body);
        }
    }

    /// Makes a name stand for a query up to the end of this level.
    fn remember(&mut self, name: String) {
        let count = self.defined.entry(name.clone()).or_default();
        *count = count.saturating_add(1);
        self.with_frame(|frame| frame.defined.push(name));
    }

    fn forget(&mut self, name: &str) {
        if let Some(count) = self.defined.get_mut(name) {
            *count = count.saturating_sub(1);
        }
    }

    /// Reads `name [(columns)] AS [NOT MATERIALIZED] (`. Returns the name and the distance of the bracket.
    fn definition(&self, ahead: usize) -> Option<(String, usize)> {
        let name = match self.token(ahead)? {
            Token::Word(name) | Token::Quoted(name) => name.clone(),
            _ => return None,
        };
        let mut ahead = ahead.checked_add(1)?;
        if self.token(ahead)?.is_symbol('(') {
            loop {
                ahead = ahead.checked_add(1)?;
                match self.token(ahead)? {
                    Token::Word(_) | Token::Quoted(_) | Token::Symbol(',') => {}
                    Token::Symbol(')') => break,
                    _ => return None,
                }
            }
            ahead = ahead.checked_add(1)?;
        }
        if self.word_at(ahead) != "as" {
            return None;
        }
        ahead = ahead.checked_add(1)?;
        while matches!(self.word_at(ahead), "not" | "materialized") {
            ahead = ahead.checked_add(1)?;
        }
        self.token(ahead)?.is_symbol('(').then_some((name, ahead))
    }

    /// Goes to the body of a definition; the token at `body` is its bracket.
    fn define(&mut self, name: String, body: usize) {
        self.at = self.at.saturating_add(body);
        self.frames.push(Frame {
            is_query: true,
            defines: Some(name),
            ..Frame::default()
        });
    }

    /// Reads a star. It means all columns unless it multiplies: then it has something on both sides.
    fn star(&mut self) {
        self.begins_without_word();
        let follows = match self.before(1) {
            Some(Token::Word(word)) => BEFORE_STAR.contains(&&**word),
            Some(Token::Symbol(symbol)) => matches!(symbol, ',' | '.'),
            _ => false,
        };
        let ends = match self.token(1) {
            None | Some(Token::Symbol(',' | ')' | ';')) => true,
            Some(Token::Word(word)) => AFTER_STAR.contains(&&**word),
            _ => false,
        };
        let columns_of = self.frames.last().and_then(|frame| frame.columns_of);
        if (follows || ends)
            && let Some(at) = columns_of
        {
            self.selects_all(at);
        }
    }

    pub(super) fn selects_all(&mut self, verb: usize) {
        if let Some(verb) = self.findings.verbs.get_mut(verb) {
            verb.selects_all = true;
        }
    }

    /// Reads a token that is not a keyword. It is a table's name if one is expected.
    fn value(&mut self, token: &Token) -> usize {
        self.begins_without_word();
        let Some(role) = self.with_frame(|frame| frame.expects.take()).flatten() else {
            return 1;
        };
        match token {
            Token::Quoted(_) | Token::Text(_) => self.table(role),
            _ => {
                self.unknown_table();
                1
            }
        }
    }

    fn unknown_table(&mut self) {
        self.findings.tables.push(TableRef {
            parts: Vec::new(),
            is_function: true,
        });
    }

    /// Reads a table's name. Returns the number of its tokens.
    fn table(&mut self, role: TableRole) -> usize {
        let mut parts = Vec::new();
        let mut length = 0usize;
        loop {
            match self.token(length) {
                Some(Token::Word(part) | Token::Quoted(part)) => parts.push(part.clone()),
                Some(Token::Text(part)) => parts.push(letter_case::lower(part)),
                // `database..table`
                Some(Token::Symbol('.')) if length > 0 => {
                    length = length.saturating_add(1);
                    continue;
                }
                _ => break,
            }
            length = length.saturating_add(1);
            match self.token(length) {
                Some(Token::Symbol('.')) => length = length.saturating_add(1),
                _ => break,
            }
        }
        // This is `FROM t (NOLOCK)` of SQL Server.
        let is_hint = length
            .checked_add(1)
            .is_some_and(|next| self.word_at(next) == "nolock");
        let is_function = role == TableRole::Source
            && self.token(length).is_some_and(|token| token.is_symbol('('))
            && !is_hint;
        // `users@link` is a table of another server.
        let is_remote = matches!(self.token(length), Some(Token::Parameter));
        let is_defined = match parts.as_slice() {
            [name] => self.defined.get(name).is_some_and(|count| *count > 0),
            _ => false,
        };
        let is_nothing = parts == ["dual"];
        if (!is_defined || is_function) && !is_nothing {
            self.findings.tables.push(TableRef {
                parts,
                is_function: is_function || is_remote,
            });
        }
        length.max(1)
    }

    fn word(&mut self, word: &str) -> usize {
        // This is a column (`t.update`).
        if self.before(1).is_some_and(|token| token.is_symbol('.')) {
            return 1;
        }
        let is_start = self.is_start();
        self.statement.begins_inside = false;
        if is_start {
            self.start(word);
        }
        // `GRANT SELECT, INSERT ON t TO bob`
        self.statement.lists_privileges &= !matches!(word, "from" | "on" | "to");
        if word == "with"
            && let Some(length) = self.with_clause()
        {
            return length;
        }
        if self.is_verb(word, is_start) {
            self.verb(word);
            return 1;
        }
        if let Some(length) = self.bound(word) {
            return length;
        }
        self.clause(word, is_start)
    }

    /// Returns whether a word is a verb here, not a name or a part of another clause.
    fn is_verb(&self, word: &str, is_start: bool) -> bool {
        if is_start && self.is_outermost() && OTHER_VERBS.contains(&word) {
            return true;
        }
        if matches!(word, "table" | "values" | "from") {
            // `TABLE t` and `FROM t` are queries of all columns.
            let begins_level = self.before(1).is_some_and(|token| token.is_symbol('('))
                && self.frames.last().is_some_and(|frame| !frame.is_call);
            return is_start || (begins_level && word != "values");
        }
        if TRANSACT_VERBS.contains(&word) {
            return self.follows_without_separator(word);
        }
        if !RESERVED_VERBS.contains(&word) || self.statement.lists_privileges {
            return false;
        }
        let before = self.word_before(1);
        match word {
            // `FOR UPDATE` and `FOR NO KEY UPDATE` lock; `ON DELETE CASCADE` and similar clauses declare.
            "update" if before == "for" => false,
            "update" if before == "key" && self.word_before(2) == "no" => false,
            "update" | "delete" if before == "on" => !matches!(
                self.word_at(1),
                "cascade"
                    | "restrict"
                    | "set"
                    | "no"
                    | "current_timestamp"
                    | "now"
                    | "localtimestamp"
            ),
            // These are functions of MySQL, and kinds of joins of SQL Server.
            "insert" | "truncate" if self.next_is('(') => is_start || before == "then",
            "merge" => !matches!(self.word_at(1), "join" | "union"),
            _ => true,
        }
    }

    /// Returns whether a word of SQL Server begins another statement in the middle of one, and is not a name.
    fn follows_without_separator(&self, word: &str) -> bool {
        let is_name = match self.before(1) {
            Some(Token::Symbol(symbol)) => *symbol != ')',
            Some(Token::Word(before)) => BEFORE_NAME.contains(&&**before),
            _ => false,
        };
        let goes_on = match self.token(1) {
            None | Some(Token::Symbol(';')) => WHOLE_VERBS.contains(&word),
            Some(Token::Word(next)) => !matches!(&**next, "from" | "as"),
            Some(Token::Number(_) | Token::Text(_)) => word == "kill",
            _ => false,
        };
        !is_name && goes_on
    }

    /// Reads the first word of a statement.
    fn start(&mut self, word: &str) {
        let is_first = self.statement.first.is_none();
        let is_known = RESERVED_VERBS.contains(&word)
            || OTHER_VERBS.contains(&word)
            || matches!(word, "with" | "table" | "values" | "from" | "else");
        let is_kind_of_begin = !is_first && KINDS_OF_BEGIN.contains(&word);
        if !is_known && !is_kind_of_begin {
            self.unknown_verb(word);
        }
        self.statement.begins_inside = matches!(word, "begin" | "try" | "catch");
        if is_first {
            self.statement.first = Some(word.to_owned());
            self.statement.copies = word == "copy";
        }
    }

    fn verb(&mut self, word: &str) {
        let word = match word {
            "exec" => "execute",
            "desc" => "describe",
            "table" | "values" | "from" => "select",
            other => other,
        };
        let written = self.word_at(0);
        let is_all = matches!(written, "table" | "from");
        let number = self.findings.verbs.len();
        self.findings.verbs.push(StatementVerb {
            word: word.to_owned(),
            selects_all: is_all,
            is_unknown: false,
        });
        self.statement.has_verb = true;
        self.statement.lists_privileges = matches!(word, "grant" | "revoke" | "deny");
        self.findings.is_opaque |= OPAQUE_VERBS.contains(&word);
        if self.is_outermost() {
            let changes_or_gives = matches!(
                word,
                "select"
                    | "update"
                    | "delete"
                    | "merge"
                    | "copy"
                    | "fetch"
                    | "execute"
                    | "call"
                    | "unload"
            );
            if word == "select" && !self.statement.joined && self.statement.branches > 0 {
                // Another statement follows without a separator, or a query in one that changes rows.
                self.end_rows();
            }
            self.end_branch();
            self.statement.is_summary = written == "select" && self.is_summary();
            if changes_or_gives && written != "values" {
                self.statement.gives_rows = true;
                self.statement.branches = self.statement.branches.saturating_add(1);
                if matches!(word, "execute" | "call" | "fetch" | "unload") {
                    self.statement.tops.push(Rows::Unknown);
                }
            }
            self.statement.joined = false;
        }
        let follows = self.word_before(1);
        let is_part = matches!(
            (written, follows),
            ("update", "key" | "do") | ("update" | "delete" | "insert", "then")
        );
        let expects = match written {
            "from" => Some(TableRole::Source),
            "table" => Some(TableRole::Target),
            _ if BEFORE_TABLE.contains(&written) && !is_part => Some(TableRole::Target),
            _ => None,
        };
        let lists = written == "from" || BEFORE_TABLES.contains(&written);
        self.with_frame(|frame| {
            frame.is_query = true;
            frame.verb = Some(word.to_owned());
            frame.expects = expects;
            frame.lists_tables = expects.filter(|_| lists);
            frame.columns_of = (written == "select").then_some(number);
        });
    }

    /// Reads `WITH name AS (…)`. Returns the number of tokens to advance from the bracket.
    fn with_clause(&mut self) -> Option<usize> {
        let is_recursive = self.word_at(1) == "recursive";
        let (name, body) = self.definition(if is_recursive { 2 } else { 1 })?;
        self.with_frame(|frame| frame.is_query = true);
        // A recursive definition may name itself. In any other definition the name still means a table.
        if is_recursive {
            self.remember(name.clone());
        }
        self.define(name, body);
        Some(1)
    }

    /// Reads words that begin or end a list of tables, and names.
    fn clause(&mut self, word: &str, is_start: bool) -> usize {
        let frame = self.frames.last();
        let verb = frame
            .and_then(|frame| frame.verb.clone())
            .unwrap_or_default();
        let is_query = frame.is_some_and(|frame| frame.is_query);
        match word {
            "from" => {
                // These are `EXTRACT(YEAR FROM d)`, `a IS DISTINCT FROM b` and `COPY t FROM 'file'`.
                let compares = self.word_before(1) == "distinct"
                    && matches!(self.word_before(2), "is" | "not");
                if verb == "copy" {
                    self.implied("insert");
                } else if is_query && !compares {
                    self.expect(TableRole::Source, true);
                }
                if !compares {
                    self.with_frame(|frame| frame.columns_of = None);
                }
            }
            "join" | "apply" | "straight_join" => self.expect(TableRole::Source, true),
            "using" if matches!(&*verb, "delete" | "merge") => {
                self.expect(TableRole::Source, true);
            }
            // `SELECT TRANSFORM (a) USING 'program'` of Hive and Spark; `CONVERT(a USING 'utf8')` is a function.
            "using"
                if !frame.is_some_and(|frame| frame.is_call)
                    && matches!(&*verb, "select" | "")
                    && matches!(self.token(1), Some(Token::Text(_) | Token::Quoted(_))) =>
            {
                self.unknown_verb(word);
            }
            "into" => self.into(&verb),
            "table" | "tables" if !self.next_is('(') => self.expect(TableRole::Target, true),
            "references" => self.expect(TableRole::Target, false),
            "view" => self.expect(TableRole::Target, verb == "drop"),
            _ if self.names_another(word, &verb) => {
                self.expect(TableRole::Source, word == "inherits")
            }
            "to" if self.word_before(1) == "rename" || verb == "rename" => {
                self.expect(TableRole::Target, false);
            }
            "on" => {
                self.with_frame(|frame| frame.expects = None);
                let declares = matches!(
                    self.statement.first.as_deref(),
                    Some("create" | "drop" | "alter" | "grant" | "revoke" | "deny" | "comment")
                );
                let is_action = matches!(
                    self.word_at(1),
                    "delete" | "update" | "commit" | "conflict" | "duplicate"
                );
                if declares && verb != "select" && !is_action {
                    let lists = matches!(&*verb, "grant" | "revoke" | "deny");
                    self.expect(TableRole::Target, lists);
                }
            }
            "update" | "share" if matches!(self.word_before(1), "for" | "key") => {
                self.implied("lock")
            }
            "share" if self.word_before(1) == "in" => self.implied("lock"),
            "overwrite" | "replace" => {
                self.replaces(word, &verb);
                return self.name_or_end(word);
            }
            "program" if self.statement.copies => {
                self.implied("execute");
                self.findings.is_opaque = true;
            }
            // In `CASE … THEN` and `WHEN MATCHED THEN` no statement begins, in `IF … THEN` one does.
            "then" | "else"
                if matches!(
                    self.statement.first.as_deref(),
                    Some("if" | "begin" | "while" | "declare")
                ) =>
            {
                self.statement.begins_inside = true;
            }
            _ if is_start => {}
            _ => return self.name_or_end(word),
        }
        1
    }

    /// Returns whether a word precedes a table that is copied, joined to the current one or put in its place.
    fn names_another(&self, word: &str, verb: &str) -> bool {
        let before = self.word_before(1);
        let opens = || matches!(self.before(1), Some(Token::Symbol('(' | ',')));
        match (word, self.statement.first.as_deref()) {
            ("clone" | "copy", Some("create")) => verb == "create",
            ("like", Some("create")) => verb == "create" || opens(),
            ("inherits", Some("create")) | ("inherit", Some("alter")) => true,
            ("of", Some("create")) => before == "partition",
            ("partition", Some("alter")) => matches!(before, "attach" | "detach"),
            ("with", Some("alter")) => before == "swap",
            ("to", Some("alter")) => before == "switch" || self.word_before(3) == "switch",
            _ => false,
        }
    }

    /// Adds a verb that other words imply.
    fn implied(&mut self, word: &str) {
        self.findings.verbs.push(StatementVerb {
            word: word.to_owned(),
            selects_all: false,
            is_unknown: false,
        });
    }

    /// Adds what is replaced: `INSERT OR REPLACE INTO t` and `INSERT OVERWRITE t` remove rows, `CREATE OR REPLACE TABLE t`
    /// a whole table.
    fn replaces(&mut self, word: &str, verb: &str) {
        let is_overwriting = word == "overwrite" || self.word_before(1) == "or";
        let makes_table = (1..=2).any(|at| self.word_at(at) == "table");
        match verb {
            "insert" | "update" if is_overwriting => self.implied("replace"),
            "create" if is_overwriting && makes_table => self.implied("drop"),
            _ => {}
        }
    }

    /// Reads `INTO`. `SELECT … INTO` creates and fills a table, unless it fills a variable. Elsewhere a target follows.
    fn into(&mut self, verb: &str) {
        self.with_frame(|frame| frame.columns_of = None);
        if verb == "select" {
            if matches!(self.token(1), Some(Token::Parameter)) {
                return;
            }
            self.implied("create");
            self.implied("insert");
        }
        if verb == "copy" {
            self.implied("insert");
        }
        self.expect(TableRole::Target, false);
    }

    fn expect(&mut self, role: TableRole, lists: bool) {
        self.with_frame(|frame| {
            frame.expects = Some(role);
            if lists {
                frame.lists_tables = Some(role);
            }
        });
    }

    /// Reads a name where one is expected; elsewhere a keyword, an alias or a column. Returns the number of tokens.
    pub(super) fn name_or_end(&mut self, word: &str) -> usize {
        if self.ends_list(word) {
            self.with_frame(|frame| {
                frame.lists_tables = None;
                frame.expects = None;
            });
            return 1;
        }
        let Some(role) = self.frames.last().and_then(|frame| frame.expects) else {
            return 1;
        };
        let name_follows = match self.token(1) {
            Some(Token::Word(next)) => {
                !matches!(&**next, "set" | "values" | "as" | "where" | "add")
            }
            Some(Token::Quoted(_) | Token::Text(_) | Token::Symbol('(')) => true,
            _ => false,
        };
        let skips: &[&str] = match role {
            TableRole::Source => &["only", "lateral"],
            TableRole::Target => &BEFORE_TARGET,
        };
        // For example `INSERT OR REPLACE INTO t` or `FROM ONLY (t)`.
        if skips.contains(&word) && name_follows {
            return 1;
        }
        self.with_frame(|frame| frame.expects = None);
        if role == TableRole::Target && NO_TARGET.contains(&word) {
            return 1;
        }
        self.table(role)
    }

    /// Returns whether a list of tables ends at a word. A word that some server takes for an alias (`FROM t limit, users`)
    /// ends it only if its clause follows.
    fn ends_list(&self, word: &str) -> bool {
        let verb = self.frames.last().and_then(|frame| frame.verb.as_deref());
        let next = self.token(1);
        match word {
            "group" | "having" | "order" | "select" | "union" | "where" => true,
            "set" | "values" => verb != Some("select"),
            "limit" | "offset" => matches!(next, Some(Token::Number(_) | Token::Parameter)),
            "fetch" => matches!(self.word_at(1), "first" | "next"),
            "connect" => self.word_at(1) == "by",
            "start" => self.word_at(1) == "with",
            "except" | "intersect" | "minus" => {
                matches!(
                    self.word_at(1),
                    "all" | "distinct" | "select" | "table" | "values" | "with"
                )
            }
            "output" | "qualify" | "returning" | "when" | "window" => match next {
                Some(Token::Word(next)) => !AFTER_ALIAS.contains(&&**next),
                Some(Token::Quoted(_) | Token::Text(_) | Token::Symbol('*')) => true,
                _ => false,
            },
            _ => false,
        }
    }
}
