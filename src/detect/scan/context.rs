//! Context words: words before a value that identify it.
//!
//! A text is split into words at everything that is not a letter and at the humps of `camelCase`. A term is one to
//! five words in a row. Scripts without spaces are searched for terms inside a run. Words are read only where a
//! validator asks for them, and each word at most once. So the cost is linear, independent of the number of
//! validators.

use std::sync::Arc;

use super::table::{Cell, Heading, Table, TableStep};
use crate::detect::normalise::{NormalisedText, readings};
use crate::wire::work;

/// Set of at most 127 detectors with context words, one bit each. The highest bit never represents a detector.
pub(super) type DetectorSet = u128;

/// Returns the index of a detector's bit in a [`DetectorSet`]; that of the highest bit if it has no context words.
pub(super) fn index_of(detector: DetectorSet) -> u8 {
    let [index, ..] = detector.trailing_zeros().min(127).to_le_bytes();
    index
}

/// Returns whether the bit with this index is set. A shift of 128 bits takes more steps in WebAssembly.
#[inline]
pub(super) fn has(detectors: DetectorSet, index: u8) -> bool {
    let bytes = detectors.to_le_bytes();
    let byte = bytes.get(usize::from(index / 8)).copied().unwrap_or(0);
    byte >> (index % 8) & 1 == 1
}

/// Maximum distance from a context term to its value, in words.
const WORDS: usize = 6;
/// Maximum distance from a context term to its value, in bytes.
const BYTES: usize = 80;
/// Maximum distance in bytes that a later query may go back. Validators inspect a block and the text after it.
const BEHIND: usize = 256;
/// Bytes that are cheap to read.
const READ_AHEAD: usize = 32;
/// Bytes after which words that are no longer needed are dropped.
const KEPT: usize = 256;
/// Work steps for storing a word, in addition to its letters.
const WORD: usize = 8;
/// Words or cells at the end of those read that are looked at one by one.
const NEAREST: usize = 4;
/// Maximum words of a term.
const PHRASE: usize = 5;

/// Terms of the selected detectors, by the hash of their words.
#[derive(Clone, Debug, Default)]
pub(super) struct ContextDictionary {
    /// Hash table with open addressing; the length is a power of two.
    entries: Vec<Entry>,
    /// Lengths, in characters, of terms in scripts without spaces; a bit set.
    run_lengths: u32,
    /// Bit set over the first three letters of the words of all terms. It rules out most words of a text.
    starts: [[u64; 32]; STARTS / 2048],
    /// Length of the longest ASCII term of one word, in bytes.
    longest: usize,
    /// Whether a term of several words is not ASCII.
    wide_phrases: bool,
    /// Bit set over the first two bytes of terms of one word.
    run_starts: [u64; RUN_STARTS / 64],
    /// Detectors whose context words mark a value as a password.
    passwords: DetectorSet,
    finds_secrets: bool,
}

/// State before the first result.
const UNANSWERED: (usize, usize) = (1, 0);

const STARTS: usize = 1 << START_BITS;
const START_BITS: u32 = 14;

/// Bits of the set over the first two bytes. With some hundred terms, most characters of a text have their bit clear.
const RUN_STARTS: usize = 1 << RUN_START_BITS;
const RUN_START_BITS: u32 = 11;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u64,
    slots: DetectorSet,
    /// Bit n: a term of n + 1 words ends with this word.
    phrases: u8,
}

/// Recent words of a text.
#[derive(Debug, Default)]
pub(super) struct Words {
    words: Vec<Word>,
    /// Position up to which the text is read.
    read: usize,
    /// Position after the last barrier that was read: the end of an object or a paragraph.
    barrier: usize,
    /// End of the last word that is a context word of a detector.
    last_term: usize,
    /// Position from which words that are no longer needed are dropped.
    full: usize,
    /// Position up to which the last result is valid. No word and no barrier was read since, and every term in the
    /// result is still near enough.
    near: usize,
}

