//! What is split over several texts that a reader joins: the parts of a message, messages of one author in a row, texts of an
//! answer with nothing but what stands beside them in between.
//!
//! Only the ends of the texts are looked at together, once as they follow one another and once with a space between
//! them. What one text holds alone was found there, and isn't joined with a word before it.

use super::text_scan::{CrossTextMatch, MatchKinds};
use crate::detect::{Confidence, Finding, Input};
use crate::event::{Class, Direction, Event, Form, Kind, Part, Reading};
use crate::policy::scan::{Matcher, ScanScratch};
use crate::wire::json::JsonBody;
use crate::wire::sort;
use crate::wire::span::index;
use std::ops::Range;

/// Bytes at each end of a text that are looked at. A longer value that is split is not found.
pub(crate) const JOINED_END: usize = 512;

/// What nothing goes across.
const GAP: &str = "\n\u{0}\n;\n\u{0}\n";

/// Most texts that are looked at together.
const MAX_JOINED_TEXTS: usize = 10_000;

/// Shorter texts of rules stand by chance where one text ends and the next begins.
pub(crate) const SHORTEST_WITHOUT_SPACE: usize = 8;

/// Detector of a finding that no detector made.
const NO_DETECTOR: u16 = u16::MAX;

/// Whether clients join texts of a class and a part: what is said, and what is thought, which its provider may have signed.
pub(crate) fn is_joined(class: Class, part: Part) -> bool {
    match part {
        Part::Text => class == Class::Text,
        Part::Reasoning => matches!(class, Class::Text | Class::Sealed),
        _ => false,
    }
}

/// A stretch of the joined text: which text it is from, and where it begins there.
struct JoinedSegment {
    joined: Range<usize>,
    text: u32,
    start: usize,
}

/// Everything in a body that is split over texts.
pub(crate) fn find(
    reading: &Reading,
    json: &JsonBody<'_>,
    matcher: &Matcher,
    wants: MatchKinds,
    scratch: &mut ScanScratch,
) -> Vec<CrossTextMatch> {
    let mut found = Vec::new();
    let is_request = |event: &Event| event.direction == Direction::Request;
    let parts: &[Part] = match reading.events.first().is_some_and(is_request) {
        // Nobody joins the thoughts of earlier answers.
        true => &[Part::Text],
        false => &[Part::Text, Part::Reasoning],
    };
    for &part in parts {
        find_in(part, reading, json, matcher, wants, scratch, &mut found);
    }
    found
}

/// The same in texts of one part.
fn find_in(
    part: Part,
    reading: &Reading,
    json: &JsonBody<'_>,
    matcher: &Matcher,
    wants: MatchKinds,
    scratch: &mut ScanScratch,
    found: &mut Vec<CrossTextMatch>,
) {
    let mut run: Vec<u32> = Vec::new();
    let mut last: Option<&Event> = None;
    for event in &reading.events {
        let is_said = matches!(event.kind, Kind::Message | Kind::Response);
        // Texts of a response on both sides of a call are texts of their own, as they are in streams.
        let is_between = event.direction == Direction::Response
            && matches!(event.kind, Kind::ToolCall | Kind::ToolResult);
        // What stands beside a text doesn't stand between it and the next, nor does a thought, which many clients don't show.
        let is_beside = match (event.direction, part) {
            (_, Part::Reasoning) => event.part != part,
            (Direction::Response, _) => matches!(event.part, Part::Other | Part::Reasoning),
            (Direction::Request, _) => event.part == Part::Other,
        };
        if !is_between && (!is_said || is_beside) {
            continue;
        }
        if last.is_none_or(|last| !goes_on(last, event)) {
            join(&run, reading, json, matcher, wants, scratch, found);
            run.clear();
        }
        last = Some(event);
        let joins = is_said && event.part == part;
        for number in event.texts.clone().filter(|_| joins) {
            // What goes by a name stands alone: nobody joins the values of a tool's result.
            let is_text = reading.texts.get(index(number)).is_some_and(|text| {
                is_joined(text.class, part) && text.form == Form::String && text.key().is_none()
            });
            if is_text && run.last() != Some(&number) {
                run.push(number);
            }
        }
    }
    join(&run, reading, json, matcher, wants, scratch, found);
}

