//! Regular expressions of a policy, matched in one pass by a lazily built automaton.
//!
//! `.` and `[^…]` match whole characters. `\w \d \s \b` are ASCII; `(?i)` ignores the case of any script. `^` and `$` match the ends of the whole
//! text unless `(?m)` is set. There is no look-around and no back reference, so that no pattern and no text can make
//! a match slow: time is linear, and a search that would not be linear is cut off (see [`Pattern::spans`]).

use crate::wire::sorted_map::SortedMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use regex_automata::hybrid::{LazyStateID, dfa, regex};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::{Anchored, Input, MatchKind, PatternID, PatternSet as Bits};
use regex_syntax::hir::Hir;

use super::prefilter::Sieve;
use crate::wire::{sort, work};

mod translate;

/// Maximum bytes of a pattern.
pub const MAX_PATTERN_BYTES: usize = 4_096;

/// Maximum bytes of the compiled form of one pattern; `\w{1000}` fits, `(\w{100}){100}` does not.
const MAX_COMPILED_BYTES: usize = 512 << 10;

/// Maximum states of a pattern that surely fits: each state takes less than 128 bytes.
const SMALL: usize = MAX_COMPILED_BYTES >> 7;

/// Maximum bytes of the compiled form of all patterns of one set.
const MAX_SET_BYTES: usize = 16 << 20;

/// Maximum bytes of the states that a lazy automaton keeps. When they are full it starts anew, which costs time but
/// never memory.
const CACHE_BYTES: usize = 256 << 10;

/// Maximum patterns that keep their states between two texts.
const CACHED_PATTERNS: usize = 64;

/// Minimum bytes of a required word. Shorter words occur in too many texts for a search to pay off.
const LEAST_REQUIRED: usize = 4;

/// Maximum bytes that the search for spans reads for each byte of text before it takes the rest of the text as one
/// span.
const READS_PER_BYTE: usize = 32;

/// Work steps of one search, in addition to the bytes that it reads.
const SEARCH: usize = 60;

/// Limits at which a search gives up: its states were thrown away this often because there were too many, and each of
/// them serves only this few bytes. A text that needs a new state for every byte (`(a|b)*a(a|b){20}`) costs a hundred
/// times as much as others.
const CLEARED: usize = 8;
const BYTES_PER_STATE: usize = 16;

/// Work steps for each byte of a state that has to be built.
const BUILT: usize = 2;

/// Bytes that are read before the states built for them are counted.
const STRIDE: usize = 1_024;

/// Error in a pattern, with its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// One line, lower case, without a final period.
    pub message: String,
    /// Bytes of the pattern that contain the error.
    pub span: Range<usize>,
    /// Suggested fix, if there is one.
    pub help: Option<String>,
}

/// States that were built for earlier texts. Patterns are immutable and can be shared; this is the part that changes.
#[derive(Debug, Default)]
pub struct Scratch {
    patterns: SortedMap<Arc<str>, Caches>,
    set: Option<SetCaches>,
}

/// States of a set of patterns: one cache for each of its groups.
#[derive(Debug)]
struct SetCaches {
    owner: Arc<[Arc<str>]>,
    groups: Vec<dfa::Cache>,
}

#[derive(Debug)]
struct Caches {
    find: Option<regex::Cache>,
    begun: Option<dfa::Cache>,
}

/// Compiled pattern. Its set determines which of many patterns match. The automata of a single pattern are built on
/// first use, because most patterns of a policy never match.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Arc<str>,
    hir: Hir,
    find: Arc<OnceLock<Option<regex::Regex>>>,
    /// Reads a text backwards from its end and recognises every beginning of a match; `None` if that form is too
    /// large.
    begun: Arc<OnceLock<Option<dfa::DFA>>>,
    reach: Option<usize>,
}

