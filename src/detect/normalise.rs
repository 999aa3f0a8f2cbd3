//! Normalised view of a text: the text as a reader sees it, without disguises, and the map back to the original
//! bytes.
//!
//! Full-width, circled, squared, mathematical and superscript letters and digits, ligatures, digits of other scripts
//! and letters that look Latin become ASCII. Accents and other marks over letters are removed. Exotic spaces become
//! spaces, dashes and quotes their ASCII form. Characters that are not shown (zero width, soft hyphen, fillers,
//! variation selectors, bidi and other controls) are removed. Tag characters, regional indicators, HTML entities,
//! percent escapes, `\u`, `\x`, `\n` escapes and control sequences of terminals are decoded. Case is kept.
//!
//! Some characters can have two meanings, and the text then has several readings. Hidden characters between letters
//! join them or are a space. Tag characters are a text of their own, letters of the words around them, or nothing.
//! Regional indicators are letters, or a flag between two words. What looks like an escape may be no escape:
//! `\forbidden` and `%4111 1111 …` are also a word and a number behind a mark.
//!
//! Not normalised: other spellings (leet, spaced letters), right-to-left overrides that reverse what is shown, and
//! look-alikes in scripts whose words would be torn apart (Arabic, Hebrew, Indic).

use crate::wire::letter_case;
use std::borrow::Cow;
use std::ops::Range;

use super::Confidence;
use super::tables::fold::{FIRST_LONG, INDEX, LONG, MARK, PAGE, PAGES, REMOVE};
use crate::wire::simd::SimdLevel;
use crate::wire::{sort, work};
use escape::{CONTROL_SEQUENCE, Escape, escape_at};

mod escape;

/// Work steps for each byte of a text that has to be normalised.
const BUILT: usize = 3;

/// Normalised text with the origin of each byte.
#[derive(Clone, Debug, Default)]
pub struct NormalisedText {
    text: String,
    pieces: Vec<Segment>,
    oddities: Vec<UnicodeAnomaly>,
    unseen_end: Option<InvisibleRunEnd>,
    reading: TextReading,
    /// Whether hidden characters are between letters or digits.
    has_joins: bool,
    /// Whether there are tag characters or regional indicators.
    has_tags: bool,
    /// Whether a value may begin in an escape: in the letter of `\n`, and in the digits of `%41`.
    has_beginnings: [bool; 2],
    /// Places of these escapes, ascending.
    beginnings: Vec<usize>,
    /// Whether each byte of the source is read as it is.
    is_plain: bool,
}

/// Run of hidden characters at the end of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct InvisibleRunEnd {
    pub(super) start: usize,
    /// Whether the run has more than 64 characters, which are a finding however the run continues.
    pub(super) long: bool,
}

/// Reading of the characters that have several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TextReading {
    /// Hidden characters between letters or digits are spaces: `41<zero width>11` is `4111`, but `ignore<zero width>all`
    /// is two words.
    spaced: bool,
    tags: Tags,
    written: Written,
    /// Letters outside ASCII lose their case.
    without_case: bool,
}

/// Escapes that are what is written, and not what they stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Written {
    #[default]
    None,
    /// `\n`, `\f`: the letter is the first one of a word.
    Letters,
    /// `%41`, `&#41`, `\u4111`: the first escape of a value, which a mark in its middle would part.
    Numbers,
}

/// Reading of tag characters and regional indicators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tags {
    /// Words of their own: an instruction that a reader does not see.
    #[default]
    Apart,
    /// Letters of the words that contain them.
    Within,
    /// As displayed: tags are nothing, and flags are between words.
    Nothing,
}

/// Anomaly in the original that is invisible to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnicodeAnomaly {
    pub(super) kind: AnomalyKind,
    /// First byte and end of the anomaly in the original.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) confidence: Confidence,
}

/// Kind of an invisible anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnomalyKind {
    /// Characters that are not shown, more of them or others than text needs.
    Hidden,
    /// Word of Latin letters that contains letters of another script that look Latin.
    Mixed,
}

/// Run of the view. INVARIANT (pieces are in order): by `view` without gaps, by `start` with gaps where something was
/// removed.
#[derive(Clone, Copy, Debug)]
struct Segment {
    view: usize,
    start: usize,
    end: usize,
    /// Original bytes for each byte of the view; 0: the piece is indivisible.
    unit: usize,
}

