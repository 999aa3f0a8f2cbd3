//! JSON scanner: one pass over the bytes, no recursion, no allocation per value.
//!
//! The result is a tape of nodes in document order. `{"a":[1]}` has four nodes: the object, the key `a`, the array, the
//! number `1`.

use super::array_cache::{ArrayCache, ArrayScan, KnownArray, KnownBeginning, MIN_KNOWN_BYTES};
use super::element_cache::{ElementCache, Noted, ScannedElement};
use super::string;
use crate::wire::simd::{self, StringStops};
use crate::wire::sort;
use crate::wire::span::{Span, index, offset};
use crate::wire::utf8;
use crate::wire::work;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Limits of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum nesting of arrays and objects.
    pub max_depth: u16,
}

/// The type of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    Null,
    True,
    False,
    Number,
    String,
    Key,
    Array,
    Object,
}

/// A node: a value or an object key. The spans of strings and keys exclude their quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    /// Index of the node after this one and everything inside it.
    pub(super) next: u32,
    pub(super) kind: NodeKind,
    pub(super) flags: u8,
}

impl Node {
    /// Returns the node of the same value, moved on by bytes and nodes.
    pub(super) fn moved(&self, bytes: u32, nodes: u32) -> Node {
        Node {
            span: Span {
                start: self.span.start.wrapping_add(bytes),
                end: self.span.end.wrapping_add(bytes),
            },
            next: self.next.wrapping_add(nodes),
            ..*self
        }
    }

    /// Returns the node of the same value, moved back by bytes and nodes.
    pub(super) fn moved_back(&self, bytes: u32, nodes: u32) -> Node {
        self.moved(bytes.wrapping_neg(), nodes.wrapping_neg())
    }
}

/// The string holds at least one backslash.
pub(super) const ESCAPED: u8 = 1;
/// The string holds an escaped surrogate without its partner.
pub(super) const LONE_SURROGATE: u8 = 2;

/// The nodes of a document in the order of their bytes. An object's key is before its value.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    pub(super) nodes: Vec<Node>,
    /// Elements that have come before, in the order of their bytes.
    known: Vec<KnownElement>,
    /// Arrays whose first elements have come before.
    beginnings: Vec<KnownBeginning>,
}

/// Nodes of an element whose bytes have come before.
#[derive(Clone, Debug)]
struct KnownElement {
    first: u32,
    /// Index of the node behind it.
    end: u32,
    element: Rc<ScannedElement>,
}

impl Tape {
    /// Number of values and keys.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns the element that has come before and in which a node lies, and the node's place in it.
    pub(super) fn known_element(&self, node: u32) -> Option<(&ScannedElement, u32)> {
        let after = self.known.partition_point(|known| known.first <= node);
        let known = self.known.get(after.checked_sub(1)?)?;
        (node < known.end).then(|| (&*known.element, node.wrapping_sub(known.first)))
    }

    /// Returns the array whose first elements have come before with those of the array at a node, and their number.
    pub(super) fn known_beginning(&self, node: u32) -> Option<(&Rc<KnownArray>, usize)> {
        let mut known = self.beginnings.iter();
        let known = known.find(|known| known.node == node)?;
        Some((&known.array, known.count))
    }
}

/// The reason why bytes are not JSON that every parser reads alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanErrorKind {
    /// No value at all.
    Empty,
    /// A byte that the grammar does not allow at its offset, an unclosed string or container, or a control character.
    Syntax,
    /// Bytes after the value.
    Trailing,
    /// A duplicate key in an object, compared after decoding.
    DuplicateKey,
    /// A key with an unpaired surrogate. Parsers replace, drop or keep it.
    SurrogateInKey,
    /// Nesting deeper than the limit.
    TooDeep,
    /// Not UTF-8, or a byte order mark.
    Encoding,
    /// More bytes than a 32-bit offset addresses.
    TooLarge,
}

/// A scan error with its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanError {
    /// The kind of error.
    pub kind: ScanErrorKind,
    /// Offset of the first byte that is wrong.
    pub at: usize,
}

