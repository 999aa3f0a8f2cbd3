//! Single pass over a text: it classifies bytes, finds the anchors of detectors, and passes candidates to validators.

use std::cell::{Cell, RefCell};
use std::ops::{Range, RangeInclusive};

use super::alphabet::Binding;
use super::anchor::Anchor;
use super::context::{ContextDictionary, ContextWords, DetectorSet};
use super::forms::{FormTable, Forms};
use super::named_value;
use super::names::{KeyFilter, NameGroups};
use super::prefix_table::{FIRST, PrefixTable};
use super::probe::{KeyedValidateFn, Match, MatchSite, ProbeFn, ValidateFn};
use super::spaced_out;
use super::table::Table;
use super::text::Text;
use super::token_form::{self, TokenPart, TokenPrefix};
use super::tokens::{TokenProbe, TokenProbes, add_by_length};
use super::{MAX_RAW, SelectedDetector};
use crate::detect::entropy::CharClasses;
use crate::detect::literals::Literals;
use crate::detect::normalise::{AnomalyKind, readings};
use crate::detect::{Confidence, Detector};
use crate::wire::simd::{self, BLOCK, Block, SimdLevel, StemTables};
use crate::wire::work;

mod named;
mod numbers;

/// Blocks that are classified at a time.
const CHUNK: usize = 64;

/// Maximum bytes of a token that may be a number or an identifier.
const TOKEN: usize = 96;

/// Work steps for running a detector at an anchor, in addition to the bytes that it reads.
const PROBE: usize = 24;

/// Maximum distance in bytes between the start of an unfinished address and the end of an open text: a local part (RFC
/// 5321, section 4.5.3.1.1), with `o'` before it or `(at` after it.
const TRAIL: usize = 64 + 3;

/// Maximum words of an address that follow `at`.
const SPELLED: usize = 14;

/// Maximum letters of a word that may belong to the number after it: `GB` of `GB 33 …`.
const LEAD: usize = 4;

/// Anchors of all selected detectors.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    level: SimdLevel,
    forms: FormTable,
    /// Slot of the detector of passwords. The words that it is anchored at are also column names.
    passwords: Option<usize>,
    validators: Vec<(usize, ValidateFn)>,
    terms: ContextDictionary,
    beginnings: PrefixTable,
    /// The first three bytes of all prefixes, where they are few: then hardly a word has to be looked up.
    stems: Option<StemTables>,
    /// Whether any detector is anchored at what begins with a stem.
    asks_stems: bool,
    begun_by: Vec<PrefixAction>,
    /// For each digit that a prefix begins with, the characters that may follow it: one bit each, in two words.
    behind_digits: [[u64; 2]; 10],
    /// Probes by the length of the token.
    numbers: Vec<TokenProbes>,
    mixed: Vec<TokenProbes>,
    at: Vec<(usize, ProbeFn)>,
    colon: Vec<(usize, ProbeFn)>,
    pairs: Vec<(usize, ProbeFn)>,
    url: Vec<(usize, ProbeFn)>,
    dashes: Vec<(usize, ProbeFn)>,
    mark: Vec<(usize, ProbeFn)>,
    keyed: Vec<(usize, RangeInclusive<usize>, KeyFilter, KeyedValidateFn)>,
    odd: Vec<(usize, AnomalyKind)>,
    phrases: Option<Literals>,
    phrase_slots: Vec<usize>,
    /// For each slot, whether its findings arrive in order, as those of tokens do: all of its anchors are of one such
    /// kind.
    in_order: Vec<bool>,
}

/// Action for a known prefix.
#[derive(Clone, Debug)]
enum PrefixAction {
    /// Matches a token: the prefix, and the parts that follow it.
    Token(usize, &'static TokenPrefix, Box<[TokenPart]>),
    Word(usize, &'static str, ProbeFn),
}

impl PrefixAction {
    /// Returns the prefix.
    fn text(&self) -> &'static str {
        match self {
            Self::Token(_, token, _) => token.prefix,
            Self::Word(_, word, _) => word,
        }
    }
}

/// Finding in the normalised view.
#[derive(Clone, Copy, Debug)]
pub(super) struct ViewFinding {
    pub(super) slot: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) confidence: Confidence,
}

/// Text of a pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct PassInput<'a> {
    /// Normalised text.
    pub(super) text: &'a [u8],
    /// JSON key of the text.
    pub(super) key: Option<&'a str>,
    /// Whether more text may follow.
    pub(super) open: bool,
    /// Position from which a finding may be dropped if an earlier finding of the same detector overlaps it.
    pub(super) joined_from: Option<usize>,
    /// Position before which letters and digits are context only: detectors are not run on tokens that begin there.
    pub(super) tokens_from: usize,
    /// Whether spaced-out values are searched.
    pub(super) spelled: bool,
    /// Whether the text is known to be ASCII.
    pub(super) is_ascii: bool,
}