/// Context of the values of one text, read on demand.
#[derive(Debug, Default)]
pub(super) struct ContextWords {
    words: Words,
    /// First and last position that the last result applies to. Validators at one place ask for the same, and so do
    /// later places without a word in between. Without a result the last one is before the first.
    answered: (usize, usize),
    answer: DetectorSet,
    /// For an ASCII text: there are no letters from `lettered` to `passed`.
    lettered: usize,
    passed: usize,
    ascii: bool,
    /// Whether the text's key is a context word.
    is_named: bool,
    /// Tables of the text, read up to `charted`. Before `bare` no value has a column name.
    table: Table,
    charted: usize,
    bare: usize,
    /// Recent cells of columns whose names are context words.
    cells: Vec<Cell>,
    /// Position from which cells that are no longer needed are dropped.
    full_of_cells: usize,
    /// Cells in columns of secrets that are not inspected yet.
    secrets: Vec<(Arc<Heading>, Cell)>,
    has_secrets: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Word {
    hash: u64,
    start: usize,
    end: usize,
    slots: DetectorSet,
    /// Detectors of terms of several words that end here; the first word of the term begins at `phrase_start`.
    phrase_slots: DetectorSet,
    phrase_start: usize,
    /// Whether an object or paragraph ended between the word before and this one.
    after_barrier: bool,
}

impl ContextDictionary {
    /// Builds the dictionary from terms, each with the bits of its detectors.
    pub(super) fn new<'a>(terms: impl Iterator<Item = (DetectorSet, &'a str)>) -> Self {
        let mut built = Self::default();
        let mut all: Vec<(u64, DetectorSet, u8)> = Vec::new();
        let readings = terms.flat_map(|(bit, term)| {
            let readings = readings(term).into_iter();
            readings.map(move |seen| (bit, seen))
        });
        for (bit, seen) in readings {
            if !seen.contains(' ') {
                built.add_run_start(seen.as_bytes());
                if !seen.is_ascii() {
                    let length = u32::try_from(seen.chars().count()).unwrap_or(0);
                    built.run_lengths |= 1u32.checked_shl(length).unwrap_or(0);
                    all.push((hash(seen.as_bytes()), bit, 0));
                    continue;
                }
                built.longest = built.longest.max(seen.len());
            }
            built.wide_phrases |= !seen.is_ascii();
            let written = seen.split(' ').filter(|word| !word.is_empty());
            for word in written.clone() {
                built.add_start(word.as_bytes());
            }
            let words: Vec<u64> = written.map(|word| hash(word.as_bytes())).collect();
            let Some(last) = words.last().copied() else {
                continue;
            };
            let phrase = words
                .iter()
                .rev()
                .skip(1)
                .fold(last, |phrase, word| join(*word, phrase));
            all.push((phrase, bit, u8::from(words.len() == 1)));
            if words.len() > 1 {
                let length = u32::try_from(words.len().saturating_sub(1)).unwrap_or(0);
                all.push((last, 0, 1u8.checked_shl(length).unwrap_or(0)));
            }
        }
        built.entries = vec![Entry::default(); all.len().saturating_mul(4).next_power_of_two()];
        for (hash, slots, phrases) in all {
            built.insert(hash, slots, phrases);
        }
        built
    }

    fn add_start(&mut self, word: &[u8]) {
        let bit = start(first_three(word));
        let bits = self.starts.as_flattened_mut().get_mut(bit / 64);
        if let Some(bits) = bits {
            *bits |= 1 << (bit % 64);
        }
    }

    /// Returns whether a word of a term may begin with these letters. They are the whole word if it is shorter.
    #[inline]
    fn may_begin(&self, three: u32) -> bool {
        let bit = start(three);
        let bits = self.starts.as_flattened().get(bit / 64);
        bits.is_some_and(|bits| bits >> (bit % 64) & 1 == 1)
    }

    /// Adds the first two bytes of a term. A term of one byte sets all bits.
    fn add_run_start(&mut self, term: &[u8]) {
        match term.first_chunk() {
            Some(two) => {
                let bit = run_start(*two);
                if let Some(bits) = self.run_starts.get_mut(bit / 64) {
                    *bits |= 1 << (bit % 64);
                }
            }
            None => self.run_starts = [u64::MAX; RUN_STARTS / 64],
        }
    }

    /// Returns whether a term may be at the beginning of this run.
    #[inline]
    fn may_begin_run(&self, run: &[u8]) -> bool {
        run.first_chunk().is_none_or(|two| {
            let bit = run_start(*two);
            self.run_starts
                .get(bit / 64)
                .is_some_and(|bits| bits >> (bit % 64) & 1 == 1)
        })
    }

    fn insert(&mut self, hash: u64, slots: DetectorSet, phrases: u8) {
        let mut index = self.index(hash);
        while let Some(entry) = self.entries.get_mut(index) {
            if entry.hash == hash || entry.hash == 0 {
                entry.hash = hash;
                entry.slots |= slots;
                entry.phrases |= phrases;
                return;
            }
            index = index.wrapping_add(1) & self.entries.len().wrapping_sub(1);
        }
    }

    /// Returns the detectors of the terms that the run begins with.
    fn of_run(&self, run: &[u8]) -> DetectorSet {
        let mut slots = 0;
        let mut hash = SEED;
        let mut characters = 0u32;
        for (place, byte) in run.iter().enumerate() {
            hash = mix(hash, byte.to_ascii_lowercase());
            let next = run.get(place.wrapping_add(1)).copied().unwrap_or(0);
            if next & 0xC0 != 0x80 {
                characters = characters.wrapping_add(1);
                let lengths = self.run_lengths.checked_shr(characters).unwrap_or(0);
                if lengths & 1 == 1 {
                    slots |= self.get(finish(hash)).map_or(0, |entry| entry.slots);
                }
                if lengths <= 1 {
                    break;
                }
            }
        }
        slots
    }

    /// Returns whether one of these detectors finds passwords by their names.
    pub(super) fn is_password(&self, slots: DetectorSet) -> bool {
        self.passwords & slots != 0
    }

    /// Returns whether columns of secrets are searched.
    pub(super) fn finds_secrets(&self) -> bool {
        self.finds_secrets
    }

    /// Returns whether no column name can have an effect.
    pub(super) fn has_no_names(&self) -> bool {
        self.entries.is_empty() && !self.finds_secrets
    }

    /// Turns on the search for columns of secrets.
    pub(super) fn find_secrets(&mut self) {
        self.finds_secrets = true;
    }

    /// Marks the context words of these detectors as names of passwords.
    pub(super) fn add_passwords(&mut self, slots: DetectorSet) {
        self.passwords |= slots;
    }

    fn index(&self, hash: u64) -> usize {
        usize::try_from(hash >> 40).unwrap_or(0) & self.entries.len().wrapping_sub(1)
    }

    fn get(&self, hash: u64) -> Option<&Entry> {
        let mut index = self.index(hash);
        loop {
            let entry = self.entries.get(index)?;
            if entry.hash == hash {
                return Some(entry);
            }
            if entry.hash == 0 {
                return None;
            }
            index = index.wrapping_add(1) & self.entries.len().wrapping_sub(1);
        }
    }
}

