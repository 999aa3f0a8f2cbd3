//! A text that arrives in pieces. What no rule, pattern or detector could still match is settled and can leave; the rest is
//! held back. Whole texts and texts in pieces have the same findings.

use super::cross_text::SHORTEST_WITHOUT_SPACE;
use super::text_scan::{CrossTextMatch, KeptScan, KeptScans, MatchKinds, TextScan, TextSpans};
use crate::detect::normalise::stable_len;
use crate::detect::scan::{LOOK_BEHIND, Tables};
use crate::detect::{Ending, Finding, Input};
use crate::policy::compiled_policy::Policy;
use crate::policy::scan::{Matcher, ScanScratch, Scans};
use crate::wire::sort;
use std::ops::Range;

/// Bytes before the settled end that are read again for literals: more than an escape with all its layers.
const LITERAL_CONTEXT: usize = 64;

/// A text of a stream: what is still held back of it, and what stands before that for context.
#[derive(Debug, Default)]
pub struct HoldbackBuffer {
    /// What the text goes by.
    pub name: Option<Box<str>>,
    /// Context, and then what is not settled.
    text: String,
    /// Where in the whole text `text` begins, in bytes.
    base: usize,
    /// How much of `text` is settled.
    settled: usize,
    /// How many characters of the whole text are settled.
    characters: u64,
    /// How much of `text` would be settled if nothing had been taken for its end.
    sure: usize,
    /// How much of `text` has left although it was not sure: it went on after its end.
    left: usize,
    /// Whether the detectors have to see all of the context.
    far: bool,
    /// Whether only what begins in what has left is of interest: the rest is evaluated elsewhere.
    pub joins: bool,
    /// How much of `text` is the end of another text, which this one follows: only what begins there is of interest.
    other: usize,
    /// What stands in that end alone.
    alone: Vec<Finding>,
    /// How much has to be held back before it is worth looking again.
    patience: usize,
    /// A match that outran its reach: the rest of the text belongs to it.
    endless: Option<Finding>,
    /// The tables that go on where the text is sure.
    tables: Tables,
}

/// What is held back is looked through again with each piece, up to here; from here on only once it has grown by an eighth,
/// so that a pattern without an end (`ignore.*`) costs no more than its text is long.
const EACH_PIECE: usize = 1_024;

/// What else a text is looked through for while it flows: what stands for something else in it.
pub trait Watch {
    /// Whether something of it stands in a text.
    fn stands_in(&self, text: &str) -> bool;

    /// The last place up to `at` at which a text that goes on can be cut without cutting something of it.
    fn cut(&self, text: &str, at: usize) -> usize;
}

/// A part of the text in which something was found, and which nothing that follows can change.
#[derive(Debug)]
pub struct Settled {
    /// Where it begins in the whole text, in bytes.
    pub start: usize,
    /// How many characters stand before it.
    pub characters: u64,
    /// The part.
    pub text: String,
    /// What stands in it, counted from its beginning.
    scan: KeptScan,
}

impl Settled {
    /// What was found, for whoever evaluates a body whose only text is this part.
    pub fn scans(&mut self) -> Scans {
        let mut texts = KeptScans::new(1);
        texts.put(0, std::mem::take(&mut self.scan));
        Scans {
            texts,
            ..Scans::default()
        }
    }
}

impl HoldbackBuffer {
    /// The beginning of a text behind the end of another one. Readers who join them find there what whole texts are looked
    /// through for, too: values, and longer texts of rules.
    pub fn behind(end: &str, policy: &Policy, scratch: &mut ScanScratch) -> HoldbackBuffer {
        let mut alone = Vec::new();
        let detectors = &policy.matcher.detectors;
        detectors.scan(&Input::whole(end), &mut scratch.detectors, &mut alone);
        HoldbackBuffer {
            text: end.to_owned(),
            alone,
            left: end.len(),
            other: end.len(),
            joins: true,
            ..HoldbackBuffer::default()
        }
    }

    /// Whether the text follows another one.
    pub fn is_behind(&self) -> bool {
        self.other > 0
    }