impl NormalisedText {
    /// Returns the normalised text; `None` if there is nothing to normalise.
    pub fn of(text: &str) -> Option<Self> {
        let mut view = Self::default();
        view.rebuild(text).then_some(view)
    }

    /// Returns the reading of a text without case outside ASCII: capitals are read as their small letters are, and these as the
    /// letter that either looks like. `СЕКРЕТ` and `секрет` are `cekpet`. `None` if there is nothing to normalise.
    pub fn without_case(text: &str) -> Option<Self> {
        let mut view = Self::default();
        let reading = TextReading {
            without_case: true,
            ..TextReading::default()
        };
        view.build(text, reading).then_some(view)
    }

    /// Visits all readings of a text; none if there is nothing to normalise.
    #[inline(never)]
    pub fn each_reading(text: &str, visit: &mut dyn FnMut(&Self)) {
        if let Some(view) = Self::of(text) {
            view.each(text, visit);
        }
    }

    /// Visits the readings of a text without case.
    #[inline(never)]
    pub fn each_without_case(text: &str, visit: &mut dyn FnMut(&Self)) {
        if let Some(view) = Self::without_case(text) {
            view.each(text, visit);
        }
    }

    /// Normalises a text as [`of`](Self::of) does, with the buffers of an earlier view; `false` if there is nothing
    /// to normalise.
    pub fn rebuild(&mut self, text: &str) -> bool {
        self.build(text, TextReading::default())
    }

    /// Visits this reading and all that follow it.
    #[inline(never)]
    fn each(mut self, text: &str, visit: &mut dyn FnMut(&Self)) {
        loop {
            visit(&self);
            if !self.read_on(text) {
                return;
            }
        }
    }

    /// Goes on to the next reading of the text; `false` if there is none.
    pub fn read_on(&mut self, text: &str) -> bool {
        let mut next = self.reading;
        next.spaced = self.has_joins && !next.spaced;
        if !next.spaced {
            next.tags = match next.tags {
                Tags::Apart if self.has_tags => Tags::Within,
                Tags::Within => Tags::Nothing,
                _ => Tags::Apart,
            };
            if next.tags == Tags::Apart {
                next.written = match (next.written, self.has_beginnings) {
                    (Written::None, [true, _]) => Written::Letters,
                    (Written::None | Written::Letters, [_, true]) => Written::Numbers,
                    _ => return false,
                };
            }
        }
        self.build(text, next);
        true
    }

    /// Returns whether each byte of the source is read as it is: it is ASCII then.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Returns whether there are other readings.
    pub fn has_others(&self) -> bool {
        self.has_joins || self.has_tags || self.has_beginnings != [false; 2]
    }

    /// Leaves out the readings in which escapes are what is written. Returns the places of these escapes.
    pub(super) fn take_beginnings(&mut self) -> Vec<usize> {
        self.has_beginnings = [false; 2];
        std::mem::take(&mut self.beginnings)
    }

    /// Returns whether this is the first reading.
    pub fn is_first(&self) -> bool {
        self.reading == TextReading::default()
    }

    /// Returns whether hidden characters are read as spaces.
    pub fn is_spaced(&self) -> bool {
        self.reading.spaced
    }

    /// Returns whether escapes are read as written.
    pub fn is_as_written(&self) -> bool {
        self.reading.written != Written::None
    }

    // Not inlined: the filter contains it once, for all readings.
    #[inline(never)]
    fn build(&mut self, text: &str, reading: TextReading) -> bool {
        self.text.clear();
        self.pieces.clear();
        self.oddities.clear();
        self.unseen_end = None;
        self.reading = reading;
        self.has_joins = false;
        self.has_tags = false;
        self.has_beginnings = [false; 2];
        self.beginnings.clear();
        work::spend(text.len() / 8);
        self.is_plain = SimdLevel::best().is_plain(text.as_bytes());
        if self.is_plain {
            return false;
        }
        work::spend(text.len().saturating_mul(BUILT));
        let mut build = ViewBuilder {
            view: self,
            source: text,
            copied: 0,
            changed: false,
            behind: None,
            unseen: InvisibleRun::default(),
            word: ScriptWord::default(),
            reading,
            escaped: None,
        };
        build.run();
        build.changed
    }

