//! Results of scanning one text.

use crate::detect::Finding;
use crate::wire::span::{index, offset};
use std::ops::Range;

/// Kinds of searches in texts. Which of them a text needs depends on its direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MatchKinds {
    pub(crate) literals: bool,
    pub(crate) patterns: bool,
    pub(crate) detectors: bool,
}

impl MatchKinds {
    const NONE: MatchKinds = MatchKinds {
        literals: false,
        patterns: false,
        detectors: false,
    };
    pub(crate) const LITERALS: MatchKinds = MatchKinds {
        literals: true,
        ..MatchKinds::NONE
    };
    pub(crate) const PATTERNS: MatchKinds = MatchKinds {
        patterns: true,
        ..MatchKinds::NONE
    };
    pub(crate) const DETECTORS: MatchKinds = MatchKinds {
        detectors: true,
        ..MatchKinds::NONE
    };

    pub(crate) fn join(&mut self, other: MatchKinds) {
        self.literals |= other.literals;
        self.patterns |= other.patterns;
        self.detectors |= other.detectors;
    }

    pub(crate) fn and(self, other: MatchKinds) -> MatchKinds {
        MatchKinds {
            literals: self.literals && other.literals,
            patterns: self.patterns && other.patterns,
            detectors: self.detectors && other.detectors,
        }
    }

    /// Returns the kinds of these bits.
    fn of_flags(flags: u8) -> MatchKinds {
        MatchKinds {
            literals: flags & 1 != 0,
            patterns: flags & 2 != 0,
            detectors: flags & 4 != 0,
        }
    }

    /// Returns one bit for each kind.
    pub(crate) fn flags(self) -> u8 {
        u8::from(self.literals) | u8::from(self.patterns) << 1 | u8::from(self.detectors) << 2
    }
}

/// Work steps of searching a run of texts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunSteps {
    /// First text of the run.
    pub first: u32,
    /// Work steps.
    pub steps: u64,
}

/// Scan of one text, as far as it has been made. Most texts contain nothing that any rule searches for, and a body may have
/// thousands: such a text needs no memory but this.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptScan {
    /// Kinds that were searched, as [`MatchKinds::flags`].
    looked: u8,
    found: Option<Box<TextScan>>,
}

static BLANK: TextScan = TextScan {
    literals: Vec::new(),
    exact: Vec::new(),
    patterns: Vec::new(),
    findings: Vec::new(),
    splits: Vec::new(),
    incomplete: false,
    spans: None,
};

impl KeptScan {
    /// Returns a complete scan for these kinds.
    pub(crate) fn new(looked: MatchKinds, found: TextScan) -> KeptScan {
        KeptScan {
            looked: looked.flags(),
            found: Some(Box::new(found)),
        }
    }

    /// Returns the kinds that were not yet searched.
    pub(crate) fn missing(&self, wants: MatchKinds) -> MatchKinds {
        MatchKinds::of_flags(wants.flags() & !self.looked)
    }

    /// Returns what was found so far.
    pub(crate) fn scan(&self) -> &TextScan {
        self.found.as_deref().unwrap_or(&BLANK)
    }

    /// Searches for more kinds.
    pub(crate) fn extend(&mut self, more: MatchKinds, look: impl FnOnce(&mut TextScan)) {
        self.looked |= more.flags();
        if let Some(found) = &mut self.found {
            return look(found);
        }
        let mut found = TextScan::default();
        look(&mut found);
        if !found.is_blank() || found.incomplete {
            self.found = Some(Box::new(found));
        }
    }
}

/// Scans of a body's texts, of which there may be thousands.
#[derive(Debug, Default)]
pub(crate) struct KeptScans {
    /// For each text, the kinds that were searched, as [`MatchKinds::flags`]; above these three bits the place of its scan
    /// in `found`, counted from 1.
    texts: Vec<u32>,
    /// Scans of the texts in which anything was found.
    found: Vec<FoundScan>,
}

/// Scan of the text with this number; `None` while it is taken out.
#[derive(Debug)]
struct FoundScan {
    text: usize,
    scan: Option<Box<TextScan>>,
}

/// Number of bits for the kinds that were searched.
const LOOKED: u32 = 3;

impl KeptScans {
    /// Creates scans for this number of texts, of which none is scanned.
    pub(crate) fn new(texts: usize) -> KeptScans {
        KeptScans {
            texts: vec![0; texts],
            found: Vec::new(),
        }
    }

    /// Returns whether there are no texts.
    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    fn texts_of(&self, texts: &Range<u32>) -> &[u32] {
        let texts = self.texts.get(index(texts.start)..index(texts.end));
        texts.unwrap_or_default()
    }

    /// Returns whether none of these texts was searched, and nothing is known about them.
    pub(crate) fn are_new(&self, texts: &Range<u32>) -> bool {
        self.texts_of(texts).iter().all(|text| *text == 0)
    }

    /// Returns whether nothing was found in these texts so far, and all searches were complete.
    pub(crate) fn hold_nothing(&self, texts: &Range<u32>) -> bool {
        self.texts_of(texts).iter().all(|text| text >> LOOKED == 0)
    }

