//! Scanner that runs all selected detectors in one pass over a text.

use std::ops::Range;
use std::sync::Arc;

use super::allow::AllowList;
use super::normalise::{NormalisedText, stable_len};
use super::select::{self, Selection};
use super::{Confidence, DETECTORS, Detector, Finding};
use crate::wire::simd::SimdLevel;
use crate::wire::{sort, work};
use context::Words;
use custom::{CustomInput, CustomMatch, CustomPlan, Sought};
use pass::{PassInput, PassScratch, Plan, ViewFinding};
use spaced_out::RunReadings;
pub use table::Tables;
use table::{BUILT_IN, CUSTOM, Table, TableState};
pub(super) use text::first_in;

pub(in crate::detect) mod alphabet;
pub(in crate::detect) mod anchor;
mod context;
mod custom;
mod decode;
mod forms;
pub(super) mod named_value;
pub(super) mod names;
mod pass;
mod prefix_table;
pub(in crate::detect) mod probe;
mod spaced_out;
mod table;
pub(super) mod text;
pub(in crate::detect) mod token_form;
mod tokens;

/// Whether more text may follow the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The input is the whole text.
    Final,
    /// More text may follow.
    Open,
}

/// Text to scan, or the part of it that has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The text. For a stream: at least the last [`LOOK_BEHIND`] bytes before `settled`, and everything after it.
    pub text: &'a str,
    /// JSON key or column name of the text.
    pub key: Option<&'a str>,
    /// Tables that continue in the unsettled text. If missing, `text` starts at the beginning of the stream.
    pub tables: Option<&'a Tables>,
    /// Bytes at the start of `text` that an earlier scan returned as safe. They are context only: nothing is found in
    /// them.
    pub settled: usize,
    /// Whether more text may follow.
    pub ending: Ending,
    /// Whether all of the context is read: true if the scan before [looked far](Scratch::looks_far). Otherwise only
    /// the nearest context is read, which is much less.
    pub far: bool,
}

/// Maximum bytes before a value that are searched for context. A stream keeps this many bytes.
pub const LOOK_BEHIND: usize = 1_024;

/// Bytes of context before the settled position that are read by default. What begins earlier has no value in the
/// unsettled text, except for the few findings that report it ([`Scratch::looks_far`]). The longest case is the name
/// of a secret with the text between the name and its value.
const NEAR: usize = 200;

/// Length in bytes of a value without white space from which names inside the value may be ignored.
const LONG_WORD: usize = 64;

/// Maximum findings of one text; see [`Scratch::is_incomplete`].
pub const MAX_FINDINGS: usize = 50_000;

/// Maximum findings kept of one reading before overlapping findings are joined.
const MAX_RAW: usize = 4 * MAX_FINDINGS;

/// Work steps of a nested scan, in addition to the text that it scans.
const SCAN: usize = 200;
/// Work steps for keeping a finding.
const FOUND: usize = 40;
/// Work steps for each reading of a spaced-out value.
const SPELLED: usize = 700;

/// Moves of a finding past another one that are made for each finding before all of them are sorted.
const MAX_MOVES: usize = 8;

/// Bytes of a text that is read again as a whole if a value may begin in one of its escapes. Of a longer one only what is
/// behind such escapes is.
const READ_AGAIN: usize = 4_096;

/// Bytes behind such an escape that are read again.
const WRITTEN: usize = 1_024;

/// Maximum depth of nested encodings that are decoded.
const DEPTH: usize = 2;

impl<'a> Input<'a> {
    /// Returns the input for a whole text.
    pub fn whole(text: &'a str) -> Self {
        Self {
            text,
            key: None,
            tables: None,
            settled: 0,
            ending: Ending::Final,
            far: true,
        }
    }

    /// Returns the input for a text that may continue, of which `settled` bytes are already scanned.
    pub fn open(text: &'a str, settled: usize) -> Self {
        Self {
            text,
            key: None,
            tables: None,
            settled,
            ending: Ending::Open,
            far: true,
        }
    }

    /// Returns the same input with the JSON key of the text.
    pub fn under(self, key: Option<&'a str>) -> Self {
        Self { key, ..self }
    }
}

