//! Custom detectors of a policy, run over one reading of a text.

use std::ops::Range;
use std::sync::Arc;

use super::context::{ContextDictionary, ContextWords, DetectorSet, start_of_word};
use super::table::Table;
use crate::detect::custom::CustomDetector;
use crate::detect::literals::Literals;
use crate::detect::normalise::{NormalisedText, readings};
use crate::detect::pattern::{self, Pattern, PatternSet};
use crate::detect::select::Selection;
use crate::detect::{Confidence, DETECTORS};
use crate::wire::{sort, work};

/// Compiled custom detectors of a policy.
#[derive(Clone, Debug, Default)]
pub(super) struct CustomPlan {
    known: Vec<SelectedCustom>,
    patterns: Vec<Owned>,
    /// Set that shows which patterns match at all; `None` if there are no patterns, or if they are too large
    /// together.
    which: Option<PatternSet>,
    keywords: Option<Literals>,
    /// For each literal, the detector of the keyword.
    owners: Vec<usize>,
    /// Whether a keyword has a letter outside ASCII, where literals distinguish capitals from small letters.
    has_wide_keywords: bool,
    terms: ContextDictionary,
}

/// Custom detector that the policy selects.
#[derive(Clone, Debug)]
struct SelectedCustom {
    index: u16,
    threshold: Confidence,
    detector: Arc<CustomDetector>,
    /// Bit of the detector in the set of detectors with context words; 0: it has none.
    context: DetectorSet,
}

#[derive(Clone, Debug)]
struct Owned {
    known: usize,
    pattern: Pattern,
    /// Lookahead of a match in a stream, in characters.
    reach: usize,
}

/// Work steps for validating a match, in addition to its bytes.
const VALIDATED: usize = 40;

/// Match in the reading.
#[derive(Clone, Debug)]
pub(super) struct CustomMatch {
    /// Detector of the match. `None`: the match is not a finding, but what a pattern matched as a whole must not be
    /// split.
    pub(super) detector: Option<u16>,
    pub(super) range: Range<usize>,
    pub(super) confidence: Confidence,
}

/// What is searched in a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// Patterns: the reading is the text as written, which has a view.
    Patterns,
    /// Keywords, which are compared with the normalised text: the reading is one without case.
    Keywords,
    Both,
}

/// One reading of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct CustomInput<'a> {
    pub(super) text: &'a str,
    /// Position before which nothing is found.
    pub(super) from: usize,
    pub(super) key: Option<&'a str>,
    /// State of the tables where the text begins; `None`: column names are ignored.
    pub(super) table: Option<&'a Table>,
    pub(super) open: bool,
    pub(super) sought: Sought,
}

/// Buffers of the scans.
#[derive(Debug, Default)]
pub(super) struct CustomScratch {
    patterns: pattern::Scratch,
    near: ContextWords,
    matches: Vec<(usize, Range<usize>, bool)>,
    matching: Vec<usize>,
    /// First position of a match that is longer than the lookahead of its detector.
    outrun: Option<(usize, usize)>,
    is_incomplete: bool,
}

impl CustomScratch {
    /// Returns whether some of the text's tables were not read.
    pub(super) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Returns the start of a match that is longer than its lookahead: all text that follows belongs to it.
    pub(super) fn outrun(&self) -> Option<usize> {
        self.outrun.map(|(first, _)| first)
    }
}

impl CustomPlan {
    pub(super) fn new(selection: &Selection) -> Self {
        let mut plan = Self::default();
        let mut contexts: Vec<(DetectorSet, &str)> = Vec::new();
        let mut next_context: DetectorSet = 1;
        let mut literals: Vec<String> = Vec::new();
        let first = u16::try_from(DETECTORS.len()).unwrap_or(u16::MAX);
        for (index, detector) in (first..).zip(selection.custom()) {
            let Some(threshold) = selection.threshold(index) else {
                continue;
            };
            let known = plan.known.len();
            let mut context: DetectorSet = 0;
            if !detector.context.is_empty() {
                context = next_context;
                contexts.extend(detector.context.iter().map(|term| (context, term.as_str())));
                next_context <<= 1;
            }
            plan.patterns
                .extend(detector.patterns.iter().map(|pattern| Owned {
                    known,
                    pattern: pattern.clone(),
                    reach: detector.reach_of(pattern),
                }));
            for keyword in &detector.keywords {
                let caseless = NormalisedText::without_case(keyword.trim());
                plan.has_wide_keywords |= caseless.is_some();
                let caseless = caseless.map(|view| view.text().to_owned());
                let mut words = readings(keyword);
                words.extend(caseless.filter(|caseless| !words.contains(caseless)));
                plan.owners.extend(words.iter().map(|_| known));
                literals.append(&mut words);
            }
            plan.known.push(SelectedCustom {
                index,
                threshold,
                detector: Arc::clone(detector),
                context,
            });
        }
        let all: Vec<Pattern> = plan
            .patterns
            .iter()
            .map(|owned| owned.pattern.clone())
            .collect();
        plan.which = PatternSet::new(all)
            .ok()
            .filter(|set| !set.patterns().is_empty());
        // `Selection::define` has counted the bytes of all keywords.
        plan.keywords = Literals::new(&literals)
            .ok()
            .filter(|_| !literals.is_empty());
        plan.terms = ContextDictionary::new(contexts.into_iter());
        plan
    }