/// Buffers of a pass.
#[derive(Debug, Default)]
pub(super) struct PassScratch {
    blocks: Vec<Block>,
    covered: Vec<usize>,
    covered_values: Vec<usize>,
    near: RefCell<ContextWords>,
    far: bool,
    spelled: Vec<Range<usize>>,
}

impl PassScratch {
    /// Returns the runs of single characters in the text, which may be spaced-out values.
    pub(super) fn spelled(&self) -> &[Range<usize>] {
        &self.spelled
    }

    /// Returns whether some of the text's tables were not read.
    pub(super) fn is_incomplete(&self) -> bool {
        self.near.borrow().is_incomplete()
    }

    /// Returns whether a finding depends on text before the part that a stream holds back for it.
    pub(super) fn looks_far(&self) -> bool {
        self.far
    }
}

impl Plan {
    pub(super) fn new(slots: &[SelectedDetector]) -> Self {
        let mut plan = Self {
            level: SimdLevel::best(),
            forms: FormTable::default(),
            passwords: None,
            validators: Vec::new(),
            terms: ContextDictionary::new(slots.iter().flat_map(|slot| {
                let terms = slot.detector.context.iter();
                terms.map(move |term| (slot.context, *term))
            })),
            beginnings: PrefixTable::default(),
            stems: None,
            asks_stems: false,
            begun_by: Vec::new(),
            behind_digits: [[0; 2]; 10],
            numbers: vec![TokenProbes::default(); 24],
            mixed: vec![TokenProbes::default(); TOKEN],
            at: Vec::new(),
            colon: Vec::new(),
            pairs: Vec::new(),
            url: Vec::new(),
            dashes: Vec::new(),
            mark: Vec::new(),
            keyed: Vec::new(),
            odd: Vec::new(),
            phrases: None,
            phrase_slots: Vec::new(),
            in_order: slots
                .iter()
                .map(|slot| is_in_order(slot.detector.anchors))
                .collect(),
        };
        let mut forms: Vec<Forms> = Vec::new();
        let mut phrases: Vec<String> = Vec::new();
        let anchors = slots
            .iter()
            .enumerate()
            .flat_map(|(slot, known)| known.detector.anchors.iter().map(move |a| (slot, a)));
        for (slot, anchor) in anchors {
            match anchor {
                Anchor::Forms(patterns, validator) => {
                    let known = slots.get(slot);
                    let context = known.map_or(0, |known| known.context);
                    forms.push(Forms {
                        patterns,
                        context,
                        low: known.is_some_and(|known| known.threshold == Confidence::Low),
                    });
                    plan.validators.push((slot, *validator));
                }
                Anchor::Number(lengths, when, probe) => {
                    let token = TokenProbe::new(slots, slot, *when, *probe);
                    add_by_length(&mut plan.numbers, lengths, token);
                }
                Anchor::Mixed(lengths, when, probe) => {
                    let token = TokenProbe::new(slots, slot, *when, *probe);
                    add_by_length(&mut plan.mixed, lengths, token);
                }
                Anchor::At(probe) => plan.at.push((slot, *probe)),
                Anchor::Colon(probe) => plan.colon.push((slot, *probe)),
                Anchor::Pairs(probe) => plan.pairs.push((slot, *probe)),
                Anchor::Url(probe) => plan.url.push((slot, *probe)),
                Anchor::Dashes(probe) => plan.dashes.push((slot, *probe)),
                Anchor::Mark(probe) => plan.mark.push((slot, *probe)),
                Anchor::Word(words, probe) => {
                    plan.begun_by.extend(
                        words
                            .iter()
                            .map(|word| PrefixAction::Word(slot, word, *probe)),
                    );
                }
                Anchor::Token(words, probe) => {
                    plan.begun_by.extend(
                        words
                            .iter()
                            .map(|word| PrefixAction::Word(slot, word, *probe)),
                    );
                }
                Anchor::Beginning(tokens) => {
                    plan.begun_by.extend(tokens.iter().filter_map(|token| {
                        let parts = token_form::parts_of(token.form)?;
                        Some(PrefixAction::Token(slot, token, parts.into()))
                    }));
                }
                Anchor::Keyed(lengths, concern, validator) => {
                    plan.keyed
                        .push((slot, lengths.clone(), *concern, *validator));
                    if let Some(known) = slots.get(slot).filter(|_| *concern == KeyFilter::Password)
                    {
                        plan.terms.add_passwords(known.context);
                        plan.passwords = Some(slot);
                    }
                }
                Anchor::Odd(kind) => plan.odd.push((slot, *kind)),
                Anchor::Phrases(written) => {
                    for phrase in written.iter().flat_map(|phrase| readings(phrase)) {
                        phrases.push(phrase);
                        plan.phrase_slots.push(slot);
                    }
                }
            }
        }
        if !plan.keyed.is_empty() {
            plan.terms.find_secrets();
        }
        plan.phrases = Literals::new(&phrases).ok().filter(|_| !phrases.is_empty());
        plan.forms = FormTable::new(&forms);
        let beginnings = || plan.begun_by.iter().map(PrefixAction::text);
        for text in beginnings() {
            if let [first @ b'0'..=b'9', second, ..] = text.as_bytes()
                && let Some(behind) = plan.behind_digits.get_mut(usize::from(first & 15))
            {
                for byte in [second.to_ascii_lowercase(), second.to_ascii_uppercase()] {
                    if let Some(word) = behind.get_mut(usize::from(byte >> 6)) {
                        *word |= bit_of(byte);
                    }
                }
            }
        }
        let prefix = |action: &PrefixAction| {
            let is_exact = matches!(action, PrefixAction::Token(..));
            (action.text(), is_exact)
        };
        plan.beginnings = PrefixTable::new(plan.begun_by.iter().map(prefix).zip(0u16..));
        plan.stems = plan.beginnings.stems();
        plan.asks_stems = !(plan.keyed.is_empty()
            && plan.url.is_empty()
            && plan.dashes.is_empty()
            && plan.mark.is_empty());
        plan
    }