/// Scope of a pass over one reading of a text.
#[derive(Clone, Copy, Debug, Default)]
struct PassScope {
    /// Whether the same text has other readings.
    is_read_again: bool,
    /// Position before which letters and digits are context only.
    tokens_from: usize,
    /// Whether spaced-out values are searched, too.
    spelled: bool,
    /// Whether the text is known to be ASCII.
    is_ascii: bool,
}

/// Cached check whether spaced-out runs, with the text before them, are normalised already. Such a run is not
/// normalised again.
struct NormalityOfRuns<'a> {
    read: &'a str,
    /// Whether the whole text is normalised, if known.
    whole: Option<bool>,
}

impl<'a> NormalityOfRuns<'a> {
    fn new(read: &'a str, viewed: bool) -> Self {
        let whole = (!viewed).then_some(true);
        Self { read, whole }
    }

    /// Returns whether a run of letters, digits and plain separators is normalised when it follows this text.
    fn holds_behind(&mut self, before: &str) -> bool {
        let before = before.as_bytes();
        // No escape sequence continues after these bytes.
        let apart = before.last().is_none_or(|byte| {
            !byte.is_ascii()
                || byte.is_ascii_whitespace()
                || matches!(byte, b':' | b'=' | b',' | b'.' | b'(' | b'[' | b'"' | b'\'')
        });
        SimdLevel::best().is_plain(before)
            || apart
                && *self
                    .whole
                    .get_or_insert_with(|| NormalisedText::of(self.read).is_none())
    }
}

/// Buffers that scans reuse.
#[derive(Debug, Default)]
pub struct Scratch {
    view: NormalisedText,
    memory: PassScratch,
    custom: custom::CustomScratch,
    raw: Vec<ViewFinding>,
    hits: Vec<CustomMatch>,
    found: Vec<Finding>,
    /// Ranges that patterns matched without a finding.
    held: Vec<Range<usize>>,
    ends: Vec<usize>,
    incomplete: bool,
    far: bool,
    /// Places of escapes that a value may begin in, of a text that is not read again as a whole.
    beginnings: Vec<usize>,
    /// Whether escapes are only read as written.
    only_written: bool,
    /// Match that is longer than the lookahead of its pattern.
    endless: Option<Finding>,
    /// Buffers for decoded and spaced-out text.
    inner: Option<Box<Scratch>>,
    readings: RunReadings,
    within: Vec<Finding>,
}

impl Scratch {
    /// Returns whether the last scan found more than [`MAX_FINDINGS`], or cost more [work](work) than was left. A
    /// policy treats such a text as unreadable.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete || work::is_exhausted()
    }

    /// Returns the finding of the last scan that extends over all following text: a match that is longer than its
    /// lookahead.
    pub fn endless(&self) -> Option<Finding> {
        self.endless
    }

    /// Returns whether the next scan needs the beginning of something that the last scan saw, however far back it is.
    pub fn looks_far(&self) -> bool {
        self.far
    }
}

/// Compiled detectors of a policy.
#[derive(Clone, Debug)]
pub struct Scanner {
    slots: Vec<SelectedDetector>,
    plan: Plan,
    custom: CustomPlan,
    /// Allow lists with the detectors that each applies to; `None`: all detectors.
    allowed: Vec<(Option<Vec<u16>>, Arc<AllowList>)>,
    decodes: bool,
    /// Whether any of the detectors finds secrets.
    finds_secrets: bool,
}

/// Detector that the policy selects.
#[derive(Clone, Copy, Debug)]
struct SelectedDetector {
    index: u16,
    threshold: Confidence,
    detector: &'static Detector,
    /// Bit of the detector in the set of detectors with context words.
    context: context::DetectorSet,
}

impl Scanner {
    /// Compiles the detectors of a selection.
    pub fn new(selection: &Selection) -> Self {
        let selected = || {
            (0u16..)
                .zip(DETECTORS)
                .filter(|(index, _)| selection.threshold(*index).is_some())
        };
        let contexts = pass::context_bits(selected().map(|(_, detector)| *detector));
        let slots: Vec<SelectedDetector> = selected()
            .zip(contexts)
            .map(|((index, detector), context)| SelectedDetector {
                index,
                threshold: selection.threshold(index).unwrap_or(Confidence::High),
                detector,
                context,
            })
            .collect();
        let plan = Plan::new(&slots);
        let mut scanner = Self {
            slots,
            plan,
            custom: CustomPlan::new(selection),
            allowed: selection.allowed().to_vec(),
            decodes: selection.decodes(),
            finds_secrets: false,
        };
        scanner.finds_secrets = {
            let built_in = scanner.slots.iter().map(|slot| slot.index);
            let mut all = built_in.chain(scanner.custom.indices());
            all.any(|detector| scanner.is_secret(detector))
        };
        scanner
    }

