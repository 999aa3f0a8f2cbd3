//! Tables: what the heading of a column says counts in every row below it, as if it stood before the value.
//!
//! A table is lines of cells with commas, semicolons, tabs or pipes between them under a line of names, some of which
//! say something to a detector; or the rows of an `INSERT INTO t (a, b) VALUES (…), (…)`; or lines of one value each
//! under such a name. Rules of dashes between the lines belong to it. It ends at an empty line, at a line without
//! separators, and at the third line in a row with another number of cells.
//!
//! A text is read cell by cell and at most once, and only as far as somebody asks. What a cell counts as depends on
//! nothing behind it: in a stream nothing is waited for. The state between two cells is small, so that it goes from
//! one piece of a stream to the next: a heading keeps the names of [`COLUMNS`] columns, each of [`NAME`] bytes at most.

use std::ops::Range;
use std::sync::Arc;

use super::context::{self, Slots, Terms, Words};
use super::keyed;
use super::names::Said;

/// Columns of a table that have a name; what stands further right has none.
const COLUMNS: usize = 256;
/// The longest name of a column …
const NAME: usize = 40;
/// … and with the blanks around it.
pub(super) const PADDED: usize = 128;
/// Words of a name.
const NAME_WORDS: usize = 6;
/// A cell that is longer has no value in it.
const LONG: usize = 640;
/// A value stands this near the beginning of its cell, as near as words count.
const BYTES: usize = 80;
/// Words that may stand before a value in its cell. In what may as well be a line of prose none may.
const WORDS: usize = 2;
/// Lines in a row with another number of cells, as where a cell is written over several lines.
const MISFITS: u8 = 2;
/// The longest line of a list.
const ITEM: usize = 48;
/// Most blanks in front of a line and between the parts of a statement.
const BLANKS: usize = 64;
/// Longest name of a table.
const TABLE: usize = 160;

/// Stands between the cells of a statement's rows.
const TUPLE: u8 = b'(';

/// What stands over a column.
#[derive(Clone, Copy, Debug, Default)]
struct Column {
    /// Where its name ends among the others.
    end: usize,
    /// The detectors that the name speaks for.
    slots: Slots,
    /// It calls its values secrets, and says this of them.
    is_secret: bool,
    said: Said,
    /// It is that of a password, in a language that names in programs are not in.
    is_foreign: bool,
}

/// What stands over a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Heading {
    /// What stands between cells; 0: nothing, it is a list.
    mark: u8,
    names: Vec<u8>,
    columns: Vec<Column>,
    /// How many columns there are, those without a name included, and how many of them speak.
    width: usize,
    speaking: usize,
    has_secrets: bool,
}

impl Heading {
    fn add(&mut self, name: &[u8]) {
        if self.columns.len() < COLUMNS {
            self.names.extend_from_slice(name);
            self.columns.push(Column {
                end: self.names.len(),
                ..Column::default()
            });
        }
    }

    fn clear(&mut self) {
        self.names.clear();
        self.columns.clear();
    }

    /// Reads what the names say.
    fn judge(&mut self, terms: &Terms, words: &mut Words) {
        (self.speaking, self.has_secrets) = (0, false);
        let mut start = 0;
        for column in &mut self.columns {
            let name = self.names.get_mut(start..column.end).unwrap_or_default();
            start = column.end;
            column.slots = words.of_name(name, terms);
            if terms.finds_secrets() && keyed::names_secret(name) {
                column.is_secret = true;
                for byte in name.iter_mut().filter(|byte| **byte == b' ') {
                    // As programs write it.
                    *byte = b'_';
                }
                column.said = Said::by(name);
            } else if terms.is_password(column.slots) {
                (column.is_secret, column.is_foreign) = (true, true);
                column.said = Said::by(PASSWORD);
            }
            self.has_secrets |= column.is_secret;
            let speaks = column.slots != 0 || column.is_secret;
            self.speaking = self.speaking.wrapping_add(usize::from(speaks));
        }
    }

    /// The name of a column of secrets as programs write it, `client_secret`, and what it says.
    pub(super) fn secret(&self, column: usize) -> Option<(&[u8], Said)> {
        let known = self.columns.get(column)?;
        let before = column.checked_sub(1).and_then(|at| self.columns.get(at));
        let start = before.map_or(0, |before| before.end);
        let name = match known.is_foreign {
            true => PASSWORD,
            false => self.names.get(start..known.end)?,
        };
        Some((name, known.said))
    }
}

