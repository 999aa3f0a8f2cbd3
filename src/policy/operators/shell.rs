//! The simple commands of a shell line (POSIX Shell Command Language, with what bash adds), read without running it.
//!
//! Whatever could make another word of a word is not read: `$` and backtick substitution wherever it stands, `$'…'`,
//! process substitution, here-documents that expand, arithmetic, arrays, `case`, `[[`, functions, `coproc`; so is what
//! isn't closed. Quotes, escapes, line continuations, comments, redirections, groups, subshells, loops and conditions
//! are. Where shells differ (`&>` is one redirection to bash, `&` and a redirection to dash), the reading with more
//! commands is taken.

use std::iter::Peekable;
use std::str::Chars;

/// A word after quotes and escapes are taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Bytes of the text up to the first that was quoted; all of them if none was.
    plain: usize,
    was_quoted: bool,
    /// A glob or a brace expansion: it stands for words that are not known.
    pub(super) is_pattern: bool,
}

impl Word {
    /// A word that no shell has looked at.
    pub(super) fn literal(text: &str) -> Word {
        Word {
            text: text.to_owned(),
            plain: 0,
            was_quoted: true,
            is_pattern: false,
        }
    }

    /// The name in front of `=` or `+=`, if the word is an assignment.
    pub(super) fn assigned(&self) -> Option<&str> {
        let name = assigned_name(&self.text)?;
        (name.len() < self.plain || !self.was_quoted).then_some(name)
    }

    fn is_reserved(&self, word: &str) -> bool {
        !self.was_quoted && self.text == word
    }
}

/// The name in `NAME=value` or `NAME+=value`.
pub(super) fn assigned_name(text: &str) -> Option<&str> {
    let (name, _) = text.split_once('=')?;
    let name = name.strip_suffix('+').unwrap_or(name);
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (begins && fits).then_some(name)
}

/// A simple command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Simple {
    /// Names that are assigned for it, or for the shell if it has no words.
    pub(super) assigned: Vec<String>,
    /// Files that its redirections write, or that are no files (`/dev/tcp/…`).
    pub(super) writes: Vec<Word>,
    /// The command and its arguments.
    pub(super) words: Vec<Word>,
}

/// The simple commands of a line, in their order; `None` if it can't be told what they are.
pub(super) fn simple_commands(line: &str) -> Option<Vec<Simple>> {
    if line.contains('\0') {
        return None;
    }
    let mut parser = Parser::default();
    let mut lexer = Lexer {
        chars: line.chars().peekable(),
    };
    loop {
        match lexer.token()? {
            Token::End => return parser.end(),
            Token::Word(word) => parser.word(word)?,
            Token::Redirect(kind) => parser.redirect(kind)?,
            Token::Open => parser.open()?,
            Token::Close => parser.close()?,
            Token::Separator => parser.separator()?,
            Token::LineEnd => {
                parser.separator()?;
                for document in parser.documents.drain(..) {
                    lexer.here_document(&document)?;
                }
            }
        }
    }
}

#[derive(Debug)]
enum Token {
    Word(Word),
    Redirect(Redirect),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `;` `&` `&&` `|` `||` `|&`
    Separator,
    LineEnd,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Redirect {
    /// From the file that the next word names, or from that word.
    Read,
    /// To the file that the next word names.
    Write,
    /// To or from a descriptor that the next word names; what is no descriptor is a file to bash.
    Copy,
    /// `<<`, `<<-`: from the lines that follow, up to the one that is the next word.
    Document { strips_tabs: bool },
}

/// A here-document whose lines come after the line's end.
#[derive(Debug)]
struct HereDocument {
    end: String,
    strips_tabs: bool,
    is_quoted: bool,
}

struct Lexer<'t> {
    chars: Peekable<Chars<'t>>,
}

/// Whether what follows a `$` makes it an expansion; a lone one is a letter.
fn expands(next: Option<&char>) -> bool {
    next.is_some_and(|c| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                '_' | '{' | '(' | '[' | '@' | '*' | '#' | '?' | '-' | '$' | '!'
            )
    })
}

