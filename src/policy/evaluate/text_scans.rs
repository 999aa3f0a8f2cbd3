//! Scans of the texts of a body, made when the first rule needs them.

use crate::detect::{Confidence, Finding, fold_name};
use crate::event::{Class, Direction, Event, Form, Kind, Known, NodeName, Text};
use crate::policy::context::Context;
use crate::policy::cross_text::CrossTextMatches;
use crate::policy::evaluate::path_readings;
use crate::policy::evaluate::value::line;
use crate::policy::negative_cache::CachedMiss;
use crate::policy::scalar::{Spelling, TextValue};
use crate::policy::scan::Scans;
use crate::policy::text_scan::{KeptScan, KeptScans, MatchKinds, RunSteps, TextScan};
use crate::policy::{cross_text, embedded_data};
use crate::wire::json::{NodeId, Value};
use crate::wire::sorted_map::SortedMap;
use crate::wire::span::index;
use crate::wire::work;

/// Minimum texts of an event whose empty scan is cached together. One or two texts are looked up faster one by one.
const FEWEST_TEXTS: usize = 3;

/// Maximum times that a byte of the body may be hashed together with others, on average over the body.
const HASHED_AT_MOST: usize = 4;

/// Minimum bytes of an identifier that can contain an unmistakable secret or a card number.
const SHORTEST_NAME: usize = 13;

