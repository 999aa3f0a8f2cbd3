//! Simple commands of a shell line (POSIX Shell Command Language, with bash extensions), read without running it.
//!
//! Supported are quotes, escapes, line continuations, comments, redirections, groups, subshells, loops, conditions and
//! `$(…)`; the commands of a substitution count as commands of the line. The output of a substitution, and the value of a
//! plain variable (`$x`, `${x}`, `$?`), make a word of unknown text. Unreadable are `${x:-…}` and similar expansions,
//! backticks, `$'…'`, process substitution, here-documents that expand, arithmetic, arrays, `case`, `[[`, functions,
//! `coproc`, and everything that is not closed. Where shells differ (`&>` is one redirection to bash, `&` and a redirection
//! to dash), the reading with more commands is taken. Where that reading is hard to determine (zsh's `{ a } always { b }`),
//! the line is unreadable.
//!
//! Out of scope: what only an interactive shell does (history, zsh without comments), and bash before version 4, which
//! searches for the end of a substitution without reading here-documents.

use std::iter::Peekable;
use std::str::Chars;

/// Word after the removal of quotes and escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Bytes of the text up to the first quoted one; all bytes if none was quoted.
    plain: usize,
    was_quoted: bool,
    /// Whether the word is a glob, a brace expansion or a value, and so stands for unknown words. A value is `*` in the
    /// text, or a digit.
    pub(super) is_pattern: bool,
    /// Whether the word may become several words, each with any text.
    pub(super) splits: bool,
}

impl Word {
    /// Returns a word that no shell interprets.
    pub(super) fn literal(text: &str) -> Word {
        Word {
            text: text.to_owned(),
            plain: 0,
            was_quoted: true,
            ..Word::default()
        }
    }

    /// Returns the name and the value, if the word is an assignment.
    fn assigned(&self) -> Option<(&str, &str)> {
        let (name, value) = assignment(&self.text)?;
        (name.len() < self.plain || !self.was_quoted).then_some((name, value))
    }

    /// Returns the word with unknown text in place of a mark that some program replaces (`{}` in the commands of `find`).
    pub(super) fn replaced(&self, mark: &str) -> Word {
        let mut word = self.clone();
        if !mark.is_empty() && word.text.contains(mark) {
            word.text = word.text.replace(mark, "*");
            word.is_pattern = true;
        }
        word
    }

    /// Returns whether the text is unknown and may begin with anything: it could be an option, or end a list of words.
    pub(super) fn may_be_option(&self) -> bool {
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '/' | '_');
        self.splits || self.is_pattern && !self.text.starts_with(is_name)
    }

    fn is_reserved(&self, word: &str) -> bool {
        !self.was_quoted && self.text == word
    }
}

/// Returns the name and the value of `NAME=value` or `NAME+=value`.
pub(super) fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.strip_suffix('+').unwrap_or(name);
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (begins && fits).then_some((name, value))
}

/// Simple command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Simple {
    /// Names that are assigned for the command, or for the shell if there are no words, with their values.
    pub(super) assigned: Vec<(String, String)>,
    /// Names that a loop assigns for the shell.
    pub(super) loops: Vec<String>,
    /// Files that its redirections write, or that are not files (`/dev/tcp/…`).
    pub(super) writes: Vec<Word>,
    /// Command and its arguments.
    pub(super) words: Vec<Word>,
}

/// Returns the simple commands of a line, in their order; `None` if the line is unreadable.
pub(super) fn simple_commands(line: &str) -> Option<Vec<Simple>> {
    if line.contains('\0') {
        return None;
    }
    let mut lexer = Lexer {
        chars: line.chars().peekable(),
        substituted: Vec::new(),
        depth: 0,
        has_documents: false,
    };
    let mut all = lexer.commands()?;
    all.append(&mut lexer.substituted);
    Some(all)
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
    /// Reads the file that the next word names.
    Read,
    /// `<<<`: reads the next word itself.
    Text,
    /// Writes the file that the next word names.
    Write,
    /// Duplicates the descriptor that the next word names. If the word is not a descriptor, bash takes it for a file.
    Copy,
    /// `<<`, `<<-`: reads the following lines, up to one that equals the next word.
    Document { strips_tabs: bool },
}

/// Here-document whose lines follow after the end of the line.
#[derive(Debug)]
struct HereDocument {
    end: String,
    strips_tabs: bool,
    is_quoted: bool,
}