impl Lexer<'_> {
    fn next_is(&mut self, c: char) -> bool {
        self.chars.next_if_eq(&c).is_some()
    }

    /// The next token; `None` if it can't be read.
    fn token(&mut self) -> Option<Token> {
        loop {
            let Some(&c) = self.chars.peek() else {
                return Some(Token::End);
            };
            match c {
                ' ' | '\t' => {
                    self.chars.next();
                }
                '#' => while self.chars.next_if(|c| *c != '\n').is_some() {},
                '\\' => {
                    let mut ahead = self.chars.clone();
                    ahead.next();
                    if ahead.next() != Some('\n') {
                        return self.word();
                    }
                    self.chars = ahead;
                }
                '\n' => {
                    self.chars.next();
                    return Some(Token::LineEnd);
                }
                ';' => {
                    self.chars.next();
                    // `;;` and its like end a branch of `case`.
                    let ends_branch = matches!(self.chars.peek(), Some(';' | '&'));
                    return (!ends_branch).then_some(Token::Separator);
                }
                '&' => {
                    self.chars.next();
                    self.next_is('&');
                    return Some(Token::Separator);
                }
                '|' => {
                    self.chars.next();
                    if !self.next_is('|') {
                        self.next_is('&');
                    }
                    return Some(Token::Separator);
                }
                '(' => {
                    self.chars.next();
                    // `((` is arithmetic to bash.
                    let is_arithmetic = self.chars.peek() == Some(&'(');
                    return (!is_arithmetic).then_some(Token::Open);
                }
                ')' => {
                    self.chars.next();
                    return Some(Token::Close);
                }
                '<' | '>' => return self.redirect(),
                _ => return self.word(),
            }
        }
    }

    fn redirect(&mut self) -> Option<Token> {
        let is_input = self.next_is('<');
        let mut kind = Redirect::Read;
        if is_input && self.next_is('<') {
            // `<<<` takes the next word as the text itself.
            if !self.next_is('<') {
                kind = Redirect::Document {
                    strips_tabs: self.next_is('-'),
                };
            }
        } else if is_input {
            // `<>` opens a file for both.
            if self.next_is('>') {
                kind = Redirect::Write;
            } else if self.next_is('&') {
                kind = Redirect::Copy;
            }
        } else {
            self.next_is('>');
            kind = Redirect::Write;
            if !self.next_is('>') && self.next_is('&') {
                kind = Redirect::Copy;
            } else {
                self.next_is('|');
            }
        }
        // A command whose output is a file: process substitution.
        (self.chars.peek() != Some(&'(')).then_some(Token::Redirect(kind))
    }

    fn word(&mut self) -> Option<Token> {
        let mut word = Word::default();
        while let Some(&c) = self.chars.peek() {
            if matches!(
                c,
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>'
            ) {
                break;
            }
            self.chars.next();
            match c {
                '\\' => match self.chars.next()? {
                    '\n' => {}
                    escaped => {
                        word.quote();
                        word.text.push(escaped);
                    }
                },
                '\'' => {
                    word.quote();
                    self.single_quoted(&mut word.text)?;
                }
                '"' => {
                    word.quote();
                    self.double_quoted(&mut word.text)?;
                }
                '`' => return None,
                '$' => {
                    let next = self.chars.peek();
                    if expands(next) || matches!(next, Some('\'' | '"')) {
                        return None;
                    }
                    word.text.push(c);
                }
                _ => {
                    word.is_pattern |= matches!(c, '*' | '?' | '[' | '{');
                    word.text.push(c);
                }
            }
        }
        if !word.was_quoted {
            word.plain = word.text.len();
            // `{` and `}` group commands, `{}` is what `find` replaces.
            word.is_pattern &= !matches!(&*word.text, "{" | "{}" | "[");
            let is_descriptor =
                !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_digit());
            if is_descriptor && matches!(self.chars.peek(), Some('<' | '>')) {
                return self.redirect();
            }
        }
        Some(Token::Word(word))
    }

    fn single_quoted(&mut self, text: &mut String) -> Option<()> {
        loop {
            match self.chars.next()? {
                '\'' => return Some(()),
                c => text.push(c),
            }
        }
    }

    fn double_quoted(&mut self, text: &mut String) -> Option<()> {
        loop {
            match self.chars.next()? {
                '"' => return Some(()),
                '\\' => match self.chars.next()? {
                    '\n' => {}
                    c @ ('$' | '`' | '"' | '\\') => text.push(c),
                    c => text.extend(['\\', c]),
                },
                '`' => return None,
                '$' if expands(self.chars.peek()) => return None,
                c => text.push(c),
            }
        }
    }

    /// Takes the lines of a here-document; not readable if they expand anything or never end.
    fn here_document(&mut self, document: &HereDocument) -> Option<()> {
        loop {
            self.chars.peek()?;
            let mut line = String::new();
            for c in self.chars.by_ref() {
                if c == '\n' {
                    break;
                }
                line.push(c);
            }
            let stripped = if document.strips_tabs {
                line.trim_start_matches('\t')
            } else {
                &line
            };
            if stripped == document.end {
                return Some(());
            }
            // A backslash may escape a `$` or join lines; neither is worth following.
            if !document.is_quoted && line.contains(['$', '`', '\\']) {
                return None;
            }
        }
    }
}

