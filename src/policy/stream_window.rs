//! Window of a text that arrives in pieces. The part that no rule, pattern or detector could still match is settled and can
//! be released; the rest is held back. A text in pieces has the same findings as the whole text.

use super::cross_text::SHORTEST_WITHOUT_SPACE;
use super::text_scan::{CrossTextMatch, KeptScan, KeptScans, MatchKinds, TextScan, TextSpans};
use crate::detect::normalise::stable_len;
use crate::detect::scan::{LOOK_BEHIND, Tables};
use crate::detect::{Ending, Finding, Input};
use crate::policy::compiled_policy::Policy;
use crate::policy::scan::{Matcher, ScanScratch, Scans};
use crate::wire::sort;
use std::ops::Range;

/// Bytes before the settled end that are scanned again for literals: more than an escape with all its layers.
const LITERAL_CONTEXT: usize = 64;

/// Buffer of a streamed text: the part that is still held back, and context before it.
#[derive(Debug, Default)]
pub struct HoldbackBuffer {
    /// Name of the text.
    pub name: Option<Box<str>>,
    /// Context, followed by the part that is not settled.
    text: String,
    /// Start of `text` in the whole text, in bytes.
    base: usize,
    /// Bytes of `text` that are settled.
    settled: usize,
    /// Characters of the whole text that are settled.
    characters: u64,
    /// Bytes of `text` that would be settled if no end of the text had been assumed.
    sure: usize,
    /// Bytes of `text` that were released at an assumed end, although the text then continued.
    left: usize,
    /// Whether the detectors need all of the context.
    far: bool,
    /// Whether only matches that begin in the released part count. The rest is evaluated elsewhere.
    pub joins: bool,
    /// Bytes of `text` that are the end of another text, which this one follows. Only matches that begin there count.
    other: usize,
    /// Findings within that end alone.
    alone: Vec<Finding>,
    /// Bytes that must be held back before another scan is worthwhile.
    patience: usize,
    /// Match that exceeded its lookahead: the rest of the text belongs to it.
    endless: Option<Finding>,
    /// State of the tables that continue where the text is settled for sure.
    tables: Tables,
}

/// Maximum bytes held back that are scanned again with each piece. Beyond it they are scanned only after growing by an
/// eighth, so that a pattern without an end (`ignore.*`) costs no more than in proportion to the length of its text.
const EACH_PIECE: usize = 1_024;

/// Search for further strings in a streamed text: pseudonyms, which stand for other texts.
pub trait Watch {
    /// Returns the text with what its strings stand for; `None` if it contains none.
    fn restored(&self, text: &str) -> Option<String>;

    /// Returns the last place up to `at` at which a text that continues can be cut without cutting such a string.
    fn cut(&self, text: &str, at: usize) -> usize;
}

/// Part of the text in which something was found, and which no later text can change.
#[derive(Debug)]
pub struct Settled {
    /// Start in the whole text, in bytes.
    pub start: usize,
    /// Number of characters before it.
    pub characters: u64,
    /// Text of the part.
    pub text: String,
    /// Scan of the part with what its strings stand for, with places counted from its start.
    scan: KeptScan,
}

impl Settled {
    /// Returns the scan for the evaluation of a body whose only text is this part.
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
    /// Creates the buffer of a text that follows the end of another one. For readers who join both, the buffer finds what
    /// is also searched across whole texts: detectors' findings and longer literals.
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

    /// Returns whether the text follows another one.
    pub fn is_behind(&self) -> bool {
        self.other > 0
    }

    /// Returns whether a finding in the end of the other text is not settled there: it is a finding in the joined text, but
    /// may become another one where the other text continues.
    pub fn is_behind_finding(&self, other: &HoldbackBuffer) -> bool {
        let sure = self.other.saturating_sub(other.held());
        self.alone.iter().any(|found| found.end > sure)
    }

    /// Returns the settled end in the whole text, in bytes.
    pub fn settled(&self) -> usize {
        self.base.saturating_add(self.settled)
    }

    /// Returns the length of the text so far, in bytes.
    pub fn length(&self) -> usize {
        self.base.saturating_add(self.text.len())
    }

    /// Continues the text after its assumed end. The part that was settled only by that end is scanned again with what
    /// follows, although it has been released.
    pub fn reopen(&mut self) {
        let again = self.text.get(self.sure..self.settled).unwrap_or_default();
        self.characters = self.characters.saturating_sub(count(again));
        self.left = self.settled.max(self.left);
        self.settled = self.sure;
        self.patience = 0;
    }

