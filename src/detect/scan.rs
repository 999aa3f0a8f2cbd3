//! One pass over a text for all detectors that a policy asks for.

use std::cell::Cell;

use super::detectors::{DETECTORS, credit_card, email, us_ssn};
use super::normalise::{View, stable_len};
use super::select::Selection;
use super::{Confidence, Finding};

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
}

/// The detectors of a policy, ready to run.
#[derive(Clone, Debug)]
pub struct Scanner {
    selection: Selection,
}

/// The bytes of a text for validators. Looking past the end is allowed and noticed: what was decided by it may
/// change when the text goes on.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    past_end: Cell<bool>,
}

impl Reader<'_> {
    /// The byte at `index`; 0 past the end.
    pub(super) fn at(&self, index: usize) -> u8 {
        self.bytes.get(index).copied().unwrap_or_else(|| {
            self.past_end.set(true);
            0
        })
    }
}

impl Scanner {
    /// Prepares the detectors of a selection.
    pub fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
        }
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
        let stable = match input.ending {
            Ending::Final => input.text.len(),
            Ending::Open => stable_len(input.text),
        };
        if self.selection.is_empty() {
            return input.text.len();
        }
        let text = input.text.get(..stable).unwrap_or(input.text);
        let viewed = scratch.view.rebuild(text);
        let view = &scratch.view;
        let read = if viewed { view.text() } else { text };
        let mut found: Vec<Finding> = Vec::new();
        let begun = self.find(read, input.ending, &mut found);
        let back =
            |range: std::ops::Range<usize>| if viewed { view.original(range) } else { range };
        let mut safe = match input.ending {
            Ending::Final => text.len(),
            Ending::Open => back(begun..begun).start.max(input.settled),
        };
        found.retain_mut(|finding| {
            let range = back(finding.range());
            (finding.start, finding.end) = (range.start, range.end);
            finding.start >= input.settled
        });
        found.sort_by_key(|finding| (finding.start, finding.end, finding.detector));
        for finding in found.iter().rev() {
            if finding.end > safe {
                safe = safe.min(finding.start);
            }
        }
        findings.extend(found.into_iter().filter(|finding| finding.end <= safe));
        safe
    }

    fn find(&self, text: &str, ending: Ending, findings: &mut Vec<Finding>) -> usize {
        let bytes = text.as_bytes();
        let mut begun = match ending {
            Ending::Final => bytes.len(),
            Ending::Open => trailing_run(bytes),
        };
        let mut previous = b' ';
        for (at, byte) in bytes.iter().enumerate() {
            let mut candidate =
                |detector: &str,
                 hit: &dyn Fn(&Reader<'_>) -> Option<(usize, usize, Confidence)>| {
                    let Some(index) = (0u16..)
                        .zip(DETECTORS)
                        .find(|(_, d)| d.name == detector)
                        .map(|(index, _)| index)
                    else {
                        return;
                    };
                    let Some(threshold) = self.selection.threshold(index) else {
                        return;
                    };
                    let reader = Reader {
                        bytes,
                        past_end: Cell::new(false),
                    };
                    let hit = hit(&reader);
                    if ending == Ending::Open && reader.past_end.get() {
                        begun = begun.min(at);
                    } else if let Some((start, end, confidence)) = hit
                        && confidence >= threshold
                    {
                        findings.push(Finding {
                            detector: index,
                            start,
                            end,
                            confidence,
                        });
                    }
                };
            if *byte == b'@' {
                candidate("email", &|reader| email::around(reader, at));
            }
            if byte.is_ascii_digit() && !previous.is_ascii_digit() {
                candidate("credit_card", &|reader| {
                    credit_card::starting(reader, at).map(|(end, confidence)| (at, end, confidence))
                });
                candidate("us_ssn", &|reader| {
                    us_ssn::starting(reader, at).map(|(end, confidence)| (at, end, confidence))
                });
            }
            previous = *byte;
        }
        begun
    }
}

/// Start of the run of characters other than spaces at the end of the text; an address may have begun with it.
fn trailing_run(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(u8::is_ascii_whitespace)
        .map_or(0, |space| space.saturating_add(1))
}

#[cfg(test)]
mod tests;