const PASSWORD: &[u8] = b"password";

/// What is known up to a place of a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// The place.
    at: usize,
    stage: Stage,
    /// Of the table that the line belongs to.
    heading: Option<Arc<Heading>>,
    misfits: u8,
    line: Line,
    /// The cells of the line so far, while they may be a heading.
    names: Heading,
    words: Words,
}

/// The tables of a stream where it is settled, for the scan of what follows.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    pub(super) built_in: Standing,
    pub(super) custom: Standing,
}

impl Tables {
    /// So many bytes before what is not settled have to be there.
    pub(super) fn behind(&self) -> usize {
        self.built_in.behind.max(self.custom.behind)
    }
}

/// As the words of some detectors see them.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) table: Table,
    /// It stands so many bytes before what is not settled.
    pub(super) behind: usize,
}

/// What begins at a place, or goes on there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Line,
    Cell,
    /// A long cell goes on.
    Within,
    /// Of what is left of the line nothing is a cell.
    Rest,
    /// Behind `INSERT INTO`.
    Statement,
    /// Behind its names.
    Values,
    /// Between its rows.
    Tuples,
}

/// What is known of a line, or of a row of a statement.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// What stands between its cells; 0: none has been seen.
    mark: u8,
    /// Cells before the place.
    cells: usize,
    /// A tab stands in front of it.
    indented: bool,
    /// It begins as prose doesn't.
    edged: bool,
    /// All of its cells are names, so many of which aren't empty.
    named: bool,
    names: usize,
    /// There is nothing but dashes.
    rule: bool,
    /// As an item of a list is.
    short: bool,
    /// Within a cell: it is quoted as a whole, the quote that is open, and how many brackets.
    quoted: bool,
    quote: u8,
    depth: u8,
}

/// A cell under a name that speaks.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// Without the blanks around it, as far as there is text.
    pub(super) range: Range<usize>,
    /// The detectors that the name speaks for.
    pub(super) slots: Slots,
    /// Words that may stand before a value.
    pub(super) words: usize,
    /// The heading and the number of the column, if that is one of secrets.
    pub(super) secret: Option<(Arc<Heading>, usize)>,
    /// Whether its end has been seen.
    pub(super) ended: bool,
    /// Whether it is of a statement, in which texts are quoted.
    pub(super) in_statement: bool,
}

impl Cell {
    /// Whether a value may begin at a place in it.
    pub(super) fn has(&self, text: &[u8], at: usize) -> bool {
        let Range { start, end } = self.range;
        (start..end).contains(&at) && (at == start || at < reach(text, &self.range, self.words))
    }
}

/// What was read.
#[derive(Debug)]
pub(super) enum Step {
    Moved(Option<Cell>),
    /// Everything up to the end of the text.
    Done(Option<Cell>),
}

impl Table {
    /// Where the next step begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The same at another place: of a view, or a text that begins elsewhere.
    pub(super) fn moved(&self, at: usize) -> Self {
        Self { at, ..self.clone() }
    }

    /// Reads a text up to where it ends.
    pub(super) fn read_all(&mut self, text: &[u8], terms: &Terms) {
        while let Step::Moved(_) = self.step(text, terms) {}
    }

    /// Whether it has secrets, or may have them once the line has been read.
    pub(super) fn may_have_secrets(&self) -> bool {
        let heading = self.heading.as_ref();
        heading.is_some_and(|heading| heading.has_secrets) || !self.names.columns.is_empty()
    }

    /// Reads on by a cell, or what stands between cells.
    pub(super) fn step(&mut self, text: &[u8], terms: &Terms) -> Step {
        match self.stage {
            Stage::Line => self.line(text),
            Stage::Cell => self.cell(text, terms),
            Stage::Within => self.within(text, terms),
            Stage::Rest => self.rest(text, self.at),
            Stage::Statement => self.statement(text),
            Stage::Values => self.values(text),
            Stage::Tuples => self.tuples(text),
        }
    }

    fn go(&mut self, at: usize, stage: Stage) -> Step {
        (self.at, self.stage) = (at, stage);
        Step::Moved(None)
    }

