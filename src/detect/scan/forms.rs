//! Forms such as `999-99-9999`, all matched in a single walk over the text.
//!
//! In a form, `9` is a digit, `A` a capital letter, `a` any letter, `X` a digit or capital letter, `x` a digit or any
//! letter. An optional separator stands for several forms, each with the same separator throughout: `~` none, space
//! or hyphen; `%` these or a dot; `_` none or a space; `^` none or a hyphen. The [`MARKS`] stand for themselves. There is
//! no symbol for one letter: `DE` is `AA`, and the validator compares it.
//!
//! A form with `?` in front is so common that it counts only after one of its detector's context words. The walk
//! skips it without calling the validator, unless the policy asks for findings of low confidence. A form with `!` in
//! front also counts where it is the whole text.

use crate::wire::sorted_map::SortedMap;

use super::context::{self, DetectorSet};
use crate::wire::sort;

/// Number of character classes that forms distinguish.
const CLASSES: usize = 16;
const OTHER: u8 = 0;
const DIGIT: u8 = 1;
const CAPITAL: u8 = 2;
const SMALL: u8 = 3;
/// Separators; their classes begin with `FIRST_MARK`.
const MARKS: [u8; 8] = *b" -./:+#,";
const FIRST_MARK: u8 = 4;
/// Base of the classes for one to four digits in a row: the class of n digits is greater by n. They are walked as one
/// character.
const IN_A_ROW: u8 = 11;

static CLASS_OF: [u8; 256] = class_of();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn class_of() -> [u8; 256] {
    let mut classes = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        if c.is_ascii_digit() {
            classes[byte] = DIGIT;
        } else if c.is_ascii_uppercase() {
            classes[byte] = CAPITAL;
        } else if c.is_ascii_lowercase() {
            classes[byte] = SMALL;
        }
        byte += 1;
    }
    let mut mark = 0;
    while mark < MARKS.len() {
        classes[MARKS[mark] as usize] = FIRST_MARK + mark as u8;
        mark += 1;
    }
    classes
}

/// Form at whose end the walk is: its validator and its index in the list. Forms without the need of a context word
/// come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FormMatch {
    pub(super) needs_context: bool,
    /// Whether the form needs a context word unless it is the whole text.
    pub(super) or_whole: bool,
    pub(super) validator: u16,
    pub(super) form: u8,
    /// Index of the bit of its detector in the set of detectors with context words.
    pub(super) detector: u8,
}

/// Gate of a state with a form that needs no context word.
pub(super) const FREE: DetectorSet = 1 << 127;

/// Gate of a state with a form that needs no context word where it is the whole text.
pub(super) const WHOLE: DetectorSet = 1 << 126;

/// Position and state at the end of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walked {
    pub(super) at: usize,
    pub(super) state: u16,
}

/// Forms of one validator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forms {
    pub(super) patterns: &'static [&'static str],
    /// Bit of its detector in the set of detectors with context words.
    pub(super) context: DetectorSet,
    /// Whether forms without context count, too.
    pub(super) low: bool,
}

/// Automaton over all forms of all selected detectors. State 0 is the dead state: no form matches any more.
#[derive(Clone, Debug, Default)]
pub(super) struct FormTable {
    next: Vec<u16>,
    /// For each state, the start of its matches in `fits`; one more entry at the end.
    first_fit: Vec<u32>,
    fits: Vec<FormMatch>,
    /// For each state, the detectors that need a context word before the form, and [`FREE`] if a form needs none.
    gates: Vec<DetectorSet>,
    /// State at the start of a walk; 0 if there are no forms.
    start: u16,
    /// First state from which a form without the need of a context word can still end.
    first_free: u16,
    /// A form ends in the states from `first_end` to `last_end`. From `free_end` on, one of them needs no context word.
    first_end: u16,
    free_end: u16,
    last_end: u16,
    /// State after each number of digits.
    after_digits: [u16; DIGITS],
    /// For each number of letters and digits at the start of forms, each class after them, and each class after that: the
    /// classes of the first three, one bit for each [combination](begun_by).
    first_classes: Vec<[[u32; BEHIND_MARK]; CLASSES]>,
}