impl std::fmt::Display for ScanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.kind {
            ScanErrorKind::Empty => "the body is empty",
            ScanErrorKind::Syntax => "malformed JSON",
            ScanErrorKind::Trailing => "bytes after the end of the JSON value",
            ScanErrorKind::DuplicateKey => "the same key twice in one object",
            ScanErrorKind::SurrogateInKey => "a key with an unpaired surrogate",
            ScanErrorKind::TooDeep => "nested too deep",
            ScanErrorKind::Encoding => "not UTF-8",
            ScanErrorKind::TooLarge => "too large",
        };
        write!(f, "{what} at byte {}", self.at)
    }
}

/// An open array or object.
struct OpenContainer {
    node: u32,
    /// Index on the key stack of the object's first key.
    keys: usize,
    /// Steps for sorted keys until it began.
    sorted: usize,
    is_object: bool,
}

/// A key of an open object: the hash of its decoded text, and its node.
#[derive(Clone, Copy)]
struct SeenKey {
    hash: u32,
    node: u32,
}

/// Memory that the scans of a worker use one after the other: an exchange has a handful of them.
#[derive(Default)]
struct Stacks {
    open: Vec<OpenContainer>,
    keys: Vec<SeenKey>,
}

thread_local! {
    static STACKS: Cell<Stacks> = const { Cell::new(Stacks { open: Vec::new(), keys: Vec::new() }) };
    static ELEMENTS: Cell<ElementCache> = const { Cell::new(ElementCache::NEW) };
    static ARRAYS: RefCell<ArrayCache> = const { RefCell::new(ArrayCache::NEW) };
}

/// Calls `look` with the arrays that have been scanned on this thread.
#[cfg(test)]
pub(super) fn with_arrays(look: impl FnOnce(&ArrayCache)) {
    ARRAYS.with_borrow(look);
}

/// Maximum entries of a stack that is kept.
const KEPT: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    ElementOrClose,
    KeyOrClose,
    CommaOrClose,
    End,
}

/// Bytes of a document whose elements are looked up. Frames of streams and short answers have none that comes again.
const REQUEST: usize = 1 << 10;

/// Arrays and objects around an element that is looked up, at most: `{"request":{"tools":[{"functionDeclarations":[{`.
const MAX_AROUND: usize = 6;

/// Arrays and objects around an array whose beginning is looked up, at most: `{"request":{"contents":[`.
const MAX_AROUND_NOTED: usize = 2;

/// Members with the messages of a conversation, of those formats whose readers pass over known turns.
const CONVERSATIONS: [&[u8]; 3] = [b"messages", b"input", b"contents"];

/// Number of small elements in a row after which none is looked up until a larger one was scanned.
const MANY_SMALL: u8 = 8;

/// Work steps for a node, in addition to its bytes.
const NODE: usize = 8;

/// Work steps for a key that is sorted, for each doubling of their number.
const SORTED: usize = 4;

/// Scans one JSON text into `tape`, which is cleared first, in time linear in `bytes`.
///
/// # Errors
/// The first deviation from strict JSON. The content of the tape is then unspecified.
pub fn scan(bytes: &[u8], limits: Limits, tape: &mut Tape) -> Result<(), ScanError> {
    tape.nodes.clear();
    tape.known.clear();
    tape.beginnings.clear();
    if u32::try_from(bytes.len()).is_err() {
        return Err(ScanError {
            kind: ScanErrorKind::TooLarge,
            at: 0,
        });
    }
    reject_other_encodings(bytes)?;
    // A chat body has a node per 20 to 60 bytes, schemas of tools one per 12, the frame of a stream one per 8. The estimate only
    // saves reallocations.
    let few = bytes.len().wrapping_div(8).min(64);
    let many = bytes.len().wrapping_div(12).min(1 << 16);
    tape.nodes.reserve(few.max(many));
    let Stacks { mut open, mut keys } = STACKS.take();
    let mut elements = ELEMENTS.take();
    open.clear();
    keys.clear();
    let mut scanner = Scanner {
        bytes,
        at: 0,
        nodes: &mut tape.nodes,
        known: &mut tape.known,
        beginnings: &mut tape.beginnings,
        open: &mut open,
        keys: &mut keys,
        max_depth: usize::from(limits.max_depth),
        is_in_object: false,
        elements: &mut elements,
        has_elements: bytes.len() >= REQUEST,
        small: 0,
        sorted: 0,
        noted: 0,
        steps: Vec::new(),
    };
    let scanned = scanner.run();
    work::spend(scanner.sorted);
    ELEMENTS.set(elements);
    if open.capacity().max(keys.capacity()) <= KEPT {
        STACKS.set(Stacks { open, keys });
    }
    // Eight bytes of a string are read at a time.
    work::spend(tape.nodes.len().saturating_mul(NODE));
    work::spend(bytes.len().wrapping_div(4));
    scanned
}