    /// Finds everything in a reading. `table` is the state of its tables; `None`: column names are ignored. Returns
    /// the first position of a finding that more text could complete or change.
    pub(super) fn run(
        &self,
        slots: &[SelectedDetector],
        read: &PassInput<'_>,
        table: Option<Table>,
        memory: &mut PassScratch,
        out: &mut Vec<ViewFinding>,
    ) -> usize {
        let PassInput {
            text,
            key,
            open,
            joined_from,
            tokens_from,
            spelled,
            is_ascii,
        } = *read;
        memory.covered.clear();
        memory.covered.resize(slots.len(), 0);
        memory.covered_values.clear();
        memory.covered_values.resize(slots.len(), 0);
        let ascii = is_ascii || simd::is_ascii(text);
        let mut near = memory.near.borrow_mut();
        near.begin(key, ascii, table, &self.terms);
        drop(near);
        memory.blocks.resize(CHUNK, Block::default());
        memory.spelled.clear();
        let text = Text::new(text);
        let begun = match open {
            true => {
                let begun = trailing(&text, !self.at.is_empty());
                spaced_out::begun(&text).map_or(begun, |spelled| begun.min(spelled))
            }
            false => text.len(),
        };
        text.take_past_end();
        let is_named = memory.near.borrow().is_named();
        let mut pass = Pass {
            plan: self,
            slots,
            text: &text,
            near: &memory.near,
            seeks_names: !ascii && self.terms.finds_secrets(),
            is_named,
            may_be_wide: is_named || !ascii,
            open,
            out,
            begun,
            far: false,
            tokens_from,
            token_done: tokens_from,
            keyed_done: usize::MAX,
            keyed_name: 0..0,
            keyed_said: NameGroups::default(),
            keyed_last: (0..0, CharClasses::default()),
            keyed_until: 0,
            known_until: 0,
            named_until: 0,
            spelled: &mut memory.spelled,
            spelled_done: if spelled { 0 } else { usize::MAX },
            covered: &mut memory.covered,
            covered_values: &mut memory.covered_values,
            covers_from: joined_from.unwrap_or(usize::MAX),
        };
        pass.whole_under(key);
        let mut carry = Carry::default();
        let mut from = 0;
        'chunks: loop {
            let filled =
                self.level
                    .classify(text.bytes(), from, self.asks_stems, &mut memory.blocks);
            let rest = text.len().saturating_sub(from);
            work::spend(filled.wrapping_mul(BLOCK).min(rest));
            for block in memory.blocks.iter().take(filled) {
                if work::is_exhausted() {
                    break 'chunks;
                }
                pass.block(from, block, &mut carry);
                from = from.wrapping_add(BLOCK);
            }
            if filled < CHUNK {
                break;
            }
        }
        let more = memory.near.borrow().has_secrets();
        if more {
            pass.read_tables(usize::MAX);
        }
        pass.read_secrets();
        let mut begun = pass.begun;
        memory.far = pass.far;
        // Every phrase contains characters outside ASCII.
        let rest = text.bytes().get(tokens_from..).unwrap_or_default();
        if !ascii && !simd::is_ascii(rest) {
            begun = begun.min(self.find_phrases(slots, text.bytes(), open, out));
        }
        begun
    }

    /// Returns the validators of named values of this length.
    fn validators_of(
        &self,
        len: usize,
    ) -> impl Iterator<Item = &(usize, RangeInclusive<usize>, KeyFilter, KeyedValidateFn)> {
        let validators = self.keyed.iter();
        validators.filter(move |(_, lengths, ..)| lengths.contains(&len))
    }

    /// Returns the context words.
    pub(super) fn terms(&self) -> &ContextDictionary {
        &self.terms
    }

    /// Returns the detectors of invisible characters in the original.
    pub(super) fn odd(&self) -> &[(usize, AnomalyKind)] {
        &self.odd
    }

    /// Finds phrases anywhere in the text, because scripts without spaces have no beginnings of words. Returns the
    /// position of a phrase that more text could complete.
    fn find_phrases(
        &self,
        slots: &[SelectedDetector],
        text: &[u8],
        open: bool,
        out: &mut Vec<ViewFinding>,
    ) -> usize {
        let (Some(phrases), Ok(text)) = (&self.phrases, std::str::from_utf8(text)) else {
            return text.len();
        };
        phrases.find(text, &mut |phrase, range| {
            let slot = usize::try_from(phrase)
                .ok()
                .and_then(|phrase| self.phrase_slots.get(phrase))
                .copied();
            let known = slot.and_then(|slot| Some((slot, slots.get(slot)?)));
            if let Some((slot, known)) = known
                && known.threshold <= Confidence::Medium
                && out.len() < MAX_RAW
            {
                out.push(ViewFinding {
                    slot,
                    start: range.start,
                    end: range.end,
                    confidence: Confidence::Medium,
                });
            }
        });
        if open {
            phrases.begun(text)
        } else {
            text.len()
        }
    }
}