impl Pattern {
    /// Compiles a pattern.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(PatternError {
                message: format!(
                    "the pattern has {} bytes, at most {MAX_PATTERN_BYTES} are allowed",
                    pattern.len()
                ),
                span: 0..pattern.len(),
                help: Some("split it into several patterns, or use a list of words".to_owned()),
            });
        }
        let hir = translate::translate(pattern)?;
        let too_large = || PatternError {
            message: format!(
                "the compiled pattern is larger than {} KiB",
                MAX_COMPILED_BYTES >> 10
            ),
            span: 0..pattern.len(),
            help: Some(
                "counted repetitions multiply: write `+` for a large count, or smaller counts"
                    .to_owned(),
            ),
        };
        // A pattern that is surely small is compiled once, with the others of its set.
        if translate::states(&hir) > SMALL {
            compile(&[&hir], false, MAX_COMPILED_BYTES).ok_or_else(too_large)?;
        }
        Ok(Self {
            source: Arc::from(pattern),
            find: Arc::default(),
            begun: Arc::default(),
            reach: translate::reach(&hir),
            hir,
        })
    }

    /// Returns the finder of matches. Its size was checked when it was compiled, so it is always there.
    fn finder(&self) -> Option<&regex::Regex> {
        let make = || {
            let both = |reverse, kind| {
                compile(&[&self.hir], reverse, usize::MAX).and_then(|nfa| lazy(nfa, kind, true))
            };
            let forward = both(false, MatchKind::LeftmostFirst)?;
            let reverse = both(true, MatchKind::All)?;
            Some(regex::Builder::new().build_from_dfas(forward, reverse))
        };
        self.find.get_or_init(make).as_ref()
    }

    fn beginner(&self) -> Option<&dfa::DFA> {
        let make = || {
            compile(&[&translate::prefixes(&self.hir)], true, MAX_COMPILED_BYTES)
                .and_then(|nfa| lazy(nfa, MatchKind::All, true))
        };
        self.begun.get_or_init(make).as_ref()
    }

    /// Returns the pattern as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the length of the longest match in characters; `None` if it has no bound.
    pub fn reach(&self) -> Option<usize> {
        self.reach
    }

    /// Returns whether the pattern matches the empty text, and so every text.
    pub fn matches_empty(&self) -> bool {
        self.hir.properties().minimum_len() == Some(0)
    }

    /// Returns whether the pattern matches somewhere in the text.
    pub fn is_match(&self, text: &str, scratch: &mut Scratch) -> bool {
        // A text that cannot be searched counts as a match, so that a rule inspects it.
        let Some(find) = self.finder() else {
            return true;
        };
        let cache = scratch.caches(self).finding(find);
        work::spend(text.len());
        find.try_search(cache, &Input::new(text).earliest(true))
            .map_or_else(given_up, |found| found.is_some())
    }

    /// Calls `hit` with each leftmost match that is not empty, in order, without overlaps; the ends are character
    /// boundaries. A match may depend on text before `from` (`^`, `\b`), but none begins there.
    ///
    /// A pattern such as `a.*z|a` reads to the end of the text for each `a`. When the work has grown to 32 reads for
    /// each byte, the rest of the text from the last match on is reported as one match: a redaction removes too much
    /// rather than too little.
    /// takes too much rather than too little.
    pub fn spans(
        &self,
        text: &str,
        from: usize,
        scratch: &mut Scratch,
        hit: &mut dyn FnMut(Range<usize>),
    ) {
        let Some(find) = self.finder() else {
            if from < text.len() {
                hit(from..text.len());
            }
            return;
        };
        let cache = scratch.caches(self).finding(find);
        let mut budget = text
            .len()
            .saturating_add(1_024)
            .saturating_mul(READS_PER_BYTE);
        let mut at = from;
        while at < text.len() {
            let before = cache.forward().search_total_len();
            let built = Built::of(cache.forward());
            let found = match find.try_search(cache, &Input::new(text).range(at..)) {
                Ok(Some(found)) => found,
                Ok(None) => {
                    work::spend(SEARCH.saturating_add(text.len().saturating_sub(at)));
                    built.spend(cache.forward());
                    return;
                }
                Err(error) => {
                    given_up(error);
                    hit(at..text.len());
                    return;
                }
            };
            built.spend(cache.forward());
            let read = cache.forward().search_total_len().saturating_sub(before);
            let Some(left) = budget.checked_sub(read.max(found.end().saturating_sub(at))) else {
                hit(found.start()..text.len());
                return;
            };
            budget = left;
            work::spend(SEARCH.saturating_add(read));
            if work::is_exhausted() {
                hit(found.start()..text.len());
                return;
            }
            if found.is_empty() {
                at = next_boundary(text, found.end());
            } else {
                hit(found.range());
                at = found.end();
            }
        }
    }

    /// Returns the leftmost position from `from` on of a match that more text could complete or lengthen; the length
    /// of the text if there is none.
    pub fn begun(&self, text: &str, from: usize, scratch: &mut Scratch) -> usize {
        let Some(dfa) = self.beginner() else {
            // The form is too large for a search: anything within the lookahead may have begun.
            let back = self.reach.and_then(|reach| reach.checked_sub(1));
            return match back {
                Some(back) => text
                    .char_indices()
                    .rev()
                    .nth(back)
                    .map_or(0, |(at, _)| at)
                    .max(from),
                None => from,
            };
        };
        let cache = scratch
            .caches(self)
            .begun
            .get_or_insert_with(|| dfa.create_cache());
        let input = Input::new(text)
            .range(from.min(text.len())..)
            .anchored(Anchored::Yes);
        let built = Built::of(cache);
        let before = cache.search_total_len();
        let found = dfa.try_search_rev(cache, &input);
        let read = cache.search_total_len().saturating_sub(before);
        work::spend(SEARCH.saturating_add(read));
        built.spend(cache);
        match found {
            Ok(Some(found)) => found.offset(),
            Ok(None) => text.len(),
            Err(error) => {
                given_up(error);
                from
            }
        }
    }
}