impl<'a> Context<'a> {
    pub(crate) fn value(&self, place: NodeId) -> Option<Value<'a>> {
        self.json.value(place)
    }

    pub(crate) fn text(&self, number: u32) -> Option<TextValue<'a>> {
        let text = self.text_info(number)?;
        let value = self.json.value(text.place)?;
        Some(TextValue::in_body(value, Some(number), text.form))
    }

    pub(crate) fn string(&self, value: Value<'a>) -> TextValue<'a> {
        TextValue::in_body(value, None, Form::String)
    }

    fn text_info(&self, number: u32) -> Option<&'a Text> {
        self.reading.texts.get(index(number))
    }

    /// Finds the names in the body, which identifiers are searched under. Returns whether this identifier is searched.
    pub fn find_names(&self, direction: Direction, identifier: &Text) -> bool {
        let value = self.json.value(identifier.place);
        let value = value.filter(|value| value.raw_content().len() >= SHORTEST_NAME);
        let scans = &mut self.scans.borrow_mut();
        let Some(value) = value.filter(|_| self.wants(direction, scans).detectors) else {
            return false;
        };
        let _ = scans.name_of(value);
        true
    }

    /// Finds the names in the body, if they are not known yet.
    pub fn find_all_names(&self) {
        if let Some(body) = self.json.body() {
            self.scans.borrow_mut().name_of(body.root());
        }
    }

    /// Returns whether an identifier that is searched contains an unmistakable secret or, if it is a name, a card or account
    /// number.
    pub fn is_unmistakable(&self, direction: Direction, identifier: &Text) -> bool {
        let Some(value) = self.json.value(identifier.place) else {
            return false;
        };
        // The scan is not kept: other findings in an identifier are not reported.
        self.with_scan(
            direction,
            &self.string(value),
            MatchKinds::DETECTORS,
            |scan| {
                let mut findings = scan.findings.iter();
                findings.any(|finding| {
                    self.is_secret(finding)
                        || (identifier.class == Class::Name && self.has_check_digit(finding))
                })
            },
        )
    }

    /// Returns whether one of these patterns matches the folded form of a name, if that differs from the name.
    pub(super) fn matches_folded(&self, patterns: &[u32], name: &str) -> bool {
        let folded = fold_name(name);
        let folded = folded.trim();
        let all = self.policy.matcher.patterns.patterns();
        let mut patterns = patterns.iter().filter_map(|number| all.get(index(*number)));
        let scratch = &mut self.scratch.borrow_mut().patterns;
        folded != name && patterns.any(|pattern| pattern.is_match(folded, scratch))
    }

    fn has_check_digit(&self, finding: &Finding) -> bool {
        let name = self.policy.matcher.detectors.name(finding.detector);
        finding.confidence >= Confidence::Medium && matches!(name, Some("credit_card" | "iban"))
    }

    fn is_secret(&self, finding: &Finding) -> bool {
        finding.confidence == Confidence::High
            && self.policy.matcher.detectors.is_secret(finding.detector)
    }

    /// Returns whether a detector's finding counts in a text of this class. In identifiers and opaque strings only
    /// unmistakable secrets count.
    pub(super) fn counts(&self, text: &TextValue<'_>, finding: &Finding) -> bool {
        let class = text
            .number
            .and_then(|number| self.text_info(number))
            .map_or(Class::Text, |text| text.class);
        if !matches!(class, Class::Id | Class::Opaque) {
            return true;
        }
        self.is_secret(finding)
    }

    /// Scans a text for what is `asked`, and keeps the scan if the text is one of the body's. Detectors run on every text
    /// that is scanned for anything, because the audit event counts their findings.
    pub(super) fn with_scan<T>(
        &self,
        direction: Direction,
        text: &TextValue<'a>,
        asked: MatchKinds,
        use_scan: impl FnOnce(&TextScan) -> T,
    ) -> T {
        let mut own = KeptScan::default();
        let mut scans = self.scans.borrow_mut();
        use_scan(self.scanned(direction, text, asked, &mut scans, &mut own))
    }

    #[inline(never)]
    fn scanned<'s>(
        &self,
        direction: Direction,
        text: &TextValue<'a>,
        asked: MatchKinds,
        scans: &'s mut Scans,
        own: &'s mut KeptScan,
    ) -> &'s TextScan {
        // Detectors don't run on a list as one text: they see its values.
        let is_line = text.is_line();
        let wants = self.wants(direction, scans).and(MatchKinds {
            detectors: !is_line,
            ..asked
        });
        let info = text.number.and_then(|number| self.text_info(number));
        let name = match (info, text.value) {
            (Some(info), _) => [info.key(), info.over()],
            // A rule tests a value in arguments or in a result.
            (None, Some(value)) if wants.detectors => scans.name_of(value),
            _ => [None; 2],
        };
        let number = text.number.filter(|_| !is_line);
        let kept = match (text.value, number) {
            (Some(list), None) if is_line => scans.lists.slot(list.place()).unwrap_or(own),
            (_, Some(number)) => {
                self.begin_scans(direction, scans);
                *own = scans.texts.take(number);
                own
            }
            _ => own,
        };
        let missing = kept.missing(wants);
        if missing != MatchKinds::default() {
            let [nearest, over] = name.map(|place| self.json.value(place?));
            let name = NodeName {
                nearest,
                over,
                is_own: false,
            };
            let key = name.words();
            let is_data = info.is_some_and(|info| info.may_be_data(direction));
            let (key, scratch) = (key.as_deref(), &mut *self.scratch.borrow_mut());
            let matcher = &self.policy.matcher;
            kept.extend(missing, |scan| {
                matcher.scan(&text.spelling(), key, is_data, missing, scratch, scan);
                if missing.detectors
                    && text.form == Form::Number
                    && let Some(whole) = text.value.and_then(embedded_data::whole)
                {
                    let whole = Spelling::Plain(whole.into());
                    matcher.scan(&whole, key, false, MatchKinds::DETECTORS, scratch, scan);
                }
            });
        }
        match number {
            Some(number) => {
                scans.texts.put(number, std::mem::take(kept));
                scans.texts.scan(number)
            }
            None => kept.scan(),
        }
    }

    /// Returns what the policy searches for in the texts of one direction of the exchange.
    fn wants(&self, direction: Direction, scans: &Scans) -> MatchKinds {
        let mut wants = self.policy.needs.wants(direction);
        wants.detectors &= !scans.skips_detectors;
        wants
    }

    /// Allocates the scans of all texts of the body, and adds the matches across several texts.
    #[inline(never)]
    fn begin_scans(&self, direction: Direction, scans: &mut Scans) {
        scans.searches = scans.searches.wrapping_add(1);
        if !scans.texts.is_empty() {
            return;
        }
        scans.texts = KeptScans::new(self.reading.texts.len());
        let size = self.json.body().map_or(0, |body| body.bytes().len());
        scans.may_hash = size.saturating_mul(HASHED_AT_MOST);
        let found = self.splits(self.wants(direction, scans));
        let steps = found.runs.iter().map(|run| run.steps);
        let steps = steps.fold(0, u64::saturating_add);
        let conversation = self.reading.conversation();
        let passed = conversation.map_or(0, |conversation| conversation.joined_steps);
        work::spend_known(passed);
        scans.joined_steps = steps.saturating_add(passed);
        scans.joined_runs = found.runs;
        for split in found.matches {
            scans.texts.change(split.text, |kept| {
                kept.extend(MatchKinds::default(), |scan| scan.splits.push(split));
            });
        }
    }

    /// Searches for matches over several texts, if texts of turns that were passed over are searched.
    pub fn begin_search(&self, direction: Direction) {
        self.begin_scans(direction, &mut self.scans.borrow_mut());
    }

    /// Returns whether matches over several texts of a direction are searched but have not been searched in this body.
    pub fn may_begin_search(&self, direction: Direction) -> bool {
        let scans = self.scans.borrow();
        let wants = self.wants(direction, &scans);
        scans.texts.is_empty() && (wants.detectors || wants.literals)
    }

    /// Returns the work steps of each run of texts that were read together.
    pub fn joined_runs(&self) -> Vec<RunSteps> {
        self.scans.borrow().joined_runs.clone()
    }

    /// Returns whether nothing has been found in an event's texts so far.
    pub(super) fn found_nothing(&self, event: &Event) -> bool {
        self.scans.borrow().texts.hold_nothing(&event.texts)
    }

    /// Returns how often texts of the body were searched.
    pub fn searches(&self) -> u32 {
        self.scans.borrow().searches
    }

    /// Returns the work steps of all texts that were read together.
    pub fn joined_steps(&self) -> u64 {
        self.scans.borrow().joined_steps
    }

    /// Returns matches that extend over several texts of the body.
    pub(super) fn splits(&self, wants: MatchKinds) -> CrossTextMatches {
        if !wants.detectors && !wants.literals {
            return CrossTextMatches::default();
        }
        let scratch = &mut self.scratch.borrow_mut();
        cross_text::find(
            self.reading,
            self.json,
            &self.policy.matcher,
            wants,
            scratch,
        )
    }

    /// Returns whether an event's texts, or one of its lists as one text, contain anything of what is `asked`.
    pub(super) fn has_hit(&self, event: &Event, asked: MatchKinds) -> bool {
        self.has_hit_in_texts(event, asked)
            || self.has_lists(event) && self.has_hit_in_lists(event, asked)
    }

    /// Returns whether an event's texts contain anything of what is `asked`. A miss is cached for all texts of the event
    /// together, mostly the description and the schema of a tool: an agent sends all of its tools with every request.
    fn has_hit_in_texts(&self, event: &Event, asked: MatchKinds) -> bool {
        let miss = self.cached_miss(event, asked);
        if let Some((miss, wants)) = &miss
            && self.scratch.borrow().spends_again(miss)
        {
            let incomplete = work::is_exhausted();
            let texts = &mut self.scans.borrow_mut().texts;
            texts.blank(&event.texts, *wants, incomplete);
            return false;
        }
        let left = work::remaining();
        let is_hit = event
            .texts
            .clone()
            .filter_map(|number| self.text(number))
            .any(|text| self.with_scan(event.direction, &text, asked, |scan| !scan.is_blank()));
        if let (Some((miss, _)), false) = (miss, is_hit)
            && self.scans.borrow().texts.hold_nothing(&event.texts)
        {
            let steps = left.saturating_sub(work::remaining());
            self.scratch.borrow_mut().keep(miss, steps);
        }
        is_hit
    }

    /// Returns the cache key for an event's texts without a match, and what is searched for in them. Returns `None` if the
    /// texts are scanned one by one: there are too few of them, they have been scanned before, or they and their names lie
    /// far apart.
    #[inline(never)]
    fn cached_miss(&self, event: &Event, asked: MatchKinds) -> Option<(CachedMiss, MatchKinds)> {
        if event.texts.len() < FEWEST_TEXTS {
            return None;
        }
        let scans = &mut *self.scans.borrow_mut();
        let wants = self.wants(event.direction, scans).and(MatchKinds {
            detectors: true,
            ..asked
        });
        self.begin_scans(event.direction, scans);
        if !scans.texts.are_new(&event.texts) {
            return None;
        }
        let scratch = &mut *self.scratch.borrow_mut();
        let miss =
            scratch.cached_miss(event, self.reading, self.json, wants, &mut scans.may_hash)?;
        Some((miss, wants))
    }

    #[inline(never)]
    fn has_hit_in_lists(&self, event: &Event, asked: MatchKinds) -> bool {
        let mut is_hit = false;
        self.each_list(event, &mut |list| {
            let has_hit = |scan: &TextScan| !scan.is_blank();
            is_hit = is_hit || self.with_scan(event.direction, &list, asked, has_hit);
        });
        is_hit
    }

    /// Returns whether a call's arguments or a result contain a list that is also read as one text.
    pub(super) fn has_lists(&self, event: &Event) -> bool {
        let root = match event.kind {
            Kind::ToolCall => &event.args,
            Kind::ToolResult => &event.result,
            _ => return false,
        };
        let Known::Is(root) = root else { return false };
        self.find_lists(*root)
    }

    /// Returns whether arguments or a result contain such a list, and stores the places of their lists.
    #[inline(never)]
    fn find_lists(&self, root: NodeId) -> bool {
        let lists = &mut self.scans.borrow_mut().lists;
        lists.go_to(root, |found| {
            if let Some(root) = self.json.value(root) {
                path_readings::each_line(root, self.json, &mut |list| found.push(list.place()));
            }
        });
        !lists.places.is_empty()
    }

    /// Calls `give` with each list of a call's arguments or of a result, as one text. Returns whether there is one.
    pub(super) fn each_list(&self, event: &Event, give: &mut dyn FnMut(TextValue<'a>)) -> bool {
        if !self.has_lists(event) {
            return false;
        }
        let mut at = 0;
        loop {
            // The borrow ends before the call: `give` scans the list, and its scan is kept in the same place.
            let place = self.scans.borrow().lists.places.get(at).copied();
            let Some(place) = place else { return true };
            if let Some(list) = self.json.value(place) {
                give(line(list));
            }
            at = at.saturating_add(1);
        }
    }

    /// Returns the number of findings of each detector in the scanned texts.
    pub fn finding_counts(&self) -> SortedMap<Box<str>, u64> {
        let mut counts: SortedMap<Box<str>, u64> = SortedMap::new();
        let scans = self.scans.borrow();
        let findings = scans.texts.detected().flat_map(|scan| {
            let splits = scan.splits.iter().filter(|split| split.is_first);
            scan.findings
                .iter()
                .chain(splits.map(|split| &split.finding))
        });
        for finding in findings {
            let Some(name) = self.policy.matcher.detectors.name(finding.detector) else {
                continue;
            };
            match counts.get_mut(name) {
                Some(count) => *count = count.saturating_add(1),
                None => {
                    counts.insert(name.into(), 1);
                }
            }
        }
        counts
    }
}
