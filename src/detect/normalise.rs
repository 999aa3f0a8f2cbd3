//! What a reader sees: text with its disguises taken off, and the way back to the bytes as they came.
//!
//! Full-width, circled, mathematical and superscript letters and digits, ligatures, digits of other scripts and
//! letters that look Latin become ASCII; accents and other marks over letters go; exotic spaces become spaces,
//! dashes and quotes their ASCII form; characters that are not shown (zero width, soft hyphen, fillers, variation
//! selectors, bidi and other controls) go; tag characters, HTML entities, percent escapes and `\u`, `\x`, `\n`
//! escapes are decoded. Case stays.
//!
//! Not undone: other spellings (leet, spaced letters), right-to-left overrides that reverse what is shown, and
//! look-alikes in scripts whose words would be torn apart (Arabic, Hebrew, Indic).

use std::borrow::Cow;
use std::ops::Range;

use super::tables::fold::{FIRST_LONG, INDEX, LONG, MARK, PAGE, PAGES, REMOVE};
use escape::{Escape, escape_at};

mod escape;

/// A normalised text and where each byte of it came from.
#[derive(Clone, Debug, Default)]
pub struct View {
    text: String,
    pieces: Vec<Piece>,
    joins: bool,
}

/// A run of the view. INVARIANT (pieces are in order): by `view` without gaps, by `start` with gaps where something
/// was removed.
#[derive(Clone, Copy, Debug)]
struct Piece {
    view: usize,
    start: usize,
    end: usize,
    /// Original bytes for each byte of the view; 0: the piece has no parts.
    unit: usize,
}

/// What stands in the view for characters that are not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hidden {
    /// Nothing: `41<zero width>11` is `4111`.
    Removed,
    /// A space between letters or digits, else nothing: `ignore<zero width>all` is two words.
    Spaced,
}

impl View {
    /// The text as it is read; `None` if there is nothing to normalise.
    pub fn of(text: &str) -> Option<Self> {
        let mut view = Self::default();
        view.rebuild(text).then_some(view)
    }

    /// The other reading of a text in which hidden characters stand between letters or digits: there they are
    /// spaces. `None` if there are none.
    pub fn spaced(text: &str) -> Option<Self> {
        let mut view = Self::default();
        (view.rebuild(text) && view.joins).then(|| {
            view.rebuild_spaced(text);
            view
        })
    }

    /// As [`of`](Self::of), with the memory of an earlier view; `false` if there is nothing to normalise.
    pub fn rebuild(&mut self, text: &str) -> bool {
        self.build(text, Hidden::Removed)
    }

    /// As [`spaced`](Self::spaced), with the memory of an earlier view.
    pub fn rebuild_spaced(&mut self, text: &str) -> bool {
        self.build(text, Hidden::Spaced)
    }

    /// The normalised text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether hidden characters stand between letters or digits, so that [`spaced`](Self::spaced) differs.
    pub fn joins(&self) -> bool {
        self.joins
    }

    /// The bytes of the original that a range of the view came from. Hidden characters inside belong to it, those
    /// at its ends don't.
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

    /// The first byte of the view that came from byte `original` or later.
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

    fn piece_at(&self, view: usize) -> Option<&Piece> {
        let after = self.pieces.partition_point(|piece| piece.view <= view);
        self.pieces.get(after.checked_sub(1)?)
    }

    fn build(&mut self, text: &str, hidden: Hidden) -> bool {
        self.text.clear();
        self.pieces.clear();
        self.joins = false;
        if is_plain(text.as_bytes()) {
            return false;
        }
        let mut build = Build {
            view: self,
            source: text,
            copied: 0,
            changed: false,
            hidden,
            behind: None,
        };
        build.run();
        build.changed
    }
}

/// Whether no byte of the text can begin something to normalise.
fn is_plain(bytes: &[u8]) -> bool {
    let special = |byte: u8| {
        !byte.is_ascii()
            || byte < b' ' && !(b'\t'..=b'\r').contains(&byte)
            || matches!(byte, b'&' | b'%' | b'\\' | 0x7F)
    };
    // Whole blocks without an early end: the compiler makes vector code of it.
    bytes
        .chunks(64)
        .all(|block| !block.iter().fold(false, |any, byte| any | special(*byte)))
}

/// Bytes of the text that stay what they are when more text follows: all but an escape that has only begun.
pub fn stable_len(text: &str) -> usize {
    escape::stable_len(text)
}

/// How a character is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As it is.
    Same,
    /// As this ASCII character.
    Ascii(u8),
    /// As these ASCII letters or digits.
    Several(&'static str),
    /// Not shown at all.
    Hidden,
    /// Part of the character before it.
    Mark,
    /// ASCII in the block of tag characters, which no font shows.
    Tag(u8),
}