/// Scans one JSON text and returns it with its tape.
///
/// # Errors
/// See [`scan`].
pub(super) fn scan_text(
    bytes: Cow<'_, [u8]>,
    limits: Limits,
) -> Result<(Cow<'_, str>, Tape), ScanError> {
    let mut tape = Tape::default();
    scan(&bytes, limits, &mut tape)?;
    Ok((as_text(bytes)?, tape))
}

/// Returns scanned bytes as text: every string in them is UTF-8, and all else is ASCII.
///
/// # Errors
/// They were not scanned.
pub(super) fn as_text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, ScanError> {
    let text = match bytes {
        Cow::Borrowed(bytes) => utf8::text(bytes).map(Cow::Borrowed),
        Cow::Owned(bytes) => simd::string(bytes).map(Cow::Owned),
    };
    text.map_err(|error| ScanError {
        kind: ScanErrorKind::Encoding,
        at: error.valid_up_to(),
    })
}

/// Reports a byte order mark and UTF-16 or UTF-32 (which have NUL bytes around the first character) as an encoding
/// error instead of a syntax error. RFC 8259 §8.1 forbids them.
fn reject_other_encodings(bytes: &[u8]) -> Result<(), ScanError> {
    let marked = bytes.starts_with(&[0xEF, 0xBB, 0xBF])
        || bytes.starts_with(&[0xFE, 0xFF])
        || bytes.starts_with(&[0xFF, 0xFE]);
    let wide = bytes.iter().take(4).any(|&b| b == 0);
    if marked || wide {
        return Err(ScanError {
            kind: ScanErrorKind::Encoding,
            at: 0,
        });
    }
    Ok(())
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: &'a mut Vec<Node>,
    known: &'a mut Vec<KnownElement>,
    beginnings: &'a mut Vec<KnownBeginning>,
    open: &'a mut Vec<OpenContainer>,
    keys: &'a mut Vec<SeenKey>,
    max_depth: usize,
    /// Whether the innermost open container is an object.
    is_in_object: bool,
    elements: &'a mut ElementCache,
    /// Whether the document is as large as those whose elements come again.
    has_elements: bool,
    /// Elements since the last one that may be kept.
    small: u8,
    /// Steps for sorted keys.
    sorted: usize,
    /// Arrays and objects around the elements of the array that will be noted; 0: no such array is open.
    noted: usize,
    /// Steps for the sorted keys of each of its objects.
    steps: Vec<usize>,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), ScanError> {
        self.skip_white_space();
        let Some(&first) = self.bytes.get(self.at) else {
            return Err(self.error(ScanErrorKind::Empty));
        };
        let mut expect = self.value(first)?;
        while expect != Expected::End {
            let byte = self.next()?;
            expect = match (expect, byte) {
                (Expected::CommaOrClose, b',') => {
                    self.at = self.at.wrapping_add(1);
                    let byte = self.next()?;
                    // After a comma comes another one, never a bracket.
                    match self.is_in_object {
                        true => self.member(byte)?,
                        false => self.value(byte)?,
                    }
                }
                (Expected::CommaOrClose, b'}' | b']') if self.is_in_object == (byte == b'}') => {
                    self.close()?
                }
                (Expected::ElementOrClose, b']') | (Expected::KeyOrClose, b'}') => self.close()?,
                (Expected::ElementOrClose, _) => self.value(byte)?,
                (Expected::KeyOrClose, _) => self.member(byte)?,
                _ => return Err(self.error(ScanErrorKind::Syntax)),
            };
        }
        self.skip_white_space();
        match self.bytes.get(self.at) {
            None => Ok(()),
            Some(_) => Err(self.error(ScanErrorKind::Trailing)),
        }
    }

    /// The next byte that is no white space.
    fn next(&mut self) -> Result<u8, ScanError> {
        self.skip_white_space();
        let byte = self.bytes.get(self.at).copied();
        byte.ok_or_else(|| self.error(ScanErrorKind::Syntax))
    }

    /// A key, which begins with `byte`, and its value.
    fn member(&mut self, byte: u8) -> Result<Expected, ScanError> {
        if byte != b'"' {
            return Err(self.error(ScanErrorKind::Syntax));
        }
        self.key()?;
        let byte = self.next()?;
        self.value(byte)
    }

    fn error(&self, kind: ScanErrorKind) -> ScanError {
        ScanError { kind, at: self.at }
    }

    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at = self.at.wrapping_add(1);
        }
    }

    fn push(&mut self, kind: NodeKind, start: usize, end: usize, flags: u8) {
        let next = offset(self.nodes.len()).saturating_add(1);
        self.nodes.push(Node {
            span: Span::new(start, end),
            next,
            kind,
            flags,
        });
    }

    fn after_value(&self) -> Expected {
        if self.open.is_empty() {
            Expected::End
        } else {
            Expected::CommaOrClose
        }
    }

    fn value(&mut self, byte: u8) -> Result<Expected, ScanError> {
        match byte {
            b'"' => {
                let (span, flags) = self.string()?;
                let range = span.range();
                self.push(NodeKind::String, range.start, range.end, flags);
            }
            b'{' => {
                if self.is_element() && self.small < MANY_SMALL && self.add_known() {
                    return Ok(Expected::CommaOrClose);
                }
                return self.begin(true);
            }
            b'[' => return self.begin(false),
            b't' => self.word(b"true", NodeKind::True)?,
            b'f' => self.word(b"false", NodeKind::False)?,
            b'n' => self.word(b"null", NodeKind::Null)?,
            b'-' | b'0'..=b'9' => self.numbers()?,
            _ => return Err(self.error(ScanErrorKind::Syntax)),
        }
        Ok(self.after_value())
    }

    /// Returns whether an object that begins or ended here is an element that may have come before.
    fn is_element(&self) -> bool {
        self.has_elements && !self.is_in_object && (1..=MAX_AROUND).contains(&self.open.len())
    }

    /// Adds the nodes of an element that has come before. `false`: it has not, or is nested too deep here.
    fn add_known(&mut self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(known) = self.elements.look_up(rest) else {
            return false;
        };
        if known.depth > self.max_depth.saturating_sub(self.open.len()) {
            return false;
        }
        let first = self.nodes.len();
        known.add_to(self.at, self.nodes);
        self.add_steps(known.steps);
        self.at = self.at.wrapping_add(known.len());
        self.add_known_element(offset(first), known);
        true
    }

    /// Spends the steps for the sorted keys of an element that was not scanned.
    fn add_steps(&mut self, steps: usize) {
        self.sorted = self.sorted.saturating_add(steps);
        if self.open.len() == self.noted {
            self.steps.push(steps);
        }
    }

    /// Notes an element, which begins with the node `first`, so that it is known when it comes again.
    fn note(&mut self, first: u32, sorted: usize) {
        let before = index(first);
        let nodes = self.nodes.get(before..).unwrap_or_default();
        let Some(root) = nodes.first() else { return };
        let steps = self.sorted.saturating_sub(sorted);
        let bytes = root.span.of(self.bytes);
        match self.elements.note(bytes, nodes, before, steps) {
            Noted::Nothing => self.small = self.small.saturating_add(1),
            Noted::Fingerprint => self.small = 0,
            Noted::Element(element) => self.add_known_element(first, element),
        }
    }

    /// The nodes from `first` on are of an element that has come before.
    fn add_known_element(&mut self, first: u32, element: Rc<ScannedElement>) {
        let end = offset(self.nodes.len());
        // Elements inside of it are known by it.
        while self.known.pop_if(|known| known.first >= first).is_some() {}
        self.known.push(KnownElement {
            first,
            end,
            element,
        });
        self.small = 0;
    }

    fn begin(&mut self, is_object: bool) -> Result<Expected, ScanError> {
        if self.open.len() >= self.max_depth {
            return Err(self.error(ScanErrorKind::TooDeep));
        }
        let is_noted = !is_object && self.is_conversation();
        self.open.push(OpenContainer {
            node: offset(self.nodes.len()),
            keys: self.keys.len(),
            sorted: self.sorted,
            is_object,
        });
        self.is_in_object = is_object;
        let kind = if is_object {
            NodeKind::Object
        } else {
            NodeKind::Array
        };
        self.push(kind, self.at, self.at, 0);
        self.at = self.at.wrapping_add(1);
        Ok(match is_object {
            true => Expected::KeyOrClose,
            false if is_noted && self.add_beginning() => Expected::CommaOrClose,
            false => Expected::ElementOrClose,
        })
    }

    /// Whether an array that begins here is that of a conversation.
    fn is_conversation(&self) -> bool {
        let rest = self.bytes.len().saturating_sub(self.at);
        rest >= MIN_KNOWN_BYTES
            && self.is_in_object
            && (1..=MAX_AROUND_NOTED).contains(&self.open.len())
            && self.nodes.last().is_some_and(|key| {
                let key = key.span.of(self.bytes);
                CONVERSATIONS.contains(&key)
            })
    }

    /// Adds the first elements of an array that has just begun, if they have come before.
    #[inline(never)]
    fn add_beginning(&mut self) -> bool {
        self.noted = self.open.len();
        self.steps.clear();
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(array) = ARRAYS.with_borrow(|arrays| arrays.look_up(rest)) else {
            return false;
        };
        let node = offset(self.nodes.len()).saturating_sub(1);
        let max_depth = self.max_depth.saturating_sub(self.open.len());
        let added = array.add_to(self.at, max_depth, self.nodes);
        let Some((bytes, steps)) = added else {
            return false;
        };
        self.at = self.at.wrapping_add(bytes);
        self.sorted = self.sorted.saturating_add(steps);
        let count = array.len();
        self.beginnings.push(KnownBeginning { node, count, array });
        true
    }

    /// Notes an array that ended, so that its elements are known when they come again.
    #[inline(never)]
    fn note_array(&mut self, node: u32) {
        self.noted = 0;
        let scan = ArrayScan {
            bytes: self.bytes,
            nodes: self.nodes,
            node,
            known: self.beginnings.pop_if(|known| known.node == node),
            steps: &self.steps,
        };
        let known = ARRAYS.with_borrow_mut(|arrays| arrays.note(&scan));
        self.beginnings.extend(known);
    }

    fn close(&mut self) -> Result<Expected, ScanError> {
        self.at = self.at.wrapping_add(1);
        let Some(open) = self.open.pop() else {
            return Err(self.error(ScanErrorKind::Syntax));
        };
        if open.is_object {
            self.reject_duplicates(open.keys)?;
            self.keys.truncate(open.keys);
        }
        self.is_in_object = self.open.last().is_some_and(|open| open.is_object);
        let next = offset(self.nodes.len());
        let end = offset(self.at);
        if let Some(node) = self.nodes.get_mut(index(open.node)) {
            node.span.end = end;
            node.next = next;
        }
        if open.is_object && self.is_element() {
            if self.open.len() == self.noted {
                self.steps.push(self.sorted.saturating_sub(open.sorted));
            }
            self.note(open.node, open.sorted);
        } else if self.open.len() < self.noted {
            self.note_array(open.node);
        }
        Ok(self.after_value())
    }

    fn key(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        let (span, flags) = self.string()?;
        if flags & LONE_SURROGATE != 0 {
            return Err(ScanError {
                kind: ScanErrorKind::SurrogateInKey,
                at: start,
            });
        }
        let raw = span.of(self.bytes);
        let hash = if flags & ESCAPED == 0 {
            hash_key(raw)
        } else {
            hash_key(string::decode(raw).as_bytes())
        };
        self.keys.push(SeenKey {
            hash,
            node: offset(self.nodes.len()),
        });
        let range = span.range();
        self.push(NodeKind::Key, range.start, range.end, flags);
        self.skip_white_space();
        if self.bytes.get(self.at) != Some(&b':') {
            return Err(self.error(ScanErrorKind::Syntax));
        }
        self.at = self.at.wrapping_add(1);
        Ok(())
    }

    fn word(&mut self, word: &[u8], kind: NodeKind) -> Result<(), ScanError> {
        let start = self.at;
        let end = start.wrapping_add(word.len());
        if self.bytes.get(start..end) != Some(word) {
            return Err(self.error(ScanErrorKind::Syntax));
        }
        self.at = end;
        self.push(kind, start, end, 0);
        Ok(())
    }

    /// A number, in an array with those that follow it: an embedding has thousands. `-0.0113,0.0271` or `-0.0113, 0.0271`; what is
    /// written in another way follows in the next round.
    fn numbers(&mut self) -> Result<(), ScanError> {
        let is_listed = !self.is_in_object && !self.open.is_empty();
        loop {
            let start = self.at;
            let mut at = start;
            let is_number = skip_number(self.bytes, &mut at);
            self.at = at;
            if !is_number {
                return Err(self.error(ScanErrorKind::Syntax));
            }
            self.push(NodeKind::Number, start, at, 0);
            let between = match self.bytes.get(at..) {
                Some([b',', b'-' | b'0'..=b'9', ..]) if is_listed => 1,
                Some([b',', b' ', b'-' | b'0'..=b'9', ..]) if is_listed => 2,
                _ => return Ok(()),
            };
            self.at = at.wrapping_add(between);
        }
    }

    /// Scans a string from its opening quote. Returns its content without quotes, and its flags.
    fn string(&mut self) -> Result<(Span, u8), ScanError> {
        let start = self.at.wrapping_add(1);
        let mut at = start;
        let mut flags = 0;
        let mut high = false;
        loop {
            at = skip_plain(self.bytes, at, &mut high);
            match self.bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    flags |= ESCAPED;
                    match string::escape_length(self.bytes.get(at..).unwrap_or_default()) {
                        Some((length, lone)) => {
                            if lone {
                                flags |= LONE_SURROGATE;
                            }
                            at = at.wrapping_add(length);
                        }
                        None => {
                            return Err(ScanError {
                                kind: ScanErrorKind::Syntax,
                                at,
                            });
                        }
                    }
                }
                _ => {
                    return Err(ScanError {
                        kind: ScanErrorKind::Syntax,
                        at,
                    });
                }
            }
        }
        let span = Span::new(start, at);
        if high && let Err(error) = utf8::text(span.of(self.bytes)) {
            return Err(ScanError {
                kind: ScanErrorKind::Encoding,
                at: start.saturating_add(error.valid_up_to()),
            });
        }
        self.at = at.wrapping_add(1);
        Ok((span, flags))
    }

    /// Reports a duplicate key. Texts are compared only if their hashes are equal. Keys with colliding hashes cost one
    /// sort of their texts, not a comparison of every pair.
    fn reject_duplicates(&mut self, from: usize) -> Result<(), ScanError> {
        let bytes = self.bytes;
        let nodes = &*self.nodes;
        let Some(keys) = self.keys.get_mut(from..) else {
            return Ok(());
        };
        if keys.len() <= FEW_KEYS && !may_repeat(keys) {
            return Ok(());
        }
        let sorted = |count: usize| {
            let doublings = usize::try_from(count.ilog2()).unwrap_or_default();
            count.saturating_mul(doublings.saturating_mul(SORTED))
        };
        self.sorted = self.sorted.saturating_add(sorted(keys.len()));
        sort::sort_by_key(keys, |key| key.hash);
        for group in keys.chunk_by(|a, b| a.hash == b.hash) {
            if group.len() < 2 {
                continue;
            }
            self.sorted = self.sorted.saturating_add(sorted(group.len()));
            let mut texts: Vec<_> = group
                .iter()
                .filter_map(|key| nodes.get(index(key.node)))
                .map(|node| (string::decode(node.span.of(bytes)), node.span.start))
                .collect();
            sort::sort(&mut texts);
            let mut pairs = texts.iter().zip(texts.iter().skip(1));
            if let Some((_, second)) = pairs.find(|(a, b)| a.0 == b.0) {
                return Err(ScanError {
                    kind: ScanErrorKind::DuplicateKey,
                    at: index(second.1),
                });
            }
        }
        Ok(())
    }
}