/// Classes that are distinguished after the first separator of a form: those of digits and letters, all others together,
/// and behind these whatever follows.
const BEHIND_MARK: usize = 5;
const ANY_BEHIND: usize = 4;

/// Maximum digits in a row at the start of a form.
const DIGITS: usize = 24;

/// Position in a form: the index of the written-out form, and the offset in its lowest byte.
type FormState = u32;

impl FormTable {
    /// Builds the automaton; the index of a validator in the list is its number.
    pub(super) fn new(forms: &[Forms]) -> Self {
        let mut table = Self {
            next: vec![0; CLASSES],
            first_fit: vec![0, 0],
            fits: Vec::new(),
            gates: vec![0],
            start: 1,
            first_free: 0,
            first_end: 0,
            free_end: 0,
            last_end: 0,
            after_digits: [0; DIGITS],
            first_classes: Vec::new(),
        };
        let mut start: Vec<FormState> = Vec::new();
        let mut written: Vec<(FormMatch, Vec<u8>)> = Vec::new();
        for (validator, known) in (0u16..).zip(forms) {
            for (form, pattern) in (0u8..).zip(known.patterns) {
                let bare = pattern.trim_start_matches(['?', '!']);
                let needs_context = bare.len() < pattern.len() && !known.low;
                let fit = FormMatch {
                    validator,
                    form,
                    needs_context,
                    or_whole: pattern.starts_with('!'),
                    detector: context::index_of(known.context),
                };
                let all = expand(bare);
                written.extend(all.into_iter().map(|form| (fit, form)));
            }
        }
        let count = u32::try_from(written.len()).unwrap_or(u32::MAX);
        start.extend((0..count).map(|which| which << 8));
        let at = |place: FormState| {
            let which = usize::try_from(place >> 8).unwrap_or(usize::MAX);
            let (fit, form) = written.get(which)?;
            Some((*fit, form.get(usize::from((place & 0xFF) as u8)).copied()))
        };
        if start.is_empty() {
            return Self::default();
        }
        // Subset construction: a state is the set of positions that match so far.
        let mut known: SortedMap<Vec<FormState>, u16> = SortedMap::from([(Vec::new(), 0)]);
        let mut queue = vec![start.clone()];
        known.insert(start, 1);
        let mut done = 0usize;
        while let Some(places) = queue.get(done).cloned() {
            done = done.saturating_add(1);
            let mut row = [0u16; CLASSES];
            for (class, to) in (0u8..).zip(&mut row).skip(1) {
                let goes_on = |place: &FormState| {
                    let symbol = at(*place).and_then(|(_, symbol)| symbol);
                    symbol.is_some_and(|symbol| stands_for(symbol, class))
                };
                let places = places.iter().copied().filter(goes_on);
                let reached: Vec<FormState> = places.map(|place| place.wrapping_add(1)).collect();
                *to = match known.get(&reached) {
                    Some(state) => *state,
                    None => {
                        // The existing forms need far fewer than 2¹⁶ states. A form beyond that number is not found.
                        let Ok(state) = u16::try_from(known.len()) else {
                            continue;
                        };
                        queue.push(reached.clone());
                        known.insert(reached, state);
                        state
                    }
                };
            }
            table.next.extend(row);
            let ends = places.iter().filter_map(|place| match at(*place) {
                Some((fit, None)) => Some(fit),
                _ => None,
            });
            let mut fits: Vec<FormMatch> = ends.collect();
            sort::sort(&mut fits);
            fits.dedup();
            table.gates.push(fits.iter().fold(0, |gates, fit| {
                let context = forms
                    .get(usize::from(fit.validator))
                    .map_or(0, |known| known.context);
                gates
                    | match (fit.needs_context, fit.or_whole) {
                        (false, _) => FREE,
                        (true, false) => context,
                        (true, true) => context | WHOLE,
                    }
            }));
            table.fits.extend(fits);
            table
                .first_fit
                .push(u32::try_from(table.fits.len()).unwrap_or(u32::MAX));
        }
        let mut table = table.in_groups();
        for (_, form) in &written {
            let len = first_length(form);
            if table.first_classes.len() <= len {
                let none = [[0; BEHIND_MARK]; CLASSES];
                table.first_classes.resize(len.saturating_add(1), none);
            }
            let Some((begun, rest)) = form.split_at_checked(len) else {
                continue;
            };
            let combinations = combinations(begun);
            let classes = table.first_classes.get_mut(len).into_iter().flatten();
            for (class, classes) in (0u8..).zip(classes) {
                if rest.first().is_some_and(|mark| !stands_for(*mark, class)) {
                    continue;
                }
                for (behind, classes) in (0u8..).zip(classes) {
                    let fits = rest.get(1).is_none_or(|symbol| match behind {
                        OTHER => MARKS.contains(symbol),
                        DIGIT..=SMALL => stands_for(*symbol, behind),
                        _ => true,
                    });
                    if fits {
                        *classes |= combinations;
                    }
                }
            }
        }
        table.take_digits_together();
        let mut state = table.start();
        for len in 0..DIGITS {
            if let Some(after) = table.after_digits.get_mut(len) {
                *after = state;
            }
            state = table.step(state, b'0');
        }
        table
    }