    /// Nothing of the rest of the line belongs to a table.
    fn give_up(&mut self, at: usize) -> Step {
        self.heading = None;
        self.names.clear();
        self.go(at, Stage::Rest)
    }

    fn line(&mut self, text: &[u8]) -> Step {
        let mark = self.heading.as_ref().map_or(0, |heading| heading.mark);
        let blank = |byte: u8| matches!(byte, b' ' | b'\r') || byte == b'\t' && mark != b'\t';
        let start = run(text, self.at, BLANKS, blank);
        let Some(first) = text.get(start).copied() else {
            return Step::Done(None);
        };
        self.names.clear();
        if first == b'\n' {
            self.heading = None;
            return self.go(start.wrapping_add(1), Stage::Line);
        }
        if self.heading.is_none() && !may_begin_line(first) {
            return self.rest(text, start);
        }
        if blank(first) {
            return self.give_up(start);
        }
        if matches!(first | 0x20, b'i' | b'r' | b'c') {
            for words in STATEMENTS {
                match begins(text, start, words) {
                    Some(true) => {
                        return self.go(start.wrapping_add(words.len()), Stage::Statement);
                    }
                    Some(false) => {}
                    None => return Step::Done(None),
                }
            }
        }
        let edged = first == b'|' && matches!(mark, 0 | b'|');
        let before = text.get(self.at..start).unwrap_or_default();
        self.line = Line {
            mark: if edged { first } else { mark },
            indented: before.contains(&b'\t'),
            edged,
            ..Line::new()
        };
        self.go(start.wrapping_add(usize::from(edged)), Stage::Cell)
    }

    fn cell(&mut self, text: &[u8], terms: &Terms) -> Step {
        let from = self.at;
        let mut near = text;
        if self.heading.is_none() {
            // A name, blanks around it.
            let name = match self.line.named {
                true => {
                    let start = run(text, from, PADDED, is_around_name);
                    let end = run(text, start, NAME, may_be_of_name);
                    run(text, end, PADDED, is_around_name)
                }
                false => from,
            };
            match text.get(name) {
                None => return Step::Done(None),
                Some(b'|' | b'\t' | b';' | b',' | b'\n' | b')') if self.line.named => {}
                Some(_) => return self.give_up(from),
            }
            let last = from.wrapping_add(PADDED).min(text.len());
            near = text.get(..last).unwrap_or_default();
        }
        self.line.begin_cell(near, from);
        let end = self.line.end_of_cell(near, from);
        if end.is_none() && near.len() < text.len() {
            return self.give_up(from);
        }
        let to = end.unwrap_or(near.len());
        let cell = self.under_a_name(text, from..to, end.is_some());
        let len = to.wrapping_sub(from);
        let Some(end) = end else {
            if len > LONG {
                (self.at, self.stage) = (to, Stage::Within);
            }
            return Step::Done(cell);
        };
        if len > LONG {
            self.take_in_long();
        } else if self.line.named || self.line.rule || self.line.mark == 0 {
            self.take_in(text, from..to);
        }
        self.behind(text, end, terms);
        Step::Moved(cell)
    }

    /// A cell of a row, if the name of its column speaks.
    fn under_a_name(&self, text: &[u8], cell: Range<usize>, ended: bool) -> Option<Cell> {
        let column = self.line.cells;
        let heading = self.heading.as_ref()?;
        let known = heading.columns.get(column)?;
        (known.slots != 0 || known.is_secret).then(|| Cell {
            range: trimmed(text, cell, is_blank),
            slots: known.slots,
            words: match column > 0 || self.line.edged {
                true => WORDS,
                false => 0,
            },
            secret: known.is_secret.then(|| (Arc::clone(heading), column)),
            ended,
            in_statement: self.line.mark == TUPLE,
        })
    }

    /// Takes note of what a cell is made of.
    fn take_in(&mut self, text: &[u8], cell: Range<usize>) {
        let len = cell.len();
        let content = text.get(trimmed(text, cell, is_blank)).unwrap_or_default();
        let line = &mut self.line;
        let dash = |byte: &u8| matches!(byte, b'-' | b'+' | b'=' | b':');
        line.rule = line.rule && content.iter().all(dash);
        line.short =
            line.short && content.len() <= ITEM && content.iter().any(u8::is_ascii_digit);
        if !line.named {
            return;
        }
        let name = bare(content);
        line.named = len <= PADDED && (name.is_empty() || is_name(name));
        if line.named {
            line.names = line.names.wrapping_add(usize::from(!name.is_empty()));
            self.names.add(name);
        } else {
            self.names.clear();
        }
    }