impl ContextWords {
    /// Starts a new text with its JSON key. `table` is the state of the tables where the text begins; `None`: column
    /// names are ignored.
    pub(super) fn begin(
        &mut self,
        key: Option<&str>,
        ascii: bool,
        table: Option<Table>,
        terms: &ContextDictionary,
    ) {
        self.is_named = false;
        match key {
            Some(key) => {
                let seen = NormalisedText::of(key);
                let key = seen.as_ref().map_or(key, NormalisedText::text);
                self.is_named = self.words.of_name(key.as_bytes(), terms) != 0;
            }
            None => self.words.begin(),
        }
        self.answered = UNANSWERED;
        self.charted = match table {
            Some(_) => 0,
            None => usize::MAX,
        };
        self.table = table.unwrap_or_default();
        self.secrets.clear();
        self.cells.clear();
        self.full_of_cells = KEPT;
        self.uncharted();
        (self.ascii, self.lettered, self.passed) = (ascii, 0, 0);
    }

    /// Records whether there are letters between the last such place and this one. Returns whether the tables have to
    /// be read up to this place, for the secrets in them.
    #[inline]
    pub(super) fn pass_over(&mut self, to: usize, letters: bool) -> bool {
        self.passed = to;
        if letters {
            self.lettered = to;
        }
        self.has_secrets
    }

    /// Returns whether a column of secrets continues, or may continue.
    pub(super) fn has_secrets(&self) -> bool {
        self.has_secrets
    }

    /// Returns whether some of the text's tables are not read.
    pub(super) fn is_incomplete(&self) -> bool {
        self.table.is_incomplete()
    }

    /// Takes a cell that was read in a column of secrets, with its heading.
    pub(super) fn next_secret(&mut self) -> Option<(Arc<Heading>, Cell)> {
        self.secrets.pop()
    }

    /// Returns whether the text's key is a context word.
    #[inline]
    pub(super) fn is_named(&self) -> bool {
        self.is_named
    }

    /// Returns whether it is known, without reading on, that `at` has no context term: neither before it nor as its
    /// column name.
    #[inline]
    pub(super) fn is_quiet(&self, at: usize) -> bool {
        at < self.bare
            && (self.ascii && at <= self.passed && at > self.lettered.saturating_add(BYTES)
                || at <= self.words.read && at > self.words.last_term.saturating_add(BYTES)
                || self.answer == 0 && self.is_answered(at))
    }

    /// Returns whether many words would have to be read to find the terms before `at`. Below the names of columns they are
    /// read anyway, for most values.
    #[inline]
    pub(super) fn is_unread(&self, at: usize) -> bool {
        self.cells.is_empty()
            && (self.words.read == 0 || at > self.words.read.saturating_add(READ_AHEAD))
    }

    /// Returns the detectors with a context term before `at`, near enough, or in the name of its column. Most positions
    /// are asked about several times.
    pub(super) fn before(
        &mut self,
        text: &[u8],
        at: usize,
        terms: &ContextDictionary,
    ) -> DetectorSet {
        if self.is_answered(at) {
            self.answer
        } else {
            self.look_before(text, at, terms)
        }
    }

    #[inline(never)]
    fn look_over(&mut self, text: &[u8], at: usize, terms: &ContextDictionary) -> DetectorSet {
        self.read_tables(text, at, terms);
        let next = count_before(&self.cells, |cell| cell.range().end <= at);
        let cell = self.cells.get(next).filter(|cell| cell.has(text, at));
        cell.map_or(0, |cell| cell.slots)
    }