    /// Renumbers the states, so that a comparison shows whether a form ends in a state, and from which state on only
    /// forms that need a context word follow.
    fn in_groups(self) -> Self {
        let count = u16::try_from(self.gates.len()).unwrap_or(u16::MAX);
        // A state's successors have higher numbers, except for the dead state.
        let mut free = vec![false; self.gates.len()];
        for state in (0..count).rev() {
            let here = self.gate(state) & FREE != 0;
            let follows = || {
                self.row(state)
                    .iter()
                    .any(|next| free.get(usize::from(*next)).copied().unwrap_or(false))
            };
            let is_free = here || follows();
            if let Some(free) = free.get_mut(usize::from(state)) {
                *free = is_free;
            }
        }
        let is_free = |state: u16| free.get(usize::from(state)).copied().unwrap_or(false);
        let mut order: Vec<u16> = (0..count).collect();
        sort::sort_by_key(&mut order, |state| {
            let gate = self.gate(*state);
            match (is_free(*state), gate) {
                (false, 0) => 0,
                (false, _) => 1,
                (true, 0) => 4,
                (true, gate) => 2u8.saturating_add(u8::from(gate & FREE != 0)),
            }
        });
        let mut number = vec![0u16; order.len()];
        for (new, old) in (0u16..).zip(&order) {
            if let Some(place) = number.get_mut(usize::from(*old)) {
                *place = new;
            }
        }
        let renumbered = |state: u16| number.get(usize::from(state)).copied().unwrap_or(0);
        let mut sorted = Self {
            start: renumbered(self.start),
            first_free: u16::MAX,
            first_end: u16::MAX,
            free_end: u16::MAX,
            last_end: 0,
            first_fit: vec![0],
            ..Self::default()
        };
        for (new, old) in (0u16..).zip(&order) {
            sorted
                .next
                .extend(self.row(*old).iter().map(|to| renumbered(*to)));
            sorted.fits.extend(self.fits(*old));
            sorted
                .first_fit
                .push(u32::try_from(sorted.fits.len()).unwrap_or(u32::MAX));
            sorted.gates.push(self.gate(*old));
            if is_free(*old) {
                sorted.first_free = sorted.first_free.min(new);
            }
            if self.gate(*old) != 0 {
                sorted.first_end = sorted.first_end.min(new);
                sorted.last_end = new;
            }
            if self.gate(*old) & FREE != 0 {
                sorted.free_end = sorted.free_end.min(new);
            }
        }
        sorted
    }

    /// Fills in the transitions of one to four digits.
    fn take_digits_together(&mut self) {
        let count = u16::try_from(self.gates.len()).unwrap_or(u16::MAX);
        for state in 0..count {
            let mut after = state;
            for class in (IN_A_ROW..).skip(1).take(4) {
                after = self.after(after, DIGIT);
                let place = usize::from(state).wrapping_mul(CLASSES);
                if let Some(to) = self.next.get_mut(place.wrapping_add(usize::from(class))) {
                    *to = after;
                }
            }
        }
    }