/// How a character is read.
pub(super) fn read(c: char) -> Reading {
    let code = u32::from(c);
    if c.is_ascii() {
        return if code >= 0x20 && code != 0x7F || (0x09..=0x0D).contains(&code) {
            Reading::Same
        } else {
            Reading::Hidden
        };
    }
    if let 0xE0000..=0xE0FFF = code {
        // Tags U+E0020–E007E mirror ASCII; the whole block is default-ignorable (Unicode, DerivedCoreProperties.txt).
        return match u8::try_from(code.saturating_sub(0xE0000)) {
            Ok(tag) if (0x20..0x7F).contains(&tag) => Reading::Tag(tag),
            _ => Reading::Hidden,
        };
    }
    let Ok(code) = usize::try_from(code) else {
        return Reading::Same;
    };
    let entry = INDEX.get(code.div_euclid(PAGE)).and_then(|page| {
        PAGES.get(
            usize::from(*page)
                .saturating_mul(PAGE)
                .saturating_add(code.rem_euclid(PAGE)),
        )
    });
    match entry.copied() {
        None | Some(0) => Reading::Same,
        Some(REMOVE) => Reading::Hidden,
        Some(MARK) => Reading::Mark,
        Some(ascii) if ascii.is_ascii() => Reading::Ascii(ascii),
        Some(long) => LONG
            .get(usize::from(long.saturating_sub(FIRST_LONG)))
            .map_or(Reading::Same, |text| Reading::Several(text)),
    }
}

struct Build<'a> {
    view: &'a mut View,
    source: &'a str,
    /// The source has been taken over up to here.
    copied: usize,
    changed: bool,
    hidden: Hidden,
    /// Where hidden characters behind a letter or digit begin, until something visible comes.
    behind: Option<usize>,
}

impl Build<'_> {
    fn run(&mut self) {
        let source = self.source;
        let bytes = source.as_bytes();
        let mut at = 0;
        let mut in_tags = false;
        while let Some(&byte) = bytes.get(at) {
            let (c, len) = match byte {
                b'&' | b'%' | b'\\' => match escape_at(source, at, true) {
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
            let reading = read(c);
            let was_in_tags = std::mem::replace(&mut in_tags, matches!(reading, Reading::Tag(_)));
            match reading {
                Reading::Same if !escaped => {}
                Reading::Same => {
                    let mut buffer = [0; 4];
                    self.put(c.encode_utf8(&mut buffer), at, end);
                }
                Reading::Ascii(ascii) => self.put_ascii(ascii, at, end),
                Reading::Several(text) => self.put(text, at, end),
                Reading::Hidden => self.hide(at, end),
                Reading::Mark => self.mark(at, end),
                Reading::Tag(tag) => {
                    if !was_in_tags {
                        self.copy(at);
                        // A hidden order begins at a word's edge, whatever stands before it.
                        self.append(" ", at, at, 0);
                    }
                    self.put_ascii(tag, at, end);
                }
            }
            at = end;
        }
        if self.changed {
            self.copy(bytes.len());
        }
    }

    /// Takes over the source unchanged up to `to`.
    fn copy(&mut self, to: usize) {
        if let Some(text) = self
            .source
            .get(self.copied..to)
            .filter(|text| !text.is_empty())
        {
            self.append(text, self.copied, to, 1);
        }
        self.copied = to;
    }

    fn put(&mut self, text: &str, start: usize, end: usize) {
        self.copy(start);
        self.append(text, start, end, 0);
        self.copied = end;
        self.changed = true;
    }

    fn put_ascii(&mut self, ascii: u8, start: usize, end: usize) {
        self.copy(start);
        let mut buffer = [0; 4];
        self.append(
            char::from(ascii).encode_utf8(&mut buffer),
            start,
            end,
            end.saturating_sub(start),
        );
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

    /// A mark belongs to the character before it, which then is one piece with all its marks.
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
            self.view.pieces.push(Piece {
                end: start,
                ..piece
            });
        }
        self.view.pieces.push(Piece {
            view: from,
            start,
            end,
            unit: 0,
        });
    }

    fn append(&mut self, text: &str, start: usize, end: usize, unit: usize) {
        if let Some(hidden) = self.behind.take()
            && text
                .as_bytes()
                .first()
                .is_some_and(u8::is_ascii_alphanumeric)
        {
            self.view.joins = true;
            if self.hidden == Hidden::Spaced {
                self.append(" ", hidden, start, 0);
            }
        }
        let view = self.view.text.len();
        self.view.text.push_str(text);
        if let Some(last) = self.view.pieces.last_mut()
            && unit > 0
            && last.unit == unit
            && last.end == start
        {
            last.end = end;
            return;
        }
        self.view.pieces.push(Piece {
            view,
            start,
            end,
            unit,
        });
    }
}

/// A name as it is compared: without case, width, look-alikes, marks and characters that are not shown. Escapes are
/// left alone.
pub fn fold_name(name: &str) -> Cow<'_, str> {
    if name
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() || byte == b' ')
    {
        return Cow::Borrowed(name);
    }
    let mut folded = String::with_capacity(name.len());
    for c in name.chars() {
        match read(c) {
            Reading::Same if c.is_ascii() => folded.push(c.to_ascii_lowercase()),
            // Full case folding (CaseFolding.txt, status F) where lower case alone would keep two spellings apart.
            Reading::Same if c == 'ß' || c == 'ẞ' => folded.push_str("ss"),
            Reading::Same if c == 'ς' => folded.push('σ'),
            Reading::Same => folded.extend(c.to_lowercase()),
            Reading::Ascii(ascii) | Reading::Tag(ascii) => {
                folded.push(char::from(ascii.to_ascii_lowercase()))
            }
            Reading::Several(text) => folded.extend(text.chars().map(|c| c.to_ascii_lowercase())),
            Reading::Hidden | Reading::Mark => {}
        }
    }
    Cow::Owned(folded)
}

#[cfg(test)]
mod tests;
