//! Tokens of SQL text, as one of five families of servers reads it.
//!
//! The families differ in the ends of strings and in comments, so that a text with one meaning for the first can hide
//! another one from the second. The caller evaluates the reading of each family.

use crate::wire::letter_case;

/// Family of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// ISO 9075, PostgreSQL, Oracle, SQLite, DuckDB, …: dollar quotes.
    Standard,
    /// MySQL, MariaDB: `\` escapes, `#` begins a comment, `--` only before white space.
    MySql,
    /// SQL Server, Sybase, …: `[names]`, `#temporary` tables, `GO` between batches.
    Transact,
    /// BigQuery: `\` escapes, `#` begins a comment, three quotes enclose a text with quotes.
    BigQuery,
    /// Snowflake, Spark, Databricks, ClickHouse: dollar quotes, `\` escapes, `//` begins a comment.
    Snowflake,
}

impl Dialect {
    pub(super) const ALL: [Dialect; 5] = [
        Dialect::Standard,
        Dialect::MySql,
        Dialect::Transact,
        Dialect::BigQuery,
        Dialect::Snowflake,
    ];

    /// Returns whether `\` escapes any next character in a string.
    fn escapes(self) -> bool {
        matches!(
            self,
            Dialect::MySql | Dialect::BigQuery | Dialect::Snowflake
        )
    }

    /// Returns whether the family may read a text in its own way, given that not all read it alike.
    pub(super) fn differs(self, text: &str) -> bool {
        let has = |part: &str| text.contains(part);
        match self {
            Dialect::BigQuery => has_triple(text) || has("#") && has("--"),
            Dialect::Snowflake => has("//") || has("\\") && (has("--") || has("$") || has("#")),
            _ => true,
        }
    }

    fn has_dollar_quotes(self) -> bool {
        matches!(self, Dialect::Standard | Dialect::Snowflake)
    }
}

/// Token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Keyword or unquoted name, in lower case.
    Word(String),
    /// Quoted name, in lower case; to MySQL `"…"` is a string.
    Quoted(String),
    /// String.
    Text(String),
    /// Number as written.
    Number(String),
    /// Variable or placeholder.
    Parameter,
    /// Any other character.
    Symbol(char),
}

impl Token {
    pub(super) fn is_symbol(&self, symbol: char) -> bool {
        *self == Token::Symbol(symbol)
    }
}

/// Returns the tokens of a text; `None` if a string, a name or a comment is open, or servers could differ about its
/// content: comments that MySQL runs (`/*! … */`), nested comments, Oracle's `q'…'`, escapes in `U&'…'`, spaces beyond
/// ASCII, commands of a client (`\!`). Returns an empty list if three quotes of BigQuery are open.
pub(super) fn tokens(text: &str, dialect: Dialect) -> Option<Vec<Token>> {
    let mut lexer = Lexer {
        rest: text,
        dialect,
        tokens: Vec::new(),
    };
    while let Some(c) = lexer.rest.chars().next() {
        if lexer.token(c).is_none() {
            // BigQuery rejects such a text, which may be ordinary to the others (two quotes in quotes).
            let is_open = dialect == Dialect::BigQuery && lexer.rest.is_empty() && has_triple(text);
            return is_open.then(Vec::new);
        }
    }
    Some(lexer.tokens)
}

/// Delimiters of BigQuery's texts with quotes inside.
const TRIPLE_QUOTES: [&str; 2] = ["\'\'\'", "\"\"\""];

fn has_triple(text: &str) -> bool {
    TRIPLE_QUOTES.iter().any(|quotes| text.contains(quotes))
}

/// Returns whether all families certainly read a text alike: nothing in it is special to one of them.
pub(super) fn is_read_alike(text: &str) -> bool {
    let is_own = |byte: u8| matches!(byte, b'#' | b'[' | b'$' | b'\\') || !byte.is_ascii();
    let is_own_pair = |two: &[u8]| {
        matches!(
            two,
            [b'-', b'-'] | [b'/', b'/'] | [b'e' | b'E', b'\''] | [b'g' | b'G', b'o' | b'O']
        )
    };
    !text.bytes().any(is_own) && !text.as_bytes().windows(2).any(is_own_pair) && !has_triple(text)
}

