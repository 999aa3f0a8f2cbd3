//! Matches split over several texts that a reader joins: the parts of a message, consecutive messages of one author, and
//! texts of a response with nothing between them but texts of the part `other` or reasoning.
//!
//! Only the ends of the texts are scanned together, once joined directly and once joined with a space. A match within one
//! text was found in that text alone, and is not extended by a word before it.

use super::text_scan::{CrossTextMatch, MatchKinds, RunSteps};
use crate::detect::{Confidence, Finding, Input};
use crate::event::{Class, Direction, Event, Form, Kind, KnownConversation, Part, Reading};
use crate::policy::scan::{Matcher, ScanScratch};
use crate::wire::json::JsonBody;
use crate::wire::sort;
use crate::wire::span::index;
use crate::wire::work;
use std::ops::Range;

/// Bytes at each end of a text that are scanned. A longer value that is split is not found.
pub(crate) const JOINED_END: usize = 512;

/// Separator that no match is taken across.
const GAP: &str = "\n\u{0}\n;\n\u{0}\n";

/// Maximum texts that are scanned together. More are scanned in several windows.
const MAX_JOINED_TEXTS: usize = 10_000;

/// Texts that a window has in common with the next one. A longer match is not found.
const MAX_MATCHED_TEXTS: usize = 2_000;

/// Texts from the beginning of a window to that of the next one.
const WINDOW_STEP: usize = MAX_JOINED_TEXTS - MAX_MATCHED_TEXTS;

/// Minimum bytes of a literal that is searched across texts joined without a space. Shorter ones occur there by chance.
pub(crate) const SHORTEST_WITHOUT_SPACE: usize = 8;

/// Detector number of a match that no detector found.
const NO_DETECTOR: u16 = u16::MAX;

/// Returns whether clients join texts of a class and a part: normal text, and reasoning, which its provider may have
/// signed.
pub(crate) fn is_joined(class: Class, part: Part) -> bool {
    match part {
        Part::Text => class == Class::Text,
        Part::Reasoning => matches!(class, Class::Text | Class::Sealed),
        _ => false,
    }
}

/// Segment of the joined text, with the number of its text and its start in that text.
struct JoinedSegment {
    joined: Range<usize>,
    text: u32,
    start: usize,
}

/// Matches in a body that are split over texts.
#[derive(Default)]
pub(crate) struct CrossTextMatches {
    pub(crate) matches: Vec<CrossTextMatch>,
    /// Work steps of each run of texts that were searched together.
    pub(crate) runs: Vec<RunSteps>,
}

/// Returns all matches in a body that are split over texts.
pub(crate) fn find(
    reading: &Reading,
    json: &JsonBody<'_>,
    matcher: &Matcher,
    wants: MatchKinds,
    scratch: &mut ScanScratch,
) -> CrossTextMatches {
    let mut search = JoinedSearch {
        reading,
        json,
        matcher,
        wants,
        scratch,
        findings: Vec::new(),
        found: CrossTextMatches::default(),
    };
    let is_request = |event: &Event| event.direction == Direction::Request;
    let parts: &[Part] = match reading.events.first().is_some_and(is_request) {
        // Clients don't join the reasoning of earlier responses.
        true => &[Part::Text],
        false => &[Part::Text, Part::Reasoning],
    };
    for &part in parts {
        search.part(part);
    }
    search.found
}

/// Texts of one part that a reader joins.
struct JoinedRun<'e> {
    part: Part,
    texts: Vec<u32>,
    /// Last event that was said.
    last: Option<&'e Event>,
}

impl<'e> JoinedRun<'e> {
    fn of(part: Part) -> JoinedRun<'e> {
        JoinedRun {
            part,
            texts: Vec::new(),
            last: None,
        }
    }

    /// Returns whether the texts before an event and behind it are separate unless the event continues them.
    #[inline(never)]
    fn separates(&self, event: &Event) -> bool {
        // Texts of a response before and after a call are separate, as they are in streams.
        let is_between = event.direction == Direction::Response
            && matches!(event.kind, Kind::ToolCall | Kind::ToolResult);
        // A text of the part `other` does not separate the texts around it. Nor does reasoning, which many clients don't show.
        let is_beside = match (event.direction, self.part) {
            (_, Part::Reasoning) => event.part != self.part,
            (Direction::Response, _) => matches!(event.part, Part::Other | Part::Reasoning),
            (Direction::Request, _) => event.part == Part::Other,
        };
        is_between || is_said(event) && !is_beside
    }

    fn end(&mut self) {
        self.texts.clear();
        self.last = None;
    }

    fn continues(&self, event: &Event) -> bool {
        self.last.is_some_and(|last| goes_on(last, event))
    }

    /// Adds the texts of an event that separates texts, and continues these.
    #[inline(never)]
    fn add(&mut self, event: &'e Event, reading: &Reading, json: &JsonBody<'_>) {
        self.last = Some(event);
        let joins = is_said(event) && event.part == self.part;
        for number in event.texts.clone().filter(|_| joins) {
            // A text under a name is separate: clients don't join the values of a tool's result.
            let text = reading.texts.get(index(number)).filter(|text| {
                is_joined(text.class, self.part)
                    && text.form == Form::String
                    && text.key().is_none()
            });
            let value = text.and_then(|text| json.value(text.place));
            let is_empty = value.is_none_or(|value| value.raw_content().is_empty());
            if !is_empty && self.texts.last() != Some(&number) {
                self.texts.push(number);
            }
        }
    }
}