    /// Returns the normalised text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the anomalies that a reader does not see, in order.
    pub(super) fn oddities(&self) -> &[UnicodeAnomaly] {
        &self.oddities
    }

    /// Returns the hidden characters at the end of the text.
    pub(super) fn unseen_end(&self) -> Option<InvisibleRunEnd> {
        self.unseen_end
    }

    /// Returns the bytes of the original that a range of the view came from. Hidden characters inside the range are
    /// included, those at its ends are not.
    pub fn original(&self, view: Range<usize>) -> Range<usize> {
        let start = self
            .piece_at(view.start)
            .map_or(0, |piece| match piece.unit {
                0 => piece.start,
                unit => piece
                    .start
                    .saturating_add(view.start.saturating_sub(piece.view).saturating_mul(unit)),
            });
        if view.end <= view.start {
            return start..start;
        }
        let last = view.end.saturating_sub(1);
        let end = self.piece_at(last).map_or(start, |piece| match piece.unit {
            0 => piece.end,
            unit => piece
                .start
                .saturating_add(view.end.saturating_sub(piece.view).saturating_mul(unit)),
        });
        start..end.max(start)
    }

    /// Returns the first byte of the view that came from byte `original` or later.
    pub fn position(&self, original: usize) -> usize {
        let next = self.pieces.partition_point(|piece| piece.end <= original);
        self.pieces
            .get(next)
            .map_or(self.text.len(), |piece| match piece.unit {
                0 => piece.view,
                unit => {
                    let into = original.saturating_sub(piece.start);
                    piece
                        .view
                        .saturating_add(into.checked_div(unit).unwrap_or(0))
                }
            })
    }

    fn piece_at(&self, view: usize) -> Option<&Segment> {
        let after = self.pieces.partition_point(|piece| piece.view <= view);
        self.pieces.get(after.checked_sub(1)?)
    }
}

/// Returns the forms of a word or phrase from a list: normalised, with ASCII in lower case. Outside ASCII, where
/// lists distinguish capitals from small letters, the result has the three usual ways to write the word.
pub(super) fn readings(words: &str) -> Vec<String> {
    let trimmed = words.trim();
    let mut written = vec![trimmed.to_owned()];
    if !trimmed.is_ascii() {
        let small = letter_case::lower(trimmed);
        let mut letters = small.chars();
        let titled: String = letters
            .next()
            .into_iter()
            .flat_map(letter_case::upper_of)
            .chain(letters)
            .collect();
        written.extend([letter_case::upper(trimmed), titled, small]);
    }
    let mut seen: Vec<String> = written
        .into_iter()
        .map(|words| match NormalisedText::of(&words) {
            Some(view) => view.text().to_owned(),
            None => words,
        })
        .map(|words| letter_case::ascii_lower(&words))
        .filter(|words| !words.is_empty())
        .collect();
    sort::sort(&mut seen);
    seen.dedup();
    seen
}

/// Returns the number of bytes that stay the same when more text follows: all but an unfinished escape.
pub fn stable_len(text: &str) -> usize {
    escape::stable_len(text)
}

/// Reading of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CharReading {
    /// The character itself.
    Same,
    /// This ASCII character.
    Ascii(u8),
    /// These ASCII letters or digits.
    Several(&'static str),
    /// Not shown.
    Hidden,
    /// Part of the character before it.
    Mark,
    /// ASCII in the block of tag characters, which no font shows.
    Tag(u8),
    /// Letter in the block of regional indicators, two of which are a flag (UTS #51, ED-12).
    Flag(u8),
}