    fn take_in_long(&mut self) {
        let line = &mut self.line;
        (line.named, line.rule, line.short) = (false, false, false);
        self.names.clear();
    }

    /// Goes on behind a cell.
    fn behind(&mut self, text: &[u8], end: usize, terms: &Terms) {
        let mark = text.get(end).copied().unwrap_or(b'\n');
        let line = &mut self.line;
        line.cells = line.cells.saturating_add(1);
        (self.at, self.stage) = (end.wrapping_add(1), Stage::Cell);
        match mark {
            b'\n' if line.mark != TUPLE => {
                self.end(text, end, terms);
                self.stage = Stage::Line;
            }
            b')' if self.heading.is_some() => self.stage = Stage::Tuples,
            b')' => {
                self.names.judge(terms, &mut self.words);
                self.stand_over(TUPLE);
                self.stage = Stage::Values;
            }
            mark if line.mark == 0 => {
                line.mark = mark;
                // What is indented by tabs has none between its cells.
                line.named &= mark != b'\t' || !line.indented;
            }
            _ => {}
        }
    }

    /// The rest of a cell that has been too long for a while.
    fn within(&mut self, text: &[u8], terms: &Terms) -> Step {
        match self.line.end_of_cell(text, self.at) {
            Some(end) => {
                self.take_in_long();
                self.behind(text, end, terms);
                Step::Moved(None)
            }
            None => {
                self.at = text.len();
                Step::Done(None)
            }
        }
    }

    /// The line ends here: it is a heading, a row, or neither.
    fn end(&mut self, text: &[u8], at: usize, terms: &Terms) {
        let line = self.line;
        let before = text.get(..at).unwrap_or_default().iter();
        let trailing = line.mark == b'|'
            && line.cells > 1
            && before.rev().find(|byte| !is_blank(**byte)) == Some(&b'|');
        let width = line.cells.wrapping_sub(usize::from(trailing));
        self.line.cells = width;
        let (known, speaking, is_list) = match &self.heading {
            Some(heading) => (heading.width, heading.speaking, heading.mark == 0),
            None => (0, 0, false),
        };
        let fits = width == known;
        // Of two lines of names the one that says more is the heading: names are what many rows are made of.
        let least = if fits { speaking } else { 0 };
        let is_item = known == 0 && line.mark == 0 && self.names.names.len() <= ITEM / 2;
        if line.named && (line.names > 1 || is_item) && {
            self.names.judge(terms, &mut self.words);
            self.names.speaking > least
        } {
            self.stand_over(line.mark);
        } else if is_list && !(line.cells == 1 && line.short) {
            self.heading = None;
        } else if fits {
            self.misfits = 0;
        } else if !line.rule {
            self.misfits = self.misfits.wrapping_add(1);
            if line.cells < 2 && !line.edged || self.misfits > MISFITS {
                self.heading = None;
            }
        }
        self.names.clear();
    }

    /// What has been read is the heading of what follows, if it says something.
    fn stand_over(&mut self, mark: u8) {
        let names = std::mem::take(&mut self.names);
        let mut heading = Heading {
            mark,
            width: self.line.cells,
            ..names
        };
        if mark == 0 {
            // Lines of one word each are many things.
            heading.has_secrets = false;
            for column in &mut heading.columns {
                column.is_secret = false;
            }
        }
        self.misfits = 0;
        self.heading = (heading.speaking > 0).then(|| Arc::new(heading));
    }

    fn rest(&mut self, text: &[u8], from: usize) -> Step {
        match newline(text, from) {
            Some(end) => self.go(end.wrapping_add(1), Stage::Line),
            None => {
                (self.at, self.stage) = (text.len(), Stage::Rest);
                Step::Done(None)
            }
        }
    }