impl Word {
    fn quote(&mut self) {
        if !self.was_quoted {
            self.was_quoted = true;
            self.plain = self.text.len();
        }
    }
}

/// What the parser waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    /// A word of a command, or the first of the next one.
    #[default]
    Command,
    /// The word behind a redirection.
    Target(Redirect),
    /// The name behind `for` or `select`.
    LoopName,
    /// `in` or `do` behind that name.
    LoopIn,
    /// The words behind `in`.
    LoopWords,
}

#[derive(Default)]
struct Parser {
    done: Vec<Simple>,
    current: Simple,
    /// A redirection or an assignment stands before the command, so that no reserved word can follow.
    has_prefix: bool,
    expected: Expected,
    depth: u32,
    documents: Vec<HereDocument>,
}

impl Parser {
    fn word(&mut self, word: Word) -> Option<()> {
        match self.expected {
            Expected::Target(kind) => {
                self.expected = Expected::Command;
                let is_written = match kind {
                    Redirect::Document { strips_tabs } => {
                        self.documents.push(HereDocument {
                            end: word.text,
                            strips_tabs,
                            is_quoted: word.was_quoted,
                        });
                        return Some(());
                    }
                    Redirect::Read => {
                        word.text.starts_with("/dev/tcp/") || word.text.starts_with("/dev/udp/")
                    }
                    Redirect::Write => true,
                    // `2>&1`, `>&-`, `3>&1-`
                    Redirect::Copy => {
                        let descriptor = word.text.strip_suffix('-').unwrap_or(&word.text);
                        !descriptor.bytes().all(|byte| byte.is_ascii_digit())
                    }
                };
                if is_written || word.is_pattern {
                    self.current.writes.push(word);
                }
            }
            Expected::LoopName => {
                self.expected = Expected::LoopIn;
                self.current.assigned.push(word.text);
            }
            Expected::LoopIn if word.is_reserved("in") => self.expected = Expected::LoopWords,
            Expected::LoopIn if word.is_reserved("do") => self.expected = Expected::Command,
            Expected::LoopIn => return None,
            Expected::LoopWords => {}
            Expected::Command if self.current.words.is_empty() => return self.first(word),
            Expected::Command => self.current.words.push(word),
        }
        Some(())
    }

    /// A word where a command begins.
    fn first(&mut self, word: Word) -> Option<()> {
        if !self.has_prefix && !word.was_quoted {
            match &*word.text {
                "if" | "then" | "else" | "elif" | "fi" | "while" | "until" | "do" | "done"
                | "{" | "}" | "!" => return Some(()),
                "for" | "select" => {
                    self.expected = Expected::LoopName;
                    return Some(());
                }
                "case" | "esac" | "function" | "[[" | "coproc" => return None,
                _ => {}
            }
        }
        match word.assigned() {
            Some(name) => {
                self.current.assigned.push(name.to_owned());
                self.has_prefix = true;
            }
            None => self.current.words.push(word),
        }
        Some(())
    }

    fn redirect(&mut self, kind: Redirect) -> Option<()> {
        if self.expected != Expected::Command {
            return None;
        }
        self.expected = Expected::Target(kind);
        self.has_prefix = true;
        Some(())
    }

    /// `(` opens a subshell where a command begins; elsewhere it would define a function or an array.
    fn open(&mut self) -> Option<()> {
        let begins = self.current.words.is_empty() && !self.has_prefix;
        if !begins || self.expected != Expected::Command {
            return None;
        }
        self.depth = self.depth.saturating_add(1);
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        self.separator()?;
        self.depth = self.depth.checked_sub(1)?;
        Some(())
    }

    fn separator(&mut self) -> Option<()> {
        match self.expected {
            Expected::Command | Expected::LoopWords | Expected::LoopIn => {}
            Expected::Target(_) | Expected::LoopName => return None,
        }
        // `for x; do`, and a line end before `do` or `in`.
        if self.expected == Expected::LoopWords {
            self.expected = Expected::Command;
        }
        self.has_prefix = false;
        let simple = std::mem::take(&mut self.current);
        let is_empty = simple.words.is_empty() && simple.assigned.is_empty();
        if !is_empty || !simple.writes.is_empty() {
            self.done.push(simple);
        }
        Some(())
    }

    fn end(mut self) -> Option<Vec<Simple>> {
        self.separator()?;
        let is_closed =
            self.depth == 0 && self.documents.is_empty() && self.expected == Expected::Command;
        is_closed.then_some(self.done)
    }
}
