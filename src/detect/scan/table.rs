//! Tables in a text: the name of a column counts as context in every row, as if it were before the value.
//!
//! A table is one of these:
//!
//! - lines of cells separated by commas, semicolons, tabs or pipes, below a line of names, at least one of which is a
//!   context word: `name,iban` and below it `Ann,DE89…`;
//! - the rows of an `INSERT INTO t (a, b) VALUES (…), (…)`;
//! - lines of one value each, below such a name.
//!
//! Rules of dashes between the lines belong to the table. A table ends at an empty line, at a line without
//! separators, and at the third line in a row with a different number of cells. It ends at its first row if that has
//! a different number.
//!
//! A text is read cell by cell, each cell at most once, and only as far as a query needs. The role of a cell depends
//! on nothing after it, so a stream does not wait. The state between two cells is small, because it passes from one
//! piece of a stream to the next: a heading keeps the names of [`COLUMNS`] columns, each of at most [`NAME`] bytes.

use std::ops::Range;
use std::sync::Arc;

use super::context::{ContextDictionary, DetectorSet, Words, is_letter};
use super::named_value;
use super::names::NameGroups;
use crate::wire::{search, work};

/// Maximum columns of a table that have a name. Columns further right have none.
const COLUMNS: usize = 256;
/// Columns of a heading whose names are compared with those of the next one.
const COMPARED_COLUMNS: usize = 8;
/// Maximum bytes of a column name.
const NAME: usize = 40;
/// Maximum bytes of a column name with the blanks around it.
pub(super) const PADDED: usize = 128;
/// Maximum words of a column name.
const NAME_WORDS: usize = 6;
/// Maximum digits of a column name: `address2`.
const NAME_DIGITS: usize = 4;
/// Maximum bytes of a cell that may contain a value.
const LONG: usize = 640;
/// Maximum distance in bytes from the beginning of a cell to its value; equal to that of context words.
const BYTES: usize = 80;
/// Maximum words before a value in its cell. A line that may be prose allows none.
const WORDS: usize = 2;
/// Maximum lines in a row with a different number of cells, for cells that are written over several lines.
const MAX_UNEVEN_LINES: u8 = 2;
/// Maximum bytes of a line of a list.
const ITEM: usize = 48;
/// Maximum headings of one text, without those of lists. Recognising one costs as much as many bytes of other text.
const HEADINGS: u16 = 2_000;
/// Work steps for reading a cell.
const STEP: usize = 12;
/// Work steps for looking up a column name.
const LOOKED_UP: usize = 120;
/// Maximum blanks before a line and between the parts of a statement.
const BLANKS: usize = 64;
/// Maximum bytes of a table's name.
const TABLE: usize = 160;

/// Separator of a table that is the rows of a statement.
const TUPLE: u8 = b'(';

/// Column of a table with its heading.
#[derive(Clone, Copy, Debug, Default)]
struct Column {
    /// End of the column's name in the names of the heading.
    end: usize,
    /// Detectors of which the name is a context word.
    slots: DetectorSet,
    /// Whether the name marks its values as secrets, and the keyword groups in it.
    is_secret: bool,
    said: NameGroups,
    /// Whether the name means a password in a language other than that of names in programs.
    is_foreign: bool,
}

impl Column {
    /// Returns whether the name of the column has an effect.
    #[inline]
    fn speaks(&self) -> bool {
        self.slots != 0 || self.is_secret
    }

    /// Looks up the name of the column. The name of a secret is written as in programs. Only a word that the pass over
    /// the text finds may name one: whatever else makes the pass read tables has no effect.
    fn look_up(&mut self, name: &mut [u8], words: &mut Words, terms: &ContextDictionary) {
        let (slots, names_password) = words.of_column(name, terms);
        self.slots = slots;
        if terms.finds_secrets() && named_value::names_secret(name) {
            self.is_secret = true;
            for byte in name.iter_mut().filter(|byte| **byte == b' ') {
                *byte = b'_';
            }
            self.said = NameGroups::by(name);
        } else if names_password {
            (self.is_secret, self.is_foreign) = (true, true);
            self.said = NameGroups::by(PASSWORD);
        }
    }
}

