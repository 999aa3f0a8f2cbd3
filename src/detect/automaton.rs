//! Automaton of Aho and Corasick ("Efficient string matching: an aid to bibliographic search", 1975). It reads a text
//! once. Its state after each byte is the longest end of the text read so far that is the beginning of a word.
//!
//! States are numbered by depth and, among those of one depth, in the order of the words. So the children of a state
//! are adjacent and need no list. The shallow states, where most of any text is spent, come first. As many of them as
//! fit into [`ROWS`] have a row with the next state for every byte. All others have their children and a fallback
//! state.
//!
//! A run of white space in the text is one space: a state that a space has led to stays the same at the next one. So
//! `drop table` is found in `DROP\r\n\t TABLE`, at no cost for each byte. Words contain single spaces only.

use crate::wire::span::{index, offset};
use std::ops::Range;

/// Maximum numbers in the table of rows: 256 KiB.
const ROWS: usize = 1 << 16;

/// Flag of an entry in `rows` whose state ends words. `MAX_LITERAL_BYTES` keeps places far below it.
const ENDS: u32 = 1 << 31;

/// Minimum runs of white space that are kept before those that no word can begin in are dropped.
const RUNS: usize = 4_096;

/// Finder of words in texts. Letters A–Z match case-insensitively, and any run of white space matches a space.
#[derive(Clone, Debug)]
pub(super) struct Automaton {
    /// Class of each byte; 0 if no word contains it.
    classes: [u8; 256],
    /// Class of white space; 0: no word contains a space.
    space: u8,
    /// Binary logarithm of a row's length.
    shift: u32,
    /// For each of the first states and each class: the place of the next state's row, or the place that it would
    /// have if all states had a row; with [`ENDS`].
    rows: Vec<u32>,
    /// States, and one more at the end.
    states: Vec<AutomatonState>,
    /// Class that leads to each state.
    labels: Vec<u8>,
    /// Words that end at a state, the longest first; each contains the index of the next one. The first entry is
    /// unused.
    ends: Vec<End>,
    /// The first state of each depth.
    depths: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct AutomatonState {
    /// First child; the children of the next state follow after those of this one.
    children: u32,
    /// State of the longest proper end of this state's text.
    shorter: u32,
    /// Index of the state's words in `ends`; 0: there are none.
    end: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct End {
    word: u32,
    length: u32,
    next: u32,
    has_space: bool,
}

impl Automaton {
    /// Builds the automaton. The words are sorted and distinct, and none is empty. Their letters A–Z are in lower
    /// case, and their white space is single spaces.
    pub(super) fn new(words: &[&[u8]]) -> Automaton {
        Automaton::with_rows(words, ROWS)
    }

    fn with_rows(words: &[&[u8]], most: usize) -> Automaton {
        let mut built = Automaton::over(words);
        // Words that have not ended yet, each with its number and the state that it has led to.
        let mut open: Vec<(&[u8], u32, u32)> = (0..).zip(words).map(|(n, w)| (*w, n, 0)).collect();
        let mut level = 0..1;
        while level.start < level.end {
            let depth = built.depths.len();
            built.depths.push(level.start);
            // The first state of the next depth gets its start of children, too: there the last parent's children
            // end.
            let mut parents = level.start..level.end.saturating_add(1);
            let mut last = None;
            open.retain_mut(|(word, number, state)| {
                let Some(byte) = word.get(depth) else {
                    return false;
                };
                let class = built.class(*byte);
                if last != Some((*state, class)) {
                    last = Some((*state, class));
                    built.begin_children(&mut parents, *state);
                    built.add_child(*state, class);
                }
                *state = offset(built.states.len()).saturating_sub(1);
                if word.len() == depth.saturating_add(1) {
                    built.end(*number, word);
                }
                true
            });
            built.begin_children(&mut parents, level.end);
            for state in level.clone() {
                built.add_row(state, most);
            }
            level = level.end..offset(built.states.len());
        }
        built.states.push(AutomatonState {
            children: offset(built.states.len()),
            ..AutomatonState::default()
        });
        built
    }

    /// Returns an automaton with only the root state, and the classes that the words distinguish.
    fn over(words: &[&[u8]]) -> Automaton {
        let mut classes = [0; 256];
        for byte in words.iter().flat_map(|word| *word) {
            if let Some(class) = classes.get_mut(usize::from(*byte)) {
                *class = 1;
            }
        }
        let mut count = 0_u8;
        for class in classes.iter_mut().filter(|class| **class > 0) {
            // UTF-8 uses fewer than 256 byte values.
            count = count.saturating_add(1);
            *class = count;
        }
        for capital in b'A'..=b'Z' {
            let small = classes
                .get(usize::from(capital.to_ascii_lowercase()))
                .copied();
            if let (Some(class), Some(small)) = (classes.get_mut(usize::from(capital)), small) {
                *class = small;
            }
        }
        let space = classes.get(usize::from(b' ')).copied().unwrap_or(0);
        for white in [b'\t', b'\n', VERTICAL_TAB, b'\x0C', b'\r'] {
            if let Some(class) = classes.get_mut(usize::from(white)) {
                *class = space;
            }
        }
        Automaton {
            classes,
            space,
            shift: u8::BITS.saturating_sub(count.leading_zeros()),
            rows: Vec::new(),
            states: vec![AutomatonState::default()],
            labels: vec![0],
            ends: vec![End::default()],
            depths: Vec::new(),
        }
    }

    /// Sets the start of children of the states up to `parent` to the next new state.
    fn begin_children(&mut self, parents: &mut Range<u32>, parent: u32) {
        let next = offset(self.states.len());
        while parents.start < parents.end && parents.start <= parent {
            if let Some(state) = self.states.get_mut(index(parents.start)) {
                state.children = next;
            }
            parents.start = parents.start.saturating_add(1);
        }
    }

    fn add_child(&mut self, parent: u32, class: u8) {
        let shorter = if parent == 0 {
            0
        } else {
            let place = self.next(self.place(self.state(parent).shorter), class);
            self.number(place & !ENDS)
        };
        self.states.push(AutomatonState {
            children: 0,
            shorter,
            end: self.state(shorter).end,
        });
        self.labels.push(class);
    }

    /// Adds a word that ends at the last state.
    fn end(&mut self, number: u32, word: &[u8]) {
        let last = offset(self.ends.len());
        if let Some(state) = self.states.last_mut() {
            self.ends.push(End {
                word: number,
                length: offset(word.len()),
                next: state.end,
                has_space: word.contains(&b' '),
            });
            state.end = last;
        }
    }

    /// Adds the row of a state whose children are known. The root state always has a row.
    fn add_row(&mut self, state: u32, most: usize) {
        let length = 1_usize.wrapping_shl(self.shift);
        if !self.rows.is_empty() && self.rows.len().saturating_add(length) > most {
            return;
        }
        let row = self.rows.len();
        let shorter = index(self.place(self.state(state).shorter));
        for class in 0..length {
            let next = self.rows.get(shorter.saturating_add(class)).copied();
            self.rows.push(next.unwrap_or(0));
        }
        for child in self.children(state) {
            let class = self.labels.get(index(child)).copied().unwrap_or(0);
            let leads = self.arrival(child);
            if let Some(next) = self.rows.get_mut(row.saturating_add(usize::from(class))) {
                *next = leads;
            }
        }
        if self.is_after_space(state) {
            let stays = self.place(state);
            let space = row.saturating_add(usize::from(self.space));
            if let Some(next) = self.rows.get_mut(space) {
                *next = stays;
            }
        }
    }

    /// Returns whether a space leads to a state: more white space does not change it.
    fn is_after_space(&self, state: u32) -> bool {
        self.space != 0 && self.labels.get(index(state)) == Some(&self.space)
    }

    fn class(&self, byte: u8) -> u8 {
        self.classes.get(usize::from(byte)).copied().unwrap_or(0)
    }

    fn state(&self, state: u32) -> AutomatonState {
        self.states.get(index(state)).copied().unwrap_or_default()
    }

    fn children(&self, state: u32) -> Range<u32> {
        self.state(state).children..self.state(state.saturating_add(1)).children
    }

    fn place(&self, state: u32) -> u32 {
        state.wrapping_shl(self.shift)
    }

    /// Returns the index in `rows` of a class, for the state at a place.
    fn entry(&self, place: u32, class: u8) -> usize {
        index(place | u32::from(class))
    }

    fn number(&self, place: u32) -> u32 {
        place.wrapping_shr(self.shift)
    }

    /// Returns the place of a state, with the flag for words that end there.
    fn arrival(&self, state: u32) -> u32 {
        let ends = if self.state(state).end == 0 { 0 } else { ENDS };
        self.place(state) | ends
    }

    /// Returns the next state's place for a class.
    #[inline]
    fn next(&self, place: u32, class: u8) -> u32 {
        let row = self.rows.get(self.entry(place, class));
        row.copied().unwrap_or_else(|| self.search(place, class))
    }

    /// Returns the same for a state without a row.
    #[inline(never)]
    fn search(&self, place: u32, class: u8) -> u32 {
        let mut state = self.number(place);
        if class == self.space && self.is_after_space(state) {
            return place;
        }
        loop {
            let children = self.children(state);
            let labels = self.labels.get(index(children.start)..index(children.end));
            if let Ok(child) = labels.unwrap_or_default().binary_search(&class) {
                return self.arrival(children.start.saturating_add(offset(child)));
            }
            state = self.state(state).shorter;
            // The root state has a row.
            if let Some(next) = self.rows.get(self.entry(self.place(state), class)) {
                return *next;
            }
        }
    }

    /// Calls `hit` with the number and the range of each word in the text. Of words that end together the longest
    /// comes first. A run of white space at an end of a word is in its range as a whole.
    pub(super) fn find(&self, text: &[u8], hit: &mut dyn FnMut(u32, Range<usize>)) {
        let (mut place, mut at) = (0, 0_usize);
        let mut runs = WhitespaceRuns::default();
        loop {
            // Most of a text is read here: among states with rows, where no word ends.
            while let Some(byte) = text.get(at)
                && let Some(next) = self.rows.get(self.entry(place, self.class(*byte)))
                && next & ENDS == 0
            {
                place = *next;
                at = at.wrapping_add(1);
            }
            let Some(byte) = text.get(at) else {
                return;
            };
            place = self.next(place, self.class(*byte));
            at = at.wrapping_add(1);
            if place & ENDS == 0 {
                continue;
            }
            place ^= ENDS;
            let mut end = self.state(self.number(place)).end;
            let mut stop = None;
            while end != 0
                && let Some(found) = self.ends.get(index(end))
            {
                let length = index(found.length);
                let range = if found.has_space {
                    runs.read(text, at, self.longest());
                    let stop = stop.get_or_insert_with(|| end_of_white(text, at));
                    runs.start(at, length)..*stop
                } else {
                    at.saturating_sub(length)..at
                };
                hit(found.word, range);
                end = found.next;
            }
        }
    }

    fn longest(&self) -> usize {
        self.depths.len().saturating_sub(1)
    }

    /// Returns the start of the last `count` bytes of a text, with each run of white space counted as one byte.
    fn back(&self, text: &[u8], count: usize) -> usize {
        if self.space == 0 {
            return text.len().saturating_sub(count);
        }
        let mut at = text.len();
        for _ in 0..count {
            let Some(last) = at.checked_sub(1) else {
                return 0;
            };
            let before = text.get(..at).unwrap_or_default().iter().rev();
            let run = before.take_while(|byte| is_white(**byte)).count();
            at = at.saturating_sub(run).min(last);
        }
        at
    }

    /// Returns the number of bytes at the end of the text that an unfinished word begins with. After a word that ends
    /// with a space, more white space may follow.
    pub(super) fn begun(&self, text: &[u8]) -> usize {
        let tail = text
            .get(self.back(text, self.longest())..)
            .unwrap_or_default();
        let place = tail
            .iter()
            .fold(0, |place, byte| self.next(place, self.class(*byte)) & !ENDS);
        let mut state = self.number(place);
        while state != 0 && self.children(state).is_empty() && !self.is_after_space(state) {
            state = self.state(state).shorter;
        }
        let depth = self.depths.partition_point(|first| *first <= state);
        let begin = self.back(text, depth.saturating_sub(1));
        text.len().saturating_sub(begin)
    }
}

const VERTICAL_TAB: u8 = 0x0B;

/// Returns whether a byte is ASCII white space (Unicode, PropList.txt, White_Space); `u8::is_ascii_whitespace` leaves
/// out U+000B.
pub(super) fn is_white(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == VERTICAL_TAB
}

/// Returns the end of the run of white space that contains the byte before `at`; without one, `at`.
fn end_of_white(text: &[u8], at: usize) -> usize {
    let is_within = at
        .checked_sub(1)
        .and_then(|last| text.get(last))
        .is_some_and(|byte| is_white(*byte));
    if !is_within {
        return at;
    }
    let rest = text.get(at..).unwrap_or_default();
    let more = rest.iter().take_while(|byte| is_white(**byte)).count();
    at.saturating_add(more)
}

/// Runs of white space in a text up to the position read. They map the bytes that a word counts to those of the text.
/// A text is read once for this, and only if a word with a space was found.
#[derive(Default)]
struct WhitespaceRuns {
    read: usize,
    is_white: bool,
    is_long: bool,
    /// White space after the first byte of each run.
    skipped: usize,
    /// Position after each run of two or more bytes: with runs counted as one byte, and in the text.
    ends: Vec<(usize, usize)>,
}

impl WhitespaceRuns {
    fn read(&mut self, text: &[u8], to: usize, longest: usize) {
        let from = std::mem::replace(&mut self.read, to);
        for (at, byte) in (from..to).zip(text.get(from..to).unwrap_or_default()) {
            let is_white = is_white(*byte);
            if is_white && self.is_white {
                self.skipped = self.skipped.saturating_add(1);
                self.is_long = true;
            } else if self.is_long {
                self.is_long = false;
                self.ends.push((at.saturating_sub(self.skipped), at));
            }
            self.is_white = is_white;
        }
        if self.ends.len() > RUNS {
            let reached = to.saturating_sub(self.skipped).saturating_sub(longest);
            let passed = self
                .ends
                .partition_point(|(counted, _)| *counted <= reached);
            // Not every time: moving the others down must pay off.
            if passed > self.ends.len().div_euclid(2) {
                self.ends.drain(..passed.saturating_sub(1));
            }
        }
    }

    /// Returns the start of a word of this length that ends at `at`, a position up to which the text was read.
    fn start(&self, at: usize, length: usize) -> usize {
        let start = at.saturating_sub(self.skipped).saturating_sub(length);
        let behind = self.ends.partition_point(|(counted, _)| *counted <= start);
        match behind.checked_sub(1).and_then(|run| self.ends.get(run)) {
            Some((counted, at)) => at.saturating_add(start.saturating_sub(*counted)),
            None => start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Every occurrence of every word: its end, its length, its number.
    fn naive(words: &[&[u8]], text: &[u8]) -> Vec<(usize, usize, u32)> {
        let text = text.to_ascii_lowercase();
        let mut found = Vec::new();
        for end in 1..=text.len() {
            for (number, word) in (0..).zip(words) {
                if text[..end].ends_with(word) {
                    found.push((end, word.len(), number));
                }
            }
        }
        found.sort_by_key(|(end, length, _)| (*end, usize::MAX - length));
        found
    }

    fn found(automaton: &Automaton, text: &[u8]) -> Vec<(usize, usize, u32)> {
        let mut found = Vec::new();
        automaton.find(text, &mut |word, range| {
            found.push((range.end, range.len(), word));
        });
        found
    }

    proptest! {
        #[test]
        fn finds_what_a_naive_search_finds_however_many_states_have_rows(
            words in prop::collection::btree_set("[a-c\u{e4}]{1,6}", 1..20),
            text in "[a-cA-C\u{e4}\u{c4}x]{0,60}",
        ) {
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let expected = naive(&words, text.as_bytes());
            for rows in [0, 40, ROWS] {
                let automaton = Automaton::with_rows(&words, rows);
                prop_assert_eq!(&found(&automaton, text.as_bytes()), &expected);
            }
        }

        #[test]
        fn the_longest_beginning_at_the_end_of_a_text_is_known(
            words in prop::collection::btree_set("[ab]{1,6}", 1..8),
            text in "[ab]{0,20}",
        ) {
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let begins = |length: &usize| {
                let end = &text.as_bytes()[text.len() - length..];
                words.iter().any(|word| word.len() > *length && word.starts_with(end))
            };
            let longest = (1..=text.len()).rev().find(begins).unwrap_or(0);
            for rows in [0, ROWS] {
                let automaton = Automaton::with_rows(&words, rows);
                prop_assert_eq!(automaton.begun(text.as_bytes()), longest);
            }
        }
    }

    /// Returns a text with each run of white space as one space, and the range of each of its bytes.
    fn counted(text: &[u8]) -> (Vec<u8>, Vec<Range<usize>>) {
        let (mut bytes, mut places) = (Vec::new(), Vec::<Range<usize>>::new());
        for (at, byte) in text.iter().enumerate() {
            let white = is_white(*byte);
            if white && bytes.last() == Some(&b' ') {
                places.last_mut().unwrap().end = at + 1;
            } else {
                bytes.push(if white { b' ' } else { *byte });
                places.push(at..at + 1);
            }
        }
        (bytes, places)
    }

    proptest! {
        #[test]
        fn a_run_of_white_space_is_one_space(
            words in prop::collection::btree_set("[ab]{1,2}( [ab]{1,2}){0,2} ?| [ab]", 1..8),
            text in "[abA \t\n\r\x0B]{0,80}",
        ) {
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let (bytes, places) = counted(text.as_bytes());
            let expected: Vec<(u32, Range<usize>)> = naive(&words, &bytes)
                .iter()
                .map(|(end, length, word)| (*word, places[end - length].start..places[end - 1].end))
                .collect();
            for rows in [0, 40, ROWS] {
                let automaton = Automaton::with_rows(&words, rows);
                let mut found = Vec::new();
                automaton.find(text.as_bytes(), &mut |word, range| found.push((word, range)));
                prop_assert_eq!(&found, &expected);
            }
        }

        #[test]
        fn what_has_begun_is_known_whatever_the_white_space(
            words in prop::collection::btree_set("[ab]{1,2}( [ab]{1,2}){0,2} ?| [ab]", 1..8),
            text in "[ab \t\n]{0,40}",
        ) {
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let (bytes, places) = counted(text.as_bytes());
            let begins = |length: &usize| {
                let end = &bytes[bytes.len() - length..];
                words.iter().any(|word| {
                    word.starts_with(end) && (word.len() > *length || end.ends_with(b" "))
                })
            };
            let longest = (1..=bytes.len()).rev().find(begins);
            let expected = longest.map_or(0, |length| {
                text.len() - places[bytes.len() - length].start
            });
            for rows in [0, ROWS] {
                let automaton = Automaton::with_rows(&words, rows);
                prop_assert_eq!(automaton.begun(text.as_bytes()), expected);
            }
        }
    }

    #[test]
    fn runs_that_no_word_reaches_back_to_are_forgotten() {
        let automaton = Automaton::new(&[b"a b"]);
        let text = "a  b ".repeat(3 * RUNS);
        let mut runs = WhitespaceRuns::default();
        for at in 0..text.len() {
            runs.read(text.as_bytes(), at, automaton.longest());
        }
        assert!(runs.ends.len() <= RUNS + 1);
        let mut starts = Vec::new();
        automaton.find(text.as_bytes(), &mut |_, range| starts.push(range));
        let expected: Vec<Range<usize>> = (0..3 * RUNS).map(|n| 5 * n..5 * n + 4).collect();
        assert_eq!(starts, expected);
    }

    #[test]
    fn words_over_all_bytes_there_are_can_be_told_apart() {
        let all: BTreeSet<String> = (1..=0x10_FFFF)
            .step_by(97)
            .filter_map(char::from_u32)
            .map(|c| c.to_ascii_lowercase().to_string())
            .collect();
        let words: Vec<&[u8]> = all.iter().map(String::as_bytes).collect();
        let automaton = Automaton::new(&words);
        for (number, word) in (0..).zip(&words) {
            let last = found(&automaton, word).pop();
            assert_eq!(last, Some((word.len(), word.len(), number)));
        }
    }
}