/// Returns the reading of a character.
pub(super) fn read(c: char) -> CharReading {
    let code = u32::from(c);
    if c.is_ascii() {
        return if code >= 0x20 && code != 0x7F || (0x09..=0x0D).contains(&code) {
            CharReading::Same
        } else {
            CharReading::Hidden
        };
    }
    if let 0xE0000..=0xE0FFF = code {
        // Tags U+E0020–E007E mirror ASCII; the whole block is default-ignorable (Unicode, DerivedCoreProperties.txt).
        return match u8::try_from(code.saturating_sub(0xE0000)) {
            Ok(tag) if (0x20..0x7F).contains(&tag) => CharReading::Tag(tag),
            _ => CharReading::Hidden,
        };
    }
    if let 0x1F1E6..=0x1F1FF = code {
        let letter = u8::try_from(code.saturating_sub(0x1F1E6)).unwrap_or(0);
        return CharReading::Flag(b'A'.saturating_add(letter));
    }
    let Ok(code) = usize::try_from(code) else {
        return CharReading::Same;
    };
    let entry = INDEX.get(code.div_euclid(PAGE)).and_then(|page| {
        PAGES.get(
            usize::from(*page)
                .saturating_mul(PAGE)
                .saturating_add(code.rem_euclid(PAGE)),
        )
    });
    match entry.copied() {
        None | Some(0) => CharReading::Same,
        Some(REMOVE) => CharReading::Hidden,
        Some(MARK) => CharReading::Mark,
        Some(ascii) if ascii.is_ascii() => CharReading::Ascii(ascii),
        Some(long) => LONG
            .get(usize::from(long.saturating_sub(FIRST_LONG)))
            .map_or(CharReading::Same, |text| CharReading::Several(text)),
    }
}

struct ViewBuilder<'a> {
    view: &'a mut NormalisedText,
    source: &'a str,
    /// Position up to which the source is copied.
    copied: usize,
    changed: bool,
    /// Start of the hidden characters after a letter or digit, until something visible follows.
    behind: Option<usize>,
    unseen: InvisibleRun,
    word: ScriptWord,
    reading: TextReading,
    /// End of the last escape that a value may begin in, or that is a letter or digit of it.
    escaped: Option<usize>,
}