    /// Reads the tables of the text up to the cell that contains a position.
    pub(super) fn read_tables(&mut self, text: &[u8], to: usize, terms: &ContextDictionary) {
        if to < self.charted || self.charted == usize::MAX {
            return;
        }
        if to > self.full_of_cells {
            let nearest = self.charted.saturating_sub(BEHIND.saturating_add(BYTES));
            let old = self
                .cells
                .partition_point(|cell| cell.range().end < nearest);
            self.cells.drain(..old);
            self.full_of_cells = to.saturating_add(KEPT);
        }
        let mut done = false;
        while self.table.at() <= to && !done {
            let known = self.cells.len();
            done = self.table.step(text, terms, &mut self.cells) == TableStep::Done;
            if let Some(cell) = self.cells.get(known) {
                if cell.is_secret
                    && cell.may_hold_secret()
                    && let Some(heading) = self.table.heading()
                {
                    self.secrets.push((heading, *cell));
                }
                // The name of a secret alone is no context word.
                if cell.slots == 0 {
                    self.cells.truncate(known);
                }
            }
        }
        self.charted = if done { usize::MAX } else { self.table.at() };
        self.uncharted();
    }

    /// Updates what is known of positions without a column name.
    fn uncharted(&mut self) {
        self.bare = match self.cells.is_empty() {
            true => self.charted,
            false => 0,
        };
        self.has_secrets = self.charted != usize::MAX && self.table.may_have_secrets();
    }

    #[inline]
    fn is_answered(&self, at: usize) -> bool {
        let (first, last) = self.answered;
        first <= at && at <= last
    }

    #[inline(never)]
    fn look_before(&mut self, text: &[u8], at: usize, terms: &ContextDictionary) -> DetectorSet {
        if self.is_quiet(at) || terms.entries.is_empty() {
            return 0;
        }
        let over = match at < self.bare {
            true => 0,
            false => self.look_over(text, at, terms),
        };
        let words = &mut self.words;
        if words.read < at {
            words.read_near(text, at, terms);
            // No word was read just now.
            let (first, last) = self.answered;
            if first <= last && (last..=words.near).contains(&at) && at < self.bare {
                self.answered = (first, at);
                return self.answer;
            }
        }
        work::spend(WORD);
        self.answered = (at, at);
        (self.answer, words.near) = words.spoken_before(text, at);
        self.answer |= over;
        if words.read > at || at >= self.bare {
            words.near = 0;
        }
        self.answer
    }
}

impl Words {
    /// Starts a new text.
    fn begin(&mut self) {
        self.words.clear();
        (self.read, self.barrier, self.last_term, self.full) = (0, 0, 0, KEPT);
    }

    /// Returns the detectors with a term in a name. The last words of the name count as words before the text that
    /// follows.
    pub(super) fn of_name(&mut self, name: &[u8], terms: &ContextDictionary) -> DetectorSet {
        self.of_column(name, terms).0
    }

    /// Returns the detectors with a term in the name of a column, and whether one for passwords stands apart: outside
    /// ASCII or at the beginning of letters and digits, where the pass over a text looks for words.
    pub(super) fn of_column(
        &mut self,
        name: &[u8],
        terms: &ContextDictionary,
    ) -> (DetectorSet, bool) {
        self.begin();
        self.read_near(name, name.len(), terms);
        let (mut slots, mut names_password) = (0, false);
        let is_apart = |at: usize| {
            !byte_at(name, at).is_ascii()
                || !byte_at(name, at.wrapping_sub(1)).is_ascii_alphanumeric()
        };
        for word in &mut self.words {
            slots |= word.slots | word.phrase_slots;
            names_password |= terms.is_password(word.slots) && is_apart(word.start)
                || terms.is_password(word.phrase_slots) && is_apart(word.phrase_start);
            (word.start, word.end, word.phrase_start) = (0, 0, 0);
        }
        (self.read, self.barrier, self.last_term, self.full) = (0, 0, 0, KEPT);
        (slots, names_password)
    }

    /// Reads the words near a position.
    #[inline(never)]
    fn read_near(&mut self, text: &[u8], at: usize, terms: &ContextDictionary) {
        if terms.entries.is_empty() {
            return;
        }
        // A later position may have been queried first. So the words near an earlier position must have been read,
        // too.
        let first = at.saturating_sub(BYTES.saturating_add(BEHIND));
        if self.read < first {
            self.read = first;
            // Part of a word is not a word.
            while is_letter(byte_at(text, self.read.wrapping_sub(1))) && self.read < at {
                self.read = self.read.wrapping_add(1);
            }
        }
        if self.read < at {
            self.read_on(text, at, terms);
        }
    }