/// Heading of a table: the names of its columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Heading {
    /// Separator between cells; 0: a list without separators.
    mark: u8,
    names: Vec<u8>,
    columns: Vec<Column>,
    /// Number of columns, with those without a name, and number of columns whose names have an effect.
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

    /// Returns the start of a column's name in the names of the heading.
    fn start_of(&self, column: usize) -> usize {
        let before = column.checked_sub(1).and_then(|at| self.columns.get(at));
        before.map_or(0, |before| before.end)
    }

    /// Returns a column with this name as it was looked up. Lists forget which names mark secrets, and names of secrets
    /// may have been written anew with underscores.
    fn known(&self, name: &[u8]) -> Option<Column> {
        if self.mark == 0 || name.contains(&b'_') {
            return None;
        }
        let columns = self.columns.iter().enumerate().take(COMPARED_COLUMNS);
        let same = |(at, column): &(usize, &Column)| {
            self.names.get(self.start_of(*at)..column.end) == Some(name)
        };
        columns.into_iter().find(same).map(|(_, column)| *column)
    }

    /// Looks up the names of all columns. `last`: the heading before, which often has the same names.
    fn look_up(&mut self, terms: &ContextDictionary, last: Option<&Self>) {
        let mut words = Words::default();
        (self.speaking, self.has_secrets) = (0, false);
        let mut start = 0;
        for column in &mut self.columns {
            work::spend(LOOKED_UP);
            let name = self.names.get_mut(start..column.end).unwrap_or_default();
            start = column.end;
            if let Some(known) = last.and_then(|last| last.known(name)) {
                *column = Column {
                    end: column.end,
                    ..known
                };
            } else {
                column.look_up(name, &mut words, terms);
            }
            self.has_secrets |= column.is_secret;
            self.speaking = self.speaking.wrapping_add(usize::from(column.speaks()));
        }
    }

    /// Returns the name of a column of secrets as programs write it, `client_secret`, with its keyword groups.
    pub(super) fn secret(&self, cell: &Cell) -> Option<(&[u8], NameGroups)> {
        let column = cell.column;
        let known = self.columns.get(column)?;
        let name = match known.is_foreign {
            true => PASSWORD,
            false => self.names.get(self.start_of(column)..known.end)?,
        };
        Some((name, known.said))
    }
}

const PASSWORD: &[u8] = b"password";

/// State of the tables at a position of a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Position in the text.
    at: usize,
    stage: TableStage,
    /// Heading of the table that the line belongs to.
    heading: Option<Arc<Heading>>,
    uneven_lines: u8,
    /// Number of lines that counted as headings.
    headings: u16,
    line: TableLine,
    /// Cells of the line so far, while the line may be a heading.
    names: Heading,
}

/// Tables of a stream at its settled position, for the next scan. The default is the beginning of a stream.
#[derive(Clone, Debug, Default)]
pub struct Tables(Option<Box<[TableState; 2]>>);

/// Index of the tables that are read with the context words of the built-in detectors.
pub(super) const BUILT_IN: usize = 0;
/// Index of the tables that are read with the context words of the policy's custom detectors.
pub(super) const CUSTOM: usize = 1;

impl Tables {
    /// Returns the bytes before the settled position that the next scan needs.
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

/// Tables as one of the two sets of context words finds them.
#[derive(Clone, Debug, Default)]
pub(super) struct TableState {
    pub(super) table: Table,
    /// Distance in bytes of the table's position from the settled position.
    pub(super) behind: usize,
}

/// State of the table reader at a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TableStage {
    #[default]
    Line,
    Cell,
    /// Inside a long cell.
    Within,
    End,
    /// The rest of the line contains no cells.
    Rest,
    /// After `INSERT INTO`.
    Statement,
    /// After the column names of the statement.
    Values,
    /// Between the rows of the statement.
    Tuples,
}

/// State of a line, or of a row of a statement.
#[derive(Clone, Copy, Debug, Default)]
struct TableLine {
    /// Separator between the cells; 0: none seen yet.
    mark: u8,
    /// Number of cells before the position.
    cells: usize,
    /// Whether the line begins with a tab.
    indented: bool,
    /// Whether the line begins in a way that prose does not.
    edged: bool,
    /// Whether all cells are names, and the number of those that are not empty.
    named: bool,
    names: usize,
    /// Whether the line contains only dashes.
    rule: bool,
    /// Whether the line may be an item of a list.
    short: bool,
    /// Whether the last cell is empty.
    empty: bool,
    /// State inside a cell: whether the whole cell is quoted, the open quote, and the number of open brackets.
    quoted: bool,
    quote: u8,
    depth: u8,
}