    /// Returns whether any of the detectors is in the group `secrets`.
    pub fn finds_secrets(&self) -> bool {
        self.finds_secrets
    }

    /// Returns the number of patterns in the policy's custom detectors.
    pub fn patterns(&self) -> usize {
        self.custom.patterns()
    }

    /// Returns the name of a finding's detector.
    pub fn name(&self, detector: u16) -> Option<&str> {
        match DETECTORS.get(usize::from(detector)) {
            Some(known) => Some(known.name),
            None => self.custom.name(detector),
        }
    }

    /// Returns whether a finding's detector is in the group `secrets`.
    pub fn is_secret(&self, detector: u16) -> bool {
        let is_secret = |group: &str| select::is_within(group, "secrets");
        match DETECTORS.get(usize::from(detector)) {
            Some(known) => known.groups.iter().any(|group| is_secret(group)),
            None => self
                .custom
                .groups(detector)
                .iter()
                .any(|group| is_secret(group)),
        }
    }

    /// Adds the findings of a text, ordered by start, and returns the safe point.
    ///
    /// No finding crosses the safe point. When more text is appended, the findings before it do not change, and no
    /// others appear there. For `Final` input it is the length of the text.
    ///
    /// A whole text and the same text in pieces give the same findings, if each scan begins at the safe point of the
    /// one before.
    pub fn scan(
        &self,
        input: &Input<'_>,
        scratch: &mut Scratch,
        findings: &mut Vec<Finding>,
    ) -> usize {
        scratch.incomplete = false;
        scratch.far = false;
        scratch.endless = None;
        let from = if input.far {
            0
        } else {
            let tables = input.tables.map_or(0, Tables::behind);
            near(input.text, input.settled).min(input.settled.saturating_sub(tables))
        };
        let known = findings.len();
        let near = Input {
            text: input.text.get(from..).unwrap_or(input.text),
            settled: input.settled.saturating_sub(from),
            ..*input
        };
        let mut safe = self.scan_within(&near, DEPTH, scratch, findings);
        if !scratch.beginnings.is_empty() {
            safe = self.scan_written(&near, safe, scratch, findings, known);
        }
        for finding in findings.iter_mut().skip(known) {
            finding.start = finding.start.saturating_add(from);
            finding.end = finding.end.saturating_add(from);
        }
        safe.saturating_add(from)
    }

    /// Reads what is behind escapes as it is written, in a long text that was read otherwise with the findings from the number
    /// `known` on. Returns the safe point.
    #[inline(never)]
    fn scan_written(
        &self,
        input: &Input<'_>,
        safe: usize,
        scratch: &mut Scratch,
        findings: &mut Vec<Finding>,
        known: usize,
    ) -> usize {
        let text = input.text;
        let mut safe = safe;
        let mut all = findings.split_off(known);
        let others = all.len();
        let beginnings = std::mem::take(&mut scratch.beginnings);
        let mut beginnings = beginnings.into_iter().peekable();
        while let Some(first) = beginnings.next() {
            let mut last = first;
            while let Some(next) = beginnings.next_if(|next| *next < last.saturating_add(WRITTEN)) {
                last = next;
            }
            let start = text.floor_char_boundary(first.saturating_sub(NEAR));
            let end = text.ceil_char_boundary(last.saturating_add(WRITTEN));
            let is_last = end == text.len();
            let part = Input {
                text: text.get(start..end).unwrap_or_default(),
                settled: input.settled.max(first).min(end).saturating_sub(start),
                tables: None,
                ending: if is_last { input.ending } else { Ending::Final },
                ..*input
            };
            let mut within = Vec::new();
            scratch.only_written = true;
            let part_safe = self.scan_within(&part, DEPTH, scratch, &mut within);
            if is_last {
                safe = safe.min(part_safe.saturating_add(start));
            }
            all.extend(within.into_iter().filter_map(|finding| {
                let finding = Finding {
                    start: finding.start.saturating_add(start),
                    end: finding.end.saturating_add(start),
                    ..finding
                };
                (is_last || finding.end < end).then_some(finding)
            }));
        }
        leave_known(&mut all, others);
        join(&mut all, &mut scratch.ends);
        scratch.held.clear();
        safe = settle(&all, &mut scratch.held, safe).max(input.settled);
        findings.extend(all.into_iter().filter(|finding| finding.end <= safe));
        safe
    }

