//! Tables: what the heading of a column says counts in every row below it, as if it stood before the value.
//!
//! A table is lines of cells with commas, semicolons, tabs or pipes between them under a line of names, some of which
//! say something to a detector; or the rows of an `INSERT INTO t (a, b) VALUES (…), (…)`; or lines of one value each
//! under such a name. Rules of dashes between the lines belong to it. It ends at an empty line, at a line without
//! separators, at the third line in a row with another number of cells, and at its first line if that has another.
//!
//! A text is read cell by cell and at most once, and only as far as somebody asks. What a cell counts as depends on
//! nothing behind it: in a stream nothing is waited for. The state between two cells is small, so that it goes from
//! one piece of a stream to the next: a heading keeps the names of [`COLUMNS`] columns, each of [`NAME`] bytes at most.

use std::ops::Range;
use std::sync::Arc;

use super::context::{ContextDictionary, DetectorSet, Words, is_letter};
use super::named_value;
use super::names::NameGroups;
use crate::wire::work;

/// Columns of a table that have a name; what stands further right has none.
const COLUMNS: usize = 256;
/// The longest name of a column …
const NAME: usize = 40;
/// … and with the blanks around it.
pub(super) const PADDED: usize = 128;
/// Words of a name, and digits: `address2`.
const NAME_WORDS: usize = 6;
const NAME_DIGITS: usize = 4;
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
/// Headings of one text, those of lists aside: to tell one costs as much as many bytes of other text.
const HEADINGS: u16 = 2_000;
/// Steps of reading on by a cell, and of asking what a name says.
const STEP: usize = 12;
const JUDGED: usize = 120;
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
    slots: DetectorSet,
    /// It calls its values secrets, and says this of them.
    is_secret: bool,
    said: NameGroups,
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
    fn judge(&mut self, terms: &ContextDictionary) {
        let mut words = Words::default();
        (self.speaking, self.has_secrets) = (0, false);
        let mut start = 0;
        for column in &mut self.columns {
            work::spend(JUDGED);
            let name = self.names.get_mut(start..column.end).unwrap_or_default();
            start = column.end;
            column.slots = words.of_name(name, terms);
            if terms.finds_secrets() && named_value::names_secret(name) {
                column.is_secret = true;
                for byte in name.iter_mut().filter(|byte| **byte == b' ') {
                    // As programs write it.
                    *byte = b'_';
                }
                column.said = NameGroups::by(name);
            } else if terms.is_password(column.slots) {
                (column.is_secret, column.is_foreign) = (true, true);
                column.said = NameGroups::by(PASSWORD);
            }
            self.has_secrets |= column.is_secret;
            let speaks = column.slots != 0 || column.is_secret;
            self.speaking = self.speaking.wrapping_add(usize::from(speaks));
        }
    }

    /// The name of a column of secrets as programs write it, `client_secret`, and what it says.
    pub(super) fn secret(&self, cell: &Cell) -> Option<(&[u8], NameGroups)> {
        let column = cell.column;
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
    stage: TableStage,
    /// Of the table that the line belongs to.
    heading: Option<Arc<Heading>>,
    misfits: u8,
    /// How many lines have been judged to be one.
    headings: u16,
    line: TableLine,
    /// The cells of the line so far, while they may be a heading.
    names: Heading,
}

/// The tables of a stream where it is settled, for the scan of what follows. The default: it has not begun.
#[derive(Clone, Debug, Default)]
pub struct Tables(Option<Box<[TableState; 2]>>);

/// Whose words they are read with: those of the built-in detectors, or of a policy's own.
pub(super) const BUILT_IN: usize = 0;
pub(super) const CUSTOM: usize = 1;

impl Tables {
    /// So many bytes before what is not settled have to be there.
    pub(super) fn behind(&self) -> usize {
        let both = self.0.iter().flat_map(|both| both.iter());
        both.fold(0, |most, standing| most.max(standing.behind))
    }

    pub(super) fn of(&self, whose: usize) -> Option<&TableState> {
        self.0.as_ref()?.get(whose)
    }