    fn row(&self, state: u16) -> &[u16] {
        let from = usize::from(state).wrapping_mul(CLASSES);
        self.next
            .get(from..from.wrapping_add(CLASSES))
            .unwrap_or_default()
    }

    /// Walks on from a position and its state until a form ends or no form continues; then the state is 0. If there
    /// is no context word before the position (`quiet`), only forms that need none count.
    #[inline(always)]
    pub(super) fn walk(&self, text: &[u8], mut at: usize, mut state: u16, quiet: bool) -> Walked {
        let (least, first_end) = if quiet {
            (self.first_free, self.free_end)
        } else {
            (1, self.first_end)
        };
        while state >= least {
            let class = text.get(at).map_or(OTHER, |byte| class(*byte));
            if state <= self.last_end && state >= first_end && !(DIGIT..=SMALL).contains(&class) {
                return Walked { at, state };
            }
            Walked { at, state } = self.go_on(text, Walked { at, state }, class);
        }
        Walked { at, state: 0 }
    }

    /// Walks over one character of this class, or over several digits together.
    #[inline(always)]
    fn go_on(&self, text: &[u8], Walked { at, state }: Walked, class: u8) -> Walked {
        let (class, len) = match class {
            DIGIT => digits(text, at),
            class => (class, 1),
        };
        Walked {
            at: at.wrapping_add(len),
            state: self.after(state, class),
        }
    }

    /// Walks at most `most` steps after a number of `len` digits, up to where a form may end.
    #[inline(always)]
    pub(super) fn walk_few(&self, text: &[u8], at: usize, len: usize, most: usize) -> Walked {
        let state = self.after_digits.get(len).copied().unwrap_or(0);
        let mut walked = Walked { at, state };
        for _ in 0..most {
            let Walked { at, state } = walked;
            let byte = text.get(at).filter(|_| state != 0 && !self.may_end(state));
            let Some(byte) = byte else { break };
            walked = self.go_on(text, walked, class(*byte));
        }
        walked
    }

    /// Returns whether a form may begin with this token of letters and digits before these two characters. `next` is 0
    /// at the end of the text; the one after it is not known there.
    #[inline]
    pub(super) fn may_begin_with(&self, token: &[u8], next: u8, second: Option<u8>) -> bool {
        let known = self.first_classes.get(token.len());
        let Some(behind) = known.and_then(|classes| classes.get(usize::from(class(next)))) else {
            return false;
        };
        let of = |place: usize| token.get(place).map_or(DIGIT, |byte| class(*byte));
        let begun = begun_by([of(0), of(1), of(2)]);
        let goes_on = |place: usize| behind.get(place).is_some_and(|bits| bits & begun != 0);
        // Most tokens are ruled out without the second character.
        goes_on(ANY_BEHIND)
            && second.is_none_or(|second| match class(second) {
                class @ DIGIT..=SMALL => goes_on(usize::from(class)),
                _ => goes_on(usize::from(OTHER)),
            })
    }

    /// Returns whether a form ends in this state if neither a letter nor a digit follows.
    #[inline]
    fn may_end(&self, state: u16) -> bool {
        state >= self.first_end && state <= self.last_end
    }

    /// Returns the state at the start of a walk; 0 if there are no forms.
    #[inline]
    pub(super) fn start(&self) -> u16 {
        self.start
    }

    /// Returns the state after one more byte; 0 if no form continues with it.
    #[inline]
    pub(super) fn step(&self, state: u16, byte: u8) -> u16 {
        self.after(state, class(byte))
    }

    #[inline]
    fn after(&self, state: u16, class: u8) -> u16 {
        let row = usize::from(state).wrapping_mul(CLASSES);
        self.next
            .get(row.wrapping_add(usize::from(class)))
            .copied()
            .unwrap_or(0)
    }