    /// Returns whether the JSON key is a context word of any selected detector. Under any other key the detectors
    /// find the same with and without the key.
    #[inline(never)]
    pub fn name_is_context(&self, name: &str) -> bool {
        let seen = NormalisedText::of(name);
        let name = seen.as_ref().map_or(name, NormalisedText::text).as_bytes();
        let terms = [self.plan.terms(), self.custom.terms()];
        let mut words = Words::default();
        named_value::may_name_secret(name) && self.plan.terms().finds_secrets()
            || terms.iter().any(|terms| words.of_name(name, terms) != 0)
    }

    /// Advances the tables of a stream from one settled position of a text to the next.
    #[inline(never)]
    pub fn follow(&self, tables: &mut Tables, text: &str, settled: usize, now: usize) {
        let terms = [self.plan.terms(), self.custom.terms()];
        if terms.iter().all(|terms| terms.has_no_names()) {
            return;
        }
        let both = tables.both().iter_mut().zip(terms);
        for (standing, terms) in both.filter(|(_, terms)| !terms.has_no_names()) {
            let from = text.floor_char_boundary(settled.saturating_sub(standing.behind));
            let rest = text.get(from..).unwrap_or_default();
            let rest = rest.get(..stable_len(rest)).unwrap_or_default();
            let view = NormalisedText::of(rest);
            let to = now.saturating_sub(from);
            let to = view.as_ref().map_or(to, |view| view.position(to));
            let read = view.as_ref().map_or(rest, NormalisedText::text).as_bytes();
            let mut table = std::mem::take(&mut standing.table).moved(0);
            table.read_all(read.get(..to).unwrap_or(read), terms);
            let at = table.at();
            let place = match at < to {
                true => from.saturating_add(original(view.as_ref(), at..at).start),
                false => now,
            };
            *standing = TableState {
                table,
                behind: now.saturating_sub(place),
            };
        }
    }

