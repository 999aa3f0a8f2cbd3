//! What was looked for in one text, and what was found.

use crate::detect::Finding;
use crate::wire::span::{index, offset};
use std::ops::Range;

/// What rules look for in texts; which of it is asked of a text depends on the half of the exchange it stands in.
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

    /// The kinds of these bits.
    fn of_flags(flags: u8) -> MatchKinds {
        MatchKinds {
            literals: flags & 1 != 0,
            patterns: flags & 2 != 0,
            detectors: flags & 4 != 0,
        }
    }

    /// One bit for each.
    pub(crate) fn flags(self) -> u8 {
        u8::from(self.literals) | u8::from(self.patterns) << 1 | u8::from(self.detectors) << 2
    }
}

/// What is known of one text. Most texts hold nothing that any rule looks for, and a body may have thousands: such a text
/// takes no memory but this.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptScan {
    /// What was looked for so far, as [`MatchKinds::flags`].
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
    /// A scan that is complete for what was looked for.
    pub(crate) fn new(looked: MatchKinds, found: TextScan) -> KeptScan {
        KeptScan {
            looked: looked.flags(),
            found: Some(Box::new(found)),
        }
    }

    /// What of this was not looked for yet.
    pub(crate) fn missing(&self, wants: MatchKinds) -> MatchKinds {
        MatchKinds::of_flags(wants.flags() & !self.looked)
    }

    /// What was found so far.
    pub(crate) fn scan(&self) -> &TextScan {
        self.found.as_deref().unwrap_or(&BLANK)
    }

    /// Looks for more.
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

/// What is known of a body's texts, of which there may be thousands.
#[derive(Debug, Default)]
pub(crate) struct KeptScans {
    /// What was looked for in each text, as [`MatchKinds::flags`]; behind these three bits where in `found` its scan is, counted from 1.
    texts: Vec<u32>,
    /// Texts in which anything was found.
    found: Vec<FoundScan>,
}

/// The scan of the text with this number; `None` while it goes on.
#[derive(Debug)]
struct FoundScan {
    text: usize,
    scan: Option<Box<TextScan>>,
}

/// Bits of what was looked for.
const LOOKED: u32 = 3;

impl KeptScans {
    /// So many texts of which nothing is known.
    pub(crate) fn new(texts: usize) -> KeptScans {
        KeptScans {
            texts: vec![0; texts],
            found: Vec::new(),
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    fn texts_of(&self, texts: &Range<u32>) -> &[u32] {
        let texts = self.texts.get(index(texts.start)..index(texts.end));
        texts.unwrap_or_default()
    }

    /// Whether nothing was looked for yet in these texts, and nothing is known of them.
    pub(crate) fn are_new(&self, texts: &Range<u32>) -> bool {
        self.texts_of(texts).iter().all(|text| *text == 0)
    }

    /// Whether nothing was found in these texts by what was looked for, and nothing was left out.
    pub(crate) fn hold_nothing(&self, texts: &Range<u32>) -> bool {
        self.texts_of(texts).iter().all(|text| text >> LOOKED == 0)
    }

    /// Notes that nothing stands in these texts, as far as they were looked at.
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

    /// What was found so far in a text.
    pub(crate) fn scan(&self, text: u32) -> &TextScan {
        let place = self.texts.get(index(text)).and_then(|text| place(*text));
        let found = place.and_then(|place| self.found.get(place)?.scan.as_deref());
        found.unwrap_or(&BLANK)
    }

    /// Takes out what is known of a text, to be [put back](KeptScans::put).
    pub(crate) fn take(&mut self, text: u32) -> KeptScan {
        let text = self.texts.get(index(text)).copied().unwrap_or_default();
        let [looked, ..] = (text & ((1 << LOOKED) - 1)).to_le_bytes();
        let found = place(text).and_then(|place| self.found.get_mut(place)?.scan.take());
        KeptScan { looked, found }
    }

    /// Puts back what was taken out, with more in it.
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

    /// Changes what is known of a text.
    pub(crate) fn change(&mut self, text: u32, change: impl FnOnce(&mut KeptScan)) {
        let mut kept = self.take(text);
        change(&mut kept);
        self.put(text, kept);
    }

    /// The scans of texts in which anything was found and which detectors looked at.
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

/// Where the scan of a text is, if anything was found in it.
fn place(text: u32) -> Option<usize> {
    index(text >> LOOKED).checked_sub(1)
}

/// What was found in one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextScan {
    /// Literals that stand in the text as written or as it is read, ascending.
    pub(crate) literals: Vec<u32>,
    /// Of these, those that stand there exactly as written.
    pub(crate) exact: Vec<u32>,
    /// Patterns that match, ascending.
    pub(crate) patterns: Vec<u32>,
    /// What detectors found.
    pub(crate) findings: Vec<Finding>,
    /// Its parts of findings that go over several texts.
    pub(crate) splits: Vec<CrossTextMatch>,
    /// There is more in it than detectors tell of one text.
    pub(crate) incomplete: bool,
    /// Where literals and patterns stand, if the text was looked at in pieces: what stands before a piece, which decides
    /// where they match, is gone when a redaction asks.
    pub(crate) spans: Option<Box<TextSpans>>,
}

/// Where literals and patterns stand in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextSpans {
    /// Pattern and place.
    pub(crate) patterns: Vec<(u32, Range<usize>)>,
    /// Literal, place, and whether it stands there exactly as written.
    pub(crate) literals: Vec<(u32, Range<usize>, bool)>,
}

impl TextScan {
    /// Nothing that any rule looks for.
    pub(crate) fn is_blank(&self) -> bool {
        self.found() == 0 && self.splits.is_empty()
    }

    /// Whether a literal stands in the text, or begins or ends in it.
    pub(crate) fn stands(&self, literal: u32) -> bool {
        let mut splits = self.splits.iter();
        self.literals.binary_search(&literal).is_ok()
            || splits.any(|split| split.literal == Some(literal))
    }

    /// How much stands in the text itself.
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

/// A part of a finding that goes over several texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CrossTextMatch {
    /// The text, as a number in [`Reading::texts`](crate::event::Reading).
    pub(crate) text: u32,
    /// Which text of a rule it is, if no detector found it.
    pub(crate) literal: Option<u32>,
    /// What of it lies in this text.
    pub(crate) finding: Finding,
    /// Whether it begins here.
    pub(crate) is_first: bool,
}