    /// Returns the detectors that need a context word before the form that ends in this state, and [`FREE`] if a form
    /// needs none; 0 if none ends here.
    #[inline]
    pub(super) fn gate(&self, state: u16) -> DetectorSet {
        self.gates.get(usize::from(state)).copied().unwrap_or(0)
    }

    /// Returns the forms that end in this state.
    #[inline]
    pub(super) fn fits(&self, state: u16) -> &[FormMatch] {
        let state = usize::from(state);
        let from = self.first_fit.get(state).copied().unwrap_or(0);
        let to = self
            .first_fit
            .get(state.wrapping_add(1))
            .copied()
            .unwrap_or(0);
        self.fits
            .get(from as usize..to as usize)
            .unwrap_or_default()
    }
}

#[inline]
fn class(byte: u8) -> u8 {
    CLASS_OF.get(usize::from(byte)).copied().unwrap_or(OTHER)
}

/// Returns the class of the digits at this position, at most four, and their number.
#[inline]
fn digits(text: &[u8], at: usize) -> (u8, usize) {
    let Some(four) = text.get(at..).and_then(<[u8]>::first_chunk) else {
        return (DIGIT, 1);
    };
    let values = u32::from_le_bytes(*four) ^ 0x3030_3030;
    // The highest bit of each byte that is not a digit.
    let others = ((values & 0x7F7F_7F7F).wrapping_add(0x7676_7676) | values) & 0x8080_8080;
    let [len, ..] = (others.trailing_zeros() / 8).to_le_bytes();
    (IN_A_ROW.wrapping_add(len), usize::from(len))
}

fn stands_for(symbol: u8, class: u8) -> bool {
    match symbol {
        b'9' => class == DIGIT,
        b'A' => class == CAPITAL,
        b'a' => matches!(class, CAPITAL | SMALL),
        b'X' => matches!(class, DIGIT | CAPITAL),
        b'x' => matches!(class, DIGIT | CAPITAL | SMALL),
        mark => CLASS_OF.get(usize::from(mark)) == Some(&class) && class >= FIRST_MARK,
    }
}

/// Returns the number of letters and digits at the start of a form.
fn first_length(form: &[u8]) -> usize {
    let is_mark = |symbol: &u8| MARKS.contains(symbol);
    form.iter().position(is_mark).unwrap_or(form.len())
}

/// Returns the bit of a combination of three classes of letters and digits. A missing one counts as a digit.
#[inline]
fn begun_by([first, second, third]: [u8; 3]) -> u32 {
    let number = |class: u8| u32::from(class.wrapping_sub(DIGIT));
    let three = number(first)
        .wrapping_mul(9)
        .wrapping_add(number(second).wrapping_mul(3))
        .wrapping_add(number(third));
    1u32.wrapping_shl(three)
}

/// Returns the combinations that match the letters and digits at the start of a form.
fn combinations(begun: &[u8]) -> u32 {
    let of = |place: usize| {
        (DIGIT..=SMALL).filter(move |class| match begun.get(place) {
            Some(symbol) => stands_for(*symbol, *class),
            None => *class == DIGIT,
        })
    };
    let pairs = of(0).flat_map(|first| of(1).map(move |second| (first, second)));
    let all = pairs.flat_map(|(first, second)| of(2).map(move |third| [first, second, third]));
    all.fold(0, |bits, classes| bits | begun_by(classes))
}