/// Cell in a column whose name has an effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// Start and end of the cell without the blanks around it, as far as the text is present.
    start: usize,
    end: usize,
    column: usize,
    /// Detectors of which the column's name is a context word.
    pub(super) slots: DetectorSet,
    pub(super) is_secret: bool,
    /// Maximum words before a value in the cell.
    words: usize,
    /// Whether the end of the cell was read.
    pub(super) ended: bool,
    /// Whether the cell belongs to a statement, in which texts are quoted.
    pub(super) in_statement: bool,
}

impl Cell {
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Returns whether the cell may be long enough for a secret.
    pub(super) fn may_hold_secret(&self) -> bool {
        !self.ended || self.range().len() >= 5
    }

    /// Returns whether a value may begin at a position in the cell.
    pub(super) fn has(&self, text: &[u8], at: usize) -> bool {
        at == self.start
            || self.range().contains(&at) && at < reach(text, &self.range(), self.words)
    }
}

/// Result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableStep {
    Moved,
    /// The reader is at the end of the text.
    Done,
}

impl Table {
    /// Returns the position of the next step.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Returns the same state at another position: in a view, or in a text that begins elsewhere.
    pub(super) fn moved(self, at: usize) -> Self {
        Self { at, ..self }
    }

    /// Reads a text to its end.
    pub(super) fn read_all(&mut self, text: &[u8], terms: &ContextDictionary) {
        let mut cells = Vec::new();
        while self.step(text, terms, &mut cells) == TableStep::Moved {
            cells.clear();
        }
    }

    /// Returns the heading of the cell that was just read.
    pub(super) fn heading(&self) -> Option<Arc<Heading>> {
        self.heading.clone()
    }

    /// Returns whether the table has columns of secrets, or may have them once the line is read.
    pub(super) fn may_have_secrets(&self) -> bool {
        let heading = self.heading.as_ref();
        heading.is_some_and(|heading| heading.has_secrets) || !self.names.columns.is_empty()
    }

    /// Returns whether the text has so many headings that the rest of it is not read.
    pub(super) fn is_incomplete(&self) -> bool {
        self.headings >= HEADINGS
    }

    /// Reads one cell, after those that have no effect, or the text between cells. Adds the cell to `cells` if the name of its
    /// column has an effect.
    pub(super) fn step(
        &mut self,
        text: &[u8],
        terms: &ContextDictionary,
        cells: &mut Vec<Cell>,
    ) -> TableStep {
        if self.is_incomplete() {
            self.at = text.len();
            return TableStep::Done;
        }
        let from = self.at;
        let step = match self.stage {
            TableStage::Line => self.line(text),
            TableStage::Cell => self.cell(text, terms, cells),
            TableStage::Within => self.within(text, terms),
            TableStage::End => self.end(terms),
            TableStage::Rest => self.rest(text, self.at),
            TableStage::Statement => self.statement(text),
            TableStage::Values => self.values(text),
            TableStage::Tuples => self.tuples(text),
        };
        work::spend((self.at.saturating_sub(from) / 4).wrapping_add(STEP));
        step
    }

    fn go(&mut self, at: usize, stage: TableStage) -> TableStep {
        (self.at, self.stage) = (at, stage);
        TableStep::Moved
    }