    /// Adds a piece, the last one if `ending` is final. Returns the part that the piece settles, if something was found in
    /// it.
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
        let mut found = WindowMatches::before(self.text.len());
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
        let restored = self.look_at_restored(policy, safe, watch, ending, scratch);
        let start = std::mem::replace(&mut self.settled, safe);
        self.sure = match ending {
            Ending::Final => start,
            Ending::Open => safe,
        };
        if wants.detectors && self.sure > start {
            let detectors = &policy.matcher.detectors;
            detectors.follow(&mut self.tables, &self.text, start, safe);
        }
        let (is_restored, end) = match restored {
            Some((restored, end)) => {
                found = restored;
                (true, end)
            }
            None => (false, safe),
        };
        found.keep(start..end, self.left, self.joins, self.other);
        if wants.detectors && self.is_behind() {
            self.leave_to_text(policy, start, scratch, &mut found.scan);
        }
        let part = self.text.get(start..safe).unwrap_or_default();
        let is_of_interest = !found.scan.is_blank() || is_restored;
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

    /// Scans the part that is settled up to `safe` with what its strings stand for, between the text before and behind it: a
    /// word or a heading before it decides what is found in it. Returns the matches, and the end of the part; `None` if it
    /// contains no such string.
    fn look_at_restored(
        &mut self,
        policy: &Policy,
        safe: usize,
        watch: &dyn Watch,
        ending: Ending,
        scratch: &mut ScanScratch,
    ) -> Option<(WindowMatches, usize)> {
        let (before, rest) = self.text.split_at_checked(self.settled)?;
        let (part, behind) = rest.split_at_checked(safe.saturating_sub(self.settled))?;
        let part = watch.restored(part)?;
        let end = self.settled.saturating_add(part.len());
        let text = [before, &part, behind].concat();
        let (text, far) = (std::mem::replace(&mut self.text, text), self.far);
        let mut found = WindowMatches::before(self.text.len());
        self.look(policy, policy.needs.response, ending, scratch, &mut found);
        (self.text, self.far) = (text, far);
        // A number that a string stands for may go on in the text behind it.
        found.scan.findings.retain_mut(|finding| {
            finding.end = finding.end.min(end);
            finding.start < end
        });
        found.spans.patterns.retain_mut(|(_, range)| {
            range.end = range.end.min(end);
            range.start < end
        });
        Some((found, end))
    }

    /// Marks findings that begin in the other text, but that this text alone contains as well, as not beginning there. They
    /// are counted for this text alone.
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

    /// Returns the number of bytes held back.
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
            // The reading of a hidden character depends on the text before it: `s\u{200d}end` is also `s end`.
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

    /// Drops context that is no longer needed.
    fn forget(&mut self) {
        // Not byte by byte: moving the rest costs more than keeping a little too much.
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

/// Returns the first place at the end of a text where a literal may have begun, as written or normalised.
fn literal_begun(matcher: &Matcher, text: &str) -> usize {
    // An escape, an entity, or a letter and its accent may be cut in two. Their result continues the text before them.
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

/// Matches in the whole window, and the end up to which they can't change any more.
struct WindowMatches {
    scan: TextScan,
    spans: TextSpans,
    endless: Option<Finding>,
    safe: usize,
}

impl WindowMatches {
    /// Creates the matches of a text of this length before its scan.
    fn before(length: usize) -> WindowMatches {
        WindowMatches {
            scan: TextScan::default(),
            spans: TextSpans::default(),
            endless: None,
            safe: length,
        }
    }

    /// Moves the safe end before every match that it would cut in two; such a match is not settled either.
    fn settle(&mut self) {
        let patterns = self.spans.patterns.iter().map(|(_, range)| range.clone());
        let literals = self.spans.literals.iter();
        let literals = literals.map(|(_, range, _)| range.clone());
        let mut ranges: Vec<Range<usize>> = patterns
            .chain(literals)
            .chain(self.scan.findings.iter().map(|finding| finding.range()))
            .filter(|range| range.start < self.safe)
            .collect();
        // From the last match on, so that a move can't cut a match that was passed already.
        sort::sort_by_key(&mut ranges, |range| std::cmp::Reverse(range.start));
        for range in ranges {
            if range.start < self.safe && range.end > self.safe {
                self.safe = range.start;
            }
        }
    }

    /// Keeps the matches within `range`, with places counted from its start. A match that was released as a whole is
    /// dropped; if `joins`, so is one that begins after the released part. After another text, only matches that begin in
    /// that text are kept.
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