    /// Scans a text and decodes at most `depth` nested encodings.
    fn scan_within(
        &self,
        input: &Input<'_>,
        depth: usize,
        scratch: &mut Scratch,
        findings: &mut Vec<Finding>,
    ) -> usize {
        if self.slots.is_empty() && self.custom.is_empty() {
            return input.text.len();
        }
        let open = input.ending == Ending::Open;
        let stable = if open {
            stable_len(input.text)
        } else {
            input.text.len()
        };
        let text = input.text.get(..stable).unwrap_or(input.text);
        scratch.found.clear();
        scratch.held.clear();
        let mut safe = text.len();
        let viewed = scratch.view.rebuild(text);
        let is_ascii = scratch.view.is_plain();
        let only_written = std::mem::take(&mut scratch.only_written);
        let is_long = !only_written && text.len() > READ_AGAIN;
        if only_written {
            while !scratch.view.is_as_written() {
                if !scratch.view.read_on(text) {
                    return text.len();
                }
            }
        } else if is_long {
            scratch.beginnings = scratch.view.take_beginnings();
        }
        if viewed && !only_written && self.custom.has_patterns() {
            let begun = self.run_custom(text, None, None, input, Sought::Patterns, scratch);
            safe = safe.min(begun);
        }
        if !is_ascii && !only_written && self.custom.has_wide_keywords() {
            safe = safe.min(self.run_without_case(text, input, scratch));
        }
        let is_read_again = viewed && scratch.view.has_others();
        // Number of findings before escapes are read as written.
        let mut known = None;
        loop {
            let view = std::mem::take(&mut scratch.view);
            let (read, seen) = if viewed {
                (view.text(), Some(&view))
            } else {
                (text, None)
            };
            if known.is_none() && view.is_as_written() {
                join(&mut scratch.found, &mut scratch.ends);
                known = Some(scratch.found.len());
            }
            let is_first = view.is_first();
            // The other readings have no tables. A stream continues with the tables of the first reading.
            let standing = |whose| is_first.then(|| table_of(input, seen, whose));
            let table = standing(BUILT_IN);
            let part = PassScope {
                is_read_again,
                is_ascii,
                tokens_from: 0,
                spelled: depth > 0 && !view.is_spaced(),
            };
            let begun = self.run_built_in(read, seen, table, part, input, scratch);
            safe = safe.min(begun);
            if part.spelled {
                self.run_spelled(read, seen, input, scratch);
            }
            if !self.custom.is_empty() {
                let table = standing(CUSTOM);
                let begun = self.run_custom(read, seen, table, input, Sought::Both, scratch);
                safe = safe.min(begun);
            }
            if self.decodes && depth > 0 && !view.is_spaced() {
                let begun = self.run_decoded(read, seen, input, depth, scratch);
                safe = safe.min(begun);
            }
            if viewed && is_first {
                safe = self.add_odd(&view, input, safe, &mut scratch.found);
            }
            scratch.view = view;
            if !viewed
                || work::is_exhausted()
                || !scratch.view.read_on(text)
                || is_long && scratch.view.is_as_written()
            {
                break;
            }
        }
        if let Some(known) = known {
            leave_known(&mut scratch.found, known);
        }
        let found = &mut scratch.found;
        work::spend(found.len().saturating_mul(FOUND));
        found.retain(|finding| finding.start >= input.settled && finding.end > finding.start);
        join(found, &mut scratch.ends);
        if open {
            // What begins inside an endless match need not be waited for.
            let first = scratch.endless.map(|endless| endless.start);
            if first.is_some_and(|first| first <= safe) {
                safe = text.len();
            } else {
                scratch.endless = None;
            }
            safe = text.floor_char_boundary(safe);
            safe = settle(found, &mut scratch.held, safe).max(input.settled);
        }
        if found.len() > MAX_FINDINGS {
            found.truncate(MAX_FINDINGS);
            scratch.incomplete = true;
        }
        let known = findings.len();
        findings.extend(found.iter().filter(|finding| finding.end <= safe));
        scratch.far |= findings.len().saturating_sub(known) < found.len();
        safe
    }

    /// Runs the built-in detectors over a reading. Returns the position in the original where an unfinished finding
    /// may begin.
    fn run_built_in(
        &self,
        read: &str,
        view: Option<&NormalisedText>,
        table: Option<Table>,
        part: PassScope,
        input: &Input<'_>,
        scratch: &mut Scratch,
    ) -> usize {
        scratch.raw.clear();
        // Overlapping findings are joined at the end. The pass itself may drop overlaps only where this reading alone
        // decides: without another reading, decoding or an allow list.
        let alone = !part.is_read_again && !self.decodes && self.allowed.is_empty();
        let settled = || view.map_or(input.settled, |view| view.position(input.settled));
        let begun = self.plan.run(
            &self.slots,
            &PassInput {
                text: read.as_bytes(),
                key: input.key,
                open: input.ending == Ending::Open,
                joined_from: alone.then(settled),
                tokens_from: part.tokens_from,
                spelled: part.spelled,
                is_ascii: part.is_ascii,
            },
            table,
            &mut scratch.memory,
            &mut scratch.raw,
        );
        scratch.incomplete |= scratch.raw.len() >= MAX_RAW || scratch.memory.is_incomplete();
        scratch.far |= scratch.memory.looks_far();
        let found = &mut scratch.found;
        let allows = !self.allowed.is_empty();
        found.extend(scratch.raw.iter().filter_map(|raw| {
            let detector = self.slots.get(raw.slot)?.index;
            let range = raw.start..raw.end;
            if allows && self.is_allowed(detector, read, &range) {
                return None;
            }
            let range = original(view, range);
            Some(Finding {
                detector,
                start: range.start,
                end: range.end,
                confidence: raw.confidence,
            })
        }));
        original(view, begun..begun).start
    }