    /// Ends the table; the rest of the line is not part of one.
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
            return TableStep::Done;
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
            // A row may also begin with `copy`.
            let most = if self.heading.is_some() { 2 } else { 3 };
            for words in STATEMENTS.into_iter().take(most) {
                match begins(text, start, words) {
                    Some(true) => {
                        return self.go(start.wrapping_add(words.len()), TableStage::Statement);
                    }
                    Some(false) => {}
                    None => return TableStep::Done,
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

    fn cell(&mut self, text: &[u8], terms: &ContextDictionary, cells: &mut Vec<Cell>) -> TableStep {
        if self.pass_over(text) {
            return TableStep::Moved;
        }
        let from = self.at;
        let mut near = text;
        if self.heading.is_none() {
            // A name with blanks around it.
            let name = match self.line.named {
                true => {
                    let start = run(text, from, PADDED, AROUND);
                    // In a statement a bracket ends the names; behind it are values.
                    let class = match self.line.mark {
                        TUPLE => OF_TABLES,
                        _ => OF_NAMES,
                    };
                    let end = run(text, start, NAME, class);
                    run(text, end, PADDED, AROUND)
                }
                false => from,
            };
            match text.get(name) {
                None => return TableStep::Done,
                Some(b'|' | b'\t' | b';' | b',' | b'\n' | b')') if self.line.named => {}
                Some(_) => return self.give_up(from),
            }
            let last = from.wrapping_add(PADDED).min(text.len());
            near = text.get(..last).unwrap_or_default();
        }
        self.line.begin_cell(near, from);
        let end = self.line.end_of_cell(near, from);
        if end.is_err() && near.len() < text.len() {
            return self.give_up(from);
        }
        let to = end.unwrap_or(near.len());
        self.under_a_name(text, from..to, end.is_ok(), cells);
        let len = to.wrapping_sub(from);
        let end = match end {
            Ok(end) => end,
            Err(read) => {
                if len > LONG {
                    (self.at, self.stage) = (read, TableStage::Within);
                }
                return TableStep::Done;
            }
        };
        if len > LONG {
            self.take_in_long();
        } else if self.line.named || self.line.rule || self.line.edged || self.line.mark == 0 {
            self.take_in(text, from..to);
        }
        self.behind(text, end, terms);
        TableStep::Moved
    }

    /// Moves past cells of a row in columns whose names have no effect, which are most cells. Returns whether the line ends
    /// there. Left to be read one by one are cells of a line that may be something else than a row, cells that may be
    /// quoted, and the last one of the text.
    fn pass_over(&mut self, text: &[u8]) -> bool {
        let line = &mut self.line;
        let Some(heading) = &self.heading else {
            return false;
        };
        if line.named || line.rule || line.edged || matches!(line.mark, 0 | TUPLE) {
            return false;
        }
        loop {
            let rest = text.get(self.at..).unwrap_or_default();
            let column = heading.columns.get(line.cells);
            if column.is_some_and(Column::speaks)
                || rest
                    .first()
                    .is_none_or(|first| *first == b'"' || is_of(*first, SPACE))
            {
                return false;
            }
            let len = search::bytes_before(rest, [line.mark, b'\n']);
            let Some(end) = rest.get(len) else {
                return false;
            };
            work::spend(STEP);
            self.at = self.at.wrapping_add(len);
            line.cells = line.cells.saturating_add(1);
            if *end != line.mark {
                self.stage = TableStage::End;
                return true;
            }
            self.at = self.at.wrapping_add(1);
        }
    }

    /// Adds a cell of a row, if the name of its column has an effect.
    fn under_a_name(&self, text: &[u8], cell: Range<usize>, ended: bool, cells: &mut Vec<Cell>) {
        let column = self.line.cells;
        let heading = self.heading.as_ref();
        let Some(known) = heading.and_then(|heading| heading.columns.get(column)) else {
            return;
        };
        if !known.speaks() {
            return;
        }
        let range = trimmed(text, cell, BLANK);
        cells.push(Cell {
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
        });
    }

    /// Updates the line with the content of a cell.
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

    /// Moves past the end of a cell.
    fn behind(&mut self, text: &[u8], end: usize, terms: &ContextDictionary) {
        let mark = text.get(end).copied().unwrap_or(b'\n');
        let line = &mut self.line;
        line.cells = line.cells.saturating_add(1);
        (self.at, self.stage) = (end.wrapping_add(1), TableStage::Cell);
        match mark {
            b'\n' if line.mark != TUPLE => (self.at, self.stage) = (end, TableStage::End),
            b')' if self.heading.is_some() => self.stage = TableStage::Tuples,
            b')' => {
                self.look_up(terms);
                self.stand_over(TUPLE);
                self.stage = TableStage::Values;
            }
            mark if line.mark == 0 => {
                line.mark = mark;
                // A line that is indented by tabs has no tabs between its cells.
                line.named &= mark != b'\t' || !line.indented;
            }
            _ => {}
        }
    }

    /// Skips the rest of a cell that is too long.
    fn within(&mut self, text: &[u8], terms: &ContextDictionary) -> TableStep {
        match self.line.end_of_cell(text, self.at) {
            Ok(end) => {
                self.take_in_long();
                self.behind(text, end, terms);
                TableStep::Moved
            }
            Err(read) => {
                self.at = read;
                TableStep::Done
            }
        }
    }

    /// Ends a line, which is a heading, a row, or neither.
    fn end(&mut self, terms: &ContextDictionary) -> TableStep {
        let line = self.line;
        // A line without a pipe at its start has none at its end: there the last cell is empty.
        let trailing = line.edged && line.empty && line.cells > 1;
        let width = line.cells.wrapping_sub(usize::from(trailing));
        self.line.cells = width;
        // In programs and in prose a list continues after the comma at the end of a line.
        let goes_on = line.empty && line.mark == b',';
        let (known, speaking, is_list) = match &self.heading {
            Some(heading) => (heading.width, heading.speaking, heading.mark == 0),
            None => (0, 0, false),
        };
        let fits = width == known;
        // Of two lines of names the one with more context words is the heading, because many rows consist of names.
        let least = if fits { speaking } else { 0 };
        let is_item = known == 0 && line.mark == 0 && self.names.names.len() <= ITEM / 2;
        if line.named && !goes_on && line.names > least && (line.names > 1 || is_item) && {
            self.look_up(terms) > least
        } {
            self.stand_over(line.mark);
        } else if is_list && !(line.cells == 1 && line.short) {
            self.heading = None;
        } else if fits {
            self.uneven_lines = 0;
        } else if !line.rule {
            self.uneven_lines = self.uneven_lines.wrapping_add(1);
            if line.cells < 2 && !line.edged || self.uneven_lines > MAX_UNEVEN_LINES {
                self.heading = None;
            }
        }
        self.names.clear();
        self.go(self.at.wrapping_add(1), TableStage::Line)
    }

    /// Looks up the names of the line. Returns the number of those that have an effect.
    fn look_up(&mut self, terms: &ContextDictionary) -> usize {
        self.names.look_up(terms, self.heading.as_deref());
        let speaking = self.names.speaking;
        let counts = speaking > 0 && self.line.mark != 0;
        self.headings = self.headings.saturating_add(u16::from(counts));
        speaking
    }

    /// Makes the names that were read the heading of the following rows, if any of them has an effect.
    fn stand_over(&mut self, mark: u8) {
        let names = &mut self.names;
        (names.mark, names.width) = (mark, self.line.cells);
        if mark == 0 {
            // Lines of one word each have many other meanings.
            names.has_secrets = false;
            for column in &mut names.columns {
                column.is_secret = false;
            }
        }
        // The first row must have the same number of cells.
        self.uneven_lines = MAX_UNEVEN_LINES;
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
                TableStep::Done
            }
        }
    }