impl ViewBuilder<'_> {
    fn run(&mut self) {
        let source = self.source;
        let bytes = source.as_bytes();
        let mut at = 0;
        // Position directly after the last tag.
        let mut tagged = usize::MAX;
        while let Some(&byte) = bytes.get(at) {
            let (c, len) = match byte {
                b'&' | b'%' | b'\\' | 0x1B => match escape_at(source, at, true) {
                    Escape::Char(c, len) => (c, len),
                    Escape::None(len) | Escape::Begun(len) => {
                        at = at.saturating_add(len);
                        continue;
                    }
                },
                0x20..=0x7E | 0x09..=0x0D => {
                    at = at.saturating_add(1);
                    continue;
                }
                _ => match source.get(at..).and_then(|rest| rest.chars().next()) {
                    Some(c) => (c, c.len_utf8()),
                    None => return,
                },
            };
            let end = at.saturating_add(len);
            let escaped = byte.is_ascii() && !c.is_ascii_control()
                || byte == b'\\'
                || byte == b'&'
                || byte == b'%';
            let written = match escaped && byte != 0x1B {
                true => self.written(c, at, end),
                false => Written::None,
            };
            if written != Written::None && written == self.reading.written {
                self.put(source.get(at..end).unwrap_or_default(), at, end);
                at = end;
                continue;
            }
            let mut reading = read(c);
            if self.reading.without_case && may_have_case(c) {
                // `Υ` looks like `Y`, and `υ` like `u`.
                reading = read(letter_case::lower_of(c).next().unwrap_or(c));
            }
            match c {
                // What colours a text hides nothing in it.
                CONTROL_SEQUENCE if byte.is_ascii() => self.look(c, CharReading::Mark, at, end),
                _ => self.look(c, reading, at, end),
            }
            let was_in_tags = tagged == at;
            match reading {
                CharReading::Same if self.reading.without_case && may_have_case(c) => {
                    let (mut written, mut buffer) = ([0; 4], [0; 4]);
                    let folded = without_case(c, &mut buffer);
                    if escaped || *folded != *c.encode_utf8(&mut written) {
                        self.put(folded, at, end);
                    }
                }
                CharReading::Same if !escaped => {}
                CharReading::Same => {
                    let mut buffer = [0; 4];
                    self.put(c.encode_utf8(&mut buffer), at, end);
                }
                CharReading::Ascii(ascii) => self.put_ascii(ascii, at, end),
                CharReading::Several(text) => self.put(text, at, end),
                CharReading::Hidden => self.hide(at, end),
                CharReading::Mark => self.mark(at, end),
                CharReading::Tag(_) | CharReading::Flag(_)
                    if self.reading.tags == Tags::Nothing =>
                {
                    let is_flag = matches!(reading, CharReading::Flag(_));
                    self.view.has_tags = true;
                    match is_flag && !was_in_tags {
                        true => self.put(" ", at, end),
                        false => self.hide(at, end),
                    }
                    if is_flag {
                        tagged = end;
                    }
                }
                CharReading::Tag(letter) | CharReading::Flag(letter) => {
                    self.view.has_tags = true;
                    if !was_in_tags && self.reading.tags == Tags::Apart {
                        self.copy(at);
                        // A hidden instruction begins at the edge of a word, whatever is before it.
                        self.append_ascii(b' ', at, at, 0);
                    }
                    self.put_ascii(letter, at, end);
                    tagged = end;
                }
            }
            if was_in_tags && reading == CharReading::Hidden {
                tagged = end;
            }
            at = end;
        }
        self.look_over(bytes.len());
        let unseen = &self.unseen;
        self.view.unseen_end = (unseen.count > 0).then_some(InvisibleRunEnd {
            start: unseen.start,
            long: unseen.count > 64,
        });
        self.unseen.end(bytes.len(), &mut self.view.oddities);
        self.word.end(bytes.len(), &mut self.view.oddities);
        if self.changed {
            self.copy(bytes.len());
        }
    }

    /// Returns the reading in which an escape is no escape, because a value may begin in what it is written with.
    fn written(&mut self, c: char, start: usize, end: usize) -> Written {
        let bytes = self.source.as_bytes();
        let next = bytes.get(end);
        let escaped = self.escaped.take();
        match bytes.get(start..end).unwrap_or_default() {
            [.., b'\\', b'a'..=b'z'] => {
                // A line end at the end of a string, or before another one: no word begins.
                let mut rest = bytes.get(end..).unwrap_or_default().iter();
                let behind = rest.find(|byte| **byte != b'\\');
                let parts = |byte: &u8| match byte {
                    b'\\' => behind.is_some_and(|byte| !b"uUx".contains(byte)),
                    _ => byte.is_ascii_whitespace() || b"\"'".contains(byte),
                };
                let [letters, _] = &mut self.view.has_beginnings;
                if next.is_some_and(parts) {
                    return Written::None;
                }
                *letters = true;
                self.view.beginnings.push(start);
                Written::Letters
            }
            [.., last] if last.is_ascii_alphanumeric() => {
                let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
                let before = start.checked_sub(1).and_then(|at| bytes.get(at));
                let is_within = escaped.is_some_and(|escaped| {
                    escaped == start
                        || start.saturating_sub(escaped) < WRITTEN_APART
                            && before.is_some_and(is_word)
                });
                let is_apart = !c.is_alphanumeric()
                    && (is_within || next.is_some_and(|byte| b"&%\\".contains(byte)));
                self.escaped = Some(end).filter(|_| !is_apart);
                if is_within || is_apart {
                    return Written::None;
                }
                let [_, numbers] = &mut self.view.has_beginnings;
                *numbers = true;
                self.view.beginnings.push(start);
                Written::Numbers
            }
            _ => Written::None,
        }
    }

    /// Records whether a character is visible and whether it looks like another one.
    fn look(&mut self, c: char, reading: CharReading, start: usize, end: usize) {
        if start > self.word.at {
            self.look_over(start);
        }
        self.word.at = end;
        match reading {
            CharReading::Hidden | CharReading::Tag(_) => {
                if self.unseen.count == 0 {
                    let before = start
                        .checked_sub(1)
                        .and_then(|at| self.source.as_bytes().get(at));
                    self.unseen.in_text = before.is_some_and(|byte| {
                        byte.is_ascii_alphanumeric() || !byte.is_ascii() || *byte == b' '
                    });
                }
                self.unseen.add(c, start);
            }
            CharReading::Mark => {}
            CharReading::Ascii(ascii) if ascii.is_ascii_alphabetic() => {
                self.unseen.end(start, &mut self.view.oddities);
                let foreign = foreign(c);
                if foreign.is_some() && self.word.foreign == 0 {
                    let near = start.saturating_sub(MIXED_BEFORE);
                    let near = self.source.ceil_char_boundary(near);
                    self.word.start = self.word.start.max(near);
                }
                self.word.add(foreign, start);
            }
            CharReading::Ascii(_)
            | CharReading::Several(_)
            | CharReading::Same
            | CharReading::Flag(_) => {
                self.unseen.end(start, &mut self.view.oddities);
                self.word.end(start, &mut self.view.oddities);
            }
        }
        self.unseen.flag = c == FLAG || self.unseen.flag && matches!(reading, CharReading::Tag(_));
    }

    /// Records the plain ASCII between the last character that was read and `to`.
    fn look_over(&mut self, to: usize) {
        let from = self.word.at;
        let Some(plain) = self
            .source
            .as_bytes()
            .get(from..to)
            .filter(|plain| !plain.is_empty())
        else {
            return;
        };
        self.unseen.end(from, &mut self.view.oddities);
        self.unseen.flag = false;
        // Only words next to other letters can be mixed.
        let head = plain
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        self.word.add_latin(head, from);
        if head < plain.len() {
            self.word
                .end(from.saturating_add(head), &mut self.view.oddities);
            let tail = plain
                .iter()
                .rev()
                .take_while(|byte| byte.is_ascii_alphabetic())
                .count();
            self.word.add_latin(tail, to.saturating_sub(tail));
        }
        self.word.at = to;
    }

    /// Copies the source unchanged up to `to`.
    #[inline]
    fn copy(&mut self, to: usize) {
        let from = std::mem::replace(&mut self.copied, to);
        if from.wrapping_add(1) == to
            && let Some(byte) = self.source.as_bytes().get(from)
        {
            self.append_ascii(*byte, from, to, 1);
        } else if from < to {
            self.append(self.source.get(from..to).unwrap_or_default(), from, to, 1);
        }
    }

    fn put(&mut self, text: &str, start: usize, end: usize) {
        self.copy(start);
        self.append(text, start, end, 0);
        self.copied = end;
        self.changed = true;
    }

    fn put_ascii(&mut self, ascii: u8, start: usize, end: usize) {
        self.copy(start);
        self.append_ascii(ascii, start, end, end.saturating_sub(start));
        self.copied = end;
        self.changed = true;
    }

    fn hide(&mut self, start: usize, end: usize) {
        self.copy(start);
        if self.behind.is_none()
            && self
                .view
                .text
                .as_bytes()
                .last()
                .is_some_and(u8::is_ascii_alphanumeric)
        {
            self.behind = Some(start);
        }
        self.copied = end;
        self.changed = true;
    }

    /// Adds a mark to the character before it. The character with all its marks is one piece.
    fn mark(&mut self, start: usize, end: usize) {
        self.copy(start);
        self.copied = end;
        self.changed = true;
        let Some(last) = self.view.text.chars().next_back() else {
            return;
        };
        let len = self.view.text.len();
        let from = len.saturating_sub(last.len_utf8());
        let Some(piece) = self.view.pieces.pop() else {
            return;
        };
        let from = from.max(piece.view);
        let start = piece
            .start
            .saturating_add(from.saturating_sub(piece.view).saturating_mul(piece.unit));
        if piece.view < from {
            self.view.pieces.push(Segment {
                end: start,
                ..piece
            });
        }
        self.view.pieces.push(Segment {
            view: from,
            start,
            end,
            unit: 0,
        });
    }

    fn append(&mut self, text: &str, start: usize, end: usize, unit: usize) {
        let Some(first) = text.as_bytes().first() else {
            return;
        };
        self.piece(*first, start, end, unit);
        self.view.text.push_str(text);
    }

    fn append_ascii(&mut self, ascii: u8, start: usize, end: usize, unit: usize) {
        self.piece(ascii, start, end, unit);
        self.view.text.push(char::from(ascii));
    }

    /// Adds a piece for the text to be appended, or extends the last one.
    fn piece(&mut self, first: u8, start: usize, end: usize, unit: usize) {
        let mut view = self.view.text.len();
        if let Some(hidden) = self.behind.take()
            && first.is_ascii_alphanumeric()
        {
            self.view.has_joins = true;
            if self.reading.spaced {
                self.view.pieces.push(Segment {
                    view,
                    start: hidden,
                    end: start,
                    unit: 0,
                });
                self.view.text.push(' ');
                view = view.saturating_add(1);
            }
        } else if let Some(last) = self.view.pieces.last_mut()
            && unit > 0
            && last.unit == unit
            && last.end == start
        {
            last.end = end;
            return;
        }
        self.view.pieces.push(Segment {
            view,
            start,
            end,
            unit,
        });
    }
}