    /// Returns the detectors with a term before `at` among the words read, and the last position for which the terms
    /// are near enough.
    #[inline(always)]
    fn spoken_before(&self, text: &[u8], at: usize) -> (DetectorSet, usize) {
        let from = at.saturating_sub(BYTES);
        if self.last_term < from {
            return (0, usize::MAX);
        }
        let near = match self.words.last() {
            Some(last) if last.end <= at => self.words.as_slice(),
            _ => {
                let first = count_before(&self.words, |word| word.end <= at);
                self.words.get(..first).unwrap_or_default()
            }
        };
        let Some(last) = near.last().filter(|word| word.start >= from) else {
            return (0, usize::MAX);
        };
        let between = if self.read <= at {
            self.barrier > last.end
        } else {
            (last.end..at).any(|at| is_barrier(text, at))
        };
        if between {
            return (0, usize::MAX);
        }
        let mut slots = 0;
        let mut until = usize::MAX;
        for word in near
            .iter()
            .rev()
            .take(WORDS)
            .take_while(|word| word.start >= from)
        {
            if word.slots != 0 {
                slots |= word.slots;
                until = until.min(word.start);
            }
            if word.phrase_slots != 0 && word.phrase_start >= from {
                slots |= word.phrase_slots;
                until = until.min(word.phrase_start);
            }
            if word.after_barrier {
                break;
            }
        }
        (slots, until.saturating_add(BYTES))
    }

    /// Reads the words that end before `to`. A word that continues there is read as if it ended.
    #[inline(always)]
    fn read_on(&mut self, text: &[u8], to: usize, terms: &ContextDictionary) {
        let to = to.min(text.len());
        work::spend(to.saturating_sub(self.read));
        if self.read > self.full {
            // Positions that far back are not queried any more.
            let nearest = self.read.saturating_sub(BEHIND.saturating_add(BYTES));
            let old = self.words.partition_point(|word| word.end < nearest);
            self.words.drain(..old);
            self.full = self.read.saturating_add(KEPT);
        }
        let mut at = self.read;
        let mut words = 0usize;
        let byte = |at: usize| byte_at(text, at);
        loop {
            at = next_letter(text, at, to);
            if at >= to {
                break;
            }
            let c = byte(at);
            if !is_letter(c) {
                at = at.wrapping_add(1);
                if is_barrier(text, at.wrapping_sub(1)) {
                    self.barrier = at;
                    self.near = 0;
                }
                continue;
            }
            if let Some(end) = end_of_hexadecimal(text, at) {
                if end > to {
                    break;
                }
                at = end;
                continue;
            }
            words = words.wrapping_add(1);
            let start = at;
            let joined = byte(at.wrapping_sub(1)).is_ascii_alphabetic() && at > 0;
            let fits = |(len, _): &(usize, u32)| !joined && *len <= to.wrapping_sub(at);
            let short = short_word(text, at).filter(fits);
            let mut ascii = true;
            if let Some((len, _)) = short {
                at = at.wrapping_add(len);
            } else {
                loop {
                    ascii &= byte(at).is_ascii();
                    at = at.wrapping_add(1);
                    if ascii {
                        // No word ends before a lower-case letter.
                        at = at.wrapping_add(count(text, at..to, |kind| kind == SMALL));
                    }
                    if at >= to
                        || !is_letter(byte(at))
                        || is_hump(byte(at.wrapping_sub(1)), byte(at), byte(at.wrapping_add(1)))
                        || is_end_of_script(text, at)
                    {
                        break;
                    }
                }
            }
            let run = text.get(start..at).unwrap_or_default();
            if ascii {
                // `IdNr` is two words and one.
                let slots = if joined {
                    self.joined(text, start, at, terms)
                } else {
                    0
                };
                let three = short.map_or_else(|| first_three(run), |(_, three)| three);
                if terms.may_begin(three) {
                    self.word(hash(run), start, at, slots, terms);
                } else if slots == 0 {
                    self.other_word(start, at);
                } else {
                    self.word(0, start, at, slots, terms);
                }
            } else {
                self.run(run, start, terms);
            }
        }
        work::spend(words.wrapping_mul(WORD));
        self.read = at.max(self.read);
    }

    /// Returns the detectors of the term that the humps of a name form together.
    fn joined(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
        terms: &ContextDictionary,
    ) -> DetectorSet {
        let mut first = start;
        for word in self
            .words
            .iter()
            .rev()
            .take(PHRASE)
            .take_while(|word| word.end > 0)
        {
            if word.end != first || !byte_at(text, word.start).is_ascii() {
                break;
            }
            first = word.start;
        }
        let name = text.get(first..end).unwrap_or_default();
        work::spend(name.len());
        terms.get(hash(name)).map_or(0, |entry| entry.slots)
    }

    /// Stores a word of no term, as most words are.
    #[inline]
    fn other_word(&mut self, start: usize, end: usize) {
        self.near = 0;
        let after_barrier = self.is_after_barrier();
        self.words.push(Word {
            hash: 0,
            start,
            end,
            slots: 0,
            phrase_slots: 0,
            phrase_start: start,
            after_barrier,
        });
    }

    /// Returns whether an object or paragraph ended after the last word.
    #[inline]
    fn is_after_barrier(&self) -> bool {
        let last = self.words.last();
        last.is_some_and(|before| self.barrier > before.end)
    }