    /// The name of a table, up to the bracket before its columns.
    fn statement(&mut self, text: &[u8]) -> Step {
        self.heading = None;
        let named = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || byte >= 0x80
                || byte.is_ascii_whitespace()
                || matches!(byte, b'_' | b'-' | b'.' | b'"' | b'`' | b'[' | b']' | b'$')
        };
        let end = run(text, self.at, TABLE, named);
        match text.get(end) {
            Some(&TUPLE) => {
                self.line = Line {
                    mark: TUPLE,
                    edged: true,
                    ..Line::new()
                };
                self.go(end.wrapping_add(1), Stage::Cell)
            }
            Some(_) => self.give_up(end),
            None => Step::Done(None),
        }
    }

    fn values(&mut self, text: &[u8]) -> Step {
        let Some(heading) = &self.heading else {
            return self.give_up(self.at);
        };
        let start = run(text, self.at, BLANKS, |byte| byte.is_ascii_whitespace());
        if begins(text, start, b"values") == Some(true) {
            return self.go(start.wrapping_add(6), Stage::Tuples);
        }
        if begins(text, start, b"from stdin") == Some(true) {
            let lines = Heading {
                mark: b'\t',
                ..Heading::clone(heading)
            };
            self.heading = Some(Arc::new(lines));
            return self.go(start, Stage::Rest);
        }
        let cut = |words| begins(text, start, words).is_none();
        if cut(b"values") || cut(b"from stdin") {
            return Step::Done(None);
        }
        self.give_up(start)
    }

    fn tuples(&mut self, text: &[u8]) -> Step {
        let between = |byte: u8| byte.is_ascii_whitespace() || byte == b',';
        let start = run(text, self.at, BLANKS, between);
        match text.get(start) {
            Some(&TUPLE) => {
                self.line = Line {
                    mark: TUPLE,
                    edged: true,
                    named: false,
                    ..Line::new()
                };
                self.go(start.wrapping_add(1), Stage::Cell)
            }
            Some(_) => self.give_up(start),
            None => Step::Done(None),
        }
    }
}

/// What rows of tables stand behind, up to the name of the table.
const STATEMENTS: [&[u8]; 3] = [b"insert into ", b"replace into ", b"copy "];

impl Line {
    fn new() -> Self {
        Self {
            named: true,
            rule: true,
            short: true,
            ..Self::default()
        }
    }

    fn begin_cell(&mut self, text: &[u8], from: usize) {
        let start = run(text, from, PADDED, |byte| byte == b' ');
        self.quoted = text.get(start) == Some(&b'"');
        (self.quote, self.depth) = (0, 0);
    }

    /// Where the cell ends that begins here or goes on.
    fn end_of_cell(&mut self, text: &[u8], from: usize) -> Option<usize> {
        let bytes = text.get(from..)?;
        let len = match self.mark {
            TUPLE => self.end_of_member(bytes),
            0 => bytes
                .iter()
                .position(|byte| matches!(byte, b'\n' | b'|' | b'\t' | b';' | b',')),
            mark if !self.quoted => bytes.iter().position(|byte| matches!(*byte, b'\n') || *byte == mark),
            mark => bytes.iter().position(|byte| {
                if *byte == b'"' {
                    self.quote ^= b'"';
                }
                *byte == b'\n' || *byte == mark && self.quote == 0
            }),
        };
        Some(from.wrapping_add(len?))
    }