    /// Reads the name of a table, up to the bracket before its columns.
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
            None => TableStep::Done,
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
            return TableStep::Done;
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
            None => TableStep::Done,
        }
    }
}

/// Beginnings of statements before the name of a table with rows.
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
        let mut first = text.get(from).copied().unwrap_or(0);
        if is_of(first, SPACE) {
            let start = run(text, from, PADDED, SPACE);
            first = text.get(start).copied().unwrap_or(0);
        }
        self.quoted = first == b'"';
        (self.quote, self.depth) = (0, 0);
    }

    /// Returns the end of the cell at this position, or up to where it is read if the text ends before it.
    fn end_of_cell(&mut self, text: &[u8], from: usize) -> Result<usize, usize> {
        let bytes = text.get(from..).unwrap_or_default();
        let read = match self.mark {
            TUPLE => self.end_of_member(bytes),
            mark => {
                let end = match mark {
                    0 => bytes
                        .iter()
                        .position(|byte| matches!(byte, b'\n' | b'|' | b'\t' | b';' | b',')),
                    _ if !self.quoted => {
                        let at = search::bytes_before(bytes, [mark, b'\n']);
                        (at < bytes.len()).then_some(at)
                    }
                    _ => bytes.iter().position(|byte| {
                        if *byte == b'"' {
                            self.quote ^= b'"';
                        }
                        *byte == b'\n' || *byte == mark && self.quote == 0
                    }),
                };
                end.ok_or(bytes.len())
            }
        };
        let within = |len: usize| from.wrapping_add(len);
        read.map(within).map_err(within)
    }

    /// Returns the end of the cell in a row of a statement, with its quotes and brackets, or what is read of it. What a
    /// quote at the end of the text means depends on the next byte.
    fn end_of_member(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        let mut next = bytes.iter().skip(1);
        for (at, byte) in bytes.iter().enumerate() {
            let next = next.next();
            if self.quote != 0 {
                if *byte != self.quote {
                    continue;
                }
                let Some(next) = next else {
                    return Err(at);
                };
                // A quote inside a text is doubled or escaped.
                if !(next.is_ascii_alphanumeric() || *next == self.quote || *next >= 0x80) {
                    self.quote = 0;
                }
                continue;
            }
            match *byte {
                b'\'' | b'"' | b'`' => self.quote = *byte,
                b'(' => self.depth = self.depth.saturating_add(1),
                b')' | b',' if self.depth == 0 => return Ok(at),
                b')' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        Err(bytes.len())
    }
}

/// Returns whether a text may contain the heading of a table that continues after it: a name, and the end of its line
/// or the bracket of a statement.
pub(super) fn may_begin_in(text: &[u8]) -> bool {
    let end = text.iter().rposition(|byte| matches!(*byte, b'\n' | TUPLE));
    let before = end.and_then(|end| text.get(..end)).unwrap_or_default();
    before.iter().any(|byte| is_letter(*byte))
}

/// Returns the end of the run of bytes of a class, at most `most` bytes long.
#[inline(never)]
fn run(text: &[u8], from: usize, most: usize, class: u8) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let near = rest.get(..most).unwrap_or(rest);
    let other = near.iter().position(|byte| !is_of(*byte, class));
    from.wrapping_add(other.unwrap_or(near.len()))
}