    /// Stores a word with the detectors of the terms that end with it. A word with a hash of 0 ends none.
    #[inline(never)]
    fn word(
        &mut self,
        hash: u64,
        start: usize,
        end: usize,
        slots: DetectorSet,
        terms: &ContextDictionary,
    ) {
        let (mut slots, mut phrase_slots, mut phrase_start) = (slots, 0, start);
        if hash != 0
            && let Some(entry) = terms.get(hash)
        {
            slots |= entry.slots;
            let mut phrase = hash;
            // The lowest bit is of terms of one word.
            let mut phrases = entry.phrases >> 1;
            for before in self.words.iter().rev() {
                if phrases == 0 {
                    break;
                }
                phrase = join(before.hash, phrase);
                if phrases & 1 == 1
                    && let Some(longer) = terms.get(phrase)
                {
                    phrase_slots |= longer.slots;
                    phrase_start = before.start;
                }
                phrases >>= 1;
            }
        }
        if slots | phrase_slots != 0 {
            self.last_term = end;
        }
        self.near = 0;
        let after_barrier = self.is_after_barrier();
        self.words.push(Word {
            hash,
            start,
            end,
            slots,
            phrase_slots,
            phrase_start,
            after_barrier,
        });
    }

    /// Adds a run of letters of a script without spaces. The run may contain Latin words.
    fn run(&mut self, run: &[u8], start: usize, terms: &ContextDictionary) {
        let mut slots = 0;
        let mut at = 0usize;
        // End of the Latin letters at this place.
        let mut latin_end = 0usize;
        while let Some(first) = run.get(at) {
            let rest = run.get(at..).unwrap_or_default();
            if first.is_ascii() {
                if latin_end <= at {
                    let len = rest.iter().take_while(|byte| byte.is_ascii()).count();
                    latin_end = at.wrapping_add(len);
                }
                let latin = run.get(at..latin_end).unwrap_or_default();
                if latin.len() <= terms.longest && terms.may_begin(first_three(latin)) {
                    work::spend(latin.len());
                    slots |= terms.get(hash(latin)).map_or(0, |entry| entry.slots);
                }
            }
            if terms.may_begin_run(rest) {
                work::spend(WORD);
                slots |= terms.of_run(rest);
            }
            at = at.wrapping_add(1);
            while run.get(at).is_some_and(|byte| byte & 0xC0 == 0x80) {
                at = at.wrapping_add(1);
            }
        }
        let hash = if terms.wide_phrases { hash(run) } else { 0 };
        self.word(hash, start, start.wrapping_add(run.len()), slots, terms);
    }
}

/// Returns the number of items before a position in a list that is ordered. Most positions are near its end, where a binary
/// search takes more steps.
#[inline]
fn count_before<T>(items: &[T], is_before: impl Fn(&T) -> bool) -> usize {
    let nearest = items.len().saturating_sub(NEAREST);
    let (far, near) = items.split_at_checked(nearest).unwrap_or_default();
    match near.iter().rposition(&is_before) {
        Some(last) => nearest.wrapping_add(last).wrapping_add(1),
        None => far.partition_point(is_before),
    }
}

/// Returns the bit of two bytes, case-insensitively: Knuth's multiplicative hash, whose high bits are the mixed ones.
fn run_start(two: [u8; 2]) -> usize {
    let two = u32::from(u16::from_le_bytes(two) | 0x2020);
    (two.wrapping_mul(0x9E37_79B1) >> (32 - RUN_START_BITS)) as usize
}

/// Returns the bit of the [first three letters](first_three) of a word. The hash is that of [`run_start`].
fn start(three: u32) -> usize {
    (three.wrapping_mul(0x9E37_79B1) >> (32 - START_BITS)) as usize
}

/// Returns the first three letters of a word in lower case, with 0 after its end, as one number.
fn first_three(word: &[u8]) -> u32 {
    let letter = |place: usize| word.get(place).map_or(0, |byte| byte | 0x20);
    u32::from_le_bytes([letter(0), letter(1), letter(2), 0])
}

/// Returns the length of an ASCII word that begins here, if it ends within eight bytes and has no humps, and its [first
/// three letters](first_three).
#[inline]
fn short_word(text: &[u8], at: usize) -> Option<(usize, u32)> {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let eight = u64::from_le_bytes(*text.get(at..)?.first_chunk()?);
    let small = eight & !HIGH | 0x2020_2020_2020_2020;
    // The sums have the highest bit of each byte set from `a` on, and from `{` on.
    let from_a = small.wrapping_add(0x1F1F_1F1F_1F1F_1F1F);
    let behind_z = small.wrapping_add(0x0505_0505_0505_0505);
    let letters = from_a & !behind_z & !eight & HIGH;
    let end = (letters ^ HIGH).trailing_zeros() & !7;
    let word = 1u64.checked_shl(end)?.wrapping_sub(1);
    let capitals = letters & !(eight << 2) & word;
    let humps = capitals & !0x80 != 0 && capitals != letters & word;
    let [a, b, c, ..] = (small & word).to_le_bytes();
    let three = u32::from_le_bytes([a, b, c, 0]);
    (end > 0 && !humps && eight >> end & 0x80 == 0).then_some((end as usize / 8, three))
}