/// Set of patterns that are matched together.
#[derive(Clone, Debug)]
pub struct PatternSet {
    patterns: Vec<Pattern>,
    sources: Arc<[Arc<str>]>,
    groups: Vec<Group>,
}

/// Patterns that are matched in one pass.
#[derive(Clone, Debug)]
struct Group {
    which: Arc<dfa::DFA>,
    /// Indices of the patterns in the set.
    members: Vec<usize>,
    /// Rules out texts without any word that one of the matches requires; `None` if one of the patterns requires no
    /// word.
    sieve: Option<Sieve>,
}

impl Group {
    /// Returns the group; `None` if it has no patterns.
    fn new(
        patterns: &[Pattern],
        members: Vec<usize>,
        words: &[&[u8]],
    ) -> Result<Option<Self>, PatternError> {
        if members.is_empty() {
            return Ok(None);
        }
        let hirs: Vec<&Hir> = members
            .iter()
            .filter_map(|member| Some(&patterns.get(*member)?.hir))
            .collect();
        let which =
            compile(&hirs, false, MAX_SET_BYTES).and_then(|nfa| lazy(nfa, MatchKind::All, false));
        let which = which.ok_or_else(|| PatternError {
            message: format!(
                "the {} patterns are larger than {} MiB together",
                hirs.len(),
                MAX_SET_BYTES >> 20
            ),
            span: 0..0,
            help: Some("use lists of words where no pattern is needed".to_owned()),
        })?;
        Ok(Some(Self {
            which: Arc::new(which),
            members,
            sieve: Sieve::new(words),
        }))
    }
}

impl PatternSet {
    /// Compiles the set; the index of a pattern is its position in the list. The error means that the patterns are
    /// too large together, and has no span.
    pub fn new(patterns: Vec<Pattern>) -> Result<Self, PatternError> {
        let sources = patterns
            .iter()
            .map(|pattern| Arc::clone(&pattern.source))
            .collect();
        let required: Vec<Option<Vec<Vec<u8>>>> = patterns
            .iter()
            .map(|pattern| translate::required(&pattern.hir))
            .map(|words| {
                words.filter(|words| words.iter().all(|word| word.len() >= LEAST_REQUIRED))
            })
            .collect();
        let words: Vec<&[u8]> = required
            .iter()
            .flatten()
            .flatten()
            .map(Vec::as_slice)
            .collect();
        let (with, without) = (0..patterns.len())
            .partition(|number| required.get(*number).is_some_and(Option::is_some));
        let groups = [
            Group::new(&patterns, with, &words)?,
            Group::new(&patterns, without, &[])?,
        ];
        Ok(Self {
            sources,
            groups: groups.into_iter().flatten().collect(),
            patterns,
        })
    }

    /// Returns the patterns, in the order of their indices.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Calls `hit` with the index of each pattern that matches somewhere in the text, ascending. The time is linear
    /// in the text, independent of the number of patterns.
    pub fn matching(&self, text: &str, scratch: &mut Scratch, hit: &mut dyn FnMut(usize)) {
        let caches = match &mut scratch.set {
            // Sets are compared only if they are not the same one, because a set has many sources.
            Some(caches)
                if Arc::ptr_eq(&caches.owner, &self.sources) || caches.owner == self.sources =>
            {
                caches
            }
            other => {
                let caches = self.groups.iter().map(|group| group.which.create_cache());
                other.insert(SetCaches {
                    owner: Arc::clone(&self.sources),
                    groups: caches.collect(),
                })
            }
        };
        let mut matching = Vec::new();
        for (group, cache) in self.groups.iter().zip(&mut caches.groups) {
            if group
                .sieve
                .as_ref()
                .is_some_and(|sieve| !sieve.may_hold(text.as_bytes()))
            {
                continue;
            }
            let mut bits = Bits::new(group.members.len());
            let asked = which(&group.which, cache, text, &mut bits);
            // This cannot fail (see `is_match`). If it did, every pattern would be matched alone.
            let is_in = |place| PatternID::new(place).is_ok_and(|id| bits.contains(id));
            let found = group.members.iter().enumerate();
            let found = found.filter(|(place, _)| asked.is_none() || is_in(*place));
            matching.extend(found.map(|(_, member)| *member));
        }
        sort::sort(&mut matching);
        matching.into_iter().for_each(hit);
    }
}