/// Returns a form with its optional separators written out.
fn expand(pattern: &str) -> Vec<Vec<u8>> {
    let separators: &[&str] = if pattern.contains('%') {
        &["", " ", "-", "."]
    } else if pattern.contains('~') {
        &["", " ", "-"]
    } else if pattern.contains('_') {
        &["", " "]
    } else if pattern.contains('^') {
        &["", "-"]
    } else {
        &[""]
    };
    separators
        .iter()
        .map(|separator| {
            pattern
                .replace(['%', '~', '_', '^'], separator)
                .into_bytes()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scan::anchor::Anchor;

    fn fits(forms: &'static [&'static str], text: &str) -> Vec<u8> {
        let table = FormTable::new(&[Forms {
            patterns: forms,
            context: 1,
            low: false,
        }]);
        let state = text
            .bytes()
            .fold(table.start(), |state, byte| table.step(state, byte));
        table.fits(state).iter().map(|fit| fit.form).collect()
    }

    #[test]
    fn each_symbol_stands_for_its_class() {
        const FORMS: &[&str] = &["9A", "aX", "xx", "A-9"];
        assert_eq!(fits(FORMS, "7B"), [0, 2]);
        assert_eq!(fits(FORMS, "bB"), [1, 2]);
        assert_eq!(fits(FORMS, "B7"), [1, 2]);
        assert_eq!(fits(FORMS, "b7"), [1, 2]);
        assert_eq!(fits(FORMS, "7b"), [2]);
        assert_eq!(fits(FORMS, "A-1"), [3]);
        assert!(fits(FORMS, "A.1").is_empty());
        assert!(fits(FORMS, "A").is_empty());
    }

    #[test]
    fn every_form_is_made_of_symbols_and_marks() {
        for detector in crate::detect::DETECTORS {
            for anchor in detector.anchors {
                let Anchor::Forms(patterns, _) = anchor else {
                    continue;
                };
                for pattern in *patterns {
                    let form = pattern.trim_start_matches(['?', '!']);
                    let other = |byte: &u8| !b"9AaXx~%_^".contains(byte) && !MARKS.contains(byte);
                    let wrong: Vec<char> = form.bytes().filter(other).map(char::from).collect();
                    assert!(
                        wrong.is_empty(),
                        "{}: `{pattern}` can't hold {wrong:?}",
                        detector.name
                    );
                }
            }
        }
    }

    #[test]
    fn optional_separators_are_the_same_throughout() {
        const FORMS: &[&str] = &["99~99~99"];
        for text in ["123456", "12 34 56", "12-34-56"] {
            assert_eq!(fits(FORMS, text), [0], "{text}");
        }
        for text in ["12-34 56", "12-3456", "12.34.56", "1234567"] {
            assert!(fits(FORMS, text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_state_where_every_form_needs_context_says_whose() {
        let forms = |patterns, context| Forms {
            patterns,
            context,
            low: false,
        };
        let table = FormTable::new(&[
            forms(&["?99", "9A"], 1),
            forms(&["?99"], 2),
            forms(&["99 9"], 4),
        ]);
        let gate = |text: &str| {
            table.gate(
                text.bytes()
                    .fold(table.start(), |state, byte| table.step(state, byte)),
            )
        };
        assert_eq!(gate("12"), 3);
        assert_eq!(gate("1A") & FREE, FREE);
        assert_eq!(gate("1"), 0);
        let low = FormTable::new(&[Forms {
            low: true,
            ..forms(&["?9"], 1)
        }]);
        assert_eq!(low.gate(low.step(low.start(), b'1')), FREE);
    }

    #[test]
    fn forms_begin_with_known_tokens() {
        let table = FormTable::new(&[Forms {
            patterns: &["99-AAA", "A9~9", "xxx"],
            context: 1,
            low: false,
        }]);
        let begins = |token: &str, next: u8| table.may_begin_with(token.as_bytes(), next, None);
        for (token, next) in [
            ("55", b'-'),
            ("B5", b' '),
            ("B55", 0),
            ("555", b'x'),
            ("bB5", b'-'),
        ] {
            assert!(begins(token, next), "{token}");
        }
        for token in ["", "5", "B", "BB", "5B", "b5", "5555", "B555"] {
            assert!(!begins(token, b'-'), "{token}");
        }
        assert!(!begins("55", b' '));
        let goes_on = |second: u8| table.may_begin_with(b"55", b'-', Some(second));
        assert!(goes_on(b'A'));
        assert!(![b'a', b'5', b'-', b'('].into_iter().any(goes_on));
    }

    #[test]
    fn without_forms_nothing_fits() {
        let table = FormTable::new(&[]);
        assert_eq!(table.start(), 0);
        assert_eq!(table.step(0, b'1'), 0);
        assert!(table.fits(0).is_empty());
    }
}