    /// The same of a statement, with its quotes and brackets.
    fn end_of_member(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut next = bytes.iter().skip(1);
        bytes.iter().position(|byte| {
            let next = next.next().copied().unwrap_or(0);
            if self.quote != 0 {
                // A quote in a text is doubled, or was escaped.
                let within = next.is_ascii_alphanumeric() || next == self.quote || next >= 0x80;
                if *byte == self.quote && !within {
                    self.quote = 0;
                }
                return false;
            }
            match *byte {
                b'\'' | b'"' | b'`' => self.quote = *byte,
                b'(' => self.depth = self.depth.saturating_add(1),
                b')' | b',' if self.depth == 0 => return true,
                b')' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            false
        })
    }
}

/// The end of the bytes from a place on that fit, so many at most.
fn run(text: &[u8], from: usize, most: usize, fits: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let near = rest.get(..most).unwrap_or(rest);
    let other = near.iter().position(|byte| !fits(*byte));
    from.wrapping_add(other.unwrap_or(near.len()))
}

/// Whether such words stand at a place, letters in any case; `None`: the text ends before that is known.
fn begins(text: &[u8], at: usize, words: &[u8]) -> Option<bool> {
    let rest = text.get(at..).unwrap_or_default();
    let fits = rest
        .iter()
        .zip(words)
        .all(|(byte, word)| byte.eq_ignore_ascii_case(word));
    (!fits || rest.len() >= words.len()).then_some(fits)
}

/// The next end of a line, eight bytes at a time: most texts have long lines and no tables.
fn newline(text: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let rest = text.get(from..)?;
    let (eights, _) = rest.as_chunks::<8>();
    let without = eights
        .iter()
        .take_while(|eight| {
            let other = u64::from_le_bytes(**eight) ^ (ONES.wrapping_mul(u64::from(b'\n')));
            other.wrapping_sub(ONES) & !other & (ONES << 7) == 0
        })
        .count()
        .wrapping_mul(8);
    let place = rest.get(without..)?.iter().position(|byte| *byte == b'\n')?;
    Some(from.wrapping_add(without).wrapping_add(place))
}

/// What is left of a range without what is blank at its ends.
fn trimmed(text: &[u8], range: Range<usize>, blank: impl Fn(u8) -> bool) -> Range<usize> {
    let bytes = text.get(range.clone()).unwrap_or_default();
    let kept = |byte: &u8| !blank(*byte);
    match (bytes.iter().position(kept), bytes.iter().rposition(kept)) {
        (Some(first), Some(last)) => {
            let start = range.start.wrapping_add(first);
            start..range.start.wrapping_add(last).wrapping_add(1)
        }
        _ => range.end..range.end,
    }
}

/// What stands around names that is no part of them.
pub(super) const fn is_around_name(byte: u8) -> bool {
    matches!(byte, b' ' | b'\r' | b'"' | b'\'' | b'`' | b'*' | b'[' | b']')
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

fn bare(cell: &[u8]) -> &[u8] {
    let range = trimmed(cell, 0..cell.len(), is_around_name);
    cell.get(range).unwrap_or_default()
}

fn may_be_of_name(byte: u8) -> bool {
    let bits = OF_NAMES.get(usize::from(byte >> 6));
    bits.is_some_and(|bits| bits >> (byte & 63) & 1 == 1)
}

/// What cells of a heading are made of, a bit for each byte.
static OF_NAMES: [u64; 4] = of_names();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn of_names() -> [u64; 4] {
    let mut bits = [0, 0, u64::MAX, u64::MAX];
    let mut byte = 0u8;
    while byte < 0x80 {
        let mark = matches!(
            byte,
            b'_' | b'-' | b'.' | b'/' | b'#' | b'&' | b'(' | b')' | b'?'
        );
        if byte.is_ascii_alphanumeric() || is_around_name(byte) || mark {
            bits[(byte >> 6) as usize] |= 1 << (byte & 63);
        }
        byte += 1;
    }
    bits
}

/// Whether a heading may begin so.
fn may_begin_line(byte: u8) -> bool {
    may_be_of_name(byte) && !byte.is_ascii_digit() || matches!(byte, b'|' | b',' | b';' | b'\t')
}

/// Whether a column may be called so: a few words, perhaps with some in brackets.
fn is_name(name: &[u8]) -> bool {
    let first = name.first().copied().unwrap_or(0);
    if name.len() > NAME || !(context::is_letter(first) || matches!(first, b'_' | b'#')) {
        return false;
    }
    let mut before = 0u8;
    let mut open = false;
    let mut words = 1usize;
    let plain = name.iter().all(|byte| {
        let last = std::mem::replace(&mut before, *byte);
        match *byte {
            b' ' => words = words.wrapping_add(1),
            b'(' if last != b' ' || open => return false,
            b')' if !open => return false,
            b'(' | b')' => open = !open,
            b'"' | b'\'' | b'`' | b'*' => return false,
            byte => return may_be_of_name(byte),
        }
        true
    });
    plain && !open && words <= NAME_WORDS
}

/// The place in a cell before which a value begins: so many words at most stand before it.
fn reach(text: &[u8], range: &Range<usize>, words: usize) -> usize {
    let last = range.start.saturating_add(BYTES).min(range.end);
    let mut at = range.start;
    for _ in 0..=words {
        at = run(text, at, BYTES, |byte| !context::is_letter(byte));
        at = run(text, at, BYTES, context::is_letter);
    }
    at.min(last)
}