/// Maximum bytes of a word of two scripts before its first letter that is not Latin. A stream doesn't hold longer ones back.
const MIXED_BEFORE: usize = 64;

/// Bytes within which two escapes may belong to the same value.
const WRITTEN_APART: usize = 48;

/// U+1F3F4 black flag, which tag characters turn into the flags of England, Scotland and Wales (UTS #51, ED-14a).
const FLAG: char = '\u{1F3F4}';

/// Run of characters that are not shown.
#[derive(Default)]
struct InvisibleRun {
    start: usize,
    count: u32,
    /// Number of tag characters, other than those of a flag.
    tags: u32,
    selectors: u32,
    first: char,
    /// Whether the characters are not all the same.
    varied: bool,
    /// Number of overrides of the writing direction.
    overrides: u32,
    /// Whether a flag is before the run.
    flag: bool,
    /// Whether a letter, a digit or a space is before the run; in a program, a quote would be.
    in_text: bool,
}

impl InvisibleRun {
    fn add(&mut self, c: char, start: usize) {
        if self.count == 0 {
            self.start = start;
            self.first = c;
        }
        self.count = self.count.saturating_add(1);
        self.varied |= c != self.first;
        let code = u32::from(c);
        self.tags = self
            .tags
            .saturating_add(u32::from((0xE0000..0xE0100).contains(&code) && !self.flag));
        self.selectors = self.selectors.saturating_add(u32::from(
            matches!(code, 0xFE00..=0xFE0F | 0xE0100..=0xE01EF),
        ));
        self.overrides = self
            .overrides
            .saturating_add(u32::from(matches!(code, 0x202D | 0x202E)));
    }