    pub(super) fn both(&mut self) -> &mut [TableState; 2] {
        self.0.get_or_insert_default()
    }
}

/// As the words of some detectors see them.
#[derive(Clone, Debug, Default)]
pub(super) struct TableState {
    pub(super) table: Table,
    /// It stands so many bytes before what is not settled.
    pub(super) behind: usize,
}

/// What begins at a place, or goes on there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TableStage {
    #[default]
    Line,
    Cell,
    /// A long cell goes on.
    Within,
    End,
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
struct TableLine {
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
    /// The last cell is empty.
    empty: bool,
    /// Within a cell: it is quoted as a whole, the quote that is open, and how many brackets.
    quoted: bool,
    quote: u8,
    depth: u8,
}

/// A cell under a name that speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// Where it begins and ends, as far as there is text, without the blanks around it.
    start: usize,
    end: usize,
    column: usize,
    /// The detectors that the name speaks for.
    pub(super) slots: DetectorSet,
    pub(super) is_secret: bool,
    /// Words that may stand before a value.
    words: usize,
    /// Whether its end has been seen.
    pub(super) ended: bool,
    /// Whether it is of a statement, in which texts are quoted.
    pub(super) in_statement: bool,
}

impl Cell {
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Whether it is not too short for a secret.
    pub(super) fn may_hold_secret(&self) -> bool {
        !self.ended || self.range().len() >= 5
    }

    /// Whether a value may begin at a place in it.
    pub(super) fn has(&self, text: &[u8], at: usize) -> bool {
        at == self.start
            || self.range().contains(&at) && at < reach(text, &self.range(), self.words)
    }
}

/// What was read.
#[derive(Clone, Copy, Debug)]
pub(super) enum TableStep {
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
    pub(super) fn moved(self, at: usize) -> Self {
        Self { at, ..self }
    }

    /// Reads a text up to where it ends.
    pub(super) fn read_all(&mut self, text: &[u8], terms: &ContextDictionary) {
        while let TableStep::Moved(_) = self.step(text, terms) {}
    }

    /// The heading that a cell stands under which has just been read.
    pub(super) fn heading(&self) -> Option<Arc<Heading>> {
        self.heading.clone()
    }

    /// Whether it has secrets, or may have them once the line has been read.
    pub(super) fn may_have_secrets(&self) -> bool {
        let heading = self.heading.as_ref();
        heading.is_some_and(|heading| heading.has_secrets) || !self.names.columns.is_empty()
    }

    /// Whether the text has so many headings that the rest of it is not read.
    pub(super) fn is_incomplete(&self) -> bool {
        self.headings >= HEADINGS
    }

    /// Reads on by a cell, or what stands between cells.
    pub(super) fn step(&mut self, text: &[u8], terms: &ContextDictionary) -> TableStep {
        if self.is_incomplete() {
            self.at = text.len();
            return TableStep::Done(None);
        }
        let from = self.at;
        let step = match self.stage {
            TableStage::Line => self.line(text),
            TableStage::Cell => self.cell(text, terms),
            TableStage::Within => self.within(text, terms),
            TableStage::End => self.end(terms),
            TableStage::Rest => self.rest(text, self.at),
            TableStage::Statement => self.statement(text),
            TableStage::Values => self.values(text),
            TableStage::Tuples => self.tuples(text),
        };
        work::spend(self.at.saturating_sub(from) / 4);
        work::spend(STEP);
        step
    }

    fn go(&mut self, at: usize, stage: TableStage) -> TableStep {
        (self.at, self.stage) = (at, stage);
        TableStep::Moved(None)
    }

    /// Nothing of the rest of the line belongs to a table.
    fn give_up(&mut self, at: usize) -> TableStep {
        self.heading = None;
        self.names.clear();
        self.go(at, TableStage::Rest)
    }