/// Adds the patterns that match somewhere in the text. Returns `None` if the automaton gives up.
fn which(dfa: &dfa::DFA, cache: &mut dfa::Cache, text: &str, found: &mut Bits) -> Option<()> {
    let mut state = dfa.start_state_forward(cache, &Input::new(text)).ok()?;
    for part in text.as_bytes().chunks(STRIDE) {
        if work::is_exhausted() {
            return Some(());
        }
        let built = Built::of(cache);
        for byte in part {
            state = dfa.next_state(cache, state, *byte).ok()?;
            if !state.is_tagged() {
                continue;
            }
            if state.is_match() {
                work::spend(1);
                add(dfa, cache, state, found);
                if found.is_full() {
                    return Some(());
                }
            } else if state.is_dead() {
                return Some(());
            } else if state.is_quit() {
                return None;
            }
        }
        work::spend(part.len());
        built.spend(cache);
    }
    state = dfa.next_eoi_state(cache, state).ok()?;
    if state.is_match() {
        add(dfa, cache, state, found);
    }
    Some(())
}

/// State of an automaton's cache: how often it was cleared, and its size in bytes.
struct Built(usize, usize);

impl Built {
    fn of(cache: &dfa::Cache) -> Self {
        Self(cache.clear_count(), cache.memory_usage())
    }

    /// Spends the work steps of the states that were built since.
    fn spend(&self, cache: &dfa::Cache) {
        let bytes = match cache.clear_count().wrapping_sub(self.0) {
            0 => cache.memory_usage().saturating_sub(self.1),
            times => times.saturating_mul(CACHE_BYTES),
        };
        work::spend(bytes.saturating_mul(BUILT));
    }
}

/// Handles a search that gave up: nothing else is searched in this exchange. Without a bound, it counts as a match.
fn given_up(_: regex_automata::MatchError) -> bool {
    work::exhaust();
    true
}

fn add(dfa: &dfa::DFA, cache: &dfa::Cache, state: LazyStateID, found: &mut Bits) {
    for at in 0..dfa.match_len(cache, state) {
        let _ = found.try_insert(dfa.match_pattern(cache, state, at));
    }
}

impl Scratch {
    fn caches(&mut self, pattern: &Pattern) -> &mut Caches {
        if self.patterns.len() >= CACHED_PATTERNS && !self.patterns.contains_key(&pattern.source) {
            self.patterns.clear();
        }
        // Patterns with the same source have the same automaton, so they can share their states.
        self.patterns
            .entry(Arc::clone(&pattern.source))
            .or_insert(Caches {
                find: None,
                begun: None,
            })
    }
}

impl Caches {
    fn finding(&mut self, find: &regex::Regex) -> &mut regex::Cache {
        self.find.get_or_insert_with(|| find.create_cache())
    }
}

fn compile(hirs: &[&Hir], reverse: bool, limit: usize) -> Option<NFA> {
    let config = thompson::Config::new()
        .utf8(false)
        .reverse(reverse)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(limit));
    thompson::Compiler::new()
        .configure(config)
        .build_many_from_hir(hirs)
        .ok()
}

fn lazy(nfa: NFA, kind: MatchKind, gives_up: bool) -> Option<dfa::DFA> {
    let config = dfa::Config::new()
        .match_kind(kind)
        .minimum_cache_clear_count(gives_up.then_some(CLEARED))
        .minimum_bytes_per_state(gives_up.then_some(BYTES_PER_STATE))
        .cache_capacity(CACHE_BYTES)
        .skip_cache_capacity_check(true);
    dfa::Builder::new()
        .configure(config)
        .build_from_nfa(nfa)
        .ok()
}

fn next_boundary(text: &str, at: usize) -> usize {
    let after = at.saturating_add(1);
    (after..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(after)
}

#[cfg(test)]
mod tests;
