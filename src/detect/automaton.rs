//! The automaton of Aho and Corasick ("Efficient string matching: an aid to bibliographic search", 1975): it reads a text
//! once and stands, after each byte, for the longest end of what was read that some word begins with.
//!
//! States are numbered by depth and, among those of one depth, in the words' order. So the children of a state stand side by
//! side and need no list; the shallow ones, where most of any text is spent, come first, and as many of them as fit into
//! [`ROWS`] know for every byte where it leads. All others know their children and where to go on when none fits.
//!
//! A run of white space in the text is one space: a state that a space has led to stays where it is at the next one. So
//! `drop table` is in `DROP\r\n\t TABLE`, at no cost for each byte. Words have single spaces only.

use crate::wire::span::{index, offset};
use std::ops::Range;

/// Numbers in the table of rows, at most: 256 KiB.
const ROWS: usize = 1 << 16;

/// Marks a place in `rows` whose state has words that end there. `MAX_LITERAL_BYTES` keeps places far below it.
const ENDS: u32 = 1 << 31;

/// Fewest runs of white space that are remembered before those that no word reaches back to are forgotten.
const RUNS: usize = 4_096;

/// Finds words in texts; letters A–Z match without case, and any run of white space matches a space.
#[derive(Clone, Debug)]
pub(super) struct Automaton {
    /// What a byte counts as: 0 if it stands in no word.
    classes: [u8; 256],
    /// What white space counts as; 0: no word has a space.
    space: u8,
    /// Binary logarithm of a row's length.
    shift: u32,
    /// For each of the first states and each class: the place of the row of the state that it leads to, or where it would be
    /// if all states had one; with [`ENDS`].
    rows: Vec<u32>,
    /// And one more at the end.
    states: Vec<AutomatonState>,
    /// The class that leads to each state.
    labels: Vec<u8>,
    /// Words that end at a state, the longest first: each says which one follows. The first of all is none.
    ends: Vec<End>,
    /// The first state of each depth.
    depths: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct AutomatonState {
    /// The first of its children; the next state's are those behind them.
    children: u32,
    /// The state of the longest end of what this one stands for, itself left out.
    shorter: u32,
    /// Where in `ends` its words begin; 0: there are none.
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
    /// The words are sorted and distinct, none is empty, their letters A–Z are small, and their white space is single
    /// spaces.
    pub(super) fn new(words: &[&[u8]]) -> Automaton {
        Automaton::with_rows(words, ROWS)
    }

    fn with_rows(words: &[&[u8]], most: usize) -> Automaton {
        let mut built = Automaton::over(words);
        // The words that have not ended yet, and the state that each has reached.
        let mut open: Vec<(&[u8], u32, u32)> = (0..).zip(words).map(|(n, w)| (*w, n, 0)).collect();
        let mut level = 0..1;
        while level.start < level.end {
            let depth = built.depths.len();
            built.depths.push(level.start);
            // The next depth's first state is told too where its children begin: there, the last parent's end.
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

    /// The state of nothing read, and the classes that these words tell apart.
    fn over(words: &[&[u8]]) -> Automaton {
        let mut classes = [0; 256];
        for byte in words.iter().flat_map(|word| *word) {
            if let Some(class) = classes.get_mut(usize::from(*byte)) {
                *class = 1;
            }
        }
        let mut count = 0_u8;
        for class in classes.iter_mut().filter(|class| **class > 0) {
            // UTF-8 has fewer than 256 bytes.
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

    /// The children of these states up to `parent` begin with the next state that there will be.
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

    /// A word ends at the last state.
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

    /// Where each class leads to from a state whose children are known. The state of nothing read always has a row.
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

    /// Whether a space has led to a state: more white space leads nowhere else.
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

    /// Where in `rows` a class of the state at a place stands.
    fn entry(&self, place: u32, class: u8) -> usize {
        index(place | u32::from(class))
    }

    fn number(&self, place: u32) -> u32 {
        place.wrapping_shr(self.shift)
    }

    /// The place of a state, and whether words end there.
    fn arrival(&self, state: u32) -> u32 {
        let ends = if self.state(state).end == 0 { 0 } else { ENDS };
        self.place(state) | ends
    }

    /// Where a class leads to from the state at a place.
    #[inline]
    fn next(&self, place: u32, class: u8) -> u32 {
        let row = self.rows.get(self.entry(place, class));
        row.copied().unwrap_or_else(|| self.search(place, class))
    }

    /// The same from a state without a row.
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
            // The state of nothing read has a row.
            if let Some(next) = self.rows.get(self.entry(self.place(state), class)) {
                return *next;
            }
        }
    }

    /// Calls `hit` with the number of a word and its range, for each place where one stands; of those that end together the
    /// longest comes first. Runs of white space at the ends of a word are in its range as a whole.
    pub(super) fn find(&self, text: &[u8], hit: &mut dyn FnMut(u32, Range<usize>)) {
        let (mut place, mut at) = (0, 0_usize);
        let mut runs = WhitespaceRuns::default();
        loop {
            // Most of a text is read here: among states that have rows, with no word ending.
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

    /// Where the last so many bytes of a text begin, runs of white space counted as one.
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

    /// How many bytes at the end of the text some word begins with and goes on after. After a word that ends with a space,
    /// more white space goes on.
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

/// What is white space among ASCII (Unicode, PropList.txt, White_Space); `u8::is_ascii_whitespace` leaves out U+000B.
pub(super) fn is_white(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == VERTICAL_TAB
}

/// The end of the run of white space that the byte before `at` is of; else `at`.
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

/// The runs of white space of a text up to where it was read: the way back from the bytes that a word counts to those that
/// are there. A text is read for it once, and only if a word with a space was found.
#[derive(Default)]
struct WhitespaceRuns {
    read: usize,
    is_white: bool,
    is_long: bool,
    /// White space behind the first of each run.
    skipped: usize,
    /// Behind each run of two and more: its place when runs count as one, and in the text.
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
            // Not each time: moving the others down has to pay.
            if passed > self.ends.len().div_euclid(2) {
                self.ends.drain(..passed.saturating_sub(1));
            }
        }
    }

    /// Where a word of this length begins that ends at `at`, up to where the text was read.
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

    /// Every place of every word: its end, how long it is, which word.
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

    /// A text with its runs of white space as one space each, and where each byte of it begins and ends.
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