    /// Whether something was found in the end of the other text that is not settled there: it is what it is for who joins them,
    /// and another thing may become of it where that text goes on.
    pub fn is_behind_finding(&self, other: &HoldbackBuffer) -> bool {
        let sure = self.other.saturating_sub(other.held());
        self.alone.iter().any(|found| found.end > sure)
    }

    /// Up to where the whole text is settled, in bytes.
    pub fn settled(&self) -> usize {
        self.base.saturating_add(self.settled)
    }

    /// How much text has come, in bytes.
    pub fn length(&self) -> usize {
        self.base.saturating_add(self.text.len())
    }

    /// What was taken for the end of the text is none. Whatever was settled only by that is looked at again with what
    /// follows, though it has left.
    pub fn reopen(&mut self) {
        let again = self.text.get(self.sure..self.settled).unwrap_or_default();
        self.characters = self.characters.saturating_sub(count(again));
        self.left = self.settled.max(self.left);
        self.settled = self.sure;
        self.patience = 0;
    }

    /// Takes in a piece; with `ending` final, the last. What comes back was found in what is settled by it.
    pub fn push(
        &mut self,
        policy: &Policy,
        piece: &str,
        ending: Ending,
        watch: &dyn Watch,
        scratch: &mut ScanScratch,
    ) -> Option<Settled> {
        self.text.push_str(piece);
        if ending == Ending::Open && self.held() < self.patience {
            return None;
        }
        let wants = policy.needs.response;
        let mut found = WindowMatches {
            scan: TextScan::default(),
            spans: TextSpans::default(),
            endless: None,
            safe: self.text.len(),
        };
        if wants != MatchKinds::default() && !self.text.is_empty() {
            let mut sought = wants;
            sought.patterns &= !self.is_behind();
            self.look(policy, sought, ending, scratch, &mut found);
            let alone = |found: &Finding, known: &Finding| {
                known.detector == found.detector && known.end > found.start
            };
            let findings = &mut found.scan.findings;
            findings.retain(|found| !self.alone.iter().any(|known| alone(found, known)));
        }
        let rest = self.text.get(self.settled..).unwrap_or_default();
        let safe = match ending {
            Ending::Final => self.text.len(),
            Ending::Open => {
                let mut at = self.text.floor_char_boundary(found.safe.max(self.settled));
                loop {
                    let cut = watch.cut(rest, at.saturating_sub(self.settled));
                    let cut = cut.saturating_add(self.settled);
                    if cut >= at {
                        break at;
                    }
                    found.safe = cut;
                    found.settle();
                    at = found.safe.max(self.settled);
                }
            }
        };
        if safe == self.text.len() {
            self.endless = self.endless.or(found.endless);
        }
        let start = std::mem::replace(&mut self.settled, safe);
        self.sure = match ending {
            Ending::Final => start,
            Ending::Open => safe,
        };
        if wants.detectors && self.sure > start {
            let detectors = &policy.matcher.detectors;
            detectors.follow(&mut self.tables, &self.text, start, safe);
        }
        found.keep(start..safe, self.left, self.joins, self.other);
        if wants.detectors && self.is_behind() {
            self.leave_to_text(policy, start, scratch, &mut found.scan);
        }
        let part = self.text.get(start..safe).unwrap_or_default();
        let is_of_interest = !found.scan.is_blank() || watch.stands_in(part);
        let settled = is_of_interest.then(|| Settled {
            start: self.base.saturating_add(start),
            characters: self.characters,
            text: part.to_owned(),
            scan: KeptScan::new(
                wants,
                TextScan {
                    spans: Some(Box::new(found.spans)),
                    ..found.scan
                },
            ),
        });
        self.characters = self.characters.saturating_add(count(part));
        let held = self.held();
        self.patience = match held {
            0..EACH_PIECE => 0,
            _ => held.saturating_add(held >> 3),
        };
        self.forget();
        settled
    }