/// Returns the next position up to `to` at which a letter or a barrier may be. Of eight bytes each is compared at once.
#[inline]
fn next_letter(text: &[u8], from: usize, to: usize) -> usize {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut at = from;
    while at < to {
        let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) else {
            return at.wrapping_add(count(text, at..to, |kind| kind == 0));
        };
        let eight = u64::from_le_bytes(*eight);
        // The highest bit of each byte from `a` on, in lower case, and of the first end of a line.
        let from_a = (eight & !HIGH | 0x2020_2020_2020_2020).wrapping_add(0x1F1F_1F1F_1F1F_1F1F);
        let others = eight ^ 0x0A0A_0A0A_0A0A_0A0A;
        let ends = others.wrapping_sub(ONES) & !others;
        let found = (from_a | eight | ends) & HIGH;
        if found != 0 {
            at = at.wrapping_add(found.trailing_zeros() as usize / 8);
            break;
        }
        at = at.wrapping_add(8);
    }
    at.min(to)
}

/// Returns the end of the digits after the `x` of a `0x` at this place. Letters of a hexadecimal number are not
/// words.
#[inline]
fn end_of_hexadecimal(text: &[u8], at: usize) -> Option<usize> {
    if byte_at(text, at) != b'x' || byte_at(text, at.wrapping_sub(1)) != b'0' {
        return None;
    }
    let rest = text.get(at..)?.get(1..)?;
    let digits = rest
        .iter()
        .take(HEXADECIMAL)
        .take_while(|byte| byte.is_ascii_hexdigit());
    let end = at.wrapping_add(1).wrapping_add(digits.count());
    (!is_letter(byte_at(text, end))).then_some(end)
}

/// Maximum digits of a hexadecimal number, those of 256 bits. If reading begins inside a number, the number ends
/// before any word counts.
const HEXADECIMAL: usize = 64;

fn byte_at(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// Returns whether an object or a paragraph ends here: `{`, `}` or an empty line. Words before it belong to something
/// else.
fn is_barrier(text: &[u8], at: usize) -> bool {
    match byte_at(text, at) {
        b'{' | b'}' => true,
        b'\n' => byte_at(text, at.wrapping_sub(1)) == b'\n',
        _ => false,
    }
}

const SMALL: u8 = 1;

/// Byte classes: bytes of words, and bytes that end an object or a paragraph; 0 for everything else.
static KINDS: [u8; 256] = kinds();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn kinds() -> [u8; 256] {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        if c.is_ascii_lowercase() {
            kinds[byte] = SMALL;
        } else if is_letter(c) || matches!(c, b'{' | b'}' | b'\n') {
            kinds[byte] = 2;
        }
        byte += 1;
    }
    kinds
}

/// Returns the number of bytes at the start of a range whose class fits.
#[inline]
fn count(text: &[u8], range: std::ops::Range<usize>, fits: impl Fn(u8) -> bool) -> usize {
    let bytes = text.get(range).unwrap_or_default();
    let fits = |byte: &u8| fits(KINDS.get(usize::from(*byte)).copied().unwrap_or(0));
    bytes.iter().take_while(|byte| fits(byte)).count()
}

pub(super) const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte >= 0x80
}

/// Returns whether a word ends between `a` and `b`: `creditCard`, `SSNNumber`.
fn is_hump(a: u8, b: u8, c: u8) -> bool {
    b.is_ascii_uppercase()
        && (a.is_ascii_lowercase() || a.is_ascii_uppercase() && c.is_ascii_lowercase())
}

/// Returns where the word begins that a position is in the middle of: to ask there would read the word as two. In a
/// script without spaces every position may begin a word.
pub(super) fn start_of_word(text: &[u8], at: usize) -> usize {
    let before = |at: usize| byte_at(text, at.wrapping_sub(1));
    let mut start = at;
    while is_letter(byte_at(text, start))
        && byte_at(text, start) < THREE_BYTES
        && is_letter(before(start))
        && !is_hump(
            before(start),
            byte_at(text, start),
            byte_at(text, start.wrapping_add(1)),
        )
        && at.wrapping_sub(start) < BYTES
    {
        let mut letter = start.wrapping_sub(1);
        while byte_at(text, letter) & 0xC0 == 0x80 {
            letter = letter.wrapping_sub(1);
        }
        if byte_at(text, letter) >= THREE_BYTES {
            break;
        }
        start = letter;
    }
    start
}

/// Returns whether Latin letters meet a script without spaces before `at`. Each side is a word of its own.
fn is_end_of_script(text: &[u8], at: usize) -> bool {
    let (before, after) = (byte_at(text, at.wrapping_sub(1)), byte_at(text, at));
    before.is_ascii() && after >= THREE_BYTES
        || after.is_ascii_alphabetic()
            && !before.is_ascii()
            && byte_at(text, at.wrapping_sub(3)) >= THREE_BYTES
}

/// Smallest first byte of characters of three bytes and more. Most of them belong to East and South Asian scripts.
const THREE_BYTES: u8 = 0xE0;