/// Returns whether the findings of these anchors begin at the anchor and therefore arrive in order.
fn is_in_order(anchors: &[Anchor]) -> bool {
    anchors
        .iter()
        .all(|anchor| matches!(anchor, Anchor::Forms(..)))
        || anchors
            .iter()
            .all(|anchor| matches!(anchor, Anchor::Beginning(_) | Anchor::Token(..)))
}

fn bit_of(byte: u8) -> u64 {
    1u64.wrapping_shl(u32::from(byte))
}

/// Returns where something that no anchor has seen yet may begin: an address in the last word, a country code before
/// the last space. `addresses`: addresses are searched, and may be spelled out.
fn trailing(text: &Text<'_>, addresses: bool) -> usize {
    let word = text.run_back(text.len(), TRAIL, |byte| !byte.is_ascii_whitespace());
    let number = lead(text, lead(text, word).unwrap_or(word))
        .or_else(|| lead(text, word))
        .unwrap_or(word);
    let address = addresses.then(|| spelled(text, word)).flatten();
    address.map_or(number, |address| number.min(address))
}

/// Returns the word before `at` or `[at]` among the last words of a text, if an address may be spelled out there: a label
/// and `dot` in turn follow.
fn spelled(text: &Text<'_>, word: usize) -> Option<usize> {
    let (mut word, mut end) = (word, text.len());
    let mut first = None;
    // Whether every other word up to the end is `dot`: those before which this word may be `at`, and those of the next one.
    let (mut dotted, mut next_dotted) = (true, true);
    for place in 0..SPELLED {
        let space = word.checked_sub(1).filter(|_| text.before(word) == b' ');
        let Some(space) = space.filter(|_| dotted || next_dotted) else {
            break;
        };
        let written = text.slice(word..end);
        let before = text.run_back(space, TRAIL, |byte| !byte.is_ascii_whitespace());
        if dotted && is_part_of_address(written, b"at", place == 0) {
            first = Some(before);
        }
        dotted = dotted && is_part_of_address(written, b"dot", place == 0);
        (dotted, next_dotted) = (next_dotted, dotted);
        (word, end) = (before, space);
    }
    first
}

/// Returns whether a word is `at` or `dot`, perhaps bracketed, or the beginning of it at the end of a text.
fn is_part_of_address(word: &[u8], expected: &[u8], is_last: bool) -> bool {
    let bare = match word.split_first() {
        Some((b'[' | b'(' | b'{' | b'<', rest)) => rest,
        _ => word,
    };
    match bare.get(..expected.len()) {
        Some(given) => given.eq_ignore_ascii_case(expected),
        None => is_last && expected.starts_with(&bare.to_ascii_lowercase()),
    }
}