    /// Of what begins in the other text, what the text holds alone, too, is told there: it goes on here without being told.
    fn leave_to_text(
        &self,
        policy: &Policy,
        start: usize,
        scratch: &mut ScanScratch,
        scan: &mut TextScan,
    ) {
        let TextScan {
            findings, splits, ..
        } = scan;
        if findings.is_empty() {
            return;
        }
        let text = self.text.get(self.other..).unwrap_or_default();
        let mut alone = Vec::new();
        let detectors = &policy.matcher.detectors;
        detectors.scan(&Input::whole(text), &mut scratch.detectors, &mut alone);
        findings.retain(|found| {
            let end = found.end.saturating_add(start);
            let is_alone = alone.iter().any(|known| {
                known.detector == found.detector && known.start.saturating_add(self.other) < end
            });
            splits.extend(is_alone.then_some(CrossTextMatch {
                text: 0,
                literal: None,
                finding: *found,
                is_first: false,
            }));
            !is_alone
        });
    }

    /// How much is held back, in bytes.
    fn held(&self) -> usize {
        self.text.len().saturating_sub(self.settled)
    }

    fn look(
        &mut self,
        policy: &Policy,
        wants: MatchKinds,
        ending: Ending,
        scratch: &mut ScanScratch,
        found: &mut WindowMatches,
    ) {
        let matcher = &policy.matcher;
        let is_open = ending == Ending::Open;
        if let Some(endless) = self.endless {
            found.scan.findings.push(Finding {
                start: self.settled,
                end: self.text.len(),
                ..endless
            });
        } else if wants.detectors {
            let input = Input {
                text: &self.text,
                key: self.name.as_deref(),
                tables: Some(&self.tables),
                settled: self.settled,
                ending,
                far: self.far,
            };
            let safe =
                matcher
                    .detectors
                    .scan(&input, &mut scratch.detectors, &mut found.scan.findings);
            found.safe = found.safe.min(safe);
            found.scan.incomplete = scratch.detectors.is_incomplete();
            self.far = scratch.detectors.looks_far();
            found.endless = scratch.detectors.endless();
        }
        let spans = &mut found.spans;
        if wants.patterns {
            for (number, pattern) in matcher.patterns.patterns().iter().enumerate() {
                let number = crate::wire::span::offset(number);
                pattern.spans(
                    &self.text,
                    self.settled,
                    &mut scratch.patterns,
                    &mut |range| {
                        spans.patterns.push((number, range));
                    },
                );
                if is_open {
                    let begun = pattern.begun(&self.text, self.settled, &mut scratch.patterns);
                    found.safe = found.safe.min(begun);
                }
            }
        }
        if wants.literals {
            // How a hidden character is read depends on what stands before it: `s\u{200d}end` is `s end` too.
            let first = self.text.as_bytes().get(self.settled);
            let context = match first {
                Some(b' '..=b'~' | b'\t' | b'\n' | b'\r') | None => 0,
                Some(_) => LITERAL_CONTEXT,
            };
            let from = self.settled.saturating_sub(context);
            let from = self.text.floor_char_boundary(from);
            let rest = self.text.get(from..).unwrap_or_default();
            let moved = |range: Range<usize>| {
                range.start.saturating_add(from)..range.end.saturating_add(from)
            };
            matcher.literals.find(rest, &mut |literal, range| {
                let exact = matcher.is_as_written(literal, rest, &range);
                spans.literals.push((literal, moved(range), exact));
            });
            matcher.each_view(rest, &mut |view| {
                matcher.literals.find(view.text(), &mut |literal, range| {
                    spans
                        .literals
                        .push((literal, moved(view.original(range)), false));
                });
            });
            if is_open {
                let begun = literal_begun(matcher, rest).saturating_add(from);
                found.safe = found.safe.min(begun);
            }
        }
        if is_open {
            found.settle();
        }
    }