/// Offset basis and prime of FNV-1a (draft-eastlake-fnv): short, and good enough for some hundred known words.
const SEED: u64 = 0xCBF2_9CE4_8422_2325;

fn mix(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
}

/// Makes a hash non-zero: 0 marks an empty slot of the table.
fn finish(hash: u64) -> u64 {
    hash | 1
}

/// Returns the hash of a word, case-insensitively.
#[inline(never)]
fn hash(word: &[u8]) -> u64 {
    let letters = word.iter().map(u8::to_ascii_lowercase);
    finish(letters.fold(SEED, mix))
}

fn join(word: u64, rest: u64) -> u64 {
    finish((word.rotate_left(23) ^ rest).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: &[(u16, &str)] = &[
        (0, "ssn"),
        (0, "social security"),
        (1, "national insurance number"),
        (2, "henkilötunnus"),
        (2, "hetu"),
        (3, "주민등록번호"),
        (4, "numero de identificacion de extranjero"),
        (5, "credit card"),
        (5, "カード"),
        (6, "Employee"),
        (6, " Staff  ID "),
        (7, "номер сотрудника"),
        (8, "телефон"),
        (9, "aba"),
    ];

    fn terms() -> ContextDictionary {
        ContextDictionary::new(TERMS.iter().map(|(slot, term)| (1 << slot, *term)))
    }

    fn slots(text: &str, key: Option<&str>) -> Vec<u16> {
        let terms = terms();
        let seen =
            NormalisedText::of(text).map_or_else(|| text.to_owned(), |view| view.text().to_owned());
        let mut nearby = ContextWords::default();
        nearby.begin(key, false, None, &terms);
        let found = nearby.before(seen.as_bytes(), seen.len(), &terms);
        (0..16).filter(|slot| found >> slot & 1 == 1).collect()
    }

    #[test]
    fn terms_are_found_in_words_names_and_scripts_without_spaces() {
        for (text, found) in [
            ("my SSN is ", &[0][..]),
            ("user.ssn_value: ", &[0]),
            ("Social-Security no. ", &[0]),
            ("mySocialSecurityNumber=", &[0]),
            ("National Insurance number: ", &[1]),
            ("Henkilötunnus ", &[2]),
            ("주민등록번호는 ", &[3]),
            ("Mi Número de identificación de extranjero es ", &[4]),
            ("顧客のカード番号：", &[5]),
            ("顧客のSSN：", &[0]),
            ("EMPLOYEE ", &[6]),
            ("employee: ", &[6]),
            ("staff-id ", &[6]),
            ("номер сотрудника ", &[7]),
            ("Номер сотрудника: ", &[7]),
            ("номер ", &[]),
            ("Телефон: ", &[8]),
            ("ТЕЛЕФОН ", &[8]),
            ("顧客のmy Social security：", &[0]),
            ("私のNational Insurance numberは", &[1]),
            ("myHeTu: ", &[]),
            ("HeTu: ", &[2]),
            ("lessn ", &[]),
            ("security ", &[]),
            ("", &[]),
        ] {
            assert_eq!(slots(text, None), found, "{text}");
        }
    }

    #[test]
    fn a_key_counts_as_words_before_the_text() {
        assert_eq!(slots("", Some("customerSSN")), [0]);
        assert_eq!(slots("no. ", Some("credit_card")), [5]);
        assert!(slots("a b c d e f g h ", Some("ssn")).is_empty());
    }

    #[test]
    fn terms_that_are_far_or_belong_to_something_else_do_not_count() {
        assert_eq!(slots("ssn a b c d e ", None), [0]);
        assert!(slots("ssn a b c d e f ", None).is_empty());
        assert!(slots(&format!("ssn {}", "1 ".repeat(50)), None).is_empty());
        assert!(slots("{\"ssn\": null}, ", None).is_empty());
        assert!(slots("ssn\n\nid ", None).is_empty());
        assert_eq!(slots("ssn\nid ", None), [0]);
    }

    #[test]
    fn digits_of_a_hexadecimal_number_are_no_words() {
        assert!(slots("0x12Aba ", None).is_empty());
        assert!(slots("0x12Aba", None).is_empty());
        assert_eq!(slots("0x12AbaNo ", None), [9]);
        assert_eq!(slots("12Aba ", None), [9]);
        assert_eq!(slots("aba 0xAb34cD ", None), [9]);
    }

    #[test]
    fn asking_again_and_again_gives_what_asking_once_gives() {
        let terms = terms();
        let text = "ssn 1 credit card 2 0xAba9cD 4 social security 3 x y z 4 national insurance number 5 a b c d e f g 6".repeat(9);
        let mut running = ContextWords::default();
        running.begin(None, false, None, &terms);
        for at in (0..text.len()).filter(|at| text.as_bytes()[*at].is_ascii_digit()) {
            let mut fresh = ContextWords::default();
            fresh.begin(None, false, None, &terms);
            assert_eq!(
                running.before(text.as_bytes(), at, &terms),
                fresh.before(text.as_bytes(), at, &terms),
                "{at}"
            );
        }
    }
}
