//! One pass over a text for all detectors that a policy asks for.

use std::ops::Range;

use super::normalise::{View, stable_len};
use super::select::Selection;
use super::{Confidence, DETECTORS, Detector, Finding};
use pass::{Memory, Plan, Raw};

mod beginnings;
mod context;
mod forms;
pub(super) mod keyed;
mod pass;
pub(super) mod place;
mod text;

/// Whether the text ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// This is all of it.
    Final,
    /// More may follow.
    Open,
}

/// A text, or what is there of it.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The text. Of a stream: at least the last [`LOOK_BEHIND`] bytes before `settled` and everything after it.
    pub text: &'a str,
    /// The JSON key or column name that the text stands under.
    pub key: Option<&'a str>,
    /// Bytes at the start of `text` that an earlier scan called safe: they are context, nothing is found in them.
    pub settled: usize,
    /// Whether the text ends here.
    pub ending: Ending,
}

/// So many bytes before a value are looked at for context; a stream keeps them.
pub const LOOK_BEHIND: usize = 1_024;

impl<'a> Input<'a> {
    /// A whole text.
    pub fn whole(text: &'a str) -> Self {
        Self {
            text,
            key: None,
            settled: 0,
            ending: Ending::Final,
        }
    }

    /// A text that goes on, of which `settled` bytes have been dealt with.
    pub fn open(text: &'a str, settled: usize) -> Self {
        Self {
            text,
            key: None,
            settled,
            ending: Ending::Open,
        }
    }

    /// The same under a key.
    pub fn under(self, key: Option<&'a str>) -> Self {
        Self { key, ..self }
    }
}

/// Memory that scans reuse.
#[derive(Debug, Default)]
pub struct Scratch {
    view: View,
    memory: Memory,
    raw: Vec<Raw>,
    found: Vec<Finding>,
}

/// The detectors of a policy, ready to run.
#[derive(Clone, Debug)]
pub struct Scanner {
    slots: Vec<Slot>,
    plan: Plan,
}

/// A detector that runs.
#[derive(Clone, Copy, Debug)]
struct Slot {
    index: u16,
    threshold: Confidence,
    detector: &'static Detector,
    /// Its place among the detectors that have words of context.
    context: Option<u16>,
}

impl Slot {
    /// The detector's place in a set of those that have words of context.
    fn context_bit(&self) -> context::Slots {
        self.context
            .map_or(0, |place| 1u128.checked_shl(u32::from(place)).unwrap_or(0))
    }
}

impl Scanner {
    /// Prepares the detectors of a selection.
    pub fn new(selection: &Selection) -> Self {
        let selected = || {
            (0u16..)
                .zip(DETECTORS)
                .filter(|(index, _)| selection.threshold(*index).is_some())
        };
        let contexts = pass::number_contexts(selected().map(|(_, detector)| *detector));
        let slots: Vec<Slot> = selected()
            .zip(contexts)
            .map(|((index, detector), context)| Slot {
                index,
                threshold: selection.threshold(index).unwrap_or(Confidence::High),
                detector,
                context,
            })
            .collect();
        let plan = Plan::new(&slots);
        Self { slots, plan }
    }

    /// Adds the findings of a text, by start. Returns the safe point: no finding crosses it, and neither the
    /// findings before it nor that there are no others can change when more text is appended. `Final`: its length.
    ///
    /// Whole texts and texts in pieces have the same findings, if each scan begins where the one before was safe.
    pub fn scan(
        &self,
        input: &Input<'_>,
        scratch: &mut Scratch,
        findings: &mut Vec<Finding>,
    ) -> usize {
        let open = input.ending == Ending::Open;
        let stable = if open {
            stable_len(input.text)
        } else {
            input.text.len()
        };
        if self.slots.is_empty() {
            return input.text.len();
        }
        let text = input.text.get(..stable).unwrap_or(input.text);
        scratch.found.clear();
        let mut safe = text.len();
        let viewed = scratch.view.rebuild(text);
        let spaced = viewed && scratch.view.joins();
        for reading in 0..=usize::from(spaced) {
            if reading == 1 {
                scratch.view.rebuild_spaced(text);
            }
            let view = &scratch.view;
            let read = if viewed { view.text() } else { text };
            scratch.raw.clear();
            let begun = self.plan.run(
                &self.slots,
                read.as_bytes(),
                input.key,
                open,
                &mut scratch.memory,
                &mut scratch.raw,
            );
            let back = |range: Range<usize>| if viewed { view.original(range) } else { range };
            if open {
                safe = safe.min(if begun < read.len() {
                    back(begun..begun).start
                } else {
                    text.len()
                });
            }
            scratch.found.extend(scratch.raw.iter().filter_map(|raw| {
                let range = back(raw.start..raw.end);
                let index = self.slots.get(raw.slot)?.index;
                Some(Finding {
                    detector: index,
                    start: range.start,
                    end: range.end,
                    confidence: raw.confidence,
                })
            }));
        }
        let found = &mut scratch.found;
        found.retain(|finding| finding.start >= input.settled && finding.end > finding.start);
        join(found);
        if open {
            safe = settle(found, safe).max(input.settled);
        }
        findings.extend(found.iter().filter(|finding| finding.end <= safe));
        safe
    }
}

/// Of findings of one detector that overlap, keeps the first, and of those the longest and surest; sorts by start.
fn join(found: &mut Vec<Finding>) {
    found.sort_unstable_by_key(|f| {
        (
            f.detector,
            f.start,
            std::cmp::Reverse(f.end),
            std::cmp::Reverse(f.confidence),
        )
    });
    let mut last: Option<(u16, usize)> = None;
    found.retain(|finding| {
        let covered =
            last.is_some_and(|(detector, end)| detector == finding.detector && finding.start < end);
        if !covered {
            last = Some((finding.detector, finding.end));
        }
        !covered
    });
    found.sort_unstable_by_key(|finding| (finding.start, finding.end, finding.detector));
}

/// The last place up to `safe` that no finding crosses.
fn settle(found: &[Finding], mut safe: usize) -> usize {
    // By falling start; each finding that crosses moves the place to its own start, which others may cross.
    loop {
        let moved = found
            .iter()
            .filter(|f| f.start < safe && f.end > safe)
            .map(|f| f.start)
            .min();
        match moved {
            Some(start) => safe = start,
            None => return safe,
        }
    }
}

#[cfg(test)]
mod tests;
