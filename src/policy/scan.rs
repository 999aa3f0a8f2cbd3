//! Scan of a text, made once for all rules: literals, patterns, detectors.

use super::embedded_data::EmbeddedData;
use super::negative_cache::{CachedMiss, NegativeCache};
use super::scalar::Spelling;
use super::text_hash::TextHash;
use super::text_scan::{KeptScan, KeptScans, MatchKinds, RunSteps, TextScan};
use crate::detect::literals::Literals;
use crate::detect::pattern::PatternSet;
use crate::detect::{Input, NormalisedText, Scanner, pattern};
use crate::event::{Event, NodeName, Reading, each_named};
use crate::wire::json::{JsonBody, NodeId, Value};
use crate::wire::{sort, work};
use std::ops::Range;

/// Everything that the rules of one policy search for.
#[derive(Debug)]
pub(crate) struct Matcher {
    pub(crate) literals: Literals,
    pub(crate) literal_texts: Vec<String>,
    pub(crate) patterns: PatternSet,
    pub(crate) detectors: Scanner,
}

/// Memory that a policy's scans reuse.
#[derive(Debug, Default)]
pub struct ScanScratch {
    pub(crate) patterns: pattern::Scratch,
    pub(crate) detectors: crate::detect::Scratch,
    blanks: NegativeCache,
    /// Hash of long texts for the cache. Without it long texts are scanned each time.
    hash: Option<TextHash>,
    /// Buffer for what identifies several texts.
    words: Vec<[u8; 8]>,
}

impl ScanScratch {
    /// Creates memory with a secret for the hashes of texts. Whoever knows the secret could send a text that is taken for
    /// another.
    pub fn new(secret: &[u8; 32]) -> ScanScratch {
        ScanScratch {
            hash: Some(TextHash::new(secret)),
            ..ScanScratch::default()
        }
    }

    /// Returns the cache key of several texts, if they can be cached.
    pub(crate) fn cached_miss(
        &mut self,
        event: &Event,
        reading: &Reading,
        json: &JsonBody<'_>,
        wants: MatchKinds,
        most: &mut usize,
    ) -> Option<CachedMiss> {
        let hash = self.hash.as_ref()?;
        let words = &mut self.words;
        CachedMiss::of_texts(event, reading, json, wants, hash, words, most)
    }

    /// Returns whether a text is known to contain nothing. If so, it spends the steps that the scan of the text took.
    pub(crate) fn spends_again(&self, miss: &CachedMiss) -> bool {
        let steps = self.blanks.steps_of(miss);
        if let Some(steps) = steps {
            work::spend_known(steps);
        }
        steps.is_some()
    }

    /// Adds a text without any finding to the cache, with the steps that its scan took.
    pub(crate) fn keep(&mut self, miss: CachedMiss, steps: u64) {
        self.blanks.keep(miss, steps);
    }
}

impl Matcher {
    /// Scans a text for the kinds that were not yet searched. `key` is the name of the text. `is_data`: if the text is JSON
    /// or HTML, its values are also scanned under their names. A cached text is not decoded.
    #[inline(never)]
    pub(crate) fn scan(
        &self,
        spelling: &Spelling<'_>,
        key: Option<&str>,
        is_data: bool,
        wants: MatchKinds,
        scratch: &mut ScanScratch,
        scan: &mut TextScan,
    ) {
        if work::is_exhausted() {
            scan.incomplete = true;
            return;
        }
        let may_be_data = is_data && wants.detectors;
        let blank = CachedMiss::new(spelling, key, may_be_data, wants, scratch.hash.as_ref());
        if blank.is_some_and(|blank| scratch.spends_again(&blank)) {
            scan.incomplete |= work::is_exhausted();
            return;
        }
        let left = work::remaining();
        let text = &*spelling.text();
        let data = may_be_data.then(|| EmbeddedData::of(text)).flatten();
        let known = scan.found();
        self.look(text, key, wants, scratch, scan);
        if let Some(data) = data {
            data.scan(&self.detectors, text, &mut scratch.detectors, scan);
        }
        // The same as for a text that is cached, whose steps are spent at once.
        scan.incomplete |= work::is_exhausted();
        if let Some(blank) = blank
            && scan.found() == known
            && !scan.incomplete
        {
            scratch.keep(blank, left.saturating_sub(work::remaining()));
        }
    }

    fn look(
        &self,
        text: &str,
        key: Option<&str>,
        wants: MatchKinds,
        scratch: &mut ScanScratch,
        scan: &mut TextScan,
    ) {
        if wants.literals {
            self.literals.find(text, &mut |literal, range| {
                keep(&mut scan.literals, literal);
                if self.is_as_written(literal, text, &range) {
                    keep(&mut scan.exact, literal);
                }
            });
            self.each_view(text, &mut |view| {
                self.literals.find(view.text(), &mut |literal, _| {
                    keep(&mut scan.literals, literal);
                });
            });
            for list in [&mut scan.literals, &mut scan.exact] {
                sort::sort(list);
                list.dedup();
            }
        }
        if wants.patterns {
            self.patterns
                .matching(text, &mut scratch.patterns, &mut |pattern| {
                    scan.patterns.push(crate::wire::span::offset(pattern));
                });
        }
        if wants.detectors {
            let input = Input::whole(text).under(key);
            self.detectors
                .scan(&input, &mut scratch.detectors, &mut scan.findings);
            scan.incomplete = scratch.detectors.is_incomplete();
        }
        scan.incomplete |= work::is_exhausted();
    }

    pub(crate) fn literal_text(&self, literal: u32) -> &str {
        self.literal_texts
            .get(crate::wire::span::index(literal))
            .map(String::as_str)
            .unwrap_or_default()
    }