struct Lexer<'t> {
    chars: Peekable<Chars<'t>>,
    /// Commands of the substitutions that have been read.
    substituted: Vec<Simple>,
    /// Number of open substitutions.
    depth: u8,
    /// Whether the lines of a here-document are still to come. Shells differ in whether the lines of a substitution are
    /// among them.
    has_documents: bool,
}

/// Maximum nesting of substitutions.
const MAX_DEPTH: u8 = 8;

fn is_of_name(c: &char) -> bool {
    c.is_ascii_alphanumeric() || *c == '_'
}

impl Lexer<'_> {
    /// Reads the commands up to the end of the text, or up to the bracket that ends the current substitution.
    fn commands(&mut self) -> Option<Vec<Simple>> {
        let mut parser = Parser::default();
        loop {
            self.has_documents = parser.has_documents();
            match self.token()? {
                Token::End if self.depth == 0 => return parser.end(),
                Token::End => return None,
                Token::Close if self.depth > 0 && parser.depth == 0 => return parser.end(),
                Token::Word(word) => parser.word(word)?,
                Token::Redirect(kind) => parser.redirect(kind)?,
                Token::Open => parser.open()?,
                Token::Close => parser.close()?,
                Token::Separator => parser.separator()?,
                Token::LineEnd => {
                    parser.separator()?;
                    for document in parser.documents.drain(..) {
                        self.here_document(&document)?;
                    }
                }
            }
        }
    }

    /// Returns whether a line continuation comes next. Shells remove it before they look for `$(`, `<<-` and similar
    /// tokens.
    fn continues(&self) -> bool {
        let mut ahead = self.chars.clone();
        ahead.next() == Some('\\') && ahead.next() == Some('\n')
    }

    /// Reads what follows a `$`, which has been taken.
    fn dollar(&mut self, word: &mut Word, is_quoted: bool) -> Option<()> {
        if self.continues() {
            return None;
        }
        let mut value = '*';
        let mut splits = !is_quoted;
        match self.chars.peek() {
            Some('(') => {
                self.chars.next();
                // `$((` begins arithmetic.
                let is_arithmetic = self.chars.peek() == Some(&'(') || self.continues();
                if is_arithmetic || self.has_documents || self.depth >= MAX_DEPTH {
                    return None;
                }
                self.depth = self.depth.saturating_add(1);
                let mut commands = self.commands()?;
                self.depth = self.depth.saturating_sub(1);
                self.substituted.append(&mut commands);
            }
            // These are numbers.
            Some('?' | '#' | '$') => {
                self.chars.next();
                value = '0';
                splits = false;
            }
            Some('@') => {
                self.chars.next();
                splits = true;
            }
            Some('*' | '-' | '!') => {
                self.chars.next();
            }
            Some('{') => {
                self.chars.next();
                self.chars.next_if(is_of_name)?;
                while self.chars.next_if(is_of_name).is_some() {}
                self.chars.next_if_eq(&'}')?;
            }
            Some(c) if is_of_name(c) => while self.chars.next_if(is_of_name).is_some() {},
            // `$[1+1]` is arithmetic. zsh splits by `$=x`, and takes letters beyond ASCII for a name.
            Some('[' | '=' | '~' | '^' | '+') => return None,
            Some('\'' | '"') if !is_quoted => return None,
            Some(c) if c.is_alphanumeric() => return None,
            _ => {
                word.text.push('$');
                return Some(());
            }
        }
        // zsh takes this for a subscript, which is arithmetic.
        if self.chars.peek() == Some(&'[') {
            return None;
        }
        word.text.push(value);
        word.is_pattern = true;
        word.splits |= splits;
        Some(())
    }

    fn next_is(&mut self, c: char) -> bool {
        self.chars.next_if_eq(&c).is_some()
    }

    /// Returns the next token; `None` if it is unreadable.
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
                    // `;;` and similar tokens end a branch of `case`.
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
                    let is_arithmetic = self.chars.peek() == Some(&'(') || self.continues();
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
            kind = match self.next_is('<') {
                true => Redirect::Text,
                false => Redirect::Document {
                    strips_tabs: self.next_is('-'),
                },
            };
        } else if is_input {
            // `<>` opens a file for reading and writing.
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
        // Process substitution: a command whose output is a file.
        let is_substituted = self.chars.peek() == Some(&'(') || self.continues();
        (!is_substituted).then_some(Token::Redirect(kind))
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
                    self.double_quoted(&mut word)?;
                }
                '`' => return None,
                '$' => self.dollar(&mut word, false)?,
                // Not an expansion: `find` and `xargs` replace it.
                '{' if self.next_is('}') => word.text.push_str("{}"),
                _ => {
                    word.is_pattern |= matches!(c, '*' | '?' | '[' | '{');
                    word.text.push(c);
                }
            }
        }
        if !word.was_quoted {
            word.plain = word.text.len();
            // `{` groups commands.
            word.is_pattern &= !matches!(&*word.text, "{" | "[");
            let is_descriptor =
                !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_digit());
            if matches!(self.chars.peek(), Some('<' | '>')) {
                if is_descriptor && !word.is_pattern {
                    return self.redirect();
                }
                // bash assigns the descriptor to a variable: `{PATH}>x`.
                if word.text.ends_with('}') {
                    return None;
                }
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

    fn double_quoted(&mut self, word: &mut Word) -> Option<()> {
        loop {
            match self.chars.next()? {
                '"' => return Some(()),
                '\\' => match self.chars.next()? {
                    '\n' => {}
                    c @ ('$' | '`' | '"' | '\\') => word.text.push(c),
                    c => word.text.extend(['\\', c]),
                },
                '`' => return None,
                '$' => self.dollar(word, true)?,
                c => word.text.push(c),
            }
        }
    }

    /// Takes the lines of a here-document. It is unreadable if the lines expand anything or never end.
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
            // bash and ksh also end the document of a substitution at `EOF)`.
            if self.depth > 0 && stripped.starts_with(&document.end) {
                return None;
            }
            // A backslash may escape a `$` or join lines. Neither is worth supporting.
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

/// Next word that the parser expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    /// Word of a command, or the first word of the next one.
    #[default]
    Command,
    /// Word after a redirection.
    Target(Redirect),
    /// Name after `for` or `select`.
    LoopName,
    /// `in` or `do` after that name.
    LoopIn,
    /// Words after `in`.
    LoopWords,
}

