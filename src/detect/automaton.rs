//! The automaton of Aho and Corasick ("Efficient string matching: an aid to bibliographic search", 1975): it reads a text
//! once and stands, after each byte, for the longest end of what was read that some word begins with.
//!
//! States are numbered by depth and, among those of one depth, in the words' order. So the children of a state stand side by
//! side and need no list; the shallow ones, where most of any text is spent, come first, and as many of them as fit into
//! [`ROWS`] know for every byte where it leads. All others know their children and where to go on when none fits.

use crate::wire::span::{index, offset};
use std::ops::Range;

/// Numbers in the table of rows, at most: 256 KiB.
const ROWS: usize = 1 << 16;

/// Marks a place in `rows` whose state has words that end there. `MAX_LITERAL_BYTES` keeps places far below it.
const ENDS: u32 = 1 << 31;

/// Finds words in texts; letters A–Z match without case.
#[derive(Clone, Debug)]
pub(super) struct Automaton {
    /// What a byte counts as: 0 if it stands in no word.
    classes: [u8; 256],
    /// Binary logarithm of a row's length.
    shift: u32,
    /// For each of the first states and each class: the place of the row of the state that it leads to, or where it would be
    /// if all states had one; with [`ENDS`].
    rows: Vec<u32>,
    /// And one more at the end.
    states: Vec<State>,
    /// The class that leads to each state.
    labels: Vec<u8>,
    /// Words that end at a state, the longest first: each says which one follows. The first of all is none.
    ends: Vec<End>,
    /// The first state of each depth.
    depths: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
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
}

impl Automaton {
    /// The words are sorted and distinct, none is empty, and their letters A–Z are small.
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
                    built.end(*number, offset(word.len()));
                }
                true
            });
            built.begin_children(&mut parents, level.end);
            for state in level.clone() {
                built.add_row(state, most);
            }
            level = level.end..offset(built.states.len());
        }
        built.states.push(State {
            children: offset(built.states.len()),
            ..State::default()
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
        Automaton {
            classes,
            shift: u8::BITS.saturating_sub(count.leading_zeros()),
            rows: Vec::new(),
            states: vec![State::default()],
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
        self.states.push(State {
            children: 0,
            shorter,
            end: self.state(shorter).end,
        });
        self.labels.push(class);
    }

    /// A word ends at the last state.
    fn end(&mut self, word: u32, length: u32) {
        let last = offset(self.ends.len());
        if let Some(state) = self.states.last_mut() {
            self.ends.push(End {
                word,
                length,
                next: state.end,
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
    }

    fn class(&self, byte: u8) -> u8 {
        self.classes.get(usize::from(byte)).copied().unwrap_or(0)
    }

    fn state(&self, state: u32) -> State {
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

    /// Calls `hit` with the number of a word and the place where it ends, for each place where one stands; of those that end
    /// together the longest comes first.
    pub(super) fn find(&self, text: &[u8], hit: &mut dyn FnMut(u32, Range<usize>)) {
        let (mut place, mut at) = (0, 0_usize);
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
            while end != 0
                && let Some(found) = self.ends.get(index(end))
            {
                hit(found.word, at.saturating_sub(index(found.length))..at);
                end = found.next;
            }
        }
    }

    /// How many bytes at the end of the text some word begins with and goes on after.
    pub(super) fn begun(&self, text: &[u8]) -> usize {
        let longest = self.depths.len().saturating_sub(1);
        let tail = text.len().saturating_sub(longest);
        let tail = text.get(tail..).unwrap_or_default();
        let place = tail
            .iter()
            .fold(0, |place, byte| self.next(place, self.class(*byte)) & !ENDS);
        let mut state = self.number(place);
        while state != 0 && self.children(state).is_empty() {
            state = self.state(state).shorter;
        }
        self.depths
            .partition_point(|first| *first <= state)
            .saturating_sub(1)
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