/// Returns the start of the short word before a word, one separator away.
fn lead(text: &Text<'_>, word: usize) -> Option<usize> {
    let separator = word.checked_sub(1)?;
    if !matches!(text.before(word), b' ' | b'-' | b'.') {
        return None;
    }
    let most = LEAD.wrapping_add(1);
    let before = text.slice(separator.saturating_sub(most)..separator);
    let mut len = 0usize;
    for byte in before.iter().rev() {
        if !byte.is_ascii_alphabetic() {
            work::spend(len);
            return (len > 0 && !byte.is_ascii_digit()).then(|| separator.wrapping_sub(len));
        }
        len = len.wrapping_add(1);
    }
    work::spend(len);
    let start = separator.wrapping_sub(len);
    // At the start of the text nothing is before the word.
    (len > 0 && len <= LEAD).then_some(start)
}

/// State of a block that the next block needs.
#[derive(Default)]
struct Carry {
    alphanumeric: u64,
    /// Positions after single letters and digits.
    singles: u64,
    colon: u64,
    dash: u64,
    /// Start of the token that continues into this block.
    token: usize,
}

struct Pass<'a> {
    plan: &'a Plan,
    slots: &'a [SelectedDetector],
    text: &'a Text<'a>,
    near: &'a RefCell<ContextWords>,
    /// Whether tables are read where the text is not ASCII: a column of secrets may have a name there that no anchor finds.
    seeks_names: bool,
    /// Whether the text's key is a context word.
    is_named: bool,
    /// Whether a token can be [wide](Self::is_wide).
    may_be_wide: bool,
    open: bool,
    out: &'a mut Vec<ViewFinding>,
    begun: usize,
    /// Whether a finding may begin after the anchor that it was found by.
    far: bool,
    /// Position before which letters and digits are context only.
    tokens_from: usize,
    /// Position before which all tokens are done.
    token_done: usize,
    /// Start of the last value that its name marked as a secret.
    keyed_done: usize,
    /// Last name, and its keyword groups: the same name is often before one value after another.
    keyed_name: Range<usize>,
    keyed_said: NameGroups,
    /// Last value that a validator inspected, and its character classes.
    keyed_last: (Range<usize>, CharClasses),
    /// Position before which names are inside a long value.
    keyed_until: usize,
    /// Position before which names are inside a value that was found. Most of them find [nothing
    /// else](Self::is_known).
    known_until: usize,
    /// Position before which words belong to a name whose value is done.
    named_until: usize,
    /// Runs of single characters.
    spelled: &'a mut Vec<Range<usize>>,
    /// Position before which all such runs are known.
    spelled_done: usize,
    /// For each slot whose findings arrive in order, the end of the last finding that counts. What overlaps it is
    /// dropped.
    covered: &'a mut Vec<usize>,
    /// The same for values that names mark as secrets.
    covered_values: &'a mut Vec<usize>,
    /// Position from which findings count.
    covers_from: usize,
}