    /// Ends the run before `end`.
    #[inline]
    fn end(&mut self, end: usize, found: &mut Vec<UnicodeAnomaly>) {
        if self.count > 0 {
            self.close(end, found);
        }
    }

    fn close(&mut self, end: usize, found: &mut Vec<UnicodeAnomaly>) {
        let confidence = if self.tags >= 3 || self.selectors >= 8 || self.count > 64 {
            Some(Confidence::High)
        } else if self.tags > 0 && self.in_text
            || self.selectors >= 3
            || self.varied && self.count >= 16
        {
            // Outside flags no text needs even a single tag, and an instruction may be in pieces.
            Some(Confidence::Medium)
        } else if self.tags > 0 || self.overrides > 0 || self.count >= 8 {
            Some(Confidence::Low)
        } else {
            None
        };
        if let Some(confidence) = confidence {
            found.push(UnicodeAnomaly {
                kind: AnomalyKind::Hidden,
                start: self.start,
                end,
                confidence,
            });
        }
        *self = Self {
            flag: self.flag,
            ..Self::default()
        };
    }
}

/// Word that is being read.
#[derive(Default)]
struct ScriptWord {
    start: usize,
    /// Position up to which the text is read.
    at: usize,
    latin: u32,
    foreign: u32,
    greek: bool,
}

impl ScriptWord {
    fn add_latin(&mut self, letters: usize, start: usize) {
        if self.latin == 0 && self.foreign == 0 {
            self.start = start;
        }
        self.latin = self
            .latin
            .saturating_add(u32::try_from(letters).unwrap_or(u32::MAX));
    }

    fn add(&mut self, foreign: Option<bool>, start: usize) {
        if self.latin == 0 && self.foreign == 0 {
            self.start = start;
        }
        match foreign {
            Some(greek) => {
                self.foreign = self.foreign.saturating_add(1);
                self.greek |= greek;
            }
            // Accented and full-width letters are Latin ones.
            None => self.latin = self.latin.saturating_add(1),
        }
    }

    /// Ends the word before `end`.
    #[inline]
    fn end(&mut self, end: usize, found: &mut Vec<UnicodeAnomaly>) {
        if self.latin > 0 || self.foreign > 0 {
            self.close(end, found);
        }
    }

    fn close(&mut self, end: usize, found: &mut Vec<UnicodeAnomaly>) {
        if self.latin >= 2 && self.foreign > 0 {
            // Greek letters occur in formulas.
            let confidence = if self.greek {
                Confidence::Low
            } else {
                Confidence::Medium
            };
            found.push(UnicodeAnomaly {
                kind: AnomalyKind::Mixed,
                start: self.start,
                end,
                confidence,
            });
        }
        *self = Self {
            at: self.at,
            ..Self::default()
        };
    }
}