    /// Runs the custom detectors of the policy; otherwise as [`run_built_in`](Self::run_built_in).
    fn run_custom(
        &self,
        read: &str,
        view: Option<&NormalisedText>,
        table: Option<Table>,
        input: &Input<'_>,
        sought: Sought,
        scratch: &mut Scratch,
    ) -> usize {
        scratch.hits.clear();
        let reading = CustomInput {
            text: read,
            from: view.map_or(input.settled, |view| view.position(input.settled)),
            key: input.key,
            table: table.as_ref(),
            open: input.ending == Ending::Open,
            sought,
        };
        let begun = self
            .custom
            .run(&reading, &mut scratch.custom, &mut scratch.hits);
        scratch.incomplete |= scratch.custom.is_incomplete();
        let outrun = scratch
            .custom
            .outrun()
            .map(|first| original(view, first..first).start);
        for hit in scratch.hits.drain(..) {
            let allowed = hit
                .detector
                .is_some_and(|detector| self.is_allowed(detector, read, &hit.range));
            let range = original(view, hit.range);
            match hit.detector {
                Some(detector) if !allowed => scratch.found.push(Finding {
                    detector,
                    start: range.start,
                    end: range.end,
                    confidence: hit.confidence,
                }),
                _ => scratch.held.push(range),
            }
        }
        if let Some(first) = outrun {
            let ours = scratch
                .found
                .iter()
                .rev()
                .find(|finding| finding.start == first);
            scratch.endless = scratch.endless.or(ours.copied());
        }
        original(view, begun..begun).start
    }

    /// Looks for keywords in the readings of a text without case; otherwise as [`run_built_in`](Self::run_built_in).
    fn run_without_case(&self, text: &str, input: &Input<'_>, scratch: &mut Scratch) -> usize {
        let mut begun = text.len();
        NormalisedText::each_without_case(text, &mut |view| {
            let (read, view) = (view.text(), Some(view));
            begun = begun.min(self.run_custom(read, view, None, input, Sought::Keywords, scratch));
        });
        begun
    }

    /// Scans the content of encoded runs; otherwise as [`run_built_in`](Self::run_built_in). Each finding covers the
    /// whole run.
    fn run_decoded(
        &self,
        read: &str,
        view: Option<&NormalisedText>,
        input: &Input<'_>,
        depth: usize,
        scratch: &mut Scratch,
    ) -> usize {
        let from = view.map_or(input.settled, |view| view.position(input.settled));
        let open = input.ending == Ending::Open;
        let mut inner = scratch.inner.take().unwrap_or_default();
        inner.incomplete = false;
        let mut within: Vec<Finding> = Vec::new();
        let begun = decode::each_run(read.as_bytes(), from, open, &mut |run| {
            within.clear();
            work::spend(SCAN);
            let text = Input::whole(&run.text).under(input.key);
            self.scan_within(&text, depth.saturating_sub(1), &mut inner, &mut within);
            let range = original(view, run.range);
            // A run that is decoded as a whole must not be split.
            scratch.held.push(range.clone());
            sort::sort_by_key(&mut within, |f| {
                (f.detector, std::cmp::Reverse(f.confidence))
            });
            within.dedup_by_key(|finding| finding.detector);
            scratch.found.extend(within.iter().map(|finding| Finding {
                start: range.start,
                end: range.end,
                ..*finding
            }));
        });
        scratch.incomplete |= inner.incomplete;
        scratch.inner = Some(inner);
        original(view, begun..begun).start
    }