/// Returns the offset of the first byte from `at` on that ends plain string content: a quote, a backslash or a control
/// character. Sets `high` if the content has a byte ≥ 0x80.
fn skip_plain(bytes: &[u8], at: usize, high: &mut bool) -> usize {
    let mut at = at;
    let mut is_short = true;
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        let StringStops { stops, high: above } = simd::string_stops(block);
        if stops != 0 {
            let before = (stops & stops.wrapping_neg()).wrapping_sub(1);
            *high |= above & before != 0;
            return at.wrapping_add(index(stops.trailing_zeros()));
        }
        *high |= above != 0;
        at = at.wrapping_add(16);
        // Most strings end before.
        if std::mem::take(&mut is_short) {
            let rest = bytes.get(at..).unwrap_or_default();
            at = at.wrapping_add(simd::plain_string_bytes(rest, high));
        }
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < b' ' {
            break;
        }
        *high |= byte >= 0x80;
        at = at.wrapping_add(1);
    }
    at
}

/// Moves `at` behind a number, `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`. `false`: to the byte that makes it none.
#[inline(always)]
fn skip_number(bytes: &[u8], at: &mut usize) -> bool {
    let skip_one = |at: &mut usize, is_it: fn(&u8) -> bool| {
        let skips = bytes.get(*at).is_some_and(is_it);
        *at = at.wrapping_add(usize::from(skips));
        skips
    };
    skip_one(at, |byte| *byte == b'-');
    if !skip_one(at, |byte| *byte == b'0') && !skip_digits(bytes, at) {
        return false;
    }
    if skip_one(at, |byte| *byte == b'.') && !skip_digits(bytes, at) {
        return false;
    }
    if !skip_one(at, |byte| matches!(byte, b'e' | b'E')) {
        return true;
    }
    skip_one(at, |byte| matches!(byte, b'+' | b'-'));
    let start = *at;
    while skip_one(at, u8::is_ascii_digit) {}
    *at > start
}