#[derive(Default)]
struct Parser {
    done: Vec<Simple>,
    current: Simple,
    /// Whether a redirection or an assignment is before the command, so that no reserved word can follow.
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
                    Redirect::Text => return Some(()),
                    Redirect::Document { .. } if word.is_pattern => return None,
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
                    // `2>&1`, `>&-`; `3>&1-` moves a descriptor in bash and writes a file in zsh.
                    Redirect::Copy => {
                        word.text != "-" && !word.text.bytes().all(|byte| byte.is_ascii_digit())
                    }
                };
                // zsh's `>!` is `>|`, and the file follows it.
                if is_written && !word.was_quoted && word.text.starts_with('!') {
                    return None;
                }
                if is_written || word.is_pattern {
                    self.current.writes.push(word);
                }
            }
            Expected::LoopName => {
                self.expected = Expected::LoopIn;
                self.current.loops.push(word.text);
            }
            Expected::LoopIn if word.is_reserved("in") => self.expected = Expected::LoopWords,
            Expected::LoopIn if word.is_reserved("do") => self.expected = Expected::Command,
            Expected::LoopIn => return None,
            Expected::LoopWords => {}
            Expected::Command if self.current.words.is_empty() => return self.first(word),
            // zsh closes a group here, so that another one may follow (`{ a } always { b }`).
            Expected::Command if word.is_reserved("}") => return None,
            Expected::Command => self.current.words.push(word),
        }
        Some(())
    }

    /// Adds a word at the beginning of a command.
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
            Some((name, value)) => {
                let assigned = (name.to_owned(), value.to_owned());
                self.current.assigned.push(assigned);
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

    /// Opens a subshell. Not at the beginning of a command, `(` would define a function or an array.
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
        // This is `for x; do`, or a line end before `do` or `in`.
        if self.expected == Expected::LoopWords {
            self.expected = Expected::Command;
        }
        self.has_prefix = false;
        let simple = std::mem::take(&mut self.current);
        if simple != Simple::default() {
            self.done.push(simple);
        }
        Some(())
    }

    fn has_documents(&self) -> bool {
        !self.documents.is_empty()
            || matches!(self.expected, Expected::Target(Redirect::Document { .. }))
    }

    fn end(mut self) -> Option<Vec<Simple>> {
        self.separator()?;
        let is_closed =
            self.depth == 0 && self.documents.is_empty() && self.expected == Expected::Command;
        is_closed.then_some(self.done)
    }
}