    fn line(&mut self, text: &[u8]) -> TableStep {
        let mark = self.heading.as_ref().map_or(0, |heading| heading.mark);
        let mut start = self.at;
        if mark != b'\t' {
            start = run(text, start, BLANKS, SPACE);
        }
        let Some(first) = text.get(start).copied() else {
            return TableStep::Done(None);
        };
        self.names.clear();
        if matches!(first, b'\n' | b'\r') {
            self.heading = None;
            return self.rest(text, start);
        }
        if self.heading.is_none() && !is_of(first, FIRST) {
            return self.rest(text, start);
        }
        if start.wrapping_sub(self.at) == BLANKS {
            return self.give_up(start);
        }
        if matches!(first | 0x20, b'i' | b'r' | b'c') {
            // `copy` is also what a row may begin with.
            let most = if self.heading.is_some() { 2 } else { 3 };
            for words in STATEMENTS.into_iter().take(most) {
                match begins(text, start, words) {
                    Some(true) => {
                        return self.go(start.wrapping_add(words.len()), TableStage::Statement);
                    }
                    Some(false) => {}
                    None => return TableStep::Done(None),
                }
            }
        }
        let edged = first == b'|' && matches!(mark, 0 | b'|');
        let before = text.get(self.at..start).unwrap_or_default();
        self.line = TableLine {
            mark: if edged { first } else { mark },
            indented: before.contains(&b'\t'),
            edged,
            ..TableLine::new()
        };
        self.go(start.wrapping_add(usize::from(edged)), TableStage::Cell)
    }

    fn cell(&mut self, text: &[u8], terms: &ContextDictionary) -> TableStep {
        let from = self.at;
        let mut near = text;
        if self.heading.is_none() {
            // A name, blanks around it.
            let name = match self.line.named {
                true => {
                    let start = run(text, from, PADDED, AROUND);
                    let end = run(text, start, NAME, OF_NAMES);
                    run(text, end, PADDED, AROUND)
                }
                false => from,
            };
            match text.get(name) {
                None => return TableStep::Done(None),
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
                (self.at, self.stage) = (to, TableStage::Within);
            }
            return TableStep::Done(cell);
        };
        if len > LONG {
            self.take_in_long();
        } else if self.line.named || self.line.rule || self.line.edged || self.line.mark == 0 {
            self.take_in(text, from..to);
        }
        self.behind(text, end, terms);
        TableStep::Moved(cell)
    }

    /// A cell of a row, if the name of its column speaks.
    fn under_a_name(&self, text: &[u8], cell: Range<usize>, ended: bool) -> Option<Cell> {
        let column = self.line.cells;
        let heading = self.heading.as_ref()?;
        let known = heading.columns.get(column)?;
        if known.slots == 0 && !known.is_secret {
            return None;
        }
        let range = trimmed(text, cell, BLANK);
        Some(Cell {
            start: range.start,
            end: range.end,
            column,
            slots: known.slots,
            is_secret: known.is_secret,
            words: match column > 0 || self.line.edged {
                true => WORDS,
                false => 0,
            },
            ended,
            in_statement: self.line.mark == TUPLE,
        })
    }

    /// Takes note of what a cell is made of.
    fn take_in(&mut self, text: &[u8], cell: Range<usize>) {
        let len = cell.len();
        let content = text.get(trimmed(text, cell, BLANK)).unwrap_or_default();
        let line = &mut self.line;
        line.empty = content.is_empty();
        let dash = |byte: &u8| matches!(byte, b'-' | b'+' | b'=' | b':');
        line.rule = line.rule && content.iter().all(dash);
        line.short = line.short && content.len() <= ITEM && content.iter().any(u8::is_ascii_digit);
        if !line.named {
            return;
        }
        let name = trimmed(content, 0..content.len(), AROUND);
        let name = content.get(name).unwrap_or_default();
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
        (line.named, line.rule, line.short, line.empty) = (false, false, false, false);
        self.names.clear();
    }