    /// Returns whether there is nothing to find.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Returns the context words.
    pub(super) fn terms(&self) -> &ContextDictionary {
        &self.terms
    }

    /// Returns the indices of the detectors in findings.
    pub(super) fn indices(&self) -> impl Iterator<Item = u16> {
        self.known.iter().map(|known| known.index)
    }

    /// Returns the name of the detector with this index in findings.
    pub(super) fn name(&self, detector: u16) -> Option<&str> {
        self.find(detector)
            .map(|known| known.detector.name.as_str())
    }

    /// Returns the groups of the detector with this index in findings.
    pub(super) fn groups(&self, detector: u16) -> &[String] {
        self.find(detector)
            .map(|known| known.detector.groups.as_slice())
            .unwrap_or_default()
    }

    fn find(&self, detector: u16) -> Option<&SelectedCustom> {
        self.known.iter().find(|known| known.index == detector)
    }

    /// Returns the number of patterns in the custom detectors.
    pub(super) fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Returns whether keywords are found in a reading without case only, if they are in neither of the usual cases.
    pub(super) fn has_wide_keywords(&self) -> bool {
        self.has_wide_keywords
    }

    /// Returns whether any detector has patterns, which inspect the text as written, too.
    pub(super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// Adds the matches, ordered by start. Returns the first position of a match that more text could complete or
    /// change.
    pub(super) fn run(
        &self,
        reading: &CustomInput<'_>,
        memory: &mut CustomScratch,
        out: &mut Vec<CustomMatch>,
    ) -> usize {
        let mut begun = reading.text.len();
        memory.outrun = None;
        memory.matches.clear();
        if reading.sought != Sought::Patterns {
            begun = begun.min(self.find_keywords(reading, &mut memory.matches));
        }
        if reading.sought != Sought::Keywords {
            begun = begun.min(self.find_patterns(reading, memory));
        }
        sort::sort_by_key(&mut memory.matches, |(_, range, _)| range.start);
        memory
            .near
            .begin(reading.key, false, reading.table.cloned(), &self.terms);
        for (known, range, by_pattern) in memory.matches.drain(..) {
            work::spend(VALIDATED.saturating_add(range.len()));
            let Some(known) = self.known.get(known) else {
                continue;
            };
            let confidence =
                known.confidence_of(reading, &range, by_pattern, &mut memory.near, &self.terms);
            if confidence.is_none() && !by_pattern {
                continue;
            }
            out.push(CustomMatch {
                detector: confidence.map(|_| known.index),
                range,
                confidence: confidence.unwrap_or(Confidence::Low),
            });
        }
        memory.is_incomplete = memory.near.is_incomplete();
        if let Some((first, known)) = memory.outrun
            && let Some(known) = self.known.get(known)
        {
            // Positions are queried in their order.
            memory
                .near
                .begin(reading.key, false, reading.table.cloned(), &self.terms);
            let confidence = known.confidence(reading, first, &mut memory.near, &self.terms);
            out.extend(confidence.map(|confidence| CustomMatch {
                detector: Some(known.index),
                range: first..reading.text.len(),
                confidence,
            }));
        }
        begun
    }

    fn find_keywords(
        &self,
        reading: &CustomInput<'_>,
        matches: &mut Vec<(usize, Range<usize>, bool)>,
    ) -> usize {
        let Some(keywords) = &self.keywords else {
            return reading.text.len();
        };
        let rest = reading.text.get(reading.from..).unwrap_or_default();
        let mut begun = if reading.open {
            keywords.begun(rest).saturating_add(reading.from)
        } else {
            reading.text.len()
        };
        keywords.find(rest, &mut |literal, found| {
            let range =
                found.start.saturating_add(reading.from)..found.end.saturating_add(reading.from);
            if reading.open && range.end == reading.text.len() {
                begun = begun.min(range.start);
            }
            let owner = usize::try_from(literal)
                .ok()
                .and_then(|literal| self.owners.get(literal));
            if let Some(owner) = owner
                && is_word(reading.text, &range)
            {
                matches.push((*owner, range, false));
            }
        });
        begun
    }

    fn find_patterns(&self, reading: &CustomInput<'_>, memory: &mut CustomScratch) -> usize {
        let mut begun = reading.text.len();
        let CustomScratch {
            patterns: scratch,
            matches,
            matching,
            outrun,
            ..
        } = memory;
        matching.clear();
        match &self.which {
            Some(which) => {
                which.matching(reading.text, scratch, &mut |pattern| matching.push(pattern));
            }
            None => matching.extend(0..self.patterns.len()),
        }
        // A pattern that does not match yet may still have begun.
        let mut matching = matching.iter().copied().peekable();
        for (number, owned) in self.patterns.iter().enumerate() {
            if reading.open {
                let first = owned.pattern.begun(reading.text, reading.from, scratch);
                let is_longer = reading.text.len().saturating_sub(first) > owned.reach
                    && back(reading.text, owned.reach) > first;
                if !is_longer {
                    begun = begun.min(first);
                } else if outrun.is_none_or(|(known, _)| first < known) {
                    // The end of the match is not waited for any longer, and nothing of the match is forwarded.
                    *outrun = Some((first, owned.known));
                }
            }
            if matching.next_if_eq(&number).is_none() {
                continue;
            }
            owned
                .pattern
                .spans(reading.text, reading.from, scratch, &mut |range| {
                    matches.push((owned.known, range, true));
                });
        }
        begun
    }
}

impl SelectedCustom {
    /// Returns the confidence of a match; `None`: it is not a finding.
    fn confidence_of(
        &self,
        reading: &CustomInput<'_>,
        range: &Range<usize>,
        by_pattern: bool,
        near: &mut ContextWords,
        terms: &ContextDictionary,
    ) -> Option<Confidence> {
        let detector = &self.detector;
        let confidence = self.confidence(reading, range.start, near, terms)?;
        let value = reading.text.get(range.clone()).unwrap_or_default();
        let valid = !by_pattern
            || detector
                .validator
                .is_none_or(|validator| validator.passes(value));
        (valid && !detector.allow.has(value)).then_some(confidence)
    }