    /// Lets go of context that nothing looks back to.
    fn forget(&mut self) {
        // Not byte by byte: moving the rest down costs more than keeping a little too much.
        let surplus = self.sure.saturating_sub(LOOK_BEHIND);
        if surplus < LOOK_BEHIND {
            return;
        }
        let cut = self.text.floor_char_boundary(surplus);
        self.text.drain(..cut);
        self.base = self.base.saturating_add(cut);
        self.settled = self.settled.saturating_sub(cut);
        self.sure = self.sure.saturating_sub(cut);
        self.left = self.left.saturating_sub(cut);
        self.other = self.other.saturating_sub(cut);
    }
}

fn count(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

/// The first place at the end of a text where a literal may have begun, as written or as it is read.
fn literal_begun(matcher: &Matcher, text: &str) -> usize {
    // An escape, an entity, a letter and its accent may be cut in two: whatever it comes to goes on what stands before it.
    let stable = stable_len(text);
    let mut first = stable;
    let cut = text.get(..stable).filter(|_| stable < text.len());
    for text in std::iter::once(text).chain(cut) {
        let begun = matcher.literals.begun(text);
        if begun < text.len() {
            first = first.min(begun);
        }
        matcher.each_view(text, &mut |view| {
            let begun = matcher.literals.begun(view.text());
            if begun < view.text().len() {
                first = first.min(view.original(begun..begun).start);
            }
        });
    }
    first
}

/// What was found in the whole window, and how far it can't change any more.
struct WindowMatches {
    scan: TextScan,
    spans: TextSpans,
    endless: Option<Finding>,
    safe: usize,
}

impl WindowMatches {
    /// Moves the safe point before whatever it would cut in two: what is found there is not settled either.
    fn settle(&mut self) {
        let patterns = self.spans.patterns.iter().map(|(_, range)| range.clone());
        let literals = self.spans.literals.iter();
        let literals = literals.map(|(_, range, _)| range.clone());
        let mut ranges: Vec<Range<usize>> = patterns
            .chain(literals)
            .chain(self.scan.findings.iter().map(|finding| finding.range()))
            .filter(|range| range.start < self.safe)
            .collect();
        // From the last on, so that moving before one can't cut another that was passed already.
        sort::sort_by_key(&mut ranges, |range| std::cmp::Reverse(range.start));
        for range in ranges {
            if range.start < self.safe && range.end > self.safe {
                self.safe = range.start;
            }
        }
    }

    /// Keeps what lies in `range`, unless it had left as a whole, or none of it had and it `joins`; counted from the range's
    /// beginning. Behind another text, what begins there is kept.
    fn keep(&mut self, range: Range<usize>, left: usize, joins: bool, other: usize) {
        let begin = if other > 0 { other } else { left };
        let inside = |found: &Range<usize>| {
            found.start >= range.start
                && found.end <= range.end
                && found.end > left
                && !(joins && found.start >= begin)
        };
        let moved = |found: &Range<usize>| {
            found.start.saturating_sub(range.start)..found.end.saturating_sub(range.start)
        };
        self.scan.findings.retain_mut(|finding| {
            let keeps = inside(&finding.range());
            let range = moved(&finding.range());
            (finding.start, finding.end) = (range.start, range.end);
            keeps
        });
        let spans = &mut self.spans;
        spans.patterns.retain_mut(|(_, span)| {
            let keeps = inside(span);
            *span = moved(span);
            keeps
        });
        spans.literals.retain_mut(|(_, span, _)| {
            let keeps = inside(span) && (other == 0 || span.len() >= SHORTEST_WITHOUT_SPACE);
            *span = moved(span);
            keeps
        });
        self.scan.patterns = spans.patterns.iter().map(|(pattern, _)| *pattern).collect();
        self.scan.literals = spans
            .literals
            .iter()
            .map(|(literal, ..)| *literal)
            .collect();
        self.scan.exact = spans
            .literals
            .iter()
            .filter(|(.., exact)| *exact)
            .map(|(literal, ..)| *literal)
            .collect();
        for list in [
            &mut self.scan.patterns,
            &mut self.scan.literals,
            &mut self.scan.exact,
        ] {
            sort::sort(list);
            list.dedup();
        }
    }
}

#[cfg(test)]
mod tests;