/// Calls a function with each set bit, from the lowest.
#[inline]
fn each(mut bits: u64, mut call: impl FnMut(usize)) {
    while bits != 0 {
        call(bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
    }
}

/// Returns a mask shifted up by `n`, with the highest bits of the block before.
#[inline]
fn shifted(mask: u64, before: u64, n: u32) -> u64 {
    mask << n | before >> 64u32.wrapping_sub(n)
}

impl<'a> Pass<'a> {
    fn block(&mut self, base: usize, block: &Block, carry: &mut Carry) {
        let plan = self.plan;
        let alphanumeric = block.digit | block.letter;
        let end = base.wrapping_add(BLOCK);
        let has_secrets = self.near.borrow_mut().pass_over(end, block.letter != 0);
        if has_secrets || self.seeks_names && self.has_foreign(base, end) {
            self.read_tables(end);
        }
        let starts = alphanumeric & !shifted(alphanumeric, carry.alphanumeric, 1);
        if !plan.begun_by.is_empty() {
            let stems = plan.stems.as_ref().map_or(u64::MAX, |stems| {
                plan.level.stems_from(stems, self.text.bytes(), base)
            });
            each(starts & stems, |bit| {
                let at = base.wrapping_add(bit);
                // Most words that begin with a digit are numbers.
                if block.digit >> bit & 1 == 0 || at >= self.tokens_from && self.may_begin(at) {
                    self.word(at);
                }
            });
        }
        each(block.stem, |bit| self.stem(base.wrapping_add(bit)));
        if !plan.at.is_empty() {
            each(block.at, |bit| {
                let at = base.wrapping_add(bit);
                self.probe(&plan.at, at, at);
            });
        }
        if !plan.colon.is_empty() {
            each(block.colon, |bit| {
                let at = base.wrapping_add(bit);
                let before = self.text.before(at);
                // The middle one of three colons is not part of an address.
                let middle =
                    before == b':' && self.text.bytes().get(at.wrapping_add(1)) == Some(&b':');
                if before == b':' && !middle || before.is_ascii_hexdigit() {
                    self.probe(&plan.colon, at, at);
                }
            });
        }
        if !plan.pairs.is_empty() && block.colon | block.dash != 0 {
            let triple =
                |mask: u64, before: u64| mask & shifted(mask, before, 3) & shifted(mask, before, 6);
            let between = [1, 2, 4, 5].iter().fold(u64::MAX, |between, n| {
                between & shifted(alphanumeric, carry.alphanumeric, *n)
            });
            each(
                between & (triple(block.colon, carry.colon) | triple(block.dash, carry.dash)),
                |bit| {
                    let at = base.wrapping_add(bit);
                    self.probe(&plan.pairs, at, at);
                },
            );
        }
        let (spelled, singles) =
            spaced_out::candidates(alphanumeric, carry.alphanumeric, carry.singles);
        if base.wrapping_add(BLOCK) > self.spelled_done {
            each(spelled, |bit| {
                self.spelled(base.wrapping_add(bit).wrapping_sub(1));
            });
        }
        carry.singles = singles;
        if block.digit != 0 {
            self.tokens(base, block, alphanumeric, carry.token);
        }
        if alphanumeric >> 63 == 1 {
            // The token that continues into the next block begins after the last other byte of this one.
            let gap = u64::from((!alphanumeric).leading_zeros());
            if gap < 64 || carry.alphanumeric >> 63 == 0 {
                carry.token = base
                    .wrapping_add(BLOCK)
                    .wrapping_sub(usize::try_from(gap).unwrap_or(0));
            }
        }
        carry.alphanumeric = alphanumeric;
        carry.colon = block.colon;
        carry.dash = block.dash;
    }

    /// Returns whether a character outside ASCII is in a range.
    #[inline(never)]
    fn has_foreign(&self, from: usize, to: usize) -> bool {
        !simd::is_ascii(self.text.slice(from..to.min(self.text.len())))
    }

    /// Handles a single letter or digit after other single ones.
    #[inline(never)]
    fn spelled(&mut self, at: usize) {
        if at < self.spelled_done {
            return;
        }
        let run = spaced_out::around(self.text, at);
        work::spend(run.len().wrapping_mul(2));
        let cut = self.text.take_past_end() && self.open;
        self.spelled_done = run.end;
        if cut && run.len() <= spaced_out::MAX_SPELLED_BYTES {
            self.begun = self.begun.min(run.start);
        } else if spaced_out::is_run(self.text.bytes(), &run)
            && (spaced_out::tells(self.text.bytes(), &run) || self.context(run.start) != 0)
        {
            self.spelled.push(run);
        }
    }

    /// Returns whether a known token may begin with the digit at this position.
    #[inline]
    fn may_begin(&self, at: usize) -> bool {
        let bytes = self.text.bytes().get(at..).unwrap_or_default();
        let Some([digit, second]) = bytes.first_chunk() else {
            return false;
        };
        let behind = self.plan.behind_digits.get(usize::from(digit & 15));
        behind
            .and_then(|words| words.get(usize::from(second >> 6)))
            .is_some_and(|word| word & bit_of(*second) != 0)
    }

    /// Runs the detectors whose prefix is at the beginning of a word or token.
    #[inline]
    fn word(&mut self, at: usize) {
        let rest = self.text.bytes().get(at..).unwrap_or_default();
        let Some(three) = rest.first_chunk() else {
            return;
        };
        let plan = self.plan;
        let entries = plan.beginnings.get(three);
        if entries.is_empty() {
            return;
        }
        work::spend(entries.len());
        let known = self.out.len();
        let eight = rest.first_chunk();
        // Of a token's prefix the first characters are known, except at the end of the text.
        let known_bytes = eight.map_or(0, |_: &[u8; FIRST]| FIRST);
        for entry in entries {
            if eight.is_some_and(|eight| !entry.may_be(eight)) {
                continue;
            }
            match plan.begun_by.get(usize::from(entry.number)) {
                Some(PrefixAction::Token(slot, ..) | PrefixAction::Word(slot, ..))
                    if self.is_covered(*slot, at) => {}
                Some(PrefixAction::Token(slot, token, parts)) => {
                    work::spend(PROBE);
                    let is_low = self
                        .slots
                        .get(*slot)
                        .is_some_and(|slot| slot.threshold == Confidence::Low);
                    let found = matched(self.text, at, known_bytes, is_low, token, parts);
                    self.take(*slot, at, found);
                }
                Some(PrefixAction::Word(slot, word, probe)) => {
                    if let Some(end) = self.text.follows_spaced(at, word) {
                        self.probe(&[(*slot, *probe)], at, end);
                        if plan.passwords == Some(*slot) && word.ends_with(char::is_alphabetic) {
                            self.read_tables(at);
                        }
                    } else if self.text.take_past_end() && self.open {
                        self.begun = self.begun.min(at);
                    }
                }
                None => {}
            }
        }
        if self.out.len() > known {
            self.cover_longest(known);
        }
    }

    /// Updates `covered` as [`cover`](Self::cover), for findings that begin at the same position.
    #[inline(never)]
    fn cover_longest(&mut self, known: usize) {
        for raw in self.out.iter().skip(known) {
            if self.plan.in_order.get(raw.slot) == Some(&true)
                && raw.start >= self.covers_from
                && let Some(end) = self.covered.get_mut(raw.slot)
            {
                *end = raw.end.max(*end);
            }
        }
    }

    /// Runs the detectors of a stem that may be at this position.
    fn stem(&mut self, at: usize) {
        let plan = self.plan;
        match self.text.at(at) {
            b':' if !plan.url.is_empty() && self.text.follows(at, "://") => {
                self.probe(&plan.url, at, at);
            }
            b'-' if !plan.dashes.is_empty()
                && self.text.before(at) != b'-'
                && self.text.follows(at, "---") =>
            {
                self.probe(&plan.dashes, at, at);
            }
            b'!' | b']' | b'<' | b'[' if !plan.mark.is_empty() => {
                self.probe(&plan.mark, at, at);
            }
            b':' | b'-' | b'!' | b']' | b'<' | b'[' => {}
            _ if !plan.keyed.is_empty()
                && at >= self.keyed_until.max(self.named_until)
                && named_value::may_begin_word(self.text.bytes(), at)
                && !(at < self.known_until && self.is_known(at)) =>
            {
                work::spend(PROBE);
                let pair = named_value::pair(self.text, at);
                let cut = self.text.take_past_end();
                if cut && self.open {
                    // Until more text arrives there may be no value: a quoted value may begin with a space.
                    let from = pair.map_or(at, |pair| pair.value.start);
                    self.begun = self.begun.min(from);
                } else if let Some(pair) = pair {
                    // After the name of one column comes the name of another.
                    if pair.link != Binding::Assigned
                        && named_value::ends_cell(self.text, pair.name.end)
                    {
                        self.read_tables(at);
                    }
                    self.keyed(at, pair);
                } else {
                    self.column_name(at);
                }
            }
            _ => {}
        }
        self.text.take_past_end();
    }

    #[inline]
    fn place(&self, slot: usize, at: usize, end: usize) -> MatchSite<'a> {
        let mut place = MatchSite {
            text: self.text,
            at,
            end,
            context: 0,
            threshold: Confidence::High,
            near: self.near,
            terms: &self.plan.terms,
            first: Cell::new(at),
        };
        self.ask_for(&mut place, slot);
        place
    }

    /// Changes the place to that of another detector.
    #[inline]
    fn ask_for(&self, place: &mut MatchSite<'_>, slot: usize) {
        if let Some(known) = self.slots.get(slot) {
            (place.context, place.threshold) = (known.context, known.threshold);
        }
        place.first.set(place.at);
    }

    #[inline]
    fn probe(&mut self, list: &[(usize, ProbeFn)], at: usize, end: usize) {
        work::spend(list.len().wrapping_mul(PROBE));
        for (slot, probe) in list {
            let place = self.place(*slot, at, end);
            let found = probe(&place);
            let first = place.first.get();
            let far = first > at;
            self.far |= self.take(*slot, first, found) && far;
        }
    }

    /// Keeps a finding whose confidence is high enough, unless the end of an open text decided it. Returns whether
    /// that end decided it.
    #[inline(always)]
    fn take(&mut self, slot: usize, first: usize, found: Option<Match>) -> bool {
        // Most validators find nothing, and V8 would write that to memory and make a call to look at it.
        let is_decided = found.is_some() || self.text.is_past_end();
        is_decided && self.keep(slot, first, found)
    }

    #[inline]
    fn keep(&mut self, slot: usize, first: usize, found: Option<Match>) -> bool {
        if self.text.take_past_end() && self.open {
            self.begun = self.begun.min(first);
            return true;
        }
        if let Some(found) = found
            && self
                .slots
                .get(slot)
                .is_some_and(|slot| found.confidence >= slot.threshold)
            && self.out.len() < MAX_RAW
        {
            self.out.push(ViewFinding {
                slot,
                start: found.start,
                end: found.end,
                confidence: found.confidence,
            });
        }
        false
    }
}