    /// Returns the confidence of a match that begins at `start`; `None`: below the threshold.
    fn confidence(
        &self,
        reading: &CustomInput<'_>,
        start: usize,
        near: &mut ContextWords,
        terms: &ContextDictionary,
    ) -> Option<Confidence> {
        let text = reading.text.as_bytes();
        let in_context = self.context == 0
            || near.before(text, start_of_word(text, start), terms) & self.context != 0;
        let confidence = if in_context {
            self.detector.confidence
        } else {
            Confidence::Low
        };
        (confidence >= self.threshold).then_some(confidence)
    }
}

/// Returns the position `characters` before the end.
fn back(text: &str, characters: usize) -> usize {
    match characters.checked_sub(1) {
        Some(before) => text
            .char_indices()
            .rev()
            .nth(before)
            .map_or(0, |(at, _)| at),
        None => text.len(),
    }
}

/// Returns whether a range neither begins nor ends inside a word. Words in scripts without spaces have no boundaries.
fn is_word(text: &str, range: &Range<usize>) -> bool {
    let before = text.get(..range.start).and_then(|t| t.chars().next_back());
    let after = text.get(range.end..).and_then(|t| t.chars().next());
    let mut inside = text.get(range.clone()).unwrap_or_default().chars();
    let first = inside.next();
    let last = inside.next_back().or(first);
    let joined = |a: Option<char>, b: Option<char>| {
        a.is_some_and(is_word_character) && b.is_some_and(is_word_character)
    };
    !joined(before, first) && !joined(last, after)
}

/// Returns whether a character is a letter or digit of a script that puts spaces between words: Latin to Arabic,
/// Georgian, Latin and Greek with marks.
fn is_word_character(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || c == '_'
        || matches!(c, '\u{C0}'..='\u{8FF}' | '\u{10A0}'..='\u{10FF}' | '\u{1E00}'..='\u{1FFF}')
            && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_spaces_where_a_script_has_them() {
        for (text, word, whole) in [
            ("a cat sat", "cat", true),
            ("a cats", "cat", false),
            ("scat", "cat", false),
            ("cat", "cat", true),
            ("my_cat", "cat", false),
            ("жук-олень", "жук", true),
            ("жуки", "жук", false),
            ("这是猫吗", "猫", true),
            ("c++ and", "c++", true),
            ("c++11", "c++", true),
        ] {
            let at = text.find(word).unwrap();
            assert_eq!(is_word(text, &(at..at + word.len())), whole, "{text}");
        }
    }

    #[test]
    fn counting_back_ends_at_characters() {
        assert_eq!(back("aéb", 0), 4);
        assert_eq!(back("aéb", 1), 3);
        assert_eq!(back("aéb", 2), 1);
        assert_eq!(back("aéb", 9), 0);
    }
}