    /// Stores that these texts contain nothing of these kinds.
    pub(crate) fn blank(&mut self, texts: &Range<u32>, looked: MatchKinds, incomplete: bool) {
        if incomplete {
            for text in texts.clone() {
                self.change(text, |kept| {
                    kept.extend(looked, |scan| scan.incomplete = true)
                });
            }
            return;
        }
        let texts = self.texts.get_mut(index(texts.start)..index(texts.end));
        for text in texts.unwrap_or_default() {
            *text |= u32::from(looked.flags());
        }
    }

    /// Returns what was found so far in a text.
    pub(crate) fn scan(&self, text: u32) -> &TextScan {
        let place = self.texts.get(index(text)).and_then(|text| place(*text));
        let found = place.and_then(|place| self.found.get(place)?.scan.as_deref());
        found.unwrap_or(&BLANK)
    }

    /// Takes out the scan of a text, to be [put back](KeptScans::put).
    pub(crate) fn take(&mut self, text: u32) -> KeptScan {
        let text = self.texts.get(index(text)).copied().unwrap_or_default();
        let [looked, ..] = (text & ((1 << LOOKED) - 1)).to_le_bytes();
        let found = place(text).and_then(|place| self.found.get_mut(place)?.scan.take());
        KeptScan { looked, found }
    }

    /// Puts back a scan that was taken out and extended.
    pub(crate) fn put(&mut self, text: u32, kept: KeptScan) {
        let number = index(text);
        let Some(text) = self.texts.get_mut(number) else {
            return;
        };
        *text |= u32::from(kept.looked);
        let Some(scan) = kept.found else { return };
        match place(*text).and_then(|place| self.found.get_mut(place)) {
            Some(found) => found.scan = Some(scan),
            None => {
                self.found.push(FoundScan {
                    text: number,
                    scan: Some(scan),
                });
                *text |= offset(self.found.len()) << LOOKED;
            }
        }
    }

    /// Changes the scan of a text.
    pub(crate) fn change(&mut self, text: u32, change: impl FnOnce(&mut KeptScan)) {
        let mut kept = self.take(text);
        change(&mut kept);
        self.put(text, kept);
    }

    /// Returns the scans with a result that detectors have contributed to.
    pub(crate) fn detected(&self) -> impl Iterator<Item = &TextScan> {
        let detectors = u32::from(MatchKinds::DETECTORS.flags());
        let is_detected = move |found: &&FoundScan| {
            let text = self.texts.get(found.text);
            text.is_some_and(|text| text & detectors != 0)
        };
        let found = self.found.iter().filter(is_detected);
        found.filter_map(|found| found.scan.as_deref())
    }
}

/// Returns the place of a text's scan, if anything was found in the text.
fn place(text: u32) -> Option<usize> {
    index(text >> LOOKED).checked_sub(1)
}

/// Results of scanning one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextScan {
    /// Literals in the text, as written or normalised, ascending.
    pub(crate) literals: Vec<u32>,
    /// Those of the literals that are in the text exactly as the policy writes them.
    pub(crate) exact: Vec<u32>,
    /// Matching patterns, ascending.
    pub(crate) patterns: Vec<u32>,
    /// Findings of detectors.
    pub(crate) findings: Vec<Finding>,
    /// Parts in this text of matches across several texts.
    pub(crate) splits: Vec<CrossTextMatch>,
    /// Whether the scan is incomplete: the text has more findings than detectors report, or its scan was stopped.
    pub(crate) incomplete: bool,
    /// Places of literals and patterns, if the text was scanned in pieces. They can't be found again for a redaction,
    /// because the text before a piece, on which they depend, is gone.
    pub(crate) spans: Option<Box<TextSpans>>,
}

/// Places of literals and patterns in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextSpans {
    /// Patterns with their places.
    pub(crate) patterns: Vec<(u32, Range<usize>)>,
    /// Literals with their places, and whether they are there exactly as written.
    pub(crate) literals: Vec<(u32, Range<usize>, bool)>,
}

impl TextScan {
    /// Returns whether the text contains nothing that any rule searches for.
    pub(crate) fn is_blank(&self) -> bool {
        self.found() == 0 && self.splits.is_empty()
    }

    /// Returns whether a literal is in the text, or begins or ends in it.
    pub(crate) fn stands(&self, literal: u32) -> bool {
        let mut splits = self.splits.iter();
        self.literals.binary_search(&literal).is_ok()
            || splits.any(|split| split.literal == Some(literal))
    }

    /// Returns the number of results within the text itself.
    pub(crate) fn found(&self) -> usize {
        [
            self.literals.len(),
            self.patterns.len(),
            self.findings.len(),
        ]
        .iter()
        .sum()
    }
}

/// Part of a match across several texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CrossTextMatch {
    /// Number of the text in [`Reading::texts`](crate::event::Reading).
    pub(crate) text: u32,
    /// Number of the literal; `None` for a finding of a detector.
    pub(crate) literal: Option<u32>,
    /// Part of the finding in this text.
    pub(crate) finding: Finding,
    /// Whether the match begins in this text.
    pub(crate) is_first: bool,
}