/// Matches a token, of whose prefix the first `known` bytes are matched already. `is_low`: findings of low confidence
/// are wanted.
fn matched(
    text: &Text<'_>,
    start: usize,
    known: usize,
    is_low: bool,
    token: &TokenPrefix,
    parts: &[TokenPart],
) -> Option<Match> {
    let unknown = token.prefix.get(known..).unwrap_or_default();
    if !text.goes_on_as(start.wrapping_add(known), unknown)
        || is_inside_base64(text, start, token.prefix)
    {
        return None;
    }
    let rest = start.wrapping_add(token.prefix.len());
    let mut at = rest;
    for part in parts {
        match part {
            TokenPart::Text(part) => {
                if !text.goes_on_as(at, part) {
                    return None;
                }
                at = at.wrapping_add(part.len());
            }
            TokenPart::Run(alphabet, least, most) => {
                let mut end = text.run_of(*alphabet, at, most.wrapping_add(1));
                let mut len = end.wrapping_sub(at);
                if len > *most
                    && matches!(text.before(end), b'.' | b'_' | b'-')
                    && !text.at(end).is_ascii_alphanumeric()
                {
                    // The full stop at the end of a sentence, the mark of an emphasis or a dash is not part of the token.
                    end = end.wrapping_sub(1);
                    len = *most;
                }
                if len < *least || len > *most {
                    return None;
                }
                at = end;
            }
            TokenPart::Maybe(mark, alphabet, most) => {
                if text.goes_on_as(at, mark) {
                    at = text.run(at.wrapping_add(mark.len()), *most, |byte| {
                        alphabet.has(byte)
                    });
                }
            }
        }
    }
    let variety = token.min_entropy;
    if text.at(at).is_ascii_alphanumeric() {
        return None;
    }
    let confidence = if variety == 0 || text.is_random(rest..at, variety) {
        Confidence::High
    } else if is_low && text.variety(rest..at) >= variety {
        // `AKIAIOSFODNN7EXAMPLE` matches the form, but contains the word that marks it as an example.
        Confidence::Low
    } else {
        return None;
    };
    Some(Match {
        start,
        end: at,
        confidence,
    })
}