fn is_said(event: &Event) -> bool {
    matches!(event.kind, Kind::Message | Kind::Response)
}

/// Returns for each turn of a conversation that was read whether no text before it is joined with one in it or behind it,
/// whatever stands before the conversation.
#[inline(never)]
pub(crate) fn apart(
    reading: &Reading,
    json: &JsonBody<'_>,
    conversation: &KnownConversation,
) -> Vec<bool> {
    let mut run = JoinedRun::of(Part::Text);
    // Tools may have been passed over before the conversation and behind it.
    let events = &conversation.events;
    let is_inside = |gap: &u32| *gap > events.start && *gap < events.end;
    let mut gaps = reading.gaps().filter(is_inside).peekable();
    let mut turns = conversation.new_turns.iter().peekable();
    let mut apart = Vec::new();
    // Whether the run may have begun before the conversation.
    let mut is_open = true;
    let all = (0u32..).zip(&reading.events);
    for (number, event) in all.skip(index(events.start)) {
        if gaps.next_if(|gap| *gap <= number).is_some() {
            run.end();
            is_open = false;
        }
        while let Some(turn) = turns.next_if(|turn| turn.events.start <= number) {
            let events = index(turn.events.start)..index(turn.events.end);
            let mut events = reading.events.get(events).unwrap_or_default().iter();
            let first = events.find(|event| run.separates(event));
            let ends = |first| run.last.is_some() && !run.continues(first);
            apart.push(!is_open && run.texts.is_empty() || first.is_some_and(ends));
        }
        if run.separates(event) {
            if run.last.is_some() && !run.continues(event) {
                run.end();
                is_open = false;
            }
            run.add(event, reading, json);
        }
    }
    apart.extend(turns.map(|_| !is_open && run.texts.is_empty()));
    apart
}

fn goes_on(last: &Event, next: &Event) -> bool {
    last.kind == next.kind
        && last.part == next.part
        && last.from == next.from
        && last.choice == next.choice
        && last.tool == next.tool
        // A response may repeat all of its text.
        && (next.direction == Direction::Request || last.is_duplicate == next.is_duplicate)
}

/// Search for matches that are split over texts of a body.
struct JoinedSearch<'a> {
    reading: &'a Reading,
    json: &'a JsonBody<'a>,
    matcher: &'a Matcher,
    wants: MatchKinds,
    scratch: &'a mut ScanScratch,
    /// Reused memory for what detectors find in one joined text.
    findings: Vec<Finding>,
    found: CrossTextMatches,
}

impl JoinedSearch<'_> {
    /// Searches the texts of one part.
    fn part(&mut self, part: Part) {
        let reading = self.reading;
        let mut run = JoinedRun::of(part);
        let mut gaps = reading.gaps();
        for (number, event) in (0u32..).zip(&reading.events) {
            let has_gap = gaps.next_if(|gap| *gap <= number).is_some();
            if !has_gap && !run.separates(event) {
                continue;
            }
            if has_gap || !run.continues(event) {
                self.run(&run.texts);
                run.end();
            }
            if run.separates(event) {
                run.add(event, reading, self.json);
            }
        }
        self.run(&run.texts);
    }

    /// Searches a run of texts, window by window.
    #[inline(never)]
    fn run(&mut self, run: &[u32]) {
        let left = work::remaining();
        let mut rest = run;
        while rest.len() >= 2 {
            // Matches that begin behind the first `step` texts of a window are those of the next one.
            let (window, step) = match rest.get(..MAX_JOINED_TEXTS) {
                Some(window) if window.len() < rest.len() => (window, WINDOW_STEP),
                _ => (rest, usize::MAX),
            };
            self.window(window, step);
            rest = rest.get(step..).unwrap_or_default();
        }
        if let [first, _, ..] = *run {
            let steps = left.saturating_sub(work::remaining());
            self.found.runs.push(RunSteps { first, steps });
        }
    }

    /// Searches for the matches over several texts of a window that begin in its first `step` texts.
    fn window(&mut self, texts: &[u32], step: usize) {
        let mut alone: Vec<CrossTextMatch> = Vec::new();
        let mut known = self.found.matches.len();
        for between in [GAP, "", " "] {
            let joined = JoinedText::of(texts, step, between, self.reading, self.json);
            if self.wants.literals && between != GAP {
                self.add_literals(&joined, between);
            }
            if !self.wants.detectors {
                continue;
            }
            self.add_findings(&joined, between, &mut alone);
            // A match found without a space is not reported again with one.
            alone.extend(self.found.matches.iter().skip(known).copied());
            known = self.found.matches.len();
            sort::sort_by_key(&mut alone, |part| part.text);
        }
    }

    fn add_literals(&mut self, joined: &JoinedText, between: &str) {
        let (matcher, found) = (self.matcher, &mut self.found.matches);
        matcher.each_literal(&joined.text, &mut |literal, range| {
            let length = range.len().min(matcher.literal_text(literal).len());
            let by_chance = between.is_empty() && length < SHORTEST_WITHOUT_SPACE;
            let finding = Finding {
                detector: NO_DETECTOR,
                start: range.start,
                end: range.end,
                confidence: Confidence::High,
            };
            let parts = joined.split(&finding, Some(literal));
            if !by_chance && is_over_several(&parts) && finding.start < joined.until {
                found.extend(parts);
            }
        });
    }

    /// Adds what detectors find; matches in one text alone to `alone`, which has those of the texts with other separators.
    fn add_findings(
        &mut self,
        joined: &JoinedText,
        between: &str,
        alone: &mut Vec<CrossTextMatch>,
    ) {
        let findings = &mut self.findings;
        findings.clear();
        let input = Input::whole(&joined.text);
        self.matcher
            .detectors
            .scan(&input, &mut self.scratch.detectors, findings);
        for finding in &*findings {
            let parts = joined.split(finding, None);
            // A detector may match even across the gap. Such a match is in no text alone.
            match is_over_several(&parts) {
                false if between == GAP => alone.extend(parts),
                true if between != GAP
                    && finding.start < joined.until
                    && !parts.iter().any(|part| part.is_among(alone)) =>
                {
                    self.found.matches.extend(parts);
                }
                _ => {}
            }
        }
    }
}