/// Moves `at` behind digits, eight bytes at a time. `false`: there are none.
#[inline(always)]
fn skip_digits(bytes: &[u8], at: &mut usize) -> bool {
    const ONES: u64 = u64::MAX.wrapping_div(255);
    let start = *at;
    while let Some(word) = bytes.get(*at..).and_then(|rest| rest.first_chunk::<8>()) {
        // 0 to 9 for digits. Adding 0x76 sets the high bit of what is more; what it carries changes only bytes behind such a one.
        let word = u64::from_le_bytes(*word) ^ ONES.wrapping_mul(b'0' as u64);
        let others = (word.wrapping_add(ONES.wrapping_mul(0x76)) | word) & ONES.wrapping_mul(0x80);
        *at = at.wrapping_add(index(others.trailing_zeros().wrapping_shr(3)));
        if others != 0 {
            return *at > start;
        }
    }
    while let Some(b'0'..=b'9') = bytes.get(*at) {
        *at = at.wrapping_add(1);
    }
    *at > start
}

/// Keys of an object whose hashes are compared with each other before any is sorted.
const FEW_KEYS: usize = 16;

/// Returns whether two of a few keys have the same hash.
fn may_repeat(keys: &[SeenKey]) -> bool {
    let (mut seen, mut is_seen) = (0u64, 0u64);
    for key in keys {
        let bit = 1u64.wrapping_shl(key.hash);
        is_seen |= seen & bit;
        seen |= bit;
    }
    // Most objects have so few keys that no two share one of 64 bits.
    is_seen != 0
        && keys.iter().enumerate().any(|(at, key)| {
            let mut before = keys.iter().take(at);
            before.any(|other| other.hash == key.hash)
        })
}

/// FNV-1a over eight bytes at a time, the last ones perhaps twice. The hash has no key: see `reject_duplicates` for collisions.
fn hash_key(key: &[u8]) -> u32 {
    const PRIME: u64 = 0x100_0000_01b3;
    let mix = |hash: u64, part: u64| {
        let hash = (hash ^ part).wrapping_mul(PRIME);
        hash ^ (hash >> 29)
    };
    let basis = 0xcbf2_9ce4_8422_2325 ^ key.len() as u64;
    let end = match (
        key.last_chunk::<8>(),
        key.first_chunk::<4>(),
        key.last_chunk::<4>(),
    ) {
        (Some(end), ..) => u64::from_le_bytes(*end),
        (None, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        _ => key.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    };
    let blocks = key.as_chunks::<8>().0.iter();
    let hash = blocks.fold(basis, |hash, block| mix(hash, u64::from_le_bytes(*block)));
    let hash = mix(hash, end);
    let folded = (hash ^ (hash >> 32)) & u64::from(u32::MAX);
    u32::try_from(folded).unwrap_or_default()
}

#[cfg(test)]
mod tests;