    /// Scans spaced-out runs; otherwise as [`run_built_in`](Self::run_built_in). A finding covers the part of the run
    /// that it was found in.
    fn run_spelled(
        &self,
        read: &str,
        view: Option<&NormalisedText>,
        input: &Input<'_>,
        scratch: &mut Scratch,
    ) {
        let from = view.map_or(input.settled, |view| view.position(input.settled));
        let Scratch {
            memory,
            held,
            found,
            inner,
            incomplete,
            ..
        } = scratch;
        // A run that begins before `from` is too long to be scanned, or is already scanned.
        let runs = memory.spelled().iter().filter(|run| run.start >= from);
        *incomplete |= runs.clone().count() > spaced_out::MAX_SPELLED_RUNS;
        let mut normal = NormalityOfRuns::new(read, view.is_some());
        for run in runs.take(spaced_out::MAX_SPELLED_RUNS) {
            if work::is_exhausted() {
                break;
            }
            let inner = inner.get_or_insert_default();
            let mut readings = std::mem::take(&mut inner.readings);
            let mut within = std::mem::take(&mut inner.within);
            readings.read(read, run);
            let before = readings.before();
            let is_normal = normal.holds_behind(before);
            let tabled = table::may_begin_in(before.as_bytes());
            for joined in readings.iter() {
                inner.incomplete = false;
                within.clear();
                let text = Input {
                    settled: joined.from,
                    ..Input::whole(&joined.text).under(input.key)
                };
                work::spend(SPELLED);
                if is_normal {
                    self.scan_joined(&text, tabled, inner, &mut within);
                } else {
                    self.scan_within(&text, 0, inner, &mut within);
                }
                *incomplete |= inner.incomplete;
                found.extend(within.iter().filter_map(|finding| {
                    let range = original(view, joined.original(&finding.range())?);
                    Some(Finding {
                        start: range.start,
                        end: range.end,
                        ..*finding
                    })
                }));
            }
            inner.readings = readings;
            inner.within = within;
            held.push(original(view, run.clone()));
        }
    }

    /// Scans a joined run; otherwise as [`scan_within`](Self::scan_within). The run needs no normalisation. The text
    /// before it counts only as context words.
    fn scan_joined(
        &self,
        input: &Input<'_>,
        tabled: bool,
        scratch: &mut Scratch,
        findings: &mut Vec<Finding>,
    ) {
        scratch.found.clear();
        scratch.held.clear();
        let part = PassScope {
            tokens_from: input.settled,
            ..PassScope::default()
        };
        let table = tabled.then(Table::default);
        self.run_built_in(input.text, None, table.clone(), part, input, scratch);
        if !self.custom.is_empty() {
            self.run_custom(input.text, None, table, input, Sought::Both, scratch);
        }
        if self.custom.has_wide_keywords() {
            self.run_without_case(input.text, input, scratch);
        }
        let found = &mut scratch.found;
        found.retain(|finding| finding.start >= input.settled && finding.end > finding.start);
        join(found, &mut scratch.ends);
        findings.extend_from_slice(found);
    }

    fn is_allowed(&self, detector: u16, read: &str, range: &Range<usize>) -> bool {
        let concerns = |members: &Option<Vec<u16>>| {
            members
                .as_ref()
                .is_none_or(|members| members.binary_search(&detector).is_ok())
        };
        self.allowed.iter().any(|(members, list)| {
            concerns(members) && list.has(read.get(range.clone()).unwrap_or_default())
        })
    }
}

/// Returns the state of the tables at the position where the unscanned text begins.
#[inline(never)]
fn table_of(input: &Input<'_>, view: Option<&NormalisedText>, whose: usize) -> Table {
    match input.tables.and_then(|tables| tables.of(whose)) {
        Some(standing) => {
            let at = input.settled.saturating_sub(standing.behind);
            let table = standing.table.clone();
            table.moved(view.map_or(at, |view| view.position(at)))
        }
        None => Table::default(),
    }
}

/// Returns where the nearby context begins. Before a long word it begins earlier: a name before that word may have
/// the word as its value.
fn near(text: &str, settled: usize) -> usize {
    let bytes = text.as_bytes();
    let blank = |from: usize, to: usize| {
        let part = bytes.get(from..to).unwrap_or_default();
        part.iter().position(u8::is_ascii_whitespace)
    };
    let nearest = settled.saturating_sub(NEAR);
    let mut at = settled;
    while at > nearest {
        let from = at.saturating_sub(LONG_WORD);
        match blank(from, at) {
            Some(place) => at = from.saturating_add(place),
            None => {
                let before = bytes.get(..from).unwrap_or_default();
                let word = before.iter().rposition(u8::is_ascii_whitespace);
                at = word.unwrap_or(0);
                return text.floor_char_boundary(at.saturating_sub(NEAR).min(nearest));
            }
        }
    }
    text.floor_char_boundary(nearest)
}