fn goes_on(last: &Event, next: &Event) -> bool {
    last.kind == next.kind
        && last.part == next.part
        && last.from == next.from
        && last.choice == next.choice
        && last.tool == next.tool
        // A response may say all of its text once more.
        && (next.direction == Direction::Request || last.is_duplicate == next.is_duplicate)
}

#[inline(never)]
fn join(
    run: &[u32],
    reading: &Reading,
    json: &JsonBody<'_>,
    matcher: &Matcher,
    wants: MatchKinds,
    scratch: &mut ScanScratch,
    found: &mut Vec<CrossTextMatch>,
) {
    if run.len() < 2 {
        return;
    }
    let mut findings = Vec::new();
    let mut alone: Vec<CrossTextMatch> = Vec::new();
    let mut known = found.len();
    for between in [GAP, "", " "] {
        let mut joined = String::new();
        let mut stretches: Vec<JoinedSegment> = Vec::new();
        for number in run.iter().take(MAX_JOINED_TEXTS) {
            let value = reading
                .texts
                .get(index(*number))
                .and_then(|text| json.value(text.place)?.text());
            let Some(text) = value else { continue };
            if !stretches.is_empty() {
                joined.push_str(between);
            }
            let mut add = |start: usize, part: &str| {
                let begin = joined.len();
                joined.push_str(part);
                stretches.push(JoinedSegment {
                    joined: begin..joined.len(),
                    text: *number,
                    start,
                });
            };
            let head = text.floor_char_boundary(JOINED_END);
            let tail = text.ceil_char_boundary(text.len().saturating_sub(JOINED_END));
            match (text.get(..head), text.get(tail..)) {
                (Some(first), Some(rest)) if head < tail => {
                    add(0, first);
                    // What stands in the middle is not here: nothing goes across.
                    add(head, GAP);
                    add(tail, rest);
                }
                _ => add(0, &text),
            }
        }
        if wants.literals && between != GAP {
            matcher.each_literal(&joined, &mut |literal, range| {
                let length = range.len().min(matcher.literal_text(literal).len());
                let by_chance = between.is_empty() && length < SHORTEST_WITHOUT_SPACE;
                let finding = Finding {
                    detector: NO_DETECTOR,
                    start: range.start,
                    end: range.end,
                    confidence: Confidence::High,
                };
                let parts = split(&finding, Some(literal), &stretches);
                if !by_chance && is_over_several(&parts) {
                    found.extend(parts);
                }
            });
        }
        if !wants.detectors {
            continue;
        }
        findings.clear();
        let input = Input::whole(&joined);
        matcher
            .detectors
            .scan(&input, &mut scratch.detectors, &mut findings);
        for finding in &findings {
            let parts = split(finding, None, &stretches);
            // A detector may go across even the gap: no text holds that alone.
            match is_over_several(&parts) {
                false if between == GAP => alone.extend(parts),
                true if between != GAP && !parts.iter().any(|part| part.is_among(&alone)) => {
                    found.extend(parts);
                }
                _ => {}
            }
        }
        // What was found without a space isn't found with one again.
        alone.extend(found.iter().skip(known).copied());
        known = found.len();
        sort::sort_by_key(&mut alone, |part| part.text);
    }
}

impl CrossTextMatch {
    /// Whether something of the same kind was found in the same place; `others` are by text.
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

/// What a finding has of each text.
#[inline(never)]
fn split(
    finding: &Finding,
    literal: Option<u32>,
    stretches: &[JoinedSegment],
) -> Vec<CrossTextMatch> {
    let from = stretches.partition_point(|stretch| stretch.joined.end <= finding.start);
    let local = |stretch: &JoinedSegment, at: usize| {
        at.saturating_sub(stretch.joined.start)
            .saturating_add(stretch.start)
    };
    stretches
        .get(from..)
        .unwrap_or_default()
        .iter()
        .take_while(|stretch| stretch.joined.start < finding.end)
        .map(|stretch| {
            let start = finding.start.max(stretch.joined.start);
            let end = finding.end.min(stretch.joined.end);
            CrossTextMatch {
                text: stretch.text,
                literal,
                finding: Finding {
                    start: local(stretch, start),
                    end: local(stretch, end),
                    ..*finding
                },
                is_first: start == finding.start,
            }
        })
        .filter(|part| part.finding.start < part.finding.end)
        .collect()
}