    /// Goes on behind a cell.
    fn behind(&mut self, text: &[u8], end: usize, terms: &ContextDictionary) {
        let mark = text.get(end).copied().unwrap_or(b'\n');
        let line = &mut self.line;
        line.cells = line.cells.saturating_add(1);
        (self.at, self.stage) = (end.wrapping_add(1), TableStage::Cell);
        match mark {
            b'\n' if line.mark != TUPLE => (self.at, self.stage) = (end, TableStage::End),
            b')' if self.heading.is_some() => self.stage = TableStage::Tuples,
            b')' => {
                self.judge(terms);
                self.stand_over(TUPLE);
                self.stage = TableStage::Values;
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
    fn within(&mut self, text: &[u8], terms: &ContextDictionary) -> TableStep {
        match self.line.end_of_cell(text, self.at) {
            Some(end) => {
                self.take_in_long();
                self.behind(text, end, terms);
                TableStep::Moved(None)
            }
            None => {
                self.at = text.len();
                TableStep::Done(None)
            }
        }
    }

    /// The line ends here: it is a heading, a row, or neither.
    fn end(&mut self, terms: &ContextDictionary) -> TableStep {
        let line = self.line;
        // Without a pipe in front there is none behind: the last cell is empty.
        let trailing = line.edged && line.empty && line.cells > 1;
        let width = line.cells.wrapping_sub(usize::from(trailing));
        self.line.cells = width;
        // In programs and in prose a list goes on behind its last comma.
        let goes_on = line.empty && line.mark == b',';
        let (known, speaking, is_list) = match &self.heading {
            Some(heading) => (heading.width, heading.speaking, heading.mark == 0),
            None => (0, 0, false),
        };
        let fits = width == known;
        // Of two lines of names the one that says more is the heading: names are what many rows are made of.
        let least = if fits { speaking } else { 0 };
        let is_item = known == 0 && line.mark == 0 && self.names.names.len() <= ITEM / 2;
        if line.named && !goes_on && line.names > least && (line.names > 1 || is_item) && {
            self.judge(terms) > least
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
        self.go(self.at.wrapping_add(1), TableStage::Line)
    }

    /// Reads what the names of the line say, and how many of them speak.
    fn judge(&mut self, terms: &ContextDictionary) -> usize {
        self.names.judge(terms);
        let speaking = self.names.speaking;
        let counts = speaking > 0 && self.line.mark != 0;
        self.headings = self.headings.saturating_add(u16::from(counts));
        speaking
    }

    /// What has been read is the heading of what follows, if it says something.
    fn stand_over(&mut self, mark: u8) {
        let names = &mut self.names;
        (names.mark, names.width) = (mark, self.line.cells);
        if mark == 0 {
            // Lines of one word each are many things.
            names.has_secrets = false;
            for column in &mut names.columns {
                column.is_secret = false;
            }
        }
        // The first row has to fit.
        self.misfits = MISFITS;
        if names.speaking == 0 {
            self.heading = None;
        } else {
            let heading = self.heading.get_or_insert_default();
            match Arc::get_mut(heading) {
                Some(heading) => std::mem::swap(heading, names),
                None => *heading = Arc::new(std::mem::take(names)),
            }
        }
        self.names.clear();
    }

    fn rest(&mut self, text: &[u8], from: usize) -> TableStep {
        match newline(text, from) {
            Some(end) => self.go(end.wrapping_add(1), TableStage::Line),
            None => {
                (self.at, self.stage) = (text.len(), TableStage::Rest);
                TableStep::Done(None)
            }
        }
    }

    /// The name of a table, up to the bracket before its columns.
    fn statement(&mut self, text: &[u8]) -> TableStep {
        self.heading = None;
        let end = run(text, self.at, TABLE, OF_TABLES);
        match text.get(end) {
            Some(&TUPLE) => {
                self.line = TableLine {
                    mark: TUPLE,
                    edged: true,
                    ..TableLine::new()
                };
                self.go(end.wrapping_add(1), TableStage::Cell)
            }
            Some(_) => self.give_up(end),
            None => TableStep::Done(None),
        }
    }

    fn values(&mut self, text: &[u8]) -> TableStep {
        let Some(heading) = &self.heading else {
            return self.give_up(self.at);
        };
        let start = run(text, self.at, BLANKS, BLANK);
        if begins(text, start, b"values") == Some(true) {
            return self.go(start.wrapping_add(6), TableStage::Tuples);
        }
        if begins(text, start, b"from stdin") == Some(true) {
            let lines = Heading {
                mark: b'\t',
                ..Heading::clone(heading)
            };
            self.heading = Some(Arc::new(lines));
            return self.go(start, TableStage::Rest);
        }
        let cut = |words| begins(text, start, words).is_none();
        if cut(b"values") || cut(b"from stdin") {
            return TableStep::Done(None);
        }
        self.give_up(start)
    }

    fn tuples(&mut self, text: &[u8]) -> TableStep {
        let mut start = run(text, self.at, BLANKS, BLANK);
        if text.get(start) == Some(&b',') {
            start = run(text, start.wrapping_add(1), BLANKS, BLANK);
        }
        match text.get(start) {
            Some(&TUPLE) => {
                self.line = TableLine {
                    mark: TUPLE,
                    edged: true,
                    named: false,
                    ..TableLine::new()
                };
                self.go(start.wrapping_add(1), TableStage::Cell)
            }
            Some(_) => self.give_up(start),
            None => TableStep::Done(None),
        }
    }
}

/// What rows of tables stand behind, up to the name of the table.
const STATEMENTS: [&[u8]; 3] = [b"insert into ", b"replace into ", b"copy "];

impl TableLine {
    fn new() -> Self {
        Self {
            named: true,
            rule: true,
            short: true,
            ..Self::default()
        }
    }

    fn begin_cell(&mut self, text: &[u8], from: usize) {
        let start = run(text, from, PADDED, SPACE);
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
            mark if !self.quoted => bytes
                .iter()
                .position(|byte| matches!(*byte, b'\n') || *byte == mark),
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

/// Whether a text may have the heading of a table that goes on behind it: a name, and the end of its line or the bracket of a
/// statement.
pub(super) fn may_begin_in(text: &[u8]) -> bool {
    let end = text.iter().rposition(|byte| matches!(*byte, b'\n' | TUPLE));
    let before = end.and_then(|end| text.get(..end)).unwrap_or_default();
    before.iter().any(|byte| is_letter(*byte))
}

/// The end of the bytes from a place on that are of a class, so many at most.
#[inline(never)]
fn run(text: &[u8], from: usize, most: usize, class: u8) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let near = rest.get(..most).unwrap_or(rest);
    let other = near.iter().position(|byte| !is_of(*byte, class));
    from.wrapping_add(other.unwrap_or(near.len()))
}

/// Whether such words stand at a place, letters in any case; `None`: the text ends before that is known.
#[inline(never)]
fn begins(text: &[u8], at: usize, words: &[u8]) -> Option<bool> {
    let rest = text.get(at..).unwrap_or_default();
    let fits = rest
        .iter()
        .zip(words)
        .all(|(byte, word)| byte.eq_ignore_ascii_case(word));
    (!fits || rest.len() >= words.len()).then_some(fits)
}

/// The next end of a line, many bytes at a time: most texts have long lines and no tables.
#[inline(never)]
fn newline(text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let (parts, _) = rest.as_chunks::<32>();
    let has_none = |part: &&[u8; 32]| {
        let ends = part.iter().map(|byte| u8::from(*byte == b'\n'));
        ends.fold(0, |any, end| any | end) == 0
    };
    let without = parts.iter().take_while(has_none).count().wrapping_mul(32);
    let place = rest
        .get(without..)?
        .iter()
        .position(|byte| *byte == b'\n')?;
    Some(from.wrapping_add(without).wrapping_add(place))
}

/// What is left of a range without what is of a class at its ends.
#[inline(never)]
fn trimmed(text: &[u8], range: Range<usize>, class: u8) -> Range<usize> {
    let bytes = text.get(range.clone()).unwrap_or_default();
    let other = |byte: &u8| !is_of(*byte, class);
    match (bytes.iter().position(other), bytes.iter().rposition(other)) {
        (Some(first), Some(last)) => {
            let start = range.start.wrapping_add(first);
            start..range.start.wrapping_add(last).wrapping_add(1)
        }
        _ => range.end..range.end,
    }
}

const BLANK: u8 = 1;
/// Blanks that are no end of a line.
const SPACE: u8 = 2;
/// What stands around names that is no part of them.
const AROUND: u8 = 4;
/// What cells of a heading are made of.
const OF_NAMES: u8 = 8;
const LETTER: u8 = 16;
/// What names of tables are made of, and the blanks around them.
const OF_TABLES: u8 = 32;
/// What a line may begin with that is a heading.
const FIRST: u8 = 64;
/// All but letters.
const OTHER: u8 = 128;

static CLASSES: [u8; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        classes[byte] = match c {
            b' ' | b'\r' => BLANK | SPACE | AROUND | OF_NAMES | OF_TABLES | FIRST,
            b'\t' => BLANK | SPACE | OF_TABLES | FIRST,
            b'\n' => BLANK | OF_TABLES | FIRST,
            b'"' | b'`' | b'[' | b']' => AROUND | OF_NAMES | OF_TABLES | FIRST,
            b'\'' | b'*' => AROUND | OF_NAMES | FIRST,
            b'A'..=b'Z' | b'a'..=b'z' | 128.. => LETTER | OF_NAMES | OF_TABLES | FIRST,
            b'0'..=b'9' => OF_NAMES | OF_TABLES,
            b'_' => OF_NAMES | OF_TABLES | FIRST,
            b'#' => OF_NAMES | FIRST,
            b'-' | b'.' => OF_NAMES | OF_TABLES,
            b'/' | b'&' | b'(' | b')' | b'?' => OF_NAMES,
            b'|' | b',' | b';' => FIRST,
            b'$' => OF_TABLES,
            _ => 0,
        };
        if classes[byte] & LETTER == 0 {
            classes[byte] |= OTHER;
        }
        byte += 1;
    }
    classes
}

#[inline]
fn is_of(byte: u8, class: u8) -> bool {
    let known = CLASSES.get(usize::from(byte)).copied().unwrap_or(0);
    known & class != 0
}

/// Whether what a name ends before is the end of a cell, as far as the text is known.
pub(super) fn is_end_of_cell(text: &[u8], from: usize) -> bool {
    let end = run(text, from, PADDED, AROUND);
    text.get(end)
        .is_none_or(|byte| matches!(byte, b',' | b'|' | b';' | b'\t' | b'\n' | b')'))
}

/// Whether a column may be called so: a few words, perhaps with some in brackets.
fn is_name(name: &[u8]) -> bool {
    let first = name.first().copied().unwrap_or(0);
    if name.len() > NAME || !(is_of(first, LETTER) || matches!(first, b'_' | b'#')) {
        return false;
    }
    let mut before = 0u8;
    let mut open = false;
    let (mut words, mut digits) = (1usize, 0usize);
    let plain = name.iter().all(|byte| {
        let last = std::mem::replace(&mut before, *byte);
        match *byte {
            b' ' => words = words.wrapping_add(1),
            b'(' if last != b' ' || open => return false,
            b')' if !open => return false,
            b'(' | b')' => open = !open,
            b'"' | b'\'' | b'`' | b'*' => return false,
            b'0'..=b'9' => digits = digits.wrapping_add(1),
            byte => return is_of(byte, OF_NAMES),
        }
        true
    });
    plain && !open && words <= NAME_WORDS && digits <= NAME_DIGITS
}

/// The place in a cell before which a value begins: so many words at most stand before it.
fn reach(text: &[u8], range: &Range<usize>, words: usize) -> usize {
    let last = range.start.saturating_add(BYTES).min(range.end);
    let mut at = range.start;
    for _ in 0..=words {
        at = run(text, at, BYTES, OTHER);
        at = run(text, at, BYTES, LETTER);
    }
    at.min(last)
}