/// Returns whether these words are at a position, case-insensitively; `None`: the text ends before this is known.
#[inline(never)]
fn begins(text: &[u8], at: usize, words: &[u8]) -> Option<bool> {
    let rest = text.get(at..).unwrap_or_default();
    let fits = rest
        .iter()
        .zip(words)
        .all(|(byte, word)| byte.eq_ignore_ascii_case(word));
    (!fits || rest.len() >= words.len()).then_some(fits)
}

/// Returns the next end of a line. It compares many bytes at a time, because most texts have long lines and no
/// tables.
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

/// Returns a range without the bytes of a class at its ends. Most ranges have none there.
#[inline]
fn trimmed(text: &[u8], range: Range<usize>, class: u8) -> Range<usize> {
    let bytes = text.get(range.clone()).unwrap_or_default();
    let is_bare = |byte: Option<&u8>| byte.is_some_and(|byte| !is_of(*byte, class));
    match is_bare(bytes.first()) && is_bare(bytes.last()) {
        true => range,
        false => without_ends(text, range, class),
    }
}

#[inline(never)]
fn without_ends(text: &[u8], range: Range<usize>, class: u8) -> Range<usize> {
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
/// Blanks other than the end of a line.
const SPACE: u8 = 2;
/// Bytes around a name that are not part of it.
const AROUND: u8 = 4;
/// Bytes of cells in a heading.
const OF_NAMES: u8 = 8;
const LETTER: u8 = 16;
/// Bytes of table names, and the blanks around them.
const OF_TABLES: u8 = 32;
/// First bytes of a line that may be a heading.
const FIRST: u8 = 64;
/// Bytes other than letters.
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

/// Returns whether the end of a name is the end of a cell, as far as the text is known.
pub(super) fn is_end_of_cell(text: &[u8], from: usize) -> bool {
    let end = run(text, from, PADDED, AROUND);
    text.get(end)
        .is_none_or(|byte| matches!(byte, b',' | b'|' | b';' | b'\t' | b'\n' | b')'))
}

/// Returns whether a name is a valid column name: a few words, some of them possibly in brackets.
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

/// Returns the position in a cell before which a value begins, after at most `words` words.
fn reach(text: &[u8], range: &Range<usize>, words: usize) -> usize {
    let last = range.start.saturating_add(BYTES).min(range.end);
    let mut at = range.start;
    for _ in 0..=words {
        at = run(text, at, BYTES, OTHER);
        at = run(text, at, BYTES, LETTER);
    }
    at.min(last)
}