struct Lexer<'t> {
    rest: &'t str,
    dialect: Dialect,
    tokens: Vec<Token>,
}

impl<'t> Lexer<'t> {
    /// Takes all characters that match. Not inlined: a loop for each of its dozen callers would add 5 kB to the module.
    #[inline(never)]
    fn take_while(&mut self, fits: &dyn Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn skip(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn token(&mut self, c: char) -> Option<()> {
        match c {
            ' ' | '\t' | '\n' | '\r' | '\x0B' | '\x0C' => {
                self.take_while(&|c| c.is_ascii_whitespace() || c == '\x0B');
            }
            '-' if self.begins_line_comment() => self.line_comment(),
            '#' if matches!(self.dialect, Dialect::MySql | Dialect::BigQuery) => {
                self.line_comment();
            }
            '/' if self.dialect == Dialect::Snowflake && self.rest.starts_with("//") => {
                self.line_comment();
            }
            '/' if self.rest.starts_with("/*") => self.block_comment()?,
            '\'' => {
                let text = self.quoted('\'', self.dialect.escapes())?;
                self.tokens.push(Token::Text(text));
            }
            '"' => {
                let name = self.quoted('"', self.dialect.escapes())?;
                self.tokens.push(Token::Quoted(letter_case::lower(&name)));
            }
            '`' => {
                let name = self.quoted('`', false)?;
                self.tokens.push(Token::Quoted(letter_case::lower(&name)));
            }
            '[' if self.dialect == Dialect::Transact => {
                let name = self.quoted(']', false)?;
                self.tokens.push(Token::Quoted(letter_case::lower(&name)));
            }
            '$' if self.dialect.has_dollar_quotes() => self.dollar()?,
            '?' => {
                self.skip("?");
                self.tokens.push(Token::Parameter);
            }
            '@' => {
                self.take_while(&|c| c == '@' || c == '_' || c.is_alphanumeric());
                self.tokens.push(Token::Parameter);
            }
            ':' => self.colon(),
            '0'..='9' => self.number(),
            _ if c == '_'
                || c.is_alphabetic()
                || (c == '#' && self.dialect == Dialect::Transact) =>
            {
                self.word()?;
            }
            '\\' | '\0' => return None,
            _ if !c.is_ascii() => return None,
            _ => {
                self.take_symbol();
                self.tokens.push(Token::Symbol(c));
            }
        }
        Some(())
    }

    fn take_symbol(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    /// Returns whether a line comment begins. To MySQL `--` is one only before white space or a control character; to all
    /// others always.
    fn begins_line_comment(&self) -> bool {
        self.rest.strip_prefix("--").is_some_and(|rest| {
            self.dialect != Dialect::MySql || rest.chars().next().is_none_or(|c| c <= ' ')
        })
    }

    /// Skips a line comment. PostgreSQL ends it at a carriage return, MySQL only at a line feed.
    fn line_comment(&mut self) {
        match self.dialect {
            Dialect::MySql => self.take_while(&|c| c != '\n'),
            _ => self.take_while(&|c| !matches!(c, '\n' | '\r')),
        };
    }

    fn block_comment(&mut self) -> Option<()> {
        self.skip("/*");
        if self.rest.starts_with('!') || self.rest.starts_with("M!") {
            return None;
        }
        let (inside, rest) = self.rest.split_once("*/")?;
        if inside.contains("/*") {
            return None;
        }
        self.rest = rest;
        Some(())
    }

    /// Returns the text between quotes, in which a doubled quote is one; `close` is the quote that ends it.
    fn quoted(&mut self, close: char, escapes: bool) -> Option<String> {
        let triple = TRIPLE_QUOTES
            .into_iter()
            .find(|quotes| self.dialect == Dialect::BigQuery && self.skip(quotes));
        if triple.is_none() {
            self.take_symbol();
        }
        let mut content = String::new();
        let mut chars = self.rest.chars();
        loop {
            let Some(c) = chars.next() else {
                self.rest = triple.map_or(self.rest, |_| "");
                return None;
            };
            if escapes && c == '\\' {
                content.push(chars.next()?);
            } else if let Some(quotes) = triple {
                content.push(c);
                if content.ends_with(quotes) {
                    self.rest = chars.as_str();
                    content.truncate(content.len().saturating_sub(quotes.len()));
                    return Some(content);
                }
            } else if c == close {
                let mut ahead = chars.clone();
                if ahead.next() != Some(close) {
                    self.rest = chars.as_str();
                    return Some(content);
                }
                content.push(c);
                chars = ahead;
            } else {
                content.push(c);
            }
        }
    }

    /// Reads `$1`, `$$ … $$` or `$tag$ … $tag$`.
    fn dollar(&mut self) -> Option<()> {
        self.skip("$");
        let tag = self.take_while(&|c| c == '_' || c.is_alphanumeric());
        if tag.starts_with(|c: char| c.is_ascii_digit()) || !self.skip("$") {
            self.tokens.push(Token::Parameter);
            return Some(());
        }
        let (inside, rest) = self.rest.split_once(&*format!("${tag}$"))?;
        self.tokens.push(Token::Text(inside.to_owned()));
        self.rest = rest;
        Some(())
    }

    /// Reads `:name` or `:1`; `::` and `:=` are operators.
    fn colon(&mut self) {
        self.skip(":");
        let is_operator = self.skip(":") || self.skip("=");
        let has_name = !is_operator
            && !self
                .take_while(&|c| c == '_' || c.is_alphanumeric())
                .is_empty();
        self.tokens.push(if has_name {
            Token::Parameter
        } else {
            Token::Symbol(':')
        });
    }

    /// Reads a number, which ends where its letters could be a word: `1union` is two tokens.
    fn number(&mut self) {
        let start = self.rest;
        let after_hex = ["0x", "0X"].iter().find_map(|prefix| {
            let digits = self.rest.strip_prefix(prefix)?;
            digits
                .starts_with(|c: char| c.is_ascii_hexdigit())
                .then_some(digits)
        });
        if let Some(digits) = after_hex {
            self.rest = digits;
            self.take_while(&|c| c.is_ascii_hexdigit());
        } else {
            self.take_while(&|c| c.is_ascii_digit());
            if self.skip(".") {
                self.take_while(&|c| c.is_ascii_digit());
            }
            let exponent = self
                .rest
                .strip_prefix(['e', 'E'])
                .map(|rest| rest.strip_prefix(['+', '-']).unwrap_or(rest));
            if let Some(exponent) =
                exponent.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            {
                self.rest = exponent;
                self.take_while(&|c| c.is_ascii_digit());
            }
        }
        let length = start.len().saturating_sub(self.rest.len());
        let text = start.get(..length).unwrap_or_default();
        self.tokens.push(Token::Number(text.to_owned()));
    }

    fn word(&mut self) -> Option<()> {
        let is_transact = self.dialect == Dialect::Transact;
        let word = letter_case::lower(self.take_while(&|c| {
            c.is_alphanumeric() || matches!(c, '_' | '$') || (c == '#' && is_transact)
        }));
        if self.rest.starts_with('\'') {
            match &*word {
                // These are the standard's national, bit and hexadecimal strings.
                "n" | "b" | "x" => {
                    let text = self.quoted('\'', self.dialect.escapes())?;
                    self.tokens.push(Token::Text(text));
                    return Some(());
                }
                // These are PostgreSQL's strings with escapes. To the other families this is a word and a string.
                "e" if self.dialect == Dialect::Standard => {
                    let text = self.quoted('\'', true)?;
                    self.tokens.push(Token::Text(text));
                    return Some(());
                }
                "q" | "nq" => return None,
                _ => {}
            }
        }
        if word == "u" && self.rest.starts_with('&') {
            return None;
        }
        let is_batch_end = word == "go" && is_transact;
        self.tokens.push(if is_batch_end {
            Token::Symbol(';')
        } else {
            Token::Word(word)
        });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns words as they are, `"names"`, `'texts'`, numbers, and `?` for parameters; `open` if the text is unreadable.
    fn read(text: &str, dialect: Dialect) -> String {
        let Some(tokens) = tokens(text, dialect) else {
            return "open".to_owned();
        };
        let words: Vec<String> = tokens
            .into_iter()
            .map(|token| match token {
                Token::Word(word) | Token::Number(word) => word,
                Token::Quoted(name) => format!("\"{name}\""),
                Token::Text(text) => format!("'{text}'"),
                Token::Parameter => "?".to_owned(),
                Token::Symbol(symbol) => symbol.to_string(),
            })
            .collect();
        words.join(" ")
    }

    /// Returns the readings of the three families that also differ in names.
    fn all(text: &str) -> [String; 3] {
        [Dialect::Standard, Dialect::MySql, Dialect::Transact].map(|dialect| read(text, dialect))
    }

    #[test]
    fn where_servers_agree_there_is_one_reading() {
        for (text, tokens) in [
            ("SELECT a,b FROM t;", "select a , b from t ;"),
            ("SELECT/**/a/* x */FROM\tt", "select a from t"),
            ("a -- x; DROP\nb", "a b"),
            ("'it''s' \"A\"\"b\" `c``d`", "'it's' \"a\"b\" \"c`d\""),
            ("N'x' X'ff' b'01'", "'x' 'ff' '01'"),
            ("1 1.5 1e9 0x1F 1union 1e", "1 1.5 1e9 0x1F 1 union 1 e"),
            ("? :name :1 a::int", "? ? ? a : int"),
            ("select'x'", "select 'x'"),
            ("/*+ INDEX(t) */ a", "a"),
        ] {
            assert_eq!(all(text), [tokens; 3], "{text}");
        }
    }

    #[test]
    fn where_they_differ_each_has_its_own() {
        for (text, [standard, mysql, transact]) in [
            (
                "'a\\' OR 1 --'",
                ["'a\\' or 1", "'a' OR 1 --'", "'a\\' or 1"],
            ),
            ("a # b\nc", ["a # b c", "a c", "a # b c"]),
            ("1--2", ["1", "1 - - 2", "1"]),
            ("a -- b\rc", ["a c", "a", "a c"]),
            ("$$ x $$ y", ["' x ' y", "$ $ x $ $ y", "$ $ x $ $ y"]),
            ("$t$ $$ $t$", ["' $$ '", "$ t$ $ $ $ t$", "$ t$ $ $ $ t$"]),
            ("[a b]", ["[ a b ]", "[ a b ]", "\"a b\""]),
            ("E'\\'' x", ["''' x", "e ''' x", "open"]),
            ("#t x", ["# t x", "", "#t x"]),
            ("a go b", ["a go b", "a go b", "a ; b"]),
        ] {
            assert_eq!(all(text), [standard, mysql, transact], "{text:?}");
        }
    }

    #[test]
    fn warehouses_have_quotes_and_comments_of_their_own() {
        for (text, [bigquery, snowflake]) in [
            ("'''a'z''' c --'", ["'a'z' c", "''a' z '' c --'"]),
            ("a ''''", ["", "a '''"]),
            ("a // z' \n c -- '", ["a / / z ' \n c -- '", "a c"]),
            ("a # b\nc", ["a c", "a # b c"]),
            ("a --b\nc", ["a c", "a c"]),
        ] {
            let read = [Dialect::BigQuery, Dialect::Snowflake].map(|dialect| read(text, dialect));
            assert_eq!(read, [bigquery, snowflake], "{text:?}");
        }
    }

    #[test]
    fn what_is_left_open_or_hides_something_can_not_be_read() {
        for (text, why) in [
            ("'x", "open string"),
            ("\"x", "open name"),
            ("`x", "open name"),
            ("/* x", "open comment"),
            ("/*! DROP TABLE t */", "MySQL runs it"),
            ("/*!50000 DROP */", "MySQL runs it from a version on"),
            ("/*M! DROP */", "MariaDB runs it"),
            ("/* /* */ DROP */", "a comment in a comment"),
            ("q'[x]'", "Oracle's own quotes"),
            ("U&'\\0044'", "escapes"),
            ("\\! rm", "a command of psql"),
            ("a\u{A0}b", "a space to some"),
            ("a\0b", "NUL"),
        ] {
            assert_eq!(all(text), ["open"; 3], "{text:?}: {why}");
        }
        assert_eq!(read("$$ x", Dialect::Standard), "open");
        assert_eq!(read("[x", Dialect::Transact), "open");
    }
}