/// Returns the byte range in the original that a range of a reading came from.
fn original(view: Option<&NormalisedText>, range: Range<usize>) -> Range<usize> {
    match view {
        Some(view) if range.start < view.text().len() || range.end > range.start => {
            view.original(range)
        }
        Some(_) => usize::MAX..usize::MAX,
        None => range,
    }
}

impl Scanner {
    /// Adds findings of invisible characters. Returns the safe point, which moves back if an open text ends in hidden
    /// characters.
    fn add_odd(
        &self,
        view: &NormalisedText,
        input: &Input<'_>,
        safe: usize,
        found: &mut Vec<Finding>,
    ) -> usize {
        let mut safe = safe;
        for (slot, kind) in self.plan.odd() {
            let Some(known) = self.slots.get(*slot) else {
                continue;
            };
            for odd in view
                .oddities()
                .iter()
                .filter(|odd| odd.kind == *kind && odd.confidence >= known.threshold)
            {
                // A run that is longer than a stream can hold back is reported piece by piece.
                let start = odd.start.max(input.settled);
                found.push(Finding {
                    detector: known.index,
                    start,
                    end: odd.end,
                    confidence: odd.confidence,
                });
            }
        }
        if input.ending == Ending::Open
            && let Some(end) = view.unseen_end()
            && !end.long
        {
            safe = safe.min(end.start);
        }
        safe
    }
}

/// Sorts findings by start and joins overlapping ones of the same detector: the first one is kept. Of several with
/// the same start, the longest is kept, and of equally long ones the one with the highest confidence.
#[inline(never)]
pub fn join(found: &mut Vec<Finding>, ends: &mut Vec<usize>) {
    let order = |f: &Finding| {
        (
            f.start,
            std::cmp::Reverse(f.end),
            f.detector,
            std::cmp::Reverse(f.confidence),
        )
    };
    // Findings arrive nearly sorted: each moves past the few before it that begin later. Many such moves cost more than
    // a sort.
    let mut moves = found.len().saturating_mul(MAX_MOVES);
    'insert: for at in 1..found.len() {
        for pair_end in (1..=at).rev() {
            let pair = found.get_mut(pair_end.wrapping_sub(1)..=pair_end);
            match pair {
                Some([before, behind]) if order(before) > order(behind) => {
                    std::mem::swap(before, behind);
                }
                _ => break,
            }
            moves = moves.wrapping_sub(1);
            if moves == 0 {
                sort::sort_by_key(found, order);
                break 'insert;
            }
        }
    }
    ends.clear();
    found.retain(|finding| {
        let detector = usize::from(finding.detector);
        if ends.len() <= detector {
            ends.resize(detector.saturating_add(1), 0);
        }
        let Some(end) = ends.get_mut(detector) else {
            return false;
        };
        let free = finding.start >= *end;
        if free {
            *end = finding.end;
        }
        free
    });
}

/// Drops findings, from the number `known` on, that overlap one of the first `known` of the same detector, which are joined:
/// an escape within or before a value is one, unless a value is only found if it is none.
#[inline(never)]
fn leave_known(found: &mut Vec<Finding>, known: usize) {
    let others = found.split_off(known.min(found.len()));
    sort::sort_by_key(found, |finding| (finding.detector, finding.start));
    for other in others {
        let until = found
            .get(..known)
            .unwrap_or_default()
            .partition_point(|finding| {
                (finding.detector, finding.start) < (other.detector, other.end)
            });
        let before = until.checked_sub(1).and_then(|at| found.get(at));
        let is_known = before
            .is_some_and(|before| before.detector == other.detector && before.end > other.start);
        if !is_known {
            found.push(other);
        }
    }
}

/// Returns the last position up to `safe` that no finding and no held range crosses. Empties `held`.
fn settle(found: &[Finding], held: &mut Vec<Range<usize>>, safe: usize) -> usize {
    held.extend(found.iter().map(Finding::range));
    sort::sort_by_key(held, |range| range.start);
    // Runs from last to first: a crossing range moves the position to its own start, which only earlier ranges can
    // cross.
    held.drain(..).rev().fold(safe, |safe, range| {
        if range.start < safe && range.end > safe {
            range.start
        } else {
            safe
        }
    })
}

#[cfg(test)]
mod tests;