/// Returns whether a prefix is inside a run of Base64, where every short prefix occurs by chance.
fn is_inside_base64(text: &Text<'_>, start: usize, prefix: &str) -> bool {
    match text.before(start) {
        // A line that is new in a patch has the sign, too.
        b'+' => !matches!(text.before(start.wrapping_sub(1)), 0 | b'\n'),
        b'/' => prefix.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        _ => false,
    }
}

/// Assigns one bit each to detectors with context words, and 0 to all others.
pub(super) fn context_bits<'a>(
    detectors: impl Iterator<Item = &'a Detector>,
) -> impl Iterator<Item = DetectorSet> {
    let mut next: DetectorSet = 1;
    detectors.map(move |detector| {
        if detector.context.is_empty() {
            return 0;
        }
        let bit = next;
        next <<= 1;
        bit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether words are `at`, a label, `dot`, a label and so on, or the beginning of such a sequence.
    fn is_spelled(words: &[&str]) -> bool {
        words.iter().enumerate().all(|(place, word)| {
            let is_last = place + 1 == words.len();
            match place {
                0 => is_part_of_address(word.as_bytes(), b"at", is_last),
                odd if odd % 2 == 1 => true,
                _ => is_part_of_address(word.as_bytes(), b"dot", is_last),
            }
        })
    }

    #[test]
    fn an_address_spelled_out_is_held_from_the_word_before_it() {
        const WORDS: [&str; 8] = ["at", "[AT]", "a", "", "dot", "(dot)", "d", "."];
        let mut texts = vec![vec!["bob"]];
        let mut longest = texts.clone();
        for _ in 0..5 {
            longest = longest
                .iter()
                .flat_map(|words| WORDS.map(|word| [words.as_slice(), &[word]].concat()))
                .collect();
            texts.extend_from_slice(&longest);
        }
        for words in texts {
            let written = words.join(" ");
            let text = Text::new(written.as_bytes());
            let starts_at = |place: usize| words[..place].iter().map(|word| word.len() + 1).sum();
            let expected = (1..words.len()).find(|at| is_spelled(&words[*at..]));
            let expected: Option<usize> = expected.map(|at| starts_at(at - 1));
            let last = starts_at(words.len() - 1);
            assert_eq!(spelled(&text, last), expected, "{written}");
        }
    }
}
