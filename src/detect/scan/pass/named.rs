//! Values of names and of table columns that mark them as secrets.

use std::ops::Range;

use super::{PROBE, Pass};
use crate::detect::entropy::{self, CharClasses, marks};
use crate::detect::scan::alphabet::{Alphabet, Binding};
use crate::detect::scan::named_value;
use crate::detect::scan::names::{KeyFilter, NameGroups};
use crate::detect::scan::probe::NamedValue;
use crate::detect::scan::table::{Cell, Heading};
use crate::detect::scan::text::Text;
use crate::wire::work;

/// Length in bytes of an unquoted value from which names inside it are skipped: they would all have the same value.
const LONG_VALUE: usize = 64;

impl Pass<'_> {
    /// Reads the tables up to the keyword of a name that may be a column's.
    #[inline(never)]
    pub(super) fn column_name(&mut self, at: usize) {
        let end = self.text.run_of(Alphabet::Name, at, named_value::NAME);
        self.text.take_past_end();
        if named_value::ends_cell(self.text, end) {
            self.read_tables(at);
        }
    }

    /// Runs the validators on the value of the name with the keyword at `at`.
    pub(super) fn keyed(&mut self, at: usize, pair: named_value::Pair) {
        let named_value::Pair {
            name,
            value,
            link,
            quote,
        } = pair;
        if self.keyed_done == value.start {
            return;
        }
        self.keyed_done = value.start;
        if name.len() <= named_value::NAME {
            // Each word of the name leads to the same value.
            self.named_until = name.end;
        }
        let written = self.text.slice(value.clone());
        if written.len() >= LONG_VALUE && quote == 0 {
            self.keyed_until = value.end;
            if !self.text.slice(name.end..value.start).iter().any(is_sign) {
                // The names that are skipped may be those of columns.
                self.read_tables(value.end);
            }
        }
        // Most names are followed by ordinary words. Only in the value of a header does a word, the scheme, lead on.
        let header = self.text.at(at) | 0x20 == b'a';
        if !header && (written.len() < 5 || written.iter().all(u8::is_ascii_alphabetic)) {
            return;
        }
        let plan = self.plan;
        work::spend(PROBE.wrapping_add(written.len() / 8));
        let name_at = name.start;
        let last = self
            .text
            .slice(std::mem::replace(&mut self.keyed_name, name.clone()));
        let name = self.text.slice(name);
        if last != name {
            work::spend(name.len());
            self.keyed_said = NameGroups::by(name);
        }
        let mut keyed = NamedValue {
            place: self.place(0, value.start, value.end),
            name,
            name_at,
            value: value.clone(),
            link,
            quote,
            kinds: CharClasses::default(),
            said: self.keyed_said,
        };
        let mut counted = false;
        let known = self.out.len();
        // Between a name and a value after brackets there may be another value.
        let straight = || !self.text.slice(name_at..value.start).contains(&b'[');
        for (slot, _, concern, validator) in plan.validators_of(written.len()) {
            let covered = self.covered_values.get(*slot).copied().unwrap_or(0);
            if value.start < covered && straight() || !keyed.passes(*concern) {
                continue;
            }
            if !counted {
                keyed.kinds = self.made_of(&value);
                counted = true;
            }
            self.ask_for(&mut keyed.place, *slot);
            work::spend(PROBE);
            let found = validator(&keyed);
            if found.is_none() && !self.text.is_past_end() {
                continue;
            }
            let first = keyed.place.first.get();
            let before = self.out.len();
            self.take(*slot, first, found);
            if straight()
                && let Some(raw) = self.out.get(before)
                && raw.start == value.start
                && raw.start >= self.covers_from
                && let Some(end) = self.covered_values.get_mut(*slot)
            {
                *end = raw.end;
            }
        }
        if quote == 0 && self.out.len() > known {
            self.known_until = self.known_until(&keyed);
        }
    }

    /// Returns the position up to which names in an unquoted finding have only the rest of it as their value.
    /// Validators of keys would find nothing else there: `a1b2key:c3d4key:e5f6…`.
    #[inline(never)]
    fn known_until(&self, keyed: &NamedValue<'_>) -> usize {
        let value = keyed.bytes();
        let assigned = keyed.kinds.may_have(marks::COLON | marks::EQUALS);
        let last = assigned.then(|| value.iter().rposition(is_sign)).flatten();
        let Some((names, rest)) = last.and_then(|last| value.split_at_checked(last)) else {
            return 0;
        };
        // A word after the last name may be the type of a value that follows.
        let known = rest.iter().any(u8::is_ascii_digit)
            && self.plan.keyed.iter().all(|(slot, lengths, concern, _)| {
                matches!(concern, KeyFilter::Password | KeyFilter::Header)
                    || *lengths.start() >= value.len()
                    || self.covered_values.get(*slot) == Some(&keyed.value.end)
            });
        match known {
            true => keyed.value.start.wrapping_add(names.len()),
            false => 0,
        }
    }

    /// Returns whether the name with the keyword at a position names neither a password nor the header. Each keyword
    /// for these contains one of the letters. Keywords that begin before the position are done.
    #[inline(never)]
    pub(super) fn is_known(&mut self, at: usize) -> bool {
        let other = |byte: &u8| matches!(byte | 0x20, b'a' | b'h' | b'p' | b'w' | b'z');
        let name = self.text.slice(at..self.known_until);
        if name.iter().take_while(|byte| !is_sign(byte)).any(other) {
            // `passwordkey` is a name with two keywords.
            self.known_until = 0;
        }
        at < self.known_until
    }

    /// Returns the character classes of a value. For a value inside the last one, with the same end, only the
    /// beginning is subtracted.
    fn made_of(&mut self, value: &Range<usize>) -> CharClasses {
        work::spend(value.len());
        let (last, made) = &self.keyed_last;
        let kinds = if last.end == value.end && last.contains(&value.start) {
            let before = self.text.slice(last.start..value.start);
            made.without(entropy::makeup(before))
        } else {
            entropy::makeup(self.text.slice(value.clone()))
        };
        self.keyed_last = (value.clone(), kinds);
        kinds
    }

    /// Reads tables up to a position, and their cells in columns of secrets.
    #[inline(never)]
    pub(super) fn read_tables(&mut self, to: usize) {
        let text = self.text.bytes();
        self.near
            .borrow_mut()
            .read_tables(text, to, &self.plan.terms);
        self.read_secrets();
    }

    pub(super) fn read_secrets(&mut self) {
        loop {
            let next = self.near.borrow_mut().next_secret();
            let Some((heading, cell)) = next else { break };
            self.cell(&heading, &cell);
        }
    }

    /// Runs the validators on a cell in a column of secrets.
    fn cell(&mut self, heading: &Heading, cell: &Cell) {
        let (value, quote) = self.unquoted(&cell.range());
        let written = self.text.slice(value.clone());
        work::spend(written.len().wrapping_add(PROBE));
        // In statements texts are quoted. Elsewhere an unquoted value contains no blanks.
        let bare = !cell.in_statement && !written.iter().any(u8::is_ascii_whitespace);
        if written.len() > named_value::VALUE || quote == 0 && !bare {
            return;
        }
        if self.open && !cell.ended {
            self.begun = self.begun.min(cell.range().start);
            return;
        }
        if written.len() < 5 || written.iter().all(u8::is_ascii_alphabetic) {
            return;
        }
        let Some((name, said)) = heading.secret(cell) else {
            return;
        };
        let verb = name.eq_ignore_ascii_case(b"pass");
        let keyed = NamedValue {
            place: self.place(0, value.start, value.end),
            name,
            name_at: 0,
            value: value.clone(),
            // Such a column may also report on tests.
            link: if verb {
                Binding::Prose
            } else {
                Binding::Assigned
            },
            quote,
            kinds: entropy::makeup(written),
            said,
        };
        self.ask_judges(keyed);
    }

    /// Returns a range without its quotes and without brackets around these.
    fn unquoted(&self, range: &Range<usize>) -> (Range<usize>, u8) {
        match self.text.slice(range.clone()) {
            [quote @ (b'"' | b'\'' | b'`'), rest @ ..] => {
                let len = rest.iter().rposition(|byte| byte == quote);
                let start = range.start.wrapping_add(1);
                let end = start.wrapping_add(len.unwrap_or(rest.len()));
                (start..end, *quote)
            }
            _ => (range.clone(), 0),
        }
    }

    /// Runs the validators on the whole text if its JSON key marks it as a secret.
    pub(super) fn whole_under(&mut self, key: Option<&str>) {
        let Some(key) = key.filter(|key| key.len() <= 64 && !self.plan.keyed.is_empty()) else {
            return;
        };
        // As programs write it: `Secret Access Key` is one name.
        let mut assigned = [key.as_bytes(), b"=x"].concat();
        for byte in assigned.iter_mut().filter(|byte| **byte == b' ') {
            *byte = b'_';
        }
        let named = Text::new(&assigned);
        let words = (0..key.len()).filter(|at| named_value::begins_word(&assigned, *at));
        let pair = words
            .inspect(|_| work::spend(PROBE))
            .find_map(|at| named_value::pair(&named, at));
        if pair.is_none_or(|pair| pair.value.start != key.len().wrapping_add(1)) {
            return;
        }
        let end = self.text.run(0, named_value::VALUE, |byte| byte >= b' ');
        if self.text.take_past_end() && self.open {
            self.begun = 0;
            return;
        }
        if end == 0 || end < self.text.len() {
            return;
        }
        let name = named.slice(0..key.len());
        self.ask_judges(NamedValue {
            place: self.place(0, 0, end),
            name,
            name_at: 0,
            value: 0..end,
            link: Binding::Key,
            quote: b'"',
            kinds: entropy::makeup(self.text.slice(0..end)),
            said: NameGroups::by(name),
        });
    }

    /// Runs the validators on a value that does not follow its name.
    fn ask_judges(&mut self, mut keyed: NamedValue<'_>) {
        let plan = self.plan;
        for (slot, _, concern, validator) in plan.validators_of(keyed.value.len()) {
            self.ask_for(&mut keyed.place, *slot);
            work::spend(PROBE);
            let found = keyed.passes(*concern).then(|| validator(&keyed)).flatten();
            let first = keyed.place.first.get();
            self.take(*slot, first, found);
        }
    }
}

/// Returns whether a byte is a sign between a name and its value without spaces.
fn is_sign(byte: &u8) -> bool {
    matches!(byte, b':' | b'=')
}