    /// Returns whether a literal that was found in a range of a text is there exactly as the policy writes it. The range
    /// may have more white space at its ends than the literal.
    pub(crate) fn is_as_written(&self, literal: u32, text: &str, range: &Range<usize>) -> bool {
        let found = text.get(range.clone()).unwrap_or_default();
        let written = self.literal_text(literal);
        found == written || found.len() > written.len() && found.contains(written)
    }

    /// Calls `hit` with the places of these literals in a text, as written or normalised.
    pub(crate) fn literal_spans(
        &self,
        text: &str,
        literals: &[u32],
        hit: &mut dyn FnMut(Range<usize>),
    ) {
        self.each_literal(text, &mut |literal, range| {
            if literals.contains(&literal) {
                hit(range);
            }
        });
    }

    /// Calls `hit` with all literals in a text, as written or normalised, and their places.
    pub(crate) fn each_literal(&self, text: &str, hit: &mut dyn FnMut(u32, Range<usize>)) {
        self.literals.find(text, hit);
        self.each_view(text, &mut |view| {
            self.literals.find(view.text(), &mut |literal, range| {
                hit(literal, view.original(range));
            });
        });
    }

    /// Calls `visit` with all normalised readings of a text that may contain literals of the policy.
    pub(crate) fn each_view(&self, text: &str, visit: &mut dyn FnMut(&NormalisedText)) {
        NormalisedText::each_reading(text, visit);
        if self.literals.are_wide() {
            NormalisedText::each_without_case(text, visit);
        }
    }
}

/// Number of the last literals that are checked for duplicates.
const LAST: usize = 8;

/// Adds a literal to the list. It often is one that was found just before.
fn keep(found: &mut Vec<u32>, literal: u32) {
    let last = found.get(found.len().saturating_sub(LAST)..);
    if !last.unwrap_or_default().contains(&literal) {
        found.push(literal);
    }
}

/// Places of a value's name and of the name over it.
pub(crate) type NamePlaces = [Option<NodeId>; 2];

/// Scans of one body's texts, made when the first rule needs them.
#[derive(Debug, Default)]
pub struct Scans {
    /// Scans of the body's texts, with matches across several texts; empty until the first scan.
    pub(crate) texts: KeptScans,
    /// Work steps of each run of texts that were read together.
    pub(crate) joined_runs: Vec<RunSteps>,
    /// Work steps of all these runs.
    pub(crate) joined_steps: u64,
    /// Number of times that texts of the body were searched.
    pub(crate) searches: u32,
    /// Bytes of the body that may still be hashed for several texts together. Each byte may be hashed a few times, wherever
    /// the texts are.
    pub(crate) may_hash: usize,
    /// Places of the names of values that rules test as values, by document; made for the first such value.
    pub(crate) names: Vec<(u16, Vec<(NodeId, NamePlaces)>)>,
    /// Scans of the lists in the latest call or result that was tested.
    pub(crate) lists: ListScans,
    /// Whether detectors don't run, because there is more text than the policy permits.
    pub(crate) skips_detectors: bool,
}

/// Lists of a call's arguments or of a result, each read as one text. They are found once and scanned once for all rules.
#[derive(Debug, Default)]
pub(crate) struct ListScans {
    /// Arguments or result.
    root: Option<NodeId>,
    /// Places of the lists, ascending.
    pub(crate) places: Vec<NodeId>,
    /// Scans of the lists, as far as the last one that was scanned.
    scans: Vec<KeptScan>,
}

/// Maximum lists of one call or result whose scans are kept. Further lists are scanned each time.
const MAX_KEPT_LISTS: usize = 1_024;

impl ListScans {
    /// Changes to these arguments or this result. `find` adds the lists, unless they are the current ones.
    pub(crate) fn go_to(&mut self, root: NodeId, find: impl FnOnce(&mut Vec<NodeId>)) {
        if self.root != Some(root) {
            self.root = Some(root);
            self.scans.clear();
            self.places.clear();
            find(&mut self.places);
            sort::sort(&mut self.places);
        }
    }

    /// Returns the place for the scan of a list.
    pub(crate) fn slot(&mut self, list: NodeId) -> Option<&mut KeptScan> {
        let at = self.places.binary_search(&list).ok()?;
        if at >= MAX_KEPT_LISTS {
            return None;
        }
        if self.scans.len() <= at {
            self.scans
                .resize_with(at.saturating_add(1), KeptScan::default);
        }
        self.scans.get_mut(at)
    }
}

impl Scans {
    /// Returns the places of a value's names.
    #[inline(never)]
    pub(crate) fn name_of(&mut self, value: Value<'_>) -> NamePlaces {
        let place = value.place();
        let known = self.names.binary_search_by_key(&place.doc, |(doc, _)| *doc);
        let doc = match known {
            Ok(doc) => doc,
            Err(doc) => {
                let mut names = Vec::new();
                each_named(value.doc().root(), &mut |named| {
                    let NodeName { nearest, over, .. } = named.name;
                    if nearest.is_some() {
                        let name = [nearest, over].map(|name| name.map(Value::place));
                        names.push((named.value.place(), name));
                    }
                });
                self.names.insert(doc, (place.doc, names));
                doc
            }
        };
        let names = self.names.get(doc).map_or(&[][..], |(_, names)| names);
        let at = names.partition_point(|(other, _)| *other < place);
        let known = names.get(at).filter(|(other, _)| *other == place);
        known.map_or([None; 2], |(_, name)| *name)
    }

    /// Returns scans of a body with more text than detectors may scan.
    pub fn without_detectors() -> Scans {
        Scans {
            skips_detectors: true,
            ..Scans::default()
        }
    }
}