/// Returns whether a letter that looks Latin belongs to another script, and whether that is Greek.
fn foreign(c: char) -> Option<bool> {
    match u32::from(c) {
        0x370..=0x3FF | 0x1F00..=0x1FFF => Some(true),
        0x400..=0x58F
        | 0x10A0..=0x10FF
        | 0x13A0..=0x13FF
        | 0x1C80..=0x1C8F
        | 0x2C80..=0x2CFF
        | 0x2D30..=0x2D7F
        | 0xA4D0..=0xA4FF
        | 0xA640..=0xA69F
        | 0xAB70..=0xABBF
        | 0x10280..=0x1031F
        | 0x10400..=0x104FF => Some(false),
        _ => None,
    }
}

/// Returns a name in the form used for comparison: without case, width, look-alikes, marks and characters that are
/// not shown. Escapes are left unchanged.
pub fn fold_name(name: &str) -> Cow<'_, str> {
    if is_folded(name.as_bytes()) {
        return Cow::Borrowed(name);
    }
    let mut folded = String::with_capacity(name.len());
    for c in name.chars() {
        match read(c) {
            CharReading::Same if c.is_ascii() => folded.push(c.to_ascii_lowercase()),
            CharReading::Same => folded.push_str(without_case(c, &mut [0; 4])),
            CharReading::Ascii(ascii) | CharReading::Tag(ascii) | CharReading::Flag(ascii) => {
                folded.push(char::from(ascii.to_ascii_lowercase()))
            }
            CharReading::Several(text) => {
                folded.extend(text.chars().map(|c| c.to_ascii_lowercase()))
            }
            CharReading::Hidden | CharReading::Mark => {}
        }
    }
    Cow::Owned(folded)
}

/// Returns whether a character is outside ASCII and in a block that has letters with case (UnicodeData.txt).
fn may_have_case(c: char) -> bool {
    matches!(c, '\u{80}'..'\u{2E80}' | '\u{A640}'..'\u{AC00}' | '\u{FB00}'..)
}

/// Returns a letter outside ASCII without its case.
fn without_case(c: char, buffer: &mut [u8; 4]) -> &str {
    let letter = match c {
        // Full case folding (CaseFolding.txt, status F) where lower case alone would keep two spellings apart.
        'ß' | 'ẞ' => return "ss",
        'ς' => 'σ',
        _ if !may_have_case(c) => c,
        _ => match look_alike_of_case(c) {
            Some(ascii) => char::from(ascii.to_ascii_lowercase()),
            None => letter_case::lower_of(c).next().unwrap_or(c),
        },
    };
    letter.encode_utf8(buffer)
}

/// Returns the letter that a letter looks like in its other case: `к` is `К`, and so `k`. Without it, a name in capitals would
/// be another one than in small letters.
fn look_alike_of_case(c: char) -> Option<u8> {
    let (mut upper, mut lower) = (letter_case::upper_of(c), letter_case::lower_of(c));
    let cases = [
        upper.next().filter(|_| upper.next().is_none()),
        lower.next().filter(|_| lower.next().is_none()),
    ];
    cases
        .into_iter()
        .flatten()
        .find_map(|cased| match read(cased) {
            CharReading::Ascii(ascii) => Some(ascii),
            _ => None,
        })
}

/// Whether a name has nothing but visible ASCII without capitals, and spaces. Eight bytes are looked at together, the last ones
/// perhaps twice.
fn is_folded(name: &[u8]) -> bool {
    const HIGHS: u64 = 0x80 * EACH;
    const EACH: u64 = u64::MAX / 255;
    let fits = |eight: &[u8; 8]| {
        let bytes = u64::from_le_bytes(*eight);
        // The highest bit of each byte keeps it from borrowing of the next one: it stays where the byte is at least `least`.
        let at_least =
            |least: u8| (bytes | HIGHS).wrapping_sub(EACH.wrapping_mul(u64::from(least)));
        let capitals = at_least(b'A') & !at_least(b'[');
        (bytes | !at_least(b' ') | capitals | at_least(0x7F)) & HIGHS == 0
    };
    match name.last_chunk() {
        Some(end) => name.as_chunks().0.iter().all(fits) && fits(end),
        None => name
            .iter()
            .all(|byte| matches!(byte, b' '..=b'@' | b'['..=b'~')),
    }
}

#[cfg(test)]
mod tests;