/// Ends of several texts, joined.
struct JoinedText {
    text: String,
    segments: Vec<JoinedSegment>,
    /// End of the texts in which a match may begin.
    until: usize,
}

impl JoinedText {
    /// Joins texts, with `between` between them. A match may begin in the first `step` of them.
    fn of(
        texts: &[u32],
        step: usize,
        between: &str,
        reading: &Reading,
        json: &JsonBody<'_>,
    ) -> JoinedText {
        let mut joined = JoinedText {
            text: String::new(),
            segments: Vec::new(),
            until: usize::MAX,
        };
        for (at, number) in texts.iter().enumerate() {
            let value = reading
                .texts
                .get(index(*number))
                .and_then(|text| json.value(text.place)?.text());
            let text = value.unwrap_or_default();
            if !joined.segments.is_empty() {
                joined.text.push_str(between);
            }
            if at == step {
                joined.until = joined.text.len();
            }
            let head = text.floor_char_boundary(JOINED_END);
            let tail = text.ceil_char_boundary(text.len().saturating_sub(JOINED_END));
            match (text.get(..head), text.get(tail..)) {
                (Some(first), Some(rest)) if head < tail => {
                    joined.add(*number, 0, first);
                    // The middle of the text is left out, so no match may extend across it.
                    joined.add(*number, head, GAP);
                    joined.add(*number, tail, rest);
                }
                _ => joined.add(*number, 0, &text),
            }
        }
        joined
    }

    /// Adds a part of a text, which starts at `start` in it.
    fn add(&mut self, text: u32, start: usize, part: &str) {
        let begin = self.text.len();
        self.text.push_str(part);
        self.segments.push(JoinedSegment {
            joined: begin..self.text.len(),
            text,
            start,
        });
    }

    /// Splits a finding into its parts in each text.
    #[inline(never)]
    fn split(&self, finding: &Finding, literal: Option<u32>) -> Vec<CrossTextMatch> {
        let segments = &self.segments;
        let from = segments.partition_point(|segment| segment.joined.end <= finding.start);
        let local = |segment: &JoinedSegment, at: usize| {
            at.saturating_sub(segment.joined.start)
                .saturating_add(segment.start)
        };
        segments
            .get(from..)
            .unwrap_or_default()
            .iter()
            .take_while(|segment| segment.joined.start < finding.end)
            .map(|segment| {
                let start = finding.start.max(segment.joined.start);
                let end = finding.end.min(segment.joined.end);
                CrossTextMatch {
                    text: segment.text,
                    literal,
                    finding: Finding {
                        start: local(segment, start),
                        end: local(segment, end),
                        ..*finding
                    },
                    is_first: start == finding.start,
                }
            })
            .filter(|part| part.finding.start < part.finding.end)
            .collect()
    }
}

impl CrossTextMatch {
    /// Returns whether a match of the same detector was found in the same place; `others` are sorted by text.
    fn is_among(&self, others: &[CrossTextMatch]) -> bool {
        let from = others.partition_point(|other| other.text < self.text);
        let others = others.get(from..).unwrap_or_default().iter();
        let mut here = others.take_while(|other| other.text == self.text);
        here.any(|other| {
            other.finding.detector == self.finding.detector
                && other.finding.start < self.finding.end
                && self.finding.start < other.finding.end
        })
    }
}

fn is_over_several(parts: &[CrossTextMatch]) -> bool {
    let first = parts.first().map(|part| part.text);
    parts.iter().any(|part| Some(part.text) != first)
}
